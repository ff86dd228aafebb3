"""A drawing as SVG: boxes, frames, lines and words, at the places that :mod:`viz.rendering.layout` finds.

What flows back along a line is a band below it, with its arrowhead at the box that the gradient flows to. Words on a
line have paper below them, so nothing strikes them out.
"""

from __future__ import annotations

import html
import math
import re
import textwrap
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tinygrad_edu.console import visible

from .. import style
from . import svg
from .layout import PAD, Layout, Line, Point, Thing, arrange

MARGIN = 6.0
ROWS_APART = 18.0
ROOM = 30.0  # for a line on both sides of its words
SENTENCE = 72  # characters: a longer line would make small pictures wide
_BASE = 0.36  # of the size of letters: from the middle of a line down to its baseline


@dataclass(eq=False)
class Shape:
    """A box that is ready to be placed.

    Attributes:
        id: as in the DOT text.
        width, height: in points.
        parts: its SVG, from the corner (0, 0).
        title: what it says when the pointer rests on it.
        data: attributes for scripts.
        frame: key of the frame it is in.
        again: whether another shape has this id, too, as the two ends of a line that goes on in another row have.
    """

    id: str
    width: float
    height: float
    parts: list[str]
    title: str = ""
    data: str = ""
    frame: object = None
    again: bool = False


@dataclass
class Frame:
    """A frame around boxes: what it is called, the key of the frame around it, how deep it is."""

    title: str
    around: object = None
    depth: int = 0
    tooltip: str = ""


@dataclass(eq=False)
class Wire:
    """A line from one shape to another, by number, with the words on it.

    Attributes:
        number: which line it is; pieces that several lines share know all of their numbers.
    """

    a: int
    b: int
    words: list[tuple[str, str, bool]] = field(default_factory=list)
    number: int = 0


Header = tuple[str, float, float]  # SVG, width, height
Area = tuple[float, float, float, float]  # left, top, right, bottom

#: The look of a piece of line, from the numbers of the lines that it stands for.
Looks = Callable[[Sequence[int]], style.EdgeLook]


def sheet(
    rows: Sequence[tuple[Sequence[Shape], Sequence[Wire]]],
    frames: dict[object, Frame],
    looks: Looks,
    header: Callable[[float], list[Header]],
    *,
    across: bool = True,
    turned: bool = False,
    small: int = style.SMALL_SIZE,
    tight: float = 1.0,
    draft: bool = False,
) -> str:
    """Draw rows of shapes below each other, with a header of finished lines on top.

    Args:
        rows: the shapes of each row, and its lines.
        frames: by key.
        looks: the look of pieces of lines.
        header: makes the lines above the picture from its width.
        across: from left to right; otherwise down.
        turned: the other way round: from right to left, or up.
        small: the size of words on lines.
        tight: a share of the usual room between boxes.
        draft: leave out the words on lines: only the size counts.
    """
    made = [_row(shapes, wires, frames, looks, across, turned, small, tight, draft) for shapes, wires in rows]
    above = header(max((width for width, _, _ in made), default=0.0))
    top = MARGIN + sum(height for _, _, height in above) + (8.0 if above else 0.0)
    y, parts = top, []
    for _, height, drawn in made:
        parts.append(svg.moved(MARGIN, y, drawn))
        y += height + ROWS_APART
    width = max([width for width, _, _ in made] + [w for _, w, _ in above], default=0.0) + 2 * MARGIN
    at, lines = MARGIN, []
    for line, _, height in above:
        lines.append(svg.moved(MARGIN, at, [line]))
        at += height
    return svg.document(math.ceil(width), math.ceil(y - ROWS_APART + MARGIN), [*lines, *parts])


