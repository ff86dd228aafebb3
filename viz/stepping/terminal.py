"""A keyboard and a screen for the stepper, on every system that Python supports."""

from __future__ import annotations

import codecs
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

from tinygrad_edu import console
from tinygrad_edu.step_log import StepLog

from .stepper import Look, all_steps

_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"  # the terminal's second screen, without a cursor
_HOME, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"

_SEQUENCES = {
    "[A": "up", "[B": "down", "[C": "right", "[D": "left", "OA": "up", "OB": "down", "OC": "right", "OD": "left",
    "[H": "home", "[F": "end", "OH": "home", "OF": "end", "[1~": "home", "[7~": "home", "[4~": "end", "[8~": "end",
    "[5~": "pageup", "[6~": "pagedown",
}  # fmt: skip
_CHARACTERS = {
    " ": "space", "\r": "enter", "\n": "enter", "\x7f": "backspace", "\b": "backspace", "\x03": "interrupt",
    "\x04": "interrupt", "\x1b": "escape",
}  # fmt: skip
_WINDOWS = {"H": "up", "P": "down", "M": "right", "K": "left", "G": "home", "O": "end", "I": "pageup", "Q": "pagedown"}
_ESCAPE = re.compile(r"\x1b([\[O][0-9;]*[A-Za-z~])")


def look(stream: TextIO) -> Look:
    """Return what this stream can show: no colors if NO_COLOR is set (no-color.org) or it is no terminal."""
    color = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return Look(color, stream.encoding or "utf-8")  # None: a string, which can hold every character


def is_interactive() -> bool:
    """Return whether there are a keyboard and a screen that can change."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def print_all(log: StepLog, stream: TextIO) -> None:
    """Print every step, one line each."""
    what = look(stream)
    for line in all_steps(log):
        print(what.text(line), file=stream)


class Screens(Protocol):
    """Something to show on a whole terminal, such as the stepper: keys go in, screens of text come out.

    Attributes:
        done: whether the user wants to quit.
    """

    done: bool

    def press(self, key: str) -> None:
        """Handle one key: a character, or a name such as ``"left"`` or ``"enter"``."""

    def screen(self, width: int, height: int, look: Look) -> list[str]:
        """Return at most ``height`` lines of at most ``width`` characters, not counting color codes."""


def run(screens: Screens, *, every: float | None = None) -> None:
    """Show screens until the user quits, then restore the terminal.

    Args:
        screens: the screens to show.
        every: seconds after which the screen is redrawn even without a key, for a clock.
    """
    out = console.raw(sys.stdout)
    out.write(_ENTER)
    try:
        with _keys(every) as read:
            while not screens.done:
                try:
                    draw(screens, out)
                    keys = read()
                    if keys is None:  # the terminal is gone
                        break
                    for key in keys:
                        screens.press(key)
                except KeyboardInterrupt:
                    screens.press("interrupt")
    finally:
        out.write(_LEAVE)
        out.flush()


def draw(screens: Screens, out: TextIO) -> None:
    """Write the current screen over the previous one."""
    size = shutil.get_terminal_size()
    lines = screens.screen(size.columns, size.lines, look(out))
    out.write(_HOME + "\n".join(line + _CLEAR_LINE for line in lines) + _CLEAR_BELOW)
    out.flush()


def split_keys(text: str) -> list[str]:
    """Translate what a terminal sent into the names of keys.

    >>> split_keys("n\\x1b[C \\x1b")
    ['n', 'right', 'space', 'escape']
    """
    found = []
    while text:
        match = _ESCAPE.match(text)
        if match:
            found.append(_SEQUENCES.get(match[1], "unknown"))
            text = text[match.end() :]
        else:
            found.append(_CHARACTERS.get(text[0], text[0]))
            text = text[1:]
    return found


if sys.platform == "win32":

    @contextmanager
    def _keys(every: float | None) -> Iterator[Callable[[], list[str] | None]]:
        import msvcrt

        os.system("")  # makes the console understand escape codes

        def read() -> list[str] | None:
            character = msvcrt.getwch()
            if character in "\0\xe0":
                return [_WINDOWS.get(msvcrt.getwch(), "unknown")]
            return [_CHARACTERS.get(character, character)]

        yield read

else:

    @contextmanager
    def _keys(every: float | None) -> Iterator[Callable[[], list[str] | None]]:
        import select
        import termios
        import tty

        handle = sys.stdin.fileno()
        before = termios.tcgetattr(handle)
        decoder = codecs.getincrementaldecoder(sys.stdin.encoding or "utf-8")(errors="replace")

        def read() -> list[str] | None:
            size = shutil.get_terminal_size()
            drawn = time.monotonic()
            while True:
                ready, _, _ = select.select([handle], [], [], 0.3)
                if ready:
                    sent = os.read(handle, 1024)
                    return split_keys(decoder.decode(sent)) if sent else None
                # The window has a new size, or the clock went on: redraw.
                if shutil.get_terminal_size() != size or (every and time.monotonic() - drawn >= every):
                    return []

        tty.setcbreak(handle)
        try:
            yield read
        finally:
            termios.tcsetattr(handle, termios.TCSADRAIN, before)
