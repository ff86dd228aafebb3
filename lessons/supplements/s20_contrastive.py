# %% [markdown]
# # Supplement 20: Vectors with a meaning: contrastive learning and analogies
#
# **Question.** "King − man + woman = queen": how does a network learn vectors in which that is true, and what was put
# in to make it come out?
#
# Follows Lessons 6 and 7.

# %%
import math
import random
from itertools import combinations, permutations

import viz
from tinygrad_edu import Value, jit
from tinygrad_edu import functional as F
from tinygrad_edu.compiler import Adam
from tinygrad_edu.nn import Embedding, Module

FAST = globals().get("FAST", False)

# %% [markdown]
# ## How alike are two vectors?
#
# The **cosine** of the angle between them: 1 for the same direction, 0 for a right angle, −1 for opposite directions.
# Lengths do not count.
#
#     cos(a, b) = a · b / (|a| · |b|)
#
# **Predict.** What is the cosine of [3, 4] and [4, 3]? Of [1, 2] and [10, 20]? Of [1, 2] and [2, −1]?
#
# answer of the first: cosine([3, 4], [4, 3])
# answer of the second: cosine([1, 2], [10, 20])
# answer of the third: cosine([1, 2], [2, -1])


# %%
def cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))


print(*(round(cosine(*two), 4) for two in (([3, 4], [4, 3]), ([1, 2], [10, 20]), ([1, 2], [2, -1]))))

# %% tags=["check"]
assert cosine([3, 4], [4, 3]) == 0.96
assert math.isclose(cosine([1, 2], [10, 20]), 1)
assert cosine([1, 2], [2, -1]) == 0

# %% [markdown]
# ## A world made by hand
#
# We need a text whose meaning is known. So we write one, with eight people and three properties, and say each property
# in the same sentences for everyone who has it.

# %%
PERSONS = {
    "king": "royal male old",
    "queen": "royal female old",
    "prince": "royal male young",
    "princess": "royal female young",
    "man": "common male old",
    "woman": "common female old",
    "boy": "common male young",
    "girl": "common female young",
}
SENTENCES = {
    "royal": ["wears crown", "sits throne", "lives palace"],
    "common": ["works farm", "walks market", "lives village"],
    "male": ["he", "shaved beard", "lost hat"],
    "female": ["she", "wore dress", "lost ring"],
    "young": ["goes school", "plays ball"],
    "old": ["grown", "drives car"],
}


def corpus(persons):
    properties = [(name, p) for name, owned in persons.items() for p in owned.split()]
    return [[name, *sentence.split()] for name, p in properties for sentence in SENTENCES[p]]


texts = corpus(PERSONS)
words = sorted({word for text in texts for word in text})
print(len(texts), "sentences,", len(words), "words:", *(" ".join(text) + ";" for text in texts[:8]))

# %% tags=["check"]
assert len(texts) == 8 * (3 + 3 + 2) == 64
assert not any(len(set(text) & set(PERSONS)) > 1 for text in texts)  # no sentence has two persons

# %% [markdown]
# **What is built in.** Every combination of the three properties exists, and each is told independently of the others.
# No sentence names two of them: nothing says that kings and queens have anything to do with each other. All that a
# model can find out is which words keep the same company. ("You shall know a word by the company it keeps", Firth
# 1957.)
#
# ## Pull together, push apart
#
# **Contrastive learning** needs **pairs**: two things that belong together, here two words of one sentence. For each
# pair some others are drawn at random, the **negatives**. The model sees the first word and should recognize its
# partner among them. That is a classifier (Lesson 5) whose scores are cosines, divided by a temperature τ. The loss is
# called **InfoNCE** (van den Oord et al. 2018):
#
#     loss = −log( exp(cos(q, partner)/τ) / Σ exp(cos(q, k)/τ) )
#
# The sum is over the partner and all negatives k. By hand: the partner has a cosine of 0.9, three negatives have 0.1,
# 0.1 and −0.2.
#
# **Predict.** What is the loss with τ = 0.5, roughly? And with τ = 0.1?
#
# answer with τ = 0.5: soft.data ± 0.1
# answer with τ = 0.1: sharp.data ± 0.05


