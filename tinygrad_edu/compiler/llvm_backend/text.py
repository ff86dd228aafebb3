"""Write LLVM IR: named values, loops and conditions.

Counters and other variables are written as memory; LLVM puts them into registers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Target:
    """Vector and tile sizes that suit a processor.

    Attributes:
        width: bytes of a value in fused loops: enough registers to hide the latency of an operation.
        tile: bytes of a vector of a matrix product's tile.
        rows: rows of these tiles, the largest first; two vectors of each row are in registers.
        large: matrix products of at least this many multiplications use the BLAS, if there is one.
        here: whether it is this computer, which also has numpy and a BLAS.
    """

    width: int
    tile: int
    rows: tuple[int, ...]
    large: int
    here: bool


#: This computer: eight registers of the smallest vector processors, two of the largest; tiles for 32 registers of 64
#: bytes.
HERE = Target(width=128, tile=64, rows=(8, 4, 1), large=1 << 30, here=True)

#: The tiles of smaller processors: 16 registers of 32 bytes, or 32 of 16; and 16 of 16.
SMALLER, SMALLEST = (replace(HERE, tile=32, rows=rows, large=1 << 27) for rows in ((6, 4, 2, 1), (2, 1)))

#: WebAssembly has sixteen registers of 16 bytes at best; its engines keep the rest of a loop's values in memory, which
#: costs less than to wait for a result.
WASM = Target(width=64, tile=32, rows=(2, 1), large=0, here=False)


class Text:
    """The body of a function.

    Attributes:
        entry: the first lines, which reserve memory and read the table.
        lines: the remaining lines.
    """

    def __init__(self) -> None:
        self.entry: list[str] = []
        self.lines: list[str] = []
        self.count = 0

    def emit(self, expression: str) -> str:
        """Write an instruction with a result, and return the result's name."""
        self.count += 1
        self.lines.append(f"  %v{self.count} = {expression}")
        return f"%v{self.count}"

    def line(self, text: str) -> None:
        """Write an instruction without a result."""
        self.lines.append(f"  {text}")

    def variable(self, kind: str) -> str:
        """Reserve memory for a variable."""
        self.count += 1
        self.entry.append(f"  %m{self.count} = alloca {kind}, align 64")
        return f"%m{self.count}"

    def moved(self, pointer: str, offset: str) -> str:
        """Return a pointer moved by some bytes."""
        return self.emit(f"getelementptr i8, ptr {pointer}, i64 {offset}")

    def at(self, pointer: str, step: str, index: str) -> str:
        """Return a pointer moved by some steps."""
        return self.moved(pointer, self.emit(f"mul nsw i64 {step}, {index}"))

    def smallest(self, a: str, b: str) -> str:
        """Return the smaller of two integers."""
        return self.emit(f"select i1 {self.emit(f'icmp slt i64 {a}, {b}')}, i64 {a}, i64 {b}")

    def largest(self, a: str, b: str) -> str:
        """Return the larger of two integers."""
        return self.emit(f"select i1 {self.emit(f'icmp sgt i64 {a}, {b}')}, i64 {a}, i64 {b}")

    def spread(self, lanes: int, kind: str, value: str) -> str:
        """Return a vector with the same number in all lanes."""
        one = self.emit(f"insertelement <{lanes} x {kind}> poison, {kind} {value}, i64 0")
        zeros = f"<{lanes} x i32> zeroinitializer"
        return self.emit(f"shufflevector <{lanes} x {kind}> {one}, <{lanes} x {kind}> poison, {zeros}")

    @contextmanager
    def loop(self, extent: str, step: int = 1, first: str = "0") -> Iterator[str]:
        """Write a loop that runs while a whole step remains; yield the name of its counter."""
        counter = self.variable("i64")
        self.line(f"store i64 {first}, ptr {counter}")
        with self.repeated(counter, extent, step) as i:
            yield i

    @contextmanager
    def repeated(self, counter: str, extent: str, step: int = 1) -> Iterator[str]:
        """Write a loop that continues from the current value of its counter, a variable."""
        self.count += 1
        head, body, end = (f"{word}{self.count}" for word in ("head", "body", "end"))
        self.line(f"br label %{head}")
        self.lines.append(f"{head}:")
        i = self.emit(f"load i64, ptr {counter}")
        after = self.emit(f"add nsw i64 {i}, {step}")
        inside = self.emit(f"icmp sle i64 {after}, {extent}")
        self.line(f"br i1 {inside}, label %{body}, label %{end}")
        self.lines.append(f"{body}:")
        yield i
        self.line(f"store i64 {after}, ptr {counter}")
        self.line(f"br label %{head}")
        self.lines.append(f"{end}:")

    @contextmanager
    def when(self, condition: str) -> Iterator[None]:
        """Write a block that runs if a bit is set."""
        self.count += 1
        then, end = (f"{word}{self.count}" for word in ("then", "done"))
        self.line(f"br i1 {condition}, label %{then}, label %{end}")
        self.lines.append(f"{then}:")
        yield
        self.line(f"br label %{end}")
        self.lines.append(f"{end}:")

    def function(self, head: str) -> str:
        """Return the text of the whole function, whose result is void."""
        return "\n".join([f"define {head} {{", *self.entry, *self.lines, "  ret void", "}"])


def from_table(text: Text, kinds: str) -> list[str]:
    """Load the first entries of the table: ``p`` for a pointer, ``i`` for an integer, ``f`` for a 64-bit number."""
    names = []
    for n, kind in enumerate(kinds):
        address = text.emit(f"getelementptr i64, ptr %table, i64 {n}")
        names.append(text.emit(f"load {'ptr' if kind == 'p' else 'i64'}, ptr {address}, align 8"))
    return names


def joined(texts: Mapping[str, str]) -> str:
    """Join texts into one.

    Args:
        texts: each has a function ``@kernel``, which gets the name given here.
    """
    declared: dict[str, None] = {}
    bodies = []
    for name, text in texts.items():
        lines = text.splitlines()
        declared |= dict.fromkeys(line for line in lines if line.startswith("declare"))
        body = "\n".join([line for line in lines if not line.startswith("declare")])
        if own := re.findall(r"^define internal \w+ @(\w+)\(", body, re.MULTILINE):
            body = re.sub(rf"@({'|'.join(own)})\(", rf"@{name}_\1(", body)
        bodies.append(body.replace("@kernel(", f"@{name}("))
    return "\n".join([*declared, *bodies])
