"""Errors that a function catches: if the eager engine raises them for some numbers only, they are decisions, too.

There are two kinds. An operation has no answer for some numbers, such as 1 / 0; a function of Python or of a library
that needs a real number does not take a traced one. Errors that are not caught need no special treatment.
"""

from __future__ import annotations

import dis
import inspect
import re
import sys
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import CodeType, FrameType, FunctionType
from typing import Any

from ...errors import CompileError
from .diagnostics import frames_of_function, in_library, is_installed, keep, line_of, refuse

#: The error of a C function that does not take a traced number, by the names of the classes in tracers.py.
_NAMED = re.compile(
    r"\b(Tracer|Plain|Float|Whole|Index)\b|unmarshallable object|"
    r"must be (an? )?(int|float|integer|real|real number|number)\b"
    r"(?!.*\bnot '?(str|list|tuple|dict|set|NoneType|bytes))"
)
#: The eager engine's numbers and Values raise these, too.
_TRUE = re.compile(
    r"object is not (iterable|subscriptable|callable|reversible|a mapping|an iterator|an async)|has no len\(\)|"
    r"is not iterable|does not support item|is not a container|doesn't support item|"
    r"unsupported operand type.* '(str|list|tuple|dict|set|NoneType|bytes|function)'"
)
#: The code of functions that run from other code at the moment, by the identity of the other; see subscripts.py.
originals: dict[int, CodeType] = {}
_INSTEAD = "compute it outside the function and pass the result as an argument"


class Traced:
    """Base of what stands for a number in a trace; see tracers.py."""

    __slots__ = ()


def codes(functions: Iterable[FunctionType]) -> Iterator[CodeType]:
    """Return their code, and that of nested functions."""
    todo = [function.__code__ for function in functions]
    while todo:
        code = todo.pop()
        yield code
        todo += [inner for inner in code.co_consts if isinstance(inner, CodeType)]


def catches(functions: Iterable[FunctionType]) -> int:
    """Return whether some of these functions continue after an error: 0, no; 1, by ``except``; 2, maybe by ``with``,
    too."""
    found = list(codes(functions))
    if any(
        code.co_name == "__exit__"
        or "suppress" in code.co_names
        or (code.co_flags & inspect.CO_GENERATOR and _ranges(code, 1))
        for code in found
    ):
        return 2
    return int(any(_ranges(code, 1) for code in found))


@lru_cache(maxsize=4096)
def _ranges(code: CodeType, how: int) -> tuple[tuple[int, int], ...]:
    """Return the ranges of instructions whose errors may be caught: first, and the one after the last; ``how`` as
    ``catches`` says."""
    if not code.co_exceptiontable:
        return ()
    table: Any = dis.Bytecode(code)
    instructions, entries = list(table), table.exception_entries
    index = {it.offset: i for i, it in enumerate(instructions)}

    def handler(offset: int) -> list[int]:
        return [index[entry.target] for entry in entries if entry.start <= offset < entry.end]

    def is_caught(offset: int) -> bool:
        """Return whether the handler of an error may end without one: not that of ``finally``, nor one that cleans up.

        What a handler raises has a handler of its own.
        """
        todo, seen = handler(offset), set[int]()
        while todo:
            if (i := todo.pop()) in seen:
                continue
            seen.add(i)
            it, after = instructions[i], instructions[min(i + 1, len(instructions) - 1)]
            if it.opname.startswith("RETURN") or (it.opname == "POP_EXCEPT" and after.opname != "RERAISE"):
                return True
            if it.opname == "WITH_EXCEPT_START":  # what `with` calls to ask whether to go on
                if how == 2:
                    return True
                todo.append(next(j for j in range(i, len(instructions)) if instructions[j].opname == "RERAISE"))
            elif it.opname in ("RERAISE", "RAISE_VARARGS"):
                todo += handler(it.offset)
            else:
                todo += [i + 1] if it.opname not in _ALWAYS else []
                todo += [index[it.argval]] if it.opcode in _JUMPS else []
        return False

    return tuple((entry.start, entry.end) for entry in entries if is_caught(entry.start))


_JUMPS = frozenset(dis.hasjrel + dis.hasjabs)
_ALWAYS = ("JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT")


def caught_by(how: int) -> str:
    """Return the line of user code that catches an error raised here; empty if there is none."""
    for frame in frames_of_function():
        if any(start <= frame.f_lasti < end for start, end in _ranges(frame.f_code, how)):
            return line_of(frame, frame.f_lineno)
    return ""


def foreign(error: BaseException) -> CompileError | None:
    """Make the refusal for an error raised outside the library because a number is a traced one."""
    if isinstance(error, (CompileError, LookupError, AttributeError, StopIteration, AssertionError, ImportError)):
        return None
    trace = error.__traceback__
    if trace is None:
        return None
    line, written = "", trace
    while True:
        if not in_library(trace.tb_frame) and not is_installed(trace.tb_frame):
            written = trace
        if trace.tb_next is None:
            break
        trace = trace.tb_next
    text = str(error.args[0]) if error.args else ""
    here = trace.tb_frame
    if in_library(here) or not (
        (_NAMED.search(text) and not _TRUE.search(text)) or (is_installed(here) and _holds_traced(here))
    ):
        return None
    line = line_of(written.tb_frame, written.tb_lineno)
    return CompileError(
        f"{line}\n  a number that depends on the arguments is given to what takes a number of Python only "
        f"({text}); {_INSTEAD}"
    )


def explain(error: TypeError) -> None:
    """Add what has been forgotten, if a number of the example was used as a list: the axis of the batch."""
    text = str(error.args[0]) if error.args else ""
    if _NAMED.search(text) and _TRUE.search(text):
        error.add_note(
            "The first axis of every argument counts the examples, and here an example is a single number. One example "
            "that is a list is given as [list]."
        )


def _holds_traced(frame: FrameType) -> bool:
    return any(issubclass(type(x), Traced) for x in frame.f_locals.values())


@contextmanager
def watching(errors: bool, questions: Container[CodeType], ask: Callable[[FrameType], None]) -> Iterator[None]:
    """Turn ``errors`` because of traced numbers into refusals in the block, even if the function catches them.

    ``ask`` is called before every instruction of the code in ``questions``. A debugger does not see this thread
    meanwhile; afterward it continues as before.
    """

    def look(frame: FrameType, event: str, arg: Any) -> Any:
        if event == "call":
            frame.f_trace_lines = frame.f_code in questions
        elif event == "line":  # set at the call, it does not work for the first one since Python 3.12
            frame.f_trace_opcodes = True
        elif event == "opcode":
            ask(frame)
        elif event == "exception" and errors and (found := foreign(arg[1].with_traceback(arg[2]))):
            keep(found)
        return None if in_library(frame) else look

    before = sys.gettrace()
    sys.settrace(look)
    try:
        yield
    finally:
        sys.settrace(before)


def refuse_caught(what: str, how: int) -> None:
    """Refuse an operation that has no answer for some numbers if the function catches the error."""
    if line := caught_by(how):
        refuse(
            f"{what} is an error for some numbers, and the function catches it at {line.splitlines()[0]}",
            "make sure that it has an answer for all numbers, with maximum(), abs() or a small number added to it, "
            "or leave out the `try`",
        )
