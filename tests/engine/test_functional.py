"""Functions on lists of Values: correct, safe for extreme numbers, and strict about lengths."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.domains import repeatable
from tinygrad_edu import Value, gradcheck, ops, topological_order
from tinygrad_edu import functional as F
from tinygrad_edu.errors import ShapeError

scores = st.lists(st.floats(-5.0, 5.0), min_size=1, max_size=6)


def values(numbers):
    return [Value(x) for x in numbers]


def data(vector):
    return [v.data for v in vector]


def weigh(vector):
    """Return one number that depends on every element differently, for gradcheck."""
    return sum((v * (0.3 + 0.7 * i) for i, v in enumerate(vector[1:], 1)), vector[0] * 0.3)


# --- values ---------------------------------------------------------------------------------------------------------


@repeatable(max_examples=80)
@given(scores)
def test_softmax_by_its_definition(x):
    powers = [math.exp(v) for v in x]
    expected = [p / sum(powers) for p in powers]
    assert data(F.softmax(values(x))) == pytest.approx(expected, rel=1e-12)
    assert data(F.log_softmax(values(x))) == pytest.approx([math.log(p) for p in expected], rel=1e-12, abs=1e-12)
    for target in range(len(x)):
        assert F.cross_entropy(values(x), target).data == pytest.approx(-math.log(expected[target]), abs=1e-12)


@pytest.mark.parametrize("shift", [0.0, 1000.0, -1000.0, 1e300, -1e300])
def test_softmax_of_scores_of_any_size(shift):
    x = values([shift, shift, shift])
    assert data(F.softmax(x)) == pytest.approx([1 / 3] * 3)
    loss = F.cross_entropy(x, 1)
    assert loss.data == pytest.approx(math.log(3))
    loss.backward()
    assert [v.grad for v in x] == pytest.approx([1 / 3, -2 / 3, 1 / 3])


def test_an_answer_of_probability_zero_still_has_a_loss_and_a_gradient():
    x = values([1000.0, 0.0])
    loss = F.cross_entropy(x, 1)  # the probability of the answer rounds to 0, whose logarithm is undefined
    loss.backward()
    assert loss.data == 1000.0
    assert [v.grad for v in x] == [1.0, -1.0]
    assert data(F.log_softmax(x)) == [0.0, -1000.0]


def test_norms_by_their_definitions():
    x = [0.5, -1.5, 2.0, 0.1]
    root = math.sqrt(sum(v * v for v in x) / 4 + 1e-5)
    assert data(F.rms_norm(values(x))) == pytest.approx([v / root for v in x], rel=1e-12)
    m = sum(x) / 4
    deviation = math.sqrt(sum((v - m) ** 2 for v in x) / 4 + 1e-5)
    w, b = [1.0, 2.0, 3.0, 4.0], [0.1, 0.2, 0.3, 0.4]
    assert data(F.layer_norm(values(x), values(w), values(b))) == pytest.approx(
        [(v - m) / deviation * wi + bi for v, wi, bi in zip(x, w, b, strict=True)], rel=1e-12
    )
    assert data(F.rms_norm(values([0.0, 0.0]))) == [0.0, 0.0]
    assert data(F.layer_norm(values([7.0, 7.0]))) == [0.0, 0.0]


def test_small_functions():
    assert F.dot(values([1, 2, 3]), [4, 5, 6]).data == 32.0
    assert data(F.linear(values([1, 2]), [values([3, 4]), values([5, 6]), values([7, 8])])) == [11.0, 17.0, 23.0]
    assert data(F.linear(values([1, 2]), [values([3, 4])], values([0.5]))) == [11.5]
    assert data(F.add(values([1, 2]), values([10, 20]))) == [11.0, 22.0]
    assert F.mean(values([1, 2, 6])).data == 3.0
    assert F.mse(values([1, 2]), [0, 4]).data == 2.5
    assert data(F.weighted_sum(values([0.5, 2]), [values([1, 2]), values([3, 4])])) == [6.5, 9.0]
    assert F.pick("abc", 2) == "c"


def test_the_largest_score_is_an_operation_of_the_graph():
    """Read from .data, it would be right for this example and wrong when the graph is replayed with other numbers."""
    order = topological_order(F.cross_entropy(values([1.0, 3.0, 2.0]), 0))
    assert [v.data for v in order if v.op is ops.DETACH] == [3.0]
    assert sum(v.op is ops.MAXIMUM for v in order) == 1


# --- gradients ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "f",
    [
        lambda *x: weigh(F.softmax(x)),
        lambda *x: weigh(F.log_softmax(x)),
        lambda *x: F.cross_entropy(x, len(x) - 1),
        lambda *x: weigh(F.rms_norm(x)),
        lambda *x: weigh(F.layer_norm(x, x, x)),
        lambda *x: weigh(F.rms_norm(x, x[::-1])),
        lambda *x: F.mean(x) * F.mse(x, [0.1] * len(x)),
        lambda *x: F.dot(x, x[::-1]),
        lambda *x: weigh(F.attend(x, [x, x[::-1]], [x[::-1], x])),
        lambda *x: weigh(F.linear(x, [x, x[::-1]], [x[0], x[-1]])),
    ],
    ids=["softmax", "log_softmax", "cross_entropy", "rms_norm", "layer_norm", "rms_norm weight", "mean mse", "dot",
         "attend", "linear"],
)  # fmt: skip
def test_gradients(f):
    @repeatable(max_examples=15)
    @given(st.lists(st.floats(-2.0, 2.0), min_size=1, max_size=4, unique=True))
    def check(x):
        # With a single input the norms are nearly a step: their curvature near 0 is too large for finite differences.
        gradcheck(f, [v + 2.5 for v in x], rtol=1e-5, atol=1e-7)

    check()


# --- lengths --------------------------------------------------------------------------------------------------------


def two():
    return values([1, 2])


def three():
    return values([1, 2, 3])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: F.dot(two(), three()), r"dot\(\) needs two vectors of the same length, at least 1; got 2 and 3"),
        (lambda: F.dot([], []), r"at least 1; got 0 and 0"),
        (lambda: F.linear(two(), [three()]), r"got 3 and 2"),
        (lambda: F.linear(two(), [two(), two()], three()), r"one bias per row of the weight; got 3 and 2 rows"),
        (lambda: F.add(two(), three()), r"add\(\) needs two vectors of the same length; got 2 and 3"),
        (lambda: F.mean([]), r"mean\(\) of no values"),
        (lambda: F.softmax([]), r"a softmax over no scores"),
        (lambda: F.cross_entropy([], 0), r"a softmax over no scores"),
        (lambda: F.mse(two(), three()), r"as many targets as predictions, at least 1; got 2 and 3"),
        (lambda: F.mse([], []), r"at least 1; got 0 and 0"),
        (lambda: F.rms_norm(two(), three()), r"made for 3 features; got a vector of 2"),
        (lambda: F.layer_norm(three(), two()), r"made for 2 features; got a vector of 3"),
        (lambda: F.layer_norm(three(), None, two()), r"got 3 and 2"),
        (lambda: F.weighted_sum(two(), [two()]), r"one weight per row; got 2 weights and 1 rows"),
        (lambda: F.weighted_sum(two(), [two(), three()]), r"rows of one length; got 2, 3"),
        (lambda: F.attend(two(), [three()], [two()]), r"got 2 and 3"),
        (lambda: F.attend(two(), [two(), two()], [two()]), r"got 2 weights and 1 rows"),
    ],
)
def test_lists_of_unequal_length_are_an_error(call, message):
    with pytest.raises(ShapeError, match=message):
        call()


@pytest.mark.parametrize("index", [3, -1, 100])
def test_pick_names_index_and_size(index):
    with pytest.raises(IndexError, match=rf"index {index} is out of range for a table of 3 entries \(0 to 2\)"):
        F.pick([1, 2, 3], index)
    with pytest.raises(IndexError, match=f"index {index} is out of range"):
        F.cross_entropy(three(), index)


# --- against PyTorch ------------------------------------------------------------------------------------------------


@pytest.mark.torch
@repeatable(max_examples=25)
@given(st.lists(st.floats(-4.0, 4.0), min_size=2, max_size=6, unique=True))
def test_as_in_pytorch(x):
    import torch

    functions = [
        (lambda v: weigh(F.softmax(v)), lambda t: weigh(torch.softmax(t, 0))),
        (lambda v: weigh(F.log_softmax(v)), lambda t: weigh(torch.log_softmax(t, 0))),
        (lambda v: F.cross_entropy(v, 1), lambda t: torch.nn.functional.cross_entropy(t, torch.tensor(1))),
        (lambda v: weigh(F.layer_norm(v)), lambda t: weigh(torch.nn.functional.layer_norm(t, t.shape))),
        (lambda v: weigh(F.rms_norm(v)), lambda t: weigh(torch.nn.functional.rms_norm(t, t.shape, eps=1e-5))),
        (lambda v: F.mse(v, v[::-1]), lambda t: torch.nn.functional.mse_loss(t, t.flip(0))),
    ]
    for ours, theirs in functions:
        leaves, t = values(x), torch.tensor(x, dtype=torch.float64, requires_grad=True)
        out, torch_out = ours(leaves), theirs(t)
        out.backward()
        torch_out.backward()
        assert out.data == pytest.approx(torch_out.item(), rel=1e-10, abs=1e-12)
        assert [v.grad for v in leaves] == pytest.approx(t.grad.tolist(), rel=1e-8, abs=1e-10)
