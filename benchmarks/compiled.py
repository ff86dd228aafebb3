"""How fast the compiled program is: the same model, weights and batch by scalars, by the program and by PyTorch.

    python benchmarks/compiled.py                      # all settings, one and two threads
    python benchmarks/compiled.py --settings nano --threads 2

Every row is a separate process. It first compares the losses and gradients of the three; then the program
and PyTorch take turns and the fastest step of each counts, because other programs on the machine only ever add time. A
step is the mean loss of a batch and its gradient with respect to every parameter. PyTorch runs the model as it would
usually be written with tensors, with its fused attention, in eager mode. Memory is the peak of a process that never
loads PyTorch. Scalars are timed once, for one example, and multiplied by the batch.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import random
import resource
import subprocess
import sys
import time
from typing import Any

SETTINGS: dict[str, tuple[str, dict[str, Any], int]] = {
    # name in the table, model, batch
    "micro-1": ("micro, batch 1", {"preset": "micro"}, 1),
    "micro-32": ("micro, batch 32", {"preset": "micro"}, 32),
    "width-32": ("width 32, context 32, batch 32", {"n_layer": 1, "n_embd": 32, "n_head": 4, "block_size": 32}, 32),
    "nano": ("nano, batch 12", {"preset": "nano"}, 12),
    "base": ("base, batch 16, no dropout", {"preset": "base", "dropout": 0.0}, 16),
}


def make(setting: str) -> tuple[Any, Any, Any]:
    """Make the model and a batch of random tokens and targets."""
    import numpy as np

    from gpt.config import GPTConfig, preset
    from gpt.model import GPT

    _, shape, batch = SETTINGS[setting]
    fields = dict(shape)
    if "preset" in shape:
        fields = {**preset(fields.pop("preset")).model, **fields}
    model = GPT(GPTConfig(**fields), seed=1)
    rng = random.Random(2)
    for p in model.parameters():  # larger than at the start of a training, so that the gradients are not noise
        p.data += rng.gauss(0.0, 0.05)
    draw = np.random.default_rng(3)
    config = model.config
    tokens = draw.integers(0, config.vocab_size, (batch, config.block_size))
    targets = draw.integers(0, config.vocab_size, (batch, config.block_size))
    return model, tokens, targets


def torch_step(model: Any, tokens: Any, targets: Any) -> Any:
    """Return a function that computes the loss and all gradients with PyTorch, and those gradients by name."""
    import torch
    from torch_gpt import TorchGPT

    theirs = TorchGPT(model.config, model.state_dict())
    weights = dict(theirs.named_parameters())
    x, y = torch.from_numpy(tokens), torch.from_numpy(targets)

    def step() -> float:
        theirs.zero_grad()
        out = theirs.loss(x, y)
        out.backward()
        return float(out.detach())

    return step, weights


def compare(model: Any, compiled: Any, weights: Any) -> float:
    """Return the largest difference between the program's gradient and PyTorch's, relative to the largest gradient."""
    import numpy as np

    theirs = np.concatenate([weights[name].grad.numpy().ravel() for name, _ in model.named_parameters()])
    ours = compiled.parameters.gradient
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def once(setting: str, threads: int, seconds: float) -> dict[str, Any]:
    """Measure one row of the table."""
    import numpy as np
    import threadpoolctl

    from tinygrad_edu import jit
    from tinygrad_edu.compiler import NumpyBackend

    threadpoolctl.threadpool_limits(1, user_api="blas")  # numpy's threads; batches are split, as in training
    import torch

    torch.set_num_threads(threads)
    model, tokens, targets = make(setting)
    compiled = jit(model.loss, model, backend=NumpyBackend(threads))
    start = time.perf_counter()
    ours = compiled.value_and_grad(tokens, targets)
    first = time.perf_counter() - start
    step, weights = torch_step(model, tokens, targets)
    theirs = step()
    difference = compare(model, compiled, weights)
    if abs(ours - theirs) > 1e-4 * abs(theirs) or difference > 1e-4:
        raise SystemExit(f"{setting}: the losses are {ours} and {theirs}, the gradients differ by {difference:.1e}")
    eager = None
    if compiled.stats().scalar_operations < 200_000:
        from tinygrad_edu import collector_paused

        with collector_paused():
            start = time.perf_counter()
            loss = model.loss(tokens[0].tolist(), targets[0].tolist())
            loss.backward()
            eager = (time.perf_counter() - start) * len(tokens)
    best = {"program": float("inf"), "torch": float("inf")}
    runs = {"program": lambda: compiled.value_and_grad(tokens, targets), "torch": step}
    for run in runs.values():
        run()
    one = max(best_of(runs["program"], 3), 1e-5)
    repeats = max(1, int(0.02 / one))
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for name, run in runs.items():
            start = time.perf_counter()
            for _ in range(repeats):
                run()
            best[name] = min(best[name], (time.perf_counter() - start) / repeats)
    stats = compiled.stats()
    blas = [p for p in threadpoolctl.threadpool_info() if p["user_api"] == "blas"]
    return {
        "operations": stats.scalar_operations,
        "instructions": stats.instructions + stats.gradient_instructions,
        "matrix_share": stats.matrix_share,
        "program": best["program"],
        "torch": best["torch"],
        "eager": eager,
        "trace": stats.trace_seconds,
        "compile": stats.compile_seconds,
        "first": first,
        "difference": difference,
        "blas": ", ".join(f"{p['internal_api']} {p['version']} {p.get('architecture', '')}" for p in blas),
        "versions": f"numpy {np.__version__}, PyTorch {torch.__version__}",
    }


def best_of(run: Any, n: int) -> float:
    """Return the time of the shortest of n runs, in seconds."""
    best = float("inf")
    for _ in range(n):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best


def memory(setting: str) -> dict[str, Any]:
    """Return the peak memory of a process that traces, compiles and trains, in bytes."""
    from tinygrad_edu import jit

    model, tokens, targets = make(setting)
    compiled = jit(model.loss)
    for _ in range(3):
        compiled.value_and_grad(tokens, targets)
    return {"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def child(*arguments: str, threads: int) -> dict[str, Any]:
    """Run this file again in a process with that many threads."""
    env = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        env[name] = str(threads)
    out = subprocess.run([sys.executable, __file__, *arguments], env=env, capture_output=True, text=True, check=False)
    if out.returncode:
        raise SystemExit(out.stderr or out.stdout)
    return json.loads(out.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def cpu_name() -> str:
    """Return the system's name of the processor."""
    try:
        with open("/proc/cpuinfo") as info:
            return next(line.split(":")[1].strip() for line in info if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor()


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--seconds", type=float, default=8.0, help="how long each row is measured")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(once(args.one[0], int(args.one[1]), args.seconds)))
        return
    if args.memory:
        print(json.dumps(memory(args.memory)))
        return
    print(f"{datetime.date.today()}, {cpu_name()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(
        f"{'setting':<32}{'threads':>8}{'program':>11}{'PyTorch':>11}{'ratio':>7}{'scalars':>11}"
        f"{'trace+compile':>16}{'memory':>9}"
    )
    row: dict[str, Any] = {}
    for setting in args.settings:
        peak = child("--memory", setting, threads=1)["peak"]
        for threads in args.threads:
            row = child("--one", setting, str(threads), "--seconds", str(args.seconds), threads=threads)
            eager = f"{row['eager']:9.2f} s" if row["eager"] else ""
            print(
                f"{SETTINGS[setting][0]:<32}{threads:>8}{row['program'] * 1e3:>8.2f} ms{row['torch'] * 1e3:>8.2f} ms"
                f"{row['program'] / row['torch']:>7.2f}{eager:>11}{row['trace']:>7.2f}+{row['compile']:<5.2f} s"
                f"{peak / 1e6:>9.0f} MB",
                flush=True,
            )
        print(
            f"    {row['operations']:,} scalar operations per sequence, {row['instructions']} array instructions, "
            f"{row['matrix_share']:.1%} of the multiplications in matrix products; "
            f"largest difference of a gradient {row['difference']:.0e}"
        )
    print(f"{row['versions']}; {row['blas']}")


if __name__ == "__main__":
    main()
