"""When one run of a function is enough, and that whatever may keep something runs twice."""

from __future__ import annotations

import builtins
import functools
import itertools
import math
import random
import threading
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import Value, jit, maximum, nn
from tinygrad_edu import functional as F
from tinygrad_edu.compiler import compiled
from tinygrad_edu.compiler.frontend import surroundings
from tinygrad_edu.compiler.frontend.repeatable import is_repeatable
from tinygrad_edu.compiler.frontend.surroundings import Surroundings
from tinygrad_edu.errors import CompileError

w = [Value(2.0), Value(-3.0)]
table = [[Value(0.1 * i + j) for j in range(3)] for i in range(3)]


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not count the threads that other tests have left behind."""
    count, others = threading.active_count, threading.active_count() - 1
    monkeypatch.setattr(threading, "active_count", lambda: count() - others)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Return how often a function runs while it is compiled: 2 also where that is refused."""
    trace = compiled.trace

    def count(function: Callable[..., Any], parameters: Any = w, example: Any = (1.0,)) -> int:
        found: list[Any] = []
        monkeypatch.setattr(compiled, "trace", lambda *what: found.append(what) or trace(*what))
        try:
            jit(function, parameters)(*[[x] for x in example])
        except CompileError:
            return 2
        return len(found)

    return count


# --- one run ----------------------------------------------------------------------------------------------------------


def as_in_a_tutorial(tokens: Any, scale: Any = 2.0) -> Any:
    def norm(x: Any) -> Any:
        return [a * (sum(b * b for b in x) / len(x) + 1e-5) ** -0.5 for a in x]

    keys: list[Any] = []
    losses = []
    for t, token in enumerate(tokens):
        x = norm(table[token])
        keys.append(x)
        scores = [sum(a * b for a, b in zip(x, key, strict=True)) * math.sqrt(0.5) for key in keys]
        largest = max(score.data for score in scores)
        shares = [(score - largest).exp() for score in scores]
        losses.append(-(shares[t] / sum(shares)).log() if t % 2 else F.dot(x, x) * scale)
    return sum(losses) / len(losses)


def test_plain_functions_run_once(runs: Callable[..., int]) -> None:
    memory = {"rows": [1.0, 2.0], "more": (3, [4.0])}

    def closed(x: Any, *, factor: float = 2.0) -> Any:
        total = w[0] * x
        for key, row in sorted(memory.items()):
            total = total + maximum(w[1], len(key) * factor) * row[0]
        return total.tanh()

    assert runs(as_in_a_tutorial, table, ([0, 2, 1],)) == 1
    assert runs(closed) == 1


def test_one_run_still_sees_what_changes_later() -> None:
    beta = [1.0]
    loss = jit(lambda x: w[0] * x * beta[0], w, dtype="float64")
    assert loss([1.0]).tolist() == [2.0]
    beta[0] = 5.0
    assert loss([1.0]).tolist() == [10.0]


# --- two runs: each of these does something else the second time, or might, where nobody looks ------------------------

count = itertools.count()
numbers = itertools.repeat(1.0)
state: dict[str, Any] = {}
steps, text = 0, "{}"


def of_a_global(x: Any) -> Any:
    global steps
    steps += 1
    return w[0] * x * steps


def of_a_cell() -> Any:
    n = 0

    def function(x: Any) -> Any:
        nonlocal n
        n += 1
        return w[0] * x * n

    return function


def of_a_cell_that_is_empty() -> Any:
    def function(x: Any) -> Any:
        nonlocal n
        try:
            n = n + 1.0
        except Exception:
            n = 1.0
        return w[0] * x * n

    if not w:
        n = 0.0
    return function


def of_an_attribute(x: Any) -> Any:
    try:
        of_an_attribute.real += 1  # type: ignore[attr-defined]  # numbers have one of this name
    except Exception:
        of_an_attribute.real = 1  # type: ignore[attr-defined]
    return w[0] * x * of_an_attribute.real  # type: ignore[attr-defined]


