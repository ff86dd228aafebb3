"""What lessons take from numpy, in plain Python, for a page: counting baselines and the plane of an embedding."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from gpt.data.baseline import Baseline

__all__ = ["baselines", "nearest", "principal"]

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
