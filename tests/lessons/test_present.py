"""The presenter: screens after key presses; and the whole command in a real terminal."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

import viz
from lessons.cells import load, parse
from lessons.cli import main
from lessons.present import Presenter
from lessons.present_command import show
from tests.commands import refusal
from tinygrad_edu import Value
from viz.stepping.stepper import Look

TEXT = """# %% [markdown]
# # Lesson 1: A test
# **Question.** Why?

# %%
x = 2
y = x * 3  # key: three times
y

# %% tags=["check"]
assert y == 6

# %% [markdown]
# **Exercise 1.** More?

# %% tags=["solution"]
print("solved")

# %%
x = x + 1
x

# %%
1 / 0
"""


@pytest.fixture
def lesson(tmp_path: Path):
    path = tmp_path / "01_test.py"
    path.write_text(TEXT, encoding="utf-8")
    return parse(TEXT, path)


def text(presenter: Presenter, width: int = 80, height: int = 24) -> str:
    lines = presenter.screen(width, height)
    assert len(lines) <= height
    assert all(len(line) <= width for line in lines)
    return "\n".join(lines)


def press(presenter: Presenter, *keys: str) -> str:
    for key in keys:
        presenter.press(key)
    return text(presenter)


def test_space_shows_a_cell_and_then_runs_it(lesson) -> None:
    presenter = Presenter(lesson)
    assert "LESSON 1: A TEST" in text(presenter)
    shown = press(presenter, "space")
    assert "y = x * 3" in shown
    assert "# key" not in shown
    assert "space runs this cell" in shown
    assert "\n6\n" in press(presenter, "space").replace("6 ", "6")
    assert "Exercise 1." in press(presenter, "space")  # the check ran on the way
    assert "x = x + 1" in press(presenter, "space")  # and the solution was skipped


def test_words_and_keys_are_not_broken_across_lines(lesson) -> None:
    words = "training overflows the margin of a narrow terminal " * 3
    lesson.path.write_text(
        f"# %% [markdown]\n# # Lesson 1: A test\n# **Question.** {words}\n\n# %%\n{words.split()!r}\n"
    )
    presenter = Presenter(parse(lesson.path.read_text(), lesson.path))
    for width in (40, 61, 80):
        presenter._go(0)
        shown = text(presenter, width).split("\n")
        assert " ".join(words.split()) in " ".join(line.strip() for line in shown)
        keys = [part.strip() for line in shown[-4:] for part in line.split("·")]
        assert {"space next", "r run again", "t timer", "q quit"} <= set(keys)
        presenter._go(1)
        assert all(line.count("'") % 2 == 0 for line in text(presenter, width).split("\n"))


def test_back_and_solutions(lesson) -> None:
    presenter = Presenter(lesson)
    press(presenter, *["space"] * 3)
    assert "6" in press(presenter, "left")
    assert presenter.position == 1
    assert "Exercise" in press(presenter, "space")
    assert "solutions are shown" in press(presenter, "s")
    assert 'print("solved")' in press(presenter, "space")
    assert "\nsolved" in press(presenter, "space")
    assert press(presenter, "s").count("solved") == 0
    assert "LESSON 1" in press(presenter, "home")


def test_a_cell_is_rerun_from_the_current_file(lesson) -> None:
    presenter = Presenter(lesson)
    press(presenter, *["space"] * 5)
    assert "\n3" in text(presenter)
    assert "\n4" in press(presenter, "r")  # the cell counts further
    assert "\n3" in press(presenter, "R")  # all cells again, as the first time
    lesson.path.write_text(TEXT.replace("x = x + 1", "x = x + 40"), encoding="utf-8")
    assert "\n43" in press(presenter, "r")
    lesson.path.write_text("broken", encoding="utf-8")
    assert "line 1: expected the first cell" in press(presenter, "r")


def test_a_cell_that_is_inserted_above_moves_nothing_on_the_screen(lesson) -> None:
    presenter = Presenter(lesson)
    press(presenter, *["space"] * 5)
    position, now = presenter.position, presenter.lesson.cells[presenter.position].source
    cells = TEXT.split("# %%")
    more = "# %%".join([*cells[:2], "\nmore = 7\n\n", *cells[2:]])
    lesson.path.write_text(more, encoding="utf-8")
    assert "\n4" in press(presenter, "r")
    assert presenter.position == position + 1
    assert presenter.lesson.cells[presenter.position].source == now
    assert "more" not in presenter._session.namespace
    assert "\n3" in press(presenter, "R")
    assert presenter._session.namespace["more"] == 7
    lesson.path.write_text(TEXT, encoding="utf-8")
    press(presenter, "r")
    assert presenter.position == position


def test_an_error_is_shown_with_its_line_and_the_presenter_continues(lesson) -> None:
    presenter = Presenter(lesson)
    shown = press(presenter, *["space"] * 7)
    assert "line 24: 1 / 0" in shown
    assert "ZeroDivisionError: division by zero" in shown
    assert "this was the last cell" in press(presenter, "space")
    assert "leave the lesson?" in press(presenter, "q")
    assert not presenter.done
    press(presenter, "y")
    assert presenter.done


@pytest.mark.parametrize(
    "code", ["exit()", "raise KeyboardInterrupt", "print('\\x1b[2J\\a')", "x =", "print('y' * 10**6)"]
)
def test_misbehaving_cells_leave_the_screen_intact(lesson, code: str) -> None:
    lesson.path.write_text(TEXT.replace("x = 2", code), encoding="utf-8")
    presenter = Presenter(lesson)
    shown = press(presenter, "space", "r")
    assert "\x1b" not in shown
    assert not presenter.done


def test_a_wrong_number_is_reported(lesson) -> None:
    lesson.path.write_text(TEXT.replace("y == 6", "y == 7"), encoding="utf-8")
    presenter = Presenter(lesson)
    press(presenter, "space", "R", "space")
    press(presenter, "space")
    assert "was not confirmed: AssertionError" in presenter.message


def test_the_timer(lesson) -> None:
    now = [100.0]
    presenter = Presenter(lesson, clock=lambda: now[0])
    now[0] += 754
    assert "12:34" in text(presenter).split("\n")[0]
    assert "00:00" in press(presenter, "t").split("\n")[0]


@pytest.mark.parametrize("name", ["1", "2", "3"])
def test_every_cell_fits_every_screen_and_can_be_scrolled(name: str) -> None:
    presenter = Presenter(load(name), fast=True)
    for _ in range(2 * len(presenter.lesson.cells) + 2):
        for width, height in ((20, 8), (40, 12), (80, 24), (200, 60)):
            text(presenter, width, height)
            for _ in range(40):
                presenter.press("down")
            text(presenter, width, height)
            for _ in range(40):
                presenter.press("up")
        presenter.press("space")
    assert presenter.message == "this was the last cell"


def test_all_of_a_long_cell_can_be_reached_by_scrolling(lesson) -> None:
    long = "\n".join(f"v{i} = {i}" for i in range(50))
    lesson.path.write_text(TEXT.replace("x = 2", "x = 2\n" + long + "\nprint(*range(100, 150), sep='\\n')"))
    presenter = Presenter(lesson)
    press(presenter, "space", "r", "left", "space")  # shown, run
    seen = text(presenter)
    for _ in range(120):
        presenter.press("up")
        seen += text(presenter)
    assert all(f"v{i} = {i}" in seen for i in range(50))
    assert all(f"\n{i}" in seen for i in range(100, 150))


# --- practicing -------------------------------------------------------------------------------------------------------


def type_in(presenter: Presenter, words: str) -> str:
    return press(presenter, *("space" if c == " " else c for c in words), "enter")


def test_a_blank_is_filled_in_checked_and_run(lesson) -> None:
    busy = []
    presenter = Presenter(lesson, practicing=True)
    presenter._redraw = lambda: busy.append(text(presenter))
    shown = press(presenter, "space")
    assert "y = ____" in shown
    assert "x * 3" not in shown
    press(presenter, "space")
    assert "hint: three times" in type_in(presenter, "?")
    assert "✗ it is 5.0; that is not the number" in type_in(presenter, "x + 3")
    assert "hint: three times" in type_in(presenter, "?")  # after the wrong answer, which is still there
    shown = type_in(presenter, "3 * x")
    assert "✓ right" in shown
    assert "y = x * 3" in shown
    assert "\n6" in shown
    assert any("checking" in screen for screen in busy)
    assert any("running" in screen for screen in busy)


def test_giving_up_shows_the_line_and_leaving_keeps_the_blank(lesson) -> None:
    presenter = Presenter(lesson, practicing=True)
    press(presenter, "space", "r", "x", "escape")  # running it again does not reveal it either
    assert "y = ____" in text(presenter)
    press(presenter, "space")
    shown = type_in(presenter, "!")
    assert "it is: y = x * 3" in shown
    assert "\n6" in shown


def test_checking_can_be_stopped(lesson, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lessons.practice.check", interrupted)
    presenter = Presenter(lesson, practicing=True)
    press(presenter, "space", "space")
    assert "✗ stopped" in type_in(presenter, "x * 3")


# --- leaving, asking, predicting --------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["q", "escape", "interrupt"])
def test_one_key_never_ends_the_lesson(lesson, key: str) -> None:
    presenter = Presenter(lesson)
    press(presenter, "space", "space")
    assert "leave the lesson? y leaves" in press(presenter, key)
    assert "leave the lesson?" not in press(presenter, key)  # the same key twice stays
    assert not presenter.done
    assert "\n6" in text(presenter)
    press(presenter, key, "y")
    assert presenter.done


def test_what_was_typed_for_a_blank_is_no_command(lesson) -> None:
    now = [0.0]
    presenter = Presenter(lesson, practicing=True, clock=lambda: now[0])
    now[0] = 60.0
    press(presenter, "space", "t", "q", "R")
    assert not presenter.done
    assert "01:00" in text(presenter)
    assert "← tqR▌" in text(presenter)


def test_a_question_runs_in_the_namespace_and_is_forgotten_by_starting_over(lesson) -> None:
    presenter = Presenter(lesson)
    presenter._redraw = lambda: text(presenter)
    press(presenter, "space", "space", ":")
    assert ">>> x + 40" in type_in(presenter, "x + 40")
    assert "\n42" in text(presenter)
    type_in(presenter, "x = 7")
    assert "\n7" in type_in(presenter, "x")
    assert ">>> x▌" in press(presenter, "up")
    assert ">>> x = 7▌" in press(presenter, "up")
    press(presenter, "down", "down")
    assert "ZeroDivisionError: division by zero" in type_in(presenter, "1 / 0")
    assert "SyntaxError" in type_in(presenter, "x +")
    assert "SystemExit" in type_in(presenter, "exit(3)")
    press(presenter, "escape", "R", ":")
    assert "\n2" in type_in(presenter, "x")
    assert lesson.path.read_text(encoding="utf-8") == TEXT


class View:
    """Stands for the live view."""

    def __init__(self) -> None:
        self.picture = ""
        self.seen: list[str] = []

    def show(self, value: object) -> str:
        self.picture = repr(value)
        self.seen.append(self.picture)
        return "shown"

    def bring_back(self, picture: str) -> None:
        self.picture = picture


GRAPH = """# %% [markdown]
# # Lesson 1: A test
# **Question.** Why?

