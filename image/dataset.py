"""The examples of a training step, and what a model can be told.

An example has the arguments of :meth:`image.model.Painter.loss`: noise, a picture, a time, and what the model is told
about the picture. Which ones a step gets depends on the seed and the step only.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_edu.training.errors import ConfigError

from .config import ModelConfig
from .data import digits, points, shapes

__all__ = ["Example", "Told", "batch", "nothing", "shown_first", "told", "validation", "words_for"]

Example = tuple[Any, ...]
Told = tuple[Any, ...]  # nothing, one class, or one caption as numbers of words


def batch(config: ModelConfig, seed: int, step: int, size: int, untold: float) -> list[Example]:
    """Return the examples of a step; in a share of them the model is told nothing."""
    rng = np.random.default_rng([seed, step])
    pictures, about = _drawn(config, size, rng, digits.training)
    hidden = rng.random(size) < untold
    about = [nothing(config) if hide else one for one, hide in zip(about, hidden, strict=True)]
    return _examples(config, pictures, about, rng)


def validation(config: ModelConfig, count: int) -> list[Example]:
    """Return examples that no step gets, always the same: of digits the held-out ones, of the rest new draws."""
    rng = np.random.default_rng([count, 0, 0])
    pictures, about = _drawn(config, count, rng, digits.held_out)
    return _examples(config, pictures, about, rng)


def _examples(config: ModelConfig, pictures: Any, about: Sequence[Told], rng: np.random.Generator) -> list[Example]:
    noise = rng.standard_normal((len(pictures), config.numbers * (2 if config.latent else 1)))
    times = rng.random(len(pictures))
    return [(*parts, *one) for *parts, one in zip(noise, pictures, times, about, strict=True)]


def _drawn(config: ModelConfig, count: int, rng: np.random.Generator, part: Any) -> tuple[Any, list[Told]]:
    if config.data == "digits":
        pictures, classes = part()
        chosen = rng.integers(0, len(pictures), count)
        return pictures[chosen], [(int(c),) if config.condition == "class" else () for c in classes[chosen]]
    if config.data == "shapes":
        drawn = [shapes.TRAINED[i] for i in rng.integers(0, len(shapes.TRAINED), count)]
        wording = random.Random(int(rng.integers(0, 1 << 62)))
        about = [(shapes.encode(shapes.caption(c, wording)),) if config.condition == "text" else () for c in drawn]
        return np.stack([shapes.draw(c, shapes.shift(rng)) for c in drawn]), about
    return getattr(points, config.data)(count, rng), [()] * count


# --- what a model is told ---------------------------------------------------------------------------------------------


def nothing(config: ModelConfig) -> Told:
    """Return what a model gets that is told nothing."""
    return {"class": (digits.CLASSES,), "text": (shapes.NOTHING,)}.get(config.condition, ())


def told(config: ModelConfig, label: int | None, prompt: str | None) -> Told:
    """Return what a class, or a prompt, is for a model; ConfigError if it does not take that."""
    if label is not None and config.condition != "class":
        raise ConfigError(f"this model takes {_TAKES[config.condition]}, not a class; leave out --class")
    if prompt is not None and config.condition != "text":
        raise ConfigError(f"this model takes {_TAKES[config.condition]}, not words; leave out --prompt")
    if label is not None:
        if not 0 <= label < digits.CLASSES:
            raise ConfigError(f"class must be a digit from 0 to {digits.CLASSES - 1}, got {label}")
        return (label,)
    return (shapes.encode(prompt),) if prompt is not None else nothing(config)


_TAKES = {"nothing": "no condition", "class": "a class", "text": "a prompt"}


def shown_first(config: ModelConfig, count: int) -> list[Told]:
    """Return what is painted if nobody says what: every digit in turn, or prompts of all kinds."""
    if config.condition == "class":
        return [(i % digits.CLASSES,) for i in range(count)]
    if config.condition == "text":
        return [(shapes.encode(str(shapes.COMBINATIONS[37 * i % 80])),) for i in range(count)]
    return [()] * count


def words_for(config: ModelConfig, one: Told) -> str:
    """Say in words what a model was told."""
    if one == nothing(config):
        return "anything"
    return " ".join(shapes.WORDS[word] for word in one[0] if word) if config.condition == "text" else str(one[0])
