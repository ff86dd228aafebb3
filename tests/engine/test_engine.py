"""Value: operators, errors, the chain rule on graphs of every shape, at any depth, the same in every process."""

import math
import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.domains import python, repeatable
from tinygrad_edu import (
    Value,
    collector_paused,
    engine,
    gradcheck,
    jit,
    maximum,
    minimum,
    no_grad,
    ops,
    topological_order,
)
from tinygrad_edu import functional as F
from tinygrad_edu.engine import NO_GRADIENT_YET, apply
from tinygrad_edu.errors import CompileError

OPERATORS = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "**": lambda a, b: a**b,
}
every_operator = pytest.mark.parametrize("symbol", OPERATORS)
NUMBERS = [2, 3.5, True, np.float64(2.5), np.float32(1.5), np.int64(3), np.int32(2), np.uint8(2), Fraction(1, 2)]
every_number = pytest.mark.parametrize("number", NUMBERS, ids=lambda n: f"{type(n).__name__}-{n}")


# --- operators ------------------------------------------------------------------------------------------------------


@every_operator
@every_number
def test_numbers_on_both_sides(symbol, number):
    f = OPERATORS[symbol]
    x = Value(1.7)
    for out, expected, inputs in (
        (f(x, number), f(1.7, float(number)), (1.7, float(number))),
        (f(number, x), f(float(number), 1.7), (float(number), 1.7)),
    ):
        assert type(out) is Value
        assert type(out.data) is float
        assert math.isclose(out.data, expected, rel_tol=1e-15)
        if symbol not in "+*":  # those two commute
            assert tuple(i.data for i in out.inputs) == inputs
    gradcheck(lambda a: f(a, number), [1.7])
    gradcheck(lambda a: f(number, a), [1.7])
    gradcheck(f, [1.7, float(number)])


@every_operator
@pytest.mark.parametrize("wrong", ["2", None, [1.0], (1.0,), {}, 1j, object()], ids=lambda w: type(w).__name__)
def test_non_numbers_are_refused(symbol, wrong):
    for operation in (lambda: OPERATORS[symbol](Value(1.0), wrong), lambda: OPERATORS[symbol](wrong, Value(1.0))):
        with pytest.raises(TypeError, match=r"unsupported operand|can't multiply|can only concatenate"):
            operation()


@pytest.mark.parametrize("wrong", ["2.0", None, [1.0], 1j], ids=lambda w: type(w).__name__)
def test_a_value_is_made_from_a_real_number(wrong):
    with pytest.raises(TypeError, match="expected a real number, got"):
        Value(wrong)
    with pytest.raises(TypeError, match=r"got Value\(data=1\.0\); a Value made from a Value would lose its graph"):
        Value(Value(1.0))


@every_number
def test_data_is_a_float(number):
    assert type(Value(number).data) is float
    assert Value(number).data == float(number)


def test_every_method_matches_its_row_of_the_table():
    for op in ops.TABLE:
        if op.arity == 1 and op.name != "neg":
            out = getattr(Value(0.7), op.name)()
            assert out.op is op
            assert out.data == op.forward(0.7)
    assert (-Value(0.7)).op is ops.NEG
    assert abs(Value(-0.7)).op is ops.ABS
    x = Value(1.0)
    assert +x is x


def test_extremes_take_any_number_of_values_and_numbers():
    x = Value(1.0)
    assert maximum(x, 3, 2.0).data == 3.0
    assert minimum(x, 3, 2.0).data == 1.0
    assert x.maximum(3).data == 3.0
    assert x.minimum(Value(-3.0)).data == -3.0
    with pytest.raises(
        TypeError, match=r"takes Values and numbers one by one, got list; .* unpack it: maximum\(\*values"
    ):
        maximum([x, 2.0])
    with pytest.raises(TypeError, match=r"minimum\(\) needs at least one Value"):
        minimum()


def test_sum_adds_no_zero():
    a, b, c = Value(1.0), Value(2.0), Value(3.0)
    total = sum([a, b, c])
    assert total.data == 6.0
    assert len(topological_order(total)) == 5  # three leaves and two additions
    assert sum([a]) is a
    assert sum(v for v in [a, b]).inputs == (a, b)
    assert sum([a, b], Value(10.0)).data == 13.0
    assert sum([1, a, 2.5]).data == 4.5


