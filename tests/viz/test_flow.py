"""Gradient flow: its numbers are recomputed from the engine's, and planted problems are found and named."""

import math
import random
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import viz
from tests.viz.drawn_examples import Drawn
from tinygrad_edu import Value, functional, record_calls
from tinygrad_edu.nn import MLP, Module
from tinygrad_edu.optim import SGD
from viz.charts.flow import lines


def network(spoil=None, sizes=(4, 4, 1), examples=3, activation="tanh"):
    """Return the flow of a small network, its parameters by name, and the recorded calls."""
    model = MLP(2, list(sizes), activation=activation, rng=random.Random(3))
    if spoil is not None:
        spoil(model)
    rng = random.Random(7)
    with record_calls() as calls:
        outputs = [model([rng.gauss(0, 1), rng.gauss(0, 1)]) for _ in range(examples)]
        loss = sum(out * out for out in outputs)
    loss.backward()
    return viz.flow(loss, calls=calls), calls, loss


def test_the_lines_alone_are_those_of_the_whole_measurement(gpt: Drawn) -> None:
    measured = viz.flow(gpt.loss, calls=gpt.calls)
    assert lines(gpt.calls) == (measured.parameters, measured.modules)


def test_the_numbers_are_those_of_the_engine(gpt: Drawn) -> None:
    measured = viz.flow(gpt.loss, calls=gpt.calls)
    assert sum(line.count for line in measured.parameters) == len(gpt.calls.names)
    for line in measured.parameters:
        grads = [abs(v.grad) for v, name in gpt.calls.names.items() if re.sub(r"\[.*", "", name) == line.name]
        assert line.count == len(grads)
        assert line.mean == pytest.approx(sum(grads) / len(grads), rel=1e-12)
        assert line.largest == max(grads)
        assert line.zeros == sum(g == 0 for g in grads) / len(grads)


def test_every_head_has_a_line(gpt: Drawn) -> None:
    heads = [call for root in gpt.calls.calls for call in root.walk() if call.kind == "AttentionHead"]
    lines = [line for line in viz.flow(gpt.loss, calls=gpt.calls).modules if re.search(r"\.head \d+$", line.name)]
    assert len(lines) == len(heads) > 1
    assert sorted(line.largest for line in lines) == sorted(max(abs(v.grad) for v in call.outputs) for call in heads)


def test_the_ratio_of_update_to_data() -> None:
    _, calls, loss = network()
    before = {value: value.data for value in calls.names}
    SGD(list(calls.names), lr=0.1).step()
    for line in viz.flow(loss, calls=calls, before=before).parameters:
        values = [v for v, name in calls.names.items() if re.sub(r"\[.*", "", name) == line.name]
        length = math.sqrt(sum(before[v] ** 2 for v in values))
        if length:
            expected = 0.1 * math.sqrt(sum(v.grad**2 for v in values)) / length
            assert line.update == pytest.approx(expected, rel=1e-9)


def test_a_healthy_network_has_no_findings() -> None:
    assert network()[0].findings == []


@pytest.mark.parametrize("layer", range(6))
@pytest.mark.parametrize("factor", [300.0, 1e5])
def test_a_planted_exploding_layer_is_named_and_nothing_else(layer: int, factor: float) -> None:
    def spoil(model):
        for neuron in model.layers[layer].neurons:
            for w in neuron.w:
                w.data *= factor

    measured, calls, _ = network(spoil, sizes=(6, 6, 6, 6, 6, 1), activation="relu")
    inputs = [call for root in calls.calls for call in root.walk() if call.path == f"layers.{layer}"]
    if not any(call.inputs for call in inputs):
        return  # the first layer gets plain numbers: it returns no gradient
    (finding,) = (f for f in measured.findings if "explodes" in f)
    assert re.match(rf"The gradient explodes in layers\.{layer}(\.neurons\.\d)?: it sends back [\d,]+ times", finding)
    assert not any("vanishes" in f or "Large" in f for f in measured.findings)


