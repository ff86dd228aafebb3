"""``python -m gpt sweep``: one short run for every combination of some settings, and a table of the results."""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tinygrad_edu import console
from tinygrad_edu.training.flags import METAVARS
from tinygrad_edu.training.settings import never_peaks

from ..config import GPTConfig, TrainConfig
from ..engines import check_engine
from ..errors import ConfigError
from ..experiments.sweep import TABLES, Trial, as_text, sweep
from ..runs.wording import baselines_text, command_line, judged
from .run_options import ChosenText, configs, preset_flags, settings

MOST_RUNS = 100
STEPS = 300  # of a run, by default


def add_sweep(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gpt sweep``."""
    command.set_defaults(run=run)
    command.description = (
        "Try some settings in all combinations, in short runs: --lr 1e-3,3e-3 --n-layer 1,2 makes four.\n"
        "Repeating the command runs only what is missing."
    )
    preset_flags(command)
    command.add_argument("--out", metavar="DIR", help="where the runs and the table go (default: runs/sweep-TEXT)")
    for (cls, fields), title in zip(settings().items(), ("the model", "training"), strict=True):
        group = command.add_argument_group(title, "one value, or several separated by commas")
        for name, (default, about) in fields.items():
            # A sweep is many short runs: they save only at the end, and print no samples.
            default = _DEFAULTS.get(name, default) if cls is TrainConfig else default
            kind = METAVARS[type(default)]
            about = f"{about} (default: {default})".replace("%", "%%")
            group.add_argument(f"--{name.replace('_', '-')}", metavar=f"{kind},…", help=about)


_DEFAULTS: dict[str, Any] = {"steps": STEPS, "sample_interval": 0, "final_eval_sequences": 256}


def run(options: argparse.Namespace) -> int:
    """Run all combinations; print and write the table."""
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
    for remark in dict.fromkeys(never_peaks(training) for _, training in chosen):
        if remark:
            print(remark)
    text = ChosenText.of(options)
    out = Path(options.out) if options.out else Path("runs") / f"sweep-{text.name}"
    trials, corpora = [], {}
    for values, (model_config, training_config) in zip(combinations, chosen, strict=True):
        varied = {name: value for name, value in values.items() if len(grid[name]) > 1}
        config, corpora[model_config.block_size] = text.run(model_config, training_config)
        trials.append(Trial(varied, out / _folder(varied), config))
    rows = sweep(trials, corpora, out)
    if len(rows) < len(trials):
        print("Stopped; the same command continues from here.")
        return 130
    print(f"\n{as_text(rows)}")
    best, found = rows[0]
    if math.isfinite(found.val_loss):
        baselines = corpora[best.config.model.block_size].baselines()
        print(f"\nThe best of them, {best.words}:\n{judged(found.val_loss, baselines)}")
        print(f"{baselines_text(baselines)}\n\nTry next:\n  {command_line('info', best.folder)}")
        print(f"  {command_line('train --resume', best.folder)} --steps {2 * best.config.train.steps}")
    print(f"Written to {out}: {' and '.join(TABLES)}")
    return 0


# --- the combinations -------------------------------------------------------------------------------------------------


def _grid(options: argparse.Namespace) -> Iterator[tuple[str, list[Any] | None]]:
    """Return every setting with its values."""
    for fields in settings().values():
        for name, (default, _) in fields.items():
            words = getattr(options, name)
            yield name, None if words is None else _values(name, words, type(default))


def _values(name: str, words: str, kind: type) -> list[Any]:
    """``"1e-3,3e-3"`` as numbers; duplicates count once."""
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
                f"--{name.replace('_', '-')} takes {expected} separated by commas, such as 1,2; got {words!r}"
            ) from None
    return list(dict.fromkeys(found))


def _folder(varied: Mapping[str, Any]) -> str:
    """Name a combination: ``lr=0.001,n_layer=2``."""
    return ",".join(f"{name}={value}" for name, value in varied.items()) or "run"
