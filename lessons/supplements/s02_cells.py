# %% [markdown]
# # Supplement 2: Convolution and recurrence, as scalar programs
#
# **Question.** Before attention, networks read pictures with a sliding window and texts with a memory. What are these,
# when everything is single numbers?
#
# Follows Lesson 5. Both are nothing but the same few weights used again and again; so their gradients add up.

# %%
import math
import random

import viz
from tinygrad_edu import Value, record_calls
from tinygrad_edu import functional as F
from tinygrad_edu.nn import MLP, Module
from tinygrad_edu.optim import Adam

FAST = globals().get("FAST", False)

# %% [markdown]
# ## A window that slides
#
# A **convolution** slides a short list of weights, the kernel, along the input. (Mathematics reverses the kernel first;
# deep learning does not, and its "convolution" is what others call correlation.)


# %%
def convolve(xs, kernel):
    n = len(kernel)
    return [F.dot(kernel, xs[i : i + n]) for i in range(len(xs) - n + 1)]


signal = [1.0, 0.0, 2.0, 3.0, 1.0, 0.0, 1.0]
kernel = [Value(w, label=f"k{i}") for i, w in enumerate((1.0, 0.0, -1.0))]
edges = convolve(signal, kernel)
print([e.data for e in edges])

# %% tags=["check"]
assert [e.data for e in edges] == [-1.0, -3.0, 1.0, 3.0, 0.0]
assert [e.data for e in convolve(signal, kernel[::-1])] == [1.0, 3.0, -1.0, -3.0, 0.0]

# %% [markdown]
# This kernel subtracts the right neighbor from the left: it finds edges.
#
# **Predict.** Add all five results up and go backward. The gradient of the first weight is a sum of five numbers from
# the signal. Which sum?
#
# answer the sum: kernel[0].grad

# %%
total = sum(edges)
total.backward()
print([k.grad for k in kernel])

# %% tags=["check"]
assert [k.grad for k in kernel] == [7.0, 6.0, 7.0]

# %% [markdown]
# 1 + 0 + 2 + 3 + 1 = 7: everything that was under this weight while it slid along. A weight that is used five times
# hears five complaints.

# %%
total.label = "sum"
viz.draw(total, budget=14)

# %% [markdown]
# ## Up and down, or down and up?
#
# Somewhere in ten numbers of noise there is a wave: `2, 0, −2`, or its reverse. A network whose weights are at fixed
# positions must learn the wave separately at every position; a kernel learns it once. We take the largest and the
# smallest result of the kernel, wherever they are, and let two weights decide.


# %%
class Detector(Module):
    def __init__(self, rng):
        self.kernel = [Value(rng.gauss(0, 0.5)) for _ in range(3)]
        self.out = [Value(1.0), Value(1.0), Value(0.0)]

    def forward(self, xs):
        answers = convolve(xs, self.kernel)
        largest, smallest = answers[0], answers[0]
        for a in answers[1:]:
            largest, smallest = largest.maximum(a), smallest.minimum(a)
        return self.out[0] * largest + self.out[1] * smallest + self.out[2]


def wave(rng):
    xs, place, sign = [rng.gauss(0, 0.4) for _ in range(10)], rng.randrange(8), rng.choice((1, -1))
    for i, height in enumerate((2, 0, -2)):
        xs[place + i] += sign * height
    return xs, sign


def train(model, steps):
    rng, losses = random.Random(3), []
    adam = Adam(model.parameters(), lr=0.03)
    for _ in range(steps):
        batch = [wave(rng) for _ in range(8)]
        loss = F.mean([(1 + (-sign * model(xs)).exp()).log() for xs, sign in batch])
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.data)
    return losses


def right(model):
    rng = random.Random(99)
    return sum((model(xs).data > 0) == (sign > 0) for xs, sign in (wave(rng) for _ in range(200)))


steps = 40 if FAST else 120
sliding, fixed = Detector(random.Random(1)), MLP(10, [4, 1], rng=1)
curves = {"sliding window": train(sliding, steps), "fixed positions": train(fixed, steps)}
print(f"{len(sliding.parameters())} weights slide: {right(sliding)} of 200 right")
print(f"{len(fixed.parameters())} weights stay: {right(fixed)} of 200 right")
print("the kernel:", [round(k.data, 2) for k in sliding.kernel])

# %% tags=["check"]
assert len(sliding.parameters()) == 6
assert len(fixed.parameters()) == 49
assert right(sliding) >= 180
assert right(sliding) > right(fixed)

