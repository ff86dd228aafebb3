"""Convert characters to numbers and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NoReturn

from .errors import DataError, UnknownCharacterError

__all__ = ["CharTokenizer", "shortened"]


class CharTokenizer:
    """One token per character of an alphabet, numbered in the order of the alphabet.

    >>> tokenizer = CharTokenizer.from_text("hello")
    >>> tokenizer.alphabet, tokenizer.encode("hole")
    ('ehlo', [1, 3, 2, 0])
    >>> tokenizer.decode([1, 0, 2, 2, 3])
    'hello'
    """

    def __init__(self, alphabet: str) -> None:
        if not alphabet or len(set(alphabet)) != len(alphabet):
            raise DataError(f"an alphabet needs at least one character and each only once, got {shortened(alphabet)}")
        self.alphabet = alphabet
        self._token = {character: token for token, character in enumerate(alphabet)}

    @classmethod
    def from_text(cls, text: str) -> CharTokenizer:
        """Make a tokenizer from the alphabet of a text, sorted by code point."""
        return cls("".join(sorted(set(text))))

    @property
    def vocab_size(self) -> int:
        """The number of different tokens."""
        return len(self.alphabet)

    @property
    def beginning(self) -> list[int]:
        """What a text starts from without a prompt: a new line, or the first character of the alphabet."""
        return [self._token.get("\n", 0)]

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text; UnknownCharacterError shows a character outside the alphabet and its
        position."""
        try:
            return [self._token[character] for character in text]
        except KeyError:
            self.refuse(text)

    def refuse(self, text: str, position: int = 0, line: int = 1) -> NoReturn:
        """Raise the UnknownCharacterError for the first unknown character of a piece of a text.

        Args:
            text: the piece.
            position, line: where it begins in the text.
        """
        first = next(i for i, character in enumerate(text) if character not in self._token)
        raise UnknownCharacterError(
            f"the character {text[first]!r} (U+{ord(text[first]):04X}) at position {position + first}, "
            f"line {line + text.count(chr(10), 0, first)}, is not in the model's alphabet of {self.vocab_size}: "
            f"{shortened(self.alphabet)}; leave it out, or train a model on a text that has it"
        ) from None

    def decode(self, tokens: Iterable[int]) -> str:
        """Return the text of tokens; raises IndexError for a number that is not a token."""
        return "".join(self.stream(tokens))

    def stream(self, tokens: Iterable[int]) -> Iterator[str]:
        """Yield the character of each token, as soon as it comes."""
        for token in tokens:
            if not 0 <= token < len(self.alphabet):
                raise IndexError(f"token {token} is not in 0 to {len(self.alphabet) - 1}")
            yield self.alphabet[token]


def shortened(alphabet: str, most: int = 200) -> str:
    """Write an alphabet in quotes, its first ``most`` characters if there are many.

    >>> shortened("abc"), shortened("abc", 2)
    ("'abc'", "'ab' and 1 more")
    """
    rest = len(alphabet) - most
    return f"{alphabet[:most]!r} and {rest:,} more" if rest > 0 else repr(alphabet)
