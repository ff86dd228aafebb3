"""The error that the lessons raise on purpose."""

from __future__ import annotations

from tinygrad_edu.errors import TinygradEduError

__all__ = ["LessonError"]


class LessonError(TinygradEduError):
    """A lesson is missing or cannot be read, or words on the command line cannot be used."""
