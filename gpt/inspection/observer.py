"""Inspect a run at any of its snapshots.

It shows what the model does with one sentence: its losses, what its heads attend to, which character it expects next,
what it writes by itself. Compiled programs compute all of it; they are made once and used for every snapshot.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tinygrad_edu.errors import brief

from ..engines.compiled import CompiledEngine
from ..runs import checkpoint
from ..runs.saved_run import SavedRun
from ..sample import distribution
from ..tokenizer import CharTokenizer
from ..train import Run, sample_text
from .examination import Examination

__all__ = ["RECENT", "SENTENCE", "Observation", "Observer", "first_sentence", "observed"]

SENTENCE = 20  # characters: more rows of an attention cannot be read on a screen
RECENT = 20  # steps whose mean is the training loss of an observation: single batches jump


@brief
@dataclass(frozen=True)
class Observation:
    """What a model does at one step of its training.

    Attributes:
        step: the number of steps so far.
        train_loss: the mean of the last steps; None before the first one.
        val_loss: the loss on the sequences of the validations during training.
        sentence_loss: the loss on the sentence.
        sample: the text it writes, the same that training printed at this step.
        attention: by layer and head, row by row: how position i attends to positions 0 to i.     # (layers, nh, T, ≤ T)
        probabilities: those of every token, after each position of the sentence.                          # (T, V)
        given: the input of each block while the sentence is read, an array.                         # (layers, T, C)
    """

    step: int
    train_loss: float | None
    val_loss: float
    sentence_loss: float
    sample: str
    attention: list[list[list[list[float]]]]
    probabilities: list[list[float]]
    given: Any


def observed(run: Run | SavedRun) -> Run:
    """Return a run with an engine that can be inspected: numpy's, on one machine, whatever it is trained with."""
    if isinstance(run, Run) and type(run.engine) is CompiledEngine:
        return run
    engine = CompiledEngine(run.model, replace(run.config.train, engine="compiled", device="cpu"))
    if isinstance(run, Run):
        return replace(run, engine=engine)
    return Run(run.folder, run.config, run.corpus(), run.model, engine, run.step, run.baselines())


def first_sentence(text: Sequence[int], tokenizer: CharTokenizer, length: int) -> list[int]:
    """Return the first line of a text with ``length`` characters, and the character that follows them.

    If no line is that long, return the beginning of the text.
    """
    start = 0
    if "\n" in tokenizer.alphabet:
        (line_end,) = tokenizer.encode("\n")
        for i, token in enumerate(text):
            if token == line_end:
                if i - start > length:
                    break
                start = i + 1
        else:
            start = 0
    return list(text[start : start + length + 1])


class Observer:
    """Sees a run at one snapshot after the other.

    Args:
        run: a run with a compiled engine.
        sentence: at least two tokens; each is read, and the one after it is what a good model expects.

    Attributes:
        sentence: the same.
    """

    def __init__(self, run: Run, sentence: Sequence[int]) -> None:
        self.sentence = list(sentence)
        self._run = run
        self._read, self._following = list(sentence[:-1]), list(sentence[1:])
        self._log = checkpoint.read_log(run.folder)
        #: The examination of the same model, with the same programs.
        self.examination = Examination(run.model, run.corpus.val, len(self._read), run.corpus.end)

    def see(self, snapshot: Path) -> Observation:
        """Put the parameters of a snapshot into the run's model, and look at it."""
        run = self._run
        parameters, metadata = checkpoint.load_tensors(snapshot)
        checkpoint.load_parameters(run.model, parameters, snapshot, "compiled")
        run.step = checkpoint.step_of(metadata, snapshot)
        run.engine.refresh()
        return self.look()

    def look(self) -> Observation:
        """The model as it is now."""
        run = self._run
        self.examination.refresh()
        seen = self.examination.forward(self._read)
        probabilities = [distribution(row) for row in seen.logits.tolist()]
        surprises = [-math.log(max(row[t], 1e-300)) for row, t in zip(probabilities, self._following, strict=True)]
        before = [r["train_loss"] for r in self._log if r["step"] <= run.step and r["train_loss"] is not None]
        recent = before[-RECENT:]
        return Observation(
            run.step,
            math.fsum(recent) / len(recent) if recent else None,
            self._validation(run.step),
            math.fsum(surprises) / len(surprises),
            sample_text(run),
            seen.attention,
            probabilities,
            seen.given,
        )

    def _validation(self, step: int) -> float:
        """Return the loss on the validation sequences of training, from the log if it has it."""
        for record in self._log:
            if record["step"] == step and record.get("val_loss") is not None:
                return float(record.get("watched_loss", record["val_loss"]))
        run = self._run
        return run.engine.evaluate(run.corpus.validation(run.config.model.block_size, run.config.train.eval_sequences))
