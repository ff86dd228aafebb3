# %% [markdown]
# # Supplement 5: AdamW, one step by hand
#
# **Question.** Plain descent subtracts lr · gradient. What does the optimizer do that trains nearly every language
# model, and why is a division in it?
#
# Follows Lesson 4. `Adam` is from Kingma and Ba (2015), the W from Loshchilov and Hutter (2019).

# %%
import math
from itertools import pairwise

import viz
from tinygrad_edu import Value
from tinygrad_edu.optim import SGD, Adam, AdamW

# %% [markdown]
# For each parameter, AdamW keeps two numbers. `m` is a running mean of the gradient: where does it pull, lately? `v` is
# a running mean of its square: how large is it, usually? A step is then
#
#     p ← p · (1 − lr · λ)                every weight shrinks a little
#     m ← β₁ · m + (1 − β₁) · g           β₁ = 0.9
#     v ← β₂ · v + (1 − β₂) · g²          β₂ = 0.999
#     m̂ = m / (1 − β₁ᵗ)                   t counts the steps
#     v̂ = v / (1 − β₂ᵗ)
#     p ← p − lr · m̂ / (√v̂ + ε)           ε = 0.00000001
#
# The gradient is divided by its own usual size. So its unit cancels out, and every parameter gets steps of about lr.
#
# **Predict.** The loss is p², p begins at 1, so the gradient is 2; lr 0.1, λ 0.1. What are m, v, and p after one step?
#
# answer m: (1 - beta1) * 2
# answer v: (1 - beta2) * 2**2
# answer p: by_hand[0]

# %%
lr, beta1, beta2, eps, decay = 0.1, 0.9, 0.999, 1e-8, 0.1
p, m, v = Value(1.0, label="p"), 0.0, 0.0
by_hand = []
for t in (1, 2, 3):
    loss = p * p
    p.zero_grad()
    loss.backward()
    g = p.grad
    p.data *= 1 - lr * decay
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)  # key: undo the effect of the zeros at the start
    p.data -= lr * m_hat / (math.sqrt(v_hat) + eps)
    by_hand.append(p.data)
    print(f"t {t}: g {g:.4f}  m {m:.4f}  v {v:.6f}  m̂ {m_hat:.4f}  v̂ {v_hat:.4f}  p {p.data:.6f}")

# %% tags=["check"]
assert [round(x, 6) for x in by_hand] == [0.89, 0.781572, 0.675101]
q, library = Value(1.0), []
optimizer = AdamW([q], lr=0.1, weight_decay=0.1)
for _ in range(3):
    optimizer.zero_grad()
    (q * q).backward()
    optimizer.step()
    library.append(q.data)

assert max(abs(a - b) for a, b in zip(by_hand, library, strict=True)) < 1e-12

# %% [markdown]
# m is 0.2, v 0.004, and p goes from 1 to 0.99 by decay and to 0.89 by the step. `tinygrad_edu.optim.AdamW` has the same
# three numbers. In the first step m̂ is g itself and √v̂ is |g|, so the step is exactly lr, for *any* gradient.
#
# ## Why the hats
#
# Both means start at 0. In the first step m has only a tenth of g, and v a thousandth of g².
#
# **Predict.** Without the hats, how long is the first step, measured in lr: shorter or longer?
#
# answer it is: lengths["without"][0][1] > 1 | longer | shorter

# %%
lengths = {"with hats": [], "without": []}
m = v = 0.0
for t in range(1, 51):
    m, v = beta1 * m + (1 - beta1) * 2.0, beta2 * v + (1 - beta2) * 4.0  # the gradient stays 2
    lengths["with hats"].append((t, m / (1 - beta1**t) / math.sqrt(v / (1 - beta2**t))))
    lengths["without"].append((t, m / math.sqrt(v)))

print({name: [round(steps[t - 1][1], 2) for t in (1, 10, 50)] for name, steps in lengths.items()})

# %% tags=["check"]
assert all(abs(length - 1) < 1e-9 for _, length in lengths["with hats"])
assert round(lengths["without"][0][1], 2) == round(0.1 / math.sqrt(0.001), 2) == 3.16
assert 6.5 < max(lengths["without"], key=lambda step: step[1])[1] < 6.6

# %% [markdown]
# Longer: 0.1 / √0.001 = 3.16 times lr, and then up to six and a half times, just when nothing has been learned yet. √v
# lags behind m, and the steps are too long for hundreds of steps.

# %%
viz.plot(lengths, title="Length of a step while the gradient stays the same", x="step", y="in units of lr")

# %% [markdown]
# ## Why the W
#
# Weight decay was once written as a part of the loss, λ/2 · p², whose gradient is λ · p. But then Adam divides it, too:
# where gradients are large, hardly any of the decay remains. Two weights, one with the gradient 100, one with 0.01:


# %%
def share_lost(gradient, in_the_loss):
    with_decay, without = Value(1.0), Value(1.0)
    for w, strength in ((with_decay, 0.1), (without, 0.0)):
        adam = Adam([w], lr=0.001) if in_the_loss else AdamW([w], lr=0.001, weight_decay=strength)
        for step in range(100):
            adam.zero_grad()
            sign = (-1) ** step  # back and forth, so that the gradient alone leads nowhere
            (gradient * sign * w + (strength * w * w / 2 if in_the_loss else 0)).backward()
            adam.step()
    return without.data - with_decay.data


