"""What compiling costs as programs grow, and whether the compiled step is worth it: no slower than the scalar engine.

    python benchmarks/compile_time.py                # about a minute
    python benchmarks/compile_time.py --no-native    # as without llvmlite
    python benchmarks/compile_time.py --start        # whole processes, from import to the last step; some minutes

Programs without vectors (a chain, running sums, a sorting network, dynamic programming) are compiled in sizes that
double, and for comparison three programs that the compiler is made for. For every size: the operations on Values of one
call, the seconds to compile it with its gradient, and how long the compiled step (forward and gradient of one example)
takes compared with the scalar engine. Each program ends with the exponent e of a fit, seconds = c · operations^e: 1 is
linear. The steps alternate; all times are processor times. It is checked first that both find the same loss.

``--start`` times whole processes: a thousand steps of a GPT on names, one name per step, written with lists as in a
tutorial, with a program for each length or for names that are filled up to one; and one step of the GPTs of this
project. Each runs with nothing on disk, and with what an earlier process has kept; the least of three counts, of
processor time and of time that elapsed, so Python's own bytecode is on disk, as it is where the package is installed.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import json
import math
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
# Everything is compiled, unless a measurement says otherwise.
os.environ.setdefault("TINYGRAD_EDU_KERNELS", "")
os.environ.setdefault("TINYGRAD_EDU_PROGRAMS", "")

from tinygrad_edu import Value, maximum, minimum, nn
from tinygrad_edu import functional as F
from tinygrad_edu.compiler import Adam, Compiled, NumpyBackend, jit, native

#: A function of one example, its parameters, and the example.
Program = tuple[Callable[[Any], Value], Any, list[float]]


def numbers(n: int, seed: int = 0) -> list[float]:
    rng = random.Random(seed)
    return [rng.uniform(-1.0, 1.0) for _ in range(n)]


def weights(n: int) -> list[Value]:
    return [Value(x) for x in numbers(n, 1)]


# --- the programs ---------------------------------------------------------------------------------------------------


def chain(n: int) -> Program:
    """Apply tanh n times."""
    w = Value(0.5)

    def loss(x: Any) -> Value:
        v = w * x[0]
        for _ in range(n):
            v = (v * 1.01).tanh()
        return v

    return loss, [w], [0.3]


def running_sum(n: int) -> Program:
    """Add the squares of all prefix sums of a list."""
    w = weights(n)

    def loss(x: Any) -> Value:
        total = loss = w[0] * x[0]
        for i in range(1, n):
            total = total + w[i] * x[i]
            loss = loss + total * total
        return loss

    return loss, w, numbers(n)


def sorting_network(n: int) -> Program:
    """Batcher's bitonic network sorts n numbers by comparing pairs; n is a power of two."""
    w = weights(n)

    def loss(x: Any) -> Value:
        v = [w[i] * x[i] for i in range(n)]
        k = 2
        while k <= n:
            j = k // 2
            while j:
                for i in range(n):
                    if i < i ^ j:
                        low, high = minimum(v[i], v[i ^ j]), maximum(v[i], v[i ^ j])
                        v[i], v[i ^ j] = (high, low) if i & k else (low, high)
                j //= 2
            k *= 2
        return F.dot(v, [0.1 * i for i in range(n)])

    return loss, w, numbers(n)


def edit_distance(n: int) -> Program:
    """Find the cheapest way to turn one series of n numbers into another: a table of n × n, each cell from three
    others."""
    w = weights(n)

    def loss(x: Any) -> Value:
        row = [Value(0.5 * j) for j in range(n + 1)]
        for i in range(n):
            new = [row[0] + 0.5]
            for j in range(n):
                change = (w[i] - x[j]) ** 2
                new.append(minimum(row[j] + change, row[j + 1] + 0.5, new[j] + 0.5))
            row = new
        return row[-1]

    return loss, w, numbers(n)


def dense(n: int) -> Program:
    """Two layers of n neurons."""
    mlp = nn.MLP(n, [n, n, 1], "tanh", rng=1)
    return lambda x: mlp(x) ** 2, mlp, numbers(n)


def attention(n: int) -> Program:
    """Each of n positions of width 4 attends to those before it."""
    size = 4
    query, key, value = ([[Value(x) for x in numbers(size, s + r)] for r in range(size)] for s in (10, 20, 30))

    def loss(x: Any) -> Value:
        rows = [x[size * i : size * i + size] for i in range(n)]
        q, k, v = ([F.linear(row, w) for row in rows] for w in (query, key, value))
        total = Value(0.0)
        for i in range(n):
            share = F.softmax([F.dot(q[i], k[j]) for j in range(i + 1)])
            total = total + sum(F.dot(share, [v[j][d] for j in range(i + 1)]) ** 2 for d in range(size))
        return total

    return loss, [query, key, value], numbers(n * size)


