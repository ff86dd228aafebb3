"""The table of every primitive operation of the engine, one row each.

A row knows four things about its operation: how to compute it, how to compute its local derivatives, and how to
*write* both. The engine computes with the first two, gradcheck tests the second against the first, drawings and
steppers print the last two, and from them every back end derives what it computes (formulas.py). Nothing else knows
calculus.

Reading a row::

    MUL = Op("mul", "*", 2, forward a·b, local derivatives (b, a), "a * b", ("b", "a"))

Inputs are written ``a`` and ``b`` (``a, b, c, …`` for an operation of any arity); ``out`` is the result of the
forward computation, which many derivatives can reuse: the derivative of ``exp(a)`` is ``out``.

At the borders, in this order:

1. *Too large for a float* is infinity, as in IEEE arithmetic: ``exp(1000) = inf``.
2. *No answer in the real numbers* is a :class:`~tinygrad_edu.errors.DomainError` that names operation and operands:
   ``log(0)``, ``1 / 0``, ``0 ** -1``, ``(-8) ** 0.5``.
3. *A function without a derivative at that point* takes PyTorch's convention: 0 for ``relu`` and ``abs`` at 0, the
   gradient shared equally among tied inputs of ``maximum`` and ``minimum``, infinity for ``sqrt`` at 0.
4. NaN in, NaN out; but ``NaN ** 0`` and ``1 ** NaN`` are 1, as in IEEE arithmetic. If one input of ``maximum`` or
   ``minimum`` is NaN, every derivative is NaN, as in PyTorch's ``amax`` and ``amin``.
5. *A derivative of 0 stops the gradient*, even an infinite one; + and × alone follow IEEE arithmetic (0 · ∞ is NaN).
6. Whether a tie, or a result of 0, gives 0.0 or −0.0 is not defined: they are equal.
"""

from __future__ import annotations

import importlib
import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakValueDictionary

from .errors import DivisionByZeroError, DomainError, brief

__all__ = [
    "ABS",
    "ADD",
    "CONSTANT",
    "COS",
    "DETACH",
    "DIV",
    "EXP",
    "GELU",
    "LOG",
    "MAXIMUM",
    "MINIMUM",
    "MUL",
    "NEG",
    "POW",
    "RELU",
    "SIGMOID",
    "SIN",
    "SQRT",
    "SUB",
    "TABLE",
    "TANH",
    "Op",
    "by_name",
]


@brief
@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Op:
    """One primitive operation: a row of the table, or a custom one. Operations are compared by identity.

    Attributes:
        name: its unique name (``"mul"``); ``getattr(Value, ...)`` names follow it. A pickled graph has only the name:
            loading it requires the operation.
        symbol: what a drawing prints (``"*"``).
        arity: the number of inputs; ``None`` means any number from one up.
        forward: ``forward(*inputs) -> out``, all plain floats.
        derivatives: ``derivatives(*inputs, out) -> (∂out/∂a, ∂out/∂b, …)``; ``None`` when no gradient flows
            through the operation at all.
        formula: the forward computation as text in ``a``, ``b``.
        derivative_formulas: the local derivatives as text in ``a``, ``b`` and ``out``, one per input.
        exact_formulas: the same with the borders, where those for people leave them out: for what is computed.
    """

    name: str
    symbol: str
    arity: int | None
    forward: Callable[..., float]
    derivatives: Callable[..., tuple[float, ...]] | None
    formula: str
    derivative_formulas: tuple[str, ...]
    exact_formulas: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Op {self.name}: {self.formula}>"

    def __post_init__(self) -> None:
        _LATEST[self.name] = self

    def __reduce__(self) -> tuple[Callable[..., Op], tuple[str, str]]:
        # A pickled graph must be loaded with the existing operations, since they are compared by identity.
        if by_name(self.name) is not self:
            raise pickle.PicklingError(
                f"another operation is called {self.name!r}, too: give this one a name of its own"
            )
        return by_name, (self.name, getattr(self.forward, "__module__", None) or "")

    def __deepcopy__(self, memo: dict[int, object]) -> Op:
        return self


_LATEST: WeakValueDictionary[str, Op] = WeakValueDictionary()  # every operation in use, by name


# --- forward computations and derivatives that need more than one expression ---------------------------------------


def _div(a: float, b: float) -> float:
    if b == 0.0:
        raise DivisionByZeroError(
            f"{a!r} / {b!r}: division by zero has no answer; make sure that the divisor is never 0, "
            f"for example by adding a small number to it"
        )
    return a / b


def _div_derivatives(a: float, b: float, out: float) -> tuple[float, float]:
    return 1.0 / b, -out / b


