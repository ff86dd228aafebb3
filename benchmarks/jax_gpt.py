"""The loss of the GPT of ``gpt/model.py`` as usually written in JAX, for the benchmarks.

``weights`` are the arrays of :meth:`gpt.model.GPT.state_dict` by name. Shapes as in ``torch_gpt.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

ACTIVATIONS: dict[str, Any] = {
    "relu": jax.nn.relu, "relu2": lambda x: jnp.square(jax.nn.relu(x)), "silu": jax.nn.silu, "tanh": jnp.tanh,
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
}  # fmt: skip


def loss(config: Any, weights: Mapping[str, Any], tokens: Any, targets: Any) -> Any:
    """Return the mean cross-entropy in nats of a batch, (B, T) tokens and targets."""
    T, nh = tokens.shape[1], config.n_head
    hs = config.n_embd // nh

    def linear(name: str, x: Any) -> Any:
        y = x @ weights[f"{name}.weight"].T
        return y + weights[f"{name}.bias"] if config.bias else y

    def norm(name: str, x: Any) -> Any:
        if config.norm == "layernorm":
            x = x - x.mean(-1, keepdims=True)
        x = x * jax.lax.rsqrt(jnp.square(x).mean(-1, keepdims=True) + 1e-5)
        if config.norm_weight:
            x = x * weights[f"{name}.weight"]
        return x + weights[f"{name}.bias"] if config.norm_weight and config.bias else x

    half = hs // 2
    angles = jnp.outer(jnp.arange(T), 10000.0 ** (-jnp.arange(half) / half))
    cosines, sines = jnp.tile(jnp.cos(angles), 2), jnp.concatenate([-jnp.sin(angles), jnp.sin(angles)], 1)

    def turn(x: Any) -> Any:
        return x * cosines + jnp.concatenate([x[..., half:], x[..., :half]], -1) * sines

    def attention(name: str, x: Any) -> Any:
        q, k, v = (
            part.reshape(*x.shape[:2], nh, hs).transpose(0, 2, 1, 3)
            for part in jnp.split(linear(f"{name}.c_attn", x), 3, axis=-1)
        )
        if config.positions == "rotary":
            q, k = turn(q), turn(k)
        scores = jnp.where(jnp.tri(T, dtype=bool), q @ k.swapaxes(2, 3) * hs**-0.5, -jnp.inf)
        y = jax.nn.softmax(scores) @ v
        return linear(f"{name}.c_proj", y.transpose(0, 2, 1, 3).reshape(x.shape))

    x = weights["transformer.wte.weight"][tokens]
    if config.positions == "learned":
        x = x + weights["transformer.wpe.weight"][:T]
    for i in range(config.n_layer):
        block = f"transformer.h.{i}"
        x = x + attention(f"{block}.attn", norm(f"{block}.ln_1", x))
        hidden = ACTIVATIONS[config.activation](linear(f"{block}.mlp.c_fc", norm(f"{block}.ln_2", x)))
        x = x + linear(f"{block}.mlp.c_proj", hidden)
    x = norm("transformer.ln_f", x)
    head = weights["transformer.wte.weight" if config.tied_head else "lm_head.weight"]
    scores = jax.nn.log_softmax(x @ head.T)
    return -jnp.take_along_axis(scores, targets[..., None], -1).mean()
