# %% [markdown]
# # Supplement 19: GELU, SwiGLU and a mixture of experts
#
# **Question.** Two thirds of a transformer's parameters are in its feed-forward parts. What did today's models change
# there, and how can a model have four times the parameters without four times the work?
#
# Follows Lesson 9.

# %%
import math
import random
from itertools import combinations
from pathlib import Path

import lessons
import viz
from tinygrad_edu import Value, jit, maximum, minimum
from tinygrad_edu import functional as F
from tinygrad_edu.compiler import Adam
from tinygrad_edu.nn import Embedding, Linear, Module

FAST = globals().get("FAST", False)

# %% [markdown]
# ## A soft ReLU
#
# ReLU multiplies z by 0 or by 1. **GELU** (Hendrycks and Gimpel 2016; GPT-2, BERT) multiplies it by the probability
# that a normal random number is smaller than z, and **SiLU**, also called swish, by a sigmoid:
#
#     GELU(z) = z · Φ(z) = z · (1 + erf(z/√2)) / 2
#     SiLU(z) = z · σ(z)
#
# **Predict.** Φ(1) = 0.8413. What are GELU(1) and GELU(−1)? Can a GELU be negative? What are the slopes of the three at
# −1?
#
# answer GELU(1): functions["GELU"](Value(1.0)).data
# answer GELU(−1): functions["GELU"](Value(-1.0)).data ± 0.005
# answer the slope of ReLU at −1: slopes["ReLU"]
# answer the slope of GELU: slopes["GELU"] ± 0.02
# answer the slope of SiLU: slopes["SiLU"] ± 0.02


# %%
def silu(z):
    return z * z.sigmoid()


functions = {"ReLU": Value.relu, "GELU": Value.gelu, "SiLU": silu}
slopes = {}
for name, function in functions.items():
    z = Value(-1.0, label="z")
    result = function(z)
    result.backward()
    slopes[name] = z.grad
    print(f"{name}: f(1) = {function(Value(1.0)).data:.4f}, f(−1) = {result.data:.4f}, slope at −1 {z.grad:.4f}")

# %% tags=["check"]
phi = (1 + math.erf(1 / 2**0.5)) / 2
assert round(phi, 4) == 0.8413
assert abs(Value(1.0).gelu().data - phi) < 1e-12
assert abs(Value(-1.0).gelu().data + (1 - phi)) < 1e-12
assert [round(slopes[name], 4) for name in functions] == [0.0, -0.0833, 0.0723]

# %%
grid = [i / 10 for i in range(-40, 41)]
curves = {name: [(z, function(Value(z)).data) for z in grid] for name, function in functions.items()}
viz.plot(curves, title="Three activation functions", x="z", y="f(z)")

# %% [markdown]
# A little below 0 both go down to a shallow valley: −0.17 for GELU at −0.75, −0.28 for SiLU at −1.28. There is no
# corner at 0, and a unit that is a little below 0 still has a slope: it is not dead (Lesson 3).
#
# ## A gate that multiplies
#
# A feed-forward part is `down · f(up · x)`. **SwiGLU** (Shazeer 2020; LLaMA and most since) has a third table, the
# gate, and multiplies:
#
#     down · ( SiLU(gate · x) × (up · x) )
#
# With one number of each, gate 1, up 2, down 1 and x = 1: SiLU(1)·2 = 0.7311·2 = 1.4621.
#
# **Predict.** Three tables instead of two: how wide may the hidden layer be, if the parameters are to stay the same?
# And in LLaMA-7B, with d = 4,096, where two tables would be 4·d wide?
#
# answer as a share of the width before: 2 / 3 ± 0.01
# answer in LLaMA-7B: 4 * 4096 * 2 / 3 ± 100


# %% tags=["model"]
class FeedForward(Module):
    def __init__(self, width, hidden, kind, rng, out=None):
        self.up = Linear(width, hidden, rng=rng)
        self.gate = Linear(width, hidden, rng=rng) if kind == "SwiGLU" else None
        self.down = Linear(hidden, out or width, bias=False, rng=rng)
        self._kind = kind

    def forward(self, x):
        if self.gate:
            gates, values = self.gate(x), self.up(x)
            h = [silu(g) * u for g, u in zip(gates, values, strict=True)]  # key: opened, and let through
        else:
            h = [functions[self._kind](z) for z in self.up(x)]
        return self.down(h)


