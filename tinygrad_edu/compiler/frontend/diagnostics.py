"""Compile-time errors: each names the line of the user's code, what is wrong there and what to write instead."""

from __future__ import annotations

import dis
import linecache
import os
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TypeVar

from ...errors import CompileError

_package = str(Path(__file__).resolve().parents[2]) + os.sep
_installed = tuple(sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib"))
_kept: ContextVar[list[CompileError] | None] = ContextVar("refusals", default=None)
_open: list[list[CompileError]] = []  # those of every function that is being traced, by any thread
_PATIENCE = 100  # refusals that a function may catch before it is stopped: it may be in an endless loop

C = TypeVar("C")


def in_library(frame: FrameType) -> bool:
    """Return whether this frame runs code of the library itself."""
    return frame.f_code.co_filename.startswith(_package)


def asked_by_library() -> bool:
    """Return whether the method that calls this was itself called by the library, maybe through an abstract class."""
    frame = sys._getframe(2)
    if frame.f_globals.get("__name__") == "abc" and frame.f_back is not None:
        frame = frame.f_back
    return in_library(frame)


def written_as_attribute() -> bool:
    """Return whether the method that calls this answers ``x.name`` in user code, not getattr() or hasattr()."""
    frame = sys._getframe(2)
    return dis.opname[frame.f_code.co_code[frame.f_lasti]] in ("LOAD_ATTR", "LOAD_METHOD")


def is_installed(frame: FrameType) -> bool:
    """Return whether this frame runs code of Python itself or of an installed package."""
    return frame.f_code.co_filename.startswith((*_installed, "<frozen"))


def line_of(frame: FrameType, line: int) -> str:
    """``model.py:12: the line``."""
    return f"{frame.f_code.co_filename}:{line}: {linecache.getline(frame.f_code.co_filename, line).strip()}"


def user_line() -> str:
    """Return the innermost source line of user code being executed."""
    frames = [sys._getframe(1)]
    while (outer := frames[-1].f_back) is not None:
        frames.append(outer)
    foreign = [frame for frame in frames if not in_library(frame)]
    written = [frame for frame in foreign if not is_installed(frame)]
    frame = (written or foreign or frames)[0]
    return line_of(frame, frame.f_lineno)


def refuse(what: str, instead: str) -> NoReturn:
    """Raise a CompileError with the line of the user's code."""
    error = CompileError(f"{user_line()}\n  {what}; {instead}")
    keep(error)
    raise error


def keep(error: CompileError) -> None:
    """Let ``final`` raise this error, whatever the function does with it.

    In a thread that the function has started, that function is unknown, so it is an error of all of them.
    """
    kept = _kept.get()
    if kept is None:
        for refusals in list(_open):
            refusals.append(error)
    else:
        kept.append(error)
        if len(kept) > _PATIENCE:
            _stop(len(kept) % _PATIENCE)
            raise _Enough


class _Enough(BaseException):
    """Passes through ``except Exception`` in the function."""


def _stop(lines: int) -> None:
    """Raise again some lines later: a bare ``except`` catches everything, except what is raised in its own handler."""

    def count(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal lines
        if event == "line" and not in_library(frame):
            lines -= 1
            if lines < 0:
                raise _Enough
        return count

    sys.settrace(count)
    for frame in frames_of_function():
        frame.f_trace, frame.f_trace_lines = count, True


def frames_of_function() -> Iterator[FrameType]:
    """Yield the frames of the traced function, innermost first, without those of the library."""
    frame = sys._getframe(1)
    while frame.f_back is not None and not (in_library(frame) and frame.f_code.co_name == "trace"):
        if not in_library(frame):
            yield frame
        frame = frame.f_back


@contextmanager
def final(explain: Callable[[Exception], CompileError | None]) -> Iterator[None]:
    """Make the first refusal in the block final: it is raised at the end even if the function caught it and went on.

    ``explain`` may turn another error of the function into a refusal.
    """
    kept: list[CompileError] = []
    before, tracing = _kept.set(kept), sys.gettrace()
    _open.append(kept)
    try:
        yield
    except (Exception, _Enough) as error:
        if not kept and isinstance(error, Exception) and (found := explain(error)):
            raise found from error
        if kept and error is not kept[0]:
            raise kept[0] from None
        raise
    finally:
        _kept.reset(before)
        _open[:] = [refusals for refusals in _open if refusals is not kept]
        if len(kept) > _PATIENCE:
            sys.settrace(tracing)
    if kept:
        raise kept[0]


# --- what Python asks of a number ------------------------------------------------------------------------------------

_OUTSIDE = "compute it outside the function and pass the result as an argument"

#: Methods (without their underscores), what Python wants of them, and what to write instead.
_QUESTIONS = {
    "order": (
        "lt le gt ge",
        "is compared",
        "write it with operations on Values: maximum(), relu(), abs() or pick() instead of a comparison or an `if`; "
        "maximum(*xs) and minimum(*xs) for max(xs) and min(xs), with .detach() where it only shifts, as in a softmax; "
        "or pass a mask of 0.0 and 1.0 as an argument",
    ),
    "truth": (
        "bool eq ne hash",
        "is tested or looked up (if, and, or, not, ==, in, all(), count(), a set, a dictionary)",
        "pass a mask of 0.0 and 1.0 as an argument and write mask * a + (1 - mask) * b, or pass an integer and choose "
        "with pick()",
    ),
    "number": (
        "float int complex trunc floor ceil round sizeof",
        "is read",
        "write it with operations on Values: maximum(), relu(), abs() or pick() instead of a comparison or an `if`, "
        "x.detach() instead of x.data, float() and int(), and x.exp(), x.log(), x.tanh() … instead of math; what no "
        "method computes, pass as an argument",
    ),
    "whole": ("mod rmod floordiv rfloordiv divmod rdivmod", "is divided into whole parts", _OUTSIDE),
    "bits": ("and rand or ror xor rxor lshift rlshift rshift rrshift invert", "is taken apart into bits", _OUTSIDE),
    "text": (
        "str repr format",
        "is written as text",
        "print outside the function: call the plain function, or return what is to be printed",
    ),
    "copy": ("reduce reduce_ex getstate getnewargs", "is saved or copied", "use it as it is"),
}


def refuse_number(what: str, question: str = "number") -> NoReturn:
    """Refuse to give the number of a Tracer; ``question`` is a row of the table above."""
    _, verb, instead = _QUESTIONS[question]
    refuse(f"{what} {verb} while the function is compiled: this one would be frozen into the program", instead)


def refuse_attribute(what: str, name: str) -> NoReturn:
    """Refuse a method that only a number of Python or numpy has."""
    refuse(f"{what} is asked for {name!r} here, and only a number has that", _QUESTIONS["number"][2])


def refusing(what: str, kind: type) -> Callable[[type[C]], type[C]]:
    """A class decorator that refuses every question of the table that ``kind`` answers and the class does not.

    A question without a method in ``kind`` is an error for it, too; but asking whether it is true is always refused.
    """

    def decorate(cls: type[C]) -> type[C]:
        own = [vars(base) for base in cls.__mro__ if base.__module__ == cls.__module__]
        for question, (names, _, _) in _QUESTIONS.items():

            def method(self: Any, *_: Any, question: str = question) -> NoReturn:
                refuse_number(what, question)

            for name in names.split():
                special = f"__{name}__"
                answered = any(methods.get(special) is not None for methods in own)  # __eq__ makes __hash__ None
                if not answered and (name == "bool" or any(special in vars(base) for base in kind.__mro__)):
                    setattr(cls, special, method)
        return cls

    return decorate


def site_line(key: tuple[Any, int]) -> str:
    """Write ``functional.py:57`` for a line of the source."""
    code, line = key
    return f"{os.path.basename(code.co_filename)}:{line}"
