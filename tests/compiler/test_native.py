"""Machine code: which instructions run together, and formulas that match the table."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import pytest

from gpt.config import GPTConfig
from gpt.model import GPT
from tests.compiler.against_eager import error
from tests.compiler.test_models import tokens
from tinygrad_edu import Value, jit, ops
from tinygrad_edu import functional as F
from tinygrad_edu.compiler import AdamW, NumpyBackend, Parameters, native
from tinygrad_edu.compiler.llvm_backend import products
from tinygrad_edu.compiler.llvm_backend.llvm_math import able
from tinygrad_edu.compiler.numpy_backend import executor as numpy_backend
from tinygrad_edu.compiler.program import fusion
from tinygrad_edu.compiler.program.ir import Access, Array, Instruction, Program, identity
from tinygrad_edu.errors import DomainError

needs_llvm = pytest.mark.native

X = np.concatenate([np.linspace(-40, 40, 4001), [0.0, -0.0, 1e-30, -1e-30, 300.0, -300.0, 800.0, -800.0]])


@pytest.fixture
def every_stretch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make kernels for everything, however small."""
    monkeypatch.setattr(fusion, "NARROW", 1)
    monkeypatch.setattr(numpy_backend, "FEW", 0)


def one(op: str, *inputs: Any, dtype: str = "float64") -> Any:
    """Run an operation on arrays of the same length, and on numbers, as its own kernel."""
    columns = [np.asarray(x, dtype) for x in inputs if not isinstance(x, float)]
    names = iter(range(len(columns)))
    operands = tuple(x if isinstance(x, float) else Access(next(names), (), ()) for x in inputs)
    out = Access(len(columns), (), ())
    it = Instruction(op, (), out, operands)
    assert able(it)
    arrays = (*(Array((), "input", lanes=True) for _ in columns), Array((), lanes=True))
    executor = numpy_backend.NumpyExecutor(
        Program(arrays, (it,), ((out, ()),), 1), np.zeros(1, dtype), None, len(columns[0])
    )
    assert isinstance(executor.schedule[0], fusion.Group)
    return executor.run(columns)


def relative(found: Any, expected: Any, floor: float) -> float:
    """Return the largest relative error."""
    return float((np.abs(found - expected) / np.maximum(np.abs(expected), floor)).max())


@needs_llvm
@pytest.mark.usefixtures("every_stretch")
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-15), ("float32", 5e-7)])
@pytest.mark.parametrize("name", ["exp", "tanh", "sigmoid", "gelu", "relu", "abs", "neg"])
def test_functions_of_one_number(name: str, dtype: str, tolerance: float) -> None:
    x = X.astype(dtype)
    op = ops.by_name(name)
    with np.errstate(over="ignore"):
        expected = np.array([op.forward(float(v)) for v in x]).astype(dtype)
    out = one(name, x, dtype=dtype)
    finite = np.isfinite(expected)
    assert np.array_equal(out[~finite], expected[~finite])
    # Subnormal results may become 0. The error of GELU is relative to x: its tail has fewer digits.
    floor = 1e-35 if dtype == "float32" else 1e-300
    scale = np.maximum(np.abs(x), 1.0) if name == "gelu" else 1.0
    assert relative(out[finite] / scale, expected[finite] / scale, 1.0 if name == "gelu" else floor) < tolerance
    if name == "neg":
        return
    assert op.derivatives is not None
    slopes = np.array([op.derivatives(float(v), float(y))[0] for v, y in zip(x, expected, strict=True)])
    found = one(f"grad:{name}:0", np.full_like(x, 3.0), x, expected, dtype=dtype)
    assert relative(found[finite], 3.0 * slopes[finite], 1.0) < (50 if name == "gelu" else 2) * tolerance


