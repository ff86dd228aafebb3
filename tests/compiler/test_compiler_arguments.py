"""What a compiled function is given, and what it returns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_edu import Value, jit
from tinygrad_edu.errors import CompileError

w = Value(2.0)


def test_ragged_lists() -> None:
    with pytest.raises(TypeError, match="argument 1 of .*equal length; got lists of different lengths"):
        jit(lambda xs: sum(x * w for x in xs), [w])([[1.0, 2.0], [3.0]])


def test_by_name() -> None:
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


def test_a_generator() -> None:
    with pytest.raises(CompileError, match="returns a generator; return a list"):
        jit(lambda x: (v * x for v in [w]), [w])([1.0])


def test_truth_values_are_1_and_0() -> None:
    assert jit(lambda x: w * x, [w])([True, False]).tolist() == [2.0, 0.0]


@pytest.mark.parametrize("kind", ["int8", "uint8", "int32", "uint64", "float16", "float64", "longdouble"])
def test_every_width(kind: str) -> None:
    assert jit(lambda x: w * x, [w])(np.array([1, 3], kind)).tolist() == [2.0, 6.0]


def test_integers_beyond_64_bits() -> None:
    with pytest.raises(TypeError, match="18446744073709551615 is too large"):
        jit(lambda x: w * x, [w])(np.array([2**64 - 1], np.uint64))
    with pytest.raises(TypeError, match="expected numbers"):
        jit(lambda x: w * x, [w])([2**70])
