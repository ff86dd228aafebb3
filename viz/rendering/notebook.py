"""How results stand in a notebook: never wider than their cell, in its theme, and seen without trust too.

A notebook that comes from elsewhere is not trusted: scripts, frames, style sheets and SVG elements are taken out, and
what is left are pictures (``<img>``, PNG) and words.
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

#: A drawing that is wider than this many pixels may have become smaller in its cell; it can be opened in full size.
_NARROW = 640

#: The longest side of a PNG, in points: 1,200 pixels.
_PNG_SIDE = 900.0

_LENGTH = re.compile(r' (width|height)="([\d.]+)(pt|px)?"')
_BOX = re.compile(r' viewBox="([^"]*)"')

# The rules are for the whole notebook, so they name what is ours. A picture in an <img> is dark where the color-scheme
# of the element is; VS Code says its theme in an attribute only.
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
    """A drawing by MIME type, the way a notebook asks for it; made is only what is asked for.

    There is HTML in which it fits into the cell and can be opened in full size; SVG, which JupyterLab shows as wide as
    it is, for everything that takes no HTML; and a PNG if a program on this machine writes one.

    Args:
        words: what there is to see, as text.
        svg: draws it.
        include: the types that are wanted; None for all.
        exclude: types that are not wanted.
        still: draws what the PNG shows, where ``svg`` moves. There is no SVG then: a style sheet in an SVG that stands
            in a page is one of the whole page.
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
        with contextlib.suppress(DrawingError):  # where no program writes PNG, the other forms are enough
            bundle["image/png"] = base64.b64encode(_png(still() if still else drawn)).decode()
    return bundle


def framed(page: str) -> str:
    """A page as HTML for a cell: in a frame of its own, in the theme of the notebook."""
    page = page.replace("<head>", f"<head><script>{asset('around.js')}</script>", 1)
    look = "box-sizing:border-box;width:100%;height:640px;border:1px solid #9aa4b0"
    return (
        f'<iframe srcdoc="{html.escape(page)}" style="{look}">'
        "This page is shown when the notebook is trusted, or the cell run again.</iframe>"
    )


def _size(svg: str) -> tuple[float, float]:
    """Width and height of a picture, in pixels."""
    tag = svg[svg.index("<svg") : svg.index(">", svg.index("<svg"))]
    found = {name: float(number) * (4 / 3 if unit == "pt" else 1) for name, number, unit in _LENGTH.findall(tag)}
    box = _BOX.search(tag)
    _, _, width, height = map(float, box[1].split()) if box else (0.0, 0.0, 0.0, 0.0)
    return found.get("width", width), found.get("height", height)


def _in_cell(svg: str) -> str:
    """An SVG that is never wider than the cell."""
    return svg.replace("<svg ", '<svg style="max-width:100%;height:auto" ', 1)


def _picture(svg: str, words: str) -> str:
    """HTML that shows the picture as wide as the cell, and larger, to be scrolled, when a line above it is opened."""
    width, height = _size(svg)
    data = base64.b64encode(svg[svg.index("<svg") :].encode()).decode()
    hidden = "" if width > _NARROW else " hidden"
    return (
        f"<style>{_STYLE}</style>"
        f'<details class="tinygrad"{hidden}><summary>full size: {width:.0f} × {height:.0f}</summary>'
        "To zoom and search in it, save it as a page: <code>viz.save(it, 'page.html')</code></details>"
        f'<div style="overflow:auto"><img alt="{html.escape(words)}" src="data:image/svg+xml;base64,{data}" '
        f'style="width:{width:.0f}px;max-width:100%;height:auto"></div>'
    )


def _png(svg: str) -> bytes:
    box = _BOX.search(svg)
    sides = [float(side) for side in box[1].split()[2:]] if box else []
    return rasterize(svg, "png", min(1.0, _PNG_SIDE / max([1.0, *sides])))
