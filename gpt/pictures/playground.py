"""A trained run in the playground: its weights, and those of its snapshots, as the page reads them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from viz.play.page import play_page
from viz.rendering.page import Page

from ..inspection.observer import first_sentence
from ..model import parameter_shapes
from ..runs import checkpoint, snapshots
from ..runs.saved_run import SavedRun

__all__ = ["MOST_SNAPSHOTS", "read_page", "trained"]

MOST_SNAPSHOTS = 9
ALL_UP_TO = 300_000  # bytes of one snapshot; of a larger model only the last is kept: a page must open quickly
OPENING = 40  # characters of the text that the page opens with


def trained(run: SavedRun, most: int = MOST_SNAPSHOTS) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Return what the screen "Read a trained GPT" needs: the assets of the page, and the facts about them.

    The numbers are rounded to 16 bits (IEEE half precision), or to 32 if one of them is too large for that. The page
    computes with the rounded numbers, and the Python that it shows rounds in the same way.

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
    with np.errstate(over="ignore"):
        half = all(np.isfinite(numbers.astype("<f2")).all() for numbers in kept.values())
    validation = {r["step"]: r.get("watched_loss", r["val_loss"]) for r in run.log() if r.get("val_loss") is not None}
    about = {
        "name": run.folder.resolve().name,
        "config": asdict(run.config.model),
        "alphabet": run.tokenizer.alphabet,
        "end": None if run.end is None else run.tokenizer.decode([run.end]),
        "bits": 16 if half else 32,
        "text": _opening(run),
        "snapshots": [
            {"step": at, "asset": f"read-{at}", "file": files[at], "val": _finite(validation.get(at))} for at in kept
        ],
    }
    kind = "<f2" if half else "<f4"
    assets = {f"read-{at}": numbers.astype(kind).tobytes() for at, numbers in kept.items()}
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
