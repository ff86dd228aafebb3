"""Machine code for groups of instructions: the loops that fusion.py finds, as LLVM code.

LLVM (llvm.org, through llvmlite) translates its language into instructions of the processor. We do not rely on its
auto-vectorizer: a value in the generated text is a vector of some registers, one number for each of several
neighboring points, and LLVM only assigns registers. Without llvmlite, numpy runs everything.

A kernel's text has no addresses, sizes or strides in it; a table passed to it has them. The layers of a network differ
only in the table, so they share one kernel, which is compiled once.
"""

from __future__ import annotations

import ctypes
import hashlib
import math
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Protocol

import numpy as np

from ..program.fusion import (
    Elements,
    Group,
    Member,
    Nest,
    keep,
    local_shape,
)
from ..program.ir import Access, Program
from ..runtime import disk_cache, memory
from ..runtime.views import View
from .llvm_math import Formulas, able
from .text import HERE, SMALLER, SMALLEST, Target, Text, joined

__all__ = ["Arrays", "able", "available", "kernel"]

#: Elements are prefetched this many points ahead of their use.
AHEAD = 4


# --- the compiler ----------------------------------------------------------------------------------------------------


@cache
def _llvm() -> Any:
    """Return llvmlite's binding, its target machine, and an engine with the compiled code; None without llvmlite."""
    try:
        import llvmlite.binding as llvm
    except (ImportError, OSError):
        return None
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=LEVEL
    )
    return llvm, machine, llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)


@cache
def this_computer() -> Target:
    """Return the vector and tile sizes that suit this computer."""
    llvm, machine, _ = _llvm()
    features = llvm.get_host_cpu_features()
    if features.get("avx512f"):
        return HERE
    return SMALLER if features.get("avx2") or machine.triple.startswith(("aarch64", "arm64")) else SMALLEST


def available() -> bool:
    """Return whether llvmlite can compile here."""
    return _llvm() is not None


#: The text already has vector loops: only its variables must move into registers. All the passes of a standard pipeline
#: take ten times as long and produce code of the same speed; so do the second level of optimization, and the search for
#: other counters of loops, for which only a global option exists: it stays on with a version whose options we do not
#: know. Without the combination of instructions, derivatives of divisions by the smallest numbers would become NaN.
PASSES = ("sroa", "simplify_cfg", "instruction_combine")
LEVEL = 1
WITHOUT = "-disable-lsr"
KNOWN = range(20, 23)


def _run_passes(module: Any, machine: Any, names: Sequence[str]) -> None:
    llvm = _llvm()[0]
    passes = llvm.create_new_module_pass_manager()
    for name in names:
        getattr(passes, f"add_{name}_pass")()
    passes.run(module, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options()))


def _added(text: str, kept: bool) -> bytes:
    """Compile a text and load it; returns its machine code if it is ``kept``.

    Otherwise the code stays in LLVM: where lines of a lesson are practiced, nothing may read it out of there.
    """
    llvm, machine, engine = _llvm()
    module = llvm.parse_assembly(text)
    _run_passes(module, machine, PASSES)
    is_known = llvm.llvm_version_info[0] in KNOWN
    if is_known:
        llvm.set_option("", WITHOUT)
    try:
        if kept:
            code = bytes(machine.emit_object(module))
            _add(code)
            return code
        engine.add_module(module)
        engine.finalize_object()
        return b""
    finally:
        if is_known:
            llvm.set_option("", f"{WITHOUT}=false")  # for others who use LLVM in this process


@cache
def _processor() -> str:
    """Return what machine code depends on besides its text."""
    llvm, machine, _ = _llvm()
    features = llvm.get_host_cpu_features().flatten()
    cpu = llvm.get_host_cpu_name()
    how = (PASSES, LEVEL, WITHOUT)
    return repr((sys.modules["llvmlite"].__version__, llvm.llvm_version_info, machine.triple, cpu, features, how))


_compiling = threading.RLock()
_functions: dict[str, Callable[[int], None]] = {}  # by text


