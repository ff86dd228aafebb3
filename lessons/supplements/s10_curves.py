# %% [markdown]
# # Supplement 10: Fitting curves
#
# **Question.** One neuron bends a line into an S. What can two neurons draw, and what can many?
#
# Follows Lesson 3. (Two helpers come from later: `Adam` of Lesson 4 chooses the length of each step, and `jit` of
# Lesson 6 does the same to all points at once.) Lesson 2 predicted a *number* from a number; that is called
# **regression**, and with a straight line it is **linear regression**. Lesson 3 answered *glasses or ring?*; to choose
# one of a few classes is called **classification**. The networks are the same, only the last step and the loss differ.
# This page is about regression with curves.

# %%
import math
import random
from itertools import pairwise

import viz
from tinygrad_edu import Value, jit
from tinygrad_edu.compiler import Adam
from tinygrad_edu.nn import Module

FAST = globals().get("FAST", False)

# %% [markdown]
# ## One neuron fits an S
#
# A sunflower, measured every week for twelve weeks (Reed and Holland 1919), in meters. It grows slowly, then fast, then
# hardly at all.

# %%
weeks = list(range(1, 13))
heights = [0.179, 0.364, 0.678, 0.981, 1.31, 1.695, 2.055, 2.283, 2.471, 2.505, 2.538, 2.545]
xs = [(week - 6.5) / 3.5 for week in weeks]  # scaled, as in Supplement 1

# %% [markdown]
# The model adds up neurons. Each one is a sigmoid with a weight `w` (how steep), a bias `b` (where), and an output
# weight `v` (how high, and whether it goes up or down); `c` shifts all of it:
#
#     y = v₁·σ(w₁·x + b₁) + v₂·σ(w₂·x + b₂) + … + c


# %%
class Curve(Module):
    def __init__(self, neurons, rng):
        self.w = [Value(rng.uniform(-2, 2)) for _ in range(neurons)]
        self.b = [Value(rng.uniform(-3, 3)) for _ in range(neurons)]
        self.v = [Value(rng.uniform(-1, 1)) for _ in range(neurons)]
        self.c = Value(0.0)

    def forward(self, x):
        y = self.c
        for w, b, v in zip(self.w, self.b, self.v, strict=True):
            y = y + v * (w * x + b).sigmoid()
        return y

    def squared_error(self, x, y):
        return (self(x) - y) ** 2


def fit(neurons, xs, ys, steps=3000, starts=1):
    best = None
    for start in range(starts):
        curve = Curve(neurons, random.Random(start))
        compiled = jit(curve.squared_error, curve)
        optimizer = Adam(compiled.parameters, lr=0.05)
        for step in range(steps):
            optimizer.lr = 0.05 * (1 - 0.95 * step / steps)
            loss = compiled.value_and_grad(xs, ys)
            optimizer.step()
        if best is None or loss < best[1]:
            best = curve, loss
    return best


def drawn(curve, low, high):
    points = [low + (high - low) * i / 120 for i in range(121)]
    return [(x, curve(x).data) for x in points]


# %% [markdown]
# The best straight line comes from the formula of Lesson 2. Its typical error, the root of the mean squared error, is
# 21 centimeters.
#
# **Predict.** One neuron has four numbers, the line has two. Will the neuron's typical error be about 15 centimeters,
# 10, or 3?
#
# answer it will be about: (neuron_error < 0.06**2) + (neuron_error < 0.12**2) | 15 cm | 10 cm | 3 cm

# %%
mean = sum(heights) / 12
slope = sum(x * (y - mean) for x, y in zip(xs, heights, strict=True)) / sum(x * x for x in xs)
line_error = sum((mean + slope * x - y) ** 2 for x, y in zip(xs, heights, strict=True)) / 12
sunflower, neuron_error = fit(1, xs, heights, steps=2000)
print(f"line {100 * line_error**0.5:.0f} cm, neuron {100 * neuron_error**0.5:.0f} cm")

# %%
straight = [(x, mean + slope * x) for x in (-1.8, 1.8)]
measured = list(zip(xs, heights, strict=True))
viz.plot(
    {"line": straight, "one neuron": drawn(sunflower, -1.8, 1.8)},
    points={"measured": measured},
    title="A sunflower",
    x="week, scaled",
    y="meters",
)

# %% tags=["check"]
assert round(100 * line_error**0.5) == 21
assert round(100 * neuron_error**0.5) == 3

