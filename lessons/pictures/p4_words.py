# %% [markdown]
# # Pictures 4: Say it in words
#
# **Question.** "Gray ring, bottom left": how do the words of a sentence get into a picture? And does the painter
# understand a sentence that nobody has ever told it?
#
# Follows Pictures 2 and 3, and Lesson 8 (queries, keys and values).

# %%
import random

import numpy as np

import viz
from image.config import ModelConfig
from image.model import Block, mixed, velocity
from tinygrad_edu import Value, jit, record_calls
from tinygrad_edu import functional as F
from tinygrad_edu.calls import CallRecord
from tinygrad_edu.compiler import Adam
from tinygrad_edu.nn import Embedding, LayerNorm, Linear, Module, TimeEmbedding

FAST = globals().get("FAST", False)
SEED = globals().get("SEED", 0)

# %% [markdown]
# ## Pictures and their captions
#
# Four shapes of 4 × 4 pixels, black or gray, in one of the four corners of a picture of 8 × 8. −1 is paper, 1 is black
# ink, 0 is gray. A caption has four words: ink, shape, row, column. The word "" stands for one that is not told.

# %%
SHAPES = {
    "square": ["####", "####", "####", "####"],
    "ring": [".##.", "#..#", "#..#", ".##."],
    "cross": ["#..#", ".##.", ".##.", "#..#"],
    "triangle": ["#...", "##..", "###.", "####"],
}
INKS, ROWS, COLUMNS = {"black": 1.0, "gray": 0.0}, {"top": 0, "bottom": 4}, {"left": 0, "right": 4}
WORDS = ["", *INKS, *SHAPES, *ROWS, *COLUMNS]


def draw(caption):
    ink, shape, row, column = caption.split()
    pixels = [-1.0] * 64
    for y, line in enumerate(SHAPES[shape]):
        for x, mark in enumerate(line):
            if mark == "#":
                pixels[8 * (ROWS[row] + y) + COLUMNS[column] + x] = INKS[ink]
    return pixels


def encode(caption):
    return [WORDS.index(word) for word in caption.split()]


captions = [f"{i} {s} {r} {c}" for i in INKS for s in SHAPES for r in ROWS for c in COLUMNS]
NEVER = ["black ring top left", "gray cross bottom right", "gray triangle top right", "black square bottom left"]
known = [caption for caption in captions if caption not in NEVER]
shown = ["black cross top left", "gray ring bottom left", "black triangle bottom right", "gray square top right"]
viz.pictures({"": [draw(caption) for caption in shown]}, columns=shown, title="Four of them")

# %% [markdown]
# Four captions are put aside, one of each shape. The painter never gets them while it learns.
#
# **Predict.** How many captions are there? And how many words has the table?
#
# answer captions: len(captions)
# answer words: len(WORDS)

# %%
print(len(captions), len(WORDS), encode("gray ring bottom left"))

# %% tags=["check"]
assert len(captions) == 32
assert len(WORDS) == 11
assert encode("gray ring bottom left") == [2, 4, 8, 9]
assert {word for caption in NEVER for word in caption.split()} == set(WORDS[1:])  # every word is known otherwise

# %% [markdown]
# ## The patches ask, the words answer
#
# A digit was one vector, added to that of the time. Words are several, and each matters in another place: "left" to
# decide *whether* a patch gets ink, "ring" to decide *where* in the patch. So each patch asks by itself, by attention
# as in Lesson 8. Only that here the **query** comes from a patch, and **keys** and **values** come from the words. That
# is **cross-attention**: from one thing to another.
#
# **Predict.** A patch with the query (2, 0, 1, 0) meets two words with the keys (1, 0, 0, 2) and (−1, 1, 2, 0). Divide
# each dot product by √4. How much weight gets the first word? With the values 1 and −1, what does the patch get?
#
# answer weight: weights[0]
# answer it gets: gets

