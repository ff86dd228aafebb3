"""Run the cells of a lesson inside its page: ``pages/live_worker.js`` calls this in Pyodide, in a Worker.

It needs nothing but the standard library, the ``graphviz`` package and what is here; :mod:`lessons.live` packs them.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import linecache
import sys
import time
import traceback
import types
from collections.abc import Callable
from typing import Any

import viz
from gpt.data import baseline
from gpt.errors import DataError
from tinygrad_edu import Value
from viz.charts import embeddings
from viz.errors import LayoutError
from viz.rendering import graphviz_program

from . import compiled, practice, sandbox, without_numpy
from .cells import Lesson, load, load_all
from .errors import LessonError
from .output import to_html
from .runner import MOST_TEXT, Session, Shown, cut, execute, mime_bundle, runnable

__all__ = ["NEED_NUMPY", "Kernel", "answers", "calibrate", "prepare"]


class Kernel:
    """A lesson in its page: one namespace.

    Args:
        name: of the lesson, such as ``"3"``.
        fast: whether the page was made with less training.
        say: takes what a cell prints, as it prints it.
        layout: Graphviz: takes DOT text, a format and an engine, returns the picture.
        machine: the compiled programs of the lesson; None if there are none.
    """

    def __init__(
        self,
        name: str,
        fast: bool,
        say: Callable[[str], None],
        layout: Callable[[str, str, str], str],
        machine: compiled.Machine | None = None,
    ) -> None:
        self.lesson, self._fast, self._say = load(name), fast, say
        compiled.machine = machine or compiled.machine
        graphviz_program.in_process = lambda *asked: _laid_out(layout, *asked)
        self._session = Session(self.lesson, fast=fast)
        self._session.namespace["input"] = _no_input

    def check(self, i: int, line: int, typed: str, wanted: str) -> str:
        """Judge what was typed for a line to fill in, by its value, in a lesson of its own that trains less.

        ``wanted`` is JSON, of :func:`answers`. Returns JSON: ``right``, and ``message``, a sentence.
        """
        blank = next(blank for blank in practice.blanks(self.lesson, i) if blank.line == line)
        seen: list[Any] = []
        try:
            code = blank.with_answer(typed)
            with contextlib.redirect_stdout(io.StringIO()):
                sandbox.run_line(self.lesson, i, line, blank.target, code, seen)
        except BaseException as raised:
            error = str(raised) if isinstance(raised, ValueError) and not seen else sandbox.why_not(raised)
            error = "stopped" if isinstance(raised, KeyboardInterrupt) else error
        else:
            error = ""
        verdict = practice.judge({"seen": json.loads(wanted), "error": ""}, {"seen": seen, "error": error})
        return json.dumps({"right": verdict.right, "message": verdict.message})

    def run(self, i: int, source: str) -> str:
        """Run the text of the cell of number ``i``, from 0. A page with less training trains less unless it is edited.

        Returns JSON: ``html``, the whole output; ``error``, lines that say what went wrong, if anything did;
        ``seconds``, how long it took.
        """
        name = f"cell-{i + 1}"
        if self._fast and source.strip() == self.lesson.cells[i].shown:
            source = self.lesson.cells[i].source
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        printed = _Printed(self._say)
        error: list[str] = []
        start = time.perf_counter()
        try:
            with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
                result = execute(source, name, self._session.namespace)
                bundle = {} if result is None else mime_bundle(result)
            html = to_html(i, Shown(printed.shown, bundle))
        except BaseException as raised:  # exit() and a stop end the cell, not Python
            error = _lines(raised, name)
            html = to_html(i, Shown(printed.shown, {}))
        return json.dumps({"html": html, "error": error, "seconds": time.perf_counter() - start})


#: Modules that lessons import and that need numpy, which the pyodide package of npm does not contain, and the names in
#: them that a page has nevertheless.
NEED_NUMPY = {
    "tinygrad_edu.compiler": ("SGD", "Adam", "AdamW", "Compiled", "Parameters", "clip_grad_norm", "jit"),
    "gpt.data.corpus": ("DataError", "named_text"),
    "gpt.data.ngram": ("Baseline", "baselines", "strongest_beaten", "verdict"),
    "viz.program": ("draw_program",),
}


def prepare(*names: str) -> None:
    """Make Python ready for the cells of lessons, of all if none is named: stand-ins for what needs numpy, imports."""
    _stand_in()
    for lesson in map(load, names) if names else load_all():
        for node in ast.walk(ast.parse("\n".join(cell.source for cell in lesson.cells if cell.is_code))):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                with contextlib.suppress(Exception):  # the cell itself will say what is missing
                    exec(compile(ast.Module([node], []), lesson.path.name, "exec"), {})
    for name in viz.__all__:
        with contextlib.suppress(ImportError):
            getattr(viz, name)
    with contextlib.suppress(Exception):  # nothing lays it out yet
        viz.draw(Value(1.0) * 2.0).svg()


def _stand_in() -> None:
    """Put in the place of those modules what runs without numpy."""
    names = {
        "tinygrad_edu.compiler": vars(compiled),
        "gpt.data.corpus": {"DataError": DataError, "named_text": _named_text},
        "gpt.data.ngram": {**vars(baseline), **vars(without_numpy)},
        "viz.program": vars(compiled),
    }
    for module, own in NEED_NUMPY.items():
        sys.modules[module] = _Missing(module)
        vars(sys.modules[module]).update({name: names[module][name] for name in own})
    vars(embeddings)["_principal"] = without_numpy.principal
    vars(embeddings)["_nearest"] = lambda rows: without_numpy.nearest(rows, embeddings._NEAREST)


def _named_text(name: str) -> str:
    try:
        return compiled.machine.file(f"{name}.txt").decode()
    except KeyError:
        raise DataError(f"The text {name} is not in this page.") from None


class _Missing(types.ModuleType):
    """Stands for a module that needs numpy: it can be imported, and says what it needs when something of it is used."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def refuse(*_: Any, **__: Any) -> None:
            raise LessonError(f"{name} needs numpy, {_ELSEWHERE}")

        return type(name, (Exception,), {"__init__": refuse, "__module__": self.__name__})


