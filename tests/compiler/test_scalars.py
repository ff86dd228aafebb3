"""Programs without vectors run as plain Python, and compiling takes linear, not quadratic, time."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.compiler.against_eager import agree, by_numpy, eager, error
from tinygrad_edu import Value, maximum, minimum, ops
from tinygrad_edu import functional as F
from tinygrad_edu.compiler import Compiled, jit
from tinygrad_edu.compiler.frontend import builtin_type
from tinygrad_edu.compiler.frontend.tracers import dot
from tinygrad_edu.compiler.llvm_backend.llvm_math import able
from tinygrad_edu.compiler.numpy_backend import elementwise, scalars
from tinygrad_edu.compiler.program import fusion
from tinygrad_edu.compiler.runtime.allocation import allocate
from tinygrad_edu.errors import DomainError

# --- programs --------------------------------------------------------------------------------------------------------


def chain(n: int) -> tuple[Callable[[Any], Value], list[Value]]:
    w = Value(0.5)

    def loss(x: Any) -> Value:
        v = w * x[0]
        for _ in range(n):
            v = (v * 1.01).tanh()
        return v

    return loss, [w]


def running_sum(n: int) -> tuple[Callable[[Any], Value], list[Value]]:
    w = [Value(0.1 * i) for i in range(n)]

    def loss(x: Any) -> Value:
        total = result = w[0] * x[0]
        for i in range(1, n):
            total = total + w[i] * x[i % 4]
            result = result + total * total
        return result

    return loss, w


def sorting(n: int) -> tuple[Callable[[Any], Value], list[Value]]:
    """Swap neighbors in n rounds, as a sorting network does for bubble sort."""
    w = [Value(0.3 * i) for i in range(8)]

    def loss(x: Any) -> Value:
        v = [a * x[i % 4] for i, a in enumerate(w)]
        for start in range(n):
            for i in range(start % 2, 7, 2):
                v[i], v[i + 1] = minimum(v[i], v[i + 1]), maximum(v[i], v[i + 1])
        return v[0] + v[3] * 2.0 - v[7]

    return loss, w


def edit_distance(n: int) -> tuple[Callable[[Any], Value], list[Value]]:
    """Compute the cheapest alignment of a series of n numbers with one of four."""
    w = [Value(math.sin(i)) for i in range(n)]

    def loss(x: Any) -> Value:
        row = [Value(0.5 * j) for j in range(5)]
        for i in range(n):
            new = [row[0] + 0.5]
            for j in range(4):
                new.append(minimum(minimum(row[j] + (w[i] - x[j]) ** 2, row[j + 1] + 0.5), new[j] + 0.5))
            row = new
        return row[-1]

    return loss, w


PROGRAMS = [chain, running_sum, sorting, edit_distance]
X = [[0.3, -0.7, 0.2, 0.9]]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_without_vectors_is_plain_python(program: Any) -> None:
    function, parameters = program(12)
    compiled = jit(function, parameters)
    loss = compiled.value_and_grad(X)
    expected, gradient = eager(function, compiled.parameters.values, X)
    assert error(loss, expected) < 1e-6
    assert error(compiled.parameters.gradient, gradient) < 1e-6
    (executor, _) = compiled._versions[-1].executors[True, 1]
    assert len(executor.steps) == 1  # one function for everything
    assert compiled.stats().in_python == len(compiled.program.instructions)
    assert compiled.summary().endswith("instructions are for a few numbers each and run as plain Python")
    compiled.value_and_grad(X * 200)  # for this many examples numpy is faster
    assert compiled.stats().in_python < len(compiled.program.instructions) / 2
    agree(function, parameters, X * 3)


def test_vectors_are_left_to_numpy() -> None:
    w = [[Value(math.sin(i + 12 * j)) for i in range(12)] for j in range(12)]

    def loss(x: Any) -> Value:
        for _ in range(5):
            x = [sum(a * b for a, b in zip(row, x, strict=True)).tanh() for row in w]
        return sum(v * v for v in x)

    compiled = jit(loss, w)
    compiled.value_and_grad([[0.1 * i for i in range(12)]])
    assert compiled.stats().in_python == 0
    assert "plain Python" not in compiled.summary()


def test_the_numbers_that_are_not_finite_are_found_in_plain_python() -> None:
    w = Value(1e-3)

    def loss(x: Any) -> Value:
        v = x * w
        for _ in range(20):
            v = v * 1.5 + 0.0
        return v.log()

    compiled = jit(loss, [w])
    compiled.value_and_grad([2.0])
    assert compiled.stats().in_python > 20
    with pytest.raises(DomainError, match="'log' at"):
        compiled.value_and_grad([-1.0])


# --- the generated Python --------------------------------------------------------------------------------------------

NUMBERS = (-math.inf, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0, 800.0, math.inf, math.nan)


def in_python(op: str, *inputs: float) -> float:
    names = {f"x{n}": x for n, x in enumerate(inputs)}
    with np.errstate(all="ignore"):  # as while a program runs
        return float(eval(scalars._EXPRESSIONS[op].format(*names), {**scalars._WORDS, **names}))


def test_every_operation_of_numpy_has_a_python_version() -> None:
    forward = {*(op.name for op in ops.TABLE), *elementwise.UFUNCS, *elementwise.FORWARD, "copy"}
    slopes = {f"grad:{name}" for name in elementwise.SLOPES}
    assert {*forward, *slopes} - {"gelu"} <= scalars._EXPRESSIONS.keys()


@pytest.mark.parametrize("op", [op for op in ops.TABLE if op is not ops.DETACH], ids=lambda op: op.name)
def test_operations_in_python_are_those_of_the_engine(op: ops.Op) -> None:
    two = op.arity != 1
    for a in NUMBERS:
        for b in NUMBERS if two else (0.0,):
            inputs = (a, b) if two else (a,)
            try:
                expected = op.forward(*inputs)
            except DomainError:  # there numpy has infinities and NaN
                with np.errstate(all="ignore"):
                    out = by_numpy(op.name, *map(np.array, inputs))
                assert np.array_equal(in_python(op.name, *inputs), out, equal_nan=True), inputs
                continue
            assert in_python(op.name, *inputs) == pytest.approx(expected, rel=1e-14, nan_ok=True), inputs
            assert op.derivatives is not None
            for slot, slope in enumerate(op.derivatives(*inputs, expected) if math.isfinite(expected) else ()):
                name = f"grad:{op.name}:{slot}"
                if name in scalars._EXPRESSIONS and slope == slope:
                    assert in_python(name, 3.0, *inputs, expected) == pytest.approx(3.0 * slope, rel=1e-14), (a, b)


# --- the work of compiling -------------------------------------------------------------------------------------------


SIZES = {chain: (100, 200), running_sum: (60, 120), sorting: (16, 32), edit_distance: (10, 20)}


def lines_run(work: Callable[[], Any]) -> int:
    """Count the lines of the library that some work executes: the same on every machine."""
    count = 0

    def trace(frame: Any, event: str, argument: Any) -> Any:
        nonlocal count
        if "tinygrad_edu" not in frame.f_code.co_filename:
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def compiled(program: Any, n: int, batch: int = 1) -> Compiled:
    function, parameters = program(n)
    result = jit(function, parameters)
    result.value_and_grad(X * batch)
    return result


@pytest.mark.parametrize("batch", [1, 40])
@pytest.mark.parametrize("program", PROGRAMS)
def test_twice_the_program_is_twice_the_work(program: Any, batch: int) -> None:
    compiled(program, 2, batch)  # warm up one-time work
    once, twice = (lines_run(lambda n=n: compiled(program, n, batch)) for n in SIZES[program])
    assert twice < 2.4 * once


@pytest.mark.parametrize("program", PROGRAMS)
def test_twice_the_program_is_twice_the_work_for_fusion(program: Any) -> None:
    def fuse(made: Any) -> None:
        schedule = fusion.schedule(made, 4096, able, ())
        assert any(isinstance(item, fusion.Group) for item in schedule)
        fusion.hide(made, schedule)

    made = [compiled(program, n).program for n in SIZES[program]]
    once, twice = (lines_run(lambda p=p: fuse(p)) for p in made)
    assert twice < 2.4 * once


def test_twice_the_arrays_are_twice_the_work_for_the_layout_of_memory() -> None:
    def lay_out(n: int) -> None:
        allocate(dict.fromkeys(range(n), 16), {i: i for i in range(n)}, {i: 2 * n - i for i in range(n)})

    once, twice = (lines_run(lambda n=n: lay_out(n)) for n in (1000, 2000))
    assert twice < 2.2 * once


# --- sums of products -----------------------------------------------------------------------------------------------


def _between(xs: Any) -> Any:
    """The generator has begun: its first product is not part of the sum."""
    pairs = (a * b for a, b in zip(w, xs, strict=True))
    return next(pairs) * 2 + sum(pairs)


w = [Value(0.5), Value(-1.5), Value(2.0)]
SUMS: dict[str, tuple[Callable[[Any], Any], int]] = {
    "parameters first": (lambda xs: sum(a * x for a, x in zip(w, [x * w[0] for x in xs], strict=True)), 1),
    "parameters last": (lambda xs: sum(y * a for y, a in zip([x * w[0] for x in xs], w, strict=True)), 1),
    "the other way round": (lambda xs: sum(a * y for y, a in zip([x * w[0] for x in xs], w, strict=True)), 1),
    "of different lengths": (lambda xs: sum(a * y for a, y in zip(w, [xs[0] * w[1], xs[1] * w[2]])), 1),  # noqa: B905
    "arguments": (lambda xs: sum(a * x for a, x in zip(w, xs, strict=True)), 0),
    "numbers among them": (lambda xs: sum(a * x for a, x in zip([w[0], 2.0, w[2]], [x * w[1] for x in xs])), 0),  # noqa: B905
    "only arguments": (lambda xs: w[0] * sum(x * y for x, y in zip(xs, xs, strict=True)), 0),
    "only parameters": (lambda xs: xs[0] * sum(a * b for a, b in zip(w, w, strict=True)), 0),
    "nothing": (lambda xs: w[0] * xs[0] + sum(a * x for a, x in zip(w, [], strict=False)), 0),
    "a start": (lambda xs: sum((a * (x * w[0]) for a, x in zip(w, xs, strict=True)), w[1]), 0),
    "another expression": (lambda xs: sum(a * a + x for a, x in zip(w, xs, strict=True)), 0),
    "begun": (_between, 0),
}


@pytest.mark.parametrize("name", SUMS)
def test_sums_of_products_are_dot_products(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    function, dots = SUMS[name]
    counted: list[Any] = []
    monkeypatch.setattr(builtin_type, "dot", lambda a, b: counted.append(a) or dot(a, b))
    compiled, examples = jit(function, w, dtype="float64"), [[0.5, -1.0, 3.0], [2.0, 1.0, 0.25]]
    for v in w:
        v.zero_grad()
    loss = sum(function(xs) for xs in examples) / 2
    loss.backward()
    assert compiled.value_and_grad(examples) == pytest.approx(loss.data, rel=1e-14)
    assert compiled.parameters.gradient == pytest.approx([v.grad for v in w], rel=1e-14)
    assert len(counted) in (dots, 2 * dots)  # in each trace: with one thread alone, this function needs no second one


def test_what_is_no_sum_of_pairs_is_an_error_as_without_the_compiler() -> None:
    def triples(xs: Any) -> Any:
        return sum(a * x for a, x in zip(w, xs, xs, strict=True))

    for run in (triples, lambda xs: jit(triples, w)([xs])):
        with pytest.raises(ValueError, match="too many values to unpack"):
            run([1.0, 2.0, 3.0])


def test_a_dot_product_of_two_with_computed_constants() -> None:
    a = Value(2.0)

    def loss(x: float) -> Value:
        return F.dot([Value(2.0) * Value(3.0), Value(1.0) * Value(5.0)], [x * a, x * a * a])

    assert jit(loss, [a], dtype="float64")([1.0, -0.5]) == pytest.approx([loss(1.0).data, loss(-0.5).data]) == [32, -16]
