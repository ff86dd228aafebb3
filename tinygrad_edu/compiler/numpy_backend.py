"""The fast backend: a program becomes a list of calls of numpy functions on memory that is laid out beforehand.

For a given batch size every array gets its place in one block of memory (places are used again as soon as nobody needs
the array any more), every access becomes a strided view of it, and every instruction becomes one or a few calls with
``out=``. Running the program is then a loop over these calls; nothing is allocated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from . import kernels
from .ir import Access, Instruction, Program
from .layout import LANES, orders
from .product import contract
from .views import View, merged

FloatArray = np.ndarray[Any, np.dtype[np.floating[Any]]]
Step = Callable[[], Any]

#: Up to this many candidates a table is looked up by a matrix product with ones and zeros.
LARGEST_ONE_HOT = 512


class Executor:
    """A program for one batch size.

    Args:
        program: with or without a gradient part.
        parameters: the flat array of the parameters; only read.
        gradient: where the gradient goes, for a program that has one.
        batch: the number of lanes.
    """

    def __init__(self, program: Program, parameters: FloatArray, gradient: FloatArray | None, batch: int) -> None:
        self.program = program
        self.batch = batch
        self.dtype = parameters.dtype
        self.random = np.random.default_rng(0)
        self.arrays: list[Any] = [None] * len(program.arrays)
        self.orders = orders(program)
        self._place(parameters, gradient)
        self._limits = self._index_limits()
        self._one_hots: dict[Any, View] = {}
        self._slopes: dict[int, View] = {}
        self._scratch = np.empty(0, self.dtype)
        self.steps: list[tuple[Step, int]] = []  # a call, and the number of the instruction that it belongs to
        for number, it in enumerate(program.instructions):
            for step in Lowering(self, it).steps:
                self.steps.append((step, number))
        self._calls = [step for step, _ in self.steps]
        last = [n for n, (_, number) in enumerate(self.steps) if number < program.forward]
        self._forward_calls = self._calls[: last[-1] + 1 if last else 0]

    # --- memory ---------------------------------------------------------------------------------------------------

    def _shape(self, number: int) -> tuple[int, ...]:
        """The physical shape: axes in the order of the layout."""
        array = self.program.arrays[number]
        return tuple(self.batch if axis == LANES else array.shape[axis] for axis in self.orders[number])

    def _place(self, parameters: FloatArray, gradient: FloatArray | None) -> None:
        program = self.program
        first: dict[int, int] = {}
        last: dict[int, int] = {}
        for number, it in enumerate(program.instructions):
            for x in (it.out, *it.reads()):
                first.setdefault(x.array, number)
                last[x.array] = number
        forever = {access.array for access, _ in program.outputs}
        sizes: dict[int, int] = {}
        for number, array in enumerate(program.arrays):
            if array.kind == "parameter":
                self.arrays[number] = parameters
            elif number == program.gradient:
                self.arrays[number] = gradient
            elif array.kind == "constant":
                self.arrays[number] = np.ascontiguousarray(array.data, self.dtype)
            elif array.kind in ("value", "gradient"):
                if number in first:
                    sizes[number] = -(-math.prod(self._shape(number)) // 16) * 16  # whole cache lines
            else:
                dtype = np.int64 if array.kind == "index" else self.dtype
                fill = 1.0 / self.batch if array.lanes else 1.0
                self.arrays[number] = self._logical(number, np.full(self._shape(number), fill, dtype))
        places, total = allocate(sizes, first, {n: (1 << 60 if n in forever else last[n]) for n in sizes})
        memory = np.zeros(total + 16, self.dtype)
        start = (-memory.ctypes.data // memory.itemsize) % 16
        self.memory = memory[start:]
        for number, place in places.items():
            shape = self._shape(number)
            flat = self.memory[place : place + math.prod(shape)]
            self.arrays[number] = self._logical(number, flat.reshape(shape))

    def _logical(self, number: int, physical: Any) -> Any:
        """The axes in the order of the program, the lanes last."""
        order = self.orders[number]
        wanted = [*range(len(self.program.arrays[number].shape)), *([LANES] if LANES in order else [])]
        return physical.transpose([order.index(axis) for axis in wanted])

    def scratch(self, shape: Sequence[int]) -> View:
        """Memory for within one instruction."""
        return View.of(np.empty(tuple(shape), self.dtype))

    # --- running --------------------------------------------------------------------------------------------------

    def run(self, inputs: Sequence[Any], forward_only: bool = False) -> Any:
        """Fill in the inputs, each of shape (batch, …), run, and return the outputs, shape (n, batch) or (n,)."""
        given = [n for n, a in enumerate(self.program.arrays) if a.kind in ("input", "index")]
        for number, numbers in zip(given, inputs, strict=True):
            np.copyto(self.arrays[number], np.moveaxis(numbers, 0, -1))
            if number in self._limits:
                self._check_range(self.arrays[number], self._limits[number])
        for number, array in enumerate(self.program.arrays):
            if array.kind == "random":
                p, other = array.data
                draws = self.random.random(self.arrays[number].shape) >= p
                np.multiply(draws, other, out=self.arrays[number])
        with np.errstate(all="ignore"):
            for call in self._forward_calls if forward_only else self._calls:
                call()
        return self.outputs()

    def _index_limits(self) -> dict[int, Any]:
        """For every array of indices, how many candidates each of them chooses from."""
        limits: dict[int, Any] = {}
        for it in self.program.instructions[: self.program.forward]:
            index = it.inputs[0]
            if it.op == "select" and isinstance(index, Access) and self.program.arrays[index.array].kind == "index":
                shape = self.program.arrays[index.array].shape
                limit = limits.setdefault(index.array, np.full((*shape, 1), np.iinfo(np.int64).max))
                places = tuple(np.moveaxis(index.indices(it.loops), -1, 0))
                limit[(*places, 0)] = np.minimum(limit[(*places, 0)], it.loops[it.axis])
        return limits

    def _check_range(self, indices: Any, limit: Any) -> None:
        wrong = (indices < 0) & (limit < np.iinfo(np.int64).max) | (indices >= limit)
        if wrong.any():
            size = int(np.broadcast_to(limit, indices.shape)[wrong][0])
            raise IndexError(
                f"index {int(indices[wrong][0])} is out of range for a table of {size} entries (0 to {size - 1})"
            )

    def outputs(self) -> Any:
        """The results of the latest run."""
        access, loops = self.program.outputs[0]
        lanes = self.program.arrays[access.array].lanes
        return (
            View.access(self.arrays[access.array], access, loops, lanes, lanes)
            .array((*loops, self.batch) if lanes else loops)
            .copy()
        )

    def find_not_finite(self) -> Instruction | None:
        """Run again step by step and return the first instruction that makes a NaN, or else the first infinity."""
        suspect = None
        with np.errstate(all="ignore"):
            for n, (step, number) in enumerate(self.steps):
                step()
                if n + 1 < len(self.steps) and self.steps[n + 1][1] == number:
                    continue  # the instruction is not done yet
                it = self.program.instructions[number]
                array = self.program.arrays[it.out.array]
                values = self.arrays[it.out.array]
                if array.mask is not None:
                    values = values[array.mask]
                if array.kind == "gradient" and it.out.array != self.program.gradient:
                    continue  # may not be complete yet
                if np.isnan(values).any():
                    return it
                if suspect is None and np.isinf(values).any():
                    suspect = it
        return suspect


def allocate(sizes: dict[int, int], first: dict[int, int], last: dict[int, int]) -> tuple[dict[int, int], int]:
    """Places in one block of memory such that arrays that live at the same time do not overlap.

    Largest arrays first, each at the lowest place that is free during its life.

    >>> allocate({0: 10, 1: 4, 2: 10}, {0: 0, 1: 0, 2: 3}, {0: 2, 1: 3, 2: 4})
    ({0: 0, 2: 0, 1: 10}, 14)
    """
    placed: list[tuple[int, int, int, int]] = []  # place, end, first, last
    places: dict[int, int] = {}
    for number in sorted(sizes, key=lambda n: (-sizes[n], first[n])):
        place = 0
        for start, end, born, died in sorted(placed):
            if born <= last[number] and first[number] <= died:
                if place + sizes[number] <= start:
                    break
                place = max(place, end)
        places[number] = place
        placed.append((place, place + sizes[number], first[number], last[number]))
    return places, max((end for _, end, _, _ in placed), default=0)


@dataclass
class Lowering:
    """One instruction as calls of numpy."""

    executor: Executor
    it: Instruction

    def __post_init__(self) -> None:
        self.steps: list[Step] = []
        executor, it = self.executor, self.it
        arrays = executor.program.arrays
        self.lanes = any(arrays[x.array].lanes for x in (it.out, *it.reads()))
        self.shape = (*it.loops, executor.batch) if self.lanes else it.loops
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
        """The strided view of an access over the loops and the lanes."""
        lanes = self.executor.program.arrays[x.array].lanes
        return View.access(self.executor.arrays[x.array], x, self.it.loops, lanes, self.lanes)

    def call(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Add a call to the program."""
        self.steps.append(partial(function, *arguments))

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

    def scratch_like(self, out: View, shape: Sequence[int]) -> View:
        """Scratch memory with the axes in the same order as those of ``out``; no steps along axes of length 1."""
        order = sorted(range(len(shape)), key=lambda d: -abs(out.strides[d]))
        scratch = np.empty([shape[d] for d in order], self.executor.dtype)
        return View.of(scratch.transpose([order.index(d) for d in range(len(shape))]), drop_ones=True)

    def _calls(self, ufunc: Any, out: View, *inputs: Any, shape: Sequence[int] | None = None) -> None:
        """Call an elementwise function on views."""
        arrays = merged(self.shape if shape is None else shape, [out, *inputs])
        self.call(ufunc, *arrays[1:], arrays[0])

    def _elementwise(self, out: View, shape: Sequence[int] | None = None) -> None:
        op, inputs = self.it.op, self.inputs
        shape = self.shape if shape is None else shape
        if op == "fill":
            self._fill(out, shape)
        elif op == "gelu":
            self._gelu(out, shape)
        elif op == "grad:gelu:0":
            slope = self.executor._slopes.get(_base(self.it.inputs[1]))
            if slope is None:
                slope = self.scratch_like(out, shape)
                self._gelu(None, shape, inputs[1], slope)
            self._calls(np.multiply, out, inputs[0], slope, shape=shape)
        elif op.startswith("grad:"):
            arrays = merged(shape, [out, *inputs])
            self.call(kernels.SLOPES[op[5:]], *arrays[1:], arrays[0])
        else:
            arrays = merged(shape, [out, *inputs])
            ufunc = _UFUNCS.get(op)
            if ufunc is not None:
                self.call(ufunc, *arrays[1:], arrays[0])
            else:
                self.call(kernels.FORWARD[op], *arrays)

    def _gelu(self, out: View | None, shape: Sequence[int], x: View | None = None, slope: View | None = None) -> None:
        if x is None:
            x = self.inputs[0]
        if slope is None and self.executor.program.gradient is not None:
            slope = self.scratch_like(out or x, shape)
            self.executor._slopes[_base(self.it.inputs[0])] = slope
        views = merged(shape, [v if v is not None else x for v in (x, out, slope)])
        if out is None:
            views[1] = np.empty_like(views[0])
        row = int(np.prod(views[0].shape[1:], dtype=np.int64)) if views[0].ndim else 1
        step = max(1, kernels.CHUNK // max(row, 1))
        n = views[0].shape[0] if views[0].ndim else 1
        work = [np.empty((min(step, n), *views[0].shape[1:]), self.executor.dtype) for _ in range(4)]
        for start in range(0, n, step):
            part = [v[start : start + step] if v.ndim else v[None] for v in views]
            rows = [w[: part[0].shape[0]] for w in work]
            self.call(kernels.gelu, part[0], part[1], part[2] if slope is not None else None, rows)

    def _fill(self, out: View, shape: Sequence[int]) -> None:
        mask, value = np.asarray(self.it.mask), self.it.value
        loops = len(self.it.loops)
        dtype = self.executor.dtype
        if value == 0.0:  # bit by bit: a NaN in a hole times 0 would stay a NaN
            dtype = np.dtype(f"i{dtype.itemsize}")
            stored = np.where(mask, -1, 0).astype(dtype)
        else:  # the smaller of two, ignoring NaN
            stored = np.where(mask, -value, value).astype(dtype)
        limits = View(stored, [0] * (loops - mask.ndim) + list(stored.strides) + [0] * self.lanes)
        target, source, limit = merged(shape, [out, self.inputs[0], limits])
        if value == 0.0:
            self.call(np.bitwise_and, source.view(dtype), limit, target.view(dtype))
        else:
            self.call(np.fmin if value < 0 else np.fmax, source, limit, target)

    # --- reductions -------------------------------------------------------------------------------------------------

    def _reduce(self, ufunc: Any, x: Any, out: View, negative: bool = False) -> None:
        """Combine the points that ``out`` does not tell apart, and change the sign if asked to."""

        def write(out: View) -> None:
            kept = [d for d, n in enumerate(self.shape) if n == 1 or out.strides[d]]
            gone = [d for d in range(len(self.shape)) if d not in kept]
            if not gone:
                self._calls(np.negative if negative else np.positive, out, x)
                return
            kept_shape, gone_shape = [self.shape[d] for d in kept], [self.shape[d] for d in gone]
            source = x if isinstance(x, View) else View(np.array(x, self.executor.dtype), [0] * len(self.shape))
            own = merged(kept_shape, [out.take(kept), source.take(kept)], as_views=True)
            rest = merged(gone_shape, [source.take(gone)], as_views=True)
            (target, first), kept_shape = own
            (second,), gone_shape = rest
            whole = View(source.base, [*second.strides, *first.strides])
            array = whole.array([*gone_shape, *kept_shape])
            axes: Any = tuple(range(len(gone_shape)))
            result = target.array(kept_shape)
            self.call(partial(ufunc.reduce, array, axis=axes, out=result))
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
        """A copy between places that no formula gives."""
        it, executor = self.it, self.executor
        source, target = it.inputs[0], executor.arrays[it.out.array]
        n = math.prod(it.loops)
        to = tuple(np.moveaxis(it.out.indices(it.loops).reshape(n, len(it.out.offset)), -1, 0))
        if not isinstance(source, Access):
            self.call(_assign, target, to, source, it.accumulate)
            return
        lanes = executor.program.arrays[source.array].lanes
        origin = executor.arrays[source.array]
        came = tuple(np.moveaxis(source.indices(it.loops).reshape(n, len(source.offset)), -1, 0))
        out_lanes = executor.program.arrays[it.out.array].lanes
        self.call(_move, n, target, to, origin, came, it.accumulate, lanes, out_lanes)

    # --- select ---------------------------------------------------------------------------------------------------

    def _select(self) -> None:
        index, x = self.inputs
        k = self.it.axis
        pure = not any(index.strides[d] and x.strides[d] for d in range(len(self.shape)) if d != k)
        gradient = x.strides[k] == 0  # the gradient that arrives knows nothing of the candidates
        shared = any(index.strides[d] and self.out.strides[d] for d in range(len(self.shape)) if d != k)
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

    def _one_hot(self, index: View) -> View:
        """Ones where the index is the candidate: made once for all instructions that ask for it."""
        k, n = self.it.axis, self.shape[self.it.axis]
        executor = self.executor
        key = (_key(self.it.inputs[0]), self.it.loops, k)
        if key not in executor._one_hots:
            dims = [d for d in range(len(self.shape)) if d != k and index.strides[d]]
            dims.sort(key=lambda d: -abs(index.strides[d]))
            hot = np.empty((n, *(self.shape[d] for d in dims)), executor.dtype)
            candidates = np.arange(n).reshape(n, *[1] * len(dims))
            self.call(np.equal, index.take(dims).array([self.shape[d] for d in dims]), candidates, hot)
            strides = [0] * len(self.shape)
            for d, s in zip([k, *dims], hot.strides, strict=True):
                strides[d] = s
            executor._one_hots[key] = View(hot, strides)
        return executor._one_hots[key]


def _key(x: Any) -> Any:
    return (x.array, x.offset, x.steps)


def _base(x: Any) -> int:
    return int(x.array)


def _spread(x: View) -> int:
    return sum(map(bool, x.strides))


def _assign(target: Any, to: Any, number: float, accumulate: bool) -> None:
    target[(*to, ...)] = target[(*to, ...)] + number if accumulate else number


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


_UFUNCS: dict[str, Any] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "neg": np.negative, "exp": np.exp,
    "log": np.log, "sqrt": np.sqrt, "tanh": np.tanh, "sin": np.sin, "cos": np.cos, "abs": np.abs,
    "copy": np.positive, "detach": np.positive,
}  # fmt: skip
