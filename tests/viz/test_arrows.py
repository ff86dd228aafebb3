"""Fields of arrows: each arrow begins at its place, points where the field says, and all share one unit."""

import math
import re

import pytest

import viz
from tests.viz.charts import AWKWARD, check_words_fit, words
from tinygrad_edu import Value


def shafts(svg):
    """Return the arrows of every panel, in points: (x, y, to the right, down)."""
    found = re.findall(r'<path d="((?:M[\d.,-]+L[\d.,-]+)+)" fill="none"', svg)
    numbers = [[float(n) for n in re.findall(r"-?[\d.]+", path)] for path in found]
    return [
        [(a, b, c - a, d - b) for a, b, c, d in zip(*(some[i::4] for i in range(4)), strict=True)] for some in numbers
    ]


def test_arrows_begin_at_their_places_and_are_as_long_as_the_field_says():
    [panel] = shafts(viz.arrows(lambda p: [p[0], 2.0 * p[1]], bounds=((-1, 1), (-1, 1)), resolution=4).svg())
    assert len(panel) == 16
    # The plane is 300 points wide; four arrows stand in the middle of its fourths.
    assert sorted({round(x - panel[0][0]) for x, _, _, _ in panel}) == [0, 75, 150, 225]
    middles = [-0.75, -0.25, 0.25, 0.75]
    expected = [(x, -2.0 * y) for y in middles for x in middles]  # down is positive in a picture
    unit = 0.9 * 75 / math.hypot(0.75, 1.5)
    for (_, _, right, down), (a, b) in zip(panel, expected, strict=True):
        assert (right, down) == pytest.approx((a * unit, b * unit), abs=0.11)


def test_moments_share_one_unit_also_on_the_page(tmp_path):
    fields = {"slow": lambda p: [1.0, 0.0], "fast": lambda p: [Value(2.0), Value(0.0)]}
    chart = viz.arrows(fields, resolution=3)
    slow, fast = shafts(chart.svg())
    assert [round(arrow[2], 1) for arrow in (slow[0], fast[0])] == [45.0, 90.0]
    chart.save(tmp_path / "field.html")
    page = (tmp_path / "field.html").read_text(encoding="utf-8").replace("\\u003c", "<").replace('\\"', '"')
    assert [round(panel[0][2], 1) for panel in shafts(page)] == [45.0, 90.0]
    assert "the longest arrow: 2" in words(chart)


def test_points_are_at_their_coordinates_and_those_outside_are_left_out():
    given = {"now": [(0.0, 0.0), (1.0, 2.0), (3.0, 0.0)]}
    svg = viz.arrows({"now": lambda p: p}, points=given).svg()
    (x0, y0), (x1, y1) = [map(float, place) for place in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', svg)]
    assert (x1 - x0, y0 - y1) == pytest.approx((75.0, 150.0), abs=0.2)


def test_as_text_it_shows_directions_and_points():
    shown = viz.arrows({"a": lambda p: [1.0, 0.0]}, points={"a": [(1.9, 1.9)]}, resolution=2, title="East")
    assert str(shown).split("\n") == ["East", "", "a", "→ ●", "→ →", "", "the longest arrow: 1; ● points"]
    still = viz.arrows(lambda p: [0.0, 0.0], resolution=2)
    assert "· ·" in str(still)
    assert all(arrow[2:] == (0.0, 0.0) for arrow in shafts(still.svg())[0])


def test_text_stays_inside(browser, tmp_path):
    fields = dict.fromkeys([AWKWARD, "t = 0.25", "t = 0.5", "t = 1"], lambda p: p)
    check_words_fit(browser, viz.arrows(fields, title=AWKWARD * 5, bounds=((-100, 100), (-0.001, 0.001))), tmp_path)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: viz.arrows({}), "expected a function of two numbers"),
        (lambda: viz.arrows(lambda p: 1.0), "expected two finite numbers, got 1.0"),
        (lambda: viz.arrows(lambda p: [math.nan, 0.0]), r"expected two finite numbers, got \[nan, 0.0\]"),
        (lambda: viz.arrows(lambda p: p, resolution=1), "resolution must be from 2 to 60, got 1"),
        (lambda: viz.arrows(lambda p: p, bounds=((1, 0), (0, 1))), "bounds must be two ranges that rise"),
        (lambda: viz.arrows({"a": lambda p: p}, points={"b": []}), "points for 'b', but no field of this name"),
    ],
)
def test_errors_of_fields_that_cannot_be_drawn(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()
