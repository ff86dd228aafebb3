"""Optimizers turn gradients into steps, with the same arithmetic as PyTorch, one scalar at a time."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from .engine import Value, as_float, touch
from .errors import StateDictError, shown

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "check_state", "clip_grad_norm", "warmup_cosine", "warmup_linear"]


def _check(name: str, value: float, low: float, high: float = math.inf, *, open_high: bool = False) -> float:
    """Return ``value`` as a float, if it is between the two."""
    try:
        value = as_float(value)
    except TypeError:
        raise TypeError(f"{name} must be a number, got {shown(value)}") from None
    if not (low <= value < high if open_high else low <= value <= high):
        upper = f" and {'below' if open_high else 'at most'} {high}" if high < math.inf else ""
        raise ValueError(f"{name} must be at least {low}{upper}, got {value!r}")
    return value


def check_state(kind: str, state: Mapping[str, Any], buffers: tuple[str, ...], size: int) -> None:
    """Raise StateDictError, naming what does not fit, unless ``state`` is that of a ``kind`` for ``size``
    parameters."""
    expected = {"steps", *buffers}
    if set(state) != expected:
        raise StateDictError(
            f"this is not the state of {kind}: "
            f"expected {', '.join(sorted(expected))}; got {', '.join(sorted(state)) or 'nothing'}"
        )
    for name in buffers:
        if not hasattr(state[name], "__len__"):
            raise StateDictError(f"{name}: expected {size} numbers, got {shown(state[name])}")
        if len(state[name]) != size:
            raise StateDictError(f"{name}: expected {size} numbers, got {len(state[name])}")


def _values(parameters: Any, user: str) -> list[Value]:
    """Return the parameters, each once; raises TypeError for what is not a leaf of a graph."""
    if hasattr(parameters, "parameters"):
        raise TypeError(f"{user} Values, got a {type(parameters).__name__}; pass model.parameters()")
    given = list(parameters) if hasattr(parameters, "__iter__") else [parameters]
    for p in given:
        if not isinstance(p, Value):
            raise TypeError(f"{user} Values, got {type(p).__name__}; pass model.parameters()")
    return list(dict.fromkeys(given))


class Optimizer:
    """Base of the optimizers.

    Attributes:
        parameters: the Values to update, each once.
        lr: the learning rate; a schedule assigns to it before each step.
        steps: the number of steps taken.
    """

    _buffers: tuple[str, ...] = ()  # names of the lists, one number per parameter, that step() carries along

    def __init__(self, parameters: Iterable[Value], lr: float) -> None:
        self.parameters = _values(parameters, "an optimizer moves")
        for p in self.parameters:
            if p.op is not None:
                raise ValueError(
                    f"an optimizer moves leaves, got the computed {p!r}: make parameters with Value(number), "
                    "and change their .data, also inside no_grad()"
                )
        if not self.parameters:
            raise ValueError("the optimizer got no parameters; pass model.parameters()")
        self.lr = _check("lr", lr, 0.0)
        self.steps = 0

    def zero_grad(self) -> None:
        """Reset the gradient of every parameter: gradients accumulate until then."""
        for p in self.parameters:
            p.zero_grad()

    def step(self) -> None:
        """Update every parameter once."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """Return what changes from step to step, as plain numbers and lists, without hyperparameters such as lr."""
        return {"steps": self.steps, **{name: list(getattr(self, name)) for name in self._buffers}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a saved state; StateDictError names what does not fit."""
        check_state(type(self).__name__, state, self._buffers, len(self.parameters))
        given = {}
        for name in ("steps", *self._buffers):
            try:
                given[name] = [as_float(x) for x in state[name]] if name != "steps" else int(as_float(state[name]))
            except (TypeError, ValueError, OverflowError):
                raise StateDictError(f"{name}: expected numbers, got {shown(state[name])}") from None
        vars(self).update(given)


class SGD(Optimizer):
    """p ← p − lr · gradient, with momentum as in PyTorch: v ← momentum · v + gradient; p ← p − lr · v."""

    _buffers = ("velocity",)

    def __init__(self, parameters: Iterable[Value], lr: float, *, momentum: float = 0.0) -> None:
        super().__init__(parameters, lr)
        self.momentum = _check("momentum", momentum, 0.0, 1.0, open_high=True)
        self.velocity = [0.0] * len(self.parameters)

    def step(self) -> None:
        """Update every parameter once."""
        momentum, lr, velocity = as_float(self.momentum), _check("lr", self.lr, 0.0), self.velocity
        touch()
        self.steps += 1
        for i, p in enumerate(self.parameters):
            velocity[i] = v = momentum * velocity[i] + p._grad
            p._number -= lr * v


