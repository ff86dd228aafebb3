"""Every lesson has the required parts, and every supplement runs on its fast path with its solutions.

The numbered lessons run in test_site.py, for their pages.
"""

from __future__ import annotations

import ast
import code
import linecache
import os

import numpy  # noqa: F401 - so that there is a library to ask
import pytest
import threadpoolctl

from gpt.errors import DataError
from lessons import built, site
from lessons.cells import FOLDER, Lesson, lesson_before, load, load_all, whats_new
from lessons.runner import Session, run_all

LESSONS = load_all()
each_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.path.stem)
each_numbered = pytest.mark.parametrize(
    "lesson", [x for x in LESSONS if x.part == "lessons"], ids=lambda lesson: lesson.path.stem
)


@pytest.mark.parametrize("lesson", [x for x in LESSONS if x.part != "lessons"], ids=lambda lesson: lesson.path.stem)
def test_it_runs_with_its_solutions(lesson: Lesson) -> None:
    for cell, shown in zip(lesson.cells, run_all(lesson, fast=True), strict=True):
        assert (shown is not None) == cell.is_code
        assert not shown or not shown.bundle or shown.bundle["text/plain"]


@each_lesson
def test_it_can_be_pasted_into_an_interpreter(lesson: Lesson) -> None:
    # Checks only that the prompt accepts the lines; the test above checks that they work.
    prompt = code.InteractiveConsole()
    prompt.runsource = lambda source, *_, **__: code.compile_command(source) is None  # type: ignore[method-assign]
    for cell in lesson.cells:
        if cell.is_code:
            more = [prompt.push(line) for line in [*cell.shown.split("\n"), ""]][-1]
            assert not more, f"{lesson.path.name}, line {cell.line}: the cell does not end"


