# %% [markdown]
# # Lesson 1b: The student writes Value
#
# **Question.** `backward()` found every gradient in one call. How little code does that take, and can you write it?
#
# It takes about forty lines, and you type every one of them today. On the way there are two traps that everyone falls
# into once. You fall into both on purpose, see the wrong number, and fix it. At the end your `Value` and the library's
# agree on five hundred random calculations.

# %%
import math
import random

import tinygrad_edu
import viz
from tinygrad_edu import ops

FAST = globals().get("FAST", False)

# %% [markdown]
# ## A number with a receipt
#
# A `Value` has a number, `data`. It has a gradient, `grad`, which is 0 until somebody asks. And it has a receipt: the
# Values it was made from, and for each of them the **local derivative**, the rate of Lesson 1:
#
# - in a sum, the rate of each input is 1;
# - in a product, the rate of each input is the other input.
#
# Both are plain numbers, and both are known the moment the result is computed. So write them down at once.


# %%
class Value:
    def __init__(self, data, inputs=(), rates=()):
        self.data = data
        self.grad = 0.0
        self.inputs = inputs
        self.rates = rates

    def __add__(self, other):
        return Value(self.data + other.data, (self, other), (1.0, 1.0))

    def __mul__(self, other):
        return Value(self.data * other.data, (self, other), (other.data, self.data))


# %% [markdown]
# `__add__` is the method that Python calls for `+`, and `__mul__` the one for `*`. The formula of Lesson 1, in your own
# numbers:

# %%
a, b, c, f = Value(2.0), Value(-3.0), Value(10.0), Value(-2.0)
e = a * b
d = e + c
L = d * f
print(L.data, [x.data for x in L.inputs], L.rates)

# %% tags=["check"]
assert L.data == -8.0
assert L.inputs == (d, f)
assert L.rates == (-2.0, 4.0)
assert e.rates == (-3.0, 2.0)

# %% [markdown]
# `L` was made from `d` = 4 and `f` = −2. The rate of `d` is −2, and that of `f` is 4: each the other one.
#
# ## Passing it on
#
# A Value that knows its own gradient gives each input its share: the rate times its own gradient. That is the chain
# rule, in two lines.


# %%
def pass_on(value):
    for x, rate in zip(value.inputs, value.rates, strict=True):
        x.grad = rate * value.grad  # key: the rate times the gradient that has arrived


L.grad = 1.0
pass_on(L)
pass_on(d)
pass_on(e)
print([x.grad for x in (a, b, c, f)])

# %% tags=["check"]
assert [x.grad for x in (a, b, c, f)] == [6.0, -4.0, -2.0, 4.0]

# %% [markdown]
# Exactly Lesson 1: 6, −4, −2, 4. Are we done?
#
# ## The first trap
#
# Now a number that is used twice: `b = a + a`, with `a` = 3. Lesson 1 says that the gradient is 2.
#
# **Predict.** `pass_on(b)` goes through the two inputs of `b`, which are the same Value. What does it leave in
# `a.grad`?
#
# answer a.grad: a.grad

# %%
a = Value(3.0)
b = a + a
b.grad = 1.0
pass_on(b)
a.grad

# %% tags=["check"]
assert a.grad == 1.0

# %% [markdown]
# It leaves 1. The second contribution has overwritten the first. Contributions must be *added* to what is already
# there. The fix is one character:


# %%
def pass_on(value):
    for x, rate in zip(value.inputs, value.rates, strict=True):
        x.grad += rate * value.grad  # key: add the rate times the gradient that has arrived


a = Value(3.0)
b = a + a
b.grad = 1.0
pass_on(b)
a.grad

# %% tags=["check"]
assert a.grad == 2.0

# %% [markdown]
# ## The second trap
#
# Until now you have called `pass_on` by hand, in an order that you chose. The obvious way to let the program do it:
# pass on, then do the same at each input.


# %%
def naive_backward(value):
    pass_on(value)
    for x in value.inputs:
        naive_backward(x)


a = Value(1.0)
b = a + a
c = b + b
c.grad = 1.0

