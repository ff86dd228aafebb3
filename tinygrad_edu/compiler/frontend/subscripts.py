"""``table[i]`` for an integer that depends on the arguments.

A list of Python asks for the number of its index, so no tracer can answer. While a function is traced, it runs from
other code, in which ``a[b]`` is ``choose(a, b)``. That code is made of its source, and only if Python makes exactly the
function's own code of the same text: the file may have changed since. Without the source the index is refused.
"""

from __future__ import annotations
import __future__

import ast
import linecache
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any

from ...engine import Value
from ...errors import CompileError
from .catching import originals
from .diagnostics import refuse
from .tracers import TRACED, Index, TracedList, current_body, transparent

_ANNOTATIONS = __future__.annotations.compiler_flag  # exec() inherits it
_MARK = "\0choose"
_lock = threading.Lock()
_held: dict[FunctionType, list[Any]] = {}  # how many traces use the other code of a function, and its own
transparent.add(__name__)


_ROWS = (list, tuple, TracedList)


def choose(table: Any, index: Any) -> Any:
    """Do what ``table[index]`` does."""
    if type(index) not in TRACED:
        return table[index]
    if type(index) is Index and type(table) in _ROWS and table:
        if all(isinstance(entry, Value) for entry in table):
            return index._pick_from(table)
        if all(type(row) in _ROWS and row and all(isinstance(x, Value) for x in row) for row in table):
            rows = [*table, chosen := index._pick_from(table)]
            chosen = tuple(chosen) if type(table[0]) is tuple else chosen
            if len({type(row) for row in table}) == 1:
                current_body().trace.rows.update((id(row), (row, tuple(row))) for row in rows if isinstance(row, list))
                return chosen
    try:
        return table[index]
    except CompileError:
        raise
    except TypeError as error:  # here it would not be seen as one because of a traced number
        refuse(f"an entry is taken by a number that depends on the arguments ({error})", "write pick(list, index)")


def check(rows: Iterable[tuple[list[Any], tuple[Any, ...]]]) -> None:
    """Refuse changes of rows that were chosen, or chosen from: the one is not the other, as it is in Python."""
    if any(
        len(row) != len(before) or any(x is not y for x, y in zip(row, before, strict=True)) for row, before in rows
    ):
        refuse("a list that was taken by an index from the data is changed", "change a copy: row = list(table[index])")


class _Subscripts(ast.NodeTransformer):
    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        self.generic_visit(node)
        parts = ast.walk(node.slice)
        if not isinstance(node.ctx, ast.Load) or any(isinstance(x, (ast.Slice, ast.Starred)) for x in parts):
            return node
        if isinstance(node.slice, (ast.Constant, ast.UnaryOp)):
            return node
        return ast.copy_location(ast.Call(ast.Constant(_MARK), [node.value, node.slice], []), node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.value = self.visit(node.value) if node.value is not None else None
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return node  # with its annotation

    def visit_FunctionDef(self, node: Any) -> ast.AST:
        returns, node.returns = node.returns, None
        self.generic_visit(node)
        node.returns = returns
        return node  # type: ignore[no-any-return]

    visit_AsyncFunctionDef = visit_FunctionDef


@lru_cache(maxsize=64)
def _others(text: str, file: str, flags: int) -> dict[CodeType, CodeType]:
    """Return the other code of every function in a file, by its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it calls a constant, which _with_choose() replaces
        try:
            tree = ast.parse(text)
            own = compile(tree, file, "exec", flags, True)
            changed = ast.fix_missing_locations(_Subscripts().visit(tree))
            pairs = [(own, compile(changed, file, "exec", flags, True))]
        except (SyntaxError, ValueError, RecursionError):
            return {}
    found = {}
    while pairs:
        first, second = pairs.pop()
        found[first] = _with_choose(second)
        inner = [[x for x in code.co_consts if isinstance(x, CodeType)] for code in (first, second)]
        if [x.co_name for x in inner[0]] != [x.co_name for x in inner[1]]:
            return {}
        pairs += zip(*inner, strict=True)
    return found


def _with_choose(code: CodeType) -> CodeType:
    consts = [_with_choose(x) if isinstance(x, CodeType) else choose if x == _MARK else x for x in code.co_consts]
    return code.replace(co_consts=tuple(consts))


@contextmanager
def own_subscripts(functions: Iterable[FunctionType]) -> Iterator[None]:
    """Run these functions from the other code in the block, where their source is known."""
    found = {}
    for function in functions:
        code = originals.get(id(function.__code__), function.__code__)
        file = code.co_filename
        text = "".join(linecache.getlines(file, function.__globals__))
        try:
            other = _others(text, file, code.co_flags & _ANNOTATIONS).get(code) if text else None
        except PermissionError:  # where no code may be made, as in a lesson's practice
            other = None
        if other is not None and other.co_freevars == code.co_freevars:
            found[function] = other
    with _lock:
        for function, other in found.items():
            held = _held.setdefault(function, [0, function.__code__])
            held[0] += 1
            if held[0] == 1:
                originals[id(other)] = function.__code__
                function.__code__ = other
    try:
        yield
    finally:
        with _lock:
            for function in found:
                _held[function][0] -= 1
                if _held[function][0] == 0:
                    other = function.__code__
                    _, function.__code__ = _held.pop(function)
                    if not any(another.__code__ is other for another in _held):  # functions of one def share it
                        del originals[id(other)]
