"""The memory layout of a module: numbers of a program, tables of kernels, scratch memory."""

from __future__ import annotations

import ctypes
import re
from bisect import bisect_right, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import CompileError
from ..llvm_backend import plain
from ..llvm_backend.codegen import Kernel
from ..llvm_backend.text import WASM
from ..numpy_backend.buffers import Buffers
from ..numpy_backend.executor import NumpyExecutor
from ..program.ir import Instruction
from ..runtime import memory
from .binary import STACK

#: Every block begins at a multiple of this.
LINE = memory.LINE

#: A kernel may read a vector that begins inside an array and ends after it, so the last array is padded by this.
BEHIND = 512

#: A pointer that a kernel reads from its table.
_POINTER = re.compile(r"(%\w+) = getelementptr i64, ptr %table, i64 (\d+)\n  %\w+ = load ptr, ptr \1,")


class WasmExecutor(NumpyExecutor):
    """A program for one batch size whose steps are all kernels; it is only laid out, never run on this computer."""

    target = WASM
    _used = 0

    def local_memory(self, size: int) -> Any:
        """Return scratch memory for a kernel."""
        found = super().local_memory(size)
        if found is self._local:
            self._used = max(self._used, size)
        return found

    def _alone(self, it: Instruction, buffers: Buffers, native: bool) -> Sequence[Any]:
        found: Sequence[Any] | None = self._kernels(it)
        if found is None:
            one = plain.kernel(self, it, self.batch)
            if one is None:
                raise CompileError(
                    f"to_wasm has no formula for {it.of or it.op!r} at {it.line or 'the gradient'}; compute it another "
                    f"way, or outside the function, and pass it as an argument"
                )
            found = [one]
        return found

    def _link(self) -> None:
        pass

    @property
    def kernels(self) -> list[Kernel]:
        """The kernels, in the order in which they run."""
        return [step for step, _ in self.steps if isinstance(step, Kernel)]

    @property
    def results(self) -> Any:
        """Where the results are: shape (n, batch), or (n,)."""
        return self._outputs

    def work(self) -> Iterator[Any]:
        """Memory that needs no initial content."""
        yield self.memory
        yield self._local[: self._used]
        yield from self.kept
        for array, own in zip(self.program.arrays, self.arrays, strict=True):
            if array.kind in ("input", "index") and own is not None:
                yield own

    def given(self) -> Iterator[Any]:
        """Arrays with initial numbers."""
        for array, own in zip(self.program.arrays, self.arrays, strict=True):
            if array.kind in ("constant", "seed"):
                yield own


class Layout:
    """Map memory of this computer to addresses in the memory of a module.

    First announce all memory without initial content, then all memory with initial content, then call
    :meth:`close`: from then on :meth:`place` knows every address.

    Attributes:
        size: how many bytes are assigned.
        data: the initial content of memory after the stack; everything after it is zero.
    """

    def __init__(self) -> None:
        self.size = STACK
        self.data = bytearray()
        self._ranges: list[_Range] = []  # by their address here
        self._room: list[_Range] = []  # in order of announcement
        self._same: dict[bytes, int] = {}

    def reserve(self, array: Any) -> None:
        """Assign an address to an array, without its numbers."""
        low, high = _bounds(array)
        if self._range(low) is None:
            self._room.append(_Range(low, high))
            insort(self._ranges, self._room[-1])

    def put(self, array: Any, shared: bool = False) -> None:
        """Assign an address to an array and its numbers; equal arrays that never change may share one."""
        low, high = _bounds(array)
        if self._range(low) is None:
            content = ctypes.string_at(low, high - low)
            place = self._same.get(content) if shared else None
            if place is None:
                place = self.append(content)
            if shared:
                self._same[content] = place
            insort(self._ranges, _Range(low, high, place))

    def append(self, content: bytes) -> int:
        """Assign an address to some bytes."""
        self.data += bytes(-len(self.data) % LINE)
        place = STACK + len(self.data)
        self.data += content
        return place

    def close(self) -> None:
        """Assign addresses to all memory without initial content, after the rest."""
        self.size = STACK + len(self.data)
        for one in self._room:
            one.place = -(-self.size // LINE) * LINE
            self.size = one.place + one.high - one.low
        self.size += BEHIND

    def place(self, address: int) -> int:
        """Return the module's address for an address of this computer."""
        found = self._range(address)
        if found is None:
            raise AssertionError(f"address {address} is in no array")
        return found.place + address - found.low

    def place_of(self, array: Any) -> int:
        """Return where the first element of an array is."""
        return self.place(array.__array_interface__["data"][0])

    def _range(self, address: int) -> _Range | None:
        at = bisect_right(self._ranges, address, key=lambda one: one.low) - 1
        return self._ranges[at] if at >= 0 and address < self._ranges[at].high else None


@dataclass(order=True)
class _Range:
    low: int
    high: int
    place: int = 0


class Calls:
    """Kernels that run one after another, and the addresses of their tables."""

    def __init__(self, layout: Layout, calls: Sequence[Kernel]) -> None:
        self.kernels = calls
        self._layout = layout
        for kernel in calls:
            for array in _arrays(kernel.kept):
                layout.put(array, shared=True)
        self.tables = [layout.append(bytes(kernel.table.nbytes)) for kernel in calls]

    def fill(self) -> None:
        """Write the tables, with the addresses of the module."""
        for kernel, start in zip(self.kernels, self.tables, strict=True):
            table = kernel.table.copy()
            for _, n in _POINTER.findall(kernel.text):
                if table[int(n)]:  # 0 means none
                    table[int(n)] = self._layout.place(int(table[int(n)]))
            self._layout.data[start - STACK : start - STACK + table.nbytes] = table.tobytes()


def _arrays(kept: Any) -> Iterator[Any]:
    if isinstance(kept, np.ndarray):
        yield kept
    else:
        for item in kept:
            yield from _arrays(item)


def _bounds(array: Any) -> tuple[int, int]:
    """Return where the memory of an array begins and ends."""
    low = array.__array_interface__["data"][0]
    if not array.size:
        return low, low + 1
    return low, low + sum((n - 1) * s for n, s in zip(array.shape, array.strides, strict=True)) + array.itemsize
