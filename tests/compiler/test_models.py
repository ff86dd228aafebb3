"""Whole models: the compiled program against the scalar engine and the interpreter."""

from __future__ import annotations

import itertools
import random
from typing import Any

import numpy as np
import pytest

from gpt.config import GPTConfig
from gpt.model import GPT
from tests.compiler.against_eager import agree, eager, error
from tests.compiler.handwritten_gpt import loss_of, make_state
from tinygrad_edu import Value, maximum, minimum, nn
from tinygrad_edu import functional as F
from tinygrad_edu.compiler import Parameters, jit


def numbers(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape)


def tokens(*shape: int, vocab_size: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, vocab_size, shape)


def matrix(rows: int, columns: int, rng: random.Random) -> list[list[Value]]:
    return [[Value(rng.gauss(0, 0.4)) for _ in range(columns)] for _ in range(rows)]


def test_an_expression_with_every_operation() -> None:
    a, b, c = Value(0.7), Value(-1.3), Value(2.1)

    def loss(x: Any, y: Any) -> Value:
        u = a * x + b * y - c
        v = (u.tanh() + u.sigmoid() * u.relu() - u.gelu()) / (1.5 + u.abs())
        w = (u * u + 0.1).sqrt() + (u * u + 0.2).log() + u.sin() * u.cos() + v.exp()
        return maximum(w, v, a) * minimum(w, c) + (u * u + 1) ** b + c**u + (-v) ** 3 + u.detach() * w - 2 ** (a / c)

    agree(loss, [a, b, c], numbers(4), numbers(4, seed=1))


@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu"])
def test_an_mlp_on_points(activation: str) -> None:
    mlp = nn.MLP(3, [5, 4, 1], activation)
    compiled = agree(lambda x, y: (mlp(x) - y) ** 2, mlp, numbers(6, 3), numbers(6, seed=1))
    assert compiled.stats().matrix_products == 3  # one per layer, although a layer is a list of single neurons


def test_many_points_in_one_example_join_the_matrix_products() -> None:
    mlp = nn.MLP(2, [4, 1])

    def loss(points: Any, labels: Any) -> Value:
        return F.mse([mlp(p) for p in points], labels)

    compiled = agree(loss, mlp, numbers(2, 5, 2), numbers(2, 5, seed=1))
    assert compiled.stats().matrix_products == 2


def test_a_bigram_table() -> None:
    table = matrix(7, 7, random.Random(0))

    def loss(xs: Any, ys: Any) -> Value:
        return F.mean([F.cross_entropy(F.pick(table, x), y) for x, y in zip(xs, ys, strict=True)])

    agree(loss, table, tokens(3, 4, vocab_size=7), tokens(3, 4, vocab_size=7, seed=1))


def test_a_table_too_large_for_a_one_hot_matrix() -> None:
    table = matrix(600, 2, random.Random(0))

    def loss(xs: Any) -> Value:
        rows = [F.pick(table, x) for x in xs]
        return F.mean([F.cross_entropy([r[0] for r in rows] * 130 + [r[1] for r in rows] * 130, xs[0])])

    agree(loss, table, tokens(2, 3, vocab_size=600), interpret_too=False)


def test_a_recurrent_cell_unrolled() -> None:
    rng = random.Random(1)
    V, H, T = 7, 5, 4
    p = {"E": matrix(V, H, rng), "Wx": matrix(H, H, rng), "Wh": matrix(H, H, rng), "b": matrix(1, H, rng)[0]}
    p["O"] = matrix(V, H, rng)

    def loss(xs: Any, ys: Any) -> Value:
        h = [Value(0.0)] * H
        total: Any = 0
        for x, y in zip(xs, ys, strict=True):
            seen, kept = F.linear(p["E"][x], p["Wx"]), F.linear(h, p["Wh"])
            h = [(a + b + c).tanh() for a, b, c in zip(seen, kept, p["b"], strict=True)]
            total = total + F.cross_entropy(F.linear(h, p["O"]), y)
        return total / len(xs)

    agree(loss, p, tokens(3, T, vocab_size=V), tokens(3, T, vocab_size=V, seed=1))


