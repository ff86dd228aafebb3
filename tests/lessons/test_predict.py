"""Predictions: every stop has an answer that comes from the run of its lesson, and all who ask judge it alike."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from lessons import predict
from lessons.cells import Cell, Lesson, load, load_all, parse
from lessons.cli import main
from lessons.errors import LessonError
from lessons.notebook import notebook
from lessons.predict import Question, Right, judge, read
from lessons.runner import run_all
from tests.viz.browser import Browser

OPENING = "# %% [markdown]\n# # Lesson 3: The neuron\n# **Question.** What?\n\n"
TYPED = [
    "2", "-2", "−2.5", "1/3", "12 %", "10,496", "0,5", "1,234,567", "2^10", "2**-3", "10⁻⁸", "1e-8", ".5", "3.",
    "ln 27", "log(27)", "-log(1/27)", "√64", "sqrt(64)/2", "x = 4", "(1 + 2) * 3", "2·3", "6÷4", "-2^2", "2^3^2",
    "½", "¼ + 1", "1½", "1E3", "–3", "007", "max(1,2)", "TANH(1)", "1e400", "9^9^9^9", "9" * 10_000, "(" * 10_000,
    "<b>3</b>", "3;4", "3 # c", "1_000", "３", "∞",
    "1 - 2 - 3", "", "many", "1 2", "(1", "1/0", "2 +", "ln", "0x10", "__import__",
    "a + 1", "sqrt(-1)", "NaN", "1,2,3",
]  # fmt: skip


@pytest.mark.parametrize("lesson", load_all(), ids=lambda lesson: lesson.path.stem)
def test_every_stop_has_an_answer_or_says_that_it_is_open(lesson: Lesson) -> None:
    for cell in lesson.cells:
        if cell.asks:
            how = 'write "# answer LABEL: EXPRESSION" after the paragraph, or "# answer: open" (lessons/predict.py)'
            assert cell.questions or cell.is_open, f"{lesson.path.name}, line {cell.line}: {how}"
            assert len(cell.questions) == 1 or all(question.label for question in cell.questions)
            assert cell.source.rpartition("\n\n")[2].startswith(predict.MARK), "the question comes last"


def test_answers_come_from_the_run_of_the_lesson() -> None:
    lesson = load("1")
    shown = run_all(lesson, fast=True)
    found = {right.question.label: right.words for one in shown if one is not None for right in one.rights}
    assert found["∂L/∂a"] == "6"
    assert found["it will be"] == "a little less"
    assert found["∂b/∂a"] == "2"  # of the second a, before it becomes a third one
    assert found["∂c/∂a"] == "4"


def asking(lines: str, code: str = "x = 2") -> Lesson:
    text = f"{OPENING}# %% [markdown]\n# **Predict.** What?\n#\n{lines}\n\n# %%\n{code}\n"
    return parse(text, Path("03_neuron.py"))


def test_the_answers_are_no_part_of_the_text() -> None:
    lesson = asking("# answer x: x\n# answer it is:\n#   x > 0 | positive\n#   | negative")
    cell = lesson.cells[1]
    assert cell.source == "**Predict.** What?"
    assert cell.questions == (Question("x", "x"), Question("it is", "x > 0", ("positive", "negative")))
    assert "answer" not in str(notebook(lesson, [None] * 3))
    assert not cell.is_open
    assert asking("# answer: open").cells[1].is_open
    assert Cell("markdown", "The answer: 4", 1).questions == ()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("# answer x: x +", r"line 8: expected an expression after 'answer x', got 'x \+'"),
        ("# answer: x ± a", "line 8: expected an expression"),
        ("# answer: x | one", "line 8: expected at least two different options"),
        ("# answer: x | one | One", "line 8: expected at least two different options"),
    ],
)
def test_lines_that_cannot_be_read_are_named(line: str, message: str) -> None:
    with pytest.raises(LessonError, match=message):
        asking(line)


@pytest.mark.parametrize(("line", "code"), [("y", "x = 2"), ("x | a | b", "x = 2"), ("x | a | b", "x = 'c'")])
def test_an_answer_that_cannot_be_computed_is_named(line: str, code: str) -> None:
    with pytest.raises(LessonError, match=r"03_neuron.py, line 6: an answer cannot be computed: "):
        run_all(asking(f"# answer: {line}", code))


def test_numbers_are_judged_by_value() -> None:
    half = Right(Question("", "x"), -7.286496)
    assert all(judge(half, typed).right for typed in ("-7.2865", "−7.29", "-7.28", "-(7 + 2/7)"))
    assert judge(half, "7.2865").message == "7.2865 is not it"
    assert not judge(half, "seven").understood
    assert not judge(Right(Question("", "x"), 10_496), "10500").right  # a count is exact
    assert judge(Right(Question("", "x"), 10_496), "10,496").message == "right: 10,496"
    about = Right(Question("", "x", within=1.0), 7.85)
    assert [judge(about, typed).right for typed in ("8", "8.85", "6.8")] == [True, True, False]
    assert judge(Right(Question("", "x"), math.inf), "∞").right
    share, percentage = Right(Question("share", "x"), 0.88), Right(Question("the CNN, in percent", "x"), 88.0)
    assert [judge(share, typed).right for typed in ("0.88", "88 %", "88")] == [True, True, False]
    assert [judge(percentage, typed).right for typed in ("88", "88 %", "88%", "0.88")] == [True, True, True, False]
    options = Right(Question("", "x", ("up", "down")), 1)
    assert [judge(options, typed).right for typed in ("down", "B", "d", "up")] == [True, True, True, False]
    assert not judge(options, "sideways").understood


# --- in a browser -----------------------------------------------------------------------------------------------------

TEXT = """# %% [markdown]
# # Lesson 1: A test
# **Question.** Why?
#
# **Predict.** First?
#
# answer one: x
# answer two, in percent: x * 2

