"""``python -m gpt flow``: the gradient of a trained model, per table of parameters, per layer and per head."""

from __future__ import annotations

import argparse
import dataclasses

import viz
from tinygrad_edu.training.flags import run_argument, run_folder
from viz.charts.chart import Chart

from ..errors import CheckpointError
from ..inspection.examination import Examination, watched
from ..pictures.run import PicturedRun
from ..runs import checkpoint
from .common import best_flag


def add_flow(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gpt flow``."""
    command.set_defaults(run=run)
    run_argument(command)
    best_flag(command)
    command.add_argument("--text", help="the text to read (default: the beginning of its validation text)")
    command.add_argument(
        "--over-time", action="store_true", help="show how the gradients changed in training, as it measured them"
    )
    command.add_argument(
        "-o", "--out", metavar="FILE",
        help=".svg, .html, .png, .pdf or .txt; - only prints (default: flow.svg or flow-over-time.svg in that folder)",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Compute one loss in scalars, and show its gradients; or show what training measured."""
    this = PicturedRun.open(run_folder(options), best=options.best)
    chart, name = _over_time(this) if options.over_time else _now(this, options.text)
    print(chart)
    if options.out != "-":
        print(f"\nWrote {chart.save(options.out or this.folder / name)}")
    return 0


def _now(this: PicturedRun, text: str | None) -> tuple[Chart, str]:
    loss, calls, length = this.recorded(this.tokens(text))
    units = Examination(this.model, this.corpus().val, end=this.end).units() if text is None else {}
    of = "the validation text" if text is None else "that text"
    print(f"Loss of step {this.step} on {length} characters of {of}: {viz.style.number(loss.data)}")
    if units:
        print(watched(units))
    measured = viz.flow(loss, calls=calls, units=units or None)
    updates = {line.name: line.update for line in this.flow().get(this.step, [])}
    if updates:
        lines = [dataclasses.replace(line, update=updates.get(line.name)) for line in measured.parameters]
        measured = dataclasses.replace(measured, parameters=lines)
        print("update/data is that of the training step.")
    return measured, "flow.svg"


def _over_time(this: PicturedRun) -> tuple[Chart, str]:
    measured = this.flow()
    if not measured:
        raise CheckpointError(
            f"{this.folder} has measured no gradients yet: {checkpoint.FLOW} is empty; train some steps"
        )
    return viz.flow_over(measured, title=f"Gradient flow in {this.folder.resolve().name}"), "flow-over-time.svg"
