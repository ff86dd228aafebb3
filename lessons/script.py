"""``python -m lessons 4``: a lesson from top to bottom on the terminal, prose, code and results, with pictures as
files."""

from __future__ import annotations

import contextlib
import io
import re
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

from tinygrad_edu import console

from . import predict
from .cells import Cell, Lesson, lesson_before, whats_new
from .runner import Session, mime_bundle, runnable, save_picture

__all__ = ["WIDTH", "plain", "prompt", "run"]

WIDTH = 80  # of prose, as in the help of commands
_ITEM = re.compile(r"([-*>]|\d+\.) +")  # what begins an item of a list, or a quotation; *emphasis* does not


def run(
    lesson: Lesson,
    out: Path,
    *,
    fast: bool = False,
    solutions: bool = False,
    ask: Callable[[str], str] | None = None,
) -> int | None:
    """Run every cell and print its output; pictures go to the folder ``out``. Raises the errors of the code.

    ``ask`` takes a prompt and returns what the learner types at a prediction; it raises EOFError when there is no more.
    Without it nothing waits. Returns the number of the cell at which the learner has left with ``q``, else None.
    """
    session = Session(lesson, fast=fast)
    score: list[bool] = []
    left = None
    for number, cell in runnable(lesson, solutions=solutions):
        if not cell.is_code:
            if not cell.pytorch:  # a page can fold it, a terminal cannot
                print(f"\n{plain(cell.source)}", flush=True)
            continue
        console.end_if_unread()
        code = textwrap.indent(cell.shown, "    ")
        before = lesson.cells[number - 2] if number > 1 else cell
        if ask is not None and before.asks:
            printed = io.StringIO()
            try:
                typed = _ask(before, ask)
                with contextlib.redirect_stdout(printed):  # until the second try
                    result = session.run(cell)
                score += [] if typed is None else _judge(session.rights(number - 1), typed, ask)
            except _Left:
                left = number - 1
                break
            except EOFError:
                typed = None
            if typed is None:
                ask = None
                print()
            print(f"\n{code}\n\n{printed.getvalue()}", end="", flush=True)
        else:
            if "check" not in cell.tags:
                print(f"\n{code}\n", flush=True)
            result = session.run(cell)
        if result is None or "check" in cell.tags:
            continue
        bundle = mime_bundle(result)
        path = save_picture(bundle, out, f"{lesson.path.stem}-{number:02}")
        print(bundle["text/plain"] if path is None else f"Wrote {path}", flush=True)
    diff = whats_new(lesson, lesson_before(lesson)) if left is None else ""
    if diff:
        print(f"\nWHAT IS NEW\n\n{textwrap.indent(diff, '    ')}")
    if score:
        print(f"\nYou predicted {sum(score)} of {len(score)}.")
    return left


class _Left(Exception):
    """The learner has typed ``q``."""


def _ask(cell: Cell, ask: Callable[[str], str]) -> list[str] | None:
    """Ask every question of a stop once; returns None if there is nobody to answer."""
    print()
    try:
        if not cell.questions and _is_leaving(ask("  (think; Enter goes on) ")):
            raise _Left
        return [_answer(question, ask) for question in cell.questions]
    except EOFError:
        return None


def _answer(question: predict.Question, ask: Callable[[str], str]) -> str:
    """Ask until the answer can be read, or is empty; raises _Left for ``q``, unless that is one of the options."""
    while typed := ask(prompt(question)).strip():
        reason = predict.unreadable(question, typed)
        if not reason:
            return typed
        if _is_leaving(typed):
            raise _Left
        print(f"  {reason} (Enter shows the answer, q leaves)")
    return ""


def _is_leaving(typed: str) -> bool:
    return typed.strip().lower() in ("q", "quit")


def prompt(question: predict.Question) -> str:
    """The words before an answer: what is asked for, and the options."""
    lines = [f"      {words}" for words in predict.letters(question.options)]
    label = question.label or "your answer"
    return "\n".join([f"  {label}", *lines, "  > "]) if lines else f"  {label}: "


