"""The file format of a lesson, and the commands that list and run them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lessons.cells import Cell, load, load_all, parse, pasteable, whats_new
from lessons.cli import main
from lessons.errors import LessonError
from tests.commands import refusal

ROOT = Path(__file__).parents[2]
OPENING = "# %% [markdown]\n# # Lesson 3: The neuron\n# **Question.** What can a line\n# not do?\n"


def lesson(text: str, name: str = "03_neuron.py"):
    return parse(OPENING + text, Path(name))


def test_cells_have_their_text_their_line_and_their_tags() -> None:
    found = lesson('\n# %%\nx = 1\n\n\n# %% tags=["check", "model"]\n\nassert x == 1\n')
    assert (found.name, found.title, found.question) == ("3", "Lesson 3: The neuron", "What can a line not do?")
    assert found.cells[1] == Cell("code", "x = 1", 7)
    assert found.cells[2] == Cell("code", "assert x == 1", 12, frozenset({"check", "model"}))


def test_key_lines_are_found_and_their_hints_hidden() -> None:
    [_, cell] = lesson("# %%\nfor i in range(3):\n    x = i * 2  # key: twice # as much\ny = 1  # keyed\n").cells
    assert cell.keys == [(1, "    x = i * 2", "twice # as much")]
    assert cell.shown == "for i in range(3):\n    x = i * 2\n\ny = 1  # keyed"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# %% markdown\n", r"03_neuron.py, line 5: expected \"# %%\", .* got '# %% markdown'"),
        ('# %% tags=["chekc"]\nx = 1\n', "line 5: unknown tag: 'chekc' .must be one of check, solution, model"),
        ("# %% tags=[check]\nx = 1\n", "line 5: tags must be a list"),
        ("# %%\nx = 1\ny =\n", "line 7: Python cannot read this: invalid syntax"),
        ("# %%\n\n", "line 5: this cell is empty"),
        ("# %% [markdown]\nHello\n", "line 6: expected \"# \" before the text of a markdown cell, got 'Hello'"),
    ],
)
def test_errors_of_format_name_the_line(text: str, message: str) -> None:
    with pytest.raises(LessonError, match=message):
        lesson(text)


@pytest.mark.parametrize("text", ["", "x = 1\n", "# %%\nx = 1\n", "# %% [markdown]\n# # A title without a question\n"])
def test_a_lesson_begins_with_its_question(text: str) -> None:
    with pytest.raises(LessonError, match="line 1: "):
        parse(text, Path("03_neuron.py"))


def test_code_to_paste_has_the_blank_lines_that_a_prompt_needs() -> None:
    source = 'def f():\n    x = """a\n\nb"""\n\n    return x\nfor i in 1, 2:\n    f()\nelse:\n\n    f()\n\n\nf()\n# end'
    assert pasteable(source) == (
        'def f():\n    x = """a\n\nb"""\n    return x\n\nfor i in 1, 2:\n    f()\nelse:\n    f()\n\n\nf()\n# end'
    )


def test_new_lines_are_the_difference_between_models() -> None:
    before = lesson('# %% tags=["model"]\ndef f(x):\n    return x\n')
    after = lesson('# %% tags=["model"]\ndef f(x):\n    return x * x\n')
    assert whats_new(after, before).split("\n")[2:] == [" def f(x):", "-    return x", "+    return x * x"]
    assert whats_new(after, None) == ""


def test_an_unknown_lesson_names_the_known_ones() -> None:
    assert "lessons: error: there is no lesson '99' (must be one of 1" in refusal(main, "99")


def test_the_list_says_what_to_type(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYGRAD_EDU_LAUNCHER", "python3 run.py")
    assert main([]) == 0
    assert "\npython3 run.py lesson 1 runs the first" in capsys.readouterr().out
    monkeypatch.delenv("TINYGRAD_EDU_LAUNCHER")
    assert main([]) == 0
    assert "\npython -m lessons 1 runs the first" in capsys.readouterr().out


def test_lessons_are_listed_with_their_questions(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    out = capsys.readouterr().out
    assert "  1  One expression" in out
    assert load("1").question in " ".join(out.split())
    assert max(map(len, out.split("\n"))) <= 110


def test_a_lesson_runs_from_any_folder_and_writes_its_pictures(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lessons", "1", "--fast", "--solutions", "--out", "pictures"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, encoding="utf-8")
    assert result.returncode == 0, result.stderr
    pictures = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert {Path(name).suffix for name in pictures} == {".svg", ".html"}
    for name in pictures:
        assert f"Wrote {Path('pictures') / name}" in result.stdout
    page = next((tmp_path / "pictures").glob("*.html")).read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "dL/da = 6" in result.stdout
    assert "g = 24.7041" in result.stdout  # a solution


def test_a_lesson_is_an_ordinary_script_too(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "lessons" / "01_expression.py")]
    result = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(ROOT), "PATH": ""}
    )
    assert result.returncode == 0, result.stderr
    assert "dL/da = 6" in result.stdout


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "folder"
    error = refusal(main, "1", "--fast", "--out", str(folder))
    assert error == f"lessons: error: cannot write or read {folder}: Not a directory\n"


def test_the_lesson_in_which_students_write_value_stands_after_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [lesson.name for lesson in load_all()][:3] == ["1", "1b", "2"]
    assert load("01B").title == load("1b").title
    assert main(["1b", "--fast", "--out", str(tmp_path)]) == 0
    assert "THE SECOND TRAP" in capsys.readouterr().out
