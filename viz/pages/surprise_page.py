"""A text as one offline page in which every character shows how surprising it was, and what was expected instead."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ..rendering.page import Page
from ..rendering.templates import asset, page, script_json


class Seen(Protocol):
    """A character as a model predicted it.

    Attributes:
        character: the character.
        probability: the probability that the model gave it.
        likeliest: the most likely other characters with their probabilities.
        level: the index of its color in :data:`viz.style.SURPRISE`, 0 for expected.
    """

    @property
    def character(self) -> str: ...  # noqa: D102
    @property
    def probability(self) -> float: ...  # noqa: D102
    @property
    def likeliest(self) -> Sequence[tuple[str, float]]: ...  # noqa: D102
    @property
    def level(self) -> int: ...  # noqa: D102


@dataclass(frozen=True)
class Table:
    """Rows of words under a title."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def surprise_page(
    first: str, seen: Sequence[Seen], *, levels: Sequence[str], tables: Sequence[Table], title: str, sentence: str
) -> Page:
    """Make the page: the text, the numbers of the character under the pointer, and tables.

    Args:
        first: the first character, which is shown without a color.
        seen: the characters after it.
        levels: what each level means, in words.
        tables: summaries next to the text.
        title, sentence: the title and the sentence below it.
    """
    text = "".join(f'<span class="s{one.level}">{_shown(one.character, one.level)}</span>' for one in seen)
    data = [[s.character, _short(s.probability), [[c, _short(p)] for c, p in s.likeliest]] for s in seen]
    legend = "".join(f'<li><i class="s{i}">{html.escape(words)}</i></li>' for i, words in enumerate(levels))
    parts = {
        "SENTENCE": html.escape(sentence),
        "LEGEND": legend,
        "TEXT": f"{html.escape(first)}{text}",
        "TABLES": "".join(map(_table, tables)),
        "DATA": script_json(data),
    }
    return Page(page("surprise.html", title, asset("surprise.css"), parts))


def _shown(character: str, level: int) -> str:
    if character == "\n":
        return "⏎\n" if level else " \n"  # an expected line end needs no sign
    return html.escape(character)


def _short(probability: float) -> float:
    return float(f"{probability:.3g}")


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{html.escape(word)}</th>' for word in table.head)
    rows = "".join(f"<tr>{''.join(f'<td>{html.escape(word)}</td>' for word in row)}</tr>" for row in table.rows)
    return f"<h2>{html.escape(table.title)}</h2><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