def _judge(rights: Sequence[predict.Right], typed: list[str], ask: Callable[[str], str]) -> list[bool]:
    """Judge the answers of a stop, asking a second time for wrong ones; returns whether all were right, if any."""
    wrong = False
    for right, answer in zip(rights, typed, strict=True):
        verdict = predict.judge(right, answer)
        name = f"{right.question.label}: " if right.question.label else ""
        tries = 1
        while answer and not verdict.right and tries < predict.TRIES:
            tries += 1
            print(f"  ✗ {name}{verdict.message}; once more (Enter shows it)")
            answer = _answer(right.question, ask)
            verdict = predict.judge(right, answer)
        wrong = wrong or not verdict.right
        print(f"  ✓ {name}{verdict.message}" if verdict.right else f"  ✗ {name}it is {right.words}")
    return [not wrong] if rights else []


def plain(markdown: str, width: int = WIDTH) -> str:
    """Convert Markdown for a terminal: headings in capitals, paragraphs of at most ``width`` characters, no asterisks.

    >>> print(plain("## The chain\\nrule is\\n*really* **this,\\nno more**:\\n\\n- one `x*y`\\n  and more\\n- two", 14))
    THE CHAIN
    <BLANKLINE>
    rule is really
    this, no more:
    <BLANKLINE>
    - one x*y and
      more
    - two
    """
    lines: list[str] = []
    paragraph: list[str] = []
    table: list[list[str]] = []

    def end() -> None:
        if table and not line.startswith("|"):
            lines.extend(_table(table, width))
            table.clear()
        if paragraph:
            text = _words(" ".join(line.strip() for line in paragraph))
            mark = _ITEM.match(text)
            after = " " * len(mark[0]) if mark else ""
            lines.extend(textwrap.wrap(text, width, subsequent_indent=after, break_long_words=False) or [""])
            paragraph.clear()

    fenced = False
    for line in [*markdown.split("\n"), ""]:
        if line.startswith("```"):
            end()
            fenced = not fenced
        elif fenced or (line.startswith("    ") and not paragraph):
            lines.append(("    " + line.removeprefix("    ")).rstrip())
        elif line.startswith("#"):
            end()
            lines += [_words(line.lstrip("#").strip()).upper(), ""]
        elif not line.strip():
            end()
            lines.append("")
        elif line.startswith("|"):
            end()
            table.append([_words(cell.strip()) for cell in line.strip("|").split("|")])
        else:
            if _ITEM.match(line):
                end()
            paragraph.append(line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")


def _table(rows: list[list[str]], width: int) -> list[str]:
    """Align the columns of a table; the widest are wrapped until it fits."""
    rows = [row for row in rows if not all(set(cell) <= set("-:") for cell in row)]
    wide = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    while sum(wide) + 3 * len(wide) - 3 > width and max(wide) > 8:
        wide[wide.index(max(wide))] -= 1
    lines = []
    for i, row in enumerate(rows):
        parts = [textwrap.wrap(cell, most) or [""] for cell, most in zip(row, wide, strict=True)]
        for at in range(max(map(len, parts))):
            cells = [(part[at] if at < len(part) else "").ljust(most) for part, most in zip(parts, wide, strict=True)]
            lines.append("   ".join(cells).rstrip())
        if i == 0:
            lines.append("   ".join("─" * most for most in wide))
    return lines


def _words(text: str) -> str:
    """Remove the marks of emphasis; code spans, such as ``a*b*c``, stay as they are."""
    parts = re.split(r"`([^`]*)`", text)
    parts[::2] = [re.sub(r"\[([^\]]+)\]\([^)\s]+\)", r"\1", part) for part in parts[::2]]  # of a link, its words
    parts[::2] = [re.sub(r"\*\*|(?<![\w*])\*(?=[^\s*])|(?<=[^\s*])\*(?![\w*])", "", part) for part in parts[::2]]
    return "".join(parts)
