# %% [markdown]
# # Pictures 2: A diffusion transformer
#
# **Question.** A GPT reads characters, one after the other. How does the same network paint a picture, which has no
# first and no last character?
#
# Follows Pictures 1 and Lesson 9. The velocity is learned as there; only the network is another.

# %%
import random

import numpy as np

import viz
from gpt.config import GPTConfig
from gpt.model import GPT
from image import judge
from image.config import ModelConfig
from image.data import digits
from image.model import Block, Painter
from image.pictures.loss_graph import recorded
from image.sample import Sampler, noise
from tinygrad_edu import functional as F
from tinygrad_edu import jit, no_grad, record_calls
from tinygrad_edu.compiler import Adam

FAST = globals().get("FAST", False)
SEED = globals().get("SEED", 0)

# %% [markdown]
# ## Patches are the tokens
#
# The pictures are handwritten digits of 8 × 8 pixels: −1 is paper, 1 is ink, and 64 numbers are one point in a
# space of 64 dimensions. A straight line from noise to it is the same as in the plane.

# %%
every, classes = digits.training()
known = every[classes < 2]  # zeros and ones, so that a small network learns them while you wait
rng = np.random.default_rng(SEED)
start, goal = rng.standard_normal(64), known[0]
times = [0.0, 0.25, 0.5, 0.75, 1.0]
viz.pictures(
    {"x(t)": [(1 - t) * start + t * goal for t in times]},
    columns=[f"t = {t}" for t in times],
    title="From noise to a digit, on a straight line",
)

# %% [markdown]
# A transformer needs tokens. So we cut the picture into **patches** of 2 × 2 pixels. The pixels are numbered row by
# row: 0 to 7 in the first row, 8 to 15 in the second.
#
# **Predict.** How many patches are there? And which pixel is the last one of the patch right of the top left corner?
#
# answer patches: len(patches)
# answer its last pixel: patches[1][2][-1]

# %%
painter = Painter(ModelConfig(data="digits", width=32, layers=1, heads=4), seed=SEED)
patches = painter.net.patches(8)
print(len(patches), patches[1])

# %% tags=["check"]
assert len(patches) == 16
assert patches[1] == (0, 1, [2, 3, 10, 11])

# %% [markdown]
# Four pixels become a vector with one linear layer, `enter`, and at the end a vector becomes the velocities of its
# four pixels, `leave`. Attention does not know where a patch is (Lesson 8), so each gets a vector for its row, and
# another one for its column: a position in two dimensions.
#
# **Predict.** 100 × 100 patches. How many vectors for rows and columns? (One for each place would be 10,000.)
#
# answer vectors: rows_and_columns

# %%
rows_and_columns = 100 + 100
print(rows_and_columns, "here:", len(painter.net.row.weight) + len(painter.net.column.weight))

# %% tags=["check"]
assert len(painter.net.row.weight) + len(painter.net.column.weight) == 8

# %% [markdown]
# ## The time goes into every layer
#
# The time is a number. As with positions, sines and cosines make a vector of it. How do the layers hear of it? They
# do not get it added once; it *turns their knobs*. From the vector of the time a linear layer makes, for each part
# of the block, a **shift**, a **scale** and a **gate**:
#
#     modulate:  x · (1 + scale) + shift          before attention, and before the MLP
#     gated:     x + gate · change                where a GPT adds: x + change
#
# This is **adaLN**, a layer norm that adapts (Peebles and Xie 2023).
#
# **Predict.** x = 2, scale = 0.1, shift = 0.5: what is modulated? Then x = 1, change = 5, gate = 0: what is gated?
#
# answer modulated: modulated.data
# answer gated: passed.data

# %%
[modulated] = F.modulate([2.0], [0.5], [0.1])
[passed] = F.gated([1.0], [0.0], [5.0])
print(modulated.data, passed.data)

# %% tags=["check"]
assert abs(modulated.data - 2.7) < 1e-12
assert passed.data == 1.0

# %% [markdown]
# At the beginning all three are 0, which is why it is called **adaLN-zero**: every block hands on what it got, and
# learns to change it. Here is a block for two patches and vectors of two numbers:

# %%
tiny = ModelConfig(data="digits", width=2, layers=1, heads=1, mlp_ratio=1)
block = Block(tiny, rng=random.Random(SEED))
with record_calls() as calls:
    out = block([[1.0, -2.0], [0.5, 3.0]], [0.3, 0.7])

