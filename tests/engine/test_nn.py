"""Modules: shapes, names, saving and loading, training mode, and the same numbers as PyTorch's layers."""

import math
import multiprocessing
import random

import pytest

from tests.engine.domains import python
from tinygrad_edu import Value, gradcheck, nn, no_grad, optim, topological_order
from tinygrad_edu import functional as F
from tinygrad_edu.errors import ShapeError, StateDictError
from tinygrad_edu.nested import shape


def vector(n, seed=0):
    rng = random.Random(seed)
    return [Value(rng.uniform(-1.0, 1.0)) for _ in range(n)]


def data(nested):
    return nested.data if isinstance(nested, Value) else [data(item) for item in nested]


class Tied(nn.Module):
    """An embedding and a head that share one table, around a list of blocks: the anatomy of a GPT."""

    def __init__(self):
        rng = random.Random(0)
        self.wte = nn.Embedding(5, 3, rng=rng)
        self.h = [nn.Linear(3, 3, rng=rng), nn.Linear(3, 3, bias=False, rng=rng)]
        self.scale = Value(2.0)
        self.lm_head = nn.Linear(3, 5, bias=False, rng=rng)
        self.lm_head.weight = self.wte.weight
        self._cache = Value(1.0)

    def forward(self, index):
        x = self.wte(index)
        for block in self.h:
            x = F.add(x, block(x))
        return self.lm_head([v * self.scale for v in x])


# --- shapes ---------------------------------------------------------------------------------------------------------


def test_shapes():
    x = vector(3)
    assert isinstance(nn.Neuron(3)(x), Value)
    assert len(nn.Layer(3, 4)(x)) == 4
    assert isinstance(nn.Layer(3, 1)(x), list)
    assert isinstance(nn.MLP(3, [4, 1])(x), Value)
    assert len(nn.MLP(3, [4, 2])(x)) == 2
    assert len(nn.Linear(3, 7)(x)) == 7
    assert shape(nn.Linear(3, 7).weight) == (7, 3)
    assert shape(nn.Embedding(10, 4).weight) == (10, 4)
    assert len(nn.Embedding(10, 4)(9)) == 4
    for norm in (
        nn.RMSNorm(3),
        nn.LayerNorm(3),
        nn.RMSNorm(3, weight=False),
        nn.LayerNorm(3, weight=False, bias=False),
    ):
        assert len(norm(x)) == 3
    assert len(nn.Activation("gelu")(x)) == 3
    assert len(nn.Dropout(0.5)(x)) == 3
    assert shape([[1, 2], [3, 4], [5, 6]]) == (3, 2)
    assert shape(3.0) == shape(Value(1.0)) == ()
    assert shape([]) == (0,)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Neuron(0), "Neuron: n_in must be at least 1, got 0"),
        (lambda: nn.Layer(2, 0), "Layer: n_out must be at least 1, got 0"),
        (lambda: nn.MLP(0, [1]), r"at least one input, one layer and one neuron in each; got 0, \[1\]"),
        (lambda: nn.MLP(2, []), "one layer"),
        (lambda: nn.MLP(2, [3, 0]), "one neuron in each"),
        (lambda: nn.Linear(-1, 2), "Linear: in_features must be at least 1, got -1"),
        (lambda: nn.Linear(1, 0), "Linear: out_features must be at least 1, got 0"),
        (lambda: nn.Embedding(0, 2), "Embedding: num_embeddings must be at least 1, got 0"),
        (lambda: nn.Dropout(1.0), r"dropout p must be at least 0 and below 1, got 1\.0"),
        (lambda: nn.Dropout(-0.1), r"dropout p must be .* got -0\.1"),
        (lambda: nn.Neuron(2, "rleu"), r"unknown activation: 'rleu' \(must be one of linear, relu, tanh"),
        (lambda: nn.Activation("swish"), "unknown activation: 'swish'"),
    ],
)
def test_layers_that_cannot_be_built(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.Neuron(3)(vector(2)), "this Neuron has 3 inputs; got 2"),
        (lambda: nn.MLP(3, [4, 1])(vector(4)), "this Neuron has 3 inputs; got 4"),
        (
            lambda: nn.Linear(3, 2)(vector(4)),
            r"Linear\(in_features=3, out_features=2\): expected a vector of 3 numbers, got 4",
        ),
        (lambda: nn.RMSNorm(3)(vector(4)), "the norm was made for 3 features; got a vector of 4"),
        (lambda: nn.LayerNorm(3)(vector(2)), "the norm was made for 3 features; got a vector of 2"),
        (lambda: nn.AttentionHead()([vector(2)] * 2, [vector(2)], [vector(2)]), "got 2 queries, 1 keys, 1 values"),
        (lambda: nn.AttentionHead()([vector(2)], [vector(2)] * 2, [vector(2)]), "got 1 queries, 2 keys, 1 values"),
    ],
)
def test_inputs_of_the_wrong_size(call, message):
    with pytest.raises(ShapeError, match=message):
        call()


