# %% [markdown]
# # Supplement 24: How good is it? Precision, recall, perplexity, scaling
#
# **Question.** "It is right in 94 of 100 cases." Is that good? And how much better will a model be if it is ten times
# as large?
#
# Follows Lesson 5 (classifier, cross-entropy); the parts from *Perplexity* on follow Lesson 10b. (`jit`, which Lesson 6
# explains, does the same to all examples at once.)

# %%
import math
import random
from itertools import pairwise
from pathlib import Path

import lessons
import viz
from gpt.config import GPTConfig
from gpt.model import GPT
from tinygrad_edu import jit
from tinygrad_edu.compiler import Adam, AdamW
from tinygrad_edu.nn import Neuron

FAST = globals().get("FAST", False)

# %% [markdown]
# ## A hundred patients
#
# Ten of a hundred people are ill. A test finds 8 of them, and also says *ill* to 4 who are well. Every answer is in
# one of four boxes:
#
# | | is ill | is well |
# |---|---|---|
# | test says ill | 8, **true positives** | 4, **false positives** |
# | test says well | 2, **false negatives** | 86, **true negatives** |
#
# **Accuracy** is the share of right answers. **Precision:** of those it calls ill, how many are? **Recall:** of the
# ill, how many does it find? **F1** joins the last two, so that it is low if either is low:
#
#     precision = TP / (TP + FP)
#     recall = TP / (TP + FN)
#     F1 = 2 · precision · recall / (precision + recall)
#
# **Predict.** What are these four numbers?
#
# answer accuracy: accuracy
# answer precision: precision
# answer recall: recall
# answer F1: f1


# %%
def measures(tp, fp, fn, tn):
    precision = tp / (tp + fp) if tp + fp else 0.0
    recall = tp / (tp + fn)
    f1 = 2 * precision * recall / (precision + recall) if tp else 0.0  # key: low if either is low
    return (tp + tn) / (tp + fp + fn + tn), precision, recall, f1


accuracy, precision, recall, f1 = measures(8, 4, 2, 86)
print(f"accuracy {accuracy:.2f}, precision {precision:.3f}, recall {recall:.2f}, F1 {f1:.3f}")

# %% tags=["check"]
assert accuracy == 0.94
assert round(precision, 3) == 0.667
assert recall == 0.8
assert round(f1, 3) == 0.727

# %% [markdown]
# Now a much cheaper test: it says *well* to everybody.
#
# **Predict.** What are its accuracy and its F1?
#
# answer its accuracy: lazy[0]
# answer its F1: lazy[3]

# %%
lazy = measures(0, 0, 10, 90)
print(f"accuracy {lazy[0]:.2f}, recall {lazy[2]:.2f}, F1 {lazy[3]:.2f}")

# %% tags=["check"]
assert lazy == (0.9, 0.0, 0.0, 0.0)

# %% [markdown]
# 90% right, and useless. With **unequal classes** accuracy says little: compare it with the share of the larger
# class.
#
# ## The threshold is a choice
#
# A classifier gives a probability, and somebody decides how high it must be to mean yes. Let a neuron learn from 400
# people: one in ten is ill, and a blood value is higher in the ill, on average, but not always.

# %%
rng = random.Random(3)


def person():
    ill = rng.random() < 0.1
    return rng.gauss(1.0 if ill else -1.0, 1.0), float(ill)


people, others = [person() for _ in range(400)], [person() for _ in range(2000)]
neuron = Neuron(1, "sigmoid", rng=1)


def loss_of(x, ill):
    p = neuron([x])
    return -(ill * p.log() + (1 - ill) * (1 - p).log())


compiled = jit(loss_of, neuron)
optimizer = Adam(compiled.parameters, lr=0.1)
for _ in range(150):
    last = compiled.value_and_grad([x for x, _ in people], [ill for _, ill in people])
    optimizer.step()

probability = [(neuron([x]).data, ill) for x, ill in others]


def at(threshold):
    counts = [0, 0, 0, 0]
    for p, ill in probability:
        counts[(0 if ill else 1) if p >= threshold else (2 if ill else 3)] += 1
    return measures(*counts)


half = at(0.5)
print(
    f"loss {last:.3f}; on 2,000 others, threshold 0.5: "
    f"accuracy {half[0]:.2f}, precision {half[1]:.2f}, recall {half[2]:.2f}"
)

# %% [markdown]
# **Predict.** The threshold falls from 0.5 to 0.2. Which of the two rises, precision or recall?
#
# answer it rises: at(0.2)[2] > at(0.5)[2] | recall | precision

# %%
thresholds = [i / 50 for i in range(1, 46)]
table = {threshold: at(threshold) for threshold in thresholds}
viz.plot(
    {name: [(t, table[t][i]) for t in thresholds] for i, name in enumerate(("accuracy", "precision", "recall", "F1"))},
    title="One classifier, many answers",
    x="threshold",
    y="share",
)

