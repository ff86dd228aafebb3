"""``python -m viz graph``: expressions on the command line."""

import ast
import contextlib
import io
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

import viz
from gpt.pictures.run import PicturedRun
from tests.commands import refusal
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
        f"Wrote {path}",
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


class AsFloats(ast.NodeTransformer):
    """Python's own tree of a formula with every number as a float, and real powers: ``(-1)**0.5`` is an error."""

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return ast.copy_location(ast.Constant(float(node.value)), node)

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        if not isinstance(node.op, ast.Pow):
            return node
        return ast.copy_location(ast.Call(ast.Name("pow", ast.Load()), [node.left, node.right], []), node)

    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        if isinstance(node.func, ast.Attribute):  # x.tanh()
            node.args, node.func = [node.func.value], ast.Name(node.func.attr, ast.Load())
        return ast.fix_missing_locations(node)


def power(a: float, b: float) -> float:
    """Return a**b as IEEE has it: infinity beyond the largest number, where Python raises an error."""
    try:
        return math.pow(a, b)
    except OverflowError:
        return math.copysign(math.inf, a) if b % 2 else math.inf


def in_python(text: str, numbers: dict[str, float]) -> float | None:
    """Return what Python computes for the last line of ``text``; None if that is an error."""
    tree = AsFloats().visit(ast.parse("\n".join(line.strip() for line in text.strip().split("\n"))))
    last = tree.body[-1]
    tree.body[-1] = ast.copy_location(ast.Assign([ast.Name("result", ast.Store())], last.value), last)
    functions = {name: getattr(math, name) for name in ("tanh", "exp", "sqrt", "log", "sin", "cos")}
    known: dict[str, Any] = {**functions, "pow": power, "max": max, "min": min, "abs": abs, **numbers}
    try:
        exec(compile(ast.fix_missing_locations(tree), "formula", "exec"), known)
    except (ArithmeticError, ValueError):
        return None
    return float(known["result"])


def on_the_command_line(text: str, numbers: dict[str, float]) -> tuple[int, str, str]:
    """Return the exit code of ``viz graph`` and what it printed on both streams."""
    given = [f"{name}={number!r}" for name, number in numbers.items()]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main(["graph", "--forward", "-o", "-", "--", text, *given])
    return code, out.getvalue(), err.getvalue()


@given(st.text(alphabet="ab()+-*/. 12=;,[]'tanh\n", max_size=30))
@example("-a.tanh()**2")
@example("a = 2; t = a*b\nt**-a")
@example("(-1)**.5*a")
@example("a//b")
def test_any_text_is_computed_as_in_python_or_refused(text: str) -> None:
    assume(not Path(text).is_dir())
    numbers: dict[str, float] = {}
    try:
        expression = parse(text)
        numbers = dict(zip(expression.inputs, (1.5, -0.5, 3.0, 2.25, 0.75, -2.0, 7.0), strict=False))
        found: float | str = expression.compute(numbers).data
    except viz.ExpressionError as error:
        found = str(error)
    if not isinstance(found, str):
        assert math.isnan(found) or found == in_python(text, numbers)
        return
    assert re.fullmatch(r"\S[^\n]+(\n  [^\n]*\n +\^)?", found)  # one sentence, perhaps with a mark below the text
    if not numbers and ("/" in text or "." in text):
        found += f"\n(read as an expression: there is no folder {text})"
    assert on_the_command_line(text, numbers) == (2, "", f"viz: error: {found}\n")


def grown(part: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(part, st.sampled_from([" + ", "-", "*", " / ", "**"]), part).map("".join),
        part.map("({})".format),
        part.map("-{}".format),
        st.tuples(st.sampled_from(["tanh", "exp", "sqrt", "log", "sin", "cos", "abs"]), part).map(
            "{0[0]}({0[1]})".format
        ),
        part.map("({}).tanh()".format),
        st.tuples(st.sampled_from(["max", "min"]), part, part).map("{0[0]}({0[1]}, {0[2]})".format),
    )


@given(st.recursive(st.sampled_from(["a", "b", "c", "2", ".5", "1e-1", "3."]), grown, max_leaves=8))
@example("a - b - c")
@example("a / b * c")
@example("-a**2")
@example("a**b**c")
@example("a**-b")
def test_formulas_are_computed_as_in_python(formula: str) -> None:
    numbers = {"a": 1.25, "b": -0.75, "c": 2.0}
    used = {name: number for name, number in numbers.items() if re.search(rf"\b{name}\b", formula)}
    for text in (formula, f"d = {formula}; d * d", f"{formula}\nd = 3\nd - ({formula})"):
        expected = in_python(text, numbers)
        if expected is None or not math.isfinite(expected):  # the engine has an answer for some overflows
            continue
        assert compute(text, used).data == expected, text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["graph", "a*b", "a"], "expected name=number, such as a=2; got 'a'"),
        (["graph", "a*b", "a=x"], "the number for a cannot be read: 'x'"),
        (["graph", "a*a", "a=1", "-o", "a.jpg"], "unknown format: 'a.jpg'"),
        (["graph", "a*a", "a=1", "-o", "nowhere/a.dot"], "nowhere"),
        (["graph", "1/a", "a=0"], "column 1: 1.0 / 0.0: division by zero"),
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
        (["flow", "log(a)", "a=0"], "column 1: log(0.0): the logarithm needs a positive number"),
    ],
)
def test_errors_are_a_sentence_and_exit_code_2(arguments: list[str], words: str) -> None:
    assert words in refusal(main, *arguments)


