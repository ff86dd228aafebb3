"""Record one loss in scalars with its gradients and module calls, from which every picture of a model is drawn."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tinygrad_edu import Value, collector_paused, no_grad, record_calls
from tinygrad_edu import functional as F
from tinygrad_edu.calls import CallRecord
from tinygrad_edu.errors import brief
from tinygrad_edu.nn import Module

from ..model import GPT, Vector, parameter_shapes

__all__ = [
    "END_UNASKED",
    "LARGEST",
    "UNASKED",
    "WHOLE",
    "LastBlocks",
    "Recorded",
    "before",
    "drawn_unasked",
    "end_drawn_unasked",
    "first_drawn",
    "readable",
    "recorded_end",
    "recorded_loss",
]

_BLOCK = "transformer.h.0."  # names of the parameters of a block, which are all alike
LARGEST = 1_400_000  # scalars; more would take too long
WHOLE = 2_000_000  # scalars on one token; of a larger model only the last blocks are drawn
UNASKED = 4_000_000  # scalars; more is recorded only for a command that asks for that very picture
END_UNASKED = 1_500_000  # scalars of the last block and the head; many pictures are made of them


@brief
@dataclass(frozen=True)
class Recorded:
    """A loss after ``backward()``.

    Attributes:
        loss: the loss.
        calls: the recorded module calls.
        length: the number of predicted tokens.
        first: the number of the first block in the graph; what comes before it is in plain numbers:
        given: the input of that block, if it is not the first one.                                      # (T, C)
    """

    loss: Value
    calls: CallRecord
    length: int
    first: int
    given: Sequence[Vector] = ()

    def about(self, layers: int, text: str = "the validation text") -> str:
        """Say of which part of a model with that many layers this is the graph, and on how many characters."""
        on = f"the loss on {self.length:,} character{'s' * (self.length != 1)} of {text}"
        if not self.first:
            return on
        last = "the last block" if self.first == layers - 1 else f"the last {layers - self.first} blocks"
        return f"{on}, as {last} of {layers} and the head compute it: what comes before is given as numbers"


class LastBlocks(Module):
    """The end of a GPT; its parts keep their names.

    Args:
        model: the whole model.
        first: the number of the first block that belongs to the end.
    """

    def __init__(self, model: GPT, first: int) -> None:
        blocks = dict(enumerate(model.transformer.h[first:], first))
        self.transformer = {"h": blocks, "ln_f": model.transformer.ln_f}
        self.lm_head = model.lm_head
        self._blocks, self._ln_f = list(blocks.values()), model.transformer.ln_f

    def forward(self, x: list[Vector]) -> list[Vector]:
        """Map the output of the earlier blocks at each position to the logits after it.    # (T, C) → (T, V)"""
        for block in self._blocks:
            x = block(x)
        return [self.lm_head(self._ln_f(v)) for v in x]

    def loss(self, x: list[Vector], targets: Sequence[int]) -> Value:
        """See :meth:`gpt.model.GPT.loss`.    # (T, C), (T) → ()"""
        return F.mean([F.cross_entropy(row, target) for row, target in zip(self(x), targets, strict=True)])


def recorded_loss(model: GPT, tokens: Sequence[int], most: int = LARGEST) -> tuple[Value, CallRecord, int]:
    """Return the loss on the first tokens, after ``backward()``, the recorded calls, and the number of predicted
    tokens.

    Dropout is off. The sequence is as long as the context, or shorter if that would be more than ``most`` scalars, by
    default 1.4 million.
    """
    length = readable(model, len(tokens) - 1, most)
    model.eval()
    model.zero_grad()
    with collector_paused():
        with record_calls() as calls:
            loss = model.loss(tokens[:length], tokens[1 : length + 1])
        loss.label = "loss"
        loss.backward()
    return loss, calls, length


def recorded_end(
    model: GPT,
    tokens: Sequence[int],
    most: int,
    whole: int = 0,
    given: Callable[[int], list[Vector]] | None = None,
) -> Recorded:
    """Do the same for the whole model if it has at most ``most`` scalars on one token, else for as many last blocks as
    fit.

    The earlier blocks are computed without being recorded, so loss and gradients are the same.

    Args:
        model, tokens: as above.
        most: scalars.
        whole: up to this many, the whole model is recorded on one token; beyond it only the last blocks are.
        given: what the block of a number gets on the first token, where that is known already.    # () → (1, C)
    """
    first = first_drawn(model, max(most, whole))
    if not first:
        return Recorded(*recorded_loss(model, tokens, most), first)
    first = first_drawn(model, most)
    model.eval()
    with collector_paused():
        end, x = LastBlocks(model, first), given(first) if given is not None else before(model, tokens[:1], first)
        end.zero_grad()
        with record_calls() as calls:
            loss = end.loss(x, tokens[1:2])
        loss.label = "loss"
        loss.backward()
    return Recorded(loss, calls, 1, first, x)


def before(model: GPT, tokens: Sequence[int], first: int) -> list[Vector]:
    """Return the output of the blocks before number ``first``, as numbers without a graph.    # (T) → (T, C)"""
    with no_grad():
        x = model.transformer.embedded(tokens, range(len(tokens)))
        for block in model.transformer.h[:first]:
            x = block(x)
    return [[Value(v.data) for v in row] for row in x]


def readable(model: GPT, tokens: int, most: int = LARGEST) -> int:
    """Return the number of tokens for which the loss has at most ``most`` scalars, within the context and
    ``tokens``."""
    return max(1, min(model.config.block_size, most // _scalars(model), tokens))


def first_drawn(model: GPT, most: int) -> int:
    """Return the first block to draw with at most ``most`` scalars: 0 for all; at least the last one is drawn."""
    if _scalars(model) <= most:
        return 0
    blocks = model.transformer.h
    room = most - _of_head(model)
    return max(1, len(blocks) - max(1, room // _scalars(model, _BLOCK))) if len(blocks) > 1 else 0


def drawn_unasked(model: GPT) -> bool:
    """Return whether even the shortest loss is small enough to be recorded by a command with another purpose."""
    return _scalars(model) <= UNASKED


def end_drawn_unasked(model: GPT) -> bool:
    """Return whether the last block and the head are small enough for all pictures of a report."""
    smallest = _scalars(model) if len(model.transformer.h) == 1 else _scalars(model, _BLOCK) + _of_head(model)
    return smallest <= END_UNASKED


def _scalars(model: GPT, part: str = "") -> int:
    """About how many scalars there are in a loss on one token, or in the part of it that has names with this prefix.

    A parameter is used about twice (× and +) per position. The parameters themselves are not counted one by one.
    """
    shapes = parameter_shapes(model.config)
    return 2 * sum(math.prod(shape) for name, shape in shapes if name.startswith(part))


def _of_head(model: GPT) -> int:
    """The same of the head, whose weights may be those of the embedding."""
    return 2 * model.config.vocab_size * model.config.n_embd
