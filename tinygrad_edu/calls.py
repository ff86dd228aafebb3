"""Observe module calls: which module was called, with what, and what it returned.

``Module.__call__`` is the one place where a layer is applied. Without a hook it costs one comparison. A hook is a
function ``hook(module, args, kwargs) -> outputs`` that normally calls ``module.forward(*args, **kwargs)`` and may
record the call: drawings record calls to put boxes around what a module computed, and the compiler replaces repeated
calls by one compiled template. Neither needs to know any particular layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from .engine import Value
from .errors import short
from .nested import values_in

__all__ = ["CallRecord", "Hook", "ModuleCall", "listening", "note_module", "record_calls"]

Hook = Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]

_hook: ContextVar[Hook | None] = ContextVar("hook", default=None)


@contextmanager
def listening(hook: Hook) -> Iterator[Hook | None]:
    """Pass module calls of this thread through ``hook`` inside the block, and through no other hook.

    Yields the previous hook, or None; a hook that calls it works in addition to it.
    """
    heard, before = _hook.get(), _hook.set(hook)
    try:
        yield heard
    finally:
        _hook.reset(before)


@dataclass(eq=False, repr=False)
class ModuleCall:
    """One call of a module.

    Attributes:
        path: the path of the module in the outermost called one, ``"transformer.h.0.attn"``; ``""`` for that one.
        kind: the name of its class.
        inputs: the Values among its arguments, in order, however nested.
        outputs: the Values among its results, in order, however nested.
        children: the calls made inside this one, in order.
        seconds: how long it took, with these.
    """

    path: str
    kind: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...] = ()
    children: list[ModuleCall] = field(default_factory=list)
    seconds: float = 0.0

    def __repr__(self) -> str:
        where = f" at {short(self.path, 80)}" if self.path else ""
        return f"ModuleCall({short(self.kind, 60)}{where}, {len(self.inputs):,} Values in, {len(self.outputs):,} out)"

    def walk(self) -> Iterator[ModuleCall]:
        """Yield this call and all calls below it, outermost first."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(eq=False, repr=False)
class CallRecord:
    """What :func:`record_calls` collects.

    Attributes:
        calls: the outermost calls, in order.
        names: a name for every parameter of the modules that were called: ``"lm_head.weight[3][0]"``.
    """

    calls: list[ModuleCall] = field(default_factory=list)
    names: dict[Value, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"CallRecord({len(self.calls):,} outermost calls)"


@contextmanager
def record_calls() -> Iterator[CallRecord]:
    """Record every module call made inside.

    >>> from tinygrad_edu.nn import Neuron
    >>> import random
    >>> neuron = Neuron(2, rng=random.Random(0))
    >>> with record_calls() as record:
    ...     out = neuron([Value(1.0), Value(2.0)])
    >>> [(call.kind, len(call.inputs), call.outputs == (out,)) for call in record.calls]
    [('Neuron', 2, True)]
    >>> sorted(record.names.values())
    ['b', 'w[0]', 'w[1]']
    """
    record = CallRecord()
    stack: list[ModuleCall] = []
    paths: dict[int, str] = {}  # the modules below the outermost call by identity; they live as long as that call

    def hook(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not stack:
            paths.clear()
            for path, inner in module.named_modules():
                paths.setdefault(id(inner), path)
            for name, value in module.named_scalars():
                record.names.setdefault(value, name)
        # A module that is not reachable from the outermost one by attributes is called by its class.
        path = paths.get(id(module), type(module).__name__)
        call = ModuleCall(path, type(module).__name__, tuple(values_in((*args, *kwargs.values()))))
        (stack[-1].children if stack else record.calls).append(call)
        stack.append(call)
        began = perf_counter()
        try:
            outputs = module.forward(*args, **kwargs)
        finally:
            call.seconds = perf_counter() - began
            stack.pop()
        call.outputs = tuple(values_in(outputs))
        return outputs

    with listening(hook):
        yield record


def note_module(error: Exception, module: Any) -> None:
    """Add a note to an error that names its module; every module that the error passes on its way out adds its part.

    >>> from tinygrad_edu.nn import Module
    >>> class Entropy(Module):
    ...     def forward(self, p):
    ...         return -p * p.log()
    >>> class Model(Module):
    ...     def __init__(self):
    ...         self.entropy = Entropy()
    ...     def forward(self, p):
    ...         return self.entropy(p)
    >>> try:
    ...     Model()(Value(0.0))
    ... except ValueError as error:
    ...     print(error.__notes__)
    ['in the module entropy (Entropy)']
    """
    inner = vars(error).setdefault("module", module)
    path = next((path for path, below in module.named_modules() if below is inner), None)
    if path is None:  # not reachable by attributes: keep the notes of the modules inside
        return
    facts = vars(error)
    if facts.get("place") in (notes := getattr(error, "__notes__", [])):
        notes.remove(facts["place"])
    facts["place"] = f"in the module {path} ({type(inner).__name__})".replace("  ", " ")
    error.add_note(facts["place"])
