"""Steps of optimizers as array programs, the same for every back end; :mod:`tinygrad_edu.optim` is what to read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .ir import Access, Array, Instruction, Operand, Program

#: The numbers of a program that change from step to step, or from run to run, in the order of its array ``numbers``.
ADAMW = ("beta1", "1 - beta1", "beta2", "1 - beta2", "√(1 - beta2^t)", "eps", "lr / (1 - beta1^t)", "1 - lr·decay")
SGD = ("momentum", "lr")

P, G, M, V, N, D, T, U = range(8)
_LABELS = ("p", "g", "m", "v", "numbers", "decays", "", "")


@dataclass
class Update:
    """A program that changes arrays of a back end where they are; each of its instructions works number by number.

    Attributes:
        program: makes it, for arrays of a length.
        size: their length.
        arrays: one for each array of the program; None for what is only used on the way.
    """

    program: Callable[[int], Program]
    size: int
    arrays: Sequence[Any]

    def part(self, start: int, stop: int) -> list[Any]:
        """The arrays from one place to another; ``numbers`` whole."""
        return [a if n == N or a is None else a[start:stop] for n, a in enumerate(self.arrays)]


def _program(size: int, *rows: tuple[Any, ...]) -> Program:
    """Rows are (operation, array, *operands), an operation that begins with ``+`` adds to what is there."""
    arrays = tuple(Array((len(ADAMW) if n == N else size,), label=label) for n, label in enumerate(_LABELS))

    def all_of(array: int) -> Access:
        return Access(array, (0,), ((1,),))

    def do(op: str, out: int, *operands: Any) -> Instruction:
        inputs: tuple[Operand, ...] = tuple(all_of(x) if isinstance(x, int) else x for x in operands)
        return Instruction(op.removeprefix("+"), (size,), all_of(out), inputs, accumulate=op[0] == "+")

    instructions = tuple(do(*row) for row in rows)
    return Program(arrays, instructions, tuple((all_of(array), (size,)) for array in (P, M, V)), len(instructions))


def _number(n: int) -> Access:
    return Access(N, (n,), ((0,),))


def adamw(size: int, scattered: bool = False, no_eps: bool = False) -> Program:
    """Moves ``size`` parameters: Loshchilov and Hutter 2019, algorithm 2, with the corrections drawn together.

    Args:
        size: how many.
        scattered: whether ``decays`` has 1 where a parameter decays, and 0 elsewhere; then ``numbers[7]`` is −lr·decay.
        no_eps: whether eps is 0: then a parameter whose gradient was always 0 stays where it is.

    >>> print(adamw(4))                         # doctest: +NORMALIZE_WHITESPACE
    p[i] = p[i] * numbers[7]                    i<4
    m[i] = m[i] * numbers[0]                    i<4
    %6[i] = g[i] * numbers[1]                   i<4
    m[i] += %6[i]                               i<4
    v[i] = v[i] * numbers[2]                    i<4
    %6[i] = g[i] * g[i]                         i<4
    %6[i] = %6[i] * numbers[3]                  i<4
    v[i] += %6[i]                               i<4
    %6[i] = sqrt(v[i])                          i<4
    %6[i] = %6[i] / numbers[4]                  i<4
    %6[i] = %6[i] + numbers[5]                  i<4
    %7[i] = m[i] * numbers[6]                   i<4
    %7[i] = %7[i] / %6[i]                       i<4
    p[i] += neg(%7[i])                          i<4
    """
    b1, rest1, b2, rest2, root, eps, rate, keep = map(_number, range(len(ADAMW)))
    return _program(
        size,
        *([("mul", T, D, keep), ("add", T, T, 1.0), ("mul", P, P, T)] if scattered else [("mul", P, P, keep)]),
        ("mul", M, M, b1), ("mul", T, G, rest1), ("+copy", M, T),
        ("mul", V, V, b2), ("mul", T, G, G), ("mul", T, T, rest2), ("+copy", V, T),
        ("sqrt", T, V), ("div", T, T, root), ("add", T, T, eps),
        *([("equal", U, T, 0.0), ("+copy", T, U)] if no_eps else []),
        ("mul", U, M, rate), ("div", U, U, T), ("+neg", P, U),
    )  # fmt: skip


def sgd(size: int) -> Program:
    """Moves ``size`` parameters by their velocities, which are in ``m``."""
    momentum, rate = map(_number, range(len(SGD)))
    return _program(size, ("mul", M, M, momentum), ("+copy", M, G), ("mul", T, M, rate), ("+neg", P, T))
