"""``embeddings``: the vectors of characters in the plane in which they differ most."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tinygrad_edu import Value

from .. import style
from ..rendering import svg
from ..rendering.svg import stroke, text
from .chart import Chart
from .plot import Axis

Point = tuple[float, float]

_WIDTH, _HEIGHT = 900.0, 620.0  # points: the plane
_LEFT, _TOP = 24.0, 84.0
_SIZE = 19  # of the characters
_MARK, _DOT = 6.0, 1.5  # the radius of a mark, and of one among thousands
_ROOMY = 300  # vectors whose marks have their full size
_TRIED = 2000  # positions tried for names, in rings around all marks together; at least one ring each
_RINGS = 12
_TOLD = 2000  # marks with tooltips; if there are more, only those with a name
_CELL = 32.0  # points: the squares in which free space is looked up
_FAR = 24.0  # a name farther than this from its mark gets a line to it
_NEAREST = 3  # similar characters listed for each, in the text
#: Kinds of characters: name, color, shape.
KINDS = {
    "vowels": (style.NEGATIVE, "circle"),
    "consonants": (style.POSITIVE, "square"),
    "capitals": (style.INK, "triangle"),
    "digits": (style.MIXED, "bars"),
    "punctuation and white space": (style.OUTLINE, "diamond"),
    "others": (style.FAINT, "cross"),
}


@dataclass(frozen=True, repr=False)
class Embeddings(Chart):
    """A finished picture of embeddings; the last line of a notebook cell shows it.

    Attributes:
        names: the names of the vectors, in visible characters.
        kinds: the kind of each, one of :data:`KINDS`.
        places: the position of each in the plane.
        shares: the shares of the variance along the two axes of the plane.
        title: the title.
        vectors: all their numbers.                                                                    # (n, C)
    """

    names: Sequence[str]
    kinds: Sequence[str]
    places: Sequence[Point]
    shares: Point
    title: str
    vectors: Sequence[Sequence[float]]

    @cached_property
    def nearest(self) -> list[list[int]]:
        """For each vector the numbers of the others with the most similar directions, nearest first."""
        return _nearest(self.vectors)

    def __str__(self) -> str:
        """The position of every vector, and the others with the most similar directions."""
        wide = max(map(len, self.names)) + 2
        rows = [self.title] if self.title else []
        rows.append(f"{'':<{wide}}{'x':>9}{'y':>9}  most alike")
        for name, (x, y), near in zip(self.names, self.places, self.nearest, strict=True):
            alike = " ".join(self.names[i] for i in near)
            rows.append(f"{name:<{wide}}{style.number(x, 3):>9}{style.number(y, 3):>9}  {alike}")
        return "\n".join([*rows, self._caption()])

    def _caption(self) -> str:
        x, y = self.shares
        return f"The plane of the two directions with the largest variance: {x:.0%} and {y:.0%} of all."

    def _drawn(self) -> str:
        return _chart(self)

    def _title(self) -> str:
        return self.title or "Embeddings"


def embeddings(vectors: Sequence[Sequence[Any]], names: Sequence[str] | None = None, *, title: str = "") -> Embeddings:
    """Project vectors onto the plane that keeps as much of their differences as a plane can.

    That is the plane of the two principal components (Pearson 1901): the directions, through the mean of all vectors,
    in which they vary most; both have one scale. Each is flipped so that its largest coordinate is positive; so the
    same vectors give the same picture.

    Args:
        vectors: one per character, numbers or Values.                                                   # (n, C)
        names: their names, characters or words; their numbers by default.
        title: the title.

    Raises ValueError if there are fewer than two vectors, or names that do not match.

    >>> picture = embeddings([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]], "abcd")
    >>> [(round(x, 6) + 0.0, round(y, 6) + 0.0) for x, y in picture.places]
    [(3.0, 0.0), (-3.0, 0.0), (0.0, 1.0), (0.0, -1.0)]
    >>> picture.shares
    (0.9, 0.1)
    """
    rows = [[float(x.data if isinstance(x, Value) else x) for x in vector] for vector in vectors]
    if len(rows) < 2 or not rows[0]:
        raise ValueError(f"a plane needs at least two vectors to show; got {len(rows)}")
    if any(len(row) != len(rows[0]) for row in rows):
        raise ValueError(f"all vectors must be of one length; got {sorted({len(row) for row in rows})}")
    if not all(map(math.isfinite, (x for row in rows for x in row))):
        raise ValueError("a vector holds a number that is not finite; has its training diverged?")
    given = [str(i) for i in range(len(rows))] if names is None else list(names)
    if len(given) != len(rows):
        raise ValueError(f"every vector needs a name; got {len(given)} names and {len(rows)} vectors")
    places, shares = _principal(rows)
    shown = [style.short(style.visible(name)) for name in given]
    kinds = [_kind(name) if names is not None else "others" for name in given]
    return Embeddings(shown, kinds, places, shares, style.visible(title), rows)


def _principal(rows: list[list[float]]) -> tuple[list[Point], Point]:
    """Return coordinates along the two directions of largest variance, and their shares.         # (n, C) → (n, 2)"""
    import numpy as np  # imported here, because most pictures need no arrays

    vectors = np.array(rows)
    centered = vectors - vectors.mean(axis=0)
    variances, directions = np.linalg.eigh(centered.T @ centered)  # rising
    total = float(variances.sum())
    axes, shares = [], []
    for k in (1, 2):
        if k > len(variances):
            axes.append([0.0] * len(rows))
            shares.append(0.0)
            continue
        direction = directions[:, -k]
        if direction[np.argmax(np.abs(direction).round(9))] < 0:  # rounded, so that the first of equal ones decides
            direction = -direction
        axes.append((centered @ direction).tolist())
        shares.append(round(max(0.0, float(variances[-k])) / total, 12) if total > 0.0 else 0.0)
    return list(zip(*axes, strict=True)), (shares[0], shares[1])


