"""Marks on the graph: dead and saturated units, exact zeros, and the first number that is not finite."""

import html
import math
import random
import re

import pytest

import viz
from tinygrad_edu import Value, nn, record_calls
from viz import style

NEGATIVE = style.NEGATIVE


def network(activation="tanh", spoil=None, examples=1, sizes=(4, 4, 1)):
    model = nn.MLP(2, list(sizes), activation=activation, rng=random.Random(3))
    if spoil is not None:
        spoil(model)
    rng = random.Random(7)
    with record_calls() as calls:
        loss = sum(model([rng.gauss(0, 1), rng.gauss(0, 1)]) ** 2 for _ in range(examples))
    loss.backward()
    return loss, calls


def marked(drawing):
    """Return the marks of every box by its first node, and whether its border is emphasized."""
    found = {}
    for node, label in re.findall(r"^\t+(n\d+) \[label=<(.*)$", drawing.source, re.M):
        words = [html.unescape(w) for w in re.findall(rf'<FONT COLOR="{style.TEXT_NEGATIVE}"><B>([^<]*)</B>', label)]
        outlined = label.startswith('<TABLE BORDER="4"') and f'COLOR="{NEGATIVE}"' in label.partition(">")[0]
        if words or outlined:
            found[node] = words, outlined
    return found


def legend(drawing):
    rows = drawing.source.partition("label=<")[2].partition("\n")[0].replace("</TR>", " ")
    return html.unescape(re.sub(r"<[^>]*>", "", rows))


@pytest.mark.parametrize("direction", ["LR", "wrapped"])
@pytest.mark.parametrize("look", ["box", "micrograd"])
def test_a_dead_relu_is_marked_with_a_sign_and_a_word(look, direction):
    y = Value(-2.0, label="x").relu()
    y.backward()
    drawing = viz.draw(y, style=look, direction=direction)
    assert marked(drawing) == {"n1": (["† off here"], False)}
    if look == "box":
        assert "† off: ReLU gives 0, no gradient passes" in legend(drawing)
        assert "here in the one example of this picture" in legend(drawing)
        assert "style=dashed" in re.search("n0 -> n1 .*", drawing.source)[0]


@pytest.mark.parametrize(("make", "far", "near"), [("tanh", 3.0, 2.0), ("sigmoid", -6.0, 5.0)])
def test_a_saturated_unit_is_marked_and_an_ordinary_one_is_not(make, far, near):
    drawing = viz.draw([getattr(Value(far), make)(), getattr(Value(near), make)()])
    assert marked(drawing) == {"n1": (["≈ saturated here"], False)}
    assert "≈ saturated: flat" in legend(drawing)
    assert "here in the one example of this picture" in legend(drawing)
    assert "†" not in drawing.source


def test_nothing_is_marked_in_a_healthy_graph():
    loss, calls = network()
    for budget in (400, 12, 3):
        drawing = viz.draw(loss, calls=calls, budget=budget)
        assert marked(drawing) == {}
        assert not set("†≈‼") & set(drawing.source)


def test_a_unit_is_dead_if_it_is_off_for_every_example():
    def spoil(model):
        model.layers[0].neurons[1].b.data = -50.0

    loss, calls = network("relu", spoil, examples=24)
    drawing = viz.draw(loss, calls=calls, budget=400)
    [layer] = [
        box
        for box in viz.draw(loss, calls=calls, budget=6, collapse="layers.0").picture.boxes
        if box.name == "layers.0"
    ]
    words = drawing.picture.annotations.words(layer.nodes)
    every = [call for top in calls.calls for call in top.walk()]
    alive = [any(c.outputs[0].data > 0 for c in every if c.path == f"layers.0.neurons.{i}") for i in range(4)]
    assert alive.count(False) >= 1
    assert not alive[1]
    assert words == [f"† {alive.count(False)} of 4 dead"]
    # a single 0 from a unit that is alive is off for its example only
    node = next(
        node
        for node, value in enumerate(drawing.picture.graph.values)
        if value.op is not None and value.op.name == "relu" and value.data == 0.0
        and drawing.picture.annotations.units[node][0] == f"layers.0.neurons.{alive.index(True)}"
    )  # fmt: skip
    assert drawing.picture.annotations.words([node]) == ["† off for this example"]
    assert drawing.picture.annotations.words([node, node - 1]) == []


def infinite(model):
    model.layers[1].neurons[2].b.data = math.inf


def test_a_mark_gives_its_number_of_examples():
    def spoil(model):
        model.layers[0].neurons[1].b.data = 50.0

    for examples, said in ((7, "≈ 1 of 4 saturated here"), (24, "≈ 1 of 4 saturated")):
        loss, calls = network("tanh", spoil, examples=examples)
        drawing = viz.draw(loss, calls=calls, budget=6, collapse="layers.0")
        [layer] = [box for box in drawing.picture.boxes if box.name == "layers.0"]
        assert drawing.picture.annotations.words(layer.nodes) == [said]
        assert ("here in the 7 examples of this picture" in legend(drawing)) is said.endswith("here")


@pytest.mark.parametrize("budget", [400, 40, 12, 5, 2])
def test_the_first_number_that_is_not_finite_is_outlined_at_every_level_of_detail(budget):
    loss, calls = network(spoil=infinite)
    drawing = viz.draw(loss, calls=calls, budget=budget)
    [(box, (words, outlined))] = [(box, found) for box, found in marked(drawing).items() if found[1]]
    assert outlined
    inside = next(b for b in drawing.picture.boxes if b.id == box)
    [bias] = [value for value, name in calls.names.items() if name == "layers.1.neurons.2.b"]
    assert drawing.picture.graph.index[bias] in inside.nodes
    assert words[0] == ("‼ first ∞ inside" if len(inside.nodes) > 1 else "‼ first ∞")
    assert "The first number that is not finite is ∞, layers.1.neurons.2.b." in legend(drawing)


