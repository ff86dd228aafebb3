"""The step log against the engine: same terms, same order, same bits."""

import functools
import json
import math
import operator
import re
import struct

import pytest

from tests.engine.random_graphs import random_graph
from tinygrad_edu import Value, maximum, topological_order
from tinygrad_edu.engine import NO_GRADIENT_YET
from tinygrad_edu.errors import StaleGraphError
from tinygrad_edu.functional import cross_entropy
from tinygrad_edu.ops import CONSTANT
from tinygrad_edu.step_log import Chain, Forward, Seed, StepLog, exact, record, write, written_sum


def bits(x):
    return struct.pack("<d", x)


def lecture():
    a, b, c, f = Value(2.0, "a"), Value(-3.0, "b"), Value(10.0, "c"), Value(-2.0, "f")
    return (a * b + c) * f


def assert_equals_engine(log, root):
    order = topological_order(root)
    before = [value.grad for value in order]
    replayed = log.replay()
    assert all(a is b for a, b in zip(before, (v.grad for v in order), strict=True))
    for value in order:
        value.zero_grad()
    root.backward()
    for i, value in enumerate(order):
        assert bits(replayed.data[i]) == bits(value.data)
        if value.op is not CONSTANT:
            assert bits(replayed.gradients[i] or 0.0) == bits(value.grad), log.nodes[i]
            assert replayed.gradients[i] == log.gradients[i]


@pytest.mark.parametrize("seed", range(200))
def test_replay_equals_the_engine_bit_for_bit(seed):
    root, _ = random_graph(seed)
    assert_equals_engine(record(root), root)


NUMBER = r"[−+]?(?:\d+\.?\d*(?:e[−+]?\d+)?|∞)"
SENTENCE = re.compile(rf"^(∂\S+) \+= (∂\S+) · (∂.+) = ({NUMBER}) · ({NUMBER}) = ({NUMBER})$")


def parsed(text):
    return float(text.replace("−", "-").replace("∞", "inf"))


@pytest.mark.parametrize("seed", range(200))
def test_every_sentence_is_arithmetically_true_and_terms_sum_to_the_gradient(seed):
    root, leaves = random_graph(seed)
    log = record(root)
    root.backward()
    index = {value: i for i, value in enumerate(topological_order(root))}
    sums = {}
    for step in log.steps:
        if isinstance(step, Chain):
            target, _, _, upstream, local, product = SENTENCE.match(log.sentence(step)).groups()
            assert parsed(upstream) * parsed(local) == pytest.approx(parsed(product), rel=1e-12, abs=1e-300)
            assert target == log.gradient_name(step.input)
            sums[target] = sums.get(target, 0.0) + parsed(product)
            assert sums[target] == step.after
    for leaf in leaves:
        if leaf in index:
            name = log.gradient_name(index[leaf])
            assert sums.get(name, 0.0) == leaf.grad
            # Add one by one, as the engine does: sum() of floats is compensated since Python 3.12.
            terms = [step.contribution for step in log.terms(index[leaf])]
            assert functools.reduce(operator.add, terms, 0.0) == leaf.grad


def test_every_prefix_of_the_replay_matches_the_steps():
    log = record(random_graph(7)[0])
    for k in range(len(log.steps) + 1):
        state = log.replay(k)
        for step in log.steps[k : k + 1]:
            if isinstance(step, Forward):
                assert state.data[step.node] is None
                assert log.replay(k + 1).data[step.node] == step.value
            elif isinstance(step, Chain):
                assert state.gradients[step.input] == step.before
                assert log.replay(k + 1).gradients[step.input] == step.after
    assert log.replay(0).gradients == [None] * len(log.nodes)
    assert log.replay(log.first_backward).gradients == [None] * len(log.nodes)
    assert None not in log.replay(log.first_backward).data


def test_the_sentences_of_the_lecture():
    log = record(lecture())
    sentences = [log.sentence(step) for step in log.steps]
    assert sentences[0] == "v1 = a · b = 2 · (−3) = −6"
    assert sentences[3] == "∂L/∂L = 1"
    assert sentences[-2:] == ["∂L/∂a += ∂L/∂v1 · ∂v1/∂a = −2 · −3 = 6", "∂L/∂b += ∂L/∂v1 · ∂v1/∂b = −2 · 2 = −4"]
    assert log.why(log.steps[-2]) == "v1 = a · b, so ∂v1/∂a = b = −3"
    assert [log.accumulation(step) for step in log.steps if isinstance(step, Chain)] == [""] * 6


def test_accumulation_is_shown_as_terms():
    a = Value(1.0, "a")
    b = a + a
    b.label = "b"
    log = record(b)
    assert [type(step) for step in log.steps] == [Forward, Seed, Chain, Chain]
    assert log.accumulation(log.steps[-1]) == "∂b/∂a = 1 + 1 = 2"
    assert log.why(log.steps[-1]) == "b = a₁ + a₂, so ∂(a₁ + a₂)/∂a₂ = 1 (a₂ is a, use 2 of 2)"
    assert [log.steps[-1].before, log.steps[-1].after] == [1.0, 2.0]
    wide = record(sum((a * float(i) for i in range(1, 9)), Value(0.0, "z")))
    assert wide.accumulation(wide.terms(wide.nodes.index(next(n for n in wide.nodes if n.name == "a")))[-1]).endswith(
        "(8 terms) = 36"
    )