def test_a_convolution_reads_one_array_in_overlapping_windows() -> None:
    w = [Value(0.3), Value(-0.2), Value(0.9)]
    scale = Value(1.7)

    def loss(xs: Any) -> Value:
        ys = [(scale * x).tanh() for x in xs]
        return F.mean([F.dot(w, ys[t : t + 3]) ** 2 for t in range(len(xs) - 2)])

    agree(loss, [w, scale], numbers(3, 8))


def test_a_loss_of_weights_alone() -> None:
    w = matrix(3, 4, random.Random(0))
    compiled = agree(lambda: F.mean([v * v + v for row in w for v in row]), w)
    assert compiled().shape == (1,)


def test_a_penalty_on_the_weights_in_addition_to_the_examples() -> None:
    w = matrix(3, 4, random.Random(0))

    def loss(x: Any) -> Value:
        fit = F.mean([v.tanh() for v in F.linear(x, w)])
        return fit + 0.1 * sum(v * v for row in w for v in row)

    agree(loss, w, numbers(5, 4))


def test_values_that_were_computed_before_the_call_are_part_of_the_function() -> None:
    a, b = Value(2.0), Value(3.0)
    agree(lambda x: (a * b) * x + (a - b).exp(), [a, b], numbers(3))


def test_parameters_need_not_be_listed() -> None:
    a, w = Value(0.5), [Value(1.0), Value(-2.0)]
    compiled = agree(lambda x: (F.dot(w, x) - a) ** 2, None, numbers(4, 2))
    assert set(compiled.parameters.values) == {a, *w}


def test_vectors_of_parameters_that_are_not_a_row_of_a_tensor() -> None:
    a, b, loose = [Value(0.5), Value(-1.5), Value(2.0)], [Value(3.0), Value(0.25)], Value(0.75)

    def loss(x: Any) -> Value:
        across = F.dot([a[2], b[0]], x)  # neighbors in the flat array, but of two tensors
        known = F.dot(a[1:], x) * a[0]  # one of the two was seen before, alone
        return across + known + F.dot(a[:2], x) + F.dot(b[::-1], x) + F.dot([b[0], loose], x) + F.dot([a[0], 2.0], x)

    agree(loss, {"a": a, "b": b}, numbers(5, 2))


def test_a_vector_across_two_tensors_only_one_of_which_a_module_owns() -> None:
    a, b, c = ([Value(float(n)), Value(n + 0.5)] for n in range(3))

    class Across(nn.Module):
        def __init__(self) -> None:
            self.a, self.c = a, c

        def forward(self, x: Any) -> Value:
            return F.dot([self.a[1], b[0]], x) + F.dot(self.c, x)

    across = Across()
    agree(lambda x: across(x).tanh(), {"a": a, "b": b, "c": c}, numbers(5, 2))


def test_rows_of_unequal_length() -> None:
    w = [[Value(0.1 * (i + j)) for j in range(i + 1)] for i in range(5)]

    def loss(x: Any) -> Value:
        return F.mean([F.dot(row, x[: len(row)]).tanh() for row in w])

    agree(loss, w, numbers(3, 5))


def test_scores_without_a_maximum_in_the_softmax() -> None:
    q, k = matrix(4, 3, random.Random(1)), matrix(4, 3, random.Random(2))

    def loss(x: Any) -> Value:
        out: Any = 0
        for t in range(4):
            powers = [(F.dot(q[t], k[s]) * x[s]).exp() for s in range(t + 1)]
            out = out + F.dot([p / sum(powers) for p in powers], x[: t + 1])
        return out

    agree(loss, [q, k], numbers(3, 4))


def test_a_logarithm_above_the_diagonal_does_not_poison_the_gradient() -> None:
    q, k = matrix(5, 3, random.Random(1)), matrix(5, 3, random.Random(2))

    def loss(x: Any) -> Value:
        # The masked entries, s > t, are negative: their logarithm is NaN.
        rows = [[F.dot(q[t], k[s]) ** 2 * (1.0 if s <= t else -1.0) + x for s in range(5)] for t in range(5)]
        return F.mean([sum(v.log() for v in row[: t + 1]) for t, row in enumerate(rows)])

    agree(loss, [q, k], np.abs(numbers(3)))


