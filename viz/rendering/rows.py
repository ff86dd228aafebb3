"""Break a long picture into rows, as text is broken into lines, so that it fills a screen instead of a ribbon."""

from __future__ import annotations

import re
from collections.abc import Callable
from statistics import median

from ..graph.fold import Box, Cluster, Picture

SCREEN = (1280.0, 720.0)  # pixels
TEXT = 14.0  # pixels: how high the text is at least
ROWS = 4  # at most
IN_ROWS = 80  # boxes: more are never broken into rows

_SIZE = re.compile(r'viewBox="\S+ \S+ (\S+) (\S+)"')
_FONT = re.compile(r'font-size="([\d.]+)"')


def scale(svg: str) -> float:
    """How much larger a picture is when it fills the screen."""
    return min(_scales(svg))


def _scales(svg: str) -> tuple[float, float]:
    """How much larger it is when it is as wide as the screen, and when it is as high."""
    found = _SIZE.search(svg)
    return (SCREEN[0] / float(found[1]), SCREEN[1] / float(found[2])) if found else (1.0, 1.0)


def readable(svg: str) -> bool:
    """Whether the median text of a picture can be read on the screen."""
    return median(map(float, _FONT.findall(svg) or [TEXT])) * min(1.0, scale(svg)) >= TEXT


def fill_screen(picture: Picture, draw: Callable[..., str], one: str = "") -> tuple[list[list[Box]], str]:
    """Return the boxes of each row and the drawing, with as many rows as make it largest on a screen.

    Args:
        picture: what is drawn.
        draw: makes a drawing from rows, and with ``draft=True`` one that has its size.
        one: the drawing in one row, if it is there.
    """
    best: tuple[float, list[list[Box]]] | None = None
    for count in range(1, ROWS + 1):
        rows = split(picture, count)
        if best is not None and len(rows) == len(best[1]):
            continue
        wide, high = _scales(one if one and len(rows) == 1 else draw(rows, draft=True))
        size = min(1.0, wide, high)
        if best is None or size > best[0]:
            best = size, rows
        elif high < wide:
            break  # more rows are too high
    assert best is not None
    return best[1], one if one and len(best[1]) == 1 else draw(best[1])


def split(picture: Picture, count: int) -> list[list[Box]]:
    """Return the boxes of each of at most ``count`` rows, in the picture's order; a box used in only one row is in that
    row.

    A row ends where few edges and frames are cut, near where rows of equal length would end.
    """
    column = columns(picture)
    length = max(column.values(), default=0) + 1
    spans = [(column[edge.source], column[edge.target]) for edge in picture.edges]
    spans += 2 * _frame_spans(column)  # a frame in two pieces is worse than an edge to the next row
    cost = [sum(first < end <= last for first, last in spans) for end in range(length + 1)]
    slack = length / count / 2
    ends: list[int] = []
    for i in range(1, count):
        ideal = i * length / count
        low = ends[-1] + 1 if ends else 1
        near = [end for end in range(low, length) if abs(end - ideal) <= slack]
        if near:
            ends.append(min(near, key=lambda end: (cost[end], abs(end - ideal))))
    found: list[list[Box]] = [[] for _ in range(len(ends) + 1)]
    for box in picture.boxes:
        found[sum(end <= column[box] for end in ends)].append(box)
    return [row for row in found if row]


def columns(picture: Picture) -> dict[Box, int]:
    """Count the boxes before each box on the longest path to it; inputs, and what is computed from nothing else, come
    just before their first user.
    """
    column = dict.fromkeys(picture.boxes, 0)
    place = {box: i for i, box in enumerate(picture.boxes)}
    for edge in sorted(picture.edges, key=lambda edge: place[edge.source]):
        column[edge.target] = max(column[edge.target], column[edge.source] + 1)
    fed = {edge.target for edge in picture.edges}
    later = {edge.target for edge in picture.edges if edge.source in fed}
    first_user: dict[Box, int] = {}
    for edge in sorted(picture.edges, key=lambda edge: place[edge.source], reverse=True):
        at = (
            first_user.get(edge.target, column[edge.target] + 1) - 1
            if edge.target not in later
            else column[edge.target]
        )
        first_user[edge.source] = min(first_user.get(edge.source, at), at)
    return {box: at if box in later else first_user.get(box, at + 1) - 1 for box, at in column.items()}


def _frame_spans(column: dict[Box, int]) -> list[tuple[int, int]]:
    """Return the first and the last column of every frame."""
    spans: dict[Cluster, tuple[int, int]] = {}
    for box, at in column.items():
        cluster = box.cluster
        while cluster is not None:
            first, last = spans.get(cluster, (at, at))
            if cluster.shown:
                spans[cluster] = min(first, at), max(last, at)
            cluster = cluster.parent
    return list(spans.values())