by_hand = FeedForward(1, 1, "SwiGLU", random.Random(1))
for table, number in ((by_hand.gate, 1.0), (by_hand.up, 2.0), (by_hand.down, 1.0)):
    table.weight[0][0].data = number
by_hand.gate.bias[0].data = by_hand.up.bias[0].data = 0.0
[y] = by_hand([Value(1.0, label="x")])
y.label = "SwiGLU"
print(f"{y.data:.4f}; LLaMA: 2/3 of {4 * 4096:,} is {4 * 4096 * 2 / 3:,.0f}")

# %% tags=["check"]
assert round(y.data, 4) == 1.4621
assert round(4 * 4096 * 2 / 3) == 10_923  # Meta rounded up to 11,008, a multiple of 256

# %%
y.backward()
viz.draw(y)

# %% [markdown]
# ## Side by side
#
# What is a product good for? The purest case: learn a · b from a and b, with 56 parameters each. A ReLU network has to
# build the curved surface from flat pieces.


# %%
def train(model, loss, examples, steps, lr):
    compiled, rng, losses = jit(loss, model), random.Random(2), []
    optimizer = Adam(compiled.parameters, lr=lr)
    for step in range(steps):
        losses.append(compiled.value_and_grad(*examples(rng)))
        optimizer.lr = lr * (1 - step / steps)
        optimizer.step()
    return sum(losses[-50:]) / 50


def pairs(rng):
    return [[rng.uniform(-2, 2) for _ in range(32)] for _ in range(2)]


def squared_error(model):
    return lambda a, b: (model([a, b])[0] - a * b) ** 2


products, sizes = {}, {}
for kind, hidden in (("ReLU", 14), ("GELU", 14), ("SwiGLU", 8)):
    model = FeedForward(2, hidden, kind, random.Random(1), out=1)
    sizes[kind] = len(model.parameters())
    products[kind] = train(model, squared_error(model), pairs, 800, 0.02)
    print(f"{kind:6} {sizes[kind]} parameters, mean squared error {products[kind]:.5f}")

# %% tags=["check"]
assert set(sizes.values()) == {56}
assert products["SwiGLU"] < products["ReLU"] / 3
assert products["SwiGLU"] < products["GELU"] / 3

# %% [markdown]
# **Predict.** And in a language model? The names of Lesson 7, three characters of context, one feed-forward part of
# 2,304 weights with its bypass and norm. Which of the three wins, and by how much?
#
# answer from the best loss to the worst there are: max(three.values()) - min(three.values()) > 0.05
#   | more than 0.05 nats | less than 0.05 nats

# %%
ALPHABET, WIDTH = ".abcdefghijklmnopqrstuvwxyz", 24
names = (Path(lessons.__file__).parent / "data" / "names.txt").read_text(encoding="utf-8").split()
random.Random(0).shuffle(names)


def windows(names):
    for name in names:
        context = [0, 0, 0]
        for character in name + ".":
            following = ALPHABET.index(character)
            yield context, following
            context = [*context[1:], following]


held_out, read = list(windows(names[:200])), list(windows(names[200:]))