# %%
x = 1.5

# %% [markdown]
# It was one and a half.
#
# **Predict.** Second, which depends on the first?
#
# answer it is: x > 0 | positive | negative

# %%
x

# %% [markdown]
# Positive.
#
# ## Next
# In the open.
#
# **Predict.** Think.
#
# answer: open

# %%
print("thought")
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("predict")
    path = folder / "01_test.py"
    path.write_text(TEXT, encoding="utf-8")
    lesson = parse(TEXT, path)
    from lessons import site

    site.write_lesson(lesson, run_all(lesson), [lesson], folder)
    return (folder / "01_test.html").as_uri()


@pytest.fixture
def stops(browser: Browser, page: str) -> Browser:
    browser.call("Emulation.setDeviceMetricsOverride", width=1280, height=720, deviceScaleFactor=1, mobile=False)
    browser.open(page)
    browser.evaluate("localStorage.clear()")
    browser.open(page)
    return browser


def seen(browser: Browser, words: str) -> bool:
    return words in browser.evaluate("document.querySelector('main').innerText")


def verdict(browser: Browser, stop: int) -> str:
    return browser.evaluate(f"document.querySelector('#predict-{stop} .verdict').textContent")


def type_in(browser: Browser, name: str, words: str, *, enter: bool = False) -> None:
    browser.evaluate(f"document.getElementById('{name}').select()")
    browser.type(words)
    if enter:
        browser.key("Enter", "\r")


def test_everything_up_to_the_next_heading_is_folded(stops: Browser) -> None:
    assert seen(stops, "First?")
    for hidden in ("x = 1.5", "one and a half", "which depends on the first?", "Positive."):
        assert not seen(stops, hidden)
    assert seen(stops, "In the open.")
    assert not seen(stops, "thought\n")
    assert stops.evaluate("document.getElementById('score').textContent") == "0 of 2 right"


def test_a_second_try_counts_and_survives_reload(stops: Browser, page: str) -> None:
    type_in(stops, "predict-1-1", "3/2")
    type_in(stops, "predict-1-2", "two", enter=True)
    assert verdict(stops, 1) == "Type a number, such as 0.5, 1/3 or 12 %."  # this was no try
    type_in(stops, "predict-1-2", "2", enter=True)
    assert verdict(stops, 1) == "Not yet. Try once more."
    assert stops.evaluate("document.activeElement.id") == "predict-1-2"
    assert not seen(stops, "one and a half")
    stops.open(page)
    assert verdict(stops, 1) == "Not yet. Try once more."
    type_in(stops, "predict-1-2", "3", enter=True)
    assert verdict(stops, 1) == "Right, the second time."
    assert seen(stops, "one and a half")
    assert seen(stops, "which depends on the first?")
    assert not seen(stops, "Positive.")
    stops.evaluate("document.querySelectorAll('#predict-2 input')[0].click()")
    stops.evaluate("document.querySelector('#predict-2 .check').click()")
    assert seen(stops, "Positive.")
    stops.open(page)
    assert stops.evaluate("document.getElementById('score').textContent") == "2 of 2 right"
    assert seen(stops, "Positive.")
    stops.evaluate("document.getElementById('over').click()")
    assert stops.evaluate("document.getElementById('score').textContent") == "0 of 2 right"
    assert not seen(stops, "one and a half")
    assert stops.console == []


def test_what_is_answered_in_another_window_is_kept(stops: Browser, page: str) -> None:
    key, there = stops.evaluate("document.getElementById('predict-1').dataset.key"), ["1.5", "3"]
    place, kept = "predict:01_test.html", {key: {"tries": 1, "done": "right", "typed": there}}
    stops.evaluate(f"localStorage.setItem({place!r}, {json.dumps(json.dumps(kept))})")
    stops.evaluate(f"dispatchEvent(new StorageEvent('storage', {{ key: {place!r} }})) && 0")  # as the browser does
    assert verdict(stops, 1) == "Right."
    stops.evaluate("document.querySelector('#predict-2 .show').click()")
    stops.open(page)
    assert verdict(stops, 1) == "Right."
    assert seen(stops, "Positive.")


