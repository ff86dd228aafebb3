"""``--engine scalar``: every sequence is a graph of Values."""

from __future__ import annotations

from collections.abc import Sequence

from tinygrad_edu.training import engine
from tinygrad_edu.training.engine import evaluating

from ..sample import ScalarScorer, Scorer
from .base import Engine

__all__ = ["ScalarEngine"]


class ScalarEngine(engine.ScalarEngine, Engine):
    """See :class:`tinygrad_edu.training.engine.ScalarEngine`."""

    def _seed(self, dropout_seed: str) -> None:
        self._model.seed_dropout(dropout_seed)

    def logits(self, windows: Sequence[Sequence[int]]) -> list[list[list[float]]]:
        """See :class:`Engine`."""
        with evaluating(self._model):
            return [[[x.data for x in row] for row in self._model(window)] for window in windows]

    def scorer(self) -> Scorer:
        """See :class:`Engine`."""
        return ScalarScorer(self._model)
