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
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..engine import Value
from ..errors import CompileError
from ..optim import _check, check_state
from .llvm_backend import adam, codegen
from .numpy_backend.entry import NumpyBackend
from .parameters import FloatArray, Parameters
from .program.fusion import SMALLEST
from .runtime import memory

__all__ = ["PIECE", "SGD", "Adam", "AdamW", "ArrayOptimizer", "clip_grad_norm"]

#: How many parameters are updated at a time: a few pieces of this size fit into the cache, so that memory
#: is read and written once per step and not once per operation. With smaller ones threads wait for the GIL.
PIECE = 1 << 16


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
        for name in self._buffers:
            setattr(self, name, memory.zeros((len(parameters),), parameters.array.dtype))
        pieces = [slice(i, min(i + PIECE, len(parameters))) for i in range(0, len(parameters), PIECE)]
        if not isinstance(parameters.backend, NumpyBackend):
            raise TypeError(
                f"an optimizer of tinygrad_edu.compiler moves parameters on a NumpyBackend, these are on "
                f"{parameters.backend!r}; use one that is made for it"
            )
        self.backend = parameters.backend
        count = self.backend.threads.count
        # For every thread its pieces, and two arrays of the size of a piece for intermediate results.
        self._shares = [
            (pieces[i::count], memory.empty((2, min(PIECE, len(parameters))), parameters.array.dtype))
            for i in range(min(count, len(pieces)))
        ]

    def step(self) -> None:
        """Update every parameter once."""
        self.check()
        self.steps += 1
        self._begin()
        self.backend.threads.run(self._move_pieces, self._shares)

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

    def _move_pieces(self, pieces: Sequence[slice], scratch: FloatArray) -> None:
        for piece in pieces:
            self._move(piece, *scratch[:, : piece.stop - piece.start])

    def _begin(self) -> None:
        """Prepare a step, before all pieces."""

    def _move(self, i: slice, one: FloatArray, two: FloatArray) -> None:
        """Update some of the parameters; ``one`` and ``two`` are arrays of the same size for intermediate results."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """Return what changes from step to step, as plain numbers and lists, in the layout of the scalar optimizers."""
        return {"steps": self.steps, **{name: getattr(self, name).tolist() for name in self._buffers}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a saved state; StateDictError names what does not fit."""
        check_state(type(self).__name__, state, self._buffers, len(self.parameters))
        self.steps = int(state["steps"])
        for name in self._buffers:
            getattr(self, name)[...] = state[name]


class SGD(ArrayOptimizer):
    """See :class:`tinygrad_edu.optim.SGD`."""

    _buffers = ("velocity",)
    velocity: FloatArray

    def __init__(self, parameters: Parameters, lr: float, *, momentum: float = 0.0) -> None:
        super().__init__(parameters, lr)
        self.momentum = _check("momentum", momentum, 0.0, 1.0, open_high=True)

    def _move(self, i: slice, one: FloatArray, two: FloatArray) -> None:
        velocity, p = self.velocity[i], self.parameters.current()[i]
        velocity *= self.momentum
        velocity += self.parameters.gradient[i]
        np.multiply(velocity, self.lr, out=one)
        p -= one


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
        self._numbers = np.zeros((2, len(adam.NUMBERS)), parameters.array.dtype)  # without and with decay
        self._made: tuple[FloatArray, FloatArray, list[list[adam.Kernel]]] | None = None

    def step(self) -> None:
        """Update every parameter once."""
        self.check()
        kernels = self._kernels()
        if not kernels:
            super().step()
            return
        self.steps += 1
        (beta1, beta2), (step_size, root_correction) = self.betas, self._corrections()
        self._numbers[:, :-1] = beta1, 1.0 - beta1, beta2, 1.0 - beta2, root_correction, self.eps, step_size
        self._numbers[:, -1] = 1.0, self._keep()
        self.backend.threads.run(_run_all, [(share,) for share in kernels])

    def _keep(self) -> float:
        """The factor by which weight decay shrinks a parameter."""
        return 1.0

    def _decaying(self) -> list[slice]:
        """The parameters that decay."""
        return []

    def _kernels(self) -> list[list[adam.Kernel]]:
        """Kernels for every thread, if possible; made again when the parameters have moved in memory."""
        p, grad = self.parameters.current(), self.parameters.gradient
        few = len(p) < SMALLEST * self.backend.threads.count
        if few or not self.eps or not self.backend.native or not codegen.available():
            return []
        if self._made is None or self._made[0] is not p or self._made[1] is not grad:
            count = self.backend.threads.count
            line = memory.LINE // p.itemsize
            size = -(-len(p) // (count * line)) * line
            edges = {0, len(p), *(edge for part in self._decaying() for edge in (part.start, part.stop))}
            decays = {part.start for part in self._decaying()}
            shares: list[list[adam.Kernel]] = []
            for first in range(0, len(p), size):
                shares.append([])
                last = min(first + size, len(p))
                inside = sorted({first, last, *(edge for edge in edges if first < edge < last)})
                for start, stop in pairwise(inside):
                    i = slice(start, stop)
                    numbers = self._numbers[int(max(edge for edge in edges if edge <= start) in decays)]
                    shares[-1].append(adam.Kernel(p[i], grad[i], self.m[i], self.v[i], numbers))
            self._made = (p, grad, shares)
        return self._made[2]

    def _corrections(self) -> tuple[float, float]:
        """lr / (1 − β₁^t) and √(1 − β₂^t)."""
        beta1, beta2 = self.betas
        return self.lr / (1.0 - beta1**self.steps), math.sqrt(1.0 - beta2**self.steps)

    def _move(self, i: slice, one: FloatArray, two: FloatArray) -> None:
        beta1, beta2 = self.betas
        step_size, root_correction = self._corrections()
        p, grad, m, v = self.parameters.current()[i], self.parameters.gradient[i], self.m[i], self.v[i]
        m *= beta1
        np.multiply(grad, 1.0 - beta1, out=one)
        m += one
        v *= beta2
        np.multiply(grad, grad, out=one)
        one *= 1.0 - beta2
        v += one
        np.sqrt(v, out=one)
        one /= root_correction
        one += self.eps
        np.multiply(m, step_size, out=two)
        # With eps 0, a parameter whose gradient was always 0 stays where it is.
        np.divide(two, one, out=two, where=one != 0.0) if not self.eps else np.divide(two, one, out=two)
        p -= two


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
        decayed = np.ones(len(parameters), np.int8)
        decayed[parameters.places(no_decay)] = 0
        edges = np.flatnonzero(np.diff(decayed, prepend=0, append=0))
        self._decayed = [slice(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]

    def _keep(self) -> float:
        return 1.0 - self.lr * self.weight_decay

    def _decaying(self) -> list[slice]:
        return self._decayed

    def _begin(self) -> None:
        keep = self._keep()
        if keep != 1.0:
            for part in self._decayed:
                self.parameters.current()[part] *= keep


def _run_all(kernels: Sequence[adam.Kernel]) -> None:
    for kernel in kernels:
        kernel.run()


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
