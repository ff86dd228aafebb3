"""The screen "A network": the same numbers as Python, its picture, its parts, and what a learner does with it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.viz.browser import Browser
from tests.viz.play.in_node import run
from tests.viz.play.screens import Opened, program

SETTINGS = {
    "data": "xor", "own": "", "count": "100", "noise": 0.05, "wrong": 0, "test": 0.4, "seed": "1", "layers": "4-2",
    "activation": "tanh", "optimizer": "sgd", "dropout": 0, "batch": 10, "rate": 0.1, "decay": 0, "point": "0",
}  # fmt: skip


def network(code: str, **settings: Any) -> Any:
    return run(f"const m = new MODELS.network(given);{code}", {**SETTINGS, **settings}, screens=["network"])


@pytest.mark.node
@pytest.mark.parametrize("data", ["xor", "arms"])
@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid", "clip", "linear"])
def test_a_batch_at_once_is_the_same_as_one_point_after_another(activation: str, data: str) -> None:
    at_once, alone = network(
        """
        const t = m.tape, numbers = () => [t.data.slice(0, m.root + 1), t.grad.slice(0, m.root + 1)];
        for (let i = 0; i < 30; i++) m.step();
        const seen = numbers();
        t.forward(m.parameters.length, m.root + 1);
        t.backward(m.root);
        return [seen, numbers()];
        """,
        activation=activation,
        data=data,
        dropout=0.2,
    )
    assert at_once == alone


@pytest.mark.node
@pytest.mark.parametrize("data", ["xor", "circles", "moons", "spiral", "arms"])
def test_data_have_all_kinds_and_wrong_labels_only_where_it_learns(data: str) -> None:
    right, wrong = network(
        "return [m, new MODELS.network({ ...given, wrong: 3 })].map(x => [x.train, x.test]);", data=data
    )
    assert [len(part) for part in right] == [60, 40]
    assert {label for _, _, label in right[0]} == ({0, 1, 2} if data == "arms" else {-1, 1})
    assert all(abs(x) < 1.3 and abs(y) < 1.3 and round(x, 3) == x for part in right for x, y, _ in part)
    assert sum(a != b for a, b in zip(right[0], wrong[0], strict=True)) == 3
    assert right[1] == wrong[1]


@pytest.mark.node
def test_undo_takes_back_everything() -> None:
    first, again, steps = network(
        """
        for (let i = 0; i < 7; i++) m.step();
        const kept = m.keep(), steps = () => { for (let i = 0; i < 15; i++) m.step(); };
        const go = () => { steps(); m.measure(); return [m.loss, m.val, ...m.frame().weights]; };
        m.edit({ parameter: 2, value: 0.5 });
        m.back(kept);
        const first = go();
        m.back(kept);
        return [first, go(), m.frame().events.length];
        """,
        dropout=0.3,
        optimizer="adam",
    )
    assert first == again
    assert steps == 0


@pytest.mark.node
def test_dead_units_are_found_over_all_points_and_proved_by_the_gradient() -> None:
    ill, gradients = network(
        """
        m.edit({ parameter: 2, value: -50 });
        const frame = m.frame();
        return [frame.ill, frame.grads.slice(0, 3)];
        """,
        activation="relu",
    )
    assert ill == [{"unit": 0, "name": "a₁", "kind": "dead"}]
    assert gradients == [0.0, 0.0, 0.0]


@pytest.mark.node
def test_what_becomes_nan_is_named() -> None:
    message, value = network(
        "try { m.edit({ parameter: 0, value: 1e200 }); m.edit({ parameter: 2, value: 1e308 });"
        "m.edit({ parameter: 1, value: -1e308 }); for (let i = 0; i < 5; i++) m.step(); }"
        "catch (error) { return [error.message, error.value]; }"
        "return ['', 0];",
        activation="linear",
        rate=3,
    )
    assert "became" in message
    assert "a lower learning rate helps" in message
    assert value > 0


@pytest.mark.node
def test_an_explanation_names_units_weights_and_points() -> None:
    told, weight, frame, again = network(
        """
        m.change({ ...given, slow: true, point: "7" });
        const frame = m.frame(), seen = () => [...m.frame().grads, m.tape.data[m.root]], before = seen();
        const told = m.ask({ what: "explain", ref: frame.units[1] });
        const weight = m.ask({ what: 'explain', ref: frame.refs[3] });
        return [told, weight, frame, String(seen()) === String(before)];
        """,
        point="7",
    )
    assert told["title"] == "a₂"
    assert told["formula"] == "tanh(w(x₁→a₂) · x₁ + w(x₂→a₂) · x₂ + b(a₂))"
    assert told["grad"] == pytest.approx(sum(use["value"] for use in told["uses"]))
    x, y, label = frame["points"][7]  # the ringed point, as the formula on the page
    w1, w2, b = frame["weights"][3:6]
    assert told["value"] == frame["values"][1] == pytest.approx(math.tanh(w1 * x + w2 * y + b))
    out, outs, units = (
        frame["values"][6],
        frame["values"][4:6],
        [frame["weights"][12 + 5 * i : 17 + 5 * i] for i in (0, 1)],
    )
    by_hand = (
        2
        * (out - label)
        * (1 - out**2)
        * sum(frame["weights"][22 + i] * (1 - outs[i] ** 2) * units[i][1] for i in (0, 1))
    )
    assert told["grad"] == frame["unitGrads"][1] == pytest.approx(by_hand)
    assert "ringed point" in told["more"]
    assert weight["grad"] == frame["grads"][3]
    assert "newest batch, 10 in all" in weight["more"]
    assert again  # asking changes nothing


@pytest.fixture(scope="module")
def opened(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return Opened(browser, tmp_path_factory.mktemp("network"), "network")


@pytest.fixture
def page(opened: Opened) -> Iterator[Opened]:
    yield opened
    opened.quiet()
    opened.browser.call("Emulation.clearDeviceMetricsOverride")


def compare(page: Opened) -> None:
    """Check that the program that the page shows ends with the page's losses."""
    losses = [float(line.split()[-1]) for line in program(page.python()).splitlines()]
    shown = [float(page.data(name)) for name in ("loss", "val") if page.data(name)]
    assert losses == pytest.approx(shown, rel=1e-9)
    assert all(math.isfinite(x) for x in losses)


