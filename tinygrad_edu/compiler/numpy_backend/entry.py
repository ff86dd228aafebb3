"""The back end that runs everywhere: ``NumpyBackend``, the default of ``jit``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

from ..backend import Backend, Executor
from ..llvm_backend import codegen, steps
from ..program.ir import Program
from ..program.updates import Update
from ..runtime.threads import Threads
from .executor import NumpyExecutor
from .in_place import in_place
from .parallel import ParallelExecutor


class NumpyBackend(Backend):
    """Run programs as calls of numpy, on the CPU.

    Args:
        threads: the number of threads among which the examples of a batch, and the parameters in an optimizer's step,
            are split.
        native: whether groups of instructions become machine code (``llvm_backend``), if llvmlite is installed.
    """

    def __init__(self, threads: int = 1, native: bool = True) -> None:
        self.threads = Threads(threads)
        self.native = native

    def executor(self, program: Program, parameters: Any, gradient: Any, batch: int, often: bool = False) -> Executor:
        """Make what runs a program on these parameters."""
        if min(self.threads.count, batch) > 1:
            return ParallelExecutor(program, parameters, gradient, batch, self.threads, self.native)
        return NumpyExecutor(program, parameters, gradient, batch, native=self.native, often=often)

    def preparing(self, dtype: str) -> AbstractContextManager[None]:
        """Compile the kernel of products in another thread during the block."""
        if not (self.native and codegen.available()):
            return nullcontext()
        return codegen.beside(partial(steps.usual, dtype == "float64"))

    def in_place(self, updates: Sequence[Update]) -> Callable[[], None]:
        """Return what makes all updates once."""
        return in_place(updates, self.threads, self.native)

    def __repr__(self) -> str:
        return f"NumpyBackend(threads={self.threads.count}, native={self.native})"
