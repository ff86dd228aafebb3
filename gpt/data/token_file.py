"""The tokens of a text: in memory, or, if there are many, in a memory-mapped file.

A token file holds one or two bytes per token and, after the last one, the SHA-256 of them all. It is named after the
text and the alphabet it is made of, so that any run on the same text finds it again; it can be made again at any
time.
"""

from __future__ import annotations

import hashlib
import mmap
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, overload

import numpy as np

from tinygrad_edu.files import atomically, remove_leftovers

from ..errors import DataError
from ..tokenizer import CharTokenizer
from .text import Text, code_points, watched

__all__ = ["AT_ONCE", "IN_MEMORY", "MOST_CHARACTERS", "Array", "Tokens", "check_alphabet", "tokens_of"]

IN_MEMORY = 1 << 24  # bytes; more tokens are kept in a file
AT_ONCE = 1 << 20  # tokens
MOST_CHARACTERS = 1 << 16  # what two bytes can represent
_FORGET_AFTER = 64  # reads: each maps some hundred thousand bytes around it

Array = np.ndarray[Any, np.dtype[Any]]


class Tokens(Sequence[int]):
    """Many small numbers: looks like a list of ints, holds one byte or two for each.

    Args:
        array: the numbers.
        mapped: the mapped file that ``array`` is in, if any.
    """

    def __init__(self, array: Array, mapped: mmap.mmap | None = None) -> None:
        self._array, self._mapped, self._reads = array, mapped, 0

    def __len__(self) -> int:
        return len(self._array)

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> list[int]: ...
    def __getitem__(self, index: int | slice) -> int | list[int]:
        self._reads += 1
        if self._reads % _FORGET_AFTER == 0:
            self._forget()
        found: int | list[int] = self._array[index].tolist()
        return found

    def part(self, start: int, stop: int) -> Tokens:
        """Return the numbers from ``start`` to ``stop``, without copying them."""
        return Tokens(self._array[start:stop], self._mapped)

    def array(self, start: int, stop: int) -> Array:
        """Return a copy of the numbers from ``start`` to ``stop``, as an array."""
        copy = self._array[start:stop].copy()
        self._forget()
        return copy

    def _forget(self) -> None:
        """Release the pages that were read, or a long run would end up with the whole file in memory."""
        if self._mapped is not None and hasattr(mmap, "MADV_DONTNEED"):  # other systems do it when necessary
            self._mapped.madvise(mmap.MADV_DONTNEED)


def tokens_of(text: Text, tokenizer: CharTokenizer, folder: Path, say: Callable[[str], None] = print) -> Tokens:
    """The tokens of a text.

    Args:
        folder: the folder of the file, if there are too many for memory (see :data:`IN_MEMORY`).
        say: called with a message before such a file is made.

    Raises UnknownCharacterError for a character outside the alphabet, and DataError for an alphabet that is too large,
    for a text that changed while it was read, and if the file cannot be written; then no part of it remains.
    """
    if tokenizer.vocab_size > MOST_CHARACTERS:
        raise DataError(
            f"{text.name} has {tokenizer.vocab_size:,} different characters; at most {MOST_CHARACTERS:,} can be told "
            f"apart; is it text in a human language? --normalize nfkc makes them fewer"
        )
    dtype = np.dtype("u1" if tokenizer.vocab_size <= 256 else "<u2")
    count = text.facts.characters
    if count * dtype.itemsize <= IN_MEMORY:
        array = np.empty(count, dtype)
        position = 0
        for tokens in _encoded(text, tokenizer, dtype):
            array[position : position + len(tokens)] = tokens
            position += len(tokens)
        return Tokens(array)
    alphabet = hashlib.sha256(tokenizer.alphabet.encode()).hexdigest()
    path = folder / f"{text.facts.sha256[:32]}-{alphabet[:8]}.tokens"
    try:
        if not _whole(path, count * dtype.itemsize):
            say(f"The text is large: its tokens are written to {path} once ({count * dtype.itemsize / 1e6:,.0f} MB)")
            _write(path, _encoded(text, tokenizer, dtype))
        with open(path, "rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise DataError(
            f"the tokens of {text.name} cannot be kept in {path}: {error.strerror}; make room there, or name another "
            f"folder in the environment variable TINYGRAD_EDU_CACHE"
        ) from None
    return Tokens(np.frombuffer(mapped, dtype, count), mapped)


def check_alphabet(text: Text, tokenizer: CharTokenizer) -> None:
    """Raise UnknownCharacterError, with its place, for a character of the text that is outside the alphabet."""
    if not set(text.facts.alphabet) <= set(tokenizer.alphabet):
        for _ in _encoded(text, tokenizer, np.dtype("<u2")):
            pass


def _encoded(text: Text, tokenizer: CharTokenizer, dtype: np.dtype[Any]) -> Iterator[Array]:
    """Yield the tokens, piece by piece; the text must still match its facts."""
    known = code_points(tokenizer.alphabet)
    table = np.full(0x110000, -1, dtype=np.int32)
    table[known] = np.arange(len(known))
    digest = hashlib.sha256()
    position = lines = 0
    for piece in watched(text, "Numbering"):
        digest.update(piece.encode())
        tokens = table[code_points(piece)]
        if tokens.min() < 0:
            tokenizer.refuse(piece, position, lines + 1)
        position += len(piece)
        lines += piece.count("\n")
        if position > text.facts.characters:
            break
        yield tokens.astype(dtype)
    if digest.hexdigest() != text.facts.sha256:
        raise DataError(f"{text.name} changed while it was read; start again when it no longer changes")


def _write(path: Path, pieces: Iterator[Array]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent)  # those of other texts, too
    digest = hashlib.sha256()
    with _kill_as_interrupt(), atomically(path) as file:
        for tokens in pieces:
            content = tokens.tobytes()
            digest.update(content)
            file.write(content)
        file.write(digest.digest())


@contextmanager
def _kill_as_interrupt() -> Iterator[None]:
    """Let SIGTERM end the block like Ctrl-C, so that no partial file remains."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return

    def handler(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _whole(path: Path, size: int) -> bool:
    """Whether there is an undamaged token file with this many bytes of tokens."""
    try:
        with open(path, "rb") as file:
            digest, left = hashlib.sha256(), size
            while left and (content := file.read(min(AT_ONCE, left))):
                digest.update(content)
                left -= len(content)
            return not left and file.read() == digest.digest()
    except FileNotFoundError:
        return False
