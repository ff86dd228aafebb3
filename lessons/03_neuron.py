# %% [markdown]
# # Lesson 3: The neuron
#
# **Question.** A line goes on forever, up and up. How do we make something that says *yes* or *no*, and why does it
# sometimes stop learning?
#
# Take the line of the last lesson, allow it several inputs, and bend it. That is a neuron. The name comes from
# biology; the thing itself is a weighted sum and an *activation*, the function that bends it, no more.

# %%
import math

import viz
from tinygrad_edu import Value, record_calls
from tinygrad_edu.nn import Module

FAST = globals().get("FAST", False)

# %% [markdown]
# ## A committee member
#
# Imagine a committee member who listens to several advisers. Each adviser says a number `x`; each has a **weight** `w`,
# how much their word counts (negative: the opposite of what they say). All of it is added up, together with the
# member's own inclination, the **bias** `b`:
#
#     z = w₁·x₁ + w₂·x₂ + b
#
# So far this is a line, only in more directions. Then comes the **activation**, which bends it. Three are common:
#
# - **sigmoid**, `σ(z) = 1 / (1 + e⁻ᶻ)`: from 0 to 1, a soft switch from *no* to *yes*;
# - **tanh**: the same shape from −1 to 1;
# - **ReLU**, `max(0, z)`: nothing below zero, and a straight line above.

# %%
zs = [i / 10 for i in range(-50, 51)]
activations = {"sigmoid": Value.sigmoid, "tanh": Value.tanh, "ReLU": Value.relu}
curves = {name: [(z, activation(Value(z)).data) for z in zs] for name, activation in activations.items()}
curves["ReLU"] = [point for point in curves["ReLU"] if point[1] <= 2]
viz.plot(curves, title="Three activations", x="z")


# %% tags=["model"]
class Neuron(Module):
    def __init__(self, w, b, activation=Value.sigmoid):
        self.w = [Value(number, label=f"w{i}") for i, number in enumerate(w, 1)]
        self.b = Value(b, label="b")
        self.activation = activation

    def forward(self, x):
        z = self.b
        for weight, number in zip(self.w, x, strict=True):
            z = z + weight * number
        return self.activation(z)


# %% [markdown]
# ## One neuron by hand
#
# Two inputs, 2 and 0; weights −3 and 1; and a bias that looks strange, but makes the result pleasant.

# %%
x1, x2 = Value(2.0, label="x1"), Value(0.0, label="x2")
neuron = Neuron([-3.0, 1.0], 6.8813735870195432, activation=Value.tanh)
with record_calls() as calls:
    o = neuron([x1, x2])

o.label = "o"
o.data

# %% [markdown]
# The weighted sum is 0.8814, and tanh makes it 0.7071. To go back we need the local derivative of tanh, its *slope*. It
# is `1 − tanh²`: when the result is `o`, the slope is `1 − o²`, here 1 − 0.5 = 0.5.
#
# **Predict.** The gradient at the sum is 0.5. What arrives at `w1` (its adviser said 2), at `w2` (its adviser said
# 0), at `x1` and at `x2`?
#
# answer w1: w1.grad
# answer w2: w2.grad
# answer x1: x1.grad
# answer x2: x2.grad

# %%
o.backward()
w1, w2 = neuron.w
for value in (w1, w2, x1, x2, neuron.b):
    print(f"do/d{value.label} = {value.grad:.4f}")

# %% tags=["check"]
assert abs(o.data - 0.70710678) < 1e-8
assert abs(math.atanh(o.data) - 0.8814) < 1e-4
for value, gradient in ((w1, 1.0), (w2, 0.0), (x1, -1.5), (x2, 0.5), (neuron.b, 0.5)):
    assert abs(value.grad - gradient) < 1e-9

# %% [markdown] tags=["pytorch"]
# ```python
# import torch
#
# x, w = torch.tensor([2.0, 0.0], requires_grad=True), torch.tensor([-3.0, 1.0], requires_grad=True)
# bias = torch.tensor(6.8813735870195432, requires_grad=True)
# o = torch.tanh(w @ x + bias)  # @ multiplies number by number, and adds
# o.backward()
# print(o.item(), w.grad.tolist(), x.grad.tolist(), bias.grad.item())
# ```

# %%
viz.draw(o)

# %% [markdown]
# `w2` gets 0: its adviser said nothing, so it cannot be blamed. In a product each factor's gradient is the *other
# factor*. Remember that; it is why inputs that are always 0 never teach their weights anything.
# In the chart of the gradients this is a share: half of `w`, one weight of two, gets exactly 0.

