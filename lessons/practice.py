"""Practicing: lines of a lesson are left blank, and a learner's answer is judged by its value, not its text.

The lesson runs twice, once with the line of the lesson and once with the learner's, each in a separate process
(:mod:`lessons.sandbox`); then what the line has set, or what it is worth, is compared. For a Value that is the number
and how it depends on every leaf. So ``b * a`` is as good as ``a * b``, and −6 is not.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from typing import Any

from tinygrad_edu.errors import brief

from .cells import Lesson
from .errors import LessonError

__all__ = ["BLANK", "SECONDS", "Blank", "Verdict", "blanks", "check", "difference", "judge"]

SECONDS = 30.0  # that a line may take together with all that comes before it
BLANK = "____"


@brief
@dataclass(frozen=True)
class Blank:
    """A line to fill in.

    Attributes:
        cell, line: the number of the cell in the lesson and of the line in the cell, both from 0.
        code: the line of the lesson.
        hint: a hint for the learner.
    """

    cell: int
    line: int
    code: str
    hint: str

    @property
    def shown(self) -> str:
        """The line with its important part left blank.

        >>> Blank(0, 0, "    w.data -= 0.1 * w.grad", "").shown
        '    w.data -= ____'
        """
        return self._filled(BLANK)

    @property
    def target(self) -> str:
        """The target of the assignment; empty for an expression."""
        statement = self._statement
        if isinstance(statement, ast.Assign):
            return ast.unparse(statement.targets[0])
        return ast.unparse(statement.target) if isinstance(statement, (ast.AugAssign, ast.AnnAssign)) else ""

    @property
    def _statement(self) -> ast.stmt:
        return ast.parse(self.code.strip()).body[0]

    def _filled(self, words: str) -> str:
        """Return the line with ``words`` instead of its expression."""
        text = self.code.strip()
        value = getattr(self._statement, "value", None)
        assert value is not None, "a key line assigns something or is an expression; a test holds lessons to it"
        start = len(text.encode()[: value.col_offset].decode())
        # Brackets around the whole expression belong to it, but not to its syntax tree.
        return " " * (len(self.code) - len(self.code.lstrip())) + text[:start].rstrip("(") + words

    def with_answer(self, typed: str) -> str:
        """Complete the line with what the learner typed, which fills the blank or is the whole line.

        Raises ValueError, with a sentence for the learner, if it is not one statement.
        """
        typed = typed.strip()
        if "\n" in typed or "\r" in typed:
            raise ValueError("one line, please")
        try:
            tree = ast.parse(typed)
        except SyntaxError as error:
            raise ValueError(f"Python cannot read this: {error.msg}") from None
        except (ValueError, MemoryError, RecursionError):  # a NUL byte; thousands of brackets
            raise ValueError("Python cannot read this") from None
        if len(tree.body) != 1:
            raise ValueError("write one statement" if tree.body else "write what belongs in the blank")
        statement = tree.body[0]
        indent = " " * (len(self.code) - len(self.code.lstrip()))
        if isinstance(statement, ast.Expr):
            return self._filled(typed)
        if isinstance(statement, (ast.Assign, ast.AugAssign, ast.AnnAssign)) and self.target:
            return indent + typed
        if isinstance(statement, ast.Return) and isinstance(self._statement, ast.Return) and statement.value:
            return indent + typed
        raise ValueError(f"this line has the form {self.shown.strip()}")


@brief
@dataclass(frozen=True)
class Verdict:
    """Whether an answer is right, with a sentence for the learner."""

    right: bool
    message: str


def blanks(lesson: Lesson, cell: int) -> list[Blank]:
    """Return the lines to fill in of one cell."""
    return [Blank(cell, line, code, hint) for line, code, hint in lesson.cells[cell].keys]


def check(lesson: Lesson, blank: Blank, typed: str) -> Verdict:
    """Judge an answer by its value. It takes at most a minute, and raises nothing for anything a learner can type.

    Raises LessonError if the lesson's own line does not work.
    """
    try:
        code = blank.with_answer(typed)
    except ValueError as error:
        return Verdict(False, str(error))
    return judge(_wanted(str(lesson.path), blank), _outcome(str(lesson.path), blank, code))


def judge(wanted: dict[str, Any], given: dict[str, Any]) -> Verdict:
    """Compare what the lesson's line and the learner's line were seen to do."""
    if given["error"] and not given["seen"]:
        return Verdict(False, given["error"])
    if not given["seen"]:
        return Verdict(False, "the line was never reached")
    if len(given["seen"]) != len(wanted["seen"]):
        return Verdict(False, given["error"] or "something changed how often this line is run")
    for right, got in zip(wanted["seen"], given["seen"], strict=True):
        reason = difference(right, got)
        if reason:
            return Verdict(False, reason)
    return Verdict(not given["error"], given["error"] or "right")


@functools.cache
def _wanted(path: str, blank: Blank) -> dict[str, Any]:
    outcome = _outcome(path, blank, blank.code)
    if not outcome["seen"] or outcome["error"]:
        raise LessonError(f"{path}: the line {blank.code.strip()!r} cannot be practiced: {outcome['error']}")
    return outcome


def _outcome(path: str, blank: Blank, code: str) -> dict[str, Any]:
    """Return the result of a line in the sandbox: ``seen``, its value each time; ``error``, empty if there was none."""
    request = {"path": path, "cell": blank.cell, "line": blank.line, "target": blank.target, "code": code}
    # Pass on only the variables that Python itself needs; the sandbox then clears those, too.
    environment = {name: os.environ[name] for name in ("SYSTEMROOT", "LD_LIBRARY_PATH") if name in os.environ}
    environment |= {"PYTHONPATH": os.pathsep.join(p or os.getcwd() for p in sys.path)}
    environment |= {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "OPENBLAS_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as answer:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "lessons.sandbox"],
            stdin=subprocess.PIPE,
            stdout=answer,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        try:
            child.communicate(json.dumps(request).encode(), timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return {"seen": [], "error": "this takes too long; is there a loop without an end?"}
        finally:
            _end(child)
        answer.seek(0)
        try:
            found = json.loads(answer.read())
            return {"seen": list(found["seen"]), "error": str(found["error"])}
        except (ValueError, KeyError, TypeError, RecursionError):
            if sys.platform != "win32" and child.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
                return {"seen": [], "error": "this takes too long; is there a loop without an end?"}
            return {"seen": [], "error": "this line made Python itself stop"}


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill the sandbox and everything it has started."""
    with contextlib.suppress(OSError):
        if sys.platform == "win32":
            child.kill()
        else:
            os.killpg(child.pid, signal.SIGKILL)
    child.wait()


