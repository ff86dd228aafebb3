"""The settings of a model and of a training run: frozen, checked, and the source of every command-line flag."""

from __future__ import annotations

from dataclasses import dataclass

from tinygrad_edu.errors import brief
from tinygrad_edu.nn import ACTIVATIONS
from tinygrad_edu.training import settings
from tinygrad_edu.training.errors import ConfigError
from tinygrad_edu.training.settings import (
    Preset,
    TrainSettings,
    check_choice,
    check_most,
    check_range,
    setting,
)

from .data import digits, shapes

__all__ = [
    "CONDITIONS",
    "DATA",
    "DEFAULT_PRESET",
    "ENGINES",
    "LARGEST",
    "NETWORKS",
    "PRESETS",
    "ModelConfig",
    "TrainConfig",
    "preset",
]

#: How many numbers an example of each kind of data has.
DATA = {"moons": 2, "spiral": 2, "digits": digits.SIDE**2, "shapes": shapes.SIDE**2}
NETWORKS = ("mlp", "transformer")
CONDITIONS = ("nothing", "class", "text")
ENGINES = ("compiled", "scalar")
_MOST = {"width": 1 << 12, "layers": 1 << 8, "heads": 1 << 8, "patch": 64, "latent": 1 << 8, "hidden": 1 << 12}
LARGEST = 20_000_000  # parameters; more scalars would not fit into the memory of an ordinary machine


