"""The trace: run the function once and write down every scalar operation.

The function runs on the tracers of tracers.py; for that time, the library asks about them: ``engine.tracing``.

A call of a module becomes a separate node. The module's inside is recorded once, in its own :class:`Body`, and
every further call of a module that is built alike refers to the same body, with its own parameters: this makes large
models traceable. Nothing here knows what any module computes.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from types import CodeType
from typing import Any

from ... import calls, engine, ops
from ...collector import collector_paused
from ...engine import Value
from ...errors import CompileError
from ...nested import unflatten
from ...ops import Op
from ..parameters import Parameters
from . import indirect, subscripts
from .catching import explain, foreign, watching
from .diagnostics import final, refuse, refuse_number
from .module_templates import listener, module_paths
from .structure import close
from .tracers import (
    INPUT,
    RANDOM,
    TRACED,
    Body,
    Float,
    Index,
    Plain,
    Port,
    Trace,
    TracedList,
    check_answer,
    check_known,
    current_body,
    dot,
    inside,
    is_tracing,
    plain,
    site_here,
    transparent,
)

_SOMETIMES = (ops.DIV, ops.POW, ops.LOG, ops.SQRT, ops.SIN, ops.COS)  # have an answer
transparent.add(__name__)


class _Seam:
    """What the library asks during a trace; see :class:`tinygrad_edu.engine.Tracing`.

    Other threads ask as well: they have no traced numbers, and go on as always.
    """

    def operation(self, op: Op, inputs: tuple[Value, ...]) -> Value | None:
        if TRACED.isdisjoint(map(type, inputs)):
            return None
        check_known(op)
        body = current_body()
        if not engine.is_recording():
            refuse("no_grad() inside of a compiled function", "use .detach() on the Values that pass no gradient")
        if body.trace.careful and op in _SOMETIMES:
            check_answer(op, inputs)
        return body.add(op, tuple([body.number(x) for x in inputs]), site_here(2))

    def value(self, data: Any) -> Op | None:
        if type(data) in TRACED:
            refuse(
                "Value() is given a number that would be frozen into the program", "use it as it is, without Value()"
            )
        return ops.CONSTANT if is_tracing() else None  # a number of the program, not a parameter

    def lifted(self, number: Any) -> Value | None:
        return number._as_value() if issubclass(type(number), Plain) else None

    def dot(self, a: Sequence[Any], b: Sequence[Any]) -> Value | None:
        return dot(a, b) if type(a[0]) in TRACED or type(b[0]) in TRACED else None

    def pick(self, table: Sequence[Any], index: Any) -> Any:
        return index._pick_from(table) if issubclass(type(index), Index) else None

    def dropout_factor(self, p: float) -> Any:
        return plain(current_body().add(RANDOM, (p, 1.0 / (1.0 - p)), site_here(3)), Float) if is_tracing() else None


_SEAM = _Seam()


def _guard(value: Value | None) -> None:
    """``.data`` of a parameter during a trace of this thread: a decision on it would hold for this number only."""
    if value is not None and is_tracing():
        refuse_number("the number of a parameter")


def trace(
    function: Callable[..., Any],
    arguments: Sequence[tuple[str, tuple[int, ...]]],
    parameters: Parameters,
    name: str,
    careful: int = 0,
    questions: Collection[CodeType] = (),
    earlier: Trace | None = None,
) -> Trace:
    """Run ``function`` once on tracers and return the record.

    ``arguments`` are (kind, shape) pairs, kind being "input" or "index"; ``careful`` says whether it
    catches errors, and how; ``questions`` is the code that may ask what the tracers do not hear, as in indirect.py;
    of an ``earlier`` trace, which still exists, is taken over how modules are built, where that has not changed: the
    record is to be compared with it, and has no lines of its own.
    """
    record = Trace(parameters, values=parameters.values, careful=careful)
    if earlier is not None:
        record.places = None
        record.children.update(earlier.children)
        record.signatures = {key: known for key, known in earlier.signatures.items() if known.tensors is not None}
    body = Body(record, None, name, module_paths(getattr(function, "__self__", function), record))
    leaves = [_port(body, kind, shape) for kind, shape in arguments]
    seen = watching(careful > 0, questions, indirect.look) if careful or questions else nullcontext()
    with final(foreign), _tracing(body), calls.listening(listener(record)), _traced_lists(parameters.source):
        with seen:
            try:
                result = function(*leaves)
            except TypeError as error:
                explain(error)
                raise
            subscripts.check(record.rows.values())
        close(body, result)
    record.values.clear()
    return record


def _port(body: Body, kind: str, shape: tuple[int, ...]) -> Any:
    """Return nested lists of fresh tracers or indices."""
    port = len(body.ports)
    size = 1
    for n in shape:
        size *= n
    leaves = body.add_all(INPUT, port, size, Float if kind == "input" else Index)
    body.ports.append(Port(shape, kind, [x._node for x in leaves]))
    return unflatten(iter(leaves), shape)


@contextmanager
def _tracing(body: Body) -> Iterator[None]:
    """During a trace the library asks the seam about numbers, and ``.data`` is guarded; until the last trace ends."""
    if is_tracing():
        raise CompileError(
            "a compiled function is called inside another one that is being compiled; call the plain one"
        )
    with _installing:
        _traces.append(body)
        if len(_traces) == 1:
            engine.tracing = _SEAM
            engine.observe(_guard)
    try:
        with inside(body), collector_paused():
            yield
    finally:
        with _installing:
            _traces.remove(body)
            if not _traces:
                _end()


def _end() -> None:
    engine.ignore(_guard)
    engine.tracing = None


_traces: list[Body] = []  # those that are being made at the moment, by any thread
_installing = threading.Lock()


def _after_fork() -> None:
    """Reset the lock in a child, which has no other threads and no other trace."""
    global _installing
    _installing = threading.Lock()
    _traces[:] = [body for body in _traces if is_tracing()]
    if not _traces and engine.tracing is not None:
        _end()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


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
