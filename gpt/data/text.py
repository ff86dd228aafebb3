"""A text that may be larger than memory: read in pieces, again at every pass, and the same every time.

It is one UTF-8 file, a folder of such files, or a string. :data:`NORMALIZATIONS` lists what can be done to its
characters before a model sees them.
"""

from __future__ import annotations

import codecs
import hashlib
import os
import re
import stat
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from tinygrad_edu.errors import brief

from ..errors import ConfigError, DataError

__all__ = [
    "LARGE",
    "LARGEST_FILE",
    "LONGEST_PIECE",
    "NORMALIZATIONS",
    "READ_AT_ONCE",
    "SEPARATOR",
    "SUFFIXES",
    "Facts",
    "Text",
    "code_points",
    "foreign",
    "normalized",
    "parse_normalizations",
    "watched",
]

READ_AT_ONCE = 1 << 20  # bytes
LONGEST_PIECE = 1 << 22  # characters; a text with no white space for so long is cut anywhere
LARGE = 1 << 24  # bytes; below that there is nothing to wait for

SUFFIXES = (
    ".txt", ".text", ".md", ".rst", ".tex", ".py", ".c", ".h", ".cpp", ".js", ".ts", ".java", ".go", ".rs",
)  # fmt: skip
SEPARATOR = "\n\n"  # stands between two files of a folder
LARGEST_FILE = 1 << 30  # bytes, in a folder: a data dump, and not the texts that were meant

NORMALIZATIONS = {
    "nfc": "accents written as two characters become one (Unicode's NFC)",
    "nfkc": "the same, and look-alikes become plain: ﬁ to fi, ² to 2, full-width letters (NFKC)",
    "ascii-punctuation": "typographic quotes, dashes, dots and spaces become those of a typewriter",
    "lower": "capital letters become small",
    "collapse-spaces": "runs of spaces and tabs become one space, more than two line breaks two",
}  # in the order in which they are applied
_TYPEWRITER = str.maketrans(
    dict.fromkeys("‘’‚‛′‹›", "'")
    | dict.fromkeys("“”„‟″«»", '"')
    | dict.fromkeys("‐‑‒–—―−", "-")
    | {"…": "...", "•": "*"}
    | dict.fromkeys("\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000", " ")
)


def parse_normalizations(words: str) -> tuple[str, ...]:
    """Parse ``--normalize``, in the order of application; raises ConfigError for an unknown word.

    >>> parse_normalizations("lower,nfc"), parse_normalizations("none")
    (('nfc', 'lower'), ())
    """
    given = [word.strip() for word in words.split(",")]
    for word in given:
        if word not in (*NORMALIZATIONS, "none"):
            raise ConfigError(
                f"normalize must be none or some of {', '.join(NORMALIZATIONS)}, separated by commas; got {word!r}"
            )
    if len(given) > 1 and "none" in given:
        raise ConfigError(f"normalize: none cannot be combined, got {words!r}")
    if {"nfc", "nfkc"} <= set(given):
        raise ConfigError("normalize: nfkc includes nfc; give one of them")
    return tuple(word for word in NORMALIZATIONS if word in given)


def normalized(text: str, normalize: Sequence[str] = ()) -> str:
    """Convert line ends to ``\\n``, then apply the normalizations.

    >>> normalized("“Caf\\u00e9”\\t –  CAFE\\u0301\\r\\n", ("nfc", "ascii-punctuation", "lower", "collapse-spaces"))
    '"café" - café\\n'
    """
    text = text.replace("\r\n", "\n")
    if "nfc" in normalize:
        text = unicodedata.normalize("NFC", text)
    if "nfkc" in normalize:
        text = unicodedata.normalize("NFKC", text)
    if "ascii-punctuation" in normalize:
        text = text.translate(_TYPEWRITER)
    if "lower" in normalize:
        text = text.lower()
    if "collapse-spaces" in normalize:
        text = re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+", " ", text))
    return text


@brief
@dataclass(frozen=True)
class Facts:
    """The result of one pass over a text.

    Attributes:
        characters: the number of characters.
        sha256: the SHA-256 of the text as UTF-8, after normalization.
        counts: how often each character occurs, by code point.
    """

    characters: int
    sha256: str
    counts: dict[str, int]

    @property
    def alphabet(self) -> str:
        """The different characters, sorted by code point."""
        return "".join(self.counts)


