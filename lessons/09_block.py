# %% [markdown]
# # Lesson 9: The block
#
# **Question.** Eight layers should see more than one. Why do they learn nothing at all, and which two lines of code
# change that?
#
# At the end of the last lesson a gradient went back through eight attention layers in a row, and next to nothing of it
# arrived. That was the state of the art for many years: networks were shallow, because deep ones did not learn. Two
# small ideas ended it. Every large language model is a tower of blocks that use both.
#
# There are two sittings in this lesson: first the two ideas, one after the other, and the block that has both; from
# *Four towers* on, what becomes of eight blocks that have both, one of them, or neither.

# %%
import math
import random

import viz
from tinygrad_edu import Value, jit, record_calls
from tinygrad_edu import functional as F
from tinygrad_edu.compiler import Adam
from tinygrad_edu.nn import Embedding, Linear, Module

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
# One block does two things. **Attention** (last lesson, unchanged) lets the positions talk to each other. A small
# **feed-forward** network, an MLP, then lets each position think about what it has heard, on its own: wider,
# activation, narrow again. (Here the activation is ReLU. GPT-2 has GELU, a soft ReLU; Supplement 19 compares them.)
# Each of the two has a norm before it, and the bypass around it.
#
#     x = x + attention(norm(x))
#     x = x + feed_forward(norm(x))
#
# The norm is on the branch, not in the stream ("pre-norm"): nothing at all is in the way of the gradient on its way
# down the stream. To see what each idea does, both can be switched off.


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
    def __init__(self, width, heads, hidden, rng, bypass=True, norm=True):
        self.attention = Attention(width, heads, rng)
        self.feed_forward = FeedForward(width, hidden, rng)
        self.bypass, self.norm = bypass, norm

    def add(self, x, layer):
        new = layer([rms_norm(row) for row in x] if self.norm else x)
        return [F.add(old, more) for old, more in zip(x, new, strict=True)] if self.bypass else new

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
# ## Stop here if an hour is over
#
# You have the block, and both ideas in it:
#
# - A layer that replaces its input multiplies the gradient by its slope; one that adds to it, by 1 + f′. That sum is
#   the **residual connection**, and what grows along the way is the **residual stream**.
# - **RMS norm** brings the numbers that a layer reads to one size: `x / √(mean of x² + ε)`, with ε inside the root.
# - `x = x + attention(norm(x))`, then `x = x + feed_forward(norm(x))`: 12·d² parameters in GPT-2.
#
# To begin the second sitting with: *what is the slope of x + f(x) for a layer that does nothing?* And two questions to
# bet on: which of the two ideas keeps the gradient alive, and is that enough to learn?

# %% [markdown]
# ## Four towers
#
# The card game of the last lesson, and eight blocks instead of one attention. (One was enough for this game; we want to
# see whether eight can be trained *at all*.) `scale` multiplies all weights of the blocks at the start.

# %%
LETTERS, NUMBERS, CARDS, WIDTH, DEPTH = 4, 6, 4, 8, 8


def deal(count, rng):
    letters, numbers, answers = [], [], []
    for _ in range(count):
        on_cards = [(rng.randrange(LETTERS), rng.randrange(NUMBERS)) for _ in range(CARDS)]
        called = rng.choice(on_cards)[0]
        letters.append([letter for letter, _ in on_cards] + [called])
        numbers.append([number for _, number in on_cards] + [NUMBERS])
        answers.append([number for letter, number in on_cards if letter == called][-1])
    return letters, numbers, answers


class Tower(Module):
    def __init__(self, rng, bypass, norm, scale=1.0, depth=DEPTH):
        self.letter = Embedding(LETTERS, WIDTH, std=0.5, rng=rng)
        self.number = Embedding(NUMBERS + 1, WIDTH, std=0.5, rng=rng)
        self.position = Embedding(CARDS + 1, WIDTH, std=0.5, rng=rng)
        self.blocks = [Block(WIDTH, 2, 2 * WIDTH, rng, bypass, norm) for _ in range(depth)]
        self.answer = Linear(WIDTH, NUMBERS, rng=rng)
        self.norm = norm
        for block in self.blocks:
            for parameter in block.parameters():
                parameter.data *= scale

    def forward(self, letters, numbers):
        x = [F.add(self.letter(a), self.number(n)) for a, n in zip(letters, numbers, strict=True)]
        x = [F.add(row, self.position(t)) for t, row in enumerate(x)]
        for block in self.blocks:
            x = block(x)
        return self.answer(rms_norm(x[-1]) if self.norm else x[-1])


