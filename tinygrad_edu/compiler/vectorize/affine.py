"""Find boxes in lists of positions: the geometry of packs.py.

A pack of scalars is arranged in a box so that each of its operands is found by a formula, ``offset + steps ·
position``, instead of a list of addresses. Points are rows of integer matrices.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

IntArray = np.ndarray[Any, np.dtype[np.int64]]
Box = tuple[IntArray, tuple[int, ...]]  # the position of every member (one row each), and the size of the box

#: The largest share of holes in a box: beyond that, addresses are cheaper than wasted arithmetic.
LEAST_FILLED = 0.4


def fit(points: IntArray, images: IntArray) -> tuple[IntArray, IntArray] | None:
    """Return integers ``offset``, ``steps`` with ``images = offset + points @ steps.T`` for every point, or None.

    >>> fit(np.array([[0, 0], [0, 1], [1, 0]]), np.array([[5], [6], [15]]))
    (array([5]), array([[10,  1]]))
    """
    with_one = np.concatenate([np.ones((len(points), 1)), points], axis=1)
    solution = np.linalg.lstsq(with_one.T @ with_one, with_one.T @ images, rcond=None)[0]
    rounded = np.rint(solution).astype(np.int64)
    if not np.array_equal(points @ rounded[1:] + rounded[0], images):
        return None
    return rounded[0], rounded[1:].T


def inherit(places: IntArray) -> Box | None:
    """Return the smallest box around distinct positions, without the axes on which all agree; None if it is mostly
    holes.

    >>> inherit(np.array([[3, 0, 7], [3, 1, 7], [3, 0, 8], [3, 1, 8]]))[1]
    (2, 2)
    """
    low = places.min(axis=0)
    sizes = places.max(axis=0) - low + 1
    axes = np.flatnonzero(sizes > 1)
    shape = tuple(int(n) for n in sizes[axes])
    if len(places) < LEAST_FILLED * float(np.prod(shape, dtype=np.float64)):
        return None
    inside = places[:, axes] - low[axes]
    if shape and not are_distinct(inside, shape):
        return None
    return None if not shape and len(places) > 1 else (inside, shape)


def are_distinct(places: IntArray, shape: tuple[int, ...]) -> bool:
    """Return whether no two rows, places in a box of this shape, are the same.

    >>> are_distinct(np.array([[0, 1], [1, 1]]), (2, 2)), are_distinct(np.array([[0, 1], [0, 1]]), (2, 2))
    (True, False)
    """
    taken = np.zeros(shape, bool)  # np.unique would take longer, and its first call loads numpy.ma
    taken[tuple(places.T)] = True
    return int(np.count_nonzero(taken)) == len(places)


def nest(features: IntArray) -> Box | None:
    """Return the loops that list these rows in this order, if the rows change by constant steps in each loop.

    >>> nest(np.array([[0, 0], [0, 1], [0, 2], [9, 0], [9, 1], [9, 2]]))[1]
    (2, 3)
    """
    shape: list[int] = []
    rows = features
    while len(rows) > 1:
        steps = np.diff(rows, axis=0)
        breaks = np.flatnonzero((steps != steps[0]).any(axis=1))
        inner = int(breaks[0]) + 1 if len(breaks) else len(rows)
        if len(rows) % inner or inner == 1:
            return None
        blocks = rows.reshape(len(rows) // inner, inner, -1)
        if not (blocks - blocks[:, :1] == blocks[0] - blocks[0, 0]).all():
            return None
        shape.append(inner)
        rows = blocks[:, 0]
    shape.reverse()
    grid = np.indices(shape, dtype=np.int64).reshape(len(shape), -1).T if shape else np.zeros((1, 0), np.int64)
    return grid, tuple(shape)


def pairs(lefts: Sequence[Hashable], rights: Sequence[Hashable]) -> Box | None:
    """Arrange members that combine a left thing with a right thing in a box (group, left, right).

    Things that meet, directly or through others, form a group; inside a group every left thing should meet (nearly)
    every right thing. All rows of a matrix against all vectors is one group; the heads of attention are as many groups.

    >>> pairs("aabbcc", "xyxyzw")[1]
    (2, 2, 2)
    """
    left_ids: dict[Hashable, int] = {}
    right_ids: dict[Hashable, int] = {}
    edges = [
        (left_ids.setdefault(a, len(left_ids)), right_ids.setdefault(b, len(right_ids)))
        for a, b in zip(lefts, rights, strict=True)
    ]
    if len(set(edges)) != len(edges):
        return None
    leader = list(range(len(left_ids)))  # union-find over the left things
    by_right: list[int] = [-1] * len(right_ids)

    def find(i: int) -> int:
        while leader[i] != i:
            leader[i] = leader[leader[i]]
            i = leader[i]
        return i

    for a, b in edges:
        if by_right[b] < 0:
            by_right[b] = find(a)
        else:
            one, two = find(a), find(by_right[b])
            leader[max(one, two)] = min(one, two)
    groups: dict[int, int] = {}
    left_place: dict[int, int] = {}
    right_place: dict[int, int] = {}
    left_count: list[int] = []
    right_count: list[int] = []
    places = np.empty((len(edges), 3), np.int64)
    for row, (a, b) in enumerate(edges):
        group = groups.setdefault(find(a), len(groups))
        if group == len(left_count):
            left_count.append(0)
            right_count.append(0)
        if a not in left_place:
            left_place[a] = left_count[group]
            left_count[group] += 1
        if b not in right_place:
            right_place[b] = right_count[group]
            right_count[group] += 1
        places[row] = group, left_place[a], right_place[b]
    shape = (len(groups), max(left_count), max(right_count))
    return (places, shape) if len(edges) >= LEAST_FILLED * float(np.prod(shape, dtype=np.float64)) else None


def longest(tuples: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Return for every tuple the first of the longest ones that begin with it.

    >>> longest([(1,), (1, 2), (4,)])
    [(1, 2), (1, 2), (4,)]
    """
    starting: dict[int, list[tuple[int, ...]]] = {}  # by first element: those that no longer one begins with
    found: dict[tuple[int, ...], tuple[int, ...]] = {}
    for t in sorted(dict.fromkeys(tuples), key=len, reverse=True):  # stable: the first of equal length first
        longer = starting.setdefault(t[0], [])
        found[t] = next((other for other in longer if other[: len(t)] == t), t)
        if found[t] is t:
            longer.append(t)
    return [found[t] for t in tuples]