@brief
@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The shape of a model. Raises ConfigError for a field out of range."""

    data: str = setting("digits", f"what it learns to paint: {', '.join(DATA)}")
    condition: str = setting("nothing", f"what it is told: {', '.join(CONDITIONS)}")
    network: str = setting("transformer", f"the network that says where to go: {' or '.join(NETWORKS)}")
    width: int = setting(64, "numbers per patch in the residual stream; of an MLP, the width of its layers")
    layers: int = setting(3, "number of transformer blocks, or of hidden layers")
    heads: int = setting(4, "attention heads per block; must divide the width")
    patch: int = setting(2, "side of a patch, the token of the transformer, in pixels; must divide that of the picture")
    mlp_ratio: int = setting(4, "width of a block's MLP, in widths of the model")
    activation: str = setting("silu", f"activation of the MLPs: {', '.join(ACTIVATIONS)}")
    latent: int = setting(0, "numbers that an autoencoder makes of each patch; 0 paints pixels")
    hidden: int = setting(128, "width of the autoencoder's hidden layers")
    kl: float = setting(1e-4, "autoencoder: weight of the loss that keeps its numbers near those of noise")

    def __post_init__(self) -> None:
        for name in ("width", "layers", "heads", "patch", "mlp_ratio", "hidden"):
            check_range(self, name, 1)
        check_range(self, "latent", 0)
        check_range(self, "kl", 0.0, 1000.0)
        check_most(self, _MOST)
        check_choice(self, "data", DATA)
        check_choice(self, "condition", CONDITIONS)
        check_choice(self, "network", NETWORKS)
        check_choice(self, "activation", ACTIVATIONS)
        if self.network == "transformer":
            if DATA[self.data] == 2:
                raise ConfigError(f"points have no patches: data {self.data} needs network mlp, got transformer")
            if self.width % self.heads:
                raise ConfigError(f"heads must divide width; got width {self.width} and heads {self.heads}")
        if self.latent and DATA[self.data] == 2:
            raise ConfigError(f"an autoencoder needs pictures; got data {self.data} and latent {self.latent}")
        if (self.network == "transformer" or self.latent) and self.side % self.patch:
            raise ConfigError(f"patch must divide the side of the picture, {self.side}; got {self.patch}")
        told = {"class": "digits", "text": "shapes"}.get(self.condition, self.data)
        if self.data != told:
            raise ConfigError(f"condition {self.condition} needs data {told}, got {self.data}")
        if self.condition == "text" and self.network == "mlp":
            raise ConfigError("condition text needs network transformer: patches ask the words, and an MLP has none")
        size = self.layers * self.width**2 * (self.mlp_ratio * 2 + 17) + self.hidden * (2 * self.patch**2 + self.latent)
        if size > LARGEST:
            raise ConfigError(
                f"this model would have about {size:,} parameters, each a Value of a hundred bytes; choose a smaller "
                f"width or fewer layers (the limit is {LARGEST:,} parameters)"
            )

    @property
    def pixels(self) -> int:
        """How many numbers a picture has, or a point."""
        return DATA[self.data]

    def shape(self) -> str:
        """Say what the network is made of."""
        if self.network == "mlp":
            return f"an MLP with {self.layers} hidden layers of {self.width}"
        patches = f"patches of {self.patch}×{self.patch}" + f" as {self.latent} numbers" * bool(self.latent)
        return f"{self.layers} blocks, width {self.width}, {self.heads} heads, {patches}"

    @property
    def side(self) -> int:
        """The side of a picture in pixels; 1 for a point."""
        return 1 if self.pixels == 2 else round(self.pixels**0.5)

    @property
    def across(self) -> int:
        """How many patches there are from left to right."""
        return self.side // self.patch

    @property
    def numbers(self) -> int:
        """How many numbers the flow makes: pixels, or those of an autoencoder."""
        return self.across**2 * self.latent or self.pixels


@brief
@dataclass(frozen=True, kw_only=True)
class TrainConfig(TrainSettings):
    """How a run trains. Raises ConfigError for a field out of range."""

    steps: int = setting(1000, "optimizer steps in the whole run")
    batch_size: int = setting(64, "examples per step")
    lr: float = setting(2e-3, "peak learning rate")
    min_lr: float = setting(1e-4, "learning rate at the end of the schedule")
    warmup_steps: int = setting(50, "steps over which the learning rate rises to its peak")
    weight_decay: float = setting(0.01, "AdamW: decay of the weight matrices toward zero")
    eval_interval: int = setting(200, "steps between validations; 0 validates only at the end")
    sample_interval: int = setting(200, "steps between painted samples; 0 paints only at the end")
    checkpoint_interval: int = setting(200, "steps between checkpoints; 0 saves only at the end")
    untold: float = setting(0.1, "share of the examples in which the model is told nothing, for guidance")
    keep: int = setting(9, "snapshots of the parameters to keep, more of them early in the run; 0 keeps none")
    threads: int = setting(2, "processor cores among which every batch is split")
    engine: str = setting(ENGINES[0], "compiled: as an array program; scalar: Value by Value")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "untold", 0.0, 1.0)
        check_choice(self, "engine", ENGINES)


DEFAULT_PRESET = "digits-class"
PRESETS: dict[str, Preset] = {
    "points": Preset(
        summary="a flow in the plane: an MLP moves noise onto two moons; seconds",
        model={"data": "moons", "network": "mlp", "width": 64, "layers": 3},
        train={
            "steps": 2500,
            "batch_size": 128,
            "lr": 5e-3,
            "threads": 1,
            "sample_interval": 500,
            "eval_interval": 500,
        },
    ),
    "digits": Preset(
        summary="handwritten digits of 8 × 8 pixels, any of them: a diffusion transformer",
        model={"data": "digits"},
        train={"steps": 700},
    ),
    "digits-class": Preset(
        summary="the digit that is asked for: its class, and guidance",
        model={"data": "digits", "condition": "class"},
        train={"steps": 800},
    ),
    "shapes-text": Preset(
        summary="drawn shapes of 12 × 12 pixels from words, by cross-attention",
        model={"data": "shapes", "condition": "text"},
        train={"steps": 4000, "weight_decay": 0.3, "eval_interval": 500, "sample_interval": 500},
    ),
    "shapes-latent": Preset(
        summary="the same in the 96 numbers of an autoencoder: faster",
        model={"data": "shapes", "condition": "text", "patch": 6, "latent": 24},
        train={"steps": 4000, "weight_decay": 0.6, "eval_interval": 500, "sample_interval": 500},
    ),
}


def preset(name: str) -> Preset:
    """Return the preset called ``name``; raises ConfigError with the known names if there is none."""
    return settings.preset_of(PRESETS, name)
