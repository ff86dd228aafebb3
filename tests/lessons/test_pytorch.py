"""What the lessons say in PyTorch gives the same numbers as what they say in Values."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest

from lessons.cells import load, load_all
from lessons.notebook import notebook
from lessons.runner import Session, Shown
from lessons.script import run
from lessons.site import page_name, write_lesson

#: For each lesson what is compared: an expression before the cell has run, and one after it.
PAIRS = {
    "1": [("[L.data, a.grad, b.grad, c.grad, f.grad]", "[L.item(), *(x.grad.item() for x in (a, b, c, f))]")],
    "2": [("[line.w.data, line.b.data, losses[-1]]", "[w.item(), b.item(), loss.item()]")],
    "3": [
        (
            "[o.data, w1.grad, w2.grad, x1.grad, x2.grad, neuron.b.grad]",
            "[o.item(), *w.grad.tolist(), *x.grad.tolist(), bias.grad.item()]",
        )
    ],
    "4": [
        ("[E.data]", "[E.item()]"),
        ("[p.grad for p in net.parameters()]", "[*of(net[0]), *of(net[2])]"),
    ],
    "5": [
        ("[loss.data, *(score.grad for score in scores)]", "[loss.item(), *scores.grad.tolist()]"),
        ("[p.data for p in probabilities]", "torch.softmax(scores, dim=0).tolist()"),
    ],
    "6": [
        ("[loss.data, *(p.grad for p in model.parameters())]", "[loss.item(), *table.weight.grad.flatten().tolist()]")
    ],
    "7": [("[loss.data]", "[torch.nn.functional.cross_entropy(scores, torch.tensor([index['a']])).item()]")],
    "8": [
        ("[x.data for x in weights]", "weights[0].tolist()"),
        ("[x.data for x in result]", "result[0].tolist()"),
        ("[x.data for x in result]", "torch.nn.functional.scaled_dot_product_attention(q, k, v)[0].tolist()"),
    ],
    "9": [("[]", "[]")],  # computed in the cell itself: see the test
    "10": [
        ("[loss.data]", "[loss.item()]"),
        (
            "[p.grad for p in model.parameters()]",
            "[number for p in same.parameters() for number in p.grad.flatten().tolist()]",
        ),
    ],
}


def of(layer):
    """The gradients of a layer of PyTorch, neuron by neuron, weights before the bias."""
    rows = zip(layer.weight.grad.tolist(), layer.bias.grad.tolist(), strict=True)
    return [number for weights, bias in rows for number in (*weights, bias)]


def test_every_numbered_lesson_has_one_such_cell() -> None:
    found = {lesson.name: sum(bool(cell.pytorch) for cell in lesson.cells) for lesson in load_all()}
    assert {name for name, count in found.items() if count} == set(PAIRS) == {str(i) for i in range(1, 11)}
    assert max(found.values()) == 1


def test_it_is_folded_on_pages_and_in_notebooks_and_left_out_on_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lesson = load("1")
    at = next(i for i, cell in enumerate(lesson.cells) if cell.pytorch)
    folded = f'<details class="pytorch" id="cell-{at + 1}"><summary>The same in PyTorch</summary>'
    nothing: list[Shown | None] = [None] * len(lesson.cells)
    write_lesson(lesson, nothing, [lesson], tmp_path)
    assert folded in (tmp_path / page_name(lesson)).read_text(encoding="utf-8")
    made = notebook(lesson, nothing)["cells"][at]
    assert made["cell_type"] == "markdown"
    text = "".join(made["source"])
    assert text.startswith("<details>\n<summary>The same in PyTorch</summary>\n\n```python\nimport torch\n")
    assert text.endswith("\n```\n\n</details>")
    run(replace(lesson, cells=(lesson.cells[0], lesson.cells[at])), tmp_path)
    assert "torch" not in capsys.readouterr().out


@pytest.mark.torch
@pytest.mark.parametrize("name", PAIRS)
def test_it_gives_the_same_numbers(name: str) -> None:
    import torch

    lesson = load(name)
    session = Session(lesson, fast=True)
    at = next(i for i, cell in enumerate(lesson.cells) if cell.pytorch)
    for cell in lesson.cells[:at]:
        if cell.is_code and "solution" not in cell.tags:
            session.run(cell)
    expected = [eval(ours, session.namespace) for ours, _ in PAIRS[name]]
    theirs = {**session.namespace, "of": of}
    torch.manual_seed(0)
    exec(lesson.cells[at].pytorch, theirs)
    found = [eval(text, theirs) for _, text in PAIRS[name]]
    if name == "9":
        expected, found = [[v.data for row in theirs["ours"] for v in row]], [[*chain(*theirs["theirs"])]]
    for mine, other in zip(expected, found, strict=True):
        assert len(mine) == len(other) > 0
        assert mine == pytest.approx(other, rel=1e-4, abs=2e-6)
