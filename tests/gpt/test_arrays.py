"""The forward pass on arrays against the scalar model, and against PyTorch."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from gpt.config import GPTConfig, TrainConfig
from gpt.engines.arrays import ArrayModel
from gpt.engines.scalar import ScalarEngine
from gpt.model import GPT
from gpt.runs.checkpoint import numbers_of
from gpt.sample import ScalarScorer, generate
from tests.gpt.test_exchange import SHAPES
from tinygrad_edu.nn import ACTIVATIONS

GPT2 = SHAPES["GPT-2's"]
KINDS = [*SHAPES.values(), {"norm": "layernorm"}, *({**GPT2, "activation": name} for name in ACTIVATIONS)]
TOKENS = [3, 1, 4, 1, 5, 9, 2, 6]


def made(**shape: Any) -> tuple[GPT, dict[str, Any]]:
    """Return a model whose norms and biases are random too, and its numbers."""
    small = {"vocab_size": 11, "block_size": 8, "n_embd": 8, "n_head": 2, "n_layer": 2, "init_std": 0.5}
    model = GPT(GPTConfig(**{**small, **shape}), seed=3).eval()
    rng = random.Random(7)
    for value in model.parameters():
        value.data += rng.gauss(0.0, 0.1)
    return model, numbers_of(model)


@pytest.mark.parametrize("shape", KINDS, ids=lambda shape: " ".join(f"{k}={v}" for k, v in shape.items()))
def test_it_computes_what_the_scalars_compute(shape: dict[str, Any]) -> None:
    model, tables = made(**shape)
    expected = [[x.data for x in row] for row in model(TOKENS)]
    at_once = ArrayModel(model.config, tables).scorer()(TOKENS)
    assert at_once == pytest.approx(expected[-1], rel=1e-9, abs=1e-9)
    one_by_one = ArrayModel(model.config, tables).scorer()
    for n, row in enumerate(expected, 1):  # each from the keys and values of those before
        assert one_by_one(TOKENS[:n]) == pytest.approx(row, rel=1e-9, abs=1e-9)
    rounded = ArrayModel(model.config, {name: table.astype(np.float32) for name, table in tables.items()})
    assert rounded.scorer()(TOKENS) == pytest.approx(expected[-1], abs=1e-5)


def test_the_loss_is_that_of_the_scalars() -> None:
    model, tables = made(**GPT2)
    sequences = [(TOKENS[:-1], TOKENS[1:]), ([1, 2], [2, 3])]
    arrays = ArrayModel(model.config, tables)
    assert arrays.evaluate(sequences) == pytest.approx(ScalarEngine(model, TrainConfig()).evaluate(sequences), rel=1e-9)
    weighted = [(TOKENS[:-1], TOKENS[1:], [0.1 * i for i in range(7)])]
    assert arrays.evaluate(weighted) == pytest.approx(ScalarEngine(model, TrainConfig()).evaluate(weighted), rel=1e-9)


def test_logits_are_computed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    model, tables = made(**GPT2)
    whole = ArrayModel(model.config, tables).losses(TOKENS[:-1], TOKENS[1:])
    monkeypatch.setattr("gpt.engines.arrays._AT_ONCE", 3)
    assert ArrayModel(model.config, tables).losses(TOKENS[:-1], TOKENS[1:]) == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_it_writes_the_same_text_beyond_the_context(positions: str) -> None:
    model, tables = made(**{**GPT2, "positions": positions})
    texts = [
        list(generate(score, 8, [3, 1], 40, temperature=1.2, top_k=6, top_p=0.9, rng=random.Random(5)))
        for score in (ScalarScorer(model), ArrayModel(model.config, tables).scorer())
    ]
    assert texts[0] == texts[1]
    assert len(set(texts[0])) > 3


@pytest.mark.torch
@pytest.mark.parametrize("shape", [GPT2, SHAPES["nanoGPT's own"], SHAPES["rotary"]])
def test_pytorch_computes_the_same(shape: dict[str, Any]) -> None:
    import torch

    from tests.gpt.nanogpt import NanoGPT

    model, tables = made(**shape)
    rounded = {name: table.astype(np.float32) for name, table in tables.items()}
    theirs = NanoGPT({**vars(model.config)})
    named = {name: torch.tensor(table) for name, table in rounded.items()}
    if model.config.tied_head:
        named["lm_head.weight"] = named["transformer.wte.weight"]
    theirs.load_state_dict(named, strict=True)
    with torch.no_grad():
        expected = theirs(torch.tensor([TOKENS]))[0]
    arrays = ArrayModel(model.config, rounded)
    assert arrays.scorer()(TOKENS) == pytest.approx(expected[-1].tolist(), abs=1e-5)
    losses = torch.nn.functional.cross_entropy(expected[:-1], torch.tensor(TOKENS[1:]), reduction="none")
    assert arrays.losses(TOKENS[:-1], TOKENS[1:]) == pytest.approx(losses.numpy(), abs=1e-5)
