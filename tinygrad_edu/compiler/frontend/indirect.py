"""Questions about a traced number that it cannot detect, such as ``(0.5).__lt__(x)`` and ``np.array(xs).dtype``.

They are found in the code, and refused when execution reaches them.
"""

from __future__ import annotations

import builtins
import dis
from collections.abc import Iterable
from functools import lru_cache
from numbers import Number
from types import CodeType, FrameType, FunctionType, MethodWrapperType, WrapperDescriptorType
from typing import Any

import numpy as np

from ...errors import CompileError
from .catching import codes
from .diagnostics import refuse
from .tracers import TRACED

_BINARY = "add sub mul truediv floordiv mod divmod pow and or xor lshift rshift"
#: Methods of Python's numbers, which do not know traced ones.
_SPECIAL = frozenset(
    f"__{name}__" for name in f"lt le gt ge eq ne hash bool {_BINARY} r{_BINARY.replace(' ', ' r')}".split()
)
#: What a traced number has and a Python number lacks.
_OWN = frozenset(
    ("__array_ufunc__", "__copy__", "__deepcopy__", "__getattr__", "__module__", "__slots__", "__annotations__")
)
#: What describes the type of an array's numbers, which are objects now.
_WIDTHS = frozenset(("dtype", "itemsize", "nbytes", "strides"))
_RUNS_TEXT = frozenset(("eval", "exec", "__import__", "__builtins__"))
_METHOD = (
    "a method of Python's numbers is called by its name, and it does not know a number that depends on the arguments",
    "write the operation itself, such as a < b or a + b, and see what jit says to that",
)
_ASKED = (
    "a method of numbers is named in a text here, and a number that depends on the arguments has others",
    "write the operation itself, such as a < b or a + b",
)
_WIDTH = (
    "the type of an array's numbers is read, and while the function is compiled they are objects",
    "leave it out, or pass what depends on it as an argument",
)
_TEXT = ("text is run as code here, and the compiler cannot look into it", "write the code itself")
_TYPE = ("type() is taken out of its module here", "write type(x)")
_ALL = frozenset(("type", *_SPECIAL, *_OWN, *_WIDTHS, *_RUNS_TEXT))


@lru_cache(maxsize=4096)
def _places(code: CodeType) -> dict[int, tuple[list[dis.Instruction], int]]:
    """Find by offset the instructions of a function that may be such a question: all instructions, and which one it
    is."""
    if _ALL.isdisjoint(code.co_names) and _ALL.isdisjoint(filter(_is_text, code.co_consts)):
        return {}  # nearly always
    found = [it for it in dis.get_instructions(code) if it.opname != "EXTENDED_ARG"]
    return {it.offset: (found, i) for i, it in enumerate(found) if _may_ask(it)}


def _is_text(constant: Any) -> bool:
    return isinstance(constant, str)


def _may_ask(it: dis.Instruction) -> bool:
    if it.opname in ("LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR"):
        return it.argval in _SPECIAL or it.argval in _WIDTHS or it.argval == "type"
    if it.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
        return it.argval in _RUNS_TEXT
    return it.opname == "LOAD_CONST" and _is_text(it.argval) and it.argval in _SPECIAL | _OWN


def questions(functions: Iterable[FunctionType], things: Iterable[Any]) -> frozenset[CodeType]:
    """Return the code of ``functions``, including nested code, that may contain one.

    ``things`` are all that can be reached. Raises CompileError where a method of a number is among them.
    """
    for thing in things:
        if isinstance(thing, (WrapperDescriptorType, MethodWrapperType)) and thing.__name__ in _SPECIAL:
            owner = thing.__objclass__ if isinstance(thing, WrapperDescriptorType) else thing.__self__
            if _is_number(owner):
                raise CompileError(f"{thing!r}: {'; '.join(_METHOD)}")
    return frozenset(code for code in codes(functions) if _places(code))


def look(frame: FrameType) -> None:
    """Refuse the next instruction if it is such a question."""
    if frame.f_lasti not in _places(frame.f_code):
        return
    instructions, i = _places(frame.f_code)[frame.f_lasti]
    name = instructions[i].argval
    if instructions[i].opname == "LOAD_CONST":
        refuse(*_ASKED)
    try:
        owner = _loaded(frame, instructions, i - 1) if "GLOBAL" not in instructions[i].opname else frame
    except LookupError:  # not seen
        if name != "type":
            refuse(*(_METHOD if name in _SPECIAL else _WIDTH))
        if "builtins" in (*frame.f_code.co_names, *filter(_is_text, frame.f_code.co_consts)):
            refuse(*_TYPE)
        return
    if name in _SPECIAL and _is_number(owner):
        refuse(*_METHOD)
    if name in _WIDTHS and isinstance(owner, np.ndarray) and any(type(x) in TRACED for x in owner.ravel().tolist()):
        refuse(*_WIDTH)
    if name in _RUNS_TEXT and name not in frame.f_globals.keys() - {"__builtins__"}:
        refuse(*_TEXT)
    if name == "type" and owner is builtins:
        refuse(*_TYPE)


def _loaded(frame: FrameType, instructions: list[dis.Instruction], i: int) -> Any:
    """Return what an instruction puts on the stack; raises LookupError for more than a name or an attribute."""
    it = instructions[i]
    if it.opname in ("LOAD_ATTR", "LOAD_METHOD"):
        try:
            return getattr(_loaded(frame, instructions, i - 1), it.argval)
        except AttributeError:
            return None
    if it.opname in ("LOAD_CONST", "LOAD_SMALL_INT"):
        return it.argval
    # Since 3.13, one instruction loads two variables, or stores one and loads another: the last one is on top.
    name = it.argval[-1] if isinstance(it.argval, tuple) else it.argval
    if "LOAD_" in it.opname and isinstance(name, str):
        for space in (frame.f_locals, frame.f_globals, vars(builtins)):
            if name in space:
                return space[name]
    raise LookupError


def _is_number(thing: Any) -> bool:
    """Return whether it is a number that is not traced, or a class of such."""
    if type(thing) in TRACED:
        return False
    return thing is object or (issubclass(thing, Number) if isinstance(thing, type) else isinstance(thing, Number))
