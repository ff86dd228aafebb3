"""A report on a text before training, made in passes over its pieces, so that it may be of any size."""

from __future__ import annotations

import math
import textwrap
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

import numpy as np

from tinygrad_edu.errors import brief

from .text import Facts, Text, code_points, watched

__all__ = ["COMMON", "LONG", "MOST_HASHES", "RARE", "SHOWN", "SMALL", "Position", "Repeats", "Report", "report"]

LONG = 20  # characters; shorter lines repeat in any text ("ROMEO:")
RARE = 20  # a character that occurs less often can hardly be learned
SHOWN, COMMON = 20, 100  # rare characters and frequent ones
SMALL = 100_000  # characters; a model soon memorizes a shorter text
MOST_HASHES = 1 << 18  # lines; if there are more, every second one is dropped, repeatedly

_INVISIBLE = {
    "Cc": "control character",
    "Cf": "invisible character",
    "Co": "private character",
    "Cn": "unassigned character",
}
_VIRAMA = 9  # the combining class of the signs that join two letters of an Indian script
_SIGNS = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2"  # Arabic and Syriac, of kind Cf, yet seen


@dataclass(frozen=True)
class Position:
    """The first position of something, counted from 1."""

    line: int
    column: int


@brief
@dataclass(frozen=True)
class Repeats:
    """How much of a text occurs more than once.

    Attributes:
        unit: "lines" or "paragraphs", of at least :data:`LONG` characters.
        total: how many there are.
        again: share of them that appeared earlier in the text.
        leaked: share of those of the validation part that the training part has too.
        every: the shares are those of one line in this many, chosen by a hash of their characters.
    """

    unit: str
    total: int
    again: float
    leaked: float
    every: int


