"""The parameters of a model in one flat array, for as long as they are trained there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np

from .. import calls
from ..engine import Value
from . import memory
from .ir import Program
from .numpy_backend import Executor
from .parallel import ParallelExecutor
from .threads import Threads

FloatArray = np.ndarray[Any, np.dtype[np.floating[Any]]]

#: The tensor of all parameters that nobody listed and that the trace came across.
LOOSE = -1


class Parameters:
    """Where compiled programs keep the numbers of the Values they are differentiated by.

    While a program trains, the truth is ``array``; everywhere else it is the Values. :meth:`refresh` copies from the
    Values and :meth:`write_back` to them. Programs that share a model share one of these:

    >>> from tinygrad_edu import Value
    >>> w = [Value(1.0), Value(2.0)]
    >>> parameters = Parameters(w)
    >>> parameters.array *= 10
    >>> parameters.write_back()
    >>> w[1].data
    20.0

    Args:
        source: a Module, or nested dictionaries and lists of Values; None lets the traces collect what they meet.
        dtype: ``"float32"`` or ``"float64"``, also for all the arithmetic of the programs.
        threads: how many share the examples of a batch, and the parameters in an optimiser's step, among them.
        native: whether stretches of a program become machine code, where llvmlite is there to make it.

    Attributes:
        names, starts, sizes: of the tensors; a part of a tensor may be one too.
    """

    def __init__(self, source: Any = None, dtype: str = "float32", threads: int = 1, native: bool = True) -> None:
        if dtype not in ("float32", "float64"):
            raise ValueError(f"unknown dtype: {dtype!r} (must be float32 or float64)")
        self.dtype = dtype
        self.threads = Threads(threads)
        self.native = native
        self.source = source
        self.names: list[str] = []
        self.starts: list[int] = []
        self.sizes: list[int] = []
        self._listed: list[Value] = []
        self._loose: list[Value] = []
        self._owners: list[int] = []  # for each of those listed its tensor, the part where it is in one
        self._places: dict[Value, int] = {}  # among those listed; of a loose one, −1 − its place among the loose ones
        self._array: FloatArray | None = None
        self._gradient: FloatArray | None = None
        for name, tensor in _tensors(source, ""):
            self.adopt(name, calls.values_in(tensor))

    def adopt(self, name: str, values: list[Value]) -> int | None:
        """Add a tensor, or find it; its number, or None when it overlaps with others without being a part of one."""
        first = self._places.get(values[0], -1) if values else -1
        end = first + len(values)
        if first >= 0 and self._listed[first:end] == values and len(set(self._owners[first:end])) == 1:
            owner = self._owners[first]
            if first == self.starts[owner] and len(values) == self.sizes[owner]:
                return owner
            # A module's own part of a long list of parameters: a tensor of its own at the same place.
            self._owners[first:end] = [len(self.names)] * len(values)
            return self._number(name, first, len(values))
        fresh = list(dict.fromkeys(values))
        if not self._places.keys().isdisjoint(fresh):
            fresh = [v for v in fresh if v not in self._places]
        start = len(self._listed)
        self._places.update(zip(fresh, range(start, start + len(fresh)), strict=True))
        self._listed += fresh
        self._owners += [len(self.names)] * len(fresh)
        number = self._number(name, start, len(fresh))
        return number if len(fresh) == len(values) else None  # else some of it, or a Value twice, is elsewhere

    def _number(self, name: str, start: int, size: int) -> int:
        self.names.append(name)
        self.starts.append(start)
        self.sizes.append(size)
        return len(self.names) - 1

    def locate(self, value: Value) -> tuple[int, int]:
        """The tensor of a parameter and its place there; a Value never seen before becomes a loose parameter."""
        place = self._places.get(value)
        if place is None:
            self._loose.append(value)
            place = self._places[value] = -len(self._loose)
        if place < 0:
            return LOOSE, -1 - place
        owner = self._owners[place]
        return owner, place - self.starts[owner]

    def places(self, values: Iterable[Value]) -> list[int]:
        """Where these Values are in the array, those of them that are parameters."""
        known = [place for v in values if (place := self._places.get(v)) is not None]
        return [place if place >= 0 else len(self._listed) - 1 - place for place in known]

    def start(self, tensor: int) -> int:
        """Where a tensor begins in the array."""
        return len(self._listed) if tensor == LOOSE else self.starts[tensor]

    def size(self, tensor: int) -> int:
        """How many numbers a tensor has."""
        return len(self._loose) if tensor == LOOSE else self.sizes[tensor]

    def __len__(self) -> int:
        return len(self._listed) + len(self._loose)

    @property
    def values(self) -> list[Value]:
        """The Values, in the order of the array."""
        return self._listed + self._loose

    @property
    def array(self) -> FloatArray:
        """All parameters, one after another. Change it in place; it is made from the Values when first asked for."""
        if self._array is None or len(self._array) != len(self):
            numbers = np.fromiter((v.data for v in self.values), self.dtype, len(self))
            before, self._array = self._array, memory.copy(numbers)
            if before is not None and len(before) <= len(self._listed):  # loose ones were added behind
                self._array[: len(before)] = before
        return self._array

    @array.setter
    def array(self, new: FloatArray) -> None:
        self.array[...] = new

    @property
    def gradient(self) -> FloatArray:
        """∂(mean loss)/∂(parameter) of the latest ``value_and_grad``, in the order of ``array``."""
        if self._gradient is None or len(self._gradient) != len(self):
            self._gradient = memory.zeros((len(self),), self.dtype)
        return self._gradient

    def executor(self, program: Program, gradient: bool, batch: int, often: bool = False) -> Any:
        """What runs a program on these parameters, maybe very often. Another backend overrides this."""
        own = self.gradient if gradient else None
        if min(self.threads.count, batch) > 1:
            return ParallelExecutor(program, self.array, own, batch, self.threads, self.native)
        return Executor(program, self.array, own, batch, native=self.native, often=often)

    def refresh(self) -> None:
        """Take the numbers of the Values: after they were loaded, or moved by a scalar optimiser."""
        self.array[...] = np.fromiter((v.data for v in self.values), np.float64, len(self))

    def write_back(self) -> None:
        """Put the numbers into the Values: before anybody looks at the model."""
        for value, number in zip(self.values, self.array.tolist(), strict=True):
            value.data = number

    def write_gradients(self) -> None:
        """Put the gradient into the ``grad`` of the Values, in place of what was there."""
        for value, number in zip(self.values, self.gradient.tolist(), strict=True):
            value.grad = number

    def __repr__(self) -> str:
        return f"Parameters({len(self):,} numbers in {len(self.names)} tensors, {self.dtype})"


def _tensors(source: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The largest rectangles of Values in a Module or in nested dictionaries and lists, with a name for each."""
    if source is None:
        return
    if isinstance(source, Value):
        yield name or "parameter", source
    elif hasattr(source, "named_parameters"):
        prefix = f"{name}." if name else ""
        for path, tensor in source.named_parameters():
            yield prefix + path, tensor
    elif isinstance(source, dict):
        for key, item in source.items():
            yield from _tensors(item, f"{name}.{key}" if name else str(key))
    elif isinstance(source, (list, tuple)):
        if rectangle(source) is not None:
            yield name or "parameters", source
        else:
            for i, item in enumerate(source):
                yield from _tensors(item, f"{name}[{i}]")
    else:
        raise TypeError(
            f"expected parameters as a Module or as lists and dictionaries of Values, got {type(source).__name__}"
        )


def rectangle(thing: Any, leaf: type | tuple[type, ...] = Value) -> tuple[tuple[int, ...], list[Any]] | None:
    """The shape of nested lists of equal length that end in ``leaf``, and what they end in; None for anything else."""
    shape: tuple[int, ...] = ()
    level = [thing]  # everything at one depth: there are few types and many numbers
    while True:
        kinds = set(map(type, level))
        if not all(issubclass(kind, (list, tuple)) for kind in kinds):
            return (shape, level) if all(issubclass(kind, leaf) for kind in kinds) else None
        lengths = set(map(len, level))
        if len(lengths) > 1 or 0 in lengths:
            return None
        shape += (lengths.pop(),)
        level = list(chain.from_iterable(level))