def of_a_list() -> Any:
    seen: list[int] = []
    push = seen.append
    return lambda x: (push(1), w[0] * x * len(seen))[1]


def of_a_default(x: Any, seen: Any = []) -> Any:  # noqa: B006
    seen.append(1)
    return w[0] * x * len(seen)


def of_an_order() -> Any:
    weights = {"a": 1.0, "b": 2.0}

    def function(x: Any) -> Any:
        weights["a"] = weights.pop("a")
        return w[0] * x * sum(n * weight for n, weight in enumerate(weights.values()))

    return function


def of_a_type() -> Any:
    first = [True]

    def function(x: Any) -> Any:
        scale = 3.0 if first[0] is True else 5.0
        first[0] = 1  # type: ignore[assignment]  # equal to True
        return w[0] * x * scale

    return function


def of_a_class() -> Any:
    class Counts:
        n = 0

        @property
        def next(self) -> int:
            return self.n

        @next.setter
        def next(self, n: int) -> None:
            state["n"] = state.get("n", 0) + n

        def __mul__(self, x: Any) -> Any:
            return w[0] * x

    counts = Counts()
    return lambda x: counts * x


class Kept(nn.Module):
    def __init__(self) -> None:
        self.n = 0

    def forward(self, x: Any) -> Any:
        return w[0] * x


class Rows(list):  # type: ignore[type-arg]
    def __len__(self) -> int:
        return next(count)


def of_a_key() -> Any:
    class Key:
        def __rmul__(self, x: Any) -> Any:
            return x * next(numbers)

    keys = {Key(): 1.0}
    return lambda x: [w[0] * x * key for key in keys]


def of_a_subclass() -> Any:
    rows = Rows()
    return lambda x: w[0] * x * len(rows)


def of_a_frame(x: Any) -> Any:
    space = (y for y in [x]).gi_frame.f_globals  # type: ignore[union-attr]
    space["steps"] += 1
    return w[0] * x


def of_a_wrapper() -> Any:
    @functools.wraps(F.dot)  # so that it has the name and the module of a function of the library
    def dot(a: Any, b: Any) -> Any:
        return sum(x * y for x, y in zip(a, b, strict=True)) * next(numbers)

    return lambda x: dot(w, [x, x])


def of_a_module() -> Any:
    module = types.ModuleType("settings")
    module.n = 0  # type: ignore[attr-defined]

    def look(inside: Any) -> Any:
        return inside.n

    return lambda x: w[0] * x * (1 + look(module))


def imports(x: Any) -> Any:
    import math as numbers

    return w[0] * x * numbers.pi


def makes_a_class(x: Any) -> Any:
    class Scale:
        n = 2.0

    return w[0] * x * (1.0 if Scale else 2.0)


