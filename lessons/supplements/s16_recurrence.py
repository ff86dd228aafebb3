# %% [markdown]
# # Supplement 16: A trained memory: RNN and LSTM against attention
#
# **Question.** A recurrent network reads a text word by word, and all it knows of the past is its state. How far back
# does such a memory reach, what do the gates of an LSTM change, and what does attention pay for reaching everywhere?
#
# Follows Supplement 2 (a cell with one number as its state) and Lesson 8.

# %%
import math
import random

import viz
from tinygrad_edu import Value, jit, topological_order
from tinygrad_edu import functional as F
from tinygrad_edu.compiler import Adam
from tinygrad_edu.nn import Embedding, Linear, Module

FAST = globals().get("FAST", False)

# %% [markdown]
# ## A game of memory
#
# One letter of four is shown. Then comes noise, dots and dashes. At the question mark, say the letter:
#
#     C.-..-.-?   →   C
#
# The number of characters between is the **distance**. A model that only guesses is right once in four, and its loss is
# ln 4 = 1.39.

# %%
ALPHABET, LETTERS, WIDTH = "ABCD.-?", 4, 8


def game(distance, rng):
    letter = rng.randrange(LETTERS)
    return [letter, *(rng.choice((4, 5)) for _ in range(distance)), 6], letter


for seed in range(3):
    text, letter = game(8, random.Random(seed))
    print("".join(ALPHABET[t] for t in text), "→", ALPHABET[letter])


# %% [markdown]
# ## Three readers
#
# The **RNN** keeps a vector `h` (here of 8 numbers), and mixes it with each character that it reads:
#
#     h = tanh(table[x] + U·h + b)
#
# Every state *replaces* the one before. The **LSTM** (Hochreiter and Schmidhuber 1997; the forget gate is from Gers et
# al. 2000) keeps a second vector `c`, and writes to it with care. Three gates, each a number between 0 and 1 for each
# number of the state, are computed from the character and from `h`:
#
# - the **forget gate** f: how much of the old memory stays;
# - the **input gate** i: how much of the new is written;
# - the **output gate** o: how much of the memory is shown.
#
# With n, the new content, a step is:
#
#     n = tanh(…)    c = f·c + i·n    h = o·tanh(c)


# %%
def keep_and_write(c, f, i, o, n):
    c = f * c + i * n
    return c, o * c.tanh()


class RNN(Module):
    def __init__(self, rng):
        self.read = Embedding(len(ALPHABET), WIDTH, std=0.5, rng=rng)
        self.again = Linear(WIDTH, WIDTH, rng=rng)
        self.answer = Linear(WIDTH, LETTERS, rng=rng)

    def states(self, text):
        h, states = [0.0] * WIDTH, []
        for t in text:
            h = [z.tanh() for z in F.add(self.read(t), self.again(h))]
            states.append(h)
        return states

    def forward(self, text):
        return self.answer(self.states(text)[-1])


class LSTM(Module):
    def __init__(self, rng, forget=1.0):
        self.read = [Embedding(len(ALPHABET), WIDTH, std=0.5, rng=rng) for _ in range(4)]
        self.again = [Linear(WIDTH, WIDTH, rng=rng) for _ in range(4)]
        self.answer = Linear(WIDTH, LETTERS, rng=rng)
        for bias in self.again[0].bias:
            bias.data = forget  # key: the forget gate starts open

    def gates(self, t, h):
        f, i, o, n = (F.add(read(t), again(h)) for read, again in zip(self.read, self.again, strict=True))
        return [[z.sigmoid() for z in gate] for gate in (f, i, o)] + [[z.tanh() for z in n]]

    def states(self, text):
        h, c, states = [0.0] * WIDTH, [0.0] * WIDTH, []
        for t in text:
            pairs = [keep_and_write(*one) for one in zip(c, *self.gates(t, h), strict=True)]
            c, h = [c for c, _ in pairs], [h for _, h in pairs]
            states.append(h)
        return states

    def forward(self, text):
        return self.answer(self.states(text)[-1])