RUNS: dict[str, dict[str, Any]] = {
    "as it opens": {},
    "momentum and decay": {"optimizer": "momentum", "decay": 0.02, "data": "moons", "wrong": 3, "count": 20},
    "Adam and dropout": {"optimizer": "adam", "dropout": 0.25, "decay": 0.1, "layers": "3-3", "seed": 4},
    "all points at once": {"batch": 60, "data": "circles", "activation": "relu", "dropout": 0.2},
    "clip": {"activation": "clip", "rate": 0.9, "layers": "5"},
    "sigmoid, four layers": {"activation": "sigmoid", "layers": "2-2-2-2", "data": "spiral", "test": 0},
    "a line": {"layers": "0", "data": "own", "batch": 3},
    "linear": {"activation": "linear", "layers": "8"},
    "three kinds": {"data": "arms", "layers": "8-8", "wrong": 2},
    "three kinds by Adam, with dropout": {"data": "arms", "optimizer": "adam", "dropout": 0.2, "decay": 0.02},
    "three kinds that were painted": {"data": "own", "own": "oyoy+b2b2-oyb2*b2oy*oyo0+f2b2-", "layers": "0", "test": 0},
}


@pytest.mark.browser
@pytest.mark.parametrize("name", RUNS)
def test_twenty_steps_are_python_s(page: Opened, name: str) -> None:
    page.open(run=20, **RUNS[name])
    assert page.data("step") == "20"
    compare(page)


@pytest.mark.browser
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_what_is_changed_on_the_way_is_in_the_program(page: Opened, optimizer: str) -> None:
    page.open(run=5, optimizer=optimizer)
    page.fill(".weight input", "0.75")
    page.until("document.querySelector('.weight input').value === '0.75'")
    page.slide("#set-rate", 500, 600)
    page.slide("#set-decay", 0.1)
    for step in range(6, 9):
        page.press("#step")
        page.until(f"document.body.dataset.step === '{step}' && document.body.dataset.busy === ''")
    text = page.python()
    assert "parameters[0].data = 0.75" in text
    assert text.count("optimizer.lr = ") == 1
    compare(page)
    while page.evaluate("now.step") != 4:  # what was set can be taken back as well
        undo = page.evaluate("now.undo")
        page.press("#undo")
        page.until(f"now.undo === {undo - 1}")
    page.press("#step")
    page.until("document.body.dataset.step === '5' && document.body.dataset.busy === ''")
    assert "step == 4:" in page.python()  # from here on with the rate that was set later
    compare(page)
    page.until("!location.hash.includes('run=')")  # which is written a little later