def _nearest(rows: Sequence[Sequence[float]]) -> list[list[int]]:
    """For each vector return the others by cosine similarity; the first of equal ones wins."""
    import numpy as np

    vectors = np.array(rows)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = vectors / np.where(lengths > 0.0, lengths, 1.0)
    found: list[list[int]] = []
    for start in range(0, len(units), 512):  # a square matrix of all of them could exceed the memory
        alike = (units[start : start + 512] @ units.T).round(12)
        here = np.arange(len(alike))
        alike[here, start + here] = -np.inf
        near = []
        for _ in range(min(_NEAREST, len(units) - 1)):
            near.append(alike.argmax(axis=1))
            alike[here, near[-1]] = -np.inf
        found += np.array(near).T.tolist()
    return found


def _kind(name: str) -> str:
    """Return the kind of a character.

    >>> [_kind(c) for c in ("a", "é", "b", "Q", "7", "\\n", ";", "word", "語")]
    ['vowels', 'vowels', 'consonants', 'capitals', 'digits', 'punctuation and white space', \
'punctuation and white space', 'others', 'others']
    """
    if len(name) != 1:
        return "others"
    if name.isupper():
        return "capitals"
    if name.isalpha() and not name.islower():
        return "others"  # from a script without capitals; its vowels are unknown here
    if name.isalpha():
        return "vowels" if unicodedata.normalize("NFD", name)[0] in "aeiou" else "consonants"
    return "digits" if name.isdigit() else "punctuation and white space"


# --- the picture ------------------------------------------------------------------------------------------------------


def _chart(chart: Embeddings) -> str:
    across, up = _axes(chart.places)
    right, bottom = _LEFT + _WIDTH, _TOP + _HEIGHT
    radius = max(_DOT, min(_MARK, _MARK * math.sqrt(_ROOMY / len(chart.places))))
    spots = [(across.at(x), up.at(y)) for x, y in chart.places]
    sizes = [(svg.width(name, _SIZE, bold=True), float(_SIZE)) for name in chart.names]
    labels = _labels(spots, sizes, radius)
    caption, left_out = chart._caption(), labels.count(None)
    if left_out:
        caption += f" {left_out:,} of {len(labels):,} names are not shown for lack of room."
    parts = [
        text(12, 30, chart.title, size=20, bold=True),
        text(12, 60, caption, style.FAINT),
        svg.rectangle(_LEFT, _TOP, _WIDTH, _HEIGHT, "none", line=style.FRAME_LINE),
        stroke(across.at(0), _TOP, across.at(0), bottom, style.FRAMES[2], 1.5),  # 0 is the mean of all vectors
        stroke(_LEFT, up.at(0), right, up.at(0), style.FRAMES[2], 1.5),
    ]
    nodes = []
    dots: dict[str, list[tuple[Point, Point]]] = {}
    for name, kind, place, spot, size, label in zip(
        chart.names, chart.kinds, chart.places, spots, sizes, labels, strict=True
    ):
        if label is None and len(labels) > _TOLD:
            dots.setdefault(KINDS[kind][0], []).append((spot, spot))
            continue
        drawn = [_mark(kind, spot[0], spot[1], radius)]
        if label is not None:
            edge = _nearest_point(spot, (label[0], label[1] - _SIZE / 3), size)
            if math.dist(spot, edge) > _FAR:
                parts.append(stroke(spot[0], spot[1], edge[0], edge[1], style.FRAME_LINE, 1))
            drawn.append(text(label[0], label[1], name, size=_SIZE, anchor="middle", bold=True))
        words = f"{name} at ({style.number(place[0])}, {style.number(place[1])}), {kind}"
        nodes.append(svg.titled(words, drawn, name=name))
    parts += [svg.lines(those, color, 2 * radius) for color, those in dots.items()]
    x = _LEFT
    for kind in KINDS if len(set(chart.kinds)) > 1 else ():
        if kind in chart.kinds:
            nodes += [_mark(kind, x + 8, bottom + 25), text(x + 22, bottom + 31, kind)]
            x += 52 + svg.width(kind)
    wide = max(right, x, 12 + svg.width(chart.title, 20, bold=True), 12 + svg.width(caption)) + 24
    return svg.document(wide, bottom + 50, [*parts, *nodes])


