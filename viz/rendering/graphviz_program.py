"""Run the program that lays out graphs and draws them: Graphviz's ``dot``, or the one installed with this package.

``dot`` on the PATH is preferred. ``graphviz-pure`` is a port of it without dependencies; it writes SVG and PNG. A
``dot`` that does not work, because it has no plugins, hangs or is another program of that name, counts as missing.
"""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import sysconfig
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tinygrad_edu.console import visible

from ..errors import LayoutError, LayoutTimeout

#: Seconds after which a layout is stopped.
TIMEOUT = 5.0

#: Lays out where no program can be started, as in a browser: takes DOT text, a format and an engine, and returns the
#: picture; raises LayoutError.
in_process: Callable[[str, str, str], str] | None = None

_T = TypeVar("_T")

_HOW_TO_INSTALL = (
    "install Graphviz (Debian, Ubuntu: apt install graphviz; macOS: brew install graphviz; "
    "Windows: winget install graphviz)"
)


_ROOM = "\u00ad"  # a soft hyphen: invisible, but a program without font widths still makes room for it
_WIDER = (
    (re.compile("[ß-öø-ÿ\u2026\u2e80-\ud7ff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\U0001f000-\U0001faff]"), _ROOM),
    (re.compile("[À-ÖØ-Þ]"), 2 * _ROOM),
)


@dataclass(frozen=True, slots=True)
class Renderer:
    """A layout program.

    Attributes:
        path: the executable.
        formats: the formats it can write.
        baselines: how far the baseline is below the middle of a line, for regular and bold letters, as a fraction of
            their size.
        substitutes: by format, replacements for characters missing in its font; an SVG uses the reader's font.
        narrow: whether it underestimates the width of Ä, … and Chinese characters.
    """

    path: str
    formats: frozenset[str]
    baselines: tuple[float, float] = (0.245, 0.235)
    substitutes: tuple[tuple[str, dict[int, str]], ...] = ()
    narrow: bool = False


def text(words: str) -> str:
    """Escape words for an HTML-like label: every character stands for itself.

    >>> text('a<b & "c"')
    'a&lt;b &amp; &quot;c&quot;'
    """
    # A backslash is doubled: even in an HTML-like label dot replaces \N by the name of the node.
    return html.escape(visible(words)).replace("\\", "&#92;&#92;").replace("{", "&#123;").replace("}", "&#125;")


def renderers(format: str, *, text: str = ".dot") -> list[Renderer]:
    """List the programs on this machine that can write ``format``, the preferred one first.

    Raises LayoutError with what to install if there is none; ``text`` is the format that needs no program.
    """
    found = list(_installed())
    able = [program for program in found if format in program.formats]
    if not able:
        if found:
            instead = ".svg" if text == ".svg" else f"{text} or .svg"
            raise LayoutError(f"only dot itself can write {format}; {_HOW_TO_INSTALL}, or save as {instead}")
        pure = "" if format == "pdf" else ", or pip install graphviz-pure"
        raise LayoutError(f"no program that lays out graphs was found; {_HOW_TO_INSTALL}{pure}, or save as {text}")
    return able


def _installed() -> Iterator[Renderer]:
    if in_process is not None:
        yield Renderer("Graphviz", frozenset({"svg"}), narrow=True)
        return
    dot = shutil.which("dot")
    if dot:
        yield Renderer(dot, frozenset({"svg", "png", "pdf"}))
    scripts = [sysconfig.get_path("scripts"), sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user"))]
    for folder in (*scripts, None):  # None: anywhere on the PATH
        pure = shutil.which("graphviz-pure", path=folder)
        if pure:
            glyphs = str.maketrans({"␣": "·", "⏎": "¶", "␍": "¶", "⇥": "»", "␀": "○", "◆": "▼", "┃": "|"})
            yield Renderer(pure, frozenset({"svg", "png"}), (0.39, 0.28), (("png", glyphs),), narrow=True)
            return


def first_that_works(format: str, draw: Callable[[Renderer], _T], *, text: str = ".dot") -> _T:
    """Return what ``draw`` returns for the preferred program, or for the next one if it fails.

    A program that cannot draw the smallest graph is broken: it causes one warning and is not used again.

    Raises LayoutError: that of :func:`renderers`, or that of the last program.
    """
    able = renderers(format, text=text)
    able = [program for program in able if (program.path, format) not in _broken] or able
    for program in able[:-1]:
        try:
            return draw(program)
        except LayoutError as error:
            if not works(program, format):
                warnings.warn(f"{error}; from now on {able[-1].path} is used instead", stacklevel=2)
    return draw(able[-1])


_broken: set[tuple[str, str]] = set()  # programs and formats


def works(program: Renderer, format: str) -> bool:
    """Return whether a program can draw the smallest graph; tested only after it has failed."""
    try:
        render("digraph { a }", format, program, TIMEOUT)
    except LayoutError:
        _broken.add((program.path, format))
    return (program.path, format) not in _broken


def render(source: str, format: str, program: Renderer, timeout: float, *, engine: str = "dot") -> bytes:
    """Lay out DOT text and return the picture's bytes; the engine ``"neato"`` keeps nodes at their ``pos``.

    Raises:
        LayoutTimeout: the program took longer than ``timeout`` seconds.
        LayoutError: it failed, or wrote no such picture; the message contains its own.
        OSError: the system had no memory, process or pipe for it.
    """
    source = source.translate(dict(program.substitutes).get(format, {}))
    if program.narrow and format == "svg":
        for characters, room in _WIDER:
            source = characters.sub(rf"\g<0>{room}", source)
    if in_process is not None:
        return _finished(in_process(source, format, engine).encode(), format, program)
    command = [program.path, f"-K{engine}", *(["-n2"] if engine == "neato" else []), f"-T{format}"]
    try:
        done = subprocess.run(command, input=source.encode(), capture_output=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise LayoutTimeout(
            f"the layout was stopped after {timeout:g} seconds; draw fewer boxes with a smaller budget=, "
            f"or save as .dot and run {Path(program.path).name} yourself"
        ) from None
    except OSError as error:
        if error.filename is None and not getattr(error, "winerror", None):
            raise  # no fault of the program: another one would draw another picture, for a moment without memory
        raise LayoutError(f"{program.path} cannot be run: {error}; {_HOW_TO_INSTALL}") from None
    start, end = _ENDS[format]
    is_whole = start in done.stdout[:1024] and end in done.stdout[-1024:]
    if done.returncode or not is_whole:
        failed = f"exit code {done.returncode}" if done.returncode else f"it wrote no whole {format}"
        words = done.stderr.decode(errors="replace").strip() or failed
        raise LayoutError(f"{program.path} failed: {words}; save as .dot to look at the graph's text")
    return _finished(done.stdout, format, program)


def _finished(picture: bytes, format: str, program: Renderer) -> bytes:
    if format != "svg":
        return picture  # binary data, not text
    drawn = picture.replace(_ROOM.encode(), b"") if program.narrow else picture
    # A browser without that font should use a similar one, not one with serifs.
    return drawn.replace(b'font-family="Arial"', b'font-family="Arial,Helvetica,sans-serif"')


#: What a whole picture begins and ends with.
_ENDS = {"svg": (b"<svg", b"</svg>"), "png": (b"\x89PNG", b"IEND"), "pdf": (b"%PDF", b"%%EOF")}
