"""The nesting of arguments and results: flattened to leaves during a trace, and rebuilt afterward."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from ...engine import Value
from .diagnostics import refuse
from .tracers import Body, Plain, Tracer, plain


def close(body: Body, result: Any) -> None:
    """Record what the function returned."""
    body.structure = _describe(result, body)
    body.trace.bodies.append(body)


def _describe(thing: Any, body: Body) -> Any:
    """Describe the nesting of a result: ``("value",)``, ``(list, [...])``, ``("row", list, n)``, ``("static", thing)``…

    A row is a list of Values. A number of Python is ``("plain", its class)``.
    """
    if isinstance(thing, Plain):
        body.outputs.append(body.number(thing))
        return ("plain", type(thing))
    if isinstance(thing, Value):
        body.outputs.append(body.number(thing))
        return ("value",)
    if hasattr(thing, "__next__"):
        refuse("the function returns a generator", "return a list of its Values: list(...)")
    if hasattr(thing, "tolist") and not isinstance(thing, Value):
        thing = thing.tolist()  # an array of Values
        if not isinstance(thing, list):
            return _describe(thing, body)
    if isinstance(thing, (list, tuple)):
        kind = type(thing) if type(thing) in (list, tuple) else list
        if set(map(type, thing)) == {Tracer}:
            body.outputs += body.vector(thing)
            return ("row", kind, len(thing))
        return (kind, [_describe(x, body) for x in thing])
    if isinstance(thing, dict):
        return (dict, list(thing), [_describe(x, body) for x in thing.values()])
    return ("static", thing)


def rebuild(structure: Any, leaves: Iterator[Any]) -> Any:
    """Rebuild a result from the description, with new leaves."""
    if structure[0] == "value":
        return next(leaves)
    if structure[0] == "plain":
        leaf = next(leaves)
        return plain(leaf, structure[1]) if isinstance(leaf, Tracer) else leaf
    if structure[0] == "row":
        return structure[1](islice(leaves, structure[2]))
    if structure[0] == "static":
        return structure[1]
    if structure[0] is dict:
        return {key: rebuild(x, leaves) for key, x in zip(structure[1], structure[2], strict=True)}
    return structure[0]([rebuild(x, leaves) for x in structure[1]])
