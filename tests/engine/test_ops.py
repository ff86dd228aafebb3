"""Every row of the operation table, against finite differences, its own formulas as text, and PyTorch."""

import copy
import math
import pickle

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.engine.domains import inputs_of, ordinary, repeatable
from tinygrad_edu import Value, central_difference, ops
from tinygrad_edu.engine import NO_GRADIENT_YET, apply
from tinygrad_edu.errors import DivisionByZeroError, DomainError

INF, NAN = math.inf, math.nan

every_op = pytest.mark.parametrize("op", ops.TABLE, ids=lambda op: op.name)
differentiable_op = pytest.mark.parametrize(
    "op", [op for op in ops.TABLE if op.derivatives is not None], ids=lambda op: op.name
)


def gradients(op, inputs):
    leaves = [Value(x) for x in inputs]
    out = apply(op, *leaves)
    out.backward()
    return out.data, [leaf.grad for leaf in leaves]


def has_corner(f, inputs, index):
    """Return whether the slopes to the left and to the right of a point differ."""
    h = 1e-5  # a little more than the step of central_difference, so that no corner inside its step is missed
    at = [f(*[Value(x + d * (i == index)) for i, x in enumerate(inputs)]).data for d in (-h, 0.0, h)]
    left, right = (at[1] - at[0]) / h, (at[2] - at[1]) / h
    return abs(left - right) > 1e-3 * (1.0 + abs(left) + abs(right))


def close(a, b, rel=1e-6, abs_=1e-8):
    return math.isclose(a, b, rel_tol=rel, abs_tol=abs_)


# --- the rows themselves --------------------------------------------------------------------------------------------


def test_names_are_unique_and_found():
    assert len({op.name for op in ops.TABLE}) == len(ops.TABLE)
    for op in (*ops.TABLE, ops.CONSTANT):
        assert ops.by_name(op.name) is op
    with pytest.raises(ValueError, match=r"unknown operation: 'nope' \(must be one of add, sub, mul"):
        ops.by_name("nope")


@every_op
def test_a_copied_row_is_the_same_row(op):
    assert copy.deepcopy(op) is op
    assert pickle.loads(pickle.dumps(op)) is op


def test_a_pickled_graph_can_still_be_differentiated():
    x = Value(3.0, label="x")
    again = pickle.loads(pickle.dumps(x * x.tanh()))
    again.backward()
    x_again = again.inputs[0]
    assert x_again.label == "x"
    assert x_again.grad == math.tanh(3.0) + 3.0 * (1.0 - math.tanh(3.0) ** 2)


def test_a_constant_is_not_computed():
    assert ops.CONSTANT not in ops.TABLE
    with pytest.raises(TypeError, match="not computed from anything"):
        ops.CONSTANT.forward()


# --- derivatives against slopes: finite differences cannot share a mistake with the table -----------------------------


@differentiable_op
def test_derivatives_are_slopes(op):
    @repeatable(max_examples=60)
    @given(inputs_of(op))
    def check(inputs):
        def f(*values):
            return apply(op, *values)

        assume(not any(has_corner(f, inputs, i) for i in range(len(inputs))))
        _, grads = gradients(op, inputs)
        for i, grad in enumerate(grads):
            assert close(grad, central_difference(f, inputs, i)), f"input {i} of {op.name} at {inputs}"

    check()


@pytest.mark.parametrize("op", [op for op in ops.TABLE if op.arity is None], ids=lambda op: op.name)
@pytest.mark.parametrize("arity", [1, 3, 5])
def test_derivatives_of_any_arity_are_slopes(op, arity):
    @repeatable(max_examples=40)
    @given(inputs_of(op, arity))
    def check(inputs):
        def f(*values):
            return apply(op, *values)

        assume(not any(has_corner(f, inputs, i) for i in range(len(inputs))))
        _, grads = gradients(op, inputs)
        assert len(grads) == arity
        for i, grad in enumerate(grads):
            assert close(grad, central_difference(f, inputs, i))

    check()


