"""Time the compiled program against PyTorch, torch.compile, JAX and scalars: same model, weights and batch.

    python benchmarks/compiled.py                      # all settings, one and two threads
    python benchmarks/compiled.py --settings nano --threads 2 --peers torch jax

Each measurement is a separate process with as many cores as threads, and the processes take turns, ``--rounds``
times; the fastest step of each counts, because other programs on the machine only ever add time. A step is the mean
loss of a batch and its gradient with respect to every parameter; before times are compared, losses and gradients are.
PyTorch runs the model as usually written with tensors and fused attention: in eager mode, and
compiled by ``torch.compile``; JAX runs the same model compiled by ``jax.jit``. Without a peer, its column is missing.
The ratio is to the fastest peer. Memory is the peak of our own process. Scalars are timed once, for one example, and
multiplied by the batch.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SETTINGS: dict[str, tuple[str, dict[str, Any], int]] = {
    # name in the table, model, batch
    "micro-1": ("micro, batch 1", {"preset": "micro"}, 1),
    "micro-32": ("micro, batch 32", {"preset": "micro"}, 32),
    "width-32": ("width 32, context 32, batch 32", {"n_layer": 1, "n_embd": 32, "n_head": 4, "block_size": 32}, 32),
    "nano": ("nano, batch 12", {"preset": "nano"}, 12),
    "base": (
        "base, context 128, batch 16, no dropout",
        {"preset": "base", "block_size": 128, "dropout": 0.0},
        16,
    ),
}
PEERS = {"torch": "torch", "torch.compile": "torch", "jax": "jax"}  # the package that each needs


@dataclass(frozen=True)
class Model:
    """What is timed: a model in three languages.

    Attributes:
        script: the file that makes it, which runs again for each measurement.
        about: the head of the help.
        settings: by name, its name in the table first.
        make: makes our model of a setting, and the columns of a batch, the arguments of its compiled loss.
        torch: makes PyTorch's module with a ``loss``, of our model.
        jax: makes the loss of the parameters by name and of the columns, of our model.
    """

    script: str
    about: str | None
    settings: dict[str, Any]
    make: Callable[[str], tuple[Any, list[Any]]]
    torch: Callable[[Any], Any]
    jax: Callable[[Any], Callable[..., Any]]


def make(setting: str) -> tuple[Any, list[Any]]:
    """Make the GPT and a batch of random tokens and targets."""
    import numpy as np

    from gpt.config import GPTConfig, preset
    from gpt.model import GPT

    _, shape, batch = SETTINGS[setting]
    fields = dict(shape)
    if "preset" in shape:
        fields = {**preset(fields.pop("preset")).model, **fields}
    model = GPT(GPTConfig(**fields), seed=1)
    stir(model)
    draw = np.random.default_rng(3)
    config = model.config
    tokens = draw.integers(0, config.vocab_size, (batch, config.block_size))
    targets = draw.integers(0, config.vocab_size, (batch, config.block_size))
    return model, [tokens, targets]


def stir(model: Any) -> None:
    """Make parameters larger than at the start of a training, so that the gradients are not noise."""
    rng = random.Random(2)
    for p in model.parameters():
        p.data += rng.gauss(0.0, 0.05)


#: A step that returns the loss, and a function that returns the gradient by name, and what to print about it.
Made = tuple[Callable[[], float], Callable[[], dict[str, Any]], dict[str, Any]]


def program(of: Model, setting: str, threads: int) -> Made:
    """Make our step."""
    import numpy as np
    import threadpoolctl

    from tinygrad_edu import collector_paused, jit
    from tinygrad_edu.compiler import NumpyBackend

    threadpoolctl.threadpool_limits(1, user_api="blas")  # for numpy; batches are split across threads, as in training
    model, columns = of.make(setting)
    compiled = jit(model.loss, model, backend=NumpyBackend(threads), watch=False)  # as in training
    start = time.perf_counter()
    compiled.value_and_grad(*columns)
    first = time.perf_counter() - start
    stats = compiled.stats()
    eager = None
    if stats.scalar_operations < 200_000:
        with collector_paused():
            start = time.perf_counter()
            model.loss(*(column[0].tolist() for column in columns)).backward()
            eager = (time.perf_counter() - start) * len(columns[0])
    blas = [p for p in threadpoolctl.threadpool_info() if p["user_api"] == "blas"]
    notes = {
        "operations": stats.scalar_operations,
        "instructions": stats.instructions + stats.gradient_instructions,
        "matrix_share": stats.matrix_share,
        "eager": eager,
        "trace": stats.trace_seconds,
        "compile": stats.compile_seconds,
        "first": first,
        "versions": f"numpy {np.__version__}",
        "blas": ", ".join(f"{p['internal_api']} {p['version']} {p.get('architecture', '')}" for p in blas),
    }

    def gradient() -> dict[str, Any]:
        found = compiled.parameters
        parts = zip(found.names, found.starts, found.sizes, strict=True)
        return {name: found.gradient[start : start + size] for name, start, size in parts}

    return lambda: compiled.value_and_grad(*columns), gradient, notes


def torch_gpt(model: Any) -> Any:
    """Make PyTorch's GPT."""
    from torch_gpt import TorchGPT

    return TorchGPT(model.config, model.state_dict())


