# %% [markdown]
# # Lesson 1: One expression
#
# **Question.** If I nudge one number at the start of a calculation, how far does the result move, and how is that
# worked out for a calculation with a million numbers?
#
# Everything in this course is made of single numbers. Today there are four of them, and one formula:
#
#     L = (a·b + c)·f
#
# At the end you will have differentiated it three times: by nudging, by hand, and with one call, `backward()`. The
# third way is the one that trains language models; in Lesson 1b you write it yourself.

# %%
import viz
from tinygrad_edu import Value, central_difference

FAST = globals().get("FAST", False)

# %% [markdown]
# ## Nudge it
#
# Here is the formula as an ordinary function. `L` stands for *loss*: the number that we will later want to be small.


# %% tags=["model"]
def expression(a, b, c, f):
    return (a * b + c) * f


# %%
expression(2.0, -3.0, 10.0, -2.0)

# %% [markdown]
# Now turn one knob a little, and watch the result. Adding 0.001 to `a` changes `L` by some amount; divide that amount
# by 0.001 and you have the *slope*: how many times faster than `a` the result moves. A slope of 6 means: whatever you
# add to `a`, six times as much arrives at `L`. The sign says in which direction.

# %%
before = expression(2.0, -3.0, 10.0, -2.0)
after = expression(2.0 + 0.001, -3.0, 10.0, -2.0)
slope = (after - before) / 0.001  # key: how much L changed, divided by how much a changed
round(slope, 6)

# %% tags=["check"]
assert before == -8.0
assert abs(slope - 6.0) < 1e-9

# %% [markdown]
# That works for every formula, and you need to know nothing about calculus. But it runs the whole calculation again
# for every single knob. A small GPT has a hundred thousand knobs; a large one has hundreds of billions. We need all
# slopes at once, for about the price of one more calculation. That is what *backpropagation* does.

# %% [markdown]
# ## Numbers that remember
#
# To go back through a calculation, its steps must have been written down. A `Value` is a number that keeps the
# receipt: the operation that made it, and the Values it was made from.

# %%
a = Value(2.0, label="a")
b = Value(-3.0, label="b")
c = Value(10.0, label="c")
f = Value(-2.0, label="f")
e = a * b  # key: the product inside the brackets
e.label = "e"
d = e + c  # key: everything inside the brackets
d.label = "d"
L = d * f  # key: the brackets times f
L.label = "L"
L

# %%
L.inputs

# %% [markdown]
# Follow the receipts backward from `L` and you get a picture of the whole calculation: the **computation graph**.
# Each box is one Value. The tab is its operation; `data` is the number; `grad` will hold its slope. A dash means that
# it has not been computed yet.

# %%
viz.draw(L)

# %% [markdown]
# ## The chain rule, with gears
#
# Think of gears. When the first wheel turns once, the second turns three times; when the second turns once, the third
# turns twice. Turn the first wheel once, and the third turns 3 × 2 = 6 times. *Rates along a chain multiply.* That is
# the whole chain rule.
#
# Each operation in the graph is one pair of gears, and its rate, the **local derivative**, is easy:
#
# - in a sum, `d = e + c`, every input has the rate 1: what you add to `e` is added to `d`;
# - in a product, `L = d · f`, the rate of one factor is *the other factor*: what you add to `d` arrives multiplied by
#   `f`.
#
# The **gradient** of a Value is the product of all rates between it and `L`. We write it `∂L/∂a` and read: how fast
# does `L` move when `a` moves. Formula:
#
#     ∂L/∂a = ∂L/∂d · ∂d/∂e · ∂e/∂a
#
# **Predict.** Take a pencil. `L` moves as fast as itself, so `∂L/∂L = 1`. Go backward: what are `∂L/∂d`, `∂L/∂f`,
# `∂L/∂e`, `∂L/∂c`, and at last `∂L/∂a` and `∂L/∂b`?
#
# answer ∂L/∂d: d.grad
# answer ∂L/∂f: f.grad
# answer ∂L/∂e: e.grad
# answer ∂L/∂c: c.grad
# answer ∂L/∂a: a.grad
# answer ∂L/∂b: b.grad