@brief
@dataclass(frozen=True)
class Report:
    """The facts about a text.

    Attributes:
        name: of the text.
        bytes: its size on disk.
        files: the number of files.
        facts: its characters and alphabet.
        lines: the number of lines; the longest is number ``longest_line`` with ``longest`` characters.
        decomposed: lines that Unicode's NFC would change.
        line_ends: how often each kind occurs in the files: ``"\\n"``, ``"\\r\\n"``, ``"\\r"``.
        rare: the rarest characters, with their first positions.
        unseen: characters of the validation part that the training part does not have.
        repeats: repeated lines and paragraphs.
        documents: if lines are documents, the number of those with characters, and the length of the shortest.
    """

    name: str
    bytes: int
    files: int
    facts: Facts
    lines: int
    longest: int
    longest_line: int
    decomposed: int
    line_ends: dict[str, int]
    rare: dict[str, Position]
    unseen: str
    repeats: tuple[Repeats, Repeats]
    documents: tuple[int, int] | None = None

    @property
    def split(self) -> int:
        """Where the validation part begins."""
        return self.facts.characters * 9 // 10

    @cached_property
    def entropy(self) -> float:
        """The entropy of single characters, in nats: the loss of a model that knows only how often each occurs."""
        total = self.facts.characters
        return -math.fsum(n / total * math.log(n / total) for n in self.facts.counts.values())

    @cached_property
    def joiners(self) -> frozenset[str]:
        """The invisible characters that this text needs.

        Persian and other scripts from right to left, the scripts of India and emoji are written with U+200C and U+200D;
        marks of direction belong to a text that runs from right to left, and tags to the flags among emoji.
        """
        right_to_left = any(unicodedata.bidirectional(c) in ("R", "AL") for c in self.facts.counts)
        indic = any(unicodedata.combining(c) == _VIRAMA for c in self.facts.counts)
        pictures = any(c > "\u2190" and unicodedata.category(c) == "So" for c in self.facts.counts)
        found = "\u200c\u200d" * (right_to_left or indic or pictures) + "\u200e\u200f\u061c" * right_to_left
        return frozenset(found) | frozenset(map(chr, range(0xE0020, 0xE0080) if pictures else ()))

    @cached_property
    def kinds(self) -> dict[str, int]:
        """Invisible characters per kind that no script needs, except tabs and line ends."""
        found: Counter[str] = Counter()
        for character, count in self.facts.counts.items():
            kind = _INVISIBLE.get(unicodedata.category(character))
            if kind and character not in "\n\t" and character not in self.joiners and character not in _SIGNS:
                found[kind] += count
        return dict(found)

    def advice(self) -> list[str]:
        """A sentence for each problem: what it does to a model, and what to do."""
        counts, lines, paragraphs = self.facts.counts, *self.repeats
        rare = [c for c, count in counts.items() if count < RARE and c not in self.joiners]
        mixed = [f"{_shown(end)} {_number(n, 'time')}" for end, n in self.line_ends.items() if n]
        found = []
        if self.facts.characters < SMALL:
            found.append(
                f"With {self.facts.characters:,} characters the text is small: a model will soon memorize it. "
                f"Use a small preset and --patience 3, or more text."
            )
        if rare:
            them, stand = ("it", "stands") if len(rare) == 1 else ("them", "stand")
            plainer = "Try --normalize nfkc,ascii-punctuation, or take" if any(c > "~" for c in rare) else "Take"
            found.append(
                f"{_number(len(rare), 'character')} of the alphabet of {len(counts):,} {stand} in the text fewer than "
                f"{RARE} times: a model cannot learn {them}, but computes a probability for each at every step. "
                f"{plainer} {them} out."
            )
        if self.unseen:
            found.append(
                f"{_number(len(self.unseen), 'character')} stand{'s' * (len(self.unseen) == 1)} in the validation part "
                f"only ({_some(self.unseen)}): no model can expect what it has never read. "
                f"Mix the parts of the text better."
            )
        if self.decomposed:
            found.append(
                f"{_number(self.decomposed, 'line')} would be different in Unicode's NFC: the same letter may be "
                f"written in two ways, and a model takes them for two. Use --normalize nfc."
            )
        if len(mixed) > 1:
            found.append(
                f"Line ends are mixed: {', '.join(mixed)}. \\r\\n is read as \\n always"
                + ("; a \\r alone stays what it is: replace it." if self.line_ends["\r"] else ".")
            )
        elif self.line_ends["\r"]:
            found.append(
                "Lines end in \\r, as on very old Macintoshes: the text is one line to us. Replace \\r by \\n."
            )
        if self.kinds:
            what = ", ".join(_number(count, kind) for kind, count in self.kinds.items())
            found.append(f"Invisible characters, on which a model wastes effort: {what}. Remove them.")
        if "\ufffd" in counts:
            found.append(
                f"U+FFFD stands in the text {_number(counts[chr(0xFFFD)], 'time')}: characters that an earlier program "
                f"could not read. Make the text again from its source."
            )
        for repeats in (lines, paragraphs):
            if repeats.again > 0.05:
                found.append(
                    f"{repeats.again:.0%} of the long {repeats.unit} appeared earlier in the text: a model learns "
                    f"these by heart first. Keep each once, unless you want to model repetition."
                )
                break
        if lines.leaked > 0.05:
            found.append(
                f"{lines.leaked:.0%} of the long lines of the validation part are in the training part too: the "
                f"validation loss will flatter the model. Remove the duplicates before you compare losses."
            )
        if self.longest > 10_000:
            found.append(f"Line {self.longest_line:,} has {self.longest:,} characters: is it text, or stray data?")
        return found

    def _about_documents(self, count: int, shortest: int) -> list[str]:
        characters = self.facts.characters - self.facts.counts.get("\n", 0)
        train = count * 9 // 10
        return [
            f"Every line is a document: {count:,} of {shortest:,} to {self.longest:,} characters, "
            f"{characters / max(1, count):.1f} on average; a context of {self.longest + 1:,} holds any of them",
            f"Shuffled; training part: {_number(train, 'document')}; validation part: the other {count - train:,}",
        ]

    def __str__(self) -> str:
        facts, lines = self.facts, []
        total = facts.characters
        files = f" in {self.files:,} files" if self.files > 1 else ""
        lines.append(f"{self.name}: {total:,} characters, {self.bytes:,} bytes{files}, {_number(self.lines, 'line')}")
        lines.append(
            f"The longest line has {_number(self.longest, 'character')} (line {self.longest_line:,}); line ends: "
            + (", ".join(f"{n:,} {_shown(end)}" for end, n in self.line_ends.items() if n) or "none")
        )
        last = total - self.split
        if self.documents is None:
            lines.append(f"Training part: {_number(self.split, 'character')}; validation part: the last {last:,}")
        else:
            lines += self._about_documents(*self.documents)
        lines.append(
            f"Counting single characters leaves {self.entropy:.3f} nats per character "
            f"({self.entropy / math.log(2):.3f} bits), of {math.log(len(facts.counts)):.3f} with nothing known"
        )
        lines.append("")
        for repeats in self.repeats:
            share = f" (of one in {repeats.every})" if repeats.every > 1 else ""
            leaked = f", {repeats.leaked:.1%} of those for validation are in the training part too"
            lines.append(
                f"Long {repeats.unit} (from {LONG} characters on): {repeats.total:,}; {repeats.again:.1%} appeared "
                f"earlier in the text{leaked if self.documents is None else ''}{share}"
            )
        lines.append("")
        lines.append(f"Alphabet of {len(facts.counts):,}, the most frequent first:")
        common = sorted(facts.counts.items(), key=lambda item: (-item[1], item[0]))
        cells = [f"{_shown(c):>8} {n / total:>8.3%}" for c, n in common[:COMMON]]
        lines += ["".join(cells[i : i + 4]) for i in range(0, len(cells), 4)]
        if len(common) > COMMON:
            lines.append(f"  and {len(common) - COMMON:,} more")
        if self.rare:
            through = ", lines counted through all files" if self.files > 1 else ""
            lines += ["", f"Rarest characters (fewer than {RARE} times), with where they first appear{through}:"]
            for character, place in self.rare.items():
                count = facts.counts[character]
                lines.append(
                    f"{_shown(character):>8}  {count:>3}×  line {place.line:,}, column {place.column:,}  "
                    f"{unicodedata.name(character, '')}".rstrip()
                )
        lines.append("")
        advice = self.advice()
        if advice:
            lines += ["What to do:", *(textwrap.fill(f"- {sentence}", 80, **_ITEM) for sentence in advice)]
        else:
            lines.append("Nothing unusual: train on it.")
        return "\n".join(lines)