@brief
@dataclass(frozen=True)
class Text:
    """A text in parts.

    Attributes:
        name: its name in messages.
        parts: files, read at every pass, or strings; :data:`SEPARATOR` is between two of them.
        normalize: some of :data:`NORMALIZATIONS`.
        skipped: files of a folder that do not belong to the text, each with the reason.
        documents: whether every line is a document.
    """

    name: str
    parts: tuple[Path | str, ...]
    normalize: tuple[str, ...] = ()
    skipped: tuple[tuple[Path, str], ...] = ()
    documents: bool = False

    @classmethod
    def of(cls, text: Text | str) -> Text:
        """Turn a string into a Text; a Text is returned as it is."""
        return text if isinstance(text, Text) else cls("the text", (text,))

    @classmethod
    def at(cls, path: str | Path, normalize: tuple[str, ...] = (), documents: bool = False) -> Text:
        """Return the file at ``path``, or the files in that folder and its folders, in the order of their names.

        Raises DataError for a missing file and for a folder without a text. In a folder, only files whose names end in
        one of :data:`SUFFIXES` are taken, without hidden, binary, empty and very large ones. Links to files are
        followed, links to folders are not.
        """
        path = Path(path)
        try:
            mode = path.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            raise DataError(f"there is no file {path}") from None
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}") from None
        except ValueError as error:  # a name with a NUL
            raise DataError(f"{str(path)!r} cannot be read: {error}") from None
        if not stat.S_ISDIR(mode):
            if not stat.S_ISREG(mode):
                raise DataError(f"{path} is a pipe or a device, and a text is read more than once; expected a file")
            return cls(str(path), (path,), normalize, documents=documents)
        taken: list[Path] = []
        skipped: list[tuple[Path, str]] = []
        for file in _files_below(path):
            reason = _unfit(file, path)
            if reason:
                skipped.append((file, reason))
            else:
                taken.append(file)
        if not taken:
            raise DataError(
                f"{path} is a folder without a text: expected files whose names end in {' '.join(SUFFIXES)}"
                + (f"; found {skipped[0][0]}, which is left out ({skipped[0][1]})" if skipped else "")
            )
        return cls(str(path), tuple(taken), normalize, tuple(skipped), documents)

    @property
    def size(self) -> int:
        """The bytes on disk; for strings, the characters."""
        return sum(len(part) if isinstance(part, str) else part.stat().st_size for part in self.parts)

    def raw(self) -> Iterator[str]:
        """The characters of the files, in pieces; raises DataError for what is not UTF-8."""
        for number, part in enumerate(self.parts):
            if number:
                yield SEPARATOR
            if isinstance(part, str):
                yield part
            else:
                yield from _decoded(part)

    def pieces(self) -> Iterator[str]:
        """The characters that a model sees, in pieces; their concatenation does not depend on the cuts."""
        for piece in _whole_words(self.raw()):
            yield normalized(piece, self.normalize)

    def whole(self) -> str:
        """The whole text, for a text known to be small."""
        return "".join(self.pieces())

    @cached_property
    def facts(self) -> Facts:
        """Make one pass over the text. Raises DataError if it is empty or cannot be read."""
        digest = hashlib.sha256()
        counts = np.zeros(0x110000, dtype=np.int64)
        for piece in watched(self, "Reading"):
            digest.update(piece.encode())
            found = np.bincount(code_points(piece))
            counts[: len(found)] += found
        seen = np.flatnonzero(counts)
        if not len(seen):
            raise DataError(f"{self.name} is empty")
        return Facts(int(counts.sum()), digest.hexdigest(), {chr(c): int(counts[c]) for c in seen})


def watched(text: Text, doing: str) -> Iterator[str]:
    """Yield the pieces of a text, with a progress line in a terminal if it takes a while."""
    from tqdm import tqdm

    size = text.size
    hidden = None if size > LARGE else True  # None: only where it cannot be seen
    with tqdm(total=size, unit="B", unit_scale=True, desc=doing, disable=hidden, leave=False) as bar:
        for piece in text.pieces():
            yield piece
            if not bar.disable:
                bar.update(min(len(piece.encode()), size - bar.n))


def code_points(text: str) -> np.ndarray:
    """Return the characters of a text as numbers, in one array."""
    return np.frombuffer(text.encode("utf-32-le"), dtype="<u4")


def _files_below(folder: Path) -> list[Path]:
    """Yield every file in the order of the names. A hidden folder is listed instead of its contents."""

    def fail(error: OSError) -> None:
        raise DataError(f"{error.filename} cannot be read: {error.strerror}")

    found = []
    for place, folders, names in os.walk(folder, onerror=fail):
        hidden = [name for name in folders if name.startswith(".")]
        folders[:] = [name for name in folders if name not in hidden]
        found += [Path(place, name) for name in hidden + names]
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def _unfit(file: Path, folder: Path) -> str:
    """Say why a file of a folder is not taken; empty if it is."""
    if file.name.startswith("."):
        return "hidden"
    if file.suffix.lower() not in SUFFIXES:
        return f"its name does not end in {' '.join(SUFFIXES)}"
    try:
        found = file.stat()
        if not stat.S_ISREG(found.st_mode):
            return "no file"
        if found.st_size > LARGEST_FILE:
            return f"larger than {LARGEST_FILE:,} bytes; give it to --data by itself"
        with open(file, "rb") as opened:
            beginning = opened.read(8192)
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}; fix that, or move it out of {folder}") from None
    if not beginning:
        return "empty"
    return foreign(beginning) or ("binary" if b"\0" in beginning else "")