def test_comparisons_compare_the_numbers():
    small, large = Value(1.0), Value(2.0)
    assert small < large
    assert large > small
    assert small <= 1
    assert small >= True
    assert 0.5 < small < 1.5
    assert large <= 2
    assert not large < small
    assert not small >= np.float64(1.5)
    assert max([small, large]) is large
    for wrong in ("2", None, [1]):
        with pytest.raises(TypeError, match="expected a real number, got"):
            _ = small < wrong


def test_equality_is_identity_so_that_values_can_be_keys():
    a, b = Value(1.0), Value(1.0)
    assert a == a
    assert a != b
    assert len({a, b, a}) == 2
    assert {a: "a", b: "b"}[b] == "b"
    a.data = 5.0
    assert a in {a}


def test_repr_shows_what_is_known():
    x = Value(2.0)
    assert repr(x) == "Value(data=2.0)"
    x.label = "x"
    y = x * 3
    assert repr(y) == "Value(data=6.0)"
    y.backward()
    assert repr(x) == "Value(data=2.0, grad=3.0, label='x')"
    x.zero_grad()
    assert repr(x) == "Value(data=2.0, label='x')"


def test_as_a_number():
    assert int(Value(2.5)) == 2
    assert Value(1.0).label == ""


def test_a_number_in_a_formula_is_a_constant():
    x = Value(3.0)
    y = x**2
    assert y.inputs[0] is x
    assert y.inputs[1].op is ops.CONSTANT
    y.backward()
    assert y.inputs[1].grad is NO_GRADIENT_YET
    z = Value(-3.0) ** 2  # ∂/∂exponent would be NaN
    z.backward()
    assert z.inputs[0].grad == -6.0


def test_subclasses_of_value_are_values():
    class Parameter(Value):
        pass

    p = Parameter(2.0)
    y = 3.0 * p + p * p - Value(1.0) * p
    y.backward()
    assert y.data == 8.0
    assert p.grad == 6.0


# --- the recorded graph -----------------------------------------------------------------------------------------------


def test_the_same_value_twice_keeps_two_edges():
    x = Value(3.0)
    for out, grad in ((x * x, 6.0), (x + x, 2.0), (x / x, 0.0), (x - x, 0.0)):
        assert out.inputs == (x, x)
        x.zero_grad()
        out.backward()
        assert x.grad == grad


def test_topological_order_lists_each_value_once_with_inputs_first():
    a = Value(1.0)
    b = a + a
    c = b * a
    d = c + b * c
    order = topological_order(d)
    place = {value: i for i, value in enumerate(order)}
    assert len(order) == len(place) == 5
    assert order[-1] is d
    for value in order:
        assert all(place[x] < place[value] for x in value.inputs)
    assert topological_order(a) == [a]


def test_no_grad_records_nothing_and_nests():
    x = Value(2.0)
    with no_grad():
        with no_grad():
            pass
        y = (x * x + 1.0).tanh()
        assert y.inputs == ()
        assert y.op is ops.CONSTANT
    z = x * x + 1.0
    assert z.op is ops.ADD
    assert math.isclose(y.data, z.tanh().data)
    with pytest.raises(RuntimeError, match="stop"), no_grad():
        raise RuntimeError("stop")
    assert (x * x).inputs == (x, x), "recording is on again after an exception"


# --- backward ---------------------------------------------------------------------------------------------------------


def test_backward_twice_as_in_pytorch():
    x = Value(3.0)
    square = x * x
    y = square * x
    y.backward()
    assert (x.grad, square.grad, y.grad) == (27.0, 3.0, 1.0)
    y.backward()
    assert (x.grad, square.grad, y.grad) == (54.0, 3.0, 1.0)


def test_two_roots_accumulate_into_the_leaves():
    x = Value(2.0)
    shared = x * 3.0
    (shared * 2.0).backward()
    (shared * 5.0).backward()
    assert x.grad == 6.0 + 15.0
    assert shared.grad == 5.0, "a Value in between holds the gradient of the latest call"


def test_backward_of_a_leaf():
    x = Value(2.0)
    x.backward()
    assert x.grad == 1.0
    x.backward()
    assert x.grad == 2.0


