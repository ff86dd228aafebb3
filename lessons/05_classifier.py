# %% [markdown]
# # Lesson 5: Which of them, and how sure?
#
# **Question.** A network gives three numbers for three possible answers. How do they become probabilities, and how
# wrong is a probability?
#
# Yes or no was enough so far. A language model has to choose among all characters, so today there are three classes,
# and tomorrow twenty-seven. What we need is a way from numbers to probabilities, and a loss that understands them. The
# network itself hardly changes.

# %%
import math
import random
from itertools import pairwise

import viz
from tinygrad_edu import Value, no_grad, record_calls
from tinygrad_edu.nn import Layer, Module
from tinygrad_edu.optim import Adam

FAST = globals().get("FAST", False)

# %% [markdown]
# ## From scores to probabilities
#
# A network's last layer gives a **score** for each class, any number, positive or negative; the usual name is
# **logit**. Think of votes: more is better. Probabilities are stricter: none is negative, and together they make 1. Two
# steps lead there:
#
# 1. make every score positive: take `e` to the power of it;
# 2. divide by the sum, so that the results add up to 1.
#
# This is the **softmax**:
#
#     pᵢ = e^zᵢ / Σⱼ e^zⱼ
#
# Why `e` to the power? Because then only *differences* between scores count: a class that is ahead by 1 has 2.718 times
# the probability, at the top as at the bottom.


# %%
def naive_softmax(scores):
    powers = [score.exp() for score in scores]
    total = sum(powers)
    return [power / total for power in powers]  # key: each one's part of the total


scores = [Value(z, label=f"z{i}") for i, z in enumerate((2.0, 1.0, 0.1), 1)]

# %% [markdown]
# **Predict.** The scores are 2, 1 and 0.1. What is the probability of the first: about a third, a half, two thirds, or
# nine tenths?
#
# answer it is about: min(range(4), key=lambda i: abs(probabilities[0].data - (1 / 3, 1 / 2, 2 / 3, 9 / 10)[i]))
#   | a third | a half | two thirds | nine tenths

# %%
probabilities = naive_softmax(scores)
print([round(p.data, 3) for p in probabilities])

# %% tags=["check"]
assert [round(p.data, 3) for p in probabilities] == [0.659, 0.242, 0.099]
assert abs(sum(p.data for p in probabilities) - 1) < 1e-12
assert abs(probabilities[0].data / probabilities[1].data - math.e) < 1e-12

# %% [markdown]
# ## A softmax that survives large scores
#
# **Predict.** Now the scores are 1002, 1001 and 1000.1. Their differences are the same as before. What does
# `naive_softmax` say?
#
# answer it says: math.isnan(naive_softmax(large)[0].data) + 1
#   | the same as before | nearly 1, 0 and 0 | not a number

# %%
large = [Value(1002.0), Value(1001.0), Value(1000.1)]
print([p.data for p in naive_softmax(large)])

# %% [markdown]
# *Not a number.* e¹⁰⁰² has 436 digits before the point; the largest number that the computer can write has 309. It
# becomes infinite, and infinity divided by infinity is nothing at all. The fix costs one subtraction. Only differences
# count, so we may subtract the same number from all scores; if it is the largest, the largest power is e⁰ = 1, and
# nothing overflows:


# %%
def softmax(scores):
    largest = max(score.data for score in scores)
    powers = [(score - largest).exp() for score in scores]  # key: e to the power of the distance to the largest
    total = sum(powers)
    return [power / total for power in powers]


print([round(p.data, 3) for p in softmax(large)])

# %% tags=["check"]
assert all(math.isnan(p.data) for p in naive_softmax(large))
assert [round(p.data, 3) for p in softmax(large)] == [0.659, 0.242, 0.099]
assert math.floor(1002 / math.log(10)) + 1 == 436
assert len(str(int(1.7e308))) == 309

