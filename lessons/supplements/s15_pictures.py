# %% [markdown]
# # Supplement 15: Pictures of digits
#
# **Question.** A digit is the same digit two pixels farther right. How does a network know that?
#
# Follows Lesson 5 and Supplement 2. There a kernel slid along a line of numbers. Here it slides over a picture, in two
# directions: a **convolutional neural network**, CNN for short. All of it is single numbers; `jit`, which
# Lesson 6 explains, does the same to many pictures at once.

# %%
import random
from pathlib import Path

import lessons
import viz
from tinygrad_edu import Value, jit
from tinygrad_edu import functional as F
from tinygrad_edu.compiler import Adam
from tinygrad_edu.nn import Linear, Module

FAST = globals().get("FAST", False)

# %% [markdown]
# ## Nine weights
#
# A kernel is a table of 3 × 3 weights. It lies on a piece of the picture; each weight is multiplied by the pixel below,
# and the nine products are added up. Then it moves on by one pixel. A picture of 8 × 8 has room for 6 × 6 places.
#
# This kernel has −1 on the left and 1 on the right. The picture is dark (0) on the left and bright (1) on the right.
#
#     kernel  −1 0 1      picture  0 0 1 1
#             −1 0 1               0 0 1 1
#             −1 0 1               0 0 1 1
#                                  0 0 1 1
#
# **Predict.** There are 2 × 2 places. What comes out at the top left? And what from a picture that is bright
# everywhere?
#
# answer at the top left: edges[0][0].data
# answer from the bright picture: flat[0][0].data


# %%
def convolve(picture, kernel):
    size, out = len(kernel), []
    for r in range(len(picture) - size + 1):
        row = []
        for c in range(len(picture[0]) - size + 1):
            below = [pixel for line in picture[r : r + size] for pixel in line[c : c + size]]
            row.append(F.dot([weight for line in kernel for weight in line], below))
        out.append(row)
    return out


kernel = [[Value(w, label=f"k{r}{c}") for c, w in enumerate((-1.0, 0.0, 1.0), 1)] for r in (1, 2, 3)]
half = [[0.0, 0.0, 1.0, 1.0]] * 4
edges, flat = convolve(half, kernel), convolve([[1.0] * 4] * 4, kernel)
print([[z.data for z in row] for row in edges], [[z.data for z in row] for row in flat])

# %% tags=["check"]
assert [[z.data for z in row] for row in edges] == [[3.0, 3.0], [3.0, 3.0]]
assert all(z.data == 0 for row in flat for z in row)

# %% [markdown]
# 3, and 0: it finds vertical edges. Where all is alike, it says nothing.
#
# **Predict.** Add the four results of the half-dark picture up and go backward. Each weight is used four times. What is
# the gradient of the weight in the middle? (Which four pixels are below it?)
#
# answer its gradient: kernel[1][1].grad

# %%
total = edges[0][0] + edges[0][1] + edges[1][0] + edges[1][1]
total.label = "sum"
total.backward()
print([[weight.grad for weight in row] for row in kernel])

# %%
viz.draw(total, budget=16)

# %% tags=["check"]
assert [[weight.grad for weight in row] for row in kernel] == [[0.0, 2.0, 4.0]] * 3

# %% [markdown]
# 0 + 1 + 0 + 1 = 2. Shared weights collect a gradient from every place, as in Supplement 2.
#
# ## The digits
#
# Ten digits of 5 × 7 pixels were drawn for this course, `lessons/data/digits.txt`. Each example puts one of them
# somewhere into a field of 8 × 8, more or less bright, and adds noise.

# %%
file = Path(lessons.__file__).parent / "data" / "digits.txt"
drawings = [block.split() for block in file.read_text(encoding="utf-8").split("\n\n")[1:]]


def example(rng, digit, columns):
    picture = [[rng.gauss(0, 0.25) for _ in range(8)] for _ in range(8)]
    top, left, ink = rng.randrange(2), rng.choice(columns), rng.uniform(0.7, 1.2)
    for r, line in enumerate(drawings[digit]):
        for c, mark in enumerate(line):
            picture[top + r][left + c] += ink * (mark == "#")
    return picture


def examples(count, seed, columns=(0, 1, 2, 3)):
    rng = random.Random(seed)
    digits = [i % 10 for i in range(count)]
    return [example(rng, digit, columns) for digit in digits], digits


def shown(picture):
    return ["".join(" .:+#"[min(max(int(4 * pixel + 0.5), 0), 4)] for pixel in line) for line in picture]


training, test = examples(300, seed=0), examples(500, seed=1)
for lines in zip(*(shown(picture) for picture in training[0][2:8]), strict=True):
    print("   ".join(lines))

# %% tags=["check"]
assert len(drawings) == 10
assert all(len(drawing) == 7 and {len(line) for line in drawing} == {5} for drawing in drawings)
assert len({tuple(drawing) for drawing in drawings}) == 10

