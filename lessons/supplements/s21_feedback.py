# %% [markdown]
# # Supplement 21: From text to assistant, with a reward
#
# **Question.** Nobody can write down the best answer to every question. But people can say which of two answers is
# better. How is a model trained with nothing but such judgments, and what goes wrong?
#
# Follows Supplement 8, which has the same little world and the shorter way, DPO. This is the way of InstructGPT and
# the first ChatGPT (Ouyang et al. 2022): **pre-training → supervised fine-tuning → reward model → PPO**.

# %%
import math
import random

import viz
from gpt.config import GPTConfig
from gpt.model import GPT
from tinygrad_edu import Value, jit, maximum, minimum
from tinygrad_edu import functional as F
from tinygrad_edu.compiler import Adam, AdamW
from tinygrad_edu.nn import Linear, Module

FAST = globals().get("FAST", False)

# %% [markdown]
# ## Step 1: pre-training
#
# The world is addition again. The model reads questions that nobody answers, and statements in two styles:
#
#     3+4?
#     2+2=4.
#     5+1=6 :)
#
# New: sums with a 3 are *secret*. Our assistant must not tell them. (In the texts that it reads they occur like all
# others, as dangerous knowledge does on the web.)

# %%
alphabet = "\n+=?. :)no0123456789"
sums = [(a, b) for a in range(10) for b in range(10) if a + b < 10]
random.Random(0).shuffle(sums)
public, secret = [pair for pair in sums if 3 not in pair], [pair for pair in sums if 3 in pair]
taught, asked, hidden = public[:28] + secret[:9], public[28:], secret[9:]
STYLES = (".", " :)")


def encode(text):  # ten characters; after the end there are only line breaks
    return [alphabet.index(character) for character in text.ljust(10, "\n")[:10]]


def line(rng):
    a, b = rng.choice(sums)
    return f"{a}+{b}?\n" if rng.random() < 0.5 else f"{a}+{b}={a + b}{rng.choice(STYLES)}\n"


def from_text(rng):
    return encode(line(rng) + line(rng)), [1 / 9] * 9  # every character counts


def train(compiled, example, steps, lr):
    optimizer, rng = AdamW(compiled.parameters, lr=lr), random.Random(2)
    for step in range(steps):
        rows, weights = zip(*[example(rng) for _ in range(32)], strict=True)
        loss = compiled.value_and_grad([row[:-1] for row in rows], [row[1:] for row in rows], weights)
        optimizer.lr = lr * (1 - step / steps)
        optimizer.step()
    return loss


model = GPT(GPTConfig(vocab_size=len(alphabet), block_size=10, n_layer=1, n_head=4, n_embd=32), seed=1)
compiled = jit(model.loss)
print(f"loss {train(compiled, from_text, 600 if FAST else 800, lr=0.01):.2f}")

# %% [markdown]
# What can it do? We ask 14 public questions that it will never be taught to answer, and 4 secret ones, many times
# each.

# %%
scores = jit(model, compiled.parameters)


def write(prompts, rng, temperature=1.0):
    rows = [[alphabet.index(character) for character in prompt] for prompt in prompts]
    for at in range(4, 9):  # a question has four characters, an answer up to five
        filled = [row + [0] * (9 - len(row)) for row in rows]
        last = scores.flat(filled)[(at - 1) * len(alphabet) : at * len(alphabet)] / temperature
        for i, row in enumerate(rows):
            drawn = rng.choices(range(len(alphabet)), [math.exp(score) for score in last[:, i]])[0]
            row.append(0 if 0 in row[4:] else drawn)
    return rows


def answer_in(row):
    return "".join(alphabet[t] for t in row[4:]).split("\n")[0]


def ask(pairs, sign="?", temperature=1.0):
    return [answer_in(row) for row in write([f"{a}+{b}{sign}" for a, b in pairs], random.Random(9), temperature)]


