"""The scalar graph next to the program: every scalar is linked to an instruction, and counts match the compiler's."""

import random
import re

import pytest

import viz
from gpt.config import GPTConfig
from gpt.model import GPT
from tests.commands import refusal
from tests.viz.charts import AWKWARD, check_accessible, check_words_fit, titles, words
from tinygrad_edu import Value, jit, nn, record_calls, topological_order
from tinygrad_edu.errors import CompileError
from viz.cli import main
from viz.graph import provenance, regions
from viz.graph.build import build


class Case:
    """Return a function compiled, and its scalar graph."""

    def __init__(self, function, parameters, *arguments):
        self.compiled = jit(function, parameters)
        self.compiled(*[[argument] for argument in arguments])
        with record_calls() as self.calls:
            self.value = function(*[x if isinstance(x, list) else Value(x) for x in arguments])

    def chart(self, **options):
        return viz.compilation(self.compiled, self.value, calls=self.calls, **options)


def gpt_case(**settings):
    model = GPT(GPTConfig(**{"vocab_size": 7, "block_size": 4, "n_layer": 2, "n_head": 2, "n_embd": 4} | settings))
    model.eval()
    return Case(model.loss, model, [0, 1, 2, 3], [1, 2, 3, 4])


def mlp_case(second=None):
    model = nn.MLP(2, [3, 3, 1], rng=random.Random(0))
    return Case(lambda a, b, y: (model([a, b if second is None else second]) - y) ** 2, model, 1.0, 2.0, 3.0)


@pytest.fixture(scope="module")
def small():
    return gpt_case()


def operations(value):
    return [v for v in topological_order(value) if v.inputs]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"norm": "layernorm", "norm_weight": True, "bias": True, "activation": "gelu"},
        {"n_layer": 1, "tied_head": True},
        {"positions": "rotary", "n_embd": 8},
    ],
    ids=["rmsnorm", "layernorm", "tied", "rotary"],
)
def test_every_scalar_of_a_gpt_has_its_instruction(settings):
    case = gpt_case(**settings)
    chart = case.chart()
    assert chart.missing == 0
    assert chart.total == len(operations(case.value))
    assert chart.total + chart.choices == case.compiled.stats().scalar_operations
    assert sum(sum(row.scalars.values()) for row in chart.rows) == chart.total
    program = case.compiled.program
    for row in chart.rows:
        if "selecting" not in row.words:
            assert sum(row.scalars.values()) == row.counted  # what the compiler counted while it compiled
    assert sum(row.product for row in chart.rows) == case.compiled.stats().matrix_products
    shown = [formula for row in chart.rows for formula in row.formulas]
    assert len(shown) == program.forward


def test_multiplications_are_those_that_the_compiler_counted(small):
    rows = small.chart().rows
    for row, it in zip(rows, small.compiled.program.instructions, strict=True):
        assert row.scalars.get("*", 0) == it.products


def test_every_scalar_is_linked_to_an_instruction_of_its_module(small):
    whole = build([small.value], small.calls.names)
    found = provenance.link(small.compiled.program, whole, regions.find(whole, small.calls))
    owner = {}
    for call in small.calls.calls[0].walk():
        made = set(call.outputs) - set(call.inputs)
        owner.update(dict.fromkeys(made, call.path))  # of results, by the innermost call that returns them
    checked = 0
    for value, path in owner.items():
        step = found.steps[found.step_of[whole.index[value]]] if value.inputs and value in whole.index else None
        if step is not None:
            assert step.path == path
            checked += 1
    assert checked > 300


def test_an_instruction_reads_what_its_scalars_read(small):
    whole = build([small.value], small.calls.names)
    found = provenance.link(small.compiled.program, whole, regions.find(whole, small.calls))
    for node, inputs in enumerate(whole.inputs):
        for x in inputs:
            source, target = found.step_of[x], found.step_of[node]
            if -1 not in (source, target) and source != target:
                assert source < target


def test_neurons_that_run_together():
    chart = mlp_case().chart()
    first = [row for row in chart.rows if row.path == "layers.0.neurons.0…2"]
    assert [row.words for row in first] == ["3 sums of 2 products and 1 other term", "3 tanh"]  # the other is the bias
    assert chart.missing == 0
    assert "layers.0.neurons.0…2 (Neuron) ×3" in words(chart)
    assert len(first[0].formulas) == 2  # the products, and the bias that is added to them


def test_rewritten_operations_are_marked():
    chart = mlp_case(second=1.0).chart()  # the compiler drops the multiplication w · 1
    assert chart.rows[0].scalars == {"*": 6, "+": 6}
    assert chart.rows[0].counted == 9
    assert "≈ 6 ×, 6 +" in words(chart)
    assert any("because it rewrote the operations" in words for words in chart._notes())


