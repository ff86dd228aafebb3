"""How a back end is chosen and what it must provide; `agree` checks its numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.compiler.against_eager import others
from tests.compiler.interpreter_backend import InterpreterBackend
from tinygrad_edu import Value, jit
from tinygrad_edu.compiler import SGD, Adam, AdamW, Backend, NumpyBackend, Parameters
from tinygrad_edu.errors import CompileError, DomainError


def test_every_program_of_the_tests_runs_on_the_back_end_of_one_page() -> None:
    assert type(others(True)[0]) is InterpreterBackend


def test_a_back_end_runs_calls_gradients_and_bound_calls() -> None:
    w = [Value(2.0), Value(3.0)]
    compiled = jit(lambda x: (w[0] * x).tanh() + w[1], w, backend=InterpreterBackend(), dtype="float64")
    plain = jit(lambda x: (w[0] * x).tanh() + w[1], w, dtype="float64")
    batch = [0.1, -0.2, 0.3]
    assert compiled(batch) == pytest.approx(plain(batch))
    assert compiled.value_and_grad(batch) == pytest.approx(plain.value_and_grad(batch))
    assert compiled.parameters.gradient == pytest.approx(plain.parameters.gradient)
    bound = compiled.bind(batch)
    bound.arguments[0][1] = 0.5
    assert bound() == pytest.approx(plain.flat([0.1, 0.5, 0.3]))
    w[0].data = 0.0
    assert compiled(batch).tolist() == [3.0, 3.0, 3.0]


def test_an_unsupported_request_to_a_back_end_is_a_clear_error() -> None:
    w = Value(0.0)
    compiled = jit(lambda x: (w * x).log(), [w], backend=InterpreterBackend())
    with pytest.raises(DomainError, match="the loss is nan"):
        compiled.value_and_grad([1.0])
    with pytest.raises(CompileError, match="Interpreted does not measure single instructions"):
        compiled.timed([1.0])


@pytest.mark.parametrize(
    "wrong", ["numpy", "cuda", 2, NumpyBackend, np.float32, object()], ids=lambda x: type(x).__name__
)
def test_an_invalid_back_end_is_refused(wrong: Any) -> None:
    for make in (lambda: jit(lambda x: x, [Value(1.0)], backend=wrong), lambda: Parameters(backend=wrong)):
        with pytest.raises(TypeError, match=r"backend must be a Backend, such as NumpyBackend\(threads=2\); got the"):
            make()


def test_parameters_keep_their_back_end() -> None:
    parameters = Parameters([Value(1.0)], backend=NumpyBackend(native=False))
    jit(lambda x: x, parameters, backend=parameters.backend)
    with pytest.raises(ValueError, match=r"are on NumpyBackend\(threads=1, native=False\); choose there"):
        jit(lambda x: x, parameters, backend=NumpyBackend())


def test_a_back_end_must_define_how_it_runs() -> None:
    with pytest.raises(NotImplementedError):
        jit(lambda x: x * 2, [Value(1.0)], backend=Backend())([1.0])


@pytest.mark.parametrize("eps", [1e-8, 0.0])
def test_optimizers_make_the_same_steps_on_every_back_end(eps: float) -> None:
    start = [math.sin(n) for n in range(9)]
    makers = [
        lambda parameters, values: SGD(parameters, lr=0.1, momentum=0.9),
        lambda parameters, values: AdamW(parameters, lr=0.1, eps=eps, weight_decay=0.2, no_decay=values[2:5]),
        lambda parameters, values: Adam(parameters, lr=0.1, eps=eps),
    ]
    for make in makers:
        found = []
        for backend in (NumpyBackend(), NumpyBackend(threads=2, native=False), *others(True)):
            values = [Value(number) for number in start]
            parameters = Parameters(values, "float64", backend)
            optimizer = make(parameters, values)
            for step in range(3):
                gradient = np.cos(np.arange(9) + step)
                gradient[7] = 0.0
                backend.put(parameters.gradient, np.arange(9), gradient)
                optimizer.step()
            found.append([v.data for v in values])
            assert optimizer.state_dict()["steps"] == 3
        assert found[0][:7] != start[:7]
        for other in found[1:]:
            assert other == pytest.approx(found[0], rel=1e-12)
