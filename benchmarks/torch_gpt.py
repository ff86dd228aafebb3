"""The GPT of ``gpt/model.py`` as it would usually be written in PyTorch with tensors, for comparison in the benchmarks.

Parameters have the names of :meth:`gpt.model.GPT.state_dict`, so weights go from one to the other. Attention is
PyTorch's fused one. Shapes: B batch, T time, C = n_embd, nh heads, hs head size.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ACTIVATIONS: dict[str, Any] = {
    "relu": F.relu, "relu2": lambda x: F.relu(x).square(), "gelu": F.gelu, "silu": F.silu, "tanh": torch.tanh,
}  # fmt: skip


class Norm(nn.Module):
    """RMSNorm or LayerNorm, with or without weights."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.rms = config.norm == "rmsnorm"
        self.weight = nn.Parameter(torch.ones(config.n_embd)) if config.norm_weight else None
        self.bias = nn.Parameter(torch.zeros(config.n_embd)) if config.norm_weight and config.bias else None
        self.shape = (config.n_embd,)

    def forward(self, x: Tensor) -> Tensor:
        if self.rms:
            return F.rms_norm(x, self.shape, self.weight, eps=1e-5)
        return F.layer_norm(x, self.shape, self.weight, self.bias, eps=1e-5)


class Attention(nn.Module):
    """Causal self-attention.    # (B, T, C) → (B, T, C)"""

    cosines: Tensor
    sines: Tensor

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.c_attn = nn.Linear(config.n_embd, 3 * config.n_embd, bias=config.bias)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)
        self.nh, self.rotary = config.n_head, config.positions == "rotary"
        half = config.n_embd // config.n_head // 2
        angles = torch.outer(torch.arange(config.block_size), 10000.0 ** (-torch.arange(half) / half))
        self.register_buffer("cosines", angles.cos().repeat(1, 2), persistent=False)
        self.register_buffer("sines", torch.cat([-angles.sin(), angles.sin()], 1), persistent=False)

    def turn(self, x: Tensor, start: int) -> Tensor:
        """Rotary positions, from position ``start``.    # (B, nh, T, hs) → (B, nh, T, hs)"""
        here = slice(start, start + x.shape[2])
        half = x.shape[3] // 2
        swapped = torch.cat([x[..., half:], x[..., :half]], -1)
        return x * self.cosines[here] + swapped * self.sines[here]

    def forward(self, x: Tensor, past: list[Tensor] | None = None) -> Tensor:
        B, T, C = x.shape
        q, k, v = (part.view(B, T, self.nh, -1).transpose(1, 2) for part in self.c_attn(x).split(C, dim=2))
        start = past[0].shape[2] if past else 0
        if self.rotary:
            q, k = self.turn(q, start), self.turn(k, start)
        if past is not None:
            if past:
                k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
            past[:] = [k, v]
        y = F.scaled_dot_product_attention(q, k, v, is_causal=T > 1)
        return self.c_proj(y.transpose(1, 2).reshape(B, T, C))  # type: ignore[no-any-return]


class MLP(nn.Module):
    """Widen, apply the activation, narrow.    # (B, T, C) → (B, T, C)"""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.c_fc = nn.Linear(config.n_embd, 4 * config.n_embd, bias=config.bias)
        self.c_proj = nn.Linear(4 * config.n_embd, config.n_embd, bias=config.bias)
        self.bend = ACTIVATIONS[config.activation]

    def forward(self, x: Tensor) -> Tensor:
        return self.c_proj(self.bend(self.c_fc(x)))  # type: ignore[no-any-return]


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.ln_1, self.attn, self.ln_2, self.mlp = Norm(config), Attention(config), Norm(config), MLP(config)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, past: list[Tensor] | None = None) -> Tensor:
        x = x + self.drop(self.attn(self.ln_1(x), past))
        return x + self.drop(self.mlp(self.ln_2(x)))  # type: ignore[no-any-return]


class TorchGPT(nn.Module):
    """Tokens to logits.    # (B, T) → (B, T, V)"""

    def __init__(self, config: Any, weights: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        parts: dict[str, nn.Module] = {"wte": nn.Embedding(config.vocab_size, config.n_embd)}
        if config.positions == "learned":
            parts["wpe"] = nn.Embedding(config.block_size, config.n_embd)
        parts["h"] = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        parts["ln_f"] = Norm(config)
        self.transformer = nn.ModuleDict(parts)
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        if config.tied_head:
            self.lm_head.weight = self.transformer["wte"].weight  # type: ignore[assignment]
        self.drop = nn.Dropout(config.dropout)
        if weights is not None:
            tensors = {name: torch.tensor(numbers, dtype=torch.float32) for name, numbers in weights.items()}
            if config.tied_head:
                tensors["lm_head.weight"] = tensors["transformer.wte.weight"]
            self.load_state_dict(tensors)

    def forward(self, tokens: Tensor, past: list[list[Tensor]] | None = None) -> Tensor:
        """With ``past``, a list with an empty list per layer at first, ``tokens`` continue the earlier ones."""
        x = self.transformer["wte"](tokens)
        if "wpe" in self.transformer:
            start = past[0][0].shape[2] if past and past[0] else 0
            x = x + self.transformer["wpe"](torch.arange(start, start + tokens.shape[1], device=tokens.device))
        x = self.drop(x)
        for i, block in enumerate(self.transformer["h"]):  # type: ignore[arg-type]
            x = block(x, past[i] if past is not None else None)
        return self.lm_head(self.transformer["ln_f"](x))  # type: ignore[no-any-return]

    def loss(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Return the mean surprise in nats."""
        logits = self(tokens)
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.reshape(-1))
