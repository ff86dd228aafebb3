"""The progress of training: one moving line in a terminal, plain lines in a pipe or a file."""

from __future__ import annotations

import shutil
import sys
import time
from typing import Any

from .. import console

__all__ = ["PLAIN_SECONDS", "Progress", "duration"]

PLAIN_SECONDS = 15.0  # between lines that only say "still going"


def duration(seconds: float) -> str:
    """Write minutes and seconds, and hours if there are any.

    >>> duration(75), duration(3675)
    ('1:15', '1:01:15')
    """
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


class Progress:
    """Shows step, loss, validation loss, work per second and remaining time.

    Both are computed from the second step on: the first one also compiles, and would predict hours for minutes. In a
    terminal the remaining time is tqdm's, a mean of the latest steps.

    Args:
        first: the step before the first one of this session.
        last: the last step of the run.
        work: how much is done per step.
        unit: in what that is counted.
    """

    def __init__(self, first: int, last: int, work: float, unit: str = "chars") -> None:
        self._first, self._last, self._work, self._unit = first, last, work, unit
        self._began = self._spoke = self._since = time.monotonic()
        self._training = 0.0  # seconds since the first step ended, without validations and samples
        self._loss: float | None = None
        self._val = ""
        self._bar: Any = None
        self._bar_stream = console.raw(sys.stderr)  # it moves the cursor
        if sys.stderr.isatty():
            from tqdm import tqdm

            layout = "{percentage:3.0f}% {bar} {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"
            width = shutil.get_terminal_size().columns - 3  # room for a ^C
            self._bar = tqdm(
                total=last, initial=first, bar_format=layout, ncols=width, leave=False, file=self._bar_stream
            )

    def step(self, step: int, loss: float) -> None:
        """Note that a step is done. The loss shown is a running mean, because single batches vary."""
        now = time.monotonic()
        if step == self._first + 1:
            self._began = now
        else:
            self._training += now - self._since
        self._loss = loss if self._loss is None else 0.95 * self._loss + 0.05 * loss
        if self._bar is not None:
            self._bar.set_postfix_str(self._numbers(step), refresh=False)
            self._bar.update(1)
        elif now - self._spoke > PLAIN_SECONDS:
            self._line(step)

    def next(self) -> None:
        """Note that the next step begins."""
        self._since = time.monotonic()

    def validated(self, step: int, val_loss: float, beaten: str = "") -> None:
        """Note that a validation is done; ``beaten`` is a baseline that the loss is below."""
        self._val = f"val {val_loss:.3f}"
        self._line(step, f" (beats {beaten})" if beaten else "")

    def say(self, text: str) -> None:
        """Print above the moving line."""
        if self._bar is not None:
            with self._bar.external_write_mode(file=self._bar_stream):
                print(text, flush=True)
        else:
            print(text, flush=True)

    def close(self) -> None:
        """Remove the moving line."""
        if self._bar is not None:
            self._bar.close()

    def _line(self, step: int, remark: str = "") -> None:
        self._spoke = time.monotonic()
        shown = self._bar is None and self._first + 1 < step < self._last  # in a terminal the moving line shows it
        per_step = (self._spoke - self._began) / max(step - self._first - 1, 1)  # including everything in between
        left = f"  {duration((self._last - step) * per_step)} left" if shown else ""
        self.say(f"step {step:>{len(str(self._last))}}/{self._last}  {self._numbers(step, remark)}{left}")

    def _numbers(self, step: int, remark: str = "") -> str:
        parts = []
        if self._loss is not None:
            parts.append(f"loss {self._loss:.3f}")
        if self._val:
            parts.append(self._val + remark)
        if step > self._first + 1:
            speed = (step - self._first - 1) * self._work / max(self._training, 1e-9)
            parts.append(f"{speed:,.0f} {self._unit}/s")
        return "  ".join(parts)
