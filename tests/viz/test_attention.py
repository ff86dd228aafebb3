"""Attention maps: the weights match those of the graph, and of a recomputed softmax."""

import math
import random
from operator import mul

import pytest

import viz
from gpt.pictures.run import PicturedRun
from tests.commands import refusal
from tests.viz.charts import AWKWARD, check_accessible, check_words_fit, titles, words
from tests.viz.drawn_examples import GPT, Attention
from tinygrad_edu import Value, no_grad, record_calls
from tinygrad_edu import functional as F
from tinygrad_edu.nn import AttentionHead
from viz.cli import main

WORDS = ["river", "bank", "overflowed"]


def matrix(rows):
    return [[Value(float(x)) for x in row] for row in rows]


def three_words():
    queries_and_keys = matrix([[1, 0], [1, 1], [0, 1]])
    return [F.attention_weights(query, queries_and_keys) for query in queries_and_keys]


def softmax_rows(call, size):
    """Return the weights of a head, from its recorded queries and keys alone."""
    numbers = [v.data for v in call.inputs]
    count = len(numbers) // 3 // size
    queries, keys = ([numbers[(p * count + t) * size :][:size] for t in range(count)] for p in (0, 1))
    rows = []
    for t, query in enumerate(queries):
        powers = [math.exp(sum(map(mul, query, key)) / math.sqrt(size)) for key in keys[: t + 1]]
        rows.append([power / sum(powers) for power in powers] + [0.0] * (count - t - 1))
    return rows


def test_three_words():
    chart = viz.attention(three_words(), WORDS)
    assert words(chart)[3:15] == [
        "river", ".401", ".401", ".198",
        "bank", ".248", ".503", ".248",
        "overflowed", ".198", ".401", ".401",
    ]  # fmt: skip
    assert "bank       .248       .503       .248" in str(chart)
    assert "masked" not in str(chart)


def test_heads_are_found_in_recorded_calls(gpt):
    chart = viz.attention(gpt.calls, "abcdef")
    heads = [c for call in gpt.calls.calls for c in call.walk() if c.kind == "AttentionHead"]
    assert [(m.layer, m.head, m.path) for m in chart.maps] == [(0, 0, "h.0.attn.head"), (0, 1, "h.0.attn.head")]
    for shown, call in zip(chart.maps, heads, strict=True):
        for row, expected in zip(shown.matrix(), softmax_rows(call, 2), strict=True):
            assert row == pytest.approx(expected, abs=1e-12)


def test_of_a_trained_run_rows_sum_to_1_and_masked_cells_are_0(run):
    found = PicturedRun.open(run)
    tokens = found.tokens(length=6)
    calls = found.called(tokens)
    chart = viz.attention(calls, found.characters(tokens))
    assert [(m.layer, m.head) for m in chart.maps] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    heads = [c for call in calls.calls for c in call.walk() if c.kind == "AttentionHead"]
    for shown, call in zip(chart.maps, heads, strict=True):
        for i, row in enumerate(shown.matrix()):
            assert math.fsum(row) == pytest.approx(1.0, abs=1e-12)
            assert row[i + 1 :] == [0.0] * (5 - i)
        assert shown.matrix() == [pytest.approx(row, abs=1e-12) for row in softmax_rows(call, 2)]


def test_without_a_graph_the_same_weights_are_found():
    model = GPT(vocabulary=3, width=4, heads=2, context=6, layers=2)
    with record_calls() as with_graph:
        model([1, 2, 0, 1])
    with no_grad(), record_calls() as without:
        model([1, 2, 0, 1])
    expected, found = viz.attention(with_graph, "abca").maps, viz.attention(without, "abca").maps
    assert len(found) == len(expected) == 4
    for a, b in zip(found, expected, strict=True):
        assert a.path == b.path
        assert a.rows == [pytest.approx(row, abs=1e-12) for row in b.rows]


