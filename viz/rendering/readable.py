"""As many boxes as can be read on a screen."""

from __future__ import annotations

from collections.abc import Callable

from .dot import Drawing
from .rows import readable, scale

BOXES = 24  # at most, in a folded picture
MOST = 40  # Values: a graph with at most as many is drawn whole if it can be read


def most_readable(at: Callable[[int], Drawing], boxes: int, *, complete: bool = False) -> Drawing:
    """Return the most detailed drawing that can be read; if none can, the largest complete one.

    Args:
        at: draws with a budget of boxes.
        boxes: the largest budget.
        complete: whether nothing is left out, even if the text is small then.
    """
    best = None
    while True:
        drawing = at(boxes)
        assert drawing.picture is not None
        drawn, is_complete = drawing.drawn(), drawing.picture.nearest is None
        if best is not None and complete and not is_complete:
            return best[1]
        if readable(drawn):
            return drawing
        size = is_complete, scale(drawn)
        if best is None or size > best[0]:
            best = size, drawing
        boxes = min(boxes - 1, len(drawing.picture.boxes) * 9 // 10)
        if boxes < 2:
            return best[1]
