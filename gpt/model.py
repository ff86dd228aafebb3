"""A GPT on lists of scalars.

The model is GPT-2's (Radford et al. 2019): token and position embeddings, pre-norm blocks of causal attention and an
MLP on a residual stream, a last norm, a linear head. Every parameter has GPT-2's name, and every number in it is a
``Value``: there is no tensor anywhere.

Shapes in the margin: T time, C = n_embd, nh heads, hs = C / nh head size, V vocabulary. There is no batch: one call is
one sequence.
"""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Iterator, Sequence

from tinygrad_edu import Value
from tinygrad_edu import functional as F
from tinygrad_edu.nested import values_in
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
)

from .config import LARGEST, GPTConfig
from .errors import ConfigError

__all__ = [
    "GPT",
    "Angles",
    "Block",
    "CausalSelfAttention",
    "FeedForward",
    "KVCache",
    "LayerCache",
    "Mask",
    "Transformer",
    "Vector",
    "apply_rotary",
    "check_size",
    "parameter_count",
    "parameter_shapes",
    "rotary_angles",
]

Vector = list[Value]
Mask = Sequence[Value | float]
Angles = tuple[list[float], list[float]]  # cosines and sines                                          # (hs/2), (hs/2)


class LayerCache:
    """Keys and values of the positions that one layer has already seen.

    Attributes:
        keys, values: per head, one vector (hs) per position.                                             # (nh, T, hs)
        mask: numbers, one per key, added to the scores of every query; −1e9 hides a key. None hides nothing.
    """

    mask: Mask | None = None

    def __init__(self, n_head: int) -> None:
        self.keys: list[list[Vector]] = [[] for _ in range(n_head)]
        self.values: list[list[Vector]] = [[] for _ in range(n_head)]

    def positions(self, count: int) -> Sequence[int]:
        """Return the positions of the next ``count`` tokens."""
        seen = len(self.keys[0])
        return range(seen, seen + count)

    def extend(self, head: int, keys: list[Vector], values: list[Vector]) -> tuple[list[Vector], list[Vector]]:
        """Add the keys or values of new positions to one head; returns all of them.    # (T, hs) → (Tpast + T, hs)"""
        self.keys[head] += keys
        self.values[head] += values
        return self.keys[head], self.values[head]


class KVCache:
    """Keys and values of the positions a model has already seen, so that the next position need not compute them again.

    Attributes:
        layers: the cache of each block.
    """

    def __init__(self, config: GPTConfig) -> None:
        self.layers: Sequence[LayerCache] = [LayerCache(config.n_head) for _ in range(config.n_layer)]

    def __len__(self) -> int:
        """The number of positions it holds."""
        return len(self.layers[0].keys[0])


def _norm(config: GPTConfig) -> Module:
    if config.norm == "rmsnorm":
        return RMSNorm(config.n_embd, config.norm_weight)
    return LayerNorm(config.n_embd, config.norm_weight, config.norm_weight and config.bias)


def rotary_angles(position: int, half: int) -> Angles:
    """The cosines and sines of a position's angles, position · 10000^(−2i/hs).    # () → (hs/2), (hs/2)"""
    angles = [position * 10000.0 ** (-i / half) for i in range(half)]
    return [math.cos(a) for a in angles], [math.sin(a) for a in angles]


@functools.cache
def _all_angles(positions: int, half: int) -> list[Angles]:
    return [rotary_angles(position, half) for position in range(positions)]


