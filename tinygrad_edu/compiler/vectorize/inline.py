"""Inline all calls of one body at once: its instructions, with loops around them that run over the calls.

A Linear layer that is applied at 64 positions is one body and 64 calls; in the program of the caller it is the body's
own instruction with one more loop, and so a dot product has become a matrix product.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..frontend.tracers import Call
from ..program.ir import Access, Array, Instruction, Operand, identity
from .affine import IntArray, fit, nest
from .placement import Placement


def inline_calls(block: Placement, child: Placement, calls: Sequence[Call]) -> None:
    """Add the instructions for ``calls``, which all run the body ``child``, to ``block``."""
    box = _loops(block, calls)
    if box is None:
        by_slots: dict[tuple[int, ...], list[Call]] = {}
        for call in calls:
            by_slots.setdefault(tuple(call.slots), []).append(call)
        for part in by_slots.values():
            n = len(part)
            # Without a common order the calls are a list, and their arguments are copied together.
            _Inlined(block, child, part, _loops(block, part) or (np.arange(n, dtype=np.int64)[:, None], (n,)))
    else:
        _Inlined(block, child, calls, box)


def _loops(block: Placement, calls: Sequence[Call]) -> tuple[IntArray, tuple[int, ...]] | None:
    """Return the loops that make these calls in this order: over positions, heads, neurons, tensors."""
    alias = block.normal.alias
    features = []
    for call in calls:
        row = [int(block.slot_starts[s]) for s in call.slots]
        for port in call.inputs:
            row += block.at[alias[port[0]]].tolist() if port else []
        features.append(row)
    if len(calls) == 1:
        return np.zeros((1, 0), np.int64), ()
    return nest(np.array(features, np.int64))


class _Inlined:
    def __init__(
        self, block: Placement, child: Placement, calls: Sequence[Call], box: tuple[IntArray, tuple[int, ...]]
    ) -> None:
        self.block, self.child, self.calls = block, child, calls
        self.places, self.shape = box
        self.count = len(self.shape)
        self.order = np.lexsort(self.places.T[::-1]) if self.count else np.zeros(1, np.int64)  # calls in loop order
        block.operations += self.child.operations * len(calls)
        self.ports = [self._port(p) for p in range(len(self.child.body.ports))]
        self.moves = self._parameter_moves()
        self.made: dict[int, int] = {}
        paths = list(dict.fromkeys(call.path for call in calls))
        self.path = paths[0] if len(paths) == 1 else f"{paths[0]}…{paths[-1].rpartition('.')[2]}"
        for it in self.child.instructions:
            self._instruction(it)
        self._outputs()

    def _port(self, p: int) -> Access:
        """Find an argument in the caller's arrays, over the loops of the calls and the axes of the port."""
        shape = self.child.body.ports[p].shape
        alias = self.block.normal.alias
        rows = [[alias[i] for i in self.calls[c].inputs[p]] for c in self.order]
        found = self.block.operand(np.array(rows, np.int64).reshape((*self.shape, *shape)))
        if isinstance(found, Access):
            return found
        constant = self.block.new(Array((), "constant", data=np.array(found)))
        return Access(constant, (), ())

    def _parameter_moves(self) -> list[tuple[int, tuple[int, ...]] | None]:
        """Find for each slot of the body its position in the caller's parameters: start, and a step per loop."""
        moves: list[tuple[int, tuple[int, ...]] | None] = []
        starts = self.block.slot_starts
        for s in range(len(self.child.body.slots)):
            shift = np.array([[starts[call.slots[s]] - self.child.slot_starts[s]] for call in self.calls], np.int64)
            found = fit(self.places, shift)
            moves.append(None if found is None else (int(found[0][0]), tuple(int(x) for x in found[1][0])))
        return moves

    # --- arrays and accesses ---------------------------------------------------------------------------------------

    def _array(self, a: int) -> int:
        """Make the caller's array for one of the body's own."""
        if a not in self.made:
            array = self.child.arrays[a]
            if array.kind != "constant":
                mask = None if array.mask is None else np.broadcast_to(array.mask, (*self.shape, *array.shape))
                array = replace(array, shape=(*self.shape, *array.shape), mask=mask)
            self.made[a] = self.block.new(array)
        return self.made[a]

    def _access(self, x: Access, loops: tuple[int, ...]) -> Access:
        array = self.child.arrays[x.array]
        if x.array < len(self.ports):
            return self._through(self.ports[x.array], x, loops)
        if x.array == self.child.parameter:
            return self._parameters(x, loops)
        if array.kind == "constant":
            bound = Access(self._array(x.array), (0,) * len(array.shape), _with_loops(array.shape, self.count))
        else:
            bound = identity(self._array(x.array), (*self.shape, *array.shape))
        return self._through(bound, x, loops)

    def _through(self, bound: Access, x: Access, loops: tuple[int, ...]) -> Access:
        """Translate the access ``x`` to an array of the body to where ``bound`` says the array is."""
        if x.table is not None or bound.table is not None:
            inner = x.indices(loops).reshape(-1, len(x.offset))
            calls = np.indices(self.shape, dtype=np.int64).reshape(self.count, math.prod(self.shape)).T
            points = np.concatenate([np.repeat(calls, len(inner), axis=0), np.tile(inner, (len(calls), 1))], axis=1)
            steps = np.array(bound.steps, np.int64).reshape(len(bound.offset), points.shape[1])
            table = points @ steps.T + np.array(bound.offset, np.int64)
            n = len(bound.offset)
            none = ((0,) * (self.count + len(loops)),) * n
            return Access(bound.array, (0,) * n, none, table.reshape(*self.shape, *loops, n))
        steps = np.array(bound.steps, np.int64).reshape(len(bound.offset), self.count + len(x.offset))
        own = np.array(x.steps, np.int64).reshape(len(x.offset), len(loops))
        inner_steps = steps[:, self.count :] @ own
        offset = steps[:, self.count :] @ np.array(x.offset, np.int64) + np.array(bound.offset, np.int64)
        rows = np.concatenate([steps[:, : self.count], inner_steps], axis=1)
        return Access(bound.array, tuple(map(int, offset)), tuple(tuple(map(int, row)) for row in rows))

    def _parameters(self, x: Access, loops: tuple[int, ...]) -> Access:
        places = x.indices(loops)[..., 0] if x.table is not None else None
        if places is None:
            ends = [s * (n - 1) for s, n in zip(x.steps[0], loops, strict=True)]
            low = x.offset[0] + sum(e for e in ends if e < 0)
            high = x.offset[0] + sum(e for e in ends if e > 0)
        else:
            low, high = int(places.min()), int(places.max())
        first, last = (int(np.searchsorted(self.child.slot_starts, p, side="right")) - 1 for p in (low, high))
        moves = set(self.moves[first : last + 1])
        move = self.moves[first]
        if len(moves) == 1 and move is not None:
            start, steps = move
            return self._through(Access(self.block.parameter, (start,), ((*steps, 1),)), x, loops)
        # The tensors have another order in the caller: a table of addresses, one for each call and point.
        inner = x.indices(loops)[..., 0]
        slots = np.searchsorted(self.child.slot_starts, inner, side="right") - 1
        starts = np.asarray(self.block.slot_starts)
        table = np.empty((len(self.calls), *inner.shape, 1), np.int64)
        for row, c in zip(table, self.order, strict=True):
            base = starts[np.array(self.calls[c].slots)] - self.child.slot_starts[:-1]
            row[..., 0] = inner + base[slots]
        table = table.reshape(*self.shape, *loops, 1)
        all_loops = (*self.shape, *loops)
        gathered = self.block.new(Array(all_loops))
        flat = (math.prod(all_loops),)
        self.block.emit(
            "copy", flat,
            Access(gathered, (0,) * len(all_loops), ((0,),) * len(all_loops), np.argwhere(np.ones(all_loops, bool))),
            (Access(self.block.parameter, (0,), ((0,),), table.reshape(-1, 1)),),
        )  # fmt: skip
        return identity(gathered, all_loops)

    # --- instructions and results -------------------------------------------------------------------------------------

    def _instruction(self, it: Instruction) -> None:
        inputs: tuple[Operand, ...] = tuple(
            self._access(x, it.loops) if isinstance(x, Access) else x for x in it.inputs
        )
        out = self._access(it.out, it.loops)
        loops = (*self.shape, *it.loops)
        if any(isinstance(x, Access) and x.table is not None for x in (out, *inputs)):
            # Addresses are in one list: an instruction with a table has a single loop.
            flat = (math.prod(loops),)
            inputs = tuple(_as_table(x, loops) if isinstance(x, Access) else x for x in inputs)
            out, loops = _as_table(out, loops), flat
        self.block.instructions.append(
            replace(
                it, loops=loops, out=out, inputs=inputs, axis=it.axis + self.count if it.axis >= 0 else -1,
                nodes=it.nodes * len(self.calls), products=it.products * len(self.calls),
                path=".".join(filter(None, (self.path, it.path))),
            )
        )  # fmt: skip

    def _outputs(self) -> None:
        alias, count = self.block.normal.alias, len(self.calls)
        results = np.array([call.outputs for call in self.calls], np.int64)
        nodes = np.array(self.child.normal.outputs, np.int64)
        arrays = self.child.array[nodes]
        for a in dict.fromkeys(arrays.tolist()):
            among = np.flatnonzero(arrays == a)
            mine, shape = results[:, among], self.child.arrays[a].shape  # (calls, results in this array)
            index = self.child.at[nodes[among], : len(shape)].astype(np.int64)
            if a < len(self.ports):
                places = np.ravel_multi_index(tuple(index.T), shape).tolist() if shape else [0] * len(among)
                given = np.array([[alias[call.inputs[a][p]] for p in places] for call in self.calls], np.int64)
                self.block.array[mine], self.block.at[mine] = self.block.array[given], self.block.at[given]
            elif a == self.child.parameter:
                slots = np.searchsorted(self.child.slot_starts, index[:, 0], side="right") - 1
                starts = self.block.slot_starts[np.array([call.slots for call in self.calls], np.int64)[:, slots]]
                places = starts + (index[:, 0] - self.child.slot_starts[slots])
                self.block.settle(mine.ravel(), self.block.parameter, places.reshape(-1, 1))
            else:
                index = np.tile(index, (count, 1))
                if self.child.arrays[a].kind != "constant":
                    index = np.concatenate([np.repeat(self.places, len(among), axis=0), index], axis=1)
                self.block.settle(mine.ravel(), self._array(a), index)


def _with_loops(shape: tuple[int, ...], count: int) -> tuple[tuple[int, ...], ...]:
    """Return the steps of an array that does not depend on the ``count`` outer loops."""
    n = len(shape)
    return tuple((*((0,) * count), *(int(a == loop) for loop in range(n))) for a in range(n))


def _as_table(x: Access, loops: tuple[int, ...]) -> Access:
    n = len(x.offset)
    return Access(x.array, (0,) * n, ((0,),) * n, x.indices(loops).reshape(-1, n))
