"""``--engine compiled``: the scalar model as an array program."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

from threadpoolctl import threadpool_limits

from tinygrad_edu import compiler
from tinygrad_edu import functional as F
from tinygrad_edu.compiler import Compiled
from tinygrad_edu.gradient_stats import GradientStats

from ..config import TrainConfig
from ..data.corpus import Sequences
from ..model import GPT, parameter_shapes
from ..sample import Scorer
from .base import Engine, adamw_settings, transposed
from .kv_cache import CachedScorer, in_evaluation

__all__ = ["CompiledEngine", "stats_of_array"]


class CompiledEngine(Engine):
    """The same scalar model as an array program, for a whole batch at once (see :mod:`tinygrad_edu.compiler`).

    During training the parameters are in one array; :meth:`write_back` copies them to the Values.
    """

    _AT_ONCE = 64  # sequences per call of a validation: enough to keep the processor busy, few enough for caches

    def __init__(self, model: GPT, config: TrainConfig) -> None:
        self._model = model
        self._parameters: Any
        self._optimizer: Any
        self._prepare(model, config)
        # Those of the model itself: programs add their own, which are parts of these.
        self._tables = {
            name: slice(start, start + size)
            for name, start, size in zip(
                self._parameters.names, self._parameters.starts, self._parameters.sizes, strict=True
            )
        }
        self._shapes = dict(parameter_shapes(model.config))
        self.flow: list[GradientStats] = []
        self._train_loss = compiler.jit(model.loss, self._parameters, watch=False)
        # With dropout, training and evaluation are two programs.
        self._loss = (
            compiler.jit(model.loss, self._parameters, watch=False) if model.config.dropout else self._train_loss
        )
        self._all_logits: Compiled | None = None
        self._next: Compiled | None = None
        self._cached: CachedScorer | None = None
        self._grad_clip = config.grad_clip or math.inf

    def _prepare(self, model: GPT, config: TrainConfig) -> None:
        """Set ``_parameters`` and ``_optimizer``; another engine puts them elsewhere."""
        # The batch is split among threads, each with the whole program: not only matrix products gain. The last
        # bits depend on how it is split, so the number is fixed.
        threadpool_limits(limits=1, user_api="blas")
        self._parameters = compiler.Parameters(model, backend=compiler.NumpyBackend(config.threads))
        self._optimizer = compiler.AdamW(self._parameters, **adamw_settings(model, config))

    def gradients(self) -> list[GradientStats]:
        """See :class:`Engine`."""
        gradient = self._parameters.backend.numbers(self._parameters.gradient)
        return [stats_of_array(name, gradient[place]) for name, place in self._tables.items()]

    def _value_and_grad(self, sequences: Sequences, dropout_seed: str) -> float:
        if self._model.config.dropout:
            self._train_loss.seed(random.Random(dropout_seed).getrandbits(64))
        return self._train_loss.value_and_grad(*transposed(sequences))

    def _copies(self) -> dict[str, Any]:
        array = self._parameters.backend.numbers(self._parameters.array)
        return {name: array[place].copy() for name, place in self._tables.items()}

    def _update_ratio(self, before: Any, after: Any) -> float | None:
        lengths = [float((x.astype("float64") ** 2).sum()) ** 0.5 for x in (after - before, before)]
        return lengths[0] / lengths[1] if lengths[1] else None

    def compile(self, sequences: Sequences) -> None:
        """Compile the program of a training step if necessary, without making a step."""
        if self.compiled.is_compiled and self.compiled.stats().gradient_instructions:
            return
        self._model.train()
        self._train_loss.value_and_grad(*transposed(sequences))

    def _clip(self) -> float:
        return compiler.clip_grad_norm(self._parameters, self._grad_clip)

    def evaluate(self, sequences: Sequences) -> float:
        """See :class:`Engine`."""
        total = 0.0
        for start in range(0, len(sequences), self._AT_ONCE):
            batch = sequences[start : start + self._AT_ONCE]
            total += in_evaluation(self._model, self._loss, self._loss, *transposed(batch)).sum(dtype="float64")
        return float(total) / len(sequences)

    def logits(self, windows: Sequence[Sequence[int]]) -> list[list[list[float]]]:
        """See :class:`Engine`."""
        if self._all_logits is None:
            self._all_logits = compiler.jit(self._model.forward, self._parameters, watch=False)
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
            self._next = compiler.jit(lambda tokens, last: F.pick(model(tokens), last), self._parameters, watch=False)
        program = self._next

        def score(tokens: Sequence[int]) -> list[float]:
            window = [*tokens, *[0] * (block_size - len(tokens))]
            logits = in_evaluation(model, program, program.flat, [window], [len(tokens) - 1])
            return logits[:, 0].tolist()  # type: ignore[no-any-return]

        return score

    def numbers(self) -> dict[str, Any]:
        """See :class:`Engine`."""
        array = self._parameters.backend.numbers(self._parameters.array)
        return {name: array[place].reshape(self._shapes[name]) for name, place in self._tables.items()}

    def write_back(self) -> None:
        """See :class:`Engine`."""
        self._parameters.write_back()
        # Even those that have never moved: they began with more digits than the array and the files have.
        numbers = self._parameters.backend.numbers(self._parameters.current()).tolist()
        for value, number in zip(self._parameters.values, numbers, strict=True):
            value.data = number

    def refresh(self) -> None:
        """See :class:`Engine`."""
        self._parameters.refresh()

    def optimizer_state(self) -> dict[str, Any]:
        """See :class:`Engine`."""
        m, v = map(self._parameters.backend.numbers, (self._optimizer.m, self._optimizer.v))
        return {"steps": self._optimizer.steps, "m": m, "v": v}

    def load_optimizer_state(self, state: Mapping[str, Any]) -> None:
        """See :class:`Engine`."""
        self._optimizer.load_state_dict(state)
        self.refresh()

    @property
    def compiled(self) -> Compiled:
        """The compiled loss, with its program and statistics."""
        return self._train_loss

    def summary(self) -> str:
        """Say in one sentence what the compiler did."""
        alone = "" if compiler.native.available() else " With llvmlite (pip install llvmlite) steps are faster."
        return f"Compiled: {self._train_loss.summary()}.{alone}"


def stats_of_array(name: str, gradient: Any) -> GradientStats:
    """:func:`tinygrad_edu.gradient_stats.gradient_stats` of an array."""
    sizes = abs(gradient)
    finite = sizes[sizes < math.inf]  # NaN compares false
    return GradientStats(
        name,
        len(sizes),
        float(finite.mean(dtype="float64")) if len(finite) else math.nan,
        float(finite.max()) if len(finite) else math.nan,
        float((sizes == 0.0).mean()),
        len(sizes) - len(finite),
    )
