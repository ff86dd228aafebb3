"""What can go wrong outside the mathematics: files, data, settings. Each message says what to do."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from typing import Any

from ..errors import TinygradEduError

__all__ = ["CheckpointError", "ConfigError", "DataError", "DivergedError", "RunError", "named", "shown"]


class RunError(TinygradEduError):
    """Base of the errors below; the command line prints the message and ends with exit code 2."""


class ConfigError(RunError, ValueError):
    """A setting is out of range; the message names the field, the value and what is allowed."""


class DataError(RunError, ValueError):
    """Data cannot be read or are not fit to train on."""


class CheckpointError(RunError):
    """A checkpoint is missing, damaged, or of another model."""


class DivergedError(RunError):
    """The loss is no longer finite, or it explodes; the last checkpoint is untouched.

    Attributes:
        batch: the examples of the step at which it happened. If a number was not finite, the model is as it was before
            that step.
    """

    exit_code = 1
    has_lines = True

    def __init__(self, message: str, batch: Sequence[tuple[list[Any], ...]] = ()) -> None:
        super().__init__(message)
        self.batch = batch


def shown(value: Any) -> str:
    """Format a value from a file for a message: one short line, whatever it is.

    >>> shown({"a": [1, 2]}), len(shown("x" * 1000)), shown(10**5000)
    ("{'a': [1, 2]}", 60, 'a number of 16,610 bits')
    """
    return " ".join(_SHORT.repr(value).split())


def named(name: str) -> str:
    """Return a name from a file as it is, or in quotes if it is not a plain word.

    >>> named("n_head"), named("two\\nlines")
    ('n_head', "'two\\\\nlines'")
    """
    return name if len(name) <= 60 and name.isascii() and name.isidentifier() else shown(name)


class _Short(reprlib.Repr):
    def repr_int(self, x: int, level: int) -> str:
        return repr(x) if x.bit_length() <= 200 else f"a number of {x.bit_length():,} bits"


_SHORT = _Short()
_SHORT.maxstring = _SHORT.maxother = 60
_SHORT.maxlevel = 2