def test_instructions_are_described_in_words(small):
    chart = small.chart()
    head = [row for row in chart.rows if row.path == "transformer.h.0.attn.head"]
    assert [row.words for row in head] == [
        "20 sums of 2 products", "20 ×", "the mask: no operation", "8 max", "8 detach", "20 −", "20 exp",
        "6 sums of 2 to 4 terms", "20 ÷", "16 sums of 1 to 4 products",
    ]  # fmt: skip
    first = chart.rows.index(head[0]) + 1
    assert f"{first:>4} ■ 20 sums of 2 products" in str(chart)
    assert "transformer.h.0.attn.head (AttentionHead) ×2" in words(chart)


def test_a_folded_constant_is_reported():
    w = [Value(1.0), Value(2.0)]
    case = Case(lambda x: (w[0] * x + w[1] * x) * Value(1.0) + (Value(2.0) * Value(3.0)), w, 1.5)
    chart = case.chart()
    # · 1 and 2 · 3 are folded, and + 6 is added to the sum of products without an instruction of its own.
    assert (chart.missing, chart.total, [row.scalars for row in chart.rows]) == (3, 6, [{"*": 2, "+": 1}])
    assert chart._notes()[0] == (
        "3 of 6 scalar operations have no instruction: they are constants, shared with an equal one, or not needed"
    )


def test_without_recorded_calls_everything_is_in_the_function_itself():
    w = [Value(1.0), Value(2.0)]
    case = Case(lambda x: (w[0] * x + w[1]).tanh(), w, 1.5)
    chart = viz.compilation(case.compiled, case.value)
    assert [row.scalars for row in chart.rows] == [{"*": 1, "+": 1}, {"tanh": 1}]
    assert "the function itself" in words(chart)


def test_focus(small):
    chart = small.chart(focus="transformer.h.1.mlp")
    assert {row.path for row in chart.rows} == {f"transformer.h.1.mlp.{part}" for part in ("c_fc", "act", "c_proj")}
    whole = {row.number: row for row in small.chart().rows}
    assert all(whole[row.number] == row for row in chart.rows)


def test_text_stays_inside(browser, tmp_path, small):
    for chart in (small.chart(), small.chart(focus="lm_head"), mlp_case().chart()):
        check_words_fit(browser, chart, tmp_path)


def test_arcs_join_rows_that_read_each_other(small):
    chart = small.chart()
    arcs = {tuple(map(int, pair)) for pair in re.findall(r'data-from="(\d+)" data-to="(\d+)"', chart.svg())}
    assert arcs == {(source, row.number) for row in chart.rows for source in row.reads}
    assert len(arcs) > len(chart.rows)


def test_the_page_links_both_sides(browser, tmp_path, small):
    chart = small.chart()
    path = tmp_path / "c.html"
    chart.save(path)
    browser.open(path.as_uri())
    row = next(row for row in chart.rows if row.product and row.reads)
    browser.evaluate(f"rows[{row.number - 1}].dispatchEvent(new MouseEvent('click'))")
    assert browser.evaluate("$('facts').textContent") == titles(chart)[row.number - 1]
    near = set(browser.evaluate("rows.filter(r => r.classList.contains('near')).map(r => +r.dataset.number)"))
    assert near == {*row.reads, *(other.number for other in chart.rows if row.number in other.reads)}
    assert browser.evaluate("location.hash") == f"#{row.number}"
    browser.key("ArrowDown")
    browser.wait_for(f"held.dataset.number === '{row.number + 1}'")
    browser.key("Escape")
    browser.wait_for("!svg.classList.contains('linked')")
    assert browser.console == []
    assert len(browser.requests) == 1
    browser.open(f"{path.as_uri()}#3")
    assert browser.evaluate("held.dataset.number") == "3"
    browser.key("Escape")


@pytest.mark.axe
def test_the_page_is_accessible(browser, tmp_path, small):
    small.chart().save(tmp_path / "c.html")
    browser.open((tmp_path / "c.html").as_uri())
    check_accessible(browser)


def test_names_survive():
    class Odd(nn.Module):
        def forward(self, x):
            return x * x

    outer = nn.Module()
    setattr(outer, AWKWARD, Odd())
    outer.forward = lambda x: getattr(outer, AWKWARD)(x) + 1.0
    case = Case(outer, [], 2.0)
    assert any(AWKWARD in word for word in words(case.chart()))


def test_errors_of_charts_that_cannot_be_made(small):
    with pytest.raises(ValueError, match=r"no instruction belongs to the module 'h.9'; there are transformer.wte, "):
        small.chart(focus="h.9")
    with pytest.raises(TypeError, match="expected a Value"):
        viz.compilation(small.compiled, [])
    with pytest.raises(CompileError, match="is not compiled yet: call it"):
        viz.compilation(jit(lambda x: x * x, []), small.value)


def test_the_command(run, tmp_path, capsys):
    out = tmp_path / "c.html"
    assert main(["compilation", str(run), "--focus", "transformer.h.0.attn", "-o", str(out)]) == 0
    said = capsys.readouterr().out
    assert "transformer.h.0.attn.head (AttentionHead) ×2" in said
    assert "transformer.h.1" not in said
    assert "data-number" in out.read_text()
    assert "no instruction belongs to the module 'nowhere'" in refusal(
        main, "compilation", str(run), "--focus", "nowhere"
    )
