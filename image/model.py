"""Networks that say in which direction a noisy picture should change, on lists of scalars.

Flow matching (Lipman et al. 2023; Liu et al. 2023): noise x₀ and a picture x₁ are joined by a straight line,
x_t = (1 − t)·x₀ + t·x₁, along which the picture changes with the velocity v = x₁ − x₀. A network learns v from x_t and
t; to paint, begin with noise and follow what it says. Every number is a ``Value``: there is no tensor anywhere.

Shapes in the margin: n numbers of a picture, T patches, C = width, L words. There is no batch: one call is one picture.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from tinygrad_edu import Value
from tinygrad_edu import functional as F
from tinygrad_edu.nested import values_in
from tinygrad_edu.nn import (
    Activation,
    Attention,
    Embedding,
    LayerNorm,
    Linear,
    Modulation,
    Module,
    TimeEmbedding,
    generator,
)

from .config import ModelConfig
from .data import digits, shapes

__all__ = [
    "Autoencoder",
    "Block",
    "Classes",
    "FeedForward",
    "MLPVelocity",
    "Numbers",
    "Painter",
    "Stack",
    "TransformerVelocity",
    "Vector",
    "Words",
    "mixed",
    "patches",
    "velocity",
]

Vector = list[Value]
Numbers = Sequence[Value | float]


def mixed(noise: Numbers, picture: Numbers, time: Value | float) -> Vector:
    """The point of the line from noise to picture: (1 − t) · noise + t · picture.                  # (n), (n), () → (n)

    >>> [x.data for x in mixed([1.0], [3.0], 0.25)]
    [1.5]
    """
    rest = 1.0 - F.as_value(time)
    return [rest * x0 + time * x1 for x0, x1 in zip(noise, picture, strict=True)]


def velocity(noise: Numbers, picture: Numbers) -> Vector:
    """How fast that point moves, the same at every time: picture − noise.                          # (n), (n) → (n)"""
    return [F.as_value(x1 - x0) for x0, x1 in zip(noise, picture, strict=True)]


class FeedForward(Module):
    """The MLP, on each position separately: wider, activation, narrow again.                           # (C) → (C)"""

    def __init__(self, config: ModelConfig, *, rng: random.Random) -> None:
        self.fc = Linear(config.width, config.mlp_ratio * config.width, rng=rng)
        self.act = Activation(config.activation)
        self.proj = Linear(config.mlp_ratio * config.width, config.width, rng=rng)

    def forward(self, x: Vector) -> Vector:
        """One position."""
        return self.proj(self.act(self.fc(x)))


class Block(Module):
    """Attention among the patches, attention to the words if there are any, then an MLP.         # (T, C) → (T, C)

    Each part is shifted, scaled and gated by the vector of time and class (adaLN-zero); a GPT's block adds its parts as
    they are.
    """

    def __init__(self, config: ModelConfig, *, rng: random.Random) -> None:
        self.norm = LayerNorm(config.width, False, False)
        self.reads = config.condition == "text"
        self.modulation = Modulation(config.width, config.width, 9 if self.reads else 6)
        self.attn = Attention(config.width, config.heads, rng=rng)
        if self.reads:
            self.cross = Attention(config.width, config.heads, rng=rng)
        self.mlp = FeedForward(config, rng=rng)

    def forward(self, x: list[Vector], condition: Vector, words: list[Vector] | None = None) -> list[Vector]:
        """Take the patches, the vector of time and class, and the vectors of the words.    # (T, C), (C), (L, C)"""
        told = iter(self.modulation(condition))
        x = self._changed(x, told, self.attn)
        if self.reads:
            x = self._changed(x, told, lambda seen: self.cross(seen, words))
        return self._changed(x, told, lambda seen: [self.mlp(v) for v in seen])

    def _changed(self, x: list[Vector], told: Iterator[Vector], part: Callable[[list[Vector]], Any]) -> list[Vector]:
        shift, scale, gate = next(told), next(told), next(told)
        change = part([F.modulate(self.norm(v), shift, scale) for v in x])
        return [F.gated(v, gate, c) for v, c in zip(x, change, strict=True)]


class Words(Module):
    """A caption as vectors: one per word, with its place in the caption.                             # (L) → (L, C)"""

    def __init__(self, config: ModelConfig, *, rng: random.Random) -> None:
        self.word = Embedding(len(shapes.WORDS), config.width, std=0.5, rng=rng)
        self.place = Embedding(shapes.LONGEST, config.width, std=0.1, rng=rng)

    def forward(self, words: Sequence[int]) -> list[Vector]:
        """Look them up."""
        return [F.add(self.word(word), self.place(i)) for i, word in enumerate(words)]


