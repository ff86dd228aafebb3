"""Help and lists fit a terminal of 80 columns, wrapped between words."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import gpt.cli
import image.cli
import lessons.cli
import lessons.command
import run
import viz.cli
from viz.stepping.buglab import CASES

LINES = {"gpt": gpt.cli, "image": image.cli, "viz": viz.cli, "lesson": lessons.cli}
HELP = [(name, *words) for name, line in LINES.items() for words in [(), *((command,) for command in line.COMMANDS)]]


def told(main: Callable[..., object], *arguments: object) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        main(*arguments)
    return out.getvalue()


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize("launcher", ["python3 run.py", "tinygrad-edu"])
@pytest.mark.parametrize("words", HELP, ids=" ".join)
def test_every_help_fits(words: tuple[str, ...], launcher: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYGRAD_EDU_LAUNCHER", launcher)
    text = told(LINES[words[0]].main, [*words[1:], "--help"])
    assert text.startswith(f"usage: {launcher} {' '.join(words)}")
    assert [line for line in text.splitlines() if len(line) > 80] == []
    assert len(text.splitlines()) > 7, "it says nothing about the command"


@pytest.mark.parametrize("words", [["list"], ["errata"], ["find", "attention"]], ids=" ".join)
def test_lists_of_the_course_fit(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYGRAD_EDU_LAUNCHER", "python3 run.py")
    lines = told(lessons.cli.main, words).splitlines()
    assert len(lines) > 3
    assert [line for line in lines if len(line) > 80] == []


def test_the_other_lists_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYGRAD_EDU_LAUNCHER", "python3 run.py")
    monkeypatch.setattr(sys, "argv", ["tinygrad-edu", "--help"])
    for text in (told(viz.cli.main, ["bug"]), told(run.main, ["--help"]), told(lessons.command.main)):
        assert len(text.splitlines()) > 3
        assert [line for line in text.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("name", CASES)
def test_the_classic_bugs_fit(name: str) -> None:
    assert [line for line in told(viz.cli.main, ["bug", name]).splitlines() if len(line) > 80] == []


@pytest.fixture(scope="module")
def run_of_two_blocks(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Train for a few steps; the parameters have the long names of any GPT."""
    folder = tmp_path_factory.mktemp("columns")
    (folder / "text.txt").write_text("to be, or not to be: that is the question.\n" * 40)
    size = "--preset micro --n-layer 2 --n-embd 4 --n-head 2 --block-size 6 --no-draw"
    size += " --steps 12 --warmup-steps 2 --eval-interval 1 --eval-sequences 4 --keep 3"
    words = ["train", "--data", str(folder / "text.txt"), *size.split(), "--out", str(folder / "run")]
    assert gpt.cli.main(words) == 0
    return str(folder / "run")


@pytest.mark.parametrize(
    "words",
    ["flow", "flow --over-time", "histogram", "compilation", "next --top-k 5 --top-p 0.9 --min-p 0.01", "attention"],
)
def test_charts_in_words_fit(run_of_two_blocks: str, words: str, tmp_path: Path) -> None:
    command, *more = words.split()
    out = ["--out", str(tmp_path / "chart.txt")]
    lines = told(gpt.cli.main, [command, run_of_two_blocks, *more, *out]).splitlines()
    assert len(lines) > 8
    assert [line for line in lines if len(line) > 80 and not line.startswith("Wrote")] == []


def test_the_report_on_a_text_fits(run_of_two_blocks: str) -> None:
    text = str(Path(run_of_two_blocks).parent / "text.txt")
    lines = told(gpt.cli.main, ["text", text]).splitlines()
    tables = [line for line in lines if line.startswith(" ")]
    assert len(tables) > 3
    assert [line for line in tables if len(line) > 80] == []  # a terminal wraps the sentences


def test_both_launchers_name_every_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["tinygrad-edu", "--help"])
    text = told(lessons.command.main)
    assert all(f"\n  {word} " in text for word in (*lessons.command.COMMANDS, "completion"))
    text = told(run.main, ["--help"])
    words = ("gpt", "image", "viz", "play", "lesson", "course.zip", "python", "add", "test", "lint", "docs", "site")
    assert all(f"run.py {word} " in text for word in words)
