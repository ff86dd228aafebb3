"""Loss curves: every point matches the log, means are means, and the baselines are shown."""

import json
import math
import random
import re
import shutil

import pytest

import viz
from gpt.data.ngram import Baseline
from gpt.pictures.run import PicturedRun
from tests.commands import refusal
from tests.viz.charts import AWKWARD, check_words_fit, titles, words
from viz.cli import main


def log(steps=200, seed=0, every=50):
    rng = random.Random(seed)
    records = [{"step": 0, "train_loss": None, "val_loss": 4.2}]
    for step in range(1, steps + 1):
        loss = 2 + 2.2 * math.exp(-step / 40) + rng.gauss(0, 0.1)
        val = 2.05 + 2.15 * math.exp(-step / 40) if step % every == 0 else None
        records.append({"step": step, "train_loss": loss, "val_loss": val})
    return records


BASELINES = {"uniform": 4.174, "unigram": 3.347, "bigram": 2.482, "trigram": 2.046, "5-gram": 1.669}


def points(svg, kind):
    return [
        [tuple(map(float, place.split(","))) for place in d[1:].split("L")]
        for d in re.findall(rf'<path class="{kind}" d="([^"]*)"', svg)
    ]


def test_curves_contain_the_numbers_of_the_log():
    records = log()
    (curve,) = viz.loss_curve(records).curves
    assert curve.training == [(r["step"], r["train_loss"]) for r in records[1:]]
    assert curve.validation == [
        (0, 4.2),
        *((r["step"], r["val_loss"]) for r in records if r["step"] in (50, 100, 150, 200)),
    ]
    assert curve.best == (200, records[200]["val_loss"])
    assert curve.window == 5
    losses = [r["train_loss"] for r in records[1:]]
    for i, (step, mean) in enumerate(curve.smooth):
        reach = min(2, i, len(losses) - 1 - i)
        part = losses[i - reach : i + reach + 1]  # as many after the step as before it
        assert (step, mean) == (i + 1, pytest.approx(sum(part) / len(part), abs=1e-12))


def test_points_stand_where_their_numbers_are():
    chart = viz.loss_curve(log(), baselines=BASELINES)
    svg = chart.svg()
    (line,), curve = points(svg, "validation"), chart.curves[0]
    (x0, y0), (x4, y4) = line[0], line[4]
    scale = (y4 - y0) / (curve.validation[4][1] - curve.validation[0][1])
    for (x, y), (step, loss) in zip(line, curve.validation, strict=True):
        assert x == pytest.approx(x0 + (x4 - x0) * step / 200, abs=0.1)
        assert y == pytest.approx(y0 + scale * (loss - 4.2), abs=0.1)
    for (_, y), (_, mean) in zip(points(svg, "smooth")[0], curve.smooth, strict=True):
        assert y == pytest.approx(y0 + scale * (mean - 4.2), abs=0.1)
    heights = [float(y) for y in re.findall(r'class="baseline" d="M[\d.]+,([\d.]+)H', svg)]
    assert heights == pytest.approx([y0 + scale * (loss - 4.2) for loss in BASELINES.values()], abs=0.1)
    assert [w for w in words(chart) if "gram" in w] == [
        "unigram 3.347",
        "bigram 2.482",
        "trigram 2.046",
        "5-gram 1.669",
    ]


def test_the_last_validation_is_compared_on_the_sequences_of_the_others():
    records = [*log(100), {"step": 101, "train_loss": 2.0, "val_loss": 1.5, "watched_loss": 2.6}]
    chart = viz.loss_curve(records)
    (curve,) = chart.curves
    assert curve.validation[-1] == (101, 2.6)
    assert curve.final == (101, 1.5)
    assert curve.best == (100, records[100]["val_loss"])
    assert "on more of the text: 1.5" in titles(chart)


def test_the_best_is_in_the_middle_when_it_gets_worse():
    records = [{"step": i, "train_loss": 4 - i / 10, "val_loss": abs(i - 12) / 10 + 2} for i in range(1, 30)]
    chart = viz.loss_curve(records, baselines=[Baseline("bigram", "pairs", 2.5), Baseline("trigram", "triples", 1.9)])
    assert chart.curves[0].best == (12, 2.0)
    assert "best: 2.0 at step 12" in titles(chart)
    assert "best        2 at step 12, better than bigram" in str(chart)


def test_a_list_of_losses_is_a_run_too():
    (curve,) = viz.loss_curve([3, 2, 1]).curves
    assert curve.training == [(1, 3.0), (2, 2.0), (3, 1.0)]


