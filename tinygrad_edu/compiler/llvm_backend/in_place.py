"""A short program on existing arrays as one kernel: every number is read and written once."""

from __future__ import annotations

from typing import Any

from ..program import fusion
from ..program.ir import Program
from . import codegen
from .text import HERE, Target


def kernel(program: Program, arrays: list[Any], target: Target = HERE) -> codegen.Kernel:
    """Return the kernel of a program on a range of memory; arrays that are None stay in registers."""
    return _Home(program, arrays, target).kernel


class _Home:
    def __init__(self, program: Program, arrays: list[Any], target: Target) -> None:
        self.program, self.arrays, self.target = program, arrays, target
        self.dtype = arrays[0].dtype
        builder = fusion.Builder(program, 1)
        for number in range(len(program.instructions)):
            builder.add(number)
        (group,) = builder.finish()
        assert isinstance(group, fusion.Group)
        fusion.hide(program, [group])
        self.kernel = codegen.kernel(self, group)

    def local_memory(self, size: int) -> Any:
        """Never needed: all intermediate results stay in registers."""
        raise NotImplementedError
