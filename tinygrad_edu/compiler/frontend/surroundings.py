"""What a function reads besides its arguments: variables around it, globals, defaults, and the attributes of objects.

A trace writes the numbers that it finds there into the program. When they change, the program is old. To detect this,
they are compared with a copy before every run. What can be reached from the function is found once, by going through
its code; the comparison itself takes a few microseconds.
"""

from __future__ import annotations

import array
import collections
import contextvars
import dis
import functools
import gc
import operator
import sys
import types
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from ...engine import Value
from ...ops import CONSTANT
from .catching import codes, originals
from .tracers import TRACED

#: The instructions that read attributes, and global variables.
ATTRIBUTES, GLOBALS = ("LOAD_ATTR", "LOAD_METHOD", "IMPORT_FROM"), ("LOAD_GLOBAL", "LOAD_NAME")
#: Objects beyond this number are ignored: a function that reaches more probably reaches a whole library.
LIMIT = 100_000

_plain = (type(None), bool, int, float, complex, str, bytes, range)
#: What is looked into in a way of its own, and may have a class of the user's, too.
_built_in = (
    *_plain,
    Value,
    *(list, tuple, set, frozenset, dict),
    *(collections.deque, bytearray, array.array, np.ndarray),
)
_package = __name__.partition(".")[0]


