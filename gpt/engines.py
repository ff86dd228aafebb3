"""What computes a training step. The training loop sees this face and nothing behind it."""

from __future__ import annotations

import importlib.util
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from tinygrad_edu import Value, collector_paused, no_grad
from tinygrad_edu import functional as F
from tinygrad_edu.calls import values_in
from tinygrad_edu.measure import Line, line, update_ratio
from tinygrad_edu.nn import shape
from tinygrad_edu.optim import AdamW, clip_grad_norm

from .cached import CachedScorer, in_evaluation
from .checkpoint import numbers_of
from .config import TrainConfig
from .data import Sequences
from .errors import ConfigError
from .model import GPT
from .processes import launched
from .sample import ScalarScorer, Scorer

if TYPE_CHECKING:
    from tinygrad_edu.compiler import Compiled

__all__ = [
    "CompiledEngine",
    "Engine",
    "ScalarEngine",
    "adamw_settings",
    "check_engine",
    "line_of",
    "make_engine",
    "transposed",
]


class Engine(Protocol):
    """One way to compute losses, gradients and optimiser steps of a model."""

    flow: list[Line]  #: the gradients before clipping, of the latest step that was measured, and what it changed

    def step(self, sequences: Sequences, lr: float, dropout_seed: str, measure: bool = False) -> tuple[float, float]:
        """One optimiser step on the mean loss of ``sequences``; returns that loss and the norm of its gradient.

        With ``measure`` it notes its gradients in ``flow``. When loss or norm are not finite it does so in any case,
        and the model stays as it was.
        """

    def gradients(self) -> list[Line]:
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
        """What the optimiser must have to go on, as it is until the next step: the same keys for every engine."""

    def load_optimizer_state(self, state: Mapping[str, Any]) -> None:
        """Take up a saved optimiser state."""

    def summary(self) -> str:
        """What a person may like to know about how steps are computed, after the first one; may be empty."""


class ScalarEngine:
    """The engine of the textbook: every sequence is a graph of Values, differentiated by ``backward``."""

    def __init__(self, model: GPT, config: TrainConfig) -> None:
        self._model = model
        self._parameters = model.parameters()
        self._grad_clip = config.grad_clip or math.inf
        self._optimizer = AdamW(self._parameters, **adamw_settings(model, config))
        self._tables = {name: values_in(table) for name, table in model.named_parameters()}
        self.flow: list[Line] = []

    def step(self, sequences: Sequences, lr: float, dropout_seed: str, measure: bool = False) -> tuple[float, float]:
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
        before = {name: [p.data for p in table] for name, table in self._tables.items()} if measure else {}
        if measure:
            self.flow = self.gradients()
        norm = clip_grad_norm(self._parameters, self._grad_clip)
        if not (math.isfinite(total) and math.isfinite(norm)):
            self.flow = self.gradients()
            return total, norm
        self._optimizer.lr = lr
        self._optimizer.step()
        if measure:
            self.flow = [
                replace(line, update=update_ratio(before[line.name], [p.data for p in self._tables[line.name]]))
                for line in self.flow
            ]
        return total, norm

    def gradients(self) -> list[Line]:
        """See :class:`Engine`."""
        return [line(name, [p.grad for p in table]) for name, table in self._tables.items()]

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

    def any_process(self, flag: bool) -> bool:
        """See :class:`Engine`."""
        return flag

    def numbers(self) -> dict[str, Any]:
        """See :class:`Engine`."""
        return numbers_of(self._model)

    def write_back(self) -> None:
        """Nothing to do: the Values are what is trained."""

    def refresh(self) -> None:
        """See :class:`Engine`: the Values are the only place."""

    def optimizer_state(self) -> dict[str, Any]:
        """See :class:`Engine`."""
        return self._optimizer.state_dict()

    def load_optimizer_state(self, state: Mapping[str, Any]) -> None:
        """See :class:`Engine`."""
        self._optimizer.load_state_dict(state)

    def summary(self) -> str:
        """Nothing to tell: every step is what the model's code says."""
        return ""


