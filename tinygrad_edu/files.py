"""Write files so that nothing is lost: first under a temporary name, then renamed in one step."""

from __future__ import annotations

import contextlib
import glob
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["OWN_FILE", "atomically", "cache_folder", "is_at", "lock", "remove_leftovers", "write_atomically"]

OWN_FILE = getattr(os, "O_NOFOLLOW", 0)  # a link in a foreign folder may lead to any file
_DEVICES = (Path("/dev"), Path("/dev/fd"), Path("/proc/self/fd"))
_FAR = 1 << 30  # Windows forbids reading a locked range, and the content is at the beginning

if sys.platform == "win32":
    import msvcrt

    def lock(file: int, unknown: bool = True) -> bool:
        """As below."""
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

    def lock(file: int, unknown: bool = True) -> bool:
        """Lock an open file until it is closed, however its process ends; returns False if it is already locked.

        Args:
            file: its descriptor.
            unknown: the answer if the file system has no locks.
        """
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return unknown
        return True


def cache_folder() -> Path:
    """Return the folder for what can be made again: ``$TINYGRAD_EDU_CACHE``, or that of the operating system."""
    if chosen := os.environ.get("TINYGRAD_EDU_CACHE"):
        return Path(chosen)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "tinygrad_edu"


def is_at(file: int, path: str | Path) -> bool:
    """Return whether an open file is the one now at ``path``."""
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except OSError:
        return False


def remove_leftovers(folder: Path, name: str = "*") -> None:
    """Remove partial files of killed processes, which are not locked.

    Args:
        folder: their folder.
        name: a pattern for their names.
    """
    for leftover in folder.glob(f".{name}.*.new"):
        with contextlib.suppress(OSError):
            file = os.open(leftover, os.O_RDWR | OWN_FILE)
            try:
                abandoned = lock(file, unknown=False)
                if abandoned and os.name != "nt":  # an open file cannot be removed there
                    leftover.unlink()
            finally:
                os.close(file)
            if abandoned:
                leftover.unlink(missing_ok=True)


@contextlib.contextmanager
def atomically(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file for the new content of ``path``.

    Readers of ``path`` see the old content or the new, never a part, even after a crash. Partial files of killed
    processes are removed. Raises OSError as ``open`` does; then, and after any other error in the block, the old file
    is unchanged and the new one is removed.
    """
    path = Path(path)
    if path.absolute().parent in _DEVICES:  # never replace a device such as /dev/null
        with open(path, "wb") as file:
            yield file
        return
    temporary: str | None = None
    try:
        remove_leftovers(path.parent, glob.escape(path.name))
        with _next_to(path) as file:
            temporary = file.name
            yield file
            file.flush()
            os.fsync(file.fileno())  # otherwise a power failure could leave an empty file under the new name
            if os.name != "nt":  # an open file cannot be renamed there
                os.replace(temporary, path)
        if os.name == "nt":
            os.replace(temporary, path)
    except BaseException as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        if isinstance(error, OSError) and error.errno is not None:
            # Name the file that was asked for, not the temporary one.
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise


def write_atomically(path: str | Path, content: bytes | str) -> None:
    """Write the whole of ``path`` at once, see :func:`atomically`; text is written as UTF-8."""
    with atomically(path) as file:
        file.write(content.encode("utf-8") if isinstance(content, str) else content)


def _next_to(path: Path) -> BinaryIO:
    """Create a file next to ``path``, locked so that it is not mistaken for a leftover."""
    while True:
        file = open(path.parent / f".{path.name}.{secrets.token_hex(4)}.new", "xb")  # noqa: SIM115 - it is returned
        if lock(file.fileno()) and is_at(file.fileno(), file.name):
            return file
        file.close()  # another process was quicker, and has removed it