def _axes(places: Sequence[Point]) -> tuple[Axis, Axis]:
    """Return axes with the same unit length that contain all positions."""
    lows, highs = ([pick(part) for part in zip(*places, strict=True)] for pick in (min, max))
    room = (_WIDTH - 80.0, _HEIGHT - 60.0)
    scale = min(r / (high - low) if high > low else math.inf for r, low, high in zip(room, lows, highs, strict=True))
    scale = scale if math.isfinite(scale) else 1.0
    halves = (_WIDTH / 2 / scale, _HEIGHT / 2 / scale)
    middles = [(low + high) / 2 for low, high in zip(lows, highs, strict=True)]
    (x0, x1), (y0, y1) = ((m - h, m + h) for m, h in zip(middles, halves, strict=True))
    return (
        Axis([x0, x1], _LEFT, _LEFT + _WIDTH, margin=0.0),
        Axis([y0, y1], _TOP + _HEIGHT, _TOP, margin=0.0),
    )


_Box = tuple[float, float, float, float]


def _labels(spots: Sequence[Point], sizes: Sequence[Point], radius: float = _MARK) -> list[Point | None]:
    """Place each name next to its mark, at the nearest free position; None if there is none.

    A position is the middle of the baseline. The more names there are, the fewer positions are tried for each, so that
    thousands take seconds; far from its mark, a name would not be understood.
    """
    taken: dict[tuple[int, int], list[_Box]] = {}

    def squares(box: _Box) -> Iterator[tuple[int, int]]:
        left, top, right, bottom = (int(edge // _CELL) for edge in box)
        for i in range(left, right + 1):
            for j in range(top, bottom + 1):
                yield i, j

    def take(box: _Box) -> None:
        for square in squares(box):
            taken.setdefault(square, []).append(box)

    def free(box: _Box) -> bool:
        inside = box[0] >= _LEFT and box[2] <= _LEFT + _WIDTH and box[1] >= _TOP and box[3] <= _TOP + _HEIGHT
        return inside and not any(_meet(box, other) for square in squares(box) for other in taken.get(square, ()))

    for x, y in spots:
        take((x - radius, y - radius, x + radius, y + radius))
    rings = max(1, min(_RINGS, _TRIED // max(1, len(spots))))
    found: list[Point | None] = []
    for (x, y), (wide, high) in zip(spots, sizes, strict=True):
        for across, up in _around(x, y, wide, high, radius, rings):
            box = (across - wide / 2, up - high / 2, across + wide / 2, up + high / 2)
            if free(box):
                take(box)
                found.append((across, up + high / 3))
                break
        else:
            found.append(None)
    return found


def _nearest_point(spot: Point, middle: Point, size: Point) -> Point:
    """Return the point of a name's box nearest to a mark, where a line to it ends, so that none crosses the name.

    >>> _nearest_point((0.0, 0.0), (100.0, 5.0), (60.0, 20.0))
    (70.0, 0.0)
    """
    x, y = (min(max(s, m - length / 2), m + length / 2) for s, m, length in zip(spot, middle, size, strict=True))
    return x, y


def _around(x: float, y: float, wide: float, high: float, radius: float, rings: int) -> Iterator[Point]:
    """Yield positions for the middle of a name around a mark, in growing rings."""
    for ring in range(rings):
        away = radius + 2 + 11.0 * ring
        for turn in range(8 + 4 * ring):
            angle = 2 * math.pi * turn / (8 + 4 * ring)
            yield x + (away + wide / 2) * math.cos(angle), y - (away + high / 2) * math.sin(angle)


def _meet(a: _Box, b: _Box) -> bool:
    """Return whether two boxes overlap."""
    return min(a[2], b[2]) > max(a[0], b[0]) and min(a[3], b[3]) > max(a[1], b[1])


def _mark(kind: str, x: float, y: float, r: float = _MARK) -> str:
    color, shape = KINDS[kind]
    return svg.mark(shape, x, y, r, color, line="none", thick=0)
