"""``tinygrad-edu``: the installed command; its first word names one of the command lines.

Unlike ``python -m gpt`` it imports nothing from the current directory, which may hold a gpt.py or random.py.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

import tinygrad_edu
from tinygrad_edu import console
from tinygrad_edu.command_line import suggestion

__all__ = ["COMMANDS", "SHELLS", "completions", "main"]

COMMANDS = {"gpt": "gpt.cli", "image": "image.cli", "viz": "viz.cli", "lesson": "lessons.cli", "play": "gpt.cli"}
_COMPLETE = "complete"  # the word with which a shell asks
#: What lets each shell complete words: eval "$(tinygrad-edu completion bash)".
SHELLS = {
    "bash": """\
_tinygrad_edu() {
  local IFS=$'\\n'
  COMPREPLY=($(tinygrad-edu complete "${COMP_WORDS[@]:1:COMP_CWORD}"))
}
complete -o default -F _tinygrad_edu tinygrad-edu
""",
    "zsh": """\
_tinygrad_edu() {
  local found=(${(f)"$(tinygrad-edu complete "${words[@]:1:$((CURRENT - 1))}")"})
  if (( $#found )); then compadd -a found; else _files; fi
}
compdef _tinygrad_edu tinygrad-edu
""",
    "fish": """\
complete -c tinygrad-edu -a '(tinygrad-edu complete (commandline -opc)[2..] (commandline -ct))'
""",
}


_HELP = """\
usage: tinygrad-edu COMMAND ...

  gpt          train a GPT made of scalars, and write text with it
  image        train a painter made of scalars, and paint with it
  viz          draw graphs, and step through them
  lesson       the course; lesson 1 runs the first lesson
  play         open the playground; play RUN reads a model in it
  completion   print what lets bash, zsh or fish complete these words

Help on a command: tinygrad-edu gpt --help
"""


def main() -> int:
    """Run the command line that the first word names; returns the exit code, 2 for a word that names none."""
    word, rest = (sys.argv[1] if len(sys.argv) > 1 else ""), sys.argv[2:]
    if word == "--version":
        return console.run("tinygrad-edu", lambda: print(f"tinygrad_edu {tinygrad_edu.__version__}") or 0)
    if word in ("-h", "--help", "help"):
        return console.run("tinygrad-edu", lambda: print(_HELP, end="") or 0)
    if word in (_COMPLETE, "completion"):
        return console.run("tinygrad-edu", lambda: _say(word, rest))
    if word not in COMMANDS:
        return console.run("tinygrad-edu", lambda: _refuse(word))
    os.environ["TINYGRAD_EDU_LAUNCHER"] = "tinygrad-edu"  # so that "try next" lines can be typed as printed
    sys.argv[1:] = [*(["play"] if word == "play" else []), *rest]
    return int(importlib.import_module(COMMANDS[word]).main())


def _say(word: str, rest: Sequence[str]) -> int:
    if word == _COMPLETE:
        print(*completions(rest), sep="\n")
        return 0
    if len(rest) != 1 or rest[0] not in SHELLS:
        got = " ".join(rest) or "nothing"
        print(f"tinygrad-edu: completion expected {', '.join(SHELLS)}, got {got}", file=sys.stderr)
        return 2
    print(SHELLS[rest[0]], end="")
    return 0


def completions(words: Sequence[str]) -> list[str]:
    """Return what the last of the words after ``tinygrad-edu`` may become; nothing stands for the name of a file."""
    first, *rest = words or [""]
    if not rest:
        return [name for name in (*COMMANDS, "completion") if name.startswith(first)]
    if first == "completion":
        return [name for name in SHELLS if name.startswith(rest[-1])]
    if first not in COMMANDS:
        return []
    line = importlib.import_module(COMMANDS[first]).LINE
    return list(line.completions([*(["play"] if first == "play" else []), *rest]))


def _refuse(word: str) -> int:
    known = (*COMMANDS, "completion")
    what = f"unknown command: {word!r}; {suggestion(word, known)}" if word else f"expected one of {', '.join(known)}"
    print(f"tinygrad-edu: error: {what}; see tinygrad-edu --help", file=sys.stderr)
    return 2