# %%
query, keys, values = [2.0, 0.0, 1.0, 0.0], [[1.0, 0.0, 0.0, 2.0], [-1.0, 1.0, 2.0, 0.0]], [1.0, -1.0]
scores = [F.dot([Value(x) for x in query], key) / len(query) ** 0.5 for key in keys]
weights = F.softmax(scores)
gets = F.dot(weights, values)
print([score.data for score in scores], [round(w.data, 3) for w in weights], round(gets.data, 3))

# %% tags=["check"]
assert [score.data for score in scores] == [1, 0]
assert np.allclose([weights[0].data, gets.data], [0.731, 0.462], atol=0.001)

# %% [markdown]
# There is no mask: a picture may read the whole sentence. And no word is before another one: nothing here says in
# which order they come.
#
# In a block, this stands between the two parts of Pictures 2, with a gate like them:
#
#     x = x + gate · attention(x)          patches ask patches
#     x = x + gate · attention(x, words)   patches ask words
#     x = x + gate · mlp(x)


# %% tags=["model"]
class Painter(Module):
    def __init__(self, rng, width=32):
        self.enter = Linear(16, width, rng=rng)
        self.place = Embedding(4, width, std=0.5, rng=rng)
        self.time = TimeEmbedding(width, rng=rng)
        self.word = Embedding(len(WORDS), width, std=0.5, rng=rng)
        self.block = Block(ModelConfig(data="shapes", condition="text", width=width, heads=2), rng=rng)
        self.norm = LayerNorm(width, False, False)
        self.leave = Linear(width, 16, std=0.0, rng=rng)

    def forward(self, x, time, caption):
        tokens = [F.add(self.enter([x[i] for i in PATCHES[n]]), self.place(n)) for n in range(4)]
        tokens = self.block(tokens, self.time(time), [self.word(number) for number in caption])
        out = [None] * 64
        for n, token in enumerate(tokens):
            for i, v in zip(PATCHES[n], self.leave(self.norm(token)), strict=True):
                out[i] = v
        return out

    def loss(self, noise, picture, time, caption):
        return F.mse(self(mixed(noise, picture, time), time, caption), velocity(noise, picture))


PATCHES = [[(y + i) * 8 + x + j for i in range(4) for j in range(4)] for y in (0, 4) for x in (0, 4)]
painter = Painter(random.Random(SEED))
print(f"{len(painter.parameters()):,} parameters")

# %% [markdown]
# The patches are large here, one for each corner: four tokens, and we can look at all of them. This is the loss of a
# small painter, with vectors of 8 numbers. (A new painter has gates of zero, which let no gradient through: see
# Pictures 2. So for this picture every parameter is drawn at random.)

# %%
small, chance = Painter(random.Random(SEED), width=8), random.Random(SEED)
for parameter in small.parameters():
    parameter.data = chance.gauss(0, 0.3)


def recorded(caption):
    small.zero_grad()
    with record_calls() as calls:
        loss = small.loss([chance.gauss(0, 1) for _ in range(64)], draw("gray ring bottom left"), 0.5, caption)
    loss.backward()
    return loss, calls


loss, calls = recorded(encode("gray ring bottom left"))
viz.draw(loss, calls=calls, budget=24)

# %%
viz.flow(loss, calls=calls)


# %% [markdown]
# **Predict.** How many of the 11 rows of `word` get a gradient from this caption? And how many if it is not told, four
# times ""?
#
# answer told: told
# answer not told: untold


# %%
def rows_with_gradient():
    return sum(any(number.grad for number in row) for row in small.word.weight)


told = rows_with_gradient()
recorded([0, 0, 0, 0])
untold = rows_with_gradient()
print(told, untold)

# %% tags=["check"]
assert (told, untold) == (4, 1)

# %% [markdown]
# ## Train, and paint
#
# As in Pictures 3: in 15 of a hundred examples the caption is not told, so that there is a v_u for guidance.