def test_the_neighborhood_of_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["graph", "e = a*b; d = e + c; L = d * f", "a=2", "b=-3", "c=10", "f=-2", "-o", "-", "--focus"]
    assert main([*command, "e", "--depth", "1"]) == 0
    assert "Near e: 5 of 7 Values" in capsys.readouterr().out
    names = "there are a, b, e, c, d, f, L"
    assert refusal(main, *command, "g") == f"viz: error: nothing in the expression is named 'g'; {names}\n"


def test_the_flow_of_an_expression(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flow", "L = (a*b + c) * f", "a=2", "b=-3", "c=10", "f=-2", "-o", str(tmp_path / "f.svg")]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["a", "1", "6", "6", "0%"] in rows
    loss = compute("L = (a*b + c) * f", {"a": 2, "b": -3, "c": 10, "f": -2}, label_parts=True)
    loss.backward()
    assert (tmp_path / "f.svg").read_text(encoding="utf-8") == viz.flow(loss).svg()


def test_the_graph_of_a_run(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loss = PicturedRun.open(run)
    result, _, length = loss.recorded(loss.tokens())
    assert main(["graph", str(run), "-o", str(tmp_path / "g.dot")]) == 0
    printed = capsys.readouterr().out
    loss_on = f"the loss on {length} characters of the validation text"
    assert f"Step 8: {style.number(result.data)} is {loss_on}.\n" in printed
    assert printed.count("characters") == 1
    text = (tmp_path / "g.dot").read_text(encoding="utf-8")
    assert f"{len(topological_order(result)):,} Values" in text
    assert text.count("label=<<TABLE") <= 41  # 40 boxes, and the banner
    assert (
        main(["graph", str(run), "--text", "to be", "--focus", "lm_head.weight[0][1]", "--depth", "1", "-o", "-"]) == 0
    )
    assert "Near lm_head.weight[0][1]: " in capsys.readouterr().out
    assert main(["graph", str(run), "--focus", "transformer.h.1.mlp", "--best", "-o", "-"]) == 0
    assert "c_fc" in capsys.readouterr().out


def test_the_flow_of_a_run(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flow", str(run)]) == 0
    printed = capsys.readouterr().out
    assert "transformer.h.1.attn.head 2" in printed
    updates = {line.name: line.update for line in PicturedRun.open(run).flow()[8]}
    [row] = [line.split() for line in printed.splitlines() if line.startswith("lm_head.weight")]
    assert float(row[-1]) == pytest.approx(updates["lm_head.weight"], rel=0.05)
    assert main(["flow", str(run), "--over-time", "-o", str(tmp_path / "over.html")]) == 0
    assert "mean |gradient|, after step" in capsys.readouterr().out
    viz.flow_over(PicturedRun.open(run).flow(), title=f"Gradient flow in {run.name}").save(tmp_path / "same.html")
    assert (tmp_path / "over.html").read_bytes() == (tmp_path / "same.html").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--forward"], "--forward is for expressions"),
        (["--focus", "transformer.x"], "no module call is named 'transformer.x'; did you mean transformer"),
        (["--text", "é"], "is not in the model's alphabet"),
        (["--text", "t"], "a loss needs a character and the one that follows it"),
    ],
)
def test_errors_of_runs_that_cannot_be_drawn(run: Path, arguments: list[str], words: str) -> None:
    assert words in refusal(main, "graph", str(run), *arguments, "-o", "-")
    assert "holds no checkpoint" in refusal(main, "flow", str(run.parent))


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the administrator may write everywhere")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        error = refusal(main, "graph", "a*a", "a=1", "-o", str(tmp_path / "a.dot"))
    finally:
        tmp_path.chmod(0o700)
    assert error == f"viz: error: cannot write or read {tmp_path / 'a.dot'}: Permission denied\n"


def test_a_folder_in_place_of_the_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.dot").mkdir()
    for command in (["graph", "a*a", "a=1"], ["flow", "a*a", "a=1"]):
        suffix = "dot" if command[0] == "graph" else "svg"
        (tmp_path / f"a.{suffix}").mkdir(exist_ok=True)
        assert f"viz: error: cannot write or read {tmp_path / f'a.{suffix}'}: Is a directory" in refusal(
            main, *command, "-o", str(tmp_path / f"a.{suffix}")
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.dot", "a.svg"]


@pytest.mark.parametrize("out", ["a.png", "a.pdf"])
def test_a_program_that_is_missing_is_named(out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphviz_program, "_installed", lambda: iter(()))
    error = refusal(main, "graph", "a*a", "a=1", "-o", str(tmp_path / out))
    assert error.startswith(
        "viz: error: no program that lays out graphs was found; install Graphviz (Debian, Ubuntu: apt"
    )
    assert ("or pip install graphviz-pure" in error) == (out != "a.pdf")
    assert not list(tmp_path.iterdir())
    if out != "a.svg":  # charts need no program for SVG
        assert "or save as .svg" in refusal(main, "flow", "a*a", "a=1", "-o", str(tmp_path / out))


def test_help_names_its_own_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for launcher in ("python -m", "python3 run.py"):
        monkeypatch.setenv("TINYGRAD_EDU_LAUNCHER", launcher)
        with pytest.raises(SystemExit):
            main(["curve", "--help"])
        printed = capsys.readouterr().out
        assert f"usage: {launcher} viz curve" in printed
        assert f"example: {launcher} viz curve runs/one" in " ".join(printed.split())
