# %% [markdown]
# # Supplement 3: Tokens that are longer than a character
#
# **Question.** GPT-2 reads 50,257 different tokens, we read 65 characters. Where do such tokens come from?
#
# Follows Lesson 6. They were not written by hand: they are learned by counting (byte pair encoding: Gage 1994; for
# words, Sennrich et al. 2016).

# %%
import math
import random
import re
from collections import Counter
from itertools import pairwise

import viz
from gpt.config import GPTConfig
from gpt.model import GPT
from lessons.cells import load_all
from tinygrad_edu import jit
from tinygrad_edu.compiler import AdamW

FAST = globals().get("FAST", False)

# %% [markdown]
# ## Merge what occurs together most often
#
# Begin with characters. Find the pair of neighbors that is most frequent, and make the pair a token.
# Again, and again. That is the whole algorithm.

# %%
text = """the cat sat on the mat. the rat sat on the cat. the cat ate the rat on the mat.
that fat cat sat and sat and ate and sat. the hat of the cat is on the mat. what a cat!"""


def most_frequent(tokens):
    pairs = Counter(pairwise(tokens))
    return max(pairs, key=lambda pair: (pairs[pair], pair)), max(pairs.values())


def merge(tokens, pair):
    merged, i = [], 0
    while i < len(tokens):
        if tuple(tokens[i : i + 2]) == pair:
            merged.append(tokens[i] + tokens[i + 1])  # key: the pair becomes one token
            i += 2
        else:
            merged.append(tokens[i])
            i += 1
    return merged


def learn(text, count):
    tokens, merges = list(text), []
    for _ in range(count):
        pair, times = most_frequent(tokens)
        if times < 2:
            break
        merges.append(pair)
        tokens = merge(tokens, pair)
    return merges, tokens


# %% [markdown]
# **Predict.** Which pair is merged first: `th`, `he`, `at`, or one with a space? Count in the text.
#
# answer first comes: max(("".join(merges[0]), "one with a space"),
#     key=lambda pair: pair in ("th", "he", "at"))
#   | th | he | at | one with a space

# %%
merges, tokens = learn(text, 16)
for number, (a, b) in enumerate(merges, 1):
    print(f"{number:2}  {a!r} + {b!r} → {a + b!r}")

# %% tags=["check"]
assert merges[0] == ("a", "t")
assert "".join(tokens) == text
assert " the " in "".join(tokens)

# %% [markdown]
# `a` + `t` comes first: *cat*, *sat*, *mat*, and more of their kind. Soon whole words are tokens, with the space
# before or after them: the program was never told what a word is.

# %%
print("|".join(tokens[:40]))

# %% [markdown]
# ## Reading a new text
#
# To encode another text, make the same merges in the same order. To decode, write the tokens one after the other:
# what was merged is simply split again.


# %%
def encode(text, merges):
    tokens = list(text)
    for pair in merges:
        tokens = merge(tokens, pair)
    return tokens


print(encode("the bat sat", merges))

# %% tags=["check"]
assert encode(text, merges) == tokens
assert "".join(encode("the bat sat on that!", merges)) == "the bat sat on that!"
assert "b" in encode("the bat sat", merges)

# %% [markdown]
# A word that was never seen, *bat*, falls into pieces that are known. In GPT-2 the smallest pieces are the 256 bytes,
# so there is no text that it cannot read.
#
# ## What is gained, and what it costs
#
# With more merges the text becomes shorter, so a context of 64 tokens reaches farther back. But the table of
# embeddings has a row for each token, and a rare token is seen too rarely to learn its row.
#
# **Predict.** After 60 merges: how many characters does a token stand for, on average, in this little text?
#
# answer characters per token: lengths[-1][1] ± 0.7

# %%
counts = [0, 1, 2, 4, 8, 16, 30, 60]
lengths, sizes = [], []
for count in counts:
    merges, tokens = learn(text, count)
    lengths.append((float(len(merges)), len(text) / len(tokens)))
    sizes.append(len(set(text)) + len(merges))

print(f"{len(text)} characters; after {len(merges)} merges {len(tokens)} tokens, {lengths[-1][1]:.2f} characters each")

# %% tags=["check"]
assert len(learn(text, 60)[0]) < 60  # no pair is left that occurs twice
assert lengths[-1][1] > 3
assert lengths == sorted(lengths)

