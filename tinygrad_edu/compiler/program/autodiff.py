"""Reverse mode on the program: every instruction, last one first, sends the gradient of its output to its inputs.

The scalar engine multiplies local derivatives along edges. Here an edge is an access: if an instruction computes, at
every point of its loops, ``out[o(point)] += a[p(point)] * b[q(point)]``, then at every point of the same loops
``da[p(point)] += dout[o(point)] * b[q(point)]``. The loops are the same; only the brackets change places. Nothing
else is needed for broadcasting (its reverse is a sum), for sums (their reverse is broadcasting), for slices, and for
matrix products (their reverse is two matrix products).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ... import ops
from ...formulas import derivative
from .ir import (
    Access,
    Array,
    Instruction,
    Operand,
    Program,
    check,
    identity,
)
from .passes import compose, drop_dead

#: Operations whose derivative is always finite, so that holes cannot poison a gradient.
_HARMLESS = frozenset(("copy", "add", "sub", "mul", "neg", "fill", "select", "tanh", "sigmoid", "relu", "gelu", "abs"))


@dataclass(eq=False)
class _Gradient:
    """The gradient of one array while it is accumulated.

    ``alias`` is where it can be read while it is just another gradient seen through an access; later, ``array``.
    """

    alias: Access | None = None
    array: int = -1
    start: int = -1  # the position of its first contribution in the list of instructions, after a place for zeros
    written: Any = field(default=None, repr=False)


class _Reverse:
    def __init__(self, program: Program) -> None:
        self.arrays = list(program.arrays)
        self.items: list[Instruction | None] = []
        self.gradients: dict[int, _Gradient] = {}
        self.path = self.line = self.of = ""  # of the instruction that is being reversed
        self.wanted = [a.kind == "parameter" for a in program.arrays]
        for it in program.instructions:
            if it.op != "detach" and any(self.wanted[x.array] for x in it.reads()):
                self.wanted[it.out.array] = True

    # --- collecting -----------------------------------------------------------------------------------------------

    def new(self, array: Array) -> int:
        self.arrays.append(array)
        return len(self.arrays) - 1

    def emit(self, op: str, loops: tuple[int, ...], out: Access, inputs: tuple[Operand, ...], **more: Any) -> None:
        self.items.append(Instruction(op, loops, out, inputs, path=self.path, line=self.line, of=self.of, **more))

    def temporary(self, op: str, loops: tuple[int, ...], kept: tuple[int, ...], inputs: tuple[Operand, ...]) -> Access:
        """Compute something over ``loops`` into a new array with the loops ``kept`` as its axes."""
        lanes = any(self.arrays[x.array].lanes for x in inputs if isinstance(x, Access))
        out = self.new(Array(tuple(loops[loop] for loop in kept), "value", lanes))
        steps = tuple(tuple(int(loop == own) for loop in range(len(loops))) for own in kept)
        self.emit(op, loops, Access(out, (0,) * len(kept), steps), inputs)
        return identity(out, self.arrays[out].shape)

    def contribute(self, x: Operand, loops: tuple[int, ...], op: str, inputs: tuple[Operand, ...], **more: Any) -> None:
        """Add ``op(inputs)``, at every point of the loops, to the gradient of what ``x`` reads there."""
        if not isinstance(x, Access) or not self.wanted[x.array]:
            return
        array = self.arrays[x.array]
        gradient = self.gradients.setdefault(x.array, _Gradient())
        fresh = gradient.alias is None and gradient.array < 0
        whole = x.is_identity(array.shape, loops)
        first = inputs[0]
        seen = first if isinstance(first, Access) and first.table is None else None
        if fresh and whole and op == "copy" and seen and (array.lanes or not self.arrays[seen.array].lanes):
            gradient.alias = seen
            return
        if gradient.array < 0:
            gradient.array = self.new(Array(array.shape, "gradient", array.lanes, primal=x.array))
            gradient.start = len(self.items)
            self.items.append(None)
            gradient.written = np.zeros(array.shape, bool)
        if gradient.alias is not None:
            alias, gradient.alias = gradient.alias, None
            here = identity(gradient.array, array.shape)
            lanes = isinstance(first, Access) and first.table is None and self.arrays[first.array].lanes
            if whole and op == "copy" and lanes == array.lanes == self.arrays[alias.array].lanes:
                self._put(gradient, x, loops, "add", (alias, first), {})
                return
            if whole:  # the new contribution first: then nothing has to be copied
                self._put(gradient, x, loops, op, inputs, more)
                self._put(gradient, replace(here, array=x.array), array.shape, "copy", (alias,), {})
                return
            self._put(gradient, replace(here, array=x.array), array.shape, "copy", (alias,), {})
        self._put(gradient, x, loops, op, inputs, more)

    def _put(
        self, gradient: _Gradient, x: Access, loops: tuple[int, ...], op: str, inputs: tuple[Operand, ...], more: Any
    ) -> None:
        crossing = _crossing_loop(x, loops)
        if crossing is not None:  # windows that overlap: one contribution after the other
            for point in range(loops[crossing]):
                inner, *own = _fixed((x, *inputs), crossing, point)
                rest = tuple(n for loop, n in enumerate(loops) if loop != crossing)
                shifted = {**more, "axis": more["axis"] - (more["axis"] > crossing)} if "axis" in more else more
                assert isinstance(inner, Access)
                self._put(gradient, inner, rest, op, tuple(own), shifted)
            return
        written = gradient.written
        if x.table is not None:
            places = tuple(np.moveaxis(x.table, -1, 0))
        else:
            used = [loop for loop in range(len(loops)) if x.uses(loop)]
            steps = tuple(tuple(row[loop] for loop in used) for row in x.steps)
            places = tuple(np.moveaxis(Access(0, x.offset, steps).indices([loops[loop] for loop in used]), -1, 0))
        before = written[places]
        accumulate = bool(before.any())
        if accumulate and not before.all():
            self._zero(gradient)
        written[places] = True
        self.emit(op, loops, replace(x, array=gradient.array), inputs, accumulate=accumulate, **more)

    def _zero(self, gradient: _Gradient) -> None:
        shape = self.arrays[gradient.array].shape
        self.items[gradient.start] = Instruction("copy", shape, identity(gradient.array, shape), (0.0,))

    def read(self, array: int) -> Access | None:
        """Return the complete gradient of an array, over loops of its shape; None if nothing depends on it."""
        gradient = self.gradients.get(array)
        if gradient is None:
            return None
        if gradient.alias is not None:
            return gradient.alias
        if not gradient.written.all():
            self._zero(gradient)
        return identity(gradient.array, self.arrays[array].shape)

    # --- one rule for each kind of instruction ----------------------------------------------------------------------

    def reverse(self, it: Instruction) -> None:
        if not self.wanted[it.out.array] or it.op == "detach":
            return
        whole = self.read(it.out.array)
        if whole is None:
            return
        self.path, self.line, self.of = it.path, it.line, it.op
        loops = it.loops
        g = compose(whole, it.out, loops)
        x = it.inputs
        if it.reduce != "sum":
            self._extreme(it, g)
        elif it.op == "copy":
            self.contribute(x[0], loops, "copy", (g,))
        elif it.op == "mul" and _same(x[0], x[1]) and g.table is None:
            kept = [loop for loop in range(len(loops)) if g.uses(loop)]
            inner = tuple(loops[loop] for loop in kept)
            own = replace(g, steps=tuple(tuple(row[loop] for loop in kept) for row in g.steps))
            double = self.temporary("mul", inner, tuple(range(len(kept))), (own, 2.0))
            steps = tuple(tuple(int(loop == k) for loop in range(len(loops))) for k in kept)
            self.contribute(x[0], loops, "mul", (Access(double.array, (0,) * len(kept), steps), x[0]))
        elif it.op == "div" and not self._risky(it):
            self._divide(it, g)
        elif it.op == "select":
            self.contribute(x[1], loops, "select", (x[0], g), axis=it.axis)
        elif it.op == "fill":
            self.contribute(x[0], loops, "fill", (g,), mask=it.mask, value=0.0)
        else:
            for slot, operand in enumerate(x):
                if isinstance(operand, Access) and self.wanted[operand.array]:
                    self._derivative(it, g, slot, operand)

    def _risky(self, it: Instruction) -> bool:
        """Return whether holes hold arbitrary numbers and the derivative there may be infinite."""
        array = self.arrays[it.out.array]
        return array.mask is not None and array.hole is None and it.op not in _HARMLESS

    def _derivative(self, it: Instruction, g: Access, slot: int, operand: Access) -> None:
        """Apply the rule of the operation table."""
        if ops.by_name(it.op).derivatives is None:
            return
        tree = derivative(it.op, slot)
        if tree in ("a", "b"):
            self.contribute(operand, it.loops, "mul", (g, it.inputs["ab".index(tree)]))
            return
        if tree in (1.0, -1.0):
            self.contribute(operand, it.loops, "copy" if tree == 1.0 else "neg", (g,))
            return
        inputs = (g, *it.inputs, it.out)
        op = f"grad:{it.op}:{slot}"
        if self._risky(it):
            value = self.temporary(op, it.loops, tuple(range(len(it.loops))), inputs)
            mask = self.arrays[it.out.array].mask
            self.contribute(operand, it.loops, "fill", (value,), mask=mask[_slices(it.out, it.loops)], value=0.0)
        else:
            self.contribute(operand, it.loops, op, inputs)

    def _divide(self, it: Instruction, g: Access) -> None:
        # d(a/b)/db = −out/b. Where one b divides many a, the sum of g·out comes first and is divided once.
        a, b = it.inputs
        self.contribute(a, it.loops, "grad:div:0", (g, a, b, it.out))
        if isinstance(b, Access) and self.wanted[b.array]:
            kept = tuple(loop for loop in range(len(it.loops)) if b.uses(loop))
            if len(kept) == len(it.loops):
                self.contribute(b, it.loops, "grad:div:1", (g, a, b, it.out))
                return
            loops = tuple(it.loops[loop] for loop in kept)
            total = self.temporary("flow", it.loops, kept, (g, it.out))
            own = Access(b.array, b.offset, tuple(tuple(row[loop] for loop in kept) for row in b.steps))
            quotient = self.temporary("div", loops, tuple(range(len(kept))), (total, own))
            self.contribute(own, loops, "neg", (quotient,))

    def _extreme(self, it: Instruction, g: Access) -> None:
        """Split the gradient among equal largest elements. Nothing is equal to NaN: then every part is 0 / 0, NaN
        again."""
        x = it.inputs[0]
        if not isinstance(x, Access) or not self.wanted[x.array]:
            return
        loops, n = it.loops, len(it.loops)
        equal = self.temporary("equal", loops, tuple(range(n)), (x, it.out))
        kept = tuple(loop for loop in range(n) if it.out.uses(loop))
        steps = tuple(tuple(int(loop == own) for loop in range(n)) for own in kept)
        count = self.temporary("copy", loops, kept, (equal,))
        share = self.temporary("div", loops, tuple(range(n)), (equal, Access(count.array, (0,) * len(kept), steps)))
        self.contribute(x, loops, "flow", (g, share))


def _crossing_loop(x: Access, loops: tuple[int, ...]) -> int | None:
    """Return the shortest of the loops whose points lead to the same element of ``x`` as points of another loop."""
    if x.table is not None:
        return None
    used = [loop for loop in range(len(loops)) if x.uses(loop) and loops[loop] > 1]
    for a, row in enumerate(x.steps):
        on_axis = sorted((loop for loop in used if row[loop]), key=lambda loop: abs(row[loop]))
        reach = 0
        for loop in on_axis:
            alone = all(not other[loop] for n, other in enumerate(x.steps) if n != a)
            if alone and abs(row[loop]) <= reach:
                return min(on_axis, key=lambda loop: loops[loop])
            reach += abs(row[loop]) * (loops[loop] - 1)
    return None


def _fixed(operands: tuple[Operand, ...], loop: int, point: int) -> list[Operand]:
    """Return the operands with one loop fixed."""
    found: list[Operand] = []
    for x in operands:
        if isinstance(x, Access):
            offset = tuple(o + row[loop] * point for o, row in zip(x.offset, x.steps, strict=True))
            x = replace(x, offset=offset, steps=tuple(row[:loop] + row[loop + 1 :] for row in x.steps))
        found.append(x)
    return found


def _same(a: Operand, b: Operand) -> bool:
    if not isinstance(a, Access) or not isinstance(b, Access):
        return False
    return (a.array, a.offset, a.steps) == (b.array, b.offset, b.steps) and a.table is b.table


def _slices(out: Access, loops: tuple[int, ...]) -> Any:
    return tuple(np.moveaxis(out.indices(loops), -1, 0))


def differentiate(program: Program) -> Program:
    """Append to a program the gradient of its result, averaged over the lanes, with respect to the parameters."""
    reverse = _Reverse(program)
    access, loops = program.outputs[0]
    lanes = program.arrays[access.array].lanes
    seed = reverse.new(Array((), "seed", lanes))
    reverse.wanted.append(False)
    reverse.contribute(access, loops, "copy", (Access(seed, (), ()),))
    for it in reversed(program.instructions):
        reverse.reverse(it)
    reverse.path = reverse.line = reverse.of = ""
    parameter = next(n for n, a in enumerate(program.arrays) if a.kind == "parameter")
    if reverse.read(parameter) is None or reverse.gradients[parameter].array < 0:
        shape = program.arrays[parameter].shape
        gradient = reverse.new(Array(shape, "gradient", primal=parameter))
        start = reverse.read(parameter)
        reverse.emit("copy", shape, identity(gradient, shape), (0.0 if start is None else start,))
    else:
        gradient = reverse.gradients[parameter].array
    backward = tuple(it for it in reverse.items if it is not None)
    instructions = program.instructions + backward
    whole = Program(tuple(reverse.arrays), instructions, program.outputs, len(program.instructions), gradient)
    return check(drop_dead(check(whole, "differentiate")), "dead code")
