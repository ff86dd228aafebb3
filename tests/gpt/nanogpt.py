"""A GPT in PyTorch with nanoGPT's parameter names, written for the tests: it shares no code with the model under test.

``load_state_dict(..., strict=True)`` proves that names and shapes are right; ``model_args`` has the rest.
"""

from __future__ import annotations

from typing import Any

import torch

nn, F = torch.nn, torch.nn.functional


class RMS(nn.Module):
    def __init__(self, width: int, weight: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width)) if weight else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x / (x.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt()
        return y if self.weight is None else y * self.weight


class Layer(nn.Module):
    def __init__(self, width: int, weight: bool, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width)) if weight else None
        self.bias = nn.Parameter(torch.zeros(width)) if weight and bias else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(x, x.shape[-1:], self.weight, self.bias, 1e-5)


def norm(a: dict[str, Any]) -> nn.Module:
    if a.get("norm", "layernorm") == "rmsnorm":
        return RMS(a["n_embd"], a.get("norm_weight", True))
    return Layer(a["n_embd"], a.get("norm_weight", True), a["bias"])


class Attention(nn.Module):
    def __init__(self, a: dict[str, Any]) -> None:
        super().__init__()
        self.c_attn = nn.Linear(a["n_embd"], 3 * a["n_embd"], bias=a["bias"])
        self.c_proj = nn.Linear(a["n_embd"], a["n_embd"], bias=a["bias"])
        self.heads, self.rotary = a["n_head"], a.get("positions", "learned") == "rotary"

    def rotate(self, x: torch.Tensor) -> torch.Tensor:  # as complex numbers: (B, heads, T, size)
        half = x.shape[-1] // 2
        frequency = 10000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
        angle = torch.outer(torch.arange(x.shape[-2], dtype=torch.float64), frequency)
        z = torch.complex(x[..., :half].double(), x[..., half:].double()) * torch.polar(torch.ones_like(angle), angle)
        return torch.cat([z.real, z.imag], -1).to(x.dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        B, T, C = x.shape
        q, k, v = (y.view(B, T, self.heads, -1).transpose(1, 2) for y in self.c_attn(x).split(C, dim=2))
        if self.rotary:
            q, k = self.rotate(q), self.rotate(k)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.c_proj(y.transpose(1, 2).reshape(B, T, C))


ACTIVATIONS = {
    "relu": F.relu, "gelu": F.gelu, "silu": F.silu, "tanh": torch.tanh, "relu2": lambda x: F.relu(x) ** 2,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
}  # fmt: skip


class MLP(nn.Module):
    def __init__(self, a: dict[str, Any]) -> None:
        super().__init__()
        self.c_fc = nn.Linear(a["n_embd"], 4 * a["n_embd"], bias=a["bias"])
        self.c_proj = nn.Linear(4 * a["n_embd"], a["n_embd"], bias=a["bias"])
        self.activation = ACTIVATIONS[a.get("activation", "gelu")]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.c_proj(self.activation(self.c_fc(x)))


class Block(nn.Module):
    def __init__(self, a: dict[str, Any]) -> None:
        super().__init__()
        self.ln_1, self.attn, self.ln_2, self.mlp = norm(a), Attention(a), norm(a), MLP(a)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class NanoGPT(nn.Module):
    def __init__(self, a: dict[str, Any]) -> None:
        super().__init__()
        parts: dict[str, nn.Module] = {"wte": nn.Embedding(a["vocab_size"], a["n_embd"])}
        if a.get("positions", "learned") == "learned":
            parts["wpe"] = nn.Embedding(a["block_size"], a["n_embd"])
        parts["h"] = nn.ModuleList([Block(a) for _ in range(a["n_layer"])])
        parts["ln_f"] = norm(a)
        self.transformer = nn.ModuleDict(parts)
        self.lm_head = nn.Linear(a["n_embd"], a["vocab_size"], bias=False)
        if a.get("tied_head", True):
            self.lm_head.weight = self.transformer["wte"].weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.transformer["wte"](tokens)
        if "wpe" in self.transformer:
            x = x + self.transformer["wpe"](torch.arange(tokens.shape[1]))
        for block in self.transformer["h"]:
            x = block(x)
        return self.lm_head(self.transformer["ln_f"](x))