def recurrent(n: int) -> Program:
    """A recurrent layer of 8 units reads n numbers."""
    size = 8
    inner = [[Value(0.5 * x) for x in numbers(size, r)] for r in range(size)]
    outer = weights(size)

    def loss(x: Any) -> Value:
        h: list[Value] = [Value(0.0)] * size
        for i in range(n):
            h = [(F.dot(row, h) + w * x[i]).tanh() for row, w in zip(inner, outer, strict=True)]
        return F.dot(h, h)

    return loss, [inner, outer], numbers(n)


PROGRAMS: dict[str, tuple[Callable[[int], Program], tuple[int, ...]]] = {
    "chain": (chain, (125, 250, 500, 1000, 2000)),
    "running sum": (running_sum, (125, 250, 500, 1000, 2000)),
    "sorting network": (sorting_network, (8, 16, 32, 64)),
    "edit distance": (edit_distance, (6, 12, 24, 48)),
    "dense": (dense, (16, 32, 64, 128)),
    "attention": (attention, (8, 16, 32, 64)),
    "recurrent": (recurrent, (25, 50, 100, 200)),
}


# --- measuring ------------------------------------------------------------------------------------------------------


def compiled(program: Program, native: bool) -> tuple[Compiled, float]:
    """Return the program after its first step, and the seconds that this took."""
    function, parameters, example = program
    gc.collect()
    start = time.process_time()
    result = jit(function, parameters, backend=NumpyBackend(native=native))
    result.value_and_grad([example])
    return result, time.process_time() - start


def seconds(step: Callable[[], Any], at_least: float) -> float:
    """Return the processor seconds of one step."""
    steps, start = 0, time.process_time()
    while (spent := time.process_time() - start) < at_least or not steps:
        step()
        steps += 1
    return spent / steps


def measure(program: Program, native: bool, turns: int) -> tuple[int, float, float, float]:
    """Return the operations, the seconds to compile, and the seconds of a step of the scalar engine and of the compiled
    program."""
    function, _, example = program
    result, to_compile = compiled(program, native)

    def eager() -> float:
        loss = function(example)
        loss.backward()
        return loss.data

    expected, found = eager(), result.value_and_grad([example])
    if not math.isclose(found, expected, rel_tol=1e-3, abs_tol=1e-4):
        raise SystemExit(f"the losses differ: {found} compiled, {expected} by the scalar engine")
    times = [(seconds(eager, 0.05), seconds(lambda: result.value_and_grad([example]), 0.05)) for _ in range(turns)]
    of_eager, of_compiled = (statistics.median(column) for column in zip(*times, strict=True))
    return result.stats().scalar_operations, to_compile, of_eager, of_compiled


def exponent(sizes: Sequence[float], times: Sequence[float]) -> float:
    """Return the slope of a straight line through the logarithms."""
    x, y = [math.log(s) for s in sizes], [math.log(t) for t in times]
    return statistics.linear_regression(x, y).slope


# --- whole processes --------------------------------------------------------------------------------------------------


def names(width: int, padded: bool) -> Compiled:
    """Train a GPT of one layer with four heads for 1,000 steps, on one name of 1 to 15 letters each."""
    rng, end, positions, heads = random.Random(0), 26, 16, 4
    size = width // heads

    def matrix(rows: int, columns: int) -> list[list[Value]]:
        return [[Value(rng.gauss(0.0, 0.08)) for _ in range(columns)] for _ in range(rows)]

    token, place, head = matrix(27, width), matrix(positions, width), matrix(27, width)
    query, key, value, out = (matrix(width, width) for _ in range(4))
    wide, narrow = matrix(4 * width, width), matrix(width, 4 * width)

    def linear(x: Any, w: Any) -> Any:
        return [sum(a * b for a, b in zip(row, x, strict=True)) for row in w]

    def softmax(xs: Any) -> Any:
        largest = max(x.data for x in xs)
        exps = [(x - largest).exp() for x in xs]
        total = sum(exps)
        return [e / total for e in exps]

    def norm(x: Any) -> Any:
        scale = (sum(a * a for a in x) / len(x) + 1e-5) ** -0.5
        return [a * scale for a in x]

    def losses(tokens: Any, count: int) -> Any:
        keys: list[Any] = []
        values: list[Any] = []
        for t in range(count):
            x = norm([a + b for a, b in zip(token[tokens[t]], place[t], strict=True)])
            q, mixed = linear(norm(x), query), []
            keys.append(linear(norm(x), key))
            values.append(linear(norm(x), value))
            for h in range(0, width, size):
                scores = [sum(q[h + j] * k[h + j] for j in range(size)) / size**0.5 for k in keys]
                share = softmax(scores)
                mixed += [sum(share[i] * values[i][h + j] for i in range(t + 1)) for j in range(size)]
            x = [a + b for a, b in zip(x, linear(mixed, out), strict=True)]
            x = [a + b for a, b in zip(x, linear([a.relu() for a in linear(norm(x), wide)], narrow), strict=True)]
            yield -softmax(linear(x, head))[tokens[t + 1]].log()

    def loss(tokens: list[int]) -> Any:
        return sum(losses(tokens, len(tokens) - 1)) / (len(tokens) - 1)

    def padded_loss(tokens: list[int], weights: list[float]) -> Any:
        return sum(a * w for a, w in zip(losses(tokens, positions), weights, strict=True))

    model = [token, place, head, query, key, value, out, wide, narrow]
    step = jit(padded_loss if padded else loss, model)
    optimizer = Adam(step.parameters, lr=0.01)
    for _ in range(1_000):
        word = [end, *(rng.randrange(26) for _ in range(min(max(round(rng.gauss(6, 2)), 1), 15))), end]
        rest = positions + 1 - len(word)
        weights = [1 / (len(word) - 1)] * (len(word) - 1) + [0.0] * rest
        step.value_and_grad(*([word + [0] * rest], [weights]) if padded else ([word],))
        optimizer.step()
    return step


