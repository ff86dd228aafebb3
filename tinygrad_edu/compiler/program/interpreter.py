"""The slow interpreter: the definition of what a program means, one number at a time.

It judges the fast back end, and the scalar engine judges both. Every line follows the definition in ir.py.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ... import ops
from .ir import Access, Instruction, Program


def interpret(program: Program, given: Mapping[int, Any], batch: int) -> list[Any]:
    """Run a program on ``batch`` lanes; ``given`` has inputs and parameters, ``(*shape, batch)`` or ``shape``.

    Returns every array, in float64; arrays that were never written are None.
    """
    memory: list[Any] = [None] * len(program.arrays)
    for number, array in enumerate(program.arrays):
        if array.kind == "constant":
            memory[number] = np.asarray(array.data, np.float64)
        elif array.kind == "seed":
            memory[number] = np.full(batch, 1.0 / batch) if array.lanes else np.array(1.0)
        elif number in given:
            memory[number] = np.asarray(given[number], np.float64)
    for it in program.instructions:
        _run(program, it, memory, batch)
    return memory


def _run(program: Program, it: Instruction, memory: list[Any], batch: int) -> None:
    out = program.arrays[it.out.array]
    lanes = [out.lanes, *(program.arrays[x.array].lanes for x in it.reads())]
    shape = (*out.shape, batch) if out.lanes else out.shape
    if memory[it.out.array] is None:
        memory[it.out.array] = np.full(shape, math.nan)
    target = memory[it.out.array]
    places: dict[tuple[int, ...], list[float]] = {}
    for point in itertools.product(*map(range, it.loops)):
        for lane in range(batch if any(lanes) else 1):
            inputs = [
                memory[x.array][_element(x, point, lane, program)] if isinstance(x, Access) else x for x in it.inputs
            ]
            result = _compute(it, point, [float(x) for x in inputs])
            places.setdefault(_element(it.out, point, lane, program), []).append(result)
    for place, results in places.items():
        combined = _REDUCTIONS[it.reduce](results)
        target[place] = target[place] + combined if it.accumulate else combined


def _flow(gradient: float, derivative: float) -> float:
    return derivative * gradient if derivative != 0.0 else 0.0  # a zero derivative stops the flow, as in the engine


def _sum(numbers: list[float]) -> float:
    try:
        return math.fsum(numbers)
    except (OverflowError, ValueError):  # beyond the range, or infinities of both signs
        return sum(numbers)


_REDUCTIONS: dict[str, Callable[[list[float]], float]] = {
    "sum": _sum,
    "max": lambda numbers: ops.MAXIMUM.forward(*numbers),
    "min": lambda numbers: ops.MINIMUM.forward(*numbers),
}


def _element(x: Access, point: Sequence[int], lane: int, program: Program) -> tuple[int, ...]:
    if x.table is not None:
        index = tuple(int(i) for i in x.table[tuple(point)])
    else:
        index = tuple(
            start + sum(step * p for step, p in zip(row, point, strict=True))
            for start, row in zip(x.offset, x.steps, strict=True)
        )
    return (*index, lane) if program.arrays[x.array].lanes else index


def _compute(it: Instruction, point: tuple[int, ...], x: list[float]) -> float:
    if it.op == "copy":
        return x[0]
    if it.op == "equal":
        return float(x[0] == x[1])
    if it.op == "flow":
        return _flow(*x)
    if it.op == "select":
        return x[1] if int(x[0]) == point[it.axis] else 0.0
    if it.op == "fill":
        return x[0] if it.mask[point[len(point) - it.mask.ndim :]] else it.value
    try:
        if it.op.startswith("grad:"):
            _, name, slot = it.op.split(":")
            derivatives = ops.by_name(name).derivatives
            assert derivatives is not None
            return _flow(x[0], derivatives(*x[1:])[int(slot)])
        return ops.by_name(it.op).forward(*x)
    except (ValueError, ArithmeticError):  # a DomainError is a ValueError
        return math.nan  # in a hole it does not matter
