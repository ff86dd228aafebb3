"""The training loop: batches, steps, validation, samples, the log, checkpoints, and a clean stop at any time."""

from __future__ import annotations

import math
import threading
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TextIO

from tinygrad_edu import collector_paused
from tinygrad_edu.errors import DomainError, StateDictError, brief
from tinygrad_edu.files import remove_leftovers, write_atomically
from tinygrad_edu.gradient_stats import explain_divergence
from tinygrad_edu.training import files, snapshots
from tinygrad_edu.training.engine import CompiledEngine, Engine, ScalarEngine
from tinygrad_edu.training.errors import CheckpointError, ConfigError, DivergedError
from tinygrad_edu.training.folder import not_written
from tinygrad_edu.training.progress import Progress
from tinygrad_edu.training.settings import learning_rate
from tinygrad_edu.training.stopping import stop_requests

from . import canvas
from .config import ModelConfig, TrainConfig
from .dataset import batch, shown_first, validation
from .model import Painter
from .run import RunConfig, check_shapes, load_config, save_config, unfilled
from .sample import Sampler

__all__ = [
    "SAMPLES",
    "VALIDATED",
    "Result",
    "Run",
    "Training",
    "make_engine",
    "resume",
    "sampler",
    "save",
    "start",
    "train",
]

SAMPLES = "samples"  # the folder of painted samples
VALIDATED = 512  # examples per validation


@dataclass(frozen=True)
class Result:
    """How a session of training ended.

    Attributes:
        step: the last step that was made and saved.
        val_loss: of the last validation.
        interrupted: whether it was asked to stop before the last step.
    """

    step: int
    val_loss: float | None
    interrupted: bool


@brief
@dataclass
class Run:
    """A run in memory: its folder, its settings, its model and its progress."""

    folder: Path
    config: RunConfig
    model: Painter
    engine: Engine
    step: int


def make_engine(model: Painter, config: TrainConfig) -> Engine:
    """Make the engine that ``config.engine`` names."""
    return ScalarEngine(model, config) if config.engine == "scalar" else CompiledEngine(model, config)


@collector_paused()
def start(folder: Path, model_config: ModelConfig, train_config: TrainConfig) -> Run:
    """Start a new run in ``folder``, which is made; a first checkpoint is written before the first step."""
    config = RunConfig(model_config, train_config)
    model = Painter(config.model, seed=config.train.seed)
    run = Run(folder, config, model, make_engine(model, config.train), 0)
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    files.rewrite_log(folder, [])
    files.rewrite_log(folder, [], files.FLOW)
    save(run)
    save_config(folder, config)  # last: from here on the folder holds a run
    return run


@collector_paused()
def resume(folder: Path, config: RunConfig | None = None) -> Run:
    """Load the run in ``folder`` at its last checkpoint; ``config`` may have other training settings."""
    config = config or load_config(folder)
    model = unfilled(config.model)
    state = files.load_training_state(folder, partial(check_shapes, model))
    if state.step > config.train.steps:
        raise ConfigError(
            f"the run in {folder} has already made {state.step} steps; --steps is the number of all steps together, "
            f"so give more than that, got {config.train.steps}"
        )
    source = folder / files.TRAINING
    files.load_parameters(model, state.parameters, source, config.train.engine)
    engine = make_engine(model, config.train)
    try:
        engine.load_optimizer_state(state.optimizer)
    except StateDictError as error:
        raise CheckpointError(f"{source} does not fit this model: {error}") from None
    run = Run(folder, config, model, engine, state.step)
    remove_leftovers(folder)
    remove_leftovers(folder / snapshots.FOLDER)
    if files.saved_step(folder / files.MODEL) != run.step:  # the process ended between two files
        files.save_model(folder, model, run.step)
    if state.step < config.train.steps:  # steps after the checkpoint will be made, and logged, again
        for name in (files.LOG, files.FLOW):
            kept = [r for r in files.read_log(folder, name) if 0 < state.step >= r["step"]]
            files.rewrite_log(folder, kept, name)
        save_config(folder, config)
    return run


@collector_paused()
def save(run: Run) -> None:
    """Write both safetensors files, the training state first, since resuming needs only that one."""
    numbers = run.engine.numbers()
    files.save_training_state(run.folder, run.model, run.engine.optimizer_state(), run.step, numbers)
    files.save_model(run.folder, run.model, run.step, numbers=numbers)


def sampler(run: Run) -> Sampler:
    """Return what paints with the model as it is now, and as it will be."""
    if isinstance(run.engine, CompiledEngine):
        return Sampler(run.model, run.engine.compiled.parameters)
    return Sampler(run.model, scalar=True)


