"""What can go wrong outside the mathematics: files, text, settings. Each message is a sentence one can act on."""

from __future__ import annotations

from tinygrad_edu.errors import TinygradEduError


class GPTError(TinygradEduError):
    """Base of the errors below; the command line prints the message and ends with exit code 2."""


class ConfigError(GPTError, ValueError):
    """A setting is out of range; the message names the field, the value and what is allowed."""


class DataError(GPTError, ValueError):
    """A text cannot be read or is not fit to train on."""


class UnknownCharacterError(DataError):
    """A character that the tokenizer has never seen; the message shows it and its position."""


class CheckpointError(GPTError):
    """A checkpoint is missing, damaged, or of another model."""
