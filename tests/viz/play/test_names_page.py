"""Names in the playground, in a browser: what the controls do, and the tasks of the screen."""

from __future__ import annotations

import itertools
import math
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.viz.browser import Browser
from viz.play.page import play_page

pytestmark = pytest.mark.browser

QUICK = "&width=4&heads=1"


class Screen:
    """The screen in a browser."""

    def __init__(self, browser: Browser, file: Path) -> None:
        self.browser, self.file = browser, file

    def open(self, more: str = "") -> None:
        self.browser.open(f"{self.file.as_uri()}#screen=names{more}")
        self.quiet()

    def quiet(self) -> None:
        self.browser.wait_for("document.body.dataset.busy === ''", 60)

    def until(self, condition: str) -> None:
        self.browser.wait_for(condition, 30)

    def press(self, which: str) -> None:
        self.browser.evaluate(f"document.querySelector({which!r}).click()")

    def set(self, name: str, value: Any, kind: str = "input") -> None:
        self.browser.evaluate(
            f"(() => {{ const it = document.getElementById('set-{name}'); it.value = {value!r};"
            f" it.dispatchEvent(new Event('{kind}', {{ bubbles: true }})); }})()"
        )

    def step(self) -> None:
        before = int(self.data("step"))
        self.browser.evaluate("document.activeElement.blur()")
        self.browser.key("ArrowRight")
        self.until(f"document.body.dataset.step === '{before + 1}'")

    def data(self, name: str) -> str:
        return str(self.browser.evaluate(f"document.body.dataset.{name}"))

    def text(self, which: str) -> str:
        return str(self.browser.evaluate(f"document.querySelector({which!r}).innerText"))

    def texts(self, which: str) -> list[str]:
        return list(self.browser.evaluate(f"[...document.querySelectorAll({which!r})].map(it => it.innerText)"))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("names") / "play.html"
    play_page(screens=["names"]).save(path)
    return path


@pytest.fixture
def screen(browser: Browser, file: Path) -> Iterator[Screen]:
    yield Screen(browser, file)
    assert browser.console == []
    assert [address for address in browser.requests if not address.startswith(("blob:", "file:"))] == []


@pytest.mark.parametrize("more", [QUICK, "&model=mlp&rate=0.01", "&model=bigram&rate=0.1", "&model=counting"])
def test_twenty_steps_in_the_page_are_those_of_its_python(screen: Screen, more: str, tmp_path: Path) -> None:
    screen.open(f"{more}&run=20&seed=4")
    assert screen.data("step") == "20"
    screen.press("#python")
    (tmp_path / "program.py").write_text(screen.browser.evaluate("document.getElementById('python-text').textContent"))
    program = [sys.executable, str(tmp_path / "program.py")]
    done = subprocess.run(program, cwd=Path(__file__).parents[3], text=True, capture_output=True, check=True)
    step, loss = done.stdout.splitlines()[-1].split()
    assert step == "20"
    assert float(screen.data("loss")) == pytest.approx(float(loss), rel=0, abs=1e-9)


def test_the_first_loss_is_guessed_before_it_is_seen(screen: Screen) -> None:
    screen.open("&model=counting")
    assert screen.data("loss") == screen.data("val") == ""
    screen.browser.evaluate("document.getElementById('guess').focus()")
    screen.browser.type("3")
    screen.browser.key("Enter", "\r")
    assert "one step" in screen.text(".guess")
    screen.step()
    screen.until("document.querySelector('.guess').innerText.includes('You said 3; it was 3.296')")
    assert float(screen.data("loss")) == pytest.approx(math.log(27))
    screen.press("[data-kind=mlp]")  # a guess is made for one run only
    screen.until("document.body.dataset.step === '0' && !document.getElementById('guess').hidden")
    assert screen.browser.evaluate("document.getElementById('guess').value") == ""
    screen.browser.evaluate("document.getElementById('guess').focus()")
    screen.browser.type("banana")
    screen.browser.key("Enter", "\r")
    assert "Type a number" in screen.text(".guess")
    assert "3.296" not in screen.text(".losses")
    screen.browser.evaluate("document.getElementById('guess').value = '3,2'")
    screen.browser.key("Enter", "\r")
    screen.step()
    screen.until("document.querySelector('.guess').innerText.includes('You said 3.2; it was')")
    assert "saw only one name" in screen.text(".guess")


