"""The operations of the table, and their derivatives, in LLVM IR.

A formula is arithmetic on vectors. All other functions are based on e^x: 2^n·e^r, where r is at most ½·ln 2 in size,
and the first terms of the series for e^r (Muller, Elementary Functions, chapter 11); accurate to about one unit in the
last place. A derivative is written from its formula in the table, and ``flow`` multiplies it by the gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from typing import Any

import numpy as np

from ...formulas import Tree, expression, slopes
from ..program.ir import Instruction
from ..runtime.erfcx import LARGEST, erfcx_polynomial

#: Exponents that need no logarithm.
_SIMPLE_POWERS = frozenset(n / 2 for n in range(-8, 9))

#: There are formulas, but numpy is more accurate for the largest angles.
_ANGLES = ("sin", "cos", "grad:sin:0", "grad:cos:0")

#: For angles larger than this the formulas have no correct digits, and give NaN.
_LARGEST_ANGLE = 2.0**30


def able(it: Instruction) -> bool:
    """Return whether there is a formula for an instruction."""
    if it.op == "pow":
        return it.inputs[1] in _SIMPLE_POWERS
    if it.op == "grad:pow:0":
        return isinstance(it.inputs[2], float) and it.inputs[2] - 1.0 in _SIMPLE_POWERS
    return it.op in _FORMULAS and it.op not in _ANGLES


def _half_pi() -> list[float]:
    """π/2 in parts of at most 22 bits."""
    rest, parts = Decimal("1.57079632679489661923132169163975144209858469968755"), []
    for bits in (21, 43, 65):
        parts.append(float(math.floor(rest * 2**bits) / Decimal(2**bits)))
        rest -= Decimal(parts[-1])
    return [*parts, float(rest)]


_HALF_PI = _half_pi()


class Formulas:
    """Write formulas for vectors of ``lanes`` numbers; ``emit`` adds a line and returns the name of its value.

    ``loaded``, if set, returns the name of a vector of equal numbers, in place of a constant.
    """

    def __init__(self, emit: Callable[[str], str], dtype: Any, lanes: int) -> None:
        self.emit, self.lanes = emit, lanes
        self.double = np.dtype(dtype) == np.float64
        self.scalar = "double" if self.double else "float"
        self.vector = f"<{lanes} x {self.scalar}>"
        self.integer, self.bias = ("i64", 1023) if self.double else ("i32", 127)
        self.integers = f"<{lanes} x {self.integer}>"
        self.bits = f"<{lanes} x i1>"
        self.suffix = f"v{lanes}f{64 if self.double else 32}"
        self.loaded: Callable[[float], str] | None = None
        self._declared: dict[str, str] = {}

    # --- building blocks ---

    def intrinsic(self, name: str, suffix: str, result: str, arguments: str) -> str:
        """Call an LLVM intrinsic."""
        full = f"@llvm.{name}.{suffix}"
        depth, kinds, word = 0, [], ""
        for part in arguments.split(", "):
            word = f"{word}, {part}" if word else part
            depth += part.count("<") + part.count("(") - part.count(">") - part.count(")")
            if not depth:
                kinds.append(word[: word.index(">") + 1] if word.startswith("<") else word.split()[0])
                word = ""
        self._declared[full] = f"declare {result} {full}({', '.join(kinds)})"
        return f"call {result} {full}({arguments})"

    def declarations(self) -> list[str]:
        """Return the declarations that precede the text."""
        return list(self._declared.values())

    def constant(self, x: float) -> str:
        """Write a number as LLVM expects it: the bits of a double, even for a float."""
        if self.loaded and x:
            return self.loaded(x)
        bits = np.float64(x if self.double else np.float32(x)).view(np.uint64)
        return f"splat ({self.scalar} 0x{int(bits):016X})"

    def _text(self, x: Any) -> str:
        return x if isinstance(x, str) else self.constant(x)

    def two(self, word: str, a: Any, b: Any) -> str:
        """Write an operation with two operands: fadd, fsub, fmul, fdiv."""
        return self.emit(f"{word} {self.vector} {self._text(a)}, {self._text(b)}")

    def call(self, name: str, *operands: Any) -> str:
        """Write an LLVM intrinsic for vectors."""
        arguments = ", ".join(f"{self.vector} {self._text(x)}" for x in operands)
        return self.emit(self.intrinsic(name, self.suffix, self.vector, arguments))

    def compare(self, a: Any, how: str, b: Any) -> str:
        """Write a comparison."""
        return self.emit(f"fcmp {how} {self.vector} {self._text(a)}, {self._text(b)}")

    def choose(self, bits: str, yes: Any, no: Any) -> str:
        """Select ``yes`` where the bits are set, ``no`` elsewhere."""
        return self.emit(f"select {self.bits} {bits}, {self.vector} {self._text(yes)}, {self.vector} {self._text(no)}")

    def combine(self, how: str, total: str, value: str) -> str:
        """Extend a running sum, maximum or minimum by one more number."""
        if how == "sum":
            return self.two("fadd", total, value)
        return self.call("maximum" if how == "max" else "minimum", total, value)

    def across(self, how: str, vector: str) -> str:
        """Reduce a vector to its sum, maximum or minimum."""
        if how == "sum":
            arguments = f"{self.scalar} -0.0, {self.vector} {vector}"
            call = self.intrinsic("vector.reduce.fadd", self.suffix, self.scalar, arguments)
            return self.emit(call.replace("call", "call reassoc", 1))
        name = "vector.reduce.fmaximum" if how == "max" else "vector.reduce.fminimum"
        return self.emit(self.intrinsic(name, self.suffix, self.scalar, f"{self.vector} {vector}"))

    def compute(self, op: str, arguments: list[Any]) -> str:
        """Write the result of an operation: of a row of the table, or a derivative times the gradient that arrives."""
        if op.startswith("grad:"):
            return self.flow(arguments[0], _FORMULAS[op](self, *arguments[1:]))
        return _FORMULAS[op](self, *arguments)

    def flow(self, g: Any, slope: Any) -> str:
        """Multiply a gradient by a derivative; a derivative of 0 stops it, as in the engine, even if it is infinite."""
        return self.choose(self.compare(slope, "oeq", 0.0), 0.0, self.two("fmul", g, slope))

    # --- functions ---

    def series(self, x: str, coefficients: Iterator[float] | list[float]) -> str:
        """Evaluate a polynomial, the highest coefficient first (Horner)."""
        result: Any = None
        for c in coefficients:
            result = c if result is None else self.call("fmuladd", result, x, c)
        return str(result)

    def _split(self, x: str, bias: int) -> tuple[str, str]:
        """n + bias, as integers, and r with x = n·ln 2 + r, abs(r) ≤ ½·ln 2; ln 2 in two parts, of which n times the
        first is exact. In a number as large as ``magic`` the last bits are n."""
        high, low = self._ln2()
        magic = 1.5 * 2.0 ** (52 if self.double else 23)
        sum_ = self.call("fmuladd", x, 1.0 / math.log(2.0), magic)
        n = self.two("fsub", sum_, magic)
        r = self.call("fmuladd", n, -high, x)
        whole, zero = (
            self.emit(f"bitcast {self.vector} {number} to {self.integers}")
            for number in (sum_, self.constant(magic - bias))
        )
        return self.emit(f"sub {self.integers} {whole}, {zero}"), self.call("fmuladd", n, -low, r)

    def _ln2(self) -> tuple[float, float]:
        short = 32 if self.double else 9
        high = math.floor(math.log(2.0) * 2.0**short) / 2.0**short
        return high, float(Decimal(2).ln() - Decimal(high))

    def _whole(self, n: str) -> str:
        # Frozen, because otherwise LLVM may turn a NaN into anything.
        return self.emit(f"freeze {self.integers} " + self.emit(f"fptosi {self.vector} {n} to {self.integers}"))

    def _power_of_two(self, n: str) -> str:
        """2^n for a vector of integers n + bias that an exponent can hold."""
        moved = self.emit(f"shl {self.integers} {n}, splat ({self.integer} {52 if self.double else 23})")
        return self.emit(f"bitcast {self.integers} {moved} to {self.vector}")

    def _terms(self) -> int:
        return 13 if self.double else 7  # the next one is below half a unit of the last place

    def exp(self, x: Any) -> str:
        """Write e^x, correct for infinity, the smallest numbers and 0."""
        low, high = (-746.0, 710.0) if self.double else (-104.0, 89.0)
        # In this order a NaN stays a NaN.
        x = self.choose(self.compare(x, "ogt", high), high, x)
        none = self.compare(x, "olt", low)
        x = self.choose(none, 0.0, x)  # subnormal numbers are a hundred times slower
        whole, r = self._split(x, 2 * self.bias)
        power = self.series(r, [1.0 / math.factorial(k) for k in range(self._terms(), -1, -1)])
        half = self.emit(f"ashr {self.integers} {whole}, splat ({self.integer} 1)")  # two factors: 2^n may overflow
        rest = self.emit(f"sub {self.integers} {whole}, {half}")
        result = self.two("fmul", self.two("fmul", power, self._power_of_two(half)), self._power_of_two(rest))
        return self.choose(none, 0.0, result)

    def log(self, x: Any) -> str:
        """Write ln x: x = m·2^n with m between √½ and √2; ln m = 2·artanh s for s = (m − 1) / (m + 1)."""
        bits, bias, few = (52, 1023, 54) if self.double else (23, 127, 25)
        smallest = 2.0 ** (1 - bias)
        subnormal = self.compare(x, "olt", smallest)
        x = self._text(x)
        scaled = self.choose(subnormal, self.two("fmul", x, 2.0**few), x)
        numbers = self.emit(f"bitcast {self.vector} {scaled} to {self.integers}")
        half = int(
            (np.float64 if self.double else np.float32)(math.sqrt(0.5)).view(np.int64 if self.double else np.int32)
        )
        above = self.emit(f"sub {self.integers} {numbers}, splat ({self.integer} {half})")
        whole = self.emit(f"ashr {self.integers} {above}, splat ({self.integer} {bits})")
        back = self.emit(f"shl {self.integers} {whole}, splat ({self.integer} {bits})")
        part = self.emit(f"sub {self.integers} {numbers}, {back}")
        m = self.emit(f"bitcast {self.integers} {part} to {self.vector}")
        n = self.emit(f"sitofp {self.integers} {whole} to {self.vector}")
        n = self.two("fsub", n, self.choose(subnormal, float(few), 0.0))
        s = self.two("fdiv", self.two("fsub", m, 1.0), self.two("fadd", m, 1.0))
        square = self.two("fmul", s, s)
        terms = 12 if self.double else 6
        series = self.series(square, [2.0 / (2 * k + 1) for k in range(terms, 0, -1)])
        tail = self.two("fmul", self.two("fmul", series, square), s)
        high, low = self._ln2()
        result = self.call("fmuladd", n, low, tail)
        result = self.two("fadd", result, self.two("fmul", s, 2.0))
        result = self.call("fmuladd", n, high, result)
        result = self.choose(self.compare(x, "oeq", 0.0), -math.inf, result)
        result = self.choose(self.compare(x, "oeq", math.inf), math.inf, result)
        return self.choose(self.compare(x, "oge", 0.0), result, math.nan)

    def expm1(self, x: str) -> str:
        """e^x − 1 for −50 ≤ x ≤ 0, exact where it is small: 2^n·(e^r − 1) + (2^n − 1)."""
        whole, r = self._split(x, self.bias)
        power = self.series(r, [1.0 / math.factorial(k) for k in range(self._terms() + 1, 0, -1)])
        scale = self._power_of_two(whole)
        return self.call("fmuladd", self.two("fmul", power, r), scale, self.two("fsub", scale, 1.0))

    def tanh(self, x: Any) -> str:
        """(1 − e^(−2|x|)) / (1 + e^(−2|x|)), with the sign of x; near 1 as 1 − 2e^(−2|x|) / (1 + e^(−2|x|)), which
        keeps the digits of the derivative."""
        size = self.call("fabs", x)
        size = self.choose(self.compare(size, "ogt", 25.0), 25.0, size)
        e = self.expm1(self.two("fmul", size, -2.0))
        near = self.compare(size, "ogt", 0.55)
        rest = self.two("fmul", self.two("fadd", e, 1.0), -2.0)
        quotient = self.two("fdiv", self.choose(near, rest, self.two("fsub", -0.0, e)), self.two("fadd", e, 2.0))
        return self.call("copysign", self.choose(near, self.two("fadd", quotient, 1.0), quotient), x)

    def sigmoid(self, x: Any) -> str:
        """1 / (1 + e^−x); e^x / (1 + e^x) for a negative x, where e^−x may be too large."""
        e = self.exp(self.two("fsub", -0.0, self.call("fabs", x)))
        return self.two("fdiv", self.choose(self.compare(x, "olt", 0.0), e, 1.0), self.two("fadd", e, 1.0))

    def power(self, a: Any, b: Any) -> str:
        """a^b; a product if the exponent is a small multiple of a half."""
        if not isinstance(b, float) or b not in _SIMPLE_POWERS:
            return self._in_double(Formulas._any_power, a, b)
        size = abs(b)
        result: Any = self.call("sqrt", a) if size % 1.0 else None
        for _ in range(int(size)):
            result = a if result is None else self.two("fmul", result, a)
        if result is None:
            return self.call("fabs", 1.0)
        if size % 1.0:  # −∞ has no square root, but a power
            result = self.choose(self.compare(a, "oeq", -math.inf), math.inf, result)
        return self.two("fdiv", 1.0, result) if b < 0 else str(result)

    def _any_power(self, a: Any, b: Any) -> str:
        """e^(b·ln |a|); a negative number has only integer powers."""
        size = self.call("fabs", a)
        result = self.exp(self.two("fmul", self.log(size), b))
        result = self.choose(self.compare(size, "oeq", 1.0), 1.0, result)
        half = self.two("fmul", b, 0.5)
        odd = self.compare(self.call("rint", half), "une", half)
        signed = self.choose(odd, self.two("fsub", -0.0, result), result)
        infinite = self.choose(self.compare(size, "oeq", math.inf), result, math.nan)
        below = self.choose(self.compare(self.call("rint", b), "oeq", b), signed, infinite)
        result = self.choose(self.compare(a, "olt", 0.0), below, result)
        return self.choose(self.compare(b, "oeq", 0.0), 1.0, result)

    def _in_double(self, formula: Callable[..., str], *operands: Any) -> str:
        """Evaluate a formula with more digits than the numbers have."""
        if self.double:
            return formula(self, *map(self._text, operands))
        wide = Formulas(self.emit, np.float64, self.lanes)
        wide._declared = self._declared
        extended = [self.emit(f"fpext {self.vector} {self._text(x)} to {wide.vector}") for x in operands]
        return self.emit(f"fptrunc {wide.vector} {formula(wide, *extended)} to {self.vector}")

    def sine(self, x: Any, quarters: int = 0) -> str:
        """Write sin(x + quarters·π/2)."""
        return self._in_double(lambda wide, angle: wide._sine(angle, quarters), x)

    def _sine(self, x: Any, quarters: int) -> str:
        """Less whole quarters of a turn, x is at most π/4 in size, where the series converge fast."""
        n = self.call("rint", self.two("fmul", x, 2.0 / math.pi))
        r = x
        for part in _HALF_PI:  # of few digits each, so that n times them is exact
            r = self.call("fmuladd", n, -part, r)
        square = self.two("fmul", r, r)
        sine = self.two(
            "fmul", self.series(square, [(-1) ** k / math.factorial(2 * k + 1) for k in range(8, -1, -1)]), r
        )
        cosine = self.series(square, [(-1) ** k / math.factorial(2 * k) for k in range(8, -1, -1)])
        far = self.compare(self.call("fabs", x), "ole", _LARGEST_ANGLE)
        turned = self.emit(f"add {self.integers} {self._whole(self.choose(far, n, 0.0))}, splat (i64 {quarters})")
        odd, back = (
            self.emit(
                f"trunc {self.integers} {self.emit(f'lshr {self.integers} {turned}, splat (i64 {bit})')} to {self.bits}"
            )
            for bit in (0, 1)
        )
        result = self.choose(odd, cosine, sine)
        result = self.choose(back, self.two("fsub", -0.0, result), result)
        return self.choose(far, result, math.nan)

    def power_slope(self, a: Any, b: Any) -> str:
        """b·a^(b − 1); 0 for b = 0, also where a is 0, and the same for both zeros."""
        if not isinstance(b, float):
            slope = self.two("fmul", self.power(self.two("fadd", a, 0.0), self.two("fsub", b, 1.0)), b)
            return self.choose(self.compare(b, "oeq", 0.0), 0.0, slope)
        return self.two("fmul", self.power(self.two("fadd", a, 0.0), b - 1.0), b) if b else self._text(0.0)

    def normal(self, x: Any) -> tuple[str, str]:
        """Φ(x), the share of a normal distribution below x, and e^(−x²/2); see :func:`erfcx_polynomial`."""
        largest, degree = (LARGEST, 30) if self.double else (10.0, 9)
        low = 2.0 / (2.0 + largest)
        z = self.two("fmul", self.call("fabs", x), math.sqrt(0.5))
        z = self.choose(self.compare(z, "ogt", largest), largest, z)
        t = self.two("fdiv", 4.0 / (1.0 - low), self.two("fadd", z, 2.0))
        u = self.two("fsub", t, 2.0 * low / (1.0 - low) + 1.0)
        density = self.exp(self.two("fmul", self.two("fmul", x, x), -0.5))
        tail = self.two("fmul", self.series(u, erfcx_polynomial(degree, largest)), self.two("fmul", density, 0.5))
        return self.choose(self.compare(x, "ogt", 0.0), self.two("fsub", 1.0, tail), tail), density

    def gelu(self, x: Any) -> str:
        """x·Φ(x)."""
        x = self._far(x)
        return self.two("fmul", self.normal(x)[0], x)

    def _far(self, x: Any) -> str:
        """x, but not below −10⁴, where Φ is 0: −∞ times 0 would be NaN."""
        return self.choose(self.compare(x, "olt", -1e4), -1e4, x)

    def gelu_slope(self, x: Any) -> str:
        """Φ(x) + x·φ(x)."""
        x = self._far(x)
        x = self.choose(self.compare(x, "ogt", 1e4), 1e4, x)
        share, density = self.normal(x)
        return self.call("fmuladd", self.two("fmul", density, 1.0 / math.sqrt(2.0 * math.pi)), x, share)

    def divide(self, a: Any, b: Any) -> str:
        """Write a / b; as a product with 1 / b if many numbers share a divisor."""
        return self.two("fdiv arcp", a, b)


_F = Formulas
_FORWARD: dict[str, Callable[..., str]] = {
    "copy": lambda f, a: f._text(a),
    "detach": lambda f, a: f._text(a),
    "add": lambda f, a, b: f.two("fadd", a, b),
    "sub": lambda f, a, b: f.two("fsub", a, b),
    "mul": lambda f, a, b: f.two("fmul", a, b),
    "div": _F.divide,
    "neg": lambda f, a: f.two("fsub", -0.0, a),
    "abs": lambda f, a: f.call("fabs", a),
    "sqrt": lambda f, a: f.call("sqrt", a),
    "exp": _F.exp,
    "log": _F.log,
    "tanh": _F.tanh,
    "sigmoid": _F.sigmoid,
    "relu": lambda f, a: f.choose(f.compare(a, "ole", 0.0), 0.0, a),
    "gelu": _F.gelu,
    "pow": _F.power,
    "sin": _F.sine,
    "cos": lambda f, a: f.sine(a, 1),
    "maximum": lambda f, a, b: f.call("maximum", a, b),
    "minimum": lambda f, a, b: f.call("minimum", a, b),
    "equal": lambda f, a, b: f.choose(f.compare(a, "oeq", b), 1.0, 0.0),
    "fill": lambda f, a, mask, value: f.choose(f.compare(mask, "une", 0.0), a, value),
    "flow": _F.flow,
}  # fmt: skip
_WORDS: dict[str, Callable[..., Any]] = _FORWARD | {
    "if": _F.choose,
    "==": lambda f, a, b: f.compare(a, "oeq", b),
    "<": lambda f, a, b: f.compare(a, "olt", b),
    ">": lambda f, a, b: f.compare(a, "ogt", b),
    "<=": lambda f, a, b: f.compare(a, "ole", b),
}


def _derived(tree: Tree, names: tuple[str, ...]) -> Callable[..., str]:
    def formula(f: Formulas, *operands: Any) -> str:
        words = {word: partial(write, f) for word, write in _WORDS.items()}
        return f._text(expression(tree, dict(zip(names, operands, strict=True)), words))

    return formula


#: These replace derived formulas: LLVM has no erf and no general power.
OVERRIDES: dict[str, Callable[..., str]] = {
    "grad:gelu:0": lambda f, a, out: f.gelu_slope(a),
    "grad:pow:0": lambda f, a, b, out: f.power_slope(a, b),
}
#: The formula of each operation: a function of the inputs, and for derivatives also of the result.
_FORMULAS = _FORWARD | {f"grad:{name}": _derived(tree, names) for name, tree, names in slopes(_WORDS)} | OVERRIDES