def train(run: Run) -> Result:
    """Make the remaining steps. Stops early, but cleanly, if the process is asked to stop.

    Raises DivergedError if the loss is not finite, and CheckpointError if a file cannot be written; in both cases the
    last checkpoint stays as it is.
    """
    progress = Progress(run.step, run.config.train.steps, run.config.train.batch_size, "pictures")
    try:
        with (
            closing(progress),
            stop_requests() as asked_to_stop,
            open(run.folder / files.LOG, "a", encoding="utf-8") as log,
            open(run.folder / files.FLOW, "a", encoding="utf-8") as flow,
        ):
            result = Training(run, progress, log, flow, asked_to_stop).loop()
    except OSError as error:
        raise not_written(error, run.folder, run.step) from None
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
        self.plan = snapshots.planned(self.config.steps, self.config.keep)
        self.began = run.step
        self.val_loss: float | None = None
        self.examples = validation(run.config.model, VALIDATED if self.config.engine == "compiled" else 16)
        self.sampler = sampler(run)

    def loop(self) -> Result:
        """Make steps until the last one, or until asked to stop."""
        if self.run.step == 0:
            self.write({"train_loss": None, "val_loss": self.validate()})
            self.keep()
        while self.run.step < self.config.steps and not self.asked_to_stop.is_set():
            loss, lr, norm = self.step()
            val_loss = self.validate() if self.due(self.config.eval_interval) else None
            self.write({"train_loss": loss, "val_loss": val_loss, "lr": lr, "grad_norm": norm})
            if self.due(self.config.sample_interval):
                self.show()
            if self.due(self.config.checkpoint_interval) or self.run.step in self.plan or self.asked_to_stop.is_set():
                self.save()
        return Result(self.run.step, self.val_loss, self.run.step < self.config.steps)

    def due(self, interval: int) -> bool:
        """Return whether the latest step ends an interval, or the run."""
        return self.run.step == self.config.steps or (interval > 0 and self.run.step % interval == 0)

    def step(self) -> tuple[float, float, float]:
        """Make one step; returns its loss, its learning rate, and the norm of its gradient. Raises DivergedError."""
        run, config = self.run, self.config
        self.progress.next()
        lr = learning_rate(config, run.step, run.config.joined)
        examples = batch(run.config.model, config.seed, run.step, config.batch_size, config.untold)
        interval = config.eval_interval
        measure = run.step in (0, config.steps - 1) or (interval > 0 and (run.step + 1) % interval == 0)
        try:
            loss, norm = run.engine.step(examples, lr, measure=measure)
        except DomainError as error:
            fault = "; ".join([str(error), *getattr(error, "__notes__", [])])
        else:
            fault = (
                ""
                if math.isfinite(loss) and math.isfinite(norm)
                else (f"the loss is {loss} and the gradient's norm {norm}; {explain_divergence(run.engine.flow)}")
            )
        run.step += 1
        if fault:
            raise DivergedError(
                f"training diverged at step {run.step}: {fault}; the last checkpoint in {run.folder} is good; try a "
                f"smaller --lr than {config.lr:g}",
                examples,
            )
        if measure:
            self.flow.write(files.flow_lines(run.step, run.engine.flow))
        if run.step == self.began + 1 and run.engine.summary():
            self.progress.say(run.engine.summary())
        self.progress.step(run.step, loss)
        return loss, lr, norm

    def validate(self) -> float:
        """Measure the loss on examples that no step gets."""
        loss = self.run.engine.evaluate(self.examples)
        self.val_loss = loss
        self.progress.validated(self.run.step, loss)
        return loss

    def show(self) -> None:
        """Paint some samples: into the folder, and as text."""
        config = self.run.config.model
        points = config.pixels == 2
        made = self.sampler.paint(shown_first(config, 500 if points else 20), self.config.seed)
        sheet = canvas.scatter(made) if points else canvas.grid(made)
        folder = self.run.folder / SAMPLES
        folder.mkdir(exist_ok=True)
        write_atomically(folder / f"step-{self.run.step:07}.png", canvas.png(sheet))
        self.progress.say(
            canvas.text_of_points(made) if points else canvas.text(made[: 82 // (2 * round(config.pixels**0.5) + 2)])
        )

    def write(self, record: dict[str, float | None]) -> None:
        """Log the latest step."""
        self.log.write(files.log_line({"step": self.run.step, **record}))

    def save(self) -> None:
        """Write the log, then the checkpoint: a resumed run drops what the log has beyond it."""
        self.flow.flush()
        self.log.flush()
        save(self.run)
        self.keep()

    def keep(self) -> None:
        """Keep the checkpoint as a snapshot, if the plan says so."""
        if self.run.step in self.plan:
            snapshots.take(self.run.folder, self.run.step, self.plan)
