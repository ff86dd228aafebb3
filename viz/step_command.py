"""``python -m viz step``: an expression, step by step, in the terminal or as a page."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from tinygrad_edu.steps import record

from . import expressions, terminal
from .errors import ExpressionError
from .stepper import Stepper
from .stepper_page import step_page


def add_parser(commands: Any) -> None:
    """Add ``step`` to the commands of ``python -m viz``."""
    parser = commands.add_parser(
        "step",
        help="step through the backpropagation of an expression",
        description="Step through an expression, forward and backward, one multiplication of the chain rule at a time. "
        "When the output is no terminal, every step is printed.",
        epilog='example: python -m viz step "L = (a*b + c) * f" a=2 b=-3 c=10 f=-2',
    )
    parser.add_argument("expression", help='such as "L = (a*b + c) * f"; several lines are separated by ;')
    parser.add_argument("numbers", nargs="*", metavar="name=number", help="a number for each input")
    parser.add_argument("--quiz", action="store_true", help="ask for each number before showing it")
    parser.add_argument("--all", action="store_true", help="print every step, in a terminal too")
    parser.add_argument(
        "-o", "--out", metavar="FILE.html", help="write a page instead that steps in any browser, offline"
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    log = record(expressions.compute(options.expression, numbers(options.numbers)))
    if options.out:
        print(f"wrote {step_page(log).save(options.out)}")
    elif options.all or not terminal.is_interactive():
        terminal.print_all(log, sys.stdout)
    else:
        terminal.run(Stepper(log, quiz=options.quiz))


def numbers(words: Sequence[str]) -> dict[str, float]:
    """``["a=2", "b=-3"]`` as a dict; ExpressionError for what is not of this form.

    >>> numbers(["a=2", "b=-1/3"])["b"]
    -0.3333333333333333
    """
    found: dict[str, float] = {}
    for word in words:
        name, equals, text = word.partition("=")
        name = name.strip()
        if not equals or not name.isidentifier():
            raise ExpressionError(f"expected name=number, such as a=2; got {word!r:.60}")
        if name in found:
            raise ExpressionError(f"{name} got two numbers; give it one")
        try:
            parsed = expressions.parse(text)
            if parsed.inputs:
                raise ExpressionError(f"{parsed.inputs[0]} is no number")
            found[name] = parsed.compute({}).data
        except ExpressionError as error:
            reason = str(error).split("\n")[0]
            raise ExpressionError(f"the number for {name} cannot be read: {text!r:.60} ({reason})") from None
    return found
