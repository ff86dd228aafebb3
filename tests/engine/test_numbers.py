"""Reference numbers: worked out by hand, from well-known lectures, and from Mazur's worked example of 2015."""

import math
import random

import pytest

from tinygrad_edu import Value, nn, optim, topological_order
from tinygrad_edu import functional as F


def exact(number):
    return pytest.approx(number, rel=1e-9, abs=1e-12)


def to(digits, number):
    """Return an approx for a number printed with this many digits after the decimal point."""
    return pytest.approx(number, abs=0.500001 * 10.0**-digits)


def test_an_expression():
    a, b, c, f = Value(2.0), Value(-3.0), Value(10.0), Value(-2.0)
    e = a * b
    d = e + c
    L = d * f
    L.backward()
    assert L.data == -8.0
    assert [v.grad for v in (a, b, c, e, d, f, L)] == [6.0, -4.0, -2.0, -2.0, -2.0, 4.0, 1.0]


@pytest.mark.parametrize(
    "tanh",
    [Value.tanh, lambda n: ((2 * n).exp() - 1) / ((2 * n).exp() + 1)],
    ids=["as one step", "from exponentials"],
)
def test_the_lecture_neuron(tanh):
    x1, x2, w1, w2 = Value(2.0), Value(0.0), Value(-3.0), Value(1.0)
    b = Value(6.8813735870195432)
    o = tanh(x1 * w1 + x2 * w2 + b)
    o.backward()
    assert to(8, 0.70710678) == o.data == exact(math.sqrt(0.5))
    assert [v.grad for v in (x1, w1, x2, w2, b)] == [exact(g) for g in (-1.5, 1.0, 0.5, 0.0, 0.5)]


def test_a_value_used_twice_sums_both_gradients():
    a = Value(3.0)
    (a + a).backward()
    assert a.grad == 2.0

    a, b = Value(-2.0), Value(3.0)
    ((a * b) * (a + b)).backward()
    assert (a.grad, b.grad) == (-3.0, -8.0)


def test_why_the_order_must_be_topological():
    a = Value(1.0)
    b = a + a
    c = b + b
    c.backward()
    assert a.grad == 4.0

    # Passing the gradient on edge by edge, before it is complete, counts b's first half twice.
    def naive(value):
        value._backward()
        for x in value.inputs:
            naive(x)

    for value in topological_order(c):
        value.zero_grad()
    c.grad = 1.0
    naive(c)
    assert a.grad == 8.0


def test_the_expression_of_micrograds_readme():
    a = Value(-4.0)
    b = Value(2.0)
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    g.backward()
    assert (g.data, a.grad, b.grad) == (to(4, 24.7041), to(4, 138.8338), to(4, 645.5773))


def test_a_sum_times_a_number():
    x, y, z = Value(-2.0), Value(5.0), Value(-4.0)
    out = (x + y) * z
    out.backward()
    assert (out.data, x.grad, y.grad, z.grad) == (-12.0, -4.0, -4.0, 3.0)


def test_a_sigmoid_neuron():
    neuron = nn.Neuron(2, "sigmoid")
    neuron.load_state_dict({"w": [2.0, -3.0], "b": -3.0})
    x = [Value(-1.0), Value(-2.0)]
    out = neuron(x)
    out.backward()
    assert out.data == to(9, 0.731058579)
    assert [v.grad for v in neuron.parameters()] == [to(9, g) for g in (-0.196611933, -0.393223866, 0.196611933)]
    assert [v.grad for v in x] == [to(9, 0.393223866), to(9, -0.589835800)]


def test_a_neuron_often_quoted_wrongly():
    neuron = nn.Neuron(3, "sigmoid")
    neuron.load_state_dict({"w": [0.8, -0.5, 1.0], "b": 0.1})
    x = [0.5, -0.3, 1.2]
    z = F.dot(neuron.w, x) + neuron.b
    out = neuron(x)
    out.backward()
    assert z.data == exact(1.85)
    assert (out.data, neuron.b.grad) == (to(4, 0.8641), to(4, 0.1174))


