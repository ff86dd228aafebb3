"""Files whose names choose what is written."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from tinygrad_edu.files import write_atomically

from ..errors import UnknownFormatError


def write_as(path: str | os.PathLike[str], formats: Mapping[str, Callable[[], str | bytes]]) -> str:
    """Write what the function for the ending of ``path`` makes; returns the path.

    Raises UnknownFormatError, with the known endings, for another one.
    """
    path = Path(path)
    make = formats.get(path.suffix.lower())
    if make is None:
        raise UnknownFormatError(f"unknown format: {path.name!r} must end in one of {', '.join(formats)}")
    content = make()
    write_atomically(path, content.encode() if isinstance(content, str) else content)
    return str(path)
