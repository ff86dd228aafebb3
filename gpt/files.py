"""Lock the folder of a run, for one process at a time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from tinygrad_edu.files import OWN_FILE, is_at, lock

from .errors import ConfigError

__all__ = ["LOCK", "in_use", "locked"]

LOCK = ".lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a folder, which is made if necessary, against other processes.

    The system releases the lock when a process ends, however it ends. Raises ConfigError, naming the process that holds
    the folder, and OSError if it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | OWN_FILE, 0o666)
        try:
            if not lock(file):
                raise ConfigError(f"{folder} is in use: {_holder(path)} writes there; wait for it, or stop it first")
            if is_at(file, path):  # or its holder has removed it meanwhile
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
    """Return whether a process holds the folder."""
    try:
        file = os.open(folder / LOCK, os.O_RDWR | OWN_FILE)
    except OSError:
        return False
    try:
        return not lock(file)
    finally:
        os.close(file)


def _holder(path: Path) -> str:
    with contextlib.suppress(OSError, ValueError):
        return f"process {int(path.read_text())}"
    return "another process"
