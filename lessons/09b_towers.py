# %% [markdown]
# # Lesson 9b: Four towers
#
# **Question.** A bypass and a norm make a deep network learn. Which of the two does what, and is a gradient that
# arrives enough?
#
# In Lesson 9 you built a block that has both. Today eight of them stand on each other, with both ideas, with one of
# them, and with neither. You bet first, then look at the gradient, then train.

# %%
import math
import random

import viz
from lessons.built import Attention, FeedForward
from tinygrad_edu import Value, jit, record_calls
from tinygrad_edu import functional as F
from tinygrad_edu.compiler import Adam
from tinygrad_edu.nn import Embedding, Linear, Module

FAST = globals().get("FAST", False)

# %% [markdown]
# ## What you have
#
# - A layer that replaces its input multiplies the gradient by its slope, f′. One that adds to it, by 1 + f′: that is
#   the **residual connection**, or bypass.
# - **RMS norm** brings the numbers that a layer reads to one size: `x / √(mean of x² + ε)`.
# - A **block** is `x = x + attention(norm(x))`, then `x = x + feed_forward(norm(x))`.
#
# `Attention` and `FeedForward` are your classes of Lesson 8 and Lesson 9, word for word, from `lessons/built.py`;
# `F.rms_norm` is the library's, which gave the same numbers as yours. Only the block is written again, with a switch
# for each idea:


# %% tags=["model"]
class Block(Module):
    def __init__(self, width, heads, hidden, rng, bypass=True, norm=True):
        self.attention = Attention(width, heads, rng)
        self.feed_forward = FeedForward(width, hidden, rng)
        self.bypass, self.norm = bypass, norm

    def add(self, x, layer):
        new = layer([F.rms_norm(row) for row in x] if self.norm else x)  # key: the layer, of normalized rows or of x
        return [F.add(old, more) for old, more in zip(x, new, strict=True)] if self.bypass else new

    def forward(self, x):  # (T, width) → (T, width)
        return self.add(self.add(x, self.attention), self.feed_forward)


# %% tags=["check"]
from lessons.built import Block as BlockOfLesson9

rng = random.Random(5)
rows = [[Value(rng.gauss(0, 1)) for _ in range(8)] for _ in range(4)]
one, two = (kind(8, 2, 16, random.Random(1))(rows) for kind in (Block, BlockOfLesson9))
for row, other in zip(one, two, strict=True):
    assert all(abs(a.data - b.data) < 1e-12 for a, b in zip(row, other, strict=True))

# %% [markdown]
# ## Eight blocks, and a game
#
# The card game of Lesson 8b: say the number on the last card with the called letter. There one attention was enough; we
# want to see whether eight blocks can be trained *at all*. `scale` multiplies all weights of the blocks at the start.

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
        return self.answer(F.rms_norm(x[-1]) if self.norm else x[-1])


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
    return rungs[0][1] / rungs[-1][1]  # key: the length at block 1, divided by that at block 8


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
viz.draw(loss, calls=calls, budget=24, direction="wrapped")

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
# doing nothing is easy: a block whose last tables are 0 passes on what it gets (Lesson 9, exercise 3).

# %% [markdown]
# **Play.** Train a GPT on Shakespeare in this page, and race two learning rates (`play.html#screen=train`).

# %% [markdown]
# ## Exercises
#
# **Exercise 1.** By hand: how many parameters does a tower have, and how many of them are in its blocks?

# %% tags=["solution"]
tower = Tower(random.Random(3), True, True)
inside = sum(len(block.parameters()) for block in tower.blocks)
print(f"{len(tower.parameters()):,}, of which {inside:,} in the blocks")
assert inside == 8 * (4 * 8 * 8 + 2 * 8 * 16) == 4096
assert len(tower.parameters()) == inside + (4 + 7 + 5) * 8 + 8 * 6 + 6 == 4278

# %% [markdown]
# **Exercise 2.** The first transformer (2017) had the norm in the stream, after the sum: `x = norm(x + layer(x))`,
# "post-norm". Build that block, and compare its ladder with *both*, at twice the scale.


# %% tags=["solution"]
PreNormBlock = Block


class Block(PreNormBlock):
    def add(self, x, layer):
        return [F.rms_norm(F.add(old, more)) for old, more in zip(x, layer(x), strict=True)]


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
# - **Without bypass** the gradient may die, **without norm** it may explode.
# - With both the ladder is level, whatever the weights are at the start: you need not search for good ones.
# - A gradient that arrives is necessary for learning, not sufficient: after eight replacements nothing remains of the
#   input.
# - Without bypass a deeper network is worse, even on its training data: **degradation**.
# - GPT-2 has one thing more: the last tables of the branches start smaller, so that the sum stays small.
#
# Next: letters in, blocks, letters out. A GPT.