def test_marks_for_a_projector():
    loss, calls = network(spoil=infinite)
    drawing = viz.draw(loss, calls=calls, preset="beamer")
    border = f'BGCOLOR="{style.MODULE}" COLOR="{style.BEAMER[NEGATIVE]}"'
    assert "‼ first ∞ inside" in drawing.source
    assert f'<TABLE BORDER="4" CELLBORDER="0" CELLSPACING="0" CELLPADDING="4" {border}>' in drawing.source


def test_the_module_in_which_a_nan_is_made_is_named_on_the_picture():
    class Spread(nn.Module):
        def forward(self, x):
            return x * 1e200 * x

    class Model(nn.Module):
        def __init__(self):
            self.norm = Spread()

        def forward(self, x):
            return self.norm(x) + 1.0

    with record_calls() as calls:
        y = Model()(Value(1e200, label="x"))
    y.backward()
    for budget in (400, 3):
        drawing = viz.draw(y, calls=calls, budget=budget)
        assert "The first number that is not finite is ∞, a result of *, in norm: * of 1e200, 1e200." in legend(drawing)


def test_a_number_in_a_formula_is_placed_in_the_module_that_uses_it():
    class Spread(nn.Module):
        def forward(self, x):
            return x + math.inf

    with record_calls() as calls:
        y = Spread()(Value(1.0))
    sentence = "The first number that is not finite is ∞, a number in a formula, in Spread."
    assert sentence in legend(viz.draw(y, calls=calls))


def test_a_nan_between_finite_numbers_is_marked():  # neither the largest nor the smallest of them is a NaN
    b = Value(math.nan, label="b")
    drawing = viz.draw(Value(2.0, label="a") * 3.0 + b * 0.5)
    (mark,) = marked(drawing).values()
    assert mark == (["‼ first NaN"], True)
    assert "The first number that is not finite is NaN, b." in legend(drawing)


def test_a_gradient_that_is_not_finite_is_marked_and_its_edges_are_not_gray():
    x = Value(0.0, label="x")
    y = x**0.5
    y.backward()
    drawing = viz.draw(y)
    assert marked(drawing) == {"n0": (["‼ first gradient ∞"], True)}
    edge = re.search("n0 -> n2 .*", drawing.source)[0]
    assert f'color="{NEGATIVE}"' in edge
    assert "arrowtail=dot" in edge
    assert re.search(f'<circle [^>]*fill="{NEGATIVE}"', drawing.drawn())
    assert "gradient NaN or infinite" in legend(drawing)


def test_widths_are_measured_by_what_is_finite():
    x, w = Value(0.0, label="x"), Value(2.0, label="w")
    y = x**0.5 + w * 3.0 + w * 0.9
    y.backward()
    edges = [edge for edge in viz.draw(y).picture.edges if math.isfinite(edge.norm)]
    largest = max(edge.norm for edge in edges)
    for edge in edges:
        if edge.norm:
            # as large as 9 points, in proportion, because the smallest one is still visible
            width = max(2.0, round(9.0 * edge.norm / largest, 2))
            line = re.search(rf"{edge.source.id} -> {edge.target.id} .*", viz.draw(y).source)[0]
            assert f"penwidth={width:g} " in line


def test_a_mark_is_read_in_the_tooltip_too():
    assert 'tooltip="† off here\\nmax(a, 0)\\n' in viz.draw(Value(-2.0).relu()).source


@pytest.mark.parametrize("square", [lambda x: x * x, lambda x: x**2])
def test_the_graph_and_the_flow_count_the_same_units_of_a_squared_relu(square):
    class Squares(nn.Module):
        def forward(self, x):
            return [square(v.relu()) for v in x]

    class Model(nn.Module):
        def __init__(self):
            self.act = Squares()

        def forward(self, x):
            return sum(self.act(x))

    model = Model()
    with record_calls() as calls:
        loss = model([Value(-1.0), Value(2.0), Value(-3.0)]) + model([Value(-5.0), Value(-1.0), Value(3.0)])
    loss.backward()
    picture = viz.draw(loss, calls=calls).picture
    assert picture.annotations.words(range(len(picture.graph))) == ["† 1 of 3 off here"]
    assert viz.flow(loss, calls=calls).findings == []  # being off for two examples is not unusual


def test_undrawn_units_are_marked_only_if_they_are_important():
    x = Value(-1.0, label="x")
    y = x.relu() + Value(1.0, label="b")
    y.backward()
    drawing = viz.draw(y * 2.0, budget=2)
    assert marked(drawing) == {}
    drawing = viz.draw((x * math.inf).relu() + 1.0, budget=2)
    assert [words for words, _ in marked(drawing).values()] == [["‼ first ∞ inside"]]


def test_without_modules_the_flow_names_single_units():
    a, b = Value(9.0, label="a"), Value(-1.0, label="b")
    t = a.tanh()
    t.label = "t"
    y = t + b.relu()
    y.backward()
    assert viz.flow(y).findings == [
        "No gradient reaches b: all are exactly 0.",
        "Off here: a result of ReLU; 0, so no gradient passes.",
        "Saturated: t; almost flat, so little gradient passes.",
    ]
