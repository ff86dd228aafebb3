"""A line budget for each package: new code must be worth its lines, or make room by deleting others."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUFFIXES = (".py", ".js", ".css", ".html")
#: Lines of code, comments and pages. Raise one only in a commit that says what the lines are for.
BUDGET = {
    "tinygrad_edu": 4_650,  # without the compiler and training; with tensors, missing packages, two inputs in slots
    "tinygrad_edu/compiler": 13_440,  # with modules for Workers, programs on disk, places of constants, joined kernels
    "tinygrad_edu/training": 1_770,  # what gpt and image share: settings, files of any size, folders, engines
    "gpt": 10_620,  # with GPT-2: its tokens, their files, a forward pass on arrays; threads shared by processes
    "image": 2_640,  # pictures from words: data, five presets, painting, judging, commands, and a report of a run
    "viz": 20_150,  # with an own layout of drawings: lines part where that saves crossings, words that hide nothing
    "viz/play": 8_760,  # with models from files, a race of two Workers, a flow, a painter, dot products at once
    "lessons": 12_350,  # with judged predictions, pages that run, a search; attention, block and GPT in two parts
    "lessons/supplements": 9_150,  # with the same in PyTorch
    "lessons/pictures": 1_680,  # pictures from words: flow, transformer, guidance, words, latent numbers
}


def lines(package: str) -> int:
    """Count the lines of a package, without subpackages that have their own budget."""
    inner = [ROOT / other for other in BUDGET if other.startswith(f"{package}/")]
    files = [file for file in (ROOT / package).rglob("*") if file.suffix in SUFFIXES]
    own = [file for file in files if not any(folder in file.parents for folder in inner)]
    return sum(len(file.read_bytes().splitlines()) for file in own)


@pytest.mark.parametrize("package", BUDGET)
def test_a_package_keeps_to_its_budget(package: str) -> None:
    used = lines(package)
    assert used <= BUDGET[package], f"{package} has {used:,} lines: delete something, or raise its budget with a reason"
    assert used > 0.9 * BUDGET[package], f"{package} has only {used:,} lines: lower its budget"
