"""Sums of products, with BLAS if they contain a matrix product.

Σ a·b over some loops is, seen from the loops: *batch* loops are in a, b and the output; *rows* are in a and the output,
*columns* in b and the output, *inner* loops in a and b only. With rows or columns and inner loops it is a (batch of)
matrix products; with inner loops alone a weighted sum; with none of them an elementwise product.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from ..runtime import memory
from ..runtime.views import View, merged
from .buffers import Calls


def contract(to: Calls, a: View, b: View, out: View, shape: Sequence[int]) -> None:
    """Add to ``to`` the calls that compute out = Σ a·b over the loops of ``shape`` that ``out`` lacks."""
    a, b = (_converted(to, v, shape) for v in (a, b))
    in_a, in_b, in_out = ([bool(v.strides[d]) for d in range(len(shape))] for v in (a, b, out))
    dims = [d for d, n in enumerate(shape) if n > 1]
    lonely = [d for d in dims if not in_out[d] and in_a[d] != in_b[d]]
    if lonely:  # a sum of one factor alone: added up first
        a, b = (_summed(to, v, [d for d in lonely if v.strides[d]], shape) for v in (a, b))
        shape = [1 if d in lonely else n for d, n in enumerate(shape)]
        contract(to, a, b, out, shape)
        return
    nowhere = [d for d in dims if not (in_a[d] or in_b[d] or in_out[d])]
    inner = [d for d in dims if in_a[d] and in_b[d] and not in_out[d]]
    rows = [d for d in dims if in_a[d] and not in_b[d] and in_out[d]]
    columns = [d for d in dims if in_b[d] and not in_a[d] and in_out[d]]
    batch = [d for d in dims if d not in inner and d not in rows and d not in columns and d not in nowhere]
    if not inner:
        kept = [d for d in dims if d not in nowhere]
        arrays = merged([shape[d] for d in kept], [v.take(kept) for v in (out, a, b)])
        to.call(np.multiply, arrays[1], arrays[2], arrays[0])
    elif not rows and not columns:
        _weighted(to, a, b, out, shape, batch, inner)
    else:
        _matrices(to, a, b, out, shape, batch, rows, columns, inner)
    if nowhere:
        kept = [d for d in dims if in_out[d]]
        (array,) = merged([shape[d] for d in kept], [out.take(kept)])
        to.call(np.multiply, array, float(math.prod(shape[d] for d in nowhere)), array)


def _converted(to: Calls, v: View, shape: Sequence[int]) -> View:
    """Copy whole numbers from the data, which the BLAS does not multiply by others."""
    if v.base.dtype == to.dtype:
        return v
    used = [d for d, n in enumerate(shape) if n > 1 and v.strides[d]]
    scratch = to.scratch_like(v.take(used), [shape[d] for d in used])
    sizes = [shape[d] for d in used]
    to.call(np.copyto, scratch.array(sizes), v.take(used).array(sizes), "same_kind")
    strides = [0] * len(shape)
    for d, s in zip(used, scratch.strides, strict=True):
        strides[d] = s
    return View(scratch.base, strides)


def _summed(to: Calls, v: View, gone: list[int], shape: Sequence[int]) -> View:
    """Sum a factor over some of its loops."""
    if not gone:
        return v
    kept = [d for d, n in enumerate(shape) if n > 1 and v.strides[d] and d not in gone]
    scratch = to.scratch_like(v.take(kept), [shape[d] for d in kept])
    source = v.take([*gone, *kept]).array([shape[d] for d in [*gone, *kept]])
    target = scratch.array([shape[d] for d in kept])
    to.call(partial(np.add.reduce, source, axis=tuple(range(len(gone))), out=target))
    strides = [0] * len(shape)
    for d, s in zip(kept, scratch.strides, strict=True):
        strides[d] = s
    return View(scratch.base, strides)


def _weighted(to: Calls, a: View, b: View, out: View, shape: Sequence[int], batch: list[int], inner: list[int]) -> None:
    """Compute many inner products: with BLAS if the vectors are contiguous, otherwise row by row."""
    item = a.base.itemsize
    contiguous = all(min(abs(v.strides[d]) for d in inner) == item for v in (a, b))
    (first, second), lengths = merged([shape[d] for d in inner], [a.take(inner), b.take(inner)], as_views=True)
    (target, one, two), sizes = merged([shape[d] for d in batch], [v.take(batch) for v in (out, a, b)], as_views=True)
    left = View(a.base, [*one.strides, *first.strides])
    right = View(b.base, [*two.strides, *second.strides])
    if contiguous and len(lengths) == 1 and not sizes:
        to.call(left.array(lengths).dot, right.array(lengths), target.array(()))
        return
    if contiguous and len(lengths) == 1:
        x = left.array([*sizes, *lengths])[..., None, :]
        y = right.array([*sizes, *lengths])[..., :, None]
        to.call(np.matmul, x, y, target.array(sizes)[..., None, None])
        return
    letters = "abcdefghijklmnopqrstuvwxyz"
    kept, summed = letters[: len(sizes)], letters[len(sizes) : len(sizes) + len(lengths)]
    arrays = (left.array([*sizes, *lengths]), right.array([*sizes, *lengths]))
    formula = f"{kept}{summed},{kept}{summed}->{kept}"
    to.call(partial(np.einsum, formula, *arrays, out=target.array(sizes)))


def _matrices(
    to: Calls,
    a: View, b: View, out: View,
    shape: Sequence[int],
    batch: list[int], rows: list[int], columns: list[int], inner: list[int],
) -> None:  # fmt: skip
    item = out.base.itemsize
    if any(out.strides[d] == item for d in rows) and not any(out.strides[d] == item for d in columns):
        a, b, rows, columns = b, a, columns, rows  # outᵀ = bᵀ·aᵀ: the output's contiguous axis is the columns'
    order = sorted(inner, key=lambda d: -abs(a.strides[d]))
    if not _joined(a, order, shape):
        order = sorted(inner, key=lambda d: -abs(b.strides[d]))
    a, b = (_matrix(to, v, own, order, shape) for v, own in ((a, rows), (b, columns)))
    (one, two), (k,) = merged([shape[d] for d in inner], [a.take(inner), b.take(inner)], as_views=True)
    (row_out, row_a), row_sizes = merged([shape[d] for d in rows], [out.take(rows), a.take(rows)], as_views=True)
    (col_out, col_b), col_sizes = merged(
        [shape[d] for d in columns], [out.take(columns), b.take(columns)], as_views=True
    )
    (batch_out, batch_a, batch_b), batch_sizes = merged(
        [shape[d] for d in batch], [v.take(batch) for v in (out, a, b)], as_views=True
    )
    # What cannot be joined into one axis of rows, or of columns, becomes one more axis of the batch.
    zeros_r, zeros_c = [0] * max(len(row_sizes) - 1, 0), [0] * max(len(col_sizes) - 1, 0)
    sizes = [*batch_sizes, *row_sizes[:-1], *col_sizes[:-1]]
    m, row_step = (row_sizes[-1], (row_a.strides[-1], row_out.strides[-1])) if row_sizes else (1, (0, 0))
    n, col_step = (col_sizes[-1], (col_b.strides[-1], col_out.strides[-1])) if col_sizes else (1, (0, 0))
    left = View(a.base, [*batch_a.strides, *row_a.strides[:-1], *zeros_c, row_step[0], one.strides[0]])
    right = View(b.base, [*batch_b.strides, *zeros_r, *col_b.strides[:-1], two.strides[0], col_step[0]])
    target = View(
        out.base,
        [*batch_out.strides, *row_out.strides[:-1], *col_out.strides[:-1], row_step[1], col_step[1]],
    )  # fmt: skip
    x, y = left.array([*sizes, m, k]), right.array([*sizes, k, n])
    z = target.array([*sizes, m, n])
    if not _is_matrix(z):
        scratch = memory.empty(z.shape, z.dtype)
        to.call(np.matmul, x, y, scratch)
        to.call(np.copyto, z, scratch)
    elif not sizes and m == 1 and z[0].flags.c_contiguous:  # for a vector this is the shortest way to the BLAS
        to.call(x[0].dot, y, z[0])
    elif not sizes and n == 1 and z[:, 0].flags.c_contiguous:
        to.call(x.dot, y[:, 0], z[:, 0])
    else:
        to.call(np.matmul, x, y, z)


def _is_matrix(z: Any) -> bool:
    item = z.itemsize
    (m, n), (s, t) = z.shape[-2:], z.strides[-2:]
    return bool((t == item or n == 1) and (s >= n * item or m == 1)) or bool(
        (s == item or m == 1) and (t >= m * item or n == 1)
    )


def _joined(v: View, order: list[int], shape: Sequence[int]) -> bool:
    """Return whether these loops, outer ones first, are one axis in memory."""
    return all(v.strides[d] == v.strides[e] * shape[e] for d, e in pairwise(order))


def _matrix(to: Calls, v: View, own: list[int], order: list[int], shape: Sequence[int]) -> View:
    """Return the view itself if BLAS can read it, otherwise a copy that it can."""
    steps = [v.strides[d] for d in [*own, *order]]
    if _joined(v, order, shape) and min(steps) == v.base.itemsize:
        return v
    used = [d for d, n in enumerate(shape) if n > 1 and v.strides[d] and d not in own and d not in order]
    axes = [*used, *own, *order]
    copied = memory.empty([shape[d] for d in axes], v.base.dtype)
    to.call(np.copyto, copied, v.take(axes).array([shape[d] for d in axes]))
    strides = [0] * len(shape)
    for d, s in zip(axes, copied.strides, strict=True):
        strides[d] = s
    return View(copied, strides)
