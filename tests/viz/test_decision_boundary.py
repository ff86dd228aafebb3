"""Decision boundaries: the drawing matches the model, and can be read without color."""

import math
import random
import re

import pytest

import viz
from tests.commands import refusal
from tests.viz.charts import AWKWARD, check_words_fit, words
from tinygrad_edu import Value, nn
from viz.charts.decision_boundary import _region
from viz.cli import main


def paths(svg, fill):
    """Return the areas of one color as polygons."""
    [d] = re.findall(rf'<path d="([^"]*)" fill="{fill}" fill-opacity', svg)
    return [
        [tuple(map(float, corner.split(","))) for corner in outline.removesuffix("Z").split("L")]
        for outline in d.split("M")[1:]
    ]


def area(polygon):
    pairs = zip(polygon, [*polygon[1:], polygon[0]], strict=True)
    return abs(sum(ax * by - bx * ay for (ax, ay), (bx, by) in pairs)) / 2


def boundary_lines(svg):
    [d] = re.findall(r'<path d="([^"]*)" fill="none" stroke="#1a1a1a" stroke-width="3"', svg)
    return [tuple(map(float, re.split("[,L]", piece))) for piece in d.split("M")[1:]]


SIDE = 400.0


def test_a_straight_boundary_is_in_the_right_place():
    svg = viz.boundary(lambda p: p[0] + 2 * p[1], bounds=((-1, 1), (-1, 1)), threshold=0.5).svg()
    lines = boundary_lines(svg)
    assert len(lines) >= 48
    for x1, y1, x2, y2 in lines:
        for x, y in ((x1, y1), (x2, y2)):
            a, b = (x - 66) / SIDE * 2 - 1, 1 - (y - 70) / SIDE * 2
            assert a + 2 * b == pytest.approx(0.5, abs=0.002)


def test_the_areas_are_those_of_the_model_and_fill_the_plane():
    svg = viz.boundary(lambda p: 0.64 - p[0] ** 2 - p[1] ** 2, bounds=((-1, 1), (-1, 1)), threshold=0.0).svg()
    inside, outside = (sum(map(area, paths(svg, fill))) / SIDE**2 for fill in ("#0072B2", "#D55E00"))
    assert inside == pytest.approx(math.pi * 0.64 / 4, rel=0.003)
    assert inside + outside == pytest.approx(1.0, abs=1e-4)


def test_a_saddle_fills_the_plane_once():
    svg = viz.boundary(lambda p: p[0] * p[1] - 0.01, bounds=((-1, 1), (-1, 1)), threshold=0.0, resolution=3).svg()
    total = sum(area(p) for fill in ("#0072B2", "#D55E00") for p in paths(svg, fill)) / SIDE**2
    assert total == pytest.approx(1.0, abs=1e-3)  # neither a gap nor the middle twice


@pytest.mark.parametrize("middle", [-0.3, 0.3])
@pytest.mark.parametrize("turned", [1, -1])
def test_in_a_saddle_the_corners_are_joined_where_the_middle_is(middle, turned):
    places = [[(0.0, 0.0), (1.0, 0.0)], [(0.0, 1.0), (1.0, 1.0)]]
    ahead = [[turned + middle, -turned + middle], [-turned + middle, turned + middle]]
    polygons, lines = _region(places, ahead)
    along = (1.0 - abs(middle)) / 2  # from a corner of the other sign, or of this one, to where the edges cross 0
    if middle > 0.0:
        assert [len(polygon) for polygon in polygons] == [6]
        assert area(polygons[0]) == pytest.approx(1.0 - along**2)
    else:
        assert [len(polygon) for polygon in polygons] == [3, 3]
        assert sum(map(area, polygons)) == pytest.approx(along**2)
    assert len(lines) == 2
    for (x1, y1), (x2, y2) in lines:  # around one corner
        assert abs(x1 - x2) == pytest.approx(along)
        assert abs(y1 - y2) == pytest.approx(along)


def test_scores_are_the_model_s_answers_at_every_place():
    model = nn.MLP(2, [3, 1], rng=random.Random(1))
    picture = viz.boundary(model, [(0, 0), (1, 2)], [-1, 1], resolution=4)
    for i, b in enumerate(picture.up):
        for j, a in enumerate(picture.across):
            assert picture.scores[i][j] == (-model([a, b]).data, model([a, b]).data)


def test_the_largest_of_several_scores_wins():
    picture = viz.boundary(
        lambda p: [p[0], p[1], Value(-p[0] - p[1])], [(1, 0), (0, 1), (-1, -1), (1, 0.5)], [0, 1, 2, 1]
    )
    assert picture.right == 3
    rows = str(picture).splitlines()
    assert "3 of 4 on the right side" in rows
    assert (rows[0][0], rows[19][-1], rows[19][0]) == ("+", "·", "^")


@pytest.mark.parametrize(
    ("labels", "cut"), [([0, 1], 0.5), ([-1, 1], 0.0), ([3, 7], 5.0), ([1, 1], 0.5), ([-1, -1], 0)]
)
def test_the_threshold_is_halfway_between_the_labels(labels, cut):
    picture = viz.boundary(lambda p: p[0], [(0, 0), (1, 1)], labels, resolution=2)
    assert [s[1] for s in picture.scores[0]] == [a - cut for a in picture.across]


def test_examples_on_the_wrong_side_have_a_ring():
    picture = viz.boundary(lambda p: p[0], [(-1, 0), (1, 0), (2, 0), (-2, 0)], [-1, 1, -1, -1])
    assert picture.wrong == [2]
    rings = re.findall(r"<title>([^<]*)</title>(?:(?!</g>).)*class=\"wrong\"", picture.svg())
    assert rings == ["(2, 0): label −1"]
    assert "3 of 4 on the right side; a ring is around the others" in words(picture)


