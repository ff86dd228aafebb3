"""Writing files so that nothing is lost: beside the old one first, then in its place in one step."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed process left of a file that it was writing."""
    for leftover in folder.glob(".*.new"):
        leftover.unlink(missing_ok=True)


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
