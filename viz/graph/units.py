"""What stays together at many levels of detail: it is found once, and each level divides only the rest.

Nine of ten Values of a network are inside dot products, and most of what remains is inside layers. A picture that folds
these never looks into one, so it takes a small part of the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain

from tinygrad_edu.engine import NO_GRADIENT_YET
from tinygrad_edu.ops import CONSTANT, MUL

from .build import Graph


@dataclass(frozen=True, eq=False)
class Units:
    """The nodes of a graph in units.

    Attributes:
        graph: that graph.
        of: the unit of each node, known by one of its nodes.
        order: the units, by their first node.
        inputs: for each unit, at its node, the units it is computed from; of a single operation one per operand, and
            for a number in its formula itself.
    """

    graph: Graph
    of: Sequence[int]
    order: Sequence[int]
    inputs: Sequence[tuple[int, ...]]

    @cached_property
    def sorted(self) -> list[int]:
        """The units by their nodes."""
        return sorted(self.order)

    @cached_property
    def bundles(self) -> list[Bundle]:
        """What leads from one unit to others, in bundles."""
        of, users = self.of, dict[int, list[int]]()
        for node, inputs in enumerate(self.graph.inputs):
            unit = of[node]
            for x in inputs:
                if of[x] != unit:
                    if x not in users:
                        users[x] = [node]
                    elif users[x][-1] != node:
                        users[x].append(node)
        found: dict[tuple[int, tuple[int, ...]], Bundle] = {}
        for x, nodes in users.items():
            key = of[x], tuple(dict.fromkeys([of[node] for node in nodes]))
            if key not in found:
                found[key] = Bundle(self.graph, *key)
            found[key].users_of[x] = nodes
        return list(found.values())

    @cached_property
    def arrows(self) -> tuple[list[int], list[int]]:
        """Which unit feeds which: from and to."""
        inputs = self.inputs
        return [*chain.from_iterable(inputs[unit] for unit in self.order)], [
            unit for unit in self.order for _ in inputs[unit]
        ]

    def merged(self, into: Sequence[int]) -> Units:
        """The same in larger units: ``into`` says for each unit which one it becomes a part of."""
        members: dict[int, list[int]] = {}
        for unit in self.order:
            members.setdefault(into[unit], []).append(unit)
        inputs: list[tuple[int, ...]] = [()] * len(self.graph)
        for whole, units in members.items():
            given = [operands for unit in units if (operands := self.inputs[unit])]
            if len(given) == 1:
                inputs[whole] = tuple([into[x] for x in given[0]])
            elif given:
                inputs[whole] = tuple(dict.fromkeys([y for xs in given for x in xs if (y := into[x]) != whole]))
        return Units(self.graph, [into[unit] for unit in self.of], list(members), inputs)


Use = tuple[int, int, int]  # a node of the graph, as which operand it uses another one, and that one


@dataclass(eq=False)
class Bundle:
    """Nodes of one unit that are used in the same other units.

    Attributes:
        graph: their graph.
        unit: the unit.
        users: the units in which they are used.
        users_of: of each of these nodes, the nodes by which it is used there.
    """

    graph: Graph
    unit: int
    users: tuple[int, ...]
    users_of: dict[int, list[int]] = field(default_factory=dict)

    def uses(self, x: int) -> list[Use]:
        """How one of these nodes is used, in the order of the formulas."""
        inputs = self.graph.inputs
        return [(node, i, x) for node in self.users_of[x] for i, y in enumerate(inputs[node]) if y == x]

    @cached_property
    def whole(self) -> list[tuple[Use, int, float | None]]:
        """The first use of each node, how many there are, and the sum of what flows back."""
        found = []
        for x in self.users_of:
            uses = self.uses(x)
            found.append((uses[0], len(uses), flow(self.graph, uses)))
        return found


def flow(graph: Graph, uses: Sequence[Use]) -> float | None:
    """The sum of what flows back to a node from some uses; None to a number in a formula, and when nothing flows."""
    values, inputs = graph.values, graph.inputs
    total: float | None = None
    for node, operand, x in uses:
        value = values[node]
        if value.op is MUL:  # nearly all of a network: without a call for each of a million
            grad = value.grad
            sent = None if grad is NO_GRADIENT_YET else grad * values[inputs[node][1 - operand]].data
        else:
            all_sent = graph.contributions(node)
            sent = None if all_sent is None else all_sent[operand]
        if sent is not None and values[x].op is not CONSTANT:
            total = (0.0 if total is None else total) + sent
    return total


def single(graph: Graph) -> Units:
    """Every node as a unit of its own."""
    nodes = range(len(graph))
    return Units(graph, nodes, nodes, graph.inputs)
