"""A picture for a projector: at most 40 boxes, every text at least 24 pixels high on a screen of 1920 × 1080.

The size of the text on the screen depends on the size of the whole picture, which is known only after layout; so boxes
are folded until the text is large enough.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from .. import style
from .dot import Drawing
from .sheet import strong

BOXES = 40
SCREEN = (1920.0, 1080.0)  # pixels
SMALLEST_TEXT = 24.0  # pixels

_VIEW = re.compile(r'viewBox="\S+ \S+ (\S+) (\S+)"')
_FONT = re.compile(r'font-size="([\d.]+)"')


def beamer(at: Callable[[int], Drawing], budget: int | None) -> Drawing:
    """Return the most detailed drawing that can be read from the back of the room; the coarsest one if none can.

    Args:
        at: a function that draws with a budget of boxes.
        budget: the largest number of boxes; values above 40 count as 40.
    """
    boxes = min(budget or BOXES, BOXES)
    while True:
        drawing = at(boxes)
        assert drawing.picture is not None
        boxes = min(boxes, len(drawing.picture.boxes)) * 3 // 4
        if boxes < 2 or text_height(drawing.drawn()) >= SMALLEST_TEXT:
            break
    drawing.body[:] = [_bold(line) for line in drawing.body]
    drawing.edge_attr["color"] = style.BEAMER[style.FAINT]
    drawing.size, drawing.zoom = SCREEN, 1.0
    return drawing


def text_height(svg: str) -> float:
    """Return the height in pixels of the smallest text when the picture fills the screen."""
    found = _VIEW.search(svg)
    sizes = [float(size) for size in _FONT.findall(svg)]
    if found is None or not sizes:
        return SMALLEST_TEXT
    scale = _SCALE.search(svg)
    own = float(scale[1]) if scale else 1.0
    return own * min(sizes) * min(SCREEN[0] / float(found[1]), SCREEN[1] / float(found[2]))


_SCALE = re.compile(r"\) scale\(([\d.]+)\)")


def _bold(line: str) -> str:
    """Rewrite a line of DOT with its small text as large as the rest and colors of higher contrast."""
    return strong(line.replace(f'POINT-SIZE="{style.SMALL_SIZE}"', f'POINT-SIZE="{style.TEXT_SIZE}"'))
