"""Notebooks are valid, keep what cells show, and run where nbclient is installed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lessons.cells import Lesson, load, load_all
from lessons.cli import main
from lessons.notebook import export, notebook

ROOT = Path(__file__).parents[2]


def test_cells_in_order_with_unique_names_and_no_hints() -> None:
    lesson = load("1")
    made = notebook(lesson, [None] * len(lesson.cells))
    assert [cell["cell_type"] for cell in made["cells"]] == [cell.kind for cell in lesson.cells]
    assert len({cell["id"] for cell in made["cells"]}) == len(made["cells"])
    text = json.dumps(made)
    assert "# key:" not in text
    assert "execution_count" in made["cells"][1]
    assert "execution_count" not in made["cells"][0]
    assert made["cells"][0]["source"][0] == "# Lesson 1: One expression\n"


def test_new_lines_are_at_the_end() -> None:
    lesson = load("2")
    last = notebook(lesson, [None] * len(lesson.cells))["cells"][-1]
    assert "+class Line(Module):\n" in last["source"]


def test_outputs_are_text_and_pictures(tmp_path: Path) -> None:
    path = export(load("1"), tmp_path, outputs=True, fast=True)
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells if cell["cell_type"] == "code" for output in cell["outputs"]]
    printed = "".join("".join(output["text"]) for output in outputs if output["output_type"] == "stream")
    assert "dL/da = 6\n" in printed
    shown = [output["data"] for output in outputs if output["output_type"] == "execute_result"]
    assert sum("image/svg+xml" in data for data in shown) >= 3
    assert sum("text/html" in data and "image/svg+xml" not in data for data in shown) == 1
    assert all("text/plain" in data for data in shown)
    counts = [cell["execution_count"] for cell in cells if cell.get("outputs")]
    assert counts == list(range(1, len(counts) + 1))


def test_what_would_give_an_answer_away_is_folded() -> None:
    for lesson in load_all():
        for cell in notebook(lesson, [None] * len(lesson.cells))["cells"]:
            answers = {"check", "solution"} & set(cell["metadata"].get("tags", ()))
            assert cell["metadata"].get("jupyter") == ({"source_hidden": True} if answers else None)


def test_the_command_writes_the_named_lessons(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(tmp_path / "new" / "folder"), "--only", "1", "2"]) == 0
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == [
        "01_expression.ipynb", "02_line.ipynb",
    ]  # fmt: skip
    assert capsys.readouterr().out.count("Wrote ") == 2


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Start a process that runs notebooks one after the other: a new one takes seconds to load all that they need."""
    import nbclient
    import nbformat

    folder = tmp_path_factory.mktemp("notebooks")
    client = nbclient.NotebookClient(nbformat.v4.new_notebook(), timeout=120, resources={"metadata": {"path": folder}})
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    with client.setup_kernel(env=environment):
        yield client


@pytest.mark.notebook
@pytest.mark.parametrize("lesson", load_all(), ids=lambda lesson: lesson.path.stem)
def test_notebooks_are_valid_and_run(lesson: Lesson, tmp_path: Path, kernel: Any) -> None:
    import nbformat

    book = nbformat.read(export(lesson, tmp_path), as_version=4)
    nbformat.validate(book)
    book.cells.insert(0, nbformat.v4.new_code_cell("%reset -f\nFAST = True"))
    kernel.nb = book
    for number, cell in enumerate(book.cells):
        kernel.execute_cell(cell, number)
