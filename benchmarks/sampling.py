"""Characters per second: sampling with a key/value cache, without one, and in PyTorch with the same weights.

    python benchmarks/sampling.py                              # presets nano and base, untrained
    python benchmarks/sampling.py --presets nano --characters 2000 --rounds 5

All write the same text: at temperature 0 the most likely character, with the same rule for a full context (half of it
is dropped). It is checked first that they agree. PyTorch runs the model of ``torch_gpt.py`` with its fused attention,
has a key/value cache too, and recomputes the rest of the window whenever half is dropped. The programs take turns; the
result is the median processor time, since each uses one thread. Compiling, which happens once, is listed separately.
"""

from __future__ import annotations

import argparse
import datetime
import os
import random
import statistics
import time
from collections.abc import Sequence
from typing import Any

from compiled import cpu_name


class TorchScorer:
    """Compute logits with PyTorch and a key/value cache."""

    def __init__(self, model: Any) -> None:
        self.model, self.seen = model, []
        self.past: list[list[Any]] = []

    def __call__(self, tokens: Sequence[int]) -> list[float]:
        import torch

        known = len(self.seen)
        if not known or list(tokens[:known]) != self.seen or known >= len(tokens):
            known, self.past = 0, [[] for _ in self.model.transformer["h"]]
        with torch.inference_mode():
            logits = self.model(torch.tensor([tokens[known:]]), self.past)[0, -1]
        self.seen = list(tokens)
        return logits.tolist()  # type: ignore[no-any-return]


def measure(name: str, characters: int, rounds: int) -> None:
    """Measure one preset: the three programs in turns."""
    import torch
    from torch_gpt import TorchGPT

    from gpt.config import GPTConfig, TrainConfig, preset
    from gpt.engines.compiled import CompiledEngine
    from gpt.model import GPT
    from gpt.sample import generate

    torch.set_num_threads(1)
    config = GPTConfig(**{**preset(name).model, "dropout": 0.0})
    model = GPT(config, seed=1)
    rng = random.Random(2)
    for p in model.parameters():  # otherwise all characters are about equally likely, and the last digits decide
        p.data += rng.gauss(0.0, 0.1)
    engine = CompiledEngine(model, TrainConfig(threads=1))
    theirs = TorchGPT(config, model.state_dict()).eval()
    ways: dict[str, Any] = {
        "cached": engine.scorer,
        "uncached": engine.window_scorer,
        "PyTorch": lambda: TorchScorer(theirs),
    }

    def text(way: str, length: int) -> tuple[list[int], float]:
        score = ways[way]()
        start = time.process_time()
        tokens = list(generate(score, config.block_size, [1, 2, 3], length, temperature=0.0, rng=random.Random(0)))
        return tokens, time.process_time() - start

    begin = time.perf_counter()
    while not engine.scorer()._window.is_compiled:  # until every program is compiled
        text("cached", characters)
    ready = time.perf_counter() - begin
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    written = {way: text(way, min(characters, 500))[0] for way in ways}
    if not written["cached"] == written["uncached"] == written["PyTorch"]:
        raise SystemExit(f"{name}: the three texts differ")
    for _ in range(rounds):
        for way in ways:
            length = characters if way != "uncached" else max(1, characters // 5)
            seconds[way].append(text(way, length)[1] / length)
    speed = {way: 1.0 / statistics.median(times) for way, times in seconds.items()}
    print(
        f"{name}: {speed['cached']:.0f} characters/s; without a cache {speed['uncached']:.0f} (the cache is "
        f"{speed['cached'] / speed['uncached']:.1f} times as fast); PyTorch {speed['PyTorch']:.0f} "
        f"(ours is {speed['cached'] / speed['PyTorch']:.1f} times as fast); ready after {ready:.0f} s",
        flush=True,
    )


def main() -> None:
    """Measure the presets and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", default=["nano", "base"])
    parser.add_argument("--characters", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    settings = parser.parse_args()
    print(f"{datetime.date.today()}, {cpu_name()}, {os.cpu_count()} cores; one thread each")
    for name in settings.presets:
        measure(name, settings.characters, settings.rounds)


if __name__ == "__main__":
    main()
