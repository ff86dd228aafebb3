# %% [markdown]
# # Lesson 10: A GPT
#
# **Question.** Everything is there: numbers that remember, layers, attention, blocks. How do they become a language
# model, and what is it made of, down to a single multiplication?
#
# Today we write the whole model on one page, count it, look inside, and turn it into a program that is fast enough to
# train. In Lesson 10b it reads Shakespeare, and writes.

# %%
import math
import random
from pathlib import Path

import lessons
import viz
from gpt.config import GPTConfig
from gpt.model import GPT
from tinygrad_edu import functional as F
from tinygrad_edu import jit, no_grad, record_calls, topological_order
from tinygrad_edu.nn import Embedding, Linear, Module

FAST = globals().get("FAST", False)

# %% [markdown]
# ## The text
#
# A scene that ships with this course: the balcony, *Romeo and Juliet* II, 2 (the public-domain edition that circulates
# on the web since the 1990s). Each character is a token, and its number is its place in the alphabet.

# %%
text = (Path(lessons.__file__).parent / "data" / "balcony.txt").read_text(encoding="utf-8")
alphabet = sorted(set(text))
tokens = [alphabet.index(character) for character in text]
print(f"{len(text):,} characters, {len(alphabet)} different ones: {''.join(alphabet)!r}")

# %% tags=["check"]
assert text.startswith("ROMEO:\nHe jests at scars")
assert len(alphabet) == 56

# %% [markdown]
# ## The whole model
#
# The first cell contains Lesson 8 and Lesson 9.


# %% tags=["model"]
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


# %% [markdown]
# And this is the GPT. A vector for the character plus a vector for its position; the blocks; a last norm; and for each
# position a score per character. The scores are dot products with the very table that the characters came from: "which
# character's vector does the stream point to?" (That saves a table, and is called a *tied* head.)


# %% tags=["model"]
class TinyLM(Module):
    def __init__(self, vocabulary, context=32, width=32, heads=2, hidden=64, layers=1, seed=1):
        rng = random.Random(seed)
        self.token = Embedding(vocabulary, width, std=0.05, rng=rng)
        self.position = Embedding(context, width, std=0.05, rng=rng)
        self.blocks = [Block(width, heads, hidden, rng) for _ in range(layers)]
        self.context = context

    def forward(self, tokens):  # (T) → (T, vocabulary)
        x = [F.add(self.token(token), self.position(t)) for t, token in enumerate(tokens)]  # key: what, plus where
        for block in self.blocks:
            x = block(x)
        return [F.linear(rms_norm(row), self.token.weight) for row in x]

    def loss(self, tokens, targets):  # the targets are the tokens, one position later
        rows = zip(self(tokens), targets, strict=True)
        return F.mean([F.cross_entropy(scores, target) for scores, target in rows])


# %% [markdown]
# **Predict.** Width 32, 2 heads, a hidden layer of 64, a context of 32 positions. How many parameters does it have with
# 40 characters? With 65? (Two tables of vectors, four of the attention, two of the feed-forward.)
#
# answer with 40 characters: len(TinyLM(40).parameters())
# answer with 65 characters: len(TinyLM(65).parameters())

# %%
for vocabulary in (40, 65):
    print(vocabulary, f"{len(TinyLM(vocabulary).parameters()):,}")

# %% tags=["check"]
assert len(TinyLM(40).parameters()) == 40 * 32 + 32 * 32 + 4 * 32 * 32 + 2 * 32 * 64 == 10_496
assert len(TinyLM(65).parameters()) == 65 * 32 + 32 * 32 + 4 * 32 * 32 + 2 * 32 * 64 == 11_296

# %% [markdown]
# Before any training it knows nothing. What does knowing nothing cost? With V characters that are all equally likely,
# each one has probability 1/V, and its surprise is −ln(1/V) = ln V.
#
# **Predict.** The loss of a model with 65 characters before its first step?
#
# answer loss: start ± 0.1

