"""Find numbers that are older than what they were computed from; all drawings use this rule.

When ``data`` of a parameter changes, nothing else does: ``L.backward(); a.data = 5.0`` leaves an L for the old ``a``,
and gradients for it. A picture either warns in red and leaves the edges without numbers (see :func:`sentences`) or
shows what the numbers would be now (see :func:`recomputed`). Pages and animations that step through the computation
raise StaleGraphError.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tinygrad_edu import Value
from tinygrad_edu.engine import NO_GRADIENT_YET
from tinygrad_edu.ops import ADD, CONSTANT, MUL

from .. import style
from .build import Graph, from_inputs, read


def sentences(graph: Graph) -> list[str]:
    """Return the warnings for a graph whose numbers do not belong together; an empty list for nearly all graphs.

    >>> a = Value(2.0, label="a")
    >>> L = a * 3.0
    >>> a.data = 5.0
    >>> from .build import build
    >>> sentences(build([L]))[0]
    'Old numbers: the result of × is 6, but × of a = 5 and 3 is 15. A number was changed afterwards; compute it again.'
    """
    if graph.old:
        gradients = any(value.grad is not NO_GRADIENT_YET for value in graph.values)
        return [_changed(graph), *(["Gradients are older than the numbers, too."] if gradients else [])]
    if not graph.has_gradients:
        some = next((n for n, v in enumerate(graph.values) if v.grad is not NO_GRADIENT_YET), None)
        if some is not None:
            return [
                f"Gradients are old: that of {_whose(graph, some)} is from another backward(), not from this result's."
            ]
        return []
    return _foreign(graph)


def _whose(graph: Graph, node: int) -> str:
    op = graph.values[node].op
    return style.short(style.visible(graph.names.get(node, ""))) or (
        "an input" if op is None else f"the result of {style.symbol(op)}"
    )


def _changed(graph: Graph) -> str:
    node = min(graph.old)
    value = graph.values[node]
    assert value.op is not None
    given = [
        style.number(x.data, 6) if x.op is CONSTANT else f"{_whose(graph, n)} = {style.number(x.data, 6)}"
        for n, x in zip(graph.inputs[node], value.inputs, strict=True)
    ]
    listed = " and ".join(filter(None, [", ".join(given[:-1]), given[-1]])) if len(given) < 5 else "its inputs"
    now = from_inputs(value)
    more = "" if len(graph.old) == 1 else f", and {len(graph.old) - 1:,} more"
    # enough digits for the two numbers to differ
    digits = next((d for d in (4, 8, 12) if style.number(value.data, d) != style.number(now, d)), 17)
    return (
        f"Old numbers: {_whose(graph, node)} is {style.number(value.data, digits)}, but {style.symbol(value.op)} of "
        f"{listed} is {style.number(now, digits)}{more}. A number was changed afterwards; compute it again."
    )


def _foreign(graph: Graph) -> list[str]:
    """Warn about gradients that are not what one backward() from the only result sends back."""
    values = graph.values
    if len(graph.roots) != 1 or values[graph.roots[0]].grad != 1.0:
        return []  # the rest may come from results that are not drawn
    sent = _sent(graph)
    found = [
        node
        for node, grad in enumerate(read(values, "_grad"))
        if abs(grad - sent[node]) > 1e-9 * abs(grad) and grad is not NO_GRADIENT_YET and values[node].op is not CONSTANT
    ]
    if found:  # maybe only the last digits of what was added in another order
        sizes = dict.fromkeys(found, 0.0)
        for node, inputs in enumerate(graph.inputs):
            if not sizes.keys().isdisjoint(inputs):
                for n, flow in zip(inputs, graph.contributions(node) or (), strict=False):
                    if n in sizes:
                        sizes[n] += abs(flow)
        found = [n for n in found if abs(values[n].grad - sent[n]) > 1e-9 * (sizes[n] + abs(values[n].grad))]
    if not found:  # or one of them is not finite
        return []
    node = found[-1]
    more = "" if len(found) == 1 else f", and {len(found) - 1:,} more"
    return [
        f"Gradients do not add up: that of {_whose(graph, node)} is {style.number(values[node].grad)}, but "
        f"{style.number(sent[node])} flows back to it here{more}. "
        "The rest is from another backward(); zero_grad() forgets it."
    ]


def _sent(graph: Graph) -> list[float]:
    """Return for each node the sum of what one backward() from the only result sends to it."""
    sent = [0.0] * len(graph)
    data, grads = read(graph.values, "_number"), read(graph.values, "_grad")
    for node, a, b in graph.binary[ADD]:
        sent[a] += grads[node]
        sent[b] += grads[node]
    for node, a, b in graph.binary[MUL]:
        if (grad := grads[node]) is not NO_GRADIENT_YET:
            sent[a] += grad * data[b]
            sent[b] += grad * data[a]
    for node in graph.other:
        for n, flow in zip(graph.inputs[node], graph.contributions(node) or (), strict=False):
            sent[n] += flow
    sent[graph.roots[0]] = 1.0
    return sent


@contextmanager
def recomputed(graph: Graph) -> Iterator[bool]:
    """Recompute every number and gradient from the current inputs for the duration of the block.

    Gradients are recomputed only if the graph has those of its only result; others are cleared inside the block.
    Afterwards all Values are as they were. Yields whether anything was recomputed; if a number cannot be computed, such
    as the logarithm of −1, nothing is changed.
    """
    values = graph.values
    kept = [(value, value.data, value.grad) for value in values]
    had = [graph.values[root] for root in graph.roots if graph.values[root].grad == 1.0]
    try:
        yield bool(graph.old) and _compute(values, had)
    finally:
        for value, data, grad in kept:
            value.data, value.grad = data, grad


def _compute(values: Sequence[Value], roots: Sequence[Value]) -> bool:
    before = [value.data for value in values]
    for value in values:
        if value.inputs:
            value.data = from_inputs(value)
            if math.isnan(value.data) and not any(math.isnan(x.data) for x in value.inputs):
                for other, data in zip(values, before, strict=True):
                    other.data = data
                return False
    for value in values:
        value.grad = NO_GRADIENT_YET
    for root in roots:
        root.backward()
    return True