class CompiledEngine:
    """The same scalar model as an array program, for a whole batch at once (see :mod:`tinygrad_edu.compiler`).

    While it trains, the parameters live in one array; :meth:`write_back` brings them home to the Values.
    """

    _AT_ONCE = 64  # sequences per call of a validation: enough to fill the processor, little enough for its memory

    def __init__(self, model: GPT, config: TrainConfig) -> None:
        from tinygrad_edu import compiler  # here: it brings numpy, which the scalar path does not need

        self._model = model
        self._compiler = compiler
        self._parameters: Any
        self._optimizer: Any
        self._prepare(model, config)
        # Those of the model itself: programs add their own, parts of these.
        self._tables = {
            name: slice(start, start + size)
            for name, start, size in zip(
                self._parameters.names, self._parameters.starts, self._parameters.sizes, strict=True
            )
        }
        self._shapes = {name: shape(table) for name, table in model.named_parameters()}
        self.flow: list[Line] = []
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
        from threadpoolctl import threadpool_limits

        # The batch is shared out to threads, each with the whole program: more than matrix products gains. The last
        # bits depend on how it is shared out, so the number is fixed.
        threadpool_limits(limits=1, user_api="blas")
        self._parameters = self._compiler.Parameters(model, threads=config.threads)
        self._optimizer = self._compiler.AdamW(self._parameters, **adamw_settings(model, config))

    def step(self, sequences: Sequences, lr: float, dropout_seed: str, measure: bool = False) -> tuple[float, float]:
        """See :class:`Engine`."""
        if self._model.config.dropout:
            self._train_loss.seed(random.Random(dropout_seed).getrandbits(64))
        loss = self._value_and_grad(sequences)
        before = self._on_host(self._parameters.array).copy() if measure else None
        if measure:
            self.flow = self.gradients()
        norm = self._clip()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            self.flow = self.gradients()
            return loss, norm
        self._optimizer.lr = lr
        self._optimizer.step()
        if before is not None:
            after = self._on_host(self._parameters.array)
            self.flow = [
                replace(line, update=_update_ratio(before[self._tables[line.name]], after[self._tables[line.name]]))
                for line in self.flow
            ]
        return loss, norm

    def gradients(self) -> list[Line]:
        """See :class:`Engine`."""
        gradient = self._on_host(self._parameters.gradient)
        return [line_of(name, gradient[place]) for name, place in self._tables.items()]

    def _on_host(self, array: Any) -> Any:
        """An array of parameters as one of numpy, without a copy where that is possible."""
        return array

    def _value_and_grad(self, sequences: Sequences) -> float:
        return self._train_loss.value_and_grad(*transposed(sequences))

    def compile(self, sequences: Sequences) -> None:
        """Make the program of a training step, without taking one."""
        self._model.train()
        self._train_loss.value_and_grad(*transposed(sequences))

    def _clip(self) -> float:
        return self._compiler.clip_grad_norm(self._parameters, self._grad_clip)

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
            self._all_logits = self._compiler.jit(self._model.forward, self._parameters, watch=False)
        program = self._all_logits
        out = in_evaluation(self._model, program, program.flat, [list(window) for window in windows])
        rows = out.reshape((self._model.config.block_size, -1, len(windows)))
        return rows.transpose((2, 0, 1)).tolist()  # type: ignore[no-any-return]

    def scorer(self) -> Scorer:
        """See :class:`Engine`. Keys and values of earlier tokens are kept; texts that take turns share the place."""
        if self._cached is None:
            self._cached = CachedScorer(self._model, self._parameters)
        self._cached.forget()
        return self._cached

    def window_scorer(self) -> Scorer:
        """The same without keeping anything: the whole window for every token. The measure for the other one.

        Behind the last token the window is filled up with zeros.
        """
        block_size = self._model.config.block_size
        if self._next is None:
            self._next = self._compiler.jit(self._next_logits, self._parameters, watch=False)
        program = self._next

        def score(tokens: Sequence[int]) -> list[float]:
            window = [*tokens, *[0] * (block_size - len(tokens))]
            logits = in_evaluation(self._model, program, program.flat, [window], [len(tokens) - 1])
            return logits[:, 0].tolist()  # type: ignore[no-any-return]

        return score

    def _next_logits(self, tokens: Sequence[int], last: int) -> list[Value]:
        return F.pick(self._model(tokens), last)

    def any_process(self, flag: bool) -> bool:
        """See :class:`Engine`."""
        return flag

    def numbers(self) -> dict[str, Any]:
        """See :class:`Engine`."""
        array = self._on_host(self._parameters.array)
        return {name: array[place].reshape(self._shapes[name]) for name, place in self._tables.items()}

    def write_back(self) -> None:
        """See :class:`Engine`."""
        self._parameters.write_back()

    def refresh(self) -> None:
        """See :class:`Engine`."""
        self._parameters.refresh()

    def optimizer_state(self) -> dict[str, Any]:
        """See :class:`Engine`."""
        m, v = (self._on_host(means) for means in (self._optimizer.m, self._optimizer.v))
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
        """What the compiler did, in one sentence."""
        alone = "" if self._compiler.native.available() else " With llvmlite (pip install llvmlite) steps are faster."
        return f"Compiled: {self._train_loss.summary()}.{alone}"


