"""The command line: ``python -m gpt COMMAND``; each command is a file of its own.

Exit codes: 0 done, 1 training diverged, 2 the request cannot be carried out (the message says why and what to do),
130 interrupted.
"""

from __future__ import annotations

import argparse
import difflib
import functools
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import tinygrad_edu
from tinygrad_edu import console

from .commands import (
    chat,
    compare,
    draw,
    eval,
    exchange,
    find_lr,
    flow,
    info,
    log,
    report,
    sample,
    sweep,
    text,
    timemachine,
    train,
)
from .commands.shared import launcher
from .errors import GPTError
from .train import DivergedError

__all__ = ["main"]

_COMMANDS = (  # in the order of ``--help``
    train.add_parser,
    find_lr.add_parser,
    sweep.add_parser,
    sample.add_parser,
    chat.add_parser,
    eval.add_parser,
    compare.add_parser,
    info.add_parser,
    text.add_parser,
    draw.add_parser,
    flow.add_parser,
    timemachine.add_parser,
    report.add_parser,
    exchange.add_parsers,
    log.add_parser,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    return console.run("gpt", lambda: _main(arguments), "error: cannot write or read")


def _main(arguments: Sequence[str] | None) -> int:
    options, unknown = _parser().parse_known_args(arguments)
    if unknown:
        options.parser.error(_unknown(unknown, options.parser))
    try:
        return int(options.run(options))
    except DivergedError as error:
        print(f"gpt: {error}", file=sys.stderr)
        return 1
    except GPTError as error:
        print(f"gpt: error: {console.one_line(error)}", file=sys.stderr)
        return 2


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and where to read on, instead of a page of flags."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"gpt: error: {console.one_line(message)}; see {self.prog} --help\n")


class _Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the line breaks of descriptions; shows a default where it says something."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None else super()._get_help_string(action)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=f"{launcher()} gpt",
        description="Train a character-level GPT made of scalars, and write text with it.",
        epilog=f"Each command explains itself: {launcher()} gpt train --help",
        formatter_class=_Help,
    )
    parser.add_argument("--version", action="version", version=f"tinygrad_edu {tinygrad_edu.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command(functools.partial(_add, commands))
    return parser


def _add(commands: Any, name: str, about: str, run: Any, description: str | None = None) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=about, description=description or f"{about[0].upper()}{about[1:]}.", formatter_class=_Help
    )
    command.set_defaults(run=run, parser=command)
    return command


def _unknown(words: Sequence[str], command: argparse.ArgumentParser) -> str:
    """What nobody knows, and what may have been meant."""
    known = command._option_string_actions  # argparse has no public list of them
    near = [match for word in words for match in difflib.get_close_matches(word.partition("=")[0], known, 1)]
    return f"unrecognized arguments: {' '.join(words)}" + (f"; did you mean {' '.join(near)}?" if near else "")
