"""Optimizer steps on numpy arrays: split across threads, as machine code if possible."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from ..llvm_backend import codegen
from ..llvm_backend.in_place import kernel
from ..program.updates import Update
from ..runtime import memory
from ..runtime.threads import Threads
from .buffers import Buffers, Step
from .lowering import lower

#: For fewer parameters than this, a kernel is not worth its compile time.
SMALLEST = 4096

#: How many parameters numpy updates at a time: a handful of pieces of this size fit into a processor's cache, so that
#: memory is read and written once per step and not once per operation. With smaller ones, threads wait for the GIL.
PIECE = 1 << 16


def in_place(updates: Sequence[Update], threads: Threads, native: bool) -> Callable[[], None]:
    """Return a function that makes all updates once."""
    total = sum(update.size for update in updates)
    native = native and codegen.available() and total >= SMALLEST * threads.count
    dtype = updates[0].arrays[0].dtype
    line = memory.LINE // dtype.itemsize
    piece = -(-total // (threads.count * line)) * line if native else PIECE
    shares: list[list[Step]] = [[] for _ in range(threads.count)]
    scratch = [memory.empty((2, min(piece, total)), dtype) for _ in shares if not native]
    first = 0  # the position of the update, counted over all of them
    for update in updates:
        for start, stop in _parts(first, first + update.size, piece):
            own = start // piece % threads.count
            arrays, program = update.part(start - first, stop - first), update.program(stop - start)
            if native:
                shares[own].append(kernel(program, arrays))
                continue
            free = iter(scratch[own])
            buffers = Buffers(program, [next(free)[: stop - start] if a is None else a for a in arrays], 1, dtype)
            shares[own] += [step for it in program.instructions for step in lower(it, buffers)]
        first += update.size
    codegen.compile_all([step for steps in shares for step in steps if isinstance(step, codegen.Kernel)])

    def run() -> None:
        threads.run(_run_all, [(steps,) for steps in shares if steps])

    return run


def _parts(start: int, stop: int, piece: int) -> list[tuple[int, int]]:
    """Return the ranges from one position to another, cut where a piece ends."""
    edges = [start, *range(start - start % piece + piece, stop, piece), stop]
    return list(pairwise(edges))


def _run_all(steps: Sequence[Step]) -> None:
    with np.errstate(all="ignore"):
        for step in steps:
            step()
