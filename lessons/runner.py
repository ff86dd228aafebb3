"""Run the cells of a lesson as a notebook would: one namespace; the last expression of a cell is its result."""

from __future__ import annotations

import ast
import base64
import contextlib
import html
import io
import os
import re
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tinygrad_edu.errors import brief
from tinygrad_edu.files import write_atomically
from viz.errors import DrawingError

from . import predict
from .cells import Cell, Lesson
from .errors import LessonError

__all__ = [
    "KINDS",
    "MOST_TEXT",
    "Session",
    "Shown",
    "cut",
    "execute",
    "mime_bundle",
    "page_in_frame",
    "picture",
    "run_all",
    "run_captured",
    "runnable",
    "save_picture",
]

#: Kinds of pictures and their file extensions, the best first.
KINDS = {"image/svg+xml": ".svg", "text/html": ".html", "image/png": ".png"}

MOST_TEXT = 20_000  # characters that one cell may print into a page or a notebook

_INLINE_FRAME = re.compile(r'<iframe srcdoc="([^"]*)"')


class Session:
    """A lesson while it runs.

    Attributes:
        lesson: which.
        namespace: the names its code has defined so far; ``FAST`` in it tells whether training is cut short.
    """

    def __init__(self, lesson: Lesson, *, fast: bool = False) -> None:
        _one_thread()
        self.lesson = lesson
        self.namespace: dict[str, Any] = {"__name__": "__main__", "__file__": str(lesson.path), "FAST": fast}

    def run(self, cell: Cell) -> Any:
        """Run a cell of code and return its result: None if it does not end in an expression."""
        # Line numbers are those of the file, so that tracebacks, inspect and the compiler's messages find the line.
        return execute("\n" * (cell.line - 1) + cell.source, str(self.lesson.path), self.namespace)

    def rights(self, number: int) -> tuple[predict.Right, ...]:
        """Return the right answers to the questions in the cell before ``number``, which has just been run.

        Raises LessonError for an expression that does not work.
        """
        cell = self.lesson.cells[number - 1] if number else None
        try:
            return tuple(predict.right(question, self.namespace) for question in cell.questions) if cell else ()
        except Exception as error:
            assert cell is not None
            where = f"{self.lesson.path.name}, line {cell.line}"
            raise LessonError(f"{where}: an answer cannot be computed: {type(error).__name__}: {error}") from error


def execute(source: str, name: str, namespace: dict[str, Any]) -> Any:
    """Run code of a file and return the value of its last expression: None if it does not end in one."""
    tree = ast.parse(source, name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec"), namespace)
    if last is None:
        return None
    assert isinstance(last, ast.Expr)
    return eval(compile(ast.Expression(last.value), name, "eval"), namespace)


def _one_thread() -> None:
    """Make matrix products run on one core. Those of a lesson are small, and threads only wait for each other.

    While another program is running, that waiting takes 100 times as long as the computation.
    """
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # read when numpy is loaded
    if "numpy" in sys.modules:
        from threadpoolctl import threadpool_limits

        threadpool_limits(limits=1, user_api="blas")


def mime_bundle(result: Any) -> dict[str, str]:
    """Return a result in every form that a notebook can show, by MIME type; ``text/plain`` is always there.

    A picture that cannot be drawn, such as a graph without a layout program, becomes a sentence about it: the numbers
    of a lesson do not need pictures.
    """
    try:
        return _forms(result)
    except DrawingError as error:
        return {"text/plain": f"(not drawn: {error})"}


def _forms(result: Any) -> dict[str, str]:
    bundle: dict[str, str] = {}
    if hasattr(result, "_repr_mimebundle_"):
        made = result._repr_mimebundle_(exclude={"image/png"})  # slow to draw, and there is SVG
        bundle.update(made[0] if isinstance(made, tuple) else made)  # some return (data, metadata)
    for method, kind in (("_repr_html_", "text/html"), ("_repr_svg_", "image/svg+xml")):
        if kind not in bundle and hasattr(result, method) and (made := getattr(result, method)()) is not None:
            bundle[kind] = made
    bundle.setdefault("text/plain", repr(result) if not bundle else "a picture")
    return bundle


def picture(bundle: dict[str, str]) -> tuple[str, bytes] | None:
    """Return the file of a result that is a picture, as (extension, content); None for plain text."""
    for kind, ending in KINDS.items():
        if kind in bundle:
            text = bundle[kind]
            if kind == "image/png":
                return ending, base64.b64decode(text)
            return ending, (page_in_frame(text) or text).encode()
    return None


def page_in_frame(markup: str) -> str | None:
    """Return the page in an ``<iframe srcdoc=...>``, as notebooks get pages; None if there is none."""
    found = _INLINE_FRAME.match(markup.strip())
    if found is None:
        return None
    return html.unescape(found[1])


def save_picture(bundle: dict[str, str], folder: Path, name: str) -> Path | None:
    """Write a picture as ``folder/name.extension`` and return its path; None for plain text."""
    made = picture(bundle)
    if made is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (name + made[0])
    write_atomically(path, made[1])
    return path


def runnable(lesson: Lesson, *, solutions: bool = False) -> Iterator[tuple[int, Cell]]:
    """Return the cells in order with their numbers from 1, without solutions unless requested."""
    for number, cell in enumerate(lesson.cells, 1):
        if solutions or "solution" not in cell.tags:
            yield number, cell


@brief
@dataclass(frozen=True)
class Shown:
    """The output of a cell.

    Attributes:
        text: what it printed, cut after :data:`MOST_TEXT` characters.
        bundle: its result in every form, empty if there is none.
        seconds: how long it took, with its pictures.
        rights: the right answers to the questions in the cell before.
    """

    text: str
    bundle: dict[str, str]
    seconds: float = 0.0
    rights: tuple[predict.Right, ...] = ()


def run_captured(session: Session, cell: Cell) -> Shown:
    """Run a cell and capture its output instead of printing it."""
    printed, start = io.StringIO(), time.process_time()
    with contextlib.redirect_stdout(printed):
        result = session.run(cell)
        bundle = {} if result is None else mime_bundle(result)
    return Shown(cut(printed.getvalue()), bundle, time.process_time() - start)


def cut(text: str, length: int | None = None) -> str:
    """Return what a cell has printed, without what is after :data:`MOST_TEXT` characters.

    ``length`` is how much it was, if ``text`` is not all of it.
    """
    more = (len(text) if length is None else length) - MOST_TEXT
    return f"{text[:MOST_TEXT]}\n… and {more:,} more characters\n" if more > 0 else text


def run_all(lesson: Lesson, *, fast: bool = False) -> list[Shown | None]:
    """Return the output of every cell of a lesson, solutions included; None for cells of prose.

    Raises LessonError, with the line, if the code of a cell raises.
    """
    session = Session(lesson, fast=fast)
    shown: list[Shown | None] = []
    for i, cell in enumerate(lesson.cells):
        try:
            shown.append(replace(run_captured(session, cell), rights=session.rights(i)) if cell.is_code else None)
        except LessonError:
            raise
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            line = next((f.lineno for f in reversed(frames) if f.filename == str(lesson.path)), cell.line)
            raise LessonError(f"{lesson.path.name}, line {line}: {type(error).__name__}: {error}") from error
    return shown