# %%
def info_nce(cosines, tau):  # the partner is the first
    return F.cross_entropy([c * (1 / tau) for c in cosines], 0)


cosines = [Value(c, label=f"cos {name}") for name, c in zip("pabc", (0.9, 0.1, 0.1, -0.2), strict=True)]
soft, sharp = info_nce(cosines, 0.5), info_nce(cosines, 0.1)
soft.backward()
print(f"{soft.data:.4f} and {sharp.data:.4f}; gradients", [round(c.grad, 3) for c in cosines])

# %% tags=["check"]
by_hand = -math.log(math.exp(1.8) / (math.exp(1.8) + 2 * math.exp(0.2) + math.exp(-0.4)))
assert round(by_hand, 4) == round(soft.data, 4) == 0.4151
assert sharp.data < 0.001
assert abs(sum(c.grad for c in cosines)) < 1e-12

# %%
soft.label = "InfoNCE"
viz.draw(soft, budget=40)

# %% [markdown]
# e^1.8 = 6.05 of 6.05 + 2·1.22 + 0.67 = 9.16 is 66%, and −ln 0.66 = 0.415. The gradient pulls the partner closer and
# pushes the negatives away, most the ones that are closest; together that is 0. A small τ is strict: only a negative
# that is nearly as close as the partner still counts.
#
# ## Train
#
# Each word has two vectors, one as the word that asks and one as the company of others (as in word2vec, Mikolov et al.
# 2013). Eight numbers each, eight negatives.


# %% tags=["model"]
def unit(x):
    scale = (F.dot(x, x) + 1e-9) ** -0.5
    return [v * scale for v in x]


class Words(Module):
    def __init__(self, count, rng, width=8):
        self.word = Embedding(count, width, std=0.3, rng=rng)
        self.company = Embedding(count, width, std=0.3, rng=rng)

    def forward(self, word, partner, negatives):
        q = unit(self.word(word))
        others = [unit(self.company(k)) for k in [partner, *negatives]]
        return info_nce([F.dot(q, k) for k in others], 0.2)


def learned(texts, words, seed=1, steps=600):
    pairs = [(words.index(a), words.index(b)) for text in texts for a in text for b in text if a != b]
    model, rng, losses = Words(len(words), random.Random(seed)), random.Random(2), []
    compiled = jit(model, model)
    optimizer = Adam(compiled.parameters, lr=0.02)
    for step in range(steps):
        batch = rng.choices(pairs, k=64)
        negatives = [[rng.choice(pairs)[1] for _ in range(8)] for _ in batch]
        losses.append(compiled.value_and_grad(*map(list, zip(*batch, strict=True)), negatives))
        optimizer.lr = 0.02 * (1 - step / steps)
        optimizer.step()
    vectors = {word: [v.data for v in unit(model.word(i))] for i, word in enumerate(words)}
    return vectors, [sum(losses[i : i + 20]) / 20 for i in range(steps - 19)]


vectors, curve = learned(texts, words)
print(f"loss {curve[0]:.2f} → {curve[-1]:.2f}; guessing among nine: ln 9 = {math.log(9):.2f}")
for a, b in (("king", "queen"), ("king", "prince"), ("king", "girl"), ("queen", "woman"), ("crown", "throne")):
    print(f"{a:6} {b:7} {cosine(vectors[a], vectors[b]):.2f}")

# %% tags=["check"]
assert curve[-1] < math.log(9) / 1.5
assert cosine(vectors["king"], vectors["queen"]) > cosine(vectors["king"], vectors["girl"]) + 0.2