# %%
def trained(painter, captions):
    steps = 100 if FAST else 1500
    pictures, numbers = np.array([draw(c) for c in captions]), np.array([encode(c) for c in captions])
    compiled, losses = jit(painter.loss, painter), []
    optimizer, rng = Adam(compiled.parameters, lr=0.005), np.random.default_rng(SEED)
    for step in range(steps):
        optimizer.lr = 0.005 * min(1, (step + 1) / 50) * (1 - 0.95 * step / steps)
        chosen = rng.integers(0, len(captions), 64)
        told = np.where(rng.random((64, 1)) < 0.15, 0, numbers[chosen])
        losses.append(compiled.value_and_grad(rng.standard_normal((64, 64)), pictures[chosen], rng.random(64), told))
        optimizer.step()
    return jit(painter.forward, painter), [(i + 10, sum(losses[i : i + 20]) / 20) for i in range(0, steps, 20)]


ask, means = trained(painter, known)
viz.plot({"loss": means}, title="The velocity of 64 pixels", x="step", y="squared error per pixel")


# %%
def paint(ask, asked, s=2, steps=20):
    x, words = np.random.default_rng(SEED + 1).standard_normal((len(asked), 64)), [encode(c) for c in asked]
    for step in range(steps):
        t = np.full(len(x), step / steps)
        untold, told = ask.flat(x, t, np.zeros_like(words)).T, ask.flat(x, t, words).T
        x = x + (untold + s * (told - untold)) / steps
    return np.clip(x, -1, 1)


viz.pictures({"": paint(ask, shown)}, columns=shown, title="Painted from words")

# %% tags=["check"]
assert means[-1][1] < means[0][1]

# %% [markdown]
# A program judges again: to which of the 32 drawn pictures is the painted one nearest, and is it that of the caption?
#
# **Predict.** A hundred pictures for captions that it knows, and a hundred for the four it has never been told. How
# many of those are right?
#
# answer known, in percent: 100 * obeyed_known ± 10
# answer never told: obeyed_never > 0.5 | more than half | less than half


# %%
def obeyed(ask, some, s=2):
    asked, all_of_them = [some[i % len(some)] for i in range(100)], np.array([draw(c) for c in captions])
    nearest = ((paint(ask, asked, s)[:, None] - all_of_them) ** 2).sum(axis=2).argmin(axis=1)
    return float(np.mean([captions[i] == caption for i, caption in zip(nearest, asked, strict=True)]))


obeyed_known, obeyed_never = obeyed(ask, known), obeyed(ask, NEVER)
print(f"known {obeyed_known:.0%}, never told {obeyed_never:.0%}")
viz.pictures({"": paint(ask, NEVER)}, columns=NEVER, title="Never told before, and painted")

# %% tags=["check"]
if not FAST:
    assert obeyed_known > 0.9
    assert obeyed_never > 0.75

# %% [markdown]
# It has understood the *words*, and puts them together: a new sentence becomes a picture that did not exist before.
#
# ## Who looks at which word?
#
# The middle of the way to "gray ring bottom left". Each small map is the picture with its four patches, and the ink
# says how much weight the word has for each of them.

# %%
caption = "gray ring bottom left"
start = np.random.default_rng(SEED + 2).standard_normal(64)
with record_calls() as calls:
    painter(((start + np.array(draw(caption))) / 2).tolist(), 0.5, encode(caption))

asking = CallRecord([call for call in calls.calls[0].walk() if call.path.endswith("cross")])
heads = viz.attention(asking, caption.split()).maps
viz.pictures(
    {f"head {head.head + 1}": list(zip(*head.matrix(), strict=True)) for head in heads},
    columns=caption.split(), low=0.0, high=1.0, title="Which patch looks at which word",
)  # fmt: skip

# %% tags=["check"]
assert len(heads) == 2
assert all(abs(sum(row) - 1) < 1e-6 and len(row) == 4 for head in heads for row in head.matrix())
if not FAST:
    looks = np.mean([head.matrix() for head in heads], axis=0)
    assert looks[:2, 2:].sum(axis=1).mean() > 0.75  # row and column, of the two patches on top
    assert looks[2, :2].sum() > 0.35  # ink and shape

