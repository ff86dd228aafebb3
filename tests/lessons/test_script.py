"""A lesson on the terminal: whole paragraphs, and a pause at each prediction if somebody is there to answer."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from lessons import script
from lessons.cells import Lesson, load, load_all, parse
from lessons.script import plain
from tests.lessons.test_predict import TEXT

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("lesson", load_all(), ids=lambda lesson: lesson.path.stem)
def test_paragraphs_are_broken_only_where_they_are_full(lesson: Lesson) -> None:
    for cell in lesson.cells:
        if cell.is_code or "|" in cell.source:
            continue
        for width in (60, 100):
            rows = plain(cell.source, width).split("\n")
            for row, following in pairwise(rows):
                ends = not row or not following or row.isupper() or "    " in row[:4] + following[:4]
                if not ends and not re.match(r"([-*>]|\d+\.) ", following):
                    assert len(row) + 1 + len(following.split()[0]) > width, (cell.line, row, following)
        prose = re.sub(r"`[^`]*`", "", re.sub(r"^    .*$", "", cell.source, flags=re.MULTILINE))
        assert not re.search(r"(?<!\w)\*\*?\w", plain(prose)), cell.line


def test_emphasis_at_the_beginning_of_a_line_is_no_list() -> None:
    assert plain("so the contributions\n**add up**: 1 + 1") == "so the contributions add up: 1 + 1"
    assert plain("a sign for *here a\nname begins*, and") == "a sign for here a name begins, and"
    assert plain("- one\n  more\n- two\n* three") == "- one more\n- two\n* three"
    assert plain("```\na\n\n  b\n```\nc") == "    a\n\n      b\nc"


def test_tables_are_aligned_and_wrapped() -> None:
    table = "| here | there |\n|---|---|\n| `a` | one two three four |\n"
    assert plain(table, 17) == "here   there\n────   ──────────\na      one two\n       three four"


@pytest.fixture
def lesson(tmp_path: Path) -> Lesson:
    path = tmp_path / "01_test.py"
    path.write_text(TEXT, encoding="utf-8")
    return parse(TEXT, path)


def answering(*answers: str):
    left = iter(answers)

    def ask(prompt: str) -> str:
        print(prompt, end="")
        try:
            return next(left)
        except StopIteration:
            raise EOFError from None

    return ask


def test_each_prediction_is_asked_and_judged(lesson: Lesson, tmp_path: Path, capsys) -> None:
    script.run(lesson, tmp_path, ask=answering("1.5", "2", "3", "sideways", "A", ""))
    out = capsys.readouterr().out
    assert "  one:   two, in percent: " in out
    assert "✓ one: right: 1.5" in out
    assert "✗ two, in percent: 2 is not it; once more" in out
    assert "✓ two, in percent: right: 3" in out
    assert "  choose one of A positive, B negative (Enter shows the answer, q leaves)" in out
    assert "✓ it is: right: positive" in out
    assert "(think; Enter goes on)" in out
    assert out.index("✓ two") < out.index("x = 1.5") < out.index("one and a half")
    assert out.rstrip().endswith("You predicted 2 of 2.")


def test_wrong_twice_shows_the_answer_and_nobody_is_asked_twice(lesson: Lesson, tmp_path: Path, capsys) -> None:
    script.run(lesson, tmp_path, ask=answering("1.5", "2", "4"))
    out = capsys.readouterr().out
    assert "✗ two, in percent: it is 3" in out
    assert "thought" in out  # the rest ran, although nobody answered
    assert "You predicted 0 of 1." in out


def test_what_cannot_be_read_is_asked_for_again_at_once_and_is_no_try(lesson: Lesson, tmp_path: Path, capsys) -> None:
    script.run(lesson, tmp_path, ask=answering("1,5,0", "1.5", "three", "3", "B", "upwards", "A"))
    out = capsys.readouterr().out
    assert out.index("type a number, such as 0.5, 1/3 or 12 % (Enter") < out.index("two, in percent: ")
    assert out.count("type a number") == 2
    assert out.index("once more") < out.index("choose one of A positive, B negative (Enter") < out.index("✓ it is")
    assert "You predicted 2 of 2." in out


@pytest.mark.parametrize(
    ("answers", "cell", "score"),
    [(["Q"], 1, ""), (["1.5", "q"], 1, ""), (["2", "3", "quit"], 1, ""), (["1.5", "3", "A", "q"], 5, "2 of 2")],
)
def test_q_leaves_at_any_question(
    lesson: Lesson, tmp_path: Path, capsys, answers: list[str], cell: int, score: str
) -> None:
    assert script.run(lesson, tmp_path, ask=answering(*answers)) == cell
    out = capsys.readouterr().out
    assert ("You predicted 2 of 2." in out) == bool(score)
    assert "thought" not in out  # the last cell


def test_q_may_be_an_option(tmp_path: Path) -> None:
    text = TEXT.replace("positive | negative", "quiet | negative")
    path = tmp_path / "01_test.py"
    path.write_text(text, encoding="utf-8")
    assert script.run(parse(text, path), tmp_path, ask=answering("1.5", "3", "q")) is None


def test_without_anybody_nothing_waits(lesson: Lesson, tmp_path: Path, capsys) -> None:
    script.run(lesson, tmp_path)
    assert "your answer" not in capsys.readouterr().out


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudoterminals")
@pytest.mark.parametrize("way", ["asks", "q", "--no-stop", "CI"])
def test_in_a_real_terminal_it_waits_unless_told_otherwise(tmp_path: Path, way: str) -> None:
    keyboard, terminal = os.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CI": "1" if way == "CI" else ""}
    command = [sys.executable, "-m", "lessons", "1", "--fast", *["--no-stop"] * (way == "--no-stop")]
    child = subprocess.Popen(
        command, stdin=terminal, stdout=terminal, stderr=terminal, cwd=tmp_path, env=environment, close_fds=True
    )
    os.close(terminal)
    said = b""
    answers = iter([b"-2\n", b"q\n"] if way == "q" else [b"-2\n", b"4\n", b"-2\n", b"-2\n", b"6\n", b"-4\n"])
    try:
        while select.select([keyboard], [], [], 60)[0]:
            try:
                some = os.read(keyboard, 4096)
            except OSError:  # the other end is closed
                break
            if not some:
                break
            said += some
            if re.search(rb"  [^\n]*: $|  > $", said) and way in ("asks", "q"):
                os.write(keyboard, next(answers, b"\n"))
        assert child.wait(60) == 0
    finally:
        child.kill()
        child.wait()
        os.close(keyboard)
    text = said.decode()
    if way == "asks":
        assert "✓ ∂L/∂a: right: 6" in text
        assert "You predicted 1 of 4." in text
    elif way == "q":
        assert "You have left the lesson. To go on here: python -m lessons present 1 --from 15" in text
        assert "dL/da" not in text
    else:
        assert "✓" not in text
        assert "dL/da = 6" in text


def test_every_lesson_has_answers_that_a_terminal_can_ask_for() -> None:
    for question in (question for cell in load("1").cells for question in cell.questions):
        assert script.prompt(question).rstrip().endswith((":", ">"))
