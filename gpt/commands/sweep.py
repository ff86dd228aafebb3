"""``python -m gpt sweep``: one short run for every combination of some settings, and a table of how good they became.

Every run is an ordinary one in a folder of its own. The same command again makes those that are missing, goes on with
one that was stopped, and leaves alone those that are done.
"""

from __future__ import annotations

import argparse
import csv
import functools
import io
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinygrad_edu import console
from tinygrad_edu.files import remove_leftovers, write_atomically

from ..config import GPTConfig, TrainConfig
from ..data import ngram
from ..data.corpus import Corpus
from ..engines import check_engine
from ..errors import ConfigError, DivergedError
from ..files import locked
from ..model import GPT
from ..runs import checkpoint
from ..runs.checkpoint import RunConfig
from ..runs.early_stopping import BestLoss
from ..runs.wording import baselines_text, command_line, judged
from ..train import resume, start, train
from .run_options import METAVARS, ChosenText, configs, preset_flags, settings

MOST_RUNS = 100
STEPS = 300  # of a run, unless somebody says otherwise
_DIVERGED = "diverged.txt"  # in the folder of a run that went wrong: it would do so again
_TABLE = ("sweep.csv", "sweep.md")


def add_sweep(command: argparse.ArgumentParser) -> None:
    """Add what ``gpt sweep`` can be told."""
    command.set_defaults(run=run)
    command.description = (
        "Try some settings in all combinations, in short runs: --lr 1e-3,3e-3 --n-layer 1,2 makes four.\n"
        "The same command again makes only what is missing."
    )
    preset_flags(command)
    command.add_argument("--out", metavar="DIR", help="where the runs and the table go (default: runs/sweep-TEXT)")
    for (cls, fields), title in zip(settings().items(), ("the model", "training"), strict=True):
        group = command.add_argument_group(title, "one value, or several with commas between")
        for name, (default, about) in fields.items():
            # A sweep is many short runs: they save at the end, and print no samples on the way.
            default = _DEFAULTS.get(name, default) if cls is TrainConfig else default
            kind = METAVARS[type(default)]
            about = f"{about} (default: {default})".replace("%", "%%")
            group.add_argument(f"--{name.replace('_', '-')}", metavar=f"{kind},…", help=about)


_DEFAULTS: dict[str, Any] = {"steps": STEPS, "sample_interval": 0, "final_eval_sequences": 256}


@dataclass(frozen=True)
class Trial:
    """One combination.

    Attributes:
        varied: the settings that differ from run to run, by name.
        folder: of its run.
        config: everything about it.
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
        val_loss: at its end, in nats per character; infinite when it diverged.
        best_loss, best_step: the lowest on the way.
    """

    val_loss: float
    best_loss: float
    best_step: int


def run(options: argparse.Namespace) -> int:
    """Make all runs; print and write the table."""
    console.only_tells()
    grid = {name: values for name, values in _grid(options) if values is not None}
    combinations = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    if len(combinations) > MOST_RUNS:
        raise ConfigError(f"these are {len(combinations):,} runs; give fewer values, at most {MOST_RUNS} combinations")
    model_names = set(settings()[GPTConfig])
    chosen = []
    for values in combinations:  # all of them, before the first one runs
        model = {name: value for name, value in values.items() if name in model_names}
        training = {**_DEFAULTS, **{name: value for name, value in values.items() if name not in model_names}}
        chosen.append(configs(options.preset, model, training))
        check_engine(chosen[-1][1])
    text = ChosenText.of(options)
    out = Path(options.out) if options.out else Path("runs") / f"sweep-{text.name}"
    trials, corpora = [], {}
    for values, (model_config, training_config) in zip(combinations, chosen, strict=True):
        varied = {name: value for name, value in values.items() if len(grid[name]) > 1}
        config, corpora[model_config.block_size] = text.run(model_config, training_config)
        trials.append(Trial(varied, out / _folder(varied), config))
    for trial in trials:
        _check_same(trial, out)
    remove_leftovers(out)
    outcomes = {}
    for number, trial in enumerate(trials, 1):
        print(f"--- {number} of {len(trials)}: {trial.words}", flush=True)
        outcome = _outcome(trial) or _made(trial, corpora[trial.config.model.block_size])
        if outcome is None:
            print("Stopped; the same command goes on from here.")
            return 130
        outcomes[number - 1] = outcome
        rows = _sorted([(trials[i], found) for i, found in outcomes.items()])
        write_atomically(out / _TABLE[0], "".join(_csv(rows)))  # what is known so far
        write_atomically(out / _TABLE[1], "\n".join(_markdown(rows)) + "\n")
    print(f"\n{_text(rows)}")
    best, found = rows[0]
    if math.isfinite(found.val_loss):
        corpus = corpora[best.config.model.block_size]
        baselines = ngram.baselines(corpus.train, corpus.val, corpus.tokenizer.vocab_size)
        print(f"\nThe best of them, {best.words}:\n{judged(found.val_loss, baselines)}")
        print(f"{baselines_text(baselines)}\n\nTry next:\n  {command_line('info', best.folder)}")
        print(f"  {command_line('train --resume', best.folder)} --steps {2 * best.config.train.steps}")
    print(f"Written to {out}: {' and '.join(_TABLE)}")
    return 0


