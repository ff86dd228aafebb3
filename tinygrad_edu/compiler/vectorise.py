"""From scalar nodes to array instructions: packs.

Nodes of one level that do the same with operands from the same arrays form a *pack*: one instruction. The art is in
the order. Every pack is laid out in a box such that its operands are reached by formulas (see shapes.py):

* a sum of products is an edge between the tuple of its left factors and the tuple of its right factors; the edges of a
  pack form complete bipartite groups, and such a group **is** a matrix product: every row with every column;
* an elementwise operation takes over the box of an operand, a reduction what is left of the box when an axis is gone;
* whatever has no such order is laid out as a list, and what cannot be reached by a formula is copied together first.

Boxes may have holes (attention that looks only back fills half of a square). Holes hold anything, except where a
reduction reads them: there they must be 0, −∞ or ∞, and a ``fill`` sees to it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .. import ops
from ..errors import TinygradEduError
from .ir import Access, Array, Instruction, Operand, identity
from .normalise import SUM, Node, Normal
from .record import CALL, PARAMETER, PICK, RANDOM, Body
from .shapes import IntArray, fit, inherit, longest, nest, pairs

_MAX_AXES = 12
_INPUT_KINDS = {"input": "input", "index": "index"}


class Block:
    """A body as arrays and instructions. Ports come first among the arrays, then parameters, then constants.

    ``array`` and ``at`` say for every recorded node in which array it is and at which index.
    """

    def __init__(self, normal: Normal, blocks: dict[int, Block], lines: list[str]) -> None:
        body = normal.body
        self.normal, self.body, self.blocks, self.lines = normal, body, blocks, lines
        self.arrays: list[Array] = []
        self.instructions: list[Instruction] = []
        self.array = np.full(len(body.ops), -1, np.int64)
        self.at = np.zeros((len(body.ops), _MAX_AXES), np.int64)
        self.operations = normal.operations
        for port in body.ports:
            self._settle(port.nodes, self._new(Array(port.shape, _INPUT_KINDS[port.kind])), _grid(port.shape))
        parameters = body.trace.parameters
        if body.parent is None:  # the function itself: its parameters lie as in the flat array
            self.slot_starts = np.array([parameters.start(t) for t in body.slots])
            size = len(parameters)
        else:
            self.slot_starts = np.cumsum([0] + [parameters.size(t) for t in body.slots])
            size = int(self.slot_starts[-1])
        self.boundaries = np.unique(self.slot_starts)
        self.parameter = self._new(Array((size,), "parameter", label="params"))
        constants = list(normal.constants.items())
        self.constant = self._new(Array((len(constants),), "constant", data=np.array([c for _, c in constants], float)))
        self._settle([i for i, _ in constants], self.constant, _grid((len(constants),)))
        randoms: dict[tuple[float, float], list[int]] = {}
        for i, op in enumerate(body.ops):
            if op is PARAMETER:
                slot, place = body.args[i]
                self.array[i] = self.parameter
                self.at[i, 0] = self.slot_starts[slot] + place
            elif op is RANDOM:
                randoms.setdefault(body.args[i], []).append(i)
        for detail, members in randoms.items():
            self._settle(members, self._new(Array((len(members),), "random", data=detail)), _grid((len(members),)))
        self._packs()

    # --- bookkeeping ---------------------------------------------------------------------------------------------

    def _new(self, array: Array) -> int:
        self.arrays.append(array)
        return len(self.arrays) - 1

    def _settle(self, nodes: Sequence[int] | IntArray, array: int, places: IntArray) -> None:
        """These nodes are at these places of an array."""
        ids = np.asarray(nodes, np.int64)
        self.array[ids] = array
        self.at[ids, : places.shape[1]] = places
        self.at[ids, places.shape[1] :] = 0

    def _places(self, array: int, ids: IntArray) -> IntArray:
        return self.at[ids, : len(self.arrays[array].shape)]

    def _emit(self, op: str, loops: tuple[int, ...], out: Access, inputs: tuple[Operand, ...], **more: Any) -> None:
        self.instructions.append(Instruction(op, loops, out, inputs, **more))

    # --- packs ---------------------------------------------------------------------------------------------------

    def _packs(self) -> None:
        levels: dict[int, list[Node]] = {}
        for node in self.normal.nodes:
            levels.setdefault(node.level, []).append(node)
        for level in sorted(levels):
            packs: dict[Any, list[Node]] = {}
            for node in levels[level]:
                packs.setdefault(self._pack_key(node), []).append(node)
            for pack in packs.values():
                pack.sort(key=lambda node: node.result)  # the order in which the function computed them
                op = pack[0].op
                if op is CALL:
                    self._call_pack(pack)
                elif op is SUM:
                    self._sum_pack(pack)
                elif op is PICK:
                    self._pick_pack(pack)
                elif op is ops.MAXIMUM or op is ops.MINIMUM:
                    self._extreme_pack(pack)
                else:
                    self._elementwise_pack(pack)

    def _pack_key(self, node: Node) -> Any:
        of = self.array
        if node.op is CALL:
            call = self.body.calls[node.detail]
            ports = (np.asarray([self._alias(x) for x in port], np.int64) for port in call.inputs)
            return (CALL, id(call.body), tuple(tuple(np.unique(of[ids]).tolist()) for ids in ports))
        if node.op is PICK:
            return (PICK, int(of[node.args[0]]), len(node.detail), int(of[node.detail[0]]))
        if node.op is SUM:
            # A product is written in the order of the arrays, so that x·w and w·x look the same.
            node.products = [(a, b) if of[a] <= of[b] else (b, a) for a, b in node.products]
            return (
                SUM,
                _runs((int(of[a]), int(of[b])) for a, b in node.products),
                _runs(int(of[x]) for x in node.args),
            )
        if node.op is ops.MAXIMUM or node.op is ops.MINIMUM:
            arrays = _runs(int(of[x]) for x in node.args)
            return (node.op, arrays, len(arrays) == len(node.args) == 2)
        return (node.op, tuple(int(of[x]) for x in node.args))

    def _alias(self, i: int) -> int:
        return self._aliases[i]

    @property
    def _aliases(self) -> list[int]:
        return self.normal.alias

    def _finish(self, pack: list[Node], box: tuple[IntArray, tuple[int, ...]], hole: float | None = None) -> int:
        """Make the array for a pack that is laid out in ``box``."""
        places, shape = box
        mask = None
        if len(pack) < math.prod(shape):
            mask = np.zeros(shape, bool)
            mask[tuple(places.T)] = True
        out = self._new(Array(shape, mask=mask, hole=hole if mask is not None else None))
        self._settle([node.result for node in pack], out, places)
        return out

    def _credit(self, pack: list[Node]) -> dict[str, Any]:
        return {"nodes": sum(node.nodes for node in pack), "line": self.lines[pack[0].site]}

    # --- operands ---------------------------------------------------------------------------------------------------

    def operand(self, grid: IntArray, pad: float | None = None) -> Operand:
        """How to reach the nodes in ``grid``, whose shape is that of the loops; −1 is a hole.

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
            found = fit(points, self._places(array, ids))
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
        """Whether these points of the loops can be made to read ``pad``; fills the holes of the array if need be."""
        array = self.arrays[access.array]
        if array.mask is None:
            return False
        places = _reached(access, points)
        if array.mask[tuple(places.T)].any():
            return False
        if array.hole != pad:
            filled = self._new(replace(array, hole=pad))
            loops = array.shape
            self._emit(
                "fill", loops, identity(filled, loops), (identity(access.array, loops),), mask=array.mask, value=pad
            )
            self.array[self.array == access.array] = filled
        return True

    def _assemble(self, grid: IntArray, real: Any, pad: float | None) -> Access:
        """Copy nodes from wherever they are into an array of the shape of ``grid``."""
        ids = grid[real]
        if (self.array[ids] == self.constant).all():
            data = np.full(grid.shape, 0.0 if pad is None else pad)
            data[real] = [self.normal.constants[int(i)] for i in ids]
            return identity(self._new(Array(grid.shape, "constant", data=data)), grid.shape)
        whole = len(ids) == grid.size
        out = self._new(Array(grid.shape, mask=None if whole else real, hole=None if whole else pad))
        here = identity(out, grid.shape)
        if not whole:
            self._emit("copy", grid.shape, here, (0.0 if pad is None else pad,))
        points = np.argwhere(real)
        for array in dict.fromkeys(self.array[ids].tolist()):
            chosen = self.array[ids] == array
            to, source = points[chosen], self._places(array, ids[chosen])
            low = source.min(axis=0)
            loops = tuple(int(n) for n in source.max(axis=0) - low + 1)
            embedded = fit(source - low, to) if math.prod(loops) == len(np.unique(source, axis=0)) == len(to) else None
            if embedded is not None:
                target = Access(out, tuple(map(int, embedded[0])), tuple(tuple(map(int, r)) for r in embedded[1]))
                start = Access(array, tuple(map(int, low)), identity(array, loops).steps)
                self._emit("copy", loops, target, (start,))
            else:
                loops = (len(to),)
                none_to, none_from = ((0,),) * to.shape[1], ((0,),) * source.shape[1]
                target = Access(out, (0,) * to.shape[1], none_to, to)
                self._emit("copy", loops, target, (Access(array, (0,) * source.shape[1], none_from, source),))
        return here

    # --- elementwise -------------------------------------------------------------------------------------------------

    def _layout(self, slots: list[IntArray]) -> tuple[IntArray, tuple[int, ...]]:
        """The box for a pack whose members have one operand in each slot."""
        n = len(slots[0])
        if n == 1:
            return np.zeros((1, 0), np.int64), ()
        places = [
            self._places(int(self.array[ids[0]]), ids)
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

    def _elementwise_pack(self, pack: list[Node]) -> None:
        slots = [np.array([node.args[s] for node in pack], np.int64) for s in range(len(pack[0].args))]
        box = self._layout(slots)
        inputs = tuple(self.operand(_on_grid(ids, box)) for ids in slots)
        op = pack[0].op
        assert isinstance(op, ops.Op)
        out = self._finish(pack, box, self._hole(op, inputs, box))
        self._emit(op.name, box[1], identity(out, box[1]), inputs, **self._credit(pack))

    def _hole(self, op: ops.Op, inputs: Sequence[Operand], box: tuple[IntArray, tuple[int, ...]]) -> float | None:
        """What an elementwise operation leaves in the holes of its box, if that is known."""
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
            at = _reached(x, holes)
            is_hole = array.mask is not None and not array.mask[tuple(at.T)].any()
            known.append(array.hole if is_hole else None)
        if None not in known:
            try:
                result = op.forward(*known)
            except (TinygradEduError, ValueError, OverflowError):
                return None
            return None if math.isnan(result) else result
        # One operand is a real number that nobody knows yet, but that is finite.
        if op is ops.MUL and 0.0 in known:
            return 0.0
        if op is ops.DIV and known[0] == 0.0:
            return 0.0
        if op in (ops.SUB, ops.ADD) and known[0] is not None and math.isinf(known[0]):
            return known[0]
        return None

    # --- sums --------------------------------------------------------------------------------------------------------

    def _sum_pack(self, pack: list[Node]) -> None:
        products = _segments(
            [node.products for node in pack], lambda pair: (int(self.array[pair[0]]), int(self.array[pair[1]]))
        )
        plain = _segments([list(node.args) for node in pack], lambda x: int(self.array[x]))
        if len(plain) > 4:  # terms from everywhere: copied together first
            plain = [[list(node.args) for node in pack]]
        long_products = [s for s in products if max(map(len, s)) > 1]
        long_plain = [s for s in plain if max(map(len, s)) > 1]
        main: Any = None
        if long_products:
            main = max(long_products, key=lambda s: sum(map(len, s)))
            found = self._pair_up(main)
            if found is None and self._split_by_tensor(pack):
                return
            box, grids = found if found is not None else (self._layout_first(main), None)
        elif long_plain:
            main = max(long_plain, key=lambda s: sum(map(len, s)))
            box, grids = self._layout_first(main), None
        else:
            singles = [np.array([t[0] for t in s], np.int64) for s in plain]
            singles += [np.array([t[0][side] for t in s], np.int64) for s in products for side in (0, 1)]
            box, grids = self._layout(singles), None
        out_later: list[tuple[str, tuple[int, ...], tuple[Operand, ...], int]] = []
        for segment in sorted(products, key=lambda s: s is not main):
            count = sum(map(len, segment))
            if segment is main and grids is not None:
                left, right, loops = grids
                a, b = self.operand(left[0], pad=0.0), self.operand(right[0], pad=0.0)
                if self._copies_tensors((a, b)) and self._split_by_tensor(pack):
                    return
                out_later.append(
                    ("mul", loops, (_spread(a, left[1], len(loops)), _spread(b, right[1], len(loops))), count)
                )
            else:
                grid_a = _term_grid([[p[0] for p in t] for t in segment], box)
                grid_b = _term_grid([[p[1] for p in t] for t in segment], box)
                ragged = (grid_a < 0).any() and grid_a.ndim > len(box[1])
                a, b = self.operand(grid_a, pad=0.0 if ragged else None), self.operand(grid_b)
                out_later.append(("mul", grid_a.shape, (a, b), count))
        singles_left: list[Operand] = []
        for segment in sorted(plain, key=lambda s: s is not main):
            grid = _term_grid(segment, box)
            if grid.ndim == len(box[1]):
                singles_left.append(self.operand(grid))
            else:
                out_later.append(("copy", grid.shape, (self.operand(grid, pad=0.0),), 0))
        if not out_later and len(singles_left) > 1:
            out_later.append(("add", box[1], (singles_left.pop(0), singles_left.pop(0)), 0))
        out_later += [("copy", box[1], (x,), 0) for x in singles_left]
        hole = None
        if len(out_later) == 1 and out_later[0][1] == box[1]:
            op, _, inputs, _ = out_later[0]
            hole = self._hole(ops.by_name(op), inputs, box) if op != "copy" else None
        out = self._finish(pack, box, hole)
        credit = self._credit(pack)
        for number, (op, loops, inputs, count) in enumerate(out_later):
            target = _spread(identity(out, box[1]), tuple(range(len(box[1]))), len(loops))
            assert isinstance(target, Access)
            self._emit(op, loops, target, inputs, accumulate=number > 0, products=count, **credit)
            credit["nodes"] = 0

    def _layout_first(self, segment: list[list[Any]]) -> tuple[IntArray, tuple[int, ...]]:
        """The box for a pack of reductions: where their first terms are."""
        if isinstance(segment[0][0], tuple):
            return self._layout([np.array([t[0][side] for t in segment], np.int64) for side in (0, 1)])
        return self._layout([np.array([t[0] for t in segment], np.int64)])

    def _pair_up(self, segment: list[list[tuple[int, int]]]) -> Any:
        """A pack of dot products as matrix products: its box, and the nodes of the left and of the right side."""
        lefts = [tuple([p[0] for p in terms]) for terms in segment]
        rights = [tuple([p[1] for p in terms]) for terms in segment]
        lengths = [len(t) for t in lefts]
        choices = [(lefts, rights)]
        if min(lengths) != max(lengths):
            # Tuples that grow (all values so far) are read as the longest one of them; the other side is 0 beyond its
            # end.
            choices += [(lefts, longest(rights)), (rights, longest(lefts))]
            choices.sort(key=lambda sides: sum(len(set(side)) for side in sides))
        for short, long_ in choices:
            found = pairs(short, long_)
            if found is None:
                continue
            places, (groups, n_left, n_right) = found
            depth = max(map(len, long_))
            grid_short = np.full((groups, n_left, depth), -1, np.int64)
            grid_long = np.full((groups, n_right, depth), -1, np.int64)
            for (g, i, j), s, t in zip(places.tolist(), short, long_, strict=True):
                grid_short[g, i, : len(s)] = s
                grid_long[g, j, : len(t)] = t
            kept = [axis for axis, n in enumerate((groups, n_left, n_right)) if n > 1]
            shape = tuple((groups, n_left, n_right)[axis] for axis in kept)
            loops = (*shape, depth)
            k = len(shape)
            sides = []
            for grid, own in ((grid_short, (0, 1)), (grid_long, (0, 2))):
                axes = [axis for axis in own if axis in kept]
                grid = grid.reshape([(groups, n_left, n_right)[axis] for axis in axes] + [depth])
                sides.append((grid, (*[kept.index(axis) for axis in axes], k)))
            return (places[:, kept], shape), (sides[0], sides[1], loops)
        return None

    def _split_by_tensor(self, pack: list[Node]) -> bool:
        """When one pack mixes tensors that lie in no common order, make one pack for each instead."""
        parts: dict[Any, list[Node]] = {}
        for node in pack:
            first = node.products[0]
            owner = [
                int(np.searchsorted(self.boundaries, self.at[x, 0], side="right"))
                for x in first
                if self.array[x] == self.parameter
            ]
            parts.setdefault(tuple(owner), []).append(node)
        if len(parts) < 2:
            return False
        for part in parts.values():
            self._sum_pack(part)
        return True

    def _copies_tensors(self, operands: Iterable[Operand]) -> bool:
        """Whether parameters would have to be copied together at every run."""
        fresh = {it.out.array for it in self.instructions if any(x.array == self.parameter for x in it.reads())}
        return any(
            isinstance(x, Access)
            and x.array in fresh
            and self.arrays[x.array].kind == "value"
            and not self._owned(x.array)
            for x in operands
        )

    def _owned(self, array: int) -> bool:
        return bool((self.array == array).any())

    # --- picks, extremes ---------------------------------------------------------------------------------------------

    def _pick_pack(self, pack: list[Node]) -> None:
        box = pairs([node.args[0] for node in pack], [node.detail for node in pack])
        places, (groups, n_left, n_right) = box if box is not None else pairs_one_by_one(len(pack))
        depth = len(pack[0].detail)
        index = np.full((groups, n_left), -1, np.int64)
        table = np.full((groups, n_right, depth), -1, np.int64)
        for (g, i, j), node in zip(places.tolist(), pack, strict=True):
            index[g, i] = node.args[0]
            table[g, j] = node.detail
        sizes = (groups, n_left, n_right)
        kept = [axis for axis, n in enumerate(sizes) if n > 1]
        shape = tuple(sizes[axis] for axis in kept)
        loops = (*shape, depth)
        index_axes = [axis for axis in kept if axis != 2]
        table_axes = [axis for axis in kept if axis != 1]
        index_operand = self.operand(index.reshape([sizes[a] for a in index_axes]))
        table_operand = self.operand(table.reshape([sizes[a] for a in table_axes] + [depth]))
        inputs = (
            _spread(index_operand, tuple(kept.index(a) for a in index_axes), len(loops)),
            _spread(table_operand, (*[kept.index(a) for a in table_axes], len(shape)), len(loops)),
        )
        out = self._finish(pack, (places[:, kept], shape))
        target = _spread(identity(out, shape), tuple(range(len(shape))), len(loops))
        assert isinstance(target, Access)
        self._emit("select", loops, target, inputs, axis=len(shape), **self._credit(pack))

    def _extreme_pack(self, pack: list[Node]) -> None:
        op = pack[0].op
        assert isinstance(op, ops.Op)
        segments = _segments([list(node.args) for node in pack], lambda x: int(self.array[x]))
        if len(segments) == len(pack[0].args) == 2:
            self._elementwise_pack(pack)
            return
        terms = [list(node.args) for node in pack]
        box = self._layout_first(terms)
        grid = _term_grid(terms, box)
        largest = op is ops.MAXIMUM
        if grid.ndim == len(box[1]):
            grid = grid[..., None]
        source = self.operand(grid, pad=-math.inf if largest else math.inf)
        out = self._finish(pack, box)
        target = _spread(identity(out, box[1]), tuple(range(len(box[1]))), grid.ndim)
        assert isinstance(target, Access)
        reduce = "max" if largest else "min"
        self._emit("copy", grid.shape, target, (source,), reduce=reduce, **self._credit(pack))

    # --- calls -------------------------------------------------------------------------------------------------------

    def _call_pack(self, pack: list[Node]) -> None:
        from .inline import inline_calls

        inline_calls(self, [self.body.calls[node.detail] for node in pack])


# --- small helpers -------------------------------------------------------------------------------------------------


def pairs_one_by_one(n: int) -> tuple[IntArray, tuple[int, int, int]]:
    """The box for pairs without any order: one group for each."""
    places = np.zeros((n, 3), np.int64)
    places[:, 0] = np.arange(n)
    return places, (n, 1, 1)


def _reached(x: Access, points: IntArray) -> IntArray:
    """The indices that an access finds at some points of its loops."""
    steps = np.array(x.steps, np.int64).reshape(len(x.offset), points.shape[1])
    return points @ steps.T + np.array(x.offset, np.int64)


def _grid(shape: tuple[int, ...]) -> IntArray:
    return np.indices(shape, dtype=np.int64).reshape(len(shape), -1).T if shape else np.zeros((1, 0), np.int64)


def _runs(keys: Iterable[Any]) -> tuple[Any, ...]:
    """The keys without immediate repetitions."""
    found: list[Any] = []
    for key in keys:
        if not found or found[-1] != key:
            found.append(key)
    return tuple(found)


def _segments(members: list[list[Any]], key: Any) -> list[list[list[Any]]]:
    """The terms of every member cut where the array changes: one list of terms per segment and member."""
    if not members[0]:
        return []
    cut: list[list[list[Any]]] = []
    for terms in members:
        own: list[list[Any]] = []
        before: Any = None
        for term in terms:
            k = key(term)
            if not own or k != before:
                own.append([])
                before = k
            own[-1].append(term)
        cut.append(own)
    return [[own[s] for own in cut] for s in range(len(cut[0]))]


def _on_grid(ids: IntArray, box: tuple[IntArray, tuple[int, ...]]) -> IntArray:
    """The members' nodes at the members' places; −1 in the holes."""
    places, shape = box
    grid = np.full(shape, -1, np.int64)
    grid[tuple(places.T)] = ids if shape else ids[0]
    return grid


def _term_grid(terms: list[list[int]], box: tuple[IntArray, tuple[int, ...]]) -> IntArray:
    """The members' terms, along one more axis than the box has, unless every member has just one."""
    longest_one = max(map(len, terms))
    if longest_one == 1:
        return _on_grid(np.array([t[0] for t in terms], np.int64), box)
    rows = np.full((len(terms), longest_one), -1, np.int64)
    for row, t in zip(rows, terms, strict=True):
        row[: len(t)] = t
    places, shape = box
    grid = np.full((*shape, longest_one), -1, np.int64)
    grid[tuple(places.T)] = rows if shape else rows[0]
    return grid


def _spread(x: Operand, loops: tuple[int, ...], count: int) -> Operand:
    """An access over some loops as an access over all ``count`` loops."""
    if not isinstance(x, Access):
        return x
    steps = tuple(tuple(row[loops.index(loop)] if loop in loops else 0 for loop in range(count)) for row in x.steps)
    return Access(x.array, x.offset, steps)


def vectorise(normals: list[Normal], lines: list[str]) -> Block:
    """All bodies, inner ones first; the last is the function itself."""
    blocks: dict[int, Block] = {}
    for normal in normals:
        block = blocks[id(normal.body)] = Block(normal, blocks, lines)
    return block


__all__ = ["Block", "Body", "vectorise"]
