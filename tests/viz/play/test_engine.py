"""The graph of scalars in JavaScript computes what Values compute: every operation, whole graphs, and the errors."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from gpt.config import GPTConfig
from gpt.model import GPT
from tests.viz.play.in_node import run
from tinygrad_edu import Value, ops
from tinygrad_edu import functional as F
from tinygrad_edu.engine import apply, constant, maximum, topological_order
from tinygrad_edu.errors import DomainError

pytestmark = pytest.mark.node

SPECIAL = [0.0, -0.0, 1.0, -1.0, 2.0, -3.0, 0.5, 1e-9, 40.0, -40.0, 1e300, math.inf, -math.inf, math.nan]


def exported(root: Value) -> list[list[Any]]:
    """A graph as rows of operation, inputs and number, inputs first."""
    order = topological_order(root)
    index = {value: i for i, value in enumerate(order)}
    names = {None: "leaf", ops.CONSTANT: "number"}
    return [
        [names.get(v.op) or v.op.name, [index[x] for x in v.inputs], v.data]  # type: ignore[union-attr]
        for v in order
    ]


#: Makes the graph on a tape, computes it again, and goes backward.
REBUILT = """
  const t = new Tape(2);
  for (const [op, inputs, data] of given) op === "leaf" || op === "number" ? t[op](data) : t[op](...inputs);
  const built = t.data.slice(0, t.length);
  t.data.forEach((_, i) => { if (t.codes[i] > 1) t.data[i] = NaN; });
  t.forward();
  t.backward(t.length - 1);
  return { built, data: t.data.slice(0, t.length), grad: t.grad.slice(0, t.length), codes: t.codes.slice(0, t.length) };