def apply_rotary(x: Vector, angles: Angles) -> Vector:
    """Rotate pairs of numbers by the angles of a position.    # (hs), ((hs/2), (hs/2)) → (hs)

    Number i and number i + hs/2 are a point in a plane, which is rotated by the angle i: so the product of a query and
    a key depends on how far apart they are, not on where (rotary position embedding, Su et al. 2021, equations 13 to
    16; the pairs are those of GPT-NeoX).

    >>> [round(v.data, 4) for v in apply_rotary([Value(1.0), Value(0.0)], rotary_angles(1, 1))]
    [0.5403, 0.8415]
    """
    half = len(x) // 2
    first = [a * c + b * -s for a, b, c, s in zip(x[:half], x[half:], *angles, strict=True)]
    second = [a * s + b * c for a, b, c, s in zip(x[:half], x[half:], *angles, strict=True)]
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

    def forward(self, x: list[Vector], cache: LayerCache | None = None) -> list[Vector]:
        """Take a whole sequence or, with a ``cache``, its continuation."""
        y: list[Vector] = [[] for _ in x]
        positions = range(len(x)) if cache is None else cache.positions(len(x))
        mask = None if cache is None else cache.mask
        for h, (queries, keys, values) in enumerate(self.heads(x, positions)):
            if cache is not None:
                keys, values = cache.extend(h, keys, values)
            mixed = self.head(queries, keys, values) if mask is None else self.head(queries, keys, values, mask)
            for out, row in zip(y, mixed, strict=True):
                out += row  # the results of the heads, concatenated: (C)
        return [self.dropout(self.c_proj(v)) for v in y]

    def heads(
        self, x: list[Vector], positions: Sequence[int]
    ) -> Iterator[tuple[list[Vector], list[Vector], list[Vector]]]:
        """Compute queries, keys and values, head by head.    # (T, C) → (nh, 3, T, hs)"""
        hs = len(x[0]) // self.n_head
        qkv = [self.c_attn(v) for v in x]  # (T, 3C)
        q, k, v = ([row[i * len(row) // 3 : (i + 1) * len(row) // 3] for row in qkv] for i in range(3))
        for h in range(self.n_head):
            queries, keys, values = ([row[h * hs : (h + 1) * hs] for row in part] for part in (q, k, v))  # (T, hs)
            if self.rotary:
                angles = [F.pick(_all_angles(self.block_size, hs // 2), position) for position in positions]
                queries, keys = ([*map(apply_rotary, part, angles)] for part in (queries, keys))
            yield queries, keys, values


class FeedForward(Module):
    """The MLP, on each position separately: wider (``mlp_ratio``), activation, narrow again.    # (C) → (C)"""

    def __init__(
        self, config: GPTConfig, *, residual_std: float, rng: random.Random, dropout_rng: random.Random
    ) -> None:
        self.c_fc = Linear(config.n_embd, config.mlp_ratio * config.n_embd, config.bias, std=config.init_std, rng=rng)
        self.act = Activation(config.activation)
        self.c_proj = Linear(config.mlp_ratio * config.n_embd, config.n_embd, config.bias, std=residual_std, rng=rng)
        self.dropout = Dropout(config.dropout, rng=dropout_rng)

    def forward(self, x: Vector) -> Vector:
        """One position."""
        return self.dropout(self.c_proj(self.act(self.c_fc(x))))


class Block(Module):
    """x + attention(norm(x)), then x + mlp(norm(x)).    # (T, C) → (T, C)"""

    def __init__(
        self, config: GPTConfig, *, residual_std: float, rng: random.Random, dropout_rng: random.Random
    ) -> None:
        self.ln_1 = _norm(config)
        self.attn = CausalSelfAttention(config, residual_std=residual_std, rng=rng, dropout_rng=dropout_rng)
        self.ln_2 = _norm(config)
        self.mlp = FeedForward(config, residual_std=residual_std, rng=rng, dropout_rng=dropout_rng)

    def forward(self, x: list[Vector], cache: LayerCache | None = None) -> list[Vector]:
        """Take a whole sequence or, with a ``cache``, its continuation."""
        attended = self.attn([self.ln_1(v) for v in x], cache)
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
        """Map tokens to the normalized residual stream.    # (T) → (T, C)"""
        layers = cache.layers if cache is not None else [None] * len(self.h)
        x = self.embedded(tokens, range(len(tokens)) if cache is None else cache.layers[0].positions(len(tokens)))
        for block, layer in zip(self.h, layers, strict=True):
            x = block(x, layer)
        return [self.ln_f(v) for v in x]

    def embedded(self, tokens: Sequence[int], positions: Sequence[int]) -> list[Vector]:
        """Add token and position embeddings.    # (T), (T) → (T, C)"""
        x = [self.wte(token) for token in tokens]
        if self.learned:
            x = [F.add(v, self.wpe(position)) for v, position in zip(x, positions, strict=True)]
        return [self.drop(v) for v in x]


class GPT(Module):
    """A language model: tokens in, logits of the next token at every position out.

    Args:
        config: the shape of the model.
        seed: the seed of the initial weights.

    Raises ConfigError for more parameters than there can be Values.

    >>> model = GPT(GPTConfig(vocab_size=65, block_size=16, n_layer=1, n_head=4, n_embd=16))
    >>> len(model.parameters())
    5408
    """

    def __init__(self, config: GPTConfig, *, seed: int | random.Random = 0) -> None:
        check_size(config)
        rng = generator(seed)
        self._dropout_rng = random.Random(0)  # reseeded before every training step; see seed_dropout
        self.config = config
        self.transformer = Transformer(config, rng=rng, dropout_rng=self._dropout_rng)
        self.lm_head = Linear(config.n_embd, config.vocab_size, False, std=config.init_std, rng=rng)
        if config.tied_head:
            self.lm_head.weight = self.transformer.wte.weight

    def forward(self, tokens: Sequence[int], cache: KVCache | None = None) -> list[Vector]:
        """Return the logits after each token.                                                            # (T) → (T, V)

        With a ``cache`` the tokens continue the sequence in the cache, and are added to it. Raises ConfigError if the
        sequence would be longer than ``block_size``, IndexError for a token outside the vocabulary.
        """
        length = len(tokens) + (len(cache) if cache is not None else 0)
        if not tokens or length > self.config.block_size:
            raise ConfigError(
                f"a sequence must have 1 to {self.config.block_size} tokens (block_size), got {length}"
                + (f"; keep only the last {self.config.block_size}" if tokens else "")
            )
        return [self.lm_head(v) for v in self.transformer(tokens, cache)]

    def loss(self, tokens: Sequence[int], targets: Sequence[int], weights: Sequence[float] | None = None) -> Value:
        """Return the mean surprise about the next token over all positions, in nats.    # (T), (T) → ()

        With ``weights``, one per position, it is their sum, each times its weight: 0 leaves out a target.
        """
        if len(tokens) != len(targets):
            raise ConfigError(f"every token needs a target: got {len(tokens)} tokens and {len(targets)} targets")
        logits = self(tokens)
        losses = [F.cross_entropy(row, target) for row, target in zip(logits, targets, strict=True)]
        return F.mean(losses) if weights is None else F.dot(weights, losses)

    def seed_dropout(self, seed: int | str) -> None:
        """Make the next dropout masks depend on this seed alone, so that a resumed run draws the same ones."""
        self._dropout_rng.seed(seed)

    def no_decay_parameters(self) -> list[Value]:
        """The parameters that weight decay does not apply to: biases and the weights of norms."""
        return values_in([p for _, p in self.named_parameters() if isinstance(p, Value) or isinstance(p[0], Value)])


def parameter_shapes(config: GPTConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield name and shape of every table of parameters of such a model, without making it; a tied head appears once.

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
        yield from linear(f"{block}.mlp.c_fc", width, config.mlp_ratio * width)
        yield from linear(f"{block}.mlp.c_proj", config.mlp_ratio * width, width)
    yield from norm("transformer.ln_f")
    if not config.tied_head:
        yield "lm_head.weight", (config.vocab_size, width)


def parameter_count(config: GPTConfig) -> int:
    """Return how many parameters such a model has, without making it.

    >>> gpt2 = GPTConfig(vocab_size=50257, block_size=1024, n_layer=12, n_head=12, n_embd=768, norm="layernorm",
    ...                  norm_weight=True, bias=True, tied_head=True)
    >>> parameter_count(gpt2)
    124439808
    """
    return sum(math.prod(sizes) for _, sizes in parameter_shapes(config))


def check_size(config: GPTConfig) -> None:
    """Raise ConfigError if such a model cannot be made of Values."""
    if (count := parameter_count(config)) > LARGEST:
        raise ConfigError(
            f"this model would have {count:,} parameters, each a Value of a hundred bytes; "
            f"choose a smaller n_embd, n_layer or block_size (the limit is {LARGEST:,} parameters)"
        )