@each_lesson
def test_a_learner_who_types_what_is_shown_misses_no_name(lesson: Lesson) -> None:
    hidden: set[str] = set()  # what only checks define
    seen: set[str] = set()
    prints: set[int] = set()
    after_solution = False
    for cell in lesson.cells:
        if not cell.is_code:
            continue
        tree = ast.parse(cell.shown)
        names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
        stored = {name.id for name in names if isinstance(name.ctx, ast.Store)}
        if "check" in cell.tags:
            hidden |= stored
            prints |= {cell.line} if "print(" in cell.source and not after_solution else set()
            continue
        after_solution = "solution" in cell.tags
        seen |= stored | {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
        missing = {name.id for name in names if isinstance(name.ctx, ast.Load)} & (hidden - seen)
        assert not missing, f"line {cell.line}: {missing} are defined in a hidden cell"
        assert "FAST" not in cell.shown
    assert not prints, "a check that nobody sees prints"


@each_numbered
def test_it_has_the_required_parts(lesson: Lesson) -> None:
    prose = "\n\n".join(cell.source for cell in lesson.cells if not cell.is_code)
    source = "\n".join(cell.source for cell in lesson.cells if cell.is_code)
    assert lesson.title.startswith(f"Lesson {lesson.name}: ")
    assert any(cell.asks for cell in lesson.cells)
    for exercise in (1, 2, 3):
        [at] = [i for i, cell in enumerate(lesson.cells) if f"**Exercise {exercise}.**" in cell.source]
        assert "solution" in lesson.cells[at + 1].tags, f"exercise {exercise} has no solution"
    assert "viz.draw(" in source
    assert lesson.name in ("1", "1b") or "viz.flow(" in source
    assert any(cell.keys for cell in lesson.cells), "nothing to fill in when practicing"
    assert any("check" in cell.tags for cell in lesson.cells)
    [summary] = [cell for cell in lesson.cells if not cell.is_code and cell.source.startswith("## Summary")]
    assert len(summary.source.split("\n")) <= 24, "a summary is one screen"
    assert lesson.model
    assert "assert" in source
    assert "Predict" in prose
    if lesson_before(lesson):
        assert "\n+" in whats_new(lesson, lesson_before(lesson))


@each_lesson
def test_it_ends_in_exercises_with_solutions_and_a_summary(lesson: Lesson) -> None:
    sources = [cell.source for cell in lesson.cells]
    [summary] = [i for i, source in enumerate(sources) if source.startswith("## Summary")]
    exercises = [i for i, source in enumerate(sources) if "**Exercise " in source]
    assert len(exercises) >= 2
    assert max(exercises) < summary
    for i in exercises:
        assert "solution" in lesson.cells[i + 1].tags, f"line {lesson.cells[i].line} has no solution"
    assert any("assert" in sources[i + 1] or "assert" in sources[i + 2] for i in exercises)


def test_what_later_lessons_import_is_what_earlier_ones_build() -> None:
    definitions = {
        node.name: node
        for node in ast.parse((FOLDER / "built.py").read_text(encoding="utf-8")).body
        if isinstance(node, (ast.ClassDef, ast.FunctionDef))
    }
    assert set(definitions) == set(built.__all__)
    found: dict[str, set[str]] = {"8": set(), "9": set(), "10": set()}
    for name, names in found.items():
        for node in ast.parse(load(name).model).body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
                names.add(node.name)
                assert ast.unparse(node) == ast.unparse(definitions[node.name]), f"Lesson {name}: {node.name}"
    assert found["8"] == {"look_at", "mix", "Head", "Attention"}
    assert found["9"] - found["8"] == {"rms_norm", "FeedForward", "Block"}
    assert found["10"] == set(definitions)


@each_lesson
def test_key_lines_are_whole_statements(lesson: Lesson) -> None:
    for cell in lesson.cells:
        for number, line, _ in cell.keys:
            where = f"{lesson.path.name}, line {cell.line + number}"
            try:
                [statement] = ast.parse(line.strip().replace("return", "_ =", 1)).body
            except SyntaxError:
                pytest.fail(f"{where}: a key line must be a statement of one line")
            assert isinstance(statement, (ast.Assign, ast.AugAssign, ast.Expr)), where


@each_lesson
def test_a_cell_asks_before_a_cell_answers(lesson: Lesson) -> None:
    for cell, following in zip(lesson.cells, [*lesson.cells[1:], None], strict=True):
        if cell.asks:
            assert following is not None, f"line {cell.line}"
            assert following.is_code, f"line {cell.line}"


def test_tracebacks_name_the_line_of_the_file() -> None:
    lesson = LESSONS[0]
    cell = next(cell for cell in lesson.cells if "model" in cell.tags)
    session = Session(lesson)
    session.run(cell)
    function = session.namespace["expression"]
    assert function.__code__.co_firstlineno == cell.line
    assert linecache.getline(function.__code__.co_filename, cell.line).startswith("def expression")


def test_matrix_products_of_a_lesson_run_on_one_core() -> None:
    threadpoolctl.threadpool_limits(limits=2, user_api="blas")
    Session(LESSONS[0])
    assert {library["num_threads"] for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas"} == {
        1
    }
    assert os.environ["OPENBLAS_NUM_THREADS"] == "1"  # for numpy, where it is loaded later


def test_without_a_network_the_last_lesson_trains_on_the_balcony_scene(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unreachable(name: str) -> str:
        raise DataError(f"the data set {name!r} could not be fetched")

    monkeypatch.setattr("gpt.data.corpus.named_text", unreachable)
    lesson = load("10b")
    session = Session(lesson)
    for cell in [cell for cell in lesson.cells if cell.is_code][:2]:
        session.run(cell)
    assert "could not be fetched" in capsys.readouterr().out
    assert session.namespace["text"].startswith("ROMEO:\nHe jests at scars")


@pytest.mark.parametrize("name", ["8", "8b", "9", "9b", "10", "10b"])
def test_the_guide_says_how_long_a_lesson_of_two_parts_takes_to_type(name: str) -> None:
    guide = (FOLDER / "guide.md").read_text(encoding="utf-8")
    of_lesson = guide.split(f"## {load(name).title}\n")[1].split("\n## ")[0]
    look, type_all = site.minutes(load(name).cells)
    assert f"if all the code is typed, {type_all}." in of_lesson
    assert look <= 15
    assert type_all <= 35


@pytest.mark.parametrize("name", ["8b", "9b", "10b"])
def test_a_second_part_begins_with_what_it_needs(name: str) -> None:
    lesson = load(name)
    headings = [cell.source for cell in lesson.cells if not cell.is_code and cell.source.startswith("## ")]
    assert headings[0].startswith("## What you have\n")
    assert f"Lesson {name.removesuffix('b')} " in lesson.cells[0].source
    assert "`lessons/built.py`" in headings[0]
    assert any("from lessons.built import" in cell.shown for cell in lesson.cells if "check" not in cell.tags)
