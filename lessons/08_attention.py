# %% [markdown]
# # Lesson 8: Attention
#
# **Question.** "The river bank overflowed": how does *bank* find out which of the words around it tells what it means?
#
# The model of the last lesson sees a window of fixed positions, and has different weights for each position. What it
# has learned about the third position it does not know about the fourth. And nothing in it can say: "look for the word
# that matters, *wherever it is*". Today every position learns to ask the others.
#
# You compute attention with a pencil first, and then write it as a class. Whether it learns what to look for is the
# question of Lesson 8b.

# %%
import math
import random

import viz
from tinygrad_edu import Value, record_calls
from tinygrad_edu import functional as F
from tinygrad_edu.nn import Linear, Module

FAST = globals().get("FAST", False)

# %% [markdown]
# ## Drawers with labels
#
# Think of a cabinet. Each earlier word is a drawer; it has a **label** outside, and a **content** inside. You come with
# a **request**, compare it with every label, and open the drawers: not one of them, but all of them a little, the wider
# the better the label fits. What you take home is a mixture of the contents.
#
# Every word plays all three parts, and has three vectors for them:
#
# - the **query** `q`, what this word is looking for;
# - the **key** `k`, what it says about itself on the label;
# - the **value** `v`, what it passes on.
#
# How well do a request and a label fit? Multiply them number by number and add up: the dot product is large when two
# vectors point the same way. A softmax (Lesson 5) turns the scores into probabilities, the **attention weights**. For a
# query and the keys of T words:
#
#     wₜ = softmax(q · kₜ / √d)        result = Σ wₜ · vₜ
#
# Here `d` is how many numbers a query has. What the root is for comes later.


# %% tags=["model"]
def look_at(query, keys):
    scale = len(query) ** -0.5
    return F.softmax([F.dot(query, key) * scale for key in keys])  # key: softmax of the scaled dot products


def mix(weights, values):
    return [F.dot(weights, column) for column in zip(*values, strict=True)]  # key: number by number, the weighted sum


# %% [markdown]
# ## Three words by hand
#
# Two numbers are enough for an example that many pages show. The first number means *water*, the second *disaster*.
# To keep it small, each word's query and key are the same vector.

# %%
words = ["river", "bank", "overflowed"]
numbers = {"river": [1.0, 0.0], "bank": [1.0, 1.0], "overflowed": [0.0, 1.0]}
contents = {"river": [0.9, 0.1], "bank": [0.5, 0.5], "overflowed": [0.1, 0.9]}
keys = [[Value(x, label=f"k{i} {word}") for i, x in enumerate(numbers[word], 1)] for word in words]
values = [[Value(x, label=f"v{i} {word}") for i, x in enumerate(contents[word], 1)] for word in words]
query = [Value(x, label=f"q{i} bank") for i, x in enumerate(numbers["bank"], 1)]
weights = look_at(query, keys)
print([round(w.data, 4) for w in weights])

# %% [markdown]
# *Bank* attends most to itself, and to each of its two neighbors with a quarter. The pages that show this say: "now
# *bank* carries the meaning of *river*".
#
# **Predict.** Which two numbers come out of the mixture of [0.9, 0.1], [0.5, 0.5] and [0.1, 0.9]? Has *bank* changed?
#
# answer the first number: result[0].data
# answer the second number: result[1].data
# answer bank has: abs(result[0].data - 0.5) > 1e-9 | changed | not changed

# %%
result = mix(weights, values)
print([round(x.data, 4) for x in result])

# %% tags=["check"]
assert [round(w.data, 4) for w in weights] == [0.2483, 0.5035, 0.2483]
assert all(abs(x.data - 0.5) < 1e-12 for x in result)  # bank's own content: nothing has changed
assert abs(sum(w.data for w in weights) - 1) < 1e-12

# %% [markdown]
# It is [0.5, 0.5], exactly what *bank* had inside before. The two neighbors pull with equal strength in opposite
# directions. Always run your examples! The row of *river* does show something:

# %%
query = [Value(x, label=f"q{i} river") for i, x in enumerate(numbers["river"], 1)]
weights = look_at(query, keys)
result = mix(weights, values)
print([round(w.data, 4) for w in weights], "→", [round(x.data, 4) for x in result])

# %% tags=["check"]
assert [round(w.data, 4) for w in weights] == [0.4011, 0.4011, 0.1978]
assert [round(x.data, 4) for x in result] == [0.5813, 0.4187]

# %% [markdown] tags=["pytorch"]
# ```python
# import torch
#
# q, k, v = (torch.tensor(x) for x in ([numbers["river"]], list(numbers.values()), list(contents.values())))
# weights = torch.softmax(q @ k.T / 2**0.5, dim=1)
# result = weights @ v
# print(weights.tolist(), "→", result.tolist())
# print(torch.nn.functional.scaled_dot_product_attention(q, k, v).tolist())  # the same in one call
# ```

