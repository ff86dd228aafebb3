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
from functools import cached_property, partial
from itertools import chain
from operator import attrgetter
from typing import Any

from tinygrad_edu import Value
from tinygrad_edu.console import visible
from tinygrad_edu.engine import NO_GRADIENT_YET, topological_order, touch
from tinygrad_edu.nested import values_in
from tinygrad_edu.ops import ADD, CONSTANT, MUL, Op


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
    def binary(self) -> dict[Op, list[tuple[int, int, int]]]:
        """The additions and the products, nearly all of a network: their node and its two inputs."""
        found: dict[Op, list[tuple[int, int, int]]] = {ADD: [], MUL: []}
        for node, (value, inputs) in enumerate(zip(self.values, self.inputs, strict=True)):
            if (op := value.op) is MUL or op is ADD:
                a, b = inputs
                found[op].append((node, a, b))
        return found

    @cached_property
    def other(self) -> list[int]:
        """The nodes of all other operations."""
        return [
            node for node, (value, inputs) in enumerate(zip(self.values, self.inputs, strict=True))
            if inputs and value.op is not MUL and value.op is not ADD
        ]  # fmt: skip

    @cached_property
    def old(self) -> frozenset[int]:
        """The nodes whose number no longer follows from their inputs, and everything computed from them.

        Empty unless a number was changed after something had been computed from it.
        """
        data = read(self.values, "_number")
        changed = {node for node, a, b in self.binary[ADD] if data[a] + data[b] != data[node]}
        changed |= {node for node, a, b in self.binary[MUL] if data[a] * data[b] != data[node]}
        changed.update(self.other)
        found: set[int] = set()
        for node in sorted(changed):
            now = from_inputs(self.values[node])
            if not (now == data[node] or (now != now and data[node] != data[node])):
                found.add(node)
        if found:
            for node in range(min(found), len(self)):
                if not found.isdisjoint(self.inputs[node]):
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
    assert value.op is not None
    try:
        return value.op.forward(*[x.data for x in value.inputs])
    except (ArithmeticError, ValueError):
        return math.nan


def read(values: Iterable[Value], slot: str) -> list[float]:
    """Return ``_number`` or ``_grad`` of Values, without calling a property for each of a million."""
    touch()
    return [*map(attrgetter(slot), values)]


def roots_in(value: Any) -> list[Value]:
    """The Values in what a function of ``viz`` was given, which may be nested lists; raises TypeError for none."""
    roots = values_in(value)
    if not roots:
        raise TypeError(f"expected a Value, or a list with Values in it, got {type(value).__name__} without any")
    return roots


def build(roots: Iterable[Value], names: Mapping[Value, str] | None = None) -> Graph:
    """Build the graph of everything ``roots`` were computed from, in time linear in its size and at any depth.

    Args:
        roots: the results to explain.
        names: names for Values without a label, as in ``record_calls().names``.

    >>> x = Value(3.0, label="x")
    >>> graph = build([x * x])
    >>> graph.inputs, graph.names
    ([(), (0, 0)], {0: 'x'})
    """
    roots = list(dict.fromkeys(roots))
    seen: set[Value] = set()
    values = [value for root in roots for value in topological_order(root, seen)]
    index = dict(zip(values, range(len(values)), strict=True))
    inputs = [*map(tuple, map(partial(map, index.__getitem__), map(attrgetter("inputs"), values)))]
    uses = [0] * len(values)
    for node in chain.from_iterable(inputs):
        uses[node] += 1
    names = names or {}
    found: dict[int, str] = {}
    # Not value.label: for a Value without a label that property costs more than the rest of this.
    labeled = [node for node, value in enumerate(values) if getattr(value, "_label", "")]
    for node in sorted({*labeled, *(index[value] for value in names if value in index)}):
        value = values[node]
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
    rows: dict[str, int] = {}  # the largest last index in each row: of ``w[3][5]`` this is 5 in the row ``w[3]``
    for name in names:
        row, bracket, last = name.rpartition("[")
        if bracket:
            if not last[:-1].isdecimal():
                rows[name] = -1
            elif (i := int(last[:-1])) > rows.get(row, -1):
                rows[row] = i
    tables: dict[str, tuple[int, ...]] = {}
    find = re.compile(r"\d+").findall
    for row, largest in rows.items():
        table, _, indices = row.partition("[")
        size = (*[int(i) + 1 for i in find(indices)], *([largest + 1] if largest >= 0 else []))
        before = tables.setdefault(table, size)
        if size != before:
            tables[table] = tuple(map(max, before, size)) if len(before) == len(size) else size
    return tables