@pytest.mark.browser
def test_the_footer_the_curve_and_the_program_agree_at_any_step(page: Opened) -> None:
    page.open(run=217)  # later than the steps that are all measured
    for step, button in ((217, ""), (218, "#step"), (217, "#undo")):
        if button:
            page.press(button)
            page.until(f"document.body.dataset.step === '{step}' && document.body.dataset.busy === ''")
        compare(page)
        steps, losses, vals = page.evaluate(
            "[now.frame.history.steps, now.frame.history.losses, now.frame.history.vals]"
        )
        assert steps == sorted(set(steps))
        assert [steps[-1], losses[-1], vals[-1]] == [step, float(page.data("loss")), float(page.data("val"))]


@pytest.mark.browser
def test_nonsense_in_the_address_is_left_out(page: Opened) -> None:
    page.open(run=2, layers="99-a", seed="x", own="!!", point="-1", pair="z", batch=1e9, rate="high", data="stars")
    assert page.data("error") == ""
    assert page.count(".over .unit") == 7


@pytest.mark.browser
def test_layers_and_neurons_come_and_go(page: Opened) -> None:
    page.open()
    assert page.count(".over .unit") == 7
    page.press("[aria-label='one layer more']")
    page.until("document.querySelectorAll('.over .unit').length === 9")
    page.press("[aria-label='layer 1: one neuron less']")
    page.until("document.querySelectorAll('.over .unit').length === 8")
    assert "layers=3-2-2" in page.until("location.hash.includes('layers') && location.hash")
    for left in (6, 4, 1):
        page.press("[aria-label='one layer less']")
        page.until(f"document.querySelectorAll('.over .unit').length === {left}")
    assert page.evaluate("document.querySelector(\"[aria-label='one layer less']\").disabled")


@pytest.mark.browser
def test_quick_clicks_all_count(page: Opened) -> None:
    page.open(layers="6-2")
    for _ in range(3):  # quicker than a new network is there
        page.press("[aria-label='layer 1: one neuron less']")
    page.until("document.querySelectorAll('.over .unit').length === 6")
    x, y = page.middle("[aria-label='layer 1: one neuron more']")
    page.browser.call("Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, button="left", clickCount=1)
    page.evaluate("set({ layers: '3-4' })")  # the picture changes under a finger that is down
    page.until("document.querySelectorAll('.over .unit').length === 8")
    page.browser.call("Input.dispatchMouseEvent", type="mouseReleased", x=x, y=y, button="left", clickCount=1)
    page.until("document.querySelectorAll('.over .unit').length === 9")
    names = "[...document.querySelectorAll('.over .unit')].map(one => one.dataset.unit)"
    assert page.evaluate(names) == ["0-0", "0-1", "0-2", "0-3", "1-0", "1-1", "1-2", "1-3", "2-0"]


@pytest.mark.browser
def test_pointing_at_a_neuron_or_a_line_shows_its_numbers(page: Opened) -> None:
    page.open(run=10)
    x, y = page.middle("[data-unit='0-1']")
    page.browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    tip = page.until("!document.querySelector('.tip').hidden && document.querySelector('.tip').textContent")
    assert tip.startswith("a₂ = tanh(")
    assert "∂L/∂b = " in tip
    x2, y2 = page.middle("[data-unit='1-0']")
    page.browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=(x + x2) / 2, y=(y + y2) / 2)
    tip = page.until(
        "document.querySelector('.tip').textContent.startsWith('w(') && document.querySelector('.tip').textContent"
    )
    assert "∂L/∂w = " in tip
    for kind in ("mousePressed", "mouseReleased"):
        page.browser.call(
            "Input.dispatchMouseEvent", type=kind, x=(x + x2) / 2, y=(y + y2) / 2, button="left", clickCount=1
        )
    assert page.evaluate("document.activeElement.closest('.fields') !== null")