class Attention(Module):
    def __init__(self, rng):
        self.read = Embedding(len(ALPHABET), WIDTH, std=0.5, rng=rng)
        self.query, self.key, self.value = (Linear(WIDTH, WIDTH, bias=False, rng=rng) for _ in range(3))
        self.answer = Linear(WIDTH, LETTERS, rng=rng)

    def states(self, text):  # every position attends to all up to itself, as in Lesson 8
        x = [self.read(t) for t in text]
        keys, values = [self.key(row) for row in x], [self.value(row) for row in x]
        return [F.attend(self.query(row), keys[: t + 1], values[: t + 1]) for t, row in enumerate(x)]

    def forward(self, text):  # only the last one is asked
        x = [self.read(t) for t in text]
        return self.answer(F.attend(self.query(x[-1]), [self.key(r) for r in x], [self.value(r) for r in x]))


# %% [markdown]
# One step of one memory by hand. It holds c = 2; the gates are f = σ(1) = 0.7311, i = σ(0) = 0.5 and o = σ(2) = 0.8808,
# and the new content is n = tanh(1) = 0.7616.
#
# **Predict.** What are the new c and h? And how much of a gradient at the new c reaches the old one?
#
# answer c: kept.data ± 0.01
# answer h: shown.data ± 0.01
# answer of a gradient of 1 reaches the old c: c.grad ± 0.005

# %%
c = Value(2.0, label="c")
f, i, o = (Value(z).sigmoid() for z in (1.0, 0.0, 2.0))
n = Value(1.0).tanh()
f.label, i.label, o.label, n.label = "forget", "input", "output", "new"
kept, shown = keep_and_write(c, f, i, o, n)
kept.label, shown.label = "c, kept", "h, shown"
kept.backward()
print(f"c = {kept.data:.4f}, h = {shown.data:.4f}, gradient at the old c: {c.grad:.4f}")

# %% tags=["check"]
assert round(kept.data, 4) == 1.8429
assert round(shown.data, 4) == 0.8377
assert c.grad == f.data
assert round(c.grad, 4) == 0.7311

# %%
viz.draw(kept)

# %% [markdown]
# c = 0.7311·2 + 0.5·0.7616 = 1.8429, h = 0.8808·tanh(1.8429) = 0.8377. And the gradient is multiplied by the forget
# gate, by nothing else: no table and no tanh is on this path. But it *is* multiplied, at every step.
#
# ## How far does a gradient reach?
#
# Go back from the last state of a network that has learned nothing yet, and look at the gradient of the first letter's
# row. A forget gate of σ(1) = 0.73 leaves 0.73ᵀ after T steps. So the *bias* of the forget gate decides how far the
# memory reaches before it has learned anything.
#
# **Predict.** What is left after 24 steps with a forget bias of 0, and with 3? (σ(0) = 0.5, σ(3) = 0.9526.)
#
# answer with a bias of 0: 0.5**24 ± 4e-8
# answer with a bias of 3: Value(3.0).sigmoid().data ** 24 ± 0.03

# %%
DISTANCES = (1, 8, 16, 24)
untrained = {
    "RNN": lambda: RNN(random.Random(1)),
    "LSTM, bias 0": lambda: LSTM(random.Random(1), 0.0),
    "LSTM, bias 1": lambda: LSTM(random.Random(1), 1.0),
    "LSTM, bias 3": lambda: LSTM(random.Random(1), 3.0),
    "attention": lambda: Attention(random.Random(1)),
}


def reach(model, distance):
    text, letter = game(distance, random.Random(5))
    F.cross_entropy(model(text), letter).backward()
    tables = model.read if isinstance(model.read, list) else [model.read]
    return math.hypot(*(v.grad for table in tables for v in table.weight[letter]))


reaches = {name: [(T, reach(make(), T)) for T in DISTANCES] for name, make in untrained.items()}
left = {name: found[-1][1] / found[0][1] for name, found in reaches.items()}
for name, share in left.items():
    print(f"{name:13} of the gradient at distance 1, at distance 24 is left: {share:.1g}")

