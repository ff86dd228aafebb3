"""Runs of instructions on a few numbers each, as plain Python: one line for every number.

A call of numpy takes about a microsecond, however few numbers it is for. A program without vectors (a long chain, a
sorting network, the table of an edit distance) consists of such calls, and would be slower than the scalar engine that
it comes from. Python itself adds two floats in a twentieth of a microsecond once nothing keeps a graph. So consecutive
instructions with so few points that this is faster become one Python function::

    v3 = a5.item(0)
    v4 = v3 * 1.01
    v5 = tanh(v4)
    …
    a9[2] = v41

Within it numbers are Python's floats, with 64 bits whatever the program's are. What nothing else needs is never written
into an array.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ... import ops
from ...formulas import Tree, expression, slopes
from ..program.fusion import ScalarGroup, Schedule, numbers
from ..program.ir import Access, Instruction, Program

#: Microseconds: a call of numpy, one that moves numbers by tables of indices, and one number in Python (to compute it,
#: or to fetch it from an array, or to put it there).
CALL, TABLE, NUMBER = 1.0, 5.0, 0.07

#: Instructions of more points than this end a run, even if those around them are for Python.
MOST_POINTS = 64

#: It must save at least this many microseconds.
WORTH = 5.0

#: The largest number of results of one function.
LONGEST = 10_000

_Element = tuple[int, int]  # an array, and the position of one of its numbers in row order


def gather(program: Program, items: Schedule, batch: int, fixed: Iterable[int]) -> Schedule:
    """Gather runs of instructions in a schedule if that saves time.

    Args:
        program: the program of the schedule.
        items: the items of the schedule, in order.
        batch: the number of lanes.
        fixed: arrays that must always be in memory.
    """
    uses: dict[int, int] = {}
    for item in items:
        for number in numbers(item):
            for x in _accesses(program.instructions[number]):
                uses[x.array] = uses.get(x.array, 0) + 1
    kept = {*fixed, *(access.array for access, _ in program.outputs), program.gradient}
    result: Schedule = []
    open_: list[int] = []
    size = 0

    def close() -> None:
        nonlocal open_, size
        result.extend(_group(program, open_, batch, uses, kept))
        open_, size = [], 0

    for item in items:
        points = _points(program, program.instructions[item], batch) if isinstance(item, int) else MOST_POINTS + 1
        if points > MOST_POINTS or size + points > LONGEST:
            close()
        if points > MOST_POINTS:
            result.append(item)
        else:
            assert isinstance(item, int)
            open_.append(item)
            size += points
    close()
    return result


def _group(program: Program, members: list[int], batch: int, uses: dict[int, int], kept: set[Any]) -> Schedule:
    """Join consecutive instructions if that is worthwhile."""
    its = [program.instructions[number] for number in members]
    saved = sum(_calls(it) - NUMBER * _points(program, it, batch) for it in its)
    if saved < WORTH or not members:
        return [*members]
    writer = _Writer(program, batch)
    for it in its:
        writer.add(it)
    own: dict[int, int] = {}
    for it in its:
        for x in _accesses(it):
            own[x.array] = own.get(x.array, 0) + 1
    alone = {array for array, n in own.items() if n == uses[array]} - kept - writer.fetched.keys()
    hidden = frozenset(array for array in alone if program.arrays[array].kind in ("value", "gradient"))
    text, moved = writer.text(hidden)
    if saved - NUMBER * moved < WORTH:
        return [*members]
    return [ScalarGroup(tuple(members), hidden, text)]


def function(group: ScalarGroup, arrays: list[Any]) -> Callable[[], None]:
    """Make the call that runs such instructions on the arrays of a program."""
    names: dict[str, Any] = {**_WORDS, **{f"a{n}": a for n, a in enumerate(arrays) if n not in group.hidden}}
    exec(compile(group.text, "<a group of scalars>", "exec"), names)  # only words and numbers of this module
    run: Callable[[], None] = names["run"]
    return run


def _accesses(it: Instruction) -> list[Access]:
    return [it.out, *it.reads()]


def _calls(it: Instruction) -> float:
    """Estimate how long numpy takes."""
    moving = TABLE if any(x.table is not None for x in _accesses(it)) else CALL
    return moving + CALL * (it.op.startswith("grad:") + it.accumulate)


def _points(program: Program, it: Instruction, batch: int) -> int:
    return math.prod(it.loops) * (batch if any(program.arrays[x.array].lanes for x in _accesses(it)) else 1)


# --- from instructions to Python -------------------------------------------------------------------------------------


class _Writer:
    """Writes the lines of one function.

    Attributes:
        fetched: for every array, the names of the numbers that are read from memory.
    """

    def __init__(self, program: Program, batch: int) -> None:
        self.program, self.batch = program, batch
        self.lines: list[str] = []
        self.count = 0
        self.now: dict[_Element, str] = {}  # the name of every number that is known
        self.written: dict[_Element, None] = {}
        self.fetched: dict[int, dict[int, str]] = {}

    def add(self, it: Instruction) -> None:
        """Write the lines for all points of an instruction."""
        lanes = [self.program.arrays[x.array].lanes for x in _accesses(it)]
        lane_numbers = range(self.batch if any(lanes) else 1)
        where = self._places(it.out, it.loops)
        reads: list[Any] = [self._places(x, it.loops) if isinstance(x, Access) else x for x in it.inputs]
        mask = None
        if it.op == "fill":
            mask = np.broadcast_to(np.asarray(it.mask, bool), it.loops).ravel().tolist()
        axis = np.indices(it.loops)[it.axis].ravel().tolist() if it.op == "select" else None
        terms: dict[_Element, list[str]] = {}
        for point, to in enumerate(where):
            for lane in lane_numbers:
                inputs = [
                    self._name(x.array, r[point], lane) if isinstance(x, Access) else _number(x)
                    for x, r in zip(it.inputs, reads, strict=True)
                ]
                if mask is not None:
                    term = inputs[0] if mask[point] else _number(it.value)
                elif axis is not None:
                    term = f"({inputs[1]} if {inputs[0]} == {axis[point]} else 0.0)"
                else:
                    term = _expression(it.op, inputs)
                terms.setdefault(self._element(it.out.array, to, lane), []).append(term)
        results = {element: self._combined(it, element, own) for element, own in terms.items()}
        self.now |= results
        self.written |= dict.fromkeys(results)

    def _combined(self, it: Instruction, element: _Element, terms: list[str]) -> str:
        if it.reduce == "sum":
            if it.accumulate:
                terms = [self._known(element), *terms]
            expression = " + ".join(terms)
        else:
            expression = terms[0] if len(terms) == 1 else f"{it.reduce}imum({', '.join(terms)})"
        if expression.isidentifier():
            return expression
        self.count += 1
        self.lines.append(f"v{self.count} = {expression}")
        return f"v{self.count}"

    def _places(self, x: Access, loops: tuple[int, ...]) -> list[int]:
        """Return the position of the number that each point reads, in an array without lanes."""
        shape = self.program.arrays[x.array].shape
        steps = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
        if x.table is None and math.prod(loops) == 1:
            return [sum(map(int.__mul__, x.offset, steps))]
        places: list[int] = (x.indices(loops) @ np.array(steps, np.int64)).ravel().tolist()
        return places

    def _element(self, array: int, place: int, lane: int) -> _Element:
        return array, place * self.batch + lane if self.program.arrays[array].lanes else place

    def _name(self, array: int, place: int, lane: int) -> str:
        return self._known(self._element(array, place, lane))

    def _known(self, element: _Element) -> str:
        """Return the name of a number, or the number; what has not been computed is fetched."""
        if element not in self.now:
            array, place = element
            if self.program.arrays[array].kind == "constant":
                self.now[element] = _number(np.asarray(self.program.arrays[array].data).item(place))
            else:
                self.count += 1
                self.now[element] = self.fetched.setdefault(array, {})[place] = f"v{self.count}"
        return self.now[element]

    def text(self, hidden: frozenset[int]) -> tuple[str, int]:
        """Return the function, and how many numbers it fetches and stores."""
        lines, moved = ["def run():", "pass"], 0
        for array, names in self.fetched.items():
            moved += len(names)
            if len(names) > 4 and 4 * len(names) > self._size(array):
                lines.append(f"row = a{array}.ravel().tolist()")
                lines += [f"{name} = row[{place}]" for place, name in names.items()]
            else:
                lines += [f"{name} = a{array}.item({place})" for place, name in names.items()]
        lines += self.lines
        for element in self.written:
            array, place = element
            if array not in hidden:
                moved += 1
                lines.append(f"a{array}[{self._index(array, place)}] = {self.now[element]}")
        return "\n ".join(lines), moved

    def _shape(self, array: int) -> tuple[int, ...]:
        own = self.program.arrays[array]
        return (*own.shape, self.batch) if own.lanes else own.shape

    def _size(self, array: int) -> int:
        return math.prod(self._shape(array))

    def _index(self, array: int, place: int) -> str:
        index = []
        for n in reversed(self._shape(array)):
            place, i = divmod(place, n)
            index.append(i)
        return ", ".join(map(str, reversed(index))) or "()"


def _number(x: Any) -> str:
    """Write a number as Python reads it; ``inf`` and ``nan`` are among the words."""
    text = repr(float(x))
    return f"({text})" if text.startswith("-") else text


def _expression(op: str, inputs: list[str]) -> str:
    """Write the result of an operation on numbers with these names."""
    if op in ("pow", "grad:pow:0") and inputs[-2 if op != "pow" else 1] == "2.0":
        return f"{inputs[0]} * {inputs[0]}" if op == "pow" else _flow("2.0 * {1}").format(*inputs)
    return _EXPRESSIONS[op].format(*inputs)


# --- what the lines may say ------------------------------------------------------------------------------------------


def _quiet(forward: Callable[..., float], exact: Any) -> Callable[..., float]:
    """Make an operation that returns numpy's result where the engine raises an error."""

    def function(*inputs: float) -> float:
        try:
            return forward(*inputs)
        except (ArithmeticError, ValueError):
            return float(exact(*map(np.float64, inputs)))

    return function