def _row(
    shapes: Sequence[Shape],
    wires: Sequence[Wire],
    frames: dict[object, Frame],
    looks: Looks,
    across: bool,
    turned: bool,
    small: int,
    tight: float,
    draft: bool,
) -> tuple[float, float, list[str]]:
    more = [1.0] * len(wires)  # room for the words on each line, where they hid something
    best: tuple[int, _Placed, dict[int, Area]] | None = None
    for _ in range(WIDENED):
        placed = _placed(shapes, wires, frames, across, small, tight, more)
        boxes, things, sizes, layout = placed
        if turned:
            _turn(layout, [*boxes, *things.values()], across)
        titles = [_title_area(frames[key], frame) for key, frame in things.items()]
        words, hiding = ({}, []) if draft else _labels(wires, sizes, boxes, titles, layout, across)
        if best is None or len(hiding) < best[0]:
            best = len(hiding), placed, words
        if not hiding:
            break
        for edge in hiding:
            more[edge] *= 1.4
    assert best is not None
    _, (boxes, things, _, layout), words = best
    parts = [_frame(frames[key], frame) for key, frame in things.items()]  # outer frames come first
    for line in layout.lines:
        look = looks([wires[edge].number for edge in line.edges])
        parts.append(_line(line.points, look, line.first, line.last, across))
    parts += [_box(shape, box) for shape, box in zip(shapes, boxes, strict=True)]
    parts += [_halo(area, wires[edge].words, small) for edge, area in words.items()]
    return layout.width, layout.height, parts


WIDENED = 3  # times that a row is laid out while words hide something
_Placed = tuple[list[Thing], dict[object, Thing], list[Point], Layout]
_Path = tuple[Line, list[Point], Area]


def _paths(layout: Layout, across: bool) -> list[_Path]:
    found = []
    for line in layout.lines:
        samples = _samples(line.points, across)
        xs, ys = [x for x, _ in samples], [y for _, y in samples]
        found.append((line, samples, (min(xs), min(ys), max(xs), max(ys))))
    return found


def crossings(shapes: Sequence[Shape], wires: Sequence[Wire], frames: dict[object, Frame]) -> int:
    """How often lines cross."""
    return _placed(shapes, wires, frames, True, style.SMALL_SIZE, 1.0, [1.0] * len(wires))[-1].crossings


def middles(shapes: Sequence[Shape], wires: Sequence[Wire], frames: dict[object, Frame]) -> list[Point]:
    """The middle of each shape, from left to right."""
    boxes, *_ = _placed(shapes, wires, frames, True, style.SMALL_SIZE, 1.0, [1.0] * len(wires))
    return [(box.x + box.width / 2, box.y + box.height / 2) for box in boxes]


def _placed(
    shapes: Sequence[Shape],
    wires: Sequence[Wire],
    frames: dict[object, Frame],
    across: bool,
    small: int,
    tight: float,
    more: Sequence[float],
) -> _Placed:
    """Lay out shapes: their boxes, the frames by key, the sizes of the words on lines, and the lines."""
    things: dict[object, Thing] = {}

    def thing(key: object) -> Thing | None:
        if key is None:
            return None
        if key not in things:
            frame = frames[key]
            around = thing(frame.around)  # outer frames come first
            things[key] = Thing(svg.width(frame.title, style.TEXT_SIZE, bold=True), 26.0, around, is_frame=True)
        return things[key]

    boxes = [Thing(shape.width, shape.height, thing(shape.frame)) for shape in shapes]
    sizes, room = [], []
    arrive = Counter(wire.b for wire in wires if wire.words)
    for wire, larger in zip(wires, more, strict=True):
        w, h = _words_size(wire.words, small)
        here, apart = (w, shapes[wire.b].height) if across else (h, shapes[wire.b].width)
        if arrive[wire.b] > 1 and 0.7 * apart < arrive[wire.b] * (h if across else w):
            here *= 2  # the words on several lines stand side by side
        sizes.append((w, h))
        room.append(larger * here + tight * (ROOM if len(wire.words) > 1 else ROOM / 2) if wire.words else 0.0)
    return boxes, things, sizes, arrange(boxes, [(wire.a, wire.b) for wire in wires], room, across=across, tight=tight)


def _turn(layout: Layout, things: Sequence[Thing], across: bool) -> None:
    for thing in things:
        if across:
            thing.x = layout.width - thing.x - thing.width
        else:
            thing.y = layout.height - thing.y - thing.height
    for line in layout.lines:
        line.points = [(layout.width - x, y) if across else (x, layout.height - y) for x, y in line.points]


