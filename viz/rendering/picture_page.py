"""One picture as a self-contained page: zoom, pan, search, and the full numbers of the selected box."""

from __future__ import annotations

from . import templates
from .templates import asset


def page(svg: str, title: str) -> str:
    """Make the page around an SVG picture.

    Args:
        svg: the picture from :meth:`viz.rendering.dot.Drawing.svg`.
        title: one line that says what the picture shows.
    """
    return templates.page("picture.html", title, asset("picture.css"), {"PICTURE": svg[svg.index("<svg") :]})
