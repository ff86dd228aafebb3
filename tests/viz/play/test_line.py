"""The screen "A line": trained on the tape as Python trains, every control in a real browser."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.viz.charts import check_accessible
from tests.viz.play.in_node import run
from tests.viz.play.screens import Opened, program
from tinygrad_edu import Value

POINTS = [(1.0, 2.1), (2.0, 3.9), (3.0, 6.1), (4.0, 7.8), (5.0, 10.0)]  # of lesson 2


def model(code: str, **settings: Any) -> Any:
    """Run statements about ``m``, the model of the screen."""
    given = {
        "points": "1,2.1 2,3.9 3,6.1 4,7.8 5,10",
        "w": "0",
        "b": "0",
        "rate": 0.05,
        "error": "squared",
        "seed": "1",
    }
    return run(f"const m = new MODELS.line(given); {code}", {**given, **settings}, screens=["line"])


def trained(points: list[tuple[float, float]], rate: float, steps: int, *, absolute: bool = False) -> list[float]:
    """The losses of the same training with Values."""
    w, b, losses = Value(0.0), Value(0.0), []
    for _ in range(steps + 1):
        errors = [w * x + b - y for x, y in points]
        loss = sum(abs(e) if absolute else e**2 for e in errors) / len(points)
        losses.append(loss.data)
        w.zero_grad()
        b.zero_grad()
        loss.backward()
        w.data -= rate * w.grad
        b.data -= rate * b.grad
    return losses


TRAIN = "const losses = [m.loss]; for (let i = 0; i < 30; i++) { m.step(); losses.push(m.loss); } return losses;"


@pytest.mark.node
@pytest.mark.parametrize(
    ("rate", "error"), [(0.001, "squared"), (0.05, "squared"), (0.09, "squared"), (0.05, "absolute")]
)
def test_training_is_python_s(rate: float, error: str) -> None:
    expected = trained(POINTS, rate, 30, absolute=error == "absolute")
    assert model(TRAIN, rate=rate, error=error) == pytest.approx(expected, rel=1e-12)


@pytest.mark.node
def test_the_best_line_and_the_largest_rate() -> None:
    found = model("return [m.best, m.leastSquares(), m.limit()];")
    w, b = np.polyfit(*zip(*POINTS, strict=True), 1)
    assert (found[0]["w"], found[0]["b"]) == pytest.approx((w, b))
    assert found[0]["loss"] == pytest.approx(0.0118)
    assert found[1] == pytest.approx({"w": w, "b": b})
    assert found[2]["rate"] == pytest.approx(2 / (2 * (6 + 34**0.5)))
    explode = "m.settings.rate = %s; for (let i = 0; i < 900; i++) m.step(); return [m.loss, m.exploding];"
    below, above = 0.999 * found[2]["rate"], 1.02 * found[2]["rate"]
    assert model(explode % below) == [pytest.approx(1, abs=0.9), False]
    assert model(f"try {{ {explode % above} }} catch (error) {{ return [error.message, m.exploding]; }}")[1]


@pytest.mark.node
def test_the_best_line_of_the_absolute_error_beats_all_others() -> None:
    rng = np.random.default_rng(0)
    xs, noise = rng.uniform(0, 6, 9), rng.normal(size=9)
    points = [(round(x, 1), round(2 * x - 1 + e, 1)) for x, e in zip(xs, noise, strict=True)]
    points[3] = (points[3][0], 40.0)
    best = model("return m.best;", points=" ".join(f"{x},{y}" for x, y in points), error="absolute")

    def loss(w: float, b: float) -> float:
        return float(np.mean([abs(w * x + b - y) for x, y in points]))

    assert best["loss"] == pytest.approx(loss(best["w"], best["b"]))
    assert all(
        loss(best["w"] + dw, best["b"] + db) >= best["loss"] - 1e-12 for dw, db in rng.normal(size=(500, 2)) * 0.1
    )


@pytest.mark.node
def test_undo_restores_points_line_path_and_curve() -> None:
    code = """const kept = []; for (let i = 0; i < 6; i++) { kept.push(m.keep()); m.step(); }
      const at3 = m.frame(); kept.push(m.keep());
      m.change({ ...m.settings, points: "0,0 1,1" }); m.change({ ...m.settings, error: "absolute" });
      const moved = [m.points.length, m.since, m.best.loss];
      m.back(kept[3]); const { text: points, since, curve: { steps }, path, error } = m.frame();
      return { moved, points, since, loss: m.loss, steps, path: path.map(p => p[2]), error };"""
    found = model(code)
    assert found["moved"] == [2, 0, 0]
    assert found["points"] == "1,2.1 2,3.9 3,6.1 4,7.8 5,10"
    assert (found["since"], found["error"]) == (3, "squared")
    assert found["steps"] == [0, 1, 2, 3] == found["path"]
    assert found["loss"] == pytest.approx(trained(POINTS, 0.05, 3)[3], rel=1e-12)


@pytest.mark.node
def test_the_map_is_the_loss() -> None:
    found = model("const map = m.map(); return { ...map, at: m.lossAt(map.w, -map.b) };")
    size, losses = found["size"], found["losses"]
    assert losses[size - 1] == found["at"]
    middle = losses[(size // 2) * size + size // 2]
    assert middle == pytest.approx(43.534)


@pytest.mark.node
def test_odd_points() -> None:
    for points in ("1,1", "2,1 2,3", "1,2 1,2 1,2"):
        found = model("m.step(); return [m.loss, m.best.loss, m.limit().rate, m.map().losses[0]];", points=points)
        assert all(np.isfinite(found)), points
    for points in ("", "1", "a,b", "1,2,3", " ".join(["1,2"] * 61), "1e9,0"):
        assert model("return m.points.length;", points=points) == 5, points
    found = model("const first = m.drawn(3); return [first, m.drawn(3), m.drawn(4)];")
    assert found[0] == found[1] != found[2]


# --- in the browser ---------------------------------------------------------------------------------------------------


@pytest.fixture
def screen(browser: Any, tmp_path: Any) -> Opened:
    return Opened(browser, tmp_path, "line", also=["point"])  # which has the rows of w and b


@pytest.mark.browser
def test_twenty_steps_equal_python_s(screen: Opened) -> None:
    for settings in (
        {},
        {"rate": "0.05", "w": "1", "b": "-2", "points": "0,1 1.5,-2 4,3"},
        {"error": "absolute", "rate": "0.02"},
    ):
        screen.open(run=20, **settings)
        assert screen.data("step") == "20"
        assert float(screen.data("loss")) == pytest.approx(float(program(screen.python())), rel=1e-9)


@pytest.mark.browser
def test_damaged_links_open_with_what_is_right_in_them(screen: Opened) -> None:
    for settings in ({"w": "abc"}, {"w": "1e300"}, {"points": "zz"}, {"seed": "q"}, {"error": "zz"}):
        screen.open(**settings)
        assert (screen.data("loss"), screen.data("error")) == ("43.534", "")
        screen.until("location.hash === '#screen=line'")
        screen.quiet()


@pytest.mark.browser
def test_training_begins_after_trying(screen: Opened) -> None:
    screen.open()
    assert screen.evaluate("document.querySelector('#play').disabled")
    screen.key("ArrowRight")
    assert screen.data("step") == "0"
    screen.evaluate("""document.body.dataset.later = 0;
        const real = performance.now.bind(performance);
        performance.now = () => real() + 1000 * document.body.dataset.later;""")
    for k in range(13):
        screen.slide('[data-leaf="w"] input', 0.1 * (k + 1))
    assert screen.evaluate("document.querySelector('#play').disabled")
    screen.evaluate("document.body.dataset.later = 6")
    screen.slide('[data-leaf="b"] input', 0.5)
    screen.until("!document.querySelector('#play').disabled && location.hash.includes('tried=1')")
    assert screen.text(".score").startswith("yours ")
    screen.key("ArrowRight")
    screen.until("document.body.dataset.step === '1'")
    screen.open()
    screen.press("#line-train")
    screen.until("Number(document.body.dataset.step) > 2")
    assert "The machine is ahead." in screen.text(".score")
    screen.press("#play")
    screen.open(w=2, b=0)  # a contest: the machine begins where everybody does
    screen.press("#line-train")
    screen.until("Number(document.body.dataset.step) > 3")
    assert "You are ahead." in screen.text(".score")
    screen.press("#play")
    screen.open(tried=1)
    assert not screen.evaluate("document.querySelector('#play').disabled")
    screen.open()
    screen.fill('[data-leaf="w"] input[type=text]', "1.97")  # whoever is that near need not wait
    screen.until("!document.querySelector('#play').disabled && location.hash.includes('tried=1')")
    screen.quiet()


@pytest.mark.browser
def test_points_are_dragged_added_and_removed(screen: Opened) -> None:
    screen.open(tried=1)

    def points() -> list[str]:
        return str(screen.evaluate("new URLSearchParams(location.hash.slice(1)).get('points') ?? ''")).split()

    for touch, phone in ((False, False), (True, False), (True, True)):
        screen.open(tried=1, phone=phone)
        screen.drag_by(".dot:nth-child(5)", (0, 90), touch=touch)
        screen.until("location.hash.includes('points')")
        assert len(points()) == 5
        assert float(points()[4].split(",")[1]) < 8
        screen.press("#undo")
        screen.until("!location.hash.includes('points')")
    screen.open(tried=1)
    screen.press(".plot svg", (0.3, 0.2))
    screen.until("document.querySelectorAll('.dot').length === 6")
    screen.until("location.hash.includes('points')")
    screen.press("#line-remove")
    screen.until("document.querySelectorAll('.dot').length === 5")
    screen.press("#line-add")
    screen.until("document.querySelectorAll('.dot').length === 6")
    screen.evaluate("document.querySelector('.dot:nth-child(6)').focus()")
    before = screen.evaluate("document.querySelector('.dot:nth-child(6)').getAttribute('aria-label')")
    screen.key("ArrowUp")
    screen.until(f"document.querySelector('.dot:nth-child(6)').getAttribute('aria-label') !== {before!r}")
    assert screen.data("step") == "0"
    screen.key("Delete")
    screen.until("document.querySelectorAll('.dot').length === 5")
    screen.press("#line-mistype")
    screen.until("location.hash.includes('5%2C20')")
    screen.quiet()


@pytest.mark.browser
def test_by_hand_on_the_map_and_by_field(screen: Opened) -> None:
    screen.open(tried=1)
    for touch in (False, True):
        before = screen.data("loss")
        screen.drag(".map canvas", (0.5, 0.5), (0.71, 0.45), touch=touch)
        screen.until(f"document.body.dataset.loss !== '{before}'")
        screen.press("#undo")
        screen.until(f"document.body.dataset.loss === '{before}'")
    screen.fill('[data-leaf="w"] input[type=text]', "1.97")
    screen.fill('[data-leaf="b"] input[type=text]', "0.07")
    screen.until("document.querySelector('.score').textContent.startsWith('yours 0.0118, your best 0.0118')")
    screen.fill('[data-leaf="b"] input[type=text]', "x")
    assert "expected a number" in screen.text(".line .problem")
    screen.press("#set-squares")
    screen.until("document.querySelectorAll('.error').length === 0")
    screen.press("#set-least")
    screen.until("document.querySelectorAll('.least').length === 1")
    least = "document.querySelector('.least').outerHTML"
    squared = screen.evaluate(least)
    screen.choose("#set-error", "absolute")
    screen.until("location.hash.includes('error=absolute')")
    assert screen.until(least) != squared
    screen.press("#set-squares")
    screen.press("#new-seed")
    screen.until("document.querySelectorAll('.dot').length === 9")
    screen.quiet()


@pytest.mark.browser
def test_the_largest_stable_rate_is_told_when_it_was_found(screen: Opened) -> None:
    screen.open(tried=1, rate="0.02", speed=0)
    screen.slide("#set-rate", 800)
    screen.press("#play")
    screen.until("document.body.dataset.error !== ''")
    assert "leaps over the valley" in screen.text("#trouble-text")
    screen.until("document.querySelector('.told').textContent.startsWith('It explodes')")
    screen.press("#trouble-back")
    screen.until("document.querySelector('#trouble').hidden && /rate=0.5/.test(location.hash)")
    assert "0.0845" not in screen.evaluate("document.body.innerText")
    for rate, found in (("0.07", False), ("0.084", True)):
        screen.open(tried=1, rate=rate, run=30)
        assert ("= 0.0845" in screen.text(".told")) == found
    screen.quiet()


@pytest.mark.browser
@pytest.mark.axe
@pytest.mark.parametrize("look", ["light", "dark", "beamer"])
def test_it_fits_and_is_accessible(screen: Opened, look: str) -> None:
    screen.open(theme=look, run=5, least=1)
    check_accessible(screen.browser)
    if look != "beamer":
        width, height = screen.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
        assert width <= 1280
        assert height <= 720
    screen.open(theme=look, phone=True)
    check_accessible(screen.browser)
    assert screen.evaluate("document.documentElement.scrollWidth") <= 375
    assert screen.small_targets() == []
    screen.quiet()


@pytest.mark.browser
def test_every_let_it_train_begins_at_zero(screen: Opened) -> None:
    screen.open(tried=1, rate="0.08", speed=0)
    screen.press("#line-train")
    screen.until("now.frame.since > 300")
    screen.press("#play")
    screen.until("document.body.dataset.busy === ''")
    screen.evaluate("set({ speed: '2', rate: 0.01 })")
    screen.press("#line-train")
    screen.until("now.running && now.frame.since > 0 && now.frame.since < 20")
    screen.press("#play")
    screen.until("document.body.dataset.busy === ''")
    since, path, start, loss = screen.evaluate("[now.frame.since, now.frame.path, now.frame.start, now.frame.loss]")
    assert start == {"w": 0, "b": 0}
    assert path[0][:2] == [0, 0]  # nothing of the old path
    assert len(path) == since + 1
    assert loss == pytest.approx(trained(POINTS, 0.01, since)[since], rel=1e-9)
    screen.quiet()


@pytest.mark.browser
def test_a_rate_out_of_reach_is_said(screen: Opened) -> None:
    screen.open(tried=1)
    screen.fill(".exact", "50")
    screen.until("document.querySelector('#said').textContent.includes('from 0.0001 to 1; it is 1 now')")
    screen.quiet()


@pytest.mark.browser
def test_other_points_are_not_chosen(screen: Opened) -> None:
    screen.open(tried=1)
    screen.press(".dot:nth-child(2)")
    screen.until("document.querySelector('.dot.chosen') && !document.querySelector('#line-remove').disabled")
    screen.press("#new-seed")
    screen.until("now.frame.points.length === 9 && !document.querySelector('.dot.chosen')")
    assert screen.evaluate("document.querySelector('#line-remove').disabled")
    screen.quiet()


@pytest.mark.browser
def test_what_the_machine_found_is_not_the_best_by_hand(screen: Opened) -> None:
    screen.open(run=30)
    screen.press("#line-mistype")
    screen.until("now.frame.text.endsWith('5,20') && document.body.dataset.busy === ''")
    assert "your best" not in screen.text(".score")
    screen.fill('[data-leaf="w"] input[type=text]', "3")
    screen.until("document.querySelector('.score').textContent.includes(`your best ${short(now.frame.loss)}`)")
    screen.quiet()


@pytest.mark.browser
def test_a_link_keeps_the_best_by_hand(screen: Opened) -> None:
    screen.open(tried=1, w=2)
    screen.until("location.hash.includes('mine=')")
    best = screen.evaluate("now.frame.loss")
    screen.press("#line-train")
    screen.until("now.frame.since > 3")
    screen.press("#play")
    screen.until("document.body.dataset.busy === '' && location.hash.includes('run=')")
    said, link = screen.text(".score"), screen.evaluate("location.hash")
    screen.open()
    screen.browser.open(f"{screen.path.as_uri()}{link}")
    screen.until("document.body.dataset.busy === ''")
    assert screen.text(".score") == said
    assert "You are ahead." in said
    assert f"mine={best}" in link
    screen.quiet()
