"""From scalar nodes to array instructions: packs.

Nodes of one level that do the same with operands from the same arrays form a *pack*: one instruction. The hard part is
the order. Every pack is arranged in a box such that its operands are reached by formulas (see affine.py):

* a sum of products is an edge between the tuple of its left factors and the tuple of its right factors; the edges of a
  pack form complete bipartite groups, and such a group **is** a matrix product: every row with every column;
* an elementwise operation takes over the box of an operand, a reduction the rest of the box without an axis;
* anything without such an order becomes a list, and what cannot be reached by a formula is first copied together.

Boxes may have holes (attention that looks only back fills half of a square). Holes hold anything, except where a
reduction reads them: there they must be 0, −∞ or ∞, which a ``fill`` ensures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, groupby
from operator import attrgetter, itemgetter
from typing import Any

import numpy as np

from ... import ops
from ..frontend.simplify import SUM, Node, Normal, Row
from ..frontend.tracers import CALL, PICK
from ..program.ir import Access, Array, Operand, identity
from .affine import IntArray, longest, pairs
from .inline import inline_calls
from .placement import Placement, on_grid, spread, term_grid


class _Packing:
    """Fill a block, the placement of a body, with the instructions of its packs; ``blocks`` has the inner ones."""

    def __init__(self, block: Placement, blocks: dict[int, Placement]) -> None:
        self.block, self.blocks = block, blocks
        self.body, self.normal = block.body, block.normal
        levels: dict[int, list[Node]] = {}
        for node in self.normal.nodes:
            levels.setdefault(node.level, []).append(node)
        for level in sorted(levels):
            packs: dict[Any, list[Node]] = {}
            # Python reads its own lists far faster, but copying everything does not pay off for a few nodes.
            size = len(self.block.array)
            few = 8 * len(levels[level]) < size and 8 * sum(map(self._reads, levels[level])) < size
            of: Any = self.block.array if few else self.block.array.tolist()
            for node in levels[level]:
                packs.setdefault(self._pack_key(node, of), []).append(node)
            for pack in packs.values():
                pack.sort(key=attrgetter("result"))  # the order in which the function computed them
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

    def _reads(self, node: Node) -> int:
        """Estimate how many other nodes :meth:`_pack_key` visits."""
        if node.op is CALL:
            return sum(map(len, self.body.calls[node.detail].inputs))
        return len(node.args) + 2 * len(node.left)

    def _pack_key(self, node: Node, of: Sequence[int]) -> Any:
        """Return what the nodes of a pack have in common; ``of`` is the array of every recorded node."""
        op, args = node.op, node.args
        if op is SUM:
            left, right = node.left, node.right
            if not left:
                return (SUM, (), _runs([of[x] for x in args]))
            one, two = {of[x] for x in left}, {of[x] for x in right}
            if len(one) == 1 == len(two):
                pair = one.pop(), two.pop()
                # A product is written in the order of the arrays, so that x·w and w·x look the same.
                if pair[0] > pair[1]:
                    node.left, node.right, pair = right, left, pair[::-1]
                return (SUM, (pair,), _runs([of[x] for x in args]) if args else ())
            pairs = [(x, y) if of[x] <= of[y] else (y, x) for x, y in zip(left, right, strict=True)]
            node.left, node.right = zip(*pairs, strict=True)
            return (SUM, _runs([(of[x], of[y]) for x, y in pairs]), _runs([of[x] for x in args]) if args else ())
        if op is CALL:
            call = self.body.calls[node.detail]
            alias = self.normal.alias
            return (CALL, id(call.body), tuple(tuple(sorted({of[alias[x]] for x in port})) for port in call.inputs))
        if op is PICK:
            return (PICK, of[args[0]], len(node.detail), of[node.detail[0]])
        if op is ops.MAXIMUM or op is ops.MINIMUM:
            runs = _runs([of[x] for x in args])
            return (op, runs, len(runs) == len(args) == 2)
        return (op, tuple([of[x] for x in args]))

    def _arrays(self, nodes: Sequence[Any]) -> list[Any]:
        """Return the array of each node, or the pair of arrays of each pair of nodes."""
        if not nodes:
            return []
        arrays = self.block.array[np.array(nodes, np.int64)].tolist()
        return list(map(tuple, arrays)) if isinstance(arrays[0], list) else arrays

    def _finish(self, pack: list[Node], box: tuple[IntArray, tuple[int, ...]], hole: float | None = None) -> int:
        """Make the array for a pack arranged in ``box``."""
        places, shape = box
        mask = None
        if len(pack) < math.prod(shape):
            mask = np.zeros(shape, bool)
            mask[tuple(places.T)] = True
        out = self.block.new(Array(shape, mask=mask, hole=hole if mask is not None else None))
        self.block.settle([node.result for node in pack], out, places)
        return out

    def _credit(self, pack: list[Node]) -> dict[str, Any]:
        return {"nodes": sum(node.nodes for node in pack), "line": self.block.lines[pack[0].site]}

    # --- elementwise -------------------------------------------------------------------------------------------------

    def _elementwise_pack(self, pack: list[Node]) -> None:
        slots = [np.array([node.args[s] for node in pack], np.int64) for s in range(len(pack[0].args))]
        box = self.block.layout(slots)
        inputs = tuple(self.block.operand(on_grid(ids, box)) for ids in slots)
        op = pack[0].op
        assert isinstance(op, ops.Op)
        out = self._finish(pack, box, self.block.hole_value(op, inputs, box))
        self.block.emit(op.name, box[1], identity(out, box[1]), inputs, **self._credit(pack))

    # --- sums --------------------------------------------------------------------------------------------------------

    def _sum_pack(self, pack: list[Node]) -> None:
        products = self._factors(pack)
        plain = _segments([list(node.args) for node in pack], self._arrays)
        if len(plain) > 4:  # terms from everywhere: copied together first
            plain = [[list(node.args) for node in pack]]
        long_products = [s for s in products if max(map(len, s[0])) > 1]
        long_plain = [s for s in plain if max(map(len, s)) > 1]
        main: Any = None
        if long_products:
            main = max(long_products, key=lambda s: sum(map(len, s[0])))
            found = self._pair_up(*main)
            if found is None and self._split_by_tensor(pack):
                return
            box, grids = found if found is not None else (self.block.layout([*map(_first, main)]), None)
        elif long_plain:
            main = max(long_plain, key=lambda s: sum(map(len, s)))
            box, grids = self.block.layout([_first(main)]), None
        else:
            box, grids = self.block.layout([*map(_first, [*plain, *chain.from_iterable(products)])]), None
        out_later: list[tuple[str, tuple[int, ...], tuple[Operand, ...], int]] = []
        for segment in sorted(products, key=lambda s: s is not main):
            count = sum(map(len, segment[0]))
            if segment is main and grids is not None:
                left, right, loops = grids
                a, b = self.block.operand(left[0], pad=0.0), self.block.operand(right[0], pad=0.0)
                if self._copies_tensors((a, b)) and self._split_by_tensor(pack):
                    return
                out_later.append(
                    ("mul", loops, (spread(a, left[1], len(loops)), spread(b, right[1], len(loops))), count)
                )
            else:
                grid_a, grid_b = term_grid(segment[0], box), term_grid(segment[1], box)
                ragged = (grid_a < 0).any() and grid_a.ndim > len(box[1])
                a, b = self.block.operand(grid_a, pad=0.0 if ragged else None), self.block.operand(grid_b)
                out_later.append(("mul", grid_a.shape, (a, b), count))
        singles_left: list[Operand] = []
        for terms in sorted(plain, key=lambda s: s is not main):
            grid = term_grid(terms, box)
            if grid.ndim == len(box[1]):
                singles_left.append(self.block.operand(grid))
            else:
                out_later.append(("copy", grid.shape, (self.block.operand(grid, pad=0.0),), 0))
        if not out_later and len(singles_left) > 1:
            out_later.append(("add", box[1], (singles_left.pop(0), singles_left.pop(0)), 0))
        out_later += [("copy", box[1], (x,), 0) for x in singles_left]
        hole = None
        if len(out_later) == 1 and out_later[0][1] == box[1]:
            op, _, inputs, _ = out_later[0]
            hole = self.block.hole_value(ops.by_name(op), inputs, box) if op != "copy" else None
        out = self._finish(pack, box, hole)
        credit = self._credit(pack)
        for number, (op, loops, inputs, count) in enumerate(out_later):
            target = spread(identity(out, box[1]), tuple(range(len(box[1]))), len(loops))
            assert isinstance(target, Access)
            self.block.emit(op, loops, target, inputs, accumulate=number > 0, products=count, **credit)
            credit["nodes"] = 0

    def _factors(self, pack: list[Node]) -> list[tuple[Sequence[Row], Sequence[Row]]]:
        """Cut the products of every member where the arrays change: the left and the right factors of each segment."""
        if not pack[0].left:
            return []
        if len(_runs(self._arrays([*zip(pack[0].left, pack[0].right, strict=True)]))) == 1:  # nearly always
            return [([node.left for node in pack], [node.right for node in pack])]
        cut = _segments([[*zip(node.left, node.right, strict=True)] for node in pack], self._arrays)
        return [tuple(zip(*[zip(*terms, strict=True) for terms in segment], strict=True)) for segment in cut]

    def _pair_up(self, lefts: Sequence[Row], rights: Sequence[Row]) -> Any:
        """Arrange a pack of dot products as matrix products: its box, and the nodes of the left and of the right
        side."""
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
            places, sizes = found
            depth = max(map(len, long_))
            kept = [axis for axis, n in enumerate(sizes) if n > 1]
            shape = tuple(sizes[axis] for axis in kept)
            loops = (*shape, depth)
            sides = []
            for terms, own in ((short, [0, 1]), (long_, [0, 2])):
                grid = np.full((*[sizes[axis] for axis in own], depth), -1, np.int64)
                # Each once, although each meets many of the other side.
                for place, term in dict(zip(map(tuple, places[:, own].tolist()), terms, strict=True)).items():
                    grid[place][: len(term)] = term
                axes = [axis for axis in own if axis in kept]
                grid = grid.reshape([sizes[axis] for axis in axes] + [depth])
                sides.append((grid, (*[kept.index(axis) for axis in axes], len(shape))))
            return (places[:, kept], shape), (sides[0], sides[1], loops)
        return None

    def _split_by_tensor(self, pack: list[Node]) -> bool:
        """If a pack mixes tensors without a common order, make one pack for each instead."""
        parts: dict[Any, list[Node]] = {}
        for node in pack:
            first = node.left[0], node.right[0]
            owner = [
                int(np.searchsorted(self.block.boundaries, self.block.at[x, 0], side="right"))
                for x in first
                if self.block.array[x] == self.block.parameter
            ]
            parts.setdefault(tuple(owner), []).append(node)
        if len(parts) < 2:
            return False
        for part in parts.values():
            self._sum_pack(part)
        return True

    def _copies_tensors(self, operands: Iterable[Operand]) -> bool:
        """Return whether parameters would have to be copied together at every run."""
        fresh = {
            it.out.array for it in self.block.instructions if any(x.array == self.block.parameter for x in it.reads())
        }
        return any(
            isinstance(x, Access)
            and x.array in fresh
            and self.block.arrays[x.array].kind == "value"
            and not self._owned(x.array)
            for x in operands
        )

    def _owned(self, array: int) -> bool:
        return bool((self.block.array == array).any())

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
        index_operand = self.block.operand(index.reshape([sizes[a] for a in index_axes]))
        table_operand = self.block.operand(table.reshape([sizes[a] for a in table_axes] + [depth]))
        inputs = (
            spread(index_operand, tuple(kept.index(a) for a in index_axes), len(loops)),
            spread(table_operand, (*[kept.index(a) for a in table_axes], len(shape)), len(loops)),
        )
        out = self._finish(pack, (places[:, kept], shape))
        target = spread(identity(out, shape), tuple(range(len(shape))), len(loops))
        assert isinstance(target, Access)
        self.block.emit("select", loops, target, inputs, axis=len(shape), **self._credit(pack))

    def _extreme_pack(self, pack: list[Node]) -> None:
        op = pack[0].op
        assert isinstance(op, ops.Op)
        segments = _segments([list(node.args) for node in pack], self._arrays)
        if len(segments) == len(pack[0].args) == 2:
            self._elementwise_pack(pack)
            return
        terms = [list(node.args) for node in pack]
        box = self.block.layout([_first(terms)])
        grid = term_grid(terms, box)
        largest = op is ops.MAXIMUM
        if grid.ndim == len(box[1]):
            grid = grid[..., None]
        source = self.block.operand(grid, pad=-math.inf if largest else math.inf)
        out = self._finish(pack, box)
        target = spread(identity(out, box[1]), tuple(range(len(box[1]))), grid.ndim)
        assert isinstance(target, Access)
        reduce = "max" if largest else "min"
        self.block.emit("copy", grid.shape, target, (source,), reduce=reduce, **self._credit(pack))

    # --- calls -------------------------------------------------------------------------------------------------------

    def _call_pack(self, pack: list[Node]) -> None:
        calls = [self.body.calls[node.detail] for node in pack]
        inline_calls(self.block, self.blocks[id(calls[0].body)], calls)


def pairs_one_by_one(n: int) -> tuple[IntArray, tuple[int, int, int]]:
    """Make the box for pairs without any order: one group for each."""
    places = np.zeros((n, 3), np.int64)
    places[:, 0] = np.arange(n)
    return places, (n, 1, 1)


def _first(terms: Sequence[Sequence[int]]) -> IntArray:
    return np.array([t[0] for t in terms], np.int64)


def _runs(keys: list[Any]) -> tuple[Any, ...]:
    """Return the keys without immediate repetitions."""
    if len(keys) < 3:
        return tuple(keys[1:] if len(keys) == 2 and keys[0] == keys[1] else keys)
    return tuple(map(itemgetter(0), groupby(keys)))


def _segments(members: list[list[Any]], arrays: Callable[[list[Any]], list[Any]]) -> list[list[list[Any]]]:
    """Cut the terms of every member where the array changes: one list of terms per segment and member.

    The members of a pack change arrays alike, if at different terms.
    """
    if len(_runs(arrays(members[0]))) < 2:
        return [members] if members[0] else []
    cut: list[list[list[Any]]] = []
    of_all = iter(arrays(list(chain.from_iterable(members))))
    for terms in members:
        runs = groupby(zip(terms, of_all, strict=False), key=itemgetter(1))
        cut.append([[term for term, _ in run] for _, run in runs])
    return [list(segment) for segment in zip(*cut, strict=True)]


def vectorize(normals: Iterable[Normal], lines: list[str]) -> Placement:
    """Return the last of these bodies, the function itself, as arrays and instructions; inner ones come first.

    The records of all bodies are taken apart: only one is there as nodes, besides the others' arrays.
    """
    blocks: dict[int, Placement] = {}
    for normal in normals:
        block = blocks[id(normal.body)] = Placement(normal, lines)
        _Packing(block, blocks)
        normal.free()
    return block
