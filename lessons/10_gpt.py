# %% [markdown]
# # Lesson 10: A GPT
#
# **Question.** Everything is there: numbers that remember, layers, attention, blocks. Put together and fed with
# Shakespeare, does it write?
#
# Today we write the whole model on one page, count it, train it, listen to it, and look inside. Nothing in it is new,
# except what it does.
#
# There are two sittings in this lesson: first the model, its graph and its program; from *Baselines to compare with*
# on, training it, and letting it write.

# %%
import math
import random
from pathlib import Path

import lessons
import viz
from gpt.config import GPTConfig
from gpt.data import ngram
from gpt.data.corpus import DataError, named_text
from gpt.model import GPT
from tinygrad_edu import functional as F
from tinygrad_edu import jit, no_grad, record_calls, topological_order
from tinygrad_edu.compiler import Adam
from tinygrad_edu.nn import Embedding, Linear, Module

FAST = globals().get("FAST", False)

# %% [markdown]
# ## The text
#
# A scene that ships with this course: the balcony, *Romeo and Juliet* II, 2 (the public-domain edition that circulates
# on the web since the 1990s). The full run takes nine plays, 1.1 million characters, which are fetched once; without a
# network a message says so, and the balcony has to do.

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

# %% [markdown]
# ## The whole model
#
# The first cell contains the last two lessons, without the switches.


# %% tags=["model"]
def rms_norm(row):  # (C) → (C)
    scale = (F.dot(row, row) / len(row) + 1e-5) ** -0.5
    return [x * scale for x in row]


def look_at(query, keys):
    scale = len(query) ** -0.5
    return F.softmax([F.dot(query, key) * scale for key in keys])


def mix(weights, values):
    return [F.dot(weights, column) for column in zip(*values, strict=True)]


class Head(Module):
    def forward(self, queries, keys, values):  # (T, size) each → (T, size)
        return [mix(look_at(q, keys[: t + 1]), values[: t + 1]) for t, q in enumerate(queries)]


class Attention(Module):
    def __init__(self, width, heads, rng):
        self.query = Linear(width, width, bias=False, rng=rng)
        self.key = Linear(width, width, bias=False, rng=rng)
        self.value = Linear(width, width, bias=False, rng=rng)
        self.out = Linear(width, width, bias=False, rng=rng)
        self.head = Head()
        self.heads = heads

    def parts(self, x, layer):  # (T, width) → (heads, T, size)
        size = len(x[0]) // self.heads
        rows = [layer(row) for row in x]
        return [[row[h * size : (h + 1) * size] for row in rows] for h in range(self.heads)]

    def forward(self, x):  # (T, width) → (T, width)
        queries, keys, values = (self.parts(x, layer) for layer in (self.query, self.key, self.value))
        found = [self.head(*parts) for parts in zip(queries, keys, values, strict=True)]
        return [self.out([number for head in found for number in head[t]]) for t in range(len(x))]


class FeedForward(Module):
    def __init__(self, width, hidden, rng):
        self.up = Linear(width, hidden, bias=False, rng=rng)
        self.down = Linear(hidden, width, bias=False, rng=rng)

    def forward(self, x):  # (T, width) → (T, width), each position on its own
        return [self.down([z.relu() for z in self.up(row)]) for row in x]


class Block(Module):
    def __init__(self, width, heads, hidden, rng):
        self.attention = Attention(width, heads, rng)
        self.feed_forward = FeedForward(width, hidden, rng)

    def add(self, x, layer):
        return [F.add(old, more) for old, more in zip(x, layer([rms_norm(row) for row in x]), strict=True)]

    def forward(self, x):  # (T, width) → (T, width)
        return self.add(self.add(x, self.attention), self.feed_forward)


# %% [markdown]
# And this is the GPT. A vector for the character plus a vector for its position; the blocks; a last norm; and for each
# position a score per character. The scores are dot products with the very table that the characters came from: "which
# character's vector does the stream point to?" (That saves a table, and is called a *tied* head.)


