"""Default drawings can be read on a screen of 1280 × 720: text is 14 pixels high or more, nothing is cut or hidden."""

import math
import random
import re
from collections.abc import Callable
from statistics import median
from xml.etree import ElementTree

import pytest

import viz
from tests.viz.drawn_examples import Drawn, gpt_loss, mlp_loss, recurrent_loss
from tinygrad_edu import Value, nn, record_calls
from tinygrad_edu import functional as F
from viz.rendering.dot import Drawing
from viz.rendering.svg import width

Area = tuple[float, float, float, float]
SVG = "{http://www.w3.org/2000/svg}"


def chain(length: int) -> Value:
    y = Value(0.5, "x")
    for i in range(length):
        y = (y * 1.01).tanh() if i % 2 else y + 0.01
    return y


def diamonds(length: int) -> Value:
    y = Value(1.1, "x")
    for _ in range(length):
        y = y.tanh() + y.sin()
    return y


def lecture_expression() -> Value:
    """Return the expression of micrograd's README."""
    a, b = Value(-4.0, "a"), Value(2.0, "b")
    c, d = a + b, a * b + b**3
    c = c + c + 1
    c = c + 1 + c + (-a)
    d = d + d * 2 + (b + a).relu()
    d = d + 3 * d + (b - a).relu()
    f = (c - d) ** 2
    return f / 2.0 + 10.0 / f


def gates() -> Value:
    """Return a step of an LSTM of one number."""
    rng = random.Random(0)
    x, h, c = Value(0.7, "x"), Value(0.2, "h"), Value(-0.4, "c")
    i, f, g, o = (
        Value(rng.gauss(0, 1), f"w{k}") * x + Value(rng.gauss(0, 1), f"u{k}") * h + Value(0.1, f"b{k}") for k in "ifgo"
    )
    return o.sigmoid() * (f.sigmoid() * c + i.sigmoid() * g.tanh()).tanh()


def recurrent(width: int, steps: int = 5) -> Value:
    """Return the loss of a recurrent network written out, without modules."""
    rng = random.Random(0)
    wx = [Value(rng.gauss(0, 0.5), f"wx{i}") for i in range(width)]
    wh = [[Value(rng.gauss(0, 0.5), f"wh{i}{j}") for j in range(width)] for i in range(width)]
    h = [Value(0.1, f"h{i}_0") for i in range(width)]
    for t in range(steps):
        x = Value(math.sin(t), f"x{t}")
        h = [sum((w * v for w, v in zip(row, h, strict=True)), own * x).tanh() for own, row in zip(wx, wh, strict=True)]
    return sum((v - 1.0) ** 2 for v in h)


def twice() -> Value:
    a = Value(3.0, "a")
    return a + a


def shared() -> Value:
    a = Value(3.0, "a")
    b = a + a
    return b * b * b + a


def numbers() -> Value:
    x = Value(2.0, "x")
    return 3 * x**2 + 2 * x - 1 / x + 0.5


def cross_entropy() -> Value:
    return F.cross_entropy([Value(2.0, "z0"), Value(-1.0, "z1"), Value(0.5, "z2")], 1)


CASES: dict[str, Callable[[], Value | Drawn]] = {
    "expression of micrograd": lecture_expression,
    "twice the same": twice,
    "shared": shared,
    "numbers in a formula": numbers,
    "chain of 90": lambda: chain(60),
    "chain of 3,000": lambda: chain(2000),
    "12 diamonds": lambda: diamonds(12),
    "200 diamonds": lambda: diamonds(200),
    "gates": gates,
    "recurrent, one number": lambda: recurrent(1),
    "recurrent, two numbers": lambda: recurrent(2),
    "cross-entropy": cross_entropy,
    "modules": mlp_loss,
    "recurrent modules": recurrent_loss,
    "GPT": lambda: gpt_loss(context=3),
    "GPT with two blocks": lambda: gpt_loss(layers=2),
}