# %% [markdown]
# *River* came with [0.9, 0.1] and leaves with [0.5813, 0.4187]: it has heard of the others. All three rows together,
# which word (a row) attends to which (a column):

# %%
viz.attention([look_at(key, keys) for key in keys], words)

# %% [markdown]
# And the graph of a single result, from left to right: a dot product for each score, the root, a softmax, the
# mixture. The gradient reaches queries, keys and values alike: all three can learn.

# %%
result[0].label = "water in river"
result[0].backward()
viz.draw(result[0], budget=40)

# %% tags=["check"]
assert all(abs(v[0].grad - w.data) < 1e-12 for v, w in zip(values, weights, strict=True))
assert all(q.grad != 0 for q in query)

# %% [markdown]
# The gradient of a *value* is its weight, as for every weighted sum: the word with the most attention learns most about
# the mistake.
#
# ## What the root is for
#
# Take queries and keys at random, each number about 1 in size. Their dot product is a sum of d such products: the
# longer the vectors, the larger the scores, and how large grows with √d. A softmax of large scores is nearly one
# single 1 and the rest 0: it has made up its mind before it has learned anything, and there its slope is nearly 0
# (like a saturated sigmoid, Lesson 3).
#
# **Predict.** With d = 64: how large is a typical dot product, and how much of the attention does the best of 8 keys
# get, without the root and with it?
#
# answer a typical product: typical ± 1
# answer the best key without the root (%): 100 * best["without"] ± 10
# answer the best key with the root (%): 100 * best["with"] ± 10

# %%
rng = random.Random(1)


def gauss(d):
    return [rng.gauss(0, 1) for _ in range(d)]


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


products = [dot(gauss(64), gauss(64)) for _ in range(2000)]
typical = (sum(p * p for p in products) / 2000) ** 0.5
best = {"without": 0.0, "with": 0.0}
for i in range(0, 2000, 8):
    scores = [Value(p) for p in products[i : i + 8]]
    best["without"] += max(w.data for w in F.softmax(scores)) / 250
    best["with"] += max(w.data for w in F.softmax([s / 8 for s in scores])) / 250

print(
    f"typical product {typical:.1f}; the best key gets {best['without']:.0%} without the root, {best['with']:.0%} with"
)

# %% tags=["check"]
assert abs(typical - 8) < 0.3
assert 0.85 < best["without"] < 0.9
assert 0.3 < best["with"] < 0.4

# %% [markdown]
# √64 is 8, and 8 is how large the products are. Divided by it, they are about 1 again, whatever d is.
#
# ## The whole thing
#
# Where do queries, keys and values come from? From the word's own vector, by three tables of weights that are learned.
# Two more ideas complete it.
#
# **No position sees the future.** A language model guesses the next character at *every* position of a text at once,
# which gives a lesson per character. A position that saw the next character would only copy it. So position t attends
# to the positions up to t, and the softmax is taken over those alone: every row still sums to 1. This is the **causal
# mask**.
#
# **Several heads.** One softmax attends mostly to one position. To attend to two positions for two reasons, cut the
# vectors into pieces, and let each piece attend on its own. A **head** is such a piece. In the end a fourth table mixes
# what they have found.


# %% tags=["model"]
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


# %% [markdown]
# **Predict.** The width is 16. How many parameters does an attention layer have with one head? And with four?
#
# answer with one head: len(one.parameters())
# answer with four heads: len(four.parameters())

# %%
one, four = Attention(16, 1, random.Random(1)), Attention(16, 4, random.Random(1))
print(len(one.parameters()), len(four.parameters()))

# %% tags=["check"]
assert len(one.parameters()) == len(four.parameters()) == 4 * 16 * 16 == 1024

# %% [markdown]
# Heads cost nothing: they divide what is there. Now, is the future really hidden? We give it five
# vectors, and ask how the result at the *third* position depends on each of them.

# %%
x = [[Value(rng.gauss(0, 1)) for _ in range(16)] for _ in range(5)]
with record_calls() as calls:
    third = four(x)[2]

loss = F.dot(third, third)
loss.backward()
reached = [math.hypot(*(v.grad for v in row)) for row in x]
print([round(g, 3) for g in reached])

# %% tags=["check"]
assert all(g > 0.01 for g in reached[:3])
assert reached[3:] == [0.0, 0.0]
heads = viz.attention(calls, kind="Head").maps
assert [[len(row) for row in head.rows] for head in heads] == [[1, 2, 3, 4, 5]] * 4
assert all(abs(sum(row) - 1) < 1e-12 for head in heads for row in head.rows)

# %% [markdown]
# The last two are exactly 0: no line of the graph leads from the future to the third position. Inside the layer the
# gradient splits: four heads, and behind them the three tables.

# %%
viz.flow(loss, calls=calls, split=["Head"])

# %% [markdown]
# **Play.** A GPT that reads names: point at a letter and see which earlier letters each head looks at
# (`play.html#screen=names&model=gpt`).

