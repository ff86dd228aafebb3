"""Interchangeable engines that compute training steps, and the choice between them."""

from __future__ import annotations

import importlib.util

from tinygrad_edu import console

from ..config import TrainConfig
from ..errors import ConfigError
from ..model import GPT
from .base import Engine
from .compiled import CompiledEngine
from .scalar import ScalarEngine
from .torch.distributed import launched

__all__ = ["check_engine", "make_engine"]


def check_engine(config: TrainConfig) -> None:
    """Raise ConfigError, with what to do, if the engine that ``config.engine`` names cannot run here."""
    if launched()[1] > 1 and config.engine != "torch":
        raise ConfigError(
            f"torchrun has started {launched()[1]} processes, and only those of --engine torch can train together; "
            f"add --engine torch, or start without torchrun"
        )
    if config.engine == "torch" and importlib.util.find_spec("torch") is None:
        raise ConfigError(
            f"--engine torch needs PyTorch, which is not installed: {console.adding('torch', 'torch')}; "
            f"--engine compiled computes the same with numpy"
        )


def make_engine(model: GPT, config: TrainConfig) -> Engine:
    """Make the engine that ``config.engine`` names. Raises ConfigError if it cannot run here."""
    check_engine(config)
    if config.engine == "torch":
        from .torch.engine import TorchEngine

        return TorchEngine(model, config)
    return ScalarEngine(model, config) if config.engine == "scalar" else CompiledEngine(model, config)