# %% tags=["model"]
class TinyLM(Module):
    def __init__(self, vocabulary, context=32, width=32, heads=2, hidden=64, layers=1, seed=1):
        rng = random.Random(seed)
        self.token = Embedding(vocabulary, width, std=0.05, rng=rng)
        self.position = Embedding(context, width, std=0.05, rng=rng)
        self.blocks = [Block(width, heads, hidden, rng) for _ in range(layers)]
        self.context = context

    def forward(self, tokens):  # (T) → (T, vocabulary)
        x = [F.add(self.token(token), self.position(t)) for t, token in enumerate(tokens)]  # key: what, plus where
        for block in self.blocks:
            x = block(x)
        return [F.linear(rms_norm(row), self.token.weight) for row in x]

    def loss(self, tokens, targets):  # the targets are the tokens, one position later
        rows = zip(self(tokens), targets, strict=True)
        return F.mean([F.cross_entropy(scores, target) for scores, target in rows])


# %% [markdown]
# **Predict.** Width 32, 2 heads, a hidden layer of 64, a context of 32 positions. How many parameters does it have with
# 40 characters? With 65? (Two tables of vectors, four of the attention, two of the feed-forward.)
#
# answer with 40 characters: len(TinyLM(40).parameters())
# answer with 65 characters: len(TinyLM(65).parameters())

# %%
for vocabulary in (40, 65):
    print(vocabulary, f"{len(TinyLM(vocabulary).parameters()):,}")

# %% tags=["check"]
assert len(TinyLM(40).parameters()) == 40 * 32 + 32 * 32 + 4 * 32 * 32 + 2 * 32 * 64 == 10_496
assert len(TinyLM(65).parameters()) == 65 * 32 + 32 * 32 + 4 * 32 * 32 + 2 * 32 * 64 == 11_296

# %% [markdown]
# Before any training it knows nothing. What does knowing nothing cost? With V characters that are all equally likely,
# each one has probability 1/V, and its surprise is −ln(1/V) = ln V.
#
# **Predict.** The loss of a model with 65 characters before its first step?
#
# answer loss: start ± 0.1

# %%
chance = random.Random(0)
some = [chance.randrange(65) for _ in range(9)]
with no_grad():
    start = TinyLM(65).loss(some[:8], some[1:]).data

print(f"{start:.3f}; ln 65 = {math.log(65):.4f}")

# %% tags=["check"]
assert round(math.log(65), 4) == 4.1744
assert round(math.log(27), 4) == 3.2958
assert abs(start - math.log(65)) < 0.1

# %% [markdown]
# Whenever you start a training, look at the first loss. If it is not near ln V, something is wrong already.
#
# ## Down to a single multiplication
#
# Eight characters of the text, the loss, the gradient, in single numbers.

# %%
model = TinyLM(len(alphabet))
here = text.index("what light") if "what light" in text else 0
eight, next_eight = tokens[here : here + 8], tokens[here + 1 : here + 9]
with record_calls() as calls:
    loss = model.loss(eight, next_eight)

loss.label = "loss"
loss.backward()
print(f"{len(topological_order(loss)):,} Values, loss {loss.data:.4f}")

# %% tags=["check"]
scalar_gradient = [parameter.grad for parameter in model.parameters()]
assert abs(loss.data - math.log(len(alphabet))) < 0.15
assert len(topological_order(loss)) > 100_000