def test_a_bar_is_as_tall_as_its_surprise(browser: Browser, tmp_path: Path) -> None:
    """Looked at in the page with all screens, which share one style sheet."""
    play_page().save(tmp_path / "play.html")
    screen = Screen(browser, tmp_path / "play.html")
    screen.open("&model=counting&run=100&name=christopher")
    tall = screen.browser.evaluate(
        "[...document.querySelectorAll('.stick')].map(e => e.getBoundingClientRect().height)"
    )
    surprise = screen.browser.evaluate("now.frame.typed.surprise")
    scale = max(tall) / max(surprise)
    assert tall == pytest.approx([scale * x for x in surprise], abs=1)
    wide = screen.browser.evaluate(
        "[...document.querySelectorAll('.amount')].map(e => e.getBoundingClientRect()).map(r => [r.left, r.right])"
    )
    assert all(left[1] <= right[0] for left, right in itertools.pairwise(wide))
    assert [text.count(".") for text in screen.texts(".amount")] == [1] * 12


@pytest.mark.parametrize("more", ["", "&run=60&layers=3&name=maximilian&temperature=0&unit=bits", "&model=counting"])
def test_all_of_it_is_seen_at_once(screen: Screen, more: str) -> None:
    screen.browser.call("Emulation.setDeviceMetricsOverride", width=1280, height=720, deviceScaleFactor=1, mobile=False)
    screen.open(f"&theme=light{more}")
    assert screen.browser.evaluate("document.documentElement.scrollHeight") == 720
    screen.open("&theme=beamer&run=60")
    assert screen.browser.evaluate("document.documentElement.scrollHeight") == 720
    screen.open(f"&theme=beamer{more}")  # of more layers it scrolls, but not sideways
    assert screen.browser.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    screen.browser.call("Emulation.clearDeviceMetricsOverride")


def test_a_telephone_shows_the_loss_first_and_folds_what_is_set(screen: Screen) -> None:
    call = screen.browser.call
    call("Emulation.setDeviceMetricsOverride", width=375, height=812, deviceScaleFactor=1, mobile=True)
    try:
        screen.open(f"{QUICK}&run=3")
        tops = "['losses', 'written', 'own-name', 'model', 'view'].map(name => document.querySelector(`.${name}`).getBoundingClientRect().top)"  # noqa: E501
        found = screen.browser.evaluate(tops)
        assert found == sorted(found)
        assert screen.browser.evaluate("document.documentElement.scrollHeight") < 1800
        slider = "document.getElementById('set-temperature').getClientRects().length"
        for there in (1, 0):
            screen.press(".next .fold")
            assert screen.browser.evaluate(slider) == there
            pressed = screen.browser.evaluate("document.querySelector('.next .fold').getAttribute('aria-expanded')")
            assert pressed == ("true" if there else "false")
    finally:
        call("Emulation.clearDeviceMetricsOverride")


def test_counting_ends_when_all_names_are_read(screen: Screen) -> None:
    screen.open("&model=counting")
    screen.press("#play")
    screen.quiet()
    assert screen.data("step") == "535"
    assert screen.text(".written .note").startswith("Step 535")


def test_a_letter_under_the_pointer_shows_its_surprise_and_where_the_heads_look(screen: Screen) -> None:
    screen.open(f"{QUICK}&run=10&name=anna")
    screen.browser.evaluate(
        "document.querySelector('[data-place=\"4\"]').dispatchEvent(new PointerEvent('pointerenter'))"
    )
    assert screen.text(".next h2") == "What comes after “ann”"
    assert screen.text(".sentence").startswith("After “ann” it expected")
    looks = screen.texts(".look")
    assert len(looks) == 5
    assert sum(map(int, looks[:4])) == pytest.approx(100, abs=2)
    assert looks[4] == ""  # what comes is not seen
    screen.browser.evaluate(
        "document.querySelector('[data-place=\"4\"]').dispatchEvent(new PointerEvent('pointerleave'))"
    )
    assert screen.text(".next h2") == "What comes after “an”"
    screen.press("[data-place='1']")
    screen.until("location.hash.includes('place=1')")
    assert screen.text(".next h2") == "What comes first"


def test_temperature_draws_bars_and_names_again(screen: Screen) -> None:
    screen.open("&model=counting&run=535")
    before = screen.text(".ten")
    shares = screen.texts(".next .bar .value")
    screen.set("temperature", "0.1")
    screen.until(f"document.querySelector('.ten').innerText !== {before!r}")
    cold = screen.texts(".next .bar .value")
    assert int(cold[0].split()[0]) > 90 > int(shares[0].split()[0])
    screen.set("temperature", "3")
    screen.until("parseFloat(document.querySelector('.next .bar .value').innerText) < 15")
    screen.set("topK", "1")
    screen.until("document.querySelector('.next .bar .value').innerText === '100 %'")


