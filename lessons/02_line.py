# %% [markdown]
# # Lesson 2: A line that learns
#
# **Question.** A computer is shown five points, and not told the slope of the line through them. How does it find the
# line?
#
# In the first lesson the four numbers were given, and we asked which way each of them moves the result. Now we turn the
# question around: two numbers are *ours to choose*, and we choose them by listening to the gradients. That is all that
# training is, here and in a model with hundreds of billions of numbers.

# %%
import viz
from tinygrad_edu import Value, record_calls
from tinygrad_edu.nn import Module

FAST = globals().get("FAST", False)

# %% [markdown]
# ## One knob: roll downhill
#
# Begin with a single number `w`, and a result that we want small: `(w − 3)²`. You can see that w = 3 is best. Pretend
# that you are in a valley in thick fog: you cannot see the bottom, but you feel under your feet which way the ground
# slopes. Take a step downhill; feel again; step again. This is **gradient descent**:
#
#     w = w − lr · gradient
#
# The minus is there because the gradient points uphill. `lr` is the **learning rate**: how long a step is for a given
# slope.

# %%
w = Value(0.0, label="w")
path = [w.data]
for step in range(100):
    loss = (w - 3) ** 2
    w.zero_grad()
    loss.backward()
    w.data -= 0.01 * w.grad  # key: one step downhill with learning rate 0.01
    path.append(w.data)

# %% [markdown]
# **Predict.** `w` began at 0 and has made 100 steps with learning rate 0.01. Where is it now: at 3? Near it? On the
# way?
#
# answer w is: "at 3" if abs(w.data - 3) < 0.0005 else "near 3" if abs(w.data - 3) < 0.05 else "on the way"
#   | at 3 | near 3 | on the way

# %%
round(w.data, 3)

# %% tags=["check"]
assert round(w.data, 3) == 2.602
assert abs(w.data - 3 * (1 - 0.98**100)) < 1e-12
further, reached = 100, w.data
while abs(reached - 3) > 0.005:
    reached -= 0.01 * 2 * (reached - 3)
    further += 1

assert further == 317

# %%
viz.plot({"w": path}, title="100 steps toward 3", x="step", y="w")

# %% [markdown]
# Only 2.602. Each step covers 2 % of the remaining way, because the slope there, `2·(w − 3)`, shrinks as the
# valley becomes flat. To come within 0.005 of the goal takes 317 steps. (Pages that show this example often print
# "3.0" after 100 steps; `lesson errata` has the numbers.)

# %% [markdown]
# ## Two knobs: a line
#
# Five points, measured with a little noise. We look for the line `y = w·x + b` that passes them best: `w` says how
# steep it is, `b` how high. Numbers of a model that training may change are called **parameters**.
#
# To predict a number is called **regression**, and with a line it is **linear regression**. To choose one of a few
# classes is **classification**; that begins in Lesson 3.

# %%
xs = [1.0, 2.0, 3.0, 4.0, 5.0]
ys = [2.1, 3.9, 6.1, 7.8, 10.0]


# %% tags=["model"]
class Line(Module):
    def __init__(self):
        self.w = Value(0.0, label="w")
        self.b = Value(0.0, label="b")

    def forward(self, x):
        return self.w * x + self.b


# %% [markdown]
# `Module` is the library's word for a thing with parameters: it can list them, and reset all their gradients.
#
# What does "best" mean? We need one number that says how wrong a line is. For each point take the **error**,
# prediction minus truth; square it, so that too high and too low count alike and large errors count more; take the
# mean of the five. This **mean squared error** is our loss:
#
#     L = 1/5 · Σ (w·x + b − y)²


# %%
def mean_squared_error(line):
    total = 0.0
    for x, y in zip(xs, ys, strict=True):
        error = line(x) - y  # key: prediction minus truth
        total = total + error**2
    return total / len(xs)


line = Line()
loss = mean_squared_error(line)
round(loss.data, 3)

# %% tags=["check"]
assert abs(loss.data - 43.534) < 1e-9

