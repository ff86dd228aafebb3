"""A back end in one page: it runs every program with the interpreter, which defines what programs mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_edu.compiler import Backend, Executor
from tinygrad_edu.compiler.program.interpreter import interpret
from tinygrad_edu.compiler.program.ir import Program
from tinygrad_edu.compiler.program.updates import Update


class Interpreted(Executor):
    def __init__(self, program: Program, parameters: Any, gradient: Any, batch: int) -> None:
        super().__init__(program, batch)
        self.parameters, self.gradient, self.arrays = parameters, gradient, []

    def run(self, inputs: Sequence[Any]) -> Any:
        numbers = iter(inputs)
        given = {}
        for n, array in enumerate(self.program.arrays):
            if array.kind in ("input", "index"):
                given[n] = np.moveaxis(np.asarray(next(numbers), float), 0, -1)
            elif array.kind == "parameter":
                given[n] = self.parameters
        self.arrays = interpret(self.program, given, self.batch)
        if self.gradient is not None:
            self.gradient[...] = self.arrays[self.program.gradient]
        return self.outputs()

    def outputs(self) -> Any:
        access, loops = self.program.outputs[0]
        found = self.arrays[access.array][tuple(np.moveaxis(access.indices(loops), -1, 0))]
        return np.broadcast_to(found, (*loops, self.batch) if self.program.arrays[access.array].lanes else loops)


class InterpreterBackend(Backend):
    def executor(self, program: Program, parameters: Any, gradient: Any, batch: int, often: bool = False) -> Executor:
        return Interpreted(program, parameters, gradient, batch)

    def in_place(self, updates: Sequence[Update]) -> Callable[[], None]:
        def run() -> None:
            for update in updates:
                given = {n: array for n, array in enumerate(update.arrays) if array is not None}
                found = interpret(update.program(update.size), given, 1)
                for n, array in given.items():
                    array[...] = found[n]

        return run
