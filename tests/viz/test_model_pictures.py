"""Properties of all pictures of models: the same bytes in every process, and every format."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import viz
from gpt.pictures.run import PicturedRun
from gpt.sample import distribution
from viz.rendering.rasterize import as_dot

CHARTS = ("attention", "boundary", "compilation", "embeddings", "gradients", "loss", "next", "results")


def charts(folder):
    """Return every kind of chart, by name."""
    run = PicturedRun.open(folder)
    tokens = run.tokens("to be")
    loss, calls, _ = run.recorded(tokens)
    logits = run.logits(tokens)
    points, labels = [(0.0, 0.5), (1.0, -1.0), (-1.0, 0.0)], [0, 1, 0]
    frames = [viz.boundary(lambda p, w=w: p[0] - w * p[1], points, labels, title=f"w = {w}") for w in (0.0, 1.0)]
    stages = {"model": distribution(logits), "top-k 3": distribution(logits, top_k=3)}
    return {
        "attention": viz.attention(run.called(tokens), run.characters(tokens)),
        "boundary": viz.boundaries(frames),
        "compilation": viz.compilation(run.compiled(tokens), loss, calls=calls),
        "embeddings": viz.embeddings(run.embeddings(), run.tokenizer.alphabet),
        "gradients": viz.histogram(calls),
        "loss": viz.loss_curve(run.log(), baselines=run.baselines()),
        "next": viz.next_characters(stages, run.tokenizer.alphabet),
        "results": viz.histogram(calls, of="modules", scale="common"),
    }


PRINT = """
import hashlib, sys
sys.path.insert(0, sys.argv[1])
from tests.viz.test_model_pictures import charts
for name, chart in charts(sys.argv[2]).items():
    print(name, *(hashlib.sha256(text.encode()).hexdigest() for text in (chart.svg(), chart._page(), str(chart))))
"""


def test_the_same_bytes_in_every_process(run):
    def hashes(seed):
        done = subprocess.run(
            [sys.executable, "-c", PRINT, str(Path(__file__).parents[2]), str(run)],
            capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": seed},
        )  # fmt: skip
        return done.stdout.splitlines()

    first = hashes("1")
    assert len(first) == len(CHARTS)
    assert hashes("2") == first


@pytest.fixture(scope="module")
def drawn(run):
    return charts(run)


@pytest.mark.parametrize("name", CHARTS)
def test_every_format(drawn, name, tmp_path):
    chart = drawn[name]
    assert as_dot(chart._drawn()).startswith("graph {")  # the rest: see viz.rendering.rasterize
    for ending, text in (("svg", chart.svg()), ("html", chart._page()), ("txt", f"{chart}\n")):
        path = tmp_path / f"{name}.{ending}"
        assert chart.save(path) == str(path)
        assert path.read_text(encoding="utf-8") == text
    shown = chart._repr_mimebundle_()
    assert shown["text/plain"] == str(chart)
    fits = ' style="max-width:100%;height:auto"'  # the cell
    assert shown["image/svg+xml"].replace(fits, "", 1) == chart.svg()
    assert fits in shown["image/svg+xml"]
    with pytest.raises(viz.UnknownFormatError, match=r"must end in one of .svg"):
        chart.save(tmp_path / f"{name}.gif")
    with pytest.raises(OSError, match="No such file or directory"):
        chart.save(tmp_path / "nowhere" / f"{name}.svg")
