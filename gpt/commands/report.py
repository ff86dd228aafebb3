"""``python -m gpt report``: a folder that opens as one page with everything about a run."""

from __future__ import annotations

import argparse
from pathlib import Path

from tinygrad_edu import collector_paused, console
from tinygrad_edu.training.flags import run_argument, run_folder

from ..errors import ConfigError
from ..inspection.observer import observed
from ..pictures.report import FOLDER, Subject, write
from ..runs.saved_run import SavedRun


def add_report(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gpt report``."""
    command.set_defaults(run=run)
    run_argument(command)
    command.add_argument("-o", "--out", metavar="DIR", help=f"where to write (default: {FOLDER} in that folder)")


@collector_paused()  # until the millions of objects are gone again: none of them is garbage
def run(options: argparse.Namespace) -> int:
    """Write the report of a run, finished or not."""
    console.only_tells()
    folder = run_folder(options)
    out = Path(options.out) if options.out else folder / FOLDER
    if out.exists() and not out.is_dir():
        raise ConfigError(f"a report is a folder, and {out} is a file; choose another name with --out")
    this = observed(SavedRun.open(folder))
    print(f"Looking at {folder}, step {this.step} of {this.config.train.steps} ...", flush=True)
    print(f"Wrote {write(Subject(this, out), lambda title: print(f'  {title}', flush=True))}")
    return 0
