"""``python -m gpt sample``: write text with a trained model, token by token."""

from __future__ import annotations

import argparse
import random
import re

from tinygrad_edu import console
from tinygrad_edu.training.flags import run_argument, run_folder

from ..engines import make_engine
from ..engines.arrays import ArrayModel
from ..errors import ConfigError
from ..runs.saved_run import SavedRun
from ..sample import check_settings, generate, until
from .common import best_flag, engine_flag, sampling, sampling_flags, with_engine


def add_sample(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gpt sample``."""
    command.set_defaults(run=run)
    run_argument(command)
    best_flag(command)
    command.add_argument("--prompt", metavar="TEXT", help="the text to continue (default: a new line)")
    command.add_argument(
        "--max-new-tokens",
        type=int,
        default=300,
        metavar="N",
        help="how many tokens to write: characters, or byte pairs",
    )
    sampling_flags(command, "below 1 safer, above 1 more varied, 0 always the most likely")
    command.add_argument(
        "--repetition-penalty",
        type=float,
        default=1.0,
        metavar="X",
        help="above 1: what was just written is less likely",
    )
    command.add_argument(
        "--repetition-window", type=int, default=64, metavar="N", help="how many characters back it looks"
    )
    command.add_argument(
        "--context-shift",
        "--slide",
        type=int,
        metavar="N",
        help="drop N characters when the context is full (default: half of it)",
    )
    command.add_argument("--seed", type=int, default=0, metavar="S", help="another seed, another text")
    command.add_argument(
        "--samples", type=int, default=1, metavar="N", help="how many texts, or documents, with seeds S, S + 1 …"
    )
    command.add_argument(
        "--stop",
        action="append",
        default=[],
        metavar="TEXT",
        help="end before this text, in which \\n is a line end and \\t a tab; may be given several times",
    )
    engine_flag(command)


def run(options: argparse.Namespace) -> int:
    """Write the requested number of texts."""
    check_settings(**sampling(options))
    for name, least in (("max_new_tokens", 0), ("samples", 1)):
        if getattr(options, name) < least:
            raise ConfigError(f"{name} must be at least {least}, got {getattr(options, name)}")
    stops = [unescaped(stop) for stop in options.stop]
    if "" in stops:
        raise ConfigError("a stop string must have at least one character; leave out --stop to write on")
    this = SavedRun.open(run_folder(options), best=options.best)
    config, vocabulary = this.config, this.vocabulary
    # A given prompt is part of the text and is printed; the line break that otherwise starts a text is not.
    prompt = vocabulary.encode(config.opening(options.prompt or "")) or vocabulary.beginning
    if this.on_arrays and options.engine is None:
        scorer = ArrayModel(config.model, this.arrays()).scorer
    else:
        scorer = make_engine(this.model, with_engine(config.train, options)).scorer
    out = console.data()
    for number in range(options.samples):
        if options.samples > 1 and not config.documents:  # a document is one line
            head = f"--- {number + 1} of {options.samples}, seed {options.seed + number}"
            print(f"{chr(10) * (number > 0)}{head}", file=out)
        print(options.prompt or "", end="", flush=True, file=out)
        tokens = generate(
            scorer(),
            config.model.block_size,
            prompt,
            options.max_new_tokens,
            **sampling(options),
            repetition_penalty=options.repetition_penalty,
            repetition_window=options.repetition_window,
            context_shift=options.context_shift,
            end=this.end,
            rng=random.Random(options.seed + number),
        )
        for character in until(vocabulary.stream(tokens), stops):
            print(character, end="", flush=True, file=out)
            console.end_if_unread()
        print(file=out)
    return 0


def unescaped(words: str) -> str:
    r"""Return words of a command line with ``\n``, ``\t`` and ``\\`` replaced by what they mean: few shells can type a
    line end.

    >>> unescaped(r"a\n\tb\\n") == "a\n\tb" + chr(92) + "n"
    True
    """
    return re.sub(r"\\[nt\\]", lambda found: {"n": "\n", "t": "\t"}.get(found[0][1], "\\"), words)
