"""Embeddings in the plane of largest variance: every character is shown and readable."""

import math
import random
import re

import numpy as np
import pytest

import viz
from gpt.pictures.run import PicturedRun
from tests.commands import refusal
from tests.viz.charts import AWKWARD, check_words_fit, titles, words
from tinygrad_edu import Value
from viz.charts import embeddings as embeddings_module
from viz.cli import main

NODE = r'<g class="node" data-name.*?</g>'
ALPHABET = "\n !$&',-.3:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def cloud(count, size, seed=0):
    rng = random.Random(seed)
    return [[rng.gauss(0, 1 + 3 / (1 + j)) for j in range(size)] for _ in range(count)]


def marks(svg):
    """Return the center of the mark of every vector, in order."""
    found = []
    for node in re.findall(NODE, svg, re.DOTALL):
        if circle := re.search(r'cx="([\d.]+)" cy="([\d.]+)"', node):
            found.append((float(circle[1]), float(circle[2])))
        else:
            corners = [
                tuple(map(float, c)) for c in re.findall(r"([\d.]+),([\d.]+)", re.search(r'd="([^"]*)"', node)[1])
            ]
            xs, ys = zip(*corners, strict=True)
            found.append(((min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2))
    return found


@pytest.mark.parametrize(("count", "size"), [(65, 32), (5, 8), (8, 5), (2, 2)])
def test_the_plane_is_that_of_a_singular_value_decomposition(count, size):
    rows = cloud(count, size)
    centered = np.array(rows) - np.mean(rows, axis=0)
    left, scales, _ = np.linalg.svd(centered, full_matrices=False)  # another way to compute the same components
    picture = viz.embeddings(rows, ALPHABET[:count])
    for axis in (0, 1):
        expected = left[:, axis] * scales[axis]
        shown = np.array([place[axis] for place in picture.places])
        assert min(np.abs(shown - expected).max(), np.abs(shown + expected).max()) < 1e-8
        assert picture.shares[axis] == pytest.approx(scales[axis] ** 2 / np.sum(scales**2), abs=1e-9)


def test_the_same_vectors_give_the_same_picture_and_the_axes_keep_their_sign():
    rows = [[3.0, 0.1, 0.0], [-1.0, 0.2, 1.0], [0.5, -1.0, 0.3], [1.0, 2.0, -0.5]]
    assert viz.embeddings(rows).svg() == viz.embeddings([[Value(x) for x in row] for row in rows]).svg()
    turned = viz.embeddings([[-x for x in row] for row in rows])
    assert list(turned.places) == [
        pytest.approx((-x, -y)) for x, y in viz.embeddings(rows).places
    ]  # the axes stay, so the positions rotate


@pytest.mark.parametrize("seed", range(6))
def test_an_axis_points_where_its_largest_coordinate_is_positive(seed):
    rows = cloud(12, 5, seed)
    centered = np.array(rows) - np.mean(rows, axis=0)
    for axis in np.array(viz.embeddings(rows).places).T:
        direction = centered.T @ axis
        assert direction[np.argmax(np.abs(direction))] > 0


def test_marks_stand_where_their_numbers_are_on_one_scale():
    picture = viz.embeddings(cloud(65, 16), ALPHABET)
    spots = marks(picture.svg())
    assert len(spots) == 65
    (ax, ay), (bx, _) = picture.places[0], picture.places[1]
    (px, py), (qx, _) = spots[0], spots[1]
    scale = (qx - px) / (bx - ax)
    for (x, y), place in zip(spots, picture.places, strict=True):
        assert x == pytest.approx(px + scale * (place[0] - ax), abs=0.3)
        assert y == pytest.approx(py - scale * (place[1] - ay), abs=0.3)
        assert 24 < x < 924
        assert 84 < y < 704


def test_the_most_similar_pairs_have_the_largest_cosine():
    rows = cloud(20, 6, seed=3)
    picture = viz.embeddings(rows)

    def cosine(a, b):
        return np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b)

    for i, near in enumerate(picture.nearest):
        others = sorted((j for j in range(20) if j != i), key=lambda j: -cosine(rows[i], rows[j]))
        assert list(near) == others[:3]


def test_kinds_of_characters_have_different_shapes():
    picture = viz.embeddings(cloud(6, 4), ["a", "b", "A", "3", ",", "word"])
    outlines = set()  # of every mark, relative to its center, without colors
    for node, (x, y) in zip(re.findall(NODE, picture.svg(), re.DOTALL), marks(picture.svg()), strict=True):
        corners = re.findall(r"([\d.]+),([\d.]+)", re.search(r"<(circle|path)[^>]*", node)[0])
        outlines.add(tuple((round(float(a) - x), round(float(b) - y)) for a, b in corners))
    assert len(outlines) == 6
    assert {"vowels", "consonants", "capitals", "digits", "punctuation and white space", "others"} <= set(
        words(picture)
    )


@pytest.mark.parametrize("seed", range(3))
def test_every_character_is_readable(browser, tmp_path, seed):
    picture = viz.embeddings(cloud(65, 32, seed), ALPHABET, title=AWKWARD * 8)
    assert {"⏎", "␣", *ALPHABET[2:]} <= set(words(picture))
    check_words_fit(browser, picture, tmp_path)