def _compile(texts: Iterable[str]) -> None:
    """Compile the functions ``@kernel`` of texts; their argument is the address of a table.

    What is new becomes one object, which takes less time than one for each. On disk, the name of a function leads to
    that of its object.
    """
    with _compiling:  # another thread may be making the same
        kept = disk_cache.folder("kernels") is not None
        new = [text for text in dict.fromkeys(texts) if text not in _functions]
        names = {text: f"kernel_{_digest((_processor() if kept else '') + text)}" for text in new}
        missing = {name: text for text, name in names.items() if not (kept and _found(name))}
        if missing:
            code = _added(joined(missing), kept)
            if kept:
                whole = f"object_{_digest(''.join(missing))}"
                for name, content in (whole, code), *((name, whole.encode()) for name in missing):
                    disk_cache.keep("kernels", name, content)
        for text, name in names.items():
            address = _llvm()[2].get_function_address(name)
            _functions[text] = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address)


@contextmanager
def beside(texts: Callable[[], Iterable[str]]) -> Iterator[None]:
    """Compile these texts in another thread during the block: LLVM leaves Python to this one."""
    thread = threading.Thread(target=lambda: _compile(texts()), name="compile")
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _found(name: str) -> bool:
    """Load the function of this name if it is on disk; return whether it is there."""
    if not _llvm()[2].get_function_address(name):  # it may be in an object that is already loaded
        whole = disk_cache.find("kernels", name)
        code = disk_cache.find("kernels", whole.decode()) if whole else None
        if code is None:
            return False
        _add(code)
    return True


def _add(code: bytes) -> None:
    llvm, _, engine = _llvm()
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()


def wasm_object(text: str) -> bytes:
    """Compile a text for WebAssembly, with vectors of 128 bits: an object for a linker."""
    found = _llvm()
    assert found
    llvm = found[0]
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    target = llvm.Target.from_triple("wasm32-unknown-unknown")
    machine = target.create_target_machine(opt=3, features="+simd128,+bulk-memory")
    module = llvm.parse_assembly(text)
    module.triple, module.data_layout = machine.triple, str(machine.target_data)
    _run_passes(module, machine, ("always_inliner", *PASSES))
    return bytes(machine.emit_object(module))


class Kernel:
    """A function in LLVM IR, and the table of numbers that it reads.

    Attributes:
        text: the module, whose function ``@kernel`` takes the address of the table.
        table: integers and addresses: what the text loads as ``ptr``.
        kept: objects that must live as long.
        function: its machine code, once it is compiled.
    """

    def __init__(self, text: str, table: Sequence[int], kept: Any = ()) -> None:
        self.text, self.kept = text, kept
        self.table = np.array(table, np.int64)
        self.function: Callable[[int], None] | None = None
        self._address = self.table.ctypes.data

    def compiled(self) -> Kernel:
        """Make it ready to run on this computer, and return it."""
        compile_all([self])
        return self

    def __call__(self) -> None:
        """Run the kernel."""
        self.function(self._address)  # type: ignore[misc]

    def addresses(self) -> tuple[int, int]:
        """Return the addresses of the function and of the table."""
        return ctypes.cast(self.function, ctypes.c_void_p).value or 0, self._address  # type: ignore[arg-type]


def compile_all(kernels: Sequence[Kernel]) -> None:
    """Make kernels ready to run on this computer; together, this takes less time."""
    _compile([kernel.text for kernel in kernels])
    for kernel in kernels:
        kernel.function = _functions[kernel.text]


class Arrays(Protocol):
    """The arrays of a program in memory, for kernels.

    Attributes:
        arrays: one for each array of the program, its axes in the program's order, the lanes last.
        target: where the kernels run.
    """

    program: Program
    dtype: np.dtype[Any]
    arrays: list[Any]
    target: Target

    def local_memory(self, size: int) -> Any:
        """Return a buffer of at least this many bytes."""


def kernel(home: Arrays, group: Group) -> Kernel:
    """Return the kernel of a group of instructions."""
    writer = _Writer(home, group, home.target.width)
    width = _best_width(writer.longest() * home.dtype.itemsize, home.target)
    if width < home.target.width:
        writer = _Writer(home, group, width)
    text = writer.text()
    return Kernel(text, writer.table, writer.kept)


