"""``python -m image draw`` and ``flow``: the graph of a trained model's loss, and its gradients."""

from __future__ import annotations

import argparse
import sys

import viz
from tinygrad_edu.training import files
from tinygrad_edu.training.errors import CheckpointError, ConfigError
from tinygrad_edu.training.flags import run_argument, run_folder
from viz.charts.chart import Chart
from viz.commands.graph import drawing_flags, drawn

from ..pictures.loss_graph import recorded
from ..run import SavedRun


def add_draw(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``image draw``."""
    command.set_defaults(run=_draw)
    run_argument(command)
    command.add_argument(
        "-o", "--out", metavar="FILE",
        help="a .dot, .svg, .png, .pdf or .html file; - prints the DOT text (default: loss.svg in that folder)",
    )  # fmt: skip
    command.add_argument(
        "--boxes", "--budget", dest="budget", type=int, metavar="N",
        help="the largest number of boxes (default: as many as can be read on a screen)",
    )  # fmt: skip
    drawing_flags(command)


def add_flow(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``image flow``."""
    command.set_defaults(run=_flow)
    run_argument(command)
    command.add_argument(
        "--over-time", action="store_true", help="show how the gradients changed in training, as it measured them"
    )
    command.add_argument(
        "-o", "--out", metavar="FILE",
        help=".svg, .html, .png, .pdf or .txt; - only prints (default: flow.svg or flow-over-time.svg in that folder)",
    )  # fmt: skip


def _draw(options: argparse.Namespace) -> int:
    if options.budget is not None and options.budget < 2:
        raise ConfigError(f"boxes must be at least 2, got {options.budget}")
    this = SavedRun.open(run_folder(options))
    model = this.model
    if options.out != "-":
        print("Building the graph of the loss, with every gradient ...", flush=True)
    loss, calls, what = recorded(model)
    named = {name: value for value, name in calls.names.items()}
    drawing = drawn(options, loss, named.get(options.focus, options.focus), calls)
    if options.out == "-":
        sys.stdout.write(drawing.source)
        return 0
    path = drawing.save(options.out or this.folder / "loss.svg")
    print(f"Step {this.step}: {viz.style.number(loss.data)} is the loss on {what}.")
    print(f"Wrote {path}")
    return 0


def _flow(options: argparse.Namespace) -> int:
    this = SavedRun.open(run_folder(options))
    if options.over_time:
        measured = files.read_flow(this.folder)
        if not measured:
            raise CheckpointError(
                f"{this.folder} has measured no gradients yet: {files.FLOW} is empty; train some steps"
            )
        title = f"Gradient flow in {this.folder.resolve().name}"
        chart: Chart = viz.flow_over(measured, title=title)
        name = "flow-over-time.svg"
    else:
        loss, calls, what = recorded(this.model)
        print(f"Loss of step {this.step} on {what}: {viz.style.number(loss.data)}")
        chart, name = viz.flow(loss, calls=calls), "flow.svg"
    print(chart)
    if options.out != "-":
        print(f"\nWrote {chart.save(options.out or this.folder / name)}")
    return 0
