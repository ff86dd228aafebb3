"""Painters against PyTorch: the same weights and examples. PyTorch is loaded only in subprocesses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.torch

ROOT = Path(__file__).parents[2]
NAMES = ["points", "digits-mlp", "digits", "class", "text", "latent"]  # of test_model.CONFIGS
STEPS = 10


@pytest.mark.parametrize("name", NAMES)
def test_loss_gradient_and_ten_steps_are_pytorchs(name: str) -> None:
    order = [sys.executable, "-m", "tests.image.test_torch", name]
    found = json.loads(subprocess.run(order, capture_output=True, text=True, check=True, cwd=ROOT).stdout)
    theirs = found.pop("torch")
    assert set(found) == {"scalars", "interpreter", "float64", "float32"}
    assert max(map(abs, theirs["gradient"])) > 0.01
    assert len(set(theirs["losses"])) == STEPS
    for who, ours in found.items():
        bound = 1e-4 if who == "float32" else 1e-9
        assert ours["losses"] == pytest.approx(theirs["losses"], rel=bound), who
        largest = max(map(abs, theirs["gradient"]))
        for first, second in zip(ours["gradient"], theirs["gradient"], strict=True):
            assert abs(first - second) <= bound * largest, who


def compare(name: str) -> dict[str, dict[str, Any]]:
    """Return the first gradient, and the losses of ten steps, of everyone who can compute them."""
    import torch

    from image.dataset import batch
    from tests.compiler.interpreter_backend import InterpreterBackend
    from tests.image.test_model import CONFIGS, plain, stirred
    from tinygrad_edu import jit
    from tinygrad_edu.compiler import AdamW
    from tinygrad_edu.optim import AdamW as ScalarAdamW
    from tinygrad_edu.training.engine import transposed

    sys.path.insert(0, str(ROOT / "benchmarks"))  # torch_painter finds what is next to it
    from torch_painter import TorchPainter, tensors

    config = CONFIGS[name]
    batches = [batch(config, 1, step, 2, 0.3) for step in range(STEPS)]
    settings: dict[str, Any] = {"lr": 1e-2, "betas": (0.9, 0.99), "weight_decay": 0.1}
    found: dict[str, dict[str, Any]] = {}

    model = stirred(config)
    torch.set_default_dtype(torch.float64)
    painter = TorchPainter(config, model.state_dict())
    shrinking = [p for p in painter.parameters() if p.ndim > 1]
    others = [p for p in painter.parameters() if p.ndim < 2]
    theirs = torch.optim.AdamW([{"params": shrinking}, {"params": others, "weight_decay": 0.0}], **settings)
    named, losses = dict(painter.named_parameters()), []
    for examples in batches:
        theirs.zero_grad()
        loss = painter.loss(*tensors(transposed(examples), torch.float64))
        loss.backward()
        if not losses:
            gradients = [named[name].grad for name, _ in model.named_parameters()]
            gradient = [x for g in gradients for x in g.ravel().tolist()]
        theirs.step()
        losses.append(loss.item())
    found["torch"] = {"gradient": gradient, "losses": losses}

    optimizer = ScalarAdamW(model.parameters(), **settings, no_decay=model.no_decay_parameters())
    losses = []
    for examples in batches:
        optimizer.zero_grad()
        mean = sum(model.loss(*plain(example)) for example in examples) / len(examples)
        mean.backward()
        if not losses:
            gradient = [p.grad for p in model.parameters()]
        optimizer.step()
        losses.append(mean.data)
    found["scalars"] = {"gradient": gradient, "losses": losses}

    for who, how in (
        ("interpreter", {"backend": InterpreterBackend(), "dtype": "float64"}),
        ("float64", {"dtype": "float64"}),
        ("float32", {}),
    ):
        model = stirred(config)
        compiled, losses = jit(model.loss, model, **how), []
        fast = AdamW(compiled.parameters, **settings, no_decay=model.no_decay_parameters())
        for examples in batches:
            losses.append(compiled.value_and_grad(*transposed(examples)))
            if len(losses) == 1:
                gradient = compiled.parameters.gradient.tolist()
            fast.step()
        found[who] = {"gradient": gradient, "losses": losses}
    return found


if __name__ == "__main__":
    print(json.dumps(compare(sys.argv[1])))
