"""The training loop: batches, steps, validation, samples, the log, checkpoints, and an orderly end at any moment."""

from __future__ import annotations

import math
import os
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from tinygrad_edu import collector_paused
from tinygrad_edu.errors import DomainError, StateDictError
from tinygrad_edu.measure import blame
from tinygrad_edu.optim import warmup_cosine, warmup_linear

from . import checkpoint, snapshots
from .checkpoint import RunConfig
from .config import TrainConfig
from .data import Corpus, Sequences
from .engines import Engine, make_engine
from .errors import CheckpointError, ConfigError, DataError, GPTError
from .files import remove_leftovers
from .model import GPT
from .ngram import Rung, beaten, ladder
from .progress import Progress
from .sample import generate
from .text import Text
from .tokenizer import CharTokenizer
from .watch import BestLoss, Explosion

__all__ = [
    "LONG_VALIDATION",
    "SAMPLE_CHARACTERS",
    "DivergedError",
    "Result",
    "Run",
    "first_prompt",
    "learning_rate",
    "resume",
    "sample_text",
    "save",
    "start",
    "text_sha256",
    "train",
]

SAMPLE_CHARACTERS = 120
LONG_VALIDATION = 2_000_000  # characters; somebody who waits for more wants to know for what


class DivergedError(GPTError):
    """The loss is not a finite number any more, or it explodes; the last checkpoint is untouched.

    Attributes:
        batch: the sequences of the step at which it was seen. The model is as it was before that step when a number was
            not finite.
    """

    def __init__(self, message: str, batch: Sequences | None = None) -> None:
        super().__init__(message)
        self.batch = batch or []


@dataclass(frozen=True)
class Result:
    """How a session of training ended.

    Attributes:
        step: the last step that was made and saved.
        val_loss: of the last validation, nats per character; None when there was none yet.
        best_step: of the lowest validation loss, whose parameters are in best.safetensors; None when there was none.
        best_loss: that loss, on the sequences of the validations on the way.
        interrupted: whether somebody asked to stop before the last step.
        early: whether the run stopped because its validation loss did not fall any more.
    """

    step: int
    val_loss: float | None
    best_step: int | None
    best_loss: float
    interrupted: bool
    early: bool


@dataclass
class Run:
    """A run in memory: its folder, its settings, its text, its model and how far it is."""

    folder: Path
    config: RunConfig
    corpus: Corpus
    model: GPT
    engine: Engine
    step: int
    rungs: list[Rung]


def text_sha256(text: Text | str) -> str:
    """What a run remembers of its text."""
    return Text.of(text).facts.sha256


@collector_paused()  # a million Values, and none of them is garbage
def start(folder: Path, config: RunConfig, corpus: Corpus) -> Run:
    """A new run in ``folder``, which is made; settings and a first checkpoint are written before the first step."""
    model = GPT(config.model, seed=config.train.seed)
    run = Run(folder, config, corpus, model, make_engine(model, config.train), 0, _ladder(corpus))
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)  # of one that was killed before its first checkpoint
    checkpoint.rewrite_log(folder, [])
    checkpoint.rewrite_log(folder, [], checkpoint.FLOW)
    save(run)
    checkpoint.save_config(folder, config, corpus.tokenizer)  # last: from here on the folder holds a run
    return run


@collector_paused()
def resume(folder: Path, config: RunConfig, text: Text | str) -> Run:
    """The run in ``folder`` as it was at its last checkpoint; ``config`` may have other training settings."""
    tokenizer, text = checkpoint.load_tokenizer(folder), Text.of(text)
    checkpoint.check_vocabulary(folder, config, tokenizer)
    if text_sha256(text) != config.text_sha256:
        raise DataError(
            f"the text is not the one that the run in {folder} began with (its SHA-256 differs); "
            f"put the old text back, or start a new run with another --out"
        )
    corpus = Corpus.from_text(text, config.model.block_size, tokenizer)
    state = checkpoint.load_training_state(folder, config.model)
    model = GPT(config.model, seed=config.train.seed)
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
    run = Run(folder, config, corpus, model, engine, state.step, _ladder(corpus))
    # Steps after the checkpoint will be made again, and logged again; at step 0 that is everything.
    log = [record for record in checkpoint.read_log(folder) if record["step"] <= state.step and state.step > 0]
    remove_leftovers(folder)
    remove_leftovers(folder / snapshots.FOLDER)
    log = _with_best(run, log)
    _complete(run, BestLoss(log).step)
    if state.step == config.train.steps:
        return run  # nothing is left to do, so nothing else on disk changes
    checkpoint.rewrite_log(folder, log)
    measured = [r for r in checkpoint.read_log(folder, checkpoint.FLOW) if r["step"] <= state.step and state.step > 0]
    checkpoint.rewrite_log(folder, measured, checkpoint.FLOW)
    checkpoint.save_config(folder, config, tokenizer)
    return run