def test_an_embedding_returns_its_own_row():
    table = nn.Embedding(4, 2)
    assert table(2) is table.weight[2]
    sum(table(2)).backward()
    assert [[v.grad for v in row] for row in table.weight] == [[0, 0], [0, 0], [1, 1], [0, 0]]
    for index in (4, -1):
        with pytest.raises(IndexError, match=f"index {index} is out of range for a table of 4 entries"):
            table(index)


def test_a_module_without_forward_is_an_error():
    class Empty(nn.Module):
        pass

    with pytest.raises(NotImplementedError, match=r"Empty has no forward\(\)"):
        Empty()(1)


def test_every_activation_has_the_right_slope():
    for name in nn.ACTIVATIONS:
        for x in (-1.3, 0.4, 2.0):
            gradcheck(nn.activation(name), [x])
    assert nn.activation("relu2")(Value(3.0)).data == 9.0
    assert nn.activation("silu")(Value(2.0)).data == pytest.approx(2.0 / (1.0 + math.exp(-2.0)))
    tanh = math.tanh(math.sqrt(2.0 / math.pi) * (-1.3 + 0.044715 * -(1.3**3)))  # as in GPT-2's code
    assert nn.activation("gelu_tanh")(Value(-1.3)).data == pytest.approx(0.5 * -1.3 * (1.0 + tanh), rel=1e-14)
    assert nn.activation("linear")(Value(3.0)).data == 3.0


def test_norms_start_by_only_normalizing():
    x = [Value(v) for v in (1.0, -2.0, 3.0, 0.5)]
    assert data(nn.RMSNorm(4)(x)) == data(nn.RMSNorm(4, weight=False)(x)) == data(F.rms_norm(x))
    assert data(nn.LayerNorm(4)(x)) == data(nn.LayerNorm(4, False, False)(x)) == data(F.layer_norm(x))
    assert sum(v * v for v in data(nn.RMSNorm(4)(x))) / 4 == pytest.approx(1.0, abs=1e-5)
    assert data(nn.RMSNorm(4, eps=1.0)(x)) == data(F.rms_norm(x, eps=1.0))
    assert data(nn.LayerNorm(4, eps=1.0)(x)) == data(F.layer_norm(x, eps=1.0))


@pytest.mark.parametrize(("last", "result"), [("linear", lambda z: z), ("sigmoid", lambda z: 1 / (1 + math.exp(-z)))])
def test_an_mlp_is_the_composition_of_its_layers(last, result):
    mlp = nn.MLP(1, [2, 1], "relu", last_activation=last, rng=3)
    (a, b), (c,) = (layer.neurons for layer in mlp.layers)
    for i, p in enumerate(mlp.parameters()):
        p.data = [2.0, 0.5, -3.0, 0.25, 4.0, 5.0, -1.0][i]
    assert [neuron.activation for neuron in (a, b, c)] == ["relu", "relu", last]
    for x in (1.0, -1.0):
        hidden = [max(0.0, 2.0 * x + 0.5), max(0.0, -3.0 * x + 0.25)]
        assert mlp([x]).data == pytest.approx(result(4.0 * hidden[0] + 5.0 * hidden[1] - 1.0), rel=1e-12)


