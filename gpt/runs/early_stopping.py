"""Early stopping and divergence: the lowest validation loss so far, and a loss that explodes.

Both are computed from the log, so that a resumed run behaves like an uninterrupted one.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["EXPLODED", "RECENT", "BestLoss", "Explosion"]

RECENT = 20  # steps whose mean counts: a single batch may be hard
EXPLODED = 3.0  # times the cost of knowing nothing


class BestLoss:
    """The lowest validation loss of a run, and how many validations ago it was.

    A record has ``watched_loss``, or only ``val_loss`` if both are the same: the last validation
    of a run takes other sequences than those before it, and losses on different texts cannot be compared.

    >>> best = BestLoss([{"step": 0, "val_loss": 4.2}, {"step": 5, "val_loss": 3.1}, {"step": 10, "val_loss": 3.3}])
    >>> best.step, best.loss, best.since
    (5, 3.1, 1)
    >>> best.see(15, 3.0), best.since
    (True, 0)
    """

    def __init__(self, log: Iterable[Mapping[str, Any]]) -> None:
        self.step: int | None = None
        self.loss = math.inf
        self.since = 0
        for record in log:
            if record.get("val_loss") is not None:
                self.see(record["step"], record.get("watched_loss", record["val_loss"]))

    def see(self, step: int, loss: float) -> bool:
        """Record a validation; returns whether there was no lower loss before."""
        if loss < self.loss:
            self.step, self.loss, self.since = step, loss, 0
            return True
        self.since += 1
        return False


class Explosion:
    """Detects that the mean of the last 20 training losses is three times the loss of guessing, or the first loss.

    >>> explosion = Explosion([], vocab_size=65)
    >>> explosion.see(4.2), any(explosion.see(100.0) for _ in range(3)), any(explosion.see(100.0) for _ in range(20))
    (False, False, True)
    """

    def __init__(self, log: Iterable[Mapping[str, Any]], vocab_size: int) -> None:
        self._limit = EXPLODED * math.log(vocab_size)
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._first = True
        for record in log:
            if record.get("train_loss") is not None:
                self.see(record["train_loss"])

    def see(self, loss: float) -> bool:
        """Record the loss of a step; returns whether it has exploded."""
        if self._first:
            self._limit = max(self._limit, EXPLODED * loss)
            self._first = False
        self._recent.append(loss)
        return len(self._recent) == RECENT and self.mean > self._limit

    @property
    def mean(self) -> float:
        """The mean of the last losses."""
        return sum(self._recent) / len(self._recent)
