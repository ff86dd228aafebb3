"""Drawings in the languages of other programs."""

import json
import re
from xml.etree import ElementTree

import pytest

import viz
from tests.viz.drawn_examples import Drawn, expression, recurrent_loss
from tinygrad_edu import Value
from viz.rendering import exports
from viz.rendering.dot import Drawing


def text(drawing: Drawing, kind: str) -> str:
    return str(drawing.pipe(kind, encoding="utf-8"))


def test_json_holds_the_numbers_of_the_lecture() -> None:
    found = json.loads(text(viz.draw(expression()), "json"))
    assert (found["format"], found["version"], found["values"]) == ("tinygrad_edu.picture", 1, 7)
    boxes = {box["name"]: box for box in found["boxes"]}
    assert {name: (box["data"], box["grad"]) for name, box in boxes.items()} == {
        "a": ([2.0, 2.0], 6.0), "b": ([-3.0, -3.0], -4.0), "c": ([10.0, 10.0], -2.0), "e": ([-6.0, -6.0], -2.0),
        "d": ([4.0, 4.0], -2.0), "f": ([-2.0, -2.0], 4.0), "L": ([-8.0, -8.0], 1.0),
    }  # fmt: skip
    name = {box["id"]: box["name"] for box in found["boxes"]}
    edges = {(name[e["source"]], name[e["target"]]): (e["local"], e["grad"]) for e in found["edges"]}
    assert edges["a", "e"] == (-3.0, 6.0)
    assert edges["d", "L"] == (-2.0, -2.0)
    assert boxes["L"]["root"]


def test_json_holds_frames_and_numbers_that_json_has_not() -> None:
    drawn = recurrent_loss()
    found = json.loads(text(viz.draw(drawn.loss, calls=drawn.calls, budget=24), "json"))
    (cell,) = [frame for frame in found["frames"] if frame["kind"] == "Cell"]
    assert cell["count"] == 8
    assert {box["frame"] for box in found["boxes"]} >= {cell["id"], None}
    assert sum(box["nodes"] for box in found["boxes"]) == found["values"]
    y = Value(1000.0, label="x").exp() * 0.0
    words = text(viz.draw(y), "json")
    assert json.loads(words, parse_constant=pytest.fail)["boxes"][-1]["data"] == ["NaN", "NaN"]


def test_graphml_is_what_the_json_says(gpt: Drawn) -> None:
    drawing = viz.draw(gpt.loss, calls=gpt.calls, budget=24)
    assert drawing.picture is not None
    found, there = ElementTree.fromstring(text(drawing, "graphml")), exports.data(drawing.picture)
    space = "{http://graphml.graphdrawing.org/xmlns}"
    assert [node.get("id") for node in found.iter(f"{space}node")] == [box["id"] for box in there["boxes"]]
    ends = [(edge.get("source"), edge.get("target")) for edge in found.iter(f"{space}edge")]
    assert ends == [(edge["source"], edge["target"]) for edge in there["edges"]]
    keys = {key.get("id") for key in found.iter(f"{space}key")}
    assert {data.get("key") for data in found.iter(f"{space}data")} <= keys


def test_mermaid_and_d2_have_every_box_edge_and_frame(gpt: Drawn) -> None:
    drawing = viz.draw(gpt.loss, calls=gpt.calls, budget=24)
    assert drawing.picture is not None
    boxes, edges = {box.id for box in drawing.picture.boxes}, len(drawing.picture.edges)
    frames = len(exports.data(drawing.picture)["frames"])
    mermaid, d2 = text(drawing, "mmd"), text(drawing, "d2")
    assert set(re.findall(r"^ *(n\d+)\[", mermaid, re.M)) == set(re.findall(r"^ *(n\d+): ", d2, re.M)) == boxes
    assert mermaid.count("-->") == d2.count(" -> ") == edges
    assert mermaid.count("subgraph ") == len(re.findall(r"^ *end$", mermaid, re.M)) == d2.count(" {\n") == frames > 0


@pytest.mark.parametrize("label", ['"] --> x', "$x_1$ & {b} %", "a\nb", "<b>", "]]>&", "\\end{document}"])
def test_no_label_ends_its_text(label: str) -> None:
    drawing = viz.draw(Value(1.0, label=label).tanh())
    assert text(drawing, "mmd").count("-->") == 1
    assert len(re.findall(r'^n\d+: "(?:[^"\\]|\\.)*"$', text(drawing, "d2"), re.M)) == 2
    ElementTree.fromstring(text(drawing, "graphml"))
    json.loads(text(drawing, "json"))
    tex = text(drawing, "tex")
    assert re.sub(r"\\[{}]", "", tex).count("{") == re.sub(r"\\[{}]", "", tex).count("}")
    assert "\\end{document}" not in tex