def test_the_gain_of_a_module_counts_only_its_own_flow() -> None:
    class Steep(Module):
        def forward(self, x):
            return x * 1e4

    class Around(Module):
        def __init__(self):
            self.inner = Steep()

        def forward(self, x):
            return x + self.inner(x)  # the sum adds a gradient of 1 that is not the inner module's

    x = Value(0.5, label="x")
    with record_calls() as calls:
        loss = Around()(x) * 3.0
    loss.backward()
    assert viz.flow(loss, calls=calls).findings == [
        "The gradient explodes in inner: it sends back 10,000 times what arrives at it."
    ]


def test_a_vanishing_gradient_is_reported_once_with_the_layer_that_loses_most() -> None:
    def spoil(model):
        for neuron in model.layers[3].neurons:
            for w in neuron.w:
                w.data *= 1e-6

    measured = network(spoil, sizes=(4, 4, 4, 4, 4, 1))[0]
    (finding,) = (f for f in measured.findings if "vanishes" in f)
    assert "most is lost in layers.3" in finding


def test_a_number_that_is_not_finite_names_its_module_and_its_spread() -> None:
    class Bad(Module):
        def forward(self, x):
            return (x * 800.0).exp() * 1e-300

    class Whole(Module):
        def __init__(self):
            self.good = MLP(1, [1], rng=random.Random(3))
            self.bad = Bad()

        def forward(self, x):
            return self.bad(self.good([x]) * 0.0 + 2.0)

    with record_calls() as calls:
        loss = Whole()(Value(1.0))
    loss.backward()
    first, spread = viz.flow(loss, calls=calls).findings[:2]
    assert first == "The first number that is not finite is ∞, a result of exp, in bad: exp of 1600."
    assert spread.startswith("Gradients that are not finite: in 2 of 2 tables of parameters and ")


def test_an_expression_needs_no_modules() -> None:
    a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    loss = (a * b).tanh()
    loss.backward()
    measured = viz.flow(loss)
    assert [(line.name, line.largest) for line in measured.parameters] == [("a", abs(a.grad)), ("b", abs(b.grad))]
    assert measured.modules == []


def test_the_first_number_that_is_not_finite_is_named() -> None:
    x = Value(800.0, label="x")
    big = x.exp()
    y = big - big
    with record_calls() as calls:
        pass
    loss = y * 2
    loss.backward()
    assert viz.flow(loss, calls=calls).findings == [
        "The first number that is not finite is ∞, a result of exp: exp of 800."
    ]


def test_a_gradient_that_is_not_finite_although_every_number_is() -> None:
    x = Value(1e-300, label="x")
    loss = (x**-1) * (x**-1) * 1e-300
    loss.backward()
    with record_calls() as calls:
        pass
    (finding,) = viz.flow(loss, calls=calls).findings
    assert "not finite" in finding


def test_dead_and_saturated_units_are_counted() -> None:
    def dead(model):
        model.layers[0].neurons[1].b.data = -1e3

    found = network(dead, activation="relu", examples=24)[0].findings
    assert [f for f in found if "dead" in f] == [
        "1 of 4 units of layers.0 are dead: 0 for all 24 examples, so their weights get no gradient."
    ]

    def saturated(model):
        model.layers[0].neurons[2].b.data = 50.0

    found = network(saturated)[0].findings
    assert [f.partition(":")[0] for f in found if "saturated" in f] == ["1 of 4 units of layers.0 are saturated"]


def test_what_the_loss_does_not_use_gets_no_gradient() -> None:
    model = MLP(2, [2, 2], rng=random.Random(3))
    with record_calls() as calls:
        first, _ = model([1.0, 2.0])
    first.backward()
    findings = viz.flow(first, calls=calls).findings
    assert any(f == "No gradient reaches layers.1.neurons.1: all are exactly 0." for f in findings), findings


