"""Writing files so that nothing is lost: next to the old one first, then in its place in one step; one at a time."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from .errors import ConfigError

__all__ = ["LOCK", "atomically", "in_use", "locked", "remove_leftovers", "write_atomically"]

LOCK = ".lock"
_OWN_FILE = getattr(os, "O_NOFOLLOW", 0)  # a lock is emptied: a link in somebody else's folder may lead to any file
_FAR = 1 << 30  # Windows lets nobody read what is locked, and the number of the process is at the beginning


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed process left of a file that it was writing."""
    for leftover in folder.glob(".*.new"):
        leftover.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep a folder, which is made if need be, from every other process that does the same.

    The system gives the lock back when a process ends, however it ends. Raises ConfigError that names the process that
    holds the folder, and OSError when it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | _OWN_FILE, 0o666)
        try:
            if not _take(file):
                raise ConfigError(f"{folder} is in use: {_holder(path)} writes there; let it end, or stop it first")
            if _is(file, path):  # or the one that had it has removed it meanwhile
                break
        except BaseException:
            os.close(file)
            raise
        os.close(file)
    try:
        os.ftruncate(file, 0)
        os.write(file, f"{os.getpid()}\n".encode())
        yield
    finally:
        if os.name == "nt":  # an open file cannot be removed there
            os.close(file)
        with contextlib.suppress(OSError):
            path.unlink()
        if os.name != "nt":
            os.close(file)


def in_use(folder: Path) -> bool:
    """Whether a process holds the folder."""
    try:
        file = os.open(folder / LOCK, os.O_RDWR | _OWN_FILE)
    except OSError:
        return False
    try:
        return not _take(file)
    finally:
        os.close(file)


def _holder(path: Path) -> str:
    with contextlib.suppress(OSError, ValueError):
        return f"process {int(path.read_text())}"
    return "another process"


def _is(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except OSError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _take(file: int) -> bool:
        os.lseek(file, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(file, 0, os.SEEK_SET)
        return True

else:
    import fcntl

    def _take(file: int) -> bool:
        """Lock an open file; False when somebody else has. A file system that knows no locks lets everybody in."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True


@contextlib.contextmanager
def atomically(path: str | Path) -> Iterator[BinaryIO]:
    """A file to write the new content of ``path`` to.

    Whoever reads ``path``, even after a crash, sees the old content or the new, never a part. Raises OSError as
    ``open`` does; then, and when anything else ends the block, the old file is untouched and the new one is gone.
    """
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with open(beside, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # or a power cut could leave the new name on an empty file
        os.replace(beside, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        # Named is the file that somebody wanted, not the one beside it that nobody knows of.
        raise OSError(error.errno, error.strerror, str(path)) from None
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def write_atomically(path: str | Path, content: bytes | str) -> None:
    """Write the whole of ``path`` at once, see :func:`atomically`; text is written as UTF-8."""
    with atomically(path) as file:
        file.write(content.encode("utf-8") if isinstance(content, str) else content)
