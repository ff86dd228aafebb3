"""A GIF of the way from noise to picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from viz.stepping.animation import join

from ..canvas import png

__all__ = ["gif"]

SECONDS, LAST = 0.1, 2.0  # how long a sheet is shown


def gif(sheets: Sequence[Any]) -> bytes:
    """Return an endless GIF of sheets of gray values; the last is shown longer. Needs Pillow (DrawingError)."""
    return join([png(sheet) for sheet in sheets], [SECONDS] * (len(sheets) - 1) + [LAST], "GIF")
