"""The contents of a drawing: labels, edges, numbers, and the same bytes every time."""

import html
import os
import re
import subprocess
import sys
from pathlib import Path

import graphviz
import pytest

import viz
from tests.engine import lecture
from tests.viz.drawn_examples import GOLDEN, Drawn, broken_loss, expression, gpt_loss, mlp_loss, recurrent_loss
from tinygrad_edu import Value
from tinygrad_edu import functional as F
from viz import style

SHAKESPEARE = "\n !$&',-.3:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

ONE_OF_EACH = """
import sys
sys.path.insert(0, {folder!r})
from tests.viz.drawn_examples import broken_loss, expression, gpt_loss, mlp_loss
import viz
for drawn in (mlp_loss(), gpt_loss(), broken_loss()):
    for budget in (400, 60, 20, 5):
        sys.stdout.write(viz.draw(drawn.loss, calls=drawn.calls, budget=budget).source)
    sys.stdout.write(viz.draw(drawn.loss, calls=drawn.calls, preset="beamer").source)
    sys.stdout.write(viz.draw(drawn.loss, calls=drawn.calls, direction="wrapped", budget=30).source)
    for value in list(drawn.calls.names)[::40]:
        sys.stdout.write(viz.draw(drawn.loss, calls=drawn.calls, focus=value, budget=40).source)
    chart = viz.flow(drawn.loss, calls=drawn.calls)
    sys.stdout.write(chart.svg() + viz.flow_over([chart]).svg())
sys.stdout.write(viz.draw(expression(), style="micrograd").source)
"""


def source(value: object, **options: object) -> str:
    return str(viz.draw(value, **options).source)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("expression.dot", lambda: source(expression())),
        ("expression_before_backward.dot", lambda: source(expression(backward=False))),
        ("expression_micrograd.dot", lambda: source(expression(), style="micrograd")),
        ("mlp_folded.dot", lambda: source(mlp_loss().loss, calls=mlp_loss().calls, budget=12)),
        ("marks.dot", lambda: source((d := broken_loss()).loss, calls=d.calls, budget=60)),
        ("marks_folded.dot", lambda: source((d := broken_loss()).loss, calls=d.calls, budget=8)),
        ("gpt_modules.dot", lambda: source((d := gpt_loss()).loss, calls=d.calls, budget=24)),
        ("gpt_depth.dot", lambda: source((d := gpt_loss()).loss, calls=d.calls, depth=1, budget=24)),
        ("gpt_blocks_in_a_row.dot", lambda: source((d := gpt_loss(layers=12)).loss, calls=d.calls, budget=24)),
        ("recurrent.dot", lambda: source((d := recurrent_loss()).loss, calls=d.calls, budget=24)),
    ],
)
def test_golden_text(name: str, text: object) -> None:
    """To accept a reviewed change: UPDATE_GOLDEN=1 pytest tests/viz."""
    got = text()
    if os.environ.get("UPDATE_GOLDEN"):
        (GOLDEN / name).write_text(got, encoding="utf-8")
    assert got == (GOLDEN / name).read_text(encoding="utf-8")


def test_the_same_bytes_in_every_process() -> None:
    def run(seed: str) -> bytes:
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"}
        code = ONE_OF_EACH.format(folder=str(Path(__file__).parents[2]))
        return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True).stdout

    first = run("1")
    assert len(first) > 10_000
    assert run("2") == run("77") == first


def test_it_is_a_digraph_with_one_box_per_value_and_one_edge_per_use() -> None:
    drawing = viz.draw(expression())
    assert isinstance(drawing, graphviz.Digraph)
    assert len(re.findall(r"^\tn\d+ \[", drawing.source, re.M)) == 7
    assert re.findall(r"^\t(n\d+ -> n\d+)", drawing.source, re.M) == [
        "n0 -> n2", "n1 -> n2", "n2 -> n4", "n3 -> n4", "n4 -> n6", "n5 -> n6",
    ]  # fmt: skip


def words_of(source: str) -> list[str]:
    """Return everything a reader sees: the text between the tags of all labels."""
    labels = re.findall(r"label=<(<TABLE.*?</TABLE>|.*?)>(?= \w+=|\]|\n)", source)
    return [
        html.unescape(word).replace("\\\\", "\\")
        for label in labels
        for word in re.findall(r">([^<>]+)<", f">{label}<")
    ]


def test_numbers_of_the_lecture() -> None:
    words = words_of(source(expression()))
    for name, data, grad in (("a", "2", "6"), ("b", "−3", "−4"), ("c", "10", "−2"), ("f", "−2", "4"), ("L", "−8", "1")):
        at = words.index(name)
        assert words[at + 1 : at + 5] == ["data", data, "grad", grad]


