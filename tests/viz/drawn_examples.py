"""Graphs that the tests of this folder draw."""

import random
from dataclasses import dataclass
from pathlib import Path

from tinygrad_edu import Value, collector_paused, nn, record_calls
from tinygrad_edu import functional as F
from tinygrad_edu.calls import CallRecord

GOLDEN = Path(__file__).parent.parent / "golden"


@dataclass
class Drawn:
    """Return a result and its recorded calls."""

    loss: Value
    calls: CallRecord | None = None


def expression(backward: bool = True) -> Value:
    a, b, c, f = (Value(x, label=name) for name, x in (("a", 2.0), ("b", -3.0), ("c", 10.0), ("f", -2.0)))
    e = a * b
    e.label = "e"
    d = e + c
    d.label = "d"
    loss = d * f
    loss.label = "L"
    if backward:
        loss.backward()
    return loss


class Attention(nn.Module):
    def __init__(self, width: int, heads: int, rng: random.Random) -> None:
        self.q = nn.Linear(width, width, bias=False, rng=rng)
        self.k = nn.Linear(width, width, bias=False, rng=rng)
        self.v = nn.Linear(width, width, bias=False, rng=rng)
        self.out = nn.Linear(width, width, bias=False, rng=rng)
        self.head = nn.AttentionHead()
        self.heads = heads

    def forward(self, x: list[list[Value]]) -> list[list[Value]]:
        q, k, v = [self.q(row) for row in x], [self.k(row) for row in x], [self.v(row) for row in x]
        size = len(x[0]) // self.heads
        mixed: list[list[Value]] = [[] for _ in x]
        for h in range(self.heads):
            part = slice(h * size, (h + 1) * size)
            for row, more in zip(mixed, self.head(*([r[part] for r in m] for m in (q, k, v))), strict=True):
                row += more
        return [self.out(row) for row in mixed]


class Block(nn.Module):
    def __init__(self, width: int, heads: int, rng: random.Random) -> None:
        self.ln_1 = nn.RMSNorm(width)
        self.attn = Attention(width, heads, rng)
        self.ln_2 = nn.RMSNorm(width)
        self.fc = nn.Linear(width, 2 * width, rng=rng)
        self.act = nn.Activation("relu")
        self.drop = nn.Dropout(0.0)
        self.proj = nn.Linear(2 * width, width, rng=rng)

    def forward(self, x: list[list[Value]]) -> list[list[Value]]:
        x = [F.add(a, b) for a, b in zip(x, self.attn([self.ln_1(row) for row in x]), strict=True)]
        return [F.add(row, self.drop(self.proj(self.act(self.fc(self.ln_2(row)))))) for row in x]


class GPT(nn.Module):
    def __init__(self, vocabulary: int, width: int, heads: int, context: int, layers: int) -> None:
        rng = random.Random(1)
        self.wte = nn.Embedding(vocabulary, width, rng=rng)
        self.wpe = nn.Embedding(context, width, rng=rng)
        self.h = [Block(width, heads, rng) for _ in range(layers)]
        self.lm_head = nn.Linear(width, vocabulary, bias=False, rng=rng)

    def forward(self, tokens: list[int]) -> list[list[Value]]:
        x = [F.add(self.wte(token), self.wpe(t)) for t, token in enumerate(tokens)]
        for block in self.h:
            x = block(x)
        return [self.lm_head(row) for row in x]


def gpt_loss(*, context: int = 6, layers: int = 1, backward: bool = True) -> Drawn:
    model = GPT(vocabulary=7, width=4, heads=2, context=context, layers=layers)
    with record_calls() as calls, collector_paused():
        logits = model([t % 7 for t in range(context)])
        loss = F.mean([F.cross_entropy(row, (3 * t) % 7) for t, row in enumerate(logits)])
    loss.label = "loss"
    if backward:
        loss.backward()
    return Drawn(loss, calls)


def mlp_loss() -> Drawn:
    model = nn.MLP(2, [3, 1])
    with record_calls() as calls:
        loss = (model([Value(1.0, label="x1"), Value(-2.0, label="x2")]) - 1.0) ** 2
    loss.label = "loss"
    loss.backward()
    return Drawn(loss, calls)


def broken_loss() -> Drawn:
    """Make a graph with a dead unit, a saturated one, exact zeros, and an infinite number."""
    model = nn.MLP(2, [3, 2, 1], activation="relu", rng=random.Random(1))
    model.layers[0].neurons[1].b.data = -50.0
    model.layers[1].neurons[0].w[2].data = 1e308
    with record_calls() as calls:
        out = model([Value(10.0, label="x1"), Value(-20.0, label="x2")])
        loss = (out * 1e10).tanh() + out
    loss.label = "loss"
    loss.backward()
    return Drawn(loss, calls)


class Cell(nn.Module):
    def __init__(self) -> None:
        self.wh, self.wx = nn.Linear(2, 2, rng=1), nn.Linear(2, 2, rng=2)

    def forward(self, h: list[Value], x: list[Value]) -> list[Value]:
        return [v.tanh() for v in F.add(self.wh(h), self.wx(x))]


def recurrent_loss(steps: int = 8) -> Drawn:
    """Make the loss of a recurrent network after some steps."""
    cell = Cell()
    h = [Value(0.0), Value(0.0)]
    with record_calls() as calls:
        for t in range(steps):
            h = cell(h, [Value(t / 8.0, label=f"x{t}[{i}]") for i in range(2)])
        loss = h[0] * h[1]
    loss.label = "loss"
    loss.backward()
    return Drawn(loss, calls)
