# %% [markdown]
# # Supplement 22: Learning from the prompt
#
# **Question.** A finished model is shown two examples in its prompt, and does the third one right. No weight has
# changed. How can it learn? And why does it help to let it write down its steps?
#
# Follows Lesson 9.

# %%
import math
import random

import viz
from gpt.config import GPTConfig
from gpt.model import GPT
from tinygrad_edu import functional as F
from tinygrad_edu import jit, record_calls
from tinygrad_edu.compiler import Adam, AdamW
from tinygrad_edu.nn import AttentionHead, Embedding, Linear, Module

FAST = globals().get("FAST", False)

# %% [markdown]
# ## A code that is new each time
#
# Somebody invents a code: a number from 0 to 3 for each of four letters. Then come examples, and each time the model
# is to say the number before it sees it:
#
#     C2 A0 C2 D2 A0 A0 B1 C2        D3 B3 D3 A1 B3 C0 C0 D3
#
# Nothing can be learned about the code in training: the next text has another one. Only *this* text says what C is.
#
# **Predict.** For a letter that has not occurred yet, all four numbers are equally likely. What does it cost? And
# what does it cost on average in the third pair, if everything that was seen is remembered? (Each pair has one of
# four letters, at random. Ask first how likely it is that the third letter is new.)
#
# answer a new letter: math.log(4)
# answer the third pair: ideal[2]

# %%
PAIRS = 8
ideal = [(3 / 4) ** k * math.log(4) for k in range(PAIRS)]  # new if each of the k before is another letter
print("  ".join(f"{loss:.3f}" for loss in ideal))


def text(rng):
    code = [rng.randrange(4) for _ in range(4)]
    letters = [rng.randrange(4) for _ in range(PAIRS)]
    return letters, [code[letter] for letter in letters]


def written(letters, numbers):
    return [*(x for pair in zip(letters, numbers, strict=True) for x in (pair[0], 4 + pair[1]))]  # a number is 4 … 7


# %% tags=["check"]
assert round(ideal[0], 3) == 1.386
assert round(ideal[2], 3) == 0.78

# %% [markdown]
# 3/4 · 3/4 · ln 4 = 0.780. That is the best any reader can do.
#
# ## One layer, two layers
#
# A model of nothing but attention: no MLP, one head in each layer, and a residual stream. Its letter positions are
# asked for the number that comes next.


# %%
class Attention(Module):
    def __init__(self, width, rng):
        self.query, self.key, self.value, self.out = (Linear(width, width, bias=False, rng=rng) for _ in range(4))
        self.head = AttentionHead()

    def forward(self, x):
        rows = [F.rms_norm(row) for row in x]
        mixed = self.head(*([table(row) for row in rows] for table in (self.query, self.key, self.value)))
        return [F.add(row, self.out(m)) for row, m in zip(x, mixed, strict=True)]


class Reader(Module):
    def __init__(self, layers, width, seed=1):
        rng = random.Random(seed)
        self.token = Embedding(8, width, std=0.3, rng=rng)
        self.position = Embedding(2 * PAIRS, width, std=0.3, rng=rng)
        self.layers = [Attention(width, rng) for _ in range(layers)]
        self.answer = Linear(width, 4, bias=False, rng=rng)

    def forward(self, tokens):
        x = [F.add(self.token(token), self.position(t)) for t, token in enumerate(tokens)]
        for layer in self.layers:
            x = layer(x)
        return [self.answer(row) for row in x[::2]]  # after each letter

    def losses(self, tokens, numbers):
        return [F.cross_entropy(scores, n) for scores, n in zip(self(tokens), numbers, strict=True)]


def deal(count, rng):
    texts = [text(rng) for _ in range(count)]
    return [written(*one)[:-1] for one in texts], [numbers for _, numbers in texts]


