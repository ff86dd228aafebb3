"""``python -m gpt flow``: the gradient of a trained model, per table of parameters, per layer and per head."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from . import checkpoint
from .data import Corpus
from .errors import ConfigError
from .recorded import recorded_loss


def add_parser(add: Any) -> None:
    """Add the command; ``add(name, help, run)`` makes its parser."""
    command = add("flow", "show where the gradient flows, dies or explodes", run)
    command.add_argument("folder", metavar="DIR", help="a folder that train has written")
    command.add_argument("-o", "--out", metavar="FILE", help=".svg, .html or .txt (default: flow.svg in that folder)")


def run(options: argparse.Namespace) -> int:
    """Compute one loss on the validation text in scalars, and show its gradients."""
    import viz

    folder = Path(options.folder)
    model, config, tokenizer, step = checkpoint.load_model(folder)
    corpus = Corpus.from_text(config.text(), config.model.block_size, tokenizer)
    loss, calls, length = recorded_loss(model, corpus.val)
    measured = viz.flow(loss, calls=calls)
    print(f"One loss of step {step} on {length} characters of the validation text: {loss.data:.4f}\n{measured}")
    try:
        print(f"\nWrote {measured.save(options.out or folder / 'flow.svg')}")
    except viz.DrawingError as error:
        raise ConfigError(str(error)) from None
    return 0
