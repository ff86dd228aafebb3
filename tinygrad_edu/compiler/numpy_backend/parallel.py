"""Split a batch among several threads: each runs the whole program on its own examples.

Nothing is exchanged until all are done; then the gradients are added up. So every instruction runs in parallel, while
threads inside matrix products would leave everything else to one core.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ..backend import Executor
from ..program.ir import Instruction, Program
from ..runtime import memory
from ..runtime.dropout_masks import Share
from ..runtime.threads import Threads
from .executor import FloatArray, NumpyExecutor


class ParallelExecutor(Executor):
    """See :class:`.executor.NumpyExecutor`; it takes the same arguments, and the threads."""

    def __init__(
        self,
        program: Program,
        parameters: FloatArray,
        gradient: FloatArray | None,
        batch: int,
        threads: Threads,
        native: bool = True,
    ) -> None:
        super().__init__(program, batch)
        self._gradient = gradient
        self._threads = threads
        self._shares = Share.whole(batch).split(threads.count)
        # The first thread writes to the place of the sum, the others to separate arrays.
        self._theirs = (
            [memory.zeros(gradient.shape, gradient.dtype) for _ in self._shares[1:]] if gradient is not None else []
        )
        own = [gradient, *(self._theirs or [None] * len(self._shares[1:]))]
        self._parts = [
            NumpyExecutor(program, parameters, mine, share.size, share, native)
            for mine, share in zip(own, self._shares, strict=True)
        ]
        self.in_python = self._parts[0].in_python  # on the first thread

    @property
    def memory(self) -> Any:
        """The memory of all threads, one after another, to measure its size."""
        return np.concatenate([part.memory for part in self._parts])

    @cached_property
    def inputs(self) -> list[Any]:
        """Arrays for the inputs, each of shape (batch, …), split at every run."""
        return [np.concatenate(arrays) for arrays in zip(*(part.inputs for part in self._parts), strict=True)]

    def run(self, inputs: Sequence[Any]) -> Any:
        """Run, and return the outputs, shape (n, batch) or (n,)."""
        outputs = self._on_all(NumpyExecutor.run, inputs)
        self._add_gradients()
        return np.concatenate(outputs, axis=-1) if outputs[0].ndim == 2 else outputs[0]

    def timed(self, inputs: Sequence[Any]) -> list[float]:
        """Run, and return the seconds that each instruction took, on the thread where it took longest."""
        seconds = self._on_all(NumpyExecutor.timed, inputs)
        self._add_gradients()
        return [max(times) for times in zip(*seconds, strict=True)]

    def find_not_finite(self) -> Instruction | None:
        """Run again step by step; the first instruction that makes a NaN, or else an infinity, for any example."""
        return next(filter(None, (part.find_not_finite() for part in self._parts)), None)

    def _on_all(self, method: Callable[..., Any], inputs: Sequence[Any]) -> list[Any]:
        """Call a method of every part, at the same time, on its examples."""
        state = self.random.bit_generator.state
        for part in self._parts:
            part.random.bit_generator.state = state
        own = ([numbers[share.first : share.first + share.size] for numbers in inputs] for share in self._shares)
        results = self._threads.run(method, list(zip(self._parts, own, strict=True)))
        self.random.bit_generator.state = self._parts[0].random.bit_generator.state
        return results

    def _add_gradients(self) -> None:
        if self._gradient is not None:
            count = self._threads.count
            size = -(-len(self._gradient) // count)
            self._threads.run(self._add_slice, [(slice(n * size, (n + 1) * size),) for n in range(count)])

    def _add_slice(self, part: slice) -> None:
        assert self._gradient is not None
        total = self._gradient[part]
        for gradient in self._theirs:
            np.add(total, gradient[part], total)
