# %% [markdown]
# # Supplement 23: A model with a library and tools
#
# **Question.** A language model knows what was in its training text, cannot look anything up, and is bad at sums. How
# can a *small* model give right answers about things that it has never read?
#
# Follows Supplements 9 (finding by vectors) and 22 (copying from the prompt).

# %%
import heapq
import random

import numpy as np

import viz
from gpt.config import GPTConfig
from gpt.model import GPT
from tinygrad_edu import functional as F
from tinygrad_edu import jit
from tinygrad_edu.compiler import AdamW

FAST = globals().get("FAST", False)

# %% [markdown]
# ## A reader
#
# Its prompt has eight words: six from some text, then what is asked, and of whom. It answers with one word, from the
# text; if there is nothing of the kind, with *unknown*.
#
#     mira keeps goats in oslo . where mira   →   oslo
#     it rains a lot . . what mira            →   unknown
#
# In training the texts are invented, and different each time: people keep other animals in other towns. So there is
# nothing to remember, only to read.

# %%
NAMES, ANIMALS, TOWNS, *REMARKS = (
    line.split()
    for line in (
        "anna boris clara david emma felix gina hugo ida jonas kira leo mira nils olga paul",
        "goats hens bees ducks sheep mules geese ponies",
        "oslo rome paris lima cairo delhi tokyo quito",
        "it rains a lot .",
        "the bread is good .",
        "a bus comes at nine .",
    )
)
remarks = [word for remark in REMARKS for word in remark]
words = list(dict.fromkeys([".", *remarks, "keeps", "in", "where", "what", "unknown", *NAMES, *ANIMALS, *TOWNS]))
WINDOW = 6


def numbers(text):
    return [words.index(word) for word in text]


def fact(name, rng):
    return [name, "keeps", rng.choice(ANIMALS), "in", rng.choice(TOWNS), "."]


def prompt(chunk, kind, name):
    return [*[*chunk, *["."] * WINDOW][:WINDOW], kind, name]  # only so much fits


def exercise(rng):
    text = []
    for name in rng.sample(NAMES, 3):
        text += fact(name, rng) + (rng.choice(REMARKS) if rng.random() < 0.5 else [])
    start = rng.randrange(len(text) - WINDOW)
    chunk, kind = text[start : start + WINDOW], rng.choice(["where", "what"])
    there = [word for word in chunk if word in (TOWNS if kind == "where" else ANIMALS)]
    return numbers(prompt(chunk, kind, rng.choice(NAMES))), words.index(there[0] if there else "unknown")


model = GPT(GPTConfig(vocab_size=len(words), block_size=8, n_layer=1, n_head=4, n_embd=32, init_std=0.1), seed=1)
compiled = jit(lambda text, answer: F.cross_entropy(model(text)[-1], answer), model)
optimizer, rng, curve = AdamW(compiled.parameters, lr=0.01), random.Random(2), []
steps = 300 if FAST else 500
for step in range(steps):
    texts, answers = zip(*[exercise(rng) for _ in range(32)], strict=True)
    curve.append(compiled.value_and_grad(list(texts), list(answers)))
    optimizer.lr = 0.01 * (1 - step / steps)
    optimizer.step()

viz.plot(
    {"loss": [sum(curve[i : i + 20]) / 20 for i in range(steps - 19)]}, title="Learning to read", x="step", y="loss"
)

# %% [markdown]
# ## A library
#
# And here is a text that it has never seen, about sixteen people, four on each page, with remarks in between.

# %%
rng = random.Random(11)
truth = {name: fact(name, rng) for name in NAMES}
people, pages = list(NAMES), []
rng.shuffle(people)
for i in range(0, len(people), 4):
    page = []
    for name in people[i : i + 4]:
        page += truth[name] + (rng.choice(REMARKS) if rng.random() < 0.7 else [])
    pages.append(page)

