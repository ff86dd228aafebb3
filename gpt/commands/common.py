"""What several commands share: flags and their meaning."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from typing import Any

from ..byte_pairs import BytePairTokenizer
from ..config import TrainConfig
from ..data.corpus import DEFAULT_DATASET, TEXTS, Corpus, text_once, tokens_at
from ..data.text import LARGEST_FILE, NORMALIZATIONS, SUFFIXES, Text
from ..errors import ConfigError
from ..runs.saved_run import SavedRun


def text_read(run: SavedRun, data: str | None) -> tuple[Sequence[int], str, Corpus | None]:
    """Return the tokens that a model reads, by default its validation text; their name; the text of the run, if it is
    at hand."""
    if isinstance(run.vocabulary, BytePairTokenizer):
        if not data:
            raise ConfigError(f"{run.folder} was imported without its text; say with --data PATH what to read")
        with text_once(data) as now:
            return run.vocabulary.encode(Text.at(now).whole()), data, None
    if data:
        return tokens_at(data, run.tokenizer, run.config.normalize, run.end), data, run.corpus_at_hand()
    corpus = run.corpus()
    return corpus.val, f"the validation part of {run.config.text_name}", corpus


ABOUT_TEXTS = (
    "normalizations, done in this order (line ends become \\n in any case):\n"
    + "\n".join(f"  {name:<19}{about}" for name, about in NORMALIZATIONS.items())
    + f"\n\nof a folder and its folders, the files are read that end in\n  {' '.join(SUFFIXES)},\n"
    "in the order of their names, with an empty line between two; hidden, binary and empty files are left out,\n"
    f"and those above {LARGEST_FILE / 1e9:.0f} GB, which can be given individually"
)


def text_flags(command: argparse.ArgumentParser) -> None:
    """Add ``--dataset``, ``--data`` and ``--documents``."""
    text = command.add_mutually_exclusive_group()
    text.add_argument("--dataset", metavar="NAME", help=f"a text by name (default: {DEFAULT_DATASET})")
    text.add_argument(
        "--data",
        action=_Once,
        metavar="PATH",
        help="a UTF-8 text file of yours, or a folder of them; of any size; - reads the standard input",
    )
    documents_flag(command)


_OF_LINES = ", ".join(name for name, text in TEXTS.items() if text.documents)


def documents_flag(command: argparse.ArgumentParser, default: str = f"lines for {_OF_LINES}, else none") -> None:
    """``--documents``; ``default`` says what happens without it."""
    command.add_argument(
        "--documents", choices=("lines", "none"),
        help="lines: every line is a document, such as a name; they are shuffled, none is read into the next one, and "
        f"the line end is the token for begin and end; none: one text (default: {default})",
    )  # fmt: skip


def documents_chosen(options: argparse.Namespace) -> bool | None:
    """Return whether lines are documents; None if the options leave it to the text."""
    return None if options.documents is None else options.documents == "lines"


class _Once(argparse.Action):
    """Refuse a second value, which would silently replace the first."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        if getattr(namespace, self.dest) is not None:
            parser.error(f"{option} can be given only once; for several files give their folder")
        setattr(namespace, self.dest, values)


def normalize_flag(command: argparse.ArgumentParser) -> None:
    """``--normalize``."""
    command.add_argument(
        "--normalize", metavar="HOW", help="normalizations of the text, separated by commas (default: none)"
    )


def say_parts(text: Text) -> None:
    """Say which files of a folder are read, and which are not."""
    if len(text.parts) > 1 or text.skipped:
        print(f"{text.name}: {len(text.parts):,} file{'s' * (len(text.parts) > 1)}")
    for path, reason in text.skipped[:10]:
        print(f"  left out: {path} ({reason})")
    if len(text.skipped) > 10:
        print(f"  and {len(text.skipped) - 10:,} more")


def best_flag(command: argparse.ArgumentParser) -> None:
    """Add ``--best``."""
    command.add_argument("--best", action="store_true", help="the model with the lowest validation loss")


def engine_flag(command: argparse.ArgumentParser) -> None:
    """Add ``--engine`` and ``--device``."""
    command.add_argument("--engine", metavar="NAME", help="compiled, scalar or torch (default: as trained)")
    command.add_argument("--device", metavar="NAME", help="cpu or cuda, for the torch engine (default: as trained)")


def sampling_flags(command: argparse.ArgumentParser, temperature: str) -> None:
    """Add the flags of :func:`sampling`; ``temperature`` is the help on the first."""
    command.add_argument("--temperature", type=float, default=0.8, metavar="T", help=temperature)
    command.add_argument("--top-k", type=int, metavar="K", help="choose only among the K most likely characters")
    command.add_argument("--top-p", type=float, metavar="P", help="choose only among the most likely that sum to P")
    command.add_argument(
        "--min-p", type=float, metavar="P", help="only those at least P times as likely as the top one"
    )


def sampling(options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that :func:`gpt.sample.check_settings` and :func:`gpt.sample.generate` take."""
    return {name: getattr(options, name) for name in ("temperature", "top_k", "top_p", "min_p")}


def with_engine(config: TrainConfig, options: argparse.Namespace) -> TrainConfig:
    """Return the settings of a run with the engine named on the command line."""
    engine = options.engine or config.engine
    device = options.device or (config.device if engine == "torch" else "cpu")
    return dataclasses.replace(config, engine=engine, device=device)
