# %% [markdown]
# # Supplement 8: From a text that goes on to an assistant that answers
#
# **Question.** A language model continues texts. Asked a question, it may well go on with another question. What makes
# it answer, and answer in a way that people like?
#
# Follows Lesson 10b. Two steps: **supervised fine-tuning**, and **direct preference optimization** (DPO, Rafailov et
# al. 2023).

# %%
import math
import random

import viz
from gpt.config import GPTConfig
from gpt.model import GPT
from tinygrad_edu import Value, jit
from tinygrad_edu import functional as F
from tinygrad_edu.compiler import AdamW

FAST = globals().get("FAST", False)

# %% [markdown]
# ## A model that has read a lot
#
# Its whole world is addition. It has read lists of questions, and statements in two styles, plain and friendly:
#
#     3+4?
#     2+2=4.
#     5+1=6 :)
#
# No question in these texts is ever answered: after a question mark there is always the next line.

# %%
alphabet = "\n+=?. :)0123456789"
sums = [(a, b) for a in range(10) for b in range(10) if a + b < 10]
random.Random(0).shuffle(sums)
STYLES = (".", " :)")


def encode(text):
    return [alphabet.index(character) for character in text]


def statement(rng):
    a, b = rng.choice(sums)
    return f"{a}+{b}?\n" if rng.random() < 0.5 else f"{a}+{b}={a + b}{rng.choice(STYLES)}\n"


rng = random.Random(1)
read = encode("".join(statement(rng) for _ in range(5000)))


def from_text(rng):
    start = rng.randrange(len(read) - 17)
    return read[start : start + 17]


def train(compiled, example, steps, lr):
    optimizer, rng = AdamW(compiled.parameters, lr=lr), random.Random(2)
    for step in range(steps):
        rows = [example(rng) for _ in range(32)]
        loss = compiled.value_and_grad([row[:-1] for row in rows], [row[1:] for row in rows])
        optimizer.lr = lr * (1 - step / steps)
        optimizer.step()
    return loss


model = GPT(GPTConfig(vocab_size=len(alphabet), block_size=16, n_layer=1, n_head=4, n_embd=32), seed=1)
compiled = jit(model.loss)
print(f"loss {train(compiled, from_text, 1500 if FAST else 2500, lr=0.01):.2f}")

# %% [markdown]
# We ask it everything, ten times, and count three things: whether it answers at all, in one of the two styles; whether
# the number is right; whether it is friendly. The 55 questions are divided: 35 that it will be taught to answer, and 20
# that are only asked.

# %%
taught, asked = sums[:35], sums[35:]
scores = jit(model, compiled.parameters)


def write(prompts, length=6, seed=9):
    rng, rows = random.Random(seed), [encode(prompt) for prompt in prompts]
    for _ in range(length):
        at = (len(rows[0]) - 1) * len(alphabet)
        last = scores.flat([row + [0] * (16 - len(row)) for row in rows])[at : at + len(alphabet)]
        for i, row in enumerate(rows):
            row += rng.choices(range(len(alphabet)), [math.exp(score) for score in last[:, i]])
    return ["".join(alphabet[t] for t in row)[4:].split("\n")[0] for row in rows]


def shares(questions):
    questions = questions * 10
    answers = write([f"{a}+{b}?" for a, b in questions])
    answered = [answer[:1].isdigit() and answer[1:] in STYLES for answer in answers]
    right = [ok and int(x[0]) == a + b for ok, x, (a, b) in zip(answered, answers, questions, strict=True)]
    return {
        "answers": sum(answered) / len(answers),
        "right": sum(right) / len(answers),
        "friendly": sum(ok and answer.endswith(":)") for ok, answer in zip(answered, answers, strict=True))
        / len(answers),
    }


def report(name, found):
    print(f"{name:28}", "  ".join(f"{what} {share:.0%}" for what, share in found.items()))


knows = write([f"{a}+{b}=" for a, b in sums])
knowledge = sum(answer[:1] == str(a + b) for answer, (a, b) in zip(knows, sums, strict=True)) / len(sums)
print(f"statements continued correctly: {knowledge:.0%}")
untaught = shares(asked)
report("as read, 20 questions", untaught)

# %% tags=["check"]
assert len(sums) == 55
assert knowledge > 0.9
assert untaught["answers"] < 0.02

# %% [markdown]
# It knows the sums, and it does not answer.
#
# ## Fine-tuning
#
# Now show it questions *with* answers, in both styles: `3+4?7.` or `3+4?7 :)`. Same loss, same program, a few steps.
# Only 35 of the questions are ever shown. (The loss counts the question's characters, too. Supplement 21 leaves them
# out, as is usual.)
#
# **Predict.** How many of the 20 others, which it has never seen answered, will it answer correctly?
#
# answer of the 20: 20 * tuned["right"] ± 3


