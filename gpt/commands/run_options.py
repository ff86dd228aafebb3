"""Command-line options of a new run: a preset, the settings that differ from it, and a text."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinygrad_edu.training.flags import add_settings

from ..config import PRESETS, GPTConfig, TrainConfig, preset
from ..data.corpus import DEFAULT_DATASET, Corpus, kept_text, open_text
from ..data.text import Text, parse_normalizations
from ..model import check_size
from ..runs.checkpoint import RunConfig
from ..train import text_sha256
from .common import documents_chosen, normalize_flag, say_parts, text_flags

DEFAULT_PRESET = "small"


def preset_flags(command: argparse.ArgumentParser) -> None:
    """Add ``--preset`` and the text."""
    command.add_argument("--preset", metavar="P", help=f"a model and how to train it (default: {DEFAULT_PRESET})")
    text_flags(command)
    normalize_flag(command)


def settings() -> dict[type, dict[str, tuple[Any, str]]]:
    """Return the settings of model and training by name: the value in the default preset, and the help text."""
    chosen = PRESETS[DEFAULT_PRESET]
    found: dict[type, dict[str, tuple[Any, str]]] = {}
    for config in (GPTConfig(**chosen.model), TrainConfig(**chosen.train)):
        found[type(config)] = {
            field.name: (getattr(config, field.name), field.metadata["help"])
            for field in dataclasses.fields(config)
            if field.name != "vocab_size"  # determined by the text
        }
    return found


def setting_flags(command: argparse.ArgumentParser, leave_out: Collection[str] = ()) -> None:
    """Add a flag for every setting of the model and of the training."""
    chosen, hidden = PRESETS[DEFAULT_PRESET], ("vocab_size", *leave_out)  # the size of the alphabet is the text's
    add_settings(command, "the model", GPTConfig, chosen.model, DEFAULT_PRESET, hidden)
    add_settings(command, "training", TrainConfig, chosen.train, DEFAULT_PRESET, hidden)


def configs(
    preset_name: str | None, model: Mapping[str, Any], train: Mapping[str, Any]
) -> tuple[GPTConfig, TrainConfig]:
    """Return the settings of a preset with changes; the size of the alphabet is still unknown."""
    chosen = preset(preset_name or DEFAULT_PRESET)
    changes = dict(train)
    if "lr" in changes:
        changes.setdefault("min_lr", changes["lr"] / 10)  # the end moves with the peak
    changes = {**chosen.train, **changes}
    if changes.get("engine") == "scalar":
        changes.setdefault("final_eval_sequences", 256)  # all of them would take minutes with pure scalars
    shape = GPTConfig(**{**chosen.model, **model})
    check_size(shape)
    return shape, TrainConfig(**changes)


@dataclass(frozen=True)
class ChosenText:
    """A text named on the command line.

    Attributes:
        dataset, data: its name, or else its path.
        text: the text.
    """

    dataset: str | None
    data: str | None
    text: Text

    @classmethod
    def of(cls, options: argparse.Namespace) -> ChosenText:
        """Return the text of these options; prints which files it consists of."""
        dataset = None if options.data else options.dataset or DEFAULT_DATASET
        data = str(Path(kept_text(options.data)).absolute()) if options.data else None
        text = open_text(dataset, data, parse_normalizations(options.normalize or "none"), documents_chosen(options))
        say_parts(text)
        return cls(dataset, data, text)

    @property
    def name(self) -> str:
        """For a folder."""
        return self.dataset or Path(str(self.data)).stem

    def run(self, model: GPTConfig, train: TrainConfig) -> tuple[RunConfig, Corpus]:
        """Return the settings of a run on this text, and the text in its two parts."""
        corpus = Corpus.from_text(self.text, model.block_size)
        model = dataclasses.replace(model, vocab_size=corpus.tokenizer.vocab_size)
        source = (self.dataset, self.data, text_sha256(self.text), self.text.normalize, self.text.documents)
        return RunConfig(model, train, *source), corpus
