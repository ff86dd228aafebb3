"""``python -m viz boundary`` and its like: pictures of models, one line each."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tinygrad_edu import console

from .. import expressions, style
from ..charts.attention import attention
from ..charts.boundary import boundary
from ..charts.chart import Chart
from ..charts.curve import loss_curve
from ..charts.embeddings import embeddings
from ..charts.histogram import SCALES, WHAT, histogram
from ..charts.next_characters import next_characters
from ..errors import DrawingError
from ..pages.compilation import compilation
from . import checkpoint
from .step import numbers


def add_parsers(commands: Any) -> None:
    """Add the commands to those of ``python -m viz``."""
    command = _command(
        commands, "boundary", _boundary,
        "what an expression of two inputs says about every point of a plane",
        '%(prog)s "tanh(3*x - 2*y + b)" b=0.5 -o boundary.html',
    )  # fmt: skip
    command.add_argument("expression", help="of two inputs, such as x and y; it is compared with the threshold")
    command.add_argument("numbers", nargs="*", metavar="NAME=NUMBER", help="a number for each further name")
    command.add_argument("--points", metavar="FILE", help="examples, a line each: two numbers and a label")
    command.add_argument("--threshold", type=float, help="halfway between the labels by default, or 0")
    command.add_argument("--title", help="on top; the expression by default")
    command.add_argument(
        "--range", type=float, nargs=2, metavar=("LOW", "HIGH"), help="of both inputs (default: what holds the points)"
    )

    command = _command(
        commands, "attention", _attention, "what each head of a trained model looks at",
        '%(prog)s runs/my-run --text "To be, or" -o attention.html',
    )  # fmt: skip
    _add_run(command)
    _add_text(command, "show at most so many positions (default: 12, or as much of --text as the context holds)")
    command = _command(
        commands, "next", _next, "which characters a trained model expects next, and which of them sampling cuts",
        '%(prog)s runs/my-run --text "To b" --temperature 0.7 --top-p 0.9 -o next.svg',
    )  # fmt: skip
    _add_run(command)
    command.add_argument("--text", help="what goes before (default: the beginning of the validation text)")
    command.add_argument("--temperature", type=float, metavar="T", help="below 1 bolder, above 1 more varied")
    command.add_argument("--top-k", type=int, metavar="K", help="keep the K likeliest")
    command.add_argument("--top-p", type=float, metavar="P", help="keep the likeliest until their sum reaches P")
    command.add_argument("--min-p", type=float, metavar="P", help="keep those of at least P times the likeliest")
    command.add_argument("--most", type=int, default=12, metavar="N", help="show so many singly (default: 12)")
    command = _command(
        commands, "curve", _curve, "how the loss of trainings fell, beside what counting alone reaches",
        "%(prog)s runs/one runs/two -o loss.svg",
    )  # fmt: skip
    command.add_argument("folders", nargs="+", metavar="RUN", help="folders that gpt train has written")
    command.add_argument(
        "--no-ladder", action="store_true", help="leave out what counting reaches, which is counted anew"
    )
    command = _command(
        commands, "embeddings", _embeddings, "the vectors of characters, in the plane in which they differ most",
        "%(prog)s runs/my-run -o embeddings.html",
    )  # fmt: skip
    _add_run(command)
    command.add_argument("--positions", action="store_true", help="the vectors of positions instead of characters")
    command = _command(
        commands, "histogram", _histogram, "how the weights and the gradients of a trained model are distributed",
        "%(prog)s runs/my-run --of modules -o histogram.svg",
    )  # fmt: skip
    _add_run(command)
    _add_text(command, "compute the loss on at most so many characters (default: the context)")
    command.add_argument("--of", choices=WHAT, default=WHAT[0], help="of what (default: %(default)s)")
    command.add_argument("--scale", choices=SCALES, default=SCALES[0], help="an axis for each, or one for all")
    command = _command(
        commands, "compilation", _compilation, "which scalars of a model's loss became which array instruction",
        "%(prog)s runs/my-run --focus transformer.h.0.attn -o program.html",
    )  # fmt: skip
    _add_run(command)
    _add_text(command, "compile the loss of so many characters (default: 4)")
    command.add_argument("--focus", default="", metavar="MODULE", help="only this module and what is inside it")


def _add_run(command: argparse.ArgumentParser) -> None:
    command.add_argument("folder", metavar="RUN", help="a folder that gpt train has written")
    command.add_argument("--best", action="store_true", help="the parameters of the lowest validation loss")


def _add_text(command: argparse.ArgumentParser, length: str) -> None:
    command.add_argument("--text", help="what the model reads (default: the beginning of its validation text)")
    command.add_argument("--length", type=int, metavar="N", help=length)


def _command(
    commands: Any, name: str, make: Callable[[argparse.Namespace], Chart], help: str, example: str
) -> argparse.ArgumentParser:
    """A command that makes a chart, prints it as text, and writes it if it is told where."""

    def run(options: argparse.Namespace) -> None:
        try:
            chart = make(options)
        except ValueError as error:
            if isinstance(error, DrawingError):
                raise
            raise DrawingError(str(error)) from None
        print(chart)
        if options.out:
            print(f"wrote {chart.save(options.out)}")

    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=help, description=f"{help[0].upper()}{help[1:]}. Printed as text.", epilog=f"example: {example}"
    )
    parser.add_argument("-o", "--out", metavar="FILE", help="write it as well: .svg, .html, .png, .pdf or .txt")
    parser.set_defaults(run=run)
    return parser


def _attention(options: argparse.Namespace) -> Chart:
    run = checkpoint.load(options.folder, best=options.best)
    context = run.config.model.block_size
    length = options.length or (context if options.text is not None else min(12, context))
    if length > context:
        raise DrawingError(f"--length must be at most {context}, the context of this model; got {length}")
    tokens = run.tokens(options.text, length)
    return attention(run.called(tokens), run.characters(tokens), title=f"Attention after step {run.step}")


def _embeddings(options: argparse.Namespace) -> Chart:
    run = checkpoint.load(options.folder, best=options.best)
    vectors = run.embeddings(positions=options.positions)
    what = "positions" if options.positions else "characters"
    names = None if options.positions else run.tokenizer.alphabet
    return embeddings(vectors, names, title=f"Embeddings of {what} after step {run.step}")


def _histogram(options: argparse.Namespace) -> Chart:
    run = checkpoint.load(options.folder, best=options.best)
    _, calls, count = run.recorded(run.tokens(options.text, options.length and options.length + 1))
    words = f"{count} character{'s' if count > 1 else ''}"
    title = f"Distributions after step {run.step}; the gradients are of one loss on {words}"
    return histogram(calls, of=options.of, scale=options.scale, title=title)


def _compilation(options: argparse.Namespace) -> Chart:
    run = checkpoint.load(options.folder, best=options.best)
    length = min(options.length or 4, run.config.model.block_size)
    loss, calls, count = run.recorded(run.tokens(options.text, length + 1))
    compiled = run.compiled(run.tokens(options.text, count + 1))
    return compilation(compiled, loss, calls=calls, focus=options.focus)


def _curve(options: argparse.Namespace) -> Chart:
    logs, texts = {}, set()
    for folder in options.folders:
        run = checkpoint.settings(folder)
        logs[folder] = run.log()
        texts.add(run.config.text_sha256)
    ladder: list[Any] = []
    if not options.no_ladder:
        try:
            if len(texts) > 1:
                raise DrawingError("the runs were trained on different texts")
            ladder = run.ladder()
        except DrawingError as error:
            print(f"viz: without what counting reaches: {console.one_line(error)}", file=sys.stderr)
    return loss_curve(logs if len(logs) > 1 else logs[folder], ladder=ladder, title=f"Loss of {', '.join(logs)}")


#: What sampling can be told, in the order in which it does it; shown when nothing is chosen.
_SAMPLING = {"temperature": 0.7, "top_k": 10, "top_p": 0.9, "min_p": None}


def _next(options: argparse.Namespace) -> Chart:
    run = checkpoint.load(options.folder, best=options.best)
    tokens = run.tokens(options.text, len(options.text) if options.text else run.config.model.block_size)
    chosen = {name: getattr(options, name) for name in _SAMPLING}
    if all(value is None for value in chosen.values()):
        chosen = _SAMPLING
    logits = run.logits(tokens)
    settings: dict[str, float] = {}
    stages = {"what the model says": run.distribution(logits)}
    for name, value in chosen.items():
        if value is not None:
            settings[name] = value
            words = f"{name.replace('_', '-')} {value:g}"
            stages[words if len(stages) == 1 else f"then {words}"] = run.distribution(logits, **settings)
    shown = style.visible(run.tokenizer.decode(tokens[-40:]))
    return next_characters(
        stages, run.tokenizer.alphabet, most=options.most, title=f"After “{'…' * (len(tokens) > 40)}{shown}”"
    )


def _boundary(options: argparse.Namespace) -> Chart:
    expression = expressions.parse(options.expression)
    given = numbers(options.numbers)
    free = [name for name in expression.inputs if name not in given]
    if len(free) != 2:
        raise DrawingError(
            f"a plane has two inputs; this expression leaves {len(free)} open ({', '.join(free) or 'none'}); "
            f"give a number to each other name, such as b=1"
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
    """Points and labels from a file with a line for each: numbers between spaces, commas or semicolons."""
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