def test_characters_at_the_same_position_are_readable(browser, tmp_path):
    rows = [[1.0, 2.0]] * 30 + [[1.5, 2.0]] * 4
    check_words_fit(browser, viz.embeddings(rows, ALPHABET[:34]), tmp_path)


def test_a_line_leads_to_a_name_far_from_its_mark_and_never_through_one():
    apart = viz.embeddings([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0]], ["a long name", "another long name", "third"])
    axes = apart.svg().count("<line")
    together = viz.embeddings([[1.0, 2.0]] * 20 + [[1.5, 2.0]], [f"name {i}" for i in range(21)])
    svg = together.svg()
    lines = [tuple(map(float, line)) for line in re.findall(r'<line x1="(.+?)" y1="(.+?)" x2="(.+?)" y2="(.+?)"', svg)]
    names = re.findall(r'<text x="([\d.]+)" y="([\d.]+)"[^>]*>name', svg)
    assert axes == 2
    assert len(lines) > 8
    assert len(names) == 21
    for _, _, x, y in lines[2:]:
        for middle, baseline in names:
            inside = abs(x - float(middle)) < 20 and abs(y - float(baseline) + 19 / 3) < 9
            assert not inside, "a line ends in the middle of a name"


def test_names_survive(browser, tmp_path):
    names = [*'{}|<>&"\\', AWKWARD, "a name that is much too long to stand beside a mark"]
    picture = viz.embeddings(cloud(10, 3), names)
    assert {*names[:9]} <= set(words(picture))
    check_words_fit(browser, picture, tmp_path)


def test_equal_vectors_and_vectors_of_one_number():
    picture = viz.embeddings([[1.0], [1.0]], "ab")
    assert picture.places == [(0.0, 0.0)] * 2
    assert picture.shares == (0.0, 0.0)
    assert viz.embeddings([[1.0], [3.0]]).places == [(-1.0, 0.0), (1.0, 0.0)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: viz.embeddings([[1.0]]), "at least two vectors to show; got 1"),
        (lambda: viz.embeddings([[1.0], [1.0, 2.0]]), r"of one length; got \[1, 2\]"),
        (lambda: viz.embeddings([[1.0], [math.nan]]), "not finite"),
        (lambda: viz.embeddings([[1.0], [2.0]], "abc"), "got 3 names and 2 vectors"),
    ],
)
def test_errors_of_charts_that_cannot_be_made(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_command(run, tmp_path, capsys):
    out = tmp_path / "e.svg"
    assert main(["embeddings", str(run), "-o", str(out)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "Embeddings of characters after step 8"
    found = PicturedRun.open(run)
    assert len(said) == found.tokenizer.vocab_size + 4
    shown = viz.embeddings(found.model.transformer.wte.weight, found.tokenizer.alphabet)
    assert titles(shown)[0].split(",")[0] in out.read_text().replace("&#x27;", "'")
    assert main(["embeddings", str(run), "--positions"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 6 + 3


def test_a_model_without_position_embeddings_is_an_error(tmp_path):
    from tests.viz import runs

    run = runs.train(tmp_path, steps=1, layers=1, positions="rotary")
    assert "has no vectors of positions" in refusal(main, "embeddings", str(run), "--positions")


@pytest.mark.parametrize("count", [300, 5_236])
def test_names_of_a_large_alphabet_are_shown_if_they_fit_and_counted_otherwise(count, monkeypatch):
    tried = []
    around = embeddings_module._around
    monkeypatch.setattr(
        embeddings_module, "_around", lambda *given: (tried.append(place) or place for place in around(*given))
    )
    names = [chr(0x4E00 + i) for i in range(count)]
    picture = viz.embeddings(cloud(count, 8), names)
    svg = picture.svg()
    assert len(tried) < 100 * count  # linear, so it does not take minutes
    assert len(svg) < 400_000
    boxes = [
        (float(x) - 10, float(y) - 16, float(x) + 10, float(y) + 3)
        for x, y, _ in re.findall(r'<text x="([\d.]+)" y="([\d.]+)"[^>]*>([\u4e00-\u9fff])<', svg)
    ]
    assert 20 < len(boxes) < count
    assert f"{count - len(boxes):,} of {count:,} names are not shown for lack of room." in " ".join(words(picture))
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            assert min(a[2], b[2]) - max(a[0], b[0]) < 0.5 or min(a[3], b[3]) - max(a[1], b[1]) < 0.5
    shown = len(re.findall(r'class="node" data-name', svg))
    dots = sum(path.count("M") for path in re.findall(r'<path d="([^"]*)"[^>]*stroke-linecap="round"', svg))
    assert shown + (dots if shown < count else 0) >= count  # a mark for each, with or without a name


def test_the_most_similar_of_thousands():
    rows = cloud(1_200, 4)  # in more than two blocks
    units = np.array(rows) / np.linalg.norm(rows, axis=1, keepdims=True)
    near = viz.embeddings(rows).nearest
    for i in (0, 511, 512, 1_199):
        order = np.argsort(-(units @ units[i]))
        assert near[i] == [j for j in order.tolist() if j != i][:3]