@repeatable(max_examples=60)
@given(st.floats(-5.0, -0.1), st.integers(-4, 5))
def test_a_negative_base_has_a_slope_for_whole_exponents(base, exponent):
    x = Value(base)
    y = x**exponent
    y.backward()
    assert close(x.grad, central_difference(lambda a: a**exponent, [base], 0))


@repeatable(max_examples=30)
@given(ordinary)
def test_detach_passes_the_number_and_no_gradient(x):
    leaf = Value(x)
    out = leaf * leaf.detach()
    assert out.data == x * x
    out.backward()
    assert leaf.grad == x  # the left factor's share only; with the right one it would be 2x

    beside = Value(x)
    (leaf + beside.detach()).backward()
    assert beside.grad is NO_GRADIENT_YET


# --- the formulas printed by drawings and steppers match what is computed -------------------------------------------

MATHEMATICS = {
    name: getattr(math, name) for name in ("exp", "log", "sqrt", "tanh", "erf", "sin", "cos", "pi")
} | {"abs": abs, "max": max, "min": min, "sign": lambda x: (x > 0) - (x < 0), "__builtins__": {}}  # fmt: skip


@every_op
def test_printed_formulas_match_what_is_computed(op):
    n = op.arity or 2
    assert len(op.derivative_formulas) == n, "one derivative per input"

    @repeatable(max_examples=60)
    @given(inputs_of(op))
    def check(inputs):
        assume(len(set(inputs)) == n)  # the formulas of maximum and minimum leave ties out
        names = dict(zip("ab", inputs, strict=False))
        out = eval(op.formula, MATHEMATICS, names)
        data = op.forward(*inputs)
        grads = [0.0] if op.derivatives is None else op.derivatives(*inputs, data)
        assert close(data, out, rel=1e-12, abs_=1e-12)
        for grad, text in zip(grads, op.derivative_formulas, strict=True):
            assert close(grad, eval(text, MATHEMATICS, {**names, "out": out}), rel=1e-11, abs_=1e-12), text

    check()


# --- edge cases, by hand --------------------------------------------------------------------------------------------

# (operation, inputs, result, local derivatives)
BORDERS = [
    ("pow", (0.0, 0.0), 1.0, (0.0, 0.0)),
    ("pow", (0.0, 1.0), 0.0, (1.0, 0.0)),
    ("pow", (0.0, 2.0), 0.0, (0.0, 0.0)),
    ("pow", (0.0, 0.5), 0.0, (INF, 0.0)),
    ("pow", (-2.0, 3.0), -8.0, (12.0, NAN)),
    ("pow", (-2.0, -1.0), -0.5, (-0.25, NAN)),
    ("pow", (-2.0, 0.0), 1.0, (0.0, NAN)),
    ("pow", (10.0, 400.0), INF, (INF, INF)),
    ("pow", (-10.0, 401.0), -INF, (INF, NAN)),
    ("pow", (1e-200, -3.0), INF, (-INF, -INF)),
    ("pow", (NAN, 2.0), NAN, (NAN, NAN)),
    ("pow", (NAN, 0.0), 1.0, (0.0, NAN)),
    ("pow", (1.0, NAN), 1.0, (NAN, 0.0)),
    ("tanh", (1000.0,), 1.0, (0.0,)),
    ("tanh", (-1000.0,), -1.0, (0.0,)),
    ("tanh", (NAN,), NAN, (NAN,)),
    ("sigmoid", (1000.0,), 1.0, (0.0,)),
    ("sigmoid", (-1000.0,), 0.0, (0.0,)),
    ("sigmoid", (NAN,), NAN, (NAN,)),
    ("exp", (1000.0,), INF, (INF,)),
    ("exp", (-1000.0,), 0.0, (0.0,)),
    ("exp", (NAN,), NAN, (NAN,)),
    ("log", (INF,), INF, (0.0,)),
    ("log", (NAN,), NAN, (NAN,)),
    ("sqrt", (0.0,), 0.0, (INF,)),
    ("sqrt", (NAN,), NAN, (NAN,)),
    ("abs", (0.0,), 0.0, (0.0,)),
    ("abs", (-0.0,), 0.0, (0.0,)),
    ("abs", (NAN,), NAN, (0.0,)),
    ("relu", (0.0,), 0.0, (0.0,)),
    ("relu", (NAN,), NAN, (1.0,)),
    ("maximum", (2.0, 2.0), 2.0, (0.5, 0.5)),
    ("minimum", (2.0, 2.0), 2.0, (0.5, 0.5)),
    ("gelu", (0.0,), 0.0, (0.5,)),
    ("gelu", (1000.0,), 1000.0, (1.0,)),
    ("gelu", (-1000.0,), 0.0, (0.0,)),
    ("gelu", (NAN,), NAN, (NAN,)),
    ("sin", (NAN,), NAN, (NAN,)),
    ("cos", (NAN,), NAN, (NAN,)),
    ("add", (INF, -INF), NAN, (1.0, 1.0)),
    ("mul", (0.0, INF), NAN, (INF, 0.0)),
    ("mul", (1e300, 1e300), INF, (1e300, 1e300)),
    ("div", (1e300, 1e-300), INF, (1e300, -INF)),
    ("div", (NAN, 1.0), NAN, (1.0, NAN)),
]
at_the_borders = pytest.mark.parametrize(("name", "inputs", "result", "derivatives"), BORDERS)


