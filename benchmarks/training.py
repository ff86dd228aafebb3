"""A whole training run from the command line, and the same recipe in PyTorch, in turns.

    python benchmarks/training.py --preset nano --data tinyshakespeare.txt
    python benchmarks/training.py --preset base --data tinyshakespeare.txt --steps 100 --rounds 3 --threads 2

Both read the text, make the same batches, follow the same schedule with AdamW and clipping, validate on the same
sequences at the same steps and at the end on the whole validation text, and begin with the same weights. PyTorch runs
the model of ``torch_gpt.py`` with its fused attention and its fused AdamW. The whole process is timed, from start to
end; ours also compiles, and writes checkpoints, a log and samples. Both run with each number of threads, since more are
not always faster. Both wall time and processor time are given.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from compiled import cpu_name

HERE = Path(__file__).resolve().parent


def torch_run(settings: Any) -> None:
    """Run the recipe in PyTorch; prints the last validation loss."""
    import numpy as np
    import torch
    from torch_gpt import TorchGPT

    from gpt.config import GPTConfig, TrainConfig, preset
    from gpt.data.corpus import Corpus, open_text
    from gpt.train import learning_rate

    torch.set_num_threads(settings.threads[0])
    chosen = preset(settings.preset)
    train = TrainConfig(**{**chosen.train, "steps": settings.steps or chosen.train["steps"]})
    corpus = Corpus.from_text(open_text(None, settings.data), chosen.model["block_size"])
    config = GPTConfig(**{**chosen.model, "vocab_size": corpus.tokenizer.vocab_size})
    with np.load(settings.torch) as weights:
        model = TorchGPT(config, dict(weights))
    torch.manual_seed(train.seed)
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": train.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=train.lr, betas=(train.beta1, train.beta2), eps=train.eps, fused=True)

    block = config.block_size

    def batch(step: int) -> tuple[Any, Any]:
        sequences = corpus.batch(block, train.batch_size, train.seed, step)
        both = torch.tensor(np.array(sequences))
        return both[:, 0], both[:, 1]

    def validate(sequences: int) -> float:
        rows = torch.tensor(np.array([*corpus.validation(block, sequences or len(corpus.val))]))
        model.eval()
        total = 0.0
        with torch.no_grad():
            for part in rows.split(64):
                total += model.loss(part[:, 0], part[:, 1]).item() * len(part)
        model.train()
        return total / len(rows)

    loss = validate(train.eval_sequences)
    for step in range(train.steps):
        optimizer.zero_grad()
        model.loss(*batch(step)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), train.grad_clip)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(train, step)
        optimizer.step()
        if (step + 1) % train.eval_interval == 0 or step + 1 == train.steps:
            loss = validate(train.eval_sequences if step + 1 < train.steps else train.final_eval_sequences)
    print(json.dumps(loss))


def run(command: list[str], threads: int) -> tuple[dict[str, float], str]:
    """Run a process and return its seconds, processor seconds and output; its matrix kernels are the fastest of this
    processor."""
    env = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}
    env["OMP_NUM_THREADS"] = str(threads)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    out = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if out.returncode:
        raise SystemExit(out.stderr or out.stdout)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": time.perf_counter() - start, "processor": processor}, out.stdout


def save_first_weights(settings: Any, path: Path) -> None:
    """Save the weights that our run begins with, for PyTorch to read; making them is not part of its time."""
    import numpy as np

    from gpt.config import GPTConfig, TrainConfig, preset
    from gpt.data.corpus import Corpus, open_text
    from gpt.model import GPT

    chosen = preset(settings.preset)
    corpus = Corpus.from_text(open_text(None, settings.data), chosen.model["block_size"])
    config = GPTConfig(**{**chosen.model, "vocab_size": corpus.tokenizer.vocab_size})
    model = GPT(config, seed=TrainConfig(**chosen.train).seed)
    np.savez(path, **{name: np.array(numbers) for name, numbers in model.state_dict().items()})


def ours(settings: Any, threads: int) -> dict[str, float]:
    """Run ours, through the command line."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "gpt", "train", "--preset", settings.preset, "--data", settings.data]
        command += ["--out", f"{folder}/run", "--no-draw", "--threads", str(threads)]
        if settings.steps:
            command += ["--steps", str(settings.steps)]
        times, _ = run(command, threads)
        log = [json.loads(line) for line in Path(folder, "run", "log.jsonl").read_text().splitlines()]
    return {**times, "val_loss": log[-1]["val_loss"]}


def theirs(settings: Any, threads: int, weights: Path) -> dict[str, float]:
    """Run the same with PyTorch."""
    words = ["--preset", settings.preset, "--data", settings.data, "--threads", str(threads)]
    words += ["--steps", str(settings.steps)] if settings.steps else []
    times, out = run([sys.executable, __file__, "--torch", str(weights), *words], threads)
    return {**times, "val_loss": json.loads(out.splitlines()[-1])}


def _text(run: dict[str, float]) -> str:
    return f"{run['seconds']:.1f} s ({run['processor']:.1f} s of processor), validation {run['val_loss']:.4f}"


def main() -> None:
    """Run both in turns and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="nano")
    parser.add_argument("--data", required=True, help="a text file, such as tinyshakespeare's")
    parser.add_argument("--steps", type=int, help="shorter than the preset says")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--torch", metavar="WEIGHTS", help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if settings.torch:
        torch_run(settings)
        return
    print(f"{datetime.date.today()}, {cpu_name()}, {os.cpu_count()} cores")
    seconds: dict[tuple[str, int], list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder, "weights.npz")
        save_first_weights(settings, weights)
        for _ in range(settings.rounds):
            for threads in settings.threads:
                a, b = ours(settings, threads), theirs(settings, threads, weights)
                seconds.setdefault(("ours", threads), []).append(a["seconds"])
                seconds.setdefault(("PyTorch", threads), []).append(b["seconds"])
                print(
                    f"{settings.preset}, {threads} thread{'s' * (threads > 1)}: {_text(a)}; PyTorch {_text(b)}; "
                    f"ratio {a['seconds'] / b['seconds']:.2f}",
                    flush=True,
                )
    medians = {key: statistics.median(times) for key, times in seconds.items()}
    best = {who: min(time for (name, _), time in medians.items() if name == who) for who in ("ours", "PyTorch")}
    print(f"medians, each with the number of threads that suits it: ratio {best['ours'] / best['PyTorch']:.2f}")


if __name__ == "__main__":
    main()
