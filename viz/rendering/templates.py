"""Fill the templates of pages in ``viz/pages``."""

from __future__ import annotations

import html
import json
from importlib.resources import files

from tinygrad_edu.console import visible

from .theme import page_colors


def asset(name: str) -> str:
    """Return the text of a file in ``viz/pages``."""
    return files("viz").joinpath("pages", name).read_text(encoding="utf-8")


def fill(template: str, parts: dict[str, str]) -> str:
    """Replace each ``@NAME@`` in a template by the part of that name.

    The parts are inserted unchanged, except for characters that no file may contain; those are made visible.
    """
    pieces = template.split("@")
    return visible(
        "".join(
            parts.get(piece, "") if i % 2 else piece  # every second piece is between two @ signs
            for i, piece in enumerate(pieces)
        )
    )


def page(name: str, title: str, style: str, parts: dict[str, str]) -> str:
    """A whole page: the head that all pages have in common, and the body ``name``, whose ``@THEME@`` is the script of
    the button between light and dark.

    Args:
        name: of a file in ``viz/pages``.
        title: of the page.
        style: CSS; the colors of :mod:`viz.style` are its variables.
        parts: of the body; ``TITLE`` need not be among them.
    """
    common = {"HEAD": head(title, style), "TITLE": html.escape(title), "THEME": asset("theme.js")}
    return fill(asset(name), {**common, **parts})


def head(title: str, style: str, sources: str = "", nonce: str = "", scripts: str = "") -> str:
    """The head of a page, which may load nothing; ``sources`` are the exceptions, as in a Content-Security-Policy.

    With a ``nonce``, only the styles and scripts that have it are used; ``scripts`` is what else may run.
    """
    parts = {"TITLE": html.escape(title), "STYLE": page_colors() + style, "POLICY": policy(sources, nonce, scripts)}
    parts["LOOK"] = asset("look.js")
    parts["NONCE"] = f' nonce="{nonce}"' if nonce else ""
    return fill(asset("head.html"), parts)


def policy(sources: str = "", nonce: str = "", scripts: str = "") -> str:
    """The Content-Security-Policy of a page, as :func:`head` takes its parts."""
    inline = f"'nonce-{nonce}'" if nonce else "'unsafe-inline'"
    return f"default-src 'none'; style-src {inline}; script-src {f'{inline} {scripts}'.strip()}; img-src data:{sources}"


def script_json(data: object) -> str:
    """Return JSON for a script element: without a ``<`` that could end it."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