# %%
from tinygrad_edu import Value

a = Value(2.0, label="a")
L = a * 3.0
L.backward()
L

# %% [markdown]
# ## Next

# %%
a + 1.0
"""


def graph(tmp_path: Path) -> tuple[Presenter, View]:
    path = tmp_path / "01_test.py"
    path.write_text(GRAPH, encoding="utf-8")
    view = View()
    return Presenter(parse(GRAPH, path), view=view, on_result=view.show), view


def test_going_back_brings_the_picture_back(tmp_path: Path) -> None:
    presenter, view = graph(tmp_path)
    press(presenter, "space", "space")
    first = view.picture
    press(presenter, "space", "space", "space")
    assert "7" not in view.picture
    assert view.picture != first
    press(presenter, "left")
    assert view.picture == first
    press(presenter, "space")
    assert view.picture != first


def test_a_changed_number_is_never_half_in_the_picture(tmp_path: Path) -> None:
    presenter, view = graph(tmp_path)
    press(presenter, "space", "space", ":")
    assert "data=6.0" in view.picture
    assert "recomputed from the numbers as they are now" in type_in(presenter, "a.data = 5.0")
    assert "data=15.0" in view.picture
    assert "data=6.0" in repr(presenter._session.namespace["L"])  # the lesson's own number is as it was
    assert "a was a Value and is now a plain number" in type_in(presenter, "a = 5")
    press(presenter, "escape", "R")
    assert "data=6.0" in view.picture


def test_earlier_cells_stay_above_faint_and_code_has_colors(lesson) -> None:
    presenter = Presenter(lesson)
    press(presenter, *["space"] * 3)
    screen = presenter.screen(80, 30, Look(color=True))
    code = next(line for line in screen if "y = x" in line)
    assert code.startswith("\x1b[2m")
    presenter.press("left")
    code = next(line for line in presenter.screen(80, 30, Look(color=True)) if "y = x" in line)
    assert "\x1b[36m3\x1b[0m" in code


def test_beginning_at_a_cell_runs_what_comes_before(lesson) -> None:
    presenter = Presenter(lesson)
    presenter.start_at(6)
    assert presenter.position == 5
    assert "x = x + 1" in text(presenter)
    assert "\n3" in press(presenter, "space")


STOP = """# %% [markdown]
# # Lesson 1: A test
# **Question.** Why?
#
# **Predict.** Two things.
#
# answer one: x
# answer it is: x > 0 | positive | negative