# %%
chance = random.Random(0)
some = [chance.randrange(65) for _ in range(9)]
with no_grad():
    start = TinyLM(65).loss(some[:8], some[1:]).data

print(f"{start:.3f}; ln 65 = {math.log(65):.4f}")

# %% tags=["check"]
assert round(math.log(65), 4) == 4.1744
assert round(math.log(27), 4) == 3.2958
assert abs(start - math.log(65)) < 0.1

# %% [markdown]
# Whenever you start a training, look at the first loss. If it is not near ln V, something is wrong already.
#
# ## Down to a single multiplication
#
# Eight characters of the text, the loss, the gradient, in single numbers.

# %%
model = TinyLM(len(alphabet))
here = text.index("what light")
eight, next_eight = tokens[here : here + 8], tokens[here + 1 : here + 9]
with record_calls() as calls:
    loss = model.loss(eight, next_eight)

loss.label = "loss"
loss.backward()
print(f"{len(topological_order(loss)):,} Values, loss {loss.data:.4f}")

# %% tags=["check"]
scalar_gradient = [parameter.grad for parameter in model.parameters()]
assert abs(loss.data - math.log(len(alphabet))) < 0.15
assert len(topological_order(loss)) > 100_000

# %% [markdown] tags=["pytorch"]
# ```python
# import torch
#
# def norm(x):
#     return torch.nn.functional.rms_norm(x, x.shape[-1:], eps=1e-5)
#
# def linears(**sizes):
#     return torch.nn.ModuleDict({name: torch.nn.Linear(*size, bias=False) for name, size in sizes.items()})
#
# class BlockInPyTorch(torch.nn.Module):
#     def __init__(self, width, heads, hidden):
#         super().__init__()
#         self.attention = linears(**dict.fromkeys(("query", "key", "value", "out"), (width, width)))
#         self.feed_forward = linears(up=(width, hidden), down=(hidden, width))
#         self.heads = heads
#
#     def attend(self, x):  # (T, width) → (T, width)
#         layers = (self.attention[name] for name in ("query", "key", "value"))
#         q, k, v = (layer(x).view(len(x), self.heads, -1).transpose(0, 1) for layer in layers)  # (heads, T, size)
#         mixed = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
#         return self.attention["out"](mixed.transpose(0, 1).flatten(1))  # the heads side by side again
#
#     def forward(self, x):  # (T, width) → (T, width)
#         x = x + self.attend(norm(x))
#         return x + self.feed_forward["down"](torch.relu(self.feed_forward["up"](norm(x))))
#
# class TinyLMInPyTorch(torch.nn.Module):
#     def __init__(self, vocabulary, context=32, width=32, heads=2, hidden=64, layers=1):
#         super().__init__()
#         self.token = torch.nn.Embedding(vocabulary, width)
#         self.position = torch.nn.Embedding(context, width)
#         self.blocks = torch.nn.ModuleList(BlockInPyTorch(width, heads, hidden) for _ in range(layers))
#
#     def forward(self, tokens):  # (T) → (T, vocabulary)
#         x = self.token(tokens) + self.position(torch.arange(len(tokens)))
#         for block in self.blocks:
#             x = block(x)
#         return norm(x) @ self.token.weight.T
#
# same = TinyLMInPyTorch(len(alphabet))
# same.load_state_dict({name: torch.tensor(numbers) for name, numbers in model.state_dict().items()})
# loss = torch.nn.functional.cross_entropy(same(torch.tensor(eight)), torch.tensor(next_eight))
# loss.backward()
# print(f"loss {loss.item():.6f}, of {sum(p.numel() for p in same.parameters()):,} parameters")
# ```

# %%
viz.draw(loss, calls=calls, budget=20, direction="wrapped")

# %% [markdown]
# The table of characters is used twice, at both ends: two contributions arrive there. And this is where the gradient
# goes, with one line for each head:

# %%
viz.flow(loss, calls=calls, split=["Head"])

