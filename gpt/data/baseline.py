"""What counting reaches, and what a loss beats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from tinygrad_edu.errors import brief

__all__ = ["Baseline", "strongest_beaten", "verdict"]


@brief
@dataclass(frozen=True)
class Baseline:
    """One counting model.

    Attributes:
        name: ``"bigram"``.
        counts: what it counts, in plain words.
        loss: nats per character of the validation text.
    """

    name: str
    counts: str
    loss: float


def strongest_beaten(loss: float, baselines: Sequence[Baseline]) -> Baseline | None:
    """Return the strongest baseline that a loss beats: it is below that one and below all weaker ones.

    Counting can be worse than guessing if the text is short or the alphabet large; a loss above guessing beats nothing,
    whatever it is below. Losses are compared as printed, to four digits.

    >>> baselines = [Baseline("uniform", "", 8.563), Baseline("unigram", "", 9.1), Baseline("bigram", "", 8.2)]
    >>> strongest_beaten(8.667, baselines), strongest_beaten(8.4, baselines).name, strongest_beaten(8.1, baselines).name
    (None, 'unigram', 'bigram')
    """
    beaten = takewhile(lambda weaker: round(loss, 4) < round(weaker.loss, 4), baselines)
    return [None, *beaten][-1]


def verdict(loss: float, baselines: Sequence[Baseline]) -> str:
    """Describe the loss in words: the strongest baseline that it beats, and the next one, which it does not.

    >>> baselines = [Baseline("uniform", "the alphabet", 4.2), Baseline("unigram", "single characters", 3.3)]
    >>> verdict(3.0, baselines), verdict(5.0, baselines)
    ('better than counting single characters', 'not yet better than guessing')
    >>> verdict(4.0, baselines)
    'better than guessing, not yet than the unigram (3.300)'
    """
    best = strongest_beaten(loss, baselines)
    if best is None:
        return "not yet better than guessing"
    words = "better than guessing" if best.name == "uniform" else f"better than counting {best.counts}"
    ahead = baselines[baselines.index(best) + 1 :]
    return f"{words}, not yet than the {ahead[0].name} ({ahead[0].loss:.3f})" if ahead else words
