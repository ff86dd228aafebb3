"""Sums of products as machine code: small ones by tiles in registers, large ones by the BLAS that numpy has.

A product here is out[i,j] (+)= Σk a[i,k]·b[k,j] with any strides, many times: the offsets of every repetition
(examples, heads) are in a list. A *tile* of the result, some rows of one or two vectors each, stays in registers while
k runs (Goto and van de Geijn 2008, "Anatomy of high-performance matrix multiplication"); the vectors of b are read in
place if their numbers are neighbors, or else from a packed copy. These kernels know no sizes: one text serves all.
"""

from __future__ import annotations

from functools import cache

from .text import Target, Text, from_table

#: Products of at least this many multiplications use the BLAS.
LARGE = 1 << 27

#: Sums are split into parts of at most about this many terms.
DEEP = 256

#: With so many rows, and terms, columns that are far apart are packed, too.
MANY_ROWS = 32


@cache
def tiled(double: bool, target: Target) -> str:
    """Return the kernel for small products of one type of number."""
    return _Tiles(double, target).text()


@cache
def blas(double: bool) -> str:
    """Return the kernel that calls the BLAS for every product of the list."""
    scalar = "double" if double else "float"
    text = Text()
    count, entries, a, b, c, function, m, n, k, lda, ldb, ldc, ta, tb = from_table(text, "ippppp" + "i" * 8)
    ta, tb = (text.emit(f"trunc i64 {t} to i32") for t in (ta, tb))
    with text.loop(count) as t:
        pa, pb, pc, add = _entry(text, entries, t, a, b, c)
        beta = text.emit(f"select i1 {add}, {scalar} 1.0, {scalar} 0.0")
        text.line(
            f"call void {function}(i32 101, i32 {ta}, i32 {tb}, i64 {m}, i64 {n}, i64 {k}, {scalar} 1.0, "
            f"ptr {pa}, i64 {lda}, ptr {pb}, i64 {ldb}, {scalar} {beta}, ptr {pc}, i64 {ldc})"
        )
    return text.function("void @kernel(ptr noalias readonly %table) nounwind")


def _entry(text: Text, entries: str, t: str, *starts: str) -> list[str]:
    """Return the pointers of a repetition, and whether its result is added to the old one."""
    entry = text.at(entries, "32", t)
    found = []
    for n, start in enumerate(starts):
        offset = text.emit(f"load i64, ptr {text.moved(entry, str(8 * n))}, align 8")
        found.append(text.moved(start, offset))
    add = text.emit(f"load i64, ptr {text.moved(entry, '24')}, align 8")
    return [*found, text.emit(f"icmp ne i64 {add}, 0")]


