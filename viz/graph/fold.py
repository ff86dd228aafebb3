"""Level of detail: turn a graph of any size into a picture with a limited number of boxes.

:class:`Folder` tries levels of detail from the finest to the coarsest (see :mod:`viz.graph.partition`), takes the first
one that fits the budget and opens modules while there is room; if none fits, it keeps what is near the result and folds
the rest into one last box. Every Value is in exactly one box, so the counts always add up, and what flows between boxes
is what the engine computed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tinygrad_edu import Value
from tinygrad_edu.ops import Op

from .annotations import Annotations
from .build import Graph
from .partition import ALIKE, Detail, Partition, Scope
from .regions import SOFTMAXES, Region, Regions
from .units import Use, flow, single


@dataclass(eq=False)
class Cluster:
    """The frame around the boxes of an open module call, or of several alike.

    Attributes:
        parent: the frame around this one.
        kind: the class of the module.
        path: the module's path in the outermost one; ``*`` stands for several numbers.
        count: how many calls it stands for.
        number: which of several calls of the same module, from 1; 0 when there is only one.
        repeats: whether these calls feed each other.
        shown: whether it is drawn; not if it says little, because nearly everything is in it.
        seconds: how long these calls took, if that is asked for.
    """

    parent: Cluster | None
    kind: str
    path: str
    count: int = 1
    number: int = 0
    repeats: bool = False
    shown: bool = True
    seconds: float = 0.0

    @property
    def drawn(self) -> Cluster | None:
        """The innermost frame that is drawn: this one or one around it."""
        found: Cluster | None = self
        while found is not None and not found.shown:
            found = found.parent
        return found


@dataclass(eq=False)
class Box:
    """One box of the picture.

    Attributes:
        kind: ``"node"`` for a single Value, ``"table"`` for leaves of one parameter, ``"leaves"`` for other leaves,
            ``"alike"`` for several Values of one operation, ``"call"``, ``"rest"``, or the name of an idiom.
        nodes: the nodes folded into it; a single one is drawn itself.
        cluster: the frame it is in.
        op: the operation, if there is only one.
        name: the name shown, or the path of a module.
        module: the class of a module.
        count: how many alike things it stands for.
        number: which of several calls of the same module, from 1; 0 when there is only one.
        sizes: smallest and largest size of an idiom: terms, factors, classes.
        extra: for a dot product, how many terms are not products.
        constant: the number written in the formula, if all have the same: 0.5 in ``x * 0.5``.
        shape: the shape of a table; for a call, how many numbers go into it and come out.
        parameters: of a call: the parameters folded in it, with their shapes.
        outputs: the nodes that are used outside or are results.
        root: whether one of the results is in it.
        repeats: whether the things it stands for feed each other, as the steps of a recurrent network do.
        seconds: how long the calls took, if that is asked for.
    """

    kind: str
    nodes: list[int] = field(default_factory=list)
    cluster: Cluster | None = None
    op: Op | None = None
    name: str = ""
    module: str = ""
    count: int = 1
    number: int = 0
    sizes: tuple[int, int] = (0, 0)
    extra: int = 0
    constant: float | None = None
    shape: tuple[int, ...] = ()
    parameters: dict[str, tuple[int, ...]] = field(default_factory=dict)
    outputs: list[int] = field(default_factory=list)
    root: bool = False
    repeats: bool = False
    seconds: float = 0.0

    @property
    def id(self) -> str:
        """An id, stable and unique in the picture: that of the first node in the box."""
        return f"n{self.nodes[0]}"


@dataclass(eq=False)
class Edge:
    """An edge of the picture: what one box computes from another.

    Attributes:
        source, target: the boxes.
        count: how many edges of the graph it stands for.
        operand: which operand of the target, from 0, when both ends are single Values; −1 otherwise.
        local: ∂target/∂source, when it is one edge.
        sources: the nodes of the source that are used.
        sent: what the chain rule sends back through it, for each node of the source; empty before ``backward``.
    """

    source: Box
    target: Box
    count: int = 0
    operand: int = -1
    local: float | None = None
    sources: set[int] = field(default_factory=set)
    sent: dict[int, float] = field(default_factory=dict)

    @cached_property
    def norm(self) -> float:
        """The norm √Σg² of the gradient that flows back; for a single node its absolute value."""
        return math.hypot(*self.sent.values())

    @property
    def sign(self) -> int | None:
        """+1 or −1 when everything that flows has this sign, 0 when nothing flows, None when signs are mixed."""
        signs = {(g > 0) - (g < 0) for g in self.sent.values()} - {0}
        return None if len(signs) > 1 else signs.pop() if signs else 0


@dataclass(eq=False)
class Picture:
    """Boxes and edges, ready to be styled.

    Attributes:
        graph: what is drawn.
        boxes: the boxes, inputs first.
        edges: the edges by target, in the order of operands.
        detail: the level of detail that was chosen.
        nearest: how many boxes away from the result the picture ends; None when it is complete.
        annotations: what is pointed out.
        age: warnings that the numbers do not belong together (see :mod:`viz.graph.age`).
        focus: the box of the Value around which the picture was made, if there is one.
        title: a line on top.
        digits: how many significant digits numbers have.
        hidden: how many Values are left out on request.
        look: a function that may change the face of a box, given its Values.
        said: the words of what is pointed out in each box, once they were asked for.
        faces: what :func:`viz.style.face` says about each box, once it was asked for.
        again: the edges that begin at a name instead of a line from its box, once they were asked for.
    """

    graph: Graph
    boxes: list[Box]
    edges: list[Edge]
    detail: Detail
    nearest: int | None = None
    annotations: Annotations = field(default_factory=Annotations)
    age: list[str] = field(default_factory=list)
    focus: Box | None = None
    title: str = ""
    digits: int = 4
    hidden: int = 0
    look: Callable[[list[Value], Any], object] | None = None
    said: dict[Box, list[str]] = field(default_factory=dict)
    faces: dict[Box, Any] = field(default_factory=dict)
    again: dict[Edge, int] | None = None

    @property
    def total(self) -> int:
        """The number of Values in all boxes together, which is the number of Values in the graph."""
        return sum(len(box.nodes) for box in self.boxes)

    @property
    def folded(self) -> int:
        """The number of Values that do not have a box of their own."""
        return sum(len(box.nodes) for box in self.boxes if len(box.nodes) > 1)


def details(regions: Regions) -> Iterator[Detail]:
    """List every useful level of detail for a graph, from the finest to the coarsest.

    What is alike, such as the positions of a text, is folded before modules close.
    """
    yield Detail()
    yield Detail(chains=True)
    yield Detail(chains=True, alike=ALIKE)
    if any(region.kind in SOFTMAXES for region in regions.tree):
        yield Detail(chains=True, softmaxes=True, alike=ALIKE)
    for height in range(-1, regions.height + 1):
        yield Detail(chains=True, softmaxes=True, alike=2, height=height)


class Folder:
    """Divides a graph at several levels of detail, each only once.

    Args:
        graph: what to draw.
        regions: from :func:`viz.graph.regions.find`, for the same graph.
        most: the largest number of boxes that will be asked for.
        depth: how many levels of modules are open; None for as many as fit.
        scope: where to look closely.
        times: whether to say how long the calls of modules took.
    """

    def __init__(
        self,
        graph: Graph,
        regions: Regions,
        most: int,
        *,
        depth: int | None = None,
        scope: Scope | None = None,
        times: bool = False,
    ) -> None:
        self.graph, self.regions, self.most, self.times = graph, regions, most, times
        self.scope = scope or Scope(regions)
        self.details = list(details(regions))
        if depth is not None:
            self.details = [Detail(chains=True, softmaxes=True, alike=2, depth=depth)]
        self._found: dict[tuple[Detail, frozenset[int]], Partition | None] = {}
        self._pictures: dict[Partition, Picture] = {}

    def fold(self, budget: int) -> Picture:
        """Make the finest picture with at most ``budget`` boxes."""
        for detail in self.details:
            partition = self._partition(detail)
            if partition is not None and len(partition.keys) <= budget:
                partition = self._opened(partition, budget)
                if partition not in self._pictures:
                    self._pictures[partition] = _picture(partition, None, None, self.times)
                return self._pictures[partition]
        # Nothing fits, so distance from the result decides, at the coarsest detail.
        partition = Partition(self.graph, self.regions, self.details[-1], None, self.scope)
        distance = _distances(partition)
        limit = sorted(distance)[budget - 1]  # at this distance the box for the rest would be one too many
        shown = {number for number, d in enumerate(distance) if d < limit}
        if not shown:  # more results than boxes: show as many as there is room for
            shown = set(range(len(distance) - budget + 1, len(distance)))
        return _picture(partition, shown, limit - 1, self.times)

    def _partition(self, detail: Detail, opened: frozenset[int] = frozenset()) -> Partition | None:
        key = (detail, opened)
        if key not in self._found:
            scope = self.scope.with_open(opened) if opened else self.scope
            made = Partition(self.graph, self.regions, detail, self.most, scope)
            self._found[key] = None if made.too_many else made
        return self._found[key]

    def _opened(self, partition: Partition, budget: int) -> Partition:
        """Open the largest closed modules while there is room for what is in them."""
        if partition.detail.height < 0:
            return partition
        opened: frozenset[int] = frozenset()
        tried: set[int] = set()
        for _ in range(TRIES if len(self.graph) < LARGE else 1):
            room = budget - len(partition.keys)
            sizes = Counter(partition.box)
            groups = sorted(
                (-sizes[number], key[1]) for number, key in enumerate(partition.keys)
                if key[0] == "call" and key[1] not in tried and self.regions.tree[key[1]].height > 0
            )  # fmt: skip
            if room < 1 or not groups:
                return partition
            group = groups[0][1]
            tried.add(group)
            members = frozenset(r for r, g in enumerate(partition.group) if g == group and self._is_call(r))
            finer = self._partition(partition.detail, opened | members)
            if finer is not None and len(partition.keys) < len(finer.keys) <= budget:
                partition, opened = finer, opened | members
        return partition

    def _is_call(self, region: int) -> bool:
        return self.regions.tree[region].call is not None and region not in self.scope.collapsed


MOST_SHARE = 0.7  # of the boxes: a frame around more says nothing
TRIES = 6  # modules that may be opened when there is room
LARGE = 100_000  # Values: in a larger graph, each try takes too long


def fold(
    graph: Graph, regions: Regions, *, budget: int, depth: int | None = None, scope: Scope | None = None
) -> Picture:
    """Make the finest picture with at most ``budget`` boxes; see :class:`Folder`."""
    return Folder(graph, regions, budget, depth=depth, scope=scope).fold(budget)


def _distances(partition: Partition) -> list[int]:
    """Compute how far each box is from a result along the longest path, so that users of a box are nearer than the
    box."""
    distance = [0] * len(partition.keys)
    order = partition.order()
    place = {number: i for i, number in enumerate(order)}
    feeds: list[list[int]] = [[] for _ in order]
    for a, b in partition.arrows:
        if place[a] < place[b]:
            feeds[b].append(a)
    for b in reversed(order):
        for a in feeds[b]:
            distance[a] = max(distance[a], distance[b] + 1)
    return distance


# --- from a partition to boxes, frames and edges ----------------------------------------------------------------------


def _picture(partition: Partition, shown: set[int] | None, nearest: int | None, times: bool = False) -> Picture:
    graph = partition.graph
    order = [number for number in partition.order() if shown is None or number in shown]
    complete = len(order) == len(partition.keys)
    builder = _Builder(partition, times)
    boxes = {number: builder.box(number) for number in order}
    rest = Box("rest")
    every = [*boxes.values()] if complete else [rest, *boxes.values()]
    by_number = [boxes.get(number, rest) for number in range(len(partition.keys))]
    box_of = [by_number[number] for number in partition.box]
    for node, box in enumerate(box_of):
        box.nodes.append(node)
    if not any(graph.inputs[node] for node in rest.nodes):
        rest.kind = "leaves" if len(rest.nodes) > 1 else "node"  # only parameters and inputs are farther away
        complete = True
    for box in every:
        builder.finish(box)
    builder.find_parameters(box_of)
    for node in graph.roots:
        box_of[node].root = True
    found = edges(graph, box_of, partition)
    for box in every:
        builder.name(box)
    builder.hide_frames(every)
    return Picture(graph, every, found, partition.detail, None if complete else nearest)


class _Builder:
    def __init__(self, partition: Partition, times: bool) -> None:
        self.partition = partition
        self.times = times
        self.graph = partition.graph
        self.regions: list[Region] = partition.regions.tree
        self.clusters: dict[int, Cluster] = {}
        self.members: dict[int, list[int]] = {}  # the calls of each group
        rivals: dict[tuple[int, str], list[int]] = {}  # groups of calls of the same module side by side
        for number, region in enumerate(self.regions):
            if region.call is not None:
                group = partition.group[number]
                if group == number:
                    rivals.setdefault((partition.parent[number], region.call.path), []).append(number)
                self.members.setdefault(group, []).append(number)
        self.number = {g: i + 1 for gs in rivals.values() if len(gs) > 1 for i, g in enumerate(gs)}

    def cluster(self, group: int) -> Cluster | None:
        if not group:
            return None
        if group not in self.clusters:
            call = self.regions[group].call
            assert call is not None
            self.clusters[group] = Cluster(
                self.cluster(self.partition.parent[group]),
                call.kind,
                self.partition.path(group),
                self.partition.calls_in[group],
                self.number.get(group, 0),
                group in self.partition.rows,
                seconds=self._seconds(group),
            )
        return self.clusters[group]

    def _seconds(self, group: int) -> float:
        calls = [self.regions[member].call for member in self.members[group]] if self.times else []
        return sum(call.seconds for call in calls if call is not None)

    def box(self, number: int) -> Box:
        key = self.partition.keys[number]
        kind = key[0]
        if kind == "call":
            group = key[1]
            call = self.regions[group].call
            assert call is not None
            shapes = {
                (len(c.inputs), len(c.outputs)) for m in self.members[group] if (c := self.regions[m].call) is not None
            }
            return Box(
                kind,
                cluster=self.cluster(self.partition.parent[group]),
                name=self.partition.path(group),
                module=call.kind,
                count=self.partition.calls_in[group],
                number=self.number.get(group, 0),
                shape=shapes.pop() if len(shapes) == 1 else (),
                repeats=group in self.partition.repeating,
                seconds=self._seconds(group),
            )
        node = self.partition.first[number]
        partition = self.partition
        computed = self.graph.inputs[node]
        place = partition.group[partition.regions.home[node]] if computed else partition.place(node)
        return Box(kind, cluster=self.cluster(place), name=key[2] if kind in ("table", "leaves") else "")

    def hide_frames(self, boxes: list[Box]) -> None:
        """Hide the frames that say little: of one box, and those around nearly everything."""
        inside: Counter[Cluster] = Counter()
        for box in boxes:
            cluster = box.cluster
            while cluster is not None:
                inside[cluster] += 1
                cluster = cluster.parent
        for cluster, count in inside.items():
            says = cluster.repeats or cluster.count > 1
            cluster.shown = says or 1 < count <= MOST_SHARE * len(boxes)

    def finish(self, box: Box) -> None:
        """Fill in what is known only when the box has all its nodes."""
        graph, partition = self.graph, self.partition
        if box.kind in ("rest", "call"):
            return
        if box.kind == "table":
            box.shape = graph.tables[graph.names[box.nodes[0]].partition("[")[0]]
        if box.kind in ("table", "leaves"):
            box.count = len(box.nodes)
        else:
            things = [node for node in box.nodes if partition.unit[node] == node]
            numbers = [node for node in box.nodes if partition.unit[node] != node and not graph.inputs[node]]
            box.count = len(things)
            idioms = [region for node in things if (region := self._idiom(node)) is not None]
            if idioms:
                sizes = [region.size for region in idioms] + [1] * (len(things) - len(idioms))
                box.sizes = min(sizes), max(sizes)
                box.extra = max(region.extra for region in idioms)
            else:
                box.op = graph.values[things[0]].op
                box.kind = "alike" if len(things) > 1 else "node"
                constants = {graph.values[node].data for node in numbers}
                box.constant = constants.pop() if len(constants) == 1 else None
        if box.kind == "node" or len(box.nodes) == 1:
            box.kind = "node"
            box.nodes.sort(key=lambda node: partition.unit[node] != node)  # the Value itself before its constants
            box.op = graph.values[box.nodes[0]].op

    def find_parameters(self, box_of: Sequence[Box]) -> None:
        """Fill in which parameters are in the boxes of modules."""
        for node, name in self.graph.names.items():
            box = box_of[node]
            if box.kind in ("rest", "call") and not self.graph.inputs[node]:
                table = name.partition("[")[0]
                box.parameters[table] = self.graph.tables.get(table, ())

    def name(self, box: Box) -> None:
        """Name a box with one result after that result."""
        if box.kind not in ("table", "leaves", "call", "rest"):
            named = {self.graph.names.get(node, "") for node in (box.outputs or box.nodes[:1])}
            box.name = named.pop() if len(named) == 1 else ""

    def _idiom(self, node: int) -> Region | None:
        partition = self.partition
        if not self.graph.inputs[node]:
            return None
        closed = partition.closed(node)
        return self.regions[closed] if closed >= 0 and self.regions[closed].call is None else None


def edges(graph: Graph, box_of: Sequence[Box], partition: Partition | None = None) -> list[Edge]:
    """Find the edges between boxes and fill in which nodes of a box are used outside it.

    Given the ``partition`` of the boxes, what leads from one of alike modules to the next is no edge.
    """
    units = partition.units if partition is not None else single(graph)
    rows = partition if partition is not None and partition.rows else None
    shows_flow = graph.has_gradients and not graph.old  # a product of old and new numbers is no derivative
    found: dict[tuple[Box, Box, int], list[tuple[Use, int, float | None]]] = {}
    outputs = set(graph.roots)
    for bundle in units.bundles:
        source = box_of[bundle.unit]
        targets = {box_of[unit] for unit in bundle.users}
        if targets == {source}:
            continue
        if len(targets) == 1 and rows is None and source.kind != "node":
            outputs.update(bundle.users_of)
            found.setdefault((source, targets.pop(), -1), []).extend(bundle.whole)
            continue
        for x in bundle.users_of:
            apart: dict[tuple[Box, Box, int], list[Use]] = {}
            for use in bundle.uses(x):
                target = box_of[use[0]]
                if target is source:
                    continue
                outputs.add(x)
                if rows is None or not rows.hands_on(x, use[0]):
                    operand = use[1] if source.kind == target.kind == "node" else -1
                    apart.setdefault((source, target, operand), []).append(use)
            for key, uses in apart.items():
                found.setdefault(key, []).append((uses[0], len(uses), flow(graph, uses) if shows_flow else None))
    for node in sorted(outputs):
        box_of[node].outputs.append(node)
    made = [(min(parts)[0], _edge(graph, *key, sorted(parts), shows_flow)) for key, parts in found.items()]
    return [edge for _, edge in sorted(made, key=lambda entry: entry[0])]


def _edge(
    graph: Graph, source: Box, target: Box, operand: int, parts: list[tuple[Use, int, float | None]], shows_flow: bool
) -> Edge:
    edge = Edge(source, target, sum(count for _, count, _ in parts), operand)
    for (_, _, x), _, sent in parts:
        edge.sources.add(x)
        if shows_flow and sent is not None:
            edge.sent[x] = sent
    if edge.count == 1 and not graph.old and target.count == 1 and target.kind in ("node", "dot", "sum"):
        node, place, _ = parts[0][0]
        local = graph.local_derivatives(node)
        edge.local = local[place] if local else None
    return edge
