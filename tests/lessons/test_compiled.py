"""What a page's Python has in the place of the compiler and of numpy, against both."""

from __future__ import annotations

import json
import random
import subprocess
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tinygrad_edu
from gpt.data import ngram
from lessons import compiled, recorded, without_numpy
from lessons.cells import FOLDER
from lessons.errors import LessonError
from tinygrad_edu import Value, compiler, nn, optim
from tinygrad_edu.compiler.wasm_backend import module
from tinygrad_edu.errors import DomainError, ShapeError
from viz.charts import embeddings


class JsArray(array):  # type: ignore[type-arg]
    """An array as Pyodide shows it."""

    def set(self, other: Any) -> None:
        self[:] = array(self.typecode, other)

    def to_py(self) -> Any:
        return self


class Script:
    """``machine`` of pages/live_compiled.js; instead of a module it runs ``function``, compiled."""

    def __init__(self, function: Callable[..., Any], source: Any) -> None:
        self.function = tinygrad_edu.jit(function, source, dtype="float64")
        self.ran: list[str] = []

    def numbers(self, count: int, dtype: str) -> JsArray:
        return JsArray({"float32": "f", "float64": "d"}[dtype], [0.0] * count)

    def open(self, content: bytes) -> Script:
        return self

    def run(self, model: Any, name: str, inputs: Any, parameters: JsArray, gradient: Any) -> JsArray:
        self.ran.append(name)
        batch = [list(x) for x in inputs]
        self.function.parameters.array[:] = parameters
        self.function.parameters.meet_others()
        if gradient is not None:
            self.function.value_and_grad(*batch)
            gradient.set(self.function.parameters.gradient)
        return JsArray("d", self.function.flat(*batch).T.ravel())

    def collect(self, total: JsArray, gradient: JsArray, share: float) -> None:
        total.set(array("d", [a + b * share for a, b in zip(total, gradient, strict=True)]))

    def norm(self, gradient: JsArray) -> float:
        return float(np.linalg.norm(gradient))

    def sgd(self, parameters: JsArray, gradient: JsArray, velocity: JsArray, momentum: float, lr: float) -> None:
        velocity.set(array("d", [momentum * v + g for v, g in zip(velocity, gradient, strict=True)]))
        parameters.set(array("d", [p - lr * v for p, v in zip(parameters, velocity, strict=True)]))

    def scale(self, gradient: JsArray, factor: float) -> None:
        gradient.set([g * factor for g in gradient])

    def adam(
        self, p: JsArray, gradient: JsArray, m: JsArray, v: JsArray, decays: JsArray,
        beta1: float, beta2: float, root: float, eps: float, rate: float, keep: float,
    ) -> None:  # fmt: skip
        for i, g in enumerate(gradient):
            m[i] += (1 - beta1) * (g - m[i])
            v[i] += (1 - beta2) * (g * g - v[i])
            p[i] = p[i] * (keep if decays[i] else 1.0) - rate * m[i] / (v[i] ** 0.5 / root + eps)


@pytest.fixture
def line() -> Iterator[Callable[..., Any]]:
    """Return a function that makes a line and its squared error, whose page has a program of another function."""
    before = compiled.machine

    def make(function: Callable[[Any, Any, Any], Any] = lambda w, x, y: (w[0] * x + w[1] - y) ** 2) -> Any:
        def error(w: Any, x: Any, y: Any) -> Any:
            return (w[0] * x + w[1] - y) ** 2

        of_page = [Value(0.5), Value(-1.0)]
        script = Script(lambda x, y: error(of_page, x, y), of_page)
        programs = {"gradient1": (True, 1), "gradient4": (True, 4), "forward1": (False, 1)}
        entry = {
            "file": "it", "size": 2, "dtype": "float64", "inputs": [["input", []], ["input", []]],
            "programs": programs, "frozen": [], "said": {"True": {"stats": {"instructions": 3}, "summary": "three"}},
        }  # fmt: skip
        compiled.machine = SimpleNamespace(  # type: ignore[assignment]
            programs=[{**entry, "size": 3}, entry], script=script, to_js=lambda x: x, file=lambda name: b""
        )
        own = [Value(0.5), Value(-1.0)]
        return own, compiled.jit(lambda x, y: function(own, x, y), own, dtype="float64"), script

    yield make
    for parameters in list(compiled._ahead):
        parameters.settle()
    compiled.machine = before


