"""What can go wrong with a drawing.

::

    TinygradEduError
    └── DrawingError                       anything this package raises on purpose
        ├── UnknownFormatError (ValueError)    a file name with an unknown extension
        ├── LayoutError                    no layout program was found, or it failed
        │   └── LayoutTimeout              it took too long
        └── ExpressionError (ValueError)   an expression on the command line that cannot be read

A file that cannot be written is Python's own ``OSError``, with the path in its message.
"""

from __future__ import annotations

from tinygrad_edu.errors import TinygradEduError

__all__ = ["DrawingError", "ExpressionError", "LayoutError", "LayoutTimeout", "UnknownFormatError"]


class DrawingError(TinygradEduError):
    """Base of every error this package raises on purpose."""


class UnknownFormatError(DrawingError, ValueError):
    """The extension of the file name is missing or names a format that cannot be written."""


class LayoutError(DrawingError):
    """No program can lay the graph out, or the one that tried failed."""


class LayoutTimeout(LayoutError):
    """The layout program was stopped because it took too long."""


class ExpressionError(DrawingError, ValueError):
    """An expression that cannot be read; the message points at the column."""

    has_lines = True
