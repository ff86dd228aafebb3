"""The interface of an engine, which is all that the training loop sees."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from tinygrad_edu.training import engine
from tinygrad_edu.training.engine import adamw_settings, transposed

from ..sample import Scorer

__all__ = ["Engine", "adamw_settings", "transposed"]


class Engine(engine.Engine):
    """One way to compute losses, gradients and optimizer steps of a GPT, and its logits."""

    @abstractmethod
    def logits(self, windows: Sequence[Sequence[int]]) -> list[list[list[float]]]:
        """Return the logits after every token of windows of block_size tokens.    # (B, T) → (B, T, V)"""

    @abstractmethod
    def scorer(self) -> Scorer:
        """Return the scorer for :func:`gpt.sample.generate`, which always uses the current model."""
