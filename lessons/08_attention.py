# %% [markdown]
# # Lesson 8: Attention
#
# **Question.** "The river bank overflowed": how does *bank* find out which of the words around it tells what it means?
#
# The model of the last lesson sees a window of fixed positions, and has different weights for each position. What it
# has learned about the third position it does not know about the fourth. And nothing in it can say: "look for the word
# that matters, *wherever it is*". Today every position learns to ask the others.
#
# There are two sittings in this lesson: first, how attention computes, with a pencil and then as a class; from *A game
# of cards* on, whether it learns what to look for.

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

F.dot(third, third).backward()
reached = [math.hypot(*(v.grad for v in row)) for row in x]
print([round(g, 3) for g in reached])

# %% tags=["check"]
assert all(g > 0.01 for g in reached[:3])
assert reached[3:] == [0.0, 0.0]
heads = viz.attention(calls, kind="Head").maps
assert [[len(row) for row in head.rows] for head in heads] == [[1, 2, 3, 4, 5]] * 4
assert all(abs(sum(row) - 1) < 1e-12 for head in heads for row in head.rows)

# %% [markdown]
# The last two are exactly 0: no line of the graph leads from the future to the third position.
#
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
#
# ## Stop here if an hour is over
#
# You can compute attention by hand now:
#
# - A **query** is compared with every **key**: `softmax(q·k / √d)`. The result is the weighted sum of the **values**.
# - The root keeps the scores near 1, so that the softmax has not made up its mind before it has learned.
# - Position t sees the positions up to t. **Heads** are pieces of the vectors that attend on their own.
# - One layer knows no order; a vector for each position tells it.
#
# To begin the second sitting with: *what is the gradient of a value, and which word learns most about a mistake?*
# So far nobody has told the tables what to look for. Can they find it out by playing?

# %% [markdown]
# ## A game of cards
#
# Four cards are turned up one after the other; each has a letter and a number. Then a letter is called. You have to say
# the number on the *last* card with this letter:
#
#     B3  A5  B1  C0   B?    →   1
#
# To win, find the right letter, wherever it is; if it is there twice, take the later one; and say its number.

# %%
LETTERS, NUMBERS, CARDS, WIDTH = 4, 6, 4, 16


def deal(count, rng):
    letters, numbers, answers = [], [], []
    for _ in range(count):
        on_cards = [(rng.randrange(LETTERS), rng.randrange(NUMBERS)) for _ in range(CARDS)]
        called = rng.choice(on_cards)[0]
        letters.append([letter for letter, _ in on_cards] + [called])
        numbers.append([number for _, number in on_cards] + [NUMBERS])  # one more number stands for "?"
        answers.append([number for letter, number in on_cards if letter == called][-1])
    return letters, numbers, answers


def show(letters, numbers):
    return [f"{'ABCD'[a]}{'012345?'[n]}" for a, n in zip(letters, numbers, strict=True)]


letters, numbers, answers = deal(3, random.Random(5))
for i in range(3):
    print(*show(letters[i], numbers[i]), "→", answers[i])


# %% [markdown]
# Three players. The first is the network of the last lesson: all five positions side by side, a hidden layer, an
# answer. The second has attention. The third has attention and vectors for positions.


# %%
class Player(Module):
    def __init__(self, rng, positions):
        self.letter = Embedding(LETTERS, WIDTH, std=0.5, rng=rng)
        self.number = Embedding(NUMBERS + 1, WIDTH, std=0.5, rng=rng)
        self.position = Embedding(CARDS + 1, WIDTH, std=0.5, rng=rng) if positions else None
        self.attention = Attention(WIDTH, 1, rng)
        self.answer = Linear(WIDTH, NUMBERS, rng=rng)

    def embedded(self, letters, numbers):
        x = [F.add(self.letter(a), self.number(n)) for a, n in zip(letters, numbers, strict=True)]
        if self.position:
            x = [F.add(row, self.position(t)) for t, row in enumerate(x)]
        return x

    def forward(self, letters, numbers):
        return self.answer(self.attention(self.embedded(letters, numbers))[-1])


class WindowPlayer(Module):
    def __init__(self, rng):
        self.letter = Embedding(LETTERS, 8, std=0.5, rng=rng)
        self.number = Embedding(NUMBERS + 1, 8, std=0.5, rng=rng)
        self.hidden = Linear(8 * (CARDS + 1), 32, rng=rng)
        self.answer = Linear(32, NUMBERS, rng=rng)

    def forward(self, letters, numbers):
        pairs = zip(letters, numbers, strict=True)
        side_by_side = [v for a, n in pairs for v in F.add(self.letter(a), self.number(n))]
        return self.answer([z.tanh() for z in self.hidden(side_by_side)])


player = Player(random.Random(1), positions=True)
with record_calls() as calls:
    loss = F.cross_entropy(player(letters[0], numbers[0]), answers[0])

loss.backward()
print(f"loss {loss.data:.2f}; guessing among six numbers costs ln 6 = {math.log(6):.2f}")

# %% tags=["check"]
assert len(player.parameters()) == (4 + 7 + 5) * 16 + 4 * 16 * 16 + 16 * 6 + 6 == 1382
assert abs(loss.data - math.log(6)) < 0.6

# %% [markdown]
# The graph of this loss, folded into modules, and where its gradient goes:

# %%
viz.draw(loss, calls=calls, budget=30, direction="wrapped")

# %%
viz.flow(loss, calls=calls, split=["Head"])