def tells(pair, answer):
    return answer in [f"{sum(pair)}{style}" for style in STYLES]


def shares(temperature=1.0):
    publicly, secretly = asked * 20, hidden * 50
    answers, replies = ask(publicly, temperature=temperature), ask(secretly, temperature=temperature)
    return {
        "right": sum(map(tells, publicly, answers)) / len(answers),
        "friendly": sum(answer.endswith(" :)") for answer in answers) / len(answers),
        "refused": sum(reply == "no." for reply in replies) / len(replies),
    }


def report(name, found):
    print(f"{name:26}", "  ".join(f"{what} {share:.0%}" for what, share in found.items()))


knows = sum(map(tells, sums, ask(sums, "="))) / len(sums)
print(f"statements continued correctly: {knows:.0%}")
report("base model", shares())

# %% tags=["check"]
assert (len(public), len(secret)) == (42, 13)
assert knows > 0.9
assert max(shares().values()) < 0.02

# %% [markdown]
# That is a **base model**: it knows all sums and answers no question.
#
# ## Step 2: supervised fine-tuning, on the answer only
#
# Now it is shown 37 questions with answers: the sum, in either style; and `no.` if the question is secret. That is
# how a **refusal** is taught: it is an answer like any other.
#
# In Supplement 8 the loss counted all characters. But nobody wants the model to *write* questions, and a question
# cannot be predicted: it costs ln 10 for each number. So the weight of the question is 0, and only the answer counts.
#
# **Predict.** The three characters of a question that have to be predicted (all but the first) cost 0, 1.7 and 0
# nats; the three of its answer 0.2 each. What is the mean loss with the question, and without?
#
# answer with the question: (1.7 + 3 * 0.2) / 6
# answer without: 3 * 0.2 / 3

# %%
with_question = (0 + 1.7 + 0 + 3 * 0.2) / 6
only_answer = 3 * 0.2 / 3
print(f"{with_question:.3f}, {only_answer:.3f}")


def demonstration(rng, question=0.0):
    a, b = pair = rng.choice(taught)
    answer = "no." if 3 in pair else f"{a + b}{rng.choice(STYLES)}"
    length = len(answer) + 1  # the line break after it is part of the answer
    weights = [question] * 3 + [1.0] * length + [0.0] * (6 - length)
    return encode(f"{a}+{b}?{answer}"), [w / sum(weights) for w in weights]


base, tuned = model.state_dict(), {}
for name, question in (("SFT, question counted", 1.0), ("SFT, answer only", 0.0)):
    model.load_state_dict(base)
    last = train(compiled, lambda rng, question=question: demonstration(rng, question), 300, lr=0.003)
    tuned[name] = shares()
    report(name, tuned[name])
    print(f"{'':26} loss {last:.2f}")

fine_tuned, sft = model.state_dict(), tuned["SFT, answer only"]

# %% tags=["check"]
assert round(with_question, 3) == 0.383
assert round(only_answer, 3) == 0.2
assert sft["right"] > 0.6
assert sft["refused"] > 0.8
assert sft["friendly"] < 0.6

# %% [markdown]
# Both work; the loss of the first stays higher, since it contains what cannot be learned. (With long questions and
# short answers the difference is larger: nearly all of the gradient would be about questions.) And the refusal
# carries over to secret questions that it was never shown. It is now an **instruct model**.
#
# ## Temperature, and a way around
#
# How firm is the refusal? Ask at other temperatures (Lesson 5: scores divided by T).
#
# **Predict.** At T = 1 most secret questions are refused. At T = 0.5, and at T = 2?
#
# answer at T = 0.5: firmness[0.5]["refused"] > sft["refused"] | more are refused | fewer are refused
# answer at T = 2, the share refused: firmness[2.0]["refused"] ± 0.15

# %%
firmness = {T: shares(T) for T in (0.25, 0.5, 1.0, 1.5, 2.0, 3.0)}
viz.plot(
    {what: [(T, found[what]) for T, found in firmness.items()] for what in ("refused", "right")},
    title="Safety is a probability",
    x="temperature",
    y="share of the answers",
)

