"""The learning-rate range test."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from gpt.cli import main
from gpt.experiments.lr_range_test import LRRange, advice, exploded, smooth, table
from tests.commands import refusal

SIZE = ["--preset", "micro", "--n-embd", "4", "--n-head", "2", "--block-size", "6", "--batch-size", "2"]


def _valley() -> LRRange:
    """Return a loss that falls fastest at 1e-2, is lowest at 1e-1 and rises after that."""
    rates = [10.0 ** (-4 + i / 25) for i in range(101)]
    losses = [3 - math.tanh(1.5 * (math.log10(rate) + 2)) + 10.0 ** (2 * math.log10(rate) + 1) for rate in rates]
    return LRRange(rates, losses, losses)


def test_the_steepest_and_the_lowest_are_found() -> None:
    found = _valley()
    assert found.rates[found.steepest] == pytest.approx(1e-2, rel=0.3)
    assert 3e-2 < found.rates[found.lowest] < 2e-1
    words = advice(found, 1.0)
    assert f"fastest at a rate of {found.rates[found.steepest]:.1e}" in words
    assert f"try --lr {found.rates[found.lowest] / 10:.1e}" in words
    assert f"{found.rates[found.steepest]:.1e}" in table(found)
    assert table(found).count("falls fastest") == 1


def test_a_loss_that_only_rises_or_only_falls_is_reported() -> None:
    rates = [10.0 ** (-5 + i / 20) for i in range(100)]
    rising, falling = [1 + i / 50 for i in range(100)], [3 - i / 50 for i in range(100)]
    assert "smaller --lowest" in advice(LRRange(rates, rising, rising), 1.0)
    assert "larger --highest" in advice(LRRange(rates, falling, falling), rates[-1])


def test_the_running_mean_lags_behind_the_losses_and_explodes_with_them() -> None:
    smoothed = smooth([1.0, 2.0, 3.0])
    assert smoothed[0] == 1.0
    assert 1.0 < smoothed[1] < smoothed[2] < 3.0
    assert not exploded([4.0] * 50)
    assert exploded([4.0] * 50 + [100.0] * 5)


def test_rates_are_tried_and_no_run_is_touched(
    text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["find-lr", "--data", str(text_file), *SIZE, "--steps", "60", "--highest", "100"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "60 steps with rates from 1e-05 to 100" in printed
    assert "try --lr" in " ".join(printed.split())
    assert max(len(line) for line in printed.splitlines()) <= 80
    assert {path.name for path in tmp_path.iterdir()} == {"text.txt", "find-lr.svg"}
    assert (tmp_path / "find-lr.svg").read_text(encoding="utf-8").startswith("<svg")
    assert main([*arguments, "--out", "again.txt"]) == 0
    assert capsys.readouterr().out.replace("again.txt", "find-lr.svg") == printed  # the same seed prints the same text


def test_it_ends_when_the_loss_is_nan(
    text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from gpt.engines.compiled import CompiledEngine

    honest = CompiledEngine.step
    rates = []

    def step(self: CompiledEngine, batch: object, rate: float, *rest: object) -> tuple[float, float]:
        rates.append(rate)
        loss, norm = honest(self, batch, rate, *rest)  # type: ignore[arg-type]
        return (math.nan if len(rates) > 30 else loss), norm

    monkeypatch.setattr(CompiledEngine, "step", step)
    out = str(tmp_path / "lr.svg")
    assert main(["find-lr", "--data", str(text_file), *SIZE, "--steps", "60", "--out", out]) == 0
    assert len(rates) == 31
    assert rates[0] == 1e-5
    assert rates[1] / rates[0] == pytest.approx(1e5 ** (1 / 59))
    assert f"Wrote {out}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", "19"], "steps must be at least 20"),
        (["--lowest", "0"], "the rates must grow"),
        (["--lowest", "1", "--highest", "0.1"], "the rates must grow"),
        (["--highest", "nan"], "the rates must grow"),
        (["--out", "chart.bmp"], "must end in one of .svg"),
        (["--preset", "huge"], "unknown preset"),
        (["--data", "missing.txt"], "missing.txt"),
        (["--n-head", "3"], "n_head must divide"),
    ],
)
def test_bad_input(
    arguments: list[str], message: str, text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    if "--data" not in arguments:
        arguments = ["--data", str(text_file), *arguments]
    assert message in refusal(main, "find-lr", *arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]