class _Tiles:
    def __init__(self, double: bool, target: Target) -> None:
        self.scalar, self.item = ("double", 8) if double else ("float", 4)
        self.rows, self.lanes = target.rows, target.tile // self.item
        self.vector = f"<{self.lanes} x {self.scalar}>"
        self.bits = f"<{self.lanes} x i1>"
        self.suffix = f"v{self.lanes}f{8 * self.item}"

    def text(self) -> str:
        """Write all functions."""
        v, bits, s = self.vector, self.bits, self.suffix
        declared = [
            f"declare {v} @llvm.fmuladd.{s}({v}, {v}, {v})",
            f"declare {v} @llvm.masked.load.{s}.p0(ptr, i32, {bits}, {v})",
            f"declare void @llvm.masked.store.{s}.p0({v}, ptr, i32, {bits})",
            f"declare {v} @llvm.masked.gather.{s}.v{self.lanes}p0(<{self.lanes} x ptr>, i32, {bits}, {v})",
        ]
        blocks = [(2, False), (2, True), (1, True)]
        tiles = [self._tile(rows, *block) for block in blocks for rows in self.rows]
        return "\n".join([*declared, *tiles, *(self._columns(*block) for block in blocks), self._driver()])

    def _masks(self, text: Text, vectors: int, masked: bool) -> list[str]:
        if not masked:
            return [f"{self.bits} splat (i1 true)"] * vectors
        left = text.spread(self.lanes, "i64", "%left")
        masks = []
        for n in range(vectors):
            numbers = ", ".join(f"i64 {n * self.lanes + lane}" for lane in range(self.lanes))
            masks.append(f"{self.bits} " + text.emit(f"icmp slt <{self.lanes} x i64> <{numbers}>, {left}"))
        return masks

    def _load(self, text: Text, pointer: str, mask: str) -> str:
        if "splat" in mask:
            return text.emit(f"load {self.vector}, ptr {pointer}, align {self.item}")
        return text.emit(
            f"call {self.vector} @llvm.masked.load.{self.suffix}.p0"
            f"(ptr {pointer}, i32 {self.item}, {mask}, {self.vector} zeroinitializer)"
        )

    def _store(self, text: Text, value: str, pointer: str, mask: str) -> None:
        if "splat" in mask:
            text.line(f"store {self.vector} {value}, ptr {pointer}, align {self.item}")
        else:
            text.line(
                f"call void @llvm.masked.store.{self.suffix}.p0"
                f"({self.vector} {value}, ptr {pointer}, i32 {self.item}, {mask})"
            )

    def _tile(self, rows: int, vectors: int, masked: bool) -> str:
        """Write the code for some rows of the result, one or two vectors each."""
        text = Text()
        masks = self._masks(text, vectors, masked)
        width = self.lanes * self.item
        starts = ["%a"]
        for _ in range(rows - 1):
            starts.append(text.moved(starts[-1], "%am"))
        sums = [[text.variable(self.vector) for _ in masks] for _ in range(rows)]
        for row in sums:
            for place in row:
                text.line(f"store {self.vector} zeroinitializer, ptr {place}")
        with text.loop("%k") as k:
            b = text.at("%b", "%bk", k)
            offset = text.emit(f"mul nsw i64 %ak, {k}")
            columns = [self._load(text, text.moved(b, str(n * width)), mask) for n, mask in enumerate(masks)]
            for start, row in zip(starts, sums, strict=True):
                number = text.emit(f"load {self.scalar}, ptr {text.moved(start, offset)}, align {self.item}")
                number = text.spread(self.lanes, self.scalar, number)
                for place, column in zip(row, columns, strict=True):
                    total = text.emit(f"load {self.vector}, ptr {place}")
                    v = self.vector
                    total = text.emit(f"call {v} @llvm.fmuladd.{self.suffix}({v} {number}, {v} {column}, {v} {total})")
                    text.line(f"store {v} {total}, ptr {place}")
        with text.when("%add"):
            for number_of_row, places in enumerate(sums):
                c = text.at("%c", "%cm", str(number_of_row))
                for n, (place, mask) in enumerate(zip(places, masks, strict=True)):
                    before = self._load(text, text.moved(c, str(n * width)), mask)
                    total = text.emit(f"load {self.vector}, ptr {place}")
                    text.line(f"store {self.vector} {text.emit(f'fadd {self.vector} {before}, {total}')}, ptr {place}")
        for number_of_row, places in enumerate(sums):
            c = text.at("%c", "%cm", str(number_of_row))
            for n, (place, mask) in enumerate(zip(places, masks, strict=True)):
                total = text.emit(f"load {self.vector}, ptr {place}")
                self._store(text, total, text.moved(c, str(n * width)), mask)
        return text.function(
            f"internal void @tile{rows}x{vectors}{'m' * masked}(ptr %a, ptr %b, ptr %c, i64 %k, i64 %am, i64 %ak, "
            f"i64 %bk, i64 %cm, i64 %left, i1 %add) nounwind {_ATTRIBUTES}"
        )

    def _columns(self, vectors: int, masked: bool) -> str:
        """Write the code for all rows of one or two vectors of columns."""
        text = Text()
        width = vectors * self.lanes * self.item
        first, apart = text.variable("ptr"), text.variable("i64")
        text.line(f"store ptr %b, ptr {first}")
        text.line(f"store i64 %bk, ptr {apart}")
        with text.when("%pack"):
            self._pack(text, vectors, masked)
            text.line(f"store ptr %scratch, ptr {first}")
            text.line(f"store i64 {width}, ptr {apart}")
        b, step = text.emit(f"load ptr, ptr {first}"), text.emit(f"load i64, ptr {apart}")
        row = text.variable("i64")
        text.line(f"store i64 0, ptr {row}")
        for rows in self.rows:
            with text.repeated(row, "%m", rows) as i:
                a, c = text.at("%a", "%am", i), text.at("%c", "%cm", i)
                text.line(
                    f"call void @tile{rows}x{vectors}{'m' * masked}(ptr {a}, ptr {b}, ptr {c}, i64 %k, i64 %am, "
                    f"i64 %ak, i64 {step}, i64 %cm, i64 %left, i1 %add)"
                )
        return text.function(
            f"internal void @columns{vectors}{'m' * masked}(ptr %a, ptr %b, ptr %c, ptr %scratch, i64 %m, i64 %k, "
            f"i64 %am, i64 %ak, i64 %bk, i64 %bn, i64 %cm, i64 %left, i1 %add, i1 %pack) nounwind {_ATTRIBUTES}"
        )

    def _pack(self, text: Text, vectors: int, masked: bool) -> None:
        """Pack columns that are not contiguous in memory, row by row."""
        width = vectors * self.lanes * self.item
        done = text.variable("i64")
        text.line(f"store i64 0, ptr {done}")
        with text.when(text.emit(f"icmp eq i64 %bk, {self.item}")):  # then square blocks at a time
            columns = [text.at("%b", "%bn", str(n)) for n in range(vectors * self.lanes)]
            if masked:  # the other lanes are never stored
                columns = [
                    text.emit(f"select i1 {text.emit(f'icmp slt i64 {n}, %left')}, ptr {column}, ptr %b")
                    for n, column in enumerate(columns)
                ]
            with text.repeated(done, "%k", self.lanes) as k:
                offset = text.emit(f"mul nsw i64 {k}, {self.item}")
                to = text.at("%scratch", str(width), k)
                for v in range(vectors):
                    own = columns[v * self.lanes : (v + 1) * self.lanes]
                    block = [
                        text.emit(f"load {self.vector}, ptr {text.moved(column, offset)}, align {self.item}")
                        for column in own
                    ]
                    for n, row in enumerate(self._transposed(text, block)):
                        place = text.moved(to, str(n * width + v * self.lanes * self.item))
                        text.line(f"store {self.vector} {row}, ptr {place}, align {self.item}")
        masks = self._masks(text, vectors, masked)
        bytes_of_vector = self.lanes * self.item
        with text.when(text.emit(f"icmp eq i64 %bn, {self.item}")), text.repeated(done, "%k") as k:
            start, to = text.at("%b", "%bk", k), text.at("%scratch", str(width), k)
            for n, mask in enumerate(masks):
                found = self._load(text, text.moved(start, str(n * bytes_of_vector)), mask)
                place = text.moved(to, str(n * bytes_of_vector))
                text.line(f"store {self.vector} {found}, ptr {place}, align {self.item}")
        apart = text.spread(self.lanes, "i64", "%bn")
        numbers = ", ".join(f"i64 {lane}" for lane in range(self.lanes))
        offsets = text.emit(f"mul <{self.lanes} x i64> {apart}, <{numbers}>")
        with text.repeated(done, "%k") as k:  # the remainder
            start, to = text.at("%b", "%bk", k), text.at("%scratch", str(width), k)
            for n, mask in enumerate(masks):
                first = text.at(start, "%bn", str(n * self.lanes))
                pointers = text.emit(f"getelementptr i8, ptr {first}, <{self.lanes} x i64> {offsets}")
                found = text.emit(
                    f"call {self.vector} @llvm.masked.gather.{self.suffix}.v{self.lanes}p0(<{self.lanes} x ptr> "
                    f"{pointers}, i32 {self.item}, {mask}, {self.vector} zeroinitializer)"
                )
                place = text.moved(to, str(n * bytes_of_vector))
                text.line(f"store {self.vector} {found}, ptr {place}, align {self.item}")

    def _transposed(self, text: Text, rows: list[str]) -> list[str]:
        """Transpose a square: interleave the first half of the rows with the second, again and
        again."""
        half = self.lanes // 2
        low, high = (
            ", ".join(f"i32 {lane + half * upper + self.lanes * other}" for lane in range(half) for other in (0, 1))
            for upper in (0, 1)
        )
        for _ in range(half.bit_length()):
            rows = [
                text.emit(
                    f"shufflevector {self.vector} {rows[n]}, {self.vector} {rows[n + half]}, "
                    f"<{self.lanes} x i32> <{order}>"
                )
                for n in range(half)
                for order in (low, high)
            ]
        return rows

    def _driver(self) -> str:
        text = Text()
        count, entries, a0, b0, c0, scratch_, m, n, k, am, ak, bk, bn, cm, pack = from_table(text, "ippppp" + "i" * 9)
        pack = text.emit(f"icmp ne i64 {pack}, 0")
        whole = 2 * self.lanes
        column = text.variable("i64")

        def call(block: str, j: str) -> None:
            left = text.emit(f"sub i64 {n}, {j}")
            b = text.at(pointers[1], bn, j)
            c = text.at(pointers[2], str(self.item), j)
            text.line(
                f"call void @columns{block}(ptr {pointers[0]}, ptr {b}, ptr {c}, ptr {scratch_}, i64 {m}, i64 {k}, "
                f"i64 {am}, i64 {ak}, i64 {bk}, i64 {bn}, i64 {cm}, i64 {left}, i1 {add}, i1 {pack})"
            )

        with text.loop(count) as t:
            *pointers, add = _entry(text, entries, t, a0, b0, c0)
            text.line(f"store i64 0, ptr {column}")
            with text.repeated(column, n, whole) as j:
                call("2", j)
            j = text.emit(f"load i64, ptr {column}")
            left = text.emit(f"sub i64 {n}, {j}")
            with text.when(text.emit(f"icmp sgt i64 {left}, {self.lanes}")):
                call("2m", j)
            one = text.emit(f"icmp sgt i64 {left}, 0")
            few = text.emit(f"icmp sle i64 {left}, {self.lanes}")
            with text.when(text.emit(f"and i1 {one}, {few}")):
                call("1m", j)
        return text.function(f"void @kernel(ptr noalias readonly %table) nounwind {_ATTRIBUTES}")


_ATTRIBUTES = '"prefer-vector-width"="512" "min-legal-vector-width"="512"'
