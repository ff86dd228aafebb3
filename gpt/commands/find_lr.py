"""``python -m gpt find-lr``: which learning rate to train with, from a few hundred steps that no run remembers.

The learning rate grows from step to step, by the same factor, until the loss explodes. Where the loss falls fastest is
a rate that teaches; a little beyond, it is too large (Smith 2015, "Cyclical Learning Rates", section 3.3, in the form
with exponential growth and a smoothed loss that fast.ai made popular). Of the two usual readings the tenth of the rate
with the lowest loss is suggested: of four rates on tinyshakespeare, 400 steps each, it was the best for the preset
micro (2.256 at 1.6e-2; 2.302 where the loss falls fastest) and 0.002 from the best for tiny (2.093 at 1e-2; 2.139).
"""

from __future__ import annotations

import argparse
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import viz
from tinygrad_edu.errors import DomainError

from ..config import GPTConfig, TrainConfig
from ..engines import check_engine, make_engine
from ..errors import ConfigError
from ..model import GPT
from .common import given
from .run_options import ChosenText, configs, preset_flags, setting_flags

SMOOTHING = 0.95  # of the mean before, at each step
EXPLODED = 2.0  # nats above the lowest smoothed loss: it will not come back
_ROWS = 16  # of the table
_BAR = 30  # letters
_UNUSED = (  # settings that say nothing about a few hundred steps at growing rates
    "steps", "lr", "min_lr", "warmup_steps", "schedule", "eval_interval", "eval_sequences", "final_eval_sequences",
    "sample_interval", "checkpoint_interval", "patience", "keep",
)  # fmt: skip


def add_find_lr(command: argparse.ArgumentParser) -> None:
    """Add what ``gpt find-lr`` can be told."""
    command.set_defaults(run=run)
    preset_flags(command)
    command.add_argument("--steps", type=int, default=200, metavar="N", help="how many rates are tried, at least 20")
    command.add_argument("--lowest", type=float, default=1e-5, metavar="X", help="the first of them")
    command.add_argument("--highest", type=float, default=1.0, metavar="X", help="the last of them")
    command.add_argument(
        "-o", "--out", default="find-lr.svg", metavar="FILE", help=".svg, .html, .png, .pdf or .txt: the chart"
    )
    setting_flags(command, leave_out=_UNUSED)


@dataclass(frozen=True)
class Range:
    """What happened at which learning rate.

    Attributes:
        rates, losses: of the steps that were made, in nats per character.
        smoothed: a running mean of the losses, each batch being another one.
    """

    rates: list[float]
    losses: list[float]
    smoothed: list[float]

    @property
    def lowest(self) -> int:
        """Where the smoothed loss is lowest."""
        return min(range(len(self.smoothed)), key=lambda i: self.smoothed[i])

    @property
    def steepest(self) -> int:
        """Where the smoothed loss falls fastest, per factor of the rate, before it is lowest."""
        near = max(1, len(self.smoothed) // 20)  # steps to each side that make a slope
        falls = {
            i: self.smoothed[max(i - near, 0)] - self.smoothed[min(i + near, self.lowest)]
            for i in range(near, self.lowest)
        }
        return max(falls, key=lambda i: falls[i], default=self.lowest)


def run(options: argparse.Namespace) -> int:
    """Try the rates; print what they did to the loss, and draw it."""
    _check(options)
    model, training = configs(options.preset, given(options, GPTConfig), _changes(options))
    check_engine(training)
    config, corpus = ChosenText.of(options).run(model, training)
    network = GPT(config.model, seed=training.seed)
    engine = make_engine(network, training)
    growth = (options.highest / options.lowest) ** (1.0 / (options.steps - 1))
    rates = [options.lowest * growth**i for i in range(options.steps)]
    print(
        f"{len(network.parameters()):,} parameters, {options.steps} steps with rates from {options.lowest:g} to "
        f"{options.highest:g}; nothing of it is kept.",
        flush=True,
    )
    losses = []
    for step, rate in enumerate(rates):
        batch = corpus.batch(config.model.block_size, training.batch_size, training.seed, step)
        try:
            losses.append(engine.step(batch, rate, f"{training.seed} dropout {step}")[0])
        except DomainError:
            break
        if not math.isfinite(losses[-1]):
            losses.pop()
            break
        if exploded(losses):
            break
    found = Range(rates[: len(losses)], losses, smooth(losses))
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


def smooth(losses: Sequence[float]) -> list[float]:
    """The running mean of a sequence that begins with nothing, so that early ones count in full.

    >>> smooth([2.0, 2.0, 2.0])
    [2.0, 2.0, 2.0]
    """
    mean, found = 0.0, []
    for i, loss in enumerate(losses, 1):
        mean = SMOOTHING * mean + (1.0 - SMOOTHING) * loss
        found.append(round(mean / (1.0 - SMOOTHING**i), 12))
    return found


def exploded(losses: Sequence[float]) -> bool:
    """Whether the smoothed loss is far above its lowest."""
    smoothed = smooth(losses)
    return smoothed[-1] > min(smoothed) + EXPLODED


def table(found: Range) -> str:
    """Some of the rates with the smoothed loss there, as numbers and as bars."""
    count = min(_ROWS, len(found.rates))
    shown = sorted({round(i * (len(found.rates) - 1) / max(count - 1, 1)) for i in range(count)} | {found.steepest})
    low, high = min(found.smoothed), max(found.smoothed)
    rows = [f"{'learning rate':>13}{'loss':>9}"]
    for i in shown:
        bar = "█" * round(_BAR * (found.smoothed[i] - low) / ((high - low) or 1.0))
        mark = "  ← falls fastest" if i == found.steepest else ""
        rows.append(f"{found.rates[i]:>13.1e}{found.smoothed[i]:>9.3f}  {bar}{mark}")
    return "\n".join(rows)


def advice(found: Range, highest: float) -> str:
    """What to make of it."""
    rate, end = found.rates[found.steepest], found.rates[found.lowest]
    if found.lowest < len(found.rates) // 10:
        return "The loss only rose: try again from a smaller --lowest."
    words = f"The loss falls fastest at a rate of {rate:.1e} and is lowest at {end:.1e}, where it is about to rise."
    if found.lowest >= len(found.rates) - len(found.rates) // 20 and found.rates[-1] >= 0.9 * highest:
        words += " It still fell at the end: a larger --highest may show more."
    return (
        f"{words}\nThe usual peaks are the first, and a tenth of the second: try --lr {end / 10:.1e}; which of them is "
        f"better here, gpt sweep --lr {rate:.1e},{end / 10:.1e} tells."
    )
