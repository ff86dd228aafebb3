"""A lesson as cells, read from a Python file in percent format, and where the lessons are.

::

    # %% [markdown]
    # # Lesson 3: The neuron
    # **Question.** What can a line not do?
    # %%
    x = Value(2.0, label="x")
    # %% tags=["check"]
    assert x.data == 2

Tags: ``check``, assertions about what the prose says; ``solution``, the answer to an exercise; ``model``, the
definition that the lesson is about, compared with the lesson before (:func:`whats_new`); ``pytorch``, a
markdown cell with the same in PyTorch, which is shown folded. The learner fills in a line
that ends in ``# key: ...`` when practicing; the words after ``key:`` are the hint. A paragraph that begins with
**Predict.** is followed by its answers: see :mod:`lessons.predict`.
"""

from __future__ import annotations

import ast
import difflib
import json
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

from tinygrad_edu.errors import brief

from . import predict
from .errors import LessonError

__all__ = [
    "FOLDER",
    "PYTORCH",
    "TAGS",
    "Cell",
    "Lesson",
    "lesson_before",
    "load",
    "load_all",
    "parse",
    "pasteable",
    "whats_new",
]

FOLDER = Path(__file__).parent
_PARTS = (
    "supplements",
    "pictures",
)  # folders beside the lessons in a row; names of lessons begin with their first letters
TAGS = ("check", "solution", "model", "pytorch")
PYTORCH = "The same in PyTorch"

_HEADER = re.compile(r"# %%( \[markdown\])?(?: tags=(\[.*\]))?")
_KEY = re.compile(r"^(.*?\S)  # key: (.+)$")
_SHORTENED = re.compile(r"^( *)if not FAST:\n((?:\1    .*\n?|\n)+)", re.MULTILINE)
_SHORTER = re.compile(
    r"^FAST = globals\(\).*\n?|\bFAST or | and not FAST\b|(?:\([^()]*\)|[\w.]+) if FAST else ", re.MULTILINE
)
_QUESTION = re.compile(r"\*\*Question\.\*\*\s+(.+?)(?:\n\n|\Z)", re.DOTALL)


@brief
@dataclass(frozen=True)
class Cell:
    """A piece of a lesson.

    Attributes:
        kind: ``"markdown"`` or ``"code"``.
        source: its text; for markdown, without the leading ``#``.
        line: the line in the file where it starts, counted from 1.
        tags: from :data:`TAGS`.
        questions: what readers predict before they go on; their lines are not part of ``source``.
        is_open: whether it asks for a prediction that has no right answer.
    """

    kind: str
    source: str
    line: int
    tags: frozenset[str] = frozenset()
    questions: tuple[predict.Question, ...] = ()
    is_open: bool = False

    @property
    def is_code(self) -> bool:
        """Whether it can be run."""
        return self.kind == "code"

    @property
    def shown(self) -> str:
        """The source as readers see it: ready to paste, without hints for practicing and what shortens tests.

        >>> print(Cell("code", "for i in range(1 if FAST else 9):\\n    e = a * i  # key: product\\ne", 1).shown)
        for i in range(9):
            e = a * i
        <BLANKLINE>
        e
        """
        if not self.is_code:
            return self.source
        full = _SHORTENED.sub(lambda found: textwrap.indent(textwrap.dedent(found[2]), found[1]), self.source)
        full = _SHORTER.sub("", full).strip("\n")
        return pasteable("\n".join(_KEY.sub(r"\1", line) for line in full.split("\n")))

    @property
    def keys(self) -> list[tuple[int, str, str]]:
        """The lines to fill in when practicing, as (number of the line in the cell from 0, code, hint)."""
        if not self.is_code:
            return []
        found = ((i, _KEY.match(line)) for i, line in enumerate(self.source.split("\n")))
        return [(i, match[1], match[2]) for i, match in found if match]

    @property
    def pytorch(self) -> str:
        """The code that says the same in PyTorch, ready to paste; empty for other cells."""
        return (
            pasteable(self.source.partition("```python\n")[2].partition("\n```")[0]) if "pytorch" in self.tags else ""
        )

    @property
    def asks(self) -> bool:
        """Whether readers should write down a number before they go on."""
        return not self.is_code and predict.MARK in self.source


@brief
@dataclass(frozen=True)
class Lesson:
    """One file of the course.

    Attributes:
        path: the path of the file.
        name: ``"3"`` for Lesson 3, ``"1b"`` for the one after Lesson 1, ``"s2"`` for the second supplement, ``"p1"``
            for the first of the pictures from words.
        cells: the cells in order.
    """

    path: Path
    name: str
    cells: tuple[Cell, ...]

    @property
    def part(self) -> str:
        """The part of the course: ``"lessons"`` for those in a row, ``"supplements"`` or ``"pictures"``."""
        return next((part for part in _PARTS if self.name.startswith(part[0])), "lessons")

    @property
    def title(self) -> str:
        """The words of its heading, such as ``"Lesson 3: The neuron"``."""
        return self.cells[0].source.split("\n")[0].removeprefix("# ").strip()

    @property
    def question(self) -> str:
        """The question it answers, on one line."""
        found = _QUESTION.search(self.cells[0].source)
        assert found is not None, "checked when it was read"
        return " ".join(found[1].split())

    @property
    def model(self) -> str:
        """The definition it is about; empty if there is none."""
        return "\n\n\n".join(cell.shown for cell in self.cells if "model" in cell.tags)