questions = [(kind, name) for name in NAMES for kind in ("where", "what")]
scores = jit(lambda text: model(text)[-1], compiled.parameters)


def read(prompts):
    return [words[i] for i in scores.flat([numbers(p) for p in prompts]).argmax(axis=0)]


def right(chunks):
    said = read([prompt(chunk, *asked) for chunk, asked in zip(chunks, questions, strict=True)])
    wanted = [truth[name][4 if kind == "where" else 2] for kind, name in questions]
    return sum(a == b for a, b in zip(said, wanted, strict=True)) / len(questions)


print(" ".join(pages[0][:16]), "...")

# %% [markdown]
# **Predict.** First with the book closed: the prompt has six dots and the question. How many of the 32 answers are
# right? And with the book open at the right sentence?
#
# answer closed: 32 * closed ± 2
# answer open: 32 * opened ± 2

# %%
closed, opened = right([[]] * 32), right([truth[name] for _, name in questions])
print(
    f"closed {closed:.0%}, open {opened:.0%}; closed, it says:", *set(read([prompt([], *asked) for asked in questions]))
)

# %% tags=["check"]
assert closed < 0.15
assert opened > 0.9

# %% [markdown]
# It knows nothing about these people, and reads correctly what is put before it. So *find* the right piece and put it
# into the prompt: **retrieval-augmented generation**, RAG. The finding is that of Supplement 9: vectors of words from
# counting which words occur together, rare words count more, and the chunk with the largest cosine wins.


# %%
def vectors_of(chunks):
    known = sorted({word for chunk in chunks for word in chunk})
    there = np.array([[chunk.count(word) > 0 for word in known] for chunk in chunks], dtype=float)
    together = there.T @ there
    often = together.sum(axis=1)
    ppmi = np.log(np.maximum(together * together.sum() / np.outer(often, often), 1.0))
    directions, sizes, _ = np.linalg.svd(ppmi)
    return known, directions[:, :24] * np.sqrt(sizes[:24]), np.log(len(chunks) / there.sum(axis=0))


def finder(chunks):
    known, vectors, rarity = vectors_of(chunks)

    def embed(text):
        found = [known.index(word) for word in text if word in known]
        total = sum((rarity[i] * vectors[i] for i in found), np.zeros(vectors.shape[1]))
        return total / max(np.linalg.norm(total), 1e-12)

    library = np.array([embed(chunk) for chunk in chunks])
    return lambda question: chunks[int(np.argmax(library @ embed(question)))]


# %% [markdown]
# ## Chunks
#
# What is a chunk? The prompt has room for six words.
#
# - *pages:* all of a page, of which the first six words fit;
# - *windows:* cut after every six words, wherever that is;
# - *overlapping windows:* six words, a new one every three;
# - *sentences:* up to each full stop.
#
# **Predict.** Which is best, and which is worst?
#
# answer the best: max(shares, key=shares.get) | pages | windows | overlapping windows | sentences
# answer the worst: min(shares, key=shares.get) | pages | windows | overlapping windows | sentences


# %%
def windows(step):
    return [page[i : i + WINDOW] for page in pages for i in range(0, max(1, len(page) - 2), step)]


def sentences():
    joined = " ".join(word for page in pages for word in page)
    return [[*part.split(), "."] for part in joined.split(".") if part.strip()]


ways = {"pages": pages, "windows": windows(6), "overlapping windows": windows(3), "sentences": sentences()}
shares = {}
for way, chunks in ways.items():
    find = finder(chunks)
    shares[way] = right([find([kind, name]) for kind, name in questions])
    print(f"{way:20} {len(chunks):2} chunks, right answers {shares[way]:.0%}")

# %% tags=["check"]
assert shares["sentences"] > 0.9
assert shares["pages"] == min(shares.values())
assert shares["windows"] < shares["sentences"] - 0.15
assert shares["windows"] <= shares["overlapping windows"] + 0.05