def _pow(a: float, b: float) -> float:
    if a == 0.0 and b < 0.0:
        raise DivisionByZeroError(
            f"{a!r} ** {b!r}: zero to a negative power is a division by zero; make sure that the base is never 0"
        )
    if a < 0.0 and not b.is_integer() and math.isfinite(a) and math.isfinite(b):
        raise DomainError(
            f"({a!r}) ** {b!r}: a negative base with a fractional exponent has no real answer; "
            f"take the absolute value first, or use a whole number as the exponent"
        )
    try:
        return math.pow(a, b)
    except OverflowError:
        return -math.inf if a < 0.0 and b % 2.0 == 1.0 else math.inf


def _pow_derivatives(a: float, b: float, out: float) -> tuple[float, float]:
    if b == 0.0:
        by_base = 0.0
    elif a == 0.0 and b < 1.0:
        by_base = math.inf
    else:
        by_base = b * _pow(a, b - 1.0)
    if a > 0.0:
        by_exponent = out * math.log(a)
    elif a == 0.0:
        by_exponent = 0.0 * out  # 0 ** b is 0 on both sides of any b > 0; at b = 0 and NaN this is PyTorch's choice
    else:
        by_exponent = math.nan  # the next exponent, however close, has no real power
    return by_base, by_exponent


def _exp(a: float) -> float:
    try:
        return math.exp(a)
    except OverflowError:
        return math.inf


def _log(a: float) -> float:
    if a <= 0.0:
        raise DomainError(
            f"log({a!r}): the logarithm needs a positive number; if this is a probability that became 0, "
            f"compute the loss from the logits with functional.cross_entropy"
        )
    return math.log(a)


def _sqrt(a: float) -> float:
    if a < 0.0:
        raise DomainError(f"sqrt({a!r}): the square root of a negative number is not real")
    return math.sqrt(a)


def _sqrt_derivatives(a: float, out: float) -> tuple[float]:
    return (0.5 / out if out != 0.0 else math.inf,)


def _sigmoid(a: float) -> float:
    # exp of a positive number may overflow, exp of a negative one cannot: choose the form with the negative one.
    if a >= 0.0:
        return 1.0 / (1.0 + math.exp(-a))
    e = math.exp(a)
    return e / (1.0 + e)


_SQRT_HALF = math.sqrt(0.5)
_INV_SQRT_2PI = 1.0 / math.sqrt(2.0 * math.pi)


def _gelu(a: float) -> float:
    # erfc instead of 1 + erf: for a below -6 the sum would round to 0 and lose every digit.
    if a == -math.inf:
        return 0.0
    return 0.5 * a * math.erfc(-a * _SQRT_HALF)


def _gelu_derivatives(a: float, out: float) -> tuple[float]:
    density = _INV_SQRT_2PI * math.exp(-0.5 * a * a)
    return (0.5 * math.erfc(-a * _SQRT_HALF) + (a * density if density else 0.0),)


def _trigonometric(function: Callable[[float], float], name: str) -> Callable[[float], float]:
    def forward(a: float) -> float:
        if math.isinf(a):
            raise DomainError(f"{name}({a!r}): {name} of infinity has no answer; look for what overflowed before it")
        return function(a)

    return forward


def _relu(a: float) -> float:
    return a if a > 0.0 or a != a else 0.0


def _extreme(pick: Callable[..., float]) -> Callable[..., float]:
    def forward(*inputs: float) -> float:
        for x in inputs:
            if x != x:
                return x  # Python's max() and min() lose a NaN, depending on its position
        return pick(inputs)

    return forward


def _extreme_derivatives(*inputs_and_out: float) -> tuple[float, ...]:
    *inputs, out = inputs_and_out
    if out != out:
        return (out,) * len(inputs)
    share = 1.0 / (inputs.count(out) or 1)
    return tuple(share if x == out else 0.0 for x in inputs)


_EXTREME = tuple(f"0.5 if a == b else 1 if {x} == out else 0 if out == out else out" for x in "ab")  # of two inputs


# --- the table -------------------------------------------------------------------------------------------------

