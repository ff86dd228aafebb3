"""Charts as PNG and PDF: the SVG's shapes in the right places and colors, with and without ``dot``."""

import io
import re
from xml.etree import ElementTree

import pytest
from PIL import Image, ImageColor

import viz
from tests.viz.drawn_examples import gpt_loss
from viz import style
from viz.rendering import graphviz_program
from viz.rendering.graphviz_program import text
from viz.rendering.rasterize import as_dot, rasterize

genuine = pytest.mark.graphviz
either = pytest.mark.layout

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def svg(inside, size="100 50"):
    width, height = size.split()
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" width="{width}" height="{height}">{inside}</svg>'
    )


def rows_of(png):
    """Return the rows of a picture on white, each of 3·width bytes: red, green and blue."""
    image = Image.open(io.BytesIO(png)).convert("RGBA")
    flat = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB").tobytes()
    return [flat[at : at + 3 * image.width] for at in range(0, len(flat), 3 * image.width)]


def pixel(rows, x, y, scale=2 * 96 / 72):
    """Return the color at a point of the SVG: the picture is twice as large, at 96 pixels per inch."""
    row, at = rows[round(y * scale)], 3 * round(x * scale)
    return tuple(row[at : at + 3])


def shapes(inside):
    """Return for each shape the letter of its operation and its points, with the y axis of the SVG."""
    [words] = re.findall(r"_background=(.*)\]", as_dot(svg(inside)))
    found = re.findall(r"([PL]) (\d+) ([-\d. ]+)", words.replace('" + "', ""))
    numbers = [(letter, [float(n) for n in points.split()][: 2 * int(count)]) for letter, count, points in found]
    return [
        (letter, [(round(x, 1), round(50 - y, 1)) for x, y in zip(n[::2], n[1::2], strict=True)])
        for letter, n in numbers
    ]


PROGRAMS = [pytest.param("dot", marks=pytest.mark.graphviz), pytest.param("graphviz-pure", marks=pytest.mark.pure)]


@pytest.fixture(params=PROGRAMS)
def program(request, monkeypatch):
    """Use each program alone."""
    found = [p for p in graphviz_program._installed() if request.param in p.path.rpartition("/")[2]]
    monkeypatch.setattr(graphviz_program, "_installed", lambda: iter(found))
    return request.param


def test_shapes_are_in_their_places_and_colors(program):
    inside = (
        '<rect width="100%" height="100%" fill="#ffffff"/>'
        '<g transform="translate(10 0)" fill="#ff0000"><rect x="0" y="10" width="20" height="30"/></g>'
        '<circle cx="60" cy="25" r="10" fill="#0000ff"/>'
        '<line x1="80" y1="0" x2="80" y2="50" stroke="#0000ff" stroke-width="4"/>'
    )
    rows = rows_of(rasterize(svg(inside), "png"))
    assert len(rows) == pytest.approx(50 * 8 / 3, abs=1)
    assert len(rows[0]) / 3 == pytest.approx(100 * 8 / 3, abs=1)
    assert [pixel(rows, 20, 25), pixel(rows, 60, 25), pixel(rows, 80, 25)] == [RED, BLUE, BLUE]
    for x, y in ((5, 25), (35, 25), (20, 5), (20, 45), (60, 10), (73, 25), (85, 25)):
        assert pixel(rows, x, y) == WHITE, (x, y)


@pytest.mark.parametrize(("anchor", "where"), [("start", (50, 90)), ("middle", (30, 70)), ("end", (10, 50))])
@pytest.mark.parametrize("weight", ["", ' font-weight="bold"'])
def test_text_is_placed_at_its_anchor(program, anchor, where, weight):
    inside = '<rect width="100%" height="100%" fill="#ffffff"/>'
    inside += f'<text x="50" y="30" font-size="16" text-anchor="{anchor}" fill="#000000"{weight}>HHH</text>'
    rows = rows_of(rasterize(svg(inside), "png"))
    dark = [
        (x * 3 / 8, y * 3 / 8)
        for y, row in enumerate(rows)
        for x in range(len(row) // 3)
        if max(row[3 * x : 3 * x + 3]) < 128
    ]
    left, right = min(x for x, _ in dark), max(x for x, _ in dark)
    assert where[0] - 1 < left
    assert right < where[1] + 1
    assert right - left > 20
    assert max(y for _, y in dark) == pytest.approx(30, abs=0.8)  # capitals are on the baseline


def test_colors_have_no_background_and_half_opacity_is_half(program):
    inside = '<rect width="100%" height="100%" fill="#ffffff"/>'
    inside += '<g opacity="0.5"><rect width="50" height="50" fill="#ff0000"/></g>'
    rows = rows_of(rasterize(svg(inside), "png"))
    assert pixel(rows, 25, 25) == pytest.approx((255, 127, 127), abs=2)


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ('<path d="M10,10h5v5l-5,5Z" fill="#000000"/>', [("P", [(10, 10), (15, 10), (15, 15), (10, 20), (10, 10)])]),
        (
            '<path d="M1 2 3 4M5,6L7,8" fill="none" stroke="#000000"/>',
            [("L", [(1, 2), (3, 4)]), ("L", [(5, 6), (7, 8)])],
        ),
        ('<path d="M10-10L1e1.5" fill="none" stroke="#000000"/>', [("L", [(10, -10), (10, 0.5)])]),
        ('<polygon points="0,0 10,0 0,10" fill="#000000"/>', [("P", [(0, 0), (10, 0), (0, 10), (0, 0)])]),
        (
            '<g transform="translate(5,5) scale(2)"><line x1="0" y1="0" x2="1" y2="2" stroke="#000000"/></g>',
            [("L", [(5, 5), (7, 9)])],
        ),
        (
            '<line transform="rotate(90 10 10)" x1="10" y1="10" x2="20" y2="10" stroke="#000000"/>',
            [("L", [(10, 10), (10, 20)])],
        ),
        (
            '<line x1="0" y1="5" x2="20" y2="5" stroke="#000000" stroke-dasharray="6 4"/>',
            [("L", [(0, 5), (6, 5)]), ("L", [(10, 5), (16, 5)])],
        ),
        ('<rect width="5" height="5" fill="none"/><title>words</title><style>x</style>', []),
    ],
)  # fmt: skip
def test_outlines(inside, expected):
    assert shapes(inside) == expected


