# %% [markdown]
# # Supplement 27: A picture from words
#
# **Question.** A program is told "a cat with a hat" and paints one. It begins with noise. How do words get into a
# picture?
#
# Follows Lesson 8 (queries, keys and values) and Supplement 15 (pictures). Five phases: words become vectors, pictures
# become noise, a network learns the way back, the words steer it, and it paints.

# %%
import math
import random

import viz
from tinygrad_edu import functional as F
from tinygrad_edu import jit
from tinygrad_edu.compiler import Adam
from tinygrad_edu.nn import Embedding, Linear, Module

FAST = globals().get("FAST", False)

# %% [markdown]
# ## Phase 1: pictures and their words
#
# Three animals of 5 × 4 pixels; the line above them is free, or there is a hat. A `#` is 1, a `.` is −1.

# %%
ANIMALS = {
    "cat": ["#...#", "#####", "#.#.#", ".###."],
    "dog": ["##.##", "##.##", ".###.", "..#.."],
    "fish": ["....#", ".##.#", "#####", ".##.#"],
}
EXTRAS = {"alone": ".....", "hat": "..##."}
WORDS = [*ANIMALS, *EXTRAS, "?"]  # the last one stands for a word that is not told
SIZE = 25


def picture(animal, extra):
    return [1.0 if mark == "#" else -1.0 for line in (EXTRAS[extra], *ANIMALS[animal]) for mark in line]


def shown(pixels):
    marks = ["#" if x > 0.33 else "+" if x > -0.33 else "." for x in pixels]
    return ["".join(marks[i : i + 5]) for i in range(0, SIZE, 5)]


def side_by_side(pictures):
    for lines in zip(*(shown(pixels) for pixels in pictures), strict=True):
        print("   ".join(lines))


texts = [(animal, extra) for animal in ANIMALS for extra in EXTRAS]
known = [text for text in texts if text != ("fish", "hat")]  # nobody has ever shown a fish with a hat
side_by_side([picture(*text) for text in texts])

# %% [markdown]
# ## Phase 2: a picture becomes noise
#
# Mix a picture with random numbers: `x = √a · picture + √(1 − a) · noise`. With a = 1 it is the picture, with a = 0
# only noise; the roots keep the typical size of a pixel at 1. Going from one to the other in small steps is called
# **diffusion**, as when ink spreads in water (Sohl-Dickstein et al. 2015; Ho et al. 2020).
#
# **Predict.** A pixel is 1, its noise is −0.5, and a = 0.64. What is the mixture?
#
# answer: mixture ± 0.001

# %%
LEVELS = [math.cos(0.5 * math.pi * t / 12) ** 2 for t in range(12)] + [0.002]  # a, from picture to noise


def mixed(pixels, noise, a):
    return [math.sqrt(a) * x + math.sqrt(1 - a) * e for x, e in zip(pixels, noise, strict=True)]


mixture = 0.8 * 1 + 0.6 * -0.5
print(round(mixture, 3))
rng = random.Random(0)
noise = [rng.gauss(0, 1) for _ in range(SIZE)]
side_by_side([mixed(picture("cat", "hat"), noise, LEVELS[t]) for t in (0, 3, 6, 9, 12)])

# %% tags=["check"]
assert math.isclose(mixture, 0.5)
assert math.isclose(mixed([1.0], [-0.5], 0.64)[0], 0.5)

# %% [markdown]
# ## Phases 3 and 4: the way back, and the words
#
# The network gets the mixture and how noisy it is, and says what the picture was. That is ordinary supervised learning:
# we made the noise, so we know the answer. From noise alone it is impossible to say which animal it was, so the network
# may ask the words. What it asks with, the **query**, comes from the picture; **keys** and **values** come from the
# words. Attention from one thing to another is called **cross-attention**: that is how words get into a picture.


