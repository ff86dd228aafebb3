"""Values are called what the program calls them."""

import io
from contextlib import redirect_stdout

import numpy as np
import pytest

import viz
from tests.viz.drawn_examples import mlp_loss
from tinygrad_edu import Value, nn
from viz.names import names_of
from viz.rendering.dot import Drawing

LECTURE = """
from tinygrad_edu import Value, nn
import viz
a, b, c, f = Value(2.0), Value(-3.0), Value(10.0), Value(-2.0)
L = (a * b + c) * f
"""


class Hostile:
    """An object that must not be touched: whatever asks it anything, fails."""

    __slots__ = ()

    def fail(self, *_: object) -> object:
        raise AssertionError("the code of an object was run")

    __eq__ = __getattribute__ = __iter__ = __len__ = __getitem__ = __bool__ = __hash__ = fail  # type: ignore[assignment]


def run(source: str, **more: object) -> dict[str, object]:
    """Run the top level of a program; what it printed is its variable ``printed``."""
    variables: dict[str, object] = {"__name__": "__main__", **more}
    with redirect_stdout(io.StringIO()) as printed:
        exec(LECTURE + source, variables)
    return {**variables, "printed": printed.getvalue()}


def drawn(drawing: object) -> list[str]:
    assert isinstance(drawing, Drawing)
    assert drawing.picture is not None
    return sorted(box.name for box in drawing.picture.boxes if box.name)


def test_the_top_level_of_a_program_names_what_it_computes() -> None:
    found = run("viz.step(L); drawing = viz.draw(L); page = viz.step_page(L); moving = viz.animate(L)")
    lines = str(found["printed"]).splitlines()
    assert lines[1].strip() == "1  v1 = a · b = 2 · (−3) = −6"
    assert [line.strip() for line in lines[-4:]] == ["∂L/∂a = 6", "∂L/∂b = −4", "∂L/∂c = −2", "∂L/∂f = 4"]
    assert drawn(found["drawing"]) == ["L", "a", "b", "c", "f"]
    assert "v1 = a · b" in found["page"].html  # type: ignore[attr-defined]
    assert [n.name for n in found["moving"].log.nodes] == ["a", "b", "v1", "c", "v2", "f", "L"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("d = a * b; e = d + c; L = e * f", ["L", "a", "b", "c", "d", "e", "f"]),
        ("z = a; _f = f; del f; f = _f", ["L", "a", "b", "c", "f"]),  # the first name bound
        ("_c = c; del c", ["L", "a", "b", "f"]),
        ("a.label = 'x'; aa = a", ["L", "b", "c", "f", "x"]),
        ("w = [a, (b, [c])]; del a, b, c", ["L", "f", "w[0]", "w[1][0]", "w[1][1][0]"]),
        ("w = [1.0, a]; del a", ["L", "b", "c", "f"]),  # a list that begins with a number may hold a million
        ("w = [a]; w.append(w); del a", ["L", "b", "c", "f", "w[0]"]),
    ],
)
def test_rules(source: str, names: list[str]) -> None:
    assert drawn(run(f"{source}\ndrawing = viz.draw(L)")["drawing"]) == names


def test_in_a_function_variables_are_handed_over() -> None:
    source = """
def inside(**options):
    p = Value(1.0)
    return viz.draw(p * a, **options), viz.draw(p * a, names=locals())
alone, told = inside()
both, _ = inside(names={"one": a})
"""
    found = run(source)
    assert [drawn(found[name]) for name in ("alone", "told", "both")] == [[], ["p"], ["one"]]


def test_names_are_taken_by_every_function_that_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = Value(2.0), Value(3.0)
    product = a * b
    for names in ({"left": a, "right": b, "out": product}, {a: "left", b: "right", product: "out"}):
        assert [n.name for n in viz.animate(product, names=names).log.nodes] == ["left", "right", "out"]
        assert "out = left · right" in viz.step_page(product, names=names).html
        assert drawn(viz.draw(product, names=names)) == ["left", "out", "right"]
        assert "<title>out</title>" in viz.explore(product, names=names).html
        view = viz.live(open_browser=False)
        viz.show(product, names=names)
        assert '"words": "out = 6"' in view.picture
        view.close()
    neuron = nn.Neuron(2, rng=1)
    inputs = [Value(1.0), Value(2.0)]
    document = viz.walkthrough(neuron, inputs, 1.0, names={"x": inputs})
    assert {"w[0]", "x[1]"} <= {n.name for n in document.log.nodes}
    with pytest.raises(TypeError, match=r"names= takes variables by name, such as locals\(\) .* got the int 2 for"):
        viz.draw(product, names={a: 2})


def test_names_recorded_with_a_model_and_names_of_the_inputs_are_both_used() -> None:
    source = """
from tinygrad_edu import record_calls
x = [Value(1.0), Value(2.0)]
with record_calls() as calls:
    y = nn.MLP(2, [1], rng=1)(x)
y = y[0] if isinstance(y, list) else y
drawing = viz.draw(y, calls=calls, budget=100)
"""
    expected = {"layers.0.neurons.0.b", "layers.0.neurons.0.w[0]", "layers.0.neurons.0.w[1]", "x[0]", "x[1]", "y"}
    assert expected <= set(drawn(run(source)["drawing"]))


def test_parameters_of_two_modules_are_told_apart() -> None:
    first, second = nn.Neuron(1, rng=1), nn.Neuron(1, rng=2)
    found = names_of({"first": first, "again": first, "second": second})
    assert [found[p] for p in (*first.parameters(), *second.parameters())] == [
        *("w[0]", "b", "second.w[0]", "second.b")
    ]


def test_nothing_is_asked_of_other_objects() -> None:
    class Broken(nn.Module):
        def named_scalars(self) -> object:  # type: ignore[override]
            raise RuntimeError("this module is not finished")

    more = {f"v{i}": i for i in range(10_000)}
    objects = np.array([Value(1.0)], dtype=object)
    found = run(
        "drawing = viz.draw(L)", hostile=Hostile(), many=[[Hostile()], Hostile()], array=objects, m=Broken(), **more
    )
    assert drawn(found["drawing"]) == ["L", "a", "b", "c", "f"]


def test_numbers_are_the_same_with_names() -> None:
    drawn = mlp_loss()
    names = dict.fromkeys(drawn.calls.names, "p")
    before = [(value.data, value.grad) for value in names]
    plain, named = viz.animate(part := drawn.loss.inputs[0]).log, viz.animate(part, names=names).log
    assert plain.steps == named.steps
    assert [node.name for node in plain.nodes] != [node.name for node in named.nodes]
    viz.draw(drawn.loss, calls=drawn.calls, names=names)
    assert before == [(value.data, value.grad) for value in names]
