# %% [markdown]
# # Supplement 17: Several heads, and what attention costs
#
# **Question.** Why do transformers cut their attention into heads? And why is a long text so expensive for them?
#
# Follows Lesson 8; the part *A grid of heads* follows Lesson 10b.

# %%
import math
import random
import time
from pathlib import Path

import lessons
import viz
from gpt.config import GPTConfig
from gpt.model import GPT
from tinygrad_edu import Value, jit, record_calls, topological_order
from tinygrad_edu import functional as F
from tinygrad_edu.compiler import Adam, AdamW
from tinygrad_edu.nn import Embedding, Linear, Module

FAST = globals().get("FAST", False)

# %% [markdown]
# ## A game that needs two numbers
#
# Four cards, each with its own letter and a number from 0 to 3. Two letters are called. Say the first number *minus*
# the second:
#
#     B3  A1  D0  C1   B−D   →   3
#     B3  A1  D0  C1   D−B   →   −3
#
# The whole question is the fifth position. A single layer of attention looks at the cards from there, and a table of
# weights turns what it has found into a score for each answer from −3 to 3.

# %%
CARDS, NUMBERS, WIDTH = 4, 4, 8


def deal(count, rng):
    games = []
    for _ in range(count):
        letters, numbers = rng.sample(range(CARDS), CARDS), [rng.randrange(NUMBERS) for _ in range(CARDS)]
        first, second = rng.sample(range(CARDS), 2)  # positions of the two cards
        called = letters[first], letters[second]
        games.append((letters, numbers, *called, numbers[first] - numbers[second] + 3))
    return [list(column) for column in zip(*games, strict=True)]


def show(letters, numbers, a, b):
    return [*(f"{'ABCD'[i]}{n}" for i, n in zip(letters, numbers, strict=True)), f"{'ABCD'[a]}−{'ABCD'[b]}"]


for letters, numbers, a, b, answer in zip(*deal(3, random.Random(5)), strict=True):
    print(*show(letters, numbers, a, b), "→", answer - 3)

# %% [markdown]
# How much is there to gain? Without any card, the best guess is the share of each difference: of 16 pairs of numbers,
# 1, 2, 3, 4, 3, 2 and 1 have the differences −3 to 3.
#
# **Predict.** What is the loss of that guess? And with the first number known, and the second not?
#
# answer the guess: blind ± 0.02
# answer one number known: one_known ± 0.02

# %%
blind = -sum(n / 16 * math.log(n / 16) for n in (1, 2, 3, 4, 3, 2, 1))
one_known = -sum(1 / 4 * math.log(1 / 4) for _ in range(4))  # four answers are left, all alike
print(f"nothing known {blind:.2f}, one number known {one_known:.2f}, both known 0.00")

# %% tags=["check"]
assert round(blind, 2) == 1.84
assert one_known == math.log(4)

# %% [markdown]
# ## The player
#
# As in Lesson 8, the vectors of queries, keys and values are cut into `heads` pieces, and each piece attends on its
# own. `off` is for an experiment after training: the results of these heads become 0.


# %%
class Head(Module):
    def forward(self, queries, keys, values):
        return [F.weighted_sum(F.attention_weights(q, keys), values) for q in queries]


class Player(Module):
    def __init__(self, rng, heads, width=WIDTH):
        self.letter = Embedding(CARDS, width, std=0.5, rng=rng)
        self.number = Embedding(NUMBERS, width, std=0.5, rng=rng)
        self.first = Embedding(CARDS, width, std=0.5, rng=rng)
        self.second = Embedding(CARDS, width, std=0.5, rng=rng)
        self.query, self.key, self.value, self.out = (Linear(width, width, bias=False, rng=rng) for _ in range(4))
        self.answer = Linear(width, 7, rng=rng)
        self.head = Head()
        self._heads, self._size, self._off = heads, width // heads, set()

    def forward(self, letters, numbers, a, b):
        cards = [F.add(self.letter(i), self.number(n)) for i, n in zip(letters, numbers, strict=True)]
        x = [*cards, F.add(self.first(a), self.second(b))]
        query, keys, values = self.query(x[-1]), [self.key(row) for row in x], [self.value(row) for row in x]
        found = []
        for h in range(self._heads):
            piece = slice(h * self._size, (h + 1) * self._size)  # key: each head has its own columns
            [mixed] = self.head([query[piece]], [k[piece] for k in keys], [v[piece] for v in values])
            found += [0.0] * self._size if h in self._off else mixed
        return self.answer(self.out(found))


