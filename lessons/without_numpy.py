"""What lessons take from numpy, in plain Python, for a page: arrays, counting baselines, the plane of an embedding."""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from gpt.data.baseline import Baseline
from tinygrad_edu.errors import ShapeError
from tinygrad_edu.nested import unflatten

__all__ = ["Numbers", "baselines", "nearest", "principal"]


class Numbers(list[Any]):
    """Numbers in a row, rows of them, and so on, with the little of numpy's arrays that lessons use."""

    def __init__(self, given: Any = ()) -> None:
        super().__init__(Numbers(x) if isinstance(x, list) and type(x) is not Numbers else x for x in given)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, tuple):
            first, *others = at
            chosen = self[first]
            if not others:
                return chosen
            return Numbers(row[tuple(others)] for row in chosen) if isinstance(first, slice) else chosen[tuple(others)]
        found = super().__getitem__(at)
        return Numbers(found) if isinstance(at, slice) else found

    @property
    def T(self) -> Numbers:
        """The rows as columns."""
        return Numbers(map(Numbers, zip(*self, strict=True)))

    def ravel(self) -> Numbers:
        """Return all numbers in a row."""
        return Numbers(x for row in self for x in (row.ravel() if isinstance(row, Numbers) else [row]))

    def reshape(self, *shape: int) -> Numbers:
        """Return the same numbers in rows of other lengths."""
        every = self.ravel()
        if len(every) != math.prod(shape):
            raise ShapeError(f"reshape() got {len(every):,} numbers; expected {math.prod(shape):,} for {shape}")
        return Numbers(unflatten(every, shape))

    def mean(self, axis: int | None = None) -> Any:
        """Return the mean of all numbers, of each column (``axis`` 0) or of each row (1)."""
        return self._along(axis, lambda row: sum(row) / len(row))

    def max(self, axis: int | None = None) -> Any:
        """Return the largest number of all, of each column (``axis`` 0) or of each row (1)."""
        return self._along(axis, max)

    def argmax(self, axis: int | None = None) -> Any:
        """Return the place of the largest number among all, in each column (``axis`` 0) or in each row (1)."""
        return self._along(axis, lambda row: row.index(max(row)))

    def _along(self, axis: int | None, of: Callable[[Any], Any]) -> Any:
        if axis is None:
            return of(self.ravel())
        return Numbers(of(row) for row in (self.T if axis == 0 else self))

    def tolist(self) -> list[Any]:
        """Return nested lists."""
        return [x.tolist() if isinstance(x, Numbers) else x for x in self]

    def _with(self, other: Any, of: Callable[[Any, Any], Any]) -> Numbers:
        others = other if isinstance(other, (list, tuple)) else [other] * len(self)
        return Numbers(
            x._with(y, of) if isinstance(x, Numbers) else of(x, y) for x, y in zip(self, others, strict=True)
        )

    def __add__(self, other: Any) -> Numbers:  # lists would be joined
        return self._with(other, operator.add)

    def __sub__(self, other: Any) -> Numbers:
        return self._with(other, operator.sub)

    def __mul__(self, other: Any) -> Numbers:
        return self._with(other, operator.mul)

    def __truediv__(self, other: Any) -> Numbers:
        return self._with(other, operator.truediv)

    def __rsub__(self, other: Any) -> Numbers:
        return self._with(other, lambda x, y: y - x)

    __radd__ = __iadd__ = __add__
    __rmul__ = __imul__ = __mul__

    def __abs__(self) -> Numbers:
        return Numbers(map(abs, self))


_NAMES = {1: ("unigram", "single characters"), 2: ("bigram", "all pairs"), 3: ("trigram", "all triples")}


