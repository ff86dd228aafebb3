"""Machine code that moves numbers without computing: look-ups in tables, and their derivatives."""

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
def look_up(double: bool) -> str:
    """Return the kernel that looks up numbers for neighboring targets, each of which has an index.

    Each entry of its list has the offsets of an index, of a source and of a target; all three move along the ``n``
    targets, and the index moves the source.
    """
    scalar, item = ("double", 8) if double else ("float", 4)
    lanes = 64 // item
    vector, longs, pointers, bits = (f"<{lanes} x {kind}>" for kind in (scalar, "i64", "ptr", "i1"))
    numbers = "<" + ", ".join(f"i64 {lane}" for lane in range(lanes)) + ">"
    text = Text()
    count, entries, index, x, out, n, index_step, x_step, apart = from_table(text, "ipppp" + "i" * 4)
    index_steps, x_steps = (
        text.emit(f"mul {longs} {text.spread(lanes, 'i64', step)}, {numbers}") for step in (index_step, x_step)
    )
    aparts = text.spread(lanes, "i64", apart)
    with text.loop(count) as t:
        entry = text.at(entries, "24", t)
        starts = [
            text.moved(start, text.emit(f"load i64, ptr {text.moved(entry, str(8 * i))}, align 8"))
            for i, start in enumerate((index, x, out))
        ]
        with text.loop(text.emit(f"add i64 {n}, {lanes - 1}"), lanes) as i:
            left = text.spread(lanes, "i64", text.emit(f"sub i64 {n}, {i}"))
            mask = f"{bits} " + text.emit(f"icmp slt {longs} {numbers}, {left}")
            where = text.emit(f"getelementptr i8, ptr {text.at(starts[0], index_step, i)}, {longs} {index_steps}")
            which = text.emit(
                f"call {longs} @llvm.masked.gather.v{lanes}i64.v{lanes}p0"
                f"({pointers} {where}, i32 8, {mask}, {longs} zeroinitializer)"
            )
            offsets = text.emit(f"add {longs} {text.emit(f'mul {longs} {which}, {aparts}')}, {x_steps}")
            places = text.emit(f"getelementptr i8, ptr {text.at(starts[1], x_step, i)}, {longs} {offsets}")
            found = text.emit(
                f"call {vector} @llvm.masked.gather.v{lanes}f{8 * item}.v{lanes}p0"
                f"({pointers} {places}, i32 {item}, {mask}, {vector} zeroinitializer)"
            )
            text.line(
                f"call void @llvm.masked.store.v{lanes}f{8 * item}.p0"
                f"({vector} {found}, ptr {text.at(starts[2], str(item), i)}, i32 {item}, {mask})"
            )
    declared = [
        f"declare {longs} @llvm.masked.gather.v{lanes}i64.v{lanes}p0({pointers}, i32, {bits}, {longs})",
        f"declare {vector} @llvm.masked.gather.v{lanes}f{8 * item}.v{lanes}p0({pointers}, i32, {bits}, {vector})",
        f"declare void @llvm.masked.store.v{lanes}f{8 * item}.p0({vector}, ptr, i32, {bits})",
    ]
    attributes = '"prefer-vector-width"="512" "min-legal-vector-width"="512"'
    return "\n".join([*declared, text.function(f"void @kernel(ptr noalias readonly %table) nounwind {attributes}")])


@cache
def clear() -> str:
    """Return the kernel that zeroes blocks of memory at a list of offsets."""
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
    """Return the kernel that calls a list of functions, each with its table."""
    text = Text()
    count, entries = from_table(text, "ip")
    with text.loop(count) as t:
        entry = text.at(entries, "16", t)
        function = text.emit(f"load ptr, ptr {entry}, align 8")
        table = text.emit(f"load ptr, ptr {text.moved(entry, '8')}, align 8")
        text.line(f"call void {function}(ptr {table})")
    return text.function("void @kernel(ptr noalias readonly %table) nounwind")