# %%
def from_lessons(rng):
    text = ""
    while len(text) < 17:
        a, b = rng.choice(taught)
        text += f"{a}+{b}?{a + b}{rng.choice(STYLES)}\n"
    return encode(text[:17])


train(compiled, from_lessons, 150, lr=0.003)
tuned = shares(asked)
report("fine-tuned, 35 it was shown", shares(taught))
report("fine-tuned, the 20 others", tuned)
print([a + "   " for a in write([f"{a}+{b}?" for a, b in asked[:6]])])

# %% tags=["check"]
assert tuned["answers"] > 0.85
assert tuned["right"] > 0.65
assert 0.35 < tuned["friendly"] < 0.65

# %% [markdown]
# Most of them. What it *knows* comes from reading; fine-tuning only teaches it the form. (That is why a hundred
# thousand good dialogues turn a model into an assistant, and why they do not make it smarter.)
#
# ## Preferences
#
# Both styles are right. People who compare two answers like the friendly one better. A preference is not a text to
# imitate; it is a pair, *chosen* and *rejected*. DPO makes the chosen one more likely than the rejected one, measured
# against a frozen copy of the model, the reference:
#
#     reward(y) = β · (log p(y) − log p_ref(y))
#     loss = −log σ( reward(chosen) − reward(rejected) )
#
# It is the loss of a classifier (Lesson 5) that says which of two is preferred; the score is hidden in the language
# model itself. On Values:


# %%
def log_p(tokens):
    rows = model(tokens[:-1])  # the question has four characters; only the answer counts
    return -sum(F.cross_entropy(rows[t - 1], tokens[t]) for t in range(4, len(tokens)))


BETA = 0.5


def dpo(chosen, rejected, ref_chosen, ref_rejected):
    margin = BETA * (log_p(chosen) - ref_chosen) - BETA * (log_p(rejected) - ref_rejected)
    return (1 + (-margin).exp()).log()


def pairs(questions):
    plain = [encode(f"{a}+{b}?{a + b}.\n") for a, b in questions]
    return [encode(f"{a}+{b}?{a + b} :)\n") for a, b in questions], plain


both = jit(lambda chosen, rejected: [log_p(chosen), log_p(rejected)], compiled.parameters)
preferring = jit(dpo, compiled.parameters)
data, tests = pairs(taught), pairs(asked)
reference, test_reference = (both.flat(*pair).tolist() for pair in (data, tests))

# %% [markdown]
# **Predict.** Before the first step the model and its reference are the same. What is the loss?
#
# answer loss: first ± 0.01

# %%
first = preferring.value_and_grad(*data, *reference)
print(f"{first:.4f}")

# %% tags=["check"]
assert abs(first - math.log(2)) < 1e-4

# %% [markdown]
# ln 2: a classifier that has no idea. Now train it, and watch the 20 questions that it was never taught.
#
# **Predict.** In the end the loss will be nearly 0. Will its answers be good then?
#
# answer its answers will be: alone[-1][1]["right"] > tuned["right"] - 0.1 | good | worse than before


# %%
start = model.state_dict()


def prefer(loss, steps):
    model.load_state_dict(start)
    optimizer, seen, rewards = AdamW(compiled.parameters, lr=0.003, weight_decay=0.0), [], []
    for step in range(steps + 1):
        if step % 10 == 0:
            seen.append((step, shares(asked)))
            logs = zip(both.flat(*tests).tolist(), test_reference, strict=True)
            rewards.append([BETA * (sum(new) - sum(old)) / len(new) for new, old in logs])
        last = loss.value_and_grad(*data, *reference)
        optimizer.step()
    print(f"loss {last:.4f}, reward of chosen {rewards[-1][0]:.2f}, of rejected {rewards[-1][1]:.2f}")
    report(f"after {steps} steps", seen[-1][1])
    print([answer + "   " for answer in write([f"{a}+{b}?" for a, b in asked[:6]])])
    return seen, rewards


alone, alone_rewards = prefer(preferring, 60)

# %% tags=["check"]
assert alone[-1][1]["answers"] < tuned["answers"] - 0.2
assert all(chosen > rejected for chosen, rejected in alone_rewards[1:])
assert alone_rewards[-1][0] < 0
assert alone[-1][1]["right"] < tuned["right"] - 0.3

