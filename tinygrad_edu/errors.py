"""The exceptions of the library, all of them.

::

    Exception
    └── TinygradEduError                     anything this library raises on purpose
        ├── DomainError (ValueError)         mathematics has no answer: log(-1), (-8) ** 0.5
        │   └── DivisionByZeroError (ZeroDivisionError)    1 / 0, 0 ** -1
        ├── ShapeError (ValueError)          lists of the wrong length, tensors of the wrong shape
        ├── StateDictError (ValueError)      a saved parameter is missing, unknown or of another shape
        ├── StaleGraphError (ValueError)     a number was changed after something had been computed from it
        ├── NoGradientError (RuntimeError)   backward() where no gradient can arrive anywhere
        ├── CompileError (TypeError)         a function that cannot become an array program, and why
        ├── GradientCheckError (AssertionError)    a gradient disagrees with finite differences
        └── MissingPackageError (ImportError)      a package that the project needs is not installed

Each message says what was expected, what came instead, and what to do about it. A wrong *type*
(a string where a number belongs) is Python's own ``TypeError``.
"""

from __future__ import annotations

import contextlib
import reprlib
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

__all__ = [
    "CompileError",
    "DivisionByZeroError",
    "DomainError",
    "GradientCheckError",
    "MissingPackageError",
    "NoGradientError",
    "ShapeError",
    "StaleGraphError",
    "StateDictError",
    "TinygradEduError",
    "brief",
    "needing_packages",
    "short",
    "shown",
]


_C = TypeVar("_C")
_ROOT = Path(__file__).resolve().parents[1]


class TinygradEduError(Exception):
    """Base of every error this library raises on purpose.

    Attributes:
        exit_code: the exit code of a command that ends with this error.
        has_lines: whether line breaks in the message are ours; those of a name from a file are shown as ``\\n``.
    """

    exit_code = 2
    has_lines = False


class DomainError(TinygradEduError, ValueError):
    """The result of an operation is not defined over the real numbers."""


class DivisionByZeroError(DomainError, ZeroDivisionError):
    """A division by zero, written as ``/`` or as a negative power."""


class ShapeError(TinygradEduError, ValueError):
    """Two lists that must be of equal length are not, or a nested list is not rectangular."""


class StateDictError(TinygradEduError, ValueError):
    """A ``state_dict`` does not fit the module it is loaded into."""


class StaleGraphError(TinygradEduError, ValueError):
    """A graph that cannot be stepped through: a number in it was changed after others had been computed from it."""


class CompileError(TinygradEduError, TypeError):
    """A function cannot be compiled into an array program; the message names the source line and what to write."""


class GradientCheckError(TinygradEduError, AssertionError):
    """A gradient from backpropagation disagrees with the finite difference."""


class NoGradientError(TinygradEduError, RuntimeError):
    """``backward()`` on a Value without any leaf that could receive a gradient."""


class MissingPackageError(TinygradEduError, ImportError):
    """A package that the project needs is not installed for this Python."""


@contextlib.contextmanager
def needing_packages() -> Iterator[None]:
    """Around an import of ours: if a package is not installed, say so and what to do, instead of a traceback."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "tinygrad_edu", "gpt", "image", "viz", "lessons"):
            raise
        advice = "install it with pip"
        if (_ROOT / "run.py").exists():
            advice = (
                f"start with python3 run.py, which has all packages (python3 run.py python is a Python with them), or "
                f"install the project for this one: pip install {_ROOT}"
            )
        words = f"this needs {package}, which is not installed for {sys.executable}; {advice}"
        raise MissingPackageError(words, name=package) from None


def shown(thing: Any) -> str:
    """Describe what was given, for a message: its type and, in one short line, its repr.

    >>> shown([0, 1])
    'the list [0, 1]'
    """
    return f"the {type(thing).__name__} {' '.join(reprlib.repr(thing).split())}"


def short(text: str, most: int = 100) -> str:
    """Shorten a text to its beginning and its end.

    >>> short("abcdefghijkl", most=7)
    'abc…jkl'
    """
    half, text = most // 2, " ".join(text.splitlines())
    return text if len(text) <= most else f"{text[:half]}…{text[-half:]}"


def brief(cls: type[_C]) -> type[_C]:
    """A class decorator for data classes: ``repr`` is one line of at most 200 characters, whatever the fields hold."""
    looks = reprlib.Repr()
    looks.maxstring = looks.maxother = 40

    def one_line(self: Any) -> str:
        held = [(field.name, getattr(self, field.name, None)) for field in fields(self) if field.repr]
        facts = ", ".join(f"{name}={' '.join(looks.repr(thing).split())}" for name, thing in held)
        return short(f"{cls.__name__}({facts})", 199)

    cls.__repr__ = one_line  # type: ignore[method-assign]
    return cls
