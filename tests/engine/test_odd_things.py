"""Unusual input: odd numbers, arrays, batches, containers of parameters; and what must survive a copy."""

import copy
import math
import pickle
import random
import weakref
from collections import deque
from decimal import Decimal
from fractions import Fraction
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from tinygrad_edu import Value, central_difference, gradcheck, nn, no_grad, optim
from tinygrad_edu import functional as F
from tinygrad_edu.engine import apply
from tinygrad_edu.errors import NoGradientError, StateDictError
from tinygrad_edu.ops import Op

LEAKY = Op(
    "leaky", "leaky", 1, lambda a: a if a > 0 else a / 10, lambda a, out: (1.0 if a > 0 else 0.1,), "max(a, a/10)",
    ("1 if a > 0 else 0.1",),
)  # fmt: skip


@pytest.mark.parametrize(
    "number",
    [
        2,
        True,
        Fraction(1, 4),
        np.float16(0.5),
        np.float32(0.5),
        np.longdouble(0.5),
        np.uint64(3),
        np.True_,
        np.array(2.0),
    ],
)
def test_numbers_of_any_width_become_floats(number):
    value = Value(1.0)
    value.data = value.grad = number
    for x in (value.data, value.grad, Value(number).data, (value * number).data, (number + value).data):
        assert type(x) is float
    assert value.data == float(number)


class CallsItselfAFloat:
    __class__ = float


@pytest.mark.parametrize(
    "odd",
    [
        None, "1", b"1", Decimal(1), 1j, [1.0], np.array([1.0]), np.array("1"), Value(1.0), CallsItselfAFloat(),
        np.timedelta64(3, "s"), np.ma.masked, np.ma.array(1.0, mask=True),
    ],
    ids=lambda odd: type(odd).__name__,
)  # fmt: skip
def test_a_non_number_is_a_type_error_and_changes_nothing(odd):
    value = Value(3.0)
    for name in ("data", "grad"):
        with pytest.raises(TypeError, match=r"expected a (real )?number, got"):
            setattr(value, name, odd)
    with pytest.raises(TypeError):
        Value(odd)
    if odd is np.ma.masked:
        with pytest.raises(TypeError, match="expected a real number"):
            value * odd
    assert (value.data, value.grad) == (3.0, 0.0)


def test_integers_too_large_are_infinite_and_labels_are_strings():
    assert Value(-(10**400)).data == -math.inf
    for odd in (None, b"w", 3, Value(1.0)):
        with pytest.raises(TypeError, match="a label is a text"):
            Value(1.0, odd)
    assert type(Value(1.0, np.str_("w")).label) is str


def test_optimizers_write_floats():
    for make in (optim.SGD, optim.AdamW):
        w = Value(1.0)
        optimizer = make([w], lr=np.float32(0.1))
        (w * w).backward()
        optimizer.lr = np.float32(0.1)
        optimizer.step()
        assert type(w.data) is float
        state = {k: np.array(v, dtype=np.float32) for k, v in optimizer.state_dict().items()}
        optimizer.load_state_dict(state)
        assert {type(x) for v in optimizer.state_dict().values() for x in (v if isinstance(v, list) else [v])} <= {
            float,
            int,
        }
        optimizer.lr = Value(0.1)
        with pytest.raises(TypeError, match="lr must be a number"):
            optimizer.step()
    with pytest.raises(ValueError, match="moves leaves"):
        optim.SGD([w * 2], lr=0.1)


def test_a_detached_infinite_derivative_does_not_leak():
    x, y = Value(0.0), Value(-3.0)
    (x.sqrt().detach() + x).backward()
    ((y**y).detach() * y).backward()
    assert (x.grad, y.grad) == (1.0, (-3.0) ** -3.0)


def test_gradients_are_never_lost_silently():
    x = Value(2.0)
    for function in (math.exp, math.tanh, float):
        with pytest.raises(TypeError, match="lose the gradient"):
            function(x)
    assert float(x.detach()) == 2.0
    with no_grad():
        y = x * x
        assert math.sqrt(y) == 2.0
    for root in (y, y * 2, x.detach(), (x.detach() * 3).tanh()):
        with pytest.raises(NoGradientError, match="no_grad"):
            root.backward()


