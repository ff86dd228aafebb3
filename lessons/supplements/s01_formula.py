# %% [markdown]
# # Supplement 1: The formula, and why features are scaled
#
# **Question.** For a line there is a formula that finds the best weights at once. Why walk downhill at all?
#
# Follows Lesson 2.

# %%
import viz
from tinygrad_edu import Value
from tinygrad_edu import functional as F

# %% [markdown]
# Six flats: living area in square meters, number of rooms, rent. We look for `rent = w₁·area + w₂·rooms + b`.

# %%
flats = [(40.0, 1.0), (55.0, 2.0), (72.0, 3.0), (80.0, 2.0), (95.0, 4.0), (120.0, 5.0)]
rents = [520.0, 690.0, 880.0, 910.0, 1130.0, 1410.0]

# %% [markdown]
# ## The formula
#
# To predict a number from features with such a sum is **linear regression**. (To choose one of a few classes is
# classification, which begins in Lesson 3.) The mean squared error is a bowl, and at its bottom all slopes are 0. Write
# down "the slope of each weight is 0" and you have as many linear equations as weights, the **normal equations**:
# `XᵀX w = Xᵀy`, where each row of `X` is a flat with a 1 for `b`. Linear equations are solved by elimination, as in
# school.


# %%
def solve(a, b):
    rows = [[*row, y] for row, y in zip(a, b, strict=True)]
    n = len(rows)
    for i in range(n):
        best = max(range(i, n), key=lambda r: abs(rows[r][i]))
        rows[i], rows[best] = rows[best], rows[i]
        for r in range(n):
            if r != i:
                factor = rows[r][i] / rows[i][i]
                rows[r] = [x - factor * y for x, y in zip(rows[r], rows[i], strict=True)]
    return [rows[i][n] / rows[i][i] for i in range(n)]


X = [[area, rooms, 1.0] for area, rooms in flats]
columns = list(zip(*X, strict=True))
XtX = [[sum(a * b for a, b in zip(u, v, strict=True)) for v in columns] for u in columns]
Xty = [sum(a * y for a, y in zip(u, rents, strict=True)) for u in columns]
formula = solve(XtX, Xty)
print([round(w, 4) for w in formula])

# %% [markdown]
# Is that the bottom of the bowl? Ask the engine: at the bottom every gradient is 0.

# %%
weights = [Value(w, label=name) for w, name in zip(formula, ("w1", "w2", "b"), strict=True)]
loss = F.mse([F.dot(weights, row) for row in X], rents)
loss.backward()
print(round(loss.data, 2), [round(w.grad, 6) + 0.0 for w in weights])

# %% tags=["check"]
assert [round(w, 2) for w in formula] == [8.94, 43.67, 111.59]
assert all(abs(w.grad) < 1e-6 for w in weights)

# %% [markdown]
# ## Downhill, and stuck
#
# The same by gradient descent. The area is a number nearly thirty times as large as that of the rooms. So the gradient
# of its weight is nearly thirty times as large, too, and the bowl is hundreds of times as steep in its direction.


# %%
def descend(rows, lr, steps):
    weights = [Value(0.0) for _ in rows[0]]
    losses = []
    for _ in range(steps):
        loss = F.mse([F.dot(weights, row) for row in rows], rents)
        losses.append(loss.data)
        for w in weights:
            w.zero_grad()
        loss.backward()
        for w in weights:
            w.data -= lr * w.grad
    return [w.data for w in weights], losses


for lr in (2e-4, 1e-4):
    _, losses = descend(X, lr, 100)
    print(f"lr {lr}: {losses[0]:.0f} → {losses[-1]:.4g}")

# %% tags=["check"]
assert descend(X, 2e-4, 100)[1][-1] > 1e20
assert descend(X, 1e-4, 100)[1][-1] < 1000

