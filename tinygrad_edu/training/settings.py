"""Settings that are frozen, checked, and the source of every command-line flag; those that every training has.

Each field carries its help text, so the command line, the error messages and the reference always agree.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeVar

from ..errors import brief
from ..optim import warmup_cosine, warmup_linear
from .errors import ConfigError, shown

__all__ = [
    "MOST",
    "SCHEDULES",
    "Preset",
    "TrainSettings",
    "check_bool",
    "check_choice",
    "check_most",
    "check_range",
    "joining",
    "learning_rate",
    "made",
    "never_peaks",
    "preset_of",
    "setting",
]

SCHEDULES = ("cosine", "linear", "constant")
#: Limits no run needs to exceed, so that a mistyped or hostile number cannot fill memory or run forever.
MOST = {"batch_size": 1 << 16, "threads": 1 << 10, "keep": 10_000, "seed": 2**63 - 1}
_MOST = 10**12  # of everything else that is counted

_Config = TypeVar("_Config")


def setting(default: Any, help: str) -> Any:
    """Make a field with a default and a help text."""
    return field(default=default, metadata={"help": help})


def check_range(config: Any, name: str, low: float, high: float = math.inf, *, below: bool = False) -> None:
    """``low <= value <= high``, or ``< high`` with ``below``; whole numbers if the default is one."""
    value = getattr(config, name)
    whole = isinstance(_default(config, name), int)
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        raise ConfigError(f"{name} must be a {'whole number' if whole else 'number'}, got {shown(value)}")
    if not (low <= value and (value < high if below else value <= high)):
        upper = "" if high == math.inf else f" and {'below' if below else 'at most'} {high}"
        raise ConfigError(f"{name} must be at least {low}{upper}, got {shown(value)}")


def check_most(config: Any, limits: Mapping[str, int] = MappingProxyType({})) -> None:
    """Check that no whole number is above its limit, or above :data:`MOST`."""
    for name, value in vars(config).items():
        most = limits.get(name, MOST.get(name, _MOST))
        if isinstance(value, int) and value > most:
            raise ConfigError(f"{name} must be at most {most:,}, got {shown(value)}")


def check_choice(config: Any, name: str, choices: Iterable[str]) -> None:
    """Check that a field has one of these values."""
    value = getattr(config, name)
    if value not in tuple(choices):  # a list, say, cannot be looked up in a dictionary
        raise ConfigError(f"{name} must be one of {', '.join(choices)}; got {shown(value)}")


def check_bool(config: Any, name: str) -> None:
    """Check that a field is true or false."""
    value = getattr(config, name)
    if not isinstance(value, bool):
        raise ConfigError(f"{name} must be true or false, got {shown(value)}")


def _default(config: Any, name: str) -> Any:
    return next(f.default for f in dataclasses.fields(config) if f.name == name)


def made(kind: type[_Config], fields: Mapping[str, Any]) -> _Config:
    """Make a configuration from the fields in a file; raises ConfigError for an unknown one, too."""
    known = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = [shown(name) for name in fields if name not in known]
    if unknown:
        raise ConfigError(f"unknown setting: {', '.join(unknown[:3])}")
    return kind(**fields)


@brief
@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """What every training has. Raises ConfigError for a field out of range."""

    steps: int = setting(2000, "optimizer steps in the whole run")
    batch_size: int = setting(32, "examples per step")
    lr: float = setting(1e-2, "peak learning rate")
    min_lr: float = setting(1e-3, "learning rate at the end of the schedule")
    warmup_steps: int = setting(100, "steps over which the learning rate rises to its peak")
    schedule: str = setting("cosine", f"how the learning rate falls after that: {', '.join(SCHEDULES)}")
    beta1: float = setting(0.9, "AdamW: decay of the running mean of the gradient")
    beta2: float = setting(0.99, "AdamW: decay of the running mean of its square")
    eps: float = setting(1e-8, "AdamW: added to the root in the divisor")
    weight_decay: float = setting(0.1, "AdamW: decay of the weight matrices toward zero")
    grad_clip: float = setting(1.0, "largest norm of all gradients together; 0 does not clip")
    seed: int = setting(1337, "the one seed: initial weights, batches, samples")
    eval_interval: int = setting(250, "steps between validations; 0 validates only at the end")
    sample_interval: int = setting(500, "steps between printed samples; 0 prints only the one at the end")
    checkpoint_interval: int = setting(250, "steps between checkpoints; 0 saves only at the end")
    keep: int = setting(0, "snapshots of the parameters to keep, more of them early in the run; 0 keeps none")
    threads: int = setting(1, "processor cores among which every batch is split")

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "threads"):
            check_range(self, name, 1)
        for name in ("warmup_steps", "eval_interval", "sample_interval", "checkpoint_interval", "keep", "seed"):
            check_range(self, name, 0)
        check_most(self)
        for name in ("lr", "min_lr", "eps", "weight_decay", "grad_clip"):
            check_range(self, name, 0.0, 1000.0)
        for name in ("beta1", "beta2"):
            check_range(self, name, 0.0, 1.0, below=True)
        check_choice(self, "schedule", SCHEDULES)
        if self.min_lr > self.lr:
            raise ConfigError(f"min_lr must be at most lr; got min_lr {self.min_lr} and lr {self.lr}")


def learning_rate(config: TrainSettings, step: int, joined: tuple[int, float] | None = None) -> float:
    """Return the learning rate of a step, counted from 0.

    Args:
        config: has the schedule.
        step: which step.
        joined: the step from which this schedule holds, and the rate until then: the way from there takes as many
            steps as a warm-up, since a sudden jump would undo part of the training.
    """
    if config.schedule == "constant":
        rate = config.lr * min((step + 1) / (config.warmup_steps + 1), 1.0)
    else:
        schedule = warmup_cosine if config.schedule == "cosine" else warmup_linear
        rate = schedule(
            step, lr=config.lr, total_steps=config.steps, warmup_steps=config.warmup_steps, min_lr=config.min_lr
        )
    if joined is None:
        return rate
    since, before = joined
    return before + (rate - before) * min((step - since + 1) / (config.warmup_steps + 1), 1.0)


def joining(
    before: TrainSettings, after: TrainSettings, step: int, joined: tuple[int, float] | None
) -> tuple[tuple[int, float] | None, str]:
    """Return where a resumed run joins its schedule, for :func:`learning_rate`, and a sentence if that is new.

    Args:
        before, after: the settings until now, and from now on.
        step: the number of steps made so far.
        joined: where the run had joined the schedule of ``before``.
    """
    rates = [learning_rate(config, step, joined) for config in (before, after)]
    if not 0 < step < after.steps or rates[0] == rates[1]:
        return joined, ""
    rate = learning_rate(before, step - 1, joined)
    peak = max(learning_rate(after, at, (step, rate)) for at in range(step, after.steps))
    return (step, rate), (
        f"The learning rate was {rate:.2g}; it does not jump to the new schedule, but moves there over "
        f"{after.warmup_steps} steps; it will be {peak:.2g} at most{', so the loss may rise at first' * (peak > rate)}"
    )


def never_peaks(config: TrainSettings) -> str:
    """Say that a run ends before its warm-up does; empty if it does not."""
    if config.warmup_steps < config.steps:
        return ""
    return (
        f"The learning rate rises for {config.warmup_steps} steps, and the run has {config.steps}: it never reaches "
        f"{config.lr:g}; a smaller --warmup-steps lets it"
    )


@brief
@dataclass(frozen=True, kw_only=True)
class Preset:
    """A model and a way to train it that go together."""

    summary: str
    model: Mapping[str, Any]
    train: Mapping[str, Any]


def preset_of(presets: Mapping[str, Preset], name: str) -> Preset:
    """Return the preset called ``name``; raises ConfigError with the known names if there is none."""
    try:
        return presets[name]
    except KeyError:
        raise ConfigError(f"unknown preset: {name!r} (must be one of {', '.join(presets)})") from None