_ELSEWHERE = "which the Python in this page does not have; on your computer, python3 run.py lesson runs it"


def answers(lesson: Lesson) -> dict[tuple[int, int], list[Any]]:
    """Return what each line to fill in is worth, each time it is run, by the numbers of its cell and line.

    Solutions, which nobody fills in here, are not run.
    """
    session, found, open_ones = Session(lesson, fast=True), {}, []
    for number, cell in runnable(lesson):
        if not cell.is_code:
            continue
        own = practice.blanks(lesson, number - 1)
        for blank in own:
            seen: list[Any] = []
            found[blank.cell, blank.line] = seen
            open_ones.append((blank.line, seen))
            session.namespace[f"__seen_{blank.line}__"] = sandbox.recorder(seen)
        if not own:
            session.run(cell)
        else:
            tree = sandbox.watched(cell, {blank.line: blank.target for blank in own})
            exec(compile(tree, str(lesson.path), "exec"), session.namespace)
        for line, seen in open_ones:
            if seen:  # as in `run_line`: nothing after the first cell that reaches it counts
                session.namespace[f"__seen_{line}__"] = lambda value: value
        open_ones = [(line, seen) for line, seen in open_ones if not seen]
        if not open_ones and not any(cell.keys for cell in lesson.cells[number:]):
            break
    return found


def calibrate() -> float:
    """Return the seconds of a small computation on Values, the fastest of three: how fast Python is here."""

    def once() -> float:
        start = time.perf_counter()
        for _ in range(20):
            x = y = Value(0.5)
            for _ in range(100):
                y = (y * x + 1.0).tanh()
            y.backward()
        return time.perf_counter() - start

    return min(once() for _ in range(3))


class _Printed(io.TextIOBase):
    """Keeps the beginning of what is printed, and passes it on as a terminal would: each line at once."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say_it, self._kept, self._line, self._length = say, io.StringIO(), "", 0

    @property
    def shown(self) -> str:
        """What the page shows in the end."""
        return cut(self._kept.getvalue(), self._length)

    def write(self, text: str) -> int:
        if self._length < MOST_TEXT:  # a loop without an end prints more than there is memory for
            kept = text[: MOST_TEXT - self._length]
            self._kept.write(kept)
            self._line += kept
            if "\n" in kept:
                self.flush()
        self._length += len(text)
        return len(text)

    def flush(self) -> None:
        if self._line:
            self._say_it(self._line)
        self._line = ""

    def close(self) -> None:
        """Stay open: what a cell prints after it has closed its output is shown, too."""


def _no_input(prompt: object = "") -> str:
    raise LessonError('a cell in a page cannot ask with input(); write the answer into it, as in name = "Ada"')


def _laid_out(layout: Callable[[str, str, str], str], source: str, format: str, engine: str) -> str:
    try:
        return layout(source, format, engine)
    except Exception as error:  # of JavaScript
        raise LayoutError(f"the graph could not be laid out: {str(error).splitlines()[0][:200]}") from None


def _lines(error: BaseException, name: str) -> list[str]:
    """Say what went wrong and where, short enough for a class."""
    if isinstance(error, KeyboardInterrupt):
        return ["stopped"]
    try:
        words = cut(str(error))
    except Exception:  # of a class of the learner's
        words = "what it says cannot be shown"
    if isinstance(error, ModuleNotFoundError) and error.name == "numpy":
        words = f"this needs numpy, {_ELSEWHERE}"
    if isinstance(error, SyntaxError) and error.filename == name:
        line, words = error.lineno or 1, error.msg
    else:
        places = [(frame.f_code.co_filename, at) for frame, at in traceback.walk_tb(error.__traceback__)]
        name, line = next((place for place in reversed(places) if place[0].startswith("cell-")), (name, 1))
    code = linecache.getline(name, line).strip()
    where = f"line {line}" if not code else f"line {line}: {code}"
    return [where, f"{type(error).__name__}{': ' if words else ''}{words}"]