# --- parameters -----------------------------------------------------------------------------------------------------


def test_named_parameters_in_order_each_once():
    model = Tied()
    assert [name for name, _ in model.named_parameters()] == [
        "scale",
        "wte.weight",
        "h.0.weight",
        "h.0.bias",
        "h.1.weight",
    ]
    assert len(model.parameters()) == 1 + 15 + 9 + 3 + 9
    assert len(set(model.parameters())) == len(model.parameters())
    names = dict(model.named_scalars())
    assert names["h.0.weight[2][1]"] is model.h[0].weight[2][1]
    assert names["scale"] is model.scale
    assert list(names.values()) == model.parameters()
    assert [path for path, _ in model.named_modules()] == ["", "wte", "h.0", "h.1", "lm_head"]
    assert repr(model) == "Tied(37 parameters)"


def test_individually_shared_rows_count_once():
    model = Tied()
    model.lm_head.weight = list(model.wte.weight)  # another list of the very same Values
    assert len(model.parameters()) == 37
    assert len(dict(model.named_scalars())) == 37


def test_tied_parameters_collect_both_gradients():
    model = Tied()
    loss = F.cross_entropy(model(1), 2)
    loss.backward()
    assert all(v.grad != 0.0 for row in model.wte.weight for v in row)

    def through(*numbers):
        for value, number in zip(model.wte.weight[1], numbers, strict=True):
            value.data = number.data
        return F.cross_entropy(model(1), 2)

    at = data(model.wte.weight[1])
    for i, value in enumerate(model.wte.weight[1]):
        h = 1e-6
        above, below = (through(*[Value(x + d * (j == i)) for j, x in enumerate(at)]).data for d in (h, -h))
        assert value.grad == pytest.approx((above - below) / (2 * h), rel=1e-6)


def test_zero_grad_reaches_every_parameter():
    model = Tied()
    F.cross_entropy(model(1), 2).backward()
    model.zero_grad()
    assert all(p.grad == 0.0 for p in model.parameters())
    assert "grad" not in repr(model.scale)


# --- state ----------------------------------------------------------------------------------------------------------


def test_state_dict_round_trip():
    model, other = Tied(), Tied()
    for p in other.parameters():
        p.data = 9.0
    state = model.state_dict()
    other.load_state_dict(state)
    assert data(other.parameters()) == data(model.parameters())
    assert data(other(3)) == data(model(3))
    assert other.lm_head.weight is other.wte.weight
    assert state["lm_head.weight"] == state["wte.weight"]
    model.scale.data = 7.0
    assert state["scale"] == 2.0, "a copy, not a view"


@pytest.mark.parametrize(
    ("name", "entry", "message"),
    [
        ("h.0.bias", [1.0, 2.0], r"h\.0\.bias: expected shape \(3,\), got \(2,\)"),
        ("h.0.bias", 1.0, r"h\.0\.bias: expected shape \(3,\), got \(\)"),
        ("scale", [1.0], r"scale: expected shape \(\), got \(1,\)"),
        ("wte.weight", [[1.0] * 5] * 3, r"wte\.weight: expected shape \(5, 3\), got \(3, 5\)"),
        ("h.1.weight", [[1.0] * 3, [1.0] * 2, [1.0] * 3],
         r"h\.1\.weight: expected shape \(3, 3\), got rows of unequal shape: \(2,\), \(3,\)"),
        ("h.0.bias", [1.0, "2", 3.0], r"h\.0\.bias: expected numbers, got str"),
        ("scale", None, r"scale: expected numbers, got NoneType"),
        ("h.0.bias", None, r"h\.0\.bias: expected shape \(3,\), got \(\)"),
    ],
)  # fmt: skip
def test_a_state_that_does_not_fit_changes_nothing(name, entry, message):
    model = Tied()
    before = data(model.parameters())
    state = {key: [[0.5] * 3] * 5 if key.endswith("e.weight") else value for key, value in model.state_dict().items()}
    state[name] = entry
    with pytest.raises(StateDictError, match=message):
        model.load_state_dict(state)
    assert data(model.parameters()) == before