def _with_best(run: Run, log: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The log with the validation of the best model, measured again if the log has lost it.

    Otherwise the next validation would count as the best one, whatever it was, and replace that model.
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


def _ladder(corpus: Corpus) -> list[Rung]:
    return ladder(corpus.train, corpus.val, corpus.tokenizer.vocab_size)


@collector_paused()
def save(run: Run) -> None:
    """Write both safetensors files; the training state first, since a run goes on from that one alone."""
    numbers = run.engine.numbers()
    checkpoint.save_training_state(run.folder, run.model, run.engine.optimizer_state(), run.step, numbers)
    checkpoint.save_model(run.folder, run.model, run.step, numbers=numbers)


def learning_rate(config: TrainConfig, step: int) -> float:
    """The learning rate of a step, counted from 0."""
    if config.schedule == "constant":
        rise = min((step + 1) / (config.warmup_steps + 1), 1.0)
        return config.lr * rise
    schedule = warmup_cosine if config.schedule == "cosine" else warmup_linear
    return schedule(
        step, lr=config.lr, total_steps=config.steps, warmup_steps=config.warmup_steps, min_lr=config.min_lr
    )


def train(run: Run) -> Result:
    """Make the steps that are left. Ends early, but in order, when the process is asked to stop.

    Raises DivergedError when the loss is not finite or explodes, and CheckpointError when a file cannot be written, as
    on a full disk; in both cases the last checkpoint stays as it is.
    """
    try:
        return _train(run)
    except OSError as error:
        raise CheckpointError(
            f"{error.filename or run.folder / checkpoint.LOG} cannot be written: {error.strerror}; training stopped at "
            f"step {run.step}, and what was saved before is whole: make room and go on with --resume {run.folder}"
        ) from None


def _train(run: Run) -> Result:
    config, block_size = run.config.train, run.config.model.block_size
    val_loss = _last_validation(run.folder)
    before = checkpoint.read_log(run.folder)
    best, explosion = BestLoss(before), Explosion(before, run.config.model.vocab_size)
    plan = snapshots.planned(config.steps, config.keep)
    progress = Progress(run.step, config.steps, config.batch_size * block_size)
    try:
        with (
            _stop_requests() as asked_to_stop,
            open(run.folder / checkpoint.LOG, "a", encoding="utf-8") as log,
            open(run.folder / checkpoint.FLOW, "a", encoding="utf-8") as flow,
        ):
            began = run.step
            if run.step == 0:
                val_loss = _validate(run, config.eval_sequences)
                progress.validated(0, val_loss, _beaten(run, val_loss))
                log.write(checkpoint.log_line({"step": 0, "train_loss": None, "val_loss": val_loss}))
                best.see(0, val_loss)
                checkpoint.keep_model(run.folder, checkpoint.BEST)
                if 0 in plan:
                    snapshots.take(run.folder, 0, plan)
            early = bool(config.patience) and best.since >= config.patience
            while run.step < config.steps and not early and not run.engine.any_process(asked_to_stop.is_set()):
                progress.next()
                lr = learning_rate(config, run.step)
                batch = run.corpus.batch(block_size, config.batch_size, config.seed, run.step)
                measure = run.step in (0, config.steps - 1) or _due(run.step + 1, config.eval_interval)
                try:
                    loss, norm = run.engine.step(batch, lr, f"{config.seed} dropout {run.step}", measure)
                    broken = not math.isfinite(loss) or not math.isfinite(norm)
                    if broken:
                        what = f"the loss is {loss} and the gradient's norm {norm}; {blame(run.engine.flow)}"
                except DomainError as error:
                    loss, broken = math.nan, True
                    what = "; ".join([str(error), *getattr(error, "__notes__", [])])
                run.step += 1
                if broken:
                    raise DivergedError(
                        f"training diverged at step {run.step}: {what}; "
                        f"the last checkpoint in {run.folder} is good; try a smaller --lr than {config.lr:g}",
                        batch,
                    )
                if explosion.see(loss):
                    raise DivergedError(
                        f"training diverged at step {run.step}: the mean loss of the last steps has risen to "
                        f"{explosion.mean:.3g}, far above guessing; {_grown(run, flow, norm)}; the last checkpoint in "
                        f"{run.folder} and the best one, of step {best.step}, are kept; try a smaller --lr than "
                        f"{config.lr:g}",
                        batch,
                    )
                if measure:
                    flow.write(checkpoint.flow_lines(run.step, run.engine.flow))
                if run.step == began + 1 and run.engine.summary():
                    progress.say(run.engine.summary())
                progress.step(run.step, loss)
                record: dict[str, Any] = {"step": run.step, "train_loss": loss, "val_loss": None}
                last, improved = run.step == config.steps, False
                if last or _due(run.step, config.eval_interval):
                    val_loss = watched = _validate(run, config.eval_sequences)
                    improved = best.see(run.step, watched)
                    early = not last and bool(config.patience) and best.since >= config.patience
                    last = last or early
                    if last and config.final_eval_sequences != config.eval_sequences:
                        if not config.final_eval_sequences and len(run.corpus.val) > LONG_VALIDATION:
                            progress.say(
                                f"Validating on all {len(run.corpus.val):,} characters; "
                                f"--final-eval-sequences N takes fewer"
                            )
                        val_loss = _validate(run, config.final_eval_sequences)
                        record["watched_loss"] = watched
                    record["val_loss"] = val_loss
                    progress.validated(run.step, watched, _beaten(run, watched))  # comparable with those before
                record |= {"lr": lr, "grad_norm": norm}
                log.write(checkpoint.log_line(record))
                if last or _due(run.step, config.sample_interval):
                    progress.say(_framed(sample_text(run)))
                snapshot = run.step in plan
                if last or improved or snapshot or asked_to_stop.is_set() or _due(run.step, config.checkpoint_interval):
                    flow.flush()
                    log.flush()  # before the checkpoint: a resumed run drops what the log has beyond it, never adds
                    save(run)
                    # After the checkpoint: what these two hold is never of a step that a resumed run has not made.
                    if improved:
                        checkpoint.keep_model(run.folder, checkpoint.BEST)
                    if snapshot:
                        snapshots.take(run.folder, run.step, plan)
    finally:
        progress.close()
    run.engine.write_back()
    return Result(run.step, val_loss, best.step, best.loss, run.step < config.steps and not early, early)


def _grown(run: Run, flow: TextIO, norm: float) -> str:
    """Where the gradients have grown most since the first step that this run has measured."""
    flow.flush()
    measured = checkpoint.read_flow(run.folder)
    before = measured[min(measured)] if measured else []
    clip = run.config.train.grad_clip
    clipped = norm / clip if 0.0 < clip < norm else 1.0  # what was measured then was not clipped
    return blame([replace(line, mean=clipped * line.mean) for line in run.engine.gradients()], before)


def _due(step: int, interval: int) -> bool:
    return interval > 0 and step % interval == 0


def _validate(run: Run, sequences: int) -> float:
    block_size = run.config.model.block_size
    return run.engine.evaluate(run.corpus.validation(block_size, sequences or len(run.corpus.val)))


def _beaten(run: Run, val_loss: float) -> str:
    rung = beaten(val_loss, run.rungs)
    return rung.name if rung is not None else ""


def _last_validation(folder: Path) -> float | None:
    losses = [record["val_loss"] for record in checkpoint.read_log(folder) if record.get("val_loss") is not None]
    return losses[-1] if losses else None


def first_prompt(tokenizer: CharTokenizer) -> str:
    """What a text starts from when nobody gives a prompt: a new line, or the first character of the alphabet."""
    return "\n" if "\n" in tokenizer.alphabet else tokenizer.alphabet[0]


def sample_text(run: Run) -> str:
    """A short text by the model as it is now; it depends on seed and step only."""
    tokenizer = run.corpus.tokenizer
    prompt = tokenizer.encode(first_prompt(tokenizer))
    rng = random.Random(f"{run.config.train.seed} sample {run.step}")
    return tokenizer.decode(
        generate(run.engine.scorer(), run.config.model.block_size, prompt, SAMPLE_CHARACTERS, rng=rng)
    )


def _framed(text: str) -> str:
    return "\n".join(f"    │ {line}" for line in text.strip("\n").split("\n"))


@contextmanager
def _stop_requests() -> Iterator[threading.Event]:
    """An event that Ctrl-C, a polite kill or a terminal that closes sets; a second Ctrl-C stops at once, unsaved."""
    asked = threading.Event()

    def handler(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            if number == signal.SIGINT:  # others come twice by themselves, as from a terminal that closes
                raise KeyboardInterrupt
            return
        asked.set()
        # os.write: print could be in the middle of its own work at this moment. The terminal may be gone.
        with suppress(OSError):
            os.write(2, b"\nStopping after this step and saving; press Ctrl-C again to stop at once.\n")

    if threading.current_thread() is not threading.main_thread():
        yield asked  # signals are the main thread's; somebody who trains in another thread has to stop it there
        return
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # not every system has all of them
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        numbers.remove(signal.SIGHUP)  # nohup asks for that; SIGINT is ignored wherever a shell starts with &
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield asked
    finally:
        for number, old in before.items():
            signal.signal(number, old)
