"""What computes a training step. The training loop sees this face and nothing behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from tinygrad_edu import collector_paused, no_grad
from tinygrad_edu.optim import AdamW, clip_grad_norm

from .config import TrainConfig
from .data import Sequences
from .model import GPT


class Engine(Protocol):
    """One way to compute losses, gradients and optimiser steps of a model."""

    def step(self, sequences: Sequences, lr: float, dropout_seed: str) -> tuple[float, float]:
        """One optimiser step on the mean loss of ``sequences``; returns that loss and the norm of its gradient."""

    def evaluate(self, sequences: Sequences) -> float:
        """The mean loss in nats per character; nothing is learned."""

    def write_back(self) -> None:
        """Bring the model's Values up to date, before anybody looks at them."""

    def optimizer_state(self) -> dict[str, Any]:
        """What the optimiser must have to go on: the same keys whichever engine wrote it."""

    def load_optimizer_state(self, state: Mapping[str, Any]) -> None:
        """Take up a saved optimiser state."""


class ScalarEngine:
    """The engine of the textbook: every sequence is a graph of Values, differentiated by ``backward``."""

    def __init__(self, model: GPT, config: TrainConfig) -> None:
        self._model = model
        self._parameters = model.parameters()
        self._grad_clip = config.grad_clip
        decayed = set(model.matrices())
        self._optimizer = AdamW(
            self._parameters,
            config.lr,
            betas=(config.beta1, config.beta2),
            eps=config.eps,
            weight_decay=config.weight_decay,
            no_decay=[p for p in self._parameters if p not in decayed],
        )

    def step(self, sequences: Sequences, lr: float, dropout_seed: str) -> tuple[float, float]:
        """See :class:`Engine`."""
        self._model.seed_dropout(dropout_seed)
        self._optimizer.zero_grad()
        total = 0.0
        with collector_paused():
            for tokens, targets in sequences:
                # One sequence at a time: its gradients are added to the others', its graph is freed before the next.
                loss = self._model.loss(tokens, targets) / len(sequences)
                loss.backward()
                total += loss.data
        norm = clip_grad_norm(self._parameters, self._grad_clip or float("inf"))
        self._optimizer.lr = lr
        self._optimizer.step()
        return total, norm

    def evaluate(self, sequences: Sequences) -> float:
        """See :class:`Engine`."""
        self._model.eval()
        try:
            with no_grad(), collector_paused():
                return sum(self._model.loss(*sequence).data for sequence in sequences) / len(sequences)
        finally:
            self._model.train()

    def write_back(self) -> None:
        """Nothing to do: the Values are what is trained."""

    def optimizer_state(self) -> dict[str, Any]:
        """See :class:`Engine`."""
        return self._optimizer.state_dict()

    def load_optimizer_state(self, state: Mapping[str, Any]) -> None:
        """See :class:`Engine`."""
        self._optimizer.load_state_dict(state)


def make_engine(model: GPT, config: TrainConfig) -> Engine:
    """The engine that ``config.engine`` names."""
    return ScalarEngine(model, config)
