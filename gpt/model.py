"""A GPT on lists of scalars.

The model is GPT-2's (Radford et al. 2019): token and position embeddings, pre-norm blocks of causal attention and an
MLP on a residual stream, a last norm, a linear head. Every parameter has GPT-2's name, and every number in it is a
``Value``: there is no tensor anywhere.

Shapes in the margin: T time, C = n_embd, nh heads, hs = C / nh head size, V vocabulary. There is no batch: one call is
one sequence.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from typing import Any

from tinygrad_edu import Value
from tinygrad_edu import functional as F
from tinygrad_edu.calls import values_in
from tinygrad_edu.nn import (
    Activation,
    AttentionHead,
    Dropout,
    Embedding,
    LayerNorm,
    Linear,
    Module,
    RMSNorm,
    generator,
    shape,
)

from .config import GPTConfig
from .errors import ConfigError

__all__ = [
    "GPT",
    "Block",
    "CausalSelfAttention",
    "FeedForward",
    "KVCache",
    "Mask",
    "PerHead",
    "Transformer",
    "Vector",
    "parameter_shapes",
    "turn",
    "turned",
    "turned_by",
]

Vector = list[Value]
PerHead = Sequence[Sequence[Vector]]  # keys or values of some positions                                  # (nh, T, hs)
Mask = Sequence[Value | float]


class KVCache:
    """Keys and values of the positions a model has already seen, so that the next position need not compute them again.

    Attributes:
        keys, values: per layer, per head, one vector (hs) per position.
    """

    def __init__(self, config: GPTConfig) -> None:
        self.keys: list[list[list[Vector]]] = [[[] for _ in range(config.n_head)] for _ in range(config.n_layer)]
        self.values: list[list[list[Vector]]] = [[[] for _ in range(config.n_head)] for _ in range(config.n_layer)]

    def __len__(self) -> int:
        """The number of positions it holds."""
        return len(self.keys[0][0])


def _norm(config: GPTConfig) -> Module:
    if config.norm == "rmsnorm":
        return RMSNorm(config.n_embd, config.norm_weight)
    return LayerNorm(config.n_embd, config.norm_weight, config.norm_weight and config.bias)


def turned(x: Vector, position: int) -> Vector:
    """Turn pairs of numbers by angles that grow with the position.    # (hs) → (hs)

    Number i and number i + hs/2 are a point in a plane, which is turned by position · 10000^(−2i/hs): so the product of
    a query and a key depends on how far apart they are, not on where (rotary position embedding, Su et al. 2021,
    equations 13 to 16; the pairs are those of GPT-NeoX).

    >>> [round(v.data, 4) for v in turned([Value(1.0), Value(0.0)], 1)]
    [0.5403, 0.8415]
    """
    return turned_by(x, *turn(position, len(x) // 2))


def turn(position: int, half: int) -> tuple[list[float], list[float]]:
    """The cosines and sines of a position's angles.    # () → (hs / 2), (hs / 2)"""
    angles = [position * 10000.0 ** (-i / half) for i in range(half)]
    return [math.cos(a) for a in angles], [math.sin(a) for a in angles]


def turned_by(x: Vector, cosines: Sequence[Value | float], sines: Sequence[Value | float]) -> Vector:
    """See :func:`turned`."""
    half = len(x) // 2
    first = [a * c + b * -s for a, b, c, s in zip(x[:half], x[half:], cosines, sines, strict=True)]
    second = [a * s + b * c for a, b, c, s in zip(x[:half], x[half:], cosines, sines, strict=True)]
    return first + second


