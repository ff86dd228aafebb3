# %% [markdown]
# # Supplement 18: Reading both ways: encoder and masked language model
#
# **Question.** *al_x*: which letter is missing? A GPT sees only what stands to the left of the gap. What does a model
# gain by looking both ways, and what can it no longer do?
#
# Follows Lesson 10b.

# %%
import math
import random
from pathlib import Path

import lessons
import viz
from tinygrad_edu import Value, jit
from tinygrad_edu import functional as F
from tinygrad_edu.compiler import Adam
from tinygrad_edu.nn import Embedding, Linear, Module

FAST = globals().get("FAST", False)

# %% [markdown]
# ## The mask is a switch
#
# Take the three words of Lesson 8. With the causal mask, *bank* attends to *river* and itself; without it, to all
# three.
#
# **Predict.** *Bank* has the scores 1/√2, 2/√2 and 1/√2 for the three words. What are its weights without the mask, and
# with it?
#
# answer bank without the mask: both_sides[1].data ± 0.01
# answer bank with the mask: left_only[1].data ± 0.01

# %%
keys = {"river": [1.0, 0.0], "bank": [1.0, 1.0], "overflowed": [0.0, 1.0]}
rows = [[Value(x) for x in key] for key in keys.values()]
both_sides = F.attention_weights(rows[1], rows)
left_only = F.attention_weights(rows[1], rows[:2])
print("both sides", [round(w.data, 4) for w in both_sides], " left only", [round(w.data, 4) for w in left_only])

# %% tags=["check"]
assert [round(w.data, 4) for w in both_sides] == [0.2483, 0.5035, 0.2483]
assert [round(w.data, 4) for w in left_only] == [0.3302, 0.6698]

# %% [markdown]
# No weight of a transformer knows whether there is a mask. So one class can be both: an **encoder**, which reads a
# complete text in both directions, and a **decoder**, which reads from left to right and can therefore write.


# %% tags=["model"]
class Block(Module):
    def __init__(self, width, heads, rng):
        self.query, self.key, self.value, self.out = (Linear(width, width, bias=False, rng=rng) for _ in range(4))
        self.up, self.down = Linear(width, 2 * width, rng=rng), Linear(2 * width, width, rng=rng)
        self._heads = heads

    def attend(self, x, causal):
        size, found = len(x[0]) // self._heads, [[] for _ in x]
        queries, keys, values = ([table(row) for row in x] for table in (self.query, self.key, self.value))
        for t, query in enumerate(queries):
            end = t + 1 if causal else len(x)  # key: the whole difference
            for h in range(0, len(x[0]), size):
                piece = slice(h, h + size)
                found[t] += F.attend(query[piece], [k[piece] for k in keys[:end]], [v[piece] for v in values[:end]])
        return [self.out(row) for row in found]

    def forward(self, x, causal):
        new = self.attend([F.rms_norm(row) for row in x], causal)
        x = [F.add(old, more) for old, more in zip(x, new, strict=True)]
        return [F.add(row, self.down([z.relu() for z in self.up(F.rms_norm(row))])) for row in x]


LENGTH, ALPHABET = 9, ".abcdefghijklmnopqrstuvwxyz_"  # "." fills up, "_" is the gap
GAP = ALPHABET.index("_")


class Transformer(Module):
    def __init__(self, width, rng):
        self.char = Embedding(len(ALPHABET), width, std=0.3, rng=rng)
        self.position = Embedding(LENGTH, width, std=0.3, rng=rng)
        self.block = Block(width, 2, rng)
        self.head = Linear(width, GAP, rng=rng)  # scores for all characters but the gap

    def forward(self, text, causal):
        x = [F.add(self.char(c), self.position(t)) for t, c in enumerate(text)]
        return [self.head(F.rms_norm(row)) for row in self.block(x, causal)]


encoder = Transformer(16, random.Random(1))
text = [ALPHABET.index(c) for c in "al_x....."]
reached = {}
for causal in (False, True):
    encoder.zero_grad()
    F.mean(encoder(text, causal)[2]).backward()
    reached[causal] = [t for t in range(LENGTH) if any(v.grad for v in encoder.position.weight[t])]
    print(f"{'left only ' if causal else 'both sides'}: the gap hears the positions", *reached[causal])

