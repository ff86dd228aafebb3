# %% [markdown]
# # Supplement 11: The loss landscape
#
# **Question.** Downhill leads into a valley. Is it the deepest one?
#
# Follows Lesson 2; its last part, *Real hills*, follows Lesson 4. The loss of a line was a bowl, with one valley. Other
# models have hills and several valleys. The lowest point of all is the **global minimum**; the bottom of any other
# valley is a **local minimum**.

# %%
import random

import viz
from tinygrad_edu import Value, jit
from tinygrad_edu.compiler import SGD
from tinygrad_edu.nn import MLP

FAST = globals().get("FAST", False)

# %% [markdown]
# ## Two valleys
#
# A landscape with one knob and two valleys, made up so that we can see all of it. A real one has millions of knobs.


# %%
def landscape(w):
    return w**4 - 4 * w**2 + w


ground = [(i / 50, landscape(i / 50)) for i in range(-125, 126)]
viz.plot({"loss": ground}, title="A deep valley and a shallow one", x="w", y="loss")

# %% [markdown]
# The slope is `4·w³ − 8·w + 1`.
#
# **Predict.** We start at w = 2 and take one step with learning rate 0.01. What is the gradient there, and where are
# we then? Take a pencil.
#
# answer the gradient: w.grad
# answer then w is: w.data - 0.01 * w.grad ± 0.001

# %%
w = Value(2.0, label="w")
landscape(w).backward()
print(w.grad, w.data - 0.01 * w.grad)

# %% tags=["check"]
assert w.grad == 4 * 8 - 8 * 2 + 1 == 17
assert abs(w.data - 0.01 * w.grad - 1.83) < 1e-12

# %% [markdown]
# Now start from 21 places, from −2.5 to 2.5, and take 300 steps from each.


# %%
def descend(start, *, lr=0.01, keep=0.0, steps=300, tilt=lambda: 0.0):
    w, velocity, path = Value(start), 0.0, [start]
    for _ in range(steps):
        loss = landscape(w) + tilt() * w
        w.zero_grad()
        loss.backward()
        velocity = keep * velocity - lr * w.grad
        w.data += velocity
        path.append(w.data)
    return path


starts = [-2.5 + 0.25 * i for i in range(21)]
walked = {start: descend(start)[-1] for start in starts}
print(sorted({round(end, 2) for end in walked.values()}))

# %% [markdown]
# **Predict.** They end in two places. Which of them end in the shallow valley, on the right: the starts right of 0,
# right of 0.5, or right of 1?
#
# answer the starts right of: min(range(3), key=lambda i: abs((0, 0.5, 1)[i] + 0.25 -
#     min(s for s, end in walked.items() if end > 0))) | 0 | 0.5 | 1

# %%
print([start for start, end in walked.items() if end > 0])

# %%
groups = {"ends left": [], "ends right": []}
for start, end in walked.items():
    groups["ends left" if end < 0 else "ends right"].append((start, landscape(start)))

viz.plot({"loss": ground}, points=groups, title="Where gradient descent ends", x="start", y="loss")

# %% tags=["check"]
assert {round(end, 2) for end in walked.values()} == {-1.47, 1.35}
assert [start for start, end in walked.items() if end > 0] == [start for start in starts if start > 0.13]
assert landscape(-1.47) < landscape(1.35) - 2.5

# %% [markdown]
# Half of them are stuck in the shallow valley, because gradient descent feels only the slope under its feet. The hill
# between the valleys is at 0.13: the starting point decides everything.
#
# ## The ball
#
# A ball rolls on when it has speed. **Momentum** gives the walker a velocity: it keeps, say, nine tenths of the last
# step, and adds the new one.
#
#     velocity = 0.9·velocity − lr·gradient
#     w = w + velocity
#
# **Predict.** The first step from 2 leads to 1.83, as before. The gradient there is 10.87. Where is the ball after its
# second step?
#
# answer w after the second step: descend(2.0, keep=0.9, steps=2)[2] ± 0.002

# %%
ball, walker = descend(2.25, keep=0.9), descend(2.25)
print([round(w, 3) for w in descend(2.0, keep=0.9, steps=2)])

# %% tags=["check"]
assert abs(descend(2.0, keep=0.9, steps=2)[2] - (1.83 - 0.9 * 0.17 - 0.01 * (4 * 1.83**3 - 8 * 1.83 + 1))) < 1e-12
assert round(descend(2.0, keep=0.9, steps=2)[2], 3) == 1.568

