# %% [markdown]
# # Supplement 12: Four kinds of learning
#
# **Question.** In Lessons 2 to 5 somebody had written the right answer next to every example. What can be learned
# without that?
#
# Follows Lesson 6. There are four kinds, and they differ in one thing: **where the signal comes from** that says better
# or worse. You have already used two of them.

# %%
import random
from pathlib import Path

import lessons
import viz
from tinygrad_edu import Value
from tinygrad_edu import functional as F

FAST = globals().get("FAST", False)

# %% [markdown]
# ## Supervised: answers by people
#
# Forty things from a shop, each with its price and weight, scaled to about 0 to 1. (They are made up: two clouds of
# random numbers.) Half of them are glasses, half are rings. For **supervised learning** somebody has written the name
# next to each.

# %%
rng = random.Random(4)
centers_of = {"glasses": (0.3, 0.7), "rings": (0.7, 0.25)}
things, names = [], []
for i in range(40):
    name = "glasses" if i % 2 else "rings"
    things.append(tuple(rng.gauss(middle, 0.09) for middle in centers_of[name]))
    names.append(name)

groups = {name: [thing for thing, n in zip(things, names, strict=True) if n == name] for name in centers_of}
viz.plot({}, points=groups, title="With names: supervised", x="price", y="weight")

# %% [markdown]
# One neuron learns it, as in Lesson 3.

# %%
w1, w2, b = Value(0.0), Value(0.0), Value(0.0)
for _ in range(30):
    losses = []
    for (price, weight), name in zip(things, names, strict=True):
        p = (w1 * price + w2 * weight + b).sigmoid()
        losses.append(-(p if name == "rings" else 1 - p).log())
    loss = F.mean(losses)
    for parameter in (w1, w2, b):
        parameter.zero_grad()
    loss.backward()
    for parameter in (w1, w2, b):
        parameter.data -= 5.0 * parameter.grad

z = [w1.data * price + w2.data * weight + b.data for price, weight in things]
supervised = sum((z_ > 0) == (name == "rings") for z_, name in zip(z, names, strict=True))
print(f"{supervised} of 40 right")

# %% [markdown]
# ## Unsupervised: no answers at all
#
# Now the names are gone: only dots are left. You still see two clouds. To find groups nobody has named is
# **unsupervised learning**, and the simplest way is **k-means**: put k centers anywhere; each thing belongs to its
# nearest center; move each center to the mean of its things; repeat.
#
# **Predict.** The numbers 1, 2, 3 and 10, with centers at 0 and 4. Where are the centers after one round, and where
# after two?
#
# answer after one round, the left center: rounds[1][0][0]
# answer the right one: rounds[1][1][0]
# answer after two, the left center: rounds[2][0][0]
# answer the right one, then: rounds[2][1][0]


# %%
def distance(point, center):
    return sum((x - y) ** 2 for x, y in zip(point, center, strict=True))


def nearest(point, centers):
    return min(range(len(centers)), key=lambda k: distance(point, centers[k]))


def round_of_k_means(points, centers):
    moved = []
    for k, center in enumerate(centers):
        mine = [p for p in points if nearest(p, centers) == k]
        moved.append(tuple(sum(column) / len(mine) for column in zip(*mine, strict=True)) if mine else center)
    return moved


numbers, rounds = [(1.0,), (2.0,), (3.0,), (10.0,)], [[(0.0,), (4.0,)]]
for _ in range(2):
    rounds.append(round_of_k_means(numbers, rounds[-1]))

print(rounds)

# %% tags=["check"]
assert rounds[1] == [(1.5,), (6.5,)]
assert rounds[2] == [(2.0,), (10.0,)]

# %% [markdown]
# After one round 1.5 and 6.5 (2 is as near to 0 as to 4, and the first center takes it), after two 2 and 10. On the
# shop, from two unlucky centers next to each other:

# %%
centers = [(0.2, 0.2), (0.25, 0.2)]
path = [centers]
while len(path) < 2 or path[-1] != path[-2]:
    path.append(round_of_k_means(things, path[-1]))

found = path[-1]
print(f"{len(path) - 2} rounds: {[tuple(round(x, 2) for x in center) for center in found]}")

# %%
clouds = {f"group {k + 1}": [p for p in things if nearest(p, found) == k] for k in range(2)}
ways = {f"way of center {k + 1}": [step[k] for step in path] for k in range(2)}
viz.plot(ways, points=clouds, title="Without names: two groups", x="price", y="weight")

