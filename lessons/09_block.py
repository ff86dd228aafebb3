# %% [markdown]
# # Lesson 9: The block
#
# **Question.** Eight layers should see more than one. Why do they learn nothing at all, and which two lines of code
# change that?
#
# At the end of Lesson 8b a gradient went back through eight attention layers in a row, and next to nothing of it
# arrived. That was the state of the art for many years: networks were shallow, because deep ones did not learn. Two
# small ideas ended it. Every large language model is a tower of blocks that use both.
#
# Today you build both ideas, one after the other, and the block that has both. Lesson 9b stacks eight blocks, and takes
# the ideas away again.

# %%
import math
import random

import viz
from tinygrad_edu import Value, record_calls
from tinygrad_edu import functional as F
from tinygrad_edu.nn import Linear, Module

FAST = globals().get("FAST", False)

# %% [markdown]
# ## A whisper down the line
#
# Children in a row pass a sentence on in a whisper. After eight of them nothing remains of it. A layer does the same to
# a gradient: it multiplies it by its slope. Say that the slope is 0.1, eight times in a row.
#
# **Predict.** What remains of a gradient of 1? And when each layer *adds* its result to its input, instead of replacing
# it: `y = y + 0.1·y`?
#
# answer without the sum: plain ± 1e-10
# answer with the sum: bypassed ± 0.15

# %%
x = Value(1.0, label="x")
y = x
for layer in range(8):
    y = 0.1 * y

y.backward()
plain = x.grad

x = Value(1.0, label="x")
y = x
for layer in range(8):
    y = y + 0.1 * y  # key: what was there, plus what the layer makes of it

y.backward()
bypassed = x.grad
print(f"plain {plain:.0e}, with a bypass {bypassed:.2f}")

# %% tags=["check"]
assert abs(plain - 1e-8) < 1e-15
assert abs(bypassed - 1.1**8) < 1e-9
assert round(bypassed, 2) == 2.14

# %%
x = Value(1.0, label="x")
y = x
for layer in range(3):
    y = y + 0.1 * y

y.backward()
viz.draw(y)

# %% [markdown]
# Three of the eight layers are enough for a picture. The slope of `y + f(y)` is `1 + f′`: whatever the layer does, the
# 1 is there. In the picture the gradient has a way around every layer. Each child now also holds a copy of the written
# sentence, and passes it on together with a remark. This is a **residual connection**, a bypass for the gradient. The
# growing sum that runs through the whole tower is the **residual stream**: every layer reads from it and adds to it,
# none replaces it.
#
# ## Normalization: a volume control
#
# A sum that grows at every layer gets large, and large inputs make long steps. So before a layer reads them, they are
# brought to one size: the numbers of a position are divided by their typical size. **RMS norm** (root mean square) does
# just that:
#
#     xᵢ / √(mean of x² + ε)
#
# and **layer norm**, the older one, first subtracts the mean:
#
#     (xᵢ − mean) / √(variance + ε)
#
# The ε (0.00001) is for the case that all numbers are equal: then the variance is 0.


# %% tags=["model"]
def rms_norm(row):  # (C) → (C)
    scale = (F.dot(row, row) / len(row) + 1e-5) ** -0.5
    return [x * scale for x in row]  # key: every number at the new volume


# %%
def layer_norm(row):
    mean = sum(row) / len(row)
    centered = [x - mean for x in row]
    variance = F.dot(centered, centered) / len(row)
    scale = (variance + 1e-5) ** -0.5
    return [x * scale for x in centered]


# %% [markdown]
# **Predict.** `[1, 2, 3, 4]`: which numbers come out of each norm? And out of `[100, 200, 300, 400]`?
#
# answer rms_norm, the first of the four: rms_norm(row)[0].data ± 0.01
# answer layer_norm, the first of the four: layer_norm(row)[0].data ± 0.01
# answer layer_norm of the hundredfold, the first: layer_norm(larger)[0].data ± 0.01

# %%
row = [Value(x) for x in (1.0, 2.0, 3.0, 4.0)]
larger = [x * 100 for x in row]
for norm in (rms_norm, layer_norm):
    print(norm.__name__, [round(x.data, 4) for x in norm(row)], [round(x.data, 4) for x in norm(larger)])

# %% tags=["check"]
assert [round(x.data, 4) for x in rms_norm(row)] == [0.3651, 0.7303, 1.0954, 1.4606]
assert [round(x.data, 4) for x in layer_norm(row)] == [-1.3416, -0.4472, 0.4472, 1.3416]
for norm, library in ((rms_norm, F.rms_norm), (layer_norm, F.layer_norm)):
    assert all(abs(a.data - b.data) < 1e-12 for a, b in zip(norm(row), library(row), strict=True))
    assert all(abs(a.data - b.data) < 1e-5 for a, b in zip(norm(row), norm(larger), strict=True))

