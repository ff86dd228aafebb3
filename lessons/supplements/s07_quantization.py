# %% [markdown]
# # Supplement 7: Fewer bits per weight
#
# **Question.** A weight is stored in 32 bits. How many of them does a language model need?
#
# Follows Lesson 10b. Rounding trained weights to a few levels is called **quantization**; it is how a model of 7
# billion weights gets into a laptop.

# %%
import math
import random
from pathlib import Path

import lessons
import viz
from gpt.config import GPTConfig
from gpt.model import GPT
from tinygrad_edu import jit
from tinygrad_edu.compiler import AdamW

FAST = globals().get("FAST", False)

# %% [markdown]
# ## A row of weights by hand
#
# With b bits there are 2ᵇ levels. We use an odd number of them, as many below 0 as above: with 4 bits −7, −6, … 7. For
# each row of a table, one number is kept in full, the **scale**: the largest weight of the row becomes the last level.
# Every weight becomes the nearest level.


# %%
def quantized(row, bits):
    top = 2 ** (bits - 1) - 1
    scale = max(abs(w) for w in row) / top
    levels = [round(w / scale) for w in row]  # key: the nearest level, a small whole number
    return levels, scale


row = [0.31, -0.08, 0.70, -0.52, 0.04]

# %% [markdown]
# **Predict.** With 4 bits: what is the scale, and which levels do these five weights get?
#
# answer the scale: quantized(row, 4)[1]
# answer the level of 0.31: quantized(row, 4)[0][0]
# answer the level of −0.52: quantized(row, 4)[0][3]

# %%
for bits in (8, 4, 3, 2):
    levels, scale = quantized(row, bits)
    print(f"{bits} bits: {levels} · {scale:.4f} = {[round(level * scale, 2) for level in levels]}")

# %% tags=["check"]
levels, scale = quantized(row, 4)
assert levels == [3, -1, 7, -5, 0]
assert math.isclose(scale, 0.1)
assert quantized(row, 2)[0] == [0, 0, 1, -1, 0]
for bits in (8, 4, 3, 2):
    levels, scale = quantized(row, bits)
    assert max(abs(w - level * scale) for w, level in zip(row, levels, strict=True)) <= scale / 2 + 1e-12

# %% [markdown]
# The scale is 0.1. No weight moves by more than half a step; and each bit less makes a step twice as wide.
#
# ## A model
#
# The names of Lesson 6, a GPT of width 32. Its loss on names that it has not seen is what we watch.

# %%
alphabet = ".abcdefghijklmnopqrstuvwxyz"
names = (Path(lessons.__file__).parent / "data" / "names.txt").read_text(encoding="utf-8").split()
random.Random(0).shuffle(names)


def tokens(names):
    return [alphabet.index(character) for character in "." + ".".join(names) + "."]


training, unseen = tokens(names[:1800]), tokens(names[1800:])


def batch(tokens, count, rng):
    starts = [rng.randrange(len(tokens) - 16) for _ in range(count)]
    return [tokens[s : s + 16] for s in starts], [tokens[s + 1 : s + 17] for s in starts]


model = GPT(GPTConfig(vocab_size=27, block_size=16, n_layer=1, n_head=4, n_embd=32), seed=1)
compiled = jit(model.loss)
optimizer, rng = AdamW(compiled.parameters, lr=0.01), random.Random(2)
steps = 400 if FAST else 800
for step in range(steps):
    compiled.value_and_grad(*batch(training, 32, rng))
    optimizer.lr = 0.01 * (1 - step / steps)
    optimizer.step()

trained, held_out = model.state_dict(), batch(unseen, 512, random.Random(3))


def loss_with(tables):
    model.load_state_dict(tables)
    return float(compiled(*held_out).mean())


full = loss_with(trained)
print(f"{len(model.parameters()):,} weights, loss {full:.3f}; guessing costs ln 27 = {math.log(27):.3f}")

# %% [markdown]
# ## Eight bits, four, two
#
# No more training: all weights are rounded, and the loss is measured again.
#
# **Predict.** At how many bits does the loss begin to rise? With 2 bits there are only the levels −1, 0 and 1: is
# that still a model, or is it noise?
#
# answer it has clearly risen, by 0.05, at: max(bits for bits in costs if costs[bits] > 0.05)
# answer 2 bits are: costs[2] < (math.log(27) - full) / 2 | still a model | mostly noise


# %%
def rounded(row, bits):
    levels, scale = quantized(row, bits)
    return [level * scale for level in levels]


def per_row(tables, bits):
    return {name: [rounded(row, bits) for row in table] for name, table in tables.items()}


def size(tables, bits):
    rows = sum(len(table) for table in tables.values())
    weights = sum(len(row) for table in tables.values() for row in table)
    return weights * bits / 8 + (4 * rows if bits < 32 else 0)  # and a scale per row