def test_a_computed_gradient_of_zero_differs_from_one_never_computed():
    x, other = Value(-1.0), Value(1.0)
    assert x.grad is NO_GRADIENT_YET
    x.relu().backward()  # a dead unit
    assert x.grad == 0.0
    assert x.grad is not NO_GRADIENT_YET
    assert repr(x) == "Value(data=-1.0, grad=0.0)"
    assert other.grad is NO_GRADIENT_YET


def test_a_zero_derivative_stops_an_infinite_gradient():
    x = Value(-1.0)
    y = x.relu().sqrt()  # the slope of sqrt at 0 is infinite; PyTorch's relu stops it, 0 · inf would be NaN
    y.backward()
    assert y.inputs[0].grad == math.inf
    assert x.grad == 0.0


numbers = st.floats(-100.0, 100.0)


@repeatable(max_examples=100)
@given(numbers, numbers, numbers, st.sampled_from([ops.ADD, ops.MUL]))
def test_inlined_derivatives_match_the_table(a, b, upstream, op):
    """backward() inlines + and × for speed; _backward() uses the table."""

    def after(step):
        x, y = Value(a), Value(b)
        out = x + y if op is ops.ADD else x * y
        assert out.op is op
        assert out.data == apply(op, x, y).data
        step(out)
        return x.grad, y.grad

    def inline(out):
        (out * upstream).backward()

    def table(out):
        out.grad = upstream
        out._backward()

    assert after(inline) == after(table)


def test_a_row_with_too_few_derivatives_is_an_error():
    half = ops.Op("half", "?", 2, lambda a, b: a + b, lambda a, b, out: (1.0,), "a + b", ("1",))
    with pytest.raises(ValueError, match="zip"):
        apply(half, Value(1.0), Value(2.0)).backward()


# --- random graphs with shared nodes ----------------------------------------------------------------------------------

# A program is a list of instructions (what, i, j) on a growing list of numbers: the graph shares nodes freely.
UNARY = {
    "tanh": lambda a: a.tanh(),
    "sigmoid": lambda a: a.sigmoid(),
    "sin": lambda a: a.sin(),
    "cos": lambda a: a.cos(),
    "exp": lambda a: (a * 0.25).tanh().exp(),
    "log": lambda a: (a * a + 1.0).log(),
    "sqrt": lambda a: (a * a + 1.0).sqrt(),
    "square": lambda a: (0.1 * a) ** 2,
    "reciprocal": lambda a: 1.0 / (a * a + 1.0),
    "negative": lambda a: -a,
}
BINARY = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b * 0.25,
    "div": lambda a, b: a / (b * b + 1.0),
    "pow": lambda a, b: (a * a + 1.0) ** b.tanh(),
    "same": lambda a, b: a * a,
}
index = st.integers(0, 10**6)
programs = st.lists(st.tuples(st.sampled_from([*UNARY, *BINARY]), index, index), min_size=1, max_size=25)
points = st.lists(st.floats(-2.0, 2.0), min_size=1, max_size=4)


def run(program, values):
    values = list(values)
    n = len(values)
    for name, i, j in program:
        a, b = values[i % len(values)], values[j % len(values)]
        values.append(UNARY[name](a) if name in UNARY else BINARY[name](a, b))
    return sum(values[n + 1 :], values[n])  # every computed number reaches the loss, whether used again or not


@repeatable(max_examples=120)
@given(programs, points)
def test_random_graphs_against_finite_differences(program, point):
    gradcheck(lambda *values: run(program, values), point, rtol=1e-5, atol=1e-7)


@pytest.mark.torch
@repeatable(max_examples=120)
@given(programs, points)
def test_random_graphs_against_pytorch(program, point):
    import torch

    leaves = [Value(x) for x in point]
    out = run(program, leaves)
    out.backward()
    tensors = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in point]
    torch_out = run(program, tensors)
    torch_out.backward()
    assert math.isclose(out.data, torch_out.item(), rel_tol=1e-12, abs_tol=1e-12)
    for leaf, tensor in zip(leaves, tensors, strict=True):
        theirs = 0.0 if tensor.grad is None else tensor.grad.item()
        assert math.isclose(leaf.grad, theirs, rel_tol=1e-9, abs_tol=1e-11)


