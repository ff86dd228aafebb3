"""Animated GIF, for chats, slides and sites that show neither SVG nor animated PNG.

Sections are those of the GIF89a specification (CompuServe, "Graphics Interchange Format, Version 89a", 1990).
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from ..errors import LayoutError

_Colour = tuple[int, int, int]
_COLOURS = 256  # what a table holds at most (section 21)
_EXACT = 64  # as many of the most frequent colours are kept as they are, so that areas of one colour stay so
_MOST_CODES = 4096  # codes have at most twelve bits (appendix F)


def join_gif(frames: Iterable[Sequence[bytes]], seconds: Sequence[float]) -> bytes:
    """Pictures of one size as an animation without end.

    After the first, a frame is the rectangle in which it differs from the one before, with a table of its own colours.

    Args:
        frames: per frame its rows from top to bottom, each of 3·width bytes: red, green and blue of every pixel.
        seconds: how long each frame is seen. The format counts in hundredths; no more than one is lost in all.

    Raises LayoutError for pictures of more than 65,535 pixels in a row or column.
    """
    out: list[bytes] = []
    before: Sequence[bytes] = ()
    times = [round(100 * time) for time in accumulate(seconds, initial=0.0)]
    for rows, start, end in zip(frames, times[:-1], times[1:], strict=True):
        if not before:
            width, height = len(rows[0]) // 3, len(rows)
            if max(width, height) > 65535:
                raise LayoutError(f"a GIF has at most 65,535 pixels a side, not {width:,}×{height:,}; save as .svg")
            out.append(b"GIF89a" + struct.pack("<2H3B", width, height, 0x70, 0, 0))  # sections 17, 18
            out.append(b"\x21\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<HB", 0, 0))  # section 26: repeat for ever
        left, top, right, bottom = _difference(before, rows) if before else (0, 0, width, height)
        part = [row[3 * left : 3 * right] for row in rows[top:bottom]]
        colours, index = _palette(Counter(pixel for row in part for pixel in _pixels(row)))
        bits = max(2, (len(colours) - 1).bit_length())  # appendix F: two even for one or two colours
        table = bytes(channel for colour in colours for channel in colour).ljust(3 << bits, b"\0")
        pixels = b"".join(bytes(map(index.__getitem__, _pixels(row))) for row in part)
        out += [
            b"\x21\xf9\x04" + struct.pack("<BHBB", 1 << 2, min(end - start, 65535), 0, 0),  # section 23: drawn over
            b"\x2c" + struct.pack("<4HB", left, top, right - left, bottom - top, 0x80 | bits - 1),  # section 20
            table,  # section 21
            bytes([bits]) + _blocks(_lzw(pixels, bits)),  # section 22
        ]
        before = rows
    return b"".join([*out, b"\x3b"])  # section 27


def _difference(before: Sequence[bytes], rows: Sequence[bytes]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what has changed; one pixel when nothing has, as no frame may be empty."""
    changed = [y for y, (old, new) in enumerate(zip(before, rows, strict=True)) if old != new]
    if not changed:
        return 0, 0, 1, 1
    bits = 0  # 24 for each column, not zero where any of its pixels differ
    for y in changed:
        bits |= int.from_bytes(before[y], "little") ^ int.from_bytes(rows[y], "little")
    left = ((bits & -bits).bit_length() - 1) // 24
    return left, changed[0], (bits.bit_length() - 1) // 24 + 1, changed[-1] + 1


def _pixels(row: bytes) -> Iterator[_Colour]:
    return zip(row[0::3], row[1::3], row[2::3], strict=True)


def _palette(counts: Counter[_Colour]) -> tuple[list[_Colour], dict[_Colour, int]]:
    """A table of at most 256 colours, and by colour the place of the nearest in it.

    When there are more, it has the most frequent ones, and then always the one that the table shows worst so far
    (Gonzalez 1985, farthest-first), so that the many blends at the edges of letters are all shown about equally well.
    """
    order = sorted(counts, key=lambda colour: (-counts[colour], colour))
    if len(order) <= _COLOURS:
        return order, {colour: i for i, colour in enumerate(order)}
    table: list[_Colour] = []
    error = dict.fromkeys(order, 1 << 20)  # squared distance to the nearest in the table
    index = dict.fromkeys(order, 0)
    for i in range(_COLOURS):
        chosen = order[i] if i < _EXACT else max(order, key=error.__getitem__)
        table.append(chosen)
        red, green, blue = chosen
        for colour in order:
            distance = (colour[0] - red) ** 2 + (colour[1] - green) ** 2 + (colour[2] - blue) ** 2
            if distance < error[colour]:
                error[colour], index[colour] = distance, i
    return table, index


def _lzw(pixels: bytes, bits: int) -> bytes:
    """Appendix F: codes for ever longer runs seen before, of as many bits as the largest code so far needs."""
    clear, stop = 1 << bits, (1 << bits) + 1
    codes: dict[int, int] = {}  # the code of a run and the pixel after it, as code·256 + pixel, to the code of both
    following, width = clear + 2, bits + 1
    out = bytearray()
    buffer, held = clear, width  # bits not yet written, the first in the lowest place
    run = pixels[0]
    for pixel in pixels[1:]:
        longer = codes.get(run << 8 | pixel)
        if longer is not None:
            run = longer
            continue
        buffer, held = buffer | run << held, held + width
        if following < _MOST_CODES:
            codes[run << 8 | pixel] = following
            width += following == 1 << width
            following += 1
        else:
            buffer, held = buffer | clear << held, held + width
            codes, following, width = {}, clear + 2, bits + 1
        whole = held // 8
        out += (buffer & (1 << 8 * whole) - 1).to_bytes(whole, "little")
        buffer, held = buffer >> 8 * whole, held % 8
        run = pixel
    buffer, held = buffer | run << held, held + width
    width += following == 1 << width and following < _MOST_CODES  # the reader has made a code of this run as well
    buffer, held = buffer | stop << held, held + width
    return bytes(out) + buffer.to_bytes((held + 7) // 8, "little")


def _blocks(data: bytes) -> bytes:
    """Section 15: blocks of at most 255 bytes, each after its length, and an empty one at the end."""
    parts = [data[at : at + 255] for at in range(0, len(data), 255)]
    return b"".join(bytes([len(part)]) + part for part in [*parts, b""])