# %% [markdown]
# A hundred times as large, and the same comes out. Large models today have the first of the two: it is cheaper. How
# much cheaper? Count the boxes of both graphs, which are the operations.
#
# **Predict.** A row of 64 numbers, two norms. Without the mean, what share of the operations is left?
#
# answer the share that is left (%): 100 * counted["rms_norm"] / counted["layer_norm"] ± 5


# %%
def operations(results):
    waiting, found = list(results), {}
    while waiting:
        value = waiting.pop()
        if value._prev and id(value) not in found:
            found[id(value)] = value
            waiting += value._prev
    return len(found)


wide = [Value(float(i)) for i in range(64)]
counted = {norm.__name__: operations(norm(wide)) for norm in (rms_norm, layer_norm)}
print(counted, f"{counted['rms_norm'] / counted['layer_norm']:.0%}")

# %% tags=["check"]
assert counted == {"rms_norm": 3 * 64 + 2, "layer_norm": 5 * 64 + 2}

# %% [markdown]
# Three operations for each number instead of five. In a whole model that is little, since the tables do far more work:
# 12·d² multiplications per position and block, against 2·d saved at each of two norms. (On a real processor a norm
# waits for memory more than for arithmetic: Zhang and Sennrich, who proposed it in 2019, measured from 7% to 64% less
# time for whole models.)
#
# Many pages write ε outside the root, `/ (√variance + ε)`. For
# ordinary rows the difference is small. But take a row of equal numbers, where the variance is 0, and ask for the
# gradient: the slope of a root at 0 is infinite.

# %%
equal = [Value(2.0) for _ in range(4)]
layer_norm(equal)[0].backward()
inside = equal[0].grad
equal = [Value(2.0) for _ in range(4)]
mean = sum(equal) / 4
variance = sum((x - mean) ** 2 for x in equal) / 4
((equal[0] - mean) / (variance**0.5 + 1e-5)).backward()
print(f"inside: {inside:.0f}; outside: {equal[0].grad:.0f}, and for the variance {variance.grad}")

# %% tags=["check"]
assert round(inside) == 237
assert round(equal[0].grad) == 75000
assert math.isnan(variance.grad)

# %% [markdown]
# Inside the root, ε limits the enlargement to 1/√ε = 316 times. Outside it is 1/ε = 100,000 times, and the variance
# gets 0 · ∞, which is *not a number*.

# %% [markdown]
# ## The block
#
# One block does two things. **Attention** (Lesson 8, unchanged) lets the positions talk to each other. A small
# **feed-forward** network, an MLP, then lets each position think about what it has heard, on its own: wider,
# activation, narrow again. (Here the activation is ReLU. GPT-2 has GELU, a soft ReLU; Supplement 19 compares them.)
# Each of the two has a norm before it, and the bypass around it.
#
#     x = x + attention(norm(x))
#     x = x + feed_forward(norm(x))
#
# The norm is on the branch, not in the stream ("pre-norm"): nothing at all is in the way of the gradient on its way
# down the stream.


# %% tags=["model"]
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


# %% tags=["model"]
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
# **Predict.** Attention has four tables of width × width. With a hidden layer of 2 · width, how many parameters does
# a block of width 8 have? And one of GPT-2, whose hidden layer is 4 · width, for any width d?
#
# answer width 8: len(block.parameters())
# answer GPT-2, times d²: len(Block(8, 2, 32, random.Random(1)).parameters()) / 8**2

# %%
block = Block(8, 2, 16, random.Random(1))
print(len(block.parameters()))

# %% tags=["check"]
assert len(block.parameters()) == 4 * 8 * 8 + 2 * 8 * 16 == 8 * 8**2 == 512
assert len(Block(8, 2, 32, random.Random(1)).parameters()) == 12 * 8**2

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
# same = BlockInPyTorch(8, 2, 16)
# same.load_state_dict({name: torch.tensor(numbers) for name, numbers in block.state_dict().items()})
# x = torch.randn(5, 8)
# theirs = same(x).tolist()
# ours = block([[Value(number) for number in row] for row in x.tolist()])
# print(max(abs(a.data - b) for row, other in zip(ours, theirs, strict=True) for a, b in zip(row, other, strict=True)))
# ```

