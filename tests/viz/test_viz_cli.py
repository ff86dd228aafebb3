"""``python -m viz graph``: an expression typed by a person."""

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import viz
from tinygrad_edu.errors import DomainError
from viz.cli import main
from viz.expression import evaluate

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


def test_several_assignments_and_functions() -> None:
    loss = evaluate("e = exp(2*x); o = (e - 1) / (e + 1); d = o - tanh(x)", {"x": 0.3})
    assert abs(loss.data) < 1e-15
    loss.backward()
    assert evaluate("max(x, -x, 2) ** 2 + relu(-1) + -x", {"x": 3.0}).data == 6.0
    assert evaluate("2 * 3", {}).data == 6.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a +* b", "column 4: cannot read"),
        ("a * q", "column 5: q has no number; add q=… after the expression"),
        ("a + tanh", r"column 5: tanh has no number; tanh\(\) is a function, it needs brackets"),
        ("a + sinh(b)", "column 5: unknown function sinh .must be one of exp, log"),
        ("a + tanh(a, b)", r"column 5: tanh\(\) takes one number, got 2"),
        ("max() + a*b", r"column 1: max\(\) takes one number or more, got 0"),
        ("a % b", "column 1: this operator is not known"),
        ("a if b else a", "column 1: expected a number, a name"),
        ("__import__('os').system('true') + a*b", "column 1: unknown function"),
        ("a.data + b", "column 1: expected a number, a name"),
        ("a*b + 'c'", "column 7: expected a number, got 'c'"),
        ("a*b + True", "column 7: expected a number, got True"),
        ("import os", "column 1: expected an assignment"),
        ("a, b = 1, 2", "column 1: expected an assignment"),
        ("c = a", "column 1: c = a computes nothing"),
        ("é = a + a; é * b + u", "column 20: u has no number"),
        ("a * a", "b: given a number but not used"),
        ("  ", "the expression is empty"),
        ("a*b + " + "9" * 400, "column 7: this number is too large"),
        ("(" * 300 + "a*b" + ")" * 300, "cannot read"),
        ("-" * 5000 + "a*b", "cannot read|too deeply"),
    ],
)
def test_what_cannot_be_read(text: str, words: str) -> None:
    with pytest.raises(viz.ExpressionError, match=words):
        evaluate(text, {"a": 2.0, "b": 3.0})


def test_no_answer_is_the_engines_own_error() -> None:
    with pytest.raises(DomainError, match="log"):
        evaluate("log(a - 2)", {"a": 2.0})


@given(st.text(alphabet="ab()+-*/. 12=;,[]'tanh\n", max_size=30))
def test_any_text_is_computed_or_refused(text: str) -> None:
    with contextlib.suppress(viz.ExpressionError, DomainError):
        evaluate(text, {"a": 2.0, "b": 3.0})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["graph", "a*b", "a"], "expected NAME=NUMBER such as a=2, got 'a'"),
        (["graph", "a*b", "a=x"], "got 'a=x'"),
        (["graph", "a*a", "a=1", "-o", "a.jpg"], "unknown format: 'a.jpg'"),
        (["graph", "a*a", "a=1", "-o", "nowhere/a.dot"], "nowhere"),
        (["graph", "1/a", "a=0"], "division by zero"),
        (["graph", "a*a", "a=1", "--budget", "1"], "budget must be"),
    ],
)
def test_errors_are_one_line_and_exit_code_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("viz: ")
    assert words in error
    assert error.count("\n") == 1
