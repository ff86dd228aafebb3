"""Present a lesson in the terminal, without the terminal: keys go in, screens of text come out.

A :class:`Presenter` knows a lesson, the current cell and the output of its cells. :mod:`lessons.present_command`
connects it to the keyboard, the screen and the live view; tests connect it to a list of keys.
"""

from __future__ import annotations

import contextlib
import io
import re
import textwrap
import time
import traceback
from collections.abc import Callable
from typing import Any

from viz.stepping.stepper import BLUE, BOLD, FAINT, GREEN, NEXT, ORANGE, PREVIOUS, REVERSE, Line, Look

from . import practice
from .cells import Cell, Lesson, parse
from .errors import LessonError
from .runner import MOST_TEXT, Session
from .script import WIDTH, plain

__all__ = ["Presenter"]


class Presenter:
    """The state of a presentation.

    Attributes:
        lesson: the lesson; read again from its file when a cell is run again, so that it can be edited during the talk.
        position: the number of the current cell.
        solutions: whether solutions of exercises are shown.
        practicing: whether key lines are left blank until they have been filled in.
        done: whether the teacher wants to quit.
        message: one line above the keys.
    """

    def __init__(
        self,
        lesson: Lesson,
        *,
        fast: bool = False,
        practicing: bool = False,
        on_result: Callable[[Any], str] = repr,
        redraw: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start at the first cell.

        Args:
            lesson: which.
            fast: whether training is cut short.
            practicing: whether key lines are left blank.
            on_result: shows the result of a cell, and returns what to print for it.
            redraw: called before something slow, so that the screen can say so.
            clock: a function that returns seconds, for the timer.
        """
        self.lesson = lesson
        self.practicing = practicing
        self.solutions = False
        self.position = 0
        self.done = False
        self.message = ""
        self._fast, self._on_result, self._redraw, self._clock = fast, on_result, redraw, clock
        self._session = Session(lesson, fast=fast)
        self._shown: dict[int, list[Line]] = {}  # the output of cells that have been run
        self._filled: set[practice.Blank] = set()
        self._typed: str | None = None  # an answer being typed; None: keys are commands
        self._started = clock()
        self._up = 0  # lines by which the text is scrolled up from its end
        self._busy = ""

    # --- keys ---------------------------------------------------------------------------------------------------------

    def press(self, key: str) -> None:
        """Handle one key: a character, or the name of one, as :func:`viz.stepping.terminal.split_keys` returns them."""
        if self._typed is not None:
            self._type(key)
            return
        self.message = ""
        match key:
            case "q" | "interrupt" | "escape":
                self.done = True
            case "up" | "k":
                self._up += 1
            case "down" | "j":
                self._up = max(0, self._up - 1)
            case "r":
                self._again()
            case "R":
                self._from_the_start()
            case "s":
                self._toggle_solutions()
            case "t":
                self._started = self._clock()
            case "home":
                self._go(0)
            case "end":
                self._go(max(self._shown, default=0))
            case _ if key in NEXT:
                self._next()
            case _ if key in PREVIOUS:
                self._go(self._neighbor(-1))

    def _next(self) -> None:
        """Run the current cell if it has not been run; otherwise go on."""
        cell = self.lesson.cells[self.position]
        if cell.is_code and self.position not in self._shown:
            if self._blank() is not None:
                self._typed = ""
            else:
                self._run()
        elif self._neighbor(1) == self.position:
            self.message = "this was the last cell"
        else:
            self._go(self._neighbor(1))

    def _neighbor(self, step: int) -> int:
        """Return the next visible cell in one direction; the current one if there is none."""
        i = self.position + step
        while 0 <= i < len(self.lesson.cells):
            hidden = {"check"} if self.solutions else {"check", "solution"}
            if not hidden & self.lesson.cells[i].tags:
                return i
            i += step
        return self.position

    def _go(self, position: int) -> None:
        for i in range(self.position + 1, position):
            if "check" in self.lesson.cells[i].tags and i not in self._shown:
                self._run_one(i)
        self.position, self._up = position, 0

    def _toggle_solutions(self) -> None:
        self.solutions = not self.solutions
        self.message = "solutions are shown" if self.solutions else "solutions are left out"
        if not self.solutions and "solution" in self.lesson.cells[self.position].tags:
            self._go(self._neighbor(-1))

    # --- running ------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        self._busy = "running … (Ctrl-C stops it)"
        self._redraw()
        try:
            self._run_one(self.position)
        finally:
            self._busy = ""
        self._up = 0

    def _run_one(self, i: int) -> None:
        """Run a cell and keep its output; an error is shown too, and does not end the lesson."""
        cell = self.lesson.cells[i]
        printed = io.StringIO()
        lines: list[Line] = []
        try:
            with contextlib.redirect_stdout(printed):
                result = self._session.run(cell)
                words = "" if result is None else self._on_result(result)
        except BaseException as error:  # exit() and Ctrl-C in a cell end the cell, not the lesson
            words = ""
            lines = [(line, (ORANGE,)) for line in _error(error, self.lesson, cell)]
            if "check" in cell.tags:
                self.message = f"a number in the text was not confirmed: {lines[-1][0]}"
        shown = printed.getvalue()[:MOST_TEXT].rstrip("\n")
        text = [line for part in (shown, words) if part for line in part.split("\n")]
        self._shown[i] = [*((line, (BLUE,)) for line in text), *lines]

    def _again(self) -> None:
        """Run the current cell again, as it is now in the file."""
        if not self._read_again() or not self.lesson.cells[self.position].is_code:
            return
        if self._blank() is None:
            self._run()
        else:
            self._typed = ""

    def _from_the_start(self) -> None:
        """Forget everything and run all cells up to the current one, as if for the first time."""
        if not self._read_again():
            return
        ran = [i for i in sorted(self._shown) if i <= self.position and self.lesson.cells[i].is_code]
        self._session = Session(self.lesson, fast=self._fast)
        self._shown.clear()
        self._busy = "running all cells up to here …"
        self._redraw()
        for i in ran:
            self._run_one(i)
        self._busy, self.message = "", f"ran {len(ran)} cells again"

    def _read_again(self) -> bool:
        """Read the lesson from its file; False, with a message, if it cannot be read at the moment."""
        try:
            lesson = parse(self.lesson.path.read_text(encoding="utf-8"), self.lesson.path)
        except (LessonError, OSError, UnicodeError) as error:
            self.message = str(error)
            return False
        self.lesson = self._session.lesson = lesson
        self.position = min(self.position, len(lesson.cells) - 1)
        return True

    # --- practicing ---------------------------------------------------------------------------------------------------

    def _blank(self) -> practice.Blank | None:
        """Return the first blank line of the current cell."""
        if not self.practicing:
            return None
        return next((b for b in practice.blanks(self.lesson, self.position) if b not in self._filled), None)

    def _type(self, key: str) -> None:
        assert self._typed is not None
        if key in ("escape", "interrupt"):
            self._typed, self.message = None, ""
        elif key == "backspace":
            self._typed = self._typed[:-1]
        elif key == "enter":
            self._answer(self._typed.strip())
        elif key == "space":
            self._typed += " "
        elif len(key) == 1 and key.isprintable() and len(self._typed) < 500:
            self._typed += key

    def _answer(self, typed: str) -> None:
        blank = self._blank()
        assert blank is not None
        typed = typed[-1:] if typed.endswith(("?", "!")) else typed  # also after a wrong answer
        if typed in ("", "?"):
            self.message = f"hint: {blank.hint}"
            self._typed = ""
            return
        if typed == "!":
            verdict = practice.Verdict(True, f"it is: {blank.code.strip()}")
        else:
            self._busy = "checking …"
            self._redraw()
            try:
                verdict = practice.check(self.lesson, blank, typed)
            except LessonError as error:
                verdict = practice.Verdict(False, str(error))
            except KeyboardInterrupt:
                verdict = practice.Verdict(False, "stopped")
            finally:
                self._busy = ""
        if verdict.right:
            self._filled.add(blank)
            self._typed = None if self._blank() is None else ""
            self.message = f"✓ {verdict.message}"
            if self._typed is None:
                self._run()
        else:
            self.message = f"✗ {verdict.message}; ? gives a hint"

    # --- the screen ---------------------------------------------------------------------------------------------------

    def screen(self, width: int = 80, height: int = 24, look: Look | None = None) -> list[str]:
        """Return at most ``height`` lines of at most ``width`` characters, not counting color codes."""
        look = look or Look()
        width, height = max(width, 20), max(height, 8)
        below = self._below(width)
        below = below[: max(2, height - 5)]  # on a tiny screen the last keys are left out
        room = height - 2 - len(below)
        text = self._text(width)
        # A cell that has been run is shown from its end, where the result is, any other from its top.
        end = len(text) if self.position in self._shown else min(room, len(text))
        self._up = max(end - len(text), min(self._up, max(0, end - room)))
        end -= self._up
        body = text[max(0, end - room) : end] if len(text) > room else text
        body += [("", ())] * (room - len(body))
        lines = [self._head(width), ("", ()), *body, *below]
        return [look.paint(look.text(words)[:width], *codes) for words, codes in lines]

    def _head(self, width: int) -> Line:
        seconds = int(self._clock() - self._started)
        right = f"{self.position + 1}/{len(self.lesson.cells)}   {seconds // 60:02}:{seconds % 60:02} "
        left = f" {self.lesson.title}"[: width - len(right) - 1]
        return (left.ljust(width - len(right)) + right, (REVERSE,))

    def _text(self, width: int) -> list[Line]:
        cell = self.lesson.cells[self.position]
        if not cell.is_code:
            codes = (BOLD,) if cell.asks else ()
            text = plain(cell.source, min(width, WIDTH)).split("\n")
            return [(row, codes) for line in text for row in _fold(line, width)]
        lines: list[Line] = [(row, ()) for line in self._code(cell).split("\n") for row in _fold(line, width)]
        if self.position in self._shown:
            lines += [("", ())]
            lines += [(row, codes) for line, codes in self._shown[self.position] for row in _fold(line, width)]
        return lines

    def _code(self, cell: Cell) -> str:
        lines = cell.source.split("\n")
        if self.practicing:
            for blank in practice.blanks(self.lesson, self.position):
                if blank not in self._filled:
                    lines[blank.line] = blank.shown
        return Cell("code", "\n".join(lines), cell.line).shown

    def _below(self, width: int) -> list[Line]:
        keys = "space next · ← back · r run again · R all again · ↑↓ scroll · s solutions · t timer · q quit"
        below: list[Line] = []
        if self._typed is not None:
            blank = self._blank()
            assert blank is not None
            keys = "enter checks · ? hint · ! show it · esc leave"
            below += [(row, (BOLD,)) for row in _fold(f"{blank.shown.strip()}    ← {self._typed}▌", width)]
        if self._busy or self.message:
            color = GREEN if self.message.startswith("✓") and not self._busy else ORANGE
            below += [(row, (color,)) for row in _fold(self._busy or self.message, width)[:3]]
        elif self._typed is None and self._unrun():
            below.append(("space fills in the blank" if self._blank() else "space runs this cell", (GREEN,)))
        rows = textwrap.wrap(re.sub(r"(?<!·) (?!·)", "\x00", keys), width)  # a key and its meaning stay on one line
        return [("", ()), *below, *((row.replace("\x00", " "), (FAINT,)) for row in rows)]

    def _unrun(self) -> bool:
        return self.lesson.cells[self.position].is_code and self.position not in self._shown


def _fold(line: str, width: int) -> list[str]:
    """Break a line into rows that fit, between words if possible; control characters cannot reach the terminal."""
    line = "".join(c if c.isprintable() else "·" for c in line.expandtabs(4))
    rows = []
    while len(line) > width:
        cut = line.rfind(" ", width // 2, width) + 1 or width
        rows.append(line[:cut])
        line = line[cut:]
    return [*rows, line]


def _error(error: BaseException, lesson: Lesson, cell: Cell) -> list[str]:
    """Say what went wrong and where, short enough for a class."""
    if isinstance(error, KeyboardInterrupt):
        return ["stopped"]
    frames = traceback.extract_tb(error.__traceback__)
    line = next((f.lineno for f in reversed(frames) if f.filename == str(lesson.path)), None)
    if line is None:
        line = getattr(error, "lineno", None) or cell.line
    words = str(error)
    source = lesson.path.read_text(encoding="utf-8").split("\n")
    code = source[line - 1].strip() if 0 < line <= len(source) else ""
    return [f"line {line}: {code}", f"{type(error).__name__}{': ' if words else ''}{words}"]
