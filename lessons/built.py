"""What learners build in Lessons 8 to 10, word for word, for the lessons that go on from there.

Lesson 8 builds attention, Lesson 9 the block, Lesson 10 the GPT. Lessons 8b, 9b and 10b take them from here, so that
each runs on its own; a test compares them with the lessons. The library's are in :mod:`tinygrad_edu.nn` and
:mod:`gpt.model`.
"""

import random

from tinygrad_edu import functional as F
from tinygrad_edu.nn import Embedding, Linear, Module

__all__ = ["Attention", "Block", "FeedForward", "Head", "TinyLM", "look_at", "mix", "rms_norm"]


def rms_norm(row):  # (C) → (C)
    scale = (F.dot(row, row) / len(row) + 1e-5) ** -0.5
    return [x * scale for x in row]


def look_at(query, keys):
    scale = len(query) ** -0.5
    return F.softmax([F.dot(query, key) * scale for key in keys])


def mix(weights, values):
    return [F.dot(weights, column) for column in zip(*values, strict=True)]


class Head(Module):
    def forward(self, queries, keys, values):  # (T, size) each → (T, size)
        return [mix(look_at(q, keys[: t + 1]), values[: t + 1]) for t, q in enumerate(queries)]


class Attention(Module):
    def __init__(self, width, heads, rng):
        self.query = Linear(width, width, bias=False, rng=rng)
        self.key = Linear(width, width, bias=False, rng=rng)
        self.value = Linear(width, width, bias=False, rng=rng)
        self.out = Linear(width, width, bias=False, rng=rng)
        self.head = Head()
        self.heads = heads

    def parts(self, x, layer):  # (T, width) → (heads, T, size)
        size = len(x[0]) // self.heads
        rows = [layer(row) for row in x]
        return [[row[h * size : (h + 1) * size] for row in rows] for h in range(self.heads)]

    def forward(self, x):  # (T, width) → (T, width)
        queries, keys, values = (self.parts(x, layer) for layer in (self.query, self.key, self.value))
        found = [self.head(*parts) for parts in zip(queries, keys, values, strict=True)]
        return [self.out([number for head in found for number in head[t]]) for t in range(len(x))]


class FeedForward(Module):
    def __init__(self, width, hidden, rng):
        self.up = Linear(width, hidden, bias=False, rng=rng)
        self.down = Linear(hidden, width, bias=False, rng=rng)

    def forward(self, x):  # (T, width) → (T, width), each position on its own
        return [self.down([z.relu() for z in self.up(row)]) for row in x]


class Block(Module):
    def __init__(self, width, heads, hidden, rng):
        self.attention = Attention(width, heads, rng)
        self.feed_forward = FeedForward(width, hidden, rng)

    def add(self, x, layer):
        return [F.add(old, more) for old, more in zip(x, layer([rms_norm(row) for row in x]), strict=True)]

    def forward(self, x):  # (T, width) → (T, width)
        return self.add(self.add(x, self.attention), self.feed_forward)


class TinyLM(Module):
    def __init__(self, vocabulary, context=32, width=32, heads=2, hidden=64, layers=1, seed=1):
        rng = random.Random(seed)
        self.token = Embedding(vocabulary, width, std=0.05, rng=rng)
        self.position = Embedding(context, width, std=0.05, rng=rng)
        self.blocks = [Block(width, heads, hidden, rng) for _ in range(layers)]
        self.context = context

    def forward(self, tokens):  # (T) → (T, vocabulary)
        x = [F.add(self.token(token), self.position(t)) for t, token in enumerate(tokens)]
        for block in self.blocks:
            x = block(x)
        return [F.linear(rms_norm(row), self.token.weight) for row in x]

    def loss(self, tokens, targets):  # the targets are the tokens, one position later
        rows = zip(self(tokens), targets, strict=True)
        return F.mean([F.cross_entropy(scores, target) for scores, target in rows])
