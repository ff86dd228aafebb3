"""``python -m viz explore``: an expression, or the loss of a trained model, as one page to explore."""

from __future__ import annotations

import argparse
from pathlib import Path

from .. import expressions
from ..errors import DrawingError
from ..pages.explorer import explore
from . import runs
from .step import numbers


def add_explore(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``viz explore``."""
    command.set_defaults(run=_run)
    command.description = (
        "Write a page in which boxes open and close, from a whole computation down to one operation, with every number "
        "and every gradient. It works offline. For the folder of a trained model it is the same as gpt explore."
    )
    command.epilog = (
        'examples: %(prog)s "L = (a*b + c) * f" a=2 b=-3 c=10 f=-2 -o L.html; '
        '%(prog)s runs/my-run --text "To be, or" -o loss.html'
    )
    command.add_argument("subject", help="an expression, or the folder of a run that gpt train wrote")
    command.add_argument("numbers", nargs="*", metavar="NAME=NUMBER", help="for an expression: a number for each name")
    command.add_argument("-o", "--out", default="explore.html", metavar="FILE", help="what to write")
    command.add_argument("--text", help="for a run: the text to read (default: the beginning of its validation text)")
    command.add_argument("--length", type=int, metavar="N", help="for a run: predict at most this many characters")
    command.add_argument(
        "--best", action="store_true", help="for a run: the parameters with the lowest validation loss"
    )


def _run(options: argparse.Namespace) -> int:
    if Path(options.subject).is_dir():
        if options.numbers:
            raise DrawingError(
                f"{options.subject} is a run, which takes no numbers; leave {options.numbers[0]!r:.60} out"
            )
        flags = [f"--{name}={value}" for name in ("text", "length") if (value := getattr(options, name)) is not None]
        return runs.hand_over(
            ["explore", f"--out={options.out}", *flags, *["--best"] * options.best, "--", options.subject]
        )
    if options.text is not None or options.length is not None or options.best:
        raise DrawingError(f"--text, --length and --best are for the folder of a run; {options.subject!r:.60} is none")
    page = explore(expressions.compute(options.subject, numbers(options.numbers), label_parts=True))
    print(f"Wrote {page.save(options.out)}")
    return 0