def test_missing_and_unknown_names_are_listed():
    model = Tied()
    before = data(model.parameters())
    state = {**model.state_dict(), "h.2.weight": 1.0, "scale": 5.0}
    del state["h.1.weight"], state["h.0.bias"]
    with pytest.raises(
        StateDictError, match=r"parameters of this Tied; missing: h\.0\.bias, h\.1\.weight; unknown: h\.2\.weight"
    ):
        model.load_state_dict(state)
    assert data(model.parameters()) == before


# --- training mode and dropout --------------------------------------------------------------------------------------


class WithDropout(nn.Module):
    def __init__(self):
        self.inner = [nn.Dropout(0.25, rng=1)]

    def forward(self, x):
        return self.inner[0](x)


def test_train_and_eval_reach_everything():
    model = WithDropout()
    assert model.training
    assert model.inner[0].training
    assert model.eval() is model
    assert not model.inner[0].training
    x = vector(50)
    assert model(x) == x, "in evaluation the very same Values"
    assert model.train().inner[0].training


def test_dropout_drops_about_p_and_keeps_the_mean():
    n = 20_000
    ones = [Value(1.0)] * n
    out = data(WithDropout()(ones))
    assert set(out) == {0.0, 1 / 0.75}
    assert out.count(0.0) / n == pytest.approx(0.25, abs=0.015)  # five standard deviations of 0.003
    assert sum(out) / n == pytest.approx(1.0, abs=0.02)
    assert out == data(WithDropout()(ones)), "the seed decides"
    assert out != data(nn.Dropout(0.25, rng=2)(ones))
    assert nn.Dropout(0.0)(ones) == ones


def test_dropout_stops_the_gradient_of_what_it_drops():
    x = [Value(1.0) for _ in range(40)]
    out = nn.Dropout(0.5, rng=3)(x)
    sum(out).backward()
    assert {(o.data, v.grad) for o, v in zip(out, x, strict=True)} == {(0.0, 0.0), (2.0, 2.0)}


# --- attention ------------------------------------------------------------------------------------------------------


def sequence(length, size, seed):
    rng = random.Random(seed)
    return [[Value(rng.uniform(-1, 1)) for _ in range(size)] for _ in range(length)]


@pytest.mark.parametrize("new", [1, 2, 5])
def test_fewer_queries_than_keys_are_the_tail_of_the_whole(new):
    queries, keys, values = (sequence(5, 4, seed) for seed in (0, 1, 2))
    head = nn.AttentionHead()
    assert data(head(queries[-new:], keys, values)) == data(head(queries, keys, values))[-new:]


def test_attention_is_causal():
    queries, keys, values = (sequence(4, 3, seed) for seed in (0, 1, 2))
    out = nn.AttentionHead()(queries, keys, values)
    assert data(out[0]) == pytest.approx(data(values[0])), "the first position sees only itself"
    sum(out[1]).backward()
    seen = [any(v.grad != 0.0 for v in row) for row in values]
    assert seen == [True, True, False, False]