def baselines(train: Sequence[int], val: Sequence[int], vocab_size: int) -> list[Baseline]:
    """Return uniform, unigram, bigram, trigram and a smoothed 5-gram; see :func:`gpt.data.ngram.baselines`."""
    found = [Baseline("uniform", "nothing but the alphabet", math.log(vocab_size))]
    train, val = tuple(train), tuple(val)
    mixed = [1.0 / vocab_size] * len(val)
    for n in range(1, 6):
        seen = Counter(zip(*(train[i:] for i in range(n)), strict=False))
        total: Counter[tuple[int, ...]] = Counter()
        kinds: Counter[tuple[int, ...]] = Counter()
        for run, count in seen.items():
            total[run[:-1]] += count
            kinds[run[:-1]] += 1
        runs = list(zip(*(val[i:] for i in range(n)), strict=False))
        counts = [(seen[run], total[run[:-1]], kinds[run[:-1]]) for run in runs]
        if n in _NAMES and counts:
            loss = min(
                -sum(math.log((count + a) / (before + a * vocab_size)) for count, before, _ in counts) / len(counts)
                for a in (1.0, 0.1, 0.01)
            )
            found.append(Baseline(*_NAMES[n], loss))
        shorter = mixed[len(mixed) - len(runs) :]
        mixed = [
            (count + some * p) / (before + some) if before else p
            for (count, before, some), p in zip(counts, shorter, strict=True)
        ]
    if mixed:
        loss = -sum(map(math.log, mixed)) / len(mixed)
        found.append(Baseline("5-gram", "all runs of up to five, smoothed", loss))
    return found


def principal(rows: Sequence[Sequence[float]]) -> tuple[list[tuple[float, float]], tuple[float, float]]:
    """Return coordinates along the two directions of largest variance, and their shares; see viz/charts/embeddings."""
    means = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    centered = [[x - mean for x, mean in zip(row, means, strict=True)] for row in rows]
    columns = list(zip(*centered, strict=True))
    found = _eigen([[_dot(a, b) for b in columns] for a in columns])
    total = sum(variance for variance, _ in found)
    axes, shares = [], []
    for variance, direction in found[:2]:
        largest = max(direction, key=lambda x: round(abs(x), 9))  # the first of equal ones decides
        axes.append([_dot(row, direction) * (1 if largest >= 0 else -1) for row in centered])
        shares.append(round(max(0.0, variance) / total, 12) if total > 0.0 else 0.0)
    while len(axes) < 2:
        axes.append([0.0] * len(rows))
        shares.append(0.0)
    return list(zip(*axes, strict=True)), (shares[0], shares[1])


def nearest(rows: Sequence[Sequence[float]], most: int) -> list[list[int]]:
    """Return for each vector the ``most`` others that are nearest by cosine similarity."""
    lengths = [_dot(row, row) ** 0.5 or 1.0 for row in rows]
    units = [[x / length for x in row] for row, length in zip(rows, lengths, strict=True)]
    order = range(len(rows))
    return [
        sorted((j for j in order if j != i), key=lambda j: -round(_dot(units[i], units[j]), 12))[:most] for i in order
    ]


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def _eigen(matrix: list[list[float]]) -> list[tuple[float, list[float]]]:
    """Return the eigenvalues of a symmetric matrix, the largest first, each with its direction: Jacobi's rotations."""
    n = len(matrix)
    turned = [[float(i == j) for j in range(n)] for i in range(n)]
    size = sum(x * x for row in matrix for x in row)
    while sum(matrix[i][j] ** 2 for i in range(n) for j in range(i)) > 1e-28 * size:
        for i in range(n):
            for j in range(i):
                if abs(matrix[i][j]) < 1e-300:
                    continue
                angle = 0.5 * math.atan2(2 * matrix[i][j], matrix[i][i] - matrix[j][j])
                c, s = math.cos(angle), math.sin(angle)
                for row in (*matrix, *turned):
                    row[i], row[j] = c * row[i] + s * row[j], c * row[j] - s * row[i]
                pairs = list(zip(matrix[i], matrix[j], strict=True))
                matrix[i], matrix[j] = [c * a + s * b for a, b in pairs], [c * b - s * a for a, b in pairs]
    return sorted(((matrix[i][i], [row[i] for row in turned]) for i in range(n)), key=lambda found: -found[0])
