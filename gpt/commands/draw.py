"""``python -m gpt draw``: the graph of a trained model's loss."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..data.corpus import Corpus
from ..errors import ConfigError
from ..inspection.loss_graph import LARGEST, WHOLE, recorded_end
from ..runs import checkpoint
from .shared import checkpoint_flag, parameters_file

DRAWN_BOXES = 40  # as many as fit on a screen and can be read; ``draw --boxes`` goes deeper


def add_draw(command: argparse.ArgumentParser) -> None:
    """Add what ``gpt draw`` can be told."""
    command.set_defaults(run=run)
    checkpoint_flag(command)
    command.add_argument("--out", metavar="FILE", help="a .dot, .svg, .png, .pdf or .html file (default: DIR/loss.svg)")
    command.add_argument("--boxes", type=int, default=DRAWN_BOXES, metavar="N", help="how many boxes at the most")


def run(options: argparse.Namespace) -> int:
    """Compute one loss on the validation text in scalars, and draw its graph."""
    if options.boxes < 2:
        raise ConfigError(f"boxes must be at least 2, got {options.boxes}")
    folder = Path(options.checkpoint)
    model, config, tokenizer, _ = checkpoint.load_model(folder, parameters_file(options))
    corpus = Corpus.from_text(config.text(), config.model.block_size, tokenizer)
    out = Path(options.out) if options.out else folder / "loss.svg"
    import viz

    print("Building the graph of the loss, with every gradient ...", flush=True)
    this = recorded_end(model, corpus.val, LARGEST, WHOLE)
    print(f"It is {this.place(config.model.n_layer)}.")
    try:
        drawing = viz.draw(this.loss, calls=this.calls, budget=options.boxes, direction="wrapped")
        print(f"Wrote {viz.save(drawing, out)}")
    except viz.DrawingError as error:
        raise ConfigError(str(error)) from None
    return 0