@pytest.fixture(scope="module", params=CASES)
def drawing(request: pytest.FixtureRequest) -> Drawing:
    made = CASES[request.param]()
    drawn = made if isinstance(made, Drawn) else Drawn(made)
    if made is drawn.loss:
        drawn.loss.backward()
    return viz.draw(drawn.loss, calls=drawn.calls)


def parsed(drawing: Drawing) -> tuple[ElementTree.Element, float, float]:
    root = ElementTree.fromstring(drawing.svg())
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    return root, width, height


def test_text_is_at_least_14_pixels_high_and_nothing_is_cut(drawing: Drawing) -> None:
    root, width, height = parsed(drawing)
    sizes = [float(text.attrib["font-size"]) for text in root.iter(f"{SVG}text")]
    assert median(sizes) * min(1.0, 1280 / width, 720 / height) >= 14.0
    for left, top, right, bottom in [area for kind in ("node", "words") for _, area in areas(root, kind)]:
        assert -1 <= left < right <= width + 1
        assert -1 <= top < bottom <= height + 1


def areas(root: ElementTree.Element, kind: str) -> list[tuple[ElementTree.Element, Area]]:
    """Where the elements of a class are; each begins with a rectangle or an ellipse, and the first word is its size."""
    found = []
    for element, dx, dy in walked(root):
        if element.get("class") == kind:
            x, y = moved(element)
            for shape in element.iter():
                if shape.tag == f"{SVG}rect":
                    left, top, w, h = (float(shape.attrib[name]) for name in ("x", "y", "width", "height"))
                elif shape.tag == f"{SVG}ellipse":
                    w, h = 2 * float(shape.attrib["rx"]), 2 * float(shape.attrib["ry"])
                    left, top = float(shape.attrib["cx"]) - w / 2, float(shape.attrib["cy"]) - h / 2
                else:
                    continue
                found.append((element, (dx + x + left, dy + y + top, dx + x + left + w, dy + y + top + h)))
                break
    return found


def moved(element: ElementTree.Element) -> tuple[float, float]:
    match = re.search(r"translate\(([-\d.]+)[ ,]([-\d.]+)\)", element.get("transform", ""))
    return (float(match[1]), float(match[2])) if match else (0.0, 0.0)


def walked(element: ElementTree.Element, dx: float = 0.0, dy: float = 0.0):
    """Every element with how far it is moved by those around it."""
    yield element, dx, dy
    x, y = moved(element)
    for child in element:
        yield from walked(child, dx + x, dy + y)


def points(d: str) -> list[tuple[float, float]]:
    """Points on a path, close together."""
    found: list[tuple[float, float]] = []
    for letter, rest in re.findall(r"([MLC])([^MLC]*)", d):
        corners = [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+),(-?[\d.]+)", rest)]
        if letter == "M":
            found += corners
            continue
        bends = [found[-1], *corners] if letter == "C" else [found[-1], found[-1], corners[0], corners[0]]
        for k in range(1, 21):
            t, s = k / 20, 1 - k / 20
            weights = (s**3, 3 * s * s * t, 3 * s * t * t, t**3)
            found.append(tuple(sum(w * p[i] for w, p in zip(weights, bends, strict=True)) for i in (0, 1)))  # type: ignore[arg-type]
    return found


def test_no_line_goes_through_a_box_and_every_head_points_forward(drawing: Drawing) -> None:
    root, *_ = parsed(drawing)
    boxes = [area for _, area in areas(root, "node")]
    for element, dx, dy in walked(root):
        if element.get("class") != "edge":
            continue
        for path in element.iter(f"{SVG}path"):
            for x, y in points(path.attrib["d"]):
                for left, top, right, bottom in boxes:
                    assert not (left + 1 < x + dx < right - 1 and top + 1 < y + dy < bottom - 1)
        heads = element.findall(f"{SVG}polygon")
        if element.get("data-to") and heads:  # the last one is that of the data
            (tip, _), *base = [tuple(map(float, corner.split(","))) for corner in heads[-1].attrib["points"].split()]
            backward = all(x > tip for x, _ in base)
            assert not backward or any(abs(tip + dx - right) < 1 for _, _, right, _ in boxes)


