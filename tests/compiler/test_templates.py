"""Modules share a trace if they are built alike, and never otherwise: checked against the scalar engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import Value, jit
from tinygrad_edu import functional as F
from tinygrad_edu.errors import CompileError
from tinygrad_edu.nn import Module


class Scaled(Module):
    """Multiplies by a factor from an argument or an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = Value(2.0)
        self.factors: Any = [1.0, 1.0]
        self.table = {"factor": 1.0}
        self.array = np.ones(2)
        self.factor = 1.0
        self.state: Any = [Value(0.0), Value(0.0)]

    def forward(self, x: Any, given: Any = None) -> Any:
        by = self.factor * self.factors[1] * self.table["factor"] * float(self.array[1])
        return x * self.weight * by * (1.0 if given is None else float(given[0]))


class Box:
    """An object that holds a number."""

    def __init__(self, number: float) -> None:
        self.number = number

    def __getitem__(self, place: int) -> float:
        return self.number


def temporary_arrays(m: Scaled, x: Any) -> Any:
    return sum((m(x, np.array([float(n)])) for n in range(1, 9)), Value(0.0))


def temporary_objects(m: Scaled, x: Any) -> Any:
    return sum((m(x, Box(float(n))) for n in range(1, 9)), Value(0.0))


def one_object_that_changes(m: Scaled, x: Any) -> Any:
    box, total = Box(1.0), Value(0.0)
    for n in range(1, 5):
        box.number = float(n)
        total = total + m(x, box)
    return total


class Filling(Module):
    """Puts its result into a given object, and adds up what is there."""

    def __init__(self, scaled: Scaled) -> None:
        self.scaled = scaled

    def forward(self, x: Any, box: Box) -> Any:
        box.number = box.number + self.scaled(x)
        return box.number * x


def an_object_that_is_filled(m: Scaled, x: Any) -> Any:
    box, filling = Box(1.0), Filling(m)
    return filling(x, box) + filling(x + 1.0, box) + box.number


def changed(m: Scaled, x: Any, change: Callable[[float], Any]) -> Any:
    total = Value(0.0)
    for n in (1.0, 2.0, 5.0, 7.0):
        change(n)
        total = total + m(x)
    change(1.0)
    return total


FUNCTIONS: dict[str, Callable[[Scaled, Any], Any]] = {
    "temporary arrays": temporary_arrays,
    "temporary objects": temporary_objects,
    "an object that changes": one_object_that_changes,
    "an object that is filled": an_object_that_is_filled,
    "an item of a list": lambda m, x: changed(m, x, lambda n: m.factors.__setitem__(1, n * 1.5)),
    "an item of a dictionary": lambda m, x: changed(m, x, lambda n: m.table.__setitem__("factor", n * 1.5)),
    "an item of an array": lambda m, x: changed(m, x, lambda n: m.array.__setitem__(1, n * 1.5)),
    "an attribute": lambda m, x: changed(m, x, lambda n: setattr(m, "factor", n * 1.5)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_different_calls_do_not_share_a_trace(name: str) -> None:
    m, function = Scaled(), FUNCTIONS[name]
    expected = [function(m, x).data for x in (1.0, 3.0)]
    assert jit(lambda x: function(m, x), m, dtype="float64", watch=False)([1.0, 3.0]).tolist() == expected


class Mixed(Module):
    """Adds up the items of its own list, and may keep its results there."""

    def __init__(self, keeps: bool) -> None:
        super().__init__()
        self.weight = Value(2.0)
        self.keeps = keeps
        self.state: list[Any] = [0.0, 0.0]

    def forward(self, x: Any) -> Any:
        if self.keeps:
            self.state[0], self.state[1] = self.state[1], x * self.weight
        return self.state[0] + self.state[1] + x * self.weight


def test_values_put_into_a_list_of_a_module_are_not_parameters() -> None:
    m = Mixed(keeps=False)

    def function(x: Any) -> Any:
        total = Value(0.0)
        for n in range(1, 5):
            m.state[:] = [x * m.weight * float(n), x * float(n)]
            total = total + m(x)
        return total

    compiled = jit(function, [m.weight], dtype="float64", watch=False)
    assert compiled([3.0, 1.0]).tolist() == [function(3.0).data, function(1.0).data]
    assert len(compiled.parameters) == 1


def test_values_that_a_module_keeps_for_the_next_call_are_refused() -> None:
    m = Mixed(keeps=True)
    compiled = jit(lambda x: sum((m(x * float(n)) for n in range(1, 5)), Value(0.0)), [m.weight], watch=False)
    with pytest.raises(CompileError, match="a Value from an earlier call was kept"):
        compiled([3.0])
    assert len(compiled.parameters) == 1


def test_a_list_of_given_and_computed_numbers_is_one_argument() -> None:
    class Squares(Module):
        def forward(self, rows: list[list[Value]]) -> list[Value]:
            assert all(isinstance(x, float) for x in rows[0])
            return [F.dot(row, row) for row in rows]

    class Model(Module):
        def __init__(self) -> None:
            self.squares = [Squares(), Squares()]
            self.w = Value(3.0)

        def forward(self, rows: list[list[float]], at: int) -> list[Value]:
            own = [x * self.w for x in rows[0]]
            first, second = (inner([*rows, own]) for inner in self.squares)
            return [*first, *second, F.pick(own, at)]

    model = Model()
    rows = [[float(i + j) for j in range(3)] for i in range(40)]
    compiled = jit(model, model, dtype="float64")
    found = compiled([rows], [1])
    expected = model(rows, 1)
    assert [float(x[0]) for x in found] == [x.data if isinstance(x, Value) else x for x in expected]
    assert len(compiled.program.instructions) < 12, "one for each row"