# %% [markdown]
# The letter and number tables get their gradient along two paths: through what the called letter asks for, and through
# what the cards answer.
#
# **Play.** A GPT that reads names: point at a letter and see which earlier letters each head looks at
# (`play.html#screen=names&model=gpt`).
#
# ## Which one wins?
#
# As in the lessons before, `jit` runs the same scalar program for many games at once; in single scalars this training
# would take minutes.


# %%
def train(player, steps):
    def loss(letters, numbers, answer):
        return F.cross_entropy(player(letters, numbers), answer)

    compiled = jit(loss, player)
    optimizer = Adam(compiled.parameters, lr=0.01)
    rng = random.Random(2)
    losses = []
    for _ in range(steps):
        losses.append(compiled.value_and_grad(*deal(32, rng)))  # key: the mean loss of 32 new games, and its gradient
        optimizer.step()
    return losses


def share_won(player, games):
    letters, numbers, answers = deal(games, random.Random(99))
    scores = jit(player).flat(letters, numbers)  # (6, games)
    said = [max(range(NUMBERS), key=lambda number: scores[number][game]) for game in range(games)]
    return sum(a == b for a, b in zip(said, answers, strict=True)) / games


# %% [markdown]
# **Predict.** 32 games per step, 400 steps. How many of the new games does each win: the window, attention without
# positions, attention with positions? (Guessing wins one in six.)
#
# answer the window wins (%): 100 * won["window"] ± 10
# answer attention without positions (%): 100 * won["attention"] ± 10
# answer attention with positions (%): 100 * won["attention + positions"] ± 10

# %%
players = {
    "window": WindowPlayer(random.Random(1)),
    "attention": Player(random.Random(1), positions=False),
    "attention + positions": player,
}
losses = {name: train(some, 400) for name, some in players.items()}
won = {name: share_won(some, 500) for name, some in players.items()}
for name, share in won.items():
    print(f"{name:18}  {len(players[name].parameters()):,} parameters, wins {share:.0%}")

# %% tags=["check"]
assert won["attention + positions"] > 0.97
assert 0.65 < won["attention"] < 0.85
assert 0.4 < won["window"] < 0.6
assert losses["attention + positions"][120] < 0.2


# %%
def smooth(losses, n=20):
    return [sum(losses[i : i + n]) / n for i in range(len(losses) - n + 1)]


curves = {name: smooth(some) for name, some in losses.items()}
viz.plot(curves, title="Learning to look it up", x="step", y="loss, mean of 20 steps")

# %% [markdown]
# Attention with positions has it after about a hundred steps, and is then nearly always right. Without positions it
# finds the right letter, but when there are two of them, it cannot tell which came last and mixes both. The window must
# learn separately for every *pair* of positions what "the same letter" means; what it has found out about cards 1 and 5
# does not help it with 2 and 5. It has more parameters than the others, and still only half of the games.
#
# Now look inside: what does the called letter, in the last row, attend to?

# %%
letters, numbers, answers = deal(1, random.Random(6))
game = show(letters[0], numbers[0])
with record_calls() as calls:
    player(letters[0], numbers[0])

seen = viz.attention(calls, game, kind="Head")
print(*game, "→", answers[0])
seen

# %% tags=["check"]
twice = [t for t, letter in enumerate(letters[0][:-1]) if letter == letters[0][-1]]
assert len(twice) == 2
assert seen.maps[0].rows[-1][twice[-1]] > 0.9

# %% [markdown]
# There are two cards with the called letter; nearly all of its attention goes to the later one. The hatched cells are
# the future, which no position sees. The other rows mean nothing: those positions were never asked, so nothing has
# taught them.
#
# This is how language models keep their grammar: a verb looks for its subject, a closing quotation
# mark for the opening one, a name for its earlier occurrence. What to look for is learned, as everything is.

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
# **Exercise 3.** Put eight attention layers in a row, width 16, and let a gradient come back from the end. How large is
# the gradient at the results of each? (This is where the next lesson begins.)

# %% tags=["solution"]
rng = random.Random(4)
layers = [Attention(16, 1, rng) for _ in range(8)]
x = [[Value(rng.gauss(0, 1)) for _ in range(16)] for _ in range(4)]
results = []
for layer in layers:
    x = layer(x)
    results.append(x)

F.dot(x[-1], [1.0] * 16).backward()
norms = [math.hypot(*(v.grad for row in result for v in row)) for result in results]
print(" ".join(f"{norm:.1e}" for norm in norms))
assert norms[0] < norms[-1] / 100

# %% [markdown]
# ## Summary
#
# - **Query, key, value:** what a position looks for, how it is labeled, what it passes on; three learned tables.
# - **Attention:** `softmax(q·k / √d)` are the weights, and the result is the weighted sum of the values.
# - **√d** keeps the scores near 1, so that the softmax has not made up its mind before it has learned.
# - **Causal mask:** position t sees the positions up to t; each row is a separate softmax and sums to 1.
# - **Heads** cut the vectors into pieces that attend on their own. They cost no parameters: 4·C² with any number.
# - One layer of attention knows no order, and the mask alone says little; vectors for **positions** tell it.
# - It looks things up wherever they are; a window of fixed positions cannot.
#
# On paper: the page [by_hand.html](by_hand.html), which `lesson by-hand -o by_hand.pdf` prints, writes out one training
# step of a transformer with two tokens: Q, K, V, scores, weights, forward and backward, every product.
#
# Next: many attention layers in a row, and why that needs residual connections.
