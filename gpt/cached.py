"""Logits by compiled programs that keep the keys and values of what they have seen.

Both programs are compiled from :meth:`gpt.model.GPT.continued`: one takes a whole window and starts from nothing, the
other takes one token and what is kept. A program has fixed shapes, so what is kept always has block_size − 1 places; a
mask hides those that are still empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tinygrad_edu import functional as F

from .model import GPT

if TYPE_CHECKING:
    from tinygrad_edu.compiler import Compiled, Parameters

HIDDEN = -1e9  # added to a score, it leaves a weight of exactly 0
#: So many tokens of whole windows are computed one at a time before the program for a window is compiled: that takes as
#: long as about so many tokens, and a short text does without.
WINDOW_IS_WORTH = 4096


class CachedScorer:
    """A :data:`gpt.sample.Scorer`: one more token costs one position; another text is computed from its beginning.

    The beginning is computed token by token at first, and all at once where that has happened so often that compiling
    one more program pays.

    Args:
        model: whose logits are asked for.
        parameters: its numbers, as the programs read them.
    """

    def __init__(self, model: GPT, parameters: Parameters) -> None:
        from tinygrad_edu import compiler  # here: it brings numpy, which the scalar path does not need

        self._model = model
        self._window = compiler.jit(self._window_program, parameters)
        self._step = compiler.jit(self._step_program, parameters)
        self._begun = [0]  # tokens of beginnings so far; one count for all that share the programs
        self._forget()

    def fresh(self) -> CachedScorer:
        """One that has seen nothing and shares the programs: for the model as it is now."""
        other = object.__new__(CachedScorer)
        other._model, other._window, other._step, other._begun = self._model, self._window, self._step, self._begun
        other._forget()
        return other

    def _forget(self) -> None:
        import numpy as np

        config = self._model.config
        places = max(1, config.block_size - 1)
        # keys and values, then the axis of the examples that a program expects: there is one
        shape = (2, 1, config.n_layer, config.n_head, places, config.n_embd // config.n_head)
        self._kept = np.zeros(shape, np.float32)
        self._mask = np.full((1, places + 1), HIDDEN, np.float32)
        self._mask[0, -1] = 0.0  # a token sees itself
        self._seen: list[int] = []

    def __call__(self, tokens: Sequence[int]) -> list[float]:
        """The logits after 1 to block_size ``tokens``, which may continue those of the call before."""
        known = len(self._seen)
        if list(tokens[:known]) != self._seen or known >= len(tokens):
            # Another text, or the window has moved on: positions shift, so everything is computed anew.
            self._forget()
            known = 0
        if known == 0:
            self._begun[0] += len(tokens)
        # A window costs about as much as a handful of single tokens, whatever is in it.
        several = known == 0 and len(tokens) > max(1, self._model.config.block_size // 8)
        if several and self._begun[0] > WINDOW_IS_WORTH:
            logits = self._all_at_once(tokens)
        else:
            for position in range(known, len(tokens)):
                logits = self._one_more(tokens[position], position)
        self._seen = list(tokens)
        return logits.tolist()  # type: ignore[no-any-return]

    def _all_at_once(self, tokens: Sequence[int]) -> Any:
        """Behind the last token the window is filled up with zeros, which causal attention never sees."""
        config = self._model.config
        window = [*tokens, *[0] * (config.block_size - len(tokens))]
        out = self._run(self._window, [window], [len(tokens) - 1])[:, 0]
        own = out[config.vocab_size :].reshape((2, config.n_layer, config.n_head, config.block_size, -1))
        n = min(len(tokens), self._kept.shape[4])
        self._kept[:, 0, :, :, :n] = own[:, :, :, :n]
        self._mask[0, :n] = 0.0
        return out[: config.vocab_size]

    def _one_more(self, token: int, position: int) -> Any:
        config = self._model.config
        out = self._run(self._step, [token], [position], self._mask, *self._kept)[:, 0]
        if position < self._kept.shape[4]:
            own = out[config.vocab_size :].reshape((2, config.n_layer, config.n_head, -1))
            self._kept[:, 0, :, :, position] = own
            self._mask[0, position] = 0.0
        return out[: config.vocab_size]

    def _run(self, program: Compiled, *batch: Any) -> Any:
        """The results of a program, which is compiled from the model as it is outside of training."""
        if program.is_compiled:
            return program.flat(*batch)
        training = self._model.training
        self._model.eval()
        try:
            return program.flat(*batch)
        finally:
            self._model.train(training)

    def _window_program(self, tokens: Sequence[int], last: int) -> Any:
        config = self._model.config
        nothing: Any = [[[] for _ in range(config.n_head)] for _ in range(config.n_layer)]
        logits, keys, values = self._model.continued(tokens, nothing, nothing, 0)
        return F.pick(logits, last), keys, values

    def _step_program(self, token: int, position: int, mask: Any, keys: Any, values: Any) -> Any:
        logits, own_keys, own_values = self._model.continued([token], keys, values, position, mask)
        return logits[0], own_keys, own_values
