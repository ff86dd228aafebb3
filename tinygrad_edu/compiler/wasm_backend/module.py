"""A compiled function as a WebAssembly module, which trains in a browser or in Node without Python."""

from __future__ import annotations

import builtins
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import CompileError
from ...files import write_atomically
from ..llvm_backend import codegen, in_place
from ..llvm_backend.text import WASM
from ..program.ir import Program
from ..program.updates import Update
from ..runtime.index_range import NO_LIMIT, index_limits
from .binary import PAGE, module, sections
from .layout import Calls, Layout, WasmExecutor
from .texts import joined

__all__ = ["Function", "Optimizer", "WasmModule", "build"]

#: The custom section of a module with its description.
SECTION = "tinygrad_edu"
_DATA = 11  # the kind of the section with the initial memory
_PACKED = b"tgew"  # how packed modules begin


@dataclass(frozen=True)
class WasmModule:
    """A WebAssembly module with its functions and initial numbers. Made by
    :meth:`.Compiled.to_wasm`.

    Attributes:
        bytes: the module; its custom section ``tinygrad_edu`` has the description as JSON.
        description: where everything is in its memory, in bytes: inputs, results, parameters and their gradient,
            and the state of the optimizer.
        constants: by program, the numbers that are in it, 64 bits each, and the address of each number.
    """

    bytes: bytes = field(repr=False)
    description: Mapping[str, Any] = field(repr=False)
    constants: Mapping[str, tuple[list[float], list[int]]] = field(repr=False, default_factory=dict)

    def save(self, folder: str | Path) -> None:
        """Write ``step.wasm``, ``step.json`` (the description) and ``step.js``, which loads it, into a folder."""
        where = Path(folder)
        where.mkdir(parents=True, exist_ok=True)
        write_atomically(where / "step.wasm", self.bytes)
        write_atomically(where / "step.json", json.dumps(self.description, indent=1) + "\n")
        write_atomically(where / "step.js", (Path(__file__).parent / "step.js").read_bytes())

    def packed(self) -> builtins.bytes:
        """Return the module for pages that hold it deflated, at two thirds of the size; ``load`` unpacks it.

        Most of a module is tables of 64-bit numbers that are small: the first bytes of all come first, then the second
        ones, and so on.
        """
        body = next(body for kind, body in sections(self.bytes) if kind == _DATA)
        count = len(body) // 8
        end = self.bytes.rindex(body) + len(body)
        start = end - 8 * count
        places = (number.to_bytes(4, "little") for number in (start, count))
        tables = (self.bytes[start + byte : end : 8] for byte in range(8))
        return b"".join([_PACKED, *places, self.bytes[:start], *tables, self.bytes[end:]])


@dataclass(frozen=True)
class Function:
    """A program that a module runs.

    Attributes:
        program: with or without a gradient.
        batch: how many examples it takes.
        arguments: their names.
    """

    program: Program = field(repr=False)
    batch: int
    arguments: Sequence[str] = field(repr=False)


@dataclass(frozen=True)
class Optimizer:
    """The optimizer of a module.

    Attributes:
        updates: the program of a step.
        settings: its kind and numbers, for step.js.
        numbers: the arrays of scalars that change from step to step, which step.js writes.
        state: arrays by name.
    """

    updates: Sequence[Update] = field(repr=False)
    settings: Mapping[str, Any] = field(repr=False)
    numbers: Sequence[Any] = field(repr=False)
    state: Mapping[str, Any] = field(repr=False)


