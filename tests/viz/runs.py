"""Runs of a few steps on a small text, for the pictures of trained models."""

import random
from pathlib import Path

from gpt.cli import main

WORDS = ["to", "be", "or", "not", "that", "is", "the", "question", "whether", "'tis", "nobler"]


def text() -> str:
    rng = random.Random(0)
    return "".join(rng.choice(WORDS) + rng.choice([" ", " ", ", ", ".\n"]) for _ in range(700))


def train(folder: Path, *, steps: int = 8, layers: int = 2, **settings: object) -> Path:
    """Train into ``folder / "run"`` and return that."""
    source = folder / "text.txt"
    source.write_text(text(), encoding="utf-8")
    words = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
    run = folder / "run"
    code = main(
        [
            "train", "--data", str(source), "--out", str(run), "--preset", "micro", "--no-draw", "--n-layer",
            str(layers), "--n-embd", "4", "--n-head", "2", "--block-size", "6", "--batch-size", "2",
            "--steps", str(steps), "--eval-sequences", "3", "--final-eval-sequences", "5", "--eval-interval", "4",
            "--checkpoint-interval", "4", "--sample-interval", "0", "--warmup-steps", "2", *words,
        ]
    )  # fmt: skip
    assert code == 0
    return run