def test_gradients_flow_through_masked_arrays():
    x = Value(3.0)
    (np.ma.array([2.0, 5.0], mask=[False, True]) * x)[0].backward()
    (x - np.ma.array([2.0]))[0].backward()
    assert x.grad == 3.0


def test_functions_that_return_plain_numbers_are_differentiated():
    assert central_difference(math.exp, [2.0], 0) == pytest.approx(math.exp(2.0))
    assert central_difference(lambda x: 5, np.array([2.0]), 0) == 0.0
    gradcheck(lambda x: 5.0, [1.0])
    with pytest.raises(TypeError, match="must return one Value"):
        central_difference(lambda x: [x], [1.0], 0)


class Net(nn.Module):
    def __init__(self):
        shared = Value(9.0)
        self.weights = {"in": Value(1.0), "deep": [{"out": Value(2.0)}]}
        self.pair = (Value(3.0), shared)
        self.row = np.array([[Value(5.0), Value(6.0)]])
        self.ragged = [[Value(7.0)], [shared, Value(8.0)]]
        self.blocks = {"a": (nn.Dropout(0.5), nn.Linear(1, 1))}


def test_parameters_are_found_in_every_container():
    net = Net()
    names = [name for name, _ in net.named_parameters()]
    assert names == [
        "weights.in", "weights.deep[0].out", "pair", "row", "ragged[0]", "ragged[1]",
        "blocks.a.1.weight", "blocks.a.1.bias",
    ]  # fmt: skip
    assert len(net.parameters()) == 10
    net.eval()
    assert not net.blocks["a"][0].training
    state = {name: np.array(numbers, dtype=np.float32) for name, numbers in net.state_dict().items()}
    for value in net.parameters():
        value.data = 0.0
    net.load_state_dict(state)
    assert net.weights["deep"][0]["out"].data == 2.0
    assert type(net.row[0][1].data) is float
    with pytest.raises(StateDictError, match="pair: expected numbers"):
        net.load_state_dict({**state, "pair": [1.0, "x"]})


def test_parameters_that_cannot_be_named_are_refused():
    net = Net()
    net.extra = {Value(1.0)}
    with pytest.raises(TypeError, match="extra: parameters in a set"):
        net.parameters()
    net.extra = {1: Value(1.0), "1": Value(2.0)}
    with pytest.raises(ValueError, match="two parameters"):
        net.parameters()


class Weights:
    __slots__ = ("w",)

    def __init__(self, w):
        self.w = w


@pytest.mark.parametrize(
    "hide",
    [
        Weights, lambda w: SimpleNamespace(w=w), lambda w: {w: 0.0}, lambda w: map(abs, [w]), lambda w: iter([w]),
        lambda w: (v for v in [w]), lambda w: lambda x: x * w, lambda w: partial(abs, w), lambda w: [{"a": Weights(w)}],
        lambda w: Weights(np.array([w])), lambda w: Weights([nn.Linear(1, 1)]), weakref.ref,
        lambda w: type("C", (), {"w": w}),
        lambda w: [type("C", (), {"w": [w]})()], lambda w: [w].append, lambda w: weakref.WeakKeyDictionary({w: 1}),
        lambda w: (w for _ in [0]), lambda w: Weights(w).__init__, lambda w: slice(w), lambda w: reversed([w]),
    ],
    ids=str.split(
        "slots namespace key map iterator generator closure partial nested array module weak class instance builtin "
        "weakkeys cell method slice reversed"
    ),
)  # fmt: skip
def test_parameters_that_are_not_found_are_refused(hide):
    net, w = nn.Module(), Value(1.0)
    net.b = Value(2.0)
    net.kept = hide(w)
    for find in (net.parameters, net.state_dict, net.zero_grad):
        with pytest.raises(TypeError, match="kept: the (Value|Linear) inside of the .* is not found; keep"):
            find()
    if isinstance(net.kept, Weights) and isinstance(net.kept.w, list):
        return
    net.weight = w  # now it is found elsewhere
    assert net.parameters() == [net.b, w]
    assert list(net.state_dict()) == ["b", "weight"]