@pytest.mark.browser
def test_slow_motion_shows_one_part_of_a_step_after_another(page: Opened) -> None:
    page.open(run=3, slow=1)
    for part, words in (("1 forward", "Forward:"), ("2 backward", "Backward:"), ("3 update", "Update: 25 of 25")):
        page.evaluate(f"[...document.querySelectorAll('.slow button')].find(b => b.textContent === '{part}').click()")
        page.until(f"document.querySelector('.story').textContent.includes('{words}')")
    assert page.data("step") == "4"


@pytest.mark.browser
def test_slow_motion_shows_only_what_is_true_by_then(page: Opened) -> None:
    """No gradient before the backward pass; after the update, those that made it, and w − rate · ∂L is the new w."""
    page.open(slow=1)

    def part(n: int) -> None:
        page.evaluate(f"document.querySelectorAll('.slow button')[{n - 1}].click()")

    slopes = "[...document.querySelectorAll('.weight .slope')].map(one => one.textContent)"
    rings = "now.frame.chosen.join()"
    for n in (0, 1):
        if n:
            part(n)
        assert set(page.evaluate(slopes)) == {"∂L –"}
        assert page.text(".strip .value") == "–"
        assert page.evaluate("[...document.querySelectorAll('.one button')].every(one => one.disabled)")
    part(2)
    before, grads, chosen, told = page.evaluate(f"[now.frame.weights, now.frame.grads, {rings}, {slopes}]")
    before, grads = (list(x.values()) if isinstance(x, dict) else x for x in (before, grads))
    assert "∂L –" not in told
    page.press(".one button")
    page.until("!document.getElementById('explained').hidden")
    part(3)
    page.until("document.body.dataset.step === '1' && document.querySelector('.story').textContent.includes('Update')")
    assert page.evaluate("document.getElementById('explained').hidden")  # the pass that it explained is over
    made, after, used = page.evaluate(
        "[[...now.frame.made.grads], [...now.frame.weights], now.frame.made.chosen.join()]"
    )
    assert made == grads
    assert used == chosen != page.evaluate(rings)
    assert after == pytest.approx([w - 0.1 * g for w, g in zip(before, grads, strict=True)], rel=1e-12)
    assert page.evaluate(slopes) == told
    page.fill(".weight input", "0.5")  # by hand: not a step
    page.until("document.querySelector('.story').textContent.includes('are next')")
    assert set(page.evaluate(slopes)) == {"∂L –"}


@pytest.mark.browser
def test_slow_motion_plays_part_by_part(page: Opened) -> None:
    page.open(slow=1)
    page.press("#play")
    for step, words in ((0, "Forward:"), (0, "Backward:"), (1, "Update: 25 of 25")):
        page.until(f"document.querySelector('.story').textContent.includes('{words}')")
        assert page.data("step") == str(step)
    page.evaluate("document.querySelector('#set-slow').click()")  # goes on at once at full speed
    page.until("Number(document.body.dataset.step) > 20")
    page.press("#play")
    page.until("document.body.dataset.busy === ''")
    compare(page)