# %% tags=["check"]
assert reached[False] == list(range(LENGTH))
assert reached[True] == [0, 1, 2]
assert len(encoder.parameters()) == 3147

# %% [markdown]
# ## Two games with the same names
#
# The decoder's game is that of Lesson 10b: guess the next character, at every position. The encoder's game is that of
# BERT (Devlin et al. 2018), a **masked language model**: hide a character, and guess it from all others. Neither needs
# labels: both make their own questions from a text (**self-supervised** learning).

# %%
listed = (Path(lessons.__file__).parent / "data" / "names.txt").read_text(encoding="utf-8").split()
names = [name for name in listed if len(name) < LENGTH]
random.Random(0).shuffle(names)
held_out, read = names[:400], names[400:]


def numbers(name):
    return [ALPHABET.index(c) for c in name.ljust(LENGTH, ".")]


def with_gap(rng, names=read):
    name = rng.choice(names)
    at = rng.randrange(len(name))
    return numbers(name[:at] + "_" + name[at + 1 :]), at, ALPHABET.index(name[at])


def next_character(rng):
    text = numbers(rng.choice(read))
    return [0, *text[:-1]], text  # "." starts a name, too


def gap_loss(model, causal):
    return lambda text, at, answer: F.cross_entropy(F.pick(model(text, causal), at), answer)


def next_loss(model, causal):
    return lambda text, targets: F.mean(
        [F.cross_entropy(scores, t) for scores, t in zip(model(text, causal), targets, strict=True)]
    )


def train(model, loss, example, steps=400 if FAST else 1000):
    compiled, rng, losses = jit(loss, model), random.Random(2), []
    optimizer = Adam(compiled.parameters, lr=0.01)
    for step in range(steps):
        losses.append(compiled.value_and_grad(*map(list, zip(*[example(rng) for _ in range(64)], strict=True))))
        optimizer.lr = 0.01 * (1 - step / steps)
        optimizer.step()
    return [sum(losses[i : i + 50]) / 50 for i in range(0, steps, 50)]


# %% [markdown]
# **Predict.** Before training, what do both losses have to be? (There are 27 characters.) Which will fall lower: the
# gap or the next character?
#
# answer both losses: math.log(27)
# answer the lower one will be that of: curves["encoder: the gap"][-1] < curves["decoder: the next"][-1]
#   | the gap | the next character

# %%
decoder = Transformer(16, random.Random(1))
curves = {
    "encoder: the gap": train(encoder, gap_loss(encoder, causal=False), with_gap),
    "decoder: the next": train(decoder, next_loss(decoder, causal=True), next_character),
}
for name, curve in curves.items():
    print(f"{name:18} {curve[0]:.2f} → {curve[-1]:.2f}   (guessing: {math.log(27):.2f})")

# %%
steps = {name: [(50 * i, loss) for i, loss in enumerate(curve)] for name, curve in curves.items()}
viz.plot(steps, title="Two games", x="step", y="loss, mean of 50 steps")

# %% [markdown]
# Do not compare these two: the games are different. (The filling after the end of a name is easy to guess, and only the
# decoder is asked for it.) But note how much is asked: the decoder answers nine questions per name, the encoder one.
# That is the price of BERT's game: it hides 15 of 100 tokens, and learns from those alone.
#
# ## The same game for both
#
# Now 400 gaps in names that neither has read. The encoder sees both sides. The decoder can play in two ways: guess the
# next character from the left side; or fill in all 26 letters, compute the probability of each whole name, and compare.
#
# **Predict.** Which is best, which is worst? And what if the mask is switched the wrong way: the encoder's weights with
# a mask, the decoder's without?
#
# answer best is: min(means, key=means.get)
#   | encoder, both sides | decoder, left side | decoder, 26 names | encoder with a mask | decoder without

# %%
gaps = [with_gap(random.Random(i), held_out) for i in range(400)]
texts, places, answers = map(list, zip(*gaps, strict=True))
left = [[0, *text[:-1]] for text in texts]  # the decoder's place `at` has seen what comes before `at`
found = {
    "encoder, both sides": jit(gap_loss(encoder, causal=False), encoder).flat(texts, places, answers),
    "decoder, left side": jit(gap_loss(decoder, causal=True), decoder).flat(left, places, answers),
    "encoder with a mask": jit(gap_loss(encoder, causal=True), encoder).flat(texts, places, answers),
    "decoder without": jit(gap_loss(decoder, causal=False), decoder).flat(left, places, answers),
}
found = {name: [float(loss) for loss in losses.ravel()] for name, losses in found.items()}

