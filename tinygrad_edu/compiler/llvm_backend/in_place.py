"""A program of few instructions on arrays that are there, as one kernel: every number is read and written once."""

from __future__ import annotations

from typing import Any

from ..program import fusion
from ..program.ir import Program
from . import codegen


class Kernel:
    """The program on a range of memory; arrays that are None stay in registers."""

    def __init__(self, program: Program, arrays: list[Any]) -> None:
        self.program, self.arrays = program, arrays
        self.dtype = arrays[0].dtype
        builder = fusion.Builder(program, 1)
        for number in range(len(program.instructions)):
            builder.add(number)
        fusion.hide(program, [builder.group])
        self._run = codegen.kernel(self, builder.group)

    def __call__(self) -> None:
        """Make one step."""
        self._run()

    def local_memory(self, size: int) -> Any:
        """Never needed: all that is computed on the way stays in registers."""
        raise NotImplementedError
