# %% [markdown]
# # Supplement 14: Matrices and batches
#
# **Question.** Every book writes a layer as one matrix product, and its gradient as `dW = aᵀ·dz`. Where does that come
# from, if all we have is single numbers?
#
# Follows Lesson 4. A matrix is a table of numbers, and a matrix product is many dot products at once. Nothing here is
# computed in a new way; it is written in a shorter one.

# %%
import random

import viz
from tinygrad_edu import Value, jit
from tinygrad_edu import functional as F
from tinygrad_edu.errors import ShapeError
from tinygrad_edu.nn import Linear, Module

FAST = globals().get("FAST", False)

# %% [markdown]
# ## A batch is a matrix
#
# Two examples with two numbers each, one in each row: the matrix `a`. A layer of three neurons has a weight for each
# pair of input and neuron: the matrix `W`, one neuron in each *column*. Then `z = a·W` has a row for each example and a
# column for each neuron: each number in `z` is the dot product of a row of `a` and a column of `W`.
#
#     a: 2 × 2      W: 2 × 3      z = a·W: 2 × 3
#
# The inner sizes must be equal, and they vanish.


# %%
def product(a, b):
    return [[F.dot(row, column) for column in zip(*b, strict=True)] for row in a]


def transposed(a):
    return [list(column) for column in zip(*a, strict=True)]


def values(rows, name):
    return [[Value(x, label=f"{name}{i}{j}") for j, x in enumerate(row, 1)] for i, row in enumerate(rows, 1)]


def numbers(rows, of="data"):
    return [[getattr(x, of) for x in row] for row in rows]


a = values([[1.0, 2.0], [3.0, 4.0]], "a")
W = values([[0.5, -1.0, 0.0], [1.0, 0.0, 2.0]], "w")
z = product(a, W)
numbers(z)

# %% tags=["check"]
assert numbers(z) == [[2.5, -1.0, 4.0], [5.5, -3.0, 8.0]]

# %% [markdown]
# ## Going back
#
# Suppose that this gradient arrives at `z`, one number for each number there:
#
#     dz = 1  0  −1
#          2  1   0
#
# What does the weight `w₁₁` get, from the first input to the first neuron? In the first example its input is 1, and 1
# arrives: 1 · 1. In the second its input is 3, and 2 arrives: 3 · 2. The contributions add up: 1 + 6 = 7. In words: *go
# down column 1 of `a` and column 1 of `dz`, multiply, and add*. To go down a column of `a` is to go along a row of its
# **transpose**, `aᵀ`, which has rows and columns exchanged. So:
#
#     dW = aᵀ·dz        da = dz·Wᵀ
#
# **Predict.** Take a pencil: what is the gradient of `w₂₃`, from the second input to the third neuron? And that of
# `a₁₁`, with the weights 0.5, −1 and 0 in its row?
#
# answer of w₂₃: W[1][2].grad
# answer of a₁₁: a[0][0].grad

# %%
dz = [[1.0, 0.0, -1.0], [2.0, 1.0, 0.0]]
loss = sum(F.dot(row, arriving) for row, arriving in zip(z, dz, strict=True))
loss.backward()
print("dW", numbers(W, "grad"))
print("da", numbers(a, "grad"))

# %% tags=["check"]
assert W[0][0].grad == 7.0
assert W[1][2].grad == 2 * -1 + 4 * 0 == -2.0
assert a[0][0].grad == 1 * 0.5 + 0 * -1 + -1 * 0 == 0.5

# %% [markdown]
# The engine knows no matrices. It went through single numbers, and the rule for matrices comes out:

# %%
dW, da = product(transposed(numbers(a)), values(dz, "d")), product(values(dz, "d"), transposed(numbers(W)))
print(numbers(dW) == numbers(W, "grad"), numbers(da) == numbers(a, "grad"))

# %% tags=["check"]
assert numbers(dW) == numbers(W, "grad") == [[7.0, 3.0, -1.0], [10.0, 4.0, -2.0]]
assert numbers(da) == numbers(a, "grad")

# %% [markdown]
# You never need to remember which one is transposed: only one order has the right *shapes*. `dW` must be 2 × 3 like
# `W`; `a` is 2 × 2 and `dz` is 2 × 3.
#
# ## A network in six lines
#
# Two layers with a tanh, a batch of four examples, and the mean squared error, backward by hand. The slope of tanh is
# 1 − h², number by number (written ∘).
#
#     z₁ = x·W₁ + b₁     h = tanh(z₁)     y = h·W₂ + b₂     L = mean (y − t)²
#
#     dy  = 2·(y − t)/4
#     dW₂ = hᵀ·dy            db₂ = column sums of dy
#     dz₁ = (dy·W₂ᵀ) ∘ (1 − h²)
#     dW₁ = xᵀ·dz₁           db₁ = column sums of dz₁