# %% [markdown]
# Here is the graph for a single point. For all five there will be five of these, which grow from the same two yellow
# boxes: the parameters are used five times. So five contributions arrive at each of them and add up, as in `a + a`.

# %%
one_error = (line(5.0) - 10.0) ** 2
one_error.label = "error²"
one_error.backward()
viz.draw(one_error)

# %% [markdown]
# **Predict.** At w = 0 and b = 0 the line is flat and below all five points. Which signs do the gradients of `w` and
# `b` have, and which of the two is larger?
#
# answer the gradient of w is: line.w.grad > 0 | positive | negative
# answer the gradient of b is: line.b.grad > 0 | positive | negative
# answer the larger one is that of: abs(line.w.grad) > abs(line.b.grad) | w | b

# %%
line.zero_grad()
with record_calls() as calls:
    loss = mean_squared_error(line)

loss.backward()
print(f"dL/dw = {line.w.grad:.2f}, dL/db = {line.b.grad:.2f}")

# %% tags=["check"]
assert abs(line.w.grad - (-43.76)) < 1e-9
assert abs(line.b.grad - (-11.96)) < 1e-9

# %% [markdown]
# `record_calls` has noted which part of the program computed which number. Given these notes, a drawing can fold parts
# into boxes; `budget=40` allows at most 40 boxes.

# %%
viz.draw(loss, calls=calls, budget=40)

# %% [markdown]
# `viz.flow` leaves out the graph and draws one mark for each parameter or module: how large the gradient is that
# arrives there. Each line of its scale is ten times the one before. With two parameters there is little to see yet;
# with many layers it will tell which of them learn.

# %%
viz.flow(loss, calls=calls)

# %% [markdown]
# Both are negative: more of either makes the loss smaller. And `w` is the one with more leverage, because each error
# reaches it multiplied by its `x`, up to 5.
#
# **Play.** Find the best line with your own hands before a computer may: your points, your `w`, your `b`
# (`play.html#screen=line`).
#
# ## Train it


# %%
def train(lr, steps):
    line = Line()
    losses = []
    for _ in range(steps):
        loss = mean_squared_error(line)
        losses.append(loss.data)
        line.zero_grad()
        loss.backward()
        for parameter in line.parameters():
            parameter.data -= lr * parameter.grad
    return line, losses


line, losses = train(lr=0.05, steps=400)
print(f"y = {line.w.data:.2f}·x + {line.b.data:.2f}, loss {losses[-1]:.4f}")

# %% [markdown] tags=["pytorch"]
# ```python
# import torch
#
# x, y = torch.tensor(xs), torch.tensor(ys)
# w, b = torch.zeros((), requires_grad=True), torch.zeros((), requires_grad=True)
# optimizer = torch.optim.SGD([w, b], lr=0.05)
# for _ in range(400):
#     loss = ((w * x + b - y) ** 2).mean()  # all five points at once
#     optimizer.zero_grad()
#     loss.backward()
#     optimizer.step()
#
# print(f"y = {w.item():.2f}·x + {b.item():.2f}, loss {loss.item():.4f}")
# ```

# %% tags=["check"]
assert abs(line.w.data - 1.97) < 5e-3
assert abs(line.b.data - 0.07) < 5e-3
assert abs(losses[-1] - 0.0118) < 1e-5

# %%
fitted = [(x, line.w.data * x + line.b.data) for x in (0.0, 6.0)]
measured = list(zip(xs, ys, strict=True))
viz.plot({"y = 1.97x + 0.07": fitted}, points={"measured": measured}, title="Learned")

