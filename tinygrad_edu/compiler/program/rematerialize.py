"""Recompute cheap intermediates instead of storing and reloading them.

The gradient of a layer norm needs x − mean. One group computes it on the way to its result, another, much later, reads
it; in between it travels to main memory and back. The later group can subtract again: it has to read one array either
way. So every group that reads a result of another one gets, if possible, a copy of the instruction that made it (Chen
and others 2016, "Training deep nets with sublinear memory cost", do this to whole layers, for the sake of memory; here
it is for time, and only where one operation is enough).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from .fusion import Builder, Group, Member, Schedule
from .ir import Access, Instruction, Operand, Program

#: Operations that take less time than a number on its way to memory.
CHEAP = frozenset(("copy", "detach", "add", "sub", "mul", "neg", "relu", "abs"))

#: In addition to one array of the size of the result, inputs may have this fraction of its size.
SMALL = 1 / 8


@dataclass(frozen=True)
class _Recipe:
    """How to recompute an array: an instruction, and the large array that it is computed from."""

    it: Instruction
    source: int | None


def rematerialize(program: Program, items: Schedule, batch: int) -> tuple[Program, Schedule, list[int]]:
    """Return the program and its schedule, with copies of instructions in the groups that need their results.

    The copies come after the instructions of the program, and their results after its arrays; the list says for each of
    these which array it equals.
    """
    recipes = _recipes(program, items, batch)
    result: Schedule = []
    originals: list[int] = []
    for item in items:
        again = _with_copies(program, item, recipes, batch) if isinstance(item, Group) else None
        if again is not None:
            program, item, names = again
            originals += names
        result.append(item)
    return program, result, originals


def _recipes(program: Program, items: Schedule, batch: int) -> dict[int, _Recipe]:
    """Find how to recompute every array for which it pays off."""
    reads: dict[int, list[int]] = {}
    writes: dict[int, list[int]] = {}
    for number, it in enumerate(program.instructions):
        writes.setdefault(it.out.array, []).append(number)
        for x in it.reads():
            reads.setdefault(x.array, []).append(number)
    home = {m.number: n for n, item in enumerate(items) if isinstance(item, Group) for m in item.members}
    outputs = {access.array for access, _ in program.outputs}
    recipes: dict[int, _Recipe] = {}

    def kept(array: int, group: int) -> bool:
        """Return whether an array is in memory anyway."""
        others = [n for n in (*reads.get(array, ()), *writes.get(array, ())) if home.get(n) != group]
        return program.arrays[array].kind != "value" or array in outputs or bool(others)

    def recipe(group: int, it: Instruction) -> _Recipe | None:
        size = _points(program, it.out, it, batch)
        source: int | None = None
        for x in it.reads():
            array = program.arrays[x.array]
            if array.kind == "gradient" or max(writes.get(x.array, [-1])) >= program.forward:
                return None
            if _points(program, x, it, batch) > SMALL * size:
                own = recipes.get(x.array)
                origin = own.source if own else x.array
                if (source is not None and origin != source) or (not own and not kept(x.array, group)):
                    return None
                source = origin
        return _Recipe(it, source)

    for number, item in enumerate(items):
        for member in item.members if isinstance(item, Group) else ():
            it = program.instructions[member.number]
            array = it.out.array
            others = [n for n in reads.get(array, ()) if home.get(n) != number]
            if (
                program.arrays[array].kind != "value" or array in outputs or writes[array] != [member.number]
                or it.accumulate or member.reduced or not others or not all(n in home for n in others)
            ):  # fmt: skip
                continue
            assert isinstance(item, Group)
            way = it if it.op in CHEAP else _by_its_quotient(program, item, member)
            found = recipe(number, way) if way is not None else None
            if found is not None:
                recipes[array] = found
    return recipes


def _by_its_quotient(program: Program, group: Group, member: Member) -> Instruction | None:
    """Recompute a from q = a / b, as q · b: the exponentials of a softmax from its probabilities and their sum."""
    for other in group.members:
        it = program.instructions[other.number]
        if it.op == "div" and other.reads[0] == member.out and not other.reduced and isinstance(it.inputs[1], Access):
            numerator = it.inputs[0]
            assert isinstance(numerator, Access)
            return replace(it, op="mul", out=numerator, inputs=(it.out, it.inputs[1]))
    return None


def _points(program: Program, x: Access, it: Instruction, batch: int) -> int:
    """Count the different elements of an access."""
    lanes = batch if program.arrays[x.array].lanes else 1
    return lanes * math.prod(n for loop, n in enumerate(it.loops) if x.uses(loop))


def _with_copies(
    program: Program, group: Group, recipes: dict[int, _Recipe], batch: int
) -> tuple[Program, Group, list[int]] | None:
    """Return a group that recomputes what it reads from others, if possible."""
    arrays, instructions = list(program.arrays), list(program.instructions)
    made = {member.out[0] for member in group.members}
    names: dict[int, int] = {}  # of recomputed arrays
    order: list[int] = []

    def renamed(x: Operand) -> Operand:
        return replace(x, array=names[x.array]) if isinstance(x, Access) and x.array in names else x

    def copy(array: int) -> None:
        if array in names or array in made or array not in recipes:
            return
        it = recipes[array].it
        for x in it.reads():
            copy(x.array)
        names[array] = len(arrays)
        arrays.append(replace(arrays[array]))
        inputs = tuple(renamed(x) for x in it.inputs)
        order.append(len(instructions))
        instructions.append(replace(it, out=replace(it.out, array=names[array]), inputs=inputs, nodes=0, products=0))

    for member in group.members:
        it = instructions[member.number]
        for x in it.reads():
            copy(x.array)
        instructions[member.number] = replace(it, inputs=tuple(renamed(x) for x in it.inputs))
        order.append(member.number)
    if not names:
        return None
    changed = replace(program, arrays=tuple(arrays), instructions=tuple(instructions))
    builder = Builder(changed, batch)
    if not all(builder.add(number) for number in order):
        return None
    whole = builder.finish()[0]
    return (changed, whole, list(names)) if isinstance(whole, Group) else None
