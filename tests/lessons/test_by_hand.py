"""The transformer by hand: every number against numpy and against Lesson 10, every line against its own text."""

from __future__ import annotations

import contextlib
import html
import io
import math
import re
from pathlib import Path

import numpy as np
import pytest

from lessons import by_hand
from lessons.cells import load
from lessons.cli import main
from lessons.runner import Session
from tests.viz.browser import CHROMIUM, Browser
from viz.stepping.matrices import Step


def numbers(matrices, of=lambda value: value.data):
    """Return the numbers of every matrix, 0 where there is no Value."""
    return {m.name: np.array([[0.0 if v is None else of(v) for v in row] for row in m.rows]) for m in matrices}


def computed(w):
    """Compute the step with numpy alone: every matrix, and every gradient under the name of its matrix."""
    tokens, targets = list(by_hand.TOKENS), list(by_hand.TARGETS)
    x = w["E"][tokens] + w["Pos"]

    def norm(x):
        mean = (x**2).mean(1, keepdims=True) + 1e-5
        return x / np.sqrt(mean), mean

    nx, _ = norm(x)
    q, k, v = nx @ w["Wq"], nx @ w["Wk"], nx @ w["Wv"]
    s = np.tril(q @ k.T / math.sqrt(2))
    e = np.tril(np.exp(s))
    a = e / e.sum(1, keepdims=True)
    m = a @ v
    o = m @ w["Wo"]
    y = x + o
    ny, _ = norm(y)
    u = ny @ w["Wu"]
    g = np.maximum(u, 0)
    d = g @ w["Wd"]
    r = y + d
    nr, _ = norm(r)
    f = nr @ w["E"].T
    p = np.exp(f) / np.exp(f).sum(1, keepdims=True)
    loss = -np.log(p[[0, 1], targets])
    data = {"X": x, "NX": nx, "Q": q, "K": k, "V": v, "S": s, "e": e, "A": a, "M": m, "O": o, "Y": y, "NY": ny}
    data |= {
        "U": u,
        "G": g,
        "D": d,
        "R": r,
        "NR": nr,
        "F": f,
        "P": p,
        "ℓ": loss[:, None],
        "L": np.array([[loss.mean()]]),
    }

    def norm_back(x, dn):
        mean = (x**2).mean(1, keepdims=True) + 1e-5
        return dn / np.sqrt(mean) - x * (dn * x).sum(1, keepdims=True) / (x.shape[1] * mean**1.5)

    df = (p - np.eye(3)[targets]) / 2
    dnr = df @ w["E"]
    dr = norm_back(r, dnr)
    dg = dr @ w["Wd"].T
    du = dg * (u > 0)
    dny = du @ w["Wu"].T
    dy = dr + norm_back(y, dny)
    dm = dy @ w["Wo"].T
    da = np.tril(dm @ v.T)
    ds = a * (da - (da * a).sum(1, keepdims=True))
    dq, dk, dv = ds @ k / math.sqrt(2), ds.T @ q / math.sqrt(2), a.T @ dm
    dnx = dq @ w["Wq"].T + dk @ w["Wk"].T + dv @ w["Wv"].T
    dx = dy + norm_back(x, dnx)
    table = df.T @ nr
    table[tokens] += dx
    gradients = {"F": df, "NR": dnr, "R": dr, "D": dr, "G": dg, "U": du, "NY": dny, "Y": dy, "O": dy, "M": dm, "A": da}
    gradients |= {"S": ds, "Q": dq, "K": dk, "V": dv, "NX": dnx, "X": dx, "Pos": dx, "E": table, "Wq": nx.T @ dq}
    gradients |= {"Wk": nx.T @ dk, "Wv": nx.T @ dv, "Wo": m.T @ dy, "Wu": ny.T @ du, "Wd": g.T @ dr}
    return data, gradients


def test_every_number_is_what_numpy_computes() -> None:
    weights = {name: np.array(rows) for name, rows in by_hand.WEIGHTS.items()}
    data, gradients = computed(weights)
    matrices, loss = by_hand.forward(by_hand.WEIGHTS)
    step = Step(loss, matrices)
    found, sent = numbers(matrices), numbers(matrices, step.gradient)
    assert len(data) == 21
    assert len(gradients) == 25
    for name in data:
        np.testing.assert_allclose(found[name], data[name], atol=1e-14, err_msg=name)
    for name in gradients:
        np.testing.assert_allclose(sent[name], gradients[name], atol=1e-14, err_msg=f"d{name}")
    new = {name: rows - by_hand.RATE * gradients[name] for name, rows in weights.items()}
    after = computed(new)[0]["L"].item()
    assert after < 0.6 * loss.data
    last = by_hand.sections(10)[-1]
    assert last.table[1] == ("loss L", f"{loss.data:.10g}", f"{after:.10g}")


def test_it_is_the_model_of_lesson_10() -> None:
    session = Session(load("10"), fast=True)
    with contextlib.redirect_stdout(io.StringIO()):
        session.run(next(cell for cell in session.lesson.cells if cell.is_code))
        for cell in session.lesson.cells:
            if "model" in cell.tags:
                session.run(cell)
    model = session.namespace["TinyLM"](3, context=2, width=2, heads=1, hidden=4)
    [block] = model.blocks
    attention, mlp = block.attention, block.feed_forward
    tables = {"E": model.token.weight, "Pos": model.position.weight}
    layers = {"Wq": attention.query, "Wk": attention.key, "Wv": attention.value, "Wo": attention.out}
    layers |= {"Wu": mlp.up, "Wd": mlp.down}
    tables |= {name: list(zip(*layer.weight, strict=True)) for name, layer in layers.items()}  # a row for each input
    assert sum(len(row) for rows in tables.values() for row in rows) == len(model.parameters()) == 42
    for name, rows in by_hand.WEIGHTS.items():
        for row, values in zip(rows, tables[name], strict=True):
            for number, value in zip(row, values, strict=True):
                value.data = number
    theirs = model.loss(list(by_hand.TOKENS), list(by_hand.TARGETS))
    theirs.backward()
    matrices, loss = by_hand.forward(by_hand.WEIGHTS)
    step = Step(loss, matrices)
    assert loss.data == pytest.approx(theirs.data, abs=1e-14)
    for matrix in matrices:
        if not matrix.formula:
            for row, values in zip(matrix.rows, tables[matrix.name], strict=True):
                assert [step.gradient(v) for v in row] == pytest.approx([v.grad for v in values], abs=1e-14)