def strong(text: str) -> str:
    """The same in the colors for a projector."""
    for color, stronger in style.BEAMER.items():
        text = text.replace(color, stronger)
    return text


def fitted(drawn: str, width: float, height: float) -> str:
    """An SVG of exactly this size, with the picture in its middle."""
    found = _SIZE.search(drawn)
    assert found is not None
    w, h = float(found[1]), float(found[2])
    scale = min(width / w, height / h)
    inside = drawn[found.end() : drawn.rindex("</svg>")].partition("/>")[2]  # without its paper
    place = f"translate({(width - scale * w) / 2:.1f} {(height - scale * h) / 2:.1f}) scale({scale:.4f})"
    return svg.document(width, height, [f'<g transform="{place}">{inside}</g>'])


_SIZE = re.compile(r'viewBox="0 0 (\S+) (\S+)">')


# --- boxes and frames -------------------------------------------------------------------------------------------------


def face_shape(
    id: str,
    face: style.Face,
    root: bool,
    data: str = "",
    frame: object = None,
    *,
    small: int = style.SMALL_SIZE,
    compact: bool = False,
) -> Shape:
    """The shape of a box with a face.

    A ``compact`` one has a single number beside its name, without the word "data".
    """
    size, large = style.TEXT_SIZE, style.NAME_SIZE
    tab = svg.width(face.tab, size, bold=True) + 10 if face.tab else 0.0
    title = svg.width(face.title, large, bold=True) + 10 if face.title else 0.0
    pairs = [*face.rows, *face.gradients]
    words = max((svg.width(word, small) for word, _ in pairs), default=0.0)
    numbers = max((svg.width(number, size) for _, number in pairs), default=0.0)
    inner = [tab + title, words + numbers + 20 if pairs else 0.0]
    inner += [svg.width(words, size, bold=True) + 10 for words in face.marks]
    inner += [svg.width(words, small) + 10 for words in face.notes]
    width, y = math.ceil(max(inner)), 2.0
    rows, number = [face.rows, face.gradients], ""
    if compact and (tab or title) and not face.notes and not face.marks and _one_number(face):
        number = face.rows[0][1]
        rows = [face.gradients]
        width = max(width, math.ceil(tab + title + svg.width(number, size) + 12))
    parts = []
    if tab or title:
        if tab:
            wide = tab if title or number else width - 4
            parts.append(svg.rectangle(2, y, wide, 26, face.tab_fill))
            at, anchor = (7.0, "start") if title or number else (width / 2, "middle")
            parts.append(_text(at, y + 13, face.tab, size, bold=True, anchor=anchor))
        if title:
            at, anchor = (tab + 7, "start") if tab or pairs or face.notes else (width / 2, "middle")
            parts.append(_text(at, y + 13, face.title, large, bold=True, anchor=anchor))
        if number:
            parts.append(_text(width - 6, y + 13, number, size, anchor="end"))
        y += 28
    for words_ in face.marks:
        parts.append(_text(6, y + 11, words_, size, style.TEXT_NEGATIVE, bold=True))
        y += 23
    for words_ in face.notes:
        parts.append(_text(6, y + 9, words_, small, style.FAINT))
        y += 19
    for group in rows:
        if group and y > 2.0:
            parts.append(svg.stroke(0, y + 1, width, y + 1, style.OUTLINE, 1))
            y += 2
        for word, number in group:
            color = style.TEXT_NEGATIVE if word.startswith("old ") else style.FAINT
            parts.append(_text(6, y + 12, word, small, color))
            parts.append(_text(width - 6, y + 12, number, size, anchor="end"))
            y += 24
    height = y + 2
    thick, line = (4, style.NEGATIVE) if face.outlined else (3, style.INK) if root else (1, style.OUTLINE)
    dashes = ' stroke-dasharray="5 4"' if face.dashed else ""
    border = (
        f'<rect x="0" y="0" width="{width}" height="{height:g}" rx="3" fill="{face.fill}" stroke="{line}" '
        f'stroke-width="{thick}"{dashes}/>'
    )
    return Shape(id, width, height, [border, *parts], face.tooltip, data, frame)


