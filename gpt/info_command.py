"""``python -m gpt info``: what the folder of a run holds."""

from __future__ import annotations

import argparse
import dataclasses
import math
from pathlib import Path
from typing import Any

from tinygrad_edu.nn import shape

from . import checkpoint
from .commands import best_flag, loss_words, parameters_file
from .tokenizer import shortened


def add_parser(add: Any) -> None:
    """Add the command; ``add(name, help, run)`` makes its parser."""
    command = add("info", "show what the folder of a run holds", run)
    command.add_argument("folder", metavar="DIR", help="a folder that train has written")
    best_flag(command)


def run(options: argparse.Namespace) -> int:
    """Print the settings, the tables of parameters and the last validation."""
    folder = Path(options.folder)
    model, config, tokenizer, step = checkpoint.load_model(folder, parameters_file(options))
    log = [r for r in checkpoint.read_log(folder) if r.get("val_loss") is not None and r["step"] <= step]
    seen = step * config.train.batch_size * config.model.block_size
    print(f"{folder}: step {step} of {config.train.steps}, {seen:,} characters seen of {config.dataset or config.data}")
    if config.normalize:
        print(f"the text is normalised: {', '.join(config.normalize)}")
    if log:
        print(f"validation loss at step {log[-1]['step']}: {loss_words(log[-1]['val_loss'])}")
    print(f"alphabet of {tokenizer.vocab_size}: {shortened(tokenizer.alphabet)}\n")
    for title, part in (("model", config.model), ("training", config.train)):
        print(f"{title}: " + ", ".join(f"{name} {value}" for name, value in dataclasses.asdict(part).items()))
    print(f"\n{'parameter':<40}{'shape':<14}{'numbers':>9}")
    for name, parameter in model.named_parameters():
        sizes = shape(parameter)
        print(f"{name:<40}{'×'.join(map(str, sizes)):<14}{math.prod(sizes):>9,}")
    print(f"{'all':<54}{len(model.parameters()):>9,}")
    return 0
