"""Turn a chart into PNG or PDF: the program that lays out graphs draws its shapes and words again.

That program is installed anyway, so charts need no further package to become pictures for slides and print. Shapes go
into the ``_background`` of an empty graph, which holds drawing operations; words become nodes at fixed positions,
because some versions of ``dot`` crash on words in a background. So words are always on top of shapes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from xml.etree import ElementTree

from .. import style
from ..errors import DrawingError
from . import graphviz_program

_ZOOM = {"png": 2.0, "pdf": 1.0}  # a PNG has enough pixels for a poster
_TIMEOUT = 30.0  # seconds; nothing is laid out, only drawn

Point = tuple[float, float]


def rasterize(svg: str, format: str, zoom: float | None = None) -> bytes:
    """Turn an SVG into ``"png"`` or ``"pdf"``, ``zoom`` times as large; by default large enough for a poster.

    It understands what the charts of this package consist of: ``rect``, ``line``, ``circle``, ``ellipse``,
    ``polyline``, ``polygon``, ``path`` with the commands M L H V Q C Z, and ``text`` that is not rotated, in groups
    with ``transform``; styles are attributes, not style sheets.

    Raises:
        DrawingError: the SVG contains something else.
        LayoutError: no program on this machine can write the format; the message says what to install.
    """

    def drawn(program: graphviz_program.Renderer) -> bytes:
        source = as_dot(svg, _ZOOM[format] if zoom is None else zoom, program.baselines)
        return graphviz_program.render(source, format, program, _TIMEOUT, engine="neato")

    return graphviz_program.first_that_works(format, drawn, text=".svg")


def as_dot(svg: str, zoom: float = 1.0, baselines: tuple[float, float] = (0.0, 0.0)) -> str:
    """Return DOT text with which ``neato -n2`` draws an SVG, ``zoom`` times as large.

    ``baselines`` are those of :class:`viz.rendering.graphviz_program.Renderer`.
    """
    root = ElementTree.fromstring(svg)
    left, top, width, height = map(float, root.get("viewBox", "").split())
    sheet = _Sheet(width, height, zoom, baselines)
    sheet.draw(root, {}, (zoom, 0.0, 0.0, zoom, -left * zoom, -top * zoom))
    return sheet.source()


_Matrix = tuple[float, float, float, float, float, float]  # as in SVG: x' = a·x + c·y + e, y' = b·x + d·y + f
#: What an element inherits from the groups around it.
_INHERITED = (
    "fill", "stroke", "stroke-width", "stroke-dasharray", "fill-opacity", "stroke-opacity",
    "font-size", "font-weight", "text-anchor",
)  # fmt: skip
_SILENT = ("title", "desc", "style", "metadata")


@dataclass
class _Sheet:
    """Collects drawing operations and words; its y axis points up, as in Graphviz.

    Attributes:
        wide, high: the size of the SVG, in its own units.
        zoom: points of the sheet per unit.
        baselines: how far the baseline is below the middle of a node, for regular and bold letters, as a fraction of
            their size.
    """

    wide: float
    high: float
    zoom: float
    baselines: tuple[float, float]
    shapes: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    @property
    def width(self) -> float:
        return self.wide * self.zoom

    @property
    def height(self) -> float:
        return self.high * self.zoom

    def source(self) -> str:
        corner = f'pos="{self.width / 2:.2f},{self.height / 2:.2f}"'
        return "\n".join(
            [
                "graph {",
                f'graph [pad=0 margin=0 bgcolor="transparent" _background={_string(self.shapes)}]',
                'node [shape=none margin=0 fixedsize=true label=""]',
                f"sheet [{corner} width={self.width / 72:.4f} height={self.height / 72:.4f}]",
                *self.words,
                "}",
            ]
        )

    def draw(self, element: ElementTree.Element, around: Mapping[str, str], matrix: _Matrix) -> None:
        """Draw an element and everything in it, with the styles of the groups around it."""
        kind = element.tag.rpartition("}")[2]
        if kind in _SILENT:
            return
        looks = {**around, **{name: element.attrib[name] for name in _INHERITED if name in element.attrib}}
        if "opacity" in element.attrib:
            for name in ("fill-opacity", "stroke-opacity"):
                looks[name] = str(float(looks.get(name, 1.0)) * float(element.attrib["opacity"]))
        matrix = _moved(matrix, element.get("transform", ""))
        if kind in ("svg", "g", "a"):
            for child in element:
                self.draw(child, looks, matrix)
        elif kind == "text":
            self._text(element, looks, matrix)
        else:
            self._shape([[_at(matrix, p) for p in run] for run in _outline(kind, element, self)], looks, matrix)

    def _shape(self, runs: list[list[Point]], looks: Mapping[str, str], matrix: _Matrix) -> None:
        fill = _color(looks.get("fill", "#000000"), looks.get("fill-opacity"))
        stroke = _color(looks.get("stroke", "none"), looks.get("stroke-opacity"))
        zoom = math.sqrt(abs(matrix[0] * matrix[3] - matrix[1] * matrix[2]))
        if fill:
            self.shapes += [_operation("c", "#00000000"), _operation("C", fill)]
            self.shapes += [self._points("P", run) for run in runs if len(run) > 2]
        if stroke:
            dashes = [zoom * float(x) for x in re.findall(r"[\d.]+", looks.get("stroke-dasharray", ""))]
            width = zoom * float(looks.get("stroke-width", 1.0))
            self.shapes += [_operation("c", stroke), _operation("S", f"setlinewidth({width:.2f})")]
            lines = [line for run in runs for line in (_dashed(run, dashes) if sum(dashes) > 0.0 else [run])]
            self.shapes += [self._points("L", line) for line in lines if len(line) > 1]

    def _points(self, letter: str, points: list[Point]) -> str:
        return f"{letter} {len(points)} " + " ".join(f"{x:.2f} {self.height - y:.2f}" for x, y in points)

    def _text(self, element: ElementTree.Element, looks: Mapping[str, str], matrix: _Matrix) -> None:
        words = "".join(element.itertext())
        color = _color(looks.get("fill", "#000000"), looks.get("fill-opacity"))
        if not words.strip() or not color:
            return
        if abs(matrix[1]) > 1e-9 or abs(matrix[2]) > 1e-9:
            raise DrawingError(f"rotated text ({words!r}) cannot be written as .png or .pdf; save as .svg or .html")
        x, y = _at(matrix, (_number(element, "x"), _number(element, "y")))
        size = matrix[3] * float(looks.get("font-size", "16").removesuffix("px"))
        anchor = looks.get("text-anchor", "start")
        # A node from the anchor to the edge of the sheet, with the words on the side of the anchor, so that the width
        # of the words, which only the program knows, does not matter.
        half = min(x, self.width - x)
        start, end = {"start": (x, self.width), "end": (0.0, x)}.get(anchor, (x - half, x + half))
        width, height = round(end - start), round(1.2 * size)
        align = {"start": "LEFT", "end": "RIGHT"}.get(anchor, "CENTER")
        inside = graphviz_program.text(words)
        bold = looks.get("font-weight", "") in ("bold", "600", "700")
        if bold:
            inside = f"<B>{inside}</B>"
        cell = f'<TD ALIGN="{align}" WIDTH="{width}" HEIGHT="{height}">{inside}</TD>'
        self.words.append(
            f'w{len(self.words)} [pos="{(start + end) / 2:.2f},{self.height - y + self.baselines[bold] * size:.2f}" '
            f'width={width / 72:.4f} height={height / 72:.4f} fontname="{style.FONT}" fontsize={size:.2f} '
            f'fontcolor="{color}" label=<{_TABLE}<TR>{cell}</TR></TABLE>>]'
        )


_TABLE = '<TABLE BORDER="0" CELLBORDER="0" CELLPADDING="0" CELLSPACING="0">'


def _string(parts: list[str]) -> str:
    """Write a string as a sum of short ones: some versions of ``dot`` read no literal longer than 16,384 characters."""
    words = " ".join(parts)
    lines = [words[i : i + 8192] for i in range(0, len(words), 8192)] or [""]
    return " + ".join(f'"{line}"' for line in lines)


def _operation(letter: str, words: str) -> str:
    return f"{letter} {len(words)} -{words}"


def _color(color: str, opacity: str | None) -> str:
    """Return ``#rrggbb`` or ``#rrggbbaa``; empty for something invisible."""
    if color in ("none", "transparent"):
        return ""
    color = {"black": "#000000", "white": "#ffffff"}.get(color, color)  # the names that graphviz itself writes
    if not re.fullmatch("#[0-9a-fA-F]{6}", color):
        raise DrawingError(f"the color {color!r} cannot be written as .png or .pdf; write it as #rrggbb")
    share = 1.0 if opacity is None else float(opacity)
    return color if share >= 1.0 else f"{color}{round(255 * share):02x}" if share > 0.0 else ""


