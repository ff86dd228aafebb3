# %% [markdown]
# # Supplement 3: Tokens that are longer than a character
#
# **Question.** GPT-2 reads 50,257 different tokens, we read 65 characters. Where do such tokens come from?
#
# Follows Lesson 6. They were not written by hand: they are learned by counting (byte pair encoding: Gage 1994; for
# words, Sennrich et al. 2016).

# %%
from collections import Counter
from itertools import pairwise

import viz

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
# `a` + `t` comes first: *cat*, *sat*, *mat*, and more of their kind. Soon whole words are tokens, with the space before
# or after them: the program was never told what a word is.

# %%
print("|".join(tokens[:40]))

# %% [markdown]
# ## Reading a new text
#
# To encode another text, make the same merges in the same order. To decode, write the tokens one after the other: what
# was merged is simply split again.


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
# With more merges the text becomes shorter, so a context of 64 tokens reaches farther back. But the table of embeddings
# has a row for each token, and a rare token is seen too rarely to learn its row.
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
# **Losses are in other units now.** A model of characters and a model of tokens cannot be compared by their loss *per
# token*: a token of four characters may cost four times as much. Divide by the number of characters (or bits per byte).
# And a model that sees *the* as one token has never seen how it is spelled; that is why large models are bad at
# counting letters. We stay with characters: 65 rows, and nothing hidden.
