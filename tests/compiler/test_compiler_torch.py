"""Training runs against PyTorch: the same weights, batches and steps."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpt.config import GPTConfig, preset
from gpt.model import GPT
from tinygrad_edu import jit
from tinygrad_edu.compiler import optim

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


def benchmark() -> Any:
    path = Path(__file__).parents[2] / "benchmarks" / "compiled.py"
    spec = importlib.util.spec_from_file_location("compiled_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["micro", "nano"])
def test_twenty_steps_of_adamw_give_pytorchs_losses(name: str) -> None:
    # nano is reduced to two layers of a quarter of the width: the same kinds of layers in a second instead of a minute
    fields = dict(preset(name).model)
    if name == "nano":
        fields |= {"n_layer": 2, "n_embd": 32, "block_size": 16}
    model = GPT(GPTConfig(**fields), seed=3)
    draw = np.random.default_rng(0)
    tokens = draw.integers(0, 65, (20, 4, model.config.block_size))
    targets = draw.integers(0, 65, (20, 4, model.config.block_size))
    x, y = tokens[0].copy(), targets[0].copy()
    step, weights = benchmark().torch_step(model, x, y)
    theirs = torch.optim.AdamW(dict.fromkeys(weights.values()), lr=1e-2, betas=(0.9, 0.99), weight_decay=0.1)
    compiled = jit(model.loss)
    ours = optim.AdamW(compiled.parameters, lr=1e-2, betas=(0.9, 0.99), weight_decay=0.1)
    for n in range(20):
        x[...], y[...] = tokens[n], targets[n]  # PyTorch's tensors share this memory
        expected = step()
        theirs.step()
        assert compiled.value_and_grad(tokens[n], targets[n]) == pytest.approx(expected, rel=1e-4)
        ours.step()
