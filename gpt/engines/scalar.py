"""``--engine scalar``: every sequence is a graph of Values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tinygrad_edu import collector_paused, no_grad
from tinygrad_edu.gradient_stats import GradientStats, gradient_stats, update_ratio
from tinygrad_edu.nested import values_in
from tinygrad_edu.optim import AdamW, clip_grad_norm

from ..config import TrainConfig
from ..data.corpus import Sequences
from ..model import GPT
from ..runs.checkpoint import numbers_of
from ..sample import ScalarScorer, Scorer
from .base import Engine, adamw_settings

__all__ = ["ScalarEngine"]


class ScalarEngine(Engine):
    """The textbook engine: every sequence is a graph of Values, differentiated by ``backward``."""

    def __init__(self, model: GPT, config: TrainConfig) -> None:
        self._model = model
        self._parameters = model.parameters()
        self._grad_clip = config.grad_clip or math.inf
        self._optimizer = AdamW(self._parameters, **adamw_settings(model, config))
        self._tables = {name: values_in(table) for name, table in model.named_parameters()}
        self.flow: list[GradientStats] = []

    def _value_and_grad(self, sequences: Sequences, dropout_seed: str) -> float:
        self._model.seed_dropout(dropout_seed)
        self._optimizer.zero_grad()
        total = 0.0
        with collector_paused():
            for sequence in sequences:
                # One sequence at a time: its gradients are added to the others', its graph is freed before the next.
                loss = self._model.loss(*sequence) / len(sequences)
                loss.backward()
                total += loss.data
        return total

    def _clip(self) -> float:
        return clip_grad_norm(self._parameters, self._grad_clip)

    def _copies(self) -> dict[str, list[float]]:
        return {name: [p.data for p in table] for name, table in self._tables.items()}

    def _update_ratio(self, before: list[float], after: list[float]) -> float | None:
        return update_ratio(before, after)

    def gradients(self) -> list[GradientStats]:
        """See :class:`Engine`."""
        return [gradient_stats(name, [p.grad for p in table]) for name, table in self._tables.items()]

    def evaluate(self, sequences: Sequences) -> float:
        """See :class:`Engine`."""
        self._model.eval()
        try:
            with no_grad(), collector_paused():
                return sum(self._model.loss(*sequence).data for sequence in sequences) / len(sequences)
        finally:
            self._model.train()

    def logits(self, windows: Sequence[Sequence[int]]) -> list[list[list[float]]]:
        """See :class:`Engine`."""
        self._model.eval()
        try:
            with no_grad(), collector_paused():
                return [[[x.data for x in row] for row in self._model(window)] for window in windows]
        finally:
            self._model.train()

    def scorer(self) -> Scorer:
        """See :class:`Engine`."""
        return ScalarScorer(self._model)

    def numbers(self) -> dict[str, Any]:
        """See :class:`Engine`."""
        return numbers_of(self._model)

    def write_back(self) -> None:
        """Do nothing: training changes the Values themselves."""

    def refresh(self) -> None:
        """See :class:`Engine`: there is no other copy of the Values."""

    def optimizer_state(self) -> dict[str, Any]:
        """See :class:`Engine`."""
        state: dict[str, Any] = self._optimizer.state_dict()
        return state

    def load_optimizer_state(self, state: Mapping[str, Any]) -> None:
        """See :class:`Engine`."""
        self._optimizer.load_state_dict(state)

    def summary(self) -> str:
        """Return nothing: every step runs the model's code as written."""
        return ""
