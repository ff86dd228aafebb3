# %% [markdown]
# # Supplement 25: Serving a model: guesses, pages, longer texts
#
# **Question.** A trained model is to answer many people, quickly, in little memory, and at texts longer than those it
# was trained on. What can be done without training it again?
#
# Follows Lesson 10b (the cache of keys and values) and Supplement 4 (rotary positions).

# %%
import math
import random
from collections import Counter
from pathlib import Path

import lessons
import viz
from gpt.config import GPTConfig
from gpt.model import GPT, LayerCache
from tinygrad_edu import functional as F
from tinygrad_edu import jit
from tinygrad_edu.compiler import AdamW
from tinygrad_edu.nn import AttentionHead, Embedding, Linear, Module

FAST = globals().get("FAST", False)

# %% [markdown]
# ## Two models of names
#
# A large one, and a small one that is much cheaper. Both have one block, rotary positions with the hands of
# Supplement 4, and heads of size 8. Both are trained on texts of 16 characters.

# %%
alphabet = ".abcdefghijklmnopqrstuvwxyz"
names = (Path(lessons.__file__).parent / "data" / "names.txt").read_text(encoding="utf-8").split()
random.Random(0).shuffle(names)
SIZE, HEAD, LENGTH = len(alphabet), 8, 16


def tokens(names):
    return [alphabet.index(character) for character in "." + ".".join(names) + "."]


def batch(tokens, count, length, rng):
    starts = [rng.randrange(len(tokens) - length) for _ in range(count)]
    return [tokens[s : s + length] for s in starts], [tokens[s + 1 : s + length + 1] for s in starts]


def turn(x, position, base):
    turned = []
    for i in range(0, len(x), 2):
        angle = position / base ** (i / len(x))
        a, b = x[i], x[i + 1]
        turned += [a * math.cos(angle) - b * math.sin(angle), a * math.sin(angle) + b * math.cos(angle)]
    return turned


class Writer(Module):
    def __init__(self, width, seed=1):
        rng = random.Random(seed)
        self.token = Embedding(SIZE, width, std=0.2, rng=rng)
        self.query, self.key, self.value, self.mix = (Linear(width, width, bias=False, rng=rng) for _ in range(4))
        self.wide, self.narrow = Linear(width, 2 * width, rng=rng), Linear(2 * width, width, rng=rng)
        self.answer, self.head = Linear(width, SIZE, bias=False, rng=rng), AttentionHead()
        self._base, self._unit = 10000.0, 1.0

    def forward(self, text):
        x = [self.token(t) for t in text]
        rows = [F.rms_norm(row) for row in x]
        queries, keys, values = ([table(row) for row in rows] for table in (self.query, self.key, self.value))
        mixed = [[] for _ in x]
        for h in range(0, len(x[0]), HEAD):
            q, k = (
                [turn(row[h : h + HEAD], t / self._unit, self._base) for t, row in enumerate(part)]
                for part in (queries, keys)
            )
            for row, found in zip(mixed, self.head(q, k, [row[h : h + HEAD] for row in values]), strict=True):
                row += found
        x = [F.add(row, self.mix(m)) for row, m in zip(x, mixed, strict=True)]
        x = [F.add(row, self.narrow([v.maximum(0.0) for v in self.wide(F.rms_norm(row))])) for row in x]
        return [self.answer(F.rms_norm(row)) for row in x]

    def losses(self, text, targets):
        return [F.cross_entropy(scores, t) for scores, t in zip(self(text), targets, strict=True)]


def train(model, steps, lr=0.01):
    compiled = jit(lambda text, targets: F.mean(model.losses(text, targets)), model)
    optimizer, rng = AdamW(compiled.parameters, lr=lr), random.Random(2)
    for step in range(steps):
        loss = compiled.value_and_grad(*batch(tokens(names[:1800]), 32, LENGTH, rng))
        optimizer.lr = lr * (1 - step / steps)
        optimizer.step()
    print(f"{len(model.parameters()):,} parameters, loss {loss:.2f}")
    return model


large, small = train(Writer(32), 250 if FAST else 350), train(Writer(8), 150)

