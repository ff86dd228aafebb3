"""``tinygrad-edu``: the installed command; its first word names one of the four command lines.

Unlike ``python -m gpt`` it imports nothing from the current directory, which may hold a gpt.py or random.py.
"""

from __future__ import annotations

import importlib
import os
import sys

from tinygrad_edu import console

__all__ = ["COMMANDS", "main"]

COMMANDS = {"gpt": "gpt.cli", "image": "image.cli", "viz": "viz.cli", "lesson": "lessons.cli"}


def main() -> int:
    """Run the command line that the first word names; returns the exit code, 2 for a word that names none."""
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    if word not in COMMANDS:
        return console.run("tinygrad-edu", lambda: _refuse(word))
    os.environ["TINYGRAD_EDU_LAUNCHER"] = "tinygrad-edu"  # so that "try next" lines can be typed as printed
    sys.argv[1:] = sys.argv[2:]
    return int(importlib.import_module(COMMANDS[word]).main())


def _refuse(word: str) -> int:
    got = repr(word) if word else "nothing"
    print(f"tinygrad-edu: expected gpt, image, viz or lesson, got {got}; try: tinygrad-edu gpt --help", file=sys.stderr)
    return 2