_ITEM: dict[str, Any] = {
    "initial_indent": "  ", "subsequent_indent": "    ", "break_on_hyphens": False, "break_long_words": False,
}  # fmt: skip


def report(text: Text) -> Report:
    """Examine a text. Raises DataError if it cannot be read."""
    facts = text.facts
    # Which documents are for validation is decided by chance: they are no part of the text.
    split = facts.characters if text.documents else facts.characters * 9 // 10
    by_rarity = sorted((n, c) for c, n in facts.counts.items() if n < RARE)[:SHOWN]
    sought = {c for _, c in by_rarity}
    found: dict[str, Position] = {}
    in_training = np.zeros(0x110000, dtype=bool)
    tally = _Lines(split)
    for piece in watched(text, "Looking"):
        in_training[code_points(piece[: max(0, split - tally.position)])] = True
        for character in [c for c in sought if c in piece]:
            at = piece.index(character)
            start = piece.rfind("\n", 0, at)
            column = at - start if start >= 0 else tally.length + at + 1
            found[character] = Position(tally.number + piece.count("\n", 0, at), column)
            sought.discard(character)
        tally.read(piece)
    tally.end()
    return Report(
        name=text.name,
        bytes=text.size,
        files=len(text.parts),
        facts=facts,
        lines=tally.number if tally.length else tally.number - 1,
        longest=tally.longest,
        longest_line=tally.longest_line,
        decomposed=tally.decomposed,
        line_ends=_line_ends(text.raw()),
        rare={c: found[c] for _, c in by_rarity},
        unseen="".join(c for c in facts.counts if not in_training[ord(c)]),
        repeats=(tally.lines.result("lines"), tally.paragraphs.result("paragraphs")),
        documents=(tally.count, tally.shortest) if text.documents else None,
    )