def _moved(matrix: _Matrix, transform: str) -> _Matrix:
    for name, arguments in re.findall(r"(\w+)\s*\(([^)]*)\)", transform):
        x, y, *more = [*map(float, re.split(r"[\s,]+", arguments.strip())), 0.0][:3] + [0.0] * 2
        if name == "translate":
            matrix = _times(matrix, (1.0, 0.0, 0.0, 1.0, x, y))
        elif name == "scale":
            matrix = _times(matrix, (x, 0.0, 0.0, y or x, 0.0, 0.0))
        elif name == "rotate":
            cos, sin = math.cos(math.radians(x)), math.sin(math.radians(x))
            matrix = _times(matrix, (1.0, 0.0, 0.0, 1.0, y, more[0]))
            matrix = _times(_times(matrix, (cos, sin, -sin, cos, 0.0, 0.0)), (1.0, 0.0, 0.0, 1.0, -y, -more[0]))
        else:
            raise DrawingError(f"the transform {name!r} cannot be written as .png or .pdf; save as .svg or .html")
    return matrix


def _times(m: _Matrix, n: _Matrix) -> _Matrix:
    (a, b, c, d, e, f), (p, q, r, s, t, u) = m, n
    return (a * p + c * q, b * p + d * q, a * r + c * s, b * r + d * s, a * t + c * u + e, b * t + d * u + f)


