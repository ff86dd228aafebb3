"""``type(x)``, ``max``, ``min`` and ``sum`` in a function that is being compiled: what the eager engine has.

No class can hide from ``type``, and ``max`` compares. So functions that use them temporarily see others, which know
traced numbers. ``sum`` records ``sum(a * b for a, b in zip(x, y))`` as one dot product, in a fraction of the time.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import CellType, CodeType, FunctionType, GeneratorType
from typing import Any

from ... import ops
from ...engine import Value
from ...errors import CompileError
from .catching import codes
from .diagnostics import refuse_number
from .tracers import Plain, Tracer, dot, extreme, transparent

transparent.add(__name__)


class _Type:
    """Does what ``type`` does, in calls, isinstance() and class statements."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        if len(args) != 1 or options:
            return type(*args, **options)
        kind = type(args[0])
        if kind is Tracer:
            return Value
        if issubclass(kind, Plain):
            if args[0]._kind is None:
                refuse_number("the type of a number, which depends on the arguments,", "truth")
            return args[0]._kind
        return self if kind is type else kind

    def __instancecheck__(self, thing: Any) -> bool:
        return isinstance(thing, type)

    def __subclasscheck__(self, kind: Any) -> bool:
        return issubclass(kind, type)

    def __mro_entries__(self, bases: Any) -> tuple[type]:
        return (type,)

    def __getattr__(self, name: str) -> Any:
        return getattr(type, name)

    def __getitem__(self, item: Any) -> Any:
        return type[item]

    def __or__(self, other: Any) -> Any:
        return type | other

    def __ror__(self, other: Any) -> Any:
        return other | type

    def __eq__(self, other: object) -> bool:
        return other is type or other is self

    def __hash__(self) -> int:
        return hash(type)

    def __repr__(self) -> str:
        return repr(type)


def _extreme(chosen: Callable[..., Any], op: ops.Op) -> Callable[..., Any]:
    @functools.wraps(chosen)
    def choose(*args: Any, **options: Any) -> Any:
        if len(args) == 1:
            args = (list(args[0]),)
        numbers = args[0] if len(args) == 1 else args
        found = extreme(op, numbers) if "key" not in options and numbers else None
        return chosen(*args, **options) if found is None else found

    return choose


def _sum(*args: Any, **options: Any) -> Any:
    vectors = _factors(args[0]) if len(args) == 1 and not options else None
    if vectors is None:
        return sum(*args, **options)
    kinds = {*map(type, vectors[0]), *map(type, vectors[1])}
    if Tracer in kinds and kinds <= {Tracer, Value}:
        return dot(*vectors)
    return sum([x * y for x, y in zip(*vectors, strict=True)])


def _factors(thing: Any) -> list[list[Any]] | None:
    """Return all x and all y of a generator ``a * b for a, b in zip(x, y)`` that has not begun; None for anything
    else."""
    if type(thing) is not GeneratorType:
        return None
    try:
        swapped = _swapped(thing.gi_code)
        if swapped is None or thing.gi_running or thing.gi_suspended or thing.gi_frame is None:  # it has begun
            return None
        pairs = thing.gi_frame.f_locals[".0"]
    except PermissionError:  # where no code may be read, as in a lesson's practice
        return None
    if type(pairs) is not zip:
        return None
    listed = list(pairs)
    if listed and len(listed[0]) != 2:
        listed = [(x, y) for x, y in listed]  # raises what the generator would
    found = [*map(list, zip(*listed, strict=True))] or [[], []]
    return found[::-1] if swapped else found


def _products(a: Any) -> tuple[Any, Any]:
    return (x * y for x, y in a), (y * x for x, y in a)


#: The instructions of such a generator, which do not depend on names; whether the second factor comes first.
_PRODUCTS = {generator.gi_code.co_code: bool(n) for n, generator in enumerate(_products(()))}
_seen: dict[int, tuple[CodeType, bool | None]] = {}  # by identity: the hash of code is that of all its instructions


def _swapped(code: CodeType) -> bool | None:
    """Return whether the second factor comes first in a generator's code; None for other code."""
    if (found := _seen.get(id(code))) is None:
        if len(_seen) > 1000:
            _seen.clear()
        found = _seen[id(code)] = code, _PRODUCTS.get(code.co_code)
    return found[1]


_type = _Type()
#: What is put in place of each of Python's own.
_OTHERS = {
    "type": (type, _type),
    "max": (max, _extreme(max, ops.MAXIMUM)),
    "min": (min, _extreme(min, ops.MINIMUM)),
    "sum": (sum, _sum),
}
_lock = threading.Lock()
_held: dict[tuple[int, str], list[Any]] = {}  # a dictionary of globals and a name: how many traces, and what was there


def is_filled(cell: CellType) -> bool:
    """Return whether a variable around a function has been assigned."""
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False


@contextmanager
def own_type(functions: Iterable[FunctionType]) -> Iterator[None]:
    """Put another ``type``, ``max`` and ``min`` into the globals of these functions for the block, without affecting
    other threads."""
    places: dict[tuple[int, str], tuple[dict[str, Any], Any]] = {}
    for function in functions:
        around = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
        around += [cell.cell_contents for cell in function.__closure__ or () if is_filled(cell)]
        if any(thing is type for thing in around):
            raise CompileError(f"{function.__qualname__} has the function type() under another name; write type(x)")
        space = function.__globals__
        for name in {name for code in codes([function]) for name in code.co_names}:
            found = space.get(name, _OTHERS[name][0] if name in _OTHERS else None)
            for own, other in _OTHERS.values():
                if found is own or found is other:  # not ==, which arrays answer with arrays
                    places[id(space), name] = space, other
    with _lock:
        for place, (space, other) in places.items():
            held = _held.setdefault(place, [0, space.get(place[1])])
            held[0] += 1
            space[place[1]] = other
    try:
        yield
    finally:
        with _lock:
            for place, (space, _) in places.items():
                _held[place][0] -= 1
                if _held[place][0] == 0:
                    _, before = _held.pop(place)
                    if before is None:
                        del space[place[1]]
                    else:
                        space[place[1]] = before
