# %% [markdown]
# # Lesson 8b: Learning where to look
#
# **Question.** Nobody tells an attention layer what to look for. Can it find that out by playing a game of cards?
#
# In Lesson 8 you built attention, with tables of random numbers. Today the tables learn, and win against the window of
# Lesson 7. You see in the weights what they have learned to look for.

# %%
import math
import random

import viz
from lessons.built import Attention
from tinygrad_edu import functional as F
from tinygrad_edu import jit, record_calls
from tinygrad_edu.compiler import Adam
from tinygrad_edu.nn import Embedding, Linear, Module

FAST = globals().get("FAST", False)

# %% [markdown]
# ## What you have
#
# - A **query** is compared with every **key**: `softmax(q·k / √d)`. The result is the weighted sum of the **values**.
# - Query, key and value come from three tables, and a fourth one mixes the results: 4·C² numbers for the width C.
# - Position t sees the positions up to t. One layer knows no order; a vector for each position tells it.
#
# `Attention` is your class of Lesson 8, word for word; `lessons/built.py` keeps it for today. It maps one vector per
# position to one vector per position, here five of sixteen numbers:

# %%
rng = random.Random(1)
layer = Attention(16, 1, rng)
x = [[rng.gauss(0, 1) for _ in range(16)] for _ in range(5)]
with record_calls() as calls:
    y = layer(x)

print(len(y), len(y[0]), len(layer.parameters()))
viz.attention(calls, ["first", "second", "third", "fourth", "fifth"], kind="Head")

# %% tags=["check"]
assert [len(row) for row in y] == [16] * 5
assert len(layer.parameters()) == 4 * 16**2 == 1024

# %% [markdown]
# Every row sums to 1, and the hatched cells are the future, which no position sees. What the rows say means nothing:
# the tables are random.

# %% [markdown]
# ## A game of cards
#
# Four cards are turned up one after the other; each has a letter and a number. Then a letter is called. You have to say
# the number on the *last* card with this letter:
#
#     B3  A5  B1  C0   B?    →   1
#
# To win, find the right letter, wherever it is; if it is there twice, take the later one; and say its number.

# %%
LETTERS, NUMBERS, CARDS, WIDTH = 4, 6, 4, 16


def deal(count, rng):
    letters, numbers, answers = [], [], []
    for _ in range(count):
        on_cards = [(rng.randrange(LETTERS), rng.randrange(NUMBERS)) for _ in range(CARDS)]
        called = rng.choice(on_cards)[0]
        letters.append([letter for letter, _ in on_cards] + [called])
        numbers.append([number for _, number in on_cards] + [NUMBERS])  # one more number stands for "?"
        answers.append([number for letter, number in on_cards if letter == called][-1])
    return letters, numbers, answers


def show(letters, numbers):
    return [f"{'ABCD'[a]}{'012345?'[n]}" for a, n in zip(letters, numbers, strict=True)]


letters, numbers, answers = deal(3, random.Random(5))
for i in range(3):
    print(*show(letters[i], numbers[i]), "→", answers[i])


# %% [markdown]
# Three players. The first is the network of Lesson 7: all five positions side by side, a hidden layer, an answer. The
# second has attention. The third has attention and vectors for positions.


# %% tags=["model"]
class Player(Module):
    def __init__(self, rng, positions):
        self.letter = Embedding(LETTERS, WIDTH, std=0.5, rng=rng)
        self.number = Embedding(NUMBERS + 1, WIDTH, std=0.5, rng=rng)
        self.position = Embedding(CARDS + 1, WIDTH, std=0.5, rng=rng) if positions else None
        self.attention = Attention(WIDTH, 1, rng)
        self.answer = Linear(WIDTH, NUMBERS, rng=rng)

    def embedded(self, letters, numbers):
        x = [F.add(self.letter(a), self.number(n)) for a, n in zip(letters, numbers, strict=True)]
        if self.position:
            x = [F.add(row, self.position(t)) for t, row in enumerate(x)]  # key: what, plus where
        return x

    def forward(self, letters, numbers):
        return self.answer(self.attention(self.embedded(letters, numbers))[-1])


