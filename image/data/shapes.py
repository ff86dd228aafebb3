"""Drawn shapes of 12 × 12 pixels, and the words for them.

There are 80 combinations of shape, size, place, and filled or hollow. Ten are never trained, so that one can see
whether a model has learned the words or the pictures.
"""

from __future__ import annotations

import functools
import itertools
import random
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_edu.errors import brief
from tinygrad_edu.training.errors import ConfigError, shown

__all__ = [
    "COMBINATIONS",
    "LONGEST",
    "NEVER_TRAINED",
    "NOTHING",
    "SIDE",
    "TRAINED",
    "WORDS",
    "Combination",
    "caption",
    "draw",
    "encode",
    "templates",
    "understood",
]

SIDE = 12
_CENTERS = {
    "top left": (3.5, 3.5),
    "top right": (8.5, 3.5),
    "center": (6.0, 6.0),
    "bottom left": (3.5, 8.5),
    "bottom right": (8.5, 8.5),
}  # x, y: to the right and down
_RADII = {"small": 2.3, "large": 3.5}
_LINE = 0.9  # how thick the line of a hollow shape is
_SHIFT = 0.5  # the largest shift, in pixels
_SHAPES = ("circle", "square", "diamond", "triangle")
_SAME = {"small": ("small", "little"), "large": ("large", "big"), "center": ("center", "middle")}


@brief
@dataclass(frozen=True)
class Combination:
    """What a picture shows."""

    shape: str
    size: str
    place: str
    filled: bool

    def __str__(self) -> str:
        """Name it in the simplest words."""
        return caption(self, None)


#: All of them, in a fixed order.
COMBINATIONS = [
    Combination(*parts) for parts in itertools.product(_SHAPES, _RADII, _CENTERS, (True, False))
]  # fmt: skip
#: Ten of them, drawn once for all, that no model is trained on.
NEVER_TRAINED = sorted(random.Random(22).sample(COMBINATIONS, 10), key=COMBINATIONS.index)
TRAINED = [combination for combination in COMBINATIONS if combination not in NEVER_TRAINED]


# --- pictures ---------------------------------------------------------------------------------------------------------


def draw(combination: Combination, shift: tuple[float, float] = (0.0, 0.0)) -> Any:
    """Return the picture, −1 for paper and 1 for ink; pixels on the edge are in between.                    # (144)"""
    x0, y0 = _CENTERS[combination.place]
    radius = _RADII[combination.size]
    across = np.arange(SIDE) + 0.5
    x, y = across[None, :] - x0 - shift[0], across[:, None] - y0 - shift[1]
    outside = _distance(combination.shape, x, y, radius)  # below 0 inside
    ink = np.clip(0.5 - outside, 0.0, 1.0)
    if not combination.filled:
        ink = np.minimum(ink, np.clip(0.5 + outside + _LINE, 0.0, 1.0))
    return (2.0 * ink - 1.0).ravel()


def _distance(shape: str, x: Any, y: Any, r: float) -> Any:
    """How far outside of a shape points are, in pixels; inside it is negative."""
    if shape == "circle":
        return np.hypot(x, y) - r
    if shape == "square":
        return np.maximum(abs(x), abs(y)) - 0.9 * r
    if shape == "diamond":
        return (abs(x) + abs(y) - 1.25 * r) / 2**0.5
    return np.maximum(y - 0.9 * r, (2.0 * abs(x) - 1.2 * (y + r)) / 5.44**0.5)


def shift(rng: np.random.Generator) -> tuple[float, float]:
    """Draw a shift of at most half a pixel."""
    dx, dy = rng.uniform(-_SHIFT, _SHIFT, 2)
    return float(dx), float(dy)


@functools.cache
def templates() -> tuple[Any, list[Combination]]:
    """Return pictures of every combination at 25 shifts each, and what each shows.                  # (2000, 144)"""
    steps = np.linspace(-_SHIFT, _SHIFT, 5)
    shown_by = [(c, draw(c, (dx, dy))) for c in COMBINATIONS for dx in steps for dy in steps]
    return np.stack([picture for _, picture in shown_by]), [c for c, _ in shown_by]


# --- words ------------------------------------------------------------------------------------------------------------


def caption(combination: Combination, rng: random.Random | None) -> str:
    """Return words for it, drawn among several wordings; without ``rng`` always the same.

    >>> caption(Combination("circle", "small", "top left", False), None)
    'a small ring, top left'
    >>> caption(Combination("circle", "small", "top left", False), random.Random(3))
    'a small hollow circle, upper left'
    """

    def some(*words: str) -> str:
        return words[0] if rng is None else rng.choice(words)

    size = some(*_SAME[combination.size])
    place = some(*_SAME.get(combination.place, (combination.place,)))
    if combination.place != "center" and some("", "upper"):
        place = place.replace("top", "upper").replace("bottom", "lower")
    plain = f"{'filled' if combination.filled else 'hollow'} {combination.shape}"
    short = {"filled circle": "disk", "hollow circle": "ring"}.get(plain, plain)
    what = f"{size} {some(short, plain)}"
    wording = some("a {what}, {place}", "{what} in the {place}", "{place}: a {what}", "{what} {place}")
    return wording.format(what=what, place=place)


#: Every word that a model of captions knows; the first stands for no word.
WORDS = [
    "", "a", "in", "the", "small", "little", "large", "big", "filled", "hollow", "disk", "ring", *_SHAPES,
    "top", "upper", "bottom", "lower", "left", "right", "center", "middle",
]  # fmt: skip
LONGEST = 8  # words
#: The caption of a model that is told nothing.
NOTHING = [0] * LONGEST


def encode(words: str) -> list[int]:
    """Return a caption as numbers of words, filled up to the longest; raises ConfigError for a word nobody has taught.

    >>> encode("a small ring, top left")
    [1, 4, 11, 16, 20, 0, 0, 0]
    """
    found = re.findall(r"[^\W_]+", words.lower())
    unknown = [word for word in found if word not in WORDS]
    if unknown:
        raise ConfigError(f"the prompt has the word {shown(unknown[0])}; expected only: {', '.join(WORDS[1:])}")
    if not 1 <= len(found) <= LONGEST:
        raise ConfigError(f"a prompt has 1 to {LONGEST} words, got {len(found)}")
    return [*map(WORDS.index, found), *[0] * (LONGEST - len(found))]


def understood(words: str) -> Combination | None:
    """Return what a prompt asks for, or None if it does not say all of it.

    >>> understood("Big hollow square in the middle").place
    'center'
    """
    given = set(re.findall(r"\w+", words.lower().replace("upper", "top").replace("lower", "bottom")))
    for of, same in _SAME.items():
        if given & set(same):
            given = given - set(same) | {of}
    given |= {"disk": {"filled", "circle"}, "ring": {"hollow", "circle"}}.get(
        next(iter(given & {"disk", "ring"}), ""), set()
    )
    fitting = [
        c for c in COMBINATIONS
        if {c.shape, c.size, "filled" if c.filled else "hollow", *c.place.split()} <= given
    ]  # fmt: skip
    return fitting[0] if len(fitting) == 1 else None
