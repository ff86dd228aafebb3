"""What a terminal shows of a result that is not assigned: one short line; ``print`` shows the text."""

from collections.abc import Callable
from typing import Any

import pytest

import viz
from tinygrad_edu import Value
from tinygrad_edu.compiler import jit
from tinygrad_edu.nn import Neuron


def double(xs: Any) -> Any:
    return xs[0] * 2.0


def compiled() -> Any:
    k = jit(double, [Value(0.0)])
    k([[3.0]])
    return k


def loss() -> Any:
    x = Value(2.0, label="x")
    result = (x * 3.0 + 1.0).tanh()
    result.backward()
    return result


MADE: dict[str, Callable[[], Any]] = {
    "Program(": lambda: compiled().program,
    "Compiled(double, ": compiled,
    "Compiled(double, not compiled yet": lambda: jit(double, [Value(0.0)]),
    "Bound(1 arguments for 1 ": lambda: compiled().bind([[3.0]]),
    "Parameters(": lambda: compiled().parameters,
    "Document(": lambda: viz.walkthrough(Neuron(2, rng=1), [1.0, 2.0], 1.0),
    "Animation(": lambda: viz.animate(loss()),
    "Page(": lambda: viz.step_page(loss()),
    "Drawing(": lambda: viz.draw(loss()),
    "Flow(": lambda: viz.flow(loss()),
    "Plot(": lambda: viz.plot({"loss": [1.0, 0.5, 0.25]}),
}


@pytest.mark.parametrize("start", MADE)
def test_repr_is_one_short_line(start: str) -> None:
    shown = repr(MADE[start]())
    assert shown.startswith(start)
    assert "\n" not in shown
    assert len(shown) <= 100


def test_every_chart_has_the_short_repr() -> None:
    from viz.charts.chart import Chart

    for kind in Chart.__subclasses__():
        assert kind.__repr__ is Chart.__repr__, kind


def test_print_still_shows_the_text() -> None:
    program = compiled().program
    assert "mul" in str(program) or "*" in str(program)
    document = viz.walkthrough(Neuron(2, rng=1), [1.0, 2.0], 1.0)
    assert str(document) == document.markdown()
    assert "## Update" in str(document)
