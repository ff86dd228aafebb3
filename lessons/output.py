"""The output of a cell as HTML: for the pages of the course, and for cells that are run in them."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

from .runner import Shown, cut, page_in_frame

__all__ = ["title", "to_html"]

_IDS = re.compile(r'(\bid="|url\(#|\bhref="#|aria-labelledby=")')
_SIZE = re.compile(r'<svg\b[^>]*?\bwidth="([\d.]+)(pt|px)?"')
_VIEW = re.compile(r'\bviewBox="[-\d.]+ [-\d.]+ ([\d.]+) ')
_LETTERS = re.compile(r'\bfont-size="([\d.]+)')
_ROOT = 18.0  # pixels of site.css's 1rem


def to_html(i: int, shown: Shown, caption: Callable[[int, str], str] = lambda i, page: "") -> str:
    """Return what the cell of number ``i``, from 0, has printed, and its result.

    ``caption`` takes the number and a page inside the output, and returns the caption below that page.
    """
    parts = []
    if shown.text:
        parts.append(f'<pre class="out" tabindex="0">{html.escape(shown.text.rstrip())}</pre>')
    bundle = shown.bundle
    words = bundle.get("text/plain", "")
    if "image/svg+xml" in bundle:
        parts.append(_picture(bundle["image/svg+xml"], f"p{i + 1}-", words))
    elif "text/html" in bundle:
        markup = bundle["text/html"]
        page = page_in_frame(markup)
        if page is None:
            parts.append(f'<figure class="html" tabindex="0">{markup}</figure>')
        else:
            frame = f'<iframe srcdoc="{html.escape(page)}" title="{title(page)}" loading="lazy"></iframe>'
            parts.append(f'<figure class="page">{frame}{caption(i, page)}</figure>')
    elif "image/png" in bundle:
        source = f"data:image/png;base64,{bundle['image/png'].strip()}"
        parts.append(f'<figure tabindex="0"><img src="{source}" alt="{html.escape(words)}"></figure>')
    elif words:
        parts.append(f'<pre class="out" tabindex="0">{html.escape(cut(words))}</pre>')
    return "".join(parts)


def title(page: str) -> str:
    """Return the title of a page as HTML."""
    found = re.search(r"<title>(.*?)</title>", page, re.DOTALL)
    return found[1] if found else "an interactive page"


def _picture(svg: str, prefix: str, words: str) -> str:
    """Prepare an SVG for a page with others: its ids become unique, and site.css knows its size.

    That is ``--wide``, its own width in units of the text size, so that both grow on a projector, and ``--letters``,
    its width in letters of its smallest text, so that this stays readable however narrow the column is.
    """
    svg = svg[svg.index("<svg") :]
    svg = _IDS.sub(rf"\g<1>{prefix}", svg)
    size = _SIZE.search(svg)
    look = ""
    if size is not None:
        width = float(size[1]) * (4 / 3 if size[2] == "pt" else 1)
        view = _VIEW.search(svg)
        letters = [float(letter) for letter in _LETTERS.findall(svg)]
        across = float(view[1] if view else size[1]) / min(letters, default=16.0)
        look = f"--wide:{width / _ROOT:.1f}rem;--letters:{across:.1f}"
    label = html.escape(" ".join(words.split())[:300])
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{label}" style="{look}"', 1)
    return f'<figure tabindex="0">{svg}</figure>'
