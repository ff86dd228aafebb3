"""What ``gpt info`` prints about a run and its time."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from gpt.cli import main
from gpt.data.corpus import Corpus
from gpt.inspection.profile import LOSS, profile
from gpt.runs import checkpoint
from tests.commands import refusal


@pytest.fixture(scope="module")
def run(train_in: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("info")
    return train_in(folder, "--preset", "tiny", "--n-embd", "4", "--n-layer", "2", "--steps", "12")


def numbers(line: str) -> list[float]:
    return [float(x.replace(",", "")) for x in re.findall(r"\d[\d,]*\.?\d*", line)]


def test_fractions_of_parameters_and_the_history(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["info", str(run)]) == 0
    printed = capsys.readouterr().out
    lines = [line for line in printed.splitlines() if str(run.parent) not in line]
    assert max(map(len, lines)) <= 80
    model, config, tokenizer, _ = checkpoint.load_model(run)
    total = len(model.parameters())
    assert re.search(rf"^all +{total:,} +100.0%$", printed, re.MULTILINE)
    block = next(line for line in lines if line.strip().startswith("h.1 "))
    assert numbers(block)[-2:] == [192, round(19200 / total, 1)]  # 12 · width²
    shares = [numbers(line)[-1] for line in lines if re.search(r"[×].*%$", line)]
    assert sum(shares) == pytest.approx(100, abs=0.6)
    corpus = Corpus.from_text(config.text(), config.model.block_size, tokenizer)
    seen = 12 * 2 * 6
    assert f"{seen} characters seen" in " ".join(printed.split())
    assert f"{seen / len(corpus.train):.2f} times the {len(corpus.train):,}" in " ".join(printed.split())
    validated = {r["step"]: r for r in checkpoint.read_log(run) if r["val_loss"] is not None}
    table = [line for line in lines if re.match(r" +\d+ +[\d.–]+ +[\d.]+ +[\d.]+ +[\d.]+", line)]
    assert [int(numbers(line)[0]) for line in table] == list(validated)
    best = min(validated, key=lambda s: validated[s].get("watched_loss", validated[s]["val_loss"]))
    assert [int(numbers(line)[0]) for line in table if line.endswith("lowest")] == [best]
    assert f"{4 * total:,}" in printed or f"{4 * total / 1000:.3g} kB" in printed
    assert "this is on 5 sequences of the validation text" in " ".join(printed.split())
    assert "on the 3 sequences of the validations during training" in " ".join(printed.split())
    assert re.search(r"\d nats per character .* perplexity .*: better than", " ".join(printed.split()))


def test_a_run_whose_text_is_missing_is_still_shown(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = (run.parent / "text.txt").rename(tmp_path / "moved.txt")
    try:
        assert main(["info", str(run)]) == 0
        assert "which is not on this machine" in " ".join(capsys.readouterr().out.split())
        assert "is not on this machine" in refusal(main, "info", str(run), "--profile")
    finally:
        moved.rename(run.parent / "text.txt")


def test_the_time_of_a_step_by_module_leaves_the_run_unchanged(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    model, config, tokenizer, _ = checkpoint.load_model(run)
    found = profile(model, config, Corpus.from_text(config.text(), config.model.block_size, tokenizer), 2)
    assert [share.module for share in found.shares if share.module.endswith((".attn", ".mlp"))] == [
        "transformer.h.0.attn", "transformer.h.0.mlp", "transformer.h.1.attn", "transformer.h.1.mlp",
    ]  # fmt: skip
    assert {"transformer.wte", "lm_head", LOSS} <= {share.module for share in found.shares}
    assert all(share.forward > 0 or share.backward > 0 for share in found.shares)
    attention = next(share for share in found.shares if share.module == "transformer.h.0.attn")
    assert attention.backward > 0  # derivatives count for the module that they belong to
    assert sum(share.seconds for share in found.shares) == pytest.approx(found.parts["the program"])
    assert 0 < found.products < 1
    assert 0 < found.memory < sum(share.memory for share in found.shares)  # memory is reused
    capsys.readouterr()
    assert main(["info", str(run), "--profile", "2"]) == 0
    printed = capsys.readouterr().out
    assert [line for line in printed.splitlines() if str(run.parent) not in line and len(line) > 80] == []
    assert "the fastest of 2" in printed
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