# %%
viz.plot({"InfoNCE": curve}, title="Which word is the partner?", x="step", y="loss, mean of 20 steps")

# %% [markdown]
# It cannot become 0: *king* has many partners, and some negatives are partners, too. Persons who share two properties
# are close, and those who share none are far apart, although no sentence has both of them.
#
# ## King − man + woman
#
# If "royal" and "female" are directions, one can calculate with them. As pure properties (royal, female): king [1, 0] −
# man [0, 0] + woman [0, 1] = [1, 1], which is the queen. Now with the learned vectors: which word is closest to that
# sum? By custom, the three words of the question do not count as answers.
#
# **Predict.** There are many such questions about the eight people: all a, b, c, d for which the properties add up.
# What share does it get right? And with vectors that have learned nothing?
#
# answer learned vectors (%): 100 * share_right(vectors) ± 10
# answer random vectors (%): 100 * share_right(untrained) ± 6

# %%
BITS = {name: [p in ("royal", "female", "young") for p in owned.split()] for name, owned in PERSONS.items()}
asked = [
    four
    for four in permutations(PERSONS, 4)
    if all(a - b + c == d for a, b, c, d in zip(*(BITS[name] for name in four), strict=True))
]


def answers(vectors, a, b, c, without):
    goal = [x - y + z for x, y, z in zip(vectors[a], vectors[b], vectors[c], strict=True)]
    return sorted(((cosine(goal, v), w) for w, v in vectors.items() if w not in without), reverse=True)


def share_right(vectors, custom=True):
    right = [answers(vectors, a, b, c, (a, b, c) if custom else ())[0][1] == d for a, b, c, d in asked]
    return sum(right) / len(asked)


best = answers(vectors, "king", "man", "woman", ("king", "man", "woman"))[:3]
print("king − man + woman:", ", ".join(f"{word} {score:.2f}" for score, word in best))
rng = random.Random(1)
untrained = {word: [rng.gauss(0, 1) for _ in range(8)] for word in words}
print(f"{len(asked)} questions: {share_right(vectors):.0%} right; random vectors {share_right(untrained):.0%}")

# %% tags=["check"]
assert best[0][1] == "queen"
assert share_right(vectors) > 0.9
assert share_right(untrained) < 0.15

# %% [markdown]
# All of them. A picture of the reason: the first axis is the direction from man to woman, the second from man to king.
# The lines go from each male person to the female one.

# %%
axes = [[x - y for x, y in zip(vectors[end], vectors["man"], strict=True)] for end in ("woman", "king")]


def place(word):
    return tuple(sum(x * y for x, y in zip(vectors[word], axis, strict=True)) / math.hypot(*axis) for axis in axes)


couples = (("king", "queen"), ("prince", "princess"), ("man", "woman"), ("boy", "girl"))
viz.plot(
    {f"{a}, {b}": [place(a), place(b)] for a, b in couples},
    title="From male to female",
    x="direction from man to woman",
    y="direction from man to king",
)

# %% tags=["check"]
steps = [[y - x for x, y in zip(vectors[a], vectors[b], strict=True)] for a, b in couples]
parallel = [cosine(a, b) for a, b in combinations(steps, 2)]
assert min(parallel) > 0.8

# %% [markdown]
# Four parallel lines: "female" is the same step from everywhere. And queen and princess, which no axis was made from,
# are where they should be.
#
# ## How honest is that?
#
# Our text is complete: everybody appears in every sentence that fits. Real texts are not. Drop 40% of the sentences
# at random.
#
# **Predict.** How many questions does it still get right? And how many if the three words of the question may be
# answers, too?
#
# answer by custom (%): 100 * by_custom ± 15
# answer if all words may be answers (%): 100 * of_all ± 10

