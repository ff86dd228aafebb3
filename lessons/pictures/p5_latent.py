# %% [markdown]
# # Pictures 5: In fewer numbers
#
# **Question.** The network of Pictures 4 goes over all 144 pixels, twenty times for one picture. A photograph has
# millions. Must it?
#
# Follows Pictures 1 and 4.

# %%
import math
import random
import time

import numpy as np

import viz
from image.data import shapes
from image.judge import distances, obeyed
from image.model import Stack, mixed, velocity
from tinygrad_edu import Value, jit, record_calls
from tinygrad_edu import functional as F
from tinygrad_edu.compiler import Adam
from tinygrad_edu.nn import Module

FAST = globals().get("FAST", False)
SEED = globals().get("SEED", 0)

# %% [markdown]
# ## What is in a picture?
#
# Eight kinds: four shapes, large and in the center, filled or hollow. Each is moved a little when it is drawn, so no
# two pictures are alike. They have 144 pixels; but how many numbers does one *need*, to say what is there?

# %%
rng = np.random.default_rng(SEED)
kinds = [kind for kind in shapes.COMBINATIONS if (kind.size, kind.place) == ("large", "center")]


def drawn(some, count):
    return np.stack([shapes.draw(some[i % len(some)], shapes.shift(rng)) for i in range(count)])


known = drawn(kinds, 800)
viz.pictures({"": known[:8]}, columns=[kind.shape for kind in kinds], title="Eight kinds of pictures")

# %% [markdown]
# ## An hourglass
#
# An **autoencoder** is two networks. The *encoder* makes few numbers of a picture, here two. The *decoder* makes a
# picture of the two numbers. They learn together that the second picture be like the first: nobody says what the
# numbers mean. They are called **latent**, hidden.
#
# Later, noise shall become such numbers. So wherever noise falls, there must be a picture, and the decoder must not
# mind if a number is a little off. That is why the encoder says two things of each number: its center c, and how far it
# spreads, σ; the decoder gets a number drawn from there. And a second loss pulls centers toward 0 and spreads toward 1,
# as in noise. It is called **KL**, after Kullback and Leibler:
#
#     KL = ½ · (c² + σ² − 1) − ln σ
#
# With it, an autoencoder is **variational**, a **VAE** (Kingma and Welling 2014).
#
# **Predict.** What does a number cost at c = 0, σ = 1? At c = 1, σ = 1? And at c = 0, σ = ½? (ln ½ is −0.693.)
#
# answer at 0 and 1: at[0]
# answer at 1 and 1: at[1]
# answer at 0 and ½: at[2]


# %%
def kl(center, log_spread):
    return 0.5 * (center**2 + (2.0 * log_spread).exp() - 1.0) - log_spread


at = [kl(Value(c), Value(math.log(s))).data for c, s in ((0.0, 1.0), (1.0, 1.0), (0.0, 0.5))]
print([round(number, 3) for number in at])

# %% tags=["check"]
assert np.allclose(at, [0, 0.5, 0.318], atol=0.001)

# %% [markdown]
# The encoder says ln σ instead of σ: any number will do, and σ is never negative.