# %%
viz.plot({"characters per token": lengths}, title="What merging buys", x="merges", y="characters")

# %% [markdown]
# It stops by itself, when no pair is left that occurs twice: by then it has memorized this text. Merges must be
# learned on a large text.
#
# ## A model that reads them
#
# **Losses are in other units now.** A model of characters and a model of tokens cannot be compared by their loss *per
# token*: a token of four characters may cost four times as much. Divide by the number of characters.
#
# **Predict.** A model of characters has a loss of 2 nats per character. A model of tokens has 4.5 nats per token, and
# a token stands for 2.5 characters on average. What is its loss per character?
#
# answer nats per character: 4.5 / 2.5

# %%
print(f"{4.5 / 2.5:.2f} nats per character: the model of tokens is better, though its loss is more than twice as large")

# %% [markdown]
# The same small GPT, three times: with the characters of the lessons' prose as tokens, after 50 merges, and after
# 150. Each sees 16 tokens at a time, in equally many batches. The last tenth of the text is kept for the test.

# %%
prose = " ".join(
    cell.source for lesson in load_all() if lesson.part == "lessons" for cell in lesson.cells if not cell.is_code
)
prose = " ".join(re.findall(r"[a-z]+|[.,]", prose.lower()))[:16000]
cut = len(prose) * 9 // 10
shown, kept_back = prose[:cut], prose[cut:]


def batch(row, count, rng):
    starts = [rng.randrange(len(row) - 16) for _ in range(count)]
    return [row[s : s + 16] for s in starts], [row[s + 1 : s + 17] for s in starts]


def loss_per_character(merges, steps):
    training, test = encode(shown, merges), encode(kept_back, merges)
    table = {token: i for i, token in enumerate(sorted({*prose, *(a + b for a, b in merges)}))}
    training, test = [table[token] for token in training], [table[token] for token in test]
    model = GPT(GPTConfig(vocab_size=len(table), block_size=16, n_layer=1, n_head=4, n_embd=32), seed=1)
    compiled = jit(model.loss)
    optimizer, rng = AdamW(compiled.parameters, lr=0.01), random.Random(2)
    for step in range(steps):
        compiled.value_and_grad(*batch(training, 32, rng))
        optimizer.lr = 0.01 * (1 - step / steps)
        optimizer.step()
    per_token = float(compiled(*batch(test, 300, random.Random(3))).mean())
    per_character = per_token * len(test) / len(kept_back)
    return len(table), per_token, per_character, len(kept_back) / len(test)


all_merges = learn(shown, 150)[0]
for a, b in all_merges[120:126]:
    print(f"{a + b!r}", end=" ")

print()

# %% [markdown]
# **Predict.** Which of the three has the lowest loss per token? And which has the lowest per character?
#
# answer per token: min(fed, key=lambda n: fed[n][1]) == 0 | the characters | one with merges
# answer per character: min(fed, key=lambda n: fed[n][2]) == 0 | the characters | one with merges

# %%
fed = {count: loss_per_character(all_merges[:count], 200 if FAST else 250) for count in (0, 50, 150)}
for count, (rows, per_token, per_character, length) in fed.items():
    print(
        f"{count:3} merges: {rows:3} tokens of {length:.2f} characters; "
        f"{per_token:.2f} nats per token, {per_character:.2f} per character"
    )

# %% tags=["check"]
assert fed[0][1] < fed[50][1] < fed[150][1]
assert min(fed[50][2], fed[150][2]) < fed[0][2]
assert fed[150][3] > fed[50][3] > fed[0][3] == 1.0

# %% [markdown]
# Per token the characters seem best, per character they are not: 16 tokens reach farther back, and fewer predictions
# are needed for the same text. (Bits per byte are the same idea: nats divided by ln 2 and by the number of bytes.)
# With so little text, more merges do not help forever: each row of the table is then seen too seldom.
#
# ## How many tokens is a word?
#
# **Predict.** After 150 merges: how many tokens has an average word of this text, with the space before it? Of 1, 2,
# 3?
#
# answer tokens per word: tokens_per_word[150] ± 0.4