# --- comparing --------------------------------------------------------------------------------------------------------


def difference(right: Any, got: Any) -> str:
    """Say why a snapshot is not the right one, in words for the learner; empty if the values are equal.

    >>> difference("2.0", "2.0000000001"), difference("2.0", "3.0")
    ('', 'it is 3.0; that is not the number')
    """
    if isinstance(right, str) and isinstance(got, str):
        return "" if _close(right, got) else f"it is {got}; that is not the number"
    if _is_value(right) and _is_value(got):
        if not _close(right["data"], got["data"]):
            return f"it is {got['data']}; that is not the number"
        left = list(got["leaves"])
        for data, gradient in right["leaves"]:
            found = next((x for x in left if _close(data, x[0]) and _close(gradient, x[1])), None)
            if found is None:
                return "the number is right, but it must be computed from the Values, so that gradients can flow"
            left.remove(found)
        return ""
    if _is_value(right) and isinstance(got, str):
        return "this is a plain number; it must be computed from the Values, so that gradients can flow"
    if isinstance(right, str) and _is_value(got):
        return "this is a Value; a plain number is wanted (.data)"
    if isinstance(right, list) and isinstance(got, list):
        if len(right) != len(got):
            return f"it has {len(got)} entries, not {len(right)}"
        return next((why for a, b in zip(right, got, strict=True) if (why := difference(a, b))), "")
    if isinstance(right, dict) and isinstance(got, dict) and right.keys() == got.keys():
        if "map" in right:
            same = sorted(map(str, (key for key, _ in right["map"]))) == sorted(
                map(str, (key for key, _ in got["map"]))
            )
            pairs = dict(got["map"])
            reasons = (difference(item, pairs[key]) for key, item in right["map"]) if same else iter(["other keys"])
            return next((why for why in reasons if why), "")
        if "inside" in right and right["kind"] == got["kind"]:
            return difference({"map": list(right["inside"].items())}, {"map": list(got["inside"].items())})
    return "" if right == got else "that is something else"


def _is_value(snapshot: Any) -> bool:
    return isinstance(snapshot, dict) and "leaves" in snapshot


def _close(a: str, b: str) -> bool:
    x, y = float(a), float(b)
    return math.isclose(x, y, rel_tol=1e-6, abs_tol=1e-9) or (math.isnan(x) and math.isnan(y))