# How much of each picture (every neuron's, and the plane of the points) has the color of what its weights say there:
# computed from the weights of the frame alone, looked up in the pixels. Points and names on the pictures are left out,
# and steep borders are blurred.
AGREEMENT = """(() => {
  const { names, weights, scales, three } = now.frame;
  const act = { tanh: Math.tanh, relu: x => Math.max(0, x) }[now.settings.activation];
  const outs = (x, y) => {
    let before = [x, y], k = 0;
    return names.flatMap((layer, l) => (before = layer.map(() => {
      const total = before.reduce((sum, v) => sum + weights[k++] * v, 0) + weights[k++];
      return l < names.length - 1 ? act(total) : three ? total : Math.tanh(total);
    })));
  };
  const inks = ["positive", "negative", "third"].map(rgb);
  const mixed = (kind, share) => rgb("paper").map((p, i) => p + (inks[kind][i] - p) * 0.85 * share);
  const signed = t => mixed(t > 0 ? 0 : 1, Math.abs(t));
  const likeliest = scores => {
    const powers = scores.map(Math.exp), most = Math.max(...powers);
    return mixed(powers.indexOf(most), 1.5 * most / powers.reduce((a, b) => a + b) - 0.5);
  };
  const close = (pixels, place, wanted) => wanted.every((c, i) => Math.abs(c - pixels[place + i]) < 40);
  const share = (canvas, left, top, size, color, opaque) => {
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
    copy.drawImage(canvas, 0, 0);
    const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
    let good = 0, all = 0;
    for (let i = 1; i < 20; i++) for (let j = 1; j < (opaque ? 10 : 20); j++) {
      const place = 4 * (Math.round(top + j / 20 * size) * canvas.width + Math.round(left + i / 20 * size));
      if (!opaque && data[place + 3] > 150) continue;
      all++;
      good += close(data, place, color(1.3 * (i / 10 - 1), 1.3 * (1 - j / 10)));
    }
    return good / all;
  };
  const [net, plane] = [".net canvas", ".plane canvas"].map(name => document.querySelector(name));
  const box = net.getBoundingClientRect();
  const pictures = names.flat().map((_, u) => {
    const unit = document.querySelectorAll(".over .unit")[u].getBoundingClientRect();
    return share(net, unit.x - box.x, unit.y - box.y, unit.width, (x, y) => signed(outs(x, y)[u] / scales[u]), true);
  });
  const whole = (x, y) => (three ? likeliest(outs(x, y).slice(-3)) : signed(outs(x, y).at(-1)));
  return [share(plane, 0, 0, plane.width, whole, false), ...pictures];
})()"""


@pytest.mark.browser
@pytest.mark.parametrize("speed", [0, 60])
@pytest.mark.parametrize(
    "more", [{}, {"data": "arms", "layers": "8-8"}, {"activation": "relu"}], ids=["xor", "arms", "relu"]
)
def test_pictures_follow_the_network_while_it_trains(page: Opened, more: dict[str, Any], speed: int) -> None:
    page.open(speed=speed, rate=0.3, **more)
    before = page.evaluate(f"[...{AGREEMENT}, now.frame.weights[0]]")
    assert min(before[:-1]) > 0.8
    page.press("#play")
    page.until("Number(document.body.dataset.step) > 60")
    page.until(f"Math.min(...{AGREEMENT}) > 0.7 && now.running")  # they may be a moment old
    page.press("#play")
    page.until("document.body.dataset.busy === ''")
    assert min(page.evaluate(AGREEMENT)) > 0.8
    assert page.evaluate("now.frame.weights[0]") != before[-1]


@pytest.mark.browser
@pytest.mark.parametrize("slow", [0, 1])
def test_pictures_follow_steps_edits_and_undo(page: Opened, slow: int) -> None:
    page.open(rate=3, batch=60, layers="3", slow=slow)
    for step in range(1, 4):  # rate 3: each step changes what is seen
        page.press("#step")
        page.until(f"document.body.dataset.busy === '' && document.body.dataset.step === '{step}'")
        assert min(page.evaluate(AGREEMENT)) > 0.8
    field = "document.querySelector('.fields input')"
    for action in (
        f"{field}.value = '-4'; {field}.dispatchEvent(new Event('change'))",
        "$('undo').click()",
        "$('undo').click()",
        "$('set-activation').value = 'relu'; $('set-activation').dispatchEvent(new Event('change'))",
        "$('undo').click()",
        "$('reset').click()",
        "$('look').value = 'dark'; $('look').onchange()",
    ):
        page.evaluate("window.shown = now.frame; document.body.dataset.busy = ''; " + action)
        if "look" not in action:
            page.until("now.frame !== window.shown && document.body.dataset.busy === ''")
        page.until(f"Math.min(...{AGREEMENT}) > 0.8")


