"""nanoGPT's recipe for one GPU, trained by ``--engine torch`` and by PyTorch with bfloat16: loss and time.

    python benchmarks/gpu.py --data tinyshakespeare.txt
    python benchmarks/gpu.py --data tinyshakespeare.txt --device cpu --steps 3 --tiny

6 layers, 6 heads, width 384, context 256, dropout 0.2, batches of 64, 5,000 steps, learning rate 1e-3: 10.7 million
parameters. The first row is ours, from the command line, whose matrix products round to TF32 on a GPU that has it; it
is the scalar program, compiled, on tensors. The second is the model of ``torch_gpt.py`` as nanoGPT trains it: matrix
products in bfloat16, numbers that are kept in float32, fused attention and AdamW, on a GPU through ``torch.compile``.
Both draw their first weights from the same distributions, make the same batches and validate on the same sequences. A
row's time is that of the whole process, compiling included; ours also validates on the way and writes checkpoints.
``--device cpu --tiny`` tries that everything runs, and says nothing about a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
#: nanoGPT's ``train_shakespeare_char.py``; its shape is otherwise that of the preset ``nano``.
MODEL: dict[str, Any] = {"n_layer": 6, "n_head": 6, "n_embd": 384, "block_size": 256, "dropout": 0.2}
TRAIN: dict[str, Any] = {
    "batch_size": 64, "steps": 5000, "lr": 1e-3, "min_lr": 1e-4, "warmup_steps": 100, "beta2": 0.99,
    "weight_decay": 0.1, "grad_clip": 1.0, "eval_interval": 250,
}  # fmt: skip
#: What ``--tiny`` changes.
TINY: tuple[dict[str, Any], dict[str, Any]] = (
    {"n_layer": 1, "n_head": 2, "n_embd": 16, "block_size": 16}, {"batch_size": 4},
)  # fmt: skip
ROWS = ("ours", "bfloat16")


def recipe(settings: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings of the model and of the training."""
    from gpt.config import preset

    nano = preset("nano")
    train = {**nano.train, **TRAIN, "final_eval_sequences": settings.eval_sequences}
    train["eval_sequences"] = settings.eval_sequences
    if settings.steps:
        train |= {"steps": settings.steps, "warmup_steps": min(train["warmup_steps"], settings.steps)}
    model, changed = TINY if settings.tiny else ({}, {})
    return {**nano.model, **MODEL, **model}, {**train, **changed}


def ours(settings: Any) -> dict[str, Any]:
    """Train from the command line; returns what the table shows."""
    model, train = recipe(settings)
    command = [sys.executable, "-m", "gpt", "train", "--data", settings.data, "--engine", "torch"]
    command += ["--device", settings.device, "--no-draw", "--sample-interval", "0"]
    for name, value in {**model, **train}.items():
        flag = name.replace("_", "-")
        command += [f"--{flag}" if value else f"--no-{flag}"] if isinstance(value, bool) else [f"--{flag}", str(value)]
    with tempfile.TemporaryDirectory() as folder:
        out = subprocess.run([*command, "--out", f"{folder}/run"], env=_environment(), capture_output=True, text=True)
        if out.returncode:
            raise SystemExit(out.stderr or out.stdout)
        log = [json.loads(line) for line in Path(folder, "run", "log.jsonl").read_text().splitlines()]
    return {"train_loss": log[-1]["train_loss"], "val_loss": log[-1]["val_loss"]}


def bfloat16(settings: Any) -> dict[str, Any]:
    """Train the same with PyTorch, in this process."""
    import numpy as np
    import torch
    from torch_gpt import TorchGPT

    from gpt.config import GPTConfig, TrainConfig
    from gpt.data.corpus import Corpus, open_text
    from gpt.train import learning_rate

    shape, numbers = recipe(settings)
    train = TrainConfig(**numbers)
    corpus = Corpus.from_text(open_text(None, settings.data), shape["block_size"])
    config = GPTConfig(**{**shape, "vocab_size": corpus.tokenizer.vocab_size})
    torch.manual_seed(train.seed)
    model = TorchGPT(config)
    for name, p in model.named_parameters():
        if p.dim() > 1:
            std = config.init_std / (2 * config.n_layer) ** 0.5 if name.endswith("c_proj.weight") else config.init_std
            torch.nn.init.normal_(p, std=std)
    model.to(settings.device)
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": train.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=train.lr, betas=(train.beta1, train.beta2), eps=train.eps, fused=True)
    loss_of = torch.compile(model.loss) if settings.device == "cuda" else model.loss

    def loss(rows: Any) -> Any:
        rows = torch.tensor(np.array(rows)).to(settings.device)
        with torch.autocast(settings.device, dtype=torch.bfloat16):
            return loss_of(rows[:, 0], rows[:, 1])

    for step in range(train.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(train, step)
        optimizer.zero_grad()
        now = loss(corpus.batch(config.block_size, train.batch_size, train.seed, step))
        now.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), train.grad_clip)
        optimizer.step()
        last = now.item()  # waits for the device
    model.eval()
    rows = [*corpus.validation(config.block_size, train.eval_sequences)]
    with torch.no_grad():
        parts = [rows[i : i + train.batch_size] for i in range(0, len(rows), train.batch_size)]
        val = sum(loss(part).item() * len(part) for part in parts) / len(rows)
    return {"train_loss": last, "val_loss": val}


def _environment() -> dict[str, str]:
    settings = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}
    return {**settings, "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "1", "PYTHONPATH": str(HERE.parent)}


def main() -> None:
    """Train every row in a process of its own, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="a text file, such as tinyshakespeare's")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--steps", type=int, default=0, help="fewer than 5,000, to try it")
    parser.add_argument("--tiny", action="store_true", help="one layer of width 16, to try it")
    parser.add_argument("--eval-sequences", type=int, default=1024, help="of the validation text, per validation")
    parser.add_argument("--rows", default=",".join(ROWS), help="which rows, with commas between")
    parser.add_argument("--one", choices=ROWS, help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if settings.one:
        print(json.dumps({"ours": ours, "bfloat16": bfloat16}[settings.one](settings)))
        return
    rows = settings.rows.split(",")
    if unknown := set(rows) - set(ROWS):
        parser.error(f"unknown rows: {', '.join(sorted(unknown))} (must be among {', '.join(ROWS)})")
    try:
        import torch
    except ImportError:
        parser.error("this needs PyTorch: python3 run.py add torch")
    if settings.device == "cuda" and not torch.cuda.is_available():
        parser.error(
            "PyTorch finds no CUDA GPU on this machine; --device cpu --steps 3 --tiny tries that everything runs"
        )
    where = torch.cuda.get_device_name() if settings.device == "cuda" else "the processor"
    print(f"{recipe(settings)[1]['steps']:,} steps on {where}, PyTorch {torch.__version__}", flush=True)
    print(f"{'':10}{'whole run':>12}{'training':>10}{'validation':>12}")
    for row in rows:
        begun = time.perf_counter()
        out = subprocess.run(
            [sys.executable, __file__, *sys.argv[1:], "--one", row],
            env=_environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        if out.returncode:
            raise SystemExit(out.stderr or out.stdout)
        seconds, found = time.perf_counter() - begun, json.loads(out.stdout.splitlines()[-1])
        print(f"{row:10}{seconds:>10.1f} s{found['train_loss']:>10.4f}{found['val_loss']:>12.4f}", flush=True)


if __name__ == "__main__":
    main()
