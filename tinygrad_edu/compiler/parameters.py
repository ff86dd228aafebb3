"""The parameters of a model in one flat array, while they are trained there."""

from __future__ import annotations

import os
import threading
import weakref
from array import array
from collections.abc import Iterable, Iterator
from itertools import chain
from operator import attrgetter, is_not
from typing import Any

import numpy as np

from .. import engine
from ..engine import Value
from ..errors import CompileError
from ..nested import rectangle, shape, values_in
from .backend import Backend, checked
from .numpy_backend.entry import NumpyBackend

FloatArray = np.ndarray[Any, np.dtype[np.floating[Any]]]

#: The tensor of all parameters that were not listed but that the trace found.
LOOSE = -1

#: The places of more Values than this are in arrays.
MANY = 1 << 16


class _Places:
    """A place for each Value: first its position in a list.

    Attributes:
        distinct: whether no Value is in the list twice.
    """

    def __init__(self, listed: list[Value]) -> None:
        few = listed if len(listed) <= MANY else []
        self._places = dict(zip(few, range(len(few)), strict=True))
        self.distinct = len(self._places) == len(few)
        # Of a long list there are the identities, sorted, and where each was: 12 bytes for a Value, not 68. The list
        # must exist as long.
        self._identities, self._order = np.empty(0, np.int64), np.empty(0, np.int32)
        if not few and listed:
            identities = np.fromiter(map(id, listed), np.int64, len(listed))
            order = np.argsort(identities, kind="stable")  # fast for what is mostly in order
            self._identities, self._order = identities[order], order.astype(np.int32)
            self.distinct = bool((self._identities[1:] != self._identities[:-1]).all())

    def get(self, value: Value) -> int | None:
        """Return the place of a Value, or None."""
        place = self._places.get(value)
        if place is None and len(self._identities):
            n = min(int(self._identities.searchsorted(id(value))), len(self._identities) - 1)
            return int(self._order[n]) if self._identities[n] == id(value) else None
        return place

    def add(self, value: Value, place: int) -> None:
        """Give a place to another Value."""
        self._places[value] = place


