"""Kernels of single instructions: matrix products of any shape and look-ups, against numpy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import threadpoolctl

from gpt.config import GPTConfig
from gpt.model import GPT
from tests.compiler.interpreter_backend import InterpreterBackend
from tinygrad_edu.compiler import NumpyBackend, jit
from tinygrad_edu.compiler.llvm_backend import codegen, products, steps, text
from tinygrad_edu.compiler.numpy_backend import executor as numpy_backend
from tinygrad_edu.compiler.program import holes
from tinygrad_edu.compiler.program.ir import Access, Array, Instruction, Program, identity
from tinygrad_edu.compiler.runtime import axis_order, memory

pytestmark = pytest.mark.native

SHAPES = [
    (1, 1, 1), (1, 40, 3), (40, 1, 3), (3, 5, 1), (16, 16, 16), (48, 17, 33), (7, 65, 16), (65, 31, 64), (9, 33, 700),
    (33, 130, 521), (40, 1024, 64), (20, 30, 1),
]  # fmt: skip


def access(array: int, loops: int, *axes: int) -> Access:
    """Return the access whose axes are these loops."""
    return Access(array, (0,) * len(axes), tuple(tuple(int(loop == axis) for loop in range(loops)) for axis in axes))


def product(m: int, n: int, k: int, batch: int, dtype: str, shared: bool, plus: bool) -> tuple[Any, Any, Any]:
    """Run a product, of which one factor may be parameters, twice; return its executor, the result and numpy's."""
    draw = np.random.default_rng(m + 10 * n + 100 * k)
    a, b = draw.normal(size=(batch, m, k)).astype(dtype), draw.normal(size=(batch, k, n)).astype(dtype)
    right = Array((k * n,), "parameter") if shared else Array((k, n), "input", lanes=True)
    b = b[:1].repeat(batch, 0) if shared else b
    of_b = Access(1, (0,), ((0, 1, n),)) if shared else access(1, 3, 2, 1)
    it = Instruction("mul", (m, n, k), access(2, 3, 0, 1), (access(0, 3, 0, 2), of_b))
    its = (it, Instruction("mul", it.loops, it.out, it.inputs, accumulate=True)) if plus else (it,)
    arrays = (Array((m, k), "input", lanes=True), right, Array((m, n), lanes=True))
    program = Program(arrays, its, ((identity(2, (m, n)), (m, n)),), len(its))
    parameters = b[0].ravel().copy() if shared else np.zeros(1, dtype)
    runs = numpy_backend.NumpyExecutor(program, parameters, None, batch)
    inputs = [a] if shared else [a, b]
    runs.run(inputs)
    found = np.moveaxis(runs.run(inputs).reshape(m, n, batch), -1, 0)
    return runs, found, (1 + plus) * (a.astype(float) @ b.astype(float))


def close(found: Any, expected: Any, k: int) -> bool:
    """Return whether sums of k terms are equal up to rounding."""
    return bool(np.abs(found - expected).max() <= 8 * np.finfo(found.dtype).eps * k)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_products_match_numpy(shape: tuple[int, int, int], dtype: str) -> None:
    for batch in (1, 3):
        for shared in (False, True):
            runs, found, expected = product(*shape, batch, dtype, shared, plus=True)
            assert close(found, expected, shape[2])
            assert runs.arrays[2].strides[0] % memory.CONFLICT or shape[0] <= memory.MANY_ROWS
            if max(shape[:2]) > 1 and (shape[2] > 1 or min(shape[:2]) > 8):
                assert all(isinstance(step, codegen.Kernel) for step, _ in runs.steps)
                assert len(runs._calls) == 1


def test_each_row_times_each_column_has_a_kernel() -> None:
    runs, _, expected = product(20, 30, 1, 1, "float32", shared=False, plus=False)
    (kernel,) = steps.kernels(runs, runs.program.instructions[0], 1) or ()
    runs.arrays[2][...] = 7.0
    kernel.compiled()()
    assert close(np.moveaxis(runs.outputs().reshape(20, 30, 1), -1, 0), expected, 1)


