"""Saying no: every refusal names the line of the user's code, what is wrong there and what to write instead."""

from __future__ import annotations

import linecache
import os
import sys
from types import FrameType
from typing import Any, NoReturn

from ..errors import CompileError

_package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def user_line() -> str:
    """The innermost source line being executed that is not the library's own: ``model.py:12: the line``."""
    innermost = sys._getframe(1)
    frame: FrameType | None = innermost
    while frame is not None and frame.f_code.co_filename.startswith(_package + os.sep):
        frame = frame.f_back
    if frame is None:
        frame = innermost
    text = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
    return f"{frame.f_code.co_filename}:{frame.f_lineno}: {text}"


def refuse(what: str, instead: str) -> NoReturn:
    """Raise a CompileError with the line of the user's code."""
    raise CompileError(f"{user_line()}\n  {what}; {instead}")


def refuse_number(what: str) -> NoReturn:
    """Somebody asks a Tracer for its number."""
    refuse(
        f"{what} is read here while the function is compiled: this one number would be frozen into the program",
        "write it with operations on Values: maximum(), relu(), abs() or pick() instead of a comparison or an `if`, "
        "and Values instead of .data, float() and int()",
    )


def site_line(key: tuple[Any, int]) -> str:
    """``functional.py:57`` for a line of the source."""
    code, line = key
    return f"{os.path.basename(code.co_filename)}:{line}"
