"""The command line: ``python -m lessons``; each command is imported when it runs."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence

from tinygrad_edu.command_line import CommandLine

__all__ = ["COMMANDS", "LINE", "main"]

#: By name, in the order of ``--help``: the file, and what the command does.
COMMANDS = {
    "list": ("run_command", "list all lessons, as without a command"),
    "run": ("run_command", "run a lesson: prose, code, results; pictures become files"),
    "errata": ("run_command", "figures that tutorials quote, and the correct ones"),
    "find": ("finding", "where the course is about something"),
    "by-hand": ("by_hand", "one training step of a small transformer, every product written out"),
    "present": ("present_command", "step through a lesson in the terminal"),
    "export": ("publish_command", "write notebooks"),
    "archive": ("publish_command", "write the course as archives: for the class, and for its teacher"),
    "site": ("publish_command", "write the course as web pages"),
}


LINE = CommandLine(
    "lessons",
    "lessons",
    COMMANDS,
    "Fourteen lessons from one number to a language model. Without a command, list them.",
    "%(prog)s 4 runs Lesson 4.",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, or 2 for words that cannot be used."""
    words = list(sys.argv[1:] if arguments is None else arguments) or ["list"]
    if re.fullmatch(r"[sp]?\d+b?", words[0], re.IGNORECASE):
        words.insert(0, "run")
    # What is typed here: through run.py, or with an activated environment.
    LINE.program = "lesson" if "TINYGRAD_EDU_LAUNCHER" in os.environ else "lessons"
    return LINE.main(words)
