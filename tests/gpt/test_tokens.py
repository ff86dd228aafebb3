"""Tokens in memory and in a mapped file: the same numbers; the file is complete or absent."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gpt.cli import main
from gpt.data import text as text_module
from gpt.data import token_file
from gpt.data.corpus import Corpus
from gpt.data.text import Text
from gpt.data.token_file import Tokens, tokens_of
from gpt.errors import DataError, UnknownCharacterError
from gpt.pictures.run import PicturedRun
from gpt.runs import checkpoint
from gpt.tokenizer import CharTokenizer
from tests.commands import refusal
from tests.gpt.kill_runs import everything
from tinygrad_edu.files import lock


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TINYGRAD_EDU_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tokens"


@pytest.fixture
def in_a_file(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make every text too large for memory; return the folder of the token files."""
    monkeypatch.setattr(token_file, "IN_MEMORY", 0)
    monkeypatch.setattr(text_module, "READ_AT_ONCE", 100)
    return cache


@pytest.mark.parametrize("alphabet", ["abc \n", "".join(map(chr, range(0x4E00, 0x4E00 + 300))) + " 😀"])
def test_a_file_holds_the_same_tokens(alphabet: str, tmp_path: Path, in_a_file: Path) -> None:
    whole = "".join(alphabet[i * i % len(alphabet)] for i in range(3000)) + alphabet
    (tmp_path / "text.txt").write_text(whole, encoding="utf-8")
    text = Text.at(tmp_path / "text.txt")
    tokenizer = CharTokenizer.from_text(whole)
    said: list[str] = []
    found = tokens_of(text, tokenizer, in_a_file, said.append)
    assert list(found) == tokenizer.encode(whole)
    assert tokenizer.decode(found[7:1000]) == whole[7:1000]
    (file,) = in_a_file.iterdir()
    assert str(file) in said[0]
    assert file.stat().st_size == len(whole) * (1 if len(alphabet) <= 256 else 2) + 32
    assert list(tokens_of(text, tokenizer, in_a_file, said.append)) == list(found)
    assert len(said) == 1  # found, not made again


def test_a_damaged_file_is_rebuilt(text_file: Path, in_a_file: Path) -> None:
    text, said = Text.at(text_file), []
    tokenizer = CharTokenizer(text.facts.alphabet)
    expected = list(tokens_of(text, tokenizer, in_a_file, said.append))
    (file,) = in_a_file.iterdir()
    content = file.read_bytes()
    for damaged in (content[:50], b"\1" + content[1:], content + b"x", b""):
        file.write_bytes(damaged)
        assert list(tokens_of(text, tokenizer, in_a_file, said.append)) == expected
        assert file.read_bytes() == content
    assert len(said) == 5


def test_tokens_look_like_a_list_of_ints() -> None:
    found = Tokens(np.array([5, 6, 7, 8], dtype=np.uint8))
    assert found[1:3] == [6, 7]
    assert found[-1] == 8
    assert {type(token) for token in [*found, found[0], *found[:2]]} == {int}
    assert list(found.part(1, 3)) == [6, 7]
    assert len(found) == 4


