"""Generation with a key/value cache, against re-running the whole window and against the scalar model."""

from __future__ import annotations

import functools
import random

import pytest

from gpt.config import POSITIONS, GPTConfig, TrainConfig
from gpt.engines import kv_cache
from gpt.engines.compiled import CompiledEngine
from gpt.errors import ConfigError
from gpt.model import GPT
from gpt.sample import ScalarScorer, generate, penalize_repetition

SMALL = {"vocab_size": 11, "block_size": 16, "n_embd": 8, "n_head": 2, "n_layer": 2, "init_std": 0.5}


@functools.cache
def engine_for(positions: str) -> CompiledEngine:
    return CompiledEngine(GPT(GPTConfig(**SMALL, positions=positions, dropout=0.1), seed=4), TrainConfig())


@pytest.fixture(params=[0, 10**9], ids=["window at once", "token by token"])
def beginnings(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Record how the beginning of a text is computed."""
    monkeypatch.setattr(kv_cache, "WINDOW_IS_WORTH", request.param)


@pytest.mark.usefixtures("beginnings")
@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("temperature", [0.0, 1.5])
@pytest.mark.parametrize(("context_shift", "count"), [(1, 60), (None, 150)])
def test_a_key_value_cache_writes_the_same_text(
    positions: str, temperature: float, context_shift: int | None, count: int
) -> None:
    engine = engine_for(positions)
    texts = [
        list(
            generate(
                score, 16, [3, 1], count, temperature=temperature, context_shift=context_shift, rng=random.Random(5)
            )
        )
        for score in (engine.scorer(), engine.window_scorer())
    ]
    assert texts[0] == texts[1]
    assert temperature == 0.0 or len(set(texts[0])) > 3


def test_the_program_for_a_window_is_compiled_when_it_pays_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kv_cache, "WINDOW_IS_WORTH", 20)
    score = CompiledEngine(GPT(GPTConfig(**SMALL), seed=4), TrainConfig()).scorer()
    score([1] * 10)
    score([2] * 10)
    assert not score._window.is_compiled
    score([3] * 10)
    assert score._window.is_compiled


@pytest.mark.parametrize("positions", POSITIONS)
def test_a_longer_context_makes_no_longer_program(positions: str) -> None:
    sizes = []
    for block_size in (8, 32):
        settings = {**SMALL, "block_size": block_size}
        score = CompiledEngine(GPT(GPTConfig(**settings, positions=positions), seed=4), TrainConfig()).scorer()
        score([1])
        sizes.append(len(score._step.program.instructions))
    assert sizes[0] == sizes[1] < 200


@pytest.mark.usefixtures("beginnings")
@pytest.mark.parametrize("positions", POSITIONS)
def test_every_length_has_the_scalar_models_logits(positions: str) -> None:
    engine = engine_for(positions)
    rng = random.Random(1)
    tokens = [rng.randrange(11) for _ in range(16)]
    exact = ScalarScorer(engine._model)
    one_by_one = engine.scorer()
    for n in range(1, 17):
        expected = pytest.approx(exact(tokens[:n]), abs=2e-5)
        assert list(one_by_one(tokens[:n])) == expected
        assert list(engine.scorer()(tokens[:n])) == expected  # all of it at once


def test_texts_do_not_mix_and_the_mode_of_the_model_stays() -> None:
    engine = engine_for("learned")
    engine._model.train()
    a, b = engine.scorer(), engine.scorer()
    first = list(a([1, 2, 3]))
    b([4, 5])
    assert list(a([1, 2, 3, 4])) == pytest.approx(list(engine.window_scorer()([1, 2, 3, 4])), abs=1e-5)
    assert list(a([1, 2, 3])) == pytest.approx(first, abs=1e-6)
    assert engine._model.training


def test_a_scorer_uses_the_current_model() -> None:
    engine = CompiledEngine(GPT(GPTConfig(**SMALL), seed=4), TrainConfig())
    tokens = [1, 2, 3]
    before = list(engine.scorer()(tokens))
    engine._parameters.array *= 1.5
    after = list(engine.scorer()([*tokens, 4]))
    assert after == pytest.approx(list(engine.window_scorer()([*tokens, 4])), abs=1e-5)
    assert list(engine.scorer()(tokens)) != pytest.approx(before, abs=1e-2)


@pytest.mark.usefixtures("beginnings")
def test_an_invalid_token_leaves_the_cache_intact() -> None:
    engine = engine_for("learned")
    score = engine.scorer()
    score([1, 2, 3])
    for text in ([1, 2, 3, 4, 11], [5, 6, 7, 8, 9, 11], [1, 11, 2, 3, 4]):
        with pytest.raises(IndexError, match="index 11 is out of range"):
            score(text)
        assert list(score([1, 2, 3, 5])) == pytest.approx(list(engine.window_scorer()([1, 2, 3, 5])), abs=1e-5)


def test_a_context_of_one_token_caches_nothing() -> None:
    engine = CompiledEngine(GPT(GPTConfig(**{**SMALL, "block_size": 1})), TrainConfig())
    texts = [list(generate(s, 1, [3], 9, rng=random.Random(2))) for s in (engine.scorer(), engine.window_scorer())]
    assert texts[0] == texts[1]


def test_the_repetition_penalty_lowers_recent_tokens() -> None:
    assert penalize_repetition([2.0, -1.0, 3.0, 0.0], [0, 1, 1, 3], 2.0) == [1.0, -2.0, 3.0, 0.0]

    def score(tokens: object) -> list[float]:
        return [3.0, 2.0, 1.0]

    def written(**settings: float) -> list[int]:
        return list(generate(score, 8, [0], 4, temperature=0.0, rng=random.Random(0), **settings))  # type: ignore[arg-type]

    assert written() == [0, 0, 0, 0]
    assert written(repetition_penalty=2.0, repetition_window=1) == [1, 0, 1, 0]
    assert written(repetition_penalty=4.0, repetition_window=2) == [1, 2, 0, 1]


@pytest.mark.parametrize(
    "settings", [{"repetition_penalty": 0.0}, {"repetition_window": 0}, {"context_shift": 0}, {"context_shift": 9}]
)
def test_settings_out_of_range_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        next(generate(lambda _: [0.0], 8, [0], 1, rng=random.Random(0), **settings))  # type: ignore[arg-type]