# %% [markdown] tags=["pytorch"]
# ```python
# import torch
#
# def norm(x):
#     return torch.nn.functional.rms_norm(x, x.shape[-1:], eps=1e-5)
#
# def linears(**sizes):
#     return torch.nn.ModuleDict({name: torch.nn.Linear(*size, bias=False) for name, size in sizes.items()})
#
# class BlockInPyTorch(torch.nn.Module):
#     def __init__(self, width, heads, hidden):
#         super().__init__()
#         self.attention = linears(**dict.fromkeys(("query", "key", "value", "out"), (width, width)))
#         self.feed_forward = linears(up=(width, hidden), down=(hidden, width))
#         self.heads = heads
#
#     def attend(self, x):  # (T, width) → (T, width)
#         layers = (self.attention[name] for name in ("query", "key", "value"))
#         q, k, v = (layer(x).view(len(x), self.heads, -1).transpose(0, 1) for layer in layers)  # (heads, T, size)
#         mixed = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
#         return self.attention["out"](mixed.transpose(0, 1).flatten(1))  # the heads side by side again
#
#     def forward(self, x):  # (T, width) → (T, width)
#         x = x + self.attend(norm(x))
#         return x + self.feed_forward["down"](torch.relu(self.feed_forward["up"](norm(x))))
#
# class TinyLMInPyTorch(torch.nn.Module):
#     def __init__(self, vocabulary, context=32, width=32, heads=2, hidden=64, layers=1):
#         super().__init__()
#         self.token = torch.nn.Embedding(vocabulary, width)
#         self.position = torch.nn.Embedding(context, width)
#         self.blocks = torch.nn.ModuleList(BlockInPyTorch(width, heads, hidden) for _ in range(layers))
#
#     def forward(self, tokens):  # (T) → (T, vocabulary)
#         x = self.token(tokens) + self.position(torch.arange(len(tokens)))
#         for block in self.blocks:
#             x = block(x)
#         return norm(x) @ self.token.weight.T
#
# same = TinyLMInPyTorch(len(alphabet))
# same.load_state_dict({name: torch.tensor(numbers) for name, numbers in model.state_dict().items()})
# loss = torch.nn.functional.cross_entropy(same(torch.tensor(eight)), torch.tensor(next_eight))
# loss.backward()
# print(f"loss {loss.item():.6f}, of {sum(p.numel() for p in same.parameters()):,} parameters")
# ```

# %%
viz.draw(loss, calls=calls, budget=20, direction="wrapped")

# %% [markdown]
# The table of characters is used twice, at both ends: two contributions arrive there. And this is where the gradient
# goes, with one line for each head:

# %%
viz.flow(loss, calls=calls, split=["Head"])

# %% [markdown]
# The same model with two numbers per vector and two characters fits on paper: [by_hand.html](by_hand.html), or
# `lesson by-hand` on a terminal, has every product of one training step, and ends in the new weights and the new loss.
#
# On the next page every box opens, from the model down to one multiplication and its chain rule.

# %%
viz.explore(loss, calls=calls, tokens=[text[here + i] for i in range(8)], title="The loss of a GPT")

# %% [markdown]
# ## From scalars to matrices
#
# One step on 32 sequences of 32 characters would be twenty million Values: minutes per step, days for a training. The
# scalars are the truth, but they are slow. Here is what `jit`, which has helped us since Lesson 6, really does. It runs
# the function once and writes down all operations. Then it looks for operations of the same shape on neighboring
# numbers, and packs them into *one* instruction on arrays. It knows no layer: it finds the matrix products.
#
# **Predict.** How many array instructions does this model become?
#
# answer instructions: sum(small.stats().instructions >= most for most in (100, 1000, 10_000))
#   | fewer than a hundred | hundreds | thousands | more than ten thousand

# %%
small = jit(model.loss, dtype="float64")
small_loss = small.value_and_grad([eight], [next_eight])
print(small.summary())
print(f"scalars {loss.data:.12f}, arrays {small_loss:.12f}")

# %% tags=["check"]
assert abs(small_loss - loss.data) < 1e-12
assert max(abs(a - b) for a, b in zip(small.parameters.gradient, scalar_gradient, strict=True)) < 1e-12
assert small.stats().instructions < 100
assert 0.85 < small.stats().scalar_operations / (2 * len(model.parameters()) * len(eight)) < 1.15

# %% [markdown]
# The same loss to twelve digits, and all gradients the same. Count the operations, too: nearly every parameter is in
# one product and one sum for each position. So a pass over the model costs about **two operations per parameter and
# character**, 2 · 11,000 · 8 = 176,000 for our eight. That holds for large models, while the text is not very long
# (Supplement 17 counts what attention adds). This is the program; boxes
# with matrix products are blue:

# %%
viz.draw_program(small)

