"""``python -m viz graph`` and ``flow``: for an expression, or for the loss of a trained model."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinygrad_edu import Value, topological_order
from tinygrad_edu.calls import CallRecord

from .. import expressions, style
from ..charts.flow import flow
from ..drawing import DIRECTIONS, PRESETS, STYLES, THEMES, draw
from ..errors import DrawingError, ExpressionError
from ..rendering.dot import Drawing
from . import runs, step


def add_graph(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``viz graph``."""
    command.set_defaults(run=_graph)
    command.description = (
        "Compute an expression, differentiate it, draw it. For the folder of a trained model it is the same as "
        "gpt draw."
    )
    command.epilog = 'example: %(prog)s "L = (a*b + c) * f" a=2 b=-3 c=10 f=-2 -o L.svg'
    _add_subject(command)
    command.add_argument(
        "-o", "--out", default="graph.svg", metavar="FILE",
        help="what to write: .svg, .png, .pdf, .html, .dot, .mmd (Mermaid), .d2, .tex, .graphml or .json; - prints DOT",
    )  # fmt: skip
    command.add_argument("--forward", action="store_true", help="only compute an expression, without gradients")
    command.add_argument(
        "--budget", type=int, metavar="N", help="at most N boxes (default: as many as can be read on a screen)"
    )
    drawing_flags(command)


def drawing_flags(command: argparse.ArgumentParser) -> None:
    """Add the flags of :func:`drawn`."""
    command.add_argument("--depth", type=int, metavar="N", help="levels of modules that are open; steps around --focus")
    command.add_argument(
        "--focus", metavar="NAME",
        help="only what is near this name, --depth steps before and after it; or a module to show in detail",
    )  # fmt: skip
    for name, words in (
        ("expand", "show open"), ("collapse", "show closed"), ("hide", "leave out these parameters and inputs"),
    ):  # fmt: skip
        command.add_argument(f"--{name}", action="append", default=[], metavar="NAME", help=f"{words}; * for anything")
    command.add_argument("--theme", choices=THEMES, default="auto", help="auto: as the screen that shows it")
    command.add_argument("--title", default="", help="a line on top")
    command.add_argument("--digits", type=int, default=4, metavar="N", help="significant digits (default: 4)")
    command.add_argument("--style", choices=STYLES, default="box", help="micrograd: as in the lecture")
    command.add_argument("--preset", choices=PRESETS, help="beamer: large text and strong contrast for a projector")
    command.add_argument(
        "--direction", choices=DIRECTIONS, help="where inputs are, or in rows (default: what is larger on a screen)"
    )


def drawn(options: argparse.Namespace, value: Value, focus: Any, calls: CallRecord | None = None) -> Drawing:
    """Draw a result as the flags say; raises DrawingError for what they cannot be."""
    try:
        return draw(
            value,
            calls=calls,
            budget=options.budget,
            depth=options.depth,
            focus=focus if options.focus else (),
            expand=options.expand,
            collapse=options.collapse,
            hide=options.hide,
            direction=options.direction,
            theme=options.theme,
            title=options.title,
            digits=options.digits,
            style=options.style,
            preset=options.preset,
        )
    except ValueError as error:
        raise DrawingError(str(error)) from None


def add_flow(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``viz flow``."""
    command.set_defaults(run=_flow)
    command.description = (
        "Show the gradients and what is wrong with them. Prints text. For the folder of a trained model it is the "
        "same as gpt flow."
    )
    command.epilog = "example: %(prog)s runs/my-run -o flow.html"
    _add_subject(command)
    command.add_argument("--over-time", action="store_true", help="for a run: how they changed during training")
    command.add_argument("-o", "--out", metavar="FILE", help="also write it to a file: .svg, .html, .png, .pdf or .txt")


def _add_subject(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "subject", metavar="EXPRESSION|RUN",
        help='such as "L = (a*b + c) * f", or several separated by ;, or the folder of a trained model',
    )  # fmt: skip
    command.add_argument("inputs", nargs="*", metavar="NAME=NUMBER", help="a number for each name in the expression")
    command.add_argument("--text", help="for a run: the text to read (default: its validation text)")
    command.add_argument(
        "--best", action="store_true", help="for a run: the parameters with the lowest validation loss"
    )


def _expression(options: argparse.Namespace, forward: bool = False) -> tuple[Value, dict[str, Value]]:
    """Compute the result with its gradients; returns it with the Values that have a name."""
    if options.text is not None or options.best:
        raise DrawingError(f"--text and --best are for the folder of a run; there is no folder {options.subject}")
    try:
        numbers = step.numbers(options.inputs)
        result = expressions.compute(options.subject, numbers, label_parts=True)
    except ExpressionError as error:
        if not options.inputs and (os.sep in options.subject or "." in options.subject):
            raise ExpressionError(f"{error}\n(read as an expression: there is no folder {options.subject})") from None
        raise
    if not forward:
        result.backward()
    return result, {value.label: value for value in topological_order(result) if value.label}


def _is_folder(options: argparse.Namespace) -> bool:
    return not options.inputs and Path(options.subject).is_dir()


def _graph(options: argparse.Namespace) -> int:
    if _is_folder(options):
        if options.forward:
            raise DrawingError("--forward is for expressions; a model is drawn with its gradients")
        return runs.hand_over(_words(options, "draw", options.out))
    result, names = _expression(options, options.forward)
    if options.focus and options.focus not in names:
        raise DrawingError(f"nothing in the expression is named {options.focus!r}; there are {', '.join(names)}")
    drawing = drawn(options, result, names.get(options.focus))
    if options.out == "-":
        sys.stdout.write(drawing.source)
        return 0
    path = drawing.save(options.out)
    for line in _table(names):
        print(line)
    print(f"Wrote {path}")
    return 0


def _words(options: argparse.Namespace, command: str, out: str) -> list[str]:
    """The words with which gpt is called for the folder of a run: the same flags, and the default file of this
    command."""
    names = ("text", "budget", "depth", "focus", "style", "direction", "preset", "theme", "title", "digits")
    given = {name: getattr(options, name, None) for name in names}
    flags = [f"--{name}={value}" for name, value in given.items() if value is not None]
    flags += [f"--{name}={value}" for name in ("expand", "collapse", "hide") for value in getattr(options, name, ())]
    flags += [f"--{name.replace('_', '-')}" for name in ("best", "over_time") if getattr(options, name, False)]
    return [command, f"--out={out}", *flags, "--", options.subject]


def _table(names: Mapping[str, Value]) -> list[str]:
    """List every named Value with its number and gradient, one per line, in columns."""
    rows = [("", "data", "grad")]
    rows += [(name, style.number(v.data), style.gradient(v.grad)) for name, v in names.items()]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    return [f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows]


def _flow(options: argparse.Namespace) -> int:
    if _is_folder(options):
        return runs.hand_over(_words(options, "flow", options.out or "-"))
    if options.over_time:
        raise DrawingError(f"--over-time is for the folder of a run; there is no folder {options.subject}")
    chart = flow(_expression(options)[0])
    print(chart)
    if options.out:
        print(f"Wrote {chart.save(options.out)}")
    return 0
