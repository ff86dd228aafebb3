"""One page of many pictures with text next to them: the lasting report of a run.

The page is self-contained; it links to files next to it by their names.
"""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..rendering.page import Page
from ..rendering.templates import asset, page

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