_UTF16 = (
    "UTF-16 (as PowerShell's > writes it)",
    "iconv -f UTF-16 -t UTF-8 FILE > NEW, or in PowerShell: Get-Content FILE | Set-Content -Encoding utf8 NEW",
)
#: How files begin that are often given as text but are not: what each is, and how to turn it into text.
_BEGINNINGS = {
    b"\x1f\x8b": ("compressed by gzip", "gunzip -k FILE, or give --data <(zcat FILE)"),
    b"BZh": ("compressed by bzip2", "bunzip2 -k FILE, or give --data <(bzcat FILE)"),
    b"\xfd7zXZ\0": ("compressed by xz", "unxz -k FILE, or give --data <(xzcat FILE)"),
    b"\x28\xb5\x2f\xfd": ("compressed by zstd", "unzstd FILE, or give --data <(zstdcat FILE)"),
    b"PK\x03\x04": ("a zip archive (as .docx, .odt and .epub are)", "unzip it, or save it as plain text"),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", "unpack it"),
    b"%PDF-": ("a PDF document", "pdftotext FILE"),
    codecs.BOM_UTF32_LE: ("UTF-32", "iconv -f UTF-32 -t UTF-8 FILE > NEW"),
    codecs.BOM_UTF32_BE: ("UTF-32", "iconv -f UTF-32 -t UTF-8 FILE > NEW"),
    codecs.BOM_UTF16_LE: _UTF16,
    codecs.BOM_UTF16_BE: _UTF16,
}


def foreign(beginning: bytes) -> str:
    """Identify a file by its beginning, with what to do about it; empty if it may be UTF-8.

    >>> foreign("plain".encode()), foreign("Grüße".encode("utf-16-le"))[:6]
    ('', 'UTF-16')
    """
    for magic, (what, how) in _BEGINNINGS.items():
        if beginning.startswith(magic) and (magic != b"BZh" or beginning[3:10].endswith(b"1AY&SY")):
            return f"{what}: {how}"
    # Without its mark UTF-16 is UTF-8 with a NUL after or before every Latin letter.
    zeros = [beginning[i : len(beginning) // 2 * 2 : 2].count(0) for i in (0, 1)]
    if len(beginning) >= 8 and max(zeros) > len(beginning) // 5 and max(zeros) > 3 * min(zeros):
        return ": ".join(_UTF16)
    return ""


def _decoded(path: Path) -> Iterator[str]:
    """Yield the characters of a UTF-8 file, without a byte order mark."""
    try:
        with open(path, "rb") as file:
            beginning = file.read(8192)
            if what := foreign(beginning):
                raise DataError(f"{path} is not a UTF-8 text; it is {what}")
            file.seek(len(codecs.BOM_UTF8) if beginning.startswith(codecs.BOM_UTF8) else 0)
            position, held = file.tell(), b""  # held: the beginning of a character that is not read completely yet
            last = False
            while not last:
                read = file.read(READ_AT_ONCE)
                last, content = not read, held + read
                try:
                    piece, used = codecs.utf_8_decode(content, "strict", last)
                except UnicodeDecodeError as error:
                    raise DataError(
                        f"{path} is not a UTF-8 text: the byte 0x{content[error.start]:02X} at position "
                        f"{position + error.start} does not fit; save it as UTF-8 first"
                    ) from None
                yield piece
                position, held = position + used, content[used:]
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


def _whole_words(pieces: Iterable[str]) -> Iterator[str]:
    """Yield the same characters, cut only before white space.

    Such cuts separate no accent from its letter, no ``\\r`` from its ``\\n``, and split no run of
    spaces and no word (the lower case of Σ depends on the end of the word), so that normalizing the pieces normalizes
    the text.
    """
    held = ""
    for piece in pieces:
        held += piece
        cut = len(held[: max(0, *(held.rfind(space) for space in " \n\t"))].rstrip())
        if not cut and len(held) > LONGEST_PIECE:
            cut = len(held) - 1  # not after a \r
        if cut:
            yield held[:cut]
            held = held[cut:]
    if held:
        yield held
