"""Errors for code that cannot be compiled: they name the line and say what to write instead."""

from __future__ import annotations

import inspect
import random
import time
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import Value, jit, maximum, nn, no_grad, ops
from tinygrad_edu import functional as F
from tinygrad_edu.engine import apply
from tinygrad_edu.errors import CompileError, DomainError, ShapeError

w = [0.5, -0.25]


def refused(function: Any, *batch: Any, parameters: Any = None) -> str:
    """Return the error message; check that it names the marked line of ``function``."""
    with pytest.raises(CompileError) as caught:
        jit(function, parameters)(*batch)
    message = str(caught.value)
    source, first = inspect.getsourcelines(function)
    marked = [n for n, text in enumerate(source) if "# here" in text]
    if marked:
        assert f"test_refusals.py:{first + marked[0]}" in message
    return message


X = [1.0, 2.0]


def test_a_branch_on_an_example() -> None:
    def loss(x: Any) -> Any:
        if x > 0:  # here
            return x * 2
        return -x

    assert "maximum(), relu(), abs() or pick()" in refused(loss, X)


def test_the_number_of_an_example() -> None:
    def loss(x: Any) -> Any:
        return x * x.data  # here

    message = refused(loss, X)
    assert "return x * x.data" in message
    assert "frozen" in message


@pytest.mark.parametrize(
    "read",
    [
        float,
        int,
        lambda v: float(v.data),
        lambda v: v < 1,
        lambda v: v.data < 1,
        lambda v: max(v, 1),
        lambda v: Value(v),
    ],
)
def test_the_number_of_something_computed(read: Any) -> None:
    a = Value(2.0)

    def loss(x: Any) -> Any:
        return a * x * read((a * x).tanh())

    assert "frozen" in refused(loss, X)


@pytest.mark.parametrize("read", [float, int, lambda v: v.data, lambda v: v < 1])
def test_the_number_of_a_parameter(read: Any) -> None:
    a = Value(2.0)
    assert "frozen" in refused(lambda x: x * read(a), X)
    assert a.data == 2.0  # the guard has been removed


def test_changing_a_parameter_inside() -> None:
    a = Value(2.0)

    def loss(x: Any) -> Any:
        a.data = 3.0  # here
        return a * x

    refused(loss, X)
    assert a.data == 2.0


def test_a_plain_list_indexed_by_an_example() -> None:
    sizes = [1.0, 2.0]

    def loss(i: Any) -> Any:
        return Value(1.0) * sizes[i]  # here

    assert "pick(list, index)" in refused(loss, [0, 1])


def test_parameters_passed_in_may_be_indexed() -> None:
    state = {"table": [[Value(1.0)], [Value(2.0)]]}
    compiled = jit(lambda i: state["table"][i][0] * 2, state)
    assert compiled([1, 0]).tolist() == [4.0, 2.0]
    assert type(state["table"]) is list  # and are plain lists again


@pytest.mark.parametrize("use", [lambda i: i == 0, lambda i: {0: 1}[i], lambda i: range(i), lambda i: bool(i)])
def test_decisions_about_an_index(use: Any) -> None:
    with pytest.raises(CompileError):
        jit(lambda i: Value(1.0) if use(i) else Value(2.0))([0, 1])


def test_an_index_that_is_computed() -> None:
    table = [Value(1.0), Value(2.0)]
    assert "integer argument" in refused(lambda i: table[i + 1], [0, 0])


def test_randomness_that_would_be_frozen() -> None:
    rng = random.Random(0)

    def loss(x: Any) -> Any:
        return x * 2 + x * rng.random()  # here

    assert "draw random numbers outside" in refused(loss, X)


def test_a_clock_that_would_be_frozen() -> None:
    def loss(x: Any) -> Any:
        return x + time.perf_counter()  # here

    assert "two runs" in refused(loss, X)


def test_no_grad_inside() -> None:
    def loss(x: Any) -> Any:
        with no_grad():
            return x * 2  # here

    assert "detach" in refused(loss, X)