def torch_step(theirs: Any, columns: list[Any], compiled: bool = False) -> tuple[Callable[[], float], Any]:
    """Return a function that computes the loss and all gradients with PyTorch, and the parameters by name."""
    import torch

    tensors = [torch.from_numpy(column) for column in columns]
    loss = torch.compile(theirs.loss) if compiled else theirs.loss

    def step() -> float:
        theirs.zero_grad()
        out = loss(*tensors)
        out.backward()
        return float(out.detach())

    return step, dict(theirs.named_parameters())


def pytorch(of: Model, setting: str, threads: int, compiled: bool) -> Made:
    """Make PyTorch's step."""
    import torch

    torch.set_num_threads(threads)
    model, columns = of.make(setting)
    step, weights = torch_step(of.torch(model), columns, compiled)

    def gradient() -> dict[str, Any]:
        return {name: p.grad.numpy().ravel() for name, p in weights.items()}

    return step, gradient, {"versions": f"PyTorch {torch.__version__}"}


def jax_gpt(model: Any) -> Callable[..., Any]:
    """Make JAX's GPT."""
    import jax_gpt as theirs

    return lambda weights, tokens, targets: theirs.loss(model.config, weights, tokens, targets)


def with_jax(of: Model, setting: str, threads: int) -> Made:
    """Make JAX's step."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    model, columns = of.make(setting)
    weights = {name: jnp.asarray(numbers, jnp.float32) for name, numbers in model.state_dict().items()}
    if getattr(model.config, "tied_head", False):
        weights.pop("lm_head.weight", None)
    arrays = [jnp.asarray(column) for column in columns]
    step = jax.jit(jax.value_and_grad(of.jax(model)))
    latest: Any = None

    def run() -> float:
        nonlocal latest
        latest = jax.block_until_ready(step(weights, *arrays))
        return float(latest[0])

    def gradient() -> dict[str, Any]:
        return {name: np.asarray(g).ravel() for name, g in latest[1].items()}

    return run, gradient, {"versions": f"JAX {jax.__version__}"}


MAKE: dict[str, Callable[[Model, str, int], Made]] = {
    "program": program,
    "torch": lambda of, setting, threads: pytorch(of, setting, threads, False),
    "torch.compile": lambda of, setting, threads: pytorch(of, setting, threads, True),
    "jax": with_jax,
}


def once(of: Model, who: str, setting: str, threads: int, seconds: float, file: str) -> dict[str, Any]:
    """Measure one step in this process, and save its loss and gradient."""
    import numpy as np

    if hasattr(os, "sched_setaffinity"):  # JAX has no other way to limit its threads
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    step, gradient, notes = MAKE[who](of, setting, threads)
    loss = step()
    np.savez(file, loss=loss, **gradient())
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        step()
        best = min(best, time.perf_counter() - start)
    repeats = max(1, int(0.02 / max(best, 1e-5)))
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(repeats):
            step()
        best = min(best, (time.perf_counter() - start) / repeats)
    return {**notes, "step": best, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def child(of: Model, who: str, setting: str, threads: int, seconds: float, file: str) -> dict[str, Any]:
    """Run its file again in a process with that many threads."""
    env = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        env[name] = str(threads)
    order = [sys.executable, of.script, "--one", who, setting, str(threads), file, "--seconds", str(seconds)]
    out = subprocess.run(order, env=env, capture_output=True, text=True, check=False)
    if out.returncode:
        raise SystemExit(out.stderr or out.stdout)
    return json.loads(out.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def compare(setting: str, who: str, ours: str, theirs: str) -> float:
    """Return the largest difference of a gradient from a peer's, relative to the largest; stop if it is NaN."""
    import numpy as np

    a, b = np.load(ours), np.load(theirs)
    names = [name for name in a.files if name != "loss"]
    largest = max(float(np.abs(b[name]).max()) for name in names)
    difference = max(float(np.abs(a[name] - b[name]).max()) for name in names) / largest
    if abs(a["loss"] - b["loss"]) > 1e-4 * abs(b["loss"]) or difference > 1e-4:
        raise SystemExit(f"{setting}: the losses are {a['loss']} and {b['loss']} ({who}); gradients: {difference:.1e}")
    return difference


