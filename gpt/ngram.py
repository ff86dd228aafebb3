"""What counting alone reaches: the ladder that tells whether a loss is good.

An n-gram model counts how often each character followed each run of n − 1 characters in the training text
(Shannon 1951). Its loss on the validation text, in nats per character, is a rung: a network with a lower loss has
learned more than those counts contain.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

_ALPHAS = (1.0, 0.1, 0.01)


@dataclass(frozen=True)
class Rung:
    """One counting model.

    Attributes:
        name: ``"bigram"``.
        knows: what it has counted, in plain words.
        loss: nats per character of the validation text.
    """

    name: str
    knows: str
    loss: float


def ladder(train: Sequence[int], val: Sequence[int], vocab_size: int) -> list[Rung]:
    """Uniform, unigram, bigram and trigram, from the weakest to the strongest name."""
    names = (("unigram", "single characters"), ("bigram", "all pairs"), ("trigram", "all triples"))
    rungs = [Rung("uniform", "nothing but the alphabet", math.log(vocab_size))]
    rungs += [Rung(name, knows, ngram_loss(train, val, n, vocab_size)) for n, (name, knows) in enumerate(names, 1)]
    return rungs


def ngram_loss(train: Sequence[int], val: Sequence[int], n: int, vocab_size: int) -> float:
    """Nats per character of ``val`` under the counts of n-grams in ``train``.

    P(c | h) = (count(hc) + α) / (count(h) + α·V), Lidstone's rule. α is the one of 1, 0.1 and 0.01 that is best on
    ``val`` itself: a network has to beat the counts at their best.
    """
    grams: Counter[tuple[int, ...]] = Counter(zip(*(train[i:] for i in range(n)), strict=False))
    histories: Counter[tuple[int, ...]] = Counter()
    for gram, count in grams.items():
        histories[gram[:-1]] += count
    seen = Counter(zip(*(val[i:] for i in range(n)), strict=False))
    total = sum(seen.values())
    if not total:
        return math.nan
    return min(
        -sum(
            count * math.log((grams[gram] + alpha) / (histories[gram[:-1]] + alpha * vocab_size))
            for gram, count in seen.items()
        )
        / total
        for alpha in _ALPHAS
    )


def beaten(loss: float, rungs: Sequence[Rung]) -> Rung | None:
    """The strongest rung that a loss is below."""
    return min((rung for rung in rungs if loss < rung.loss), key=lambda rung: rung.loss, default=None)


def verdict(loss: float, rungs: Sequence[Rung]) -> str:
    """The loss in words.

    >>> rungs = [Rung("uniform", "nothing but the alphabet", 4.2), Rung("unigram", "single characters", 3.3)]
    >>> verdict(3.0, rungs), verdict(4.0, rungs), verdict(5.0, rungs)
    ('better than counting single characters', 'better than guessing', 'not yet better than guessing')
    """
    best = beaten(loss, rungs)
    if best is None:
        return "not yet better than guessing"
    return "better than guessing" if best.name == "uniform" else f"better than counting {best.knows}"
