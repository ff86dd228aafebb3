"""Gradient statistics per table of parameters, the data of the gradient-flow charts.

>>> gradient_stats("w", [0.5, -1.5, 0.0, float("nan")])
GradientStats(name='w', count=4, mean=0.6666666666666666, largest=1.5, zeros=0.25, not_finite=1, update=None)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .errors import brief

__all__ = ["SATURATED", "GradientStats", "Units", "explain_divergence", "gradient_stats", "update_ratio"]

SATURATED = 0.99  # fraction of the limit of tanh


@brief
@dataclass(frozen=True)
class GradientStats:
    """The gradients of one table of parameters, or at the results of one module.

    Attributes:
        name: the path, such as ``"transformer.h.0.attn.c_attn.weight"``.
        count: how many Values.
        mean, largest: the mean and the maximum of the absolute gradient, over the finite ones.
        zeros: the fraction that is exactly zero.
        not_finite: how many are NaN or infinite.
        update: the norm of the last update divided by that of the parameters; None if unknown. About 1e-3 is usual for
            a network that learns well.
    """

    name: str
    count: int
    mean: float
    largest: float
    zeros: float
    not_finite: int
    update: float | None = None


@brief
@dataclass(frozen=True)
class Units:
    """Dead and saturated units of a layer, counted over more examples than a graph can hold.

    Attributes:
        total: how many units there are.
        dead, saturated: how many of them are dead, or saturated, for every example.
        examples: the number of examples.
        what: what an example is.
    """

    total: int
    dead: int
    saturated: int
    examples: int
    what: str = "example"


def gradient_stats(name: str, gradients: Sequence[float], update: float | None = None) -> GradientStats:
    """Compute the statistics of some gradients."""
    sizes = [abs(g) for g in gradients if math.isfinite(g)]
    return GradientStats(
        name,
        len(gradients),
        math.fsum(sizes) / len(sizes) if sizes else math.nan,
        max(sizes, default=math.nan),
        sizes.count(0.0) / len(gradients) if gradients else 0.0,
        len(gradients) - len(sizes),
        update,
    )


def update_ratio(before: Sequence[float], after: Sequence[float]) -> float | None:
    """Return the norm of a change divided by the norm of the old numbers; None if that is 0.

    >>> update_ratio([3.0, 4.0], [3.0, 4.5])
    0.1
    """
    length = math.hypot(*before)
    return math.hypot(*(b - a for a, b in zip(before, after, strict=True))) / length if length else None


def explain_divergence(now: Sequence[GradientStats], before: Sequence[GradientStats] = ()) -> str:
    """Say in which table of parameters training went wrong, as a sentence without a period.

    The gradient comes back from the end of the model: if it is not finite, the last table is the first that it reaches.
    If all of it is finite, it is the table whose gradient has grown most since ``before``.

    >>> before, a, b = (gradient_stats(*table) for table in (("a", [0.5]), ("a", [1e3]), ("b", [5.0])))
    >>> explain_divergence([a, b], [before])
    'the gradient of a has grown most, to 2,000 times what it was'
    """
    broken = [found.name for found in now if found.not_finite]
    if broken:
        if len(broken) == len(now):
            return f"the gradients of all {len(now)} tables of parameters are not finite"
        words = f"the gradients of {len(broken)} of {len(now)} tables of parameters are not finite"
        return f"{words}; on the way back from the loss the first one is {broken[-1]}"
    usual = {found.name: found.mean for found in before if found.mean > 0.0}
    growth = {found.name: found.mean / usual[found.name] for found in now if found.name in usual}
    if growth:
        most = max(growth, key=lambda name: growth[name])
        times = growth[most]
        words = f"{times:,.0f}" if 100.0 <= times < 1e6 else f"{times:.3g}".replace("e+", "e").replace("e0", "e")
        return f"the gradient of {most} has grown most, to {words} times what it was"
    most = max(now, key=lambda found: found.mean).name if now else ""
    return f"the largest gradient is that of {most}" if most else ""