# --- the combinations -------------------------------------------------------------------------------------------------


def _grid(options: argparse.Namespace) -> Iterator[tuple[str, list[Any] | None]]:
    """Every setting, with the values that it takes in turn."""
    for fields in settings().values():
        for name, (default, _) in fields.items():
            words = getattr(options, name)
            yield name, None if words is None else _values(name, words, type(default))


def _values(name: str, words: str, kind: type) -> list[Any]:
    """``"1e-3,3e-3"`` as numbers; what stands there twice counts once."""
    found = []
    for word in words.split(","):
        try:
            if kind is bool:
                found.append({"true": True, "false": False}[word.strip().lower()])
            elif kind is str and not word.strip():
                raise ValueError
            else:
                found.append(kind(word.strip()))
        except (ValueError, KeyError):
            expected = {int: "whole numbers", float: "numbers", bool: "true or false"}.get(kind, "names")
            raise ConfigError(
                f"--{name.replace('_', '-')} takes {expected} with commas between, such as 1,2; got {words!r}"
            ) from None
    return list(dict.fromkeys(found))


def _folder(varied: Mapping[str, Any]) -> str:
    """A name for a combination: ``lr=0.001,n_layer=2``."""
    return ",".join(f"{name}={value}" for name, value in varied.items()) or "run"


# --- the runs ---------------------------------------------------------------------------------------------------------


def _check_same(trial: Trial, out: Path) -> None:
    if checkpoint.exists(trial.folder) and checkpoint.load_config(trial.folder) != trial.config:
        raise ConfigError(
            f"{trial.folder} holds a run with other settings than these; choose another folder with --out, "
            f"or repeat the command that made {out}"
        )


def _outcome(trial: Trial) -> Outcome | None:
    """How a run that is over ended; None for one that is not."""
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
    """Make a run, or what is left of it; None when somebody stopped it."""
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

Rows = list[tuple[Trial, Outcome]]


def _sorted(rows: Rows) -> Rows:
    return sorted(rows, key=lambda row: (row[1].val_loss, str(row[0].folder)))


def _cells(rows: Rows) -> list[list[str]]:
    """The head, and a line per run."""
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


def _csv(rows: Rows) -> Iterator[str]:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(_cells(rows))
    yield out.getvalue()


def _markdown(rows: Rows) -> Iterator[str]:
    head, *lines = _cells(rows)
    yield f"| {' | '.join(head)} |"
    yield f"|{'|'.join('---' for _ in head)}|"
    for line in lines:
        yield f"| {' | '.join(line)} |"


def _text(rows: Rows) -> str:
    cells = [line[:-1] for line in _cells(rows)]  # the folder says nothing new
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    return "\n".join("  ".join(f"{cell:>{width}}" for cell, width in zip(line, widths, strict=True)) for line in cells)
