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

__all__ = ["baselines_text", "command_line", "final_validation", "judged", "loss_words"]


def command_line(words: str, folder: Path) -> str:
    """A command as this person would type it: through run.py, or with an activated environment."""
    return f"{console.launcher()} gpt {words} {shlex.quote(str(folder))}"


def baselines_text(baselines: Sequence[Baseline]) -> str:
    """What counting alone reaches, a line per baseline."""
    return "\n".join(f"  {baseline.name:<8}{baseline.loss:.3f}   knows {baseline.counts}" for baseline in baselines)


def loss_words(loss: float) -> str:
    """A loss in nats, in bits and as a perplexity."""
    bits = loss / math.log(2)
    return f"{loss:.4f} nats per character ({bits:.3f} bits, perplexity {math.exp(min(loss, 700.0)):.2f})"


def judged(loss: float, baselines: Sequence[Baseline]) -> str:
    """The same, compared with counting; ``baselines`` may be empty when nothing could be counted."""
    return f"{loss_words(loss)}: {ngram.verdict(loss, baselines)}" if baselines else loss_words(loss)


def final_validation(record: Mapping[str, Any], config: TrainConfig) -> str:
    """What the last validation of a run read, where that is not what those on the way have read; else nothing.

    The losses are not to be compared: they are of other texts.
    """
    if "watched_loss" not in record:
        return ""
    if config.final_eval_sequences == 0:
        return "; this is on all of the validation text"
    return f"; this is on {config.final_eval_sequences:,} sequences of the validation text"
