"""The optimizers of :mod:`tinygrad_edu.optim` on the flat array: the same arithmetic, for all parameters at once.

Their ``state_dict`` has the same entries in the same order: a run can be saved with one kind and resumed with the
other.

>>> from tinygrad_edu import Value, jit
>>> w = [Value(1.0), Value(2.0)]
>>> loss = jit(lambda x: (w[0] * x - w[1]) ** 2, w, dtype="float64")
>>> optimizer = SGD(loss.parameters, lr=0.1)
>>> loss.value_and_grad([3.0])
1.0
>>> optimizer.step()
>>> [round(v.data, 6) for v in w]
[0.4, 2.2]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from ..engine import Value
from ..errors import CompileError
from ..optim import _check, check_state
from .parameters import FloatArray, Parameters
from .program import updates
from .program.updates import Update
from .wasm_backend.module import Optimizer

__all__ = ["SGD", "Adam", "AdamW", "ArrayOptimizer", "clip_grad_norm"]


class ArrayOptimizer:
    """Base of the array optimizers.

    Attributes:
        parameters: those whose ``array`` is updated by its ``gradient``.
        lr: the learning rate; a schedule assigns to it before each step.
        steps: the number of steps taken.
    """

    _buffers: tuple[str, ...] = ()

    def __init__(self, parameters: Parameters, lr: float) -> None:
        if not isinstance(parameters, Parameters) or not len(parameters):
            raise ValueError("the optimizer got no parameters; pass those of a compiled function: jit(...).parameters")
        self.parameters = parameters
        self.lr = _check("lr", lr, 0.0)
        self.steps = 0
        self._size = len(parameters)
        self._backend = parameters.backend
        for name in self._buffers:
            setattr(self, name, self._new(np.zeros(len(parameters))))
        self._numbers = [self._new(np.zeros(len(updates.ADAMW))) for _ in range(2)]  # without and with decay
        self._made: tuple[Any, Any, Callable[[], None]] | None = None

    def _new(self, numbers: Any) -> Any:
        return self._backend.array(numbers.astype(self.parameters.dtype))

    def step(self) -> None:
        """Update every parameter once."""
        self.check()
        p, grad = self.parameters.current(), self.parameters.gradient
        if self._made is None or self._made[0] is not p or self._made[1] is not grad:  # they have moved in memory
            self._made = (p, grad, self._backend.in_place(self._updates(p, grad)))
        self.steps += 1
        for array, numbers in zip(self._numbers, self._settings(), strict=False):
            self._backend.put(array, np.arange(len(numbers)), np.array(numbers, self.parameters.dtype))
        self._made[2]()

    def _updates(self, p: Any, grad: Any) -> list[Update]:
        """What a step does."""
        raise NotImplementedError

    def _settings(self) -> tuple[tuple[float, ...], ...]:
        """The numbers of this step, in the order of those of the program."""
        raise NotImplementedError

    def for_module(self) -> Optimizer:
        """Return what a WebAssembly module goes on with from here."""
        self.check()
        state = {name: getattr(self, name) for name in self._buffers}
        settings = {"kind": type(self).__name__, "lr": self.lr, "steps": self.steps, **self._fixed()}
        whole = self._updates(self.parameters.current(), self.parameters.gradient)
        return Optimizer(whole, settings, self._numbers, state)

    def _fixed(self) -> dict[str, Any]:
        """The settings that do not change."""
        raise NotImplementedError

    def check(self) -> None:
        """Read what was assigned to Values meanwhile; raises if the parameters have changed."""
        if len(self.parameters) != self._size:
            raise CompileError(
                f"the optimizer was made for {self._size:,} parameters, now there are {len(self.parameters):,}: the "
                f"function meets Values that were not listed; make the optimizer after the first call of the function, "
                f"or list them: jit(function, parameters)"
            )
        self.parameters.meet_others()
        self.parameters.current()
        self.parameters.mark()

    def state_dict(self) -> dict[str, Any]:
        """Return what changes from step to step, as plain numbers and lists, in the layout of the scalar optimizers."""
        return {"steps": self.steps, **{name: getattr(self, name).tolist() for name in self._buffers}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a saved state; StateDictError names what does not fit."""
        check_state(type(self).__name__, state, self._buffers, len(self.parameters))
        self.steps = int(state["steps"])
        for name in self._buffers:
            numbers = np.asarray(state[name], self.parameters.dtype)
            self._backend.put(getattr(self, name), np.arange(self._size), numbers)


