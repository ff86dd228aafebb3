# %% [markdown]
# # Lesson 10b: The GPT reads and writes
#
# **Question.** The model of Lesson 10 has read nothing yet. Fed with Shakespeare, does it write?
#
# Today you train it, and compare it with what counting reaches. You choose its characters, listen to it after every few
# hundred steps, and make it write without reading everything again.

# %%
import math
import random
from pathlib import Path

import lessons
import viz
from gpt.data import ngram
from gpt.data.corpus import DataError, named_text
from lessons.built import FeedForward, TinyLM, look_at, mix, rms_norm
from tinygrad_edu import functional as F
from tinygrad_edu import jit, no_grad, record_calls
from tinygrad_edu.compiler import Adam

FAST = globals().get("FAST", False)

# %% [markdown]
# ## What you have
#
# - **GPT:** a vector for the character plus one for its position, the blocks, a last norm, a score for each character.
# - Before training its loss is **ln V**, as all V characters are equally likely.
# - Scalars are slow. `jit` turns the same calculation into fewer than a hundred array instructions.
#
# `TinyLM` is your model of Lesson 10, word for word, from `lessons/built.py`. For training, the balcony is too short.
# The full run takes nine plays, 1.1 million characters, which are fetched once; without a network a message says so,
# and the balcony has to do.

# %%
text = (Path(lessons.__file__).parent / "data" / "balcony.txt").read_text(encoding="utf-8")
if not FAST:
    try:
        text = named_text("shakespeare")
    except DataError as error:
        print(error, "For now: the balcony alone.")

alphabet = sorted(set(text))
tokens = [alphabet.index(character) for character in text]
split = len(tokens) * 9 // 10
training, validation = tokens[:split], tokens[split:]
print(f"{len(text):,} characters, {len(alphabet)} different ones: {''.join(alphabet)!r}")

# %%
model = TinyLM(len(alphabet))
here = text.index("what light") if "what light" in text else 0
with record_calls() as calls:
    loss = model.loss(tokens[here : here + 8], tokens[here + 1 : here + 9])

loss.label = "loss"
loss.backward()
print(f"{len(model.parameters()):,} parameters, loss {loss.data:.2f}, ln V = {math.log(len(alphabet)):.2f}")
viz.draw(loss, calls=calls, budget=12)

# %% tags=["check"]
assert len(model.parameters()) == 32 * len(alphabet) + 32 * 32 + 4 * 32 * 32 + 2 * 32 * 64
assert abs(loss.data - math.log(len(alphabet))) < 0.15

# %% [markdown]
# ## Baselines to compare with
#
# "Is 2.3 a good loss?" That depends on the baseline. What does *counting* reach on this text: single characters,
# pairs, triples?

# %%
baselines = ngram.baselines(training, validation, len(alphabet))
for baseline in baselines:
    print(f"{baseline.name:8} {baseline.loss:.3f}  perplexity {math.exp(baseline.loss):5.1f}  knows {baseline.counts}")

losses_of = {baseline.name: baseline.loss for baseline in baselines}

# %% tags=["check"]
assert losses_of["uniform"] == math.log(len(alphabet))
assert losses_of["uniform"] > losses_of["unigram"] > losses_of["bigram"]
if len(text) > 1_000_000:  # the nine plays
    assert abs(losses_of["bigram"] - 2.48) < 0.03
    assert abs(losses_of["trigram"] - 2.05) < 0.03

# %% [markdown]
# **Perplexity** is e^loss: the number of equally likely characters that would be as uncertain. For *uniform* that is
# the whole alphabet.
#
# ## Writing
#
# The model gives a score to every character. How do we choose one? Always the highest is dull: the same phrase again
# and again. A random choice by the softmax probabilities is lively, and now and then absurd. Three knobs are in
# between:
#
# - **temperature**: divide the scores by it. Below 1 bolder, above 1 wilder.
# - **top-k**: only the k most likely characters take part.
# - **top-p**: the most likely characters take part until their probabilities add up to p.


# %% tags=["model"]
def distribution(scores, temperature=1.0, top_k=None, top_p=1.0):
    order = sorted(range(len(scores)), key=lambda i: -scores[i])[:top_k]
    powers = [math.exp((scores[i] - scores[order[0]]) / temperature) for i in order]
    total, kept = sum(powers), 0.0
    probabilities = [0.0] * len(scores)
    for i, power in zip(order, powers, strict=True):
        probabilities[i] = power if kept < top_p * total else 0.0  # key: the one that reaches p still takes part
        kept += power
    return [p / sum(probabilities) for p in probabilities]


