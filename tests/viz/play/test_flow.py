"""The screen "A flow": the same numbers as Python, Euler's steps, and what a learner does with it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.viz.browser import Browser
from tests.viz.play.in_node import run
from tests.viz.play.screens import Opened, program
from tinygrad_edu.nn import Linear

SETTINGS = {
    "data": "moons", "own": "", "hidden": 6, "batch": 8, "rate": 0.02, "euler": 4, "t": 0.5, "start": "-1,1",
    "seed": "3",
}  # fmt: skip


def flow(code: str, **settings: Any) -> Any:
    return run(f"const m = new MODELS.flow(given);{code}", {**SETTINGS, **settings}, screens=["flow"])


@pytest.mark.node
def test_a_particle_takes_the_steps_of_euler_that_python_takes() -> None:
    frame = flow("return m.frame();")
    rng = random.Random(3)
    enter, middle, leave = Linear(3, 6, rng=rng), Linear(6, 6, rng=rng), Linear(6, 2, rng=rng)
    point, way = [-1.0, 1.0], [-1.0, 1.0]
    for step in range(4):
        h = [z.relu() for z in enter([*point, step / 4])]
        v = [z.data for z in leave([z.relu() for z in middle(h)])]
        if step == 2:  # at t = 0.5
            assert frame["v"] == pytest.approx(v, rel=1e-12)
        point = [x + v / 4 for x, v in zip(point, v, strict=True)]
        way += point
    assert frame["mine"] == pytest.approx(way, rel=1e-12)
    assert frame["at"] == 2


@pytest.mark.node
def test_distances_are_those_to_the_nearest() -> None:
    found = flow("m.pictures = [[0, 0], [3, 4]]; return m.distances([[0, 1], [0, 2], [3, 4]]);")
    assert found == {"off": 1.0, "missed": 0.5}  # (1 + 2 + 0) / 3 and (1 + 0) / 2


@pytest.mark.node
def test_one_picture_leaves_nothing_to_guess_and_two_do() -> None:
    """With one picture p, v = (p − x) / (1 − t) is known; with two, at t = 0 nobody knows which."""
    code = "for (let i = 0; i < 600; i++) m.step(); m.measure(); return [m.val, m.frame()];"
    one, _ = flow(code, data="dot", hidden=16, batch=32)
    two, frame = flow(code, data="dots", hidden=16, batch=32, euler=1)
    assert one < 0.1 < 0.5 < two
    count = len(frame["ways"]) // 4
    ends = [frame["ways"][2 * count + k :: 2] for k in (0, 1)]
    means = [sum(p[k] for p in frame["pictures"]) / len(frame["pictures"]) for k in (0, 1)]
    for end, mean in zip(ends, means, strict=True):  # in one step all go to the middle
        assert sum(end) / count == pytest.approx(mean, abs=0.2)


@pytest.mark.node
def test_undo_takes_back_everything() -> None:
    first, again, events = flow(
        """
        const steps = () => { for (let i = 0; i < 6; i++) m.step(); };
        const go = () => { steps(); m.measure(); return [m.loss, m.val, ...m.frame().mine]; };
        go();
        const kept = m.keep(), first = go();
        m.back(kept);
        return [first, go(), m.events.length];
        """
    )
    assert first == again
    assert events == 0


@pytest.mark.node
def test_what_becomes_infinite_is_named() -> None:
    message = flow(
        "try { for (let i = 0; i < 40; i++) { m.optimizer.lr = 1e80; m.step(); } }"
        "catch (error) { return error.message; }"
        "return '';"
    )
    assert "became" in message
    assert "a lower learning rate helps" in message


@pytest.mark.node
def test_the_velocity_of_the_particle_is_explained_down_to_its_numbers() -> None:
    frame, told, point = flow(
        "const f = m.frame(), told = m.ask({ ref: f.refs[0] });"
        "let at = told; const next = () => at.rows.find(r => r.ref >= m.here.start).ref;"
        "while (at.title !== 'x') at = m.ask({ ref: next() });"
        "return [f, told, at];"
    )
    assert told["title"] == "v across"
    assert told["value"] == frame["v"][0]
    assert "your particle" in told["more"]
    assert point["value"] == frame["mine"][2 * frame["at"]]


@pytest.fixture(scope="module")
def opened(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return Opened(browser, tmp_path_factory.mktemp("flow"), "flow")


@pytest.fixture
def page(opened: Opened) -> Iterator[Opened]:
    yield opened
    opened.quiet()


QUIET = "document.body.dataset.busy === ''"


@pytest.mark.browser
@pytest.mark.parametrize("data", ["moons", "spiral", "dots", "dot", "own"])
def test_twenty_steps_are_those_of_python(page: Opened, data: str) -> None:
    page.open(data=data, hidden=5, batch=4, run=12, rate=0.02)
    page.fill("#set-rate ~ .exact", "0.05")
    for step in range(13, 21):
        page.press("#step")
        page.until(f"{QUIET} && document.body.dataset.step === '{step}'")
    steps = program(page.python()).splitlines()
    assert steps[-1].split()[0] == "20"
    assert float(steps[-1].split()[1]) == pytest.approx(float(page.data("loss")), rel=1e-9)


@pytest.mark.browser
def test_it_flows_from_noise_to_the_pictures(page: Opened) -> None:
    page.open(run=30, hidden=8, batch=8, euler=5)
    page.press("#flow-go")
    page.until("Number(now.settings.t) === 1")
    assert page.text("#flow-go") == "Let it flow"
    assert page.text(".hand h2").startswith("Your particle: step 5 of 5, t = 0.8")
    ends = page.evaluate("[now.frame.mine.at(-2), now.frame.mine.at(-1)]")
    assert page.text(".hand .formula").split("= ")[1].replace("−", "-") == f"{ends[0]:.3g}"


@pytest.mark.browser
def test_a_click_puts_the_particle_there_and_so_do_keys(page: Opened) -> None:
    page.open(t=0.4)
    page.press(".plane canvas", (0.75, 0.25))
    page.until(f"{QUIET} && now.frame.start === '1.2,1.2'")
    assert page.evaluate("now.settings.t") == 0
    page.evaluate("document.querySelector('.plane canvas').focus()")
    page.key("ArrowLeft")
    page.until("now.frame.start === '1.1,1.2'")


@pytest.mark.browser
@pytest.mark.parametrize("touch", [False, True])
def test_pictures_are_painted_and_taken_back(page: Opened, touch: bool) -> None:
    page.open(data="own", phone=touch)
    before = page.evaluate("now.frame.pictures.length")
    page.drag(".plane canvas", (0.6, 0.6), (0.75, 0.6), touch=touch)
    page.until(f"{QUIET} && now.frame.pictures.length > {before + 2}")
    x, y = page.evaluate("now.frame.pictures.at(-1)")
    assert 0.9 < x < 1.3  # (2 · 0.75 − 1) · 2.4 = 1.2
    assert y == pytest.approx(-0.48, abs=0.02)
    page.press("#undo")
    page.until(f"{QUIET} && now.frame.pictures.length === {before}")
    page.press("#flow-clear")
    page.until(f"{QUIET} && now.frame.pictures.length === 1")


@pytest.mark.browser
def test_one_step_tells_why_all_land_in_one_place(page: Opened) -> None:
    page.open(run=300, hidden=16, batch=32, euler=1)
    page.until("document.querySelector('.facts').textContent.includes('they all go to the middle of the pictures')")
    page.evaluate("set({ euler: 2 })")
    page.until("document.querySelector('.facts').textContent.startsWith('After 2 Euler steps')")
    assert "middle" not in page.text(".facts")