# %%
L.backward()
for value in (L, d, f, e, c, a, b):
    print(f"dL/d{value.label} = {value.grad:g}")

# %% tags=["check"]
assert L.data == -8.0 and L.grad == 1.0
assert (a.grad, b.grad, c.grad, f.grad) == (6.0, -4.0, -2.0, 4.0)
assert (e.grad, d.grad) == (-2.0, -2.0)

# %% [markdown] tags=["pytorch"]
# ```python
# import torch
#
# a, b, c, f = (torch.tensor(x, requires_grad=True) for x in (2.0, -3.0, 10.0, -2.0))
# L = (a * b + c) * f
# L.backward()
# print(L.item(), [x.grad.item() for x in (a, b, c, f)])
# ```

# %% [markdown]
# `∂L/∂a = 6` is the slope that nudging gave us. And here is the gradient flowing back through the
# picture: each line now shows what it carries, blue for positive and orange with a bar for negative, the wider, the
# stronger. The last product sends −2 back to `d`; the sum passes it on unchanged; the first product multiplies it by −3
# for `a`, and by 2 for `b`.

# %%
viz.draw(L)

# %% [markdown]
# Do not believe it: step through it. In the page that comes next, the keys → and ← (or the buttons) go one
# multiplication at a time; tick *predict first*, and each number is asked for before it is shown. In a terminal,
# `viz.step(L)` does the same.

# %%
viz.step_page(L)

# %% [markdown]
# ## One step uphill
#
# What are gradients good for? They say which way is up. Move every knob a little in the direction of its gradient,
# and `L` must grow. By how much? Each knob moves by 0.01 · gradient, and the result moves gradient times that, so we
# expect
#
#     0.01 · (6² + 4² + 2² + 4²) = 0.72
#
# **Predict.** `L` is −8. What will it be after this step: exactly −7.28, a little more, or a little less?
#
# answer it will be: "exactly −7.28" if abs(stepped + 7.28) < 1e-9 else (
#     "a little less", "a little more")[stepped > -7.28] | exactly −7.28 | a little more | a little less

# %%
for value in (a, b, c, f):
    value.data += 0.01 * value.grad  # key: each knob moves 0.01 times its gradient
stepped = expression(a.data, b.data, c.data, f.data)
round(stepped, 6)

# %% tags=["check"]
assert abs(stepped - (-7.286496)) < 1e-9
assert 0.01 * (6**2 + 4**2 + 2**2 + 4**2) == 0.72

# %% [markdown]
# Almost, but not quite: −7.2865. A slope is a promise about *small* moves; on the way the slopes themselves have
# changed a little. Keep this in mind: it is the reason why learning takes many small steps, and not one large one.

# %% [markdown]
# **Play.** The same expression with sliders, in the playground that `python3 run.py play` opens: move a leaf and watch
# every gradient, then find numbers for which `L` is exactly 0 (`play.html#screen=point`).

# %% [markdown]
# ## When a number is used twice
#
# **Predict.** `b = a + a`, and `a` is 3. What is `∂b/∂a`: 1, 2, 3, or 6?
#
# answer ∂b/∂a: a.grad

# %%
a = Value(3.0, label="a")
b = a + a
b.label = "b"
b.backward()
a.grad

# %% tags=["check"]
assert a.grad == 2.0

# %%
viz.draw(b)

# %% [markdown]
# Two lines lead from `a` to `b`, and along each comes a 1. A nudge of `a` reaches `b` on both, so the contributions
# **add up**: 1 + 1 = 2. In the program this is the difference between `grad = ...` and `grad += ...`, and forgetting
# the plus is the most common mistake of everyone who writes this for the first time (`viz bug missing-plus` shows it).

# %% [markdown]
# ## Which goes first?
#
# The same once more, on top of itself: `b` is twice `a`, and `c` is twice `b`.

# %%
a = Value(1.0, label="a")
b = a + a
b.label = "b"
c = b + b
c.label = "c"

# %% [markdown]
# **Predict.** What is `∂c/∂a`? Go backward with the pencil: `c` sends something to `b`, along two lines; `b` sends
# something to `a`, along two lines.
#
# answer ∂c/∂a: a.grad

