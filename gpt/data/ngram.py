"""Baselines: the losses of n-gram counts, which tell whether a loss is good.

An n-gram model counts how often each character followed each run of n − 1 characters in the training text
(Shannon 1951). Its loss on the validation text, in nats per character, is a baseline: a network with a lower loss has
learned more than those counts contain.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .baseline import Baseline, strongest_beaten, verdict
from .token_file import Array, Tokens

__all__ = ["MOST", "Baseline", "baselines", "counted", "strongest_beaten", "verdict"]

MOST = 1 << 22  # characters that are counted: enough for everything frequent, and never more than fits into memory
_PIECE = 1 << 16
_ROOM = 8  # entries of a table of counts, per character
_ALPHAS = (1.0, 0.1, 0.01)


def baselines(train: Sequence[int], val: Sequence[int], vocab_size: int, end: int | None = None) -> list[Baseline]:
    """Return uniform, unigram, bigram, trigram and a smoothed 5-gram, weakest first.

    A baseline for which ``val`` is too short is left out. With an ``end``, both parts are joined documents (see
    ``documents.py``): every end is counted like a character, and nothing before a document, but that it begins.
    Only a part of a text longer than :data:`MOST` is counted, in pieces spread evenly; see :func:`counted`.
    """
    names = {1: ("unigram", "single characters"), 2: ("bigram", "all pairs"), 3: ("trigram", "all triples")}
    found = [Baseline("uniform", "nothing but the alphabet", math.log(vocab_size))]
    smoothed = _WittenBell(vocab_size)
    parts = [_Part.of(_some(tokens, most, end), end) for tokens, most in ((train, MOST), (val, MOST // 4))]
    for n, level in enumerate(_levels(parts[0], parts[1], _LONGEST, vocab_size), 1):
        if n in names:
            found.append(Baseline(*names[n], _lidstone(level, vocab_size)))
        smoothed.see(level)
    found.append(Baseline("5-gram", "all runs of up to five, smoothed", smoothed.loss()))
    return [baseline for baseline in found if not math.isnan(baseline.loss)]


def counted(train: Sequence[int]) -> str:
    """Say if the baselines were not made from all of the text; empty if they were."""
    if len(train) <= MOST:
        return ""
    return f" (counted in {MOST:,} of the {len(train):,} characters, spread evenly)"


_LONGEST = 5  # characters of a run


@dataclass(frozen=True)
class _Part:
    """A part of a text.

    Attributes:
        tokens: the tokens; each document follows so many ends that the longest run into it begins with nothing else.
        predicted: which of them count as the last of a run: all but those ends; None for all.
    """

    tokens: Array
    predicted: Array | None = None

    @classmethod
    def of(cls, tokens: Array, end: int | None) -> _Part:
        if end is None:
            return cls(tokens)
        times = np.where(tokens == end, _LONGEST - 1, 1)
        predicted = np.zeros(int(times.sum()), bool)
        predicted[(np.cumsum(times) - times)[1:]] = True  # not the first end of all, after which the first one begins
        return cls(np.repeat(tokens, times), predicted)

    def at_ends(self, runs: Array, n: int) -> Array:
        """Keep what belongs to runs of n whose last character is predicted."""
        return runs if self.predicted is None else runs[self.predicted[n - 1 :]]


@dataclass(frozen=True)
class _Level:
    """Counts in the training text for each run of n characters of the validation text, in order.

    Attributes:
        count: how often the run occurs.
        history: how often its first n − 1 characters occur with another one after them.
        kinds: how many different ones stand there.
    """

    count: Array
    history: Array
    kinds: Array


def _levels(training: _Part, validation: _Part, longest: int, vocab_size: int) -> Iterator[_Level]:
    """Count runs of 1, 2 … ``longest`` characters.

    A run is numbered by its history among those that occur, and its last character; so even runs of five from a large
    alphabet have small numbers.
    """
    train, val = training.tokens, validation.tokens
    known, sought = np.zeros(len(train) + 1, np.int32), np.zeros(len(val) + 1, np.int32)  # the empty history
    histories = 1
    for n in range(1, longest + 1):
        runs = _runs(known, train, n, vocab_size)
        kinds_of_run, counts, known = _counted(runs, histories * vocab_size)
        if training.predicted is not None:
            counts = np.bincount(training.at_ends(known, n), minlength=len(kinds_of_run))
        of = kinds_of_run // vocab_size
        totals, kinds = np.bincount(of, counts, histories), np.bincount(of, counts > 0, histories)
        histories = len(kinds_of_run)

        history = sought[: max(0, len(val) - n + 1)]
        runs = _runs(sought, val, n, vocab_size)  # negative if the history is unknown
        place = np.minimum(np.searchsorted(kinds_of_run, runs), max(0, histories - 1))
        there = (history >= 0) & (np.take(kinds_of_run, place) == runs if histories else False)
        found = (
            np.where(there, np.take(counts, place) if histories else 0, 0),
            np.where(history >= 0, totals[history], 0),
            np.where(history >= 0, kinds[history], 0),
        )
        yield _Level(*(validation.at_ends(numbers, n) for numbers in found))
        sought = np.where(there, place, -1).astype(np.int32)


def _counted(runs: Array, below: int) -> tuple[Array, Array, Array]:
    """Return the different runs in order, how often each occurs, and the position of each run among them.

    All runs are numbers ``below`` a bound: if a table of that size fits, no sorting is needed.
    """
    if below <= _ROOM * len(runs):
        counts = np.bincount(runs, minlength=below)
        kinds = np.flatnonzero(counts)
        number = np.zeros(below, np.int32)
        number[kinds] = np.arange(len(kinds))
        return kinds, counts[kinds], number[runs]
    ordered = np.sort(runs)
    first = (
        np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])) if len(runs) else np.zeros(0, np.int64)
    )
    kinds = ordered[first]
    return kinds, np.diff(first, append=len(runs)), np.searchsorted(kinds, runs).astype(np.int32)


def _runs(histories: Array, tokens: Array, n: int, vocab_size: int) -> Array:
    ends = tokens[n - 1 :].astype(np.int64)
    return histories[: len(ends)] * np.int64(vocab_size) + ends


def _lidstone(level: _Level, vocab_size: int) -> float:
    """Return nats per character with P(c | h) = (count(hc) + α) / (count(h) + α·V), Lidstone's rule.

    α is that of 1, 0.1 and 0.01 which is best on the validation text itself: a network has to beat the counts at their
    best.
    """
    if not len(level.count):
        return math.nan
    return min(-float(np.log((level.count + alpha) / (level.history + alpha * vocab_size)).mean()) for alpha in _ALPHAS)


class _WittenBell:
    """Probabilities of the characters of a text, improved by every longer run.

    P(c | h) = (count(hc) + T(h) · P(c | h′)) / (count(h) + T(h)), where T(h) is how many different characters followed
    h and h′ is h without its first character; at the bottom every character is equally likely (Witten and Bell 1991,
    method C, interpolated as in Chen and Goodman 1999, equation 14). Nothing is tuned on the validation text.
    """

    def __init__(self, vocab_size: int) -> None:
        self._probability: Array | float = 1.0 / vocab_size

    def see(self, level: _Level) -> None:
        """Mix the counts of a run with the probability from a history one character shorter."""
        before = self._probability
        if isinstance(before, np.ndarray):
            before = before[len(before) - len(level.count) :]  # the first of a text has no history of this length
        mixed = (level.count + level.kinds * before) / np.maximum(level.history + level.kinds, 1)
        self._probability = np.where(level.history > 0, mixed, before)

    def loss(self) -> float:
        return -float(np.log(self._probability).mean()) if np.size(self._probability) else math.nan


def _some(tokens: Sequence[int], most: int, end: int | None = None) -> Array:
    """Return all of the tokens, or pieces of them with ``most`` in total; of documents, which are shuffled, the first.

    Where two pieces meet, a few runs are counted that the text does not contain: one in ten thousand.
    """
    if not isinstance(tokens, Tokens):
        tokens = Tokens(np.array(tokens))
    if len(tokens) <= most:
        return tokens.array(0, len(tokens))
    if end is not None:
        return tokens.array(0, most)
    pieces = most // _PIECE
    starts = [i * (len(tokens) - _PIECE) // (pieces - 1) for i in range(pieces)]
    return np.concatenate([tokens.array(start, start + _PIECE) for start in starts])
