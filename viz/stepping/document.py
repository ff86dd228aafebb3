"""A document as data: sections of headings, tables and lines of mathematics, for writers of several formats."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Line:
    """A line of mathematics, and the single steps that it expands into."""

    text: str
    inside: tuple[str, ...] = ()


@dataclass
class Section:
    """A heading and its content; the first row of a table is its header."""

    title: str
    level: int = 2
    lines: list[Line] = field(default_factory=list)
    table: list[tuple[str, ...]] = field(default_factory=list)
