"""``python -m gpt eval``: the loss of a trained model on a text, as a whole or character by character."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from tinygrad_edu import console
from tinygrad_edu.training.flags import run_argument, run_folder
from viz.pages.surprise_page import Table, surprise_page
from viz.stepping.terminal import look

from ..byte_pairs import BytePairTokenizer
from ..data import ngram
from ..data.corpus import Corpus, spread
from ..engines import make_engine
from ..engines.arrays import ArrayModel
from ..engines.base import Engine
from ..errors import ConfigError, DataError
from ..inspection import surprisal
from ..runs.saved_run import SavedRun
from ..runs.wording import baselines_text, judged, loss_words
from .common import best_flag, engine_flag, text_read, with_engine

CHARACTERS = 10_000  # that are read one by one by default
MOST_CHARACTERS = 100_000  # a browser still shows that many
ON_SCREEN = 2_000  # of them are printed in color


def add_eval(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gpt eval``."""
    command.set_defaults(run=run)
    run_argument(command)
    best_flag(command)
    command.add_argument("--data", metavar="PATH", help="a UTF-8 text file (default: the validation part of its text)")
    command.add_argument("--sequences", type=int, metavar="N", help="how many sequences (default: all)")
    command.add_argument(
        "--surprise",
        action="store_true",
        help="character by character, in color in a terminal, with the most surprising ones",
    )
    command.add_argument("--page", metavar="FILE", help="write it as an offline .html page with every character")
    command.add_argument(
        "--characters",
        type=int,
        metavar="N",
        help=f"how many characters --surprise and --page read, from the beginning (default: {CHARACTERS:,}, "
        f"at most {MOST_CHARACTERS:,})",
    )
    engine_flag(command)


def run(options: argparse.Namespace) -> int:
    """Print the loss and the baselines from the training text, or inspect single characters."""
    _check(options)
    this = SavedRun.open(run_folder(options), best=options.best)
    config, step = this.config, this.step
    byte_pairs = isinstance(this.vocabulary, BytePairTokenizer)
    if byte_pairs and (options.surprise or options.page):
        raise ConfigError(f"--surprise and --page show characters, and {this.folder} reads byte pairs; leave them out")
    tokens, what, corpus = text_read(this, options.data)
    if options.surprise or options.page:
        engine = make_engine(this.model, with_engine(config.train, options))
        _surprise(options, engine, this, corpus, tokens, f"Model of step {step} on {what}")
        return 0
    block_size = config.model.block_size
    if byte_pairs:  # a context of them is a long text
        block_size = max(1, min(block_size, len(tokens) - 1))
    end, unit = (this.end, "character") if config.documents else (None, "byte pair" if byte_pairs else "character")
    least = block_size + 1 if end is None else 2
    if len(tokens) < least:
        raise DataError(f"{what} is too short: it has {len(tokens)} {unit}s, and needs {least}")
    every = len(spread(tokens, block_size, len(tokens), end))
    sequences = spread(tokens, block_size, options.sequences or every, end)
    if this.on_arrays and options.engine is None:
        loss = ArrayModel(config.model, this.arrays()).evaluate(sequences)
    else:
        loss = make_engine(this.model, with_engine(config.train, options)).evaluate(sequences)
    share = "all" if len(sequences) == every else f"{len(sequences):,} of {every:,}"
    size = f"{block_size} {unit}s" if end is None else f"at most {block_size} characters, line ends included"
    print(f"Model of step {step} on {what}, {share} sequences of {size}:")
    if byte_pairs:
        read = len(this.vocabulary.decode(token for _, targets in sequences for token in targets))
        print(f"{loss_words(loss, unit)}, {loss * block_size * len(sequences) / read:.4f} nats per character")
        return 0
    baselines = _baselines(corpus, tokens)
    print(judged(loss, baselines) + (ngram.counted(corpus.train) if corpus is not None else ""))
    if baselines:
        print(baselines_text(baselines))
    return 0


def _baselines(corpus: Corpus | None, tokens: Sequence[int]) -> list[ngram.Baseline]:
    """Return the baselines of the training text on these tokens; none if that text is gone."""
    return [] if corpus is None else corpus.baselines(tokens)


def _check(options: argparse.Namespace) -> None:
    for name in ("sequences", "characters"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            raise ConfigError(f"{name} must be at least 1, got {getattr(options, name)}")
    single = options.surprise or options.page
    if single and options.sequences is not None:
        raise ConfigError("--surprise and --page read characters, not sequences; say how many with --characters")
    if options.characters is not None and not single:
        raise ConfigError("--characters says how many --surprise or --page read; add one of them")
    if options.characters is not None and options.characters > MOST_CHARACTERS:
        raise ConfigError(f"characters must be at most {MOST_CHARACTERS:,}, got {options.characters:,}")
    if options.page and Path(options.page).suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"a page is HTML: {options.page} must end in .html")


def _surprise(
    options: argparse.Namespace,
    engine: Engine,
    this: SavedRun,
    corpus: Corpus | None,
    tokens: Sequence[int],
    what: str,
) -> None:
    if len(tokens) < 2:
        raise DataError(f"{options.data} is too short: a character can only surprise after another one")
    block_size, tokenizer = this.config.model.block_size, this.tokenizer
    some = tokens[: (options.characters or CHARACTERS) + 1]
    seen = surprisal.read(engine, tokenizer, some, block_size, this.end)
    first = tokenizer.decode(some[:1])
    share = "all" if len(some) == len(tokens) else f"the first {len(seen):,} of"
    context = f"read in windows of {block_size} that overlap by half"
    head = f"{what}, {share} {len(tokens) - 1:,} characters, {context}"
    words = f"{judged(surprisal.mean(seen), _baselines(corpus, some))}. {surprisal.sentence(seen)}"
    kinds, characters, texts = surprisal.by_kind(seen), surprisal.by_character(seen), surprisal.by_word(seen)
    print(textwrap.fill(f"{head}: {words}", 80, break_long_words=False, break_on_hyphens=False), end="\n\n")
    if options.surprise:
        if look(sys.stdout).color:
            print(surprisal.colored(first, seen[:ON_SCREEN]), file=console.raw(sys.stdout))
            if len(seen) > ON_SCREEN:
                print(f"(colored are the first {ON_SCREEN:,}; --page FILE.html shows all)")
            print()
        print(f"{surprisal.most_surprising(first, seen, 15)}\n")
        print(f"{surprisal.table('by kind', kinds)}\n")
        print(f"{surprisal.table('characters, at least 5 times', surprisal.often(characters, 5)[:12])}\n")
        print(surprisal.table("words", texts[:12], "times"))
    if options.page:
        tables = [
            Table(title, [name, count, "nats", "of all"], _rows(groups))
            for title, name, count, groups in (
                ("By kind of character", "kind", "count", kinds),
                ("Most surprising words", "word", "times", texts[:20]),
                ("Every character", "character", "count", characters),
            )
        ]
        title, words = "Which characters surprised the model", f"{head}: {words}"
        page = surprise_page(first, seen, levels=surprisal.LEVEL_WORDS, tables=tables, title=title, sentence=words)
        print(f"{chr(10) * options.surprise}Wrote {page.save(options.page)}")


def _rows(groups: list[surprisal.Group]) -> list[list[str]]:
    return [
        [
            surprisal.visible(g.name) if len(g.name) == 1 else g.name,
            f"{g.count:,}",
            f"{g.surprise:.2f}",
            f"{g.share:.1%}",
        ]
        for g in groups
    ]
