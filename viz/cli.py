"""The command line: ``python -m viz``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tinygrad_edu import console
from tinygrad_edu.errors import TinygradEduError

from .commands import explore, graph, models, step
from .errors import DrawingError, ExpressionError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the return value is the exit code: 0, or 2 for input that cannot be used."""
    return console.run("viz", lambda: _main(arguments))


def _main(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (DrawingError, TinygradEduError) as error:
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
    models.add_parsers(commands)
    return parser
