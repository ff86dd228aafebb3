"""Find which scalars of a graph became which instruction of a compiled program.

Both know their module, so each scalar is matched with an instruction of its module: one that does the same operation,
reads what its operands became, and has not yet been matched with as many scalars as the compiler counted. A sum of
products is one unit on both sides, as in the compiler: ``+`` and ``×`` that are used only once belong to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tinygrad_edu.ops import ADD, CONSTANT, MAXIMUM, MINIMUM, MUL, SUB, Op

from .build import Graph
from .regions import Regions

_MOVES = ("fill", "copy", "select")  # an instruction may read their input through them


@dataclass(eq=False)
class Step:
    """One instruction, with those that only add to its result, and the scalars it stands for.

    Attributes:
        instructions: their numbers in the program.
        path: the path of the module.
        nodes: how many scalar operations it stands for, as the compiler counted.
        reads: the steps whose results it reads, by number.
        scalars: how many scalar operations of each kind were found for it, by symbol.
        results: how many sums, or single operations, these are.
        products, terms: the smallest and the largest number of products, and of other terms, in those sums; (0, 0) for
            anything else.
    """

    instructions: list[int]
    path: str
    nodes: int = 0
    reads: list[int] = field(default_factory=list)
    scalars: Counter[str] = field(default_factory=Counter)
    results: int = 0
    products: tuple[int, int] = (0, 0)
    terms: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Links:
    """What each scalar of a graph became.

    Attributes:
        steps: the steps of the forward half of the program, in order.
        step_of: for each node of the graph its step, or −1.
        total: how many scalar operations the graph has.
        missing: how many of them have no instruction, because the compiler folded them into a constant, shares the
            result of an equal operation, or found that they are not needed.
    """

    steps: list[Step]
    step_of: list[int]
    total: int
    missing: int


def link(program: Any, graph: Graph, parts: Regions) -> Links:
    """Find the instruction of a program that computes each scalar operation of a graph."""
    linker = _Linker(program, graph, parts)
    for members, factors, plain in _results(graph, parts):
        linker.add(members, factors, plain)
    total = sum([value.op is not None and value.op is not CONSTANT for value in graph.values])
    return Links(linker.steps, linker.step_of, total, total - sum(step.scalars.total() for step in linker.steps))


class _Linker:
    """Links results in topological order, so that it is known what their operands became."""

    def __init__(self, program: Any, graph: Graph, parts: Regions) -> None:
        self.program, self.graph = program, graph
        self.steps = _steps(program)
        self.step_of = [-1] * len(graph)
        of_region = [*_paths(parts), None]  # the last one, number −1, is that of leaves
        self.paths = [of_region[home] for home in parts.home]
        order = list(dict.fromkeys(path for path in self.paths if path is not None))
        self.of_path: dict[str, list[int]] = {path: [] for path in order}
        for number, step in enumerate(self.steps):
            for path in matching(step.path, order):
                self.of_path[path].append(number)
        self.closures = [_closure(program, self.steps, number) for number in range(len(self.steps))]

    def add(self, members: list[int], factors: list[int], plain: list[int]) -> None:
        """Link a result with all its members, if there is an instruction for it."""
        root = members[-1]
        op, path = self.graph.values[root].op, self.paths[root] or ""
        assert op is not None
        operands = {self.step_of[x] for x in (*factors, *plain) if self.step_of[x] >= 0}
        own = self._find(path, op, operands, products=bool(factors))
        if own is None:
            return
        if factors and len(members) > 1 and self._only_multiplies(own):
            # The program multiplies first and adds in another instruction, as in rotary embeddings.
            self._credit(own, [x for x in members if self.graph.values[x].op is MUL])
            own = self._find(path, ADD, {own}, products=False)
            members = [x for x in members if self.graph.values[x].op is not MUL]
            factors, plain = [], [*plain, *factors[::2]]
            if own is None:
                return
        step = self.steps[own]
        if op in (ADD, MUL):
            step.products = _with(step.products, len(factors) // 2, first=not step.results)
            step.terms = _with(step.terms, len(plain), first=not step.results)
        self._credit(own, members)

    def _find(self, path: str, op: Op, operands: set[int], *, products: bool) -> int | None:
        """Return the first step of a module that does this with these operands and is not full yet."""
        found = (
            number
            for number in self.of_path[path]
            if operands <= self.closures[number]
            and _does(self.program, self.steps[number], op, products)
            and self.steps[number].scalars.total() < self.steps[number].nodes
        )
        return next(found, None)

    def _only_multiplies(self, number: int) -> bool:
        instructions = [self.program.instructions[i] for i in self.steps[number].instructions]
        return all(it.op == "mul" and not it.reduced() for it in instructions)

    def _credit(self, number: int, members: list[int]) -> None:
        step = self.steps[number]
        step.results += 1
        for node in members:
            op = self.graph.values[node].op
            assert op is not None
            step.scalars[op.symbol] += 1
            self.step_of[node] = number


def _steps(program: Any) -> list[Step]:
    """Return the steps of the forward half."""
    steps: list[Step] = []
    writers: dict[int, list[int]] = {}  # for each array
    for number, it in enumerate(program.instructions[: program.forward]):
        before = writers.setdefault(it.out.array, [])
        if it.accumulate and before:
            step = steps[before[-1]]
            step.instructions.append(number)
        else:
            step = Step([number], it.path)
            before.append(len(steps))
            steps.append(step)
        step.nodes += it.nodes
        own = before[-1]
        step.reads += [s for x in it.reads() for s in writers.get(x.array, ()) if s != own and s not in step.reads]
    return steps


def _closure(program: Any, steps: Sequence[Step], number: int) -> set[int]:
    """Return the steps whose results a step reads, directly or through instructions that only move numbers."""
    found: set[int] = set()
    pending = [*steps[number].reads]
    while pending:
        step = pending.pop()
        if step in found:
            continue
        found.add(step)
        if all(program.instructions[i].op in _MOVES for i in steps[step].instructions):
            pending += steps[step].reads
    return found


def _paths(parts: Regions) -> Iterator[str]:
    """Yield the path of the module that each region belongs to; ``""`` for none."""
    for number in parts.call_of:
        call = parts.tree[number].call
        yield "" if call is None else call.path


def matching(pattern: str, paths: Sequence[str]) -> Iterator[str]:
    """Yield the paths that a path of the program stands for: ``"neurons.0…2"`` is three neurons."""
    parts = pattern.split(".")
    for path in paths:
        own = path.split(".")
        if len(own) == len(parts) and all(
            _between(part, name, own[:i], paths) for i, (part, name) in enumerate(zip(parts, own, strict=True))
        ):
            yield path


def _between(part: str, name: str, before: list[str], paths: Sequence[str]) -> bool:
    first, dots, last = part.partition("…")
    if not dots:
        return part == name
    if all(x.isdigit() for x in (first, last, name)):
        return int(first) <= int(name) <= int(last)
    names = list(dict.fromkeys(p.split(".")[len(before)] for p in paths if p.split(".")[: len(before)] == before and
                               len(p.split(".")) > len(before)))  # fmt: skip
    return {first, last} <= set(names) and names.index(first) <= names.index(name) <= names.index(last)


def _results(graph: Graph, parts: Regions) -> Iterator[tuple[list[int], list[int], list[int]]]:
    """Yield every operation, a sum as one: (its nodes, the last is the result; factors of products; other operands)."""
    values, inputs_of, uses, home, call_of = graph.values, graph.inputs, graph.uses, parts.home, parts.call_of
    absorbed = [False] * len(graph)  # into the sum that is the only one to use it
    for user, value in enumerate(values):
        if value.op is ADD:
            for x in inputs_of[user]:
                if uses[x] == 1 and values[x].op in (ADD, MUL) and x not in graph.roots:
                    absorbed[x] = call_of[home[x]] == call_of[home[user]]
    for node, value in enumerate(values):
        op = value.op
        if op is None or op is CONSTANT or absorbed[node]:
            continue
        if op is not ADD and op is not MUL:
            yield [node], [], [*inputs_of[node]]
            continue
        members, factors, plain, pending = [], list[int](), list[int](), [node]
        while pending:
            x = pending.pop()
            members.append(x)
            if values[x].op is MUL:
                factors += inputs_of[x]
                continue
            for y in inputs_of[x]:
                if absorbed[y]:
                    pending.append(y)
                else:
                    plain.append(y)
        yield [*members[1:], node], factors, plain


def _with(span: tuple[int, int], count: int, *, first: bool) -> tuple[int, int]:
    return (count, count) if first else (min(span[0], count), max(span[1], count))


def _does(program: Any, step: Step, op: Op, products: bool) -> bool:
    """Return whether a step computes such results: sums of products, sums, the largest of several, or one operation."""
    it = program.instructions[step.instructions[0]]
    if op in (ADD, MUL) and products:
        return any(program.instructions[i].op == "mul" for i in step.instructions)
    if it.op == "copy" and it.reduced():  # a difference may have become a sum in which a factor is negative
        return (op, it.reduce) in ((ADD, "sum"), (SUB, "sum"), (MAXIMUM, "max"), (MINIMUM, "min"))
    return bool(it.op == op.name)
