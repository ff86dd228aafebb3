"""Choose the order of the axes of every array in memory.

The meaning of a program does not depend on it, the speed does. numpy is fast if long rows of neighboring numbers
undergo the same operation, and BLAS needs matrices whose rows or columns are contiguous. Four rules give that shape,
from the program alone:

* an axis that some reduction sums away (features in a norm, the keys in a softmax) is outermost: then the reduction
  adds up whole rows;
* an axis that is only carried along in matrix products (the positions of a sequence) is innermost, even if something
  sums it away, too (the gradient of what all positions share), as long as more products carry it than the two of an
  attention, which carry its keys;
* an axis over which products are merely repeated (the heads) is outside everything, so that one matrix is not scattered
  over all memory;
* the lanes are just outside the innermost axes, whatever remains in between.

Arrays that meet in elementwise operations vote together, so that all of them have the same order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ..program.ir import Access, Instruction, Program

#: Stands for the axis of the lanes in an order of axes.
LANES = -1

#: An axis with more votes than the keys of an attention get from its products is innermost even if it is summed away.
KEYS = 2


@dataclass
class _Votes:
    reduced: bool = False
    carried: int = 0
    batched: bool = False


def orders(program: Program) -> list[tuple[int, ...]]:
    """Return for every array its axes, outermost first; :data:`LANES` among them if the array has lanes."""
    leaders: dict[tuple[int, int], tuple[int, int]] = {}

    def find(key: tuple[int, int]) -> tuple[int, int]:
        while key in leaders:
            leader = leaders[key]
            leaders[key] = key = leaders.get(leader, leader)  # a shorter way for the next one
        return key

    def unite(a: tuple[int, int], b: tuple[int, int]) -> None:
        first, second = sorted((find(a), find(b)))
        if first != second:
            leaders[second] = first

    for number, array in enumerate(program.arrays):
        if array.primal >= 0 and array.kind == "gradient":
            for axis in range(len(array.shape)):
                unite((array.primal, axis), (number, axis))
    votes: dict[tuple[int, int], _Votes] = {}
    for it in program.instructions:
        if not _is_product(it):
            for loop in range(len(it.loops)):
                axes = [(x.array, axis) for x in (it.out, *it.reads()) for axis in _axes(program, x, it.loops, loop)]
                for one, two in pairwise(axes):
                    unite(one, two)
    for it in program.instructions:
        for loop in range(len(it.loops)):
            for x in (it.out, *it.reads()):
                for axis in _axes(program, x, it.loops, loop, exact=False):
                    vote = votes.setdefault(find((x.array, axis)), _Votes())
                    if _is_product(it):
                        vote.carried += _carried(program, it, loop)
                        vote.batched = vote.batched or all(y.uses(loop) for y in (it.out, *it.reads()))
                    elif it.out.table is None and not it.out.uses(loop) and it.op != "select":
                        vote.reduced = vote.reduced or not _sums_lanes(program, it)
    result = []
    for number, array in enumerate(program.arrays):
        if array.kind in ("parameter", "constant") or (array.kind == "gradient" and not array.lanes):
            result.append(tuple(range(len(array.shape))))
            continue

        def place(axis: int, number: int = number) -> tuple[int, int]:
            if axis == LANES:
                return (1, 1)
            vote = votes.get(find((number, axis)), _Votes())
            if vote.carried <= (KEYS if vote.reduced else 0):
                return (0, 0) if vote.reduced else (-1, 0) if vote.batched else (1, 0)
            return (2, vote.carried)

        own = [*range(len(array.shape)), *([LANES] if array.lanes else [])]
        result.append(tuple(sorted(own, key=place)))
    return result


def align_constants(program: Program, found: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Change the orders of constants to that of the array which their first reader computes."""
    result = list(found)
    constants = {number for number, array in enumerate(program.arrays) if array.kind == "constant"}
    for it in program.instructions:
        for x in it.reads():
            if x.array in constants and x.table is None and it.out.table is None:
                constants.remove(x.array)
                order = found[it.out.array]

                def place(axis: int, x: Access = x, it: Instruction = it, order: tuple[int, ...] = order) -> Any:
                    loops = [loop for loop, step in enumerate(x.steps[axis]) if step]
                    ways = [
                        (order.index(a), -row[loop])
                        for loop in loops
                        for a, row in enumerate(it.out.steps)
                        if row[loop]
                    ]
                    return max(ways, default=(-1, 0))

                result[x.array] = tuple(sorted(range(len(program.arrays[x.array].shape)), key=place))
    return result


def _sums_lanes(program: Program, it: Instruction) -> bool:
    """Return whether an instruction sums over the examples, as all gradients of parameters do."""
    return not program.arrays[it.out.array].lanes and any(program.arrays[x.array].lanes for x in it.reads())


def _is_product(it: Instruction) -> bool:
    """Return whether it is a sum of products with loops that only one side has: a matrix product, not just a weighted
    sum."""
    if it.op != "mul" or not it.reduced() or not all(isinstance(x, Access) for x in it.inputs):
        return False
    a, b = it.inputs
    assert isinstance(a, Access)
    assert isinstance(b, Access)
    return any(it.out.uses(loop) and a.uses(loop) != b.uses(loop) for loop in range(len(it.loops)))


def _axes(program: Program, x: Access, loops: tuple[int, ...], loop: int, exact: bool = True) -> list[int]:
    """Return the axes of an array that a loop runs along; if ``exact``, only those it covers completely."""
    if x.table is not None or loops[loop] == 1 or program.arrays[x.array].kind in ("parameter", "constant"):
        return []
    shape = program.arrays[x.array].shape
    return [
        a
        for a, row in enumerate(x.steps)
        if row[loop] and (not exact or (row[loop] == 1 and shape[a] == loops[loop] and sum(map(bool, row)) == 1))
    ]


def _carried(program: Program, it: Instruction, loop: int) -> int:
    """Return how strongly a product favors this loop as innermost."""
    a, b = it.inputs
    assert isinstance(a, Access)
    assert isinstance(b, Access)
    if _sums_lanes(program, it):  # the gradient of a weight matrix: what is summed away is what was carried along
        return -1 if it.out.uses(loop) else 2
    if not it.out.uses(loop):
        return -1  # summed away
    if a.uses(loop) == b.uses(loop):
        return 0  # a batch of products
    side, other = (a, b) if a.uses(loop) else (b, a)
    if not program.arrays[side.array].lanes:
        return -1  # an axis of a weight matrix
    return 1 if program.arrays[other.array].lanes else 2