def test_a_curve_goes_through_its_ends_and_is_curved():
    [(_, points)] = shapes('<path d="M0,0C0,20 20,20 20,0" fill="none" stroke="#000000"/>')
    assert (points[0], points[-1]) == ((0, 0), (20, 0))
    assert (10.0, 15.0) in points  # the middle, by hand: (0 + 3·20 + 3·20 + 0) / 8


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ('<image href="x"/>', "<image> cannot be written as .png or .pdf; save as .svg or .html"),
        ('<text transform="rotate(-90)">up</text>', "rotated text ('up') cannot be written as .png or .pdf"),
        ('<rect width="1" height="1" fill="red"/>', "'red' cannot be written as .png or .pdf; write it as #rrggbb"),
        ('<path d="M0,0A5,5 0 0 1 9,9"/>', "the path command 'A' cannot be written"),
        ('<g transform="skewX(3)"/>', "the transform 'skewX' cannot be written"),
    ],
)  # fmt: skip
def test_unsupported_svg_is_named(inside, message):
    with pytest.raises(viz.DrawingError, match=re.escape(message)):
        as_dot(svg(inside))


CHART = {"loss <&> \\N {x}": [3.0, 2.0, 1.0], "b": [1.0, 2.0]}


@pytest.mark.parametrize("format", ["png", "pdf"])
def test_a_chart_is_written(program, format, tmp_path):
    chart = viz.plot(CHART, points={"p": [(1, 1)], "q": [(1, 2)]}, title="Loss", x="step", y="nats")
    if (program, format) == ("graphviz-pure", "pdf"):
        with pytest.raises(
            viz.LayoutError, match=r"only dot itself can write pdf; install Graphviz .*, or save as \.svg$"
        ):
            chart.save(tmp_path / "loss.pdf")
        assert not list(tmp_path.iterdir())
        return
    path = tmp_path / f"loss.{format}"
    assert chart.save(path) == str(path)
    assert path.read_bytes().startswith({"png": b"\x89PNG", "pdf": b"%PDF"}[format])


def test_a_chart_of_any_length_is_written(program, tmp_path):
    """Some versions of dot read no strings longer than 16,384 characters."""
    chart = viz.plot({"long": [float(i % 7) for i in range(3000)]})
    [line] = re.findall(r'class="line" d="M([^"]*)"', chart._drawn())
    points = [tuple(map(float, point.split(","))) for point in line.split(" L")]
    assert len(points) == 3000
    rows = rows_of(rasterize(chart._drawn(), "png"))
    blue = ImageColor.getrgb(style.POSITIVE)
    assert all(blue in {pixel(rows, x, y + off) for off in (-1, 0, 1)} for x, y in points)
    assert pixel(rows, points[0][0] - 10, 240.0) != blue != pixel(rows, points[-1][0] + 10, 240.0)


def test_without_any_program_the_fix_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(graphviz_program, "_installed", lambda: iter(()))
    chart = viz.plot(CHART)
    message = r"no program that lays out graphs was found; install Graphviz .*, or pip install graphviz-pure, "
    message += r"or save as \.svg"
    with pytest.raises(viz.LayoutError, match=message):
        chart.save(tmp_path / "loss.png")
    chart.save(tmp_path / "loss.svg")  # needs no program
    assert [p.name for p in tmp_path.iterdir()] == ["loss.svg"]


def every_chart():
    """Return one chart of each kind."""
    drawn = gpt_loss()
    flow = viz.flow(drawn.loss, calls=drawn.calls)
    plane = viz.boundary(lambda p: p[0] - p[1], [(0, 0), (1, 0)], [0, 1], title="plane")
    return [
        viz.plot(CHART),
        flow,
        viz.flow_over([flow, flow]),
        viz.attention([[1.0], [0.25, 0.75]], ["a", "\n"]),
        plane,
        viz.boundaries([plane, plane]),
        viz.loss_curve([3.0, 2.0], baselines={"bigram": 2.4}),
        viz.embeddings([[1.0, 2.0], [0.0, 1.0], [2.0, 1.0]], ["a", " ", "\n"]),
        viz.histogram(drawn.calls),
        viz.next_characters({"model": [0.5, 0.3, 0.2], "top-k 2": [0.6, 0.4, 0.0]}, "ab\n"),
        viz.arrows({"t = 0": lambda p: p, "t = 1": lambda p: [p[1], 0.0]}, points={"t = 1": [(0.5, 1.0)]}, title="f"),
        viz.pictures({"noise": [[0.3, -0.4, 1.0, -1.0]] * 2, "": [[[1.0]]]}, columns=["a", "b"], title="strip"),
    ]


def test_every_kind_of_chart_is_understood():
    for chart in every_chart():
        source = as_dot(chart._drawn())
        for words in ElementTree.fromstring(chart._drawn()).iter("{http://www.w3.org/2000/svg}text"):
            if (words.text or "").strip():
                assert f">{text(words.text)}<" in source
