# %% [markdown]
# # Supplement 26: The same in PyTorch
#
# **Question.** Nearly all programs that you will read are written with PyTorch. What in them do you know already, and
# what is new?
#
# Follows Lesson 10. The cells with PyTorch run if it is installed (`pip install torch`); without it they say so. The
# other cells run in any case.

# %%

import viz
from gpt.config import GPTConfig
from gpt.model import GPT
from tinygrad_edu import Value
from tinygrad_edu import functional as F
from tinygrad_edu.optim import SGD

try:
    import torch
except ImportError:
    torch = None
    print("PyTorch is not installed, so its cells do nothing.")

FAST = globals().get("FAST", False)

# %% [markdown]
# ## One expression
#
# Lesson 1 once more, with a `Value` for each number:

# %%
a, b, c, f = Value(2.0, label="a"), Value(-3.0, label="b"), Value(10.0, label="c"), Value(-2.0, label="f")
L = (a * b + c) * f
L.backward()
print(L.data, [x.grad for x in (a, b, c, f)])

# %% [markdown]
# And in PyTorch. A **tensor** is an array of numbers that remembers its operation, as a `Value` is a single number that
# does. `requires_grad=True` says that its gradient is wanted.

# %%
if torch:
    a2, b2, c2, f2 = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (2.0, -3.0, 10.0, -2.0))
    L2 = (a2 * b2 + c2) * f2
    L2.backward()
    print(L2.item(), [x.grad.item() for x in (a2, b2, c2, f2)])

# %% tags=["check"]
assert (L.data, [x.grad for x in (a, b, c, f)]) == (-8.0, [6.0, -4.0, -2.0, 4.0])
if torch:
    assert (L2.item(), [x.grad.item() for x in (a2, b2, c2, f2)]) == (-8.0, [6.0, -4.0, -2.0, 4.0])

# %% [markdown]
# The same numbers, the same `backward`, the same `grad`. The graph behind both:

# %%
viz.draw(L)

# %% [markdown]
# **Predict.** The expression is computed again, and `backward()` is called again, without setting gradients to 0. What
# is `a.grad` then, here and in PyTorch?
#
# answer: a.grad

# %%
((a * b + c) * f).backward()
print(a.grad)
if torch:
    ((a2 * b2 + c2) * f2).backward()
    print(a2.grad.item())

# %% tags=["check"]
assert a.grad == 12.0
if torch:
    assert a2.grad.item() == 12.0

# %% [markdown]
# Both accumulate, which is why every training loop has its `zero_grad()`.
#
# | here | in PyTorch |
# |---|---|
# | `Value(2.0)` | `torch.tensor(2.0, requires_grad=True)`, a tensor without axes |
# | `x.data`, `x.grad` | `x.item()` or `x.detach()`, `x.grad` |
# | `with no_grad():` | `with torch.no_grad():` |
# | `Module`, `parameters()` | `torch.nn.Module`, `parameters()` |
# | `forward`, called by `model(x)` | the same |
# | `Linear(3, 4)`: lists of Values | `torch.nn.Linear(3, 4)`: a tensor of 4 × 3 |
# | `Embedding(27, 8)` | `torch.nn.Embedding(27, 8)` |
# | `F.softmax`, `F.cross_entropy` | `torch.softmax`, `torch.nn.functional.cross_entropy`, for a whole batch |
# | `SGD`, `Adam`, `AdamW` with `step()` | the same, in `torch.optim` |
# | `jit` finds the matrix products | you write them: `x @ w.T` |
# | a loop over positions, or examples | one more axis |
#
# The last two lines are what is new.
#
# ## A line
#
# The five points of Lesson 2, with 800 steps. Here, one example at a time:

# %%
xs, ys = [1.0, 2.0, 3.0, 4.0, 5.0], [2.1, 3.9, 6.1, 7.8, 10.0]
w, bias = Value(0.0), Value(0.0)
optimizer = SGD([w, bias], lr=0.05)
for _ in range(800):
    loss = F.mse([w * x + bias for x in xs], ys)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"y = {w.data:.6f} x + {bias.data:.6f}, loss {loss.data:.6f}")

# %% [markdown]
# There, all five at once. `w * x + b` needs no loop, since `x` holds five numbers:

# %%
if torch:
    x2, y2 = torch.tensor(xs, dtype=torch.float64), torch.tensor(ys, dtype=torch.float64)
    w2, bias2 = (torch.zeros((), dtype=torch.float64, requires_grad=True) for _ in range(2))
    optimizer2 = torch.optim.SGD([w2, bias2], lr=0.05)
    for _ in range(800):
        loss2 = ((w2 * x2 + bias2 - y2) ** 2).mean()
        optimizer2.zero_grad()
        loss2.backward()
        optimizer2.step()
    print(f"y = {w2.item():.6f} x + {bias2.item():.6f}, loss {loss2.item():.6f}")

# %% tags=["check"]
assert abs(w.data - 1.97) < 1e-6
assert abs(bias.data - 0.07) < 1e-6
if torch:
    assert abs(w.data - w2.item()) < 1e-12
    assert abs(bias.data - bias2.item()) < 1e-12

# %% [markdown]
# ## A GPT
#
# Ours, with random weights, and the loss of eight characters:

# %%
config = GPTConfig(vocab_size=20, block_size=8, n_layer=2, n_head=2, n_embd=16, dropout=0.0, tied_head=True)
ours = GPT(config)
seen, following = [3, 1, 4, 1, 5, 9, 2, 6], [1, 4, 1, 5, 9, 2, 6, 5]
loss = ours.loss(seen, following)
loss.backward()
print(f"{len(ours.parameters()):,} parameters, loss {loss.data:.12f}")

