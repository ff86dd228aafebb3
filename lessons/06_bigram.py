# %% [markdown]
# # Lesson 6: One character after another
#
# **Question.** A language model guesses the next character. What can be known from the one before it alone, and why
# does training find the very numbers that counting finds?
#
# Today the classes are characters. There will be two models: one counts, the other one is trained. They are different
# programs, and they end up the same. If you understand why, you understand what a language model learns.

# %%
import math
import random
from collections import Counter
from itertools import pairwise
from pathlib import Path

import lessons
import viz
from tinygrad_edu import jit, record_calls
from tinygrad_edu.compiler import Adam
from tinygrad_edu.functional import cross_entropy, softmax
from tinygrad_edu.nn import Embedding, Module

FAST = globals().get("FAST", False)

# %% [markdown]
# ## Two thousand names
#
# Our text is a list of first names: the 2,000 most common ones in the United States census of 1990, which is in the
# public domain. Nine tenths are for learning; the rest is held out.

# %%
file = Path(lessons.__file__).parent / "data" / "names.txt"
names = file.read_text(encoding="utf-8").split()
random.Random(0).shuffle(names)
training, validation = names[:1800], names[1800:]
print(len(names), names[:8])

# %% [markdown]
# A network takes numbers, so each character gets a number, its **index**. Besides the 26 letters we need a sign for
# *here a name begins* and *here it ends*; the dot serves for both.

# %%
alphabet = ".abcdefghijklmnopqrstuvwxyz"
index = {character: i for i, character in enumerate(alphabet)}


def pairs(names):
    marked = [f".{name}." for name in names]
    return [(index[a], index[b]) for name in marked for a, b in pairwise(name)]


print([alphabet[a] + alphabet[b] for a, b in pairs(["emma"])])
print(pairs(["emma"]))

# %% [markdown]
# These pairs are all that today's models see. Each is an example like those of the last lesson: the first character is
# the input, the second one the class. Such a model of pairs is called a **bigram** model.
#
# ## Counting
#
# How often was each character followed by each other one?

# %%
examples = pairs(training)
counts = Counter(examples)
starts = Counter(first for first, _ in examples)


def counted(first, second):
    return counts[first, second] / starts[first]  # key: how often second came, among all that followed first


# %% [markdown]
# **Predict.** What follows a `q` in first names, and with what probability? What follows a `y` most often?
#
# answer after q comes most often: max(alphabet, key=lambda second: counted(index["q"], index[second])) | a | i | u
# answer with the probability: max(counted(index["q"], index[second]) for second in alphabet) ± 0.1
# answer after y comes most often (the dot is the end):
#   max(alphabet, key=lambda second: counted(index["y"], index[second])) | a | n | .

# %%
for first in "qy":
    row = sorted(alphabet, key=lambda second: -counted(index[first], index[second]))[:4]
    print(first, {second: round(counted(index[first], index[second]), 2) for second in row})

print(f"{len(examples):,} pairs, of which {len(counts)} of {27 * 27} are different")

# %% tags=["check"]
assert len(names) == 2000 and len(set(names)) == 2000
assert len(examples) == 12_372 and len(counts) == 395
assert max(alphabet, key=lambda second: counts[index["q"], index[second]]) == "u"
assert max(alphabet, key=lambda second: counts[index["y"], index[second]]) == "."

# %% [markdown]
# How good is this model? Measure it as in the last lesson: the mean surprise at the character that really came.
# Guessing blindly among 27 characters would cost ln 27 = 3.2958 nats.

# %%
surprises = [-math.log(counted(first, second)) for first, second in examples]
counted_loss = sum(surprises) / len(surprises)
print(f"guessing {math.log(27):.4f}, counting {counted_loss:.4f}")

# %% tags=["check"]
assert round(math.log(27), 4) == 3.2958
assert round(counted_loss, 4) == 2.3389

# %% [markdown]
# ## A table of scalars
#
# Now without counting. The trained model is the simplest one that there can be: a table of 27 × 27 Values. The row of a
# character holds the scores of all that could follow it. No weights, no sums, no activations: the forward pass looks up
# a row. A table in which things are looked up by their index is called an **embedding**.


# %% tags=["model"]
class Bigram(Module):
    def __init__(self, vocab_size):
        self.table = Embedding(vocab_size, vocab_size, std=0.0)

    def forward(self, x):
        return self.table(x)

    def loss(self, x, target):
        return cross_entropy(self(x), target)


# %%
model = Bigram(27)
with record_calls() as calls:
    loss = model.loss(index["e"], index["m"])

len(model.parameters())

# %% [markdown]
# `cross_entropy` and `softmax` come from the library from now on; they do what ours did. The table starts with zeros:
# all scores equal, no preference at all.
#
# **Predict.** What is the loss, to four decimals? And how many of the 729 parameters will get a gradient that is not 0?
#
# answer loss: loss.data ± 0.0001
# answer parameters with a gradient: len(touched)

# %%
loss.backward()
touched = [parameter for parameter in model.parameters() if parameter.grad != 0]
print(f"{loss.data:.4f}, {len(touched)} parameters")