class Parameters:
    """Where compiled programs keep the numbers of the Values they are differentiated by.

    There are two copies of every number: one in ``array``, which programs read and array optimizers update, and one in
    the Value. They are made equal on access: a program first reads what was assigned to Values, and reading
    ``data`` or ``grad`` of one of these Values, or computing with Values, first copies what programs and optimizers
    left in the arrays. Programs that share a model share one of these:

    >>> from tinygrad_edu import Value
    >>> w = [Value(1.0), Value(2.0)]
    >>> parameters = Parameters(w)
    >>> parameters.array *= 10
    >>> w[1].data
    20.0
    >>> w[1].data = 5.0
    >>> parameters.array
    array([10.,  5.], dtype=float32)

    Changes to an array that you keep under another name are not noticed: call :meth:`write_back` afterward, or use
    ``array`` each time.

    Args:
        source: a Module, or nested dictionaries and lists of Values; None lets the traces collect what they find.
        dtype: ``"float32"`` or ``"float64"``, also for all the arithmetic of the programs.
        backend: where they are, and where programs with them run: a :class:`.backend.Backend`; :class:`NumpyBackend` if
            none is given.

    Attributes:
        names, starts, sizes: those of the tensors; a part of a tensor may be a tensor too.
    """

    def __init__(self, source: Any = None, dtype: str = "float32", backend: Backend | None = None) -> None:
        if dtype not in ("float32", "float64"):
            raise ValueError(f"unknown dtype: {dtype!r} (must be float32 or float64)")
        self.dtype = dtype
        self.backend = NumpyBackend() if backend is None else checked(backend)
        self.source = source
        self.names: list[str] = []
        self.starts: list[int] = []
        self.sizes: list[int] = []
        self._listed: list[Value] = []
        self._loose: list[Value] = []
        self._owners = array("i")  # for each listed Value its tensor, or the part that contains it
        self._places = _Places([])  # position among the listed; of a loose one, −1 − its position
        self._array: Any = None
        self._gradient: Any = None
        self._held: list[Value] = []  # the Values of ``array``, and:
        self._agreed: FloatArray = np.empty(0)  # the numbers of the Values when the two copies were last made equal
        self._changes = 0  # engine.changes at that time
        self._has_gradient = False  # whether the gradient is newer than ``grad`` of the Values
        self.lock = threading.RLock()  # held while a program runs or numbers are copied
        self.trace_lock = threading.RLock()  # held while a function is traced and compiled
        _all.add(self)
        tensors = _listed(source)
        self._at_first = [(name, len(values)) for name, values in tensors]  # every tensor in ``source``
        every = list(chain.from_iterable(values for _, values in tensors))
        places = _Places(every)
        if places.distinct:  # nearly always: no Value is in two of them
            self._places, self._listed = places, every
            for number, (name, size) in enumerate(self._at_first):
                self._number(name, len(self._owners), size)
                self._owners += array("i", [number]) * size
        else:
            for name, values in tensors:
                self.adopt(name, values)
        self._count = len(self._listed)

    def adopt(self, name: str, values: list[Value]) -> int | None:
        """Add a tensor, or find it; returns its number, or None if it overlaps with others without being a part of
        one."""
        first = -1 if not values or (place := self._places.get(values[0])) is None else place
        end = first + len(values)
        if first >= 0 and self._listed[first:end] == values and len(set(self._owners[first:end])) == 1:
            owner = self._owners[first]
            if first == self.starts[owner] and len(values) == self.sizes[owner]:
                return owner
            # A module's own part of a long list of parameters: a separate tensor at the same position.
            self._owners[first:end] = array("i", [len(self.names)]) * len(values)
            return self._number(name, first, len(values))
        fresh = [value for value in dict.fromkeys(values) if self._places.get(value) is None]
        start = len(self._listed)
        for place, value in enumerate(fresh, start):
            self._places.add(value, place)
        self._listed += fresh
        self._owners += array("i", [len(self.names)]) * len(fresh)
        number = self._number(name, start, len(fresh))
        return number if len(fresh) == len(values) else None  # otherwise part of it, or a repeated Value, is elsewhere

    def _number(self, name: str, start: int, size: int) -> int:
        self.names.append(name)
        self.starts.append(start)
        self.sizes.append(size)
        return len(self.names) - 1

    def tensor_and_place(self, value: Value) -> tuple[int, int]:
        """Return the tensor of a parameter and its position there; a new Value becomes a loose parameter."""
        place = self._places.get(value)
        if place is None:
            self._loose.append(value)
            place = -len(self._loose)
            self._places.add(value, place)
        if place < 0:
            return LOOSE, -1 - place
        owner = self._owners[place]
        return owner, place - self.starts[owner]

    def places(self, values: Iterable[Value]) -> list[int]:
        """Return the positions in the array of those Values that are parameters."""
        known = [place for v in values if (place := self._places.get(v)) is not None]
        return [place if place >= 0 else len(self._listed) - 1 - place for place in known]

    @property
    def layout(self) -> tuple[int, int, int]:
        """Three counts that grow whenever a trace meets more parameters, which may move others in the array."""
        return len(self.names), len(self._listed), len(self._loose)

    def tensors(self) -> dict[str, tuple[int, list[int]]]:
        """Return for the name of every tensor where it begins in the array, and its shape."""
        shapes = {name: shape(tensor) for name, tensor in _tensors(self.source, "")}
        found = {
            name: (start, [*shapes.get(name, (size,))])
            for name, start, size in zip(self.names, self.starts, self.sizes, strict=True)
        }
        return found | ({"others": (len(self._listed), [len(self._loose)])} if self._loose else {})

    def start(self, tensor: int) -> int:
        """Return where a tensor begins in the array."""
        return len(self._listed) if tensor == LOOSE else self.starts[tensor]

    def size(self, tensor: int) -> int:
        """Return how many numbers a tensor has."""
        return len(self._loose) if tensor == LOOSE else self.sizes[tensor]

    def __len__(self) -> int:
        return len(self._listed) + len(self._loose)

    @property
    def values(self) -> list[Value]:
        """The Values, in the order of the array."""
        return self._listed + self._loose

    @property
    def array(self) -> Any:
        """All parameters in one array, shape (n,). Change it in place."""
        self.meet_others()
        array = self.current()
        self.mark()
        return array

    @array.setter
    def array(self, new: Any) -> None:
        if new is not self._array:  # ``parameters.array *= 2`` also assigns
            self.array[...] = new

    @property
    def gradient(self) -> Any:
        """∂(mean loss)/∂(parameter) of the latest ``value_and_grad``, in the order of ``array``, shape (n,)."""
        if self._gradient is None or len(self._gradient) != len(self):
            self._gradient = self.backend.array(np.zeros(len(self), self.dtype))
        return self._gradient

    def current(self) -> Any:
        """Return ``array``, updated with what was assigned to Values since the last access; for reading only."""
        with self.lock:
            if self._array is not None and len(self._array) != len(self):  # a trace met more parameters
                self._settle_numbers()
                self._array = None
            if self._array is None:
                self._held, self._changes = self.values, engine.changes
                self._agreed = self._numbers()
                self._array = self.backend.array(self._agreed.astype(self.dtype))
            elif self._changes != engine.changes:
                self._changes, numbers = engine.changes, self._numbers()
                changed = np.flatnonzero(~_same(numbers, self._agreed))
                if len(changed):
                    self.backend.put(self._array, changed, numbers[changed].astype(self.dtype))
                    self._agreed = numbers
            return self._array

    def mark(self, gradient: bool = False) -> None:
        """Record that ``array`` may be changed next, or that a gradient was computed: the Values may then be out of
        date."""
        if gradient:
            self._has_gradient = True
        if id(self) not in _ahead:
            with _watching:
                _ahead[id(self)] = weakref.ref(self)
                if _look not in engine._observers:
                    engine.observe(_look)

    def meet_others(self) -> None:
        """Write back what other arrays have, which may hold the same Values. Holds no lock."""
        for parameters in _those_ahead():
            if parameters is not self:
                parameters.settle()

    def replace(self) -> None:
        """Continue with the Values now in place of the listed ones, after some were reassigned.

        Raises CompileError if their number has changed.
        """
        listed = _listed(self.source)
        values = list(dict.fromkeys(value for _, tensor in listed for value in tensor))
        if [(name, len(tensor)) for name, tensor in listed] != self._at_first or len(values) != self._count:
            raise CompileError(
                "parameters were added or taken away after the function was compiled; compile it once more, "
                "jit(function, parameters), and make a new optimizer"
            )
        with self.lock:
            self._settle_numbers()
            if any(map(is_not, self._listed, values)):
                self._listed[: len(values)] = values
                self._places = _Places(self._listed)
                for place, value in enumerate(self._loose):
                    if self._places.get(value) is None:
                        self._places.add(value, -1 - place)
            if self._array is not None:
                self._held, self._changes = self.values, -1

    def settle(self) -> None:
        """Copy to the Values what is newer in the arrays."""
        with self.lock:
            _ahead.pop(id(self), None)
            self._settle_numbers()
            if self._has_gradient:
                self.write_gradients()

    def _settle_numbers(self) -> None:
        if self._array is None:
            return
        numbers = self.backend.numbers(self._array)
        moved = np.flatnonzero(~_same(numbers, self._agreed.astype(self.dtype)))
        if len(moved):
            self._agreed[moved] = numbers[moved]
            for place, number in zip(moved.tolist(), numbers[moved].tolist(), strict=True):
                self._held[place]._number = number
            engine.changes += 1  # for others that hold the same Values

    def _numbers(self) -> FloatArray:
        return np.fromiter(map(attrgetter("_number"), self._held), np.float64, len(self._held))

    # --- by hand ----------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Read the numbers of the Values, whatever ``array`` holds: after loading them, for example."""
        with self.lock:
            self.current()
            self._changes, self._agreed = engine.changes, self._numbers()
            self.backend.put(self._array, np.arange(len(self)), self._agreed.astype(self.dtype))

    def write_back(self) -> None:
        """Write the numbers to the Values, after changing an array that you kept."""
        self.meet_others()
        self.current()
        self.settle()

    def write_gradients(self) -> None:
        """Write the gradient to ``grad`` of the Values, replacing it."""
        with self.lock:
            self._has_gradient = False
            for value, number in zip(self.values, self.backend.numbers(self.gradient).tolist(), strict=True):
                value._grad = number

    def __del__(self) -> None:
        """Keep what was trained in the Values."""
        if _ahead and _ahead.pop(id(self), None) is not None:  # at interpreter shutdown there is no _ahead
            self.settle()

    def __repr__(self) -> str:
        return f"Parameters({len(self):,} numbers in {len(self.names)} tensors, {self.dtype})"


