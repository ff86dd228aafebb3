"""Present a lesson in the terminal, without the terminal: keys go in, screens of text come out.

A :class:`Presenter` knows a lesson, the current cell and the output of its cells. :mod:`lessons.present_command`
connects it to the keyboard, the screen and the live view; tests connect it to a list of keys.
"""

from __future__ import annotations

import ast
import contextlib
import difflib
import io
import re
import textwrap
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from tinygrad_edu import Value
from viz.graph import age
from viz.graph.build import build
from viz.stepping.stepper import BLUE, BOLD, FAINT, GREEN, NEXT, ORANGE, PREVIOUS, REVERSE, Line, Look

from . import highlight, practice, predict
from .cells import Cell, Lesson, parse
from .errors import LessonError
from .runner import MOST_TEXT, Session, execute
from .script import WIDTH, plain, prompt

__all__ = ["Presenter", "Row", "View"]

#: A row of the screen: its parts, each with its color codes.
Row = list[Line]
_COLORS = {"keyword": (BOLD,), "comment": (FAINT,), "string": (GREEN,), "number": ("36",), "": ()}
_MOST_ABOVE = 300  # rows of earlier cells that can be reached by scrolling
_TRIES_TO_LEAVE = "leave the lesson? y leaves, any other key stays"


class View(Protocol):
    """Where pictures are shown, such as :class:`viz.pages.liveview.LiveView`."""

    @property
    def picture(self) -> Any:
        """What is shown."""

    def bring_back(self, picture: Any) -> None:
        """Show an earlier picture."""


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
        view: View | None = None,
    ) -> None:
        """Start at the first cell.

        Args:
            lesson: which.
            fast: whether training is cut short.
            practicing: whether key lines are left blank.
            on_result: shows the result of a cell, and returns what to print for it.
            redraw: called before something slow, so that the screen can say so.
            clock: a function that returns seconds, for the timer.
            view: where ``on_result`` shows pictures; going back brings back the earlier ones.
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
        self._typed: str | None = None  # what is being typed; None: keys are commands
        self._asks = ""  # what for: "blank", "predict" or "question"
        self._leaving = False  # whether it has asked if the teacher wants to quit
        self._view = view
        self._pictures: dict[int, Any] = {}  # the picture after each cell that has shown one
        self._held: dict[int, tuple[str, Any, list[Line]]] = {}  # cells that have been run and not been shown
        self._open: list[int] = []  # the questions of this stop that are still to be answered
        self._answers: dict[int, str] = {}
        self._tries = 0
        self._predicted: dict[int, bool | None] = {}  # the stops that are over, and whether they were right
        self._aside: list[Line] = []  # questions that were run in the lesson's namespace, and their results
        self._history: list[str] = []
        self._recalled = 0
        self._started = clock()
        self._up = 0  # lines by which the text is scrolled up from its end
        self._busy = ""
        self._arrive()

    # --- keys ---------------------------------------------------------------------------------------------------------

    def press(self, key: str) -> None:
        """Handle one key: a character, or the name of one, as :func:`viz.stepping.terminal.split_keys` returns them."""
        if self._leaving:
            self._leaving, self.done = False, key in ("y", "Y")
        elif self._typed is None:
            self._command(key)
        elif not self._typed and self._asks != "question" and key in ("left", "home", "end", "pageup", "up", "down"):
            self._typed = None
            self._command(key)
        else:
            self._type(key)

    def _command(self, key: str) -> None:
        self.message = ""
        match key:
            case "q" | "interrupt" | "escape":
                self._leaving = True
            case ":":
                self._typed, self._asks, self._recalled = "", "question", len(self._history)
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
                self._typed, self._asks = "", "blank"
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
            hidden = {"check", "pytorch"} if self.solutions else {"check", "pytorch", "solution"}
            if not hidden & self.lesson.cells[i].tags:
                return i
            i += step
        return self.position

    def _go(self, position: int) -> None:
        for i in range(self.position + 1, position):
            if "check" in self.lesson.cells[i].tags and i not in self._shown:
                self._run_one(i)
        self.position, self._up, self._aside = position, 0, []
        self._bring_back()
        self._arrive()

    def _arrive(self) -> None:
        """Open the prompt of a cell that waits for an answer, so that what is typed is never taken for commands."""
        cell, i = self.lesson.cells[self.position], self.position
        if self._blank() is not None and i not in self._shown:
            self._typed, self._asks = "", "blank"
        elif cell.questions and i not in self._predicted and i + 1 not in self._shown:
            self._typed, self._asks, self._tries, self._answers = "", "predict", 0, {}
            self._open = list(range(len(cell.questions)))

    def _bring_back(self) -> None:
        """Show the picture that belongs to the current cell: the last one up to here."""
        before = [i for i in self._pictures if i <= self.position]
        if self._view is not None and before and self._view.picture != self._pictures[max(before)]:
            self._view.bring_back(self._pictures[max(before)])

    def start_at(self, number: int) -> None:
        """Run everything before the cell of this number, from 1, and go there."""
        last = min(number, len(self.lesson.cells)) - 1
        for i, cell in enumerate(self.lesson.cells[:last]):
            if cell.is_code and "solution" not in cell.tags:
                self._run_one(i)
        self.position = last
        if {"check", "pytorch", "solution"} & self.lesson.cells[last].tags:
            self.position = self._neighbor(-1)
        self._arrive()

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
        """Run a cell, unless it has been run already for a prediction, and show its output."""
        if i not in self._held:
            self._hold(i)
        printed, result, lines = self._held.pop(i)
        words = ""
        before = None if self._view is None else self._view.picture
        if result is not None:
            try:
                words = self._on_result(result)
            except BaseException as error:  # Ctrl-C while a picture is drawn
                lines = [(line, (ORANGE,)) for line in _error(error, self.lesson, self.lesson.cells[i])]
        if self._view is not None and self._view.picture != before:
            self._pictures[i] = self._view.picture
        shown = printed[:MOST_TEXT].rstrip("\n")
        text = [line for part in (shown, words) if part for line in part.split("\n")]
        self._shown[i] = [*((line, (BLUE,)) for line in text), *lines]

    def _hold(self, i: int) -> None:
        """Run a cell and keep its output for later; an error is output too, and does not end the lesson."""
        cell = self.lesson.cells[i]
        printed = io.StringIO()
        result: Any = None
        lines: list[Line] = []
        try:
            with contextlib.redirect_stdout(printed):
                result = self._session.run(cell)
        except BaseException as error:  # exit() and Ctrl-C in a cell end the cell, not the lesson
            lines = [(line, (ORANGE,)) for line in _error(error, self.lesson, cell)]
            if "check" in cell.tags:
                self.message = f"a number in the text was not confirmed: {lines[-1][0]}"
        self._held[i] = printed.getvalue(), result, lines

    def _again(self) -> None:
        """Run the current cell again, as it is now in the file."""
        if not self._read_again() or not self.lesson.cells[self.position].is_code:
            return
        if self._blank() is None:
            self._run()
        else:
            self._typed, self._asks = "", "blank"

    def _from_the_start(self) -> None:
        """Forget everything and run all cells up to the current one, as if for the first time."""
        if not self._read_again():
            return
        ran = [
            i
            for i, cell in enumerate(self.lesson.cells[: self.position + 1])
            if cell.is_code and (i in self._shown or (i < self.position and "solution" not in cell.tags))
        ]
        self._session = Session(self.lesson, fast=self._fast)
        self._shown.clear()
        self._held.clear()
        self._pictures.clear()
        self._aside = []
        self._busy = "running all cells up to here …"
        self._redraw()
        for i in ran:
            self._run_one(i)
        self._busy, self.message = "", f"ran {len(ran)} cells again"
        self._arrive()

    def _read_again(self) -> bool:
        """Read the lesson from its file; False, with a message, if it cannot be read at the moment."""
        try:
            lesson = parse(self.lesson.path.read_text(encoding="utf-8"), self.lesson.path)
        except (LessonError, OSError, UnicodeError) as error:
            self.message = str(error)
            return False
        moved = _moved(self.lesson.cells, lesson.cells)
        edited = {i for i, j in moved.items() if self.lesson.cells[i].source != lesson.cells[j].source}
        self._held = {i: held for i, held in self._held.items() if i not in edited}
        for name in ("_shown", "_pictures", "_held", "_predicted"):
            setattr(self, name, {moved[i]: kept for i, kept in getattr(self, name).items() if i in moved})
        self.lesson = self._session.lesson = lesson
        self.position = moved.get(self.position, min(self.position, len(lesson.cells) - 1))
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
        elif key == ":" and not self._typed:
            if self._asks != "question":  # else it is asked already: no Python begins with a colon
                self._command(key)
        elif key == "backspace":
            self._typed = self._typed[:-1]
        elif key == "enter":
            {"blank": self._answer, "predict": self._predict, "question": self._question}[self._asks](
                self._typed.strip()
            )
        elif key == "space" and self._asks == "predict" and not self._typed and not self._answers:
            self._over(None)
        elif key in ("up", "down") and self._asks == "question" and self._history:
            self._recalled = min(max(0, self._recalled + (1 if key == "down" else -1)), len(self._history))
            self._typed = [*self._history, ""][self._recalled]
        elif key == "space" and (self._typed or self._asks != "blank"):
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

    # --- predictions and questions ------------------------------------------------------------------------------------

    def _predict(self, typed: str) -> None:
        """Take the answer to one question; after the last, judge them all."""
        questions = self.lesson.cells[self.position].questions
        if typed and (reason := predict.unreadable(questions[self._open[0]], typed)):
            self._typed, self.message = "", f"✗ {reason}"
            return
        if not self._tries:
            self.message = ""
        number = self._open.pop(0)
        if typed:
            self._answers[number] = typed
        elif self._tries:
            self._answers.pop(number, None)
        self._typed = ""
        if self._open:
            return
        if not self._answers:
            self._over(None)
            return
        i = self.position + 1
        if i not in self._held:
            self._busy = "running … (Ctrl-C stops it)"
            self._redraw()
            self._hold(i)
            self._busy = ""
        try:
            rights = self._session.rights(i)
        except LessonError as error:
            self._over(None, str(error))
            return
        verdicts = {n: predict.judge(rights[n], answer) for n, answer in self._answers.items()}
        wrong = [n for n, verdict in verdicts.items() if not verdict.right]
        self._tries += 1

        def names(numbers: list[int], say: Callable[[int], str]) -> str:
            labeled = (f"{questions[n].label}: {say(n)}" if questions[n].label else say(n) for n in numbers)
            return "; ".join(labeled)

        if wrong and self._tries < predict.TRIES:
            self._open = wrong
            self.message = f"✗ {names(self._open, lambda n: verdicts[n].message)}; once more"
        elif wrong or len(self._answers) < len(questions):
            missed = [n for n in range(len(questions)) if n in wrong or n not in self._answers]
            self._over(False, f"✗ {names(missed, lambda n: f'it is {rights[n].words}')}")
        else:
            again = ", the second time" if self._tries > 1 else ""
            self._over(True, f"✓ right{again}: {names(list(verdicts), lambda n: rights[n].words)}")

    def _over(self, right: bool | None, message: str = "") -> None:
        """End a stop, and go to the cell that shows the result."""
        self._predicted[self.position] = right
        self._typed = None
        self._next()
        score = [one for one in self._predicted.values() if one is not None]
        self.message = f"{message}   ({sum(score)} of {len(score)} predicted)" if message and score else message

    def _question(self, typed: str) -> None:
        """Run a line in the lesson's namespace; the file stays as it is, and R forgets what the line has changed."""
        if not typed:
            self._typed = None
            return
        if typed not in self._history[-1:]:
            self._history.append(typed)
        self._typed, self._recalled = "", len(self._history)
        names = self._session.namespace
        values = {name: value for name, value in names.items() if isinstance(value, Value)}
        printed = io.StringIO()
        words, lines = "", []
        self._busy = "running … (Ctrl-C stops it)"
        self._redraw()
        try:
            with contextlib.redirect_stdout(printed):
                result = execute(typed, "question", names)
                if result is not None:
                    words = self._on_result(result)
                elif self._draw_again():
                    words = "the picture is recomputed from the numbers as they are now"
        except BaseException as error:  # whatever it is, the lesson goes on
            what = "stopped" if isinstance(error, KeyboardInterrupt) else f"{type(error).__name__}: {error}"
            lines = [(line, (ORANGE,)) for line in what.split("\n")[:3]]
        self._busy = ""
        replaced = [name for name, value in values.items() if isinstance(names.get(name), (int, float))]
        if replaced:
            name = replaced[0]
            self.message = (
                f"{name} was a Value and is now a plain number; {name}.data = … changes the number in a Value"
            )
        else:
            self.message = "R forgets what questions have changed"
        shown = printed.getvalue()[:MOST_TEXT].rstrip("\n")
        text = [line for part in (shown, words) if part for line in part.split("\n")]
        self._aside += [(f">>> {typed}", (BOLD,)), *((line, (BLUE,)) for line in text), *lines]
        self._up = 0

    def _draw_again(self) -> bool:
        """Draw the current picture once more if a number in it has changed since: recomputed, never half old."""
        before = [i for i in self._pictures if i <= self.position]
        if not before:
            return False
        last = ast.parse(self.lesson.cells[max(before)].source).body[-1]
        if not isinstance(last, ast.Expr):
            return False
        drawing = isinstance(last.value, ast.Call) and ast.unparse(last.value.func) in ("viz.draw", "viz.flow")
        if not drawing and not isinstance(last.value, ast.Name):
            return False
        names = self._session.namespace
        with age.recomputed(build([value for value in names.values() if isinstance(value, Value)])) as is_new:
            if is_new:
                self._on_result(eval(compile(ast.Expression(last.value), "picture", "eval"), names))
        return is_new

    # --- the screen ---------------------------------------------------------------------------------------------------

    def screen(self, width: int = 80, height: int = 24, look: Look | None = None) -> list[str]:
        """Return at most ``height`` lines of at most ``width`` characters, not counting color codes."""
        look = look or Look()
        width, height = max(width, 20), max(height, 8)
        below = self._below(width)
        below = below[: max(2, height - 5)]  # on a tiny screen the last keys are left out
        room = height - 2 - len(below)
        text = self._text(self.position, width)
        above = self._above(width, min(room + self._up, _MOST_ABOVE))
        rows = above + text
        # A cell that has been run is shown from its end, where the result is, any other from its top.
        end = len(rows) if self.position in self._shown or len(text) <= room else len(above) + room
        self._up = max(end - len(rows), min(self._up, max(0, end - room)))
        end -= self._up
        body = rows[max(0, end - room) : end] if len(rows) > room else rows
        body += [[] for _ in range(room - len(body))]
        return [_paint(row, width, look) for row in ([self._head(width)], [], *body, *([line] for line in below))]

    def _head(self, width: int) -> Line:
        seconds = int(self._clock() - self._started)
        right = f"{self.position + 1}/{len(self.lesson.cells)}   {seconds // 60:02}:{seconds % 60:02} "
        left = f" {self.lesson.title}"[: width - len(right) - 1]
        return (left.ljust(width - len(right)) + right, (REVERSE,))

    def _text(self, i: int, width: int) -> list[Row]:
        cell = self.lesson.cells[i]
        if not cell.is_code:
            codes = (BOLD,) if cell.asks else ()
            text = plain(cell.source, min(width, WIDTH)).split("\n")
            rows = [row for line in text for row in _fold([(line, codes)], width)]
        else:
            code = highlight.to_lines(self._code(i))
            rows = [row for line in code for row in _fold([(part, _COLORS[what]) for part, what in line], width)]
        more = self._shown.get(i, [])
        if i == self.position and self._aside:
            more = [*more, *([("", ())] if more else []), *self._aside]
        return [*rows, *([[]] if more else []), *(row for line in more for row in _fold([line], width))]

    def _above(self, width: int, most: int) -> list[Row]:
        """The cells before the current one, faint: at least ``most`` rows, if there are so many."""
        hidden = {"check", "pytorch"} if self.solutions else {"check", "pytorch", "solution"}
        rows: list[Row] = []
        for i in range(self.position - 1, -1, -1):
            if len(rows) >= most:
                break
            if not hidden & self.lesson.cells[i].tags:
                faint: list[Row] = [[(words, (FAINT,)) for words, _ in row] for row in self._text(i, width)]
                rows = [*faint, [], *rows]
        return rows

    def _code(self, i: int) -> str:
        cell = self.lesson.cells[i]
        lines = cell.source.split("\n")
        if self.practicing:
            for blank in practice.blanks(self.lesson, i):
                if blank not in self._filled:
                    lines[blank.line] = blank.shown
        return Cell("code", "\n".join(lines), cell.line).shown

    def _below(self, width: int) -> list[Line]:
        keys = (
            "space next · ← back · : question · r run again · R all again · ↑↓ scroll · s solutions · t timer · q quit"
        )
        below: list[Line] = []
        typing: list[str] = []
        if self._leaving:
            below, keys = [(_TRIES_TO_LEAVE, (REVERSE,))], "nothing is lost: --from goes on here"
        elif self._typed is not None and self._asks == "blank":
            blank = self._blank()
            assert blank is not None
            keys = "enter checks · ? hint · ! show it · esc other keys"
            typing = [f"{blank.shown.strip()}    ← {self._typed}▌"]
        elif self._typed is not None and self._asks == "predict":
            keys = "enter takes the answer · space goes on without one · : question · esc other keys"
            if self._open:  # not while the answers are judged
                question = self.lesson.cells[self.position].questions[self._open[0]]
                typing = f"{prompt(question)}{self._typed}▌".split("\n")
        elif self._typed is not None:
            keys = "enter runs this line · ↑↓ earlier ones · esc leaves · R forgets what it has changed"
            typing = [f">>> {self._typed}▌"]
        below += [(words, (BOLD,)) for line in typing for row in _fold([(line, ())], width) for words in [_words(row)]]
        if self._busy or self.message:
            color = GREEN if self.message.startswith("✓") and not self._busy else ORANGE
            rows = _fold([(self._busy or self.message, ())], width)[:3]
            below += [(_words(row), (color,)) for row in rows]
        elif self._typed is None and not self._leaving and self._unrun():
            what = "shows the result" if self.position in self._held else "runs this cell"
            below.append(("space fills in the blank" if self._blank() else f"space {what}", (GREEN,)))
        wrapped = textwrap.wrap(re.sub(r"(?<!·) (?!·)", "\x00", keys), width)  # a key and its meaning stay on one line
        return [("", ()), *below, *((row.replace("\x00", " "), (FAINT,)) for row in wrapped)]

    def _unrun(self) -> bool:
        return self.lesson.cells[self.position].is_code and self.position not in self._shown