class Classes(Module):
    """A class as a vector; the last row of the table stands for no class.                                # () → (C)"""

    def __init__(self, config: ModelConfig, *, rng: random.Random) -> None:
        self.label = Embedding(digits.CLASSES + 1, config.width, std=0.5, rng=rng)

    def forward(self, label: int) -> Vector:
        """Look it up."""
        return self.label(label)


class MLPVelocity(Module):
    """The simplest network: all numbers and the time into one MLP.                      # (n), (), (class) → (n)"""

    def __init__(self, config: ModelConfig, *, rng: random.Random) -> None:
        self.time = TimeEmbedding(config.width, rng=rng)
        if config.condition == "class":
            self.classes = Classes(config, rng=rng)
        self.enter = Linear(config.numbers, config.width, rng=rng)
        self.act = Activation(config.activation)
        self.hidden = [Linear(config.width, config.width, rng=rng) for _ in range(config.layers)]
        self.leave = Linear(config.width, config.numbers, rng=rng)

    def forward(self, x: Numbers, time: Value | float, *told: int) -> Vector:
        """The velocity of one point, or of one picture."""
        condition = self.time(time)
        for label in told:
            condition = F.add(condition, self.classes(label))
        h = F.add(self.enter(x), condition)
        for layer in self.hidden:
            h = layer(self.act(h))
        return self.leave(self.act(h))


