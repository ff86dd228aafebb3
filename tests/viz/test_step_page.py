"""The page that steps through backpropagation, driven in a real browser and compared with Python at every point."""

import html
import json
import math
import random
import re
import sys
from types import SimpleNamespace

import pytest

import viz
from tests.commands import refusal
from tinygrad_edu import Value, ops
from tinygrad_edu.step_log import Chain, record
from viz.cli import main
from viz.errors import DrawingError, UnknownFormatError
from viz.expressions import compute
from viz.pages.stepper_page import MOST_VALUES, step_page
from viz.rendering.notebook import framed
from viz.stepping import answers
from viz.style import number

needs_chromium = pytest.mark.browser

LECTURE = ("L = (a*b + c) * f", {"a": 2, "b": -3, "c": 10, "f": -2})


@needs_chromium
def test_heads_of_data_and_of_gradients_are_at_opposite_ends(opened):
    heads = """[...document.querySelectorAll(".edge path")].map(path => {
        const look = getComputedStyle(path); return [look.markerStart, look.markerEnd]; })"""
    log = log_of(*LECTURE)
    assert set(map(tuple, opened(log).evaluate(heads))) == {("none", 'url("#tip")')}
    assert set(map(tuple, opened(log, "#step=99").evaluate(heads))) == {
        ('url("#tip")', "none"),
        ('url("#back")', "none"),
    }


def test_a_page_is_the_same_with_and_without_a_layout_program(monkeypatch):
    log = log_of(*LECTURE)
    page = step_page(log).html
    monkeypatch.setattr("viz.rendering.graphviz_program.render", lambda *_, **__: pytest.fail("a program was run"))
    assert step_page(log).html == page


EXPRESSIONS = [
    LECTURE,
    ("b = a + a; c = b + b", {"a": 1}),
    ("n = x1*w1 + x2*w2 + b; o = tanh(n)", {"x1": 2, "x2": 0, "w1": -3, "w2": 1, "b": 6.8813735870195432}),
    ("L = sigmoid(x*w) * log(x**2 + 1) - sqrt(w*w + 2) / (x*x + 0.5) + 0.1**x", {"x": 0.7, "w": -1.3}),
    ("m = max(x, w, 0.3); L = relu(m - 1) + gelu(x*w) + abs(w) * min(x, w) - (x - m.detach()).exp()",
     {"x": 0.7, "w": 1.3}),
    ("L = sin(a) * cos(a*b) + -a * b**3 + a / b", {"a": 1.1, "b": -0.4}),
]  # fmt: skip


def log_of(text, numbers):
    return record(compute(text, numbers))


@pytest.fixture
def opened(browser, tmp_path):
    def open_page(log, fragment=""):
        path = tmp_path / "page.html"
        step_page(log).save(path)
        browser.open(f"{path.as_uri()}{fragment}")
        return browser

    return open_page


SHOWN = """(() => NODES.map((n, i) => n.constant ? null : ["data", "grad"].map(k => {
    const e = nodeElements[i].querySelector("." + k); return [e.textContent, e.dataset.exact]; })))()"""


def check_shows(browser, log, count, shown=None):
    state = log.replay(count)
    for i, cells in enumerate(browser.evaluate(SHOWN) if shown is None else shown):
        if cells is not None:
            for (text, full), expected in zip(cells, (state.data[i], state.gradients[i]), strict=True):
                assert text == ("–" if expected is None else number(expected))
                assert full == "" if expected is None else float(full.replace("Infinity", "inf")) == expected


@needs_chromium
@pytest.mark.parametrize("case", [EXPRESSIONS[i] for i in (0, 1, 3)], ids=lambda case: case[0][:20])
def test_next_and_previous_show_the_engine_s_state_at_every_step(opened, case):
    log = log_of(*case)
    browser = opened(log)
    assert browser.evaluate("[...document.querySelectorAll('.grad')].every(e => e.textContent === '–')")
    everything = f"[{SHOWN}, $('where').textContent, document.body.innerText, $('picture').innerHTML.length]"
    seen = []
    for k in range(len(log.steps) + 1):
        seen.append(browser.evaluate(everything))
        check_shows(browser, log, k, seen[-1][0])
        assert seen[-1][1].startswith(f"step {k} of {len(log.steps)}")
        browser.key(random.Random(k).choice(["ArrowRight", "PageDown", " "]))
    for k in range(len(log.steps), -1, -1):
        *screen, address = browser.evaluate(f"[...{everything}, location.hash]")
        assert screen == seen[k]
        assert address == f"#step={k}"
        browser.key("PageUp" if k % 2 else "ArrowLeft")
    assert browser.console == []
    assert [address for address in browser.requests if not address.startswith("file:")] == []
    assert len(browser.requests) == 1


