"""The interface of an engine, which is all that the training loop sees, and what several engines need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from tinygrad_edu.gradient_stats import GradientStats

from ..config import TrainConfig
from ..data.corpus import Sequences
from ..model import GPT
from ..sample import Scorer

__all__ = ["Engine", "adamw_settings", "transposed"]


class Engine(Protocol):
    """One way to compute losses, gradients and optimizer steps of a model."""

    flow: list[
        GradientStats
    ]  #: the gradients before clipping, of the latest step that was measured, and what it changed

    def step(self, sequences: Sequences, lr: float, dropout_seed: str, measure: bool = False) -> tuple[float, float]:
        """One optimizer step on the mean loss of ``sequences``; returns that loss and the norm of its gradient.

        With ``measure`` it notes its gradients in ``flow``. When loss or norm are not finite it does so in any case,
        and the model stays as it was.
        """

    def gradients(self) -> list[GradientStats]:
        """The gradients of the latest step as it used them, a line per table of parameters."""

    def evaluate(self, sequences: Sequences) -> float:
        """The mean loss in nats per character; nothing is learned."""

    def logits(self, windows: Sequence[Sequence[int]]) -> list[list[list[float]]]:
        """The logits after every token of windows of block_size tokens.    # (B, T) → (B, T, V)"""

    def scorer(self) -> Scorer:
        """What :func:`gpt.sample.generate` asks for logits: always those of the model as it is now."""

    def any_process(self, flag: bool) -> bool:
        """Whether any of the processes that train together says so; alone, what this one says."""

    def numbers(self) -> dict[str, Any]:
        """The parameters by name as arrays, as they are until the next step: what a checkpoint holds."""

    def write_back(self) -> None:
        """Bring the model's Values up to date, before anybody looks at them."""

    def refresh(self) -> None:
        """Take up the numbers of the model's Values, after others were put there."""

    def optimizer_state(self) -> dict[str, Any]:
        """What the optimizer must have to go on, as it is until the next step: the same keys for every engine."""

    def load_optimizer_state(self, state: Mapping[str, Any]) -> None:
        """Take up a saved optimizer state."""

    def summary(self) -> str:
        """What a person may like to know about how steps are computed, after the first one; may be empty."""


def adamw_settings(model: GPT, config: TrainConfig) -> dict[str, Any]:
    """The arguments of an AdamW: weight decay is for matrices only."""
    return {
        "lr": config.lr,
        "betas": (config.beta1, config.beta2),
        "eps": config.eps,
        "weight_decay": config.weight_decay,
        "no_decay": model.no_decay_parameters(),
    }


def transposed(sequences: Sequences) -> tuple[list[list[int]], list[list[int]]]:
    """All tokens and all targets: the arguments of a compiled loss."""
    return [tokens for tokens, _ in sequences], [targets for _, targets in sequences]