# %%
words = len(kept_back.split())
tokens_per_word = {n: len(encode(kept_back, all_merges[:n])) / words for n in (0, 50, 100, 150)}
print("  ".join(f"{n} merges: {share:.2f}" for n, share in tokens_per_word.items()))

# %%
viz.plot({"tokens per word": list(tokens_per_word.items())}, title="English", x="merges", y="tokens per word")

# %% tags=["check"]
assert 4 < tokens_per_word[0] < 7
assert 1.5 < tokens_per_word[150] < 3.5

# %% [markdown]
# With the 50,000 merges of GPT-2, English comes to about 1.3 tokens per word. That is what prices and context lengths
# are counted in.
#
# ## Other languages
#
# GPT-2's smallest pieces are bytes. In UTF-8, a character takes one byte if it is an English one, and up to four
# otherwise. And the merges are learned from a text that is mostly English.
#
# **Predict.** How many bytes does a character of a Greek question take, on average, and how many a Chinese one?
#
# answer Greek: counted["Greek"][1] ± 0.3
# answer Chinese: counted["Chinese"][1] ± 0.3

# %%
station = {
    "English": "where is the station?",
    "German": "wo ist der Bahnhof?",
    "Greek": "πού είναι ο σταθμός;",
    "Russian": "где находится вокзал?",
    "Hindi": "स्टेशन कहाँ है?",
    "Chinese": "车站在哪里？",
    "Japanese": "駅はどこですか。",
}


def as_bytes(text):
    return text.encode("utf-8").decode("latin-1")  # one character for each byte


counted = {}
for language, sentence in station.items():
    size = len(sentence.encode("utf-8"))
    counted[language] = len(sentence), size / len(sentence), len(encode(as_bytes(sentence), all_merges))
    letters, each, pieces = counted[language]
    print(f"{language:9} {letters:2} characters, {each:.2f} bytes each, {pieces:2} tokens")

# %% tags=["check"]
assert counted["English"][1] == 1
assert 1.7 < counted["Greek"][1] < 2
assert counted["Chinese"][1] == 3
assert counted["Chinese"][0] < counted["English"][0]
assert counted["Chinese"][2] > counted["English"][2]
assert counted["Hindi"][2] > 2 * counted["English"][2]

# %% [markdown]
# The Chinese question has less than a third of the characters of the English one, and more tokens: none of the merges
# fits it, so every byte is a token. Hindi pays most. The same model is slower, costs more and sees less context in
# these languages, only because of the text that its merges were learned from. Newer tokenizers have more merges and
# learn them from many languages.
#
# And a model that sees *the* as one token has never seen how it is spelled; that is why large models are bad at
# counting letters. We stay with characters: 65 rows, and nothing hidden.
#
# ## Exercises
#
# **Exercise 1.** By hand: which pair is merged first in `banana bandana`, and into how many tokens does the text fall
# after two merges?

# %% tags=["solution"]
first_merges, pieces = learn("banana bandana", 2)
print(first_merges, pieces)  # an occurs four times; then there is a tie of pairs that occur twice
assert first_merges[0] == ("a", "n")
assert len(pieces) == 8

# %% [markdown]
# **Exercise 2.** A token costs 3.2 nats and has 2.6 bytes on average. How many bits per byte is that?

# %% tags=["solution"]
print(f"{3.2 / 2.6 / math.log(2):.2f}")
assert round(3.2 / 2.6 / math.log(2), 2) == 1.78

# %% [markdown]
# **Exercise 3.** Learn 60 merges from the Greek sentence, repeated ten times, and encode it. Which language is cheap
# now?

# %% tags=["solution"]
greek = as_bytes(station["Greek"])
greek_merges = learn(greek * 10, 60)[0]
print(len(encode(greek, greek_merges)), len(encode(as_bytes(station["English"]), greek_merges)))
assert len(encode(greek, greek_merges)) < len(encode(as_bytes(station["English"]), greek_merges))

# %% [markdown]
# ## Summary
#
# - **Byte pair encoding:** merge the most frequent pair of neighbors, again and again. To encode, repeat the merges.
# - Losses of different tokens are compared **per character** (or per byte), never per token.
# - English takes about 1.3 tokens per word; a language that the merges have not seen costs a token per byte.
#
# Next: how a token knows where it stands, in Supplement 4.
