"""Two models on the same text."""

from __future__ import annotations

import math
import re
import shutil
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest

from gpt.cli import main
from gpt.commands.compare import _places
from gpt.engines import make_engine
from gpt.experiments.comparison import difference, verdict
from gpt.inspection import surprisal
from gpt.inspection.surprisal import Seen
from gpt.runs import checkpoint
from tests.commands import refusal


@pytest.fixture(scope="module")
def runs(train_in: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("compare")
    good = train_in(folder, "--steps", "60", "--lr", "0.05", name="good")
    return good, train_in(folder, "--steps", "1", "--bias", "--block-size", "9", name="bad")


def test_the_better_model_and_the_differences_are_found(
    runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = map(str, runs)
    capsys.readouterr()
    assert main(["compare", bad, good, "--max-new-tokens", "30", "--prompt", "to be"]) == 0
    printed = capsys.readouterr().out
    assert "B is better by" in printed
    assert "almost certainly, on text like this" in " ".join(printed.split())
    assert re.search(r"^  block_size +9 +6$", printed, re.MULTILINE)
    assert re.search(r"^  bias +True +False$", printed, re.MULTILINE)
    assert re.search(r"^  transformer.wpe.weight +9×4 +6×4$", printed, re.MULTILINE)
    assert re.search(r"^  transformer.h.0.mlp.c_fc.bias +16 +–$", printed, re.MULTILINE)
    assert "all settings" not in printed.lower()
    left, right = zip(*(line.split("│") for line in printed.splitlines() if "│" in line), strict=True)
    assert left[0].startswith("A writes")
    assert left[1].startswith("to be")
    assert right[1].startswith(" to be")
    assert max(len(line) for line in printed.splitlines() if str(runs[0].parent) not in line) <= 80
    assert main(["compare", good, bad, "--max-new-tokens", "0"]) == 0
    printed = capsys.readouterr().out
    assert "A is better by" in printed
    assert "writes" not in printed


def test_losses_of_the_table_are_those_of_each_model(
    runs: tuple[Path, Path], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = runs
    capsys.readouterr()
    assert main(["compare", str(good), str(bad), "--characters", "100", "--max-new-tokens", "0"]) == 0
    printed = capsys.readouterr().out
    for letter, folder in (("A", good), ("B", bad)):
        model, config, tokenizer, _ = checkpoint.load_model(folder)
        start = len(text) * 9 // 10
        seen = surprisal.read(
            make_engine(model, config.train), tokenizer, tokenizer.encode(text[start : start + 101]),
            config.model.block_size,
        )  # fmt: skip
        line = printed.split(f"{letter} is {folder}, step ")[1].splitlines()[1]
        assert line.startswith(f"{surprisal.mean(seen):.4f} nats per character (")
        spaces = next(line for line in printed.splitlines() if line.startswith("  space "))
        mean = statistics.mean(one.surprise for one in seen if one.character == " ")
        assert f"{mean:.3f}" in spaces


def test_places_are_those_of_the_largest_differences() -> None:
    text = "to be or"
    a = [Seen(c, p, ()) for c, p in zip(text[1:], (0.5, 0.5, 0.9, 0.5, 0.5, 0.01, 0.5), strict=True)]
    b = [Seen(c, p, ()) for c, p in zip(text[1:], (0.5, 0.5, 0.1, 0.5, 0.4, 0.99, 0.5), strict=True)]
    lines = list(_places(text, a, b))
    assert [line.split()[-2:] for line in lines] == [
        ["by", "B"], ["90.000%", "10.000%"], ["50.000%", "40.000%"], ["by", "B"], ["1.000%", "99.000%"],
    ]  # fmt: skip
    assert "to [b]e or" in lines[1]
    assert "to be [o]r" in lines[4]


def test_a_run_is_compared_with_its_best(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = map(str, runs)
    assert "the best model of" in refusal(main, "compare", bad)  # is its last one
    this = tmp_path / "run"
    shutil.copytree(bad, this)
    model, _, _, step = checkpoint.load_model(this)
    checkpoint.save_model(this, model, step + 1)
    capsys.readouterr()
    assert main(["compare", str(this), "--max-new-tokens", "0"]) == 0
    printed = capsys.readouterr().out
    assert f"A is the best of {this}, step {step}:" in printed
    assert f"B is {this}, step {step + 1}:" in printed
    assert "All settings are the same." in printed
    assert main(["compare", good, good, "--best", "--max-new-tokens", "0"]) == 0
    printed = capsys.readouterr().out
    assert "Both are equally surprised" in printed
    assert "They are the same numbers." in printed


def test_the_standard_error_is_that_of_sequences() -> None:
    a = [Seen("x", p, ()) for p in (0.5, 0.25, 0.5, 0.125, 0.5, 0.5, 0.5)]
    b = [Seen("x", 0.5, ()) for _ in a]
    mean, error, count = difference(a, b, 2)
    assert mean == pytest.approx(3 * math.log(2) / 7)
    means = [math.log(2) / 2, math.log(2), 0.0]  # the last character is in no sequence of 2
    assert count == 3
    assert error == pytest.approx(statistics.stdev(means) / math.sqrt(3))
    assert math.isnan(difference(a, b, 7)[1])


@pytest.mark.parametrize(
    ("mean", "error", "words"),
    [
        (-0.1, 0.02, "A is better by 0.1000 ± 0.0200"),
        (0.05, 0.02, "probably"),
        (0.01, 0.02, "less than two standard errors"),
        (0.01, math.nan, "too short for a standard error"),
        (0.0, 0.0, "equally"),
    ],
)
def test_the_sentence(mean: float, error: float, words: str) -> None:
    assert words in verdict(mean, error, 20)


def test_bad_input(runs: tuple[Path, Path], tmp_path: Path) -> None:
    good, bad = map(str, runs)
    (tmp_path / "other.txt").write_text("ÄÖ")
    (tmp_path / "short.txt").write_text("t")
    for arguments, message in (
        ([good, str(tmp_path / "missing")], "holds no checkpoint"),
        ([good, bad, "--characters", "1"], "characters must be at least 2"),
        ([good, bad, "--max-new-tokens", "-1"], "max_new_tokens must be at least 0"),
        ([good, "--best"], "leave out --best"),
        ([good, bad, "--data", str(tmp_path / "other.txt")], "U+00C4"),
        ([good, bad, "--data", str(tmp_path / "short.txt")], "too short"),
        ([good, bad, "--prompt", "Ä"], "U+00C4"),
    ):
        assert message in refusal(main, "compare", *arguments)
