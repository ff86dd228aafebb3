"""Batches split across threads: the same losses, gradients and random numbers as on one thread."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gpt.config import GPTConfig
from gpt.model import GPT
from tinygrad_edu import Value, jit
from tinygrad_edu import functional as F
from tinygrad_edu.compiler import NumpyBackend
from tinygrad_edu.compiler.runtime.dropout_masks import Share, dropout_mask
from tinygrad_edu.errors import DomainError

CONFIG = {"vocab_size": 11, "block_size": 6, "n_layer": 2, "n_embd": 8, "n_head": 2, "activation": "gelu"}


def batch(size: int) -> tuple[Any, Any]:
    draw = np.random.default_rng(3)
    return draw.integers(0, 11, (size, 6)), draw.integers(0, 11, (size, 6))


def computed(threads: int, size: int, dropout: float = 0.0, dtype: str = "float64") -> tuple[float, Any, Any]:
    model = GPT(GPTConfig(**CONFIG, dropout=dropout), seed=4)
    loss = jit(model.loss, model, backend=NumpyBackend(threads), dtype=dtype)
    loss.seed(5)
    losses = [loss.value_and_grad(*batch(size)) for _ in range(2)]  # the second continues the random sequence
    return losses[1], loss.parameters.gradient.copy(), loss(*batch(size))


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize(("threads", "size"), [(2, 8), (2, 7), (3, 7), (5, 3), (2, 1)])
def test_the_same_as_one_thread(threads: int, size: int, dropout: float) -> None:
    one, shared = computed(1, size, dropout), computed(threads, size, dropout)
    for a, b in zip(one, shared, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_the_same_bits_every_time() -> None:
    first, again = computed(3, 8, 0.2, "float32"), computed(3, 8, 0.2, "float32")
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)


def test_terms_that_do_not_depend_on_the_examples_count_once() -> None:
    w = Value(3.0)
    loss = jit(lambda x: w * w, [w], backend=NumpyBackend(2), dtype="float64")
    assert loss.value_and_grad([1.0, 2.0, 3.0]) == 9.0
    assert loss.parameters.gradient.tolist() == [6.0]


def test_an_error_of_any_thread_is_raised() -> None:
    table = [Value(float(i)) for i in range(4)]
    loss = jit(lambda i: F.pick(table, i), table, backend=NumpyBackend(2), dtype="float64")
    assert loss.value_and_grad([0, 1, 2, 3]) == 1.5
    with pytest.raises(IndexError, match="index 9 is out of range"):
        loss.value_and_grad([0, 1, 2, 9])
    assert loss.value_and_grad([0, 1, 2, 3]) == 1.5  # and the function still works afterwards
    logarithm = jit(lambda x: (x * table[1]).log(), table, backend=NumpyBackend(2), dtype="float64")
    with pytest.raises(DomainError, match="'log'"):
        logarithm.value_and_grad([1.0, 1.0, 1.0, -1.0])


def test_dropout_keeps_the_requested_fraction() -> None:
    draws = dropout_mask(np.random.default_rng(0), (1000,), 0.25, Share.whole(1000))
    assert abs(draws.mean() - 0.75) < 0.002  # four standard deviations
    assert abs(np.corrcoef(draws[:, 0::2].ravel(), draws[:, 1::2].ravel())[0, 1]) < 0.006  # the two halves of a word


def test_nearly_all_can_be_dropped() -> None:
    assert not dropout_mask(np.random.default_rng(0), (1000,), 1.0 - 1e-12, Share.whole(3)).any()


def test_an_invalid_number_of_threads_is_refused() -> None:
    with pytest.raises(ValueError, match="threads must be at least 1, got 0"):
        NumpyBackend(threads=0)
