"""Exercises: reproducible, of the promised difficulty, with worksheets whose answers are right."""

import math
import re

import pytest

from tests.commands import refusal
from tinygrad_edu import topological_order
from viz.cli import main
from viz.errors import DrawingError, UnknownFormatError
from viz.expressions import compute
from viz.stepping.exercises import LEVELS, exercise, worksheet
from viz.style import number


@pytest.mark.parametrize("level", LEVELS)
def test_levels_keep_their_promise(level):
    texts = set()
    for seed in range(60):
        found = exercise(level, seed)
        assert found == exercise(level, seed)
        texts.add((found.text, found.given))
        log = found.log()
        operations = {node.op.name for node in log.nodes if node.op is not None} - {"constant"}
        accumulates = any(len(log.terms(i)) > 1 for i in range(len(log.nodes)))
        assert accumulates == (level > 1)
        assert bool(operations & {"tanh", "sigmoid", "relu", "exp", "div"}) == (level == 3)
        if level == 1:
            assert operations <= {"add", "mul"}
        assert all(math.isfinite(node.data) and abs(node.data) <= 100 for node in log.nodes)
        assert all(g for node, g in zip(log.nodes, log.gradients, strict=True) if node.is_leaf)
    assert len(texts) > 50


def test_the_same_exercises_everywhere():
    assert (exercise(1, 0).text, exercise(1, 0).given) == ("p = b * a\nL = p + c", "a = 4, b = −3, c = −5")


def test_an_unknown_level():
    with pytest.raises(DrawingError, match=r"unknown level: 4 \(must be one of 1, 2, 3\)"):
        exercise(4)


def test_the_answer_sheet_is_right_and_the_task_gives_nothing_away(tmp_path):
    chosen = [exercise(2, seed) for seed in range(4)]
    path = tmp_path / "sheet.md"
    assert worksheet(chosen).save(path) == str(path)
    task, answers = path.read_text(encoding="utf-8").split("# Answers\n")
    for part, each in zip(re.split(r"^## \d+$", answers, flags=re.M)[1:], chosen, strict=True):
        root = compute(each.text, each.numbers)
        root.backward()
        rows = {row[1].strip(): [cell.strip() for cell in row] for row in (line.split("|") for line in part.split("\n"))
                if len(row) == 7}  # fmt: skip
        for value in topological_order(root):
            if value.label:
                assert rows[value.label][3] == number(value.data)
                assert rows[value.label][5] == number(value.grad)
                terms = rows[value.label][4].replace("−", "-").replace(" ", "")
                if terms:
                    assert sum(map(float, re.findall(r"[+-]?[\d.]+", terms))) == pytest.approx(value.grad)
    for line in task.split("\n"):
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 7 and cells[2] not in ("given", "formula", "---"):
            assert cells[3:6] == ["", "", ""]
    assert "∂" not in task


def test_the_worksheet_as_a_page(tmp_path, capsys):
    path = tmp_path / "sheet.html"
    assert main(["worksheet", "--level", "3", "--count", "2", "--seed", "5", "-o", str(path)]) == 0
    assert capsys.readouterr().out == f"Wrote {path}\n"
    text = path.read_text(encoding="utf-8")
    assert text.count("<section>") == 4
    assert text == worksheet([exercise(3, 5000), exercise(3, 5001)]).html()
    assert "--count must be from 1 to 100, got 0" in refusal(main, "worksheet", "--count", "0")
    with pytest.raises(UnknownFormatError, match=r"unknown format: 'sheet.pdf' must end in one of \.html, \.md$"):
        worksheet([exercise()]).save(tmp_path / "sheet.pdf")


@pytest.mark.layout
def test_an_exercise_on_the_command_line(capsys, tmp_path):
    assert main(["step", "--exercise", "2", "--seed", "4"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("exercise 2, seed 4: p = a * b; q = p + c; L = q * a   with a = 2, b = −1, c = 3\n")
    assert "∂L/∂a" in out
    assert main(["step", "--exercise", "1", "-o", str(tmp_path / "x.html")]) == 0  # any seed
    assert '"quiz":true' in (tmp_path / "x.html").read_text(encoding="utf-8")
    assert "there is no expression; write for example" in refusal(main, "step")
    assert "leave yours out" in refusal(main, "step", "a", "a=1", "--exercise", "1")
