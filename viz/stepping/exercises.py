"""Exercises in backpropagation: random expressions of a chosen difficulty, and worksheets with answers.

The same seed gives the same exercises on every machine. Levels:

1. sums and products of whole numbers, every name used once;
2. names used several times, so that gradients accumulate; differences and squares;
3. functions as well: tanh, sigmoid, relu, exp, and quotients.
"""

from __future__ import annotations

import html
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tinygrad_edu.step_log import Chain, StepLog, record, written_sum

from .. import expressions, style
from ..errors import DrawingError, ExpressionError
from ..rendering.formats import write_as
from ..rendering.templates import asset, page
from . import document_html, document_markdown

LEVELS = (1, 2, 3)
_NAMES = "abcdf"  # e is reserved for the reader's own use
_LARGEST = 100.0  # no number on the way is larger: the exercises are for pencil and paper


@dataclass(frozen=True)
class Exercise:
    """An expression with numbers for its inputs.

    Attributes:
        text: the expression in the language of :mod:`viz.expressions`, one or two operations per line, the result last.
        numbers: a number for each input.
    """

    text: str
    numbers: dict[str, float]

    @property
    def given(self) -> str:
        """The numbers as text: ``a = 2, b = −3``."""
        return ", ".join(f"{name} = {style.number(number)}" for name, number in self.numbers.items())

    def log(self) -> StepLog:
        """Its step log, which answers every question about it."""
        return record(expressions.compute(self.text, self.numbers))


def exercise(level: int = 1, seed: int = 0) -> Exercise:
    """Make a random exercise.

    Args:
        level: 1, 2 or 3, see above.
        seed: the same seed gives the same exercise.

    >>> exercise(1, seed=0) == exercise(1, seed=0)
    True
    """
    if level not in LEVELS:
        raise DrawingError(f"unknown level: {level!r} (must be one of {', '.join(map(str, LEVELS))})")
    rng = random.Random(f"{level} {seed}")
    while True:
        found = _attempt(rng, level)
        if _is_pleasant(found, level):
            return found


def _attempt(rng: random.Random, level: int) -> Exercise:
    count = rng.randint(3, 4)
    names = list(_NAMES[:count])
    lines: list[str] = []
    available = list(names)
    unused = list(names)
    results = ["p", "q", "r", "s", "t"]
    while len(unused) > 1 or len(lines) < (2 if level == 1 else 3):
        if len(lines) == len(results):
            break
        first = unused.pop(rng.randrange(len(unused)))
        if level > 1 and (not unused or rng.random() < 0.4):
            second = rng.choice([name for name in available if name != first] or [first])
        elif unused:
            second = unused.pop(rng.randrange(len(unused)))
        else:
            break
        if second in unused:
            unused.remove(second)
        out = results[len(lines)]
        lines.append(f"{out} = {_formula(rng, level, first, second)}")
        available.append(out)
        unused.append(out)
    last = lines.pop().partition(" = ")[2]
    numbers = {name: float(rng.choice([-5, -4, -3, -2, -1, 1, 2, 3, 4, 5])) for name in names}
    if level == 3:
        numbers = {name: number / 2.0 for name, number in numbers.items()}
    return Exercise("\n".join([*lines, f"L = {last}"]), numbers)


def _formula(rng: random.Random, level: int, a: str, b: str) -> str:
    choices = [f"{a} * {b}", f"{a} + {b}"]
    if level >= 2:
        choices += [f"{a} - {b}", f"{a} * {b} + {a}", f"{a}**2 + {b}"]
    if level == 3:
        function = rng.choice(["tanh", "sigmoid", "relu", "exp"])
        choices = [*choices[:3], f"{function}({a} + {b})", f"{function}({a} * {b})", f"{a} / {b}"]
    return rng.choice(choices)


