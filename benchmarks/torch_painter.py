"""The painter of ``image/model.py`` as it would usually be written in PyTorch with tensors, for the benchmarks.

Parameters have the names of :meth:`image.model.Painter.state_dict`, so weights go from one to the other. Attention is
PyTorch's fused one. Shapes: B batch, n numbers of a picture, T patches, L words, C = width, nh heads.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_gpt import ACTIVATIONS

from image.data import digits, shapes


class Time(nn.Module):
    """Sines and cosines of a moment, mixed.    # (B) → (B, C)"""

    frequencies: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", math.pi / 2 * 2.0 ** torch.arange(6), persistent=False)
        self.mix, self.out = nn.Linear(12, width), nn.Linear(width, width)

    def forward(self, time: Tensor) -> Tensor:
        angles = time[:, None] * self.frequencies
        return self.out(F.silu(self.mix(torch.stack([angles.sin(), angles.cos()], -1).flatten(1))))  # type: ignore[no-any-return]


class Modulation(nn.Module):
    """``count`` vectors from the vector of time and class.    # (B, C) → count times (B, 1, C)"""

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.proj, self.count = nn.Linear(width, count * width), count

    def forward(self, condition: Tensor) -> tuple[Tensor, ...]:
        return self.proj(F.silu(condition))[:, None].chunk(self.count, -1)  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Attention that looks everywhere, at its own sequence or at another one.    # (B, T, C), (B, L, C) → (B, T, C)"""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.out, self.heads = nn.Linear(width, width), heads

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        q, k, v = (
            layer(rows).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer, rows in ((self.query, x), (self.key, context), (self.value, context))
        )
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class Stack(nn.Module):
    """Linear layers with an activation between each two."""

    def __init__(self, activation: str, *sizes: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(n, m) for n, m in pairwise(sizes))
        self.act = ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        for i, layer in enumerate(self.layers):
            x = layer(self.act(x) if i else x)
        return x


class FeedForward(nn.Module):
    """Widen, apply the activation, narrow."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.fc = nn.Linear(config.width, config.mlp_ratio * config.width)
        self.proj = nn.Linear(config.mlp_ratio * config.width, config.width)
        self.act = ACTIVATIONS[config.activation]

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(self.act(self.fc(x)))  # type: ignore[no-any-return]


class Block(nn.Module):
    """x + gate · part(norm(x) · (1 + scale) + shift), for attention, for the words, and for the MLP."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        reads = config.condition == "text"
        self.modulation = Modulation(config.width, 9 if reads else 6)
        self.attn = Attention(config.width, config.heads)
        self.cross = Attention(config.width, config.heads) if reads else None
        self.mlp = FeedForward(config)

    def forward(self, x: Tensor, condition: Tensor, words: Tensor | None) -> Tensor:
        told = self.modulation(condition)

        def seen(shift: Tensor, scale: Tensor) -> Tensor:
            return F.layer_norm(x, x.shape[-1:]) * (1 + scale) + shift

        h = seen(*told[:2])
        x = x + told[2] * self.attn(h, h)
        if self.cross is not None:
            x = x + told[5] * self.cross(seen(*told[3:5]), words)
        return x + told[-1] * self.mlp(seen(*told[-3:-1]))  # type: ignore[no-any-return]


class Words(nn.Module):
    """A caption as vectors.    # (B, L) → (B, L, C)"""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.word, self.place = nn.Embedding(len(shapes.WORDS), width), nn.Embedding(shapes.LONGEST, width)

    def forward(self, words: Tensor) -> Tensor:
        return self.word(words) + self.place.weight  # type: ignore[no-any-return]


class Classes(nn.Module):
    """A class as a vector.    # (B) → (B, C)"""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.label = nn.Embedding(digits.CLASSES + 1, width)

    def forward(self, label: Tensor) -> Tensor:
        return self.label(label)  # type: ignore[no-any-return]


class MLPVelocity(nn.Module):
    """All numbers and the time into one MLP.    # (B, n), (B), told → (B, n)"""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.time = Time(config.width)
        if config.condition == "class":
            self.classes = Classes(config.width)
        self.enter, self.leave = nn.Linear(config.numbers, config.width), nn.Linear(config.width, config.numbers)
        self.hidden = nn.ModuleList(nn.Linear(config.width, config.width) for _ in range(config.layers))
        self.act = ACTIVATIONS[config.activation]

    def forward(self, x: Tensor, time: Tensor, *told: Tensor) -> Tensor:
        h = self.enter(x) + self.time(time) + sum(self.classes(label) for label in told)
        for layer in self.hidden:
            h = layer(self.act(h))
        return self.leave(self.act(h))  # type: ignore[no-any-return]


