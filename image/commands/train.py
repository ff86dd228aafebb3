"""``python -m image train``: a new run, or one that is resumed."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import time
from pathlib import Path

from tinygrad_edu import console
from tinygrad_edu.training import files, snapshots
from tinygrad_edu.training.flags import add_settings, changed, given
from tinygrad_edu.training.folder import check_unused, hold, in_use, unused
from tinygrad_edu.training.progress import duration
from tinygrad_edu.training.settings import joining, never_peaks

from ..config import DEFAULT_PRESET, PRESETS, ModelConfig, TrainConfig, preset
from ..run import load_config
from ..train import SAMPLES, Run, resume, start, train
from .common import command_line


def add_train(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``image train``."""
    command.set_defaults(run=run)
    presets = "\n".join(f"  {name:<15}{chosen.summary}" for name, chosen in PRESETS.items())
    command.description = f"{command.description}\n\npresets:\n{presets}"
    command.add_argument("--preset", metavar="P", help=f"a model and how to train it (default: {DEFAULT_PRESET})")
    command.add_argument("--out", metavar="DIR", help="where to write (default: a new folder in runs/)")
    command.add_argument("--resume", metavar="DIR", help="resume the run in this folder")
    chosen = PRESETS[DEFAULT_PRESET]
    add_settings(command, "the model", ModelConfig, chosen.model, DEFAULT_PRESET)
    add_settings(command, "training", TrainConfig, chosen.train, DEFAULT_PRESET)


def run(options: argparse.Namespace) -> int:
    """Train to the last step, and print the result and what to do next."""
    console.only_tells()
    with contextlib.ExitStack() as held:
        return _finish(_fresh(options, held) if options.resume is None else _resumed(options, held))


def _finish(this: Run) -> int:
    folder, config = this.folder, this.config
    if this.step >= config.train.steps:
        print("It is complete. To train it further, give a larger --steps.")
        return 0
    model = config.model
    print(
        f"Painter of {model.data}: {len(this.model.parameters()):,} parameters; {model.shape()}; told {model.condition}"
    )
    print(
        "Loss is the mean squared error of the velocity; guessing 0 everywhere costs the mean square of the velocity."
    )
    if remark := never_peaks(config.train):
        print(remark)
    began = time.monotonic()
    result = train(this)
    if result.interrupted:
        print(f"Stopped after step {result.step}; everything is saved. Resume with:")
        print(f"  {command_line('train --resume', folder)}")
        return 130
    print(f"Step {result.step} after {duration(time.monotonic() - began)}; validation loss {result.val_loss:.4f}.")
    print(f"\nWritten to {folder}:")
    for name, about in (
        (files.MODEL, "the parameters"),
        (files.TRAINING, "what a resumed run needs"),
        (files.LOG, "one line of JSON per step"),
        (files.FLOW, "gradients at the validations"),
        (f"{SAMPLES}/", "what it painted on the way"),
        *[(f"{snapshots.FOLDER}/", "the parameters on the way")] * bool(config.train.keep),
    ):
        print(f"  {name:<22}{about}")
    asked = {"class": " --class 7", "text": ' --prompt "a small ring, top left"'}.get(model.condition, "")
    print(
        f"\nTry next:\n"
        f"  {command_line('sample', folder)}{asked}\n"
        f"  {command_line('report', folder)}  a page with everything about the run\n"
        f"  {command_line('eval', folder)}\n"
        f"  {command_line('draw', folder)}\n"
        f"  {command_line('train --resume', folder)} --steps {2 * config.train.steps}"
    )
    return 0


def _fresh(options: argparse.Namespace, held: contextlib.ExitStack) -> Run:
    chosen = preset(options.preset or DEFAULT_PRESET)
    changes = given(options, TrainConfig)
    model = ModelConfig(**{**chosen.model, **given(options, ModelConfig)})
    training = {**chosen.train, **changes}
    if "lr" in changes:
        training = {**training, "min_lr": changes.get("min_lr", changes["lr"] / 20)}  # the end moves with the peak
    config = TrainConfig(**training)
    if options.out:
        folder = Path(options.out)
        if not in_use(folder):  # if it is in use, locking says so
            check_unused(folder)
    else:
        folder = unused(
            Path("runs") / (options.preset or DEFAULT_PRESET), lambda other: command_line("train --resume", other)
        )
    hold(folder, held)
    check_unused(folder)  # another process may have taken it meanwhile
    print(f"A new run in {folder}")
    return start(folder, model, config)


def _resumed(options: argparse.Namespace, held: contextlib.ExitStack) -> Run:
    folder = Path(options.resume)
    load_config(folder)  # reports what is wrong with a folder that is not a run
    hold(folder, held)
    config = load_config(folder)
    settings = changed(options, config.train, ("preset", "out"), ModelConfig)
    step = files.saved_step(folder / files.TRAINING) or 0
    joined, remark = joining(config.train, settings, step, config.joined)
    this = resume(folder, dataclasses.replace(config, train=settings, joined=joined))
    print(f"Resuming the run in {folder} at step {this.step} of {this.config.train.steps}")
    if remark:
        print(remark)
    return this