def _one_number(face: style.Face) -> bool:
    return len(face.rows) == 1 and face.rows[0][0] == "data" and "…" not in face.rows[0][1]


def number_shape(id: str, number: float, frame: object = None) -> Shape:
    """A number that stands in a formula: small, without a box."""
    words = style.number(number)
    width = svg.width(words, style.SMALL_SIZE) + 8
    part = _text(width / 2, 10, words, style.SMALL_SIZE, style.FAINT, anchor="middle")
    return Shape(id, width, 20, [part], f"the number {number!r} in the formula", frame=frame)


def name_shape(name: str, frame: object = None) -> Shape:
    """A parameter that has its box elsewhere: its name, where it is used again."""
    width = svg.width(name, style.TEXT_SIZE) + 16
    return Shape("", width, 26, _name(name, width), f"{name} again", frame=frame, again=True)


def _name(name: str, width: float) -> list[str]:
    border = (
        f'<rect x="0" y="0" width="{width:.1f}" height="26" rx="13" fill="{style.LEAF}" stroke="{style.OUTLINE}" '
        'stroke-width="1" stroke-dasharray="5 4"/>'
    )
    return [border, _text(width / 2, 13, name, style.TEXT_SIZE, anchor="middle")]


def record_shape(
    id: str, cells: Sequence[str], outline: tuple[int, str], data: str, title: str, frame: object
) -> Shape:
    """A box with cells side by side, as in the well-known lecture; a cell in capitals of warning starts with a mark."""
    wide = [svg.width(cell, style.TEXT_SIZE) + 14 for cell in cells]
    width, parts, x = sum(wide), [], 0.0
    parts.append(svg.rectangle(0, 0, width, 34, style.PAPER, line=outline[1], thick=outline[0]))
    for cell, size in zip(cells, wide, strict=True):
        if x:
            parts.append(svg.stroke(x, 0, x, 34, style.INK, 1))
        warns = cell[:1] in style.MARKS or cell.startswith("old ")
        parts.append(
            _text(x + size / 2, 17, cell, style.TEXT_SIZE, style.TEXT_NEGATIVE if warns else style.INK, anchor="middle")
        )
        x += size
    return Shape(id, width, 34, parts, title, data, frame)


def circle_shape(id: str, words: str, frame: object = None, *, title: str = "", again: bool = False) -> Shape:
    """A circle with an operation, or the number of a line that goes on in another row."""
    width = max(30.0, svg.width(words, style.TEXT_SIZE, bold=True) + 16)
    parts = [
        f'<ellipse cx="{width / 2:g}" cy="15" rx="{width / 2:g}" ry="15" fill="{style.PAPER}" stroke="{style.INK}"/>',
        _text(width / 2, 15, words, style.TEXT_SIZE, bold=True, anchor="middle"),
    ]
    return Shape(id, width, 30, parts, title, frame=frame, again=again)


def _text(
    x: float,
    middle: float,
    words: str,
    size: float,
    color: str = style.INK,
    *,
    anchor: str = "start",
    bold: bool = False,
) -> str:
    return svg.text(x, middle + _BASE * size, visible(words), color, size=int(size), anchor=anchor, bold=bold)


def _box(shape: Shape, at: Thing) -> str:
    title = f"<title>{html.escape(visible(shape.title))}</title>" if shape.title else ""
    place = f'transform="translate({at.x:.1f} {at.y:.1f})"'
    name = "" if shape.again else f' id="{shape.id}"'
    return f'<g{name} class="node"{shape.data} {place}>{title}{"".join(shape.parts)}</g>'


def _title_area(frame: Frame, at: Thing) -> Area:
    return at.x + PAD, at.y + 4, at.x + PAD + svg.width(frame.title, style.TEXT_SIZE, bold=True), at.y + 26


