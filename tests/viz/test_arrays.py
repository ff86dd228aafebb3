"""Arrays of numbers and Values work wherever lists do."""

import numpy as np
import pytest

import viz
from tinygrad_edu import Value


def test_draw_and_its_relatives_take_arrays_of_values() -> None:
    x = Value(2.0, label="x")
    many = np.array([[x * 1.0, x * 2.0]], dtype=object)
    assert viz.draw(many).picture.total == 5
    assert viz.draw({"a": many, "b": [many]}).picture.total == 5
    assert viz.draw(np.array(x * 3.0)).picture.total == 3
    many[0, 0].backward()
    assert viz.flow(many).parameters
    assert "x" in viz.explore(np.array([x * 3.0])).html


@pytest.mark.parametrize("kind", ["float64", "float32", "int64", "object"])
def test_charts_show_the_same_for_arrays_as_for_lists(kind: str) -> None:
    weights = [[1.0, 0.0], [0.5, 0.5]] if kind != "int64" else [[1, 0], [0, 1]]
    m = np.array(weights, dtype=kind)
    values = np.array([[Value(w) for w in row] for row in weights])
    rows = m.tolist()
    for given in (m, values, list(m)):
        assert str(viz.attention(given, np.array(["a", "b"]))) == str(viz.attention(rows, ["a", "b"]))
        assert str(viz.histogram({"w": given})) == str(viz.histogram({"w": rows}))
        shown = viz.next_characters({"p": given[1]}, np.array(["a", "b"]))
        assert str(shown) == str(viz.next_characters({"p": rows[1]}, "ab"))
    for line in (m, m[1]):
        assert str(viz.plot({"l": line}, points={"p": m})) == str(viz.plot({"l": line.tolist()}, points={"p": rows}))
    assert str(viz.loss_curve(m[1])) == str(viz.loss_curve(rows[1]))
    points = m + 1 if kind != "object" else m
    given = viz.boundary(lambda p: np.array([p[0] - 1.0]), points, np.array([-1, 1]), resolution=3)
    lists = viz.boundary(lambda p: p[0] - 1.0, points.tolist(), [-1, 1], resolution=3)
    assert str(given) == str(lists)
