"""What several commands share."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from tinygrad_edu import console

from ..sample import GUIDANCE, STEPS


def command_line(words: str, folder: Path) -> str:
    """Return a command as it is typed here: through run.py, or with an activated environment."""
    return f"{console.launcher()} image {words} {shlex.quote(str(folder))}"


def painting_flags(command: argparse.ArgumentParser) -> None:
    """Add ``--steps``, ``--guidance`` and ``--seed``."""
    command.add_argument("--steps", type=int, default=STEPS, metavar="N", help="steps from noise to picture")
    command.add_argument(
        "--guidance", type=float, default=GUIDANCE, metavar="X",
        help="how strongly to follow what it is told: 1 as trained, above 1 more clearly, 0 not at all",
    )  # fmt: skip
    command.add_argument("--seed", type=int, default=0, metavar="S", help="another seed, other noise")
