"""Fuse neighboring instructions into one kernel that reads and writes memory once.

numpy goes through the whole of an array for every operation; a layer norm takes a dozen passes. A *group* is a run of
instructions that share some loops, its *outer* ones. A kernel runs all of them for some points of the outer
loops before it goes on to the next: what one instruction computes is still in a register, or at least in the nearest
cache, when the next one needs it, and intermediates used only inside the group are never stored. ::

    for points of the outer loops:          # i and the lanes, in a layer norm
        for j: a = x[i,j] + y[i,j]; sum += a          # a nest
        mean = sum / n                                # a nest without loops of its own
        for j: d = a[i,j] - mean; squares += d * d    # another
        …

This module looks at instructions only; codegen.py makes machine code of the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from .ir import Access, Instruction, Program

#: Outer loops are given up for a longer group only if at least this many of their points remain for vectors.
NARROWEST = 256

#: The same for a program all of whose arrays have at most this many numbers; its vectors are short anyway.
NARROW, SMALL = 16, 4096

#: Sums that a product with ones makes as well.
SUMS = ("copy", "neg")

#: Matrix products are for BLAS, unless each of their sums has this few terms.
LONGEST_SUM = 4

#: What only one group needs, but not only in registers, must stay in a near cache: at most this many vectors.
LARGEST_LOCAL = 512

#: A group has at most this many members, to bound the comparisons and the text that LLVM reads.
MOST_MEMBERS = 256

#: The same loop in several instructions has one number. ``Elements``: those that an access finds, as a function of
#: the loops: for every axis the first index, and the loops with their steps; and for every axis the least and the
#: largest index.
Elements = tuple[int, tuple[tuple[int, tuple[tuple[int, int], ...]], ...], tuple[tuple[int, int], ...]]


@dataclass(frozen=True)
class Member:
    """An instruction of a group.

    Attributes:
        number: the number of the instruction in the program.
        loops: for every loop of the instruction, and the lanes as its last one, the number that it has in the group;
            -1 for a loop of one point.
        kept: the loops in its output.
        reduced: the loops that it sums over, or takes the largest of.
        out, reads: the accesses that it writes to and reads from; None for a number.
        total: whether it sums over the outer loops, as the gradient of a parameter does; any other has a result for
            each of their points.
    """

    number: int
    loops: tuple[int, ...]
    kept: frozenset[int]
    reduced: frozenset[int]
    out: Elements
    reads: tuple[Elements | None, ...]
    total: bool = False


@dataclass(frozen=True)
class Nest:
    """Instructions that share all their loops: the outer ones of the group, and these."""

    loops: frozenset[int]
    members: list[Member] = field(default_factory=list)
    uses: _Uses = field(default_factory=lambda: _Uses(), repr=False)

    def add(self, member: Member) -> None:
        """Append a member."""
        self.members.append(member)
        self.uses.add(member)


@dataclass
class Group:
    """Instructions that run together.

    Attributes:
        members: the members in the order of the program.
        outer: the loops that all of them have in common.
        extents: how far each loop runs.
        nests: the members, by their loops besides the outer ones.
        hidden: arrays that are never written to memory.
        local: arrays of which only the part for one point of the outer loops is ever in memory.
        flat: whether vectors run along each nest's own loops, not along the outer ones.
    """

    members: list[Member] = field(default_factory=list)
    outer: frozenset[int] = frozenset()
    extents: list[int] = field(default_factory=list)
    nests: list[Nest] = field(default_factory=list)
    hidden: frozenset[int] = frozenset()
    local: frozenset[int] = frozenset()
    flat: bool = False


@dataclass(frozen=True)
class ScalarGroup:
    """Instructions on so few numbers that Python is faster than numpy; see scalars.py.

    Attributes:
        members: numbers of the instructions, in the order of the program.
        hidden: arrays that are never written to memory.
        text: the Python function for all of them.
    """

    members: tuple[int, ...]
    hidden: frozenset[int]
    text: str = field(repr=False)


Item = int | Group | ScalarGroup
Schedule = list[Item]


def schedule(
    program: Program, batch: int, able: Callable[[Instruction], bool], skipped: Iterable[int], flat: bool = False
) -> Schedule:
    """Schedule the instructions of a program for a batch of this size: alone, or in groups.

    Args:
        program: the program.
        batch: the number of lanes.
        able: whether kernels can compute an instruction.
        skipped: instructions that do not run at all.
        flat: for a program that repeatedly works on a few vectors of numbers: groups without outer loops, so that a
            sum over a whole vector does not end a group.
    """
    left_out = set(skipped)
    running = [number for number in range(len(program.instructions)) if number not in left_out]
    builder = Builder(program, batch, flat)
    result: Schedule = []
    for number in running:
        it = program.instructions[number]
        if not (able(it) and _fits(program, it)):
            if not builder.is_independent(it):
                result += builder.finish()
            result.append(number)  # before the group, then
        elif not builder.add(number):
            result += builder.finish()
            if not builder.add(number):
                result.append(number)
    result += builder.finish()
    return result


def numbers(item: Item) -> list[int]:
    """Return the instructions of an item of a schedule."""
    if isinstance(item, Group):
        return [member.number for member in item.members]
    return [*item.members] if isinstance(item, ScalarGroup) else [item]


def unwritten(item: Item) -> frozenset[int]:
    """Return the arrays of the program that an item needs no memory for."""
    if isinstance(item, Group):
        return item.hidden | item.local
    return item.hidden if isinstance(item, ScalarGroup) else frozenset()


def points(program: Program, item: Item) -> dict[int, int]:
    """Return for each instruction of an item that is the program's own how many points its loops have in one lane."""
    own = [number for number in numbers(item) if number < len(program.instructions)]
    return {number: math.prod(program.instructions[number].loops) for number in own}