def train(player, deal=deal, steps=500):
    compiled = jit(lambda *game: F.cross_entropy(player(*game[:-1]), game[-1]), player)
    optimizer, rng, losses = Adam(compiled.parameters, lr=0.01), random.Random(2), []
    for _ in range(steps):
        losses.append(compiled.value_and_grad(*deal(32, rng)))
        optimizer.step()
    return [sum(losses[i : i + 20]) / 20 for i in range(steps - 19)]  # smoothed; every game is new


# %% [markdown]
# **Predict.** One head, two heads, four: which have more parameters, and what will be their losses?
#
# answer the most parameters: 3 if len({len(player.parameters()) for player in players.values()}) == 1 else 2
#   | one head | two heads | four heads | none: they have the same number
# answer the loss with one head: curves["heads: 1"][-1] ± 0.15
# answer the loss with two: curves["heads: 2"][-1] ± 0.05

# %%
players = {heads: Player(random.Random(2), heads) for heads in (1, 2, 4)}
curves = {f"heads: {heads}": train(player) for heads, player in players.items()}
for (name, curve), player in zip(curves.items(), players.values(), strict=True):
    print(f"{name}: {len(player.parameters())} parameters, loss {curve[-1]:.3f}")

# %% tags=["check"]
assert len({len(player.parameters()) for player in players.values()}) == 1
assert one_known - 0.15 < curves["heads: 1"][-1] < blind
assert curves["heads: 2"][-1] < 0.05
assert curves["heads: 4"][-1] < 0.3

# %%
viz.plot(curves, title="First minus second", x="step", y="loss, mean of 20 steps")

# %% [markdown]
# The same number of parameters, and one head stays near ln 4 = 1.39: it knows one number. It has one set of weights,
# which are positive and sum to 1, so what it brings back is a mixture of the two cards. It may take more of one card
# than of the other, but it cannot add one and subtract the other: both go through the same table of values. Two heads
# have two tables of values, and one can learn the minus.
#
# ## Which head does what?
#
# Look at where the two heads of the second player look. The last row is the question.

# %%
two = players[2]
[letters], [numbers], [a], [b], [answer] = deal(1, random.Random(6))
with record_calls() as calls:
    two(letters, numbers, a, b)

seen = viz.attention(calls, show(letters, numbers, a, b), kind="Head")
print(*show(letters, numbers, a, b), "→", answer - 3)
seen

# %% [markdown]
# One game may be chance. Over 100 games: how much of its attention does each head give to the card that was called
# first, and to the one called second?

# %%
games = list(zip(*deal(100, random.Random(99)), strict=True))
jobs = [[0.0, 0.0], [0.0, 0.0]]
for letters, numbers, a, b, _ in games:
    with record_calls() as calls:
        two(letters, numbers, a, b)
    for h, looked in enumerate(viz.attention(calls, show(letters, numbers, a, b), kind="Head").maps):
        for k, called in enumerate((a, b)):
            jobs[h][k] += looked.rows[0][letters.index(called)] / 100

for h, (on_first, on_second) in enumerate(jobs):
    print(f"head {h + 1}: {on_first:.0%} on the first card, {on_second:.0%} on the second")

first_head = max((0, 1), key=lambda h: jobs[h][0])

