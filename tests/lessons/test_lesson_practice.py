"""Answers are judged by their value; whatever a learner types is survived."""

from __future__ import annotations

from pathlib import Path

import pytest

from lessons.cells import Lesson, load_all, parse
from lessons.practice import Blank, Verdict, blanks, check

TEXT = """# %% [markdown]
# # Lesson 1: A test
# **Question.** Why?

# %%
from tinygrad_edu import Value
a, b = Value(2.0), Value(-3.0)
e = a * b  # key: a product
d = e + 10  # key: ten more

# %%
total = 0.0
for i in range(3):
    total += 2.0 * i  # key: twice
numbers = [i * i for i in range(4)]  # key: squares
len(numbers)  # key: how many


# %%
def double(x):
    return x + x  # key: two of them


# %%
double(a)
"""


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Lesson:
    path = tmp_path_factory.mktemp("lesson") / "01_test.py"
    path.write_text(TEXT, encoding="utf-8")
    return parse(TEXT, path)


def all_blanks(lesson: Lesson) -> list[Blank]:
    return [blank for i in range(len(lesson.cells)) for blank in blanks(lesson, i)]


def judge(lesson: Lesson, which: int, typed: str) -> Verdict:
    return check(lesson, all_blanks(lesson)[which], typed)


def test_what_is_left_blank(lesson: Lesson) -> None:
    assert [blank.shown for blank in all_blanks(lesson)] == [
        "e = ____", "d = ____", "    total += ____", "numbers = ____", "____", "    return ____",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("which", "typed"),
    [
        (0, "a * b"),
        (0, "b*a"),
        (0, "e = a * b"),
        (0, "e = -(a * -b)"),
        (0, "a / (1 / b)"),
        (0, "sum([a] * 0) + a * b + 0"),
        (1, "10 + e"),
        (1, "a * b + Value(10.0)"),
        (2, "i + i"),
        (2, "total = total + 2 * i"),
        (3, "[0, 1, 4, 9]"),
        (3, "list(i**2 for i in range(4))"),
        (3, "tuple(i**2 for i in range(4))"),
        (4, "4"),
        (4, "sum(1 for _ in numbers)"),
        (5, "2 * x"),
        (5, "return x * 2"),
    ],
)
def test_every_right_answer_is_accepted(lesson: Lesson, which: int, typed: str) -> None:
    assert judge(lesson, which, typed) == Verdict(True, "right")


@pytest.mark.parametrize(
    ("which", "typed", "message"),
    [
        (0, "a + b", "it is -1.0; that is not the number"),
        (0, "-6.0", "a plain number; it must be computed"),
        (0, "Value(-6.0)", "must be computed from the Values"),
        (0, "a.data * b", "must be computed from the Values"),
        (0, "q = a * b", "NameError: name 'e' is not defined"),
        (0, "a * z", "NameError: name 'z' is not defined"),
        (2, "i", "it is 1.0; that is not the number"),
        (3, "[0, 1, 4]", "it has 3 entries, not 4"),
        (4, "'four'", "that is something else"),
        (5, "x", "it is 2.0"),
        (0, "", "write what belongs in the blank"),
        (0, "a *", "Python cannot read this"),
        (0, "a * b; import os", "write one statement"),
        (0, "import os", "this line has the form e = ____"),
        (0, "a *\nb", "one line, please"),
        (0, "\0", "Python cannot read this"),
    ],
)
def test_every_wrong_answer_gets_a_reason(lesson: Lesson, which: int, typed: str, message: str) -> None:
    verdict = judge(lesson, which, typed)
    assert not verdict.right
    assert message in verdict.message


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("exit()", "ends the whole program"),
        ("__import__('os')._exit(0)", "made Python itself stop"),
        ("(lambda f: f(f))(lambda f: f(f))", "calls itself without an end"),
        ("[0] * 10**13", "more memory than there is"),
        ("print('x' * 10**8)", "something else"),
        ("__import__('os').kill(__import__('os').getpid(), 9)", "may only compute"),
        ("__import__('os').system('true')", "may only compute"),
        ("__import__('shutil').rmtree('/nowhere')", "may only compute"),
        ("__import__('socket').socket()", "may only compute"),
        ("__import__('ctypes').string_at(0)", "may only compute"),
        ("(" * 5000 + ")" * 5000, "Python cannot read this"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("__seen__(Value(1.0))", "something changed how often"),
    ],
)
def test_hostile_answers_are_survived(lesson: Lesson, typed: str, message: str) -> None:
    verdict = judge(lesson, 0, typed)
    assert not verdict.right
    assert message in verdict.message


def test_no_file_can_be_written_or_removed(lesson: Lesson, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("precious")
    for typed in (f"open({str(kept)!r}, 'w')", f"__import__('os').remove({str(kept)!r})"):
        assert "may only compute" in judge(lesson, 0, typed).message
    assert "may only compute" in judge(lesson, 0, f"__import__('pathlib').Path({str(kept)!r}).unlink()").message
    assert kept.read_text() == "precious"


def test_an_endless_loop_is_stopped(lesson: Lesson, monkeypatch: pytest.MonkeyPatch) -> None:
    judge(lesson, 4, "4")  # what is wanted is known by now, whatever time the next line gets
    monkeypatch.setattr("lessons.practice.SECONDS", 1.5)
    for typed in ("[x for x in iter(int, 1)]", "9**9**9"):
        verdict = judge(lesson, 4, typed)
        assert not verdict.right
        assert "takes too long" in verdict.message or "memory" in verdict.message


@pytest.mark.parametrize("lesson", load_all(), ids=lambda lesson: lesson.path.stem)
def test_the_lines_of_every_lesson_can_be_practised(lesson: Lesson) -> None:
    for blank in all_blanks(lesson):
        typed = blank.code.strip()
        assert check(lesson, blank, typed) == Verdict(True, "right"), blank.code
