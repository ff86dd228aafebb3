"""Module calls during a trace: a module's inside is recorded once for all modules built alike.

Two calls can share one record when the modules have the same class, the same settings and parameters of the same
shapes, and the arguments are nested in the same way. A module that keeps Values between calls, or uses Values it does
not own, is traced at every call. So is a module that gets an object, which it may fill, such as a cache.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np

from ... import calls
from ...engine import Value
from ...nested import rectangle, unflatten
from .diagnostics import refuse
from .structure import close, rebuild
from .tracers import (
    CALL,
    INPUT,
    TRACED,
    Body,
    Call,
    Index,
    Known,
    Plain,
    Port,
    Trace,
    Tracer,
    current_body,
    inside,
)


def module_paths(module: Any, record: Trace) -> dict[int, str]:
    """Return the path of every module inside this one, by identity."""
    paths: dict[int, str] = {}
    if hasattr(module, "named_children"):
        for path, inner in _modules(module, record):
            paths.setdefault(id(inner), path)
    return paths


def _modules(module: Any, record: Trace, path: str = "") -> Iterator[tuple[str, Any]]:
    """Do what ``named_modules`` does, but search the tables of a module only once in a trace, unless they change."""
    token = _token([module])
    found = record.children.get(id(module))
    if found is None or not _same(found[0], token):
        found = record.children[id(module)] = (token, [*module.named_children()])
    yield path, module
    for name, child in found[1]:
        yield from _modules(child, record, f"{path}.{name}" if path else name)


def _same(one: list[Any], other: list[Any]) -> bool:
    """Return whether two lists hold the same objects."""
    return len(one) == len(other) and all(map(operator.is_, one, other))


def listener(record: Trace) -> calls.Hook:
    """Return the hook for module calls while ``record`` is being made."""
    bodies: dict[Any, Body] = {}

    def hear(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        outer = current_body()
        leaves: list[tuple[Port, list[Any]]] = []
        structure = _flatten((list(args), kwargs), leaves)
        key, tensors = _signature(module, record)
        if not leaves or tensors is None or _any_object(structure):
            # Nothing to share, or an object whose content may change: inline the call.
            return module.forward(*args, **kwargs)
        key = (key, structure)
        body = bodies.get(key)
        slots = [outer.slot(t) for t in tensors]
        captured: list[int] = []
        if body is None:
            body = Body(record, outer, type(module).__name__, module_paths(module, record))
            for tensor in tensors:
                body.slot(tensor)
            own = len(body.slots)
            fresh: list[tuple[Port, list[Any]]] = []
            inner_args, inner_kwargs = _copy((list(args), kwargs), body, fresh)
            with inside(body):
                result = module.forward(*inner_args, **inner_kwargs)
                close(body, result)
            after: list[tuple[Port, list[Any]]] = []
            if _flatten((list(inner_args), inner_kwargs), after) != structure or any(
                a is not b for (_, x), (_, y) in zip(after, fresh, strict=True) for a, b in zip(x, y, strict=True)
            ):
                refuse(
                    f"{type(module).__name__} changes a list that it was given",
                    "return the new list as a result instead",
                )
            captured = [outer.number(x) for x in body.captures]
            slots += [outer.slot(t) for t in body.slots[own:]]
            alone = not captured and len(body.slots) == own
            if alone and _signature(module, record)[0] == key[0]:
                bodies[key] = body
        inputs = [outer.vector(xs) for _, xs in leaves]
        call = Call(body, inputs + [[node] for node in captured], slots, outer.paths.get(id(module), ""))
        number = len(outer.calls)
        outer.calls.append(call)
        results = outer.add_all(CALL, number, len(body.outputs))
        call.outputs = [r._node for r in results]
        return rebuild(body.structure, iter(results))

    return hear


def _flatten(thing: Any, leaves: list[tuple[Port, list[Any]]]) -> Any:
    """Describe arguments by something hashable; rectangles of Values and of indices are collected in ``leaves``."""
    found = _leaves(thing)
    if found is not None:
        kind, shape, items = found
        leaves.append((Port(shape, "index" if kind is Index else "input"), items))
        return (kind, shape)
    if isinstance(thing, (list, tuple)):
        return (type(thing).__name__, *[_flatten(x, leaves) for x in thing])
    if isinstance(thing, dict):
        return ("dict", *[(key, _flatten(x, leaves)) for key, x in thing.items()])
    if thing is None or isinstance(thing, (bool, int, float, str)):
        return (type(thing).__name__, repr(thing))
    return _array(thing) or ("object", id(thing))


def _array(thing: Any) -> Any:
    """Describe an array of numbers by its content; None for anything else."""
    return ("array", thing.shape, thing.tobytes()) if isinstance(thing, np.ndarray) and thing.dtype != object else None


def _any_object(structure: Any) -> bool:
    """Return whether arguments are described by identity alone: their content may differ at the next call."""
    return isinstance(structure, tuple) and (structure[:1] == ("object",) or any(map(_any_object, structure)))


def _leaves(thing: Any) -> tuple[Any, tuple[int, ...], list[Any]] | None:
    """What a rectangle of Values and traced numbers consists of in a trace: its kind, its shape and its items.

    The kind of a mixture, such as what is given and what was computed, is that of every item; indices are not mixed.
    """
    found = rectangle(thing, (Value, Plain))
    if found is None:
        return None
    kinds = {kind: Tracer if issubclass(kind, Value) else kind for kind in set(map(type, found[1]))}
    if len(only := set(kinds.values())) == 1:
        return only.pop(), *found
    return None if Index in only else (tuple([kinds[type(x)] for x in found[1]]), *found)


def _copy(thing: Any, body: Body, fresh: list[tuple[Port, list[Any]]]) -> Any:
    """Return the same arguments for the inside of ``body``, with new leaves."""
    found = _leaves(thing)
    if found is not None:
        kind, shape, _ = found
        leaves = body.add_all(INPUT, len(body.ports), math.prod(shape), kind)
        body.ports.append(Port(shape, "index" if kind is Index else "input", [x._node for x in leaves]))
        fresh.append((body.ports[-1], leaves))
        return unflatten(iter(leaves), shape)
    if isinstance(thing, (list, tuple)):
        return type(thing)([_copy(x, body, fresh) for x in thing])
    if isinstance(thing, dict):
        return {key: _copy(x, body, fresh) for key, x in thing.items()}
    return thing


def _is_module(thing: Any) -> bool:
    return hasattr(thing, "forward") and hasattr(thing, "named_children")


def _signature(module: Any, record: Trace) -> tuple[Any, list[int] | None]:
    """Return the signature of a module and its tensors in order; no tensors if they cannot be distinguished."""
    found = record.signatures.get(id(module))
    if found is None or not _same(found.token, _token(found.modules)):
        modules = [m for _, m in _modules(module, record)]
        tensors: list[int] = []
        found = record.signatures[id(module)] = Known(modules, _token(modules), (), None)
        with suppress(LookupError):
            found.key, found.tensors = tuple(_attributes(module, record, tensors, {})), tensors
    return found.key, found.tensors


def _token(modules: list[Any]) -> list[Any]:
    """The attributes of modules, object by object: a cheap test whether a signature is still valid.

    For a matrix of parameters only the rows; the numbers in an array are compared each time.
    """
    found: list[Any] = []
    stack = [x for module in modules for x in vars(module).values()]
    while stack:
        x = stack.pop()
        found.append(x)
        if isinstance(x, (list, tuple)):
            (found if x and (_is_row(x[0]) or _LEAVES.issuperset(map(type, x))) else stack).extend(x)
        elif isinstance(x, dict):
            stack += x.values()
        elif isinstance(x, np.ndarray):
            found.append(x.copy())
    return found


_LEAVES = {Value, bool, int, float, str, type(None)}  # nothing is inside of them


def _is_row(thing: Any) -> bool:
    return isinstance(thing, (list, tuple)) and bool(thing) and type(thing[0]) is Value


def _attributes(module: Any, record: Trace, tensors: list[int], seen: dict[int, int]) -> Iterator[Any]:
    if id(module) in seen:
        yield ("again", seen[id(module)])
        return
    seen[id(module)] = len(seen)
    yield type(module)
    yield module.training
    for name, attribute in vars(module).items():
        yield name
        yield from _attribute(attribute, record, tensors, seen)


def _attribute(thing: Any, record: Trace, tensors: list[int], seen: dict[int, int]) -> Iterator[Any]:
    if type(thing) in TRACED:
        if thing._body.trace is record:
            raise LookupError  # something kept from the call that is being traced
        yield "kept"  # from an earlier trace: to be looked at, or else its use is refused
        return
    if _is_module(thing):
        yield from _attributes(thing, record, tensors, seen)
        return
    if isinstance(thing, (list, tuple)) and not set(TRACED).isdisjoint(map(type, thing)):
        raise LookupError
    if id(thing) not in record.tensors:
        found = rectangle(thing)
        tensor = None if found is None else record.parameters.adopt("parameter", found[1])
        record.tensors[id(thing)] = (found and found[0], tensor)
        record.kept.append(thing)
    shape, tensor = record.tensors[id(thing)]
    if shape is not None:
        if tensor is None:
            raise LookupError
        if tensor not in tensors:
            tensors.append(tensor)
        yield (shape, tensors.index(tensor))
    elif isinstance(thing, (list, tuple)):
        yield (type(thing).__name__, len(thing))
        for item in thing:
            yield from _attribute(item, record, tensors, seen)
    elif isinstance(thing, dict):
        yield ("dict", *thing)
        for item in thing.values():
            yield from _attribute(item, record, tensors, seen)
    elif (array := _array(thing)) is not None:
        yield array
    elif thing is None or isinstance(thing, (bool, int, float, str)):
        yield (type(thing).__name__, repr(thing))
    else:
        record.kept.append(thing)
        yield ("object", id(thing))