@needs_chromium
def test_an_address_opens_its_step(opened):
    log = log_of(*LECTURE)
    for k in (0, 1, 4, 9, 10):
        browser = opened(log, f"#step={k}&theme=beamer")
        check_shows(browser, log, k)
        assert browser.evaluate("document.documentElement.dataset.theme") == "beamer"
    for fragment, k in (("#step=99", 10), ("#step=-4", 0), ("#step=x", 0), ("#nothing", 0)):
        check_shows(opened(log, fragment), log, k)
    browser.evaluate("location.hash = '#step=7'")
    browser.wait_for("position === 7")
    check_shows(browser, log, 7)


@needs_chromium
def test_the_keys_of_a_presenter_and_the_controls(opened):
    browser = opened(log_of(*LECTURE))
    for key, k in [("End", 10), ("Home", 0), ("PageDown", 1), ("PageUp", 0)]:
        browser.key(key)
        assert browser.evaluate("position") == k
    browser.key(".")
    assert browser.evaluate("document.body.classList.contains('blank')")
    browser.key("Escape")
    assert not browser.evaluate("document.body.classList.contains('blank')")
    browser.key("F5")
    assert browser.evaluate("timer !== null && position === 1")
    browser.key("Escape")
    assert browser.evaluate("timer === null")
    for control, k in [("last", 10), ("previous", 9), ("first", 0), ("next", 1)]:
        browser.evaluate(f"$('{control}').click()")
        assert browser.evaluate("position") == k
    browser.evaluate("$('scrubber').value = 6; $('scrubber').dispatchEvent(new Event('input'))")
    assert browser.evaluate("position") == 6
    browser.evaluate("go(9)")
    assert browser.evaluate("document.querySelectorAll('.edge.lit').length") == 1
    assert browser.evaluate("document.querySelector('.edge.lit').dataset.edge") == "2-0"
    assert browser.evaluate("$('spoken').textContent") == (
        "step 9 of 10: the gradient of L with respect to a grows by minus 2 times minus 3, which is 6"
    )
    assert browser.evaluate("$('spoken').getAttribute('aria-live')") == "polite"


@needs_chromium
@pytest.mark.parametrize("case", EXPRESSIONS, ids=lambda case: case[0][:20])
def test_the_page_s_text_matches_python_s(opened, case):
    log = log_of(*case)
    browser = opened(log)
    found = browser.evaluate(
        """log.steps.map(s => [log.sentence(s), s.kind === "chain" ? log.why(s) : "", log.accumulation(s),
            log.question(s)])"""
    )
    for step, words in zip(log.steps, found, strict=True):
        chain = isinstance(step, Chain)
        assert words == [
            log.sentence(step, number),
            log.why(step, number) if chain else "",
            log.accumulation(step, number) if chain else "",
            answers.question(log, step),
        ]


@needs_chromium
def test_what_if_equals_python(opened):
    rng = random.Random(0)
    edits = 0
    for text, numbers in EXPRESSIONS:
        log = log_of(text, numbers)
        browser = opened(log)
        now = dict(numbers)
        for _ in range(18):
            name = rng.choice(sorted(now))
            now[name] = round(rng.uniform(-2.0, 2.0), rng.randint(0, 15))
            leaf = next(i for i, node in enumerate(log.nodes) if node.name == name)
            trouble, state, shown = browser.evaluate(f"""(box => {{
                box.value = '{now[name]!r}'; box.dispatchEvent(new Event('change')); go(log.steps.length);
                const s = log.state(log.steps.length);
                return [$('trouble').textContent, [s.data, s.gradients], {SHOWN}[{leaf}]]; }})"""
                f"""(document.querySelector('[data-leaf="{leaf}"]'))""")  # fmt: skip
            assert trouble == ""
            assert shown[0][0] == number(now[name])
            again = log_of(text, now)
            for found, expected in zip(state, (again.replay().data, again.gradients), strict=True):
                for x, y in zip(found, expected, strict=True):
                    assert (x is None) == (y is None)
                    assert x is None or x == pytest.approx(y, rel=1e-12, abs=1e-12)
            edits += 1
        browser.evaluate("$('reset').click()")
        check_shows(browser, log, len(log.steps))
    assert edits >= 100


