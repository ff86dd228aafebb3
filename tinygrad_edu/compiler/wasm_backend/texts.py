"""LLVM IR for WebAssembly: all kernels in one module, and the functions that call them.

WebAssembly has no masked vector instructions. LLVM would test every lane; these functions avoid that:
they read the whole vector, whose other lanes are valid memory (of another array, or padding), and write it back.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ..llvm_backend.text import joined as together

__all__ = ["joined"]

_MASKED = re.compile(r"@llvm\.masked\.(load|store|gather|scatter)\.v(\d+)(f32|f64|i64)[.\w]*")


def joined(texts: Sequence[str], calls: Mapping[str, Sequence[tuple[int, int]]]) -> str:
    """Join texts into one.

    Args:
        texts: each has a function ``@kernel``.
        calls: for each function to make, the indices of the texts, and the tables, in the order in which they run.
    """
    text = together({f"kernel{n}": _replaced(text) for n, text in enumerate(texts)})
    lines = [_masked(x) if x.startswith("declare") and "@masked" in x else x for x in text.splitlines()]
    for name, each in calls.items():
        kernels = [f"  call void @kernel{n}(ptr inttoptr (i32 {table} to ptr))" for n, table in each]
        lines += [f"define void @{name}() {{", *kernels, "  ret void", "}"]
    return "\n".join(lines).replace("define void @kernel", "define internal void @kernel")


def _replaced(text: str) -> str:
    """Return a text without prefetches, that calls functions of ours instead of masked instructions."""
    lines = [line for line in text.splitlines() if "@llvm.prefetch" not in line]
    return _MASKED.sub(lambda m: f"@masked.{m[1]}.v{m[2]}{m[3]}", "\n".join(lines))


def _masked(declaration: str) -> str:
    """Return the definition of a masked load or store."""
    found = re.search(r"@masked\.(\w+)\.v(\d+)(\w)(\d+)", declaration)
    assert found
    what, lanes, kind = found[1], int(found[2]), {"f32": "float", "f64": "double", "i64": "i64"}[found[3] + found[4]]
    name, vector, bits = found[0], f"<{lanes} x {kind}>", f"<{lanes} x i1>"
    align = int(found[4]) // 8
    pointers = f"<{lanes} x ptr>"
    lines: list[str] = []

    def own(n: int) -> str:
        """Return the pointer of a lane, or of the first lane if it is masked out; the first never is."""
        lines.append(f"  %p{n} = extractelement {pointers} %p, i64 {n}")
        lines.append(f"  %b{n} = extractelement {bits} %m, i64 {n}")
        lines.append(f"  %q{n} = select i1 %b{n}, ptr %p{n}, ptr %p0")
        return f"%q{n}" if n else "%p0"

    if what == "load":
        head = f"{vector} {name}(ptr %p, i32 %a, {bits} %m, {vector} %o)"
        lines.append(f"  %v = load {vector}, ptr %p, align {align}")
        lines.append(f"  %r = select {bits} %m, {vector} %v, {vector} %o")
        lines.append(f"  ret {vector} %r")
    elif what == "store":
        head = f"void {name}({vector} %v, ptr %p, i32 %a, {bits} %m)"
        lines.append(f"  %o = load {vector}, ptr %p, align {align}")
        lines.append(f"  %r = select {bits} %m, {vector} %v, {vector} %o")
        lines.append(f"  store {vector} %r, ptr %p, align {align}")
        lines.append("  ret void")
    elif what == "gather":
        head = f"{vector} {name}({pointers} %p, i32 %a, {bits} %m, {vector} %o)"
        before = "poison"
        for n in range(lanes):
            lines.append(f"  %x{n} = load {kind}, ptr {own(n)}, align {align}")
            lines.append(f"  %v{n} = insertelement {vector} {before}, {kind} %x{n}, i64 {n}")
            before = f"%v{n}"
        lines.append(f"  %r = select {bits} %m, {vector} {before}, {vector} %o")
        lines.append(f"  ret {vector} %r")
    else:
        head = f"void {name}({vector} %v, {pointers} %p, i32 %a, {bits} %m)"
        for n in range(lanes):
            place = own(n)
            lines.append(f"  %x{n} = extractelement {vector} %v, i64 {n}")
            lines.append(f"  %o{n} = load {kind}, ptr {place}, align {align}")
            lines.append(f"  %r{n} = select i1 %b{n}, {kind} %x{n}, {kind} %o{n}")
            lines.append(f"  store {kind} %r{n}, ptr {place}, align {align}")
        lines.append("  ret void")
    return "\n".join([f"define internal {head} alwaysinline {{", *lines, "}"])