# %% [markdown]
# **Predict.** `c` is 4 times `a`, so the gradient of `a` should be 4. What does this program say?
#
# answer it says: a.grad

# %%
naive_backward(c)
a.grad

# %% tags=["check"]
assert a.grad == 8.0

# %% [markdown]
# It says 8. Two lines lead from `c` to `b`, so the program visits `b` twice. `b` has its whole gradient, 2, at both
# visits, and passes it on at both.
#
# The rule from Lesson 1: a Value passes its gradient on *once*, and *after all of it has arrived*. So we need an order
# in which every Value comes after its inputs. To write it down, do each Value's inputs first, then the Value itself;
# and leave out what is already on the list.


# %%
def order(result):
    done = []

    def visit(value):
        if value not in done:
            for x in value.inputs:
                visit(x)
            done.append(value)  # key: this Value comes after all its inputs

    visit(result)
    return done


print([value.data for value in order(c)])

# %% [markdown]
# The list begins with `a` and ends with `c`. Go through it from the back, and each gradient is complete when its turn
# comes.


# %%
def backward(result):
    values = order(result)
    for value in values:
        value.grad = 0.0
    result.grad = 1.0
    for value in reversed(values):
        pass_on(value)


backward(c)
a.grad

# %% tags=["check"]
assert [value.data for value in order(c)] == [1.0, 2.0, 4.0]
assert a.grad == 4.0

# %% [markdown]
# ## Forty lines
#
# Here is all of it in one class. What is new: `tanh`, whose rate is 1 − tanh² (Lesson 3 uses it); plain numbers next to
# Values, as in `2 * x`; and a *set* of what has been visited, because looking something up in a long list is slow.


# %% tags=["model"]
class Value:
    def __init__(self, data, inputs=(), rates=()):
        self.data = float(data)
        self.grad = 0.0
        self.inputs = inputs
        self.rates = rates

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data + other.data, (self, other), (1.0, 1.0))

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data * other.data, (self, other), (other.data, self.data))

    __radd__ = __add__
    __rmul__ = __mul__

    def tanh(self):
        out = math.tanh(self.data)
        return Value(out, (self,), (1 - out**2,))

    def order(self):
        done, seen = [], set()

        def visit(value):
            if value not in seen:
                seen.add(value)
                for x in value.inputs:
                    visit(x)
                done.append(value)

        visit(self)
        return done

    def backward(self):
        values = self.order()
        for value in values:
            value.grad = 0.0
        self.grad = 1.0
        for value in reversed(values):
            for x, rate in zip(value.inputs, value.rates, strict=True):
                x.grad += rate * value.grad


# %% [markdown]
# ## Number by number
#
# Is it right? Put it next to the library's. First a neuron, with the numbers that Lesson 3 will explain. The same
# function gets your Values, then theirs.


# %%
def neuron(kind):
    x1, x2, w1, w2 = kind(2.0), kind(0.0), kind(-3.0), kind(1.0)
    bias = kind(6.8813735870195432)
    o = (x1 * w1 + x2 * w2 + bias).tanh()
    o.backward()
    return o, [o.data, *(v.grad for v in (x1, x2, w1, w2, bias))]


_, mine = neuron(Value)
theirs_o, theirs = neuron(tinygrad_edu.Value)
for name, m, t in zip(("o", "do/dx1", "do/dx2", "do/dw1", "do/dw2", "do/dbias"), mine, theirs, strict=True):
    print(f"{name:9}{m:9.6f}{t:10.6f}")

# %% tags=["check"]
assert all(abs(m - t) < 1e-12 for m, t in zip(mine, theirs, strict=True))
assert [round(m, 6) for m in mine] == [0.707107, -1.5, 0.5, 1.0, 0.0, 0.5]

# %%
viz.draw(theirs_o)

# %% [markdown]
# One example proves little. So let the computer make up five hundred calculations: start with three numbers, and forty
# times take two Values at random and add them, multiply them, or take a tanh. Values are used again and again, which
# is where both traps are.


