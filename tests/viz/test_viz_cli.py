"""``python -m viz graph``: an expression typed by a person."""

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import viz
from tinygrad_edu import topological_order
from viz.cli import main
from viz.expressions import compute, parse

LECTURE = ["graph", "L = (a*b + c) * f", "a=2", "b=-3", "c=10", "f=-2"]


def test_the_expression_of_the_readme(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "L.dot"
    assert main([*LECTURE, "-o", str(path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "         data  grad",
        "a           2     6",
        "b          −3    −4",
        "a*b        −6    −2",
        "c          10    −2",
        "a*b + c     4    −2",
        "f          −2     4",
        "L          −8     1",
        f"wrote {path}",
    ]
    assert "digraph" in path.read_text(encoding="utf-8")


def test_as_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "viz", *LECTURE, "-o", "-", "--style", "micrograd"], capture_output=True, check=True
    )
    assert "grad 6.0000" in done.stdout.decode()


def test_forward_leaves_gradients_open(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*LECTURE, "-o", "-", "--forward"]) == 0
    assert "gradient not computed yet" in capsys.readouterr().out


def test_parts_without_a_name_are_labelled_with_their_text() -> None:
    root = compute("c = (a * b) + tanh(a*a*a*a*a*a*a*a*a*a)", {"a": 1.0, "b": 2.0}, label_parts=True)
    labels = [value.label for value in topological_order(root)]
    assert labels[:4] == ["a", "b", "a * b", "a*a"]
    assert labels[-2:] == ["", "c"]


@given(st.text(alphabet="ab()+-*/. 12=;,[]'tanh\n", max_size=30))
def test_any_text_is_computed_or_refused(text: str) -> None:
    with contextlib.suppress(viz.ExpressionError):
        expression = parse(text)
        expression.compute(dict.fromkeys(expression.inputs, 2.0))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["graph", "a*b", "a"], "expected name=number, such as a=2; got 'a'"),
        (["graph", "a*b", "a=x"], "the number for a cannot be read: 'x'"),
        (["graph", "a*a", "a=1", "-o", "a.jpg"], "unknown format: 'a.jpg'"),
        (["graph", "a*a", "a=1", "-o", "nowhere/a.dot"], "nowhere"),
        (["graph", "1/a", "a=0"], "division by zero"),
        (["graph", "a*a", "a=1", "--budget", "1"], "budget must be"),
    ],
)
def test_errors_are_a_sentence_and_exit_code_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("viz: ")
    assert words in error
    assert error.count("\n") in (1, 3)  # the sentence, and perhaps the line with a mark below the column


def test_the_neighbourhood_of_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["graph", "e = a*b; d = e + c; L = d * f", "a=2", "b=-3", "c=10", "f=-2", "-o", "-", "--focus"]
    assert main([*command, "e", "--depth", "1"]) == 0
    assert "Near e: 5 of 7 Values" in capsys.readouterr().out
    assert main([*command, "g"]) == 2
    assert capsys.readouterr().err == "viz: nothing in the expression is named 'g'; there are a, b, e, c, d, f, L\n"
