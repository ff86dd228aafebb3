"""``python -m lessons 4``: a lesson from top to bottom on the terminal, prose, code and results, with pictures as
files."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from tinygrad_edu import console

from .cells import Lesson, lesson_before, whats_new
from .runner import Session, mime_bundle, runnable, save_picture

__all__ = ["WIDTH", "plain", "run"]

WIDTH = 100
_KEEP = re.compile(r"[-*|>]|\d+\. |    |```|#")  # lines that are not joined with the ones above: lists, tables, code


def run(lesson: Lesson, out: Path, *, fast: bool = False, solutions: bool = False) -> None:
    """Run every cell and print its output; pictures go to the folder ``out``. Raises the errors of the code."""
    session = Session(lesson, fast=fast)
    for number, cell in runnable(lesson, solutions=solutions):
        if not cell.is_code:
            print(f"\n{plain(cell.source)}")
            continue
        console.end_if_unread()
        if "check" not in cell.tags:
            print("\n" + textwrap.indent(cell.shown, "    ") + "\n", flush=True)
        result = session.run(cell)
        if result is None or "check" in cell.tags:
            continue
        bundle = mime_bundle(result)
        path = save_picture(bundle, out, f"{lesson.path.stem}-{number:02}")
        print(bundle["text/plain"] if path is None else f"wrote {path}", flush=True)
    diff = whats_new(lesson, lesson_before(lesson))
    if diff:
        print(f"\nWHAT IS NEW\n\n{textwrap.indent(diff, '    ')}")


def plain(markdown: str, width: int = WIDTH) -> str:
    """Convert Markdown for a terminal: headings in capitals, paragraphs of at most ``width`` characters, no asterisks.

    >>> print(plain("## The chain\\nrule *is* **this**:\\n\\n- one `x*y*z`\\n- two"))
    THE CHAIN
    <BLANKLINE>
    rule is this:
    <BLANKLINE>
    - one x*y*z
    - two
    """
    blocks: list[list[str]] = [[]]
    fenced = False
    for line in markdown.split("\n"):
        if line.startswith("```"):
            fenced = not fenced
            continue
        if fenced or line.startswith("    "):
            blocks.append(["    " + line.removeprefix("    ")])
            blocks.append([])
        elif line.startswith("#"):
            blocks += [[_words(line.lstrip("#").strip()).upper()], [""], []]
        elif not line.strip():
            blocks += [[""], []]
        elif _KEEP.match(line):
            blocks.append([_words(line)])
        else:
            blocks[-1].append(_words(line))
    lines: list[str] = []
    for block in blocks:
        if block and block[0].startswith(("    ", "|")):
            lines += block
        elif block:
            lines += textwrap.wrap(" ".join(block), width, break_long_words=False) or [""]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")


def _words(text: str) -> str:
    """Remove the marks of emphasis; code spans, such as ``a*b*c``, stay as they are."""
    parts = re.split(r"`([^`]*)`", text)
    parts[::2] = [re.sub(r"\*\*|(?<![\w*])\*(?=[^\s*])|(?<=[^\s*])\*(?![\w*])", "", part) for part in parts[::2]]
    return "".join(parts)