def _fits(program: Program, it: Instruction) -> bool:
    """Return whether points of different lanes, and of different outputs, are independent."""
    if it.op == "select" or any(x.table is not None for x in (it.out, *it.reads())):
        return False
    arrays = program.arrays
    if any(arrays[x.array].kind == "index" for x in it.reads()):
        return False
    total = is_total(program, it)
    if it.op == "mul" and (it.reduced() or total) and len(list(it.reads())) == 2:
        a, b = it.reads()
        matrix = any(a.uses(loop) != b.uses(loop) for loop, n in enumerate(it.loops) if n > 1)
        return not matrix or (math.prod(it.loops[loop] for loop in it.reduced()) <= LONGEST_SUM and not total)
    return True


def is_total(program: Program, it: Instruction) -> bool:
    """Return whether an instruction sums over the lanes."""
    return not program.arrays[it.out.array].lanes and any(program.arrays[x.array].lanes for x in it.reads())


def _elements(program: Program, x: Access, loops: tuple[int, ...], shape: tuple[int, ...]) -> Elements:
    """Return where an access finds its elements, given the numbers of its loops in the group, and their extents."""
    axes, ends = [], []
    for start, row in zip(x.offset, x.steps, strict=True):
        moving = [(g, s, s * (n - 1)) for g, s, n in zip(loops, row, shape, strict=False) if s and g >= 0]
        axes.append((start, tuple(sorted([(g, s) for g, s, _ in moving]))))
        ends.append((start + sum(min(r, 0) for *_, r in moving), start + sum(max(r, 0) for *_, r in moving)))
    if program.arrays[x.array].lanes and loops[-1] >= 0:
        axes.append((0, ((loops[-1], 1),)))
        ends.append((0, shape[-1] - 1))
    return x.array, tuple(axes), tuple(ends)


