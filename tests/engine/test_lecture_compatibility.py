"""Code typed along with the well-known lectures runs unchanged on our Value."""

import math
import random

import pytest

from tests.engine.lecture import draw_dot
from tinygrad_edu import Value, nn


class ReferenceValue:
    """A minimal autograd engine in the style of the lecture: closures, and nothing shared with the library."""

    def __init__(self, data, inputs=()):
        self.data, self.grad, self.inputs, self.push = data, 0.0, inputs, lambda: None

    @classmethod
    def lift(cls, x):
        return x if isinstance(x, cls) else cls(x)

    def unary(self, data, slope):
        out = ReferenceValue(data, (self,))

        def push():
            self.grad += slope * out.grad

        out.push = push
        return out

    def __add__(self, other):
        other = self.lift(other)
        out = ReferenceValue(self.data + other.data, (self, other))

        def push():
            self.grad += out.grad
            other.grad += out.grad

        out.push = push
        return out

    def __mul__(self, other):
        other = self.lift(other)
        out = ReferenceValue(self.data * other.data, (self, other))

        def push():
            self.grad += other.data * out.grad
            other.grad += self.data * out.grad

        out.push = push
        return out

    def __pow__(self, n):
        return self.unary(self.data**n, n * self.data ** (n - 1))

    def log(self):
        return self.unary(math.log(self.data), 1.0 / self.data)

    def exp(self):
        return self.unary(math.exp(self.data), math.exp(self.data))

    def relu(self):
        return self.unary(max(0.0, self.data), float(self.data > 0))

    __radd__ = __add__
    __rmul__ = __mul__

    def __neg__(self):
        return self * -1.0

    def __sub__(self, other):
        return self + (-other)

    def __rsub__(self, other):
        return (-self) + other

    def __truediv__(self, other):
        return self * self.lift(other) ** -1

    def __rtruediv__(self, other):
        return self**-1 * other

    def backward(self):
        order, seen, stack = [], set(), [(self, False)]
        while stack:
            value, done = stack.pop()
            if done:
                order.append(value)
            elif value not in seen:
                seen.add(value)
                stack.append((value, True))
                stack.extend((x, False) for x in value.inputs)
        self.grad = 1.0
        for value in reversed(order):
            value.push()


def train_a_small_gpt(Value):
    """Train a GPT in one function that uses only Value(number), operators, log, exp, relu, backward, data and grad."""
    random.seed(42)
    words = ["anna", "bob", "carla", "dora", "ella"]
    letters = sorted(set("".join(words)))
    stop = len(letters)
    vocab_size, n_embd, n_head, block_size = stop + 1, 8, 2, 6
    head_size = n_embd // n_head

    def matrix(rows, columns, std=0.1):
        return [[Value(random.gauss(0, std)) for _ in range(columns)] for _ in range(rows)]

    weights = {"wte": matrix(vocab_size, n_embd), "wpe": matrix(block_size, n_embd)}
    for name in ("q", "k", "v", "o"):
        weights[name] = matrix(n_embd, n_embd)
    weights |= {
        "up": matrix(2 * n_embd, n_embd),
        "down": matrix(n_embd, 2 * n_embd),
        "head": matrix(vocab_size, n_embd),
    }
    parameters = [p for table in weights.values() for row in table for p in row]

    def linear(x, table):
        return [sum(w * v for w, v in zip(row, x, strict=True)) for row in table]

    def normed(x):
        scale = (sum(v * v for v in x) / len(x) + 1e-5) ** -0.5
        return [v * scale for v in x]

    def softmax(scores):
        top = max(s.data for s in scores)
        powers = [(s - top).exp() for s in scores]
        total = sum(powers)
        return [p / total for p in powers]

    def gpt(token, position, keys, values):
        x = normed([t + p for t, p in zip(weights["wte"][token], weights["wpe"][position], strict=True)])
        residual, x = x, normed(x)
        q = linear(x, weights["q"])
        keys.append(linear(x, weights["k"]))
        values.append(linear(x, weights["v"]))
        mixed = []
        for start in range(0, n_embd, head_size):
            part = slice(start, start + head_size)
            scores = [sum(a * b for a, b in zip(q[part], k[part], strict=True)) / head_size**0.5 for k in keys]
            attention = softmax(scores)
            for j in range(start, start + head_size):
                mixed.append(sum(a * v[j] for a, v in zip(attention, values, strict=True)))
        x = [a + b for a, b in zip(residual, linear(mixed, weights["o"]), strict=True)]
        hidden = [h.relu() ** 2 for h in linear(normed(x), weights["up"])]
        x = [a + b for a, b in zip(x, linear(hidden, weights["down"]), strict=True)]
        return linear(x, weights["head"])

    m, v, losses = [0.0] * len(parameters), [0.0] * len(parameters), []
    for step in range(12):
        tokens = [stop] + [letters.index(c) for c in words[step % len(words)]] + [stop]
        keys, values, terms = [], [], []
        for position in range(len(tokens) - 1):
            probs = softmax(gpt(tokens[position], position, keys, values))
            terms.append(-probs[tokens[position + 1]].log())
        loss = (1 / len(terms)) * sum(terms)
        loss.backward()
        for i, p in enumerate(parameters):
            m[i] = 0.9 * m[i] + 0.1 * p.grad
            v[i] = 0.99 * v[i] + 0.01 * p.grad**2
            p.data -= 0.02 * (m[i] / (1 - 0.9 ** (step + 1))) / ((v[i] / (1 - 0.99 ** (step + 1))) ** 0.5 + 1e-8)
            p.grad = 0
        losses.append(loss.data)
    return losses