# %% [markdown]
# ## Stop here if an hour is over
#
# The whole model is there, and nothing in it is hidden:
#
# - A vector for the character plus one for its position, the blocks, a last norm, and a score for each character.
# - Before training its loss is **ln V**. Eight characters are more than 100,000 Values, each with its gradient.
# - `jit` finds the matrix products in them: fewer than a hundred instructions, the same loss, the same gradients.
# - A pass costs about **two operations per parameter and character**.
#
# To begin the second sitting with: *why is the first loss ln V?* So far the model has read nothing. How good is good,
# and what does it write after three thousand steps?

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


# %%
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
# Its model is `gpt/model.py`. Open it: you know every line. It uses the names of GPT-2, as most programs do:
#
# | here | in `gpt/model.py` |
# |---|---|
# | `TinyLM` | `GPT`, which holds a `Transformer` and the head |
# | `Block`, `Attention`, `FeedForward` | `Block`, `CausalSelfAttention`, `FeedForward` |
# | `Head`, `look_at`, `mix` | `AttentionHead` in `tinygrad_edu/nn.py`, `F.attend` |
# | `token`, `position` | `wte`, `wpe`: the token and the position embedding |
# | `blocks` | `h` |
# | `rms_norm` before attention, before feed-forward, at the end | `ln_1`, `ln_2`, `ln_f` |
# | `attention` | `attn` |
# | `query`, `key`, `value` | `c_attn`: one table for all three |
# | `out` | `c_proj` in `attn` |
# | `feed_forward` | `mlp` |
# | `up`, `down` | `c_fc`, `c_proj` in `mlp` |
# | the tied head | `lm_head`: a separate table, unless it is tied as here |
# | `width`, `heads`, `layers`, `context` | `n_embd`, `n_head`, `n_layer`, `block_size` |
#
# Is the table right? Put your trained numbers under the other names, and ask both models the same.

# %%
theirs = GPT(
    GPTConfig(vocab_size=len(alphabet), block_size=32, n_layer=1, n_head=2, n_embd=32, mlp_ratio=2, tied_head=True)
)
transformer, mine, other = theirs.transformer, model.blocks[0], theirs.transformer.h[0]
renamed = [
    (model.token.weight, transformer.wte.weight),
    (model.position.weight, transformer.wpe.weight),
    (mine.attention.query.weight + mine.attention.key.weight + mine.attention.value.weight, other.attn.c_attn.weight),
    (mine.attention.out.weight, other.attn.c_proj.weight),
    (mine.feed_forward.up.weight, other.mlp.c_fc.weight),
    (mine.feed_forward.down.weight, other.mlp.c_proj.weight),
]
for ours, table in renamed:
    for row, other_row in zip(ours, table, strict=True):
        for number, other_number in zip(row, other_row, strict=True):
            other_number.data = number.data

question = [alphabet.index(character) for character in "ROMEO:"]
with no_grad():
    answers = [[score.data for row in network(question) for score in row] for network in (model, theirs)]

apart = max(abs(a - b) for a, b in zip(*answers, strict=True))
print(f"{len(answers[0])} scores, largest difference {apart:.0e}")

# %% tags=["check"]
assert len(theirs.parameters()) == len(model.parameters())
assert len(answers[0]) == 6 * len(alphabet)
assert apart < 1e-9

# %% [markdown]
# ## Exercises
#
# **Exercise 1.** By hand: the parameters of a TinyLM with two blocks of width 64, 4 heads, a hidden layer of 128, a
# context of 64 and 65 characters. Then ask Python.

# %% tags=["solution"]
count = len(TinyLM(65, context=64, width=64, heads=4, hidden=128, layers=2).parameters())
print(f"{count:,}")
assert count == 65 * 64 + 64 * 64 + 2 * (4 * 64 * 64 + 2 * 64 * 128) == 73_792

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
# - **GPT:** vectors for characters and positions → blocks → a last norm → a score for each character.
# - Before training the loss is **ln V**; after it, compare with what counting reaches, not with 0.
# - **Perplexity** is e^loss. **Temperature**, **top-k** and **top-p** choose between dull and absurd.
# - The one that crosses p takes part.
# - **KV cache:** keys and values of earlier positions never change; 2 · layers · positions · width numbers.
# - A compiler finds the matrix products in the scalar program; losses and gradients stay the same.
# - From `L = (a·b + c)·f` to here there was nothing but single numbers and the chain rule.