# %% [markdown]
# ## Speculative decoding
#
# A large model writes one token per pass, and each pass has to read all its weights. But it can *check* several
# characters in one pass: it answers at every position at once, as in training. So let the small model guess three
# characters ahead, and let the large one check them all in one pass (Leviathan et al. 2022; Chen et al. 2023).
#
# When is a guess accepted? The small model has drawn a token from its probabilities q, the large one would have drawn
# from p. The rule:
#
# - accept the token with probability min(1, p/q);
# - if it is rejected, draw from what p has more than q, max(0, p − q), and stop there;
# - if all are accepted, draw one more from p: the large model has computed that, too.
#
# **Predict.** p = (0.5, 0.3, 0.2), and q = (0.2, 0.5, 0.3). How often is a guess accepted? A rejected guess is
# replaced: by which token?
#
# answer accepted: accepted([0.5, 0.3, 0.2], [0.2, 0.5, 0.3])
# answer the replacement: rest([0.5, 0.3, 0.2], [0.2, 0.5, 0.3])[0] > 0.99 | always the first | any of the three


# %%
def accepted(p, q):
    return sum(min(a, b) for a, b in zip(p, q, strict=True))  # Σ q · min(1, p/q)


def rest(p, q):
    more = [max(0.0, a - b) for a, b in zip(p, q, strict=True)]
    return [m / sum(more) for m in more] if sum(more) else p


def comes_out(p, q):
    """The probability of each token after the rule."""
    rejected = 1 - accepted(p, q)
    return [min(a, b) + rejected * r for a, b, r in zip(p, q, rest(p, q), strict=True)]


p, q = [0.5, 0.3, 0.2], [0.2, 0.5, 0.3]
print(f"accepted {accepted(p, q):.2f}, rest {rest(p, q)}, together {[round(x, 12) for x in comes_out(p, q)]}")

# %% tags=["check"]
assert round(accepted(p, q), 12) == 0.7
assert [round(x, 12) for x in rest(p, q)] == [1.0, 0.0, 0.0]
assert all(abs(a - b) < 1e-12 for a, b in zip(comes_out(p, q), p, strict=True))

# %% [markdown]
# 0.2 + 0.3 + 0.2 = 0.7; the rest is all on the first token, 0.3. Together: 0.2 + 0.3 = 0.5, 0.3 and 0.2. That is p,
# *exactly*. The small model decides how fast it goes, and not what comes out. Now with the two models:

# %%
scores = {model: jit(model) for model in (large, small)}
passes = Counter()


def probabilities(model, text):
    """The distribution after each character of the text."""
    passes[model] += 1
    columns = scores[model].flat([text + [0] * (LENGTH - len(text))]).reshape(LENGTH, SIZE)[: len(text)].tolist()
    powers = [[math.exp(x) for x in column] for column in columns]
    return [[power / sum(column) for power in column] for column in powers]


def plain(rng):
    text = [0]
    while len(text) < 12 and (len(text) == 1 or text[-1] != 0):
        text += rng.choices(range(SIZE), probabilities(large, text)[-1])
    return text


tried = Counter()


def check(p, q, guess, rng):
    keep = rng.random() < p[guess] / q[guess]
    return keep, guess if keep else rng.choices(range(len(p)), rest(p, q))[0]


def speculative(rng, ahead=3):
    text = [0]
    while len(text) < 12 and (len(text) == 1 or text[-1] != 0):
        guesses, guessed_with = list(text), []
        for _ in range(ahead):
            guessed_with.append(probabilities(small, guesses)[-1])
            guesses += rng.choices(range(SIZE), guessed_with[-1])
        checked = probabilities(large, guesses)  # key: one pass for all guesses
        for q in guessed_with:
            keep, token = check(checked[len(text) - 1], q, guesses[len(text)], rng)
            tried[keep] += 1
            text.append(token)
            if not keep or text[-1] == 0 or len(text) == 12:
                break
        else:
            text += rng.choices(range(SIZE), checked[len(text) - 1])
    return text


# %% [markdown]
# **Predict.** If each guess is accepted with probability a, a pass of the large model gives 1 + a + a² + a³
# characters on average. How many are that for a = 0.7?
#
# answer characters per pass: 1 + 0.7 + 0.7**2 + 0.7**3

# %%
count = 150 if FAST else 250
rng = random.Random(5)
one_by_one = [plain(rng) for _ in range(count)]
passes_plain = passes[large]
passes.clear()
ahead = [speculative(rng) for _ in range(count)]
characters = sum(len(text) - 1 for text in ahead)
share = tried[True] / sum(tried.values())
per_pass = characters / passes[large]
for text in ahead[:6]:
    print("".join(alphabet[t] for t in text[1:]), end=" ")