# %% [markdown]
# Every patch asks what it must know. Those on top look at the words of the place: "bottom" says that they stay empty.
# The one at the bottom on the left looks at "gray" and "ring" as well: it has to paint them.
#
# **Predict.** We tell the words in another order: "left bottom ring gray". What is painted?
#
# answer it paints: turned < 0.01 | the same picture | another picture

# %%
one, other = paint(ask, [caption]), paint(ask, ["left bottom ring gray"])
turned = float(abs(one - other).max())
print(f"{turned:.6f}")

# %% tags=["check"]
assert turned < 0.01

# %% [markdown]
# Attention knows no order (Lesson 8). For "a black ring beside a gray cross" that would be fatal, so larger painters
# add to each word a vector of its place, `image` too.
#
# | here | in a large system such as Stable Diffusion |
# |---|---|
# | `word`, a table of eleven words | a text encoder such as CLIP, trained on pictures with texts (see Supplement 20) |
# | 64 pixels | a picture made smaller by an autoencoder (Pictures 5) |
# | a straight line from noise | the same, or diffusion (Pictures 1) |
# | one block of a transformer | dozens; the older systems have a U-Net, made of convolutions, which is not here |
# | one cross-attention | one in every block, with many heads |
# | "" in 15 of a hundred examples | the same, for guidance |
#
# ## Exercises
#
# **Exercise 1.** By hand: two words have the scores ln 3 and 0 (divided already). Which weights? With the values 10
# and 2, what does the patch get?

# %% tags=["solution"]
weights = F.softmax([Value(3.0).log(), Value(0.0)])
print([round(w.data, 2) for w in weights], round(F.dot(weights, [10.0, 2.0]).data, 2))
assert np.allclose([w.data for w in weights], [0.75, 0.25])
assert np.isclose(F.dot(weights, [10.0, 2.0]).data, 8)

# %% [markdown]
# **Exercise 2.** Train a new painter with fewer captions: only those that end in "top left" or "bottom right". It meets
# every word. Which of the four that were put aside will it paint?

# %% tags=["solution"]
few = [caption for caption in known if caption.endswith(("top left", "bottom right"))]
new, _ = trained(Painter(random.Random(SEED)), few)
by_caption = {caption: obeyed(new, [caption]) for caption in NEVER}
print({caption: f"{share:.0%}" for caption, share in by_caption.items()})
# "top" always came with "left": nothing tells it which of the two words means up, and which means to the left
assert FAST or min(by_caption[c] for c in NEVER[:2]) > max(by_caption[c] for c in NEVER[2:]) + 0.2

# %% [markdown]
# **Exercise 3.** Leave words out. What is painted if it is told "ring", and three times ""? And what if it is told
# nothing?


# %% tags=["solution"]
def count(number, words):
    """How many of a hundred pictures show each word of this number."""
    x, all_of_them = np.random.default_rng(SEED + 3).standard_normal((100, 64)), np.array([draw(c) for c in captions])
    for step in range(20):
        x = x + ask.flat(x, np.full(100, step / 20), [words] * 100).T / 20
    found = [captions[i].split()[number] for i in ((x[:, None] - all_of_them) ** 2).sum(axis=2).argmin(axis=1)]
    return {word: found.count(word) for word in sorted(set(found))}


ring = [0, WORDS.index("ring"), 0, 0]
print(count(1, ring), count(3, ring))  # rings, left and right: the word counts, although it was never told alone
print(count(1, [0, 0, 0, 0]))  # any shape
assert FAST or count(1, ring).get("ring", 0) > 80

# %% [markdown]
# ## Summary
#
# - **Cross-attention:** queries from the patches, keys and values from the words. So each patch reads what it needs.
# - Words are rows of a table; without a vector for its place, a word may stand anywhere.
# - A painter that has seen each word in many combinations paints new ones: it has learned **words**, not sentences.
# - If two words always come together, it cannot learn which one means what.
#
# Next: Pictures 5 makes the pictures smaller. Eighty combinations, with wordings such as "a small ring, top left", and
# ten of them never trained: `python3 run.py image train --preset shapes-text`.
