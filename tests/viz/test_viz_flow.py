"""Gradient flow: its numbers are recomputed from the engine's, and planted troubles are found and named."""

import math
import random
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from drawn_examples import Drawn

import viz
from tinygrad_edu import Value, record_calls
from tinygrad_edu.nn import MLP
from tinygrad_edu.optim import SGD


def network(spoil=None, sizes=(4, 4, 1), examples=3, activation="tanh"):
    """The flow of a small network, its parameters by name, and the recorded calls."""
    model = MLP(2, list(sizes), activation=activation, rng=random.Random(3))
    if spoil is not None:
        spoil(model)
    rng = random.Random(7)
    with record_calls() as calls:
        outputs = [model([rng.gauss(0, 1), rng.gauss(0, 1)]) for _ in range(examples)]
        loss = sum(out * out for out in outputs)
    loss.backward()
    return viz.flow(loss, calls=calls), calls, loss


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


def test_gradients_out_of_scale_are_named_where_they_arrive() -> None:
    def spoil(model):
        for neuron in model.layers[1].neurons:
            for w in neuron.w:
                w.data *= 1e5

    findings = network(spoil, activation="relu")[0].findings
    assert any("explodes" in finding and "layers.0" in finding for finding in findings), findings


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


def test_a_gradient_that_is_not_finite_though_every_number_is() -> None:
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

    found = network(dead, activation="relu")[0].findings
    assert [f for f in found if "dead" in f] == [
        "1 of 4 units of layers.0 are dead: 0 for every example, so their weights get no gradient."
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
    assert any(f.startswith("No gradient reaches layers.1.neurons.1.w") for f in findings), findings


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
        viz.UnknownFormatError, match=r"unknown format: 'f.jpg' must end in one of \.svg, \.html, \.txt"
    ):
        measured.save(tmp_path / "f.jpg")
    with pytest.raises(ValueError, match=r"call backward\(\)"):
        viz.flow(Value(1.0) * 2, calls=gpt.calls)
    with pytest.raises(TypeError, match="expected a Value"):
        viz.flow([], calls=gpt.calls)