print(f"\nplain: {sum(len(t) - 1 for t in one_by_one) / passes_plain:.2f} characters per pass of the large model")
print(f"with guesses: {per_pass:.2f}; accepted {share:.0%}; for each {passes[small] / passes[large]:.0f} small passes")

# %% tags=["check"]
assert sum(len(t) - 1 for t in one_by_one) == passes_plain
assert 0.5 < share < 0.95
assert per_pass > 1.5
assert per_pass < 1 + 0.95 + 0.95**2 + 0.95**3
for text in ahead[:20]:  # exact at every position, for any guess of the small model
    for p, q in zip(probabilities(large, text), probabilities(small, text), strict=True):
        assert max(abs(a - b) for a, b in zip(comes_out(p, q), p, strict=True)) < 1e-9

# %% [markdown]
# And a test of counts: 20,000 first letters, guessed by the small model and checked by the large one. How far are
# their shares from those of the large model, and how far are those of the small one?

# %%
exact, cheap, draws = probabilities(large, [0])[0], probabilities(small, [0])[0], 20_000
guesses = rng.choices(range(SIZE), cheap, k=draws)
counts = Counter(check(exact, cheap, guess, rng)[1] for guess in guesses)


def distance(shares):
    return sum(abs(share - x) for share, x in zip(shares, exact, strict=True)) / 2


counted = distance([counts[t] / draws for t in range(SIZE)])
chance = sum(math.sqrt(2 * x * (1 - x) / (math.pi * draws)) for x in exact) / 2  # what 20,000 draws from p have
print(f"counted {counted:.4f}, by chance {chance:.4f}; the small model {distance(cheap):.4f}")

# %%
order = sorted(range(SIZE), key=lambda t: -exact[t])[:12]
ways = {"large model": exact, "guessed and checked": [counts[t] / draws for t in range(SIZE)], "small model": cheap}
viz.plot(
    {name: [(i + 1, shares[t]) for i, t in enumerate(order)] for name, shares in ways.items()},
    title="First letters: " + " ".join(alphabet[t] for t in order),
    x="letter, the most probable first",
    y="share",
)

# %% tags=["check"]
assert counted < 2 * chance
assert distance(cheap) > 3 * chance
assert abs(sum(map(len, ahead)) / count - sum(map(len, one_by_one)) / count) < 1

# %% [markdown]
# The checked letters are as far away as chance makes them, and not where the small model would have gone. How much
# *time* is saved depends on the small model: with c for the price of one of its passes, measured in passes of the
# large one, the speedup is (characters per pass) / (1 + 3·c). On a large machine a pass takes as long as reading the
# weights does, so c is about the ratio of the sizes.

# %%
c = len(small.parameters()) / len(large.parameters())
print(f"c = {c:.2f}: {per_pass / (1 + 3 * c):.1f} times as fast")

# %% tags=["check"]
assert c < 0.15
assert per_pass / (1 + 3 * c) > 1.2

# %% [markdown]
# ## The cache, in pages
#
# For each token, a server keeps keys and values (Lesson 10b). A model with 32 layers of width 4,096 keeps 2 · 32 ·
# 4,096 numbers of 2 bytes, half a megabyte for each token, a gigabyte for a text of 2,048. Nobody knows how long an
# answer will be. So the simplest server reserves the longest possible text for each request.
#
# **Predict.** Three texts have 5, 20 and 33 tokens; the longest possible has 64. How many places are reserved? And if
# memory is given out in *pages* of 8 tokens, as they are needed?
#
# answer reserved: 3 * 64
# answer in pages: places_in_pages([5, 20, 33])

# %%
PAGE, LONGEST = 8, 64


def places_in_pages(lengths):
    return PAGE * sum(math.ceil(length / PAGE) for length in lengths)


print(f"used {sum([5, 20, 33])}, reserved {3 * LONGEST}, in pages {places_in_pages([5, 20, 33])}")

rng = random.Random(4)
requests = [min(LONGEST, 4 + int(rng.expovariate(1 / 14))) for _ in range(1000)]
used = {
    "reserved": sum(requests) / (LONGEST * len(requests)),
    "in pages": sum(requests) / places_in_pages(requests),
}
print("; ".join(f"{way}: {share:.0%} of the memory holds tokens" for way, share in used.items()))

# %% tags=["check"]
assert 2 * 32 * 4096 * 2 == 2**19
assert places_in_pages([5, 20, 33]) == 72
assert used["reserved"] < 0.4
assert used["in pages"] > 0.75