def _frame(frame: Frame, at: Thing) -> str:
    fill = style.FRAMES[min(frame.depth, len(style.FRAMES) - 1)]
    return (
        f'<g class="cluster"><title>{html.escape(visible(frame.tooltip))}</title><rect x="{at.x:.1f}" y="{at.y:.1f}" '
        f'width="{at.width:.1f}" height="{at.height:.1f}" rx="8" fill="{fill}" stroke="{style.FRAME_LINE}"/>'
        f"{_text(at.x + PAD, at.y + 16, frame.title, style.TEXT_SIZE, bold=True)}</g>"
    )


# --- lines ------------------------------------------------------------------------------------------------------------


def path(points: Sequence[Point], across: bool) -> str:
    """A smooth path through points, straight in layers, leaving and arriving along the flow."""
    d = f"M{points[0][0]:.1f},{points[0][1]:.1f}"
    for (x1, y1), (x2, y2) in pairwise(points):
        if (y1 == y2) if across else (x1 == x2):
            d += f"L{x2:.1f},{y2:.1f}"
        elif across:
            half = (x2 - x1) / 2
            d += f"C{x1 + half:.1f},{y1:.1f} {x2 - half:.1f},{y2:.1f} {x2:.1f},{y2:.1f}"
        else:
            half = (y2 - y1) / 2
            d += f"C{x1:.1f},{y1 + half:.1f} {x2:.1f},{y2 - half:.1f} {x2:.1f},{y2:.1f}"
    return d


HEAD = 9.0  # points: the length of an arrowhead
SAME = 0.01  # points: corners as near as this are one


def _line(points: list[Point], look: style.EdgeLook, first: bool, last: bool, across: bool) -> str:
    parts = [f"<title>{html.escape(visible(look.tooltip))}</title>"]
    points = with_straight_ends(points, across)
    if look.width:
        start = HEAD + (3.0 if look.barred else 0.0) if first else 0.0
        inner = _shortened(points, start, HEAD / 2 if last else 0.0, across)
        dashes = ' stroke-dasharray="7 5"' if look.dashed else ""
        parts.append(
            f'<path d="{path(inner, across)}" fill="none" stroke="{look.color}" stroke-width="{look.width:g}"{dashes}/>'
        )
        if first:
            half = max(5.0, look.width * 0.5 + 3.5)
            parts.append(
                _dot(points[0], points[1], look.color, across)
                if look.broken
                else _head(points[0], points[1], look.color, half, look.barred, across)
            )
    if not look.dashed:  # it would fill the gaps
        ends = _shortened(points, 0.0, HEAD - 1.0, across) if last else points
        line = f'fill="none" stroke="{style.MIXED}" stroke-width="{look.thin:g}"'
        parts.append(f'<path d="{path(ends, across)}" {line}/>')
    if last:
        parts.append(_head(points[-1], points[-2], style.MIXED, 4.0, across=across))
    data = "".join(f' data-{name}="{html.escape(words)}"' for name, words in look.data.items())
    return f'<g class="edge"{data}>{"".join(parts)}</g>'


def with_straight_ends(points: list[Point], across: bool) -> list[Point]:
    """Make room for arrowheads: a box as long as its layer has no straight piece of a line before it."""
    room = HEAD + 4.0
    points = [points[0], *(point for before, point in pairwise(points) if math.dist(before, point) > SAME)]
    flow, side = (0, 1) if across else (1, 0)
    for at, to in ((0, 1), (-1, -2)):
        tip, next_ = points[at], points[to]
        if tip[side] != next_[side]:
            stub = _along(tip, next_, min(room, abs(tip[flow] - next_[flow]) / 3), across)
            points.insert(1 if at == 0 else -1, stub)
    return points


def _shortened(points: list[Point], start: float, end: float, across: bool) -> list[Point]:
    first, last = _along(points[0], points[1], start, across), _along(points[-1], points[-2], end, across)
    return [first, *points[1:-1], last]


def _along(tip: Point, next_: Point, length: float, across: bool) -> Point:
    """A point in the direction of the flow from a tip, never beyond the next corner."""
    (x1, y1), (x2, y2) = tip, next_
    if across:
        return x1 + math.copysign(min(length, abs(x2 - x1)), x2 - x1), y1
    return x1, y1 + math.copysign(min(length, abs(y2 - y1)), y2 - y1)