# %%
best = max(thresholds, key=lambda t: table[t][3])
for threshold in (0.1, 0.2, 0.5, 0.8):
    row = zip(("accuracy", "precision", "recall", "F1"), table[threshold], strict=True)
    print(f"threshold {threshold}: " + ", ".join(f"{name} {x:.2f}" for name, x in row))
print(
    f"best F1 at {best}: {table[best][3]:.2f}; accuracy of saying no to all: {1 - sum(i for _, i in others) / 2000:.2f}"
)

# %% tags=["check"]
assert table[0.2][2] > table[0.5][2] > table[0.8][2]
assert table[0.2][1] < table[0.5][1]
assert 0.1 < best < 0.5
assert table[best][3] > table[0.5][3]

# %% [markdown]
# Nothing was trained between these numbers. A lower threshold finds more of the ill (recall rises) and frightens more
# of the well (precision falls). Which is right depends on what a mistake costs: a screening test wants recall, a spam
# filter precision. (Supplement 9 counts for how many questions the right lesson is found: that is a recall too.)
#
# ## Perplexity
#
# A language model has many classes, and no single right answer; accuracy would punish it for what nobody can know.
# Its measure is the loss: the mean surprise, in nats. **Perplexity** is e to the power of that. It says among how
# many equally likely characters the model would be as unsure.
#
# **Predict.** Three characters got the probabilities 1/2, 1/4 and 1/32. What is the perplexity? (The mean of the logs
# is that of their product, 1/256.)
#
# answer the perplexity: math.exp(surprise)
# answer that of a blind guess among 27: math.exp(math.log(27))

# %%
surprise = -sum(math.log(p) for p in (1 / 2, 1 / 4, 1 / 32)) / 3
print(f"mean {surprise:.3f} nats, perplexity {math.exp(surprise):.2f}")
print(f"Lesson 5, exercise 3: {math.exp(1.78):.2f}; blind guessing among 27: {math.exp(math.log(27)):.0f}")

# %% tags=["check"]
assert math.isclose(math.exp(surprise), 256 ** (1 / 3))
assert round(math.exp(surprise), 2) == 6.35
assert round(math.exp(1.78), 2) == 5.93

# %% [markdown]
# 6.35, the third root of 256. A loss of 1.78 nats is a perplexity of 5.93: as unsure as among six. It depends on the
# units: a perplexity per *token* and one per *character* cannot be compared (Supplement 3).
#
# ## Ten times as large
#
# The names of Lesson 6, and five GPTs that differ only in their width. Each is trained on the same 300 batches; the
# loss is that on names it has not seen.

# %%
alphabet = ".abcdefghijklmnopqrstuvwxyz"
names = (Path(lessons.__file__).parent / "data" / "names.txt").read_text(encoding="utf-8").split()
random.Random(0).shuffle(names)


def tokens(names):
    return [alphabet.index(character) for character in "." + ".".join(names) + "."]


def batch(tokens, count, rng):
    starts = [rng.randrange(len(tokens) - 12) for _ in range(count)]
    return [tokens[s : s + 12] for s in starts], [tokens[s + 1 : s + 13] for s in starts]


unseen = batch(tokens(names[1800:]), 400, random.Random(3))


def trained(width, count, steps=300, lr=0.02):
    config = GPTConfig(vocab_size=27, block_size=12, n_layer=1, n_head=2, n_embd=width, tied_head=True)
    model, text = GPT(config, seed=1), tokens(names[:count])
    compiled = jit(model.loss)
    optimizer, rng = AdamW(compiled.parameters, lr=lr), random.Random(2)
    for step in range(steps):
        compiled.value_and_grad(*batch(text, 32, rng))
        optimizer.lr = lr * (1 - step / steps)
        optimizer.step()
    return len(model.parameters()), float(compiled(*unseen).mean())


widths = (2, 4, 8, 16) if FAST else (2, 4, 8, 16, 32)
by_size = [trained(width, 1800) for width in widths]
for count, loss in by_size:
    print(f"{count:6,} parameters: loss {loss:.3f}")

# %% [markdown]
# Large models have shown again and again that the loss falls like a power of the size, toward a floor E that no
# model can beat, since text is not predictable:
#
#     loss = E + A / N^α
#
# (Kaplan et al. 2020; Hoffmann et al. 2022.) That is a **scaling law**. Find E, A and α for our points: for a given E
# the rest is a straight line, log(loss − E) over log N, and the E with the straightest line wins.
#
# **Predict.** Four times the parameters take the same share off what is above E, wherever you start. If α is 0.5,
# which share remains?
#
# answer the share that remains: 4**-0.5