class Adam(Optimizer):
    """Kingma and Ba 2015, algorithm 1.

    Args:
        parameters: the Values to update.
        lr: α in the paper.
        betas: β₁ and β₂, the decay of the two running means.
        eps: ε, added to the root.
    """

    _buffers = ("m", "v")

    def __init__(
        self,
        parameters: Iterable[Value],
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(parameters, lr)
        self.betas = (
            _check("beta1", betas[0], 0.0, 1.0, open_high=True),
            _check("beta2", betas[1], 0.0, 1.0, open_high=True),
        )
        self.eps = _check("eps", eps, 0.0)
        self.m = [0.0] * len(self.parameters)  # running mean of the gradient
        self.v = [0.0] * len(self.parameters)  # running mean of its square

    def step(self) -> None:
        """Update every parameter once."""
        lr, beta1, beta2, eps = map(as_float, (_check("lr", self.lr, 0.0), *self.betas, self.eps))
        touch()
        self.steps += 1
        # Both means start at 0 and are too small at first; section 3 of the paper divides that out.
        step_size = lr / (1.0 - beta1**self.steps)
        root_correction = math.sqrt(1.0 - beta2**self.steps)
        m, v, sqrt = self.m, self.v, math.sqrt
        for i, p in enumerate(self.parameters):
            grad = p._grad
            m[i] = mi = beta1 * m[i] + (1.0 - beta1) * grad
            v[i] = vi = beta2 * v[i] + (1.0 - beta2) * grad * grad
            p._number -= step_size * mi / (sqrt(vi) / root_correction + eps or 1.0)  # 0 / 0, without eps: no step


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2): p also shrinks by lr · weight_decay.

    Args:
        parameters, lr, betas, eps: as for :class:`Adam`.
        weight_decay: λ in the paper.
        no_decay: the parameters that do not shrink; for a GPT, biases and the weights of the norms.
    """

    def __init__(
        self,
        parameters: Iterable[Value],
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        no_decay: Collection[Value] = (),
    ) -> None:
        super().__init__(parameters, lr, betas=betas, eps=eps)
        self.weight_decay = _check("weight_decay", weight_decay, 0.0)
        excluded = set(no_decay)
        self._decayed = [p for p in self.parameters if p not in excluded]

    def step(self) -> None:
        """Update every parameter once."""
        keep = 1.0 - _check("lr", self.lr, 0.0) * as_float(self.weight_decay)
        touch()
        if keep != 1.0:
            for p in self._decayed:
                p._number *= keep
        super().step()


# --- what is done to gradients and learning rates between steps -----------------------------------------------------


def clip_grad_norm(parameters: Iterable[Value], max_norm: float) -> float:
    """Scale all gradients down together if their common norm √Σg² is above ``max_norm``; returns the norm before.

    Pascanu, Mikolov and Bengio 2013, algorithm 1. An infinite ``max_norm`` only measures, and gradients whose norm is
    not finite are left unchanged, so that the cause can be found. (PyTorch adds 1e-6 to the norm before it divides, and
    so ends a little below ``max_norm``.)
    """
    max_norm = _check("max_norm", max_norm, 0.0)
    parameters = _values(parameters, "clip_grad_norm() scales the gradients of")
    touch()
    norm = math.hypot(*[p._grad for p in parameters])  # √Σg², even if a square would overflow
    if max_norm < norm < math.inf:
        scale = max_norm / norm
        for p in parameters:
            p._grad *= scale
    return norm


def _warmed_up(step: int, warmup_steps: int, total_steps: int) -> tuple[float, float]:
    """Return the factor of the warm-up at ``step`` and, after it, the completed fraction of the descent."""
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1), 0.0
    descent = max(total_steps - warmup_steps, 1)
    return 1.0, min((step - warmup_steps) / descent, 1.0)


def warmup_cosine(step: int, *, lr: float, total_steps: int, warmup_steps: int = 0, min_lr: float = 0.0) -> float:
    """Return the learning rate at ``step`` (counted from 0): a straight rise to ``lr``, then half a cosine down to
    ``min_lr``.

    Loshchilov and Hutter 2017, eq. 5, with one period.

    >>> [round(warmup_cosine(s, lr=1.0, warmup_steps=1, total_steps=5), 2) for s in range(6)]
    [0.5, 1.0, 0.85, 0.5, 0.15, 0.0]
    """
    rise, done = _warmed_up(step, warmup_steps, total_steps)
    return rise * (min_lr + 0.5 * (1.0 + math.cos(math.pi * done)) * (lr - min_lr))


def warmup_linear(step: int, *, lr: float, total_steps: int, warmup_steps: int = 0, min_lr: float = 0.0) -> float:
    """Return the learning rate at ``step`` (counted from 0): a straight rise to ``lr``, then a straight line to
    ``min_lr``.

    >>> [round(warmup_linear(s, lr=1.0, total_steps=4), 2) for s in range(5)]
    [1.0, 0.75, 0.5, 0.25, 0.0]
    """
    rise, done = _warmed_up(step, warmup_steps, total_steps)
    return rise * (min_lr + (1.0 - done) * (lr - min_lr))
