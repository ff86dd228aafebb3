"""Painting: begin with noise, and follow the velocity in small steps (Euler's method).

With guidance the step is v = v_u + s · (v_c − v_u): v_c is the velocity of a model that is told something, v_u that of
the same model told nothing, and s says how strongly to follow the difference (Ho and Salimans 2022).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_edu import compiler
from tinygrad_edu.compiler import Parameters
from tinygrad_edu.training.engine import evaluating
from tinygrad_edu.training.errors import ConfigError

from .config import ModelConfig
from .dataset import Told, nothing
from .model import Painter

__all__ = ["AT_ONCE", "GUIDANCE", "MOST", "STEPS", "Sampler", "check_settings", "noise"]

AT_ONCE = 64  # pictures per call of a program: enough to keep the processor busy, few enough for caches
STEPS, GUIDANCE = 20, 2.0  # by default
MOST = {"steps": 10_000, "count": 100_000}


def check_settings(steps: int, guidance: float, count: int) -> None:
    """Raise ConfigError for settings out of range."""
    for name, number in (("steps", steps), ("count", count)):
        if not 1 <= number <= MOST[name]:
            raise ConfigError(f"{name} must be from 1 to {MOST[name]:,}, got {number}")
    if not 0.0 <= guidance <= 100.0:
        raise ConfigError(f"guidance must be from 0 to 100, got {guidance}")


def noise(config: ModelConfig, count: int, seed: int) -> Any:
    """Return where ``count`` pictures begin; picture i is the same whatever the count.            # (count, n)"""
    return np.stack([np.random.default_rng([seed, i]).standard_normal(config.numbers) for i in range(count)])


class Sampler:
    """Paints with a model.

    Args:
        model: the model.
        parameters: its numbers, if they are in an array, as while it trains.
        scalar: compute Value by Value instead of as an array program.
    """

    def __init__(self, model: Painter, parameters: Parameters | None = None, *, scalar: bool = False) -> None:
        self.model, self.config, self._scalar = model, model.config, scalar
        if not scalar:
            parameters = parameters if parameters is not None else Parameters(model)
            self._velocity = compiler.jit(model.forward, parameters, watch=False)
            self._decode = compiler.jit(model.decode, parameters, watch=False)

    def velocity(self, x: Any, time: float, told: Sequence[Told]) -> Any:
        """Return the velocity at points, at one time.  # (B, n) → (B, n)"""
        columns = [list(column) for column in zip(*told, strict=True)]
        return self._called("forward", x, np.full(len(x), time), *columns)

    def guided(self, x: Any, time: float, told: Sequence[Told], guidance: float) -> Any:
        """Return the velocity with guidance.  # (B, n) → (B, n)"""
        untold = [nothing(self.config)] * len(x)
        if guidance == 1.0 or list(told) == untold:
            return self.velocity(x, time, told)
        both = self.velocity(np.concatenate([x, x]), time, [*told, *untold])
        with_it, without = both[: len(x)], both[len(x) :]
        return without + guidance * (with_it - without)

    def way(self, start: Any, told: Sequence[Told], steps: int = STEPS, guidance: float = GUIDANCE) -> Any:
        """Return all points of the way from noise: steps + 1 times.  # (B, n) → (steps + 1, B, n)"""
        x = np.asarray(start, np.float64)
        seen = [x]
        for step in range(steps):
            x = x + self.guided(x, step / steps, told, guidance) / steps
            seen.append(x)
        return np.stack(seen)

    def paint(self, told: Sequence[Told], seed: int = 0, steps: int = STEPS, guidance: float = GUIDANCE) -> Any:
        """Return a picture, or a point, for everything that the model is told.  # (count, p)"""
        return self.pictures(self.made(told, seed, steps, guidance))

    def made(self, told: Sequence[Told], seed: int = 0, steps: int = STEPS, guidance: float = GUIDANCE) -> Any:
        """Return what the flow makes, before an autoencoder decodes it.  # (count, n)"""
        start = noise(self.config, len(told), seed)
        parts = [slice(i, i + AT_ONCE) for i in range(0, len(told), AT_ONCE)]
        return np.concatenate([self.way(start[part], told[part], steps, guidance)[-1] for part in parts])

    def pictures(self, numbers: Any) -> Any:
        """Return the pictures of what the flow has made: pixels from −1 to 1, or points.  # (B, n) → (B, p)"""
        made = self._called("decode", numbers) if self.config.latent else np.asarray(numbers)
        return made if self.config.pixels == 2 else np.clip(made, -1.0, 1.0)

    def module(self, batch: int) -> bytes:
        """Return the velocity for a batch, as it was computed last, and the decoder, as WebAssembly."""
        others = {}
        if self.config.latent:
            self._decode.flat(np.zeros((1, self.config.numbers)))
            others["decode"] = self._decode
        return self._velocity.to_wasm(batch=batch, others=others).packed()

    def _called(self, name: str, *columns: Any) -> Any:
        if not self._scalar:
            program = self._velocity if name == "forward" else self._decode
            return program.flat(*columns).T.astype(np.float64)
        function: Callable[..., Any] = getattr(self.model, name)
        rows = zip(*(np.asarray(column).tolist() for column in columns), strict=True)
        with evaluating(self.model):
            return np.array([[value.data for value in function(*row)] for row in rows])
