"""The settings of a model and of a training run: frozen, checked, and the source of every command-line flag.

Each field carries its help text, so the command line, the error messages and this page always agree.
"""

from __future__ import annotations

from dataclasses import dataclass

from tinygrad_edu.errors import brief
from tinygrad_edu.nn import ACTIVATIONS
from tinygrad_edu.training import settings
from tinygrad_edu.training.settings import Preset as Preset
from tinygrad_edu.training.settings import TrainSettings, check_bool, check_choice, check_most, check_range, setting
from tinygrad_edu.training.settings import made as made

from .errors import ConfigError

__all__ = [
    "DEVICES",
    "ENGINES",
    "LARGEST",
    "MOST",
    "NORMS",
    "POSITIONS",
    "PRESETS",
    "GPTConfig",
    "TrainConfig",
    "preset",
]

NORMS = ("rmsnorm", "layernorm")
POSITIONS = ("learned", "rotary")
LARGEST = 100_000_000  # parameters as Values; more would not fit into the memory of an ordinary machine
# Limits no model needs to exceed, so that a mistyped or hostile number cannot fill memory.
MOST = {"vocab_size": 1 << 16, "block_size": 1 << 14, "n_layer": 1 << 10}
ENGINES = ("compiled", "scalar", "torch")
DEVICES = ("cpu", "cuda")


@brief
@dataclass(frozen=True, kw_only=True)
class GPTConfig:
    """The shape of a GPT; GPT-2's names. Raises ConfigError for a field out of range."""

    vocab_size: int = setting(65, "number of different characters; set by the text")
    block_size: int = setting(16, "context: how many characters the model sees at once")
    n_layer: int = setting(1, "number of transformer blocks")
    n_head: int = setting(4, "attention heads per block; must divide n_embd")
    n_embd: int = setting(16, "width: numbers per position in the residual stream")
    positions: str = setting(
        "learned", "position encoding: learned, a vector per position; rotary, queries and keys are rotated"
    )
    norm: str = setting("rmsnorm", f"normalization before each part: {' or '.join(NORMS)}")
    norm_weight: bool = setting(False, "give each norm a learned weight per feature")
    mlp_ratio: int = setting(4, "width of the MLP's hidden layer, in widths of the model")
    activation: str = setting("relu", f"activation of the MLP: {', '.join(ACTIVATIONS)}")
    bias: bool = setting(False, "add biases to linear layers (and to a layernorm that has weights)")
    tied_head: bool = setting(False, "use the token embedding as output layer too (Press and Wolf 2017)")
    dropout: float = setting(0.0, "fraction of activations set to zero during training")
    init_std: float = setting(0.08, "standard deviation of the weights at the start")

    def __post_init__(self) -> None:
        for name in ("vocab_size", "block_size", "n_layer", "n_head", "n_embd", "mlp_ratio"):
            check_range(self, name, 1)
        check_most(self, MOST)
        check_range(self, "dropout", 0.0, 1.0, below=True)
        check_range(self, "init_std", 0.0, 1000.0)
        check_choice(self, "positions", POSITIONS)
        check_choice(self, "norm", NORMS)
        check_choice(self, "activation", ACTIVATIONS)
        for name in ("norm_weight", "bias", "tied_head"):
            check_bool(self, name)
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


@brief
@dataclass(frozen=True, kw_only=True)
class TrainConfig(TrainSettings):
    """How a run trains. Raises ConfigError for a field out of range."""

    batch_size: int = setting(32, "sequences per step")
    eval_sequences: int = setting(256, "sequences per validation, spread evenly over the validation text")
    final_eval_sequences: int = setting(0, "sequences in the validation at the end of the run; 0 takes all")
    patience: int = setting(0, "stop after this many validations without a lower loss; 0 never stops early")
    engine: str = setting(ENGINES[0], "compiled: as an array program; scalar: Value by Value; torch: with PyTorch")
    device: str = setting(DEVICES[0], "device of the torch engine: cpu or cuda")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "eval_sequences", 1)
        check_range(self, "final_eval_sequences", 0)
        check_range(self, "patience", 0)
        check_choice(self, "engine", ENGINES)
        check_choice(self, "device", DEVICES)
        if self.device != "cpu" and self.engine != "torch":
            raise ConfigError(
                f"device {self.device} needs --engine torch; the engine {self.engine} has --device cpu only"
            )


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
        summary="4 layers, width 160, 4 heads, context 256, rotary positions: half an hour on two cores",
        model={
            "n_layer": 4,
            "n_embd": 160,
            "n_head": 4,
            "block_size": 256,
            "positions": "rotary",
            "activation": "relu2",
            "dropout": 0.15,
            "tied_head": True,
            "init_std": 0.02,
        },
        train={
            "steps": 13500,
            "batch_size": 8,
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
    return settings.preset_of(PRESETS, name)
