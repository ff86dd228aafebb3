"""Lines and points in a pair of axes: in the right places, distinguishable, and refused with a reason."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

import viz


def places(svg, what):
    [d] = re.findall(r'<path class="line" d="([^"]*)"', svg)[what : what + 1]
    return [(c, float(x), float(y)) for c, x, y in re.findall(r"([ML])([\d.]+),([\d.]+)", d)]


def test_heights_are_proportional_and_upwards():
    line = places(viz.plot({"a": [0.0, 1.0, 4.0]}).svg(), 0)
    (_, x0, y0), (_, x1, y1), (_, x2, y2) = line
    assert x2 - x1 == pytest.approx(x1 - x0, abs=0.2)
    assert (y0 - y2) / (y0 - y1) == pytest.approx(4.0, rel=0.01)


def test_on_a_logarithmic_axis_equal_factors_are_equal_distances():
    line = places(viz.plot({"a": [1.0, 10.0, 100.0]}, log=True).svg(), 0)
    assert line[0][2] - line[1][2] == pytest.approx(line[1][2] - line[2][2], abs=0.2)


@pytest.mark.parametrize(
    ("most", "log", "tick"),
    [(40_000.0, False, "40,000"), (-250_000.0, False, "−200,000"), (0.005, False, "0.005"), (1e5, True, "100,000")],
)
def test_numbers_at_the_axes_have_no_powers_of_ten(most, log, tick):
    low = 0.001 if log else 0.0
    svg = viz.plot({"a": [(low, low), (most, most)]}, log=log).svg()
    words = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    assert tick in words
    assert not [word for word in words if re.fullmatch(r"−?[\d.]+e−?\d+", word)]


def test_nan_leaves_a_gap():
    line = places(viz.plot({"a": [1.0, float("nan"), 2.0, float("inf"), 3.0, 4.0]}).svg(), 0)
    assert [move for move, _, _ in line] == ["M", "M", "M", "L"]
    assert len(places(viz.plot({"a": [1.0, 0.0, 2.0]}, log=True).svg(), 0)) == 2


def test_the_svg_is_well_formed_for_any_names():
    chart = viz.plot({"<a & b>": [1.0]}, points={'"p"': [(0, 1)]}, title="<script>", x="&", y="<")
    root = ElementTree.fromstring(chart.svg())
    words = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"<a & b>", '"p"', "<script>"} <= set(words)
    circles = [*root.iter("{http://www.w3.org/2000/svg}circle")]
    assert len(circles) == 2  # the point, and its legend


def test_a_point_is_at_its_coordinates():
    svg = viz.plot({"line": [(0.0, 0.0), (2.0, 4.0)]}, points={"point": [(1.0, 2.0)]}).svg()
    (_, x0, y0), (_, x1, y1) = places(svg, 0)
    x, y = map(float, re.search(r'<circle cx="([\d.]+)" cy="([\d.]+)"', svg).groups())
    assert (x, y) == pytest.approx(((x0 + x1) / 2, (y0 + y1) / 2), abs=0.1)


def test_five_lines_all_look_different():
    looks = re.findall(r'd="M[\d.]+,[\d.]+h32" (.*?)/>', viz.plot({str(i): [1.0, 2.0] for i in range(5)}).svg())
    assert len(set(looks)) == 5


def test_the_file_extension_decides_the_format(tmp_path):
    chart = viz.plot({"loss": [2.0, 1.0]}, title="training")
    assert chart.save(tmp_path / "a.svg") == str(tmp_path / "a.svg")
    assert (tmp_path / "a.svg").read_text().startswith("<svg")
    assert "loss: 2 at 0, 1 at 1" in Path(chart.save(tmp_path / "a.txt")).read_text()
    with pytest.raises(viz.UnknownFormatError, match=r"unknown format: 'a.gif' must end in one of .svg"):
        chart.save(tmp_path / "a.gif")


@pytest.mark.parametrize(
    ("lines", "log", "message"),
    [
        ({}, False, "there is nothing to show"),
        ({"a": []}, False, "'a' has no point to show; give it at least one finite number"),
        ({"a": [0.0]}, True, "'a' has no point to show; give it at least one positive finite number"),
    ],
)
def test_nothing_to_show_is_an_error(lines, log, message):
    with pytest.raises(ValueError, match=message):
        viz.plot(lines, log=log)