VARIANTS = {"neither": (False, False), "norm": (False, True), "bypass": (True, False), "both": (True, True)}


def one_game(tower):
    [letters], [numbers], [answer] = deal(1, random.Random(7))
    with record_calls() as calls:
        loss = F.cross_entropy(tower(letters, numbers), answer)
    loss.backward()
    blocks = [call for call in calls.calls[0].children if call.kind == "Block"]
    return loss, calls, blocks


def ladder(blocks):
    return [(number, math.hypot(*(value.grad for value in block.outputs))) for number, block in enumerate(blocks, 1)]


def down(rungs):
    return rungs[0][1] / rungs[-1][1]


# %% [markdown]
# `ladder` is the length of the gradient at the result of each block, its number first. The gradient comes from the
# loss, so it starts at block 8 and climbs down to block 1; `down` is what remains of it there.
#
# **Predict.** For each of the four: does it shrink, stay, or grow on the way down from block 8 to block 1?
#
# answer neither: sum(down(ladders["neither"]) > x for x in (0.3, 3)) | shrinks | stays | grows
# answer norm: sum(down(ladders["norm"]) > x for x in (0.3, 3)) | shrinks | stays | grows
# answer bypass: sum(down(ladders["bypass"]) > x for x in (0.3, 3)) | shrinks | stays | grows
# answer both: sum(down(ladders["both"]) > x for x in (0.3, 3)) | shrinks | stays | grows

# %%
games = {name: one_game(Tower(random.Random(3), *switches)) for name, switches in VARIANTS.items()}
ladders = {name: ladder(blocks) for name, (_, _, blocks) in games.items()}
for name, rungs in ladders.items():
    print(f"{name:8} block 8: {rungs[-1][1]:.1e}   block 1: {rungs[0][1]:.1e}   ratio {down(rungs):.1e}")

# %% tags=["check"]
ratio = {name: down(rungs) for name, rungs in ladders.items()}
assert ratio["neither"] < 1e-8
assert 0.01 < ratio["norm"] < 0.1
assert 0.5 < ratio["bypass"] < 2
assert 0.5 < ratio["both"] < 2

# %%
viz.plot(ladders, title="The gradient at each block", x="block", y="length of the gradient", log=True)

# %% [markdown]
# With neither, half a billionth arrives. With the bypass the gradient is as long at the first block as at the
# last. Then the norm would not be needed? Make all weights of the blocks twice as large at the start.
#
# **Predict.** The same four once more, with weights twice as large. Which ones are in trouble now?
#
# answer norm: 0.3 < down(scaled_ladders["norm"]) < 3 | fine | in trouble
# answer bypass: 0.3 < down(scaled_ladders["bypass"]) < 3 | fine | in trouble
# answer both: 0.3 < down(scaled_ladders["both"]) < 3 | fine | in trouble

# %%
scaled_games = {name: one_game(Tower(random.Random(3), *switches, scale=2)) for name, switches in VARIANTS.items()}
scaled_ladders = {name: ladder(blocks) for name, (_, _, blocks) in scaled_games.items()}
for name, rungs in scaled_ladders.items():
    loss = scaled_games[name][0].data
    print(f"{name:8} block 8: {rungs[-1][1]:.1e}   block 1: {rungs[0][1]:.1e}   loss {loss:.2f}")

# %% tags=["check"]
scaled_ratio = {name: down(rungs) for name, rungs in scaled_ladders.items()}
assert 50 < scaled_ratio["bypass"] < 200
assert scaled_games["bypass"][0].data > 100
assert scaled_ratio["norm"] < 0.1
assert 0.5 < scaled_ratio["both"] < 2