def test_what_is_typed_is_text_however_long(stops: Browser) -> None:
    type_in(stops, "predict-1-1", "<img src=x onerror=alert(1)>", enter=True)
    type_in(stops, "predict-1-1", "9" * 10_000)
    type_in(stops, "predict-1-2", "3", enter=True)
    assert verdict(stops, 1) == "Type a number, such as 0.5, 1/3 or 12 %."
    assert stops.evaluate("document.querySelectorAll('#predict-1 img').length") == 0
    assert stops.console == []


def test_a_browser_that_keeps_nothing_judges_nevertheless(stops: Browser, page: str) -> None:
    refusing = "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no'); } })"
    script = stops.call("Page.addScriptToEvaluateOnNewDocument", source=refusing)["identifier"]
    try:
        stops.open(page)
        type_in(stops, "predict-1-1", "1.5")
        type_in(stops, "predict-1-2", "3", enter=True)
        assert verdict(stops, 1) == "Right."
        stops.evaluate("document.getElementById('all').click(), document.getElementById('theme').click()")
        assert seen(stops, "Positive.")
        assert stops.console == []
    finally:
        stops.call("Page.removeScriptToEvaluateOnNewDocument", identifier=script)


def test_after_two_wrong_tries_the_answer_is_shown(stops: Browser) -> None:
    type_in(stops, "predict-1-1", "1.5")
    type_in(stops, "predict-1-2", "7", enter=True)
    type_in(stops, "predict-1-2", "8", enter=True)
    assert verdict(stops, 1) == "Not this time. Read on."
    assert stops.evaluate("document.getElementById('predict-1-2-mark').textContent") == "✗ it is 3"
    assert stops.evaluate("document.getElementById('predict-1-2').disabled")
    assert seen(stops, "one and a half")


def test_a_percentage_may_be_typed_with_its_sign(stops: Browser) -> None:
    type_in(stops, "predict-1-1", "150 %")
    type_in(stops, "predict-1-2", "3 %", enter=True)
    assert verdict(stops, 1) == "Right."


def test_open_questions_need_only_a_thought(stops: Browser) -> None:
    assert stops.evaluate("document.querySelectorAll('#predict-3 button').length") == 1
    stops.evaluate("document.querySelector('#predict-3 button').focus()")
    stops.key("Enter", "\r")
    assert seen(stops, "thought")
    assert stops.evaluate("document.getElementById('score').textContent") == "0 of 2 right"


def test_a_teacher_opens_everything(stops: Browser, page: str) -> None:
    stops.evaluate("document.getElementById('all').click()")
    assert seen(stops, "Positive.")
    stops.open(page)
    assert stops.evaluate("document.getElementById('all').getAttribute('aria-pressed')") == "true"
    assert seen(stops, "Positive.")
    stops.evaluate("document.getElementById('all').click()")
    assert not seen(stops, "Positive.")


def test_a_link_into_what_is_folded_leads_to_the_question(stops: Browser, page: str) -> None:
    stops.open(f"{page}#cell-4")
    stops.wait_for("document.activeElement.id === 'predict-1-1'")
    assert verdict(stops, 1) == "What you are looking for comes after this question."
    assert not seen(stops, "x\n")
    stops.evaluate("document.querySelector('#predict-1 .show').click()")  # it is behind a second question
    stops.evaluate("document.querySelector('#predict-2 .show').click()")
    assert seen(stops, "Positive.")


def test_without_scripts_everything_is_open(browser: Browser, page: str) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.call("Page.navigate", url=page)
        browser.wait_for("document.readyState === 'complete' && document.querySelector('main') !== null")
        assert seen(browser, "Positive.")
        assert not browser.evaluate("document.querySelector('.guess').checkVisibility()")
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)


def test_the_page_reads_numbers_as_python_does(stops: Browser) -> None:
    for typed in TYPED:
        python = read(typed)
        page = stops.evaluate(f"String(readNumber({typed!r}))")
        if python is None:
            assert page == "null", typed
        elif math.isnan(python):
            assert page == "NaN"
        else:
            assert float(page) == pytest.approx(python, rel=1e-15), typed


@pytest.mark.axe
@pytest.mark.parametrize("width", [375, 1280])
def test_the_forms_work_with_screen_readers(stops: Browser, width: int) -> None:
    from tests.viz.charts import check_accessible

    stops.call("Emulation.setDeviceMetricsOverride", width=width, height=720, deviceScaleFactor=1, mobile=width < 600)
    type_in(stops, "predict-1-1", "1", enter=True)
    check_accessible(stops)


def test_all_pages_of_the_course_still_know_their_questions(tmp_path: Path) -> None:
    assert main(["site", str(tmp_path), "--fast", "--only", "2", "s5"]) == 0
    for lesson in (load("2"), load("s5")):
        page = (tmp_path / f"{lesson.path.stem}.html").read_text(encoding="utf-8")
        assert page.count('class="guess"') == sum(cell.asks for cell in lesson.cells)
        assert page.count("<div") == page.count("</div>")