def _best_width(size: int, target: Target) -> int:
    """Return the length of the vectors for so many bytes: as long as possible, but the last one is paid for whole."""

    def cost(width: int) -> tuple[int, int]:
        vectors = -(-size // width)
        return vectors * (1 + max(1, width // target.tile)), width * (vectors == 1)

    widths = [target.width]
    while widths[-1] > 16:
        widths.append(widths[-1] // 2)
    return min(widths, key=cost)


# --- from a group to a text -------------------------------------------------------------------------------------------


class _Pointer:
    """Where the elements of an access are in memory.

    Attributes:
        address: the address of the first one.
        steps: in bytes, for every loop of the group that moves it.
        local: whether it is memory for one vector, which outer loops do not move.
        pointer: the name in the text of the pointer as moved by the enclosing loops.
    """

    def __init__(self, address: int, strides: Sequence[int], loops: Sequence[int], local: bool = False) -> None:
        self.address = address
        self.steps = {g: s for g, s in zip(loops, strides, strict=False) if g >= 0 and s}
        self.local = local
        self.pointer = ""

    @classmethod
    def of(cls, view: View, loops: Sequence[int]) -> _Pointer:
        """The elements of a view."""
        return cls(view.base.__array_interface__["data"][0], view.strides, loops)


#: No loop is vectorized.
NOWHERE = -1

#: The neutral element of each reduction.
NEUTRAL = {"sum": 0.0, "max": -math.inf, "min": math.inf}

#: Merged loops: their numbers, outermost first.
_Axis = tuple[int, ...]


class _Writer(Text):
    """Write the text of one kernel, and its table."""

    def __init__(self, home: Arrays, group: Group, width: int) -> None:
        super().__init__()
        self.width = width
        self.home, self.group = home, group
        self.program = home.program
        self.item = home.dtype.itemsize
        self.table: list[int] = []
        self.known: dict[tuple[str, int], str] = {}
        self.kept: list[Any] = []
        self.lanes = width // self.item
        self.formulas = Formulas(self.emit, home.dtype, self.lanes)
        if not home.target.here:
            self.formulas.loaded = self._loaded
        self.vector, self.scalar = self.formulas.vector, self.formulas.scalar
        self.places: dict[Elements, _Pointer] = {}
        self.asked: set[int] = set()  # accesses already prefetched
        self.local = 0  # bytes of local memory in use
        self.local_starts: dict[int, int] = {}
        for member in group.members:
            it = self.program.instructions[member.number]
            for x, place in ((it.out, member.out), *zip(it.inputs, member.reads, strict=True)):
                if place is None or place in self.places or place[0] in group.hidden:
                    continue
                assert isinstance(x, Access)
                if place[0] in group.local:
                    self.places[place] = self._local(place)
                else:
                    has_lanes = self.program.arrays[place[0]].lanes
                    view = View.access(home.arrays[place[0]], x, it.loops, has_lanes, lanes=True)
                    self.places[place] = _Pointer.of(view, member.loops)
            if it.op == "fill":
                self.places[_mask_of(member)] = self._mask(member)
            if member.total:
                self.places[_total_of(member)] = self._total(member)
        start = home.local_memory(self.local).ctypes.data if self.local else 0
        for where in self.places.values():
            where.address += start * where.local

    def _local(self, place: Elements) -> _Pointer:
        shape = local_shape(self.program, self.group, place[0])
        if place[0] not in self.local_starts:
            self.local_starts[place[0]] = self.local
            self.local += math.prod(shape) * self.width
        address = self.local_starts[place[0]]
        steps: dict[int, int] = {}
        for axis, n in enumerate(shape):
            if n > 1:
                start, moving = place[1][axis]
                size = math.prod(shape[axis + 1 :]) * self.width
                address += start * size
                for loop, step in moving:
                    steps[loop] = steps.get(loop, 0) + step * size
        return _Pointer(address, list(steps.values()), list(steps), local=True)

    def _mask(self, member: Member) -> _Pointer:
        """Return which points keep their value, as ones and zeros."""
        it = self.program.instructions[member.number]
        mask = memory.copy(np.asarray(it.mask).astype(self.home.dtype))
        self.kept.append(mask)
        strides = [s if n > 1 else 0 for n, s in zip(mask.shape, mask.strides, strict=True)]
        return _Pointer.of(View(mask, [0] * (len(it.loops) - mask.ndim) + strides), member.loops)

    def _total(self, member: Member) -> _Pointer:
        """Return memory for sums over the outer loops: a vector of them for each result."""
        loops = sorted(member.kept)
        extents = [self.group.extents[g] for g in loops]
        steps = [math.prod(extents[n + 1 :]) * self.width for n in range(len(loops))]
        place = _Pointer(self.local, steps, loops, local=True)
        self.local += math.prod(extents) * self.width
        return place

    # --- building blocks ---

    def _step(self, step: int) -> str:
        """Return a stride from the table."""
        return self._known("step", step)

    def _extent(self, axis: _Axis) -> str:
        """Return the number of points of an axis, from the table."""
        return self._known("extent", self._size(axis))

    def _known(self, kind: str, value: int) -> str:
        # Equal numbers share one entry of the table, so that LLVM sees that they are equal.
        if (kind, value) not in self.known:
            self.known[kind, value] = self._from_table(value, "i64")
        return self.known[kind, value]

    def _loaded(self, number: float) -> str:
        """Return a constant from the table: the engines of browsers would compute it anew each time it is used."""
        bits = int(np.asarray(number, self.home.dtype).view(f"i{self.item}"))
        if ("constant", bits) not in self.known:
            value = self._from_table(bits, self.scalar)
            one, zeros = f"{value}o", f"<{self.lanes} x i32> zeroinitializer"
            self.entry.append(f"  {one} = insertelement {self.vector} poison, {self.scalar} {value}, i64 0")
            self.entry.append(f"  {value}v = shufflevector {self.vector} {one}, {self.vector} poison, {zeros}")
            self.known["constant", bits] = f"{value}v"
        return self.known["constant", bits]

    def _from_table(self, value: int, kind: str) -> str:
        n = len(self.table)
        self.table.append(value)
        self.entry.append(f"  %a{n} = getelementptr i64, ptr %table, i64 {n}")
        self.entry.append(f"  %t{n} = load {kind}, ptr %a{n}, align 8")
        return f"%t{n}"

    # --- loops ---

    def text(self) -> str:
        """Write the kernel."""
        for place in self.places.values():
            place.pointer = self._from_table(place.address, "ptr")
        totals = [member for member in self.group.members if member.total]
        for member in totals:
            self._for_each_total(member, self._clear)
        axes = self._merged(self.group.outer, [place for place in self.places.values() if not place.local])
        self._outer_loops(axes, (NOWHERE,) if self.group.flat else self._take_strip(axes))
        for member in totals:
            self._for_each_total(member, self._store_total)
        attributes = '"prefer-vector-width"="512" "min-legal-vector-width"="512" nounwind'
        return "\n".join(
            [
                *self.formulas.declarations(),
                f"define void @kernel(ptr noalias readonly %table) {attributes} {{",
                *self.entry,
                *self.lines,
                "  ret void",
                "}",
            ]
        )

    def _size(self, axis: _Axis) -> int:
        return math.prod(self.group.extents[g] for g in axis)

    def longest(self) -> int:
        """Return the number of points along the vectorized axis."""
        fixed = [place for place in self.places.values() if not place.local]
        if not self.group.flat:
            return self._size(self._take_strip(self._merged(self.group.outer, fixed)))
        nests = [self._merged(nest.loops, fixed) for nest in self.group.nests if nest.loops]
        return max((self._size(self._take_strip(axes)) for axes in nests), default=1)

    def _take_strip(self, axes: list[_Axis]) -> _Axis:
        """Choose the vectorized axis, and remove it from the others."""
        strip = max(axes, key=lambda axis: (self._neighbors(axis), self._size(axis)))
        axes.remove(strip)
        return strip

    def _neighbors(self, axis: _Axis) -> int:
        """Count the accesses that are contiguous along an axis."""
        return sum(place.steps.get(axis[-1]) == self.item for place in self.places.values())

    def _merged(self, loops: frozenset[int], places: list[_Pointer]) -> list[_Axis]:
        """Merge loops into few axes, those with the largest steps first."""
        order = sorted(loops, key=lambda g: (tuple(-abs(p.steps.get(g, 0)) for p in places), g))
        axes: list[_Axis] = []
        for g in order:
            extent = self.group.extents[g]
            if axes and all(p.steps.get(axes[-1][-1], 0) == p.steps.get(g, 0) * extent for p in places):
                axes[-1] = (*axes[-1], g)
            else:
                axes.append((g,))
        return axes

    def _outer_loops(self, axes: list[_Axis], strip: _Axis) -> None:
        if axes:
            with self.loop(self._extent(axes[0])) as i, self._moved(axes[0], i, self.places.values()):
                self._outer_loops(axes[1:], strip)
            return
        if self.group.flat:
            self._nests(strip, None)
        else:
            self._strips(strip, self.places.values(), lambda mask: self._nests(strip, mask))

    def _strips(self, strip: _Axis, places: Iterable[_Pointer], do: Callable[[str | None], None]) -> None:
        """Loop along an axis, a vector at a time; the last one has a mask if it is incomplete."""
        columns, size = self._extent(strip), self._size(strip)
        rest = size % self.lanes
        if size <= self.lanes:
            do(self._first_lanes(columns) if rest else None)
            return
        whole = self.emit(f"and i64 {columns}, {-self.lanes}")
        with self.loop(whole, self.lanes) as i, self._moved(strip, i, places):
            do(None)
        if rest:
            with self._moved(strip, whole, places):
                do(self._first_lanes(self.emit(f"sub i64 {columns}, {whole}")))

    def _first_lanes(self, count: str) -> str:
        """Return a mask."""
        lanes = self.spread(self.lanes, "i32", self.emit(f"trunc i64 {count} to i32"))
        numbers = ", ".join(f"i32 {n}" for n in range(self.lanes))
        return self.emit(f"icmp slt <{self.lanes} x i32> <{numbers}>, {lanes}")

    def _for_each_total(self, member: Member, do: Callable[[Member], None]) -> None:
        places = [self.places[member.out], self.places[_total_of(member)]]

        def inside(axes: list[_Axis]) -> None:
            if not axes:
                do(member)
                return
            with self.loop(self._extent(axes[0])) as i, self._moved(axes[0], i, places):
                inside(axes[1:])

        inside(self._merged(member.kept, places))

    def _clear(self, member: Member) -> None:
        pointer = self.places[_total_of(member)].pointer
        self.line(f"store {self.vector} zeroinitializer, ptr {pointer}, align {memory.LINE}")

    def _store_total(self, member: Member) -> None:
        """Store the sum of a vector as the result."""
        total, out = self.places[_total_of(member)].pointer, self.places[member.out].pointer
        result = self.formulas.across("sum", self.emit(f"load {self.vector}, ptr {total}, align {memory.LINE}"))
        if self.program.instructions[member.number].accumulate:
            before = self.emit(f"load {self.scalar}, ptr {out}, align {self.item}")
            result = self.emit(f"fadd {self.scalar} {before}, {result}")
        self.line(f"store {self.scalar} {result}, ptr {out}, align {self.item}")

    @contextmanager
    def _moved(self, axis: _Axis, i: str, places: Any) -> Iterator[None]:
        """Move the pointers to point ``i`` of an axis inside the block."""
        moving = [place for place in places if axis[-1] in place.steps]
        before = [place.pointer for place in moving]
        offsets: dict[int, str] = {}
        for place in moving:
            step = place.steps[axis[-1]]
            if step not in offsets:
                offsets[step] = self.emit(f"mul nsw i64 {i}, {self._step(step)}")
            place.pointer = self.emit(f"getelementptr i8, ptr {place.pointer}, i64 {offsets[step]}")
        yield
        for place, pointer in zip(moving, before, strict=True):
            place.pointer = pointer

    def _nests(self, strip: _Axis, mask: str | None) -> None:
        """Write the computation for the points of one vector."""
        self.asked.clear()
        lasting: dict[Elements, str] = {}
        for nest in self.group.nests:
            self._nest(nest, strip[-1], mask, lasting)

    def _nest(self, nest: Nest, strip: int, mask: str | None, lasting: dict[Elements, str]) -> None:
        its = [self.program.instructions[m.number] for m in nest.members]
        used = {p for m in nest.members for p in (m.out, *m.reads, _mask_of(m), _total_of(m)) if p in self.places}
        totals = {}
        for member, it in zip(nest.members, its, strict=True):
            if member.reduced and not member.total:
                totals[member] = self.variable(self.vector)
                start = self.formulas.constant(NEUTRAL[it.reduce])
                self.line(f"store {self.vector} {start}, ptr {totals[member]}")
        registers = dict(lasting)
        written = {m.out[0] for m in nest.members}
        order = [place for place in self.places if place in used]
        for place in order:  # operands that no loop of the nest moves are loaded once
            where = self.places[place]
            if nest.loops and place not in registers and place[0] not in written and not nest.loops & {*where.steps}:
                registers[place] = self._fetch(where, strip, mask)
        places = [self.places[place] for place in order]
        axes = self._merged(nest.loops, places)
        if not self.group.flat or not nest.loops:
            self._nest_loops(axes, places, nest, strip, mask, registers, totals)
        else:
            own = self._take_strip(axes)
            self._flat_loops(axes, own, places, nest, registers, totals)
        if not nest.loops:
            for member in nest.members:
                if not member.total:
                    self._note(lasting, member.out, registers[member.out])
        for member, it in zip(nest.members, its, strict=True):
            if member in totals:
                total = self.emit(f"load {self.vector}, ptr {totals[member]}")
                if self.group.flat:
                    total = self.spread(self.lanes, self.scalar, self.formulas.across(it.reduce, total))
                self._finish(member, it.accumulate, total, strip, mask, lasting)
            elif nest.loops:
                self._note(lasting, member.out, None)

    def _flat_loops(
        self, axes: list[_Axis], strip: _Axis, places: list[_Pointer], nest: Nest,
        registers: dict[Elements, str], totals: dict[Member, str],
    ) -> None:  # fmt: skip
        """Write the loops of a nest if the outer ones are not vectorized: one of its own loops is."""
        if axes:
            with self.loop(self._extent(axes[0])) as i, self._moved(axes[0], i, places):
                self._flat_loops(axes[1:], strip, places, nest, registers, totals)
            return
        self._strips(
            strip, places,
            lambda mask: self._nest_loops([], places, nest, strip[-1], mask, dict(registers), totals),
        )  # fmt: skip

    def _nest_loops(
        self, axes: list[_Axis], places: list[_Pointer], nest: Nest, strip: int, mask: str | None,
        registers: dict[Elements, str], totals: dict[Member, str],
    ) -> None:  # fmt: skip
        if axes:
            with self.loop(self._extent(axes[0])) as i, self._moved(axes[0], i, places):
                self._nest_loops(axes[1:], places, nest, strip, mask, registers, totals)
            return
        self._ask_for_what_comes(nest, places, strip)
        for member in nest.members:
            it = self.program.instructions[member.number]
            arguments: list[Any] = []
            for x, place in zip(it.inputs, member.reads, strict=True):
                if place is not None and place not in registers:
                    registers[place] = self._fetch(self.places[place], strip, mask)
                arguments.append(x if place is None else registers[place])
            if it.op == "fill":
                arguments += [self._fetch(self.places[_mask_of(member)], strip, mask), it.value]
            value = self.formulas.compute(it.op, arguments)
            if member in totals:
                if mask and self.group.flat:
                    value = self._masked(mask, value, NEUTRAL[it.reduce])
                total = self.emit(f"load {self.vector}, ptr {totals[member]}")
                total = self.formulas.combine(it.reduce, total, value)
                self.line(f"store {self.vector} {total}, ptr {totals[member]}")
            elif member.total:
                if mask:
                    value = self._masked(mask, value, 0.0)
                pointer = self.places[_total_of(member)].pointer
                total = self.emit(f"load {self.vector}, ptr {pointer}, align {memory.LINE}")
                total = self.formulas.combine("sum", total, value)
                self.line(f"store {self.vector} {total}, ptr {pointer}, align {memory.LINE}")
            else:
                self._finish(member, it.accumulate, value, strip, mask, registers)

    def _finish(
        self, member: Member, accumulate: bool, value: str, strip: int, mask: str | None, registers: dict[Elements, str]
    ) -> None:
        """Store a result."""
        place = member.out
        if accumulate:
            before = registers[place] if place in registers else self._fetch(self.places[place], strip, mask)
            value = self.formulas.compute("add", [before, value])
        self._note(registers, place, value)
        if place in self.places:
            self._store(self.places[place], value, strip, mask)

    def _note(self, registers: dict[Elements, str], place: Elements, value: str | None) -> None:
        known = set(registers)
        keep(known, place, lasts=value is not None)
        for gone in registers.keys() - known:
            del registers[gone]
        if value is not None:
            registers[place] = value

    # --- memory ---

    def _ask_for_what_comes(self, nest: Nest, places: list[_Pointer], strip: int) -> None:
        """Prefetch memory needed some points later.

        The processor does this by itself for consecutive addresses, but not for a vector from every row of a matrix.
        Only the first access in the group needs it: later nests find everything in the cache.
        """
        if not nest.loops or self.group.flat:
            return
        loop = self._merged(nest.loops, places)[-1][-1]
        written = [self.places[m.out] for m in nest.members if m.out in self.places]
        for place in places:
            step = place.steps.get(loop, 0)
            if step and not place.local and place.steps.get(strip) == self.item and id(place) not in self.asked:
                self.asked.add(id(place))
                ahead = self.emit(f"mul nsw i64 {self._step(step)}, {AHEAD}")
                for line in range(0, self.width, memory.LINE):
                    address = self.emit(f"getelementptr i8, ptr {place.pointer}, i64 {ahead}")
                    address = self.emit(f"getelementptr i8, ptr {address}, i64 {line}")
                    arguments = f"ptr {address}, i32 {int(place in written)}, i32 3, i32 1"
                    self.line(self.formulas.intrinsic("prefetch", "p0", "void", arguments))

    def _fetch(self, place: _Pointer, strip: int, mask: str | None) -> str:
        """Load the elements of an access for the points of one vector."""
        step = self.item if place.local else place.steps.get(strip, 0)
        if place.local:
            mask = None
        if not step:
            number = self.emit(f"load {self.scalar}, ptr {place.pointer}, align {self.item}")
            return self.spread(self.lanes, self.scalar, number)
        if step == self.item and mask is None:
            return self.emit(f"load {self.vector}, ptr {place.pointer}, align {self.item}")
        if step == self.item:
            return self.emit(
                self.formulas.intrinsic(
                    "masked.load", f"{self.formulas.suffix}.p0", self.vector,
                    f"ptr {place.pointer}, i32 {self.item}, {self._bits(mask)}, {self.vector} zeroinitializer",
                )
            )  # fmt: skip
        return self.emit(
            self.formulas.intrinsic(
                "masked.gather", f"{self.formulas.suffix}.v{self.lanes}p0", self.vector,
                f"{self._pointers(place, step)}, i32 {self.item}, {self._bits(mask)}, {self.vector} zeroinitializer",
            )
        )  # fmt: skip

    def _store(self, place: _Pointer, value: str, strip: int, mask: str | None) -> None:
        step = self.item if place.local else place.steps.get(strip, 0)
        if place.local:
            mask = None
        if not step:
            one = self.emit(f"extractelement {self.vector} {value}, i64 0")
            self.line(f"store {self.scalar} {one}, ptr {place.pointer}, align {self.item}")
        elif step == self.item and mask is None:
            self.line(f"store {self.vector} {value}, ptr {place.pointer}, align {self.item}")
        elif step == self.item:
            self.line(
                self.formulas.intrinsic(
                    "masked.store", f"{self.formulas.suffix}.p0", "void",
                    f"{self.vector} {value}, ptr {place.pointer}, i32 {self.item}, {self._bits(mask)}",
                )
            )  # fmt: skip
        else:
            self.line(
                self.formulas.intrinsic(
                    "masked.scatter", f"{self.formulas.suffix}.v{self.lanes}p0", "void",
                    f"{self.vector} {value}, {self._pointers(place, step)}, i32 {self.item}, {self._bits(mask)}",
                )
            )  # fmt: skip

    def _pointers(self, place: _Pointer, step: int) -> str:
        steps = self.spread(self.lanes, "i64", self._step(step))
        offsets = self.emit(f"mul {self._indices()}, {steps}")
        return f"<{self.lanes} x ptr> " + self.emit(
            f"getelementptr i8, ptr {place.pointer}, <{self.lanes} x i64> {offsets}"
        )

    def _indices(self) -> str:
        return f"<{self.lanes} x i64> <" + ", ".join(f"i64 {n}" for n in range(self.lanes)) + ">"

    def _bits(self, mask: str | None) -> str:
        return f"<{self.lanes} x i1> " + (mask or "splat (i1 true)")

    def _masked(self, mask: str, value: str, other: float) -> str:
        """Replace masked-out lanes by a number."""
        return self.emit(
            f"select {self._bits(mask)}, {self.vector} {value}, {self.vector} {self.formulas.constant(other)}"
        )


def _mask_of(member: Member) -> Elements:
    """Return a key for the mask of a ``fill``, which is not an array of the program."""
    return -1 - member.number, (), ()


def _total_of(member: Member) -> Elements:
    """Return a key for the vectors in which a total is accumulated."""
    return -1 - member.number, ((0, ()),), ()
