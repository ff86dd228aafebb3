"""``python -m viz boundary``: an expression of two inputs over a plane."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from .. import expressions
from ..charts.chart import Chart
from ..charts.decision_boundary import boundary
from ..errors import DrawingError
from .step import numbers


def add_boundary(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``viz boundary``."""
    command.set_defaults(run=_run)
    command.description = f"{command.description} Prints text."
    command.epilog = 'example: %(prog)s "tanh(3*x - 2*y + b)" b=0.5 -o boundary.html'
    command.add_argument("-o", "--out", metavar="FILE", help="also write it to a file: .svg, .html, .png, .pdf or .txt")
    command.add_argument("expression", help="an expression of two inputs, compared with the threshold")
    command.add_argument("numbers", nargs="*", metavar="NAME=NUMBER", help="a number for each further name")
    command.add_argument("--points", metavar="FILE", help="examples, one per line: two numbers and a label")
    command.add_argument("--threshold", type=float, help="default: halfway between the labels, or 0")
    command.add_argument("--title", help="the title (default: the expression)")
    command.add_argument(
        "--range",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="the range of both inputs (default: it holds the points)",
    )


def _run(options: argparse.Namespace) -> None:
    try:
        chart = _boundary(options)
    except ValueError as error:
        if isinstance(error, DrawingError):
            raise
        raise DrawingError(str(error)) from None
    print(chart)
    if options.out:
        print(f"Wrote {chart.save(options.out)}")


def _boundary(options: argparse.Namespace) -> Chart:
    expression = expressions.parse(options.expression)
    given = numbers(options.numbers)
    free = [name for name in expression.inputs if name not in given]
    if len(free) != 2:
        raise DrawingError(
            f"a plane needs two inputs; this expression has {len(free)} open ({', '.join(free) or 'none'}); "
            f"give every other name a number, such as b=1"
        )
    points, labels = _examples(options.points) if options.points else ([], [])
    bounds = None if options.range is None else (tuple(options.range),) * 2
    return boundary(
        lambda p: expression.compute({**given, **dict(zip(free, p, strict=True))}),
        points,
        labels,
        threshold=0.0 if options.threshold is None and not labels else options.threshold,
        title=options.title or options.expression,
        x=free[0],
        y=free[1],
        bounds=bounds,
    )


def _examples(path: str) -> tuple[list[tuple[float, float]], list[float]]:
    """Read points and labels from a file, one per line: numbers separated by spaces, commas or semicolons."""
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise DrawingError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DrawingError(f"{path} is not a UTF-8 text; save it as UTF-8 first") from None
    points, labels = [], []
    for number, words in _rows(lines):
        try:
            a, b, label = map(float, words)
        except ValueError:
            if number == 1:
                continue  # the names of the columns
            raise DrawingError(
                f"{path}, line {number}: expected two numbers and a label, such as 0.5, 1.2, 1; got {' '.join(words)!r}"
            ) from None
        points.append((a, b))
        labels.append(label)
    if not points:
        raise DrawingError(f"{path} has no points; expected lines of two numbers and a label, such as 0.5, 1.2, 1")
    return points, labels


def _rows(lines: Iterable[str]) -> Iterable[tuple[int, list[str]]]:
    for number, line in enumerate(lines, 1):
        words = line.replace(",", " ").replace(";", " ").split()
        if words:
            yield number, words
