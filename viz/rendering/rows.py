"""Break a long picture into rows, as text is broken into lines, so that it fills a screen instead of a ribbon."""

from __future__ import annotations

from ..graph.fold import Box, Cluster, Picture

# Rough sizes in points, only used to decide how many rows make a picture of about 16:9.
_COLUMN, _BOX, _FRAME = 230.0, 130.0, 60.0
_ASPECT = 1.7


def split(picture: Picture) -> list[list[Box]]:
    """Return the boxes of each row, in the picture's order; a box used in only one row is in that row.

    A row ends where few edges and frames are cut, near where rows of equal length would end.
    """
    column = _columns(picture)
    length = max(column.values(), default=0) + 1
    spans = [(column[edge.source], column[edge.target]) for edge in picture.edges]
    spans += 2 * _frame_spans(column)  # a frame in two pieces is worse than an edge to the next row
    cost = [sum(first < end <= last for first, last in spans) for end in range(length + 1)]
    heights = [0] * length
    for box in picture.boxes:
        heights[column[box]] += 1
    count = _count(heights)
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


def _columns(picture: Picture) -> dict[Box, int]:
    """Count the boxes before each box on the longest path to it; inputs come just before their first user."""
    column = dict.fromkeys(picture.boxes, 0)
    place = {box: i for i, box in enumerate(picture.boxes)}
    for edge in sorted(picture.edges, key=lambda edge: place[edge.source]):
        column[edge.target] = max(column[edge.target], column[edge.source] + 1)
    first_user: dict[Box, int] = {}
    fed = {edge.target for edge in picture.edges}
    for edge in picture.edges:
        if edge.source not in fed:
            first_user[edge.source] = min(first_user.get(edge.source, column[edge.target]), column[edge.target])
    return {box: first_user.get(box, at + 1) - 1 for box, at in column.items()}


def _frame_spans(column: dict[Box, int]) -> list[tuple[int, int]]:
    """Return the first and the last column of every frame."""
    spans: dict[Cluster, tuple[int, int]] = {}
    for box, at in column.items():
        cluster = box.cluster
        while cluster is not None:
            first, last = spans.get(cluster, (at, at))
            spans[cluster] = min(first, at), max(last, at)
            cluster = cluster.parent
    return list(spans.values())


def _count(heights: list[int]) -> int:
    """Return the number of rows that comes closest to the aspect ratio of a screen."""

    def aspect(count: int) -> float:
        size = -(-len(heights) // count)
        tall = sum(max(heights[i : i + size]) * _BOX + _FRAME for i in range(0, len(heights), size))
        return size * _COLUMN / tall

    return min(range(1, len(heights) + 1), key=lambda count: abs(aspect(count) / _ASPECT - 1))