# %%
def random_calculation(kind, seed, go_back=None):
    rng = random.Random(seed)
    leaves = [kind(rng.uniform(-1, 1)) for _ in range(3)]
    values = list(leaves)
    for _ in range(40):
        x, y = rng.choice(values), rng.choice(values)
        values.append(rng.choice((x + y, x * y, x.tanh(), 0.5 * x)))
    total = sum(value.tanh() for value in values)
    (go_back or kind.backward)(total)
    return [total.data, *(leaf.grad for leaf in leaves)]


def largest_difference(count):
    worst = 0.0
    for seed in range(count):
        pair = random_calculation(Value, seed), random_calculation(tinygrad_edu.Value, seed)
        for m, t in zip(*pair, strict=True):
            worst = max(worst, abs(m - t) / max(1.0, abs(t)))
    return worst


difference = largest_difference(50 if FAST else 500)
print(f"{difference:.0e}")

# %% [markdown]
# **Predict.** Bring the first trap back, with `=` in place of `+=`. In how many of a hundred such calculations is at
# least one gradient wrong: 5, 50, or nearly all?
#
# answer of a hundred: sum(wrong >= most for most in (25, 75)) | about 5 | about 50 | nearly all


# %%
def trapped_backward(result):
    result.grad = 1.0
    for value in reversed(result.order()):
        for x, rate in zip(value.inputs, value.rates, strict=True):
            x.grad = rate * value.grad


def in_the_trap(seed):
    pair = random_calculation(Value, seed), random_calculation(Value, seed, trapped_backward)
    return any(abs(m - t) > 1e-9 for m, t in zip(*pair, strict=True))


wrong = sum(in_the_trap(seed) for seed in range(100))
wrong

# %% tags=["check"]
assert difference < 1e-12
assert wrong >= 95

# %% [markdown]
# All of them here. The first example of this lesson was the lucky one: in it, nothing was used twice.
#
# ## It learns
#
# The line of the next lesson, with your Value: five points, two parameters, two hundred steps downhill.

# %%
w, bias = Value(0.0), Value(0.0)
points = [(1.0, 2.1), (2.0, 3.9), (3.0, 6.1), (4.0, 7.8), (5.0, 10.0)]
losses = []
for _ in range(200):
    loss = Value(0.0)
    for x, y in points:
        error = w * x + bias + -y
        loss = loss + 0.2 * error * error
    losses.append(loss.data)
    loss.backward()
    w.data += -0.05 * w.grad  # key: one step downhill with rate 0.05
    bias.data += -0.05 * bias.grad  # key: the same for the bias

print(f"y = {w.data:.2f}·x + {bias.data:.2f}, loss {losses[-1]:.4f}")

# %% tags=["check"]
assert abs(w.data - 1.97) < 0.02
assert abs(bias.data - 0.07) < 0.06
assert losses[-1] < 0.0125

# %%
viz.plot({"loss": losses}, title="Your own Value learns", x="step", y="loss", log=True)

# %% [markdown]
# ## The library's table
#
# What does the library have that you do not? More rows. An operation is a row: what it computes, and its local
# derivatives. `tinygrad_edu/ops.py` is a table of them, and everything else about operations is read from that table.

# %%
print(f"{'name':9}{'computes':32}local derivatives")
for op in ops.TABLE:
    if op.name != "detach":
        print(f"{op.name:9}{op.formula:32}{', '.join(op.derivative_formulas)}")

# %% [markdown]
# Three of the rows are yours: `add`, `mul` and `tanh`. Here they are with numbers: your rates, and the table's.

# %%
two, five = Value(2.0), Value(5.0)
rows = {"add": two + five, "mul": two * five, "tanh": two.tanh()}
for name, out in rows.items():
    op = ops.by_name(name)
    numbers = [x.data for x in out.inputs]
    print(f"{name:5} {out.rates} {op.derivatives(*numbers, out.data)}")

# %% tags=["check"]
for name, out in rows.items():
    op, numbers = ops.by_name(name), [x.data for x in out.inputs]
    assert op.forward(*numbers) == out.data
    assert all(abs(m - t) < 1e-15 for m, t in zip(out.rates, op.derivatives(*numbers, out.data), strict=True))