def test_many_rows_and_many_terms_are_computed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _, _ = product(96, 40, 96, 2, "float32", shared=False, plus=True)
    monkeypatch.setattr(products, "HIGH", 32)
    monkeypatch.setattr(products, "DEEP", 48)
    parts, found, expected = product(96, 40, 96, 2, "float32", shared=False, plus=True)
    assert close(found, expected, 96)
    entries = [runs.steps[0][0].table[0] for runs in (whole, parts)]
    assert entries[1] == 6 * entries[0]


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)])
@pytest.mark.parametrize("shape", [(96, 96, 96), (130, 40, 70), (21, 75, 50)])
def test_points_behind_a_triangle_are_not_computed(
    shape: tuple[int, int, int], order: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holes, "order", lambda program, known, it: order)
    first, second = (np.arange(shape[axis]).reshape([-1 if n == axis else 1 for n in range(3)]) for axis in order)
    for loops in ((0, 1, 2), (1, 0, 2)):  # both layouts of the result
        draw = np.random.default_rng(0)
        factors = {pair: draw.normal(size=[shape[axis] for axis in pair]) for pair in ((0, 2), (2, 1))}
        gone = first > second
        for pair, factor in factors.items():
            if set(order) == set(pair):  # what is far behind is never read
                hidden = np.broadcast_to(first - second, shape).take(0, axis=({0, 1, 2} - set(pair)).pop())
                hidden = hidden if pair == (0, 2) else hidden.T
                factor[hidden > 0] = 0.0
                factor[hidden > 64] = np.nan
        m, n, k = shape
        it = Instruction("mul", shape, access(2, 3, *loops[:2]), (access(0, 3, 0, 2), access(1, 3, 2, 1)))
        sizes = tuple(shape[loop] for loop in loops[:2])
        arrays = (Array((m, k), "input", lanes=True), Array((k, n), "input", lanes=True), Array(sizes, lanes=True))
        program = Program(arrays, (it,), ((identity(2, sizes), sizes),), 1)
        runs = numpy_backend.NumpyExecutor(program, np.zeros(1), None, 2)
        found = runs.run([np.stack([factor, factor]) for factor in factors.values()]).reshape(*sizes, 2)[..., 1]
        found = found.transpose(loops[:2])
        expected = np.nan_to_num(factors[0, 2]) @ np.nan_to_num(factors[2, 1])
        if set(order) == {0, 1}:
            assert not found[(first - second > 64)[..., 0]].any()
            found, expected = (np.where(gone[..., 0], 0.0, x) for x in (found, expected))
        assert close(found, expected, k)


def test_attention_computes_half_of_its_scores() -> None:
    model = GPT(GPTConfig(vocab_size=5, block_size=40, n_layer=1, n_head=2, n_embd=4), seed=1)
    tokens = np.random.default_rng(0).integers(0, 5, (2, 41))
    results = []
    for backend in (NumpyBackend(), InterpreterBackend()):
        compiled = jit(model.loss, model, backend=backend, dtype="float64")
        loss = compiled.value_and_grad(tokens[:, :-1], tokens[:, 1:])
        results.append((loss, compiled.parameters.gradient.copy()))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-12)
    assert np.abs(results[0][1] - results[1][1]).max() < 1e-12
    program = compiled.program
    known = holes.zeros(program)
    products = [it for it in program.instructions if it.op == "mul" and it.reduced()]
    assert (
        len([it for it in products if holes.order(program, known, it)]) == 6
    )  # of two products forward, four backward


@pytest.mark.parametrize(
    ("conflict", "dtype"), [(memory.CONFLICT, "float32"), (4, "float64")], ids=["", "packed"]
)  # then numbers of a are packed if there are many
@pytest.mark.parametrize(
    "target", [text.HERE, text.SMALLER, text.SMALLEST, text.WASM], ids=["avx512", "avx2", "sse", "wasm"]
)
def test_tiles_of_other_processors_compute_the_same(
    target: text.Target, conflict: int, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codegen, "this_computer", lambda: replace(target, here=True))
    monkeypatch.setattr(memory, "CONFLICT", conflict)
    for shape in SHAPES:
        _, found, expected = product(*shape, 2, dtype, shared=True, plus=True)
        assert close(found, expected, shape[2])