# %%
def straight_line(points):
    mx, my = (sum(column) / len(points) for column in zip(*points, strict=True))
    slope = sum((x - mx) * (y - my) for x, y in points) / sum((x - mx) ** 2 for x, _ in points)
    return slope, my - slope * mx, sum((slope * (x - mx) + my - y) ** 2 for x, y in points)


def power_law(points):
    floor = min(loss for _, loss in points)
    candidates = [floor * (0.5 + 0.001 * i) for i in range(499)]
    logs = {E: [(math.log(n), math.log(loss - E)) for n, loss in points] for E in candidates}
    E = min(candidates, key=lambda E: straight_line(logs[E])[2])  # key: the straightest line
    slope, height, _ = straight_line(logs[E])
    return E, math.exp(height), -slope


E, A, alpha = power_law(by_size)
sizes, losses = zip(*by_size, strict=True)
print(f"loss = {E:.2f} + {A:.1f} / N^{alpha:.2f}")

# %%
law = [(n, E + A / n**alpha) for n in (100 * 2 ** (i / 4) for i in range(31))]
viz.plot(
    {"the law": [(math.log10(n), loss) for n, loss in law]},
    points={"trained": [(math.log10(n), loss) for n, loss in by_size]},
    title="Larger models",
    x="parameters, as a power of ten",
    y="loss on new names",
)

# %% tags=["check"]
assert list(losses) == sorted(losses, reverse=True)
gains = [a - b for a, b in pairwise(losses)]
assert gains == sorted(gains, reverse=True)
assert 0.2 < alpha < 1.2
assert max(abs(E + A / n**alpha - loss) for n, loss in by_size) < 0.05

# %% [markdown]
# Now the amount of text: one width, and more and more names.
#
# **Predict.** The same model with a quarter of the names: by how much is it worse, by less than 0.1 nats or by more?
# And with a hundred names?
#
# answer with a quarter: by_text[-2][1] > by_text[-1][1] + 0.1 | by more | by less
# answer with a hundred names, the loss: by_text[0][1] ± 0.2

# %%
by_text = [(count, trained(16, count)[1]) for count in (100, 450, 1800)]
for count, loss in by_text:
    print(f"{count:5,} names: loss {loss:.3f}")

# %% tags=["check"]
assert by_text[0][1] > by_text[1][1] > by_text[2][1]
assert by_text[0][1] > by_text[2][1] + 0.3
assert by_text[1][1] < by_text[2][1] + 0.1

# %% [markdown]
# With too little text the model learns it by heart (Lesson 4); and from some amount on, more text does not help a
# model that is too small to use it. Size *and* text must grow together: for a given amount of computing, Hoffmann et
# al. found about 20 tokens per parameter to be best ("Chinchilla"), and GPT-3, with 300 billion tokens for 175
# billion parameters, had less than two.
#
# Three warnings. Each size was trained once: with two of three other seeds the losses do not even fall in order, and
# with all three the curve misses one of them by more than 0.05. Average several runs before you believe a law. A law
# that was fitted to small models is an *extrapolation* for large ones. And the loss is not what we want from a model:
# whether it can do sums or tell jokes is not in the curve.
#
# ## Exercises
#
# **Exercise 1.** A filter finds 45 of 50 spam mails, and puts 5 of 950 good ones into the bin. Precision, recall, F1?
# And accuracy?

# %% tags=["solution"]
spam = measures(45, 5, 5, 945)
print(spam)
assert spam == (0.99, 0.9, 0.9, 0.9)

# %% [markdown]
# **Exercise 2.** Why not the ordinary mean of precision and recall? Take a test that says *ill* to everybody, with
# one in a hundred ill.

# %% tags=["solution"]
_, everybody, found, harmonic = measures(1, 99, 0, 0)
print((everybody + found) / 2, round(harmonic, 4))  # the mean would call it half good
assert ((everybody + found) / 2, round(harmonic, 4)) == (0.505, 0.0198)

# %% [markdown]
# **Exercise 3.** What does our law say of a model with a million parameters? Do you believe it?

# %% tags=["solution"]
print(round(E + A / 1e6**alpha, 2))  # nearly E; with 1,800 names it would rather learn them by heart
assert E < E + A / 1e6**alpha < losses[-1]

# %% [markdown]
# ## Summary
#
# - **Precision:** of what it says yes to. **Recall:** of what there is. **F1** is low if either is. A threshold trades
#   one for the other.
# - With unequal classes accuracy is misleading: compare it with saying no to everything.
# - **Perplexity** is e to the loss: among how many is it as unsure. It depends on the unit.
# - **Scaling law:** loss = E + A / N^α for N parameters. Model and text must grow together.
#
# Next: how a trained model is served to many people, in Supplement 25.