# %% [markdown]
# Three centimeters: plants grow in an S, and a sigmoid is one. The learned numbers mean something, too: `v + c` is the
# final height, and the steepest day is where `w·x + b` is 0.
#
# ## Two neurons make a bump
#
# One sigmoid goes up. Another, farther right, goes up as well. Subtract the second from the first: up, then down again.
#
#     bump(x) = σ(4·(x + 1)) − σ(4·(x − 1))
#
# **Predict.** Take a pencil, or a calculator: σ(4) is 0.982, and σ(−4) is 0.018. How high is the bump at x = 0? And at
# x = 3?
#
# answer at 0: bump(Value(0.0)).data
# answer at 3: bump(Value(3.0)).data ± 0.01


# %%
def bump(x):
    return (4 * (x + 1)).sigmoid() - (4 * (x - 1)).sigmoid()


print([round(bump(Value(x)).data, 3) for x in (0.0, 3.0)])

# %% tags=["check"]
assert round(bump(Value(0.0)).data, 3) == 0.964
assert bump(Value(3.0)).data < 0.001

# %%
grid = [i / 20 for i in range(-80, 81)]
parts = {
    "first": [(x, (4 * (Value(x) + 1)).sigmoid().data) for x in grid],
    "minus the second": [(x, -(4 * (Value(x) - 1)).sigmoid().data) for x in grid],
    "their sum": [(x, bump(Value(x)).data) for x in grid],
}
viz.plot(parts, title="Up, and down again", x="x")

# %% [markdown]
# Now let two neurons *learn* a bump, the bell curve `exp(−x²)`, and let one neuron try the same.

# %%
bell_xs = [i / 10 for i in range(-40, 41)]
bell = [math.exp(-x * x) for x in bell_xs]
one, one_error = fit(1, bell_xs, bell)
two, two_error = fit(2, bell_xs, bell)
print(f"one neuron: {one_error:.4f}, two: {two_error:.1e}")

# %%
viz.plot(
    {"one neuron": drawn(one, -4, 4), "two neurons": drawn(two, -4, 4)},
    points={"exp(−x²)": list(zip(bell_xs, bell, strict=True))[::4]},
    title="A bump",
    x="x",
)

# %% tags=["check"]
assert abs(one_error - 0.0862) < 0.0002
assert two_error < 3e-5
assert two.v[0].data * two.v[1].data * two.w[0].data * two.w[1].data < 0  # one goes up, the other goes down

# %% [markdown]
# 0.0862 against 0.000014. One neuron can only ever go up, or only ever go down. No training changes that.
#
# ## Many fit anything
#
# With bumps you can draw any curve, as you draw it with bars: one narrow bump for each piece, as high as the curve is
# there. That is the whole idea of the **universal approximation theorem**: enough neurons in one hidden layer come as
# close to any continuous curve as you like. No training is needed to see it. Here are n bars, each made of two
# sigmoids:


# %%
def wave(x):
    return math.sin(2 * x) + 0.4 * x


def of_bars(n):
    width = 6 / n
    steep = 8 / width
    total = Curve(0, random.Random(0))
    for i in range(n):
        left = -3 + i * width
        for edge, sign in ((left, 1), (left + width, -1)):
            total.w.append(Value(steep))
            total.b.append(Value(-steep * edge))
            total.v.append(Value(sign * wave(left + width / 2)))
    return total


wave_xs = [i / 10 for i in range(-28, 29)]
waves = [wave(x) for x in wave_xs]


def error_of(curve):
    return sum((curve(x).data - y) ** 2 for x, y in zip(wave_xs, waves, strict=True)) / len(waves)


bars = {n: of_bars(n) for n in (6, 12, 24, 48)}
bar_errors = {2 * n: error_of(curve) for n, curve in bars.items()}
print({neurons: round(error, 4) for neurons, error in bar_errors.items()})

# %%
curves = {f"{2 * n} neurons": drawn(bars[n], -2.8, 2.8) for n in (6, 24)}
viz.plot(
    curves, points={"the curve": list(zip(wave_xs, waves, strict=True))[::3]}, title="Bars made of sigmoids", x="x"
)

# %% [markdown]
# **Predict.** Bars are clumsy. When the neurons may *learn* where to stand, how many of them do as well as 96 neurons
# that stand in bars: about 20 or 50, or fewer than 10?
#
# answer as many as 96 bars are: min(
#     [n for n, (_, error) in trained.items() if error < bar_errors[96]], default=20) >= 10
#   | about 20 or 50 | fewer than 10

