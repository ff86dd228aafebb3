"""What the charts are drawn with: SVG text and lines in the colours of :mod:`viz.style`; a theme can turn them dark."""

from __future__ import annotations

import html

from . import style

LETTER = 8.6  # points: the width of a letter of the usual size, to leave room for words


def text(
    x: float,
    y: float,
    words: str,
    colour: str = style.INK,
    *,
    size: int = 16,
    anchor: str = "start",
    bold: bool = False,
) -> str:
    """Words at a point of a chart, ``size`` in points; ``anchor`` is SVG's: start, middle or end."""
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-family="{style.FONT},Helvetica,sans-serif" font-size="{size}" '
        f'text-anchor="{anchor}" fill="{colour}"{weight}>{html.escape(words)}</text>'
    )


def stroke(x1: float, y1: float, x2: float, y2: float, colour: str, width: float) -> str:
    """A straight line from one point to another."""
    place = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {place} stroke="{colour}" stroke-width="{width}"/>'


def wrapped(words: str, width: int) -> list[str]:
    """Words in rows of at most ``width`` letters.

    >>> wrapped("the first that is not finite", 12)
    ['the first', 'that is not', 'finite']
    """
    rows = [""]
    for word in words.split():
        if rows[-1] and len(rows[-1]) + 1 + len(word) > width:
            rows.append("")
        rows[-1] = f"{rows[-1]} {word}".strip()
    return rows
