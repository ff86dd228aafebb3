"""Export the log of a run: as CSV for spreadsheets, as events for TensorBoard."""

from __future__ import annotations

import bisect
import csv
import importlib.util
import io
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tinygrad_edu import console
from tinygrad_edu.gradient_stats import GradientStats
from tinygrad_edu.training import snapshots

from ..errors import ConfigError
from . import checkpoint

__all__ = ["as_csv", "check_tensorboard", "times", "write_events"]

_TAGS = {"train_loss": "loss/train", "val_loss": "loss/validation", "watched_loss": "loss/validation on the way",
         "lr": "learning rate", "grad_norm": "norm of the gradient"}  # fmt: skip


def as_csv(records: list[dict[str, Any]]) -> str:
    """Return a line of names, then one line per record.

    >>> as_csv([{"step": 0, "val_loss": 4.2}, {"step": 1, "val_loss": None, "lr": 0.5}])
    'step,val_loss,lr\\n0,4.2,\\n1,,0.5\\n'
    """
    names = list(dict.fromkeys(name for record in records for name in record))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return out.getvalue()


def check_tensorboard(folder: Path) -> None:
    """Raise ConfigError if tensorboardX is missing, or the folder has files in it."""
    if importlib.util.find_spec("tensorboardX") is None:
        raise ConfigError(
            f"--tensorboard needs tensorboardX, which is not installed: "
            f"{console.adding('tensorboard', 'tensorboardX')}; --csv needs nothing"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} is not empty, and TensorBoard would show both; choose another folder")


def times(folder: Path, last: int) -> Callable[[int], float]:
    """Return the time of a step, in seconds since 1970, from the times at which the files of the run were written.

    The log itself is the same for the same seed, so it has no times. They are interpolated between two files; in a copy
    of a folder without the original times all steps have the same time.
    """
    written = {0: folder / checkpoint.CONFIG, **snapshots.taken(folder), last: folder / checkpoint.LOG}
    known: list[tuple[int, float]] = []
    end = (folder / checkpoint.LOG).stat().st_mtime
    for step, path in sorted(written.items()):
        if step <= last:
            moment = min(path.stat().st_mtime, end)
            known.append((step, max(moment, known[-1][1]) if known else moment))

    def time(step: int) -> float:
        after = min(bisect.bisect_left(known, (step, -math.inf)), len(known) - 1)
        (a, start), (b, stop) = known[max(after - 1, 0)], known[after]
        return start + (stop - start) * min(1.0, (step - a) / (b - a)) if b > a else stop

    return time


def write_events(
    folder: Path, records: list[dict[str, Any]], flow: Mapping[int, list[GradientStats]], time: Callable[[int], float]
) -> None:
    """Write a record and the gradients of every step as events of TensorBoard; ``time`` gives the time of a step."""
    from tensorboardX import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        for record in records:
            for name, value in record.items():
                if name != "step" and value is not None:
                    writer.add_scalar(_TAGS.get(name, name), value, record["step"], walltime=time(record["step"]))
        for step, lines in flow.items():
            for line in lines:
                writer.add_scalar(f"mean size of the gradient/{line.name}", line.mean, step, walltime=time(step))
                if line.update is not None:
                    writer.add_scalar(f"update over parameter/{line.name}", line.update, step, walltime=time(step))