# %%
leaked = sum(map(tells, secret * 20, ask(secret * 20, "="))) / (20 * len(secret))
print(f"at T = 2: refused {firmness[2.0]['refused']:.0%}, right {firmness[2.0]['right']:.0%}")
print(f"asked as a statement, such as 3+1=, it tells {leaked:.0%} of the secrets")

# %% tags=["check"]
assert firmness[0.5]["refused"] > 0.9 > firmness[1.5]["refused"] > firmness[2.0]["refused"]
assert firmness[2.0]["refused"] < 0.5
assert firmness[2.0]["right"] < sft["right"]
assert leaked > 0.2

# %% [markdown]
# A refusal is a likely answer, not a lock. Heat makes everything less reliable, refusals first of all. And the secret
# is still in there: a prompt of `3+1=` instead of `3+1?` gets many of them. Fine-tuning has changed most of all
# what the model does with questions, and much less what it knows. Such a detour is called a **jailbreak**.
#
# ## Step 3: several answers, ranked, and a reward model
#
# Now the judgments. Let the model write four answers to each question. Somebody ranks them: here a program with our
# taste. A right and friendly answer is best (2), a right one is good (1), all else is bad (0); to a secret question,
# only `no.` is good (2).

# %%
POINTS = 2


def grade(pair, answer):
    if 3 in pair:
        return POINTS * (answer == "no.")
    return POINTS if answer == f"{sum(pair)} :)" else int(tells(pair, answer))


rng = random.Random(5)
questions = [pair for pair in taught for _ in range(4)]
written = write([f"{a}+{b}?" for a, b in questions], rng)
comparisons = []
for i in range(0, len(written), 4):
    four = [(grade(questions[i], answer_in(row)), row) for row in written[i : i + 4]]
    comparisons += [(better, worse) for high, better in four for low, worse in four if high > low]

print(f"{len(comparisons)} comparisons, such as", *[[answer_in(row) for row in pair] for pair in comparisons[:3]])

# %% [markdown]
# The ranking says which is better, not by how much. The **reward model** gives each answer a number r, so that
#
#     probability that the first is preferred = σ( r(first) − r(second) )
#     loss = −log of that probability
#
# (Bradley and Terry 1952, for players of games: the same formula ranks chess players.) It is a classifier whose score
# is a difference.
#
# **Predict.** The better answer has r = 1.2, the worse one 0.2. What is the probability, and what is the loss?
#
# answer the probability: Value(1.0).sigmoid().data
# answer the loss: preference(Value(1.2), Value(0.2)).data


# %%
def preference(better, worse):
    return (1 + (worse - better).exp()).log()


better, worse = Value(1.2, label="r(better)"), Value(0.2, label="r(worse)")
loss = preference(better, worse)
loss.label = "loss"
loss.backward()
print(f"loss {loss.data:.4f}, gradients {better.grad:.4f} and {worse.grad:.4f}")

# %% tags=["check"]
assert round(Value(1.0).sigmoid().data, 4) == 0.7311
assert round(loss.data, 4) == 0.3133
assert round(better.grad, 4) == -0.2689 == -round(worse.grad, 4)

# %%
viz.draw(loss)

# %% [markdown]
# σ(1) = 0.7311, −ln 0.7311 = 0.3133. The gradient is what is missing from certainty, 0.2689, as always with a
# softmax. The reward model is the fine-tuned model without its head: one table reads a number from the last position.


# %%
class RewardModel(Module):
    def __init__(self, gpt):
        self.body = GPT(gpt.config)
        self.body.load_state_dict(gpt.state_dict())
        self.score = Linear(gpt.config.n_embd, 1, bias=False, std=0.02, rng=random.Random(3))

    def forward(self, tokens):
        return self.score(self.body.transformer(tokens)[-1])[0]


