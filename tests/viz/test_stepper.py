"""The terminal stepper: its keys, screens and quiz; and a real terminal where tmux is installed."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

import viz
from tinygrad_edu import Value
from tinygrad_edu.step_log import Chain, record
from viz.expressions import compute
from viz.stepping import answers, terminal
from viz.stepping.stepper import Look, Stepper, all_steps
from viz.style import number

ROOT = Path(__file__).resolve().parents[2]
LECTURE = ("L = (a*b + c) * f", {"a": 2, "b": -3, "c": 10, "f": -2})


def lecture():
    return record(compute(*LECTURE))


def press(stepper, *keys):
    for key in keys:
        stepper.press(key)
    return stepper


def grads(stepper):
    """Return the column of gradients on the screen, by name."""
    rows = [line.split() for line in stepper.screen(100, 60)[3:] if line[:3] in ("   ", " ▶ ", " · ")]
    return {row[row[0] in "▶·"]: row[-1] for row in rows if len(row) > 2}


def test_next_and_previous_show_every_prefix():
    log = lecture()
    stepper = Stepper(log)
    screens = []
    for k in range(len(log.steps) + 1):
        expected = log.replay(k).gradients
        shown = grads(stepper)
        for node, gradient in zip(log.nodes, expected, strict=True):
            assert shown[node.name] == ("–" if gradient is None else number(gradient))
        screens.append(stepper.screen())
        press(stepper, "right")
    assert stepper.position == len(log.steps)  # it stays at the last step
    for k in range(len(log.steps), -1, -1):
        assert stepper.position == k
        assert stepper.screen() == screens[k]
        assert Stepper(log, position=k).screen() == screens[k]
        press(stepper, "left")
    assert stepper.position == 0


def test_keys():
    stepper = Stepper(lecture())
    for keys, position in [
        ("l", 10), ("f", 0), (["end"], 10), (["home"], 0), ("b", 3), (["space", "n", "pagedown"], 6), ("p", 5),
        (["g", "9", "enter"], 9), (["g", "1", "backspace", "2", "enter"], 2), (["g", "7", "escape"], 2),
        (["g", "1", "1", "enter"], 2), (["x", "unknown"], 2),
    ]:  # fmt: skip
        assert press(stepper, *keys).position == position, keys
    assert "step 2 of 10" in stepper.screen()[0]
    press(stepper, "g", "9", "9", "enter")
    assert any("there is no step 99; type a number from 0 to 10" in line for line in stepper.screen())
    assert not stepper.done
    assert press(stepper, "q").done


def test_a_screen_fits_and_shows_the_step():
    stepper = press(Stepper(lecture()), "l", "p")
    lines = stepper.screen(80, 24)
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert " ∂L/∂a += ∂L/∂v1 · ∂v1/∂a = −2 · −3 = 6" in lines
    assert " v1 = a · b, so ∂v1/∂a = b = −3" in lines
    assert any(re.fullmatch(r" ▶ a +2 +6", line) for line in lines)


def test_long_sentences_are_wrapped_not_cut():
    stepper = Stepper(record(compute("L = tanh(first_name * second_name) ** 2 / gelu(second_name)",
                                     {"first_name": 0.123456, "second_name": -1.23456})))  # fmt: skip
    for position in range(len(stepper.log.steps)):
        stepper.go(position + 1)
        words = " ".join(" ".join(stepper.screen()).split())
        assert " ".join(stepper.log.sentence(stepper.log.steps[position], number).split()) in words


@pytest.mark.parametrize("size", [(80, 24), (40, 10), (20, 8), (200, 60), (1, 1)])
def test_any_window_and_any_graph(size):
    x = y = Value(0.5, "a name that is much too long for a column of names")
    for _ in range(300):
        y = (y * x).tanh() + x
    stepper = Stepper(record(y))
    for position in (0, 1, 400, 901, 902, 1500, len(stepper.log.steps)):
        stepper.go(position)
        lines = stepper.screen(*size)
        assert len(lines) <= max(size[1], 8)
        assert max(map(len, lines)) <= max(size[0], 20)
        if position and size[1] >= 24:
            assert sum(line.startswith(" ▶") for line in lines) == 1


def test_the_quiz_keeps_score():
    stepper = press(Stepper(lecture()), "t")
    press(stepper, "n", *"2*-3", "enter")
    assert (stepper.position, stepper.right, stepper.asked) == (1, 1, 1)
    assert any("✓ right: −6" in line for line in stepper.screen())
    press(stepper, "n", *"16", "enter")
    assert stepper.position == 1
    assert any("✗ 16 is not it; compute −6 + 10" in line for line in stepper.screen())
    press(stepper, *"4", "enter")  # the second attempt is right, but only first attempts score
    assert (stepper.position, stepper.right, stepper.asked) == (2, 1, 2)
    press(stepper, "n", *"??", "enter")  # unreadable, so not an attempt
    assert (stepper.position, stepper.asked) == (2, 2)
    press(stepper, "enter")  # shown without an answer
    assert (stepper.position, stepper.right, stepper.asked) == (3, 1, 3)
    assert "quiz: 1 of 3 right" in stepper.screen()[0]
    press(stepper, "n", *"1", "escape")
    assert stepper.position == 3


def test_the_number_asked_for_is_not_on_the_screen():
    stepper = press(Stepper(lecture(), quiz=True), *"fgx", "escape", "g", "8", "enter", "n")
    assert any(line == " ∂L/∂a = ∂L/∂v1 · ∂v1/∂a = ?" for line in stepper.screen())
    assert grads(stepper)["a"] == "–"
    assert not any("= 6" in line for line in stepper.screen())


@pytest.mark.parametrize(
    ("text", "numbers", "step", "answer", "words"),
    [
        (*LECTURE, 8, "6", None),
        (*LECTURE, 8, "-2 * b", None),
        (*LECTURE, 8, "12/2", None),
        (*LECTURE, 8, "5.98", None),
        (*LECTURE, 8, "5.9", "5.9 is not it; v1 = a · b, so ∂v1/∂a = b = −3"),
        (*LECTURE, 8, "-6", "the size is right, the sign is not"),
        (*LECTURE, 8, "-2", "that is ∂L/∂v1 alone; it must be multiplied by the local derivative ∂v1/∂a"),
        (*LECTURE, 8, "-3", "that is the local derivative ∂v1/∂a alone; it must be multiplied by ∂L/∂v1"),
        (*LECTURE, 8, "-5", "the chain rule multiplies ∂L/∂v1 and ∂v1/∂a, it does not add them"),
        ("b = a*a", {"a": 3}, 3, "6", None),
        ("b = a*a", {"a": 5}, 3, "5", "the earlier term 5 is missing: gradients accumulate, ∂b/∂a += 5"),
        ("x = a*3; L = x*a*a + x", {"a": 2}, 9, "7", "7 is not it"),
        ("b = a - c", {"a": 1, "c": 4}, 0, "3", "the order matters: a − c, not the other way round"),
        ("b = a - c", {"a": 1, "c": 4}, 1, "0", "how fast does b change when b itself changes?"),
        ("b = exp(a)", {"a": 1}, 0, "2.72", None),
        ("b = exp(a)", {"a": 1}, 0, "exp(a)", None),
        ("b = exp(a)", {"a": 1}, 0, "h", "h is not a name here"),
        ("b = exp(a)", {"a": 1}, 0, "1/0", "division by zero"),
    ],
)  # fmt: skip
def test_checking_answers(text, numbers, step, answer, words):
    log = record(compute(text, numbers))
    verdict = answers.judge(log, log.steps[step], answer)
    assert verdict.right == (words is None), verdict
    assert words is None or words in verdict.message


def test_every_correct_number_is_accepted():
    for text, numbers in [LECTURE, ("L = tanh(a*b + b/a) * sigmoid(a) - a**2", {"a": 0.7, "b": -1.3})]:
        log = record(compute(text, numbers))
        for step in log.steps:
            right = answers.expected(step)
            assert answers.judge(log, step, repr(right)).right
            assert answers.judge(log, step, f"{right:.3g}").right
            assert not answers.judge(log, step, repr(right * 1.02 + 0.001)).right
            assert answers.question(log, step).endswith("?")


def test_missing_terms_are_named():
    log = record(compute("L = a*b + a*c + a*d", {"a": 1, "b": 2, "c": 3, "d": 7}))
    last = log.terms(0)[-1]
    first = log.terms(0)[0]
    verdict = answers.judge(log, last, repr(last.after - first.contribution))
    assert verdict.message == f"the term ∂L/∂{log.nodes[first.node].name} · {log.local_name(first)} = 2 is missing"
    verdict = answers.judge(log, last, repr(last.before))
    assert "the new term" in verdict.message


# --- printing ---------------------------------------------------------------------------------------------------


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "viz", "step", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )


ARGUMENTS = ("L = (a*b + c) * f", "a=2", "b=-3", "c=10", "f=-2")


def test_piped_output_has_every_step_and_no_codes():
    done = run(*ARGUMENTS, PYTHONIOENCODING="utf-8")
    text = done.stdout.decode("utf-8")
    log = lecture()
    assert (done.returncode, done.stderr) == (0, b"")
    assert "\x1b" not in text
    for step in log.steps:
        assert log.sentence(step) in text
    assert text.split("gradients\n")[1].split("\n") == [
        "  ∂L/∂a = 6", "  ∂L/∂b = −4", "  ∂L/∂c = −2", "  ∂L/∂f = 4", "",
    ]  # fmt: skip


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_an_old_encoding_gets_plain_letters(encoding):
    done = run("L = (α*b + b) * σ2", "α=2", "b=-3", "σ2=-2", PYTHONIOENCODING=encoding)
    text = done.stdout.decode(encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "dL/db += dL/dv2 * dv2/db = -2 * 1 = -2" in text


def test_screens_in_an_old_encoding_can_be_written():
    stepper = Stepper(lecture(), quiz=True)
    for keys in ("", "l", "f", "n", "n9\n", "g"):
        press(stepper, *["enter" if key == "\n" else key for key in keys])
        for line in stepper.screen(look=Look(encoding="cp1252")):
            line.encode("cp1252")
            assert len(line) <= 80


def test_colors_only_where_they_are_allowed():
    stepper = press(Stepper(lecture()), "l")
    assert not any("\x1b" in line for line in stepper.screen(look=Look(color=False)))
    assert any("\x1b[1;33m" in line for line in stepper.screen(look=Look(color=True)))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["L = (a*b"], "column 5: this cannot be read: '(' was never closed"),
        (["L = a*b", "a=1"], "no number for b; write for example: b=1"),
        (["a / b", "a=1", "b=0"], "1.0 / 0.0: division by zero"),
        (["a", "a=1", "a=2"], "a got two numbers"),
        (["a", "a"], "expected name=number, such as a=2; got 'a'"),
        (["a", "a=x"], "the number for a cannot be read: 'x'"),
        (["a" * 11_000], "at most 10,000 are read"),
    ],
)
def test_mistakes_are_one_sentence_without_traceback(arguments, words):
    done = run(*arguments, PYTHONIOENCODING="utf-8")
    assert done.returncode == 2
    assert done.stdout == b""
    error = done.stderr.decode()
    assert error.startswith("viz: ")
    assert words in error
    assert "Traceback" not in error


def test_step_prints_in_a_session_without_keyboard(capsys):
    viz.step(compute(*LECTURE))
    assert capsys.readouterr().out.splitlines() == list(all_steps(lecture()))


def test_split_keys():
    assert terminal.split_keys("\x1b[5~\x1b[6~\x1bOH\x1b[F\x1b[99~\x7f\x03é") == [
        "pageup", "pagedown", "home", "end", "unknown", "backspace", "interrupt", "é",
    ]  # fmt: skip


# --- a real terminal ----------------------------------------------------------------------------------------------


class Tmux:
    """A terminal of 80 × 24 that runs one command."""

    def __init__(self, tmp_path, command):
        self.base = ["tmux", "-S", str(tmp_path / "tmux"), "-f", "/dev/null"]
        self.run("new-session", "-d", "-x", "80", "-y", "24", command)

    def run(self, *arguments):
        return subprocess.run([*self.base, *arguments], capture_output=True, text=True, check=True).stdout

    def keys(self, *keys):
        self.run("send-keys", *keys)

    def wait_for(self, words):
        """Return the screen as soon as ``words`` are on it."""
        for _ in range(200):
            screen = self.run("capture-pane", "-p")
            if words in screen:
                return screen
            time.sleep(0.05)
        raise AssertionError(f"{words!r} never came; the screen is\n{screen}")


@pytest.fixture
def tmux(tmp_path):
    if "UTF-8" not in os.environ.get("LC_ALL", os.environ.get("LANG", "")).upper().replace("UTF8", "UTF-8"):
        os_environment = "env LC_ALL=C.UTF-8 "
    else:
        os_environment = ""
    started = []

    def start(arguments, environment=""):
        command = " ".join([f"cd '{ROOT}';", os_environment, "env", environment, f"'{sys.executable}' -m viz step"])
        started.append(Tmux(tmp_path, f"{command} {arguments}; echo back in the shell; sleep 60"))
        return started[-1]

    yield start
    for terminal_ in started:
        terminal_.run("kill-server")


def test_a_real_terminal(tmux):
    terminal_ = tmux("'L = (a*b + c) * f' a=2 b=-3 c=10 f=-2", "NO_COLOR=1")
    terminal_.wait_for("step 0 of 10")
    terminal_.keys("Right", "n", "Space", "PageDown", "Down")
    terminal_.wait_for("step 5 of 10")
    terminal_.keys("Left")
    screen = terminal_.wait_for("step 4 of 10")
    assert "∂L/∂L = 1" in screen or "dL/dL = 1" in screen
    terminal_.keys("End")
    terminal_.wait_for("step 10 of 10")
    terminal_.keys("Home")
    terminal_.wait_for("step 0 of 10")
    terminal_.keys("g", "9", "Enter")
    screen = terminal_.wait_for("step 9 of 10")
    expected = press(Stepper(lecture()), "g", "9", "enter").screen()
    assert [line.rstrip() for line in screen.split("\n")[: len(expected)]] == [line.rstrip() for line in expected]
    assert "\x1b[" not in terminal_.run("capture-pane", "-p", "-e")  # NO_COLOR
    terminal_.keys("t", "n", "4", "Enter")
    terminal_.wait_for("the size is right, the sign is not")
    terminal_.keys("--", "-4", "Enter")
    terminal_.wait_for("quiz: 0 of 1 right")
    terminal_.keys("q")
    screen = terminal_.wait_for("back in the shell")
    assert "step" not in screen  # the screen is restored


def test_a_terminal_of_an_old_encoding(tmux):
    terminal_ = tmux("'L = (a*b + c) * f' a=2 b=-3 c=10 f=-2", "PYTHONIOENCODING=cp1252")
    terminal_.wait_for("step 0 of 10")
    terminal_.keys("g", "9", "Enter")
    screen = terminal_.wait_for("dL/da += dL/dv1 * dv1/da = -2 * -3 = 6")
    assert screen.isascii()
    terminal_.keys("t", "n")
    terminal_.wait_for("your answer: #")


def test_ctrl_c_restores_the_terminal(tmux):
    terminal_ = tmux("'a*a' a=3")
    terminal_.wait_for("step 0 of 4")
    assert "\x1b[" in terminal_.run("capture-pane", "-p", "-e")
    terminal_.keys("C-c")
    assert "Traceback" not in terminal_.wait_for("back in the shell")


def test_chain_steps_are_called_backward_on_the_screen():
    stepper = Stepper(lecture())
    phases = []
    for k in range(len(stepper.log.steps) + 1):
        stepper.go(k)
        phases.append(stepper.screen()[0].split("·")[1].split()[0])
    assert phases == ["before", *["forward"] * 3, *["backward"] * 6, "done"]
    assert sum(isinstance(step, Chain) for step in stepper.log.steps) == 6
