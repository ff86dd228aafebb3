"""The Markdown of the lessons and the guide as HTML: CommonMark and tables, by markdown-it."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

__all__ = ["inline", "plain", "to_html"]

_SHORT = ' class="short"'


class _Renderer(RendererHTML):
    def code_inline(self, tokens: Sequence[Token], at: int, *_: Any) -> str:
        # What is short is not broken at the end of a line: a fraction such as ∂L/∂d would be read as two things.
        code = tokens[at].content
        return f"<code{_SHORT if len(code) <= 24 else ''}>{html.escape(code, quote=False)}</code>"

    def code_block(self, tokens: Sequence[Token], at: int, *_: Any) -> str:
        return f'<pre class="formula" tabindex="0">{html.escape(tokens[at].content.rstrip(), quote=False)}</pre>\n'

    def fence(self, tokens: Sequence[Token], at: int, *_: Any) -> str:
        return self.code_block(tokens, at)

    def table_open(self, *_: Any) -> str:
        return '<div class="table" tabindex="0"><table>\n'

    def table_close(self, *_: Any) -> str:
        return "</table></div>\n"


_MARKDOWN = MarkdownIt("commonmark", {"html": False}, renderer_cls=_Renderer).enable("table")


def to_html(text: str) -> str:
    """Markdown as HTML.

    >>> print(to_html("## A *bend*\\n\\nIt is `max(0, z)`:\\n\\n- **flat** below,\\n- straight above."))
    <h2>A <em>bend</em></h2>
    <p>It is <code class="short">max(0, z)</code>:</p>
    <ul>
    <li><strong>flat</strong> below,</li>
    <li>straight above.</li>
    </ul>
    """
    return str(_MARKDOWN.render(text)).rstrip("\n")


def inline(text: str) -> str:
    """One line of Markdown as HTML, without a paragraph around it."""
    return str(_MARKDOWN.renderInline(text))


def plain(text: str) -> str:
    """The words alone, for searching.

    >>> plain("## A *bend*\\n\\nIt is **`a*b`**, see [this](page.html).")
    'A bend It is a*b, see this.'
    """
    words = []
    for block in _MARKDOWN.parse(text):
        inline = block.children or ([block] if block.type in ("fence", "code_block") else [])
        words.append("".join(" " if token.type.endswith("break") else token.content for token in inline))
    return " ".join(" ".join(words).split())