def _at(m: _Matrix, point: Point) -> Point:
    x, y = point
    return m[0] * x + m[2] * y + m[4], m[1] * x + m[3] * y + m[5]


# --- shapes as runs of points -----------------------------------------------------------------------------------------


def _number(element: ElementTree.Element, name: str, default: float = 0.0) -> float:
    return float(element.get(name, default))


def _length(element: ElementTree.Element, name: str, whole: float) -> float:
    words = element.get(name, "0")
    return whole * float(words[:-1]) / 100 if words.endswith("%") else float(words)


def _outline(kind: str, element: ElementTree.Element, sheet: _Sheet) -> list[list[Point]]:
    """Yield the lines of points along a shape; a closed one ends where it began."""
    if kind == "rect":
        x, y = _number(element, "x"), _number(element, "y")
        width, height = _length(element, "width", sheet.wide), _length(element, "height", sheet.high)
        return [_rounded(x, y, width, height, min(_number(element, "rx"), width / 2, height / 2))]
    if kind == "line":
        return [[(_number(element, f"x{i}"), _number(element, f"y{i}")) for i in (1, 2)]]
    if kind in ("circle", "ellipse"):
        x, y, r = _number(element, "cx"), _number(element, "cy"), _number(element, "r")
        return [_arc(x, y, _number(element, "rx", r), _number(element, "ry", r), 0, 360)]
    if kind in ("polyline", "polygon"):
        numbers = [float(n) for n in re.findall(_NUMBER, element.get("points", ""))]
        points = [*zip(numbers[::2], numbers[1::2], strict=True)]
        return [[*points, points[0]] if kind == "polygon" else points]
    if kind == "path":
        return [*_path(element.get("d", ""))]
    raise DrawingError(f"<{kind}> cannot be written as .png or .pdf; save as .svg or .html")