def patches(x: Tensor, config: Any) -> Tensor:
    """Cut pictures into patches.    # (B, side²) → (B, T, patch²)"""
    a, p = config.across, config.patch
    return x.view(-1, a, p, a, p).transpose(2, 3).reshape(-1, a * a, p * p)


def joined(x: Tensor, config: Any) -> Tensor:
    """Put patches together again.    # (B, T, patch²) → (B, side²)"""
    a, p = config.across, config.patch
    return x.view(-1, a, a, p, p).transpose(2, 3).reshape(-1, config.pixels)


class TransformerVelocity(nn.Module):
    """A diffusion transformer.    # (B, n), (B), told → (B, n)"""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        width, size = config.width, config.latent or config.patch**2
        self.enter = nn.Linear(size, width)
        self.row, self.column = nn.Embedding(config.across, width), nn.Embedding(config.across, width)
        self.time = Time(width)
        if config.condition == "class":
            self.classes = Classes(width)
        if config.condition == "text":
            self.words = Words(width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.modulation = Modulation(width, 2)
        self.leave = nn.Linear(width, size)

    def forward(self, x: Tensor, time: Tensor, *told: Tensor) -> Tensor:
        config = self.config
        cut = x.view(len(x), config.across**2, -1) if config.latent else patches(x, config)
        places = self.row.weight[:, None] + self.column.weight
        tokens, condition, words = self.enter(cut) + places.flatten(0, 1), self.time(time), None
        if config.condition == "class":
            condition = condition + self.classes(*told)
        if config.condition == "text":
            words = self.words(*told)
        for block in self.blocks:
            tokens = block(tokens, condition, words)
        shift, scale = self.modulation(condition)
        out = self.leave(F.layer_norm(tokens, tokens.shape[-1:]) * (1 + scale) + shift)
        return out.flatten(1) if config.latent else joined(out, config)


class Autoencoder(nn.Module):
    """Every patch as a few numbers, and back."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config, pixels = config, config.patch**2
        self.encoder = Stack(config.activation, pixels, config.hidden, 2 * config.latent)
        self.decoder = Stack(config.activation, config.latent, config.hidden, pixels)

    def forward(self, picture: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the numbers, the picture that is rebuilt from near there, and the distance from noise."""
        center, spread = self.encoder(patches(picture, self.config)).chunk(2, -1)
        rebuilt = self.decoder(center + spread.exp() * noise.view_as(center))
        away = (0.5 * (center**2 + (2 * spread).exp() - 1) - spread).mean()
        return center.flatten(1), joined(rebuilt, self.config), away


class TorchPainter(nn.Module):
    """A velocity network with its loss.

    Args:
        config: an :class:`image.config.ModelConfig`.
        weights: the numbers by name.
    """

    def __init__(self, config: Any, weights: Mapping[str, Any]) -> None:
        super().__init__()
        self.config = config
        self.net = (MLPVelocity if config.network == "mlp" else TransformerVelocity)(config)
        if config.latent:
            self.vae = Autoencoder(config)
        self.load_state_dict({name: torch.tensor(numbers) for name, numbers in weights.items()})

    def loss(self, noise: Tensor, picture: Tensor, time: Tensor, *told: Tensor) -> Tensor:
        """Return the mean loss of a batch.    # (B, n), (B, p), (B), told → ()"""
        goal, extra = picture, torch.zeros(())
        if self.config.latent:
            noise, own = noise.chunk(2, 1)
            center, rebuilt, away = self.vae(picture, own)
            goal, extra = center.detach(), F.mse_loss(rebuilt, picture) + self.config.kl * away
        t = time[:, None]
        return F.mse_loss(self.net((1 - t) * noise + t * goal, time, *told), goal - noise) + extra


def tensors(columns: Sequence[Any], dtype: torch.dtype) -> list[Tensor]:
    """Return the arguments of a compiled loss as tensors: numbers of this type, and classes or words as integers."""
    found = [torch.from_numpy(np.asarray(column)) for column in columns]
    return [column.to(dtype) if column.is_floating_point() else column for column in found]
