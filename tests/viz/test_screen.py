"""Pictures for screens: light and dark, numbers in attributes, the page around a picture, the projector preset."""

import re
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

import viz
from tests.viz.browser import Browser
from tests.viz.drawn_examples import Drawn, broken_loss, expression
from viz import style
from viz.rendering import beamer, theme

pytestmark = pytest.mark.layout


def luminance(color: str) -> float:
    """Return the relative luminance of WCAG 2.2."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(a: str, b: str) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def test_every_color_of_a_picture_has_a_dark_version(gpt: Drawn) -> None:
    known = {light.lower() for light, _ in style.THEMES.values()} | {"none", "transparent", "white", "black"}
    for drawing in (viz.draw(expression()), viz.draw(gpt.loss, calls=gpt.calls, budget=60)):
        svg = drawing.render_bytes("svg").decode()
        assert {color.lower() for color in re.findall(r'(?:fill|stroke)="([^"]*)"', svg)} <= known


@pytest.mark.parametrize("side", [0, 1])
def test_text_is_readable_on_its_background(side: int) -> None:
    color = {name: pair[side] for name, pair in style.THEMES.items()}
    for ground in ("paper", "leaf", "leaf-tab", "value-tab", "idiom", "idiom-tab", "module", "module-tab", "frame-2"):
        assert contrast(color["ink"], color[ground]) >= 4.5, ground
    for ground in ("paper", "leaf", "idiom", "module"):
        assert contrast(color["faint"], color[ground]) >= 4.5, ground
    for level, pair in enumerate(style.SURPRISE):
        assert contrast(*pair[side]) >= 4.5, level


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_word_of_a_picture_is_readable_where_it_stands(gpt: Drawn, theme: str) -> None:
    """Measured on what is drawn: the fill of the last shape below the middle of each word."""
    model = broken_loss()
    for drawing in (
        viz.draw(expression(), theme=theme),
        viz.draw(gpt.loss, calls=gpt.calls, budget=60, theme=theme),
        viz.draw(model.loss, calls=model.calls, budget=60, theme=theme),
        viz.draw(gpt.loss, calls=gpt.calls, direction="wrapped", budget=24, theme=theme),
    ):
        checked = 0
        for x, y, word, color, ground in words_and_grounds(drawing.svg()):
            assert contrast(color, ground) >= 4.5, (word, color, ground, x, y)
            checked += 1
        assert checked > 20


def words_and_grounds(svg: str) -> Iterator[tuple[float, float, str, str, str]]:
    """Every word, its place and color, and the color of the topmost rectangle or ellipse below it."""
    shapes: list[tuple[float, float, float, float, str]] = []

    def walk(element: ET.Element, dx: float, dy: float) -> Iterator[tuple[float, float, str, str, str]]:
        move = re.match(r"translate\(([-\d.]+)[ ,]+([-\d.]+)\)", element.get("transform", ""))
        if move:
            dx, dy = dx + float(move[1]), dy + float(move[2])
        kind, get = element.tag.rpartition("}")[2], lambda name: float(element.get(name, "0").replace("100%", "9e9"))
        if kind == "rect":
            x, y = dx + get("x"), dy + get("y")
            shapes.append((x, y, x + get("width"), y + get("height"), element.get("fill", "")))
        elif kind == "ellipse":
            x, y, rx, ry = dx + get("cx"), dy + get("cy"), get("rx"), get("ry")
            shapes.append((x - rx, y - ry, x + rx, y + ry, element.get("fill", "")))
        elif kind == "text":
            x, y = dx + get("x"), dy + get("y") - 0.3 * get("font-size")
            ground = next(s[4] for s in reversed(shapes) if s[0] - 1 <= x <= s[2] + 1 and s[1] <= y <= s[3])
            yield x, y, element.text or "", element.get("fill", ""), ground
        for child in element:
            yield from walk(child, dx, dy)

    yield from walk(ET.fromstring(svg), 0.0, 0.0)


def test_full_numbers_are_in_attributes() -> None:
    loss = expression()
    svg = viz.draw(loss).svg()
    root = ET.fromstring(svg[svg.index("<svg") :])
    boxes = [g.attrib for g in root.iter("{http://www.w3.org/2000/svg}g") if g.get("class") == "node"]
    (result,) = [box for box in boxes if box.get("data-name") == loss.label]
    assert float(result["data-value"]) == loss.data
    assert float(result["data-grad"]) == loss.grad
    assert sum(int(box["data-count"]) for box in boxes) == viz.draw(loss).picture.total


def test_folded_counts_add_up(gpt: Drawn) -> None:
    drawing = viz.draw(gpt.loss, calls=gpt.calls, budget=40)
    counts = [int(count) for count in re.findall(r'data-count="(\d+)"', drawing.svg())]
    assert sum(counts) == drawing.picture.total


def test_hostile_names_stay_text() -> None:
    loss = expression()
    loss.label = "</style><script>\"'&<b>"
    svg = viz.draw(loss).svg()
    root = ET.fromstring(svg[svg.index("<svg") :])
    assert loss.label in {g.get("data-name") for g in root.iter()}
    assert "<script" not in svg


def test_beamer(gpt: Drawn) -> None:
    for drawing in (
        viz.draw(expression(), preset="beamer"),
        viz.draw(gpt.loss, calls=gpt.calls, preset="beamer", direction="wrapped"),
    ):
        assert len(drawing.picture.boxes) <= 40
        assert beamer.text_height(drawing.render_bytes("svg").decode()) >= 24
    for color in style.BEAMER.values():
        for ground in (style.PAPER, style.LEAF, style.VALUE, style.IDIOM, style.MODULE):
            assert contrast(color, ground) >= 7
    with pytest.raises(ValueError, match=r"unknown preset: 'wall' \(must be one of beamer\)"):
        viz.draw(expression(), preset="wall")


def test_the_text_height_is_that_of_the_screen() -> None:
    svg = '<svg viewBox="0.00 0.00 960.00 200.00"><text font-size="13.00"/><text font-size="16.00"/></svg>'
    assert beamer.text_height(svg) == 26.0  # twice as wide on the screen


def test_a_theme_needs_no_picture() -> None:
    assert 'class="tinygrad"><style>' in theme.themed('<svg width="1"></svg>')


@pytest.mark.browser
def test_the_page(tmp_path: Path) -> None:
    loss = expression()
    viz.draw(loss).save(tmp_path / "L.html")
    browser = Browser(tmp_path / "profile")
    try:
        browser.open((tmp_path / "L.html").as_uri())
        click = f"document.querySelector('g.node[data-name={loss.label}]').dispatchEvent(new MouseEvent('click'))"
        browser.evaluate(click)
        assert f"data {loss.data!r} · grad {loss.grad!r}" in browser.evaluate(
            "document.querySelector('#facts').textContent"
        )
        before = browser.evaluate("document.querySelector('main > svg').getBoundingClientRect().width")
        browser.evaluate("document.querySelector('#in').click()")
        assert browser.evaluate("document.querySelector('main > svg').getBoundingClientRect().width") > before
        # Zooming keeps the point below the pointer.
        box = f"document.querySelector('g.node[data-name={loss.label}]').getBoundingClientRect()"
        corner = f"(() => {{ const r = {box}; return [r.left, r.top]; }})()"
        x, y = browser.evaluate(corner)
        wheel = (
            f"new WheelEvent('wheel', {{ctrlKey: true, deltaY: -200, clientX: {x}, clientY: {y}, cancelable: true}})"
        )
        browser.evaluate(f"document.querySelector('main').dispatchEvent({wheel})")
        assert browser.evaluate(corner) == pytest.approx([x, y], abs=2)
        # What is next to a box is highlighted; a line says its numbers; operations are found.
        browser.evaluate("document.querySelector('g.node').dispatchEvent(new PointerEvent('pointerenter'))")
        near = "[...document.querySelectorAll('g.node.near')].map(node => node.dataset.name)"
        assert browser.evaluate(near) == ["a", "e"]
        browser.evaluate("document.querySelector('g.edge').dispatchEvent(new MouseEvent('click'))")
        assert "a → e: local derivative -3.0" in browser.evaluate("document.querySelector('#facts').textContent")
        find = "(() => {{ const f = document.querySelector('#find'); f.value = '{}'; f.oninput(); }})()"
        browser.evaluate(find.format("×"))
        assert browser.evaluate("document.querySelector('#hits').textContent") == "1 of 2"
        browser.evaluate("document.querySelector('#theme').click()")
        dark = browser.evaluate("getComputedStyle(document.querySelector('main > svg > rect')).fill")
        assert dark == "rgb(22, 24, 27)"  # the paper's dark color
        assert browser.console == []
        assert [url for url in browser.requests if not url.startswith(("file:", "data:"))] == []
    finally:
        browser.close()
        shutil.rmtree(tmp_path / "profile", ignore_errors=True)


def test_no_page_defines_its_own_color_of_positive_and_negative() -> None:
    """Colors are defined only in style.py: style sheets once had a second vermillion."""
    names = ("positive", "negative", "text-negative")
    colors = {color.lower() for name in names for color in (*style.THEMES[name], style.BEAMER[style.THEMES[name][0]])}
    pages = Path(style.__file__).with_name("pages")
    files = [file for file in sorted(pages.iterdir()) if file.suffix in (".css", ".html", ".js")]
    assert len(files) > 15
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"--(text-)?(positive|negative)\s*:", text), file.name
        assert colors.isdisjoint(re.findall(r"#[0-9a-f]{6}", text.lower())), file.name