def build(
    functions: Mapping[str, Function],
    parameters: Any,
    gradient: Any,
    tensors: Mapping[str, tuple[int, list[int]]],
    optimizer: Optimizer | None,
    notes: Mapping[str, Any],
) -> WasmModule:
    """Return a module.

    Args:
        functions: by name.
        parameters, gradient: their numpy arrays.
        tensors: by name, where each begins in the array of parameters, and its shape.
        optimizer: updates the parameters, if not None.
        notes: additional entries of the description.

    Raises:
        CompileError: without llvmlite; for a program that draws random numbers or has an operation without a formula.
    """
    if not codegen.available():
        raise CompileError("to_wasm needs llvmlite: pip install llvmlite")
    for one in functions.values():
        if any(array.kind == "random" for array in one.program.arrays):
            raise CompileError(
                "to_wasm has no random numbers, and the function has Dropout: put the model in eval() mode, or set "
                "dropout to 0"
            )
    runs = {
        name: WasmExecutor(one.program, parameters, gradient if one.program.gradient is not None else None, one.batch)
        for name, one in functions.items()
    }
    layout = Layout()
    for executor in runs.values():
        for array in executor.work():
            layout.reserve(array)
    layout.reserve(gradient)
    moving = [parameters, *(optimizer.numbers if optimizer else ()), *(optimizer.state.values() if optimizer else ())]
    for array in moving:  # zeros need no place in the file
        (layout.put if array.any() else layout.reserve)(array)
    for executor in runs.values():
        for array in executor.given():
            layout.put(array)
    calls = {name: Calls(layout, executor.kernels) for name, executor in runs.items()}
    if optimizer:
        updates = [in_place.kernel(u.program(u.size), list(u.arrays), WASM) for u in optimizer.updates if u.size]
        calls["update"] = Calls(layout, updates)
    layout.close()
    for each in calls.values():
        each.fill()
    texts: dict[str, int] = {}
    order = {
        name: [(texts.setdefault(k.text, len(texts)), at) for k, at in zip(each.kernels, each.tables, strict=True)]
        for name, each in calls.items()
    }
    pages = -(-layout.size // PAGE)
    if pages > PAGE:
        raise CompileError(
            f"the module would need {layout.size / 2**30:.1f} GiB of memory, and WebAssembly has 4: use a smaller batch"
        )
    kind = {4: "float32", 8: "float64"}[parameters.itemsize]
    description = {
        "version": 1, "pages": pages, "dtype": kind,
        "programs": {
            name: _described(layout, executor, functions[name].arguments) for name, executor in runs.items()
        },
        "parameters": {
            "offset": layout.place_of(parameters), "size": len(parameters),
            "tensors": {name: {"start": start, "shape": shape} for name, (start, shape) in tensors.items()},
        },
        "gradient": {"offset": layout.place_of(gradient), "size": len(gradient)},
        "optimizer": optimizer and {
            **optimizer.settings,
            "numbers": [layout.place_of(array) for array in optimizer.numbers],
            "state": {name: layout.place_of(array) for name, array in optimizer.state.items()},
        },
        "notes": notes,
    }  # fmt: skip
    compiled = codegen.wasm_object(joined(list(texts), order))
    said = {SECTION: json.dumps(description).encode()}
    content = module(compiled, {name: name for name in calls}, pages, bytes(layout.data), said)
    return WasmModule(content, description, {name: _constants(layout, executor) for name, executor in runs.items()})


def _constants(layout: Layout, executor: WasmExecutor) -> tuple[list[float], list[int]]:
    numbers: list[float] = []
    places: list[int] = []
    for array, own in zip(executor.program.arrays, executor.arrays, strict=True):
        if array.kind == "constant":
            numbers += np.ravel(array.data).tolist()
            steps = (np.arange(n) * step for n, step in zip(own.shape, own.strides, strict=True))
            start = np.int64(layout.place_of(own))
            places += np.ravel(reduce(np.add.outer, steps, start)).tolist()
    return numbers, places


def _described(layout: Layout, executor: WasmExecutor, arguments: Sequence[str]) -> dict[str, Any]:
    program = executor.program
    given = [n for n, array in enumerate(program.arrays) if array.kind in ("input", "index")]
    limits = index_limits(program)
    inputs = []
    for n, (name, number, array) in enumerate(zip(arguments, given, executor.inputs, strict=True)):
        own = limits.get(number)
        inputs.append(
            {
                "name": name or f"argument {n + 1}", "dtype": str(array.dtype), "offset": layout.place_of(array),
                "shape": list(array.shape), "strides": list(array.strides),
                "limits": None if own is None else [None if x == NO_LIMIT else int(x) for x in own.ravel()],
            }
        )  # fmt: skip
    out = executor.results
    return {
        "batch": executor.batch,
        "inputs": inputs,
        "outputs": {"offset": layout.place_of(out), "shape": list(out.shape), "strides": list(out.strides)},
    }
