"""Whether a function that has run once would do the same again: then no second run has to show it.

It would, if all that it reads is still what it was, object by object, and if neither its code nor anything it can reach
may keep or ask for more. That is certain only of what is listed here: numbers, Values, lists, tuples, dictionaries, and
functions of the user that compute with these, and with functions that have no state. Anything else, a generator, a
cache, an object of a class, a file, may have a state that nobody sees.
"""

from __future__ import annotations

import builtins
import dis
import math
import threading
from functools import lru_cache
from operator import attrgetter
from types import CodeType, FunctionType, MethodType
from typing import Any

from ... import engine, functional, nested
from ...engine import Value
from .builtin_type import is_filled
from .catching import codes
from .surroundings import ATTRIBUTES, GLOBALS, Surroundings, names_in, of_library

_MODULES = (math, functional, nested)
_KEYS = frozenset((type(None), bool, int, float, str))
_PLAIN = _KEYS.union((complex, bytes, range, Value, list, tuple))
#: Functions of Python without a state, whose results do not depend on where objects are, and errors to raise.
_BUILTINS = {
    function.__name__: function
    for function in (
        *(abs, all, any, bool, callable, dict, divmod, enumerate, filter, float, int, isinstance, issubclass, iter),
        *(len, list, map, max, min, next, pow, range, reversed, round, slice, sorted, sum, tuple, zip),
        *(AssertionError, Exception, IndexError, KeyError, LookupError, NotImplementedError, RuntimeError),
        *(StopIteration, TypeError, ValueError, ZeroDivisionError),
    )
}
_EXPORTED = {
    name: getattr(module, name)
    for module in _MODULES
    for name in getattr(module, "__all__", dir(module))
    if name[0] != "_" and (callable(getattr(module, name)) or type(getattr(module, name)) is float)
}
_OF_VALUES = [method for method in vars(Value).values() if isinstance(method, FunctionType)]
_KNOWN = (*_BUILTINS.values(), *_EXPORTED.values(), *_OF_VALUES, Value, engine.maximum, engine.minimum, engine.constant)
#: Attributes in code of the user's. Texts may contain addresses, and labels are not compared.
_ATTRIBUTES = frozenset(
    name for kind in (list, tuple, dict, str, int, float, Value) for name in dir(kind) if name[0] != "_"
).union(_EXPORTED) - {"format", "format_map", "label", "grad"}
#: Instructions that store where nobody looks, import, make classes or texts, or give things an order of their own.
_OTHERS = ("STORE_ATTR", "DELETE_ATTR", "IMPORT_", "LOAD_BUILD_CLASS", "FORMAT_", "BUILD_SET")


def is_repeatable(around: Surroundings) -> bool:
    """Return whether a function would do the same again as long as nothing in ``around`` is touched."""
    things, functions = around.things(), around.functions
    known = {*map(id, _KNOWN), *map(id, functions), *map(id, _MODULES)}
    return (
        around.complete
        and threading.active_count() == 1  # or another one may change something meanwhile
        and all(id(thing) in known or _is_plain(thing) for thing in things)
        and all(map(_is_plain_function, functions))
        and _library_is_itself()
    )


def _is_plain(thing: Any) -> bool:
    """Return whether a thing has no other state than what surroundings.py compares."""
    if type(thing) is dict:
        return _KEYS.issuperset(map(type, thing))
    return type(thing) in _PLAIN


def _is_plain_function(function: FunctionType) -> bool:
    """Return whether a function only computes with what it was given and with what is around it."""
    code, space = function.__code__, function.__globals__
    names = names_in(code, *GLOBALS) - space.keys()  # what is there is one of the things
    return (
        all(map(_only_computes, codes([function])))
        and names_in(code, *ATTRIBUTES) <= _ATTRIBUTES
        and all(name in _BUILTINS and getattr(builtins, name) is _BUILTINS[name] for name in names)
        and attrgetter("__builtins__")(function) is vars(builtins)
        and all(map(is_filled, function.__closure__ or ()))
    )


@lru_cache(1000)
def _only_computes(code: CodeType) -> bool:
    """Return whether code has none of the instructions above, and no text that formats."""
    found = {dis.opname[number] for number in code.co_code[::2]}
    return not any(name.startswith(_OTHERS) for name in found) and not any(
        isinstance(constant, str) and "%" in constant for constant in code.co_consts
    )


def _library_is_itself() -> bool:
    """Return whether none of its functions was replaced by one of the user's."""
    for module in (engine, *_MODULES[1:]):
        kinds = [x for x in vars(module).values() if isinstance(x, type) and x.__module__ == module.__name__]
        for x in (x for space in map(vars, (module, *kinds)) for x in space.values()):
            home = x.__globals__.get("__name__") if isinstance(x, FunctionType) else type(x).__module__
            if not of_library(home) or home == "functools" or type(x) is MethodType:
                return False
    return True
