"""``python -m lessons``, ``python -m lessons 4`` and ``python -m lessons errata``: what is read in the terminal."""

from __future__ import annotations

import argparse
import os
import sys
import textwrap
from pathlib import Path

from . import errata, script
from .cells import load, load_all

__all__ = ["add_errata", "add_list", "add_run"]


def add_list(command: argparse.ArgumentParser) -> None:
    """Set up ``lessons list``, which has no arguments."""
    command.set_defaults(run=_list)
    command.description = (
        "Every lesson with the question that it answers: those in a row, the supplements, and those about pictures."
    )
    command.epilog = "example: %(prog)s"


def add_run(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``lessons run``."""
    command.set_defaults(run=_run)
    command.add_argument("lesson", help="its number, s and a number for a supplement, p and a number for pictures")
    command.add_argument("--fast", action="store_true", help="train less, to check quickly that everything works")
    command.add_argument("--solutions", action="store_true", help="also run the solutions of the exercises")
    command.add_argument("--no-stop", action="store_true", help="do not wait for predictions")
    command.add_argument("--out", default="lessons-out", metavar="DIR", help="folder for pictures")


def add_errata(command: argparse.ArgumentParser) -> None:
    """Set up ``lessons errata``, which has no arguments."""
    command.set_defaults(run=lambda _: print(errata.as_text()))
    command.description = (
        "Figures that tutorials about neural networks copy from each other, such as the number of parameters of a "
        "model or the loss of an untrained one, each recomputed with this library: what is quoted, and what is true. "
        "Those that are right as quoted come last. The page errata.html of the course also shows the code of each."
    )
    command.epilog = "example: %(prog)s"


def _list(options: argparse.Namespace) -> None:
    for lesson in load_all():
        print(f"{lesson.name:>3}  {lesson.title.partition(': ')[2] or lesson.title}")
        print(textwrap.indent(script.plain(lesson.question, script.WIDTH - 5), "     "))
    program = options.parser.prog.removesuffix(" list")
    print(f"\n{program} 1 runs the first.\n{program} --help shows what else there is.")


def _run(options: argparse.Namespace) -> None:
    ask = None if options.no_stop or not _somebody_is_there() else _line
    lesson, out = load(options.lesson), Path(options.out)
    left = script.run(lesson, out, fast=options.fast, solutions=options.solutions, ask=ask)
    if left is not None:
        program = options.parser.prog.removesuffix(" run")
        print(f"\nYou have left the lesson. To go on here: {program} present {lesson.name} --from {left}")


def _somebody_is_there() -> bool:
    """Whether questions can be answered: not in a pipe, nor where a program runs programs (CI)."""
    return sys.stdin.isatty() and sys.stdout.isatty() and not os.environ.get("CI")


def _line(prompt: str) -> str:
    print(prompt, end="", flush=True)
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.strip()
