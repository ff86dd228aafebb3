"""Networks as circles and lines: what is drawn are the weights and what the model computes."""

import math
import re
from xml.etree import ElementTree

import pytest

import viz
from tests.viz.charts import AWKWARD, SVG, check_words_fit, titles, words
from tinygrad_edu import Value
from tinygrad_edu import functional as F
from tinygrad_edu.nn import MLP, Activation, AttentionHead, Embedding, Linear, Module, Neuron
from viz import style


class Net(Module):
    """Layers in attributes, not in the order in which they are used."""

    def __init__(self):
        self.last = Linear(3, 2, rng=1)
        self.first = Linear(4, 3, rng=2)

    def forward(self, x):
        return self.last([v.relu() for v in self.first(x)])


def lines(chart):
    """Return, by the names of its ends, color and width of each line."""
    found = {}
    for edge in ElementTree.fromstring(chart.svg()).iter(f"{SVG}g"):
        if edge.get("class") == "edge":
            line = edge.find(f"{SVG}line")
            found[edge.get("data-from"), edge.get("data-to")] = line.get("stroke"), float(line.get("stroke-width"))
    return found


def test_lines_are_as_wide_as_weights_and_have_the_color_of_their_sign():
    model = MLP(2, [3, 1], rng=1)
    weights = {
        (f"c{k}_{i}", f"c{k + 1}_{j}"): w.data
        for k, layer in enumerate(model.layers)
        for j, neuron in enumerate(layer.neurons)
        for i, w in enumerate(neuron.w)
    }
    found = lines(viz.network(model))
    assert found.keys() == weights.keys()
    most = max(map(abs, weights.values()))
    widest = max(width for _, width in found.values())
    colors = {True: set(), False: set()}
    for ends, w in weights.items():
        assert found[ends][1] == pytest.approx(max(widest * abs(w) / most, 0.25), abs=0.01)
        colors[w > 0].add(found[ends][0])
    assert len(colors[True]) == len(colors[False]) == 1
    assert colors[True] != colors[False]
    assert f"the widest line: {style.number(most, 3)}" in " ".join(words(viz.network(model)))


def test_circles_show_what_each_neuron_gives_out():
    model, x = MLP(2, [3, 3, 2], rng=3), [0.5, -2.0]
    wanted, out = [x], x
    for layer in model.layers:
        out = [math.tanh(v) if layer is not model.layers[-1] else v for v in sums(layer, out)]
        wanted.append(out)
    chart = viz.network(model, x)
    assert chart.activations == [pytest.approx(column) for column in wanted]
    shown = words(chart)
    assert all(style.number(a, 2) in shown for column in wanted for a in column)
    assert f"neuron 2, bias 0, gives {style.number(wanted[1][1], 6)}" in titles(chart)


def sums(layer, x):
    return [sum(w.data * v for w, v in zip(n.w, x, strict=True)) + n.b.data for n in layer.neurons]


def test_layers_are_in_the_order_of_their_calls():
    model, x = Net(), [1.0, 2.0, -1.0, 0.5]
    chart = viz.network(model, x)
    assert chart.sizes == [4, 3, 2]
    hidden = [v.relu().data for v in model.first(x)]
    assert chart.activations == [x, hidden, [v.data for v in model.last(hidden)]]
    with pytest.raises(ValueError, match="do not follow each other: one gives 2 numbers, the next one takes 4"):
        viz.network(model)


def test_lists_of_layers_and_functions():
    layers = [Linear(3, 5, rng=1), Activation("tanh"), Linear(5, 2, bias=False, rng=2), F.softmax]
    chart = viz.network(layers, [Value(1.0), 2, 3.0])
    out = [1.0, 2.0, 3.0]
    for part in layers:
        out = part(out)
    assert chart.sizes == viz.network(layers).sizes == [3, 5, 2]
    assert chart.activations[-1] == [v.data for v in out]
    assert viz.network(Neuron(4, rng=1), [1, 2, 3, 4]).sizes == [4, 1]


def test_many_circles_are_shortened_and_have_no_numbers():
    chart = viz.network(Linear(100, 3, rng=1), [0.1 * i for i in range(100)])
    ids = re.findall(r'id="c0_(\d+)"', chart.svg())
    assert [int(i) for i in ids] == [*range(32), *range(68, 100)]
    assert "100 inputs, 64 of them" in words(chart)
    assert len(lines(chart)) == 3 * 64
    assert not any(re.fullmatch(r"[−\d.]+", word) for word in words(chart))


def test_as_text():
    model = Neuron(2, rng=1)
    w = [style.number(v.data) for v in model.w]
    assert str(viz.network(model, [1, 2], title="One")).split("\n") == [
        "One", "inputs: 1 2", "1 output, tanh",
        f"  neuron 1: weights {w[0]} {w[1]}; bias 0; → {style.number(model([1, 2]).data)}",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: viz.network(3), TypeError, "expected a module with layers, or a list of them; got int"),
        (lambda: viz.network(AttentionHead()), TypeError, "got AttentionHead"),
        (lambda: viz.network([]), TypeError, "got nothing"),
        (lambda: viz.network([Linear(2, 3), Linear(2, 3)]), ValueError, "one gives 3 numbers, the next one takes 2"),
        (lambda: viz.network(Embedding(5, 2), 3), ValueError, "a layer takes 2 numbers and gets 1"),
        (lambda: viz.network(MLP(2, [1]), inputs=["a"]), ValueError, "there are 2 inputs to name; got 1 names"),
    ],
)  # fmt: skip
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_layer_that_is_called_twice_is_refused():
    class Twice(Module):
        def __init__(self):
            self.one = Linear(2, 2, rng=1)

        def forward(self, x):
            return self.one(self.one(x))

    with pytest.raises(ValueError, match="a layer was called more than once"):
        viz.network(Twice(), [1, 2])


def test_text_stays_inside(browser, tmp_path):
    for model, names in ((MLP(2, [4, 1], rng=1), {"inputs": [AWKWARD, "b"], "outputs": [AWKWARD]}), (Net(), {})):
        chart = viz.network(model, [1.0] * (2 if names else 4), title=AWKWARD, **names)
        check_words_fit(browser, chart, tmp_path)


def test_saves_every_format(tmp_path):
    chart = viz.network(MLP(2, [3, 1], rng=1), [1.0, -2.0])
    for ending in ("svg", "html", "txt", "png"):
        assert viz.save(chart, tmp_path / f"net.{ending}")
    assert (tmp_path / "net.png").read_bytes().startswith(b"\x89PNG")
    assert 'class="edge" data-from="c0_0"' in (tmp_path / "net.html").read_text(encoding="utf-8")
