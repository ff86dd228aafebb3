"""Bound arguments, which the program reads in place, and inputs stored where the program would copy them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.compiler.against_eager import agree, executor
from tinygrad_edu import Value, jit
from tinygrad_edu import functional as F
from tinygrad_edu.compiler import NumpyBackend, Parameters
from tinygrad_edu.compiler.numpy_backend.executor import residents
from tinygrad_edu.compiler.program.fusion import numbers
from tinygrad_edu.compiler.program.ir import Access, Array, Instruction, Program, identity
from tinygrad_edu.errors import CompileError

WEIGHTS = [Value(0.5), Value(-1.0), Value(2.0)]


def grown(rows: list[list[Any]], x: list[Any], index: int) -> list[Value]:
    """Compute the products of three given rows and a computed one with one of them."""
    own = [a * w for a, w in zip(x, WEIGHTS, strict=True)]
    everything = [*rows, own]
    return [F.dot(row, F.pick(everything, index)) for row in everything]


def arguments(size: int, seed: int = 0) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(size, 3, 3)), rng.normal(size=(size, 3)), rng.integers(0, 4, size)


@pytest.mark.parametrize("size", [1, 3])
def test_an_argument_is_changed_in_place(size: int) -> None:
    compiled = jit(grown, WEIGHTS, dtype="float64")
    batch = arguments(size)
    bound = compiled.bind(*batch)
    assert [a.shape for a in bound.arguments] == [a.shape for a in batch]
    assert bound() == pytest.approx(compiled.flat(*batch))
    other = arguments(size, seed=1)
    bound.arguments[0][:, 1] = other[0][:, 1]
    bound.arguments[2][...] = other[2]
    batch[0][:, 1] = other[0][:, 1]
    for _ in range(2):
        assert bound() == pytest.approx(compiled.flat(batch[0], batch[1], other[2]))


def test_arguments_are_not_shared() -> None:
    compiled = jit(grown, WEIGHTS)
    one, two = compiled.bind(*arguments(1)), compiled.bind(*arguments(1))
    first = one()
    two.arguments[0][...] = 7.0
    compiled.flat(*arguments(1, seed=3))
    two()
    assert (one() == first).all()


def test_results_without_examples_are_repeated() -> None:
    weight = Value(2.0)
    assert jit(lambda x: weight * 3.0, [weight]).bind([1.0, 1.0])().tolist() == [[6.0, 6.0]]


def test_an_index_is_checked_at_every_call() -> None:
    bound = jit(grown, WEIGHTS).bind(*arguments(1))
    for wrong in (-1, 4):
        bound.arguments[2][0] = wrong
        with pytest.raises(IndexError, match=f"index {wrong} is out of range for a table of 4 entries"):
            bound()


def test_added_parameters_are_noticed() -> None:
    parameters = Parameters()
    bound = jit(lambda x: x * WEIGHTS[0], parameters).bind([1.0])
    assert bound().tolist() == [[0.5]]
    jit(lambda x: x * WEIGHTS[2], parameters).flat([1.0])
    with pytest.raises(CompileError, match="bind the arguments again"):
        bound()


def test_bound_arguments_are_split_across_threads() -> None:
    batch = arguments(5)
    bound = jit(grown, WEIGHTS, backend=NumpyBackend(threads=2), dtype="float64").bind(*batch)
    bound.arguments[1][...] *= 2.0
    assert bound() == pytest.approx(jit(grown, WEIGHTS, dtype="float64").flat(batch[0], batch[1] * 2.0, batch[2]))


@pytest.mark.torch
def test_bound_arguments_on_tensors() -> None:
    from gpt.engines.torch.backend import TorchBackend

    batch = arguments(2)
    bound = jit(grown, WEIGHTS, backend=TorchBackend(), dtype="float64").bind(*batch)
    bound.arguments[1][...] *= 2.0
    bound.arguments[2][...] = 3
    expected = jit(grown, WEIGHTS, dtype="float64").flat(batch[0], batch[1] * 2.0, [3, 3])
    assert bound() == pytest.approx(expected)


def test_given_rows_are_not_copied_next_to_the_computed_one() -> None:
    compiled = agree(lambda *x: F.mean(grown(*x)), WEIGHTS, *arguments(3))
    runs = executor(compiled, 3)
    assert [compiled.program.arrays[n].shape for n in runs.residents] == [(3, 3)]
    assert not {n for n, _ in runs.residents.values()} & {n for item in runs.schedule for n in numbers(item)}


def copies(*more: Instruction) -> Program:
    """Copy an input of three numbers to the first three of four elements; then run ``more``."""
    arrays = (Array((3,), "input", lanes=True), Array((4,), lanes=True))
    to_the_front = Instruction("copy", (3,), Access(1, (0,), ((1,),)), (identity(0, (3,)),))
    return Program(arrays, (to_the_front, *more), ((identity(1, (4,)), (4,)),), 1 + len(more))


def test_an_input_is_not_stored_in_an_array_that_is_written_to() -> None:
    one = Access(1, (3,), ((0,),))
    assert list(residents(copies(Instruction("copy", (1,), one, (5.0,))))) == [0]
    inside = Access(1, (2,), ((0,),))
    assert not residents(copies(Instruction("copy", (1,), inside, (5.0,))))
    assert not residents(copies(Instruction("copy", (1,), inside, (5.0,), accumulate=True)))


def test_numbers_read_twice_in_irregular_order_get_both_gradients() -> None:
    order = [2, 0, 1, 1, 4, 0, 3, 3]
    weights = [Value(0.1 * i) for i in range(8)]

    def loss(xs: list[Any]) -> Value:
        squares = [x * w for x, w in zip(xs, weights, strict=False)]
        return F.mean([v.tanh() for v in F.linear([squares[i] for i in order], [weights, weights[::-1]])])

    compiled = agree(loss, weights, np.random.default_rng(0).normal(size=(2, 5)))
    calls = [step.func.__name__ for step, _ in executor(compiled, 64, native=False).steps]
    assert "_move" in calls
    assert "_move_each" in calls