"""


def check(root: Value, tolerance: float = 1e-13) -> None:
    order = topological_order(root)
    for value in order:
        value.grad = 0.0
    root.backward()
    found = run(REBUILT, exported(root))
    data, grad = [v.data for v in order], [v.grad for v in order if v.op is not ops.CONSTANT]
    scale = max(abs(x) for x in grad if math.isfinite(x))
    assert found["built"] == pytest.approx(data, rel=tolerance, abs=tolerance, nan_ok=True)
    assert found["data"] == pytest.approx(data, rel=tolerance, abs=tolerance, nan_ok=True)
    got = [g for g, code in zip(found["grad"], found["codes"], strict=True) if code != 1]
    assert got == pytest.approx(grad, rel=tolerance, abs=tolerance * scale, nan_ok=True)


@pytest.mark.parametrize("op", ops.TABLE, ids=lambda op: op.name)
def test_an_operation_and_its_gradient_are_the_engine_s(op: ops.Op) -> None:
    rng = random.Random(1)
    points = [[rng.uniform(-7, 7) for _ in range(op.arity or 3)] for _ in range(60)]
    points += [[a, b, 1.0][: op.arity] for a in SPECIAL for b in SPECIAL]
    found = run(
        f"""return given.map(point => {{ try {{
          const t = new Tape(2), leaves = point.map(x => t.leaf(x)), out = t.{op.name}(...leaves);
          t.forward();
          t.backward(out);
          const row = OPS.{op.name}.f(...point);
          if (!Object.is(row, t.data[out])) throw new Error("the table says " + row);
          return [row, ...leaves.map(x => t.grad[x])];
        }} catch (error) {{ if (error instanceof Trouble) return error.message; throw error; }} }});""",
        points,
    )
    for point, answer in zip(points, found, strict=True):
        leaves, expected = [Value(x) for x in point], ""
        try:
            out = apply(op, *leaves)
        except DomainError as error:
            expected = str(error).split(":")[1].split(";")[0]
        if expected:
            assert isinstance(answer, str), (point, answer)
            assert expected in answer
            continue
        assert isinstance(answer, list), (point, answer)
        assert answer[0] == pytest.approx(out.data, rel=1e-13, abs=1e-300, nan_ok=True), point
        if op.derivatives is None:
            assert answer[1:] == [0.0]
            continue
        try:
            out.backward()
        except DomainError:
            continue
        assert answer[1:] == pytest.approx([x.grad for x in leaves], rel=1e-12, abs=1e-15, nan_ok=True), point


def random_graph(rng: random.Random) -> Value:
    values = [Value(rng.uniform(-2, 2)) for _ in range(8)]
    smooth = [ops.TANH, ops.SIGMOID, ops.GELU, ops.SIN, ops.COS, ops.ABS, ops.RELU, ops.NEG, ops.DETACH]
    for _ in range(120):
        a, b, c = (rng.choice(values[-30:]) for _ in "abc")
        made = rng.randrange(8)
        if made == 0:
            values.append(apply(rng.choice(smooth), a))
        elif made == 1:
            values.append((a * a + 1.0).log() + (a.tanh().exp()))
        elif made == 2:
            values.append(a / (b * b + 0.5))
        elif made == 3:
            values.append(maximum(a, b, c) - apply(ops.MINIMUM, a, b))
        elif made == 4:
            values.append((abs(a) + 0.3) ** (b.tanh() + 1.5) + (a * a + 0.1).sqrt())
        elif made == 5:
            values.append(a.tanh() ** 3 + constant(rng.uniform(-1, 1)))
        else:
            values.append((a * b + c).tanh() * 2.0)
    return F.mean(values)


@pytest.mark.parametrize("seed", range(4))
def test_random_graphs_have_the_engine_s_gradients(seed: int) -> None:
    check(random_graph(random.Random(seed)), 1e-11)


def test_every_gradient_of_a_gpt_is_the_engine_s() -> None:
    config = GPTConfig(vocab_size=27, block_size=8, n_layer=1, n_head=2, n_embd=8, activation="gelu", norm_weight=True)
    check(GPT(config, seed=3).loss([0, 5, 13, 13, 1], [5, 13, 13, 1, 0]))


@pytest.mark.parametrize("name", ["relu", "gelu_tanh", "relu2", "silu", "tanh"])
def test_functions_on_lists_are_the_library_s(name: str) -> None:
    rng = random.Random(5)
    rows = [[rng.uniform(-2, 2) for _ in range(4)] for _ in range(6)]
    found = run(
        """
        const [name, rows] = given, t = new Tape();
        const [q, w, b, ...keys] = rows.map(row => row.map(x => t.leaf(x)));
        const x = t.attend(q, keys, keys).map(v => t.activation(name, v));
        const y = t.layerNorm(t.rmsNorm(t.sums(x, q), w), w, b), z = t.linear(y, keys, b);
        const loss = t.add(t.crossEntropy(z, 1), t.add(t.mse(y, q), t.sub(t.softmax(z)[0], t.logSoftmax(y)[2])));
        t.backward(loss);
        return [t.data[loss], ...t.grad.slice(0, 24)];
        """,
        [name, rows],
    )
    from tinygrad_edu.nn import activation

    q, w, b, *keys = leaves = [[Value(x) for x in row] for row in rows]
    x = [activation(name)(v) for v in F.attend(q, keys, keys)]
    y = F.layer_norm(F.rms_norm(F.add(x, q), w), w, b)
    z = F.linear(y, keys, b[:3])
    loss = F.cross_entropy(z, 1) + (F.mse(y, q) + (F.softmax(z)[0] - F.log_softmax(y)[2]))
    loss.backward()
    assert found == pytest.approx([loss.data, *(v.grad for row in leaves for v in row)], rel=1e-12, abs=1e-14)


def test_dot_products_are_the_same_at_once_as_node_by_node() -> None:
    """Inputs at even distances and not, of one term, of a vector with itself; from and to any node on the way."""
    found = run(
        """
        const build = dot => {
          const t = new Tape(2), x = Array.from({ length: 7 }, (_, i) => t.leaf(Math.sin(i + 1)));
          const [a, b] = [x.slice(0, 3), x.slice(4)], odd = [x[0], x[1], x[5]], start = t.mark();
          const pairs = [[a, b], [a, odd], [b, b], [[x[3]], [x[0]]], [a, [x[6], x[5], x[4]]], [odd, b]];
          const outs = pairs.map(pair => dot(t, ...pair));
          dot(t, outs, outs);
          return { t, x, start };
        };
        const byHand = (t, a, b) => {
          let at = t.mul(a[0], b[0]);
          for (let i = 1; i < a.length; i++) at = t.add(at, t.mul(a[i], b[i]));
          return at;
        };
        const seen = [(t, a, b) => t.dot(a, b), byHand].map(dot => {
          const { t, x, start } = build(dot), all = [];
          for (let cut = start; cut <= t.length; cut++) {
            x.forEach((node, i) => { t.data[node] = Math.cos(cut + i); });
            t.forward(start, cut);
            t.forward(cut);
            all.push(...t.data.slice(0, t.length));
          }
          for (let root = start; root < t.length; root++) { t.backward(root); all.push(...t.grad.slice(0, root + 1)); }
          for (let cut = start; cut < t.length; cut++) {
            const root = t.length - 1;
            for (const array of [t.grad, t.reached]) { array.fill(0); array[root] = 1; }
            t.differentiate(root, cut);
            t.differentiate(cut - 1, 0);
            all.push(...t.grad.slice(0, root + 1), ...t.reached.slice(0, root + 1));
          }
          return all;
        });
        return seen;
        """
    )
    assert len(found[0]) > 1000
    assert found[0] == found[1]


def test_a_gradient_of_zero_stops_but_at_plus_and_times() -> None:
    check(Value(0.0).relu() * 3.0 + Value(2.0) ** 2)
    found = run(
        """
        const t = new Tape(), x = t.leaf(-1), y = t.leaf(Infinity), z = t.mul(t.relu(x), y);
        t.backward(z);
        return [t.grad[x], t.grad[y]];
        """
    )
    assert found == [0.0, 0.0]


def test_no_answer_names_the_value() -> None:
    found = run(
        """
        const t = new Tape(), p = t.named(t.relu(t.leaf(2, "x")), "p"), loss = t.log(p), said = [];
        t.data[0] = -2;
        try { t.forward(); } catch (error) { said.push(error instanceof Trouble, error.value === loss, error.message); }
        try { t.div(p, t.number(0)); } catch (error) { said.push(error.message); }
        return said;
        """
    )
    assert found[:2] == [True, True]
    assert found[2].startswith("log(0): the logarithm needs a positive number")
    assert found[2].endswith("(at log(p))")
    assert found[3].startswith("0 / 0: division by zero has no answer")


def test_a_tape_is_cleared_to_a_mark_and_used_again() -> None:
    found = run(
        """
        const t = new Tape(2), w = t.leaf(0.5, "w"), start = t.mark(), seen = [];
        for (const x of [1, 2, 3]) {
          t.clear(start);
          const out = t.named(t.maximum(t.mul(w, t.number(x)), t.number(0.1), w), "out");
          t.backward(out);
          seen.push([t.length, t.used, t.name(out), t.name(w), t.data[out], t.grad[w]]);
        }
        return seen;
        """
    )
    assert found == [[5, 3, "out", "w", 0.5, 1.0], [5, 3, "out", "w", 1.0, 2.0], [5, 3, "out", "w", 1.5, 3.0]]


def test_an_explanation_adds_up() -> None:
    found = run(
        """
        const t = new Tape(), w = t.leaf(-1.2, "w"), x = t.leaf(0.5, "x"), b = t.leaf(0.4, "b");
        const h = t.named(t.tanh(t.add(t.mul(w, x), b)), "h"), L = t.named(t.add(t.mul(h, h), w), "L");
        t.backward(L);
        return [t.explain(w), t.explain(h), t.explain(t.number(3))];
        """
    )
    w, h, number = found
    assert (w["title"], w["formula"], w["rows"]) == ("w", "a leaf: nothing computes it", [])
    assert sum(use["value"] for use in w["uses"]) == pytest.approx(w["grad"])
    assert [use["ref"] for use in w["uses"]] == [3, 7]
    assert (h["formula"], h["numbers"]) == ("tanh(w · x + b)", "tanh(−0.2) = −0.1974")
    assert [row["text"] for row in h["rows"]] == ["w · x + b"]
    assert h["uses"][0]["value"] == h["uses"][1]["value"] == pytest.approx(h["value"])
    assert (number["title"], number["grad"]) == ("3", None)
