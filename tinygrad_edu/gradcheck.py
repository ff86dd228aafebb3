"""Is a gradient right? Ask the definition: nudge one input, and see how far the output moves.

These functions know nothing of the chain rule, so they cannot share a mistake with ``backward``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from .engine import Value, no_grad
from .errors import GradientCheckError

Function = Callable[..., Value]


def central_difference(f: Function, inputs: Sequence[float], index: int, *, step: float | None = None) -> float:
    """∂f/∂inputs[index] by the central difference (f(x + h) − f(x − h)) / 2h.

    Args:
        f: takes as many Values as there are inputs and returns one Value.
        inputs: the point at which to differentiate.
        index: which input to nudge.
        step: h; the default, ∛ε times the size of the input, balances rounding against curvature.

    >>> round(central_difference(lambda x, y: x * x * y, [3.0, 2.0], 0), 6)
    12.0
    """
    if not 0 <= index < len(inputs):
        raise IndexError(f"index {index} is out of range for {len(inputs)} inputs (0 to {len(inputs) - 1})")
    x = float(inputs[index])
    h = step if step is not None else 6e-6 * max(1.0, abs(x))
    above, below = x + h, x - h

    def at(nudged: float) -> float:
        with no_grad():
            return f(*[Value(nudged if i == index else float(v)) for i, v in enumerate(inputs)]).data

    return (at(above) - at(below)) / (above - below)  # the h that was really taken, after rounding


def gradcheck(f: Function, inputs: Sequence[float], *, rtol: float = 1e-6, atol: float = 1e-8) -> None:
    """Compare every gradient of ``f`` at ``inputs`` with central differences; return quietly when all agree.

    Args:
        f: takes as many Values as there are inputs and returns one Value.
        inputs: the point; stay away from the corners of relu, abs, maximum, where there is no derivative to compare.
        rtol, atol: allowed is ``atol + rtol · max(|gradient|, |difference|)``, plus what rounding of the output costs.

    Raises:
        GradientCheckError: names the input, both numbers and the gap.

    >>> gradcheck(lambda x, y: (x * y).tanh(), [0.5, -0.3])
    """
    leaves = [Value(float(x)) for x in inputs]
    out = f(*leaves)
    out.backward()
    rounding = 1e-10 * abs(out.data)  # ε·|f| / h: what the subtraction of two nearby outputs loses
    for index, leaf in enumerate(leaves):
        expected = central_difference(f, inputs, index)
        allowed = atol + rtol * max(abs(leaf.grad), abs(expected)) + rounding
        if not math.isclose(leaf.grad, expected, rel_tol=0.0, abs_tol=allowed):
            raise GradientCheckError(
                f"input {index} at {leaf.data!r}: backward() says {leaf.grad!r}, the central difference says "
                f"{expected!r} (they differ by {abs(leaf.grad - expected):.3g}, allowed is {allowed:.3g})"
            )