# %%
class WindowPlayer(Module):
    def __init__(self, rng):
        self.letter = Embedding(LETTERS, 8, std=0.5, rng=rng)
        self.number = Embedding(NUMBERS + 1, 8, std=0.5, rng=rng)
        self.hidden = Linear(8 * (CARDS + 1), 32, rng=rng)
        self.answer = Linear(32, NUMBERS, rng=rng)

    def forward(self, letters, numbers):
        pairs = zip(letters, numbers, strict=True)
        side_by_side = [v for a, n in pairs for v in F.add(self.letter(a), self.number(n))]
        return self.answer([z.tanh() for z in self.hidden(side_by_side)])


# %% [markdown]
# **Predict.** The third player has learned nothing yet, and there are six numbers to choose from. What is its loss in
# the first game, roughly?
#
# answer loss: loss.data ± 0.5

# %%
player = Player(random.Random(1), positions=True)
with record_calls() as calls:
    loss = F.cross_entropy(player(letters[0], numbers[0]), answers[0])

loss.backward()
print(f"loss {loss.data:.2f}; guessing among six numbers costs ln 6 = {math.log(6):.2f}")

# %% tags=["check"]
assert len(player.parameters()) == (4 + 7 + 5) * 16 + 4 * 16 * 16 + 16 * 6 + 6 == 1382
assert abs(loss.data - math.log(6)) < 0.3

# %% [markdown]
# The graph of this loss, folded into modules, and where its gradient goes:

# %%
viz.draw(loss, calls=calls, budget=30, direction="wrapped")

# %%
viz.flow(loss, calls=calls, split=["Head"])

# %% [markdown]
# The letter and number tables get their gradient along two paths: through what the called letter asks for, and through
# what the cards answer.
#
# ## Which one wins?
#
# As in Lesson 7, `jit` runs the same scalar program for many games at once; in single scalars this training
# would take minutes.


# %%
def train(player, steps):
    def loss(letters, numbers, answer):
        return F.cross_entropy(player(letters, numbers), answer)

    compiled = jit(loss, player)
    optimizer = Adam(compiled.parameters, lr=0.01)
    rng = random.Random(2)
    losses = []
    for _ in range(steps):
        losses.append(compiled.value_and_grad(*deal(32, rng)))  # key: the mean loss of 32 new games, and its gradient
        optimizer.step()
    return losses


def share_won(player, games):
    letters, numbers, answers = deal(games, random.Random(99))
    scores = jit(player).flat(letters, numbers)  # (6, games)
    said = [max(range(NUMBERS), key=lambda number: scores[number][game]) for game in range(games)]
    return sum(a == b for a, b in zip(said, answers, strict=True)) / games


# %% [markdown]
# **Predict.** 32 games per step, 400 steps. How many of the new games does each win: the window, attention without
# positions, attention with positions? (Guessing wins one in six.)
#
# answer the window wins (%): 100 * won["window"] ± 10
# answer attention without positions (%): 100 * won["attention"] ± 10
# answer attention with positions (%): 100 * won["attention + positions"] ± 10

# %%
players = {
    "window": WindowPlayer(random.Random(1)),
    "attention": Player(random.Random(1), positions=False),
    "attention + positions": player,
}
losses = {name: train(some, 400) for name, some in players.items()}
won = {name: share_won(some, 500) for name, some in players.items()}
for name, share in won.items():
    print(f"{name:18}  {len(players[name].parameters()):,} parameters, wins {share:.0%}")

# %% tags=["check"]
assert won["attention + positions"] > 0.97
assert 0.65 < won["attention"] < 0.85
assert 0.4 < won["window"] < 0.6
assert losses["attention + positions"][120] < 0.2


# %%
def smooth(losses, n=20):
    return [sum(losses[i : i + n]) / n for i in range(len(losses) - n + 1)]


curves = {name: smooth(some) for name, some in losses.items()}
viz.plot(curves, title="Learning to look it up", x="step", y="loss, mean of 20 steps")

