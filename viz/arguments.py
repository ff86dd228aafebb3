"""What the functions of ``viz`` are given: an argument of a wrong kind is an error in one sentence."""

from __future__ import annotations

import functools
import inspect
import numbers
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from tinygrad_edu import Value
from tinygrad_edu.errors import shown

__all__ = ["checked"]

_F = TypeVar("_F", bound=Callable[..., Any])


def _is_list(x: Any) -> bool:
    return (isinstance(x, Iterable) or hasattr(x, "__len__")) and not isinstance(x, (bytes, Mapping))


#: For each kind that an annotation names how to see it, and what a message calls it.
_KINDS: dict[Any, tuple[Callable[[Any], bool], str]] = {
    Any: (lambda x: True, "anything"),
    NoneType: (lambda x: x is None, "None"),
    str: (lambda x: isinstance(x, str), "a text"),
    bool: (lambda x: isinstance(x, (bool, int)) or hasattr(x, "dtype"), "True or False"),
    int: (lambda x: hasattr(x, "__index__"), "an integer"),
    float: (lambda x: isinstance(x, (numbers.Real, Value)) or hasattr(x, "dtype"), "a number"),
    os.PathLike: (lambda x: isinstance(x, os.PathLike), "a path"),
    Mapping: (lambda x: isinstance(x, Mapping), "a dictionary"),
    Callable: (callable, "a function"),
    Sequence: (_is_list, "a list"),
    Iterable: (_is_list, "a list"),
    tuple: (lambda x: _is_list(x) and not isinstance(x, str), "a tuple"),
}


def checked(function: _F) -> _F:
    """The function, with a TypeError that names the argument where one has a wrong kind."""
    signature = inspect.signature(function)
    kinds = get_type_hints(function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(f"{function.__name__}(): {error}") from None
        for name, thing in given.items():
            if not _fits(thing, kinds[name]) and signature.parameters[name].kind is not inspect.Parameter.VAR_KEYWORD:
                wanted = " or ".join(dict.fromkeys(_said(one) for one in _alternatives(kinds[name])))
                raise TypeError(f"{function.__name__}(): {name} must be {wanted}, got {shown(thing)}")
        return function(*args, **kwargs)

    return call  # type: ignore[return-value]  # it takes what the function takes


def _alternatives(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _said(kind: Any) -> str:
    """What a message calls a kind."""
    head, inside = get_origin(kind) or kind, get_args(kind)
    words = _KINDS[head][1] if head in _KINDS else f"a {head.__name__}"
    items = [get_origin(item) or item for item in _alternatives(inside[0])] if words == "a list" else []
    if items and all(item in _KINDS and item is not Any for item in items):
        words += " of " + " or ".join(sorted({re.sub("^an? ", "", _KINDS[item][1]) + "s" for item in items}))
    return words


def _fits(thing: Any, kind: Any) -> bool:
    return any(_is(thing, get_origin(one) or one, get_args(one)) for one in _alternatives(kind))


def _is(thing: Any, head: Any, inside: tuple[Any, ...]) -> bool:
    if head not in _KINDS:
        return isinstance(thing, head)
    if not _KINDS[head][0](thing):
        return False
    if head is Mapping:
        return _all_fit(thing, inside[0]) and _all_fit(thing.values(), inside[1])
    if head is tuple:
        return len(thing) == len(inside) and all(map(_fits, thing, inside))
    if head in (Sequence, Iterable) and inside[0] is not Any and isinstance(thing, Collection):
        return inside[0] is str if isinstance(thing, str) else _all_fit(thing, inside[0])
    return True


def _all_fit(items: Iterable[Any], kind: Any) -> bool:
    if not any(map(get_args, _alternatives(kind))):  # whether one fits depends on its type alone: try one of each
        items = {type(item): item for item in items}.values()
    return all(_fits(item, kind) for item in items)