def _dot(tip: Point, next_: Point, color: str, across: bool) -> str:
    x, y = _along(tip, next_, 5.0, across)
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{color}"/>'


def _head(tip: Point, next_: Point, color: str, half: float, barred: bool = False, across: bool = True) -> str:
    """A triangle that points at ``tip``; for what is negative with a bar behind."""
    x, y = tip
    bx, by = _along(tip, next_, HEAD, across)
    dx, dy = bx - x, by - y
    length = math.hypot(dx, dy) or 1.0
    dx, dy = dx / length, dy / length
    bx, by = x + HEAD * dx, y + HEAD * dy
    corners = [(x, y), (bx - half * dy, by + half * dx), (bx + half * dy, by - half * dx)]
    drawn = f'<polygon points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in corners)}" fill="{color}"/>'
    if barred:
        cx, cy, half = bx + 2.5 * dx, by + 2.5 * dy, half + 1.5
        drawn += svg.stroke(cx - half * dy, cy + half * dx, cx + half * dy, cy - half * dx, color, 2.5)
    return drawn


# --- words on lines ---------------------------------------------------------------------------------------------------


def _words_size(words: Sequence[tuple[str, str, bool]], small: int) -> Point:
    if not words:
        return 0.0, 0.0
    return max(svg.width(text, small, bold=bold) for text, _, bold in words) + 6, (small + 4.0) * len(words)


def _samples(points: list[Point], across: bool) -> list[Point]:
    """Points along a path, close enough to see what it passes."""
    found = []
    for (x1, y1), (x2, y2) in pairwise(points):
        for k in range(9):
            found.append(_on(x1, y1, x2, y2, k / 8, across))
    return found


def _on(x1: float, y1: float, x2: float, y2: float, t: float, across: bool) -> Point:
    s = t * t * (3 - 2 * t)
    r = 1.5 * t * (1 - t) + t**3 - 0.0
    # A cubic with its handles half of the way: along the flow 3/2 t (1 − t) + t³, across it 3 t² − 2 t³.
    return (x1 + (x2 - x1) * r, y1 + (y2 - y1) * s) if across else (x1 + (x2 - x1) * s, y1 + (y2 - y1) * r)


def _labels(
    wires: Sequence[Wire],
    sizes: Sequence[Point],
    boxes: Sequence[Thing],
    titles: Sequence[Area],
    layout: Layout,
    across: bool,
) -> tuple[dict[int, Area], list[int]]:
    """Where the words of each line stand: on its last piece or beside it, where they cover least; and which hide a
    box, the title of a frame, an arrowhead, other words or another line.
    """
    paths = _paths(layout, across)
    paper = (0.0, 0.0, layout.width, layout.height)
    taken: list[Area] = [(box.x, box.y, box.x + box.width, box.y + box.height) for box in boxes]
    taken += titles
    taken += [head for line, *_ in paths for head in _heads(line, across)]
    places: dict[int, _Places] = {}
    for line, *_ in paths:
        if line.last and wires[line.edges[0]].words:
            (edge,) = line.edges
            places[edge] = _Places(line, sizes[edge], taken, paths, paper, across)
    found = {edge: possible.best(()) for edge, possible in places.items()}
    neighbors = {
        edge: [other for other in places if other != edge and _meet(possible.reach, places[other].reach)]
        for edge, possible in places.items()
    }
    for _ in range(ROUNDS):
        before = dict(found)
        for edge, possible in places.items():
            others = [found[other] for other in neighbors[edge]]
            if any(_meet(found[edge], other) for other in others):
                found[edge] = possible.best(others)
        if found == before:
            break
    hiding = [
        edge for edge, area in found.items()
        if any(_hides(area, other) for other in [*places[edge].taken, *(found[other] for other in neighbors[edge])])
        or any(_hides(area, (x, y, x, y)) for x, y in places[edge].near)
    ]  # fmt: skip
    return found, hiding


