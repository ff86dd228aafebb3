"""``python -m gpt play``: the playground, one page that computes, trains and reads models, without a network."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import Any

from tinygrad_edu.training.files import runs_in
from viz.play.page import play_page, write
from viz.rendering.formats import check_ending
from viz.rendering.page import ENDINGS

from ..data.corpus import DEFAULT_DATASET, Corpus, cache_folder, kept_text, open_text
from ..errors import CheckpointError, ConfigError, DataError
from ..pictures import trainer
from ..pictures.playground import trained
from ..runs.saved_run import SavedRun
from ..runs.wording import command_line
from .common import best_flag, documents_chosen, text_flags

PAGE = "play.html"
_SNAPSHOTS = 4  # of the run: the page has to open quickly, and its report has all of them
_CONTEXT = 64  # the longest of the models that train in the page


def add_play(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gpt play``."""
    command.set_defaults(run=run)
    command.add_argument("folder", metavar="RUN", nargs="?", help="a trained model for the screen that reads one")
    best_flag(command)
    text_flags(command)
    command.add_argument(
        "-o", "--out", metavar="FILE", help=f"what to write (default: {PAGE}, in the folder of the run if one is given)"
    )
    command.add_argument("--no-open", action="store_true", help="do not open the page in a browser")


def run(options: argparse.Namespace) -> int:
    """Write the page, and open it."""
    this = SavedRun.open(options.folder, best=options.best) if options.folder else None
    if options.best and this is None:
        raise ConfigError("--best is about a run: give its folder, too")
    out = Path(options.out) if options.out else (this.folder if this else Path()) / PAGE
    check_ending(out, ENDINGS)
    assets, facts = trained(this, _SNAPSHOTS) if this else ({}, {})
    corpus, text, training = _text(options, this)
    print("Making the page; the first time, models are compiled for it ...", flush=True)
    made, missing = trainer.steps(corpus)
    page = play_page({**assets, **made, **(text if made else {})}, {**facts, "train": {**training, **missing}})
    write(page, out, opened=not options.no_open)
    if missing:
        print(missing["missing"])
    elif not training:
        print(f"It has no text to train on but what is typed there; --dataset {DEFAULT_DATASET} gets one")
    if this is None and (newest := _newest()):
        print(f"To read your model in it, too: {command_line('play', newest)}")
    return 0


def _newest() -> Path | None:
    """Return the newest trained GPT in ``runs`` and here that the page can read; None if there is none."""
    for folder in runs_in(Path("runs"), Path()):
        with contextlib.suppress(CheckpointError, ConfigError, DataError, OSError):
            this = SavedRun.open(folder)
            if this.tokenizer and this.step:
                return folder
    return None


def _text(options: argparse.Namespace, this: SavedRun | None) -> tuple[Corpus | None, dict[str, bytes], dict[str, Any]]:
    """Return the text of the page: the one named, or that of the run or the default one, if they are on this machine.

    A text that was named and does not fit is an error; another is left out.
    """
    named = options.data or options.dataset
    data = str(Path(kept_text(options.data)).absolute()) if options.data else None
    dataset = None if data else options.dataset or DEFAULT_DATASET
    if this and not named:
        dataset, data = this.config.dataset, this.config.data
    try:
        if named or data or (cache_folder() / f"{dataset}.txt").exists():  # nothing is downloaded unasked
            text = this.config.text() if this and not named else open_text(dataset, data, (), documents_chosen(options))
            if not text.documents and text.facts.characters < 10 * _CONTEXT + 10:  # else Corpus speaks of other flags
                raise DataError(
                    f"the text is too short: it has {text.facts.characters} characters, and the models of the page "
                    f"need at least {10 * _CONTEXT + 10}; use a longer text"
                )
            corpus = Corpus.from_text(text, _CONTEXT)
            return corpus, *trainer.text_asset(text, corpus, dataset, data)
    except (ConfigError, DataError) as error:
        if named:
            raise
        print(f"The page has no text: {error}", file=sys.stderr)
    return None, {}, {}
