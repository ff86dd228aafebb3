"""Where boxes, frames and lines go: layers in the direction of the data, in nested frames, without any program.

Inputs come first, and a box follows everything it is computed from. A line passes through layers in a lane of its own,
so no line goes through a box or a frame. Boxes of a layer keep the order of the program unless another one has fewer
crossings, and what is computed from what stays on a straight line where there is room.

A frame is laid out like a picture of its own and then treated as one box. Lines enter and leave it by doors, one per
box that they come from, so lines from different boxes never merge.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean
from typing import Any

from .order import Way, planned

Point = tuple[float, float]

LANE = 6.0  # points: the room of a line that passes a layer
STUB = 10.0  # the straight piece of a line at a box, for its arrowhead
SPACE = 16.0  # between boxes of a layer
TURN = 24.0  # points: the room of a line that leads back, as in a cycle
GAP = 28.0  # between layers
PAD = 10.0  # inside of a frame
STEEP = 0.13  # layers are farther apart, as a share of how far a line between them climbs, up to STEEPEST points
STEEPEST = 150.0


@dataclass(eq=False)
class Thing:
    """A box or a frame.

    Attributes:
        width, height: its size; that of a frame is computed, and these are the size of its title.
        frame: the frame it is in.
        is_frame: whether it is one.
        x, y: the upper left corner, once it is placed.
    """

    width: float
    height: float
    frame: Thing | None = None
    is_frame: bool = False
    x: float = 0.0
    y: float = 0.0


@dataclass(eq=False)
class Line:
    """A piece of a line: from a box or the border of a frame to the next one.

    Attributes:
        edges: the numbers of the edges that it stands for.
        points: corners of the path, in pairs: straight within a layer, curved between two.
        first, last: whether it begins and ends at a box.
        enters, leaves: whether it begins at a door of the frame that it is in, and ends at one.
    """

    edges: list[int]
    points: list[Point]
    first: bool
    last: bool
    enters: bool = False
    leaves: bool = False


@dataclass
class Layout:
    """The size of the picture, its lines, and how often they cross; boxes and frames know their places."""

    width: float
    height: float
    lines: list[Line]
    crossings: int = 0


@dataclass(eq=False)
class _Item:
    """A box, frame or door in the frame around it: its size along the flow and across."""

    thing: Thing | None
    rank: float
    main: float = 0.0
    cross: float = 2.0
    door: str = ""  # "in" or "out"
    doors: dict[tuple[int, str], float] = field(default_factory=dict)  # of a frame: how far each is from its middle
    m: float = 0.0
    c: float = 0.0
    cell: Any = None


@dataclass(eq=False)
class _Cell:
    item: _Item | None
    size: float
    layer: int
    before: list[_Joint] = field(default_factory=list)
    after: list[_Joint] = field(default_factory=list)
    c: float = 0.0
    offset: float = 0.0


@dataclass(eq=False, slots=True)
class _Joint:
    """A line between cells of neighboring layers, and where it is attached to them, from their middles.

    Lines from one box share it as long as they go the same way.
    """

    a: _Cell
    b: _Cell
    weight: float
    arrows: list[_Arrow] = field(default_factory=list)
    out: float = 0.0
    into: float = 0.0


@dataclass(eq=False)
class _Arrow:
    """A piece of a line in one frame."""

    a: _Item
    b: _Item
    source: int  # the box that the line comes from
    edges: list[int]
    first: bool
    last: bool
    room: float = 0.0  # for the words on it, along the flow
    joints: list[_Joint] = field(default_factory=list)


@dataclass(eq=False)
class _Inside:
    """What is in a frame."""

    items: dict[Any, _Item] = field(default_factory=dict)
    arrows: dict[Any, _Arrow] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    crossings: int = 0
    shift: Point = (0.0, 0.0)


def arrange(
    boxes: Sequence[Thing],
    edges: Sequence[tuple[int, int]],
    room: Sequence[float] = (),
    *,
    across: bool = True,
    tight: float = 1.0,
) -> Layout:
    """Place boxes and their frames.

    Args:
        boxes: in an order in which siblings should appear.
        edges: pairs of box numbers.
        room: how much room the words on each edge need along the flow.
        across: from left to right; otherwise down.
        tight: a share of the usual room between boxes.
    """
    inside: dict[Thing | None, _Inside] = {None: _Inside()}
    for number, box in enumerate(boxes):
        thing: Thing = box
        while True:
            new = thing.frame not in inside
            around = inside.setdefault(thing.frame, _Inside())
            around.items.setdefault(thing, _Item(thing, number))
            if not new or thing.frame is None:
                break
            thing = thing.frame

    def door(frame: Thing | None, source: int, way: str) -> _Item:
        rank = source + (0.0 if way == "in" else 0.5)
        return inside[frame].items.setdefault((source, way), _Item(None, rank, door=way))

    def join(frame: Thing | None, a: _Item, b: _Item, edge: int, first: bool, last: bool) -> None:
        source = edges[edge][0]
        arrow = inside[frame].arrows.setdefault(
            (a, b, source, edge if last else -1), _Arrow(a, b, source, [], first, last)
        )
        arrow.edges.append(edge)
        if last and room:
            arrow.room = room[edge]

    for number, (a, b) in enumerate(edges):
        ups, downs = _around(boxes[a]), _around(boxes[b])
        shared = next(frame for frame in ups if frame in downs)
        thing, first = boxes[a], True
        for frame in ups[: ups.index(shared)]:
            join(frame, inside[frame].items[thing], door(frame, a, "out"), number, first, False)
            assert frame is not None
            thing, first = frame, False
        way = [boxes[b], *[frame for frame in downs[: downs.index(shared)] if frame is not None]]
        for inner, frame in pairwise(way):
            join(frame, door(frame, a, "in"), inside[frame].items[inner], number, False, inner is boxes[b])
        join(shared, inside[shared].items[thing], inside[shared].items[way[-1]], number, first, len(way) == 1)

    def measure(frame: Thing | None) -> Point:
        here = inside[frame]
        for key, item in here.items.items():
            if item.thing is None:
                continue
            if item.thing.is_frame:
                item.thing.width, item.thing.height = measure(item.thing)
                within = inside[item.thing]
                dx, dy = within.shift
                middle = (item.thing.height if across else item.thing.width) / 2
                item.doors = {
                    key: inner.c + (dy if across else dx) - middle for key, inner in within.items.items() if inner.door
                }
            size = (item.thing.width, item.thing.height)
            item.main, item.cross = size if across else size[::-1]
        main, cross, here.lines, here.crossings = _layered([*here.items.values()], [*here.arrows.values()], tight)
        w, h = (main, cross) if across else (cross, main)
        if frame is None:
            return w, h
        title = (frame.width, frame.height)
        width = max(w, title[0]) + 2 * PAD
        here.shift = ((width - w) / 2, title[1] + PAD / 2)
        return width, h + title[1] + 1.5 * PAD

    lines: list[Line] = []

    def settle(frame: Thing | None, x: float, y: float) -> None:
        here = inside[frame]
        x0, y0 = x + here.shift[0], y + here.shift[1]
        for item in here.items.values():
            if item.thing is not None:
                mx, my = (item.m, item.c) if across else (item.c, item.m)
                item.thing.x, item.thing.y = x0 + mx - item.thing.width / 2, y0 + my - item.thing.height / 2
                if item.thing.is_frame:
                    settle(item.thing, item.thing.x, item.thing.y)
        for line in here.lines:
            line.points = [(x0 + m, y0 + c) if across else (x0 + c, y0 + m) for m, c in line.points]
            if frame is not None:  # from and to its border
                start, end = (x, x + frame.width) if across else (y, y + frame.height)
                if line.enters:
                    line.points[0] = (start, line.points[0][1]) if across else (line.points[0][0], start)
                if line.leaves:
                    line.points[-1] = (end, line.points[-1][1]) if across else (line.points[-1][0], end)
            lines.append(line)

    width, height = measure(None)
    settle(None, 0.0, 0.0)
    return Layout(width, height, lines, sum(here.crossings for here in inside.values()))


def _around(box: Thing) -> list[Thing | None]:
    """The frames around a box, the innermost first; None is the picture."""
    found: list[Thing | None] = [box.frame]
    while found[-1] is not None:
        found.append(found[-1].frame)
    return found


# --- one frame --------------------------------------------------------------------------------------------------------


def _layered(items: list[_Item], arrows: list[_Arrow], tight: float) -> tuple[float, float, list[Line], int]:
    """Place the items of one frame; returns the size along the flow and across, the lines, and how often they cross."""
    order = _sorted(items, arrows)
    turn = {item: i for i, item in enumerate(order)}
    back = [arrow for arrow in arrows if turn[arrow.a] > turn[arrow.b]]  # in a cycle
    arrows = [arrow for arrow in arrows if turn[arrow.a] <= turn[arrow.b]]
    layers, crossings = _cells(order, items, arrows)
    cells = [cell for row in layers for cell in row]
    layer = {item: item.cell.layer for item in items}
    last = len(layers) - 1
    space = tight * SPACE
    _align(layers, space)
    low = min((cell.c - cell.size / 2 for cell in cells), default=0.0) - TURN * len(back)
    high = max((cell.c + cell.size / 2 for cell in cells), default=0.0)
    for cell in cells:
        cell.c -= low
        if cell.item is not None:
            cell.item.c = cell.c
    joints = list(dict.fromkeys(joint for arrow in arrows for joint in arrow.joints))
    _attach(joints)
    _straighten(layers, space)
    gaps = [tight * GAP] * len(layers)
    for arrow in arrows:
        end = arrow.joints[-1].a.layer
        gaps[end] = max(gaps[end], arrow.room)
    for joint in joints:
        climb = abs(joint.a.c + joint.out - joint.b.c - joint.into)
        gaps[joint.a.layer] = max(gaps[joint.a.layer], tight * min(STEEPEST, STEEP * climb))
    starts, stops, main = [], [], TURN if back else 0.0
    for number, row in enumerate(layers):
        starts.append(main)
        main += max((cell.item.main for cell in row if cell.item is not None), default=0.0)
        stops.append(main)
        main += gaps[number] if number < last else 0.0
    for item in items:
        at = layer[item]
        if item.door:
            item.m = main if item.door == "out" else 0.0
        elif not item.cell.before and not item.door and item.cell.after:  # near what it feeds
            item.m = stops[at] - item.main / 2
        elif item.cell.before and not item.cell.after:
            item.m = starts[at] + item.main / 2
        else:
            item.m = (starts[at] + stops[at]) / 2
    lines: dict[tuple[_Joint, ...], Line] = {}
    for arrow in arrows:
        runs: list[list[_Joint]] = []
        for joint in arrow.joints:
            if runs and len(runs[-1][-1].arrows) == len(joint.arrows) == 1:
                runs[-1].append(joint)
            else:
                runs.append([joint])
        for run in runs:
            line = lines.get(tuple(run))
            if line is not None:
                line.edges += arrow.edges
                continue
            points: list[Point] = []
            for joint in run:
                points += _points(joint, starts, stops, not points)
            a, b = run[0].a, run[-1].b
            lines[tuple(run)] = Line(
                list(arrow.edges), points,
                arrow.first and a.item is arrow.a, arrow.last and b.item is arrow.b,
                a.item is not None and bool(a.item.door), b.item is not None and bool(b.item.door),
            )  # fmt: skip
    if back:
        main += TURN
    turned = [_turned(arrow, starts[layer[arrow.b]], stops[layer[arrow.a]], k) for k, arrow in enumerate(back)]
    return main, high - low, [*lines.values(), *turned], crossings


def _turned(arrow: _Arrow, start: float, stop: float, number: int) -> Line:
    """A line against the flow: on, round, back above everything, and round again."""
    a, b, top = arrow.a, arrow.b, TURN * (number + 0.5)
    out = a.c + a.doors.get((arrow.source, "out"), -0.42 * a.cross)
    into = b.c + b.doors.get((arrow.source, "in"), -0.42 * b.cross)
    points = [
        (a.m + a.main / 2, out), (stop, out), (stop + TURN * 0.7, top), (start - TURN * 0.7, top), (start, into),
        (b.m - b.main / 2, into),
    ]  # fmt: skip
    return Line(list(arrow.edges), points, arrow.first, arrow.last, bool(a.door), bool(b.door))


def _points(joint: _Joint, starts: list[float], stops: list[float], begins: bool) -> list[Point]:
    """Corners from one layer to the next, including the way through the layer where it begins and where it ends."""
    a, b = joint.a, joint.b
    out, into = a.c + joint.out, b.c + joint.into
    leaves, arrives = stops[a.layer], starts[b.layer]
    stub = min(STUB, (arrives - leaves) / 4)  # the same for all lines between two layers: otherwise some would cross
    points = [(leaves + stub, out), (arrives - stub, into)]
    if begins:
        points.insert(0, (leaves if a.item is None else a.item.m + a.item.main / 2, out))
    points.append((stops[b.layer] if b.item is None else b.item.m - b.item.main / 2, into))
    return points


def _sorted(items: list[_Item], arrows: list[_Arrow]) -> list[_Item]:
    """Inputs first; in a cycle, by rank."""
    missing = dict.fromkeys(items, 0)
    feeds: dict[_Item, list[_Item]] = {}
    for arrow in arrows:
        missing[arrow.b] += 1
        feeds.setdefault(arrow.a, []).append(arrow.b)
    by_rank = sorted(items, key=lambda item: item.rank, reverse=True)
    ready = [item for item in by_rank if not missing[item]]
    order: list[_Item] = []
    done: set[_Item] = set()
    while len(order) < len(items):
        item = ready.pop() if ready else next(item for item in reversed(by_rank) if item not in done)
        if item in done:
            continue
        done.add(item)
        order.append(item)
        for after in feeds.get(item, ()):
            missing[after] -= 1
            if not missing[after] and after not in done:
                insort(ready, after, key=lambda item: -item.rank)
    return order


def _cells(order: list[_Item], items: list[_Item], arrows: list[_Arrow]) -> tuple[list[list[_Cell]], int]:
    """Give each item its cell, each arrow its lanes and joints; returns the cells of each layer in order, and how often
    lines cross.
    """
    number = {item: i for i, item in enumerate(items)}
    doors: dict[_Item, dict[tuple[int, str], int]] = {}
    for item in items:
        doors[item] = {key: i for i, key in enumerate(sorted(item.doors, key=item.doors.__getitem__))}
    ways = tuple(
        Way(
            number[arrow.a], number[arrow.b], arrow.source,
            doors[arrow.a].get((arrow.source, "out"), 0), doors[arrow.b].get((arrow.source, "in"), 0),
        )
        for arrow in arrows
    )  # fmt: skip
    plan = planned(
        tuple(number[item] for item in order),
        tuple(item.rank for item in items),
        tuple(item.door for item in items),
        ways,
    )
    cells = [_Cell(item, item.cross, at) for item, at in zip(items, plan.layer, strict=False)]
    for item, cell in zip(items, cells, strict=True):
        item.cell = cell
    cells += [_Cell(None, LANE, at) for at in plan.layer[len(items) :]]
    _join(arrows, [[cells[i] for i in route] for route in plan.routes])
    return [[cells[i] for i in row] for row in plan.rows], plan.crossings


def _join(arrows: list[_Arrow], routes: list[list[_Cell]]) -> None:
    """Lead each arrow from cell to cell."""
    depth: dict[_Item, int] = {}
    deepest: dict[_Item, list[_Item]] = {}
    for arrow in sorted(arrows, key=lambda arrow: arrow.a.cell.layer):
        depth[arrow.b] = max(depth.get(arrow.b, 0), depth.get(arrow.a, 0) + 1)
    for arrow in arrows:
        a, b = arrow.a, arrow.b
        found = deepest.setdefault(b, [a])
        if depth.get(a, 0) > depth.get(found[0], 0):
            deepest[b] = [a]
        elif depth.get(a, 0) == depth.get(found[0], 0) and a is not found[0]:
            found.append(a)
    shared: dict[tuple[_Cell, _Cell, int], _Joint] = {}
    for arrow, route in zip(arrows, routes, strict=True):
        a, b, key = arrow.a, arrow.b, arrow.source
        spine = 8.0 if deepest[b] == [a] and depth.get(a, 0) else 2.0 if depth.get(a, 0) else 0.1
        for before, after in pairwise(route):
            joint = shared.get((before, after, key)) if after.item is None else None
            if joint is None:
                weight = spine * (4.0 if before.item is None and after.item is None else 1.0)
                joint = shared[before, after, key] = _Joint(before, after, weight)
                if before.item is not None:
                    joint.out = before.item.doors.get((key, "out"), 0.0)
                if after.item is not None:
                    joint.into = after.item.doors.get((key, "in"), 0.0)
                before.after.append(joint)
                after.before.append(joint)
            joint.arrows.append(arrow)
            arrow.joints.append(joint)


# --- the middles of cells ---------------------------------------------------------------------------------------------


def _align(layers: list[list[_Cell]], space: float) -> None:
    """Move cells to the lines that they belong to, in their order and without overlap."""
    for row in layers:
        at = 0.0
        for cell in row:
            cell.c = at + cell.size / 2
            at += cell.size + space
        for cell in row:  # around the same middle
            cell.c -= at / 2
    for sweep in range(16):
        down = sweep % 2 == 0
        for row in layers if down else reversed(layers):
            wishes = []
            for cell in row:
                near = [*cell.before, *cell.after] if sweep >= 6 else cell.before if down else cell.after
                total = sum(j.weight for j in near)
                if total:
                    at = sum(
                        j.weight * (j.a.c + j.out - j.into if j.b is cell else j.b.c + j.into - j.out) for j in near
                    )
                    wishes.append((at / total, total))
                else:
                    wishes.append((cell.c, 0.1))
            _settle(row, wishes, space)


def _settle(row: list[_Cell], wishes: list[tuple[float, float]], space: float) -> None:
    """Middles as near as possible to the wished ones, in this order and without overlap: neighbors that would overlap
    move as one, to the mean of their wishes (isotonic regression).
    """
    blocks: list[list[Any]] = []  # sum of weighted wishes, weight, cells
    offset = 0.0
    for i, (cell, (wish, weight)) in enumerate(zip(row, wishes, strict=True)):
        if i:
            before = row[i - 1]
            lanes = before.item is None and cell.item is None
            offset += before.size / 2 + (space / 2 if lanes else space) + cell.size / 2
        cell.offset = offset
        blocks.append([(wish - offset) * weight, weight, [cell]])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] >= blocks[-1][0] / blocks[-1][1]:
            total, more, cells = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += more
            blocks[-1][2] += cells
    for total, weight, cells in blocks:
        for cell in cells:
            cell.c = total / weight + cell.offset


def _straighten(layers: list[list[_Cell]], space: float) -> None:
    """Take the needless bends out of lines that pass several layers: each stays at one height as long as it can."""
    low = min((cell.c - cell.size / 2 for row in layers for cell in row), default=0.0)
    high = max((cell.c + cell.size / 2 for row in layers for cell in row), default=0.0)

    def free(cell: _Cell) -> tuple[float, float]:
        """From where to where a lane can move between its neighbors."""
        row = layers[cell.layer]
        i, ends = row.index(cell), [low + cell.size / 2, high - cell.size / 2]
        for k, sign in ((0, 1), (1, -1)):
            if 0 <= i - sign < len(row):
                other = row[i - sign]
                apart = space / 2 if other.item is None else space
                ends[k] = other.c + sign * ((other.size + cell.size) / 2 + apart)
        return min(ends[0], cell.c), max(ends[1], cell.c)

    for lane in [cell for row in layers for cell in row if cell.item is None and cell.before[0].a.item is not None]:
        run = [lane]
        while len(run[-1].after) == 1 and run[-1].after[0].b.item is None:
            run.append(run[-1].after[0].b)
        comes, goes = lane.before[0], run[-1].after[0]
        wishes = [comes.a.c + comes.out, goes.b.c + goes.into]
        while run:
            (first, last), count = free(run[0]), 1
            for cell in run[1:]:
                up, down = free(cell)
                if max(first, up) > min(last, down):
                    break
                first, last, count = max(first, up), min(last, down), count + 1
            wish = next((at for at in wishes if first <= at <= last), fmean(cell.c for cell in run[:count]))
            for cell in run[:count]:
                cell.c = min(max(wish, first), last)
            wishes.insert(0, run[count - 1].c)
            run = run[count:]


def _attach(joints: list[_Joint]) -> None:
    """Spread the lines at a side of a box along it, in the order of where they go; those of a frame have doors."""
    sides: dict[tuple[_Item, bool], list[tuple[float, int, _Joint]]] = {}
    for i, joint in enumerate(joints):
        for cell, other, out in ((joint.a, joint.b.c + joint.into, True), (joint.b, joint.a.c + joint.out, False)):
            if cell.item is not None and cell.item.thing is not None and not cell.item.thing.is_frame:
                sides.setdefault((cell.item, out), []).append((other, i, joint))
    for (item, out), found in sides.items():
        found.sort(key=lambda entry: entry[:2])
        for k, (_, _, joint) in enumerate(found):
            at = 0.7 * item.cross * ((k + 1) / (len(found) + 1) - 0.5)
            if out:
                joint.out = at
            else:
                joint.into = at