def test_containers_without_parameters_are_allowed():
    net = nn.Module()
    net.b = Value(2.0)
    net._left_out = Weights(Value(1.0))
    net.rng, net.result, net.loss = random.Random(0), Weights(net.b * 2), F.mse
    net.optimizer = optim.Adam(net.parameters(), lr=0.1)
    net.scalar = np.array(Value(3.0))
    assert net.parameters() == [net.b, net.scalar[()]]
    net.again = [net.b]
    net.again.append(net.again)
    with pytest.raises(TypeError, match="again: .* one contains itself"):
        net.parameters()


def test_parameters_of_the_class_are_refused():
    with pytest.raises(TypeError, match=r"Shared.w: a parameter in the class .* self.w = "):

        class Shared(nn.Module):
            w = [Value(1.0)]  # noqa: RUF012

    class Mixed:
        w = Value(1.0)

    with pytest.raises(TypeError, match=r"Inherits.w: a parameter in the class"):

        class Inherits(nn.Module, Mixed):
            pass

    for container in (list, dict, deque):
        with pytest.raises(TypeError, match="Many: parameters among its items are not found"):

            class Many(nn.Module, container):
                pass

    with pytest.raises(TypeError, match="leave __slots__ out"):

        class Slotted(nn.Module):
            __slots__ = ("w",)


def test_arrays_work_where_lists_do():
    values = np.array([Value(1.0), Value(2.0)])
    rows = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert F.mse(values, np.array([1.0, 4.0])).data == 2.0
    assert F.dot(np.array([1.0, 2.0]), values).data == 5.0
    assert [x.data for x in F.linear(values, rows)] == [5.0, 11.0]
    assert [x.data for x in F.weighted_sum(values, rows)] == [7.0, 10.0]
    assert F.cross_entropy(values, np.int64(1)).data == pytest.approx(math.log(1 + math.exp(-1)))
    model = nn.MLP(2, np.array([3, 1]))
    assert model(np.array([1.0, 2.0])).data == model([1.0, 2.0]).data


ROWS = [[0.5, -1.0, 2.0], [1.0, 0.0, -0.5], [0.25, 2.0, 1.0]]
ON_A_VECTOR = {
    **{f"Activation {name}": nn.Activation(name) for name in nn.ACTIVATIONS},
    **{f"activation {name}": (lambda x, name=name: [nn.activation(name)(v) for v in x]) for name in nn.ACTIVATIONS},
    "Neuron": nn.Neuron(3),
    "Layer": nn.Layer(3, 2),
    "MLP": nn.MLP(3, [2, 2]),
    "Linear": nn.Linear(3, 2),
    "RMSNorm": nn.RMSNorm(3),
    "bare RMSNorm": nn.RMSNorm(3, weight=False),
    "LayerNorm": nn.LayerNorm(3),
    "bare LayerNorm": nn.LayerNorm(3, False, False),
    "Dropout": nn.Dropout(0.5).eval(),
    "AttentionHead": lambda x: nn.AttentionHead()([x], [x], [x])[0],
    "softmax": F.softmax,
    "log_softmax": F.log_softmax,
    "cross_entropy": lambda x: F.cross_entropy(x, 1),
    "mse": lambda x: F.mse(x, ROWS[1]),
    "mean": F.mean,
    "dot": lambda x: F.dot(x, ROWS[1]),
    "dot twice": lambda x: F.dot(x, x),
    "add": lambda x: F.add(x, ROWS[1]),
    "linear": lambda x: F.linear(x, ROWS),
    "bias": lambda x: F.linear(ROWS[0], ROWS, x),
    "rms_norm": F.rms_norm,
    "layer_norm": lambda x: F.layer_norm(x, x, x),
    "attend": lambda x: F.attend(x, ROWS, ROWS, x),
    "attention_weights": lambda x: F.attention_weights(x, ROWS),
    "weighted_sum": lambda x: F.weighted_sum(x, ROWS),
    "Value.tanh": lambda x: [Value.tanh(v) for v in x],
    "apply": lambda x: [apply(LEAKY, v) for v in x],
}
VECTORS = {
    "floats": ROWS[0],
    "tuple": tuple(ROWS[0]),
    "mixed": [0.5, Value(-1.0), np.float32(2.0)],
    "float64": np.array(ROWS[0]),
    "float16": np.array(ROWS[0], np.float16),
    "longdouble": np.array(ROWS[0], np.longdouble),
    "column": np.array(ROWS).T.copy().T[0],
    "Fortran": np.asfortranarray(ROWS)[0],
    "reversed": np.array(ROWS[0][::-1])[::-1],
    "objects": np.array([Value(x) for x in ROWS[0]]),
    "row of objects": np.array([[Value(x) for x in ROWS[0]]] * 2)[1],
}


