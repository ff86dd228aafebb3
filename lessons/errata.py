"""Figures that tutorials quote, and the correct ones, computed: ``python -m lessons errata``.

A row is a function: it computes its figures on Values and returns them as a sentence, which must equal the one next to
it, to the last digit shown. Rows that are right as quoted are here too: a checked figure is worth more than an
unchecked one.
"""

from __future__ import annotations

import inspect
import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gpt.config import GPTConfig
from gpt.model import GPT
from gpt.sample import distribution
from tinygrad_edu import Value
from tinygrad_edu import functional as F
from tinygrad_edu.errors import brief
from tinygrad_edu.nn import MLP, Embedding, LayerNorm, Linear, Module

__all__ = ["ROWS", "Row", "as_text", "glasses_or_ring", "listed"]


@brief
@dataclass(frozen=True)
class Row:
    """One quoted figure.

    Attributes:
        about: what the figure is about.
        quoted: the figure as it is often printed.
        true: the correct figure.
        compute: computes it; the result must be ``true``.
    """

    about: str
    quoted: str
    true: str
    compute: Callable[[], str]

    @property
    def is_right(self) -> bool:
        """Whether the figure is right as quoted."""
        return self.quoted == self.true

    @property
    def source(self) -> str:
        """The body of ``compute``, for readers."""
        lines = inspect.getsource(self.compute).split("\n")
        start = next(i for i, line in enumerate(lines) if line.startswith("def ")) + 1
        return textwrap.dedent("\n".join(lines[start:])).strip()


ROWS: list[Row] = []


def _row(about: str, quoted: str, true: str) -> Callable[[Callable[[], str]], Callable[[], str]]:
    def add(compute: Callable[[], str]) -> Callable[[], str]:
        ROWS.append(Row(about, quoted, true, compute))
        return compute

    return add


def _right(about: str, figure: str) -> Callable[[Callable[[], str]], Callable[[], str]]:
    return _row(about, figure, figure)


def listed(numbers: Sequence[Value | float], digits: int) -> str:
    """Format numbers with this many digits, separated by spaces.

    >>> listed([0.5, Value(2.0)], 2)
    '0.50 2.00'
    """
    return " ".join(f"{x.data if isinstance(x, Value) else x:.{digits}f}" for x in numbers)


# --- not what comes out -----------------------------------------------------------------------------------------------


