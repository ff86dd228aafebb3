"""Decide for one level of detail which Value is drawn in which box.

Merging what is alike goes forward through the graph: two operations are alike when they are the same operation, in the
same module, on inputs from the same boxes. So a loop over sixteen positions or a thousand examples collapses by itself,
and the boxes cannot form a cycle. Calls of one module are alike whatever their inputs are. The steps of a
recurrent network and the blocks of a GPT stand in a row: each feeds the next, so what one hands to the next is no line
of the picture. If boxes still feed each other in a cycle, these calls are kept apart.

Everything here takes time linear in the number of Values and calls.
"""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Iterable, Set
from copy import copy
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

from tinygrad_edu.ops import ADD, CONSTANT, DETACH, MUL

from .build import Graph
from .regions import CHAINS, SOFTMAXES, Region, Regions
from .units import Units

ALIKE = 5  # this many alike become one box ×N; up to four are easier to read side by side

IN_A_ROW = 3  # this many alike modules, each feeding the next, become one box ×N

_GIVEN = -2  # in keys, in the place of a box: what a call in a row is given

Key = tuple[Any, ...]  # what makes a node belong to a box; its first element is the kind of box


@dataclass(frozen=True, slots=True)
class Detail:
    """What is folded.

    Attributes:
        chains: dot products, sums and products, and parameters into their tables.
        softmaxes: softmax and cross-entropy.
        alike: how many alike nodes make one box ×N; 0 means never.
        height: close calls with at most this many levels of calls inside; 0 closes the innermost layers, −1 none.
        depth: instead, close calls inside more than this many others, and layers inside any other; −1 for height.
    """

    chains: bool = False
    softmaxes: bool = False
    alike: int = 0
    height: int = -1
    depth: int = -1


class Scope:
    """Where to look closely.

    Args:
        regions: the regions of the graph.
        focus: calls inside which the level of detail applies; everything else is folded as far as possible. None means
            all.
        expand: calls that are never closed.
        collapse: calls that are always closed.

    Attributes:
        inside: for each region, whether it is in the focus.
        opened: the regions that stay open: these calls and everything around them.
        collapsed: the calls that are always closed.
    """

    def __init__(
        self,
        regions: Regions,
        focus: Set[int] | None = None,
        expand: Set[int] = frozenset(),
        collapse: Set[int] = frozenset(),
    ) -> None:
        self.regions = regions
        self.collapsed = frozenset(collapse)
        self.inside = [focus is None]
        for number, region in enumerate(regions.tree[1:], 1):
            self.inside.append(self.inside[region.parent] or (focus is not None and number in focus))
        self.opened: set[int] = set()
        for number in {*(focus or ()), *expand}:
            while number >= 0 and number not in self.opened:
                self.opened.add(number)
                number = regions.tree[number].parent

    def with_open(self, calls: Iterable[int]) -> Scope:
        """The same with these calls open too."""
        found = copy(self)
        found.opened = self.opened | set(calls)
        return found


