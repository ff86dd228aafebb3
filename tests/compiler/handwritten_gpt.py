"""A GPT written with ``Value`` alone: plain functions and loops, position by position, no modules."""

from __future__ import annotations

import random
from typing import Any

from tinygrad_edu import Value, maximum
from tinygrad_edu.functional import pick

n_embd, n_head, block_size, vocab_size = 16, 4, 16, 27
head_dim = n_embd // n_head


def make_state(seed: int = 42, n_layer: int = 1) -> dict[str, list[list[Value]]]:
    rng = random.Random(seed)

    def matrix(rows: int, columns: int) -> list[list[Value]]:
        return [[Value(rng.gauss(0, 0.2)) for _ in range(columns)] for _ in range(rows)]

    state = {
        "wte": matrix(vocab_size, n_embd),
        "wpe": matrix(block_size, n_embd),
        "lm_head": matrix(vocab_size, n_embd),
    }
    for i in range(n_layer):
        state[f"layer{i}.attn_wq"] = matrix(n_embd, n_embd)
        state[f"layer{i}.attn_wk"] = matrix(n_embd, n_embd)
        state[f"layer{i}.attn_wv"] = matrix(n_embd, n_embd)
        state[f"layer{i}.attn_wo"] = matrix(n_embd, n_embd)
        state[f"layer{i}.mlp_fc1"] = matrix(4 * n_embd, n_embd)
        state[f"layer{i}.mlp_fc2"] = matrix(n_embd, 4 * n_embd)
    return state


def linear(x: list[Value], w: list[list[Value]]) -> list[Value]:
    return [sum(wi * xi for wi, xi in zip(wo, x, strict=True)) for wo in w]


def softmax(logits: list[Value]) -> list[Value]:
    top = maximum(*logits).detach()
    exps = [(v - top).exp() for v in logits]
    total = sum(exps)
    return [e / total for e in exps]


def rmsnorm(x: list[Value]) -> list[Value]:
    mean_square = sum(xi * xi for xi in x) / len(x)
    scale = (mean_square + 1e-5) ** -0.5
    return [xi * scale for xi in x]


def gpt(state: Any, n_layer: int, token: int, position: int, keys: Any, values: Any) -> list[Value]:
    token_embedding = state["wte"][token]
    position_embedding = state["wpe"][position]
    x = [t + p for t, p in zip(token_embedding, position_embedding, strict=True)]
    x = rmsnorm(x)
    for li in range(n_layer):
        residual = x
        x = rmsnorm(x)
        q = linear(x, state[f"layer{li}.attn_wq"])
        k = linear(x, state[f"layer{li}.attn_wk"])
        v = linear(x, state[f"layer{li}.attn_wv"])
        keys[li].append(k)
        values[li].append(v)
        x_attn = []
        for h in range(n_head):
            hs = h * head_dim
            q_h = q[hs : hs + head_dim]
            k_h = [ki[hs : hs + head_dim] for ki in keys[li]]
            v_h = [vi[hs : hs + head_dim] for vi in values[li]]
            scores = [sum(q_h[j] * k_h[t][j] for j in range(head_dim)) / head_dim**0.5 for t in range(len(k_h))]
            weights = softmax(scores)
            x_attn.extend([sum(weights[t] * v_h[t][j] for t in range(len(v_h))) for j in range(head_dim)])
        x = linear(x_attn, state[f"layer{li}.attn_wo"])
        x = [a + b for a, b in zip(x, residual, strict=True)]
        residual = x
        x = rmsnorm(x)
        x = linear(x, state[f"layer{li}.mlp_fc1"])
        x = [xi.relu() ** 2 for xi in x]
        x = linear(x, state[f"layer{li}.mlp_fc2"])
        x = [a + b for a, b in zip(x, residual, strict=True)]
    return linear(x, state["lm_head"])


def loss_of(state: Any, n_layer: int = 1) -> Any:
    def loss(tokens: list[int], targets: list[int]) -> Value:
        keys: Any = [[] for _ in range(n_layer)]
        values: Any = [[] for _ in range(n_layer)]
        losses = []
        for position in range(len(tokens)):
            logits = gpt(state, n_layer, tokens[position], position, keys, values)
            probs = softmax(logits)
            losses.append(-pick(probs, targets[position]).log())
        return (1 / len(losses)) * sum(losses)

    return loss
