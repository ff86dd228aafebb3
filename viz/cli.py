"""The command line: ``python -m viz``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from tinygrad_edu import Value, topological_order
from tinygrad_edu.errors import TinygradEduError

from . import explore_command, expressions, model_commands, step_command, style
from .drawing import DIRECTIONS, PRESETS, STYLES, draw
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
    parser = argparse.ArgumentParser(prog="python -m viz", description="Draw computation graphs and models.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    graph = commands.add_parser(
        "graph",
        help="the graph of an expression, with data and gradients",
        description="Compute an expression, differentiate it, draw it.",
        epilog='example: python -m viz graph "L = (a*b + c) * f" a=2 b=-3 c=10 f=-2 -o L.svg',
    )
    graph.add_argument("expression", help='such as "L = (a*b + c) * f", or several with ; between them')
    graph.add_argument("inputs", nargs="*", metavar="NAME=NUMBER", help="a number for each name in the expression")
    graph.add_argument(
        "-o", "--out", default="graph.svg", metavar="FILE",
        help="what to write: .svg, .png, .pdf, .html or .dot; - prints the DOT text (default: %(default)s)",
    )  # fmt: skip
    graph.add_argument("--forward", action="store_true", help="only compute: leave the gradients open")
    graph.add_argument("--style", choices=STYLES, default="box", help="micrograd: as in the lecture")
    graph.add_argument("--direction", choices=DIRECTIONS, default="LR", help="inputs on the left, on top, or in rows")
    graph.add_argument("--budget", type=int, default=400, metavar="N", help="at most so many boxes (default: 400)")
    graph.add_argument("--depth", type=int, metavar="N", help="only what is at most N boxes away from the result")
    graph.add_argument("--focus", metavar="NAME", help="only what is near this name, --depth steps before and after it")
    graph.add_argument("--preset", choices=PRESETS, help="beamer: large text and strong contrast for a projector")
    graph.set_defaults(run=_graph)
    step_command.add_parser(commands)
    explore_command.add_parser(commands)
    model_commands.add_parsers(commands)
    return parser


def _graph(options: argparse.Namespace) -> None:
    numbers = step_command.numbers(options.inputs)
    result = expressions.compute(options.expression, numbers, label_parts=True)
    if not options.forward:
        result.backward()
    try:
        drawing = draw(
            result,
            budget=options.budget,
            depth=options.depth,
            focus=_named(result, options.focus) if options.focus else (),
            direction=options.direction,
            style=options.style,
            preset=options.preset,
        )
    except ValueError as error:
        raise DrawingError(str(error)) from None
    if options.out == "-":
        sys.stdout.write(drawing.source)
        return
    path = drawing.save(options.out)
    for line in _table(result):
        print(line)
    print(f"wrote {path}")


def _named(result: Value, name: str) -> Value:
    labelled = {value.label: value for value in topological_order(result) if value.label}
    if name not in labelled:
        raise DrawingError(f"nothing in the expression is named {name!r}; there are {', '.join(labelled)}")
    return labelled[name]


def _table(result: Value) -> list[str]:
    """Every named Value with its number and gradient, one per line, columns aligned."""
    named = [value for value in topological_order(result) if value.label]
    rows = [("", "data", "grad"), *((v.label, style.number(v.data), style.gradient(v.grad)) for v in named)]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    return [f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows]