class Builder:
    """Makes one group after the other."""

    def __init__(self, program: Program, batch: int, flat: bool = False) -> None:
        self.program, self.batch, self.flat = program, batch, flat
        written = {it.out.array for it in program.instructions} - {program.gradient}
        largest = max((program.arrays[n].size for n in written), default=1) * batch
        self.narrowest = NARROW if largest <= SMALL else NARROWEST
        self._begin()

    def _begin(self) -> None:
        self.group = Group(flat=self.flat)
        self.uses = _Uses()
        self.written: set[int] = set()
        self.read: set[int] = set()
        # Axes of arrays seen so far: (array, axis, first index, step, extent) -> the loop.
        self.met: dict[tuple[int, ...], int] = {}

    def finish(self) -> Schedule:
        """Return the group, or its instructions if a product with ones does the same, and start the next one."""
        group = self.group
        self._begin()
        its = [self.program.instructions[member.number] for member in group.members]
        if all(m.total and it.op in SUMS for m, it in zip(group.members, its, strict=True)):
            return [member.number for member in group.members]
        group.flat = group.flat or not group.outer
        return [group]

    def is_independent(self, it: Instruction) -> bool:
        """Return whether an instruction may run before the group."""
        out = it.out.array
        return not (out in self.written or out in self.read or any(x.array in self.written for x in it.reads()))

    def add(self, number: int) -> bool:
        """Add an instruction to the group, unless it does not fit there."""
        it, group = self.program.instructions[number], self.group
        if len(group.members) == MOST_MEMBERS:
            return False
        loops = self._loops(it)
        if loops is None:
            return False
        new, fresh = loops
        total = is_total(self.program, it) and self.batch > 1
        reduced = frozenset([*(new[loop] for loop in it.reduced()), *new[-1:] * total])
        kept = frozenset(g for g in new if g >= 0) - reduced
        if new[-1] < 0 and self.batch > 1 and any(m.loops[-1] >= 0 for m in group.members):
            return False
        shape = (*it.loops, self.batch)
        member = Member(
            number, new, kept, reduced, _elements(self.program, it.out, new, shape),
            tuple(_elements(self.program, x, new, shape) if isinstance(x, Access) else None for x in it.inputs), total,
        )  # fmt: skip
        extents = group.extents + fresh
        if not _distinct(member.out, extents):  # points that are added up in one element
            return False
        outer = self._outer(member, extents)
        if outer is None:
            return False
        changed = outer != group.outer
        group.outer, group.extents = outer, extents
        group.members.append(member)
        if changed:
            group.nests = []
        for m in group.members if changed else [member]:
            _into_nest(group, m)
        self.uses.add(member)
        self.written.add(it.out.array)
        self.read |= {x.array for x in it.reads()}
        self._remember(it, new)
        return True

    def _loops(self, it: Instruction) -> tuple[tuple[int, ...], list[int]] | None:
        """Return the numbers of an instruction's loops in the group, and the extents of the new ones."""
        lanes = any(self.program.arrays[x.array].lanes for x in (it.out, *it.reads()))
        shape = (*it.loops, self.batch if lanes else 1)
        found = [-1] * len(shape)
        for own in (True, False):  # first what the group has computed, then what it has read
            for key, loop in self._axes(it):
                if (key[0] in self.written) == own and key in self.met and found[loop] != self.met[key]:
                    if own and (found[loop] >= 0 or self.met[key] in found):
                        return None
                    if found[loop] < 0 and self.met[key] not in found:
                        found[loop] = self.met[key]
        if all(g < 0 for g in found[:-1]):  # nothing in common: then any loops of equal length may run together
            for loop, n in enumerate(it.loops):
                free = [g for g in sorted(self.group.outer) if self.group.extents[g] == n and g not in found]
                found[loop] = free[0] if free and n > 1 else -1
        fresh: list[int] = []
        for loop, n in enumerate(shape):
            if n > 1 and found[loop] < 0:
                found[loop] = len(self.group.extents) + len(fresh)
                fresh.append(n)
        return tuple(found), fresh

    def _axes(self, it: Instruction) -> Iterable[tuple[tuple[int, ...], int]]:
        """Yield every axis along which only one loop runs."""
        for x in (it.out, *it.reads()):
            for axis, (start, row) in enumerate(zip(x.offset, x.steps, strict=True)):
                moving = [(loop, s) for loop, s in enumerate(row) if s and it.loops[loop] > 1]
                if len(moving) == 1:
                    loop, step = moving[0]
                    yield (x.array, axis, start, step, it.loops[loop]), loop
            if self.program.arrays[x.array].lanes and self.batch > 1:
                yield (-1,), len(it.loops)

    def _remember(self, it: Instruction, loops: tuple[int, ...]) -> None:
        for key, loop in self._axes(it):
            self.met.setdefault(key, loops[loop])

    def _outer(self, member: Member, extents: list[int]) -> frozenset[int] | None:
        """Return the outer loops of the group with one more member; None if too few would remain."""
        group = self.group
        if self.flat:
            return self._outer_of_flat(member, extents)
        own = member.reduced if member.total else member.kept
        outer = group.outer & own if group.members else own
        for other in (*self.uses.near(member), member):
            for one, two in _meetings(other, member):
                if (other.total and one is other.out) or (member.total and two is member.out):
                    if other is not member:  # a total is complete only when the kernel ends
                        return None
                else:
                    outer = frozenset(g for g in outer if _apart(one, two, g, extents))
        if member.total and math.prod(extents[g] for g in member.kept) > LARGEST_LOCAL:
            return None
        if outer != group.outer and group.members and math.prod(extents[g] for g in outer) < self.narrowest:
            return None
        for m in (*group.members, member):
            if m.reduced and (m.reduced if m.total else m.kept) != outer:
                return None
        return outer

    def _outer_of_flat(self, member: Member, extents: list[int]) -> frozenset[int] | None:
        """Keep only the loops that have a sum each: the heads, each of which has its softmax."""
        members = [*self.group.members, member]
        wanted = {m.kept for m in members if m.reduced}
        if member.total or len(wanted) > 1:
            return None
        outer = next(iter(wanted), frozenset())
        if not all(m.kept >= outer for m in members):
            return None
        if not outer:
            return outer
        same = outer == self.group.outer
        uses = self.uses if same else _Uses(members)
        for m in [member] if same else members:
            for other in (*uses.near(m), m):
                for one, two in _meetings(other, m):
                    if not all(_apart(one, two, g, extents) for g in outer):
                        return None
        return outer