# %% [markdown]
# ## How wrong is a probability?
#
# The first class is the right answer, and it got 0.659. Measure the *surprise*: if you are certain of something, you
# are not surprised when it happens, surprise 0; if you think it impossible, your surprise has no limit. The function
# that does this, and adds up when probabilities multiply, is minus the logarithm. This loss is called
# **cross-entropy**:
#
#     L = −ln p(right answer)
#
# Its unit is the *nat*. Guessing blindly among three costs ln 3 = 1.0986 nats. The logarithm of the softmax can be
# written so that no tiny probability ever appears: `ln Σⱼ e^zⱼ − z(right)`.


# %%
def cross_entropy(scores, target):
    largest = max(score.data for score in scores)
    total = sum([(score - largest).exp() for score in scores])
    return total.log() - (scores[target] - largest)


loss = cross_entropy(scores, 0)
loss.label = "loss"
print(f"{loss.data:.3f} = −ln {probabilities[0].data:.3f}")
print([f"surprise at {p}: {-math.log(p):.2f}" for p in (0.99, 0.5, 0.1, 0.001)])

# %% tags=["check"]
assert round(loss.data, 3) == 0.417
assert abs(loss.data + math.log(probabilities[0].data)) < 1e-12
assert round(cross_entropy([Value(0.0)] * 3, 1).data, 4) == round(math.log(3), 4) == 1.0986

# %% [markdown]
# Now go backward. There is a power, a sum, a logarithm and a difference on the way, so you may expect something
# complicated.
#
# **Predict.** To make the right answer likelier, its score must rise: what sign has `∂L/∂z1`? And which of the two
# wrong scores is pushed down harder? Bonus: find the three numbers by looking at [0.659, 0.242, 0.099].
#
# answer ∂L/∂z1 is: scores[0].grad > 0 | positive | negative
# answer pushed down harder: scores[1].grad > scores[2].grad | z2, which is 1 | z3, which is 0.1
# answer ∂L/∂z1 in numbers: scores[0].grad

# %%
loss.backward()
print([round(score.grad, 3) for score in scores])

# %%
viz.draw(loss)

# %% tags=["check"]
for score, p, onehot in zip(scores, probabilities, (1, 0, 0), strict=True):
    assert abs(score.grad - (p.data - onehot)) < 1e-12
assert [round(score.grad, 3) for score in scores] == [-0.341, 0.242, 0.099]

# %% [markdown] tags=["pytorch"]
# ```python
# import torch
#
# scores = torch.tensor([2.0, 1.0, 0.1], requires_grad=True)
# loss = torch.nn.functional.cross_entropy(scores, torch.tensor(0))  # of scores: the softmax is inside
# loss.backward()
# print(torch.softmax(scores, dim=0).tolist(), loss.item(), scores.grad.tolist())
# ```

# %% [markdown]
# −0.341, 0.242, 0.099: **the gradient is `p − onehot`**, what was said minus what should have been said (1 for the
# right answer, 0 for the others). No more, no less. All the complicated parts cancel, and the three numbers add up to
# 0: what the right answer should gain, the others lose.
#
# Compare with the squared error after a sigmoid, in Lesson 3: a neuron that is *sure and wrong* is where the sigmoid is
# flat, and learns nothing. Here a network that is sure and wrong gets the largest possible gradient, nearly 1.

# %%
sure_and_wrong = Value(-10.0)
((sure_and_wrong.sigmoid() - 1) ** 2).backward()
squared = sure_and_wrong.grad
z = Value(-10.0)
cross_entropy([z, Value(0.0)], 0).backward()
print(f"squared error: {squared:.6f}   cross-entropy: {z.grad:.6f}")

# %% tags=["check"]
assert abs(squared) < 1e-4
assert abs(z.grad + 1) < 1e-4

# %% [markdown]
# ## Temperature
#
# Divide all scores by a number T before the softmax. Above 1, differences shrink and the probabilities become more
# equal; below 1, they grow and the winner takes more. Physicists call it **temperature**: hot is disorder, cold is
# order. It is the knob with which a language model is made adventurous or careful.
#
# **Predict.** With T = 0.5, the probabilities for 2, 1 and 0.1 become 0.864, 0.117 and 0.019. And with T = 100?
#
# answer the first of the three, with T = 100: probabilities[0].data ± 0.01

