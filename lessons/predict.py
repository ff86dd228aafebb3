"""The questions of a **Predict** stop, their right answers, and whether a learner's answer is one of them.

In a lesson they follow the paragraph, one each line; the right answer is an expression in the lesson's own names,
evaluated when the cell that follows has run, so it is never typed twice::

    # **Predict.** `b = a + a`, and `a` is 3. What is `∂b/∂a`? And is `b` even?
    #
    # answer ∂b/∂a: a.grad
    # answer mean of b: sum(samples) / 50 ± 0.2
    # answer b is: b.data % 2 == 0 | even | odd

A count must be exact; any other number may be off by half a percent, or by what stands after ``±``. A label with ``%``,
``percent`` or ``of a hundred`` asks for a percentage, which may be typed as ``88`` or as ``88 %``. With options, the
expression is the text of the right one, or its number from 0, or a condition that chooses between the first and the
second. ``answer: open`` has no right answer: thinking is enough.
"""

from __future__ import annotations

import ast
import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tinygrad_edu import Value
from tinygrad_edu.errors import brief
from viz import style
from viz.errors import ExpressionError
from viz.expressions import compute
from viz.stepping import answers
from viz.stepping.answers import Verdict

__all__ = [
    "MARK",
    "NO_NUMBER",
    "OPEN",
    "TRIES",
    "Question",
    "Right",
    "find",
    "judge",
    "letters",
    "option",
    "read",
    "right",
    "same",
    "split",
    "unreadable",
]

MARK = "**Predict.**"
OPEN = "open"
TRIES = 2
NO_NUMBER = "type a number, such as 0.5, 1/3 or 12 %"
_LINE = re.compile(r"answer\b ?(.*?):(?: |$)(.*)")


@brief
@dataclass(frozen=True)
class Question:
    """One thing to predict.

    Attributes:
        label: what is asked for; empty if the text says it all.
        code: the right answer, as an expression in the lesson's names.
        options: what to choose from; empty if a number is asked for.
        within: how far a number may be off; None for half a percent, or nothing for a count.
    """

    label: str
    code: str
    options: tuple[str, ...] = ()
    within: float | None = None

    @property
    def in_percent(self) -> bool:
        """Whether a percentage is asked for, so that ``88 %`` means 88."""
        return re.search(r"%|\bpercent\b|of a hundred", self.label) is not None


@brief
@dataclass(frozen=True)
class Right:
    """The right answer of a question: a number, or the number of an option, from 0."""

    question: Question
    value: float

    @property
    def words(self) -> str:
        """The answer as text, such as ``"−7.286"`` or ``"a little less"``."""
        options = self.question.options
        if options:
            return options[int(self.value)]
        return f"{self.value:,}" if isinstance(self.value, int) else style.number(self.value)

    @property
    def within(self) -> float:
        """How far a number may be off."""
        if self.question.within is not None:
            return self.question.within
        if isinstance(self.value, int):
            return 0.0  # a count
        return max(answers.TOLERANCE * abs(self.value), answers.NEAR_ZERO)


def split(text: str) -> tuple[str, str]:
    """Split the text of a cell into what is shown and the lines with the answers.

    >>> split("**Predict.** How many?\\n\\nanswer: len(x)")
    ('**Predict.** How many?', 'answer: len(x)')
    """
    lines = text.split("\n")
    first = next((i for i, line in enumerate(lines) if _LINE.match(line)), None)
    if MARK not in text or first is None:
        return text, ""
    return "\n".join(lines[:first]).rstrip("\n"), "\n".join(lines[first:])


def find(text: str) -> tuple[Question, ...]:
    """Read the lines with the answers. Raises ValueError, with a sentence, for what cannot be read.

    >>> for question in find("answer mean: sum(x) / 3 ± 0.1\\nanswer it is: x[0] > 0 | positive\\n  | negative"):
    ...     print(question.label, question.code, question.options, question.within, sep=", ")
    mean, sum(x) / 3, (), 0.1
    it is, x[0] > 0, ('positive', 'negative'), None
    """
    joined: list[str] = []
    for line in filter(str.strip, text.split("\n")):
        if _LINE.match(line):
            joined.append(line)
        else:
            joined[-1] += f" {line.strip()}"
    if joined == [f"answer: {OPEN}"]:
        return ()
    return tuple(_question(line) for line in joined)


def _question(line: str) -> Question:
    found = _LINE.match(line)
    assert found is not None, "the lines were joined by it"
    code, *options = (part.strip() for part in found[2].split(" | "))
    code, _, within = (part.strip() for part in code.partition("±"))
    try:
        ast.parse(code, mode="eval")
        distance = float(within) if within else None
    except (SyntaxError, ValueError):
        raise ValueError(f"expected an expression after {line.partition(': ')[0]!r}, got {found[2]!r:.80}") from None
    if len(options) == 1 or len(set(map(str.casefold, options))) != len(options) or (options and distance is not None):
        raise ValueError(f"expected at least two different options without ±, got {found[2]!r:.80}")
    return Question(found[1].strip(), code, tuple(options), distance)