class _Uses:
    """The members that write to each array, and those that read from it."""

    def __init__(self, members: Iterable[Member] = ()) -> None:
        self.writers: dict[int, list[Member]] = {}
        self.readers: dict[int, list[Member]] = {}
        for member in members:
            self.add(member)

    def add(self, member: Member) -> None:
        """Record one more member."""
        self.writers.setdefault(member.out[0], []).append(member)
        for array in {place[0] for place in member.reads if place is not None}:
            self.readers.setdefault(array, []).append(member)

    def near(self, member: Member) -> Iterable[Member]:
        """Return those that share an array with a member to which at least one of the two writes."""
        arrays = {place[0] for place in member.reads if place is not None}
        found = {m.number: m for array in (member.out[0], *arrays) for m in self.writers.get(array, ())}
        found |= {m.number: m for m in self.readers.get(member.out[0], ())}
        return found.values()


def _meetings(a: Member, b: Member) -> Iterable[tuple[Elements, Elements]]:
    """Return pairs of accesses to the same array of which at least one writes."""
    for one, two in ((a.out, b.out), *((a.out, y) for y in b.reads), *((x, b.out) for x in a.reads)):
        if one is not None and two is not None and one[0] == two[0] and not _separate(one, two):
            yield one, two


def _separate(one: Elements, two: Elements) -> bool:
    """Return whether two accesses are to separate parts of an array: one ends before the other begins, along some
    axis."""
    for (first, last), (other_first, other_last) in zip(one[2], two[2], strict=False):
        if last < other_first or other_last < first:
            return True
    return False


def _apart(one: Elements, two: Elements, loop: int, extents: list[int]) -> bool:
    """Return whether different points of a loop never share an element between two accesses."""
    if one == two and _distinct(one, extents):
        return any(loop == g for _, moving in one[1] for g, _ in moving)
    return _alone(one, loop) is not None and _alone(one, loop) == _alone(two, loop)