def parse(text: str, path: Path) -> Lesson:
    """Read the lesson in a file; raises LessonError, with the line, for text outside the format."""

    def wrong(line: int, reason: str) -> LessonError:
        return LessonError(f"{path.name}, line {line}: {reason}")

    cells: list[Cell] = []
    lines = text.split("\n")
    starts = [i for i, line in enumerate(lines) if line.startswith("# %%")]
    if starts[:1] != [0]:
        raise wrong(1, 'expected the first cell, "# %% [markdown]"')
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        header = _HEADER.fullmatch(lines[start].rstrip())
        if header is None:
            raise wrong(start + 1, f'expected "# %%", "# %% [markdown]" or "# %% tags=[...]", got {lines[start]!r}')
        try:
            tags = frozenset(json.loads(header[2] or "[]"))
        except (ValueError, TypeError):
            raise wrong(start + 1, f'tags must be a list such as ["check"], got {header[2]}') from None
        if not tags <= set(TAGS):
            raise wrong(start + 1, f"unknown tag: {min(tags - set(TAGS))!r} (must be one of {', '.join(TAGS)})")
        body, first = lines[start + 1 : end], start + 2
        while body and not body[0].strip():
            body, first = body[1:], first + 1
        while body and not body[-1].strip():
            body = body[:-1]
        if header[1]:
            for i, line in enumerate(body):
                if line and line != "#" and not line.startswith("# "):
                    raise wrong(first + i, f'expected "# " before the text of a markdown cell, got {line!r:.60}')
            body = [line[2:] for line in body]
        if not body:
            raise wrong(start + 1, "this cell is empty")
        if not header[1]:
            try:
                ast.parse("\n".join(body))
            except SyntaxError as error:
                raise wrong(first - 1 + (error.lineno or 1), f"Python cannot read this: {error.msg}") from None
            cells.append(Cell("code", "\n".join(body), first, tags))
            continue
        if "pytorch" in tags:
            body = ["<details>", f"<summary>{PYTORCH}</summary>", "", *body, "", "</details>"]
        shown, answers = predict.split("\n".join(body))
        try:
            questions = predict.find(answers)
        except ValueError as error:
            raise wrong(first + shown.count("\n") + 2, str(error)) from None
        cells.append(Cell("markdown", shown, first, tags, questions, bool(answers) and not questions))
    opening = cells[0].source
    if cells[0].is_code or not opening.startswith("# ") or not _QUESTION.search(opening):
        raise wrong(1, 'the first cell must be markdown with a heading "# # ..." and a line "# **Question.** ..."')
    return Lesson(path, _name(path), tuple(cells))


def pasteable(source: str) -> str:
    """Format code for Python's prompt, where a blank line ends a block: one after each block, and none inside."""
    lines = source.split("\n")
    tree = ast.parse(source)
    inside_text = {
        number
        for node in ast.walk(tree)
        if isinstance(node, (ast.Constant, ast.JoinedStr)) and node.end_lineno is not None
        for number in range(node.lineno, node.end_lineno)
    }
    done, out = 0, []
    for statement in tree.body:
        first = min([statement.lineno, *(d.lineno for d in getattr(statement, "decorator_list", []))])
        end = statement.end_lineno or first
        out += lines[done : first - 1]
        out += [lines[i] for i in range(first - 1, end) if lines[i].strip() or i in inside_text]
        done = end
        if hasattr(statement, "body") and done < len(lines) and lines[done].strip():
            out.append("")
    return "\n".join(out + lines[done:])


def load(name: str) -> Lesson:
    """Find the lesson of a name such as ``"4"`` or ``"s1"``; raises LessonError if there is none."""
    paths = {_name(path): path for path in _paths()}
    wanted = name.lower().lstrip("0") or "0"
    if wanted not in paths:
        raise LessonError(f"there is no lesson {name!r} (must be one of {', '.join(paths)})")
    path = paths[wanted]
    return parse(path.read_text(encoding="utf-8"), path)


def load_all() -> list[Lesson]:
    """Return every lesson, then every supplement, then the pictures from words."""
    return [parse(path.read_text(encoding="utf-8"), path) for path in _paths()]


def whats_new(lesson: Lesson, before: Lesson | None) -> str:
    """Compare the model of a lesson with that of the lesson before, as a unified diff; empty without either.

    Common lines are kept as context, so that the whole definition can be read.
    """
    if before is None or not lesson.model or not before.model:
        return ""
    old, new = before.model.split("\n"), lesson.model.split("\n")
    diff = difflib.unified_diff(old, new, before.title, lesson.title, n=len(old) + len(new), lineterm="")
    return "\n".join(line for line in diff if not line.startswith("@@"))


def lesson_before(lesson: Lesson) -> Lesson | None:
    """Return the lesson with the number before; None for the first lesson, those with a b and the other parts."""
    if not lesson.name.isdigit() or lesson.name == "1":
        return None
    wanted = str(int(lesson.name) - 1)
    return load(wanted) if any(_name(path) == wanted for path in _paths()) else None


def _paths() -> list[Path]:
    more = [path for part in _PARTS for path in sorted((FOLDER / part).glob(f"{part[0]}[0-9]*.py"))]
    return [*sorted(FOLDER.glob("[0-9]*.py")), *more]


def _name(path: Path) -> str:
    """Return the name of the lesson in a file name.

    >>> _name(Path("03_neuron.py")), _name(Path("01b_value.py")), _name(Path("s02_cells.py"))
    ('3', '1b', 's2')
    """
    number = path.stem.partition("_")[0]
    part = number[: not number[0].isdigit()]
    return part + number.removeprefix(part).lstrip("0")