filled = [[*text[:at], letter, *text[at + 1 :]] for text, at, _ in gaps for letter in range(1, 27)]
each = jit(next_loss(decoder, causal=True), decoder).flat([[0, *text[:-1]] for text in filled], filled).ravel()
found["decoder, 26 names"] = [
    F.cross_entropy([Value(-LENGTH * float(loss)) for loss in each[26 * i : 26 * i + 26]], answers[i] - 1).data
    for i in range(400)
]
means = {name: sum(losses) / 400 for name, losses in found.items()}
for name, mean in means.items():
    print(f"{name:20} {mean:.2f} nats")

# %% tags=["check"]
assert means["encoder, both sides"] < means["decoder, left side"] - 0.1
assert means["decoder, 26 names"] < means["decoder, left side"] - 0.1
assert FAST or means["decoder, left side"] - means["encoder, both sides"] > 0.25
assert FAST or means["decoder, 26 names"] < means["encoder, both sides"]
assert means["encoder with a mask"] > means["decoder, left side"] + 0.2
assert means["decoder without"] > means["decoder, left side"] + 0.2

# %% [markdown]
# The encoder beats the decoder that sees only the left side, by more than a quarter of a nat for each gap. The same
# weights with the wrong mask are worse than either: they have learned to rely on a right side that is now missing, or
# meet one that they have never seen. The mask costs no weight, but it has to be there from the start.
#
# And the last line? A decoder knows a lot about the right side: it gives a whole name a probability, and can compare 26
# of them. That is as good as the encoder, and here even better, at 26 times the work for a single letter. (For two gaps
# it would be 676 times.)
#
# Where is the gain? By the position of the gap:

# %%
by_place = {
    name: [
        (place, sum(found[name][i] for i in at_place) / len(at_place))
        for place in range(6)
        if (at_place := [i for i in range(400) if places[i] == place])
    ]
    for name in ("encoder, both sides", "decoder, left side")
}
viz.plot(by_place, title="The gap", x="position of the gap", y="loss")

# %% tags=["check"]
gain = [b - a for (_, a), (_, b) in zip(*by_place.values(), strict=True)]
assert gain[0] > 0.15

# %% [markdown]
# At the first letter a decoder sees nothing at all on the left.
#
# ## Play the game
#
# **Predict.** Three gaps: `al_x`, `_aria`, `s_ephen`. Which letter do you say, and what does each of the two say?
#
# answer in al_x, seeing both sides, the encoder says: guesses["al_x"][0][0][1] in "aeiouy" | a vowel | a consonant
# answer from al alone, the decoder would also say: "l" in [letter for _, letter in guesses["al_x"][1]] | l | x | q


# %%
def guess(name):
    at = name.index("_")
    text = numbers(name)
    both = F.softmax(encoder(text, False)[at])
    only = F.softmax(decoder([0, *text[:-1]], True)[at])
    return [
        sorted(((round(p.data, 2), ALPHABET[c]) for c, p in enumerate(shares)), reverse=True)[:3]
        for shares in (both, only)
    ]


guesses = {name: guess(name) for name in ("al_x", "_aria", "s_ephen")}
for name, (both, only) in guesses.items():
    print(f"{name:8}", " | ".join(" ".join(f"{letter} {p:.2f}" for p, letter in three) for three in (both, only)))

# %% tags=["check"]
both, only = ({letter for _, letter in three} for three in guesses["al_x"])
assert both == {"a", "e", "i"}
assert "l" in only

# %% [markdown]
# With the *x* in sight a vowel has to come. From *al* alone, another *l* is a good guess.

# %% [markdown]
# ## Why the encoder cannot write
#
# Could an encoder not learn to guess the next character, without a mask? Let us train one.
#
# **Predict.** What will its loss be, and what will it write?
#
# answer its loss: cheating[-1] ± 0.2
# answer it will write: sum(len(name) > 2 for name in written["cheat"]) > 1 | names | hardly anything