# %%
viz.plot(scaled_ladders, title="Weights twice as large", x="block", y="length of the gradient", log=True)

# %% [markdown]
# Bypass without norm: every layer enlarges the stream, and after eight of them it is huge. The gradient
# grows a hundredfold on its way down, and the loss before any training is near 300. With both, nothing has changed:
# whatever the weights are, the ladder is level. That is what makes deep networks easy: not that you *can* find good
# initial weights, but that you need not search.
#
# `viz.flow` shows the same block by block, and says in words what is worst. It gets the gradients at the result of each
# block. Neither:


# %%
def flow(loss, blocks):
    return viz.flow(loss, layers={block.path: [value.grad for value in block.outputs] for block in blocks})


flows = {name: flow(loss, blocks) for name, (loss, _, blocks) in games.items()}
flows["neither"]

# %% [markdown]
# Only the norm:

# %%
flows["norm"]

# %% [markdown]
# Only the bypass, with weights twice as large:

# %%
loss, _, blocks = scaled_games["bypass"]
flow(loss, blocks)

# %% tags=["check"]
assert any("vanishes" in finding for finding in flows["neither"].findings)
assert flows["norm"].findings == []
[finding] = flow(loss, blocks).findings
assert finding.startswith("The gradient explodes on its way back: at blocks.0 it is 110 times as long as at blocks.7")

# %% [markdown]
# Both, with weights twice as large:

# %%
loss, calls, blocks = scaled_games["both"]
flow(loss, blocks)

# %% [markdown]
# And the graph of the tower with both: eight equal blocks, folded into one: each feeds the next.

# %%
viz.draw(loss, calls=calls, budget=40, direction="wrapped")

# %% [markdown]
# ## Which of them learns?


# %%
def train(tower, steps):
    def loss(letters, numbers, answer):
        return F.cross_entropy(tower(letters, numbers), answer)

    compiled = jit(loss, tower)
    optimizer = Adam(compiled.parameters, lr=0.01)
    rng = random.Random(2)
    losses = []
    for step in range(steps):
        losses.append(compiled.value_and_grad(*deal(32, rng)))
        optimizer.lr = 0.01 * (1 - step / steps)  # long steps first, short ones at the end
        optimizer.step()
    return [sum(losses[i : i + 20]) / 20 for i in range(steps - 19)]  # smoothed


# %% [markdown]
# **Predict.** Four towers, weights twice as large, the same games. Guessing costs ln 6 = 1.79. Which ones get below?
#
# answer neither: curves["neither"][-1] < 1.5 | gets below | does not
# answer norm: curves["norm"][-1] < 1.5 | gets below | does not
# answer bypass: curves["bypass"][-1] < 1.5 | gets below | does not
# answer both: curves["both"][-1] < 1.5 | gets below | does not

# %%
steps = 200 if FAST else 600
curves = {name: train(Tower(random.Random(3), *switches, scale=2), steps) for name, switches in VARIANTS.items()}
for name, curve in curves.items():
    print(f"{name:8} {curve[0]:.2f} → {curve[-1]:.2f}")

# %% tags=["check"]
assert curves["both"][-1] < (1.5 if FAST else 0.5)
assert abs(curves["neither"][-1] - math.log(6)) < 0.02
assert abs(curves["norm"][-1] - math.log(6)) < 0.02
assert curves["bypass"][-1] > 1.5

# %%
viz.plot(curves, title="Four towers of eight blocks", x="step", y="loss, mean of 20 steps", log=True)

# %% [markdown]
# *Neither* and *norm* stay at guessing, though a gradient arrives at their first block: a third of it in the first, a
# twenty-eighth in the second. (With weights twice as large, *neither* does not vanish; look at its ladder once more.)
# After eight replacements nothing remains of what the cards said. A gradient that arrives is necessary, not sufficient.
# *Bypass* alone spends its steps on making its weights smaller. *Both* learns the game.
#
# ## Is deeper better?
#
# A deeper network can do all that a shallow one can: its upper blocks need only pass on what they get. So it should
# never be worse.
#
# **Predict.** Towers of one, two, four and eight blocks, with neither and with both. Which learn the game?
#
# answer with neither, up to so many blocks: max((depth for depth, loss in depths["neither"] if loss < 1.2), default=0)
# answer with both, up to so many blocks: max((depth for depth, loss in depths["both"] if loss < 1.5), default=0)

