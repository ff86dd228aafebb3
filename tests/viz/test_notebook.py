"""Results in notebook cells: as wide as the cell, in the notebook's theme, with a picture for every viewer."""

import base64
import html
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import viz
from tests.viz.browser import Browser
from tests.viz.drawn_examples import Drawn, expression
from tinygrad_edu.compiler import jit
from tinygrad_edu.nn import MLP, Neuron
from viz.rendering import graphviz_program

pytestmark = pytest.mark.layout


def compiled() -> Any:
    k = jit(lambda xs: Neuron(2, rng=1)(xs).tanh())
    k([[1.0, 2.0]])
    return k


BOUNDARY: Callable[[], Any] = lambda: viz.boundary(lambda p: p[0], [(0.0, 0.5), (1.0, -1.0)], [0, 1])  # noqa: E731
DRAWINGS: dict[str, Callable[[Drawn], Any]] = {
    "draw": lambda drawn: viz.draw(drawn.loss, calls=drawn.calls),
    "draw_program": lambda drawn: viz.draw_program(compiled()),
    "lecture": lambda drawn: viz.draw(expression(), style="micrograd"),
    "arrows": lambda drawn: viz.arrows(lambda p: p, resolution=3),
    "attention": lambda drawn: viz.attention([[1.0, 0.0], [0.5, 0.5]]),
    "boundary": lambda drawn: BOUNDARY(),
    "boundaries": lambda drawn: viz.boundaries([BOUNDARY()] * 4),
    "compilation": lambda drawn: viz.compilation(compiled(), Neuron(2, rng=1)([1.0, 2.0]).tanh()),
    "embeddings": lambda drawn: viz.embeddings([[float(i), i * i / 9, 1.0] for i in range(9)], list("abcdefghi")),
    "flow": lambda drawn: viz.flow(drawn.loss, calls=drawn.calls),
    "flow_over": lambda drawn: viz.flow_over([viz.flow(drawn.loss, calls=drawn.calls)] * 3),
    "histogram": lambda drawn: viz.histogram({"w": [0.0, 1.0, 1.5]}),
    "loss_curve": lambda drawn: viz.loss_curve([{"step": i, "train_loss": 3.0 / (i + 1)} for i in range(9)]),
    "network": lambda drawn: viz.network(MLP(2, [3, 1], rng=1), [1.0, 2.0]),
    "next_characters": lambda drawn: viz.next_characters({"model": [0.25, 0.75]}, "ab"),
    "pictures": lambda drawn: viz.pictures({"a": [[1.0, 0.0, 0.5, -1.0]]}),
    "plot": lambda drawn: viz.plot({"loss": [1.0, 0.5]}),
    "animate": lambda drawn: viz.animate(expression()),
}
PAGES: dict[str, Callable[[Drawn], Any]] = {
    "step_page": lambda drawn: viz.step_page(expression()),
    "walkthrough": lambda drawn: viz.walkthrough(Neuron(2, rng=1), [1.0, 2.0], 1.0),
    "explore": lambda drawn: viz.explore(expression()),
}


def test_every_function_of_viz_is_here() -> None:
    shows_nothing = {"live", "show", "save", "step"}  # step shows the page of step_page
    functions = {name for name in viz.__all__ if name[0].islower()} - shows_nothing
    assert functions <= {*DRAWINGS, *PAGES}


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_small_png_for_viewers_that_block_html(name: str, gpt: Drawn) -> None:
    result = DRAWINGS[name](gpt)
    bundle = result._repr_mimebundle_()
    png = base64.b64decode(bundle["image/png"])
    assert png.startswith(b"\x89PNG")
    assert max(struct.unpack(">2I", png[16:24])) <= 1210
    assert bundle["text/plain"]
    for kind in bundle:
        assert result._repr_mimebundle_(include=[kind]) == {kind: bundle[kind]}
        assert result._repr_mimebundle_(exclude=[kind]).keys() == bundle.keys() - {kind}


def test_no_png_where_nothing_writes_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphviz_program, "_installed", lambda: iter(()))
    bundle = viz.plot({"loss": [1.0, 0.5]})._repr_mimebundle_()
    assert bundle.keys() == {"text/plain", "text/html", "image/svg+xml"}


def test_only_requested_formats_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    drawing = viz.draw(expression())
    monkeypatch.setattr(graphviz_program, "render", lambda *_, **__: pytest.fail("drawn"))
    assert drawing._repr_mimebundle_(include={"text/plain"}).keys() == {"text/plain"}


def test_pictures_do_not_affect_the_page_around_them(gpt: Drawn) -> None:
    for name in DRAWINGS:
        shown = DRAWINGS[name](gpt)._repr_mimebundle_(exclude={"image/png", "image/svg+xml"})["text/html"]
        style = shown[shown.index("<style>") + 7 : shown.index("</style>")]
        rules = [rule.strip() for rule in style.split("}") if rule.strip()]
        assert all("details.tinygrad" in rule for rule in rules), name
        assert "<svg" not in shown, name  # its rules would apply to the whole page