def test_generation_reuses_earlier_keys():
    project = nn.Linear(3, 3, rng=0)
    x = sequence(6, 3, 0)
    projected = []

    def key(position):
        projected.append(position)
        return project(x[position])

    cache = [key(t) for t in range(5)]
    for row in cache:
        for v in row:
            v.label = "cached"
    cache.append(key(5))
    out = nn.AttentionHead()([vector(3)], cache, cache)
    assert projected == [0, 1, 2, 3, 4, 5]
    graph = topological_order(sum(out[0]))
    assert sum(v.label == "cached" for v in graph) == 5 * 3, "the very Values that were computed before"
    with no_grad():  # and nothing in the head copies or changes them
        before = data(cache)
        nn.AttentionHead()([vector(3)], cache, cache)
        assert data(cache) == before


# --- randomness -----------------------------------------------------------------------------------------------------

EVERY_LAYER = """
import random
from tinygrad_edu import nn
rng = random.Random(3)
layers = [nn.Linear(3, 4, rng=rng), nn.Linear(3, 4, std=0.02, rng=rng), nn.Embedding(5, 2, rng=rng),
          nn.MLP(3, [4, 1], rng=rng), nn.Layer(2, 2), nn.Neuron(3, rng=5)]
print(*[p.data.hex() for layer in layers for p in layer.parameters()])
"""


def test_the_same_start_in_every_process():
    first, second = (python(EVERY_LAYER, PYTHONHASHSEED=seed) for seed in ("1", "77"))
    assert first == second
    assert len(first.split()) == 16 + 16 + 10 + 21 + 6 + 4


def test_randomness_comes_from_the_seed_that_is_given():
    random.seed(0)
    state = random.getstate()
    a, b, c = nn.Linear(4, 4, rng=1), nn.Linear(4, 4, rng=1), nn.Linear(4, 4, rng=2)
    nn.Dropout(0.5)(vector(9))
    assert random.getstate() == state, "the global generator is not touched"
    assert data(a.weight) == data(b.weight) != data(c.weight)
    rng = random.Random(1)
    assert data(nn.Linear(4, 4, rng=rng).weight) == data(a.weight)
    assert data(nn.Linear(4, 4, rng=rng).weight) != data(a.weight), "a generator goes on where it stands"


def test_initial_weights_have_the_promised_size():
    layer = nn.Linear(100, 50, rng=0)
    numbers = [v.data for row in layer.weight for v in row] + data(layer.bias)
    assert max(map(abs, numbers)) <= 0.1
    assert max(map(abs, numbers)) > 0.0999
    normal = [v.data for row in nn.Linear(100, 50, std=0.02, rng=0).weight for v in row]
    assert (sum(x * x for x in normal) / 5000) ** 0.5 == pytest.approx(0.02, rel=0.05)
    assert data(nn.Linear(100, 5, std=0.02).bias) == [0.0] * 5


# --- against PyTorch ------------------------------------------------------------------------------------------------


def compare(ours, theirs, x):
    """Check outputs and gradients of input and parameters against PyTorch's layer with the same parameters."""
    import torch

    theirs = theirs.double()
    state = {name: torch.tensor(numbers, dtype=torch.float64) for name, numbers in ours.state_dict().items()}
    theirs.load_state_dict(state)
    t = torch.tensor(data(x), dtype=torch.float64, requires_grad=True)
    out, torch_out = ours(x), theirs(t)
    assert data(out) == pytest.approx(torch_out.tolist(), rel=1e-11, abs=1e-13)
    F.dot(out, [0.5 + i for i in range(len(out))]).backward()
    (torch_out * (0.5 + torch.arange(len(out)))).sum().backward()
    assert [v.grad for v in x] == pytest.approx(t.grad.tolist(), rel=1e-9, abs=1e-11)
    for name, parameter in theirs.named_parameters():
        flat = [v.grad for n, v in ours.named_scalars() if n.split("[")[0] == name]
        assert flat == pytest.approx(parameter.grad.flatten().tolist(), rel=1e-9, abs=1e-11)