class _Lines:
    """Goes through a text line by line without ever holding a whole line."""

    def __init__(self, split: int) -> None:
        self._split = split
        self.position = 0  # characters read
        self.number, self.length = 1, 0  # of the current line
        self.longest, self.longest_line, self.decomposed = 0, 1, 0
        self.count, self.shortest = 0, 0  # of lines with characters
        self.lines, self.paragraphs = _Hashes(), _Hashes()
        self._line, self._paragraph = _Unit(0), _Unit(0)
        self._is_decomposed = False

    def read(self, piece: str) -> None:
        composed = unicodedata.is_normalized("NFC", piece)
        for number, part in enumerate(piece.split("\n")):
            if number:
                self._end_of_line()
                self.position += 1
                self.number, self.length = self.number + 1, 0
                self._line = _Unit(self.position)
            if part:
                self._line.add(part)
                self.position += len(part)
                self.length += len(part)
                self._is_decomposed |= not composed and not unicodedata.is_normalized("NFC", part)

    def end(self) -> None:
        self._end_of_line()
        self._end_of_paragraph()

    def _end_of_line(self) -> None:
        if self.length > self.longest:
            self.longest, self.longest_line = self.length, self.number
        if self.length:
            self.shortest = min(self.length, self.shortest or self.length)
            self.count += 1
        self.decomposed += self._is_decomposed
        self._is_decomposed = False
        digest = self._line.digest()
        self.lines.see(self._line, digest, self._split)
        if not self.length:
            self._end_of_paragraph()
        elif not self._paragraph.length:
            self._paragraph = _Unit(self._line.start)
        if self.length:
            self._paragraph.add_digest(digest, self.length)

    def _end_of_paragraph(self) -> None:
        self.paragraphs.see(self._paragraph, self._paragraph.digest(), self._split)
        self._paragraph = _Unit(0)


class _Unit:
    """A line or a paragraph, identified by a hash of its characters."""

    def __init__(self, start: int) -> None:
        self.start, self.length, self._hash = start, 0, blake2b(digest_size=8)

    def add(self, part: str) -> None:
        self._hash.update(part.encode())
        self.length += len(part)

    def add_digest(self, digest: bytes, length: int) -> None:
        self._hash.update(digest)
        self.length += length

    def digest(self) -> bytes:
        return self._hash.digest()


class _Hashes:
    """How often each line occurs in the two parts of a text, for a bounded number of different lines."""

    def __init__(self) -> None:
        self._total, self._every = 0, 1
        self._counts: tuple[Counter[int], Counter[int]] = Counter(), Counter()

    def see(self, unit: _Unit, digest: bytes, split: int) -> None:
        if unit.length < LONG:
            return
        self._total += 1
        number = int.from_bytes(digest, "big")
        if number % self._every:
            return  # all copies of a line are dropped together, so the shares are preserved
        self._counts[unit.start >= split][number] += 1
        while sum(map(len, self._counts)) > MOST_HASHES:
            self._every *= 2
            for counts in self._counts:
                for other in [n for n in counts if n % self._every]:
                    del counts[other]

    def result(self, unit: str) -> Repeats:
        train, val = self._counts
        seen, seen_val = train.total() + val.total(), val.total()
        different = len(train.keys() | val.keys())
        leaked = sum(n for number, n in val.items() if number in train)
        return Repeats(
            unit,
            self._total,
            (seen - different) / seen if seen else 0.0,
            leaked / seen_val if seen_val else 0.0,
            self._every,
        )


def _line_ends(pieces: Iterator[str]) -> dict[str, int]:
    found = {"\n": 0, "\r\n": 0, "\r": 0}
    before = ""
    for piece in pieces:
        both = piece.count("\r\n") + (before == "\r" and piece.startswith("\n"))
        found["\r\n"] += both
        found["\n"] += piece.count("\n") - both
        found["\r"] += piece.count("\r") - both
        before = piece[-1:] or before
    return found


def _shown(character: str) -> str:
    """Write a character in quotes; a line end or an invisible one as its escape."""
    if character.isprintable() and not unicodedata.combining(character[0]):
        return f"'{character}'"
    return character.encode("unicode_escape").decode() if character < "\x80" else f"U+{ord(character):04X}"


def _some(characters: str, most: int = 10) -> str:
    rest = len(characters) - most
    return " ".join(map(_shown, characters[:most])) + (f" and {rest:,} more" if rest > 0 else "")


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"