# %%
c.backward()
a.grad

# %% tags=["check"]
assert (c.grad, b.grad, a.grad) == (1.0, 2.0, 4.0)
assert abs(central_difference(lambda a: (a + a) + (a + a), [1.0], 0) - 4.0) < 1e-6

# %%
viz.draw(c)

# %% [markdown]
# It is 4, if you have waited. `c` sends 1 along each line, so `b` has 2, and sends 2 along each of its own. If you
# send from `b` as soon as the *first* 1 is there, and again when the second one arrives, you get a wrong number. The
# rule: **no Value passes its gradient on before all of it has arrived.**
#
# An order in which every Value comes after all its inputs is called *topological*; go through it backward, and each
# gradient is complete when its turn comes. How a program finds that order is the heart of the next lesson.
#
# One price is paid in memory. Every Value has a second number, `grad`, and no Value may be forgotten before the
# gradient has passed through it. So training a model takes at least twice the memory of using it.

# %% [markdown]
# ## Exercises
#
# **Exercise 1.** By hand first, then with `Value`: `(x + y)·z` at x = −2, y = 5, z = −4. The result, and the three
# gradients?

# %% tags=["solution"]
x, y, z = Value(-2.0, label="x"), Value(5.0, label="y"), Value(-4.0, label="z")
result = (x + y) * z
result.backward()
print(result.data, x.grad, y.grad, z.grad)
assert (result.data, x.grad, y.grad, z.grad) == (-12.0, -4.0, -4.0, 3.0)

# %% [markdown]
# **Exercise 2.** `(a·b)·(a + b)` at a = −2, b = 3. Both numbers are used twice: draw the graph on paper, write the
# contribution on every line, add them up where lines meet. Then check.

# %% tags=["solution"]
a, b = Value(-2.0, label="a"), Value(3.0, label="b")
result = (a * b) * (a + b)
result.backward()
print(a.grad, b.grad)
assert (a.grad, b.grad) == (-3.0, -8.0)

# %% [markdown]
# **Exercise 3.** This expression comes with a well-known library, micrograd, and means nothing; it only uses every
# operation often. Compute `g` and its slopes by `a` and `b`, and check one of them by nudging:
# `central_difference(f, [-4.0, 2.0], 0)`.
#
#     c = a + b
#     d = a*b + b**3
#     c = c + c + 1
#     c = c + 1 + c - a
#     d = d + d*2 + (b + a).relu()
#     d = d + 3*d + (b - a).relu()
#     e = c - d
#     f = e**2
#     g = f/2 + 10/f


# %% tags=["solution"]
def long_expression(a, b):
    c = a + b
    d = a * b + b**3
    c = c + c + 1
    c = c + 1 + c - a
    d = d + d * 2 + (b + a).relu()
    d = d + 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    return f / 2 + 10 / f


a, b = Value(-4.0, label="a"), Value(2.0, label="b")
g = long_expression(a, b)
g.backward()
print(f"g = {g.data:.4f}, dg/da = {a.grad:.4f}, dg/db = {b.grad:.4f}")
assert (round(g.data, 4), round(a.grad, 4), round(b.grad, 4)) == (24.7041, 138.8338, 645.5773)
assert abs(central_difference(long_expression, [-4.0, 2.0], 0) - a.grad) < 1e-4

# %% [markdown]
# ## Summary
#
# - The **gradient** of a number is how fast the result moves when that number moves.
# - A `Value` remembers its operation and its inputs; together they are the **computation graph**.
# - **Chain rule:** rates along a path multiply. Sums pass the gradient on; products multiply it by the other factor.
# - **Accumulate:** where several paths meet, their gradients add up (`+=`).
# - **Topological order:** a gradient is passed on only when all of it has arrived.
# - All gradients together cost about as much as computing the result once more; nudging costs one calculation for
#   each.
#
# Next: Lesson 1b, where you write `Value` yourself. In a hurry? Lesson 2 goes on from here: two of the numbers become
# *parameters*, and the gradients teach them to fit a line.
