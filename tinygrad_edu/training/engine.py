"""What computes a training step: the model as an array program, or Value by Value.

A model is a :class:`tinygrad_edu.nn.Module` with ``loss(*example)``, the loss of one example, and
``no_decay_parameters()``, those that weight decay leaves alone.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from threadpoolctl import threadpool_limits

from .. import compiler
from ..collector import collector_paused
from ..compiler import Compiled
from ..engine import no_grad
from ..gradient_stats import GradientStats, gradient_stats, update_ratio
from ..nested import shape, values_in
from ..optim import AdamW, clip_grad_norm
from .files import numbers_of
from .settings import TrainSettings

__all__ = [
    "CompiledEngine",
    "Engine",
    "Examples",
    "ScalarEngine",
    "adamw_settings",
    "evaluating",
    "in_evaluation",
    "stats_of_array",
    "transposed",
]

Examples = Sequence[tuple[Any, ...]]  # per example the arguments of the loss


class Engine(ABC):
    """One way to compute losses, gradients and optimizer steps of a model."""

    flow: list[GradientStats]  #: the gradients before clipping of the latest measured step, and the size of its update
    _optimizer: Any

    def step(self, examples: Examples, lr: float, dropout_seed: str = "", measure: bool = False) -> tuple[float, float]:
        """One optimizer step on the mean loss of ``examples``; returns that loss and the norm of its gradient.

        With ``measure`` it records its gradients in ``flow``. If loss or norm are not finite it always does, and leaves
        the model unchanged.
        """
        loss = self._value_and_grad(examples, dropout_seed)
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
    def _value_and_grad(self, examples: Examples, dropout_seed: str) -> float:
        """Return the mean loss, and put its gradient where :meth:`gradients` finds it."""

    def _seed(self, dropout_seed: str) -> None:  # noqa: B027 - without dropout there is nothing to do
        """Make the next dropout masks depend on this seed alone, so that a resumed run draws the same ones."""

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

    def measure(self, examples: Examples) -> list[GradientStats]:
        """Return the gradients of the mean loss of ``examples``, without making a step."""
        self._value_and_grad(examples, "")
        return self.gradients()

    @abstractmethod
    def evaluate(self, examples: Examples) -> float:
        """Return the mean loss, without training."""

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


class CompiledEngine(Engine):
    """The scalar model as an array program, for a whole batch at once (see :mod:`tinygrad_edu.compiler`).

    During training the parameters are in one array; :meth:`write_back` copies them to the Values.
    """

    _AT_ONCE = 64  # examples per call of a validation: enough to keep the processor busy, few enough for caches

    def __init__(self, model: Any, config: TrainSettings, shapes: Mapping[str, tuple[int, ...]] | None = None) -> None:
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
        self._shapes = dict(shapes or {name: shape(table) for name, table in model.named_parameters()})
        self.flow: list[GradientStats] = []
        self._train_loss = self.program(model.loss)
        self._loss = self._train_loss
        self._grad_clip = config.grad_clip or math.inf

    def program(self, function: Callable[..., Any]) -> Compiled:
        """Compile a function of the model; it reads the current parameters."""
        return compiler.jit(function, self._parameters, watch=False)

    def _prepare(self, model: Any, config: TrainSettings) -> None:
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

    def _value_and_grad(self, examples: Examples, dropout_seed: str) -> float:
        self._seed(dropout_seed)
        return self._train_loss.value_and_grad(*transposed(examples))

    def _copies(self) -> dict[str, Any]:
        array = self._parameters.backend.numbers(self._parameters.array)
        return {name: array[place].copy() for name, place in self._tables.items()}

    def _update_ratio(self, before: Any, after: Any) -> float | None:
        lengths = [float((x.astype("float64") ** 2).sum()) ** 0.5 for x in (after - before, before)]
        return lengths[0] / lengths[1] if lengths[1] else None

    def compile(self, examples: Examples) -> None:
        """Compile the program of a training step if necessary, without making a step."""
        if self.compiled.is_compiled and self.compiled.stats().gradient_instructions:
            return
        self._model.train()
        self._train_loss.value_and_grad(*transposed(examples))

    def _clip(self) -> float:
        return compiler.clip_grad_norm(self._parameters, self._grad_clip)

    def evaluate(self, examples: Examples) -> float:
        """See :class:`Engine`."""
        total = 0.0
        for start in range(0, len(examples), self._AT_ONCE):
            batch = examples[start : start + self._AT_ONCE]
            total += in_evaluation(self._model, self._loss, self._loss, *transposed(batch)).sum(dtype="float64")
        return float(total) / len(examples)

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


class ScalarEngine(Engine):
    """The textbook engine: every example is a graph of Values, differentiated by ``backward``."""

    def __init__(self, model: Any, config: TrainSettings) -> None:
        self._model = model
        self._parameters = model.parameters()
        self._grad_clip = config.grad_clip or math.inf
        self._optimizer = AdamW(self._parameters, **adamw_settings(model, config))
        self._tables = {name: values_in(table) for name, table in model.named_parameters()}
        self.flow: list[GradientStats] = []

    def _value_and_grad(self, examples: Examples, dropout_seed: str) -> float:
        self._seed(dropout_seed)
        self._optimizer.zero_grad()
        total = 0.0
        with collector_paused():
            for example in examples:
                # One example at a time: its gradients are added to the others', its graph is freed before the next.
                loss = self._model.loss(*example) / len(examples)
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

    def evaluate(self, examples: Examples) -> float:
        """See :class:`Engine`."""
        with evaluating(self._model):
            return float(sum(self._model.loss(*example).data for example in examples)) / len(examples)

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


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Put a model into evaluation, and record no graph."""
    model.eval()
    try:
        with no_grad(), collector_paused():
            yield
    finally:
        model.train()


def in_evaluation(model: Any, program: Compiled, call: Callable[..., Any], *batch: Any) -> Any:
    """Call the program, which is compiled from the model in evaluation mode."""
    if program.is_compiled:  # from then on the mode does not matter
        return call(*batch)
    training = model.training
    model.eval()
    try:
        return call(*batch)
    finally:
        if training:
            model.train()


def adamw_settings(model: Any, config: TrainSettings) -> dict[str, Any]:
    """Return the arguments of AdamW: weight decay is for matrices only."""
    return {
        "lr": config.lr,
        "betas": (config.beta1, config.beta2),
        "eps": config.eps,
        "weight_decay": config.weight_decay,
        "no_decay": model.no_decay_parameters(),
    }


def transposed(examples: Examples) -> list[list[Any]]:
    """Return the first arguments of all examples, then the second ones, …: the arguments of a compiled loss."""
    return [list(column) for column in zip(*examples, strict=True)]


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