@_row(
    "attention of the word *bank* in *river bank overflowed*: the weights, and what it learns from them",
    ".26 .48 .26; bank now carries river",
    "0.2483 0.5035 0.2483, which mix to 0.5000 0.5000: bank's own value, so nothing has changed. "
    "River's row changes: 0.4011 0.4011 0.1978 mix to 0.5813 0.4187",
)
def _attention_of_bank() -> str:
    keys = [[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]  # of river, bank, overflowed
    queries = [[Value(x) for x in key] for key in keys]
    values = [[0.9, 0.1], [0.5, 0.5], [0.1, 0.9]]
    rows = []
    for query in (queries[1], queries[0]):
        weights = F.softmax([F.dot(query, key) / math.sqrt(2) for key in keys])
        mixed = [sum(w * v[i] for w, v in zip(weights, values, strict=True)) for i in range(2)]
        rows.append((listed(weights, 4), listed(mixed, 4)))
    return (
        f"{rows[0][0]}, which mix to {rows[0][1]}: bank's own value, so nothing has changed. "
        f"River's row changes: {rows[1][0]} mix to {rows[1][1]}"
    )


#: Width and glass of two pairs of glasses and two rings, and what they are.
_PICTURES = [([0.55, 0.48], 1), ([0.45, 0.72], 1), ([0.35, 0.03], 0), ([0.20, 0.03], 0)]


def glasses_or_ring(
    lr: float,
    epochs: int,
    *,
    clip: bool = True,
    halved: bool = True,
    pictures: Sequence[tuple[list[float], int]] = _PICTURES,
    weights: list[Value] | None = None,
) -> list[float]:
    """Compute the losses of a neuron that tells glasses from rings by width and glass, with a step after every picture.

    Args:
        lr: the learning rate.
        epochs: how often it sees all four pictures.
        clip: cut the output to 0…1.
        halved: the delta rule, lr · (y − ŷ) · x; else the gradient of the squared error, which is twice as long. The
            delta rule does not ask whether the clip is flat where the output is; the gradient does.
        pictures: their features, and 1 for glasses or 0 for a ring.
        weights: takes the two weights and the bias, which are trained.
    """
    *w, b = trained = [Value(0.5), Value(0.5), Value(0.0)]
    losses = []
    for _ in range(epochs):
        losses.append(0.0)
        for x, y in pictures:
            z = F.dot(w, x) + b
            out = z.maximum(0.0).minimum(1.0) if clip else z
            loss = (out - y) ** 2
            losses[-1] += loss.data
            if halved:
                error = y - out.data
                steps = [lr * error * x[0], lr * error * x[1], lr * error]
            else:
                for p in (*w, b):
                    p.zero_grad()
                loss.backward()
                steps = [-lr * p.grad for p in (*w, b)]
            for p, step in zip((*w, b), steps, strict=True):
                p.data += step
    if weights is not None:
        weights += trained
    return losses


@_row(
    "glasses or ring, one neuron with a clipped output: losses at epochs 0, 25, 50, 75, 99 with learning rate .1",
    ".4823 .1204 .0312 .0089 .0021",
    "0.463484 0.102369 0.048847 0.026814 0.015719 by the delta rule, and the same by gradients with half the rate",
)
def _glasses() -> str:
    delta, honest = glasses_or_ring(0.1, 100), glasses_or_ring(0.05, 100, halved=False)
    by_delta, by_gradient = ([losses[i] for i in (0, 25, 50, 75, 99)] for losses in (delta, honest))
    same = "the same" if listed(by_delta, 6) == listed(by_gradient, 6) else "others"
    return f"{listed(by_delta, 6)} by the delta rule, and {same} by gradients with half the rate"


@_row(
    "the same neuron: its two weights after the first epoch, and in the end",
    "0.618 0.523",
    "0.528 0.546 after the first epoch, 0.863 1.472 after 100; never 0.618 0.523",
)
def _glasses_weights() -> str:
    seen = []
    for epochs in range(1, 101):
        found: list[Value] = []
        glasses_or_ring(0.1, epochs, weights=found)
        seen.append(listed(found[:2], 3))
    never = "never 0.618 0.523" if "0.618 0.523" not in seen else "on the way 0.618 0.523"
    return f"{seen[0]} after the first epoch, {seen[-1]} after 100; {never}"


@_row(
    "the same neuron with a fifth picture that contradicts the first: what that shows",
    "overfitting in miniature",
    "the opposite: no weights fit both, and the loss ends at 0.63 instead of 0.016. Overfitting would fit both",
)
def _contradiction() -> str:
    [(x, y), *_] = _PICTURES
    with_it = glasses_or_ring(0.1, 100, pictures=[*_PICTURES, (x, 1 - y)])[-1]
    without = glasses_or_ring(0.1, 100)[-1]
    # Whatever the output p for the picture with both labels, (p − 1)² + p² is at least a half.
    opposite = "the opposite" if with_it > min(2 * p * p - 2 * p + 1 for p in (0.4, 0.5, 0.6)) else "just that"
    return (
        f"{opposite}: no weights fit both, and the loss ends at {with_it:.2f} instead of {without:.3f}. Overfitting "
        "would fit both"
    )


@_row(
    "updates in an epoch of 1,000 examples, in batches of 32; and in 100 epochs",
    "about 31; 3,100",
    "32, the last one of 8 examples; 3,200. Without the incomplete batch 31; 3,100",
)
def _iterations() -> str:
    sizes = [min(32, 1000 - start) for start in range(0, 1000, 32)]
    full = sizes.count(32)
    return (
        f"{len(sizes)}, the last one of {sizes[-1]} examples; {100 * len(sizes):,}. "
        f"Without the incomplete batch {full}; {100 * full:,}"
    )


@_row(
    "the same neuron with learning rate .9",
    "it never converges",
    "by the delta rule the loss is below 1e-5 after 25 epochs; by gradients the clip goes dead, and the loss stays at "
    "2.0; without the clip, 1.5 ends at 20.8, and 1.6 explodes",
)
def _too_fast() -> str:
    below = next(epoch for epoch, loss in enumerate(glasses_or_ring(0.9, 100)) if loss < 1e-5)
    stuck = set(glasses_or_ring(0.9, 100, halved=False)[1:])
    restless, explodes = (glasses_or_ring(lr, 300, clip=False)[-1] for lr in (1.5, 1.6))
    assert below <= 25, below
    assert explodes > 1e30, explodes
    return (
        "by the delta rule the loss is below 1e-5 after 25 epochs; by gradients the clip goes dead, and the loss stays "
        f"at {', '.join(map(str, stuck))}; without the clip, 1.5 ends at {restless:.1f}, and 1.6 explodes"
    )


@_row(
    "the same neuron with learning rate .001: how many times more epochs",
    "10 times",
    "99 times: as low as after 99 epochs with 0.1 it is after 9,766",
)
def _too_slow() -> str:
    target = glasses_or_ring(0.1, 100)[-1]
    epoch = next(i for i, loss in enumerate(glasses_or_ring(0.001, 12_000)) if loss <= target)
    return f"{epoch / 99:.0f} times: as low as after 99 epochs with 0.1 it is after {epoch:,}"


@_row(
    "gradient descent on (w − 3)² from w = 0, learning rate .01, 100 steps",
    "lands on 3.0",
    "lands on 2.602; within .005 of 3 it is after 317 steps",
)
def _slow_descent() -> str:
    w, path = Value(0.0), []
    while abs(w.data - 3.0) > 0.005:
        w.zero_grad()
        ((w - 3.0) ** 2).backward()
        w.data -= 0.01 * w.grad
        path.append(w.data)
    return f"lands on {path[99]:.3f}; within .005 of 3 it is after {len(path)} steps"


@_row(
    "sigmoid neuron, x = [.5, −.3, 1.2], w = [.8, −.5, 1], b = .1: sum, output, slope",
    "1.45, .81, .154",
    "1.85, 0.8641, 0.1174",
)
def _one_neuron() -> str:
    z = F.dot([Value(0.8), Value(-0.5), Value(1.0)], [0.5, -0.3, 1.2]) + 0.1
    a = z.sigmoid()
    a.backward()
    return f"{z.data:.2f}, {a.data:.4f}, {z.grad:.4f}"


@_row("parameters of a network 3 → 4 → 4 → 2", "42", "46")
def _parameters() -> str:
    return str(len(MLP(3, [4, 4, 2]).parameters()))


@_row(
    "[1, 0, 2, 3, 1, 0, 1] convolved with [1, 0, −1]",
    "[1, −2, 1, 2, 0]",
    "1 3 -1 -3 0 by convolution, which reverses the kernel; -1 -3 1 3 0 by correlation, which deep learning means",
)
def _convolution() -> str:
    x, kernel = [1, 0, 2, 3, 1, 0, 1], [1, 0, -1]
    windows = [x[i : i + 3] for i in range(5)]
    turned, plain = ([sum(a * b for a, b in zip(w, k, strict=True)) for w in windows] for k in (kernel[::-1], kernel))
    return (
        f"{' '.join(map(str, turned))} by convolution, which reverses the kernel; "
        f"{' '.join(map(str, plain))} by correlation, which deep learning means"
    )


@_row(
    "the decision boundary of a 2 → 4 → 1 network for XOR, drawn right after it was made",
    "separates the classes",
    "0 of 100 untrained networks do; every one of 10 does after 300 steps of Adam",
)
def _untrained_boundary() -> str:
    from tinygrad_edu.optim import Adam

    points, labels = [(0, 0), (0, 1), (1, 0), (1, 1)], [0, 1, 1, 0]

    def solves(net: MLP) -> bool:
        return all((net(x).data > 0.5) == bool(y) for x, y in zip(points, labels, strict=True))

    untrained = sum(solves(MLP(2, [4, 1], rng=seed)) for seed in range(100))
    trained = 0
    for seed in range(10):
        net = MLP(2, [4, 1], rng=seed)
        adam = Adam(net.parameters(), lr=0.1)
        for _ in range(300):
            loss = F.mse([net(x) for x in points], labels)
            adam.zero_grad()
            loss.backward()
            adam.step()
        trained += solves(net)
    every = "every one" if trained == 10 else str(trained)
    return f"{untrained} of 100 untrained networks do; {every} of 10 does after 300 steps of Adam"


@_row(
    "top-p .9 of the probabilities .5, .3, .15, .05; and of .95, .05",
    "drop the one that crosses p: two remain; none, and NaN",
    "the one that crosses p is kept: 0.5263 0.3158 0.1579 0.0000; and 1.0000 0.0000",
)
def _top_p() -> str:
    four, two = (distribution([math.log(p) for p in ps], top_p=0.9) for ps in ([0.5, 0.3, 0.15, 0.05], [0.95, 0.05]))
    return f"the one that crosses p is kept: {listed(four, 4)}; and {listed(two, 4)}"


@_row(
    "causal attention by one softmax over the whole matrix, no mask",
    "weights that sum to 1",
    "its rows of two positions sum to 0.3498 0.6502, and the first sees the second; with mask and a softmax per row: "
    "1.0000 0.0000 and 0.2689 0.7311",
)
def _mask() -> str:
    scores = [[0.0, 0.0], [0.0, 1.0]]
    whole = F.softmax([Value(x) for row in scores for x in row])
    sums = [whole[0] + whole[1], whole[2] + whole[3]]
    rows = [[*F.softmax([Value(x) for x in row[: t + 1]]), *[Value(0.0)] * (1 - t)] for t, row in enumerate(scores)]
    return (
        f"its rows of two positions sum to {listed(sums, 4)}, and the first sees the second; with mask and a softmax "
        f"per row: {listed(rows[0], 4)} and {listed(rows[1], 4)}"
    )


@_row(
    "an attention matrix of *the bank by the river overflowed*, printed as what a softmax gives",
    "rows that sum to 1.80, 2.14 and 2.26",
    "every row sums to 1.00, whatever the scores: scores of 0, 2, 1, 0, 3, 1 give 0.03 0.21 0.08 0.03 0.58 0.08",
)
def _rows_sum_to_one() -> str:
    row = F.softmax([Value(x) for x in (0.0, 2.0, 1.0, 0.0, 3.0, 1.0)])
    whole = sum(row[1:], row[0]).data
    return f"every row sums to {whole:.2f}, whatever the scores: scores of 0, 2, 1, 0, 3, 1 give {listed(row, 2)}"


@_row(
    "how numpy.linalg.lstsq fits a line",
    "by QR",
    "by SVD (LAPACK's gelsd). For two equal columns it reports singular values 5.29 0.00 and rank 1, and halves the "
    "weight: 1.00 1.00; QR without pivoting divides by 0 there",
)
def _least_squares() -> str:
    import numpy as np

    x = np.array([1.0, 2.0, 3.0])
    weights, _, rank, singular = np.linalg.lstsq(np.stack([x, x], axis=1), 2 * x, rcond=None)
    last = np.linalg.qr(np.stack([x, x], axis=1)).R[1, 1]
    divides = "divides by 0 there" if abs(last) < 1e-12 else "works there"
    return (
        f"by SVD (LAPACK's gelsd). For two equal columns it reports singular values {listed(singular.tolist(), 2)} and "
        f"rank {rank}, and halves the weight: {listed(weights.tolist(), 2)}; QR without pivoting {divides}"
    )


@_row(
    "parameters of LLaMA 7B, from 12 d² in each of 32 blocks of width 4,096",
    "about 6.7 billion",
    "12 d² × 32 is 6.44 billion. It has 6.74: 4 d² and an MLP of 3 × 4,096 × 11,008 in each block, two tables of "
    "32,000 tokens, and its norms",
)
def _llama() -> str:
    d, blocks, wide, tokens = 4096, 32, 11_008, 32_000
    simple = 12 * d**2 * blocks
    exact = blocks * (4 * d**2 + 3 * d * wide + 2 * d) + 2 * tokens * d + d
    return (
        f"12 d² × 32 is {simple / 1e9:.2f} billion. It has {exact / 1e9:.2f}: 4 d² and an MLP of 3 × {d:,} × {wide:,} "
        f"in each block, two tables of {tokens:,} tokens, and its norms"
    )


@_row(
    "memory of a KV cache",
    "layers × positions × width",
    "2 × layers × positions × width, for keys and values: 4 layers of width 8 keep 640 numbers of 10 positions",
)
def _kv_cache() -> str:
    from gpt.model import KVCache

    model = GPT(GPTConfig(vocab_size=5, block_size=10, n_layer=4, n_head=2, n_embd=8))
    cache = KVCache(model.config)
    model([0] * 10, cache)
    kept = sum(len(v) for layer in cache.layers for part in (layer.keys, layer.values) for head in part for v in head)
    formula = "2 × layers × positions × width, for keys and values" if kept == 2 * 4 * 10 * 8 else "something else"
    return f"{formula}: 4 layers of width 8 keep {kept} numbers of 10 positions"


@_row(
    "LayerNorm divides by",
    "σ + ε",
    "√(σ² + ε): 1, 3 becomes -0.999995 0.999995, not -0.999990 0.999990",
)
def _layer_norm() -> str:
    ours = LayerNorm(2, weight=False)([Value(1.0), Value(3.0)])
    other = [(x - 2.0) / (1.0 + 1e-5) for x in (1.0, 3.0)]
    return f"√(σ² + ε): 1, 3 becomes {listed(ours, 6)}, not {listed(other, 6)}"


@_row("GPT-2's token embedding, 50,257 × 768 numbers of 32 bits", "148 MB", "154.4 MB, or 147.2 MiB")
def _gpt2_table() -> str:
    size = 50_257 * 768 * 4
    return f"{size / 1e6:.1f} MB, or {size / 2**20:.1f} MiB"


@_row(
    "the training of GPT-3 (Brown et al. 2020: 3.14e23 operations; 300 billion tokens of about 3/4 of a word, "
    "Wikipedia's 3 billion seen 3.4 times)",
    "500B words, 12 % Wikipedia; more than $100M; 355 years on an RTX 4090",
    "225 billion words, 3 % Wikipedia; 355 years on a V100 at 28 TFLOPS, which at $1.50 an hour is $4.7M",
)
def _gpt3() -> str:
    words = 300e9 * 3 / 4
    hours = 3.14e23 / 28e12 / 3600
    wikipedia = 3e9 * 3.4 / 300e9
    return (
        f"{words / 1e9:.0f} billion words, {100 * wikipedia:.0f} % Wikipedia; {hours / (365.25 * 24):.0f} years "
        f"on a V100 at 28 TFLOPS, which at $1.50 an hour is ${hours * 1.5 / 1e6:.1f}M"
    )


# --- right as quoted --------------------------------------------------------------------------------------------------


@_right("mean squared error of the errors .2, .3, .1", "0.0467")
def _mse_three() -> str:
    return f"{F.mse([Value(0.2), Value(0.3), Value(0.1)], [0, 0, 0]).data:.4f}"


@_right("mean squared error of the errors −.2, .2, −.5, .1, and its gradient", "0.0850; -0.10 0.10 -0.25 0.05")
def _mse_four() -> str:
    errors = [Value(x) for x in (-0.2, 0.2, -0.5, 0.1)]
    loss = F.mse(errors, [0, 0, 0, 0])
    loss.backward()
    return f"{loss.data:.4f}; {listed([e.grad for e in errors], 2)}"


@_right("gradient through ten sigmoids at their steepest", "9.5e-07")
def _ten_sigmoids() -> str:
    x = Value(0.0)
    out = x
    for _ in range(10):
        out = (out - out.data).sigmoid()  # each at its middle, where the slope is a quarter
    out.backward()
    return f"{x.grad:.1e}"


@_right("weights of a transformer block of width d", "12 d²")
def _block_weights() -> str:
    counts = []
    for d in (8, 16):
        one, two = (
            len(GPT(GPTConfig(vocab_size=5, block_size=4, n_layer=n, n_head=2, n_embd=d)).parameters()) for n in (1, 2)
        )
        counts.append((two - one) / d**2)
    return f"{counts[0]:.0f} d²" if counts[0] == counts[1] else str(counts)


@_right(
    "parameters of TinyLM (one layer, width 32, 2 heads, MLP of 64, context 32): 10 to 15 thousand",
    "10,496 with an alphabet of 40; 11,296 with 65 characters",
)
def _tiny_lm() -> str:
    def count(V: int, C: int = 32, T: int = 32, wide: int = 64) -> int:
        # No biases, norms without weights, and the token embedding is the output layer too.
        parts: list[Module] = [Embedding(V, C), Embedding(T, C), Linear(C, 3 * C, False), Linear(C, C, False)]
        parts += [Linear(C, wide, False), Linear(wide, C, False)]
        return sum(len(part.parameters()) for part in parts)

    return f"{count(40):,} with an alphabet of 40; {count(65):,} with 65 characters"


@_right("AdamW's two means for 7 billion parameters, in numbers of 32 bits", "56 GB")
def _adamw_memory() -> str:
    return f"{7e9 * 2 * 4 / 1e9:.0f} GB"


@_right("perplexity of five characters with log-probabilities −2.3, −1.1, −.5, −3.2, −1.8", "5.93")
def _perplexity() -> str:
    return f"{math.exp(-sum([-2.3, -1.1, -0.5, -3.2, -1.8]) / 5):.2f}"


@_right("sinusoidal position 1 of width 4", "0.84147 0.54030 0.01000 0.99995")
def _sinusoidal() -> str:
    angles = [1 / 10000 ** (i / 4) for i in (0, 2)]
    return listed([f(a) for a in angles for f in (math.sin, math.cos)], 5)


@_right("numbers that LoRA of rank 2 trains in a 32 × 32 matrix", "128 instead of 1,024")
def _lora() -> str:
    d, r = 32, 2
    return f"{d * r + r * d} instead of {d * d:,}"


# --- shown ------------------------------------------------------------------------------------------------------------


def as_text(width: int = 80) -> str:
    """Return all rows, for the terminal."""

    def lines(name: str, words: str) -> list[str]:
        return textwrap.wrap(words, width, initial_indent=f"  {name:<9}", subsequent_indent=" " * 11)

    out = ["Figures often quoted, and the correct ones"]
    for row in ROWS:
        out += ["", *textwrap.wrap(row.about.replace("*", ""), width)]
        out += lines("right:", row.true) if row.is_right else [*lines("quoted:", row.quoted), *lines("true:", row.true)]
    return "\n".join(out)