def _words(row: Row) -> str:
    return "".join(words for words, _ in row)


def _fold(parts: Row, width: int) -> list[Row]:
    """Break a line into rows that fit, between words if possible; control characters cannot reach the terminal."""
    if all(words.isprintable() for words, _ in parts) and sum(len(words) for words, _ in parts) <= width:
        return [parts]
    signs = [(sign if sign.isprintable() else "·", codes) for words, codes in parts for sign in words.expandtabs(4)]
    rows: list[Row] = []
    while True:
        line = "".join(sign for sign, _ in signs)
        cut = len(line) if len(line) <= width else line.rfind(" ", width // 2, width) + 1 or width
        row: Row = []
        for sign, codes in signs[:cut]:
            if row and row[-1][1] == codes:
                row[-1] = (row[-1][0] + sign, codes)
            else:
                row.append((sign, codes))
        rows.append(row)
        signs = signs[cut:]
        if not signs:
            return rows


def _paint(row: Row, width: int, look: Look) -> str:
    """A row as the terminal gets it, cut where its translation has become too long."""
    painted, room = "", width
    for words, codes in row:
        text = look.text(words)[:room]
        room -= len(text)
        painted += look.paint(text, *codes)
    return painted


def _moved(before: Sequence[Cell], after: Sequence[Cell]) -> dict[int, int]:
    """Return where each cell is in the file as it is now; those that are gone are left out."""
    old, new = [cell.source for cell in before], [cell.source for cell in after]
    moved: dict[int, int] = {}
    for _, i, i_end, j, j_end in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        moved.update(zip(range(i, i_end), range(j, j_end), strict=False))
    return moved


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