# %%
cheat = Transformer(16, random.Random(1))
cheating = train(cheat, next_loss(cheat, causal=False), next_character, 300)
print(f"loss {cheating[0]:.2f} → {cheating[-1]:.2f}")


def write(model, causal, count=6):
    scores, rng, names = jit(lambda text: model(text, causal), model), random.Random(3), [[0] for _ in range(count)]
    for at in range(LENGTH - 1):
        found = scores.flat([(name + [0] * LENGTH)[:LENGTH] for name in names])[at * GAP : (at + 1) * GAP]
        for k, name in enumerate(names):
            name += rng.choices(range(GAP), [math.exp(score) for score in found[:, k]])
    return ["".join(ALPHABET[c] for c in name[1:]).split(".")[0] for name in names]


written = {"decoder": write(decoder, causal=True), "cheat": write(cheat, causal=False)}
print(written)

# %% tags=["check"]
assert cheating[-1] < 0.2
assert sum(len(name) > 2 for name in written["decoder"]) >= 4
assert sum(len(name) > 2 for name in written["cheat"]) <= 1

# %% [markdown]
# A wonderful loss, and nothing that it writes. The next character stands at the next position, where it may look: it
# has learned to copy it. When it writes, nothing stands there yet.
#
# | | encoder | decoder |
# |---|---|---|
# | attends | to both sides of a token | to the left of it |
# | learns from | hidden tokens (15%) | every next token |
# | gives | a vector for each token, which knows its whole surroundings | the next token |
# | is used for | search, embeddings (Supplement 20), sorting texts | writing, chat, programs |
# | models | BERT, RoBERTa, many embedding models | GPT, LLaMA, Mistral |
#
# The transformer of 2017 had both: an encoder that reads the English sentence, and a decoder that writes the German one
# and attends to the encoder's vectors as well (**cross-attention**); T5 is of that kind. BERT hides a token in one of
# three ways (80% by a special token, 10% by a random one, 10% not at all), so that it cannot rely on seeing the special
# token.
#
# ## Exercises
#
# **Exercise 1.** By hand: how many pairs of positions are looked at in a name of nine, with the mask and without?

# %% tags=["solution"]
print(9 * 10 // 2, 9 * 9)
assert sum(len(range(t + 1)) for t in range(9)) == 45

# %% [markdown]
# **Exercise 2.** Two gaps: `m_r_a`. The encoder fills both at once. Fill the first one with the best letter and ask
# again for the second: does the answer change? What is wrong with filling both at once?

# %% tags=["solution"]
text = numbers("m_r_a")
first, second = (F.softmax(encoder(text, False)[at]) for at in (1, 3))
best = max(range(GAP), key=lambda c: first[c].data)
again = F.softmax(encoder([text[0], best, *text[2:]], False)[3])
change = max(abs(a.data - b.data) for a, b in zip(again, second, strict=True))
print(ALPHABET[best], f"largest change of a probability: {change:.2f}")  # each was guessed without knowing the other
assert change > 0.01

# %% [markdown]
# **Exercise 3.** One set of weights for both games: train a model on the sum of the two losses, with the mask for one
# and without for the other. How good is it at each?

# %% tags=["solution"]
both = Transformer(16, random.Random(1))
gap, following = gap_loss(both, causal=False), next_loss(both, causal=True)
curve = train(
    both,
    lambda text, at, answer, left, targets: gap(text, at, answer) + following(left, targets),
    lambda rng: (*with_gap(rng), *next_character(rng)),
)
ends = [jit(gap, both).flat(texts, places, answers).mean(), curves["encoder: the gap"][-1]]
print(f"the gap: {ends[0]:.2f}; both games together: {curve[-1]:.2f}")  # a little worse at each, and it can do both
assert ends[0] < means["decoder, left side"]

# %% [markdown]
# ## Summary
#
# - **Encoder:** attention to both sides; **decoder:** causal attention. The weights have the same shapes.
# - **Masked language model:** hide tokens and guess them from both sides. Self-supervised, as the next token is.
# - Both sides are worth a quarter of a nat per gap here. A model does not work with the other mask.
# - Without a mask the next token is copied, not predicted: an encoder cannot write.
# - To understand a given text: encoder. To write one: decoder.
#
# Next: the activation functions of today's models, and experts, in Supplement 19.
