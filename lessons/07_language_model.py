# %% [markdown]
# # Lesson 7: A memory of three characters
#
# **Question.** A table of all runs of four characters has half a million cells, and our names fill less than a
# hundredth of them. How can a model know more than one character without a table that explodes?
#
# The answer is from 2003, by Bengio and others, and all later language models are built on it: give each character a
# few numbers, put those of the last few characters side by side, and feed them to an MLP. You know all the
# parts: the table from the last lesson, layers and activations from Lesson 4, the loss from Lesson 5.

# %%
import math
import random
from pathlib import Path

import lessons
import viz
from tinygrad_edu import jit, no_grad, record_calls
from tinygrad_edu.compiler import Adam
from tinygrad_edu.functional import cross_entropy, softmax
from tinygrad_edu.nn import Embedding, Linear, Module

FAST = globals().get("FAST", False)

# %% [markdown]
# ## Windows
#
# The names, the alphabet and the split are those of the last lesson. The input is now a **context window**: the last
# three characters; at the beginning of a name it is filled up with dots.

# %%
file = Path(lessons.__file__).parent / "data" / "names.txt"
names = file.read_text(encoding="utf-8").split()
random.Random(0).shuffle(names)
training, validation = names[:1800], names[1800:]
alphabet = ".abcdefghijklmnopqrstuvwxyz"
index = {character: i for i, character in enumerate(alphabet)}


def windows(names, size):
    contexts, targets = [], []
    for name in names:
        numbers = [index[character] for character in "." * size + name + "."]
        for i in range(size, len(numbers)):
            contexts.append(numbers[i - size : i])  # key: the characters before the one to guess
            targets.append(numbers[i])
    return contexts, targets


for context, target in zip(*windows(["emma"], 3), strict=True):
    seen = "".join(alphabet[i] for i in context)
    print(seen, "→", alphabet[target], "  ", context, "→", target)

# %% [markdown]
# ## Places on a map
#
# Imagine that you seat 27 guests at a party. You put people together who behave alike, and after a while you can guess
# from the seat alone what a guest will do. An **embedding** does that with characters: each gets a place on a map, here
# four numbers, and *training moves it*. If `a` and `e` behave alike, they end near each other, and what was learned
# about `anna` helps with `enne`, which was never seen. A table of counts cannot do that: to it, each run is a stranger.
#
# Three characters make 3 × 4 = 12 numbers. They are joined end to end, and an MLP with 64 hidden neurons makes 27
# scores of them:
#
#     3 indices → (3, 4) → 12 numbers → 64 hidden → 27 scores


# %% tags=["model"]
class LanguageModel(Module):
    def __init__(self, vocab_size, context, width, hidden, seed=0):
        rng = random.Random(seed)
        self.table = Embedding(vocab_size, width, std=0.5, rng=rng)
        self.hidden = Linear(context * width, hidden, rng=rng)
        self.out = Linear(hidden, vocab_size, std=0.01, rng=rng)

    def forward(self, x):
        numbers = [number for character in x for number in self.table(character)]
        return self.out([z.tanh() for z in self.hidden(numbers)])

    def loss(self, x, target):
        return cross_entropy(self(x), target)


# %% [markdown]
# `Linear` is the library's layer without an activation: weights times inputs plus biases. The weights of the last one
# start very small, with a spread of 0.01, so that the scores are all nearly 0.
#
# **Predict.** How many parameters does `LanguageModel(27, 3, 4, 64)` have? Count the table, the hidden layer and the
# last layer. And what is its loss before training?
#
# answer parameters: len(model.parameters())
# answer loss before training: loss.data ± 0.1

# %%
model = LanguageModel(27, 3, 4, 64)
for part in (model.table, model.hidden, model.out):
    print(f"{len(part.parameters()):,}")

with record_calls() as calls:
    loss = model.loss([index[character] for character in "emm"], index["a"])

print(f"{len(model.parameters()):,} parameters, loss {loss.data:.2f}")

# %% tags=["check"]
assert len(model.table.parameters()) == 27 * 4 == 108
assert len(model.hidden.parameters()) == 12 * 64 + 64 == 832
assert len(model.out.parameters()) == 64 * 27 + 27 == 1755
assert len(model.parameters()) == 2695
assert round(loss.data, 1) == round(math.log(27), 1) == 3.3
assert 27**4 == 531_441

# %% [markdown] tags=["pytorch"]
# ```python
# import torch
#
# class InPyTorch(torch.nn.Module):
#     def __init__(self, vocab_size, context, width, hidden):
#         super().__init__()
#         self.table = torch.nn.Embedding(vocab_size, width)
#         self.hidden = torch.nn.Linear(context * width, hidden)
#         self.out = torch.nn.Linear(hidden, vocab_size)
#
#     def forward(self, x):  # (B, context) → (B, vocab_size), for B examples at once
#         return self.out(torch.tanh(self.hidden(self.table(x).flatten(1))))
#
# same = InPyTorch(27, 3, 4, 64)
# same.load_state_dict({name: torch.tensor(numbers) for name, numbers in model.state_dict().items()})
# scores = same(torch.tensor([[index[character] for character in "emm"]]))
# print(torch.nn.functional.cross_entropy(scores, torch.tensor([index["a"]])).item())
# ```