# %% tags=["check"]
assert jobs[first_head][0] > 0.9
assert jobs[1 - first_head][1] > 0.9

# %% [markdown]
# Nobody has told them to divide the work. To be sure that the maps mean something, switch a head off and ask again: an
# **ablation**.
#
# **Predict.** Without the head that looks at the first card: what does the player still know? Keep the second number
# and change the first one; keep the first and change the second. Which of these changes the answer?
#
# answer without it the answer depends more on: depends_on(two, [first_head], 0) > depends_on(two, [first_head], 1)
#   | the first number | the second number


# %%
def answers(player, off, games):
    player._off = set(off)
    scores = jit(player).flat(*[list(column) for column in zip(*games, strict=True)][:4])  # (7, games)
    player._off = set()
    return [max(range(7), key=lambda c: scores[c][k]) for k in range(len(games))]


def with_number(games, which, number):
    changed = []
    for letters, numbers, a, b, answer in games:
        numbers = list(numbers)
        numbers[letters.index((a, b)[which])] = number
        changed.append((letters, numbers, a, b, answer))
    return changed


def depends_on(player, off, which):
    said = [answers(player, off, with_number(games, which, number)) for number in range(NUMBERS)]
    return sum(len(set(column)) > 1 for column in zip(*said, strict=True)) / len(games)


for off in ([], [first_head], [1 - first_head]):
    right = sum(x == game[-1] for x, game in zip(answers(two, off, games), games, strict=True)) / len(games)
    print(
        f"off: {'none' if not off else f'head {off[0] + 1}'}: {right:.0%} right; depends on the first number in "
        f"{depends_on(two, off, 0):.0%} of the games, on the second in {depends_on(two, off, 1):.0%}"
    )

# %% tags=["check"]
assert sum(x == game[-1] for x, game in zip(answers(two, [], games), games, strict=True)) > 95
assert depends_on(two, [], 0) == depends_on(two, [], 1) == 1.0
assert depends_on(two, [first_head], 0) < 0.3 < 0.9 < depends_on(two, [first_head], 1)
assert depends_on(two, [1 - first_head], 1) < 0.3 < 0.9 < depends_on(two, [1 - first_head], 0)

# %% [markdown]
# Each head carries one of the two numbers, and with the head the number is gone. In a language model heads divide work
# in the same way, though seldom so cleanly: some look at the character before, some at the last space, some at an
# earlier occurrence of the same word. `viz attention RUN` shows those of a model that you have trained.
#
# ## A grid of heads
#
# GPT-2 (the small one) has 12 heads in each of 12 blocks: a grid of 12 · 12 = 144, each with its own map of every text.
# GPT-3 has 96 in each of 96 blocks, 9,216. Does every single one matter? We train a grid of 3 × 4, the GPT of Lesson 10
# with the names of Lesson 6, and then switch off one head at a time: the columns through which the last table of the
# attention, `c_proj`, reads it become 0.


# %%
alphabet = ".abcdefghijklmnopqrstuvwxyz"
names = (Path(lessons.__file__).parent / "data" / "names.txt").read_text(encoding="utf-8").split()
random.Random(0).shuffle(names)


def pieces(names, count, rng):
    tokens = [alphabet.index(character) for character in "." + ".".join(names) + "."]
    starts = [rng.randrange(len(tokens) - 13) for _ in range(count)]
    return [tokens[s : s + 12] for s in starts], [tokens[s + 1 : s + 13] for s in starts]


gpt = GPT(GPTConfig(vocab_size=27, block_size=12, n_layer=3, n_head=4, n_embd=24), seed=1)
compiled = jit(gpt.loss)
optimizer, rng = AdamW(compiled.parameters, lr=0.01), random.Random(2)
steps = 150 if FAST else 300
for step in range(steps):
    compiled.value_and_grad(*pieces(names[:1800], 32, rng))
    optimizer.lr = 0.01 * (1 - step / steps)
    optimizer.step()

