"""Pictures as gray values, as PNG, and as text for a terminal."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np

__all__ = ["ACROSS", "gray", "grid", "png", "scatter", "text", "text_of_points"]

ACROSS = 10  # pictures in a row
_SHADES = " .:-=+*#%@"  # from paper to ink; letters are twice as high as wide, so each pixel is two of them
_PLANE = 2.0  # points are shown from −2 to 2


def gray(pictures: Any) -> Any:
    """Return pixels from −1 (paper) to 1 (ink) as gray values from 255 (paper) to 0 (ink)."""
    return np.rint((1.0 - np.clip(pictures, -1.0, 1.0)) * 127.5).astype(np.uint8)


def grid(pictures: Any, across: int = ACROSS, zoom: int = 6) -> Any:
    """Put square pictures side by side, in rows, with a gap between them; returns gray values.   # (count, side²)"""
    count, side = len(pictures), round(pictures.shape[1] ** 0.5)
    across = min(across, count)
    down = -(-count // across)
    gap = zoom
    sheet = np.full((gap + down * (side * zoom + gap), gap + across * (side * zoom + gap)), 200, np.uint8)
    for i, picture in enumerate(gray(pictures).reshape(-1, side, side)):
        y, x = (gap + place * (side * zoom + gap) for place in divmod(i, across))
        sheet[y : y + side * zoom, x : x + side * zoom] = picture.repeat(zoom, 0).repeat(zoom, 1)
    return sheet


def scatter(points: Any, side: int = 320) -> Any:
    """Draw points of the plane as dots; returns gray values.  # (count, 2)"""
    sheet = np.full((side, side), 255, np.uint8)
    for x, y in np.rint((points / _PLANE + 1.0) / 2.0 * (side - 1)).astype(int):
        if 1 <= x < side - 1 and 1 <= y < side - 1:
            sheet[side - 1 - y - 1 : side - 1 - y + 2, x - 1 : x + 2] = 0
    return sheet


def png(sheet: Any) -> bytes:
    """Return the PNG of gray values, 8 bits each.

    >>> png(np.zeros((2, 3), np.uint8))[:8]
    b'\\x89PNG\\r\\n\\x1a\\n'
    """

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width = sheet.shape
    rows = b"".join(b"\0" + row.tobytes() for row in sheet)  # 0: the row is written as it is
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def text(pictures: Any, columns: int = 80) -> str:
    """Write square pictures side by side with letters, as many in a row as fit.                     # (count, side²)"""
    side = round(pictures.shape[1] ** 0.5)
    across = max(1, (columns + 2) // (2 * side + 2))
    inks = np.rint((np.clip(pictures, -1.0, 1.0) + 1.0) / 2.0 * (len(_SHADES) - 1)).astype(int)
    rows = inks.reshape(-1, side, side)
    lines = []
    for start in range(0, len(rows), across):
        if start:
            lines.append("")
        for y in range(side):
            parts = ["".join(2 * _SHADES[ink] for ink in picture[y]) for picture in rows[start : start + across]]
            lines.append("  ".join(parts).rstrip())
    return "\n".join(lines)


def text_of_points(points: Any, columns: int = 60, lines: int = 24) -> str:
    """Write how many points are where, with letters.                                                   # (count, 2)"""
    counts, _, _ = np.histogram2d(points[:, 1], points[:, 0], (lines, columns), [[-_PLANE, _PLANE], [-_PLANE, _PLANE]])
    shades = np.minimum(np.ceil(counts / max(1.0, counts.max()) * (len(_SHADES) - 1)), len(_SHADES) - 1).astype(int)
    rows = ["".join(_SHADES[shade] for shade in row).rstrip() for row in shades[::-1]]
    return "\n".join(rows).strip("\n")