class TransformerVelocity(Module):
    """A diffusion transformer (Peebles and Xie 2023): patches are the tokens.            # (n), (), (told) → (n)"""

    def __init__(self, config: ModelConfig, *, rng: random.Random) -> None:
        self.condition = config.condition
        self.patch, self.each = (1, config.latent) if config.latent else (config.patch, 1)
        across, size = config.across, self.patch**2 * self.each
        self.enter = Linear(size, config.width, rng=rng)
        self.row = Embedding(across, config.width, std=0.5, rng=rng)
        self.column = Embedding(across, config.width, std=0.5, rng=rng)
        self.time = TimeEmbedding(config.width, rng=rng)
        if config.condition == "class":
            self.classes = Classes(config, rng=rng)
        if config.condition == "text":
            self.words = Words(config, rng=rng)
        self.blocks = [Block(config, rng=rng) for _ in range(config.layers)]
        self.norm = LayerNorm(config.width, False, False)
        self.modulation = Modulation(config.width, config.width, 2)
        self.leave = Linear(config.width, size, std=0.0, rng=rng)

    def forward(self, x: Numbers, time: Value | float, *told: Any) -> Vector:
        """The velocity of one picture; ``told`` is nothing, its class, or its caption as numbers of words.

        A smaller picture is taken for the top left corner of one.
        """
        condition = self.time(time)
        if self.condition == "class":
            condition = F.add(condition, self.classes(*told))
        words = self.words(*told) if self.condition == "text" else None
        patches = self.patches(math.isqrt(len(x) // self.each))
        tokens = [
            F.add(self.enter([x[i] for i in places]), F.add(self.row(row), self.column(column)))
            for row, column, places in patches
        ]
        for block in self.blocks:
            tokens = block(tokens, condition, words)
        shift, scale = self.modulation(condition)
        out: list[Any] = [None] * len(x)
        for (_, _, places), token in zip(patches, tokens, strict=True):
            for i, number in zip(places, self.leave(F.modulate(self.norm(token), shift, scale)), strict=True):
                out[i] = number
        return out

    def patches(self, side: int) -> list[tuple[int, int, list[int]]]:
        """Row and column of every patch, and which numbers it has; an autoencoder's patches are numbers in a row."""
        return patches(side, self.patch, self.each)


def patches(side: int, patch: int, each: int = 1) -> list[tuple[int, int, list[int]]]:
    """Row and column of every patch of a picture, and which of its side² · each numbers it has.

    >>> patches(4, 2)[1]
    (0, 1, [2, 3, 6, 7])
    """
    return [
        (row, column, [
            ((row * patch + i) * side + column * patch + j) * each + k
            for i in range(patch) for j in range(patch) for k in range(each)
        ])
        for row in range(side // patch)
        for column in range(side // patch)
    ]  # fmt: skip


class Stack(Module):
    """Linear layers with an activation between each two.                                                # (n) → (m)"""

    def __init__(self, sizes: Sequence[int], activation: str, *, rng: random.Random | int) -> None:
        rng = generator(rng)
        self.layers = [Linear(n, m, rng=rng) for n, m in pairwise(sizes)]
        self.act = Activation(activation)

    def forward(self, x: Numbers) -> Vector:
        """One vector."""
        out = self.layers[0](x)
        for layer in self.layers[1:]:
            out = layer(self.act(out))
        return out


class Autoencoder(Module):
    """Every patch of a picture as a few numbers near those of noise, and back (Kingma and Welling 2014).

    One encoder and one decoder for all patches: what they have seen in one place they know in every place.
    p pixels, n numbers.
    """

    def __init__(self, config: ModelConfig, *, rng: random.Random) -> None:
        self.places = [places for _, _, places in patches(config.side, config.patch)]
        pixels, self.each = config.patch**2, config.latent
        self.encoder = Stack([pixels, config.hidden, 2 * self.each], config.activation, rng=rng)
        self.decoder = Stack([self.each, config.hidden, pixels], config.activation, rng=rng)

    def encode(self, picture: Numbers) -> tuple[Vector, Vector]:
        """Return where the numbers of a picture are, and the logarithm of how far they spread.   # (p) → (n), (n)"""
        coded = [self.encoder([picture[i] for i in places]) for places in self.places]
        return [x for code in coded for x in code[: self.each]], [x for code in coded for x in code[self.each :]]

    def decode(self, numbers: Numbers) -> Vector:
        """Return the picture.                                                                        # (n) → (p)"""
        out: list[Any] = [None] * sum(map(len, self.places))
        for n, places in enumerate(self.places):
            for i, pixel in zip(places, self.decoder(numbers[n * self.each : (n + 1) * self.each]), strict=True):
                out[i] = pixel
        return out

    def forward(self, picture: Numbers, noise: Numbers) -> tuple[Vector, Vector, Value]:
        """Return where the numbers are, the picture rebuilt from near there, and the distance from noise."""
        center, spread = self.encode(picture)
        rebuilt = self.decode([c + s.exp() * e for c, s, e in zip(center, spread, noise, strict=True)])
        away = F.mean([0.5 * (c * c + (2.0 * s).exp() - 1.0) - s for c, s in zip(center, spread, strict=True)])
        return center, rebuilt, away


class Painter(Module):
    """A velocity network with its loss, and the autoencoder in whose numbers it moves, if there is one.

    Args:
        config: the shape of the model.
        seed: the seed of the initial weights.

    >>> Painter(ModelConfig(data="moons", network="mlp", width=8, layers=1))
    Painter(290 parameters)
    """

    def __init__(self, config: ModelConfig, *, seed: int | random.Random = 0) -> None:
        rng = generator(seed)
        self.config = config
        self.net = (MLPVelocity if config.network == "mlp" else TransformerVelocity)(config, rng=rng)
        if config.latent:
            self.vae = Autoencoder(config, rng=rng)

    def forward(self, x: Numbers, time: Value | float, *told: Any) -> Vector:
        """The velocity at a point and a time, for a class or a caption if it is told one.      # (n), (), told → (n)"""
        return self.net(x, time, *told)

    def loss(self, noise: Numbers, picture: Numbers, time: Value | float, *told: Any) -> Value:
        """The mean squared error of the velocity, at one time of the line from noise to picture.   # (n), (n), () → ()

        With an autoencoder the line leads to the numbers of the picture, ``noise`` has as many again for it, and its
        own loss is added. The flow follows the autoencoder and does not pull it: the numbers are detached.
        """
        if not self.config.latent:
            return self.flow_loss(noise, picture, time, *told)
        n = self.config.numbers
        center, rebuilt, away = self.vae(picture, noise[n:])
        flow = self.flow_loss(noise[:n], [c.detach() for c in center], time, *told)
        return flow + F.mse(rebuilt, picture) + self.config.kl * away

    def flow_loss(self, noise: Numbers, goal: Numbers, time: Value | float, *told: Any) -> Value:
        """The loss of the velocity alone, on the line to ``goal``."""
        return F.mse(self(mixed(noise, goal, time), time, *told), velocity(noise, goal))

    def decode(self, numbers: Numbers) -> Vector:
        """Return the picture of what the flow has made."""
        return self.vae.decode(numbers) if self.config.latent else [F.as_value(x) for x in numbers]

    def no_decay_parameters(self) -> list[Value]:
        """The parameters that weight decay does not apply to: biases."""
        return values_in([p for _, p in self.named_parameters() if isinstance(p, Value) or isinstance(p[0], Value)])
