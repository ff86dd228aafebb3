"""A document as data: sections of headings, tables and lines of mathematics, for writers of several formats."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Line:
    """A line of mathematics, and the single steps that it expands into."""

    text: str
    inside: tuple[str, ...] = ()


@dataclass(frozen=True)
class Grid:
    """A matrix of written numbers under its name; ``heads`` has a word for each row, or none at all."""

    name: str
    rows: tuple[tuple[str, ...], ...]
    heads: tuple[str, ...] = ()


@dataclass
class Section:
    """A heading and its content.

    Attributes:
        title: the heading.
        level: of the heading.
        lines: mathematics.
        table: its first row is its header.
        words: a paragraph before everything else.
        equation: matrices with signs between them.
        fold: if not empty, the words under which the lines are folded.
    """

    title: str
    level: int = 2
    lines: list[Line] = field(default_factory=list)
    table: list[tuple[str, ...]] = field(default_factory=list)
    words: str = ""
    equation: tuple[Grid | str, ...] = ()
    fold: str = ""