# %% tags=["model"]
class Painter(Module):
    def __init__(self, rng, width=8, hidden=48):
        self.word = Embedding(len(WORDS), width, std=0.5, rng=rng)
        self.see = Linear(SIZE + 2, hidden, rng=rng)
        self.query = Linear(hidden, width, False, rng=rng)
        self.key = Linear(width, width, False, rng=rng)
        self.value = Linear(width, width, False, rng=rng)
        self.think = Linear(hidden + width, hidden, rng=rng)
        self.paint = Linear(hidden, SIZE, rng=rng)

    def forward(self, pixels, level, words):
        seen = [z.relu() for z in self.see([*pixels, *level])]
        query, vectors = self.query(seen), [self.word(word) for word in words]
        keys, values = [self.key(v) for v in vectors], [self.value(v) for v in vectors]
        weights = F.softmax([F.dot(query, key) / len(query) ** 0.5 for key in keys])
        told = [F.dot(weights, column) for column in zip(*values, strict=True)]
        return self.paint([z.relu() for z in self.think([*seen, *told])])

    def loss(self, pixels, level, words, clean):
        return F.mse(self(pixels, level, words), clean)


print(f"{len(Painter(random.Random(3)).parameters()):,} parameters")


# %%
def example(rng):
    text, a = rng.choice(known), LEVELS[rng.randrange(1, len(LEVELS))]
    clean = picture(*text)
    words = [WORDS.index("?" if rng.random() < 0.15 else word) for word in text]  # sometimes it must do without
    return mixed(clean, [rng.gauss(0, 1) for _ in clean], a), [math.sqrt(a), math.sqrt(1 - a)], words, clean


steps = 400 if FAST else 1500


def trained(seed):
    painter = Painter(random.Random(seed))
    compiled, rng, losses = jit(painter.loss, painter), random.Random(2), []
    optimizer = Adam(compiled.parameters, lr=0.005)
    for step in range(steps):
        optimizer.lr = 0.005 * (1 - 0.9 * step / steps)
        losses.append(compiled.value_and_grad(*zip(*(example(rng) for _ in range(64)), strict=True)))
        optimizer.step()
    return jit(painter.forward, painter), losses


look, losses = trained(3)
means = [(i + 25, sum(losses[i : i + 50]) / 50) for i in range(0, steps - 49, 50)]
viz.plot({"loss": means}, title="What was the picture?", x="step", y="squared error per pixel")

# %% tags=["check"]
assert means[-1][1] < means[0][1] / 3

# %% [markdown]
# ## Phase 5: paint
#
# Begin with noise. Ask the network what the picture was, go *a little* in that direction by mixing again with less
# noise, and ask again. Twelve times.


# %%
def paint(texts, seed=0, path=None, look=look):
    rng = random.Random(seed)
    xs = [[rng.gauss(0, 1) for _ in range(SIZE)] for _ in texts]
    words = [[WORDS.index(word) for word in text] for text in texts]
    for t in range(len(LEVELS) - 1, 0, -1):
        a, b = LEVELS[t], LEVELS[t - 1]
        level = [[math.sqrt(a), math.sqrt(1 - a)] for _ in xs]
        guesses = look.flat(xs, level, words).T.tolist()
        for i, (x, clean) in enumerate(zip(xs, guesses, strict=True)):
            noise = [(p - math.sqrt(a) * c) / math.sqrt(1 - a) for p, c in zip(x, clean, strict=True)]
            xs[i] = mixed(clean, noise, b)
        if path is not None:
            path.append(xs[0])
    return xs


path = []
paint([("cat", "hat")], seed=3, path=path)
side_by_side([path[i] for i in (0, 3, 5, 7, 11)])


# %%
def nearest(pixels):
    return min(texts, key=lambda text: sum((a - b) ** 2 for a, b in zip(pixels, picture(*text), strict=True)))


def obeyed(text, look=look, count=50):
    return sum(nearest(pixels) == text for pixels in paint([text] * count, look=look)) / count


# %% [markdown]
# **Predict.** Fifty pictures for each text that it knows. In how many of a hundred is the animal, and its hat or none,
# what the words say? Then the fish with a hat, which no network here has ever seen. We train two more that differ in
# their first weights only: how many of the three paint it?
#
# answer known texts, in percent: 100 * share_known ± 10
# answer a fish with a hat is painted by: (max(with_hat) > 0.5) + int(min(with_hat) > 0.5)
#   | none of them | some of them | all of them

# %%
share_known = sum(obeyed(text) for text in known) / len(known)
others = [trained(seed)[0] for seed in ((1,) if FAST else (0, 1))]
with_hat = [obeyed(("fish", "hat"), painter) for painter in (look, *others)]
print(f"known texts {share_known:.0%}; fish with a hat:", "  ".join(f"{share:.0%}" for share in with_hat))
side_by_side(paint(texts, seed=5))