# %% [markdown]
# Is that gradient descent? The loss of k-means is the sum of the squared distances to the nearest center. Ask the
# engine for its gradient.
#
# **Predict.** A center has 20 things, and their mean is 0.1 to its right. What is the gradient of the loss in that
# direction? (The slope of one squared distance is twice the distance.)
#
# answer the gradient: first.grad

# %%
first = Value(found[0][0] - 0.1, label="price of center 1")
mine = [p for p in things if nearest(p, found) == 0]
loss = F.mean([(first - price) ** 2 for price, _ in mine]) * len(mine)
loss.backward()
print(len(mine), round(first.grad, 6), round(first.data - first.grad / (2 * len(mine)), 6), round(found[0][0], 6))

# %% tags=["check"]
found_names = [nearest(thing, found) for thing in things]
agree = sum((k == found_names[0]) == (name == names[0]) for k, name in zip(found_names, names, strict=True))
assert supervised == 40
assert agree == 40
assert len(mine) == 20
assert abs(first.grad - 2 * 20 * -0.1) < 1e-9
assert abs(first.data - first.grad / (2 * len(mine)) - found[0][0]) < 1e-9

# %% [markdown]
# −4: twice 20 times −0.1. One step with the learning rate 1/(2·20) leads exactly to the mean: a round of k-means *is* a
# step of gradient descent. And all 40 things are in the group of their kind, though the program has never seen a name.
# It cannot tell you what the groups are *called*; for that you need at least one name in each.
#
# ## Reinforcement: only a reward
#
# Three slot machines pay 1 with chances of 0.2, 0.5 and 0.8. Nobody tells you these, nor which one you should have
# pulled. You pull, and get a **reward**. That is **reinforcement learning**: an **agent** chooses an **action**, and
# the reward says how good it was, not which would have been better.
#
# The agent's **policy** is a probability for each action: a softmax of three scores (Lesson 5). It is nudged like this:
# make the action that was taken more likely, as much as its reward was above the average.
#
#     loss = −(reward − average) · log p(action)
#
# **Predict.** All scores are 0, the average is 0, the agent pulls the first machine and wins. The gradient of −log p is
# "p minus one-hot". What are the three gradients?
#
# answer of the first score: scores[0].grad
# answer of the second: scores[1].grad
# answer of the third: scores[2].grad

# %%
scores = [Value(0.0, label=f"score {i + 1}") for i in range(3)]
p = F.softmax(scores)
loss = -(1.0 - 0.0) * p[0].log()
loss.label = "loss"
loss.backward()
print([round(score.grad, 4) for score in scores])

# %%
viz.draw(loss)

# %% tags=["check"]
assert all(abs(s.grad - g) < 1e-12 for s, g in zip(scores, (-2 / 3, 1 / 3, 1 / 3), strict=True))

# %% [markdown]
# −2/3, 1/3, 1/3: the first becomes more likely, the others less. Now let it play a thousand rounds.
#
# **Predict.** It will win some on the second machine as well. Will it stay with the first machine that pays, or find
# the best?
#
# answer it will: max(range(3), key=lambda i: policy[-1][i]) != 2 | stay with the first that pays | find the best

# %%
chances = (0.2, 0.5, 0.8)


def play(seed, pulls):
    rng = random.Random(seed)
    scores, average, policy, rewards = [Value(0.0) for _ in chances], 0.0, [], []
    for _ in range(pulls):
        p = F.softmax(scores)
        policy.append([x.data for x in p])
        action = rng.choices(range(3), policy[-1])[0]
        reward = float(rng.random() < chances[action])
        loss = -(reward - average) * p[action].log()
        for score in scores:
            score.zero_grad()
        loss.backward()
        for score in scores:
            score.data -= 0.2 * score.grad
        average += 0.05 * (reward - average)
        rewards.append(reward)
    return policy, rewards


policy, rewards = play(1, 1000)
print(f"{sum(rewards[:100]) / 100:.2f} per pull at first, {sum(rewards[-100:]) / 100:.2f} in the end")

# %%
lines = {f"machine {i + 1}, pays {chance}": [p[i] for p in policy] for i, chance in enumerate(chances)}
viz.plot(lines, title="The policy", x="pull", y="probability")

