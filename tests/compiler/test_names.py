"""A GPT for names, written with lists and Values as in a tutorial, and trained on names of different lengths."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import Value, jit

n_embd, n_head, block_size = 4, 2, 7
head_dim = n_embd // n_head
names = ["ada", "be", "dace", "d", "abcde", "ede", "ce", "decade"]
BOS, vocab_size = 5, 6


def make(seed: int) -> dict[str, list[list[Value]]]:
    rng = random.Random(seed)
    shapes = {"wte": (vocab_size, n_embd), "wpe": (block_size, n_embd), "lm_head": (vocab_size, n_embd)}
    shapes |= dict.fromkeys(("attn_wq", "attn_wk", "attn_wv", "attn_wo"), (n_embd, n_embd))
    shapes |= {"mlp_fc1": (2 * n_embd, n_embd), "mlp_fc2": (n_embd, 2 * n_embd)}
    return {
        name: [[Value(rng.gauss(0, 0.3)) for _ in range(columns)] for _ in range(count)]
        for name, (count, columns) in shapes.items()
    }


state_dict = make(0)
params = [p for mat in state_dict.values() for row in mat for p in row]


def linear(x: Any, w: Any) -> Any:
    return [sum(wi * xi for wi, xi in zip(wo, x, strict=True)) for wo in w]


def softmax(logits: Any) -> Any:
    max_val = max(val.data for val in logits)
    exps = [(val - max_val).exp() for val in logits]
    total = sum(exps)
    return [e / total for e in exps]


def rmsnorm(x: Any) -> Any:
    scale = (sum(xi * xi for xi in x) / len(x) + 1e-5) ** -0.5
    return [xi * scale for xi in x]


def gpt(token_id: int, pos_id: int, keys: Any, values: Any) -> Any:
    tok_emb = state_dict["wte"][token_id]
    pos_emb = state_dict["wpe"][pos_id]
    x = rmsnorm([t + p for t, p in zip(tok_emb, pos_emb, strict=True)])
    q, k, v = (linear(x, state_dict[name]) for name in ("attn_wq", "attn_wk", "attn_wv"))
    keys.append(k)
    values.append(v)
    heads = []
    for h in range(n_head):
        hs = h * head_dim
        scores = [sum(q[hs + j] * key[hs + j] for j in range(head_dim)) / head_dim**0.5 for key in keys]
        weights = softmax(scores)
        heads += [sum(weights[t] * values[t][hs + j] for t in range(len(values))) for j in range(head_dim)]
    x = [a + b for a, b in zip(linear(heads, state_dict["attn_wo"]), x, strict=True)]
    hidden = [xi.relu() for xi in linear(rmsnorm(x), state_dict["mlp_fc1"])]
    x = [a + b for a, b in zip(linear(hidden, state_dict["mlp_fc2"]), x, strict=True)]
    return linear(x, state_dict["lm_head"])


def loss_of(tokens: list[int]) -> Any:
    n = min(block_size, len(tokens) - 1)
    keys: Any = []
    values: Any = []
    losses = []
    for pos_id in range(n):
        token_id, target_id = tokens[pos_id], tokens[pos_id + 1]
        probs = softmax(gpt(token_id, pos_id, keys, values))
        loss_t = -probs[target_id].log()
        losses.append(loss_t)
    return (1 / n) * sum(losses)


def tokens_of(name: str) -> list[int]:
    return [BOS, *["abcde".index(c) for c in name], BOS]


@pytest.fixture(autouse=True)
def _restored() -> Any:
    before = [p.data for p in params]
    yield
    for p, number in zip(params, before, strict=True):
        p.data = number


def eager(docs: list[list[int]]) -> tuple[float, list[float]]:
    for p in params:
        p.grad = 0.0
    loss = sum(loss_of(tokens) for tokens in docs) / len(docs)
    loss.backward()
    return loss.data, [p.grad for p in params]


@pytest.mark.parametrize("parameters", [params, state_dict, None], ids=["list", "dictionary", "found"])
def test_every_length(parameters: Any) -> None:
    compiled = jit(loss_of, parameters, dtype="float64")
    docs = [tokens_of(name) for name in names]
    for tokens in docs[:2] if parameters is None else docs:
        loss, gradient = eager([tokens])
        assert compiled.value_and_grad([tokens]) == pytest.approx(loss, rel=1e-12)
        assert [p.grad for p in params] == pytest.approx(gradient, rel=1e-9, abs=1e-15)
    if parameters is not None:
        loss, gradient = eager(docs)
        assert compiled.value_and_grad(docs) == pytest.approx(loss, rel=1e-12)
        assert [p.grad for p in params] == pytest.approx(gradient, rel=1e-9, abs=1e-15)
        assert compiled.stats().programs == len({len(tokens) for tokens in docs}) == 6


def adam(step: int, m: list[float], v: list[float]) -> None:
    """A step of Adam, written out."""
    beta1, beta2 = 0.85, 0.99
    for i, p in enumerate(params):
        m[i] = beta1 * m[i] + (1 - beta1) * p.grad
        v[i] = beta2 * v[i] + (1 - beta2) * p.grad**2
        m_hat, v_hat = m[i] / (1 - beta1 ** (step + 1)), v[i] / (1 - beta2 ** (step + 1))
        p.data -= 0.01 * (1 - step / 20) * m_hat / (math.sqrt(v_hat) + 1e-8)
        p.grad = 0


def test_training_with_an_optimizer_written_out() -> None:
    start, runs = [p.data for p in params], []
    for compiled in (None, jit(loss_of, params, dtype="float64")):
        for p, number in zip(params, start, strict=True):
            p.data = number
            p.grad = 0
        m, v, losses = [0.0] * len(params), [0.0] * len(params), []
        for step in range(10):
            tokens = tokens_of(names[step % len(names)])
            if compiled is not None:
                losses.append(compiled.value_and_grad([tokens]))
            else:
                loss = loss_of(tokens)
                loss.backward()
                losses.append(loss.data)
            adam(step, m, v)
        runs.append([*losses, *[p.data for p in params]])
    assert np.abs(np.array(runs[0]) - np.array(runs[1])).max() < 1e-9
    assert runs[0][8] < runs[0][0]
