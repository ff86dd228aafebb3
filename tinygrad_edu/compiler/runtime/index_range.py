"""Check that indices are in range, before every run, on every back end."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..program.ir import Access, Program

#: For an index that selects from nothing: larger than any.
NO_LIMIT = np.uint64(np.iinfo(np.uint64).max)


def index_limits(program: Program) -> dict[int, Any]:
    """Return for every array of indices how many candidates each of them selects from: shape ``(*its axes, 1)``.

    The numbers are unsigned, so that one comparison also finds negative indices.
    """
    limits: dict[int, Any] = {}
    for it in program.instructions[: program.forward]:
        index = it.inputs[0]
        if it.op == "select" and isinstance(index, Access) and program.arrays[index.array].kind == "index":
            shape = program.arrays[index.array].shape
            limit = limits.setdefault(index.array, np.full((*shape, 1), NO_LIMIT))
            loops = [n if index.uses(loop) else 1 for loop, n in enumerate(it.loops)]
            places = tuple(np.moveaxis(index.indices(loops), -1, 0))
            limit[(*places, 0)] = np.minimum(limit[(*places, 0)], np.uint64(it.loops[it.axis]))
    return limits


def check_range(indices: Any, limit: Any) -> None:
    """Raise IndexError if an index is out of range."""
    wrong = np.greater_equal(indices.view(np.uint64), limit)
    if np.count_nonzero(wrong):
        size = int(np.broadcast_to(limit, indices.shape)[wrong][0])
        raise IndexError(
            f"index {int(indices[wrong][0])} is out of range for a table of {size} entries (0 to {size - 1})"
        )
