"""Find where a diverged training went wrong: the first number in the graph of its loss that is not finite."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_edu.errors import DomainError
from viz.graph import diagnose, regions
from viz.graph.build import build

from ..data.corpus import Sequences
from ..data.documents import predicted
from ..engines.torch.distributed import launched
from ..inspection.loss_graph import recorded_loss
from ..runs import checkpoint
from ..train import Run

__all__ = ["first_not_finite"]


def first_not_finite(run: Run, batch: Sequences) -> str:
    """Say where in the model the first number of the step on ``batch`` is not finite; empty if all are finite.

    The step is recomputed in scalars for one sequence, with recorded module calls.
    """
    if not batch:
        return ""
    run.engine.write_back()
    worst = batch[0]
    if launched()[1] == 1:  # several processes would have to do this together
        worst = next((s for s in batch if not math.isfinite(_loss(run, s))), worst)
    try:
        count = predicted(worst)
        loss, calls, _ = recorded_loss(run.model, [*worst[0][:count], worst[1][count - 1]])
    except DomainError as domain:
        return "; ".join([str(domain), *getattr(domain, "__notes__", [])])
    whole = build([loss], calls.names)
    parts = regions.find(whole, calls)
    trouble = diagnose.first_not_finite(whole, parts)
    if trouble is None and run.config.train.engine != "scalar":
        trouble = diagnose.first_not_finite(whole, parts, checkpoint.LARGEST_FLOAT32)
    return trouble.sentence if trouble is not None else ""


def _loss(run: Run, sequence: tuple[list[Any], ...]) -> float:
    try:
        return run.engine.evaluate([sequence])
    except DomainError:
        return math.nan
