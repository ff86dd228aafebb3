"""Make a folder as Hugging Face's GPT-2 has it, with random numbers; it shares no code with what reads it."""

from __future__ import annotations

import itertools
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from gpt.byte_pairs import END_OF_TEXT, LETTERS

TINY = {"vocab_size": 300, "n_positions": 16, "n_layer": 2, "n_head": 2, "n_embd": 8}
SMALL = {"vocab_size": 50257, "n_positions": 1024, "n_layer": 12, "n_head": 12, "n_embd": 768}  # GPT-2 small


def shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the tensors of such a model, matrices as (inputs, outputs)."""
    c = config["n_embd"]
    found: dict[str, tuple[int, ...]] = {
        "wte.weight": (config["vocab_size"], c),
        "wpe.weight": (config["n_positions"], c),
    }
    for i in range(config["n_layer"]):
        linear = {"attn.c_attn": (c, 3 * c), "attn.c_proj": (c, c), "mlp.c_fc": (c, 4 * c), "mlp.c_proj": (4 * c, c)}
        for name, (n_in, n_out) in linear.items():
            found |= {f"h.{i}.{name}.weight": (n_in, n_out), f"h.{i}.{name}.bias": (n_out,)}
        for name in ("ln_1", "ln_2"):
            found |= {f"h.{i}.{name}.weight": (c,), f"h.{i}.{name}.bias": (c,)}
    return {**found, "ln_f.weight": (c,), "ln_f.bias": (c,)}


def vocabulary(size: int) -> tuple[dict[str, int], list[str]]:
    """Return the 256 bytes, pairs of them and the end of text, numbered; and the merges."""
    letters = list(LETTERS.values())
    pairs = list(itertools.islice(itertools.product(letters, letters), size - 257))
    tokens = [*letters, *map("".join, pairs), END_OF_TEXT]
    return {token: i for i, token in enumerate(tokens)}, [" ".join(pair) for pair in pairs]


def write(
    folder: Path, config: dict[str, Any] = TINY, *, bfloat16: bool = False, prefix: str = "", **more: Any
) -> dict[str, Any]:
    """Write a folder; returns its tensors. ``more`` are other fields of config.json."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(5)
    some = 0.02 * rng.standard_normal(1 << 20, dtype=np.float32) if config is SMALL else None
    arrays = {}
    for name, shape in shapes(config).items():
        numbers = 0.3 * rng.standard_normal(shape, dtype=np.float32) if some is None else np.resize(some, shape)
        arrays[name] = numbers + np.float32(1.0) if name.endswith(("ln_1.weight", "ln_2.weight")) else numbers
    save(folder / "model.safetensors", {prefix + name: array for name, array in arrays.items()}, bfloat16)
    vocab, merges = vocabulary(config["vocab_size"])
    (folder / "vocab.json").write_text(json.dumps(vocab), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")
    about = {"model_type": "gpt2", "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5, **config, **more}
    (folder / "config.json").write_text(json.dumps(about))
    return arrays


def save(path: Path, arrays: dict[str, Any], bfloat16: bool = False) -> None:
    """Write a safetensors file: the length of the header, the header, the numbers."""
    header, at, size = {}, 0, 2 if bfloat16 else 4
    for name, array in arrays.items():
        end = at + size * array.size
        header[name] = {"dtype": "BF16" if bfloat16 else "F32", "shape": array.shape, "data_offsets": [at, end]}
        at = end
    words = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(words)) + words)
        for array in arrays.values():
            file.write((array.view("<u4") >> 16).astype("<u2").tobytes() if bfloat16 else array.tobytes())