# %% [markdown]
# No! The loss asks only that the chosen answer becomes more likely *than the rejected one*. The cheapest way is to
# destroy the rejected one; but good answers are made of the same pieces. Even the chosen answers have become less
# likely: their reward is negative. This happens with large models as well.
#
# The remedy is an anchor: add the loss of fine-tuning for the chosen answer (Pang et al. 2024).


# %%
def anchored(chosen, rejected, ref_chosen, ref_rejected):
    return dpo(chosen, rejected, ref_chosen, ref_rejected) - 0.5 * log_p(chosen)


kept, rewards = prefer(jit(anchored, compiled.parameters), 100)

# %% tags=["check"]
final = kept[-1][1]
assert final["answers"] > 0.85
assert final["friendly"] > 0.85
assert final["right"] > tuned["right"] - 0.15
assert rewards[-1][0] > 0.2
assert rewards[-1][1] < -3
assert rewards[-1][0] < BETA * math.log(2) + 0.05

# %%
curves = {
    f"{what}, {name}": [(step, found[what]) for step, found in seen]
    for name, seen in (("anchored", kept), ("DPO alone", alone))
    for what in ("friendly", "right")
}
viz.plot(curves, title="Twenty questions it was never taught", x="step", y="share of all answers")

# %% [markdown]
# Now nearly all answers are friendly, and about as many are right as before.
#
# ## How far has it moved?
#
# The distance from the reference is measured in nats, by the Kullback-Leibler divergence: Σ p · (log p − log p_ref).
# Where the style is chosen, the reference tosses a coin.
#
# **Predict.** How many nats away from a coin is a model that *always* chooses the smiley?
#
# answer nats: math.log(2) ± 0.02


# %%
def next_shares(prompts):
    at = (len(prompts[0]) - 1) * len(alphabet)
    filled = [encode(prompt) + [0] * (16 - len(prompt)) for prompt in prompts]
    columns = scores.flat(filled)[at : at + len(alphabet)].T.tolist()
    return [[share.data for share in F.softmax([Value(x) for x in column])] for column in columns]


prompts = [f"{a}+{b}?{a + b}" for a, b in asked]
now = next_shares(prompts)
model.load_state_dict(start)
then = next_shares(prompts)
kl = [sum(p * math.log(p / q) for p, q in zip(*rows, strict=True)) for rows in zip(now, then, strict=True)]
smiley = [sum(row[alphabet.index(" ")] for row in rows) / len(rows) for rows in (then, now)]
print(f"smileys {smiley[0]:.0%} → {smiley[1]:.0%}: {sum(kl) / len(kl):.2f} nats; always: ln 2 = {math.log(2):.2f}")

# %% tags=["check"]
assert abs(smiley[0] - 0.5) < 0.1
assert smiley[1] > 0.9
assert 0.35 < sum(kl) / len(kl) < math.log(2) + 0.05

# %% [markdown]
# ln 2 = 0.69, and our model has gone most of that way. A probability of one half can only double, so the reward of the
# chosen answer stops near β · ln 2 = 0.35, while that of the rejected one can fall forever. β sets the price of leaving
# the reference.

# %% [markdown]
# ## Exercises
#
# **Exercise 1.** The loss of DPO is −log σ(β · d), where d says how much more the chosen answer has gained than the
# rejected one. What is it at d = 0, and what is its slope in d there, with β = 0.5?

# %% tags=["solution"]
d = Value(0.0, label="d")
at_start = -(0.5 * d).sigmoid().log()
at_start.backward()
print(round(at_start.data, 4), d.grad)
assert math.isclose(at_start.data, math.log(2))
assert math.isclose(d.grad, -0.25)

# %% [markdown]
# **Exercise 2.** The chosen answer becomes half as likely, the rejected one a hundred times less likely. Is the loss of
# DPO content? (β = 1.)

# %% tags=["solution"]
difference = math.log(1 / 2) - math.log(1 / 100)
content = -math.log(1 / (1 + math.exp(-difference)))
print(round(content, 3))
assert content < 0.03 < math.log(2)  # yes: it sees the difference alone. That is why it needs an anchor.

# %% [markdown]
# ## Summary
#
# - **Pre-training** on text knows much and answers nothing; **supervised fine-tuning (SFT)** on questions with answers
#   teaches the form.
# - **DPO** learns from pairs of a better and a worse answer; it sees only their difference.
# - Alone it destroys what it knew; an **anchor** on the chosen answers keeps it.
# - The distance from the reference is measured in nats (**KL divergence**).
#
# Next: several answers, a reward model and PPO instead of pairs, in Supplement 21.
