"""Time one node: forward and backward of the same program on different kinds of scalar.

    python benchmarks/eager.py            # about a minute
    pip install micrograd torch           # for the rows that compare with them; optional

1. An MLP 3-16-16-1 with ReLU and squared error. One function, written with operators, runs on this library's Value, on
   micrograd's Value and on PyTorch scalars (each a tensor without dimensions); a further row is this library's nn.MLP.
   All start from the same weights and must find the same loss.
2. A GPT of the preset "micro" (1 layer, width 16, 4 heads, context 16, vocabulary 65) on one sequence.
3. micrograd's demo: an MLP 2-16-16-1 on 100 points, margin loss and regularization; 40 steps of gradient descent, each
   row in separate processes, in CPU time: the cost of the collector for a program that does not configure it.

Figures cover a step's forward, backward and freeing of the graph, in microseconds per operation of the program; the
divisor is the same for every row of a table. The rows take turns, so that a busy moment of the machine affects
all of them; a turn is several steps in a row, so that each pays for its own garbage, and starts from a clean heap.
Shown are the median and the fastest turn, with Python's cyclic garbage collector on and paused. The library changes how
often it scans old objects (tinygrad_edu/collector.py); other rows use Python's schedule.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import importlib
import math
import platform
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tinygrad_edu import Value, collector_paused, nn, topological_order

PYTHONS_SCHEDULE = (700 if sys.version_info < (3, 13) else 2000, 10, 10)  # the thresholds that the import changes

Step = Callable[[], float]  # one forward and backward; returns the loss, frees the graph


def operations(root: Value) -> int:
    return sum(bool(value.inputs) for value in topological_order(root))


# --- the programs ---------------------------------------------------------------------------------------------------

SIZES = (3, 16, 16, 1)


def examples(n: int) -> list[tuple[list[float], float]]:
    rng = random.Random(0)
    return [([rng.uniform(-1.0, 1.0) for _ in range(SIZES[0])], rng.choice((-1.0, 1.0))) for _ in range(n)]


def model(reference: nn.MLP, scalar: Callable[[float], Any]) -> list[list[tuple[list[Any], Any]]]:
    """Return the numbers of an nn.MLP as layers of (weights, bias) of another kind of scalar."""
    return [
        [([scalar(w.data) for w in neuron.w], scalar(neuron.b.data)) for neuron in layer.neurons]
        for layer in reference.layers
    ]


def squared_error(layers: list[list[tuple[list[Any], Any]]], n: int) -> Any:
    """Run the program for one kind of scalar."""
    losses = []
    for x, target in examples(n):
        activations: list[Any] = x
        for layer in layers[:-1]:
            activations = [sum((w * a for w, a in zip(ws, activations, strict=True)), b).relu() for ws, b in layer]
        ((ws, b),) = layers[-1]
        out = sum((w * a for w, a in zip(ws, activations, strict=True)), b)
        losses.append((out - target) ** 2)
    return sum(losses[1:], losses[0]) * (1.0 / n)


def run_program(layers: list[list[tuple[list[Any], Any]]], n: int) -> Step:
    def step() -> float:
        loss = squared_error(layers, n)
        loss.backward()
        return float(getattr(loss, "data", loss))

    return step


def run_nn(mlp: nn.MLP, n: int) -> Step:
    def step() -> float:
        errors = [(mlp(x) - target) ** 2 for x, target in examples(n)]
        loss = sum(errors[1:], errors[0]) * (1.0 / n)
        loss.backward()
        return loss.data

    return step


# --- measuring ------------------------------------------------------------------------------------------------------


def turn(step: Step, steps: int) -> float:
    """Return the seconds per step, from a clean heap."""
    gc.collect()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    return (time.perf_counter() - start) / steps


def race(contestants: dict[str, Step], turns: int, steps: int, paused: bool) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(turns):
        for name, step in contestants.items():
            if paused:
                with collector_paused():
                    times[name].append(turn(step, steps))
            elif name.startswith("Value"):
                times[name].append(turn(step, steps))
            else:
                ours = gc.get_threshold()
                gc.set_threshold(*PYTHONS_SCHEDULE)
                times[name].append(turn(step, steps))
                gc.collect()
                gc.set_threshold(*ours)
    return times


def report(title: str, contestants: dict[str, Step], divisor: int, turns: int, steps: int, baseline: str) -> None:
    for step in contestants.values():
        step()  # warm up
    print(f"\n{title}: {divisor:,} operations; µs per operation, forward + backward")
    print(f"{'':32}{'collector on':>24}{'collector paused':>24}")
    print(f"{'':32}{'median':>12}{'fastest':>12}{'median':>12}{'fastest':>12}")
    on, paused = (race(contestants, turns, steps, paused) for paused in (False, True))
    summary = {
        name: [pick(times[name]) * 1e6 / divisor for times in (on, paused) for pick in (statistics.median, min)]
        for name in contestants
    }
    for name, figures in summary.items():
        print(f"{name:32}" + "".join(f"{figure:12.3f}" for figure in figures))
    if baseline in summary:
        for name, figures in summary.items():
            if name != baseline:
                ratios = [a / b for a, b in zip(figures, summary[baseline], strict=True)]
                print(f"{name + ' / ' + baseline:32}" + "".join(f"{ratio:12.2f}" for ratio in ratios))


def optional(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        print(f"{name.split('.')[0]} is not installed: its row is left out (pip install {name.split('.')[0]})")
        return None


def cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def same_loss(steps: dict[str, Step]) -> None:
    losses = {name: step() for name, step in steps.items()}
    if not all(math.isclose(loss, next(iter(losses.values())), rel_tol=1e-12) for loss in losses.values()):
        sys.exit(f"the losses differ: {losses}")


def race_mlp(n: int, turns: int) -> None:
    mlp = nn.MLP(SIZES[0], SIZES[1:], "relu", rng=1)
    steps = {"Value": run_program(model(mlp, Value), n), "Value, nn.MLP": run_nn(mlp, n)}
    micrograd = optional("micrograd.engine")
    if micrograd:
        steps["micrograd"] = run_program(model(mlp, micrograd.Value), n)
    same_loss(steps)
    divisor = operations(squared_error(model(mlp, Value), n))
    report(f"MLP 3-16-16-1, {n} examples", steps, divisor, turns, 5, "micrograd")


def race_gpt(turns: int) -> None:
    from gpt.config import GPTConfig, preset
    from gpt.model import GPT

    gpt = GPT(GPTConfig(vocab_size=65, **preset("micro").model))
    rng = random.Random(0)
    text = [rng.randrange(65) for _ in range(gpt.config.block_size + 1)]

    def step() -> float:
        loss = gpt.loss(text[:-1], text[1:])
        loss.backward()
        return loss.data

    divisor = operations(gpt.loss(text[:-1], text[1:]))
    report("GPT, preset micro, 1 sequence", {"Value": step}, divisor, turns, 2, "")


#: Rows of the demo: the library of the Value, and the setting of the collector.
DEMO = {
    "Value": ("Value", "as it is"),
    "Value, collector paused": ("Value", "paused"),
    "Value, Python's schedule": ("Value", "Python's"),
    "micrograd, collector off": ("micrograd", "paused"),
}


def demo(scalar_name: str, collector: str, steps: int = 40) -> float:
    """Run micrograd's demo; return the CPU seconds per step."""
    scalar: Any = Value if scalar_name == "Value" else importlib.import_module("micrograd.engine").Value
    angles = [math.pi * i / 49 for i in range(50)]
    points = [(math.cos(t), math.sin(t), -1) for t in angles]
    points += [(1 - math.cos(t), 0.5 - math.sin(t), 1) for t in angles]
    layers = model(nn.MLP(2, [16, 16, 1], "relu", rng=1), scalar)
    parameters = [p for layer in layers for ws, b in layer for p in [*ws, b]]
    if collector == "paused":
        gc.disable()
    elif collector == "Python's":
        gc.set_threshold(*PYTHONS_SCHEDULE)
    if scalar_name != "Value":
        steps = 4  # nothing frees its graphs while the collector is off
    start = time.process_time()
    for step in range(steps):
        losses = []
        for *x, target in points:
            out: Any = [scalar(number) for number in x]
            for layer in layers:
                out = [sum((w * a for w, a in zip(ws, out, strict=True)), b) for ws, b in layer]
                out = [number.relu() for number in out] if layer is not layers[-1] else out
            losses.append((1 + -target * out[0]).relu())
        loss = sum(losses) * (1.0 / len(losses)) + 1e-4 * sum(p * p for p in parameters)
        for p in parameters:
            p.grad = 0.0
        loss.backward()
        for p in parameters:
            p.data -= (1.0 - 0.009 * step) * p.grad
    return (time.process_time() - start) / steps


