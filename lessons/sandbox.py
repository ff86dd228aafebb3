"""Run a lesson with one line replaced by a learner's, where it can do no harm: ``python -m lessons.sandbox``.

A request comes as JSON on standard input, the answer goes as JSON to standard output; :mod:`lessons.practice` sends the
one and reads the other. The learner's line may only compute. Time, memory and output are limited, the environment is
empty, and two fences surround this process:

- Python's (PEP 578): from the moment the line runs, only the audit events in ``_COMPUTING`` pass, and reading files in
  the lesson's own folder. So Python's functions import nothing new, start no program, open no connection, send no
  signal, and read, write and remove no other file. Functions of the system that raise no event are removed. The hook
  refers to nothing that Python code can change.
- The kernel's, on Linux with Landlock. It holds even without Python's fence, which code that writes into Python's
  memory (numpy and ctypes can do that) could remove: no file outside that folder is read, none is written, made or
  removed, no program is started, and no TCP connection opened. Landlock applies to the thread that enables it and to
  those started later; threads that the lesson itself has started before have only Python's fence.

Elsewhere there is only Python's fence: a protection against accidents and pranks, not a prison.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import json
import math
import os
import pkgutil
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import BuiltinFunctionType
from typing import Any

from tinygrad_edu import Value, topological_order
from tinygrad_edu.ops import CONSTANT

from .cells import Cell, Lesson, parse
from .runner import Session, runnable

__all__ = [
    "ANSWER",
    "CPU_SECONDS",
    "MEMORY",
    "MOST_SEEN",
    "MOST_VALUES",
    "ask_the_kernel",
    "main",
    "recorder",
    "run_line",
    "snapshot",
    "watched",
    "why_not",
]

CPU_SECONDS = 20
MEMORY = 4 << 30  # bytes of address space; numpy's threads reserve much that they never use
ANSWER = 4 << 20  # bytes that may be written at all
_REFUSAL = "a line to fill in may only compute: no files, programs, connections or new imports"
MOST_SEEN = 50  # how often the value of a line in a loop is recorded
MOST_VALUES = 20_000  # Values in a graph that is differentiated for comparison

#: The audit events of computing; all others are refused. Since Python 3.14, calling the compiler's machine code is one;
#: looking up a function in a library is another, and refused.
_COMPUTING = frozenset(
    ["array.__new__", "builtins.id", "compile", "ctypes.call_function", "exec", "_thread.start_new_thread",
     "_thread.start_joinable_thread", "time.sleep", "gc.get_objects", "sys._getframe", "sys.excepthook",
     "sys.unraisablehook"]
)  # fmt: skip
#: Modules that a line may want to import: they are loaded in advance, because an import reads files.
_LOADED = (
    "bisect", "cmath", "collections", "copy", "dataclasses", "decimal", "fractions", "functools",
    "gpt.data.ngram", "gpt.model", "heapq", "itertools", "math", "numpy", "numpy.ma", "numpy.random", "operator",
    "random", "re", "statistics", "string", "time", "typing",
)  # fmt: skip
#: System modules and the few functions that they keep, which look and change nothing.
_SYSTEM = (
    "nt", "os", "posix", "_imp", "_multiprocessing", "_overlapped", "_posixshmem", "_posixsubprocess", "_signal",
    "_socket", "_winapi", "fcntl", "mmap", "msvcrt", "pwd", "resource", "select", "signal", "socket", "subprocess",
    "winreg",
)  # fmt: skip
_HARMLESS = frozenset(
    ["_exit", "_path_normpath", "acquire_lock", "cpu_count", "fspath", "fstat", "get_terminal_size", "getcwd", "getpid",
     "is_builtin", "is_frozen", "isatty", "lock_held", "lstat", "open", "release_lock", "sched_getaffinity", "stat",
     "strerror", "urandom"]
)  # fmt: skip


def main() -> None:
    """Read one request, write one answer."""
    import viz
    from tinygrad_edu import compiler, jit

    leave = os._exit
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # discard what the learner prints
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    request = json.load(sys.stdin)
    parts = pkgutil.walk_packages(compiler.__path__, f"{compiler.__name__}.")
    for name in (*_LOADED, *(part.name for part in parts)):
        importlib.import_module(name)
    for name in viz.__all__:
        getattr(viz, name)  # viz loads its parts when they are used
    jit(lambda x: x * x)([1.0])  # modules that the compiler loads when it is used
    _limit()
    seen: list[Any] = []
    error = ""
    try:
        _run(request, seen)
    except BaseException as raised:
        error = why_not(raised)
    json.dump({"seen": seen, "error": error}, answer)
    answer.flush()
    leave(0)  # despite threads or exit handlers that the line has started


def _limit() -> None:
    if sys.platform != "win32":
        import resource

        for kind, most in (
            (resource.RLIMIT_CPU, CPU_SECONDS),
            (resource.RLIMIT_AS, MEMORY),
            (resource.RLIMIT_FSIZE, ANSWER),
            (resource.RLIMIT_CORE, 0),
        ):
            hard = resource.getrlimit(kind)[1]
            with contextlib.suppress(ValueError, OSError):  # a system may lack a limit, as macOS lacks that of memory
                resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _run(request: Mapping[str, Any], seen: list[Any]) -> None:
    """Run a lesson up to a cell, then the cell with its line replaced; record the value of the line each time.

    A line in a function that is only called later is recorded in the cells that follow.
    """
    path = Path(request["path"]).absolute()
    lesson = parse(path.read_text(encoding="utf-8"), path)

    def fence() -> None:
        os.environ.clear()
        ask_the_kernel([str(path.parent)])
        _only_compute(str(path.parent))

    run_line(lesson, request["cell"], request["line"], request["target"], request["code"], seen, fence)


def run_line(
    lesson: Lesson,
    of_cell: int,
    line: int,
    target: str,
    code: str,
    seen: list[Any],
    fence: Callable[[], None] = lambda: None,
) -> None:
    """Run a lesson up to the cell of number ``of_cell`` with its ``line`` replaced by ``code``; fill ``seen``.

    ``fence`` is called before that cell.
    """
    session = Session(lesson, fast=True)
    for number, cell in runnable(lesson, solutions="solution" in lesson.cells[of_cell].tags):
        i = number - 1
        if not cell.is_code or (i > of_cell and seen):
            continue
        if i != of_cell:
            session.run(cell)
            continue
        lines = cell.source.split("\n")
        lines[line] = code
        watching = watched(Cell(cell.kind, "\n".join(lines), cell.line, cell.tags), {line: target})
        session.namespace[f"__seen_{line}__"] = recorder(seen)
        fence()
        exec(compile(watching, str(lesson.path), "exec"), session.namespace)


def recorder(seen: list[Any]) -> Callable[[Any], Any]:
    """Return a function that adds a snapshot of its argument to ``seen``, and returns the argument."""

    def look(value: Any) -> Any:
        if len(seen) < MOST_SEEN:
            seen.append(snapshot(value))
        return value

    return look


def watched(cell: Cell, targets: Mapping[int, str]) -> ast.Module:
    """Return a cell that calls ``__seen_<line>__`` with the value of each of these lines, whose targets are given."""
    tree = ast.parse("\n" * (cell.line - 1) + cell.source)  # the line numbers of the file: the compiler reads it
    for line, target in targets.items():
        _Watch(cell.line + line, target, f"__seen_{line}__").visit(tree)
    return ast.fix_missing_locations(tree)


def why_not(raised: BaseException) -> str:
    """Say in a sentence for the learner why a line ended with an error."""
    if isinstance(raised, SystemExit):
        return "this line ends the whole program"
    if isinstance(raised, MemoryError):
        return "this needs more memory than there is"
    if isinstance(raised, RecursionError):
        return "RecursionError: it calls itself without an end"
    return f"{type(raised).__name__}: {str(raised)[:300]}"


def _only_compute(folder: str) -> None:
    """Raise Python's fence: from here on only the events of computing, and reading in ``folder``, are allowed.

    Everything the hook needs is in its default arguments: no module, closure or builtin that the learner's code could
    replace. The compiler reads frames, code and the list of all objects, so the learner's code may, too, and can find
    the hook; but changing a function, reading the hook's frame or adding a hook raises events that are refused.
    """

    def refuse(*_: Any, **__: Any) -> Any:
        raise PermissionError(_REFUSAL)

    for module in [sys.modules[name] for name in _SYSTEM if name in sys.modules]:
        for name, value in list(vars(module).items()):
            if type(value) is BuiltinFunctionType and name not in _HARMLESS:
                setattr(module, name, refuse)

    def guard(
        event: str,
        arguments: tuple[Any, ...],
        computing: frozenset[str] = _COMPUTING,
        read: tuple[str, ...] = ("__code__", "__defaults__", "__kwdefaults__", "f_code"),
        folder: str = os.path.join(folder, ""),
        reading: tuple[int, ...] = (
            os.O_RDONLY,
            os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0),
        ),
        exactly: type = type,
        text: type = str,
        number: type = int,
        refused: type[PermissionError] = PermissionError,
        because: str = _REFUSAL,
    ) -> None:
        if event in computing or (event == "object.__getattr__" and arguments[1] in read):
            return
        if event == "open":
            path, _, flags = arguments
            # Exactly these types: a method of a learner's type would run in here.
            exact = exactly(path) is text and exactly(flags) is number
            if exact and flags in reading and path.startswith(folder) and ".." not in path:
                return
        raise refused(because)

    sys.addaudithook(guard)


def ask_the_kernel(folders: Sequence[str]) -> bool:
    """Forbid this process, for good and with Linux's Landlock, programs, TCP and all files except reading in
    ``folders``.

    This applies to the calling thread and what it starts, not to threads already running. Returns whether the system
    supports it.
    """
    if sys.platform != "linux":
        return False
    import ctypes

    system = ctypes.CDLL(None, use_errno=True)

    def call(number: int, *arguments: Any) -> int:
        return int(system.syscall(*[ctypes.c_long(x) if isinstance(x, int) else x for x in (number, *arguments)]))

    create, add, restrict = 444, 445, 446  # the same on every architecture but Alpha
    version = call(create, None, 0, 1)
    if version < 1:
        return False
    read_file, read_folder = 1 << 2, 1 << 3
    files = (1 << (13, 14, 15, 15, 16)[min(version, 5) - 1]) - 1  # every right that this version knows
    rights = struct.pack(
        "QQQ", files, 3 if version >= 4 else 0, 3 if version >= 6 else 0
    )  # files, TCP, other processes
    rules = call(create, rights, len(rights), 0)
    for folder in folders:
        with contextlib.suppress(OSError):  # a part of the search path may not exist
            opened = os.open(folder, os.O_RDONLY)
            allowed = read_file | read_folder if os.path.isdir(folder) else read_file
            call(add, rules, 1, struct.pack("=Qi", allowed, opened), 0)
            os.close(opened)
    no_new_privileges = 38
    fenced = system.prctl(no_new_privileges, 1, 0, 0, 0) == 0 and call(restrict, rules, 0) == 0
    os.close(rules)
    return fenced


class _Watch(ast.NodeTransformer):
    """Records what the statement on a line has set, or its value."""

    def __init__(self, line: int, target: str, name: str) -> None:
        self.line, self.target, self.name = line, target, name

    def visit(self, node: ast.AST) -> Any:
        """Return the statement on the line with a record of its value; everything else unchanged."""
        if getattr(node, "lineno", None) != self.line or not isinstance(
            node, (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr, ast.Return)
        ):
            return self.generic_visit(node)
        if self.target:
            return [node, ast.copy_location(ast.parse(f"{self.name}({self.target})").body[0], node)]
        if isinstance(node, (ast.Expr, ast.Return)) and node.value is not None:
            node.value = ast.Call(ast.Name(self.name, ast.Load()), [node.value], [])
        return node


def snapshot(value: Any, depth: int = 4) -> Any:
    """Describe a value as JSON: numbers as numbers, and for a Value also how it depends on its leaves.

    >>> a = Value(2.0)
    >>> snapshot([a * 3.0, 1.5])
    [{'data': '6.0', 'leaves': [['2.0', '3.0']]}, '1.5']
    """
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, (int, float)) or (type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0):
        return repr(float(value))  # as text: JSON has no infinity
    if isinstance(value, str):
        return {"text": value[:10_000]}
    if isinstance(value, Value):
        return {"data": repr(float(value.data)), "leaves": _leaves(value)}
    if depth == 0:
        return {"kind": type(value).__name__}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {"map": [[repr(key)[:100], snapshot(item, depth - 1)] for key, item in list(value.items())[:1000]]}
    if isinstance(value, Sequence):
        return [snapshot(item, depth - 1) for item in value[:1000]]
    if hasattr(value, "parameters"):
        return [snapshot(item, 0) for item in value.parameters()]
    inside = {name: snapshot(item, depth - 1) for name, item in sorted(getattr(value, "__dict__", {}).items())}
    return {"kind": type(value).__name__, "inside": inside}


def _leaves(root: Value) -> list[list[str]]:
    """Return data and gradient of every leaf that ``root`` depends on; the gradients of the Values stay as they are."""
    order = topological_order(root)
    if len(order) > MOST_VALUES:
        return []
    gradients = dict.fromkeys(order, 0.0)
    gradients[root] = 1.0
    for value in reversed(order):
        if value.inputs and value.op is not None and value.op.derivatives is not None:
            rates = value.op.derivatives(*[x.data for x in value.inputs], value.data)
            for x, rate in zip(value.inputs, rates, strict=True):
                gradients[x] += rate * gradients[value] if rate and x.op is not CONSTANT else 0.0
    leaves = [(float(v.data), g) for v, g in gradients.items() if not v.inputs and v.op is not CONSTANT and g]
    return [[repr(data), repr(gradient)] for data, gradient in sorted(leaves) if not math.isnan(gradient)]


if __name__ == "__main__":
    main()
