"""The back end's own element-wise functions against the operation table."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.compiler.against_eager import by_numpy
from tinygrad_edu import ops
from tinygrad_edu.compiler.llvm_backend import llvm_math
from tinygrad_edu.compiler.numpy_backend import elementwise, scalars

X = np.concatenate([np.linspace(-40, 40, 4001), [0.0, 1e-30, -1e-30, 300.0, -300.0]])


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 3e-7)])
def test_gelu_and_its_derivative(dtype: str, tolerance: float) -> None:
    x = X.astype(dtype)
    out, slope = np.empty_like(x), np.empty_like(x)
    elementwise.gelu(x, out, slope, [np.empty_like(x) for _ in range(4)])
    expected = np.array([ops.GELU.forward(float(v)) for v in x])
    derivative = np.array([ops.GELU.derivatives(float(v), 0.0)[0] for v in x])  # type: ignore[misc]
    assert np.abs(slope - derivative).max() < tolerance
    assert (np.abs(out - expected) / np.maximum(np.abs(expected), 1.0)).max() < tolerance


def test_gelu_keeps_the_digits_of_the_small_tail_in_float64() -> None:
    x = np.linspace(-30.0, -5.0, 100)
    out = np.empty_like(x)
    elementwise.gelu(x, out, None, [np.empty_like(x) for _ in range(4)])
    expected = np.array([ops.GELU.forward(float(v)) for v in x])
    assert np.abs(out / expected - 1.0).max() < 1e-11


POINTS: dict[str, list[tuple[float, ...]]] = {
    "pow": [(2.0, 3.0), (0.5, -1.5), (0.0, 2.0), (-2.0, 3.0), (3.0, 0.0), (1.7, 0.5)],
    "log": [(0.1,), (3.0,)],
    "sqrt": [(0.1,), (3.0,)],
    "div": [(1.0, 3.0), (-2.0, 0.5)],
    "maximum": [(1.0, 2.0), (2.0, 1.0), (1.5, 1.5)],
    "minimum": [(1.0, 2.0), (2.0, 1.0), (1.5, 1.5)],
}
UNARY = [(-800.0,), (-2.0,), (-0.3,), (0.0,), (0.7,), (4.0,), (800.0,)]


@pytest.mark.parametrize("name", [op.name for op in ops.TABLE if op.name != "gelu"])
def test_every_operation_and_derivative_of_the_table(name: str) -> None:
    op = ops.by_name(name)
    points = POINTS.get(name, UNARY if op.arity == 1 else [(1.5, -2.0), (0.0, 3.0)])
    columns = [np.array(c) for c in zip(*points, strict=True)]
    expected = [op.forward(*p) for p in points]
    with np.errstate(over="ignore"):
        out = by_numpy(name, *columns)
    assert out == pytest.approx(expected, rel=1e-12, abs=1e-15)
    if op.derivatives is None:
        return
    with np.errstate(all="ignore"):
        for slot in range(len(columns)):
            key = f"{name}:{slot}"
            if key not in elementwise.SLOPES:
                continue
            g, target = np.full(len(points), 2.0), np.empty(len(points))
            elementwise.backward(key, g, *columns, out, target)
            found = [2.0 * op.derivatives(*p, o)[slot] for p, o in zip(points, expected, strict=True)]
            assert target.tolist() == pytest.approx(found, rel=1e-12, abs=1e-15, nan_ok=True)


@pytest.mark.parametrize("exponent", [2.0, 0.5, -0.5, -1.0, 3.0, 0.0])
def test_powers_with_a_fixed_exponent(exponent: float) -> None:
    a = np.array([0.3, 1.0, 2.5])
    out, target = np.empty(3), np.empty(3)
    elementwise.power(out, a, exponent)
    assert out == pytest.approx(a**exponent)
    elementwise.backward("pow:0", np.ones(3), a, exponent, out, target)
    assert target.tolist() == pytest.approx([ops.POW.derivatives(x, exponent, x**exponent)[0] for x in a.tolist()])  # type: ignore[misc]


def test_operations_that_need_their_own_function_have_one() -> None:
    linear: Any = {"add", "sub", "mul", "neg", "gelu", "detach"}
    for op in ops.TABLE:
        if op.name not in linear:
            for slot in range(op.arity or 2):
                assert f"{op.name}:{slot}" in elementwise.SLOPES


def test_sigmoid_does_not_overflow() -> None:
    a, out = np.array([-1e4, 1e4, 0.0]), np.empty(3)
    elementwise.sigmoid(out, a)
    assert out.tolist() == [0.0, 1.0, 0.5]
    assert math.isfinite(out.sum())


@pytest.mark.parametrize("key", sorted(elementwise.OVERRIDES))
@pytest.mark.parametrize("exponent", [2.0, 0.5, -0.5, -1.0, 3.0, 0.0, None])
def test_overrides_are_the_derived_derivatives(key: str, exponent: float | None) -> None:
    a = np.array([0.3, 1.0, 2.5, -0.0 if exponent in (2.0, 3.0, 0.0) else 7.0])
    b = np.array([0.7, -1.5, 3.0, 2.0])
    if key == "pow:0" and exponent is not None:
        b = np.full(4, exponent)
    out = by_numpy(key[:-2], a, b)
    with np.errstate(all="ignore"):
        derived = elementwise._DERIVED[key](a, b, out, np.empty(4))
    given = exponent if key == "pow:0" and exponent is not None else b
    assert elementwise.OVERRIDES[key](a, given, out, np.empty(4)) == pytest.approx(derived, rel=1e-14)


def test_every_derivative_is_derived_or_an_override() -> None:
    every = {f"{op.name}:{n}" for op in ops.TABLE if op.derivatives for n in range(op.arity or 2)}
    assert {*elementwise.SLOPES} == every - {"gelu:0"}  # computed together with gelu
    assert {*elementwise._DERIVED} == every - {"gelu:0"}
    assert {*llvm_math.OVERRIDES} == {"grad:gelu:0", "grad:pow:0"}
    assert {name for name in llvm_math._FORMULAS if name.startswith("grad:")} == {f"grad:{n}" for n in every}
    assert {name for name in scalars._EXPRESSIONS if name.startswith("grad:")} == {f"grad:{name}" for name in every}
