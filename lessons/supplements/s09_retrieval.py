# %% [markdown]
# # Supplement 9: Finding by meaning
#
# **Question.** A question and its answer need not share a single word. How can a program find the paragraph that
# answers?
#
# Follows Lesson 6. What we search is this course itself.

# %%
import math
import re
from collections import Counter

import numpy as np

import viz
from lessons.cells import load_all

# %% [markdown]
# ## Something to search, and questions
#
# Every paragraph of the numbered lessons is a document. The bullets of the summaries are taken out and serve as
# questions: a bullet of Lesson 8 should find a paragraph of Lesson 8.


# %%
def words(text):
    return re.findall(r"[a-z]{2,}", text.lower())


documents, questions = [], []
for lesson in load_all():
    for cell in lesson.cells:
        if cell.is_code or lesson.part != "lessons":
            continue
        if cell.source.startswith("## Summary"):
            bullets = re.findall(r"^- (.+(?:\n  .+)*)", cell.source, re.MULTILINE)
            questions += [(lesson.name, bullet) for bullet in bullets]
        else:
            paragraphs = [" ".join(part.split()) for part in cell.source.split("\n\n")]
            documents += [(lesson.name, part) for part in paragraphs if len(words(part)) >= 12]

found_in = Counter(word for _, text in documents for word in set(words(text)))
vocabulary = sorted(word for word, count in found_in.items() if count >= 3)
index = {word: i for i, word in enumerate(vocabulary)}
print(f"{len(documents)} paragraphs, {len(questions)} questions, {len(vocabulary)} words")

# %% tags=["check"]
assert len(documents) > 200
assert len(questions) > 50
assert not {text for _, text in questions} & {text for _, text in documents}

# %% [markdown]
# ## A vector for each word, by counting
#
# "You shall know a word by the company it keeps" (Firth 1957). Count for each pair of words how often they occur in the
# same paragraph. Frequent words meet all others; so ask how many times more often they meet than by chance, and take
# the logarithm:
#
#     PPMI(a, b) = max(0, log( p(a, b) / (p(a) · p(b)) ))
#
# That is a row of several hundred numbers per word. Keep the 64 directions that say most about all rows: the first ones
# of the **singular value decomposition**, which is PCA without subtracting the mean (Levy and Goldberg 2014).

# %%
together = np.zeros((len(vocabulary), len(vocabulary)))
for _, text in documents:
    here = [index[word] for word in words(text) if word in index]
    for i, a in enumerate(here):
        for b in here[:i]:
            together[a, b] += 1
            together[b, a] += 1

often = together.sum(axis=1)
chance = np.outer(often, often) / together.sum()
ppmi = np.log(np.maximum(together / chance, 1.0))  # key: how much more often than by chance, never below 0
directions, sizes, _ = np.linalg.svd(ppmi)


def unit(vectors):
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


vectors = unit(directions[:, :64] * np.sqrt(sizes[:64]))

# %% [markdown]
# How similar are two words? The **cosine** of the angle between their vectors: for vectors of length 1, the dot
# product. 1 is the same direction, 0 is nothing in common.
#
# **Predict.** Which words are nearest to *query*? To *softmax*? To *learning*?
#
# answer: open


# %%
def nearest(word, count=6):
    order = np.argsort(-(vectors @ vectors[index[word]]), kind="stable")
    return [vocabulary[i] for i in order[1 : count + 1]]


for word in ("query", "softmax", "loss", "learning"):
    print(f"{word:9}", *nearest(word))

# %% tags=["check"]
assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
assert np.allclose(together, together.T)

# %%
chosen = "query keys heads attention softmax scores gradient backward chain counting pairs names line slope neuron"
chosen = [word for word in chosen.split() if word in index]
viz.embeddings(vectors[[index[word] for word in chosen]].tolist(), chosen, title="Words of this course")

# %% [markdown]
# The words about attention are together, as are those about slopes and those about counting. The program was never told
# what a word means, and there is very little text here: large models read a billion times more. (In a trained GPT the
# embedding table has such vectors too, learned by gradients.)
#
# ## From words to paragraphs
#
# The vector of a text is the sum of the vectors of its words. Rare words say more: each counts log(N / n), where n of
# the N paragraphs have it.


# %%
rarity = np.array([math.log(len(documents) / found_in[word]) for word in vocabulary])


def embed(text, vectors):
    known = [index[word] for word in words(text) if word in index]
    return unit(sum((rarity[i] * vectors[i] for i in known), np.zeros(vectors.shape[1])))


def search(text, vectors, library):
    return np.argsort(-(library @ embed(text, vectors)), kind="stable")  # key: the most similar first


