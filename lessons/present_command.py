"""``python -m lessons present``: a lesson cell by cell in the terminal, its pictures in a browser next to it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from .cells import load
from .errors import LessonError
from .present import Presenter
from .runner import mime_bundle, save_picture

__all__ = ["add_present", "show"]


def add_present(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``lessons present``."""
    command.set_defaults(run=_present)
    command.description = (
        "Step through a lesson in the terminal: space runs the next cell. Its graphs and charts appear in a page next "
        "to it, for the projector. You may edit the file meanwhile: r runs the cell as it is then."
    )
    command.epilog = "example: %(prog)s 2 --practice"
    command.add_argument("lesson", help="its number, s and a number for a supplement, p and a number for pictures")
    command.add_argument("--practice", action="store_true", help="leave out key lines, for the audience to fill in")
    command.add_argument("--fast", action="store_true", help="train less")
    command.add_argument("--from", type=int, default=1, dest="start", metavar="N", help="begin at cell N")
    command.add_argument("--no-browser", action="store_true", help="do not open the page, only show its address")
    command.add_argument(
        "--share", action="store_true", help="let students on this network watch the page; see the warning"
    )
    command.add_argument("--no-live", action="store_true", help="no page; write pictures as files")
    command.add_argument("--out", default="lessons-out", metavar="DIR", help="folder for files")


def _present(options: argparse.Namespace) -> None:
    from viz import DrawingError
    from viz.pages import liveview
    from viz.stepping import terminal

    lesson = load(options.lesson)
    if not 1 <= options.start <= len(lesson.cells):
        raise LessonError(f"--from: expected a cell from 1 to {len(lesson.cells)}, got {options.start}")
    if options.share and options.no_live:
        raise LessonError("--share shares the page of pictures, and --no-live has none; leave one of them out")
    if not terminal.is_interactive():
        raise LessonError(f"present needs a terminal with a keyboard; lesson {lesson.name} prints the whole lesson")
    try:
        view = None if options.no_live else liveview.live(open_browser=not options.no_browser, share=options.share)
    except DrawingError as error:
        raise LessonError(f"no live view: {error}; use --no-live to do without") from None

    drawing = False

    def redraw() -> None:
        if drawing:
            terminal.draw(presenter, sys.__stdout__ or sys.stdout)

    presenter = Presenter(
        lesson,
        fast=options.fast,
        practicing=options.practice,
        on_result=lambda result: show(result, view, Path(options.out), lesson.path.stem),
        redraw=redraw,
        view=view,
    )
    if view is not None and view.shared:
        print("Enter begins the lesson.")
        sys.stdin.readline()  # so that the link and the warning are read
    if options.start > 1:
        print(f"running the cells before {options.start} …", flush=True)
        presenter.start_at(options.start)
    where = f"pictures appear at {view.shared or view.address}" if view else f"pictures are written to {options.out}"
    presenter.message = presenter.message or where
    drawing = True
    try:
        terminal.run(presenter, every=1.0)
    finally:
        if view is not None:
            view.close()
    number = presenter.position + 1
    print(f"left at cell {number} of {len(presenter.lesson.cells)}; --from {number} continues there")


def show(result: Any, view: Any, out: Path, name: str) -> str:
    """Show the result of a cell, and return the words for the terminal.

    A graph or chart goes to the live view; a page to a file, which any browser opens; a Value is printed, and drawn.
    """
    from tinygrad_edu import Value
    from viz import DrawingError

    bundle = mime_bundle(result)
    words = bundle["text/plain"]
    if view is not None and (isinstance(result, Value) or "image/svg+xml" in bundle):
        try:
            view.show(result)
        except (DrawingError, TypeError) as error:  # the lesson continues without the picture
            return f"{words}\n(not drawn: {error})"
        return words
    path = save_picture(bundle, out, f"{name}-{_count(out, name):02}")
    return words if path is None else f"Wrote {path.resolve().as_uri()}"


def _count(out: Path, name: str) -> int:
    return len(list(out.glob(f"{name}-*"))) + 1