# %%
viz.plot(curves, title="Up and down, or down and up?", x="step", y="loss")

# %% [markdown]
# ## A cell with a memory
#
# A **recurrent** cell reads one number after the other and keeps a state: `h = tanh(w·x + u·h + b)`. The same three
# weights at every step; the graph is as deep as the text is long.


# %%
class Cell(Module):
    def __init__(self, w, u, b):
        self.w, self.u, self.b = Value(w, label="w"), Value(u, label="u"), Value(b, label="b")

    def forward(self, xs):
        h = Value(0.0)
        for x in xs:
            h = (self.w * x + self.u * h + self.b).tanh()
        return h


cell = Cell(0.5, 0.8, 0.0)
with record_calls() as calls:
    h = cell([1.0, -1.0, 2.0])

h.label = "h"
h.backward()
viz.draw(h)

# %% [markdown]
# How far back does the last state depend on the input? Go backward from it, and look at the gradient that reaches the
# input of each earlier step: it is multiplied by `u` and by a slope of tanh (at most 1) at each step back.
#
# **Predict.** With u = 0.5: how much of the gradient remains 20 steps back, at most? And with u = 1.5?
#
# answer with u = 0.5: reach["u = 0.5"][20] ± 2e-7
# answer with u = 1.5: reach["u = 1.5"][20] ± 400

# %%
reach = {}
for u in (0.5, 1.0, 1.5):
    inputs = [Value(0.0) for _ in range(21)]
    Cell(1.0, u, 0.0)(inputs).backward()
    reach[f"u = {u}"] = [abs(x.grad) for x in reversed(inputs)]
    print(f"u = {u}: {reach[f'u = {u}'][20]:.3g}")

# %% tags=["check"]
assert math.isclose(reach["u = 0.5"][20], 0.5**20)
assert math.isclose(reach["u = 1.5"][20], 1.5**20)
assert reach["u = 1.0"][20] == 1.0

# %%
viz.plot(reach, title="What an input hears, so many steps later", x="steps back", y="|gradient|", log=True)

# %% [markdown]
# Below 1 it **vanishes**, a millionth after twenty steps; above 1 it **explodes**. (All inputs are 0 here, where tanh
# has its slope of 1; elsewhere it vanishes faster.) That is the problem of recurrent networks with long texts. Gated
# cells multiply the state by a *gate* at each step, a number between 0 and 1 that the cell itself computes: a gate near
# 1 keeps the path open, a gate near 0 forgets. (The first LSTM, of 1997, had no such gate: its state was only added to,
# as the residual stream of Lesson 9 is.) Attention (Lesson 8) takes one step from any position to any other.
#
# Next: Supplement 16 trains such cells, and lets them compete with attention.

# %% [markdown]
# ## Exercises
#
# **Exercise 1.** A picture of 28 × 28 and a kernel of 3 × 3: how many weights does the kernel have, how many results
# does it give, and how many weights would a layer need to give as many results from all pixels, without biases?

# %% tags=["solution"]
results = (28 - 3 + 1) ** 2
print(3 * 3, results, 28 * 28 * results)
assert (results, 28 * 28 * results) == (676, 529_984)

# %% [markdown]
# **Exercise 2.** Which kernel of two weights turns the running total 1, 3, 6, 10 back into 2, 3, 4?

# %% tags=["solution"]
steps_of = convolve([1.0, 3.0, 6.0, 10.0], [Value(-1.0), Value(1.0)])
print([step.data for step in steps_of])
assert [step.data for step in steps_of] == [2.0, 3.0, 4.0]

# %% [markdown]
# **Exercise 3.** A cell with u = 0.9, inputs 0: how many steps back is less than a hundredth of the gradient left?

# %% tags=["solution"]
inputs = [Value(0.0) for _ in range(61)]
Cell(1.0, 0.9, 0.0)(inputs).backward()
left = [abs(x.grad) for x in reversed(inputs)]
back = next(steps for steps, gradient in enumerate(left) if gradient < 0.01)
print(back)
assert back == math.ceil(math.log(0.01) / math.log(0.9)) == 44

# %% [markdown]
# ## Summary
#
# - **Convolution:** the same few weights at every place. It finds a pattern wherever it is, with few weights.
# - **Recurrence:** the same few weights at every step, and a state that is passed on.
# - Weights that are used often get a gradient from every use, and these add up.
# - Through time a gradient is multiplied by u at each step: below 1 it **vanishes**, above 1 it **explodes**.
