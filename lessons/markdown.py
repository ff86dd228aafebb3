"""The part of Markdown that lessons are written in, as HTML: headings, paragraphs, lists, tables, quotes and code.

Inside a line: ``**strong**``, ``*emphasis*``, `` `code` `` and ``[words](address)``. Everything else is text.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable

__all__ = ["inline", "plain", "to_html"]

_SHORT = ' class="short"'
_ITEM = re.compile(r"(?:[-*+]|(\d+)\.) +(.*)")
_SPAN = re.compile(r"(`+)(.+?)\1")
_INLINE: list[tuple[re.Pattern[str], str]] = [
    (re.compile(r"\*\*(?=\S)(.+?)(?<=\S)\*\*"), r"<strong>\1</strong>"),
    (re.compile(r"(?<![\w*])\*(?=[^\s*])(.+?)(?<=[^\s*])\*(?![\w*])"), r"<em>\1</em>"),
    (re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)"), r'<a href="\2">\1</a>'),
]


def to_html(text: str) -> str:
    """Markdown as HTML.

    >>> print(to_html("## A *bend*\\n\\nIt is `max(0, z)`:\\n\\n- **flat** below,\\n- straight above."))
    <h2>A <em>bend</em></h2>
    <p>It is <code class="short">max(0, z)</code>:</p>
    <ul><li><strong>flat</strong> below,</li><li>straight above.</li></ul>
    """
    lines = text.split("\n")
    out: list[str] = []
    while lines:
        line = lines[0]
        if not line.strip():
            lines.pop(0)
        elif line.startswith("```"):
            lines.pop(0)
            out.append(_code(_take(lines, lambda row: not row.startswith("```"))))
            del lines[:1]
        elif line.startswith("    "):
            rows = _take(lines, lambda row: row.startswith("    ") or not row.strip())
            out.append(_code([row[4:] for row in rows]))
        elif heading := re.match(r"(#{1,6}) +(.*)", line):
            lines.pop(0)
            level = len(heading[1])
            out.append(f"<h{level}>{inline(heading[2])}</h{level}>")
        elif line.startswith("|"):
            out.append(_table(_take(lines, lambda row: row.startswith("|"))))
        elif line.startswith(">"):
            rows = _take(lines, lambda row: row.startswith(">"))
            inner = "\n".join(row[1:].removeprefix(" ") for row in rows)
            out.append(f"<blockquote>{to_html(inner)}</blockquote>")
        elif _ITEM.match(line):
            out.append(_list(_take(lines, lambda row: bool(_ITEM.match(row)) or row.startswith("  "))))
        else:
            rows = [lines.pop(0), *_take(lines, lambda row: bool(row.strip()) and not _starts_block(row))]
            out.append(f"<p>{inline(' '.join(row.strip() for row in rows))}</p>")
    return "\n".join(out)


def inline(text: str) -> str:
    """One line of Markdown as HTML, without a paragraph around it."""
    parts, end = [], 0
    for span in _SPAN.finditer(text):
        # A sign that no text contains holds the place of a code span, so that nothing inside it is taken for markup.
        parts.append(f"{html.escape(text[end : span.start()])}\0")
        end = span.end()
    marked = "".join(parts) + html.escape(text[end:])
    for pattern, replacement in _INLINE:
        marked = pattern.sub(replacement, marked)
    spans = iter([_span(span[2].strip()) for span in _SPAN.finditer(text)])
    return re.sub("\0", lambda _: next(spans), marked)


def _span(code: str) -> str:
    # What is short is not broken at the end of a line: a fraction such as ∂L/∂d would be read as two things.
    return f"<code{_SHORT if len(code) <= 24 else ''}>{html.escape(code)}</code>"


def plain(text: str) -> str:
    """The words alone, for searching."""
    return " ".join(re.sub(r"\*\*|[`#>|]", " ", text).split())


def _starts_block(row: str) -> bool:
    return row.startswith(("```", "|", ">", "# ", "## ", "### ")) or _ITEM.match(row) is not None


def _take(lines: list[str], wanted: Callable[[str], bool]) -> list[str]:
    taken = []
    while lines and wanted(lines[0]):
        taken.append(lines.pop(0))
    return taken


def _code(rows: list[str]) -> str:
    while rows and not rows[-1].strip():
        rows = rows[:-1]
    return f'<pre class="formula" tabindex="0">{html.escape(chr(10).join(rows))}</pre>'


def _list(rows: list[str]) -> str:
    items: list[str] = []
    first = _ITEM.match(rows[0])
    assert first is not None
    for row in rows:
        found = _ITEM.match(row)
        if found:
            items.append(found[2])
        else:
            items[-1] += " " + row.strip()
    tag = "ol" if first[1] else "ul"
    return f"<{tag}>{''.join(f'<li>{inline(item)}</li>' for item in items)}</{tag}>"


def _table(rows: list[str]) -> str:
    cells = [[cell.strip() for cell in row.strip().strip("|").split("|")] for row in rows]
    has_head = len(cells) > 1 and all(re.fullmatch(r":?-+:?", cell) for cell in cells[1])
    head, body = (cells[:1], cells[2:]) if has_head else ([], cells)
    out = [f"<tr>{''.join(f'<th>{inline(cell)}</th>' for cell in row)}</tr>" for row in head]
    out += [f"<tr>{''.join(f'<td>{inline(cell)}</td>' for cell in row)}</tr>" for row in body]
    return f'<div class="table" tabindex="0"><table>{"".join(out)}</table></div>'
