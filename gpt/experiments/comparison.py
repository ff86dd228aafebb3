"""Compare two models on the same text: which is better, how certainly, where, and how they differ."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from tinygrad_edu.nested import values_in

from ..inspection.surprisal import Group, Seen
from ..model import GPT
from ..runs.checkpoint import RunConfig

__all__ = ["ahead", "changed_settings", "difference", "distances", "pairs", "verdict"]


def difference(a: Sequence[Seen], b: Sequence[Seen], length: int) -> tuple[float, float, int]:
    """Return how much larger A's loss is, the standard error, and the number of sequences.

    Neighboring characters depend on each other, so sequences of ``length`` characters are averaged; the standard error
    of the mean difference of n of them is their standard deviation divided by √n. NaN for fewer than two.
    """
    each = [one.surprise - other.surprise for one, other in zip(a, b, strict=True)]
    parts = [each[i : i + length] for i in range(0, len(each) - length + 1, length)] or [each]
    means = [math.fsum(part) / len(part) for part in parts]
    mean, n = math.fsum(each) / len(each), len(means)
    if n < 2:
        return mean, math.nan, n
    center = math.fsum(means) / n
    return mean, math.sqrt(math.fsum((x - center) ** 2 for x in means) / (n - 1) / n), n


def verdict(mean: float, error: float, sequences: int) -> str:
    """Describe the difference in words.

    >>> verdict(0.05, 0.01, 300).partition(" (")[0]
    'B is better by 0.0500 ± 0.0100 nats per character'
    """
    better = "B" if mean > 0 else "A"
    if mean == 0.0:
        return "Both are equally surprised by this text."
    if math.isnan(error):
        return f"{better} is better by {abs(mean):.4f} nats per character on a text too short for a standard error."
    ratio = abs(mean) / error if error else math.inf
    sure = (
        "almost certainly, on text like this"
        if ratio >= 3
        else "probably, on text like this"
        if ratio >= 2
        else "less than two standard errors, so another part of the text may say the opposite"
    )
    return (
        f"{better} is better by {abs(mean):.4f} ± {error:.4f} nats per character (standard error over {sequences:,} "
        f"sequences): {sure}."
    )


def pairs(a: Sequence[Group], b: Sequence[Group], *, most: int | None = None) -> list[tuple[Group, Group]]:
    """Return the groups of characters as both models saw them; with ``most``, those that contribute most to the
    difference."""
    others = {group.name: group for group in b}
    found = [(group, others[group.name]) for group in a]
    if most is not None:
        found.sort(key=lambda pair: (-abs(pair[0].surprise - pair[1].surprise) * pair[0].count, pair[0].name))
    return found[:most]


def ahead(a: Sequence[Seen], b: Sequence[Seen], most: int) -> dict[str, list[int]]:
    """Return the positions of the characters at which A and B are most ahead of the other."""
    gaps = sorted((one.surprise - other.surprise, i) for i, (one, other) in enumerate(zip(a, b, strict=True)))
    return {"A": [i for gap, i in gaps[:most] if gap < 0], "B": [i for gap, i in gaps[::-1][:most] if gap > 0]}


def changed_settings(a: RunConfig, b: RunConfig) -> list[tuple[str, str, str]]:
    """Return the settings that differ, each with its value in A and in B."""
    one, other = _flat(a), _flat(b)
    return [(name, str(one[name]), str(other.get(name))) for name in one if one[name] != other.get(name)]


def _flat(config: RunConfig) -> dict[str, Any]:
    fields = dataclasses.asdict(config)
    return {**fields.pop("model"), **fields.pop("train"), **fields}


def distances(a: GPT, b: GPT, names: Sequence[str]) -> list[tuple[float, str]]:
    """Return by name how far tables of parameters are apart, relative to the norm of A's; the farthest first."""
    one, other = dict(a.named_parameters()), dict(b.named_parameters())
    found = []
    for name in names:
        left, right = ([value.data for value in values_in(tables[name])] for tables in (one, other))
        found.append((math.dist(left, right) / (math.hypot(*left) or 1.0), name))
    return sorted(found, key=lambda row: (-row[0], row[1]))
