"""Texts read in pieces: files, folders, normalizations; the result does not depend on where they are cut."""

from __future__ import annotations

import hashlib
import os
import random
import tracemalloc
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from gpt.data import text as text_module
from gpt.data.text import NORMALIZATIONS, Text, normalized, parse_normalizations
from gpt.errors import ConfigError, DataError

EVERYTHING = ("nfkc", "ascii-punctuation", "lower", "collapse-spaces")


def awkward_text(seed: int, length: int = 400) -> str:
    """Text that is hard to cut: combining accents, Σ at word ends, line ends of three kinds, runs of spaces."""
    pieces = ["a", "e\u0301", "\u0301\u0323", "ΟΔΟΣ", "Σ", " ", "  \t", "\u00a0", "\r\n", "\n", "\r", "\n\n\n", "ﬁ",
              "각", "\u1100\u1161\u11a8", "“x”", "…", "中文", "😀", "İ", "B."]  # fmt: skip
    return "".join(random.Random(seed).choices(pieces, k=length))


@pytest.mark.parametrize("read_at_once", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("normalize", [(), ("nfc",), ("lower",), EVERYTHING])
def test_the_text_does_not_depend_on_where_it_is_cut(
    read_at_once: int, normalize: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "text.txt"
    monkeypatch.setattr(text_module, "READ_AT_ONCE", read_at_once)
    for seed in range(5):
        whole = awkward_text(seed)
        path.write_bytes(whole.encode())
        pieces = list(Text.at(path, normalize).pieces())
        assert "".join(pieces) == normalized(whole, normalize)
        assert len(pieces) > 10


def test_facts_are_those_of_the_whole_text(tmp_path: Path) -> None:
    whole = awkward_text(1)
    path = tmp_path / "text.txt"
    path.write_bytes(whole.encode())
    plain = whole.replace("\r\n", "\n")
    facts = Text.at(path).facts
    assert facts.characters == len(plain)
    assert facts.sha256 == hashlib.sha256(plain.encode()).hexdigest()
    assert facts.counts == Counter(plain)
    assert facts.alphabet == "".join(sorted(set(plain)))


def test_a_text_without_white_space_is_cut_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(text_module, "READ_AT_ONCE", 10)
    monkeypatch.setattr(text_module, "LONGEST_PIECE", 20)
    path = tmp_path / "text.txt"
    path.write_text("中文" * 100, encoding="utf-8")
    pieces = list(Text.at(path).pieces())
    assert "".join(pieces) == "中文" * 100
    assert max(map(len, pieces)) < 40


def test_a_large_file_is_never_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("to be or not to be\n" * 1_600_000, encoding="utf-8")  # 30 MB
    text = Text.at(path)
    tracemalloc.start()
    try:
        characters = sum(len(piece) for piece in text.pieces())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert characters == path.stat().st_size
    assert peak < 10e6


# --- unsuitable files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("read_at_once", [1, 2, 5, 1 << 20])
@pytest.mark.parametrize(
    ("content", "byte", "position"),
    [
        (b"caf\xe9 au lait", "E9", 3),
        (b"\xef\xbb\xbfcaf\xe9", "E9", 6),
        ("日本".encode() + b"\xff.", "FF", 6),
        ("日本".encode()[:-1], "E6", 3),
    ],
)
def test_a_byte_that_is_not_utf_8_is_named(
    content: bytes, byte: str, position: int, read_at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_module, "READ_AT_ONCE", read_at_once)
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"the byte 0x{byte} at position {position} does not fit"):
        Text.at(path).whole()


def test_windows_line_ends_and_a_byte_order_mark_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\n")
    assert Text.at(path).whole() == "one\ntwo\n"


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match="is empty"):
        _ = Text.at(path).facts


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file"):
        Text.at(tmp_path / "nothing.txt")


