"""Writing files so that nothing is lost: beside the old one first, then in its place in one step."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed process left of a file that it was writing."""
    for leftover in folder.glob(".*.new"):
        leftover.unlink(missing_ok=True)


def write_atomically(path: str | Path, content: bytes | str) -> None:
    """Write ``path``: whoever reads it, even after a crash, sees the old content or the new, never a part.

    Text is written as UTF-8. Raises OSError as ``open`` does; the old file is then untouched.
    """
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with open(beside, "wb") as file:
            file.write(content.encode("utf-8") if isinstance(content, str) else content)
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