def same(a, b):
    return (a != a and b != b) or math.isclose(a, b, rel_tol=1e-12, abs_tol=0.0)


@at_the_borders
def test_borders(name, inputs, result, derivatives):
    data, grads = gradients(ops.by_name(name), inputs)
    assert same(data, result)
    assert len(grads) == len(derivatives)
    assert all(map(same, grads, derivatives)), f"{grads} instead of {derivatives}"


@pytest.mark.parametrize("name", ["maximum", "minimum"])
@pytest.mark.parametrize("inputs", [(NAN, 1.0), (1.0, NAN), (1.0, NAN, 2.0)])
def test_an_extreme_of_nan_is_nan_in_any_position(name, inputs):
    assert math.isnan(ops.by_name(name).forward(*inputs))


@pytest.mark.parametrize("inputs", [(math.nan, 1.0), (1.0, math.nan), (2.0, math.nan, 2.0)])
def test_every_derivative_of_an_extreme_of_nan_is_nan(inputs):
    for op in (ops.MAXIMUM, ops.MINIMUM):
        leaves = [Value(x) for x in inputs]
        apply(op, *leaves).backward()
        assert all(math.isnan(leaf.grad) for leaf in leaves)


def test_a_power_that_is_nan_passes_nan_back_to_its_exponent():
    for base, exponent, expected in [(0.0, NAN, NAN), (-0.0, NAN, NAN), (0.0, 2.0, 0.0), (0.0, 0.0, 0.0)]:
        slope = ops.POW.derivatives(base, exponent, base**exponent)[1]
        assert math.isnan(slope) if math.isnan(expected) else slope == expected


@pytest.mark.torch
def test_nan_as_in_amax_and_abs_of_pytorch():
    torch = pytest.importorskip("torch")
    x = torch.tensor([math.nan, 1.0], requires_grad=True)
    torch.amax(x, 0).backward()
    assert torch.isnan(x.grad).all()
    x = torch.tensor(math.nan, requires_grad=True)
    x.abs().backward()
    assert x.grad.item() == ops.ABS.derivatives(math.nan, math.nan)[0] == 0.0


def test_gelu_at_infinity():
    """PyTorch says NaN here: it computes inf · 0. The limits are known."""
    assert gradients(ops.GELU, (INF,)) == (INF, [1.0])
    assert gradients(ops.GELU, (-INF,)) == (0.0, [0.0])


def test_ties_share_equally():
    assert gradients(ops.MAXIMUM, (3.0, 1.0, 3.0, 3.0)) == (3.0, [1 / 3, 0.0, 1 / 3, 1 / 3])
    assert gradients(ops.MINIMUM, (1.0, 1.0, 3.0, 1.0, 1.0)) == (1.0, [0.25, 0.25, 0.0, 0.25, 0.25])


