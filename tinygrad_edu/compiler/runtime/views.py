"""Strided views: where the elements of an access are in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..program.ir import Access


@dataclass
class View:
    """Memory read with a stride in bytes for every loop; a stride of 0 does not move.

    Attributes:
        base: an array whose first element is that of the first point.
        strides: one per loop, the lanes' last.
    """

    base: Any
    strides: list[int]

    @classmethod
    def of(cls, array: Any, drop_ones: bool = False) -> View:
        """Make a view of a whole array; on request, without strides along axes of length 1."""
        return cls(array, [0 if drop_ones and n == 1 else s for n, s in zip(array.shape, array.strides, strict=True)])

    @classmethod
    def access(cls, array: Any, x: Access, loops: Sequence[int], has_lanes: bool, lanes: bool) -> View:
        """View the elements of an access to ``array``, whose last axis is the lanes if it has lanes."""
        axes = array.strides[: len(x.offset)]
        strides = [
            0 if n == 1 else sum(row[loop] * s for row, s in zip(x.steps, axes, strict=True))
            for loop, n in enumerate(loops)
        ]
        if lanes:
            strides.append(array.strides[-1] if has_lanes and array.shape[-1] > 1 else 0)
        return cls(array[(*(slice(start, None) for start in x.offset), ...)], strides)

    def take(self, dims: Sequence[int]) -> View:
        """Return the view along some of the loops."""
        return View(self.base, [self.strides[d] for d in dims])

    def array(self, shape: Sequence[int]) -> Any:
        """Return the numpy array."""
        return np.lib.stride_tricks.as_strided(self.base, tuple(shape), tuple(self.strides))


def merged(shape: Sequence[int], views: Sequence[Any], as_views: bool = False) -> Any:
    """Return the views as arrays with as few axes as possible: outer ones first, neighboring ones merged.

    ``views`` may contain plain numbers, which stay what they are. The first view determines the order.
    """
    real = [v for v in views if isinstance(v, View)]
    dims = [d for d, n in enumerate(shape) if n > 1]
    dims.sort(key=lambda d: tuple(-abs(v.strides[d]) for v in real))
    sizes: list[int] = []
    steps: list[list[int]] = []  # per merged axis, a step for every view
    for d in dims:
        own = [v.strides[d] for v in real]
        if sizes and all(before == s * shape[d] for before, s in zip(steps[-1], own, strict=True)):
            sizes[-1] *= shape[d]
            steps[-1] = own
        else:
            sizes.append(shape[d])
            steps.append(own)
    result: list[Any] = []
    which = iter(range(len(real)))
    for v in views:
        if isinstance(v, View):
            i = next(which)
            small = View(v.base, [axis[i] for axis in steps])
            result.append(small if as_views else small.array(sizes))
        else:
            result.append(v)
    return (result, sizes) if as_views else result