def test_words_hide_no_box_and_no_other_words(drawing: Drawing) -> None:
    root, *_ = parsed(drawing)
    words = [area for _, area in areas(root, "words")]
    for i, a in enumerate(words):
        for _, box in areas(root, "node"):
            assert hidden(a, box) < 0.04 * hidden(a, a)  # a corner
        for b in words[:i]:
            assert hidden(a, b) < 0.1 * min(hidden(a, a), hidden(b, b))


def test_words_hide_no_arrowhead(drawing: Drawing) -> None:
    root, *_ = parsed(drawing)
    words = [area for _, area in areas(root, "words")]
    for element, dx, dy in walked(root):
        if element.get("class") == "edge":
            for head in element.iter(f"{SVG}polygon"):
                xs, ys = zip(*(map(float, c.split(",")) for c in head.attrib["points"].split()), strict=True)
                whole = min(xs) + dx, min(ys) + dy, max(xs) + dx, max(ys) + dy
                assert all(hidden(whole, area) < 0.4 * hidden(whole, whole) for area in words)


def test_words_hide_no_other_line(drawing: Drawing) -> None:
    root, *_ = parsed(drawing)
    lines = [
        [(x + dx, y + dy) for path in element.iter(f"{SVG}path") for x, y in points(path.attrib["d"])]
        for element, dx, dy in walked(root)
        if element.get("class") == "edge"
    ]
    for left, top, right, bottom in [area for _, area in areas(root, "words")]:
        assert sum(any(left + 5 < x < right - 5 and top + 5 < y < bottom - 5 for x, y in line) for line in lines) <= 1


def test_words_hide_no_title_of_a_frame() -> None:
    model = nn.MLP(2, [8, 8, 1], rng=1)
    with record_calls() as calls:
        loss = F.mse([model(x) for x in [(0, 0), (0, 1), (1, 0), (1, 1)]], [0, 1, 1, 0])
    loss.backward()
    root, *_ = parsed(viz.draw(loss, calls=calls, focus=model.parameters()[5]))
    words = [area for _, area in areas(root, "words")]
    frames = [(element, dx, dy) for element, dx, dy in walked(root) if element.get("class") == "cluster"]
    assert len(frames) == 12
    for element, dx, dy in frames:
        (title,) = element.iter(f"{SVG}text")
        left, bottom = dx + float(title.attrib["x"]), dy + float(title.attrib["y"])
        whole = left, bottom - 12, left + width(title.text, bold=True), bottom + 3
        assert all(hidden(whole, area) == 0 for area in words)


def test_no_words_are_empty() -> None:
    """Several uses of one number have no ×1."""
    drawn = recurrent_loss()
    svg = viz.draw(drawn.loss, calls=drawn.calls, budget=24).svg()
    assert not re.findall(r'<g class="words"><rect[^>]*/><text[^>]*></text>', svg)


def test_what_ends_before_the_inputs_ends_with_their_numbers() -> None:
    """Where only parameters and inputs are left out, they are one box, and the picture is whole."""
    loss = recurrent(1)
    loss.backward()
    drawing = viz.draw(loss)
    assert drawing.picture.nearest is None
    assert "more Value" not in drawing.svg()


def test_what_can_be_read_in_one_row_is_not_broken() -> None:
    a, b, c, f = Value(2.0, "a"), Value(-3.0, "b"), Value(10.0, "c"), Value(-2.0, "f")
    loss = (a * b + c) * f
    loss.backward()
    assert "goes on below" not in viz.draw(loss, style="micrograd").svg()
    for direction in ("TB", "BT"):  # compact there, too
        root, _, height = parsed(viz.draw(loss, direction=direction))
        assert median(float(text.attrib["font-size"]) for text in root.iter(f"{SVG}text")) * 720 / height >= 14.0


def hidden(a: Area, b: Area) -> float:
    """The area in which they overlap."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