# %% [markdown]
# ## It does not know any order
#
# **Predict.** We swap the first and the third of the five vectors. What happens to the result at the *last* position?
#
# answer it: change < 1e-9
#   | stays the same | changes a little | becomes that of the first position

# %%
before = [v.data for v in one(x)[-1]]
after = [v.data for v in one([x[2], x[1], x[0], *x[3:]])[-1]]
change = max(abs(a - b) for a, b in zip(before, after, strict=True))
print(f"largest change: {change:.1e}")

# %% tags=["check"]
assert change < 1e-12

# %% [markdown]
# Nothing (but for rounding: it adds up in another order). A sum has no order: for the last position, one attention
# layer is a bag of words. "Dog bites man", "man bites dog": the same. With two layers in a row it is not quite so: the
# mask lets the first position see one word and the third position three, so the first layer treats them differently,
# and the second can tell.

# %%
second = Attention(16, 1, random.Random(2))
before = [v.data for v in second(one(x))[-1]]
after = [v.data for v in second(one([x[2], x[1], x[0], *x[3:]]))[-1]]
change = max(abs(a - b) for a, b in zip(before, after, strict=True))
print(f"two layers, largest change: {change:.3f}")

# %% tags=["check"]
assert change > 0.001

# %% [markdown]
# A faint trace, and hard to use. The remedy is simple: each *position* gets its own learned vector, too, which is added
# to the vector of the word there. A query can then ask for what, or for where, or for both.

# %% [markdown]
# ## Exercises
#
# **Exercise 1.** With the causal mask, *bank* sees *river* and itself, and *river* sees only itself. By hand: what are
# their rows now, and what comes out for *bank*?

# %% tags=["solution"]
keys = [[Value(x) for x in numbers_of] for numbers_of in ([1.0, 0.0], [1.0, 1.0], [0.0, 1.0])]
rows = [[w.data for w in look_at(key, keys[: t + 1])] for t, key in enumerate(keys)]
bank = [sum(w * contents[word][i] for w, word in zip(rows[1], words, strict=False)) for i in range(2)]
print([[round(w, 4) for w in row] for row in rows[:2]], [round(x, 4) for x in bank])
assert rows[0] == [1.0]
assert abs(rows[1][1] - 1 / (1 + math.exp(-1 / 2**0.5))) < 1e-12  # the scores are 1/√2 and 2/√2
assert [round(x, 4) for x in bank] == [0.6321, 0.3679]

# %% [markdown]
# **Exercise 2.** A page computes causal attention like this: scores for all pairs, one softmax over the *whole* table,
# then zeros above the diagonal. Do that with the three words. What do the rows sum to, and what does the first word
# get?

# %% tags=["solution"]
scores = [[F.dot(q, k).data / 2**0.5 for k in keys] for q in keys]
total = sum(math.exp(s) for row in scores for s in row)
wrong = [[math.exp(s) / total if k <= q else 0.0 for k, s in enumerate(row)] for q, row in enumerate(scores)]
sums = [sum(row) for row in wrong]
print([round(s, 3) for s in sums])  # river, which sees only itself, should hand over all of itself: weight 1
assert max(sums) < 0.5
assert abs(sums[0] - math.exp(2**-0.5) / total) < 1e-12

# %% [markdown]
# **Exercise 3.** Give each of the five places a vector of its own, drawn once, and add it to the vector that stands
# there. Then swap the first and the third vector of `x` again, as before. By how much does the result of the one layer
# change at the last position? (With such vectors the next lesson begins.)

# %% tags=["solution"]
rng = random.Random(3)
places = [[rng.gauss(0, 1) for _ in range(16)] for _ in range(5)]
told = [
    [v.data for v in one([F.add(row, place) for row, place in zip(rows, places, strict=True)])[-1]]
    for rows in (x, [x[2], x[1], x[0], *x[3:]])
]
change = max(abs(a - b) for a, b in zip(*told, strict=True))
print(f"largest change: {change:.2f}")  # the places stay, the words move: now the two sums differ
assert change > 0.05

# %% [markdown]
# ## Summary
#
# - **Query, key, value:** what a position looks for, how it is labeled, what it passes on; three learned tables.
# - **Attention:** `softmax(q·k / √d)` are the weights, and the result is the weighted sum of the values.
# - The gradient of a value is its weight: the word with the most attention learns most about the mistake.
# - **√d** keeps the scores near 1, so that the softmax has not made up its mind before it has learned.
# - **Causal mask:** position t sees the positions up to t; each row is a separate softmax and sums to 1.
# - **Heads** cut the vectors into pieces that attend on their own. They cost no parameters: 4·C² with any number.
# - One layer of attention knows no order, and the mask alone says little; vectors for **positions** tell it.
#
# On paper: the page [by_hand.html](by_hand.html), which `lesson by-hand -o by_hand.pdf` prints, writes out one training
# step of a transformer with two tokens: Q, K, V, scores, weights, forward and backward, every product.
#
# Next: Lesson 8b. So far nobody has told the tables what to look for. Can they find it out by playing?
