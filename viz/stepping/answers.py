"""Predict, then reveal: check whether a learner's number is the next one, and if not, which term is missing.

The stepper in the terminal uses this file; the page does the same in JavaScript, and a test keeps the two equal.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

from tinygrad_edu.ops import DIV, POW, SUB
from tinygrad_edu.step_log import Forward, Seed, Step, StepLog

from .. import style
from ..errors import ExpressionError
from ..expressions import FUNCTIONS, parse

#: An answer is right when it is this close, relatively: half a percent, so that 0.71 is right for 0.7071.
TOLERANCE = 5e-3
#: … or this close absolutely, for an expected 0.
NEAR_ZERO = 1e-6


@dataclass(frozen=True)
class Verdict:
    """The judgment of an answer.

    Attributes:
        right: whether the number is the expected one.
        understood: whether the answer could be read as a number at all; if not, it does not count as an attempt.
        message: one sentence for the learner.
    """

    right: bool
    understood: bool
    message: str


def question(log: StepLog, step: Step) -> str:
    """Return the question asked before ``step`` is shown."""
    if isinstance(step, Forward):
        return f"{log.nodes[step.node].name} = {log.formula(step.node)} = ?"
    if isinstance(step, Seed):
        return f"{log.gradient_name(step.node)} = ?"
    name = log.gradient_name(step.input)
    sent = f"{log.gradient_name(step.node)} · {log.local_name(step)}"
    if step.before is None:
        return f"{name} = {sent} = ?"
    return f"{name} so far is {style.number(step.before)}; now {sent} is added: {name} = ?"


def expected(step: Step) -> float:
    """Return the number asked for: the value, or the gradient after the step."""
    if isinstance(step, Forward):
        return step.value
    return 1.0 if isinstance(step, Seed) else step.after


def same(answer: float, number: float) -> bool:
    """Return whether an answer counts as this number.

    >>> same(0.71, 0.70710678), same(0.7, 0.70710678), same(0.0, 1e-9)
    (True, False, True)
    """
    if math.isnan(number) or math.isinf(number):
        return math.isnan(answer) if math.isnan(number) else answer == number
    return abs(answer - number) <= max(TOLERANCE * abs(number), NEAR_ZERO)


def judge(log: StepLog, step: Step, answer: str) -> Verdict:
    """Judge an answer: a number, a fraction, or an expression in known numbers, such as ``-2 * b``.

    Args:
        log: the step log.
        step: the step that was predicted.
        answer: what the learner typed.
    """
    try:
        number = read(log, answer)
    except ExpressionError as error:
        return Verdict(False, False, str(error).split("\n")[0])
    if same(number, expected(step)):
        return Verdict(True, True, f"right: {style.number(expected(step))}")
    for candidate, hint in _mistakes(log, step):
        if same(number, candidate):
            return Verdict(False, True, hint)
    return Verdict(False, True, f"{style.number(number)} is not it; {_advice(log, step)}")


def read(log: StepLog, answer: str) -> float:
    """Return the number that an answer stands for; names of nodes stand for their data. Raises ExpressionError."""
    parsed = parse(answer)
    known = {node.name: node.data for node in log.nodes if not node.is_constant and node.name not in FUNCTIONS}
    unknown = [name for name in parsed.inputs if name not in known]
    if unknown:
        raise ExpressionError(f"{unknown[0]} is not a name here; type a number, a fraction or an expression")
    return parsed.compute({name: known[name] for name in parsed.inputs}).data


def _mistakes(log: StepLog, step: Step) -> Iterator[tuple[float, str]]:
    """Yield the numbers that common mistakes give, each with a hint."""
    if isinstance(step, Forward):
        node = log.nodes[step.node]
        if node.op in (SUB, DIV, POW):
            a, b = (log.nodes[i].data for i in node.inputs)
            with contextlib.suppress(ArithmeticError, ValueError):
                yield node.op.forward(b, a), f"the order matters: {log.formula(step.node)}, not the other way round"
        yield -step.value, "the size is right, the sign is not"
        return
    if isinstance(step, Seed):
        return
    name, up, local = log.gradient_name(step.input), log.gradient_name(step.node), log.local_name(step)
    if step.before is not None:
        before = style.number(step.before)
        sent = style.number(step.contribution)
        yield step.contribution, f"the earlier term {before} is missing: gradients accumulate, {name} += {sent}"
        yield step.before, f"the new term {up} · {local} = {sent} is missing"
        for earlier in log.terms(step.input):
            if earlier is step:
                break
            term = f"{log.gradient_name(earlier.node)} · {log.local_name(earlier)}"
            number = style.number(earlier.contribution)
            yield step.after - earlier.contribution, f"the term {term} = {number} is missing"
    before_ = step.before or 0.0
    yield before_ + step.upstream, f"that is {up} alone; it must be multiplied by the local derivative {local}"
    yield before_ + step.local, f"that is the local derivative {local} alone; it must be multiplied by {up}"
    yield before_ + step.upstream + step.local, f"the chain rule multiplies {up} and {local}, it does not add them"
    yield -step.after, "the size is right, the sign is not"
    yield before_ - step.contribution, f"the sign of the new term {up} · {local} is wrong"


def _advice(log: StepLog, step: Step) -> str:
    if isinstance(step, Forward):
        return f"compute {log.substituted(step.node, style.number)}"
    if isinstance(step, Seed):
        return f"how fast does {log.nodes[step.node].name} change when {log.nodes[step.node].name} itself changes?"
    return log.why(step, style.number)
