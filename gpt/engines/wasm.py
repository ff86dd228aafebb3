"""A run as a WebAssembly module: it goes on training, and writes text, in a browser or in Node."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tinygrad_edu import compiler
from tinygrad_edu.compiler import Parameters, WasmModule
from tinygrad_edu.training.engine import in_evaluation

from ..config import GPTConfig, TrainConfig
from ..data.documents import END
from ..model import GPT
from ..runs import checkpoint
from ..tokenizer import CharTokenizer
from .base import adamw_settings
from .kv_cache import HIDDEN, CachedScorer

__all__ = ["to_wasm", "untrained"]


def to_wasm(
    model: GPT,
    config: TrainConfig,
    tokenizer: CharTokenizer,
    state: Mapping[str, Any] | None,
    documents: bool = False,
    notes: Mapping[str, Any] | None = None,
) -> WasmModule:
    """Return the module: ``step``, ``update`` and ``sample`` of ``step.js``, for the batch and the context of the run.

    Args:
        model: the model; dropout is left out.
        config: the settings of its training.
        tokenizer: its alphabet.
        state: that of the optimizer, to go on with; None begins a new one.
        documents: whether it reads documents: ``step`` takes weights too then, and ``sample`` writes one document.
        notes: additional notes of the description.
    """
    parameters = Parameters(model)
    loss = compiler.jit(model.loss, parameters, watch=False)
    nothing = [[0] * model.config.block_size]
    weights = [[[0.5] * model.config.block_size]] if documents else []
    in_evaluation(model, loss, loss, nothing, nothing, *weights)
    token = CachedScorer(model, parameters).program
    optimizer = compiler.AdamW(parameters, **adamw_settings(model, config))
    if state is not None:
        optimizer.load_state_dict(state)
    sampling = {
        "alphabet": tokenizer.alphabet, "vocab_size": model.config.vocab_size, "block_size": model.config.block_size,
        "hidden": HIDDEN, **({"end": END} if documents else {}),
    }  # fmt: skip
    every = {"sampling": sampling, "grad_clip": config.grad_clip, **(notes or {})}
    return loss.to_wasm(batch=config.batch_size, optimizer=optimizer, others={"token": token}, notes=every)


def untrained(shape: GPTConfig, config: TrainConfig) -> WasmModule:
    """Return a module whose parameters are zeros, which take no place: who loads it makes them.

    Its ``step`` takes weights, so that it serves documents and texts, for which all weights are 1 / block_size. Its
    notes have the settings of the model and of the training; the alphabet is any, the tokens are what counts.
    """
    model = checkpoint.unfilled(shape)
    for parameter in model.parameters():
        parameter.data = 0.0
    alphabet = CharTokenizer("".join(map(chr, range(0x100, 0x100 + shape.vocab_size))))
    settings = {"config": dataclasses.asdict(shape), "train": dataclasses.asdict(config)}
    return to_wasm(model, config, alphabet, None, documents=True, notes=settings)
