"""Gradient flow over a training run: the chart has the measured numbers, and problems are named with their step."""

import math
import random
import re
from xml.etree import ElementTree

import pytest

import viz
from tests.viz.charts import AWKWARD, check_words_fit
from tinygrad_edu import Value, record_calls
from tinygrad_edu.gradient_stats import GradientStats
from tinygrad_edu.nn import MLP
from tinygrad_edu.optim import SGD
from viz import style


def cells(chart):
    """Return the number of each cell, by panel, row and step."""
    root = ElementTree.fromstring(chart.svg())
    found = {}
    for g in root.iter("{http://www.w3.org/2000/svg}g"):
        if g.get("class") == "node":
            found.setdefault((g.get("data-name"), int(g.get("data-step"))), []).append(g)
    return found


def measured(steps=5):
    model = MLP(2, [3, 1], rng=random.Random(0))
    optimizer = SGD(model.parameters(), lr=0.1)
    found, gradients = {}, {}
    for step in range(1, steps + 1):
        with record_calls() as calls:
            loss = (model([1.0, -2.0]) - 1.0) ** 2
        optimizer.zero_grad()
        loss.backward()
        before = {value: value.data for value in calls.names}
        gradients[step] = {name: value.grad for value, name in calls.names.items()}
        optimizer.step()
        found[10 * step] = viz.flow(loss, calls=calls, before=before)
    return found, gradients


def test_every_cell_has_the_number_that_was_measured():
    flows, gradients = measured()
    found = cells(viz.flow_over(flows))
    names = [line.name for line in flows[10].parameters]
    assert list(dict.fromkeys(name for name, _ in found)) == names
    for (name, step), (mean, update) in found.items():
        grads = [abs(g) for its, g in gradients[step // 10].items() if its.partition("[")[0] == name]
        assert float(mean.get("data-value")) == pytest.approx(sum(grads) / len(grads), rel=1e-12)
        [line] = [line for line in flows[step].parameters if line.name == name]
        assert update.get("data-value") == repr(line.update)


def test_results_of_modules_plain_lines_and_a_list():
    flows, _ = measured(2)
    assert [*viz.flow_over(flows, modules=True).rows] == [line.name for line in flows[10].modules]
    by_lines = viz.flow_over({step: flow.parameters for step, flow in flows.items()})
    assert by_lines == viz.flow_over(flows)
    assert viz.flow_over([*flows.values()]).steps == [1, 2]


def line(name, mean, zeros=0.0, not_finite=0, update=None):
    return GradientStats(name, 4, mean, mean, zeros, not_finite, update)


def shade(group):
    return max(float(r.get("fill-opacity", 0.0)) for r in group.iter("{http://www.w3.org/2000/svg}rect"))


def test_shades_are_on_a_logarithmic_scale():
    found = cells(viz.flow_over([[line("w", 10.0**-power)] for power in (0, 1, 2, 4)]))
    shades = [shade(found["w", step][0]) for step in (1, 2, 3, 4)]
    assert shades[0] - shades[1] == pytest.approx(shades[1] - shades[2], abs=2e-3)
    assert shades[2] - shades[3] == pytest.approx(2 * (shades[0] - shades[1]), abs=2e-3)
    assert shades[3] == 0.0


def test_at_most_eight_columns_with_the_first_and_the_last():
    chart = viz.flow_over({step: [line("w", 1.0)] for step in range(1, 101)})
    steps = [step for _, step in cells(chart)]
    assert len(steps) == 8
    assert (steps[0], steps[-1]) == (1, 100)
    assert len(chart.rows["w"]) == 100  # nothing is lost


def test_problems_are_named_with_their_step_and_not_by_color_alone():
    flows = [
        [line("a", 1.0), line("b", 1.0), line("c", 1.0)],
        [line("a", 1.0), line("b", math.nan, not_finite=4), line("c", 0.0, zeros=1.0)],
        [line("a", math.nan, not_finite=1), line("b", math.nan, not_finite=4), line("c", 0.0, zeros=1.0)],
    ]
    chart = viz.flow_over(flows)
    assert chart.findings == ["Not finite since step 2: b.", "No gradient anymore, all are exactly 0: c."]
    words = ["".join(g.itertext()) for g in (cells(chart)["b", 2][0], cells(chart)["c", 2][0])]
    assert words[0].endswith("NaN")
    assert words[1].endswith("0")
    hatching = cells(chart)["c", 2][0].find("{http://www.w3.org/2000/svg}path")
    assert hatching is not None
    assert f'stroke="{style.NEGATIVE}"' in chart.svg()
    assert all(finding in str(chart) for finding in chart.findings)
    assert viz.flow_over(flows[:1]).findings == []
    assert "Nothing unusual was found." in str(viz.flow_over(flows[:1]))


def test_a_row_that_starts_later_has_a_gap_before():
    chart = viz.flow_over([[line("a", 1.0)], [line("a", 1.0), line("b", 2.0)]])
    assert chart.rows["b"][0] is None
    assert re.search(r"^b +2e0$", str(chart), re.MULTILINE)


def test_written_in_every_format(tmp_path):
    chart = viz.flow_over([[line("a <&>", 1.0, update=1e-3)]], title="t")
    written = {}
    for suffix in ("svg", "html", "txt"):
        path = tmp_path / f"c.{suffix}"
        assert chart.save(path) == str(path)
        written[suffix] = path.read_text(encoding="utf-8")
    assert (written["svg"], written["txt"]) == (chart.svg(), f"{chart}\n")
    ElementTree.fromstring(written["svg"])
    assert "<title>t</title>" in written["html"]
    assert chart.svg() in written["html"]


def test_text_fits(browser, tmp_path):
    awkward = [line(f"{AWKWARD} {'W' * 40}", 1.0, not_finite=1), line("b" * 60, 1e-12, update=1e-3), line("c", 3e8)]
    flows, _ = measured(12)
    for chart in (
        viz.flow_over([awkward], title=AWKWARD * 6),
        viz.flow_over({123456 * step: awkward for step in range(1, 30)}),
        viz.flow_over(flows),
        viz.flow_over(flows, modules=True, title="t" * 90),
        flows[10],
    ):
        check_words_fit(browser, chart, tmp_path)


def test_no_measurements_are_an_error():
    with pytest.raises(ValueError, match="no gradient was measured; give what viz.flow"):
        viz.flow_over([])


def test_one_value_alone():
    w = Value(2.0, label="w")
    (w * w).backward()
    loss = w * w
    loss.backward()
    assert viz.flow_over([viz.flow(loss)]).rows["w"][0].mean == 8.0
