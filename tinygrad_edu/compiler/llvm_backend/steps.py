"""Kernels for instructions that are not element-wise loops: products, look-ups, moves by tables.

Each becomes a size-independent kernel and its table of addresses, sizes and strides. Unsupported instructions are
left to numpy.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from ..program.ir import Access, Instruction
from ..runtime import memory
from ..runtime.views import View, merged
from . import codegen, moves, products
from .codegen import Arrays, Kernel

#: A list of repetitions, or of moves, may have this many entries.
LONGEST = 1 << 17

#: Sums of at most this many terms have a packed copy.
LARGEST_PACKED = 1 << 14

#: Rows of at least this many neighboring targets are looked up as vectors.
NEIGHBORS = 8


def kernels(home: Arrays, it: Instruction, batch: int, order: tuple[int, int] | None = None) -> list[Kernel] | None:
    """Return the kernels of an instruction, or None if numpy should do it.

    Only points matter where the first of the loops in ``order`` is not greater than the second.
    """
    views = _Views(home, it, batch)
    if any(x.table is not None for x in (it.out, *it.reads())):
        return _table(views)
    if it.op == "select":
        return _select(views)
    if any(home.arrays[x.array].dtype != home.dtype for x in it.reads()):
        return None  # whole numbers from the data
    if it.reduce == "sum" and (it.op == "mul" or (it.op in ("copy", "neg") and views.reduced())):
        return _product(views, order)
    return None


def compile_all(calls: Sequence[Kernel]) -> None:
    """Make kernels ready to run, also as one: together, this takes less time."""
    codegen.compile_all([*calls, Kernel(moves.run_all(), [])] if len(calls) > 1 else calls)


def usual(double: bool) -> list[str]:
    """Return the texts that nearly every program with products needs on this computer."""
    return [products.tiled(double, codegen.this_computer()), moves.run_all(), moves.kernel(double), moves.clear()]


def all_in_one(calls: Sequence[Kernel]) -> Kernel:
    """Return a kernel that runs the given ones, one after another."""
    addresses = np.array([kernel.addresses() for kernel in calls], np.int64)
    return Kernel(moves.run_all(), [len(calls), _address(addresses)], (addresses, calls)).compiled()


def _address(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


class _Views:
    """Where an instruction finds its numbers: strides in bytes along its loops, and the lanes as the last of them."""

    def __init__(self, home: Arrays, it: Instruction, batch: int) -> None:
        self.home, self.it = home, it
        arrays = home.program.arrays
        self.lanes = any(arrays[x.array].lanes for x in (it.out, *it.reads()))
        self.batch = batch if self.lanes else 1
        self.shape = (*it.loops, self.batch)
        self.double = home.dtype.itemsize == 8

    def of(self, x: Any) -> View:
        """Return the view of an operand; a number becomes an array."""
        if not isinstance(x, Access):
            return View(memory.copy(np.array([x], self.home.dtype)), [0] * len(self.shape))
        lanes = self.home.program.arrays[x.array].lanes
        return View.access(self.home.arrays[x.array], x, self.it.loops, lanes, lanes=True)

    def reduced(self) -> bool:
        """Return whether points are summed."""
        out = self.of(self.it.out)
        return any(n > 1 and not s for n, s in zip(self.shape, out.strides, strict=True))


def _offsets(shape: Sequence[int], strides: Sequence[int]) -> Any:
    """Return the offset of every point, in row order."""
    result = np.zeros(1, np.int64)
    for n, s in zip(shape, strides, strict=True):
        result = (result[:, None] + np.arange(n, dtype=np.int64) * s).ravel()
    return result


# --- products --------------------------------------------------------------------------------------------------------

#: Merged loops: their extents, and the strides of out, a and b.
_Axis = tuple[int, tuple[int, int, int]]


def _axes(shape: Sequence[int], views: Sequence[View], dims: list[int]) -> list[_Axis]:
    """Merge loops; the longest one is the last."""
    found, sizes = merged([shape[d] for d in dims], [v.take(dims) for v in views], as_views=True)
    steps = zip(*(v.strides for v in found), strict=True)
    return sorted(zip(sizes, steps, strict=True), key=lambda axis: axis[0])


def _product(views: _Views, order: tuple[int, int] | None) -> list[Kernel] | None:
    it, shape, item = views.it, views.shape, views.home.dtype.itemsize
    out = views.of(it.out)
    inputs = it.inputs if it.op == "mul" else (-1.0 if it.op == "neg" else 1.0, it.inputs[0])
    a, b = (views.of(x) for x in inputs)
    dims = [d for d, n in enumerate(shape) if n > 1]
    used = {d: (bool(out.strides[d]), bool(a.strides[d]), bool(b.strides[d])) for d in dims}
    rows = _axes(shape, (out, a, b), [d for d in dims if used[d] == (True, True, False)])
    columns = _axes(shape, (out, a, b), [d for d in dims if used[d] == (True, False, True)])
    inner = _axes(shape, (a, b, out), [d for d in dims if not used[d][0]])
    rest = _axes(shape, (out, a, b), [d for d in dims if used[d] in ((True, True, True), (True, False, False))])
    if not inner and rows and columns:  # each row times each column
        inner = [(1, (0, 0, 0))]
    if not inner:
        return None
    if not any(steps[0] == item for _, steps in columns) and any(steps[0] == item for _, steps in rows):
        a, b, rows, columns = b, a, _exchanged(columns), _exchanged(rows)
        rest, inner = _exchanged(rest), [(n, (y, x, z)) for n, (x, y, z) in inner]
    columns.sort(key=lambda axis: (axis[1][0] == item, axis[1][2] == item, axis[0]))
    m, row = rows.pop() if rows else (1, (0, 0, 0))
    n, column = columns.pop() if columns and columns[-1][1][0] == item else (1, (0, 0, item))
    inner.sort(key=lambda axis: (item in axis[1][:2], axis[0]))
    k, (ak, bk, _) = inner.pop()
    axes = [(m, row), (n, column), (k, (0, ak, bk))]
    own = [(shape[d], (out.strides[d], a.strides[d], b.strides[d])) for d in order or ()]
    bounds = (axes.index(own[0]), axes.index(own[1])) if own and all(axis in axes for axis in own) else None
    large = views.home.target.here and m * n * k >= views.home.target.large
    if not large and bounds is None:  # packed numbers should stay in the fast caches
        parts = _parts(k, products.DEEP)
        k //= parts
        inner.append((parts, (k * ak, k * bk, 0)))
        parts = _parts(m, products.HIGH)
        m //= parts
        rest.append((parts, (m * row[0], m * row[1], 0)))
    rest += rows + columns
    if math.prod(size for size, _ in (*rest, *inner)) > LONGEST:
        return None
    sizes = [size for size, _ in rest]
    each = [_offsets(sizes, [steps[i] for _, steps in rest]) for i in (1, 2, 0)]  # of a, b and out
    terms = [_offsets([size for size, _ in inner], [steps[i] for _, steps in inner]) for i in (0, 1)]
    entries = np.empty((len(each[0]), len(terms[0]), 4), np.int64)
    entries[..., 0] = each[0][:, None] + terms[0]
    entries[..., 1] = each[1][:, None] + terms[1]
    entries[..., 2] = each[2][:, None]
    entries[..., 3] = 1
    entries[:, 0, 3] = it.accumulate
    kept: list[Any] = [entries, a.base, b.base]
    start = [entries.size // 4, *map(_address, (entries, a.base, b.base, out.base))]
    if large:
        call = _for_blas(views.double, m, n, k, (row[1], ak), (bk, column[2]), row[0])
        if call is not None:
            return [Kernel(products.blas(views.double), [*start, *call], kept)]
    many = m >= products.MANY_ROWS and k >= products.MANY_ROWS
    pack = column[2] != item or many
    if pack and k > LARGEST_PACKED:
        return None
    pack_a = many and n > products.MANY_ROWS and (ak != item or row[1] % memory.CONFLICT == 0)
    place, size = 0, 2 * views.home.target.tile * k
    if pack:
        scratch = views.home.local_memory(size + pack_a * m * k * item)
        kept.append(scratch)
        place = _address(scratch)
    start += [place, place + size if pack_a else 0]
    table = [*start, m, n, k, row[1], ak, bk, column[2], row[0], int(pack), *products.bounds(bounds)]
    return [Kernel(products.tiled(views.double, views.home.target), table, kept)]


def _parts(size: int, most: int) -> int:
    """Return in how many equal parts of about this size a loop is split; 1 if there are none."""
    return next((p for p in range(-(-size // most), 2 * size // most + 1) if size % p == 0), 1)


def _exchanged(axes: list[_Axis]) -> list[_Axis]:
    return [(n, (out, b, a)) for n, (out, a, b) in axes]


@cache
def blas(double: bool) -> int:
    """Return the address of numpy's function for matrix products; 0 if it cannot be found."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return 0
    import numpy.linalg  # noqa: F401  # loads it

    name = "cblas_dgemm" if double else "cblas_sgemm"
    for library in threadpool_info():
        if library["user_api"] == "blas" and library["internal_api"] == "openblas":
            functions = ctypes.CDLL(library["filepath"])
            for form in ("scipy_{}64_", "{}64_"):  # with integers of 64 bits, as in numpy's own wheels
                function = getattr(functions, form.format(name), None)
                if function is not None:
                    return ctypes.cast(function, ctypes.c_void_p).value or 0
    return 0