def _is_pleasant(found: Exercise, level: int) -> bool:
    """Return whether it can be done by hand and teaches what its level promises."""
    try:
        log = found.log()
    except (ExpressionError, ArithmeticError):
        return False
    gradients = [g for node, g in zip(log.nodes, log.gradients, strict=True) if node.is_leaf]
    if {node.name for node in log.nodes if node.is_leaf} != set(found.numbers) or not 2 <= log.first_backward <= 8:
        return False
    used_again = any(len(log.terms(i)) > 1 for i in range(len(log.nodes)))
    operations = {node.op.name for node in log.nodes if node.op is not None}
    functions = bool(operations & {"tanh", "sigmoid", "relu", "exp", "div"})
    products = any(isinstance(step, Chain) and step.local != 1.0 for step in log.steps)
    numbers = [node.data for node in log.nodes] + [g or 0.0 for g in gradients]
    return (
        products
        and used_again == (level > 1)
        and functions == (level == 3)
        and all(math.isfinite(x) and abs(x) <= _LARGEST for x in numbers)
        and all(g for g in gradients)
    )


# --- worksheets -------------------------------------------------------------------------------------------------------


def worksheet(exercises: Sequence[Exercise], title: str = "Backpropagation by hand") -> Worksheet:
    """Make a worksheet of these exercises, with an answer sheet."""
    return Worksheet(tuple(exercises), title)


@dataclass(frozen=True)
class Worksheet:
    """Exercises to print: tables to fill in, and the answers on a separate page."""

    exercises: tuple[Exercise, ...]
    title: str

    def __str__(self) -> str:
        return self.markdown()

    def __repr__(self) -> str:
        return f"Worksheet({len(self.exercises)} exercises; print() shows it; .save('sheet.html') writes it)"

    def save(self, path: str | Path) -> str:
        """Write it as ``.html``, to print from a browser, or as ``.md``. Returns the path."""
        return write_as(path, {".html": self.html, ".md": self.markdown})

    def markdown(self) -> str:
        """The text of the ``.md`` file."""
        parts = [f"# {self.title}", "", _TASK, ""]
        for number, each in enumerate(self.exercises, 1):
            parts += [f"## {number}", "", *_code(each), "", *document_markdown.table(_rows(each.log(), False)), ""]
        parts += ["# Answers", ""]
        for number, each in enumerate(self.exercises, 1):
            log = each.log()
            parts += [f"## {number}", "", *document_markdown.table(_rows(log, True)), ""]
            parts += [f"- {line}" for line in _working(log)]
            parts.append("")
        return "\n".join(parts)

    def html(self) -> str:
        """The text of the ``.html`` file."""
        task = "".join(self._section(n, each, False) for n, each in enumerate(self.exercises, 1))
        answers = "".join(self._section(n, each, True) for n, each in enumerate(self.exercises, 1))
        parts = {"TASK": html.escape(_TASK), "EXERCISES": task, "ANSWERS": answers}
        return page("worksheet.html", self.title, asset("worksheet.css"), parts)

    def _section(self, number: int, each: Exercise, answers: bool) -> str:
        log = each.log()
        text = html.escape(f"{each.text}\n{each.given}")
        below = ""
        if answers:
            below = "<ol>" + "".join(f"<li>{html.escape(line)}</li>" for line in _working(log)) + "</ol>"
        before = "" if answers else f"<pre>{text}</pre>"
        return f"<section><h2>{number}</h2>{before}{document_html.table(_rows(log, answers))}{below}</section>"


_TASK = (
    "Compute every value from top to bottom, then every gradient of L from bottom to top. "
    "A name that is used more than once collects one term for each use."
)


def _code(each: Exercise) -> list[str]:
    return ["```", *each.text.split("\n"), each.given, "```"]


def _rows(log: StepLog, answers: bool) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("", "formula", "value", "gradient: terms", "gradient")]
    for i, node in enumerate(log.nodes):
        if node.is_constant:
            continue
        gradient = log.gradients[i]
        terms = written_sum([step.contribution for step in log.terms(i)], style.number)
        known = node.is_leaf or answers
        rows.append(
            (
                node.name,
                log.formula(i) if node.inputs else "given",
                style.number(node.data) if known else "",
                terms if answers else "",
                ("0" if gradient is None else style.number(gradient)) if answers else "",
            )
        )
    return rows


def _working(log: StepLog) -> list[str]:
    return [log.sentence(step, style.number) for step in log.steps]
