"""``repr`` of results in a terminal: one short line; ``print`` shows the text."""

from collections.abc import Callable
from typing import Any

import pytest

import viz
from tinygrad_edu import Value, record_calls
from tinygrad_edu.compiler import jit
from tinygrad_edu.errors import CompileError
from tinygrad_edu.nn import MLP, Module, Neuron
from viz.rendering.page import Page

WAITING = ": it is compiled when it is first called with a batch"


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
    "Program(1 instructions, 3 arrays; print() shows them)": lambda: compiled().program,
    "Compiled(double, 1 array instructions)": compiled,
    "Compiled(double, not compiled yet)": lambda: jit(double, [Value(0.0)]),
    "Bound(1 arguments for 1 examples)": lambda: compiled().bind([[3.0]]),
    "Parameters(1 numbers in 1 tensors, float32)": lambda: compiled().parameters,
    "Document(9 sections; print() shows it; .save('page.html') writes it)": lambda: viz.walkthrough(
        Neuron(2, rng=1), [1.0, 2.0], 1.0
    ),
    "Animation(7 steps, 1.5 s each; .save('steps.svg') writes it)": lambda: viz.animate(loss()),
    "Page(1,234 characters; .save('page.html') writes it)": lambda: Page("x" * 1234),
    "Drawing(6 Values and 5 edges)": lambda: viz.draw(loss()),
    "Flow(print() shows it; .save('chart.svg') writes it)": lambda: viz.flow(loss()),
    "Plot(print() shows it; .save('chart.svg') writes it)": lambda: viz.plot({"loss": [1.0, 0.5, 0.25]}),
}


@pytest.mark.parametrize("expected", MADE)
def test_repr_is_one_short_line(expected: str) -> None:
    assert repr(MADE[expected]()) == expected


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
    line = double.__code__.co_firstlineno + 1
    assert str(compiled().program).split() == f"%2 = %0[0] * 2 B 1 nodes test_repr.py:{line}".split()
    document = viz.walkthrough(Neuron(2, rng=1), [1.0, 2.0], 1.0)
    assert str(document) == document.markdown()
    assert str(document).startswith("# One training step of Neuron, by hand\n\n## Given\n\n|  | value |\n")


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


#: The shown line and what print() adds to it.
ODD: dict[str, tuple[Callable[[], Any], str, str]] = {
    "half made": (half_made, "MLP(its parameters cannot be listed: 'MLP' object has no attribute 'layers')", ""),
    "two of a name": (
        Odd, "Odd(its parameters cannot be listed: two parameters of this Odd are called w.a.b; rename one)", ""
    ),
    "not compiled": (lambda: jit(double, [Value(0.0)]), "Compiled(double, not compiled yet)", WAITING),
    "failed": (failed, "Compiled(failed.<locals>.<lambda>, not compiled yet)", WAITING),
    "no parameters": (lambda: jit(double), "Compiled(double, not compiled yet)", WAITING),
    "empty module": (Module, "Module(0 parameters)", ""),
    "deep": (
        lambda: MLP(2, [3] * 50),
        f"MLP(2{' → 3 tanh' * 4} → … 43 more …{' → 3 tanh' * 2} → 3 linear, {3 * 3 + 49 * 12} parameters)", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("state", ODD)
def test_repr_and_print_work_in_every_state(state: str) -> None:
    make, line, more = ODD[state]
    thing = make()
    assert (repr(thing), str(thing)) == (line, line + more)


def test_a_network_lists_its_layers() -> None:
    assert repr(MLP(3, [4, 4, 1])) == "MLP(3 → 4 tanh → 4 tanh → 1 linear, 41 parameters)"


def test_a_page_prints_as_one_line() -> None:
    page = viz.step_page(loss())
    assert str(page) == repr(page) == f"Page({len(page.html):,} characters; .save('page.html') writes it)"


def test_a_chart_prints_its_text() -> None:
    assert str(viz.plot({"loss": [1.0]})) == "loss: 1 at 0, 1 at 0"