@pytest.mark.node
def test_the_plane_of_three_kinds_shows_the_likeliest_one() -> None:
    likeliest, weights, grid, reach = network(
        "const f = m.frame(); return [f.likeliest, f.weights, f.grid, f.reach];", data="arms", layers="0"
    )
    for cell in (0, 39, 777, 1599):
        x, y = (reach * (2 * (n + 0.5) / grid - 1) for n in (cell % grid, grid - 1 - cell // grid))
        powers = [math.exp(weights[3 * k] * x + weights[3 * k + 1] * y + weights[3 * k + 2]) for k in range(3)]
        kind, level = divmod(likeliest[cell], 64)
        assert powers[kind] == max(powers)
        assert (1 + 2 * level / 63) / 3 == pytest.approx(max(powers) / sum(powers), abs=0.006)


@pytest.mark.browser
def test_points_are_painted_and_erased(page: Opened) -> None:
    page.open(data="own")
    start = page.evaluate("location.hash")
    page.drag(".plane canvas", (0.1, 0.5), (0.4, 0.52))
    page.until(f"location.hash !== {start!r}")
    painted = page.evaluate("new URLSearchParams(location.hash.slice(1)).get('own').length / 5")
    assert painted > 13
    page.evaluate("document.querySelectorAll('.pens button')[3].click()")
    page.until("document.body.dataset.busy === ''")
    page.drag(".plane canvas", (0.1, 0.5), (0.4, 0.52))
    page.until(f"new URLSearchParams(location.hash.slice(1)).get('own')?.length / 5 < {painted}")


@pytest.mark.browser
def test_strokes_can_be_taken_back_and_none_is_lost(page: Opened) -> None:
    page.open(data="own")
    own = "now.settings.own.length / 5"
    start = page.evaluate(own)
    page.drag(".plane canvas", (0.1, 0.5), (0.4, 0.52))
    first = page.evaluate(own)
    page.until("document.body.dataset.busy === ''")
    page.press("#step")
    page.until("document.body.dataset.step === '1' && document.body.dataset.busy === ''")
    page.drag(".plane canvas", (0.1, 0.9), (0.4, 0.92))
    both = page.evaluate(own)
    assert start < first < both
    page.until("document.body.dataset.busy === ''")
    page.evaluate("[...document.querySelectorAll('.tools button')].at(-1).click()")
    page.until("now.frame.points.length === 2")
    page.press("#undo")
    page.until(f"now.frame.points.length === {both}")
    assert page.evaluate(own) == both
    page.evaluate("document.dispatchEvent(new KeyboardEvent('keydown', { key: 'z', ctrlKey: true, bubbles: true }))")
    page.until(f"now.frame.points.length === {first} && document.body.dataset.step === '1'")
    page.press("#undo")
    page.until("document.body.dataset.step === '0'")
    page.press("#undo")
    page.until(f"now.frame.points.length === {start} && document.querySelector('#undo').disabled")
    assert page.evaluate(own) == start


@pytest.mark.browser
def test_one_undo_is_for_weights_shapes_and_sliders(page: Opened) -> None:
    page.open()
    undo = (
        "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key: 'z', ctrlKey: true, bubbles: true }))"
    )
    weight = page.evaluate("now.frame.weights[0]")
    page.fill(".weight input", "0.75")  # which keeps the focus
    page.until("now.frame.weights[0] === 0.75 && !document.querySelector('#undo').disabled")
    page.evaluate(undo)
    page.until(f"now.frame.weights[0] === {weight} && document.querySelector('.weight input').value !== '0.75'")
    page.press("[aria-label='one layer more']")
    page.until("now.frame.names.length === 4")
    for value in (0.1, 0.2, 0.3):  # one drag, and many networks
        page.slide("#set-noise", value)
        page.until(f"document.body.dataset.busy === '' && location.hash.includes('noise={value}')")
    page.evaluate(undo)
    page.until("now.settings.noise === 0.03 && now.frame.names.length === 4")
    page.evaluate(undo)
    page.until("now.frame.names.length === 3 && document.querySelector('#undo').disabled")
    compare(page)


@pytest.mark.browser
@pytest.mark.parametrize("text", ["", "2.5", "1000000000", "-1"], ids=["empty", "half", "large", "negative"])
def test_nonsense_in_a_field_changes_nothing(page: Opened, text: str) -> None:
    page.open(wrong=3)
    page.evaluate(f"""(e => {{ e.value = "{text}"; e.dispatchEvent(new Event("change", {{ bubbles: true }})); }})(
        document.querySelector("#set-wrong"))""")
    assert page.evaluate("[document.querySelector('#set-wrong').value, now.settings.wrong]") == ["3", 3]
    assert "from 0 to 9; it stays at 3" in page.text("#said")
    page.fill(".weight input", "abc")
    assert page.text(".weight .slope") == "expected a number"
    assert page.evaluate("document.querySelector('.weight input').value") == page.evaluate(
        "short(now.frame.weights[0])"
    )


@pytest.mark.browser
@pytest.mark.parametrize("phone", [False, True], ids=["projector", "phone"])
@pytest.mark.parametrize("layers", ["4-2", "8-8-8-8", "-".join("8" * 10)])
def test_no_button_lies_on_a_neuron(page: Opened, layers: str, phone: bool) -> None:
    page.open(run=1, layers=layers, phone=phone)
    covered = page.evaluate("""[...document.querySelectorAll(".over button:not(:disabled)")].filter(button => {
        button.scrollIntoView({ block: "center", inline: "center" });
        const box = button.getBoundingClientRect();
        return document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2) !== button;
    }).map(button => button.ariaLabel)""")
    assert covered == []
    assert page.evaluate("document.documentElement.scrollWidth") == page.evaluate(
        "document.documentElement.clientWidth"
    )


@pytest.mark.browser
def test_ten_layers_of_sigmoid_neurons_show_how_gradients_fade(page: Opened) -> None:
    page.open(run=1, layers="-".join("2" * 10), activation="sigmoid", data="circles")
    shares = page.evaluate("[...document.querySelectorAll('.strip .fill')].map(bar => parseFloat(bar.style.width))")
    assert len(shares) == 11
    assert shares[0] < 20 < 60 < shares[-1]
    compare(page)
    page.open(run=1, wrong=2)
    wrong, points = page.evaluate("[now.frame.wrong, now.frame.points]")
    page.open(run=1)
    right = page.evaluate("now.frame.points")
    assert sorted(wrong) == [i for i in range(len(right)) if right[i] != points[i]]


@pytest.mark.browser
def test_the_hidden_plane_and_a_click_on_a_weight_s_name(page: Opened) -> None:
    page.open(run=5, view="hidden")
    assert page.count(".axes select") == 2
    page.choose(".axes select", "2")
    page.until("document.querySelector('.right .note').textContent.includes('a₃')")
    page.press(".weight button")
    page.until("!document.getElementById('explained').hidden")
    assert page.text("#explained-title") == "w(x₁→a₁)"
    assert page.count("#explained-body ol:last-of-type li") == 10


@pytest.mark.browser
def test_a_large_network_trains_and_pauses(page: Opened) -> None:
    page.open(layers="8-8", data="spiral", optimizer="adam", rate=0.02)
    page.press("#play")
    page.until("Number(document.body.dataset.step) > 300")
    page.press("#play")
    page.until("document.body.dataset.busy === ''")
    assert float(page.data("loss")) < 1.2
    assert page.count(".strip .bar") == 3


@pytest.mark.browser
def test_it_fits_a_projector_and_fingers(page: Opened) -> None:
    page.open(run=3)
    assert page.evaluate("document.documentElement.scrollHeight <= 720")
    page.open(phone=True, run=3)
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    assert page.small_targets() == []
    page.open(phone=True, run=3, layers="8-8-8-8", slow=1, view="hidden", data="own")
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    assert page.small_targets() == []
    assert Path(page.path).stat().st_size < 300_000


@pytest.mark.browser
def test_a_number_of_many_digits_is_not_cut(page: Opened) -> None:
    page.open(layers="1")
    field = "document.querySelector('.fields input')"
    for value in ("-2.772e64", "-2.772e-64"):  # cut, it would read as another number
        page.evaluate(f"{field}.value = '{value}'; {field}.dispatchEvent(new Event('change'))")
        page.until(f"now.frame.weights[0] === {value} && document.body.dataset.busy === ''")
        page.until(f"{field}.value.endsWith('64')")
        assert page.evaluate(f"{field}.scrollWidth <= {field}.clientWidth")
