"""The learning-rate range test: a learning rate that grows from step to step until the loss explodes.

Where the loss falls fastest is a rate that teaches; a little beyond, it is too large (Smith 2015, "Cyclical Learning
Rates", section 3.3, in the form with exponential growth and a smoothed loss that fast.ai made popular). Of the two
usual choices, a tenth of the rate with the lowest loss is suggested: of four rates on tinyshakespeare, 400 steps each,
it was the best for the preset micro (2.256 at 1.6e-2; 2.302 where the loss falls fastest) and 0.002 from the best for
tiny (2.093 at 1e-2; 2.139).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tinygrad_edu.errors import DomainError, brief

from ..data.corpus import Corpus
from ..engines import make_engine
from ..model import GPT
from ..runs.checkpoint import RunConfig

__all__ = [
    "EXPLODED",
    "SMOOTHING",
    "LRRange",
    "advice",
    "exploded",
    "lr_range_test",
    "rates_between",
    "smooth",
    "table",
]

SMOOTHING = 0.95  # of the mean before, at each step
EXPLODED = 2.0  # nats above the lowest smoothed loss, from which it does not recover
_ROWS = 16  # of the table
_BAR = 30  # letters


@brief
@dataclass(frozen=True)
class LRRange:
    """What happened at each learning rate.

    Attributes:
        rates, losses: those of the steps so far, losses in nats per character.
        smoothed: a running mean of the losses, since every batch differs.
    """

    rates: list[float]
    losses: list[float]
    smoothed: list[float]

    @property
    def lowest(self) -> int:
        """The position of the lowest smoothed loss."""
        return min(range(len(self.smoothed)), key=lambda i: self.smoothed[i])

    @property
    def steepest(self) -> int:
        """The position before that at which the smoothed loss falls fastest, per factor of the rate."""
        near = max(1, len(self.smoothed) // 20)  # steps to each side that make a slope
        falls = {
            i: self.smoothed[max(i - near, 0)] - self.smoothed[min(i + near, self.lowest)]
            for i in range(near, self.lowest)
        }
        return max(falls, key=lambda i: falls[i], default=self.lowest)


def rates_between(lowest: float, highest: float, steps: int) -> list[float]:
    """Return rates that grow by the same factor from step to step.

    >>> [round(rate, 4) for rate in rates_between(0.001, 0.1, 3)]
    [0.001, 0.01, 0.1]
    """
    growth = (highest / lowest) ** (1.0 / (steps - 1))
    return [lowest * growth**i for i in range(steps)]


def lr_range_test(network: GPT, config: RunConfig, corpus: Corpus, rates: Sequence[float]) -> LRRange:
    """Train a new model, each step with the next rate, until the loss explodes."""
    training, block_size = config.train, config.model.block_size
    engine = make_engine(network, training)
    losses: list[float] = []
    for step, rate in enumerate(rates):
        batch = corpus.batch(block_size, training.batch_size, training.seed, step)
        try:
            loss = engine.step(batch, rate, f"{training.seed} dropout {step}")[0]
        except DomainError:
            break
        if not math.isfinite(loss):
            break
        losses.append(loss)
        if exploded(losses):
            break
    return LRRange(list(rates[: len(losses)]), losses, smooth(losses))


def smooth(losses: Sequence[float]) -> list[float]:
    """Return the running mean of a sequence, corrected for its start, so that early numbers count in full.

    >>> smooth([2.0, 2.0, 2.0])
    [2.0, 2.0, 2.0]
    """
    mean, found = 0.0, []
    for i, loss in enumerate(losses, 1):
        mean = SMOOTHING * mean + (1.0 - SMOOTHING) * loss
        found.append(round(mean / (1.0 - SMOOTHING**i), 12))
    return found


def exploded(losses: Sequence[float]) -> bool:
    """Return whether the smoothed loss is far above its lowest."""
    smoothed = smooth(losses)
    return smoothed[-1] > min(smoothed) + EXPLODED


def table(found: LRRange) -> str:
    """List some of the rates with the smoothed loss, as numbers and as bars."""
    count = min(_ROWS, len(found.rates))
    shown = sorted({round(i * (len(found.rates) - 1) / max(count - 1, 1)) for i in range(count)} | {found.steepest})
    low, high = min(found.smoothed), max(found.smoothed)
    rows = [f"{'learning rate':>13}{'loss':>9}"]
    for i in shown:
        bar = "█" * round(_BAR * (found.smoothed[i] - low) / ((high - low) or 1.0))
        mark = "  ← falls fastest" if i == found.steepest else ""
        rows.append(f"{found.rates[i]:>13.1e}{found.smoothed[i]:>9.3f}  {bar}{mark}")
    return "\n".join(rows)


def advice(found: LRRange, highest: float) -> str:
    """Say what the result suggests."""
    rate, end = found.rates[found.steepest], found.rates[found.lowest]
    if found.lowest < len(found.rates) // 10:
        return "The loss only rose: try a smaller --lowest."
    words = f"The loss falls fastest at a rate of {rate:.1e} and is lowest at {end:.1e}, where it is about to rise."
    if found.lowest >= len(found.rates) - len(found.rates) // 20 and found.rates[-1] >= 0.9 * highest:
        words += " It still fell at the end: a larger --highest may show more."
    return (
        f"{words}\nThe usual peaks are the first, and a tenth of the second: try --lr {end / 10:.1e}; compare both: "
        f"gpt sweep --lr {rate:.1e},{end / 10:.1e}."
    )
