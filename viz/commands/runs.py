"""The folder of a run: ``gpt`` draws it. Its command line takes the words over, as if they had been given to it."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

__all__ = ["COMMANDS", "hand_over"]

#: The only place of this package that names the other one: a command line that is looked up when it is asked for, so
#: that no drawing depends on a model.
GPT = "gpt.cli"
COMMANDS = ("attention", "next", "curve", "embeddings", "histogram", "compilation")  # the same as gpt's


def hand_over(words: Sequence[str]) -> int:
    """Carry out a command of ``python -m gpt``; returns its exit code. Its errors are those of this command line."""
    return int(importlib.import_module(GPT).LINE.carry_out(words, "viz"))