class Surroundings:
    """The current state of what ``functions`` read besides their arguments.

    >>> beta = [1.0]
    >>> around = Surroundings(lambda x: x * beta[0])
    >>> around.changed()
    >>> beta[0] = 2.0
    >>> around.changed()
    'beta'
    """

    def __init__(self, *roots: Any) -> None:
        self._checks: list[tuple[str, Callable[[], Any], Any]] = []  # a name, how to read it, what it was
        self._foreign: set[int] = set()  # those of them that are about objects of a library
        self._seen: dict[int, Any] = {}
        self.functions: list[types.FunctionType] = []  # those of the user's that can be reached
        todo = [("", root) for root in roots]
        while todo and len(self._seen) < LIMIT:
            name, thing = todo.pop()
            if not (isinstance(thing, _plain) and of_library(type(thing).__module__)) and id(thing) not in self._seen:
                self._seen[id(thing)] = thing  # kept, so that nothing else gets its identity
                todo += self._look_into(name, thing)
        self.complete = not todo

    def changed(self) -> str | None:
        """Return the name of something that has changed; None if nothing has."""
        try:
            if [read() for _, read, _ in self._checks] == [before for *_, before in self._checks]:
                return None  # nearly always, and three times as fast as one by one
        except Exception:  # a variable that is gone, arrays
            pass
        for name, read, before in self._checks:
            try:
                now = read()
                same = now is before or bool(now == before)
            except Exception:  # a variable that is gone, arrays of other shapes: not as it was
                same = False
            if not same:
                return name or "the function"
        return None

    def touched(self) -> bool:
        """Return whether anything is not the object that it was, or in another order: 1 is not True, 0 not −0."""
        try:
            return not all(_is_same(read(), before) for _, read, before in self._checks)
        except Exception:  # a variable that is gone
            return True

    def counted(self) -> str | None:
        """Return the name of a number, or of something that holds numbers, that has changed; None if none has."""
        for i, (name, read, before) in enumerate(self._checks):
            try:
                if i not in self._foreign and (now := _numbers(read())) != (then := _numbers(before)):
                    if isinstance(now, list) and now[: len(then)] == then:
                        continue  # something was written down, to be looked at
                    keys = [key for key in now if now[key] != then.get(key)] if isinstance(now, dict) else []
                    return ".".join([*filter(None, [name]), *map(str, keys[:1])]) or "something"
            except (ValueError, LookupError, AttributeError):  # a variable that is gone
                continue
        return None

    def reaches(self, identities: Iterable[int]) -> bool:
        """Return whether one of these objects is there."""
        return not self._seen.keys().isdisjoint(identities)

    def things(self) -> list[Any]:
        """Return all objects that can be reached."""
        return list(self._seen.values())

    def uses(self, name: str) -> bool:
        """Return whether a function that can be reached has this name in its code, or in a string there."""
        return any(name in code.co_names or name in code.co_consts for code in codes(self.functions))

    def watch(self, name: str, read: Callable[[], Any]) -> None:
        """Compare what ``read`` returns, too; ``name`` is what changes then."""
        self._checks.append((name, read, read()))

    def _look_into(self, name: str, thing: Any) -> Iterator[tuple[str, Any]]:
        """Watch what this object holds; its contents come next."""
        if type(thing) in TRACED:
            return  # left over from a trace
        if isinstance(thing, _built_in) and not of_library(type(thing).__module__):
            yield from self._of_object(name, thing)  # a list, a float, an array, ... with methods and attributes
        if isinstance(thing, Value):
            if thing.op is CONSTANT:
                self.watch(name, lambda: thing._number)
        elif isinstance(thing, (list, tuple, set, frozenset, dict)):
            self._checks.append((name, lambda: thing, _copy(thing)))
            items = thing.items() if isinstance(thing, dict) else enumerate(thing)
            if not set(map(type, thing.values() if isinstance(thing, dict) else thing)) <= _leaves:
                for key, item in items:
                    if not _is_table(item):
                        yield f"{name}[{key!r}]", item
        elif isinstance(thing, types.FunctionType):
            # The function itself is always examined, and so is what exec() has made.
            if not name or thing.__module__ in (None, "builtins") or not of_library(thing.__module__):
                yield from self._around(name, thing)
        elif isinstance(thing, collections.deque):
            self.watch(name, lambda: list(thing))
            yield from ((f"{name}[{i}]", item) for i, item in enumerate(thing))
        elif isinstance(thing, (bytearray, array.array, memoryview)):
            self.watch(name, lambda: bytes(thing))
        elif isinstance(thing, contextvars.ContextVar):
            self.watch(name, lambda: thing.get(None))
            yield name, thing.get(None)
        elif isinstance(thing, weakref.ref):
            self.watch(name, thing)
            yield name, thing()
        elif isinstance(thing, functools._lru_cache_wrapper):
            self.watch(name, lambda: [*map(_copy, gc.get_referents(thing))])  # what it keeps
            yield name, thing.__wrapped__
        elif isinstance(thing, (types.MethodType, functools.partial)):
            inside = (thing.__self__, thing.__func__) if isinstance(thing, types.MethodType) else thing.__reduce__()[2]
            yield from ((name, item) for item in inside)
        elif isinstance(thing, (staticmethod, classmethod)):
            yield name, thing.__func__
        elif isinstance(thing, property):
            yield from ((name, f) for f in (thing.fget,) if f is not None)
        elif isinstance(thing, types.ModuleType):
            pass  # its names that a function uses are looked up in _around
        elif isinstance(thing, type):
            if not of_library(thing.__module__):
                self._checks.append((name, lambda: vars(thing), dict(vars(thing))))
                yield from ((f"{name}.{key}", item) for key, item in vars(thing).items() if not _is_special(key, item))
                yield from ((name, base) for base in (*thing.__bases__, type(thing)))
        elif isinstance(thing, (np.ndarray, np.generic)):
            self.watch(name, lambda: (thing.shape, thing.dtype, thing.tobytes()))
        elif not isinstance(thing, _built_in):
            yield from self._of_object(name, thing)

    def _of_object(self, name: str, thing: Any) -> Iterator[tuple[str, Any]]:
        """Watch the attributes of an object; their values and its class come next."""
        if hasattr(thing, "__dict__"):
            if type(thing).__module__.startswith(f"{_package}.compiler"):
                return
            if of_library(type(thing).__module__):
                self._foreign.add(len(self._checks))
            self._checks.append((name, lambda: vars(thing), dict(vars(thing))))
            yield from ((f"{name}.{key}".lstrip("."), item) for key, item in vars(thing).items())
            yield name, type(thing)
        else:
            slots = [slot for kind in type(thing).__mro__ if not issubclass(Value, kind) for slot in _slots(kind)]
            for slot in slots:
                if hasattr(thing, slot):
                    self.watch(f"{name}.{slot}", functools.partial(getattr, thing, slot))
                    yield f"{name}.{slot}", getattr(thing, slot)
            yield name, type(thing)

    def _around(self, name: str, function: types.FunctionType) -> Iterator[tuple[str, Any]]:
        """Yield the variables that a function and its nested functions use."""
        self.functions.append(function)
        self.watch(name, lambda: (_code_of(function), function.__defaults__, function.__kwdefaults__))
        if function.__dict__:
            self._checks.append((name, lambda: function.__dict__, dict(function.__dict__)))
            yield from ((f"{name}.{key}", item) for key, item in function.__dict__.items())
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            yield from self._variable(name, functools.partial(getattr, cell, "cell_contents"))
        space, texts = function.__globals__, _texts(function)
        used = names_in(function.__code__, *ATTRIBUTES) | texts
        for name in sorted((names_in(function.__code__, *GLOBALS) | texts) & space.keys()):
            yield from self._variable(name, functools.partial(space.__getitem__, name))
            yield from self._of_module(name, space[name], used)
        for name in sorted(names_in(function.__code__, "IMPORT_NAME")):
            yield from self._of_module(name, sys.modules.get(name), used)
        for default in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            yield "a default of an argument", default

    def _of_module(self, name: str, module: Any, used: frozenset[str]) -> Iterator[tuple[str, Any]]:
        """Yield the variables of a user's module, and of modules inside it, that are used somewhere."""
        if isinstance(module, types.ModuleType) and not of_library(module.__name__):
            for inner in sorted(used & vars(module).keys()):
                yield from self._variable(f"{name}.{inner}", functools.partial(getattr, module, inner))
                yield from self._of_module(f"{name}.{inner}", vars(module)[inner], used - {inner})

    def _variable(self, name: str, read: Callable[[], Any]) -> Iterator[tuple[str, Any]]:
        try:
            now = read()
        except ValueError:  # a cell that is still empty
            return
        self.watch(name, read)
        yield name, now


