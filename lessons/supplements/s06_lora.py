# %% [markdown]
# # Supplement 6: LoRA, a large model taught with few numbers
#
# **Question.** A trained model has billions of weights, and you have one graphics card. How can you teach it something
# new without touching a single one of them?
#
# Follows Lesson 10b. LoRA is from Hu et al. (2022).

# %%
import math
import random
from pathlib import Path

import lessons
import viz
from gpt.config import GPTConfig
from gpt.model import GPT
from tinygrad_edu import Value, jit
from tinygrad_edu import functional as F
from tinygrad_edu.compiler import AdamW
from tinygrad_edu.nn import Linear, Module

FAST = globals().get("FAST", False)

# %% [markdown]
# ## A trained model
#
# A small GPT that learns the first names of Lesson 6. For us it is the expensive model that someone else has trained.

# %%
alphabet = ".abcdefghijklmnopqrstuvwxyz"
names = (Path(lessons.__file__).parent / "data" / "names.txt").read_text(encoding="utf-8").split()
random.Random(0).shuffle(names)


def tokens(names):
    return [alphabet.index(character) for character in "." + ".".join(names) + "."]


def batch(tokens, count, rng):
    starts = [rng.randrange(len(tokens) - 16) for _ in range(count)]
    return [tokens[s : s + 16] for s in starts], [tokens[s + 1 : s + 17] for s in starts]


def train(compiled, tokens, steps, lr):
    optimizer, rng, losses = AdamW(compiled.parameters, lr=lr), random.Random(2), []
    for step in range(steps):
        losses.append(compiled.value_and_grad(*batch(tokens, 32, rng)))
        optimizer.lr = lr * (1 - step / steps)
        optimizer.step()
    return losses


model = GPT(GPTConfig(vocab_size=27, block_size=16, n_layer=1, n_head=4, n_embd=32), seed=1)
base = train(jit(model.loss), tokens(names[:1800]), 500 if FAST else 1000, lr=0.01)
print(f"{len(model.parameters()):,} parameters, loss {base[0]:.2f} → {sum(base[-50:]) / 50:.2f}")

# %% [markdown]
# ## A small table next to a large one
#
# A linear layer is a table W, here 32 × 32. Fine-tuning would add a change to it, ΔW, with as many numbers as W has.
# LoRA assumes that the change is simple. Let it be the product of a tall and a wide table, B (32 × r) and A (r × 32):
#
#     W x   becomes   W x + B (A x)
#
# W is frozen. Only A and B learn. B begins with zeros, so that nothing changes at first.
#
# **Predict.** With r = 2: how many numbers learn for this layer, instead of how many?
#
# answer numbers that learn: len(layer.parameters())
# answer instead of: full


# %%
class LoRA(Module):
    def __init__(self, linear, rank, rng):
        self.weight = linear.weight
        wide, tall = len(linear.weight[0]), len(linear.weight)
        self.A = [[Value(rng.gauss(0, wide**-0.5)) for _ in range(wide)] for _ in range(rank)]
        self.B = [[Value(0.0) for _ in range(rank)] for _ in range(tall)]

    def forward(self, x):
        change = F.linear(F.linear(x, self.A), self.B)
        return F.add(F.linear(x, self.weight), change)  # key: what W says, plus the change


def freeze(module):
    for _, part in module.named_modules():
        if getattr(part, "weight", None):
            part.weight = [[w.data for w in row] for row in part.weight]  # numbers, no longer Values


layer = Linear(32, 32, bias=False, rng=1)
full = len(layer.parameters())
freeze(layer)
layer = LoRA(layer, 2, random.Random(1))
print(len(layer.parameters()), "instead of", full)

# %% tags=["check"]
assert len(layer.parameters()) == 2 * 32 + 32 * 2 == 128
assert full == 32 * 32 == 1024

# %% [markdown]
# An eighth. For GPT-3's tables of 12,288 × 12,288 it would be a three-thousandth. To freeze a weight, we replace the
# `Value` by its number: what is no `Value` has no gradient. This is the layer with r = 1 and two inputs:

# %%
tiny = Linear(2, 1, bias=False, rng=1)
freeze(tiny)
tiny = LoRA(tiny, 1, random.Random(1))
for label, table in (("A", tiny.A), ("B", tiny.B)):
    for i, value in enumerate(v for row in table for v in row):
        value.label = f"{label}{i + 1}"

y = tiny([Value(1.0, label="x1"), Value(2.0, label="x2")])[0]
y.label = "y"
y.backward()
viz.draw(y)

# %% tags=["check"]
assert all(a.grad == 0.0 for row in tiny.A for a in row)
assert tiny.B[0][0].grad != 0.0

# %% [markdown]
# While B is 0, no gradient gets through to A: in the first step only B moves. (If both were 0, nothing would ever
# move.)
#
# ## Names backward
#
# What should it learn? Another style: *ahtram, nhoj, eimaj*. Five tables of the GPT get a LoRA.


# %%
def losses(compiled):
    found = []
    for step in (1, -1):
        new = tokens([name[::step] for name in names[1800:]])
        found.append(float(compiled(*batch(new, 256, random.Random(3))).mean()))
    return found


freeze(model)
rng, block = random.Random(5), model.transformer.h[0]
places = [(block.attn, "c_attn"), (block.attn, "c_proj"), (block.mlp, "c_fc"), (block.mlp, "c_proj")]
places.append((model, "lm_head"))
for owner, name in places:
    setattr(owner, name, LoRA(getattr(owner, name), 2, rng))

compiled = jit(model.loss)
before = losses(compiled)
print(f"{len(model.parameters()):,} parameters learn now")
print(f"new names {before[0]:.2f}, new names backward {before[1]:.2f}")

