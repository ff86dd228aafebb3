"""The time machine: every frame of the page shows its data, reached by keys, slider and address."""

import json
import math
import random
import re

import pytest

from tests.viz.charts import check_accessible
from tinygrad_edu.gradient_stats import GradientStats
from viz.pages.timemachine import MOST_FRAMES, Frame, time_machine

SENTENCE, ALPHABET = ["t", "o", " ", "b", "<"], ["t", "o", " ", "b", "<", "\n"]
HEADS = ["layer 1, head 1", "layer 1, head 2"]


def frame(step, *, heads=HEADS, positions=4, alphabet=6, lines=3):
    rng = random.Random(step)

    def distribution(length):
        powers = [rng.random() ** 3 for _ in range(length)]
        return [p / sum(powers) for p in powers]

    attention = {head: [distribution(i + 1) for i in range(positions)] for head in heads}
    probabilities = [distribution(alphabet) for _ in range(positions)]
    modules, parameters = (
        [
            GradientStats(f"{kind}.{i}", 5, 10 ** rng.uniform(-4, -2), 10 ** rng.uniform(-2, 1), 0.25, 0, None)
            for i in range(lines)
        ]
        for kind in ("transformer.h", "transformer.w")
    )
    losses = {"training": 4.0 / (1 + step / 100), "validation": 4.1 / (1 + step / 100), "this sentence": 3.0}
    return Frame(step, losses, f"sample <&> at {step}\nline", attention, probabilities, modules, parameters)


def page(frames, **more):
    curves = {
        "training": [(step, 4.0 / (1 + step / 100)) for step in range(1, 501)],
        "validation": [(f.step, f.losses["validation"]) for f in frames],
    }
    return time_machine(frames, sentence=SENTENCE, alphabet=ALPHABET, curves=curves, baselines={"bigram": 2.5}, **more)


FRAMES = [frame(step) for step in (0, 50, 125, 250, 500)]


@pytest.fixture
def opened(browser, tmp_path):
    def open_page(fragment="", frames=FRAMES):
        path = tmp_path / "machine.html"
        page(frames).save(path)
        browser.open(f"{path.as_uri()}{fragment}")
        return browser

    return open_page


SHOWN = """({
  where: $("where").textContent, hash: location.hash, sample: $("sample").textContent,
  losses: [...document.querySelectorAll("[data-loss]")].map(e => [e.dataset.loss, e.textContent]),
  weights: [...document.querySelectorAll("#map .cell")].map(e => Number(e.dataset.weight)),
  bars: [...document.querySelectorAll("#bars li")].map(e => [Number(e.dataset.token), Number(e.dataset.probability)]),
  lengths: [...document.querySelectorAll("#bars .bar")].map(e => parseFloat(e.style.width)),
  flow: [...document.querySelectorAll("#flow g")].map(
    e => [e.dataset.name, Number(e.dataset.mean), Number(e.dataset.largest)]),
  cursor: Number($("cursor").getAttribute("x1")), x: [axis.x(FRAMES[position].step), axis.left, axis.right],
  spoken: $("spoken").textContent, value: $("scrubber").getAttribute("aria-valuetext") })"""


def check_shows(browser, expected, head=0, at=3):
    """Check that everything on the page belongs to this frame."""
    shown = browser.evaluate(SHOWN)
    assert shown["where"] == f"step {expected.step}"
    assert shown["sample"] == expected.sample
    assert shown["losses"] == [[name, f"{loss:.3f}"] for name, loss in expected.losses.items()]
    rows = expected.attention[HEADS[head]]
    assert shown["weights"] == pytest.approx([w for row in rows for w in row], abs=5.1e-4)
    assert all(shown["bars"][i][1] >= shown["bars"][i + 1][1] for i in range(5))
    assert dict(map(tuple, shown["bars"])) == pytest.approx(dict(enumerate(expected.probabilities[at])), abs=5.1e-5)
    assert shown["lengths"] == pytest.approx([100 * p for _, p in shown["bars"]], abs=0.06)  # one scale for all steps
    for (name, mean, largest), line in zip(shown["flow"], expected.modules, strict=True):
        assert name == line.name
        assert (mean, largest) == pytest.approx((line.mean, line.largest), rel=6e-3)
    place, left, right = shown["x"]
    assert shown["cursor"] == place == pytest.approx(left + (right - left) * expected.step / 500)
    assert shown["spoken"].startswith(f"step {expected.step}: training loss ")
    assert shown["value"] == f"step {expected.step}"
    return shown


