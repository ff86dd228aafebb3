"""Safe standard output and standard error for command lines: text can neither fail nor attack.

:func:`run` is the frame of every command line of the project. While a command runs in it

- a character that the output's encoding lacks becomes a similar one, or ``?``;
- a stream that is closed, full or no longer read drops text, and the command's work continues. The exit code then
  reports that text was lost, unless the reader has gone, as in ``| head``;
- control characters and the marks that reorder text are shown as ``\\x1b`` and ``\\u202e``. Printed text may come from
  a file, and a terminal would obey it. Line breaks, tabs, joiners and combining marks stay as they are;
- a terminal gets sentences that are wider than it wrapped between words. Lines that begin with a space, such as code,
  tables and commands to copy, stay whole.

Text that is itself the result goes to :func:`data`: into a regular file it is written as it is. Our own colors and
screens go to :func:`raw`.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import itertools
import os
import re
import stat
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TextIO, cast

__all__ = [
    "ASCII", "adding", "data", "end_if_unread", "launcher", "one_line", "only_tells", "open_page", "raw", "run",
    "visible",
]  # fmt: skip

#: Replacements for our characters if the encoding lacks mathematical symbols.
ASCII = str.maketrans(
    {
        "∂": "d", "·": "*", "−": "-", "–": "-", "→": "->", "←": "<-", "─": "-", "▶": ">", "⋮": ":", "…": "...",
        "÷": "/", "σ": "sigmoid", "∞": "inf", "×": "x", "✓": "+", "✗": "x", "█": "#", "␣": "_", "⏎": "$", "│": "|",
        "±": "+-", "≤": "<=", "≥": ">=", "≈": "~", "√": "sqrt", "²": "^2", "’": "'", "“": '"', "”": '"',
    }
)  # fmt: skip

# The controls but \t and \n (C0, delete, C1), the twelve marks of Unicode's Bidi_Control, its deprecated relatives, the
# separators of lines and paragraphs, and what no file may hold: the two noncharacters, and lone surrogates, which stand
# for undecodable bytes of a name.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ud800-\udfff\ufffe\uffff]"
)
_NARROW = 40  # columns; in fewer, nothing can be wrapped well
_LIKE = "tinygrad_edu.console"  # the name of the error handler below


def visible(text: str) -> str:
    r"""Make control characters, marks that reorder text, and lone surrogates visible.

    >>> print(visible("\x1b[2J \x9b \u202e"))
    \x1b[2J \x9b \u202e
    >>> visible("a\tb\n") == "a\tb\n"
    True
    """
    if text.isprintable():  # nearly all names are, and a drawing asks about hundreds of thousands
        return text
    return _HIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def launcher() -> str:
    """Return the command that starts our packages here, such as ``python3 run.py``, for printed commands."""
    return os.environ.get("TINYGRAD_EDU_LAUNCHER", "python -m")


def adding(extra: str, package: str) -> str:
    """Return the command that installs what an extra holds: run.py's, or pip's where run.py is not used."""
    return f"{launcher()} add {extra}" if launcher().endswith("run.py") else f"pip install {package}"


def one_line(words: object) -> str:
    r"""Do the same for a one-line message: a name in it may hold line breaks.

    >>> print(one_line("there is no file two\nlines"))
    there is no file two\nlines
    """
    return visible(str(words)).replace("\n", "\\n")


def _similar(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end].translate(ASCII)
    return "".join(sign if sign.isascii() else "?" for sign in signs), error.end


codecs.register_error(_LIKE, _similar)


class _Safe:
    """A stream that accepts any text and never fails.

    Attributes:
        failure: the first error of the underlying stream; what was written after it is lost.
        matters: whether that is a failure of the command.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.failure: Exception | None = None
        self.matters = True

    def write(self, text: str) -> int:
        """Write what the encoding has, and similar characters for the rest."""
        encoding = self._stream.encoding or "utf-8"
        self._attempt(lambda: self._stream.write(text.encode(encoding, _LIKE).decode(encoding)))
        return len(text)

    def flush(self) -> None:
        """Flush what is still in memory."""
        self._attempt(self._stream.flush)

    def _attempt(self, action: Callable[[], object]) -> None:
        try:
            action()
        except (OSError, ValueError) as error:  # ValueError: the stream was closed
            self.failure = self.failure or error
            # So that neither we nor Python at its end fail again on what remains in memory.
            with contextlib.suppress(OSError, ValueError, AttributeError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._stream.fileno())
                os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Visible:
    """The same for text from any source: what a terminal would obey is made visible."""

    def __init__(self, safe: _Safe, *, wraps: bool = True) -> None:
        self.safe = safe
        self._wraps = wraps

    def write(self, text: str) -> int:
        """Write it, with control characters made visible, and long sentences wrapped if this is a terminal."""
        self.safe.write(visible(_wrapped(text, self.safe) if self._wraps and len(text) > _NARROW else text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write them one after the other."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.safe, name)


def _wrapped(text: str, stream: _Safe) -> str:
    try:
        width = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError, AttributeError):  # no terminal
        return text
    if width < _NARROW:
        return text
    lines = (
        textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False, subsequent_indent="  ")
        if len(line) > width and not line[0].isspace()
        else [line]
        for line in text.split("\n")
    )
    return "\n".join(itertools.chain.from_iterable(lines))


class _Unread(Exception):
    """The output of a command that only prints can no longer be read."""


def raw(stream: TextIO) -> TextIO:
    """Return the stream without changes, for our own escape codes; everything else in the text must be
    :func:`visible`."""
    return cast(TextIO, stream.safe) if isinstance(stream, _Visible) else stream


def data() -> TextIO:
    """Return standard output for text that is the result: unchanged into a regular file, visible anywhere else.

    A pipe ends at a terminal more often than not.
    """
    try:
        file = stat.S_ISREG(os.fstat(sys.stdout.fileno()).st_mode)
    except (OSError, ValueError, AttributeError):
        file = False
    if isinstance(sys.stdout, _Visible):
        return cast(TextIO, sys.stdout.safe if file else _Visible(sys.stdout.safe, wraps=False))
    return sys.stdout


def end_if_unread() -> None:
    """End the command here if its output can no longer be read; for commands that only print."""
    if isinstance(sys.stdout, _Visible) and sys.stdout.failure:
        raise _Unread


def only_tells() -> None:
    """Declare that the text of this command only reports its work: it succeeds even if that text is lost."""
    if isinstance(sys.stdout, _Visible):
        sys.stdout.safe.matters = False


def run(program: str, command: Callable[[], int]) -> int:
    """Run a command with safe streams; returns its exit code.

    Args:
        program: the name at the start of every message, such as ``gpt``.
        command: does the work and returns an exit code. It may raise OSError, which becomes one line and code 2,
            KeyboardInterrupt, which becomes 130, and SystemExit, which is passed on.
    """
    with _safe_streams() as out:
        leave = None
        try:
            code = command()
        except _Unread:
            code = 0
        except SystemExit as error:  # argparse has printed its help or its error
            leave, code = error, 2 if isinstance(error.code, str) else int(error.code or 0)
        except OSError as error:
            place = error.filename or "the file"
            print(
                f"{program}: error: cannot write or read {one_line(place)}: {error.strerror or error}", file=sys.stderr
            )
            code = 2
        except KeyboardInterrupt:
            print(f"\n{program}: interrupted", file=sys.stderr)
            code = 130
        out.flush()
        if out.failure and not _seen_enough(out.failure):
            reason = getattr(out.failure, "strerror", None) or out.failure
            print(f"{program}: standard output cannot be written: {reason}; its text is lost", file=sys.stderr)
            code = code or (2 if out.matters else 0)
        sys.stderr.flush()
    if leave is not None:
        raise SystemExit(code) from None
    return code


def _seen_enough(failure: Exception) -> bool:
    """Return whether the reader has gone, as ``head`` does; Windows has no separate error for that."""
    return isinstance(failure, BrokenPipeError) or (os.name == "nt" and getattr(failure, "errno", 0) == errno.EINVAL)


@contextlib.contextmanager
def _safe_streams() -> Iterator[_Safe]:
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, _opened(descriptor))
    before = sys.stdout, sys.stderr
    out = _Safe(sys.stdout)
    sys.stdout, sys.stderr = (cast(TextIO, _Visible(safe)) for safe in (out, _Safe(sys.stderr)))
    try:
        yield out
    finally:
        sys.stdout, sys.stderr = before


def _opened(descriptor: int) -> TextIO:
    """Open a stream to nowhere for one that was closed before the start.

    It takes the number of that stream, which the next opened file would get otherwise.
    """
    nowhere = os.open(os.devnull, os.O_RDWR)
    try:
        os.fstat(descriptor)  # has a file been opened meanwhile?
    except OSError:
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
        nowhere = descriptor
    if nowhere == descriptor:
        os.set_inheritable(descriptor, True)
    return open(nowhere, "r" if descriptor == 0 else "w", encoding="utf-8", closefd=False)


def open_page(address: str) -> None:
    """Open a page in a browser, if there is a screen for one: without it, a browser would take over the terminal."""
    if sys.platform in ("win32", "darwin") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        import webbrowser

        webbrowser.open(address)