# %% tags=["check"]
assert left["RNN"] < 1e-3
assert left["LSTM, bias 0"] < 1e-4
assert left["LSTM, bias 0"] < left["LSTM, bias 1"] < left["LSTM, bias 3"] / 30
assert left["LSTM, bias 3"] > 0.1
assert left["attention"] > 1 / 26

# %%
viz.plot(reaches, title="What the first letter hears", x="distance", y="length of the gradient", log=True)

# %% [markdown]
# With a gate of one half next to nothing arrives; with 0.95, a fair share does. (It is more than 0.5²⁴: no gate is at
# exactly one half, and a part of the gradient goes through h.) Attention loses only what it divides among the
# positions: at first each of T positions gets 1/T of it. That falls too, but slowly, and no longer once it has learned
# where to look.
#
# ## The race
#
# `jit` makes one program of all steps. Each model is trained from scratch for each distance, on 250 batches of 32
# games.
#
# **Predict.** Which of them learn the game even at the longest distance: the RNN, the LSTM with a forget bias of 1 or
# of 3, attention?
#
# answer the RNN: losses["RNN"][-1][1] < 0.7 | the longest, too | fails at the longest
# answer LSTM with a bias of 1: losses["LSTM, bias 1"][-1][1] < 0.5 | the longest, too | fails at the longest
# answer LSTM with a bias of 3: losses["LSTM, bias 3"][-1][1] < 0.5 | the longest, too | fails at the longest
# answer attention: losses["attention"][-1][1] < 0.5 | the longest, too | fails at the longest


# %%
def train(model, distance, steps=250):
    compiled = jit(lambda text, letter: F.cross_entropy(model(text), letter), model)
    optimizer, rng, losses = Adam(compiled.parameters, lr=0.01), random.Random(2), []
    for _ in range(steps):
        games = [game(distance, rng) for _ in range(32)]
        losses.append(compiled.value_and_grad([text for text, _ in games], [letter for _, letter in games]))
        optimizer.step()
    return sum(losses[-20:]) / 20  # every batch is new, so this is a loss on new games


distances = (2, 16) if FAST else (2, 16, 24)
trained = {(name, T): make() for name, make in untrained.items() if name != "LSTM, bias 0" for T in distances}
losses = {name: [] for name, _ in trained}
for (name, T), model in trained.items():
    losses[name].append((T, train(model, T)))
for name, found in losses.items():
    print(f"{name:13}", "  ".join(f"distance {T}: {loss:.2f}" for T, loss in found))

ends = {name: dict(found) for name, found in losses.items()}

# %% tags=["check"]
assert all(found[2] < 0.1 for found in ends.values())
assert ends["RNN"][distances[-1]] > 1.2
assert ends["LSTM, bias 3"][16] < 0.2
assert ends["attention"][distances[-1]] < 0.01
assert FAST or ends["LSTM, bias 1"][24] > 0.5 > ends["LSTM, bias 3"][24]

# %%
viz.plot(losses, title="Which letter was it?", x="distance", y="loss after 250 batches")

# %% [markdown]
# The RNN has forgotten the letter. (It *could* remember: its three lines are able to. But no gradient tells it to.)
# Gates help, and the bias says how far: with 1 the LSTM fails at 24, with 3 it does not. Attention does not care about
# distance at all: for it, every position is one step away. (Exactly where a network begins to fail also depends on its
# first weights. That they fail in this order does not.)
#
# ## Which gate does it?
#
# An experiment with the LSTM that has learned distance 16: hold one gate at a fixed number, for all characters, and ask
# it again.
#
# **Predict.** Can the forget gate be held at 1 without harm? At 0.5?
#
# answer forget at 1: held["forget", 1.0] > 0.85 | without harm | it loses games
# answer forget at 0.5: held["forget", 0.5] > 0.85 | without harm | it loses games


# %%
def share_right(model, distance):
    rng = random.Random(9)
    games = [game(distance, rng) for _ in range(200)]
    scores = jit(model).flat([text for text, _ in games])  # (4, games)
    said = [max(range(LETTERS), key=lambda letter: scores[letter][k]) for k in range(200)]
    return sum(a == letter for a, (_, letter) in zip(said, games, strict=True)) / 200