@pytest.mark.parametrize(
    ("name", "inputs", "error", "message"),
    [
        ("pow", (0.0, -1.0), DivisionByZeroError, r"0\.0 \*\* -1\.0: zero to a negative power is a division by zero"),
        ("pow", (-0.0, -0.5), DivisionByZeroError, r"-0\.0 \*\* -0\.5: zero to a negative power"),
        ("pow", (-8.0, 0.5), DomainError, r"\(-8\.0\) \*\* 0\.5: a negative base with a fractional exponent"),
        ("div", (1.0, 0.0), DivisionByZeroError, r"1\.0 / 0\.0: division by zero has no answer"),
        ("div", (0.0, 0.0), DivisionByZeroError, r"0\.0 / 0\.0: division by zero has no answer"),
        ("log", (0.0,), DomainError, r"log\(0\.0\): the logarithm needs a positive number.*cross_entropy"),
        ("log", (-1.0,), DomainError, r"log\(-1\.0\): the logarithm needs a positive number"),
        ("log", (-INF,), DomainError, r"log\(-inf\)"),
        ("sqrt", (-1.0,), DomainError, r"sqrt\(-1\.0\): the square root of a negative number"),
        ("sin", (INF,), DomainError, r"sin\(inf\): sin of infinity has no answer"),
        ("cos", (-INF,), DomainError, r"cos\(-inf\): cos of infinity has no answer"),
    ],
)
def test_undefined_results_are_domain_errors(name, inputs, error, message):
    with pytest.raises(error, match=message):
        apply(ops.by_name(name), *map(Value, inputs))


def test_domain_errors_are_the_errors_python_programmers_expect():
    with pytest.raises(ZeroDivisionError):
        Value(1.0) / 0
    with pytest.raises(ValueError):
        Value(-1.0).log()


@repeatable(max_examples=300)
@given(st.data())
def test_no_input_breaks_a_row(data):
    """Any floats give a number or a DomainError, never Python's OverflowError."""
    op = data.draw(st.sampled_from(ops.TABLE))
    inputs = data.draw(st.tuples(*[st.floats()] * (op.arity or 3)))
    try:
        out = op.forward(*inputs)
    except DomainError:
        return
    assert type(out) is float
    if op.derivatives is not None:
        derivatives = op.derivatives(*inputs, out)
        assert len(derivatives) == len(inputs)
        assert all(type(d) is float for d in derivatives)


# --- against PyTorch ------------------------------------------------------------------------------------------------


def torch_counterparts(torch):
    return {
        "add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div, "pow": torch.pow, "neg": torch.neg,
        "exp": torch.exp, "log": torch.log, "sqrt": torch.sqrt, "tanh": torch.tanh, "sigmoid": torch.sigmoid,
        "relu": torch.relu, "gelu": torch.nn.functional.gelu, "sin": torch.sin, "cos": torch.cos, "abs": torch.abs,
        "maximum": torch.maximum, "minimum": torch.minimum, "detach": lambda x: x.detach() + 0.0 * x,
    }  # fmt: skip


def torch_gradients(torch, name, inputs):
    tensors = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in inputs]
    out = torch_counterparts(torch)[name](*tensors)
    out.backward()
    return out.item(), [t.grad.item() for t in tensors]


@pytest.mark.torch
def test_every_row_has_a_counterpart_in_pytorch():
    import torch

    assert set(torch_counterparts(torch)) == {op.name for op in ops.TABLE}


@pytest.mark.torch
@every_op
def test_ordinary_numbers_as_in_pytorch(op):
    import torch

    if op.derivatives is None:
        return  # backward() has nowhere to go: see test_detach_passes_the_number_and_no_gradient

    @repeatable(max_examples=60)
    @given(inputs_of(op))
    def check(inputs):
        data, grads = gradients(op, inputs)
        torch_data, torch_grads = torch_gradients(torch, op.name, inputs)
        assert close(data, torch_data, rel=1e-12, abs_=1e-14)
        for ours, theirs in zip(grads, torch_grads, strict=True):
            assert close(ours, theirs, rel=1e-11, abs_=1e-14)

    check()


@pytest.mark.torch
@at_the_borders
def test_borders_as_in_pytorch(name, inputs, result, derivatives):
    import torch

    data, grads = torch_gradients(torch, name, inputs)
    assert same(data, result)
    assert all(map(same, grads, derivatives)), f"PyTorch says {grads}"