@pytest.mark.parametrize(
    ("make", "formula", "numbers", "locals_"),
    [
        (lambda a, b: a - b, "a − b", "3 − (−2)", ["1", "−1"]),
        (lambda a, b: a / b, "a / b", "3 / (−2)", ["1 / b", "−a / b^2"]),
        (lambda a, b: b**2, "b^2", "(−2)^2", ["2 · b"]),
        (lambda a, b: b**3, "b^3", "(−2)^3", ["3 · b^2"]),
        (lambda a, b: -b, "−b", "−(−2)", ["−1"]),
        (lambda a, b: a**a, "a^a", "3^3", ["a₂ · a₁^(a₂ − 1)", "a₁^a₂ · log(a₁)"]),
        (lambda a, b: b.tanh(), "tanh(b)", "tanh(−2)", ["1 − tanh(b)^2"]),
        (lambda a, b: b.sigmoid(), "σ(b)", "σ(−2)", ["L · (1 − L)"]),
        (
            lambda a, b: maximum(a, b, 1.0),
            "max(a, b, 1)",
            "max(3, −2, 1)",
            [
                "1 if a is the largest (equal ones share it), else 0",
                "1 if b is the largest (equal ones share it), else 0",
            ],
        ),
    ],
)
def test_formulas_carry_the_names(make, formula, numbers, locals_):
    log = record(make(Value(3.0, "a"), Value(-2.0, "b")))
    assert log.formula(log.root) == formula
    assert log.substituted(log.root) == numbers
    assert [log.local_formula(step) for step in log.steps if isinstance(step, Chain)] == locals_


def test_numbers_in_a_formula_get_no_steps():
    x = Value(-2.0, "x")
    log = record(3 * x**2)
    assert {log.nodes[step.input].name for step in log.steps if isinstance(step, Chain)} == {"v1", "x"}
    assert_equals_engine(log, 3 * x**2)


def test_no_steps_are_logged_where_no_gradient_flows():
    loss = cross_entropy([Value(2.0, "p"), Value(1.0, "q"), Value(0.1, "r")], 0)
    log = record(loss)
    ops = {log.nodes[step.node].op.name for step in log.steps if isinstance(step, Chain)}
    assert "maximum" not in ops
    assert "detach" not in ops
    gradients = {node.name: g for node, g in zip(log.nodes, log.gradients, strict=True)}
    assert [round(gradients[name], 3) for name in "pqr"] == [-0.341, 0.242, 0.099]
    assert_equals_engine(log, loss)


def test_the_corners_of_the_engine():
    zero, big = Value(0.0, "zero"), Value(1e308, "big")
    stopped = (zero.relu() * 1e200) * big * big  # an infinite upstream meets the derivative 0 of relu
    assert_equals_engine(record(stopped), stopped)
    leaf = Value(3.0, "leaf")
    assert record(leaf).gradients == [1.0]
    nan = Value(math.nan, "n") * 2 + 1
    assert math.isnan(record(nan).replay().data[-1])


def test_names_are_unique():
    a, also_a = Value(1.0, "a"), Value(2.0, "a")
    x1 = Value(3.0, "x1")
    log = record(a * also_a + Value(4.0) * x1)
    names = [node.name for node in log.nodes]
    assert names == ["a", "a_2", "v1", "x2", "x1", "v2", "L"]
    taken = record(Value(1.0, "L") * Value(2.0, "out"))
    assert [node.name for node in taken.nodes] == ["L", "out", "v1"]


def test_json_and_back():
    for log in (record(lecture()), record(random_graph(3)[0]), record(Value(1e308, "x") * 1e308 * 0.5)):
        again = StepLog.from_json(log.to_json())
        assert again == log
        assert again.replay() == log.replay()
        json.loads(log.to_json(), parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version":2}', '{"version":1,"nodes":[[1]],"steps":[],"root":0}'])
def test_an_invalid_log_is_refused(text):
    with pytest.raises(ValueError, match="expected a step log of version 1"):
        StepLog.from_json(text)


def test_a_graph_whose_numbers_were_changed_is_refused():
    a, b = Value(2.0, "a"), Value(3.0, "b")
    c = (a * b).log()
    a.data = 5.0
    with pytest.raises(StaleGraphError, match=r"v1 holds 6\.0, but mul of a = 5\.0, b = 3\.0 is 15\.0.*again"):
        record(c)
    with pytest.raises(TypeError, match="expected the Value to differentiate, got 3"):
        record(3)


def test_recording_changes_no_gradient():
    root = lecture()
    record(root)
    assert all(value.grad is NO_GRADIENT_YET for value in topological_order(root))


def test_a_long_chain_is_recorded():
    x = y = Value(1.0, "x")
    for _ in range(20_000):
        y = y + x
    log = record(y)
    assert log.gradients[0] == 20_001.0


def test_writing():
    assert [exact(x) for x in (1.0, -0.5, 1e300, -1e-7, -math.inf, math.nan)] == [
        "1", "−0.5", "1e+300", "−1e−07", "−∞", "NaN",
    ]  # fmt: skip
    assert write("exp(a)", ["b"]) == "exp(b)"
    assert written_sum([-1.0, -2.0, 3.0]) == "−1 − 2 + 3"
