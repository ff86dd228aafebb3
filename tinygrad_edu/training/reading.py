"""Read files of unknown origin: their content is checked before it is used.

Only regular files are opened, and read up to a limit. JSON is UTF-8, of bounded depth, and its strings are valid text.
A schema defines what a record must hold: a :class:`Kind` per field. Anything else is a CheckpointError of one line,
with the file, the field, what was expected and what was found.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..errors import brief
from .errors import CheckpointError, shown

__all__ = [
    "DEEPEST",
    "LARGEST_COUNT",
    "LARGEST_JSON",
    "LARGEST_NUMBER",
    "LIST_OF_WORDS",
    "MEASURED",
    "NEITHER",
    "NUMBER",
    "PATH",
    "RECORD",
    "STEP_AND_RATE",
    "WORDS",
    "Kind",
    "MissingError",
    "Schema",
    "TensorFile",
    "checked",
    "content_of",
    "open_tensors",
    "opened",
    "optional",
    "parsed",
    "whole",
]

LARGEST_COUNT = 10**12  # of steps, of numbers: beyond any real use, and far from where floats overflow
LARGEST_NUMBER = 1e300  # so that a few can be added
DEEPEST = 32  # levels of lists and dictionaries
LARGEST_JSON = 1 << 24  # bytes, of settings and alphabets; a log has no limit
NEITHER = "is damaged or not a safetensors file"


class MissingError(CheckpointError):
    """There is no file of that name."""


# --- what a field must be ---------------------------------------------------------------------------------------------


@brief
@dataclass(frozen=True)
class Kind:
    """What a field must be.

    Attributes:
        words: a description for messages.
        fits: whether a value fits.
        needed: whether the field must exist.
    """

    words: str
    fits: Callable[[Any], bool]
    needed: bool = True


def whole(low: int = 0, high: int = LARGEST_COUNT, *, needed: bool = True) -> Kind:
    """Return the kind of whole numbers in a range."""
    return Kind(
        f"a whole number from {low} to {high:,}",
        lambda x: isinstance(x, int) and not isinstance(x, bool) and low <= x <= high,
        needed,
    )


def _is_number(x: Any) -> bool:
    return isinstance(x, (int, float)) and not isinstance(x, bool) and -LARGEST_NUMBER <= x <= LARGEST_NUMBER


def _is_words(x: Any) -> bool:
    return isinstance(x, str) and not any("\ud800" <= character <= "\udfff" for character in x)


def optional(kind: Kind) -> Kind:
    """Return the same kind, optional or null."""
    return Kind(f"{kind.words} or null", lambda x: x is None or kind.fits(x), needed=False)


NUMBER = Kind("a finite number", _is_number)
#: A loss may have become NaN or infinite unnoticed.
MEASURED = Kind("a number", lambda x: _is_number(x) or (isinstance(x, float) and (math.isnan(x) or x == math.inf)))
WORDS = Kind("text", _is_words)
LIST_OF_WORDS = Kind("a list of texts", lambda x: isinstance(x, (list, tuple)) and all(map(_is_words, x)), needed=False)
RECORD = Kind("an object with names", lambda x: isinstance(x, dict) and all(map(_is_words, x)))
STEP_AND_RATE = Kind(
    "a step and a learning rate",
    lambda x: isinstance(x, list) and len(x) == 2 and whole().fits(x[0]) and _is_number(x[1]) and x[1] >= 0,
)
PATH = Kind("the name of a file", lambda x: isinstance(x, str) and 0 < len(x) <= 4096 and "\0" not in x)

Schema = Mapping[str, Kind]


def checked(content: Any, schema: Schema, source: object, others: Kind | None = None) -> dict[str, Any]:
    """Return ``content``, which must be a dict with the fields of ``schema``; other fields are of kind ``others``."""
    if not RECORD.fits(content):
        raise CheckpointError(f"{source} must hold {RECORD.words}, got {shown(content)}")
    for name, kind in schema.items():
        if name not in content:
            if kind.needed:
                raise CheckpointError(f"{source} has no {name}; expected {kind.words}")
        elif not kind.fits(content[name]):
            raise CheckpointError(f"{source}: {name} must be {kind.words}, got {shown(content[name])}")
    if others is not None:
        for name, value in content.items():
            if name not in schema and not others.fits(value):
                raise CheckpointError(f"{source}: {shown(name)} must be {others.words}, got {shown(value)}")
    return dict(content)


# --- bytes and JSON ---------------------------------------------------------------------------------------------------


@contextmanager
def opened(path: Path, missing: str) -> Iterator[BinaryIO]:
    """Open a regular file; raises CheckpointError for anything else of that name, with ``missing`` if there is nothing.

    Opening a pipe could wait forever, and a device may never end.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            what = "a folder" if path.is_dir() else "a pipe or a device"
            raise CheckpointError(f"{path} cannot be read: it is {what}; expected a file")
        with open(path, "rb") as file:
            yield file
    except FileNotFoundError:
        raise MissingError(missing) from None
    except NotADirectoryError:
        raise CheckpointError(f"{path.parent} is not a folder; expected one that train has written") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:  # a name with a NUL
        raise CheckpointError(f"{str(path)!r} cannot be read: {error}") from None