# %% tags=["check"]
best = [play(seed, 1000)[0][-1][2] > 0.9 for seed in range(3 if FAST else 10)]
assert policy[-1][2] > 0.9
assert sum(rewards[-100:]) > sum(rewards[:100]) + 10
assert sum(best) >= len(best) - 1

# %% [markdown]
# It explores while it is unsure, and settles on the best machine. Where the reward comes late, after many actions, all
# of them share it. A world of 4 by 4 fields: start at the top left, a goal at the bottom right (+1), a hole (−1), and
# every step costs 0.04. The policy is now a table: four scores for each field.

# %%
GOAL, HOLES, MOVES = (3, 3), {(1, 1), (1, 3), (3, 0)}, {"↑": (-1, 0), "→": (0, 1), "↓": (1, 0), "←": (0, -1)}


def episode(table, rng):
    field, taken, total = (0, 0), [], 0.0
    for _ in range(30):
        p = F.softmax(table[field])
        action = rng.choices(range(4), [x.data for x in p])[0]
        taken.append(p[action].log())
        row, column = (at + by for at, by in zip(field, list(MOVES.values())[action], strict=True))
        field = (min(max(row, 0), 3), min(max(column, 0), 3))
        total -= 0.04
        if field == GOAL or field in HOLES:
            return taken, total + (1 if field == GOAL else -1)
    return taken, total


def learn(seed, episodes):
    rng = random.Random(seed)
    table = {(r, c): [Value(0.0) for _ in MOVES] for r in range(4) for c in range(4)}
    average, totals = 0.0, []
    for _ in range(episodes):
        taken, total = episode(table, rng)
        loss = -(total - average) * sum(taken)
        for row in table.values():
            for score in row:
                score.zero_grad()
        loss.backward()
        for row in table.values():
            for score in row:
                score.data -= 0.3 * score.grad
        average += 0.05 * (total - average)
        totals.append(total)
    return table, totals


table, totals = learn(2, 200 if FAST else 600)
for r in range(4):
    arrows = [list(MOVES)[max(range(4), key=lambda a: table[r, c][a].data)] for c in range(4)]
    print(" ".join("G" if (r, c) == GOAL else "O" if (r, c) in HOLES else arrows[c] for c in range(4)))

# %% [markdown]
# At first it falls into a hole nearly every time; in the end it walks around them. (The shortest way takes six steps
# and earns 1 − 6 · 0.04 = 0.76. Arrows of fields that it never visits mean nothing.)
#
# **Predict.** The same with another seed, so other luck in the first episodes. An agent that has seen many holes and no
# goal: what might it learn instead?
#
# answer at first it learns: sum(total > 0 for total in unlucky[160:200]) > 20
#   | to reach the goal | to hide from the holes

# %%
_, unlucky = learn(0, 200 if FAST else 600)


def smoothed(totals):
    return [(i, sum(totals[i - 40 : i]) / 40) for i in range(40, len(totals) + 1, 10)]


lines = {"seed 2": smoothed(totals), "seed 0": smoothed(unlucky)}
viz.plot(lines, title="Four by four fields, mean of 40 episodes", x="episode", y="reward")

# %% tags=["check"]
assert round(1 - 6 * 0.04, 2) == 0.76
assert sum(total < 0 for total in totals[:40]) > 35
assert sum(total > 0 for total in totals[160:200]) > 30
hiding = sum(abs(total + 30 * 0.04) < 1e-9 for total in unlucky[160:200])
assert hiding > 30
if not FAST:
    assert sum(total > 0 for total in unlucky[-40:]) > 35

# %% [markdown]
# It learns to hide. For 300 episodes it walks against a wall until the time is up: that costs 1.2, and is the best it
# knows. Then, by chance, it reaches the goal a few times, and all of it changes. This is the hard part of reinforcement
# learning: a reward that is never found teaches nothing.
#
# ## Self-supervised: the text is its own answer
#
# **Self-supervised learning** hides a part of the data, and the hidden part is the answer. The language models of this
# course hide the next character. You can hide one in the middle as well: `e_ma`. Nobody needs to write answers, so a
# model can learn from all the text there is.
#
# Here a table counts, for each pair of neighbors, what stood between them, in three quarters of the course's names;
# then it fills gaps in the others.
#
# **Predict.** To guess always the most frequent letter is right for about one gap in eight. How often is the table
# right: one in five, one in three, or nine in ten?
#
# answer the table is right in: min(range(3), key=lambda i: abs(share - (0.2, 0.33, 0.9)[i]))
#   | one in five | one in three | nine in ten

