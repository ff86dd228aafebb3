"""``python -m image report``: a folder that opens as one page with everything about a run."""

from __future__ import annotations

import argparse

from tinygrad_edu import collector_paused, console
from tinygrad_edu.training.flags import report_arguments, report_folder, run_folder

from ..pictures.report import FOLDER, Subject, write
from ..run import SavedRun


def add_report(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``image report``."""
    command.set_defaults(run=run)
    report_arguments(command, FOLDER)


@collector_paused()  # until the millions of objects are gone again: none of them is garbage
def run(options: argparse.Namespace) -> int:
    """Write the report of a run, finished or not."""
    console.only_tells()
    folder = run_folder(options)
    out = report_folder(options, folder / FOLDER)
    this = SavedRun.open(folder)
    print(f"Looking at {folder}, step {this.step} of {this.config.train.steps} ...", flush=True)
    print(f"Wrote {write(Subject(this, out), lambda title: print(f'  {title}', flush=True))}")
    return 0