def content_of(path: Path, missing: str, most: int) -> bytes:
    """Return the bytes of a file that has at most ``most``; raises CheckpointError like :func:`opened`."""
    with opened(path, missing) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise CheckpointError(f"{path} is damaged: it has more than {most:,} bytes")
    return content


def parsed(content: bytes | str, source: object) -> Any:
    """Parse JSON; raises CheckpointError for what is not JSON, not UTF-8, or nested deeper than any of our files."""
    try:
        found = json.loads(content.decode("utf-8") if isinstance(content, bytes) else content)
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{source} is damaged: the byte at position {error.start} is not UTF-8") from None
    except ValueError as error:
        raise CheckpointError(f"{source} is damaged: {error}") from None
    except RecursionError:
        found = None
    else:
        level = [found]
        for _ in range(DEEPEST):
            level = [item for x in level if isinstance(x, (dict, list)) for item in _items(x)]
            if not level:
                return found
    raise CheckpointError(f"{source} is damaged: lists in lists, more than {DEEPEST} levels deep")


def _items(x: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return x.values() if isinstance(x, dict) else x


# --- tensors ----------------------------------------------------------------------------------------------------------

_ITEM_SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
_IS_SHAPE = Kind(
    "a list of sizes", lambda x: isinstance(x, list) and len(x) < DEEPEST and all(whole().fits(n) for n in x)
)
_TENSOR: Schema = {
    "dtype": Kind("one of " + ", ".join(_ITEM_SIZES), lambda x: isinstance(x, str) and x in _ITEM_SIZES),
    "shape": _IS_SHAPE,
    "data_offsets": Kind("two positions", lambda x: _IS_SHAPE.fits(x) and len(x) == 2),
}


@brief
@dataclass(frozen=True)
class TensorFile:
    """An open safetensors file; its numbers are not read yet.

    Attributes:
        path: the file.
        metadata: strings by name.
        shapes: the shapes of the tensors by name; the file is exactly as long as they need.
    """

    path: Path
    metadata: dict[str, str]
    shapes: dict[str, tuple[int, ...]]
    _file: BinaryIO
    _start: int
    _header: dict[str, Any]

    def arrays(self) -> dict[str, Any]:
        """Return all tensors by name, as numpy arrays: a part of the file is read when it is first looked at."""
        content = memoryview(mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ))[self._start :]
        found = {}
        for name, entry in self._header.items():
            part = content[slice(*entry["data_offsets"])]
            if entry["dtype"] == "BF16":  # the upper half of a 32-bit float
                array = (np.frombuffer(part, "<u2").astype("<u4") << 16).view("<f4")
            else:
                array = np.frombuffer(part, f"<f{_ITEM_SIZES[entry['dtype']]}")
            found[name] = array.reshape(entry["shape"])
        return found


@contextmanager
def open_tensors(path: Path, missing: str | None = None) -> Iterator[TensorFile]:
    """Open a safetensors file of floats; raises CheckpointError if it is missing, damaged, or not as long as it
    says."""
    with opened(path, missing or f"there is no {path.name} in {path.parent}") as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 + length or not 2 <= length <= LARGEST_JSON:
            raise CheckpointError(f"{path} {NEITHER}: its header is not whole")
        source = f"{path} {NEITHER}: its header"
        header = checked(parsed(file.read(length), source), {}, source)
        metadata = checked(header.pop("__metadata__", {}), {}, f"{source}, __metadata__", WORDS)
        at = 0
        for name, entry in header.items():
            checked(entry, _TENSOR, f"{source}, {shown(name)}")
        for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
            begin, end = entry["data_offsets"]
            if begin != at or end - begin != math.prod(entry["shape"]) * _ITEM_SIZES[entry["dtype"]]:
                raise CheckpointError(f"{source}, {shown(name)}: shape and place in the file do not agree")
            at = end
        if size != 8 + length + at:
            raise CheckpointError(f"{path} {NEITHER}: expected {8 + length + at:,} bytes, got {size:,}")
        shapes = {name: tuple(entry["shape"]) for name, entry in header.items()}
        yield TensorFile(path, metadata, shapes, file, 8 + length, header)