def right(question: Question, namespace: dict[str, Any]) -> Right:
    """Evaluate the right answer; raises ValueError if it is neither a number nor one of the options."""
    value = eval(question.code, namespace)
    if isinstance(value, Value):
        value = value.data
    if not question.options:
        return Right(question, value if type(value) is int else float(value))
    if isinstance(value, str):
        value = question.options.index(value) if value in question.options else -1
    elif isinstance(value, bool) or type(value).__name__ == "bool":  # numpy's, too
        value = 0 if value else 1
    if not 0 <= int(value) < len(question.options):
        raise ValueError(f"{question.code!r} chooses none of {', '.join(question.options)}")
    return Right(question, int(value))


def judge(answer: Right, typed: str) -> Verdict:
    """Judge what a learner typed: a number, or an option, by its text, its first words or its letter."""
    question = answer.question
    if reason := unreadable(question, typed):
        return Verdict(False, False, reason)
    if question.options:
        chosen = option(question.options, typed)
        if chosen == answer.value:
            return Verdict(True, True, f"right: {answer.words}")
        return Verdict(False, True, f"“{question.options[chosen or 0]}” is not it")
    number = read(typed)
    assert number is not None, "it could be read"
    if question.in_percent and "%" in typed:
        number *= 100
    if same(number, answer):
        return Verdict(True, True, f"right: {answer.words}")
    return Verdict(False, True, f"{typed.strip()} is not it")


def unreadable(question: Question, typed: str) -> str:
    """Return what to type instead, if this is neither a number nor an option, whichever is asked for; else nothing.

    >>> unreadable(Question("it is", "x", ("up", "down")), "u"), unreadable(Question("mean", "x"), "a half")
    ('', 'type a number, such as 0.5, 1/3 or 12 %')
    """
    if question.options:
        is_one = option(question.options, typed) is not None
        return "" if is_one else f"choose one of {', '.join(letters(question.options))}"
    return "" if read(typed) is not None else NO_NUMBER


def same(number: float, answer: Right) -> bool:
    """Whether a number counts as the right one."""
    if not math.isfinite(answer.value):
        return str(number) == str(answer.value)
    return abs(number - answer.value) <= answer.within * (1 + 1e-9)


def letters(options: Sequence[str]) -> list[str]:
    """The options with letters to type.

    >>> letters(["up", "down"])
    ['A up', 'B down']
    """
    return [f"{chr(ord('A') + i)} {words}" for i, words in enumerate(options)]


def option(options: Sequence[str], typed: str) -> int | None:
    """The number of the option that was typed: its text, its letter, or the beginning of its text.

    >>> [option(["2", "4 or more", "a few"], typed) for typed in ("2", "4", "c", "A", "7")]
    [0, 1, 2, 0, None]
    """
    wanted = typed.strip().casefold()
    texts = [words.casefold() for words in options]
    if wanted in texts:
        return texts.index(wanted)
    if len(wanted) == 1 and 0 <= ord(wanted) - ord("a") < len(options):
        return ord(wanted) - ord("a")
    found = [i for i, words in enumerate(texts) if wanted and words.startswith(wanted)]
    return found[0] if len(found) == 1 else None


_THOUSANDS = re.compile(r"(?<![\d.])[1-9]\d{0,2}(?:,\d{3})+(?![\d,])")
_FRACTION = re.compile("[¼-¾⅐-⅞]")
_WORDS = {"e", "exp", "log", "sqrt", "tanh"}
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")


def read(typed: str) -> float | None:
    """The number that was typed, also as ``1/3``, ``½``, ``12 %``, ``1,024``, ``0,5``, ``2^10``, ``ln 2``, ``x = 4``.

    >>> [read(text) for text in ("−1/4", "½", "12 %", "10,496", "0,5", "2^10", "ln(1)", "x = 4", "many")]
    [-0.25, 0.5, 0.12, 10496.0, 0.5, 1024.0, 0.0, 4.0, None]
    """
    text = typed.rpartition("=")[2].strip().lower()
    text = re.sub(r"[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+", lambda found: f"**{found[0].translate(_SUPERSCRIPTS)}", text)
    text = _FRACTION.sub(lambda found: f"({unicodedata.normalize('NFKC', found[0]).replace('⁄', '/')})", text)
    text = _THOUSANDS.sub(lambda found: found[0].replace(",", ""), text)
    text = re.sub(r"(\d),(\d)", r"\1.\2", text).replace("^", "**").replace("%", "/100").replace("–", "-")
    text = re.sub(r"(?<![\d.])0+(?=\d)", "", text)
    text = re.sub(r"\bln\b\s*(\d[\d.]*)?", lambda found: f"log({found[1]})" if found[1] else "log", text)
    text = re.sub(r"√\s*(\d[\d.]*)?", lambda found: f"sqrt({found[1]})" if found[1] else "sqrt", text)
    if text in ("nan", "inf", "infinity", "∞"):
        return float("inf" if text == "∞" else text)
    if re.search(r"\d[_a-df-z]|[;#\n]", text) or {*re.findall("[a-z]+", text)} - _WORDS:  # only what a page reads, too
        return None
    try:
        number = float(compute(text, {}).data)
    except (ExpressionError, ArithmeticError, ValueError):
        return None
    return number if math.isfinite(number) else None
