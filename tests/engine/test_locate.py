"""Locating a wrong derivative in expressions where everything else is right."""

import dataclasses
import math
import random

import pytest

from tests.engine.random_graphs import random_graph
from tinygrad_edu import Value, maximum, topological_order
from tinygrad_edu.engine import apply
from tinygrad_edu.gradcheck import locate, measured_gradients
from tinygrad_edu.ops import CONSTANT, MUL, SIN, TABLE, TANH


def chain_of_fifty(planted, position):
    """Return a function of two inputs with fifty operations, one of which is ``planted``."""

    def f(x, y):
        v = x
        for i in range(25):
            first, second = (TANH, MUL) if i % 2 else (SIN, MUL)
            v = apply(planted if position == 2 * i else first, v)
            v = apply(planted if position == 2 * i + 1 else second, v, y) + 0.1
        return v

    return f


@pytest.mark.parametrize("position", [0, 7, 24, 49])
def test_a_planted_wrong_derivative_is_found_among_fifty(position):
    if position % 2:
        planted = dataclasses.replace(MUL, derivatives=lambda a, b, out: (b, 1.1 * a))
    else:
        planted = dataclasses.replace(TANH, derivatives=lambda a, out: (1.0 + out * out,))
    f = chain_of_fifty(planted, position)
    found = locate(f, [0.7, 1.2])
    assert found.value.op is planted
    assert found.operand == position % 2
    assert found.claimed != pytest.approx(found.measured, rel=1e-3)
    assert f"operation {planted.name!r}" in found.message
    original = MUL if position % 2 else TANH
    assert locate(chain_of_fifty(original, position), [0.7, 1.2]) is None


def test_the_first_of_two_wrong_derivatives_is_named():
    half = dataclasses.replace(SIN, derivatives=lambda a, out: (0.5,))
    found = locate(lambda x: apply(half, apply(half, x) * 2.0), [0.3])
    assert found.position == 1
    assert "at position 1: its derivative by input 0 at (0.3) is 0.5" in found.message


@pytest.mark.parametrize("op", [op for op in TABLE if op.name != "detach"], ids=lambda op: op.name)
def test_every_row_of_the_table_is_right_and_can_be_planted_wrong(op):
    rng = random.Random(0)
    point = [rng.uniform(0.5, 2.0) for _ in range(op.arity or 3)]
    assert locate(lambda *x: apply(op, *x), point) is None
    wrong = dataclasses.replace(op, derivatives=lambda *x: tuple(d + 0.3 for d in op.derivatives(*x)))
    assert locate(lambda *x: apply(wrong, *x), point).operand == 0


def test_corners_and_domain_edges_are_not_reported():
    assert locate(lambda x, y: x.relu() + abs(x) + maximum(x, y, 0.0), [0.0, 0.0]) is None
    assert locate(lambda x: x.log() + x.sqrt() + 1 / x, [1e-8]) is None
    assert locate(lambda x: (x**2).detach() * 0.0 + 3.0, [2.0]) is None


@pytest.mark.parametrize("f", [lambda x: x * Value(x.data), lambda x: x * x.detach(), lambda x: x * float(x.detach())])
def test_a_missing_path_is_found(f):
    found = locate(f, [3.0])
    assert (found.operand, found.position, found.claimed) == (None, 0, 3.0)
    assert found.measured == pytest.approx(6.0)
    assert "look for .data, float() or detach()" in found.message


def test_measured_gradients_agree_with_the_engine():
    corners = {"detach", "relu", "abs", "maximum", "minimum"}
    smooth = 0
    for seed in range(120):
        root, _ = random_graph(seed, size=12)
        order = topological_order(root)
        if corners & {value.op.name for value in order if value.op is not None}:
            continue
        smooth += 1
        root.backward()
        for value, measured in zip(order, measured_gradients(root), strict=True):
            if value.op is not CONSTANT:
                assert math.isclose(value.grad, measured, rel_tol=1e-4, abs_tol=1e-5)
    assert smooth >= 3
