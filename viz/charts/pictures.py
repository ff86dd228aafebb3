"""``pictures``: small pictures in rows: a strip from noise to picture, a grid, a map of what attention looks at."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from tinygrad_edu import Value

from .. import style
from ..rendering import svg
from ..rendering.svg import text
from .chart import Chart, listed

Rows = Sequence[Sequence[float]]  # of one picture, from the top

_SIZE = 88.0  # points: the side of a picture
_GAP = 14.0
_LINE = 16  # characters: longer names of rows have several lines, so that the pictures are near
_LEVELS = 15  # shades of ink
_SHADES = " .:-=+*#%@"  # characters are twice as high as wide, so each pixel is two of them


@dataclass(frozen=True, repr=False)
class Pictures(Chart):
    """Finished pictures; the last line of a notebook cell shows them.

    Attributes:
        rows: by the name of a row, its pictures, each as rows of numbers.
        columns: the names of the columns; empty for none.
        low, high: the number of empty paper, and of full ink.
        title: the title.
    """

    rows: Mapping[str, Sequence[Rows]]
    columns: Sequence[str]
    low: float
    high: float
    title: str

    def __str__(self) -> str:
        """The pictures in characters."""
        blocks = [self.title] if self.title else []
        for name, row in self.rows.items():
            lines = [name] if name else []
            widths = [2 * len(picture[0]) for picture in row]
            names = zip(self.columns, widths, strict=False)
            lines += ["  ".join(style.short(name)[:w].ljust(w) for name, w in names).rstrip()] if self.columns else []
            for y in range(max(len(picture) for picture in row)):
                parts = [
                    "".join(2 * _SHADES[round(self._ink(x) * (len(_SHADES) - 1))] for x in picture[y])
                    if y < len(picture)
                    else " " * width
                    for picture, width in zip(row, widths, strict=True)
                ]
                lines.append("  ".join(parts).rstrip())
            blocks.append("\n".join(lines))
        return "\n\n".join(blocks)

    def _ink(self, x: float) -> float:
        return min(1.0, max(0.0, (x - self.low) / (self.high - self.low)))

    def _drawn(self) -> str:
        names = [textwrap.wrap(name, _LINE) for name in self.rows]
        left = 12 + max((svg.width(line, bold=True) + _GAP for lines in names for line in lines), default=0.0)
        if self.columns:  # the first may be wider than its picture, and is in its middle
            left = max(left, 12 + (svg.width(self.columns[0]) - _SIZE) / 2)
        step = _GAP + max(_SIZE, *(svg.width(name) for name in self.columns), 0.0)
        top = 12 + 34 * bool(self.title) + 24 * bool(self.columns)
        parts = [text(12, 30, self.title, size=20, bold=True)] if self.title else []
        for i, name in enumerate(self.columns):
            parts.append(text(left + i * step + _SIZE / 2, top - 8, name, anchor="middle"))
        for j, (name, row) in enumerate(self.rows.items()):
            y = top + j * (_SIZE + _GAP)
            for k, line in enumerate(names[j]):
                parts.append(text(12, y + _SIZE / 2 + 6 + 20 * (k - (len(names[j]) - 1) / 2), line, bold=True))
            for i, picture in enumerate(row):
                of = ", ".join(filter(None, [name, self.columns[i] if self.columns else ""]))
                parts.append(svg.moved(left + i * step, y, [self._picture(of, picture)]))
        bottom = top + len(self.rows) * (_SIZE + _GAP)
        words = f"empty: {style.number(self.low, 3)}, full of ink: {style.number(self.high, 3)}"
        parts.append(text(12, bottom + 14, words, style.FAINT))
        across = max(len(row) for row in self.rows.values())
        wide = max(left + across * step, 24 + svg.width(self.title, 20, bold=True), 24 + svg.width(words))
        return svg.document(wide, bottom + 32, parts)

    def _picture(self, name: str, picture: Rows) -> str:
        size = _SIZE / max(len(picture), len(picture[0]))
        areas: dict[int, list[list[tuple[float, float]]]] = {}
        for y, row in enumerate(picture):
            x = 0
            for level, run in groupby(round(self._ink(number) * _LEVELS) for number in row):
                end = x + len(list(run))
                corners = [(x, y), (end, y), (end, y + 1), (x, y + 1)]
                areas.setdefault(level, []).append([(a * size, b * size) for a, b in corners])
                x = end
        numbers = [number for row in picture for number in row]
        facts = f"from {style.number(min(numbers), 3)} to {style.number(max(numbers), 3)}"
        shades = [svg.area(areas[n], style.INK, opacity=n / _LEVELS) for n in sorted(areas) if n]
        frame = svg.rectangle(0, 0, size * len(picture[0]), size * len(picture), "none", line=style.OUTLINE)
        return svg.titled(f"{name}: {facts}" if name else facts, [*shades, frame])

    def _title(self) -> str:
        return self.title or "Pictures"


def pictures(
    rows: Mapping[str, Sequence[Any]],
    *,
    columns: Sequence[str] = (),
    low: float = -1.0,
    high: float = 1.0,
    title: str = "",
) -> Pictures:
    """Draw small pictures in rows, each pixel as a shade of ink.

    Args:
        rows: by the name of a row, its pictures: each a list of rows of numbers or Values, or all numbers of a square
            picture, row by row.
        columns: the names of the columns.
        low, high: the number that leaves the paper empty, and the one that is full ink.
        title: the title.

    Raises ValueError for what is not a picture, and for a wrong number of names.

    >>> print(pictures({"a cross": [[1, -1, 1, -1, 1, -1, 1, -1, 1]]}))
    a cross
    @@  @@
      @@
    @@  @@
    """
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"low and high must be finite, and low less than high; got {low} and {high}")
    shown = {}
    for name, some in rows.items():
        many = listed(some)
        if not isinstance(many, (list, tuple)) or not many:
            raise ValueError(f"row {name!r:.40} has no pictures; give it a list of them")
        shown[style.visible(name)] = [_rows(name, picture) for picture in many]
    if not shown:
        raise ValueError("there is nothing to show; give pictures() at least one row")
    across = max(map(len, shown.values()))
    if len(columns) not in (0, across):
        raise ValueError(f"there are {across} columns to name; got {len(columns)} names")
    return Pictures(shown, [style.visible(name) for name in columns], low, high, style.visible(title))


def _rows(name: str, picture: Any) -> Rows:
    """Return the numbers of a picture as rows."""
    if isinstance(picture, (list, tuple)) and picture and not isinstance(picture[0], (list, tuple)):
        side = math.isqrt(len(picture))
        if side * side != len(picture):
            raise ValueError(f"row {name!r:.40}: {len(picture)} numbers are no square picture; give it as rows")
        picture = [picture[i : i + side] for i in range(0, len(picture), side)]
    if not isinstance(picture, (list, tuple)) or not picture or not all(picture):
        raise ValueError(f"row {name!r:.40}: a picture is a list of rows of numbers, got {style.short(repr(picture))}")
    found = [[x.data if isinstance(x, Value) else x for x in row] for row in picture]
    if not all(isinstance(x, (int, float)) and math.isfinite(x) for row in found for x in row):
        raise ValueError(f"row {name!r:.40}: the pixels of a picture are finite numbers")
    if len({len(row) for row in found}) != 1:
        raise ValueError(f"row {name!r:.40}: the rows of a picture are equally long")
    return [[float(x) for x in row] for row in found]
