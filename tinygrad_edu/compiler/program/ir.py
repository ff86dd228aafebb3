"""The language of array programs: its instructions, its printer, its checker.

A program is a list of instructions, and there is one kind of instruction. It is a nest of loops: for every point of
the loops, and for every example of the batch (its *lane*), compute one number from some inputs and put it where ``out``
says. Points with the same place are combined: added up, or the largest or the smallest is kept. ::

    %7[i,j] = Σk params[16·i+k] * %5[j,k]       a matrix product: k is in the inputs and not in the output
    %8[i,j] = exp(%7[i,j])                      element by element: every loop is in the output
    %9[i]   = max %8[i,j]                       a reduction over j
    %2[i,j] = Σk select(token[i] == k, params[16·k+j])    a table looked up by a number from the data

The position of loops in brackets is the whole language: broadcasting is a loop that an input lacks, a
transpose is loops in another order, a slice is an offset, a convolution is ``%3[i+k]``. The derivative of an
instruction is the same nest of loops with the roles of the brackets exchanged (see autodiff.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ... import ops
from ...errors import CompileError

IntArray = np.ndarray[Any, np.dtype[np.int64]]

#: What an array holds. The first five are given from outside, the others are computed.
KINDS = ("parameter", "constant", "input", "index", "random", "seed", "value", "gradient")
#: Instructions that are not in the operation table; "grad:tanh:0" is the first local derivative of tanh, times the
#: gradient that arrives. "flow" is that product: gradient · derivative, but 0 where the derivative is 0.
EXTRA_OPS = ("copy", "select", "fill", "equal", "flow")


@dataclass(frozen=True, eq=False)
class Array:
    """A box of numbers.

    Attributes:
        shape: its axes, without the lanes.
        kind: one of :data:`KINDS`.
        lanes: whether every example of the batch has its own numbers.
        data: the numbers of a constant; for ``random``, the probability and the value of its two-valued numbers.
        mask: which elements stand for a scalar, if not all do (attention looks only back: half of its box is holes).
        hole: the number known to be in the holes; None if unknown.
        label: a name to print, for arrays given from outside.
        primal: for a gradient, the number of its array.
    """

    shape: tuple[int, ...]
    kind: str = "value"
    lanes: bool = False
    data: Any = field(default=None, repr=False)
    mask: Any = field(default=None, repr=False)
    hole: float | None = None
    label: str = ""
    primal: int = -1

    @property
    def size(self) -> int:
        """The number of elements in one lane."""
        return int(np.prod(self.shape, dtype=np.int64))


@dataclass(frozen=True, eq=False)
class Access:
    """The element of an array for each point of the loops.

    ``index of axis a = offset[a] + Σ_l steps[a][l] · loop l``, or, if there is no such formula, the table of
    indices ``table``, of shape ``(*loops, axes)``.
    """

    array: int
    offset: tuple[int, ...]
    steps: tuple[tuple[int, ...], ...]
    table: IntArray | None = field(default=None, repr=False)

    def uses(self, loop: int) -> bool:
        """Return whether the element depends on this loop."""
        return self.table is not None or any(row[loop] for row in self.steps)

    def is_identity(self, shape: Sequence[int], loops: Sequence[int]) -> bool:
        """Return whether point (i, j, …) is element (i, j, …), for all elements."""
        return (
            self.table is None
            and tuple(shape) == tuple(loops)
            and not any(self.offset)
            and all(step == (a == loop) for a, row in enumerate(self.steps) for loop, step in enumerate(row))
        )

    def indices(self, loops: Sequence[int]) -> IntArray:
        """Return the index of every axis at every point: shape ``(*loops, axes)``."""
        if self.table is not None:
            return self.table
        grid = np.indices(tuple(loops), dtype=np.int64).reshape(len(loops), math.prod(loops)).T
        found = grid @ np.array(self.steps, dtype=np.int64).reshape(len(self.offset), len(loops)).T
        return (found + np.array(self.offset, dtype=np.int64)).reshape(*loops, len(self.offset))


def identity(array: int, shape: Sequence[int]) -> Access:
    """Make the access in which every point of loops of this shape is the element of the same index."""
    n = len(shape)
    return Access(array, (0,) * n, tuple(tuple(int(a == loop) for loop in range(n)) for a in range(n)))


Operand = Access | float


@dataclass(frozen=True, eq=False)
class Instruction:
    """One nest of loops.

    Attributes:
        op: a row of the operation table by name, one of :data:`EXTRA_OPS`, or ``grad:NAME:INPUT``.
        loops: how far each loop runs; the lanes are one more, implicit loop.
        out: where the result of a point goes.
        inputs: the accesses that it reads; a float is a number in the program.
        reduce: how points that lead to the same place are combined: ``sum``, ``max`` or ``min``.
        accumulate: whether the result is added to the old number.
        axis: for ``select``, the loop that is compared with the index.
        mask: for ``fill``, which points of the last loops keep their value; the others become ``value``.
        value: see ``mask``.
        nodes: how many scalar operations of the traced function it stands for; 0 in the backward half.
        products: how many of them are multiplications that it sums or computes.
        path: the module that it belongs to, ``""`` for the function itself; in the backward half, that of the
            instruction whose derivative it is.
        line: the source line, ``"functional.py:57"``.
        of: in the backward half, the operation whose derivative it is.
    """

    op: str
    loops: tuple[int, ...]
    out: Access
    inputs: tuple[Operand, ...]
    reduce: str = "sum"
    accumulate: bool = False
    axis: int = -1
    mask: Any = field(default=None, repr=False)
    value: float = 0.0
    nodes: int = 0
    products: int = 0
    path: str = ""
    line: str = ""
    of: str = ""

    def reads(self) -> Iterator[Access]:
        """The accesses among its inputs."""
        for x in self.inputs:
            if isinstance(x, Access):
                yield x

    def reduced(self) -> tuple[int, ...]:
        """The loops that the output lacks."""
        if self.out.table is not None:
            return ()
        return tuple(loop for loop, n in enumerate(self.loops) if n > 1 and not self.out.uses(loop))


@dataclass(frozen=True, eq=False)
class Program:
    """Arrays, and the instructions that fill them in order.

    Attributes:
        arrays: all arrays; accesses refer to them by their position in this tuple.
        instructions: the instructions in execution order.
        outputs: one access per array of results, each with loops of its own shape.
        forward: how many of the instructions compute the results; the others compute gradients.
        gradient: the array with the gradient of the parameters, in a program that has one.
    """

    arrays: tuple[Array, ...]
    instructions: tuple[Instruction, ...]
    outputs: tuple[tuple[Access, tuple[int, ...]], ...]
    forward: int
    gradient: int | None = None

    def __str__(self) -> str:
        return "\n".join(lines(self))

    def __repr__(self) -> str:
        return f"Program({len(self.instructions):,} instructions, {len(self.arrays):,} arrays; print() shows them)"


# --- the printer ---------------------------------------------------------------------------------------------------

_LOOPS = "ijklmnopqrstuvwxyz"
_COMBINE = {"sum": "Σ", "max": "max ", "min": "min "}
_INFIX = {"mul": "*", "flow": "*", "sub": "-", "div": "/", "pow": "**", "add": "+"}


def name_of(program: Program, array: int) -> str:
    """Name an array in the text: its label, or a number; the gradient of %3 is d%3."""
    a = program.arrays[array]
    if a.label:
        return a.label
    return f"d{name_of(program, a.primal)}" if a.kind == "gradient" else f"%{array}"


def _access_text(program: Program, access: Access) -> str:
    name = name_of(program, access.array)
    if access.table is not None:
        return f"{name}[table]"
    indices = []
    for start, row in zip(access.offset, access.steps, strict=True):
        parts = [(_LOOPS[loop] if step == 1 else f"{step}·{_LOOPS[loop]}") for loop, step in enumerate(row) if step]
        if start or not parts:
            parts.append(str(start))
        indices.append("+".join(parts))
    return f"{name}[{','.join(indices)}]" if indices else name


def _right_side(program: Program, it: Instruction) -> str:
    x = [_access_text(program, x) if isinstance(x, Access) else f"{x:g}" for x in it.inputs]
    if it.op == "copy":
        return x[0]
    if it.op in _INFIX:
        return f"{x[0]} {_INFIX[it.op]} {x[1]}"
    if it.op == "select":
        return f"select({x[0]} == {_LOOPS[it.axis]}, {x[1]})"
    if it.op == "fill":
        return f"fill({x[0]}, holes {it.value:g})"
    if it.op.startswith("grad:"):
        _, name, slot = it.op.split(":")
        return f"{x[0]} * d{name}{'' if ops.by_name(name).arity == 1 else int(slot) + 1}({', '.join(x[1:])})"
    return f"{it.op}({', '.join(x)})"


def lines(program: Program) -> Iterator[str]:
    """Print one line per instruction: result, formula, loops, scalar operations it stands for, where it comes from."""
    for number, it in enumerate(program.instructions):
        if number == program.forward and number:
            yield "# gradients"
        reduced = it.reduced()
        lanes_summed = not program.arrays[it.out.array].lanes and any(program.arrays[x.array].lanes for x in it.reads())
        letters = "".join(_LOOPS[loop] for loop in reduced) + ("B" if lanes_summed else "")
        combine = (
            f"{_COMBINE.get(it.reduce, it.reduce).strip()}{'' if it.reduce == 'sum' else ' over '}{letters} "
            if letters
            else ""
        )
        if it.reduce != "sum" and not letters:
            combine = ""
        formula = (
            f"{_access_text(program, it.out)} {'+=' if it.accumulate else '='} {combine}{_right_side(program, it)}"
        )
        lanes = program.arrays[it.out.array].lanes or lanes_summed
        loops = ", ".join([f"{_LOOPS[loop]}<{n}" for loop, n in enumerate(it.loops)] + ["B"] * lanes)
        notes = [f"{it.nodes:,} nodes"] if it.nodes else []
        notes += [" ".join(filter(None, (it.path, it.line)))] if it.path or it.line else []
        yield f"{formula:<72} {loops:<24} {'   '.join(notes)}".rstrip()


# --- the checker ---------------------------------------------------------------------------------------------------


_REPORT = "This is a fault of the compiler; please report the function, with this program:"


def _internal(after: str) -> str:
    return f"internal error after {after!r}"


def check(program: Program, after: str) -> Program:
    """Raise CompileError, naming the pass that came before and the instruction, unless the program is well formed.

    Every access stays inside its array, everything is written before it is read, and only what is computed is written.
    """
    filled = {
        n
        for n, a in enumerate(program.arrays)
        if a.kind in ("parameter", "constant", "input", "index", "random", "seed")
    }
    given = frozenset(filled)
    for number, it in enumerate(program.instructions):

        def fail(message: str, number: int = number) -> CompileError:
            text = list(lines(program))
            shown = text[number + (number >= program.forward > 0)]
            return CompileError(f"{_internal(after)}: {message}. {_REPORT}\n  {shown}")

        _check_op(it, fail)
        for access in (it.out, *it.reads()):
            array = program.arrays[access.array]
            if len(access.offset) != len(array.shape) or any(len(row) != len(it.loops) for row in access.steps):
                raise fail(f"{name_of(program, access.array)} is indexed with the wrong number of axes or loops")
            for a, (low, row, size) in enumerate(zip(access.offset, access.steps, array.shape, strict=True)):
                if access.table is not None:
                    first, last = int(access.table[..., a].min()), int(access.table[..., a].max())
                else:
                    first = low + sum(s * (n - 1) for s, n in zip(row, it.loops, strict=True) if s < 0)
                    last = low + sum(s * (n - 1) for s, n in zip(row, it.loops, strict=True) if s > 0)
                if first < 0 or last >= size:
                    raise fail(
                        f"index out of bounds on axis {a} of {name_of(program, access.array)}, shape {array.shape}"
                    )
        for x in it.reads():
            if x.array not in filled:
                raise fail(f"{name_of(program, x.array)} is read before it is written")
        if it.out.array in given:
            raise fail(f"{name_of(program, it.out.array)} is given from outside and must not be written")
        if it.accumulate and it.out.array not in filled:
            raise fail(f"{name_of(program, it.out.array)} is added to before it is written")
        filled.add(it.out.array)
    for access, _ in program.outputs:
        if access.array not in filled:
            raise CompileError(f"{_internal(after)}: an output is never written. {_REPORT}\n  {program}")
    return program


def _check_op(it: Instruction, fail: Any) -> None:
    name = it.op.split(":")[1] if it.op.startswith("grad:") else it.op
    if name not in EXTRA_OPS:
        try:
            ops.by_name(name)
        except ValueError as error:
            raise fail(str(error)) from None
    if it.reduce not in _COMBINE:
        raise fail(f"unknown way to combine: {it.reduce!r}")
    if it.op == "select" and not 0 <= it.axis < len(it.loops):
        raise fail("select needs a loop to compare with")