@needs_llvm
@pytest.mark.usefixtures("every_stretch")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_logarithms(dtype: str) -> None:
    x = np.concatenate(
        [np.exp(np.linspace(-80, 80, 2001)), np.linspace(0.5, 2.0, 2001), [0, -1, np.inf, np.nan, 1e-40]]
    )
    x = x.astype(dtype)
    with np.errstate(all="ignore"):
        expected = np.log(x.astype(np.longdouble))
    found = one("log", x, dtype=dtype)
    finite = np.isfinite(expected)
    assert np.array_equal(found[~finite], expected[~finite].astype(dtype), equal_nan=True)
    assert relative(found[finite], expected[finite], 1e-30) < 3 * np.finfo(dtype).eps


@needs_llvm
@pytest.mark.usefixtures("every_stretch")
def test_gelu_keeps_the_digits_of_the_small_tail_in_float64() -> None:
    x = np.linspace(-30.0, -5.0, 100)
    assert relative(one("gelu", x), np.array([ops.GELU.forward(float(v)) for v in x]), 1e-300) < 1e-11


@needs_llvm
@pytest.mark.usefixtures("every_stretch")
def test_nan_stays_nan() -> None:
    x = [math.nan, math.inf, -math.inf, 1.0]
    for name, expected in {
        "exp": [math.nan, math.inf, 0.0, math.e],
        "tanh": [math.nan, 1.0, -1.0, math.tanh(1.0)],
        "sigmoid": [math.nan, 1.0, 0.0, 1.0 / (1.0 + math.exp(-1.0))],
        "relu": [math.nan, math.inf, 0.0, 1.0],
        "sqrt": [math.nan, math.inf, math.nan, 1.0],
    }.items():
        assert one(name, x) == pytest.approx(expected, rel=1e-15, nan_ok=True), name
        assert one(name, x, dtype="float32") == pytest.approx(expected, rel=2e-7, nan_ok=True), name


@needs_llvm
@pytest.mark.usefixtures("every_stretch")
@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "maximum", "minimum"])
def test_functions_of_two_numbers(name: str) -> None:
    op = ops.by_name(name)
    a, b = np.array([1.5, -2.0, 3.0, 0.25, 7.0]), np.array([2.0, -2.0, -1.0, 0.5, 4.0])
    expected = [op.forward(*p) for p in zip(a, b, strict=True)]
    assert one(name, a, b) == pytest.approx(expected, rel=1e-15)
    if name in ("div", "maximum", "minimum"):
        assert op.derivatives is not None
        slopes = [op.derivatives(x, y, out) for x, y, out in zip(a, b, expected, strict=True)]
        for slot in (0, 1):
            found = one(f"grad:{name}:{slot}", np.full(5, 2.0), a, b, expected)
            assert found == pytest.approx([2.0 * s[slot] for s in slopes], rel=1e-15)


@needs_llvm
@pytest.mark.usefixtures("every_stretch")
@pytest.mark.parametrize("exponent", [2.0, -0.5, 0.5, -1.0, 3.0, -1.5, 1.0, 0.0, 4.0])
def test_powers(exponent: float) -> None:
    a = np.array([0.25, 1.5, 4.0, 100.0])
    assert one("pow", a, exponent) == pytest.approx(a**exponent, rel=1e-14)
    if exponent > -3.5:
        slopes = one("grad:pow:0", np.full(4, 2.0), a, exponent, a**exponent)
        assert slopes == pytest.approx(2.0 * exponent * a ** (exponent - 1.0), rel=1e-14)


def test_operations_without_a_formula_are_left_to_numpy() -> None:
    a, out = identity(0, (2,)), identity(1, (2,))
    for op, inputs in (("sin", (a,)), ("cos", (a,)), ("pow", (a, 0.3)), ("pow", (a, a)), ("select", (a, a))):
        assert not able(Instruction(op, (2,), out, inputs))


def normed(x: Any, gain: list[Value]) -> Any:
    """Compute a layer norm of rows whose sum is squared."""
    rows = [F.layer_norm(row, gain, [Value(0.0)] * len(row)) for row in x]
    return F.mean([v * v for row in rows for v in row])