def test_keys_slider_and_buttons_reach_every_frame(opened):
    browser = opened()
    check_shows(browser, FRAMES[-1])
    browser.key("Home")
    for expected in FRAMES:
        assert check_shows(browser, expected)["hash"] == f"#step={expected.step}&head=0&at=3"
        browser.key(random.Random(expected.step).choice(["ArrowRight", "PageDown", " "]))
    for expected in reversed(FRAMES):
        check_shows(browser, expected)
        browser.key("PageUp")
    for number, expected in enumerate(FRAMES):
        browser.evaluate(f"$('scrubber').value = {number}; $('scrubber').dispatchEvent(new Event('input'))")
        check_shows(browser, expected)
    for button, expected in (("first", 0), ("next", 1), ("last", -1), ("previous", -2)):
        browser.evaluate(f"$('{button}').click()")
        check_shows(browser, FRAMES[expected])
    assert browser.console == []
    assert [r for r in browser.requests if not r.startswith(("file:", "data:"))] == []


def test_an_address_opens_the_nearest_frame_a_head_and_a_character(opened):
    for fragment, number in (("#step=125", 2), ("#step=160", 2), ("#step=99999", 4), ("#step=-3", 0), ("#step=x", 4)):
        check_shows(opened(fragment), FRAMES[number])
    browser = opened("#step=50&head=1&at=1&theme=beamer")
    check_shows(browser, FRAMES[1], head=1, at=1)
    assert browser.evaluate("document.documentElement.dataset.theme") == "beamer"
    browser.evaluate("location.hash = '#step=500'")
    browser.wait_for("position === 4")
    check_shows(browser, FRAMES[4], head=1, at=1)


def test_head_character_and_kind_of_line_can_be_chosen(opened):
    browser = opened("#step=50")
    browser.evaluate("document.querySelectorAll('#heads button')[1].click()")
    check_shows(browser, FRAMES[1], head=1)
    assert browser.evaluate(
        "[...document.querySelectorAll('#heads button')].map(b => b.getAttribute('aria-pressed'))"
    ) == [
        "false",
        "true",
    ]
    browser.evaluate("$('at').focus()")
    browser.key("ArrowLeft")  # moves to another character, not frame
    check_shows(browser, FRAMES[1], head=1, at=2)
    assert browser.evaluate("$('after').textContent") == "␣"
    assert (
        browser.evaluate(
            "[...document.querySelectorAll('#bars li')].find(e => e.textContent.startsWith('▸')).dataset.token"
        )
        == "3"
    )
    browser.evaluate("$('kind').value = 'parameters'; $('kind').onchange()")
    names = browser.evaluate("[...document.querySelectorAll('#flow g')].map(e => e.dataset.name)")
    assert names == [line.name for line in FRAMES[1].parameters]


def test_play_advances_by_itself_and_a_presenter_can_blank_the_screen(opened):
    browser = opened("#step=250")
    browser.key("F5")
    check_shows(browser, FRAMES[4])  # the next frame at once
    browser.wait_for("timer === null")  # and it stops at the last one
    browser.key("F5")
    check_shows(browser, FRAMES[0])
    browser.key("Escape")
    assert browser.evaluate("timer === null && $('play').getAttribute('aria-label') === 'play'")
    look = "[document.querySelector('main'), document.body].map(e => getComputedStyle(e))"
    shown = browser.evaluate(f"{look}.map(e => [e.visibility, e.backgroundColor])")
    browser.key(".")
    assert browser.evaluate(f"[{look}[0].visibility, {look}[1].backgroundColor]") == ["hidden", "rgb(0, 0, 0)"]
    browser.key("Escape")
    assert browser.evaluate(f"{look}.map(e => [e.visibility, e.backgroundColor])") == shown