# %%
viz.flow(o, calls=calls)

# %% [markdown]
# ## Glasses or ring?
#
# Four photographs of things on a table, each measured twice: how wide the thing is, and how much of it is glass. The
# first two are glasses (1), the others are rings (0). The neuron should tell them apart.

# %%
photos = [(0.55, 0.48), (0.45, 0.72), (0.35, 0.03), (0.20, 0.03)]
answers = [1, 1, 0, 0]
kinds = {"glasses": photos[:2], "rings": photos[2:]}
viz.plot({}, points=kinds, title="Four photographs", x="width", y="glass")


# %%
def train(neuron, lr, epochs):
    losses = []
    for _ in range(epochs):
        total = 0.0
        for photo, answer in zip(photos, answers, strict=True):
            loss = (neuron(photo) - answer) ** 2  # key: the squared error of this photograph
            neuron.zero_grad()
            loss.backward()
            for parameter in neuron.parameters():
                parameter.data -= lr * parameter.grad
            total += loss.data
        losses.append(total)
    return losses


soft = Neuron([0.5, 0.5], 0.0)
losses = train(soft, lr=1.0, epochs=400)
print([round(soft(photo).data, 2) for photo in photos])

# %% [markdown]
# We take a step after every photograph instead of adding up all four; going once through all of them is an **epoch**.
# The neuron now says nearly 1 to both glasses and nearly 0 to both rings. What does it say to a photograph that it
# has never seen?
#
# **Predict.** Width 0.50, glass 0.55: above or below 0.9?
#
# answer it is: unseen > 0.9 | above 0.9 | below 0.9

# %%
unseen = soft((0.50, 0.55)).data
round(unseen, 2)

# %% tags=["check"]
said = [soft(photo).data for photo in photos]
assert min(said[:2]) > 0.8 > 0.2 > max(said[2:])
assert unseen > 0.9

# %% [markdown]
# **Play.** A single neuron draws a straight border. Which of the four clouds of points can it divide, and which not?
# (`play.html#screen=network&layers=0`).

# %% [markdown]
# ## A hard activation, and how it dies
#
# Some teach this example with a harder activation: cut the sum off below 0 and above 1. It is easy to compute by hand.


# %%
def clip(z):
    return z.maximum(0.0).minimum(1.0)


hard = Neuron([0.5, 0.5], 0.0, activation=clip)
hard_losses = train(hard, lr=0.05, epochs=100)
print([round(hard_losses[epoch], 4) for epoch in (0, 25, 50, 75, 99)])
print(round(hard((0.50, 0.55)).data, 2))

# %% tags=["check"]
for epoch, expected in zip((0, 25, 50, 75, 99), (0.463484, 0.102369, 0.048847, 0.026814, 0.015719), strict=True):
    assert abs(hard_losses[epoch] - expected) < 1e-6
assert round(hard((0.50, 0.55)).data, 2) == 0.98

# %% [markdown]
# It learns, and gives the unseen photograph 0.98. Now we are impatient and take a learning rate of 0.9.
#
# **Predict.** What happens to the loss: faster, up and down, or something else?
#
# answer the loss: "does something else" if len(set(dead_losses[1:])) == 1 else "goes up and down"
#   | falls faster | goes up and down | does something else

# %%
dead = Neuron([0.5, 0.5], 0.0, activation=clip)
dead_losses = train(dead, lr=0.9, epochs=100)
print([round(dead_losses[epoch], 4) for epoch in (0, 1, 2, 99)])

# %% tags=["check"]
assert dead_losses[0] > 2.0
assert dead_losses[1:] == [2.0] * 99

# %%
viz.plot(
    {"sigmoid": losses[:100], "clip, lr 0.05": hard_losses, "clip, lr 0.9": dead_losses},
    title="Two that learn, one that died",
    x="epoch",
    y="loss",
)

# %% [markdown]
# The loss sticks at exactly 2, forever. Look at the gradients:

# %%
loss = (dead(photos[2]) - 0) ** 2
dead.zero_grad()
loss.backward()
viz.draw(loss)

# %% [markdown]
# The first long step moved all sums above 1, where the clip is flat. A flat function has slope 0; multiply anything by
# 0 on the way back and nothing arrives (the dashed lines). The neuron is wrong about both rings, and cannot feel it: it
# is **dead**. Smooth activations do not have this edge, but far from the middle they are nearly flat, too:

