"""Programs on disk are those that would be made, and only of the same record."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpt.config import GPTConfig
from gpt.model import GPT
from tests.compiler.against_eager import eager, error
from tinygrad_edu import Value, jit, maximum, nn
from tinygrad_edu.compiler import Compiled, compiled
from tinygrad_edu.compiler.vectorize import kept
from tinygrad_edu.functional import dot, pick, softmax


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TINYGRAD_EDU_PROGRAMS", str(tmp_path))
    return tmp_path


def same(a: Any, b: Any) -> bool:
    """Return whether two programs are equal, down to the tables of addresses."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if is_dataclass(a):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return repr(a) == repr(b)  # −0.0 is not 0.0


def a_gpt() -> tuple[Callable[..., Any], Any, list[Any]]:
    model = GPT(GPTConfig(vocab_size=5, block_size=4, n_layer=2, n_head=2, n_embd=4, positions="rotary"))
    return model.loss, model, [[[0, 1, 2, 3], [4, 3, 2, 1]], [[1, 2, 3, 4], [0, 0, 1, 1]]]


def lists() -> tuple[Callable[..., Any], Any, list[Any]]:
    rng = random.Random(0)
    table = [[Value(rng.gauss(0, 1)) for _ in range(3)] for _ in range(4)]

    def loss(tokens: Any, scale: Any) -> Any:
        rows = [pick(table, token) for token in tokens]
        shares = [softmax([dot(row, other) for other in rows[: n + 1]]) for n, row in enumerate(rows)]
        return maximum(*[dot(share, share) for share in shares]) * scale - (-0.0 * scale * rows[0][0]).exp()

    return loss, table, [[[0, 3, 1], [2, 2, 0]], [1.0, -2.0]]


@pytest.mark.parametrize("make", [a_gpt, lists])
def test_what_is_read_is_what_would_be_made(
    make: Callable[[], Any], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    function, parameters, batch = make()
    monkeypatch.setenv("TINYGRAD_EDU_PROGRAMS", "")
    made = jit(function, parameters, dtype="float64")
    made.value_and_grad(*batch)
    assert not [*place.iterdir()]
    monkeypatch.setenv("TINYGRAD_EDU_PROGRAMS", str(place))
    jit(function, parameters, dtype="float64").value_and_grad(*batch)
    assert len([*place.iterdir()]) == 2
    monkeypatch.setattr(compiled, "vectorize", None)
    monkeypatch.setattr(compiled, "differentiate", None)
    read = jit(function, parameters, dtype="float64")
    loss = read.value_and_grad(*batch)
    expected_loss, expected = eager(function, read.parameters.values, *batch)
    assert error(loss, expected_loss) < 1e-9
    assert error(read.parameters.gradient, expected) < 1e-9
    assert same(read.program, made.program)
    assert read.stats().scalar_operations == made.stats().scalar_operations
    assert not same(read._versions[-1].forward, made.program)  # without the gradient


def name(function: Callable[..., Any], parameters: Any, *batch: Any) -> str:
    made: Compiled = jit(function, parameters)
    made(*batch)
    return made._versions[-1].name


def test_every_part_of_a_record_is_in_the_name() -> None:
    w = [[Value(1.0), Value(2.0)], [Value(3.0), Value(4.0)]]
    a, b = nn.Linear(2, 2, rng=1), nn.Linear(2, 2, rng=2)
    numbers, index = [[1.0, 2.0]], [1]
    apart = {"x": w[0], "y": w[1]}
    functions: dict[str, tuple[Any, ...]] = {
        "a product": (lambda x: dot(w[0], x), w, numbers),
        "another row": (lambda x: dot(w[1], x), w, numbers),
        "the other way around": (lambda x: dot(x, w[0]), w, numbers),
        "half of it": (lambda x: w[0][0] * x[0], w, numbers),
        "another operation": (lambda x: w[0][0] + x[0], w, numbers),
        "another number": (lambda x: w[0][0] + x[1], w, numbers),
        "a constant": (lambda x: w[0][0] * x[0] * 0.0, w, numbers),
        "its negative": (lambda x: w[0][0] * x[0] * -0.0, w, numbers),
        "two results": (lambda x: [w[0][0] * x[0], w[0][0] * x[0]], w, numbers),
        "two others": (lambda x: [w[0][0] * x[0], w[0][1] * x[0]], w, numbers),
        "a choice": (lambda i: pick(w[0], i), w, index),
        "of another list": (lambda i: pick(w[1], i), w, index),
        "from a longer list": (lambda i: pick([*w[1], w[0][0]], i), w, index),
        "tensors apart": (lambda x: dot(w[0], x), apart, numbers),
        "a module": (lambda x: a(x)[0], {"a": a, "b": b}, numbers),
        "the other one": (lambda x: b(x)[0], {"a": a, "b": b}, numbers),
        "one twice": (lambda x: a(a(x))[0], {"a": a, "b": b}, numbers),
        "one after the other": (lambda x: b(a(x))[0], {"a": a, "b": b}, numbers),
        "its other result": (lambda x: a(x)[1], {"a": a, "b": b}, numbers),
        "dropout": (lambda x: nn.Dropout(0.5)(x)[0] * w[0][0], w, numbers),
        "less of it": (lambda x: nn.Dropout(0.25)(x)[0] * w[0][0], w, numbers),
    }
    names = {about: name(*what) for about, what in functions.items()}
    assert all(names.values())
    assert len(set(names.values())) == len(functions)
    assert {about: name(*what) for about, what in functions.items()} == names
    one, two = (lambda x: w[0][0] * x[0]), (lambda x: w[0][0] * x[0])  # the program names their line
    below = lambda x: w[0][0] * x[0]  # noqa: E731
    assert name(one, w, numbers) == name(two, w, numbers) != name(below, w, numbers)


def test_the_code_that_makes_programs_is_in_the_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    w = Value(2.0)
    found = {name(lambda: w * w, [w])}
    library = tmp_path / "library"
    files = ("ops.py", "formulas.py", *(f"compiler/{folder}/x.py" for folder in ("frontend", "program", "vectorize")))
    for file in files:
        (library / file).parent.mkdir(parents=True, exist_ok=True)
        (library / file).write_text("")
    changes: list[Callable[[], Any]] = [lambda: monkeypatch.setattr(kept, "_LIBRARY", library)]
    changes += [lambda file=file: file.write_text("#") for file in library.rglob("*.py")]
    changes += [lambda: monkeypatch.setattr(sys, "version", "4.0"), lambda: monkeypatch.setattr(np, "__version__", "3")]
    for n, change in enumerate(changes, start=2):
        change()
        kept._code.cache_clear()
        found.add(name(lambda: w * w, [w]))
        assert len(found) == n
    (library / "ops.py").unlink()
    kept._code.cache_clear()
    assert name(lambda: w * w, [w]) == ""  # nobody knows whether it is the same: nothing is kept
    kept._code.cache_clear()


def test_processes_find_the_same_name() -> None:
    program = (
        "from tests.compiler.test_kept_programs import a_gpt, lists, name\n"
        "for make in (a_gpt, lists):\n    function, parameters, batch = make()\n"
        "    print(name(function, parameters, *batch))"
    )
    runs = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
        for _ in range(2)
    ]
    assert runs[0] == runs[1]
    assert len(set(runs[0])) == 2
