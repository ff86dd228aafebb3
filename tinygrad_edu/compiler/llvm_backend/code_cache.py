"""Machine code on disk: what one process has compiled, the next one loads.

It is in the folder ``kernels`` of :func:`tinygrad_edu.files.cache_folder`. The environment variable
``TINYGRAD_EDU_KERNELS`` names another folder; if it is empty, nothing is read or written. The folder can be removed at
any time.

A file's name is a digest of everything that the code depends on, and its content begins with a digest of the name and
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
from pathlib import Path

from ...files import cache_folder

__all__ = ["find", "folder", "keep"]

#: The folder is halved when it has more than this many bytes.
LARGEST = 1 << 25
#: How often its size is looked at: after every so many files that a process has added.
OFTEN = 64

_added = 0


def folder() -> Path | None:
    """Return the folder; None if there is none."""
    chosen = os.environ.get("TINYGRAD_EDU_KERNELS")
    if chosen is not None:
        return Path(chosen) if chosen else None
    try:
        return cache_folder() / "kernels"
    except (RuntimeError, OSError):  # the user has no home, or this process may not ask, as in a lesson's practice
        return None


def find(name: str) -> bytes | None:
    """Return what was kept under a name; None if there is nothing, or if it is damaged."""
    place = folder()
    if place is None:
        return None
    try:
        if not _is_own(place):
            return None
        content = (place / f"{name}.o").read_bytes()
    except OSError:
        return None
    code = content[hashlib.sha256().digest_size :]
    return code if content == _digest(name, code) + code else None


def keep(name: str, code: bytes) -> None:
    """Keep something under a name, if the folder can be written to."""
    global _added
    place = folder()
    if place is None:
        return
    new = place / f"{name}.{secrets.token_hex(4)}.new"
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            new.write_bytes(_digest(name, code) + code)
            os.replace(new, place / f"{name}.o")
        finally:
            new.unlink(missing_ok=True)
        _added += 1
        if _added % OFTEN == 1:
            _tidy(place)
    except OSError:
        pass  # a full or read-only disk: the program runs all the same


def _is_own(place: Path) -> bool:
    state = place.stat()
    return sys.platform == "win32" or (state.st_uid == os.getuid() and not state.st_mode & 0o022)


def _digest(name: str, code: bytes) -> bytes:
    return hashlib.sha256(name.encode() + code).digest()


def _tidy(place: Path) -> None:
    """Remove the oldest files if there are too many."""
    files = []
    for file in [*place.glob("*.o"), *place.glob("*.new")]:
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