def calculated(text):
    """Compute a formula with numbers, independently of the library."""
    text = text.replace("−", "-").replace("·", "*").replace("²", "**2").replace("^", "**").replace("/", " / ")
    assert re.fullmatch(r"[-+*/()., 0-9eExplogmax]+", text), text
    return eval(text, {"__builtins__": {}}, {"exp": math.exp, "log": math.log, "max": max})


def test_every_line_is_true_and_nothing_is_left_out() -> None:
    known, updated = set(), 0
    for section in by_hand.sections(14):
        for line in section.lines if section.fold else ():
            name, *others = re.split(" = | ← ", line.text)
            result, numbers = others[-1], others[-2:][0]
            if not numbers.startswith("d"):  # dO₁₁ = dY₁₁ = 0.5 has only the result
                assert calculated(numbers) == pytest.approx(calculated(result), abs=1e-11), line.text
            assert not re.search(r"\bv\d", line.text), line.text
            updated += " ← " in line.text
            known.add(name)
    matrices, _ = by_hand.forward(by_hand.WEIGHTS)
    names = [name for matrix in matrices for _, name in matrix.names()]
    assert {*names, *(f"d{name}" for name in names)} == known
    assert updated == 42


def test_lines_with_names_are_true_too() -> None:
    """Put the numbers of the page for the names in each formula: the result is the number that the line gives."""
    matrices, loss = by_hand.forward(by_hand.WEIGHTS)
    step = Step(loss, matrices, 14)
    values = {name: value.data for matrix in matrices for value, name in matrix.names()}
    values |= {f"d{name}": step.gradient(value) for matrix in matrices for value, name in matrix.names()}
    checked = 0
    for section in [*step.forward(), *step.backward()]:
        for line in section.lines:
            name, formula, *_ = line.text.split(" = ")
            if name == "dL":
                continue
            formula = re.sub(r"\[(\w+) > 0\]", lambda found: str(float(values[found[1]] > 0)), formula)
            text = re.sub(
                r"d?[A-Zℓemszfg][A-Za-z]{0,2}[₁₂₃₄]+|\bdL\b", lambda found: f"({values[found[0]]!r})", formula
            )
            assert calculated(text) == pytest.approx(values[name], rel=1e-12, abs=1e-14), line.text
            checked += 1
    assert checked > 200


def test_the_terminal_and_the_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["by-hand"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"# {by_hand.TITLE}\n")
    assert "Q₂₁ = NX₂₁ · Wq₁₁ + NX₂₂ · Wq₂₁ = −0.128 · 0.8 + 1.408 · 0.3 = 0.3201" in shown
    assert shown.rstrip().endswith("L = 2.256 before, 1.329 after the step")
    for name in ("page.html", "page.md"):
        assert main(["by-hand", "-o", str(tmp_path / name)]) == 0
        written = html.unescape((tmp_path / name).read_text(encoding="utf-8"))
        assert "Q₂₁ = NX₂₁ · Wq₁₁ + NX₂₂ · Wq₂₁ = −0.128 · 0.8 + 1.408 · 0.3 = 0.3201" in written
    assert main(["by-hand", "-o", str(tmp_path / "page.docx")]) == 2
    assert "must end in one of .html, .md, .pdf" in capsys.readouterr().err


def test_without_a_browser_it_says_how_to_print(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["by-hand", "-o", str(tmp_path / "page.pdf")]) == 2
    assert "a PDF needs Chromium or Chrome, which was not found; write .html" in capsys.readouterr().err


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_the_pdf_has_all_pages(tmp_path: Path) -> None:
    assert main(["by-hand", "-o", str(tmp_path / "page.pdf")]) == 0
    content = (tmp_path / "page.pdf").read_bytes()
    assert content.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type\s*/Page\b", content)) > 10  # the folded lines, too


@pytest.mark.parametrize("width", [375, 1280])
def test_the_page_fits_and_opens(browser: Browser, tmp_path: Path, width: int) -> None:
    (tmp_path / "page.html").write_text(by_hand.as_html(), encoding="utf-8")
    browser.call("Emulation.setDeviceMetricsOverride", width=width, height=700, deviceScaleFactor=1, mobile=width < 600)
    browser.open((tmp_path / "page.html").as_uri())
    assert browser.console == []
    assert browser.evaluate("document.querySelectorAll('details[open]').length") == 0
    links = browser.evaluate("[...document.querySelectorAll('.name')].map(link => link.textContent)")
    assert {"E", "Q", "A", "L", "dQ", "dE", "new Wq"} <= set(links)
    assert browser.evaluate(
        "[...document.querySelectorAll('.name')].every(link => document.querySelector(link.hash)"
        ".querySelector('caption').textContent === link.textContent)"
    )
    browser.evaluate("document.getElementById('all').click()")
    assert browser.evaluate("document.querySelectorAll('details:not([open])').length") == 0
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