def race_demo(turns: int) -> None:
    rows = {name: row for name, row in DEMO.items() if row[0] == "Value" or optional("micrograd.engine")}
    times: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(turns):
        for name, row in rows.items():
            command = [sys.executable, __file__, "--demo", *row]
            times[name].append(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    print("\nmicrograd's demo, 100 points: ms of processor time per step")
    print(f"{'':32}{'median':>12}{'fastest':>12}{'/ paused':>12}{'/ paused':>12}")
    figures = {name: (statistics.median(row), min(row)) for name, row in times.items()}
    for name, row in figures.items():
        ratios = [a / b for a, b in zip(row, figures["Value, collector paused"], strict=True)]
        print(f"{name:32}" + "".join(f"{t * 1e3:12.1f}" for t in row) + "".join(f"{ratio:12.2f}" for ratio in ratios))


def race_torch(n: int, turns: int) -> None:
    torch = optional("torch")  # imported last: what it loads would slow down the garbage collector for all
    if not torch:
        return
    torch.set_num_threads(1)
    mlp = nn.MLP(SIZES[0], SIZES[1:], "relu", rng=1)

    def tensor(x: float) -> Any:
        return torch.tensor(x, dtype=torch.float64, requires_grad=True)

    steps = {"Value": run_program(model(mlp, Value), n), "PyTorch": run_program(model(mlp, tensor), n)}
    same_loss(steps)
    divisor = operations(squared_error(model(mlp, Value), n))
    report(f"MLP 3-16-16-1, {n} examples", steps, divisor, turns, 5, "PyTorch")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=15, help="turns per contestant (default: 15)")
    parser.add_argument("--batch", type=int, default=16, help="examples per step of the MLP (default: 16)")
    parser.add_argument("--demo", nargs=2, help=argparse.SUPPRESS)  # one row, in this process
    arguments = parser.parse_args()

    if arguments.demo:
        print(demo(*arguments.demo))
        return
    print(f"{datetime.date.today()}  {platform.python_implementation()} {platform.python_version()}  {cpu()}")
    race_mlp(arguments.batch, arguments.turns)
    race_gpt(arguments.turns)
    race_demo(min(5, arguments.turns))
    race_torch(2, arguments.turns)


if __name__ == "__main__":
    main()
