"""What every screen of the playground must do, whatever it shows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from tests.viz.browser import Browser
from tests.viz.charts import check_accessible
from tests.viz.play.screens import opening
from viz.play.page import SCREENS, play_page

pytestmark = pytest.mark.browser

TOOLS = (Path(__file__).parent / "meddle.js").read_text(encoding="utf-8")

Open = Callable[..., Browser]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("play") / "play.html"
    play_page().save(file)
    return file


@pytest.fixture
def opened(browser: Browser, page: Path) -> Iterator[Open]:
    with opening(browser, page) as open_screen:
        yield lambda name, more="", **size: open_screen(f"{name}{more}", **size)


def test_the_page_keeps_to_its_size(page: Path) -> None:
    assert page.stat().st_size < 600_000


def test_the_looks_of_a_screen_do_not_reach_another() -> None:
    """All styles are in one page: a class without its screen in front of it must be that screen's alone."""
    play = files("viz") / "play"
    used = {name: (play / f"screen_{name}.js").read_text(encoding="utf-8") for name in SCREENS}
    for name in SCREENS:
        text = re.sub(r"@media[^{]*{|{[^{}]*}", "\n", (play / f"screen_{name}.css").read_text(encoding="utf-8"))
        bare = set(re.findall(r"(?:^|,)\s*\.([\w-]+)", text, re.M))  # also the screen's name, which is a class
        for other in set(SCREENS) - {name}:
            classes = {word for found in re.findall(r'class: "([^"]*)"', used[other]) for word in found.split()}
            assert bare & classes == set(), f"screen_{name}.css reaches into {other}"


def test_the_page_loads_nothing(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"""(?:src|href)=["'](?!#|data:)[^"']*["']""", text) == []
    assert "default-src 'none'" in text


@pytest.mark.parametrize("name", SCREENS)
@pytest.mark.parametrize("look", ["light", "dark", "beamer"])
@pytest.mark.axe
def test_a_screen_keeps_nobody_out(opened: Open, name: str, look: str) -> None:
    check_accessible(opened(name, f"&theme={look}&run=3"))


@pytest.mark.parametrize("name", SCREENS)
def test_a_screen_fits_a_projector_and_a_phone(opened: Open, name: str) -> None:
    browser = opened(name)
    assert browser.evaluate("document.documentElement.scrollWidth") <= 1280
    assert browser.evaluate(f"{TOOLS}; small()") == []
    browser = opened(name, width=375, height=812)
    assert browser.evaluate("document.documentElement.scrollWidth") <= 375
    assert browser.evaluate(f"{TOOLS}; tight()") == []


@pytest.mark.parametrize("look", ["light", "beamer"])
@pytest.mark.parametrize(
    "part", ["point", "line&tried=1", "network", "network&data=arms", "names", "read", "train", "flow"]
)
def test_a_screen_and_its_tasks_need_no_scrolling(opened: Open, part: str, look: str) -> None:
    browser = opened(part, f"&theme={look}&run=3")
    size = "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
    assert browser.evaluate(size) == [1280, 720]
    browser.evaluate("document.getElementById('tasks-open').click()")
    assert browser.evaluate(size) == [1280, 720] or part == "names"  # which needs the whole width


@pytest.mark.parametrize("look", ["light", "beamer"])
def test_a_neuron_with_an_explanation_beside_it_needs_no_scrolling(opened: Open, look: str) -> None:
    browser = opened("network", f"&theme={look}&run=5")
    browser.evaluate("document.querySelector('[data-unit=\"1-0\"]').click()")  # of four weights
    browser.wait_for("document.querySelectorAll('.network .weight').length === 5")
    browser.evaluate(
        "[...document.querySelectorAll('.network button')].find(b => b.textContent === 'Open the loss').click()"
    )
    browser.wait_for("!document.getElementById('explained').hidden")
    size = "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
    assert browser.evaluate(size) == [1280, 720]


def test_an_explosion_leaves_the_curve_in_sight(opened: Open) -> None:
    browser = opened("line", "&tried=1&rate=0.3")
    browser.evaluate("start(); 0")
    browser.wait_for("document.body.dataset.error !== '' && document.body.dataset.busy === ''")
    assert browser.evaluate("document.documentElement.scrollHeight") == 720


@pytest.mark.parametrize("name", SCREENS)
def test_all_tabs_are_in_sight_on_a_telephone(opened: Open, name: str) -> None:
    browser = opened(name, width=375, height=812)
    assert browser.evaluate(
        "[...document.querySelectorAll('#tabs a')].every(a => a.getBoundingClientRect().right < 376)"
    )
    browser.evaluate("document.getElementById('more').click()")
    other = "line" if name == "point" else "point"
    browser.evaluate(f"document.querySelector('#tabs [data-screen={other}]').click()")
    browser.wait_for(f"document.body.dataset.screen === '{other}' && document.body.dataset.busy === ''", 20)
    assert browser.evaluate("document.getElementById('more').getAttribute('aria-expanded')") == "false"


@pytest.mark.parametrize("name", SCREENS)
def test_every_control_can_be_used(opened: Open, name: str) -> None:
    browser = opened(name)
    browser.evaluate(f"{TOOLS}; meddle().then((found) => {{ window.found = found; }}); 0")
    browser.wait_for("window.found !== undefined", 240)
    assert browser.evaluate("window.found") == []


