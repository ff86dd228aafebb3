"""Compiled programs for logits with a key/value cache.

Both programs are compiled from the model's one ``forward``: one takes one token and the cache, and returns the logits;
the other takes many tokens without a cache, and returns the keys and values. A program has fixed shapes, so the cache
always has block_size − 1 positions; a mask hides those that are still empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_edu import compiler
from tinygrad_edu.compiler import Bound, Compiled, Parameters
from tinygrad_edu.training.engine import in_evaluation

from ..config import GPTConfig
from ..model import GPT, KVCache, LayerCache, Mask, Vector

__all__ = ["HIDDEN", "WINDOW_IS_WORTH", "CachedScorer"]

PerHead = Sequence[Sequence[Vector]]  # keys or values of some positions                                  # (nh, T, hs)

HIDDEN = -1e9  # added to a score, it leaves a weight of exactly 0
#: How many tokens of prompts are computed one at a time before the program for many is compiled: compiling it takes
#: about as long as that many tokens, and a short text does without.
WINDOW_IS_WORTH = 4096


class CachedScorer:
    """A :data:`gpt.sample.Scorer`: one more token costs one position; another text is computed from its beginning.

    A beginning is computed token by token at first, and all at once after so many tokens that compiling one more
    program pays off.

    Args:
        model: the model.
        parameters: its numbers, as the programs read them.
    """

    def __init__(self, model: GPT, parameters: Parameters) -> None:
        config = model.config
        self._model = model
        programs = _Programs(model)
        self._window = compiler.jit(programs.window, parameters, watch=False)
        self._step = compiler.jit(programs.step, parameters, watch=False)
        #: What one token adds to the cache: keys and values of every layer, per head. # (2 · layers, nh, hs)
        self._rows = (2 * config.n_layer, config.n_head, config.n_embd // config.n_head)
        self._places = max(1, config.block_size - 1)
        #: How many tokens the program for many takes. A full context drops half of it: the rest, without its last
        #: token, which is for the other program, just fits.
        self._many = config.block_size - max(1, config.block_size // 2)
        self._begun = 0  # tokens of beginnings so far
        self._bound: Bound | None = None  # made when it is first needed, and with it its arguments:
        self._token: Any
        self._position: Any
        self._mask: Any
        self._kept: list[Any]  # for every layer keys, then values                                   # (T, nh, hs)
        self._seen: list[int] = []

    @property
    def program(self) -> Compiled:
        """The program for one token: (token, position, mask, keys and values) → (logits, its keys and values)."""
        if self._bound is None:
            self([0])
            self.forget()
        return self._step

    def forget(self) -> None:
        """Begin again, with the model as it is now."""
        self._seen = []

    def __call__(self, tokens: Sequence[int]) -> list[float]:
        """Return the logits after 1 to block_size ``tokens``, which may continue those of the previous call."""
        seen = self._seen
        if not seen or len(seen) >= len(tokens) or list(tokens[: len(seen)]) != seen:
            # Another text, or the window has moved on: positions shift, so everything is computed again.
            self._begin(list(tokens))
        for token in tokens[len(self._seen) :]:
            logits = self._one_more(token)
        return logits

    def _begin(self, tokens: list[int]) -> None:
        """Empty the cache, and fill it with many tokens at once if that pays off."""
        if self._bound is None:
            self._bound = in_evaluation(self._model, self._step, self._bind)
            self._token, self._position, self._mask, *kept = self._bound.arguments
            self._kept = [places[0].transpose((1, 0, 2)) for places in kept]
        self._seen = []
        self._mask[0, :-1] = HIDDEN
        self._begun += len(tokens)
        # Many cost about as much as a handful of single tokens, whatever they are.
        several = len(tokens) > max(1, self._model.config.block_size // 8)
        if not several or self._begun <= WINDOW_IS_WORTH:
            return
        n = min(self._many, len(tokens) - 1)
        window = [*tokens[:n], *[0] * (self._many - n)]  # causal attention never sees the zeros at the end
        made = in_evaluation(self._model, self._window, self._window.flat, [window])
        for places, numbers in zip(self._kept, made.reshape((*self._rows, self._many)), strict=True):
            places[:n] = numbers.transpose((2, 0, 1))[:n]
        self._mask[0, :n] = 0.0
        self._seen = tokens[:n]

    def _bind(self) -> Bound:
        mask = np.full((1, self._places + 1), HIDDEN, np.float32)
        mask[0, -1] = 0.0  # a token sees itself
        layers, heads, size = self._rows
        # The first axis of a program's arguments is that of the examples.
        return self._step.bind([0], [0], mask, *np.zeros((layers, 1, heads, self._places, size), np.float32))

    def _one_more(self, token: int) -> list[float]:
        """Return the logits after one more token; its keys and values are cached."""
        assert self._bound is not None
        position = len(self._seen)
        self._token[0], self._position[0] = token, position
        out = self._bound()[:, 0]
        size = self._model.config.vocab_size
        if position < self._places:
            for places, row in zip(self._kept, out[size:].reshape(self._rows), strict=True):
                places[position] = row
            self._mask[0, position] = 0.0
        self._seen.append(token)
        return out[:size].tolist()  # type: ignore[no-any-return]


class _GivenLayer(LayerCache):
    """The cache of one layer: what one token adds to the keys and values that a program gets.

    Args:
        position: of the token.
        mask: a number per position, and one for the token itself.
        keys, values: the given ones.                                                                # (nh, places, hs)
    """

    def __init__(self, position: int, mask: Mask, keys: PerHead, values: PerHead) -> None:
        super().__init__(len(keys))
        self.mask, self._position, self._given = mask, position, (keys, values)

    def positions(self, count: int) -> Sequence[int]:
        """Return the position of the token."""
        return [self._position]

    def extend(self, head: int, keys: list[Vector], values: list[Vector]) -> tuple[list[Vector], list[Vector]]:
        """Return the given keys or values, then those that the token adds."""
        super().extend(head, keys, values)
        given_keys, given_values = self._given
        return [*given_keys[head], *keys], [*given_values[head], *values]


class _GivenCache(KVCache):
    """A cache of fixed size whose content a program gets as arguments, for one more token.

    Args:
        config: of the model.
        position, mask: see :class:`_GivenLayer`.
        kept: for every layer keys, then values.
    """

    def __init__(self, config: GPTConfig, position: int, mask: Mask, kept: Sequence[PerHead]) -> None:
        super().__init__(config)
        self.layers = [_GivenLayer(position, mask, *pair) for pair in zip(kept[0::2], kept[1::2], strict=True)]


class _Programs:
    """The functions that are compiled. They are not the scorer's, which holds what is compiled of them: a cycle would
    keep the numbers in memory.
    """

    def __init__(self, model: GPT) -> None:
        self._model = model

    def window(self, tokens: Sequence[int]) -> Any:
        """Return the keys and values of many tokens."""
        cache = KVCache(self._model.config)
        self._model(tokens, cache)
        # Number by number, each at all positions: that is their order in a program, and long rows are copied fastest.
        parts = [(layer.keys, layer.values) for layer in cache.layers]
        return [[[list(zip(*head, strict=True)) for head in part] for part in layer] for layer in parts]

    def step(self, token: int, position: int, mask: Mask, *kept: PerHead) -> Any:
        """Return the logits after one more token, and its keys and values."""
        cache = _GivenCache(self._model.config, position, mask, kept)
        logits = self._model([token], cache)
        return logits[0], [(layer.keys, layer.values) for layer in cache.layers]
