"""``arrows``: a direction at every place of a plane, at several moments side by side, with points that follow them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tinygrad_edu import Value

from .. import style
from ..rendering import svg
from ..rendering.choice_page import choice_page
from ..rendering.svg import text
from .chart import Chart, listed
from .plot import Axis, grid

Point = tuple[float, float]
Field = Callable[[list[float]], Any]

_SIDE = 300.0  # points: the plane of one panel
_LEFT, _TOP = 80.0, 44.0
_ROOM = 34.0  # below a panel
_REACH = 0.9  # the length of the longest arrow, in steps of the grid
_SIGNS = "→↗↑↖←↙↓↘"
_SLOW = 0.05  # of the longest arrow; below, a direction says nothing
MOST_RESOLUTION = 60  # arrows along each axis


@dataclass(frozen=True)
class Panel:
    """The plane at one moment.

    Attributes:
        name: the moment.
        places, directions: where an arrow begins, and how far it goes to the right and up, row by row from below.
        points: what follows the arrows.
    """

    name: str
    places: Sequence[Point]
    directions: Sequence[Point]
    points: Sequence[Point]


@dataclass(frozen=True, repr=False)
class Arrows(Chart):
    """Finished fields of arrows; the last line of a notebook cell shows them.

    Attributes:
        panels: one per moment.
        bounds: the part of the plane, as the ranges across and up.
        across: how many arrows there are along each axis.
        longest: the length of the longest direction of all moments, the unit of all arrows.
        title: the title.
    """

    panels: Sequence[Panel]
    bounds: tuple[Point, Point]
    across: int
    longest: float
    title: str

    def __str__(self) -> str:
        """The plane in characters: which way each arrow points, and ● where there are points."""
        blocks = [self.title] if self.title else []
        for panel in self.panels:
            signs = [_sign(direction, self.longest) for direction in panel.directions]
            for point in panel.points:
                column, row = (
                    math.floor((x - low) / (high - low) * self.across)
                    for x, (low, high) in zip(point, self.bounds, strict=True)
                )
                if 0 <= column < self.across and 0 <= row < self.across:
                    signs[row * self.across + column] = "●"
            rows = [" ".join(signs[i : i + self.across]) for i in range(0, len(signs), self.across)]
            blocks.append("\n".join(filter(None, [panel.name, *reversed(rows)])))
        return "\n\n".join([*blocks, self._words()])

    def _words(self) -> str:
        return f"the longest arrow: {style.number(self.longest, 3)}" + (
            "; ● points" if any(panel.points for panel in self.panels) else ""
        )

    def _drawn(self) -> str:
        count = len(self.panels)
        columns = count if count <= 3 else math.ceil(count / 2) if count <= 6 else math.ceil(math.sqrt(count))
        rows = math.ceil(count / columns)
        top = 40.0 if self.title else 8.0
        wide, high = _LEFT + _SIDE + 28, _TOP + _SIDE + _ROOM
        parts = [text(12, 28, self.title, size=20, bold=True)] if self.title else []
        for i, panel in enumerate(self.panels):
            parts.append(svg.moved(i % columns * wide, top + i // columns * high, self._panel(panel)))
        parts.append(text(12, top + rows * high + 22, self._words(), style.FAINT))
        whole = max(columns * wide, 24 + svg.width(self.title, 20, bold=True), 24 + svg.width(self._words()))
        return svg.document(whole, top + rows * high + 40, parts)

    def _panel(self, panel: Panel) -> list[str]:
        (x0, x1), (y0, y1) = self.bounds
        across = Axis([x0, x1], _LEFT, _LEFT + _SIDE, margin=0.0)
        up = Axis([y0, y1], _TOP + _SIDE, _TOP, margin=0.0)
        unit = _REACH * _SIDE / self.across / (self.longest or 1.0)
        shafts, heads = [], []
        for place, (dx, dy) in zip(panel.places, panel.directions, strict=True):
            x, y = across.at(place[0]), up.at(place[1])
            tip = (x + dx * unit, y - dy * unit)
            shafts.append(((x, y), tip))
            length = math.hypot(dx, dy) * unit
            if length > 2.0:
                heads.append(_head(tip, (dx * unit / length, -dy * unit / length), min(7.0, length)))
        parts = [
            text(_LEFT + _SIDE / 2, _TOP - 12, panel.name, anchor="middle", bold=True),
            svg.rectangle(_LEFT, _TOP, _SIDE, _SIDE, "none", line=style.OUTLINE),
            *grid(across, up, lines=False),
            svg.lines(shafts, style.POSITIVE, 1.8),
            svg.area(heads, style.POSITIVE),
        ]
        for x, y in panel.points:
            if x0 <= x <= x1 and y0 <= y <= y1:
                parts.append(svg.mark("circle", across.at(x), up.at(y), 4.0, style.NEGATIVE, thick=1))
        return parts

    def _title(self) -> str:
        return self.title or "Arrows"

    def _page(self) -> str:
        if len(self.panels) == 1:
            return super()._page()
        frames = [replace(self, panels=[panel]).svg() for panel in self.panels]
        return choice_page(self._title(), {"moment": [panel.name for panel in self.panels]}, frames, slider=True)


def arrows(
    fields: Field | Mapping[str, Field],
    *,
    points: Mapping[str, Sequence[Sequence[float]]] | None = None,
    title: str = "",
    bounds: tuple[Point, Point] = ((-2.0, 2.0), (-2.0, 2.0)),
    resolution: int = 12,
) -> Arrows:
    """Draw a field of arrows: in which direction, and how fast, each place of the plane moves.

    Args:
        fields: takes a list of two numbers and returns two, which can be Values; or several of them by name, such as
            the same field at several times, which are drawn side by side and in one unit.
        points: by the same names, the points that are drawn on the arrows, such as particles that follow them.
        title: the title.
        bounds: the part of the plane, as the ranges of both numbers.
        resolution: how many arrows there are along each axis.

    Raises ValueError for a field whose numbers are not two finite ones, and for points of no field.

    >>> print(arrows(lambda p: [-p[1], p[0]], bounds=((-1, 1), (-1, 1)), resolution=3))
    ↙ ← ↖
    ↓ · ↑
    ↘ → ↗
    <BLANKLINE>
    the longest arrow: 0.943
    """
    if not 2 <= resolution <= MOST_RESOLUTION:
        raise ValueError(f"resolution must be from 2 to {MOST_RESOLUTION}, got {resolution}")
    given = dict(fields) if isinstance(fields, Mapping) else {"": fields}
    if not given or not all(callable(field) for field in given.values()):
        raise TypeError("expected a function of two numbers that returns two, or several by name")
    (x0, x1), (y0, y1) = bounds = (_pair(bounds[0]), _pair(bounds[1])) if len(bounds) == 2 else ((0.0, 0.0),) * 2
    if not (x0 < x1 and y0 < y1):
        raise ValueError("bounds must be two ranges that rise, such as ((-1, 1), (-1, 1))")
    marks = {} if points is None else {name: [_pair(point) for point in listed(some)] for name, some in points.items()}
    if unknown := [name for name in marks if name not in given]:
        raise ValueError(f"there are points for {unknown[0]!r:.40}, but no field of this name")
    middles = [(i + 0.5) / resolution for i in range(resolution)]
    places = [(x0 + a * (x1 - x0), y0 + b * (y1 - y0)) for b in middles for a in middles]
    panels = [
        Panel(style.visible(name), places, [_pair(field(list(place))) for place in places], marks.get(name, []))
        for name, field in given.items()
    ]
    longest = max(math.hypot(*direction) for panel in panels for direction in panel.directions)
    return Arrows(panels, bounds, resolution, longest, style.visible(title))


def _pair(thing: Any) -> Point:
    found = listed(thing)
    if isinstance(found, (list, tuple)) and len(found) == 2:
        numbers = [x.data if isinstance(x, Value) else x for x in found]
        if all(isinstance(x, (int, float)) and math.isfinite(x) for x in numbers):
            return float(numbers[0]), float(numbers[1])
    raise ValueError(f"expected two finite numbers, got {style.short(repr(thing))}")


def _sign(direction: Point, longest: float) -> str:
    if math.hypot(*direction) <= _SLOW * longest:
        return "·"
    return _SIGNS[round(math.atan2(direction[1], direction[0]) / (math.pi / 4)) % 8]


def _head(tip: Point, along: Point, size: float) -> list[Point]:
    """Return the triangle at the tip of an arrow."""
    (x, y), (a, b) = tip, along
    back = (x - size * a, y - size * b)
    half = 0.5 * size
    return [tip, (back[0] - half * b, back[1] + half * a), (back[0] + half * b, back[1] - half * a)]