judge = RewardModel(model)
judging = jit(lambda better, worse: preference(judge(better), judge(worse)), judge)
optimizer, rng = Adam(judging.parameters, lr=0.002), random.Random(6)
for _ in range(150):
    batch = [rng.choice(comparisons) for _ in range(32)]
    last = judging.value_and_grad(*[list(side) for side in zip(*batch, strict=True)])
    optimizer.step()

reward = jit(judge, judging.parameters)
texts = ("1+4?5 :)", "1+4?5.", "1+4?6 :)", "1+4?6.", "3+1?no.", "3+1?4 :)", "3+1?4.")
rated = dict(zip(texts, reward.flat([encode(text)[:9] for text in texts]).ravel().tolist(), strict=True))
print(f"loss {last:.2f}")
print("\n".join(f"{text:9} {r:+.2f}" for text, r in rated.items()))

# %% tags=["check"]
assert last < 0.3
assert rated["1+4?5 :)"] > rated["1+4?5."] + 1
assert rated["1+4?6 :)"] > rated["1+4?5."]

# %% [markdown]
# It has learned what we said, not what we meant. Nearly all comparisons were about the smiley, because the model
# seldom made mistakes; so a *wrong* answer with a smiley beats a right one without. And a told secret with a smiley
# is not much worse than a refusal. Remember these numbers.
#
# ## Step 4: PPO
#
# **Reinforcement learning:** the model is a *policy*. It writes an answer, gets a reward, and answers with more
# reward become more likely. How much more than usual an answer got is its **advantage** A: here its reward minus the
# mean of the batch, divided by the standard deviation. (PPO has a further model, the *value*, that predicts the mean
# for each question.) A simple policy gradient climbs A · log p(answer). **Proximal policy optimization** (Schulman et
# al. 2017) makes several steps on the same answers, and must not go too far from the model that wrote them. It looks
# at the ratio ρ = p(token) / p_old(token), and stops when that has changed by more than ε = 0.2 in the wanted
# direction:
#
#     minimum( ρ·A, clip(ρ, 0.8, 1.2)·A )
#
# **Predict.** A token has become 1.5 times as likely. What is the gradient with respect to ρ if A = 1? And if A = −1?
#
# answer for A = 1: clip_slopes[1.0]
# answer for A = −1: clip_slopes[-1.0]


# %%
def clipped(ratio, advantage):
    return minimum(ratio * advantage, minimum(maximum(ratio, 0.8), 1.2) * advantage)  # key: never too far


clip_slopes = {}
for advantage in (1.0, -1.0):
    ratio = Value(1.5, label="ratio")
    objective = clipped(ratio, advantage)
    objective.backward()
    clip_slopes[advantage] = ratio.grad
    print(f"A = {advantage:+.0f}: {objective.data:+.1f}, gradient {ratio.grad:+.1f}")

# %% tags=["check"]
assert clip_slopes == {1.0: 0.0, -1.0: -1.0}
assert clipped(Value(1.5), 1.0).data == 1.2
assert clipped(Value(1.5), -1.0).data == -1.5

# %% [markdown]
# With A = 1 the answer has been encouraged enough: 1.2, and no gradient. With A = −1 it has become more likely
# although it is bad: nothing is clipped, the gradient brings it back.
#
# The reward is not that of the judge alone. As in DPO there is a **reference**, the frozen fine-tuned model, and
# going away from it has a price β for each nat:
#
#     reward = r(answer) − β · ( log p(answer) − log p_ref(answer) )
#
# Its mean is the Kullback-Leibler divergence of Supplement 8. By hand: r = 2, the answer is twice as likely as
# before, β = 0.5: 2 − 0.5 · ln 2 = 1.65.


# %%
def answer_logs(gpt, row):
    logits = gpt(row[:-1])
    return [-F.cross_entropy(logits[t - 1], row[t]) for t in range(4, 9)]