# %%
for temperature in (0.1, 0.5, 1.0, 2.0, 100.0):
    probabilities = softmax([score / temperature for score in scores])  # key: the probabilities at this temperature
    print(temperature, [round(p.data, 3) for p in probabilities])

# %%
temperatures = [0.1 + i * 0.05 for i in range(80)]
lines = {score.label: [] for score in scores}
for temperature in temperatures:
    probabilities = softmax([score / temperature for score in scores])
    for score, p in zip(scores, probabilities, strict=True):
        lines[score.label].append((temperature, p.data))

viz.plot(lines, title="From careful to adventurous", x="temperature", y="probability")

# %% tags=["check"]
assert [round(p.data, 3) for p in softmax([score / 0.5 for score in scores])] == [0.864, 0.117, 0.019]
assert softmax([score / 0.1 for score in scores])[0].data > 0.9999
assert all(abs(p.data - 1 / 3) < 0.005 for p in softmax([score / 100 for score in scores]))

# %% [markdown]
# ## Three arms of a spiral
#
# Three classes that wind around each other. The network is the MLP of the last lesson with a new end: one neuron per
# class, without an activation, since scores may be any number; and a method for the loss. `Layer` now comes from the
# library, where it consists of the same lines and takes the activations by name.


# %% tags=["model"]
class MLP(Module):
    def __init__(self, sizes, activation="tanh", seed=0):
        rng = random.Random(seed)
        activations = [activation] * (len(sizes) - 2) + ["linear"]
        shapes = zip(pairwise(sizes), activations, strict=True)
        self.layers = [Layer(n, m, activation, rng=rng) for (n, m), activation in shapes]

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x

    def loss(self, x, target):
        return cross_entropy(self(x), target)


# %%
def spiral(count, rng):
    points, labels = [], []
    for i in range(count):
        arm, distance = i % 3, 0.1 + 0.9 * rng.random()
        angle = 2 * math.pi * (arm / 3 + distance / 1.5) + rng.gauss(0, 0.15)
        points.append((distance * math.cos(angle), distance * math.sin(angle)))
        labels.append(arm)
    return points, labels


rng = random.Random(3)
points, labels = spiral(60, rng)
new_points, new_labels = spiral(90, rng)
arms = {"arm 0": [], "arm 1": [], "arm 2": []}
for point, label in zip(points, labels, strict=True):
    arms[f"arm {label}"].append(point)

viz.plot({}, points=arms, title="Three arms")

# %%
model = MLP([2, 12, 3])
with record_calls() as calls:
    one = model.loss(points[0], labels[0])

one.backward()
len(model.parameters())

# %%
viz.draw(one, calls=calls, budget=40)

# %%
viz.flow(one, calls=calls)

# %% tags=["check"]
assert len(model.parameters()) == 12 * (2 + 1) + 3 * (12 + 1) == 75
assert len(model(points[0])) == 3


# %%
def mean_loss(points, labels):
    total = 0.0
    for point, label in zip(points, labels, strict=True):
        total = total + model.loss(point, label)
    return total / len(points)


def right(points, labels):
    best = [max(range(3), key=lambda k: scores[k].data) for scores in map(model, points)]
    return sum(a == b for a, b in zip(best, labels, strict=True))


# %% [markdown]
# **Predict.** A network that knows nothing and admits it would have a loss of ln 3 = 1.0986. This one has random
# weights. Is its loss below, above, or exactly there?
#
# answer it is: (at_first < math.log(3) - 0.01) + 2 * (abs(at_first - math.log(3)) <= 0.01)
#   | above | below | exactly there

# %%
at_first = mean_loss(points, labels).data
round(at_first, 2)

# %% tags=["check"]
assert at_first > 1.3

# %% [markdown]
# Above: it knows nothing, but its random weights make it *say* something, and it is often sure and wrong. Remember this
# number, the **loss at initialization**. It is the first thing to look at in a new network; it should be ln of the
# number of classes.

