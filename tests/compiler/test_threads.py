"""Several threads and processes at once compute the same numbers as one after another."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import Value, jit, no_grad, record_calls
from tinygrad_edu import functional as F
from tinygrad_edu.compiler import NumpyBackend
from tinygrad_edu.engine import is_recording
from tinygrad_edu.nn import Linear


def together(*functions: Callable[[], Any]) -> None:
    """Run each function in its own thread; raise any error of theirs."""
    errors: list[BaseException] = []

    def caught(function: Callable[[], Any]) -> None:
        try:
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=caught, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    if errors:
        raise errors[0]


def test_no_grad_in_two_threads_that_overlap() -> None:
    a_in, b_in, a_out = threading.Event(), threading.Event(), threading.Event()

    def first() -> None:
        with no_grad():
            a_in.set()
            assert b_in.wait(30)
        a_out.set()
        assert is_recording()

    def second() -> None:
        assert a_in.wait(30)
        assert is_recording()
        with no_grad():
            b_in.set()
            assert a_out.wait(30)
            assert not is_recording()

    together(first, second)
    w = Value(3.0)
    (w * w).backward()
    assert w.grad == 6.0


def test_no_grad_is_per_thread() -> None:
    wrong = []
    stop = threading.Event()

    def without() -> None:
        while not stop.is_set():
            with no_grad():
                assert not (Value(1.0) * 2.0).inputs

    def with_gradients() -> None:
        for n in range(3000):
            w = Value(float(n))
            (w * w + w).backward()
            wrong.append(w.grad != 2.0 * n + 1.0)
        stop.set()

    together(without, with_gradients)
    assert sum(wrong) == 0


@pytest.mark.parametrize("threads", [1, 2])
def test_one_compiled_function_called_from_four_threads(threads: int) -> None:
    rng = np.random.default_rng(0)
    weight = [[Value(float(x)) for x in row] for row in rng.normal(size=(6, 6)) * 0.3]
    backend = NumpyBackend(threads)
    loss = jit(lambda x: F.mean([y.tanh() for y in F.linear(x, weight)]), weight, backend=backend, dtype="float64")
    batches = [rng.normal(size=(4 + n % 2, 6)) for n in range(4)]
    losses = [loss.value_and_grad(batch) for batch in batches]
    outputs = [loss(batch) for batch in batches]
    wrong = [0] * 4

    def run(k: int) -> None:
        for _ in range(500):
            wrong[k] += abs(loss.value_and_grad(batches[k]) - losses[k]) > 1e-12
            wrong[k] += not np.allclose(loss(batches[k]), outputs[k], rtol=1e-12, atol=0)

    together(*[lambda k=k: run(k) for k in range(4)])
    assert wrong == [0] * 4


def test_first_calls_from_several_threads() -> None:
    w = {"table": [[Value(1.0), Value(2.0)], [Value(3.0), Value(4.0)]]}
    compiled = jit(lambda x, i: F.dot(w["table"][i], [x, x]), w, dtype="float64")
    results: list[Any] = [None] * 4
    together(*[lambda k=k: results.__setitem__(k, compiled([float(k)], [k % 2]).tolist()) for k in range(4)])
    assert results == [[0.0], [7.0], [6.0], [21.0]]
    assert type(w["table"]) is list


def test_values_made_while_another_thread_compiles_are_parameters() -> None:
    inside, made = threading.Event(), threading.Event()
    w = Value(1.0)
    others: list[Value] = []

    def function(x: Any) -> Any:
        inside.set()
        assert made.wait(30)
        return w * x

    def other() -> None:
        assert inside.wait(30)
        p = Value(2.0)
        assert p.data == 2.0
        p.data = 3.0
        others.append(p)
        with record_calls() as calls:
            Linear(1, 1, rng=1)([p])
        assert len(calls.calls) == 1
        made.set()

    together(lambda: jit(function, [w])([1.0]), other)
    (p,) = others
    assert p.op is None
    p.exp().backward()
    assert p.grad == pytest.approx(np.exp(3.0))


def test_two_functions_compiled_at_the_same_time() -> None:
    first, second = threading.Barrier(2), threading.Barrier(2)
    w = [Value(2.0), Value(3.0)]

    def compile_one(k: int) -> None:
        def function(x: Any) -> Any:
            first.wait(30)
            out = w[k] * x
            second.wait(30)
            return out

        assert jit(function, [w[k]])([10.0]).tolist() == [w[k].data * 10.0]

    together(lambda: compile_one(0), lambda: compile_one(1))
    assert Value(1.0).op is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_keeps_working() -> None:
    w = [Value(0.5)]
    compiled = jit(lambda x: (w[0] * x).tanh(), w, backend=NumpyBackend(2))
    expected = compiled(np.ones(4)).tolist()
    held = threading.Event()
    release = threading.Event()

    def hold() -> None:
        with no_grad(), compiled.parameters.lock, compiled.parameters.trace_lock:
            held.set()
            release.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(30)
    child = os.fork()
    if child == 0:
        import signal

        signal.alarm(20)
        fine = compiled(np.ones(4)).tolist() == expected and is_recording() and Value(1.0).op is None
        os._exit(0 if fine else 1)
    release.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0
