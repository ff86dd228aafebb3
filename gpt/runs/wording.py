"""The words for a run: what its losses mean, and the next command to type."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tinygrad_edu import console

from ..config import TrainConfig
from ..data import ngram
from ..data.ngram import Baseline

__all__ = ["OF_DOCUMENTS", "baselines_text", "command_line", "final_validation", "judged", "loss_words"]


OF_DOCUMENTS = "Every line of the text is a document; losses are per character, the line end of a document included."


def command_line(words: str, folder: Path) -> str:
    """Return a command as it is typed here: through run.py, or with an activated environment."""
    return f"{console.launcher()} gpt {words} {shlex.quote(str(folder))}"


def baselines_text(baselines: Sequence[Baseline]) -> str:
    """Return the baselines, one line each."""
    return "\n".join(f"  {baseline.name:<8}{baseline.loss:.3f}   knows {baseline.counts}" for baseline in baselines)


def loss_words(loss: float, per: str = "character") -> str:
    """Write a loss in nats, in bits and as a perplexity."""
    bits = loss / math.log(2)
    return f"{loss:.4f} nats per {per} ({bits:.3f} bits, perplexity {math.exp(min(loss, 700.0)):.2f})"


def judged(loss: float, baselines: Sequence[Baseline]) -> str:
    """The same, compared with counting; ``baselines`` may be empty when nothing could be counted."""
    return f"{loss_words(loss)}: {ngram.verdict(loss, baselines)}" if baselines else loss_words(loss)


def final_validation(record: Mapping[str, Any], config: TrainConfig) -> str:
    """Say what the last validation of a run read, if it differs from the validations during training.

    Their losses cannot be compared, because they are of different texts.
    """
    if "watched_loss" not in record:
        return ""
    if config.final_eval_sequences == 0:
        return "; this is on all of the validation text"
    return f"; this is on {config.final_eval_sequences:,} sequences of the validation text"
