"""``python -m gpt timemachine``: one page that scrubs through the snapshots of a run."""

from __future__ import annotations

import argparse
from pathlib import Path

from tinygrad_edu.training import snapshots
from tinygrad_edu.training.flags import run_argument, run_folder

from ..errors import ConfigError
from ..inspection.observer import observed
from ..pictures.timemachine import chosen_sentence, page_of
from ..runs import checkpoint
from ..runs.saved_run import SavedRun
from ..runs.wording import command_line


def add_timemachine(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gpt timemachine``."""
    command.set_defaults(run=run)
    run_argument(command)
    command.add_argument("-o", "--out", metavar="FILE", help="an .html file (default: timemachine.html in that folder)")
    command.add_argument(
        "--text", metavar="TEXT", help="the sentence that is read (default: the first of the validation text)"
    )


def run(options: argparse.Namespace) -> int:
    """Evaluate every snapshot, and write the page."""
    folder = run_folder(options)
    saved = SavedRun.open(folder)
    out = Path(options.out or folder / "timemachine.html")
    if out.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"the time machine is a page: {out} must end in .html")
    if not out.parent.is_dir():
        raise ConfigError(f"there is no folder {out.parent} to write {out.name} into; make it first")
    taken = snapshots_of(saved)
    this = observed(saved)
    sentence = chosen_sentence(this, saved.config, options.text)
    print(f"Looking at {len(taken)} snapshots of {folder}, of step {min(taken)} to {max(taken)} ...", flush=True)
    print(f"Wrote {page_of(this, taken, sentence).save(out)}")
    return 0


def snapshots_of(saved: SavedRun) -> dict[int, Path]:
    """Return the snapshots of a run by step; raises ConfigError, with what to do, if there are none."""
    folder = saved.folder
    taken = snapshots.taken(folder)
    if not taken:
        checkpoint.characters(saved.vocabulary, folder)  # no advice to train what cannot be trained here
        raise ConfigError(
            f"{folder} has no snapshots, which the time machine needs; a new run that keeps twenty: "
            f"{command_line('train --keep 20 --out', folder.with_name(f'{folder.name}-kept'))}"
        )
    return taken
