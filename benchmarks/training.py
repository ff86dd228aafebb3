"""A whole training run from the command line, and the same recipe in PyTorch, in turns.

    python benchmarks/training.py --preset nano --data tinyshakespeare.txt
    python benchmarks/training.py --preset base --data tinyshakespeare.txt --steps 100 --rounds 3

Both read the text, make the same batches, follow the same schedule with AdamW and clipping, validate on the same
sequences at the same steps and at the end on the whole validation text, and begin with the same weights. PyTorch runs
the model of ``torch_gpt.py`` with its fused attention and its fused AdamW. What is timed is the process, from start to
end; ours also writes checkpoints, a log and samples meanwhile. Beside the time on the wall there is the processor's
time, which other programs on the machine disturb less.
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
    """The recipe in PyTorch; prints the last validation loss."""
    import numpy as np
    import torch
    from torch_gpt import TorchGPT

    from gpt.config import GPTConfig, TrainConfig, preset
    from gpt.data import Corpus, open_text
    from gpt.model import GPT
    from gpt.train import learning_rate

    torch.set_num_threads(settings.threads)
    chosen = preset(settings.preset)
    train = TrainConfig(**{**chosen.train, "steps": settings.steps or chosen.train["steps"]})
    corpus = Corpus.from_text(open_text(None, settings.data), chosen.model["block_size"])
    config = GPTConfig(**{**chosen.model, "vocab_size": corpus.tokenizer.vocab_size})
    ours = GPT(config, seed=train.seed)
    model = TorchGPT(config, ours.state_dict())
    del ours
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
    """Seconds, processor seconds and output of a process; its matrix kernels are the fastest of this processor."""
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


def ours(settings: Any) -> dict[str, float]:
    """Our run, through the command line."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "gpt", "train", "--preset", settings.preset, "--data", settings.data]
        command += ["--out", f"{folder}/run", "--no-draw", "--threads", str(settings.threads)]
        if settings.steps:
            command += ["--steps", str(settings.steps)]
        times, _ = run(command, settings.threads)
        log = [json.loads(line) for line in Path(folder, "run", "log.jsonl").read_text().splitlines()]
    return {**times, "val_loss": log[-1]["val_loss"]}


def theirs(settings: Any) -> dict[str, float]:
    """The same with PyTorch."""
    words = ["--preset", settings.preset, "--data", settings.data, "--threads", str(settings.threads)]
    words += ["--steps", str(settings.steps)] if settings.steps else []
    times, out = run([sys.executable, __file__, "--torch", *words], settings.threads)
    return {**times, "val_loss": json.loads(out.splitlines()[-1])}


def main() -> None:
    """Run both in turns and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="nano")
    parser.add_argument("--data", required=True, help="a text file, such as tinyshakespeare's")
    parser.add_argument("--steps", type=int, help="shorter than the preset says")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--torch", action="store_true", help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if settings.torch:
        torch_run(settings)
        return
    print(f"{datetime.date.today()}, {cpu_name()}, {os.cpu_count()} cores; threads: {settings.threads}")
    ratios: dict[str, list[float]] = {"seconds": [], "processor": []}
    for _ in range(settings.rounds):
        a, b = ours(settings), theirs(settings)
        for what, found in ratios.items():
            found.append(a[what] / b[what])
        print(
            f"{settings.preset}: {a['seconds']:.1f} s ({a['processor']:.1f} s of processor), validation "
            f"{a['val_loss']:.4f}; PyTorch {b['seconds']:.1f} s ({b['processor']:.1f} s), validation "
            f"{b['val_loss']:.4f}; ratio {ratios['seconds'][-1]:.2f} ({ratios['processor'][-1]:.2f})",
            flush=True,
        )
    wall, processor = (statistics.median(found) for found in ratios.values())
    print(f"median ratio of the whole run: {wall:.2f}, of the processor's time {processor:.2f}")


if __name__ == "__main__":
    main()