# %%
found = {True: [], False: []}
for seed in range(2 if FAST else 4):
    rng = random.Random(seed)
    some = [text for text in texts if rng.random() < 0.6]
    gaps, _ = learned(some, sorted({*PERSONS, *(word for text in some for word in text)}))
    for custom in found:
        found[custom].append(share_right(gaps, custom))
    best = answers(gaps, "king", "man", "woman", ())[0][1]
    print(f"{found[True][-1]:.0%} by custom, {found[False][-1]:.0%} of all words; king − man + woman = {best}")

by_custom, of_all = (sum(shares) / len(shares) for shares in found.values())
print(f"on average {by_custom:.0%} by custom, {of_all:.0%} if all words may be answers")

# %% tags=["check"]
assert of_all < by_custom < 0.75

# %% [markdown]
# Less than half by custom, and a fifth if all words may be answers: then the closest one is often in the question
# itself, such as *woman* for *king − man + woman*. The custom hides that. So it is with vectors from real texts: the
# famous example works, many others do not (Linzen 2016; Nissim et al. 2020). A property is a direction where the text
# tells of it evenly, and is blurred where it does not.
#
# Pairs need not be words. Question and answer, title and article, two sentences that mean the same: that is how the 384
# numbers of a small model for searching sentences (all-MiniLM-L6-v2) were learned, from more than a billion
# pairs. A picture and its caption: CLIP (Radford et al. 2021). The negatives are then simply the partners of the others
# in the batch.
#
# ## Exercises
#
# **Exercise 1.** Before training all cosines are about the same. What is InfoNCE with 8 negatives, and what with the
# 32,767 that CLIP has?

# %% tags=["solution"]
starts = {count: info_nce([Value(0.3)] * (1 + count), 0.2).data for count in (8, 100)}
print({count: round(x, 4) for count, x in starts.items()})
assert all(abs(x - math.log(1 + count)) < 1e-9 for count, x in starts.items())  # any of them is as likely as another
print(f"{math.log(1 + 8):.4f} and {math.log(1 + 32767):.4f}")

# %% [markdown]
# **Exercise 2.** A vector for a text: the mean of the vectors of its words. Which two people are closest to *throne
# school*, and which to *farm car beard*?


# %% tags=["solution"]
def nearest_persons(text):
    mean = [sum(column) / len(column) for column in zip(*(vectors[w] for w in text.split()), strict=True)]
    return sorted(PERSONS, key=lambda name: -cosine(mean, vectors[name]))[:2]


print(nearest_persons("throne school"), nearest_persons("farm car beard"))
assert set(nearest_persons("throne school")) == {"prince", "princess"}
assert nearest_persons("farm car beard")[0] == "man"

# %% [markdown]
# **Exercise 3.** Add a doctor who is only ever called *he*, and a nurse who is only ever called *she*; both work in a
# clinic. What is doctor − man + woman now?

# %% tags=["solution"]
SENTENCES["clinic"] = ["heals people", "works clinic", "wears white"]
biased = corpus(PERSONS | {"doctor": "clinic male old", "nurse": "clinic female old"})
tilted, _ = learned(biased, sorted({word for text in biased for word in text}))
print(answers(tilted, "doctor", "man", "woman", ("doctor", "man", "woman"))[:2])
assert answers(tilted, "doctor", "man", "woman", ("doctor", "man", "woman"))[0][1] == "nurse"
# Nobody wrote that a woman cannot be a doctor. The vectors repeat what the text does (Bolukbasi et al. 2016).

# %% [markdown]
# ## Summary
#
# - **Cosine:** how alike two directions are, from −1 to 1.
# - **Contrastive learning:** pull the two of a pair together, push negatives apart. **InfoNCE** is the cross-entropy of
#   recognizing the partner by its cosine.
# - Words with the same company get similar vectors; properties that the text tells evenly become directions.
# - *King − man + woman* works where that is so. Report how often, and whether the words of the question may be answers.
# - Vectors repeat what is in the text, prejudice included.
#
# Next: Supplement 9 searches with such vectors.
