"""From a block to a program."""

from __future__ import annotations

import numpy as np

from ..program.ir import Access, Array, Program, check
from ..program.passes import drop_dead, embed, spread_lanes
from .placement import Placement


def to_program(block: Placement) -> Program:
    """Turn the block of the whole function into a program whose output is one row of results."""
    access = block.operand(np.array(block.normal.outputs, np.int64))
    if not isinstance(access, Access):
        array = block.new(
            Array((len(block.normal.outputs),), "constant", data=np.full(len(block.normal.outputs), access))
        )
        access = Access(array, (0,), ((1,),))
    n = len(block.normal.outputs)
    instructions = tuple(block.instructions)
    program = Program(tuple(block.arrays), instructions, ((access, (n,)),), len(instructions))
    program = check(spread_lanes(program), "vectorize")
    program = check(embed(program), "embed")
    return check(drop_dead(program), "dead code")