# %% [markdown]
# 2,695 parameters instead of half a million cells, and ln 27 = 3.30 to begin with.

# %%
loss.backward()
viz.draw(loss, calls=calls, budget=24, direction="wrapped")

# %%
viz.flow(loss, calls=calls)

# %% [markdown]
# Look at the table: 93 % of it gets nothing, since only the rows of `e` and `m` were looked up. And `m` was looked up
# twice: two contributions add up, as in `a + a` in the first lesson. Everything before the last layer gets little,
# because the last layer's weights are so small; after a few steps they have grown.

# %% tags=["check"]
flat = [number.grad for row in model.table.weight for number in row]
assert sum(g != 0 for g in flat) == 8 and round(flat.count(0) / len(flat), 2) == 0.93

# %% [markdown]
# ## Training in batches
#
# As in the last lesson, `jit` does to many windows at once what `loss` does to one. Not to all 12,372 at every step,
# though: 256 drawn at random, a **batch**, show nearly the same way downhill for a fiftieth of the work. For the last
# third of the steps the learning rate is a fifth, so that the model settles. We keep the mean loss of every fifty
# batches, since single ones jump up and down.

# %%
compiled = jit(model.loss, model)
contexts, targets = windows(training, 3)
new_contexts, new_targets = windows(validation, 3)


def new_loss(compiled):
    return float(compiled(new_contexts, new_targets).mean())


def train(compiled, contexts, targets, steps):
    rng = random.Random(0)
    optimizer = Adam(compiled.parameters, lr=0.01)
    learned, new, recent = [], [], []
    for step in range(steps + 1):
        if step % 50 == 0:
            new.append((step, new_loss(compiled)))
        optimizer.lr = 0.01 if step < 0.7 * steps else 0.002
        batch = rng.sample(range(len(contexts)), 256)
        inputs, answers = [contexts[i] for i in batch], [targets[i] for i in batch]
        recent.append(compiled.value_and_grad(inputs, answers))
        optimizer.step()  # key: every parameter moves against its gradient
        if len(recent) == 50:
            learned.append((step, sum(recent) / 50))
            recent = []
    return learned, new


for_one = float(compiled([contexts[0]], [targets[0]])[0])
assert abs(for_one - model.loss(contexts[0], targets[0]).data) < 1e-5

# %% [markdown]
# **Predict.** On the new names, counted pairs reached 2.3944 and counted triples 2.1631, with a tenth added to each
# count. Where will 2,695 parameters end?
#
# answer they will end: sum(new[-1][1] < counted for counted in (2.3944, 2.1631))
#   | above the pairs | between the two | below the triples

# %%
learned, new = train(compiled, contexts, targets, 300 if FAST else 2400)
print(f"{new[0][1]:.3f} → {new[-1][1]:.3f} on the new names")

# %%
curves = {"batches": learned, "new names": new}
for name, loss in (("counted pairs", 2.3944), ("counted triples", 2.1631)):
    curves[name] = [(0, loss), (new[-1][0], loss)]

viz.plot(curves, title="Three characters of memory", x="step", y="loss")

# %% tags=["check"]
assert abs(new[0][1] - math.log(27)) < 0.05
assert new[-1][1] < 2.3944
if not FAST:
    assert new[-1][1] < 2.1631
    assert abs(new[-1][1] - 2.12) < 0.04
    assert abs(learned[-1][1] - 1.93) < 0.03

seen = {(*context, target) for context, target in zip(contexts, targets, strict=True)}
assert len(seen) == 4221 < 27**4 / 100 and 27**3 == 19_683

# %% [markdown]
# 2.12: well below the pairs, and below the triples, whose table has 19,683 cells. Mind the other curve: on the names
# that it learns from, it ends at about 1.93. The distance between the two is overfitting, as with the moons; it grows
# with the size of the model and shrinks with more text.
#
# Is the map worth anything? Take only those windows of the new names whose three characters never occur together in the
# training names. To a table they are complete strangers, and it can only guess, at ln 27 = 3.30:

# %%
known = {tuple(context) for context in contexts}
both = zip(new_contexts, new_targets, strict=True)
strangers = [(context, target) for context, target in both if tuple(context) not in known]
losses = compiled(*zip(*strangers, strict=True))
print(f"{len(strangers)} strangers, loss {losses.mean():.2f}")

# %% tags=["check"]
assert len(strangers) == 66
assert losses.mean() < (2.9 if FAST else 2.5)

