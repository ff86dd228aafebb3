"""The command line: ``python -m lessons``."""

from __future__ import annotations

import argparse
import os
import re
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from tinygrad_edu import console

from . import errata, present_command, publish_command, script
from .cells import load, load_all
from .errors import LessonError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the return value is the exit code: 0, or 2 for words that cannot be used."""
    return console.run("lessons", lambda: _main(list(sys.argv[1:] if arguments is None else arguments)))


def _main(words: list[str]) -> int:
    if words and re.fullmatch(r"s?\d+", words[0], re.IGNORECASE):
        words.insert(0, "run")
    options = _parser().parse_args(words)
    try:
        options.run(options)
    except LessonError as error:
        print(f"lessons: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_prog(),
        description="Ten lessons from one number to a language model. Without a command they are listed.",
        epilog="%(prog)s 4 runs the fourth lesson.",
    )
    parser.set_defaults(run=_list)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    run = commands.add_parser("run", help="run a lesson: prose, code, results", description=script.__doc__)
    run.add_argument("lesson", help="its number, or s and a number for a supplement")
    run.add_argument("--fast", action="store_true", help="train less, to see quickly that everything works")
    run.add_argument("--solutions", action="store_true", help="run the solutions of the exercises too")
    run.add_argument("--out", default="lessons-out", metavar="DIR", help="where pictures go (default: %(default)s)")
    run.set_defaults(run=_run)
    quoted = commands.add_parser("errata", help="figures that tutorials quote, and what comes out")
    quoted.set_defaults(run=lambda _: print(errata.as_text()))
    present_command.add_parser(commands)
    publish_command.add_parsers(commands)
    return parser


def _prog() -> str:
    """What a person types here: through run.py, or with an activated environment."""
    launcher = os.environ.get("TINYGRAD_EDU_LAUNCHER")
    return f"{launcher} lesson" if launcher else "python -m lessons"


def _list(_: argparse.Namespace) -> None:
    for lesson in load_all():
        print(f"{lesson.name:>3}  {lesson.title.partition(': ')[2] or lesson.title}")
        print(textwrap.indent(script.plain(lesson.question), "     "))
    print(f"\n{_prog()} 1 runs the first; {_prog()} --help shows what else there is")


def _run(options: argparse.Namespace) -> None:
    script.run(load(options.lesson), Path(options.out), fast=options.fast, solutions=options.solutions)
