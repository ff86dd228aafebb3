"""Write a document as Markdown."""

from __future__ import annotations

import html
from collections.abc import Sequence

from .document import Section


def write(title: str, sections: Sequence[Section]) -> str:
    """Return the text of the ``.md`` file."""
    parts = [f"# {_plain(title)}", ""]
    for section in sections:
        parts += [f"{'#' * section.level} {_plain(section.title)}", ""]
        if section.table:
            parts += [*table(section.table), ""]
        for line in section.lines:
            if line.inside:
                inner = "\n".join(f"- {_plain(step)}" for step in line.inside)
                summary = html.escape(line.text, quote=False)
                parts += [f"<details><summary>{summary}</summary>\n\n{inner}\n\n</details>", ""]
            else:
                parts += [f"{_plain(line.text)}  "]
        parts.append("")
    return "\n".join(parts)


def _plain(text: str) -> str:
    """Escape text for Markdown."""
    for sign in "\\`*_[]<>#|":
        text = text.replace(sign, f"\\{sign}" if sign not in "<>" else html.escape(sign))
    return text


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table; the first row is its header."""
    head, *rest = (f"| {' | '.join(map(_plain, row))} |" for row in rows)
    return [head, "|" + "---|" * len(rows[0]), *rest]
