"""Lowering: one instruction becomes numpy calls on strided views."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..program.ir import Access, Instruction
from ..runtime import memory
from ..runtime.views import View, merged
from . import elementwise
from .buffers import Buffers, Calls, Step
from .contraction import contract

#: A table of up to this many candidates is looked up by a matrix product with ones and zeros.
LARGEST_ONE_HOT = 512

#: Up to this many neighboring numbers are added up fastest as a product with ones.
SMALL_SUM = 1024


def lower(it: Instruction, buffers: Buffers) -> list[Step]:
    """Return the numpy calls that carry out the instruction on these buffers."""
    lowering = _Lowering(it, buffers)
    lowering.lower()
    return lowering.steps


class _Lowering(Calls):
    def __init__(self, it: Instruction, buffers: Buffers) -> None:
        super().__init__(buffers.dtype)
        self.it, self.buffers = it, buffers
        arrays = buffers.program.arrays
        self.lanes = any(arrays[x.array].lanes for x in (it.out, *it.reads()))
        self.shape = (*it.loops, buffers.batch) if self.lanes else it.loops

    def lower(self) -> None:
        it = self.it
        if any(x.table is not None for x in (it.out, *it.reads())):
            self._table()
            return
        self.out = self.view(it.out)
        self.inputs: list[Any] = [self.view(x) if isinstance(x, Access) else x for x in it.inputs]
        if it.op == "select":
            self._select()
        elif it.reduce != "sum":
            self._reduce(np.maximum if it.reduce == "max" else np.minimum, self.inputs[0], self.out)
        elif it.op == "mul" and all(isinstance(x, View) for x in self.inputs) and self._summed():
            self._accumulated(self.out, lambda out: contract(self, self.inputs[0], self.inputs[1], out, self.shape))
        elif self._summed():
            self._summed_elementwise()
        elif it.op == "copy" and it.accumulate:
            self._calls(np.add, self.out, self.out, self.inputs[0])
        elif it.op == "neg" and it.accumulate:
            self._calls(np.subtract, self.out, self.out, self.inputs[0])
        else:
            self._accumulated(self.out, self._elementwise)

    def view(self, x: Access) -> View:
        """Return the strided view of an access over the loops and the lanes."""
        lanes = self.buffers.program.arrays[x.array].lanes
        return View.access(self.buffers.arrays[x.array], x, self.it.loops, lanes, self.lanes)

    def _summed(self) -> list[int]:
        return [d for d, n in enumerate(self.shape) if n > 1 and not self.out.strides[d]]

    def _accumulated(self, out: View, write: Callable[[View], None]) -> None:
        """Let ``write`` write into ``out``, or add what it writes."""
        if not self.it.accumulate:
            write(out)
            return
        kept = [n if out.strides[d] else 1 for d, n in enumerate(self.shape)]
        scratch = self.scratch_like(out, kept)
        write(scratch)
        self._calls(np.add, out, out, scratch, shape=kept)

    def _calls(self, ufunc: Any, out: View, *inputs: Any, shape: Sequence[int] | None = None) -> None:
        """Call an element-wise function on views."""
        target, *arrays = merged(self.shape if shape is None else shape, [out, *inputs])
        arrays = self._as_arrays(arrays)
        if ufunc in (np.maximum, np.minimum):  # a third array would be one more to compare
            self.steps.append(partial(ufunc, *arrays, out=target))
        else:
            self.call(ufunc, *arrays, target)

    def _copy(self, out: View, x: Any, shape: Sequence[int]) -> None:
        target, source = merged(shape, [out, x])
        self.call(target.__setitem__, ..., source)  # several times as fast as np.positive

    def _as_arrays(self, inputs: Sequence[Any]) -> list[Any]:
        """Replace numbers written in the program by arrays: numpy would make one of each at every call."""
        with np.errstate(over="ignore"):  # too large for the program's numbers is infinity
            return [x if isinstance(x, np.ndarray) else np.array(x, self.dtype) for x in inputs]

    def _elementwise(self, out: View, shape: Sequence[int] | None = None) -> None:
        op, inputs = self.it.op, self.inputs
        shape = self.shape if shape is None else shape
        if op == "fill":
            self._fill(out, shape)
        elif op == "gelu":
            self._gelu(out, shape)
        elif op == "grad:gelu:0":
            slope = self.buffers.slopes.get(_base(self.it.inputs[1]))
            if slope is None:
                slope = self.scratch_like(out, shape)
                self._gelu(None, shape, inputs[1], slope)
            target, *arrays = merged(shape, [out, inputs[0], slope])
            self.call(elementwise.flow, *arrays, target)
        elif op.startswith("grad:"):
            target, *arrays = merged(shape, [out, *inputs])
            self.call(elementwise.backward, op[5:], *arrays, target)
        elif op == "pow" and not isinstance(inputs[1], View):
            self.steps += elementwise.power_calls(*merged(shape, [out, *inputs]))
        elif op in elementwise.UFUNCS:
            self._calls(elementwise.UFUNCS[op], out, *inputs, shape=shape)
        elif op in ("copy", "detach"):
            self._copy(out, inputs[0], shape)
        elif op == "relu":
            self._calls(np.maximum, out, inputs[0], 0.0, shape=shape)
        else:
            self.call(elementwise.FORWARD[op], *merged(shape, [out, *inputs]))

    def _gelu(self, out: View | None, shape: Sequence[int], x: View | None = None, slope: View | None = None) -> None:
        if x is None:
            x = self.inputs[0]
        if slope is None and self.buffers.program.gradient is not None:
            slope = self.scratch_like(out or x, shape)
            self.buffers.slopes[_base(self.it.inputs[0])] = slope
        views = merged(shape, [v if v is not None else x for v in (x, out, slope)])
        if out is None:
            views[1] = memory.empty(views[0].shape, views[0].dtype)
        row = int(np.prod(views[0].shape[1:], dtype=np.int64)) if views[0].ndim else 1
        step = max(1, elementwise.CHUNK // max(row, 1))
        n = views[0].shape[0] if views[0].ndim else 1
        work = [memory.empty((min(step, n), *views[0].shape[1:]), self.dtype) for _ in range(4)]
        for start in range(0, n, step):
            part = [v[start : start + step] if v.ndim else v[None] for v in views]
            rows = [w[: part[0].shape[0]] for w in work]
            self.call(elementwise.gelu, part[0], part[1], part[2] if slope is not None else None, rows)

    def _fill(self, out: View, shape: Sequence[int]) -> None:
        mask, value = np.asarray(self.it.mask), self.it.value
        loops = len(self.it.loops)
        dtype = self.dtype
        if value == 0.0:  # bit by bit: a NaN in a hole times 0 would stay a NaN
            dtype = np.dtype(f"i{dtype.itemsize}")
            stored = np.where(mask, -1, 0).astype(dtype)
        else:  # the smaller of two, ignoring NaN
            stored = np.where(mask, -value, value).astype(dtype)
        order = sorted(range(mask.ndim), key=lambda d: -abs(out.strides[loops - mask.ndim + d]))
        stored = memory.copy(stored.transpose(order))  # its axes in the order of the output: both are read in rows
        steps = [stored.strides[order.index(d)] for d in range(mask.ndim)]
        limits = View(stored, [0] * (loops - mask.ndim) + steps + [0] * self.lanes)
        target, source, limit = merged(shape, [out, self.inputs[0], limits])
        if value == 0.0:
            self.call(np.bitwise_and, source.view(dtype), limit, target.view(dtype))
        else:
            self.call(np.fmin if value < 0 else np.fmax, source, limit, target)

    # --- reductions -------------------------------------------------------------------------------------------------

    def _reduce(self, ufunc: Any, x: Any, out: View, negative: bool = False) -> None:
        """Combine the points that share an element of ``out``, and change the sign if requested."""

        def write(out: View) -> None:
            kept = [d for d, n in enumerate(self.shape) if n == 1 or out.strides[d]]
            gone = [d for d in range(len(self.shape)) if d not in kept]
            if not gone:
                if negative:
                    self._calls(np.negative, out, x)
                else:
                    self._copy(out, x, self.shape)
                return
            kept_shape, gone_shape = [self.shape[d] for d in kept], [self.shape[d] for d in gone]
            source = x if isinstance(x, View) else View(np.array(x, self.dtype), [0] * len(self.shape))
            own = merged(kept_shape, [out.take(kept), source.take(kept)], as_views=True)
            rest = merged(gone_shape, [source.take(gone)], as_views=True)
            (target, first), kept_shape = own
            (second,), gone_shape = rest
            whole = View(source.base, [*second.strides, *first.strides])
            array = whole.array([*gone_shape, *kept_shape])
            axes: Any = tuple(range(len(gone_shape)))
            result = target.array(kept_shape)
            n = gone_shape[0]
            short = ufunc is np.add and len(gone_shape) == 1 and n <= SMALL_SUM and array.dtype == result.dtype
            if short and _rows(array.T, result):
                self.call(array.T.dot, np.ones(n, array.dtype), result)
            else:
                self.call(ufunc.reduce, array, axes, None, result)
            if negative:
                self.call(np.negative, result, result)

        self._accumulated(out, write)

    def _summed_elementwise(self) -> None:
        """Compute at every point, then add up."""
        it = self.it
        if it.op == "copy":
            self._reduce(np.add, self.inputs[0], self.out)
            return
        if it.op == "neg":
            self._reduce(np.add, self.inputs[0], self.out, negative=True)
            return
        smallest = next(x for x in self.inputs if isinstance(x, View))
        full = self.scratch_like(
            max((x for x in self.inputs if isinstance(x, View)), key=_spread, default=smallest), self.shape
        )
        self._elementwise(full)
        self._reduce(np.add, full, self.out)

    # --- tables ---------------------------------------------------------------------------------------------------

    def _table(self) -> None:
        """Copy between positions without a formula."""
        it, buffers = self.it, self.buffers
        source, target = it.inputs[0], buffers.arrays[it.out.array]
        n = math.prod(it.loops)
        to = tuple(np.moveaxis(it.out.indices(it.loops).reshape(n, len(it.out.offset)), -1, 0))
        if not isinstance(source, Access):
            self.call(_assign, target, to, source, it.accumulate)
            return
        lanes = buffers.program.arrays[source.array].lanes
        origin = buffers.arrays[source.array]
        came = tuple(np.moveaxis(source.indices(it.loops).reshape(n, len(source.offset)), -1, 0))
        out_lanes = buffers.program.arrays[it.out.array].lanes
        alone = len(np.unique(np.stack(to), axis=-1).T) == n if to else n == 1
        if alone and came and lanes == out_lanes:
            self.call(_move_each, target, to, origin, came, it.accumulate)
        else:
            self.call(_move, n, target, to, origin, came, it.accumulate, lanes, out_lanes)

    # --- select ---------------------------------------------------------------------------------------------------

    def _select(self) -> None:
        index, x = self.inputs
        k = self.it.axis
        pure = not any(index.strides[d] and x.strides[d] for d in range(len(self.shape)) if d != k)
        gradient = x.strides[k] == 0  # the arriving gradient has no axis of candidates
        shared = any(index.strides[d] and self.out.strides[d] for d in range(len(self.shape)) if d != k)
        if not gradient and not any(index.strides) and not self.it.accumulate and self._row(index, x):
            return
        if self.shape[k] <= LARGEST_ONE_HOT and (not shared if gradient else pure):
            hot = self._one_hot(index)
            self._accumulated(self.out, lambda out: contract(self, hot, x, out, self.shape))
            return
        full = [d for d in range(len(self.shape)) if d != k]
        where = index.take(full).array([self.shape[d] for d in full])
        grid = np.ogrid[tuple(slice(self.shape[d]) for d in full)]
        order = [*full, k]
        if gradient:
            every = all(self.out.strides[d] or self.shape[d] == 1 for d in full)
            target = self.out.take(order).array([self.shape[d] for d in order])
            arriving = x.take(full).array([self.shape[d] for d in full])
            kept = [d for d in order if self.out.strides[d]]
            cleared = self.out.take(kept).array([self.shape[d] for d in kept])
            if not self.it.accumulate:
                self.call(cleared.fill, 0.0)
            self.call(_place_selected if every else _add_selected, target, grid, where, arriving)
        else:
            table = x.take(order).array([self.shape[d] for d in order])
            target = self.out.take(full).array([self.shape[d] for d in full])
            self.call(_take_selected, target, table, grid, where, self.it.accumulate)

    def _row(self, index: View, x: View) -> bool:
        """Copy one row of a table if there is one index for everything and the row is contiguous."""
        full = [d for d in range(len(self.shape)) if d != self.it.axis]
        table = x.take([self.it.axis, *full]).array([self.shape[d] for d in (self.it.axis, *full)])
        target = self.out.take(full).array([self.shape[d] for d in full])
        if not (table.flags.c_contiguous and target.flags.c_contiguous):
            return False
        self.call(table.take, index.take([]).array(()), 0, target, "clip")  # in range, or the run would not have begun
        return True

    def _one_hot(self, index: View) -> View:
        """Return ones where the index is the candidate, made once for all instructions."""
        k, n = self.it.axis, self.shape[self.it.axis]
        buffers = self.buffers
        key = (_key(self.it.inputs[0]), self.it.loops, k)
        if key not in buffers.one_hots:
            dims = [d for d in range(len(self.shape)) if d != k and index.strides[d]]
            dims.sort(key=lambda d: -abs(index.strides[d]))
            hot = memory.empty((n, *(self.shape[d] for d in dims)), self.dtype)
            candidates = np.arange(n).reshape(n, *[1] * len(dims))
            self.call(np.equal, index.take(dims).array([self.shape[d] for d in dims]), candidates, hot)
            strides = [0] * len(self.shape)
            for d, s in zip([k, *dims], hot.strides, strict=True):
                strides[d] = s
            buffers.one_hots[key] = View(hot, strides)
        return buffers.one_hots[key]


def _key(x: Any) -> Any:
    return (x.array, x.offset, x.steps)


def _rows(array: Any, result: Any) -> bool:
    """Return whether an array is one vector, or the rows of one matrix, as BLAS expects, and the result a vector."""
    *outer, inner = array.strides
    return (
        array.ndim <= 2 and inner == array.itemsize and all(s >= inner * array.shape[-1] for s in outer)
    ) and result.flags.c_contiguous  # fmt: skip


def _base(x: Any) -> int:
    return int(x.array)


def _spread(x: View) -> int:
    return sum(map(bool, x.strides))


def _assign(target: Any, to: Any, number: float, accumulate: bool) -> None:
    target[(*to, ...)] = target[(*to, ...)] + number if accumulate else number


def _move_each(target: Any, to: Any, origin: Any, came: Any, accumulate: bool) -> None:
    """Return whether no two points share an element, and none is spread over the lanes or summed over them."""
    if accumulate:
        target[to] += origin[came]
    else:
        target[to] = origin[came]


def _move(
    points: int, target: Any, to: Any, origin: Any, came: Any, accumulate: bool, lanes: bool, out_lanes: bool
) -> None:
    moved = origin[(*came, ...)]
    if not came:  # an array without axes is read at every point
        moved = np.broadcast_to(moved, (points, *moved.shape))
    if not to:
        moved = moved.sum(axis=0)
    if lanes and not out_lanes:
        moved = moved.sum(axis=-1)
    elif out_lanes and not lanes:
        moved = moved[..., None]
    if accumulate:
        np.add.at(target, (*to, ...), moved)
    else:
        target[(*to, ...)] = 0.0
        np.add.at(target, (*to, ...), moved)


def _take_selected(target: Any, table: Any, grid: Any, where: Any, accumulate: bool) -> None:
    found = table[(*grid, where)]
    if accumulate:
        np.add(target, found, target)
    else:
        np.copyto(target, found)


def _place_selected(target: Any, grid: Any, where: Any, arriving: Any) -> None:
    target[(*grid, where)] += arriving


def _add_selected(target: Any, grid: Any, where: Any, arriving: Any) -> None:
    np.add.at(target, (*grid, where), arriving)