# %% [markdown]
# A window that ends between *goats* and *in oslo* separates the name from its town: the reader says *unknown*, or
# takes the neighbor's town and sounds just as sure. Overlap helps, and costs twice the storage. Best are pieces that
# make sense alone. With real texts that is a compromise: small chunks are found more precisely, large ones carry more
# of what is around them.
#
# And when the world changes, nobody trains anything:

# %%
moved = [["mira", "keeps", "geese", "in", "lima", "."] if s[0] == "mira" else s for s in ways["sentences"]]
print("where is mira?", *read([prompt(finder(ways["sentences"])(["mira"]), "where", "mira")]), end=" → ")
after = read([prompt(finder(moved)(["mira"]), "where", "mira")])
print(*after)

# %% tags=["check"]
assert after == ["lima"] != [truth["mira"][4]]

# %% [markdown]
# ## A million chunks
#
# We compare the question with every chunk. With a million chunks one links each vector with some near ones, and
# *walks*: start anywhere, go to the neighbor that is nearest to the question, until none is nearer. Such a graph, if
# it has a few far links too, is a **navigable small world** (Malkov et al. 2014; HNSW, 2016, has several layers of
# it). Build it by inserting one vector after the other: walk to it, and link it with the 6 nearest that were found.
# The first links are far ones, since few vectors were there.


# %%
class SmallWorld:
    def __init__(self, vectors, links=6):
        self.vectors, self.neighbors, self.compared = vectors, [set() for _ in vectors], 0
        for i in range(1, len(vectors)):
            for _, j in self.search(vectors[i], wide=12)[:links]:
                self.neighbors[i].add(j)
                self.neighbors[j].add(i)

    def search(self, wanted, wide):
        """The nearest that a walk finds; `wide` is how many candidates it keeps."""
        first = float(self.vectors[0] @ wanted)
        seen, todo, best = {0}, [(-first, 0)], [(first, 0)]
        self.compared = 1
        while todo:
            far, i = heapq.heappop(todo)
            if len(best) == wide and -far < best[0][0]:
                break  # none of those left is nearer than the worst that is kept
            for j in sorted(self.neighbors[i] - seen):
                seen.add(j)
                near = float(self.vectors[j] @ wanted)
                self.compared += 1
                if len(best) < wide or near > best[0][0]:
                    heapq.heappush(todo, (-near, j))
                    heapq.heappush(best, (near, j))
                    if len(best) > wide:
                        heapq.heappop(best)
        return sorted(best, reverse=True)


# %% [markdown]
# **Predict.** Among 250 vectors and among 1,000: how many comparisons does a walk need on average, compared with all
# of them?
#
# answer with four times the vectors, a walk takes: walks[1000][0] > 2.5 * walks[250][0]
#   | about four times as long | much less than four times as long

# %%
noise = np.random.default_rng(1)
walks = {}
for count in (250, 500, 1000):
    points = noise.normal(size=(count + 50, 8))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    world, asked = SmallWorld(points[:count]), points[count:]
    found, effort = 0, 0
    for wanted in asked:
        found += world.search(wanted, wide=12)[0][1] == int(np.argmax(points[:count] @ wanted))
        effort += world.compared
    walks[count] = effort / 50, found / 50
    print(f"{count:5} vectors: {walks[count][0]:.0f} comparisons; the nearest was found in {walks[count][1]:.0%}")

# %% tags=["check"]
assert walks[1000][0] < 300
assert walks[1000][0] < 2.5 * walks[250][0]
assert min(share for _, share in walks.values()) > 0.8

# %%
viz.plot(
    {"walk": [(n, effort) for n, (effort, _) in walks.items()], "all": [(n, n) for n in walks]},
    title="Finding the nearest",
    x="vectors",
    y="comparisons",
)

