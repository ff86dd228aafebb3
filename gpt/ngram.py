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
    """Uniform, unigram, bigram, trigram and a smoothed 5-gram, from the weakest to the strongest name."""
    names = (("unigram", "single characters"), ("bigram", "all pairs"), ("trigram", "all triples"))
    rungs = [Rung("uniform", "nothing but the alphabet", math.log(vocab_size))]
    rungs += [Rung(name, knows, ngram_loss(train, val, n, vocab_size)) for n, (name, knows) in enumerate(names, 1)]
    rungs.append(Rung("5-gram", "all runs of up to five, smoothed", witten_bell_loss(train, val, 5, vocab_size)))
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


def witten_bell_loss(train: Sequence[int], val: Sequence[int], n: int, vocab_size: int) -> float:
    """Nats per character of ``val`` under counts of all runs of up to ``n`` characters in ``train``.

    P(c | h) = (count(hc) + T(h) · P(c | h′)) / (count(h) + T(h)), where T(h) is how many different characters followed
    h and h′ is h without its first character; at the bottom every character is equally likely (Witten and Bell 1991,
    method C, interpolated as in Chen and Goodman 1999, equation 14). Nothing is tuned on ``val``.
    """
    followed: dict[tuple[int, ...], Counter[int]] = {}
    grams: Counter[tuple[int, ...]] = Counter(zip(*(train[i:] for i in range(n)), strict=False))
    for length in range(n, 0, -1):
        shorter: Counter[tuple[int, ...]] = Counter()
        for gram, count in grams.items():
            followed.setdefault(gram[:-1], Counter())[gram[-1]] = count
            shorter[gram[:-1]] += count
        # A run of one character less begins wherever a longer one does, and once more at the end of the text.
        if len(train) >= length - 1:
            shorter[tuple(train[len(train) - length + 1 :])] += 1
        grams = shorter
    totals = {history: counts.total() for history, counts in followed.items()}
    known: dict[tuple[int, ...], float] = {}

    def probability(gram: tuple[int, ...]) -> float:
        if not gram:
            return 1.0 / vocab_size
        found = known.get(gram)
        if found is None:
            # Below the empty history nothing is counted: gram[1:] of a single character is the uniform distribution.
            found = probability(gram[1:])
            counts = followed.get(gram[:-1])
            if counts is not None:
                found = (counts[gram[-1]] + len(counts) * found) / (totals[gram[:-1]] + len(counts))
            known[gram] = found
        return found

    seen = Counter(zip(*(val[i:] for i in range(n)), strict=False))
    if not seen:
        return math.nan
    return -math.fsum(count * math.log(probability(gram)) for gram, count in seen.items()) / seen.total()


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