def test_a_value_kept_from_the_previous_call() -> None:
    class Cell(nn.Module):
        def __init__(self) -> None:
            self.state: Any = None

        def forward(self, x: Any) -> Any:
            self.state = x * 2 if self.state is None else x + self.state  # here
            return self.state

    cell = Cell()
    with pytest.raises(CompileError, match="pass it on as an argument and a result"):
        jit(lambda x: cell(x) + cell(x))(X)


def test_a_list_that_a_module_changes() -> None:
    class Cache(nn.Module):
        def forward(self, seen: Any, x: Any) -> Any:
            seen.append(x)
            return sum(seen)

    with pytest.raises(CompileError, match="Cache changes a list that it was given"):
        jit(lambda x: Cache()([x], x))(X)


def test_nothing_to_compile() -> None:
    with pytest.raises(CompileError, match="returns no Value"):
        jit(lambda x: 3.0)(X)
    with pytest.raises(TypeError, match="needs a function"):
        jit(3)  # type: ignore[arg-type]


def test_a_loss_must_be_one_value() -> None:
    with pytest.raises(CompileError, match="expects a function that returns one Value"):
        jit(lambda x: [x * 2]).value_and_grad(X)


def test_a_compiled_function_inside_another() -> None:
    inner = jit(lambda x: x * 2)
    with pytest.raises((CompileError, TypeError)):
        jit(lambda x: inner([x]))(X)


def test_invalid_batches() -> None:
    compiled = jit(lambda x: F.mean([v * v for v in x]))
    with pytest.raises(ShapeError, match="argument 1 has 1, argument 2 has 2"):
        jit(lambda x, y: x * y)([1.0], [1.0, 2.0])
    with pytest.raises(TypeError, match="whose first axis is the examples"):
        compiled(3.0)


def test_whole_numbers_where_any_number_is_wanted() -> None:
    compiled = jit(lambda x: x * 2.0)
    assert compiled([1.5]).tolist() == [3.0]
    assert compiled([2]).tolist() == [4.0]


def test_an_index_out_of_range_is_named() -> None:
    table = [Value(1.0), Value(2.0)]
    compiled = jit(lambda i: F.pick(table, i) * 1.5)
    with pytest.raises(IndexError, match="index 2 is out of range for a table of 2 entries"):
        compiled([0, 2])
    with pytest.raises(IndexError, match="index -1"):
        compiled([-1, 0])


def test_a_nan_is_traced_to_its_line() -> None:
    a = Value(1.0)

    def loss(x: Any) -> Any:
        y = (a * x).tanh()
        z = (y - 0.5).log()  # here
        return z * z

    source, first = inspect.getsourcelines(loss)
    line = first + next(n for n, text in enumerate(source) if "# here" in text)
    compiled = jit(loss, [a])
    assert np.isfinite(compiled.value_and_grad([1.0, 2.0]))
    with pytest.raises(DomainError, match=f"'log' at test_refusals.py:{line}"):
        compiled.value_and_grad([1.0, 0.1])


def test_a_gradient_that_is_not_finite_is_an_error_too() -> None:
    a = Value(0.0)
    with pytest.raises(DomainError, match="not finite"):
        jit(lambda x: (a * x).sqrt(), [a]).value_and_grad([1.0])


def test_after_a_refusal_the_engine_is_as_before() -> None:
    a = Value(2.0)
    with pytest.raises(CompileError):
        jit(lambda x: a if a > 1 else x)(X)
    b = a * 3 + maximum(a, 1.0)
    b.backward()
    assert (b.data, a.grad) == (8.0, 4.0)
    assert Value(1.0).op is None


def test_operations_by_name_and_custom_operations() -> None:
    steep = ops.Op("steep", "steep", 1, lambda a: 3.0 * a, lambda a, out: (3.0,), "3 * a", ("3",))
    w = Value(-2.0)
    assert jit(lambda x: apply(ops.ABS, w * x), [w])([1.5]).tolist() == [3.0]
    before = apply(steep, w)
    functions: list[Any] = [lambda x: apply(steep, w * x), lambda x: apply(steep, w) * x, lambda x: before * x]
    for function in functions:
        with pytest.raises(CompileError, match=r"refusals.py:\d+: .*\n  'steep' is an operation of your own"):
            jit(function, [w])([1.0])
