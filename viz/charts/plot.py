"""``plot``: lines and points in one pair of axes, such as several losses, or a line through points."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .. import style
from ..rendering import svg
from ..rendering.svg import LETTER, stroke, text, wrapped
from .chart import Chart, listed

Point = tuple[float, float]

_WHOLE, _HEIGHT = 490.0, 260.0  # points: the picture, as wide as a phone can show readable, and the height of the axis
_LEFT, _RIGHT = 76.0, 20.0
_ZOOM = 1.3  # for larger screens
#: Lines differ in color, in dashes and in width, so they can be told apart in gray and from the back row.
LOOKS = [
    (style.POSITIVE, "", 4.0),
    (style.NEGATIVE, "10 6", 4.0),
    (style.INK, "2 5", 4.0),
    (style.MIXED, "14 5 3 5", 3.0),
    (style.OUTLINE, "", 2.0),
]
_MARKS = ("circle", "square", "triangle", "diamond")


@dataclass(frozen=True, repr=False)
class Plot(Chart):
    """A finished chart; the last line of a notebook cell shows it.

    Attributes:
        lines, points: the lines and points, by name, as pairs (x, y).
        title, x, y: the title, and the names of the axes.
        log: whether the vertical axis is logarithmic.
    """

    lines: Mapping[str, Sequence[Point]]
    points: Mapping[str, Sequence[Point]] = field(default_factory=dict)
    title: str = ""
    x: str = ""
    y: str = ""
    log: bool = False

    def __str__(self) -> str:
        """First and last number of every line, for readers who cannot see the picture."""
        rows = [self.title] if self.title else []
        for name, line in self.lines.items():
            (x0, y0), (x1, y1) = line[0], line[-1]
            rows.append(f"{name}: {style.number(y0)} at {style.number(x0)}, {style.number(y1)} at {style.number(x1)}")
        rows += [f"{name}: {len(marks)} points" for name, marks in self.points.items()]
        return "\n".join(rows)

    def _drawn(self) -> str:
        return _chart(self)

    def _title(self) -> str:
        return self.title or "chart"


def plot(
    lines: Mapping[str, Sequence[float] | Sequence[Point]],
    *,
    points: Mapping[str, Sequence[Point]] | None = None,
    title: str = "",
    x: str = "",
    y: str = "",
    log: bool = False,
) -> Plot:
    """Draw lines, and points, in one pair of axes.

    Args:
        lines: by name, the heights at 0, 1, 2, … or pairs (x, y). A number that is not finite, or not positive on a
            logarithmic axis, leaves a gap.
        points: by name, single points as pairs (x, y).
        title: the title.
        x, y: the names of the axes.
        log: whether the vertical axis is logarithmic.

    Raises ValueError if there is nothing to show.

    >>> print(plot({"loss": [4.0, 2.0, 1.0]}, title="training"))
    training
    loss: 4 at 0, 1 at 2
    """
    lines, points = listed(lines), listed(points)
    as_pairs = {name: [_pair(i, item) for i, item in enumerate(line)] for name, line in lines.items()}
    marks = {name: [(float(a), float(b)) for a, b in some] for name, some in (points or {}).items()}
    for name, line in [*as_pairs.items(), *marks.items()]:
        if not any(_shows(point, log) for point in line):
            raise ValueError(f"{name!r} has no point to show; give it at least one {'positive ' * log}finite number")
    if not as_pairs and not marks:
        raise ValueError("there is nothing to show; give plot() at least one line or some points")
    return Plot(as_pairs, marks, title, x, y, log)


def _pair(i: int, item: Any) -> Point:
    return (float(item[0]), float(item[1])) if isinstance(item, Sequence) else (float(i), float(item))


def _shows(point: Point, log: bool) -> bool:
    return math.isfinite(point[0]) and math.isfinite(point[1]) and (point[1] > 0.0 or not log)


# --- the chart --------------------------------------------------------------------------------------------------------


class Axis:
    """Maps numbers to positions, with a margin at both ends if the axis is not logarithmic.

    Attributes:
        low, high: the numbers at the ends; for a logarithmic axis, their powers of ten.
    """

    def __init__(
        self, numbers: Sequence[float], start: float, end: float, *, log: bool = False, margin: float = 0.05
    ) -> None:
        self.start, self.end, self.log = start, end, log
        if log:
            self.low = float(math.floor(math.log10(min(numbers))))
            self.high = max(float(math.ceil(math.log10(max(numbers)))), self.low + 1.0)
        else:
            low, high = min(numbers), max(numbers)
            room = margin * (high - low) if low < high else abs(high) * 0.1 or 1.0
            self.low, self.high = low - room, high + room

    def at(self, x: float) -> float:
        """Return the position of a number."""
        return self.start + (self.end - self.start) * ((math.log10(x) if self.log else x) - self.low) / (
            self.high - self.low
        )

    def ticks(self) -> Iterator[float]:
        """Return round numbers along the axis, at most seven."""
        if self.log:
            step = max(1, math.ceil((self.high - self.low) / 6))
            yield from (10.0**power for power in range(int(self.low), int(self.high) + 1, step))
            return
        rough = (self.high - self.low) / 6
        unit = 10.0 ** math.floor(math.log10(rough))
        step_size = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
        first = math.ceil(self.low / step_size)
        yield from (i * step_size for i in range(first, math.floor(self.high / step_size) + 1))


def grid(across: Axis, up: Axis, *, lines: bool = True) -> Iterator[str]:
    """Draw the numbers of two axes, and thin lines at them."""
    for tick in across.ticks():
        x = across.at(tick)
        if lines:
            yield stroke(x, up.end, x, up.start, style.FRAMES[2], 1)
        yield text(x, up.start + 22, style.plain(tick), style.FAINT, anchor="middle")
    for tick in up.ticks():
        y = up.at(tick)
        if lines:
            yield stroke(across.start, y, across.end, y, style.FRAMES[2], 1)
        yield text(across.start - 10, y + 5, style.plain(tick), style.FAINT, anchor="end")


def _chart(plot: Plot) -> str:
    shown = [p for line in [*plot.lines.values(), *plot.points.values()] for p in line if _shows(p, plot.log)]
    rows = wrapped(plot.title, int(_WHOLE / (1.25 * LETTER))) if plot.title else []
    parts = [text(12, 28 + 24 * i, row, size=20, bold=True) for i, row in enumerate(rows)]
    top = 24.0 * len(rows) + (46 if plot.y else 20)
    across = Axis([x for x, _ in shown], _LEFT, _WHOLE - _RIGHT)
    up = Axis([y for _, y in shown], top + _HEIGHT, top, log=plot.log)
    parts += grid(across, up)
    parts.append(text((across.start + across.end) / 2, up.start + 48, plot.x, anchor="middle"))
    parts.append(text(12, top - 20, plot.y))  # above the highest number of the axis
    names = _Names(up.start + (84 if plot.x else 58))
    for (name, line), (color, dashes, thick) in zip(plot.lines.items(), _cycle(len(plot.lines)), strict=True):
        look = f'fill="none" stroke="{color}" stroke-width="{thick}" stroke-linejoin="round"'
        look += f' stroke-dasharray="{dashes}"' if dashes else ""
        places = " ".join(
            f"{'L' if i and _shows(line[i - 1], plot.log) else 'M'}{across.at(p[0]):.1f},{up.at(p[1]):.1f}"
            for i, p in enumerate(line)
            if _shows(p, plot.log)
        )
        parts.append(f'<path class="line" d="{places}" {look}/>')
        x, y = names.place(name)
        parts.append(f'<path d="M{x:.0f},{y - 5:.0f}h32" {look}/>')
        parts.append(text(x + 40, y, name, bold=True))
    for i, (name, some) in enumerate(plot.points.items()):
        shape, color = _MARKS[i % len(_MARKS)], (style.INK, style.NEGATIVE, style.POSITIVE, style.MIXED)[i % 4]
        for point in some:
            if _shows(point, plot.log):
                parts.append(svg.mark(shape, across.at(point[0]), up.at(point[1]), 6.5, color))
        x, y = names.place(name)
        parts.append(svg.mark(shape, x + 16, y - 5, 6.5, color))
        parts.append(text(x + 40, y, name, bold=True))
    return svg.document(_WHOLE, names.y + 16, parts, zoom=_ZOOM)


class _Names:
    """Places for the names of lines and points, side by side below the axes as long as they fit."""

    def __init__(self, y: float) -> None:
        self.x, self.y = 12.0, y

    def place(self, name: str) -> Point:
        wide = 40 + svg.width(name, bold=True)
        if self.x > 12 and self.x + wide > _WHOLE - 8:
            self.x, self.y = 12.0, self.y + 28
        x, self.x = self.x, self.x + wide + 24
        return x, self.y


def _cycle(count: int) -> list[tuple[str, str, float]]:
    return [LOOKS[i % len(LOOKS)] for i in range(count)]