X, Y = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [1.0, 0.0, 2.0, 1.0, 3.0, -1.0]


def test_a_batch_of_any_size_is_made_of_those_that_there_are(line: Any) -> None:
    own, loss, script = line()
    exact = tinygrad_edu.jit(lambda x, y: (own[0] * x + own[1] - y) ** 2, own, dtype="float64")
    assert loss.value_and_grad(X, Y) == pytest.approx(exact.value_and_grad(X, Y), abs=1e-12)
    assert loss.parameters.gradient == pytest.approx(exact.parameters.gradient.tolist(), abs=1e-12)
    assert script.ran == ["gradient4", "gradient4", "gradient1", "gradient1"]  # the first to compare with Values
    assert loss(X, Y) == pytest.approx(exact(X, Y).tolist(), abs=1e-12)
    assert loss.flat(X, Y)[:, 0] == [loss(X, Y)[0]]
    assert loss(X, Y).mean() == pytest.approx(exact(X, Y).mean())


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
def test_values_and_arrays_stay_equal_while_they_are_trained(line: Any, name: str) -> None:
    own, loss, _ = line()
    twin = [Value(0.5), Value(-1.0)]
    settings = {"lr": 0.1, **({"momentum": 0.5} if name == "SGD" else {"weight_decay": 0.3})}
    spared = [{}, {}] if name == "SGD" else [{"no_decay": twin[:1]}, {"no_decay": own[:1]}]
    scalars = getattr(optim, name)(twin, **settings, **spared[0])
    arrays = getattr(compiled, name)(loss.parameters, **settings, **spared[1])
    for step in range(5):
        scalars.zero_grad()
        mean = sum((twin[0] * x + twin[1] - y) ** 2 for x, y in zip(X, Y, strict=True)) / len(X)
        mean.backward()
        loss.value_and_grad(X, Y)
        length = compiled.clip_grad_norm(loss.parameters, 0.7)
        assert length == pytest.approx(optim.clip_grad_norm(twin, 0.7))
        assert step or length > 0.7  # the first gradient at least is cut
        scalars.step()
        arrays.step()
        if step == 2:
            own[0].data = twin[0].data = 2.0  # a number that is assigned counts
        assert [v.data for v in own] == pytest.approx([v.data for v in twin], abs=1e-12)
        assert [v.grad for v in own] == pytest.approx([v.grad for v in twin], abs=1e-12)


def test_a_function_that_has_been_changed_runs_on_values_and_says_so(line: Any, capsys: Any) -> None:
    own, loss, _ = line(lambda w, x, y: (w[0] * x + w[1] - y) ** 2 * 1.001)
    mean = loss.value_and_grad(X, Y)
    said = capsys.readouterr().out
    assert "no compiled program for the function as it is now" in said
    assert said.count("\n") == 1
    assert mean == pytest.approx(sum(1.001 * (0.5 * x - 1 - y) ** 2 for x, y in zip(X, Y, strict=True)) / 6)
    assert loss.parameters.gradient == [v.grad for v in own] != [0.0, 0.0]
    loss.value_and_grad(X, Y)
    assert capsys.readouterr().out == ""  # once is enough
    with pytest.raises(LessonError, match="no compiled program of the function as it is now"):
        loss.stats()