@needs_llvm
def test_a_norm_is_one_kernel_that_stores_no_intermediate_results() -> None:
    gain = [Value(1.0 + 0.1 * n) for n in range(8)]
    compiled = jit(lambda x: normed(x, gain), gain)
    compiled(np.random.default_rng(0).normal(size=(64, 16, 8)))
    ((executor, _),) = compiled._versions[-1].executors.values()
    groups = [item for item in executor.schedule if isinstance(item, fusion.Group)]
    assert len(groups[0].nests) >= 3  # the mean, the squares, the result: each needs the complete one before
    assert len(groups[0].hidden) >= 4
    assert len(executor.steps) < len(compiled.program.instructions) - 5
    apart = numpy_backend.NumpyExecutor(compiled.program, compiled.parameters.array, None, 64, native=False)
    assert executor.memory.nbytes < apart.memory.nbytes


@needs_llvm
def test_layers_share_their_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "_functions", {})

    def kernels(layers: int) -> int:
        model = GPT(GPTConfig(vocab_size=7, block_size=8, n_layer=layers, n_head=2, n_embd=8), seed=1)
        before = len(native._functions)
        batch = tokens(32, 8, vocab_size=7)
        jit(model.loss, Parameters(model)).value_and_grad(batch, batch)
        return len(native._functions) - before

    assert kernels(2) >= 3
    assert kernels(3) == 0


@needs_llvm
def test_the_kernel_of_products_is_compiled_while_the_program_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "_functions", {})
    threads: list[Any] = []
    compile_ = native._compile
    monkeypatch.setattr(native, "_compile", lambda texts: threads.append(threading.current_thread()) or compile_(texts))
    w = [Value(0.1 * n) for n in range(40)]
    for function in (lambda x: w[0] * x[0], lambda x: F.dot(w[:20], x) + F.dot(w[20:], x)):
        assert not native._functions
        jit(function, w, dtype="float64").value_and_grad([[0.5] * 20])
        beside = [thread for thread in threads if thread is not threading.current_thread()]
        assert not any(thread.is_alive() for thread in beside)
        assert (products.tiled(True, native.this_computer()) in native._functions) == bool(beside)
        native._functions.clear()
    assert len(beside) == 1
    with NumpyBackend(native=False).preparing("float64"):
        pass
    assert not native._functions


@needs_llvm
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_with_and_without_machine_code(dtype: str) -> None:
    model = GPT(GPTConfig(vocab_size=7, block_size=12, n_layer=2, n_head=2, n_embd=12), seed=1)
    batch = tokens(32, 12, vocab_size=7)
    found = {}
    for kind in (True, False):
        loss = jit(model.loss, model, backend=NumpyBackend(native=kind), dtype=dtype)
        found[kind] = (loss.value_and_grad(batch, batch), loss.parameters.gradient)
        ((executor, _),) = loss._versions[-1].executors.values()
        assert kind == any(isinstance(item, fusion.Group) for item in executor.schedule)
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    assert error(found[True][0], found[False][0]) < tolerance
    assert error(found[True][1], found[False][1]) < tolerance


def test_without_llvmlite_numpy_runs_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "available", lambda: False)
    gain = [Value(1.0)] * 8
    compiled = jit(lambda x: normed(x, gain), gain)
    compiled(np.ones((64, 16, 8)))
    ((executor, _),) = compiled._versions[-1].executors.values()
    assert executor.schedule == list(range(len(compiled.program.instructions)))


