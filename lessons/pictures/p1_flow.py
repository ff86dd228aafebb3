# %% [markdown]
# # Pictures 1: A flow in the plane
#
# **Question.** A program paints a picture that nobody has painted before. It begins with random numbers. How does noise
# become a picture?
#
# Follows Lesson 4. Here a picture is two numbers, a point of the plane: that can be drawn. In Pictures 2 it has
# 64 numbers, and nothing else changes.

# %%
import math
import random

import viz
from tinygrad_edu import functional as F
from tinygrad_edu import jit, record_calls
from tinygrad_edu.compiler import Adam
from tinygrad_edu.nn import Linear, Module

FAST = globals().get("FAST", False)
SEED = globals().get("SEED", 0)

# %% [markdown]
# ## What shall be painted
#
# The "pictures" lie on two half circles that reach into each other, each of radius 1.


# %%
def picture(rng):
    angle, side = rng.uniform(0, math.pi), rng.choice((1, -1))
    x, y = math.cos(angle) - 0.5, math.sin(angle) - 0.25
    return [side * x + rng.gauss(0, 0.06), side * y + rng.gauss(0, 0.06)]


def noise(rng):
    return [rng.gauss(0, 1), rng.gauss(0, 1)]


def away(point):
    """How far a point is from the nearer half circle."""
    found = []
    for side in (1, -1):
        x, y = side * point[0] + 0.5, side * point[1] + 0.25
        found.append(abs(math.hypot(x, y) - 1) if y > 0 else math.hypot(abs(x) - 1, y))
    return min(found)


rng = random.Random(SEED)
pictures, noises = [picture(rng) for _ in range(300)], [noise(rng) for _ in range(300)]
viz.plot({}, points={"noise": noises, "pictures": pictures}, title="From here to there", x="x", y="y")

# %% [markdown]
# ## A straight line
#
# Take one point of noise and one picture, and join them by a straight line. At time 0 we are in the noise, at time 1 in
# the picture, and between we move evenly, with a **velocity** that is always the same:
#
#     x(t) = (1 − t) · noise + t · picture
#     v    = picture − noise
#
# **Predict.** The noise is (−1, 0.4), the picture (1, 0). Where is the point at t = 0.25? And what is its velocity?
#
# answer x at t = 0.25: here[0]
# answer y at t = 0.25: here[1]
# answer velocity, to the right: v[0]
# answer velocity, up: v[1]


# %%
def mixed(noise, picture, time):
    return [(1 - time) * a + time * b for a, b in zip(noise, picture, strict=True)]


def velocity(noise, picture):
    return [b - a for a, b in zip(noise, picture, strict=True)]


here, v = mixed([-1.0, 0.4], [1.0, 0.0], 0.25), velocity([-1.0, 0.4], [1.0, 0.0])
print([round(x, 2) for x in here], v)

# %% tags=["check"]
assert all(math.isclose(a, b) for a, b in zip([*here, *v], [-0.5, 0.3, 2.0, -0.4], strict=True))

# %% [markdown]
# ## Learn the velocity
#
# To paint we must know the velocity *without* knowing the picture. So a network learns it: it gets the point and the
# time, and says the velocity. We made the pair, so we know the answer. That is all of **flow matching** (Lipman et al.
# 2023; Liu et al. 2023), and ordinary regression as in Lesson 2.


# %% tags=["model"]
class Field(Module):
    def __init__(self, rng, hidden=64):
        self.enter = Linear(3, hidden, rng=rng)
        self.middle = Linear(hidden, hidden, rng=rng)
        self.leave = Linear(hidden, 2, rng=rng)

    def forward(self, point, time):
        h = [z.relu() for z in self.enter([*point, time])]
        h = [z.relu() for z in self.middle(h)]
        return self.leave(h)

    def loss(self, noise, picture, time):
        return F.mse(self(mixed(noise, picture, time), time), velocity(noise, picture))


field = Field(random.Random(SEED))
print(f"{len(field.parameters()):,} parameters")

# %%
with record_calls() as calls:
    loss = field.loss([-1.0, 0.4], [1.0, 0.0], 0.25)