def train(reader, steps):
    compiled = jit(lambda tokens, numbers: F.mean(reader.losses(tokens, numbers)), reader)
    optimizer, rng, curve = Adam(compiled.parameters, lr=0.01), random.Random(2), []
    for _ in range(steps):
        curve.append(compiled.value_and_grad(*deal(32, rng)))
        optimizer.step()
    return [sum(curve[i : i + 20]) / 20 for i in range(steps - 19)]


# %% [markdown]
# **Predict.** One layer with width 22 has about as many parameters as two with width 16. Which of them learns to use
# the examples?
#
# answer it is: (ends["one layer"] < 0.8) + 2 * (ends["two layers"] < 0.8)
#   | none | one layer | two layers | both

# %%
readers = {"one layer": Reader(1, 22), "two layers": Reader(2, 16)}
curves = {name: train(reader, 300 if FAST else 400) for name, reader in readers.items()}
ends = {name: curve[-1] for name, curve in curves.items()}
best = sum(ideal) / PAIRS
for name, reader in readers.items():
    print(f"{name}: {len(reader.parameters()):,} parameters, loss {ends[name]:.3f}; the best possible is {best:.3f}")

# %% tags=["check"]
assert abs(len(readers["one layer"].parameters()) / len(readers["two layers"].parameters()) - 1) < 0.03
assert ends["one layer"] > 1.0
assert ends["two layers"] < best + 0.06

# %%
viz.plot(
    curves | {"best possible": [best] * len(curves["one layer"])}, title="A new code in each text", x="step", y="loss"
)

# %% [markdown]
# One layer learns hardly anything. For two layers nothing happens for a while, and then it falls at once.
#
# ## Loss over examples
#
# **Predict.** Split the loss of the two layers by the number of the pair. What does it do from the first pair to the
# eighth?
#
# answer it: by_pair["two layers"][-1] < 0.5 * by_pair["two layers"][0] | falls | stays the same

# %%
before = readers["two layers"].state_dict()
by_pair = {}
tests = deal(1000, random.Random(99))
for name, reader in readers.items():
    by_pair[name] = [float(loss) for loss in jit(reader.losses, reader).flat(*tests).mean(axis=1)]
    print(f"{name:10}", "  ".join(f"{loss:.2f}" for loss in by_pair[name]))

# %% tags=["check"]
assert readers["two layers"].state_dict() == before  # no weight has changed
assert all(abs(a - b) < 0.12 for a, b in zip(by_pair["two layers"], ideal, strict=True))
assert by_pair["one layer"][-1] > 0.75

# %%
number = range(1, PAIRS + 1)
viz.plot(
    {name: list(zip(number, losses, strict=True)) for name, losses in (by_pair | {"best possible": ideal}).items()},
    title="The more examples, the better",
    x="pair",
    y="loss",
)

# %% [markdown]
# The more examples it has read, the less it is surprised, and the weights stay as they are. That is **in-context
# learning**. With no example in the prompt one speaks of **zero-shot**, with some of **few-shot** prompting (Brown et
# al. 2020, the paper on GPT-3, has it as its title: "Language models are few-shot learners").
#
# ## How does it do that?
#
# Look at both layers, with the text `C2 A0 C2 B1 A`. The dark squares say where each position looks.

# %%
example = written([2, 0, 2, 1, 0], [2, 0, 2, 1, 0])[:-1]
names = ["ABCD0123"[token] for token in example]
with record_calls() as calls:
    readers["two layers"](example)

seen = viz.attention(calls, names)
seen

# %% [markdown]
# The last row is the second `A`. Over eight texts: how much attention goes from a number to the letter just before it
# (layer 1), and from a letter to the numbers that stood behind *the same letter* (layer 2)?

# %%
one_back, same_letter = [], []
rng = random.Random(5)
for _ in range(8):
    letters, numbers = text(rng)
    tokens = written(letters, numbers)[:-1]
    with record_calls() as calls:
        readers["two layers"](tokens)
    first, second = (found.rows for found in viz.attention(calls, [str(t) for t in tokens]).maps)
    one_back += [first[t][t - 1] for t in range(1, len(tokens), 2)]
    for k, letter in enumerate(letters):
        if letter in letters[:k]:
            same_letter.append(sum(second[2 * k][2 * i + 1] for i in range(k) if letters[i] == letter))

