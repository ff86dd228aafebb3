"""Surprisal: how surprising each character of a text is to a model, and which characters are responsible.

The surprise about a character is −ln of the probability that the model gave it, in nats; its mean is the loss. Windows
overlap by half here, so that every character after the first window is read with at least half a context before it;
the loss that :meth:`gpt.engines.base.Engine.evaluate` computes begins every window with nothing.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tinygrad_edu import console
from tinygrad_edu.errors import brief

from ..data.documents import spans
from ..engines.base import Engine
from ..sample import distribution
from ..tokenizer import CharTokenizer

__all__ = [
    "INSTEAD",
    "LEVELS",
    "LEVEL_WORDS",
    "Group",
    "Seen",
    "by_character",
    "by_kind",
    "by_word",
    "colored",
    "context",
    "mean",
    "most_surprising",
    "often",
    "read",
    "sentence",
    "table",
    "visible",
]

INSTEAD = 5  # likeliest other characters that are kept with each
#: A character is of level 0 when its probability was at least the first of these, of level 4 below the last.
LEVELS = (0.5, 0.2, 0.05, 0.01)
LEVEL_WORDS = ("50 % or more", "20 to 50 %", "5 to 20 %", "1 to 5 %", "below 1 %")
_AT_ONCE = 16  # windows per call of the engine


@brief
@dataclass(frozen=True)
class Seen:
    """A character of a text, as the model predicted it.

    Attributes:
        character: the character.
        probability: the probability that the model gave it.
        likeliest: the most likely other characters with their probabilities, most likely first.
    """

    character: str
    probability: float
    likeliest: tuple[tuple[str, float], ...]

    @property
    def surprise(self) -> float:
        """In nats."""
        return -math.log(max(self.probability, 1e-300))

    @property
    def level(self) -> int:
        """0 for expected … 4 for very surprising: see :data:`LEVELS`."""
        return sum(self.probability < bound for bound in LEVELS)


def read(
    engine: Engine, tokenizer: CharTokenizer, tokens: Sequence[int], block_size: int, end: int | None = None
) -> list[Seen]:
    """Compute the surprisal of every character but the first, which has no context.    # (N) → (N − 1)

    With an ``end`` every document is read from its beginning (see ``documents.py``).
    """
    new = max(1, block_size // 2)  # characters that a window adds to the previous one
    starts = [
        (start, last)
        for first, last in spans(tokens, end)
        for start in [first, *range(first + new, max(first, last - block_size + new), new)]
    ]
    found: list[Seen] = []
    for i in range(0, len(starts), _AT_ONCE):
        some = starts[i : i + _AT_ONCE]
        windows = [list(tokens[s : s + block_size]) for s, _ in some]
        # What stands after the last character to predict, zeros at the end of all, causal attention never sees.
        windows = [window + [0] * (block_size - len(window)) for window in windows]
        for (start, last), logits in zip(some, engine.logits(windows), strict=True):
            for position in range(len(found) - start, min(block_size, last - start)):
                found.append(_seen(logits[position], tokens[start + position + 1], tokenizer))
    return found


def _seen(logits: Sequence[float], token: int, tokenizer: CharTokenizer) -> Seen:
    chances = distribution(logits)
    best = heapq.nlargest(INSTEAD + 1, range(len(chances)), key=lambda i: (chances[i], -i))
    others = [(tokenizer.decode([i]), chances[i]) for i in best if i != token][:INSTEAD]
    return Seen(tokenizer.decode([token]), chances[token], tuple(others))


def mean(seen: Sequence[Seen]) -> float:
    """Return the mean in nats per character."""
    return math.fsum(one.surprise for one in seen) / len(seen)


# --- where the surprise is ------------------------------------------------------------------------------------------


@brief
@dataclass(frozen=True)
class Group:
    """A group of characters of a text.

    Attributes:
        name: what they have in common.
        count: the number of characters; for a word, how often it occurs.
        surprise: the mean in nats per character; for a word, per occurrence.
        share: the share of the surprise of the whole text.
    """

    name: str
    count: int
    surprise: float
    share: float


def by_kind(seen: Sequence[Seen]) -> list[Group]:
    """Group first letters of words, later letters, spaces …: the kinds that occur, most surprising first."""
    text = [one.character for one in seen]
    return _grouped(seen, (_kind(c, before) for c, before in zip(text, ["", *text], strict=False)))


def _kind(c: str, before: str) -> str:
    if c.isalpha():
        return "later letters of a word" if before.isalpha() or before == "'" else "first letter of a word"
    kinds: tuple[tuple[str, Callable[[str], bool]], ...] = (
        ("line end", lambda c: c in "\r\n"), ("space", str.isspace), ("digit", str.isdigit),
    )  # fmt: skip
    return next((name for name, holds in kinds if holds(c)), "other sign")


def by_character(seen: Sequence[Seen]) -> list[Group]:
    """Group by character, most surprising first."""
    return _grouped(seen, (one.character for one in seen))


def _grouped(seen: Sequence[Seen], names: Iterator[str]) -> list[Group]:
    groups: dict[str, list[float]] = {}
    for one, name in zip(seen, names, strict=True):
        groups.setdefault(name, []).append(one.surprise)
    total = math.fsum(one.surprise for one in seen) or 1.0
    found = [Group(name, len(x), math.fsum(x) / len(x), math.fsum(x) / total) for name, x in groups.items()]
    return sorted(found, key=lambda group: (-group.surprise, group.name))


def by_word(seen: Sequence[Seen]) -> list[Group]:
    """Group by word, a run of letters and apostrophes, with its total surprise, most surprising first."""
    words: dict[str, list[float]] = {}
    letters: list[Seen] = []
    for one in [*seen, None]:
        if one is not None and (one.character.isalpha() or (one.character == "'" and letters)):
            letters.append(one)
        elif letters:
            word = "".join(letter.character for letter in letters)
            words.setdefault(word, []).append(math.fsum(letter.surprise for letter in letters))
            letters = []
    total = math.fsum(one.surprise for one in seen) or 1.0
    found = [Group(word, len(x), math.fsum(x) / len(x), math.fsum(x) / total) for word, x in words.items()]
    return sorted(found, key=lambda group: (-group.surprise, group.name))


def often(groups: Sequence[Group], least: int) -> list[Group]:
    """Keep groups that occur at least this often, or all if none does: single occurrences say little."""
    return [group for group in groups if group.count >= least] or list(groups)


def sentence(seen: Sequence[Seen]) -> str:
    """Say which characters surprised the model."""
    letters = [f"{visible(g.name)} ({g.surprise:.1f})" for g in often(by_character(seen), 5)[:5]]
    kind = max(by_kind(seen), key=lambda group: group.share)
    return (
        f"The characters that surprised it most, in nats: {', '.join(letters)}. "
        f"{kind.share:.0%} of all surprise is about {_PLURALS.get(kind.name, kind.name)}."
    )


_PLURALS = {"first letter of a word": "first letters of words", "later letters of a word": "later letters of words",
            "space": "spaces", "line end": "line ends", "digit": "digits", "other sign": "other signs"}  # fmt: skip


# --- as text ----------------------------------------------------------------------------------------------------------

_GLYPHS = {"\n": "⏎", " ": "␣", "\t": "⇥", "\r": "␍"}
# Of the 256 terminal colors; the background shows the level, on black and on white screens.
_ANSI = ("", "\x1b[38;5;16;48;5;223m", "\x1b[38;5;16;48;5;215m", "\x1b[38;5;16;48;5;208m", "\x1b[1;38;5;231;48;5;124m")
_PLAIN = "\x1b[0m"


def visible(character: str) -> str:
    """Make a character visible.

    >>> visible("a"), visible("\\n"), visible(" ")
    ('a', '⏎', '␣')
    """
    return _GLYPHS.get(character, character if character.isprintable() else f"U+{ord(character):04X}")


def colored(first: str, seen: Sequence[Seen]) -> str:
    """Return the text with a background that shows how surprising each character was, and a legend."""
    parts = [console.visible(first)]
    for one in seen:
        character = console.visible(one.character)
        if not one.level:
            parts.append(character)
        elif character == "\n":
            parts.append(f"{_ANSI[one.level]}⏎{_PLAIN}\n")
        else:
            parts.append(f"{_ANSI[one.level]}{character}{_PLAIN}")
    legend = "  ".join(f"{code}{words}{_PLAIN if code else ''}" for code, words in zip(_ANSI, LEVEL_WORDS, strict=True))
    return f"{''.join(parts).rstrip(chr(10))}\n\nThe probability that the model gave:\n{legend}"


def context(text: Sequence[str], i: int) -> str:
    """Character number ``i`` of a text in brackets, with the characters before and after it, on one line.

    >>> context("to\\nbe", 3)
    'to⏎[b]e'
    """
    before, after = (
        "".join(c if c == " " else visible(c) for c in part) for part in (text[max(0, i - 21) : i], text[i + 1 : i + 9])
    )
    return f"{before}[{visible(text[i])}]{after}"


def most_surprising(first: str, seen: Sequence[Seen], count: int) -> str:
    """The most surprising characters, each on a line with what comes before and what was expected."""
    text = [first, *(one.character for one in seen)]
    worst = heapq.nsmallest(count, range(len(seen)), key=lambda i: (seen[i].probability, i))
    rows = [f"{'nats':>6} {'chance':>8}  {'read':<5}{'expected':<17}in"]
    for i in worst:
        one = seen[i]
        expected = "  ".join(f"{visible(c)} {p:.0%}" for c, p in one.likeliest[:2])
        rows.append(
            f"{one.surprise:>6.2f} {f'{one.probability:.3%}':>8}  {visible(one.character):<5}{expected:<17}"
            f"{context(text, i + 1)}"
        )
    return "\n".join(rows)


def table(title: str, groups: Sequence[Group], count: str = "count") -> str:
    """List groups in lines of at most 80 columns."""
    rows = [f"{title:<34}{count:>9}{'nats':>9}{'of all surprise':>18}"]
    for group in groups:
        name = visible(group.name) if len(group.name) == 1 else group.name
        name = name if len(name) <= 33 else f"{name[:32]}…"
        rows.append(f"{name:<34}{group.count:>9,}{group.surprise:>9.2f}{group.share:>18.1%}")
    return "\n".join(rows)
