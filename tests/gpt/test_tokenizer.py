from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt.errors import DataError, UnknownCharacterError
from gpt.tokenizer import CharTokenizer


@given(st.text(min_size=1))
def test_every_text_round_trips(text: str) -> None:
    tokenizer = CharTokenizer.from_text(text)
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.vocab_size == len(set(text))


def test_the_alphabet_is_in_code_point_order() -> None:
    assert CharTokenizer.from_text("banana\n").alphabet == "\nabn"


def test_an_unknown_character_is_shown_with_its_position() -> None:
    tokenizer = CharTokenizer("abc\n")
    with pytest.raises(UnknownCharacterError, match=r"'é' \(U\+00E9\) at position 5, line 2,.*alphabet of 4"):
        tokenizer.encode("abc\naé")


@pytest.mark.parametrize("alphabet", ["", "abca"])
def test_a_bad_alphabet_is_refused(alphabet: str) -> None:
    with pytest.raises(DataError, match="alphabet"):
        CharTokenizer(alphabet)


@pytest.mark.parametrize("token", [-1, 3])
def test_a_number_that_is_not_a_token_is_refused(token: int) -> None:
    with pytest.raises(IndexError, match=f"token {token} is not in 0 to 2"):
        CharTokenizer("abc").decode([0, token])