on_before, on_same = sum(one_back) / len(one_back), sum(same_letter) / len(same_letter)
print(f"layer 1, on the letter before: {on_before:.0%}; layer 2, on numbers of the same letter: {on_same:.0%}")

# %% tags=["check"]
assert on_before > 0.6
assert on_same > 0.6

# %% [markdown]
# So that is the mechanism, an **induction head** (Olsson et al. 2022), in two steps:
#
# 1. *Layer 1:* every number looks one position back, and writes into its row which letter stood before it.
# 2. *Layer 2:* a letter asks: what stands behind a letter like me? It finds that number, and copies it.
#
# One layer cannot do it. There, the key of a number says what the number is and where it stands, not what stood
# before it; and the letters have keys that fit, but they do not know their number. Two steps need two layers. In
# large models such heads appear suddenly, early in training, and in-context learning appears with them.
#
# ## What does each layer know?
#
# To find out what a row of the stream knows, ask it with a **probe**: one table of weights that is trained to read a
# single thing off the row, on 250 texts, and is tested on 250 others. The model itself stays as it is.
#
# **Predict.** Two things to read off: at a number, the letter that stood before it; at a letter that has occurred
# already, the number that will come. After which layer does a probe get nearly all of them right?
#
# answer the letter before: min(i for i, share in enumerate(known["the letter before"]) if share > 0.9) - 1
#   | layer 1 | layer 2
# answer the number to come: min(i for i, share in enumerate(known["the number to come"]) if share > 0.9) - 1
#   | layer 1 | layer 2


# %%
def streams(tokens):
    reader = readers["two layers"]
    x = [F.add(reader.token(token), reader.position(t)) for t, token in enumerate(tokens)]
    found = [x]
    for layer in reader.layers:
        found.append(layer(found[-1]))
    return [v for stream in found for row in stream for v in row]


texts = [text(random.Random(i)) for i in range(500)]
rows = (
    jit(streams, readers["two layers"]).flat([written(*one)[:-1] for one in texts]).reshape(3, 2 * PAIRS - 1, 16, 500)
)


def letter_before(letters, numbers):
    return [(2 * k + 1, letter) for k, letter in enumerate(letters[:-1])]


def number_to_come(letters, numbers):
    return [(2 * k, numbers[k]) for k, letter in enumerate(letters) if letter in letters[:k]]


def probed(stream, wanted):
    examples = [(rows[stream, t, :, i].tolist(), x) for i, one in enumerate(texts) for t, x in wanted(*one)]
    half, table = len(examples) // 2, Linear(16, 4, rng=random.Random(1))
    reading = jit(lambda row, x: F.cross_entropy(table(row), x), table)
    optimizer = Adam(reading.parameters, lr=0.05)
    for _ in range(150):
        reading.value_and_grad(*zip(*examples[:half], strict=True))
        optimizer.step()
    new, right = zip(*examples[half:], strict=True)
    said = jit(table).flat(new).argmax(axis=0)
    return sum(int(a) == b for a, b in zip(said, right, strict=True)) / len(right)


known = {}
for name, wanted in (("the letter before", letter_before), ("the number to come", number_to_come)):
    known[name] = [probed(stream, wanted) for stream in range(3)]
    print(f"{name:18} before layer 1 {known[name][0]:.0%}, after it {known[name][1]:.0%}, after 2 {known[name][2]:.0%}")

# %% tags=["check"]
assert max(known["the letter before"][0], known["the number to come"][0]) < 0.35
assert known["the letter before"][1] > 0.9
assert known["the number to come"][1] < 0.75
assert known["the number to come"][2] > 0.9

