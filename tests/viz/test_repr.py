"""``repr`` of results in a terminal: one short line; ``print`` shows the text."""

from collections.abc import Callable
from typing import Any

import pytest

import viz
from tinygrad_edu import Value, record_calls
from tinygrad_edu.compiler import jit
from tinygrad_edu.errors import CompileError
from tinygrad_edu.nn import MLP, Module, Neuron


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


def test_long_names_are_cut() -> None:
    name = "n" * 10_000
    named: Any = type(name, (Module,), {"forward": lambda self, x: x})
    double.__qualname__, before = name, double.__qualname__
    try:
        with record_calls() as record:
            named()([Value(1.0)] * 1000)
        for thing in (Value(1.0, name), jit(double), compiled(), named(), record, record.calls[0]):
            assert len(repr(thing)) < 200
    finally:
        double.__qualname__ = before
    assert repr(Value(1.0, "weight")) == "Value(data=1.0, label='weight')"


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


class Odd(Module):
    """Two parameters of the same name, which cannot be listed."""

    def __init__(self) -> None:
        self.w = {"a.b": Value(1.0), "a": {"b": Value(2.0)}}


def half_made() -> Any:
    return MLP.__new__(MLP)


def failed() -> Any:
    k = jit(lambda xs: xs[0] if xs[0] > 1.0 else xs[1], [Value(0.0)])
    with pytest.raises(CompileError):
        k([[3.0, 2.0]])
    return k


ODD: dict[str, Callable[[], Any]] = {
    "half made": half_made,
    "two of a name": Odd,
    "not compiled": lambda: jit(double, [Value(0.0)]),
    "failed": failed,
    "no parameters": lambda: jit(double),
    "empty module": Module,
    "deep": lambda: MLP(2, [3] * 50),
    "empty log": lambda: viz.plot({"loss": [1.0]}),
}


@pytest.mark.parametrize("state", ODD)
def test_repr_and_print_work_in_every_state(state: str) -> None:
    thing = ODD[state]()
    assert "\n" not in repr(thing)
    assert len(repr(thing)) <= 150
    assert str(thing)


def test_a_network_lists_its_layers() -> None:
    assert repr(MLP(3, [4, 4, 1])) == "MLP(3 → 4 tanh → 4 tanh → 1 linear, 41 parameters)"
    assert "… 43 more …" in repr(MLP(2, [3] * 50))
    assert str(jit(double, [Value(0.0)])) == (
        "Compiled(double, not compiled yet): it is compiled when it is first called with a batch"
    )


def test_a_page_prints_as_one_line() -> None:
    assert str(viz.step_page(loss())).startswith("Page(")
    assert "\n" not in str(viz.step_page(loss()))
