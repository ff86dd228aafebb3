# %% [markdown]
# # Supplement 13: Too simple, too eager, just right
#
# **Question.** A network that memorizes its examples is wrong on new ones. What helps, and how much does each remedy
# help?
#
# Follows Lesson 4. There you met **overfitting**, and weight decay and dropout in use. Here are all the common remedies
# side by side, on the same points. Together they are called **regularization**: whatever keeps a model from fitting the
# accidents of its examples. (`jit`, which Lesson 6 explains, does the same to all points at once.)

# %%
import itertools
import math
import random

import viz
from tinygrad_edu import jit
from tinygrad_edu.compiler import AdamW
from tinygrad_edu.nn import MLP, Dropout, Module

FAST = globals().get("FAST", False)

# %% [markdown]
# ## Three students
#
# Two moons again: thirty points to learn from, three of them with a wrong label. A hundred other points are the
# **validation set**: we look at them during training, and choose by them. And two hundred more are the **test set**,
# for the last number only. What has been used to choose is no longer new.


# %%
def moons(count, seed, wrong=0.0):
    rng, points, labels = random.Random(seed), [], []
    for i in range(count):
        angle, label = math.pi * rng.random(), i % 2
        x, y = math.cos(angle), math.sin(angle)
        if label:
            x, y = 1 - x, 0.5 - y
        points.append([x + rng.gauss(0, 0.15), y + rng.gauss(0, 0.15)])
        labels.append(float(label))
    for i in rng.sample(range(count), round(wrong * count)):
        labels[i] = 1 - labels[i]
    return points, labels


validation, test = moons(100, seed=98), moons(200, seed=99)


def train(model, data, *, steps=100 if FAST else 240, decay=0.0, change=lambda points, labels, rng: (points, labels)):
    compiled = jit(lambda x, y: (model(x) - y) ** 2, model)
    optimizer = AdamW(compiled.parameters, lr=0.05, weight_decay=decay)
    rng, curves, best = random.Random(5), {"training": [], "validation": []}, (math.inf, None, 0)
    for step in range(steps + 1):
        if step % 20 == 0:
            model.eval()
            for name, some in (("training", data), ("validation", validation)):
                curves[name].append((step, float(compiled(*some).mean())))
            model.train()
            if curves["validation"][-1][1] < best[0]:
                best = curves["validation"][-1][1], model.state_dict(), step
        compiled.value_and_grad(*change(*data, rng))
        optimizer.step()
    model.eval()
    return curves, best, float(compiled(*test).mean())


def network(*sizes):
    return MLP(2, [*sizes, 1], last_activation="sigmoid", rng=1)


few = moons(30, seed=1, wrong=0.1)
simple, eager, right = network(), network(16, 16), network(16, 16)
simple_curves, _, simple_test = train(simple, few)
eager_curves, (_, best_state, best_step), eager_test = train(eager, few)

# %% [markdown]
# The first student is a single neuron: a straight border. The second has two hidden layers of 16, and 337 parameters.
#
# **Predict.** Draw four curves on paper: for each student the loss on the thirty points, and the loss on the validation
# points.
#
# answer at the last step, the lowest curve: min(curves, key=lambda name: curves[name][-1][1])
#   | neuron, training | neuron, validation | 337 parameters, training | 337 parameters, validation

# %%
curves = {f"neuron, {name}": line for name, line in simple_curves.items()}
curves |= {f"337 parameters, {name}": line for name, line in eager_curves.items()}
viz.plot(curves, title="Underfitting and overfitting", x="step", y="loss")

# %% tags=["check"]
assert len(eager.parameters()) == 3 * 16 + 17 * 16 + 17 == 337
assert abs(simple_curves["training"][-1][1] - simple_curves["validation"][-1][1]) < 0.05
if not FAST:
    assert eager_curves["training"][-1][1] < 0.05
    assert eager_curves["validation"][-1][1] > 2 * eager_curves["training"][-1][1]
    assert eager_curves["validation"][-1][1] > simple_curves["validation"][-1][1]

# %% [markdown]
# - **Underfitting:** both losses stay high, close together. The model is too simple. More training does not help; a
#   larger model does.
# - **Overfitting:** the training loss goes to 0, the validation loss turns around. The model is too eager.
# - **Just right** is in between, and there are two ways to get there: choose the size, or take a large model and keep
#   it from being too eager.
#
# ## Remedy 1: stop early
#
# Our `train` has kept a copy of the parameters from the step with the lowest validation loss. It costs nothing.

# %%
right.load_state_dict(best_state)
stopped_test = sum((right(p).data - y) ** 2 for p, y in zip(*test, strict=True)) / 200
print(f"step {best_step}; on the test points: {eager_test:.3f} at the end, {stopped_test:.3f} stopped early")

# %%
students = {"underfit": simple, "just right": right, "overfit": eager}
fineness = 12 if FAST else 32
viz.boundaries([viz.boundary(student, *few, title=name, resolution=fineness) for name, student in students.items()])

# %% tags=["check"]
if not FAST:
    assert best_step < 200
    assert stopped_test < 0.7 * eager_test

