"""``table[i]`` with an integer of the data: as in the scalar engine for every entry, or refused."""

from __future__ import annotations

import linecache
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.compiler.against_eager import agree, error
from tests.compiler.handwritten_gpt import softmax
from tinygrad_edu import Value, jit, nn
from tinygrad_edu.errors import CompileError

rng = random.Random(0)
rows = [[Value(rng.gauss(0, 1)) for _ in range(3)] for _ in range(4)]
pairs = ((rows[0][0], rows[1][1]), (rows[2][2], rows[3][0]))
state = {"rows": rows}
offsets, names, matrix = [0, 1, 2], "abc", np.eye(3)
flat = [value for row in rows for value in row]
K = [[0, 1, 2], [1, 1, 0], [2, 0, 1], [1, 2, 1]]


class Rows(nn.Module):
    def __init__(self) -> None:
        self.rows = rows

    def forward(self, k: Any) -> Any:
        return self.rows[k]


module = Rows()


def nested(ks: list[int]) -> Any:
    def row_of(k: int, table: list[Any] = rows) -> list[Any]:
        chosen: list[Value] = table[k]
        return chosen

    class Lookup:
        def __getitem__(self, k: int) -> Any:
            return rows[k][0]

    return sum([a * b for a, b in zip(row_of(ks[0]), rows[ks[1]], strict=True)], Lookup()[ks[2]])


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "local": lambda ks: -softmax(rows[0])[ks[0]].log(),
    "row": lambda ks: sum(a * b for a, b in zip(state["rows"][ks[0]], rows[ks[1]], strict=True)),
    "nested": nested,
    "module": lambda ks: sum(x * y for x, y in zip(module(ks[0]), module(ks[2]), strict=True)),
    "tuple": lambda ks: pairs[ks[0] // 1][0] if isinstance(ks[0], float) else rows[ks[0]][1] * (rows[0][0], flat[5])[0],
    "of tuples": lambda ks: (*pairs, pairs[0])[ks[1]][1] ** 2,
    "slices and numbers": lambda ks: sum(rows[1:][ks[0]][:2]) * rows[-1][offsets[1]] * matrix[1, 1] * (names[0] == "a"),
    "comprehension": lambda ks: sum([rows[k][n] for n, k in enumerate(ks)]) ** 2,
    "assigned": lambda ks: (lambda copy: [copy.__setitem__(0, rows[ks[0]][1] * 2), copy[ks[1]]][1])(list(rows[2])),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_entry_chosen_by_the_data(name: str) -> None:
    agree(FUNCTIONS[name], flat, K)


def test_afterwards_the_functions_are_as_before() -> None:
    codes = [function.__code__ for function in (nested, softmax, Rows.forward)]
    jit(lambda ks: nested(ks) + softmax(rows[0])[ks[0]] + module(ks[1])[0])(K)
    assert [function.__code__ for function in (nested, softmax, Rows.forward)] == codes
    assert all(a is b for a, b in zip([f.__code__ for f in (nested, softmax, Rows.forward)], codes, strict=True))


@pytest.mark.parametrize(
    "function",
    [
        lambda ks: flat[ks[0] + 1],
        lambda ks: flat[0] * offsets[ks[0]],
        lambda ks: flat[0] * (1 if names[ks[0]] == "a" else 2),
        lambda ks: flat[0] * matrix[ks[0]][0],
        lambda ks: flat[0] * matrix[ks[0], 0],
        lambda ks: flat[0] * {0: 1.0, 1: 2.0, 2: 3.0}[ks[0]],
        lambda ks: flat[range(3)[ks[0]]],
        lambda ks: sum(flat[: ks[0]], flat[0]),
        lambda ks: [flat[0], [flat[1]]][ks[0]],
        lambda ks: sum([flat[:1], flat[:2], flat[:3]][ks[0]]),
        lambda ks: [flat[0], 2.0, flat[1]][ks[0]] * flat[2],
        lambda ks: rows[rows[ks[0]][0]][0],
        lambda ks: flat[ks[0] * 0.5],
    ],
    ids=str.split("computed numbers text array arrays dict range slice kinds lengths mixed value float"),
)
def test_what_is_no_table_of_values_is_refused(function: Any) -> None:
    with pytest.raises((CompileError, TypeError, IndexError)):
        jit(function, flat)(K)


def test_a_caught_error_is_no_way_around() -> None:
    def loss(ks: list[int]) -> Any:
        try:
            return flat[ks[0] * 0.5]
        except TypeError:
            return flat[0] * 2 if [offsets[ks[0]]] else flat[1]

    with pytest.raises(CompileError, match="only this example's choice|taken by a number"):
        jit(loss, flat)(K)


@pytest.mark.parametrize("which", ["chosen", "table"])
def test_a_row_that_is_changed_would_be_another_one(which: str) -> None:
    def loss(ks: list[int]) -> Any:
        table = [[w * 2 for w in row] for row in rows]
        row = table[ks[0]]
        if which == "chosen":
            row[0] = row[1]
        else:
            table[0].append(row[1])
        return sum(table[0]) + sum(row)

    with pytest.raises(CompileError, match="taken by an index from the data is changed; change a copy"):
        jit(loss, flat)(K)


def test_indices_out_of_range_are_errors() -> None:
    compiled = jit(lambda ks: softmax(rows[0])[ks[0]], flat)
    for bad in (-1, 3):
        with pytest.raises(IndexError, match=f"index {bad}"):
            compiled([[bad, 0, 0]])


SOURCE = "def loss(k):\n    return table[k] * {}\n"


def loaded(path: Path, text: str) -> Any:
    space: dict[str, Any] = {"table": flat}
    exec(compile(text, str(path), "exec"), space)
    return space["loss"]


def test_a_file_that_has_changed_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "losses.py"
    path.write_text(SOURCE.format(2))
    assert jit(loaded(path, SOURCE.format(2)))([1]) == pytest.approx([flat[1].data * 2])
    for other in (SOURCE.format(3), "table = 1\n" + SOURCE.format(2), "def loss(", ""):
        path.write_text(other)
        linecache.checkcache(str(path))
        with pytest.raises(CompileError, match=r"write pick\(list, index\)"):
            jit(loaded(path, SOURCE.format(2)))([1])


def test_while_another_thread_traces_the_function_is_the_same() -> None:
    goes_on, traced = threading.Event(), threading.Event()
    first = threading.get_ident()

    def loss(k: int) -> Any:
        if threading.get_ident() != first:
            traced.set()
            goes_on.wait(10)
        return softmax(rows[0])[k]

    compiled = jit(lambda k: softmax(rows[0])[k] * 2, flat, dtype="float64")
    expected = [2 * x.data for x in softmax(rows[0])]
    assert compiled([0, 1, 2]) == pytest.approx(expected)
    thread = threading.Thread(target=lambda: jit(loss, flat)([0, 1]))
    thread.start()
    traced.wait(10)
    assert compiled([0, 1, 2]) == pytest.approx(expected)
    assert softmax(rows[0])[1].data * 2 == pytest.approx(expected[1])
    assert compiled.stats().programs == 1
    goes_on.set()
    thread.join()
    assert error(jit(loss, flat)([0, 1, 2]) * 2, expected) < 1e-6


def test_a_table_in_a_list_of_parameters() -> None:
    first, second = [[Value(1.0), Value(2.0)], [Value(3.0), Value(4.0)]], [[Value(5.0)], [Value(6.0)]]

    def loss(tokens: list[int]) -> Any:
        return sum(first[t][0] * first[t][1] * second[t][0] for t in tokens)

    for parameters in ([first, second], {"a": first, "b": [second]}, [*first, *second]):
        compiled = jit(loss, parameters, dtype="float64")
        assert compiled([[0, 1], [1, 1]]).tolist() == [loss([0, 1]).data, loss([1, 1]).data] == [82.0, 144.0]


def test_functions_of_one_def_share_their_code_and_both_come_back() -> None:
    def scaled(by: float) -> Callable[[int], Any]:
        return lambda i: flat[i] * by

    twice, thrice = scaled(2.0), scaled(3.0)
    codes = [twice.__code__, thrice.__code__]
    compiled = jit(lambda i: twice(i) + thrice(i), flat, dtype="float64")
    assert compiled([0, 3]) == pytest.approx([5 * flat[0].data, 5 * flat[3].data])
    assert [twice.__code__, thrice.__code__] == codes
