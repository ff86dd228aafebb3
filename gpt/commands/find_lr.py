"""``python -m gpt find-lr``: find a learning rate with a few hundred steps, none of which is kept."""

from __future__ import annotations

import argparse
import math
import textwrap
from pathlib import Path
from typing import Any

import viz
from tinygrad_edu.training.flags import given

from ..config import GPTConfig, TrainConfig
from ..engines import check_engine
from ..errors import ConfigError
from ..experiments.lr_range_test import advice, lr_range_test, rates_between, table
from ..model import GPT
from .run_options import ChosenText, configs, preset_flags, setting_flags

_UNUSED = (  # settings that do not matter for a few hundred steps at growing rates
    "steps", "lr", "min_lr", "warmup_steps", "schedule", "eval_interval", "eval_sequences", "final_eval_sequences",
    "sample_interval", "checkpoint_interval", "patience", "keep",
)  # fmt: skip


def add_find_lr(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gpt find-lr``."""
    command.set_defaults(run=run)
    preset_flags(command)
    command.add_argument("--steps", type=int, default=200, metavar="N", help="how many rates to try, at least 20")
    command.add_argument("--lowest", type=float, default=1e-5, metavar="X", help="the first of them")
    command.add_argument("--highest", type=float, default=1.0, metavar="X", help="the last of them")
    command.add_argument(
        "-o", "--out", default="find-lr.svg", metavar="FILE", help=".svg, .html, .png, .pdf or .txt: the chart"
    )
    setting_flags(command, leave_out=_UNUSED)


def run(options: argparse.Namespace) -> int:
    """Try the rates; print and draw the loss."""
    _check(options)
    model, training = configs(options.preset, given(options, GPTConfig), _changes(options))
    check_engine(training)
    config, corpus = ChosenText.of(options).run(model, training)
    network = GPT(config.model, seed=training.seed)
    print(
        f"{len(network.parameters()):,} parameters, {options.steps} steps with rates from {options.lowest:g} to "
        f"{options.highest:g}; nothing is kept.",
        flush=True,
    )
    found = lr_range_test(network, config, corpus, rates_between(options.lowest, options.highest, options.steps))
    print(f"\n{table(found)}\n")
    for line in advice(found, options.highest).split("\n"):
        print(textwrap.fill(line, 80, break_on_hyphens=False))
    logs = [math.log10(rate) for rate in found.rates]
    points = {
        "falls fastest": [(logs[found.steepest], found.smoothed[found.steepest])],
        "lowest": [(logs[found.lowest], found.smoothed[found.lowest])],
    }
    lines = {
        "smoothed": list(zip(logs, found.smoothed, strict=True)),
        "each batch": list(zip(logs, found.losses, strict=True)),
    }
    chart = viz.plot(
        lines,
        points=points,
        title=f"Loss while the learning rate grows: lowest at {found.rates[found.lowest]:.1e}",
        x="power of ten of the learning rate (−3 is 0.001)",
        y="nats per character",
    )
    print(f"\nWrote {chart.save(options.out)}")
    return 0


def _changes(options: argparse.Namespace) -> dict[str, Any]:
    changes = given(options, TrainConfig)
    return {name: value for name, value in changes.items() if name not in _UNUSED}


def _check(options: argparse.Namespace) -> None:
    if options.steps < 20:
        raise ConfigError(f"steps must be at least 20, or there is no curve; got {options.steps}")
    if not 0.0 < options.lowest < options.highest <= 1000.0:
        raise ConfigError(
            f"the rates must grow from above 0 to at most 1000; got --lowest {options.lowest:g} and --highest "
            f"{options.highest:g}"
        )
    endings = (".svg", ".html", ".png", ".pdf", ".txt")
    if Path(options.out).suffix.lower() not in endings:  # known before the work begins
        raise ConfigError(f"{options.out} must end in one of {', '.join(endings)}")