# %% [markdown]
# ## Remedy 2: weight decay
#
# Every step also makes each weight a little smaller. AdamW with a decay of 1 and a learning rate of 0.05 multiplies
# each by 0.95.
#
# **Predict.** A weight that no example pulls at: how much of it is left after 45 steps, about a half, a tenth, or
# nothing?
#
# answer there is left: min(range(3), key=lambda i: abs(0.95**45 - (0.5, 0.1, 0)[i])) | a half | a tenth | nothing

# %%
0.95**45

# %% tags=["check"]
assert abs(0.95**45 - 0.1) < 0.001

# %% [markdown]
# A tenth. Only what many examples pull at survives.
#
# ## Remedy 3: augmentation
#
# **Augmentation** makes new examples out of old ones, by changes that leave the answer as it is. A picture of a cat,
# mirrored or a little darker, is a picture of a cat. Here: at each step, move every point a little. A network cannot
# wind its border around a single point that never stays in place.


# %%
def moved(points, labels, rng):
    return [[x + rng.gauss(0, 0.2), y + rng.gauss(0, 0.2)] for x, y in points], labels


# %% [markdown]
# ## Remedy 4: dropout
#
# At each step every hidden output is set to 0 with a probability, here 0.4 (Lesson 4).


# %%
class Dropping(Module):
    def __init__(self, p, *sizes):
        self.network, self.dropout = network(*sizes), Dropout(p, rng=1)

    def forward(self, x):
        for layer in self.network.layers[:-1]:
            x = self.dropout(layer(x))
        return self.network.layers[-1](x)[0]


# %% [markdown]
# ## The race
#
# Two different sets of thirty points, so that luck evens out a little.
#
# **Predict.** Order them by their last loss on the test points: no remedy, weight decay, augmentation, dropout, early
# stopping.
#
# answer the lowest: min(tested, key=tested.get) | no remedy | weight decay | augmentation | dropout | early stopping
# answer the highest: max(tested, key=tested.get) | no remedy | weight decay | augmentation | dropout | early stopping

# %%
ways = {
    "no remedy": lambda data: train(network(16, 16), data),
    "weight decay": lambda data: train(network(16, 16), data, decay=1.0),
    "augmentation": lambda data: train(network(16, 16), data, change=moved),
    "dropout": lambda data: train(Dropping(0.4, 16, 16), data),
}
sets = [moons(30, seed, wrong=0.1) for seed in range(1, 2 if FAST else 3)]
results = {name: [way(data) for data in sets] for name, way in ways.items()}
tested = {name: sum(result[2] for result in some) / len(sets) for name, some in results.items()}
stopped = []
for data, (_, (_, state, _), _) in zip(sets, results["no remedy"], strict=True):
    kept = network(16, 16)
    kept.load_state_dict(state)
    stopped.append(sum((kept(p).data - y) ** 2 for p, y in zip(*test, strict=True)) / 200)

tested["early stopping"] = sum(stopped) / len(sets)
for name, loss in sorted(tested.items(), key=lambda item: -item[1]):
    print(f"{name:15} {loss:.3f}")


# %%
def mean_curve(name):
    columns = zip(*(result[0]["validation"] for result in results[name]), strict=True)
    return [(column[0][0], sum(loss for _, loss in column) / len(column)) for column in columns]


viz.plot({name: mean_curve(name) for name in ways}, title="Validation loss, mean of two sets", x="step", y="loss")

# %% tags=["check"]
if not FAST:
    assert tested["augmentation"] < 0.75 * tested["no remedy"]
    assert tested["weight decay"] < 0.75 * tested["no remedy"]
    assert tested["early stopping"] < 0.8 * tested["no remedy"]
    assert tested["dropout"] < tested["no remedy"]
    assert min(tested, key=tested.get) == "augmentation"
    assert max(set(tested) - {"no remedy"}, key=tested.get) == "dropout"

# %% [markdown]
# Augmentation is best here, because we know something true about these points: a little to the side, the answer is the
# same. Dropout helps least: 30 examples and 32 hidden neurons are little for it. (Three other draws of all points and
# weights gave the same first and last; early stopping and weight decay changed places.) Which remedy is best depends on
# the task. That a remedy helps is measured, not assumed.
#
# ## The best remedy: more data
#
# **Predict.** With ten times as many points, 300 instead of 30, of which again every tenth has a wrong label: where
# does the test loss of the same network end?
#
# answer the test loss: by_size[max(by_size)][1] ± 0.03

# %%
sizes = (30, 100) if FAST else (30, 100, 300)
by_size = {30: (eager_curves["training"][-1][1], eager_test)}
for count in sizes:
    if count > 30:
        curves, _, loss = train(network(16, 16), moons(count, seed=1, wrong=0.1))
        by_size[count] = curves["training"][-1][1], loss
    print(f"{count} points: training {by_size[count][0]:.3f}, test {by_size[count][1]:.3f}")

# %%
curves = {
    "training": [(count, losses[0]) for count, losses in by_size.items()],
    "test": [(count, losses[1]) for count, losses in by_size.items()],
}
viz.plot(curves, title="The same network, more points", x="points to learn from", y="loss")

