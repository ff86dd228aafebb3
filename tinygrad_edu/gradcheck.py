"""Check gradients by their definition: nudge one input, and see how far the output moves.

These functions do not use the chain rule, so they cannot share a mistake with ``backward``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from .engine import Value, as_float, constant, no_grad, topological_order
from .errors import GradientCheckError, NoGradientError, brief, shown
from .ops import CONSTANT, Op

__all__ = ["Disagreement", "Function", "central_difference", "gradcheck", "locate", "measured_gradients"]

Function = Callable[..., Value | float]


def central_difference(f: Function, inputs: Sequence[float], index: int, *, step: float | None = None) -> float:
    """Compute ∂f/∂inputs[index] by the central difference (f(x + h) − f(x − h)) / 2h.

    Args:
        f: takes as many Values as there are inputs and returns one Value or number, as ``math.exp`` does.
        inputs: the point at which to differentiate.
        index: which input to nudge.
        step: h; the default, ∛ε times the size of the input, balances rounding against curvature.

    >>> round(central_difference(lambda x, y: x * x * y, [3.0, 2.0], 0), 6)
    12.0
    """
    if not 0 <= index < len(inputs):
        raise IndexError(f"index {index} is out of range for {len(inputs)} inputs (0 to {len(inputs) - 1})")
    point = [as_float(v) for v in inputs]
    x = point[index]
    h = step if step is not None else 6e-6 * max(1.0, abs(x))
    above, below = x + h, x - h

    def at(nudged: float) -> float:
        with no_grad():
            return _result(f, [Value(nudged if i == index else v) for i, v in enumerate(point)]).data

    return (at(above) - at(below)) / (above - below)  # the actual h, after rounding


def _result(f: Function, leaves: list[Value]) -> Value:
    out = f(*leaves)
    if isinstance(out, Value):
        return out
    try:
        return constant(out)
    except TypeError:
        raise TypeError(f"the function must return one Value or number, got {shown(out)}") from None


def _differentiated(f: Function, inputs: Sequence[float]) -> tuple[list[Value], Value]:
    """Return leaves at ``inputs``, and the result of ``f``."""
    leaves = [Value(as_float(x)) for x in inputs]
    return leaves, _result(f, leaves)


def _backward(out: Value) -> None:
    with suppress(NoGradientError):  # a constant: all gradients stay 0, and are compared as such
        out.backward()


def gradcheck(f: Function, inputs: Sequence[float], *, rtol: float = 1e-6, atol: float = 1e-8) -> None:
    """Compare every gradient of ``f`` at ``inputs`` with central differences; return quietly when all agree.

    Args:
        f: takes as many Values as there are inputs and returns one Value or number.
        inputs: the point; stay away from the corners of relu, abs, maximum, where there is no derivative to compare.
        rtol, atol: the tolerance is ``atol + rtol · max(|gradient|, |difference|)``, plus rounding of the output.

    Raises:
        GradientCheckError: names the input, both numbers and the gap.

    >>> gradcheck(lambda x, y: (x * y).tanh(), [0.5, -0.3])
    """
    leaves, out = _differentiated(f, inputs)
    _backward(out)
    rounding = 1e-10 * abs(out.data)  # ε·|f| / h: what the subtraction of two nearby outputs loses
    for index, leaf in enumerate(leaves):
        expected = central_difference(f, inputs, index)
        allowed = atol + rtol * max(abs(leaf.grad), abs(expected)) + rounding
        if not math.isclose(leaf.grad, expected, rel_tol=0.0, abs_tol=allowed):
            raise GradientCheckError(
                f"input {index} at {leaf.data!r}: backward() says {leaf.grad!r}, the central difference says "
                f"{expected!r} (they differ by {abs(leaf.grad - expected):.3g}, allowed is {allowed:.3g})"
            )


@brief
@dataclass(frozen=True)
class Disagreement:
    """Where a gradient first goes wrong.

    Attributes:
        value: the Value computed by the wrong operation, or the input with the wrong gradient.
        position: its position in ``topological_order``, or the index of the input.
        operand: the operation's input to which the wrong derivative belongs; None if every operation is right and the
            graph itself lacks a path.
        claimed: the derivative according to the operation or to ``backward()``.
        measured: the same by finite differences.
        message: all of this in words.
    """

    value: Value
    position: int
    operand: int | None
    claimed: float
    measured: float
    message: str


def locate(f: Function, inputs: Sequence[float], *, rtol: float = 1e-5, atol: float = 1e-7) -> Disagreement | None:
    """Find the first operation of ``f`` whose derivative disagrees with finite differences.

    :func:`gradcheck` says that a gradient is wrong; this says where. Every operation is nudged separately, at the
    numbers it has in ``f(*inputs)``, in the order of computation. If all of them are right but the gradient is wrong, a
    path is missing from the graph, and the input that it should lead to is returned.

    Args:
        f: takes as many Values as there are inputs and returns one Value or number.
        inputs: the point; at corners, as of relu at 0, any slope between the two sides is right.
        rtol, atol: the tolerance, as in :func:`gradcheck`.

    Returns None if everything agrees.

    >>> from tinygrad_edu.engine import apply
    >>> wrong = Op("cube", "³", 1, lambda a: a**3, lambda a, out: (2 * a**2,), "a**3", ("2 * a**2",))
    >>> found = locate(lambda x: apply(wrong, x * 2.0) + x, [1.5])
    >>> found.value.op.name, found.claimed, round(found.measured, 6)
    ('cube', 18.0, 27.0)
    """
    leaves, out = _differentiated(f, inputs)
    for position, value in enumerate(topological_order(out)):
        op = value.op
        if op is None or op.derivatives is None or not value.inputs:
            continue
        at = [x.data for x in value.inputs]
        for operand, claimed in enumerate(op.derivatives(*at, value.data)):
            if value.inputs[operand].op is CONSTANT:
                continue
            measured = _slopes(op, at, operand)
            tolerance = rtol, atol + 1e-9 * abs(value.data)
            if measured and not any(_between(claimed, slopes, *tolerance) for slopes in measured):
                slopes = measured[0]
                given = ", ".join(repr(x) for x in at)
                return Disagreement(
                    value, position, operand, claimed, slopes[0],
                    f"operation {op.name!r}{f', {value.label!r},' if value.label else ''} at position {position}: its "
                    f"derivative by input {operand} at ({given}) is {claimed!r}, the central difference says "
                    f"{slopes[0]!r}; look at the derivatives of this operation",
                )  # fmt: skip
    _backward(out)
    for index, leaf in enumerate(leaves):
        h = 6e-6 * (abs(leaf.data) or 1.0)
        rounding = 1e-15 * abs(out.data) / h
        measured_whole = central_difference(f, inputs, index, step=h)
        allowed = atol + rounding + rtol * max(abs(leaf.grad), abs(measured_whole))
        if abs(leaf.grad - measured_whole) > allowed and not _is_corner(f, inputs, index, h):
            return Disagreement(
                leaf, index, None, leaf.grad, measured_whole,
                f"input {index}: every operation is right, yet backward() says {leaf.grad!r} and the "
                f"central difference {measured_whole!r}: a path from this input is missing; look for .data, float() or "
                f"detach()",
            )  # fmt: skip
    return None


def _slopes(op: Op, at: list[float], operand: int) -> list[list[float]]:
    """Return the central differences of an operation for two nudges, and at a corner those of both sides.

    Empty if the operation has no answer next to ``at``.
    """
    x = at[operand]
    found = []
    for h in dict.fromkeys((6e-6 * max(1.0, abs(x)), 6e-6 * abs(x))):
        below, above = x - h, x + h
        if not below < x < above:
            continue
        try:
            low, here, high = (op.forward(*at[:operand], v, *at[operand + 1 :]) for v in (below, x, above))
        except (ArithmeticError, ValueError):
            continue
        central, left, right = (high - low) / (above - below), (here - low) / (x - below), (high - here) / (above - x)
        found.append([central, left, right] if _differ(left, right) else [central])
    return found


def _between(claimed: float, slopes: list[float], rtol: float, atol: float) -> bool:
    """Return whether a slope is between the smallest and the largest measured one, within the tolerance."""
    allowed = atol + rtol * max(abs(claimed), *map(abs, slopes))
    return min(slopes) - allowed <= claimed <= max(slopes) + allowed


def _is_corner(f: Function, inputs: Sequence[float], index: int, h: float) -> bool:
    """Return whether the slopes on both sides of the point differ: then no gradient is the right one."""
    x = as_float(inputs[index])

    def half(to: float) -> float:  # the slope between x and ``to``, as a central difference about their middle
        moved = [*inputs[:index], (x + to) / 2, *inputs[index + 1 :]]
        return central_difference(f, moved, index, step=h / 4)

    return _differ(half(x - h), half(x + h))


def _differ(left: float, right: float) -> bool:
    return abs(right - left) > 1e-2 * max(1.0, abs(left), abs(right))


def measured_gradients(root: Value) -> list[float]:
    """Compute ∂root/∂value by central differences, for every Value of ``topological_order(root)``.

    Each Value in turn is nudged and everything computed from it is recomputed, so this takes time proportional to the
    square of the graph's size: it is for finding mistakes in small graphs. It does not use derivatives.

    >>> a = Value(3.0)
    >>> [round(g, 6) for g in measured_gradients(a * a)]
    [6.0, 1.0]
    """
    order = topological_order(root)
    index = {value: i for i, value in enumerate(order)}

    def at(nudged: int, number: float) -> float:
        data = [value.data for value in order]
        data[nudged] = number
        for i, value in enumerate(order[nudged + 1 :], nudged + 1):
            if value.inputs and value.op is not None:
                data[i] = value.op.forward(*[data[index[x]] for x in value.inputs])
        return data[-1]

    gradients = []
    for i, value in enumerate(order):
        h = 6e-6 * max(1.0, abs(value.data))
        below, above = value.data - h, value.data + h
        gradients.append((at(i, above) - at(i, below)) / (above - below))
    return gradients