class _Places:
    """Where the words of a line can stand, the best places first, with what they would hide there.

    Attributes:
        reach: the area of all places.
        taken: boxes and arrowheads there.
        near: points of other lines there.
    """

    def __init__(
        self, line: Line, size: Point, taken: Sequence[Area], paths: Sequence[_Path], paper: Area, across: bool
    ) -> None:
        w, h = size
        spots = sorted(_spots(line, size, across))
        areas = [(far, (x - w / 2, y - h / 2, x + w / 2, y + h / 2)) for far, x, y in spots]
        self.areas = [(far, area) for far, area in areas if _within(area, paper)] or areas
        xs, ys = [x for _, x, _ in spots], [y for *_, y in spots]
        self.reach = left, up, right, down = min(xs) - w, min(ys) - h, max(xs) + w, max(ys) + h
        self.near = sorted(
            point for other, samples, path in paths if other is not line and _meet(path, self.reach)
            for point in samples if left <= point[0] <= right and up <= point[1] <= down
        )  # fmt: skip
        self.taken = [area for area in taken if _meet(area, self.reach)]
        self.costs: list[float] = []

    def _cost(self, i: int) -> float:
        while len(self.costs) <= i:
            far, area = self.areas[len(self.costs)]
            level = self.near[bisect_left(self.near, (area[0],)) : bisect_right(self.near, (area[2], math.inf))]
            hidden = sum([area[1] <= y <= area[3] for _, y in level])
            self.costs.append(far + 4.0 * (_overlaps(area, self.taken) + hidden))
        return self.costs[i]

    def best(self, others: Sequence[Area]) -> Area:
        """The place where words hide least, with the words of other lines."""
        least, found = math.inf, self.areas[0][1]
        for i, (far, area) in enumerate(self.areas):
            if far >= least:
                break
            cost = self._cost(i)
            if cost < least and (cost := cost + _overlaps(area, others)) < least:
                least, found = cost, area
        return found


def _spots(line: Line, size: Point, across: bool) -> list[tuple[float, float, float]]:
    """Where the middle of words can be, and how far from its best place: on the last curve of a line, beside it, or
    where it is straight for longer than they are.
    """
    points, (w, h) = line.points, size
    wide = w if across else h
    (x1, y1), (x2, y2) = points[-3:-1] if len(points) > 2 else points
    found = [(abs(t - 0.5), *_on(x1, y1, x2, y2, t, across)) for t in STEPS]
    for far, x, y in found[::BESIDE]:
        found += [(far + 0.7, x, y + k * (h / 2 + 3)) for k in (-1, 1)]
        found += [(far + 0.9, x + k * (w / 2 + 3), y) for k in (-1, 1)]
    mx, my = (x1 + x2) / 2, (y1 + y2) / 2
    for (xa, ya), (xb, yb) in pairwise(points):
        length = abs(xb - xa) if across else abs(yb - ya)
        if ((ya != yb) if across else (xa != xb)) or length < wide:
            continue
        count = 1 + int((length - wide) / STRIDE)
        for k in range(count):
            share = (wide / 2 + (k + 0.5) * (length - wide) / count) / length
            x, y = xa + share * (xb - xa), ya + share * (yb - ya)
            found.append((0.5 + math.dist((x, y), (mx, my)) / 400, x, y))
    return found


def _heads(line: Line, across: bool) -> list[Area]:
    """Where the arrowheads of a line are."""
    found = []
    for there, (x, y), length in ((line.first, line.points[0], HEAD), (line.last, line.points[-1], -HEAD)):
        if there:
            tip, end = ((x, y - 3), (x + length, y + 3)) if across else ((x - 3, y), (x + 3, y + length))
            found.append((min(tip[0], end[0]), min(tip[1], end[1]), max(tip[0], end[0]), max(tip[1], end[1])))
    return found


EDGE = 2.5  # points: what words hide at their edge is not missed


def _hides(area: Area, other: Area) -> bool:
    x1, y1, x2, y2 = area
    return _meet((x1 + EDGE, y1 + EDGE, x2 - EDGE, y2 - EDGE), other)


ROUNDS = 6  # in which words make way for each other
BESIDE = 4  # of so many places on a line, one has places beside it
STRIDE = 16.0  # points between places on a straight piece
STEPS = [k / 24 for k in range(2, 23)]  # where words can stand on a curve


