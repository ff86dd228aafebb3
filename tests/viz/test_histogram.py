"""Histograms: every number is counted once, and numbers that bars cannot show are reported."""

import math
import random
import re

import numpy as np
import pytest

import viz
from gpt.pictures.run import PicturedRun
from tests.commands import refusal
from tests.viz.charts import AWKWARD, check_words_fit, titles, words
from tinygrad_edu import Value, nn, record_calls
from viz.cli import main


def everything(bins):
    return sum(bins.counts) + bins.below + bins.above + bins.zeros + bins.not_finite


def numbers(count=2000, seed=0):
    rng = random.Random(seed)
    return [rng.gauss(0, 1) for _ in range(count)] + [0.0] * 10 + [9.0, 8.0, -7.0, math.nan, math.inf]


def test_every_number_is_counted_once():
    some = numbers()
    (bins,) = viz.histogram({"x": some}).rows["x"]
    finite = [x for x in some if math.isfinite(x)]
    reach = min(max(map(abs, finite)), 4 * math.sqrt(np.mean(np.square(finite))))
    assert (bins.low, bins.high) == (pytest.approx(-reach), pytest.approx(reach))
    expected, _ = np.histogram([x for x in finite if x != 0.0], bins=31, range=(bins.low, bins.high))
    assert list(bins.counts) == list(expected)
    assert (bins.below, bins.above, bins.zeros, bins.not_finite) == (1, 2, 10, 2)
    assert everything(bins) == bins.total == len(some)
    assert bins.mean == pytest.approx(np.mean(finite))
    assert bins.std == pytest.approx(np.std(finite))


def test_bars_are_as_high_as_counts():
    chart = viz.histogram({"x": numbers()})
    (bins,) = chart.rows["x"]
    bars = re.findall(
        r'data-count="(\d+)"><title>[^<]*</title><rect [^>]*height="([\d.]+)" fill="#0072B2"', chart.svg()
    )
    assert [int(count) for count, _ in bars] == [count for count in bins.counts if count]
    for count, high in bars:
        assert float(high) == pytest.approx(max(1.5, 84 * int(count) / max(bins.counts)), abs=0.06)


def test_numbers_that_bars_do_not_show_are_reported():
    chart = viz.histogram({"x": numbers(), "y": [0.0] * 9 + [1.0]})
    shown = words(chart)
    assert {"◂1", "2▸", "10 zero, 2 not finite", "90% zero"} <= set(shown)
    assert "10 zero, 3 beyond, 2 not finite" in str(chart)


def test_a_common_axis_for_comparison():
    narrow, wide = [0.01, -0.01], [1.0, -1.0]
    own = viz.histogram({"narrow": narrow, "wide": wide}).rows
    common = viz.histogram({"narrow": narrow, "wide": wide}, scale="common").rows
    assert (own["narrow"][0].high, own["wide"][0].high) == (0.01, 1.0)
    assert common["narrow"][0].high == common["wide"][0].high == 1.0
    assert max(common["narrow"][0].counts) == common["narrow"][0].counts[15] == 2  # both in the bin around 0


def test_tables_and_gradients_of_a_network():
    model = nn.MLP(2, [3, 1], rng=random.Random(1))
    with record_calls() as calls:
        out = model([Value(1.0), Value(2.0)])
    assert viz.histogram(calls).kinds == ["weights"]
    out.backward()
    chart = viz.histogram(calls)
    assert chart.kinds == ["weights", "gradients"]
    named = dict(model.named_scalars())
    for table, (weights, gradients) in chart.rows.items():
        of = [value for name, value in named.items() if name.partition("[")[0] == table]
        assert weights.total == gradients.total == len(of)
        assert weights.mean == pytest.approx(sum(v.data for v in of) / len(of))
        assert gradients.mean == pytest.approx(sum(v.grad for v in of) / len(of))
    assert sum(row[0].total for row in chart.rows.values()) == len(model.parameters())


def test_results_of_modules(gpt):
    chart = viz.histogram(gpt.calls, of="modules")
    outer = gpt.calls.calls[0]
    head = next(call for call in outer.walk() if call.kind == "AttentionHead")
    bins, gradients = chart.rows["h.0.attn.head 1"]
    assert bins.mean == pytest.approx(sum(v.data for v in head.outputs) / len(head.outputs))
    assert gradients.mean == pytest.approx(sum(v.grad for v in head.outputs) / len(head.outputs), abs=1e-15)
    assert "h.0.drop" not in chart.rows  # it returns its input


def test_long_names_stay_apart():
    names = {
        f"a.module.with.a.very.long.{part}.name.in.it.weight": [float(i)] for i, part in enumerate(("path", "road"))
    }
    assert len(viz.histogram(names).rows) == 2


@pytest.mark.parametrize("some", [[0.0], [1e300, -1e300], [5e-324], [math.nan], [3.0], [1e-9] * 99 + [1e9]])
def test_any_numbers(some):
    (bins,) = viz.histogram({"x": some}).rows["x"]
    assert everything(bins) == len(some)
    assert not math.isinf(bins.std)
    assert "x" in str(viz.histogram({"x": some}))
    assert viz.histogram({"x": some}).svg()


def test_text_stays_inside(browser, tmp_path, gpt):
    some = {f"{AWKWARD} {i}": numbers(50, i) for i in range(7)}
    for chart in (viz.histogram(some, title=AWKWARD * 5), viz.histogram({"x": [1.0]}), viz.histogram(gpt.calls)):
        check_words_fit(browser, chart, tmp_path)
    assert f"{AWKWARD} 3" in words(viz.histogram(some))
    assert any(t.startswith(f"{AWKWARD} 3: ") for t in titles(viz.histogram(some)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: viz.histogram({}), "there is nothing to show"),
        (lambda: viz.histogram({"a": []}), "there is nothing to show"),
        (lambda: viz.histogram([1.0]), "source must be a CallRecord or a dictionary, got the list"),
        (lambda: viz.histogram({"a": [1.0]}, of="layers"), "'layers' .must be one of parameters, modules"),
        (lambda: viz.histogram({"a": [1.0]}, scale="log"), "'log' .must be one of own, common"),
    ],
)
def test_errors_of_charts_that_cannot_be_made(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_the_command(run, tmp_path, capsys):
    out = tmp_path / "h.svg"
    assert main(["histogram", str(run), "-o", str(out)]) == 0
    said = capsys.readouterr().out
    title = "Distributions after step 8; the gradients are of one loss on 6 characters"
    assert said.startswith(f"{title}\nweights\ntransformer.wte.weight")
    found = PicturedRun.open(run)
    _, calls, _ = found.recorded(found.tokens())
    expected = viz.histogram(calls, title=title)
    assert out.read_text() == expected.svg()
    assert main(["histogram", str(run), "--of", "modules", "--text", "to be", "--length", "3"]) == 0
    assert "\nresults\n" in capsys.readouterr().out
    assert "a loss needs a character and the one that follows it" in refusal(main, "histogram", str(run), "--text", "t")