# %%
viz.plot({"gradient descent": walker[:120], "ball": ball[:120]}, title="Both start at 2.25", x="step", y="w")

# %% [markdown]
# From 2.25 the ball rolls through the shallow valley, over the hill, and comes to rest in the deep one.
#
# **Predict.** Does momentum always help? Of the 21 starts, 11 ended in the deep valley without it. How many with it?
#
# answer of the 21, with it: sum(end < 0 for end in rolled.values())

# %%
rolled = {start: descend(start, keep=0.9)[-1] for start in starts}
print(sum(end < 0 for end in walked.values()), sum(end < 0 for end in rolled.values()))
print([start for start in starts if (walked[start] < 0) != (rolled[start] < 0)])

# %% tags=["check"]
assert walker[-1] > 0 > ball[-1]
assert sum(end < 0 for end in walked.values()) == 11
assert sum(end < 0 for end in rolled.values()) == 12
assert walked[-2.5] < 0 < rolled[-2.5]

# %% [markdown]
# Twelve. Two more starts on the right are saved; and from far left, at −2.5, the ball is so fast that it leaves the
# deep valley again. Momentum carries you over hills, also over the wrong ones. (Its daily use is another: in a long
# narrow valley it goes along the floor instead of from side to side; Supplement 5.)
#
# ## Noise helps
#
# A loss is a mean over examples, and each example has a landscape of its own. Here are a thousand: all have our two
# valleys, and each is tilted at random to one side. The tilts cancel in the mean. In a **batch** of a few examples they
# do not: every step feels the valley, plus noise.

# %%
rng = random.Random(0)
tilts = [rng.gauss(0, 36) for _ in range(1000)]
middle = sum(tilts) / 1000
tilts = [tilt - middle for tilt in tilts]


def mean_tilt(batch, seed):
    draw = random.Random(seed)
    if batch == 1000:
        return lambda: 0.0
    return lambda: sum(draw.choices(tilts, k=batch)) / batch


def escapes(batch, tries=5 if FAST else 20):
    ends = [descend(1.35, steps=1000, tilt=mean_tilt(batch, seed))[-1] for seed in range(tries)]
    return sum(end < 0 for end in ends) / tries


# %% [markdown]
# **Predict.** We start at the bottom of the shallow valley. After 1,000 steps, which share has come into the deep
# valley with all 1,000 examples in each step? With batches of 32, of 8, of 4?
#
# answer with all 1,000 (%): 100 * shares[1000] ± 5
# answer with batches of 32 (%): 100 * shares[32] ± 5
# answer batches of 4 or of 8 escape more often: shares[4] > shares[8] | of 4 | of 8

# %%
shares = {batch: escapes(batch) for batch in (1000, 32, 8, 4)}
print({batch: f"{share:.0%}" for batch, share in shares.items()})

# %%
paths = {}
for batch in (4, 32):
    path = descend(1.35, steps=1000, tilt=mean_tilt(batch, 3))
    paths[f"batches of {batch}"] = [(step, path[step]) for step in range(0, 1001, 5)]

viz.plot(paths, title="Shaken", x="step", y="w")

# %% tags=["check"]
assert shares[1000] == 0
assert shares[32] == 0
if not FAST:
    assert shares[4] > 0.5
    assert shares[8] < shares[4]

# %% [markdown]
# All examples: never, for at the bottom the slope is 0. Small batches: often. It is easier to be shaken out of a
# shallow valley than out of a deep one, so noise prefers deep valleys. This is one reason why small batches work so
# well; the other is that they are cheap. The price: the walker never comes to rest. So the learning rate is lowered
# toward the end, as in Lesson 7.
#
# ## Epochs and iterations
#
# One step is an **iteration**. Once through all examples is an **epoch**.
#
# **Predict.** 1,000 examples in batches of 32: how many iterations make an epoch? How large is the last batch? And how
# many steps are 100 epochs?
#
# answer iterations in an epoch: len(batches)
# answer examples in the last batch: len(batches[-1])
# answer steps in 100 epochs: 100 * len(batches)

# %%
order = list(range(1000))
random.Random(1).shuffle(order)
batches = [order[i : i + 32] for i in range(0, 1000, 32)]
print(len(batches), len(batches[-1]), 100 * len(batches))

# %% tags=["check"]
assert 1000 / 32 == 31.25
assert (len(batches), len(batches[-1]), 100 * len(batches)) == (32, 8, 3200)
assert sorted(i for batch in batches for i in batch) == list(range(1000))

