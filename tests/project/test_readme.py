"""The README's commands work. (Its Python examples run as doctests: see setup.cfg.)"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line[2:]
    for block in re.findall(r"^```console\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
    if line.startswith("$ ")
]
QUICK = ["--steps", "2", "--eval-sequences", "1", "--final-eval-sequences", "1"]
QUICK += ["--n-embd", "8", "--n-head", "2", "--block-size", "16"]


def test_the_readme_has_its_two_main_commands() -> None:
    assert "python3 run.py" in COMMANDS
    assert "python3 run.py test" in COMMANDS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with a text in which the commands run in order, as a reader would type them."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "my.txt").write_text("ROMEO:\nTo be, or not to be, that is the question.\n" * 60)
    return folder


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("python3 run.py")])
def test_commands_work(command: str, folder: Path) -> None:
    words = shlex.split(command, comments=True)[2:]
    if words[:1] in (["test"], ["lint"]):
        pytest.skip("this is what is running")
    if not words or words[0].startswith("-"):
        words = ["gpt", "train", *words]
    if words[:2] == ["gpt", "train"] and "--resume" not in words:
        # Everything except the size and the text: no test needs a network or trains for minutes.
        words = [*_without(words, "--dataset"), *QUICK]
        words += [] if "--data" in words else ["--data", "my.txt"]
        words += [] if "--out" in words else ["--out", "runs/shakespeare-small"]
    if "--resume" in words:
        words = [*_without(words, "--steps"), "--steps", "4"]
    if words[:2] == ["image", "train"]:
        words += ["--steps", "2", "--width", "8", "--heads", "2", "--layers", "1"]
    if words[:2] == ["image", "eval"]:
        words += ["--count", "20", "--steps", "2"]
    if words[0] == "play":
        words = ["gpt", *words, "--data", "my.txt", "--no-open"]
    if words[0] == "lesson":
        trains = len(words) > 1 and words[1] not in ("export", "errata", "find", "by-hand")
        words = ["lessons", *words[1:], *["--fast"] * trains]
        words += ["--only", "1", "2"] * ("site" in words)  # the other lessons are tested elsewhere
    module = words[1:] if words[0] == "python" else ["-m", *words]
    result = subprocess.run(
        [sys.executable, *module], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    assert result.returncode == 0, result.stderr


def _without(words: list[str], flag: str) -> list[str]:
    if flag not in words:
        return words
    i = words.index(flag)
    return words[:i] + words[i + 2 :]
