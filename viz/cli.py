"""The command line: ``python -m viz step "L = (a*b + c) * f" a=2 b=-3 c=10 f=-2``.

Exit codes: 0 done, 2 the request cannot be carried out (the message says why and what to do), 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from tinygrad_edu.errors import TinygradEduError

from . import step_command
from .errors import DrawingError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m viz", description="Pictures of scalar programs, and backpropagation step by step."
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    step_command.add_parser(commands)
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except (DrawingError, TinygradEduError) as error:
        print(f"viz: error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read our output has seen enough
        return 0
    except OSError as error:
        place = f" {error.filename}" if error.filename else ""
        print(f"viz: error: cannot write or read{place}: {error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nviz: interrupted", file=sys.stderr)
        return 130