class SGD(ArrayOptimizer):
    """See :class:`tinygrad_edu.optim.SGD`."""

    _buffers = ("velocity",)
    velocity: FloatArray

    def __init__(self, parameters: Parameters, lr: float, *, momentum: float = 0.0) -> None:
        super().__init__(parameters, lr)
        self.momentum = _check("momentum", momentum, 0.0, 1.0, open_high=True)

    def _updates(self, p: Any, grad: Any) -> list[Update]:
        return [Update(updates.sgd, self._size, [p, grad, self.velocity, p, self._numbers[0], p, None, None])]

    def _settings(self) -> tuple[tuple[float, ...], ...]:
        return ((self.momentum, self.lr),)

    def _fixed(self) -> dict[str, Any]:
        return {"momentum": self.momentum}


class Adam(ArrayOptimizer):
    """See :class:`tinygrad_edu.optim.Adam`."""

    _buffers = ("m", "v")
    m: FloatArray
    v: FloatArray

    def __init__(
        self,
        parameters: Parameters,
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
        self._decays = np.zeros(self._size, np.int8)

    def _keep(self) -> float:
        """The factor by which weight decay shrinks a parameter."""
        return 1.0

    def _updates(self, p: Any, grad: Any) -> list[Update]:
        plain, decaying = self._numbers
        program = partial(updates.adamw, no_eps=not self.eps)
        if self._backend.few_calls:
            program = partial(program, scattered=True)
            decays = self._new(self._decays)
            return [Update(program, self._size, [p, grad, self.m, self.v, decaying, decays, None, None])]
        edges = [0, *(np.flatnonzero(np.diff(self._decays)) + 1).tolist(), self._size]
        found = []
        for start, stop in pairwise(edges):
            whole = Update(program, self._size, [p, grad, self.m, self.v, plain, p, None, None])
            arrays = whole.part(start, stop)
            arrays[updates.N] = decaying if self._decays[start] else plain
            found.append(Update(program, stop - start, arrays))
        return found

    def _settings(self) -> tuple[tuple[float, ...], ...]:
        beta1, beta2 = self.betas
        root, rate = math.sqrt(1.0 - beta2**self.steps), self.lr / (1.0 - beta1**self.steps)
        keep = self._keep()
        same = (beta1, 1.0 - beta1, beta2, 1.0 - beta2, root, self.eps, rate)
        return (*same, 1.0), (*same, keep - 1.0 if self._backend.few_calls else keep)

    def _fixed(self) -> dict[str, Any]:
        return {"betas": self.betas, "eps": self.eps, "weight_decay": 0.0}


class AdamW(Adam):
    """See :class:`tinygrad_edu.optim.AdamW`."""

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
        self._decays[:] = 1
        self._decays[parameters.places(no_decay)] = 0

    def _keep(self) -> float:
        return 1.0 - self.lr * self.weight_decay

    def _fixed(self) -> dict[str, Any]:
        return {**super()._fixed(), "weight_decay": self.weight_decay}


def clip_grad_norm(parameters: Parameters, max_norm: float) -> float:
    """Scale the gradient down if its norm √Σg² is above ``max_norm``; returns the norm before.

    See :func:`tinygrad_edu.optim.clip_grad_norm`.
    """
    _check("max_norm", max_norm, 0.0)
    gradient = parameters.gradient
    norm = float(np.sqrt(np.dot(gradient, gradient)))
    if max_norm < norm < math.inf:
        gradient *= max_norm / norm
    return norm
