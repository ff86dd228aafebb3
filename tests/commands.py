"""Commands that must be refused."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Sequence


def refusal(main: Callable[[Sequence[str]], int], *arguments: str) -> str:
    """Run a command, which must end with exit code 2; return its error.

    It must be one line, or a sentence about a formula, with a mark below it.
    """
    with contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            code: object = main(arguments)
        except SystemExit as stop:
            code = stop.code
    error = err.getvalue()
    assert code == 2, error
    assert re.fullmatch(r"(gpt|image|viz|lessons): error: [^\n]+(\n  [^\n]+\n +\^)?(\n\([^\n]+\))?\n", error), error
    return error
