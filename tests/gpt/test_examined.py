"""Measurements over many characters match scalars, and the last blocks of a model get the gradients of the whole."""

from __future__ import annotations

import pytest

from gpt.config import GPTConfig
from gpt.inspection.examination import WINDOWS, Examination, watched
from gpt.inspection.loss_graph import first_drawn, recorded_end, recorded_loss
from gpt.model import GPT
from tinygrad_edu import record_calls
from tinygrad_edu.nested import values_in

TEXT = [i * i % 7 for i in range(40)]


def made(activation: str = "relu", **changes: object) -> GPT:
    settings = {"vocab_size": 7, "block_size": 4, "n_layer": 3, "n_head": 2, "n_embd": 4, "bias": True, **changes}
    return GPT(GPTConfig(**settings, activation=activation), seed=3)  # type: ignore[arg-type]


def test_gradients_over_many_characters_are_the_mean_of_scalar_ones() -> None:
    model = made()
    found = Examination(model, TEXT).gradients()
    starts = range(len(TEXT) - 4)
    assert found.characters == 4 * len(starts)
    sums: dict[str, list[float]] = {}
    for start in starts:
        model.zero_grad()
        with record_calls() as calls:
            loss = model.loss(TEXT[start : start + 4], TEXT[start + 1 : start + 5])
        loss.backward()
        if start == 0:
            blocks = {c.path: [v.grad for v in c.outputs] for c in calls.calls[0].walk() if c.kind == "Block"}
        for name, table in model.named_parameters():
            mine = [v.grad / len(starts) for v in values_in(table)]
            sums[name] = [a + b for a, b in zip(sums.get(name, [0.0] * len(mine)), mine, strict=True)]
    assert list(found.tables) == list(sums) == [line.name for line in found.parameters]
    for name, expected in sums.items():
        assert found.tables[name].tolist() == pytest.approx(expected, rel=1e-3, abs=1e-6), name
    assert list(found.blocks) == list(blocks) == [f"transformer.h.{i}" for i in range(3)]
    for name, expected in blocks.items():
        assert found.blocks[name] == pytest.approx(expected, rel=1e-3, abs=1e-6), name


@pytest.mark.parametrize(
    ("kind", "low", "high", "says"),
    [("relu", -1.0, 1.0, "6 dead"), ("relu2", -1.0, 1.0, "6 dead"), ("tanh", 0.1, 4.0, "42 saturated")],
)
def test_units_that_are_dead_or_saturated_for_all_characters_are_counted(
    kind: str, low: float, high: float, says: str
) -> None:
    model = made(kind)
    for i, block in enumerate(
        model.transformer.h
    ):  # i + 1 units of block i always get the low number, the others the high one
        for unit, (row, bias) in enumerate(zip(block.mlp.c_fc.weight, block.mlp.c_fc.bias, strict=True)):
            for w in row:
                w.data = 0.0
            bias.data = low if unit <= i else high
    text = [i * i % 7 for i in range(400)]
    found = Examination(model, text).units()
    facts = {name: (u.total, u.dead, u.saturated, u.examples) for name, u in found.items()}
    assert facts == {
        f"transformer.h.{i}.mlp.act": (16, *((0, 15 - i) if kind == "tanh" else (i + 1, 0)), 4 * WINDOWS)
        for i in range(3)
    }
    assert watched(found) == f"The 48 units of the MLPs were watched over {4 * WINDOWS} characters: {says}."


def test_a_unit_that_one_character_activates_is_not_dead() -> None:
    model = made("relu")
    before = Examination(model, TEXT).units()["transformer.h.0.mlp.act"]
    assert before.dead == 0
    assert made("gelu").config.activation not in ("relu", "tanh")
    assert Examination(made("gelu"), TEXT).units() == {}
    assert watched({}) == ""


def test_the_last_blocks_have_the_loss_and_gradients_of_the_whole_model() -> None:
    model = made()
    loss, calls, length = recorded_loss(model, TEXT, 1)
    names = {name: value for value, name in calls.names.items()}
    expected = {name: value.grad for name, value in names.items()}
    expected_loss = loss.data
    most = 2 * len(model.parameters()) - 1
    end = recorded_end(model, TEXT, most)
    assert (end.first, end.length, length) == (1, 1, 1)
    assert first_drawn(model, 1) == 2
    assert first_drawn(model, most + 1) == 0
    assert end.loss.data == expected_loss
    own = {name: value.grad for value, name in end.calls.names.items()}
    assert {name.split(".")[2] for name in own if ".h." in name} == {"1", "2"}
    assert own == {name: expected[name] for name in own}
    assert {c.path for c in end.calls.calls[0].walk() if c.kind == "Block"} == {"transformer.h.1", "transformer.h.2"}
