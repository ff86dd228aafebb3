"""``boundary``: which part of the plane a classifier assigns to which class, and how that changes during training."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tinygrad_edu import Value, collector_paused, no_grad

from .. import style
from ..rendering import svg
from ..rendering.choice_page import choice_page
from ..rendering.svg import text
from .chart import Chart, listed
from .plot import Axis, grid

Point = tuple[float, float]

_SIDE = 400.0  # points: the plane of one picture
_LEFT, _TOP = 66.0, 70.0
_KEY = 34.0  # the height of the line that names the classes
_KEY_MARKS = 72.0  # the width of the marks of a class in it
#: A class has a color, a mark for its examples, and a smaller mark for its region.
_CLASSES = (
    (style.NEGATIVE, "●", "·"),
    (style.POSITIVE, "■", "+"),
    (style.INK, "▲", "^"),
    (style.MIXED, "◆", "x"),
    (style.OUTLINE, "★", "="),
)
_MARKS_ACROSS = 14  # marks of a region, in a row
_COLUMNS, _ROWS = 48, 20  # characters: the plane in a terminal
MOST_RESOLUTION = 500  # calls of the model along each axis


@dataclass(frozen=True, repr=False)
class Boundary(Chart):
    """A finished picture of a decision boundary; the last line of a notebook cell shows it.

    Attributes:
        across, up: the positions of the grid on both axes, rising.
        scores: the score of each class at each position: ``scores[row][column][class]``; the largest wins, and rows go
            up.
        points, labels: the examples, and the class number of each.
        classes: the names of the classes.
        wrong: the numbers of the examples that the model assigns to another class.
        title, x, y: the title, and the names of the axes.
    """

    across: Sequence[float]
    up: Sequence[float]
    scores: Sequence[Sequence[Sequence[float]]]
    points: Sequence[Point]
    labels: Sequence[int]
    classes: Sequence[str]
    wrong: Sequence[int]
    title: str
    x: str
    y: str

    def __str__(self) -> str:
        """The plane in characters: small marks for the regions, large ones for the examples."""
        rows = [self.title] if self.title else []
        plane = [
            [_CLASSES[self._winner(column, row, _COLUMNS, _ROWS)][2] for column in range(_COLUMNS)]
            for row in range(_ROWS)
        ]
        for (a, b), label in zip(self.points, self.labels, strict=True):
            column = round((a - self.across[0]) / (self.across[-1] - self.across[0]) * (_COLUMNS - 1))
            row = round((b - self.up[0]) / (self.up[-1] - self.up[0]) * (_ROWS - 1))
            if 0 <= column < _COLUMNS and 0 <= row < _ROWS:
                plane[row][column] = _CLASSES[label][1]
        rows += ["".join(row) for row in reversed(plane)]
        rows.append("  ".join(f"{_CLASSES[i][1]} in {_CLASSES[i][2]}: {name}" for i, name in enumerate(self.classes)))
        return "\n".join(filter(None, [*rows, self._verdict()]))

    def _winner(self, column: int, row: int, columns: int, rows: int) -> int:
        """Return the class at a position of a coarser grid."""
        i = round(row * (len(self.up) - 1) / (rows - 1))
        j = round(column * (len(self.across) - 1) / (columns - 1))
        here = self.scores[i][j]
        return here.index(max(here))

    @property
    def right(self) -> int:
        """The number of examples that the model assigns to their class."""
        return len(self.points) - len(self.wrong)

    def _verdict(self) -> str:
        return f"{self.right} of {len(self.points)} on the right side" if self.points else ""

    def _caption(self) -> str:
        return f"{self._verdict()}; a ring is around the others" if self.wrong else self._verdict()

    def _drawn(self) -> str:
        width, height = _size(self)
        return svg.document(width, height, _panel(self))

    def _title(self) -> str:
        return self.title or "decision boundary"


@dataclass(frozen=True, repr=False)
class Boundaries(Chart):
    """Several boundaries: side by side as a picture, and as a page (``.html``) with a slider.

    Attributes:
        frames: one boundary per snapshot of the training.
    """

    frames: Sequence[Boundary]

    def __str__(self) -> str:
        return "\n\n".join(map(str, self.frames))

    def _drawn(self) -> str:
        columns = math.ceil(math.sqrt(len(self.frames)))
        sizes = [_size(frame) for frame in self.frames]
        width, height = max(w for w, _ in sizes), max(h for _, h in sizes)
        parts = [
            svg.moved(width * (i % columns), height * (i // columns), _panel(frame))
            for i, frame in enumerate(self.frames)
        ]
        return svg.document(width * columns, height * math.ceil(len(self.frames) / columns), parts)

    def _title(self) -> str:
        return "Decision boundary"

    def _page(self) -> str:
        names = [frame.title or f"{i} of {len(self.frames)}" for i, frame in enumerate(self.frames, 1)]
        return choice_page(self._title(), {"moment": names}, [frame.svg() for frame in self.frames], slider=True)


def boundary(
    model: Callable[[list[float]], Any],
    points: Sequence[Sequence[float]] = (),
    labels: Sequence[float] = (),
    *,
    threshold: float | None = None,
    classes: Sequence[str] | None = None,
    title: str = "",
    x: str = "x₁",
    y: str = "x₂",
    bounds: tuple[Point, Point] | None = None,
    resolution: int = 48,
) -> Boundary:
    """Evaluate a model at every position of a plane.

    Args:
        model: takes a list of two numbers and returns a number, which is compared with ``threshold``, or one score per
            class, the largest of which wins. Numbers can be Values.
        points, labels: the examples. With a single number as output there are two labels, such as 0 and 1 or −1 and 1;
            with several, a label is the number of a class from 0 on.
        threshold: above it a single output means the larger label; halfway between both labels by default.
        classes: the names of the classes; the labels by default.
        title: the title.
        x, y: the names of the axes.
        bounds: the part of the plane, as the ranges of both inputs; by default it contains all points with a margin.
        resolution: the model is called ``(resolution + 1)²`` times.

    Raises ValueError for points and labels that do not match, and for a model whose results are not finite.

    >>> picture = boundary(lambda p: p[0] + p[1], [(0, 0), (1, 1)], [-1, 1], title="a line")
    >>> picture.right
    2
    """
    if not 2 <= resolution <= MOST_RESOLUTION:
        raise ValueError(f"resolution must be from 2 to {MOST_RESOLUTION:,}, got {resolution}")
    points, labels = listed(points), listed(labels)
    plane = [_point(p) for p in points]
    if len(plane) != len(labels):
        raise ValueError(f"every point needs a label; got {len(plane)} points and {len(labels)} labels")
    (x0, x1), (y0, y1) = bounds or _around(plane)
    if not (x0 < x1 and y0 < y1):
        raise ValueError(f"bounds must be two ranges that rise, such as ((-1, 1), (-1, 1)); got {bounds!r}")
    across = [x0 + (x1 - x0) * j / resolution for j in range(resolution + 1)]
    up = [y0 + (y1 - y0) * i / resolution for i in range(resolution + 1)]
    was_training = getattr(model, "training", False)
    if was_training:
        model.eval()  # type: ignore[attr-defined]  # draw what it would answer, without dropout
    try:
        with no_grad(), collector_paused():
            answers = [[_answer(model, (a, b)) for a in across] for b in up]
            at_points = [_answer(model, p) for p in plane]
    finally:
        if was_training:
            model.train()  # type: ignore[attr-defined]
    count = len(answers[0][0])
    middle = _threshold(labels) if threshold is None else threshold
    numbered, names = _numbered(labels, count, classes, middle)
    if count == 1:
        answers = [[(middle - z, z - middle) for (z,) in row] for row in answers]
        at_points = [(middle - z, z - middle) for (z,) in at_points]
    elif threshold is not None:
        raise ValueError(f"a threshold is for a model with one output; this one has {count}, and the largest wins")
    wrong = [i for i, (s, label) in enumerate(zip(at_points, numbered, strict=True)) if s[label] < max(s)]
    return Boundary(across, up, answers, plane, numbered, names, wrong, title, x, y)


def boundaries(frames: Sequence[Boundary]) -> Boundaries:
    """Show several boundaries in one picture; saved as ``.html`` they are a page with a slider.

    >>> frames = [boundary(lambda p, w=w: p[0] - w, [(0, 0), (1, 0)], [0, 1]) for w in (0.0, 0.5)]
    >>> len(boundaries(frames).frames)
    2
    """
    if not frames:
        raise ValueError("there is nothing to show; give boundaries() at least one boundary")
    return Boundaries(list(frames))


def _point(point: Sequence[float]) -> Point:
    if len(point) != 2:
        raise ValueError(f"a point in the plane has two numbers; got {len(point)}")
    return float(_number(point[0])), float(_number(point[1]))


def _number(thing: Any) -> float:
    return float(thing.data if isinstance(thing, Value) else thing)


def _answer(model: Callable[[list[float]], Any], point: Point) -> tuple[float, ...]:
    found = listed(model(list(point)))
    single = isinstance(found, (Value, numbers.Real))
    scores = tuple(_number(z) for z in ([found] if single else found))
    if not 1 <= len(scores) <= len(_CLASSES):
        raise ValueError(f"the model must give 1 to {len(_CLASSES)} numbers for a point; it gave {len(scores)}")
    if not all(map(math.isfinite, scores)):
        raise ValueError(f"the model's answer at {point} is not finite: {scores}; has its training diverged?")
    return scores


def _around(points: Sequence[Point]) -> tuple[Point, Point]:
    if not points:
        return (-1.0, 1.0), (-1.0, 1.0)
    ranges = []
    for numbers_ in zip(*points, strict=True):
        low, high = min(numbers_), max(numbers_)
        margin = 0.15 * (high - low) or 1.0
        ranges.append((low - margin, high + margin))
    return ranges[0], ranges[1]


def _numbered(
    labels: Sequence[float], count: int, classes: Sequence[str] | None, middle: float
) -> tuple[list[int], list[str]]:
    """Return the class number of every example, and the names of the classes."""
    plain = [_number(label) for label in labels]
    if count == 1:
        kinds = sorted(set(plain)) or [0.0, 1.0]
        if len(kinds) == 1:  # all examples are of one class: choose the usual other label
            kinds = [kinds[0], 1.0] if kinds[0] < 1.0 else [-1.0 if kinds[0] != 1.0 else 0.0, kinds[0]]
        if len(kinds) != 2:
            raise ValueError(f"a model with one output tells two labels apart; got {len(kinds)}: {kinds[:5]}")
        found = [kinds.index(label) for label in plain]
        names = [f"label {style.number(kind)}" for kind in kinds]
        if not plain:
            names = [f"at most {style.number(middle)}", f"above {style.number(middle)}"]
    else:
        if any(label not in range(count) for label in plain):
            raise ValueError(
                f"the labels of a model with {count} outputs must be 0 to {count - 1}; got {sorted(set(plain))}"
            )
        found = [int(label) for label in plain]
        names = [f"class {i}" for i in range(count)]
    if classes is not None:
        if len(classes) != len(names):
            raise ValueError(f"there are {len(names)} classes to name; got {len(classes)} names")
        names = [style.visible(name) for name in classes]
    return found, names


def _threshold(labels: Sequence[float]) -> float:
    plain = {_number(label) for label in labels}
    return sum(plain) / 2 if len(plain) == 2 else 0.0 if min(plain, default=-1.0) < 0.0 else 0.5


# --- the picture ------------------------------------------------------------------------------------------------------


def _size(picture: Boundary) -> Point:
    key = sum(_KEY_MARKS + svg.width(name) for name in picture.classes)
    wide = max(
        _LEFT + _SIDE + 24,
        24 + key,
        24 + svg.width(picture.title, 20, bold=True),
        _LEFT + _SIDE / 2 + svg.width(picture.x) / 2 + 12,
    )
    wide = max(wide, 24 + svg.width(picture.y), 24 + svg.width(picture._caption()))
    return wide, _TOP + _SIDE + 60 + 2 * _KEY


def _panel(picture: Boundary) -> list[str]:
    across = Axis([picture.across[0], picture.across[-1]], _LEFT, _LEFT + _SIDE, margin=0.0)
    up = Axis([picture.up[0], picture.up[-1]], _TOP + _SIDE, _TOP, margin=0.0)
    places = [[(across.at(a), up.at(b)) for a in picture.across] for b in picture.up]
    parts = [text(12, 28, picture.title, size=20, bold=True)]
    ruler = []
    for kind in range(len(picture.classes)):
        # How far this class is ahead of the best other one: positive inside its region, 0 on the boundary.
        ahead = [[_ahead(scores, kind) for scores in row] for row in picture.scores]
        polygons, segments = _region(places, ahead)
        parts.append(svg.area(polygons, _CLASSES[kind][0], opacity=0.2))
        parts += _region_marks(picture, kind)
        if kind:  # the line between two classes is drawn once
            ruler.append(svg.lines(segments, style.INK, 3))
    parts += ruler
    bottom = _TOP + _SIDE
    parts.append(svg.rectangle(_LEFT, _TOP, _SIDE, _SIDE, "none", line=style.OUTLINE))
    parts += grid(across, up, lines=False)
    parts.append(text(_LEFT + _SIDE / 2, bottom + 46, picture.x, anchor="middle"))
    parts.append(text(12, _TOP - 12, picture.y))
    wrong = frozenset(picture.wrong)
    for i, ((a, b), label) in enumerate(zip(picture.points, picture.labels, strict=True)):
        if picture.across[0] <= a <= picture.across[-1] and picture.up[0] <= b <= picture.up[-1]:
            words = f"({style.number(a)}, {style.number(b)}): {picture.classes[label]}"
            mark = _mark(label, across.at(a), up.at(b))
            if i in wrong:
                ring = f'r="13" fill="none" stroke="{style.INK}" stroke-width="2.5"'
                mark.append(f'<circle class="wrong" cx="{across.at(a):.1f}" cy="{up.at(b):.1f}" {ring}/>')
            parts.append(svg.titled(words, mark))
    x = 12.0
    for label, name in enumerate(picture.classes):
        middle = bottom + 56 + _KEY / 2
        parts += _mark(label, x + 9, middle)
        parts.append(svg.rectangle(x + 22, middle - 11, 22, 22, _CLASSES[label][0], opacity=0.2))
        parts.append(svg.lines(_small(label, x + 33, middle), _CLASSES[label][0], 1.6))
        parts.append(text(x + 52, middle + 6, name))
        x += _KEY_MARKS + svg.width(name)
    parts.append(text(12, bottom + 62 + 1.4 * _KEY, picture._caption(), style.FAINT))
    return parts


def _ahead(scores: Sequence[float], kind: int) -> float:
    return scores[kind] - max(score for i, score in enumerate(scores) if i != kind)


def _region(
    places: Sequence[Sequence[Point]], ahead: Sequence[Sequence[float]]
) -> tuple[list[list[Point]], list[tuple[Point, Point]]]:
    """Return the polygons in which ``ahead`` is positive, and the line on which it is 0.

    In every square of the grid the polygon is cut where a straight line between two corners crosses 0.
    """
    polygons, segments = [], []
    for (low_places, low), (high_places, high) in pairwise(zip(places, ahead, strict=True)):
        run: list[Point] = []  # adjacent squares entirely inside become one polygon
        for j in range(len(low) - 1):
            corners = [low_places[j], low_places[j + 1], high_places[j + 1], high_places[j]]
            numbers_ = [low[j], low[j + 1], high[j + 1], high[j]]
            if all(z >= 0.0 for z in numbers_):
                run = [run[0], corners[1], corners[2], run[3]] if run else corners
                continue
            if run:
                polygons.append(run)
                run = []
            inside, lines = _cut(corners, numbers_)
            polygons += inside
            segments += lines
        if run:
            polygons.append(run)
    return polygons, segments


def _cut(corners: Sequence[Point], numbers_: Sequence[float]) -> tuple[list[list[Point]], list[tuple[Point, Point]]]:
    """Return the parts of a square where a number is not negative, and the lines on which it is 0.

    In a saddle, with two such corners across from each other, they are one part if the number is not negative in the
    middle, their mean; otherwise each is a triangle. So the regions of two classes neither overlap nor leave a gap.
    """
    inside: list[Point] = []
    crossings: list[tuple[bool, Point]] = []
    for i in range(4):
        (ax, ay), (bx, by), za, zb = corners[i], corners[(i + 1) % 4], numbers_[i], numbers_[(i + 1) % 4]
        if za >= 0.0:
            inside.append((ax, ay))
        if (za >= 0.0) != (zb >= 0.0):
            share = za / (za - zb)
            crossing = (ax + share * (bx - ax), ay + share * (by - ay))
            inside.append(crossing)
            crossings.append((za >= 0.0, crossing))
    if crossings and not crossings[0][0]:  # begin where the outline leaves the region
        crossings = [*crossings[1:], crossings[0]]
    places = [place for _, place in crossings]
    if len(places) < 4 or math.fsum(numbers_) >= 0.0:
        return [inside] if inside else [], list(zip(places[::2], places[1::2], strict=True))
    leaves, enters = (
        places[::2],
        [places[3], places[1]],
    )  # an inside corner is between where the outline enters and leaves
    tips = [corner for corner, z in zip(corners, numbers_, strict=True) if z >= 0.0]
    lines = list(zip(enters, leaves, strict=True))
    return [[enter, tip, leave] for tip, (enter, leave) in zip(tips, lines, strict=True)], lines


def _region_marks(picture: Boundary, kind: int) -> list[str]:
    """Draw small marks in rows over the region of a class, so that a black-and-white print shows it too."""
    spots, step = [], _SIDE / _MARKS_ACROSS
    for row in range(_MARKS_ACROSS):
        for column in range(_MARKS_ACROSS):
            x, y = _LEFT + (column + 0.5) * step, _TOP + _SIDE - (row + 0.5) * step
            i = round((row + 0.5) / _MARKS_ACROSS * (len(picture.up) - 1))
            j = round((column + 0.5) / _MARKS_ACROSS * (len(picture.across) - 1))
            here = picture.scores[i][j]
            if here.index(max(here)) == kind:
                spots.append((x, y))
    color = _CLASSES[kind][0]
    return [svg.lines([segment for x, y in spots for segment in _small(kind, x, y)], color, 1.6)]


def _small(kind: int, x: float, y: float) -> list[tuple[Point, Point]]:
    """Return the mark of a region: a dot, a plus, a roof, a cross, two bars."""
    r = 3.5
    return [
        [((x - 0.7, y - 0.7), (x + 0.7, y - 0.7)), ((x - 0.7, y + 0.7), (x + 0.7, y + 0.7))],
        [((x - r, y), (x + r, y)), ((x, y - r), (x, y + r))],
        [((x - r, y + r), (x, y - r)), ((x, y - r), (x + r, y + r))],
        [((x - r, y - r), (x + r, y + r)), ((x - r, y + r), (x + r, y - r))],
        [((x - r, y - 2), (x + r, y - 2)), ((x - r, y + 2), (x + r, y + 2))],
    ][kind]


def _mark(kind: int, x: float, y: float) -> list[str]:
    """The mark of an example, in its color with a line around it that shows on any region."""
    shape = ("circle", "square", "triangle", "diamond", "star")[kind]
    return [svg.mark(shape, x, y, 7.0, _CLASSES[kind][0], thick=2)]
