"""The training loop: batches, steps, validation, samples, the log, checkpoints, and a clean stop at any time."""

from __future__ import annotations

import math
import random
import threading
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from tinygrad_edu import collector_paused
from tinygrad_edu.errors import DomainError, StateDictError, brief
from tinygrad_edu.files import remove_leftovers
from tinygrad_edu.gradient_stats import explain_divergence
from tinygrad_edu.training import snapshots
from tinygrad_edu.training.folder import not_written
from tinygrad_edu.training.progress import Progress
from tinygrad_edu.training.settings import learning_rate as learning_rate
from tinygrad_edu.training.stopping import stop_requests

from .data import ngram
from .data.corpus import Corpus
from .data.ngram import Baseline
from .data.text import Text
from .engines import make_engine
from .engines.base import Engine
from .errors import CheckpointError, ConfigError, DataError, DivergedError
from .model import GPT
from .runs import checkpoint
from .runs.checkpoint import RunConfig
from .runs.early_stopping import BestLoss, Explosion
from .sample import generate

__all__ = [
    "LONG_VALIDATION",
    "SAMPLE_CHARACTERS",
    "Result",
    "Run",
    "Training",
    "resume",
    "sample_text",
    "save",
    "start",
    "text_sha256",
    "train",
]

SAMPLE_CHARACTERS = 120
LONG_VALIDATION = 2_000_000  # characters; for more, say what takes so long


@dataclass(frozen=True)
class Result:
    """How a session of training ended.

    Attributes:
        step: the last step that was made and saved.
        val_loss: of the last validation, nats per character; None when there was none yet.
        best_step: of the lowest validation loss, whose parameters are in best.safetensors; None when there was none.
        best_loss: that loss, on the sequences of the validations on the way.
        interrupted: whether it was asked to stop before the last step.
        early: whether the run stopped because its validation loss did not fall any more.
    """

    step: int
    val_loss: float | None
    best_step: int | None
    best_loss: float
    interrupted: bool
    early: bool


@brief
@dataclass
class Run:
    """A run in memory: its folder, its settings, its text, its model and its progress."""

    folder: Path
    config: RunConfig
    corpus: Corpus
    model: GPT
    engine: Engine
    step: int
    baselines: list[Baseline]


def text_sha256(text: Text | str) -> str:
    """The fields of a run about its text."""
    return Text.of(text).facts.sha256


@collector_paused()  # a million Values, and none of them is garbage
def start(folder: Path, config: RunConfig, corpus: Corpus) -> Run:
    """Start a new run in ``folder``, which is made; settings and a first checkpoint are written before the first
    step."""
    model = GPT(config.model, seed=config.train.seed)
    run = Run(folder, config, corpus, model, make_engine(model, config.train), 0, corpus.baselines())
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)  # of one that was killed before its first checkpoint
    checkpoint.rewrite_log(folder, [])
    checkpoint.rewrite_log(folder, [], checkpoint.FLOW)
    save(run)
    checkpoint.save_config(folder, config, corpus.tokenizer)  # last: from here on the folder holds a run
    return run