def test_without_a_graph_a_head_that_computes_something_else_is_refused():
    class AttentionHead(Attention):
        def __init__(self):
            pass

        def forward(self, q, k, v):  # softmax without dividing by √size
            rows = [F.softmax([F.dot(query, key) for key in k[: i + 1]]) for i, query in enumerate(q)]
            return [F.weighted_sum(row, v[: i + 1]) for i, row in enumerate(rows)]

    rows = matrix([[1, 2], [3, -1]])
    with record_calls() as calls:
        AttentionHead()(rows, rows, rows)
    assert viz.attention(calls).maps[0].rows[1] != pytest.approx([0.5, 0.5])  # its own weights, from the graph
    with no_grad(), record_calls() as calls:
        AttentionHead()(rows, rows, rows)
    with pytest.raises(ValueError, match="has no graph to read weights from"):
        viz.attention(calls, "ab")


def test_the_chart_shows_the_weights_that_were_found(gpt):
    chart = viz.attention(gpt.calls, "ab cd\n")
    shown = titles(chart)
    assert len(shown) == 2 * 36
    cells = [
        f"{q} attends to {k}: {m.rows[i][j]!r}" if j <= i else f"{q} cannot see {k}: masked, exactly 0"
        for m in chart.maps
        for i, q in enumerate("ab␣cd⏎")
        for j, k in sorted(enumerate("ab␣cd⏎"), key=lambda pair: (pair[0] > i, pair[0]))
    ]
    assert shown == cells


def test_masked_cells_are_hatched():
    assert viz.attention([[1.0, 0.0], [0.5, 0.5]]).svg().count('stroke-linecap="round"') == 2  # a cell and the legend
    assert viz.attention([[1.0, 0.0], [0.5, 0.5]], causal=False).svg().count('stroke-linecap="round"') == 0


def test_heads_are_found_although_equal_characters_share_values():
    model = GPT(vocabulary=3, width=4, heads=2, context=6, layers=2)
    with record_calls() as calls:
        model([1, 1, 1, 2])
    assert [m.layer for m in viz.attention(calls, "aaab").maps] == [0, 0, 1, 1]


def test_a_head_called_by_itself_and_a_continuation():
    rng = random.Random(2)
    q, k, v = (matrix([[rng.gauss(0, 1) for _ in range(3)] for _ in range(4)]) for _ in range(3))
    with record_calls() as calls:
        AttentionHead()(q, k, v)
    (whole,) = viz.attention(calls).maps
    with record_calls() as calls:
        AttentionHead()(q[2:], k, v)
    chart = viz.attention(calls, "abcd")
    assert chart.maps[0].rows == whole.rows[2:]
    assert [line.split()[0] for line in str(chart).splitlines()[2:4]] == ["c", "d"]


def test_one_head_of_size_one_and_one_position():
    with record_calls() as calls:
        AttentionHead()(matrix([[2]]), matrix([[3]]), matrix([[5]]))
    assert viz.attention(calls, "a").maps[0].matrix() == [[1.0]]


@pytest.mark.parametrize("count", [3, 12, 13, 41])
def test_text_stays_inside(browser, tmp_path, count):
    rows = [[1 / (i + 1)] * (i + 1) for i in range(count)]
    check_words_fit(browser, viz.attention(rows, title=AWKWARD * 4), tmp_path)


def test_small_multiples_and_long_tokens_stay_inside(browser, tmp_path, gpt):
    tokens = ["a", AWKWARD, "a word that goes on and on and on and on", "\n", " ", "WWWWWW"]
    chart = viz.attention(gpt.calls, tokens, title=AWKWARD)
    assert AWKWARD in words(chart)
    check_words_fit(browser, chart, tmp_path)


def test_every_character_survives():
    alphabet = "\n !$&',-.3:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz{}|<>\"\\"
    shown = words(viz.attention([[1 / len(alphabet)] * len(alphabet)], alphabet))
    assert shown[: len(alphabet)] == ["⏎", "␣", *alphabet[2:]]


