"""``python -m image info``: what the folder of a run holds, and its progress."""

from __future__ import annotations

import argparse
import dataclasses
import textwrap

from tinygrad_edu.nested import shape
from tinygrad_edu.training import snapshots
from tinygrad_edu.training.flags import run_argument, run_folder

from ..run import SavedRun

_VALIDATIONS = 12  # that are shown, spread over the run


def add_info(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``image info``."""
    command.set_defaults(run=run)
    run_argument(command)


def run(options: argparse.Namespace) -> int:
    """Print everything, in 80 columns."""
    folder = run_folder(options)
    this = SavedRun.open(folder)
    print(f"{folder}: the model of step {this.step:,} of {this.config.train.steps:,}")
    for title, part in (("model", this.config.model), ("training", this.config.train)):
        words = ", ".join(f"{name} {value}" for name, value in dataclasses.asdict(part).items())
        print(textwrap.fill(f"{title}: {words}", 80, subsequent_indent="  "))
    validated = [r for r in this.log() if r.get("val_loss") is not None and r["step"] <= this.step]
    if validated:
        count = min(_VALIDATIONS, len(validated))
        print(f"\n{'step':>8}{'training':>10}{'validation':>12}")
        for record in (validated[i * (len(validated) - 1) // max(count - 1, 1)] for i in range(count)):
            training = "–" if record["train_loss"] is None else f"{record['train_loss']:.4f}"
            print(f"{record['step']:>8,}{training:>10}{record['val_loss']:>12.4f}")
    named = [(name, shape(table)) for name, table in this.model.named_parameters()]
    total = len(this.model.parameters())
    print(f"\n{'table of parameters':<40}{'shape':<12}{'numbers':>12}{'share':>9}")
    for name, sizes in named:
        size = 1
        for n in sizes:
            size *= n
        print(f"{name:<40}{'×'.join(map(str, sizes)):<12}{size:>12,}{size / total:>9.1%}")
    print(f"{'all':<52}{total:>12,}")
    if kept := snapshots.taken(folder):
        print(f"\nsnapshots at the steps {', '.join(f'{step:,}' for step in kept)}")
    return 0
