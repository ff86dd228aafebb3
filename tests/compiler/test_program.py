"""The compiled program itself: its text, checker, statistics and memory."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gpt.config import GPTConfig
from gpt.model import GPT
from tinygrad_edu import Value, collector_paused, jit, nn
from tinygrad_edu import functional as F
from tinygrad_edu.compiler.program.ir import Access, check, identity
from tinygrad_edu.errors import CompileError


def compiled_mlp() -> Any:
    mlp = nn.MLP(3, [4, 1])
    compiled = jit(lambda x, y: (mlp(x) - y) ** 2, mlp)
    compiled.value_and_grad(np.ones((200, 3)), np.ones(200))
    return compiled


def test_the_text_of_a_program() -> None:
    text = str(compiled_mlp())
    assert [line.split("  ")[0] for line in text.splitlines()[:7]] == [
        "%3[i] = Σj %0[j] * params[4·i+j]",
        "%3[i] += params[4·i+3]",
        "%4[i] = tanh(%3[i])",
        "%5 = Σi %4[i] * params[i+16]",
        "%5 += params[20]",
        "%6 = %5 - %1",
        "%7 = %6 ** 2",
    ]
    first = text.splitlines()[0]
    assert "24 nodes" in first
    assert "functional.py:" in first
    assert "# gradients" in text
    assert "dparams[4·i+j] = ΣB d%3[i] * %0[j]" in text


def test_the_summary_counts_what_was_traced() -> None:
    stats = compiled_mlp().stats()
    # 4 neurons of 3 products, 2 sums and a bias, then tanh; one neuron of 4 products; the square of a difference.
    assert stats.scalar_operations == 4 * (3 + 2 + 1 + 1) + (4 + 3 + 1) + 2
    assert stats.multiplications == 16
    assert stats.matrix_share == 1.0
    assert compiled_mlp().summary() == (
        "38 scalar operations became 7 array instructions (and 8 for the gradient); "
        "100% of the multiplications run in 2 matrix products"
    )


def test_every_scalar_operation_is_in_some_instruction() -> None:
    model = GPT(GPTConfig(vocab_size=7, block_size=4, n_layer=2, n_head=2, n_embd=8))
    compiled = jit(model.loss)
    compiled(np.zeros((1, 4), int), np.zeros((1, 4), int))
    program = compiled.program
    assert sum(it.nodes for it in program.instructions) == compiled.stats().scalar_operations
    paths = {it.path for it in program.instructions}
    assert {"transformer.h.1.attn.c_attn", "transformer.h.0.mlp.act", "lm_head", "transformer.wte"} <= paths


def test_module_templates_are_traced_once() -> None:
    calls: list[int] = []

    class Square(nn.Module):
        def __init__(self) -> None:
            self.w = Value(0.5)

        def forward(self, x: Any) -> Any:
            calls.append(1)
            return self.w * x * x

    squares = [Square() for _ in range(10)]
    compiled = jit(lambda x: sum(s(x) for s in squares), [s.w for s in squares])
    assert compiled([2.0]).tolist() == [20.0]
    assert len(calls) == 2  # once in each of the two runs that are compared


TEXT = """
from gpt.config import GPTConfig
from gpt.model import GPT
from tinygrad_edu import jit
import numpy as np
model = GPT(GPTConfig(vocab_size=7, block_size=4, n_layer=2, n_head=2, n_embd=8))
compiled = jit(model.loss)
compiled.value_and_grad(np.zeros((2, 4), int), np.ones((2, 4), int))
print(compiled.program, compiled.parameters.gradient.tobytes().hex())
"""


def test_the_same_program_in_every_process() -> None:
    def run(seed: str) -> str:
        env = {"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(p for p in sys.path if p)}
        return subprocess.run([sys.executable, "-c", TEXT], env=env, capture_output=True, text=True, check=True).stdout

    first = run("0")
    assert "# gradients" in first
    assert first == run("12345")


def test_importing_the_library_loads_no_numpy() -> None:
    code = (
        "import sys, tinygrad_edu; assert 'numpy' not in sys.modules; tinygrad_edu.jit; assert 'numpy' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_dropped_program_holds_no_memory() -> None:
    model = nn.MLP(2, [3, 1])
    compiled = jit(lambda x: model(x) ** 2, model)
    compiled.value_and_grad(np.ones((2, 2)))
    executors = [weakref.ref(executor) for executor, _ in compiled._versions[-1].executors.values()]
    gone = [weakref.ref(compiled), weakref.ref(compiled.program), weakref.ref(compiled.parameters), *executors]
    del compiled
    gc.collect()
    assert [ref() for ref in gone] == [None] * len(gone)


def test_tracing_leaves_no_tracers_behind() -> None:
    from tinygrad_edu.compiler.frontend.tracers import Tracer

    gc.collect()
    before = sum(type(x) is Tracer for x in gc.get_objects())
    compiled = compiled_mlp()
    gc.collect()
    assert sum(type(x) is Tracer for x in gc.get_objects()) == before
    del compiled


def test_memory_of_a_compilation_is_freed_without_the_collector() -> None:
    from tinygrad_edu.compiler.frontend.simplify import Node
    from tinygrad_edu.compiler.frontend.tracers import Body

    def alive() -> int:
        return sum(type(x) in (Body, Node) for x in gc.get_objects())

    gc.collect()
    before = alive()
    with collector_paused():
        compiled_mlp()
        assert alive() == before


# --- the checker ----------------------------------------------------------------------------------------------------


def broken(change: Any) -> str:
    program = compiled_mlp().program
    with pytest.raises(CompileError) as caught:
        check(change(program), "a test")
    return str(caught.value)


def with_first(program: Any, **changes: Any) -> Any:
    return replace(program, instructions=(replace(program.instructions[0], **changes), *program.instructions[1:]))


def test_the_checker_finds_an_access_outside_its_array() -> None:
    def change(program: Any) -> Any:
        it = program.instructions[0]
        far = replace(it.inputs[1], offset=(1000,))
        return with_first(program, inputs=(it.inputs[0], far))

    message = broken(change)
    assert "after 'a test'" in message
    assert "index out of bounds on axis 0 of" in message
    assert "please report" in message
    assert "%3[i] = Σj" in message


def test_the_checker_finds_a_read_before_the_write() -> None:
    assert "before it is written" in broken(
        lambda p: replace(p, instructions=p.instructions[2:], forward=p.forward - 2)
    )


def test_the_checker_finds_an_unknown_operation() -> None:
    assert "unknown operation" in broken(lambda p: with_first(p, op="conjure"))
    assert "unknown way to combine" in broken(lambda p: with_first(p, reduce="xor"))


def test_the_checker_finds_a_write_to_an_input() -> None:
    def change(program: Any) -> Any:
        parameters = next(n for n, a in enumerate(program.arrays) if a.kind == "parameter")
        return with_first(program, out=Access(parameters, (0,), ((1, 0),)))

    assert "given from outside" in broken(change)


def test_the_checker_finds_a_wrong_number_of_axes() -> None:
    assert "wrong number" in broken(lambda p: with_first(p, out=identity(p.instructions[0].out.array, (4, 3))))


def test_stats_before_compiling() -> None:
    compiled = jit(lambda x: x * 2)
    with pytest.raises(CompileError, match="is not compiled yet: call it"):
        compiled.stats()


def test_gradients_are_those_of_the_mean_of_a_batch() -> None:
    w = Value(3.0)
    compiled = jit(lambda x: w * x, [w], dtype="float64")
    assert compiled.value_and_grad([1.0, 2.0, 6.0]) == pytest.approx(9.0)
    assert compiled.parameters.gradient.tolist() == pytest.approx([3.0])
    compiled.parameters.write_gradients()
    assert w.grad == pytest.approx(3.0)


def test_values_and_the_array_hold_the_same_numbers() -> None:
    w = [Value(1.0), Value(2.0)]
    compiled = jit(lambda x: F.dot(w, [x, x]), w, dtype="float64")
    assert compiled([1.0]).tolist() == [3.0]
    compiled.parameters.array += 1.0
    assert compiled([1.0]).tolist() == [5.0]
    assert [v.data for v in w] == [2.0, 3.0]
    w[0].data = 10.0
    assert compiled([1.0]).tolist() == [13.0]
    kept = compiled.parameters.array
    assert w[1].data == 3.0
    kept[1] = 7.0  # this cannot be noticed
    compiled.parameters.write_back()
    assert w[1].data == 7.0
    kept[1] = 8.0
    compiled.parameters.refresh()
    assert kept.tolist() == [10.0, 7.0]
