"""Compare drawings before and after a change: ``python3 run.py python docs/gallery.py --compare BEFORE AFTER PAGE``.

Both folders hold SVG files of the same names, made by this package, by ``dot``, or by other tools that use it. The page
shows them side by side, each as it looks on a screen, with how often lines cross, how long they are, and how large the
numbers are when the picture fills 1280 × 720.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from xml.etree import ElementTree

Point = tuple[float, float]
_SVG = "{http://www.w3.org/2000/svg}"


@dataclass(frozen=True)
class Measures:
    """What is measured of a drawing.

    Attributes:
        crossings: places where two lines cross.
        length: of all lines together, in points.
        lines: how many there are; of what several lines share, one.
        box: the median height of boxes, in points.
        text: the height of the median text when the picture fills the screen, in pixels; never above its own size.
        size: width and height in points.
    """

    crossings: int
    length: float
    text: float
    size: Point
    lines: int = 0
    box: float = 0.0

    @property
    def scaled(self) -> float:
        """The mean length of a line in heights of boxes: comparable when boxes hold more or less."""
        return self.length / max(1, self.lines) / (self.box or 1.0)


def measured(svg: str) -> Measures:
    """Measure a drawing.

    >>> line = '<g class="edge"><path d="M{}"/></g>'
    >>> both = line.format("0,0C5,5 5,5 10,10") + line.format("0,10C5,5 5,5 10,0")
    >>> measured(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 360">{both}</svg>').crossings
    1
    """
    root = ElementTree.fromstring(svg[svg.index("<svg") :])
    _, _, width, height = map(float, root.get("viewBox", "0 0 1 1").split())
    lines = list(_lines(root))
    scale = min(1280 / width, 720 / height, 1.0)
    sizes = [float(text.get("font-size", "16").removesuffix("px")) for text in root.iter(f"{_SVG}text")]
    length = sum(math.dist(a, b) for line in lines for a, b in pairwise(line))
    text = scale * median(sizes or [16.0])
    heights = list(_heights(root))
    return Measures(_crossings(lines), length, text, (width, height), len(lines), median(heights or [0.0]))


def _heights(root: ElementTree.Element) -> Iterator[float]:
    """The height of each box: of what is largest in it."""
    for element in root.iter(f"{_SVG}g"):
        if element.get("class") != "node":
            continue
        found = [float(box.get("height", "0")) for box in element.iter(f"{_SVG}rect")]
        found += [2 * float(circle.get("ry", "0")) for circle in element.iter(f"{_SVG}ellipse")]
        for outline in element.iter(f"{_SVG}polygon"):
            ys = [float(y) for y in re.findall(r",(-?[\d.]+)", outline.get("points", ""))]
            found.append(max(ys) - min(ys))
        if found:
            yield max(found)


def _lines(root: ElementTree.Element) -> Iterator[list[Point]]:
    """The lines of a drawing as many short ones; of what is drawn twice along one way, one."""
    shifts = {id(root): (0.0, 0.0)}
    for element in root.iter():
        dx, dy = shifts[id(element)]
        move = re.search(r"translate\(([-\d.]+)[ ,]+([-\d.]+)\)", element.get("transform", ""))
        if move:
            dx, dy = dx + float(move[1]), dy + float(move[2])
        for child in element:
            shifts[id(child)] = (dx, dy)
        if element.tag == f"{_SVG}g" and element.get("class") == "edge":
            paths = [path.get("d", "") for path in element.iter(f"{_SVG}path")]
            if paths:
                yield [(x + dx, y + dy) for x, y in _points(max(paths, key=len))]


def _points(d: str) -> list[Point]:
    found: list[Point] = []
    for letter, rest in re.findall(r"([MLC])([^MLC]*)", d):
        numbers = [float(n) for n in re.findall(r"-?\d+\.?\d*", rest)]
        corners = list(zip(numbers[::2], numbers[1::2], strict=False))
        if letter != "C":
            found += corners
            continue
        for i in range(0, len(corners) - 2, 3):
            (x0, y0), (x1, y1), (x2, y2), (x3, y3) = found[-1], *corners[i : i + 3]
            for k in range(1, 7):
                t, s = k / 6, 1 - k / 6
                a, b, c, e = s**3, 3 * s * s * t, 3 * s * t * t, t**3
                found.append((a * x0 + b * x1 + c * x2 + e * x3, a * y0 + b * y1 + c * y2 + e * y3))
    return found


def _crossings(lines: list[list[Point]]) -> int:
    """How often lines cross: a sweep from left to right over their segments."""
    segments = sorted(
        (min(p[0], q[0]), max(p[0], q[0]), min(p[1], q[1]), max(p[1], q[1]), i, p, q)
        for i, line in enumerate(lines)
        for p, q in pairwise(line)
    )
    active: list[tuple[float, float, float, float, int, Point, Point]] = []
    count = 0
    for left, right, low, high, line, p, q in segments:
        active = [other for other in active if other[1] >= left]
        count += sum(
            other[4] != line and other[3] >= low and other[2] <= high and _meet(p, q, other[5], other[6])
            for other in active
        )
        active.append((left, right, low, high, line, p, q))
    return count


def _meet(p: Point, q: Point, r: Point, s: Point) -> bool:
    """Whether two segments cross inside of both."""

    def side(a: Point, b: Point, c: Point) -> float:
        return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])

    return side(p, q, r) * side(p, q, s) < 0 and side(r, s, p) * side(r, s, q) < 0


_HEAD = """<!doctype html><meta charset="utf-8"><title>Drawings before and after</title><style>
body{font:16px/1.4 Helvetica,Arial,sans-serif;margin:1em}table{border-collapse:collapse}td,th{border:1px solid #999;
padding:.2em .6em;text-align:right}td:first-child{text-align:left}figure{display:inline-block;margin:.5em 0;width:49%;
vertical-align:top}img{max-width:100%;max-height:80vh;border:1px solid #ccc;background:#fff}</style>"""


def compare(before: Path, after: Path, page: Path) -> str:
    """Write the page and return a table of what was measured."""
    names = sorted({path.stem for path in before.glob("*.svg")} & {path.stem for path in after.glob("*.svg")})
    rows, figures = [], []
    for name in names:
        paths = [folder / f"{name}.svg" for folder in (before, after)]
        found = [measured(path.read_text(encoding="utf-8")) for path in paths]
        rows.append((name, *found))
        parts = [
            f"<figure><figcaption>{word}: {m.crossings} crossings, {m.length:,.0f} pt of lines, {m.text:.1f} px, "
            f'{m.size[0]:.0f} × {m.size[1]:.0f}</figcaption><img src="{path.resolve().as_uri()}"></figure>'
            for word, path, m in zip(("before", "after"), paths, found, strict=True)
        ]
        figures.append(f"<h2>{html.escape(name)}</h2>{''.join(parts)}")
    lines = [f"{'':26}{'crossings':>14}{'length of lines':>22}{'per line, boxes':>18}{'text in px':>14}"]
    lines += [
        f"{name:26}{b.crossings:7}{a.crossings:7}{b.length:11,.0f}{a.length:11,.0f}{b.scaled:9.2f}{a.scaled:9.2f}"
        f"{b.text:7.1f}{a.text:7.1f}"
        for name, b, a in rows
    ]
    crossings = [sum(found[i].crossings for _, *found in rows) for i in (0, 1)]
    lengths = [sum(found[i].length for _, *found in rows) for i in (0, 1)]
    lines.append(f"{'all':26}{crossings[0]:7}{crossings[1]:7}{lengths[0]:11,.0f}{lengths[1]:11,.0f}")
    page.write_text(f"{_HEAD}<pre>{html.escape(chr(10).join(lines))}</pre>{''.join(figures)}", encoding="utf-8")
    return "\n".join(lines)
