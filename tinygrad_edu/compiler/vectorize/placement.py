"""Placement: the array and index of each node, and the affine access with which a pack reads its operands.

Every node has a place: an array and an index in it. A pack requests operands by a grid of nodes, shaped like its loops;
if their places follow a formula, the answer is an access to them, and otherwise they are copied together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ... import ops
from ...errors import TinygradEduError
from ..frontend.simplify import Normal
from ..frontend.tracers import RANDOM
from ..program.ir import Access, Array, Instruction, Operand, identity
from .affine import IntArray, are_distinct, fit, inherit, nest

_MAX_AXES = 12


class Placement:
    """The arrays of a body and the places of its nodes in them.

    Ports come first among the arrays, then the parameters, then the constants. ``array`` and ``at`` give the array and
    the index of every recorded node.
    """

    def __init__(self, normal: Normal, lines: list[str]) -> None:
        body = normal.body
        self.normal, self.body, self.lines = normal, body, lines
        self.arrays: list[Array] = []
        self.instructions: list[Instruction] = []
        self.array = np.full(len(body.ops), -1, np.int64)
        self.at = np.zeros((len(body.ops), _MAX_AXES), np.int32)  # most of the memory
        self.operations = normal.operations
        for port in body.ports:
            self.settle(port.nodes, self.new(Array(port.shape, port.kind)), grid(port.shape))
        parameters = body.trace.parameters
        if body.parent is None:  # the function itself: its parameters are in the order of the flat array
            self.slot_starts = np.array([parameters.start(t) for t in body.slots])
            size = len(parameters)
        else:
            self.slot_starts = np.cumsum([0] + [parameters.size(t) for t in body.slots])
            size = int(self.slot_starts[-1])
        self.boundaries = np.array(sorted({*self.slot_starts.tolist()}), np.int64)
        self.parameter = self.new(Array((size,), "parameter", label="params"))
        constants = list(normal.constants.items())
        self.constant = self.new(Array((len(constants),), "constant", data=np.array([c for _, c in constants], float)))
        self.settle([i for i, _ in constants], self.constant, grid((len(constants),)))
        randoms: dict[tuple[float, float], list[int]] = {}
        for tensor, nodes in body.parameters.items():
            recorded = np.array(nodes, np.int64)
            places = np.flatnonzero(recorded >= 0)
            start = self.slot_starts[body.slots.index(tensor)]
            self.settle(recorded[places], self.parameter, (start + places)[:, None])
        for i, op in enumerate(body.ops):
            if op is RANDOM:
                randoms.setdefault(body.args[i], []).append(i)
        for detail, members in randoms.items():
            self.settle(members, self.new(Array((len(members),), "random", data=detail)), grid((len(members),)))

    # --- bookkeeping ---------------------------------------------------------------------------------------------

    def new(self, array: Array) -> int:
        """Add an array; returns its number."""
        self.arrays.append(array)
        return len(self.arrays) - 1

    def settle(self, nodes: Sequence[int] | IntArray, array: int, places: IntArray) -> None:
        """Record that these nodes are at these places of an array."""
        ids = np.asarray(nodes, np.int64)
        self.array[ids] = array
        self.at[ids, : places.shape[1]] = places
        self.at[ids, places.shape[1] :] = 0

    def places_of(self, array: int, ids: IntArray) -> IntArray:
        """Return the indices of nodes that are all in this array."""
        return self.at[ids, : len(self.arrays[array].shape)].astype(np.int64)

    def emit(self, op: str, loops: tuple[int, ...], out: Access, inputs: tuple[Operand, ...], **more: Any) -> None:
        """Add an instruction."""
        self.instructions.append(Instruction(op, loops, out, inputs, **more))

    # --- operands ---------------------------------------------------------------------------------------------------

    def operand(self, grid: IntArray, pad: float | None = None) -> Operand:
        """Return an access to the nodes in ``grid``, whose shape is that of the loops; −1 is a hole.

        With a ``pad``, holes must read as this number.
        """
        real = grid >= 0
        ids = grid[real]
        whole = len(ids) == grid.size
        first = int(ids[0])
        if self.array[first] == self.constant and (ids == first).all() and (whole or pad is None):
            return self.normal.constants[first]
        array = int(self.array[first])
        if (self.array[ids] == array).all():
            points = np.argwhere(real)
            found = fit(points, self.places_of(array, ids))
            if found is not None:
                access = Access(array, tuple(map(int, found[0])), tuple(tuple(map(int, row)) for row in found[1]))
                safe = self._in_bounds(access, grid.shape)
                if safe and not whole and pad is not None:
                    safe = self._holes_read(access, np.argwhere(~real), pad)
                    access = replace(access, array=int(self.array[first]))  # the holes may have been filled meanwhile
                if safe:
                    return access
        return self._assemble(grid, real, pad)

    def _in_bounds(self, access: Access, loops: Sequence[int]) -> bool:
        for low, row, size in zip(access.offset, access.steps, self.arrays[access.array].shape, strict=True):
            ends = [s * (n - 1) for s, n in zip(row, loops, strict=True)]
            if low + sum(e for e in ends if e < 0) < 0 or low + sum(e for e in ends if e > 0) >= size:
                return False
        return True

    def _holes_read(self, access: Access, points: IntArray, pad: float) -> bool:
        """Return whether these points of the loops can be made to read ``pad``; fills the holes of the array if
        necessary."""
        array = self.arrays[access.array]
        if array.mask is None:
            return False
        places = reached(access, points)
        if array.mask[tuple(places.T)].any():
            return False
        if array.hole != pad:
            filled = self.new(replace(array, hole=pad))
            loops = array.shape
            self.emit(
                "fill", loops, identity(filled, loops), (identity(access.array, loops),), mask=array.mask, value=pad
            )
            self.array[self.array == access.array] = filled
        return True

    def _assemble(self, grid: IntArray, real: Any, pad: float | None) -> Access:
        """Copy nodes from anywhere into an array of the shape of ``grid``."""
        ids = grid[real]
        if (self.array[ids] == self.constant).all():
            data = np.full(grid.shape, 0.0 if pad is None else pad)
            data[real] = [self.normal.constants[int(i)] for i in ids]
            return identity(self.new(Array(grid.shape, "constant", data=data)), grid.shape)
        whole = len(ids) == grid.size
        out = self.new(Array(grid.shape, mask=None if whole else real, hole=None if whole else pad))
        here = identity(out, grid.shape)
        if not whole:
            self.emit("copy", grid.shape, here, (0.0 if pad is None else pad,))
        points = np.argwhere(real)
        for array in dict.fromkeys(self.array[ids].tolist()):
            chosen = self.array[ids] == array
            to, source = points[chosen], self.places_of(array, ids[chosen])
            if (there := _in_order(source, to)) is not None:  # the places that are read are a box
                low, loops, embedded = there
                target, start = Access(out, *embedded), Access(array, low, identity(array, loops).steps)
                self.emit("copy", loops, target, (start,))
            elif (there := _in_order(to, source)) is not None:  # the places that are written are one
                low, loops, embedded = there
                target, start = Access(out, low, identity(out, loops).steps), Access(array, *embedded)
                self.emit("copy", loops, target, (start,))
            else:
                loops = (len(to),)
                none_to, none_from = ((0,),) * to.shape[1], ((0,),) * source.shape[1]
                target = Access(out, (0,) * to.shape[1], none_to, to)
                self.emit("copy", loops, target, (Access(array, (0,) * source.shape[1], none_from, source),))
        return here

    # --- boxes ---

    def layout(self, slots: list[IntArray]) -> tuple[IntArray, tuple[int, ...]]:
        """Make the box for a pack whose members have one operand in each slot."""
        n = len(slots[0])
        if n == 1:
            return np.zeros((1, 0), np.int64), ()
        places = [
            self.places_of(int(self.array[ids[0]]), ids)
            for ids in slots
            if (self.array[ids] == self.array[ids[0]]).all() and self.array[ids[0]] != self.constant
        ]
        given = [(int(self.array[ids[0]]) == self.parameter) for ids in slots if self.array[ids[0]] != self.constant]
        order = sorted(range(len(places)), key=lambda s: given[s])  # parameters are one long row: no shape to inherit
        boxes = [box for s in order if (box := inherit(places[s])) is not None]
        for box in boxes:
            if all(fit(box[0], p) is not None for p in places):
                return box
        if places:
            nested = nest(np.concatenate(places, axis=1))
            if nested is not None:
                return nested
        return boxes[0] if boxes else (np.arange(n, dtype=np.int64)[:, None], (n,))

    def hole_value(self, op: ops.Op, inputs: Sequence[Operand], box: tuple[IntArray, tuple[int, ...]]) -> float | None:
        """Return what an element-wise operation leaves in the holes of its box, if known."""
        places, shape = box
        if len(places) == math.prod(shape):
            return None
        real = np.zeros(shape, bool)
        real[tuple(places.T)] = True
        holes = np.argwhere(~real)
        known: list[float | None] = []
        for x in inputs:
            if isinstance(x, float):
                known.append(x)
                continue
            array = self.arrays[x.array]
            at = reached(x, holes)
            real_ones = np.ones(1, bool) if array.mask is None else array.mask[tuple(at.T)]
            if not real_ones.all() and (real_ones.any() or array.hole is None):
                return None  # anything at all may be there
            known.append(None if real_ones.all() else array.hole)
        if None not in known:
            try:
                result = op.forward(*known)
            except (TinygradEduError, ValueError, OverflowError):
                return None
            return None if math.isnan(result) else result
        # One operand is an unknown but finite number.
        if op is ops.MUL and 0.0 in known:
            return 0.0
        if op is ops.DIV and known[0] == 0.0:
            return 0.0
        if op in (ops.SUB, ops.ADD) and known[0] is not None and math.isinf(known[0]):
            return known[0]
        return None


def _in_order(box: IntArray, images: IntArray) -> tuple[tuple[int, ...], tuple[int, ...], Any] | None:
    """Return where a box begins, its size, and the formula (offset, steps) from its places to their images.

    Returns None if the places, one row each, fill no box, or there is no formula.
    """
    low = box.min(axis=0)
    size = tuple(int(n) for n in box.max(axis=0) - low + 1)
    if math.prod(size) != len(box) or not are_distinct(box - low, size):
        return None
    found = fit(box - low, images)
    if found is None:
        return None
    offset, steps = found
    return (
        tuple(map(int, low)), size, (tuple(map(int, offset)), tuple(tuple(map(int, row)) for row in steps))
    )  # fmt: skip


def reached(x: Access, points: IntArray) -> IntArray:
    """Return the indices of an access at some points of its loops."""
    steps = np.array(x.steps, np.int64).reshape(len(x.offset), points.shape[1])
    return points @ steps.T + np.array(x.offset, np.int64)


def grid(shape: tuple[int, ...]) -> IntArray:
    """Return all places of a box, row by row."""
    return np.indices(shape, dtype=np.int64).reshape(len(shape), -1).T if shape else np.zeros((1, 0), np.int64)


def on_grid(ids: IntArray, box: tuple[IntArray, tuple[int, ...]]) -> IntArray:
    """Return the members' nodes at the members' places; −1 in the holes."""
    places, shape = box
    grid = np.full(shape, -1, np.int64)
    grid[tuple(places.T)] = ids if shape else ids[0]
    return grid


def term_grid(terms: Sequence[Sequence[int]], box: tuple[IntArray, tuple[int, ...]]) -> IntArray:
    """Return the members' terms, along one more axis than the box has, unless every member has just one."""
    longest_one = max(map(len, terms))
    if longest_one == 1:
        return on_grid(np.array([t[0] for t in terms], np.int64), box)
    rows = np.full((len(terms), longest_one), -1, np.int64)
    for row, t in zip(rows, terms, strict=True):
        row[: len(t)] = t
    places, shape = box
    grid = np.full((*shape, longest_one), -1, np.int64)
    grid[tuple(places.T)] = rows if shape else rows[0]
    return grid


def spread(x: Operand, loops: tuple[int, ...], count: int) -> Operand:
    """Turn an access over some loops into one over all ``count`` loops."""
    if not isinstance(x, Access):
        return x
    steps = tuple(tuple(row[loops.index(loop)] if loop in loops else 0 for loop in range(count)) for row in x.steps)
    return Access(x.array, x.offset, steps)
