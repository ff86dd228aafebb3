"""The picture around a single Value: its neighbors, its gradients, and nothing lost."""

import pytest

import viz
from tests.viz.drawn_examples import Drawn, expression
from tinygrad_edu import Value, topological_order
from viz.rendering import beamer, dot


def weight(gpt: Drawn, name: str) -> Value:
    [value] = [value for value, its in gpt.calls.names.items() if its == name]
    return value


def near(picture):
    return {box.name or box.op.symbol for box in picture.boxes if box.kind == "node"}


def alone(picture):
    """Return the numbers of the Values that have a box of their own."""
    return {box.nodes[0] for box in picture.boxes if box.kind == "node"}


def test_one_step_of_the_lecture():
    loss = expression()
    e = next(value for value in topological_order(loss) if value.label == "e")
    picture = viz.draw(loss, focus=e, depth=1).picture
    assert near(picture) == {"a", "b", "e", "c", "d"}  # inputs, user, and the user's other input
    assert {box.name: len(box.nodes) for box in picture.boxes if box.kind == "rest"} == {
        "before and elsewhere": 1,  # f
        "on the way to the result": 1,  # L
    }
    assert picture.focus.name == "e"
    assert picture.total == 7
    assert near(viz.draw(loss, focus=e).picture) == {"a", "b", "c", "d", "e", "f", "L"}


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("budget", [3, 8, 400])
def test_every_value_is_counted_and_incoming_gradients_sum_to_the_gradient(gpt: Drawn, depth: int, budget: int) -> None:
    w = weight(gpt, "h.0.attn.q.weight[1][2]")
    picture = viz.draw(gpt.loss, calls=gpt.calls, focus=w, depth=depth, budget=budget).picture
    assert len(picture.boxes) <= budget
    assert picture.total == len(topological_order(gpt.loss))
    arriving = [edge for edge in picture.edges if edge.source is picture.focus]
    assert sum(sum(edge.sent.values()) for edge in arriving) == pytest.approx(w.grad, rel=1e-12)
    assert sum(edge.count for edge in arriving) == 6  # one product per position


def test_frames_show_the_modules_around_it(gpt: Drawn) -> None:
    drawing = viz.draw(gpt.loss, calls=gpt.calls, focus=weight(gpt, "h.0.attn.q.weight[1][2]"))
    frame, around = drawing.picture.focus.cluster, []
    while frame is not None:
        around.append(frame.path or frame.kind)
        frame = frame.parent
    assert around == ["h.0.attn", "h.0", "GPT"]
    assert "Near h.0.attn.q.weight[1][2]: 25 of 3,015 Values" in drawing.source


def test_the_result_has_nothing_after_it(gpt: Drawn) -> None:
    picture = viz.draw(gpt.loss, calls=gpt.calls, focus=gpt.loss, depth=1).picture
    assert [box.name for box in picture.boxes if box.kind == "rest"] == ["before and elsewhere"]
    assert picture.focus.root


def test_a_projector_shows_as_much_as_can_be_read(gpt: Drawn) -> None:
    focus = weight(gpt, "wte.weight[0][0]")
    whole = viz.draw(gpt.loss, calls=gpt.calls, focus=focus)
    shown = viz.draw(gpt.loss, calls=gpt.calls, focus=focus, preset="beamer")
    larger = viz.draw(gpt.loss, calls=gpt.calls, focus=focus, budget=len(shown.picture.boxes) * 4 // 3 + 1)
    assert len(shown.picture.boxes) < len(larger.picture.boxes) <= len(whole.picture.boxes) == 10
    strong = dot.drawing(larger.picture, None, strong=True)
    heights = [beamer.text_height(drawing.svg()) for drawing in (shown, strong)]
    assert heights[0] >= 24 > heights[1]
    assert alone(shown.picture) < alone(whole.picture)
    assert shown.picture.focus.name == "wte.weight[0][0]"
    assert sum(len(box.nodes) for box in shown.picture.boxes) == shown.picture.total == 3_015


def test_errors_of_pictures_that_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="the Value in focus= is not among those that the result was computed from"):
        viz.draw(expression(), focus=Value(1.0))
    loss = expression()
    for options in ({"depth": 0}, {"budget": 2}):
        with pytest.raises(ValueError, match="needs a depth of at least 1 and a budget of at least 3"):
            viz.draw(loss, focus=loss, **options)