loss.backward()
viz.draw(loss, calls=calls, budget=24)

# %%
viz.flow(loss, calls=calls)

# %%
steps = 500 if FAST else 2000
compiled, losses = jit(field.loss, field), []
optimizer = Adam(compiled.parameters, lr=0.01)
for step in range(steps):
    optimizer.lr = 0.01 * (1 - 0.95 * step / steps)
    batch = [(noise(rng), picture(rng), rng.random()) for _ in range(128)]
    losses.append(compiled.value_and_grad(*zip(*batch, strict=True)))
    optimizer.step()

means = [(i + 25, sum(losses[i : i + 50]) / 50) for i in range(0, steps, 50)]
viz.plot({"loss": means}, title="Learning the velocity", x="step", y="squared error")

# %% tags=["check"]
assert 0.3 < means[-1][1] < means[0][1]

# %% [markdown]
# The loss does not go to 0, and it cannot: many lines cross at one point, with different velocities. The best answer is
# their *mean*.
#
# **Predict.** At t = 0 the point is pure noise and says nothing about the picture. The mean of all pictures is (0, 0).
# What is the best answer at the point (1, −1): which velocity?
#
# answer to the right: 0.0 - 1.0 ± 0.15
# answer up: 0.0 + 1.0 ± 0.15

# %%
told = [z.data for z in field([1.0, -1.0], 0.0)]
print([round(z, 2) for z in told])

# %% tags=["check"]
near = 0.6 if FAST else 0.35
assert abs(told[0] + 1) < near
assert abs(told[1] - 1) < near

# %%
ask = jit(field.forward, field)


def arrows_at(time):
    return lambda point: [number for [number] in ask.flat([point], [time]).tolist()]


viz.arrows({f"t = {t}": arrows_at(t) for t in (0.0, 0.5, 0.9)}, title="Where to go, at three times", resolution=14)

# %% [markdown]
# At first every arrow points to the middle, and later to the nearer half circle.
#
# ## Paint
#
# Begin with noise, and follow the arrows in small steps: a step of length `dt` goes to `x + dt · v`. That is **Euler's
# method**. As the point moves, the arrow changes, so we ask again.
#
# **Predict.** We are at (0.2, −0.6), and the network says the velocity (1, 2). Where are we after one step with
# dt = 0.1?
#
# answer x: after[0]
# answer y: after[1]


# %%
def euler(point, v, dt):
    return [x + dt * slope for x, slope in zip(point, v, strict=True)]


after = euler([0.2, -0.6], [1.0, 2.0], 0.1)
print([round(x, 2) for x in after])

# %% tags=["check"]
assert all(math.isclose(a, b) for a, b in zip(after, [0.3, -0.4], strict=True))


# %%
def follow(points, time, dt):
    vs = zip(*ask.flat(points, [time] * len(points)).tolist(), strict=True)
    return [euler(point, v, dt) for point, v in zip(points, vs, strict=True)]


def paint(starts, steps):
    way = [starts]
    for step in range(steps):
        way.append(follow(way[-1], step / steps, 1 / steps))
    return way


fresh = random.Random(SEED + 1)
starts = [noise(fresh) for _ in range(200)]
way = paint(starts, 20)
moments = {f"t = {i / 20:g}": i for i in (0, 5, 10, 15, 18, 20)}
viz.arrows(
    {name: arrows_at(i / 20) for name, i in moments.items()},
    points={name: way[i] for name, i in moments.items()},
    title="Two hundred points on their way",
)

# %% [markdown]
# No point is one of those that we trained with; all of them lie where pictures are.
#
# **Predict.** Twenty steps need twenty calls of the network. Take *one* step, with dt = 1, instead. Where do the points
# go?
#
# answer they go: sum(math.hypot(*p) < 0.5 for p in paint(starts, 1)[-1]) > 100
#   | to the middle, where no picture is | onto the half circles, less exactly | nowhere, they stay


# %%
def share(points):
    return sum(away(point) < 0.25 for point in points) / len(points)


shares = {count: share(paint(starts, count)[-1]) for count in (1, 2, 4, 8, 20, 50)}
print(f"the noise itself {share(starts):.0%}; " + ", ".join(f"{n} steps {right:.0%}" for n, right in shares.items()))

