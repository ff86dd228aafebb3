"""Small passes over programs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .ir import (
    Access,
    Instruction,
    Operand,
    Program,
)


def compose(outer: Access, inner: Access, loops: tuple[int, ...]) -> Access:
    """Compose two accesses: ``outer`` at the index that ``inner`` has at a point of the loops."""
    n = len(outer.offset)
    if inner.table is not None or outer.table is not None:
        places = inner.indices(loops)
        if outer.table is not None:
            table = outer.table[tuple(np.moveaxis(places, -1, 0))]
        else:
            steps = np.array(outer.steps, np.int64).reshape(n, places.shape[-1])
            table = places @ steps.T + np.array(outer.offset, np.int64)
        return Access(outer.array, (0,) * n, ((0,) * len(loops),) * n, table)
    outer_steps = np.array(outer.steps, np.int64).reshape(n, len(inner.offset))
    inner_steps = np.array(inner.steps, np.int64).reshape(len(inner.offset), len(loops))
    offset = outer_steps @ np.array(inner.offset, np.int64) + np.array(outer.offset, np.int64)
    steps = outer_steps @ inner_steps
    return Access(outer.array, tuple(map(int, offset)), tuple(tuple(map(int, row)) for row in steps))


def embed(program: Program) -> Program:
    """Compute things where they are needed, instead of copying them there.

    A copy of all of one array into a part of another (the heads' results into one vector) makes the first a mere alias
    of that part; instructions that compute or read it now use the part itself.
    """
    # Instructions that only write numbers (the zeros around a ragged array) go first, so that they overwrite nothing.
    instructions = sorted(program.instructions, key=lambda it: it.accumulate or bool(list(it.reads())))
    added_to = {it.out.array for it in instructions if it.accumulate}
    outputs = list(program.outputs)
    gone: dict[int, Access] = {}
    for it in instructions:
        if it.op != "copy" or it.accumulate or it.reduce != "sum" or it.reduced() or len(it.inputs) != 1:
            continue
        source = it.inputs[0]
        if not isinstance(source, Access) or it.out.table is not None:
            continue
        array = program.arrays[source.array]
        if array.kind != "value" or source.array in gone or not source.is_identity(array.shape, it.loops):
            continue
        target = program.arrays[it.out.array]
        if array.mask is not None or it.out.array in added_to or _final(it.out.array, gone) == source.array:
            continue
        if array.lanes != target.lanes:  # one number for all examples is not computed once for each
            continue
        gone[source.array] = it.out
    if not gone:
        return program

    def moved(x: Access, loops: tuple[int, ...]) -> Access:
        while x.array in gone:
            x = compose(gone[x.array], x, loops)
        return x

    kept: list[Instruction] = []
    for it in instructions:
        if it.op == "copy" and isinstance(it.inputs[0], Access) and gone.get(it.inputs[0].array) is it.out:
            continue
        inputs: tuple[Operand, ...] = tuple(moved(x, it.loops) if isinstance(x, Access) else x for x in it.inputs)
        kept.append(replace(it, out=moved(it.out, it.loops), inputs=inputs))
    outputs = [(moved(x, loops), loops) for x, loops in outputs]
    return replace(program, instructions=tuple(kept), outputs=tuple(outputs), forward=len(kept))


def _final(array: int, gone: dict[int, Access]) -> int:
    while array in gone:
        array = gone[array].array
    return array


def drop_dead(program: Program) -> Program:
    """Drop instructions and arrays that no result depends on."""
    needed = {access.array for access, _ in program.outputs}
    if program.gradient is not None:
        needed.add(program.gradient)
    kept: list[Instruction] = []
    forward = 0
    for number in range(len(program.instructions) - 1, -1, -1):
        it = program.instructions[number]
        if it.out.array in needed:
            needed.update(x.array for x in it.reads())
            kept.append(it)
            forward += number < program.forward
    kept.reverse()
    numbers = {old: new for new, old in enumerate(n for n in range(len(program.arrays)) if _stays(program, n, needed))}

    def renamed(x: Access) -> Access:
        return replace(x, array=numbers[x.array])

    arrays = tuple(replace(program.arrays[old], primal=numbers.get(program.arrays[old].primal, -1)) for old in numbers)
    instructions = tuple(
        replace(it, out=renamed(it.out), inputs=tuple(renamed(x) if isinstance(x, Access) else x for x in it.inputs))
        for it in kept
    )
    outputs = tuple((renamed(x), loops) for x, loops in program.outputs)
    gradient = None if program.gradient is None else numbers[program.gradient]
    return Program(arrays, instructions, outputs, forward, gradient)


def _stays(program: Program, number: int, needed: set[int]) -> bool:
    # Arrays given from outside keep their place even if unused: callers find inputs by their order.
    return number in needed or program.arrays[number].kind in ("input", "index", "parameter")


def spread_lanes(program: Program) -> Program:
    """Mark every array that differs from example to example."""
    arrays = list(program.arrays)
    for n, array in enumerate(arrays):
        if array.kind in ("input", "index", "random"):
            arrays[n] = replace(array, lanes=True)
    for it in program.instructions:
        out = arrays[it.out.array]
        if not out.lanes and out.kind == "value" and any(arrays[x.array].lanes for x in it.reads()):
            arrays[it.out.array] = replace(out, lanes=True)
    return replace(program, arrays=tuple(arrays))
