"""The command line: ``python -m gpt COMMAND``; each command is a file of its own, imported when it runs.

Exit codes: 0 done, 1 training diverged, 2 the request cannot be carried out (the message says why and what to do),
130 interrupted.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import re
import sys
import textwrap
from collections.abc import Sequence
from typing import NoReturn

import tinygrad_edu
from tinygrad_edu import console
from tinygrad_edu.errors import TinygradEduError

from .errors import DivergedError

__all__ = ["COMMANDS", "carry_out", "main"]

#: By name, in the order of ``--help``: the file in ``commands/``, and what the command does. In that file the function
#: ``add_NAME`` adds flags to the parser of the command, and says which function runs it.
COMMANDS = {
    "train": ("train", "train a GPT and save it"),
    "find-lr": ("find_lr", "find a learning rate by trying ever larger ones for a few steps"),
    "sweep": ("sweep", "try some settings in all combinations, in short runs"),
    "sample": ("sample", "write text with a trained model"),
    "chat": ("chat", "write a text together with a trained model, line by line"),
    "eval": ("eval", "measure the loss of a trained model, or see which characters surprise it"),
    "compare": ("compare", "compare two trained models, or the best and the last of one run"),
    "info": ("info", "show what the folder of a run holds, and where time and memory go"),
    "text": ("text", "report on a text: alphabet, rare characters, repeated lines, and what to do"),
    "draw": ("draw", "draw the graph of a trained model's loss, with gradients"),
    "graph": ("draw", "the same as draw"),
    "explore": ("explore", "write that graph as one page: boxes open, down to one multiplication"),
    "flow": ("flow", "show where the gradient flows, dies or explodes"),
    "attention": ("charts", "show what each head looks at"),
    "next": ("charts", "show which characters come next, and which of them sampling cuts"),
    "curve": ("charts", "show how the loss of runs fell, and what counting alone reaches"),
    "embeddings": ("charts", "show the vectors of characters, in the plane in which they differ most"),
    "histogram": ("charts", "show how weights and gradients are distributed"),
    "compilation": ("charts", "show which scalars of a loss became which array instruction"),
    "timemachine": ("timemachine", "go back and forth through a training that kept snapshots (train --keep 20)"),
    "report": ("report", "write a folder that opens as one page with everything there is to see of a run"),
    "export": ("exchange", "write a model with nanoGPT's parameter names: .pt or .safetensors"),
    "import": ("exchange", "make a run of a model with nanoGPT's parameter names"),
    "export-log": ("export_log", "write the log of a run as CSV or for TensorBoard"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    return console.run(
        "gpt", lambda: _main(sys.argv[1:] if arguments is None else arguments), "error: cannot write or read"
    )


def _main(arguments: Sequence[str]) -> int:
    try:
        return carry_out(arguments)
    except DivergedError as error:
        print(f"gpt: {error}", file=sys.stderr)
        return 1
    except TinygradEduError as error:
        print(f"gpt: error: {console.one_line(error)}", file=sys.stderr)
        return 2


def carry_out(words: Sequence[str], program: str = "gpt") -> int:
    """Carry out one command; returns the exit code, or raises TinygradEduError.

    Args:
        words: the command and what it is told.
        program: the command line that it was given to; help and complaints speak of it.
    """
    options, unknown = _parser(words, program).parse_known_args(words)
    if unknown:
        options.parser.error(_unknown(unknown, options.parser))
    return int(options.run(options))


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and where to read on, instead of a page of flags."""

    def error(self, message: str) -> NoReturn:
        program = self.prog.removeprefix(console.launcher()).split()[0]
        self.exit(2, f"{program}: error: {console.one_line(message)}; see {self.prog} --help\n")


class _Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the line breaks of descriptions; shows a default where it says something."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """Break what is too long for a line; of a table, under where its second column begins."""
        lines: list[str] = []
        for line in text.splitlines():
            column = len(re.match(r"\s*(\S+ {2,})?", line)[0])  # type: ignore[index]  # it always matches
            lines += textwrap.wrap(line, width, subsequent_indent=" " * column) or [""]
        return "\n".join(indent + line for line in lines)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None else super()._get_help_string(action)


def _parser(words: Sequence[str], program: str) -> argparse.ArgumentParser:
    """The parser of all commands; only the one that is named first among the words knows its flags."""
    parser = _Parser(
        prog=f"{console.launcher()} {program}",
        description="Train a character-level GPT made of scalars, and write text with it.",
        epilog=f"Each command explains itself: {console.launcher()} gpt train --help",
        formatter_class=_Help,
    )
    parser.add_argument("--version", action="version", version=f"tinygrad_edu {tinygrad_edu.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    chosen = next((word for word in words if not word.startswith("-")), "")
    for name, (file, about) in COMMANDS.items():
        description = f"{about[0].upper()}{about[1:]}."
        command = commands.add_parser(name, help=about, description=description, formatter_class=_Help)
        command.set_defaults(parser=command)
        if name == chosen:
            module = importlib.import_module(f".commands.{file}", __package__)
            getattr(module, f"add_{name.replace('-', '_')}")(command)
    return parser


def _unknown(words: Sequence[str], command: argparse.ArgumentParser) -> str:
    """What nobody knows, and what may have been meant."""
    known = command._option_string_actions  # argparse has no public list of them
    near = [match for word in words for match in difflib.get_close_matches(word.partition("=")[0], known, 1)]
    return f"unrecognized arguments: {' '.join(words)}" + (f"; did you mean {' '.join(near)}?" if near else "")