def line_of(name: str, gradient: Any) -> Line:
    """:func:`tinygrad_edu.measure.line` of an array."""
    sizes = abs(gradient)
    finite = sizes[sizes < math.inf]  # NaN compares false
    return Line(
        name,
        len(sizes),
        float(finite.mean(dtype="float64")) if len(finite) else math.nan,
        float(finite.max()) if len(finite) else math.nan,
        float((sizes == 0.0).mean()),
        len(sizes) - len(finite),
    )


def _update_ratio(before: Any, after: Any) -> float | None:
    """:func:`tinygrad_edu.measure.update_ratio` of arrays."""
    lengths = [float((x.astype("float64") ** 2).sum()) ** 0.5 for x in (after - before, before)]
    return lengths[0] / lengths[1] if lengths[1] else None


def adamw_settings(model: GPT, config: TrainConfig) -> dict[str, Any]:
    """The arguments of an AdamW: weight decay is for matrices only."""
    return {
        "lr": config.lr,
        "betas": (config.beta1, config.beta2),
        "eps": config.eps,
        "weight_decay": config.weight_decay,
        "no_decay": model.vectors(),
    }


def transposed(sequences: Sequences) -> tuple[list[list[int]], list[list[int]]]:
    """All tokens and all targets: the arguments of a compiled loss."""
    return [tokens for tokens, _ in sequences], [targets for _, targets in sequences]


def check_engine(config: TrainConfig) -> None:
    """Raise ConfigError, with the cure, when the engine that ``config.engine`` names cannot run here."""
    if launched()[1] > 1 and config.engine != "torch":
        raise ConfigError(
            f"torchrun has started {launched()[1]} processes, and only those of --engine torch can train together; "
            f"add --engine torch, or start without torchrun"
        )
    if config.engine == "torch" and importlib.util.find_spec("torch") is None:
        raise ConfigError(
            "--engine torch needs PyTorch, which is not installed: pip install 'tinygrad_edu[torch]'; "
            "--engine compiled computes the same with numpy"
        )


def make_engine(model: GPT, config: TrainConfig) -> Engine:
    """The engine that ``config.engine`` names. Raises ConfigError when it cannot run here."""
    check_engine(config)
    if config.engine == "torch":
        from .torch_engine import TorchEngine

        return TorchEngine(model, config)
    return ScalarEngine(model, config) if config.engine == "scalar" else CompiledEngine(model, config)
