"""Points of the plane: two moons, and a spiral. They are drawn when they are needed, as many as needed."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["moons", "spiral"]


def moons(count: int, rng: np.random.Generator) -> Any:
    """Two half circles that reach into each other, about one wide, with a little noise.               # (count, 2)"""
    angles = rng.uniform(0.0, np.pi, count)
    lower = rng.random(count) < 0.5
    x = np.where(lower, 1.0 - np.cos(angles), np.cos(angles)) - 0.5
    y = np.where(lower, 0.5 - np.sin(angles), np.sin(angles)) - 0.25
    return np.stack([x, y], axis=1) + rng.normal(0.0, 0.06, (count, 2))


def spiral(count: int, rng: np.random.Generator) -> Any:
    """A line that turns outward one and a half times, with a little noise.                              # (count, 2)"""
    along = np.sqrt(rng.uniform(0.05, 1.0, count))  # as many points on every piece of its length
    angles = 3.0 * np.pi * along
    return 1.5 * along[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1) + rng.normal(0.0, 0.04, (count, 2))
