"""``python -m gpt text``: a report on a text, with advice, before training."""

from __future__ import annotations

import argparse
from contextlib import nullcontext

from ..data.corpus import TEXTS, open_text, text_once
from ..data.text import parse_normalizations
from ..data.text_report import report
from ..errors import ConfigError
from .common import ABOUT_TEXTS, documents_chosen, documents_flag, normalize_flag, say_parts


def add_text(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gpt text``."""
    command.set_defaults(run=run)
    command.description = f"{command.description}\n\n{ABOUT_TEXTS}"
    command.add_argument("path", nargs="?", metavar="PATH", help="a UTF-8 text file, or a folder of them; of any size")
    command.add_argument("--dataset", metavar="NAME", help=f"a text by name: {', '.join(TEXTS)}")
    normalize_flag(command)
    documents_flag(command)


def run(options: argparse.Namespace) -> int:
    """Print the report."""
    if (options.path is None) == (options.dataset is None):
        raise ConfigError("give either the PATH of a text or its name with --dataset NAME")
    with text_once(options.path) if options.path else nullcontext() as path:
        normalize = parse_normalizations(options.normalize or "none")
        text = open_text(options.dataset, path, normalize, documents_chosen(options))
        say_parts(text)
        print(report(text))
    return 0