class Partition:
    """Every node in exactly one box.

    Args:
        graph, regions: what to divide.
        detail: the level of detail.
        scope: where to look closely; None for everywhere.
        limit: give up as soon as there are more boxes than this; None never gives up.

    Attributes:
        too_many: whether it gave up; then the attributes below do not exist.
        units: what is never taken apart at this level of detail.
        keys: of each box: its key. Boxes are numbered in the order of their first node.
        first: of each box: its first unit.
        group: of each region: the innermost call around it, or of several alike calls the first.
        parent: of each group: the group around it.
        calls_in: of each group: how many calls it stands for.
        pattern: of a group of different modules: their path with a ``*``.
        rows: the groups whose calls feed each other.
    """

    def __init__(
        self, graph: Graph, regions: Regions, detail: Detail, limit: int | None = None, scope: Scope | None = None
    ) -> None:
        self.graph, self.regions, self.detail = graph, regions, detail
        scope = scope if scope is not None else Scope(regions)
        self._opened, self._collapsed = scope.opened, scope.collapsed
        # Everything outside the focus is folded as far as possible.
        outside = Detail(chains=True, softmaxes=True, alike=2, height=regions.height)
        self._detail = [detail if inside else outside for inside in scope.inside]
        self.too_many = not self._divide(frozenset(), limit)
        if not self.too_many and any(here.alike for here in self._detail):
            apart = self._in_a_circle()
            if apart:
                del self.arrows
                self.too_many = not self._divide(apart, limit)

    def _divide(self, apart: frozenset[int], limit: int | None) -> bool:
        self._group_calls(apart)
        self._close()
        self._place_leaves()
        self.units = self._find_units()
        return self._fill_boxes(limit if limit is not None else len(self.graph))

    def _find_units(self) -> Units:
        """What this level of detail never looks into."""
        if not self.detail.chains:
            return self.regions.nodes
        if self.rows or any(self._closed[number] < 0 for number in self.regions.layers):
            return self.regions.units  # what a call in a row is given is known by node
        return self.regions.layer_units

    # --- which call is merged with which ------------------------------------------------------------------------------

    def _group_calls(self, apart: frozenset[int]) -> None:
        regions = self.regions.tree
        self.group = list(range(len(regions)))
        self.parent = [0] * len(regions)
        self.pattern: dict[int, str] = {}
        by_depth: dict[int, list[int]] = {}
        for number, region in enumerate(regions):
            if region.call is not None:
                by_depth.setdefault(region.depth, []).append(number)
        self.calls_in: Counter[int] = Counter()
        for depth in sorted(by_depth):  # outermost first: calls can only be alike in the same surroundings
            numbers = by_depth[depth]
            twins = Counter((regions[n].parent, *self._module(n)) for n in numbers)
            turn: Counter[Key] = Counter()
            same: dict[Key, list[int]] = {}
            similar: dict[Key, list[int]] = {}
            for number in numbers:
                around = self.parent[number] = self.group[regions[number].parent]
                least = self._detail[number].alike
                if not least or number in apart:
                    continue
                path, kind = self._module(number)
                twin = (regions[number].parent, path, kind)
                turn[twin] += 1
                # A few calls side by side, such as the heads of one attention layer, stay separate; the same calls for
                # another example of the batch are merged with them.
                which = turn[twin] if depth > 1 and twins[twin] < least else 0
                same.setdefault((around, path, kind, which), []).append(number)
                pattern = re.sub(r"(^|\.)\d+$", r"\1*", path)  # of a list: ln_1 and ln_2 have different tasks
                if pattern != path:
                    similar.setdefault((around, pattern, kind), []).append(number)
            for (around, *_), alike in same.items():
                if len(alike) >= self._least(around) or depth == 1:
                    self._merge(alike)
            rows: dict[Key, list[int]] = {}
            for (around, pattern, kind), alike in similar.items():
                modules, members = {self._module(number) for number in alike}, set(alike)
                if any(a in members and b in members for a, b in self.regions.feeding):
                    # The blocks of a GPT are alike, but one follows the other, and only many of one size are one box.
                    for number in alike:
                        rows.setdefault((around, pattern, kind, self._size(number)), []).append(number)
                elif len(modules) >= self._detail[alike[0]].alike:
                    self._merge(alike)
                    self.pattern[alike[0]] = pattern
            for (_, pattern, *_), alike in rows.items():
                if len({self._module(number) for number in alike}) >= IN_A_ROW:
                    self._merge(alike)
                    self.pattern[alike[0]] = pattern
            self.calls_in.update(self.group[number] for number in numbers)
        for number, call_number in enumerate(self.regions.call_of):
            self.group[number] = self.group[call_number]
        self.rows = {self.group[a] for a, b in self.regions.feeding if self.group[a] == self.group[b]}
        self._find_rows()

    def path(self, group: int) -> str:
        """The path of the module of a group, with ``*`` where several are alike."""
        return self.pattern.get(group) or self._module(group)[0]

    def _module(self, number: int) -> tuple[str, str]:
        """The path of a call, as in the first of the alike modules around it, and its class."""
        regions = self.regions
        call = regions.tree[number].call
        assert call is not None
        around = regions.call_of[regions.tree[number].parent]
        outer = regions.tree[around].call if around else None
        if outer is None or not call.path.startswith(f"{outer.path}."):
            return call.path, call.kind
        return self.path(self.group[around]) + call.path[len(outer.path) :], call.kind

    def _size(self, number: int) -> Key:
        region = self.regions.tree[number]
        assert region.call is not None
        return len(region.call.inputs), len(region.call.outputs), region.height

    def _find_rows(self) -> None:
        """Find for each region the innermost call in a row around it, and what these calls are given."""
        regions, index = self.regions.tree, self.graph.index
        self._row = [-1] * len(regions)
        self._given: dict[int, set[int]] = {}
        for number, region in enumerate(regions):
            call = region.call
            if number and self.rows:
                if call is not None and self.group[number] in self.rows:
                    self._row[number] = number
                    self._given[number] = {index[value] for value in call.inputs if value in index}
                else:
                    self._row[number] = self._row[region.parent]
        self._next: dict[tuple[int, int], bool] = {}
        self._tables: dict[str, str] = {}

    def hands_on(self, x: int, node: int) -> bool:
        """Whether the edge leads from one call in a row to the next."""
        if not self.rows or not self.graph.inputs[x]:
            return False
        home, call_of = self.regions.home, self.regions.call_of
        pair = (call_of[home[x]], call_of[home[node]])
        found = self._next.get(pair)
        if found is None:
            found = self._next[pair] = self._is_next(*pair)
        return found

    def _is_next(self, a: int, b: int) -> bool:
        regions = self.regions.tree
        while a != b:
            if regions[a].depth == regions[b].depth and self.group[a] == self.group[b]:
                if self.group[a] in self.rows:
                    return True
                a, b = self.regions.call_of[regions[a].parent], self.regions.call_of[regions[b].parent]
            elif regions[a].depth >= regions[b].depth:
                a = self.regions.call_of[regions[a].parent]
            else:
                b = self.regions.call_of[regions[b].parent]
        return False

    def _source(self, x: int, place: int) -> int:
        """The box that a node is computed from; one number for all that a call in a row is given."""
        call = self._row[place]
        while call >= 0:
            if x in self._given[call]:
                return _GIVEN
            call = self._row[self.regions.tree[call].parent]
        return self._box[x]

    def _merge(self, numbers: list[int]) -> None:
        for number in numbers:
            self.group[number] = numbers[0]

    def _close(self) -> None:
        self._closed = [-1] * len(self.regions.tree)  # of each region: the outermost closed region around it, or itself
        for number, region in enumerate(self.regions.tree):
            detail = self._detail[number]
            if number and self._closed[region.parent] >= 0:
                self._closed[number] = self._closed[region.parent]
            elif (
                number in self._collapsed
                or (region.call is not None and number not in self._opened and self._closes(region, detail))
                or (detail.chains and region.kind in CHAINS)
                or (detail.softmaxes and region.kind in SOFTMAXES)
            ):
                self._closed[number] = number

    def _closes(self, region: Region, detail: Detail) -> bool:
        if detail.depth < 0:
            return region.height <= detail.height
        return region.depth > 1 and (region.height == 0 or region.depth - 1 > detail.depth)

    def _place_leaves(self) -> None:
        # A leaf belongs to the innermost group that contains all of its users, but not to a call whose input it is.
        group = self.group
        common: dict[tuple[int, ...], int] = {}  # most leaves share their users with many others
        self._place: dict[int, int] = {}
        for leaf, calls in self.regions.users.items():
            if (place := common.get(calls)) is None:
                # A term of the loss over all parameters does not pull them out of their modules.
                within = {group[call] for call in calls} - {0}
                place = common[calls] = reduce(self._common, within, next(iter(within))) if within else 0
            self._place[leaf] = place
        for call, leaves in self.regions.given.items():
            outside = self.parent[group[call]]
            for leaf in leaves:
                self._place[leaf] = self._common(self._place[leaf], outside)

    def _common(self, a: int, b: int) -> int:
        regions = self.regions.tree
        while a != b:
            if regions[a].depth >= regions[b].depth:
                a = self.parent[a]
            else:
                b = self.parent[b]
        return a

    # --- which node is in which box -----------------------------------------------------------------------------------

    def _fill_boxes(self, limit: int) -> bool:
        graph, home, closed, group = self.graph, self.regions.home, self._closed, self.group
        regions, units = self.regions.tree, self.units
        details, places, uses, values = self._detail, self._place, graph.uses, graph.values
        numbers: dict[Key, int] = {}
        whole = [-1] * len(regions)  # of each closed call: the box of all in it, once it has one
        self._box = box = [-1] * len(graph)  # of each unit
        self._thing = thing = list(units.of)  # of each unit: what it is part of, in an idiom that is folded as a whole
        self._scores: dict[int, tuple[int, ...]] = {}  # of each open softmax: the boxes of what it is computed from
        sources_of: dict[int, set[int]] = {}  # of each closed idiom: the boxes it is computed from

        for node in units.sorted:
            if not graph.inputs[node]:
                place = places.get(node, 0)
                inner, detail = closed[place], details[place]
                if uses[node] == 1 and values[node].op is CONSTANT and (detail.chains or inner >= 0):
                    continue  # it stands in a formula, and its box is that of the formula
            else:
                place = home[node]
                inner, detail = closed[place], details[place]
            if inner >= 0 and regions[inner].call is not None:
                if whole[inner] < 0:
                    whole[inner] = numbers.setdefault(("call", group[inner]), len(numbers))
                box[node] = whole[inner]
                continue
            if not graph.inputs[node]:
                key = self._leaf_key(node, place)
            elif inner < 0:
                key = self._operation_key(node) if detail.alike else ("node", node)
            else:
                anchor = thing[node] = regions[inner].anchor
                sources = sources_of.setdefault(inner, set())
                for x in units.inputs[node]:
                    if box[x] >= 0 and thing[x] != anchor:
                        sources.add(self._source(x, place) if self.rows else box[x])
                if node < anchor:
                    continue  # nothing outside needs its box before that of the anchor is known
                if node > anchor:
                    box[node] = box[anchor]
                    continue
                kind = regions[inner].kind
                key = (kind, group[inner], tuple(sorted(sources))) if details[inner].alike else (kind, inner)
            number = box[node] = numbers.setdefault(key, len(numbers))
            if number > limit:
                return False
        for node in reversed(units.sorted):
            if box[node] < 0 and thing[node] != node:
                box[node] = box[thing[node]]
            for x in units.inputs[node]:
                if box[x] < 0 and thing[x] == x:
                    box[x], thing[x] = box[node], thing[node]
        self.keys = list(numbers)
        self._separate_few()
        return len(self.keys) <= limit

    @cached_property
    def box(self) -> list[int]:
        """Return the number of the box of each node."""
        box = self._box
        return [box[unit] for unit in self.units.of]

    @cached_property
    def unit(self) -> list[int]:
        """Return for each node the thing it is part of, known by one of its nodes: an idiom that is folded as a whole,
        or the node alone.
        """
        thing = self._thing
        return [thing[unit] for unit in self.units.of]

    def place(self, leaf: int) -> int:
        """Return the group a leaf belongs to: the innermost one that contains all of its users."""
        return self._place.get(leaf, 0)

    def closed(self, node: int) -> int:
        """Return the region that is folded as a whole and contains this computed node; −1 if there is none."""
        return self._closed[self.regions.home[node]]

    def _leaf_key(self, node: int, place: int) -> Key:
        name = self.graph.names.get(node, "")
        table, bracket, _ = name.partition("[")
        detail = self._detail[place]
        if detail.chains and bracket:
            return ("table", place, self._table(table))
        if detail.alike:
            constant = self.graph.values[node].op is CONSTANT
            return ("leaves", place, re.sub(r"\d+$", "*", name), constant)
        return ("node", node)

    def _table(self, name: str) -> str:
        """The name of a parameter, with ``*`` where modules are alike."""
        if not self.pattern:
            return name
        found = self._tables.get(name)
        if found is None:
            found = name
            for pattern in self.pattern.values():
                found = re.sub(f"^{re.escape(pattern)}".replace(r"\*", r"\d+"), pattern, found)
            self._tables[name] = found
        return found

    def _operation_key(self, node: int) -> Key:
        op = self.graph.values[node].op
        assert op is not None
        place = self.group[self.regions.home[node]]
        inside = self.regions.home[node]
        sources = [self._source(x, inside) for x in self.units.inputs[node]]  # −1 for a number in the formula
        # A product is the shortest dot product, and an addition the shortest sum: the first position of a sequence has
        # these where other positions have longer ones.
        if op is MUL and -1 not in sources:
            return ("dot", place, tuple(sorted(set(sources))))
        if op is ADD and -1 not in sources:
            return ("sum", place, tuple(sorted(set(sources))))
        home = self.regions.home[node]
        if self.regions.tree[home].kind in SOFTMAXES:
            # By its role in the pattern: the softmax of a single score divides a power by itself, not by a sum.
            scores = self._scores.setdefault(home, tuple(sorted(set(sources))))
            shifts = self.graph.values[self.graph.inputs[node][-1]].op is DETACH
            return ("alike", place, scores, op.name, shifts)
        return ("alike", place, tuple(sources if op.arity else sorted(set(sources))), op.name)

    def _separate_few(self) -> None:
        """Give each thing its own box if only a few are alike, and number boxes by their first node."""
        box, thing, order = self._box, self._thing, self.units.order
        things = Counter(box[unit] for unit in order if thing[unit] == unit)
        few = [
            key[0] not in ("node", "call", "table") and things[number] < self._least(key[1])
            for number, key in enumerate(self.keys)
        ]
        renumbered: dict[int | tuple[int, int], int] = {}
        keys: list[Key] = []
        self.first: list[int] = []
        for unit in order:
            number = box[unit]
            one = (number, thing[unit]) if few[number] else number
            if one not in renumbered:
                renumbered[one] = len(keys)
                keys.append(self.keys[number])
                self.first.append(unit)
            box[unit] = renumbered[one]
        self.keys = keys

    def _least(self, group: int) -> int:
        """Return how many alike things make one box in this group; any number if the group stands for several calls."""
        return 1 if self.calls_in[group] > 1 else self._detail[group].alike

    # --- what feeds what ----------------------------------------------------------------------------------------------

    @cached_property
    def arrows(self) -> list[tuple[int, int]]:
        """Return which box feeds which other box, in a fixed order."""
        at = self._box.__getitem__
        sources, targets = self.units.arrows
        if self.rows:
            pairs = {(at(x), at(unit)) for x, unit in zip(sources, targets, strict=True) if not self.hands_on(x, unit)}
        else:
            pairs = set(zip(map(at, sources), map(at, targets), strict=True))
        return sorted((a, b) for a, b in pairs if a != b)

    @cached_property
    def repeating(self) -> set[int]:
        """Return the groups of closed calls that feed each other in one box."""
        closed, tree, group = self._closed, self.regions.tree, self.group
        pairs = {(closed[a], closed[b]) for a, b in self.regions.crossings}
        return {
            group[a] for a, b in pairs
            if a != b and min(a, b) >= 0 and tree[a].call and tree[b].call and group[a] == group[b]
        }  # fmt: skip

    def order(self) -> list[int]:
        """Order the boxes, inputs first, otherwise by first node; in a cycle, which only unusual modules make, by
        number."""
        arrows = self.arrows
        missing = Counter(b for _, b in arrows)
        after = _neighbors(arrows)
        ready = [number for number in range(len(self.keys)) if not missing[number]]
        order = []
        while ready:
            a = heapq.heappop(ready)
            order.append(a)
            for b in after.get(a, ()):
                missing[b] -= 1
                if not missing[b]:
                    heapq.heappush(ready, b)
        return order + [number for number in range(len(self.keys)) if missing[number] > 0]

    def _in_a_circle(self) -> frozenset[int]:
        """Find calls that must not be merged because their boxes would feed each other in a cycle."""
        arrows = self.arrows
        suspects = _without_ends(_without_ends(set(range(len(self.keys))), arrows), [(b, a) for a, b in arrows])
        apart: set[int] = set()
        regions, home, group = self.regions.tree, self.regions.home, self.group
        if suspects:
            for node in self.units.order:
                if self._box[node] in suspects and self.graph.inputs[node]:
                    call = self.regions.call_of[home[node]]
                    while call and call not in apart:
                        if self.calls_in[group[call]] > 1:
                            apart.add(call)
                        call = regions[call].parent
        return frozenset(apart)


def _neighbors(arrows: list[tuple[int, int]]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for a, b in arrows:
        found.setdefault(a, []).append(b)
    return found


def _without_ends(nodes: set[int], arrows: list[tuple[int, int]]) -> set[int]:
    """Return what remains after repeatedly removing nodes that nothing in ``nodes`` points at."""
    arrows = [(a, b) for a, b in arrows if a in nodes and b in nodes]
    pointed_at = Counter(b for _, b in arrows)
    after = _neighbors(arrows)
    ready = [node for node in nodes if not pointed_at[node]]
    left = set(nodes)
    while ready:
        a = ready.pop()
        left.discard(a)
        for b in after.get(a, ()):
            pointed_at[b] -= 1
            if not pointed_at[b]:
                ready.append(b)
    return left
