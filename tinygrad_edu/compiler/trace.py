"""The trace: run the function once and write down every scalar operation.

The function runs on the tracers of record.py; for that time, three functions of the engine look out for them.

A call of a module becomes a node of its own. The module's inside is recorded once, in a :class:`Body` of its own, and
every further call of a module that is built alike refers to the same body, with its own parameters: this is what makes
large models traceable. Nothing in here knows what any module computes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

from .. import calls, engine, functional, ops
from ..engine import Value
from ..errors import CompileError
from ..ops import Op
from . import record as _record_module
from .parameters import Parameters
from .record import (
    INPUT,
    RANDOM,
    Body,
    Index,
    Port,
    Trace,
    TracedList,
    Tracer,
    current_body,
    inside,
    nested,
    plain_data,
    site_here,
)
from .refusal import refuse, refuse_number

_eager_apply = engine.apply
_eager_init = Value.__init__
_slot_data = Value.__dict__["data"]


def _traced_apply(op: Op, *inputs: Value) -> Value:
    """What stands in the place of ``engine.apply`` during a trace."""
    if any(x.__class__ is Tracer for x in inputs):
        body = current_body()
        if not engine._recording:
            refuse("no_grad() inside of a compiled function", "use .detach() on the Values that pass no gradient")
        return body.add(op, tuple([body.number(x) for x in inputs]), site_here(2))
    return _eager_apply(op, *inputs)


def _traced_init(self: Value, data: Any, label: str = "") -> None:
    if data.__class__ is Tracer or data.__class__ is Index:
        refuse_number("the number of a Value")
    _eager_init(self, data, label)
    self.op = ops.CONSTANT  # made inside of the function: a number of the program, nobody's parameter


def _guarded_read(value: Value) -> float:
    """``.data`` of a parameter during a trace: fine for the engine's own arithmetic, not for a decision."""
    frame = sys._getframe(1)
    if frame.f_globals.get("__name__") != engine.__name__ or frame.f_code.co_name in _decisions:
        refuse_number("the number of a parameter")
    return plain_data(value)


_decisions = frozenset(("__float__", "__int__", "__lt__", "__le__", "__gt__", "__ge__", "_number"))


def _guarded_write(value: Value, number: float) -> None:
    if sys._getframe(1).f_globals.get("__name__") != engine.__name__:
        refuse("this changes the number of a parameter", "change parameters outside of the function, between two calls")
    _slot_data.__set__(value, number)


def _traced_dropout(p: float, rng: Any) -> Any:
    return current_body().add(RANDOM, (p, 1.0 / (1.0 - p)), site_here(2))


def trace(
    function: Callable[..., Any], arguments: Sequence[tuple[str, tuple[int, ...]]], parameters: Parameters, name: str
) -> Trace:
    """Run ``function`` once on tracers and return the record.

    ``arguments`` are (kind, shape) pairs, kind being "input" or "index".
    """
    from .templates import listener, module_paths

    record = Trace(parameters, values=parameters.values)
    body = Body(record, None, name, module_paths(getattr(function, "__self__", function)))
    leaves = [_port(body, kind, shape) for kind, shape in arguments]
    with _tracing(body), calls.listening(listener(record)), _traced_lists(parameters.source):
        result = function(*leaves)
        close(body, result)
    return record


def _port(body: Body, kind: str, shape: tuple[int, ...]) -> Any:
    """Nested lists of fresh tracers or indices."""
    port = len(body.ports)
    size = 1
    for n in shape:
        size *= n
    tracers = body.add_all(INPUT, port, size)
    body.ports.append(Port(shape, kind, [t.id for t in tracers]))
    leaves: list[Any] = tracers if kind == "input" else [Index(body, t.id) for t in tracers]
    return nested(iter(leaves), shape)


def close(body: Body, result: Any) -> None:
    """Note what the function returned."""
    body.structure = _describe(result, body)
    body.trace.bodies.append(body)


def _describe(thing: Any, body: Body) -> Any:
    """The nesting of a result: ``("value",)``, ``(list, [...])``, ``("row", list, n)``, ``("static", thing)``…

    A row is a list of Values.
    """
    if isinstance(thing, Index):
        thing = thing.as_value()
    if isinstance(thing, Value):
        body.outputs.append(body.number(thing))
        return ("value",)
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
    """The inverse of the description: a result with new leaves."""
    if structure[0] == "value":
        return next(leaves)
    if structure[0] == "row":
        return structure[1](islice(leaves, structure[2]))
    if structure[0] == "static":
        return structure[1]
    if structure[0] is dict:
        return {key: rebuild(x, leaves) for key, x in zip(structure[1], structure[2], strict=True)}
    return structure[0]([rebuild(x, leaves) for x in structure[1]])


@contextmanager
def _tracing(body: Body) -> Iterator[None]:
    """During a trace three functions of the engine look out for tracers, and ``.data`` is guarded."""
    if _record_module._body is not None:
        raise CompileError(
            "a compiled function is called inside of another one that is being compiled; call the plain one"
        )
    eager_dropout = functional.dropout_factor
    setattr(engine, "apply", _traced_apply)  # noqa: B010  # mypy knows these names as constants
    setattr(functional, "dropout_factor", _traced_dropout)  # noqa: B010
    setattr(Value, "__init__", _traced_init)  # noqa: B010
    setattr(Value, "data", property(_guarded_read, _guarded_write))  # noqa: B010
    try:
        with inside(body), engine.collector_paused():
            yield
    finally:
        setattr(engine, "apply", _eager_apply)  # noqa: B010
        setattr(functional, "dropout_factor", eager_dropout)  # noqa: B010
        setattr(Value, "__init__", _eager_init)  # noqa: B010
        setattr(Value, "data", _slot_data)  # noqa: B010


@contextmanager
def _traced_lists(source: Any) -> Iterator[None]:
    """Inside, ``table[index]`` works for tables in the dictionaries and lists that were given as parameters."""
    undo: list[tuple[Any, Any, Any]] = []
    try:
        _swap_lists(source, undo)
        yield
    finally:
        for container, key, plain in reversed(undo):
            container[key] = plain


def _swap_lists(source: Any, undo: list[tuple[Any, Any, Any]]) -> None:
    items: Any = source.items() if isinstance(source, dict) else enumerate(source) if isinstance(source, list) else ()
    for key, item in list(items):
        if type(item) is list:
            _swap_lists(item, undo)
            undo.append((source, key, item))
            source[key] = TracedList(item)
        elif isinstance(item, dict):
            _swap_lists(item, undo)