# %% [markdown]
# ## The map
#
# The model was never told what a vowel is.
#
# **Predict.** Which characters will be near `a`? And what about `y`, and the dot?
#
# answer nearest to a is: min(
#     alphabet.replace("a", ""),
#     key=lambda x: math.dist(*([v.data for v in model.table.weight[index[y]]] for y in (x, "a")))) in "eiou"
#   | another vowel | a consonant or the dot
# answer nearest to y is: min(
#     alphabet.replace("y", ""),
#     key=lambda x: math.dist(*([v.data for v in model.table.weight[index[y]]] for y in (x, "y")))) in "aeiou"
#   | a vowel | a consonant or the dot

# %%
viz.embeddings(model.table.weight, alphabet, title="The map")


# %% tags=["check"]
def distance(a, b):
    rows = model.table.weight
    return math.dist([x.data for x in rows[index[a]]], [x.data for x in rows[index[b]]])


vowels, consonants = "aeiou", "bcdfghjklmnpqrstvwxyz"
within = [distance(a, b) for a in vowels for b in vowels if a < b]
between = [distance(a, b) for a in vowels for b in consonants]
assert FAST or sum(within) / len(within) < 0.65 * sum(between) / len(between)

# %% [markdown]
# The vowels are together: on average only about half as far from each other as from the consonants. What comes after
# them is alike, so training has pushed them the same way. (The picture is a shadow: four dimensions, seen from the
# direction in which they differ most.)
#
# **Play.** The same model in the playground: letters that move on their map while it learns
# (`play.html#screen=names&model=mlp`).
#
# ## Let it write


# %%
def write(rng, temperature=1.0):
    context, name = [0, 0, 0], ""
    while len(name) < 20:
        with no_grad():
            probabilities = softmax([score / temperature for score in model(context)])
        drawn = rng.choices(range(27), [p.data for p in probabilities])[0]
        if drawn == 0:
            break
        name += alphabet[drawn]
        context = [*context[1:], drawn]  # key: the window moves on by one
    return name


rng = random.Random(1)
written = [write(rng) for _ in range(10)]
print(*written)
print("colder:", *(write(rng, temperature=0.5) for _ in range(10)))

# %% tags=["check"]
assert len(written) == 10 and set("".join(written)) <= set(alphabet)

# %% [markdown]
# Compare with the last lesson: these are names, or could be.
#
# ## Exercises
#
# **Exercise 1.** How many parameters does the model have with a window of 8 characters, 16 numbers for each, and 64
# hidden neurons? How many cells would a table need that also knows 8 characters?

# %% tags=["solution"]
larger = LanguageModel(27, 8, 16, 64)
print(f"{len(larger.parameters()):,} against {27**9:,}")
assert len(larger.parameters()) == 27 * 16 + (8 * 16 * 64 + 64) + (64 * 27 + 27) == 10_443

# %% [markdown]
# **Exercise 2.** How surprised is the model by your own name? Write `surprise(word)`, the mean loss per character with
# the final dot, and compare an ordinary name with an impossible one, such as *xqzt*.


# %% tags=["solution"]
def surprise(word):
    with no_grad():
        each = [model.loss(context, target).data for context, target in zip(*windows([word], 3), strict=True)]
    return sum(each) / len(each)


for word in ("maria", "norbert", "xqzt"):
    print(f"{word}: {surprise(word):.2f}")

assert surprise("maria") < 2.5 < math.log(27) < surprise("xqzt")

# %% [markdown]
# **Exercise 3.** Train with windows of 1, 2 and 5 characters. How low do they come on the new names? Why can the window
# of one hardly beat counting pairs, and why is five not better than three?

# %% tags=["solution"]
kept = new_contexts, new_targets
ends = {}
for size in (1, 2, 5):
    other = jit(LanguageModel(27, size, 4, 64).loss)
    new_contexts, new_targets = windows(validation, size)
    learned, new = train(other, *windows(training, size), 50 if FAST else 2400)
    ends[size] = new[-1][1]
    print(f"{size}: {learned[-1][1]:.2f} on batches, {ends[size]:.3f} on new names")

new_contexts, new_targets = kept
# One character is what the table of pairs knows, and counting is the best that can be done with it. With five, the
# hidden layer must learn separately for each position of the window what a letter means there, and memorizes more.
assert FAST or (2.38 < ends[1] < 2.45 and 2.12 < ends[2] < 2.24 and 2.1 < ends[5] < 2.22)

# %% [markdown]
# ## Summary
#
# - The **context window** is what the model sees: the last three characters.
# - An **embedding** gives each character a few numbers; the numbers of the window are joined end to end and go into an
#   MLP.
# - 27·4 + 12·64 + 64 + 64·27 + 27 = 2,695 parameters; a table of the same memory has 531,441 cells.
# - At initialization the loss is about ln 27, because the last layer starts very small.
# - A **batch** of examples, drawn at random, shows well enough which way is down.
# - Characters that behave alike end near each other, so what is learned about one holds for the other.
# - 2.12 on new names; counted pairs 2.39, counted triples 2.16.
#
# Next: which of the earlier characters matters? So far each position of the window has its own weights. Attention lets
# the model look.
