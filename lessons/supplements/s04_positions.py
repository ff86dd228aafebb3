# %% [markdown]
# # Supplement 4: Where am I? Sinusoids and rotations
#
# **Question.** Attention sees a heap of words without an order. How does a word learn where it is, even at positions
# never seen in training?
#
# Follows Lesson 8b, where each position had its own learned vector.

# %%
import math
import random

import viz
from tinygrad_edu import Value
from tinygrad_edu import functional as F

# %% [markdown]
# ## Without positions: a heap
#
# Let one word attend to four others, then to the same four in another order, and compare the results.

# %%
rng = random.Random(1)


def vector(size):
    return [Value(rng.gauss(0, 1)) for _ in range(size)]


def look(query, keys, values):
    weights = F.softmax([F.dot(query, key) * len(query) ** -0.5 for key in keys])
    return [F.dot(weights, column) for column in zip(*values, strict=True)]


query, keys, values = vector(4), [vector(4) for _ in range(4)], [vector(4) for _ in range(4)]
order = [2, 0, 3, 1]
one = look(query, keys, values)
other = look(query, [keys[i] for i in order], [values[i] for i in order])
print(max(abs(a.data - b.data) for a, b in zip(one, other, strict=True)) < 1e-12)

# %% tags=["check"]
assert all(abs(a.data - b.data) < 1e-12 for a, b in zip(one, other, strict=True))

# %% [markdown]
# No difference: "dog bites man" is "man bites dog".
#
# ## Clocks with many hands
#
# The first transformer (Vaswani et al. 2017, section 3.5) adds to each word a fixed vector of sines and cosines: a row
# of clock hands, the first fast, each next one slower. Positions 1 and 2 differ in the fast hands; positions 1 and 1000
# in the slow ones, as seconds and hours do.
#
#     angle of hand i at position t:  t / 10000^(2i/d)


# %%
def angles(place, size):
    return [place / 10000 ** (2 * i / size) for i in range(size // 2)]


def sinusoid(place, size):
    return [f(angle) for angle in angles(place, size) for f in (math.sin, math.cos)]


print([round(x, 5) for x in sinusoid(1, 4)])

# %% tags=["check"]
assert [round(x, 5) for x in sinusoid(1, 4)] == [0.84147, 0.5403, 0.01, 0.99995]
assert sinusoid(0, 4) == [0.0, 1.0, 0.0, 1.0]

# %%
places = range(60)
viz.plot(
    {f"hand {i}": [sinusoid(t, 8)[2 * i] for t in places] for i in range(3)},
    title="Sines of the first three hands",
    x="position",
    y="sine",
)

# %% [markdown]
# **Predict.** Take the dot product of the vectors of two positions: 3 and 7, or 20 and 24. Which product is larger?
#
# answer the larger one is that of: round(
#     product(sinusoid(3, 16), sinusoid(7, 16)) - product(sinusoid(20, 16), sinusoid(24, 16)),
#     9) == 0 | neither: they are equal | 3 and 7 | 20 and 24


# %%
def product(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


for s, t in ((3, 7), (20, 24), (3, 20)):
    print(s, t, round(product(sinusoid(s, 16), sinusoid(t, 16)), 4))

# %% tags=["check"]
assert math.isclose(product(sinusoid(3, 16), sinusoid(7, 16)), product(sinusoid(20, 16), sinusoid(24, 16)))
assert product(sinusoid(3, 16), sinusoid(20, 16)) < product(sinusoid(3, 16), sinusoid(7, 16))

# %% [markdown]
# Equal, to the last digit: sin·sin + cos·cos is the cosine of the *difference* of the angles. The product depends on
# how far apart two positions are, not on where they are.
#
# ## Turn the arrow instead of adding to it
#
# If the difference is what matters, build it into attention itself. **Rotary positions** (Su et al. 2021) add nothing:
# they take query and key in pairs of numbers, each an arrow in a plane, and *turn* each arrow by the angle of its hand
# at that position. A turned arrow keeps its length, and the product of two turned arrows depends on the difference of
# the turns. Two numbers per pair:
#
#     (a, b)  →  (a·cos − b·sin, a·sin + b·cos)


# %%
def turn(x, place):
    turned = []
    for i, angle in enumerate(angles(place, len(x))):
        a, b = x[2 * i], x[2 * i + 1]
        turned += [a * math.cos(angle) - b * math.sin(angle), a * math.sin(angle) + b * math.cos(angle)]
    return turned


query, key = vector(8), vector(8)
scores = [F.dot(turn(query, t + 5), turn(key, t)).data for t in (0, 1, 10, 1000)]
print([round(s, 6) for s in scores])

# %% tags=["check"]
assert max(scores) - min(scores) < 1e-9
length = math.hypot(*(x.data for x in turn(query, 7)))
assert math.isclose(length, math.hypot(*(x.data for x in query)))

# %% [markdown]
# Five positions apart, anywhere: the same score. And since a rotation is products and sums, the gradient goes through
# it as through everything else: it arrives turned back.

# %%
a, b = Value(1.0, label="a"), Value(0.0, label="b")
turned = turn([a, b], 1)
turned[0].label, turned[1].label = "a turned", "b turned"
goal = 3 * turned[0] + 4 * turned[1]
goal.label = "goal"
goal.backward()
print(round(a.grad, 4), round(b.grad, 4), round(math.hypot(a.grad, b.grad), 4))

# %% tags=["check"]
assert math.isclose(a.grad, 3 * math.cos(1) + 4 * math.sin(1))
assert math.isclose(b.grad, 4 * math.cos(1) - 3 * math.sin(1))
assert math.isclose(math.hypot(a.grad, b.grad), 5.0)

# %%
viz.draw(goal)

# %% [markdown]
# The gradient (3, 4) has length 5 after the rotation, and still has length 5 before it: rotations neither shrink nor
# blow up gradients.
#
# `gpt train --positions rotary` trains our GPT with it (`apply_rotary` in `gpt/model.py` pairs number i with number
# i + d/2, which is the same in another order), and the preset `base` uses it. Learned vectors know nothing about
# position 65 if they were trained on 64; rotations are defined everywhere, though a model is less reliable beyond the
# positions it was trained on.

# %% [markdown]
# ## Exercises
#
# **Exercise 1.** A vector of 4 has two hands. After how many positions has each of them gone around once?

# %% tags=["solution"]
rounds = [2 * math.pi / angle for angle in angles(1, 4)]
print([round(r, 1) for r in rounds])
assert [round(r, 1) for r in rounds] == [6.3, 628.3]

# %% [markdown]
# **Exercise 2.** Turn a key by its position, and the query not at all. Does the score still depend on the distance
# alone?

# %% tags=["solution"]
half_turned = [F.dot(query, turn(key, t)).data for t in (0, 5)]
also_five = [F.dot(turn(query, t + 5), turn(key, t)).data for t in (0, 5)]
print([round(s, 3) for s in half_turned], [round(s, 3) for s in also_five])
assert abs(half_turned[0] - half_turned[1]) > 0.01  # no: it depends on where the key is
assert abs(also_five[0] - also_five[1]) < 1e-9

# %% [markdown]
# ## Summary
#
# - Attention without **positional encoding** sees a heap.
# - **Sinusoids** are added to the vectors: fast and slow hands, as on a clock. Their products depend on the distance.
# - **Rotary positions (RoPE)** turn query and key instead; every score depends on the distance alone.
# - A rotation changes no length, neither forward nor backward.
#
# Next: how far beyond its training such a model reads, and what helps, in Supplement 25.
