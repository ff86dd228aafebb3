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
from collections.abc import Sequence
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

Vector = list[Value]


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
    half = len(x) // 2
    angles = [position * 10000.0 ** (-i / half) for i in range(half)]
    cosines, sines = [math.cos(a) for a in angles], [math.sin(a) for a in angles]
    first = [a * c - b * s for a, b, c, s in zip(x[:half], x[half:], cosines, sines, strict=True)]
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

    def forward(
        self, x: list[Vector], past: tuple[list[list[Vector]], list[list[Vector]]] | None = None
    ) -> list[Vector]:
        """With ``past`` (keys and values per head), x continues that sequence, and past is extended by x's own."""
        hs = len(x[0]) // self.n_head
        qkv = [self.c_attn(v) for v in x]  # (T, 3C)
        q, k, v = ([row[i * len(row) // 3 : (i + 1) * len(row) // 3] for row in qkv] for i in range(3))
        start = len(past[0][0]) if past is not None else 0
        y: list[Vector] = [[] for _ in x]
        for h in range(self.n_head):
            queries, keys, values = ([row[h * hs : (h + 1) * hs] for row in part] for part in (q, k, v))  # (T, hs)
            if self.rotary:
                queries, keys = ([turned(row, start + t) for t, row in enumerate(part)] for part in (queries, keys))
            if past is not None:
                past_keys, past_values = past[0][h], past[1][h]
                past_keys += keys
                past_values += values
                keys, values = past_keys, past_values
            for out, mixed in zip(y, self.head(queries, keys, values), strict=True):
                out += mixed  # heads side by side: (C)
        return [self.dropout(self.c_proj(v)) for v in y]


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
        return self.dropout(self.c_proj(self.act(self.c_fc(x))))  # type: ignore[no-any-return]


class Block(Module):
    """x + attention(norm(x)), then x + mlp(norm(x)).    # (T, C) → (T, C)"""

    def __init__(self, config: GPTConfig, **init: Any) -> None:
        self.ln_1 = _norm(config)
        self.attn = CausalSelfAttention(config, **init)
        self.ln_2 = _norm(config)
        self.mlp = FeedForward(config, **init)

    def forward(
        self, x: list[Vector], past: tuple[list[list[Vector]], list[list[Vector]]] | None = None
    ) -> list[Vector]:
        """A whole sequence, or the continuation of ``past``."""
        attended = self.attn([self.ln_1(v) for v in x], past)
        x = [F.add(v, a) for v, a in zip(x, attended, strict=True)]
        return [F.add(v, self.mlp(self.ln_2(v))) for v in x]


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

    def forward(self, tokens: Sequence[int], cache: KVCache | None = None) -> list[Vector]:
        """Tokens to the normalised residual stream.    # (T) → (T, C)"""
        start = len(cache) if cache is not None else 0
        x = [self.wte(token) for token in tokens]
        if self.learned:
            x = [F.add(v, self.wpe(start + t)) for t, v in enumerate(x)]
        x = [self.drop(v) for v in x]
        for i, block in enumerate(self.h):
            x = block(x, (cache.keys[i], cache.values[i])) if cache is not None else block(x)
        return [self.ln_f(v) for v in x]


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
        return [self.lm_head(v) for v in self.transformer(tokens, cache)]

    def loss(self, tokens: Sequence[int], targets: Sequence[int]) -> Value:
        """Mean surprise about the next token over all positions, in nats.    # (T), (T) → ()"""
        if len(tokens) != len(targets):
            raise ConfigError(f"every token needs a target: got {len(tokens)} tokens and {len(targets)} targets")
        logits = self(tokens)
        return F.mean([F.cross_entropy(row, target) for row, target in zip(logits, targets, strict=True)])

    def seed_dropout(self, seed: int | str) -> None:
        """Make the next dropout masks depend on this seed alone, so that a resumed run draws the same ones."""
        self._dropout_rng.seed(seed)

    def matrices(self) -> list[Value]:
        """The parameters that weight decay applies to: everything but biases and the weights of norms."""
        matrices = [p for _, p in self.named_parameters() if len(shape(p)) > 1]
        return list(values_in(matrices))