# %% [markdown]
# 32, not 31: 31 full batches hold 992 examples, and the last 8 make a batch of their own. (A widely read page says
# "about 31, so 3,100 updates".) Some programs drop the last batch; then 8 examples are left out of each epoch, others
# each time, if the order is shuffled anew.
#
# ## Real hills
#
# *Exclusive or* with two hidden neurons, from 20 random starts. Two neurons are enough (Lesson 4 made them by hand).
#
# **Predict.** Some starts get stuck where the network gets two of the four points right, and says "a half" to the other
# two. What is the mean squared error there?
#
# answer the loss there: found[stuck[0]][1] ± 0.005

# %%
points, answers = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0.0, 1.0, 1.0, 0.0]


def trained(seed, steps=1000):
    network = MLP(2, [2, 1], last_activation="sigmoid", rng=seed)
    compiled = jit(lambda x, y: (network(x) - y) ** 2, network)
    optimizer = SGD(compiled.parameters, lr=2.0)
    for _ in range(steps):
        loss = compiled.value_and_grad(points, answers)
        optimizer.step()
    return network, loss


seeds = (0, 7) if FAST else range(20)
found = {seed: trained(seed) for seed in seeds}
stuck = [seed for seed, (_, loss) in found.items() if loss > 0.1]
print(f"{len(stuck)} of {len(found)} stuck, at a loss of {found[stuck[0]][1]:.3f}")

# %% [markdown]
# Now walk in a straight line from a stuck network to one that has solved it, and measure the loss on the way. All nine
# parameters move at once; this is a slice through a landscape with nine knobs.


# %%
def between(start, end, count=60):
    network, a, b = MLP(2, [2, 1], last_activation="sigmoid"), start.parameters(), end.parameters()
    slice_ = []
    for i in range(count + 1):
        t = i / count
        for parameter, x, y in zip(network.parameters(), a, b, strict=True):
            parameter.data = (1 - t) * x.data + t * y.data
        errors = [(network(p).data - y) ** 2 for p, y in zip(points, answers, strict=True)]
        slice_.append((t, sum(errors) / 4))
    return slice_


slice_ = between(found[7][0], found[0][0])
viz.plot({"loss": slice_}, title="From a stuck network to one that has solved it", x="share of the way", y="loss")

# %% tags=["check"]
assert stuck[0] == 7
assert abs(found[7][1] - (0 + 0 + 0.25 + 0.25) / 4) < 0.002
assert found[0][1] < 0.001
assert max(loss for _, loss in slice_) > found[7][1] + 0.1
assert FAST or len(stuck) == 4

# %% [markdown]
# There is a hill in between. Two things make this less of a problem in large networks. First, with thousands of knobs
# there is nearly always one that still leads down: most flat places are not valleys but *saddles*. Second, there are
# very many good valleys: swap two hidden neurons, and you have another network with the same loss. Lesson 4, exercise
# 2: with four neurons instead of two, no start was stuck.
#
# ## Exercises
#
# **Exercise 1.** How much must be kept so that the ball from w = 2.25 comes to rest in the deep valley: 0.5, 0.8, 0.9?
# And from w = 2?

# %% tags=["solution"]
ends = {start: [round(descend(start, keep=keep)[-1], 2) for keep in (0.5, 0.8, 0.9)] for start in (2.25, 2.0)}
print(ends)  # 0.9 from 2.25; none of them from 2, which is not high enough
assert ends == {2.25: [1.35, 1.35, -1.47], 2.0: [1.35, 1.35, 1.35]}

# %% [markdown]
# **Exercise 2.** A cheap remedy that needs no ball: start at ten random places, and keep the best. If half of all
# places lead to the shallow valley, how likely is it that all ten do?

# %% tags=["solution"]
print(0.5**10)  # one in 1,024
assert 0.5**10 == 1 / 1024

# %% [markdown]
# **Exercise 3.** 60,000 examples, batches of 128, 5 epochs: how many steps? How large is the last batch of each epoch?

# %% tags=["solution"]
steps, last = -(-60_000 // 128), 60_000 % 128
print(5 * steps, last)
assert (5 * steps, last) == (2345, 96)

# %% [markdown]
# ## Summary
#
# - A **local minimum** is a valley that is not the deepest; plain gradient descent cannot leave it.
# - **Momentum** keeps part of the last step, and rolls over small hills, in both directions.
# - **Small batches** are noise: they shake a walker out of shallow valleys.
# - An **iteration** is one step, an **epoch** once through all examples: ⌈examples / batch⌉ iterations.
#
# Where next: Lesson 3. And Supplement 5, where Adam puts momentum and a step size for each parameter together.
