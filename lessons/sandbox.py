"""A lesson with one line replaced by a learner's, run where it can do no harm: ``python -m lessons.sandbox``.

A request comes as JSON on the standard input, the answer goes as JSON to the standard output; :mod:`lessons.practice`
sends the one and reads the other. What the learner's line may do is compute. Time, memory and output are limited, and
from the moment it runs, this process starts no program, opens no connection, and writes and removes no file (by an
audit hook, PEP 578: a fence against accidents and pranks, not a prison).
"""

from __future__ import annotations

import ast
import contextlib
import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tinygrad_edu import Value, topological_order
from tinygrad_edu.ops import CONSTANT

from .cells import parse
from .runner import Session, runnable

CPU_SECONDS = 20
MEMORY = 4 << 30  # bytes of address space; numpy's threads reserve much that they never use
ANSWER = 4 << 20  # bytes that may be written at all
MOST_SEEN = 50  # how often a line in a loop is looked at
MOST_VALUES = 20_000  # in a graph that is differentiated to compare it

_FORBIDDEN = (
    "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.remove", "os.rename", "os.rmdir", "os.mkdir",
    "os.truncate", "os.chmod", "os.chown", "os.link", "os.symlink", "os.kill", "os.startfile", "subprocess.", "shutil.",
    "socket.", "ctypes.", "webbrowser.", "signal.", "winreg.", "pty.",
)  # fmt: skip


def main() -> None:
    """Read one request, write one answer."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what the learner prints goes nowhere
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    request = json.load(sys.stdin)
    _limit()
    seen: list[Any] = []
    error = ""
    try:
        _run(request, seen)
    except SystemExit:
        error = "this line ends the whole program"
    except MemoryError:
        error = "this needs more memory than there is"
    except RecursionError:
        error = "RecursionError: it calls itself without an end"
    except BaseException as raised:
        error = f"{type(raised).__name__}: {str(raised)[:300]}"
    json.dump({"seen": seen, "error": error}, answer)
    answer.flush()
    os._exit(0)  # whatever threads or exit handlers the line has left behind


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
            with contextlib.suppress(ValueError, OSError):  # a system may not know a limit, as macOS does not memory's
                resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _run(request: Mapping[str, Any], seen: list[Any]) -> None:
    """Run a lesson up to a cell, and the cell with its line replaced; note what the line is worth each time.

    A line in a function that is called later only is looked at in the cells that follow.
    """
    path = Path(request["path"])
    lesson = parse(path.read_text(encoding="utf-8"), path)
    session = Session(lesson, fast=True)
    for number, cell in runnable(lesson, solutions="solution" in lesson.cells[request["cell"]].tags):
        i = number - 1
        if not cell.is_code or (i > request["cell"] and seen):
            continue
        if i != request["cell"]:
            session.run(cell)
            continue
        lines = cell.source.split("\n")
        lines[request["line"]] = request["code"]
        tree = ast.parse("\n".join(lines))
        _Watch(request["line"] + 1, request["target"]).visit(tree)

        def look(value: Any) -> Any:
            if len(seen) < MOST_SEEN:
                seen.append(snapshot(value))
            return value

        session.namespace["__seen__"] = look
        sys.addaudithook(_only_compute)
        exec(compile(ast.fix_missing_locations(tree), str(path), "exec"), session.namespace)


def _only_compute(event: str, arguments: tuple[Any, ...]) -> None:
    writes = event == "open" and (
        any(sign in str(arguments[1]) for sign in "wax+")
        or bool((arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    )
    if writes or event.startswith(_FORBIDDEN):
        raise PermissionError("a line to fill in may only compute: no files, programs or connections")


class _Watch(ast.NodeTransformer):
    """Looks at what the statement on a line has set, or is worth."""

    def __init__(self, line: int, target: str) -> None:
        self.line, self.target = line, target

    def visit(self, node: ast.AST) -> Any:
        """The statement on the line with a look at it; everything else as it is."""
        if getattr(node, "lineno", None) != self.line or not isinstance(
            node, (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr, ast.Return)
        ):
            return self.generic_visit(node)
        if self.target:
            return [node, ast.copy_location(ast.parse(f"__seen__({self.target})").body[0], node)]
        if isinstance(node, (ast.Expr, ast.Return)) and node.value is not None:
            node.value = ast.Call(ast.Name("__seen__", ast.Load()), [node.value], [])
        return node


def snapshot(value: Any, depth: int = 4) -> Any:
    """What a value is worth, as JSON: numbers as numbers, and of a Value also how it depends on its leaves.

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
    """Data and gradient of every leaf that ``root`` depends on; the gradients that the Values hold stay as they are."""
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