trained, unseen = gpt.state_dict(), pieces(names[1800:], 400, random.Random(3))


def loss_without(heads):
    tables = {name: [list(row) for row in table] for name, table in trained.items()}
    for block, head in heads:
        for row in tables[f"transformer.h.{block}.attn.c_proj.weight"]:
            row[6 * head : 6 * head + 6] = [0.0] * 6
    gpt.load_state_dict(tables)
    return float(compiled(*unseen).mean())


whole = loss_without([])
print(f"loss on new names {whole:.2f}; guessing costs ln 27 = {math.log(27):.2f}")

# %% [markdown]
# **Predict.** In which block are the heads that are missed most? And if the six that are missed least are switched off
# together, half of all heads: by how much does the loss rise?
#
# answer missed most are heads of: sorted(missed, key=missed.get)[-1][0] | the first block | the second | the third
# answer without half of the heads it rises: fewer[6] > 0.1 | by more than 0.1 | by less than 0.1

# %%
missed = {(block, head): loss_without([(block, head)]) - whole for block in range(3) for head in range(4)}
for block in range(3):
    print(f"block {block + 1}, without one head:", "  ".join(f"{missed[block, head]:+.3f}" for head in range(4)))

order = sorted(missed, key=missed.get)
fewer = [loss_without(order[:count]) - whole for count in range(13)]
print("without the 1, 2, 3, ... that are missed least:", " ".join(f"{more:.2f}" for more in fewer[1:]))

# %%
viz.plot({"loss added": list(enumerate(fewer))}, title="Twelve heads", x="heads switched off", y="nats")

# %% tags=["check"]
assert 12 * 12 == 144
assert 96 * 96 == 9216
assert order[-1][0] == 0
assert FAST or max(missed[block, head] for block in (1, 2) for head in range(4)) < 0.02
assert fewer[6] < 0.1
assert fewer[12] > 4 * fewer[6]

# %% [markdown]
# Half of the heads can go for a few hundredths of a nat, and not one of the two upper blocks' heads is missed. (Two
# other seeds gave the same; only *which* head of the first block is missed most is luck.) The same was found in large
# models (Michel et al. 2019: most heads can be taken out of a trained one). It does not mean that they were useless
# while it learned.
#
# ## The bill
#
# A causal head computes a score for every pair of positions where the second is not later than the first: T(T + 1)/2
# pairs. For each it multiplies and adds along the query and the value. Count the operations of one head of size 4, on a
# scalar graph, without the tables before and after.
#
# **Predict.** A text twice as long: how many times the operations?
#
# answer times: counted[64] / counted[32] ± 0.1


# %%
def head_operations(T, size=4):
    rows = [[Value(0.1 * (t + i)) for i in range(size)] for t in range(T)]
    mixed = [F.attend(rows[t], rows[: t + 1], rows[: t + 1]) for t in range(T)]
    return sum(bool(v._prev) for v in topological_order(F.mean([v for row in mixed for v in row]))) - T * size


def by_formula(T, size=4):
    return (4 * size + 4) * T * (T + 1) // 2 + (1 - size) * T


counted = {T: head_operations(T) for T in (8, 16, 32, 64)}
for T, count in counted.items():
    print(f"T = {T:2}: {T * (T + 1) // 2:5,} pairs, {count:7,} operations, by the formula {by_formula(T):7,}")

# %% tags=["check"]
assert all(count == by_formula(T) for T, count in counted.items())
assert 3.9 < counted[64] / counted[32] < 4

# %%
viz.plot({"operations": list(counted.items())}, title="One head", x="length of the text", y="operations")

# %% [markdown]
# Nearly four times: the first term of (4d + 4)·T(T + 1)/2 − (d − 1)·T decides, and it is a square. Twice the text, four
# times the work and four times the memory for the maps. Does the clock say so, too? (This number is different each
# time.)