# %% tags=["model"]
class Autoencoder(Module):
    def __init__(self, rng, numbers=2, hidden=64):
        self.encoder = Stack([144, hidden, 2 * numbers], "silu", rng=rng)
        self.decoder = Stack([numbers, hidden, 144], "silu", rng=rng)

    def encode(self, picture):
        both = self.encoder(picture)
        return both[: len(both) // 2], both[len(both) // 2 :]

    def forward(self, picture, noise):
        centers, log_spreads = self.encode(picture)
        near = [c + s.exp() * e for c, s, e in zip(centers, log_spreads, noise, strict=True)]
        return self.decoder(near), F.mean([kl(c, s) for c, s in zip(centers, log_spreads, strict=True)])

    def loss(self, picture, noise):
        rebuilt, away = self(picture, noise)
        return F.mse(rebuilt, picture) + 0.01 * away


vae = Autoencoder(random.Random(SEED))
with record_calls() as calls:
    loss = vae.loss(known[0].tolist(), [0.3, -1.2])

loss.backward()
viz.draw(loss, calls=calls, budget=24)

# %%
viz.flow(loss, calls=calls)

# %% [markdown]
# The graph is an hourglass: all that the decoder knows has come through two numbers, and so has every gradient of the
# encoder.


# %%
def trained(model, examples):
    steps = 60 if FAST else 1500
    compiled, losses = jit(model.loss, model), []
    optimizer = Adam(compiled.parameters, lr=0.005)
    for step in range(steps):
        optimizer.lr = 0.005 * (1 - 0.95 * step / steps)
        losses.append(compiled.value_and_grad(*examples()))
        optimizer.step()
    return [(i + 10, sum(losses[i : i + 20]) / 20) for i in range(0, steps, 20)]


def some(rows):
    return rows[rng.integers(0, len(rows), 64)]


means = trained(vae, lambda: (some(known), rng.standard_normal((64, 2))))
viz.plot({"loss": means}, title="Rebuild, and stay near noise", x="step", y="loss")

# %% [markdown]
# ## A plane of pictures
#
# Two numbers are a point of the plane. Where did the encoder put the eight kinds?

# %%
encode, decode = jit(vae.encode, vae), jit(vae.decoder.forward, vae)


def centers(pictures):
    return encode.flat(pictures)[:2].T


where = centers(known)
shape_of = np.array([kinds[i % 8].shape for i in range(160)])
viz.plot(
    {},
    points={shape: where[:160][shape_of == shape].tolist() for shape in dict.fromkeys(shape_of.tolist())},
    title="Where the pictures are", x="first number", y="second number",
)  # fmt: skip

# %% [markdown]
# Each shape is there twice: filled, and hollow. Nobody told it the kinds, but each has a place of its own. And every
# other point of the plane is a picture, too:

# %%
steps = [-1.8, -1.2, -0.6, 0.0, 0.6, 1.2, 1.8]
names = [f"{x:g}".replace("-", "−") for x in steps]
plane = [decode.flat([[x, y] for x in steps]).T for y in reversed(steps)]
viz.pictures(
    dict(zip(reversed(names), plane, strict=True)), columns=names, title="What the decoder makes of each point"
)

# %% [markdown]
# **Predict.** Send all 800 pictures through the two numbers and back. In how many of a hundred does the rebuilt picture
# show what the first one showed? A program judges: which of the eighty drawn shapes is nearest?
#
# answer of a hundred: 100 * kept ± 12

# %%
rebuilt = decode.flat(where).T
shows = obeyed(rebuilt, [kinds[i % 8] for i in range(len(known))])
kept = shows.right / shows.count
print(f"{shows}; {distances(rebuilt, known).mean():.1f} from the nearest known picture")
viz.pictures({"before": known[:8], "after": rebuilt[:8]}, columns=[kind.shape for kind in kinds], title="Rebuilt")

# %% tags=["check"]
assert means[-1][1] < means[0][1]
if not FAST:
    assert kept > 0.75

# %% [markdown]
# Nearly all, but not exactly as they were: where in the middle it stood is lost, and the edges are soft. 144 numbers
# went through 2.
#
# ## A flow in the plane, again
#
# Now paint. Noise of *two* numbers, a flow to where pictures are, exactly that of Pictures 1, and at the end, once, the
# decoder. Beside it the same network on 144 pixels.


# %%
class Field(Module):
    def __init__(self, rng, numbers, hidden=64):
        self.net = Stack([numbers + 1, hidden, hidden, numbers], "silu", rng=rng)

    def forward(self, x, t):
        return self.net([*x, t])

    def loss(self, noise, goal, t):
        return F.mse(self(mixed(noise, goal, t), t), velocity(noise, goal))


def flow(numbers, goals):
    field = Field(random.Random(SEED), numbers)
    trained(field, lambda: (rng.standard_normal((64, numbers)), some(goals), rng.random(64)))
    return jit(field.forward, field)


asks = {"2 numbers": flow(2, where), "144 pixels": flow(144, known)}

# %% [markdown]
# **Predict.** Count the multiplications of one picture: twenty steps of 3·64 + 64·64 + 64·2 and one decoder,
# 2·64 + 64·144. In pixels, a step has 145·64 + 64·64 + 64·144. How many times as many are that?
#
# answer times: pixels / latent ± 0.3

# %%
latent = 20 * (3 * 64 + 64 * 64 + 64 * 2) + 2 * 64 + 64 * 144
pixels = 20 * (145 * 64 + 64 * 64 + 64 * 144)
print(f"{latent:,} and {pixels:,}: {pixels / latent:.1f} times as many")

# %% tags=["check"]
assert 4 < pixels / latent < 5


# %%
def paint(name, count=1000, steps=20):
    x = np.random.default_rng(SEED + 1).standard_normal((count, 2 if name == "2 numbers" else 144))
    for step in range(steps):
        x = x + asks[name].flat(x, np.full(count, step / steps)).T / steps
    return np.clip(decode.flat(x).T if name == "2 numbers" else x, -1, 1)


painted, far = {}, {}
for name in asks:
    paint(name)  # compiles
    start = time.perf_counter()
    painted[name] = paint(name)
    seconds = time.perf_counter() - start
    far[name] = float(distances(painted[name], known).mean())
    print(f"{name}: {1000 * seconds:.0f} ms for a thousand, {far[name]:.1f} from the nearest known picture")

viz.pictures({name: some[:8] for name, some in painted.items()}, title="Painted in two numbers, and in pixels")

# %% tags=["check"]
if not FAST:
    assert far["2 numbers"] < 3 < 5 < far["144 pixels"]

# %% [markdown]
# Faster, and better as well: the same small network can learn a plane, but not a space of 144 dimensions. Nearly all
# of what pixels can be is no picture, and in the plane nearly everything is one. That is why Stable Diffusion paints
# in a latent space (Rombach et al. 2022): 512 × 512 pixels of three colors become 64 × 64 places of four numbers.
#
# ## What the hourglass cannot do
#
# The painter of Pictures 4 made pictures for captions that it had never been told. Can a decoder make pictures of kinds
# that it has never seen? An autoencoder with 16 numbers, trained on 70 of the 80 combinations of shape, size, place and
# filling. It need not even paint, only rebuild.
#
# **Predict.** Of what it has been trained on, it rebuilds about nine of ten so that they show the same. And of the ten
# combinations that it has never seen?
#
# answer it rebuilds: new_share > share - 0.15 | as many | clearly fewer

# %%
wide = Autoencoder(random.Random(SEED), 16)
many = drawn(shapes.TRAINED, 1400)
trained(wide, lambda: (some(many), rng.standard_normal((64, 16))))
wide_encode, wide_decode = jit(wide.encode, wide), jit(wide.decoder.forward, wide)


def rebuilds(kinds, count):
    again = wide_decode.flat(wide_encode.flat(drawn(kinds, count))[:16].T).T
    found = obeyed(again, [kinds[i % len(kinds)] for i in range(count)])
    return found.right / found.count


share, new_share = rebuilds(shapes.TRAINED, 700), rebuilds(shapes.NEVER_TRAINED, 200)
print(f"trained {share:.0%}, never seen {new_share:.0%}")

# %% tags=["check"]
if not FAST:
    assert share > 0.75
    assert new_share < share - 0.15

# %% [markdown]
# It has learned pictures, not parts. An MLP has weights of its own for every pixel, so what it knows of triangles at
# the top does not help at the bottom. Whatever the words say, a painter in these numbers cannot be better than its
# decoder. Large systems take convolutions (Supplement 15), which know the same at every place.
#
# ## Exercises
#
# **Exercise 1.** By hand: the KL of a number with c = 2 and σ = 1. And with c = 0 and σ = 2 (ln 2 = 0.693)? For which
# c and σ is it 0?

# %% tags=["solution"]
print(kl(Value(2.0), Value(0.0)).data, round(kl(Value(0.0), Value(math.log(2))).data, 3))  # 0 only for c = 0, σ = 1
assert kl(Value(2.0), Value(0.0)).data == 2
assert math.isclose(kl(Value(0.0), Value(math.log(2))).data, 1.5 - math.log(2))

# %% [markdown]
# **Exercise 2.** Leave the flow out: give noise to the decoder at once. KL has pulled the centers to where noise is, so
# it might do. How far are the pictures from the nearest known one, and why?

# %% tags=["solution"]
straight = float(distances(decode.flat(rng.standard_normal((1000, 2))).T, known).mean())
print(f"{straight:.1f} without the flow, {far['2 numbers']:.1f} with it")  # between two kinds is neither of them
assert FAST or straight > far["2 numbers"]

# %% [markdown]
# **Exercise 3.** Walk in a straight line from one picture to another one, in pixels and in the two numbers. Draw both
# with `viz.pictures`. What is in the middle?

# %% tags=["solution"]
one, other = known[0], known[5]
parts = [i / 6 for i in range(7)]
between = [(1 - p) * centers([one])[0] + p * centers([other])[0] for p in parts]
viz.pictures(
    {"pixels": [(1 - p) * one + p * other for p in parts], "2 numbers": decode.flat(between).T},
    title="From one picture to another",
)  # in pixels both are there at once, half gray; in the plane one becomes the other

# %% [markdown]
# ## Summary
#
# - An **autoencoder** sends pictures through few, **latent** numbers; a **VAE** pulls those near noise, by its **KL**.
# - The losses pull in two directions: rebuild exactly, and be like noise.
# - **Latent diffusion:** a flow in the few numbers, and one decoder at the end. Fewer multiplications, and easier.
# - What the decoder cannot draw, nobody can paint.
#
# Next: the same with words, `python3 run.py image train --preset shapes-latent`. Nothing in these five lessons was new
# but the game: the same Values, loss and gradients as in all the others.