costs = {}
print(f"32 bits {size(trained, 32):8,.0f} bytes   loss {full:.3f}")
for bits in (8, 6, 5, 4, 3, 2):
    costs[bits] = loss_with(per_row(trained, bits)) - full
    print(f"{bits:2} bits {size(trained, bits):8,.0f} bytes   loss {full + costs[bits]:.3f}   {costs[bits]:+.4f}")

# %% tags=["check"]
assert abs(costs[8]) < 0.01
assert costs[8] < costs[4] < costs[3] < costs[2]
assert costs[4] < 0.1
assert 0.05 < costs[3] < 0.5
assert costs[2] > (math.log(27) - full) / 2
assert size(trained, 32) == 4 * 14_528 == 58_112
assert 0.25 < size(trained, 8) / size(trained, 32) < 0.3
assert 0.12 < size(trained, 4) / size(trained, 32) < 0.17

# %% [markdown]
# Eight bits are free: the difference is less than a hundredth of a nat. Four bits cost a few hundredths. Then it goes
# fast: with three the model is clearly worse, and with two most of what it knew is gone.
#
# ## One scale for a whole table
#
# Why a scale for every row? One for the whole table would save a few bytes. But then the largest weight of the *table*
# sets the step for all, and a row of small weights gets only a few of the levels. Worst is an **outlier**. In large
# models a few *activations*, always in the same columns, are up to twenty times as large as the others (Dettmers et al.
# 2022), which ruins a scale that they share with the rest. The same happens to a table of weights. We make an outlier
# there: a single weight in the first table of the MLP becomes twenty times as large as a typical one.
#
# **Predict.** Four bits, and that one weight. What does it cost with a scale per row, and with one per table?
#
# answer it costs more with: curves["per row, outlier"][4][1] > curves["per table, outlier"][4][1]
#   | a scale per row | one per table


# %%
def per_table(tables, bits):
    result = {}
    for name, table in tables.items():
        numbers = iter(rounded([w for row in table for w in row], bits))
        result[name] = [[next(numbers) for _ in row] for row in table]
    return result


lopsided = {name: [list(row) for row in table] for name, table in trained.items()}
table = lopsided["transformer.h.0.mlp.c_fc.weight"]
typical = math.sqrt(sum(w * w for row in table for w in row) / (128 * 32))
table[0][0] = 20 * typical
ways = {
    "per row": (trained, per_row),
    "per table": (trained, per_table),
    "per row, outlier": (lopsided, per_row),
    "per table, outlier": (lopsided, per_table),
}
curves = {}
for way, (tables, rounding) in ways.items():
    start = loss_with(tables)
    curves[way] = [(bits, loss_with(rounding(tables, bits)) - start) for bits in (8, 7, 6, 5, 4, 3, 2)]
    print(f"{way:20}", "  ".join(f"{bits}: {cost:+.3f}" for bits, cost in curves[way]))

# %% tags=["check"]
cost = {way: dict(curve) for way, curve in curves.items()}
assert cost["per table"][4] > cost["per row"][4]
assert cost["per table"][3] > (1.3 if FAST else 2) * cost["per row"][3]
assert cost["per row, outlier"][4] < 0.1
assert cost["per table, outlier"][4] > 3 * cost["per row, outlier"][4]

# %%
viz.plot(curves, title="What rounding costs", x="bits per weight", y="loss added, in nats")

# %% [markdown]
# One weight out of 14,528 spoils a whole table, because it makes the step so wide that all others round to nearly
# nothing. With a scale per row it spoils only its own row. So real formats keep a scale for every 32 or 64 weights, or
# store the outliers apart; and more careful methods choose each rounding so that the errors in a row cancel out.
#
# A model of 7 billion weights is 28 GB in 32 bits, and 3.5 GB in four. That is the laptop.

# %% tags=["check"]
assert 7e9 * 32 / 8 == 28e9
assert 7e9 * 4 / 8 == 3.5e9
assert len(model.parameters()) == 14_528

# %% [markdown]
# ## Exercises
#
# **Exercise 1.** Round the row 0.9, −0.3, 0.1 to 3 bits by hand: the scale, the levels, the numbers that come out.

# %% tags=["solution"]
levels, scale = quantized([0.9, -0.3, 0.1], 3)
print(levels, round(scale, 2), [round(level * scale, 2) for level in levels])
assert (levels, round(scale, 2)) == ([3, -1, 0], 0.3)

# %% [markdown]
# **Exercise 2.** Four bits, and a scale of 16 bits for each group of 32 weights: how many bits does a weight take? How
# large is a model of 7 billion?

# %% tags=["solution"]
bits = 4 + 16 / 32
print(bits, f"{7e9 * bits / 8 / 1e9:.2f} GB")
assert bits == 4.5
assert round(7e9 * bits / 8 / 1e9, 2) == 3.94

# %% [markdown]
# ## Summary
#
# - **Quantization:** a scale for each row, and a small whole number for each weight. The error is at most half a step.
# - Eight bits are free here, four cost little, two destroy the model.
# - An **outlier** widens the step for all that share its scale; so scales are for rows or small groups.
