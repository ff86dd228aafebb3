"""Training runs against PyTorch: the same weights, batches and steps. PyTorch is loaded only in subprocesses."""

from __future__ import annotations

import importlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("name", ["micro", "nano"])
def test_twenty_steps_of_adamw_give_pytorchs_losses(name: str) -> None:
    out = subprocess.run([sys.executable, __file__, name], capture_output=True, text=True, check=True).stdout
    losses = json.loads(out)
    assert len(losses["ours"]) == 20
    assert losses["ours"] == pytest.approx(losses["theirs"], rel=1e-4)
    assert losses["ours"][0] != losses["ours"][-1]


def train(name: str) -> dict[str, list[float]]:
    """Return the losses of twenty steps of the compiled program and of PyTorch."""
    import numpy as np
    import torch

    from gpt.config import GPTConfig, preset
    from gpt.model import GPT
    from tinygrad_edu import jit
    from tinygrad_edu.compiler import optim

    fields: dict[str, Any] = dict(preset(name).model)
    if name == "nano":  # two layers of a quarter of the width: the same kinds of layers in a second instead of a minute
        fields |= {"n_layer": 2, "n_embd": 32, "block_size": 16}
    model = GPT(GPTConfig(**fields), seed=3)
    draw = np.random.default_rng(0)
    tokens = draw.integers(0, 65, (20, 4, model.config.block_size))
    targets = draw.integers(0, 65, (20, 4, model.config.block_size))
    x, y = tokens[0].copy(), targets[0].copy()
    step, weights = benchmark().torch_step(benchmark().torch_gpt(model), [x, y])
    theirs = torch.optim.AdamW(dict.fromkeys(weights.values()), lr=1e-2, betas=(0.9, 0.99), weight_decay=0.1)
    compiled = jit(model.loss)
    ours = optim.AdamW(compiled.parameters, lr=1e-2, betas=(0.9, 0.99), weight_decay=0.1)
    losses: dict[str, list[float]] = {"ours": [], "theirs": []}
    for n in range(20):
        x[...], y[...] = tokens[n], targets[n]  # PyTorch's tensors share this memory
        losses["theirs"].append(step())
        theirs.step()
        losses["ours"].append(compiled.value_and_grad(tokens[n], targets[n]))
        ours.step()
    return losses


def benchmark() -> Any:
    """Load benchmarks/compiled.py as a module; it finds the PyTorch model next to it."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
    return importlib.import_module("compiled")


if __name__ == "__main__":
    print(json.dumps(train(sys.argv[1])))
