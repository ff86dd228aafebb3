"""What can go wrong outside the mathematics: files, text, settings. Each message says what to do."""

from __future__ import annotations

from tinygrad_edu.training.errors import CheckpointError as CheckpointError
from tinygrad_edu.training.errors import ConfigError as ConfigError
from tinygrad_edu.training.errors import DataError as DataError
from tinygrad_edu.training.errors import DivergedError as DivergedError
from tinygrad_edu.training.errors import RunError
from tinygrad_edu.training.errors import named as named
from tinygrad_edu.training.errors import shown as shown

__all__ = ["GPTError", "UnknownCharacterError"]

GPTError = RunError  #: Base of all of them; the command line prints the message and ends with exit code 2.


class UnknownCharacterError(DataError):
    """A character that the tokenizer has never seen; the message shows it and its position."""
