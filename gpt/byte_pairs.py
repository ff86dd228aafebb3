"""GPT-2's tokens: pieces of words, down to single bytes, so that there is no text that it cannot read.

A text is split into pieces by a pattern. The bytes of each piece are merged, two neighbors at a time, in the order in
which the merges were learned (byte pair encoding: Sennrich et al. 2016; on bytes: Radford et al. 2019, section 2.2).
Files write a byte as a printable letter, see :data:`LETTERS`.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from .errors import DataError, UnknownCharacterError

__all__ = ["END_OF_TEXT", "LETTERS", "BytePairTokenizer", "pieces"]

END_OF_TEXT = "<|endoftext|>"  # the token between two documents

_SHOWN = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
#: How files write each byte: as the Latin-1 letter it is, and the 68 that are blank or invisible from U+0100 on.
LETTERS = {byte: chr(byte) for byte in _SHOWN}
LETTERS |= {byte: chr(0x100 + i) for i, byte in enumerate(byte for byte in range(256) if byte not in LETTERS)}
_BYTES = {letter: byte for byte, letter in LETTERS.items()}


class BytePairTokenizer:
    """One token per entry of a vocabulary.

    Args:
        vocabulary: the number of each token, 0 to one less than there are; all 256 bytes are among them.
        merges: pairs of tokens, the earliest first; each pair together is a token too.

    Raises DataError for a vocabulary that is not of that kind.

    >>> vocabulary = {letter: byte for byte, letter in LETTERS.items()} | {"at": 256, "cat": 257}
    >>> tokenizer = BytePairTokenizer(vocabulary, [("a", "t"), ("c", "at")])
    >>> tokenizer.encode("cat at é")
    [257, 32, 256, 32, 195, 169]
    >>> tokenizer.decode([257, 32, 195, 169])
    'cat é'
    """

    def __init__(self, vocabulary: Mapping[str, int], merges: Sequence[tuple[str, str]]) -> None:
        if sorted(vocabulary.values()) != [*range(len(vocabulary))]:
            raise DataError(f"the {len(vocabulary):,} tokens must be numbered 0 to {len(vocabulary) - 1:,}, each once")
        if missing := [byte for byte, letter in LETTERS.items() if letter not in vocabulary]:
            raise DataError(
                f"a vocabulary must hold all 256 bytes; got one without {LETTERS[missing[0]]!r} for byte {missing[0]}"
            )
        for pair in merges:
            if odd := [part for part in (*pair, "".join(pair)) if part not in vocabulary]:
                raise DataError(f"{' '.join(pair)!r} is among the merges, and {odd[0]!r} is not in the vocabulary")
        self.vocabulary, self.merges = dict(vocabulary), list(merges)
        self._rank = {pair: rank for rank, pair in enumerate(merges)}
        self._bytes = [_bytes(token) for token in sorted(vocabulary, key=vocabulary.__getitem__)]
        self._known: dict[str, list[int]] = {}  # pieces that were merged before

    @property
    def vocab_size(self) -> int:
        """The number of different tokens."""
        return len(self._bytes)

    @property
    def end(self) -> int | None:
        """The token between two documents; None if the vocabulary has none."""
        return self.vocabulary.get(END_OF_TEXT)

    @property
    def beginning(self) -> list[int]:
        """What a text starts from without a prompt: the end of the text before it, or else a new line."""
        return self.encode("\n") if self.end is None else [self.end]

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text; UnknownCharacterError for half a character, which no UTF-8 text has."""
        found: list[int] = []
        for piece in pieces(text):
            if piece not in self._known:
                try:
                    self._known[piece] = self._merged([LETTERS[byte] for byte in piece.encode()])
                except UnicodeEncodeError as error:
                    at = error.object[error.start]
                    raise UnknownCharacterError(f"U+{ord(at):04X} is no character, and a text has only such") from None
            found += self._known[piece]
        return found

    def _merged(self, parts: list[str]) -> list[int]:
        while len(parts) > 1:
            first = min(pairwise(parts), key=lambda pair: self._rank.get(pair, len(self._rank)))
            if first not in self._rank:
                break
            merged, at = [], 0
            while at < len(parts):
                both = tuple(parts[at : at + 2]) == first
                merged.append("".join(first) if both else parts[at])
                at += 1 + both
            parts = merged
        return [self.vocabulary[part] for part in parts]

    def decode(self, tokens: Iterable[int]) -> str:
        """Return the text of tokens, with U+FFFD for bytes that are no character; IndexError for what is no token."""
        return "".join(self.stream(tokens))

    def stream(self, tokens: Iterable[int]) -> Iterator[str]:
        """Yield the characters of tokens, each as soon as its last byte has come."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for token in tokens:
            if not 0 <= token < len(self._bytes):
                raise IndexError(f"token {token} is not in 0 to {len(self._bytes) - 1}")
            yield from decoder.decode(self._bytes[token])
        yield from decoder.decode(b"", final=True)


def _bytes(token: str) -> bytes:
    """Return the bytes of a token; one that was added by hand may be written in other letters than those of bytes."""
    return bytes(map(_BYTES.__getitem__, token)) if _BYTES.keys() >= set(token) else token.encode("utf-8", "replace")


class _Kinds(dict[int, str]):
    """By code point, one character that stands for all of its kind in :data:`_PIECE`."""

    def __missing__(self, code: int) -> str:
        kind = unicodedata.category(chr(code))[0]
        # White_Space of Unicode, of which Python has four more.
        space = chr(code).isspace() and not 0x1C <= code <= 0x1F
        self[code] = "\t" if space else {"L": "L", "N": "0"}.get(kind, ".")
        return self[code]


#: What stands for itself: a space, and what the endings of English words are made of.
_KINDS = _Kinds({ord(c): c for c in " 'strevmld"})
#: GPT-2's pattern, in kinds: endings such as 's, words, numbers, other signs, each with a space before it, and spaces,
#: of which the last one belongs to what follows.
_PIECE = re.compile(r"'(?:s|t|re|ve|m|ll|d)| ?[Lstrevmld]+| ?0+| ?[.']+|\s+(?!\S)|\s+")


def pieces(text: str) -> list[str]:
    r"""Split a text into the pieces within which bytes are merged.

    >>> pieces("I don't  know 12 naïve\ncats.")
    ['I', ' don', "'t", ' ', ' know', ' 12', ' naïve', '\n', 'cats', '.']
    """
    return [text[found.start() : found.end()] for found in _PIECE.finditer(text.translate(_KINDS))]