# %% [markdown]
# At first a row knows its own token and its position, and a probe can only guess, one in four. The first layer brings
# the letter, and the second uses it. Each layer builds on what the one before it has found. In language models probes
# find an order, too: kinds of words can be read off early layers, the build of a sentence a little later, and who does
# what to whom last of all (Tenney et al. 2019, for BERT): roughly, syntax before meaning.
#
# ## Writing down the steps
#
# Now the adder, with three digits. The carry is the difficulty: the first digit of `583+467=1050` depends on all
# others. One GPT has to give the answer at once. The other writes down first, from the right, what each column
# gives, with its carry, as we do at school:
#
#     583+467=1050
#     583+467=10 15 10 1050      (it is written without spaces)
#
# The columns are 3+7 = 10, then 8+6+1 = 15, then 5+4+1 = 10.
#
# **Predict.** What are the three columns of 265 + 178?
#
# answer first, on the right: int(columns(265, 178)[:2])
# answer second: int(columns(265, 178)[2:4])
# answer third: int(columns(265, 178)[4:])


# %%
def columns(a, b):
    steps, carry = "", 0
    for place in (1, 10, 100):
        column = a // place % 10 + b // place % 10 + carry
        steps, carry = f"{steps}{column:02}", column // 10
    return steps


def at_once(a, b):
    return f"{a:03}+{b:03}=", f"{a + b:04}"


def with_steps(a, b):
    return f"{a:03}+{b:03}=", f"{columns(a, b)}{a + b:04}"


print("".join(with_steps(583, 467)), columns(265, 178))

# %% tags=["check"]
assert "".join(with_steps(583, 467)) == "583+467=1015101050"
assert columns(265, 178) == "131404"

# %% [markdown]
# Two models with the same shape, the same number of parameters, the same problems, the same number of batches. The
# loss counts the answer only (Supplement 21). Every 100 steps they are given 200 new problems, and write the
# likeliest digits.

# %%
alphabet = "0123456789+="
shape = GPTConfig(vocab_size=12, block_size=17, n_layer=1, n_head=4, n_embd=32)


def encode(text):
    return [alphabet.index(character) for character in text]


def problem(rng):
    return rng.randrange(1000), rng.randrange(1000)


def right(scores, form):
    rng, length = random.Random(99), 7 + len(form(0, 0)[1])
    problems = [problem(rng) for _ in range(200)]
    rows = [encode(form(*one)[0]) for one in problems]
    while len(rows[0]) <= length:
        filled = [row + [0] * (length - len(row)) for row in rows]
        at = (len(rows[0]) - 1) * 12
        for row, token in zip(rows, scores.flat(filled)[at : at + 12].argmax(axis=0), strict=True):
            row.append(int(token))
    return (
        sum("".join(alphabet[t] for t in row[-4:]) == f"{a + b:04}" for row, (a, b) in zip(rows, problems, strict=True))
        / 200
    )


def learn(form, steps, lr=0.005):
    model = GPT(shape, seed=1)
    compiled = jit(model.loss)
    scores = jit(model, compiled.parameters)
    optimizer, rng, seen = AdamW(compiled.parameters, lr=lr, weight_decay=0.0), random.Random(2), []
    counted = len(form(0, 0)[1])
    weights = [0.0] * 7 + [1 / counted] * counted
    for step in range(steps + 1):
        if step % 100 == 0:
            seen.append((step, right(scores, form)))
        rows = [encode("".join(form(*problem(rng)))) for _ in range(32)]
        compiled.value_and_grad([row[:-1] for row in rows], [row[1:] for row in rows], [weights] * 32)
        optimizer.lr = lr * (1 - step / (steps + 1))
        optimizer.step()
    return seen


# %% [markdown]
# **Predict.** Of 200 problems, how many does each of them get right in the end?
#
# answer at once: 200 * sums["at once"][-1][1] ± 40
# answer with steps: 200 * sums["with steps"][-1][1] ± 20

