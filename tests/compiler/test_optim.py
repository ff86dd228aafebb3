"""The array optimizers against the scalar ones, step by step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import Value, jit, nn, optim
from tinygrad_edu.compiler import optim as array_optim
from tinygrad_edu.errors import StateDictError

KINDS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.05}),
    ("SGD", {"lr": 0.05, "momentum": 0.9}),
    ("Adam", {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-6}),
    ("AdamW", {"lr": 0.01, "weight_decay": 0.2}),
    ("AdamW", {"lr": 0.01, "weight_decay": 0.0}),
]


def model_and_loss() -> tuple[Any, Any]:
    model = nn.MLP(2, [3, 1], rng=3)
    return model, lambda x, y: (model(x) - y) ** 2


X = np.random.default_rng(0).normal(size=(6, 2))
Y = np.random.default_rng(1).normal(size=6)


def scalar_step(loss: Any, optimizer: Any, max_norm: float) -> float:
    optimizer.zero_grad()
    for x, y in zip(X.tolist(), Y.tolist(), strict=True):
        (loss(x, y) / len(X)).backward()
    norm = optim.clip_grad_norm(optimizer.parameters, max_norm)
    optimizer.step()
    return norm


def array_step(compiled: Any, optimizer: Any, max_norm: float) -> float:
    compiled.value_and_grad(X, Y)
    norm = array_optim.clip_grad_norm(compiled.parameters, max_norm)
    optimizer.step()
    return norm


@pytest.mark.parametrize(("kind", "settings"), KINDS)
def test_the_same_steps_as_the_scalar_optimizer_and_switching_between_them(kind: str, settings: Any) -> None:
    model, loss = model_and_loss()
    twin, twin_loss = model_and_loss()
    extra, twin_extra = {}, {}
    if kind == "AdamW":
        extra["no_decay"] = [model.layers[0].neurons[0].b]
        twin_extra["no_decay"] = [twin.layers[0].neurons[0].b]
    scalar = getattr(optim, kind)(model.parameters(), **settings, **extra)
    compiled = jit(twin_loss, twin, dtype="float64")
    array = getattr(array_optim, kind)(compiled.parameters, **settings, **twin_extra)
    for _ in range(3):
        assert array_step(compiled, array, 0.5) == pytest.approx(scalar_step(loss, scalar, 0.5), rel=1e-12)
    # Continue with the other kind on both sides.
    compiled.parameters.write_back()
    assert [p.data for p in twin.parameters()] == pytest.approx([p.data for p in model.parameters()], rel=1e-11)
    state, other = array.state_dict(), scalar.state_dict()
    assert state["steps"] == other["steps"] == 3
    assert set(state) == set(other)
    resumed = getattr(optim, kind)(twin.parameters(), **settings, **twin_extra)
    resumed.load_state_dict(state)
    array.load_state_dict(other)
    scalar_step(twin_loss, resumed, math.inf)
    array_step(compiled, array, math.inf)
    assert compiled.parameters.array == pytest.approx([p.data for p in twin.parameters()], rel=1e-11)


def test_a_state_that_does_not_fit() -> None:
    compiled = jit(lambda x: Value(1.0) * x, [Value(1.0), Value(2.0)])
    optimizer = array_optim.AdamW(compiled.parameters)
    with pytest.raises(StateDictError, match="not the state of AdamW"):
        optimizer.load_state_dict({"steps": 1})
    with pytest.raises(StateDictError, match="expected 2 numbers, got 1"):
        optimizer.load_state_dict({"steps": 1, "m": [0.0], "v": [0.0, 0.0]})


def test_settings_are_checked() -> None:
    compiled = jit(lambda x: x, [Value(1.0)])
    with pytest.raises(ValueError, match="beta1"):
        array_optim.Adam(compiled.parameters, betas=(1.0, 0.9))
    with pytest.raises(ValueError, match="lr must be at least 0"):
        array_optim.SGD(compiled.parameters, lr=-1.0)
    with pytest.raises(ValueError, match="got no parameters"):
        array_optim.SGD([Value(1.0)], lr=0.1)  # type: ignore[arg-type]
