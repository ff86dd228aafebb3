"""The command line: ``python -m viz``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tinygrad_edu import console
from tinygrad_edu.errors import TinygradEduError

from .commands import boundary, explore, graph, runs, step
from .errors import ExpressionError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the return value is the exit code: 0, or 2 for input that cannot be used."""
    return console.run("viz", lambda: _main(sys.argv[1:] if arguments is None else list(arguments)))


def _main(words: list[str]) -> int:
    try:
        if words and words[0] in runs.COMMANDS:
            runs.hand_over(words)
        else:
            options = _parser().parse_args(words)
            options.run(options)
    except TinygradEduError as error:
        message = str(error) if isinstance(error, ExpressionError) else console.one_line(error)  # it points at a place
        print(f"viz: {message}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"{console.launcher()} viz", description="Draw computation graphs and models."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    graph.add_parsers(commands)
    step.add_parser(commands)
    explore.add_parser(commands)
    boundary.add_parser(commands)
    for name in runs.COMMANDS:
        commands.add_parser(name, help=f"of a trained model: the same as gpt {name}")
    return parser
