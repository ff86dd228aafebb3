"""Element-wise kernels for which numpy has no single function; each fills given arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ...formulas import Tree, slopes
from ..runtime.erfcx import LARGEST, erfcx_polynomial

FloatArray = np.ndarray[Any, np.dtype[np.floating[Any]]]

#: Elements processed at a time if many operations follow each other: a few such rows fit into a cache.
CHUNK = 32768


# --- the normal distribution ---------------------------------------------------------------------------------------


def _phi64(x: FloatArray, rows: list[FloatArray], density: bool) -> tuple[FloatArray, FloatArray]:
    """Φ(x) and e^(−x²/2), to about 1e-14; both are among the ``rows``, the second even if not needed.

    With z = |x|/√2 the tail of the normal distribution is Q = ½·erfc(z) = ½·e^(−z²)·p(u), and Φ is Q or 1 − Q.
    """
    coefficients = erfcx_polynomial(30, LARGEST)
    low = 2.0 / (2.0 + LARGEST)
    z, u, e, q = rows
    np.abs(x, z)
    np.multiply(z, math.sqrt(0.5), z)
    np.minimum(z, LARGEST, out=z)
    np.add(z, 2.0, u)
    np.divide(4.0 / (1.0 - low), u, u)  # 2·t / (1 − low)
    np.subtract(u, 2.0 * low / (1.0 - low) + 1.0, u)
    np.multiply(x, x, e)  # not of z: beyond the largest one, the tail goes on to 0
    np.multiply(e, -0.5, e)
    np.exp(e, e)
    _polynomial(coefficients, u, q)
    np.multiply(q, e, q)
    np.multiply(q, 0.5, q)  # the tail beyond |x|
    np.subtract(1.0, q, u)
    np.copyto(q, u, where=np.greater(x, 0.0))
    return q, e


def _polynomial(coefficients: Sequence[Any], x: FloatArray, out: FloatArray) -> None:
    """Horner's rule, the highest power first."""
    np.multiply(x, coefficients[0], out)
    for c in coefficients[1:-1]:
        np.add(out, c, out)
        np.multiply(out, x, out)
    np.add(out, coefficients[-1], out)


#: Φ(x) = ½ + ½·tanh(x·p(x²)): p is a least-squares fit, reweighted until all errors are alike, of artanh(2·Φ(x) − 1)
#: / x for |x| up to 5.6. Its first coefficient is √(2/π) but for the sixth digit, as in the tanh form of GELU, which
#: stops at the second. The largest error of Φ is 3e-8, half of what a float32 can tell from 1.
_PHI32 = [
    np.array(c, np.float32)  # numpy would make an array of a number at every call
    for c in (
        1.75617307e-09, -1.32263416e-07, 3.9647453e-06, -5.5306198e-05, -3.25949664e-05, 0.0363330846, 0.797884941
    )
]  # fmt: skip
_HALF = np.array(0.5, np.float32)


def _phi32(x: FloatArray, rows: list[FloatArray], density: bool) -> tuple[FloatArray, FloatArray]:
    """Φ(x) and, if asked for, e^(−x²/2), to 3e-8, in few operations."""
    square, q = rows[:2]
    np.multiply(x, x, square)
    _polynomial(_PHI32, square, q)
    np.multiply(q, x, q)
    np.tanh(q, q)
    np.multiply(q, _HALF, q)
    np.add(q, _HALF, q)
    if density:
        np.multiply(square, -0.5, square)
        np.exp(square, square)
    return q, square


def gelu(x: FloatArray, out: FloatArray, slope: FloatArray | None, rows: list[FloatArray]) -> None:
    """x·Φ(x) into ``out`` and its derivative Φ(x) + x·φ(x) into ``slope``; four ``rows`` to work in."""
    phi, density = (_phi32 if x.dtype == np.float32 else _phi64)(x, rows, slope is not None)
    # Φ is 0 there, and infinity times 0 would be NaN.
    near = next(row for row in rows if row is not phi and row is not density)
    np.maximum(x, -1e4, out=near)
    if slope is not None:
        np.multiply(density, 1.0 / math.sqrt(2.0 * math.pi), density)
        np.multiply(density, np.minimum(near, 1e4), density)
        np.add(density, phi, slope)
    np.multiply(near, phi, out)


# --- powers --------------------------------------------------------------------------------------------------------


def power_calls(out: FloatArray, a: Any, b: Any) -> list[Callable[[], Any]]:
    """a ** b; the exponents that networks use are simpler than a logarithm."""
    if not isinstance(b, np.ndarray):
        if b == 2.0:
            return [partial(np.multiply, a, a, out)]
        if b == 0.5:
            return [partial(_root, a, out)]
        if b == -0.5:
            root = np.empty_like(out) if out.ndim == 0 else out  # for a single number, in place is slower
            return [partial(_root, a, root), partial(np.reciprocal, root, out)]
        if b == -1.0:
            return [partial(np.reciprocal, a, out)]
    return [partial(np.power, a, b, out)]


def _root(a: FloatArray, out: FloatArray) -> None:
    """a ** 0.5. −∞ has no root, but a power: ∞."""
    infinite = np.equal(a, -np.inf)
    np.sqrt(a, out)
    if infinite.any():
        np.copyto(out, np.inf, where=infinite)


