"""The 1,797 handwritten digits of 8 × 8 pixels of the UCI collection, in ``digits.txt`` (CC BY 4.0, see there)."""

from __future__ import annotations

import base64
import functools
import zlib
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["CLASSES", "HELD_OUT", "SIDE", "held_out", "load", "training"]

SIDE = 8
CLASSES = 10
HELD_OUT = 297  # that no model is trained on; the others are 1,500
_INK = 16  # in the file


@functools.cache
def load() -> tuple[Any, Any]:
    """Return all pictures, −1 for paper and 1 for ink, and their classes, in an order drawn once for all.

    # (1797, 64), (1797)
    """
    lines = (Path(__file__).parent / "digits.txt").read_text(encoding="ascii").splitlines()
    packed = "".join(line for line in lines if not line.startswith("# ") and line != "#")
    rows = np.frombuffer(zlib.decompress(base64.b85decode(packed)), np.uint8).reshape(-1, SIDE * SIDE + 1)
    rows = rows[np.random.default_rng(0).permutation(len(rows))]  # the file goes from writer to writer
    return rows[:, :-1] * (2.0 / _INK) - 1.0, rows[:, -1].astype(np.int64)


def training() -> tuple[Any, Any]:
    """Return the pictures and classes for training."""
    pictures, classes = load()
    return pictures[HELD_OUT:], classes[HELD_OUT:]


def held_out() -> tuple[Any, Any]:
    """Return the others."""
    pictures, classes = load()
    return pictures[:HELD_OUT], classes[:HELD_OUT]