# %% [markdown]
# With 0.0002 it explodes, because of the steep direction; with 0.0001 it goes down. The learning rate has to suit the
# steepest direction, and in the flat one every step is then a crawl.
#
# **Predict.** After 2,000 steps with 0.0001: is the weight of the rooms near its 43.67?
#
# answer it is: abs(raw[1] - 43.67) < 1 | near | not near

# %%
raw, raw_losses = descend(X, 1e-4, 2000)
print([round(w, 2) for w in raw])

# %% tags=["check"]
assert raw[1] < 10
assert raw[2] < 10

# %% [markdown]
# It is nowhere near, nor is `b`: both are in the flat directions.
#
# ## Scale first
#
# Subtract from each feature its mean, and divide by its standard deviation. Then all directions are about equally
# steep, and one learning rate suits them all.


# %%
def scale(column):
    mean = sum(column) / len(column)
    deviation = (sum((x - mean) ** 2 for x in column) / len(column)) ** 0.5
    return [(x - mean) / deviation for x in column], mean, deviation


areas, mean_area, dev_area = scale(columns[0])
rooms, mean_rooms, dev_rooms = scale(columns[1])
scaled = [[a, r, 1.0] for a, r in zip(areas, rooms, strict=True)]
found, scaled_losses = descend(scaled, 0.3, 300)
w1, w2 = found[0] / dev_area, found[1] / dev_rooms
b = found[2] - w1 * mean_area - w2 * mean_rooms
print([round(w, 2) for w in (w1, w2, b)])

# %% tags=["check"]
assert all(abs(x - y) < 1e-2 for x, y in zip((w1, w2, b), formula, strict=True))

# %%
viz.plot(
    {"as they are, lr 0.0001": raw_losses[:300], "scaled, lr 0.3": scaled_losses},
    title="The same flats",
    x="step",
    y="loss",
    log=True,
)

# %% [markdown]
# In 300 steps the scaled descent reaches the answer of the formula; the other one would need hundreds of thousands.
#
# So why walk at all? The formula exists because the loss of a *line* is a bowl. Three neurons make a landscape that no
# formula solves, while the gradient works there unchanged. But the lesson about scale stays: it is why networks begin
# with weights of a suitable size, why their layers are normalized (Lesson 9), and why Adam gives each weight its own
# step size (Supplement 5).

# %% [markdown]
# ## Exercises
#
# **Exercise 1.** What rent does the line say for 60 square meters with 2 rooms? By the formula, and by the weights that
# the scaled descent has found.

# %% tags=["solution"]
flat = (60.0, 2.0, 1.0)
by_formula = sum(w * x for w, x in zip(formula, flat, strict=True))
by_descent = sum(w * x for w, x in zip((w1, w2, b), flat, strict=True))
print(round(by_formula, 2), round(by_descent, 2))
assert round(by_formula) == round(by_descent) == 735

# %% [markdown]
# **Exercise 2.** Instead of the rooms, take the area in square feet, which is 10.76 times that in square meters. What
# becomes of the formula, and why? What would the descent do?

# %% tags=["solution"]
twice = [[area, 10.76 * area, 1.0] for area, _ in flats]
feet = list(zip(*twice, strict=True))
products = [[sum(p * q for p, q in zip(u, v, strict=True)) for v in feet] for u in feet]
determinant = products[0][0] * products[1][1] - products[0][1] ** 2
print(f"{determinant / (products[0][0] * products[1][1]):.0e}")  # 0 but for rounding: no single solution
assert abs(determinant) < 1e-9 * products[0][0] * products[1][1]
# The bottom of the bowl is a whole line of weights. The formula divides by 0; the descent stops somewhere on that line.

# %% [markdown]
# ## Summary
#
# - **Least squares:** the loss of a line is a bowl; the **normal equations** `XᵀX w = Xᵀy` find its bottom at once.
# - One learning rate has to suit the steepest direction, and then the flat ones crawl.
# - **Feature scaling** (standardization): minus the mean, divided by the standard deviation; all directions get equally
#   steep.
# - The formula ends with the line. The gradient goes on to every network.