total = out[0][0] + out[0][1] + out[1][0] + out[1][1]
total.backward()
viz.draw(total, calls=calls, budget=40)

# %% [markdown]
# **Predict.** The block is new. Two numbers go in for the first patch, (1, −2). Which come out?
#
# answer the first: out[0][0].data
# answer the second: out[0][1].data

# %%
print([[z.data for z in vector] for vector in out])

# %% tags=["check"]
assert [[z.data for z in vector] for vector in out] == [[1.0, -2.0], [0.5, 3.0]]

# %% [markdown]
# Beside the block of a GPT:
#
# | the block of a GPT (Lesson 9) | the block of a diffusion transformer |
# |---|---|
# | tokens are characters, in a row | tokens are patches, in a plane |
# | a token sees what came before | a patch sees all patches, there is no before |
# | `x + change` | `x + gate · change`, and the time turns the gate |
# | layer norm with a learned scale and shift | scale and shift come from the time |
# | the end says probabilities of a character | the end says velocities of pixels |
#
# **Predict.** Both have the width 32 and an MLP four times as wide. Attention and MLP are alike. Which block has more
# parameters?
#
# answer it is: len(ours.parameters()) > len(its.parameters()) | that of the diffusion transformer | that of the GPT

# %%
ours = painter.net.blocks[0]
its = GPT(GPTConfig(vocab_size=2, n_embd=32, n_head=4, n_layer=1, block_size=16)).transformer.h[0]
parts = {
    name: len(part.parameters())
    for name, part in (("attention", ours.attn), ("MLP", ours.mlp), ("adaLN", ours.modulation))
}
print(f"{len(ours.parameters()):,} and {len(its.parameters()):,} parameters; ours:", parts)

# %% tags=["check"]
assert len(ours.parameters()) > len(its.parameters())
assert len(ours.modulation.parameters()) == 6 * 32 * (32 + 1)

# %% [markdown]
# ## Gradient flow
#
# The last layer, `leave`, begins with zeros, too.
#
# **Predict.** Before the first step: does the first layer, `enter`, get a gradient?
#
# answer at the first step: entered == 0 | no, it is exactly 0 | yes, a small one | yes, the largest of all

# %%
small = Painter(ModelConfig(data="digits", width=8, layers=1, heads=2), seed=SEED)
loss, calls, what = recorded(small)
size = {name: max(abs(p.grad) for p in getattr(small.net, name).parameters()) for name in ("enter", "leave")}
entered = size["enter"]
print(what, size)

# %%
viz.flow(loss, calls=calls)

# %% tags=["check"]
assert size["enter"] == 0
assert size["leave"] > 0

# %% [markdown]
# Weights of 0 let no gradient through. After one step `leave` is no longer 0, and the gradient reaches the layers
# before it; a step later the gates are open. The same as with the zeros of LoRA in Supplement 6.
#
# ## Train, and paint

# %%
steps = 30 if FAST else 300
compiled, losses = jit(painter.loss, painter), []
optimizer = Adam(compiled.parameters, lr=0.004)
for step in range(steps):
    optimizer.lr = 0.004 * min(1, (step + 1) / 30) * (1 - 0.95 * step / steps)
    batch = known[rng.integers(0, len(known), 32)]
    losses.append(compiled.value_and_grad(rng.standard_normal((32, 64)), batch, rng.random(32)))
    optimizer.step()

means = [(i + 5, sum(losses[i : i + 10]) / 10) for i in range(0, steps, 10)]
viz.plot({"loss": means}, title="The velocity of 64 pixels", x="step", y="squared error per pixel")

# %%
sampler = Sampler(painter, compiled.parameters)
way = sampler.way(noise(painter.config, 40, SEED), [()] * 40, steps=20)
painted = np.clip(way[-1], -1, 1)
viz.pictures(
    {f"picture {i + 1}": way[::4, i] for i in range(4)},
    columns=[f"t = {i / 20:g}" for i in range(0, 21, 4)],
    title="Noise becomes digits",
)

# %% [markdown]
# Are they digits, or copies of digits that it was shown? Measure how far each is from the *nearest* picture it has
# seen, and the same for digits that nobody has shown it.
#
# **Predict.** Held-out digits are about 2 from the nearest one. How far is noise (cut off at −1 and 1), about 2, 4
# or 8?
#
# answer about: ["2", "4", "8"][int(apart["noise"] > 3) + int(apart["noise"] > 6)] | 2 | 4 | 8

