"""Compare drawings with those of torchviz and torchview: ``python docs/peers.py``.

It needs ``torch``, ``torchview``, ``torchviz`` and Graphviz's ``dot``, which this project does not. All three draw the
same programs, and ``docs/compare.py`` measures them. torchviz has a box per operation that a gradient passes, torchview
one per module and tensor, without parameters; ours has as many as can be read on a screen, and in the second column as
many as torchviz has, as far as there are. A box of ours is larger: it holds data and gradient. So lengths are also
given per line, in heights of the median box. The last column is ``dot`` with exactly the boxes of ours, numbers and
words on lines included: it tells a layout from what is laid out.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import graphviz
import torch
import torchview
import torchviz
from compare import Measures, measured

import viz
from gpt.config import GPTConfig
from gpt.model import GPT
from tinygrad_edu import Value, nn, record_calls
from tinygrad_edu import functional as F

Case = Callable[[], tuple[tuple[Any, Any], tuple[torch.nn.Module, tuple[Any, ...]]]]


class Steps(torch.nn.Module):
    """A recurrent network of one number."""

    def __init__(self) -> None:
        super().__init__()
        self.wx, self.wh, self.b = (torch.nn.Parameter(torch.tensor(x)) for x in (0.5, 0.9, 0.1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute it."""
        h = x[0] * 0
        for t in range(5):
            h = torch.tanh(self.wx * x[t] + self.wh * h + self.b)
        return (h - 1) ** 2


def recurrent() -> Any:
    """Five steps of a recurrent network of one number."""
    numbers = [0.0, 0.84, 0.91, 0.14, -0.76]
    wx, wh, b = Value(0.5, "wx"), Value(0.9, "wh"), Value(0.1, "b")
    h = Value(0.0, "h0")
    for t, x in enumerate(numbers):
        h = (wx * Value(x, f"x{t}") + wh * h + b).tanh()
    return ((h - 1) ** 2, None), (Steps(), (torch.tensor(numbers),))


def perceptron() -> Any:
    """A perceptron with two hidden layers, on one example."""
    model = nn.MLP(2, [4, 4, 1], rng=1)
    with record_calls() as calls:
        loss = F.mse([model([0.5, -1.0])], [1.0])
    layers = [torch.nn.Linear(2, 4), torch.nn.Tanh(), torch.nn.Linear(4, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)]
    return (loss, calls), (torch.nn.Sequential(*layers), (torch.tensor([[0.5, -1.0]]),))


class Gates(torch.nn.Module):
    """A step of an LSTM of one number, written out."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.u, self.b = (
            torch.nn.ParameterList(torch.tensor(random.Random(k).gauss(0, 1)) for k in range(4)) for _ in range(3)
        )

    def forward(self, x: torch.Tensor, h: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        """Compute it."""
        i, f, o, g = (w * x + u * h + b for w, u, b in zip(self.w, self.u, self.b, strict=True))
        return torch.sigmoid(o) * torch.tanh(torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g))


def gates() -> Any:
    """A step of an LSTM of one number."""
    x, h, c = Value(0.7, "x"), Value(0.2, "h"), Value(-0.4, "c")
    i, f, o, g = (
        Value(random.Random(k).gauss(0, 1), f"w{k}") * x + Value(0.5, f"u{k}") * h + Value(0.1, f"b{k}")
        for k in range(4)
    )
    out = o.sigmoid() * (f.sigmoid() * c + i.sigmoid() * g.tanh()).tanh()
    return (out, None), (Gates(), tuple(torch.tensor(v) for v in (0.7, 0.2, -0.4)))


class Block(torch.nn.Module):
    """A block of a GPT: attention with heads and a residual, an MLP with one."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = torch.nn.RMSNorm(width), torch.nn.RMSNorm(width)
        self.c_attn, self.c_proj = (torch.nn.Linear(width, n * width, bias=False) for n in (3, 1))
        self.c_fc, self.out = (
            torch.nn.Linear(width, 4 * width, bias=False),
            torch.nn.Linear(4 * width, width, bias=False),
        )
        self.heads = heads

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute it."""
        b, t, n = x.shape
        q, k, v = (
            part.view(b, t, self.heads, n // self.heads).transpose(1, 2)
            for part in self.c_attn(self.ln_1(x)).split(n, 2)
        )
        scores = (q @ k.transpose(-2, -1)) * (n // self.heads) ** -0.5
        scores = scores.masked_fill(torch.triu(torch.ones(t, t, dtype=torch.bool), 1), float("-inf"))
        x = x + self.c_proj((torch.softmax(scores, -1) @ v).transpose(1, 2).reshape(b, t, n))
        return x + self.out(torch.relu(self.c_fc(self.ln_2(x))) ** 2)


class Torch(torch.nn.Module):
    """A GPT with its loss."""

    def __init__(self) -> None:
        super().__init__()
        self.wte, self.wpe = torch.nn.Embedding(65, 16), torch.nn.Embedding(16, 16)
        self.h = Block(16, 4)
        self.ln_f, self.lm_head = torch.nn.RMSNorm(16), torch.nn.Linear(16, 65, bias=False)

    def forward(self, tokens: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Compute it."""
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1]))
        return torch.nn.functional.cross_entropy(self.lm_head(self.ln_f(self.h(x)))[0], targets[0])


def gpt() -> Any:
    """The micro GPT on four characters."""
    model = GPT(GPTConfig(vocab_size=65, block_size=16, n_layer=1, n_head=4, n_embd=16), seed=0)
    tokens, targets = [20, 43, 50, 50], [43, 50, 50, 53]
    with record_calls() as calls:
        loss = model.loss(tokens, targets)
    return (loss, calls), (Torch(), (torch.tensor([tokens]), torch.tensor([targets])))


def _svg(drawing: Any) -> Measures:
    return measured(drawing.pipe("svg").decode())


def main() -> None:
    """Print the table."""
    names = ("ours", "ours, as many boxes", "torchviz", "torchview", "dot, boxes of ours")
    print(f"{'':12}" + "".join(f"{name:>29}" for name in names))
    print(f"{'':12}" + len(names) * f"{'cross':>7}{'points':>9}{'boxes':>7}{'px':>6}")
    cases: list[Case] = [perceptron, recurrent, gates, gpt]
    for case in cases:
        (loss, calls), (model, inputs) = case()
        loss.backward()
        inputs = tuple(x.requires_grad_(x.is_floating_point()) for x in inputs)  # torchviz draws what has a gradient
        theirs = torchviz.make_dot(model(*inputs), params=dict(model.named_parameters()))
        boxes = sum("label" in line and "->" not in line for line in theirs.body)
        view = torchview.draw_graph(model, input_data=inputs, depth=6, expand_nested=True, device="cpu")
        ours = viz.draw(loss, calls=calls)
        found = [
            measured(ours.svg()),
            measured(viz.draw(loss, calls=calls, budget=max(2, boxes)).svg()),
            _svg(theirs),
            _svg(view.visual_graph),
            _svg(graphviz.Source(ours.source)),
        ]
        print(
            f"{case.__name__:12}"
            + "".join(f"{m.crossings:7}{m.length:9,.0f}{m.scaled:7.2f}{m.text:6.1f}" for m in found),
            flush=True,
        )


if __name__ == "__main__":
    main()