def _for_blas(
    double: bool, m: int, n: int, k: int, a: tuple[int, int], b: tuple[int, int], out: int
) -> list[int] | None:
    """Return the rest of the table, if the BLAS can read matrices with these steps in bytes."""
    item = 8 if double else 4
    function = blas(double)
    if not function or (m > 1 and out < n * item):
        return None
    leading, transposed = [], []
    for (far, near), (rows, columns) in ((a, (m, k)), (b, (k, n))):
        if near == item and far >= columns * item:
            leading.append(far // item)
            transposed.append(111)
        elif far == item and near >= rows * item:
            leading.append(near // item)
            transposed.append(112)
        else:
            return None
    return [function, m, n, k, *leading, out // item if m > 1 else n, *transposed]


# --- moves -----------------------------------------------------------------------------------------------------------


def _move(
    views: _Views, index: Any, x: View, out: View, entries: Any, row: tuple[int, int, int], apart: tuple[int, int],
    add: bool,
) -> Kernel:  # fmt: skip
    bases = [index, x.base, out.base]
    table = [len(entries), _address(entries), *map(_address, bases), *row, *apart, int(add)]
    return Kernel(moves.kernel(views.double), table, [entries, *bases])


def _clear(views: _Views, out: View, dims: list[int]) -> Kernel | None:
    """Return the kernel that sets the elements along some loops to zero."""
    item = views.home.dtype.itemsize
    (v,), sizes = merged([views.shape[d] for d in dims], [out.take(dims)], as_views=True)
    strides = list(v.strides)
    size = item
    if sizes and strides[-1] == item:
        size *= sizes.pop()
        strides.pop()
    if math.prod(sizes) > LONGEST:
        return None
    entries = _offsets(sizes, strides)
    return Kernel(moves.clear(), [len(entries), _address(entries), _address(out.base), size], [entries, out.base])


def _select(views: _Views) -> list[Kernel] | None:
    it, shape, k = views.it, views.shape, views.it.axis
    if not all(isinstance(x, Access) for x in it.inputs) or it.reduce != "sum":
        return None
    index, x, out = (views.of(y) for y in (*it.inputs, it.out))
    if index.base.dtype != np.int64 or index.strides[k]:
        return None
    others = [d for d, n in enumerate(shape) if n > 1 and d != k]
    summed = any(not out.strides[d] for d in others)
    along = [d for d in others if out.strides[d] == views.home.dtype.itemsize and shape[d] >= NEIGHBORS]
    if along and not (it.accumulate or summed or out.strides[k]):
        return _look_up(views, index, x, out, along[0], [d for d in others if d != along[0]])
    free = [d for d in others if not index.strides[d]]
    row = max(free, key=lambda d: (bool(x.strides[d]) + bool(out.strides[d]), shape[d]), default=None)
    rest = [d for d in others if d != row]
    if math.prod(shape[d] for d in rest) > LONGEST:
        return None
    sizes = [shape[d] for d in rest]
    entries = np.stack([_offsets(sizes, v.take(rest).strides) for v in (index, x, out)], axis=1)
    moved = (shape[row], x.strides[row], out.strides[row]) if row is not None else (1, 0, 0)
    cleared = not it.accumulate and bool(out.strides[k] or summed)
    apart = (x.strides[k], out.strides[k])
    move = _move(views, index.base, x, out, entries, moved, apart, it.accumulate or cleared)
    if not cleared:
        return [move]
    clear = _clear(views, out, [d for d, n in enumerate(shape) if n > 1 and out.strides[d]])
    return None if clear is None else [clear, move]


def _look_up(views: _Views, index: View, x: View, out: View, row: int, rest: list[int]) -> list[Kernel] | None:
    sizes = [views.shape[d] for d in rest]
    if math.prod(sizes) > LONGEST:
        return None
    entries = np.stack([_offsets(sizes, v.take(rest).strides) for v in (index, x, out)], axis=1)
    bases = [index.base, x.base, out.base]
    steps = [index.strides[row], x.strides[row], x.strides[views.it.axis]]
    table = [len(entries), _address(entries), *map(_address, bases), views.shape[row], *steps]
    return [Kernel(moves.look_up(views.double), table, [entries, *bases])]


def _table(views: _Views) -> list[Kernel] | None:
    it, arrays = views.it, views.home.arrays
    points = math.prod(it.loops)
    if it.op != "copy" or it.reduce != "sum" or points > LONGEST or not points:
        return None
    target = arrays[it.out.array]
    number = it.inputs[0]
    to = it.out.indices(it.loops).reshape(points, -1) @ np.array(target.strides[: len(it.out.offset)], np.int64)
    out = View(target, [])
    lanes = views.home.program.arrays
    out_step = target.strides[-1] if lanes[it.out.array].lanes and views.batch > 1 else 0
    if isinstance(number, Access):
        origin = arrays[number.array]
        if origin.dtype != target.dtype:
            return None
        came = number.indices(it.loops).reshape(points, -1) @ np.array(origin.strides[: len(number.offset)], np.int64)
        x_step = origin.strides[-1] if lanes[number.array].lanes and views.batch > 1 else 0
    else:
        origin, came, x_step = memory.copy(np.array([number], views.home.dtype)), np.zeros(points, np.int64), 0
    once = len(np.unique(to)) == points and (out_step or views.batch == 1)
    no_index = np.zeros(1, np.int64)
    entries = np.stack([np.zeros(points, np.int64), came.astype(np.int64), to.astype(np.int64)], axis=1)
    row = (views.batch, x_step, out_step)
    move = _move(views, no_index, View(origin, []), out, entries, row, (0, 0), it.accumulate or not once)
    if it.accumulate or once:
        return [move]
    places = np.unique(to).astype(np.int64)
    if out_step:
        places = (places[:, None] + np.arange(views.batch) * out_step).ravel()
    size = views.home.dtype.itemsize
    return [Kernel(moves.clear(), [len(places), _address(places), _address(target), size], [places, target]), move]