# %% [markdown]
# 8·d² here, and 12·d² in GPT-2. Two thirds of that are in the feed-forward part, not in the famous attention.
#
# Here is one block at work, on four positions. What it gets is a sum, as in Lesson 8: a vector for what stands there,
# and one for where.

# %%
rng = random.Random(2)
what, where = ([[Value(rng.gauss(0, 1)) for _ in range(8)] for _ in range(4)] for _ in range(2))
stream = [F.add(a, b) for a, b in zip(what, where, strict=True)]
with record_calls() as calls:
    out = block(stream)

loss = F.dot(out[-1], out[-1])
loss.label = "size of the last"
loss.backward()
viz.draw(loss, calls=calls, budget=18)

# %% [markdown]
# Follow the thick lines that lead from one sum to the next, past attention and past feed-forward: these are the
# bypasses, and most of the gradient takes them. The five boxes before each branch are its norm. And this is what
# reaches the parts:

# %%
viz.flow(loss, calls=calls)

# %% tags=["check"]
[attention, feed_forward] = calls.calls[0].children
for part in (attention, feed_forward):
    into_branch = math.hypot(*(v.grad for v in part.inputs))
    assert 0 < into_branch < 0.3 * math.hypot(*(v.grad for row in stream for v in row))

# %% [markdown]
# **Play.** Six layers of sigmoid neurons in a row, without any bypass. Train, and see the bars under *Size of the
# gradients* fade from the output to layer 1
# (`play.html#screen=network&data=circles&layers=8-8-8-8-8-8&activation=sigmoid`).

# %% [markdown]
# ## Exercises
#
# **Exercise 1.** Three layers with the slopes 0.5, −1 and 2 in a row. By hand: what remains of a gradient of 1 without
# bypasses, and with them? Is a bypass a guarantee?

# %% tags=["solution"]
ends = []
for keep in (0.0, 1.0):
    x = Value(1.0)
    y = x
    for slope in (0.5, -1.0, 2.0):
        y = keep * y + slope * y
    y.backward()
    ends.append(x.grad)

print(ends)  # 1.5 · 0 · 3 = 0: a layer whose slope is exactly −1 takes away what the bypass gives
assert ends == [-1.0, 0.0]

# %% [markdown]
# **Exercise 2.** GPT-2 has 12 blocks of width 768. By hand: how many parameters are in the tables of its blocks? It is
# known for 124 million. Where are the others? (It knows 50,257 tokens and 1,024 positions, and has a vector for each.)

# %% tags=["solution"]
blocks = 12 * 12 * 768**2
tokens, positions = 50_257 * 768, 1024 * 768
print(f"{blocks:,} + {tokens:,} + {positions:,} = {blocks + tokens + positions:,}; the rest are biases and norms")
assert blocks == 84_934_656
assert 0 < 124_439_808 - (blocks + tokens + positions) < 200_000

# %% [markdown]
# **Exercise 3.** Set the last table of each branch, `out` and `down`, to 0. What does the block do now? And a block
# without its bypasses? (The next lesson begins here: a deep network contains every shallower one.)

# %% tags=["solution"]
idle = Block(8, 2, 16, random.Random(1))
for table in (idle.attention.out, idle.feed_forward.down):
    for parameter in table.parameters():
        parameter.data = 0.0

x = [[Value(rng.gauss(0, 1)) for _ in range(8)] for _ in range(4)]
passed, branch = idle(x), idle.feed_forward(x)
print(max(abs(a.data - b.data) for row, other in zip(passed, x, strict=True) for a, b in zip(row, other, strict=True)))
print({v.data for row in branch for v in row})  # without the bypass nothing is left of what came in
assert all(a.data == b.data for row, other in zip(passed, x, strict=True) for a, b in zip(row, other, strict=True))
assert all(v.data == 0 for row in branch for v in row)

# %% [markdown]
# ## Summary
#
# - **Residual connection** (bypass): `x + layer(x)`. Its slope is 1 + f′, so the gradient always has a way down.
# - The **residual stream** is the growing sum; every layer reads from it and adds to it.
# - **RMS norm** divides by the root of the mean square, **layer norm** also subtracts the mean; ε is inside the root.
# - **Pre-norm:** the norm is on the branch, not in the stream.
# - A **block**: positions talk (attention), then each position thinks (feed-forward). 12·d² parameters in GPT-2.
# - A block whose last tables are 0 passes on what it gets.
#
# A whole block with all numbers, forward and backward: [by_hand.html](by_hand.html), on a terminal `lesson by-hand`.
#
# Next: Lesson 9b, eight blocks. Which of the two ideas keeps the gradient alive, and is that enough to learn?