OPTIONS = [
    *itertools.product(["rmsnorm", "layernorm"], [False, True], ["relu"], [False, True], [False]),
    *itertools.product(
        ["layernorm"], [True], ["gelu", "gelu_tanh", "relu2", "silu", "tanh", "sigmoid", "linear"], [True], [True]
    ),
]


@pytest.mark.parametrize(("norm", "norm_weight", "activation", "bias", "tied_head"), OPTIONS)
def test_a_gpt_under_every_option(norm: str, norm_weight: bool, activation: str, bias: bool, tied_head: bool) -> None:
    config = GPTConfig(
        vocab_size=11, block_size=4, n_layer=2, n_head=2, n_embd=6, norm=norm, norm_weight=norm_weight,
        activation=activation, bias=bias, tied_head=tied_head, init_std=0.3,
    )  # fmt: skip
    model = GPT(config)
    rng = random.Random(5)
    for p in model.parameters():
        p.data += rng.gauss(0, 0.05)  # also the weights of norms and biases, which start at 1 and 0
    x, y = tokens(2, 4, vocab_size=11), tokens(2, 4, vocab_size=11, seed=1)
    compiled = agree(model.loss, None, x, y, interpret_too=norm == "rmsnorm")
    assert compiled.stats().matrix_products == 2 * 6 + 1


def test_a_gpt_with_rotary_positions() -> None:
    """The rotation is a few array instructions: their number does not grow with the context."""
    programs = []
    for block_size in (4, 9):
        config = GPTConfig(
            vocab_size=11, block_size=block_size, n_layer=2, n_head=2, n_embd=8, positions="rotary", init_std=0.3
        )
        x, y = tokens(2, block_size, vocab_size=11), tokens(2, block_size, vocab_size=11, seed=1)
        programs.append(agree(GPT(config).loss, None, x, y))
    short, long = (compiled.stats() for compiled in programs)
    assert short.matrix_products == long.matrix_products
    assert short.instructions == long.instructions


def test_rotary_positions_are_read_by_affine_accesses() -> None:
    # x·cos + y·sin is a sum of two products, but not a dot product. At position 0 cos is 1, which must not become a
    # special case. Either mistake would gather every number of queries and keys from a list of addresses.
    config = GPTConfig(vocab_size=11, block_size=6, n_layer=1, n_head=2, n_embd=8, positions="rotary")
    model = GPT(config, seed=1)
    compiled = jit(model.loss, model)
    compiled.value_and_grad([[1, 2, 3, 4, 5, 6]], [[2, 3, 4, 5, 6, 7]])
    assert "table" not in str(compiled.program)


def test_a_factor_of_one_among_others_is_multiplied_like_the_others() -> None:
    w = [Value(0.3), Value(-0.7), Value(1.1)]
    compiled = agree(
        lambda x: F.mean([(c * v * x).tanh() for c, v in zip((1.0, 2.0, 3.0), w, strict=True)]), w, numbers(4)
    )
    assert sum("] = tanh(" in line for line in str(compiled.program).splitlines()) == 1


def test_logits_are_nested_as_the_function_returns_them() -> None:
    model = GPT(GPTConfig(vocab_size=5, block_size=3, n_layer=1, n_head=1, n_embd=4, init_std=0.5))
    x = tokens(2, 3, vocab_size=5)
    logits = jit(model, dtype="float64")(x)
    assert len(logits) == 3
    assert len(logits[0]) == 5
    for n in range(2):
        expected = [[v.data for v in row] for row in model(x[n].tolist())]
        assert error([[v[n] for v in row] for row in logits], expected) < 1e-12


def test_programs_share_parameters() -> None:
    model = GPT(GPTConfig(vocab_size=5, block_size=3, n_layer=1, n_head=1, n_embd=4))
    parameters = Parameters(model)
    loss, logits = jit(model.loss, parameters), jit(model, parameters)
    x = tokens(2, 3, vocab_size=5)
    before = np.array(logits(x))
    loss.value_and_grad(x, x)
    parameters.array -= 0.1 * parameters.gradient
    assert not np.allclose(before, np.array(logits(x)))
    assert loss.parameters is logits.parameters


