"""Any instruction as machine code, one point after another: for the few without a faster kernel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..program.ir import Access, Instruction
from ..runtime import memory
from ..runtime.views import View
from .codegen import NEUTRAL, Arrays, Kernel
from .llvm_math import Formulas
from .text import Text, from_table

#: A list of offsets may have this many entries.
LONGEST = 1 << 22


class _Operand:
    """The memory of an operand.

    Attributes:
        view: its memory, with a stride in bytes for each loop and the lanes.
        places: for an operand without such strides, a list of offsets to add, as a view.
        number: the index of its view among all of them; the list's is the next.
    """

    number = 0

    def __init__(self, home: Arrays, x: Access, it: Instruction) -> None:
        array, lanes = home.arrays[x.array], home.program.arrays[x.array].lanes
        self.places: View | None = None
        if x.table is None:
            self.view = View.access(array, x, it.loops, lanes, lanes=True)
            return
        self.view = View(array, [0] * len(it.loops) + [array.strides[-1] * lanes])
        offsets = memory.copy(x.indices(it.loops) @ np.array(array.strides[: len(x.offset)], np.int64))
        self.places = View(offsets, [*offsets.strides, 0])


def kernel(home: Arrays, it: Instruction, batch: int) -> Kernel | None:
    """Return the kernel of an instruction, or None if there is no formula for it."""
    if it.accumulate and it.reduce != "sum":
        return None
    text = Text()
    formulas = Formulas(text.emit, home.dtype, 1)
    own = [_Operand(home, x, it) for x in (it.out, *it.reads())]
    shape = (*it.loops, batch if any(home.program.arrays[x.array].lanes for x in (it.out, *it.reads())) else 1)
    if any(x.places and math.prod(it.loops) > LONGEST for x in own):
        return None
    views: list[View] = []
    for x in own:
        x.number = len(views)
        views += [x.view, x.places] if x.places else [x.view]
    if it.op == "fill":
        mask = memory.copy(np.asarray(it.mask).astype(home.dtype))
        views.append(View(mask, [0] * (len(it.loops) - mask.ndim) + list(mask.strides) + [0]))
    dims = [d for d, n in enumerate(shape) if n > 1 or d == it.axis]
    table = [*(v.base.__array_interface__["data"][0] for v in views), *(shape[d] for d in dims)]
    table += [v.strides[d] for d in dims for v in views]
    names = from_table(text, "p" * len(views) + "i" * (len(table) - len(views)))
    starts, extents, steps = names[: len(views)], names[len(views) :][: len(dims)], names[len(views) + len(dims) :]

    def element(pointers: dict[int, str], x: _Operand) -> str:
        pointer = pointers[x.number]
        if x.places:
            offset = text.emit(f"load i64, ptr {pointers[x.number + 1]}, align 8")
            pointer = text.moved(pointer, offset)
        return pointer

    def load(pointer: str, whole: bool) -> str:
        if not whole:
            return text.emit(f"load {formulas.vector}, ptr {pointer}, align {home.dtype.itemsize}")
        number = text.emit(f"load i64, ptr {pointer}, align 8")
        return text.spread(1, formulas.scalar, text.emit(f"sitofp i64 {number} to {formulas.scalar}"))

    def store(value: str, pointer: str) -> None:
        text.line(f"store {formulas.vector} {value}, ptr {pointer}, align {home.dtype.itemsize}")

    def each(do: Any, wanted: list[int], pointers: dict[int, str], counters: dict[int, str]) -> None:
        if not wanted:
            do(pointers, counters)
            return
        where = dims.index(wanted[0])
        with text.loop(extents[where]) as i:
            mine = steps[where * len(views) : (where + 1) * len(views)]
            moved = {n: text.at(pointers[n], mine[n], i) for n in pointers}
            each(do, wanted[1:], moved, {**counters, wanted[0]: i})

    def point(pointers: dict[int, str], counters: dict[int, str]) -> None:
        operands = iter(own[1:])
        arguments: list[Any] = []
        for x in it.inputs:
            if isinstance(x, Access):
                whole = home.arrays[x.array].dtype == np.int64
                arguments.append(load(element(pointers, next(operands)), whole))
            else:
                arguments.append(x)
        if it.op == "fill":
            arguments += [load(pointers[len(views) - 1], False), it.value]
        if it.op == "select":
            candidate = text.emit(f"sitofp i64 {counters[it.axis]} to {formulas.scalar}")
            chosen = formulas.compare(arguments[0], "oeq", text.spread(1, formulas.scalar, candidate))
            value = formulas.choose(chosen, arguments[1], 0.0)
        else:
            value = formulas.compute(it.op, arguments)
        place = element(pointers, own[0])
        store(formulas.combine(it.reduce, load(place, False), value), place)

    def clear(pointers: dict[int, str], _: dict[int, str]) -> None:
        start = NEUTRAL[it.reduce] or -0.0
        store(formulas.constant(start), element(pointers, own[0]))

    pointers = dict(enumerate(starts))
    if not it.accumulate:
        moving = [d for d in dims if own[0].places or own[0].view.strides[d]]
        each(clear, moving, pointers, {})
    each(point, dims, pointers, {})
    function = text.function("void @kernel(ptr noalias readonly %table) nounwind")
    return Kernel("\n".join([*formulas.declarations(), function]), table, [v.base for v in views])
