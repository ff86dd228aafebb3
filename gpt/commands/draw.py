"""``python -m gpt draw``, or ``graph``: the graph of a trained model's loss."""

from __future__ import annotations

import argparse
import sys

import viz
from tinygrad_edu.training.flags import run_argument, run_folder
from viz.commands.graph import drawing_flags, drawn

from ..errors import ConfigError
from ..inspection.loss_graph import LARGEST, WHOLE
from ..pictures.run import PicturedRun
from .common import best_flag


def add_draw(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gpt draw``."""
    command.set_defaults(run=run)
    run_argument(command)
    best_flag(command)
    command.add_argument(
        "-o", "--out", metavar="FILE",
        help="a file as of viz graph: .svg, .png, .html, .mmd, …; - prints DOT (default: loss.svg in that folder)",
    )  # fmt: skip
    command.add_argument("--text", help="the text to read (default: the beginning of its validation text)")
    command.add_argument(
        "--boxes", "--budget", dest="budget", type=int, metavar="N",
        help="the largest number of boxes (default: as many as can be read on a screen)",
    )  # fmt: skip
    drawing_flags(command)


add_graph = add_draw


def run(options: argparse.Namespace) -> int:
    """Compute one loss in scalars, and draw its graph."""
    if options.budget is not None and options.budget < 2:
        raise ConfigError(f"boxes must be at least 2, got {options.budget}")
    this = PicturedRun.open(run_folder(options), best=options.best)
    tokens = this.tokens(options.text)
    if options.out != "-":
        print("Building the graph of the loss, with every gradient ...", flush=True)
    found = this.recorded_end(tokens, LARGEST, WHOLE)
    named = {name: value for value, name in found.calls.names.items()}
    drawing = drawn(options, found.loss, named.get(options.focus, options.focus), found.calls)
    if options.out == "-":
        sys.stdout.write(drawing.source)
        return 0
    path = drawing.save(options.out or this.folder / "loss.svg")
    of = "the validation text" if options.text is None else "that text"
    print(f"Step {this.step}: {viz.style.number(found.loss.data)} is {found.about(this.config.model.n_layer, of)}.")
    print(f"Wrote {path}")
    return 0