# %%
starts = 1 if FAST else 3
trained = {n: fit(n, wave_xs, waves, 1000 if FAST else 3000, starts) for n in (1, 2, 4, 8)}
for n, (_, error) in trained.items():
    print(f"{n} neuron{'s' * (n > 1)}: {error:.5f}")

# %%
curves = {"trained": [(n, error) for n, (_, error) in trained.items()], "in bars": list(bar_errors.items())}
viz.plot(curves, title="The more neurons, the closer", x="neurons", y="mean squared error", log=True)

# %%
curves = {f"{n} neuron{'s' * (n > 1)}": drawn(trained[n][0], -3, 3) for n in (1, 2, 4, 8)}
viz.plot(curves, points={"the curve": list(zip(wave_xs, waves, strict=True))[::3]}, title="Learned", x="x")

# %% tags=["check"]
errors = [error for _, error in trained.values()]
assert errors[3] < errors[0]
assert all(more < few / 2 for few, more in pairwise(bar_errors.values()))
if not FAST:
    assert all(more < few / 3 for few, more in pairwise(errors))
    assert errors[3] < bar_errors[96]

# %% [markdown]
# Eight are enough. The theorem promises that good weights *exist*; it does not promise that training finds them (we
# took the best of three starts), nor that they mean anything outside the data:
#
# **Predict.** The eight neurons have seen x from −2.8 to 2.8. The curve goes up and down forever. What do the neurons
# say at x = 10, where the curve is at 4.91?
#
# answer they are: abs(outside - wave(10.0)) < 1 | right | clearly wrong

# %%
outside = trained[8][0](10.0).data
print(f"{outside:.2f} at 10, {trained[8][0](60.0).data:.2f} at 60")

# %%
far = [i / 10 for i in range(-100, 101)]
curves = {"the curve": [(x, wave(x)) for x in far], "8 neurons": drawn(trained[8][0], -10, 10)}
viz.plot(curves, title="Seen from −2.8 to 2.8 only", x="x")

# %% tags=["check"]
assert abs(wave(10.0) - 4.91) < 0.01
assert abs(outside - wave(10.0)) > 2
assert abs(trained[8][0](60.0).data - trained[8][0](30.0).data) < 0.01

# %% [markdown]
# Outside, every sigmoid is flat, so the network says the same forever. Between the points it has seen, a network
# *interpolates*, and does it well. Beyond them it *extrapolates*, and knows nothing.
#
# ## Exercises
#
# **Exercise 1.** By hand: `relu(x + 1) − 2·relu(x) + relu(x − 1)` at x = −2, −1, −0.5, 0, 0.5, 1, 2. Which shape is it,
# and how many ReLU neurons does it take?


# %% tags=["solution"]
def hat(x):
    x = Value(x)
    return ((x + 1).relu() - 2 * x.relu() + (x - 1).relu()).data


print([hat(x) for x in (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0)])  # a triangle, of three neurons
assert [hat(x) for x in (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0)] == [0, 0, 0.5, 1, 0.5, 0, 0]

# %% [markdown]
# **Exercise 2.** When is the sunflower growing fastest, in weeks? Solve `w·x + b = 0` with the learned numbers, and
# undo the scaling.

# %% tags=["solution"]
fastest = 6.5 + 3.5 * (-sunflower.b[0].data / sunflower.w[0].data)
print(f"week {fastest:.1f}")
assert 4.5 < fastest < 5.2

# %% [markdown]
# **Exercise 3.** Which of these are regression, which classification: tomorrow's temperature; spam or not; the next
# character of a text; the price of a flat?

# %% tags=["solution"]
kinds = {
    "temperature": "regression",
    "spam": "classification",
    "next character": "classification",
    "price": "regression",
}
print(kinds)  # the next character is one of 27 classes: Lesson 6

# %% [markdown]
# ## Summary
#
# - **Regression** predicts a number, **classification** one of a few classes.
# - One sigmoid fits an **S-curve**; two make a **bump**; bumps side by side make any curve.
# - **Universal approximation:** enough neurons in one hidden layer come as close as you like, inside the data.
# - That good weights exist does not mean that training finds them, and beyond the data they say nothing.
#
# Where next: Lesson 4 does the same with two inputs, where bumps become borders. Supplement 11 looks at the hills
# that training has to cross.
