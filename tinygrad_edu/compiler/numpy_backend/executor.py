"""The fast backend: a program becomes a list of calls of numpy functions on memory that is laid out beforehand.

For a given batch size every array gets its place in one block of memory (places are used again as soon as nobody needs
the array any more), every access becomes a strided view of it, and every instruction becomes one or a few calls with
``out=``. Running the program is then a loop over these calls that allocates next to nothing.
"""

from __future__ import annotations

import math
import time
from bisect import insort
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Any

import numpy as np

from ..llvm_backend import codegen as machine
from ..program import fusion
from ..program.ir import Access, Instruction, Program
from ..program.rematerialize import rematerialize
from ..runtime import memory
from ..runtime.axis_order import LANES, beside, orders
from ..runtime.dropout_masks import Share, dropout_mask
from ..runtime.views import View
from . import scalars
from .buffers import Buffers, Step
from .lowering import lower

FloatArray = np.ndarray[Any, np.dtype[np.floating[Any]]]

#: For an index that chooses from nothing: larger than any.
NO_LIMIT = np.uint64(np.iinfo(np.uint64).max)


#: So many arrays at most are laid out in memory by comparing their lives one by one.
COMPARED = 512


class Executor:
    """A program for one batch size.

    Args:
        program: with or without a gradient part.
        parameters: the flat array of the parameters; only read.
        gradient: where the gradient goes, for a program that has one.
        batch: the number of lanes.
        share: which examples of a larger batch they are, if there is one: the gradient is then their part of it.
        native: whether groups of instructions run as machine code, where llvmlite is there to make it.
        often: whether it will run so often that machine code is worth while for the smallest groups, too.
        apart: whether every instruction runs alone and writes its numbers down.

    Attributes:
        program: what runs: with copies of some instructions, where that saves time.
        source: as it was given.
        schedule: the instructions in the order in which they run, alone or in groups.
        inputs: where the program reads its inputs, each of shape (batch, …); whoever writes there spares a copy.
    """

    def __init__(
        self,
        program: Program,
        parameters: FloatArray,
        gradient: FloatArray | None,
        batch: int,
        share: Share | None = None,
        native: bool = True,
        often: bool = False,
        apart: bool = False,
    ) -> None:
        self.batch = batch
        self.share = share or Share.whole(batch)
        self.dtype = parameters.dtype
        self.random = np.random.default_rng(0)
        self.orders = orders(program)
        native = native and machine.available() and not apart
        if native:  # numpy would go through a product with a constant in the order of the constant
            self.orders = beside(program, self.orders)
        self.residents = residents(program)
        self._local = memory.empty((1 << 18,), np.uint8)
        self.kept: list[Any] = []  # what the kernels read, beside the arrays
        copied = {number for number, _ in self.residents.values()}
        able = machine.able if native else _never
        self.schedule = fusion.schedule(program, batch, able, copied, often and batch == 1)
        self.source = program
        program, self.schedule, originals = rematerialize(program, self.schedule, batch)
        fusion.hide(program, self.schedule)
        if not apart:
            given = [it.out.array for _, it in self.residents.values()]
            self.schedule = scalars.gather(program, self.schedule, batch, given)
        self.program = program
        self.orders += [self.orders[number] for number in originals]
        self.arrays: list[Any] = [None] * len(program.arrays)
        self._place(parameters, gradient)
        read = [n for n, array in enumerate(program.arrays) if array.kind in ("input", "index")]
        self.inputs = [np.moveaxis(self.arrays[n], -1, 0) for n in read]
        self._drawn = [n for n, array in enumerate(program.arrays) if array.kind == "random"]
        self._limits = [(self.arrays[n], limit) for n, limit in index_limits(program).items()]
        buffers = Buffers(program, self.arrays, batch, self.dtype)
        self.steps: list[tuple[Step, int]] = []  # a call, and where in the schedule it belongs
        for place, item in enumerate(self.schedule):
            if isinstance(item, fusion.Group):
                self.steps.append((machine.kernel(self, item), place))
            elif isinstance(item, fusion.Stretch):
                self.steps.append((scalars.function(item, self.arrays), place))
            else:
                self.steps += [(step, place) for step in lower(program.instructions[item], buffers)]
        self._calls = [step for step, _ in self.steps]
        access, loops = program.outputs[0]
        lanes = program.arrays[access.array].lanes
        shape = (*loops, batch) if lanes else loops
        self._outputs = View.access(self.arrays[access.array], access, loops, lanes, lanes).array(shape)

    def local_memory(self, size: int) -> Any:
        """Memory for what a kernel needs while it runs: the same for all, or else of its own."""
        if size <= len(self._local):
            return self._local
        self.kept.append(memory.empty((size,), np.uint8))
        return self.kept[-1]

    @property
    def in_python(self) -> int:
        """How many instructions run as plain Python."""
        return sum(len(item.members) for item in self.schedule if isinstance(item, fusion.Stretch))

    # --- memory ---------------------------------------------------------------------------------------------------

    def _shape(self, number: int) -> tuple[int, ...]:
        """The physical shape: axes in the order of the layout."""
        array = self.program.arrays[number]
        return tuple(self.batch if axis == LANES else array.shape[axis] for axis in self.orders[number])

    def _place(self, parameters: FloatArray, gradient: FloatArray | None) -> None:
        program = self.program
        hidden = {array for item in self.schedule for array in fusion.unwritten(item)}
        first, last = lifetimes(program, self.schedule)
        for _, it in self.residents.values():  # the numbers are there before the program begins, and stay
            first[it.out.array], last[it.out.array] = -1, 1 << 60
        line = memory.LINE // self.dtype.itemsize
        sizes: dict[int, int] = {}  # in whole cache lines
        for number, array in enumerate(program.arrays):
            if array.kind == "parameter":
                self.arrays[number] = parameters
            elif number == program.gradient:
                self.arrays[number] = gradient
            elif array.kind == "constant":
                data = np.asarray(array.data, self.dtype)
                self.arrays[number] = self._logical(number, memory.copy(data.transpose(self.orders[number])))
            elif array.kind in ("value", "gradient"):
                if number in first and number not in hidden:
                    sizes[number] = -(-math.prod(self._shape(number)) // line) * line
            elif number not in self.residents:
                dtype = np.int64 if array.kind == "index" else self.dtype
                fill = (1.0 if array.lanes else self.batch) / self.share.examples
                self.arrays[number] = self._logical(number, memory.copy(np.asarray(fill, dtype), self._shape(number)))
        places, total = allocate(sizes, first, last)
        self.memory = memory.zeros((total,), self.dtype)
        for number, place in places.items():
            shape = self._shape(number)
            flat = self.memory[place : place + math.prod(shape)]
            self.arrays[number] = self._logical(number, flat.reshape(shape))
        for number, (_, it) in self.residents.items():
            view = View.access(self.arrays[it.out.array], it.out, it.loops, True, True)
            self.arrays[number] = view.array((*it.loops, self.batch))

    def _logical(self, number: int, physical: Any) -> Any:
        """The axes in the order of the program, the lanes last."""
        order = self.orders[number]
        wanted = [*range(len(self.program.arrays[number].shape)), *([LANES] if LANES in order else [])]
        return physical.transpose([order.index(axis) for axis in wanted])

    # --- running --------------------------------------------------------------------------------------------------

    def run(self, inputs: Sequence[Any]) -> Any:
        """Fill in the inputs, each of shape (batch, …), run, and return the outputs, shape (n, batch) or (n,)."""
        self._fill(inputs)
        with np.errstate(all="ignore"):
            for call in self._calls:
                call()
        return self.outputs()

    def timed(self, inputs: Sequence[Any]) -> list[float]:
        """Run, and return the seconds that each instruction took; to look at a clock costs some of them.

        The time of a group is shared out by the numbers that its instructions compute.
        """
        self._fill(inputs)
        spent = [0.0] * len(self.schedule)
        with np.errstate(all="ignore"):
            before = time.perf_counter()
            for step, place in self.steps:
                step()
                now = time.perf_counter()
                spent[place] += now - before
                before = now
        seconds = [0.0] * len(self.source.instructions)
        for item, time_of_item in zip(self.schedule, spent, strict=True):
            points = fusion.points(self.source, item)
            for number, share in points.items():
                seconds[number] = time_of_item * share / sum(points.values())
        return seconds

    def _fill(self, inputs: Sequence[Any]) -> None:
        for place, numbers in zip(self.inputs, inputs, strict=True):
            if numbers is not place:
                np.copyto(place, numbers)
        for indices, limit in self._limits:
            check_range(indices, limit)
        for number in self._drawn:
            array = self.program.arrays[number]
            p, other = array.data
            axes = [axis for axis in self.orders[number] if axis != LANES]
            draws = dropout_mask(self.random, [array.shape[a] for a in axes], p, self.share if array.lanes else None)
            draws = draws.transpose([*(1 + axes.index(axis) for axis in range(len(axes))), 0])
            np.multiply(draws if array.lanes else draws[..., 0], other, out=self.arrays[number])

    def outputs(self) -> Any:
        """The results of the latest run."""
        return self._outputs.copy()

    def find_not_finite(self) -> Instruction | None:
        """Run again step by step and return the first instruction that makes a NaN, or else the first infinity.

        Where the results are not finite, it is one that computes them, and no derivative.
        """
        return self._apart()._first_not_finite()

    def _apart(self) -> Executor:
        """The same without groups and stretches: every instruction writes its numbers down."""
        gradient = None if self.program.gradient is None else np.zeros_like(self.arrays[self.program.gradient])
        parameters = next((a for a, x in zip(self.arrays, self.program.arrays, strict=True) if x.kind == "parameter"))
        apart = Executor(self.source, parameters, gradient, self.batch, self.share, apart=True)
        for given, array in enumerate(self.source.arrays):
            if array.kind in ("input", "index", "random"):
                apart.arrays[given][...] = self.arrays[given]
        return apart

    def _first_not_finite(self) -> Instruction | None:
        suspect = None
        with np.errstate(all="ignore"):
            for n, (step, place) in enumerate(self.steps):
                step()
                if n + 1 < len(self.steps) and self.steps[n + 1][1] == place:
                    continue  # the instruction is not done yet
                number = self.schedule[place]
                assert isinstance(number, int)
                it = self.program.instructions[number]
                array = self.program.arrays[it.out.array]
                values = self.arrays[it.out.array]
                if array.mask is not None:
                    values = values[array.mask]
                if array.kind == "gradient" and not it.out.is_identity(array.shape, it.loops):
                    continue  # may not be complete yet
                if np.isnan(values).any():
                    return it
                if suspect is None and np.isinf(values).any():
                    suspect = it
                if suspect and number + 1 == self.program.forward and not np.isfinite(self._outputs).all():
                    break
        return suspect


def _never(it: Instruction) -> bool:
    return False


def index_limits(program: Program) -> dict[int, Any]:
    """For every array of indices, how many candidates each of them chooses from: shape ``(*its axes, 1)``.

    Without a sign, so that one comparison finds the negative indices too.
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
    """Raise IndexError when an index chooses none of the candidates."""
    wrong = np.greater_equal(indices.view(np.uint64), limit)
    if np.count_nonzero(wrong):
        size = int(np.broadcast_to(limit, indices.shape)[wrong][0])
        raise IndexError(
            f"index {int(indices[wrong][0])} is out of range for a table of {size} entries (0 to {size - 1})"
        )


def residents(program: Program) -> dict[int, tuple[int, Instruction]]:
    """The inputs that live where the program would copy them to: for each the copy, and its number.

    A sequence that grows by what the program computes (keys that are kept, and the key of one more token) is put
    together in a new array. If nothing else writes to the input's part of it, the part can be the input.
    """
    written: dict[int, Any] = {}  # how many points of all instructions write to each place of an array
    found: dict[int, tuple[int, Instruction]] = {}
    for number, it in enumerate(program.instructions[: program.forward]):
        x = it.inputs[0]
        target = program.arrays[it.out.array]
        if it.op != "copy" or not isinstance(x, Access) or x.array in found or it.accumulate or it.reduced():
            continue
        source = program.arrays[x.array]
        if source.kind != "input" or not target.lanes or it.out.table is not None:
            continue
        if x.is_identity(source.shape, it.loops):
            if it.out.array not in written:
                written[it.out.array] = _writes(program, it.out.array)
            if (written[it.out.array][tuple(np.moveaxis(it.out.indices(it.loops), -1, 0))] == 1).all():
                found[x.array] = (number, it)
    return found


def _writes(program: Program, array: int) -> Any:
    count = np.zeros(program.arrays[array].shape, np.int64)
    for it in program.instructions:
        if it.out.array == array:
            np.add.at(count, tuple(np.moveaxis(it.out.indices(it.loops), -1, 0)), 1)
    return count


def lifetimes(program: Program, items: fusion.Schedule | None = None) -> tuple[dict[int, int], dict[int, int]]:
    """For each array the first and the last item of the schedule that needs it; results are needed for ever.

    Without a schedule, the first and the last instruction.
    """
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for place, item in enumerate(range(len(program.instructions)) if items is None else items):
        for number in fusion.numbers(item):
            it = program.instructions[number]
            for x in (it.out, *it.reads()):
                first.setdefault(x.array, place)
                last[x.array] = place
    last |= {access.array: 1 << 60 for access, _ in program.outputs}
    return first, last


def allocate(sizes: dict[int, int], first: dict[int, int], last: dict[int, int]) -> tuple[dict[int, int], int]:
    """Places in one block of memory such that arrays that live at the same time do not overlap.

    Largest arrays first, each at the lowest place that is free during its life. Only so many can all be compared with
    each other: behind them, a small array takes over the place of one of its size that is no longer needed.

    >>> allocate({0: 10, 1: 4, 2: 10}, {0: 0, 1: 0, 2: 3}, {0: 2, 1: 3, 2: 4})
    ({0: 0, 2: 0, 1: 10}, 14)
    """
    order = sorted(sizes, key=lambda n: (-sizes[n], first[n]))
    placed: list[tuple[int, int, int, int]] = []  # place, end, first, last
    places: dict[int, int] = {}
    for number in order[:COMPARED]:
        place = 0
        for start, end, born, died in placed:
            if born <= last[number] and first[number] <= died:
                if place + sizes[number] <= start:
                    break
                place = max(place, end)
        places[number] = place
        insort(placed, (place, place + sizes[number], first[number], last[number]))
    total = max((end for _, end, _, _ in placed), default=0)
    used: dict[int, list[tuple[int, int]]] = {}  # for every size, when each place becomes free
    for number in sorted(order[COMPARED:], key=lambda n: first[n]):
        own = used.setdefault(sizes[number], [])
        if own and own[0][0] < first[number]:
            places[number] = heappop(own)[1]
        else:
            places[number] = total
            total += sizes[number]
        heappush(own, (last[number], places[number]))
    return places, total
