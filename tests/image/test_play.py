"""``image play``: a trained painter in a page, which paints what Python paints."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from image.cli import main
from image.data import shapes
from tests.commands import refusal
from tests.viz.browser import Browser
from tests.viz.charts import check_accessible
from tests.viz.play.in_node import run
from tests.viz.play.screens import opening, program

Open = Callable[..., Browser]
PAINTERS = ("digits", "digits-class", "shapes-text", "shapes-latent")


@pytest.fixture(scope="module")
def pages(trained: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    for name in PAINTERS:
        assert main(["play", str(trained[name]), "-o", str(folder / f"{name}.html"), "--no-open"]) == 0
    return {name: folder / f"{name}.html" for name in PAINTERS}


@pytest.fixture
def opened(browser: Browser, pages: dict[str, Path]) -> Iterator[Open]:
    with contextlib.ExitStack() as stack:
        yield lambda name, more="", **size: stack.enter_context(opening(browser, pages[name]))(f"paint{more}", **size)


@pytest.mark.browser
@pytest.mark.native
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("digits", ""),
        ("digits-class", "&guidance=1.5&digit=7"),
        ("digits-class", "&guidance=1"),
        ("digits-class", "&digit=none&seed=3"),
        ("shapes-text", "&guidance=3&prompt=a+small+ring,+top+left"),
        ("shapes-text", "&prompt=a+purple+ring"),
        ("shapes-latent", "&prompt=a+large+square"),
    ],
)
def test_the_page_paints_what_python_paints(opened: Open, name: str, settings: str) -> None:
    browser = opened(name, f"&run=5&euler=7&nth=4{settings}")
    browser.wait_for("document.body.dataset.step === '5' && document.body.dataset.busy === ''", 30)
    numbers = browser.evaluate("now.frame.numbers")
    printed = json.loads(program(browser.evaluate("now.view.python(now.settings, now.frame)")))
    assert numbers == pytest.approx(printed, abs=1e-4)
    assert np.ptp(numbers) > 0.1
    unknown = browser.evaluate("document.querySelector('.problem')?.textContent ?? ''")
    assert unknown.startswith("Words it knows: a, in, the, small") == ("purple" in settings)


@pytest.mark.browser
@pytest.mark.native
def test_a_step_is_taken_back_and_settings_paint_anew(opened: Open) -> None:
    browser = opened("digits-class", "&run=3&euler=6")
    first = browser.evaluate("now.frame.now")
    browser.evaluate("document.getElementById('step').click()")
    browser.wait_for("document.body.dataset.step === '4' && document.body.dataset.busy === ''")
    browser.evaluate("document.getElementById('undo').click()")
    browser.wait_for("document.body.dataset.step === '3' && now.frame.at === 3")
    assert browser.evaluate("now.frame.now") == first
    browser.evaluate("document.querySelector('[data-digit=\"5\"]').click()")
    browser.wait_for(f"String(now.frame.now[0]) !== {json.dumps(','.join(map(str, first[0])))} || now.frame.at !== 3")
    browser.evaluate("for (let i = 0; i < 3; i++) document.getElementById('step').click()")
    browser.wait_for("now.frame.at === 6 && now.done")
    browser.evaluate("set({ euler: 9 })")  # what was painted stays painted
    browser.wait_for("now.frame.at === 9 && now.frame.euler === 9")


@pytest.mark.browser
@pytest.mark.native
def test_one_pixel_is_worked_by_hand(opened: Open) -> None:
    browser = opened("digits-class", "&run=2&euler=4&guidance=3")
    browser.evaluate("document.querySelector('.large canvas').focus()")
    browser.key("ArrowLeft")
    lines = browser.evaluate("[...document.querySelectorAll('.hand p')].map(p => p.textContent.replaceAll('−', '-'))")
    frame, pixel = browser.evaluate("now.frame"), 4 * 8 + 3
    v, told, untold = (frame["v"][name][pixel] for name in ("v", "told", "untold"))
    assert lines[0].startswith("pixel in row 5, column 4")
    assert v == pytest.approx(untold + 3 * (told - untold), abs=1e-6)
    assert float(lines[1].split("= ")[-1]) == pytest.approx(v, rel=6e-3)
    assert float(lines[2].split("= ")[-1]) == pytest.approx(frame["numbers"][pixel] + v / 4, rel=6e-3, abs=1e-3)
    heading = frame["numbers"][pixel] + (1 - 2 / 4) * v
    assert frame["heading"][0][pixel] == pytest.approx(heading, abs=1e-6)


@pytest.mark.browser
@pytest.mark.native
@pytest.mark.parametrize("name", PAINTERS)
def test_the_screen_fits_a_projector_and_a_phone(opened: Open, name: str) -> None:
    for look in ("light", "beamer"):
        browser = opened(name, f"&theme={look}")
        size = browser.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
        assert size == [1280, 720]
    browser = opened(name, width=375, height=812)
    assert browser.evaluate("document.documentElement.scrollWidth") <= 375


@pytest.mark.axe
@pytest.mark.native
def test_the_screen_keeps_nobody_out(opened: Open) -> None:
    for name in ("digits-class", "shapes-text"):
        check_accessible(opened(name, "&run=3"))


@pytest.mark.node
def test_words_are_encoded_as_in_python() -> None:
    about = {"words": shapes.WORDS, "longest": shapes.LONGEST}
    prompts = ["a small ring, top left", "BIG hollow square in the middle", "a purple ring", "", "a a a a a a a a a"]
    found = run(
        "return given[0].map(text => MODELS.paint.encoded(text, given[1]));", [prompts, about], screens=["paint"]
    )
    assert found == [shapes.encode(prompts[0]), shapes.encode(prompts[1]), None, None, None]


@pytest.mark.node
def test_numbers_that_grow_without_end_are_said_to() -> None:
    about = {"count": 1, "numbers": 2, "condition": "class", "nothing": 10, "latent": False}
    settings = {"seed": "1", "digit": "3", "guidance": 8, "euler": 4, "nth": "0"}
    message = run(
        "const rows = [new Float32Array([3e38, 0]), new Float32Array([-3e38, 0])];"
        "const m = new MODELS.paint(given[0], given[1], { forward: () => rows.map(row => row.map(x => 1e300 * x)) });"
        "try { m.step(); } catch (error) { return error.message; } return '';",
        [settings, about],
        screens=["paint"],
    )
    assert message == "the numbers grew without end at step 1: use more Euler steps, or less guidance"


def test_points_are_painted_elsewhere(trained: dict[str, Path]) -> None:
    assert '"A flow" in the playground' in refusal(main, "play", str(trained["points"]))


def test_without_llvmlite_it_says_so(trained: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinygrad_edu.compiler.native.available", lambda: False)
    assert "llvmlite" in refusal(main, "play", str(trained["digits"]), "--no-open")