def test_steps_on_values_begin_with_no_gradient(line: Any) -> None:
    own, loss, _ = line(lambda w, x, y: (w[0] * x + w[1] - y) ** 2 * 1.001)
    twin = [Value(0.5), Value(-1.0)]
    arrays, scalars = compiled.SGD(loss.parameters, lr=0.1), optim.SGD(twin, lr=0.1)
    for _ in range(3):  # nothing reads a Value in between
        loss.value_and_grad(X, Y)
        arrays.step()
        scalars.zero_grad()
        sum((twin[0] * x + twin[1] - y) ** 2 * 1.001 / len(X) for x, y in zip(X, Y, strict=True)).backward()
        scalars.step()
    assert [v.data for v in own] == pytest.approx([v.data for v in twin], abs=1e-12)
    assert [v.grad for v in own] == pytest.approx([v.grad for v in twin], abs=1e-12)


class Line(nn.Module):
    def __init__(self) -> None:
        self.w, self.b = Value(0.5), Value(-1.0)
        self.doubled = False

    def loss(self, x: Any, y: Any) -> Any:
        error = (self.w * x + self.b - y) ** 2
        return error * 2 if self.doubled else error


def test_after_a_step_a_program_for_another_shape_is_found(line: Any) -> None:
    _, _, script = line()
    model = Line()
    loss = compiled.jit(model.loss, dtype="float64")
    arrays = compiled.SGD(loss.parameters, lr=0.1)
    loss.value_and_grad(X, Y)
    arrays.step()
    loss._versions.clear()  # as for arguments of another shape
    ran = len(script.ran)
    loss.value_and_grad(X, Y)
    assert script.ran[ran:] == ["gradient4", "gradient4", "gradient1", "gradient1"]  # the first to compare with Values


def test_a_switch_of_a_module_counts_at_once(line: Any, capsys: Any) -> None:
    _, _, script = line()
    model = Line()
    loss = compiled.jit(model.loss, dtype="float64")
    plain = loss.value_and_grad(X, Y)
    assert capsys.readouterr().out == ""
    model.doubled = True  # the page has no program for it
    assert loss.value_and_grad(X, Y) == pytest.approx(2 * plain)
    assert "no compiled program for the function as it is now" in capsys.readouterr().out
    ran = len(script.ran)
    model.doubled = False
    assert loss.value_and_grad(X, Y) == pytest.approx(plain)
    assert script.ran[ran:] == ["gradient4", "gradient1", "gradient1"]  # the same program, without looking for it again


factor = 1.0


def error_of(w: Any, x: Any, y: Any) -> Any:
    return factor * (w[0] * x + w[1] - y) ** 2