# %%
rng = random.Random(0)
x = [[rng.gauss(0, 1) for _ in range(3)] for _ in range(4)]
t = [[rng.gauss(0, 1)] for _ in range(4)]
W1, W2 = (values([[rng.gauss(0, 0.5) for _ in range(m)] for _ in range(n)], "w") for n, m in ((3, 5), (5, 1)))
b1, b2 = [Value(0.1) for _ in range(5)], [Value(0.0)]

h = [[z.tanh() for z in F.add(row, b1)] for row in product(x, W1)]
y = [F.add(row, b2) for row in product(h, W2)]
loss = F.mean([(y_[0] - t_[0]) ** 2 for y_, t_ in zip(y, t, strict=True)])
loss.backward()


def times(a, b):  # the matrix product of plain numbers
    return [[sum(p * q for p, q in zip(row, column, strict=True)) for column in zip(*b, strict=True)] for row in a]


h_, y_ = numbers(h), numbers(y)
dy = [[2 * (out[0] - target[0]) / 4] for out, target in zip(y_, t, strict=True)]
dW2, db2 = times(transposed(h_), dy), [sum(column) for column in zip(*dy, strict=True)]
dh = times(dy, transposed(numbers(W2)))
dz1 = [[d * (1 - v * v) for d, v in zip(*rows, strict=True)] for rows in zip(dh, h_, strict=True)]
dW1, db1 = times(transposed(x), dz1), [sum(column) for column in zip(*dz1, strict=True)]

by_hand = [g for row in (*dW1, db1, *dW2, db2) for g in row]
by_engine = [p.grad for row in (*W1, b1, *W2, b2) for p in row]
largest = max(abs(p - q) for p, q in zip(by_hand, by_engine, strict=True))
print(f"{len(by_hand)} gradients, largest difference {largest:.0e}")

# %% tags=["check"]
assert len(by_hand) == 3 * 5 + 5 + 5 + 1 == 26
assert largest < 1e-14

# %% [markdown]
# The bias's gradient is a column sum: it is used once for each example. And this is what `jit` (Lesson 6) does: it
# reads the program of single numbers, sees that many dot products are alike, and writes matrix products. Blue boxes:


# %%
class TwoLayers(Module):
    def __init__(self):
        self.first, self.second = Linear(3, 5, rng=1), Linear(5, 1, rng=2)

    def loss(self, x, t):
        return (self.second([z.tanh() for z in self.first(x)])[0] - t) ** 2


two = TwoLayers()
compiled = jit(two.loss, two)
compiled.value_and_grad(x, [target[0] for target in t])
viz.draw_program(compiled)

# %% [markdown]
# ## Shapes: the first source of bugs
#
# With a batch every number has one more index, and most mistakes are mistakes of shape. Some are refused:

# %%
try:
    Linear(3, 5)([1.0, 2.0])
except ShapeError as error:
    print(error)

# %% [markdown]
# The dangerous ones are not. In numpy and PyTorch, a column of three predictions minus a *row* of three labels is no
# error: it is a table of all nine differences (**broadcasting**). The mean of their squares is a loss, and it falls.
#
# **Predict.** The predictions are 1, 2, 3 and so are the labels: all are right. What is the right loss, and what is
# that of the table? (Three differences are 0, four are ±1, two are ±2.)
#
# answer the right loss: right_loss.data
# answer that of the table: wrong_loss.data


# %%
def pairwise_loss(predictions, labels):
    return F.mean([(p - label) ** 2 for p in predictions for label in labels])


predictions, labels = [Value(1.0), Value(2.0), Value(3.0)], [1.0, 2.0, 3.0]
right_loss = F.mse(predictions, labels)
wrong_loss = pairwise_loss(predictions, labels)
wrong_loss.backward()
print(right_loss.data, round(wrong_loss.data, 4), [round(p.grad, 4) for p in predictions])

# %% tags=["check"]
assert right_loss.data == 0.0
assert abs(wrong_loss.data - (4 * 1 + 2 * 4) / 9) < 1e-12
assert [round(p.grad, 4) for p in predictions] == [-0.6667, 0.0, 0.6667]