def _meet(a: Area, b: Area) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _within(a: Area, b: Area) -> bool:
    return b[0] <= a[0] and a[2] <= b[2] and b[1] <= a[1] and a[3] <= b[3]


def _overlaps(area: Area, others: Sequence[Area]) -> float:
    """How much of others an area covers: rather a little of several than much of one."""
    x1, y1, x2, y2 = area
    total = 0.0
    for left, top, right, bottom in others:
        wide = (right if right < x2 else x2) - (left if left > x1 else x1)
        if wide > 0.0:
            high = (bottom if bottom < y2 else y2) - (top if top > y1 else y1)
            if high > 0.0:
                total += (wide * high) ** 1.5
    return total


def _halo(area: Area, words: Sequence[tuple[str, str, bool]], small: int) -> str:
    x1, y1, x2, y2 = area
    paper = (
        f'<rect x="{x1:.1f}" y="{y1:.1f}" width="{x2 - x1:.1f}" height="{y2 - y1:.1f}" rx="4" fill="{style.PAPER}" '
        'fill-opacity="0.92"/>'
    )
    texts = [
        _text(
            (x1 + x2) / 2,
            y1 + (small + 4) * (k + 0.5),
            text,
            small,
            style.text_color(color),
            anchor="middle",
            bold=bold,
        )
        for k, (text, color, bold) in enumerate(words)
    ]
    return f'<g class="words">{paper}{"".join(texts)}</g>'


# --- the header -------------------------------------------------------------------------------------------------------


def sentence(words: str, *, color: str = style.INK, size: float = style.TEXT_SIZE) -> list[Header]:
    """Words above the picture, on as many lines as they need."""
    lines = textwrap.wrap(words, SENTENCE)
    return [
        (_text(0, 11, line, size, color, bold=True), svg.width(line, size, bold=True), size + 8.0) for line in lines
    ]


def legend(entries: Sequence[tuple[str, str, str]], wide: float, small: int) -> list[Header]:
    """Samples with their meaning, on lines that are about as wide as the picture."""
    rows: list[list[str]] = []
    widths: list[float] = []
    x = 0.0
    for sample, color, words in entries:
        drawn, room = _sample(sample, color)
        length = room + 6 + svg.width(words, small) + 18
        if not rows or (x + length - 18 > wide and x):
            rows.append([])
            widths.append(0.0)
            x = 0.0
        rows[-1].append(svg.moved(x, 0, [drawn, _text(room + 6, 11, words, small)]))
        x += length
        widths[-1] = x - 18
    return [("".join(row), width, 24.0) for row, width in zip(rows, widths, strict=True)]


def _sample(sample: str, color: str) -> tuple[str, float]:
    if sample == "■":
        return svg.rectangle(1, 3, 18, 16, color, line=style.OUTLINE), 20.0
    if sample == "w":
        return svg.moved(1, -2, _name(sample, 30.0)), 32.0
    if sample == "→":
        return svg.stroke(0, 11, 30, 11, style.MIXED, 1.3) + _head((36, 11), (0, 11), style.MIXED, 4.0), 36.0
    if sample == "●━":
        return svg.stroke(5, 11, 38, 11, color, 4) + _dot((0, 11), (40, 11), color, True), 38.0
    if sample in ("◄━", "◄|━", "◄┅"):
        barred, dashed = sample == "◄|━", sample == "◄┅"
        head = _head((0, 11), (40, 11), color, 5.5, barred)
        dashes = ' stroke-dasharray="7 5"' if dashed else ""
        line = f'<path d="M{12 if barred else 9},11L38,11" fill="none" stroke="{color}" stroke-width="4"{dashes}/>'
        return line + head, 38.0
    if sample == "━":
        return svg.stroke(0, 11, 14, 11, color, 1.5) + svg.stroke(18, 11, 36, 11, color, 7), 36.0
    return _text(0, 11, sample, style.TEXT_SIZE, style.text_color(color), bold=True), svg.width(
        sample, style.TEXT_SIZE, bold=True
    )
