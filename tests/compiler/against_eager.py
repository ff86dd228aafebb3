"""Check a compiled function against the scalar engine and the program's interpreter, on all back ends."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.compiler.interpreter_backend import InterpreterBackend
from tinygrad_edu.compiler import Backend, Compiled, NumpyBackend, jit, native
from tinygrad_edu.compiler.numpy_backend import executor as numpy_executor
from tinygrad_edu.compiler.numpy_backend import scalars
from tinygrad_edu.compiler.numpy_backend.buffers import Buffers
from tinygrad_edu.compiler.numpy_backend.lowering import lower
from tinygrad_edu.compiler.program import fusion
from tinygrad_edu.compiler.program.ir import Array, Instruction, Program, identity


def by_numpy(op: str, *columns: Any) -> Any:
    """Run an elementwise operation on arrays of one shape with the calls of the numpy back end."""
    out = np.empty_like(columns[0])
    whole = [identity(number, out.shape) for number in range(1 + len(columns))]
    it = Instruction(op, out.shape, whole[0], tuple(whole[1:]))
    program = Program((Array(out.shape),) * len(whole), (it,), ((whole[0], out.shape),), 1)
    for step in lower(it, Buffers(program, [out, *columns], 1, out.dtype)):
        step()
    return out


def eager(function: Callable[..., Any], values: list[Any], *batch: Any) -> tuple[float, Any]:
    """Compute the mean loss of a batch and its gradient with the scalar engine, one example after another."""
    for v in values:
        v.zero_grad()
    examples = [np.asarray(x).tolist() for x in batch]
    size = len(examples[0]) if examples else 1
    total = 0.0
    for n in range(size):
        loss = function(*[x[n] for x in examples]) / size
        loss.backward()
        total += loss.data
    return total, np.array([v.grad for v in values])


def error(a: Any, b: Any) -> float:
    """Return the largest difference, relative to the largest number."""
    return float(np.abs(np.asarray(a) - np.asarray(b)).max() / max(np.abs(np.asarray(b)).max(), 1e-6))


def others(interpret_too: bool) -> list[Backend]:
    """Return the back ends, besides numpy's, that every program runs on; add a new one here."""
    found: list[Backend] = [InterpreterBackend()] if interpret_too else []
    if importlib.util.find_spec("torch") is not None:
        from gpt.engines.torch.backend import TorchBackend

        found.append(TorchBackend())
    return found


def on(backend: Backend, function: Callable[..., Any], parameters: Any, batch: Any, loss: float, expected: Any) -> None:
    """Check the same on another back end, twice."""
    compiled = jit(function, parameters, backend=backend, dtype="float64")
    for _ in range(2):
        assert error(compiled.value_and_grad(*batch), loss) < 1e-9
        assert error(backend.numbers(compiled.parameters.gradient), expected) < 1e-9
    assert error(np.mean(compiled(*batch)), loss) < 1e-9


def executor(compiled: Compiled, size: int, often: bool = False, native: bool = True) -> Any:
    """Return the executor that runs the program with numpy, and its gradient."""
    parameters = compiled.parameters
    backend = NumpyBackend(native=native)
    return backend.executor(compiled.program, parameters.array, parameters.gradient, size, often)


def on_kernels(compiled: Compiled, batch: Any, expected_loss: float, expected: Any) -> None:
    """Check the same with every part of the program as machine code, however small.

    The examples are repeated to fill whole vectors and leave a remainder.
    """
    if not native.available():
        return
    repeated = [np.concatenate([x] * 11) for x in map(np.asarray, batch)]
    size = len(repeated[0]) if repeated else 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fusion, "NARROW", 1)
        patch.setattr(numpy_executor, "FEW", 0)
        patch.setattr(scalars, "WORTH", math.inf)
        runs = executor(compiled, size)
    for _ in range(2):
        compiled.parameters.gradient[...] = 7.0
        assert error(runs.run(repeated).mean(), expected_loss) < 1e-9
        assert error(compiled.parameters.gradient, expected) < 1e-9
    flat_kernels(compiled, [x[:1] for x in repeated])


def flat_kernels(compiled: Compiled, example: Any) -> None:
    """Check one example on a program that is compiled to run often, against numpy."""
    parameters, found = compiled.parameters, []
    for often in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(numpy_executor, "FEW", 0)
            patch.setattr(scalars, "WORTH", math.inf)
            runs = executor(compiled, 1, often, native=often)
        assert often or all(isinstance(item, int) for item in runs.schedule)
        for _ in range(2):
            parameters.gradient[...] = 7.0
            loss = runs.run(example).copy()
        found.append((loss, parameters.gradient.copy()))
    assert error(found[1][0], found[0][0]) < 1e-9
    assert error(found[1][1], found[0][1]) < 1e-9


def on_numbers(compiled: Compiled, batch: Any, expected_loss: float, expected: Any) -> None:
    """Check the same with as much of the program in plain Python as possible, and with none of it."""
    for worth in (-math.inf, math.inf):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(scalars, "WORTH", worth)
            patch.setattr(scalars, "MOST_POINTS", 2000)
            runs = executor(compiled, len(batch[0]) if batch else 1, native=False)
        assert any(isinstance(item, fusion.ScalarGroup) for item in runs.schedule) == (worth < 0)
        for _ in range(2):
            compiled.parameters.gradient[...] = 7.0
            assert error(runs.run(batch).mean(), expected_loss) < 1e-9
            assert error(compiled.parameters.gradient, expected) < 1e-9


def agree(function: Callable[..., Any], parameters: Any, *batch: Any, interpret_too: bool = True) -> Compiled:
    """Compile in float64 and in float32 and compare losses and every gradient; returns the float64 program."""
    compiled = jit(function, parameters, dtype="float64")
    loss = compiled.value_and_grad(*batch)
    expected_loss, expected = eager(function, compiled.parameters.values, *batch)
    assert error(loss, expected_loss) < 1e-9
    assert error(compiled.parameters.gradient, expected) < 1e-9
    again = compiled.value_and_grad(*batch)  # memory is reused: a second run must not see the first
    assert again == loss
    assert error(compiled.parameters.gradient, expected) < 1e-9
    on_kernels(compiled, batch, expected_loss, expected)
    on_numbers(compiled, batch, expected_loss, expected)
    for backend in others(interpret_too):
        on(backend, function, parameters, batch, expected_loss, expected)
    losses = compiled(*batch)
    assert error(losses.mean(), expected_loss) < 1e-9
    small = jit(function, parameters)
    assert error(small.value_and_grad(*batch), expected_loss) < 1e-4
    assert error(small.parameters.gradient, expected) < 1e-4
    return compiled
