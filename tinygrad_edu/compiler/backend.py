"""The interface of a back end, which decides where the arrays of programs are, and runs programs there.

``jit(function, parameters, backend=...)`` takes one. Its language is described in ``program/ir.py``, and defined by the
interpreter next to it. Each back end has its own folder. ``numpy_backend`` is one; ``Parameters`` takes it by default,
and nothing else knows which one it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import CompileError, shown
from .program.ir import Instruction, Program
from .program.updates import Update
from .runtime import memory

__all__ = ["Backend", "Executor", "checked"]


class Executor:
    """A program ready to run, for one batch size. A back end derives its own from this.

    Attributes:
        program: with a gradient part, or without.
        batch: the number of examples.
        random: the generator of Dropout; ``runtime/dropout_masks.py`` draws numbers from it that are the same on every
            back end.
        in_python: how many instructions run as plain Python.
    """

    in_python = 0

    def __init__(self, program: Program, batch: int) -> None:
        self.program, self.batch = program, batch

    @cached_property
    def random(self) -> np.random.Generator:
        """The generator, if no other one has been set: programs that draw nothing do not load numpy's."""
        return np.random.default_rng(0)

    @cached_property
    def inputs(self) -> list[Any]:
        """A numpy array for each argument, shape (batch, …): a bound call writes there, and passes them to run()."""
        arrays = [array for array in self.program.arrays if array.kind in ("input", "index")]
        return [np.zeros((self.batch, *a.shape), np.int64 if a.kind == "index" else np.float64) for a in arrays]

    def run(self, inputs: Sequence[Any]) -> Any:
        """Run on one numpy array for each argument, shape (batch, …).

        Returns the n results as a numpy array: shape (n, batch), or (n,) if they are the same for all examples.
        The gradient of their mean is then in the array that :meth:`Backend.executor` was given for it.
        """
        raise NotImplementedError

    def outputs(self) -> Any:
        """Return the results of the latest run, as :meth:`run` did."""
        raise NotImplementedError

    def timed(self, inputs: Sequence[Any]) -> list[float]:
        """Run, and return the seconds that each instruction took."""
        raise CompileError(f"{type(self).__name__} does not measure single instructions; run without timed()")

    def one_by_one(self) -> Iterator[tuple[Instruction, Any]]:
        """Run again with the inputs of the latest run; after every instruction, yield the whole array that it wrote to.

        A numpy array, axes in the order of the program, the lanes last. A back end without this cannot name the
        line of the first NaN.
        """
        return iter(())

    def find_not_finite(self) -> Instruction | None:
        """Run again step by step and return the first instruction that makes a NaN, or else the first infinity.

        If the results are not finite, it is one that computes them, not a derivative.
        """
        suspect = None
        for n, (it, values) in enumerate(self.one_by_one()):
            array = self.program.arrays[it.out.array]
            if array.kind == "gradient" and not it.out.is_identity(array.shape, it.loops):
                continue  # may not be complete yet
            if array.mask is not None:
                values = values[np.asarray(array.mask, bool)]
            if np.isnan(values).any():
                return it
            if suspect is None and np.isinf(values).any():
                suspect = it
            if suspect and n + 1 == self.program.forward and not np.isfinite(self.outputs()).all():
                break
        return suspect


class Backend:
    """Where programs run. One that works in the memory of the processor needs :meth:`executor` and :meth:`in_place`.

    Attributes:
        few_calls: whether an optimizer is faster in one update of all parameters than in one for each range of them.
    """

    few_calls = False

    def array(self, numbers: Any) -> Any:
        """Make a device array with these numbers, a numpy array: parameters, or their gradient."""
        return memory.copy(numbers)

    def numbers(self, array: Any) -> Any:
        """Return a device array as a numpy array, without a copy if possible."""
        return array

    def put(self, array: Any, places: Any, numbers: Any) -> None:
        """Write numbers to some positions of a device array; both are numpy arrays."""
        array[places] = numbers

    def preparing(self, dtype: str) -> AbstractContextManager[None]:
        """Return a context in which a program with products is made: meanwhile, what runs products can be made, too."""
        return nullcontext()

    def executor(self, program: Program, parameters: Any, gradient: Any, batch: int, often: bool = False) -> Executor:
        """Make what runs a program on these parameters.

        Args:
            program: with a gradient part, or without.
            parameters: all of them in one device array; only read.
            gradient: a device array of the same size for their gradient; None for a program without.
            batch: the number of examples.
            often: whether it will run so often that any optimization pays off.
        """
        raise NotImplementedError(f"{type(self).__name__} must define executor(), which runs a program")

    def in_place(self, updates: Sequence[Update]) -> Callable[[], None]:
        """Return what makes all updates once, in arrays of its own: a step of an optimizer."""
        raise NotImplementedError(f"{type(self).__name__} must define in_place(), which runs steps of optimizers")


def checked(backend: Any) -> Backend:
    """Return ``backend`` if it is one."""
    if not isinstance(backend, Backend):
        raise TypeError(f"backend must be a Backend, such as NumpyBackend(threads=2); got {shown(backend)}")
    return backend
