"""The interface of an engine, which is all that the training loop sees, and what several engines need."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tinygrad_edu.gradient_stats import GradientStats

from ..config import TrainConfig
from ..data.corpus import Sequences
from ..model import GPT
from ..sample import Scorer

__all__ = ["Engine", "adamw_settings", "transposed"]


class Engine(ABC):
    """One way to compute losses, gradients and optimizer steps of a model."""

    flow: list[GradientStats]  #: the gradients before clipping of the latest measured step, and the size of its update
    _optimizer: Any

    def step(self, sequences: Sequences, lr: float, dropout_seed: str, measure: bool = False) -> tuple[float, float]:
        """One optimizer step on the mean loss of ``sequences``; returns that loss and the norm of its gradient.

        With ``measure`` it records its gradients in ``flow``. If loss or norm are not finite it always does, and leaves
        the model unchanged.
        """
        loss = self._value_and_grad(sequences, dropout_seed)
        before = self._copies() if measure else {}
        if measure:
            self.flow = self.gradients()
        norm = self._clip()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            self.flow = self.gradients()
            return loss, norm
        self._optimizer.lr = lr
        self._optimizer.step()
        if measure:
            after = self._copies()
            ratio = self._update_ratio
            self.flow = [replace(line, update=ratio(before[line.name], after[line.name])) for line in self.flow]
        return loss, norm

    @abstractmethod
    def _value_and_grad(self, sequences: Sequences, dropout_seed: str) -> float:
        """Return the mean loss, and put its gradient where :meth:`gradients` finds it."""

    @abstractmethod
    def _clip(self) -> float:
        """Clip the gradient; returns its norm before."""

    @abstractmethod
    def _copies(self) -> dict[str, Any]:
        """Copy the parameters by name, each flat."""

    @abstractmethod
    def _update_ratio(self, before: Any, after: Any) -> float | None:
        """See :func:`tinygrad_edu.gradient_stats.update_ratio`."""

    @abstractmethod
    def gradients(self) -> list[GradientStats]:
        """Return the gradients of the latest step as it used them, one entry per table of parameters."""

    @abstractmethod
    def evaluate(self, sequences: Sequences) -> float:
        """Return the mean loss in nats per character, without training."""

    @abstractmethod
    def logits(self, windows: Sequence[Sequence[int]]) -> list[list[list[float]]]:
        """Return the logits after every token of windows of block_size tokens.    # (B, T) → (B, T, V)"""

    @abstractmethod
    def scorer(self) -> Scorer:
        """Return the scorer for :func:`gpt.sample.generate`, which always uses the current model."""

    def any_process(self, flag: bool) -> bool:
        """Return whether it is true in any of the processes that train together."""
        return flag

    @abstractmethod
    def numbers(self) -> dict[str, Any]:
        """Return the current parameters by name as arrays, as a checkpoint holds them."""

    @abstractmethod
    def write_back(self) -> None:
        """Bring the model's Values up to date."""

    @abstractmethod
    def refresh(self) -> None:
        """Read the numbers of the model's Values after they were changed."""

    @abstractmethod
    def optimizer_state(self) -> dict[str, Any]:
        """Return the current optimizer state, with the same keys for every engine."""

    @abstractmethod
    def load_optimizer_state(self, state: Mapping[str, Any]) -> None:
        """Load a saved optimizer state."""

    @abstractmethod
    def summary(self) -> str:
        """Describe for the user how steps are computed, after the first one; may be empty."""


def adamw_settings(model: GPT, config: TrainConfig) -> dict[str, Any]:
    """Return the arguments of AdamW: weight decay is for matrices only."""
    return {
        "lr": config.lr,
        "betas": (config.beta1, config.beta2),
        "eps": config.eps,
        "weight_decay": config.weight_decay,
        "no_decay": model.no_decay_parameters(),
    }


def transposed(sequences: Sequences) -> list[list[list[Any]]]:
    """Return all tokens, all targets and, of documents, all weights: the arguments of a compiled loss."""
    return [list(column) for column in zip(*sequences, strict=True)]
