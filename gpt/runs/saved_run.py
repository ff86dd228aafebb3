"""Open the run in a folder, for commands, pictures, inspection and experiments.

Only :func:`gpt.train.resume` reads more: the state of the optimizer, to continue training.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from tinygrad_edu.errors import brief
from tinygrad_edu.gradient_stats import GradientStats

from ..byte_pairs import BytePairTokenizer
from ..config import LARGEST
from ..data.corpus import Corpus, cache_folder
from ..data.documents import END
from ..data.ngram import Baseline
from ..errors import CheckpointError, DataError
from ..model import GPT, parameter_count
from ..tokenizer import CharTokenizer
from . import checkpoint
from .checkpoint import RunConfig, Tokenizer

__all__ = ["SavedRun"]


@brief
@dataclass(frozen=True)
class SavedRun:
    """A saved run; its parameters and its text are read when first used.

    Attributes:
        folder: its folder.
        config: the settings of model and training, and the source of the text.
        vocabulary: text to tokens and back.
        file: the name of the file with its parameters.
    """

    folder: Path
    config: RunConfig
    vocabulary: Tokenizer
    file: str

    @classmethod
    def open(cls, folder: str | os.PathLike[str], *, best: bool = False) -> Self:
        """Open the run in a folder that ``python -m gpt train`` wrote; nothing is written.

        Args:
            folder: the folder of the run.
            best: whether to take the parameters with the lowest validation loss instead of the last.

        Raises CheckpointError, with what is missing or damaged.
        """
        path = Path(folder)
        config, tokenizer = checkpoint.load_config(path), checkpoint.load_tokenizer(path)
        return cls(path, config, tokenizer, checkpoint.BEST if best else checkpoint.MODEL)

    @property
    def tokenizer(self) -> CharTokenizer:
        """Characters to tokens and back; raises CheckpointError if the model reads something else."""
        return checkpoint.characters(self.vocabulary, self.folder)

    def arrays(self) -> dict[str, Any]:
        """Return the parameters by name; raises CheckpointError if they are missing, or of another model."""
        return self._opened()[0]

    @cached_property
    def step(self) -> int:
        """The step at which the parameters were saved; raises CheckpointError like :meth:`arrays`."""
        return self._opened()[1]

    def _opened(self) -> tuple[dict[str, Any], int]:
        """Map the file into memory; it is let go with the arrays, for Windows could not replace it."""
        checkpoint.check_vocabulary(self.folder, self.config, self.vocabulary)
        return checkpoint.load_arrays(self.folder, self.config.model, self.file)

    @property
    def on_arrays(self) -> bool:
        """Whether the model is run on arrays, unless an engine is asked for: without a text there is no training, and
        large models cannot be Values."""
        return not self.config.has_text or self._too_large

    @property
    def _too_large(self) -> bool:
        return parameter_count(self.config.model) > LARGEST

    @cached_property
    def model(self) -> GPT:
        """The model, with dropout off; raises CheckpointError if its parameters are missing, damaged or too many."""
        if self._too_large:
            raise CheckpointError(
                f"{self.folder} has {parameter_count(self.config.model):,} parameters; expected at most {LARGEST:,}, "
                f"each a Value; {checkpoint.STILL}"
            )
        return checkpoint.load_model(self.folder, self.file)[0].eval()

    @property
    def end(self) -> int | None:
        """The token at which documents end; None if the model reads one stream of text."""
        if isinstance(self.vocabulary, BytePairTokenizer):
            return self.vocabulary.end
        return self.vocabulary.encode(END)[0] if self.config.documents else None

    def corpus(self) -> Corpus:
        """Return the text of the run in its two parts; raises DataError if it can no longer be read."""
        try:
            return Corpus.from_text(self.config.text(), self.config.model.block_size, self.tokenizer)
        except DataError as error:
            raise DataError(f"the text that {self.folder} was trained on cannot be read: {error}") from None

    def corpus_at_hand(self) -> Corpus | None:
        """Return the same, or None if it is gone or must be downloaded: inspecting a run needs no network."""
        if self.config.data is None and not (cache_folder() / f"{self.config.dataset}.txt").exists():
            return None
        try:
            return self.corpus()
        except DataError:
            return None

    def baselines(self) -> list[Baseline]:
        """Compute the baselines on the run's text, in a few seconds; raises DataError like :meth:`corpus`."""
        return self.corpus().baselines()

    def log(self) -> list[dict[str, Any]]:
        """The lines of the run's log: a dict per step."""
        return checkpoint.read_log(self.folder)

    def flow(self) -> dict[int, list[GradientStats]]:
        """Return by step the gradient statistics measured in training, one per table of parameters."""
        return checkpoint.read_flow(self.folder)
