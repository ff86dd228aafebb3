"""The command line: ``python -m viz COMMAND``; each command is in a file in ``commands/``, imported when it runs."""

from __future__ import annotations

from collections.abc import Sequence

from tinygrad_edu.command_line import CommandLine

from .commands import runs

__all__ = ["COMMANDS", "LINE", "main"]

#: By name, in the order of ``--help``: the file in ``commands/``, and what the command does.
COMMANDS = {
    "graph": ("graph", "the graph of an expression or of a model's loss, with data and gradients"),
    "flow": ("graph", "where the gradient of an expression or of a model flows, vanishes or explodes"),
    "step": ("step", "step through the backpropagation of an expression"),
    "worksheet": ("step", "exercises in backpropagation to print, with answers"),
    "bug": ("step", "the classic mistakes: buggy code, the first number that goes wrong, the fix"),
    "explore": ("explore", "an expression or a model's loss as one page: boxes open, down to one multiplication"),
    "boundary": ("boundary", "the value of an expression of two inputs at every point of a plane"),
    **{name: ("runs", f"for a trained model: the same as gpt {name}") for name in runs.COMMANDS},
    "play": ("runs", "the playground, one page that computes, trains and reads models: the same as gpt play"),
}


class _CommandLine(CommandLine):
    def carry_out(self, words: Sequence[str], program: str = "") -> int:
        """Carry out one command, or hand it over where it is about a run."""
        return runs.hand_over(words) if words and words[0] in runs.COMMANDS else super().carry_out(words, program)


LINE = _CommandLine("viz", "viz.commands", COMMANDS, "Draw computation graphs and models.")
main = LINE.main