# %% [markdown]
# The same model with two numbers per vector and two characters fits on paper: [by_hand.html](by_hand.html), or
# `lesson by-hand` on a terminal, has every product of one training step, and ends in the new weights and the new loss.
#
# On the next page every box opens, from the model down to one multiplication and its chain rule.

# %%
viz.explore(loss, calls=calls, tokens=[text[here + i] for i in range(8)], title="The loss of a GPT")

# %% [markdown]
# ## From scalars to matrices
#
# One step on 32 sequences of 32 characters would be twenty million Values: minutes per step, days for a training. The
# scalars are the truth, but they are slow. Here is what `jit`, which has helped us since Lesson 6, really does. It runs
# the function once and writes down all operations. Then it looks for operations of the same shape on neighboring
# numbers, and packs them into *one* instruction on arrays. It knows no layer: it finds the matrix products.
#
# **Predict.** How many array instructions does this model become?
#
# answer instructions: sum(small.stats().instructions >= most for most in (100, 1000, 10_000))
#   | fewer than a hundred | hundreds | thousands | more than ten thousand

# %%
small = jit(model.loss, dtype="float64")
small_loss = small.value_and_grad([eight], [next_eight])
print(small.summary())
print(f"scalars {loss.data:.12f}, arrays {small_loss:.12f}")

# %% tags=["check"]
assert abs(small_loss - loss.data) < 1e-12
assert max(abs(a - b) for a, b in zip(small.parameters.gradient, scalar_gradient, strict=True)) < 1e-12
assert small.stats().instructions < 100
assert 0.85 < small.stats().scalar_operations / (2 * len(model.parameters()) * len(eight)) < 1.15

# %% [markdown]
# The same loss to twelve digits, and all gradients the same. Count the operations, too: nearly every parameter is in
# one product and one sum for each position. So a pass over the model costs about **two operations per parameter and
# character**, 2 · 11,000 · 8 = 176,000 for our eight. That holds for large models, while the text is not very long
# (Supplement 17 counts what attention adds). This is the program; boxes
# with matrix products are blue:

# %%
viz.draw_program(small)

# %% [markdown]
# ## Under other names
#
# The library has a GPT, too: `gpt/model.py`. Open it: you know nearly every line. (Dropout is from Lesson 4, rotary
# positions are in Supplement 4, and the cache comes in Lesson 10b.) It uses the names of GPT-2, as most programs do:
#
# | here | in `gpt/model.py` |
# |---|---|
# | `TinyLM` | `GPT`, which holds a `Transformer` and the head |
# | `Block`, `Attention`, `FeedForward` | `Block`, `CausalSelfAttention`, `FeedForward` |
# | `Head`, `look_at`, `mix` | `AttentionHead` in `tinygrad_edu/nn.py`, `F.attend` |
# | `token`, `position` | `wte`, `wpe`: the token and the position embedding |
# | `blocks` | `h` |
# | `rms_norm` before attention, before feed-forward, at the end | `ln_1`, `ln_2`, `ln_f` |
# | `attention` | `attn` |
# | `query`, `key`, `value` | `c_attn`: one table for all three |
# | `out` | `c_proj` in `attn` |
# | `feed_forward` | `mlp` |
# | `up`, `down` | `c_fc`, `c_proj` in `mlp` |
# | the tied head | `lm_head`: a separate table, unless it is tied as here |
# | `width`, `heads`, `layers`, `context` | `n_embd`, `n_head`, `n_layer`, `block_size` |
#
# Is the table right? Put the numbers of your model under the other names, and ask both the same.

