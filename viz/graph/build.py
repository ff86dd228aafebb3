"""Build the computation graph as plain numbers, from which every drawing starts.

A :class:`Graph` lists the Values that one or more results were computed from, in topological order. Its nodes are the
positions in that list, so they are small integers that depend on nothing but the structure of the graph: the same
program gives the same nodes in every process.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from tinygrad_edu import Value
from tinygrad_edu.console import visible
from tinygrad_edu.engine import NO_GRADIENT_YET
from tinygrad_edu.ops import ADD, CONSTANT, MUL, SUB


@dataclass(frozen=True, eq=False)
class Graph:
    """Values and the edges between them; the n nodes are numbered 0 … n − 1, inputs before what is computed from them.

    Attributes:
        values: the Value of each node.
        index: the node of each Value.
        inputs: the nodes each node was computed from, in the order of the formula; ``x * x`` has x twice.
        uses: how many edges leave each node.
        roots: the nodes of the results.
        names: a name for the nodes that have one: their label, or the parameter's name.
        tables: the shape of every parameter that occurs in the names: ``"weight"`` for ``weight[3][0]``.
        has_gradients: whether ``backward`` has reached a root.
    """

    values: list[Value]
    index: dict[Value, int]
    inputs: list[tuple[int, ...]]
    uses: list[int]
    roots: tuple[int, ...]
    names: dict[int, str]
    tables: dict[str, tuple[int, ...]]
    has_gradients: bool

    def __len__(self) -> int:
        """The number of Values."""
        return len(self.values)

    @cached_property
    def old(self) -> frozenset[int]:
        """The nodes whose number no longer follows from their inputs, and everything computed from them.

        Empty unless a number was changed after something had been computed from it.
        """
        found: set[int] = set()
        for node, (value, inputs) in enumerate(zip(self.values, self.inputs, strict=True)):
            if inputs:
                if value.op is MUL:  # nearly all of a network: without a call for each of a million
                    a, b = value.inputs
                    now = a.data * b.data
                elif value.op is ADD:
                    a, b = value.inputs
                    now = a.data + b.data
                else:
                    now = from_inputs(value)
                is_same = now == value.data or (now != now and value.data != value.data)
                if not is_same or (found and not found.isdisjoint(inputs)):
                    found.add(node)
        return frozenset(found)

    def contributions(self, node: int) -> tuple[float, ...] | None:
        """What the chain rule sends from ``node`` to each of its inputs: ∂L/∂node · ∂node/∂input.

        None when no gradient flows: there is none yet, or the operation stops it.
        """
        value = self.values[node]
        grad = value.grad
        if grad is NO_GRADIENT_YET or value.op is None:
            return None
        if value.op is ADD:
            return (grad, grad)
        if value.op is MUL:
            a, b = value.inputs
            return (grad * b.data, grad * a.data)
        local = self.local_derivatives(node)
        # 0 · inf would be NaN, but the engine sends nothing here
        return None if local is None else tuple(d * grad if d != 0.0 else 0.0 for d in local)

    def local_derivatives(self, node: int) -> tuple[float, ...] | None:
        """∂node/∂input for each input; None for leaves and for operations that stop the gradient.

        NaN if there is no answer because ``data`` was changed after the computation.
        """
        value = self.values[node]
        if value.op is None or value.op.derivatives is None:
            return None
        try:
            return value.op.derivatives(*[x.data for x in value.inputs], value.data)
        except (ArithmeticError, ValueError):
            return (math.nan,) * len(value.inputs)


def from_inputs(value: Value) -> float:
    """Return what the operation of a computed Value gives for its current inputs; NaN if it has no result."""
    op, inputs = value.op, value.inputs
    assert op is not None
    if op is MUL or op is ADD or op is SUB:  # nearly all operations of a network
        x, y = inputs[0].data, inputs[1].data
        return x * y if op is MUL else x + y if op is ADD else x - y
    try:
        return op.forward(*[x.data for x in inputs])
    except (ArithmeticError, ValueError):
        return math.nan


def build(roots: Iterable[Value], names: Mapping[Value, str] | None = None) -> Graph:
    """Build the graph of everything ``roots`` were computed from, in time linear in its size and at any depth.

    Args:
        roots: the results to explain.
        names: names for leaves without a label, as in ``record_calls().names``.

    >>> x = Value(3.0, label="x")
    >>> graph = build([x * x])
    >>> graph.inputs, graph.names
    ([(), (0, 0)], {0: 'x'})
    """
    roots = list(dict.fromkeys(roots))
    index: dict[Value, int] = {}
    values: list[Value] = []
    inputs: list[tuple[int, ...]] = []
    uses: list[int] = []
    stack: list[Value | None] = [*reversed(roots)]
    pop, push = stack.pop, stack.append
    while stack:
        value = pop()
        if value is None:  # the mark below a Value whose inputs are all done, as in the engine's topological_order
            value = pop()
            assert value is not None
            nodes = tuple([index[x] for x in value.inputs])
            for node in nodes:
                uses[node] += 1
        elif value in index:
            continue
        elif value.inputs:
            index[value] = -1  # seen; its number comes after those of its inputs
            push(value)
            push(None)
            stack += value.inputs[::-1]
            continue
        else:
            nodes = ()
        index[value] = len(values)
        values.append(value)
        inputs.append(nodes)
        uses.append(0)
    names = names or {}
    found: dict[int, str] = {}
    for node, value in enumerate(values):
        # Not value.label: for a Value without a label that property costs more than the rest of this loop.
        name = getattr(value, "_label", "") or names.get(value, "")
        if name and value.op is not CONSTANT:
            found[node] = visible(name)
    return Graph(
        values,
        index,
        inputs,
        uses,
        tuple(index[root] for root in roots),
        found,
        _tables(dict.fromkeys([*found.values(), *names.values()])),
        any(root.grad is not NO_GRADIENT_YET for root in roots),
    )


def _tables(names: Iterable[str]) -> dict[str, tuple[int, ...]]:
    tables: dict[str, tuple[int, ...]] = {}
    find = re.compile(r"\d+").findall
    for name in names:
        table, bracket, indices = name.partition("[")
        if bracket:
            size = tuple([int(i) + 1 for i in find(indices)])
            before = tables.setdefault(table, size)
            if size != before:
                tables[table] = tuple(map(max, before, size)) if len(before) == len(size) else size
    return tables
