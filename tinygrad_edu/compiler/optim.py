"""The optimisers of :mod:`tinygrad_edu.optim`, on the flat array: the same arithmetic, all parameters at once.

Their ``state_dict`` has the same entries in the same order, so a run can be saved with one kind and go on with the
other.

>>> from tinygrad_edu import Value, jit
>>> w = [Value(1.0), Value(2.0)]
>>> loss = jit(lambda x: (w[0] * x - w[1]) ** 2, w, dtype="float64")
>>> optimizer = SGD(loss.parameters, lr=0.1)
>>> loss.value_and_grad([3.0])
1.0
>>> optimizer.step()
>>> loss.parameters.write_back()
>>> [round(v.data, 6) for v in w]
[0.4, 2.2]
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from ..engine import Value
from ..errors import StateDictError
from ..optim import _check
from .parameters import FloatArray, Parameters


class ArrayOptimizer:
    """Base of the array optimisers.

    Attributes:
        parameters: what is moved, with its gradient from the latest ``value_and_grad``.
        lr: the learning rate; a schedule assigns to it before each step.
    """

    _buffers: tuple[str, ...] = ()

    def __init__(self, parameters: Parameters, lr: float) -> None:
        if not isinstance(parameters, Parameters) or not len(parameters):
            raise ValueError("the optimiser got no parameters; pass those of a compiled function: jit(...).parameters")
        self.parameters = parameters
        self.lr = _check("lr", lr, 0.0)
        self.steps = 0
        for name in self._buffers:
            setattr(self, name, np.zeros(len(parameters), parameters.dtype))
        self._work = [np.empty(len(parameters), parameters.dtype) for _ in range(2)]

    def step(self) -> None:
        """Move every parameter once."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs beside the parameters: plain numbers and lists."""
        return {"steps": self.steps, **{name: getattr(self, name).tolist() for name in self._buffers}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a saved state; StateDictError names what does not fit."""
        expected = {"steps", *self._buffers}
        if set(state) != expected:
            raise StateDictError(
                f"this is not the state of {type(self).__name__}: "
                f"expected {', '.join(sorted(expected))}; got {', '.join(sorted(state)) or 'nothing'}"
            )
        for name in self._buffers:
            if len(state[name]) != len(self.parameters):
                raise StateDictError(f"{name}: expected {len(self.parameters)} numbers, got {len(state[name])}")
        self.steps = int(state["steps"])
        for name in self._buffers:
            getattr(self, name)[...] = state[name]


class SGD(ArrayOptimizer):
    """As :class:`tinygrad_edu.optim.SGD`."""

    _buffers = ("velocity",)
    velocity: FloatArray

    def __init__(self, parameters: Parameters, lr: float, *, momentum: float = 0.0) -> None:
        super().__init__(parameters, lr)
        self.momentum = _check("momentum", momentum, 0.0, 1.0, open_high=True)

    def step(self) -> None:
        """Move every parameter once."""
        self.steps += 1
        self.velocity *= self.momentum
        self.velocity += self.parameters.gradient
        self.parameters.array -= np.multiply(self.velocity, self.lr, self._work[0])


class Adam(ArrayOptimizer):
    """As :class:`tinygrad_edu.optim.Adam`."""

    _buffers = ("m", "v")
    m: FloatArray
    v: FloatArray

    def __init__(
        self, parameters: Parameters, lr: float = 1e-3, *, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
    ) -> None:
        super().__init__(parameters, lr)
        self.betas = (
            _check("beta1", betas[0], 0.0, 1.0, open_high=True),
            _check("beta2", betas[1], 0.0, 1.0, open_high=True),
        )
        self.eps = _check("eps", eps, 0.0)

    def step(self) -> None:
        """Move every parameter once."""
        self.steps += 1
        beta1, beta2 = self.betas
        step_size = self.lr / (1.0 - beta1**self.steps)
        root_correction = math.sqrt(1.0 - beta2**self.steps)
        grad, (a, b) = self.parameters.gradient, self._work
        self.m *= beta1
        self.m += np.multiply(grad, 1.0 - beta1, a)
        np.multiply(grad, grad, a)
        self.v *= beta2
        self.v += np.multiply(a, 1.0 - beta2, a)
        np.sqrt(self.v, b)
        np.divide(b, root_correction, b)
        np.add(b, self.eps, b)
        np.multiply(self.m, step_size, a)
        with np.errstate(invalid="ignore"):  # eps 0 and a gradient that was always 0: stays where it is
            np.divide(a, b, a)
        if not self.eps:
            np.nan_to_num(a, copy=False)
        self.parameters.array -= a


class AdamW(Adam):
    """As :class:`tinygrad_edu.optim.AdamW`; ``no_decay`` are Values too."""

    def __init__(
        self,
        parameters: Parameters,
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
        self._decayed = np.array([v not in excluded for v in parameters.values])

    def step(self) -> None:
        """Move every parameter once."""
        shrink = self.lr * self.weight_decay
        if shrink:
            np.multiply(self._decayed, -shrink, out=self._work[0])
            np.add(self._work[0], 1.0, self._work[0])
            self.parameters.array *= self._work[0]
        super().step()


def clip_grad_norm(parameters: Parameters, max_norm: float) -> float:
    """As :func:`tinygrad_edu.optim.clip_grad_norm`: scale down to ``max_norm``; returns the norm before."""
    gradient = parameters.gradient
    norm = math.sqrt(float(np.dot(gradient, gradient)))
    if norm > max_norm:
        gradient *= max_norm / norm
    return norm
