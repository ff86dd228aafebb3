"""Positions for a picture whose contents change while its boxes stay, as in stepper pages and animations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from . import sheet
from .layout import Thing, arrange

ROOM = 80.0  # points: for the numbers on lines, along them
EDGE = 11.0  # around the picture


@dataclass(frozen=True)
class Positions:
    """Where everything is, in points from the upper left corner.

    Attributes:
        width, height: the size of the whole picture.
        centers: the middle (x, y) of each box.
        paths: the ``d`` of an SVG path from the border of one box to the border of another, per edge.
    """

    width: float
    height: float
    centers: tuple[tuple[float, float], ...]
    paths: tuple[str, ...]


def lay_out(sizes: Sequence[tuple[float, float]], edges: Sequence[tuple[int, int]]) -> Positions:
    """Lay out boxes of the given widths and heights, in points, so that edges lead from left to right.

    >>> lay_out([(40.0, 20.0), (40.0, 20.0)], [(0, 1)]).centers
    ((31.0, 21.0), (151.0, 21.0))
    """
    boxes = [Thing(width, height) for width, height in sizes]
    layout = arrange(boxes, edges, [ROOM] * len(edges))
    paths = []
    for number in range(len(edges)):
        pieces = [line for line in layout.lines if number in line.edges]
        corners = [point for line in sorted(pieces, key=lambda line: line.points[0][0]) for point in line.points]
        paths.append(sheet.path([(x + EDGE, y + EDGE) for x, y in sheet.with_straight_ends(corners, True)], True))
    centers = tuple((box.x + box.width / 2 + EDGE, box.y + box.height / 2 + EDGE) for box in boxes)
    return Positions(layout.width + 2 * EDGE, layout.height + 2 * EDGE, centers, tuple(paths))