# %% [markdown]
# ## The network
#
# Eight kernels slide over the picture: eight **feature maps** of 6 × 6. Each map is cut into 2 × 2 squares of 3 × 3
# places, and only the largest number of each square is kept (**max pooling**): *was there such an edge somewhere here?*
# Then ReLU, and one ordinary layer makes ten scores of the 8 · 4 = 32 numbers.
#
# **Predict.** How many parameters? (A kernel has nine weights and a bias. The last layer has a weight for each of the
# 32 numbers and a bias, for each of the ten digits.)
#
# answer: len(cnn.parameters())


# %%
class CNN(Module):
    def __init__(self, kernels, rng, pool=3):
        self.kernels = [[[Value(rng.gauss(0, 1 / 3)) for _ in range(3)] for _ in range(3)] for _ in range(kernels)]
        self.bias = [Value(0.0) for _ in range(kernels)]
        self.pool = pool
        self.out = Linear(kernels * (6 // pool) ** 2, 10, std=0.2, rng=rng)

    def features(self, picture):
        found = []
        for kernel, bias in zip(self.kernels, self.bias, strict=True):
            feature_map = convolve(picture, kernel)
            for r in range(0, 6, self.pool):
                for c in range(0, 6, self.pool):
                    square = [z for row in feature_map[r : r + self.pool] for z in row[c : c + self.pool]]
                    largest = square[0]
                    for z in square[1:]:
                        largest = largest.maximum(z)
                    found.append((largest + bias).relu())
        return found

    def forward(self, picture):
        return self.out(self.features(picture))

    def loss(self, picture, digit):
        return F.cross_entropy(self(picture), digit)


cnn = CNN(8, random.Random(0))
len(cnn.parameters())

# %% tags=["check"]
assert len(cnn.parameters()) == 8 * (9 + 1) + 32 * 10 + 10 == 410

# %% [markdown]
# The rival is an MLP: 64 pixels, six hidden neurons, ten scores, 460 parameters. That is a little more than the CNN
# has. The MLP needs a weight for each pixel and neuron, so six neurons are all it can afford.


# %%
class Dense(Module):
    def __init__(self, hidden, rng):
        self.first = Linear(64, hidden, std=(2 / 64) ** 0.5, rng=rng)
        self.out = Linear(hidden, 10, std=0.2, rng=rng)

    def forward(self, picture):
        return self.out([z.relu() for z in self.first([pixel for line in picture for pixel in line])])

    def loss(self, picture, digit):
        return F.cross_entropy(self(picture), digit)


def train(network, data, steps=150 if FAST else 600):
    compiled, rng, curve = jit(network.loss, network), random.Random(1), []
    optimizer = Adam(compiled.parameters, lr=0.01)
    for step in range(steps):
        optimizer.lr = 0.01 * (1 - 0.9 * step / steps)
        batch = rng.sample(range(len(data[0])), 32)
        loss = compiled.value_and_grad([data[0][i] for i in batch], [data[1][i] for i in batch])
        optimizer.step()
        curve.append(loss)
    return [(step, sum(curve[step - 30 : step]) / 30) for step in range(30, steps + 1, 30)]


def share_right(network, data):
    scores = jit(network.forward, network).flat(data[0])
    return sum(int(column.argmax()) == digit for column, digit in zip(scores.T, data[1], strict=True)) / len(data[1])


mlp = Dense(6, random.Random(0))
losses = {"CNN, 410 parameters": train(cnn, training), "MLP, 460 parameters": train(mlp, training)}
shares = {"CNN": share_right(cnn, test), "MLP": share_right(mlp, test)}

# %% [markdown]
# **Predict.** 300 examples to learn from, 500 new ones. Guessing is right for one in ten. How many of the new ones does
# the CNN get right, in percent? And the MLP?
#
# answer the CNN, in percent: 100 * shares["CNN"] ± 6
# answer the MLP, in percent: 100 * shares["MLP"] ± 6

# %%
print({name: f"{share:.0%}" for name, share in shares.items()})

# %%
viz.plot(losses, title="300 pictures of digits", x="step", y="training loss")

# %% tags=["check"]
assert len(mlp.parameters()) == 64 * 6 + 6 + 6 * 10 + 10 == 460
assert shares["CNN"] > shares["MLP"]
if not FAST:
    assert shares["CNN"] > 0.82
    assert shares["MLP"] < 0.6
    assert 0.2 < (1 - shares["CNN"]) / (1 - shares["MLP"]) < 0.3

# %% [markdown]
# With fewer parameters the CNN makes about a fourth of the mistakes here. It does not have to learn what a stroke looks
# like at each place anew: a kernel that has learned it at one place knows it at all 36. Here are the eight kernels, `#`
# for weights above 0.4 and `-` for those below −0.4, and under them the 36 places that the first one sees in a zero:

# %%
signs = [
    ["".join("#" if w.data > 0.4 else "-" if w.data < -0.4 else "." for w in row) for row in kernel]
    for kernel in cnn.kernels
]
for lines in zip(*signs, strict=True):
    print("   ".join(lines))

print()
found = [[z.data for z in row] for row in convolve(training[0][0], cnn.kernels[0])]
most = max(abs(z) for row in found for z in row)
for line in shown([[max(z, 0.0) / most for z in row] for row in found]):
    print(line)

# %% [markdown]
# ## Does it really not care where?
#
# **Predict.** New networks see only digits on the left (columns 0 and 1), and are then asked about digits on the right
# (2 and 3). How many does the MLP get right? And does the CNN do well?
#
# answer the MLP, in percent: 100 * moved["MLP"] ± 6
# answer the CNN is right in: moved["CNN"] > 0.6 | most cases | fewer than half

# %%
left, right = examples(300, seed=2, columns=(0, 1)), examples(300, seed=3, columns=(2, 3))
moved = {}
for name, network in (
    ("MLP", Dense(6, random.Random(0))),
    ("CNN", CNN(8, random.Random(0))),
    ("CNN, one square", CNN(8, random.Random(0), pool=6)),
):
    train(network, left)
    moved[name] = share_right(network, right)
    print(f"{name:16} left, as learned, {share_right(network, left):.0%}; right {moved[name]:.0%}")

# %% tags=["check"]
if not FAST:
    assert moved["MLP"] < 0.2
    assert moved["CNN"] < 0.5
    assert moved["CNN, one square"] > moved["CNN"] > moved["MLP"]
    assert moved["CNN, one square"] > 0.3

# %% [markdown]
# The MLP is no better than guessing. Our CNN is better, and still wrong most of the time: its *kernels* do not care
# where, but its last layer knows in which of the four squares something was found. With one square for all 36 places it
# does not know where any more, and does best here; but then it cannot tell whether the stroke was above or below. Large
# networks go in between, in many layers: each pools a little.
#
# ## Deeper
#
# A second layer of kernels looks at the maps of the first. How much of the picture does one of its numbers see? Ask the
# gradient: a pixel that it sees has one.
#
# **Predict.** 3 × 3 numbers, each of which sees 3 × 3 pixels that overlap. How many pixels in all: 9, 25, 49 or 81?
#
# answer pixels: seen

# %%
pixels = [[Value(1.0) for _ in range(8)] for _ in range(8)]
ones = [[1.0] * 3] * 3
convolve(convolve(pixels, ones), ones)[1][1].backward()
seen = sum(pixel.grad != 0 for row in pixels for pixel in row)
for row in pixels:
    print(" ".join(f"{pixel.grad:g}" for pixel in row))

# %% tags=["check"]
assert seen == 25
assert max(pixel.grad for row in pixels for pixel in row) == 9

# %% [markdown]
# 5 × 5 = 25, and the middle one counts nine times. Each layer adds two: this is the **receptive field**. In deep
# networks for photographs the first layer finds edges, the next ones corners and curves, the last ones ears and wheels.
#
# ## Exercises
#
# **Exercise 1.** How many weights for a picture of 1,000 × 1,000 pixels: a layer of 16 neurons, and 16 kernels of 3 ×
# 3? (Without biases.)

# %% tags=["solution"]
print(f"{1_000_000 * 16:,} and {16 * 9}")
assert 16 * 9 == 144

# %% [markdown]
# **Exercise 2.** Write a kernel that finds *horizontal* edges, bright above dark, and check it with a picture.

# %% tags=["solution"]
across = [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [-1.0, -1.0, -1.0]]
above = [[1.0] * 4, [1.0] * 4, [0.0] * 4, [0.0] * 4]
print([[z.data for z in row] for row in convolve(above, across)])
assert all(z.data == 3 for row in convolve(above, across) for z in row)
assert all(z.data == 0 for row in convolve(half, across) for z in row)

# %% [markdown]
# **Exercise 3.** Give the MLP 16 hidden neurons, 1,210 parameters. Does it catch up?

# %% tags=["solution"]
larger = Dense(16, random.Random(0))
train(larger, training)
print(f"{share_right(larger, test):.0%}")  # better, but not as good as the CNN with a third of the parameters
assert len(larger.parameters()) == 1210
assert FAST or shares["MLP"] < share_right(larger, test) < shares["CNN"]

# %% [markdown]
# ## Summary
#
# - A **kernel** is a small table of weights that slides over a picture: nine weights, used at every place.
# - Shared weights collect gradients from all places, and need fewer examples.
# - **Max pooling** keeps the largest of a square: it was there, roughly.
# - A deeper layer sees more of the picture, its **receptive field**.
#
# Where next: Lesson 6, from pictures to texts. Lesson 8: attention, which may look anywhere at once.