def test_the_page_chooses_layer_and_head(browser, tmp_path, run):
    found = PicturedRun.open(run)
    chart = viz.attention(found.called(found.tokens("to be")), "to be", title="Attention")
    path = tmp_path / "a.html"
    chart.save(path)
    browser.open(path.as_uri())
    assert browser.evaluate("document.querySelector('main text').textContent") == "layer 1, head 1"
    browser.evaluate("inputs[0][1].click(), inputs[1][1].click()")
    assert browser.evaluate("document.querySelector('main text').textContent") == "layer 2, head 2"
    shown = browser.evaluate("[...document.querySelectorAll('main g.node')].map(g => +g.dataset.value)")
    assert sorted(shown) == sorted(w for row in chart.maps[3].matrix() for w in row)
    assert browser.console == []
    assert len(browser.requests) == 1


@pytest.mark.axe
def test_the_page_is_accessible(browser, tmp_path, run):
    found = PicturedRun.open(run)
    viz.attention(found.called(found.tokens("to be")), "to be").save(tmp_path / "a.html")
    browser.open((tmp_path / "a.html").as_uri())
    check_accessible(browser)


def no_graph():
    with no_grad(), record_calls() as calls:
        GPT(vocabulary=3, width=4, heads=2, context=6, layers=1)([1, 2])
    return calls


def twice():
    model = GPT(vocabulary=3, width=4, heads=2, context=6, layers=1)
    with record_calls() as calls:
        model([1, 2])
        model([1, 2])
    return calls


def no_heads():
    with record_calls() as calls:
        pass
    return calls


@pytest.mark.parametrize(
    ("source", "options", "error", "message"),
    [
        (no_graph, {}, ValueError, r"h.0.attn.head has no graph to read weights from; record the call without no_grad"),
        (twice, {}, ValueError, "called for more than one sequence; record one call"),
        (no_heads, {}, ValueError, r"no AttentionHead was called; call the model inside record_calls\(\)"),
        (lambda: [[1.0]], {"tokens": "ab"}, ValueError, "got 2 tokens and 1 keys"),
        (lambda: [[0.5]], {}, ValueError, "must sum to 1; got 0.5: is the softmax over rows"),
        (lambda: [[1.5, -0.5]], {}, ValueError, "finite numbers of at least 0"),
        (lambda: [[1.0], [1.0]], {}, ValueError, "at least as many columns as rows; got 2 rows of 1"),
        (lambda: [[0.5, 0.5], [0.5, 0.5]], {"causal": True}, ValueError, "does not look ahead"),
        (lambda: 3, {}, TypeError, "got (the )?int"),
        (list, {}, TypeError, "got list without rows"),
    ],
)
def test_errors_of_charts_that_cannot_be_made(source, options, error, message):
    with pytest.raises(error, match=message):
        viz.attention(source(), **options)


def test_a_head_that_does_something_else_is_refused():
    class AttentionHead(Attention):  # named like a head, but more than a mixture of values
        pass

    with record_calls() as calls:
        AttentionHead(4, 2, random.Random(1))(matrix([[1, 2, 3, 4]]))
    with pytest.raises(ValueError, match="no graph to read weights from|does not mix"):
        viz.attention(calls)


def test_a_head_without_one_weight_per_key_is_refused():
    class AttentionHead(Attention):
        def __init__(self):
            pass

        def forward(self, q, k, v):  # a separate weight for every number
            return [[Value(0.1 * j) * x for j, x in enumerate(v[0])]]

    with record_calls() as calls:
        AttentionHead()(matrix([[1, 2]]), matrix([[1, 2]]), matrix([[1, 2]]))
    with pytest.raises(ValueError, match="does not weight its values by one number per key"):
        viz.attention(calls)


def test_the_command(run, tmp_path, capsys):
    out = tmp_path / "a.svg"
    assert main(["attention", str(run), "--text", "to be", "-o", str(out)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Attention after step 8\n\nlayer 1, head 1\n")
    assert "layer 2, head 2" in said
    assert out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--length", "7"], "--length must be at most 6, the context of this model; got 7"),
        (["--text", ""], "the text is empty"),
        (["--text", "Ω"], "is not in the model's alphabet"),
        (["-o", "a.gif"], "unknown format: 'a.gif'"),
    ],
)
def test_errors_of_the_command(run, arguments, message):
    assert message in refusal(main, "attention", str(run), *arguments)
