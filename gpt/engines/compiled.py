"""``--engine compiled``: the scalar model as an array program."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tinygrad_edu import functional as F
from tinygrad_edu.compiler import Compiled
from tinygrad_edu.training import engine
from tinygrad_edu.training.engine import in_evaluation

from ..config import TrainConfig
from ..model import GPT, parameter_shapes
from ..sample import Scorer
from .base import Engine
from .kv_cache import CachedScorer

__all__ = ["CompiledEngine"]


class CompiledEngine(engine.CompiledEngine, Engine):
    """See :class:`tinygrad_edu.training.engine.CompiledEngine`."""

    def __init__(self, model: GPT, config: TrainConfig) -> None:
        super().__init__(model, config, dict(parameter_shapes(model.config)))
        if model.config.dropout:  # with dropout, training and evaluation are two programs
            self._loss = self.program(model.loss)
        self._all_logits: Compiled | None = None
        self._next: Compiled | None = None
        self._cached: CachedScorer | None = None

    def _seed(self, dropout_seed: str) -> None:
        if self._model.config.dropout:
            self._train_loss.seed(random.Random(dropout_seed).getrandbits(64))

    def logits(self, windows: Sequence[Sequence[int]]) -> list[list[list[float]]]:
        """See :class:`Engine`."""
        if self._all_logits is None:
            self._all_logits = self.program(self._model.forward)
        program = self._all_logits
        out = in_evaluation(self._model, program, program.flat, [list(window) for window in windows])
        rows = out.reshape((self._model.config.block_size, -1, len(windows)))
        return rows.transpose((2, 0, 1)).tolist()  # type: ignore[no-any-return]

    def scorer(self) -> Scorer:
        """See :class:`Engine`. Keys and values of earlier tokens are cached; alternating texts share the cache."""
        if self._cached is None:
            self._cached = CachedScorer(self._model, self._parameters)
        self._cached.forget()
        return self._cached

    def window_scorer(self) -> Scorer:
        """Do the same without a cache: the whole window for every token. A reference for the other one.

        The window is padded with zeros after the last token.
        """
        model, block_size = self._model, self._model.config.block_size
        if self._next is None:  # no method is compiled: it would hold the engine, which holds what is compiled of it
            self._next = self.program(lambda tokens, last: F.pick(model(tokens), last))
        program = self._next

        def score(tokens: Sequence[int]) -> list[float]:
            window = [*tokens, *[0] * (block_size - len(tokens))]
            logits = in_evaluation(model, program, program.flat, [window], [len(tokens) - 1])
            return logits[:, 0].tolist()  # type: ignore[no-any-return]

        return score