def power(out: FloatArray, a: Any, b: Any) -> None:
    """a ** b into ``out``."""
    for call in power_calls(out, a, b):
        call()


# --- forward computations and derivatives that are not one numpy function --------------------------------------------


def sigmoid(out: FloatArray, a: FloatArray) -> None:
    """1 / (1 + e^−a), or e^a / (1 + e^a) for a negative a, where e^−a may be too large."""
    e = np.exp(np.negative(np.abs(a)))
    np.copyto(out, 1.0)
    np.copyto(out, e, where=np.less(a, 0.0))
    np.divide(out, np.add(e, 1.0), out)


def flow(g: Any, slope: Any, target: FloatArray) -> None:
    """Multiply a gradient by a derivative; a derivative of 0 stops it, as in the engine, even if it is infinite.

    ``target`` may be ``slope``.
    """
    stopped = None if np.isfinite(np.add.reduce(_narrow(g), None)) else np.equal(slope, 0.0)  # nearly always None
    np.multiply(g, slope, target)
    if stopped is not None:
        np.copyto(target, 0.0, where=stopped)


def _narrow(x: Any) -> Any:
    """Return an array without the repetition along axes on which it does not change."""
    return x[tuple([slice(None) if step else slice(1) for step in x.strides])] if isinstance(x, np.ndarray) else x


#: Operations that are one function of numpy.
UFUNCS: dict[str, Any] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "neg": np.negative, "exp": np.exp,
    "log": np.log, "sqrt": np.sqrt, "tanh": np.tanh, "sin": np.sin, "cos": np.cos, "abs": np.abs,
    "pow": np.power, "maximum": np.maximum, "minimum": np.minimum, "equal": np.equal,
}  # fmt: skip
_CONDITIONS = {"==": np.equal, "<": np.less, ">": np.greater, "<=": np.less_equal}


def _derived(tree: Tree, names: tuple[str, ...]) -> Callable[..., Any]:
    """``slope(*inputs, out, target)`` for a tree: calls of numpy, in ``target`` as far as that goes."""
    lines: list[str] = []
    result = _written(tree, True, lines)
    text = "\n    ".join([f"def slope({', '.join(names)}, target):", *lines, f"return {result}"])
    known: dict[str, Any] = {word.__name__: word for word in (*UFUNCS.values(), *_CONDITIONS.values(), np.copyto)}
    known |= {"inf": math.inf, "nan": math.nan}
    exec(text, known)  # words of this module and numbers only
    slope: Callable[..., Any] = known["slope"]
    return slope


def _written(tree: Tree, own: bool, lines: list[str]) -> str:
    """What a tree is in Python, after some lines; with ``own``, the last of them puts it into ``target``."""
    if not isinstance(tree, tuple):
        return str(tree)
    if tree[0] == "if":
        assert own  # no formula of the table needs a second array to choose into
        _, (condition, x, y), yes, no = tree
        if (otherwise := _written(no, True, lines)) != "target":
            lines.append(f"copyto(target, {otherwise})")
        chosen = f"{_CONDITIONS[condition].__name__}({x}, {y})"
        lines.append(f"copyto(target, {_written(yes, False, lines)}, where={chosen})")
        return "target"
    operands, free = [], own
    for x in tree[1:]:
        operands.append(_written(x, free, lines))
        free = free and not isinstance(x, tuple)
    call = f"{UFUNCS[tree[0]].__name__}({', '.join(operands)}{', target' if own else ''})"
    if not own:
        return call
    lines.append(call)
    return "target"


def _power_slope(a: Any, b: Any, out: Any, target: FloatArray) -> Any:
    """The exponents that networks use need no logarithm."""
    if isinstance(b, np.ndarray):
        return _DERIVED["pow:0"](a, b, out, target)
    if b == 0.0:
        np.copyto(target, 0.0)
    elif b == 2.0:
        np.multiply(a, 2.0, target)
    else:
        power(target, a + 0.0, b - 1.0)  # the derivative at -0.0 is that at 0.0
        np.multiply(target, b, target)
    return target


_DERIVED = {name: _derived(tree, names) for name, tree, names in slopes({*UFUNCS, *_CONDITIONS, "if"})}
#: In place of derived ones, for speed. The derivative of gelu is computed along with gelu: see lowering.py.
OVERRIDES: dict[str, Callable[..., Any]] = {
    "pow:0": _power_slope,
    "div:0": lambda a, b, out, target: np.divide(1.0, _narrow(b)),
}
#: ``slope(*inputs, output, target)``: the local derivative, in ``target`` or elsewhere.
SLOPES = _DERIVED | OVERRIDES


def backward(name: str, g: Any, *rest: Any) -> None:
    """The local derivative called ``name`` times the gradient; ``rest`` are inputs, output and target."""
    flow(g, SLOPES[name](*rest), rest[-1])


#: Those that are a function of this module: ``kernel(out, *inputs)``.
FORWARD: dict[str, Callable[..., Any]] = {
    "sigmoid": sigmoid,
    "flow": lambda out, g, slope: flow(g, slope, out),
}