@pytest.mark.parametrize("name", SCREENS)
def test_two_openings_are_the_same(opened: Open, name: str) -> None:
    losses = []
    for _ in range(2):
        browser = opened(name, "&run=5")
        browser.wait_for("document.body.dataset.busy === ''", 30)
        losses.append((browser.evaluate("document.body.dataset.step"), browser.evaluate("document.body.dataset.loss")))
    assert losses[0] == losses[1]


#: Counts the pictures (canvases) that are drawn in a frame of the browser; each begins by clearing all of itself.
COUNT = """
var pictures = 0, most = 0;
{ const own = CanvasRenderingContext2D.prototype, clear = own.clearRect;
  own.clearRect = function (...box) { most = Math.max(most, ++pictures); clear.apply(this, box); };
  const next = () => { pictures = 0; requestAnimationFrame(next); };
  requestAnimationFrame(next); }
0"""

#: Arithmetic that takes about 20 ms on the usual machine.
SPIN = "(() => { let x = 1; for (let i = 0; i < 2.5e6; i++) x = Math.tanh(x + i); return x; })()"


@pytest.mark.parametrize(
    "part",
    ["line&tried=1", "network", "network&layers=8-8-8-8", "network&data=spiral&layers=8-8&speed=0", "names", "flow"],
)
def test_the_page_stays_free_while_it_trains(opened: Open, part: str) -> None:
    """One picture at a time; and no task takes 50 ms, of CPU time and on a machine as fast as the usual one."""
    browser = opened(part)
    with browser.recording_tasks() as spun:  # the machine's own pace
        for _ in range(3):
            browser.evaluate(SPIN)
    browser.evaluate(COUNT)
    with browser.recording_tasks() as tasks:
        browser.evaluate("start(); 0")
        browser.wait_for("Number(document.body.dataset.step) >= 40", 60)
        browser.evaluate("pause(); 0")
        browser.wait_for("document.body.dataset.busy === ''", 30)
    # In names, a text may change the size of a second one.
    assert browser.evaluate("most") <= (2 if part == "names" else 1)
    assert len(tasks) > 40
    assert max(tasks) < max(50, 2.5 * max(spun))


#: Gives every setting of a screen a value that it does not have by itself, and reads it back from the address.
THROUGH_THE_ADDRESS = """(name => {
  const settings = SCREENS[name].settings, wanted = {}, found = {};
  const words = ["2", "0.5", "1,1", "1-2", "none", "ab12+cd34-", "ab12", "a b&c=d#e+é%20\\n"];
  const values = { slider: one => [one.max, one.min], whole: one => [one.max, one.min], tick: () => [true, false],
    choice: one => Object.keys(one.options), words: () => [words.at(-1)], hidden: () => words.toReversed() };
  for (const [key, one] of Object.entries(settings)) {
    wanted[key] = values[one.kind](one).find(x => x !== one.value && one.read(written(x)) === x);
    found[key] = [wanted[key]];
    history.replaceState(null, "", addressOf(name, { ...read(name, new URLSearchParams()), [key]: wanted[key] }));
    const alone = read(address().name, address().words);
    const changed = Object.keys(settings).filter(other => alone[other] !== settings[other].value);
    found[key].push(alone[key], address().name, changed.join());
  }
  history.replaceState(null, "", addressOf(name, wanted));
  const all = read(address().name, address().words);
  return Object.keys(settings).map(key => [key, ...found[key], all[key]]);
})"""


def test_every_setting_of_every_screen_goes_through_the_address(browser: Browser, tmp_path: Path) -> None:
    names = (*SCREENS, "paint")
    play_page(screens=names).save(tmp_path / "play.html")
    with opening(browser, tmp_path / "play.html") as open_screen:
        open_screen("point")
        for name in names:
            found = browser.evaluate(f"{THROUGH_THE_ADDRESS}('{name}')")
            assert len(found) > 5
            for key, wanted, alone, screen, changed, together in found:
                assert wanted is not None, f"no other value of {name}, {key} is read"
                assert (alone, screen, changed, together) == (wanted, name, key, wanted), f"{name}, {key}"


@pytest.mark.parametrize("name", SCREENS)
def test_a_link_that_is_opened_has_all_that_was_set(opened: Open, name: str) -> None:
    """What a person sets with the controls is what another one gets by the link."""
    browser = opened(name)
    browser.evaluate("""
        var controls = [...document.querySelectorAll('#place :is([type=range], select, [type=checkbox])[id^=set-]')];
        for (const it of controls) {
          if (it.type === "checkbox") it.checked = !it.checked;
          else if (it.type === "range") it.value = it.value === it.min ? it.max : it.min;
          else it.value = [...it.options].find(one => one.value !== it.value && one.value !== "own").value;
          it.dispatchEvent(new Event(it.type === "range" ? "input" : "change", { bubbles: true }));
        }
        0""")
    browser.wait_for("document.body.dataset.busy === ''", 30)
    kept = browser.evaluate("wanted = JSON.stringify(now.settings)")
    browser.wait_for("JSON.stringify(read(now.name, address().words)) === wanted")
    link = browser.evaluate("location.hash")
    assert opened(name, link.removeprefix(f"#screen={name}")).evaluate("JSON.stringify(now.settings)") == kept


def test_tabs_keep_what_was_set(opened: Open) -> None:
    browser = opened(SCREENS[0], "&seed=7")
    for name in (*SCREENS[1:], SCREENS[0]):
        browser.evaluate(f"document.querySelector('#tabs [data-screen={name}]').click()")
        browser.wait_for(f"document.body.dataset.screen === '{name}' && document.body.dataset.busy === ''", 20)
    assert "seed=7" in browser.evaluate("location.hash")
