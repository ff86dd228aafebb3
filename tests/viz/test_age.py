"""Stale numbers, older than their inputs: marked in red or recomputed, never drawn as if they were true."""

import html
import json
import re

import pytest

import viz
from tests.viz.drawn_examples import Drawn
from tinygrad_edu import Value, record_calls
from tinygrad_edu.errors import StaleGraphError
from tinygrad_edu.nn import MLP
from tinygrad_edu.optim import SGD
from viz.graph import age
from viz.graph.build import build
from viz.pages.liveview import LiveView
from viz.style import TEXT_NEGATIVE


def product() -> tuple[Value, Value, Value]:
    """Compute L = a·b with a = 2, b = 3, and its gradients."""
    a, b = Value(2.0, label="a"), Value(3.0, label="b")
    L = a * b
    L.label = "L"
    L.backward()
    return a, b, L


def red(drawing: viz.rendering.dot.Drawing) -> str:
    """Return the warning in red above the boxes."""
    header = drawing.source.partition("label=<")[2].partition("\n")[0]
    return " ".join(html.unescape(w) for w in re.findall(rf'<FONT COLOR="{TEXT_NEGATIVE}"><B>([^<]*)</B>', header))


def on_edges(drawing: viz.rendering.dot.Drawing) -> list[str]:
    return re.findall(r"-> n\d+ \[.*label=", drawing.source)


@pytest.mark.parametrize("style", ["box", "micrograd"])
def test_stale_numbers_are_marked_in_red_and_edges_agree(style: str) -> None:
    a, b, L = product()
    a.data = 5.0
    drawing = viz.draw(L, style=style)
    assert "Old numbers: L is 6, but × of a = 5 and b = 3 is 15." in red(drawing)
    assert "Gradients are older" in red(drawing)
    assert not on_edges(drawing)
    boxes = dict(re.findall(r"\t(n\d) \[label=(.*)", drawing.source))
    words = {n: re.sub(r"<[^>]*>", " ", label) for n, label in boxes.items()}
    assert [bool(re.search(r"old +data", words[n])) for n in ("n0", "n1", "n2")] == [False, False, True]
    assert all(re.search(r"old +grad", words[n]) for n in words)
    assert "Old numbers" in drawing._repr_mimebundle_(include=["text/plain"])["text/plain"]
    assert (L.data, a.grad, b.grad) == (6.0, 3.0, 2.0)  # inspected, not changed


def test_fresh_numbers_are_not_called_stale(gpt: Drawn, mlp: Drawn) -> None:
    for drawn in (gpt, mlp):
        whole = build([drawn.loss])
        assert not whole.old
        assert age.sentences(whole) == []
    drawing = viz.draw(product()[2])
    assert red(drawing) == ""
    assert "old" not in drawing.source
    assert len(on_edges(drawing)) == 2


@pytest.mark.parametrize("budget", [4, 400])
def test_an_optimizer_step_makes_the_picture_stale_even_inside_folded_boxes(budget: int) -> None:
    model = MLP(3, [8, 8, 1])
    with record_calls() as calls:
        loss = model([1.0, -2.0, 0.5]) ** 2
    loss.backward()
    SGD(model.parameters(), lr=0.1).step()
    drawing = viz.draw(loss, calls=calls, budget=budget)
    assert re.match(r"Old numbers: .* and \d+ more\. A number was changed afterwards", red(drawing))
    assert "old data" in drawing.source
    assert all(not edge.sent and edge.local is None for edge in drawing.picture.edges)


def test_one_parameter_far_below_is_found_and_named() -> None:
    x = Value(1.0, label="x")
    y = x * 2.0
    for _ in range(5000):
        y = y + 1.0
    x.data = 1.0 + 1e-9
    whole = build([y])
    assert len(whole.old) == 5001
    assert "× of x = 1 and 2 is 2.000000002, and 5,000 more" in age.sentences(whole)[0]


def test_unchanged_results_are_not_stale() -> None:
    x = Value(-1.0, label="x")
    y = x.relu()
    x.data = -7.0
    assert age.sentences(build([y])) == []
    nan = Value(float("nan")) * 2.0
    assert not build([nan]).old


def test_a_changed_input_with_an_undefined_result() -> None:
    x = Value(1.0, label="x")
    y = x.log()
    x.data = -1.0
    assert "x = −1 is NaN" in red(viz.draw(y))


def test_gradients_of_two_backward_calls_are_distinguished_from_one() -> None:
    _, _, L = product()
    assert red(viz.draw(L)) == ""
    L.backward()  # leaves accumulate: 2 · (3, 2), while 3 and 2 flow back
    assert "that of b is 4, but 2 flows back to it here, and 1 more" in red(viz.draw(L))


def test_gradients_older_than_a_change_that_left_the_result_equal() -> None:
    a, b = Value(2.0, label="a"), Value(0.0, label="b")
    L = a * b
    L.backward()
    a.data = 5.0  # L is 0 all the same, but ∂L/∂b is a
    assert "that of b is 2, but 5 flows back" in red(viz.draw(L))


def test_gradients_of_another_result() -> None:
    a, b, _ = product()
    again = a * b
    assert "that of a is from another backward()" in red(viz.draw(again))


def test_parts_of_a_result_with_gradients_from_elsewhere_are_not_reported() -> None:
    x = Value(2.0, label="x")
    part = x * x
    (part * 3.0 + x).backward()
    assert red(viz.draw(part)) == ""
    shared = Value(1.0)
    losses = [shared * float(i) for i in range(3)]
    sum(losses).backward()
    assert red(viz.draw(losses)) == ""


@pytest.mark.parametrize("show", [viz.explore, viz.step, viz.step_page, viz.animate])
def test_pages_that_step_through_the_computation_refuse(show: object) -> None:
    a, _, L = product()
    a.data = 5.0
    with pytest.raises(StaleGraphError, match=r"L.*6.*15"):
        show(L)  # type: ignore[operator]


def test_the_flow_reports_it_unless_the_earlier_numbers_are_given() -> None:
    a, b, L = product()
    before = {a: 2.0, b: 3.0}
    a.data = 5.0
    assert viz.flow(L).findings[0].startswith("Old numbers: L is 6")
    assert not any("Old" in words for words in viz.flow(L, before=before).findings)


def test_the_live_view_answers_what_if_and_changes_nothing() -> None:
    a, b, L = product()
    view = LiveView()
    try:
        view.show(L)
        assert json.loads(view._event)["words"] == "L = 6"
        a.data = 5.0
        view.show_again()
        event = json.loads(view._event)
        numbers = re.findall(r">([^<]*)</text>", event["svg"])
        assert {"5", "3", "15"} <= set(numbers)
        assert {"∂ 5", "+5", "∂ 3", "+3"} <= set(numbers)
        assert "6" not in numbers
        assert event["words"] == "L = 15 · recomputed from the current numbers; it still holds 6"
        assert (a.data, L.data, a.grad, b.grad, L.grad) == (5.0, 6.0, 3.0, 2.0, 1.0)
    finally:
        view.close()


def test_what_cannot_be_recomputed_is_kept_and_reported() -> None:
    x = Value(1.0, label="x")
    y = (x * 2.0).log()
    x.data = -1.0
    whole = build([y])
    with age.recomputed(whole) as is_new:
        assert not is_new
        assert [v.data for v in whole.values] == [-1.0, 2.0, 2.0, y.data]
        assert "Old numbers" in red(viz.draw(y))
