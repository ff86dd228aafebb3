"""The settings of a model and of a training run: frozen, checked, and the source of every command-line flag.

Each field carries its help text, so the command line, the error messages and this page always agree.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tinygrad_edu.errors import brief
from tinygrad_edu.nn import ACTIVATIONS

from .errors import ConfigError, shown

__all__ = [
    "DEVICES",
    "ENGINES",
    "LARGEST",
    "MOST",
    "NORMS",
    "POSITIONS",
    "PRESETS",
    "SCHEDULES",
    "GPTConfig",
    "Preset",
    "TrainConfig",
    "made",
    "preset",
]

NORMS = ("rmsnorm", "layernorm")
POSITIONS = ("learned", "rotary")
SCHEDULES = ("cosine", "linear", "constant")
LARGEST = 100_000_000  # parameters; more scalars would not fit into the memory of an ordinary machine
# Limits no run needs to exceed, so that a mistyped or hostile number cannot fill memory or run forever.
MOST = {
    "vocab_size": 1 << 16,
    "block_size": 1 << 14,
    "n_layer": 1 << 10,
    "batch_size": 1 << 16,
    "threads": 1 << 10,
    "keep": 10_000,
    "seed": 2**63 - 1,
}
_MOST = 10**12  # of everything else that is counted
ENGINES = ("compiled", "scalar", "torch")
DEVICES = ("cpu", "cuda")


_Config = TypeVar("_Config", "GPTConfig", "TrainConfig")


def _setting(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


def _check_range(config: Any, name: str, low: float, high: float = math.inf, *, below: bool = False) -> None:
    """``low <= value <= high``, or ``< high`` with ``below``; whole numbers if the default is one."""
    value = getattr(config, name)
    whole = isinstance(_default(config, name), int)
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        raise ConfigError(f"{name} must be a {'whole number' if whole else 'number'}, got {shown(value)}")
    if not (low <= value and (value < high if below else value <= high)):
        upper = "" if high == math.inf else f" and {'below' if below else 'at most'} {high}"
        raise ConfigError(f"{name} must be at least {low}{upper}, got {shown(value)}")


def _check_most(config: Any) -> None:
    """Check that no whole number is above :data:`MOST`."""
    for name, value in vars(config).items():
        most = MOST.get(name, _MOST)
        if isinstance(value, int) and value > most:
            raise ConfigError(f"{name} must be at most {most:,}, got {shown(value)}")


def _check_choice(config: Any, name: str, choices: Iterable[str]) -> None:
    value = getattr(config, name)
    if value not in tuple(choices):  # a list, say, cannot be looked up in a dictionary
        raise ConfigError(f"{name} must be one of {', '.join(choices)}; got {shown(value)}")


def _check_bool(config: Any, name: str) -> None:
    value = getattr(config, name)
    if not isinstance(value, bool):
        raise ConfigError(f"{name} must be true or false, got {shown(value)}")


def _default(config: Any, name: str) -> Any:
    return next(f.default for f in dataclasses.fields(config) if f.name == name)


@brief
@dataclass(frozen=True, kw_only=True)
class GPTConfig:
    """The shape of a GPT; GPT-2's names. Raises ConfigError for a field out of range."""

    vocab_size: int = _setting(65, "number of different characters; set by the text")
    block_size: int = _setting(16, "context: how many characters the model sees at once")
    n_layer: int = _setting(1, "number of transformer blocks")
    n_head: int = _setting(4, "attention heads per block; must divide n_embd")
    n_embd: int = _setting(16, "width: numbers per position in the residual stream")
    positions: str = _setting(
        "learned", "position encoding: learned, a vector per position; rotary, queries and keys are rotated"
    )
    norm: str = _setting("rmsnorm", f"normalization before each part: {' or '.join(NORMS)}")
    norm_weight: bool = _setting(False, "give each norm a learned weight per feature")
    mlp_ratio: int = _setting(4, "width of the MLP's hidden layer, in widths of the model")
    activation: str = _setting("relu", f"activation of the MLP: {', '.join(ACTIVATIONS)}")
    bias: bool = _setting(False, "add biases to linear layers (and to a layernorm that has weights)")
    tied_head: bool = _setting(False, "use the token embedding as output layer too (Press and Wolf 2017)")
    dropout: float = _setting(0.0, "fraction of activations set to zero during training")
    init_std: float = _setting(0.08, "standard deviation of the weights at the start")

    def __post_init__(self) -> None:
        for name in ("vocab_size", "block_size", "n_layer", "n_head", "n_embd", "mlp_ratio"):
            _check_range(self, name, 1)
        _check_most(self)
        _check_range(self, "dropout", 0.0, 1.0, below=True)
        _check_range(self, "init_std", 0.0, 1000.0)
        _check_choice(self, "positions", POSITIONS)
        _check_choice(self, "norm", NORMS)
        _check_choice(self, "activation", ACTIVATIONS)
        for name in ("norm_weight", "bias", "tied_head"):
            _check_bool(self, name)
        if self.n_embd % self.n_head:
            raise ConfigError(
                f"n_head must divide n_embd so that all heads are of one size; got n_embd {self.n_embd} "
                f"and n_head {self.n_head}, which leaves {self.n_embd % self.n_head}"
            )
        if self.positions == "rotary" and self.n_embd // self.n_head % 2:
            raise ConfigError(
                f"rotary positions turn pairs of numbers, so n_embd / n_head must be even; got n_embd {self.n_embd} "
                f"and n_head {self.n_head}, which makes heads of {self.n_embd // self.n_head}"
            )
        matrices = self.vocab_size * (2 - self.tied_head) + self.block_size
        matrices += (4 + 2 * self.mlp_ratio) * self.n_layer * self.n_embd
        if matrices * self.n_embd > LARGEST:
            raise ConfigError(
                f"this model would have {matrices * self.n_embd:,} parameters, each a Value of a hundred bytes; "
                f"choose a smaller n_embd, n_layer or block_size (the limit is {LARGEST:,} parameters)"
            )


