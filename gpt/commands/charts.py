"""``python -m gpt attention`` and similar commands: charts of trained models, printed as text and written to files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

import viz
from tinygrad_edu import console
from tinygrad_edu.training.flags import run_argument, run_folder
from viz.charts.chart import Chart
from viz.charts.histogram import SCALES, WHAT

from ..errors import ConfigError, DataError
from ..pictures.run import PicturedRun
from ..sample import distribution
from .common import best_flag


def add_attention(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gpt attention``."""
    _add_chart(command, _attention, '%(prog)s runs/my-run --text "To be, or" -o attention.html')
    _add_run(command)
    _add_text(command, "show at most this many positions (default: 12, or as much of --text as the context holds)")


def add_next(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gpt next``."""
    _add_chart(command, _next, '%(prog)s runs/my-run --text "To b" --temperature 0.7 --top-p 0.9 -o next.svg')
    _add_run(command)
    command.add_argument("--text", help="the text before (default: the beginning of the validation text)")
    command.add_argument("--temperature", type=float, metavar="T", help="below 1 safer, above 1 more varied")
    command.add_argument("--top-k", type=int, metavar="K", help="keep the K most likely")
    command.add_argument("--top-p", type=float, metavar="P", help="keep the most likely until their sum reaches P")
    command.add_argument(
        "--min-p", type=float, metavar="P", help="keep those at least P times as likely as the top one"
    )
    command.add_argument("--most", type=int, default=12, metavar="N", help="show this many individually (default: 12)")


def add_curve(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gpt curve``."""
    _add_chart(command, _curve, "%(prog)s runs/one runs/two -o loss.svg")
    command.add_argument("folders", nargs="+", metavar="RUN", help="folders of runs that train wrote")
    command.add_argument(
        "--no-baselines",
        "--no-ladder",
        action="store_true",
        help="leave out the baselines, which take a few seconds",
    )


def add_embeddings(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gpt embeddings``."""
    _add_chart(command, _embeddings, "%(prog)s runs/my-run -o embeddings.html")
    _add_run(command)
    command.add_argument("--positions", action="store_true", help="the vectors of positions instead of characters")


def add_histogram(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gpt histogram``."""
    _add_chart(command, _histogram, "%(prog)s runs/my-run --of modules -o histogram.svg")
    _add_run(command)
    _add_text(command, "compute the loss on at most this many characters (default: the context)")
    command.add_argument("--of", choices=WHAT, default=WHAT[0], help="of what (default: %(default)s)")
    command.add_argument("--scale", choices=SCALES, default=SCALES[0], help="an axis for each, or one for all")


def add_compilation(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gpt compilation``."""
    _add_chart(command, _compilation, "%(prog)s runs/my-run --focus transformer.h.0.attn -o program.html")
    _add_run(command)
    _add_text(command, "compile the loss of this many characters (default: 4)")
    command.add_argument("--focus", default="", metavar="MODULE", help="only this module and what is inside it")


def _add_run(command: argparse.ArgumentParser) -> None:
    run_argument(command)
    best_flag(command)


def _add_text(command: argparse.ArgumentParser, length: str) -> None:
    command.add_argument("--text", help="the text to read (default: the beginning of its validation text)")
    command.add_argument("--length", type=int, metavar="N", help=length)


def _add_chart(command: argparse.ArgumentParser, make: Callable[[argparse.Namespace], Chart], example: str) -> None:
    """Let the command make a chart, print it as text, and write it if a file is given."""

    def run(options: argparse.Namespace) -> int:
        try:
            chart = make(options)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        print(chart)
        if options.out:
            print(f"Wrote {chart.save(options.out)}")
        return 0

    command.description = f"{command.description} Prints text."
    command.epilog = f"example: {example}"
    command.add_argument("-o", "--out", metavar="FILE", help="also write it to a file: .svg, .html, .png, .pdf or .txt")
    command.set_defaults(run=run)


def _attention(options: argparse.Namespace) -> Chart:
    run = PicturedRun.open(run_folder(options), best=options.best)
    context = run.config.model.block_size
    length = options.length or (context if options.text is not None else min(12, context))
    if length > context:
        raise ConfigError(f"--length must be at most {context}, the context of this model; got {length}")
    tokens = run.tokens(options.text, length)
    return viz.attention(run.called(tokens), run.characters(tokens), title=f"Attention after step {run.step}")


def _embeddings(options: argparse.Namespace) -> Chart:
    run = PicturedRun.open(run_folder(options), best=options.best)
    vectors = run.embeddings(positions=options.positions)
    what = "positions" if options.positions else "characters"
    names = None if options.positions else run.tokenizer.alphabet
    return viz.embeddings(vectors, names, title=f"Embeddings of {what} after step {run.step}")


def _histogram(options: argparse.Namespace) -> Chart:
    run = PicturedRun.open(run_folder(options), best=options.best)
    _, calls, count = run.recorded(run.tokens(options.text, options.length and options.length + 1))
    words = f"{count} character{'s' if count > 1 else ''}"
    title = f"Distributions after step {run.step}; the gradients are of one loss on {words}"
    return viz.histogram(calls, of=options.of, scale=options.scale, title=title)


def _compilation(options: argparse.Namespace) -> Chart:
    run = PicturedRun.open(run_folder(options), best=options.best)
    length = min(options.length or 4, run.config.model.block_size)
    loss, calls, count = run.recorded(run.tokens(options.text, length + 1))
    compiled = run.compiled(run.tokens(options.text, count + 1))
    return viz.compilation(compiled, loss, calls=calls, focus=options.focus)


def _curve(options: argparse.Namespace) -> Chart:
    logs, texts = {}, set()
    for folder in options.folders:
        run = PicturedRun.open(folder)
        logs[folder] = run.log()
        texts.add(run.config.text_sha256)
    baselines: list[Any] = []
    if not options.no_baselines:
        try:
            if len(texts) > 1:
                raise viz.DrawingError("the runs were trained on different texts")
            baselines = run.baselines()
        except (viz.DrawingError, DataError) as error:
            print(f"without baselines: {console.one_line(error)}", file=sys.stderr)
    title = f"Loss of {', '.join(logs)}"
    return viz.loss_curve(logs if len(logs) > 1 else logs[folder], baselines=baselines, title=title)


#: The settings of sampling, in the order of its stages; all are shown if none is chosen.
_SAMPLING = {"temperature": 0.7, "top_k": 10, "top_p": 0.9, "min_p": None}


def _next(options: argparse.Namespace) -> Chart:
    run = PicturedRun.open(run_folder(options), best=options.best)
    tokens = run.tokens(options.text, len(options.text) + 1 if options.text else run.config.model.block_size)
    chosen = {name: getattr(options, name) for name in _SAMPLING}
    if all(value is None for value in chosen.values()):
        chosen = _SAMPLING
    logits = run.logits(tokens)
    filters: dict[str, Any] = {}
    stages = {"what the model says": distribution(logits)}
    for name, value in chosen.items():
        if value is not None:
            filters[name] = value
            words = f"{name.replace('_', '-')} {value:g}"
            stages[words if len(stages) == 1 else f"then {words}"] = distribution(logits, **filters)
    shown = viz.style.visible(run.tokenizer.decode(tokens[-40:]))
    return viz.next_characters(
        stages, run.tokenizer.alphabet, most=options.most, title=f"After “{'…' * (len(tokens) > 40)}{shown}”"
    )
