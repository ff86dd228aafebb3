from __future__ import annotations

import urllib.error
from pathlib import Path
from typing import Any

import pytest

from gpt.data import corpus
from gpt.data.corpus import Corpus, NamedText, named_text, plain_text, spread
from gpt.data.text import Text
from gpt.errors import DataError, UnknownCharacterError
from gpt.tokenizer import CharTokenizer


def test_the_split_is_ninety_ten_in_order() -> None:
    text = "abcdefghij" * 30
    corpus = Corpus.from_text(text, 4)
    assert corpus.tokenizer.decode([*corpus.train, *corpus.val]) == text
    assert (len(corpus.train), len(corpus.val)) == (270, 30)


def test_targets_are_the_next_tokens() -> None:
    corpus = Corpus.from_text("the quick brown fox " * 20, 5)
    for tokens, targets in (*corpus.batch(5, 8, seed=1, step=3), *corpus.validation(5, 4)):
        assert len(tokens) == len(targets) == 5
        assert tokens[1:] == targets[:-1]


def test_a_batch_depends_on_seed_and_step_only() -> None:
    corpus = Corpus.from_text("the quick brown fox jumps over the lazy dog " * 20, 5)
    assert corpus.batch(5, 4, 1, 7) == corpus.batch(5, 4, 1, 7)
    assert corpus.batch(5, 4, 1, 7) != corpus.batch(5, 4, 1, 8)
    assert corpus.batch(5, 4, 1, 7) != corpus.batch(5, 4, 2, 7)


def test_a_known_batch_is_the_same_in_every_process_and_version() -> None:
    corpus = Corpus(CharTokenizer("ab"), list(range(1000)), [])
    assert [tokens[0] for tokens, _ in corpus.batch(8, 4, seed=1337, step=0)] == [867, 228, 123, 520]


def test_validation_sequences_are_spread_and_do_not_overlap() -> None:
    starts = [tokens[0] for tokens, _ in spread(list(range(101)), 10, 5)]
    assert starts == [0, 20, 40, 60, 80]
    assert len(spread(list(range(101)), 10, 1000)) == 10


def test_a_short_text_is_refused_with_the_length_it_needs() -> None:
    Corpus.from_text("ab" * 35, 6)
    with pytest.raises(DataError, match="it has 60 characters.*a context of 6 needs at least 70"):
        Corpus.from_text("ab" * 30, 6)


def test_a_run_keeps_its_alphabet() -> None:
    with pytest.raises(UnknownCharacterError):
        Corpus.from_text("abc" * 100, 4, CharTokenizer("ab"))


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (b"caf\xe9", "is not a UTF-8 text: the byte 0xE9 at position 3")],
)
def test_unfit_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        Text.at(path).facts  # noqa: B018


def test_plays_lose_headings_and_directions() -> None:
    first = "# T\n\n### SCENE I. Rome.\n\n_Enter A,\nand B_\n\n**First Citizen**  \nSpeak;  \nsay'\\--on.\n"
    first += "\n_Drums_\n\nMore.\n"
    second = "**ALL**  \nGo _\\[by the way]_\n"
    assert plain_text([first, second]) == "First Citizen:\nSpeak;\nsay'--on.\nMore.\n\nALL:\nGo\n"


def test_the_last_play_ends_where_tinyshakespeare_does() -> None:
    assert plain_text(["**SEB**\nA\nWhiles thou art waking.\nB\n"]).endswith("Whiles thou art waking.\n")


# --- named texts --------------------------------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Make a named text "small" whose download can be made to fail, with its own cache folder."""
    state: dict[str, Any] = {"content": b"hello", "fetched": 0, "said": []}

    def fetch(say: corpus.Say) -> bytes:
        state["fetched"] += 1
        say("fetching")
        if isinstance(state["content"], Exception):
            raise state["content"]
        return bytes(state["content"])

    monkeypatch.setenv("TINYGRAD_EDU_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(corpus.TEXTS, "small", NamedText("", corpus._sha256(b"hello"), fetch))
    return state


def test_a_named_text_is_fetched_once_with_a_message(source: dict[str, Any]) -> None:
    assert named_text("small", source["said"].append) == "hello"
    assert named_text("small", source["said"].append) == "hello"
    assert source["fetched"] == 1
    assert source["said"] == ["fetching"]


def test_a_damaged_cache_is_replaced(source: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "small.txt").write_bytes(b"hell")
    assert named_text("small", source["said"].append) == "hello"
    assert (tmp_path / "cache" / "small.txt").read_bytes() == b"hello"


@pytest.mark.parametrize(
    "failure", [urllib.error.URLError("no network"), TimeoutError("slow"), DataError("pip says no")]
)
def test_without_a_network_the_error_says_what_to_do(source: dict[str, Any], failure: Exception) -> None:
    source["content"] = failure
    with pytest.raises(DataError, match=r"'small' is not on this machine.*--data PATH"):
        named_text("small", source["said"].append)


def test_another_text_than_expected_is_refused_and_not_kept(source: dict[str, Any], tmp_path: Path) -> None:
    source["content"] = b"something else"
    with pytest.raises(DataError, match="SHA-256 differs"):
        named_text("small", source["said"].append)
    assert not (tmp_path / "cache" / "small.txt").exists()


def test_a_cache_that_cannot_be_written_does_not_matter(
    source: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TINYGRAD_EDU_CACHE", str(tmp_path / "file" / "cache"))
    assert named_text("small", source["said"].append) == "hello"


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(DataError, match="unknown data set: 'nosuch'.*shakespeare, tinyshakespeare, names"):
        named_text("nosuch")