def test_edges_carry_local_derivative_and_flow() -> None:
    picture = viz.draw(expression()).picture
    assert picture is not None
    found = {(e.source.name, e.target.name): (e.local, e.norm, e.sign) for e in picture.edges}
    assert found == {
        ("a", "e"): (-3.0, 6.0, 1),
        ("b", "e"): (2.0, 4.0, -1),
        ("e", "d"): (1.0, 2.0, -1),
        ("c", "d"): (1.0, 2.0, -1),
        ("d", "L"): (-2.0, 2.0, -1),
        ("f", "L"): (4.0, 4.0, 1),
    }
    text = source(expression())
    blue, vermillion = re.search(r"n0 -> n2 .*", text), re.search(r"n1 -> n2 .*", text)
    assert blue is not None
    assert vermillion is not None
    assert 'color="#0072B2"' in blue[0]
    assert "+6" in blue[0]
    assert "arrowtail=normal " in blue[0]
    assert 'color="#D55E00"' in vermillion[0]
    assert "−4" in vermillion[0]
    assert "arrowtail=normaltee" in vermillion[0]


def test_before_backward_gradients_are_a_dash_and_nothing_flows() -> None:
    text = source(expression(backward=False))
    words = words_of(text)
    assert [words[i + 1] for i, word in enumerate(words) if word == "grad"] == ["–"] * 7
    assert style.POSITIVE not in text
    assert style.NEGATIVE not in text
    assert "local derivative -3.0" in text


def test_a_gradient_of_zero_is_a_number_and_its_edge_is_dashed() -> None:
    x, w = Value(0.0, label="x"), Value(3.0, label="w")
    y = x * w
    y.backward()
    text = source(y)
    (edge,) = re.findall(r"n1 -> n2 .*", text)  # from w, whose gradient is x = 0
    assert "style=dashed" in edge
    assert words_of(text)[words_of(text).index("w") + 1 :][:4] == ["data", "3", "grad", "0"]


def test_no_line_fills_the_gaps_of_a_dashed_one() -> None:
    x, w = Value(0.0, label="x"), Value(3.0, label="w")
    y = x * w
    y.backward()
    edges = re.findall(r'<g class="edge".*?</g>', viz.draw(y).svg(), re.S)
    lines = [re.findall(r'<path [^>]*fill="none"[^>]*>', edge) for edge in edges]
    assert sorted(["stroke-dasharray" in line for line in found] for found in lines) == [[False, False], [True]]


def test_the_legend_explains_only_what_is_there_and_writes_sizes_in_plain_digits(gpt: Drawn) -> None:
    k, xs = Value(2.0, label="k"), [3.0, 100.0, 17.0, 40.0]
    total = sum((k * x for x in xs), Value(0.0)) + Value(1.0, label="b")
    total.backward()
    one_result = viz.draw(total, budget=4)  # the folded sum has one result, so its gradient is a number
    assert "folded into" in one_result.source
    assert "|grad|" not in one_result.source
    assert "size: 1 … 160" in one_result.source
    assert viz.draw(gpt.loss, calls=gpt.calls, budget=24).source.count("|grad|") > 1  # in boxes and in the legend


def test_two_edges_when_a_value_is_used_twice() -> None:
    a = Value(3.0, label="a")
    for out in (a + a, a * a):
        out.backward()
        assert len(re.findall(r"n0 -> n1", source(out))) == 2
        assert len(re.findall(r"n0 -> n1op", source(out, style="micrograd"))) == 2


def test_operands_of_operations_that_do_not_commute_are_marked() -> None:
    a, b = Value(3.0, label="a"), Value(2.0, label="b")
    for out in (a - b, a / b, a**b):
        first, second = re.findall(r"n\d -> n2 .*", source(out))
        assert "1st" in first
        assert "2nd" in second
    assert "1st" not in source(a * b)


def test_numbers_in_formulas_are_small_and_have_no_gradient() -> None:
    x = Value(3.0, label="x")
    y = x * 2.5
    y.backward()
    (line,) = re.findall(r"^\tn1 \[.*", source(y), re.M)
    assert "plaintext" in line
    assert "2.5" in line
    assert "grad" not in line


@pytest.mark.parametrize("character", [*SHAKESPEARE, *'{}|<>"\\&;#'], ids=lambda c: f"{ord(c):02x}")
def test_every_character_survives_as_a_label(character: str) -> None:
    shown = {"\n": "⏎", " ": "␣"}.get(character, character)
    for look in ("box", "micrograd"):
        assert shown in words_of(source(Value(1.0, label=character).tanh(), style=look))


def test_long_labels_are_shortened_and_kept_in_the_tooltip() -> None:
    name = "transformer.h.11.attn.c_attn.weight_of_everything"
    text = source(Value(1.0, label=name).tanh())
    assert "transformer.h.1…_of_everything" in words_of(text)  # 30 characters
    assert name in text


