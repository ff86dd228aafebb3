"""The picture of a compiled program shows the same as the program's text."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

import viz
from tinygrad_edu import Value, jit
from tinygrad_edu import functional as F
from tinygrad_edu.errors import CompileError
from tinygrad_edu.nn import Activation, Linear, Module


class Net(Module):
    def __init__(self) -> None:
        rng = random.Random(0)
        self.first, self.act, self.second = Linear(3, 5, rng=rng), Activation("tanh"), Linear(5, 4, rng=rng)

    def forward(self, x: list[Value]) -> list[Value]:
        return list(self.second(self.act(self.first(x))))

    def loss(self, x: list[Value], target: int) -> Value:
        return F.cross_entropy(self(x), target)


@pytest.fixture(scope="module")
def compiled() -> object:
    program = jit(Net().loss)
    program.value_and_grad([[0.1, 0.2, 0.3]], [2])
    return program


def test_every_instruction_of_the_forward_half_is_a_line(compiled: object) -> None:
    source = viz.draw_program(compiled).source
    stats = compiled.stats()  # type: ignore[attr-defined]
    assert source.count('ALIGN="RIGHT"') == stats.instructions
    assert source.count("matrix product<") == stats.matrix_products > 0
    for path in ("first", "act", "second", "the function itself", "input %0", "input %1"):
        assert f"<B>{path}</B>" in source


def test_one_is_not_a_plural() -> None:
    program = jit(lambda x: x * x)
    program.value_and_grad([3.0])
    source = viz.draw_program(program).source
    assert ">1 number<" in source
    assert "1 · 1 operation<" in source


def test_the_top_line_is_the_summary(compiled: object) -> None:
    assert compiled.summary() in viz.draw_program(compiled).source  # type: ignore[attr-defined]


def test_it_can_be_saved(compiled: object, tmp_path: Path) -> None:
    drawing = viz.draw_program(compiled)
    assert Path(viz.save(drawing, tmp_path / "program.dot")).read_text() == drawing.source
    assert Path(viz.save(drawing, tmp_path / "program.svg")).read_text().rstrip().endswith("</svg>")


def test_its_page_and_its_notebook_cell_have_a_description(compiled: object, tmp_path: Path) -> None:
    drawing, summary = viz.draw_program(compiled), compiled.summary()  # type: ignore[attr-defined]
    page = Path(viz.save(drawing, tmp_path / "program.html")).read_text(encoding="utf-8")
    assert f"<title>{summary}</title>" in page
    assert "object at 0x" not in page  # the same bytes every time
    assert drawing._repr_mimebundle_(include=["text/plain"])["text/plain"] == summary


def test_a_function_that_was_never_called_has_no_program() -> None:
    with pytest.raises(CompileError, match="call it"):
        viz.draw_program(jit(Net().loss))


def test_the_same_bytes_in_every_process() -> None:
    code = (
        "import viz; from tinygrad_edu import Value, jit; w = [Value(0.5 * i) for i in range(4)];"
        "f = jit(lambda x: sum(a * x[i] for i, a in enumerate(w)).tanh(), w); f([[1.0] * 4]);"
        "print(viz.draw_program(f).source)"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "22")
    }
    assert len(seen) == 1
