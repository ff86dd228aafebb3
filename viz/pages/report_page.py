"""One page of many pictures with text next to them: the lasting report of a run.

The page is self-contained; it links to files next to it by their names. :func:`write_report` makes the whole folder:
each section is one function, and a section that cannot be made contains a message.
"""

from __future__ import annotations

import dataclasses
import html
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinygrad_edu import collector_paused
from tinygrad_edu.files import remove_leftovers, write_atomically
from tinygrad_edu.training.folder import locked

from ..graph.regions import shared
from ..rendering.page import Page
from ..rendering.templates import asset, page

FOLDER, PAGE = "report", "index.html"
BOXES = 12  # of a graph: as many as fit into the page and can be read
_NUMBER = re.compile(r'(?:width|viewBox)="(?:[\d.]+ [\d.]+ )?([\d.]+)')
_READABLE = 900  # pixels: a picture is not made narrower than that; its box scrolls instead


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes:
        name: the name of the section in links: letters and hyphens.
        title: its heading, also in the list of sections.
        parts: its HTML, from the functions below.
    """

    name: str
    title: str
    parts: Sequence[str]


def report_page(title: str, sections: Sequence[Section]) -> Page:
    """The page.

    >>> page = report_page("a run", [Section("loss", "Loss", [words("It fell.")])])
    >>> '<section id="loss"' in page.html
    True
    """
    links = "".join(f'<li><a href="#{s.name}">{html.escape(s.title)}</a></li>' for s in sections)
    body = "".join(
        f'<section id="{s.name}" aria-labelledby="{s.name}-title"><h2 id="{s.name}-title">{html.escape(s.title)}</h2>'
        f"{_apart(s)}</section>\n"
        for s in sections
    )
    css = asset("report.css")
    return Page(page("report.html", title, css, {"LINKS": links, "SECTIONS": body}))


def write_report(
    folder: Path,
    title: str,
    sections: Sequence[tuple[str, str, Callable[[Any], list[str]]]],
    hints: Mapping[str, str],
    subject: Any,
    say: Callable[[str], None] = lambda title: None,
    without_hint: Sequence[str] = (),
) -> Path:
    """Make every section, and write the folder; returns the path of the page.

    Args:
        folder: where to write.
        title: the title of the page.
        sections: of each section its name, its title, and what makes its parts of ``subject``; pages that it links to
            it writes into the folder.
        hints: by section what to see in it, the end of a sentence that begins with "Look for".
        subject: what the report is about.
        say: is called with the title of each section before it is made: some take seconds.
        without_hint: pages that get no hint.

    Raises OSError if it cannot be written, and ConfigError if another process is writing it.
    """
    made = []
    with locked(folder), shared(), collector_paused():  # millions of objects, and none of them is garbage
        remove_leftovers(folder)
        for name, heading, make in sections:
            say(heading)
            try:
                parts = make(subject)
            except OSError:
                raise
            except Exception as error:  # whatever it is: hours of training must not end with the error of a picture
                parts = [warning(f"This could not be made: {str(error) or type(error).__name__}")]
            else:
                parts = [look_for(hints[name]), *parts]
                for file in dict.fromkeys(re.findall(r'href="([\w-]+\.html)"', "".join(parts))):
                    path = folder / file
                    if file not in without_hint and path.is_file():
                        write_atomically(path, with_hint(path.read_text(encoding="utf-8"), hints[name]))
            made.append(Section(name, heading, parts))
        return Path(report_page(title, made).save(folder / PAGE))


def figure(folder: Path, chart: Any, name: str, about: str) -> str:
    """Make a figure of a chart, and a separate page for it in the folder."""
    chart.save(folder / f"{name}.html")
    return picture(chart.svg(), about, f"{name}.html")


def count(n: int, what: str) -> str:
    """Say how many.

    >>> count(1, "step"), count(2000, "step")
    ('1 step', '2,000 steps')
    """
    return f"{n:,} {what}{'s' * (n != 1)}"


def settings(*parts: Any) -> str:
    """Make a closed table of every setting, with what it is, of the dataclasses that hold them."""
    rows = [
        (field.name.replace("_", " "), str(getattr(part, field.name)), field.metadata["help"])
        for part in parts
        for field in dataclasses.fields(part)
    ]
    return folded("every setting", table(["setting", "value", "what it is"], rows, "settings"))


def words(text: str) -> str:
    """A paragraph."""
    return f"<p>{html.escape(text)}</p>"


def look_for(text: str, indent: str = "0") -> str:
    """A paragraph that says what to see in what follows; ``text`` ends the sentence "Look for …"."""
    margin = f"margin: .3em 1em .3em {indent}"
    return f'<p class="look" style="{margin}"><strong>Look for</strong> {html.escape(text)}</p>'


def with_hint(page: str, text: str) -> str:
    """Put :func:`look_for` below the header of a finished page."""
    top, header, rest = page.partition("</header>")
    return f"{top}{header}{look_for(text, '1em')}{rest}" if header else page


def warning(text: str) -> str:
    """Make a paragraph that says what is missing."""
    return f'<p class="missing">{html.escape(text)}</p>'


def picture(svg: str, about: str, page: str = "", more: str = "Enlarge, with every number") -> str:
    """Make a figure; ``about`` describes it for readers who cannot see it, ``page`` is the file with details."""
    svg = svg[svg.index("<svg") :]
    found = _NUMBER.search(svg)
    narrow = min(_READABLE, round(float(found[1]))) if found is not None else _READABLE
    name = html.escape(about)
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{name}" style="min-width:{narrow}px" ', 1)
    below = f"<figcaption>{link(page, more)}</figcaption>" if page else ""
    return f'<figure><div class="picture" tabindex="0" role="group" aria-label="{name}">{svg}</div>{below}</figure>'


def link(file: str, text: str) -> str:
    """Make a link to a file next to the page."""
    return f'<a href="{html.escape(file)}">{html.escape(text)}</a>'


def door(file: str, text: str, about: str) -> str:
    """Make a prominent link."""
    return f'<p class="door">{link(file, text)} <span>{html.escape(about)}</span></p>'


def written(samples: Mapping[str, str]) -> str:
    """Show texts, each under a name."""
    parts = (
        f"<figure><figcaption>{html.escape(name)}</figcaption><pre>{html.escape(text.strip(chr(10)))}</pre></figure>"
        for name, text in samples.items()
    )
    return f'<div class="samples">{"".join(parts)}</div>'


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], about: str) -> str:
    """Make a table; the first cell of a row is its name."""
    top = "".join(f'<th scope="col">{html.escape(head)}</th>' for head in heads)
    lines = "".join(
        f'<tr><th scope="row">{html.escape(row[0])}</th>'
        f"{''.join(f'<td>{html.escape(cell)}</td>' for cell in row[1:])}</tr>"
        for row in rows
    )
    return (
        f'<div class="table" tabindex="0" role="group" aria-label="{html.escape(about)}">'
        f"<table><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def folded(title: str, inside: str) -> str:
    """Make a section that is closed at first."""
    return f"<details><summary>{html.escape(title)}</summary>{inside}</details>"


def _apart(section: Section) -> str:
    """Make the names inside pictures unique in the page: several pictures use the same ones."""
    count = itertools.count(1)
    return "".join(
        _scoped(part, f"{section.name}-{next(count)}-") if "<svg" in part else part for part in section.parts
    )


def _scoped(part: str, prefix: str) -> str:
    part = re.sub(r'(\sid=")', rf"\1{prefix}", part)
    part = re.sub(r"(url\(#)", rf"\1{prefix}", part)
    return re.sub(r'((?:xlink:)?href="#)', rf"\1{prefix}", part)
