"""The screen "One number": formulas as in viz.expressions, the engine's numbers, every control in a real browser."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest

from tests.viz.charts import check_accessible
from tests.viz.play.in_node import run
from tests.viz.play.screens import Opened, program
from tinygrad_edu import Value, topological_order
from tinygrad_edu.step_log import Chain, record
from viz import style
from viz.errors import ExpressionError
from viz.expressions import parse
from viz.play.page import worker_library

FORMULAS = [
    "L = (a*b + c) * f",
    "e = a*b\nd = e + c; L = d * f",
    "a - b / a ** 2",
    "-a ** b",
    "2 ** b * +3e-1",
    "(a*b).tanh() + exp(a) - log(a + 1)",
    "max(a, b, 1) * a.maximum(b) * min(a, 2)",
    "a·b − b÷a × 2",
    "a = 5 * 1\nlog(a) * b",
    "c = a; a*c + b",
    "b = a + a; L = b * b",
    "p = sigmoid(w*2 + b); L = -log(p)",
    "x**3 - 3*x",
    "n = x1*w1 + x2*w2 + b; o = tanh(n)",
    "relu(a) + gelu(x) + abs(y) + detach(a) + cos(a) - sin(b) / sqrt(c + 2)",
    "a - (b - c) / (b / (c - 5)) * (a * (b * c))",
    "(2**3)**a - -(-a) + (-a)**2 - x**-2",
    "(a +\n b)  # a note",
    "1_000 * a + 0x1F + 5. + .5",
    "α*β + γ",
    "x = a*b; x2 = x + c; x2 * x2 + x",
]
REFUSED = [
    "a +", "(a + b", "a b", "a ^ b", "(a + b) % a", "a * foo(b)", "a + a.foo()", "a + sin(a, b)", "a + max", "exp = a",
    "a = b; b = a", "a + 'x'", "a and b", "a[0]", "a if b else a", "a += b", "a + 1" + "0" * 400, "ü + a / 0",
    "a + log(b - 9*a)", "b + 0 ** -1", "e = a*b\n  L = e / (a - a)", "2x", "2 x", "2(x)", "(a+b)(c)", "x²", "3,5 * x",
    "a * / b", "a )", "(a]", "y = x = 2", "a, b = 3", "f(x) = x**2", "a*b = 3", "2 = a", "a.b = 2", "a == b", "not a",
    "lambda x: x", "[a, b]", "()", "a.x", "True * 2", "1j * a", "~a", "a // b", "import os", "for x in y: z",
    "__import__('os').system('echo x')", "(lambda: 1)()", "a.__class__", "007", "a $ b", "'abc", "a;;b", "max()",
    "tanh", "sqrt(a - 9)", "x =", "= x", "L := a", "a is b", "a + b c", "exp a", "a -", "1/0", "constructor(a)", "“a”",
]  # fmt: skip
NUMBERS = {"a": 1.5, "b": 2.5, "c": -0.75, "w": -1.2, "x": 0.7, "y": 2.0, "x1": 0.5, "w1": 0.25, "α": 3.0, "f": 0.5}

#: A formula on a tape: its inputs, the result, and the gradients of the inputs; or the refusal.
EVALUATE = """
  return given.map(([text, numbers]) => {
    try {
      const formula = new Formula(text), tape = new Tape();
      for (const name of formula.inputs) numbers[name] ??= 1.25;
      const { root, inputs } = formula.build(tape, numbers), python = formula.python();
      tape.backward(root);
      return { inputs: formula.inputs, data: tape.data[root], grads: inputs.map(i => tape.grad[i]), python };
    } catch (error) {
      if (!(error instanceof FormulaError)) throw error;
      return { message: error.message };
    }
  });