def _arc(x: float, y: float, rx: float, ry: float, start: float, end: float) -> list[Point]:
    steps = max(4, math.ceil((end - start) / 7.5))
    angles = [math.radians(start + (end - start) * i / steps) for i in range(steps + 1)]
    return [(x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles]


def _rounded(x: float, y: float, width: float, height: float, r: float) -> list[Point]:
    right, bottom = x + width, y + height
    if r <= 0.0:
        return [(x, y), (right, y), (right, bottom), (x, bottom), (x, y)]
    corners = [(x + r, y + r, 180), (right - r, y + r, 270), (right - r, bottom - r, 0), (x + r, bottom - r, 90)]
    points = [p for cx, cy, angle in corners for p in _arc(cx, cy, r, r, angle, angle + 90)]
    return [*points, points[0]]


_NUMBER = r"-?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_TAKES = {"M": 2, "L": 2, "H": 1, "V": 1, "Q": 4, "C": 6}


def _path(d: str) -> Iterator[list[Point]]:
    """Yield the lines of a path, curves as many short segments."""
    run: list[Point] = []
    x = y = 0.0
    for letter, arguments in re.findall(r"([A-Za-z])([^A-Za-z]*(?:[eE][-+]?\d[^A-Za-z]*)*)", d):
        command, numbers = letter.upper(), [float(n) for n in re.findall(_NUMBER, arguments)]
        if command == "Z":
            if run:
                run.append(run[0])
                yield run
                (x, y), run = run[0], []
            continue
        if command not in _TAKES:
            raise DrawingError(f"the path command {letter!r} cannot be written as .png or .pdf; save as .svg or .html")
        for i in range(0, len(numbers), _TAKES[command]):
            part = numbers[i : i + _TAKES[command]]
            if command == "H":
                part = [part[0], 0.0 if letter.islower() else y]
            elif command == "V":
                part = [0.0 if letter.islower() else x, part[0]]
            points = [*zip(part[::2], part[1::2], strict=True)]
            if letter.islower():
                points = [(x + a, y + b) for a, b in points]
            if command == "M" and i == 0:
                if run:
                    yield run
                run = []
            elif not run:
                run = [(x, y)]
            run += _curve([(x, y), *points]) if command in "QC" else points
            x, y = points[-1]
    if run:
        yield run


def _curve(ends: list[Point]) -> list[Point]:
    """Return points along a Bézier curve, by de Casteljau's construction, without the first one."""
    out = []
    for i in range(1, 17):
        t, points = i / 16, ends
        while len(points) > 1:
            points = [(a + t * (c - a), b + t * (d - b)) for (a, b), (c, d) in pairwise(points)]
        out.append(points[0])
    return out


def _dashed(run: list[Point], dashes: list[float]) -> Iterator[list[Point]]:
    """Cut a line into alternating dashes and gaps of the given lengths."""
    lengths = dashes * (1 + len(dashes) % 2)
    turn, left, part = 0, lengths[0], [run[0]]
    for (x0, y0), (x1, y1) in pairwise(run):
        length, done = math.hypot(x1 - x0, y1 - y0), 0.0
        while length - done > left:
            done += left
            point = (x0 + (x1 - x0) * done / length, y0 + (y1 - y0) * done / length)
            if turn % 2 == 0:
                yield [*part, point]
            turn, part = turn + 1, [point]
            left = lengths[turn % len(lengths)]
        left -= length - done
        part.append((x1, y1))
    if turn % 2 == 0:
        yield part
