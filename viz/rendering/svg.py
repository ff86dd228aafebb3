"""What charts are drawn with: words, lines, rectangles, marks and areas in SVG; a theme can turn them dark.

Areas are told apart by marks and lines as well as by color: colors are laid on thinly, so that words on them keep
their contrast on a light and on a dark screen.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence

from .. import style

Point = tuple[float, float]
LETTER = 8.6  # points: the width of a letter of the usual size, to leave room for words


def document(width: float, height: float, parts: Iterable[str], *, zoom: float = 1.0) -> str:
    """An SVG picture of a size in points, on paper of the color of the screen, shown ``zoom`` times as large."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{zoom * width:.0f}" height="{zoom * height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}"><rect width="100%" height="100%" fill="{style.PAPER}"/>'
        f"{''.join(parts)}</svg>"
    )


def moved(x: float, y: float, parts: Iterable[str]) -> str:
    """Parts of a picture, moved to the right and down."""
    return f'<g transform="translate({x:.1f} {y:.1f})">{"".join(parts)}</g>'


def text(
    x: float,
    y: float,
    words: str,
    color: str = style.INK,
    *,
    size: int = 16,
    anchor: str = "start",
    bold: bool = False,
) -> str:
    """Draw words at a point of a chart, ``size`` in points; ``anchor`` is that of SVG: start, middle or end."""
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-family="{style.FONT},Helvetica,sans-serif" font-size="{size}" '
        f'text-anchor="{anchor}" fill="{color}"{weight}>{html.escape(words)}</text>'
    )


def stroke(x1: float, y1: float, x2: float, y2: float, color: str, width: float) -> str:
    """Draw a straight line from one point to another."""
    place = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {place} stroke="{color}" stroke-width="{width}"/>'


def wrapped(words: str, width: int) -> list[str]:
    """Wrap words into rows of at most ``width`` letters.

    >>> wrapped("the first that is not finite", 12)
    ['the first', 'that is not', 'finite']
    """
    rows = [""]
    for word in words.split():
        if rows[-1] and len(rows[-1]) + 1 + len(word) > width:
            rows.append("")
        rows[-1] = f"{rows[-1]} {word}".strip()
    return rows


def rectangle(
    x: float,
    y: float,
    width: float,
    height: float,
    fill: str,
    *,
    opacity: float = 1.0,
    line: str = "",
    thick: float = 1,
) -> str:
    """A filled rectangle, with a line around it if a color is given for one."""
    around = f' stroke="{line}" stroke-width="{thick}"' if line else ""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}"'
        f"{_opacity(opacity)}{around}/>"
    )


def area(polygons: Iterable[Sequence[Point]], fill: str, *, opacity: float = 1.0) -> str:
    """Filled polygons in one shape."""
    outlines = "".join(f"M{'L'.join(f'{x:.1f},{y:.1f}' for x, y in corners)}Z" for corners in polygons)
    return f'<path d="{outlines}" fill="{fill}"{_opacity(opacity)}/>' if outlines else ""


def lines(segments: Iterable[tuple[Point, Point]], color: str, width: float) -> str:
    """Many straight lines of one look in one shape."""
    places = "".join(f"M{x1:.1f},{y1:.1f}L{x2:.1f},{y2:.1f}" for (x1, y1), (x2, y2) in segments)
    look = f'fill="none" stroke="{color}" stroke-width="{width}" stroke-linecap="round"'
    return f'<path d="{places}" {look}/>' if places else ""


def mark(shape: str, x: float, y: float, r: float, color: str, *, line: str = style.PAPER, thick: float = 1.5) -> str:
    """A point of a chart: a circle, square, triangle, diamond or star, with a line around it; a cross or two bars.

    Args:
        shape: one of these words.
        x, y, r: its middle, and half its size.
        color: that it is filled with; ``none`` for an outline.
        line, thick: color and width of the line around it.
    """
    look = f'fill="{color}" stroke="{line}" stroke-width="{thick}"'
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r:.1f}" {look}/>'
    if shape == "cross":
        return lines([((x - r, y - r), (x + r, y + r)), ((x - r, y + r), (x + r, y - r))], color, r / 2)
    if shape == "bars":
        return lines([((x - r, y + d), (x + r, y + d)) for d in (-r / 2, r / 2)], color, r / 2)
    around = {
        "square": [(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)],
        "triangle": [(0.0, -1.1), (1.2, 1.1), (-1.2, 1.1)],
        "diamond": [(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)],
        "star": [
            (size * math.cos(angle), size * math.sin(angle))
            for size, angle in ((0.6 if i % 2 else 1.3, math.pi * (i / 5 - 0.5)) for i in range(10))
        ],
    }[shape]
    return f'<path d="M{"L".join(f"{x + r * a:.1f},{y + r * b:.1f}" for a, b in around)}Z" {look}/>'


def hatching(x: float, y: float, width: float, height: float, step: float = 7.0) -> list[tuple[Point, Point]]:
    """Slanted lines that fill a rectangle, for :func:`lines`.

    >>> hatching(0.0, 0.0, 10.0, 10.0, step=10.0)
    [((0.0, 10.0), (10.0, 0.0))]
    """
    found = []
    across = step
    while across < width + height:  # the line x + y = across, cut at the edges
        low, high = max(0.0, across - height), min(width, across)
        found.append(((x + low, y + across - low), (x + high, y + across - high)))
        across += step
    return found


def titled(words: str, parts: Iterable[str], /, **data: str) -> str:
    """Parts that show words when the pointer rests on them, and the numbers in full as ``data-`` attributes."""
    facts = "".join(f' data-{name}="{html.escape(fact)}"' for name, fact in data.items())
    return f'<g class="node"{facts}><title>{html.escape(words)}</title>{"".join(parts)}</g>'


def width(words: str, size: float = 16.0, *, bold: bool = False) -> float:
    """How wide words are at most, in points; a little more than what Arial and Helvetica need.

    >>> width("iii") < width("www")
    True
    """
    return sum(_WIDTHS.get(character, 0.6 if character.isascii() else 1.0) for character in words) * size * (
        1.08 if bold else 1.0
    )  # fmt: skip


_WIDTHS = {
    **dict.fromkeys("fijlt.,:;|!'/\\ ()[]I-", 0.34),
    **dict.fromkeys("mwMW%@", 0.95),
    **dict.fromkeys("ABCDEFGHJKLNOPQRSTUVXYZ&", 0.76),
    **dict.fromkeys("−–·×", 0.6),  # … is as wide as in the widest font that has it
}


def _opacity(opacity: float) -> str:
    return "" if opacity == 1.0 else f' fill-opacity="{opacity:.3f}"'
