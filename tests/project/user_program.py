"""A user's program with the types that a checker must see: test_typing.py checks it with mypy and pyright, and runs it.

A comment ``type: ignore`` marks a required error: checkers report such comments when they are not needed.
"""

from __future__ import annotations

from typing import Any, assert_type

import viz
from tinygrad_edu import Value, central_difference, gradcheck, jit, maximum, nn, no_grad, optim
from tinygrad_edu import functional as F
from tinygrad_edu.compiler import Compiled, Parameters
from tinygrad_edu.compiler import optim as array_optim
from viz.rendering.dot import Drawing

INPUTS = [[0.5, -1.0, 2.0], [1.0, 0.25, -0.5]]
TARGETS = [1.0, -1.0]


class Scorer(nn.Module):
    """A user-defined module: calling it takes and returns what its forward does."""

    def __init__(self) -> None:
        self.mix = nn.Linear(3, 4, rng=1)
        self.mlp = nn.MLP(4, [3, 1], rng=2)

    def forward(self, x: list[float], scale: float = 1.0) -> Value:
        hidden = self.mix(x)
        assert_type(hidden, list[Value])
        return self.mlp(hidden) * scale


def numbers() -> None:
    """Arithmetic."""
    a, b = Value(2.0, label="a"), Value(-3.0)
    loss = 2 * a + b * a - a / 4 + b**2 - 1
    assert_type(loss, Value)
    assert_type(2 - a, Value)
    assert_type(maximum(a, b, 0.0), Value)
    assert_type(a < b, bool)
    assert_type(a.tanh().detach().data, float)
    loss.backward()
    assert_type(a.grad, float)
    with no_grad():
        a.data -= 0.1 * a.grad
    assert_type(central_difference(lambda x: x * x, [3.0], 0), float)
    gradcheck(lambda x, y: x * y, [3.0, 4.0])


def layers() -> None:
    """Modules and the functions on lists."""
    model = nn.MLP(3, [4, 2], rng=0)
    out = model(INPUTS[0])
    assert_type(out, nn.Output)  # one Value, or a list of them
    assert_type(out[0], Value)
    assert_type([o.tanh() for o in out], list[Value])
    assert_type(nn.MLP(3, [1])(INPUTS[0]) - 1.0, Value)
    assert_type(model.train().eval(), nn.MLP)
    assert_type(model.parameters(), list[Value])
    assert_type(nn.Neuron(3)(INPUTS[0]), Value)
    assert_type(nn.Layer(3, 2)(INPUTS[0]), list[Value])
    assert_type(nn.Embedding(5, 3)(1), list[Value])
    assert_type(nn.RMSNorm(2)(nn.Dropout(0.5)(nn.Activation("relu")(out))), list[Value])
    assert_type(F.softmax([Value(1.0), 2.0]), list[Value])
    assert_type(F.cross_entropy(out, 1), Value)
    assert_type(F.mse(out, TARGETS), Value)
    assert_type(F.pick(INPUTS, 1), list[float])


def training() -> None:
    """The scalar engine, the compiler, a drawing."""
    scorer = Scorer()
    assert_type(scorer(INPUTS[0], scale=2.0), Value)

    def loss(x: list[float], y: float) -> Value:
        return (scorer(x) - y) ** 2

    optimizer = optim.AdamW(scorer.parameters(), lr=0.01)
    total = sum((loss(x, y) for x, y in zip(INPUTS, TARGETS, strict=True)), Value(0.0))
    assert_type(total, Value)
    total.backward()
    optimizer.step()
    optimizer.zero_grad()

    compiled = jit(loss, scorer)
    assert_type(compiled, Compiled)
    assert_type(jit(loss), Compiled)
    assert_type(compiled.value_and_grad(INPUTS, TARGETS), float)
    assert_type(compiled.parameters, Parameters)
    array_optim.SGD(compiled.parameters, lr=0.1).step()

    @jit
    def score(x: list[float]) -> Value:
        return scorer(x)

    assert_type(score, Compiled)
    result: Any = score(INPUTS)
    assert len(result) == 2

    assert_type(viz.draw(loss(INPUTS[0], 1.0)), Drawing)


def mistakes() -> None:
    """Errors that a checker must find; never run."""
    scorer = Scorer()
    scorer("text")  # type: ignore[arg-type]
    scorer()  # type: ignore[call-arg]
    scorer(INPUTS[0], size=2.0)  # type: ignore[call-arg]
    Value(1.0).data = "2"  # type: ignore[assignment]
    nn.MLP(3, 2)  # type: ignore[arg-type]
    nn.Linear(3, 2)([["nested"]])  # type: ignore[list-item]
    optim.SGD(scorer, lr=0.1)  # type: ignore[arg-type]
    from tinygrad_edu import jitt  # type: ignore[attr-defined]  # noqa: F401
