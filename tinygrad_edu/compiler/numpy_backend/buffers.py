"""The arrays of a program, and the list of calls made from its instructions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..program.ir import Program
from ..runtime import memory
from ..runtime.views import View

Step = Callable[[], Any]


@dataclass
class Buffers:
    """The arrays of a program, laid out for one batch size.

    Attributes:
        arrays: a numpy array for each of the program's; axes in the order of the program, the lanes last.
        batch: the number of lanes.
        dtype: the type of all arithmetic.
        one_hots: ones where an index is the candidate, by index and loops, shared by all instructions.
        slopes: the derivatives of gelu that its forward instructions store, by the array of their input.
    """

    program: Program
    arrays: Sequence[Any]
    batch: int
    dtype: Any
    one_hots: dict[Any, View] = field(default_factory=dict)
    slopes: dict[int, View] = field(default_factory=dict)


class Calls:
    """Calls of functions, collected in ``steps`` in execution order."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        self.steps: list[Step] = []

    def call(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Add a call."""
        self.steps.append(partial(function, *arguments))

    def scratch_like(self, out: View, shape: Sequence[int]) -> View:
        """Allocate scratch memory with axes in the same order as those of ``out``; no strides along axes of length
        1."""
        order = sorted(range(len(shape)), key=lambda d: -abs(out.strides[d]))
        scratch = memory.empty([shape[d] for d in order], self.dtype)
        return View.of(scratch.transpose([order.index(d) for d in range(len(shape))]), drop_ones=True)
