"""``python -m image play``: a trained painter as a page that paints while you look, without a network."""

from __future__ import annotations

import argparse
from pathlib import Path

from tinygrad_edu.training.flags import run_argument, run_folder
from viz.play.page import write
from viz.rendering.formats import check_ending
from viz.rendering.page import ENDINGS

from ..pictures.playground import paint_page
from ..run import SavedRun

PAGE = "play.html"


def add_play(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``image play``."""
    command.set_defaults(run=run)
    run_argument(command)
    command.add_argument("-o", "--out", metavar="FILE", help=f"what to write (default: {PAGE} in the run's folder)")
    command.add_argument("--no-open", action="store_true", help="do not open the page in a browser")


def run(options: argparse.Namespace) -> int:
    """Write the page, and open it."""
    this = SavedRun.open(run_folder(options))
    out = Path(options.out) if options.out else this.folder / PAGE
    check_ending(out, ENDINGS)
    print("Compiling the painter for the page ...", flush=True)
    write(paint_page(this), out, opened=not options.no_open)
    return 0
