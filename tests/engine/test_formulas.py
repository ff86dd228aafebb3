"""The expression trees that back ends differentiate with match the table's formulas, also at the edges of a domain."""

import itertools
import math
import operator

import pytest

from tinygrad_edu import formulas, ops

NUMBERS = [0.0, -0.0, 0.5, 1.0, -1.0, 2.0, -3.0, 1e-9, 40.0, -40.0, 1e300, math.inf, -math.inf, math.nan]
WORDS = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "neg": operator.neg, "abs": abs, "erf": math.erf,
    "div": lambda a, b: a / b if b else math.copysign(math.inf, a),
    "pow": lambda a, b: math.inf if a == 0.0 and b < 0.0 else ops.POW.forward(a, b),
    "log": lambda a: math.log(a) if a > 0.0 else math.nan,
    "exp": ops.EXP.forward, "sqrt": math.sqrt, "sin": math.sin, "cos": math.cos,
    "if": lambda condition, yes, no: yes if condition else no,
    "==": operator.eq, "<": operator.lt, ">": operator.gt, "<=": operator.le,
}  # fmt: skip
DIFFERENTIABLE = [op for op in ops.TABLE if op.derivatives is not None]


@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=lambda op: op.name)
def test_derivatives_from_the_formulas_are_those_of_the_engine(op):
    arity, compared = op.arity or 2, 0
    for point in itertools.product(NUMBERS, repeat=arity):
        if op is ops.GELU and math.isinf(point[0]):
            continue  # ∞ · 0: every back end has its own derivative for gelu
        try:
            out = op.forward(*point)
            expected = op.derivatives(*point, out)
        except (ArithmeticError, ValueError):
            continue
        operands = {**dict(zip("ab", point, strict=False)), "out": out}
        for slot in range(arity):
            try:
                found = formulas.expression(formulas.derivative(op.name, slot), operands, WORDS)
            except ArithmeticError:
                continue
            assert found == pytest.approx(expected[slot], rel=1e-12, abs=1e-12, nan_ok=True), (point, slot)
            compared += 1
    assert compared >= 5 * arity


def test_a_result_is_not_computed_again():
    assert formulas.derivative("exp", 0) == "out"
    assert formulas.derivative("div", 1) == ("neg", ("div", "out", "b"))
    assert formulas.derivative("pow", 1)[:2] == ("mul", "out")


def test_a_language_gets_only_functions_it_has():
    assert {name for name, *_ in formulas.slopes({"sub", "mul"})} >= {"tanh:0", "sigmoid:0", "exp:0", "mul:1"}
    assert not {name for name, *_ in formulas.slopes({"sub", "mul"})} & {"sin:0", "sqrt:0", "gelu:0"}


@pytest.mark.parametrize("op", ops.TABLE, ids=lambda op: op.name)
def test_every_formula_of_the_table_can_be_read(op):
    for text in (op.formula, *op.derivative_formulas, *op.exact_formulas):
        formulas.parse(text)
    assert len(op.exact_formulas) in (0, len(op.derivative_formulas))