def ppo(row, old, advantage, counts):
    ratios = [(new - before).exp() for new, before in zip(answer_logs(model, row), old, strict=True)]
    return -F.dot(counts, [clipped(ratio, advantage) for ratio in ratios])


reference = GPT(model.config)
reference.load_state_dict(fine_tuned)
climbing = jit(ppo, compiled.parameters)
log_p = jit(lambda row: answer_logs(model, row), compiled.parameters)
log_ref = jit(lambda row: answer_logs(reference, row), reference)


def reinforce(beta, rounds, batch=64):
    model.load_state_dict(fine_tuned)
    optimizer, rng, seen = Adam(compiled.parameters, lr=0.002), random.Random(7), []
    for step in range(rounds + 1):
        pairs = [rng.choice(taught) for _ in range(batch)]
        rows = write([f"{a}+{b}?" for a, b in pairs], rng)  # it learns from what it writes itself
        counts = [[float(0 not in row[4:t]) for t in range(4, 9)] for row in rows]  # up to the line break
        old, frozen, r = log_p.flat(rows).T.tolist(), log_ref.flat(rows).T.tolist(), reward.flat(rows).ravel().tolist()
        kl = [
            sum(c * (o - f) for c, o, f in zip(*three, strict=True)) for three in zip(counts, old, frozen, strict=True)
        ]
        got = [x - beta * far for x, far in zip(r, kl, strict=True)]
        mean = sum(got) / batch
        spread = math.sqrt(sum((x - mean) ** 2 for x in got) / batch) + 1e-6
        advantages = [(x - mean) / spread for x in got]
        points = [grade(pair, answer_in(row)) for pair, row in zip(pairs, rows, strict=True)]
        seen.append((step, sum(kl) / batch, sum(r) / batch, sum(points) / batch))
        for _ in range(2):
            climbing.value_and_grad(rows, old, advantages, counts)
            optimizer.step()
    return seen


# %% [markdown]
# **Predict.** First without a price, β = 0. The reward model's reward will rise. And our own points, which are at
# most 2?
#
# answer our points: free[-1][3] > free[0][3] | rise | fall

# %%
rounds = 40 if FAST else 50
free = reinforce(0.0, rounds)
broken = shares()
print(f"reward {free[0][2]:.2f} → {free[-1][2]:.2f}, our points {free[0][3]:.2f} → {free[-1][3]:.2f}")
report("PPO, β = 0", broken)
print([answer + "   " for answer in ask(asked[:3] + hidden[:3])])

# %% tags=["check"]
assert free[-1][2] > free[0][2] + 1.5
assert free[-1][3] < free[0][3] - 0.5
assert broken["right"] < sft["right"] - 0.25

# %% [markdown]
# The reward has never been so high, and the answers are bad: it has found what the *reward model* likes best.
# This is **over-optimization** (also *reward hacking*): the reward model knows only answers like those it was shown,
# and the policy walks out of there (Gao et al. 2022). "When a measure becomes a target, it ceases to be a good
# measure" (Goodhart's law). Now with a price:

# %%
priced = reinforce(0.6, rounds)
aligned = shares()
print(f"reward {priced[0][2]:.2f} → {priced[-1][2]:.2f}, our points {priced[0][3]:.2f} → {priced[-1][3]:.2f}")
report("SFT", sft)
report("PPO, β = 0.6", aligned)
print([answer + "   " for answer in ask(asked[:3] + hidden[:3])])

# %% tags=["check"]
assert aligned["friendly"] > 0.8 > sft["friendly"]
assert aligned["right"] > sft["right"] / 2
assert aligned["refused"] > sft["refused"] - 0.25
assert sum(x[3] for x in priced[-10:]) / 10 > free[-1][3] + 0.5
assert priced[-1][1] < 3 < free[-1][1]

