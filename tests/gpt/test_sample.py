from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt.config import GPTConfig
from gpt.errors import ConfigError
from gpt.model import GPT
from gpt.sample import ScalarScorer, distribution, draw, generate, until

LOGITS = [2.0, 1.0, 0.1]


def test_an_interrupted_computation_leaves_the_scorer_intact(monkeypatch: pytest.MonkeyPatch) -> None:
    model = GPT(GPTConfig(vocab_size=7, block_size=6, n_layer=2, n_head=2, n_embd=4, init_std=0.5))
    score = ScalarScorer(model)
    score([1, 2])
    with monkeypatch.context() as patch:
        patch.setattr(model.transformer.h[1], "forward", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            score([1, 2, 3])
    assert score([1, 2, 3, 4]) == ScalarScorer(model)([1, 2, 3, 4])


def test_temperature_one_is_softmax() -> None:
    assert distribution(LOGITS) == pytest.approx([0.6590, 0.2424, 0.0986], abs=1e-4)


def test_temperature_zero_takes_the_likeliest_and_the_first_of_ties() -> None:
    assert distribution(LOGITS, temperature=0.0) == [1.0, 0.0, 0.0]
    assert distribution([1.0, 3.0, 3.0], temperature=0.0) == [0.0, 1.0, 0.0]


def test_top_k_keeps_k() -> None:
    assert distribution(LOGITS, top_k=2) == pytest.approx([0.7311, 0.2689, 0.0], abs=1e-4)
    assert distribution([1.0, 1.0, 1.0], top_k=2) == pytest.approx([0.5, 0.5, 0.0])
    assert distribution(LOGITS, top_k=99) == distribution(LOGITS)


def test_top_p_keeps_the_token_that_crosses_p() -> None:
    from math import log

    kept = distribution([log(p) for p in (0.5, 0.3, 0.15, 0.05)], top_p=0.9)
    assert kept == pytest.approx([0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95, 0.0])
    assert distribution([log(0.95), log(0.05)], top_p=0.9) == [1.0, 0.0]


@given(
    st.lists(st.floats(-50, 50), min_size=1, max_size=20),
    st.floats(0, 5),
    st.none() | st.integers(1, 25),
    st.none() | st.floats(0.01, 1.0),
)
def test_result_is_a_distribution(logits: list[float], temperature: float, k: int | None, p: float | None) -> None:
    probabilities = distribution(logits, temperature, k, p)
    assert sum(probabilities) == pytest.approx(1.0)
    assert min(probabilities) >= 0.0
    assert probabilities[max(range(len(logits)), key=lambda i: logits[i])] > 0.0
    if k is not None:
        assert sum(x > 0 for x in probabilities) <= k


@pytest.mark.parametrize(
    "settings",
    [{"temperature": -1.0}, {"temperature": float("nan")}, {"top_k": 0}, {"top_p": 0.0}, {"top_p": 1.1}],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        distribution(LOGITS, **settings)  # type: ignore[arg-type]


def test_scores_of_a_diverged_model_are_refused() -> None:
    with pytest.raises(ConfigError, match="diverged"):
        distribution([1.0, float("nan")])


def test_draws_follow_the_probabilities() -> None:
    rng = random.Random(0)
    counts = Counter(draw([0.5, 0.0, 0.3, 0.2], rng) for _ in range(4000))
    assert counts[1] == 0
    for token, probability in ((0, 0.5), (2, 0.3), (3, 0.2)):
        assert counts[token] / 4000 == pytest.approx(probability, abs=0.03)


@pytest.fixture(scope="module")
def model() -> GPT:
    return GPT(GPTConfig(vocab_size=11, block_size=6, n_embd=8, n_head=2, n_layer=2, init_std=0.5), seed=4)


def written(model: GPT, prompt: list[int], n: int, **settings: Any) -> Iterator[int]:
    return generate(ScalarScorer(model), model.config.block_size, prompt, n, **settings)


def test_cached_generation_equals_recomputing_far_beyond_the_context(model: GPT) -> None:
    prompt = [3, 1]
    rng, again = random.Random(7), random.Random(7)
    cached = list(written(model, prompt, 20, temperature=1.3, top_k=9, context_shift=1, rng=rng))
    tokens = list(prompt)
    for _ in range(20):
        logits = [x.data for x in model(tokens[-6:])[-1]]
        tokens.append(draw(distribution(logits, 1.3, 9), again))
    assert cached == tokens[2:]


def test_a_prompt_longer_than_the_context_is_cut_from_the_left(model: GPT) -> None:
    long, short = [1, 2, 3, 4, 5, 6, 7, 8], [3, 4, 5, 6, 7, 8]
    assert list(written(model, long, 5, rng=random.Random(0))) == list(written(model, short, 5, rng=random.Random(0)))


def test_the_same_seed_writes_the_same_text(model: GPT) -> None:
    texts = [list(written(model, [0], 12, rng=random.Random(seed))) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_sampling_leaves_the_model_in_training_mode_and_keeps_no_graph(model: GPT) -> None:
    model.train()
    list(written(model, [0], 3, rng=random.Random(0)))
    assert model.training
    assert all(value.inputs == () for value in model.parameters())


def test_an_empty_prompt_and_a_negative_length_are_refused(model: GPT) -> None:
    with pytest.raises(ConfigError, match="prompt"):
        next(written(model, [], 3, rng=random.Random(0)))
    with pytest.raises(ConfigError, match="max_new_tokens"):
        next(written(model, [1], -1, rng=random.Random(0)))


def test_min_p_is_relative_to_the_likeliest() -> None:
    logits = [math.log(p) for p in (0.5, 0.3, 0.15, 0.05)]
    assert distribution(logits, min_p=0.3) == pytest.approx([0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95, 0.0])
    assert distribution(logits, min_p=0.31)[2] == 0.0
    assert distribution(logits, min_p=1.0) == [1.0, 0.0, 0.0, 0.0]
    assert distribution(logits, min_p=0.0) == pytest.approx([0.5, 0.3, 0.15, 0.05])
    with pytest.raises(ConfigError, match="min_p must be at least 0 and at most 1, got 1.5"):
        distribution(logits, min_p=1.5)


@pytest.mark.parametrize("text", ["", "a", "aab", "abab", "abcabd", "aaab", "xaxbx"])
@pytest.mark.parametrize("stops", [[], ["ab"], ["abd", "bc"], ["aab", "b"]])
def test_stop_strings_cut_where_the_first_one_is_complete(text: str, stops: list[str]) -> None:
    expected = text
    for end in range(1, len(text) + 1):
        found = [stop for stop in stops if text[:end].endswith(stop)]
        if found:
            expected = text[: end - max(map(len, found))]
            break
    assert "".join(until(text, stops)) == expected


@pytest.mark.parametrize(
    ("context_shift", "lengths"), [(None, [7, 8, 5, 6, 7]), (1, [7, 8, 8, 8, 8]), (5, [7, 8, 4, 5, 6])]
)
def test_a_full_context_drops_half_or_the_requested_part(context_shift: int | None, lengths: list[int]) -> None:
    windows: list[list[int]] = []

    def score(tokens: Sequence[int]) -> list[float]:
        windows.append(list(tokens))
        return [0.0] * 20

    prompt = [*range(7)]
    text = prompt + list(generate(score, 8, prompt, 5, context_shift=context_shift, rng=random.Random(0)))
    assert [len(window) for window in windows] == lengths
    for n, window in enumerate(windows, len(prompt)):
        assert window == text[n - len(window) : n]
