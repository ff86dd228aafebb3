"""Small pictures in rows: every pixel has its shade at its place, in the picture and as text."""

import random
import re

import pytest

import viz
from tests.viz.charts import AWKWARD, check_words_fit, titles, words
from tinygrad_edu import Value


def pixels(svg, side):
    """Return the shades, from 0 to 15, that the parts of each picture paint, row by row from the top."""
    found = []
    for group in re.findall(r'<g class="node"[^>]*>(.*?)</g>', svg):
        shades = [[0] * side for _ in range(side)]
        for d, rest in re.findall(r'<path d="([^"]*)" fill="[^"]*"([^/]*)/>', group):
            level = round(15 * float(re.search(r'fill-opacity="([\d.]+)"', rest)[1])) if rest else 15
            for area in d.split("Z")[:-1]:
                x0, y0, x1, _, _, y1 = [float(n) * side / 88.0 for n in re.findall(r"[\d.]+", area)][:6]
                for x in range(round(x0), round(x1)):
                    assert shades[round(y0)][x] == 0
                    shades[round(y0)][x] = level
                assert round(y1) == round(y0) + 1
        found.append(shades)
    return found


@pytest.mark.parametrize("seed", range(3))
def test_every_pixel_has_its_shade(seed):
    rng = random.Random(seed)
    given = [[rng.uniform(-1.5, 1.5) for _ in range(64)] for _ in range(2)]
    svg = viz.pictures({"a row": given}).svg()
    expected = [
        [[round(15 * min(1.0, max(0.0, (x + 1.0) / 2.0))) for x in p[i : i + 8]] for i in range(0, 64, 8)]
        for p in given
    ]
    assert pixels(svg, 8) == expected


def test_low_and_high_are_chosen_and_names_are_where_they_belong():
    chart = viz.pictures(
        {"one": [[[0.0, 0.25]], [[Value(0.5), 1.0]]]}, columns=["a", "b"], low=0.0, high=0.5, title="T"
    )
    assert words(chart) == ["T", "a", "b", "one", "empty: 0, full of ink: 0.5"]
    assert titles(chart) == ["one, a: from 0 to 0.25", "one, b: from 0.5 to 1"]
    assert re.findall(r'fill-opacity="([\d.]+)"', chart.svg()) == ["0.533"]  # 8 of 15; the others are empty or full
    assert str(chart) == "T\n\none\na     b\n  ==  @@@@"


def test_text_stays_inside(browser, tmp_path):
    rows = {AWKWARD * 2: [[0.1] * 4] * 3, "": [[-1.0, 1.0, 0.0, 1.0]]}
    check_words_fit(browser, viz.pictures(rows, columns=["word", AWKWARD, "left"], title=AWKWARD * 5), tmp_path)
    unnamed = viz.pictures({"": [[[0.1] * 4] * 4] * 2}, columns=["a very long name of a column", "left"])
    check_words_fit(browser, unnamed, tmp_path)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: viz.pictures({}), "at least one row"),
        (lambda: viz.pictures({"a": []}), "row 'a' has no pictures"),
        (lambda: viz.pictures({"a": [[1.0, 2.0]]}), "row 'a': 2 numbers are no square picture"),
        (lambda: viz.pictures({"a": [[[1.0, 2.0], [1.0]]]}), "the rows of a picture are equally long"),
        (lambda: viz.pictures({"a": [[float("nan")]]}), "pixels of a picture are finite numbers"),
        (lambda: viz.pictures({"a": [3.0]}), "a picture is a list of rows of numbers, got 3.0"),
        (lambda: viz.pictures({"a": [[1.0]]}, columns=["b", "c"]), "there are 1 columns to name; got 2 names"),
        (lambda: viz.pictures({"a": [[1.0]]}, low=1.0), "low less than high; got 1.0 and 1.0"),
    ],
)
def test_errors_of_pictures_that_cannot_be_drawn(call, message):
    with pytest.raises(ValueError, match=message):
        call()
