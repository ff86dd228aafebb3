"""What the functions of ``viz`` are given: an argument of a wrong kind is an error in one sentence."""

from __future__ import annotations

import functools
import inspect
import linecache
import numbers
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar

from tinygrad_edu import Value
from tinygrad_edu.errors import shown

__all__ = ["checked"]

_F = TypeVar("_F", bound=Callable[..., Any])

#: For each kind that an annotation names how to see it, and what a message calls it.
_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "None": (lambda x: x is None, "None"),
    "str": (lambda x: isinstance(x, str), "a text"),
    "bool": (lambda x: isinstance(x, (bool, int)) or hasattr(x, "dtype"), "True or False"),
    "int": (lambda x: hasattr(x, "__index__"), "an integer"),
    "float": (lambda x: isinstance(x, (numbers.Real, Value)) or hasattr(x, "dtype"), "a number"),
    "Value": (lambda x: isinstance(x, Value), "a Value"),
    "Point": (lambda x: isinstance(x, Collection) and len(x) == 2, "two numbers"),
    "os.PathLike": (lambda x: isinstance(x, os.PathLike), "a path"),
    "Mapping": (lambda x: isinstance(x, Mapping), "a dictionary"),
    "Callable": (callable, "a function"),
    "Sequence": (lambda x: hasattr(x, "__len__") and not isinstance(x, (bytes, Mapping)), "a list"),
    "tuple": (lambda x: hasattr(x, "__len__") and not isinstance(x, (str, bytes, Mapping)), "a tuple"),
    "Iterable": (lambda x: isinstance(x, Iterable) and not isinstance(x, bytes), "a list"),
}
_SIMPLE = frozenset(("None", "str", "bool", "int", "float", "Sequence"))


def checked(function: _F) -> _F:
    """The function, with a TypeError that names the argument where one has a wrong kind.

    Texts, numbers, lists of these and objects of ours are looked at before; the rest only where the function fails,
    since it may take more than it says.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(f"{function.__name__}(): {error}") from None
        kinds = {name: str(signature.parameters[name].annotation) for name in given}
        for name, thing in given.items():
            if _is_simple(kinds[name]):
                _check(function.__name__, name, thing, kinds[name])
        try:
            return function(*args, **kwargs)
        except (TypeError, AttributeError, ValueError, LookupError) as error:
            if not _on_purpose(error):
                for name, thing in given.items():
                    _check(function.__name__, name, thing, kinds[name])
            raise

    return call  # type: ignore[return-value]  # it takes what the function takes


def _on_purpose(error: BaseException) -> bool:
    """Whether an error was raised by a statement, which has a message that fits."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return (
        trace is None or linecache.getline(trace.tb_frame.f_code.co_filename, trace.tb_lineno).strip()[:6] == "raise "
    )


def _is_simple(kind: str) -> bool:
    words = re.findall(r"\w+", kind)
    return all(word in _SIMPLE or (word not in _KINDS and word not in ("Any", "PathLike", "os")) for word in words)


def _check(function: str, name: str, thing: Any, kind: str) -> None:
    if not _fits(thing, kind):
        wanted = " or ".join(dict.fromkeys(_said(one) for one in _alternatives(kind)))
        raise TypeError(f"{function}(): {name} must be {wanted}, got {shown(thing)}") from None


def _alternatives(kind: str) -> list[str]:
    """``"str | Sequence[str | None]"`` as ``["str", "Sequence[str | None]"]``."""
    return [one.strip() for one in _split(kind, "|")]


def _split(text: str, sign: str) -> list[str]:
    parts, depth = [""], 0
    for character in text:
        depth += {"[": 1, "]": -1}.get(character, 0)
        if character == sign and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _said(kind: str) -> str:
    head, inside = _head(kind)
    words = _KINDS[head][1] if head in _KINDS else f"a {head}"
    if inside and words == "a list" and (items := {_head(one)[0] for one in _alternatives(inside[0])}) <= {*_KINDS}:
        words += " of " + " or ".join(sorted(re.sub("^an? ", "", _KINDS[item][1]) + "s" for item in items))
    return words


def _head(kind: str) -> tuple[str, list[str]]:
    head, _, inside = kind.partition("[")
    return head.rpartition(".")[2] if head != "os.PathLike" else head, _split(inside[:-1], ",") if inside else []


def _fits(thing: Any, kind: str) -> bool:
    return any(_is(thing, *_head(one)) for one in _alternatives(kind))


def _is(thing: Any, head: str, inside: list[str]) -> bool:
    if head == "Any":
        return True
    if head not in _KINDS:  # a class of ours
        return any(kind.__name__ == head for kind in type(thing).__mro__)
    if not _KINDS[head][0](thing):
        return False
    if head == "Mapping":
        return all(_fits(key, inside[0]) and _fits(item, inside[1]) for key, item in thing.items())
    if head == "tuple":
        return len(thing) == len(inside) and all(map(_fits, thing, inside))
    if head in ("Sequence", "Iterable") and isinstance(thing, Collection):
        if isinstance(thing, str):  # is a list of texts
            return inside[0] == "str"
        return all(_fits(item, inside[0]) for item in thing)
    return True