def test_infinite_losses_are_left_out_and_a_spike_does_not_flatten_the_rest():
    losses = [4.0] * 100 + [1e9] + [2.0] * 100
    chart = viz.loss_curve([*losses, float("nan"), float("inf")])
    assert len(chart.curves[0].training) == 201
    (raw,) = points(chart.svg(), "training")
    assert min(y for _, y in raw) >= 74.0  # the top of the axes


def test_a_long_run_is_drawn_with_its_peaks_and_not_with_every_point():
    losses = [3.0 + 0.001 * (i % 7) for i in range(50_000)]
    losses[12_345], losses[33_333] = 2.0, 3.5
    chart = viz.loss_curve(losses)
    assert len(chart.curves[0].training) == 50_000
    (raw,), (smooth,) = points(chart.svg(), "training"), points(chart.svg(), "smooth")
    assert len(raw) <= 1502
    assert len(smooth) <= 1502
    assert [x for x, _ in raw] == sorted(x for x, _ in raw)
    every = viz.loss_curve(losses[12_000:12_700])
    low = max(y for _, y in raw)  # y grows downward
    assert low - raw[0][1] > 100  # the single low loss is still visible
    assert len(points(every.svg(), "training")[0]) == 700


def test_several_runs_look_different_and_are_named():
    runs = {f"run {i}": log(seed=i) for i in range(5)}
    svg = viz.loss_curve(runs).svg()
    looks = re.findall(r'<path class="validation" d="[^"]*" (.*?)/>', svg)
    assert len(set(looks)) == 5
    assert 'class="training"' not in svg
    gray = {re.sub("#[0-9a-fA-F]{6}", "", look) for look in looks}
    assert len(gray) >= 4  # four curves differ by dashes alone


def test_text_stays_inside(browser, tmp_path):
    close = {"a": 2.0, "b": 2.0001, "c": 2.0002, AWKWARD * 3: 2.0003, "five": 2.0004}
    for curves in (log(), {AWKWARD * 2: log(), "b": log(seed=1)}, [1.0], log(3)):
        check_words_fit(browser, viz.loss_curve(curves, baselines=close, title=AWKWARD * 5), tmp_path)


def test_names_survive():
    assert f"{AWKWARD}: best 2.064 at step 200" in " ".join(words(viz.loss_curve({AWKWARD: log(), "b": log()})))


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ({}, "the log of at least one run"),
        ([], "the log holds no finite loss; expected lines with train_loss or val_loss"),
        ({"a": [math.nan]}, "a holds no finite loss"),
        ({str(i): [1.0] for i in range(6)}, "at most 5 runs can be told apart in one picture; got 6"),
    ],
)
def test_errors_of_charts_that_cannot_be_made(runs, message):
    with pytest.raises(ValueError, match=message):
        viz.loss_curve(runs)


def test_the_command(run, tmp_path, capsys):
    out = tmp_path / "c.svg"
    assert main(["curve", str(run), "-o", str(out)]) == 0
    said = capsys.readouterr().out
    baselines = PicturedRun.open(run).baselines()
    assert all(f"{baseline.name} {viz.style.number(baseline.loss)}" in said for baseline in baselines)
    last = json.loads((run / "log.jsonl").read_text().splitlines()[-1])
    assert f"{viz.style.number(last['val_loss'])} on more of the text" in said
    assert out.exists()


def test_the_command_works_without_the_text(run, tmp_path, capsys):
    moved = shutil.copytree(run, tmp_path / "moved")
    config = moved / "config.json"
    config.write_text(config.read_text().replace("text.txt", "gone.txt"))
    assert main(["curve", str(run), str(moved)]) == 0
    shown = capsys.readouterr()
    assert "moved: 8 steps" in shown.out
    assert "without baselines: the text that" in shown.err
    assert main(["curve", str(run), "--no-ladder"]) == 0
    assert "counting" not in capsys.readouterr().out


def test_errors_of_the_command(tmp_path):
    assert "holds no checkpoint" in refusal(main, "curve", str(tmp_path))


def test_a_loss_above_guessing_is_not_praised():
    baselines = {"uniform": 4.2, "unigram": 5.0, "bigram": 3.1, "trigram": 3.6}
    said = {loss: str(viz.loss_curve([6.0, loss], baselines=baselines)) for loss in (4.5, 4.2, 4.0, 3.3, 3.0)}
    assert "better than" not in said[4.5] + said[4.2]
    assert "better than unigram" in said[4.0]
    assert "better than unigram" in said[3.3]  # below the trigram, but not below the bigram
    assert "better than trigram" in said[3.0]