# %% [markdown]
# In PyTorch the whole model is short, because a line treats all examples, heads and positions at once. The comments
# name the axes: B examples, T positions, C numbers per position, H heads.
#
# **Predict.** One example, eight positions, two heads. How many numbers are in the tensor of scores, before the mask?
#
# answer: 1 * config.n_head * len(seen) * len(seen)

# %%
print(1 * config.n_head * len(seen) * len(seen))


# %%
def tensor(table):
    return torch.tensor([[x.data for x in row] for row in table], dtype=torch.float64, requires_grad=True)


def rms_norm(x):  # (B, T, C) → (B, T, C)
    return x / (x.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt()


def attention(x, qkv, out, heads):
    B, T, C = x.shape
    q, k, v = (part.view(B, T, heads, C // heads).transpose(1, 2) for part in (x @ qkv.T).split(C, dim=2))
    scores = q @ k.transpose(2, 3) / (C // heads) ** 0.5  # (B, H, T, T)
    future = torch.ones(T, T, dtype=torch.bool).triu(1)
    weights = torch.softmax(scores.masked_fill(future, float("-inf")), dim=3)
    return (weights @ v).transpose(1, 2).reshape(B, T, C) @ out.T  # the heads side by side again


def gpt_loss(tables, tokens, targets, heads):
    wte, wpe, *blocks = tables
    x = wte[tokens] + wpe[: tokens.shape[1]]
    for i in range(0, len(blocks), 4):
        qkv, out, up, down = blocks[i : i + 4]
        x = x + attention(rms_norm(x), qkv, out, heads)
        x = x + torch.relu(rms_norm(x) @ up.T) @ down.T
    return torch.nn.functional.cross_entropy((rms_norm(x) @ wte.T).flatten(0, 1), targets.flatten())


# %% [markdown]
# `reshape`, `view` and `transpose` compute nothing; they only say in which order the same numbers are read. Does it
# give the same loss with the same weights?

# %%
if torch:
    body = ours.transformer
    lists = [body.wte.weight, body.wpe.weight]
    for block in body.h:
        lists += [block.attn.c_attn.weight, block.attn.c_proj.weight, block.mlp.c_fc.weight, block.mlp.c_proj.weight]
    tables = [tensor(table) for table in lists]
    loss2 = gpt_loss(tables, torch.tensor([seen]), torch.tensor([following]), config.n_head)
    loss2.backward()
    pairs = [
        (x.grad, y.item())
        for table, other in zip(lists, tables, strict=True)
        for row, other_row in zip(table, other.grad, strict=True)
        for x, y in zip(row, other_row, strict=True)
    ]
    apart = max(abs(x - y) for x, y in pairs)
    print(f"loss {loss2.item():.12f}, largest difference of {len(pairs):,} gradients {apart:.0e}")

# %% tags=["check"]
if torch:
    assert abs(loss2.item() - loss.data) < 1e-12
    assert len(pairs) == len(ours.parameters())
    assert apart < 1e-12

# %% [markdown]
# The same loss to twelve digits; the largest difference of the 6,592 gradients is 2e-16. What the course made of single
# numbers is exactly what PyTorch makes of arrays. `gpt export RUN FILE.pt` writes a run for PyTorch, and `--engine
# torch` trains with it.
#
# ## Exercises
#
# **Exercise 1.** `(x + y)·z` at −2, 5 and −4, in both. The gradients?

# %% tags=["solution"]
x, y, z = Value(-2.0), Value(5.0), Value(-4.0)
((x + y) * z).backward()
print(x.grad, y.grad, z.grad)
assert (x.grad, y.grad, z.grad) == (-4.0, -4.0, 3.0)
if torch:
    three = torch.tensor([-2.0, 5.0, -4.0], requires_grad=True)
    ((three[0] + three[1]) * three[2]).backward()
    assert three.grad.tolist() == [-4.0, -4.0, 3.0]

# %% [markdown]
# **Exercise 2.** A batch of 32 examples, 4 heads of size 16, 100 positions. What is the shape of `q`, of the scores,
# and of the result of `attention`? How many numbers does each have?

# %% tags=["solution"]
shapes = {"q": (32, 4, 100, 16), "scores": (32, 4, 100, 100), "result": (32, 100, 64)}
counts = {}
for name, shape in shapes.items():
    counts[name] = 1
    for axis in shape:
        counts[name] *= axis

print(counts)
assert counts == {"q": 204_800, "scores": 1_280_000, "result": 204_800}
if torch:
    assert attention(torch.zeros(32, 100, 64), torch.zeros(192, 64), torch.zeros(64, 64), 4).shape == shapes["result"]

# %% [markdown]
# **Exercise 3.** In `attention`, someone writes `softmax(..., dim=2)`. No error. What is wrong, and how could a test
# notice?

# %% tags=["solution"]
# The weights of a column add up to 1 then, not those of a row: a position is told how much it is read in all.
# A test: with a mask, the first position sees only itself, so its weight must be 1.
scores = [[0.0, -1e9], [0.0, 0.0]]
by_row = F.softmax([Value(x) for x in scores[0]])[0].data
by_column = F.softmax([Value(row[0]) for row in scores])[0].data
print(by_row, by_column)
assert (by_row, by_column) == (1.0, 0.5)

# %% [markdown]
# ## Summary
#
# - A **tensor** is an array that remembers its operation. `backward`, `grad`, `zero_grad`, modules and optimizers are
#   what you know.
# - New are **axes**: examples, heads and positions are axes of one tensor, not loops.
# - `view` and `transpose` change the reading order; `@` multiplies the last two axes.
# - With the same weights both give the same loss and the same gradients.
#
# Next: read a real one. nanoGPT's `model.py` has 300 lines, and you know every name in it.
