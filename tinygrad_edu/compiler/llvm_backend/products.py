"""Sums of products as machine code: small ones by tiles in registers, large ones by the BLAS that numpy has.

A product here is out[i,j] (+)= Σk a[i,k]·b[k,j] with any strides, many times: the offsets of every repetition
(examples, heads) are in a list. A *tile* of the result, some rows of one or two vectors each, stays in registers while
k runs (Goto and van de Geijn 2008, "Anatomy of high-performance matrix multiplication"); the vectors of b are read in
place if their numbers are neighbors, or else from a packed copy, and so are the numbers of a. While a tile is computed,
the memory of the next columns is requested. These kernels know no sizes: one text serves all.
"""

from __future__ import annotations

from functools import cache
from itertools import product

from ..runtime.memory import LINE
from .text import Target, Text, from_table

#: Sums are split into parts of at most about this many terms.
DEEP = 256

#: Results are split into parts of at most about this many rows.
HIGH = 768

#: Matrices of fewer numbers are prefetched as a whole.
SMALL = 1 << 12

#: With so many rows, and terms, columns that are far apart are packed, too.
MANY_ROWS = 32


#: Further than any index.
_FAR = 1 << 40


def bounds(order: tuple[int, int] | None) -> list[int]:
    """Return the end of a table: if not None, only points matter where one index is not greater than another.

    ``order`` has the numbers of both axes: 0 for the rows, 1 for the columns, 2 for the terms.
    """
    upper = [0 if order == pair else _FAR for pair in ((0, 1), (2, 1), (2, 0))]
    return upper + [int(order == pair) for pair in ((1, 0), (1, 2), (0, 2))]


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


def _prefetch(text: Text, pointer: str, write: int = 0) -> None:
    text.line(f"call void @llvm.prefetch.p0(ptr {pointer}, i32 {write}, i32 3, i32 1)")