@needs_llvm
def test_the_first_nan_is_named_although_it_was_never_stored() -> None:
    w = [Value(1.0)]

    def loss(x: Any) -> Value:
        return F.mean([(w[0] * v).sqrt() * 2.0 + 1.0 for v in x])

    compiled = jit(loss, w)
    x = np.ones((100, 64))
    assert compiled.value_and_grad(x) == pytest.approx(3.0)
    ((executor, _),) = compiled._versions[-1].executors.values()
    assert any(isinstance(item, fusion.Group) and item.hidden for item in executor.schedule)
    x[70, 3] = -1.0
    with pytest.raises(DomainError, match="'sqrt' at test_native"):
        compiled.value_and_grad(x)
    x[70, 3] = 1.0
    assert compiled.value_and_grad(x) == pytest.approx(3.0)


@needs_llvm
def test_the_time_of_a_group_is_split_among_its_instructions() -> None:
    gain = [Value(1.0)] * 8
    compiled = jit(lambda x: normed(x, gain), gain)
    seconds, _ = compiled.timed(np.random.default_rng(0).normal(size=(64, 16, 8)))
    assert len(seconds) == len(compiled.program.instructions)
    assert all(s > 0 for s in seconds)


@needs_llvm
@pytest.mark.parametrize("threads", [1, 3])
def test_adam_as_a_program(threads: int) -> None:
    start = [math.sin(n) for n in range(20_011)]
    moved = []
    for kind in (True, False):
        values = [Value(number) for number in start]
        parameters = Parameters(values, "float64", NumpyBackend(threads, kind))
        optimizer = AdamW(parameters, lr=0.1, betas=(0.8, 0.9), weight_decay=0.1, no_decay=values[:100])
        for step in range(3):
            parameters.gradient[:] = np.cos(np.arange(len(values)) + 0.1 * step)
            optimizer.step()
        moved.append(parameters.array)
    assert np.abs(moved[0] - moved[1]).max() < 1e-14
    assert np.abs(moved[0] - start).mean() > 0.1


@needs_llvm
def test_adam_follows_changed_settings() -> None:
    parameters = Parameters([Value(1.0) for _ in range(5000)])
    optimizer = AdamW(parameters, lr=0.5, eps=1e-8, weight_decay=0.0)
    parameters.gradient[:] = 2.0
    optimizer.step()
    assert parameters.array == pytest.approx(np.full(5000, 0.5), rel=1e-5)  # the first step has size lr
    optimizer.lr = 0.0
    optimizer.step()
    assert parameters.array == pytest.approx(np.full(5000, 0.5), rel=1e-5)


def test_an_array_read_in_another_order_is_not_read_too_early() -> None:
    # b[i] = a[i] + 1; c[i] = b[n - 1 - i] * 2: the second needs the complete first.
    n = 8
    back = Access(1, (n - 1,), ((-1,),))
    program = Program(
        (Array((n,), "input", lanes=True), Array((n,), lanes=True), Array((n,), lanes=True)),
        (
            Instruction("add", (n,), identity(1, (n,)), (identity(0, (n,)), 1.0)),
            Instruction("mul", (n,), identity(2, (n,)), (back, 2.0)),
        ),
        ((identity(2, (n,)), (n,)),),
        2,
    )
    executor = numpy_backend.NumpyExecutor(program, np.zeros(1), None, 1000)
    x = np.arange(8000.0).reshape(1000, n)
    assert np.array_equal(executor.run([x]), (x[:, ::-1].T + 1.0) * 2.0)


def executor_of_gpt() -> Any:
    """Return the executor of a small GPT's loss and gradient."""
    config = GPTConfig(vocab_size=7, block_size=16, n_layer=2, n_head=2, n_embd=16, norm="layernorm", norm_weight=True)
    model = GPT(config, seed=1)
    loss = jit(model.loss, Parameters(model))
    batch = tokens(32, 16, vocab_size=7)
    loss.value_and_grad(batch, batch)
    ((executor, _),) = loss._versions[-1].executors.values()
    return executor