def test_files_and_errors(tmp_path: Path, gpt: Drawn) -> None:
    measured = viz.flow(gpt.loss, calls=gpt.calls)
    for name in ("f.svg", "f.html", "f.txt"):
        assert measured.save(tmp_path / name) == str(tmp_path / name)
    root = ET.fromstring((tmp_path / "f.svg").read_text(encoding="utf-8"))
    lines = [g for g in root.iter("{http://www.w3.org/2000/svg}g") if g.get("class") == "node"]
    names = [g.get("data-name") for g in lines]
    assert names == [line.name for line in (*measured.parameters, *measured.modules)]
    assert measured.svg() == viz.flow(gpt.loss, calls=gpt.calls).svg()
    with pytest.raises(
        viz.UnknownFormatError, match=r"unknown format: 'f.jpg' must end in one of \.svg, \.html, \.png, \.pdf, \.txt"
    ):
        measured.save(tmp_path / "f.jpg")
    with pytest.raises(ValueError, match=r"call backward\(\)"):
        viz.flow(Value(1.0) * 2, calls=gpt.calls)
    with pytest.raises(TypeError, match="expected a Value"):
        viz.flow([], calls=gpt.calls)


class Layer(Module):
    """Multiplies the gradient by ``factor``."""

    def __init__(self, factor, normal=False):
        self.factor, self.normal, self.b = factor, normal, Value(0.0)

    def forward(self, x):
        scaled = [v * self.factor + self.b for v in x]
        return functional.rms_norm(scaled) if self.normal else scaled


class Layers(Module):
    def __init__(self, factors, normal=False):
        self.layers = [Layer(factor, normal) for factor in factors]

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


def found(model, examples=1, width=4):
    rng = random.Random(1)
    with record_calls() as calls:
        outputs = [model([Value(rng.gauss(0, 1)) for _ in range(width)]) for _ in range(examples)]
        loss = sum(w * v for row in outputs for w, v in zip((1.0, -2.0, 0.5, 3.0) * 2, row, strict=False))
    loss.backward()
    return viz.flow(loss, calls=calls).findings


@pytest.mark.parametrize("examples", [1, 3])
def test_a_tower_that_explodes_is_named_with_its_ratio(examples):
    assert found(Layers([2.0] * 8), examples) == [
        "The gradient explodes on its way back: at layers.0 it is 128 times as long as at layers.7, "
        "2 times more with every layer."
    ]


def test_one_layer_that_explodes_in_a_tower_is_the_one_that_is_named():
    assert found(Layers([1.0, 1.0, 500.0, 1.0])) == [
        "The gradient explodes in layers.2: it sends back 500 times what arrives at it."
    ]


@pytest.mark.parametrize("examples", [1, 3])
def test_a_tower_that_vanishes_is_named_with_its_ratio(examples):
    (finding,) = found(Layers([1.0, 0.5] + [0.25] * 6), examples)
    assert finding.startswith(
        f"The gradient vanishes on its way back: at layers.0 it is {viz.style.number(0.5 * 0.25**6, 2)} of what it is "
        f"at layers.7, "
    )


def test_a_cell_called_repeatedly_is_a_tower_too():
    class Recurrent(Module):
        def __init__(self, factor):
            self.cell = Layer(factor)

        def forward(self, x):
            for _ in range(10):
                x = self.cell(x)
            return x

    (finding,) = found(Recurrent(2.0))
    assert "at cell, call 1 it is 512 times as long as at cell, call 10, 2 times" in finding
    assert found(Recurrent(1.0)) == []


@pytest.mark.parametrize("factors", [[1.0] * 8, [1.2, 0.8] * 4, [0.7] * 8, [1.5] * 8])
def test_a_healthy_tower_has_no_findings(factors):
    assert found(Layers(factors)) == []


@pytest.mark.parametrize("factor", [0.1, 2.0, 50.0])
def test_a_tower_with_normalization_is_healthy_whatever_its_weights(factor):
    assert not [f for f in found(Layers([factor] * 8, normal=True), 4) if "vanishes" in f or "with every layer" in f]