# %%
held, held_classes = digits.held_out()
apart = {
    "noise": judge.distances(np.clip(way[0], -1, 1), known).mean(),
    "painted": judge.distances(painted, known).mean(),
    "held out": judge.distances(held[held_classes < 2], known).mean(),
}
print({name: round(float(distance), 2) for name, distance in apart.items()})

# %% tags=["check"]
assert means[-1][1] < means[0][1]
assert apart["noise"] > 6
if not FAST:
    assert apart["painted"] < apart["noise"] / 2
    assert apart["painted"] > apart["held out"] / 2  # no copies

# %% [markdown]
# Three hundred small steps, on two digits. `python3 run.py image train --preset digits` learns all ten, with three
# blocks.
#
# ## Who looks at whom?
#
# One patch asks, all patches answer. What a patch in the middle looks at, in each head:

# %%
with record_calls() as calls:
    painter(way[10, 0].tolist(), 0.5)

heads = viz.attention(calls, [f"{row},{column}" for row, column, _ in patches]).maps
asking = 5  # row 1, column 1
most = max(weight for head in heads for weight in head.matrix()[asking])
viz.pictures(
    {"looks at": [head.matrix()[asking] for head in heads]},
    columns=[f"head {head.head + 1}" for head in heads],
    low=0.0, high=most, title="Where a patch in the middle looks, at t = 0.5",
)  # fmt: skip

# %% tags=["check"]
assert all(len(head.matrix()) == len(head.matrix()[0]) == 16 for head in heads)
assert all(all(weight > 0 for weight in row) for head in heads for row in head.matrix())  # no mask

# %% [markdown]
# ## Exercises
#
# **Exercise 1.** By hand: a photograph of 512 × 512 pixels, in patches of 16 × 16. How many tokens, and how many
# numbers has each, with three colors?

# %% tags=["solution"]
print((512 // 16) ** 2, 16 * 16 * 3)
assert (512 // 16) ** 2 == 1024
assert 16 * 16 * 3 == 768

# %% [markdown]
# **Exercise 2.** Patches of 1 × 1 would be exact. What would they cost? Count the scores of attention for patches of
# 1 × 1, 2 × 2 and 4 × 4 pixels.

# %% tags=["solution"]
scores = {p: ((8 // p) ** 2) ** 2 for p in (1, 2, 4)}
print(scores)  # half the side: four times the tokens, sixteen times the scores
assert scores[1] == 16 * scores[2] == 256 * scores[4]

# %% [markdown]
# **Exercise 3.** Take the positions away: exchange two patches of the noise. Without the vectors for rows and columns,
# what happens to the velocities? Set both tables to 0, and try.

# %% tags=["solution"]
blind = Painter(ModelConfig(data="digits", width=8, layers=1, heads=2), seed=SEED)
chance = random.Random(SEED)
for parameter in blind.net.parameters():
    parameter.data = chance.gauss(0, 0.3)  # so that blocks and the end do something

for table in (blind.net.row, blind.net.column):
    for parameter in table.parameters():
        parameter.data = 0.0

first, last = patches[0][2], patches[-1][2]
before = [chance.gauss(0, 1) for _ in range(64)]
swapped = list(before)
for i, j in zip(first, last, strict=True):
    swapped[i], swapped[j] = before[j], before[i]

with no_grad():
    one, other = ([z.data for z in blind(x, 0.5)] for x in (before, swapped))

print([round(one[i], 3) for i in first], [round(other[i], 3) for i in last])  # they are exchanged, too: no places
assert np.allclose([one[i] for i in first], [other[i] for i in last])
assert not np.allclose([one[i] for i in first], [other[i] for i in first])

# %% [markdown]
# ## Summary
#
# - A **diffusion transformer** learns the velocity of pictures; its tokens are **patches**, and all of them see all.
# - A patch gets a vector for its **row** and one for its **column**.
# - The time turns knobs in every layer, shift, scale and gate: **adaLN**.
# - They begin at **zero**: a new block changes nothing, and only the last layer gets a gradient at first.
# - Compare distances to the nearest known picture: no noise, and no copies.
#
# Next: which digit? Pictures 3 asks for one.