class CausalSelfAttention(Module):
    """Every position gathers from the positions up to its own, once per head.    # (T, C) → (T, C)"""

    def __init__(
        self, config: GPTConfig, *, residual_std: float, rng: random.Random, dropout_rng: random.Random
    ) -> None:
        self.c_attn = Linear(config.n_embd, 3 * config.n_embd, config.bias, std=config.init_std, rng=rng)
        self.c_proj = Linear(config.n_embd, config.n_embd, config.bias, std=residual_std, rng=rng)
        self.head = AttentionHead()
        self.dropout = Dropout(config.dropout, rng=dropout_rng)
        self.n_head = config.n_head
        self.rotary = config.positions == "rotary"
        self.block_size = config.block_size

    def forward(
        self,
        x: list[Vector],
        past_keys: PerHead | None = None,
        past_values: PerHead | None = None,
        start: int = 0,
        mask: Any = None,
    ) -> Any:
        """A whole sequence; with what is kept, its continuation from ``start``: see :meth:`GPT.continued`."""
        own: tuple[list[list[Vector]], list[list[Vector]]] = ([], [])
        y: list[Vector] = [[] for _ in x]
        for h, (queries, keys, values) in enumerate(self.projected(x, start)):
            if past_keys is not None and past_values is not None:
                own[0].append(keys)
                own[1].append(values)
                keys, values = [*past_keys[h], *keys], [*past_values[h], *values]
            mixed = self.head(queries, keys, values) if mask is None else self.head(queries, keys, values, mask)
            for out, row in zip(y, mixed, strict=True):
                out += row  # heads side by side: (C)
        result = [self.dropout(self.c_proj(v)) for v in y]
        return result if past_keys is None else (result, own)

    def projected(self, x: list[Vector], start: int = 0) -> Iterator[tuple[list[Vector], list[Vector], list[Vector]]]:
        """Queries, keys and values of one head after the other.    # (T, C) → (nh, 3, T, hs)"""
        hs = len(x[0]) // self.n_head
        qkv = [self.c_attn(v) for v in x]  # (T, 3C)
        q, k, v = ([row[i * len(row) // 3 : (i + 1) * len(row) // 3] for row in qkv] for i in range(3))
        for h in range(self.n_head):
            queries, keys, values = ([row[h * hs : (h + 1) * hs] for row in part] for part in (q, k, v))  # (T, hs)
            if self.rotary:
                turns = [self._turn(start, t, hs // 2) for t in range(len(x))]
                queries, keys = (
                    [turned_by(row, *by) for row, by in zip(part, turns, strict=True)] for part in (queries, keys)
                )
            yield queries, keys, values

    def _turn(self, start: Any, t: int, half: int) -> tuple[list[float], list[float]]:
        if hasattr(start, "pick_from"):
            # A position that a compiled program is given when it runs (of one token: t is 0) chooses from all of them.
            return F.pick([turn(position, half) for position in range(self.block_size)], start)
        return turn(start + t, half)


class FeedForward(Module):
    """Each position on its own: widen four times, bend, narrow again.    # (C) → (C)"""

    def __init__(
        self, config: GPTConfig, *, residual_std: float, rng: random.Random, dropout_rng: random.Random
    ) -> None:
        self.c_fc = Linear(config.n_embd, 4 * config.n_embd, config.bias, std=config.init_std, rng=rng)
        self.act = Activation(config.activation)
        self.c_proj = Linear(4 * config.n_embd, config.n_embd, config.bias, std=residual_std, rng=rng)
        self.dropout = Dropout(config.dropout, rng=dropout_rng)

    def forward(self, x: Vector) -> Vector:
        """One position."""
        return self.dropout(self.c_proj(self.act(self.c_fc(x))))


class Block(Module):
    """x + attention(norm(x)), then x + mlp(norm(x)).    # (T, C) → (T, C)"""

    def __init__(self, config: GPTConfig, **init: Any) -> None:
        self.ln_1 = _norm(config)
        self.attn = CausalSelfAttention(config, **init)
        self.ln_2 = _norm(config)
        self.mlp = FeedForward(config, **init)

    def forward(
        self,
        x: list[Vector],
        past_keys: PerHead | None = None,
        past_values: PerHead | None = None,
        start: int = 0,
        mask: Any = None,
    ) -> Any:
        """A whole sequence; with what is kept, its continuation from ``start``: see :meth:`GPT.continued`."""
        normed = [self.ln_1(v) for v in x]
        if past_keys is None:
            attended, own = self.attn(normed), None
        else:
            attended, own = self.attn(normed, past_keys, past_values, start, mask)
        x = [F.add(v, a) for v, a in zip(x, attended, strict=True)]
        x = [F.add(v, self.mlp(self.ln_2(v))) for v in x]
        return x if past_keys is None else (x, own)


class Transformer(Module):
    """Everything below the head; it exists so that parameters are called ``transformer.wte.weight``, as in GPT-2."""

    def __init__(self, config: GPTConfig, *, rng: random.Random, dropout_rng: random.Random) -> None:
        # Each block adds to the residual stream twice; GPT-2 (section 2.3) keeps the sum's variance so.
        residual_std = config.init_std / (2 * config.n_layer) ** 0.5
        self.wte = Embedding(config.vocab_size, config.n_embd, std=config.init_std, rng=rng)
        if config.positions == "learned":
            self.wpe = Embedding(config.block_size, config.n_embd, std=config.init_std, rng=rng)
        self.learned = config.positions == "learned"
        self.drop = Dropout(config.dropout, rng=dropout_rng)
        self.h = [
            Block(config, residual_std=residual_std, rng=rng, dropout_rng=dropout_rng) for _ in range(config.n_layer)
        ]
        self.ln_f = _norm(config)

    def forward(self, tokens: Sequence[int]) -> list[Vector]:
        """Tokens to the normalised residual stream.    # (T) → (T, C)"""
        x = self.embedded(tokens, 0)
        for block in self.h:
            x = block(x)
        return [self.ln_f(v) for v in x]

    def embedded(self, tokens: Sequence[int], start: int) -> list[Vector]:
        """What each token is, and where, from position ``start``.    # (T) → (T, C)"""
        x = [self.wte(token) for token in tokens]
        if self.learned:
            x = [F.add(v, self.wpe(start + t if t else start)) for t, v in enumerate(x)]
        return [self.drop(v) for v in x]

    def continued(
        self, tokens: Sequence[int], keys: Sequence[PerHead], values: Sequence[PerHead], start: int, mask: Mask | None
    ) -> tuple[list[Vector], list[PerHead], list[PerHead]]:
        """See :meth:`GPT.continued`."""
        x = self.embedded(tokens, start)
        own_keys, own_values = [], []
        for block, past_keys, past_values in zip(self.h, keys, values, strict=True):
            x, own = block(x, past_keys, past_values, start, mask)
            own_keys.append(own[0])
            own_values.append(own[1])
        return [self.ln_f(v) for v in x], own_keys, own_values


class GPT(Module):
    """A language model: tokens in, logits of the next token at every position out.

    Args:
        config: its shape.
        seed: of the initial weights.

    >>> model = GPT(GPTConfig(vocab_size=65, block_size=16, n_layer=1, n_head=4, n_embd=16))
    >>> len(model.parameters())
    5408
    """

    def __init__(self, config: GPTConfig, *, seed: int | random.Random = 0) -> None:
        rng = generator(seed)
        self._dropout_rng = random.Random(0)  # reseeded before every training step; see seed_dropout
        self.config = config
        self.transformer = Transformer(config, rng=rng, dropout_rng=self._dropout_rng)
        self.lm_head = Linear(config.n_embd, config.vocab_size, False, std=config.init_std, rng=rng)
        if config.tied_head:
            self.lm_head.weight = self.transformer.wte.weight

    def forward(self, tokens: Sequence[int], cache: KVCache | None = None) -> list[Vector]:
        """The logits after each token.                                                                  # (T) → (T, V)

        With a ``cache`` the tokens continue the sequence that the cache holds, and are added to it. Raises ConfigError
        when the sequence would be longer than ``block_size``, IndexError for a token outside the vocabulary.
        """
        length = len(tokens) + (len(cache) if cache is not None else 0)
        if not tokens or length > self.config.block_size:
            raise ConfigError(
                f"a sequence must have 1 to {self.config.block_size} tokens (block_size), got {length}"
                + (f"; keep only the last {self.config.block_size}" if tokens else "")
            )
        if cache is None:
            return [self.lm_head(v) for v in self.transformer(tokens)]
        logits, *own = self.continued(tokens, cache.keys, cache.values, len(cache))
        for kept, new in zip((cache.keys, cache.values), own, strict=True):
            for layer, heads in enumerate(new):
                for head, rows in enumerate(heads):
                    kept[layer][head] += rows
        return logits

    def continued(
        self,
        tokens: Sequence[int],
        keys: Sequence[PerHead],
        values: Sequence[PerHead],
        start: int,
        mask: Mask | None = None,
    ) -> tuple[list[Vector], list[PerHead], list[PerHead]]:
        """The logits after each token of a continuation, and the keys and values of those tokens.

        Args:
            tokens: T of them.
            keys, values: of what went before, by layer and head.                            # (layers, nh, Tpast, hs)
            start: the position of the first token.
            mask: Tpast + T numbers, added to the scores of every query. With it ``keys`` and ``values`` can have a
                fixed size, as a compiled program needs it: −1e9 where nothing is kept yet, 0 elsewhere.

        Returns logits (T, V), and keys and values of the tokens, each (layers, nh, T, hs).
        """
        x, own_keys, own_values = self.transformer.continued(tokens, keys, values, start, mask)
        return [self.lm_head(v) for v in x], own_keys, own_values

    def loss(self, tokens: Sequence[int], targets: Sequence[int]) -> Value:
        """Mean surprise about the next token over all positions, in nats.    # (T), (T) → ()"""
        if len(tokens) != len(targets):
            raise ConfigError(f"every token needs a target: got {len(tokens)} tokens and {len(targets)} targets")
        logits = self(tokens)
        return F.mean([F.cross_entropy(row, target) for row, target in zip(logits, targets, strict=True)])

    def seed_dropout(self, seed: int | str) -> None:
        """Make the next dropout masks depend on this seed alone, so that a resumed run draws the same ones."""
        self._dropout_rng.seed(seed)

    def vectors(self) -> list[Value]:
        """The parameters that weight decay does not apply to: biases and the weights of norms."""
        return values_in([p for _, p in self.named_parameters() if len(shape(p)) < 2])


def parameter_shapes(config: GPTConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of every table of parameters of such a model, without making it; a tied head is there once.

    >>> dict(parameter_shapes(GPTConfig(vocab_size=5, n_embd=4)))["transformer.h.0.attn.c_attn.weight"]
    (12, 4)
    """
    width = config.n_embd

    def norm(name: str) -> Iterator[tuple[str, tuple[int, ...]]]:
        if config.norm_weight:
            yield f"{name}.weight", (width,)
            if config.bias and config.norm == "layernorm":
                yield f"{name}.bias", (width,)

    def linear(name: str, n_in: int, n_out: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield f"{name}.weight", (n_out, n_in)
        if config.bias:
            yield f"{name}.bias", (n_out,)

    yield "transformer.wte.weight", (config.vocab_size, width)
    if config.positions == "learned":
        yield "transformer.wpe.weight", (config.block_size, width)
    for i in range(config.n_layer):
        block = f"transformer.h.{i}"
        yield from norm(f"{block}.ln_1")
        yield from linear(f"{block}.attn.c_attn", width, 3 * width)
        yield from linear(f"{block}.attn.c_proj", width, width)
        yield from norm(f"{block}.ln_2")
        yield from linear(f"{block}.mlp.c_fc", width, 4 * width)
        yield from linear(f"{block}.mlp.c_proj", 4 * width, width)
    yield from norm("transformer.ln_f")
    if not config.tied_head:
        yield "lm_head.weight", (config.vocab_size, width)
