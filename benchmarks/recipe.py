"""Why the preset ``base`` is as it is: compare variants of it after equal processor time.

    python benchmarks/recipe.py --data tinyshakespeare.txt --minutes 6 --results recipe.jsonl
    python benchmarks/recipe.py --data tinyshakespeare.txt --minutes 6 --results recipe.jsonl --only wide,deep

Every variant differs from :data:`START`, the first version of ``base``, in what its name says. The processor time of
one of its steps is measured first, and gives the number of steps that fit into the minutes; warm-up and schedule are
fitted to them. Then it trains from the command line, with one thread, and is judged on the whole validation text. So
variants with slower steps make fewer of them: the winner learns most per time, not per step. Results are appended to
the file, and variants already in it are not run again.
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

#: What has changed in ``base`` since, because of these and longer measurements.
START: dict[str, Any] = {
    "block_size": 128, "batch_size": 16, "dropout": 0.1, "tied_head": False, "lr": 2e-3, "min_lr": 1e-4,
}  # fmt: skip

VARIANTS: dict[str, dict[str, Any]] = {
    "start": {},
    "base": {
        "block_size": 256,
        "batch_size": 8,
        "dropout": 0.15,
        "tied_head": True,
        "lr": 1.5e-3,
        "min_lr": 7.5e-5,
    },
    "narrow: width 128": {"n_embd": 128},
    "wide: width 192": {"n_embd": 192},
    "wider: width 256": {"n_embd": 256},
    "shallow: 3 layers, width 192": {"n_layer": 3, "n_embd": 192},
    "deep: 6 layers, width 128": {"n_layer": 6, "n_embd": 128},
    "context 64, batch 32": {"block_size": 64, "batch_size": 32},
    "context 256, batch 8": {"block_size": 256, "batch_size": 8},
    "batch 8": {"batch_size": 8},
    "batch 32": {"batch_size": 32},
    "learning rate 1e-3": {"lr": 1e-3, "min_lr": 5e-5},
    "learning rate 4e-3": {"lr": 4e-3, "min_lr": 2e-4},
    "linear schedule": {"schedule": "linear"},
    "no dropout": {"dropout": 0.0},
    "dropout 0.2": {"dropout": 0.2},
    "tied head": {"tied_head": True},
    "learned positions": {"positions": "learned"},
    "layernorm with weights": {"norm": "layernorm", "norm_weight": True},
    "GELU": {"activation": "gelu"},
    "8 heads": {"n_head": 8},
    "beta2 0.95": {"beta2": 0.95},
}


def seconds_per_step(variant: str, data: str) -> float:
    """Return the median processor time of a step, measured in a separate process."""
    out = subprocess.run(
        [sys.executable, __file__, "--data", data, "--time", variant], check=True, capture_output=True, text=True
    )
    return float(out.stdout.split()[-1])


def time_steps(variant: str, data: str) -> float:
    """See :func:`seconds_per_step`."""
    import statistics

    from gpt.config import GPTConfig, TrainConfig
    from gpt.data.corpus import Corpus, open_text
    from gpt.engines.compiled import CompiledEngine
    from gpt.model import GPT

    model, train = settings_of(variant)
    corpus = Corpus.from_text(open_text(None, data), model["block_size"])
    config = TrainConfig(**{**train, "threads": 1})
    engine = CompiledEngine(GPT(GPTConfig(**{**model, "vocab_size": corpus.tokenizer.vocab_size}), seed=1), config)
    times = []
    for step in range(12):
        start = time.process_time()
        engine.step(corpus.batch(model["block_size"], config.batch_size, 1, step), config.lr, str(step))
        times.append(time.process_time() - start)
    return statistics.median(times[2:])  # without compiling


def settings_of(variant: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings of the model and of the training: those of the start, changed."""
    from gpt.config import preset

    base, changes = preset("base"), START | VARIANTS[variant]
    parts = [dict(base.model), dict(base.train)]
    for name, value in changes.items():
        parts[name not in GPT_FIELDS][name] = value
    return parts[0], parts[1]


GPT_FIELDS = (
    "n_layer", "n_embd", "n_head", "block_size", "positions", "norm", "norm_weight", "activation", "tied_head",
    "dropout",
)  # fmt: skip


def train(variant: str, data: str, minutes: float) -> dict[str, Any]:
    """Train one variant for its time, and measure what it has learned."""
    seconds = seconds_per_step(variant, data)
    steps = round(60.0 * minutes / seconds)
    command = [sys.executable, "-m", "gpt", "train", "--preset", "base", "--data", data, "--no-draw", "--threads", "1"]
    command += ["--steps", str(steps), "--warmup-steps", str(min(100, steps // 10))]
    command += ["--eval-interval", "0", "--sample-interval", "0"]
    for name, value in (START | VARIANTS[variant]).items():
        flag = name.replace("_", "-")
        command += [f"--{flag}" if value else f"--no-{flag}"] if isinstance(value, bool) else [f"--{flag}", str(value)]
    with tempfile.TemporaryDirectory() as folder:
        out = subprocess.run([*command, "--out", f"{folder}/run"], capture_output=True, text=True, check=False)
        if out.returncode:
            raise SystemExit(out.stderr or out.stdout)
        log = [json.loads(line) for line in Path(folder, "run", "log.jsonl").read_text().splitlines()]
        parameters = json.loads(out.stdout.split(" parameters")[0].split()[-1].replace(",", ""))
    lately = [line["train_loss"] for line in log[-100:] if line["train_loss"] is not None]
    return {
        "variant": variant, "minutes": minutes, "parameters": parameters, "seconds_per_step": round(seconds, 4),
        "steps": steps, "loss": sum(lately) / len(lately), "val_loss": log[-1]["val_loss"],
    }  # fmt: skip


def table(results: list[dict[str, Any]]) -> str:
    """Return all results, the best first."""
    lines = [f"{'variant':<30} {'parameters':>10} {'ms per step':>12} {'steps':>7} {'training':>9} {'validation':>11}"]
    for r in sorted(results, key=lambda r: r["val_loss"]):
        lines.append(
            f"{r['variant']:<30} {r['parameters']:>10,} {1000 * r['seconds_per_step']:>12.0f} {r['steps']:>7,} "
            f"{r['loss']:>9.3f} {r['val_loss']:>11.4f}"
        )
    return "\n".join(lines)


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="a text file, such as tinyshakespeare's")
    parser.add_argument("--minutes", type=float, default=6.0, help="of processor time, for every variant")
    parser.add_argument("--results", type=Path, default=Path("recipe.jsonl"))
    parser.add_argument("--only", default="", help="beginnings of names, with commas between")
    parser.add_argument("--time", metavar="VARIANT", help=argparse.SUPPRESS)
    settings = parser.parse_args()
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):  # settings that make numpy slower
        os.environ.pop(name, None)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if settings.time:
        print(time_steps(settings.time, settings.data))
        return
    known = (
        [json.loads(line) for line in settings.results.read_text().splitlines()] if settings.results.exists() else []
    )
    known = [r for r in known if r["minutes"] == settings.minutes]
    for variant in VARIANTS:
        wanted = any(variant.startswith(start) for start in settings.only.split(","))
        if wanted and not any(r["variant"] == variant for r in known):
            known.append(train(variant, settings.data, settings.minutes))
            with settings.results.open("a") as file:
                file.write(json.dumps(known[-1]) + "\n")
            print(table(known[-1:]).splitlines()[-1], flush=True)
    print(table(known))


if __name__ == "__main__":
    main()