def _distinct(place: Elements, extents: list[int]) -> bool:
    """Return whether every point of the loops has its own element, like every number has its own digits."""
    for _, moving in place[1]:
        reach = 0
        for loop, step in sorted(moving, key=lambda pair: abs(pair[1])):
            if abs(step) <= reach:
                return False
            reach += abs(step) * (extents[loop] - 1)
    return True


def _alone(place: Elements, loop: int) -> tuple[int, int, int] | None:
    """Return the axis along which only this loop runs, the first index, and the step: then no two points share an
    element."""
    for axis, (start, moving) in enumerate(place[1]):
        if len(moving) == 1 and moving[0][0] == loop:
            return axis, start, moving[0][1]
    return None


def _into_nest(group: Group, member: Member) -> None:
    """Add a member to the last nest of the group, or to a new one."""
    own = (member.kept | member.reduced) - group.outer
    if group.nests and group.nests[-1].loops == own:
        nest = group.nests[-1]
        if all(
            one == two and not (m.reduced and one is m.out) and not (member.reduced and two is member.out)
            for m in nest.uses.near(member)
            for one, two in _meetings(m, member)
        ):
            nest.add(member)
            return
    group.nests.append(Nest(own))
    group.nests[-1].add(member)


# --- what need not be stored ----------------------------------------------------------------------------------------


def hide(program: Program, items: Schedule) -> None:
    """Mark the arrays that exist in registers only, and those that are small while they exist."""
    uses: dict[int, int] = {}
    for it in (program.instructions[number] for item in items for number in numbers(item)):
        for x in (it.out, *it.reads()):
            uses[x.array] = uses.get(x.array, 0) + 1
    kept = {access.array for access, _ in program.outputs} | {program.gradient}
    for group in items:
        if isinstance(group, Group):
            own: dict[int, int] = {}
            for member in group.members:
                for place in (member.out, *member.reads):
                    if place is not None:
                        own[place[0]] = own.get(place[0], 0) + 1
            written = {m.out[0] for m in group.members if not m.total}
            inside = {array for array in written - kept if own[array] == uses[array]}
            asked = inside & _asked_of_memory(program, group)
            group.hidden = frozenset(inside - asked)
            if not group.flat:
                group.local = frozenset(a for a in asked if math.prod(local_shape(program, group, a)) <= LARGEST_LOCAL)


def local_shape(program: Program, group: Group, array: int) -> tuple[int, ...]:
    """Return the extent of the axes of an array of which a group needs more than one element at a time; 1 for the
    others."""
    place = next(p for m in group.members for p in (m.out, *m.reads) if p is not None and p[0] == array)
    outer = {found[0] for g in group.outer if (found := _alone(place, g)) is not None}
    return tuple(1 if axis in outer else n for axis, n in enumerate(program.arrays[array].shape))


def _asked_of_memory(program: Program, group: Group) -> set[int]:
    """Return the arrays of which an element is read when it is no longer, or not yet, in a register."""
    asked: set[int] = set()
    lasting: set[Elements] = set()  # what does not depend on a nest's own loops
    for nest in group.nests:
        here = set(lasting)
        for member in nest.members:
            for place in (*member.reads, member.out if program.instructions[member.number].accumulate else None):
                if place is not None and place not in here:
                    asked.add(place[0])
            if not member.reduced:
                keep(here, member.out)
        for member in nest.members:
            keep(lasting, member.out, lasts=not member.total and (bool(member.reduced) or not nest.loops))
    return asked


def keep(registers: Any, place: Elements, lasts: bool = True) -> None:
    """Record that an element is in a register, and that a possible alias of it no longer is."""
    for other in [p for p in registers if p[0] == place[0] and p != place]:
        if not _separate(other, place):
            registers.discard(other)
    if lasts:
        registers.add(place)
    else:
        registers.discard(place)
