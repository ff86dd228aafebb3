"""Find the points of a product that need no multiplication: attention looks only back, so half of its scores are holes.

A point is not needed if one factor is a hole that holds 0, or if the result is a hole that nothing depends on.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .ir import Access, Instruction, Program

#: Elements outside of the mask of an array: its number, and the mask.
Holes = dict[int, Any]


def zeros(program: Program) -> Holes:
    """Return the masks of arrays whose other elements are exactly 0."""
    known: Holes = {n: a.mask for n, a in enumerate(program.arrays) if a.mask is not None and a.hole == 0.0}
    written = set()
    for it in program.instructions:
        out = it.out.array
        if program.arrays[out].mask is not None:
            continue
        mask = None
        if it.out.is_identity(program.arrays[out].shape, it.loops) and out not in written:
            if it.op == "fill" and it.value == 0.0:
                mask = it.mask
            elif it.op in ("copy", "neg", "mul"):
                mask = _kept(program, it, known)
        known.pop(out, None)
        written.add(out)
        if mask is not None:
            known[out] = mask
    return known


def _kept(program: Program, it: Instruction, known: Holes) -> Any:
    """Return the mask of the array that an instruction only copies or scales."""
    accesses = [x for x in it.inputs if isinstance(x, Access)]
    finite = all(isinstance(x, Access) or np.isfinite(x) for x in it.inputs)
    if len(accesses) != 1 or not finite:
        return None
    x = accesses[0]
    return known.get(x.array) if x.is_identity(program.arrays[x.array].shape, it.loops) else None


def order(program: Program, known: Holes, it: Instruction) -> tuple[int, int] | None:
    """Return two loops of a sum of products if only points matter where the first is not greater than the second."""
    arrays = program.arrays
    out = arrays[it.out.array]
    if out.kind == "gradient" and out.primal >= 0:
        out = arrays[out.primal]  # the gradient of a hole reaches nothing
    candidates = [(x, known[x.array]) for x in it.reads() if x.array in known]
    if out.mask is not None and not it.accumulate and (out.hole is None or out is not arrays[it.out.array]):
        candidates.append((it.out, out.mask))
    for x, mask in candidates:
        mask = np.asarray(mask)
        axes = _loops(x)[-mask.ndim :]
        found = _triangle(mask) if axes else None
        if found:
            return axes[found[0]], axes[found[1]]
    return None


def _loops(x: Access) -> list[int]:
    """Return the loop that every axis follows; nothing if one follows several, or begins elsewhere."""
    if x.table is not None or any(x.offset):
        return []
    rows = [[loop for loop, step in enumerate(row) if step] for row in x.steps]
    if any(len(row) != 1 or x.steps[axis][row[0]] != 1 for axis, row in enumerate(rows)):
        return []
    return [row[0] for row in rows]


def _triangle(mask: Any) -> tuple[int, int] | None:
    """Return the axes i and j of a mask that is set where i ≤ j."""
    for i, n in enumerate(mask.shape):
        for j, m in enumerate(mask.shape):
            if i != j and n == m and n > 1:
                indices = np.arange(n)
                first, second = (indices.reshape([n if a == axis else 1 for a in range(mask.ndim)]) for axis in (i, j))
                if np.array_equal(mask, np.broadcast_to(first <= second, mask.shape)):
                    return i, j
    return None
