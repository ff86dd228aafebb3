"""Running a program that places boxes and draws them: Graphviz's ``dot``, or the one that is installed with us.

``dot`` on the PATH is preferred. ``graphviz-pure`` is a port of it that needs nothing else; it writes SVG and PNG.
"""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .errors import LayoutError, LayoutTimeout

#: Seconds after which a layout is stopped.
TIMEOUT = 5.0

_HOW_TO_INSTALL = (
    "install Graphviz (Debian, Ubuntu: apt install graphviz; macOS: brew install graphviz; "
    "Windows: winget install graphviz)"
)


@dataclass(frozen=True, slots=True)
class Program:
    """A layout program.

    Attributes:
        path: the executable.
        formats: what it can write.
        substitutes: by format, what to draw for characters that its own font lacks; in SVG the reader's font has them.
    """

    path: str
    formats: frozenset[str]
    substitutes: tuple[tuple[str, dict[int, str]], ...] = ()


def programs(format: str) -> list[Program]:
    """The programs on this machine that can write ``format``, the preferred one first.

    Raises LayoutError, saying what to install, when there is none.
    """
    found = list(_installed())
    able = [program for program in found if format in program.formats]
    if not able:
        lacking = "no program that lays out graphs was found" if not found else f"only dot itself writes {format}"
        raise LayoutError(f"{lacking}; {_HOW_TO_INSTALL}, or save as .dot{' or .svg' if found else ''}")
    return able


def _installed() -> Iterator[Program]:
    dot = shutil.which("dot")
    if dot:
        yield Program(dot, frozenset({"svg", "png", "pdf"}))
    scripts = [sysconfig.get_path("scripts"), sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user"))]
    for folder in (*scripts, None):  # None: anywhere on the PATH
        pure = shutil.which("graphviz-pure", path=folder)
        if pure:
            glyphs = str.maketrans({"␣": "·", "⏎": "¶", "␍": "¶", "⇥": "»", "␀": "○"})
            yield Program(pure, frozenset({"svg", "png"}), (("png", glyphs),))
            return


def render(source: str, format: str, program: Program, timeout: float) -> bytes:
    """Lay out DOT text and return the picture's bytes.

    Raises:
        LayoutTimeout: the program was stopped after ``timeout`` seconds.
        LayoutError: it failed; the message has its own words.
    """
    source = source.translate(dict(program.substitutes).get(format, {}))
    try:
        done = subprocess.run(
            [program.path, "-Kdot", f"-T{format}"], input=source.encode(), capture_output=True, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        raise LayoutTimeout(
            f"the layout was stopped after {timeout:g} seconds; draw fewer boxes with a smaller budget=, "
            f"or save as .dot and run {Path(program.path).name} yourself"
        ) from None
    except OSError as error:
        raise LayoutError(f"{program.path} cannot be run: {error}; {_HOW_TO_INSTALL}") from None
    if done.returncode or not done.stdout:
        words = done.stderr.decode(errors="replace").strip() or f"exit code {done.returncode}"
        raise LayoutError(f"{program.path} failed: {words}; save as .dot to look at the graph's text")
    # A browser without that font shall take one of the same kind, not one with serifs.
    return done.stdout.replace(b'font-family="Arial"', b'font-family="Arial,Helvetica,sans-serif"')