@needs_chromium
def test_what_if_refuses_undefined_results(opened):
    browser = opened(log_of("L = a / b + log(a)", {"a": 2, "b": 4}))
    for leaf, typed, words in [
        (1, "0", "division by zero"),
        (0, "-1", "logarithm"),
        (0, "two", "expected a number"),
        (0, "", "expected a number"),
    ]:
        browser.evaluate(f"(box => {{ box.value = '{typed}'; box.dispatchEvent(new Event('change')); }})"
                         f"(document.querySelector('[data-leaf=\"{leaf}\"]'))")  # fmt: skip
        assert words in browser.evaluate("$('trouble').textContent")
        assert browser.evaluate("log.data.slice(0, 2)") == [2, 4]
    assert browser.console == []


@needs_chromium
def test_the_page_s_table_of_operations_matches_the_library_s(opened):
    browser = opened(log_of(*LECTURE))
    assert sorted(browser.evaluate("Object.keys(OPS)")) == sorted(op.name for op in ops.TABLE)
    rng = random.Random(1)
    special = [0.0, -0.0, 1.0, -1.0, 2.0, -3.0, 1e-9, 40.0, -40.0, 1e300, math.inf, -math.inf, math.nan]
    for op in ops.TABLE:
        points = [[rng.uniform(-7, 7) for _ in range(op.arity or 3)] for _ in range(60)]
        points += [[a, b][: op.arity] if op.arity else [a, b, 1.0] for a in special for b in special]
        words = (
            json.dumps([[repr(x) for x in point] for point in points]).replace("inf", "Infinity").replace("nan", "NaN")
        )
        found = browser.evaluate(
            f"""{words}.map(p => p.map(Number)).map(p => {{ try {{ const out = OPS.{op.name}.f(...p);
            return [out, ...(OPS.{op.name}.d ? OPS.{op.name}.d(...p, out) : [])].map(String); }}
            catch {{ return null; }} }})"""
        )
        for point, shown in zip(points, found, strict=True):
            try:
                out = op.forward(*point)
            except (ArithmeticError, ValueError):
                assert shown is None, (op, point)
                continue
            expected = [out]
            if op.derivatives is not None:
                try:
                    expected += op.derivatives(*point, out)
                except (ArithmeticError, ValueError):
                    continue
            assert shown is not None, (op, point)
            numbers = [float(x.replace("Infinity", "inf")) for x in shown]
            assert numbers == pytest.approx(expected, rel=1e-12, abs=1e-15, nan_ok=True), (op, point)


@needs_chromium
def test_numbers_are_rounded_as_python_rounds_them(opened):
    browser = opened(log_of(*LECTURE))
    rng = random.Random(2)
    numbers = [rng.uniform(-1, 1) * 10 ** rng.randint(-12, 12) for _ in range(300)]
    numbers += [1234.5, 1235.5, 0.00012345, 99995.0, 99994.999, 12345.0, -0.0, 0.5, 1e22, 1e-5, 9999.5, 10000.0]
    found = browser.evaluate(f"{json.dumps(numbers)}.map(x => short(x))")
    assert found == [number(x if x else 0.0) if str(x) != "-0.0" else "−0" for x in numbers]


@needs_chromium
def test_the_page_checks_answers_as_python_does(opened):
    for case in (
        LECTURE,
        EXPRESSIONS[2],
        EXPRESSIONS[3],
        ("L = a*b + a*c + a*d - a", {"a": 1, "b": 2, "c": 3, "d": 7}),
    ):
        log = log_of(*case)
        browser = opened(log)
        leaf = next(iter(case[1]))
        for i, step in enumerate(log.steps):
            right = answers.expected(step)
            typed = [
                repr(right),
                repr(-right),
                f"{right:.3g}",
                f"({right!r}*3)/3",
                "1/3",
                leaf,
                f"2*{leaf} - 1",
                "nothing",
                "1/0",
                "((",
                "",
            ]
            if isinstance(step, Chain):
                before = step.before or 0.0
                typed += map(repr, [step.upstream, step.local, step.upstream + step.local + before, step.contribution])
                typed += [repr(step.after - term.contribution) for term in log.terms(step.input)]
            for answer in typed[:-1]:
                mine = answers.judge(log, step, answer)
                found = browser.evaluate(f"log.judge(log.steps[{i}], {json.dumps(answer)})")
                assert (found["right"], found["understood"]) == (mine.right, mine.understood), (answer, found, mine)
                if mine.understood:
                    assert found["message"] == mine.message


