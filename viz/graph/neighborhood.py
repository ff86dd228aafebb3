"""Draw the surroundings of one Value: what it was computed from, what is computed from it, and the rest in two
boxes."""

from __future__ import annotations

from functools import reduce

from .build import Graph
from .fold import Box, Cluster, Picture, edges
from .partition import Detail
from .regions import Regions

DEPTH = 2  # steps in either direction by default


def neighborhood(graph: Graph, regions: Regions, node: int, *, budget: int, depth: int = DEPTH) -> Picture:
    """Make the picture of a node and what is near it, one box per Value.

    It shows the Values from which the node was computed in at most ``depth`` steps, those computed from it in at most
    as many, and their other inputs; only the nearest ones if there are more than ``budget`` boxes. The rest is in one
    box if it depends on the node, and in another if it does not.
    """
    shown = _near(graph, node, budget - 2, depth)
    after = _descendants(graph, node)
    frames = _Frames(regions)
    boxes: dict[int, Box] = {}
    before_box, after_box = Box("rest", name="before and elsewhere"), Box("rest", name="on the way to the result")
    box_of = []
    for i in range(len(graph)):
        if i in shown:
            name = graph.names.get(i, "")
            boxes[i] = Box("node", [i], frames.around(i), op=graph.values[i].op, name=name, count=1)
            box_of.append(boxes[i])
        else:
            rest = after_box if i in after else before_box
            rest.nodes.append(i)
            box_of.append(rest)
    for root in graph.roots:
        box_of[root].root = True
    every = [box for box in (before_box, *boxes.values(), after_box) if box.nodes]
    return Picture(graph, every, edges(graph, box_of), Detail(), focus=boxes[node])


def _near(graph: Graph, node: int, most: int, depth: int) -> set[int]:
    shown = dict.fromkeys([node])
    up = down = [node]
    for _ in range(depth):
        frontier = set(down)
        down = [user for user, inputs in enumerate(graph.inputs) if not frontier.isdisjoint(inputs)]
        up = [x for i in up for x in graph.inputs[i]]
        for i in (*up, *down):
            shown.setdefault(i)
    for user in list(shown):  # an operation can be understood when all of its inputs are shown
        if user > node:
            shown.update(dict.fromkeys(graph.inputs[user]))
    return {*list(shown)[: max(most, 1)]}


def _descendants(graph: Graph, node: int) -> set[int]:
    found = {node}
    for user in range(node + 1, len(graph)):
        if not found.isdisjoint(graph.inputs[user]):
            found.add(user)
    return found


class _Frames:
    """Frames of open modules, made when they are needed."""

    def __init__(self, regions: Regions) -> None:
        self.regions = regions
        self.made: dict[int, Cluster] = {}

    def around(self, node: int) -> Cluster | None:
        """Return the frame a node is in: that of its call; a leaf is in the innermost one that all of its users are
        in."""
        regions = self.regions
        if regions.graph.inputs[node]:
            return self.frame(regions.call_of[regions.home[node]])
        return self.frame(reduce(self._common, regions.users.get(node, (0,))))

    def frame(self, number: int) -> Cluster | None:
        region = self.regions.tree[number]
        if region.call is None:
            return None
        if number not in self.made:
            parent = self.frame(region.parent)
            self.made[number] = Cluster(parent, region.call.kind, region.call.path)
        return self.made[number]

    def _common(self, a: int, b: int) -> int:
        tree = self.regions.tree
        while a != b:
            if tree[a].depth >= tree[b].depth:
                a = tree[a].parent
            else:
                b = tree[b].parent
        return a
