"""Snapshots: the parameters of a run at some of its steps, to see how they became what they are.

They are in the folder ``snapshots`` of the run, each as ``step-0000500.safetensors``: parameters and step, as in
model.safetensors. Their number is bounded, so that a run of days does not fill the disk.
"""

from __future__ import annotations

import errno
from pathlib import Path

from .files import keep_model

__all__ = ["FOLDER", "planned", "take", "taken"]

FOLDER = "snapshots"


def planned(steps: int, keep: int) -> list[int]:
    """Return the steps at which a run of ``steps`` takes its ``keep`` snapshots, including the last step.

    Most of what a model learns it learns early, so most snapshots of a long run are early.

    >>> planned(2000, 9), planned(8, 5), planned(2, 5), planned(1000, 1), planned(1000, 0)
    ([0, 4, 31, 105, 250, 488, 844, 1340, 2000], [0, 2, 4, 6, 8], [0, 1, 2], [1000], [])
    """
    if keep < 2:
        return [steps] * keep
    power = 3 if steps >= 100 else 1
    return sorted({round(steps * (i / (keep - 1)) ** power) for i in range(keep)})


def taken(folder: Path) -> dict[int, Path]:
    """The snapshots in the folder of a run, in order of step; other files are ignored."""
    found = {}
    for path in (folder / FOLDER).glob("step-*.safetensors"):
        digits = path.stem.removeprefix("step-")
        if digits.isdecimal() and path.name == _name(int(digits)):
            found[int(digits)] = path
    return dict(sorted(found.items()))


def take(folder: Path, step: int, plan: list[int]) -> None:
    """Keep a copy of model.safetensors as the snapshot of ``step``.

    Snapshots that are not in ``plan`` (those of a shorter run, say) are removed first.
    """
    for old, path in taken(folder).items():
        if old not in plan:
            path.unlink(missing_ok=True)
    try:
        (folder / FOLDER).mkdir(exist_ok=True)
    except FileExistsError:
        reason = "it is a file, and must be a folder"
        raise NotADirectoryError(errno.ENOTDIR, reason, str(folder / FOLDER)) from None
    keep_model(folder, f"{FOLDER}/{_name(step)}")


def _name(step: int) -> str:
    return f"step-{step:07}.safetensors"
