"""``next_characters``: what a model expects next, before and after temperature, top-k, top-p and min-p."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from tinygrad_edu import Value

from .. import style
from ..rendering import svg
from ..rendering.svg import stroke, text, wrapped
from .chart import TEXT_WIDTH, Chart, listed

_ROW, _BAR = 32.0, 190.0  # points: the height of a character's row, the width of the largest bar
_PANEL = _BAR + 84.0  # with the number after the bar, and a gap
_LETTERS = 24  # characters of the name of a stage, in a row
_BLOCKS, _NARROWEST = 12, 12  # characters in a terminal: the largest bar, and a stage with the smallest


@dataclass(frozen=True)
class Row:
    """One character, or all that are not shown individually.

    Attributes:
        name: the character, visible.
        before: for each stage its probability at the stage before: what was cut, if nothing remains.
        after: its probability at each stage.
        count: how many characters it stands for.
    """

    name: str
    before: Sequence[float]
    after: Sequence[float]
    count: int = 1


@dataclass(frozen=True, repr=False)
class NextCharacters(Chart):
    """A finished chart; the last line of a notebook cell shows it.

    Attributes:
        stages: the names of the stages, in order.
        rows: the most likely characters, and the rest.
        kept: for each stage, how many characters have a probability other than 0.
        title: the title.
    """

    stages: Sequence[str]
    rows: Sequence[Row]
    kept: Sequence[int]
    title: str

    def __str__(self) -> str:
        """The bars in characters; light if they were cut."""
        wide = max(len(row.name) for row in self.rows) + 2
        most = max(_NARROWEST, (TEXT_WIDTH - wide) // len(self.stages))
        column = min(most, max(_BLOCKS + 8, *(len(name) + 2 for name in self.stages)))
        lines = [self.title] if self.title else []
        heads = [textwrap.wrap(name, column - 2) for name in self.stages]
        for head in zip_longest(*heads, fillvalue=""):
            lines.append(" " * wide + "".join(f"{words:<{column}}" for words in head))
        blocks = column - 8
        for row in self.rows:
            cells = []
            for before, after in zip(row.before, row.after, strict=True):
                full, light = (
                    round(blocks * p / self._largest()) for p in (after, before if _cut(before, after) else 0)
                )
                cells.append(f"{_words(before, after):<6}{'█' * full}{'░' * light}")
            lines.append(f"{row.name:<{wide}}" + "".join(f"{cell:<{column}}" for cell in cells))
        lines.append(" " * wide + "".join(f"{f'{count} left':<{column}}" for count in self.kept))
        return "\n".join(line.rstrip() for line in lines)

    def _largest(self) -> float:
        return max(p for row in self.rows for p in (*row.before, *row.after))

    def _drawn(self) -> str:
        left = max(svg.width(row.name, bold=True) for row in self.rows) + 24
        heads = [wrapped(name, _LETTERS) for name in self.stages]
        title = wrapped(self.title, max(30, int((left + _PANEL * len(heads)) / 11))) if self.title else []
        top = 16.0 + 26 * len(title) + 22 * max(map(len, heads)) + 16
        bottom = top + _ROW * len(self.rows)
        parts = [text(12, 30 + 26 * i, words, size=20, bold=True) for i, words in enumerate(title)]
        for i, row in enumerate(self.rows):
            parts.append(text(left - 10, top + i * _ROW + 21, row.name, anchor="end", bold=True))
        hatched = []
        for stage, head in enumerate(heads):
            x = left + stage * _PANEL
            parts += [text(x, top - 14 - 22 * (len(head) - 1 - i), words, bold=True) for i, words in enumerate(head)]
            parts.append(stroke(x, top - 4, x, bottom, style.OUTLINE, 2))
            for i, row in enumerate(self.rows):
                before, after = row.before[stage], row.after[stage]
                y, cut = top + i * _ROW, _cut(before, after)
                wide = _BAR * (before if cut else after) / self._largest()
                if cut:
                    bar = svg.rectangle(x, y + 3, wide, _ROW - 8, style.PAPER, line=style.NEGATIVE, thick=1.5)
                    hatched += svg.hatching(x, y + 3, wide, _ROW - 8)
                else:
                    bar = svg.rectangle(x, y + 3, wide, _ROW - 8, style.POSITIVE)
                color = style.FAINT if cut else style.INK
                number = text(x + wide + 8, y + 21, _words(before, after), color)
                facts = f"{self.stages[stage]}; {row.name}: {after!r}" + (f", cut; it was {before!r}" if cut else "")
                parts.append(svg.titled(facts, [bar, number], value=repr(after)))
            parts.append(text(x, bottom + 24, f"{self.kept[stage]} left", style.FAINT))
        parts.append(svg.lines(hatched, style.NEGATIVE, 1))
        width = left + _PANEL * len(heads)
        words = "hatched: cut at this stage; the length is that of the stage before"
        if hatched:
            parts.append(text(12, bottom + 54, words, style.FAINT))
        width = max(width, 24 + svg.width(words), *(24 + svg.width(words, 20, bold=True) for words in title))
        return svg.document(width, bottom + (70 if hatched else 40), parts)

    def _title(self) -> str:
        return self.title or "What comes next"


def next_characters(
    stages: Mapping[str, Sequence[Any]], characters: Sequence[str], *, most: int = 12, title: str = ""
) -> NextCharacters:
    """Show the probabilities of the next character as bars, one column for each stage of the choice.

    Args:
        stages: by name and in order, the probabilities of all characters, numbers or Values: first as the model gives
            them, then after temperature, after top-k, and so on. A probability that a stage sets to 0 was cut there.
        characters: the characters that the probabilities belong to.
        most: how many characters get their own row, the most likely ones of the first stage; the rest share one.
        title: the title, such as the text that comes before.

    Raises ValueError for probabilities that do not match the characters or do not sum to 1.

    >>> print(next_characters({"model": [0.5, 0.3, 0.2], "top-k 2": [0.625, 0.375, 0.0]}, "abc"))
       model               top-k 2
    a  .500  ██████████    .625  ████████████
    b  .300  ██████        .375  ███████
    c  .200  ████          cut   ░░░░
       3 left              2 left
    """
    stages, characters = listed(stages), listed(characters)
    if not stages:
        raise ValueError("there is nothing to show; give next_characters() the probabilities of at least one stage")
    if most < 1:
        raise ValueError(f"most must be at least 1, got {most}")
    numbers = {name: [float(p.data if isinstance(p, Value) else p) for p in some] for name, some in stages.items()}
    for name, some in numbers.items():
        if len(some) != len(characters):
            raise ValueError(f"{name!r} has {len(some)} probabilities for {len(characters)} characters")
        if not all(p >= 0.0 for p in some) or not math.isclose(math.fsum(some), 1.0, abs_tol=1e-6):
            raise ValueError(
                f"{name!r} is no distribution: probabilities are at least 0 and sum to 1; "
                f"the sum is {style.number(math.fsum(some))}; apply softmax to scores first"
            )
    columns = list(numbers.values())
    earlier = [columns[0], *columns[:-1]]
    order = sorted(range(len(characters)), key=lambda i: -columns[0][i])
    single = order if len(order) <= most + 1 else order[:most]
    rows = [
        Row(style.visible(characters[i]), [column[i] for column in earlier], [column[i] for column in columns])
        for i in single
    ]
    if rest := order[len(single) :]:
        before, after = ([math.fsum(column[i] for i in rest) for column in group] for group in (earlier, columns))
        rows.append(Row(f"{len(rest)} others", before, after, len(rest)))
    kept = [sum(p > 0.0 for p in column) for column in columns]
    return NextCharacters([style.visible(name) for name in numbers], rows, kept, style.visible(title))


def _cut(before: float, after: float) -> bool:
    return after == 0.0 and before > 0.0


def _words(before: float, after: float) -> str:
    """Write a probability in few characters.

    >>> _words(0.5, 0.25), _words(0.5, 0.0001), _words(0.5, 1.0), _words(0.5, 0.0), _words(0.0, 0.0)
    ('.250', '<.001', '1', 'cut', '')
    """
    if after == 0.0:
        return "cut" if before > 0.0 else ""
    if after < 0.0005:
        return "<.001"
    return "1" if after == 1.0 else f"{after:.3f}".removeprefix("0")
