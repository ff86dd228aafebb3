"""The command lines of the project: each command is in a file that is imported when it runs, and errors take one line.

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
from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn

from . import console
from .errors import TinygradEduError, needing_packages

__all__ = ["CommandLine", "suggestion"]


class CommandLine:
    """A program with commands.

    Args:
        program: its name, such as ``gpt``.
        package: the dotted name of the package that holds the commands.
        commands: by name, in the order of ``--help``: the file in ``package``, and what the command does. In that file
            the function ``add_NAME`` adds flags to the parser of the command, and the function that runs it, which
            returns an exit code, or nothing for 0.
        description, epilog: the first and the last line of the help.
    """

    def __init__(
        self, program: str, package: str, commands: Mapping[str, tuple[str, str]], description: str, epilog: str = ""
    ) -> None:
        self.program, self._package, self._commands = program, package, commands
        self._description, self._epilog = description, epilog

    def main(self, words: Sequence[str] | None = None) -> int:
        """Run one command; returns the exit code. Errors are printed in one line on standard error."""
        return console.run(self.program, lambda: self._main(sys.argv[1:] if words is None else words))

    def _main(self, words: Sequence[str]) -> int:
        try:
            return self.carry_out(words)
        except TinygradEduError as error:
            message = str(error) if error.has_lines else console.one_line(error)
            print(f"{self.program}: error: {message}", file=sys.stderr)
            return error.exit_code

    def carry_out(self, words: Sequence[str], program: str = "") -> int:
        """Run one command; returns the exit code, or raises TinygradEduError.

        Args:
            words: the command and its arguments.
            program: the name of the program in help and errors, if it is another one.
        """
        options, unknown = self._parsers(words, program or self.program)[0].parse_known_args(words)
        if unknown:
            options.parser.error(_unknown(unknown, options.parser))
        return int(options.run(options) or 0)

    def completions(self, words: Sequence[str]) -> list[str]:
        """Return what the last of some words may become: a command, or a flag of the command before it."""
        *before, begun = words
        if not before:
            return [name for name in self._commands if name.startswith(begun)]
        if before[0] not in self._commands or not begun.startswith("-"):
            return []
        known = self._parsers(before[:1], self.program)[1][before[0]]._option_string_actions
        return sorted(flag for flag in known if flag.startswith(begun) and flag.startswith("--"))

    def _parsers(
        self, words: Sequence[str], program: str
    ) -> tuple[argparse.ArgumentParser, Mapping[str, argparse.ArgumentParser]]:
        """Make the parser of all commands, and that of each; only the named command gets its flags."""
        parser = _Parser(
            prog=f"{console.launcher()} {program}",
            description=self._description,
            epilog=self._epilog,
            formatter_class=_Help,
        )
        version = f"tinygrad_edu {sys.modules['tinygrad_edu'].__version__}"
        parser.add_argument("--version", action="version", version=version)
        commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
        chosen = next((word for word in words if not word.startswith("-")), "")
        if chosen and chosen not in self._commands:
            parser.error(f"unknown command: {chosen!r}; {suggestion(chosen, self._commands)}")
        for name, (file, about) in self._commands.items():
            description = f"{about[0].upper()}{about[1:]}."
            command = commands.add_parser(name, help=about, description=description, formatter_class=_Help)
            command.set_defaults(parser=command)
            if name == chosen:
                with needing_packages():
                    module = importlib.import_module(f"{self._package}.{file}")
                getattr(module, f"add_{name.replace('-', '_')}")(command)
        return parser, commands.choices


class _Parser(argparse.ArgumentParser):
    """Reports errors in one line, with a pointer to the help, instead of a page of flags."""

    def error(self, message: str) -> NoReturn:
        program = self.prog.removeprefix(console.launcher()).split()[0]
        self.exit(2, f"{program}: error: {console.one_line(message)}; see {self.prog} --help\n")


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Keeps the line breaks of descriptions; shows a default if it is informative."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """Wrap long lines; those of a table are indented to its second column."""
        lines: list[str] = []
        for line in text.splitlines():
            column = len(re.match(r"\s*(\S+ {2,})?", line)[0])  # type: ignore[index]  # it always matches
            lines += textwrap.wrap(line, width, subsequent_indent=" " * column) or [""]
        return "\n".join(indent + line for line in lines)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, False) else super()._get_help_string(action)


def suggestion(word: str, known: Iterable[str]) -> str:
    """Say what a mistyped word may have meant, or else what it may be."""
    near = difflib.get_close_matches(word, known, 1)
    return f"did you mean {near[0]}?" if near else f"expected one of {', '.join(known)}"


def _unknown(words: Sequence[str], command: argparse.ArgumentParser) -> str:
    """Report unknown arguments, with suggestions."""
    known = command._option_string_actions  # argparse has no public list of them
    near = [match for word in words for match in difflib.get_close_matches(word.partition("=")[0], known, 1)]
    return f"unrecognized arguments: {' '.join(words)}" + (f"; did you mean {' '.join(near)}?" if near else "")
