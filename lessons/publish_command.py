"""``python -m lessons export`` and ``python -m lessons site``: the course as notebooks and as pages."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from . import notebook, site
from .cells import load, load_all
from .runner import run_all

__all__ = ["add_parsers"]


def add_parsers(commands: Any) -> None:
    """Add both to the commands of ``python -m lessons``."""
    parser = commands.add_parser(
        "export",
        help="write notebooks",
        description="Write every lesson, or the ones that are named, as a notebook.",
        epilog="example: %(prog)s notebooks --only 1 2 3",
    )
    parser.add_argument("folder", metavar="DIR", help="where to; made if it is not there")
    parser.add_argument("--only", nargs="+", default=[], metavar="LESSON", help="these lessons, such as 1 2 s1")
    parser.add_argument("--outputs", action="store_true", help="run them, and keep what their cells show")
    parser.add_argument("--fast", action="store_true", help="with --outputs: train less")
    parser.set_defaults(run=_export)
    parser = commands.add_parser(
        "site",
        help="write the course as web pages",
        description="Run every lesson and write pages with all results, for any browser, without a server or network. "
        "Complete training takes minutes; --fast shows the same pages with less of it.",
        epilog="example: %(prog)s course; then open course/index.html",
    )
    parser.add_argument("folder", metavar="DIR", help="where to; made if it is not there")
    parser.add_argument("--only", nargs="+", default=[], metavar="LESSON", help="these lessons, such as 1 2 s1")
    parser.add_argument("--fast", action="store_true", help="train less")
    parser.set_defaults(run=_site)


def _export(options: argparse.Namespace) -> None:
    for lesson in [load(name) for name in options.only] or load_all():
        print(
            f"wrote {notebook.export(lesson, Path(options.folder), outputs=options.outputs, fast=options.fast)}",
            flush=True,
        )


def _site(options: argparse.Namespace) -> None:
    course = [load(name) for name in options.only] or load_all()
    folder = Path(options.folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for lesson in course:
        start = time.monotonic()
        written.append(site.write_lesson(lesson, run_all(lesson, fast=options.fast), course, folder))
        print(f"{lesson.title}: {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)
    more = [*site.write_guide(folder), *site.write_errata(folder)]
    print(f"wrote {site.write_contents(written, folder, more)}")
