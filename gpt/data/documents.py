"""Texts whose lines are documents, such as names: each is read from its start, and none runs into the next.

A part of such a text is a line end, followed by the documents, each with its line end. Documents contain no other line
ends, so one token precedes and ends every document, as in makemore; its positions define the documents.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from tinygrad_edu.errors import brief

from .token_file import Array, Tokens

__all__ = ["END", "Windows", "documents_in", "joined", "lengths", "predicted", "spans", "windows"]

END = "\n"


def documents_in(tokens: Tokens, end: int) -> list[Array]:
    """Return the documents of a text, each with its end; empty lines are ignored."""
    array = tokens.array(0, len(tokens))
    if len(array) and array[-1] != end:
        array = np.append(array, np.array(end, array.dtype))
    ends = np.flatnonzero(array == end)
    starts = np.concatenate([[0], ends[:-1] + 1]).astype(np.int64)[: len(ends)]
    return [array[start : stop + 1] for start, stop in zip(starts, ends, strict=True) if stop > start]


def joined(documents: Sequence[Array], end: int) -> Tokens:
    """Return documents as one row of tokens that begins with an end.

    >>> list(joined([np.array([1, 2, 0]), np.array([2, 0])], 0))
    [0, 1, 2, 0, 2, 0]
    """
    return Tokens(np.concatenate([np.array([end], documents[0].dtype), *documents]))


def lengths(tokens: Sequence[int], end: int) -> Array:
    """Return the lengths of joined documents, including their ends."""
    array = tokens.array(0, len(tokens)) if isinstance(tokens, Tokens) else np.array(tokens)
    return np.diff(np.flatnonzero(array == end))


def spans(tokens: Sequence[int], end: int | None) -> Iterator[tuple[int, int]]:
    """Yield the spans to read at once: the positions of the first token, and of the last one that is predicted.

    A text without ends is a single span.

    >>> list(spans([0, 1, 2, 0, 2, 0], 0)), list(spans([0, 1, 2, 0, 2, 0], None))
    ([(0, 3), (3, 5)], [(0, 5)])
    """
    start, last = 0, len(tokens) - 1
    for i, token in enumerate(tokens if end is not None else ()):
        if token == end and i > start:
            yield start, i
            start = i
    if start < last:
        yield start, last


@brief
@dataclass(frozen=True, eq=False)
class Windows(Sequence[tuple[list[Any], ...]]):
    """Documents as (tokens, targets, weights), each of length block_size, so that one program serves all lengths.

    A shorter document is padded with ends of weight 0; the other weights are all equal, such that the
    mean loss of all windows is the mean over all targets that count. A longer one is cut into several windows.

    Attributes:
        tokens: the documents, joined.
        end: the token at which each ends.
        block_size: the length of a window.
        starts: where each window begins.
        counts: how many of its targets count.
    """

    tokens: Tokens
    end: int
    block_size: int
    starts: Array
    counts: Array
    weight: float

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, index: int) -> tuple[list[Any], ...]: ...
    @overload
    def __getitem__(self, index: slice) -> Windows: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return dataclasses.replace(self, starts=self.starts[index], counts=self.counts[index])
        start, count = int(self.starts[index]), int(self.counts[index])
        rest = self.block_size - count
        read, after = ([*self.tokens[i : i + count], *[self.end] * rest] for i in (start, start + 1))
        return read, after, [self.weight] * count + [0.0] * rest

    def some(self, which: Sequence[int]) -> Windows:
        """Return these windows, with weights that average over them."""
        starts, counts = self.starts[which], self.counts[which]
        return dataclasses.replace(self, starts=starts, counts=counts, weight=len(counts) / int(counts.sum()))


def predicted(sequence: Sequence[list[Any]]) -> int:
    """Return how many targets of a sequence count: all, or those with a weight.

    >>> predicted(([1, 2], [2, 3])), predicted(([1, 0], [0, 0], [0.5, 0.0]))
    (2, 1)
    """
    return sum(map(bool, sequence[2])) if len(sequence) > 2 else len(sequence[0])


def windows(tokens: Tokens, block_size: int, end: int) -> Windows:
    """Return all windows of joined documents; every token but the first is the target of exactly one.

    >>> found = windows(joined([np.array([1, 2, 0]), np.array([2, 0])], 0), 2, 0)
    >>> [read for read, _, _ in found], [after for _, after, _ in found]
    ([[0, 1], [2, 0], [0, 2]], [[1, 2], [0, 0], [2, 0]])
    """
    sizes = lengths(tokens, end)
    per_document = -(-sizes // block_size)
    stops = np.repeat(np.cumsum(sizes), per_document)
    before = np.repeat(np.cumsum(per_document) - per_document, per_document)
    starts = stops - np.repeat(sizes, per_document) + (np.arange(len(before)) - before) * block_size
    counts = np.minimum(stops - starts, block_size)
    return Windows(tokens, end, block_size, starts, counts, len(counts) / max(1, int(counts.sum())))