# %%
optimizer = Adam(model.parameters(), lr=0.1)
losses, moments = [], []
steps = 25 if FAST else 120
for step in range(steps + 1):
    loss = mean_loss(points, labels)
    losses.append(loss.data)
    if step in (0, steps // 6, steps):
        moments.append(viz.boundary(model, points, labels, title=f"step {step}"))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

print(f"loss {losses[-1]:.3f}, {right(points, labels)} of 60 right")
print(f"{right(new_points, new_labels)} of 90 new ones right")

# %%
curves = {"loss": losses, "ln 3": [math.log(3)] * len(losses)}
viz.plot(curves, title="Three arms", x="step", y="loss")

# %%
viz.boundaries(moments)

# %% tags=["check"]
assert losses[0] == at_first
assert losses[-1] < 0.8
assert FAST or (losses[-1] < 0.02 and right(points, labels) == 60 and right(new_points, new_labels) == 86)

# %% [markdown]
# All 60 points are on the right side, and 86 of 90 that the network has never seen. It can also say how sure it is:

# %%
with no_grad():
    sure = [max(softmax(model(point)), key=float).data for point in new_points]

doubtful = min(range(90), key=lambda i: sure[i])
x, y = new_points[doubtful]
said = [round(p.data, 2) for p in softmax(model((x, y)))]
print(f"least sure at ({x:.2f}, {y:.2f}): {said}")
print(f"surer than 0.9 at {sum(s > 0.9 for s in sure)} of 90")

# %% tags=["check"]
assert sure[doubtful] < 0.7
assert FAST or sum(s > 0.9 for s in sure) > 75

# %% [markdown]
# **Play.** A spiral needs more layers. Find a network that follows its arms, and watch which layers get a gradient
# (`play.html#screen=network&data=spiral`).

# %% [markdown]
# ## Exercises
#
# **Exercise 1.** By hand: the scores are 0, ln 2 and ln 5. The three probabilities? The loss if the third is right, and
# the gradient of each score?

# %% tags=["solution"]
scores = [Value(0.0), Value(math.log(2)), Value(math.log(5))]
loss = cross_entropy(scores, 2)
loss.backward()
print([round(p.data, 3) for p in softmax(scores)], round(loss.data, 2), [round(s.grad, 3) for s in scores])
assert all(abs(s.data - p) < 1e-12 for s, p in zip(softmax(scores), (1 / 8, 2 / 8, 5 / 8), strict=True))
assert round(loss.data, 2) == round(math.log(8 / 5), 2) == 0.47
assert all(abs(s.grad - g) < 1e-12 for s, g in zip(scores, (1 / 8, 2 / 8, -3 / 8), strict=True))

# %% [markdown]
# **Exercise 2.** Show that with two classes the softmax is an old friend: the first probability for the scores z and 0
# is `σ(z)`. Check it for some z, and then with a pencil.

# %% tags=["solution"]
for number in (-3.0, 0.0, 0.5, 4.0):
    p = softmax([Value(number), Value(0.0)])[0]
    assert abs(p.data - Value(number).sigmoid().data) < 1e-12  # e^z / (e^z + 1) = 1 / (1 + e^−z)

# %% [markdown]
# **Exercise 3.** A language model gave the five characters of a word the log-probabilities −2.3, −1.1, −0.5, −3.2 and
# −1.8. What is its mean loss? e to the power of that is called **perplexity**: among how many equally likely characters
# might it just as well have guessed blindly?

# %% tags=["solution"]
mean = -sum([-2.3, -1.1, -0.5, -3.2, -1.8]) / 5
print(f"{mean:.2f} nats, perplexity {math.exp(mean):.2f}")
assert round(mean, 2) == 1.78
assert round(math.exp(mean), 2) == 5.93

# %% [markdown]
# ## Summary
#
# - **Scores** (logits) are any numbers; **softmax** turns them into probabilities: `e^zᵢ / Σ e^zⱼ`. Only differences
#   count.
# - Subtract the largest score first, or the powers overflow.
# - **Cross-entropy** is the surprise at the right answer, `−ln p`, in nats.
# - Its gradient at the scores is `p − onehot`: what was said minus what should have been said.
# - **Temperature** divides the scores: below 1 careful, above 1 adventurous.
# - The **loss at initialization** of a network that claims nothing is ln of the number of classes.
# - **Perplexity** is e to the power of the loss: among how many one might as well have guessed.
#
# Next: the classes become characters, and the network writes names.
