"""The frame of the playground's screens, with a small screen of its own: one number that is trained towards 3."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator

import pytest

from tests.viz.browser import Browser
from viz.play import page

pytestmark = pytest.mark.browser

MODEL = """
MODELS.demo = class {
  constructor(settings) { this.settings = settings; this.w = Float64Array.of(settings.start); this.measure(); }
  measure() { this.loss = (this.w[0] - 3) ** 2; }
  step() {
    if (this.settings.word === "stop") throw new Trouble("the word is stop: write another one", { value: 7 });
    if (this.settings.word === "fault") this.nothing.at(0);
    this.w[0] -= this.settings.rate * 2 * (this.w[0] - 3);
    this.measure();
  }
  get done() { return this.settings.word === "near" && Math.abs(this.w[0] - 3) < 6; }
  keep() { return this.w.slice(); }
  back(kept) { this.w = kept; }
  change(settings) { this.settings = settings; }
  edit({ w }) { this.w[0] = w; this.measure(); }
  ask({ ref }) {
    if (ref === 9) throw new Trouble("nine has no explanation");
    const rows = [{ text: "a", value: 1, ref: ref + 1 }];
    return { title: `number ${ref}`, value: this.w[0], grad: -2, formula: "w", rows, uses: [] };
  }
  frame() { if (this.settings.word === "late") this.loss = 7; return { w: this.w[0] }; }
};
"""
SCREEN = """
screen("demo", {
  title: "A demo", lead: "Train it.", tasks: ["Reach 3.", "Let it explode."],
  settings: {
    rate: slider("learning rate", 0.05, { min: 0.0001, max: 2, log: true, live: true }),
    start: whole("start", 10, { min: -10, max: 20 }),
    kind: choice("kind", "a", { a: "first", b: "second" }, { live: true }),
    show: tick("show", true, { live: true }),
    word: words("word", "go", { live: true }),
  },
  build(place, play) {
    const out = element("p", { id: "w" });
    const why = element("button", { type: "button", id: "why", onclick: () => play.explain(0) }, "why?");
    place.append(play.controls("rate", "start", "kind", "show", "word"), out, why);
    const chart = lossChart(place, { height: 150 });
    window.play = play;
    return {
      draw(frame) {
        out.textContent = number(frame.w);
        const { steps: xs, losses: ys } = frame.history;
        chart.draw({ series: [{ name: "training", color: "positive", xs, ys }] });
      },
      python: ({ rate }) => `for step in range(${play.step}): print(${rate})`,
    };
  },
});
"""

Open = Callable[..., Browser]


@pytest.fixture
def opened(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Open]:
    """Open the page at a part of its address; in the end nothing may have been written to the console."""
    script = page._script
    own = {"model_demo.js": MODEL, "screen_demo.js": SCREEN, "screen_demo.css": ""}
    monkeypatch.setattr(page, "_script", lambda name: own[name] if name in own else script(name))
    file = tmp_path_factory.mktemp("demo") / "play.html"
    page.play_page({"text": b"to be"}, {"answer": 42}, screens=["demo"]).save(file)
    allowed: list[str] = []

    def open_page(part: str = "", faults: bool = False) -> Browser:
        allowed.extend(["fault"] * faults)
        browser.open(file.as_uri() + part)
        settle(browser)
        return browser

    yield open_page
    assert allowed or browser.console == []
    assert [r for r in browser.requests if not r.startswith(("blob:", "file:", "data:"))] == []


def settle(browser: Browser) -> None:
    browser.wait_for("document.body.dataset.busy === ''")


def state(browser: Browser) -> dict[str, str]:
    return dict(browser.evaluate("({...document.body.dataset})"))


def click(browser: Browser, name: str) -> None:
    browser.evaluate(f"document.getElementById({json.dumps(name)}).click()")


def after(steps: int, rate: float = 0.05, w: float = 10.0) -> float:
    for _ in range(steps):
        w -= rate * 2 * (w - 3)
    return (w - 3) ** 2


def test_a_link_trains_so_many_steps_and_stops(opened: Open) -> None:
    browser = opened("#screen=demo&rate=0.1&run=20")
    browser.wait_for("document.body.dataset.step === '20'")
    assert float(state(browser)["loss"]) == after(20, 0.1)
    assert state(browser)["screen"] == "demo"


def test_keys_play_step_and_undo(opened: Open) -> None:
    browser = opened()
    browser.key("ArrowRight")
    browser.wait_for("document.body.dataset.step === '1'")
    assert float(state(browser)["loss"]) == after(1)
    browser.key("ArrowLeft")
    browser.wait_for("document.body.dataset.step === '0'")
    assert float(state(browser)["loss"]) == 49.0
    browser.key(" ", " ")
    browser.wait_for("Number(document.body.dataset.step) > 1000")
    browser.key(" ", " ")
    settle(browser)
    steps = int(state(browser)["step"])
    browser.key("ArrowLeft")
    browser.wait_for(f"document.body.dataset.step === '{steps - 1}'")


def test_space_plays_after_a_click_and_presses_what_was_reached_by_keys(opened: Open) -> None:
    browser = opened()
    x, y = browser.evaluate(
        "(r => [r.x + r.width / 2, r.y + r.height / 2])(document.getElementById('step').getBoundingClientRect())"
    )
    for kind in ("mousePressed", "mouseReleased"):
        browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
    browser.wait_for("document.body.dataset.step === '1'")
    browser.key(" ", " ")
    browser.wait_for("Number(document.body.dataset.step) > 100")
    browser.key(" ", " ")
    settle(browser)
    steps = int(state(browser)["step"])
    browser.evaluate("document.getElementById('step').focus()")
    browser.key(" ", " ")
    browser.wait_for(f"document.body.dataset.step === '{steps + 1}'")
    settle(browser)
    assert int(state(browser)["step"]) == steps + 1


def test_the_python_waits_for_its_reader(opened: Open) -> None:
    browser = opened()
    browser.evaluate("document.getElementById('play').click()")
    browser.wait_for("Number(document.body.dataset.step) > 100")
    browser.evaluate("document.getElementById('python').click()")
    settle(browser)
    assert f"range({state(browser)['step']})" in browser.evaluate("document.getElementById('python-text').textContent")


def test_the_address_is_the_state(opened: Open) -> None:
    browser = opened("#screen=demo&run=5")
    browser.evaluate("play.set({ rate: 0.2, word: 'a b&c', show: false })")
    browser.wait_for("location.hash.includes('word')")
    settle(browser)
    part = browser.evaluate("location.hash")
    assert "rate=0.2" in part
    assert "run=5" in part
    assert "start" not in part  # what is as at first is left out
    again = opened(part)
    assert again.evaluate("({...play.settings})") == {
        "rate": 0.2, "start": 10, "kind": "a", "show": False, "word": "a b&c", "seed": "1", "speed": "0",
    }  # fmt: skip


@pytest.mark.parametrize(
    "part",
    ["#screen=nothing", "#screen=demo&rate=x&start=1.5&kind=z&show=yes", "#&=&%", "#run=-3", "#screen=demo&seed=1.5"],
)
def test_a_damaged_link_opens_with_what_is_right_in_it(opened: Open, part: str) -> None:
    browser = opened(part)
    assert browser.evaluate("({...play.settings})")["rate"] == 0.05
    assert state(browser)["step"] == "0"
    assert state(browser)["error"] == ""


def test_a_setting_that_is_not_live_begins_again(opened: Open) -> None:
    browser = opened("#screen=demo&run=5")
    browser.evaluate("play.set({ start: 4 })")
    browser.wait_for("document.body.dataset.loss === '1'")
    assert state(browser)["step"] == "0"


def test_what_explodes_is_named_and_can_be_taken_back(opened: Open) -> None:
    browser = opened("#screen=demo&rate=1.8")
    click(browser, "play")
    browser.wait_for("document.body.dataset.error !== ''")
    settle(browser)
    step = int(state(browser)["step"])
    assert state(browser)["error"].startswith(f"Step {step + 1}: the loss became Infinity")
    click(browser, "trouble-back")
    browser.wait_for(f"document.body.dataset.step === '{step - 10}'")
    assert browser.evaluate("play.settings.rate") == 0.9
    assert state(browser)["error"] == ""
    click(browser, "step")
    browser.wait_for(f"document.body.dataset.step === '{step - 9}'")


def test_a_step_into_trouble_has_not_happened(opened: Open) -> None:
    browser = opened("#screen=demo&rate=1.8")
    click(browser, "play")
    browser.wait_for("document.body.dataset.error !== ''")
    settle(browser)
    before = state(browser)
    click(browser, "step")  # into the same trouble
    settle(browser)
    assert state(browser) == before
    assert float(before["loss"]) == after(int(before["step"]), 1.8)
    click(browser, "undo")
    browser.wait_for(f"document.body.dataset.step === '{int(before['step']) - 1}'")
    assert float(state(browser)["loss"]) == after(int(before["step"]) - 1, 1.8)


def test_a_long_curve_keeps_its_first_steps(opened: Open) -> None:
    browser = opened("#screen=demo&run=20000&rate=0.0002")
    browser.wait_for("document.body.dataset.step === '20000'")
    settle(browser)

    def curve() -> tuple[list[int], list[float]]:
        history = browser.evaluate("play.frame.history")
        return history["steps"], history["losses"]

    steps, losses = curve()
    assert steps[:251] == list(range(251))
    assert steps[-1] == 20000
    assert all((new - old) * 250 >= new for old, new in itertools.pairwise(steps[:-1]))
    assert all((new - old) * 250 <= new + 250 for old, new in itertools.pairwise(steps))
    assert len(steps) < 1500
    assert losses[100] == after(100, 0.0002)
    click(browser, "undo")
    browser.wait_for("document.body.dataset.step === '19999'")
    settle(browser)
    assert curve()[0] == [*(step for step in steps if step < 19999), 19999]
    assert curve()[1][-1] == float(state(browser)["loss"])


def test_footer_and_curve_show_the_same_loss(opened: Open) -> None:
    browser = opened("#screen=demo&word=late&run=3")  # measured only when it is shown
    browser.wait_for("document.body.dataset.step === '3'")
    settle(browser)
    assert state(browser)["loss"] == "7"
    assert browser.evaluate("play.frame.history.losses.at(-1)") == 7


def test_a_number_on_a_scale_can_be_typed(opened: Open) -> None:
    browser = opened()
    for typed, rate in (("0.0845", 0.0845), ("9", 2), ("x", 2), ("", 2), ("−1", 0.0001), ("3e-3", 0.003)):
        browser.evaluate("document.querySelector('.exact').focus(); document.querySelector('.exact').select()")
        browser.type(typed) if typed else browser.key("Backspace")
        browser.key("Enter", "\r")
        assert browser.evaluate("[play.settings.rate, Number(document.querySelector('.exact').value)]") == [rate, rate]
    browser.evaluate("document.getElementById('set-rate').focus()")
    for rate in (0.0031, 0.0032):  # each press is one more in the second digit
        browser.key("ArrowRight")
        assert browser.evaluate("play.settings.rate") == rate


def test_what_is_said_leaves_the_footer_as_it_is(opened: Open) -> None:
    browser = opened()
    height = "document.querySelector('footer').offsetHeight"
    before = browser.evaluate(height)
    browser.evaluate("play.say('a long sentence. '.repeat(9))")
    assert browser.evaluate(height) == before


def test_a_refusal_of_a_model_is_its_sentence(opened: Open) -> None:
    browser = opened("#screen=demo&word=stop")
    click(browser, "step")
    browser.wait_for("document.body.dataset.error !== ''")
    assert state(browser)["error"] == "Step 1: the word is stop: write another one"
    assert not browser.evaluate("document.getElementById('trouble').hidden")


def test_a_fault_is_said_to_be_one(opened: Open) -> None:
    browser = opened("#screen=demo&word=fault", faults=True)
    click(browser, "step")
    browser.wait_for("document.body.dataset.error !== ''")
    assert browser.evaluate("document.getElementById('trouble-text').textContent").startswith("This page has a fault: ")


@pytest.mark.parametrize("width", [1280, 375])
def test_tasks_and_explanations_cover_nothing(opened: Open, width: int) -> None:
    browser = opened()
    height = 720 if width > 1000 else 812
    browser.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
    box = "(id => document.getElementById(id).getBoundingClientRect().toJSON())"
    click(browser, "tasks-open")
    assert browser.evaluate("document.getElementById('task-list').children.length") == 2
    browser.evaluate("document.getElementById('why').focus(); play.explain(0)")
    browser.wait_for("!document.getElementById('explained').hidden")
    side, place, explained = (browser.evaluate(f"{box}('{name}')") for name in ("side", "place", "explained"))
    assert place["right"] <= side["left"] if width > 1000 else side["top"] > 812 * 0.4
    assert explained["top"] < side["top"] + 4  # the newest comes first
    click(browser, "explained-close")
    assert browser.evaluate("document.getElementById('side').getClientRects().length") == 1
    click(browser, "tasks-close")
    assert browser.evaluate("document.getElementById('side').getClientRects().length") == 0
    assert browser.evaluate("document.activeElement.id") == "tasks-open"
    browser.call("Emulation.clearDeviceMetricsOverride")


def test_explanations_lead_on_and_back(opened: Open) -> None:
    browser = opened()
    click(browser, "why")
    title = "document.getElementById('explained-title').textContent"
    browser.wait_for(f"{title} === 'number 0'")
    browser.evaluate("document.querySelector('#explained li button').click()")
    browser.wait_for(f"{title} === 'number 1'")
    click(browser, "explained-back")
    browser.wait_for(f"{title} === 'number 0'")
    browser.evaluate("document.querySelector('#explained li button').focus()")
    browser.evaluate("play.edit({ w: 4 })")  # the panel follows
    browser.wait_for("document.querySelector('#explained .big').textContent.startsWith('4')")
    assert browser.evaluate("document.activeElement.closest('#explained li') !== null")
    below = "document.querySelector('footer').getBoundingClientRect().top"
    assert browser.evaluate(f"document.getElementById('explained').getBoundingClientRect().bottom <= {below} + 1")
    browser.key("Escape")
    assert browser.evaluate("document.getElementById('explained').hidden")
    browser.evaluate("play.explain(9)")
    browser.wait_for("document.getElementById('explained').textContent.includes('nine has no explanation')")


def test_a_model_with_an_end_stops_by_itself(opened: Open) -> None:
    b = opened("#screen=demo&word=near")
    b.evaluate("document.getElementById('play').click()")
    b.wait_for("document.body.dataset.busy === ''", 10)
    assert b.evaluate("document.body.dataset.step") == "2"  # 3 + 7 · 0.9²: nearer than 6
    buttons = "['play', 'step'].map(id => document.getElementById(id).disabled)"
    assert b.evaluate(buttons) == [True, True]
    b.key("ArrowLeft")
    b.wait_for("document.body.dataset.step === '1'", 10)
    assert b.evaluate(buttons) == [False, False]


def test_an_edit_can_be_taken_back(opened: Open) -> None:
    browser = opened("#screen=demo&run=3")
    browser.evaluate("play.edit({ w: 5 })")
    browser.wait_for("document.body.dataset.loss === '4'")
    click(browser, "undo")
    browser.wait_for(f"document.body.dataset.loss === '{after(3)!r}'")
    assert state(browser)["step"] == "3"


def test_assets_and_facts_are_in_the_page(opened: Open) -> None:
    browser = opened()
    assert browser.evaluate("play.asset('text').then(bytes => new TextDecoder().decode(bytes))") == "to be"
    assert browser.evaluate("play.facts.answer") == 42
    assert browser.evaluate("play.hasAsset('nothing')") is False


def test_only_the_page_around_an_embedded_one_chooses_its_look(opened: Open) -> None:
    browser = opened()
    own = "dispatchEvent(new MessageEvent('message', { data: { look: 'dark' } }))"
    theme = "document.documentElement.dataset.theme ?? ''"
    browser.evaluate(f"{own}; 0")
    assert browser.evaluate(theme) == ""  # nothing is around it
    browser.evaluate(f"window.parent = {{}}; {own}; 0")
    assert browser.evaluate(theme) == "dark"


def test_embedded_pages_have_no_header(opened: Open) -> None:
    browser = opened("#screen=demo&embed=1")
    assert browser.evaluate("getComputedStyle(document.querySelector('header')).display") == "none"


def test_a_link_to_the_state_is_copied(opened: Open) -> None:
    browser = opened("#screen=demo&rate=0.2&run=4")
    browser.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }; 0")
    click(browser, "link")
    browser.wait_for("window.copied")
    copied = browser.evaluate("window.copied")
    assert copied.startswith("file:")
    assert copied == browser.evaluate("location.href")
    assert "rate=0.2" in copied
    assert "run=4" in copied


def test_a_hidden_page_does_not_train(opened: Open) -> None:
    browser = opened()
    click(browser, "play")
    browser.wait_for("Number(document.body.dataset.step) > 10")
    browser.evaluate("""Object.defineProperty(document, "hidden", { value: true, configurable: true });
        document.dispatchEvent(new Event("visibilitychange")); 0""")
    settle(browser)
    step = state(browser)["step"]
    browser.evaluate("delete document.hidden; new Promise((done) => setTimeout(done, 200))")
    assert state(browser)["step"] == step


def test_negative_numbers_are_vermillion_and_positive_ones_blue(opened: Open) -> None:
    browser = opened("#screen=demo&theme=light")
    found = browser.evaluate("[tint(-1), tint(0), tint(1)].map((text) => text.match(/[0-9]+/g).map(Number))")
    assert found == [[0xD5, 0x5E, 0x00], [255, 255, 255], [0x00, 0x72, 0xB2]]


def test_a_frame_made_before_an_order_says_nothing_about_it(opened: Open) -> None:
    browser = opened()
    late = "{ ...now.frame, history: now.frame.history }"
    browser.evaluate("start(); 0")
    stay = browser.evaluate(
        f"""HEARD.frame({{ frame: {late}, step: 0, running: false, heard: now.asked - 1 }}, now);
        const after = (act) => requestAnimationFrame(() => requestAnimationFrame(act));
        new Promise((done) => after(() => done(document.body.dataset.busy)))"""
    )
    assert stay == "1"
    browser.wait_for("Number(document.body.dataset.step) > 10")
    click(browser, "play")
    settle(browser)


def test_a_speed_keeps_to_it(opened: Open) -> None:
    browser = opened("#screen=demo&speed=10")
    click(browser, "play")
    browser.wait_for("Number(document.body.dataset.step) >= 3")
    assert int(state(browser)["step"]) <= 6  # as fast as it goes it would be thousands
    click(browser, "play")
    settle(browser)


def test_between_two_frames_the_page_rests_for_as_long_as_it_drew(opened: Open) -> None:
    browser = opened("#screen=demo&rate=0.0001")
    browser.evaluate("""
        var drawings = 0, plainly = now.view.draw;
        now.view.draw = frame => {
          const begun = performance.now();
          while (performance.now() - begun < 150);
          drawings++;
          return plainly(frame);
        };
        start(); 0""")
    browser.wait_for("drawings > 0")
    browser.evaluate("var since = performance.now(), before = drawings; 0")
    browser.wait_for("performance.now() - since > 2500")
    share = browser.evaluate("(drawings - before) * 150 / (performance.now() - since)")
    browser.evaluate("pause(); 0")
    assert 0 < share < 0.65  # without a rest it draws nearly all the time