# %% [markdown]
# It is an *approximate* search: now and then the walk ends at a vector that is near, and not the nearest. For that,
# the effort hardly grows with the library.
#
# ## Think, act, observe
#
# Now let a model decide itself when to look something up. It writes a word at a time; `find NAME .` and `calc A + B
# .` are **tools**: as soon as such a line is complete, the *program* carries it out and writes what comes out into
# the text, as if it had been there. Then the model goes on, until it writes `answer`.
#
#     user   ask anna and hugo .
#     model  find anna .
#     tool   has 1 7 .
#     model  find hugo .
#     tool   has 2 5 .
#     model  calc 1 7 + 2 5 .
#     tool   = 4 2 .
#     model  answer 4 2 .
#
# It learns from such traces, written by a program, with other numbers every time. The loss counts the model's words
# only: it must not learn to invent what tools say (Supplement 21).


# %%
speech = [".", "ask", "and", "find", "has", "nobody", "calc", "+", "=", "answer", "unknown", *"0123456789", *NAMES]
LINE = 33  # the longest trace has 34 words


def use(tool, facts):
    """Carry out a line that the model has written."""
    if tool[0] == "find":
        return ["has", *f"{facts[tool[1]]:02}", "."] if tool[1] in facts else ["nobody", "."]
    return ["=", *f"{int(''.join(tool[1:3])) + int(''.join(tool[4:6])):02}", "."]


def trace(asked, facts):
    """The text that it should write, in pairs: is it the model's, and the words."""
    lines, had = [(False, ["ask", *" and ".join(asked).split(), "."])], []
    for name in asked:
        lines += [(True, ["find", name, "."]), (False, use(["find", name], facts))]
        if name not in facts:
            return [*lines, (True, ["answer", "unknown", "."])]
        had.append(f"{facts[name]:02}")
    if len(asked) == 2:
        line = ["calc", *had[0], "+", *had[1], "."]
        lines += [(True, line), (False, use(line, facts))]
        had = ["".join(lines[-1][1][1:3])]
    return [*lines, (True, ["answer", *had[0], "."])]


def lesson(rng):
    asked = rng.sample(NAMES, rng.choice((1, 2, 2)))
    lines = trace(asked, {name: rng.randrange(5, 50) for name in asked if rng.random() < 0.85})
    row = [speech.index(word) for _, text in lines for word in text]
    counts = [float(own) for own, text in lines for _ in text][1:]
    pad = LINE + 1 - len(row)
    return row + [0] * pad, [c / sum(counts) for c in counts] + [0.0] * pad


agent = GPT(GPTConfig(vocab_size=len(speech), block_size=LINE, n_layer=1, n_head=4, n_embd=32), seed=1)
learning = jit(agent.loss)
optimizer, rng = AdamW(learning.parameters, lr=0.01, weight_decay=0.0), random.Random(2)
for step in range(200):
    rows, counts = zip(*[lesson(rng) for _ in range(16)], strict=True)
    last = learning.value_and_grad([row[:-1] for row in rows], [row[1:] for row in rows], list(counts))
    optimizer.lr = 0.01 * (1 - step / 200)
    optimizer.step()

print(f"loss {last:.3f}")

# %% [markdown]
# And the loop. This is all there is to an **agent**: think (the model writes), act (a tool runs), observe (the result
# goes into the text), with a limit on the number of turns.

# %%
speak = jit(agent, learning.parameters)


def run(asked, facts, tools=True, show=False):
    text = [speech.index(word) for word in ["ask", *" and ".join(asked).split(), "."]]
    line = []
    while len(text) <= LINE:
        columns = speak.flat([text + [0] * (LINE - len(text))]).reshape(LINE, len(speech))
        text.append(int(columns[len(text) - 1].argmax()))  # think
        line.append(speech[text[-1]])
        if line[-1] == ".":
            if show:
                print("  model ", *line)
            if line[0] == "answer":
                return " ".join(line[1:-1])
            if tools:
                seen = use(line, facts)  # act
                text += [speech.index(word) for word in seen]  # observe
                if show:
                    print("  tool  ", *seen)
            line = []
    return "no answer"


