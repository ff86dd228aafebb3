"""Is it what was asked for, and is it new? A reader of digits, nearest templates, distances to training pictures."""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_edu import functional as F
from tinygrad_edu import jit
from tinygrad_edu.compiler import AdamW
from tinygrad_edu.errors import brief

from .data import digits, shapes
from .data.shapes import Combination
from .model import Stack

__all__ = ["Reader", "Share", "distances", "obeyed", "prompts", "reader", "shown"]


@brief
@dataclass(frozen=True)
class Share:
    """How many of how many."""

    right: int
    count: int

    def __str__(self) -> str:
        return f"{self.right:,} of {self.count:,} ({self.right / self.count:.1%})"


class Reader:
    """A network that reads digits, trained on real ones only: 64 → 128 → 128 → 10, on pictures moved a little.

    Args:
        steps: of training; 1,500 take some seconds.
        seed: of its weights and batches.
    """

    def __init__(self, steps: int = 1500, seed: int = 0) -> None:
        model = Stack([digits.SIDE**2, 128, 128, digits.CLASSES], "relu", rng=seed)

        def loss(picture: Any, label: int) -> Any:
            return F.cross_entropy(model(picture), label)

        compiled = jit(loss, model)
        optimizer = AdamW(compiled.parameters, lr=2e-3, weight_decay=0.01)
        pictures, classes = digits.training()
        rng = np.random.default_rng(seed)
        for step in range(steps):
            optimizer.lr = 2e-3 * (1.0 - step / steps)
            chosen = rng.integers(0, len(pictures), 64)
            noisy = pictures[chosen] + rng.normal(0.0, 0.25, (64, digits.SIDE**2))
            compiled.value_and_grad(noisy, classes[chosen])
            optimizer.step()
        self._logits = jit(lambda picture: model(picture), compiled.parameters)

    def read(self, pictures: Any) -> Any:
        """Return the digit that it reads in each picture.                                   # (count, 64) → (count)"""
        return self._logits.flat(pictures).argmax(axis=0)

    def share(self, pictures: Any, classes: Sequence[int]) -> Share:
        """Return how many pictures it reads as these digits."""
        return Share(int((self.read(pictures) == np.asarray(classes)).sum()), len(pictures))


@functools.cache
def reader() -> Reader:
    """Return the reader, trained once."""
    return Reader()


def distances(pictures: Any, known: Any) -> Any:
    """Return how far each picture is from the nearest of the ``known`` ones.   # (a, n), (b, n) → (a)"""
    squares = (pictures**2).sum(1)[:, None] + (known**2).sum(1) - 2.0 * pictures @ known.T
    return np.sqrt(np.maximum(squares, 0.0).min(axis=1))


def shown(pictures: Any) -> list[Combination]:
    """Return what drawn shapes show: the combination of the nearest template.              # (count, 144) → (count)"""
    templates, of = shapes.templates()
    squares = (templates**2).sum(1) - 2.0 * pictures @ templates.T
    return [of[i] for i in squares.argmin(axis=1)]


def prompts(among: Sequence[Combination], count: int, seed: int) -> tuple[list[Combination], list[str]]:
    """Draw what to ask for, every combination equally often, and in which words."""
    rng = random.Random(seed)
    asked = [among[i % len(among)] for i in range(count)]
    return asked, [shapes.caption(combination, rng) for combination in asked]


def obeyed(pictures: Any, asked: Sequence[Combination]) -> Share:
    """Return how many pictures show what was asked for."""
    return Share(sum(a == b for a, b in zip(shown(pictures), asked, strict=True)), len(asked))