@pytest.mark.parametrize("name", ON_A_VECTOR)
def test_plain_numbers_and_arrays_give_what_values_give(name):
    function = ON_A_VECTOR[name]
    numbers = lambda out: [v.data for v in (out if isinstance(out, list) else [out])]  # noqa: E731
    expected = numbers(function([Value(x) for x in ROWS[0]]))
    for vector in VECTORS.values():
        assert numbers(function(vector)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "name",
    [name for name in ON_A_VECTOR if not name.startswith(("activation", "Attention", "Value", "apply", "bias"))],
)
@pytest.mark.parametrize(
    "odd",
    [
        np.array(0.5), np.array(Value(0.5)), np.array(ROWS), np.asfortranarray(ROWS), np.zeros((2, 3, 3)),
        np.array([[Value(x) for x in row] for row in ROWS]), 0.5, None, "abc", ["a", "b", "c"], np.ones(3, complex),
        np.array(["2020"] * 3, "datetime64[Y]"), np.ma.array(ROWS[0], mask=[0, 1, 0]), [ROWS[0]] * 3,
    ],
    ids=str.split("0d value0d 2d fortran 3d values2d number none text texts complex dates masked nested"),
)  # fmt: skip
def test_a_non_vector_is_one_clear_error(name, odd):
    with pytest.raises((TypeError, ValueError), match="takes|needs|list|one by one|not iterable|expected") as caught:
        ON_A_VECTOR[name](odd)
    assert "has no attribute" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.MLP(2, [3, 1])([[1.0, 2.0], [3.0, 4.0]]), "one example at a time"),
        (lambda: nn.MLP(2, [3, 1])(np.ones((2, 2))), "one example at a time"),
        (lambda: nn.MLP(2, [3, 1])(list(np.ones((2, 2)))), "one example at a time"),
        (lambda: nn.Linear(2, 1)(["1", "2"]), r"float\(\)"),
        (lambda: F.softmax(x for x in [1.0]), "list"),
        (lambda: F.cross_entropy([Value(1.0)], [0, 1]), "number of the right class"),
        (lambda: F.cross_entropy([Value(1.0)], 1.0), "number of the right class"),
        (lambda: F.mse([[Value(1.0)]], [[1.0]]), "one example at a time"),
        (lambda: F.dot([Value(1.0)], [np.ones(2)]), "one example at a time"),
        (lambda: nn.Embedding(3, 2)([1, 2]), "one index"),
        (lambda: nn.Linear(2.5, 1), "in_features must be an integer"),
    ],
)
def test_errors_of_common_mistakes_say_what_to_write(call, message):
    with pytest.raises(TypeError, match=message):
        call()


def test_a_deep_graph_is_copied_without_recursion():
    x = Value(1.0, "x")
    y = x
    for _ in range(20_000):
        y = y + 1
    for copied, again in (
        copy.deepcopy([x, y]),
        pickle.loads(pickle.dumps([x, y])),
        pickle.loads(pickle._dumps([x, y])),
    ):
        again.backward()
        assert (again.data, copied.grad, copied.label, x.grad) == (20_001.0, 1.0, "x", 0.0)


def test_models_optimizers_and_own_operations_are_pickled():
    model = nn.MLP(2, [3, 1], "silu")
    optimizer = optim.Adam(model.parameters())
    for twin, other in (pickle.loads(pickle.dumps((model, optimizer))), copy.deepcopy((model, optimizer))):
        assert twin([1.0, 2.0]).data == model([1.0, 2.0]).data
        assert other.parameters == twin.parameters()
    y = pickle.loads(pickle.dumps(apply(LEAKY, Value(-2.0))))
    assert y.op is LEAKY
    assert copy.deepcopy(y).op is LEAKY
