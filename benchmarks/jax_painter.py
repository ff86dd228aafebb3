"""The loss of the painter of ``image/model.py`` as usually written in JAX, for the benchmarks.

``weights`` are the arrays of :meth:`image.model.Painter.state_dict` by name. Shapes as in ``torch_painter.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax_gpt import ACTIVATIONS


def loss(config: Any, weights: Mapping[str, Any], noise: Any, picture: Any, time: Any, *told: Any) -> Any:
    """Return the mean loss of a batch of a diffusion transformer."""
    a, p, nh = config.across, config.patch, config.heads
    act = ACTIVATIONS[config.activation]

    def linear(name: str, x: Any) -> Any:
        y = x @ weights[f"{name}.weight"].T
        return y + weights[f"{name}.bias"] if f"{name}.bias" in weights else y

    def stack(name: str, x: Any) -> Any:
        return linear(f"{name}.layers.1", act(linear(f"{name}.layers.0", x)))

    def norm(x: Any) -> Any:
        x = x - x.mean(-1, keepdims=True)
        return x * jax.lax.rsqrt(jnp.square(x).mean(-1, keepdims=True) + 1e-5)

    def attention(name: str, x: Any, context: Any) -> Any:
        q, k, v = (
            linear(f"{name}.{part}", rows).reshape(len(rows), rows.shape[1], nh, -1).transpose(0, 2, 1, 3)
            for part, rows in (("query", x), ("key", context), ("value", context))
        )
        y = jax.nn.softmax(q @ k.swapaxes(2, 3) * q.shape[3] ** -0.5) @ v
        return linear(f"{name}.out", y.transpose(0, 2, 1, 3).reshape(x.shape))

    def patches(x: Any) -> Any:
        return x.reshape(-1, a, p, a, p).transpose(0, 1, 3, 2, 4).reshape(-1, a * a, p * p)

    def modulation(name: str, condition: Any, count: int) -> Any:
        return jnp.split(linear(f"{name}.proj", jax.nn.silu(condition))[:, None], count, -1)

    goal, extra = patches(picture), 0.0
    if config.latent:
        noise, own = jnp.split(noise.reshape(len(noise), 2 * a * a, -1), 2, 1)
        center, spread = jnp.split(stack("vae.encoder", goal), 2, -1)
        rebuilt = stack("vae.decoder", center + jnp.exp(spread) * own)
        away = (0.5 * (center**2 + jnp.exp(2 * spread) - 1) - spread).mean()
        goal, extra = jax.lax.stop_gradient(center), jnp.square(rebuilt - goal).mean() + config.kl * away
    else:
        noise = patches(noise)

    angles = time[:, None] * (jnp.pi / 2 * 2.0 ** jnp.arange(6))
    waves = jnp.stack([jnp.sin(angles), jnp.cos(angles)], -1).reshape(-1, 12)
    condition = linear("net.time.out", jax.nn.silu(linear("net.time.mix", waves)))
    if config.condition == "class":
        condition = condition + weights["net.classes.label.weight"][told[0]]
    if config.condition == "text":
        words = weights["net.words.word.weight"][told[0]] + weights["net.words.place.weight"]
    t = time[:, None, None]
    x = linear("net.enter", (1 - t) * noise + t * goal)
    x = x + (weights["net.row.weight"][:, None] + weights["net.column.weight"]).reshape(a * a, -1)
    for i in range(config.layers):
        block = f"net.blocks.{i}"
        vectors = modulation(f"{block}.modulation", condition, 9 if config.condition == "text" else 6)

        def seen(shift: Any, scale: Any, x: Any) -> Any:
            return norm(x) * (1 + scale) + shift

        h = seen(*vectors[:2], x)
        x = x + vectors[2] * attention(f"{block}.attn", h, h)
        if config.condition == "text":
            x = x + vectors[5] * attention(f"{block}.cross", seen(*vectors[3:5], x), words)
        hidden = act(linear(f"{block}.mlp.fc", seen(*vectors[-3:-1], x)))
        x = x + vectors[-1] * linear(f"{block}.mlp.proj", hidden)
    shift, scale = modulation("net.modulation", condition, 2)
    out = linear("net.leave", norm(x) * (1 + scale) + shift)
    return jnp.square(out - (goal - noise)).mean() + extra