def test_reading_frees_pages_already_read(text_file: Path, in_a_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = Text.at(text_file)
    found = tokens_of(text, CharTokenizer(text.facts.alphabet), in_a_file, lambda _: None)
    forgotten: list[int] = []
    monkeypatch.setattr(Tokens, "_forget", lambda self: forgotten.append(self._reads))
    assert [found[i] for i in range(150)] == found[:150]
    assert forgotten == [64, 128]


def test_an_unknown_character_far_into_a_text_is_shown_with_its_position(in_a_file: Path, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("abc abc\n" * 500 + "abc €", encoding="utf-8")
    with pytest.raises(UnknownCharacterError, match=r"'€' \(U\+20AC\) at position 4004, line 501, is not in"):
        tokens_of(Text.at(tmp_path / "text.txt"), CharTokenizer("abc \n"), in_a_file, lambda _: None)
    assert list(in_a_file.iterdir()) == []


def test_more_characters_than_fit_into_two_bytes_are_refused(cache: Path) -> None:
    every = "".join(chr(c) for c in range(32, 70_000) if not 0xD800 <= c < 0xE000)
    most = every[: 1 << 16]
    found = tokens_of(Text.of(most), CharTokenizer(most), cache)
    assert [found[0], found[-1]] == [0, 65_535]
    with pytest.raises(DataError, match="has 67,920 different characters; at most 65,536"):
        tokens_of(Text.of(every), CharTokenizer(every), cache)


def test_a_text_that_changes_while_it_is_read_is_refused(text_file: Path, in_a_file: Path) -> None:
    for changed in ("to be or not", "not to be" * 5000):
        text = Text.at(text_file)
        tokenizer = CharTokenizer(text.facts.alphabet)
        text_file.write_text(changed)
        with pytest.raises(DataError, match="changed while it was read"):
            tokens_of(text, tokenizer, in_a_file, lambda _: None)
        assert list(in_a_file.iterdir()) == []


# --- no partial files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_sigint_and_sigterm_leave_no_partial_file(
    number: signal.Signals,
    train_arguments: list[str],
    in_a_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    def interrupted(*arguments: object) -> Iterator[np.ndarray]:
        yield np.zeros(10, dtype=np.uint8)
        assert len(list(in_a_file.iterdir())) == 1
        signal.raise_signal(number)
        yield np.zeros(10, dtype=np.uint8)

    monkeypatch.setattr(token_file, "_encoded", interrupted)
    if number == signal.SIGINT:  # a shell makes its background processes ignore it, and Python does not change that
        ignored = signal.signal(number, signal.default_int_handler)
        request.addfinalizer(lambda: signal.signal(number, ignored))
    before = signal.getsignal(number)
    assert main([*train_arguments, "--out", str(tmp_path / "run")]) == 130
    assert signal.getsignal(number) is before
    assert list(in_a_file.iterdir()) == []
    assert not (tmp_path / "run").exists()


def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    train_arguments: list[str],
    in_a_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    assert "No space left on device; make room there, or name another folder" in refusal(
        main, *train_arguments, "--out", str(tmp_path / "run")
    )
    assert list(in_a_file.iterdir()) == []
    assert not (tmp_path / "run").exists()


def test_only_partial_files_of_killed_processes_are_removed(text_file: Path, in_a_file: Path) -> None:
    in_a_file.mkdir(parents=True)
    dead, alive = in_a_file / ".x.tokens.1.new", in_a_file / ".y.tokens.2.new"
    for path in (dead, alive):
        path.write_bytes(b"half")
    with open(alive, "rb+") as file:
        assert lock(file.fileno())
        text = Text.at(text_file)
        tokens_of(text, CharTokenizer(text.facts.alphabet), in_a_file, lambda _: None)
        assert not dead.exists()
        assert alive.exists()


# --- whole runs ---------------------------------------------------------------------------------------------------


def test_a_run_from_a_file_of_tokens_is_the_same_run(
    train_arguments: list[str], in_a_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main([*train_arguments, "--steps", "6", "--out", str(tmp_path / "file")]) == 0
    assert main([*train_arguments, "--steps", "3", "--schedule", "constant", "--out", str(tmp_path / "half")]) == 0
    assert main(["train", "--resume", str(tmp_path / "half"), "--steps", "6", "--no-draw"]) == 0
    assert len(list(in_a_file.iterdir())) == 1
    assert main(["eval", "--checkpoint", str(tmp_path / "file")]) == 0
    assert main(["flow", str(tmp_path / "file"), "-o", str(tmp_path / "flow.txt")]) == 0
    assert main(["draw", "--checkpoint", str(tmp_path / "file"), "--out", str(tmp_path / "loss.dot")]) == 0
    monkeypatch.undo()
    assert main([*train_arguments, "--steps", "6", "--out", str(tmp_path / "memory")]) == 0
    assert everything(tmp_path / "file") == everything(tmp_path / "memory")
    whole = [*train_arguments, "--steps", "6", "--schedule", "constant", "--out", str(tmp_path / "whole")]
    assert main(whole) == 0
    for name in (checkpoint.MODEL, checkpoint.TRAINING):
        assert everything(tmp_path / "half")[name] == everything(tmp_path / "whole")[name]


def test_a_run_on_a_folder_is_normalized_everywhere(
    train_arguments: list[str],
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, out = tmp_path / "corpus", tmp_path / "run"
    folder.mkdir()
    (folder / "a.txt").write_text(text.upper(), encoding="utf-8")
    (folder / "b.txt").write_text("“to be”  or not\n" * 9, encoding="utf-8")
    (folder / "c.png").write_bytes(b"x")
    arguments = ["train", "--data", str(folder), *train_arguments[3:], "--out", str(out)]
    assert main([*arguments, "--normalize", "lower,ascii-punctuation", "--steps", "2"]) == 0
    printed = capsys.readouterr().out
    assert f"{folder}: 2 files" in printed
    assert f"left out: {folder / 'c.png'} (its name does not end in" in printed
    config = checkpoint.load_config(out)
    assert config.normalize == ("ascii-punctuation", "lower")
    alphabet = checkpoint.load_tokenizer(out).alphabet
    assert not set(alphabet) & set("TOB“”")
    assert '"' in alphabet
    assert main(["train", "--resume", str(out), "--steps", "4", "--no-draw"]) == 0
    assert main(["sample", "--checkpoint", str(out), "--prompt", "TO “BE”", "--max-new-tokens", "3"]) == 0
    monkeypatch.setattr("sys.stdin", io.StringIO("TO “BE”\n"))
    capsys.readouterr()
    assert main(["chat", str(out), "--max-new-tokens", "3"]) == 0
    assert "is not in the model's alphabet" not in "".join(capsys.readouterr())
    assert main(["compare", str(out), str(out), "--prompt", "TO “BE”", "--max-new-tokens", "3"]) == 0
    assert PicturedRun.open(out).tokens("TO") == checkpoint.load_tokenizer(out).encode("to")
    other = tmp_path / "other.txt"
    other.write_text("TO BE OR NOT “TO BE”", encoding="utf-8")
    assert main(["eval", "--checkpoint", str(out), "--data", str(other)]) == 0
    assert main(["eval", "--checkpoint", str(out), "--data", str(folder), "--sequences", "3"]) == 0
    assert main(["eval", "--checkpoint", str(out), "--sequences", "3"]) == 0
    capsys.readouterr()
    assert main(["info", str(out)]) == 0
    assert "the text is normalized: ascii-punctuation, lower" in capsys.readouterr().out
    assert "--normalize cannot change" in refusal(main, "train", "--resume", str(out), "--normalize", "none")
    (folder / "d.txt").write_text("one more", encoding="utf-8")
    assert "the text is not the one that the run" in refusal(main, "train", "--resume", str(out), "--steps", "6")


def test_a_large_text_becomes_tokens_within_bounded_memory(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("to be or not to be, that is the question\n" * 1_000_000, encoding="utf-8")  # 41 MB
    tracemalloc.start()
    try:
        corpus = Corpus.from_text(Text.at(path), 16)
        corpus.batch(16, 32, 1, 0)
        assert sum(len(tokens) for tokens, _ in corpus.validation(16, 1 << 30)[::100]) > 40_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(corpus.train) + len(corpus.val) == path.stat().st_size
    assert peak < 30e6  # less than the text has characters, and independent of how many they are


def test_an_exported_model_includes_its_normalization(train_arguments: list[str], tmp_path: Path) -> None:
    run, file, again = (str(tmp_path / name) for name in ("run", "model.safetensors", "again"))
    assert main([*train_arguments, "--normalize", "lower", "--steps", "2", "--out", run]) == 0
    assert main(["export", run, file]) == 0
    data = ["--data", train_arguments[2]]
    assert main(["import", file, again, *data]) == 0
    assert checkpoint.load_config(Path(again)).normalize == ("lower",)
    assert main(["train", "--resume", again, "--steps", "3", "--no-draw"]) == 0
    assert main(["import", file, str(tmp_path / "other"), *data, "--normalize", "none"]) == 0
    assert checkpoint.load_config(Path(tmp_path / "other")).normalize == ()
    Path(data[1]).write_text("to be\n" * 100 + "to €", encoding="utf-8")
    assert "the character '€' (U+20AC) at position 603, line 101, is not in" in refusal(
        main, "import", file, str(tmp_path / "unknown"), *data
    )


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count memory in other ways")
def test_the_memory_of_the_process_does_not_grow_with_the_text(cache: Path, tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from gpt.data.corpus import Corpus\n"
        "from gpt.data.text import Text\n"
        "corpus = Corpus.from_text(Text.at(sys.argv[1]), 16)\n"
        "for step in range(300):\n"
        "    corpus.batch(16, 32, 1, step)\n"  # from all over the text
        "for sequence in corpus.validation(16, 1 << 30)[::10]:\n"
        "    pass\n"
        # Measure this program alone: getrusage may include the size of the process that started it.
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))\n"
    )
    peak = []
    for lines in (100_000, 1_200_000):
        path = tmp_path / f"{lines}.txt"
        path.write_text("to be or not to be, that is the question\n" * lines, encoding="utf-8")  # 4 and 49 MB
        command = [sys.executable, "-c", program, str(path)]
        peak.append(int(subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()[-1]) / 1024)
    assert peak[1] < peak[0] + 20  # megabytes
