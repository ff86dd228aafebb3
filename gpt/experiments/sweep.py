"""A sweep: one short run for every combination of some settings, and a table of the results.

Every run is an ordinary one in its own folder. A repeated sweep makes the missing runs, resumes one that was stopped,
and leaves finished ones alone.
"""

from __future__ import annotations

import csv
import functools
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinygrad_edu.errors import brief
from tinygrad_edu.files import remove_leftovers, write_atomically
from tinygrad_edu.training.folder import locked

from ..config import GPTConfig
from ..data.corpus import Corpus
from ..errors import ConfigError, DivergedError
from ..model import GPT
from ..runs import checkpoint
from ..runs.checkpoint import RunConfig
from ..runs.early_stopping import BestLoss
from ..train import resume, start, train

__all__ = ["TABLES", "Outcome", "Rows", "Trial", "as_text", "sweep"]

TABLES = ("sweep.csv", "sweep.md")
_DIVERGED = "diverged.txt"  # in the folder of a run that diverged: it would do so again


@brief
@dataclass(frozen=True)
class Trial:
    """One combination.

    Attributes:
        varied: the settings that differ from run to run, by name.
        folder: of its run.
        config: all its settings.
    """

    varied: Mapping[str, Any]
    folder: Path
    config: RunConfig

    @property
    def words(self) -> str:
        """The combination in words."""
        return ", ".join(f"{name} {value}" for name, value in self.varied.items()) or "the only combination"


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        val_loss: the loss at its end, in nats per character; infinite if it diverged.
        best_loss, best_step: the lowest loss during training.
    """

    val_loss: float
    best_loss: float
    best_step: int


Rows = list[tuple[Trial, Outcome]]


def sweep(trials: Sequence[Trial], corpora: Mapping[int, Corpus], out: Path) -> Rows:
    """Make all runs, and write the table of all so far after each one; returns its rows, the best first.

    Args:
        trials: all combinations.
        corpora: the text in its two parts, by context length.
        out: the folder for the tables.

    There are fewer rows than trials if a run was interrupted. Raises ConfigError if a folder holds another run.
    """
    for trial in trials:
        _check_same(trial, out)
    remove_leftovers(out)
    rows: Rows = []
    for number, trial in enumerate(trials, 1):
        print(f"--- {number} of {len(trials)}: {trial.words}", flush=True)
        outcome = _outcome(trial) or _made(trial, corpora[trial.config.model.block_size])
        if outcome is None:
            break
        rows = sorted([*rows, (trial, outcome)], key=lambda row: (row[1].val_loss, str(row[0].folder)))
        write_atomically(out / TABLES[0], _csv(rows))
        write_atomically(out / TABLES[1], "\n".join(_markdown(rows)) + "\n")
    return rows


def _check_same(trial: Trial, out: Path) -> None:
    if checkpoint.exists(trial.folder) and checkpoint.load_config(trial.folder) != trial.config:
        raise ConfigError(
            f"{trial.folder} holds a run with other settings than these; choose another folder with --out, "
            f"or repeat the command that made {out}"
        )


def _outcome(trial: Trial) -> Outcome | None:
    """Return how a finished run ended; None for an unfinished one."""
    if (trial.folder / _DIVERGED).exists():
        print("It has diverged before.")
        return Outcome(math.inf, math.inf, 0)
    if not checkpoint.exists(trial.folder):
        return None
    log = checkpoint.read_log(trial.folder)
    step = checkpoint.load_training_state(trial.folder).step
    validated = [record for record in log if record.get("val_loss") is not None and record["step"] <= step]
    over = step == trial.config.train.steps or _stopped_early(trial, validated)
    if not over or not validated:
        return None
    watched = {record["step"]: record.get("watched_loss", record["val_loss"]) for record in validated}
    best = min(watched, key=lambda step: (watched[step], step))
    return Outcome(validated[-1]["val_loss"], watched[best], best)


def _stopped_early(trial: Trial, validated: Sequence[Mapping[str, Any]]) -> bool:
    patience = trial.config.train.patience
    return bool(patience) and BestLoss(validated).since >= patience


def _made(trial: Trial, corpus: Corpus) -> Outcome | None:
    """Make a run, or what is left of it; None when it was stopped."""
    with locked(trial.folder):
        return _made_alone(trial, corpus)


def _made_alone(trial: Trial, corpus: Corpus) -> Outcome | None:
    if checkpoint.exists(trial.folder):
        made = resume(trial.folder, trial.config, trial.config.text())
    else:
        made = start(trial.folder, trial.config, corpus)
    try:
        result = train(made)
    except DivergedError as error:
        print(error)
        write_atomically(trial.folder / _DIVERGED, f"{error}\n")
        return Outcome(math.inf, math.inf, 0)
    if result.interrupted:
        return None
    return _outcome(trial)


@functools.cache
def _parameters(config: GPTConfig) -> int:
    return len(GPT(config).parameters())


# --- the table --------------------------------------------------------------------------------------------------------


def _cells(rows: Rows) -> list[list[str]]:
    """Return the head, and one line per run."""
    names = list(rows[0][0].varied)
    cells = [[*names, "val_loss", "bits", "best_loss", "best_step", "parameters", "run"]]
    for trial, found in rows:
        numbers = [found.val_loss, found.val_loss / math.log(2), found.best_loss]
        cells.append(
            [
                *(str(trial.varied[name]) for name in names),
                *("diverged" if math.isinf(x) else f"{x:.4f}" for x in numbers),
                str(found.best_step),
                str(_parameters(trial.config.model)),
                trial.folder.name,
            ]
        )
    return cells


def _csv(rows: Rows) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(_cells(rows))
    return out.getvalue()


def _markdown(rows: Rows) -> Iterator[str]:
    head, *lines = _cells(rows)
    yield f"| {' | '.join(head)} |"
    yield f"|{'|'.join('---' for _ in head)}|"
    for line in lines:
        yield f"| {' | '.join(line)} |"


def as_text(rows: Rows) -> str:
    """Return the table as lines of text, one run per line."""
    cells = [line[:-1] for line in _cells(rows)]  # the folder adds no information
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    return "\n".join("  ".join(f"{cell:>{width}}" for cell, width in zip(line, widths, strict=True)) for line in cells)