# %% [markdown]
# **Predict.** Four characters have the probabilities 0.5, 0.3, 0.15 and 0.05. How many take part at top-p 0.9? And with
# 0.95 and 0.05?
#
# answer with top-p 0.9: sum(p > 0 for p in distribution(logs, top_p=0.9))
# answer of 0.95 and 0.05: sum(p > 0 for p in distribution([math.log(0.95), math.log(0.05)], top_p=0.9))

# %%
logs = [math.log(p) for p in (0.5, 0.3, 0.15, 0.05)]
print([round(p, 3) for p in distribution(logs, top_p=0.9)])
print([round(p, 3) for p in distribution([math.log(0.95), math.log(0.05)], top_p=0.9)])
print([round(p, 3) for p in distribution([2.0, 1.0, 0.1], temperature=0.5)])

# %% tags=["check"]
assert sum(p > 0 for p in distribution(logs, top_p=0.9)) == 3
assert distribution([math.log(0.95), math.log(0.05)], top_p=0.9) == [1.0, 0.0]
assert [round(p, 3) for p in distribution([2.0, 1.0, 0.1], temperature=0.5)] == [0.864, 0.117, 0.019]
assert [p > 0 for p in distribution(logs, top_k=2)] == [True, True, False, False]

# %% [markdown]
# Three: 0.5 and 0.3 are only 0.8, so the third must come along. Programs that drop the character that crosses p have
# nothing left in the second example, and divide by zero.
#
# ## Training
#
# Random pieces of 32 characters, 32 at a time. The validation part of the text is never trained on. The learning rate
# rises at the beginning and falls toward the end.
#
# **Predict.** 3,000 steps. What will the loss on new text have passed at the end: what single characters reach, what
# pairs reach, or even what triples reach?
#
# answer it passes: sum(final < losses_of[name] for name in ("unigram", "bigram", "trigram"))
#   | none of them | single characters | pairs | triples


# %%
def batch(source, count, rng):
    starts = [rng.randrange(len(source) - 32) for _ in range(count)]
    return [source[s : s + 32] for s in starts], [source[s + 1 : s + 33] for s in starts]


compiled = jit(model.loss, model)
scores_of = jit(model, compiled.parameters)


def write(prompt, length, seed=7, **knobs):
    rng, written = random.Random(seed), [alphabet.index(character) for character in prompt]
    for _ in range(length):
        seen = written[-32:]
        scores = scores_of.flat([seen + [0] * (32 - len(seen))])[:, 0]  # after the last position: never seen
        last = scores[(len(seen) - 1) * len(alphabet) :][: len(alphabet)].tolist()
        written += rng.choices(range(len(alphabet)), distribution(last, **knobs))
    return "".join(alphabet[token] for token in written)


