"""Find the part of a program each Value belongs to: the module call it was computed in, and the idiom it is part of.

Regions form a tree. Its root is everything; below it are the recorded module calls, nested as they were called; the
smallest regions are *idioms*, patterns found in the graph itself: a dot product, a long sum, a softmax, a
cross-entropy. A drawing shows each region either open, with what is in it, or closed, as one box.

Everything here takes time linear in the number of Values and calls.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cached_property

from tinygrad_edu import Value, collector_paused, ops
from tinygrad_edu.calls import CallRecord, ModuleCall

from .build import Graph, build
from .units import Units, single

#: The kinds of region that are patterns of operations.
CHAINS = ("dot", "sum", "mean", "product", "squares")
SOFTMAXES = ("softmax", "log-softmax", "cross-entropy")


@dataclass(eq=False, slots=True)
class Region:
    """A part of the graph.

    Attributes:
        kind: ``"all"``, ``"call"``, or the name of an idiom.
        parent: the region around it, by number; −1 for the root.
        depth: the number of calls around it, itself included: 1 for an outermost call.
        height: for a call, how deeply calls that compute something are nested in it; 0 for the innermost layers.
        call: the recorded call, when it is one.
        size: for an idiom, how many terms, factors or classes it has.
        extra: for a dot product, how many terms are not products, such as a bias.
        anchor: for an idiom, the first node at which everything it is computed from is known.
    """

    kind: str
    parent: int = -1
    depth: int = 0
    height: int = 0
    call: ModuleCall | None = None
    size: int = 0
    extra: int = 0
    anchor: int = -1


@dataclass(frozen=True, eq=False)
class Regions:
    """All regions of a graph.

    Attributes:
        graph: that graph.
        tree: the regions; parents come before their children, number 0 is everything.
        home: the innermost region of each computed node; −1 for leaves, whose place depends on their users.
        users: for each leaf the calls in which it is used; 0 means outside all calls.
        given: the leaves among the inputs of each call; they do not belong to it, even if nothing else uses them.
        call_of: for each region the innermost call that contains it, or is it; 0 outside all calls.
    """

    graph: Graph
    tree: list[Region]
    home: list[int]
    users: dict[int, tuple[int, ...]]
    given: dict[int, list[int]]
    call_of: list[int]

    @cached_property
    def nodes(self) -> Units:
        """Return what stays together when nothing is folded."""
        return single(self.graph)

    @cached_property
    def units(self) -> Units:
        """Return what stays together when chains are folded: them, and numbers with the operation in whose formula
        they stand.
        """
        graph, inputs = self.graph, self.graph.inputs
        anchors = [region.anchor if region.kind in CHAINS else -1 for region in self.tree]
        into = [anchor if h >= 0 and (anchor := anchors[h]) >= 0 else node for node, h in enumerate(self.home)]
        numbers = {x for x in self.users if graph.uses[x] == 1 and graph.values[x].op is ops.CONSTANT}
        for node in [node for node, given in enumerate(inputs) if not numbers.isdisjoint(given)]:
            for x in numbers.intersection(inputs[node]):
                into[x] = into[node]
        return self.nodes.merged(into)

    @cached_property
    def layers(self) -> list[int]:
        """Return the calls in which no other call computes anything, the outermost of such calls."""
        tree = self.tree
        return [n for n, region in enumerate(tree) if region.call and not region.height and tree[region.parent].height]

    @cached_property
    def layer_units(self) -> Units:
        """Return what stays together when layers are closed: them, and the leaves of one table with the same users."""
        graph, home = self.graph, self.home
        layers = set(self.layers)
        layer = [-1] * len(self.tree)  # of each region: the layer around it
        for number, region in enumerate(self.tree):
            layer[number] = number if number in layers else layer[region.parent] if number else -1
        into = [*range(len(graph))]
        first: dict[int, int] = {}
        for unit in self.units.sorted:
            if graph.inputs[unit] and (number := layer[home[unit]]) >= 0:
                into[unit] = first.setdefault(number, unit)  # before everything that uses the layer
        given = {leaf for leaves in self.given.values() for leaf in leaves}
        tables: dict[tuple[tuple[int, ...], str], int] = {}
        for leaf, users in self.users.items():
            table, bracket, _ = graph.names.get(leaf, "").partition("[")
            if bracket and leaf not in given:
                into[leaf] = tables.setdefault((users, table), leaf)
        return self.units.merged(into)

    @cached_property
    def crossings(self) -> set[tuple[int, int]]:
        """Return which call feeds which: the innermost calls of both ends of an edge."""
        home, call_of = self.home.__getitem__, self.call_of
        sources, targets = self.units.arrows
        pairs = set(zip(map(home, sources), map(home, targets), strict=True))
        return {(call_of[a], call_of[b]) for a, b in pairs if a != b and a >= 0}

    @cached_property
    def feeding(self) -> set[tuple[int, int]]:
        """Return which call feeds which, for calls made in the same call."""
        tree = self.tree
        pairs = set()
        for a, b in self.crossings:
            while tree[a].depth > tree[b].depth:
                a = tree[a].parent
            while tree[b].depth > tree[a].depth:
                b = tree[b].parent
            while tree[a].parent != tree[b].parent:
                a, b = tree[a].parent, tree[b].parent
            if a != b:
                pairs.add((a, b))
        return pairs

    def named(self, names: Iterable[str]) -> set[int]:
        """Find the calls with these paths or classes; ``*`` stands for anything.

        Raises ValueError, with the most similar names, if a name matches no call.
        """
        calls = [(number, region.call) for number, region in enumerate(self.tree) if region.call is not None]
        found: set[int] = set()
        for name in names:
            matches = {n for n, call in calls if fnmatchcase(call.path, name) or fnmatchcase(call.kind, name)}
            if not matches:
                there = sorted({word for _, call in calls for word in (call.path, call.kind) if word})
                near = get_close_matches(name, there, 5, 0.3) or there[:5]
                cure = f"did you mean {' or '.join(near)}?" if near else "pass what record_calls() recorded as calls="
                raise ValueError(f"no module call is named {name!r}; {cure}")
            found |= matches
        return found

    @property
    def height(self) -> int:
        """Return how deeply calls are nested; 0 if none was recorded."""
        return self.tree[0].height


_Found = tuple[tuple[list[Value], object], Graph, Regions]  # the last request and its answer

_shared: ContextVar[list[_Found] | None] = ContextVar("shared", default=None)


@contextmanager
def shared() -> Iterator[None]:
    """Analyze a result only once for all drawings in the block, for a report that draws it in many ways.

    Do not compute gradients or change numbers of that result inside the block.
    """
    before = _shared.set([])
    try:
        yield
    finally:
        _shared.reset(before)


def explored(
    roots: Sequence[Value],
    calls: CallRecord | Iterable[ModuleCall] | None,
    names: Mapping[Value, str] | None = None,
) -> tuple[Graph, Regions]:
    """Return the graph of some results, and its regions; without ``names``, those in ``calls`` are used."""
    kept = _shared.get()
    for (those, record), graph, regions in kept or ():
        if record is calls and len(those) == len(roots) and all(map(operator.is_, those, roots)):
            return graph, regions
    with collector_paused():  # this makes a million small tuples, none of them garbage
        graph = build(roots, calls.names if names is None and isinstance(calls, CallRecord) else names)
        regions = find(graph, calls)
    if kept is not None:
        kept[:] = [((list(roots), calls), graph, regions)]  # only the last one is kept: it can be large
    return graph, regions


def find(graph: Graph, calls: CallRecord | Iterable[ModuleCall] | None = None) -> Regions:
    """Find the regions of a graph.

    A call contains what can be reached backward from its outputs, up to its inputs and to what belongs to an earlier
    call; the innermost of several calls wins.
    """
    outermost = calls.calls if isinstance(calls, CallRecord) else list(calls or ())
    regions = [Region("all")]
    home = [-1] * len(graph)
    _assign_calls(graph, outermost, regions, home)
    _measure(regions, home)
    for node, inputs in enumerate(graph.inputs):
        if inputs and home[node] < 0:
            home[node] = 0
    _find_softmaxes(graph, regions, home)
    _find_chains(graph, regions, home)
    call_of = [0] * len(regions)
    for number, region in enumerate(regions):
        if number:
            call_of[number] = number if region.kind == "call" else call_of[region.parent]
    return Regions(graph, regions, home, _users(graph, home, call_of), _given_leaves(graph, regions), call_of)


def _users(graph: Graph, home: list[int], call_of: list[int]) -> dict[int, tuple[int, ...]]:
    found: dict[int, list[int]] = {}
    for node, inputs in enumerate(graph.inputs):
        for x in inputs:
            if not graph.inputs[x]:
                call = call_of[home[node]]
                calls = found.setdefault(x, [call])
                if calls[-1] != call:
                    calls.append(call)
    return {leaf: tuple(calls) for leaf, calls in found.items()}


def _given_leaves(graph: Graph, regions: list[Region]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for number, region in enumerate(regions):
        if region.call is not None:
            nodes = (graph.index.get(value, -1) for value in region.call.inputs)
            leaves = [node for node in nodes if node >= 0 and not graph.inputs[node] and graph.uses[node]]
            if leaves:
                found[number] = leaves
    return found


def _assign_calls(graph: Graph, outermost: Sequence[ModuleCall], regions: list[Region], home: list[int]) -> None:
    # Regions are numbered on the way down, so that parents come first; nodes are claimed on the way up, so that the
    # innermost call gets them.
    stack: list[tuple[ModuleCall, int, bool]] = [(call, 0, False) for call in reversed(outermost)]
    while stack:
        call, number, entered = stack.pop()
        if not entered:
            parent, number = number, len(regions)
            regions.append(Region("call", parent, regions[parent].depth + 1, call=call))
            stack.append((call, number, True))
            stack += [(child, number, False) for child in reversed(call.children)]
        else:
            _take(graph, call, number, home)


def _take(graph: Graph, call: ModuleCall, number: int, home: list[int]) -> None:
    index, inputs = graph.index, graph.inputs
    given = {index[value] for value in call.inputs if value in index}
    # Before a call made inside this one there may be more work of this one: that call's inputs are starting points too.
    pending = [index[value] for value in call.outputs if value in index]
    for child in call.children:
        pending += [index[value] for value in child.inputs if value in index]
    while pending:
        node = pending.pop()
        if home[node] < 0 and inputs[node] and node not in given:
            home[node] = number
            pending += inputs[node]


def _measure(regions: list[Region], home: list[int]) -> None:
    # Calls that compute nothing, such as a dropout that drops nothing, do not count.
    busy = set(home)
    for number in range(len(regions) - 1, 0, -1):  # children before parents
        if number in busy:
            parent = regions[number].parent
            regions[parent].height = max(regions[parent].height, regions[number].height + 1)
            busy.add(parent)


def _find_softmaxes(graph: Graph, regions: list[Region], home: list[int]) -> None:
    """Recognize exp(xᵢ − max x) and what is made of it: a softmax, its logarithm, a cross-entropy.

    Each node of the pattern gets a role, in forward order, which depends only on the roles of its inputs.
    """
    role: dict[int, str] = {}
    pattern: dict[int, int] = {}  # the detached maximum at which the pattern of the node began
    members: dict[int, list[int]] = {}
    classes: dict[int, set[int]] = {}
    kinds: dict[int, str] = {}
    sub, exp, add, log, div = ops.SUB, ops.EXP, ops.ADD, ops.LOG, ops.DIV
    for node, value in enumerate(graph.values):
        op = value.op
        if op is ops.DETACH:
            (largest,) = graph.inputs[node]
            if graph.values[largest].op is ops.MAXIMUM and graph.uses[largest] == 1 and home[largest] == home[node]:
                role[node], pattern[node] = "shift", node
                members[node] = [largest, node]
                classes[node] = set(graph.inputs[largest])
            continue
        if not role or not (op is add or op is sub or op is exp or op is log or op is div):
            continue
        inputs = graph.inputs[node]
        first, last = role.get(inputs[0]), role.get(inputs[-1])
        if last is None:
            continue
        start = pattern[inputs[-1]]
        if home[node] != home[start] or (first is not None and pattern[inputs[0]] != start):
            continue
        new = None
        if op is sub and last == "shift" and inputs[0] in classes[start]:
            new = "shifted"
        elif op is exp and last == "shifted":
            new = "power"
        elif op is add and first in ("power", "sum") and last in ("power", "sum"):
            new = "sum"
        elif op is log and last in ("power", "sum"):
            new = "log-sum"
        elif op is div and first == "power" and last in ("power", "sum"):
            new = kinds[start] = "softmax"
        elif op is sub and first == "shifted" and last == "log-sum":
            new = kinds[start] = "log-softmax"
        elif op is sub and first == "log-sum" and last == "shifted":
            new = kinds[start] = "cross-entropy"
        if new:
            role[node], pattern[node] = new, start
            members[start].append(node)
    for start, nodes in members.items():
        if start in kinds:
            parent = home[start]
            size = len(classes[start])
            region = Region(kinds[start], parent, regions[parent].depth, size=size, anchor=nodes[0])
            for node in nodes:
                home[node] = len(regions)
            regions.append(region)


def _find_chains(graph: Graph, regions: list[Region], home: list[int]) -> None:
    """Recognize dot products, sums, means and products: trees of + and × whose inner results are used once.

    A product that is added is a term of the sum; a sum of n terms divided by the number n is a mean; no idiom crosses
    the border of a region.
    """
    add, mul = ops.ADD, ops.MUL
    values, uses = graph.values, graph.uses
    op_of = [value.op for value in values]
    asked_for = set(graph.roots)
    head = list(range(len(graph)))
    members: dict[int, list[int]] = {}
    divided: dict[int, int] = {}  # sums that are used only to be divided by a number
    for node in range(len(graph) - 1, -1, -1):  # from the results backward, so that a head comes before its chain
        op, start = op_of[node], head[node]
        if op is not add and (op is not mul or op_of[start] is not mul):  # a product absorbs only products
            if op is ops.DIV and op_of[graph.inputs[node][1]] is ops.CONSTANT:
                divided[graph.inputs[node][0]] = node
            continue
        for x in graph.inputs[node]:
            if (
                uses[x] == 1
                and (op_of[x] is mul or (op_of[x] is add and op is add))
                and home[x] == home[node]
                and x not in asked_for
            ):
                head[x] = start
                if start in members:
                    members[start].append(x)
                else:
                    members[start] = [start, x]
    for start in sorted(members):
        nodes = members[start]
        added = [node for node in nodes if op_of[node] is add]
        additions = len(added)
        products = len(nodes) - additions
        if additions == products == 1:
            continue  # a · b + c is as easy to read in two boxes
        terms = additions + 1 - _zeros(graph, added)
        parent = home[start]
        region = Region("product", parent, regions[parent].depth, size=products + 1, anchor=start)
        if additions:
            region.kind = "dot" if products else "sum"
            region.size = products or terms
            region.extra = max(0, terms - products) if products else 0
            squares = (graph.inputs[node] for node in nodes if op_of[node] is mul)
            if products and not region.extra and all(a == b for a, b in squares):
                region.kind = "squares"
        quotient = divided.get(start)
        if (
            quotient is not None
            and region.kind == "sum"
            and uses[start] == 1
            and start not in asked_for
            and home[quotient] == parent
            and values[quotient].inputs[1].data == region.size
        ):
            region.kind, region.anchor = "mean", quotient
            nodes.append(quotient)
        for node in nodes:
            home[node] = len(regions)
        regions.append(region)


def _zeros(graph: Graph, added: Iterable[int]) -> int:
    """How many terms of a sum are a constant 0, as in ``total = 0.0`` before a loop: they are not counted."""
    return sum(
        graph.values[x].op is ops.CONSTANT and graph.values[x].data == 0.0 for node in added for x in graph.inputs[node]
    )