PROGRAM_IN_A_PROCESS = """
import random
from tinygrad_edu import Value, nn, functional as F
rng = random.Random(7)
model = nn.MLP(3, [8, 8, 5], "gelu", rng=1)
loss = sum(F.cross_entropy(model([rng.uniform(-1, 1) for _ in range(3)]), rng.randrange(5)) for _ in range(4))
loss.backward()
print(loss.data.hex(), *[p.grad.hex() for p in model.parameters()])
"""


def test_the_same_gradients_to_the_last_bit_in_every_process():
    first, second = (python(PROGRAM_IN_A_PROCESS, PYTHONHASHSEED=seed) for seed in ("1", "2"))
    assert first == second
    assert len(first.split()) == 1 + 4 * 8 + 9 * 8 + 9 * 5


# --- any depth --------------------------------------------------------------------------------------------------------

MILLION = 1_000_000


def additions(x):
    for _ in range(MILLION):
        x = x + 1.0
    return x


def multiplications(x):
    for _ in range(MILLION):
        x = x * 1.0
    return x


def diamonds(x):
    """Use each Value twice in the next: 2ⁿ paths from top to bottom, so backward must not walk them one by one."""
    for _ in range(MILLION // 4):
        x = x * x
    return x


def ladder(x):
    """Cross two strands at every step: a rotation by an angle whose cosine is 0.6."""
    a, b = x, x * 0.0
    for _ in range(MILLION // 32):
        a, b = a * 0.6 - b * 0.8, a * 0.8 + b * 0.6
    return a


def running_sum(x):
    """Add up a loss term by term: one long spine, with a leaf of the model at each rib."""
    total = x * 1.0
    for _ in range(MILLION // 8 - 1):
        total = total + x * 1.0
    return total


def negations(x):
    for _ in range(MILLION // 4):
        x = -x
    return x


@pytest.mark.parametrize(
    ("build", "at", "grad"),
    [
        (additions, 0.0, 1.0),
        (multiplications, 3.0, 1.0),
        (diamonds, 1.0, math.inf),  # 2ⁿ
        (ladder, 1.0, math.cos(MILLION // 32 * math.acos(0.6))),
        (running_sum, 2.0, MILLION / 8),
        (negations, 1.0, 1.0),
    ],
    ids=lambda f: getattr(f, "__name__", ""),
)
def test_graphs_of_any_depth(build, at, grad):
    x = Value(at)
    with collector_paused():
        out = build(x)
    assert out.data == build(at)
    out.backward()
    assert math.isclose(x.grad, grad, rel_tol=1e-9)
    assert topological_order(out)[-1] is out
    del out  # freed here: a crash would end the interpreter


# --- the seam for tracing --------------------------------------------------------------------------------------------


class Overheard:
    """Answers None to every call, so that everything is computed as usual, and records the calls."""

    def __init__(self):
        self.asked = []

    def __getattr__(self, question):
        return lambda *_: self.asked.append(question)


def test_the_library_calls_the_tracing_seam_and_computes_as_usual(monkeypatch):
    def program():
        x = Value(0.5)
        rng = random.Random(1)
        return [F.dot([x, x], [x, 2.0]), x.tanh(), F.pick([x], False), x * F.dropout_factor(0.5, rng), maximum(x, 1)]

    expected = [y.data for y in program()]
    seam = Overheard()
    monkeypatch.setattr(engine, "tracing", seam)
    assert [y.data for y in program()] == expected
    assert {*seam.asked} == {"value", "dot", "operation", "pick", "dropout_factor"}
    with pytest.raises(TypeError, match="maximum\\(\\) takes Values and numbers one by one, got str"):
        maximum(Value(1.0), "one")
    with pytest.raises(TypeError, match="pick\\(\\) takes one index, an integer"):
        F.pick([Value(1.0)], 0.5)
    assert {*seam.asked} == {name for name in vars(engine.Tracing) if not name.startswith("_")}


def test_nothing_is_traced_after_an_error():
    def wrong(x):
        assert engine.tracing is not None
        return x if x > 0 else -x

    with pytest.raises(CompileError):
        jit(wrong)([1.0])
    assert engine.tracing is None