# %%
steps = 300 if FAST else 400
sums = {"at once": learn(at_once, steps), "with steps": learn(with_steps, steps)}
for name, seen in sums.items():
    print(f"{name:10}", "  ".join(f"{step}: {share:.0%}" for step, share in seen))

# %% tags=["check"]
assert sums["with steps"][-1][1] > (0.6 if FAST else 0.9)
assert sums["at once"][-1][1] < sums["with steps"][-1][1] - 0.2

# %%
viz.plot(sums, title="Three digits plus three digits", x="step", y="share of right sums")

# %% [markdown]
# A model computes a fixed amount for each token that it writes. To answer at once, it has to push all carries through
# one pass; to write them down, it has as many passes as characters, and each one is a small task: two digits and a
# carry, all of them in view. What was written is memory. (Twice the training, and the other one learns nearly all sums,
# too: it *can*. It has to find a much harder program.) That is **chain of thought** (Wei et al. 2022; "let's think step
# by step", Kojima et al. 2022), and today's reasoning models are trained to write long ones. It costs: ten characters
# instead of four for each answer here. And it is no proof: a model can write wrong steps and a right answer, or the
# other way round.
#
# ## Exercises
#
# **Exercise 1.** By hand: with five letters instead of four, what does the third pair cost at best, if there are
# still four numbers?

# %% tags=["solution"]
print(round((4 / 5) ** 2 * math.log(4), 3))
assert round((4 / 5) ** 2 * math.log(4), 3) == 0.887

# %% [markdown]
# **Exercise 2.** Somebody lies: `A1 A1 A3`. What does the trained reader expect after the next `A`? Make the text and
# look at the probabilities.

# %% tags=["solution"]
scores = readers["two layers"](written([0, 0, 0, 0], [1, 1, 3, 0])[:-1])[-1]
shares = [p.data for p in F.softmax(scores)]
print([round(p, 2) for p in shares])  # it copies what stood behind an A: a 1 or a 3, never a 0 or a 2
assert shares[1] + shares[3] > 0.8

# %% [markdown]
# **Exercise 3.** Give the seven pairs before the last letter as *one* token each (`C2` is token 4·2 + 2), and then the
# letter alone. Is one layer enough now? (The best possible loss is that of the eighth pair, 0.185.)


# %% tags=["solution"]
class PairReader(Module):
    def __init__(self, width=16):
        rng = random.Random(1)
        self.token = Embedding(20, width, std=0.3, rng=rng)  # 16 pairs, and four letters that ask
        self.layer, self.answer = Attention(width, rng), Linear(width, 4, bias=False, rng=rng)

    def forward(self, tokens):
        return self.answer(self.layer([self.token(t) for t in tokens])[-1])


pair_reader, rng = PairReader(), random.Random(2)
compiled = jit(lambda tokens, number: F.cross_entropy(pair_reader(tokens), number), pair_reader)
optimizer, losses = Adam(compiled.parameters, lr=0.01), []
for _ in range(300):
    texts = [text(rng) for _ in range(32)]
    rows = [[4 * letter + n for letter, n in zip(*one, strict=True)] for one in texts]
    rows = [[*row[:-1], 16 + one[0][-1]] for row, one in zip(rows, texts, strict=True)]
    losses.append(compiled.value_and_grad(rows, [numbers[-1] for _, numbers in texts]))
    optimizer.step()

one_layer = sum(losses[-50:]) / 50
print(f"{one_layer:.2f}")  # yes: the key of C2 says C, and its value says 2; nothing has to be brought together first
assert one_layer < 0.4

# %% [markdown]
# ## Summary
#
# - **In-context learning:** the loss falls with the examples in the prompt; no weight changes. Zero-shot, few-shot.
# - An **induction head** finds what stood behind the same token before, and copies it. It takes two layers.
# - A **probe** reads off a layer what it knows: later layers build on what earlier ones have found.
# - **Chain of thought:** every written token is one more pass and one more piece of memory.
#
# Next: prompts that are filled by a search, and models that use tools, in Supplement 23.