# %% [markdown]
# Backward it is worse than guessing blindly among 27 characters, which costs ln 27 = 3.30: it is sure, and wrong.
#
# **Predict.** We train on backward names only. Where will its loss on *ordinary* names go?
#
# answer the loss on ordinary names: after[0] > before[0] + 0.1 | rises | falls

# %%
tuning = train(compiled, tokens([name[::-1] for name in names[:1800]]), 300 if FAST else 800, lr=0.02)
after = losses(compiled)
for kind, a, b in zip(("names", "backward"), before, after, strict=True):
    print(f"{kind:10} {a:.2f} → {b:.2f}")

# %% tags=["check"]
assert len(model.parameters()) == 256 + 128 + 320 + 320 + 118 == 1142
assert abs(before[0] - 2.13) < 0.1
assert before[1] > 3.1
assert FAST or before[1] > math.log(27)
assert after[1] < 2.4
assert after[0] > 2.6

# %%
curves = {"backward names": [(i + 5, sum(tuning[i : i + 10]) / 10) for i in range(0, len(tuning) - 9, 10)]}
curves["guessing"] = [(0, math.log(27)), (len(tuning), math.log(27))]
viz.plot(curves, title="1,142 numbers learn to read backward", x="step", y="nats per character")

# %% [markdown]
# Ordinary names now cost nearly 3 nats per character (guessing costs 3.30), although none of the model's own weights
# has changed. And that is the beauty of it: switch the small tables off, and everything is back.


# %%
def write(scores, seed, length=50):
    rng, written = random.Random(seed), [0]
    for _ in range(length):
        seen = written[-16:]
        last = scores.flat([seen + [0] * (16 - len(seen))])[:, 0][27 * (len(seen) - 1) :][:27]
        written += rng.choices(range(27), [math.exp(score) for score in last])
    return "".join(alphabet[token] for token in written)


scores = jit(model, compiled.parameters)
print("on: ", write(scores, seed=4))
learned = [value.data for owner, name in places for row in getattr(owner, name).B for value in row]


def set_B(numbers):
    numbers = iter(numbers)
    for owner, name in places:
        for value in (value for row in getattr(owner, name).B for value in row):
            value.data = next(numbers)


set_B([0.0] * len(learned))
print("off:", write(scores, seed=4), f"loss {losses(compiled)[0]:.2f}")

# %% tags=["check"]
assert all(abs(a - b) < 1e-5 for a, b in zip(losses(compiled), before, strict=True))

# %% [markdown]
# One large model, and a small file for each task: that is how many providers serve thousands of fine-tuned models.
#
# ## Merging
#
# When there is only one task, the small tables need not cost any time: W x + B (A x) = (W + B A) x, so W + B A can
# replace W.
#
# **Predict.** How far apart are the scores of the merged model and of the model with LoRA?
#
# answer they are: apart < 1e-6 | the same but for rounding | a little different | very different

# %%
set_B(learned)
some = tokens(["ahtram"]) + [0] * 8
with_lora = jit(model, dtype="float64").flat([some])
for owner, name in places:
    lora = getattr(owner, name)
    merged = Linear(len(lora.A[0]), len(lora.B), bias=False)
    for w_row, b_row, row in zip(lora.weight, lora.B, merged.weight, strict=True):
        for i, value in enumerate(row):
            value.data = w_row[i] + sum(b.data * a[i].data for b, a in zip(b_row, lora.A, strict=True))
    setattr(owner, name, merged)

apart = abs(jit(model, dtype="float64").flat([some]) - with_lora).max()
print(f"{apart:.0e}")

# %% tags=["check"]
assert apart < 1e-9
assert not any(isinstance(part, LoRA) for _, part in model.named_modules())

# %% [markdown]
# Nothing but rounding. And what has it saved? AdamW keeps two numbers for each weight that learns (Supplement 5), here
# for 1,142 instead of 14,528. In a model whose tables are 4,096 wide, with r = 2, a thousandth of the weights would
# learn: about 55 MB remain of the 56 GB for 7 billion weights.

# %% tags=["check"]
assert 4096 * 4096 / (2 * 2 * 4096) == 1024
assert round(7e9 / 1024 * 2 * 4 / 1e6) == 55
assert 12_288 * 12_288 / (2 * 2 * 12_288) == 3072

# %% [markdown]
# ## Exercises
#
# **Exercise 1.** At which rank does LoRA have as many numbers as the table of 32 × 32 itself?

# %% tags=["solution"]
rank = next(r for r in range(1, 100) if r * (32 + 32) >= 32 * 32)
print(rank)
assert rank == 16  # half of the width: beyond it nothing is saved

# %% [markdown]
# **Exercise 2.** B begins with zeros and A at random. What would happen the other way round, and if both were 0?

# %% tags=["solution"]
moved = {}
for start_a, start_b in ((1.0, 0.0), (0.0, 1.0), (0.0, 0.0)):
    part_a, part_b = Value(start_a), Value(start_b)
    (part_b * (part_a * 2.0)).backward()
    moved[start_a, start_b] = (part_a.grad, part_b.grad)

print(moved)
assert moved == {(1.0, 0.0): (0.0, 2.0), (0.0, 1.0): (2.0, 0.0), (0.0, 0.0): (0.0, 0.0)}
# The other way round works, too: only one of the two must not be 0. With both at 0 nothing ever moves.

# %% [markdown]
# ## Summary
#
# - **LoRA:** W stays frozen; the change is a product of two small tables, B·A, of low **rank**.
# - Less than a tenth of the numbers learn here, in large models a thousandth; the optimizer needs as little.
# - Switched off, the old model is back, exactly. **Merged**, it costs no time.
# - Fine-tuning on one style alone can spoil another.