@brief
@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How a run trains. Raises ConfigError for a field out of range."""

    steps: int = _setting(2000, "optimizer steps in the whole run")
    batch_size: int = _setting(32, "sequences per step")
    lr: float = _setting(1e-2, "peak learning rate")
    min_lr: float = _setting(1e-3, "learning rate at the end of the schedule")
    warmup_steps: int = _setting(100, "steps over which the learning rate rises to its peak")
    schedule: str = _setting("cosine", f"how the learning rate falls after that: {', '.join(SCHEDULES)}")
    beta1: float = _setting(0.9, "AdamW: decay of the running mean of the gradient")
    beta2: float = _setting(0.99, "AdamW: decay of the running mean of its square")
    eps: float = _setting(1e-8, "AdamW: added to the root in the divisor")
    weight_decay: float = _setting(0.1, "AdamW: decay of the weight matrices toward zero")
    grad_clip: float = _setting(1.0, "largest norm of all gradients together; 0 does not clip")
    seed: int = _setting(1337, "the one seed: initial weights, batches, samples")
    eval_interval: int = _setting(250, "steps between validations; 0 validates only at the end")
    eval_sequences: int = _setting(256, "sequences per validation, spread evenly over the validation text")
    final_eval_sequences: int = _setting(0, "sequences in the validation at the end of the run; 0 takes all")
    sample_interval: int = _setting(500, "steps between printed samples; 0 prints only the one at the end")
    checkpoint_interval: int = _setting(250, "steps between checkpoints; 0 saves only at the end")
    patience: int = _setting(0, "stop after this many validations without a lower loss; 0 never stops early")
    keep: int = _setting(0, "snapshots of the parameters to keep, more of them early in the run; 0 keeps none")
    threads: int = _setting(1, "processor cores among which every batch is split")
    engine: str = _setting(ENGINES[0], "compiled: as an array program; scalar: Value by Value; torch: with PyTorch")
    device: str = _setting(DEVICES[0], "device of the torch engine: cpu or cuda")

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "eval_sequences", "threads"):
            _check_range(self, name, 1)
        for name in (
            "final_eval_sequences",
            "warmup_steps",
            "eval_interval",
            "sample_interval",
            "checkpoint_interval",
            "patience",
            "keep",
            "seed",
        ):
            _check_range(self, name, 0)
        _check_most(self)
        for name in ("lr", "min_lr", "eps", "weight_decay", "grad_clip"):
            _check_range(self, name, 0.0, 1000.0)
        for name in ("beta1", "beta2"):
            _check_range(self, name, 0.0, 1.0, below=True)
        _check_choice(self, "schedule", SCHEDULES)
        _check_choice(self, "engine", ENGINES)
        _check_choice(self, "device", DEVICES)
        if self.device != "cpu" and self.engine != "torch":
            raise ConfigError(
                f"device {self.device} needs --engine torch; the engine {self.engine} has --device cpu only"
            )
        if self.min_lr > self.lr:
            raise ConfigError(f"min_lr must be at most lr; got min_lr {self.min_lr} and lr {self.lr}")


def made(kind: type[_Config], fields: Mapping[str, Any]) -> _Config:
    """Make a configuration from the fields in a file; raises ConfigError for an unknown one, too."""
    known = {field.name for field in dataclasses.fields(kind)}
    unknown = [shown(name) for name in fields if name not in known]
    if unknown:
        raise ConfigError(f"unknown setting: {', '.join(unknown[:3])}")
    return kind(**fields)


@brief
@dataclass(frozen=True, kw_only=True)
class Preset:
    """A model and a way to train it that go together."""

    summary: str
    model: Mapping[str, Any]
    train: Mapping[str, Any]


PRESETS: dict[str, Preset] = {
    "micro": Preset(
        summary="1 layer, width 16, 4 heads, context 16: also learns in minutes on pure scalars",
        model={"n_layer": 1, "n_embd": 16, "n_head": 4, "block_size": 16, "activation": "relu2"},
        train={"weight_decay": 0.0},
    ),
    "tiny": Preset(
        summary="1 layer, width 32, 2 heads, context 32",
        model={"n_layer": 1, "n_embd": 32, "n_head": 2, "block_size": 32, "activation": "relu2"},
        train={},
    ),
    "tinylm": Preset(
        summary="1 layer, width 32, 2 heads, context 32, an MLP of width 64, a tied head: the TinyLM of lesson 10",
        model={
            "n_layer": 1,
            "n_embd": 32,
            "n_head": 2,
            "block_size": 32,
            "mlp_ratio": 2,
            "tied_head": True,
            "init_std": 0.05,
        },
        train={},
    ),
    "small": Preset(
        summary="2 layers, width 64, 4 heads, context 64: about a minute with the compiler",
        model={
            "n_layer": 2,
            "n_embd": 64,
            "n_head": 4,
            "block_size": 64,
            "activation": "relu2",
            "init_std": 0.05,
        },
        train={"batch_size": 16, "lr": 5e-3, "min_lr": 5e-4},
    ),
    # nanoGPT's README, "I only have a macbook": 2,000 steps, batch 12, AdamW, warm-up and cosine. The learning rate is
    # twice nanoGPT's: on tinyshakespeare 1e-3 ends at 1.90 (in PyTorch too), 2e-3 at 1.80.
    "nano": Preset(
        summary="4 layers, width 128, 4 heads, context 64, batch 12: nanoGPT's recipe for a CPU",
        model={
            "n_layer": 4,
            "n_embd": 128,
            "n_head": 4,
            "block_size": 64,
            "norm": "layernorm",
            "norm_weight": True,
            "activation": "gelu",
            "tied_head": True,
            "init_std": 0.02,
        },
        train={
            "steps": 2000,
            "batch_size": 12,
            "lr": 2e-3,
            "min_lr": 2e-4,
            "threads": 2,
        },
    ),
    "base": Preset(
        summary="4 layers, width 160, 4 heads, context 128, rotary positions: half an hour on two cores",
        model={
            "n_layer": 4,
            "n_embd": 160,
            "n_head": 4,
            "block_size": 128,
            "positions": "rotary",
            "activation": "relu2",
            "dropout": 0.15,
            "tied_head": True,
            "init_std": 0.02,
        },
        train={
            "steps": 10000,
            "batch_size": 16,
            "lr": 1.5e-3,
            "min_lr": 7.5e-5,
            "threads": 2,
            # Half as often as elsewhere: half an hour is for training.
            "eval_interval": 500,
            "sample_interval": 1000,
            "checkpoint_interval": 500,
        },
    ),
}


def preset(name: str) -> Preset:
    """Return the preset called ``name``; raises ConfigError with the known names if there is none."""
    try:
        return PRESETS[name]
    except KeyError:
        raise ConfigError(f"unknown preset: {name!r} (must be one of {', '.join(PRESETS)})") from None
