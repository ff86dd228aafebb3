"""Lists of different lengths: one program per length, and the scalar engine's numbers for all of them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from tests.compiler.interpreter_backend import InterpreterBackend
from tinygrad_edu import Value, jit, nn
from tinygrad_edu.compiler import Parameters
from tinygrad_edu.errors import CompileError, DomainError, ShapeError
from tinygrad_edu.functional import pick

a, b = Value(3.0), Value(-0.5)


def mean_square(xs: list[float]) -> Any:
    return sum((a * x + b * n) ** 2 for n, x in enumerate(xs)) / len(xs)


def expected(function: Any, values: list[Value], examples: list[Any]) -> tuple[float, list[float]]:
    """Compute the mean over examples and its gradient with the scalar engine."""
    for value in values:
        value.zero_grad()
    loss = sum(function(*example) for example in examples) / len(examples)
    loss.backward()
    return loss.data, [value.grad for value in values]


def test_every_length_has_its_own_program_and_keeps_it() -> None:
    compiled = jit(mean_square, [a, b], dtype="float64")
    for count, length in enumerate([2, 3, 1, 4, 7], 1):
        for xs in ([0.5 * n - 1 for n in range(length)], [1.5] * length):
            loss, gradient = expected(mean_square, [a, b], [(xs,)])
            assert compiled.value_and_grad([xs]) == pytest.approx(loss)
            assert compiled.parameters.gradient == pytest.approx(gradient)
            assert compiled([xs]) == pytest.approx([loss])
        assert compiled.stats().programs == count
    assert compiled([[1.0, 2.0]]) == pytest.approx([mean_square([1.0, 2.0]).data])  # of the first program
    assert compiled.stats().programs == 5
    assert "the latest of 5 programs" in repr(compiled)
    assert "one of 5 programs" in compiled.summary()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_batch_of_lists_of_different_lengths(dtype: str) -> None:
    batch = [[1.0, 2.0], [3.0], [4.0, 5.0, -6.0], [7.0, -8.0], [0.5, 0.25], [1.0, 1.0]]
    compiled = jit(mean_square, [a, b], dtype=dtype)
    loss, gradient = expected(mean_square, [a, b], [(xs,) for xs in batch])
    for _ in range(2):
        assert compiled.value_and_grad(batch) == pytest.approx(loss)
        assert compiled.parameters.gradient == pytest.approx(gradient)
        assert [a.grad, b.grad] == pytest.approx(gradient)
    assert compiled(batch) == pytest.approx([mean_square(xs).data for xs in batch])
    assert compiled.stats().programs == 3


def test_on_another_back_end() -> None:
    batch = [[1.0, 2.0], [3.0], [0.5, 0.25]]
    compiled = jit(mean_square, [a, b], dtype="float64", backend=InterpreterBackend())
    loss, gradient = expected(mean_square, [a, b], [(xs,) for xs in batch])
    assert compiled.value_and_grad(batch) == pytest.approx(loss)
    assert compiled.parameters.gradient == pytest.approx(gradient)
    assert compiled(batch) == pytest.approx([mean_square(xs).data for xs in batch])


def test_several_arguments_some_of_which_are_lists() -> None:
    table = [Value(0.5), Value(-1.0), Value(2.0)]

    def loss(tokens: list[int], weights: tuple[float, ...], scale: float) -> Any:
        return sum(pick(table, t) * w for t, w in zip(tokens, weights, strict=True)) ** 2 * scale

    batch = ([[0, 1], [2], [1, 1], [2, 0, 1]], [(1.0, 2.0), (3.0,), (0.5, -1.0), (1.0, 1.0, 1.0)])
    scales = [1.0, 2.0, 0.5, -1.0]
    value, gradient = expected(loss, table, list(zip(*batch, scales, strict=True)))
    for last in (scales, np.array(scales)):
        compiled = jit(loss, table, dtype="float64")
        assert compiled.value_and_grad(*batch, last) == pytest.approx(value)
        assert compiled.parameters.gradient == pytest.approx(gradient)
        assert compiled.value_and_grad(*batch, scale=last) == pytest.approx(value)
    with pytest.raises(ShapeError, match="argument 1 has 4, argument 2 has 4, argument 3 has 3"):
        compiled(*batch, scales[:3])
    with pytest.raises(TypeError, match=r"argument 3 of .* got the single number 2.0: write \[2.0\]"):
        compiled(*batch, 2.0)


def test_results_that_are_lists_differ_in_length() -> None:
    compiled = jit(lambda xs: [a * x for x in xs], [a])
    assert [column.tolist() for column in compiled([[1.0, 2.0]])] == [[3.0], [6.0]]
    assert [column.tolist() for column in compiled([[1.0]])] == [[3.0]]
    with pytest.raises(CompileError, match="lists of different lengths expects a function that returns one Value"):
        compiled([[1.0], [1.0, 2.0]])


def test_a_loss_that_is_not_finite_for_one_length() -> None:
    compiled = jit(lambda xs: (a * sum(xs)).log(), [a])
    with pytest.raises(DomainError, match=r"'log' at test_lengths.py:\d+"):
        compiled.value_and_grad([[1.0, 2.0], [-1.0]])


def test_many_lengths_cause_a_warning_and_programs_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinygrad_edu.compiler.compiled._SHAPES", 22)
    compiled = jit(lambda xs: a * sum(xs), [a], dtype="float64")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for length in range(1, 21):
            compiled([[0.5] * length])
    with pytest.warns(UserWarning, match=r"compiled 21 times, .* shape \(21,\) .* fill short lists up") as caught:
        compiled([[0.5] * 21])
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for length in range(22, 41):
            assert compiled([[0.5] * length]).tolist() == [3.0 * 0.5 * length]
    assert len(compiled._versions) == 22
    with pytest.warns(UserWarning, match="compiled 41 times"):
        assert compiled([[0.5]]).tolist() == [1.5]  # the first one was dropped


def test_whole_numbers_first_in_every_length() -> None:
    compiled = jit(lambda xs: a * xs[0] + xs[-1], [a], dtype="float64")
    for xs in ([1], [1, 2], [0.5], [0.5, 1], [3], [3, 4]):
        assert compiled([xs]).tolist() == [3.0 * xs[0] + xs[-1]]
    assert compiled.stats().programs == 4


def test_a_change_reaches_the_programs_of_all_lengths() -> None:
    scale, weights = [2.0], [Value(1.0)]
    compiled = jit(lambda xs: weights[0] * sum(xs) * scale[0], weights, dtype="float64")
    for number in (2.0, 5.0):
        scale[0] = number
        weights[0] = Value(number + 1.0)
        for xs in ([1.0], [1.0, 2.0], [4.0]):
            assert compiled([xs]).tolist() == [sum(xs) * number * (number + 1.0)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        modes = nn.Dropout(0.5, rng=1)
        dropped = jit(lambda xs: modes([a * sum(xs)])[0], [a])
        for _ in range(4):
            modes.train()
            assert float(dropped([[1.0], [1.0, 2.0]])[0]) in (0.0, 6.0)
            modes.eval()
            assert dropped([[1.0], [1.0, 2.0]]).tolist() == [3.0, 9.0]
    assert dropped.stats().programs == 4


def test_without_watching_the_first_numbers_are_kept() -> None:
    compiled = jit(lambda xs: a * sum(xs), [a], watch=False)
    for xs in ([1.0, 2.0], [1.0, 2.0, 3.0], [4.0, 5.0]):
        assert compiled([xs]).tolist() == [3.0 * sum(xs)]
    assert compiled.stats().programs == 2


def test_parameters_that_only_a_longer_list_uses() -> None:
    layer = nn.Linear(2, 1, rng=1)

    def loss(xs: list[float]) -> Any:
        total = sum(xs) * a * b
        return total if len(xs) < 2 else total * b + sum(layer([x * 1.0 for x in xs[:2]]))

    values = [a, b, *layer.parameters()]
    compiled = jit(loss, dtype="float64")
    for batch in ([[1.0]], [[1.0, 2.0]], [[2.0]], [[1.0, 3.0, 5.0], [4.0], [1.0, 2.0]], [[3.0]]):
        value, gradient = expected(loss, values, [(xs,) for xs in batch])
        assert compiled.value_and_grad(batch) == pytest.approx(value)
        assert [v.grad for v in values] == pytest.approx(gradient)


def test_a_function_that_adds_to_shared_parameters_moves_those_of_another() -> None:
    shared, layer = Parameters([a]), nn.Linear(2, 1, rng=1)
    first = jit(lambda x: x * a * b, shared)
    assert first([1.0]).tolist() == [-1.5]
    jit(lambda x: layer([x * a, x * b])[0], shared)([1.0])
    assert first([1.0]).tolist() == [-1.5]


def test_one_program_for_all_lengths_by_a_mask() -> None:
    def padded(xs: list[float], weights: list[float]) -> Any:
        return sum((a * x + b * n) ** 2 * weights[n] for n, x in enumerate(xs))

    compiled = jit(padded, [a, b], dtype="float64")
    for xs in ([1.0], [0.5, -2.0], [1.0, 2.0, 3.0], [3.0, 1.0, 2.0, 0.5]):
        loss, gradient = expected(mean_square, [a, b], [(xs,)])
        rest = 4 - len(xs)
        weights = [1 / len(xs)] * len(xs) + [0.0] * rest
        assert compiled.value_and_grad([xs + [0.0] * rest], [weights]) == pytest.approx(loss)
        assert compiled.parameters.gradient == pytest.approx(gradient)
    assert compiled.stats().programs == 1