def test_a_gpt_written_as_plain_loops_becomes_matrix_products() -> None:
    state = make_state()
    x, y = tokens(2, 16, vocab_size=27), tokens(2, 16, vocab_size=27, seed=1)
    compiled = agree(loss_of(state), state, x, y, interpret_too=False)
    stats = compiled.stats()
    assert stats.matrix_share >= 0.95
    assert stats.matrix_products == 7  # q, k and v are one, scores, mixture, out, two of the MLP, logits
    assert stats.instructions < 60


def test_a_gpt_written_as_plain_loops_of_two_layers() -> None:
    state = make_state(n_layer=2)
    x, y = tokens(1, 5, vocab_size=27), tokens(1, 5, vocab_size=27, seed=1)
    compiled = agree(loss_of(state, 2), state, x, y)
    assert compiled.stats().matrix_products == 13


def test_dropout_draws_new_masks_and_keeps_the_mean() -> None:
    dropout = nn.Dropout(0.25)
    w = Value(1.0)
    compiled = jit(lambda xs: F.mean(dropout([w * x for x in xs])), [w], dtype="float64")
    ones = np.ones((400, 20))
    first, second = compiled(ones), compiled(ones)
    assert not np.array_equal(first, second)
    assert abs(first.mean() - 1.0) < 0.02
    assert set(np.round(first * 20 * 0.75).tolist()) <= set(range(21))
    compiled.seed(7)
    again = compiled(ones)
    compiled.seed(7)
    assert np.array_equal(again, compiled(ones))
    loss = compiled.value_and_grad(ones)
    assert compiled.parameters.gradient[0] == pytest.approx(loss)  # the same mask in the backward pass


def test_a_gpt_with_dropout_uses_module_templates() -> None:
    config = GPTConfig(vocab_size=7, block_size=4, n_layer=2, n_head=2, n_embd=8, dropout=0.5)
    model = GPT(config)
    compiled = jit(model.loss)
    x = tokens(3, 4, vocab_size=7)
    assert len({compiled.value_and_grad(x, x) for _ in range(3)}) == 3
    model.eval()
    settled = jit(model.loss, dtype="float64")
    assert settled.value_and_grad(x, x) == pytest.approx(eager(model.loss, model.parameters(), x, x)[0])


def test_modules_that_differ_in_a_setting_are_not_mixed_up() -> None:
    class Power(nn.Module):
        def __init__(self, exponent: int) -> None:
            self.w = Value(0.7)
            self.exponent = exponent

        def forward(self, x: Any) -> Any:
            return (self.w * x) ** self.exponent

    powers = [Power(1), Power(2), Power(3), Power(2)]
    agree(lambda x: sum(p(x) for p in powers), [p.w for p in powers], numbers(3))


def test_integers_count_as_numbers_in_arithmetic() -> None:
    w = Value(0.3)
    agree(lambda y, x: (1 - y * (w * x)).relu() + w**y - 2 * y, [w], np.array([1, -1, 1]), numbers(3))


def test_a_batch_of_another_size() -> None:
    mlp = nn.MLP(2, [3, 1])
    compiled = jit(lambda x: mlp(x) ** 2, mlp, dtype="float64")
    x = numbers(5, 2)
    whole = compiled(x)
    assert np.allclose(compiled(x[:2]), whole[:2], rtol=1e-14)
    assert np.allclose(compiled(x), whole, rtol=1e-14)


def test_many_results_are_one_array_and_modules_take_single_values() -> None:
    class Scaled(nn.Module):
        def forward(self, x: list[Value], factor: Any) -> list[Value]:
            return [v * factor for v in x]

    compiled = jit(lambda x, a: [Scaled()(x, a), Scaled()(x, a + 1.0)], dtype="float64")
    out = compiled.flat([[1.0, 2.0], [3.0, 4.0]], [10.0, 100.0])
    assert out.tolist() == [[10.0, 300.0], [20.0, 400.0], [11.0, 303.0], [22.0, 404.0]]