def test_mazurs_network():
    """Matt Mazur, "A step by step backpropagation example" (2015): two inputs, two hidden neurons, two outputs."""
    net = nn.MLP(2, [2, 2], "sigmoid", last_activation="sigmoid")
    hidden, output = net.layers
    net.load_state_dict({
        "layers.0.neurons.0.w": [0.15, 0.20], "layers.0.neurons.1.w": [0.25, 0.30],
        "layers.0.neurons.0.b": 0.35, "layers.0.neurons.1.b": 0.35,
        "layers.1.neurons.0.w": [0.40, 0.45], "layers.1.neurons.1.w": [0.50, 0.55],
        "layers.1.neurons.0.b": 0.60, "layers.1.neurons.1.b": 0.60,
    })  # fmt: skip
    weights = [w for layer in net.layers for neuron in layer.neurons for w in neuron.w]
    targets = [0.01, 0.99]

    def error():
        # Half of each square, summed: for two outputs that is their mean.
        return F.mse(net([0.05, 0.10]), targets)

    assert [h.data for h in hidden([0.05, 0.10])] == [to(9, 0.593269992), to(9, 0.596884378)]
    assert [o.data for o in net([0.05, 0.10])] == [to(9, 0.751365070), to(9, 0.772928465)]
    optimizer = optim.SGD(weights, lr=0.5)
    E = error()
    assert E.data == to(9, 0.298371109)
    E.backward()
    optimizer.step()
    assert [w.data for w in weights] == [
        to(9, w)
        for w in (
            0.149780716,
            0.199561432,
            0.249751144,
            0.299502287,
            0.358916480,
            0.408666186,
            0.511301270,
            0.561370121,
        )
    ]
    assert [neuron.b.data for layer in (hidden, output) for neuron in layer.neurons] == [0.35, 0.35, 0.60, 0.60]
    assert error().data == to(9, 0.291027774)


def test_softmax_and_cross_entropy():
    logits = [Value(2.0), Value(1.0), Value(0.1)]
    probs = [p.data for p in F.softmax(logits)]
    assert probs == [to(3, 0.659), to(3, 0.242), to(3, 0.099)]
    assert sum(probs) == exact(1.0)
    loss = F.cross_entropy(logits, 0)
    loss.backward()
    assert to(3, 0.417) == loss.data == exact(-math.log(probs[0]))
    assert [x.grad for x in logits] == [exact(probs[0] - 1.0), exact(probs[1]), exact(probs[2])]


def test_attention_of_three_words():
    """river, bank, overflowed: each row of weights, and the output for "river"."""
    keys = [[Value(1.0), Value(0.0)], [Value(1.0), Value(1.0)], [Value(0.0), Value(1.0)]]
    values = [[Value(0.9), Value(0.1)], [Value(0.5), Value(0.5)], [Value(0.1), Value(0.9)]]
    river, bank, _ = keys
    assert [w.data for w in F.attention_weights(bank, keys)] == [to(4, w) for w in (0.2483, 0.5035, 0.2483)]
    assert [v.data for v in F.attend(bank, keys, values)] == [exact(0.5), exact(0.5)]
    assert [w.data for w in F.attention_weights(river, keys)] == [to(4, w) for w in (0.4011, 0.4011, 0.1978)]
    assert [v.data for v in F.attend(river, keys, values)] == [to(4, 0.5813), to(4, 0.4187)]


def test_sizes_of_networks():
    assert len(nn.MLP(3, [4, 4, 2]).parameters()) == 46
    assert len(nn.MLP(2, [2, 2]).parameters()) == 12
    assert len(nn.MLP(3, [16, 16, 1]).parameters()) == 353
    assert len(nn.Linear(16, 65, bias=False).parameters()) == 1040


@pytest.mark.parametrize(("vocab_size", "nats"), [(27, 3.2958), (65, 4.1744)])
def test_a_model_that_knows_nothing_loses_ln_v(vocab_size, nats):
    flat = [Value(0.3) for _ in range(vocab_size)]
    assert to(4, nats) == F.cross_entropy(flat, 5).data == exact(math.log(vocab_size))

    lm_head = nn.Linear(16, vocab_size, std=0.02)
    rng = random.Random(0)
    losses = [
        F.cross_entropy(lm_head([Value(rng.gauss(0, 1)) for _ in range(16)]), rng.randrange(vocab_size)).data
        for _ in range(50)
    ]
    assert sum(losses) / 50 == pytest.approx(nats, abs=0.03)


def test_gradient_descent_on_a_parabola():
    """(w − 3)² with lr 0.01 shrinks the distance by 2 % a step: 0.98ⁿ · 3, which 100 steps do not bring to 0."""
    w = Value(0.0)
    optimizer = optim.SGD([w], lr=0.01)
    path = []
    for _ in range(400):
        optimizer.zero_grad()
        ((w - 3) ** 2).backward()
        optimizer.step()
        path.append(w.data)
    assert to(3, 2.602) == path[99] == exact(3 - 3 * 0.98**100)
    assert next(i + 1 for i, at in enumerate(path) if abs(at - 3) <= 0.005) == 317
