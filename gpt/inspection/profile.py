"""Profile the time and memory of a training step per module, in a few steps that change nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from threadpoolctl import threadpool_limits

from tinygrad_edu import compiler
from tinygrad_edu.compiler.compiled import is_matrix_product
from tinygrad_edu.errors import brief

from ..data.corpus import Corpus
from ..engines.base import adamw_settings, transposed
from ..model import GPT
from ..runs.checkpoint import RunConfig

__all__ = ["LOSS", "Profile", "Share", "profile"]

_DEEPEST = 4  # transformer.h.0.attn: its inside counts there
LOSS = "the loss itself"


@brief
@dataclass
class Share:
    """The cost of one module in a step.

    Attributes:
        module: its path; :data:`LOSS` for everything outside modules.
        forward, backward: seconds.
        instructions: the instructions of both.
        memory: the bytes of the arrays that it computes, as if each had its own memory.
    """

    module: str
    forward: float = 0.0
    backward: float = 0.0
    instructions: int = 0
    memory: int = 0

    @property
    def seconds(self) -> float:
        """Of both."""
        return self.forward + self.backward


@brief
@dataclass(frozen=True)
class Profile:
    """A training step of the compiled engine, taken apart.

    Attributes:
        shares: the cost of each module of the program, in the order in which they first run.
        parts: the seconds of the parts of a step: batch, program, clip, AdamW.
        products: the share of the program's time spent in matrix products.
        compile_seconds: the time before the first step.
        memory: the bytes of the block that holds all arrays of the program.
        steps: the number of timed steps. Each time is the shortest of them, since other programs only add time.
    """

    shares: list[Share]
    parts: dict[str, float]
    products: float
    compile_seconds: float
    memory: int
    steps: int


def profile(model: GPT, config: RunConfig, corpus: Corpus, steps: int) -> Profile:
    """Make some training steps on a copy of the parameters, and time each instruction."""
    threadpool_limits(limits=1, user_api="blas")
    parameters = compiler.Parameters(model, backend=compiler.NumpyBackend(config.train.threads))  # as in CompiledEngine
    loss = compiler.jit(model.loss, parameters)
    optimizer = compiler.AdamW(parameters, **adamw_settings(model, config.train))
    times: dict[str, list[float]] = {"the batch": [], "gradient clipping": [], "AdamW": []}
    per_instruction: list[list[float]] = []
    memory = 0
    began = time.perf_counter()
    for step in range(-1, steps):
        clock = [time.perf_counter()]
        batch = corpus.batch(config.model.block_size, config.train.batch_size, config.train.seed, max(step, 0))
        clock.append(time.perf_counter())
        if step < 0:
            loss.value_and_grad(*transposed(batch))  # compiles
            compile_seconds = time.perf_counter() - began
            continue
        seconds, memory = loss.timed(*transposed(batch))
        per_instruction.append(seconds)
        clock.append(time.perf_counter())
        compiler.clip_grad_norm(parameters, config.train.grad_clip or float("inf"))
        clock.append(time.perf_counter())
        optimizer.step()
        clock.append(time.perf_counter())
        for name, number in (("the batch", 0), ("gradient clipping", 2), ("AdamW", 3)):
            times[name].append(clock[number + 1] - clock[number])
    program = loss.program
    shortest = [min(x) for x in zip(*per_instruction, strict=True)]
    total = sum(shortest)
    products = sum(s for s, it in zip(shortest, program.instructions, strict=True) if is_matrix_product(program, it))
    return Profile(
        list(_shares(program, shortest, config.train.batch_size, parameters.array.itemsize).values()),
        {"the program": total, **{name: min(x) for name, x in times.items()}},
        products / total,
        compile_seconds,
        memory,
        steps,
    )


def _shares(program: Any, seconds: list[float], batch: int, itemsize: int) -> dict[str, Share]:
    shares: dict[str, Share] = {}
    counted = set()
    for number, (it, time_) in enumerate(zip(program.instructions, seconds, strict=True)):
        path = ".".join(it.path.split(".")[:_DEEPEST]) or LOSS
        share = shares.setdefault(path, Share(path))
        share.instructions += 1
        if number < program.forward:
            share.forward += time_
        else:
            share.backward += time_
        array = program.arrays[it.out.array]
        if it.out.array not in counted and it.out.array != program.gradient:
            counted.add(it.out.array)
            share.memory += array.size * (batch if array.lanes else 1) * itemsize
    return shares
