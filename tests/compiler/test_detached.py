"""``x.data`` of a computed Value, and ``max`` and ``min`` of numbers: values and gradients of the scalar engine."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable
from typing import Any

import pytest

from tests.compiler.against_eager import agree
from tinygrad_edu import Value, jit
from tinygrad_edu.errors import CompileError

ws = [Value(0.5), Value(-1.5), Value(2.0)]
X = [[0.5, 1.0, -2.0], [1.0, 1.0, 1.0], [-3.0, 0.0, 2.5], [4.0, -1.0, 0.25]]


def softmax(logits: list[Any]) -> list[Any]:
    largest = max(val.data for val in logits)
    exps = [(val - largest).exp() for val in logits]
    total = sum(exps)
    return [e / total for e in exps]


def logits_of(xs: list[float]) -> list[Any]:
    return [w * x + w for w, x in zip(ws, xs, strict=True)]


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "softmax": lambda xs: -softmax(logits_of(xs))[1].log(),
    "not a shift": lambda xs: max(v.data for v in logits_of(xs)) * ws[0] + ws[1],
    "smallest": lambda xs: sum(v - min([v.data for v in logits_of(xs)]) for v in logits_of(xs)) ** 2,
    "one by one": lambda xs: max(logits_of(xs)[0].data, xs[1], 0.75) * ws[2] * ws[2],
    "arguments": lambda xs: ws[0] * max(xs) - ws[1] * min(xs) + ws[2] * max(xs[0], 0.0),
    "of one": lambda xs: ws[0] * max([xs[1]]) + max([], default=2.0) * ws[1] + max([1, 2, 0]) * ws[2],
    "default": lambda xs: ws[0] * max(xs, default=7.0) + ws[1] * ws[2],
    "product": lambda xs: (ws[0] * xs[0]).data * ws[0] * ws[1] + (ws[2] * xs[1]).tanh().data * ws[2],
    "twice": lambda xs: ((ws[0] * xs[0]).data * ws[1] + xs[2]).data * ws[2] + abs((ws[0] * xs[1]).data) ** 2,
    "function of a number": lambda xs: (ws[0] * xs[0]).data * 2.0 - ws[1] * (ws[1] * xs[2]).data,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_number_of_a_value_passes_no_gradient(name: str) -> None:
    agree(FUNCTIONS[name], ws, X)


def test_the_result_may_be_one() -> None:
    compiled = jit(lambda xs: [max(v.data for v in logits_of(xs)), ws[0] * xs[0]], ws, dtype="float64")
    assert compiled(X)[0] == pytest.approx([max(v.data for v in logits_of(xs)) for xs in X])


def test_whole_numbers_stay_whole_numbers() -> None:
    function: Any = lambda ks: ws[0] * (2.0 if isinstance(max(ks), int) else 3.0) + max(ks[0], 1) * ws[1]  # noqa: E731
    assert jit(function, ws, dtype="float64")([[3, 1], [0, -2]]) == pytest.approx(
        [function(ks).data for ks in ([3, 1], [0, -2])]
    )
    with pytest.raises(CompileError, match="whose type depends on the arguments"):
        jit(lambda ks: ws[0] * (2.0 if isinstance(max(ks[0], 0.5), int) else 3.0))([[3, 1]])


@pytest.mark.parametrize(
    "decides",
    [
        lambda xs, v: ws[0] if v.data > 0 else ws[1],
        lambda xs, v: ws[0] * (1.0 if max(v.data, 0.5) == 0.5 else 2.0),
        lambda xs, v: ws[int(v.data > 0)],
        lambda xs, v: ws[0] * float(v.data),
        lambda xs, v: ws[0] * math.exp(v.data),
        lambda xs, v: ws[0] * len(str(v.data)),
        lambda xs, v: ws[0] * (1 if v.data else 2),
        lambda xs, v: max(v, ws[1] * xs[1]),  # chooses a Value: its gradient goes to that one alone
        lambda xs, v: max([v, 0.0]),
        lambda xs, v: ws[0] * max(xs, key=lambda x: -x),
        lambda xs, v: ws[0] * sorted([v.data, 0.5])[0],
        lambda xs, v: ws[0] * builtins.max(v.data, 0.5),
        lambda xs, v: ws[0] * [v.data, 0.5].index(0.5),
        lambda xs, v: max(w.data for w in ws) * v,  # of a parameter: write w.detach()
    ],
    ids=str.split("if equal index float math text truth value number key sorted module find parameter"),
)
def test_a_decision_on_it_is_refused(decides: Any) -> None:
    with pytest.raises(CompileError, match="(frozen|takes a number of Python only)"):
        jit(lambda xs: decides(xs, ws[0] * xs[0]), ws)(X)


def test_both_are_as_before_afterwards() -> None:
    jit(FUNCTIONS["softmax"], ws)(X)
    assert "max" not in globals()
    assert "min" not in globals()