# %%
theirs = GPT(
    GPTConfig(vocab_size=len(alphabet), block_size=32, n_layer=1, n_head=2, n_embd=32, mlp_ratio=2, tied_head=True)
)
mine, block = model.state_dict(), "blocks.0."
queries, keys, values = (mine[f"{block}attention.{part}.weight"] for part in ("query", "key", "value"))
renamed = {
    "wte": mine["token.weight"],
    "wpe": mine["position.weight"],
    "h.0.attn.c_attn": queries + keys + values,
    "h.0.attn.c_proj": mine[f"{block}attention.out.weight"],
    "h.0.mlp.c_fc": mine[f"{block}feed_forward.up.weight"],
    "h.0.mlp.c_proj": mine[f"{block}feed_forward.down.weight"],
}
state = {f"transformer.{name}.weight": table for name, table in renamed.items()}
theirs.load_state_dict(state | {"lm_head.weight": mine["token.weight"]})

question = [alphabet.index(character) for character in "ROMEO:"]
with no_grad():
    answers = [[score.data for row in network(question) for score in row] for network in (model, theirs)]

apart = max(abs(a - b) for a, b in zip(*answers, strict=True))
print(f"{len(answers[0])} scores, largest difference {apart:.0e}")

# %% tags=["check"]
assert len(theirs.parameters()) == len(model.parameters())
assert len(answers[0]) == 6 * len(alphabet)
assert apart < 1e-9

# %% [markdown]
# **Play.** A model of this size, in the page. Before you press ▶, type your guess: what is its first loss?
# (`play.html#screen=train&size=tinylm`)

# %% [markdown]
# ## Exercises
#
# **Exercise 1.** By hand: the parameters of a TinyLM with two blocks of width 64, 4 heads, a hidden layer of 128, a
# context of 64 and 65 characters. Then ask Python.

# %% tags=["solution"]
count = len(TinyLM(65, context=64, width=64, heads=4, hidden=128, layers=2).parameters())
print(f"{count:,}")
assert count == 65 * 64 + 64 * 64 + 2 * (4 * 64 * 64 + 2 * 64 * 128) == 73_792

# %% [markdown]
# **Exercise 2.** Eight characters are more than 100,000 Values. Build the loss of one, two and four characters, too.
# What does each further character cost? Is it always the same, and if not, why?

# %% tags=["solution"]
sizes = []
for length in (1, 2, 4, 8):
    piece = model.loss(tokens[here : here + length], tokens[here + 1 : here + length + 1])
    sizes.append(len(topological_order(piece)))

each = [(more - less) / count for less, more, count in zip(sizes, sizes[1:], (1, 2, 4), strict=False)]
print(sizes, each)  # a little more each time: attention looks at all earlier characters as well
assert sizes[-1] == len(topological_order(loss))
assert each == sorted(each)
assert each[-1] < 1.05 * each[0]

# %% [markdown]
# **Exercise 3.** Let the model write ten characters as it is, each drawn with the probabilities of the softmax. How
# likely is the likeliest character? (From here the next lesson goes on, after three thousand steps.)

# %% tags=["solution"]
rng, written, likeliest = random.Random(7), [alphabet.index("J")], []
with no_grad():
    for _ in range(10):
        probabilities = [p.data for p in F.softmax(model(written)[-1])]
        likeliest.append(max(probabilities))
        written += rng.choices(range(len(alphabet)), probabilities)

print(repr("".join(alphabet[token] for token in written)), f"{max(likeliest):.3f}")
assert max(likeliest) < 3 / len(alphabet)  # 1/56 would be each character's share

# %% [markdown]
# ## Summary
#
# - **GPT:** vectors for characters and positions → blocks → a last norm → a score for each character.
# - A **tied head** uses the table of characters at both ends.
# - Before training the loss is **ln V**: all characters are equally likely.
# - Eight characters are more than 100,000 Values, and every one of them has its gradient.
# - A compiler finds the matrix products in the scalar program; losses and gradients stay the same.
# - A pass costs about **two operations per parameter and character**.
# - `gpt/model.py` is the same model under GPT-2's names; with your numbers it gives your scores.
#
# On paper: [by_hand.html](by_hand.html), on a terminal `lesson by-hand`, has one training step of such a model.
#
# Next: Lesson 10b. So far the model has read nothing. How good is good, and what does it write?
