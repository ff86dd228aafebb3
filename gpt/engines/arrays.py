"""The forward pass on arrays: for models that are not trained here, with more parameters than there can be Values.

It computes what :class:`gpt.model.GPT` computes, one matrix product for many scalars at a time, in the precision of the
arrays. Shapes in the margin as there; S is the number of positions so far, with the T new ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_edu.compiler.numpy_backend import elementwise

from ..config import GPTConfig
from ..sample import Scorer

__all__ = ["ArrayModel"]

Array = Any  # of floats
_EPS = 1e-5  # as in tinygrad_edu.functional
_AT_ONCE = 128  # positions whose logits are computed together: of 50,257 tokens, 26 MB


def _sigmoid(x: Array) -> Array:
    return np.tanh(x * 0.5) * 0.5 + 0.5


def _gelu(x: Array) -> Array:
    out = np.empty_like(x)
    elementwise.gelu(x, out, None, [np.empty_like(x) for _ in range(4)])
    return out


#: Those of :data:`tinygrad_edu.nn.ACTIVATIONS`.
_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0.0),
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "gelu": _gelu,
    "gelu_tanh": lambda x: 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x * x * x))),
    "relu2": lambda x: np.maximum(x, 0.0) ** 2,
    "silu": lambda x: x * _sigmoid(x),
}


class _Cache:
    """Keys and values of the positions so far.    # (layers, 2, nh, block_size, hs)"""

    def __init__(self, config: GPTConfig, dtype: Any) -> None:
        size = config.n_embd // config.n_head
        self.kept: Array = np.empty((config.n_layer, 2, config.n_head, config.block_size, size), dtype)
        self.length = 0


class ArrayModel:
    """A GPT on arrays.

    Args:
        config: its shape.
        tables: the parameters by name, with the names and shapes of :func:`gpt.model.parameter_shapes`.
    """

    def __init__(self, config: GPTConfig, tables: Mapping[str, Any]) -> None:
        self._config = config
        self._tables = {
            name.removeprefix("transformer."): table if table.dtype.itemsize >= 4 else table.astype(np.float32)
            for name, table in tables.items()
        }
        self._head = self._tables["wte.weight" if config.tied_head else "lm_head.weight"]
        self._act = _ACTIVATIONS[config.activation]

    def scorer(self) -> Scorer:
        """Return a scorer for :func:`gpt.sample.generate`, with a key/value cache."""
        cache = self._cache()
        seen: list[int] = []

        def score(tokens: Sequence[int]) -> list[float]:
            nonlocal seen
            known = len(seen)
            if not 0 < known < len(tokens) or list(tokens[:known]) != seen:
                known = 0  # another text, or the window has moved on: all positions are others
            cache.length, seen = known, []  # empty, in case what follows is interrupted
            x = self._forward(tokens[known:], cache)
            seen = list(tokens)
            return self._logits(x[-1:])[0].tolist()  # type: ignore[no-any-return]

        return score

    def evaluate(self, sequences: Sequence[tuple[Sequence[Any], ...]]) -> float:
        """Return the mean loss of sequences of tokens and targets, with weights or without."""
        losses = ((self.losses(tokens, targets), *weights) for tokens, targets, *weights in sequences)
        return sum(float(x[0] @ x[1] if x[1:] else x[0].mean()) for x in losses) / len(sequences)

    def losses(self, tokens: Sequence[int], targets: Sequence[int]) -> Array:
        """Return the surprise about each target after its token, in nats.    # (T), (T) → (T)"""
        x = self._forward(tokens, self._cache())
        found = []
        for start in range(0, len(tokens), _AT_ONCE):
            logits = self._logits(x[start : start + _AT_ONCE])
            logits -= logits.max(-1, keepdims=True)
            chosen = logits[np.arange(len(logits)), list(targets[start : start + _AT_ONCE])]
            found.append(np.log(np.exp(logits, logits).sum(-1)) - chosen)
        return np.concatenate(found)

    def _cache(self) -> _Cache:
        return _Cache(self._config, self._head.dtype)

    def _logits(self, x: Array) -> Array:
        """Compute the scores of the next token.    # (T, C) → (T, V)"""
        with np.errstate(over="ignore", invalid="ignore"):
            return x @ self._head.T

    def _forward(self, tokens: Sequence[int], cache: _Cache) -> Array:
        """Map tokens that continue those of the cache to the normalized residual stream.    # (T) → (T, C)"""
        positions = range(cache.length, cache.length + len(tokens))
        with np.errstate(over="ignore", invalid="ignore"):  # a model that diverged; sampling says so
            x: Array = self._tables["wte.weight"][list(tokens)]
            if self._config.positions == "learned":
                x = x + self._tables["wpe.weight"][positions.start : positions.stop]
            for i, kept in enumerate(cache.kept):
                x = x + self._attention(self._norm(x, f"h.{i}.ln_1"), f"h.{i}.attn", kept, positions)
                hidden = self._act(self._linear(self._norm(x, f"h.{i}.ln_2"), f"h.{i}.mlp.c_fc"))
                x = x + self._linear(hidden, f"h.{i}.mlp.c_proj")
            cache.length = positions.stop
            return self._norm(x, "ln_f")

    def _attention(self, x: Array, name: str, kept: Array, positions: range) -> Array:
        """Gather from the positions up to the own; ``kept`` gets the new keys and values.    # (T, C) → (T, C)"""
        heads, size = kept.shape[1], kept.shape[3]
        qkv = self._linear(x, f"{name}.c_attn").reshape(len(x), 3, heads, size).transpose(1, 2, 0, 3)
        queries, keys, values = qkv  # (nh, T, hs)
        if self._config.positions == "rotary":
            queries, keys = _rotated(queries, positions), _rotated(keys, positions)
        kept[0, :, positions.start : positions.stop] = keys
        kept[1, :, positions.start : positions.stop] = values
        scores = queries @ kept[0, :, : positions.stop].transpose(0, 2, 1) * size**-0.5  # (nh, T, S)
        scores = np.where(
            np.arange(positions.stop) > np.array(positions)[:, None], -np.inf, scores
        )  # not of later ones
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        mixed = weights @ kept[1, :, : positions.stop]  # (nh, T, hs)
        return self._linear(mixed.transpose(1, 0, 2).reshape(x.shape), f"{name}.c_proj")

    def _linear(self, x: Array, name: str) -> Array:
        y: Array = x @ self._tables[f"{name}.weight"].T
        return y + self._tables[f"{name}.bias"] if self._config.bias else y

    def _norm(self, x: Array, name: str) -> Array:
        if self._config.norm == "layernorm":
            x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x * x).mean(-1, keepdims=True) + _EPS)
        for part, apply in (("weight", np.multiply), ("bias", np.add)):
            table = self._tables.get(f"{name}.{part}")
            x = x if table is None else apply(x, table)
        return x


def _rotated(x: Array, positions: range) -> Array:
    """Rotate pairs of numbers by the angles of their positions, see :func:`gpt.model.apply_rotary`.    # (nh, T, hs)"""
    half = x.shape[-1] // 2
    angles = np.outer(positions, 10000.0 ** (-np.arange(half) / half))
    cosines, sines = np.cos(angles).astype(x.dtype), np.sin(angles).astype(x.dtype)
    first, second = x[..., :half], x[..., half:]
    return np.concatenate([first * cosines - second * sines, first * sines + second * cosines], -1)