# %% [markdown]
# 12/9 = 1.33, and look at the gradients: they push every prediction toward 2, the *mean* of the labels. A network that
# always says the mean: suspect this first. The others: the mean over a batch and the sum differ by a factor, so a
# learning rate that suited one explodes with the other; and a softmax along the batch instead of along the classes
# (`viz bug wrong-axis`).
#
# ## How large to start
#
# A layer adds up n products. If inputs and weights are random, with mean 0, the *mean square* of the sum is n times
# that of the inputs times that of the weights. So the weights need a mean square of 1/n for the sum to be as large as
# the inputs. Then comes ReLU, and sets half of it to 0.
#
# **Predict.** Twenty layers with ReLU, weights with mean square 1/n. Each layer leaves half of the mean square. By
# which factor is the size, the root of the mean square, smaller after twenty: 20, about 1,000, or about a million?
#
# answer it is smaller by: min(range(3), key=lambda i: abs(sizes["1/n"][-1] * (20, 1000, 10**6)[i] - 1))
#   | 20 | about 1,000 | about a million


# %%
def sizes_through(scale, layers=20, width=64, inputs=8 if FAST else 20):
    rng = random.Random(0)
    rows = [[rng.gauss(0, 1) for _ in range(width)] for _ in range(inputs)]
    found = []
    for _ in range(layers):
        weights = [[rng.gauss(0, (scale / width) ** 0.5) for _ in range(width)] for _ in range(width)]
        rows = [[max(0.0, z) for z in row] for row in times(rows, weights)]
        # ReLU sets half to 0: count the mean square of what it was given, which is twice as large.
        found.append((2 * sum(v * v for row in rows for v in row) / (inputs * width)) ** 0.5)
    return found


sizes = {"1/n": sizes_through(1), "2/n": sizes_through(2), "4/n": sizes_through(4)}
print({name: round(line[-1], 4) for name, line in sizes.items()})

# %%
viz.plot(sizes, title="Through twenty layers, weights with mean square …", x="layer", y="size", log=True)

# %% tags=["check"]
assert 2**10 == 1024
assert 0.3 < sizes["1/n"][-1] * 1024 < 3
assert 0.3 < sizes["2/n"][-1] < 3
assert 0.3 < sizes["4/n"][-1] / 1024 < 3

# %% [markdown]
# √(2²⁰) = 1,024. With a mean square of 2/n, the doubling and ReLU's halving cancel. That is **He initialization**:
# weights with a standard deviation of √(2/n), where n is the number of inputs, the *fan-in*. The gradients going back
# pass the same weights, so they keep their size as well. (`Linear(n, m, std=(2 / n) ** 0.5)` here. With tanh, 1/n is
# right.)
#
# ## A pull toward zero, in a formula
#
# Supplement 1 has the formula for the best weights: `XᵀX·w = Xᵀy`. Weight decay adds λ·w² to the loss, and λ to the
# diagonal: that is **ridge regression**.
#
#     (XᵀX + λ·I)·w = Xᵀy
#
# But should the bias be pulled, too? Take six rents with no features at all: the best bias is their mean.
#
# **Predict.** λ = 6, and the bias is pulled like a weight: `(6 + λ)·b = Σy`. The mean rent is 923. What is b?
#
# answer b: pulled

# %%
flats = [(40.0, 1.0), (55.0, 2.0), (72.0, 3.0), (80.0, 2.0), (95.0, 4.0), (120.0, 5.0)]
rents = [520.0, 690.0, 880.0, 910.0, 1130.0, 1410.0]
mean_rent = sum(rents) / 6
pulled = sum(rents) / (6 + 6)
print(round(mean_rent, 2), round(pulled, 2))

# %% tags=["check"]
assert round(mean_rent) == 923
assert abs(pulled - mean_rent / 2) < 1e-9

# %% [markdown]
# Half. Nobody wants that: the pull should make the model *simpler*, and a bias is not complicated, it only says where
# the middle is. So **biases are left out of weight decay.** In the formula, their place on the diagonal stays 0.


# %%
def solve(a, b):
    rows = [[*row, y] for row, y in zip(a, b, strict=True)]
    for i in range(len(rows)):
        for r in range(len(rows)):
            if r != i:
                factor = rows[r][i] / rows[i][i]
                rows[r] = [x - factor * y for x, y in zip(rows[r], rows[i], strict=True)]
    return [row[-1] / row[i] for i, row in enumerate(rows)]


def scaled(column):
    mean = sum(column) / len(column)
    deviation = (sum((x - mean) ** 2 for x in column) / len(column)) ** 0.5
    return [(x - mean) / deviation for x in column]