def row(of: Model, setting: str, threads: int, peers: list[str], rounds: int, seconds: float) -> dict[str, Any]:
    """Measure our step and those of the peers in turns."""
    best: dict[str, float] = {}
    differences = []
    with tempfile.TemporaryDirectory() as folder:
        files = {who: str(Path(folder) / f"{who}.npz") for who in ("program", *peers)}
        for _ in range(rounds):
            for who, file in files.items():
                found = child(of, who, setting, threads, seconds, file)
                best[who] = min(best.get(who, float("inf")), found["step"])
                if who == "program":
                    ours = found
                else:
                    differences.append(compare(setting, who, files["program"], file))
                    ours["versions"] += f", {found['versions']}" * (found["versions"] not in ours["versions"])
    return {**ours, "best": best, "difference": max(differences, default=0.0)}


def cpu_name() -> str:
    """Return the system's name of the processor."""
    try:
        with open("/proc/cpuinfo") as info:
            return next(line.split(":")[1].strip() for line in info if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor()


def main(of: Model) -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=of.about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", nargs="+", choices=list(of.settings), default=list(of.settings))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--peers", nargs="*", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--rounds", type=int, default=3, help="how many processes measure each step")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each of them does")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        who, setting, threads, file = args.one
        print(json.dumps(once(of, who, setting, int(threads), args.seconds, file)))
        return
    peers = [peer for peer in args.peers if importlib.util.find_spec(PEERS[peer])]
    print(f"{datetime.date.today()}, {cpu_name()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(
        f"{'setting':<32}{'threads':>8}{'program':>12}{''.join(f'{peer:>15}' for peer in peers)}{'to the best':>13}"
        f"{'scalars':>11}{'trace+compile':>15}{'memory':>8}"
    )
    found: dict[str, Any] = {}
    for setting in args.settings:
        for threads in args.threads:
            found = row(of, setting, threads, peers, args.rounds, args.seconds)
            best = found["best"]
            rival = min((best[peer] for peer in peers), default=float("nan"))
            eager = f"{found['eager']:9.2f} s" if found["eager"] else ""
            print(
                f"{of.settings[setting][0]:<32}{threads:>8}{best['program'] * 1e3:>9.3f} ms"
                f"{''.join(f'{best[peer] * 1e3:>12.3f} ms' for peer in peers)}{best['program'] / rival:>13.2f}"
                f"{eager:>11}{found['trace']:>8.2f}+{found['compile']:<4.2f} s{found['peak'] / 1e6:>5.0f} MB",
                flush=True,
            )
        print(
            f"    {found['operations']:,} scalar operations per example, {found['instructions']} array instructions, "
            f"{found['matrix_share']:.1%} of the multiplications in matrix products; "
            f"largest difference of a gradient {found['difference']:.0e}"
        )
    print(f"{found['versions']}; {found['blas']}")


if __name__ == "__main__":
    main(Model(__file__, __doc__, SETTINGS, make, torch_gpt, jax_gpt))