# %%
for z in (0.0, 2.0, 5.0, 10.0):
    point = Value(z)
    point.sigmoid().backward()
    print(f"sigmoid at {z:4}: slope {point.grad:.6f}")

point = Value(-4.0)
point.relu().backward()
print(f"ReLU at -4.0: slope {point.grad}")

# %% tags=["check"]
steep, flat = Value(0.0), Value(10.0)
steep.sigmoid().backward()
flat.sigmoid().backward()
assert steep.grad == 0.25
assert abs(flat.grad - 4.54e-5) < 1e-7
assert point.grad == 0.0

# %% [markdown]
# A sigmoid that sits at 10 is **saturated**: its slope is 0.000045, and learning there takes five thousand times as
# long as at 0. A ReLU whose sum is negative for every example is dead outright. The slope of a sigmoid is 0.25 at
# best: through ten layers of them the gradient shrinks to 0.25¹⁰, less than a millionth. That is why deep networks
# prefer ReLU and its relatives, and why Lesson 9 adds residual connections.

# %% tags=["check"]
assert abs(0.25**10 - 9.5e-7) < 1e-8
assert 5000 < steep.grad / flat.grad < 6000

# %% [markdown]
# ## Exercises
#
# **Exercise 1.** A sigmoid neuron with inputs −1 and −2, weights 2 and −3, bias −3. By hand: the result, and all five
# gradients. (The slope of a sigmoid is `σ·(1 − σ)`.)

# %% tags=["solution"]
inputs = [Value(-1.0, label="x1"), Value(-2.0, label="x2")]
neuron = Neuron([2.0, -3.0], -3.0)
out = neuron(inputs)
out.backward()
gradients = [value.grad for value in (*neuron.w, neuron.b, *inputs)]
print(round(out.data, 9), [round(gradient, 9) for gradient in gradients])
expected = [-0.196611933, -0.393223866, 0.196611933, 0.393223866, -0.589835800]
assert abs(out.data - 0.731058579) < 1e-9
assert all(abs(a - b) < 1e-9 for a, b in zip(gradients, expected, strict=True))

# %% [markdown]
# **Exercise 2.** A page says that the neuron with x = [0.5, −0.3, 1.2], w = [0.8, −0.5, 1], b = 0.1 has z = 1.45, and
# that its sigmoid is 0.81. Is it right? What is the slope of the sigmoid there?

# %% tags=["solution"]
neuron = Neuron([0.8, -0.5, 1.0], 0.1)
out = neuron([0.5, -0.3, 1.2])
out.backward()
z = math.log(out.data / (1 - out.data))
print(f"z = {z:.2f}, sigmoid {out.data:.4f}, slope {neuron.b.grad:.4f}")
assert (round(z, 2), round(out.data, 4), round(neuron.b.grad, 4)) == (1.85, 0.8641, 0.1174)

# %% [markdown]
# **Exercise 3.** *Exclusive or*: (0, 0) → 0, (0, 1) → 1, (1, 0) → 1, (1, 1) → 0. Give these four to `train` instead of
# the photographs. How low does the loss become, whatever learning rate and start you choose? Draw the four points on
# paper and try to separate the ones from the zeros by one straight line.

# %% tags=["solution"]
kept = photos, answers
photos, answers = [(0, 0), (0, 1), (1, 0), (1, 1)], [0, 1, 1, 0]
final = train(Neuron([0.5, -0.5], 0.1), lr=0.1, epochs=300 if FAST else 3000)[-1]
photos, answers = kept
print(round(final, 2))  # one neuron is one straight border, and no straight border separates them
assert final > 0.9

# %% [markdown]
# ## Summary
#
# - A **neuron** is a weighted sum plus a bias, and an **activation**: `activation(w·x + b)`.
# - **sigmoid** goes from 0 to 1, **tanh** from −1 to 1, **ReLU** cuts off below 0.
# - Backward, a weight's gradient is what its input said, times the slope of the activation, times what comes from the
#   loss.
# - Where the activation is flat, no gradient passes: **saturated** (nearly flat) and **dead** (exactly flat) neurons do
#   not learn.
# - A sigmoid's slope is at most 0.25; ten in a row leave less than a millionth.
# - One neuron draws one straight border. *Exclusive or* needs two.
#
# Next: neurons in layers, and *exclusive or* is solved.
