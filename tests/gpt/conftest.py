"""A text and a model small enough to train in a second."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from gpt.cli import main


@pytest.fixture(scope="session")
def text() -> str:
    rng = random.Random(0)
    words = ["to", "be", "or", "not", "that", "is", "the", "question", "whether", "'tis", "nobler"]
    return "".join(rng.choice(words) + rng.choice([" ", " ", ", ", ".\n"]) for _ in range(700))


@pytest.fixture
def text_file(text: str, tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(text, encoding="utf-8")
    return path


TINY = ["--preset", "micro", "--n-embd", "4", "--n-head", "2", "--block-size", "6", "--batch-size", "2", "--no-draw"]
QUICK = ["--eval-sequences", "3", "--final-eval-sequences", "5", "--eval-interval", "4", "--checkpoint-interval", "4"]


@pytest.fixture
def train_arguments(text_file: Path) -> list[str]:
    return ["train", "--data", str(text_file), *TINY, *QUICK, "--sample-interval", "0", "--warmup-steps", "2"]


@pytest.fixture(scope="session")
def train_in(text: str) -> Callable[..., Path]:
    """Train ``folder/run`` on ``folder/text.txt``, for runs that several tests read and none changes."""

    def make(folder: Path, *arguments: str, name: str = "run") -> Path:
        (folder / "text.txt").write_text(text, encoding="utf-8")
        quick = [*TINY, *QUICK, "--sample-interval", "0", "--warmup-steps", "2"]
        out = folder / name
        assert main(["train", "--data", str(folder / "text.txt"), *quick, *arguments, "--out", str(out)]) == 0
        return out

    return make