# --- folders ------------------------------------------------------------------------------------------------------


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_a_folder_is_read_in_order_of_file_names(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "corpus",
        {"b.txt": b"two", "a.md": b"\xef\xbb\xbfone\r\n", "c/a.TXT": b"three", "c.txt": b"four", "B.txt": b"zero"},
    )
    text = Text.at(folder)
    assert [str(part) for part in text.parts] == [
        str(folder / name) for name in ("B.txt", "a.md", "b.txt", "c.txt", "c/a.TXT")
    ]
    assert text.whole() == "zero\n\none\n\n\ntwo\n\nfour\n\nthree"
    assert text.skipped == ()


def test_skipped_files_are_reported_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_module, "LARGEST_FILE", 50)
    folder = write(
        tmp_path / "corpus",
        {
            "a.txt": b"text",
            ".hidden.txt": b"x",
            ".git/config.txt": b"x",
            "data.txt": b"\x00\x01",
            "empty.txt": b"",
            "huge.txt": b"x" * 51,
            "picture.png": b"x",
        },
    )
    text = Text.at(folder)
    assert text.parts == (folder / "a.txt",)
    reasons = {path.name: reason for path, reason in text.skipped}
    assert reasons.pop("huge.txt").startswith("larger than 50 bytes")
    assert reasons.pop("picture.png").startswith("its name does not end in .txt .text .md")
    assert reasons == {".hidden.txt": "hidden", ".git": "hidden", "data.txt": "binary", "empty.txt": "empty"}


def test_a_folder_without_a_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"without a text: expected files whose names end in \.txt"):
        Text.at(tmp_path)
    folder = write(tmp_path / "pictures", {"a.png": b"x"})
    with pytest.raises(DataError, match=r"a\.png, which is left out \(its name"):
        Text.at(folder)


def test_a_file_of_a_folder_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "corpus", {"a.txt": b"good", "b.txt": b"caf\xe9"})
    with pytest.raises(DataError, match=r"b\.txt is not a UTF-8 text: the byte 0xE9 at position 3"):
        Text.at(folder).whole()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the administrator may read everything")
def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "corpus", {"a.txt": b"good", "b.txt": b"secret"})
    (folder / "b.txt").chmod(0)
    with pytest.raises(DataError, match=r"b\.txt cannot be read: Permission denied"):
        Text.at(folder)


# --- normalizations -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "before", "after"),
    [
        ("none", "“É”  x\r\n", "“É”  x\n"),
        ("nfc", "e\u0301ﬁ", "éﬁ"),
        ("nfkc", "e\u0301ﬁ²Ａ", "éfi2A"),
        ("ascii-punctuation", "“a” ‘b’ «c» – — … −1\u00a0x", '"a" \'b\' "c" - - ... -1 x'),
        ("lower", "ÀB ΟΔΟΣ", "àb οδος"),
        ("collapse-spaces", "a \t b\n\n\n\nc\n d", "a b\n\nc\n d"),
    ],
)
def test_each_normalization(how: str, before: str, after: str) -> None:
    assert normalized(before, parse_normalizations(how)) == after


@pytest.mark.parametrize("how", NORMALIZATIONS)
def test_normalizing_twice_changes_nothing(how: str) -> None:
    once = normalized(awkward_text(3).replace("\r", ""), (how,))
    assert normalized(once, (how,)) == once


def test_normalizations_are_applied_in_a_fixed_order() -> None:
    assert parse_normalizations(" collapse-spaces, nfkc ,lower,lower") == ("nfkc", "lower", "collapse-spaces")
    assert unicodedata.is_normalized("NFC", normalized(awkward_text(4), ("nfc",)))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("nfd", "normalize must be none or some of nfc, nfkc, .*got 'nfd'"),
        ("", "got ''"),
        ("nfc,nfkc", "nfkc includes nfc"),
        ("none,lower", "none cannot be combined"),
    ],
)
def test_unknown_normalizations_are_refused(how: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_normalizations(how)