# %%
x = 1.5
print("the result")
"""


@pytest.fixture
def stop(tmp_path: Path) -> Presenter:
    path = tmp_path / "01_test.py"
    path.write_text(STOP, encoding="utf-8")
    presenter = Presenter(parse(STOP, path))
    presenter._redraw = lambda: text(presenter)  # as the command does while a cell runs
    return presenter


def test_a_prediction_is_taken_judged_and_tried_again(stop: Presenter) -> None:
    assert "one: ▌" in text(stop)
    assert "A positive" in type_in(stop, "2")
    shown = type_in(stop, "A")
    assert "✗ one: 2 is not it; once more" in shown
    assert "the result" not in shown
    shown = type_in(stop, "3/2")
    assert "✓ right, the second time: one: 1.5; it is: positive   (1 of 1 predicted)" in " ".join(shown.split("\n"))
    assert 'print("the result")' in shown
    assert "\nthe result" not in shown
    assert "space shows the result" in text(stop) or "✓" in shown
    assert "\nthe result" in press(stop, "space")


def test_a_prediction_that_cannot_be_read_is_asked_for_again_at_once(stop: Presenter) -> None:
    shown = type_in(stop, "1..5")
    assert "✗ type a number, such as 0.5, 1/3 or 12 %" in shown
    assert "one: ▌" in shown
    shown = type_in(stop, "1.5")
    assert "✗" not in shown
    assert "✗ choose one of A positive, B negative" in type_in(stop, "sideways")
    assert "✓ right: one: 1.5; it is: positive" in " ".join(type_in(stop, "A").split("\n"))


def test_a_prediction_can_be_wrong_or_left_out(stop: Presenter) -> None:
    type_in(stop, "2")
    type_in(stop, "negative")
    type_in(stop, "4")
    assert "✗ one: it is 1.5; it is: it is positive" in " ".join(type_in(stop, "B").split("\n"))
    press(stop, "home")
    assert stop.position == 0


def test_space_goes_on_without_a_prediction(stop: Presenter) -> None:
    assert "x = 1.5" in press(stop, "space")
    assert "\nthe result" in press(stop, "space")
    assert not stop.done


# --- the command ------------------------------------------------------------------------------------------------------


def test_results_are_written_where_they_can_be_seen(tmp_path: Path) -> None:
    class View:
        def __init__(self) -> None:
            self.shown: list[object] = []

        def show(self, value: object) -> None:
            self.shown.append(value)

    view = View()

    x = Value(2.0, label="x")
    chart = viz.plot({"loss": [2.0, 1.0]})
    assert show(x, view, tmp_path, "n") == "Value(data=2.0, label='x')"
    assert show(chart, view, tmp_path, "n") == "loss: 2 at 0, 1 at 1"
    assert show(7, view, tmp_path, "n") == "7"
    assert view.shown == [x, chart]
    assert show(chart, None, tmp_path, "n") == f"Wrote {(tmp_path / 'n-01.svg').as_uri()}"
    assert show(viz.step_page(x * x), view, tmp_path, "n") == f"Wrote {(tmp_path / 'n-02.html').as_uri()}"


def test_the_live_view_shows_charts() -> None:
    view = viz.live(open_browser=False)
    try:
        viz.show(viz.plot({"loss": [2.0, 1.0]}))
        assert "<path" in view._event
        assert "<style" not in view._event
    finally:
        view.close()


def test_without_a_terminal_it_says_what_to_do() -> None:
    assert "lessons: error: present needs a terminal with a keyboard; lesson 1" in refusal(main, "present", "1")
    assert "--from: expected a cell from 1 to" in refusal(main, "present", "1", "--from", "0")
    assert "--share shares the page of pictures" in refusal(main, "present", "1", "--share", "--no-live")


@pytest.mark.tmux
def test_in_a_real_terminal(tmp_path: Path) -> None:
    tmux = ["tmux", "-L", f"lessons{tmp_path.stat().st_ino}"]
    root = Path(__file__).parents[2]
    command = f"cd {tmp_path}; PYTHONPATH={root} {sys.executable} -m lessons present 1 --no-live; echo LEFT; sleep 60"
    subprocess.run([*tmux, "new-session", "-d", "-x", "80", "-y", "24", command], check=True)

    def wait_for(words: str) -> None:
        end = time.monotonic() + 20
        while True:
            screen = subprocess.run([*tmux, "capture-pane", "-p"], capture_output=True, text=True, check=True).stdout
            if words in screen:
                return
            assert time.monotonic() < end, f"{words!r} never appeared:\n{screen}"
            time.sleep(0.05)

    try:
        wait_for("LESSON 1: ONE EXPRESSION")
        subprocess.run([*tmux, "send-keys", " ", " ", " "], check=True)
        wait_for("NUDGE IT")
        subprocess.run([*tmux, "send-keys", " ", " ", " ", " "], check=True)
        wait_for("-8.0")
        subprocess.run([*tmux, "send-keys", "C-c"], check=True)  # with no cell running
        wait_for("leave the lesson?")
        subprocess.run([*tmux, "send-keys", "n", "q"], check=True)
        wait_for("leave the lesson?")
        subprocess.run([*tmux, "send-keys", "y"], check=True)
        wait_for("--from 5 continues there")
        wait_for("LEFT")
    finally:
        subprocess.run([*tmux, "kill-server"], check=False)
