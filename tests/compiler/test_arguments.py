"""Arguments and results of compiled functions."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import Value, jit
from tinygrad_edu.compiler import NumpyBackend
from tinygrad_edu.errors import CompileError, DomainError, ShapeError
from tinygrad_edu.functional import pick

w = Value(2.0)


def test_ragged_lists_in_one_example() -> None:
    with pytest.raises(TypeError, match="argument 1 of .*; got lists of different lengths: .* fill the short ones up"):
        jit(lambda rows: rows[0][0] * w, [w])([[[1.0, 2.0], [3.0]], [[1.0, 2.0], [3.0]]])
    with pytest.raises(TypeError, match="argument 1 of .*; got lists of different lengths"):
        jit(lambda xs: w * 2, [w])([[1.0], 2.0])


def test_keyword_arguments() -> None:
    def scaled(x: Any, k: Any = 3.0) -> Any:
        return w * x * k

    assert jit(scaled, [w])([1.0]).tolist() == [6.0]
    assert jit(scaled, [w])([1.0], k=[5.0]).tolist() == [10.0]
    assert jit(scaled, [w]).value_and_grad(k=[5.0], x=[1.0]) == 10.0
    with pytest.raises(TypeError, match="unexpected keyword argument 'other'"):
        jit(scaled, [w])([1.0], other=[5.0])

    def only(x: Any, *, k: Any) -> Any:
        return w * x * k

    with pytest.raises(TypeError, match="by position; got k by name"):
        jit(only, [w])([1.0], k=[5.0])


def test_an_array_of_values_is_a_list_of_them() -> None:
    out = jit(lambda x: np.array([w * x, w + x]), [w])([1.0, 4.0])
    assert [column.tolist() for column in out] == [[2.0, 8.0], [3.0, 6.0]]


def test_a_generator_argument() -> None:
    with pytest.raises(CompileError, match="returns a generator; return a list"):
        jit(lambda x: (v * x for v in [w]), [w])([1.0])


def test_truth_values_are_1_and_0() -> None:
    assert jit(lambda x: w * x, [w])([True, False]).tolist() == [2.0, 0.0]


@pytest.mark.parametrize("kind", ["int8", "uint8", "int32", "uint64", "float16", "float64", "longdouble"])
def test_integers_and_floats_of_every_width(kind: str) -> None:
    assert jit(lambda x: w * x, [w])(np.array([1, 3], kind)).tolist() == [2.0, 6.0]


def test_integers_beyond_64_bits() -> None:
    with pytest.raises(TypeError, match="18446744073709551615 is too large"):
        jit(lambda x: w * x, [w])(np.array([2**64 - 1], np.uint64))
    assert jit(lambda x: w * x, [w])([2**70]).tolist() == [2.0**71]


@pytest.mark.parametrize(
    "batch",
    [
        np.array([0.5, 2], object), [Fraction(1, 2), 2], np.array([[0.5, 9], [2, 9]])[:, 0], np.array([2, 0.5])[::-1],
        np.array([0.5, 2.0], ">f4"), np.ma.array([0.5, 2.0]),
    ],
    ids=str.split("object fraction view reversed swapped masked"),
)  # fmt: skip
def test_arrays_of_every_kind(batch: Any) -> None:
    assert jit(lambda x: w * x, [w])(batch).tolist() == [1.0, 4.0]


def test_numbers_too_large_become_infinite_without_a_warning() -> None:
    assert jit(lambda x: w * x, [w], dtype="float64")(np.array([np.longdouble("1e4000")])).tolist() == [math.inf]


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (1.5, r"got the single number 1.5: write \[1.5\]"),
        (np.array(2), r"write \[2\]"),
        ([], "the batch is empty"),
        (np.zeros((0, 2)), "the batch is empty"),
        (np.ma.array([1.0, 2.0], mask=[0, 1]), "masked numbers"),
        ([None], r"got the list \[None\]"),
        ([1j], "expected numbers"),
        (np.array(["2020"], "datetime64[Y]"), "expected numbers"),
        ([Value(1.0)], "expected numbers"),
        ([Decimal(1)], "expected numbers"),
        ("12", "got the str '12'"),
    ],
    ids=str.split("number array0d empty rows0 masked none complex date value decimal text"),
)
def test_errors_of_invalid_batches_say_what_to_write(batch: Any, message: str) -> None:
    with pytest.raises((TypeError, ShapeError), match=message) as caught:
        jit(lambda x: w * x, [w])(batch)
    assert len(str(caught.value)) < 250


def test_a_list_instead_of_an_index_is_shown_in_the_error() -> None:
    with pytest.raises(TypeError, match=r"takes one index, an integer; got the list \[Index"):
        jit(lambda k: pick([w, w * 2], k), [w])([[1, 0]])


def test_whole_numbers_first_and_floats_later() -> None:
    w = Value(2.0)
    scaled = jit(lambda x, y: w * x + y, [w])
    assert scaled([1, 2], [0, 0]).tolist() == [2.0, 4.0]
    assert scaled([1.5, 2.0], [0, 1]).tolist() == [3.0, 5.0]
    assert scaled([3, 4], [0.5, 0.0]).tolist() == [6.5, 8.0]
    assert scaled([3, 4], [1, 1]).tolist() == [7.0, 9.0]
    assert scaled.value_and_grad([1.5, 2.5], [0, 0]) == 4.0
    assert w.grad == 2.0


def test_floats_where_an_index_is_needed_are_refused_and_integers_go_on() -> None:
    table = [Value(1.0), Value(2.0)]
    chosen = jit(lambda k: pick(table, k), table)
    assert chosen([0, 1]).tolist() == [1.0, 2.0]
    with pytest.raises(TypeError, match="takes one index, an integer; got a number that is no integer"):
        chosen([0.5, 1.0])
    assert chosen([1]).tolist() == [2.0]


@pytest.mark.parametrize(
    ("written", "function", "batch"),
    [
        ("'/'", lambda w, x: x / (w - w), [1.0, 2.0, -3.0]),
        ("'**'", lambda w, x: (w * x) ** -1, [0.0, 2.0]),
        ("'-'", lambda w, x: x * 3e38 - w * 3e38, [-1.0]),
        ("'log'", lambda w, x: (w * x).log(), [0.0, 2.0]),
        ("the derivative of 'sqrt'", lambda w, x: ((w - w) * x).sqrt(), [1.0, 2.0]),
        ("'exp'", lambda w, x: (w * x).exp(), [1000.0]),
    ],
    ids=["division", "power", "difference", "log", "root", "exp"],
)
def test_a_loss_that_is_not_finite_quotes_the_source(written: str, function: Any, batch: list[float]) -> None:
    w = Value(1.0)
    with pytest.raises(DomainError, match=rf"come from {re.escape(written)} at test_arguments.py:\d+"):
        jit(lambda x: function(w, x), [w], dtype="float32").value_and_grad(batch)


@pytest.mark.parametrize("use", [lambda x: x[0], sum, len], ids=["item", "sum", "len"])
@pytest.mark.parametrize("example", [[1, 2], [0.5, 1.5]], ids=["integers", "numbers"])
def test_a_forgotten_batch_axis_is_explained(use: Any, example: list[float]) -> None:
    w = Value(1.0)
    with pytest.raises(TypeError) as error:
        jit(lambda x: w * use(x), [w]).value_and_grad(example)
    assert error.value.__notes__[-1].endswith("One example that is a list is given as [list].")
    assert jit(lambda x: w * use(x), [w])([example]).tolist()


def test_arguments_that_value_and_grad_and_batches_expect() -> None:
    w = Value(1.0)
    with pytest.raises(CompileError, match=r"expects a function that returns one Value; .* returns a list"):
        jit(lambda x: [w * x, w], [w]).value_and_grad([1.0])
    with pytest.raises(ShapeError, match="got: argument 1 has 2, argument 2 has 1"):
        jit(lambda x, y: w * x * y, [w])([1.0, 2.0], [1.0])


W = [0.1 * i - 0.3 for i in range(20)]
OF_INTEGERS = {
    "a dot product": (lambda xs, w: sum(p * q for p, q in zip(w, xs, strict=False))),
    "a sum": (lambda xs, w: sum(xs) * w[0]),
    "squares": (lambda xs, w: sum(x * x for x in xs) * w[0]),
    "functions": (lambda xs, w: sum((p * x).tanh() for p, x in zip(w, xs, strict=False))),
    "signs": (lambda xs, w: (-xs[0] - xs[-1]) * w[0]),
    "products of products": (lambda xs, w: sum(sum(p * q for p, q in zip(w, xs, strict=False)) * x for x in xs)),
}


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("name", OF_INTEGERS)
def test_integers_are_numbers_wherever_floats_are(name: str, native: bool) -> None:
    for size in (1, 3, 20):
        for batch in (1, 2, 40):
            x = np.random.default_rng(size).integers(-5, 9, (batch, size))
            found = []
            for given in (x, x.astype(float)):
                w = [Value(v) for v in W]
                compiled = jit(lambda xs, w=w: OF_INTEGERS[name](xs, w), w, backend=NumpyBackend(native=native))
                found.append([*compiled(given), compiled.value_and_grad(given), *compiled.parameters.gradient])
            assert found[0] == pytest.approx(found[1], rel=1e-5, abs=1e-5)
