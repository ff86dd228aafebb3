"""Digits, shapes, points and captions: what they are, and that a seed decides them."""

from __future__ import annotations

import random
import re
from pathlib import Path

import numpy as np
import pytest

from image.config import ModelConfig
from image.data import digits, points, shapes
from image.dataset import batch, nothing, validation
from tinygrad_edu.training.errors import ConfigError

FILE = Path(digits.__file__).parent / "digits.txt"


def test_the_digits_are_those_of_the_collection() -> None:
    pictures, classes = digits.load()
    assert pictures.shape == (1797, 64)
    assert np.bincount(classes).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]  # as it is documented
    inks = (pictures + 1.0) * 8.0
    assert set(np.unique(inks)) == set(range(17))
    mean = [round(float(inks[classes == digit].sum(1).mean()), 1) for digit in (0, 1, 8)]
    assert mean[0] != mean[1] != mean[2]
    columns = inks.reshape(-1, 8, 8)[classes == 1].mean(axis=(0, 1))
    assert columns[[3, 4]].sum() > columns[[0, 1, 6, 7]].sum()  # a 1 stands in the middle


def test_the_file_is_small_text_with_its_source_and_license() -> None:
    content = FILE.read_bytes()
    assert len(content) < 80_000
    assert content.isascii()
    assert b"CC BY 4.0" in content
    assert b"Alpaydin" in content


def test_held_out_digits_are_not_trained() -> None:
    known = {picture.tobytes() for picture in digits.training()[0]}
    held_out, classes = digits.held_out()
    assert len(held_out) == digits.HELD_OUT
    assert not [picture for picture in held_out if picture.tobytes() in known]
    assert set(classes) == set(range(10))


@pytest.mark.parametrize("kind", [points.moons, points.spiral])
def test_points_depend_on_the_seed_alone(kind: object) -> None:
    first, again, other = (kind(50, np.random.default_rng(seed)) for seed in (1, 1, 2))  # type: ignore[operator]
    assert (first == again).all()
    assert not (first == other).any()
    assert np.abs(first).max() < 2.0


def test_each_combination_has_a_picture_of_its_own() -> None:
    assert len(shapes.COMBINATIONS) == 80
    assert len(shapes.NEVER_TRAINED) == 10
    assert {c.shape for c in shapes.TRAINED} == {c.shape for c in shapes.COMBINATIONS}
    rng = np.random.default_rng(0)
    for combination in shapes.COMBINATIONS:
        picture = shapes.draw(combination, shapes.shift(rng))
        templates, of = shapes.templates()
        assert of[((templates - picture) ** 2).sum(1).argmin()] == combination


def test_a_shape_is_where_and_what_the_words_say() -> None:
    large, small = (
        shapes.draw(shapes.Combination("square", size, "top left", True)).reshape(12, 12) for size in ("large", "small")
    )
    assert large[2, 3] == small[2, 3] == 1.0  # ink at the center
    assert (large[7:] == -1.0).all()
    assert (large[:, 7:] == -1.0).all()
    assert large.sum() > small.sum()
    ring = shapes.draw(shapes.Combination("circle", "large", "center", False)).reshape(12, 12)
    assert ring[6, 6] == -1.0  # paper at the center
    assert ring[6, 2:4].sum() > -0.5 > ring[6, 4:8].sum()  # the line crosses two pixels
    assert (ring == ring.T).all()  # round
    right = shapes.draw(shapes.Combination("square", "small", "top left", True), (0.5, 0.0)).reshape(12, 12)
    assert (right[:, 6] > small[:, 6]).any()  # moved to the right


def test_captions_say_all_of_a_combination_in_words_that_are_known() -> None:
    rng = random.Random(0)
    for combination in shapes.COMBINATIONS * 10:
        words = shapes.caption(combination, rng)
        assert shapes.understood(words) == combination, words
        assert len(shapes.encode(words)) == shapes.LONGEST
    assert len({shapes.caption(shapes.COMBINATIONS[0], rng) for _ in range(200)}) > 8
    assert shapes.understood("a small ring") is None


def test_a_prompt_with_an_unknown_word_is_refused() -> None:
    with pytest.raises(ConfigError, match=re.escape("the word 'purple'; expected only: a, in, the, small")):
        shapes.encode("a purple ring")
    with pytest.raises(ConfigError, match="1 to 8 words, got 0"):
        shapes.encode(" , ")
    with pytest.raises(ConfigError, match="1 to 8 words, got 9"):
        shapes.encode("a " * 9)


@pytest.mark.parametrize(("data", "condition"), [("digits", "class"), ("shapes", "text"), ("digits", "nothing")])
def test_a_batch_depends_on_seed_and_step_alone(data: str, condition: str) -> None:
    config = ModelConfig(data=data, condition=condition)
    one, again, other = (batch(config, 5, step, 30, 0.5) for step in (3, 3, 4))
    for first, second in zip(one, again, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not np.array_equal(one[0][0], other[0][0])
    untold = sum(example[3:] == nothing(config) for example in one)
    assert untold == 30 if condition == "nothing" else 5 < untold < 25


def test_never_trained_combinations_are_never_trained() -> None:
    never = {str(c) for c in shapes.NEVER_TRAINED}
    for examples in (batch(ModelConfig(data="shapes", condition="text"), 0, 0, 500, 0.0),
                     validation(ModelConfig(data="shapes", condition="text"), 500)):  # fmt: skip
        for example in examples:
            said = shapes.understood(" ".join(shapes.WORDS[word] for word in example[3] if word))
            assert said is not None
            assert str(said) not in never
