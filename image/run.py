"""A run on disk.

::

    DIR/
      config.json             model and training settings
      model.safetensors       the parameters
      training.safetensors    what a resumed run needs: parameters, AdamW's means, the step
      log.jsonl               one line per step
      flow.jsonl              gradients at the validations, one line per table of parameters
      snapshots/              the parameters on the way, step-0000500.safetensors; at most as many as --keep says
      samples/                what it painted on the way, step-0000500.png

Every file is replaced in one step. There is no pickle: reading a checkpoint runs no code.
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from tinygrad_edu import collector_paused
from tinygrad_edu.errors import brief
from tinygrad_edu.nested import shape
from tinygrad_edu.training import files, reading
from tinygrad_edu.training.errors import CheckpointError, ConfigError
from tinygrad_edu.training.files import CONFIG, MODEL, NoDraws
from tinygrad_edu.training.settings import made

from .config import ModelConfig, TrainConfig
from .model import Painter

__all__ = ["FORMAT", "RunConfig", "SavedRun", "check_shapes", "load_config", "save_config", "unfilled"]

FORMAT = 1
_SCHEMA: reading.Schema = {
    "format": reading.whole(),
    "image": reading.RECORD,
    "train": reading.RECORD,
    "joined": reading.optional(reading.STEP_AND_RATE),
}


@brief
@dataclass(frozen=True)
class RunConfig:
    """The settings of a run, fixed at its start.

    Attributes:
        joined: the step at which the schedule was changed, and the learning rate until then.
    """

    model: ModelConfig
    train: TrainConfig
    joined: tuple[int, float] | None = None


def save_config(folder: Path, config: RunConfig) -> None:
    """Write config.json."""
    content = {"image": dataclasses.asdict(config.model), "train": dataclasses.asdict(config.train)}
    joined = {"joined": config.joined} if config.joined else {}
    files.write_json(folder / CONFIG, {"format": FORMAT, **content, **joined})


def load_config(folder: Path) -> RunConfig:
    """Return the settings of a run; CheckpointError names what is wrong with them."""
    path = folder / CONFIG
    content = files.read_json(path)
    if isinstance(content, dict) and "image" not in content and "model" in content:
        raise CheckpointError(f"{folder} is a run of gpt; expected one that image train has written")
    content = reading.checked(content, _SCHEMA, path)
    if content["format"] != FORMAT:
        raise CheckpointError(f"{path}: format {content['format']!r}, expected {FORMAT}; it is of another version")
    try:
        joined = tuple(content["joined"]) if content.get("joined") else None
        return RunConfig(made(ModelConfig, content["image"]), made(TrainConfig, content["train"]), joined)
    except ConfigError as error:
        raise CheckpointError(f"{path} does not describe a run: {error}") from None


def unfilled(config: ModelConfig) -> Painter:
    """Make a model whose numbers are read from a file next."""
    return Painter(config, seed=NoDraws())


def check_shapes(model: Painter, shapes: Any, source: Path) -> None:
    """Raise CheckpointError if tensors are not those of the model."""
    files.check_shapes(((name, shape(table)) for name, table in model.named_parameters()), shapes, source)


@brief
@dataclass(frozen=True)
class SavedRun:
    """A saved run; its parameters are read when first used.

    Attributes:
        folder: its folder.
        config: the settings of model and training.
    """

    folder: Path
    config: RunConfig

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Self:
        """Open the run in a folder that ``python -m image train`` wrote; nothing is written.

        Raises CheckpointError, with what is missing or damaged.
        """
        path = Path(folder)
        return cls(path, load_config(path))

    @cached_property
    def _loaded(self) -> tuple[Painter, int]:
        with collector_paused():
            model, source = unfilled(self.config.model), self.folder / MODEL
            with reading.open_tensors(source) as file:
                check_shapes(model, file.shapes, source)
                state, step = file.arrays(), files.step_of(files.metadata_of(file), source)
            files.load_parameters(model, state, source, self.config.train.engine)
        return model, step

    @property
    def model(self) -> Painter:
        """The model; raises CheckpointError if its parameters are missing or damaged."""
        return self._loaded[0]

    @property
    def step(self) -> int:
        """The step at which the parameters were saved."""
        return self._loaded[1]

    def log(self) -> list[dict[str, Any]]:
        """The lines of the run's log: a dict per step."""
        return files.read_log(self.folder)
