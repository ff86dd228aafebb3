"""Files whose names choose what is written."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from tinygrad_edu.files import write_atomically

from ..errors import UnknownFormatError


def write_as(path: str | os.PathLike[str], formats: Mapping[str, Callable[[], str | bytes]]) -> str:
    """Write what the function for the ending of ``path`` makes; returns the path.

    Raises UnknownFormatError, with the known endings, for another one.
    """
    check_ending(path, formats)
    path = Path(path)
    content = formats[path.suffix.lower()]()
    write_atomically(path, content.encode() if isinstance(content, str) else content)
    return str(path)


def check_ending(path: str | os.PathLike[str], formats: Collection[str]) -> None:
    """Raise UnknownFormatError unless ``path`` ends in one of them: before work that would be for nothing."""
    name = Path(path).name
    if Path(name).suffix.lower() not in formats:
        raise UnknownFormatError(f"unknown format: {name!r} must end in one of {', '.join(formats)}")
