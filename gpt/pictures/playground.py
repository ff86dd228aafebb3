"""A trained run in the playground: its weights, and those of its snapshots, as the page reads them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_edu.training import snapshots
from viz.play.page import play_page
from viz.rendering.page import Page

from ..config import GPTConfig
from ..inspection.observer import first_sentence
from ..model import parameter_shapes
from ..runs import checkpoint
from ..runs.saved_run import SavedRun

__all__ = ["MOST_SNAPSHOTS", "read_page", "trained"]

MOST_SNAPSHOTS = 9
ALL_UP_TO = 300_000  # bytes of one snapshot; of a larger model only the last is kept: a page must open quickly
#: From how many parameters on numbers are rounded to whole ones from -127 to 127, or from -47 to 47, times the scale of
#: their row: with a text and compiled steps, a page of any preset stays below 2.5 MB.
LEVELS = ((900_000, 47), (300_000, 127))
OPENING = 40  # characters of the text that the page opens with


def trained(run: SavedRun, most: int = MOST_SNAPSHOTS) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Return what the screen "Read a trained GPT" needs: the assets of the page, and the facts about them.

    The numbers are rounded to 16 bits (IEEE half precision), or to 32 if one of them is too large for that; those of a
    large model to 8 bits and a scale for each row. The page says so, computes with the rounded numbers, and the Python
    that it shows rounds in the same way.

    Args:
        run: the run.
        most: the largest number of snapshots, of which the last is the run's model.

    Raises CheckpointError if a file of the run is missing or damaged.
    """
    model, step = _numbers(run, run.file)
    files = {at: f"{snapshots.FOLDER}/{path.name}" for at, path in snapshots.taken(run.folder).items() if at < step}
    files[step] = run.file
    chosen = _early(sorted(files), most) if 2 * len(model) <= ALL_UP_TO and most > 1 else [step]
    kept = {at: model if at == step else _numbers(run, files[at])[0] for at in chosen}
    levels = next((few for count, few in LEVELS if len(model) >= count), None)
    with np.errstate(over="ignore"):
        half = all(np.isfinite(numbers.astype("<f2")).all() for numbers in kept.values())
    validation = {r["step"]: r.get("watched_loss", r["val_loss"]) for r in run.log() if r.get("val_loss") is not None}
    about = {
        "name": run.folder.resolve().name,
        "config": asdict(run.config.model),
        "alphabet": run.tokenizer.alphabet,
        "end": None if run.end is None else run.tokenizer.decode([run.end]),
        "bits": 8 if levels else 16 if half else 32,
        "levels": levels,
        "text": _opening(run),
        "snapshots": [
            {"step": at, "asset": f"read-{at}", "file": files[at], "val": _finite(validation.get(at))} for at in kept
        ],
    }
    kind = "<f2" if half else "<f4"
    assets = {
        f"read-{at}": _rounded(run.config.model, numbers, levels) if levels else numbers.astype(kind).tobytes()
        for at, numbers in kept.items()
    }
    return {"read": json.dumps(about).encode(), **assets}, {"read": about["name"]}


def read_page(assets: Mapping[str, bytes], facts: Mapping[str, Any]) -> Page:
    """Make the playground with this one screen, for the report of a run, of what :func:`trained` returned."""
    return play_page(assets, facts, screens=["read"], title=f"{facts['read']}: read the model")


def _early(steps: list[int], most: int) -> list[int]:
    """Choose the first, the last and some between, more of them early: most is learned there."""
    if len(steps) <= most:
        return steps
    return [steps[max(i, round((len(steps) - 1) * (i / (most - 1)) ** 2))] for i in range(most)]


def _numbers(run: SavedRun, file: str) -> tuple[Any, int]:
    """Return all numbers of a file of parameters in one row, in the order of ``parameter_shapes``, and their step."""
    path: Path = run.folder / file
    tables, metadata = checkpoint.load_tensors(path)
    checkpoint.check_shapes(run.config.model, {name: np.shape(table) for name, table in tables.items()}, path)
    numbers = np.concatenate([np.ravel(tables[name]) for name, _ in parameter_shapes(run.config.model)])
    return numbers, checkpoint.step_of(metadata, path)


def _rounded(config: GPTConfig, numbers: Any, levels: int) -> bytes:
    """Return the scale of each row as 32-bit floats, then all numbers in units of that, as bytes."""
    scales, whole, at = [], [], 0
    for _, sizes in parameter_shapes(config):
        rows = numbers[at : at + math.prod(sizes)].reshape(-1, sizes[-1])
        at += rows.size
        scale = (np.abs(rows).max(axis=1) / levels).astype("<f4").astype(float)
        scales.append(scale)
        whole.append(np.round(rows / np.where(scale, scale, 1.0)[:, None]).astype("i1"))
    return np.concatenate(scales).astype("<f4").tobytes() + b"".join(rows.tobytes() for rows in whole)


def _opening(run: SavedRun) -> str:
    """Return the text that the page opens with: the beginning of the validation text, or of the alphabet."""
    corpus, length = run.corpus_at_hand(), min(OPENING, run.config.model.block_size)
    if corpus is None:
        return run.tokenizer.alphabet[:length]
    if corpus.end is not None:
        return run.tokenizer.decode(corpus.beginning(length)).strip("\n")
    return run.tokenizer.decode(first_sentence(corpus.val, corpus.tokenizer, length)[:length])


def _finite(loss: float | None) -> float | None:
    return loss if loss is not None and math.isfinite(loss) else None