def _listed(source: Any) -> list[tuple[str, list[Value]]]:
    return [(name, values_in(tensor)) for name, tensor in _tensors(source, "")]


def _tensors(source: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Return the largest rectangles of Values in a Module or in nested dictionaries and lists, with their names."""
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


def _same(a: FloatArray, b: FloatArray) -> Any:
    """Compare element by element; NaN equals NaN."""
    return (a == b) | ((a != a) & (b != b))


# --- numbers that are newer in an array than in the Values ----------------------------------------------------------

_all: weakref.WeakSet[Parameters] = weakref.WeakSet()
_ahead: dict[int, weakref.ref[Parameters]] = {}  # by identity
_watching = threading.RLock()


def _those_ahead() -> list[Parameters]:
    return [parameters for reference in tuple(_ahead.values()) if (parameters := reference()) is not None]


def _look(value: Value | None) -> None:
    """Update this Value, or all of them, before they are read."""
    for parameters in _those_ahead():
        if value is None or parameters._places.get(value) is not None:
            parameters.settle()
    with _watching:
        if not _ahead and _look in engine._observers:
            engine.ignore(_look)


def _after_fork() -> None:
    """Reset the locks in a child, which has no other threads."""
    global _watching
    _watching = threading.RLock()
    for parameters in _all:
        parameters.lock, parameters.trace_lock = threading.RLock(), threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