_quotient = _quiet(lambda a, b: a / b, np.divide)
_power = _quiet(math.pow, np.power)


def _flow(slope: str) -> str:
    """Multiply a gradient by a derivative; a derivative of 0 stops it, as in the engine, even if it is infinite."""
    return f"({{0}} * slope if (slope := ({slope})) else 0.0)"


_WORDS: dict[str, Any] = {
    "inf": math.inf, "nan": math.nan, "tanh": math.tanh, "abs": abs,
    "log": _quiet(math.log, np.log), "sqrt": _quiet(math.sqrt, np.sqrt),
    "sin": _quiet(math.sin, np.sin), "cos": _quiet(math.cos, np.cos),
    "exp": ops.EXP.forward, "sigmoid": ops.SIGMOID.forward, "gelu": ops.GELU.forward,
    "maximum": ops.MAXIMUM.forward, "minimum": ops.MINIMUM.forward, "gelu_slopes": ops.GELU.derivatives,
    "quotient": _quotient, "power": _power,
}  # fmt: skip

#: For each operation its result, from the inputs; for a derivative from the gradient, inputs and result.
_EXPRESSIONS: dict[str, str] = {
    "copy": "{0}", "detach": "{0}", "add": "{0} + {1}", "sub": "({0} - {1})", "mul": "{0} * {1}", "neg": "(-{0})",
    "div": "({0} / {1} if {1} else quotient({0}, {1}))",
    "equal": "(1.0 if {0} == {1} else 0.0)", "relu": "(0.0 if {0} <= 0.0 else {0})",
    "maximum": "({0} if {0} >= {1} or {0} != {0} else {1})", "minimum": "({0} if {0} <= {1} or {0} != {0} else {1})",
    "pow": "power({0}, {1})",
    **{name: f"{name}({{0}})" for name in ("exp", "log", "sqrt", "tanh", "sigmoid", "gelu", "sin", "cos", "abs")},
    "flow": "({0} * {1} if {1} else 0.0)",
}  # fmt: skip
_WORDS_OF_SLOPES: dict[str, Any] = {word: text.format for word, text in _EXPRESSIONS.items()} | {
    "add": "({0} + {1})".format, "mul": "({0} * {1})".format, "if": "({1} if {0} else {2})".format,
    **{word: f"{{0}} {word} {{1}}".format for word in ("==", "<", ">", "<=")},
}  # fmt: skip


def _derived(tree: Tree, names: tuple[str, ...]) -> str:
    return _flow(str(expression(tree, {name: f"{{{n}}}" for n, name in enumerate(names, 1)}, _WORDS_OF_SLOPES)))


_EXPRESSIONS |= {f"grad:{name}": _derived(tree, names) for name, tree, names in slopes(_WORDS_OF_SLOPES)}
#: In place of a derived one, for accuracy.
_EXPRESSIONS["grad:gelu:0"] = _flow("gelu_slopes({1}, {2})[0]")
