"""One loss in scalars with its gradients and module calls: what every picture of a model is drawn from."""

from __future__ import annotations

from collections.abc import Sequence

from tinygrad_edu import Value, collector_paused, record_calls
from tinygrad_edu.calls import CallRecord

from .model import GPT

__all__ = ["LARGEST", "UNASKED", "drawn_unasked", "readable", "recorded_loss"]

LARGEST = 1_400_000  # scalars; more would keep a person waiting
UNASKED = 4_000_000  # scalars; more is recorded for those only who ask for that very picture


def recorded_loss(model: GPT, tokens: Sequence[int], most: int = LARGEST) -> tuple[Value, CallRecord, int]:
    """The loss on the first tokens, after ``backward()``; what was called; and how many tokens were predicted.

    Dropout is off. The sequence is as long as the context, or shorter where that would be more than ``most`` scalars,
    1.4 million unless said otherwise.
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


def readable(model: GPT, tokens: int, most: int = LARGEST) -> int:
    """Of how many tokens the loss has at most ``most`` scalars, as far as the context and ``tokens`` reach."""
    # A parameter is used about twice (× and +) per position.
    return max(1, min(model.config.block_size, most // (2 * len(model.parameters())), tokens))


def drawn_unasked(model: GPT) -> bool:
    """Whether even the shortest loss is small enough to be recorded by a command that was asked for something else."""
    return 2 * len(model.parameters()) <= UNASKED
