"""``python -m viz graph``: expressions on the command line."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import viz
from gpt.pictures.run import PicturedRun
from tinygrad_edu import topological_order
from viz import style
from viz.cli import main
from viz.expressions import compute, parse
from viz.rendering import graphviz_program

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


def test_parts_without_a_name_are_labeled_with_their_text() -> None:
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
        (["graph", "a*a", "a=1", "--out", "a"], "unknown format: 'a' must end in one of .svg, .png, .pdf, .html, .dot"),
        (["graph", "a*", "a=1"], "a*\n    ^"),
        (["graph", "a ? b"], "a ? b\n    ^"),
        (["graph", "import os"], "import os"),
        (["graph", "a*b"], "no number for a, b; write for example: a=1 b=1"),
        (["graph", "runs/nowhere"], "(read as an expression: there is no folder runs/nowhere)"),
        (["graph", "a*a", "a=1", "--best"], "--text and --best are for the folder of a run; there is no folder a*a"),
        (["flow", "a*a", "--over-time"], "--over-time is for the folder of a run; there is no folder a*a"),
        (["flow", "a*a", "a=1", "-o", "a.dot"], "unknown format: 'a.dot' must end in one of .svg, .html, .png, .pdf"),
        (["flow", "a*a", "a=1", "-o", "nowhere/a.svg"], "cannot write or read nowhere/a.svg: No such file"),
        (["flow", "log(a)", "a=0"], "log"),
    ],
)
def test_errors_are_a_sentence_and_exit_code_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("viz: ")
    assert words in error
    assert error.count("\n") in (1, 2, 3)  # the sentence, and perhaps the source line with a mark under the column
    assert "Traceback" not in error


def test_the_neighborhood_of_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["graph", "e = a*b; d = e + c; L = d * f", "a=2", "b=-3", "c=10", "f=-2", "-o", "-", "--focus"]
    assert main([*command, "e", "--depth", "1"]) == 0
    assert "Near e: 5 of 7 Values" in capsys.readouterr().out
    assert main([*command, "g"]) == 2
    assert (
        capsys.readouterr().err == "viz: error: nothing in the expression is named 'g'; there are a, b, e, c, d, f, L\n"
    )


def test_the_flow_of_an_expression(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flow", "L = (a*b + c) * f", "a=2", "b=-3", "c=10", "f=-2", "-o", str(tmp_path / "f.svg")]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["a", "1", "6", "6", "0%"] in rows
    assert (tmp_path / "f.svg").exists()


def test_the_graph_of_a_run(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loss = PicturedRun.open(run)
    result, _, length = loss.recorded(loss.tokens())
    assert main(["graph", str(run), "-o", str(tmp_path / "g.dot")]) == 0
    printed = capsys.readouterr().out
    loss_on = f"the loss on {length} characters of the validation text"
    assert f"Step 8: {style.number(result.data)} is {loss_on}.\n" in printed
    assert printed.count("characters") == 1
    text = (tmp_path / "g.dot").read_text(encoding="utf-8")
    assert f"{len(topological_order(result)):,} Values: " in text
    assert text.count("label=<<TABLE") <= 41  # 40 boxes, and the banner
    assert (
        main(["graph", str(run), "--text", "to be", "--focus", "lm_head.weight[0][1]", "--depth", "1", "-o", "-"]) == 0
    )
    assert "Near lm_head.weight[0][1]: " in capsys.readouterr().out
    assert main(["graph", str(run), "--focus", "transformer.h.1.mlp", "--best", "-o", "-"]) == 0
    assert "c_fc (Linear)" in capsys.readouterr().out


def test_the_flow_of_a_run(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flow", str(run)]) == 0
    printed = capsys.readouterr().out
    assert "transformer.h.1.attn.head 2" in printed
    updates = {line.name: line.update for line in PicturedRun.open(run).flow()[8]}
    [row] = [line.split() for line in printed.splitlines() if line.startswith("lm_head.weight")]
    assert float(row[-1]) == pytest.approx(updates["lm_head.weight"], rel=0.05)
    assert main(["flow", str(run), "--over-time", "-o", str(tmp_path / "over.html")]) == 0
    assert "mean |gradient|, after step" in capsys.readouterr().out
    assert (tmp_path / "over.html").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--forward"], "--forward is for expressions"),
        (["--focus", "transformer.x"], "no module call is named 'transformer.x'; did you mean transformer"),
        (["--text", "é"], "is not in the model's alphabet"),
        (["--text", "t"], "a loss needs a character and the one that follows it"),
    ],
)
def test_errors_of_runs_that_cannot_be_drawn(
    run: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["graph", str(run), *arguments, "-o", "-"]) == 2
    assert words in capsys.readouterr().err
    assert main(["flow", str(run.parent)]) == 2
    assert "holds no checkpoint" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the administrator may write everywhere")
def test_a_folder_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tmp_path.chmod(0o500)
    try:
        assert main(["graph", "a*a", "a=1", "-o", str(tmp_path / "a.dot")]) == 2
    finally:
        tmp_path.chmod(0o700)
    assert f"viz: error: cannot write or read {tmp_path / 'a.dot'}: Permission denied" in capsys.readouterr().err


def test_a_folder_in_place_of_the_file_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.dot").mkdir()
    for command in (["graph", "a*a", "a=1"], ["flow", "a*a", "a=1"]):
        suffix = "dot" if command[0] == "graph" else "svg"
        (tmp_path / f"a.{suffix}").mkdir(exist_ok=True)
        assert main([*command, "-o", str(tmp_path / f"a.{suffix}")]) == 2
        assert f"viz: error: cannot write or read {tmp_path / f'a.{suffix}'}: Is a directory" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.dot", "a.svg"]


@pytest.mark.parametrize("out", ["a.png", "a.pdf", "a.svg"])
def test_a_program_that_is_missing_is_named(
    out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(graphviz_program, "_installed", lambda: iter(()))
    assert main(["graph", "a*a", "a=1", "-o", str(tmp_path / out)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(
        "viz: error: no program that lays out graphs was found; install Graphviz (Debian, Ubuntu: apt"
    )
    assert ("or pip install graphviz-pure" in error) == (out != "a.pdf")
    assert not list(tmp_path.iterdir())
    if out != "a.svg":  # charts need no program for SVG
        assert main(["flow", "a*a", "a=1", "-o", str(tmp_path / out)]) == 2
        assert "or save as .svg" in capsys.readouterr().err


def test_help_names_its_own_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for launcher in ("python -m", "python3 run.py"):
        monkeypatch.setenv("TINYGRAD_EDU_LAUNCHER", launcher)
        with pytest.raises(SystemExit):
            main(["curve", "--help"])
        printed = capsys.readouterr().out
        assert f"usage: {launcher} viz curve" in printed
        assert f"example: {launcher} viz curve runs/one" in " ".join(printed.split())