# %% [markdown]
# Attention with positions has it after about a hundred steps, and is then nearly always right. Without positions it
# finds the right letter, but when there are two of them, it cannot tell which came last and mixes both. The window must
# learn separately for every *pair* of positions what "the same letter" means; what it has found out about cards 1 and 5
# does not help it with 2 and 5. It has more parameters than the others, and still only half of the games.
#
# Now look inside. The called letter stands in the last row of the next game.
#
# **Predict.** It is on two of the cards. Where does most of its attention go?
#
# answer most of it goes to: seen.maps[0].rows[-1][twice[0]] < seen.maps[0].rows[-1][twice[-1]]
#   | the later of the two | the earlier | both alike

# %%
letters, numbers, answers = deal(1, random.Random(6))
game = show(letters[0], numbers[0])
twice = [t for t, letter in enumerate(letters[0][:-1]) if letter == letters[0][-1]]
with record_calls() as calls:
    player(letters[0], numbers[0])

seen = viz.attention(calls, game, kind="Head")
print(*game, "→", answers[0])
seen

# %% tags=["check"]
assert len(twice) == 2
assert seen.maps[0].rows[-1][twice[-1]] > 0.9

# %% [markdown]
# Nearly all of its attention goes to the later of the two cards. The other rows mean nothing: those positions were
# never asked, so nothing has taught them.
#
# This is how language models keep their grammar: a verb looks for its subject, a closing quotation
# mark for the opening one, a name for its earlier occurrence. What to look for is learned, as everything is.

# %% [markdown]
# **Play.** Train a GPT on names that is not told where a letter stands. Then tick *positions*, train again, and compare
# (`play.html#screen=names&model=gpt&positions=0`).

# %% [markdown]
# ## Exercises
#
# **Exercise 1.** Without positions, a player sees which numbers are on the cards with the called letter, and how often
# each, but not which came last. At best it says the most frequent one. How many of the 500 games of `share_won` can it
# win on average? Compare with what the second player wins.

# %% tags=["solution"]
letters, numbers, _ = deal(500, random.Random(99))
best = 0.0
for on_cards, written in zip(letters, numbers, strict=True):
    *others, called = on_cards
    fitting = [n for letter, n in zip(others, written, strict=False) if letter == called]
    best += max(fitting.count(n) for n in fitting) / len(fitting) / 500

print(f"{best:.0%} at best; it wins {won['attention']:.0%}")
assert abs(won["attention"] - best) < 0.06

# %% [markdown]
# **Exercise 2.** Another rule: say the number on the *first* card with the called letter. Write that `deal`, and train
# a new player with positions. How many games does it win?

# %% tags=["solution"]
deal_last = deal


def deal(count, rng):
    letters, numbers, _ = deal_last(count, rng)
    return letters, numbers, [n[a.index(a[-1])] for a, n in zip(letters, numbers, strict=True)]


other = Player(random.Random(1), positions=True)
train(other, 400)
share = share_won(other, 500)
deal = deal_last
print(f"{share:.0%}")  # the rule is nowhere in the player: whatever the answers reward is learned
assert share > 0.95

# %% [markdown]
# **Exercise 3.** Put eight attention layers in a row, width 16, and let a gradient come back from the end. How large is
# the gradient at the results of each? (This is where the next lesson begins.)

# %% tags=["solution"]
rng = random.Random(4)
layers = [Attention(16, 1, rng) for _ in range(8)]
x = [[rng.gauss(0, 1) for _ in range(16)] for _ in range(4)]
results = []
for layer in layers:
    x = layer(x)
    results.append(x)

F.dot(x[-1], [1.0] * 16).backward()
norms = [math.hypot(*(v.grad for row in result for v in row)) for result in results]
print(" ".join(f"{norm:.1e}" for norm in norms))
assert norms[0] < norms[-1] / 100

# %% [markdown]
# ## Summary
#
# - The tables of an attention layer learn by the answers alone what to look for; nobody names the cards.
# - It looks things up wherever they are. A window of fixed positions learns each pair of positions separately.
# - Without vectors for **positions** it finds the right letter, but mixes the cards that have it.
# - Positions come in by a sum: the vector of what stands there plus the vector of where.
# - The row of weights shows what a position has asked for, if it was asked anything.
# - In a row of eight layers next to nothing of a gradient arrives at the first.
#
# Next: many attention layers in a row, and why that needs residual connections.