def test_a_list_of_results(mlp: Drawn) -> None:
    probabilities = F.softmax([Value(2.0), Value(1.0), Value(0.1)])
    picture = viz.draw([probabilities, mlp.loss], budget=400).picture
    assert picture is not None
    assert sum(box.root for box in picture.boxes) == 4


def test_the_banner_counts_what_is_folded(gpt: Drawn) -> None:
    assert "folded" not in source(expression())
    drawing = viz.draw(gpt.loss, calls=gpt.calls, budget=24)
    assert drawing.picture is not None
    assert drawing.picture.folded == drawing.picture.total == 3015
    assert "3,015 Values folded into 18 boxes" in drawing.source
    x = [Value(float(i)) for i in range(60)]
    some = viz.draw(sum(x, Value(0.0)) * x[0], budget=12)
    assert some.picture is not None
    total, folded = some.picture.total, some.picture.folded
    assert 0 < folded < total
    assert f"{total} Values: {folded} folded into" in some.source
    assert f"{total - folded} drawn one by one" in some.source


def test_infinite_and_missing_numbers_are_drawn() -> None:
    x = Value(1000.0, label="x")
    y = x.exp() * 0.0
    y.backward()
    words = words_of(source(y))
    assert "∞" in words
    assert "NaN" in words


def test_data_that_changed_since_does_not_break_the_drawing() -> None:
    x = Value(2.0, label="x")
    y = 1.0 / x
    y.backward()
    x.data = 0.0
    assert "NaN" in source(y)


def test_a_chain_of_a_hundred_thousand_is_drawn() -> None:
    total = Value(1.0, label="start")
    for _ in range(100_000):
        total = total + 1.0
    picture = viz.draw(total).picture
    assert picture is not None
    assert [box.kind for box in picture.boxes] == ["node", "sum"]
    assert picture.total == 200_001


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"budget": 1}, "budget must be a whole number of boxes, at least 2; got 1"),
        ({"depth": -1}, "depth must be"),
        ({"direction": "up"}, r"unknown direction: 'up' \(must be one of LR, TB, RL, BT, wrapped\)"),
        ({"style": "plain"}, r"unknown style: 'plain' \(must be one of box, micrograd\)"),
    ],
)
def test_unknown_options(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        viz.draw(Value(1.0), **options)


def test_nothing_to_draw() -> None:
    with pytest.raises(TypeError, match="expected a Value, or a list with Values in it, got list without any"):
        viz.draw([1.0, 2.0])


def test_a_drawing_written_along_with_the_lecture_works() -> None:
    """Names as learners type them: ``_prev``, ``_op``, ``label``, ``data``, ``grad``, ids by ``id()``."""
    root = expression()
    nodes, edges = lecture.trace(root)
    dot = lecture.draw_dot(root)
    assert len(nodes) == 7
    assert len(edges) == 6
    assert "{ a | data 2.0000 | grad 6.0000 }" in dot.source
    assert dot.source.count("label=\"*\"") == 2  # fmt: skip


def test_a_wrapped_picture_has_rows_that_start_on_the_left(gpt: Drawn) -> None:
    drawing = viz.draw(gpt.loss, calls=gpt.calls, budget=24, direction="wrapped")
    assert drawing.picture is not None
    rows = re.split(r"subgraph cluster_row\d+ \{", drawing.source)[1:]
    assert len(rows) == 3
    drawn = [re.findall(r"^\s+(n\d+) \[", row, re.M) for row in rows]
    assert sorted(node for row in drawn for node in row) == sorted(box.id for box in drawing.picture.boxes)
    row_of = {node: i for i, row in enumerate(drawn) for node in row}
    for source, target, rest in re.findall(r"(n\d+) -> (n\d+) (.*)", drawing.source):
        assert row_of[source] <= row_of[target]
        assert ("constraint=false" in rest) == (row_of[source] < row_of[target])
    assert "h.0 (Block) (continued)" in drawing.source


def test_a_gradient_that_cancels_but_for_rounding_is_about_zero() -> None:
    x = Value(0.3, "x")
    terms = [x * 0.1, x * 0.2, x * -0.3]
    loss = terms[0] + terms[1] + terms[2]
    loss.backward()
    assert 0.0 < abs(x.grad) < 1e-15
    svg = viz.draw(loss, budget=20).svg()
    assert svg.count(">≈ 0<") == 1
    assert f"grad {x.grad!r}, the rounding of what cancels" in svg
    small = Value(0.3, "x")
    loss = small * 1e-17 + small * 2e-17  # small, but no rounding
    loss.backward()
    assert "≈ 0" not in viz.draw(loss, budget=20).svg()
    loss = terms[0] + 1e-9 * terms[1]  # much cancels nowhere
    loss.zero_grad()
    loss.backward()
    assert "≈ 0" not in viz.draw(loss, budget=20).svg()
