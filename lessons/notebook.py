"""``python -m lessons export``: lessons as Jupyter notebooks (nbformat 4.5), with or without what their cells show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tinygrad_edu.files import write_atomically

from .cells import Cell, Lesson, lesson_before, whats_new
from .runner import Shown, run_all

__all__ = ["export", "notebook"]


def export(lesson: Lesson, folder: Path, *, outputs: bool = False, fast: bool = False) -> Path:
    """Write ``folder/NAME.ipynb`` and return where it is.

    Raises LessonError when outputs are wanted and a cell fails, OSError when the file cannot be written.
    """
    shown: list[Shown | None] = [None] * len(lesson.cells)
    if outputs:
        shown = run_all(lesson, fast=fast)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{lesson.path.stem}.ipynb"
    write_atomically(path, json.dumps(notebook(lesson, shown), ensure_ascii=False, indent=1) + "\n")
    return path


def notebook(lesson: Lesson, shown: list[Shown | None]) -> dict[str, Any]:
    """A lesson as the content of a notebook file.

    Args:
        lesson: which.
        shown: what each cell has shown; None for a cell that has not been run.
    """
    cells = [_cell(i, cell, shown[i]) for i, cell in enumerate(lesson.cells)]
    diff = whats_new(lesson, lesson_before(lesson))
    if diff:
        text = f"## What is new\n\n```diff\n{diff}\n```"
        cells.append(_cell(len(cells), Cell("markdown", text, 0), None))
    count = 0
    for cell in cells:
        if cell.get("outputs"):
            count += 1
            cell["execution_count"] = count
            for output in cell["outputs"]:
                if output["output_type"] == "execute_result":
                    output["execution_count"] = count
    language = {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"}
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": language, "title": lesson.title}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def _cell(i: int, cell: Cell, shown: Shown | None) -> dict[str, Any]:
    metadata: dict[str, Any] = {"tags": sorted(cell.tags)} if cell.tags else {}
    if cell.tags & {"check", "solution"}:  # folded: it holds what the learner is asked for
        metadata["jupyter"] = {"source_hidden": True}
    made: dict[str, Any] = {
        "cell_type": cell.kind,
        "id": f"cell-{i + 1}",
        "metadata": metadata,
        "source": cell.shown.splitlines(keepends=True),
    }
    if cell.is_code:
        made |= {"execution_count": None, "outputs": [] if shown is None else _outputs(shown)}
    return made


def _outputs(shown: Shown) -> list[dict[str, Any]]:
    outputs: list[dict[str, Any]] = []
    if shown.text:
        outputs.append({"output_type": "stream", "name": "stdout", "text": shown.text.splitlines(keepends=True)})
    if shown.bundle:
        outputs.append({"output_type": "execute_result", "metadata": {}, "data": dict(shown.bundle)})
    return outputs