# %%
listed = (Path(lessons.__file__).parent / "data" / "names.txt").read_text(encoding="utf-8").split()
random.Random(0).shuffle(listed)
known, new = listed[: len(listed) * 3 // 4], listed[len(listed) * 3 // 4 :]


def gaps(names):
    for name in names:
        framed = f".{name}."
        for i in range(1, len(framed) - 1):
            yield framed[i - 1] + framed[i + 1], framed[i]


counts, letters = {}, {}
for around, letter in gaps(known):
    row = counts.setdefault(around, {})
    row[letter] = row.get(letter, 0) + 1
    letters[letter] = letters.get(letter, 0) + 1

common = max(letters, key=letters.get)
guesses = [(max(counts[a], key=counts[a].get) if a in counts else common, letter) for a, letter in gaps(new)]
share = sum(guess == letter for guess, letter in guesses) / len(guesses)
chance = sum(letter == common for _, letter in guesses) / len(guesses)
filled = "e" + max(counts["em"], key=counts["em"].get) + "ma"
print(f"always {common}: {chance:.0%}; from both neighbors: {share:.0%}; e_ma → {filled}")

# %% tags=["check"]
assert 0.1 < chance < 0.15
assert 1 / 3 < share < 0.45
assert filled == "elma"
assert {"elma", "emma"} <= set(listed)

# %% [markdown]
# More than one in three, from nothing but the two neighbors. It says *elma*, which is on the list, too; most people
# would say *emma*. Two letters are little context. Lesson 8 lets a model look at all of them.
#
# ## Side by side
#
# | kind | what it gets | the signal | here | elsewhere |
# |---|---|---|---|---|
# | supervised | examples with answers | the answer of a person | Lessons 2 to 5 | spam, diagnosis, prices |
# | unsupervised | examples | none: what is near what | k-means | groups of customers, outliers |
# | reinforcement | a world to act in | a reward, often late | slot machines, 4 by 4 fields | games, robots, RLHF |
# | self-supervised | raw text, pictures, sound | a hidden part of it | gaps; Lessons 6 to 10 | GPT, BERT |
#
# ChatGPT uses three of them, one after the other: self-supervised on the web, supervised on dialogues that people
# wrote, reinforcement on what people prefer (Supplements 8 and 21).
#
# ## Exercises
#
# **Exercise 1.** The agent pulls the first machine and gets *nothing*; its average so far is 0.5, and all scores are 0.
# The three gradients, by hand?

# %% tags=["solution"]
scores = [Value(0.0) for _ in range(3)]
(-(0.0 - 0.5) * F.softmax(scores)[0].log()).backward()
print([round(score.grad, 4) for score in scores])  # minus one half of those above: the first becomes less likely
assert all(abs(s.grad - g) < 1e-12 for s, g in zip(scores, (1 / 3, -1 / 6, -1 / 6), strict=True))

# %% [markdown]
# **Exercise 2.** How many groups? Compute the k-means loss of the shop for k = 1 to 5 (start at the first k things).
# Where does the curve bend?

# %% tags=["solution"]
elbow = []
for k in range(1, 6):
    at = things[:k]
    for _ in range(20):
        at = round_of_k_means(things, at)
    elbow.append(sum(distance(p, at[nearest(p, at)]) for p in things))
print([round(x, 2) for x in elbow])  # a great fall to 2, small ones after it
assert elbow[0] - elbow[1] > 5 * (elbow[1] - elbow[4])

# %% [markdown]
# **Exercise 3.** Which kind? A chess program that plays against itself; a program that fills gray squares in
# photographs; a filter trained with "this is spam" clicks; a map of songs by who listens to them.

# %% tags=["solution"]
kinds = ["reinforcement", "self-supervised", "supervised", "unsupervised"]
print(kinds)

# %% [markdown]
# ## Summary
#
# - **Supervised:** learn from answers. **Unsupervised:** find structure without any.
# - **Reinforcement:** a **policy** chooses actions; what is rewarded more than usual becomes more likely.
# - **Self-supervised:** hide a part, and predict it. The data is its own answer.
# - All four go downhill; they differ in where the signal comes from.
#
# Where next: Lesson 7, self-supervised with a network. Supplement 8 turns a language model into an assistant, with
# answers and with preferences.
