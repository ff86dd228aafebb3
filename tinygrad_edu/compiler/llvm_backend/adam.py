"""A step of Adam as an array program: a kernel runs it, reading and writing every number once."""

from __future__ import annotations

from typing import Any

from ..program import fusion
from ..program.ir import Access, Array, Instruction, Program
from . import codegen

#: The coefficients that change from step to step, or from run to run, in the order of the array ``numbers``.
NUMBERS = ("beta1", "1 - beta1", "beta2", "1 - beta2", "√(1 - beta2^t)", "eps", "lr / (1 - beta1^t)", "1 - lr·decay")

P, G, M, V, N, T, U = range(7)


def program(size: int) -> Program:
    """Update ``size`` parameters: Loshchilov and Hutter 2019, algorithm 2, with the corrections drawn together.

    >>> print(program(4))                       # doctest: +NORMALIZE_WHITESPACE
    p[i] = p[i] * numbers[7]                    i<4
    m[i] = m[i] * numbers[0]                    i<4
    %5[i] = g[i] * numbers[1]                   i<4
    m[i] += %5[i]                               i<4
    v[i] = v[i] * numbers[2]                    i<4
    %5[i] = g[i] * g[i]                         i<4
    %5[i] = %5[i] * numbers[3]                  i<4
    v[i] += %5[i]                               i<4
    %5[i] = sqrt(v[i])                          i<4
    %5[i] = %5[i] / numbers[4]                  i<4
    %5[i] = %5[i] + numbers[5]                  i<4
    %6[i] = m[i] * numbers[6]                   i<4
    %6[i] = %6[i] / %5[i]                       i<4
    p[i] += neg(%6[i])                          i<4
    """
    labels = ("p", "g", "m", "v", "numbers", "", "")
    arrays = tuple(Array((len(NUMBERS) if n == N else size,), label=label) for n, label in enumerate(labels))

    def all_of(array: int) -> Access:
        return Access(array, (0,), ((1,),))

    def do(op: str, out: int, *inputs: int | Access, add: bool = False) -> Instruction:
        operands = tuple(all_of(x) if isinstance(x, int) else x for x in inputs)
        return Instruction(op, (size,), all_of(out), operands, accumulate=add)

    number = [Access(N, (n,), ((0,),)) for n in range(len(NUMBERS))]
    instructions = (
        do("mul", P, P, number[7]),
        do("mul", M, M, number[0]), do("mul", T, G, number[1]), do("copy", M, T, add=True),
        do("mul", V, V, number[2]), do("mul", T, G, G), do("mul", T, T, number[3]), do("copy", V, T, add=True),
        do("sqrt", T, V), do("div", T, T, number[4]), do("add", T, T, number[5]),
        do("mul", U, M, number[6]), do("div", U, U, T), do("neg", P, U, add=True),
    )  # fmt: skip
    outputs = tuple((all_of(array), (size,)) for array in (P, M, V))
    return Program(arrays, instructions, outputs, len(instructions))


class Kernel:
    """The program on a piece of memory."""

    def __init__(self, p: Any, g: Any, m: Any, v: Any, numbers: Any) -> None:
        self.program = program(len(p))
        self.dtype = p.dtype
        self.arrays: list[Any] = [p, g, m, v, numbers, None, None]
        self.kept: list[Any] = []
        builder = fusion.Builder(self.program, 1)
        for number in range(len(self.program.instructions)):
            builder.add(number)
        fusion.hide(self.program, [builder.group])
        #: One step.
        self.run = codegen.kernel(self, builder.group)

    def local_memory(self, size: int) -> Any:
        """Never needed: all intermediates stay in registers."""
        raise NotImplementedError