# %% [markdown]
# 1 + 3 + 5 pages, 72 places instead of 192. Only the end of each last page is empty (**internal fragmentation**). Is
# there a simpler way: reserve exactly as much as is needed, in one piece? Suppose a fortune teller knows all lengths.
# Requests come and go; a new one takes the first hole that is large enough.


# %%
def serve(fits_anywhere, places=512, rounds=3000):
    """How often a request had to wait although there was enough free memory in all."""
    rng, running, refused = random.Random(6), {}, 0
    for number in range(rounds):
        if running and rng.random() < 0.48:
            running.pop(rng.choice(sorted(running)))
        length = rng.choice(requests)
        if sum(size for _, size in running.values()) + length > places:
            continue  # truly full
        if fits_anywhere:
            start = 0
        else:
            ends = sorted([(start, start + size) for start, size in running.values()] + [(places, places)])
            start = 0
            for first, end in ends:
                if first - start >= length:
                    break
                start = end
            else:  # there is no hole of this size
                refused += 1
                continue
        running[number] = (start, length)
    return refused


holes = serve(fits_anywhere=False)
print(f"in one piece: {holes} requests of 3,000 find no hole although enough is free; in pages {serve(True)}")

# %% tags=["check"]
assert holes > 20
assert serve(True) == 0

# %% [markdown]
# Holes between the pieces that fit nobody: **external fragmentation**. Pages have none, because a text need not be in
# one piece: a table says which page comes next, as in the memory of every computer. That is **PagedAttention** (Kwon
# et al. 2023, vLLM). Does the model notice? A cache in pages for our own GPT:


# %%
class PagedLayer(LayerCache):
    def __init__(self, n_head, memory, free):
        super().__init__(n_head)
        self.memory, self.free = memory, free
        self.table = [[] for _ in range(n_head)]  # which pages, in order

    def extend(self, head, keys, values):
        for pair in zip(keys, values, strict=True):
            if not self.table[head] or len(self.memory[self.table[head][-1]]) == PAGE:
                self.table[head].append(self.free.pop())  # key: any free page will do
            self.memory[self.table[head][-1]].append(pair)
        found = [pair for page in self.table[head] for pair in self.memory[page]]
        self.keys[head] = [key for key, _ in found]  # gathered for the attention
        return self.keys[head], [value for _, value in found]


class PagedCache:
    def __init__(self, config, memory, free):
        self.layers = [PagedLayer(config.n_head, memory, free) for _ in range(config.n_layer)]

    def __len__(self):
        return len(self.layers[0].keys[0])


config = GPTConfig(vocab_size=SIZE, block_size=32, n_layer=2, n_head=2, n_embd=8)
gpt, memory, free = GPT(config, seed=1), {page: [] for page in range(40)}, list(range(40))
random.Random(7).shuffle(free)
text = tokens(names[:8])[:20]
caches = [PagedCache(config, memory, free), PagedCache(config, memory, free)]
last = []
for token in text:  # two requests at the same time, so that their pages are mixed
    last = [gpt([token], cache)[-1] for cache in caches]

whole = gpt(text)[-1]
difference = max(abs(a.data - b.data) for row in last for a, b in zip(row, whole, strict=True))
print(f"pages of the first: {caches[0].layers[0].table}; difference {difference:.0e}")

# %% tags=["check"]
assert difference < 1e-12
assert all(len(table) == 3 for cache in caches for layer in cache.layers for table in layer.table)
assert len(free) == 40 - 2 * 2 * 2 * 3

# %% [markdown]
# The same scores, from pages that lie anywhere. And two requests that begin alike can *share* pages.
#
# ## Longer than it was trained
#
# The two writers have seen 16 characters at a time. Rotations are defined for every position; so give the large one
# texts of 48.
#
# **Predict.** What happens to its loss at positions 33 to 48? It is about 2.1 at positions 9 to 16; ln 27 is 3.30.
#
# answer it: beyond["as trained"][-1] > beyond["as trained"][1] + 0.4 | gets clearly worse | stays about the same

# %%
TIMES = 3
unseen = batch(tokens(names[1800:]), 100, TIMES * LENGTH, random.Random(3))


def beyond_training(base=10000.0, unit=1.0):
    large._base, large._unit = base, unit
    losses = jit(large.losses, large).flat(*unseen).mean(axis=1)
    large._base, large._unit = 10000.0, 1.0
    return [float(losses[i : i + 8].mean()) for i in range(0, TIMES * LENGTH, 8)]