class Held(LSTM):
    def __init__(self, lstm, gate, at):
        self.read, self.again, self.answer = lstm.read, lstm.again, lstm.answer
        self._gate, self._at = gate, at

    def gates(self, t, h):
        gates = super().gates(t, h)
        gates[self._gate] = [self._at] * WIDTH
        return gates


watched = trained["LSTM, bias 3", 16]
held = {}
for name, gate, at in (("forget", 0, 1.0), ("forget", 0, 0.5), ("input", 1, 0.5), ("output", 2, 1.0)):
    held[name, at] = share_right(Held(watched, gate, at), 16)
    print(f"{name} held at {at}: {held[name, at]:.0%}")

# %% tags=["check"]
assert held["forget", 1.0] > 0.9
assert held["forget", 0.5] < 0.7
assert min(held["input", 0.5], held["output", 1.0]) > held["forget", 0.5]

# %% [markdown]
# In this game the forget gate is what counts, and it need only stay open: at 1 nothing is lost (that was the LSTM of
# 1997), at 0.5 everything is. An input gate that is always half open does no harm. With the output gate always open,
# the memory is shown while it is read, which disturbs the gates at every step, and some games are lost. Input and
# output gates matter more where a memory must be protected from what comes later.
#
# ## What each of them pays
#
# A machine with many processors does all operations at once that do not wait for each other. What remains is the
# longest chain: each link needs the one before. It is a property of the graph and can be computed, without a clock.
# (Sums of n terms count as log₂ n rounds: add in pairs, then pairs of pairs.)
#
# **Predict.** 100 words and a state for each: how long is the chain of an RNN, compared with that of 10 words? And that
# of attention? Which of them does more operations?
#
# answer the chain of an RNN is longer by a factor of: 100 // 10
# answer more operations for long texts: cost["RNN", lengths[-1]][1] / cost["RNN", 10][1] >
#   cost["attention", lengths[-1]][1] / cost["attention", 10][1] | the RNN | attention


# %%
def chain_and_operations(states):
    total = F.mean([v for row in states for v in row])  # one end, to start from
    order, depth, terms = topological_order(total), {}, {}
    uses = {}
    for value in order:
        for before in value._prev:
            uses[before] = uses.get(before, 0) + 1
    for value in order:
        # depth: when its inputs are ready; terms: how many of them a sum that is still growing has
        if value._op == "+":
            growing = [terms[v] if v._op == "+" and uses[v] == 1 else (1, depth[v]) for v in value._prev]
            terms[value] = sum(count for count, _ in growing), max(ready for _, ready in growing)
            depth[value] = terms[value][1] + math.ceil(math.log2(terms[value][0]))
        else:
            rounds = math.ceil(math.log2(len(value._prev))) if len(value._prev) > 1 else 1
            depth[value] = max((depth[v] for v in value._prev), default=-rounds) + rounds
    return max(depth[v] for row in states for v in row), sum(bool(v._prev) for v in order)


lengths = (10, 20) if FAST else (10, 20, 40)
readers = {"RNN": RNN(random.Random(1)), "LSTM": LSTM(random.Random(1)), "attention": Attention(random.Random(1))}
cost = {(name, T): chain_and_operations(model.states([4] * T)) for name, model in readers.items() for T in lengths}
for name in readers:
    print(f"{name:10}", "  ".join(f"{T}: chain {cost[name, T][0]}, operations {cost[name, T][1]:,};" for T in lengths))

# %% tags=["check"]
for name in ("RNN", "LSTM"):
    chain, more = cost[name, 10], cost[name, 20]
    assert more == (2 * chain[0], 2 * chain[1])
    assert FAST or cost[name, 40] == (4 * chain[0], 4 * chain[1])
assert cost["RNN", 10][0] == 60
assert cost["attention", 20][0] == cost["attention", 10][0] + 3
assert cost["attention", 20][1] > 2.5 * cost["attention", 10][1]