@collector_paused()
def resume(folder: Path, config: RunConfig, text: Text | str) -> Run:
    """Load the run in ``folder`` at its last checkpoint; ``config`` may have other training settings."""
    tokenizer, text = checkpoint.characters(checkpoint.load_tokenizer(folder), folder), Text.of(text)
    checkpoint.check_vocabulary(folder, config, tokenizer)
    if text_sha256(text) != config.text_sha256:
        raise DataError(
            f"the text is not the one that the run in {folder} began with (its SHA-256 differs); "
            f"put the old text back, or start a new run with another --out"
        )
    corpus = Corpus.from_text(text, config.model.block_size, tokenizer)
    state = checkpoint.load_training_state(folder, config.model)
    model = checkpoint.unfilled(config.model)
    engine = make_engine(model, config.train)
    source = folder / checkpoint.TRAINING
    if state.step > config.train.steps:
        raise ConfigError(
            f"the run in {folder} has already made {state.step} steps; --steps is the number of all steps together, "
            f"so give more than that, got {config.train.steps}"
        )
    checkpoint.load_parameters(model, state.parameters, source, config.train.engine)
    try:
        engine.load_optimizer_state(state.optimizer)
    except StateDictError as error:
        raise CheckpointError(f"{source} does not fit this model: {error}") from None
    run = Run(folder, config, corpus, model, engine, state.step, corpus.baselines())
    # Steps after the checkpoint will be made again, and logged again; at step 0 that is everything.
    log = [record for record in checkpoint.read_log(folder) if record["step"] <= state.step and state.step > 0]
    remove_leftovers(folder)
    remove_leftovers(folder / snapshots.FOLDER)
    log = _with_best(run, log)
    _complete(run, BestLoss(log).step)
    if state.step == config.train.steps:
        return run  # nothing remains to be done, so nothing else on disk changes
    checkpoint.rewrite_log(folder, log)
    measured = [r for r in checkpoint.read_log(folder, checkpoint.FLOW) if r["step"] <= state.step and state.step > 0]
    checkpoint.rewrite_log(folder, measured, checkpoint.FLOW)
    checkpoint.save_config(folder, config, tokenizer)
    return run


