from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from gpt.data import ngram
from gpt.data.ngram import Baseline, counted, strongest_beaten, verdict


def levels(train: Sequence[int], val: Sequence[int], n: int, vocab_size: int) -> list[Any]:
    return list(ngram._levels(ngram._Part(np.array(train)), ngram._Part(np.array(val)), n, vocab_size))


def lidstone(train: Sequence[int], val: Sequence[int], n: int, vocab_size: int) -> float:
    return ngram._lidstone(levels(train, val, n, vocab_size)[-1], vocab_size)


def witten_bell(train: Sequence[int], val: Sequence[int], n: int, vocab_size: int) -> float:
    smoothed = ngram._WittenBell(vocab_size)
    for level in levels(train, val, n, vocab_size):
        smoothed.see(level)
    return smoothed.loss()


def test_a_bigram_counted_by_hand() -> None:
    # Training text a b a b a: after a always b (2 of 2), after b always a (2 of 2). α = 0.01 is best here.
    expected = -math.log((2 + 0.01) / (2 + 0.01 * 2))
    assert lidstone([0, 1, 0, 1, 0], [0, 1, 0], 2, vocab_size=2) == pytest.approx(expected)


def test_a_unigram_is_the_cross_entropy_of_frequencies() -> None:
    rng = random.Random(0)
    train, val = rng.choices(range(4), [8, 4, 2, 2], k=4000), rng.choices(range(4), [8, 4, 2, 2], k=4000)
    entropy = 1.75 * math.log(2)
    assert lidstone(train, val, 1, 4) == pytest.approx(entropy, abs=0.03)


def test_witten_bell_counted_by_hand() -> None:
    # Training text a b a b a. Of single characters: a 3, b 2, two kinds; after a always b, after b always a.
    a, b = ((count + 2 * 1 / 3) / (5 + 2) for count in (3, 2))  # three characters in the alphabet
    b_after_a, a_after_b = (2 + b) / (2 + 1), (2 + a) / (2 + 1)
    expected = -(math.log(b_after_a) + math.log(a_after_b)) / 2
    assert witten_bell([0, 1, 0, 1, 0], [0, 1, 0], 2, vocab_size=3) == pytest.approx(expected)


@pytest.mark.parametrize("history", [(), (0,), (1, 2), (2, 2, 2), (3, 1, 0, 2)])
def test_witten_bells_probabilities_sum_to_one(history: tuple[int, ...]) -> None:
    rng = random.Random(1)
    train = rng.choices(range(3), k=200)  # 3 never occurs
    n = len(history) + 1
    probabilities = [math.exp(-witten_bell(train, [*history, c], n, 4)) for c in range(4)]
    assert sum(probabilities) == pytest.approx(1.0)
    shorter = [math.exp(-witten_bell(train, [*history[1:], c], max(n - 1, 1), 4)) for c in range(4)]
    assert 0 < probabilities[3] < shorter[3] if history and 3 not in history else probabilities == shorter


def test_unseen_characters_still_have_a_probability() -> None:
    # What follows 1 and 2 was never counted: α of 3 α each.
    assert lidstone([0, 0, 0], [1, 2, 1], 2, 3) == pytest.approx(math.log(3), rel=1e-12)


def test_the_baselines_fall_on_text_with_structure(text: str) -> None:
    alphabet = sorted(set(text))
    tokens = [alphabet.index(c) for c in text]
    losses = [baseline.loss for baseline in ngram.baselines(tokens[:2700], tokens[2700:], len(alphabet))]
    assert losses[0] == pytest.approx(math.log(len(alphabet)))
    assert losses == sorted(losses, reverse=True)


def test_counting_in_a_table_and_by_sorting_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(0)
    train, val = rng.choices(range(9), k=3000), rng.choices(range(9), k=300)
    by_table = ngram.baselines(train, val, 9)
    monkeypatch.setattr(ngram, "_ROOM", 0)
    assert ngram.baselines(train, val, 9) == by_table


def test_pieces_from_all_parts_of_a_large_text_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(2)
    train = [*rng.choices([0, 1], k=8000), *rng.choices([2, 3], k=8000)]  # the second half is another language
    val = rng.choices(range(4), k=4000)
    whole = [baseline.loss for baseline in ngram.baselines(train, val, 4)]
    assert counted(train) == ""
    monkeypatch.setattr(ngram, "MOST", 4000)
    monkeypatch.setattr(ngram, "_PIECE", 50)
    part = [baseline.loss for baseline in ngram.baselines(train, val, 4)]
    assert part != whole
    assert part == pytest.approx(whole, rel=0.15)
    assert counted(train) == " (counted in 4,000 of the 16,000 characters, spread evenly)"
    assert sorted(set(ngram._some(train, 4000).tolist())) == [0, 1, 2, 3]
    assert ngram._some(list(range(1000)), 100).tolist() == [*range(50), *range(950, 1000)]


LARGE = [
    Baseline("uniform", "nothing", 8.563),
    Baseline("unigram", "single characters", 9.1),
    Baseline("bigram", "all pairs", 8.2),
]


@pytest.mark.parametrize(
    ("loss", "best", "words"),
    [
        (8.667, None, "not yet better than guessing"),  # better than the unigram, but worse than guessing
        (8.563, None, "not yet better than guessing"),
        (8.56298, None, "not yet better than guessing"),  # equal when printed
        (math.nan, None, "not yet better than guessing"),
        (math.inf, None, "not yet better than guessing"),
        (8.57, None, "not yet better than guessing"),
        (8.5, "unigram", "better than counting single characters, not yet than the bigram (8.200)"),
        (8.1, "bigram", "better than counting all pairs"),
    ],
)
def test_a_baseline_counts_only_when_all_below_it_are_beaten(loss: float, best: str | None, words: str) -> None:
    found = strongest_beaten(loss, LARGE)
    assert (found and found.name) == best
    assert verdict(loss, LARGE) == words


def test_every_baseline_in_every_order_of_losses() -> None:
    """By hand: a baseline is beaten when the loss is below it and below every weaker one."""
    for losses in itertools.permutations([1.0, 2.0, 3.0, 4.0]):
        baselines = [Baseline(name, name, loss) for name, loss in zip("abcd", losses, strict=True)]
        for loss in (0.5, 1.5, 2.5, 3.5, 4.5):
            beaten = [r.name for i, r in enumerate(baselines) if all(loss < b.loss for b in baselines[: i + 1])]
            found = strongest_beaten(loss, baselines)
            assert (found.name if found else None) == (beaten[-1] if beaten else None)


def test_noise_is_not_praised() -> None:
    rng = random.Random(3)
    baselines = ngram.baselines(rng.choices(range(500), k=2000), rng.choices(range(500), k=300), 500)
    assert (
        max(baseline.loss for baseline in baselines) > baselines[0].loss + 0.1
    )  # counting noise is worse than guessing
    assert strongest_beaten(baselines[0].loss + 0.01, baselines) is None


def test_a_baseline_that_could_not_be_counted_is_left_out() -> None:
    assert [baseline.name for baseline in ngram.baselines([0, 1, 0, 1], [0, 1], 2)] == ["uniform", "unigram", "bigram"]
    assert [baseline.name for baseline in ngram.baselines([0, 1, 0, 1], [], 2)] == ["uniform"]
