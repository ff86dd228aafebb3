"""Pictures for screens: light and dark, numbers in attributes, the page around a picture, the projector preset."""

import re
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import viz
from tests.viz.browser import Browser
from tests.viz.drawn_examples import Drawn, expression
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
        assert set(re.findall(r'(?:fill|stroke)="([^"]*)"', svg)) <= known


@pytest.mark.parametrize("side", [0, 1])
def test_text_is_readable_on_its_background(side: int) -> None:
    color = {name: pair[side] for name, pair in style.THEMES.items()}
    for ground in ("paper", "leaf", "leaf-tab", "value-tab", "idiom", "idiom-tab", "module", "module-tab", "frame-2"):
        assert contrast(color["ink"], color[ground]) >= 4.5, ground
    for ground in ("paper", "leaf", "idiom", "module"):
        assert contrast(color["faint"], color[ground]) >= 4.5, ground
    for level, pair in enumerate(style.SURPRISE):
        assert contrast(*pair[side]) >= 4.5, level


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
    assert 'class="tinygrad"><style>' in theme.themed('<svg width="1"></svg>', None)


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
        browser.evaluate("document.querySelector('#theme').click()")
        dark = browser.evaluate("getComputedStyle(document.querySelector('main > svg polygon')).fill")
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
