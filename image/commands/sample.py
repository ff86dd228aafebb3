"""``python -m image sample``: paint with a trained model."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_edu import console
from tinygrad_edu.files import write_atomically
from tinygrad_edu.training.errors import ConfigError
from tinygrad_edu.training.flags import run_argument, run_folder

from .. import canvas
from ..dataset import shown_first, told, words_for
from ..run import SavedRun
from ..sample import Sampler, check_settings, noise
from .common import painting_flags

FRAMES = 40  # of a GIF, at most; the last is shown longer


def add_sample(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``image sample``."""
    command.set_defaults(run=run)
    run_argument(command)
    command.add_argument(
        "--class", dest="label", type=int, metavar="D", help="the digit to paint (default: all in turn)"
    )
    command.add_argument("--prompt", metavar="WORDS", help='what to paint, such as "a small ring, top left"')
    command.add_argument("--count", type=int, metavar="N", help="how many (default: 10, of points 1,000)")
    painting_flags(command)
    command.add_argument("-o", "--out", metavar="FILE", help="a .png, or a .gif of the way from noise")
    command.add_argument("--engine", choices=("compiled", "scalar"), default="compiled", help="scalar: Value by Value")


def run(options: argparse.Namespace) -> int:
    """Print the pictures as text, or write a file."""
    kind = Path(options.out).suffix.lower() if options.out else ""
    if options.out and kind not in (".png", ".gif"):
        raise ConfigError(f"expected a file that ends in .png or .gif, got {options.out}")
    if options.seed < 0:
        raise ConfigError(f"seed must be at least 0, got {options.seed}")
    this = SavedRun.open(run_folder(options))
    config = this.config.model
    points = config.pixels == 2
    count = options.count if options.count is not None else 1000 if points else 10
    check_settings(options.steps, options.guidance, count)
    asked = told(config, options.label, options.prompt)
    default = options.label is None and options.prompt is None
    each = shown_first(config, count) if default else [asked] * count
    painter = Sampler(this.model, scalar=options.engine == "scalar")
    if kind == ".gif":
        from ..pictures.gif import gif

        way = painter.way(noise(config, count, options.seed), each, options.steps, options.guidance)
        shown = way[np.unique(np.linspace(0, options.steps, min(FRAMES, options.steps + 1)).round().astype(int))]
        write_atomically(options.out, gif([_sheet(painter.pictures(x)) for x in shown]))
    else:
        made = painter.paint(each, options.seed, options.steps, options.guidance)
        if kind == ".png":
            write_atomically(options.out, canvas.png(_sheet(made)))
        else:
            columns = shutil.get_terminal_size().columns
            print(canvas.text_of_points(made) if points else canvas.text(made, columns), file=console.data())
            return 0
    what = "" if config.condition == "nothing" else ": " + ("one of each" if default else words_for(config, asked))
    print(f"Wrote {options.out}{what}")
    return 0


def _sheet(made: Any) -> Any:
    return canvas.scatter(made) if made.shape[1] == 2 else canvas.grid(made)
