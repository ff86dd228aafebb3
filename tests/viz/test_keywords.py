"""The keywords of ``viz.draw``: models, names, themes, sizes, and hints for the words of other packages."""

import random
import re
import struct

import pytest

import viz
from tests.viz.drawn_examples import Drawn, expression
from tinygrad_edu import Value, nn, record_calls
from viz import style
from viz.rendering.dot import Drawing
from viz.rendering.rows import TEXT, scale


def names(drawing: Drawing) -> list[str]:
    assert drawing.picture is not None
    return [box.name for box in drawing.picture.boxes]


def test_a_model_is_called_and_recorded() -> None:
    model = nn.MLP(2, [3, 1], rng=1)
    drawing = viz.draw(model, [Value(1.0, label="x1"), Value(-2.0, label="x2")], budget=400)
    assert {"x1", "x2", "layers.0.neurons.2.w[1]", "layers.1.neurons.0.b"} <= set(names(drawing))
    assert drawing.picture is not None
    assert {box.cluster.kind for box in drawing.picture.boxes if box.cluster} == {"Neuron"}
    with pytest.raises(TypeError, match=r"pass what the module is called with too: draw\(mlp, x\)"):
        viz.draw(model)
    with pytest.raises(TypeError, match="only a module or a function can be called with inputs; got Value"):
        viz.draw(Value(1.0), 2.0)


def test_times_are_in_the_boxes_and_frames_of_modules_on_request() -> None:
    model = nn.MLP(2, [3, 1], rng=1)
    with record_calls() as calls:
        result = model([1.0, 2.0])
    (call,) = calls.calls
    assert call.seconds >= sum(layer.seconds for layer in call.children) > 0
    closed = viz.draw(result, calls=calls, times=True, budget=3).svg()
    for layer in call.children:
        assert f"computed in {style.duration(sum(neuron.seconds for neuron in layer.children))}" in closed
    assert "computed in" in viz.draw(result, calls=calls, times=True, budget=100).svg()
    assert "computed in" not in viz.draw(result, calls=calls, budget=3).svg()
    with pytest.raises(ValueError, match=r"times= takes what record_calls\(\) recorded"):
        viz.draw(result, times=True)


def test_parameters_are_named_after_the_modules_of_the_caller() -> None:
    neuron = nn.Neuron(2, rng=random.Random(1))
    assert {"w[0]", "w[1]", "b"} <= set(names(viz.draw(neuron([1.0, 2.0]))))


def test_the_label_of_a_value_is_its_focus() -> None:
    loss = expression()
    d = next(value for value in loss.inputs if value.label == "d")
    assert viz.draw(loss, focus="d").source == viz.draw(loss, focus=d).source
    with pytest.raises(ValueError, match="no module call is named 'z'"):
        viz.draw(loss, focus="z")


@pytest.mark.parametrize("word", ["rankdir", "format", "filename", "params"])
def test_words_of_other_packages_are_answered(word: str) -> None:
    with pytest.raises(TypeError, match=rf"unexpected keyword argument '{word}'; use "):
        viz.draw(Value(1.0), **{word: "x"})
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'colour'$"):
        viz.draw(Value(1.0), colour="x")


def centers(svg: str) -> dict[str, tuple[float, float]]:
    found = re.findall(r'class="node"[^>]*data-name="(\w)"[^>]*translate\(([-\d.]+) ([-\d.]+)\)', svg)
    return {name: (float(x), float(y)) for name, x, y in found}


def test_directions() -> None:
    at = {way: centers(viz.draw(expression(), direction=way).svg()) for way in ("LR", "RL", "TB", "BT")}
    assert at["LR"]["a"][0] < at["LR"]["L"][0]
    assert at["RL"]["a"][0] > at["RL"]["L"][0]
    assert at["TB"]["a"][1] < at["TB"]["L"][1]
    assert at["BT"]["a"][1] > at["BT"]["L"][1]


def test_theme_title_digits_and_look() -> None:
    dark = viz.draw(expression(), theme="dark").svg()
    assert style.THEMES["paper"][1] in dark
    assert style.PAPER not in dark
    assert "prefers-color-scheme" in viz.draw(expression()).svg()
    assert "prefers-color-scheme" not in viz.draw(expression(), theme="light").svg()
    assert ">The chain rule</text>" in viz.draw(expression(), title="The chain rule").svg()
    assert ">0.33333333</text>" in viz.draw(Value(1.0) / 3.0, digits=8).svg()

    def look(values: list[Value], face: style.Face) -> None:
        if values[0].label == "e":
            face.notes.append("look here")
            face.fill = "#ffdddd"

    svg = viz.draw(expression(), look=look).svg()
    assert svg.count(">look here</text>") == svg.count("#ffdddd") == 1


@pytest.mark.layout
def test_sizes_of_a_png() -> None:
    def size(**options: object) -> tuple[int, int]:
        return struct.unpack(">II", viz.draw(expression(), **options).render_bytes("png")[16:24])

    assert size(preset="beamer") == pytest.approx((1920, 1080), abs=2)
    assert size(size=(640, 480)) == pytest.approx((640, 480), abs=2)
    assert size(scale=4.0)[0] == pytest.approx(2 * size(dpi=144)[0], abs=4)


def test_a_large_graph_can_be_read_by_default(gpt: Drawn) -> None:
    drawing = viz.draw(gpt.loss, calls=gpt.calls)
    assert drawing.picture is not None
    assert drawing.picture.nearest is None
    assert 6 <= len(drawing.picture.boxes) <= 24
    assert style.TEXT_SIZE * scale(drawing.drawn()) >= TEXT


def test_widths_tell_6_from_2_and_are_compressed_only_when_they_must_be() -> None:
    widths = style.Widths([6.0, 4.0, 2.0, 0.0, float("inf")])
    assert [widths(x) for x in (6.0, 4.0, 2.0)] == [9.0, 6.0, 3.0]
    widths = style.Widths([1e-300, 1.0, 1e300])
    assert (widths(1e300), widths(1e-300)) == (style.WIDEST, style.THINNEST)
    assert style.THINNEST < widths(1.0) < style.WIDEST
