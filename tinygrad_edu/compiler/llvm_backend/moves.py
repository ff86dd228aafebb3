"""Moving numbers between places without a formula, as machine code: look-ups in tables, and their derivatives."""

from __future__ import annotations

from functools import cache

from .text import Text, from_table


@cache
def kernel(double: bool) -> str:
    """Return the kernel that moves rows of numbers.

    Each entry of its list has the offsets of an index, of a source and of a target; from each source ``n`` numbers
    are copied or added to the target. The index moves source and target by one step each.
    """
    scalar, item = ("double", 8) if double else ("float", 4)
    text = Text()
    count, entries, index, x, out, n, x_step, out_step, x_apart, out_apart, add = from_table(text, "ipppp" + "i" * 6)
    add = text.emit(f"icmp ne i64 {add}, 0")
    with text.loop(count) as t:
        entry = text.at(entries, "24", t)
        offsets = [text.emit(f"load i64, ptr {text.moved(entry, str(8 * i))}, align 8") for i in range(3)]
        which = text.emit(f"load i64, ptr {text.moved(index, offsets[0])}, align 8")
        source = text.at(text.moved(x, offsets[1]), x_apart, which)
        target = text.at(text.moved(out, offsets[2]), out_apart, which)
        with text.loop(n) as i:
            place = text.at(target, out_step, i)
            value = text.emit(f"load {scalar}, ptr {text.at(source, x_step, i)}, align {item}")
            before = text.emit(f"load {scalar}, ptr {place}, align {item}")
            total = text.emit(f"fadd {scalar} {before}, {value}")
            result = text.emit(f"select i1 {add}, {scalar} {total}, {scalar} {value}")
            text.line(f"store {scalar} {result}, ptr {place}, align {item}")
    return text.function("void @kernel(ptr noalias readonly %table) nounwind")


@cache
def clear() -> str:
    """Return the kernel that sets stretches of memory, each from a list of offsets, to zero."""
    text = Text()
    count, entries, out, size = from_table(text, "ippi")
    with text.loop(count) as t:
        offset = text.emit(f"load i64, ptr {text.at(entries, '8', t)}, align 8")
        text.line(f"call void @llvm.memset.p0.i64(ptr {text.moved(out, offset)}, i8 0, i64 {size}, i1 false)")
    return "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)\n" + text.function(
        "void @kernel(ptr noalias readonly %table) nounwind"
    )


@cache
def run_all() -> str:
    """Return the kernel that calls others: a list of functions, and the table of each."""
    text = Text()
    count, entries = from_table(text, "ip")
    with text.loop(count) as t:
        entry = text.at(entries, "16", t)
        function = text.emit(f"load ptr, ptr {entry}, align 8")
        table = text.emit(f"load ptr, ptr {text.moved(entry, '8')}, align 8")
        text.line(f"call void {function}(ptr {table})")
    return text.function("void @kernel(ptr noalias readonly %table) nounwind")
