"""Write a document as one self-contained page."""

from __future__ import annotations

import html
from collections.abc import Sequence

from ..rendering.templates import asset, page
from .document import Grid, Section


def write(title: str, sections: Sequence[Section], intro: str = "") -> str:
    """Return the text of the page; ``intro`` is HTML below the title."""
    contents: list[str] = []
    for i, section in enumerate(sections):
        first = section.equation[0] if section.equation else ""
        if section.level == 2:
            contents.append(f'<a href="#s{i}">{html.escape(section.title)}</a>')
        elif isinstance(first, Grid):  # of a matrix, its name is enough
            contents[-1] += f' <a class="name" href="#s{i}">{html.escape(first.name)}</a>'
    parts = {
        "INTRO": intro,
        "CONTENTS": "".join(f"<li>{links}</li>" for links in contents),
        "SECTIONS": "".join(_section(f"s{i}", x) for i, x in enumerate(sections)),
    }
    return page("walkthrough.html", title, asset("walkthrough.css"), parts)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return a table; the first row is its header."""
    written = (
        "".join(f"<{cell}>{html.escape(words)}</{cell}>" for words in row)
        for cell, row in zip(("th", *["td"] * (len(rows) - 1)), rows, strict=True)
    )
    return "<table>" + "".join(f"<tr>{row}</tr>" for row in written) + "</table>"


def _section(name: str, section: Section) -> str:
    parts = [f'<section id="{name}"><h{section.level}>{html.escape(section.title)}</h{section.level}>']
    if section.words:
        parts.append(f"<p>{html.escape(section.words)}</p>")
    if section.equation:
        parts.append(f'<div class="equation">{"".join(map(_drawn, section.equation))}</div>')
    if section.table:
        parts.append(table(section.table))
    if section.fold:
        parts.append(f"<details><summary>{html.escape(section.fold)}</summary><div>")
    for line in section.lines:
        if line.inside:
            inner = "".join(f"<p>{html.escape(step)}</p>" for step in line.inside)
            parts.append(f"<details><summary>{html.escape(line.text)}</summary><div>{inner}</div></details>")
        else:
            parts.append(f"<p>{html.escape(line.text)}</p>")
    return "".join([*parts, "</div></details>" * bool(section.fold), "</section>"])


def _drawn(part: Grid | str) -> str:
    if isinstance(part, str):
        return f"<span>{html.escape(part)}</span>"
    heads = part.heads or [""] * len(part.rows)
    rows = (
        (f'<th scope="row">{html.escape(head)}</th>' if head else "")
        + "".join(f"<td>{html.escape(number)}</td>" for number in row)
        for head, row in zip(heads, part.rows, strict=True)
    )
    lines = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<table class="matrix"><caption>{html.escape(part.name)}</caption>{lines}</table>'