def test_whose_name_is_least_likely(screen: Screen) -> None:
    screen.open("&model=counting&run=535&name=zoe")
    screen.browser.evaluate(
        "[...document.querySelectorAll('.own-name button')].find(it => it.innerText === 'Least likely names').click()"
    )
    screen.until("document.querySelector('dialog[open]') !== null")
    body = screen.text("dialog[open]")
    assert "zoe: 1 in " in body
    assert "of 594 names are less likely" in body
    screen.press("dialog[open] li button")
    screen.until("!document.querySelector('dialog[open]')")
    assert screen.browser.evaluate("document.getElementById('set-name').value") == "christopher"


def test_a_class_brings_its_own_names(screen: Screen) -> None:
    screen.open("&model=counting&run=3")
    screen.press(".own button")
    screen.browser.evaluate("document.getElementById('list').value = 'Ada, Ben'")
    screen.press("dialog[open] .use")
    screen.until(
        "document.querySelector('dialog[open]').innerText.includes('at least 10 different names, and this one has 2')"
    )
    names = "Ada, Ben, Cleo, Dora, Émile, Finn, Gus, Hanna, Ida, Jürgen, Ada, R2D2"
    screen.browser.evaluate(f"document.getElementById('list').value = {names!r}")
    screen.press("dialog[open] .use")
    screen.until("document.querySelector('.listed').innerText === 'Your 11 names, 2 held out'")
    assert "One name came more than once" in screen.text("#said")
    address = screen.browser.evaluate("location.hash")
    screen.until("location.hash.includes('names=')")
    screen.open("&model=counting&names=ada+ben+cleo+dora+émile+finn+gus+hanna+ida+jürgen&name=xaver")
    assert screen.text(".listed") == "Your 10 names, 1 held out"
    assert "Not in the list, so the model cannot read it: x v" in screen.text(".misread")
    screen.open("&model=counting&name=Zoë+Weiß")
    assert screen.text(".misread") == "ë is read as e. ß is read as ss."
    assert screen.browser.evaluate("now.frame.typed.name") == "zoeweiss"
    assert address


def test_an_earlier_run_keeps_its_name(screen: Screen) -> None:
    screen.open("&model=mlp&hidden=8&run=100")
    assert screen.text(".curve1").startswith("held-out (validation) ")
    screen.press("#play")
    screen.until("Number(document.body.dataset.step) > 110")
    for hidden in ("16", "32", "64"):  # with the arrow keys, one after the other, while it plays
        screen.set("hidden", hidden, "change")
    screen.until("document.body.dataset.step === '0' && document.body.dataset.busy === ''")
    assert re.match(r"before: MLP, 8 hidden, [\d,]+ steps, training ", screen.text(".curve2"))
    screen.press("#undo")  # the model itself comes back, too, and is no longer an earlier one
    screen.until("Number(document.body.dataset.step) > 110 && document.querySelector('.curve2') === null")
    assert screen.browser.evaluate("document.getElementById('set-hidden').value") == "8"
    screen.set("hidden", "64", "change")
    screen.until("document.body.dataset.step === '0' && document.body.dataset.busy === ''")
    screen.step()
    assert re.match(r"before: MLP, 8 hidden, [\d,]+ steps, training ", screen.text(".curve2"))
    screen.press(".own button")
    names = "Ada, Ben, Cleo, Dora, Emil, Finn, Gus, Hanna, Ida, Jana"
    screen.browser.evaluate(f"document.getElementById('list').value = {names!r}")
    screen.press("dialog[open] .use")  # the losses over another list cannot be compared
    screen.until("document.querySelector('.listed').innerText === 'Your 10 names, 1 held out'")
    assert screen.browser.evaluate("document.querySelector('.curve2')") is None


def test_training_pauses_while_a_list_is_read(screen: Screen) -> None:
    screen.open(QUICK)
    screen.press("#play")
    screen.until("Number(document.body.dataset.step) > 5")
    screen.press(".own button")
    screen.quiet()
    step = screen.data("step")
    screen.press("dialog[open] .close")
    screen.until(f"Number(document.body.dataset.step) > {step}")
    screen.press("#play")
    screen.quiet()


def test_the_table_is_read_with_keys_and_explained(screen: Screen) -> None:
    screen.open(f"{QUICK}&run=5")
    screen.browser.evaluate("document.querySelector('.picture canvas').focus()")
    for key in ("ArrowDown", "ArrowDown", "ArrowRight", "ArrowRight"):
        screen.browser.key(key)
    assert screen.text(".told").startswith("after a: b ")
    assert screen.data("step") == "5"  # the arrows did not train
    screen.browser.key("Enter")
    screen.until("!document.getElementById('explained').hidden")
    screen.until("document.getElementById('explained-title').innerText === 'score of “b” after ·a'")