layer = nn.Linear(1, 1)
cached = functools.lru_cache(lambda: 1.0)
partial = functools.partial(max, 1.0)
array = np.ones(2)
SUSPECTS: dict[str, Any] = {
    "a counter": lambda x: w[0] * x * next(count),
    "an iterator": lambda x: w[0] * x * next(numbers),
    "a global": of_a_global,
    "a cell": of_a_cell(),
    "an empty cell": of_a_cell_that_is_empty(),
    "an attribute of the function": of_an_attribute,
    "a method of a list": of_a_list(),
    "a default": of_a_default,
    "the order of a dictionary": of_an_order(),
    "True that becomes 1": of_a_type(),
    "a class": of_a_class(),
    "a module of the user's": Kept(),
    "a list with methods": of_a_subclass(),
    "an object as a key": of_a_key(),
    "a layer": lambda x: layer([x])[0],
    "a layer that draws": nn.Dropout(0.5, rng=random.Random(1)),
    "a frame": of_a_frame,
    "another's name": of_a_wrapper(),
    "a module": of_a_module(),
    "a cache": lambda x: w[0] * x * cached(),
    "a partial function": lambda x: w[0] * x * partial(0.5),
    "an array": lambda x: w[0] * x * float(array[0]),
    "random numbers": lambda x: w[0] * x * random.random(),
    "those of a module of the library": lambda x: w[0] * x * F.random.random(),  # type: ignore[attr-defined]
    "a table of the library": lambda x: nn.ACTIVATIONS.setdefault("new", lambda y: y)(w[0] * x),
    "an address": lambda x: w[0] * x * (id([]) % 7),
    "an address as text": lambda x: w[0] * x * len(f"{len}"),
    "as formatted text": lambda x: w[0] * x * len("%s" % len),  # noqa: UP031
    "as text of a method": lambda x: w[0] * x * len(text.format(len)),
    "a hash": lambda x: w[0] * x * (hash(len) % 7),
    "a set": lambda x: [y * x for y in {w[0], w[1]}],
    "another set": lambda x: [*{y * x for y in w}],
    "a set by name": lambda x: [y * x for y in set(w)],
    "an import": lambda x: w[0] * x * __import__("math").pi,
    "another import": imports,
    "a class inside": makes_a_class,
    "an inner function": lambda x: [(lambda y: y * len(f"{len}"))(w[0] * x)],
    "names by text": lambda x: w[0] * x * globals()["steps"],
    "something special": lambda x: w[0] * x * len(w.__class__.__name__),
    "a label": lambda x: w[0] * x * len(w[0].label),
    "what is printed": lambda x: (print(), w[0] * x)[1],
}


@pytest.mark.parametrize("about", SUSPECTS)
def test_what_may_keep_something_runs_twice(about: str, runs: Callable[..., int]) -> None:
    example = ([1.0, 2.0],) if "draws" in about else (1.0,)
    assert runs(SUSPECTS[about], w, example) == 2


class Replaced:
    def dot(self, a: Any, b: Any) -> Any:
        return sum(x * y for x, y in zip(a, b, strict=True)) * next(numbers)


def test_a_replaced_function_runs_twice(runs: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> None:

    def found() -> int:
        return runs(lambda x: F.linear([(w[0] * x).relu()], [w[:1]])[0])

    assert found() == 1
    for owner, name in ((F, "dot"), (Value, "relu"), (builtins, "len")):
        plain = getattr(owner, name)

        def other(*args: Any, plain: Any = plain) -> Any:
            next(count)
            return plain(*args)

        with monkeypatch.context() as patch:
            patch.setattr(owner, name, other)
            if owner is builtins:
                assert runs(lambda x: w[0] * x * len(w)) == 2
            else:
                assert found() == 2
    for replaced in (functools.partial(F.dot), Replaced().dot):
        with monkeypatch.context() as patch:
            patch.setattr(F, "dot", replaced)
            assert found() == 2
    own = {"w": w, "__builtins__": {"len": lambda x: next(count)}}
    assert runs(types.FunctionType((lambda x: w[0] * x * len(w)).__code__, own)) == 2
    assert found() == 1


def test_a_function_that_reaches_too_much_runs_twice(runs: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> None:
    assert runs(lambda x: w[0] * x) == 1
    monkeypatch.setattr(surroundings, "LIMIT", 1)
    assert runs(lambda x: w[0] * x) == 2


def test_deleting_an_attribute_counts() -> None:
    def function(x: Any) -> Any:
        del math.tau
        return w[0] * x

    assert not is_repeatable(Surroundings(function))
    assert is_repeatable(Surroundings(lambda x: w[0] * x * math.tau))


def test_next_to_another_thread_it_runs_twice(runs: Callable[..., int]) -> None:
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    try:
        assert runs(lambda x: w[0] * x) == 2
    finally:
        end.set()
        thread.join()
    assert runs(lambda x: w[0] * x) == 1