class _Lanes:
    """Vectors of some numbers: their types, and code to load, store and pack them."""

    def __init__(self, scalar: str, item: int, lanes: int) -> None:
        self.scalar, self.item, self.lanes = scalar, item, lanes
        self.size = lanes * item
        self.vector = f"<{lanes} x {scalar}>"
        self.bits = f"<{lanes} x i1>"
        self.suffix = f"v{lanes}f{8 * item}"

    def declared(self) -> list[str]:
        """Return the declarations of the functions that its code calls."""
        v, bits, s = self.vector, self.bits, self.suffix
        return [
            f"declare {v} @llvm.fmuladd.{s}({v}, {v}, {v})",
            f"declare {v} @llvm.masked.load.{s}.p0(ptr, i32, {bits}, {v})",
            f"declare void @llvm.masked.store.{s}.p0({v}, ptr, i32, {bits})",
            f"declare {v} @llvm.masked.gather.{s}.v{self.lanes}p0(<{self.lanes} x ptr>, i32, {bits}, {v})",
        ]

    def masks(self, text: Text, vectors: int, masked: bool) -> list[str]:
        """Return which lanes of each vector are among the ``%left`` columns."""
        if not masked:
            return [f"{self.bits} splat (i1 true)"] * vectors
        left = text.spread(self.lanes, "i64", "%left")
        masks = []
        for n in range(vectors):
            numbers = ", ".join(f"i64 {n * self.lanes + lane}" for lane in range(self.lanes))
            masks.append(f"{self.bits} " + text.emit(f"icmp slt <{self.lanes} x i64> <{numbers}>, {left}"))
        return masks

    def load(self, text: Text, pointer: str, mask: str = "splat") -> str:
        """Load neighbors in memory."""
        if "splat" in mask:
            return text.emit(f"load {self.vector}, ptr {pointer}, align {self.item}")
        return text.emit(
            f"call {self.vector} @llvm.masked.load.{self.suffix}.p0"
            f"(ptr {pointer}, i32 {self.item}, {mask}, {self.vector} zeroinitializer)"
        )

    def store(self, text: Text, value: str, pointer: str, mask: str = "splat") -> None:
        """Store neighbors in memory."""
        if "splat" in mask:
            text.line(f"store {self.vector} {value}, ptr {pointer}, align {self.item}")
        else:
            text.line(
                f"call void @llvm.masked.store.{self.suffix}.p0"
                f"({self.vector} {value}, ptr {pointer}, i32 {self.item}, {mask})"
            )

    def pack(self) -> str:
        """Write the function that copies ``%k`` terms of a vector of columns, so that those of a term are neighbors.

        Only ``%left`` of the columns are there; in the place of others are any numbers.
        """
        text = Text()
        done = text.variable("i64")
        text.line(f"store i64 0, ptr {done}")
        if self.lanes & (self.lanes - 1) == 0:
            self._pack_squares(text, done)
        (mask,) = self.masks(text, 1, masked=True)
        with text.when(text.emit(f"icmp eq i64 %far, {self.item}")), text.repeated(done, "%k") as k:
            self.store(text, self.load(text, text.at("%from", "%near", k), mask), text.at("%to", "%width", k))
        apart = text.spread(self.lanes, "i64", "%far")
        numbers = ", ".join(f"i64 {lane}" for lane in range(self.lanes))
        offsets = text.emit(f"mul <{self.lanes} x i64> {apart}, <{numbers}>")
        with text.repeated(done, "%k") as k:  # the remainder
            start = text.at("%from", "%near", k)
            pointers = text.emit(f"getelementptr i8, ptr {start}, <{self.lanes} x i64> {offsets}")
            found = text.emit(
                f"call {self.vector} @llvm.masked.gather.{self.suffix}.v{self.lanes}p0(<{self.lanes} x ptr> "
                f"{pointers}, i32 {self.item}, {mask}, {self.vector} zeroinitializer)"
            )
            self.store(text, found, text.at("%to", "%width", k))
        return text.function(
            f"internal void @pack{self.lanes}(ptr %from, ptr %to, i64 %k, i64 %near, i64 %far, i64 %left, i64 %width) "
            f"nounwind {_ATTRIBUTES}"
        )

    def _pack_squares(self, text: Text, done: str) -> None:
        """Write the part of it for terms that are neighbors: square blocks at a time, while there are whole ones."""
        with text.when(text.emit(f"icmp eq i64 %near, {self.item}")):
            columns = ["%from"]
            for n in range(1, self.lanes):
                there = text.emit(f"icmp slt i64 {n}, %left")
                columns.append(text.emit(f"select i1 {there}, ptr {text.at('%from', '%far', str(n))}, ptr %from"))
            with text.repeated(done, "%k", self.lanes) as k:
                offset, to = text.emit(f"mul nsw i64 {k}, {self.item}"), text.at("%to", "%width", k)
                block = [self.load(text, text.moved(column, offset)) for column in columns]
                for n, row in enumerate(self._transposed(text, block)):
                    self.store(text, row, text.at(to, "%width", str(n)))

    def _transposed(self, text: Text, rows: list[str]) -> list[str]:
        """Transpose a square: interleave the halves of blocks of 128 bits, as every processor can, then the blocks."""
        lanes, block = range(self.lanes), min(self.lanes, 16 // self.item)
        columns = [[*lanes] for _ in lanes]  # of the numbers in each row
        for step in (1 << n for n in range(self.lanes.bit_length() - 1)):
            if step < block:
                lower = [n for n in lanes if n % block < block // 2]
                parts = [lower[n : n + step] for n in range(0, len(lower), step)]
                low = [n + self.lanes * other for part in parts for other in (0, 1) for n in part]
                orders = (low, [n + block // 2 for n in low])
            else:
                low = [n for n in range(2 * self.lanes) if n // block % 2 == 0]
                orders = (low, [n + block for n in low])
            before, held = rows, columns
            rows, columns = [""] * self.lanes, [[]] * self.lanes
            for n in lanes:
                first, second = n & ~step, n | step
                order = orders[n // step % 2]
                places = ", ".join(f"i32 {place}" for place in order)
                rows[n] = text.emit(
                    f"shufflevector {self.vector} {before[first]}, {self.vector} {before[second]}, "
                    f"<{self.lanes} x i32> <{places}>"
                )
                columns[n] = [(held[first] + held[second])[place] for place in order]
        return [row for _, row in sorted(zip(columns, rows, strict=True))]


class _Tiles(_Lanes):
    def __init__(self, double: bool, target: Target) -> None:
        scalar, item = ("double", 8) if double else ("float", 4)
        super().__init__(scalar, item, target.tile // item)
        self.rows, self.ahead = target.rows, target.here
        self.of_a = _Lanes(scalar, item, target.rows[0])

    def text(self) -> str:
        """Write all functions."""
        blocks = [(2, False), (1, True)]
        return "\n".join(
            [
                "declare void @llvm.prefetch.p0(ptr, i32, i32, i32)",
                *dict.fromkeys([*self.declared(), *self.of_a.declared()]),
                *(self._tile(rows, *block) for block in blocks for rows in self.rows),
                *dict.fromkeys([self.pack(), self.of_a.pack()]),
                *(self._columns(*block) for block in blocks),
                self._driver(),
            ]
        )

    def _tile(self, rows: int, vectors: int, masked: bool) -> str:
        """Write the code for some rows of the result, one or two vectors each."""
        text = Text()
        masks = self.masks(text, vectors, masked)
        starts = ["%a"]
        for _ in range(rows - 1):
            starts.append(text.moved(starts[-1], "%am"))
        sums = [[text.variable(self.vector) for _ in masks] for _ in range(rows)]
        for row in sums:
            for place in row:
                text.line(f"store {self.vector} zeroinitializer, ptr {place}")
        if self.ahead:
            for number_of_row, n in product(range(rows), range(vectors)):
                start = text.at("%c", "%cm", str(number_of_row))
                _prefetch(text, text.moved(start, str(n * self.size)), write=1)
        with text.loop("%k") as k:
            b = text.at("%b", "%bk", k)
            offset = text.emit(f"mul nsw i64 %ak, {k}")
            columns = [self.load(text, text.moved(b, str(n * self.size)), mask) for n, mask in enumerate(masks)]
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
                    before = self.load(text, text.moved(c, str(n * self.size)), mask)
                    total = text.emit(f"load {self.vector}, ptr {place}")
                    text.line(f"store {self.vector} {text.emit(f'fadd {self.vector} {before}, {total}')}, ptr {place}")
        for number_of_row, places in enumerate(sums):
            c = text.at("%c", "%cm", str(number_of_row))
            for n, (place, mask) in enumerate(zip(places, masks, strict=True)):
                total = text.emit(f"load {self.vector}, ptr {place}")
                self.store(text, total, text.moved(c, str(n * self.size)), mask)
        return text.function(
            f"internal void @tile{rows}x{vectors}{'m' * masked}(ptr %a, ptr %b, ptr %c, i64 %k, i64 %am, i64 %ak, "
            f"i64 %bk, i64 %cm, i64 %left, i1 %add) nounwind {_ATTRIBUTES}"
        )

    def _ask_for_the_next_columns(self, text: Text, k: str, vectors: int) -> None:
        """Prefetch what the next vectors of columns need for a term; if a column's terms are neighbors, as much of
        them."""
        lines, columns = -(-vectors * self.size // LINE), vectors * self.lanes
        upright = text.emit(f"icmp eq i64 %bk, {self.item}")
        for line in range(lines):
            number = text.emit(f"add i64 {text.emit(f'mul i64 {k}, {lines}')}, {line}")
            column = text.emit(f"add i64 {text.emit(f'and i64 {number}, {columns - 1}')}, {columns}")
            part = text.emit(f"mul i64 {text.emit(f'sdiv i64 {number}, {columns}')}, {LINE}")
            row = text.emit(f"add i64 {text.emit(f'mul i64 {k}, %bk')}, {line * LINE}")
            column = text.emit(f"select i1 {upright}, i64 {column}, i64 {columns}")
            offset = text.emit(f"select i1 {upright}, i64 {part}, i64 {row}")
            _prefetch(text, text.moved(text.at("%b", "%bn", column), offset))

    def _ask_for_the_next(self, text: Text, t: str, table: list[str]) -> None:
        """Prefetch the matrices of the next repetition if they are small: the processor follows only long rows."""
        count, entries, a0, b0, c0, _, _, m, n, k, am, ak, bk, bn, cm, *_ = table
        following = text.emit(f"add i64 {t}, 1")
        worth = text.emit(f"icmp slt i64 {following}, {count}")
        for one, other in ((m, k), (k, n), (m, n)):
            small = text.emit(f"icmp slt i64 {text.emit(f'mul i64 {one}, {other}')}, {SMALL}")
            worth = text.emit(f"and i1 {worth}, {small}")
        with text.when(worth):
            *pointers, _ = _entry(text, entries, following, a0, b0, c0)
            item = str(self.item)
            shapes = ((m, am, k, ak), (k, bk, n, bn), (m, cm, n, item))
            for pointer, (rows, far, columns, near), write in zip(pointers, shapes, (0, 0, 1), strict=True):
                upright = text.emit(f"icmp eq i64 {far}, {item}")
                sides = ((columns, rows), (near, far), (rows, columns))
                rows, far, columns = (text.emit(f"select i1 {upright}, i64 {x}, i64 {y}") for x, y in sides)
                size = text.emit(f"add i64 {text.emit(f'mul i64 {columns}, {item}')}, {LINE - 1}")
                with text.loop(rows) as row, text.loop(size, LINE) as offset:
                    _prefetch(text, text.moved(text.at(pointer, far, row), offset), write)

    def _columns(self, vectors: int, masked: bool) -> str:
        """Write the code for all rows of one or two vectors of columns."""
        text = Text()
        first, apart = text.variable("ptr"), text.variable("i64")
        text.line(f"store ptr %b, ptr {first}")
        text.line(f"store i64 %bk, ptr {apart}")
        with text.when("%pack"):
            for n in range(vectors):
                start, to = text.at("%b", "%bn", str(n * self.lanes)), text.moved("%scratch", str(n * self.size))
                text.line(
                    f"call void @pack{self.lanes}(ptr {start}, ptr {to}, i64 %high, i64 %bk, i64 %bn, i64 %left, "
                    f"i64 {vectors * self.size})"
                )
            text.line(f"store ptr %scratch, ptr {first}")
            text.line(f"store i64 {vectors * self.size}, ptr {apart}")
        b, step = text.emit(f"load ptr, ptr {first}"), text.emit(f"load i64, ptr {apart}")
        row = text.variable("i64")
        text.line(f"store i64 0, ptr {row}")

        def tiles(rows: int, a: str, apart: str, am: str, ak: str) -> None:
            with text.repeated(row, "%m", rows) as i:
                last = text.emit(f"add i64 {i}, {rows}")
                low = text.largest("%low", text.emit(f"mul i64 {i}, %rising"))
                high = text.smallest("%high", text.emit(f"add i64 {last}, %falling"))
                used = [text.emit(f"icmp slt i64 {i}, %until"), text.emit(f"icmp sgt i64 {last}, %since")]
                terms = text.emit(f"sub i64 {high}, {low}")
                terms = text.emit(f"select i1 {text.emit(f'and i1 {used[0]}, {used[1]}')}, i64 {terms}, i64 0")
                if self.ahead and rows == self.rows[0]:  # a share of the next columns
                    shares = [text.emit(f"mul i64 {n}, %k") for n in (i, last)]
                    begin, end = (text.emit(f"sdiv i64 {share}, %m") for share in shares)
                    with text.loop(end, first=begin) as k:
                        self._ask_for_the_next_columns(text, k, vectors)
                start, c = text.at(text.at(a, apart, i), ak, low), text.at("%c", "%cm", i)
                text.line(
                    f"call void @tile{rows}x{vectors}{'m' * masked}(ptr {start}, ptr {text.at(b, step, low)}, ptr {c}, "
                    f"i64 {terms}, i64 {am}, i64 {ak}, i64 {step}, i64 %cm, i64 %left, i1 %add)"
                )

        with text.when(text.emit("icmp ne ptr %packed, null")):
            apart = text.emit(f"mul nsw i64 %k, {self.item}")
            tiles(self.rows[0], "%packed", apart, str(self.item), str(self.of_a.size))
        for rows in self.rows:
            tiles(rows, "%a", "%am", "%am", "%ak")
        return text.function(
            f"internal void @columns{vectors}{'m' * masked}(ptr %a, ptr %packed, ptr %b, ptr %c, ptr %scratch, i64 %m, "
            f"i64 %k, i64 %am, i64 %ak, i64 %bk, i64 %bn, i64 %cm, i64 %left, i1 %add, i1 %pack, i64 %low, i64 %high, "
            f"i64 %until, i64 %since, i64 %rising, i64 %falling) nounwind {_ATTRIBUTES}"
        )

    def _driver(self) -> str:
        text = Text()
        table = from_table(text, "ipppppp" + "i" * 15)
        count, entries, a0, b0, c0, scratch_, packed, m, n, k, am, ak, bk, bn, cm, pack, *limits = table
        until, high, falling, since, low, rising = limits
        pack = text.emit(f"icmp ne i64 {pack}, 0")
        whole = 2 * self.lanes
        column = text.variable("i64")

        def call(block: str, j: str) -> None:
            left = text.emit(f"sub i64 {n}, {j}")
            b = text.at(pointers[1], bn, j)
            c = text.at(pointers[2], str(self.item), j)
            end = text.emit(f"add i64 {j}, {self.lanes * int(block[0])}")
            ends = (text.emit(f"add i64 {end}, {limit}") for limit in (high, until))
            begins = (text.emit(f"mul i64 {j}, {limit}") for limit in (low, since))
            (terms, rows), (first_term, first_row) = ends, begins
            terms = text.smallest(k, terms)
            text.line(
                f"call void @columns{block}(ptr {pointers[0]}, ptr {packed}, ptr {b}, ptr {c}, ptr {scratch_}, "
                f"i64 {m}, i64 {k}, i64 {am}, i64 {ak}, i64 {bk}, i64 {bn}, i64 {cm}, i64 {left}, i1 {add}, i1 {pack}, "
                f"i64 {first_term}, i64 {terms}, i64 {rows}, i64 {first_row}, i64 {rising}, i64 {falling})"
            )

        with text.loop(count) as t:
            *pointers, add = _entry(text, entries, t, a0, b0, c0)
            if self.ahead:
                self._ask_for_the_next(text, t, table)
            with text.when(text.emit(f"icmp ne ptr {packed}, null")), text.loop(m, self.rows[0]) as i:
                start, to = text.at(pointers[0], am, i), text.at(packed, text.emit(f"mul nsw i64 {k}, {self.item}"), i)
                rows, size = self.rows[0], self.of_a.size
                text.line(
                    f"call void @pack{rows}(ptr {start}, ptr {to}, i64 {k}, i64 {ak}, i64 {am}, i64 {rows}, i64 {size})"
                )
            text.line(f"store i64 0, ptr {column}")
            with text.repeated(column, n, whole) as j:
                call("2", j)
            rest = text.emit(f"add i64 {n}, {self.lanes - 1}")
            with text.repeated(column, rest, self.lanes) as j:
                call("1m", j)
        return text.function(f"void @kernel(ptr noalias readonly %table) nounwind {_ATTRIBUTES}")


_ATTRIBUTES = '"prefer-vector-width"="512" "min-legal-vector-width"="512"'
