"""How a back end is chosen and what it must provide; `agree` checks its numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.compiler.against_eager import others
from tests.compiler.interpreter_backend import InterpreterBackend
from tinygrad_edu import Value, compiler, jit, optim
from tinygrad_edu.compiler import SGD, Backend, NumpyBackend, Parameters
from tinygrad_edu.errors import CompileError, DomainError


def test_every_program_of_the_tests_runs_on_the_back_end_of_one_page() -> None:
    assert type(others(True)[0]) is InterpreterBackend


def test_a_back_end_runs_calls_gradients_and_bound_calls() -> None:
    w = [Value(2.0), Value(3.0)]
    compiled = jit(lambda x: (w[0] * x).tanh() + w[1], w, backend=InterpreterBackend(), dtype="float64")
    plain = jit(lambda x: (w[0] * x).tanh() + w[1], w, dtype="float64")
    batch = [0.1, -0.2, 0.3]
    results = [math.tanh(2.0 * x) + 3.0 for x in batch]
    by_first = sum(x * (1.0 - math.tanh(2.0 * x) ** 2) for x in batch) / 3  # of the mean loss
    for each in (compiled, plain):
        assert each(batch) == pytest.approx(results, rel=1e-14)
        assert each.value_and_grad(batch) == pytest.approx(sum(results) / 3, rel=1e-14)
        assert each.parameters.gradient == pytest.approx([by_first, 1.0], rel=1e-14)
        bound = each.bind(batch)
        bound.arguments[0][1] = 0.5
        assert bound() == pytest.approx(np.array([[results[0], math.tanh(1.0) + 3.0, results[2]]]), rel=1e-14)
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
    with pytest.raises(NotImplementedError, match=r"^Backend must define executor\(\), which runs a program$"):
        jit(lambda x: x * 2, [Value(1.0)], backend=Backend())([1.0])
    with pytest.raises(
        NotImplementedError, match=r"^Backend must define in_place\(\), which runs steps of optimizers$"
    ):
        SGD(Parameters([Value(1.0)], backend=Backend()), lr=1.0).step()


@pytest.mark.parametrize("eps", [1e-8, 0.0])
@pytest.mark.parametrize(("name", "options"), [
    ("SGD", {"momentum": 0.9}), ("AdamW", {"weight_decay": 0.2, "no_decay": slice(2, 5)}), ("Adam", {}),
], ids=["SGD", "AdamW", "Adam"])  # fmt: skip
def test_optimizers_make_the_scalar_steps_on_every_back_end(name: str, options: dict[str, Any], eps: float) -> None:
    gradients = np.cos(np.arange(9) + np.arange(3)[:, None])
    gradients[:, 7] = 0.0

    def made(module: Any, what: Any, values: list[Value]) -> Any:
        chosen = {word: values[number] if word == "no_decay" else number for word, number in options.items()}
        return getattr(module, name)(what, lr=0.1, **chosen, **({} if name == "SGD" else {"eps": eps}))

    expected = [Value(math.sin(n)) for n in range(9)]
    scalar = made(optim, expected, expected)
    for gradient in gradients.tolist():
        for value, number in zip(expected, gradient, strict=True):
            value.grad = number
        scalar.step()
    for backend in (NumpyBackend(), NumpyBackend(threads=2, native=False), *others(True)):
        values = [Value(math.sin(n)) for n in range(9)]
        parameters = Parameters(values, "float64", backend)
        optimizer = made(compiler, parameters, values)
        for gradient in gradients:
            backend.put(parameters.gradient, np.arange(9), gradient)
            optimizer.step()
        assert [v.data for v in values] == pytest.approx([v.data for v in expected], rel=1e-12), backend
        assert optimizer.state_dict()["steps"] == 3
