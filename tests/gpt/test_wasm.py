"""A run as a WebAssembly module: it samples the same text as Python, and continues training."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from gpt import sample
from gpt.cli import main
from gpt.data.corpus import Sequences
from gpt.engines.base import adamw_settings, transposed
from gpt.runs import checkpoint
from tests.commands import refusal
from tests.compiler import in_node
from tests.compiler.in_node import Refused, ask
from tests.gpt.test_exchange import made_run
from tinygrad_edu import jit
from tinygrad_edu.compiler import AdamW

pytestmark = [pytest.mark.native, pytest.mark.node]


@pytest.mark.parametrize("shape", [{}, {"positions": "rotary", "n_layer": 2, "dropout": 0.1}], ids=["plain", "rotary"])
def test_an_exported_run_trains_and_samples(
    shape: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = made_run(tmp_path / "run", **shape)
    assert main(["export", str(tmp_path / "run"), str(tmp_path / "out"), "--wasm"]) == 0
    said = capsys.readouterr().out
    assert "step.js there says how a page loads it" in said
    assert ("without dropout" in said) == ("dropout" in shape)
    in_node.load_file(tmp_path / "out" / "step.wasm")
    _, config, tokenizer, _ = checkpoint.load_model(tmp_path / "run")
    model.eval()
    for prompt in ("ab", "abcdeabcde"):  # also beyond the context of 6
        tokens = sample.generate(
            sample.ScalarScorer(model), 6, tokenizer.encode(prompt), 20, temperature=0.0, rng=random.Random(0)
        )
        wanted = tokenizer.decode(tokens)
        assert ask("sample", {"prompt": prompt, "length": 20, "temperature": 0}) == wanted
    rng = random.Random(3)
    sequences: Sequences = [([rng.randrange(7) for _ in range(6)], [rng.randrange(7) for _ in range(6)]) for _ in "abc"]
    batch = transposed(sequences)
    loss = jit(model.loss, model)
    optimizer = AdamW(loss.parameters, **adamw_settings(model, config.train))
    for _ in range(3):
        assert ask("step", batch) == pytest.approx(loss.value_and_grad(*batch), rel=1e-4)
        optimizer.step()
        ask("update")
    assert set(ask("sample", {"length": 30})) <= set(tokenizer.alphabet)
    with pytest.raises(Refused, match='the model has no character "x"'):
        ask("sample", {"prompt": "x"})
    with pytest.raises(Refused, match="temperature must be a finite number of at least 0, got -1"):
        ask("sample", {"temperature": -1})


def test_other_formats_are_not_written_with_it(tmp_path: Path) -> None:
    made_run(tmp_path / "run")
    assert "--wasm makes a folder of its own" in refusal(
        main, "export", str(tmp_path / "run"), str(tmp_path / "out"), "--wasm", "--hugging-face"
    )
