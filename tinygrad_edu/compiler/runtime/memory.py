"""Memory aligned to cache lines, so that a vector load never straddles two lines, and large arrays to pages.

A product of two arrays in the cache takes half the time of one on memory as numpy allocates it, aligned only to 16
bytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

#: The length of a cache line, and of the longest vector registers, in bytes.
LINE = 64


#: The length of a large page of memory. Linux gives them to arrays of numpy of at least two of them; with the usual
#: pages of 4096 bytes, the processor spends more of its time looking up where the rows of a large matrix are.
PAGE = 1 << 21

#: Rows that are a multiple of so many bytes apart compete for the same places in a cache.
CONFLICT = 4096

#: How many rows are that.
MANY_ROWS = 8


def spread(shape: Sequence[int], item: int) -> tuple[list[int], int]:
    """Return strides for an array in C order, and how many elements it takes, in elements of ``item`` bytes.

    Rows that would compete for the same places in a cache, as those of a power of two of bytes do, are one line
    further apart.

    >>> spread((9, 1024), 4)
    ([1040, 1], 9360)
    >>> spread((9, 1000), 4)
    ([1000, 1], 9000)
    """
    strides: list[int] = []
    size = 1
    for n in reversed(shape):
        if n > MANY_ROWS and (size * item) % CONFLICT == 0:
            size += LINE // item
        strides.append(size)
        size *= n
    return strides[::-1], size


def empty(shape: Sequence[int], dtype: Any) -> Any:
    """Make an array in C order with undefined content.

    >>> empty((3, 5), "float32").ctypes.data % LINE
    0
    """
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    align = PAGE if size >= PAGE // 2 else LINE
    memory = np.empty(size + align if align == LINE else max(size + align, 2 * PAGE), np.uint8)
    start = -memory.ctypes.data % align
    return memory[start : start + size].view(dtype).reshape(shape)


def zeros(shape: Sequence[int], dtype: Any) -> Any:
    """Make an array of zeros."""
    return copy(np.zeros((), dtype), shape)


def copy(values: Any, shape: Sequence[int] | None = None) -> Any:
    """Copy an array, broadcast to ``shape`` if that is given."""
    array = empty(values.shape if shape is None else shape, values.dtype)
    np.copyto(array, values)
    return array
