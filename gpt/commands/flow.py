"""``python -m gpt flow``: the gradient of a trained model, per table of parameters, per layer and per head."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from ..data.corpus import Corpus
from ..errors import CheckpointError, ConfigError
from ..inspection.examination import Examination, watched
from ..inspection.loss_graph import recorded_loss
from ..runs import checkpoint


def add_flow(command: argparse.ArgumentParser) -> None:
    """Add what ``gpt flow`` can be told."""
    command.set_defaults(run=run)
    command.add_argument("folder", metavar="DIR", help="a folder that train has written")
    command.add_argument(
        "--over-time", action="store_true", help="show how the gradients changed in training, as it measured them"
    )
    command.add_argument(
        "-o", "--out", metavar="FILE",
        help=".svg, .html, .png, .pdf or .txt (default: flow.svg or flow-over-time.svg in that folder)",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Compute one loss on the validation text in scalars, and show its gradients; or show what training measured."""
    import viz

    folder = Path(options.folder)
    chart, name = _over_time(folder) if options.over_time else _now(folder)
    print(chart)
    try:
        print(f"\nWrote {chart.save(options.out or folder / name)}")
    except viz.DrawingError as error:
        raise ConfigError(str(error)) from None
    return 0


def _now(folder: Path) -> tuple[Any, str]:
    import viz

    model, config, tokenizer, step = checkpoint.load_model(folder)
    corpus = Corpus.from_text(config.text(), config.model.block_size, tokenizer)
    units = Examination(model, corpus.val).units()
    loss, calls, length = recorded_loss(model, corpus.val)
    print(f"One loss of step {step} on {length} characters of the validation text: {loss.data:.4f}")
    if units:
        print(watched(units))
    measured = viz.flow(loss, calls=calls, units=units)
    updates = {line.name: line.update for line in checkpoint.read_flow(folder).get(step, [])}
    if updates:
        lines = [dataclasses.replace(line, update=updates.get(line.name)) for line in measured.parameters]
        measured = dataclasses.replace(measured, parameters=lines)
        print("update/data is that of the training step.")
    return measured, "flow.svg"


def _over_time(folder: Path) -> tuple[Any, str]:
    import viz

    checkpoint.load_config(folder)  # is there a run at all?
    measured = checkpoint.read_flow(folder)
    if not measured:
        raise CheckpointError(f"{folder} has measured no gradients yet: {checkpoint.FLOW} is empty; train some steps")
    return viz.flow_over(measured, title=f"Gradient flow in {folder.resolve().name}"), "flow-over-time.svg"