@needs_llvm
def test_cheap_results_are_recomputed_in_the_backward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    executor = executor_of_gpt()
    program, source = executor.program, executor.source
    copies = program.instructions[len(source.instructions) :]
    assert any(it.op == "sub" and it.path.endswith(("ln_1", "ln_2")) for it in copies)  # x - mean
    quotients = {it.out.array for it in source.instructions[: source.forward] if it.op == "div"}
    again = [it for it in copies if it.path.endswith("attn.head")]
    assert again  # the exponentials of the softmax, from its probabilities
    assert all(it.op == "mul" and it.inputs[0].array in quotients for it in again)
    assert not any(it.op in ("exp", "gelu") for it in copies)  # expensive
    monkeypatch.setattr(numpy_backend, "rematerialize", lambda program, items, batch: (program, items, []))
    assert executor.memory.nbytes < executor_of_gpt().memory.nbytes


@needs_llvm
def test_gradients_of_gains_are_summed_in_the_kernel_of_their_factors() -> None:
    executor = executor_of_gpt()
    totals = [m for item in executor.schedule if isinstance(item, fusion.Group) for m in item.members if m.total]
    assert {executor.program.instructions[m.number].out.array for m in totals} == {executor.program.gradient}
    paths = {executor.program.instructions[m.number].path for m in totals}
    assert {path.split(".")[-1] for path in paths} == {"ln_1", "ln_2", "ln_f"}


@needs_llvm
def test_an_overwritten_number_is_not_read_from_a_register() -> None:
    # y[0] = 2·x[0]; y[i] = x[i] + 1 for all i; z = 3·y[0]: the second overwrites what the first left in a register.
    first = Access(1, (0,), ((),))
    program = Program(
        (Array((4,), "input", lanes=True), Array((4,), lanes=True), Array((), lanes=True)),
        (
            Instruction("mul", (), first, (Access(0, (0,), ((),)), 2.0)),
            Instruction("add", (4,), identity(1, (4,)), (identity(0, (4,)), 1.0)),
            Instruction("mul", (), Access(2, (), ()), (first, 3.0)),
        ),
        ((Access(2, (), ()), ()),),
        3,
    )
    executor = numpy_backend.NumpyExecutor(program, np.zeros(1), None, 4096)
    assert len(executor.schedule) == 1
    x = np.arange(4.0 * 4096).reshape(4096, 4)
    assert np.array_equal(executor.run([x]), 3.0 * (x[:, 0] + 1.0))


@needs_llvm
def test_a_program_that_runs_often_has_kernels_for_single_vectors() -> None:
    gain = [Value(1.0 + 0.1 * n) for n in range(40)]

    def attend(x: Any) -> Any:
        rows = F.layer_norm(x, gain, [Value(0.0)] * 40)
        return [F.softmax(rows[n : n + 20]) for n in (0, 20)]

    compiled = jit(attend, gain)
    x = np.random.default_rng(0).normal(size=(1, 40))
    bound = compiled.bind(x)
    assert bound() == pytest.approx(compiled.flat(x), rel=1e-5)
    groups = [item for item in bound._executor.schedule if isinstance(item, fusion.Group)]
    assert all(group.flat for group in groups)
    assert any(len(group.outer) == 1 for group in groups)  # a softmax for each half, in one kernel
    assert len(bound._executor._calls) == 1  # and one call for all of them


def test_elements_reached_by_several_loops() -> None:
    digits, overlapping = (0, ((0, ((0, 1), (1, 4))),)), (0, ((0, ((0, 1), (1, 1))),))
    assert fusion._distinct(digits, [4, 3])
    assert not fusion._distinct(digits, [5, 3])
    assert not fusion._distinct(overlapping, [4, 3])
    assert fusion._apart(digits, digits, 1, [4, 3])
    assert not fusion._apart(overlapping, overlapping, 1, [4, 3])
    assert fusion._separate((0, ((0, ((0, 1),)),), ((0, 3),)), (0, ((4, ((0, 1),)),), ((4, 7),)))
    assert not fusion._separate((0, ((0, ((0, 1),)),), ((0, 3),)), (0, ((3, ((0, 1),)),), ((3, 6),)))
