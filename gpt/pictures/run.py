"""What pictures need of a run's folder: the model, its text, its log."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinygrad_edu import Value, collector_paused, no_grad, record_calls
from tinygrad_edu.calls import CallRecord
from tinygrad_edu.compiler import Compiled, jit
from tinygrad_edu.errors import brief
from tinygrad_edu.gradient_stats import GradientStats
from viz import DrawingError

from ..data import ngram
from ..data.corpus import Corpus
from ..data.ngram import Baseline
from ..errors import DataError
from ..inspection.loss_graph import Recorded, recorded_end, recorded_loss
from ..model import GPT
from ..runs import checkpoint
from ..runs.checkpoint import RunConfig
from ..sample import ScalarScorer
from ..tokenizer import CharTokenizer

__all__ = ["Checkpoint", "SavedRun", "load", "settings"]


@brief
@dataclass(frozen=True)
class SavedRun:
    """A run without its parameters.

    Attributes:
        folder: its folder.
        config: the settings of model and training, and the source of the text.
        tokenizer: characters to tokens and back.
    """

    folder: Path
    config: RunConfig
    tokenizer: CharTokenizer

    def tokens(self, text: str | None = None, length: int | None = None) -> list[int]:
        """Return the tokens of a text, or of the beginning of the run's validation text.

        Args:
            text: any text in the alphabet of the run.
            length: the largest number of tokens; by default the whole context and the character that follows it.

        Raises DrawingError if the text is empty or that of the run is gone, UnknownCharacterError for a character that
        is not in the alphabet.
        """
        length = self.config.model.block_size + 1 if length is None else length
        if length < 1:
            raise DrawingError(f"a picture shows at least 1 character, got {length}")
        try:
            found = list(
                self.corpus().val[:length] if text is None else self.tokenizer.encode(self.config.normalized(text))
            )
        except DrawingError as error:
            raise DrawingError(f"{error}; give another text with --text") from None
        if not found:
            raise DrawingError("the text is empty; give at least one character")
        return found[:length]

    def characters(self, tokens: Sequence[int]) -> list[str]:
        """Return each token as its character."""
        return [self.tokenizer.decode([token]) for token in tokens]

    def log(self) -> list[dict[str, Any]]:
        """The lines of the run's log: a dict per step."""
        return checkpoint.read_log(self.folder)

    def flow(self) -> dict[int, list[GradientStats]]:
        """Return by step the gradient statistics measured in training, one per table of parameters."""
        return checkpoint.read_flow(self.folder)

    def baselines(self) -> list[Baseline]:
        """Compute the baselines on the run's text, in a few seconds."""
        corpus = self.corpus()
        return ngram.baselines(corpus.train, corpus.val, self.tokenizer.vocab_size)

    def corpus(self) -> Corpus:
        """Return the text of the run in its two parts; raises DrawingError if it can no longer be read."""
        try:
            return Corpus.from_text(self.config.text(), self.config.model.block_size, self.tokenizer)
        except DataError as error:
            raise DrawingError(f"the text that {self.folder} was trained on cannot be read: {error}") from None


@brief
@dataclass(frozen=True)
class Checkpoint(SavedRun):
    """A run with its parameters as they were saved.

    Attributes:
        model: the model, with dropout off.
        step: the step at which its parameters were saved.
    """

    model: GPT
    step: int

    def embeddings(self, *, positions: bool = False) -> Sequence[Sequence[Value]]:
        """Return a vector per character of the alphabet, or per position of the context.               # (V or T, C)"""
        tables = self.model.transformer
        if not positions:
            return tables.wte.weight
        if not tables.learned:
            raise DrawingError("this model turns queries and keys by angles; it has no vectors of positions to show")
        return tables.wpe.weight

    def called(self, tokens: Sequence[int]) -> CallRecord:
        """Record the module calls on tokens, without a graph: that of a large model would fill the memory."""
        with no_grad(), record_calls() as calls, collector_paused():
            self.model(tokens)
        return calls

    def compiled(self, tokens: Sequence[int]) -> Compiled:
        """Compile the loss of the model, for texts as long as these tokens without the last."""
        compiled = jit(self.model.loss, self.model)
        compiled([list(tokens[:-1])], [list(tokens[1:])])
        return compiled

    def recorded(self, tokens: Sequence[int]) -> tuple[Value, CallRecord, int]:
        """Return the loss on tokens after ``backward()``, the recorded calls, and the number of predicted tokens.

        The first tokens are read and the ones after them are targets, as :mod:`gpt.inspection.loss_graph` says.
        """
        _check_pair(tokens)
        return recorded_loss(self.model, tokens)

    def recorded_end(self, tokens: Sequence[int], most: int, whole: int) -> Recorded:
        """Do the same for the last blocks if the model is large, see :func:`gpt.inspection.loss_graph.recorded_end`."""
        _check_pair(tokens)
        return recorded_end(self.model, tokens, most, whole)

    def logits(self, tokens: Sequence[int]) -> list[float]:
        """Return the scores of the next token; the model sees the last ``block_size`` tokens.           # (T) → (V)"""
        return list(ScalarScorer(self.model)(tokens[-self.config.model.block_size :]))


def _check_pair(tokens: Sequence[int]) -> None:
    if len(tokens) < 2:
        raise DrawingError(f"a loss needs a character and the one that follows it; got {len(tokens)}")


def settings(folder: str | os.PathLike[str]) -> SavedRun:
    """Load the run in a folder without its parameters; raises CheckpointError as :func:`load` does."""
    path = Path(folder)
    return SavedRun(path, checkpoint.load_config(path), checkpoint.load_tokenizer(path))


def load(folder: str | os.PathLike[str], *, best: bool = False) -> Checkpoint:
    """Load the run in a folder that ``python -m gpt train`` wrote.

    Args:
        folder: the folder of the run.
        best: whether to take the parameters with the lowest validation loss instead of the last.

    Raises CheckpointError, with what is missing or damaged.
    """
    path = Path(folder)
    model, config, tokenizer, step = checkpoint.load_model(path, checkpoint.BEST if best else checkpoint.MODEL)
    model.eval()
    return Checkpoint(path, config, tokenizer, model, step)
