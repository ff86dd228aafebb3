"""``python -m viz graph`` and ``flow``: of an expression, or of the loss of a trained model."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tinygrad_edu import Value, topological_order
from tinygrad_edu.calls import CallRecord

from .. import expressions, style
from ..charts.chart import Chart
from ..charts.flow import flow
from ..charts.flow_over import flow_over
from ..drawing import DIRECTIONS, PRESETS, STYLES, draw
from ..errors import DrawingError, ExpressionError
from . import checkpoint, step

_BOXES, _BOXES_OF_A_MODEL = 400, 40  # of an expression; of a model as many as fit on a screen and can be read


def add_parsers(commands: Any) -> None:
    """Add the commands to those of ``python -m viz``."""
    graph = commands.add_parser(
        "graph",
        help="the graph of an expression or of a model's loss, with data and gradients",
        description="Compute an expression, or the loss of a trained model on a text; differentiate it, draw it.",
        epilog='example: %(prog)s "L = (a*b + c) * f" a=2 b=-3 c=10 f=-2 -o L.svg',
    )
    _add_subject(graph)
    graph.add_argument(
        "-o", "--out", default="graph.svg", metavar="FILE",
        help="what to write: .svg, .png, .pdf, .html or .dot; - prints the DOT text (default: %(default)s)",
    )  # fmt: skip
    graph.add_argument("--forward", action="store_true", help="only compute an expression: leave the gradients open")
    graph.add_argument("--style", choices=STYLES, default="box", help="micrograd: as in the lecture")
    graph.add_argument(
        "--direction", choices=DIRECTIONS,
        help="inputs on the left, on top, or in rows (default: LR, of a model wrapped)",
    )  # fmt: skip
    graph.add_argument(
        "--budget", type=int, metavar="N", help=f"at most N boxes (default: {_BOXES}, of a model {_BOXES_OF_A_MODEL})"
    )
    graph.add_argument("--depth", type=int, metavar="N", help="only what is at most N boxes away from the result")
    graph.add_argument(
        "--focus", metavar="NAME",
        help="only what is near this name, --depth steps before and after it; or a module's path: look closely there",
    )  # fmt: skip
    graph.add_argument("--preset", choices=PRESETS, help="beamer: large text and strong contrast for a projector")
    graph.set_defaults(run=_graph)

    command = commands.add_parser(
        "flow",
        help="where the gradient of an expression or of a model flows, dies or explodes",
        description="The gradients per parameter, module and head, and what is wrong with them. Printed as text.",
        epilog="example: %(prog)s runs/my-run -o flow.html",
    )
    _add_subject(command)
    command.add_argument("--over-time", action="store_true", help="of a run: how they changed while it was trained")
    command.add_argument("-o", "--out", metavar="FILE", help="write it as well: .svg, .html, .png, .pdf or .txt")
    command.set_defaults(run=_flow)


def _add_subject(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "subject", metavar="EXPRESSION|RUN",
        help='such as "L = (a*b + c) * f", or several with ; between them; or the folder of a trained model',
    )  # fmt: skip
    command.add_argument("inputs", nargs="*", metavar="NAME=NUMBER", help="a number for each name in the expression")
    command.add_argument("--text", help="of a run: what the model reads (default: its validation text)")
    command.add_argument("--best", action="store_true", help="of a run: the parameters of the lowest validation loss")


@dataclass(frozen=True)
class _Subject:
    """What is drawn.

    Attributes:
        result: with gradients.
        names: of the Values that can be pointed at.
        calls: what was called; of a model.
        run: the folder it is from; of a model.
        words: a line about it; of a model.
    """

    result: Value
    names: Mapping[str, Value]
    calls: CallRecord | None = None
    run: checkpoint.Checkpoint | None = None
    words: str = ""


def _subject(options: argparse.Namespace, forward: bool = False) -> _Subject:
    if _is_folder(options):
        if forward:
            raise DrawingError("--forward is for expressions; a model is drawn with its gradients")
        run = checkpoint.load(options.subject, best=options.best)
        result, calls, length = run.recorded(run.tokens(options.text))
        words = f"Loss of step {run.step} on {length} characters: {style.number(result.data)}"
        return _Subject(result, {name: value for value, name in calls.names.items()}, calls, run, words)
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
    return _Subject(result, {value.label: value for value in topological_order(result) if value.label})


def _is_folder(options: argparse.Namespace) -> bool:
    return not options.inputs and Path(options.subject).is_dir()


def _graph(options: argparse.Namespace) -> None:
    subject = _subject(options, options.forward)
    model = subject.run is not None
    budget = (_BOXES_OF_A_MODEL if model else _BOXES) if options.budget is None else options.budget
    try:
        drawing = draw(
            subject.result,
            calls=subject.calls,
            budget=budget,
            depth=options.depth,
            focus=_focus(subject, options.focus) if options.focus else (),
            direction=options.direction or ("wrapped" if model and not options.focus else "LR"),
            style=options.style,
            preset=options.preset,
        )
    except ValueError as error:
        raise DrawingError(str(error)) from None
    if options.out == "-":
        sys.stdout.write(drawing.source)
        return
    path = drawing.save(options.out)
    for line in [subject.words] if model else _table(subject):
        print(line)
    print(f"wrote {path}")


def _focus(subject: _Subject, name: str) -> Value | str:
    """A Value by its name, or the path of a module, which ``draw`` knows."""
    if name in subject.names or subject.calls is None:
        if name not in subject.names:
            raise DrawingError(f"nothing in the expression is named {name!r}; there are {', '.join(subject.names)}")
        return subject.names[name]
    return name


def _table(subject: _Subject) -> list[str]:
    """Every named Value with its number and gradient, one per line, columns aligned."""
    rows = [("", "data", "grad")]
    rows += [(name, style.number(v.data), style.gradient(v.grad)) for name, v in subject.names.items()]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    return [f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows]


def _flow(options: argparse.Namespace) -> None:
    chart = _over_time(options) if options.over_time else _now(options)
    print(chart)
    if options.out:
        print(f"wrote {chart.save(options.out)}")


def _now(options: argparse.Namespace) -> Chart:
    subject = _subject(options)
    if subject.words:
        print(subject.words)
    measured = flow(subject.result, calls=subject.calls)
    if subject.run is None:
        return measured
    updates = {line.name: line.update for line in subject.run.flow().get(subject.run.step, [])}
    return replace(measured, parameters=[replace(line, update=updates.get(line.name)) for line in measured.parameters])


def _over_time(options: argparse.Namespace) -> Chart:
    if not _is_folder(options):
        raise DrawingError(f"--over-time is for the folder of a run; there is no folder {options.subject}")
    run = checkpoint.load(options.subject)
    measured = run.flow()
    if not measured:
        raise DrawingError(f"{run.folder} has measured no gradients yet; train some steps")
    return flow_over(measured, title=f"Gradient flow in {run.folder.resolve().name}")
