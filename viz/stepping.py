"""``step``: step through backpropagation from any session."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from tinygrad_edu import Value
from tinygrad_edu.steps import record

from . import terminal
from .stepper import Stepper


def step(value: Value, *, names: Mapping[Value, str] | None = None, quiz: bool = False) -> None:
    """Step through what ``value.backward()`` does, one multiplication of the chain rule at a time.

    In a terminal the keys at the bottom of the screen move forward and back; where there is nobody to press keys, as in
    a pipe, every step is printed. Gradients that the Values hold are neither used nor changed.

    Args:
        value: the result to differentiate, of a graph of any size.
        names: names for Values without a label, as in ``record_calls().names``.
        quiz: whether each number is asked for before it is shown.

    Raises StaleGraphError when a number was changed after something had been computed from it.
    """
    log = record(value, names)
    if terminal.is_interactive():
        terminal.run(Stepper(log, quiz=quiz))
    else:
        terminal.print_all(log, sys.stdout)