def _with_best(run: Run, log: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the log with the validation of the best model, measured again if the log has lost it.

    Otherwise the next validation would always count as the best, and replace that model.
    """
    step = checkpoint.saved_step(run.folder / checkpoint.BEST)
    if step is None or not 0 < run.step >= step or any(r["step"] == step and r.get("val_loss") for r in log):
        return log
    model = GPT(run.config.model)
    tensors, _ = checkpoint.load_tensors(run.folder / checkpoint.BEST)
    checkpoint.load_parameters(model, tensors, run.folder / checkpoint.BEST)
    best = replace(run, model=model, engine=make_engine(model, run.config.train))
    found = {"step": step, "train_loss": None, "val_loss": _validate(best, run.config.train.eval_sequences)}
    return sorted([*(r for r in log if r["step"] != step), found], key=lambda record: record["step"])


def _complete(run: Run, best: int | None) -> None:
    """Write the files of the checkpoint's step that are missing: the process may have ended between two of them."""
    if checkpoint.saved_step(run.folder / checkpoint.MODEL) != run.step:
        checkpoint.save_model(run.folder, run.model, run.step)
    if best == run.step != checkpoint.saved_step(run.folder / checkpoint.BEST):
        checkpoint.keep_model(run.folder, checkpoint.BEST)
    plan = snapshots.planned(run.config.train.steps, run.config.train.keep)
    if run.step in plan and run.step not in snapshots.taken(run.folder):
        snapshots.take(run.folder, run.step, plan)


@collector_paused()
def save(run: Run) -> None:
    """Write both safetensors files, the training state first, since resuming needs only that one."""
    numbers = run.engine.numbers()
    checkpoint.save_training_state(run.folder, run.model, run.engine.optimizer_state(), run.step, numbers)
    checkpoint.save_model(run.folder, run.model, run.step, numbers=numbers)


def train(run: Run) -> Result:
    """Make the remaining steps. Stops early, but cleanly, if the process is asked to stop.

    Raises DivergedError if the loss is not finite or explodes, and CheckpointError if a file cannot be written, as on a
    full disk; in both cases the last checkpoint stays as it is.
    """
    config, folder = run.config, run.folder
    characters = config.train.batch_size * run.corpus.characters_per_sequence(config.model.block_size)
    progress = Progress(run.step, config.train.steps, characters)
    try:
        with (
            closing(progress),
            stop_requests() as asked_to_stop,
            open(folder / checkpoint.LOG, "a", encoding="utf-8") as log,
            open(folder / checkpoint.FLOW, "a", encoding="utf-8") as flow,
        ):
            result = Training(run, progress, log, flow, asked_to_stop).loop()
    except OSError as error:
        raise not_written(error, folder, run.step) from None
    run.engine.write_back()
    return result


class Training:
    """The remaining steps of a run; read :meth:`loop` first.

    Args:
        run: the run, which advances with every step.
        progress: shows the progress.
        log, flow: log.jsonl and flow.jsonl, open at their ends.
        asked_to_stop: once it is set, the step in progress is the last one of this session.
    """

    def __init__(self, run: Run, progress: Progress, log: TextIO, flow: TextIO, asked_to_stop: threading.Event) -> None:
        self.run, self.config = run, run.config.train
        self.progress, self.log, self.flow, self.asked_to_stop = progress, log, flow, asked_to_stop
        self.began = run.step
        self.plan = snapshots.planned(self.config.steps, self.config.keep)
        before = checkpoint.read_log(run.folder)
        self.val_loss = next((r["val_loss"] for r in reversed(before) if r.get("val_loss") is not None), None)
        self.best, self.explosion = BestLoss(before), Explosion(before, run.config.model.vocab_size)
        self.improved = False  # whether the latest step has the lowest validation loss so far
        self.early = self.out_of_patience()

    def loop(self) -> Result:
        """Make steps until the last one, until patience runs out, or until asked to stop."""
        if self.run.step == 0:
            self.validate_untrained()
        while not self.finished():
            loss, lr, norm = self.step()
            validation = self.validate() if self.last or self.due(self.config.eval_interval) else {"val_loss": None}
            self.write({"train_loss": loss, **validation, "lr": lr, "grad_norm": norm})
            if self.last or self.due(self.config.sample_interval):
                self.progress.say(_framed(sample_text(self.run)))
            if self.must_save():
                self.save()
        return Result(
            self.run.step, self.val_loss, self.best.step, self.best.loss, interrupted=not self.last, early=self.early
        )

    @property
    def last(self) -> bool:
        """Return whether the latest step is the last one of the run."""
        return self.early or self.run.step == self.config.steps

    def due(self, interval: int) -> bool:
        """Return whether the latest step ends an interval; an interval of 0 never ends."""
        return _due(self.run.step, interval)

    def out_of_patience(self) -> bool:
        """Return whether the validation loss has not fallen for too long."""
        return 0 < self.config.patience <= self.best.since

    def finished(self) -> bool:
        """Return whether to stop. Processes that train together decide this together."""
        return self.last or self.run.engine.any_process(self.asked_to_stop.is_set())

    def step(self) -> tuple[float, float, float]:
        """Make one step; returns its loss, its learning rate, and the norm of its gradient. Raises DivergedError."""
        run, config = self.run, self.config
        self.progress.next()
        self.improved = False
        lr = learning_rate(config, run.step, run.config.joined)
        batch = run.corpus.batch(run.config.model.block_size, config.batch_size, config.seed, run.step)
        measure = run.step in (0, config.steps - 1) or _due(run.step + 1, config.eval_interval)
        try:
            loss, norm = run.engine.step(batch, lr, f"{config.seed} dropout {run.step}", measure)
        except DomainError as error:
            fault = self.not_finite("; ".join([str(error), *getattr(error, "__notes__", [])]))
        else:
            fault = self.fault(loss, norm)
        run.step += 1
        if fault:
            raise DivergedError(
                f"training diverged at step {run.step}: {fault}; try a smaller --lr than {config.lr:g}", batch
            )
        if measure:
            self.flow.write(checkpoint.flow_lines(run.step, run.engine.flow))
        if run.step == self.began + 1 and run.engine.summary():
            self.progress.say(run.engine.summary())
        self.progress.step(run.step, loss)
        return loss, lr, norm

    def fault(self, loss: float, norm: float) -> str:
        """Say what is wrong with a step and which model is intact; empty if nothing is wrong."""
        if not (math.isfinite(loss) and math.isfinite(norm)):
            return self.not_finite(
                f"the loss is {loss} and the gradient's norm {norm}; {explain_divergence(self.run.engine.flow)}"
            )
        if not self.explosion.see(loss):
            return ""
        return (
            f"the mean loss of the last steps has risen to {self.explosion.mean:.3g}, far above guessing; "
            f"{self.grown(norm)}; the last checkpoint in {self.run.folder} and the best one, of step {self.best.step}, "
            f"are kept"
        )

    def not_finite(self, what: str) -> str:
        """The same of a step whose numbers are not finite."""
        return f"{what}; the last checkpoint in {self.run.folder} is good"

    def grown(self, norm: float) -> str:
        """Where the gradients have grown most since the first step that this run has measured."""
        self.flow.flush()
        measured = checkpoint.read_flow(self.run.folder)
        before = measured[min(measured)] if measured else []
        clip = self.config.grad_clip
        clipped = norm / clip if 0.0 < clip < norm else 1.0  # what was measured then was not clipped
        return explain_divergence(
            [replace(line, mean=clipped * line.mean) for line in self.run.engine.gradients()], before
        )

    def validate(self) -> dict[str, float]:
        """Measure the validation loss, and judge the run by it; returns what the log notes.

        At the end of a run it is measured once more, on the sequences for the end. The loss that losses before can be
        compared with is noted too then.
        """
        run, config = self.run, self.config
        self.val_loss = watched = _validate(run, config.eval_sequences)
        self.improved = self.best.see(run.step, watched)
        self.early = run.step < config.steps and self.out_of_patience()
        noted = {"val_loss": watched}
        if self.last and config.final_eval_sequences != config.eval_sequences:
            if not config.final_eval_sequences and len(run.corpus.val) > LONG_VALIDATION:
                self.progress.say(
                    f"Validating on all {len(run.corpus.val):,} characters; --final-eval-sequences N takes fewer"
                )
            self.val_loss = _validate(run, config.final_eval_sequences)
            noted = {"val_loss": self.val_loss, "watched_loss": watched}
        baseline = ngram.strongest_beaten(watched, run.baselines)
        self.progress.validated(run.step, watched, baseline.name if baseline is not None else "")
        return noted

    def validate_untrained(self) -> None:
        """Log the loss of the new model and keep it as the best one, whatever its loss is."""
        self.write({"train_loss": None, **self.validate()})
        self.improved = True
        self.keep()

    def write(self, record: dict[str, float | None]) -> None:
        """Log the latest step."""
        self.log.write(checkpoint.log_line({"step": self.run.step, **record}))

    def must_save(self) -> bool:
        """Whether the model is saved after the latest step."""
        wanted = self.improved or self.run.step in self.plan or self.asked_to_stop.is_set()
        return self.last or wanted or self.due(self.config.checkpoint_interval)

    def save(self) -> None:
        """Write the log, then the checkpoint, then what is kept of it.

        In this order: a resumed run drops what the log has beyond the checkpoint and never adds to it, and what is kept
        is never of a step that it has not made.
        """
        self.flow.flush()
        self.log.flush()
        save(self.run)
        self.keep()

    def keep(self) -> None:
        """Keep the checkpoint as the best model, as a snapshot, as both or as neither."""
        if self.improved:
            checkpoint.keep_model(self.run.folder, checkpoint.BEST)
        if self.run.step in self.plan:
            snapshots.take(self.run.folder, self.run.step, self.plan)


def _due(step: int, interval: int) -> bool:
    return interval > 0 and step % interval == 0


def _validate(run: Run, sequences: int) -> float:
    block_size = run.config.model.block_size
    return run.engine.evaluate(run.corpus.validation(block_size, sequences or len(run.corpus.val)))


def sample_text(run: Run) -> str:
    """A short text by the model as it is now, or some documents; it depends on seed and step only."""
    tokenizer, end = run.corpus.tokenizer, run.corpus.end
    prompt = tokenizer.encode(run.config.opening("")) or tokenizer.beginning
    rng = random.Random(f"{run.config.train.seed} sample {run.step}")
    written, left = [], SAMPLE_CHARACTERS
    while left > 0:
        tokens = generate(run.engine.scorer(), run.config.model.block_size, prompt, left, end=end, rng=rng)
        written.append(tokenizer.decode(tokens))
        left -= len(written[-1]) + 1  # the end
    return "\n".join(written)


def _framed(text: str) -> str:
    return "\n".join(f"    │ {line}" for line in text.strip("\n").split("\n"))