def model(setting: str) -> Compiled:
    """Make a model of ``compiled.py`` and one step."""
    import compiled as settings  # next to this file

    made, columns = settings.make(setting)
    step = jit(made.loss, made, watch=False)
    step.value_and_grad(*columns)
    return step


STARTS: dict[str, Callable[[], Compiled]] = {
    "names, width 16, a program per length": lambda: names(16, False),
    "names, width 16, filled up": lambda: names(16, True),
    "names, width 64, filled up": lambda: names(64, True),
    "nano, batch 12": lambda: model("nano"),
    "base, context 128": lambda: model("base"),
}


def starts() -> None:
    """Print the seconds of whole processes, and how many of them the next run needs to trace and compile."""
    print(f"{'':38}{'first run':>12}{'elapsed':>10}{'next run':>12}{'elapsed':>10}{'of that trace+compile':>24}")
    for name in STARTS:
        fastest = []
        with tempfile.TemporaryDirectory() as folder:
            for kept in ("", folder):
                environment = {**os.environ, "TINYGRAD_EDU_KERNELS": kept, "TINYGRAD_EDU_PROGRAMS": kept}
                environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode
                command = [sys.executable, __file__, "--only", name]
                runs = []
                for _ in range(4 if kept else 3):
                    start = time.perf_counter()
                    run = subprocess.run(command, env=environment, capture_output=True, check=True)
                    runs.append((*json.loads(run.stdout), time.perf_counter() - start))
                fastest += [min(column) for column in zip(*runs[bool(kept) :], strict=True)]
        first, _, elapsed, following, compiling, later = fastest
        print(
            f"{name:38}{first:10.2f} s{elapsed:8.2f} s{following:10.2f} s{later:8.2f} s{compiling:22.2f} s", flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", nargs="+", default=list(PROGRAMS), choices=list(PROGRAMS), help="which (all)")
    parser.add_argument("--turns", type=int, default=5, help="how often each step is timed (5)")
    parser.add_argument("--no-native", action="store_true", help="numpy only, as without llvmlite")
    parser.add_argument("--start", action="store_true", help="time whole processes instead")
    parser.add_argument("--only", choices=list(STARTS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        stats = STARTS[arguments.only]().stats()
        print(json.dumps([time.process_time(), stats.trace_seconds + stats.compile_seconds]))
        return
    machine = native.available() and not arguments.no_native
    print(
        f"{datetime.date.today()}  {platform.python_implementation()} {platform.python_version()}, "
        f"{'with' if machine else 'without'} llvmlite; processor time"
    )
    if arguments.start:
        starts()
        return
    print(f"{'':16}{'size':>6}{'operations':>12}{'compile':>10}{'eager':>12}{'compiled':>12}{'ratio':>8}")
    compiled(chain(10), machine)  # exclude what is made once per process
    for name in arguments.programs:
        make, sizes = PROGRAMS[name]
        rows = []
        for n in sizes:
            operations, to_compile, eager, step = measure(make(n), machine, arguments.turns)
            rows.append((operations, to_compile))
            print(
                f"{name:16}{n:6}{operations:12,}{to_compile:8.2f} s{1000 * eager:9.2f} ms{1000 * step:9.3f} ms"
                f"{step / eager:8.2f}"
            )
        print(f"{'':16}seconds to compile grow as operations^{exponent(*zip(*rows, strict=True)):.2f}")


if __name__ == "__main__":
    main()
