"""``python -m gpt chat``: type a line, and the model continues it.

The model was trained to continue a text, not to answer, so this is one text that you and the model write in turns. If
it was trained on documents, every line of yours is the beginning of one.
"""

from __future__ import annotations

import argparse
import io
import random
import sys
from collections.abc import Iterator

from tinygrad_edu import console
from tinygrad_edu.training.flags import run_argument, run_folder

from ..engines import make_engine
from ..errors import GPTError
from ..runs.saved_run import SavedRun
from ..sample import check_settings, generate
from .common import sampling, sampling_flags

HELP = """\
Type a line and the model continues the text; after an empty line it continues.
  /temperature X   below 1 safer, above 1 more varied, 0 always the most likely
  /lines N         how many lines it writes at a time
  /reset           begin a new text
  /help            show this help
  /quit            quit (also Ctrl-D); Ctrl-C stops the model while it writes"""


def add_chat(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gpt chat``."""
    command.set_defaults(run=run)
    run_argument(command)
    sampling_flags(command, "see /temperature")
    command.add_argument("--lines", type=int, default=1, metavar="N", help="how many lines it writes at a time")
    command.add_argument("--max-new-tokens", type=int, default=300, metavar="N", help="characters at most, each time")
    command.add_argument("--seed", type=int, default=0, metavar="S", help="another seed, another text")


_NO_TEXT = (
    "standard input is {}; convert it first: iconv -f UTF-16 -t UTF-8 FILE | gpt chat RUN, "
    "or name its encoding in PYTHONIOENCODING"
)


def run(options: argparse.Namespace) -> int:
    """Read lines until the end of the input or /quit; errors are printed, and the text continues."""
    check_settings(**sampling(options))
    for name in ("lines", "max_new_tokens"):
        _at_least_one(name, getattr(options, name))
    this = SavedRun.open(run_folder(options))
    model, config, tokenizer = this.model, this.config, this.tokenizer
    if "\n" not in tokenizer.alphabet:
        raise GPTError("this model has never read a line end, which a chat needs; use gpt sample")
    score = make_engine(model, config.train).scorer()
    rng = random.Random(options.seed)
    text: list[int] = []
    asks = sys.stdin.isatty()
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # an undecodable byte is an unknown character, not an end
    if asks:
        print(f"{this.folder}, step {this.step}. /help lists the commands.")
    while True:
        try:
            line = input("> " if asks else "")
        except EOFError:
            if asks:
                print()
            return 0
        except KeyboardInterrupt:
            if not asks:
                raise
            print("\nCtrl-D or /quit leaves.")
            continue
        except UnicodeError as error:
            raise GPTError(_NO_TEXT.format(f"no text in {sys.stdin.encoding}: {error}")) from None
        if "\0" in line and "\0" not in tokenizer.alphabet:
            raise GPTError(_NO_TEXT.format("UTF-16, or no text: there is a NUL in it"))
        try:
            if line.startswith("/"):
                if line.split()[0] == "/quit":
                    return 0
                if line.split()[0] == "/reset":
                    text = []
                    print("A new text.")
                else:
                    print(_changed(options, line))
                continue
            for _ in range(options.lines if config.documents else 1):
                if config.documents:  # each begins with the line, and knows nothing of those before
                    text = tokenizer.encode(config.opening(line))
                    print(tokenizer.decode(text[1:]), end="")
                else:
                    text += tokenizer.encode(config.normalized(f"{line}\n") if line or not text else "")
                tokens = generate(
                    score, config.model.block_size, text, options.max_new_tokens, end=this.end, rng=rng,
                    **sampling(options),
                )  # fmt: skip
                try:
                    for token in _lines(tokens, tokenizer.encode("\n")[0], options.lines):
                        text.append(token)
                        print(tokenizer.decode([token]), end="", flush=True)
                        console.end_if_unread()
                except KeyboardInterrupt:
                    if not asks:
                        raise
                if config.documents or tokenizer.decode(text[-1:]) != "\n":
                    print(flush=True)
        except GPTError as error:
            print(f"gpt: {console.one_line(error)}", file=sys.stderr)


def _lines(tokens: Iterator[int], newline: int, n: int) -> Iterator[int]:
    """Take text until this many nonempty lines."""
    written = False
    for token in tokens:
        yield token
        if token != newline:
            written = True
        elif written:
            written, n = False, n - 1
            if n == 0:
                return


def _changed(options: argparse.Namespace, line: str) -> str:
    """Run a command; returns what to print."""
    name, *values = line.split()
    if name == "/help":
        return HELP
    kinds: dict[str, type] = {"/temperature": float, "/lines": int}
    if name not in kinds:
        raise GPTError(f"unknown command {name}; there are /temperature, /lines, /reset, /help and /quit")
    try:
        (value,) = (kinds[name](x) for x in values)
    except ValueError:
        raise GPTError(f"{name} takes one number, got {' '.join(values) or 'none'}") from None
    if name == "/temperature":
        check_settings(value, None, None)
    else:
        _at_least_one("lines", value)
    setattr(options, name[1:], value)
    return f"{name[1:]} {value}"


def _at_least_one(name: str, value: int) -> None:
    if value < 1:
        raise GPTError(f"{name} must be at least 1, got {value}")