def _code_of(function: types.FunctionType) -> types.CodeType:
    code = function.__code__
    return originals.get(id(code), code)  # another thread may trace it


def _numbers(thing: Any) -> Any:
    """Return a number, or the numbers among the items of a container, or nothing."""
    if isinstance(thing, _plain):
        return thing
    if isinstance(thing, (dict, types.MappingProxyType)):
        return {key: item for key, item in thing.items() if isinstance(item, _plain)}
    if isinstance(thing, (list, tuple)):
        return [] if set(map(type, thing)) == {Value} else [item for item in thing if isinstance(item, _plain)]
    return None


def _is_special(name: str, thing: Any) -> bool:
    """Return whether it is in a class for Python's own use."""
    return name.startswith("__") and not isinstance(thing, (types.FunctionType, staticmethod, classmethod))


_leaves = {*_plain, Value}


def _copy(thing: Any) -> Any:
    """Copy a container with the same items; a table of numbers or Values as a whole."""
    if isinstance(thing, dict):
        return {key: _copy(item) if _is_table(item) else item for key, item in thing.items()}
    if type(thing) in _rows and not _leaves.issuperset(map(type, thing)):  # some are more than a number
        return type(thing)([_copy(item) if _is_table(item) else item for item in thing])
    return thing.copy() if isinstance(thing, set) else list(thing) if isinstance(thing, list) else thing


_rows = (list, tuple)


def _is_same(now: Any, before: Any) -> bool:
    """Return whether a container has the same objects as its copy, in the same order."""
    if now is before:
        return True
    if isinstance(before, dict):  # and now, maybe, a view of the dictionary of a class
        return _is_same([*now], [*before]) and all(map(_is_same, now.values(), before.values()))
    if type(now) is not type(before) or type(now) not in _rows or len(now) != len(before):
        return False
    return all(map(operator.is_, now, before)) or all(map(_is_same, now, before))


def _is_table(thing: Any) -> bool:
    """Return whether this is nested lists of only numbers and Values, which are compared at once."""
    if type(thing) not in _rows:
        return False
    kinds = set(map(type, thing))
    return kinds <= _leaves or (kinds <= set(_rows) and all(map(_is_table, thing)))


@functools.lru_cache(1000)  # reading the instructions takes a fifth of the time of compiling a small model
def names_in(code: types.CodeType, *operations: str) -> frozenset[str]:
    """Return the names that instructions of some kinds use, also in nested functions."""
    names = frozenset(it.argval for it in dis.get_instructions(code) if it.opname in operations)
    return names.union(*(names_in(c, *operations) for c in code.co_consts if isinstance(c, types.CodeType)))


#: With one of these, a variable or an attribute can be accessed by a string.
_BY_TEXT = frozenset(("globals", "locals", "vars", "getattr", "attrgetter", "__dict__", "__globals__"))


def _texts(function: types.FunctionType) -> set[str]:
    """Yield strings that may be names of variables."""
    found = [*codes([function])]
    if not any(_BY_TEXT.intersection(code.co_names) for code in found):
        return set()
    return {constant for code in found for constant in code.co_consts if isinstance(constant, str)}


def _slots(kind: type) -> tuple[str, ...]:
    slots = vars(kind).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


def of_library(module: str | None) -> bool:
    """Return whether code of this module is not the user's: it does not change while a program runs."""
    top = (module or "").partition(".")[0]
    if top in ("", "builtins", _package, "numpy") or top in sys.stdlib_module_names:
        return top != "__main__"
    file = getattr(sys.modules.get(top), "__file__", None) or ""
    return "site-packages" in file or "dist-packages" in file
