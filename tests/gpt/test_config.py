from __future__ import annotations

import dataclasses
import math
import re
from typing import Any

import pytest

from gpt.cli import main
from gpt.config import PRESETS, GPTConfig, TrainConfig, preset
from gpt.errors import ConfigError
from gpt.model import GPT, parameter_count, parameter_shapes
from tests.commands import refusal

#: Worked by hand for 65 tokens: the width of a head; the embedding of tokens (65·C) and of positions (T·C), per
#: block the attention (4·C²) and the MLP (8·C²), gains of two norms a block and one more (C each), the head (65·C).
PRESET_SIZES = {
    "micro": (4, 65 * 16 + 16 * 16 + (1_024 + 2_048) + 65 * 16),  # 5,408
    "tiny": (16, 65 * 32 + 32 * 32 + (4_096 + 8_192) + 65 * 32),  # 17,472
    "tinylm": (16, 65 * 32 + 32 * 32 + (4_096 + 4_096)),  # 11,296, as lesson 10 counts; the head is the embedding
    "small": (16, 65 * 64 + 64 * 64 + 2 * (16_384 + 32_768) + 65 * 64),  # 110,720
    "nano": (32, 65 * 128 + 64 * 128 + 4 * (65_536 + 131_072) + 9 * 128),  # 804,096; the head is the embedding
    "base": (40, 65 * 160 + 4 * (102_400 + 204_800)),  # 1,239,200; positions are rotations
}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_make_models_of_the_announced_size(name: str) -> None:
    width, expected = PRESET_SIZES[name]
    config, train = GPTConfig(vocab_size=65, **preset(name).model), TrainConfig(**preset(name).train)
    size = sum(math.prod(shape) for _, shape in parameter_shapes(config))
    assert (config.n_embd / config.n_head, size) == (width, expected)
    assert f"width {config.n_embd}, {config.n_head} heads, context {config.block_size}" in preset(name).summary
    assert re.match(rf"{config.n_layer} layers?, ", preset(name).summary)
    assert (train.warmup_steps, train.lr / train.min_lr) == (100, pytest.approx(20 if name == "base" else 10))


@pytest.mark.parametrize(
    ("cls", "field", "value", "message"),
    [
        (GPTConfig, "n_layer", 0, "n_layer must be at least 1, got 0"),
        (GPTConfig, "n_layer", 1.5, "n_layer must be a whole number, got 1.5"),
        (GPTConfig, "n_layer", True, "n_layer must be a whole number, got True"),
        (GPTConfig, "n_head", 3, "n_head must divide n_embd.*n_embd 16 and n_head 3, which leaves 1"),
        (GPTConfig, "positions", "here", "positions must be one of learned, rotary; got 'here'"),
        (GPTConfig, "norm", "batch", "norm must be one of rmsnorm, layernorm; got 'batch'"),
        (GPTConfig, "activation", "step", "activation must be one of .*relu.*; got 'step'"),
        (GPTConfig, "dropout", 1.0, r"dropout must be at least 0.0 and below 1.0, got 1.0"),
        (GPTConfig, "bias", 1, "bias must be true or false, got 1"),
        (TrainConfig, "steps", -5, "steps must be at least 1, got -5"),
        (TrainConfig, "batch_size", 0, "batch_size must be at least 1, got 0"),
        (TrainConfig, "lr", -1e-3, "lr must be at least 0"),
        (TrainConfig, "lr", math.nan, "lr must be at least 0"),
        (TrainConfig, "lr", math.inf, "lr must be at least 0.0 and at most 1000.0, got inf"),
        (TrainConfig, "beta2", 1.0, "beta2 must be at least 0.0 and below 1.0"),
        (TrainConfig, "schedule", "step", "schedule must be one of cosine, linear, constant"),
        (TrainConfig, "engine", "steam", "engine must be one of "),
        (TrainConfig, "min_lr", 1.0, "min_lr must be at most lr"),
    ],
)
def test_a_bad_field_is_named_with_its_value_and_range(cls: Any, field: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        cls(**{field: value})


def test_gpt_2_can_be_described_and_counted_but_not_made_of_values() -> None:
    config = GPTConfig(
        vocab_size=50257, block_size=1024, n_layer=12, n_head=12, n_embd=768,
        norm="layernorm", norm_weight=True, bias=True, tied_head=True,
    )  # fmt: skip
    # Worked by hand: two tables, 12 blocks of 12·768² + 13·768, a last norm.
    assert parameter_count(config) == (50257 + 1024) * 768 + 12 * (12 * 768**2 + 13 * 768) + 2 * 768 == 124_439_808
    with pytest.raises(ConfigError, match="would have 124,439,808 parameters.*choose a smaller n_embd.*100,000,000"):
        GPT(config)
    assert "would have" in refusal(main, "train", "--n-embd", "100000", "--out", "never")


def test_rotary_positions_need_pairs() -> None:
    with pytest.raises(ConfigError, match="n_embd / n_head must be even; got n_embd 6 and n_head 2"):
        GPTConfig(n_embd=6, n_head=2, positions="rotary")


def test_settings_are_frozen_and_every_field_has_a_description() -> None:
    for cls in (GPTConfig, TrainConfig):
        assert all(field.metadata["help"] for field in dataclasses.fields(cls))
    with pytest.raises(dataclasses.FrozenInstanceError):
        GPTConfig().n_layer = 2  # type: ignore[misc]


def test_an_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="unknown preset: 'huge'.*micro, tiny, tinylm, small, nano"):
        preset("huge")
