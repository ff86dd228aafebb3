"""How results appear in a notebook: never wider than their cell, in its theme, and also in one that is not trusted.

A notebook from elsewhere is not trusted: scripts, frames, style sheets and SVG elements are removed, and only pictures
(``<img>``, PNG) and words remain.
"""

from __future__ import annotations

import base64
import contextlib
import html
import re
from collections.abc import Callable, Iterable

from ..errors import DrawingError
from .rasterize import rasterize
from .templates import asset
from .theme import DARK_NOTEBOOK, LIGHT_NOTEBOOK

#: A drawing wider than this many pixels may be scaled down in its cell; it can be opened in full size.
_NARROW = 640

#: The longest side of a PNG, in points: 1,200 pixels.
_PNG_SIDE = 900.0

_LENGTH = re.compile(r' (width|height)="([\d.]+)(pt|px)?"')
_BOX = re.compile(r' viewBox="([^"]*)"')

# The rules apply to the whole notebook, so they select only our elements. A picture in an <img> is dark if the
# color-scheme of the element is; VS Code gives its theme only in an attribute.
_STYLE = (
    "details.tinygrad[open]+div{max-height:85vh}details.tinygrad[open]+div>img{max-width:none!important}"
    f"body{LIGHT_NOTEBOOK} details.tinygrad+div>img{{color-scheme:light}}"
    f"body{DARK_NOTEBOOK} details.tinygrad+div>img{{color-scheme:dark}}"
)


def forms(
    words: str,
    svg: Callable[[], str],
    include: Iterable[str] | None = None,
    exclude: Iterable[str] | None = None,
    *,
    still: Callable[[], str] | None = None,
) -> dict[str, str]:
    """Return a drawing by MIME type, as a notebook requests it; only the requested types are made.

    The HTML fits the cell and can be opened in full size; the SVG, which JupyterLab shows in full width, is for
    everything that takes no HTML; the PNG exists if a program on this machine writes one.

    Args:
        words: what the drawing shows, as text.
        svg: a function that draws it.
        include: the wanted types; None for all.
        exclude: unwanted types.
        still: a function that draws the picture for the PNG if ``svg`` moves. Then there is no SVG, because a style
            sheet in an SVG inside a page applies to the whole page.
    """
    kinds = {"text/plain", "text/html", "image/svg+xml", "image/png"} - set(exclude or ())
    if include is not None:
        kinds &= set(include)
    if still:
        kinds -= {"image/svg+xml"}
    bundle = {"text/plain": words} if "text/plain" in kinds else {}
    drawn = svg() if kinds - {"text/plain", *(["image/png"] if still else [])} else ""
    if "image/svg+xml" in kinds:
        bundle["image/svg+xml"] = _in_cell(drawn)
    if "text/html" in kinds:
        bundle["text/html"] = _picture(drawn, words)
    if "image/png" in kinds:
        with contextlib.suppress(DrawingError):  # without a program that writes PNG, the other forms are enough
            bundle["image/png"] = base64.b64encode(_png(still() if still else drawn)).decode()
    return bundle


def framed(page: str) -> str:
    """Return a page as HTML for a cell: in its own frame, in the theme of the notebook."""
    page = page.replace("<head>", f"<head><script>{asset('around.js')}</script>", 1)
    look = "box-sizing:border-box;width:100%;height:640px;border:1px solid #9aa4b0"
    return (
        f'<iframe srcdoc="{html.escape(page)}" style="{look}">'
        "This page is shown when the notebook is trusted, or the cell run again.</iframe>"
    )


def _size(svg: str) -> tuple[float, float]:
    """Return the width and height of a picture, in pixels."""
    tag = svg[svg.index("<svg") : svg.index(">", svg.index("<svg"))]
    found = {name: float(number) * (4 / 3 if unit == "pt" else 1) for name, number, unit in _LENGTH.findall(tag)}
    box = _BOX.search(tag)
    _, _, width, height = map(float, box[1].split()) if box else (0.0, 0.0, 0.0, 0.0)
    return found.get("width", width), found.get("height", height)


def _in_cell(svg: str) -> str:
    """Return an SVG that is never wider than the cell."""
    return svg.replace("<svg ", '<svg style="max-width:100%;height:auto" ', 1)


def _picture(svg: str, words: str) -> str:
    """Return HTML that shows the picture as wide as the cell; a line above it opens it in full size, with scroll
    bars."""
    width, height = _size(svg)
    data = base64.b64encode(svg[svg.index("<svg") :].encode()).decode()
    hidden = "" if width > _NARROW else " hidden"
    return (
        f"<style>{_STYLE}</style>"
        f'<details class="tinygrad"{hidden}><summary>full size: {width:.0f} × {height:.0f}</summary>'
        "To zoom and search, save it as a page: <code>viz.save(it, 'page.html')</code></details>"
        f'<div style="overflow:auto"><img alt="{html.escape(words)}" src="data:image/svg+xml;base64,{data}" '
        f'style="width:{width:.0f}px;max-width:100%;height:auto"></div>'
    )


def _png(svg: str) -> bytes:
    box = _BOX.search(svg)
    sides = [float(side) for side in box[1].split()[2:]] if box else []
    return rasterize(svg, "png", min(1.0, _PNG_SIDE / max([1.0, *sides])))