"""


def model(code: str, **settings: Any) -> Any:
    """Run statements about ``m``, the model of the screen."""
    given = {"formula": FORMULAS[0], "numbers": "a=2 b=-3 c=10 f=-2", "leaf": "", "at": "", "rate": 0.01, "seed": "1"}
    return run(f"const m = new MODELS.point(given); {code}", {**given, **settings}, screens=["point"])


@pytest.mark.node
def test_a_formula_gives_what_values_give_and_so_does_its_python() -> None:
    found = run(EVALUATE, [[text, NUMBERS] for text in FORMULAS])
    for text, one in zip(FORMULAS, found, strict=True):
        expression = parse(text)
        numbers = {name: NUMBERS.get(name, 1.25) for name in expression.inputs}
        result = expression.compute(numbers)
        result.backward()
        leaves = {value.label: value.grad for value in topological_order(result) if value.op is None}
        assert one["inputs"] == [*expression.inputs], text
        assert one["data"] == pytest.approx(result.data, rel=1e-14), text
        assert one["grads"] == pytest.approx([leaves.get(name, 0.0) for name in numbers], rel=1e-12), text
        names: dict[str, Any] = {}
        exec(f"from tinygrad_edu import Value, maximum, minimum\n{one['python']}", names)
        assert names["formula"](*map(Value, numbers.values())).data == pytest.approx(result.data, rel=1e-14), text


def refusal(text: str) -> str:
    try:
        expression = parse(text)
        expression.compute({name: NUMBERS.get(name, 1.25) for name in expression.inputs})
    except ExpressionError as error:
        return str(error).split("\n")[0]
    raise AssertionError(f"{text} is not refused")


@pytest.mark.node
def test_what_is_refused_is_refused_at_the_same_column() -> None:
    for text, one in zip(REFUSED, run(EVALUATE, [[text, NUMBERS] for text in REFUSED]), strict=True):
        mine, where = refusal(text), one["message"].split(": ")[0]
        assert where == mine.split(": ")[0], (text, mine, one)
        if "cannot be read" not in mine:
            assert mine.split("; ")[0].split(": ")[-1] in one["message"], (mine, one)
    long, deep = run(EVALUATE, [["a" * 20_000, {}], ["(" * 300 + "a" + ")" * 300, {}]])
    assert long["message"] == refusal("a" * 20_000)
    assert deep["message"] == refusal("(" * 300 + "a" + ")" * 300)
    assert "no expression" in run(EVALUATE, [["  \n ", {}]])[0]["message"]


@pytest.mark.node
def test_random_texts_are_accepted_when_python_accepts_them() -> None:
    rng = random.Random(5)
    pieces = [*"ab2+-*/(),=;\n[]%^:0_", "sin", "tanh(", "max(", ".relu()", "not", "if", "else", ".5", "1e3", "**", "2x"]
    texts = [" ".join(rng.choices(pieces, k=rng.randint(1, 7))) for _ in range(600)]
    found = run("return given.map(text => { try { new Formula(text); return true; } catch { return false; } });", texts)
    for text, accepted in zip(texts, found, strict=True):
        try:
            parse(text)
        except ExpressionError:
            assert not accepted, text
        else:
            assert accepted, text


@pytest.mark.node
@pytest.mark.parametrize("text", [FORMULAS[i] for i in (0, 1, 6, 7, 10, 11, 13, 20)], ids=lambda text: text[:16])
def test_the_steps_are_those_of_the_step_log(text: str) -> None:
    expression = parse(text)
    numbers = {name: NUMBERS.get(name, 1.25) for name in expression.inputs}
    log = record(expression.compute(numbers))
    written = " ".join(f"{name}={number}" for name, number in numbers.items())
    code = """const { log, graph: { tape, inputs, order } } = m;
      return { names: log.nodes.map(n => n.name), steps: log.steps.map(s => log.sentence(s)),
        tape: inputs.map(i => tape.grad[i]), logged: order.map((node, i) => [tape.data[node], log.data[i]]) };"""
    found = model(code, formula=text, numbers=written)
    assert found["names"] == [node.name for node in log.nodes]
    assert found["steps"] == [log.sentence(step, style.number) for step in log.steps]
    assert all(one == other for one, other in found["logged"])
    grads = {node.name: grad or 0.0 for node, grad in zip(log.nodes, log.gradients, strict=True)}
    assert found["tape"] == pytest.approx([grads.get(name, 0.0) for name in numbers], rel=1e-13)


@pytest.mark.node
def test_steps_downhill_and_back() -> None:
    code = """const seen = [m.loss], kept = [];
      for (let i = 0; i < 5; i++) { kept.push(m.keep()); m.step(); seen.push(m.loss); }
      const moved = m.moved; m.change({ ...m.settings, numbers: "a=1 b=1 c=1 f=1" });
      const typed = m.loss; m.back(kept[2]); return { seen, moved, typed, back: m.loss, since: m.since };"""
    found = model(code)
    assert found["seen"][0] == -8
    assert sorted(found["seen"], reverse=True) == found["seen"]
    assert found["moved"] == {"before": found["seen"][4], "after": found["seen"][5]}
    assert (found["typed"], found["back"], found["since"]) == (2, found["seen"][2], 2)


@pytest.mark.node
def test_a_bad_formula_keeps_the_last_good_one() -> None:
    code = """const out = []; for (const formula of ["L = (a*b + ", "log(a) + k", "log(a - 5)", "x*1/0", "a*2"]) {
        m.change({ ...m.settings, formula }); out.push([m.formula.text, m.problem?.message ?? null]); }
      return [...out, Object.keys(m.values)];"""
    good = FORMULAS[0]
    *seen, names = model(code)
    assert seen[0] == [good, "column 5: this cannot be read: ( was never closed"]
    assert seen[1] == ["log(a) + k", None]
    assert [text for text, _ in seen[2:4]] == ["log(a) + k"] * 2  # no number drawn for a is above 5
    assert seen[2][1].startswith("column 1: log(")
    assert seen[3][1].startswith("column 3: 1 / 0: division by zero") or "division by zero" in seen[3][1]
    assert seen[4] == ["a*2", None]
    assert names == ["a"]


@pytest.mark.node
def test_a_slider_cannot_leave_where_there_is_an_answer() -> None:
    code = """m.change({ ...m.settings, formula: "log(a)", numbers: "a=2" });
      m.change({ ...m.settings, numbers: "a=-1" });
      const refused = [m.values.a, m.problem.message];
      m.change({ ...m.settings, numbers: "a=3" });
      return [refused, m.values.a, m.problem];"""
    refused, a, problem = model(code)
    assert refused[0] == 2
    assert refused[1].startswith("column 1: log(−1): the logarithm needs a positive number")
    assert (a, problem) == (3, None)


@pytest.mark.node
def test_too_long_a_step_is_trouble_in_a_sentence() -> None:
    code = """try { for (let i = 0; i < 99; i++) m.step(); }
      catch (error) { return [error instanceof Trouble, error.message, m.values.a]; }"""
    trouble, message, _ = model(code, rate=1)
    assert trouble
    assert "the rate is too large, or this formula has no lowest point" in message
    trouble, message, a = model(code, rate=9, formula="log(a)", numbers="a=2")
    assert (trouble, a) == (True, 2)  # nothing has changed
    assert message == (
        "this step leads to numbers without an answer, log(−2.5): the logarithm needs a positive number; "
        "choose a smaller rate"
    )


@pytest.mark.node
def test_nudge_curve_and_explanation() -> None:
    code = """const nudge = m.ask({ what: "nudge", leaf: "b", by: 0.001 }), { xs, ys, slope } = m.curve();
      return { nudge, line: [xs[0], ys[0], xs.at(-1), ys.at(-1), slope], told: m.ask({ what: "explain", ref: 0 }) };"""
    found = model(code)
    assert found["nudge"]["slope"] == pytest.approx(found["nudge"]["grad"], abs=1e-9)
    assert found["nudge"]["grad"] == -4
    assert found["line"] == [-5, -50, 5, 10, 6]
    assert found["told"]["uses"] == [{"text": "through v1: −2 · −3", "value": 6, "ref": 2}]


# --- in the browser ---------------------------------------------------------------------------------------------------


@pytest.fixture
def screen(browser: Any, tmp_path: Any) -> Opened:
    return Opened(browser, tmp_path, "point")


@pytest.mark.browser
def test_twenty_steps_equal_python_s(screen: Opened) -> None:
    for settings in (
        {},
        {"formula": FORMULAS[13], "numbers": "x1=2 w1=-3 x2=0 w2=1 b=6.7", "rate": "0.1"},
        {"formula": FORMULAS[11], "numbers": "w=-1 b=0.5", "rate": "0.2"},
    ):
        screen.open(run=20, **settings)
        assert screen.data("step") == "20"
        assert float(screen.data("loss")) == pytest.approx(float(program(screen.python())), rel=1e-9)


@pytest.mark.browser
def test_numbers_move_by_slider_field_curve_and_undo(screen: Opened) -> None:
    screen.open()
    assert screen.data("loss") == "-8"
    screen.slide('[data-leaf="a"] input', 2.5, 3, 3.5)
    screen.until("document.body.dataset.loss === '1'")
    assert screen.text(".choose[aria-pressed=true]") == "a"
    assert "a%3D3.5" in screen.until("location.hash.includes('a%3D3.5') && location.hash")
    screen.press("#undo")  # one drag is one step back
    screen.until("document.body.dataset.loss === '-8'")
    screen.fill('[data-leaf="c"] input[type=text]', "−6.5")
    screen.until("document.body.dataset.loss === '25'")
    screen.fill('[data-leaf="c"] input[type=text]', "two")
    assert "expected a number" in screen.text(".problem")
    screen.press('[data-leaf="f"] .choose')
    screen.until("document.querySelector('.below h2').textContent.startsWith('L over f')")
    for touch in (False, True):
        before = screen.data("loss")
        screen.drag(".below canvas", (0.6, 0.5), (0.8, 0.5), touch=touch)
        screen.until(f"document.body.dataset.loss !== '{before}'")
        screen.press("#undo")
        screen.until(f"document.body.dataset.loss === '{before}'")
    screen.quiet()


@pytest.mark.browser
def test_a_link_made_after_a_move_and_steps_shows_the_same(screen: Opened) -> None:
    screen.open(rate="0.02")
    screen.press("#downhill")
    screen.until("document.body.dataset.step === '1'")
    screen.slide('[data-leaf="b"] input', 1.5)
    screen.until("location.hash.includes('b%3D1.5') && !location.hash.includes('run')")
    for count in ("2", "3"):
        screen.press("#step")
        screen.until(f"document.body.dataset.step === '{count}'")
    screen.until("location.hash.includes('run=2')")
    loss, address, python = screen.data("loss"), screen.evaluate("location.href"), screen.python()
    screen.browser.open(address)
    screen.until("document.body.dataset.step === '2' && document.body.dataset.busy === ''")
    assert screen.data("loss") == loss
    assert float(program(python)) == pytest.approx(float(loss), rel=1e-12)


@pytest.mark.browser
def test_damaged_links_open_with_what_is_right_in_them(screen: Opened) -> None:
    for settings in (
        {"seed": "abc"},
        {"at": "x"},
        {"leaf": "q"},
        {"rate": "x"},
        {"formula": "(a*b +"},
        {"formula": ""},
    ):
        screen.open(**settings)
        assert (screen.data("loss"), screen.data("error")) == ("-8", "")
        assert (screen.text(".problem") != "") == ("formula" in settings)
        screen.quiet()
    for formula, loss in (("5", "5"), ("detach(a)", "2"), ("exp(a*400)", "Infinity")):
        screen.open(formula=formula, numbers="a=2", run=1 if formula == "5" else 0)
        assert (screen.data("loss"), screen.data("error")) == (loss, "")
        screen.quiet()


@pytest.mark.browser
@pytest.mark.parametrize("width", [790, 1008])
def test_in_the_frame_of_a_lesson_every_gradient_is_in_sight(screen: Opened, width: int) -> None:
    screen.open()
    size = {"width": width, "height": 612, "deviceScaleFactor": 1}
    screen.browser.call("Emulation.setDeviceMetricsOverride", **size, mobile=False)
    ends = "[...document.querySelectorAll('.leaf-row .slope')].map(e => e.getBoundingClientRect().right)"
    graph = "document.querySelector('.graph').getBoundingClientRect().left"
    assert max(screen.evaluate(ends)) <= screen.evaluate(graph)


@pytest.mark.browser
def test_a_typed_formula(screen: Opened) -> None:
    screen.open()
    screen.fill("#set-formula", "L = (a*b + c) * ")
    screen.until("document.querySelector('.problem').textContent.includes('column 16')")
    assert screen.data("loss") == "-8"
    assert screen.count(".graph .node") == 7
    screen.fill("#set-formula", "b = a + a\nL = b * b")
    screen.until("document.body.dataset.loss === '16'")
    assert screen.text(".problem") == ""
    assert screen.evaluate("[...document.querySelectorAll('.graph .name')].map(e => e.textContent)") == [
        "a",
        "b = a + a",
        "L = b · b",
    ]
    assert screen.evaluate("[...document.querySelectorAll('.graph .flow')].map(e => e.textContent)") == [
        "+8",
        "+8",
        "+4",
        "+4",
    ]
    for name in screen.evaluate("[...document.querySelectorAll('#point-example option')].map(e => e.value)")[1:]:
        screen.choose("#point-example", name)
        screen.until(f"document.querySelector('#point-example').value === {name!r}")
        assert screen.text(".problem") == ""
    screen.press("#new-seed")
    screen.until("location.hash.includes('seed=2')")
    screen.quiet()


@pytest.mark.browser
def test_walking_through_and_predicting(screen: Opened) -> None:
    log = record(parse(FORMULAS[0]).compute({"a": 2, "b": -3, "c": 10, "f": -2}))
    screen.open()
    screen.press("#walk-next")
    screen.until("location.hash.includes('at=0')")
    for count, step in enumerate(log.steps, 1):
        screen.key("ArrowRight")
        screen.until(f"document.querySelector('#walk-where').textContent.startsWith('{count} of {len(log.steps)}')")
        assert screen.text(".sentence") == log.sentence(step, style.number)
        assert screen.text(".why").startswith(log.why(step, style.number) if isinstance(step, Chain) else "")
        state = log.replay(count)
        shown = screen.evaluate("[...document.querySelectorAll('.graph .grad')].map(e => e.dataset.exact)")
        assert [float(x) if x else None for x in shown] == state.gradients
    assert screen.data("step") == "0"  # the arrows of this card do not train
    screen.open(predict=1, at=0)
    screen.press("#walk-next")
    assert screen.text(".walk form label") == "v1 = a · b = ?"
    screen.fill("#set-formula", "L = a * a")  # nothing is left of a question about another formula
    screen.until("document.querySelector('.walk form').hidden")
    assert "Press “next”" in screen.text(".sentence")
    screen.open()
    screen.press("#walk-first")
    screen.press("#set-predict")
    screen.until("location.hash.includes('predict=1')")
    slopes = "[...document.querySelectorAll('.leaf-row .slope')].map(e => e.textContent)"
    assert screen.evaluate(slopes) == ["∂L –"] * 4
    assert "slope ?" in screen.text(".below h2")
    screen.press("#walk-next")
    assert screen.text(".walk form label") == "v1 = a · b = ?"
    for answer, verdict in (
        ("6", "✗ the size is right, the sign is not"),
        ("((", "✗ this cannot be read: it ends too early"),
        ("-12/2", "✓ right: −6"),
    ):
        screen.fill("#walk-answer", answer)
        screen.press(".walk form button")
        screen.until(f"document.querySelector('.verdict').textContent === {verdict!r}")
    screen.until("document.querySelector('#walk-where').textContent.endsWith('1 of 10 · forward · 0 of 1 right')")
    screen.press("#walk-next")
    screen.press("#walk-show")
    screen.until("document.querySelector('#walk-where').textContent.startsWith('2 of 10')")
    screen.press("#walk-previous")
    screen.until("document.querySelector('#walk-where').textContent.startsWith('1 of 10')")
    screen.press("#walk-everything")
    screen.until("document.querySelector('.sentence').textContent.startsWith('Press')")
    screen.quiet()


@pytest.mark.browser
def test_downhill_nudge_explanation_and_trouble(screen: Opened) -> None:
    screen.open()
    screen.press("#downhill")
    screen.until("document.body.dataset.step === '1'")
    assert "Downhill." in screen.text(".given .said")
    screen.press("#nudge")
    screen.until("document.querySelector('#nudged').textContent.includes('the gradient says 6.04')")
    screen.evaluate("document.querySelectorAll('.graph .node')[2].focus()")
    screen.key("Enter", "\r")
    screen.until("!document.querySelector('#explained').hidden")
    assert "v1 = a · b" in screen.text("#explained-body")
    screen.press("#explained-close")
    screen.slide("#set-rate", 1000)
    screen.choose("#speed", "0")
    screen.press("#play")
    screen.until("document.body.dataset.error !== ''")
    assert "no lowest point" in screen.text("#trouble-text")
    screen.press("#trouble-back")
    screen.until(
        "document.querySelector('#trouble').hidden && Number(location.hash.match(/rate=([^&]+)/)?.[1]) === 0.5"
    )
    screen.quiet()


@pytest.mark.browser
@pytest.mark.axe
@pytest.mark.parametrize("look", ["light", "dark", "beamer"])
def test_it_fits_and_is_accessible(screen: Opened, look: str) -> None:
    screen.open(theme=look)
    check_accessible(screen.browser)
    if look != "beamer":
        width, height = screen.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
        assert width <= 1280
        assert height <= 720
    screen.open(theme=look, at=5, predict=1, formula="(a*b +", phone=True)
    check_accessible(screen.browser)
    assert screen.evaluate("document.documentElement.scrollWidth") <= 375
    assert screen.small_targets() == []
    screen.quiet()


@pytest.mark.browser
def test_all_of_a_graph_can_be_read(screen: Opened) -> None:
    sizes = """[...document.querySelectorAll('.graph text')].filter(text => text.textContent).map(text => {
        const { a, b } = text.getScreenCTM();
        return parseFloat(getComputedStyle(text).fontSize) * Math.hypot(a, b);
    })"""
    screen.open()
    names = screen.evaluate("[...document.querySelectorAll('#point-example option')].map(e => e.value)")[1:]
    for column in (False, True):
        if column:
            screen.press("#tasks-open")
        for name in names:
            screen.choose("#point-example", name)
            screen.until("document.body.dataset.busy === '' && now.frame.text === now.settings.formula")
            assert min(screen.evaluate(sizes)) >= 13.99, name
    screen.quiet()


@pytest.mark.browser
def test_on_a_telephone_the_graph_is_seen_with_the_numbers_that_move_it(screen: Opened) -> None:
    screen.open(phone=True)
    top, bottom, room = screen.evaluate("""[document.querySelector('.leaves').getBoundingClientRect().top,
        document.querySelector('.graph').getBoundingClientRect().bottom,
        innerHeight - document.querySelector('footer').offsetHeight]""")
    assert bottom - top < room
    screen.quiet()


def test_formulas_are_never_run_as_code() -> None:
    assert not re.search(r"\beval\(|new Function", worker_library(["point"]))


@pytest.mark.browser
def test_after_an_explosion_the_screen_is_as_before_it(screen: Opened) -> None:
    screen.open(formula="L = 5*x**4 - 10*x**2 + x", numbers="x=-0.5", rate="0.1", speed=0)
    screen.fill('[data-leaf="x"] input[type=text]', "-0.8")
    screen.until("now.frame.inputs[0].value === -0.8")
    range_before = screen.evaluate("document.querySelector('[data-leaf=x] input').max")
    screen.press("#play")
    screen.until("document.body.dataset.error !== ''")
    screen.press("#trouble-back")
    screen.until("document.body.dataset.busy === '' && document.body.dataset.error === ''")
    screen.until("now.frame.inputs[0].value === -0.8")  # the steps are taken back, the learner's own number is not
    screen.until(f"document.querySelector('[data-leaf=x] input').max === '{range_before}'")
    assert screen.evaluate("now.frame.curve.range") == float(range_before)
    screen.evaluate("set({ rate: 0.1 })")
    screen.press("#play")
    screen.until("document.body.dataset.error !== ''")
    screen.evaluate("set({ formula: 'L = a*a' })")  # the banner was about another formula
    screen.until("now.frame.text === 'L = a*a'")
    assert screen.evaluate("document.querySelector('#trouble').hidden && !document.body.dataset.error")
    screen.quiet()


@pytest.mark.browser
def test_the_first_click_on_nudge_counts_after_a_number_was_typed(screen: Opened) -> None:
    screen.open(formula="L = c*a", numbers="c=1 a=0")
    screen.evaluate("document.querySelector('[data-leaf=a] input[type=text]').select()")
    screen.browser.type("4")
    screen.press("#nudge")  # leaves the field
    screen.until("document.body.dataset.busy === '' && now.frame.inputs[1].value === 4")
    screen.until("document.querySelector('#nudged').textContent.startsWith('a = 4.001')")
    screen.open(formula="L = c*a", numbers="c=-0 a=3")
    assert "−0" not in screen.evaluate("document.querySelector('.graph').textContent")
    screen.quiet()