beyond = {"as trained": beyond_training()}
print("  ".join(f"{loss:.2f}" for loss in beyond["as trained"]))

# %% tags=["check"]
assert beyond["as trained"][-1] > beyond["as trained"][1] + 0.4

# %% [markdown]
# From position 17 on it meets distances that it has never seen. The fastest hand has gone round more than twice, and
# all its angles are familiar. The slow ones have moved only a little in 16 positions, and now stand where they never
# were. Two remedies, both without training:
#
# - **Position interpolation** (Chen et al. 2023): divide all positions by 3. No hand leaves what it knows; but
#   neighbors, which used to be one step apart, are now a third of a step apart, and the fast hands knew that well.
# - **NTK-aware scaling** (named for a theory; found by a user of a forum in 2023): leave the fastest hand, slow the
#   slowest one down by 3, those between by something between.
#
# Only the base of the angles changes. With d numbers per head (here 8) and s times the length (here 3):
#
#     base′ = base · s^(d / (d − 2))
#
# **Predict.** What is the new base? The slowest of the four hands moved by base^(−6/8) = 0.001 per position. What is
# it now, times 1,000?
#
# answer the new base: ntk ± 50
# answer the slowest hand, times 1,000: 1000 * ntk ** (-6 / 8)

# %%
ntk = 10000 * TIMES ** (HEAD / (HEAD - 2))
print(f"{ntk:,.0f}; hands per position:", [float(f"{ntk ** (-i / HEAD):.3g}") for i in range(0, HEAD, 2)])
beyond["NTK-aware"] = beyond_training(base=ntk)
beyond["interpolation"] = beyond_training(unit=TIMES)
for name, losses in beyond.items():
    print(f"{name:14}", "  ".join(f"{loss:.2f}" for loss in losses))

# %% tags=["check"]
assert round(ntk) == 43267
assert math.isclose(ntk ** (-6 / 8), 0.001 / 3)
assert beyond["NTK-aware"][-1] < beyond["as trained"][-1] - 0.3
assert beyond["NTK-aware"][1] < beyond["as trained"][1] + 0.15
assert beyond["interpolation"][1] > beyond["NTK-aware"][1] + 0.2

# %%
middles = [8 * i + 4 for i in range(len(beyond["as trained"]))]
viz.plot(
    {name: list(zip(middles, losses, strict=True)) for name, losses in beyond.items()},
    title="Trained on 16 characters",
    x="position",
    y="loss on new names",
)

# %% [markdown]
# With the new base the loss is nearly level, three times as far as it was trained, for a small price within the old
# length. (It does not *use* much of the longer text: names need no more than the last few characters. A little
# training with the new base makes it better still; that is how contexts of large models are extended.)
#
# ## Exercises
#
# **Exercise 1.** By hand: p = (0.6, 0.4) and q = (0.9, 0.1). How often is a guess accepted? How many characters per
# pass with two guesses ahead?

# %% tags=["solution"]
a = accepted([0.6, 0.4], [0.9, 0.1])
print(round(a, 2), round(1 + a + a * a, 2))
assert (round(a, 2), round(1 + a + a * a, 2)) == (0.7, 2.19)

# %% [markdown]
# **Exercise 2.** A hundred people use the same instructions of 40 tokens, and each adds 10 of their own. How many
# places in pages of 8, without and with sharing?

# %% tags=["solution"]
without, shared = 100 * places_in_pages([50]), places_in_pages([40]) + 100 * places_in_pages([10])
print(without, shared)
assert (without, shared) == (5600, 1640)

# %% [markdown]
# **Exercise 3.** Let the large model guess for itself: `ahead` with q = p. What is accepted, and is anything gained?

# %% tags=["solution"]
p = probabilities(large, [0])[0]
print(round(accepted(p, p), 6))  # everything; but the guesses now cost as much as what they save
assert math.isclose(accepted(p, p), 1)

# %% [markdown]
# ## Summary
#
# - **Speculative decoding:** a small model guesses, a large one checks several guesses in one pass. The rule keeps the
#   distribution exactly; the small model decides only the speed.
# - **Paged cache:** memory in pages, with a table. No holes between texts, less than a page lost per text, shared
#   beginnings.
# - **NTK-aware scaling:** a larger base slows down the slow hands of rotary positions, so that no hand leaves what it
#   was trained on.
#
# Next: fewer bits per weight (Supplement 7) make each pass cheaper, too.