@pytest.mark.parametrize("look", ["light", "beamer"])
def test_all_of_it_fits_a_screen_of_1280_by_720(opened, look):
    browser = opened("#step=125")
    before = browser.evaluate("$('theme').value")
    browser.evaluate(f"$('theme').value = '{look}'; $('theme').onchange({{target: $('theme')}})")
    browser.call("Emulation.setDeviceMetricsOverride", width=1280, height=720, deviceScaleFactor=1, mobile=False)
    try:
        browser.wait_for("innerWidth === 1280 && innerHeight === 720")
        assert browser.evaluate("document.documentElement.scrollHeight <= innerHeight")
        bottoms = "[...document.querySelectorAll('main section')].map(s => s.getBoundingClientRect().bottom)"
        assert max(browser.evaluate(bottoms)) <= browser.evaluate("$('scrubber').getBoundingClientRect().top")
        cut = (
            "[...document.querySelectorAll('main section')].filter(s => s.scrollHeight > s.clientHeight).map(s => s.id)"
        )
        assert browser.evaluate(cut) == []
    finally:
        browser.evaluate(f"$('theme').value = '{before}'; $('theme').onchange({{target: $('theme')}})")
        browser.call("Emulation.clearDeviceMetricsOverride")


@pytest.mark.parametrize("width", [375, 900, 1400, 1920])
def test_nothing_is_wider_than_the_window_and_the_controls_are_in_it(opened, width):
    browser = opened("#step=125")
    browser.call("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 700)
    try:
        browser.wait_for(f"innerWidth === {width}")
        check_shows(browser, FRAMES[2])
        assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert browser.evaluate("$('scrubber').getBoundingClientRect().bottom <= innerHeight")
        assert browser.evaluate(
            "[...document.querySelectorAll('#map svg, #loss svg')]"
            ".every(s => s.getBoundingClientRect().right <= innerWidth)"
        )
    finally:
        browser.call("Emulation.clearDeviceMetricsOverride")


@pytest.mark.axe
@pytest.mark.parametrize("theme", ["light", "dark", "beamer"])
def test_the_page_is_accessible(opened, theme):
    check_accessible(opened(f"#step=125&theme={theme}"))


def test_without_scripts_the_frames_are_a_table():
    content = page(FRAMES).html
    table = re.search(r"<noscript>(.*?)</noscript>", content, re.DOTALL)[1]
    assert table.count("<tr>") == len(FRAMES) + 1
    assert "sample &lt;&amp;&gt; at 125" in table


def data_of(content):
    return json.loads(re.search(r'id="data">(.*?)</script>', content, re.DOTALL)[1])


def test_the_size_of_the_page_is_bounded_for_any_model():
    heads = [f"layer {i // 12 + 1}, head {i % 12 + 1}" for i in range(144)]
    frames = [frame(step, heads=heads, positions=20, alphabet=65, lines=400) for step in range(80)]
    alphabet = [chr(48 + i) for i in range(65)]
    curves = {"training": [(i, math.sin(i)) for i in range(20000)]}
    made = time_machine(frames, sentence=alphabet[:21], alphabet=alphabet, curves=curves)
    assert len(made.html) < 5_000_000
    data = data_of(made.html)
    assert len(data["frames"]) == MOST_FRAMES
    assert [data["frames"][i]["step"] for i in (0, -1)] == [0, 79]
    assert (len(data["heads"]), data["allHeads"]) == (48, 144)
    assert len(data["curves"]["training"]) <= 600


def test_the_character_that_follows_is_always_listed():
    probabilities = [[0.3, 0.2, 0.1, 0.1, 0.1, 0.08, 0.06, 0.04, 0.02, 0.0]]
    one = Frame(7, {"validation": math.nan}, "", {"h": [[1.0]]}, probabilities, [], [])
    made = time_machine([one], sentence="aj", alphabet="abcdefghij", curves={"training": []})
    (shown,) = data_of(made.html)["frames"]
    assert shown["next"] == [[[0, 0.3], [1, 0.2], [2, 0.1], [3, 0.1], [4, 0.1], [5, 0.08], [6, 0.06], [9, 0.0]]]
    assert shown["losses"] == {"validation": None}


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        ([], "at least one frame"),
        ([frame(5), frame(5)], "step 5 after step 5"),
        ([frame(1), frame(2, heads=["other"])], "the same heads"),
        ([frame(1, positions=3)], "row i has i \\+ 1 weights"),
        ([frame(1, alphabet=5)], "expected 6 probabilities after each of 4"),
        ([frame(1), frame(2, lines=2)], "the same modules"),
    ],
)
def test_frames_that_do_not_belong_together_are_refused(frames, words):
    with pytest.raises(ValueError, match=words):
        page(frames)


def test_a_sentence_that_cannot_be_read_is_refused():
    with pytest.raises(ValueError, match="2 to 25 characters"):
        time_machine(FRAMES, sentence="a", alphabet="a", curves={})
