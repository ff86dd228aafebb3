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
            head, *rows = section.table
            parts += [_row(head), "|" + "---|" * len(head), *map(_row, rows), ""]
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


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(map(_plain, cells))} |"
