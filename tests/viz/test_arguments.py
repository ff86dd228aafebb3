"""Every public function of viz with arguments of the wrong type: the error is one sentence that names the argument."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import viz
from tinygrad_edu import Value, jit, nn

FUNCTIONS = [name for name in viz.__all__ if not isinstance(getattr(viz, name), type)]
ODD: dict[str, Any] = {
    "none": None, "text": "zz", "number": 1.5, "list": [1], "bytes": b"a", "object": object(), "texts": ("a",),
    "dictionary": {"a": object()},
}  # fmt: skip
#: Python's own messages, raised somewhere inside.
RAW = (
    "object has no", "has no attribute", "unsupported operand", "not supported between", "not iterable", "has no len",
    "not subscriptable", "must be real number", "not callable", "unpack", "expected str instance",
)  # fmt: skip


def loss() -> Value:
    result = (Value(2.0, "x") * 3.0).tanh()
    result.backward()
    return result


def given() -> dict[str, tuple[Any, ...]]:
    """Return valid arguments for functions that need more than one."""
    x = Value(1.0)
    compiled = jit(lambda xs: xs[0] * x, [x])
    compiled([[3.0]])
    return {
        "arrows": (lambda p: p,), "pictures": ({"a": [[1.0]]},),
        "attention": ([[1.0, 0.0], [0.5, 0.5]],), "boundary": (lambda p: p[0] * p[1],),
        "compilation": (compiled, loss()), "network": (nn.Neuron(2),),
        "embeddings": ([[1.0, 2.0], [0.0, 1.0], [1.0, 1.0]],), "histogram": ({"w": [1.0, 2.0]},),
        "loss_curve": ([2.0, 1.0],), "next_characters": ({"a": [1.0, 2.0]}, "ab"), "plot": ({"a": [1.0, 2.0]},),
        "walkthrough": (nn.Neuron(2), [1.0, 2.0], 1.0), "draw_program": (compiled,),
        "flow_over": ([viz.flow(loss())] * 2,),
        "boundaries": ([viz.boundary(lambda p: p[0], resolution=2)],), "live": (), "save": (loss(), "L.dot"),
    }  # fmt: skip


def explained(call: Callable[[], Any]) -> None:
    said = ""
    try:
        call()
    except (TypeError, ValueError, OSError) as error:
        said = str(error)
    assert [words for words in RAW if words in said] == [], said
    assert len(said) < 400


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in ("show", "live")])
def test_odd_arguments(name: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    function, right = getattr(viz, name), given().get(name, (loss(),))
    parameters = inspect.signature(function).parameters
    for odd in ODD.values():
        if name != "boundaries":  # drawn later
            explained(lambda odd=odd: function(odd, *right[1:]))
        for option, parameter in parameters.items():
            if parameter.kind is parameter.KEYWORD_ONLY:
                explained(lambda odd=odd, option=option: function(*right, **{option: odd}))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: viz.live(port="x", open_browser=False), r"live\(\): port must be an integer, got the str 'x'"),
        (lambda: viz.live(port=-1, open_browser=False), "port must be from 0 to 65,535, got -1"),
        (lambda: viz.attention([[1.0]], title=3), r"attention\(\): title must be a text, got the int 3"),
        (lambda: viz.embeddings([[1.0], [2.0]], [1, 2]), "names must be a list of texts or None, got the list"),
        (lambda: viz.embeddings([[1.0], [2.0]], ["a", 2]), "names must be a list of texts or None, got the list"),
        (lambda: viz.boundary(abs, resolution=10**9), "resolution must be from 2 to 500"),
        (lambda: viz.boundary(abs, [1.0], [1.0]), "points must be a list of lists, got the list"),
        (lambda: viz.draw(loss(), calls=3), r"draw\(\): calls must be a CallRecord or a list"),
        (lambda: viz.draw(), r"draw\(\): missing a required argument: 'value'"),
        (lambda: viz.draw_program(3), "compiled must be a Compiled, got the int 3"),
        (lambda: viz.walkthrough(3, [1.0], 1.0), "model must be a function, got the int 3"),
    ],
    ids=str.split("port low title names one-name resolution points calls missing program model"),
)
def test_the_messages(call: Callable[[], Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_a_function_keeps_its_own_errors_and_signature() -> None:
    with pytest.raises(TypeError, match="expected a Value, or a list with Values in it, got int"):
        viz.draw(3)
    assert list(inspect.signature(viz.live).parameters) == ["port", "open_browser", "share"]
    assert viz.draw.__module__ == "viz.drawing"
