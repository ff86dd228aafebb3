"""What one process has compiled, on disk: the next one loads it.

Machine code is in the folder ``kernels`` of :func:`tinygrad_edu.files.cache_folder`, array programs are in
``programs``. The environment variables ``TINYGRAD_EDU_KERNELS`` and ``TINYGRAD_EDU_PROGRAMS`` name other folders; if
one is empty, nothing of that kind is read or written. The folders can be removed at any time.

A file's name is a digest of everything that its content depends on, and the file begins with a digest of the name and
the rest: what a damaged file had is compiled again. So nothing has to reach the disk before a file is renamed into
place, as with ``files.atomically``, which would take longer than compiling; and several processes may share the folder.
Nothing is read from a folder of another user, or from one in which others may write.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import sys
from collections import Counter
from pathlib import Path

from ...files import cache_folder

__all__ = ["find", "folder", "keep"]

#: A folder is halved when it has more than this many bytes.
LARGEST = 1 << 25
#: How often its size is looked at: after every so many files that a process has added.
OFTEN = 64

_added: Counter[str] = Counter()


def folder(kind: str) -> Path | None:
    """Return the folder of ``kernels`` or of ``programs``; None if there is none."""
    chosen = os.environ.get(f"TINYGRAD_EDU_{kind.upper()}")
    if chosen is not None:
        return Path(chosen) if chosen else None
    try:
        return cache_folder() / kind
    except (RuntimeError, OSError):  # the user has no home, or this process may not ask, as in a lesson's practice
        return None


def find(kind: str, name: str) -> bytes | None:
    """Return what was kept under a name; None if there is nothing, or if it is damaged."""
    place = folder(kind)
    if place is None:
        return None
    try:
        if not _is_own(place):
            return None
        found = (place / f"{name}.kept").read_bytes()
    except OSError:
        return None
    content = found[hashlib.sha256().digest_size :]
    return content if found == _digest(name, content) + content else None


def keep(kind: str, name: str, content: bytes) -> None:
    """Keep something under a name, if the folder can be written to."""
    place = folder(kind)
    if place is None:
        return
    new = place / f"{name}.{secrets.token_hex(4)}.new"
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            new.write_bytes(_digest(name, content) + content)
            os.replace(new, place / f"{name}.kept")
        finally:
            new.unlink(missing_ok=True)
        _added[kind] += 1
        if _added[kind] % OFTEN == 1:
            _tidy(place)
    except OSError:
        pass  # a full or read-only disk: the program runs all the same


def _is_own(place: Path) -> bool:
    state = place.stat()
    return sys.platform == "win32" or (state.st_uid == os.getuid() and not state.st_mode & 0o022)


def _digest(name: str, content: bytes) -> bytes:
    return hashlib.sha256(name.encode() + content).digest()


def _tidy(place: Path) -> None:
    """Remove the oldest files if there are too many."""
    files = []
    for file in [*place.glob("*.kept"), *place.glob("*.new")]:
        with contextlib.suppress(OSError):  # another process may be doing the same
            state = file.stat()
            files.append((state.st_mtime, state.st_size, file))
    total = sum(size for _, size, _ in files)
    for _, size, file in sorted(files) if total > LARGEST else ():
        with contextlib.suppress(OSError):
            file.unlink()
        total -= size
        if total <= LARGEST // 2:
            break
