"""The fast back end: a program becomes a list of calls of numpy functions on memory that is laid out in advance.

For a given batch size, every array gets its position in one block of memory (reused as soon as the array is no
longer needed), every access becomes a strided view of it, and every instruction becomes one or a few calls with
``out=``. Running the program is then a loop over these calls that allocates next to nothing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np

from ..backend import Executor
from ..llvm_backend import codegen as machine
from ..llvm_backend import steps as kernels
from ..llvm_backend.text import HERE, Target
from ..program import fusion, holes
from ..program.ir import Access, Instruction, Program
from ..program.rematerialize import rematerialize
from ..runtime import memory
from ..runtime.allocation import allocate, lifetimes
from ..runtime.axis_order import LANES, align_constants, orders
from ..runtime.dropout_masks import Share, mask_of
from ..runtime.index_range import check_range, index_limits
from ..runtime.views import View
from . import scalars
from .buffers import Buffers, Step
from .lowering import lower

#: Instructions of at most this many points run in Python, if most instructions of a program are that small.
FEW = 16

#: Programs of many instructions would take too long to compile: there, only those with many points get kernels.
MANY, SMALLEST = 512, 4096

FloatArray = np.ndarray[Any, np.dtype[np.floating[Any]]]


class NumpyExecutor(Executor):
    """A program for one batch size.

    Args:
        program: with or without a gradient part.
        parameters: the flat array of the parameters; only read.
        gradient: where the gradient goes, for a program that has one.
        batch: the number of lanes.
        share: which examples of a larger batch these are, if there is one; the gradient is then their part of it.
        native: whether groups of instructions run as machine code, if llvmlite is installed.
        often: whether it will run so often that any compile time pays off.
        apart: whether every instruction runs separately and stores its numbers.

    Attributes:
        program: the program that runs, with some instructions duplicated if that saves time.
        source: the given program.
        schedule: the instructions in the order in which they run, alone or in groups.
        inputs: where the program reads its inputs, each of shape (batch, …); writing into these arrays directly avoids
            a copy.
        target: where its kernels run.
    """

    target: Target = HERE

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
        super().__init__(program, batch)
        self.share = share or Share.whole(batch)
        self.dtype = parameters.dtype
        self.orders = orders(program)
        native = native and machine.available() and not apart
        if native and self.target is HERE:
            self.target = machine.this_computer()
        if native:  # numpy would traverse a product with a constant in the order of the constant
            self.orders = align_constants(program, self.orders)
        self.residents = residents(program)
        self._local = memory.empty((memory.PAGE // 2 - memory.LINE,), np.uint8)
        self.kept: list[Any] = []  # more local memory
        copied = {number for number, _ in self.residents.values()}
        self._few = _few(program, batch) if self.target.here else set()
        able = partial(_able, self._few) if native else _never
        self.schedule = fusion.schedule(program, batch, able, copied, often and batch == 1)
        self.source = program
        program, self.schedule, originals = rematerialize(program, self.schedule, batch)
        fusion.hide(program, self.schedule)
        if not apart and self.target.here:
            given = [it.out.array for _, it in self.residents.values()]
            self.schedule = scalars.gather(program, self.schedule, batch, given)
        self.program = program
        self.orders += [self.orders[number] for number in originals]
        self.arrays: list[Any] = [None] * len(program.arrays)
        self._allocate(parameters, gradient)
        read = [n for n, array in enumerate(program.arrays) if array.kind in ("input", "index")]
        self.inputs = [np.moveaxis(self.arrays[n], -1, 0) for n in read]
        self._drawn = [n for n, array in enumerate(program.arrays) if array.kind == "random"]
        self._limits = [(self.arrays[n], limit) for n, limit in index_limits(program).items()]
        buffers = Buffers(program, self.arrays, batch, self.dtype)
        self.steps: list[tuple[Step, int]] = []  # a call, and its position in the schedule
        for place, item in enumerate(self.schedule):
            if isinstance(item, fusion.Group):
                self.steps.append((machine.kernel(self, item), place))
            elif isinstance(item, fusion.ScalarGroup):
                self.steps.append((scalars.function(item, self.arrays), place))
            else:
                self.steps += [(step, place) for step in self._alone(program.instructions[item], buffers, native)]
        self._link()
        self.in_python = sum(len(item.members) for item in self.schedule if isinstance(item, fusion.ScalarGroup))
        access, loops = program.outputs[0]
        lanes = program.arrays[access.array].lanes
        shape = (*loops, batch) if lanes else loops
        self._outputs = View.access(self.arrays[access.array], access, loops, lanes, lanes).array(shape)

    def _alone(self, it: Instruction, buffers: Buffers, native: bool) -> Sequence[Step]:
        """Return what runs an instruction that is in no group."""
        own = self._kernels(it) if native and id(it) not in self._few else None
        return lower(it, buffers) if own is None else own

    def _link(self) -> None:
        """Make as few calls as possible of all steps."""
        self._calls = _joined([step for step, _ in self.steps])
        alone = self._calls[0] if len(self._calls) == 1 else None
        self._native = alone if isinstance(alone, machine.Kernel) else None

    def local_memory(self, size: int) -> Any:
        """Return scratch memory for a kernel: kernels that run one after another share it."""
        for local in (self._local, *self.kept):
            if size <= len(local):
                return local
        self.kept.append(memory.empty((size,), np.uint8))
        return self.kept[-1]

    @cached_property
    def _zeros(self) -> holes.Holes:
        return holes.zeros(self.program)

    def _kernels(self, it: Instruction) -> Sequence[machine.Kernel] | None:
        """Return the kernels of an instruction that is in no group; None if numpy should do it."""
        return kernels.kernels(self, it, self.batch, holes.order(self.program, self._zeros, it))

    # --- memory ---------------------------------------------------------------------------------------------------

    def _shape(self, number: int) -> tuple[int, ...]:
        """Return the physical shape: axes in the order of the layout."""
        array = self.program.arrays[number]
        return tuple(self.batch if axis == LANES else array.shape[axis] for axis in self.orders[number])

    def _allocate(self, parameters: FloatArray, gradient: FloatArray | None) -> None:
        program = self.program
        hidden = {array for item in self.schedule for array in fusion.unwritten(item)}
        first, last = lifetimes(program, self.schedule)
        for _, it in self.residents.values():  # the numbers are written before the program starts, and stay
            first[it.out.array], last[it.out.array] = -1, 1 << 60
        line = memory.LINE // self.dtype.itemsize
        sizes: dict[int, int] = {}  # in whole cache lines
        steps: dict[int, list[int]] = {}
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
                    steps[number], size = memory.spread(self._shape(number), self.dtype.itemsize)
                    sizes[number] = -(-size // line) * line
            elif number not in self.residents:
                dtype = np.int64 if array.kind == "index" else self.dtype
                fill = (1.0 if array.lanes else self.batch) / self.share.examples
                self.arrays[number] = self._logical(number, memory.copy(np.asarray(fill, dtype), self._shape(number)))
        places, total = allocate(sizes, first, last)
        self.memory = memory.zeros((total,), self.dtype)
        for number, place in places.items():
            strides = [step * self.dtype.itemsize for step in steps[number]]
            physical = np.lib.stride_tricks.as_strided(self.memory[place:], self._shape(number), strides)
            self.arrays[number] = self._logical(number, physical)
        for number, (_, it) in self.residents.items():
            view = View.access(self.arrays[it.out.array], it.out, it.loops, True, True)
            self.arrays[number] = view.array((*it.loops, self.batch))

    def _logical(self, number: int, physical: Any) -> Any:
        """Return the axes in the order of the program, the lanes last."""
        order = self.orders[number]
        wanted = [*range(len(self.program.arrays[number].shape)), *([LANES] if LANES in order else [])]
        return physical.transpose([order.index(axis) for axis in wanted])

    # --- running --------------------------------------------------------------------------------------------------

    def run(self, inputs: Sequence[Any]) -> Any:
        """Fill in the inputs, each of shape (batch, …), run, and return the outputs, shape (n, batch) or (n,)."""
        self._fill(inputs)
        if self._native:
            self._native()  # the whole program
        else:
            with np.errstate(all="ignore"):
                for call in self._calls:
                    call()
        return self.outputs()

    def timed(self, inputs: Sequence[Any]) -> list[float]:
        """Run, and return the seconds that each instruction took; timing adds overhead.

        The time of a group is split in proportion to the numbers that its instructions compute.
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
            kept = mask_of(array, self.random, self.orders[number], self.share)
            np.multiply(kept, array.data[1], out=self.arrays[number])

    def outputs(self) -> Any:
        """Return the results of the latest run."""
        return self._outputs.copy()

    def find_not_finite(self) -> Instruction | None:
        """Run every instruction of the given program separately, and inspect its stored numbers."""
        gradient = None if self.program.gradient is None else np.zeros_like(self.arrays[self.program.gradient])
        parameters = next((a for a, x in zip(self.arrays, self.program.arrays, strict=True) if x.kind == "parameter"))
        apart = NumpyExecutor(self.source, parameters, gradient, self.batch, self.share, apart=True)
        for given, array in enumerate(self.source.arrays):
            if array.kind in ("input", "index", "random"):
                apart.arrays[given][...] = self.arrays[given]
        return super(NumpyExecutor, apart).find_not_finite()

    def one_by_one(self) -> Iterator[tuple[Instruction, Any]]:
        """See :class:`Executor`; this is for one that runs every instruction separately."""
        with np.errstate(all="ignore"):
            for n, (step, place) in enumerate(self.steps):
                step()
                if n + 1 == len(self.steps) or self.steps[n + 1][1] != place:  # the instruction is complete
                    number = self.schedule[place]
                    assert isinstance(number, int)
                    it = self.program.instructions[number]
                    yield it, self.arrays[it.out.array]


