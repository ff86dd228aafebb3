"""The page that shows one of several pictures, by buttons or with a slider."""

import pytest

from tests.viz.charts import AWKWARD, check_accessible
from viz.charts.plot import plot
from viz.rendering.choice_page import choice_page

CHOICES = {"layer": ["0", "1"], "head": ["a", AWKWARD, "c"]}


def pictures(count):
    return [plot({"line": [0.0, 1.0]}, title=f"picture {i}").svg() for i in range(count)]


@pytest.fixture
def opened(browser, tmp_path):
    def open_page(choices, fragment="", **options):
        path = tmp_path / "page.html"
        count = 1
        for words in choices.values():
            count *= len(words)
        path.write_text(choice_page("Some <pictures>", choices, pictures(count), **options), encoding="utf-8")
        browser.open(f"{path.as_uri()}{fragment}")
        return browser

    return open_page


TITLE = "document.querySelector('main text').textContent"


def test_buttons_choose_every_picture(opened):
    browser = opened(CHOICES)
    for layer in (0, 1):
        browser.evaluate(f"inputs[0][{layer}].click()")
        for head in (2, 0, 1):
            browser.evaluate(f"inputs[1][{head}].click()")
            assert browser.evaluate(TITLE) == f"picture {3 * layer + head}"
    assert browser.evaluate("$('shown').textContent") == f"layer 1, head {AWKWARD}"
    assert browser.evaluate("document.querySelector('svg').getAttribute('aria-label')").endswith(AWKWARD)
    assert browser.evaluate("location.hash") == "#1-1"
    assert browser.console == []
    assert len(browser.requests) == 1


def test_keys_choose_too(opened):
    browser = opened(CHOICES)
    browser.evaluate("inputs[1][0].focus()")
    browser.key("ArrowRight")
    browser.wait_for(f"{TITLE} === 'picture 1'")
    for expected in (2, 3, 4, 5, 5):
        browser.key("PageDown")
        browser.wait_for(f"{TITLE} === 'picture {expected}'")
    browser.key("PageUp")
    browser.wait_for(f"{TITLE} === 'picture 4'")


def test_a_link_opens_the_picture_it_was_made_on(opened):
    assert opened(CHOICES, "#1-2").evaluate(TITLE) == "picture 5"


@pytest.mark.parametrize(
    ("fragment", "layer", "head"),
    [
        ("#9-9", 1, 2),
        ("#x", 0, 0),
        ("#-1", 0, 1),
        ("#0.6-1", 0, 1),
        ("#1-2-3", 1, 2),
        ("#1--2", 1, 0),
        ("#1-x-1", 1, 0),
    ],
)
def test_a_link_to_a_missing_picture_opens_the_nearest(opened, fragment, layer, head):
    browser = opened(CHOICES, fragment)
    assert browser.evaluate(TITLE) == f"picture {3 * layer + head}"
    assert browser.evaluate("inputs.map(some => some.findIndex(input => input.checked))") == [layer, head]
    assert browser.evaluate("$('shown').textContent") == f"layer {layer}, head {CHOICES['head'][head]}"
    assert browser.evaluate("[document.title, document.querySelector('h1').textContent]") == ["Some <pictures>"] * 2
    assert browser.console == []


def test_the_slider_plays_to_the_end(opened):
    browser = opened({"step": ["0", "10", "20"]}, slider=True)
    assert browser.evaluate("document.querySelector('input').getAttribute('aria-valuetext')") == "0"
    browser.evaluate("$('play').click()")
    assert browser.evaluate("$('play').textContent") == "pause"
    browser.wait_for(f"{TITLE} === 'picture 2' && $('play').textContent === 'play'")


@pytest.mark.axe
@pytest.mark.parametrize("options", [{}, {"slider": True}], ids=["buttons", "slider"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_is_accessible(opened, options, theme):
    browser = opened({"step": ["0", "10", "20"]}, **options)
    browser.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    check_accessible(browser)


def test_a_picture_for_every_choice():
    with pytest.raises(ValueError, match="the choices need 6 pictures; got 5"):
        choice_page("title", CHOICES, pictures(5))
