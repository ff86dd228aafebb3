"""What a picture points out: units that pass no gradient, and the first number that is not finite."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

from tinygrad_edu import Value
from tinygrad_edu.gradient_stats import SATURATED

from .build import Graph
from .regions import Regions

DEAD_AFTER = 20  # examples for which a ReLU is 0; in a healthy one this happens once in a million

DEAD, FLAT, BROKEN = "†", "≈", "‼"  # every font has these, and they differ without color


@dataclass(frozen=True)
class Trouble:
    """The first number that is not finite.

    Attributes:
        node: its node in the graph.
        mark: two words for its box, such as ``"first NaN"``.
        sentence: which number it is, of which Value, and how it was computed.
    """

    node: int
    mark: str
    sentence: str


@dataclass(frozen=True)
class Annotations:
    """The marks of a graph.

    Attributes:
        trouble: the first number that is not finite, if there is one.
        units: the unit that each result of a ReLU, tanh or sigmoid belongs to: a position in a module, the same for
            every example; without recorded calls every result is its own unit.
        dead: the units of ReLUs that are 0 for every example, of at least :data:`DEAD_AFTER`.
        resting: those that are 0 for every example, but of too few examples to tell.
        off: results of a ReLU that are 0 although the unit is active for another example.
        saturated: the units saturated for every example, of at least as many.
        flat: those saturated for every example, of fewer.
        examples: the number of examples in the graph; 0 if no mark is about fewer than :data:`DEAD_AFTER`.
    """

    trouble: Trouble | None = None
    units: dict[int, Hashable] = field(default_factory=dict)
    dead: frozenset[Hashable] = frozenset()
    resting: frozenset[Hashable] = frozenset()
    off: frozenset[int] = frozenset()
    saturated: frozenset[Hashable] = frozenset()
    flat: frozenset[Hashable] = frozenset()
    examples: int = 0

    def words(self, nodes: Iterable[int]) -> list[str]:
        """Return the words for a box: "† off here", "≈ 3 of 16 saturated", "‼ first NaN inside"."""
        nodes = list(nodes)
        units = {self.units[node] for node in nodes if node in self.units} if self.units else set()
        said = []
        for those, glyph, word in (
            (self.dead, DEAD, "dead"), (self.resting, DEAD, "off here"), (self.saturated, FLAT, "saturated"),
            (self.flat, FLAT, "saturated here"),
        ):  # fmt: skip
            if count := len(units & those):
                share = f"all {count:,} " if count == len(units) else f"{count:,} of {len(units):,} "
                said.append(f"{glyph} {share if len(units) > 1 else ''}{word}")
        if len(nodes) == 1 and nodes[0] in self.off:
            said.append(f"{DEAD} off for this example")
        if self.trouble is not None and self.trouble.node in nodes:
            said.insert(0, f"{BROKEN} {self.trouble.mark}{' inside' if len(nodes) > 1 else ''}")
        return said


def annotate(graph: Graph, regions: Regions, trouble: Trouble | None) -> Annotations:
    """Find the marks of a graph, in time linear in its size."""
    units: dict[int, Hashable] = {
        node: node for node, value in enumerate(graph.values) if value.op is not None and value.op.name in BENT
    }
    if not units:
        return Annotations(trouble)
    counts: dict[int, int] = {}  # units met so far in each call
    for node in units:
        call = regions.tree[number].call if (number := regions.call_of[regions.home[node]]) else None
        if call is not None:
            place = counts[number] = counts.get(number, 0) + 1
            units[node] = (call.path, call.kind, place)
    results: dict[Hashable, list[int]] = {}
    for node, unit in units.items():
        results.setdefault(unit, []).append(node)
    values = graph.values
    gone = frozenset(unit for unit, nodes in results.items() if all(dead(values[node]) for node in nodes))
    flat = frozenset(unit for unit, nodes in results.items() if all(saturated(values[node]) for node in nodes))
    off = frozenset(node for node, unit in units.items() if unit not in gone and dead(values[node]))
    few = {unit: len(results[unit]) for unit in gone | flat if len(results[unit]) < DEAD_AFTER}
    resting, here = gone & few.keys(), flat & few.keys()
    return Annotations(trouble, units, gone - resting, resting, off, flat - here, here, max(few.values(), default=0))


BENT = ("relu", "tanh", "sigmoid")


def dead(value: Value) -> bool:
    """Return whether it is the result of a ReLU, or the square of one, that passes no gradient."""
    if value.data != 0.0 or value.op is None:
        return False
    square = value.op.name == "pow" or (value.op.name == "mul" and value.inputs[0] is value.inputs[1])
    relu = value.inputs[0] if square else value
    return relu.op is not None and relu.op.name == "relu"


def saturated(value: Value) -> bool:
    """Return whether it is the result of a tanh or sigmoid where the curve is almost flat."""
    match value.op.name if value.op is not None else "":
        case "tanh":
            return abs(value.data) > SATURATED
        case "sigmoid":
            return abs(2.0 * value.data - 1.0) > SATURATED
    return False