lost = {
    kind: [share_lost(gradient, kind == "in the loss") for gradient in (100.0, 0.01)]
    for kind in ("in the loss", "decoupled")
}
for kind, (large, small) in lost.items():
    print(f"{kind:12} gradient 100: {large:.6f}   gradient 0.01: {small:.6f}")

# %% tags=["check"]
assert lost["in the loss"][0] < 1.1e-4
assert 0.09 < lost["in the loss"][1] < 0.1
assert all(abs(x - 0.01) < 1e-4 for x in lost["decoupled"])
assert abs(lost["decoupled"][0] - lost["decoupled"][1]) < 1e-6

# %% [markdown]
# Inside the loss the first weight loses a ten-thousandth, and the second nearly a tenth. **Decoupled**, both lose the
# same: in a hundred steps 100 · lr · λ, a hundredth.
#
# ## A valley
#
# Long in one direction, steep in the other: x²/2 + 25 · y²/2. The learning rate of plain descent has to suit the steep
# side (Supplement 1).
#
# **Predict.** Forty steps each, from (−8, 1). How often does each jump to the other side of the valley?
#
# answer descent: sum(a[1] * b[1] < 0 for a, b in pairwise(paths["descent, lr 0.077"])) ± 2
# answer Adam: sum(a[1] * b[1] < 0 for a, b in pairwise(paths["Adam, lr 0.5"])) ± 2


# %%
def walk(optimizer_for):
    x, y = Value(-8.0, label="x"), Value(1.0, label="y")
    optimizer, path = optimizer_for([x, y]), [(x.data, y.data)]
    for _ in range(40):
        optimizer.zero_grad()
        (x * x / 2 + 25 * y * y / 2).backward()
        optimizer.step()
        path.append((x.data, y.data))
    return path


paths = {
    "descent, lr 0.077": walk(lambda parameters: SGD(parameters, lr=0.077)),
    "Adam, lr 0.5": walk(lambda parameters: Adam(parameters, lr=0.5)),
}
for name, path in paths.items():
    crossings = sum(a[1] * b[1] < 0 for a, b in pairwise(path))
    print(f"{name}: {crossings} of 40 steps cross, ends at ({path[-1][0]:.2f}, {path[-1][1]:.2f})")

# %%
circle = [angle * math.pi / 50 for angle in range(101)]
heights = {
    f"loss {h}": [(math.sqrt(2 * h) * math.cos(a), math.sqrt(2 * h) / 5 * math.sin(a)) for a in circle]
    for h in (4, 16, 36)
}
viz.plot({**paths, **heights}, title="Two walks into a valley", x="x", y="y")

# %% tags=["check"]
crossings = [sum(a[1] * b[1] < 0 for a, b in pairwise(path)) for path in paths.values()]
assert crossings == [40, 5]

# %% [markdown]
# Descent jumps across at every step. Adam divides each gradient by its usual size, so both directions look equally
# steep: it goes diagonally, and swings past the goal and back, because m remembers. One thing to know: it measures
# along the axes, so a diagonal valley defeats it.
#
# ## What it costs
#
# **Predict.** Two more numbers per parameter, 4 bytes each. How much memory is that for a model of 7 billion?
#
# answer GB: 7e9 * 2 * 4 / 1e9

# %%
print(f"{7e9 * 2 * 4 / 1e9:.0f} GB, in addition to {7e9 * 4 / 1e9:.0f} GB for the weights")

# %% tags=["check"]
assert 7_000_000_000 * 2 * 4 == 56_000_000_000

# %% [markdown]
# 56 GB: twice the weights themselves, and the gradients come on top. Supplement 6 shows how to train a large model with
# hardly any of it.

# %% [markdown]
# ## Exercises
#
# **Exercise 1.** The gradient is 2 in the first step and −2 in the second. How long is the second step, in units of lr?

# %% tags=["solution"]
m, v = 0.0, 0.0
for t, g in ((1, 2.0), (2, -2.0)):
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
    step_length = m / (1 - beta1**t) / math.sqrt(v / (1 - beta2**t))

print(round(step_length, 4))  # short, and back: the two gradients nearly cancel
assert round(step_length, 4) == round((0.9 * 0.1 * 2 - 0.1 * 2) / 0.19 / 2, 4) == -0.0526

# %% [markdown]
# **Exercise 2.** The gradients of one parameter are all a thousand times as large as those of another, otherwise the
# same. What does Adam do with them, and what does plain descent do?

# %% tags=["solution"]
ends = {}
for name, optimizer_of in (("Adam", lambda p: Adam([p], lr=0.1)), ("descent", lambda p: SGD([p], lr=0.1))):
    for scale in (0.001, 1.0):
        p = Value(1.0)
        optimizer = optimizer_of(p)
        for _ in range(5):
            optimizer.zero_grad()
            (scale * p).backward()
            optimizer.step()
        ends[name, scale] = 1 - p.data

print({key: round(moved, 4) for key, moved in ends.items()})
assert abs(ends["Adam", 0.001] - ends["Adam", 1.0]) < 1e-4  # the same steps
assert math.isclose(ends["descent", 1.0], 1000 * ends["descent", 0.001], rel_tol=1e-6)

# %% [markdown]
# ## Summary
#
# - **Adam** keeps a mean of the gradient (m) and of its square (v); a step is about lr long, whatever the gradient's
#   unit.
# - **Bias correction** (the hats) undoes the zeros at the start.
# - **Weight decay** in the loss is divided away; **decoupled** (AdamW) it reaches every weight equally.
# - It costs two more numbers for each parameter.