@needs_chromium
def test_the_quiz_with_real_keys(opened):
    browser = opened(log_of(*LECTURE))
    browser.key("t", "t")
    browser.key("ArrowRight")
    assert browser.evaluate("$('question').textContent") == "v1 = a · b = ?"
    browser.type("2 * -3")
    browser.key("Enter", "\r")
    assert browser.evaluate("[position, $('verdict').textContent, $('score').textContent]") == [
        1, "✓ right: −6", "1 of 1 right",
    ]  # fmt: skip
    browser.key("ArrowRight")
    browser.type("16")
    browser.key("Enter", "\r")
    assert browser.evaluate("[position, $('verdict').textContent]") == [1, "✗ 16 is not it; compute −6 + 10"]
    assert browser.evaluate("nodeElements[4].querySelector('.data').textContent") == "–"
    browser.evaluate("$('show').click()")
    assert browser.evaluate("[position, $('score').textContent]") == [2, "1 of 2 right"]
    browser.key("Escape")
    assert browser.console == []


@needs_chromium
def test_hostile_labels_are_text(opened):
    evil = '</script><script>document.title="broken"</script><img src=x onerror="document.title=1">'
    a, b = Value(2.0, evil), Value(3.0, "@LOG@ & \u2028 \\ ` ${1}")
    browser = opened(record(a * b))
    browser.key("End")
    assert browser.evaluate("document.title") == "L, step by step"
    assert evil in browser.evaluate("$('leaves').textContent")
    assert browser.evaluate("document.querySelectorAll('img').length") == 0
    assert browser.console == []


def test_a_formula_stands_beside_the_name_where_there_is_room():
    a, b = Value(2.0, "a"), Value(3.0, "b")
    L = (a * b + Value(1.0, "a long name")).tanh()
    page = viz.step_page(L).html
    assert re.findall(r'class="how"[^>]*>([^<]*)<', page) == ["= a · b"]  # not of v2 = v1 + a long name, or of tanh


def test_a_page_is_one_file_without_addresses(tmp_path):
    page = step_page(log_of(*LECTURE))
    path = tmp_path / "L.html"
    assert page.save(path) == str(path)
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"""(?:src|href)=(?!["']?data:)\S+|https?://(?!www\.w3\.org/2000/svg)\S+|@\w+@""", text) == []
    assert "default-src 'none'" in text
    assert "∂L/∂a += ∂L/∂v1 · ∂v1/∂a = −2 · −3 = 6" in text  # for browsers without JavaScript
    assert step_page(log_of(*LECTURE)).html == page.html
    head, rest = page.html.split("<head>")
    for part in (head, rest):  # the head has what follows the theme of a notebook
        assert html.escape(part) in page._repr_html_()


def test_a_notebook_gets_the_page(monkeypatch):
    class ZMQInteractiveShell:
        pass

    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=ZMQInteractiveShell))
    page = viz.step(compute(*LECTURE))
    assert page.html == viz.step_page(compute(*LECTURE)).html


@pytest.mark.layout
def test_the_command_writes_the_page(tmp_path, capsys):
    path = tmp_path / "L.html"
    assert main(["step", LECTURE[0], *(f"{k}={v}" for k, v in LECTURE[1].items()), "-o", str(path)]) == 0
    assert capsys.readouterr().out == f"Wrote {path}\n"
    assert path.read_text(encoding="utf-8") == step_page(log_of(*LECTURE)).html
    missing = tmp_path / "no" / "L.html"
    error = refusal(main, "step", "a*a", "a=1", "-o", str(missing))
    assert error == f"viz: error: cannot write or read {missing}: No such file or directory\n"


def test_errors_of_graphs_a_page_cannot_show(tmp_path):
    x = y = Value(0.5)
    for _ in range(MOST_VALUES):
        y = y + x
    with pytest.raises(DrawingError, match=r"251 Values, a page shows at most 250; step through a part of it"):
        step_page(record(y))
    with pytest.raises(UnknownFormatError, match=r"must end in one of \.html, \.htm$"):
        step_page(log_of(*LECTURE)).save(tmp_path / "L.svg")


@needs_chromium
def test_it_steps_inside_of_another_page(browser, tmp_path):
    # As in a lesson or a notebook: the frame has no address of its own.
    step = "<script>document.getElementById('next').click(); parent.postMessage(location.href, '*')</script></body>"
    page = step_page(log_of(*LECTURE)).html.replace("</body>", step)
    around = "<title>around</title><script>onmessage = ({ data }) => { window.heard = data; }</script>"
    (tmp_path / "around.html").write_text(around + framed(page), encoding="utf-8")
    browser.open((tmp_path / "around.html").as_uri())
    browser.wait_for("window.heard")
    assert browser.evaluate("window.heard").endswith("#step=1")
    assert browser.console == []