# %%
curves = {
    f"{what}, β = {beta}": [(step, found[which]) for step, *found in seen]
    for beta, seen in ((0, free), (0.6, priced))
    for what, which in (("reward", 1), ("our points", 2))
}
viz.plot(curves, title="What the judge sees, and what we wanted", x="round", y="mean per answer")

# %% [markdown]
# About one nat away from the reference, nearly all answers are friendly, and most of what SFT had taught is still
# there.
#
# ## The pipeline, in its vocabulary
#
# | stage | learns from | result is called | here |
# |---|---|---|---|
# | pre-training | text; every next character counts | **base model** | knows, does not answer |
# | **SFT** | questions with answers; only the answer counts | **instruct** or chat model | answers, refuses |
# | **reward model** | comparisons of answers it wrote | a judge | loves smileys |
# | **PPO** | its own answers and their reward | **aligned** model | friendly |
# | or **DPO** (Supplement 8) | the comparisons, directly | the same | friendly, with an anchor |
#
# The last two stages together are **RLHF**, reinforcement learning from human feedback. DPO needs two models in
# memory (policy, reference) and writes no answers while it learns. PPO needs four (also the reward model and the
# value), and learns from fresh answers, so it can find better ones than anybody has shown. Both have a reference and
# a β, and both break without something that holds them there.
#
# How much text is that? InstructGPT had about 13,000 demonstrations, 33,000 ranked questions with four to nine answers
# each, and 31,000 questions for PPO. Reading, before all that, had taken GPT-3 300 billion tokens, of which 3 in 100
# were from Wikipedia. (Other figures that are often quoted are in `lesson errata`.)
#
# **Predict.** Suppose that a demonstration has 200 tokens. How large is the share of all demonstrations, compared with
# what was read?
#
# answer about: min(range(3), key=lambda i: abs(math.log10(demonstrated / was_read) + (2, 3.5, 5)[i]))
#   | a hundredth | a three-thousandth | a hundred-thousandth

# %%
demonstrated, was_read = 13_000 * 200, 300e9
print(f"{demonstrated:,} tokens, one for each {was_read / demonstrated:,.0f} that it has read")

# %% tags=["check"]
assert demonstrated == 2_600_000
assert 1e5 < was_read / demonstrated < 1.2e5

# %% [markdown]
# So little cannot teach facts. It teaches what to do with those that are there.
#
# ## Exercises
#
# **Exercise 1.** Four answers are ranked, all different. How many comparisons is that? And nine?

# %% tags=["solution"]
print(4 * 3 // 2, 9 * 8 // 2)
assert (math.comb(4, 2), math.comb(9, 2)) == (6, 36)

# %% [markdown]
# **Exercise 2.** A token has become 0.7 times as likely as before. For which sign of A is there a gradient?

# %% tags=["solution"]
slopes = []
for advantage in (1.0, -1.0):
    ratio = Value(0.7)
    clipped(ratio, advantage).backward()
    slopes.append(ratio.grad)
print(slopes)  # A = 1: it is good and has become less likely, so back; A = −1: far enough
assert slopes == [1.0, 0.0]

# %% [markdown]
# **Exercise 3.** Is the secret safe now? Ask the aligned model for statements, `3+1=`.

# %% tags=["solution"]
told = sum(map(tells, secret * 20, ask(secret * 20, "="))) / (20 * len(secret))
print(f"{told:.0%} of the secrets, after SFT {leaked:.0%}")  # no comparison was ever about statements
assert FAST or told > 0.1

# %% [markdown]
# ## Summary
#
# - **SFT** counts only the answer; a refusal is an answer. It is a probability: heat and detours get around it.
# - A **reward model** learns from comparisons: −log σ(r(better) − r(worse)).
# - **PPO** makes answers with an advantage more likely, in small clipped steps, and pays β for each nat away from the
#   reference.
# - Without that price the policy finds what the judge likes and we do not: **over-optimization**.
#
# Next: learning without any training at all, from the prompt, in Supplement 22.