# %%
viz.plot(
    {"near a half circle": [(n, 100 * right) for n, right in shares.items()]},
    title="More steps, better points", x="steps", y="percent",
)  # fmt: skip

# %% tags=["check"]
assert shares[20] > share(starts)
if not FAST:
    assert shares[1] < 0.3
    assert shares[20] > 0.7
    assert shares[20] > shares[2]

# %% [markdown]
# At t = 0 the best answer leads to the mean of all pictures, and the mean of pictures is no picture. A large system
# that paints in one step gets a gray blur for the same reason. After a few steps the point has come nearer to one
# half circle, and the network no longer means all of them.
#
# **Play.** Paint pictures of your own, and let noise flow onto them, in one step and in twenty
# (`play.html#screen=flow&data=own`).
#
# ## The older way: diffusion
#
# Before straight lines there was **diffusion**, as when ink spreads in water (Sohl-Dickstein et al. 2015; Ho et al.
# 2020): `x = √a · picture + √(1 − a) · noise`, with a from 1, the picture, to 0, the noise. The roots keep the typical
# size of a number at 1. A network learns what the noise was, or the picture: one gives the other. Stable Diffusion
# began so; newer systems take the straight line.
#
# **Predict.** A pixel is 1, its noise is −0.5, and a = 0.64. What is the mixture?
#
# answer: mixture ± 0.001

# %%
mixture = math.sqrt(0.64) * 1 + math.sqrt(1 - 0.64) * -0.5
print(round(mixture, 3), "and back:", round((mixture - 0.6 * -0.5) / 0.8, 3))

# %% tags=["check"]
assert math.isclose(mixture, 0.5)

# %% [markdown]
# ## Exercises
#
# **Exercise 1.** By hand: from (0, 0), two steps with dt = 0.5. The field says (1, 1) at (0, 0) and (1, −1) at
# (0.5, 0.5). Where are we? And with one step of dt = 1?

# %% tags=["solution"]
two = euler(euler([0.0, 0.0], [1.0, 1.0], 0.5), [1.0, -1.0], 0.5)
one = euler([0.0, 0.0], [1.0, 1.0], 1.0)
print(two, one)
assert two == [1.0, 0.0]
assert one == [1.0, 1.0]

# %% [markdown]
# **Exercise 2.** How large is the loss at t = 1? There the point *is* the picture; what nobody can know is where it
# came from. (Each number of the noise has the variance 1.)

# %% tags=["solution"]
ends = compiled.flat(*zip(*((noise(fresh), picture(fresh), 1.0) for _ in range(1000)), strict=True)).tolist()[0]
print(round(sum(ends) / len(ends), 2))  # about 1: the mean of the noise is 0, and its squares are 1 in the mean
assert abs(sum(ends) / len(ends) - 1) < 0.35

# %% [markdown]
# **Exercise 3.** Can you go back? Follow the arrows from the painted points to the noise, from t = 1 to 0 with small
# steps, and compare with where they began.

# %% tags=["solution"]
count = 100
there = paint(starts, count)[-1]
back = there
for step in range(count, 0, -1):
    back = follow(back, step / count, -1 / count)

missed = sorted(math.dist(a, b) for a, b in zip(starts, back, strict=True))[len(starts) // 2]
print(
    f"half of them come back to within {missed:.2f}"
)  # noise and picture belong together: nothing is drawn on the way
assert missed < 0.2

# %% [markdown]
# ## Summary
#
# - **Flow matching:** join noise and picture by a straight line, and let a network learn the velocity on it.
# - Many lines cross, so it learns their **mean**; the loss cannot go to 0.
# - **Paint** with Euler's method: begin with noise, and follow the velocity in small steps.
# - One step leads to the mean of all pictures. Twenty lead to one of them.
# - Nothing on the way is random: the same noise becomes the same picture.
# - **Diffusion** mixes with roots instead, and is the same game.
#
# Next: Pictures 2 does the same with 64 numbers, handwritten digits. A larger network on such points is
# `python3 run.py image train --preset points`.