herd = {name: random.Random(name).randrange(5, 50) for name in NAMES[:14]}
for asked in (["anna", "hugo"], ["mira"], ["emma", "paul"]):
    print(" and ".join(asked))
    print("  →", run(asked, herd, show=True))

# %% [markdown]
# **Predict.** Of 40 questions about two people who are in the table, how many does it answer correctly? And if the
# tools are switched off, so that it must write their lines itself?
#
# answer with tools: 40 * with_tools ± 3
# answer without tools: 40 * without_tools ± 2

# %%
rng = random.Random(3)
pairs = [rng.sample(list(herd), 2) for _ in range(40)]
with_tools = sum(run(pair, herd) == " ".join(f"{herd[pair[0]] + herd[pair[1]]:02}") for pair in pairs) / 40
without_tools = (
    sum(run(pair, herd, tools=False) == " ".join(f"{herd[pair[0]] + herd[pair[1]]:02}") for pair in pairs) / 40
)
honest = sum(run([name], herd) == "unknown" for name in NAMES[14:])
print(
    f"with tools {with_tools:.0%}, without {without_tools:.0%}; says unknown for {honest} of 2 people who are not there"
)

# %% tags=["check"]
assert with_tools > 0.9
assert without_tools < 0.2
assert honest == 2

# %% [markdown]
# A model with some ten thousand weights, one block, and no idea of addition gives right sums about people it has
# never heard of. It only has to know *what to ask for*, and to copy. Without the tools it has nothing to
# copy, and ends with *unknown* or with something wrong.
#
# Large assistants work in the same way (Toolformer, Schick et al. 2023; ReAct, Yao et al. 2022), with search engines,
# programs and files as tools. Two things to remember: the words of a tool come into the prompt like any other words,
# so whoever writes a web page can write instructions for the model into it (*prompt injection*); and a loop that acts
# needs limits: which tools, how many turns, what needs a person's yes.
#
# ## Exercises
#
# **Exercise 1.** A page has 40 words. How many windows of 6 words are there without overlap, and how many with a new
# one every 3 words, if each word is to be in at least one of them?

# %% tags=["solution"]
plain, overlapping = len(range(0, 40, 6)), len(range(0, 40 - 3, 3))
print(plain, overlapping)
assert (plain, overlapping) == (7, 13)

# %% [markdown]
# **Exercise 2.** Let the walk keep only 1 candidate instead of 12. What happens to the effort, and to the share that
# is found?

# %% tags=["solution"]
greedy_found, greedy_effort = 0, 0
for wanted in points[1000:]:
    greedy_found += world.search(wanted, wide=1)[0][1] == int(np.argmax(points[:1000] @ wanted))
    greedy_effort += world.compared
print(greedy_effort / 50, greedy_found / 50)  # cheaper, and it ends too early more often
assert greedy_effort / 50 < walks[1000][0]
assert greedy_found / 50 < walks[1000][1]

# %% [markdown]
# **Exercise 3.** Somebody writes a wrong number into the table. What does the agent say?

# %% tags=["solution"]
wrong = herd | {"anna": 49}
print(run(["anna"], wrong))  # it believes its tools
assert run(["anna"], wrong) == "4 9"

# %% [markdown]
# ## Summary
#
# - **RAG:** find a chunk, put it into the prompt, let the model read. Knowledge is in the library, not in the weights.
# - **Chunks** should make sense alone. Overlap saves what a cut would separate.
# - **Approximate search** walks through a graph of neighbors: nearly the nearest, for little effort.
# - **Tools:** the model writes a call, the program carries it out, the result goes into the text.
# - **Agent:** think, act, observe, in a loop with limits.
#
# Next: how to say in numbers how good all this is, in Supplement 24.