def _few(program: Program, batch: int) -> set[int]:
    """Return the identities of the instructions on few numbers, if kernels for them would take too long to compile."""
    its = program.instructions
    points = {id(it): math.prod(it.loops) * batch for it in its}
    few = {it for it, n in points.items() if n <= (SMALLEST if len(its) > MANY else FEW)}
    return few if len(few) > len(its) // 2 else set()


def _able(few: set[int], it: Instruction) -> bool:
    return id(it) not in few and machine.able(it)


def _joined(steps: list[Step]) -> list[Step]:
    """Join neighboring kernels: Python then makes one call for all of them."""
    kernels.compile_all([step for step in steps if isinstance(step, machine.Kernel)])
    result: list[Step] = []
    run: list[machine.Kernel] = []
    for step in [*steps, None]:
        if isinstance(step, machine.Kernel):
            run.append(step)
            continue
        result += [kernels.all_in_one(run)] if len(run) > 1 else run
        run = []
        result += [step] if step else []
    return result


def _never(it: Instruction) -> bool:
    return False


def residents(program: Program) -> dict[int, tuple[int, Instruction]]:
    """Find the inputs that can be stored where the program would copy them: for each the copy, and its number.

    A sequence that grows by what the program computes (cached keys, and the key of one more token) is joined in a new
    array. If nothing else writes to the input's part of it, the part can be the input.
    """
    written: dict[int, Any] = {}  # how many points of all instructions write to each element of an array
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