def test_vectors_are_as_long_as_pays() -> None:
    lengths = [codegen._best_width(4 * numbers, text.SMALLER) // 4 for numbers in (2304, 36, 16, 8, 1)]
    assert lengths == [32, 16, 16, 8, 4]
    lengths = [codegen._best_width(4 * numbers, text.HERE) // 4 for numbers in (2304, 36, 16, 8, 1)]
    assert lengths == [32, 32, 16, 8, 4]


def test_positions_stay_innermost_if_all_of_them_share_something() -> None:
    """Its gradient is a sum over the positions, but far more products carry them along."""
    tokens, width = 6, 5
    arrays = (Array((tokens, width), "input", lanes=True), Array((width * width,), "parameter"))
    arrays += (Array((tokens, width), lanes=True), Array((width,), lanes=True))
    weights = Access(1, (0,), ((0, width, 1),))
    linear = Instruction("mul", (tokens, width, width), access(2, 3, 0, 1), (access(0, 3, 0, 2), weights))
    shared = Instruction("copy", (tokens, width), access(3, 2, 1), (access(2, 2, 0, 1),))
    for layers, innermost in ((1, axis_order.LANES), (2, 0)):
        its = (*[linear] * layers, shared)
        found = axis_order.orders(Program(arrays, its, ((identity(3, (width,)), (width,)),), len(its)))
        assert found[2][-1] == innermost


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES[3:])
def test_large_products_use_the_blas_if_it_is_found(
    shape: tuple[int, int, int], dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codegen, "this_computer", lambda: replace(text.HERE, large=1))
    runs, found, expected = product(*shape, 2, dtype, shared=True, plus=True)
    assert close(found, expected, shape[2])
    if any(library["internal_api"] == "openblas" for library in threadpoolctl.threadpool_info()) and min(shape) > 1:
        texts = {step.text for step, _ in runs.steps if isinstance(step, codegen.Kernel)}
        assert texts == {products.blas(dtype == "float64")}
    monkeypatch.setattr(steps, "blas", lambda double: 0)
    _, found, expected = product(*shape, 2, dtype, shared=True, plus=True)
    assert close(found, expected, shape[2])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("neighbors", [steps.NEIGHBORS, 1000])
def test_look_ups_and_their_derivatives(dtype: str, neighbors: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "NEIGHBORS", neighbors)
    positions, width, size, batch = 5, 19, 7, 4
    draw = np.random.default_rng(0)
    tokens = draw.integers(0, size, (batch, positions))
    table = draw.normal(size=(size, width)).astype(dtype)
    loops = (positions, width, size)
    cell = Access(1, (0,), ((0, 1, width),))
    arrays = (
        Array((positions,), "index", lanes=True), Array((size * width,), "parameter"),
        Array((positions, width), lanes=True), Array((size * width,), "gradient", primal=1),
    )  # fmt: skip
    index, out = access(0, 3, 0), access(2, 3, 0, 1)
    back = Access(3, (0,), ((0, 1, width),))
    its = (
        Instruction("select", loops, out, (index, cell), axis=2),
        Instruction("select", loops, back, (index, out), axis=2),
        Instruction("select", loops, back, (index, out), axis=2, accumulate=True),
    )
    program = Program(arrays, its, ((identity(2, (positions, width)), (positions, width)),), 1, 3)
    gradient = np.full(size * width, 7.0, dtype)
    runs = numpy_backend.NumpyExecutor(program, table.ravel().copy(), gradient, batch)
    assert len(runs._calls) == 1
    for _ in range(2):
        found = runs.run([tokens])
        assert np.array_equal(np.moveaxis(found.reshape(positions, width, batch), -1, 0), table[tokens])
        expected = np.zeros((size, width))
        np.add.at(expected, tokens.ravel(), 2 * table[tokens].reshape(-1, width).astype(float))
        assert close(gradient.reshape(size, width), expected, positions * batch)