# %%
clock = []
for T in (32, 64):
    start = time.process_time()
    head_operations(T)
    clock.append(time.process_time() - start)

print(f"twice as long a text took {clock[1] / clock[0]:.1f} times as long")

# %% [markdown]
# How bad is it? The tables of a block cost 12·d² multiplications per position (Lesson 9). Queries with keys, and
# weights with values, cost 2·d per pair, and a position sees T/2 positions on average: T·d. So the share of attention
# is T / (T + 12·d).
#
# **Predict.** GPT-3 has d = 12,288 and T = 2,048. Which share of its multiplications is attention? At which T would it
# be one half?
#
# answer the share (%): 100 * share(2048, 12288) ± 0.2
# answer one half at T =: 12 * 12288


# %%
def share(T, d):
    return T * d / (T * d + 12 * d**2)


for name, d, T in (("GPT-2", 768, 1024), ("GPT-3", 12288, 2048), ("GPT-3, a book", 12288, 131072)):
    print(f"{name:14} T = {T:7,}: {share(T, d):.1%} of the multiplications; one half at T = {12 * d:,}")

maps = 96 * 96 * 2048 * 2049 // 2
print(f"numbers in all maps of GPT-3 for one full text: {maps:,}")

# %% tags=["check"]
assert round(share(2048, 12288), 4) == 0.0137
assert share(12 * 768, 768) == 0.5
assert maps == 19_336_790_016

# %% [markdown]
# At 2,048 words it is 1.4%, hardly worth a thought; with a whole book in the window it is half. The maps are the other
# half of the problem: nineteen billion numbers, if they were all kept. (Programs compute them in pieces and
# forget them: FlashAttention, Dao et al. 2022.) So the *context limit* of a model is a matter of cost, and of the
# positions that it was trained on (Supplement 4).
#
# ## Exercises
#
# **Exercise 1.** By hand: how many pairs does a causal head have for T = 4, and how many for T = 8? What is the ratio,
# and what does it approach for long texts?

# %% tags=["solution"]
pairs = {T: T * (T + 1) // 2 for T in (4, 8, 1000, 2000)}
print(pairs, pairs[8] / pairs[4], pairs[2000] / pairs[1000])  # 3.6, and nearly 4
assert (pairs[4], pairs[8]) == (10, 36)

# %% [markdown]
# **Exercise 2.** A window: each position looks at no more than the last w positions (Mistral 7B, 2023, has w = 4,096).
# How many pairs are there now, for T = 32 and w = 8? How does that grow with T?

# %% tags=["solution"]
windowed = {T: sum(min(t, 8) for t in range(1, T + 1)) for T in (32, 64)}
print(windowed)  # 8·T − 28: in a straight line
assert windowed == {32: 228, 64: 484}

# %% [markdown]
# **Exercise 3.** Ask one head for the first number *plus* the second (the sums are 0 to 6). Does it still fail?


# %% tags=["solution"]
def deal_plus(count, rng):
    letters, numbers, first, second, _ = deal(count, rng)
    games = zip(letters, numbers, first, second, strict=True)
    return [letters, numbers, first, second, [n[i.index(a)] + n[i.index(b)] for i, n, a, b in games]]


plus = train(Player(random.Random(2), 1), deal_plus)[-1]
print(f"{plus:.3f}")  # half of each card, both with a plus: one mixture is enough
assert plus < 0.1

# %% [markdown]
# ## Summary
#
# - A **head** has one set of weights per query: it brings back one mixture. Two things for two purposes need two heads.
# - Heads learn to divide the work; **ablation** (switching one off) shows what each is for, maps show where it looks.
# - Heads cost no parameters. GPT-2 small has 144, GPT-3 has 9,216; a trained model misses few of them.
# - Attention costs T(T + 1)/2 pairs: twice the text, four times the operations. Its share is T / (T + 12·d).
#
# Next: attention that also looks to the right, in Supplement 18.
