"""Random numbers for a program: those of an example do not depend on how the batch is split.

A generator is a stream of 64-bit words, each of them two draws. Every array takes its words from the stream example by
example; a thread that computes some of the examples skips the words of the others (Brown 1994, "Random number
generation with arbitrary strides", which numpy's generator has as ``advance``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..program.ir import Array
from .axis_order import LANES


@dataclass(frozen=True)
class Share:
    """Some neighboring examples of a batch.

    Attributes:
        first: the number of the first one.
        size: the number of examples.
        examples: the size of the whole batch.
    """

    first: int
    size: int
    examples: int

    @classmethod
    def whole(cls, examples: int) -> Share:
        """All of them."""
        return cls(0, examples, examples)

    def split(self, parts: int) -> list[Share]:
        """Split into at most this many shares, each with at least one example, the larger ones first.

        >>> [share.size for share in Share.whole(11).split(3)]
        [4, 4, 3]
        """
        parts = min(parts, self.size)
        sizes = [self.size // parts + (i < self.size % parts) for i in range(parts)]
        return [Share(self.first + sum(sizes[:i]), size, self.examples) for i, size in enumerate(sizes)]


def dropout_mask(random: np.random.Generator, shape: Sequence[int], p: float, share: Share | None) -> Any:
    """Return whether each number is kept, with probability 1 − p: shape ``(examples of the share, *shape)``.

    Without a share the array has no examples, and the numbers are the same for all of them.

    >>> both = dropout_mask(np.random.default_rng(1), (3,), 0.5, Share.whole(2))
    >>> second = dropout_mask(np.random.default_rng(1), (3,), 0.5, Share(1, 1, 2))
    >>> both.shape, bool((both[1] == second[0]).all())
    ((2, 3), True)
    """
    share = share or Share.whole(1)
    size = math.prod(shape)
    words = -(-size // 2)
    stream: Any = random.bit_generator
    if share.first:
        stream.advance(share.first * words)
    draws = stream.random_raw(share.size * words).view(np.uint32).reshape(share.size, 2 * words)[:, :size]
    rest = share.examples - share.first - share.size
    if rest:
        stream.advance(rest * words)
    dropped = min(round(p * 2**32), 2**32 - 1)  # of all possible draws
    return (draws >= np.uint32(dropped)).reshape(share.size, *shape)


def mask_of(array: Array, random: np.random.Generator, order: Sequence[int], share: Share) -> Any:
    """Return which numbers of a ``random`` array are kept, axes in the order of the program, the lanes last if it has
    any.

    They are drawn in ``order``, which is that of :func:`.axis_order.orders`: so they are the same on every back end.
    """
    p, _ = array.data
    axes = [axis for axis in order if axis != LANES]
    draws = dropout_mask(random, [array.shape[axis] for axis in axes], p, share if array.lanes else None)
    draws = draws.transpose([*(1 + axes.index(axis) for axis in range(len(axes))), 0])
    return draws if array.lanes else draws[..., 0]