# %% [markdown]
# The loss does not become 0: no line passes through all five points. What remains, 0.0118, is measurement noise.
#
# Four lines do all the work, and you will meet them in every lesson from now on: **compute the loss, forget the old
# gradients, go backward, step.** Why forget? Because gradients accumulate: without `zero_grad` each step would repeat
# all earlier ones.
#
# ## How long a step?
#
# **Predict.** We try the learning rates 0.001, 0.05 and 0.09 for 50 steps each. The first loss is 43.5. Order them by
# their last loss.
#
# answer the smallest last loss: min(curves, key=lambda name: curves[name][-1]) | lr 0.001 | lr 0.05 | lr 0.09
# answer the largest last loss: max(curves, key=lambda name: curves[name][-1]) | lr 0.001 | lr 0.05 | lr 0.09

# %%
curves = {f"lr {lr}": train(lr, 50)[1] for lr in (0.001, 0.05, 0.09)}
for name, curve in curves.items():
    print(f"{name}: {curve[0]:.1f} → {curve[-1]:.4g}")

# %% tags=["check"]
assert abs(curves["lr 0.001"][-1] - 4.193) < 0.05
assert abs(curves["lr 0.05"][-1] - 0.0185) < 0.0005
assert curves["lr 0.09"][-1] > 5e6

# %%
viz.plot(curves, title="Too small, right, too large", x="step", y="loss", log=True)

# %% [markdown]
# Mind the axis: each grid line is a hundred times the one below, or more. With 0.001 the loss creeps. With 0.05 it
# falls at once, then slowly. With 0.09 it *explodes*: each step overshoots the valley and lands higher on the other
# side, where the slope is steeper, so that the next step is longer still. When the loss of a large model becomes
# `NaN`, this is the first suspect.

# %% [markdown]
# ## Exercises
#
# **Exercise 1.** For a line there is a formula: `w = Σ(x − x̄)(y − ȳ) / Σ(x − x̄)²` and `b = ȳ − w·x̄`, where the bar
# means the mean. Compute it and compare with what was learned. (Why learn at all, then? Because even a network of three
# neurons has no such formula.)

# %% tags=["solution"]
mean_x, mean_y = sum(xs) / 5, sum(ys) / 5
best_w = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / sum((x - mean_x) ** 2 for x in xs)
best_b = mean_y - best_w * mean_x
print(f"{best_w:.4f} {best_b:.4f}")
assert abs(best_w - 1.97) < 1e-9
assert abs(best_b - 0.07) < 1e-9

# %% [markdown]
# **Exercise 2.** The last measurement is mistyped: 20 instead of 10. Guess the new line, then train it (800 steps).
# Which property of the loss makes one wrong point so powerful?

# %% tags=["solution"]
right_ys, ys = ys, [2.1, 3.9, 6.1, 7.8, 20.0]
line, _ = train(lr=0.05, steps=800)
ys = right_ys
print(f"y = {line.w.data:.2f}·x + {line.b.data:.2f}")  # the square: an error ten times as large counts a hundredfold
assert abs(line.w.data - 3.97) < 1e-3
assert abs(line.b.data - (-3.93)) < 1e-3

# %% [markdown]
# **Exercise 3.** Find the largest learning rate with which 100 steps still end lower than they began, to three
# decimals. (Halve the interval between one that works and one that explodes.)

# %% tags=["solution"]
works, explodes = 0.05, 0.09
while explodes - works > 1e-4:
    middle = (works + explodes) / 2
    curve = train(middle, 100)[1]
    if curve[-1] < curve[0]:
        works = middle
    else:
        explodes = middle

print(f"{works:.3f}")
assert abs(works - 2 / (2 * (6 + 34**0.5))) < 5e-4  # 2 / the largest curvature of the loss, an eigenvalue

# %% [markdown]
# ## Summary
#
# - A **parameter** is a number that training may change; a **loss** is one number that says how wrong the model is.
# - **Mean squared error:** the mean of (prediction − truth)².
# - **Gradient descent:** every parameter moves against its gradient, `w −= lr · gradient`.
# - The four lines of training: loss, `zero_grad`, `backward`, step.
# - A parameter that is used for every example collects a gradient from every example.
# - **Learning rate:** too small creeps, too large explodes; in between is a factor of about a hundred.
#
# Next: a line can only be straight. An *activation* bends it, and makes it a neuron.