class Names(Module):
    def __init__(self, feed_forward, rng):
        self.table = Embedding(27, WIDTH // 3, std=0.5, rng=rng)
        self.feed_forward = feed_forward
        self.head = Linear(WIDTH, 27, rng=rng)

    def stream(self, context):
        return [v for t in context for v in self.table(t)]

    def forward(self, context):
        x = self.stream(context)
        return self.head(F.rms_norm(F.add(x, self.feed_forward(F.rms_norm(x)))))


def batch(rng):
    return map(list, zip(*rng.sample(read, 64), strict=True))


def on_new_names(model):
    loss = jit(lambda context, following: F.cross_entropy(model(context), following), model)
    return float(loss.flat(*map(list, zip(*held_out, strict=True))).mean())


def trained_on_names(kind, hidden, steps=600):
    rng = random.Random(1)
    model = Names(FeedForward(WIDTH, hidden, kind, rng), rng)
    train(model, lambda context, following: F.cross_entropy(model(context), following), batch, steps, 0.01)
    return on_new_names(model)


three = {kind: trained_on_names(kind, hidden) for kind, hidden in (("ReLU", 48), ("GELU", 48), ("SwiGLU", 32))}
for kind, loss in three.items():
    print(f"{kind:6} {loss:.3f} on new names")

# %% tags=["check"]
assert max(three.values()) - min(three.values()) < 0.05

# %% [markdown]
# None of them: the differences are as small as those between two seeds. In large models the gain is small as well, a
# percent or so of the loss, but it is there for the same number of parameters. (Shazeer's paper gives no reason, "we
# attribute their success, as all else, to divine benevolence".)
#
# ## Experts
#
# A larger feed-forward part knows more and costs more. A **mixture of experts** divides it: several small parts, the
# experts, and a **router**, a table that gives each of them a score. Only the best one (in other models, the best two)
# works on this token; its answer is multiplied by its probability, so that the router gets a gradient, too:
#
#     p = softmax(router · x)        result = p_best · expert_best(x)
#
# By hand: scores of 2, 1, 0.1 and 0 make p = 0.61, 0.22, 0.09, 0.08. Expert 0 answers, and its answer is multiplied by
# 0.61.


# %%
class Experts(Module):
    def __init__(self, count, hidden, rng):
        self.router = Linear(WIDTH, count, bias=False, rng=rng)
        self.experts = [FeedForward(WIDTH, hidden, "ReLU", rng) for _ in range(count)]

    def shares(self, x):
        return F.softmax(self.router(x))

    def chosen(self, shares):  # 1 for the largest share, 0 for the others, without a gradient
        second = maximum(*(minimum(a, b) for a, b in combinations(shares, 2)))
        return [((p - second).relu() / (maximum(*shares) - second + 1e-12)).detach() for p in shares]

    def forward(self, x):
        shares = self.shares(x)
        weights = [p * one for p, one in zip(shares, self.chosen(shares), strict=True)]
        return F.weighted_sum(weights, [expert(x) for expert in self.experts])


four = Experts(4, 24, random.Random(1))
shares = F.softmax([Value(s) for s in (2.0, 1.0, 0.1, 0.0)])
print([round(p.data, 2) for p in shares], [round(one.data, 9) for one in four.chosen(shares)])

# %% tags=["check"]
assert [round(p.data, 2) for p in shares] == [0.61, 0.22, 0.09, 0.08]
assert [round(one.data, 9) for one in four.chosen(shares)] == [1.0, 0.0, 0.0, 0.0]

# %% [markdown]
# (Our program computes all four and multiplies three of them by 0. A program for large models leaves them out, and that
# is the point.)
#
# **Load balance.** An expert that is chosen more often learns more, becomes better, and is chosen even more often. The
# others idle. So a second loss is added (Fedus et al. 2021): with fᵢ, the fraction of the tokens that expert i gets,
# and Pᵢ, its mean probability,
#
#     balance = N · Σ fᵢ · Pᵢ
#
# **Predict.** Four experts: what is it when all are used alike, and when one gets all tokens with probability 1?
#
# answer all alike: balance([0.25] * 4, [0.25] * 4).data
# answer one gets all: balance([1.0, 0, 0, 0], [1.0, 0, 0, 0]).data


# %%
def balance(f, p):
    return len(f) * F.dot(f, p)


print(balance([0.25] * 4, [0.25] * 4).data, balance([1.0, 0, 0, 0], [1.0, 0, 0, 0]).data)

# %% tags=["check"]
assert balance([0.25] * 4, [0.25] * 4).data == 1.0
assert balance([1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]).data == 4.0

# %% [markdown]
# 1 at best and N at worst. Its gradient lowers the probability of those that are used much.
#
# **Predict.** Four experts with 24 hidden units each, one at a time. Where will the loss be: with one network of 24
# (the same work), or with one of 96 (the same parameters)?
#
# answer with load balance it is: 1 if balanced >= dense[24] else 2 if balanced <= dense[96] else 0
#   | between the two | worse than both | better than both
# answer without load balance, the busiest of the four gets (%): 100 * max(fractions["free"]) ± 10


# %%
def trained_experts(alpha, seed=1, steps=600):
    rng = random.Random(seed)
    model = Names(Experts(4, 24, rng), rng)

    def shares(context):
        return model.feed_forward.shares(F.rms_norm(model.stream(context)))

    def loss(context, following, f):
        return F.cross_entropy(model(context), following) + alpha * balance(f, shares(context))

    route = jit(lambda context: model.feed_forward.chosen(shares(context)), model)

    def examples(rng):
        contexts, following = batch(rng)
        return contexts, following, [route.flat(contexts).mean(axis=1).tolist()] * 64  # f of this batch

    train(model, loss, examples, steps, 0.01)
    chosen = route.flat([context for context, _ in held_out])  # (4, windows)
    return on_new_names(model), chosen


dense = {hidden: trained_on_names("ReLU", hidden) for hidden in (24, 96)}
free, free_chosen = trained_experts(0.0)
balanced, chosen = trained_experts(0.05)
fractions = {"free": free_chosen.mean(axis=1).tolist(), "balanced": chosen.mean(axis=1).tolist()}
print(f"one network: 24 units {dense[24]:.3f}, 96 units {dense[96]:.3f}")
print(f"four experts of 24: free {free:.3f}, balanced {balanced:.3f}")
for name, shares in fractions.items():
    print(f"{name:9} experts get", " ".join(f"{share:.0%}" for share in shares))

# %% tags=["check"]
assert dense[96] < dense[24] - 0.02
assert balanced < dense[24] - 0.01
assert balanced < free
assert max(fractions["free"]) > 0.6
assert min(fractions["balanced"]) > 0.1

# %%
bars = {name: list(enumerate(shares)) for name, shares in fractions.items()}
viz.plot(bars, title="Which expert gets the work?", x="expert", y="share of the characters")

# %% [markdown]
# Left to itself, the router gives most of the work to one expert, and the model is no better than a single network of
# 24. (How badly it goes depends on the start; with this seed it goes badly.) With the second loss all four work, and
# the result is between one network of 24 and one of 96: better than the same work, not as good as the same number of
# parameters.
#
# What do they specialize in? The last character that was read, and the expert that mostly takes it:

# %%
taken = {}
for k, (context, _) in enumerate(held_out):
    best = max(range(4), key=lambda expert: chosen[expert][k])
    taken.setdefault(ALPHABET[context[-1]], [0] * 4)[best] += 1

for expert in range(4):
    print(expert, " ".join(sorted(c for c, times in taken.items() if max(range(4), key=times.__getitem__) == expert)))

sure = sum(max(times) for times in taken.values()) / len(held_out)
print(f"the last character alone tells the expert in {sure:.0%} of the cases")

# %% tags=["check"]
assert sure > 0.5

# %% [markdown]
# The letters are divided, more or less by the last one. In large models it is the same: experts take kinds of *tokens*
# (numbers, punctuation, names), seldom whole subjects such as law or medicine.
#
# Mixtral 8x7B (2023) has eight experts in each block and uses two: 47 billion parameters, of which 13 billion work on
# a token. All 47 billion have to be in memory, though.
#
# ## Exercises
#
# **Exercise 1.** By hand: SwiGLU with gate 1, up 2, down 1 and x = −1. And with x = 3?

# %% tags=["solution"]
values = [(silu(Value(x)) * (2 * x)).data for x in (-1.0, 3.0)]
print([round(v, 4) for v in values])  # −0.2689 · −2 and 2.8577 · 6: nearly 2x² for large x
assert [round(v, 4) for v in values] == [0.5379, 17.1463]

# %% [markdown]
# **Exercise 2.** Where is the lowest point of GELU? Find it with the gradient, from z = −1, by the loop of Lesson 2.

# %% tags=["solution"]
z = Value(-1.0)
for _ in range(200):
    y = z.gelu()
    z.grad = 0.0
    y.backward()
    z.data -= 0.5 * z.grad

print(f"GELU({z.data:.4f}) = {y.data:.4f}")
assert (round(z.data, 4), round(y.data, 4)) == (-0.7518, -0.17)

# %% [markdown]
# **Exercise 3.** Mixtral's width is 4,096, its SwiGLU experts are 14,336 wide, there are 32 blocks with eight experts.
# How many parameters are in experts, and how many of these work on one token, if two experts do?

# %% tags=["solution"]
one = 3 * 4096 * 14336
print(f"{32 * 8 * one:,} and {32 * 2 * one:,}")  # nearly all of the 47 billion
assert (32 * 8 * one, 32 * 2 * one) == (45_097_156_608, 11_274_289_152)

# %% [markdown]
# ## Summary
#
# - **GELU** and **SiLU** are soft ReLUs: z times a probability, z times a sigmoid. No corner, and no dead side.
# - **SwiGLU** has a third table and multiplies; with 2/3 of the width it has the same parameters. It learns products.
# - On small models the choice hardly matters: measure at equal parameters, and with more than one seed.
# - **Mixture of experts:** a router chooses one part (or two) per token: more parameters for the same work.
# - Without **load balance** one expert gets most of the work; N · Σ f·P is 1 at best, N at worst.
#
# Next: what the vectors in an embedding mean, in Supplement 20.
