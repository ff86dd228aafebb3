"""Time a step of the painters against PyTorch, torch.compile, JAX and scalars: same model, weights and batch.

    python benchmarks/painter.py                      # both presets, one and two threads
    python benchmarks/painter.py --settings shapes-text --threads 2 --peers torch jax

As ``compiled.py`` measures a GPT: see there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compiled import Model, main, stir

SETTINGS = {name: (f"{name}, batch 64",) for name in ("digits-class", "shapes-text", "shapes-latent")}


def make(setting: str) -> tuple[Any, list[Any]]:
    """Make a painter and a batch of its training."""
    import numpy as np

    from image.config import ModelConfig, preset
    from image.dataset import batch
    from image.model import Painter
    from tinygrad_edu.training.engine import transposed

    config = ModelConfig(**preset(setting).model)
    model = Painter(config, seed=1)
    stir(model)
    columns = [np.asarray(column) for column in transposed(batch(config, 3, 0, 64, 0.1))]
    return model, [column.astype(np.float32) if column.dtype == np.float64 else column for column in columns]


def torch_painter(model: Any) -> Any:
    """Make PyTorch's painter."""
    from torch_painter import TorchPainter

    return TorchPainter(model.config, model.state_dict())


def jax_painter(model: Any) -> Callable[..., Any]:
    """Make JAX's painter."""
    import jax_painter as theirs

    return lambda weights, *columns: theirs.loss(model.config, weights, *columns)


if __name__ == "__main__":
    main(Model(__file__, __doc__, SETTINGS, make, torch_painter, jax_painter))