def test_a_gpt_script_trains_unchanged():
    ours, reference = train_a_small_gpt(Value), train_a_small_gpt(ReferenceValue)
    assert ours == pytest.approx(reference, rel=1e-9)
    assert ours[0] == pytest.approx(math.log(10), abs=0.8)  # nine letters and the end marker
    assert ours[-2] < ours[0] - 0.5, "it learns"


# --- drawing as in the lecture ----------------------------------------------------------------------------------------


def test_draw_dot_of_the_lecture():
    x1, x2 = Value(2.0, label="x1"), Value(0.0, label="x2")
    w1, w2 = Value(-3.0, label="w1"), Value(1.0, label="w2")
    b = Value(6.8813735870195432, label="b")
    n = x1 * w1 + x2 * w2 + b
    n.label = "n"
    o = n.tanh()
    o.label = "o"
    o.backward()
    source = draw_dot(o).source
    assert source.count("shape=record") == 10  # five leaves and five results
    assert source.count("->") == 9 + 5  # an edge per input, and one from each operation to its result
    assert "{ x1 | data 2.0000 | grad -1.5000 }" in source
    assert "{ o | data 0.7071 | grad 1.0000 }" in source
    assert "label=tanh" in source


def test_the_names_of_the_lecture():
    a = Value(2.0, label="a")
    assert (a._op, tuple(a._prev), a.grad) == ("", (), 0.0)
    for out, op in (
        (a + 1, "+"), (a * 2, "*"), (a - 1, "-"), (a / 2, "/"), (a**3, "**3"), (a**-0.5, "**-0.5"), (a**a, "**"),
        (a.tanh(), "tanh"), (a.exp(), "exp"), (a.relu(), "ReLU"), (a.log(), "log"),
    ):  # fmt: skip
        assert out._op == op
        assert a in out._prev


def test_backward_step_by_step_with_ones_own_order():
    """The lecture first calls _backward() by hand, node by node, then writes the topological sort."""
    a, b = Value(2.0), Value(-3.0)
    e = a * b
    d = e + 10.0
    L = d * d
    L.grad = 1.0
    for node in (L, d, e):
        node._backward()
    assert (L.data, d.grad, a.grad, b.grad) == (16.0, 8.0, -24.0, 16.0)
    a._backward()  # a leaf: nothing to do

    topo, visited = [], set()

    def build_topo(v):
        if v not in visited:
            visited.add(v)
            for child in v._prev:
                build_topo(child)
            topo.append(v)

    build_topo(L)
    for node in topo:
        node.grad = 0.0
    L.grad = 1.0
    for node in reversed(topo):
        node._backward()
    assert (d.grad, a.grad, b.grad) == (8.0, -24.0, 16.0)


def test_the_training_loop_of_the_lecture():
    n = nn.MLP(3, [4, 4, 1])
    xs = [[2.0, 3.0, -1.0], [3.0, -1.0, 0.5], [0.5, 1.0, 1.0], [1.0, 1.0, -1.0]]
    ys = [1.0, -1.0, -1.0, 1.0]
    losses = []
    for _ in range(60):
        ypred = [n(x) for x in xs]
        loss = sum((yout - ygt) ** 2 for ygt, yout in zip(ys, ypred, strict=True))
        for p in n.parameters():
            p.grad = 0.0
        loss.backward()
        for p in n.parameters():
            p.data += -0.05 * p.grad
        losses.append(loss.data)
    assert losses[-1] < 0.02 < losses[0]


# --- micrograd itself, where it is installed ------------------------------------------------------------------------


@pytest.mark.micrograd
@pytest.mark.parametrize("sizes", [(3, [4, 4, 1]), (2, [16, 3]), (1, [1])])
def test_micrograds_networks_run_on_our_value(monkeypatch, sizes):
    import micrograd.nn as micrograd_nn

    their_value = micrograd_nn.Value

    def run(value_class):
        monkeypatch.setattr(micrograd_nn, "Value", value_class)
        random.seed(5)
        model = micrograd_nn.MLP(*sizes)
        rng = random.Random(1)
        loss = 0
        for _ in range(5):
            out = model([rng.uniform(-1, 1) for _ in range(sizes[0])])
            for o in out if isinstance(out, list) else [out]:
                loss = loss + (o - rng.choice([-1, 1])) ** 2 / 5
        alpha = 1e-2
        loss = loss + alpha * sum(p * p for p in model.parameters())
        model.zero_grad()
        loss.backward()
        return loss.data, [p.grad for p in model.parameters()]

    (ours, our_grads), (theirs, their_grads) = run(Value), run(their_value)
    assert ours == pytest.approx(theirs, rel=1e-12)
    assert our_grads == pytest.approx(their_grads, rel=1e-9, abs=1e-14)
    assert any(our_grads)