X = [list(row) for row in zip(*(scaled(column) for column in zip(*flats, strict=True)), [1.0] * 6, strict=True)]


def ridge(strength, y, bias_too=False):
    left = times(transposed(X), X)
    for i in range(3):
        left[i][i] += strength * (i < 2 or bias_too)
    return solve(left, [sum(p * q for p, q in zip(column, y, strict=True)) for column in zip(*X, strict=True)])


for strength in (0.0, 1.0, 6.0, 60.0):
    print(f"λ = {strength:g}: {[round(w, 1) for w in ridge(strength, rents)]}")

# %% [markdown]
# With λ the two weights shrink and become alike (area and rooms say nearly the same), and the bias stays at 923. Is it
# the bottom of the bowl? Ask the engine for all gradients of the loss with the pull in it.

# %%
weights = [Value(w, label=name) for w, name in zip(ridge(6.0, rents), ("w1", "w2", "b"), strict=True)]
loss = sum((F.dot(weights, row) - y) ** 2 for row, y in zip(X, rents, strict=True))
loss = loss + 6.0 * (weights[0] ** 2 + weights[1] ** 2)
loss.backward()
print([round(w.grad, 6) + 0.0 for w in weights])

# %%
strengths = [10 ** (i / 10) for i in range(-20, 31)]
found = [ridge(strength, rents) for strength in strengths]
lines = {
    name: [(i / 10, w[k]) for i, w in zip(range(-20, 31), found, strict=True)]
    for k, name in enumerate(("area", "rooms", "bias"))
}
viz.plot(lines, title="Ridge regression", x="log₁₀ λ", y="weight")

# %% tags=["check"]
assert all(abs(w.grad) < 1e-8 for w in weights)
assert all(abs(w[2] - mean_rent) < 1e-6 for w in found)
assert abs(ridge(0.0, rents)[0]) > abs(ridge(6.0, rents)[0]) > abs(ridge(60.0, rents)[0])
higher = [y + 1000 for y in rents]
assert all(abs(p - q) < 1e-6 for p, q in zip(ridge(6.0, rents)[:2], ridge(6.0, higher)[:2], strict=True))
assert abs(ridge(6.0, higher, bias_too=True)[2] - (mean_rent + 1000) / 2) < 1e-6

# %% [markdown]
# ## Exercises
#
# **Exercise 1.** Shapes only: a batch of 32 pictures of 784 numbers, hidden layers of 16 and 16, ten classes. Write
# down the shapes of `x`, `W₁`, `h₁`, `W₂`, `h₂`, `W₃`, `z₃`, and of `dW₂ = h₁ᵀ·dz₂`.

# %% tags=["solution"]
shapes = {
    "x": (32, 784),
    "W1": (784, 16),
    "h1": (32, 16),
    "W2": (16, 16),
    "h2": (32, 16),
    "W3": (16, 10),
    "z3": (32, 10),
}
print(shapes, "dW2", (16, 16))
for left, weight, right in (("x", "W1", "h1"), ("h1", "W2", "h2"), ("h2", "W3", "z3")):
    assert shapes[left][1] == shapes[weight][0]
    assert shapes[right] == (shapes[left][0], shapes[weight][1])

# %% [markdown]
# **Exercise 2.** Start all weights of the twenty layers at a standard deviation of 0.01, as old programs do. How large
# is what arrives at the end?

# %% tags=["solution"]
small = sizes_through(0.01**2 * 64)
print(f"{small[-1]:.0e}")  # 64 · 0.01² = 0.0064 in place of 2: nothing arrives
assert small[-1] < 1e-20

# %% [markdown]
# **Exercise 3.** λ for the bias, too: by how much do the predictions for all flats fall, on average, at λ = 6?

# %% tags=["solution"]
fall = mean_rent - ridge(6.0, rents, bias_too=True)[2]
print(round(fall, 1))  # by half the mean rent
assert abs(fall - mean_rent / 2) < 1e-6

# %% [markdown]
# ## Summary
#
# - A **batch** is a matrix with an example in each row; a layer is `z = a·W + b`.
# - Backward: `dW = aᵀ·dz`, `da = dz·Wᵀ`, `db` = column sums. Only one order has the right shapes.
# - **Broadcasting** turns a mistake of shape into a loss that falls: check the shapes.
# - **He initialization**: standard deviation √(2/fan-in), for ReLU.
# - **Ridge regression**: `(XᵀX + λI)·w = Xᵀy`. Weight decay leaves biases alone.
#
# Where next: Lesson 5. Supplement 5 takes AdamW apart, which decays weights without touching the gradients.
