"""The command line: ``python -m image COMMAND``; each command is a file in ``commands/``, imported when it runs."""

from __future__ import annotations

from tinygrad_edu.command_line import CommandLine

__all__ = ["COMMANDS", "LINE", "main"]

#: By name, in the order of ``--help``: the file in ``commands/``, and what the command does.
COMMANDS = {
    "train": ("train", "train a painter and save it"),
    "sample": ("sample", "paint with a trained model"),
    "play": ("play", "make a page in which a trained model paints while you look"),
    "eval": ("eval", "measure whether it paints what it is asked for, and whether it copies"),
    "report": ("report", "write the report of a run: one page with everything about it"),
    "draw": ("draw", "draw the graph of a trained model's loss, with gradients"),
    "flow": ("draw", "show where the gradient flows, vanishes or explodes"),
    "info": ("info", "show what the folder of a run holds"),
}
LINE = CommandLine(
    "image",
    "image.commands",
    COMMANDS,
    "Train a painter made of scalars, and paint digits and shapes with it.",
    "Help on a command: %(prog)s train --help",
)
main = LINE.main
