"""Write text with a model: from logits to a distribution, from a distribution to a character, repeatedly."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence

from tinygrad_edu import collector_paused, no_grad

from .errors import ConfigError
from .model import GPT, KVCache

__all__ = [
    "ScalarScorer",
    "Scorer",
    "check_settings",
    "distribution",
    "draw",
    "generate",
    "penalize_repetition",
    "until",
]


def distribution(
    logits: Sequence[float],
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
) -> list[float]:
    """Return the probabilities of the next token.                                                           # (V) → (V)

    Args:
        logits: the model's scores.
        temperature: scores are divided by it; below 1 safer, above 1 more varied, 0 always the most likely.
        top_k: keep only the k most likely (Fan et al. 2018).
        top_p: keep the most likely until their sum reaches p, including the one that reaches it (Holtzman et al. 2020).
        min_p: keep those with at least p times the probability of the most likely (Nguyen et al. 2024).

    Raises ConfigError for a setting out of range. Among equal scores the lower token wins.

    >>> [round(p, 3) for p in distribution([2.0, 1.0, 0.1], top_k=2)]
    [0.731, 0.269, 0.0]
    """
    check_settings(temperature, top_k, top_p, min_p)
    if not all(map(math.isfinite, logits)):
        raise ConfigError("the model's scores are not finite numbers: its training diverged; use an earlier checkpoint")
    probabilities = [0.0] * len(logits)
    if temperature == 0.0:
        probabilities[logits.index(max(logits))] = 1.0
        return probabilities
    order = sorted(range(len(logits)), key=logits.__getitem__, reverse=True)
    largest = logits[order[0]]
    powers = [math.exp((logits[token] - largest) / temperature) for token in order]
    kept = len(order) if top_k is None else min(top_k, len(order))
    if top_p is not None:
        target, total = top_p * sum(powers[:kept]), 0.0
        for i in range(kept):
            total += powers[i]
            if total >= target:
                kept = i + 1
                break
    if min_p is not None:  # powers[0] is 1, so a power is a probability relative to the largest
        kept = min(kept, sum(power >= min_p for power in powers))
    total = sum(powers[:kept])
    for token, power in zip(order[:kept], powers, strict=False):
        probabilities[token] = power / total
    return probabilities


def check_settings(temperature: float, top_k: int | None, top_p: float | None, min_p: float | None = None) -> None:
    """Raise ConfigError, with the range, for a setting that makes no sense."""
    if not (temperature >= 0.0 and math.isfinite(temperature)):
        raise ConfigError(f"temperature must be a finite number of at least 0, got {temperature!r}")
    if top_k is not None and top_k < 1:
        raise ConfigError(f"top_k must be at least 1, got {top_k!r}")
    if top_p is not None and not 0.0 < top_p <= 1.0:
        raise ConfigError(f"top_p must be above 0 and at most 1, got {top_p!r}")
    if min_p is not None and not 0.0 <= min_p <= 1.0:
        raise ConfigError(f"min_p must be at least 0 and at most 1, got {min_p!r}")


def draw(probabilities: Sequence[float], rng: random.Random) -> int:
    """Draw one token, each with its probability."""
    point, total = rng.random(), 0.0
    last = 0
    for token, probability in enumerate(probabilities):
        if probability > 0.0:
            total += probability
            last = token
            if point < total:
                return token
    return last  # the probabilities summed to slightly less than 1


def penalize_repetition(logits: Sequence[float], recent: Iterable[int], penalty: float) -> list[float]:
    """Return scores in which the tokens of ``recent`` are less likely.                                   # (V) → (V)

    A positive score is divided by ``penalty``, a negative one multiplied: Keskar et al. 2019, section 4.1, which only
    divides, and so would make a token with a negative score more likely.

    >>> penalize_repetition([2.0, -1.0, 3.0], recent=[0, 1], penalty=2.0)
    [1.0, -2.0, 3.0]
    """
    scores = list(logits)
    for token in set(recent):
        scores[token] = scores[token] / penalty if scores[token] > 0 else scores[token] * penalty
    return scores


Scorer = Callable[
    [Sequence[int]], Sequence[float]
]  # at most block_size tokens → the logits after the last   # (T) → (V)


class ScalarScorer:
    """Logits from the scalar model, with a key/value cache, so that one more token costs one position."""

    def __init__(self, model: GPT) -> None:
        self._model = model
        self._cache = KVCache(model.config)
        self._seen: list[int] = []

    def __call__(self, tokens: Sequence[int]) -> list[float]:
        """Return the logits after ``tokens``, which may continue those of the previous call."""
        seen, self._seen = self._seen, []  # empty, in case what follows is interrupted
        known = len(seen)
        if not 0 < known < len(tokens) or list(tokens[:known]) != seen:
            # Another text, or the window has moved on: positions shift, so everything is recomputed.
            self._cache, known = KVCache(self._model.config), 0
        was_training = self._model.training
        self._model.eval()
        try:
            with no_grad(), collector_paused():
                logits = self._model(tokens[known:], self._cache)[-1]
        finally:
            self._model.train(was_training)
        self._seen = list(tokens)
        return [x.data for x in logits]


def generate(
    score: Scorer,
    block_size: int,
    prompt: Sequence[int],
    max_new_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float = 1.0,
    repetition_window: int = 64,
    context_shift: int | None = None,
    end: int | None = None,
    rng: random.Random,
) -> Iterator[int]:
    """Yield up to ``max_new_tokens`` tokens that continue ``prompt``, one at a time.

    Args:
        score: returns the logits after some tokens: a :class:`ScalarScorer`, or what an engine's ``scorer()`` returns.
        block_size: the context of the model. It sees the last ``block_size`` tokens of a longer prompt.
        prompt: at least one token.
        temperature, top_k, top_p, min_p: see :func:`distribution`.
        repetition_penalty, repetition_window: recent tokens become less likely; see :func:`penalize_repetition`.
        context_shift: how many of the oldest tokens are forgotten when the context is full; half of it by default. All
            positions shift then, and everything kept has to be computed again, so 1 is the longest memory and the
            slowest.
        end: the token before which to stop, as at the end of a document.
        rng: where the chance comes from.

    Raises ConfigError for an empty prompt or a setting out of range.
    """
    check_settings(temperature, top_k, top_p, min_p)
    if not prompt:
        raise ConfigError("a prompt needs at least one token")
    if max_new_tokens < 0:
        raise ConfigError(f"max_new_tokens must be at least 0, got {max_new_tokens}")
    context_shift = max(1, block_size // 2) if context_shift is None else context_shift
    if not 1 <= context_shift <= block_size:
        raise ConfigError(f"context_shift must be 1 to {block_size} (the context), got {context_shift}")
    if not (repetition_penalty > 0.0 and math.isfinite(repetition_penalty)):
        raise ConfigError(f"repetition_penalty must be a finite number above 0, got {repetition_penalty!r}")
    if repetition_window < 1:
        raise ConfigError(f"repetition_window must be at least 1, got {repetition_window}")
    text = list(prompt)
    seen = text[-block_size:]
    for _ in range(max_new_tokens):
        if len(seen) > block_size:
            seen = seen[context_shift:]
        scores = score(seen)
        if repetition_penalty != 1.0:
            scores = penalize_repetition(scores, text[-repetition_window:], repetition_penalty)
        token = draw(distribution(scores, temperature, top_k, top_p, min_p), rng)
        if token == end:
            return
        text.append(token)
        seen.append(token)
        yield token


def until(characters: Iterable[str], stops: Sequence[str]) -> Iterator[str]:
    """Yield the characters before the first stop string. A possible beginning of one is held back until it is known.

    >>> list(until("to be or", ["be", "or"])), list(until("bad", ["be"]))
    (['t', 'o', ' '], ['b', 'a', 'd'])
    """
    held = ""
    for character in characters:
        held += character
        if any(held.endswith(stop) for stop in stops):
            stop = max((stop for stop in stops if held.endswith(stop)), key=len)
            yield from held[: len(held) - len(stop)]
            return
        # Keep the longest end of what is held that begins a stop string.
        free = next(i for i in range(len(held) + 1) if any(s.startswith(held[i:]) for s in stops) or i == len(held))
        yield from held[:free]
        held = held[free:]
    yield from held