@pytest.mark.torch
def test_layers_as_in_pytorch():
    import torch

    compare(nn.Linear(5, 3, rng=1), torch.nn.Linear(5, 3), vector(5))
    compare(nn.Linear(5, 3, bias=False, rng=1), torch.nn.Linear(5, 3, bias=False), vector(5))
    layer_norm, rms_norm = nn.LayerNorm(6), nn.RMSNorm(6)
    for i, p in enumerate(layer_norm.parameters() + rms_norm.parameters()):
        p.data = 0.3 + 0.1 * i
    compare(layer_norm, torch.nn.LayerNorm(6), vector(6))
    compare(rms_norm, torch.nn.RMSNorm(6, eps=1e-5), vector(6))
    compare(nn.LayerNorm(6, bias=False), torch.nn.LayerNorm(6, bias=False), vector(6))
    compare(nn.LayerNorm(6, False, False), torch.nn.LayerNorm(6, elementwise_affine=False), vector(6))


@pytest.mark.torch
def test_embedding_as_in_pytorch():
    import torch

    ours = nn.Embedding(5, 3, rng=4)
    theirs = torch.nn.Embedding(5, 3).double()
    theirs.load_state_dict({"weight": torch.tensor(ours.state_dict()["weight"], dtype=torch.float64)})
    tokens = [3, 1, 3]
    sum(v * v for t in tokens for v in ours(t)).backward()
    (theirs(torch.tensor(tokens)) ** 2).sum().backward()
    assert [[v.grad for v in row] for row in ours.weight] == theirs.weight.grad.tolist()


@pytest.mark.torch
def test_attention_as_in_pytorch():
    import torch

    q, k, v = (sequence(5, 4, seed) for seed in (0, 1, 2))
    tensors = [torch.tensor(data(m), dtype=torch.float64, requires_grad=True) for m in (q, k, v)]
    out = nn.AttentionHead()(q, k, v)
    torch_out = torch.nn.functional.scaled_dot_product_attention(*[t[None] for t in tensors], is_causal=True)[0]
    for row, torch_row in zip(data(out), torch_out.tolist(), strict=True):
        assert row == pytest.approx(torch_row, rel=1e-11)
    sum(x * x for row in out for x in row).backward()
    (torch_out**2).sum().backward()
    for ours, theirs in zip((q, k, v), tensors, strict=True):
        grads = [x.grad for row in ours for x in row]
        assert grads == pytest.approx(theirs.grad.flatten().tolist(), rel=1e-9, abs=1e-12)


# --- common mistakes ----------------------------------------------------------------------------------------------


def test_a_number_instead_of_a_list_of_inputs_is_a_helpful_error() -> None:
    with pytest.raises(TypeError, match="a Neuron takes a list of 2 inputs, got 3.0"):
        nn.Neuron(2)(3.0)
    with pytest.raises(TypeError, match=r"MLP\(3, \[4\]\)"):
        nn.MLP(3, 4)  # type: ignore[arg-type]


def test_an_optimizer_given_a_model_is_a_helpful_error() -> None:
    with pytest.raises(TypeError, match=r"got a MLP; pass model.parameters\(\)"):
        optim.Adam(nn.MLP(3, [4]))  # type: ignore[arg-type]


def test_values_are_formatted_and_rounded_as_numbers() -> None:
    value = Value(2.34567)
    assert (f"{value:.2f}", f"{value}", round(value, 1), round(value)) == ("2.35", repr(value), 2.3, 2)


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # started by other tests
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_pool_of_processes_runs_a_model(method: str) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system cannot {method}")
    model = nn.MLP(2, [3, 1])
    points = [[0.5, -1.0], [2.0, 0.25], [-3.0, 1.0]]
    with multiprocessing.get_context(method).Pool(2) as pool:
        found = pool.map(model, points)
    assert [out.data for out in found] == [model(point).data for point in points]
    found[0].backward()  # a separate graph with the model's numbers
