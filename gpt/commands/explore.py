"""``python -m gpt explore``: the loss of a trained model as one page to explore."""

from __future__ import annotations

import argparse

import viz
from tinygrad_edu.training.flags import run_argument, run_folder

from ..pictures.run import PicturedRun
from .common import best_flag


def add_explore(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gpt explore``."""
    command.set_defaults(run=run)
    run_argument(command)
    best_flag(command)
    command.add_argument("--text", help="the text to read (default: the beginning of its validation text)")
    command.add_argument("--length", type=int, metavar="N", help="predict at most this many characters")
    command.add_argument(
        "-o", "--out", default="explore.html", metavar="FILE", help="what to write (default: %(default)s)"
    )


def run(options: argparse.Namespace) -> int:
    """Compute one loss in scalars, and write the page."""
    this = PicturedRun.open(run_folder(options), best=options.best)
    tokens = this.tokens(options.text, None if options.length is None else options.length + 1)
    loss, calls, length = this.recorded(tokens)
    print(f"the loss of step {this.step} on {length} characters: {loss.data:.4f}")
    title = f"loss on {length} characters, step {this.step}"
    page = viz.explore(loss, calls=calls, tokens=this.characters(tokens[:length]), title=title)
    print(f"Wrote {page.save(options.out)}")
    return 0