def test_from_a_surprise_to_one_multiplication(screen: Screen) -> None:
    screen.open(f"{QUICK}&run=5")
    screen.press(".own-name [aria-label^=why]")
    screen.until("document.querySelectorAll('#explained li button').length > 1")
    assert screen.text("#explained-title") == "surprise at “m” after ·em"
    assert re.fullmatch(r"[\d.]+ nats \([\d.]+ bits\).*", screen.text("#explained .big"), re.S)
    screen.press(".next .bar")
    screen.until("document.getElementById('explained-title').innerText.startsWith('score of')")
    assert "a sum of 4 terms" in screen.text("#explained")
    screen.press("#explained li button")
    screen.until("document.getElementById('explained-title').innerText.includes('lm_head.weight')")
    numbers = screen.texts("#explained .formula")[1]
    assert "·" in numbers
    assert "=" in numbers


@pytest.mark.parametrize("model", ["counting", "bigram", "mlp", "gpt"])
def test_undo_takes_back_a_step(screen: Screen, model: str) -> None:
    screen.open(f"{QUICK}&model={model}&run=5")
    before = screen.data("loss")
    screen.step()
    assert screen.data("loss") != before
    screen.browser.key("ArrowLeft")
    screen.until("document.body.dataset.step === '5'")
    assert screen.data("loss") == before


def test_positions_are_switched_off(screen: Screen) -> None:
    screen.open(f"{QUICK}&run=5")
    on = screen.data("loss")
    screen.open(f"{QUICK}&positions=0&run=5")
    assert screen.data("loss") != on
    screen.press("#python")
    assert "model.transformer.learned = False" in screen.text("#python-text")


def test_undo_takes_back_a_setting(screen: Screen) -> None:
    screen.open(f"{QUICK}&run=3")
    screen.browser.evaluate("set({ rate: 0.5 })")
    screen.until("!document.querySelector('#undo').disabled")
    screen.step()
    for step, rate in ((3, 0.5), (3, 0.005), (2, 0.005)):
        screen.press("#undo")
        screen.until(f"document.body.dataset.step === '{step}' && now.settings.rate === {rate}")


def test_names_that_are_learned_by_heart_are_called_so(screen: Screen) -> None:
    names = "anna+berta+clara+dora+emil+fritz+gustav+heinz+ida+jakob+karl+lena"
    screen.open(f"&model=mlp&rate=0.05&batch=8&hidden=16&run=150&names={names}")
    said = screen.text(".verdict")
    assert "learns its names by heart (overfitting)" in said
    assert "Only 2 names are held out" in said
    assert "First below" not in said


def test_a_rate_that_is_too_high_gets_advice(screen: Screen) -> None:
    screen.open(f"{QUICK}&rate=1&run=50")
    assert "The learning rate is too high: take it back with ◀, or set it to 0.005" in screen.text(".verdict")


@pytest.mark.parametrize(("held_out", "aim"), [(2.9, "pairs 2.5"), (3.1, "letters 3"), (2.4, "")])
def test_the_next_aim_is_better_than_all_simpler_ones(screen: Screen, held_out: float, aim: str) -> None:
    """Of a short list triples can be worse than pairs, and then nobody need reach them first."""
    screen.open("&run=1")
    screen.browser.evaluate(f"""
        var rungs = Object.entries({{ guessing: 3.3, letters: 3, pairs: 2.5, triples: 2.8 }});
        var measured = {{ steps: [1], losses: [{held_out}], vals: [{held_out}] }};
        [...now.view.draw({{ ...now.frame, ladder: rungs.map(([name, loss]) => ({{ name, loss }})), history: measured,
          best: {{ val: {held_out}, step: 1 }} }})];
        0""")
    assert re.findall(r"next: (\w+ [\d.]*\d)", screen.text(".verdict")) == [aim] * bool(aim)


def test_no_name_covers_a_curve(screen: Screen) -> None:
    screen.open(f"{QUICK}&run=30")
    screen.browser.evaluate(
        "window.far = { words: [], curve: 0 }; for (const [name, see] of [['fillText', (text, x) => {"
        " if (/pairs|triples|letters|guessing/.test(text)) far.words.push(x); }],"
        " ['lineTo', (x) => { if (!far.words.length) far.curve = Math.max(far.curve, x); }]]) {"
        " const own = CanvasRenderingContext2D.prototype[name];"
        " CanvasRenderingContext2D.prototype[name] = function (...given) {"
        " if (this.canvas.closest('.chart-place')) see(...given); own.apply(this, given); }; }"
    )
    screen.step()
    assert len(set(screen.browser.evaluate("far.words"))) == 1  # one below the other
    assert screen.browser.evaluate("far.words[0]") > screen.browser.evaluate("far.curve")
