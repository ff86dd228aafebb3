"""Where boxes, frames and lines go: layers in the direction of the data, in nested frames, without any program.

Inputs come first, and a box follows everything it is computed from. A line passes through layers in a lane of its own,
so no line goes through a box or a frame. Boxes of a layer keep the order of the program unless another one has fewer
crossings, and what is computed from what stays on a straight line where there is room.

A frame is laid out like a picture of its own and then treated as one box. Lines enter and leave it by doors, one per
box that they come from, so lines from different boxes never merge.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean
from typing import Any

Point = tuple[float, float]

LANE = 6.0  # points: the room of a line that passes a layer
SPACE = 16.0  # between boxes of a layer
TURN = 24.0  # points: the room of a line that leads back, as in a cycle
GAP = 32.0  # between layers
PAD = 10.0  # inside of a frame
STEEP = 0.16  # layers are farther apart, as a share of how far a line between them climbs, up to STEEPEST points
STEEPEST = 150.0
SWEEPS = 12
FEW, STARTS = 120, 12  # cells of a frame, and other orders that are tried when its lines cross


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
    """The size of the picture, and its lines; boxes and frames know their places."""

    width: float
    height: float
    lines: list[Line]


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
    rank: float
    layer: int
    before: list[_Joint] = field(default_factory=list)
    after: list[_Joint] = field(default_factory=list)
    place: float = 0.0
    c: float = 0.0
    wish: float = 0.0
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
        main, cross, here.lines = _layered([*here.items.values()], [*here.arrows.values()], tight)
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
    return Layout(width, height, lines)


def _around(box: Thing) -> list[Thing | None]:
    """The frames around a box, the innermost first; None is the picture."""
    found: list[Thing | None] = [box.frame]
    while found[-1] is not None:
        found.append(found[-1].frame)
    return found


# --- one frame --------------------------------------------------------------------------------------------------------


def _layered(items: list[_Item], arrows: list[_Arrow], tight: float) -> tuple[float, float, list[Line]]:
    """Place the items of one frame; returns the size along the flow and across, and the lines."""
    order = _sorted(items, arrows)
    turn = {item: i for i, item in enumerate(order)}
    back = [arrow for arrow in arrows if turn[arrow.a] > turn[arrow.b]]  # in a cycle
    arrows = [arrow for arrow in arrows if turn[arrow.a] <= turn[arrow.b]]
    layer = _layers(order, [(arrow.a, arrow.b) for arrow in arrows])
    last = max(layer.values(), default=0)
    cells = [_Cell(item, item.cross, item.rank, layer[item]) for item in items]
    for item, cell in zip(items, cells, strict=True):
        item.cell = cell
    _join(arrows, layer, cells)
    layers: list[list[_Cell]] = [[] for _ in range(last + 1)]
    for cell in cells:
        layers[cell.layer].append(cell)
    _order(layers)
    _align(layers)
    low = min((cell.c - cell.size / 2 for cell in cells), default=0.0) - TURN * len(back)
    high = max((cell.c + cell.size / 2 for cell in cells), default=0.0)
    for cell in cells:
        cell.c -= low
        if cell.item is not None:
            cell.item.c = cell.c
    joints = list(dict.fromkeys(joint for arrow in arrows for joint in arrow.joints))
    _attach(joints)
    _straighten(layers)
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
        item.m = main if item.door == "out" else 0.0 if item.door else (starts[at] + stops[at]) / 2
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
    return main, high - low, [*lines.values(), *turned]


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
    points = [(stops[a.layer], out), (starts[b.layer], into)]
    if begins and a.item is not None:
        points.insert(0, (a.item.m + a.item.main / 2, out))
    points.append((stops[b.layer] if b.item is None else b.item.m - b.item.main / 2, into))
    return points if begins else points[1:]  # the last piece ended at the first point


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


def _layers(order: list[_Item], ends: Iterable[tuple[_Item, _Item]]) -> dict[_Item, int]:
    """The layer of each item: after what it is computed from, and as near as possible to what it feeds."""
    into: dict[_Item, list[_Item]] = {item: [] for item in order}
    out: dict[_Item, list[_Item]] = {item: [] for item in order}
    for a, b in ends:
        into[b].append(a)
        out[a].append(b)
    layer = dict.fromkeys(order, 0)
    for item in order:
        for before in into[item]:
            layer[item] = max(layer[item], layer[before] + 1)
    last = max((layer[item] for item in order), default=0)
    if any(item.door == "out" for item in order) and any(layer[item] == last and item.door != "out" for item in order):
        last += 1
    for item in order:
        if item.door == "out":
            layer[item] = last
    for item in reversed(order):
        if item.door or not out[item]:
            continue
        # It moves to its users if nothing gets longer: what feeds only it moves along.
        held = sum(1 for before in into[item] if into[before] or before.door or len(out[before]) > 1)
        if held <= len(out[item]):
            layer[item] = max(layer[item], min(layer[after] for after in out[item]) - 1)
    return layer


def _join(arrows: list[_Arrow], layer: dict[_Item, int], cells: list[_Cell]) -> None:
    """Give each arrow its lane in every layer between its ends."""
    ends = [(arrow.a, arrow.b) for arrow in arrows]
    depth = dict.fromkeys(layer, 0)
    deepest: dict[_Item, list[_Item]] = {}
    for a, b in sorted(ends, key=lambda pair: layer[pair[0]]):
        depth[b] = max(depth[b], depth[a] + 1)
    for a, b in ends:
        found = deepest.setdefault(b, [a])
        if depth[a] > depth[found[0]]:
            deepest[b] = [a]
        elif depth[a] == depth[found[0]] and a is not found[0]:
            found.append(a)
    lanes: dict[tuple[_Item, int, int], _Cell] = {}
    shared: dict[tuple[_Cell, _Cell, int], _Joint] = {}
    for arrow, (a, b) in zip(arrows, ends, strict=True):
        route, key = [a.cell], arrow.source
        for between in range(layer[a] + 1, layer[b]):
            lane = (a, key, between)
            if lane not in lanes:
                lanes[lane] = _Cell(None, LANE, (a.rank + b.rank) / 2, between)
                cells.append(lanes[lane])
            route.append(lanes[lane])
        route.append(b.cell)
        spine = 8.0 if deepest[b] == [a] and depth[a] else 2.0 if depth[a] else 0.1
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


# --- the order in each layer ------------------------------------------------------------------------------------------


def _order(layers: list[list[_Cell]]) -> None:
    """Sort the cells of each layer so that few lines cross; of equally good orders the first one counts."""
    best, fewest = [row[:] for row in layers], math.inf
    for number, start in enumerate(_starts(layers)):
        for row, cells in zip(layers, start, strict=True):
            row[:] = cells
            _number(row)
        for improve in (_sifted, _swept, _sifted)[number == 0 :]:
            found = improve(layers)
            if found < fewest:
                best, fewest = [row[:] for row in layers], found
        if not fewest:
            break
    for row, kept in zip(layers, best, strict=True):
        row[:] = kept
        _number(row)
    if sum(map(len, layers)) <= FEW:
        _in_program_order(layers)


def _in_program_order(layers: list[list[_Cell]]) -> None:
    """Swap siblings that are not in the order of the program, with what follows only them and what only they follow,
    where no more lines cross then.
    """
    fewest = _crossings(layers)
    for row in layers:
        for i in range(len(row)):
            for k in range(i + 1, len(row)):
                if row[i].item is None or row[k].item is None or row[i].rank <= row[k].rank:
                    continue
                pairs = [(row[i], row[k]), *_partners(row[i], row[k], "before"), *_partners(row[i], row[k], "after")]
                _swap(layers, pairs)
                found = _crossings(layers)
                if found > fewest:
                    _swap(layers, pairs)
                fewest = min(found, fewest)


def _partners(a: _Cell, b: _Cell, side: str) -> list[tuple[_Cell, _Cell]]:
    """The chains that lead to two cells of a layer, or on from them, pair by pair while they are alike."""
    found: list[tuple[_Cell, _Cell]] = []
    while True:
        joints = [cell.before if side == "before" else cell.after for cell in (a, b)]
        if [len(each) for each in joints] != [1, 1]:
            return found
        a, b = (each[0].a if side == "before" else each[0].b for each in joints)
        back = [cell.after if side == "before" else cell.before for cell in (a, b)]
        if a is b or [len(each) for each in back] != [1, 1]:
            return found
        found.append((a, b))


def _swap(layers: list[list[_Cell]], pairs: list[tuple[_Cell, _Cell]]) -> None:
    for a, b in pairs:
        row = layers[a.layer]
        i, k = row.index(a), row.index(b)
        row[i], row[k] = b, a
        _number(row)


def _starts(layers: list[list[_Cell]]) -> Iterator[list[list[_Cell]]]:
    """Orders to begin with: that of the program; for few cells also others, always the same ones."""
    ranked = [sorted(row, key=lambda cell: cell.rank) for row in layers]
    yield ranked
    if sum(map(len, layers)) > FEW:
        return
    grouped = [ranked[0]]  # what has an often used source in common stands together
    for row in ranked[1:]:
        turn = {cell: i for i, cell in enumerate(grouped[-1])}
        most = {cell: max((len(j.a.after), -turn[j.a]) for j in cell.before) if cell.before else (0, 0) for cell in row}
        grouped.append(sorted(row, key=lambda cell: (-most[cell][1], cell.rank)))
    yield grouped
    chance = random.Random(0)
    for _ in range(STARTS):
        yield [chance.sample(row, len(row)) for row in ranked]


def _swept(layers: list[list[_Cell]]) -> int:
    """Sort layer by layer by what is next to it, keep the best order, and return how often lines cross in it."""
    best, fewest = [row[:] for row in layers], _crossings(layers)
    for sweep in range(SWEEPS):
        if not fewest:
            break
        down = sweep % 2 == 0
        for row in layers if down else reversed(layers):
            for cell in row:
                near = cell.before if down else cell.after
                places = [_place(j.a, j.out) if down else _place(j.b, j.into) for j in near]
                cell.wish = sum(places) / len(places) if places else cell.place
            row.sort(key=lambda cell: (cell.wish, cell.place))
            _number(row)
        found = _crossings(layers)
        if found < fewest:
            best, fewest = [row[:] for row in layers], found
    for row, kept in zip(layers, best, strict=True):
        row[:] = kept
        _number(row)
    return fewest


def _number(row: list[_Cell]) -> None:
    for i, cell in enumerate(row):
        cell.place = i / (len(row) - 1) if len(row) > 1 else 0.5


def _place(cell: _Cell, door: float) -> float:
    """Where a line is attached, with the doors of a frame in their order."""
    return cell.place + 1e-3 * (door / cell.size if cell.size else 0.0)


def _crossings(layers: list[list[_Cell]]) -> int:
    return sum(_between(row) for row in layers[:-1])


def _between(row: list[_Cell]) -> int:
    """How many lines cross between a layer and the next."""
    ends = sorted((_place(j.a, j.out), _place(j.b, j.into)) for cell in row for j in cell.after)
    seen: list[float] = []
    count = 0
    for _, b in ends:
        count += len(seen) - bisect_right(seen, b)
        insort(seen, b)
    return count


def _sifted(layers: list[list[_Cell]]) -> int:
    """Move each cell to the place of its layer where it crosses least, while that removes crossings; returns those that
    are left.
    """
    better = sum(map(len, layers)) <= 400
    for _ in range(4):
        if not better:
            break
        better = False
        for row in layers:
            for cell in row[:]:
                change = [0]  # of crossings, by how many others come before it
                others = [other for other in row if other is not cell]
                for other in others:
                    change.append(change[-1] + _pair(other, cell) - _pair(cell, other))
                least = min(change)
                if least < change[row.index(cell)]:
                    others.insert(change.index(least), cell)
                    row[:] = others
                    _number(row)
                    better = True
    return _crossings(layers)


def _pair(a: _Cell, b: _Cell) -> int:
    """How many lines of two cells of a layer cross when ``a`` comes first."""
    count = 0
    for left, right, at in ((a.before, b.before, "before"), (a.after, b.after, "after")):
        ends = [[_place(j.a, j.out) if at == "before" else _place(j.b, j.into) for j in side] for side in (left, right)]
        count += sum(x > y for x in ends[0] for y in ends[1])
    return count


# --- the middles of cells ---------------------------------------------------------------------------------------------


def _align(layers: list[list[_Cell]]) -> None:
    """Move cells to the lines that they belong to, in their order and without overlap."""
    for row in layers:
        at = 0.0
        for cell in row:
            cell.c = at + cell.size / 2
            at += cell.size + SPACE
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
            _settle(row, wishes)


def _settle(row: list[_Cell], wishes: list[tuple[float, float]]) -> None:
    """Middles as near as possible to the wished ones, in this order and without overlap: neighbors that would overlap
    move as one, to the mean of their wishes (isotonic regression).
    """
    blocks: list[list[Any]] = []  # sum of weighted wishes, weight, cells
    offset = 0.0
    for i, (cell, (wish, weight)) in enumerate(zip(row, wishes, strict=True)):
        if i:
            before = row[i - 1]
            lanes = before.item is None and cell.item is None
            offset += before.size / 2 + (SPACE / 2 if lanes else SPACE) + cell.size / 2
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


def _straighten(layers: list[list[_Cell]]) -> None:
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
                apart = SPACE / 2 if other.item is None else SPACE
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