# %% tags=["check"]
assert len(model.parameters()) == 729
assert abs(loss.data - math.log(27)) < 1e-12
row = model.table.weight[index["e"]]
assert set(touched) == set(row) and len(touched) == 27
for i, parameter in enumerate(row):
    assert abs(parameter.grad - (1 / 27 - (i == index["m"]))) < 1e-12

# %% [markdown] tags=["pytorch"]
# ```python
# import torch
#
# table = torch.nn.Embedding(27, 27)
# torch.nn.init.zeros_(table.weight)
# loss = torch.nn.functional.cross_entropy(table(torch.tensor([index["e"]])), torch.tensor([index["m"]]))
# loss.backward()
# print(f"{loss.item():.4f}, {table.weight.grad.count_nonzero().item()} parameters")
# ```

# %%
viz.draw(loss, calls=calls, budget=24)

# %%
viz.flow(loss, calls=calls)

# %% [markdown]
# ln 27, as it must be, and the gradient touches the 27 numbers of one row; the other 96 % of the table get nothing,
# because they were not looked up. In the row it is `p − onehot` again: 1/27 for each character, and 1/27 − 1 for the
# `m` that came.
#
# ## Training, with a helper
#
# One pair takes 112 operations on scalars, and we have 12,372 pairs: more than a million operations for a single step.
# Python needs seconds for that. So here, for the first time in this course, scalars alone are too slow, and we call for
# help: `jit` runs our function once, writes down what it does to the scalars, and makes of it a program that does the
# same to all pairs at once. Nothing about the model changes; the numbers stay the same:

# %%
compiled = jit(model.loss, model, dtype="float64")
inputs, targets = zip(*examples, strict=True)
for_one = compiled.value_and_grad([index["e"]], [index["m"]])
gradients = compiled.parameters.gradient
apart = [abs(g - p.grad) for g, p in zip(gradients, model.parameters(), strict=True)]
print(f"{for_one:.4f}; the gradients are at most {max(apart)} apart")
stats = compiled.stats()
print(f"{stats.scalar_operations} operations on scalars → {stats.instructions} on arrays")

# %% tags=["check"]
assert abs(for_one - loss.data) < 1e-12
assert max(apart) < 1e-12
assert stats.scalar_operations == 112 and stats.instructions == 9
assert 112 * len(examples) > 1_000_000

# %% [markdown]
# **Predict.** We train on all pairs. Counting has reached 2.3389. Will the training loss end above that, there, or
# below?
#
# answer it will end: "there" if abs(losses[-1] - counted_loss) < 0.01
#   else ("below", "above")[losses[-1] > counted_loss] | above | there | below

# %%
optimizer = Adam(compiled.parameters, lr=0.5)
losses = []
for step in range(60 if FAST else 150):
    losses.append(compiled.value_and_grad(inputs, targets))
    optimizer.step()  # key: every parameter moves against its gradient

print(f"{losses[0]:.4f} → {losses[-1]:.4f}; counting {counted_loss:.4f}")

# %%
curves = {"trained": losses, "counted": [counted_loss] * len(losses)}
viz.plot(curves, title="Training meets counting", x="step", y="loss")

# %% tags=["check"]
assert abs(losses[0] - math.log(27)) < 1e-9
assert -1e-9 < losses[-1] - counted_loss < 0.01
assert FAST or losses[-1] - counted_loss < 0.001

# %% [markdown]
# There, to less than a thousandth. It can come as near as you like, but not below. Do they agree on individual numbers
# as well?


# %%
def probabilities(first, temperature=1.0):
    scores = [score / temperature for score in model(first)]
    return [p.data for p in softmax(scores)]


for first in ".ay":
    trained = probabilities(index[first])
    for i in sorted(range(27), key=lambda second: -trained[second])[:3]:
        print(first, alphabet[i], f"{trained[i]:.3f} {counted(index[first], i):.3f}")

# %% tags=["check"]
far = max(abs(probabilities(a)[b] - counted(a, b)) for a in range(27) for b in range(27) if starts[a] >= 100)
assert far < (0.05 if FAST else 0.005)

# %% [markdown]
# They do. And you can see why, with one line from the last lesson. The gradient of a row is `p − onehot`, added up over
# all pairs that begin with its character. Say there are n of them; then the gradient for the second character *b* is
#
#     n · p(b) − count(b)
#
# Training stops where the gradient is 0: where `p(b) = count(b) / n`. **That is the counted probability.** To minimize
# surprise, predict each character as often as it occurs. Larger models have no such simple table; but what they are
# pulled toward is the same: the true probability of every character, given what came before.
#
# ## Let it write
#
# Start with the dot, draw a character according to its probability, take the row of that character, draw again, until a
# dot comes.


# %%
def write(rng, temperature=1.0):
    name, last = "", 0
    while True:
        last = rng.choices(range(27), probabilities(last, temperature))[0]  # key: draw by probability
        if last == 0 or len(name) > 20:
            return name
        name += alphabet[last]