def test_parallel_modules_are_not_a_tower():
    class Beside(Module):
        def __init__(self):
            self.parts = [Layer(factor) for factor in (1.0, 10.0, 50.0, 0.01)]

        def forward(self, x):
            rows = [part(x) for part in self.parts]
            scales = (100.0, 1.0, 1.0, 0.1)
            return [sum(s * row[i] for s, row in zip(scales, rows, strict=True)) for i in range(len(x))]

    assert not [f for f in found(Beside()) if "every layer" in f]


def spoiled(activation, bias, examples, width=8):
    model = MLP(2, [width, width, 1], activation=activation, rng=random.Random(3))
    for neuron in model.layers[1].neurons:
        neuron.b.data = bias
    rng = random.Random(7)
    with record_calls() as calls:
        loss = sum(model([rng.gauss(0, 1), rng.gauss(0, 1)]) for _ in range(examples))
    loss.backward()
    return viz.flow(loss, calls=calls).findings


@pytest.mark.parametrize("examples", [3, 30])
def test_a_layer_that_is_dead_for_all_examples(examples):
    words = f"8 of 8 units of layers.1 are dead: 0 for all {examples} examples, so their weights get no gradient."
    assert words in spoiled("relu", -100.0, examples)


def test_a_saturated_layer_is_found_with_few_examples():
    assert any(f.startswith("8 of 8 units of layers.1 are saturated: ") for f in spoiled("tanh", 20.0, 1))


@pytest.mark.parametrize("examples", [1, 2, 5])
def test_units_that_are_off_for_a_few_examples_are_not_called_dead(examples):
    _, calls, _ = network(sizes=(16, 1), examples=examples, activation="relu")
    layer = [call.outputs for root in calls.calls for call in root.walk() if call.path == "layers.0"]
    off = sum(all(v.data == 0.0 for v in unit) for unit in zip(*layer, strict=True))
    assert off > 0 or examples > 2  # otherwise this would test nothing
    assert network(sizes=(16, 1), examples=examples, activation="relu")[0].findings == []


def test_units_measured_on_more_examples_are_counted_there():
    from tinygrad_edu.gradient_stats import Units

    _, calls, loss = network(activation="relu")
    seen = {"layers.0": Units(4, dead=2, saturated=0, examples=500, what="character")}
    assert viz.flow(loss, calls=calls, units=seen).findings == [
        "2 of 4 units of layers.0 are dead: 0 for all 500 characters, so their weights get no gradient."
    ]


def test_layers_that_are_given_are_those_of_the_sentence() -> None:
    x = Value(1e-9, label="x")
    results = [x := (0.01 * x).tanh() for _ in range(6)]
    results[-1].backward()
    assert "at layer 1 it is" in viz.flow(results[-1]).findings[0]
    blocks = {f"blocks.{i}": [value.grad] for i, value in enumerate(results[1:])}
    (found,) = viz.flow(results[-1], layers=blocks).findings
    assert found.startswith("The gradient vanishes on its way back: at blocks.0 it is 1e−8 of what it is at blocks.4,")


@pytest.mark.parametrize("width", [1, 3])
def test_towers_of_bare_values_are_found_without_recorded_calls(width):
    def findings(weight, bend=Value.tanh, layers=12):
        x = [Value(1e-9, label=f"x{i}") for i in range(width)]
        for _ in range(layers):
            x = [bend(sum((Value(weight / width) * v for v in x), Value(0.0))) for _ in range(width)]
        loss = sum(x, Value(0.0))
        loss.backward()
        return viz.flow(loss).findings

    # Every layer multiplies the gradient by `weight`, and there are 11 steps between the 12 layers.
    for bend in (Value.tanh, Value.relu):
        assert findings(3.0, bend)[0] == (
            "The gradient explodes on its way back: at layer 1 it is 177,147 times as long as at layer 12, "
            "3 times more with every layer."
        )
    assert findings(3.0, lambda v: v)[0].startswith("The gradient explodes on its way back: at layer 1 it is ")
    found = findings(0.5)
    assert found[0].startswith(
        "The gradient vanishes on its way back: at layer 1 it is 0.00049 of what it is at layer 12"
    )
    assert "0.5 of it with every layer" in found[0]
    assert findings(1.0) == findings(1.1) == findings(0.9) == []
