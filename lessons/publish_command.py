"""``python -m lessons export`` and ``python -m lessons site``: the course as notebooks and as pages."""

from __future__ import annotations

import argparse
import contextlib
import io
import shutil
import sys
import tempfile
import time
import zipfile
from http.server import ThreadingHTTPServer
from pathlib import Path

from gpt.cli import main as gpt
from tinygrad_edu.files import write_atomically
from viz.play.page import play_page

from . import by_hand, finding, live, notebook, site
from .cells import Lesson, load, load_all
from .errors import LessonError
from .runner import run_all

__all__ = ["add_archive", "add_export", "add_site"]


def add_archive(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``lessons archive``."""
    command.set_defaults(run=_archive)
    command.description = (
        "Run every lesson and write two archives of the pages that `site` writes: NAME.zip for the class, without the "
        "teacher's guide and the solutions, and NAME-teacher.zip with both."
    )
    command.epilog = "example: %(prog)s course.zip"
    command.add_argument("file", metavar="FILE", help="the first archive, such as course.zip")
    command.add_argument("--only", nargs="+", default=[], metavar="LESSON", help="only these lessons, such as 1 2 s1")
    command.add_argument("--fast", action="store_true", help="train less")


def add_export(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``lessons export``."""
    command.set_defaults(run=_export)
    command.description = "Write every lesson, or only the named ones, as a notebook."
    command.epilog = "example: %(prog)s notebooks --only 1 2 3"
    command.add_argument("folder", metavar="DIR", help="the folder; made if it does not exist")
    command.add_argument("--only", nargs="+", default=[], metavar="LESSON", help="only these lessons, such as 1 2 s1")
    command.add_argument("--outputs", action="store_true", help="run them, and keep the output of their cells")
    command.add_argument("--fast", action="store_true", help="with --outputs: train less")


def add_site(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``lessons site``."""
    command.set_defaults(run=_site)
    command.description = (
        "Run every lesson and write pages with all results, for any browser, without a server or network. With --live "
        "the cells of the pages can be changed and run; then a server is needed, such as that of --serve. "
        "Complete training takes minutes; --fast writes the same pages with less training."
    )
    command.epilog = "example: %(prog)s course; then open course/index.html"
    command.add_argument("folder", metavar="DIR", help="the folder; made if it does not exist")
    command.add_argument("--only", nargs="+", default=[], metavar="LESSON", help="only these lessons, such as 1 2 s1")
    command.add_argument("--fast", action="store_true", help="train less")
    command.add_argument("--live", action="store_true", help="cells that run in the page; needs npm, and a server")
    command.add_argument("--assets", type=Path, metavar="DIR", help="with --live: the packages, instead of npm")
    command.add_argument("--serve", action="store_true", help="serve the folder to this computer; ends with Ctrl-C")
    command.add_argument("--port", type=int, default=8000, help="with --serve: the port (default: %(default)s)")


def _export(options: argparse.Namespace) -> None:
    for lesson in [load(name) for name in options.only] or load_all():
        print(
            f"Wrote {notebook.export(lesson, Path(options.folder), outputs=options.outputs, fast=options.fast)}",
            flush=True,
        )


def _site(options: argparse.Namespace) -> None:
    course = [load(name) for name in options.only] or load_all()
    folder = Path(options.folder)
    folder.mkdir(parents=True, exist_ok=True)
    if options.assets and not options.live:
        raise LessonError("--assets is for pages whose cells run: give --live, too")
    with _bound(folder, options.port) if options.serve else contextlib.nullcontext() as server:  # fails before the work
        if options.live:
            live.write_assets(folder, options.assets)
        print(f"Wrote {_write(course, [folder], fast=options.fast, cells_run=options.live)}")
        if server is not None:
            print(f"open http://127.0.0.1:{server.server_port}/ (Ctrl-C ends it)", flush=True)
            server.serve_forever()


def _write(course: list[Lesson], folders: list[Path], *, fast: bool, cells_run: bool = False) -> Path:
    """Run the lessons and write their pages, into a second folder without guide and solutions; returns the contents."""
    written: list[list[site.Written]] = [[] for _ in folders]
    for lesson in course:
        start = time.monotonic()
        shown, data = live.run(lesson, folders[0], fast=fast) if cells_run else (run_all(lesson, fast=fast), "")
        for n, folder in enumerate(folders):
            written[n].append(site.write_lesson(lesson, shown, course, folder, data, solutions=n == 0))
        print(f"{lesson.title}: {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)
    play = folders[0] / site.PLAYGROUND
    if fast:
        play_page().save(play)  # without the compiled steps
    else:
        gpt(["play", "--out", str(play), "--no-open"])
    contents = []
    for n, folder in enumerate(folders):
        if n:
            shutil.copyfile(play, folder / site.PLAYGROUND)
        write_atomically(folder / "by_hand.html", by_hand.as_html("index.html"))
        more = [*([] if n else site.write_guide(folder, course)), *site.write_errata(folder)]
        entries = [entry for page in written[n] for entry in page.entries]
        terms = finding.write_glossary(course, entries, folder)
        finding.write_topics(course, folder)
        contents.append(site.write_contents(written[n], folder, more, terms, guide=n == 0))
    return contents[0]


def _archive(options: argparse.Namespace) -> None:
    file = Path(options.file)
    if file.suffix != ".zip":
        raise LessonError(f"the archive must be a .zip file, got {options.file!r}")
    file.parent.mkdir(parents=True, exist_ok=True)
    course = [load(name) for name in options.only] or load_all()
    archives = (file.with_stem(f"{file.stem}-teacher"), file)
    with tempfile.TemporaryDirectory() as place:
        folders = [Path(place) / archive.stem for archive in archives]
        for folder in folders:
            folder.mkdir()
        _write(course, folders, fast=options.fast)
        for archive, folder in zip(archives, folders, strict=True):
            write_atomically(archive, _zipped(folder))
            print(f"Wrote {archive}")


def _zipped(folder: Path) -> bytes:
    """Return an archive with one folder in it; the same pages give the same file."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(folder.iterdir()):
            name = zipfile.ZipInfo(f"{folder.name}/{path.name}")
            archive.writestr(name, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def _bound(folder: Path, port: int) -> ThreadingHTTPServer:
    try:
        return live.server(folder, port)
    except (OSError, OverflowError) as error:
        raise LessonError(f"port {port} cannot be used: {error}; give another one with --port") from None