# %%
depths = {"neither": [], "both": []}
for name, found in depths.items():
    for depth in (1, 2, 4):
        shallow = train(Tower(random.Random(3), *VARIANTS[name], scale=2, depth=depth), steps)
        found.append((depth, shallow[-1]))
    found.append((8, curves[name][-1]))
    print(f"{name:8}", "  ".join(f"depth {depth}: {loss:.2f}" for depth, loss in found))

# %% tags=["check"]
plain = [loss for _, loss in depths["neither"]]
assert plain == sorted(plain)
assert plain[0] < (1 if FAST else 0.1)
assert plain[2] > 1.4
assert all(loss < (1.5 if FAST else 0.5) for _, loss in depths["both"])

# %%
viz.plot(depths, title="Deeper, and worse", x="blocks", y="loss at the end")

# %% [markdown]
# One plain block learns the game, and so do two; four hardly begin to, and eight do not learn it at all. This is not
# overfitting: each step deals new cards, so there is nothing to memorize. The deep network contains the good shallow
# one, and training does not find it. It has a name, **degradation**: in 2015 a plain network of 56 layers had more
# errors *on its training data* than one of 20 (He et al. 2015), and that is what the bypass was invented for. With it,
# doing nothing is easy: a block whose last table is 0 passes on what it gets.

# %% [markdown]
# **Play.** Train a GPT on Shakespeare in this page, and race two learning rates (`play.html#screen=train`).

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
# **Exercise 2.** The first transformer (2017) had the norm in the stream, after the sum: `x = norm(x + layer(x))`,
# "post-norm". Build that block, and compare its ladder with *both*, at twice the scale.


# %% tags=["solution"]
PreNormBlock = Block


class Block(PreNormBlock):
    def add(self, x, layer):
        return [rms_norm(F.add(old, more)) for old, more in zip(x, layer(x), strict=True)]


_, _, blocks = one_game(Tower(random.Random(3), True, True, scale=2))
post = ladder(blocks)
Block = PreNormBlock
print(" ".join(f"{rung:.2g}" for _, rung in post))  # the norms in the stream take a little at every block
assert 10 < 1 / down(post) < 30

# %% [markdown]
# **Exercise 3.** GPT-2 has both, and one thing more: the last table of each branch (`out` and `down`) starts divided by
# √(2 · depth), since the stream is a sum of 2 · depth branches. Give that to *bypass* alone, at twice the scale. Is the
# ladder level?

# %% tags=["solution"]
tower = Tower(random.Random(3), True, False, scale=2)
for block in tower.blocks:
    for table in (block.attention.out, block.feed_forward.down):
        for parameter in table.parameters():
            parameter.data /= (2 * DEPTH) ** 0.5

loss, _, blocks = one_game(tower)
quiet = ladder(blocks)
print(f"loss {loss.data:.2f};", " ".join(f"{rung:.2f}" for _, rung in quiet))
assert 1 < down(quiet) < 2

# %% [markdown]
# ## Summary
#
# - **Residual connection** (bypass): `x + layer(x)`. Its slope is 1 + f′, so the gradient always has a way down.
# - The **residual stream** is the growing sum; every layer reads from it and adds to it.
# - **RMS norm** divides by the root of the mean square, **layer norm** also subtracts the mean; ε is inside the root.
# - **Pre-norm:** the norm is on the branch, not in the stream.
# - A **block**: positions talk (attention), then each position thinks (feed-forward). 12·d² parameters in GPT-2.
# - Without bypass the gradient may die, without norm it may explode; with both the ladder is level, however it starts.
# - A gradient that arrives is necessary for learning, not sufficient.
# - Without bypass a deeper network is worse, even on its training data: **degradation**.
#
# A whole block with all numbers, forward and backward: [by_hand.html](by_hand.html), on a terminal `lesson by-hand`.
#
# Next: letters in, blocks, letters out. A GPT.