# %% tags=["check"]
if not FAST:
    assert by_size[300][1] < by_size[30][1] / 2
    assert by_size[300][0] > by_size[30][0]

# %% [markdown]
# The two curves meet: with many points the wrong labels can no longer be memorized one by one. The training loss goes
# *up*, the test loss down.
#
# ## Why dropout works: many networks in one
#
# A network with eight hidden neurons contains 2⁸ = 256 **sub-networks**: leave out any of the eight. Each training step
# with dropout trains one of them, with shared weights. And in use, when nothing is dropped, the network is the mean of
# all of them.
#
# **Predict.** Is that true to the last digit, or about true? (One hidden layer; we compare the sum that goes into the
# last sigmoid. With p = 0.5, what stays is doubled.)
#
# answer it is: difference < 1e-9 | true to the last digit | about true

# %%
dropped = Dropping(0.5, 8)
train(dropped, few, steps=100 if FAST else 240)
hidden, last = dropped.network.layers
weights, bias = [w.data for w in last.neurons[0].w], last.neurons[0].b.data
says = [[h.data for h in hidden(point)] for point in test[0]]


def score(row, kept):
    return bias + sum(w * h * k for w, h, k in zip(weights, row, kept, strict=True))


def loss_of(scores):  # the cross-entropy of Lesson 5, for two classes
    signed = (s if label == 1 else -s for s, label in zip(scores, test[1], strict=True))
    return sum(math.log(1 + math.exp(-s)) for s in signed) / 200


whole = [score(row, [1] * 8) for row in says]
total, losses = [0.0] * 200, []
for kept in itertools.product((0, 2), repeat=8):
    scores = [score(row, kept) for row in says]
    total = [t + s for t, s in zip(total, scores, strict=True)]
    losses.append(loss_of(scores))

difference = max(abs(t / 256 - s) for t, s in zip(total, whole, strict=True))
print(f"difference {difference:.0e}")
print(f"loss: one sub-network {sum(losses) / 256:.3f} on average, all together {loss_of(whole):.3f}")

# %% tags=["check"]
assert len(losses) == 256
assert difference < 1e-12
assert loss_of(whole) < sum(losses) / 256

# %%
lines = {"one sub-network each, sorted": sorted(losses), "all together": [(0, loss_of(whole)), (255, loss_of(whole))]}
viz.plot(lines, title="256 sub-networks", x="sub-network", y="loss on the test points")

# %% [markdown]
# To the last digit: each neuron is there in half of the sub-networks, and counts double there. A committee of many
# networks, an **ensemble**, has a lower loss than its members have on average; dropout makes one for the
# price of a single network. (With more than one hidden layer it is only about the mean.)
#
# ## Exercises
#
# **Exercise 1.** Diagnose: training loss 0.02, validation loss 0.35. Training 0.30, validation 0.31. Training 0.05,
# validation 0.06. What would you do?


# %% tags=["solution"]
def diagnose(training, validation):
    if validation > 2 * training:
        return "overfit: more data, or a remedy"
    return "underfit: a larger model" if training > 0.1 else "just right: stop"


print([diagnose(0.02, 0.35), diagnose(0.30, 0.31), diagnose(0.05, 0.06)])
ours = [diagnose(*(line[-1][1] for line in student.values())) for student in (eager_curves, simple_curves)]
print(ours)  # our own two students
assert FAST or [advice[:5] for advice in ours] == ["overf", "under"]

# %% [markdown]
# **Exercise 2.** We know more about the two moons: turned by half a turn around (0.5, 0.25), one becomes the other. So
# `(1 − x, 0.5 − y)` with the other label is a new example. Use this, together with `moved`.


# %% tags=["solution"]
def turned(points, labels, rng):
    points = points + [[1 - x, 0.5 - y] for x, y in points]
    return moved(points, labels + [1 - label for label in labels], rng)


both = sum(train(network(16, 16), data, change=turned)[2] for data in sets) / len(sets)
print(f"{both:.3f} against {tested['augmentation']:.3f}")  # the more you know about your data, the better
assert FAST or both < tested["augmentation"]

# %% [markdown]
# **Exercise 3.** Why not choose the weight decay by the test points?

# %% tags=["solution"]
# With enough choices one of them fits the test points by luck. Fifty coins, ten tosses each, and the best one is kept:
rng = random.Random(0)
best_coin = max(sum(rng.random() < 0.5 for _ in range(10)) for _ in range(50))
print(best_coin)  # it looks like a coin that nearly always shows heads
assert best_coin >= 8

# %% [markdown]
# ## Summary
#
# - **Underfitting:** both losses high. **Overfitting:** they part. Look at both.
# - **Early stopping** keeps the parameters with the lowest validation loss.
# - **Weight decay** pulls weights toward 0; **augmentation** adds examples whose answer is known to be the same.
# - **Dropout** trains an **ensemble** of sub-networks with shared weights.
# - **More data** is the best remedy. Choose by a validation set, and report on a test set.
#
# Where next: Lesson 5. `gpt train --patience --best` stops a GPT early, with the same idea.