# %% [markdown]
# **Predict.** For how many questions out of a hundred does the first paragraph come from the right lesson? And for a
# program that picks paragraphs by chance?
#
# answer of a hundred, by this program: 100 * found[64] ± 10
# answer of a hundred, by chance: 100 * by_chance ± 5


# %%
def recall(vectors, most=1):
    library = np.array([embed(text, vectors) for _, text in documents])
    hits = 0
    for wanted, question in questions:
        hits += wanted in [documents[i][0] for i in search(question, vectors, library)[:most]]
    return hits / len(questions)


sizes_of = Counter(name for name, _ in documents)
by_chance = sum(sizes_of[wanted] / len(documents) for wanted, _ in questions) / len(questions)
same_words = recall(np.eye(len(vocabulary)))  # each word is similar only to itself
found = {d: recall(unit(directions[:, :d] * np.sqrt(sizes[:d]))) for d in (1, 2, 4, 8, 16, 32, 64, 128)}
print(f"by chance {by_chance:.0%}, the same words {same_words:.0%}, vectors of 64 numbers {found[64]:.0%}")
print(f"among the first three: {recall(vectors, 3):.0%}")

# %% tags=["check"]
assert by_chance < 0.2
assert found[64] > 0.6 > 4 * by_chance
assert recall(vectors, 3) > 0.8
assert found[1] < found[8] < found[64]
assert found[64] > same_words - 0.1

# %%
curves = {
    "embeddings": list(found.items()),
    "the same words": [(1, same_words), (128, same_words)],
    "by chance": [(1, by_chance), (128, by_chance)],
}
viz.plot(
    curves,
    title="The first paragraph is of the right lesson",
    x="numbers per word",
    y="share of the questions",
)

# %% [markdown]
# A handful of numbers per word is not enough, a few dozen are. Counting *the same words* is hard to beat when a
# question uses the words of its answer, as summaries do, and search engines did little else for decades. It finds
# nothing when they differ.
#
# ## An answer with its source
#
# A language model that answers from memory may invent. **Retrieval-augmented generation** (Lewis et al. 2020) puts what
# was found in front of the question, and the model writes on from there. Our tiny version writes nothing itself: it
# finds the paragraph, takes the most similar sentence from it, and says where it is from.
#
# **Predict.** What will it answer to the question who won the football match?
#
# answer it answers: "(Lesson " not in answer("Who won the football match?")
#   | that it does not know | with some sentence of a lesson


# %%
library = np.array([embed(text, vectors) for _, text in documents])


def answer(question):
    name, text = documents[search(question, vectors, library)[0]]
    sentences = re.split(r"(?<=[.?!:]) ", text)
    wanted = embed(question, vectors)
    best = max(sentences, key=lambda sentence: float(embed(sentence, vectors) @ wanted))
    return f"{best} (Lesson {name})"


for question in (
    "How does a word find out which others matter?",
    "What does it cost to guess blindly among all characters?",
    "Why do gradients vanish in deep networks?",
    "Who won the football match?",
):
    print(f"{question}\n  → {answer(question)}")

# %% tags=["check"]
assert "guess" in answer("What does it cost to guess blindly among all characters?").lower()
assert "(Lesson " in answer("Who won the football match?")

# %% [markdown]
# It always finds *something*: the nearest is the nearest, however far away. To say "I do not know" is a separate task.
# And what was found is only as good as the library. But there is a source, and you can look it up.

# %% [markdown]
# ## Exercises
#
# **Exercise 1.** The dot product of (1, 2) and (2, 4), and their cosine similarity? And that of (1, 2) and (−2, 1)?

# %% tags=["solution"]
u, v, w = np.array([1.0, 2.0]), np.array([2.0, 4.0]), np.array([-2.0, 1.0])
cosines = [float(u @ other / np.linalg.norm(u) / np.linalg.norm(other)) for other in (v, w)]
print(u @ v, [round(c, 6) + 0.0 for c in cosines])
assert u @ v == 10
assert np.allclose(cosines, [1, 0])

# %% [markdown]
# **Exercise 2.** A library of a million paragraphs with 300 numbers each: how many multiplications does one question
# take, if every paragraph is compared?

# %% tags=["solution"]
print(f"{1_000_000 * 300:,}")  # so large libraries compare only with what is likely to be near
assert 1_000_000 * 300 == 300_000_000

# %% [markdown]
# ## Summary
#
# - Words that occur in the same company get similar vectors; a paragraph gets the mean of its words.
# - **Cosine similarity** compares directions, so that long texts have no advantage.
# - **Retrieval-augmented generation (RAG):** find first, then answer from what was found, with the source.
# - It always finds something; that it is the right thing must be checked.
#
# Next: a small model that reads what was found, in Supplement 23.
