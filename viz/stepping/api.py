"""``step``: step through backpropagation from any Python session."""

from __future__ import annotations

import sys

from tinygrad_edu import Value
from tinygrad_edu.step_log import record

from ..names import Names, names_of
from ..pages.stepper_page import MOST_VALUES
from ..pages.stepper_page import step_page as page_of
from ..rendering.page import Page
from . import terminal
from .stepper import Stepper


def step(value: Value, *, names: Names | None = None, quiz: bool = False) -> Page | None:
    """Step through what ``value.backward()`` does, one multiplication of the chain rule at a time.

    In a terminal the keys at the bottom of the screen move forward and back. In a notebook this returns the page that
    does the same, see :func:`step_page`. Without a keyboard, as in a pipe, every step is printed. The gradients of the
    Values are neither used nor changed.

    Args:
        value: the result to differentiate, with a graph of any size.
        names: a dictionary of variables, such as ``locals()``, for Values without a label; at the top level of a
            script, a notebook or a console they are found without it. Or names by Value, as in
            ``record_calls().names``.
        quiz: whether to ask for each number before it is shown.

    Raises StaleGraphError if a number was changed after something had been computed from it.
    """
    log = record(value, names_of(names))
    if _in_notebook() and len(log.nodes) <= MOST_VALUES:
        return page_of(log)
    if terminal.is_interactive():
        terminal.run(Stepper(log, quiz=quiz))
    else:
        terminal.print_all(log, sys.stdout)
    return None


def step_page(value: Value, *, names: Names | None = None, title: str = "") -> Page:
    """Make the same as one HTML file that works offline: ``viz.step_page(L).save("L.html")``.

    Args:
        value: the result to differentiate, with a graph of at most 250 Values.
        names: a dictionary of variables, such as ``locals()``, for Values without a label; at the top level of a
            script, a notebook or a console they are found without it. Or names by Value, as in
            ``record_calls().names``.
        title: the title of the page.

    Raises StaleGraphError as :func:`step` does, DrawingError for a larger graph.
    """
    return page_of(record(value, names_of(names)), title)


def _in_notebook() -> bool:
    shell = sys.modules.get("IPython")
    return shell is not None and "ZMQ" in type(shell.get_ipython()).__name__