steps = 300 if FAST else 3000
rng = random.Random(2)
held_out = batch(validation, 256, random.Random(3))
optimizer = Adam(compiled.parameters, lr=0.01)
losses, validated, samples = [], [], {}
for step in range(steps + 1):
    if step % (steps // 10) == 0:
        validated.append((step, float(compiled(*held_out).mean())))
    if step in (0, steps // 20, steps // 4, steps):
        samples[step] = write("JULIET:\n", 100, temperature=0.8)
    losses.append(compiled.value_and_grad(*batch(training, 32, rng)))
    optimizer.lr = 0.01 * min((step + 1) / 100, 1 - 0.9 * step / steps)
    optimizer.step()

final = validated[-1][1]
print(f"loss on new text {validated[0][1]:.2f} → {final:.2f}: {ngram.verdict(final, baselines)}")

# %% tags=["check"]
assert abs(validated[0][1] - math.log(len(alphabet))) < 0.1
assert final < losses_of["bigram"]
assert 20e6 < 32 * compiled.stats().scalar_operations < 25e6  # one step, in single operations
if len(text) > 1_000_000 and not FAST:
    assert final < losses_of["trigram"]

# %%
smooth = [(i + 10, sum(losses[i : i + 20]) / 20) for i in range(0, len(losses) - 20, 10)]
rows = {name: [(0, losses_of[name]), (steps, losses_of[name])] for name in ("bigram", "trigram")}
curves = {"training": smooth, "new text": validated, **rows}
viz.plot(curves, title="A GPT learns to read", x="step", y="nats per character")

# %% [markdown]
# How it learned to write, from the first step to the last:

# %%
for step, sample in samples.items():
    print(f"--- after {step} steps\n{sample}\n")

# %% tags=["check"]
pairs = {text[i : i + 2] for i in range(len(text) - 1)}
known = [sum(sample[i : i + 2] in pairs for i in range(8, 107)) / 99 for sample in samples.values()]
assert known[0] < 0.7  # of the pairs of characters in a sample: how many the text has, too
assert known[-1] > 0.9

# %% [markdown]
# First noise; then the lengths of words, and spaces where spaces belong; then syllables; then names, with a colon and
# a new line; then words. It has never been told that there is such a thing as a word.
#
# The knobs at work, on the same model:

# %%
for knobs in ({"top_k": 1}, {"temperature": 0.6}, {"temperature": 1.5}, {"top_p": 0.8}):
    print(f"--- {knobs}\n{write('ROMEO:', 80, **knobs)}\n")

# %% tags=["check"]
assert write("ROMEO:", 30, top_k=1) == write("ROMEO:", 30, top_k=1, seed=8)  # with one candidate there is no chance

# %% [markdown]
# And what does it attend to? The two heads, over a line:

# %%
line = "JULIET:\nO Romeo"
with record_calls() as calls:
    scores = model([alphabet.index(character) for character in line])

viz.attention(calls, list(line), kind="Head")

# %% [markdown]
# How surprised is it by this line, and what would it change after it? The gradient of a trained model, part by part:

# %%
seen = [alphabet.index(character) for character in line]
with record_calls() as calls:
    loss = model.loss(seen[:-1], seen[1:])

loss.backward()
print(f"loss {loss.data:.2f}")
viz.flow(loss, calls=calls, split=["Head"])

# %% tags=["check"]
assert loss.data < losses_of["bigram"]

# %% [markdown]
# A gradient that is not 0 is no mistake: it says how this one line would move the numbers, and other lines move them
# back.
#
# **Play.** Train one here, then open it: type a text, see what it expects, and switch a head off
# (`play.html#screen=train`).

# %% [markdown]
# ## Keeping keys and values
#
# To write the next character, the model reads all earlier ones again. But causal means: nothing later changes what an
# earlier position has computed. So its keys and values can be kept (the **KV cache**), and a new character costs only
# one position.
#
# **Predict.** To write 32 characters from an empty page: how many positions are computed without the cache, and how
# many with it? How many numbers does the cache of our model hold in the end?
#
# answer positions without the cache: sum(range(1, 33))
# answer positions with it: len(range(1, 33))
# answer numbers in the cache: sum(len(row) for keys, values in kept for row in keys + values) * 32 / len(line)


# %%
def one_more(model, token, kept):
    t = len(kept[0][0])
    x = F.add(model.token(token), model.position(t))
    for block, (keys, values) in zip(model.blocks, kept, strict=True):
        row, attention, found = rms_norm(x), block.attention, []
        keys.append(attention.key(row))
        values.append(attention.value(row))
        query, size = attention.query(row), len(row) // attention.heads
        for h in range(attention.heads):
            part = slice(h * size, (h + 1) * size)
            found += mix(look_at(query[part], [k[part] for k in keys]), [v[part] for v in values])
        x = F.add(x, attention.out(found))
        x = F.add(x, block.feed_forward([rms_norm(x)])[0])
    return F.linear(rms_norm(x), model.token.weight)


kept = [([], []) for _ in model.blocks]
with no_grad():
    again = [one_more(model, alphabet.index(character), kept) for character in line]

largest = max(abs(a.data - b.data) for x, y in zip(again, scores, strict=True) for a, b in zip(x, y, strict=True))
print(f"largest difference {largest:.0e}")
print(f"positions: {sum(range(1, 33))} without, 32 with; numbers kept: {2 * 1 * 32 * 32:,}")

# %% tags=["check"]
assert largest < 1e-12
assert sum(range(1, 33)) == 528
numbers = sum(len(row) for keys, values in kept for row in (*keys, *values))
assert numbers == 2 * 1 * len(line) * 32  # keys and values, layers, positions, width
assert 2 * 12 * 1024 * 768 * 4 == 75_497_472

# %% [markdown]
# The count begins with 2: keys *and* values, which many pages forget. For GPT-2 (12 layers, 1,024 positions, width 768,
# 4 bytes each) that is 2 · 12 · 1,024 · 768 · 4 = 75 million bytes for one text. For large models serving many people
# the cache is what fills the memory.
#
# ## Where you are
#
# This is a GPT: the same parts, in the same order, as in the large ones. What they have more of is everything: 12,288
# numbers per position in GPT-3 instead of 32, 96 blocks of 96 heads instead of one block of two, and 300 billion tokens
# of the web and of books instead of nine plays. `python3 run.py` trains a larger one than today's (110,592 parameters)
# in a minute or two.
#
# Its model is `gpt/model.py`. In Lesson 10 you put your numbers under its names, and it gave your scores.

# %% [markdown]
# ## Exercises
#
# **Exercise 1.** By hand: three characters have the scores 2, 1 and 0. Which probabilities do they get with top-k 2?
# And with temperature 0.5, without top-k, what is the ratio of the first to the second? Then ask `distribution`.

# %% tags=["solution"]
two = distribution([2.0, 1.0, 0.0], top_k=2)
bolder = distribution([2.0, 1.0, 0.0], temperature=0.5)
print([round(p, 4) for p in two], f"{bolder[0] / bolder[1]:.3f}")  # e/(e + 1), and e² instead of e
assert abs(two[0] - math.e / (math.e + 1)) < 1e-12
assert two[2] == 0
assert abs(bolder[0] / bolder[1] - math.e**2) < 1e-12

# %% [markdown]
# **Exercise 2.** A bug that everyone writes once: the targets are the tokens themselves, not shifted by one. Train a
# new model like that for 100 steps. How low does the loss go, and what does the model write?

# %% tags=["solution"]
wrong = TinyLM(len(alphabet))
wrong_loss = jit(wrong.loss, wrong)
optimizer = Adam(wrong_loss.parameters, lr=0.01)
for _ in range(100):
    sequences, _ = batch(training, 32, rng)
    copied = wrong_loss.value_and_grad(sequences, sequences)
    optimizer.step()

print(f"{copied:.3f}")  # nearly 0: it repeats what it sees, "JJJJJJJ". A loss that is too good is a bug, too
assert copied < 0.1

# %% [markdown]
# **Exercise 3.** Take the positions away: set all vectors of `model.position` to 0 *after* training, and measure the
# loss on new text. How much does the model know about order?

# %% tags=["solution"]
for row in model.position.weight:
    for value in row:
        value.data = 0.0

blind = float(jit(model.loss, model)(*held_out).mean())
print(f"{final:.2f} → {blind:.2f}")  # only the causal mask still tells it a little about where it is
assert blind > final + 0.1

# %% [markdown]
# **Exercise 4.** GPT-2 has GELU where our feed-forward part has ReLU (Supplement 19 draws both). Change that one word,
# and train two new models for 300 steps, one with each. Does it matter here?


# %% tags=["solution"]
class SmoothFeedForward(FeedForward):
    def forward(self, x):
        return [self.down([z.gelu() for z in self.up(row)]) for row in x]


ends = {}
for name, kind in (("ReLU", FeedForward), ("GELU", SmoothFeedForward)):
    other, rng = TinyLM(len(alphabet)), random.Random(2)
    other.blocks[0].feed_forward = kind(32, 64, random.Random(3))
    other_loss = jit(other.loss, other)
    optimizer = Adam(other_loss.parameters, lr=0.01)
    for _ in range(60 if FAST else 300):
        other_loss.value_and_grad(*batch(training, 32, rng))
        optimizer.step()
    ends[name] = float(other_loss(*held_out).mean())

print({name: round(loss, 3) for name, loss in ends.items()})  # hardly: two seeds of one kind differ as much
assert abs(ends["ReLU"] - ends["GELU"]) < 0.1

# %% [markdown]
# ## Summary
#
# - After training, compare the loss with what counting reaches, not with 0. **Perplexity** is e^loss.
# - **Temperature**, **top-k** and **top-p** choose between dull and absurd. The one that crosses p takes part.
# - From noise to words: lengths, syllables, names, and nobody has told it that there are words.
# - **KV cache:** keys and values of earlier positions never change; 2 · layers · positions · width numbers.
# - From `L = (a·b + c)·f` to here there was nothing but single numbers and the chain rule.