# %%
for text in [("cat", "hat"), ("?", "hat"), ("?", "?")]:
    print(" ".join(text), {" ".join(t): sum(nearest(p) == t for p in paint([text] * 50)) for t in texts})

# %% tags=["check"]
if not FAST:
    assert share_known > 0.9
    assert [share > 0.5 for share in with_hat] == [False, True, False]
    assert all(nearest(pixels)[1] == "hat" for pixels in paint([("?", "hat")] * 50))

# %% [markdown]
# Known texts become the right picture. With *?* for the animal it paints any animal, with the hat that was asked for.
# With two *?* it paints anything that it knows. The fish with a hat is luck: one of the three networks has learned that
# a hat goes with any animal, and paints it every time; the two others never do. Nothing in the five pictures decides
# that: a network that never puts a hat on a fish is just as right about them. Large systems have seen millions of
# combinations, and paint many that are new.
#
# | here | in a large system such as Stable Diffusion |
# |---|---|
# | `word`, a table of six words | a text encoder, trained with pictures and texts (contrastive, as in Supplement 20) |
# | 25 pixels | a picture made smaller by an encoder, and larger again by a decoder, at the end |
# | `LEVELS`, thirteen | a schedule of about a thousand levels, of which some 20 to 50 are used to paint |
# | `see`, `think`, `paint` | a U-Net (convolutions) or a transformer, with a billion parameters |
# | one cross-attention | one at every layer, with many heads |
# | *?* in 15 % of the examples | the same, so that the difference that the words make can be enlarged (guidance) |
#
# ## Exercises
#
# **Exercise 1.** By hand: a pixel of −1, noise 1, a = 0.36. The mixture? And which picture does it come from, if
# you know the mixture and the noise?

# %% tags=["solution"]
[pixel] = mixed([-1.0], [1.0], 0.36)
print(round(pixel, 3), round((pixel - 0.8 * 1.0) / 0.6, 3))
assert math.isclose(pixel, 0.2)
assert math.isclose((pixel - 0.8 * 1.0) / 0.6, -1.0)

# %% [markdown]
# **Exercise 2.** Why twelve steps? Take the first guess, from pure noise and without words, as the picture. What do you
# see? (Do that a hundred times, and compare with the mean of all pictures that the network knows.)

# %% tags=["solution"]
rng = random.Random(7)
starts = [[rng.gauss(0, 1) for _ in range(SIZE)] for _ in range(100)]
level = [math.sqrt(LEVELS[-1]), math.sqrt(1 - LEVELS[-1])]
guesses = look.flat(starts, [level] * 100, [[WORDS.index("?")] * 2] * 100).T.tolist()
mean = [sum(pixels) / len(known) for pixels in zip(*(picture(*text) for text in known), strict=True)]
side_by_side([*guesses[:3], mean])


def apart(a, b):
    return sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) / SIZE


to_mean = sum(apart(guess, mean) for guess in guesses) / 100
to_nearest = sum(apart(guess, picture(*nearest(guess))) for guess in guesses) / 100
print(f"{to_mean:.2f} from the mean, {to_nearest:.2f} from the nearest picture")  # the mean is the safest guess
assert to_mean < to_nearest

# %% [markdown]
# **Exercise 3.** Does it matter in which order the words are given? Predict, then paint *hat cat*.

# %% tags=["solution"]
[one], [other] = paint([("cat", "hat")]), paint([("hat", "cat")])
print(max(abs(a - b) for a, b in zip(one, other, strict=True)))  # attention knows no order, as in Lesson 8
assert all(math.isclose(a, b, abs_tol=1e-4) for a, b in zip(one, other, strict=True))

# %% [markdown]
# ## Summary
#
# - **Diffusion:** mix pictures with noise, and train a network to say what the picture was. To paint, begin with noise
#   and go back in small steps.
# - **Cross-attention:** queries from the picture, keys and values from the words. That is how words steer it.
# - A network that learns sometimes without words can also paint without them, or with some.
# - What it has seen it paints. Whether it combines what it knows into something new is luck, until it has seen many
#   combinations.
#
# Next: nothing here is new but the game. The same parts, loss and gradients as in all lessons.