assert len(ops.TABLE) == 19

# %% [markdown]
# The rest of the engine, with your names and theirs:
#
# | yours | the library's |
# |---|---|
# | `data`, `grad`, `inputs` | the same |
# | `rates` | the row of `ops.TABLE`; the numbers are computed when the gradient passes |
# | `order` | `topological_order`, without recursion (exercise 3) |
# | the two inner lines of `backward` | `Value._backward` |
# | `value.grad = 0.0` for all | parameters keep their gradient until `zero_grad()`, as in PyTorch (Lesson 2) |
#
# **Play.** Type a formula in which a letter comes twice, and watch the gradients meet (`play.html#screen=point`).
#
# ## Exercises
#
# **Exercise 1.** Give your class a `relu`: `max(0, x)`. Its rate is 1 where x is positive, and 0 elsewhere. Check it at
# −2 and at 3.


# %% tags=["solution"]
def relu(self):
    return Value(max(0.0, self.data), (self,), (1.0 if self.data > 0 else 0.0,))


Value.relu = relu
for start, slope in ((-2.0, 0.0), (3.0, 1.0)):
    x = Value(start)
    x.relu().backward()
    print(start, x.grad)
    assert x.grad == slope

# %% [markdown]
# **Exercise 2.** Add `**` with a plain number as the exponent: the rate of `x**n` is `n·x**(n − 1)`. Then subtraction
# and division need no rates of their own: `x − y = x + (−1)·y`, and `x/y = x·y**(−1)`. Now compute the `g` of Lesson 1,
# exercise 3, with your own Value.


# %% tags=["solution"]
def power(self, n):
    return Value(self.data**n, (self,), (n * self.data ** (n - 1),))


Value.__pow__ = power
Value.__sub__ = lambda self, other: self + -1 * other
Value.__truediv__ = lambda self, other: self * other**-1
Value.__rtruediv__ = lambda self, other: other * self**-1

a, b = Value(-4.0), Value(2.0)
c = a + b
d = a * b + b**3
c = c + c + 1
c = c + 1 + c - a
d = d + d * 2 + (b + a).relu()
d = d + 3 * d + (b - a).relu()
e = c - d
f = e**2
g = f / 2 + 10 / f
g.backward()
print(f"g = {g.data:.4f}, dg/da = {a.grad:.4f}, dg/db = {b.grad:.4f}")
assert (round(g.data, 4), round(a.grad, 4), round(b.grad, 4)) == (24.7041, 138.8338, 645.5773)

# %% [markdown]
# **Exercise 3.** Add 1 to a Value two thousand times, and go backward. Python stops you: why? Write `order` without a
# function that calls itself. (Keep a list of what is still to do. Put each Value on it twice: once to see its inputs,
# and once, below them, to be written down.)


# %% tags=["solution"]
def order_without_recursion(self):
    done, seen, todo = [], set(), [(self, False)]
    while todo:
        value, inputs_are_done = todo.pop()
        if inputs_are_done:
            done.append(value)
        elif value not in seen:
            seen.add(value)
            todo.append((value, True))
            todo += [(x, False) for x in reversed(value.inputs)]
    return done


x = start = Value(0.0)
for _ in range(2000):
    x = x + 1
try:
    x.backward()
    print("this Python allows it")
except RecursionError:
    print("too deep: each input of an input is a call inside a call")
Value.order = order_without_recursion
x.backward()
print(start.grad)
assert start.grad == 1.0
assert len(x.order()) == 4001

# %% [markdown]
# ## Summary
#
# - A **Value** is a number, a gradient, its inputs, and for each input a **local derivative**.
# - **Passing on:** an input's gradient grows by local derivative times gradient.
# - First trap: `=` for `+=`. Numbers that are used twice lose a contribution.
# - Second trap: passing on too early, or twice. The **topological order** prevents both.
# - To make sure, compare with something that cannot share your mistake: a second program, or nudging.
# - An operation is a row in a table: what it computes, and its local derivatives.
#
# Next: two of the numbers become *parameters*, and the gradients teach them to fit a line through points.