def test_a_number_or_function_that_is_replaced_counts_at_once(line: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    own, _, _ = line()
    less = 0.0
    loss = compiled.jit(lambda x, y: error_of(own, x, y) - less, own, dtype="float64")
    plain = loss.value_and_grad(X, Y)
    monkeypatch.setitem(globals(), "factor", 3.0)
    assert loss.value_and_grad(X, Y) == pytest.approx(3 * plain)
    less = 1.0
    assert loss.value_and_grad(X, Y) == pytest.approx(3 * plain - 1.0)
    monkeypatch.setitem(globals(), "error_of", lambda w, x, y: w[0] * 5.0)
    assert loss.value_and_grad(X, Y) == pytest.approx(1.5)


def test_what_the_compiler_says_is_that_of_the_page(line: Any) -> None:
    _, loss, _ = line()
    with pytest.raises(LessonError, match="not compiled yet"):
        loss.summary()
    loss.value_and_grad(X, Y)
    assert (loss.stats().instructions, loss.summary()) == (3, "three")


def test_mistakes_are_said(line: Any) -> None:
    _, loss, _ = line()
    with pytest.raises(ShapeError, match="same number of examples"):
        loss(X, Y[:2])
    with pytest.raises(DomainError, match="the loss is inf"):
        loss.value_and_grad([1e308], [-1e308])
    with pytest.raises(LessonError, match="needs to be told the parameters"):
        compiled.jit(lambda x: x)


class Frozen(nn.Module):
    def __init__(self, weights: list[list[float]]) -> None:
        self.weights, self.scale = weights, [Value(0.5), Value(2.0)]

    def loss(self, x: list[float]) -> Value:
        hidden = [sum(w * v for w, v in zip(row, x, strict=True)) for row in self.weights]
        return sum(s * h**2 for s, h in zip(self.scale, hidden, strict=True))  # type: ignore[return-value]


RUN = """
import { readFileSync } from "node:fs";
import { machine } from "./live_compiled.js";
const [parts, numbers, x] = JSON.parse(readFileSync("it.json"));
const model = machine.open(readFileSync("it.wasm"));
const gradient = machine.numbers(2, "float32");
machine.fill(model, parts, numbers);
const losses = machine.run(model, "gradient3", [x], [0.5, 2.0], gradient);
console.log(JSON.stringify([Array.from(losses), Array.from(gradient)]));
"""


@pytest.mark.native
@pytest.mark.node
def test_numbers_of_lists_that_do_not_learn_are_those_of_the_page(tmp_path: Path) -> None:
    rng = random.Random(4)
    before, after = ([[rng.gauss(0, 1) for _ in range(5)] for _ in range(2)] for _ in range(2))
    before[1][2] = before[0][3]  # equal by chance, in the page no longer
    model = Frozen(before)
    x = [[rng.gauss(0, 1) for _ in range(5)] for _ in range(3)]
    with recorded.recording() as made:
        loss = compiler.jit(model.loss)
        loss.value_and_grad(x)
    model.weights = after  # later cells may change them
    machine = compiled.Machine(recorded.modules(made, {}, pictures=False), None, None)  # type: ignore[arg-type]
    [entry] = machine.programs
    numbers = compiled.frozen(Frozen(after))
    assert numbers == [w for row in after for w in row]
    for name, content in (
        ("it.wasm", machine.file(entry["file"])),
        ("it.json", json.dumps([entry["frozen"], numbers, np.ravel(x).tolist()]).encode()),
        ("it.mjs", RUN.encode()),
        ("live_compiled.js", (Path(FOLDER) / "pages" / "live_compiled.js").read_bytes()),
        ("step.js", Path(module.__file__).with_name("step.js").read_bytes()),
        ("package.json", b'{"type": "module"}'),
    ):
        (tmp_path / name).write_bytes(content)
    said = subprocess.run(["node", "it.mjs"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    losses, gradient = json.loads(said)
    assert np.mean(losses) == pytest.approx(loss.value_and_grad(x), rel=1e-6)
    assert gradient == pytest.approx(loss.parameters.gradient.tolist(), rel=1e-6)


def test_a_list_of_numbers_that_changes_counts_at_once(line: Any) -> None:
    _, _, script = line()
    filled: list[list[float]] = []
    script.fill = lambda model, parts, numbers: filled.append(list(numbers))
    compiled.machine.programs[1]["frozen"] = [[0, 4, 0, 1, 1]]
    model = Line()
    model.kept = [[3.0]]
    loss = compiled.jit(model.loss, dtype="float64")
    loss.value_and_grad(X, Y)
    loss.value_and_grad(X, Y)
    assert filled == [[3.0]]
    model.kept[0][0] = 4.0
    loss.value_and_grad(X, Y)
    assert filled == [[3.0], [4.0]]


class Words(nn.Module):
    def __init__(self) -> None:
        self.table = nn.Embedding(5, 3, rng=random.Random(1))

    def loss(self, word: int) -> Value:
        return sum(x * x for x in self.table(word))  # type: ignore[return-value]


def test_programs_are_recorded_with_the_batches_they_run_for() -> None:
    with recorded.recording() as made:
        loss = compiler.jit(Words().loss)
    loss.value_and_grad([1, 2, 3])
    loss([1, 2])
    packed = recorded.modules([*made, *made], {"text.txt": "x"}, pictures=True)
    machine = compiled.Machine(packed, None, None)  # type: ignore[arg-type]
    [entry] = machine.programs  # the same one only once
    assert set(entry["programs"]) == {"gradient1", "gradient3", "forward1", "forward2"}
    assert (entry["size"], entry["dtype"], entry["inputs"]) == (15, "float32", [["index", []]])
    assert entry["said"]["True"]["summary"] == loss.summary()
    assert entry["said"]["False"]["stats"]["gradient_instructions"] == 0
    assert machine.file(entry["file"])[:4] == b"tgew"
    assert machine.file("text.txt") == b"x"
    assert compiler.jit is tinygrad_edu.jit
    assert "jit" not in vars(tinygrad_edu)


def test_counting_without_numpy_reaches_the_same() -> None:
    text = (Path(FOLDER) / "data" / "balcony.txt").read_text(encoding="utf-8")[:3000]
    tokens = [sorted(set(text)).index(character) for character in text]
    given = tokens[:2700], tokens[2700:], len(set(text))
    for own, other in zip(without_numpy.baselines(*given), ngram.baselines(*given), strict=True):
        assert (own.name, own.counts) == (other.name, other.counts)
        assert own.loss == pytest.approx(other.loss, abs=1e-9)


@pytest.mark.parametrize(
    "what",
    [
        lambda x: x[1], lambda x: x[1:3], lambda x: x[:, 2], lambda x: x[1, 2:4], lambda x: x[2, 1], lambda x: x.T,
        lambda x: x.T[3], lambda x: x.ravel(), lambda x: x.reshape(5, 4), lambda x: x.reshape(2, 2, 5)[1, :, 2],
        lambda x: x.mean(), lambda x: x.mean(axis=0), lambda x: x.mean(axis=1), lambda x: x.max(),
        lambda x: x.max(axis=0), lambda x: x.argmax(axis=0), lambda x: x.argmax(axis=1), lambda x: x.argmax(),
        lambda x: x[2].argmax(), lambda x: x / 0.5, lambda x: x[:, 1] * 3, lambda x: 3 * x, lambda x: x + x,
        lambda x: 1 + x, lambda x: x - 2 * x, lambda x: 1 - x, lambda x: abs(x - 1).max(),
        lambda x: x + [[1.0] * 5] * 4,
    ],
)  # fmt: skip
def test_arrays_without_numpy_are_those_of_numpy(what: Callable[[Any], Any]) -> None:
    x = np.random.default_rng(1).normal(size=(4, 5))
    wanted, found = what(x), what(without_numpy.Numbers(x.tolist()))
    assert np.shape(found) == np.shape(wanted)
    assert np.ravel(found).tolist() == pytest.approx(np.ravel(wanted).tolist(), abs=1e-15)
    if isinstance(wanted, np.ndarray):
        assert all(type(row) is type(wanted.tolist()[0]) for row in found.tolist())  # lists, not arrays


def test_an_array_keeps_its_name_when_it_grows() -> None:
    x = without_numpy.Numbers([1.0, 2.0])
    x += x  # no list, which would get longer
    x *= 2
    assert x == [4.0, 8.0]
    with pytest.raises(ShapeError, match=r"2 numbers; expected 6 for \(2, 3\)"):
        x.reshape(2, 3)


@pytest.mark.parametrize("width", [1, 2, 5])
def test_the_plane_of_an_embedding_without_numpy_is_the_same(width: int) -> None:
    rng = random.Random(width)
    rows = [[rng.gauss(0, 1 + n) for n in range(width)] for _ in range(9)]
    (places, shares), (other_places, other_shares) = without_numpy.principal(rows), embeddings._principal(rows)
    assert [x for place in places for x in place] == pytest.approx([x for place in other_places for x in place])
    assert shares == pytest.approx(other_shares)
    assert without_numpy.nearest(rows, embeddings._NEAREST) == embeddings._nearest(rows)