def test_the_model_is_not_changed():
    model = nn.MLP(2, [3, 1], rng=random.Random(1))
    model.train()
    model([1.0, 2.0]).backward()
    before = [p.grad for p in model.parameters()]
    viz.boundary(model, [(0, 0), (1, 2)], [0, 1], resolution=3)
    assert model.training
    assert [p.grad for p in model.parameters()] == before


def test_without_colors_the_regions_and_the_examples_differ():
    svg = viz.boundary(lambda p: p[0], [(0, 0), (1, 0)], [-1, 1]).svg()
    gray = re.sub("#0072B2|#D55E00", "#777777", svg)
    marks = re.findall(r'<path d="([^"]*)" fill="none" stroke="#777777"', gray)
    lengths = {round(sum(map(float, re.findall(r"[\d.]+", m.split("M")[1].split("L")[0]))), 3) for m in marks[:2]}
    assert (len(marks), len(lengths)) == (4, 2)  # two regions and their samples in the key
    assert gray.count("<circle") == 2  # one example and its sample are round, those of the other class are squares


def test_frames_stand_side_by_side_and_become_a_page_with_a_slider(browser, tmp_path):
    frames = [viz.boundary(lambda p, w=w: p[0] - w, [(0, 0), (1, 0)], [0, 1], title=f"step {w}") for w in (0, 1, 2)]
    both = viz.boundaries(frames)
    assert [w for w in words(both) if w.startswith("step")] == ["step 0", "step 1", "step 2"]
    check_words_fit(browser, both, tmp_path)
    browser.open(viz.boundaries(frames).save(tmp_path / "b.html") and (tmp_path / "b.html").as_uri())
    title = "document.querySelector('main text').textContent"
    assert browser.evaluate(title) == "step 0"
    browser.evaluate("document.querySelector('input').focus()")
    browser.key("ArrowRight")
    browser.wait_for(f"{title} === 'step 1'")
    assert browser.evaluate("$('shown').textContent") == "moment step 1"
    browser.key("PageDown")
    browser.wait_for(f"{title} === 'step 2'")
    assert browser.console == []
    assert len(browser.requests) == 1
    browser.open((tmp_path / "b.html").as_uri() + "#1")
    assert browser.evaluate(title) == "step 1"


def test_text_stays_inside_and_survives(browser, tmp_path):
    names = [AWKWARD, "a class with a rather long name, of which there is more"]
    chart = viz.boundary(
        lambda p: p[0],
        [(-1000, 0), (12345.678, 1e-5)],
        [0, 1],
        title=AWKWARD * 3,
        x=AWKWARD,
        y=AWKWARD * 2,
        classes=names,
    )
    assert {AWKWARD, AWKWARD * 2, AWKWARD * 3} <= set(words(chart))
    check_words_fit(browser, chart, tmp_path)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: viz.boundary(lambda p: p[0], [(0, 0)], [0, 1]), "1 points and 2 labels"),
        (lambda: viz.boundary(lambda p: p[0], [(0, 0, 0)], [0]), "two numbers; got 3"),
        (lambda: viz.boundary(lambda p: p[0], [(0, 0)] * 3, [0, 1, 2]), "tells two labels apart; got 3"),
        (lambda: viz.boundary(lambda p: [p[0]] * 2, [(0, 0)], [2]), "2 outputs must be 0 to 1"),
        (lambda: viz.boundary(lambda p: [p[0]] * 2, threshold=1.0), "a model with one output"),
        (lambda: viz.boundary(lambda p: [p[0]] * 9), "1 to 5 numbers for a point; it gave 9"),
        (lambda: viz.boundary(lambda p: math.nan), "not finite"),
        (lambda: viz.boundary(lambda p: p[0], bounds=((1, 0), (0, 1))), "two ranges that rise"),
        (lambda: viz.boundary(lambda p: p[0], resolution=1), "from 2 to 500, got 1"),
        (lambda: viz.boundary(lambda p: p[0], classes=["a"]), "2 classes to name; got 1"),
        (lambda: viz.boundaries([]), "at least one boundary"),
    ],
)
def test_errors_of_charts_that_cannot_be_made(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_command(tmp_path, capsys):
    points = tmp_path / "points.csv"
    points.write_text("x,y,label\n1,0,1\n-1,0.5,0\n")
    out = tmp_path / "b.svg"
    assert main(["boundary", "w*x - y", "w=3", "--points", str(points), "-o", str(out)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "w*x - y"
    assert said[-2:] == ["2 of 2 on the right side", f"Wrote {out}"]
    assert out.read_text().startswith("<svg")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x*y*z"], "has 3 open (x, y, z); give every other name a number"),
        (["x + 1"], "has 1 open (x)"),
        (["x*y", "--points", "nowhere.csv"], "nowhere.csv cannot be read: No such file"),
        (["x*y", "--range", "2", "1"], "two ranges that rise"),
        (["log(x*y)"], "needs a positive number"),
    ],
)
def test_errors_of_the_command(arguments, message):
    assert message in refusal(main, "boundary", *arguments)


def test_an_invalid_line_of_the_examples_is_named(tmp_path):
    points = tmp_path / "points.csv"
    points.write_text("1 0 1\n1 b 0\n")
    assert "line 2: expected two numbers and a label, such as 0.5, 1.2, 1; got '1 b 0'" in refusal(
        main, "boundary", "x-y", "--points", str(points)
    )