ADD = Op("add", "+", 2, lambda a, b: a + b, lambda a, b, out: (1.0, 1.0), "a + b", ("1", "1"))
SUB = Op("sub", "-", 2, lambda a, b: a - b, lambda a, b, out: (1.0, -1.0), "a - b", ("1", "-1"))
MUL = Op("mul", "*", 2, lambda a, b: a * b, lambda a, b, out: (b, a), "a * b", ("b", "a"))
DIV = Op("div", "/", 2, _div, _div_derivatives, "a / b", ("1 / b", "-a / b**2"))
POW = Op(
    "pow", "**", 2, _pow, _pow_derivatives,
    "a**b", ("b * a**(b - 1)", "a**b * log(a)"),
    ("0 if b == 0 else b * (a + 0)**(b - 1)", "a**b * (log(a) if a > 0 else 0 if a == 0 else nan)"),
)  # fmt: skip
NEG = Op("neg", "neg", 1, lambda a: -a, lambda a, out: (-1.0,), "-a", ("-1",))
EXP = Op("exp", "exp", 1, _exp, lambda a, out: (out,), "exp(a)", ("exp(a)",))
LOG = Op("log", "log", 1, _log, lambda a, out: (1.0 / a,), "log(a)", ("1 / a",))
SQRT = Op("sqrt", "sqrt", 1, _sqrt, _sqrt_derivatives, "sqrt(a)", ("1 / (2 * sqrt(a))",), ("0.5 / abs(sqrt(a))",))
TANH = Op("tanh", "tanh", 1, math.tanh, lambda a, out: (1.0 - out * out,), "tanh(a)", ("1 - tanh(a)**2",))
SIGMOID = Op(
    "sigmoid", "σ", 1, _sigmoid, lambda a, out: (out * (1.0 - out),), "1 / (1 + exp(-a))", ("out * (1 - out)",)
)
RELU = Op(
    "relu", "ReLU", 1, _relu, lambda a, out: (0.0 if a <= 0.0 else 1.0,),
    "max(a, 0)", ("1 if a > 0 else 0",), ("0 if a <= 0 else 1",),
)  # fmt: skip
# a times the share of a normal distribution below a (Hendrycks and Gimpel 2016, eq. 1); the exact form, not tanh's.
GELU = Op(
    "gelu", "GELU", 1, _gelu, _gelu_derivatives,
    "a * (1 + erf(a / sqrt(2))) / 2",
    ("(1 + erf(a / sqrt(2))) / 2 + a * exp(-a**2 / 2) / sqrt(2 * pi)",),
)  # fmt: skip
SIN = Op("sin", "sin", 1, _trigonometric(math.sin, "sin"), lambda a, out: (math.cos(a),), "sin(a)", ("cos(a)",))
COS = Op("cos", "cos", 1, _trigonometric(math.cos, "cos"), lambda a, out: (-math.sin(a),), "cos(a)", ("-sin(a)",))
ABS = Op(
    "abs", "abs", 1, abs, lambda a, out: (float((a > 0.0) - (a < 0.0)),),
    "abs(a)", ("sign(a)",), ("1 if a > 0 else -1 if a < 0 else 0",),
)  # fmt: skip
MAXIMUM = Op(
    "maximum", "max", None, _extreme(max), _extreme_derivatives,
    "max(a, b)", ("1 if a > b else 0", "1 if b > a else 0"), _EXTREME,
)  # fmt: skip
MINIMUM = Op(
    "minimum", "min", None, _extreme(min), _extreme_derivatives,
    "min(a, b)", ("1 if a < b else 0", "1 if b < a else 0"), _EXTREME,
)  # fmt: skip
# The value passes, the gradient does not: for numbers that only shift a computation, such as the maximum in a softmax.
DETACH = Op("detach", "detach", 1, lambda a: a, None, "a", ("0",))


def _no_forward() -> float:
    raise TypeError("a constant is not computed from anything")


# A number in a formula, such as the 2 in ``2 * x``. It needs no gradient and is no computation, so it is not in TABLE.
CONSTANT = Op("constant", "", 0, _no_forward, None, "a number", ())

TABLE: tuple[Op, ...] = (
    ADD, SUB, MUL, DIV, POW, NEG, EXP, LOG, SQRT, TANH, SIGMOID, RELU, GELU, SIN, COS, ABS, MAXIMUM, MINIMUM, DETACH,
)  # fmt: skip
_BY_NAME = {op.name: op for op in (*TABLE, CONSTANT)}


def by_name(name: str, module: str = "") -> Op:
    """Return the operation called ``name``: a row of the table, or a custom one; ``module`` may define it.

    >>> by_name("tanh").derivative_formulas
    ('1 - tanh(a)**2',)
    """
    if name not in _BY_NAME and name not in _LATEST and module:
        importlib.import_module(module)
    op = _BY_NAME.get(name) or _LATEST.get(name)
    if op is None:
        raise ValueError(
            f"unknown operation: {name!r} (must be one of {', '.join(_BY_NAME)}, or a custom one made before)"
        )
    return op