def notebook(results: dict[str, Any], width: int, attribute: str) -> str:
    """Make a page like a notebook's, with a cell per result."""
    cells = []
    for name, result in results.items():
        shown = result._repr_mimebundle_(exclude={"image/png"})["text/html"] if name in DRAWINGS else None
        cells.append(f'<div class="cell" id="{name}">{shown or result._repr_html_()}</div>')
    style = f".cell{{width:{width}px;overflow:auto}}"
    return (
        f'<!doctype html><meta charset="utf-8"><title>n</title><style>{style}</style><body {attribute}>{"".join(cells)}'
    )


@pytest.fixture(scope="module")
def results(gpt: Drawn) -> dict[str, Any]:
    return {name: make(gpt) for name, make in {**DRAWINGS, **PAGES}.items()}


@pytest.mark.parametrize(
    ("width", "attribute", "theme"),
    [
        (1280, 'data-jp-theme-light="false"', "dark"),
        (700, 'data-jp-theme-light="true"', "light"),
        (345, 'data-vscode-theme-kind="vscode-dark"', "dark"),
        (700, 'data-vscode-theme-kind="vscode-high-contrast-light"', "light"),
    ],
    ids=["dark-lab", "light-lab", "dark-code", "light-code"],
)
def test_cells(
    results: dict[str, Any], browser: Browser, tmp_path: Path, width: int, attribute: str, theme: str
) -> None:
    path = tmp_path / "notebook.html"
    path.write_text(notebook(results, width, attribute), encoding="utf-8")
    other = "light" if theme == "dark" else "dark"
    system = [{"name": "prefers-color-scheme", "value": other}]
    browser.call("Emulation.setEmulatedMedia", features=system)
    try:
        browser.open(path.as_uri())
        wide = "[...document.querySelectorAll('.cell')].filter(c => c.scrollWidth > c.clientWidth).map(c => c.id)"
        assert browser.evaluate(wide) == []
        assert set(browser.evaluate("[...document.images].map(i => getComputedStyle(i).colorScheme)")) == {theme}
        assert browser.evaluate("[...document.images].filter(i => !i.naturalWidth).length") == 0
        frames = "[...document.querySelectorAll('iframe')].map(f => f.contentDocument.documentElement)"
        assert browser.evaluate(f"{frames}.map(r => getComputedStyle(r).colorScheme)") == [theme] * len(PAGES)
        inside = browser.evaluate(f"{frames}.map(r => r.scrollWidth - r.clientWidth)")
        assert inside == [0] * len(PAGES)
        name = attribute.partition("=")[0]
        value = {"data-jp-theme-light": str(other == "light").lower()}.get(name, f"vscode-{other}")
        browser.evaluate(f"document.body.setAttribute('{name}', '{value}')")
        browser.wait_for(f"{frames}.every(r => getComputedStyle(r).colorScheme === '{other}')")
        assert browser.console == []
    finally:
        browser.call("Emulation.setEmulatedMedia", features=[])


def test_a_drawing_is_seen_in_full_size_without_a_script(
    results: dict[str, Any], browser: Browser, tmp_path: Path
) -> None:
    path = tmp_path / "notebook.html"
    path.write_text(notebook({"draw": results["draw"]}, 700, ""), encoding="utf-8")
    browser.open(path.as_uri())
    assert "<script" not in path.read_text(encoding="utf-8")
    width = "document.images[0].getBoundingClientRect().width"
    assert browser.evaluate(width) <= 700
    browser.evaluate("document.querySelector('summary').click()")
    assert browser.evaluate(width) > 700
    assert browser.evaluate("document.querySelector('.cell').scrollWidth") <= 700  # it scrolls in its own box
    browser.evaluate("document.querySelector('summary').click()")
    assert browser.evaluate(width) <= 700


def test_a_blocked_page_is_shown_as_text(gpt: Drawn) -> None:
    shown = viz.step_page(expression())._repr_html_()
    frame, words = shown.split(">", 1)
    assert words == "This page is shown when the notebook is trusted, or the cell run again.</iframe>"
    assert html.unescape(frame).count("<!doctype html>") == 1


def test_the_theme_of_the_notebook_is_restored(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "notebook.html"
    shown = viz.step_page(expression())._repr_html_()
    path.write_text(f'<!doctype html><title>n</title><body data-jp-theme-light="false">{shown}', encoding="utf-8")
    browser.open(path.as_uri())
    page = "document.querySelector('iframe').contentDocument"
    for look, theme in (("light", "light"), ("", "dark")):  # "" is the page's own choice
        browser.evaluate(
            f"{{ const s = {page}.getElementById('theme'); s.value = '{look}'; s.dispatchEvent(new Event('change')); }}"
        )
        assert browser.evaluate(f"{page}.documentElement.dataset.theme") == theme
