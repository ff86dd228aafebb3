"""Numbers at the edges: the engine, numpy and machine code say the same, in both precisions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import Value, jit
from tinygrad_edu.compiler import Parameters

EDGES = [0.0, -0.0, math.inf, -math.inf, math.nan, 1e4, -1e4, 37.0, -37.0, 1e30, -1e30, 1.0, -1.0, 0.5, -3.0]
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "gelu": lambda v: v.gelu(),
    "relu": lambda v: v.relu(),
    "tanh": lambda v: v.tanh(),
    "sigmoid": lambda v: v.sigmoid(),
    "abs": lambda v: v.abs(),
    "square": lambda v: v**2,
    "cube": lambda v: v**3,
    "to the power of 0": lambda v: v**0,
    "root": lambda v: v**0.5,
    "one and a half": lambda v: v**1.5,
    "one over the root": lambda v: v**-0.5,
    "reciprocal": lambda v: v**-1,
    "exp": lambda v: v.exp(),
}


def eager(function: Callable[[Any], Any], x: float) -> tuple[float, float] | None:
    """The number and its derivative; None where mathematics has no answer."""
    leaf = Value(x)
    try:
        out = function(leaf * 1.0)
        out.backward()
    except (ArithmeticError, ValueError):
        return None
    return out.data, leaf.grad


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_at_the_edges(name: str, dtype: str, native: bool) -> None:
    function = FUNCTIONS[name]
    w = Value(1.0)
    compiled = jit(lambda x: function(x * w), Parameters([w], dtype, native=native))
    for x in EDGES:
        expected = eager(function, x)
        if expected is None or 1e37 < abs(expected[0]) < math.inf:
            continue
        got = compiled(np.full(70, x))
        assert got == pytest.approx(np.full(70, expected[0]), rel=1e-5, nan_ok=True, abs=1e-12), x


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives_at_finite_edges(name: str, dtype: str, native: bool) -> None:
    function = FUNCTIONS[name]
    w = Value(1.0)
    compiled = jit(lambda one: function(w * one), Parameters([w], dtype, native=native))
    for x in EDGES:
        expected = eager(function, x)
        if expected is None or not all(map(math.isfinite, (x, *expected))) or max(map(abs, expected)) > 1e30:
            continue
        w.data = x
        assert compiled.value_and_grad(np.ones(70)) == pytest.approx(expected[0], rel=1e-5, abs=1e-12), x
        assert w.grad == pytest.approx(expected[1], rel=1e-4, abs=1e-12), x


def test_a_computed_zero_to_the_power_of_zero() -> None:
    w = Value(0.0)
    compiled = jit(lambda x: (w * x).tanh() ** 0, [w], dtype="float64")
    assert compiled.value_and_grad([1.0, 2.0]) == 1.0
    assert w.grad == 0.0
