"""As many boxes as can be read on a screen."""

from __future__ import annotations

from collections.abc import Callable

from .. import style
from .dot import Drawing
from .rows import scale

TEXT = 14.0  # pixels: how high the text of numbers is at least
BOXES = 24  # at most, in a folded picture
MOST = 40  # Values: a graph with at most as many is drawn whole


def readable(at: Callable[[int], Drawing]) -> Drawing:
    """Return the most detailed drawing that can be read, the largest complete one if none can.

    Args:
        at: draws with a budget of boxes.
    """
    boxes, best = BOXES, None
    while True:
        drawing = at(boxes)
        assert drawing.picture is not None
        complete, height = drawing.picture.nearest is None, style.TEXT_SIZE * min(1.0, scale(drawing.drawn()))
        if best is None or (complete, height) > best[:2]:
            best = complete, height, drawing
        boxes = min(boxes - 1, len(drawing.picture.boxes) * 9 // 10)
        if not complete or height >= TEXT or boxes < 2:
            return best[2]
