"""Python as HTML, with keywords, strings and comments marked. They differ in weight and slant as well as in color."""

from __future__ import annotations

import html
import itertools

from pygments.lexers.python import PythonLexer
from pygments.token import Comment, Keyword, Number, Operator, String

__all__ = ["to_html", "to_lines"]

_TAGS = {Keyword: "b", Operator.Word: "b", Comment: "i", String.Interpol: "", String: "span"}
_LEXER = PythonLexer(stripnl=False, ensurenl=False)


def to_html(source: str) -> str:
    """Return Python with ``<b>`` around keywords, ``<i>`` around comments, ``<span>`` around strings.

    >>> to_html('x = "<"  # a sign')
    'x = <span>"&lt;"</span>  <i># a sign</i>'
    """
    tokens = (
        (next((tag for group, tag in _TAGS.items() if kind in group), ""), text)
        for kind, text in _LEXER.get_tokens(source)
    )
    out = []
    for tag, same in itertools.groupby(tokens, key=lambda token: token[0]):
        text = html.escape("".join(text for _, text in same), quote=False)
        out.append(f"<{tag}>{text}</{tag}>" if tag else text)
    return "".join(out)


def to_lines(source: str) -> list[list[tuple[str, str]]]:
    """Return the lines of Python as parts, each with what it is: keyword, comment, string, number, or nothing.

    >>> to_lines("if x:  # so\\n    2")
    [[('if', 'keyword'), (' x:  ', ''), ('# so', 'comment')], [('    ', ''), ('2', 'number')]]
    """
    names = {Keyword: "keyword", Operator.Word: "keyword", Comment: "comment", String: "string", Number: "number"}
    lines: list[list[tuple[str, str]]] = [[]]
    for kind, text in _LEXER.get_tokens(source):
        what = next((name for group, name in names.items() if kind in group), "")
        for i, part in enumerate(text.split("\n")):
            if i:
                lines.append([])
            if part and lines[-1] and lines[-1][-1][1] == what:
                lines[-1][-1] = (lines[-1][-1][0] + part, what)
            elif part:
                lines[-1].append((part, what))
    return lines
