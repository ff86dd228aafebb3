"""GPT-2's tokenizer: pieces and merges worked out by hand, and the way back for any text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt.byte_pairs import END_OF_TEXT, LETTERS, BytePairTokenizer, pieces
from gpt.errors import DataError, UnknownCharacterError

BYTES = {letter: byte for byte, letter in LETTERS.items()}  # the 256 bytes, each with its own number
SPACE = "Ġ"  # how files write the byte 0x20
MERGES = [
    (SPACE, "t"), ("h", "e"), (SPACE + "t", "he"), ("i", "n"), (SPACE, "c"), ("a", "t"), (SPACE + "c", "at"),
]  # fmt: skip
TOKENS = {"".join(pair): 256 + i for i, pair in enumerate(MERGES)}  # Ġt 256, he 257, Ġthe 258, in 259, Ġc, at, Ġcat 262
TOKENIZER = BytePairTokenizer({**BYTES, **TOKENS, END_OF_TEXT: 263}, MERGES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("don't", ["don", "'t"]),
        ("  two", [" ", " two"]),
        ("naïve 123", ["naïve", " 123"]),
        ("a\n\nb", ["a", "\n", "\n", "b"]),
        ("a \n b", ["a", " \n", " b"]),
        ("end  ", ["end", "  "]),
        ("\tx", ["\t", "x"]),
        ("I'll've", ["I", "'ll", "'ve"]),
        ("we're he'd I'm it's", ["we", "'re", " he", "'d", " I", "'m", " it", "'s"]),
        ("DON'T 'tis", ["DON", "'", "T", " '", "tis"]),  # an ending is small, and stands at once
        ("a_b -- c!?", ["a", "_", "b", " --", " c", "!?"]),
        ("x² Ⅷ ½", ["x", "²", " Ⅷ", " ½"]),  # numbers of all kinds
        ("中文5日", ["中文", "5", "日"]),
        ("e\u0301", ["e", "\u0301"]),  # an accent is no letter
        ("\u00a0x\u3000y", ["\u00a0", "x", "\u3000", "y"]),  # only the plain space belongs to what follows
        ("\x1ca", ["\x1c", "a"]),  # white space for Python, not for Unicode
        ("🙂🙂 !", ["🙂🙂", " !"]),
        ("", []),
    ],
)
def test_a_text_is_split_as_gpt_2_does(text: str, expected: list[str]) -> None:
    assert pieces(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the cat in the hat", [116, 257, 262, 32, 259, 258, 32, 104, 261]),  # t he | Ġcat | Ġ in | Ġthe | Ġ h at
        ("chat", [99, 104, 261]),  # c h at: no merge for h and at
        ("é", [0xC3, 0xA9]),
        ("\n\x00", [10, 0]),
        (END_OF_TEXT, list(END_OF_TEXT.encode())),  # as words it is a text like any other
    ],
)
def test_bytes_are_merged_in_the_order_of_the_merges(text: str, expected: list[int]) -> None:
    assert TOKENIZER.encode(text) == expected
    assert TOKENIZER.decode(expected) == text


def test_the_earliest_merge_goes_first_and_everywhere() -> None:
    merges = [("a", "b"), ("a", "a"), ("aa", "aa")]
    tokenizer = BytePairTokenizer({**BYTES, "ab": 256, "aa": 257, "aaaa": 258}, merges)
    assert tokenizer.encode("aab") == [97, 256]  # not aa, b, though that is farther to the left
    assert tokenizer.encode("abab") == [256, 256]
    assert tokenizer.encode("aaaaaaa") == [258, 257, 97]


def test_the_letters_of_bytes_are_those_of_gpt_2() -> None:
    assert [LETTERS[byte] for byte in (0x0A, 0x20, 0x21, 0x7E, 0x7F, 0xA0, 0xAD, 0xFF)] == list("ĊĠ!~ġłŃÿ")
    assert len(set(LETTERS.values())) == 256


@given(st.text())
def test_every_text_comes_back(text: str) -> None:
    tokens = TOKENIZER.encode(text)
    assert TOKENIZER.decode(tokens) == text
    assert "".join(pieces(text)) == text
    assert list(TOKENIZER.stream(iter(tokens))) == list(text)  # whole characters, one by one


def test_a_character_is_written_when_its_last_byte_has_come() -> None:
    def tokens() -> object:
        for token in (0xE4, 0xB8, 0xAD, 97):  # 中, a
            sent.append(token)
            yield token

    sent: list[int] = []
    stream = TOKENIZER.stream(tokens())  # type: ignore[arg-type]
    assert (next(stream), sent) == ("中", [0xE4, 0xB8, 0xAD])
    assert TOKENIZER.decode([0xE4, 97, 0xB8]) == "\ufffda\ufffd"  # no characters


def test_what_is_no_text_or_no_token_is_refused() -> None:
    with pytest.raises(UnknownCharacterError, match=r"U\+D800 is no character"):
        TOKENIZER.encode("a\ud800")
    for token in (-1, 264):
        with pytest.raises(IndexError, match=f"token {token} is not in 0 to 263"):
            TOKENIZER.decode([token])


def test_a_text_begins_after_the_end_of_another() -> None:
    assert (TOKENIZER.end, TOKENIZER.beginning, TOKENIZER.vocab_size) == (263, [263], 264)
    assert TOKENIZER.decode([263]) == END_OF_TEXT
    bare = BytePairTokenizer(BYTES, [])
    assert (bare.end, bare.beginning) == (None, [10])


@pytest.mark.parametrize(
    ("vocabulary", "merges", "message"),
    [
        ({**BYTES, "he": 255}, [], "the 257 tokens must be numbered 0 to 256, each once"),
        ({x: i for i, x in enumerate(list(BYTES)[1:])}, [], "all 256 bytes; got one without '!' for byte 33"),
        (BYTES, [("h", "e")], "'h e' is among the merges, and 'he' is not in the vocabulary"),
    ],
)
def test_a_vocabulary_of_another_kind_is_refused(
    vocabulary: dict[str, int], merges: list[tuple[str, str]], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        BytePairTokenizer(vocabulary, merges)
