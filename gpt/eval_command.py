"""``python -m gpt eval``: how surprised a trained model is by a text."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from . import checkpoint, ngram
from .commands import checkpoint_flag, engine_flag, ladder_words, loss_words, parameters_file, with_engine
from .data import Corpus, load_text, read_text, spread
from .engines import make_engine
from .errors import ConfigError, DataError


def add_parser(add: Any) -> None:
    """Add the command; ``add(name, help, run)`` makes its parser."""
    command = add("eval", "measure the loss of a trained model", run)
    checkpoint_flag(command)
    command.add_argument("--data", metavar="PATH", help="a UTF-8 text file (default: the validation part of its text)")
    command.add_argument("--sequences", type=int, metavar="N", help="how many sequences (default: all)")
    engine_flag(command)


def run(options: argparse.Namespace) -> int:
    """Print the loss and, for the run's own text, what counting alone reaches there."""
    if options.sequences is not None and options.sequences < 1:
        raise ConfigError(f"sequences must be at least 1, got {options.sequences}")
    model, config, tokenizer, step = checkpoint.load_model(Path(options.checkpoint), parameters_file(options))
    block_size = config.model.block_size
    corpus = None
    if options.data:
        tokens = tokenizer.encode(read_text(options.data))
        what = options.data
        if len(tokens) <= block_size:
            raise DataError(
                f"{options.data} is too short: it has {len(tokens)} characters, needed are {block_size + 1}"
            )
    else:
        corpus = Corpus.from_text(load_text(config.dataset, config.data), block_size, tokenizer)
        tokens, what = corpus.val, f"the validation part of {config.dataset or config.data}"
    every = (len(tokens) - 1) // block_size
    sequences = spread(tokens, block_size, options.sequences or every)
    loss = make_engine(model, with_engine(config.train, options)).evaluate(sequences)
    share = "all" if len(sequences) == every else f"{len(sequences):,} of {every:,}"
    print(f"Model of step {step} on {what}, {share} sequences of {block_size} characters:")
    if corpus is None:
        print(f"{loss_words(loss)}")
    else:
        rungs = ngram.ladder(corpus.train, corpus.val, tokenizer.vocab_size)
        print(f"{loss_words(loss)}: {ngram.verdict(loss, rungs)}\n{ladder_words(rungs)}")
    return 0
