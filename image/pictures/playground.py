"""A trained painter as one page, offline: its velocity, compiled to WebAssembly, and what the screen "Paint" asks."""

from __future__ import annotations

import json
from typing import Any

from tinygrad_edu.training.errors import ConfigError
from viz.play.page import play_page
from viz.rendering.page import Page

from ..data import shapes
from ..dataset import nothing, shown_first
from ..run import SavedRun
from ..sample import Sampler, noise

__all__ = ["COUNT", "paint_page"]

COUNT = 10  # pictures at once
_PROMPTS = 6  # to begin with


def paint_page(run: SavedRun) -> Page:
    """Return the page; raises ConfigError for points, which the playground paints without a trained model."""
    config = run.config.model
    if config.pixels == 2:
        raise ConfigError('this run paints points; "A flow" in the playground does that: python3 run.py play')
    sampler, about = Sampler(run.model), nothing(config)
    told = [about] * COUNT
    sampler.guided(noise(config, COUNT, 0), 0.0, shown_first(config, COUNT), 2.0)
    module = sampler.module(COUNT if config.condition == "nothing" else 2 * COUNT)
    facts: dict[str, Any] = {
        "name": run.folder.resolve().name,
        "folder": str(run.folder),
        "count": len(told),
        "numbers": config.numbers,
        "pixels": config.pixels,
        "condition": config.condition,
        "nothing": about[0] if about else None,
        "latent": bool(config.latent),
    }
    if config.condition == "text":
        prompts = [str(shapes.COMBINATIONS[37 * i % len(shapes.COMBINATIONS)]) for i in range(_PROMPTS)]
        facts |= {"words": shapes.WORDS, "longest": shapes.LONGEST, "prompts": prompts}
    assets = {"paint": json.dumps(facts).encode(), "paint-module": module}
    return play_page(assets, {"paint": facts}, screens=["paint", "flow"], title=f"{facts['name']}: paint")