# %%
stages = {f"T = {t}": probabilities(index["a"], t) for t in (1.0, 0.5, 2.0)}
viz.next_characters(stages, alphabet, most=8, title="What follows an a")

# %%
rng = random.Random(1)
written = [write(rng) for _ in range(10)]
print(*written)
print("colder:", *(write(rng, temperature=0.5) for _ in range(10)))

# %% tags=["check"]
assert len(written) == 10 and set("".join(written)) <= set(alphabet)
count = 50 if FAST else 400
mean_length = sum(len(write(rng)) for _ in range(count)) / count
assert 4 < mean_length < 8

# %% [markdown]
# Some can be pronounced, hardly one is a name. The model does not know how long a name is already, nor what came two
# characters before. It has no memory.
#
# **Play.** Paste the names of your own class, train the table, and look up how surprising your own name is
# (`play.html#screen=names&model=bigram`).
#
# ## The held-out names
#
# **Predict.** What is the loss of the counted table on the 200 names that it has not seen: lower, a little higher, or
# something special?
#
# answer it is: "something special" if never else "a little higher"
#   | lower | a little higher | something special

# %%
new = pairs(validation)
never = sorted({alphabet[a] + alphabet[b] for a, b in new if counts[a, b] == 0})
print(f"{len(new):,} pairs, never seen before: {never}")

# %% [markdown]
# The counted table has a probability of 0 for these, says "impossible", and the surprise is −ln 0: **infinite**. Never
# say never. The usual remedy is to pretend that one has seen each pair a little, say a tenth of a time:


# %%
def smoothed_loss(examples, extra):
    p = [(counts[a, b] + extra) / (starts[a] + 27 * extra) for a, b in examples]
    return -sum(math.log(x) for x in p) / len(p)


print(f"{smoothed_loss(new, 0.1):.4f}")

# %% tags=["check"]
assert len(new) == 1369 and never
assert round(smoothed_loss(new, 0.1), 4) == 2.3944

# %% [markdown]
# 2.3944 on new names: **that is the number to beat** in the next lesson.

# %% [markdown]
# ## Exercises
#
# **Exercise 1.** Some say that an embedding is a matrix product: the character as a vector of 27 numbers, all 0 but for
# a 1 at its index (*one-hot*), times the table. Show that the result is the row, and say why it is never computed that
# way.

# %% tags=["solution"]
onehot = [1.0 if i == index["e"] else 0.0 for i in range(27)]
table = model.table.weight
product = [sum(onehot[i] * table[i][j].data for i in range(27)) for j in range(27)]
assert product == [score.data for score in model(index["e"])]  # 729 multiplications, of which 702 are by 0
print("the same row")

# %% [markdown]
# **Exercise 2.** We pretended to have seen each pair 0.1 times more. Try 1, 0.3, 0.1, 0.03 and 0.01. Which is best on
# the new names, and which on the names that were counted? Why is the second question the wrong one?

# %% tags=["solution"]
for extra in (1, 0.3, 0.1, 0.03, 0.01):
    print(f"{extra:4}: new {smoothed_loss(new, extra):.4f}, counted {smoothed_loss(examples, extra):.4f}")

tried = (1, 0.3, 0.1, 0.03, 0.01)
assert min(tried, key=lambda extra: smoothed_loss(new, extra)) == 0.1
assert min(tried, key=lambda extra: smoothed_loss(examples, extra)) == 0.01  # counted names need no smoothing

# %% [markdown]
# **Exercise 3.** More memory: count *triples*, so that two characters predict the third, again with 0.1 extra. How many
# cells does this table have, and what is its loss on the new names? What about a table for runs of five characters?


# %% tags=["solution"]
def runs(names, length):
    marked = ["." * (length - 1) + name + "." for name in names]
    return [name[i : i + length] for name in marked for i in range(len(name) - length + 1)]


ladder = {}
for length in (2, 3, 4, 5):
    seen, before = Counter(runs(training, length)), Counter(run[:-1] for run in runs(training, length))
    new_runs = runs(validation, length)
    surprises = [-math.log((seen[run] + 0.1) / (before[run[:-1]] + 2.7)) for run in new_runs]
    ladder[length] = round(sum(surprises) / len(surprises), 4)
    print(f"{length}: {27**length:12,} cells, loss {ladder[length]}")

# Three are better than two; with five, nearly every run is new, and the table has nothing to say.
assert ladder == {2: 2.3944, 3: 2.1631, 4: 2.1873, 5: 2.3759}

# %% [markdown]
# ## Summary
#
# - Characters become **indices**; an **embedding** is a table of scalars in which rows are looked up by index.
# - A **bigram** model knows one character and gives probabilities for the next: 27 × 27 scores.
# - At initialization, all scores equal, the loss is ln 27 = 3.2958.
# - Only the rows that were looked up get a gradient.
# - **Training finds what counting finds:** the loss is smallest where each probability is the counted one.
# - `jit` does to all examples at once what our function does to one; the numbers are the same.
# - **Sampling:** draw the next character by its probability, append it, repeat.
# - On new text, a probability of 0 costs an infinite loss: smooth the counts.
#
# Next: more memory without a table that explodes.
