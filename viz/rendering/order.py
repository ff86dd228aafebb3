"""Layers of boxes, lanes of lines and the order in each layer of one frame: without coordinates, so that a picture
that is laid out again with other sizes keeps them.

A box follows everything it is computed from. A line has a lane in each layer that it passes. The lines of one box share
their lanes until they part: as late as possible, or at once and one layer earlier where fewer lines cross then.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

SWEEPS = 12
FEW, STARTS = 120, 12  # cells of a frame, and other orders that are tried when its lines cross
SIFTED = 400  # cells: with more, none is moved alone
EARLIER = 2  # layers at most that a box moves from its place so that its lines part before others begin
TRIED = 40  # ways to move boxes at most


class Way(NamedTuple):
    """A line from one item to another, by number.

    Attributes:
        source: the box that it comes from; lines of one source share lanes.
        out, into: which door it takes from top to bottom, of a frame that has several.
    """

    a: int
    b: int
    source: int
    out: int = 0
    into: int = 0


class Plan(NamedTuple):
    """Where the items of a frame and its lines go.

    Attributes:
        layer: of each cell: first those of the items, then lanes.
        routes: the cells of each line.
        rows: the cells of each layer, in order.
        crossings: how often lines cross.
    """

    layer: tuple[int, ...]
    routes: tuple[tuple[int, ...], ...]
    rows: tuple[tuple[int, ...], ...]
    crossings: int


@lru_cache(maxsize=64)
def planned(order: tuple[int, ...], ranks: tuple[float, ...], doors: tuple[str, ...], ways: tuple[Way, ...]) -> Plan:
    """Find layers, lanes and order.

    Args:
        order: the items, each after what it is computed from.
        ranks: of each item, its place in the program.
        doors: of each item, whether it is a door: "in", "out" or "".
        ways: the lines.
    """
    layer = _layers(order, doors, ways)
    best = _Grid(layer, ranks, ways, frozenset())
    best.solve()
    if best.crossings and len(best.layer) <= FEW:
        best = _parted(best, layer, ranks, doors, ways)
    best.merge()
    if len(best.layer) <= FEW:
        best.in_program_order()
    return best.plan()


def _layers(order: Sequence[int], doors: Sequence[str], ways: Sequence[Way]) -> list[int]:
    """The layer of each item: after what it is computed from, and as near as possible to what it feeds."""
    into: list[list[int]] = [[] for _ in order]
    out: list[list[int]] = [[] for _ in order]
    for way in ways:
        into[way.b].append(way.a)
        out[way.a].append(way.b)
    layer = [0] * len(order)
    for item in order:
        for before in into[item]:
            layer[item] = max(layer[item], layer[before] + 1)
    last = max(layer, default=0)
    if "out" in doors and any(at == last and door != "out" for at, door in zip(layer, doors, strict=True)):
        last += 1
    for item, door in enumerate(doors):
        if door == "out":
            layer[item] = last
    held = [0] * len(order)  # lines that get longer when an item moves to its users: what feeds only it moves along
    for item in order:
        for before in into[item]:
            held[item] += 1 if doors[before] or len(out[before]) > 1 else held[before]
    for item in reversed(order):
        if out[item] and not doors[item] and held[item] <= len(out[item]):
            layer[item] = max(layer[item], min(layer[after] for after in out[item]) - 1)
    return layer


def _parted(best: _Grid, layer: list[int], ranks: Sequence[float], doors: Sequence[str], ways: Sequence[Way]) -> _Grid:
    """Let the lines of some boxes part at once, and move these boxes to earlier layers, while fewer lines cross."""
    targets: dict[int, set[int]] = {}
    for way in ways:
        targets.setdefault(way.a, set()).add(way.b)
    into: dict[int, set[int]] = {}
    for way in ways:
        into.setdefault(way.b, set()).add(way.a)
    movable = sorted((a for a, found in targets.items() if len(found) > 1), key=lambda a: (-len(targets[a]), a))

    def moved(a: int, back: int) -> list[int] | None:
        """The layers when an item moves back, with what it is computed from; None if there is no room."""
        found = list(layer)
        waiting = [(a, layer[a] - back)]
        while waiting:
            a, at = waiting.pop()
            if at < found[a]:
                if at < 0 or doors[a]:
                    return None
                found[a] = at
                waiting += [(b, at - 1) for b in into.get(a, ())]
        return found

    tried, better = 0, True
    parts: frozenset[int] = frozenset()
    while better and best.crossings:
        better = False
        for a, back in ((a, back) for back in range(EARLIER + 1) for a in movable):
            after = moved(a, back)
            if after is None or (not back and a in parts):
                continue
            grid = _Grid(after, ranks, ways, parts | {a})
            if len(grid.layer) > FEW:
                continue
            if tried == TRIED:
                return best
            tried += 1
            grid.solve(best)
            grid.merge()
            if grid.crossings < best.crossings:
                best, layer, parts, better = grid, after, parts | {a}, True
                break
    return best


class _Grid:
    """Cells in layers, and the pieces of lines between them."""

    def __init__(
        self, layer: Sequence[int], ranks: Sequence[float], ways: Sequence[Way], parts: frozenset[int]
    ) -> None:
        self.ways = ways
        self.items = len(layer)
        self.layer = list(layer)
        self.ranks = list(ranks)
        self.routes: list[list[int]] = []
        lanes: dict[tuple[int, int, int, int], int] = {}
        for way in ways:
            route = [way.a]
            for between in range(layer[way.a] + 1, layer[way.b]):
                key = (way.a, way.source, between, way.b if way.a in parts else -1)
                if key not in lanes:
                    lanes[key] = len(self.layer)
                    self.layer.append(between)
                    self.ranks.append((ranks[way.a] + ranks[way.b]) / 2)
                route.append(lanes[key])
            self.routes.append([*route, way.b])
        self.names = {cell: key for key, cell in lanes.items()}
        self.rows: list[list[int]] = [[] for _ in range(max(self.layer, default=0) + 1)]
        for cell, at in enumerate(self.layer):
            self.rows[at].append(cell)
        self.place = [0.0] * len(self.layer)
        self.crossings = 0
        self._link()

    def _link(self) -> None:
        """Note what is next to each cell, and by which door it is reached."""
        found: dict[tuple[int, int, int, int, int], None] = {}
        for number, (way, route) in enumerate(zip(self.ways, self.routes, strict=True)):
            for k, (a, b) in enumerate(pairwise(route)):
                ends = b < self.items  # there, each line is drawn by itself
                found[a, b, 0 if k else way.out, way.into if ends else 0, number if ends else -1] = None
        self.before: list[list[tuple[int, float, float]]] = [[] for _ in self.layer]
        self.after: list[list[tuple[int, float, float]]] = [[] for _ in self.layer]
        for a, b, out, into, _ in found:
            self.after[a].append((b, 1e-5 * out, 1e-5 * into))
            self.before[b].append((a, 1e-5 * into, 1e-5 * out))

    def plan(self) -> Plan:
        return Plan(
            tuple(self.layer), tuple(map(tuple, self.routes)), tuple(map(tuple, self.rows)), self.crossings
        )  # fmt: skip

    # --- the order ---

    def solve(self, like: _Grid | None = None) -> None:
        """Sort the cells of each layer so that few lines cross; of equally good orders the first one counts."""
        best, fewest = [row[:] for row in self.rows], math.inf
        for number, start in enumerate(self._starts(like)):
            self._set(start)
            for improve in (self._sift, self._sweep, self._sift)[number == 0 :]:
                found = improve()
                if found < fewest:
                    best, fewest = [row[:] for row in self.rows], found
            if not fewest:
                break
        self._set(best)
        self.crossings = self.count()

    def _starts(self, like: _Grid | None) -> Iterator[list[list[int]]]:
        """Orders to begin with: that of the program; for few cells also others, always the same ones."""
        ranked = [sorted(row, key=lambda cell: self.ranks[cell]) for row in self.rows]
        yield ranked
        if like is not None:
            yield self._as_in(like)
        if like is not None or len(self.layer) > FEW:
            return
        grouped = [ranked[0]]  # what has an often used source in common stands together
        for row in ranked[1:]:
            turn = {cell: i for i, cell in enumerate(grouped[-1])}
            most = {
                cell: max((len(self.after[a]), -turn[a]) for a, _, _ in self.before[cell])
                if self.before[cell]
                else (0, 0)
                for cell in row
            }
            grouped.append(sorted(row, key=lambda cell: (-most[cell][1], self.ranks[cell])))
        yield grouped
        chance = random.Random(0)
        for _ in range(STARTS):
            yield [chance.sample(row, len(row)) for row in ranked]

    def _as_in(self, like: _Grid) -> list[list[int]]:
        """The order of a grid with the same items."""

        def at(cell: int) -> float:
            if cell < self.items:
                return like.place[cell]
            a, _, between, b = self.names[cell]
            if b < 0:
                return like.place[a]
            share = (between - self.layer[a]) / (self.layer[b] - self.layer[a])
            return (1 - share) * like.place[a] + share * like.place[b]

        return [sorted(row, key=lambda cell: (at(cell), self.ranks[cell])) for row in self.rows]

    def _set(self, rows: Sequence[Sequence[int]]) -> None:
        for row, cells in zip(self.rows, rows, strict=True):
            row[:] = cells
            self._number(row)

    def _number(self, row: Sequence[int]) -> None:
        if len(row) == 1:
            self.place[row[0]] = 0.5
            return
        for i, cell in enumerate(row):
            self.place[cell] = i / (len(row) - 1)

    def count(self) -> int:
        """How often lines cross."""
        total = 0
        for row in self.rows[:-1]:
            ends = sorted(
                (self.place[a] + out, self.place[b] + into) for a in row for b, out, into in self.after[a]
            )  # fmt: skip
            seen: list[float] = []
            for _, b in ends:
                k = bisect_right(seen, b)
                total += len(seen) - k
                seen.insert(k, b)
        return total

    def _sweep(self) -> int:
        """Sort layer by layer by what is next to it, keep the best order, and return how often lines cross in it."""
        best, fewest = [row[:] for row in self.rows], self.count()
        place = self.place
        for sweep in range(SWEEPS):
            if not fewest:
                break
            down = sweep % 2 == 0
            for row in self.rows if down else reversed(self.rows):
                wish = {}
                for cell in row:
                    near = self.before[cell] if down else self.after[cell]
                    here = place[cell]
                    wish[cell] = (sum(place[b] + door for b, _, door in near) / len(near) if near else here, here)
                row.sort(key=wish.__getitem__)
                self._number(row)
            found = self.count()
            if found < fewest:
                best, fewest = [row[:] for row in self.rows], found
        self._set(best)
        return fewest

    def _sift(self) -> int:
        """Move each cell to the place of its layer where it crosses least, while that removes crossings; returns those
        that are left.
        """
        better = len(self.layer) <= SIFTED
        for _ in range(4):
            if not better:
                break
            better = False
            for row in self.rows:
                if len(row) < 2:
                    continue
                pairs = self._pairs(row)
                if pairs is None:
                    continue
                order = list(range(len(row)))
                for i in range(len(row)):
                    others = [k for k in order if k != i]
                    change, least, where = 0, 0, 0  # of crossings, by how many others come before it
                    here, at = 0, order.index(i)
                    mine = pairs[i]
                    for k, other in enumerate(others):
                        change += pairs[other][i] - mine[other]
                        if change < least:
                            least, where = change, k + 1
                        if k + 1 == at:
                            here = change
                    if least < here:
                        others.insert(where, i)
                        order = others
                        better = True
                if order != sorted(order):
                    row[:] = [row[i] for i in order]
                    self._number(row)
        return self.count()

    def _pairs(self, row: Sequence[int]) -> list[list[int]] | None:
        """How many lines of each two cells of a layer cross when the first one is above; None if none do."""
        place, size = self.place, len(row)
        pairs = [[0] * size for _ in range(size)]
        some = False
        for side in (self.before, self.after):
            ends = [sorted(place[b] + door for b, _, door in side[cell]) for cell in row]
            for i, upper in enumerate(ends):
                if not upper:
                    continue
                top = upper[-1]
                for k, lower in enumerate(ends):
                    if lower and i != k and top > lower[0]:
                        pairs[i][k] += sum(x > y for x in upper for y in lower)
                        some = True
        return pairs if some else None

    def merge(self) -> None:
        """Join the lanes of one source that run side by side."""
        into: dict[int, int] = {}  # a lane that is gone, and the one it is in
        came = {cell: self.before[cell][0][0] for cell in self.names}
        for row in self.rows:
            kept: list[int] = []
            for cell in row:
                last = kept[-1] if kept else -1
                if cell in self.names and last in self.names and self.names[cell][:2] == self.names[last][:2]:
                    one, other = came[cell], came[last]
                    if into.get(one, one) == into.get(other, other):
                        into[cell] = last
                        continue
                kept.append(cell)
            row[:] = kept
        if not into:
            return
        new: dict[int, int] = {}
        for cell in range(len(self.layer)):
            if cell not in into:
                new[cell] = len(new)
        number = {cell: new[into.get(cell, cell)] for cell in range(len(self.layer))}
        self.routes = [[number[cell] for cell in route] for route in self.routes]
        self.rows = [[number[cell] for cell in row] for row in self.rows]
        self.names = {number[cell]: key for cell, key in self.names.items() if cell not in into}
        self.layer = [at for cell, at in enumerate(self.layer) if cell not in into]
        self.ranks = [rank for cell, rank in enumerate(self.ranks) if cell not in into]
        self.place = [0.0] * len(self.layer)
        self._link()
        self._set([row[:] for row in self.rows])
        self.crossings = self.count()

    # --- siblings ---

    def in_program_order(self) -> None:
        """Swap siblings that are not in the order of the program, with what follows only them and what only they
        follow, where no more lines cross then.
        """
        for row in self.rows:
            for i in range(len(row)):
                for k in range(i + 1, len(row)):
                    a, b = row[i], row[k]
                    if a >= self.items or b >= self.items or self.ranks[a] <= self.ranks[b]:
                        continue
                    pairs = [(a, b), *self._partners(a, b, self.before), *self._partners(a, b, self.after)]
                    self._swap(pairs)
                    found = self.count()
                    if found > self.crossings:
                        self._swap(pairs)
                    else:
                        self.crossings = found

    def _partners(self, a: int, b: int, side: list[list[tuple[int, float, float]]]) -> list[tuple[int, int]]:
        """The chains that lead to two cells of a layer, or on from them, pair by pair while they are alike."""
        found: list[tuple[int, int]] = []
        back = self.after if side is self.before else self.before
        while len(side[a]) == len(side[b]) == 1:
            a, b = side[a][0][0], side[b][0][0]
            if a == b or len(back[a]) != 1 or len(back[b]) != 1 or self.layer[a] != self.layer[b]:
                break
            found.append((a, b))
        return found

    def _swap(self, pairs: Sequence[tuple[int, int]]) -> None:
        for a, b in pairs:
            row = self.rows[self.layer[a]]
            i, k = row.index(a), row.index(b)
            row[i], row[k] = b, a
            self._number(row)