# %%
chains = {name: [(T, cost[name, T][0]) for T in lengths] for name in readers}
viz.plot(chains, title="The longest chain of operations", x="words", y="operations, one after the other")

# %% [markdown]
# Six operations per word in the RNN, one after the other, and ten in the LSTM: twice as many words, twice the chain.
# With attention, twice as many words are 3 rounds more, one for each sum or maximum over all positions. So all words of
# a text can be trained on at once, and that is why it won: 100 words are 100 steps for a recurrent network and a few
# rounds for attention, on a machine that is wide enough.
#
# It pays in *operations*: from 10 to 20 words they more than double, since every word looks at every earlier one, T·T/2
# pairs. And it pays in memory when it writes: a recurrent network keeps one state, attention the keys and values of all
# words (the cache of Lesson 10b).
#
# | | RNN | LSTM | attention |
# |---|---|---|---|
# | distance 24, here | guesses | learns it, if its forget gate starts open | learns it |
# | chain for T words | grows with T | grows with T | grows with log T |
# | operations for T words | grow with T | grow with T | grow with T² |
# | kept while writing | one state | two states | keys and values of T words |
# | knows the order | yes | yes | only with positions (Lesson 8b) |
#
# The years: recurrent network (Elman 1990), LSTM (1997), forget gate (2000), translation by two LSTMs (Sutskever et al.
# 2014), attention added to a recurrent network (Bahdanau et al., presented in 2015), attention alone, the transformer
# (Vaswani et al. 2017), GPT and BERT (2018), GPT-2 (2019), GPT-3 (2020), ChatGPT (2022). Since then recurrent layers
# have come back in a new form, with a chain that can be computed in parallel (Mamba, Gu and Dao 2023), often side by
# side with attention.
#
# ## Exercises
#
# **Exercise 1.** With a forget gate of σ(b), after how many steps is less than a hundredth of a gradient left: for b =
# 1, and for b = 3?

# %% tags=["solution"]
steps = [math.ceil(math.log(0.01) / math.log(Value(b).sigmoid().data)) for b in (1.0, 3.0)]
print(steps)  # ln 0.01 / ln σ(b)
assert steps == [15, 95]

# %% [markdown]
# **Exercise 2.** A GRU (2014) has two gates and a new content, so three tables where the LSTM has four. How many
# parameters do RNN, GRU and LSTM have here, without the last layer?

# %% tags=["solution"]
one = 7 * WIDTH + WIDTH * WIDTH + WIDTH  # a table for characters, U, a bias
last = WIDTH * LETTERS + LETTERS
print(one, 3 * one, 4 * one)
assert len(RNN(random.Random(1)).parameters()) == one + last
assert len(LSTM(random.Random(1)).parameters()) == 4 * one + last

# %% [markdown]
# **Exercise 3.** In 2015 attention came as a *flashlight* for a recurrent network: the last state asks, and all states
# before are what it may look at. Build it from `RNN`. Does it play at the distance where the RNN only guesses?


# %% tags=["solution"]
class Flashlight(RNN):
    def __init__(self, rng):
        super().__init__(rng)
        self.query, self.key = (Linear(WIDTH, WIDTH, bias=False, rng=rng) for _ in range(2))

    def forward(self, text):
        states = self.states(text)
        return self.answer(F.attend(self.query(states[-1]), [self.key(h) for h in states], states))


lit = train(Flashlight(random.Random(1)), 16)
print(f"RNN {ends['RNN'][16]:.2f}, with a flashlight {lit:.2f}")  # the gradient has a short way back to each state
assert lit < 0.1 < 1.2 < ends["RNN"][16]

# %% [markdown]
# ## Summary
#
# - A **recurrent** network keeps a state; every step replaces it (RNN) or changes it through gates (LSTM).
# - **Forget, input, output gate:** what stays, what is written, what is shown. The gradient along the memory is
#   multiplied by the forget gate at each step: its bias says how far the memory reaches before training.
# - **Attention** reaches every position in one step; its gradient does not die with distance.
# - Recurrence: chain T, operations T. Attention: chain log T, operations T².
#
# Next: what several heads are for, and what T² costs, in Supplement 17.
