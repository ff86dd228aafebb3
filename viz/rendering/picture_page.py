"""One picture as a page that needs nothing else: zoom, move, search, and the full numbers of the box that is chosen."""

from __future__ import annotations

import html

from .templates import asset, fill


def page(svg: str, title: str) -> str:
    """The page around an SVG picture.

    Args:
        svg: from :meth:`viz.rendering.dot.Drawing.svg`.
        title: a line of text: what there is to see.
    """
    return fill(
        asset("picture.html"),
        {"TITLE": html.escape(title), "STYLE": asset("picture.css"), "PICTURE": svg[svg.index("<svg") :]},
    )
