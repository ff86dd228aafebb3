"""Commands on the folder of a run are passed on to ``gpt``, as if its command line had been used."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

__all__ = ["COMMANDS", "hand_over"]

#: The only place in this package that names gpt: its command line is looked up when it is needed, so that no drawing
#: depends on a model.
GPT = "gpt.cli"
COMMANDS = ("attention", "next", "curve", "embeddings", "histogram", "compilation", "play")  # the same as gpt's


def hand_over(words: Sequence[str]) -> int:
    """Carry out a command of ``python -m gpt``; returns its exit code. Its errors are those of this command line."""
    return int(importlib.import_module(GPT).LINE.carry_out(words, "viz"))
