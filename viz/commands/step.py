"""``python -m viz step``: an expression, step by step, in the terminal or as a page."""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence

from tinygrad_edu.step_log import StepLog, record

from .. import expressions
from ..errors import DrawingError, ExpressionError
from ..pages.stepper_page import step_page
from ..stepping import terminal
from ..stepping.buglab import CASES
from ..stepping.exercises import LEVELS, exercise, worksheet
from ..stepping.stepper import Stepper


def add_step(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``viz step``."""
    command.set_defaults(run=_run)
    command.description = (
        "Step through an expression, forward and backward, one multiplication of the chain rule at a time. "
        "If the output is not a terminal, every step is printed."
    )
    command.epilog = 'example: %(prog)s "L = (a*b + c) * f" a=2 b=-3 c=10 f=-2'
    command.add_argument("expression", nargs="?", help='such as "L = (a*b + c) * f"; several lines are separated by ;')
    command.add_argument("numbers", nargs="*", metavar="name=number", help="a number for each input")
    command.add_argument("--quiz", action="store_true", help="ask for each number before it is shown")
    command.add_argument("--all", action="store_true", help="print every step, even in a terminal")
    command.add_argument("-o", "--out", metavar="FILE.html", help="write a page that steps in any browser, offline")
    command.add_argument("--exercise", type=int, choices=LEVELS, help="quiz on a random expression of this level")
    command.add_argument("--seed", type=int, default=None, help="which exercise (default: a new one each time)")


def add_worksheet(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``viz worksheet``."""
    command.set_defaults(run=_worksheet)
    command.description = "Write random exercises as a page to print; the answers are on a separate page."
    command.epilog = "example: %(prog)s --level 2 --count 6 --seed 1 -o sheet.html"
    command.add_argument(
        "--level", type=int, choices=LEVELS, default=1, help="1 sums and products, 2 names used again, 3 functions"
    )
    command.add_argument("--count", type=int, default=4, metavar="N", help="how many exercises")
    command.add_argument("--seed", type=int, default=0, help="equal seeds give equal worksheets")
    command.add_argument("-o", "--out", default="worksheet.html", metavar="FILE", help="what to write: .html or .md")


def add_bug(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``viz bug``."""
    command.set_defaults(run=_bug)
    command.description = "Run one of the classic mistakes of backpropagation and training, or list them."
    command.add_argument("name", nargs="?", help="its name (default: list them all)")


def _run(options: argparse.Namespace) -> None:
    log = _log(options)
    if options.out:
        print(f"Wrote {step_page(log, quiz=options.quiz).save(options.out)}")
    elif options.all or not terminal.is_interactive():
        terminal.print_all(log, sys.stdout)
    else:
        terminal.run(Stepper(log, quiz=options.quiz))


def _log(options: argparse.Namespace) -> StepLog:
    if options.exercise is None:
        if options.expression is None:
            raise ExpressionError('there is no expression; write for example: "L = (a*b + c) * f" a=2 b=-3 c=10 f=-2')
        return record(expressions.compute(options.expression, numbers(options.numbers)))
    if options.expression is not None:
        raise ExpressionError("--exercise chooses the expression; leave yours out")
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(100_000)
    chosen = exercise(options.exercise, seed)
    options.quiz = True
    words = f"exercise {options.exercise}, seed {seed}: {'; '.join(chosen.text.splitlines())}   with {chosen.given}"
    print(terminal.look(sys.stdout).text(words))
    return chosen.log()


def _worksheet(options: argparse.Namespace) -> None:
    if not 1 <= options.count <= 100:
        raise DrawingError(f"--count must be from 1 to 100, got {options.count}")
    chosen = [exercise(options.level, 1000 * options.seed + i) for i in range(options.count)]
    print(f"Wrote {worksheet(chosen).save(options.out)}")


def _bug(options: argparse.Namespace) -> None:
    look = terminal.look(sys.stdout)
    if options.name is None:
        width = max(map(len, CASES))
        for name, case in CASES.items():
            print(look.text(f"{name:{width}}  {case.title}"))
        print(f"\n{options.parser.prog} NAME shows its code, what it prints,")
        print("the first number that goes wrong, and the fix.")
    elif options.name in CASES:
        print(look.text(CASES[options.name].report()))
    else:
        raise DrawingError(f"unknown bug: {options.name!r} (must be one of {', '.join(CASES)})")


def numbers(words: Sequence[str]) -> dict[str, float]:
    """``["a=2", "b=-3"]`` as a dict; raises ExpressionError for words of another form.

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
