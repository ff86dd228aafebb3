"""The command line: ``python -m viz``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from tinygrad_edu.errors import TinygradEduError

from .commands import explore, graph, models, step
from .errors import DrawingError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the return value is the exit code: 0, or 2 for input that cannot be used."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read our output has seen enough
    except OSError as error:
        print(f"viz: cannot write {error.filename or 'the file'}: {error.strerror or error}", file=sys.stderr)
        return 2
    except (DrawingError, TinygradEduError) as error:
        print(f"viz: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nviz: interrupted", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    launcher = os.environ.get("TINYGRAD_EDU_LAUNCHER", "python -m")  # so that examples can be typed as they stand
    parser = argparse.ArgumentParser(prog=f"{launcher} viz", description="Draw computation graphs and models.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    graph.add_parsers(commands)
    step.add_parser(commands)
    explore.add_parser(commands)
    models.add_parsers(commands)
    return parser
