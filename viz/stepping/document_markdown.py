"""Write a document as Markdown."""

from __future__ import annotations

import html
from collections.abc import Sequence

from .document import Grid, Section


def write(title: str, sections: Sequence[Section]) -> str:
    """Return the text of the ``.md`` file."""
    parts = [f"# {_plain(title)}", ""]
    for section in sections:
        parts += [f"{'#' * section.level} {_plain(section.title)}", ""]
        if section.words:
            parts += [_plain(section.words), ""]
        if section.equation:
            parts += ["```", *side_by_side(section.equation), "```", ""]
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


def side_by_side(equation: Sequence[Grid | str]) -> list[str]:
    """Return the lines of an equation in which each matrix stands below its name.

    >>> print(*side_by_side((Grid("Q", (("1", "−2"), ("0.5", "3"))), "=", Grid("X", (("7",),), ("a",)))), sep=chr(10))
    Q              X
    ┌ 1   −2 ┐ = a [ 7 ]
    └ 0.5 3  ┘
    """
    height = 1 + max(len(part.rows) for part in equation if isinstance(part, Grid))
    blocks = [_block(part) if isinstance(part, Grid) else ["", part] for part in equation]
    lines = [""] * height
    for block in blocks:
        wide = max(map(len, block))
        lines = [line + (block[i] if i < len(block) else "").ljust(wide) + " " for i, line in enumerate(lines)]
    return [line.rstrip() for line in lines]


def _block(grid: Grid) -> list[str]:
    columns = [max(map(len, column)) for column in zip(*grid.rows, strict=True)]
    wide = max(map(len, grid.heads), default=-1) + 1
    heads = grid.heads or ("",) * len(grid.rows)
    last = len(grid.rows) - 1
    signs = [
        ("[", "]") if not last else ("┌", "┐") if i == 0 else ("└", "┘") if i == last else ("│", "│")
        for i in range(last + 1)
    ]
    body = [
        f"{head.ljust(wide)}{left} {' '.join(map(str.ljust, row, columns))} {right}"
        for head, row, (left, right) in zip(heads, grid.rows, signs, strict=True)
    ]
    return [" " * wide + grid.name, *body]
