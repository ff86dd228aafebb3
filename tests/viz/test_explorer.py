"""The explorer, driven in a real browser: every number in it is the engine's, and everything can be reached."""

import base64
import json
import math
import os
import random
import re
import struct
import subprocess
import sys
import zlib
from array import array
from itertools import accumulate
from pathlib import Path

import pytest

import viz
from gpt.config import GPTConfig, preset
from gpt.inspection.loss_graph import recorded_loss
from gpt.model import GPT
from tests.commands import refusal
from tests.viz.browser import Browser
from tests.viz.charts import check_accessible
from tests.viz.drawn_examples import expression
from tinygrad_edu import Value, console, nn, record_calls
from tinygrad_edu import functional as F
from tinygrad_edu.engine import NO_GRADIENT_YET, maximum
from tinygrad_edu.errors import StaleGraphError
from tinygrad_edu.ops import CONSTANT
from viz import style
from viz.cli import main
from viz.errors import UnknownFormatError
from viz.expressions import compute
from viz.graph import regions
from viz.graph.build import build
from viz.pages import explorer_data
from viz.pages.explorer import explore

needs_chromium = pytest.mark.browser

TEXT = "First Citizen:\nBe"
ALPHABET = "\n !$&',-.3:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def opened(browser, tmp_path_factory):
    """Open a page, or one of its views, in a window of a laptop's size."""
    folder = tmp_path_factory.mktemp("pages")
    saved = {}

    def open_page(page, fragment="", *, width=1400, height=900, dark=False):
        screen(browser, width, height, dark=dark)
        if page not in saved:
            saved[page] = folder / f"{len(saved)}.html"
            page.save(saved[page])
        browser.open(f"{saved[page].as_uri()}{fragment}")
        browser.wait_for("document.documentElement.dataset.ready === 'yes'", 30)
        return browser

    return open_page


def screen(browser, width, height, *, dark=False):
    browser.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
    scheme = "dark" if dark else "light"
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])


@pytest.fixture(scope="module")
def micro():
    """Return the loss of the micro GPT on 16 characters, its calls, its graph, and its page."""
    model = GPT(GPTConfig(vocab_size=65, **preset("micro").model))
    loss, calls, length = recorded_loss(model, [ALPHABET.index(c) for c in TEXT])
    assert length == 16
    return loss, calls, build([loss], calls.names), explore(loss, calls=calls, tokens=TEXT[:16])


def click(browser, script):
    """Press and release the mouse in the middle of an element, which must be on top there."""
    x, y, hit = browser.evaluate(
        f"(() => {{ const e = {script}; e.scrollIntoView({{block: 'center', inline: 'center'}});"
        "const r = e.getBoundingClientRect(), x = (r.left + r.right) / 2, y = (r.top + r.bottom) / 2;"
        "const top = document.elementFromPoint(x, y); return [x, y, e.contains(top)]; })()"
    )
    assert hit, f"something covers {script}"
    for kind in ("mousePressed", "mouseReleased"):
        browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)


def follow(browser, script):
    """Click on an element that opens another view, and wait for that."""
    before = browser.evaluate("current")
    click(browser, script)
    browser.wait_for(f"current !== {json.dumps(before)}")


def box(words):
    """Return the script for the link of the box whose text begins like this."""
    return (
        "[...document.querySelectorAll('#drawing a.open')].find(a => [...a.querySelectorAll('.tab, .title')]"
        f".map(e => e.textContent).join(' ').trim().startsWith({json.dumps(words)}))"
    )


def settled(browser, address):
    browser.wait_for(f"current === {json.dumps(address)}")


def numbers(browser):
    """Return data and gradient that the view of one value shows, with every digit."""
    return [float(x) for x in browser.evaluate("[$('data').textContent, $('grad').textContent]")]


def array_of(browser, name):
    """Return a Float64Array of the page, bit for bit."""
    text = browser.evaluate(
        f"(() => {{ const b = new Uint8Array({name}.buffer); let s = ''; for (let i = 0; i < b.length; i += 8192)"
        "s += String.fromCharCode(...b.subarray(i, i + 8192)); return btoa(s); })()"
    )
    return array("d", base64.b64decode(text))


def check_engine(browser, loss, whole):
    """Check that all data and gradients of the page are the engine's, bit for bit."""
    loss.backward()
    data, grad = array_of(browser, "DATA"), array_of(browser, "GRAD")
    asked = [node for node, value in enumerate(whole.values) if value.op is not CONSTANT]
    bits = struct.Struct("d").pack
    assert len(data) == len(whole)
    assert all(bits(data[node]) == bits(value.data) for node, value in enumerate(whole.values))
    assert [node for node in asked if bits(grad[node]) != bits(whole.values[node].grad)] == []


@needs_chromium
def test_every_number_and_gradient_of_a_gpt_is_the_engine_s_bit_for_bit(opened, micro):
    loss, _, whole, page = micro
    browser = opened(page)
    for value in whole.values:
        value.zero_grad()
    check_engine(browser, loss, whole)
    assert browser.console == []
    assert len(browser.requests) == 1


@needs_chromium
def test_every_operation_of_the_table(opened):
    x, w = Value(0.7, "x"), Value(-1.3, "w")
    shift = maximum(x, w, 0.3, x * w).detach()
    loss = (
        (x * w).sigmoid() * (x**2 + 1.0).log() - (w * w + 2.0).sqrt() / (x * x + 0.5) + 0.1**x + x**w.exp()
        + (x - shift).exp() + (w + 1.0).relu() + (x * w).gelu() + abs(w) + x.sin() * w.cos() + (-x).tanh()
        + viz.expressions.compute("min(a, b)", {"a": 1, "b": 2})
    )  # fmt: skip
    browser = opened(explore(loss))
    check_engine(browser, loss, build([loss]))


@needs_chromium
@pytest.mark.parametrize("make", [expression, lambda: Value(3.0, "x"), lambda: (lambda x: x * x * x)(Value(-2.0))])
def test_small_graphs(opened, make):
    loss = make()
    whole = build([loss])
    for value in whole.values:
        value.zero_grad()
    browser = opened(explore(loss))
    check_engine(browser, loss, whole)
    assert browser.console == []


@needs_chromium
def test_what_is_not_finite_is_as_in_the_engine(opened):
    x = Value(800.0, "x")
    loss = (x.exp() * 0.0 + (x - x) * x.exp()) * Value(2.0)
    whole = build([loss])
    browser = opened(explore(loss))
    loss.backward()
    assert math.isnan(loss.data)
    for name, wanted in (("DATA", [v.data for v in whole.values]), ("GRAD", [v.grad for v in whole.values])):
        found = array_of(browser, name)
        for node, value in enumerate(whole.values):
            if value.op is not CONSTANT:
                assert found[node] == wanted[node] or (math.isnan(found[node]) and math.isnan(wanted[node]))
    assert browser.console == []


@needs_chromium
def test_gradients_that_are_not_computed_are_dashes(opened):
    x, y = Value(2.0, "x"), Value(3.0, "y")
    loss = y * x.detach()
    loss.backward()
    assert x.grad is NO_GRADIENT_YET
    browser = opened(explore(loss), "#name=x")
    assert browser.evaluate("$('grad').textContent") == "–"


# --- navigation -------------------------------------------------------------------------------------------------------


def multiplication(calls, whole, head, score, term):
    """Return the node of one multiplication: a product of a score q · k in a head, in the order of computation."""
    parts = regions.find(whole, calls)
    heads = [n for n, r in enumerate(parts.tree) if r.call is not None and r.call.kind == "AttentionHead"]
    scaled = {
        x for inputs in whole.inputs if len(inputs) == 2 and whole.values[inputs[1]].op is CONSTANT for x in inputs
    }
    dots = {}
    for node, home in enumerate(parts.home):
        if home >= 0 and parts.tree[home].kind == "dot" and parts.tree[home].parent == heads[head]:
            dots.setdefault(home, []).append(node)
    scores = [nodes for nodes in dots.values() if scaled & set(nodes)]
    return [node for node in scores[score] if whole.values[node].op.name == "mul"][term]


@needs_chromium
def test_a_multiplication_in_a_head_is_at_most_six_clicks_away(opened, micro):
    _, calls, whole, page = micro
    target = multiplication(calls, whole, head=2, score=20, term=3)
    browser = opened(page)
    clicks = 0
    for words in ("Transformer transformer", "Block h.0", "CausalSelfAttention attn", "AttentionHead head 3"):
        if browser.evaluate(f"{box(words)} !== undefined"):
            follow(browser, box(words))
            clicks += 1
    assert browser.evaluate("current") == "#at=transformer.h.0.attn.head:3"
    field = f"{box('dot 4 ×136')}.parentElement.querySelector('input')"
    click(browser, field)
    browser.evaluate("document.activeElement.select()")
    browser.type("21")
    browser.key("Enter", "\r")
    browser.wait_for("current.includes('/dot:')")
    assert browser.evaluate("document.querySelectorAll('#words tbody tr').length") == 4
    click(browser, "document.querySelector('#words tbody tr:nth-child(4) td:nth-child(8) a')")
    settled(browser, f"#value={target}")
    clicks += 2
    assert clicks <= 6
    value = whole.values[target]
    assert numbers(browser) == [value.data, value.grad]
    shown = browser.evaluate("['data', 'grad'].map(s => document.querySelector(`.box.here b.${s}`).textContent)")
    assert shown == [style.number(value.data), style.number(value.grad)]
    a, b = value.inputs
    words = browser.evaluate("$('words').textContent")
    for one, other in ((a, b), (b, a)):  # the chain rule, with the numbers
        terms = [style.number(x) for x in (value.grad, other.data, value.grad * other.data)]
        assert "{} · {} = {}".format(*terms) in words
        assert f"∂loss/∂v{whole.index[one]} += ∂loss/∂v{target} · ∂v{target}/∂v{whole.index[one]}" in words
    assert browser.console == []
    assert len(browser.requests) == 1


@needs_chromium
def test_a_parameter_is_found_by_its_name(opened, micro):
    _, calls, whole, page = micro
    browser = opened(page)
    name = "transformer.h.0.attn.c_attn.weight[3][5]"
    (value,) = (v for v, n in calls.names.items() if n == name)
    browser.key("/", "/")
    browser.type("c_attn.weight[3, 5]")
    assert browser.evaluate("[...$('found').children].map(e => e.textContent)") == [name]
    browser.key("Enter", "\r")
    settled(browser, f"#name={name}")
    assert numbers(browser) == [value.data, value.grad]
    assert browser.evaluate("$('title').textContent") == f"leaf: {name}"
    for text in ("transformer.h.0.attn.c_attn.weight[3,5]", name):
        assert browser.evaluate(f"search({json.dumps(text)})[0]") == [name, "", ~whole.index[value]]
    unused = next(n for v, n in calls.names.items() if v not in whole.index)
    assert browser.evaluate(f"search({json.dumps(unused)})[0]") == [unused, "this loss does not depend on it", None]
    assert browser.evaluate("search('nothing like this')") == []
    assert browser.evaluate("search('c_attn.weight[3,99]')") == []
    assert ["transformer.h.0.mlp", "FeedForward ×16"] in [hit[:2] for hit in browser.evaluate("search('mlp')")]


@needs_chromium
def test_a_table_of_parameters_is_a_map_of_its_numbers_and_gradients(opened, micro):
    _, calls, whole, page = micro
    values = {name: value for value, name in calls.names.items()}
    browser = opened(page)
    follow(browser, box("Transformer transformer"))
    follow(browser, box("wte.weight"))
    assert browser.evaluate("current") == "#table=transformer.wte.weight"
    assert "depends on 208 of them" in browser.evaluate("$('words').textContent")
    used = {n: v for n, v in values.items() if n.startswith("transformer.wte.weight") and v in whole.index}
    largest = max(used, key=lambda name: abs(used[name].grad))
    assert browser.evaluate("document.querySelector('#words li a').textContent") == largest.removeprefix(
        "transformer.wte."
    )
    # the colors of the cells: blue above zero, vermillion below, by size
    cells = browser.evaluate(
        "[...document.querySelectorAll('canvas')].map(c => {"
        "const all = c.getContext('2d').getImageData(0, 0, c.width, c.height).data, cell = c.width / 16;"
        "return Array.from({length: 65 * 16}, (_, k) => {"
        "const at = 4 * (Math.floor((Math.floor(k / 16) + .5) * cell) * c.width + Math.floor((k % 16 + .5) * cell));"
        "return [...all.slice(at, at + 3)]; }); })"
    )
    for map_, number in zip(cells, (lambda v: v.data, lambda v: v.grad), strict=True):
        most = max(abs(number(v)) for v in used.values())
        for name, value in used.items():
            i, j = map(int, name[len("transformer.wte.weight[") : -1].split("]["))
            red, _, blue = map_[16 * i + j]
            if abs(number(value)) > most / 10:
                assert (red < blue) == (number(value) > 0)
            if abs(number(value)) == most:
                assert [red, blue] == ([0, 0xB2] if number(value) > 0 else [0xD5, 0])
    assert browser.evaluate("search('transformer.wte.weight')[0].slice(0, 2)") == [
        "transformer.wte.weight", "65×16 parameters",
    ]  # fmt: skip
    # by clicking a cell, and by typing
    name = "transformer.wte.weight[18][9]"
    browser.evaluate("document.querySelector('canvas').scrollIntoView()")
    x, y = browser.evaluate(
        "(() => { const r = document.querySelector('canvas').getBoundingClientRect();"
        "return [r.left + 9.5 * r.width / 16, r.top + 18.5 * r.height / 65]; })()"
    )
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    shown = [style.number(n) for n in (values[name].data, values[name].grad)]
    assert browser.evaluate("$('pointed').textContent") == "{}: data {}, grad {}".format(name, *shown)
    for kind in ("mousePressed", "mouseReleased"):
        browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
    settled(browser, f"#name={name}")
    assert numbers(browser) == [values[name].data, values[name].grad]
    assert browser.evaluate("[...document.querySelectorAll('#crumbs li')].map(e => e.textContent)") == [
        "loss", "GPT", "transformer", "wte.weight", "weight[18][9]",
    ]  # fmt: skip
    browser.evaluate("visit('#table=transformer.wte.weight')")
    browser.evaluate("document.querySelectorAll('.indices input').forEach((e, k) => { e.value = [18, 9][k]; })")
    click(browser, "document.querySelector('.indices button')")
    settled(browser, f"#name={name}")
    assert browser.console == []


#: The rows of the table of terms: of each cell its words, or where there is a number, that with every digit.
TERMS = """[...document.querySelectorAll('table.terms tbody tr')].map(row => [...row.children].map(cell => {
  const full = cell.title || cell.querySelector('[title]')?.title;
  return full ? Number(full) : cell.textContent; }))"""


@needs_chromium
def test_a_long_dot_product_is_a_table_with_the_numbers_of_the_engine(opened, micro):
    _, calls, whole, page = micro
    parts = regions.explored([whole.values[whole.roots[0]]], calls)[1]
    layer = [n for n, r in enumerate(parts.tree) if r.call and r.call.path == "transformer.h.0.mlp.c_fc"][2]
    second = [n for n, r in enumerate(parts.tree) if r.parent == layer and r.kind == "dot"][1]
    inside = [whole.values[node] for node, home in enumerate(parts.home) if home == second]
    sums = [value for value in inside if value.op.name == "add"]
    products = [value for value in inside if value.op.name == "mul"]
    browser = opened(page, "#at=transformer.h.0.mlp.c_fc:3/dot:2")
    rows = browser.evaluate(TERMS)
    assert len(rows) == len(products) == 16
    assert browser.evaluate("document.querySelectorAll('.box').length") == 0
    for k, (row, product) in enumerate(zip(rows, products, strict=True)):
        weight, x = product.inputs
        names = [f"weight[1][{k}]", f"v{whole.index[x]}"]
        so_far = [sums[k - 1].data, sums[k - 1].grad] if k else ["", ""]
        assert [row[0], row[1], row[4]] == [str(k + 1), *names]
        assert row[2:4] + row[5:] == [weight.data, weight.grad, x.data, x.grad, product.data, product.grad, *so_far]
    assert rows[-1][-2] == math.fsum([]) + sums[-1].data
    for column, wanted in ((2, "#name=transformer.h.0.mlp.c_fc.weight[1][6]"), (10, f"#value={whole.index[sums[5]]}")):
        browser.evaluate("visit('#at=transformer.h.0.mlp.c_fc:3/dot:2')")
        follow(browser, f"document.querySelector('table.terms tbody tr:nth-child(7) td:nth-child({column}) a')")
        assert browser.evaluate("current") == wanted
    assert browser.console == []


@needs_chromium
def test_tables_of_sums_means_squares_and_biases(opened):
    xs = [Value(0.1 * i - 0.35, f"x{i}") for i in range(8)]
    w = [Value(0.3 - 0.2 * i, f"w{i}") for i in range(8)]
    bias = Value(0.25, "b")
    dot = bias
    for a, b in zip(w, xs, strict=True):
        dot = dot + a * b
    squares = sum(x * x for x in xs[:7])
    product = xs[1]
    for x in xs[2:]:
        product = product * x
    mean = F.mean([x.exp() for x in xs])
    loss = dot.tanh() + squares.exp() + product.tanh() + mean.tanh()
    loss.label = "loss"
    browser = opened(explore(loss))
    loss.backward()
    tables = {}
    for kind in ("dot", "squares", "product", "mean"):
        browser.evaluate(f"visit('#at=/{kind}:1')")
        heads = browser.evaluate("[...document.querySelectorAll('table.terms th')].map(e => e.textContent)")
        tables[kind] = heads, browser.evaluate(TERMS)
    heads, rows = tables["dot"]
    assert heads == ["no.", "left", "data", "grad", "right", "data", "grad", "product", "grad", "sum so far", "grad"]
    assert rows[0] == ["1", "b", "", "", "", "", "", 0.25, bias.grad, "", ""]
    assert rows[-1][:7] == ["9", "w7", w[7].data, w[7].grad, "x7", xs[7].data, xs[7].grad]
    assert rows[-1][-2:] == [dot.data, dot.grad]
    heads, rows = tables["squares"]
    assert heads == ["no.", "number", "data", "grad", "square", "grad", "sum so far", "grad"]
    assert rows[3][1:5] == ["x3", xs[3].data, xs[3].grad, xs[3].data * xs[3].data]
    assert rows[-1][-2] == squares.data
    heads, rows = tables["product"]
    assert heads == ["no.", "factor", "data", "grad", "product so far", "grad"]
    assert [row[1] for row in rows] == [f"x{i}" for i in range(1, 8)]
    assert rows[-1][-2:] == [product.data, product.grad]
    heads, rows = tables["mean"]
    assert [row[2] for row in rows[:8]] == [x.data for x in (x.exp() for x in xs)]
    assert rows[8] == ["the sum ÷ 8", "", mean.data, mean.grad]
    assert browser.console == []


@needs_chromium
def test_escape_and_the_browser_s_back_close_what_was_opened(opened, micro):
    browser = opened(micro[3], "#at=transformer.h.0.attn.head:2/dot:5")
    trail = [browser.evaluate("[...document.querySelectorAll('#crumbs li')].map(e => e.textContent)")]
    assert trail[0] == ["loss", "GPT", "transformer", "h.0", "attn", "head 2", "dot 5"]
    for address in ("#at=transformer.h.0.attn.head:2", "#at=transformer.h.0.attn", "#at=transformer.h.0"):
        browser.key("Escape")
        settled(browser, address)
    browser.evaluate("history.back()")
    settled(browser, "#at=transformer.h.0.attn")
    browser.key("Escape")
    for _ in range(3):
        browser.key("Escape")
    settled(browser, "")
    browser.key("Escape")
    assert browser.evaluate("$('crumbs').textContent") == "loss"
    assert browser.console == []


@needs_chromium
def test_siblings_and_keys(opened, micro):
    browser = opened(micro[3], "#at=transformer.h.0.attn.head:2")
    assert browser.evaluate("$('turn').textContent") == "2 of 4"
    browser.key("PageDown")
    settled(browser, "#at=transformer.h.0.attn.head:3")
    browser.key("PageUp")
    browser.key("PageUp")
    settled(browser, "#at=transformer.h.0.attn.head:1")
    browser.key("ArrowDown")  # no box is selected: this scrolls
    assert browser.evaluate("document.activeElement.tagName") == "BODY"
    browser.evaluate(f"{box('softmax')}.focus()")
    browser.key("ArrowLeft")
    assert browser.evaluate("document.activeElement.textContent").startswith("× 0.5")
    browser.key("Enter", "\r")
    browser.wait_for("state.member < 0")
    # the characters that were read are in the lists
    browser.evaluate("visit('#at=transformer.h.0')")
    settled(browser, "#at=transformer.h.0")
    words = f"[...{box('FeedForward')}.parentElement.querySelectorAll('option')].map(e => e.textContent)"
    assert browser.evaluate(words) == [f"{i + 1} “{style.visible(c)}”" for i, c in enumerate(TEXT[:16])]


@needs_chromium
def test_every_view_has_an_address_that_opens_it_again(opened, micro):
    browser = opened(micro[3])
    look = "[$('title').textContent, $('drawing')?.innerText, $('words').innerText]"
    rng = random.Random(1)
    seen = {}
    address = ""
    for _ in range(15):
        links = "[...document.querySelectorAll('#drawing a[href], #crumbs li + li a')].map(a => a.getAttribute('href'))"
        address = rng.choice(browser.evaluate(links) or ["#at=transformer"])
        browser.evaluate(f"visit({json.dumps(address)})")
        settled(browser, address)
        assert browser.evaluate("state.view.boxes.length") <= 60  # a table has none
        seen[address] = browser.evaluate(look)
    for address in list(seen)[::6]:
        assert opened(micro[3], address).evaluate(look) == seen[address]
    browser = opened(micro[3], "#at=nothing&path=-4")
    assert browser.evaluate("[$('title').textContent, $('spoken').textContent]") == [
        "loss", "there is no nothing here",
    ]  # fmt: skip
    for address in (
        "#at=",
        "#value=999999999",
        "#name=%",
        "#name=no",
        "#at=transformer.h.0:7/dot:x",
        "#x",
        "#table=no",
    ):
        assert opened(micro[3], address).evaluate("$('title').textContent") == "loss", address
        assert browser.console == []


@needs_chromium
def test_the_strongest_path_is_shown_everywhere(opened, micro):
    _, calls, whole, page = micro
    (value,) = (v for v, n in calls.names.items() if n == "transformer.h.0.mlp.c_fc.weight[7][2]")
    users = {}
    for node, inputs in enumerate(whole.inputs):
        for operand, x in enumerate(inputs):
            users.setdefault(x, []).append((node, operand))
    path = [whole.index[value]]
    while path[-1] != whole.roots[0]:
        flows = [((whole.contributions(u) or (0.0,) * 99)[k], u) for u, k in users[path[-1]]]
        path.append(max(flows, key=lambda flow: abs(flow[0]))[1])
    browser = opened(page, "#name=transformer.h.0.mlp.c_fc.weight[7][2]")
    assert browser.evaluate(f"strongestPath({path[0]})") == path
    click(browser, "$('toggle-path')")
    settled(browser, f"#name=transformer.h.0.mlp.c_fc.weight[7][2]&path={path[0]}")
    for address, marked in (
        ("", {"transformer", "lm_head ×16", "×16", "mean 16"}),
        ("at=transformer.h.0", {"mlp.c_fc.weight", "mlp ×16", "×256", "ln_f"}),
    ):
        browser.evaluate(f"visit('#{address}{'&' if address else ''}path={path[0]}')")
        browser.wait_for(f"current.startsWith('#{address or 'path'}')")
        titles = browser.evaluate(
            "[...document.querySelectorAll('.on-path')].map(e => (e.querySelector('.title').textContent"
            " || e.querySelector('.tab').textContent))"
        )
        assert set(titles) == marked
        assert browser.evaluate("document.querySelectorAll('.halo').length") >= len(marked) - 1
    browser.key("p", "p")
    settled(browser, "#at=transformer.h.0")
    assert browser.evaluate("document.querySelectorAll('.on-path, .halo').length") == 0


# --- the picture ------------------------------------------------------------------------------------------------------


@needs_chromium
def test_a_click_on_the_path_stays_on_it_in_a_box_of_many(opened, micro):
    _, calls, whole, page = micro
    (value,) = (v for v, n in calls.names.items() if n == "transformer.h.0.mlp.c_fc.weight[7][2]")
    start = whole.index[value]
    browser = opened(page, f"#at=transformer.h.0&path={start}")
    way = browser.evaluate(f"strongestPath({start})")
    follow(browser, box("FeedForward mlp"))
    assert browser.evaluate("current").endswith(f"&path={start}")
    assert browser.evaluate("document.querySelectorAll('.box.on-path').length") >= 2
    inside = browser.evaluate("[...HOME.keys()].filter(i => !isLeaf(i) && holds(state.member, i))")
    assert set(way) & set(inside)  # of sixteen, it opened the one that the path leads through


@needs_chromium
@pytest.mark.parametrize("size", [(1400, 900), (1920, 1080)])
def test_lines_go_on_where_they_cross_the_border_of_a_frame(opened, micro, size):
    browser = opened(micro[3], width=size[0], height=size[1])
    ends = browser.evaluate("""[...document.querySelectorAll('#drawing path.line')].flatMap(path => {
      const n = path.getAttribute('d').match(/-?[\\d.]+/g).map(Number); return [n.slice(0, 2), n.slice(-2)]; })""")
    frames = browser.evaluate("""[...document.querySelectorAll('.frame')].map(f =>
      [f.offsetLeft, f.offsetTop, f.offsetWidth, f.offsetHeight])""")
    assert frames
    checked = 0
    for left, top, width, height in frames:
        for k, (x, y) in enumerate(ends):
            if left < x < left + width - 1 and top < y < top + height - 1:
                continue  # not at the border
            if not (left - 2 <= x <= left + width + 2 and top - 2 <= y <= top + height + 2):
                continue
            near = [math.dist((x, y), other) for m, other in enumerate(ends) if m != k]
            assert min(near) < 2.0, (x, y)
            checked += 1
    assert checked >= 2


@needs_chromium
def test_the_gradient_s_heads_are_where_it_flows_to_and_the_data_s_where_they_go(opened, micro):
    browser = opened(micro[3], "#name=transformer.wpe.weight[1][2]")
    left, right = browser.evaluate("SHOWN.view.boxes.map(b => [b.x, b.y, b.width, b.height])")[:2]
    assert left[0] < right[0]
    tips = dict(
        browser.evaluate("""[...document.querySelectorAll('#drawing path.tip')].map(tip =>
        [tip.classList[1], tip.getAttribute('d').match(/-?[\\d.]+/g).map(Number).slice(0, 2)])""")
    )
    assert tips.pop("data")[0] == pytest.approx(right[0], abs=1)
    ((x, _),) = tips.values()
    assert x == pytest.approx(left[0] + left[2], abs=1)


@needs_chromium
def test_text_is_large_enough_and_words_on_lines_hide_no_box_and_no_other_words(opened, micro):
    for address in ("", "#at=transformer.h.0", "#at=transformer.h.0.attn", "#at=transformer.h.0.attn.head:2"):
        browser = opened(micro[3], address)
        assert browser.evaluate("SHOWN.zoom") * 16 >= 14
        words = browser.evaluate(
            "[...document.querySelectorAll('#drawing svg text')].map(t => t.getBBox())"
            ".map(b => [b.x, b.y + 3, b.x + b.width, b.y + b.height - 3])"
        )
        boxes = browser.evaluate("SHOWN.view.boxes.map(b => [b.x, b.y, b.x + b.width, b.y + b.height])")
        for i, (left, top, right, bottom) in enumerate(words):
            for x1, y1, x2, y2 in [*boxes, *words[:i]]:
                assert not (left < x2 - 1 and x1 < right - 1 and top < y2 - 1 and y1 < bottom - 1), address


@needs_chromium
def test_what_scrolls_is_opaque_so_that_it_is_only_moved_and_not_drawn_again(opened, micro):
    opaque = "getComputedStyle($('picture')).backgroundColor"
    assert opened(micro[3]).evaluate(opaque) == "rgb(255, 255, 255)"


@needs_chromium
def test_the_wheel_zooms_about_the_pointer_and_the_overview_appears(opened, micro):
    browser = opened(micro[3], "#at=transformer.h.0.attn", width=1280, height=720)
    first = browser.evaluate("SHOWN.zoom")
    browser.evaluate("zoomTo(2)")  # so that there is something to scroll in each direction
    here = (
        "(() => { const r = document.querySelectorAll('.box')[2].getBoundingClientRect(); return [r.left, r.top]; })()"
    )
    was = browser.evaluate(here)
    for _ in range(4):
        browser.call("Input.dispatchMouseEvent", type="mouseWheel", x=600, y=350, deltaX=0, deltaY=-40, modifiers=2)
    browser.wait_for("SHOWN.zoom > 3")
    grown = browser.evaluate("SHOWN.zoom") / 2
    for at, before, now in zip((600, 350), was, browser.evaluate(here), strict=True):  # the point there has not moved
        assert now == pytest.approx(at + (before - at) * grown, abs=6)
    assert browser.evaluate("$('map').getBoundingClientRect().width") > 50
    seen = "document.querySelector('#map .seen').getAttribute('x')"
    was = browser.evaluate(seen)
    browser.evaluate("document.querySelector('#picture').scrollLeft += 200")
    browser.wait_for(f"{seen} !== {json.dumps(was)}")
    browser.key("0", "0")
    browser.wait_for(f"Math.abs(SHOWN.zoom - {first}) < 1e-9")
    assert browser.console == []


@needs_chromium
def test_dragging_moves_the_picture_and_opens_nothing(opened, micro):
    browser = opened(micro[3], "#at=transformer.h.0", width=700, height=500)
    browser.evaluate("zoomTo(2)")
    x, y = browser.evaluate(
        "(() => { const r = $('picture').getBoundingClientRect();"
        "return [(r.left + r.right) / 2, (Math.max(0, r.top) + innerHeight) / 2]; })()"
    )
    was = browser.evaluate("[$('picture').scrollLeft, scrollY, current]")
    browser.call("Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, button="left", clickCount=1)
    for k in range(1, 5):
        browser.call(
            "Input.dispatchMouseEvent", type="mouseMoved", x=x - 20 * k, y=y - 15 * k, button="left", buttons=1
        )
    browser.call(
        "Input.dispatchMouseEvent", type="mouseReleased", x=x - 80, y=y - 60, button="left", clickCount=1
    )  # fmt: skip
    now = browser.evaluate("[$('picture').scrollLeft, scrollY, current]")
    assert now[0] - was[0] == pytest.approx(80, abs=2)
    assert now[1] - was[1] == pytest.approx(60, abs=2)
    assert now[2] == was[2]


@needs_chromium
def test_the_search_knows_operations_patterns_and_numbered_modules(opened, micro):
    _, _, whole, page = micro
    browser = opened(page)
    for text, op in (("exp", "exp"), ("×", "mul")):
        hits = browser.evaluate(f"search({json.dumps(text)})")
        nodes = [node for node, value in enumerate(whole.values) if value.op is not None and value.op.name == op]
        assert [f"operation, {len(nodes):,} of them", ~nodes[0]] in [hit[1:] for hit in hits]
    (softmax,) = [hit for hit in browser.evaluate("search('softmax')") if hit[0] == "softmax"]
    assert softmax[1].startswith("64 of them")  # 16 positions in 4 heads
    browser.key("/", "/")
    browser.type("head 2")
    browser.key("Enter", "\r")
    settled(browser, "#at=transformer.h.0.attn.head:2")


@needs_chromium
def test_the_legend_explains_every_line_that_is_drawn(opened, micro):
    browser = opened(micro[3], "#at=transformer.h.0")
    samples = set(browser.evaluate("[...document.querySelectorAll('#legend path')].flatMap(p => [...p.classList])"))
    drawn = set(browser.evaluate("[...document.querySelectorAll('#drawing path')].flatMap(p => [...p.classList])"))
    assert drawn <= samples | {"halo", "lit"}
    assert browser.evaluate("document.querySelector('#legend').offsetHeight") > 10
    browser.evaluate("visit('#table=transformer.wte.weight')")
    assert browser.evaluate("document.querySelector('#legend').offsetHeight") == 0


# --- the contents of boxes --------------------------------------------------------------------------------------------


@needs_chromium
def test_gradients_across_a_module_box_match_the_engine(opened, micro):
    _, calls, _, page = micro
    browser = opened(page, "#at=transformer.h.0")
    by_kind = {
        "CausalSelfAttention attn": "CausalSelfAttention",
        "FeedForward mlp": "FeedForward",
        "RMSNorm ln_2": "RMSNorm",
    }
    every = [call for outer in calls.calls for call in outer.walk()]
    for words, kind in by_kind.items():
        path = f"transformer.h.0.{words.split()[1]}"
        outputs = [v for call in every if call.kind == kind and call.path == path for v in call.outputs]
        norm, low, high = browser.evaluate(
            f"(() => {{ const e = {box(words)}; const b = state.view.boxes.find(b => b.element.contains(e));"
            "return [Math.sqrt(b.square), b.low, b.high]; })()"
        )
        assert norm == pytest.approx(math.hypot(*(v.grad for v in outputs)), rel=1e-12)
        assert [low, high] == [min(v.data for v in outputs), max(v.data for v in outputs)]
        shown = browser.evaluate(f"{box(words)}.querySelector('.grad b').textContent")
        assert shown == style.number(norm)
    # the gradients from the sixteen uses of a weight are summed, as in the chain rule
    weights = [v.grad for v, n in calls.names.items() if n.startswith("transformer.h.0.mlp.c_fc.weight")]
    flow = browser.evaluate(
        "(() => { const {boxes, edges} = state.view;"
        "const a = boxes.findIndex(b => face(b, 'region').title === 'mlp.c_fc.weight');"
        "const found = edges.filter(e => e.a === a); return [found.length, found[0].sources, found[0].count,"
        "Math.sqrt(found[0].square)]; })()"
    )
    assert flow == [1, 1024, 16 * 1024, pytest.approx(math.hypot(*weights), rel=1e-9)]
    # besides its contents, a block shows its inputs and its users
    outside = browser.evaluate("state.view.boxes.filter(b => b.outside).map(b => face(b, 'region').title)")
    assert outside == ["transformer", "ln_f"]
    assert "256 → 256 numbers" in browser.evaluate(f"{box('CausalSelfAttention')}.textContent")


#: Text outside its box, and boxes that overlap.
MEASURE = """(() => {
  const bad = [], boxes = [...document.querySelectorAll(".box")], rects = boxes.map(b => b.getBoundingClientRect());
  boxes.forEach((b, i) => {
    const o = rects[i];
    for (const e of b.querySelectorAll(".tab, .title, .note, b, .word, input, select")) {
      const r = e.getBoundingClientRect();
      const out = Math.max(o.left - r.left, r.right - o.right, o.top - r.top, r.bottom - o.bottom) > 1;
      if (r.width && (out || e.scrollWidth > e.clientWidth + 1 && e.clientWidth)) bad.push(`outside: ${e.textContent}`);
    }
    rects.slice(i + 1).forEach((a, k) => {
      const wide = Math.min(a.right, o.right) - Math.max(a.left, o.left);
      const high = Math.min(a.bottom, o.bottom) - Math.max(a.top, o.top);
      if (wide > 1 && high > 1) bad.push(`${b.textContent} on ${boxes[i + 1 + k].textContent}`);
    });
  });
  return bad; })()"""


@needs_chromium
def test_no_text_leaves_its_box_and_no_boxes_overlap(opened, micro):
    looks = [
        "", "#at=transformer.h.0", "#at=transformer.h.0.attn", "#at=transformer.h.0.attn.head:2",
        "#at=transformer.h.0.mlp:3",
        "#at=/cross-entropy:3", "#value=152592", "#name=transformer.h.0.attn.c_attn.weight[3][5]", "#at=/mean:1",
        "#at=transformer.h.0.ln_1:4", "#at=transformer.h.0.attn.head:2/dot:150",
        "#at=transformer.h.0.attn.head:2/softmax:9",
    ]  # fmt: skip
    for width, height in ((1400, 900), (390, 844), (1920, 1080)):
        browser = opened(micro[3], width=width, height=height)
        for address in looks:
            browser.evaluate(f"visit({json.dumps(address)})")
            assert browser.evaluate(MEASURE) == [], (address, width)
            assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth"), (address, width)
        assert browser.console == []


@needs_chromium
def test_any_character_survives_as_a_name(opened):
    names = [*ALPHABET, *'{}|<>&"\\', "</script><img src=x onerror=alert(1)>", "@META@ ${1} `", "\u2028", "a[1]b"]
    total = Value(0.0, "start")
    for name in names:
        total = total + Value(1.0, label=name)
    names = [console.visible(name) for name in names]
    total.label = "</title>"
    browser = opened(explore(total))
    shown = browser.evaluate("META.labels.map(([node, name]) => [name, nodeName(node)])")
    assert {name for name, _ in shown} >= set(names)
    for name in dict.fromkeys(names):
        node = browser.evaluate(f"META.labels.find(l => l[1] === {json.dumps(name)})[0]")
        address = browser.evaluate(f"address(~{node})")
        browser.evaluate(f"visit({json.dumps(address)})")
        settled(browser, address)
        assert browser.evaluate("$('title').textContent") == f"leaf: {style.visible(name)}"
        assert browser.evaluate("document.querySelector('.box.here .title').textContent") == style.short(
            style.visible(name)
        )
    assert browser.evaluate("document.querySelectorAll('img').length") == 0
    assert browser.evaluate("document.title.endsWith('</title>')")
    assert browser.console == []


@needs_chromium
@pytest.mark.parametrize("kind", ["chain", "leaves", "operations"])
def test_unusual_graphs_still_fit_into_a_view(opened, kind):
    rng = random.Random(2)
    if kind == "chain":
        x = Value(0.5, "x")
        for i in range(400):
            x = [x.tanh, x.exp, lambda v=x: v * 0.5, lambda v=x: v + v, lambda v=x: v - 1.0, x.sin][i % 6]()
    elif kind == "leaves":
        x = F.mean([Value(rng.random(), f"name {chr(97 + i % 26)}{chr(97 + i // 26)}") for i in range(300)])
    else:
        values = [Value(rng.uniform(0.5, 1.5), f"p{i}") for i in range(6)]
        for _ in range(300):
            a, b = rng.choice(values), rng.choice(values)
            values.append(rng.choice([a * b, a + b, a - b, a / (b * b + 1.0), a.tanh(), b.sigmoid()]))
        x = F.mean(values)
    browser = opened(explore(x))
    assert 1 <= browser.evaluate("state.view.boxes.length") <= 60
    check_engine(browser, x, build([x]))
    for _ in range(12):
        link = rng.choice(
            browser.evaluate("[...document.querySelectorAll('#drawing a[href]')].map(a => a.getAttribute('href'))")
        )
        browser.evaluate(f"visit({json.dumps(link)})")
        settled(browser, link)
        assert browser.evaluate("state.view.boxes.length") <= 60  # a table has none
    assert browser.console == []


@needs_chromium
def test_inputs_given_to_a_network_stand_outside_of_it(opened, mlp):
    browser = opened(explore(mlp.loss, calls=mlp.calls), "#at=MLP", width=700)
    outside = browser.evaluate("state.view.boxes.filter(b => b.outside).map(b => face(b, 'region').title)")
    assert {"x1", "x2"} <= set(outside)


@needs_chromium
def test_layers_that_share_a_parameter_have_one_name_for_it(opened):
    layer = nn.Linear(2, 2, rng=random.Random(0))
    with record_calls() as calls:
        loss = F.mean(layer(layer([Value(1.0), Value(2.0)])))
    browser = opened(explore(loss, calls=calls), "#name=weight[0][1]")
    loss.backward()
    assert numbers(browser) == [layer.weight[0][1].data, layer.weight[0][1].grad]


# --- appearance and accessibility -------------------------------------------------------------------------------------


@needs_chromium
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.axe
@pytest.mark.parametrize(
    "address",
    [
        "",
        "#at=transformer.h.0.attn.head:2",
        "#at=transformer.h.0.attn.head:2/dot:5",
        "#value=48424&path=48424",
        "#table=lm_head.weight",
    ],
)
def test_accessible(opened, micro, address, dark):
    browser = opened(micro[3], address, dark=dark)
    background = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(22, 24, 27)" if dark else "rgb(255, 255, 255)")
    browser.evaluate("$('query').value = 'attn'; suggest()")
    check_accessible(browser)


@needs_chromium
def test_the_projector_has_larger_letters(opened, micro):
    browser = opened(micro[3], "#value=48424")
    before = browser.evaluate("document.querySelector('.box').getBoundingClientRect().height")
    browser.evaluate("$('theme').value = 'beamer'; $('theme').onchange({ target: $('theme') })")
    assert browser.evaluate("document.querySelector('.box').getBoundingClientRect().height") > before


@needs_chromium
@pytest.mark.axe
def test_the_projector_s_colors_are_accessible(opened, micro):
    browser = opened(micro[3], "#value=48424")
    browser.evaluate("$('theme').value = 'beamer'; $('theme').onchange({ target: $('theme') })")
    check_accessible(browser)


@needs_chromium
def test_in_the_frame_of_a_notebook(opened, browser, tmp_path):
    page = explore(expression())
    path = tmp_path / "notebook.html"
    path.write_text(f"<!doctype html><meta charset='utf-8'><title>n</title>{page._repr_html_()}", encoding="utf-8")
    screen(browser, 1400, 900)
    browser.open(path.as_uri())
    inside = "document.querySelector('iframe').contentDocument"
    browser.wait_for(f"{inside}?.documentElement.dataset.ready === 'yes'")
    browser.evaluate(f"[...{inside}.querySelectorAll('a.open')].find(a => a.textContent.startsWith('×e')).click()")
    browser.wait_for(f"{inside}.getElementById('title').textContent === '×: e'")
    assert float(browser.evaluate(f"{inside}.getElementById('grad').textContent")) == -2.0
    assert browser.evaluate("location.hash") == ""


# --- without a browser ------------------------------------------------------------------------------------------------


def unpacked(packed: str, count: int) -> tuple[int, ...]:
    planes = zlib.decompress(base64.b64decode(packed))
    return struct.unpack(f"<{count}i", bytes(planes[k * count + i] for i in range(count) for k in range(4)))


def test_names_are_parsed_once_per_row(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[str] = []
    row = explorer_data._row
    monkeypatch.setattr(explorer_data, "_row", lambda start, tables: (rows.append(start), row(start, tables))[1])
    layer = nn.Linear(5, 3)
    with record_calls() as calls:
        loss = F.mean(layer([Value(1.0, label=f"x{i}") for i in range(5)]))
    graph = build([loss], calls.names)
    packed, tables, others = explorer_data.names(graph)
    assert tables == [("bias", [3]), ("weight", [3, 5])]
    assert sorted(others.values()) == [f"x{i}" for i in range(5)]
    assert sorted(rows) == ["", "bias", "weight[0]", "weight[1]", "weight[2]"]
    assert [graph.names[node] for node in accumulate(unpacked(packed["tables"], 18))] == [
        *(f"bias[{i}]" for i in range(3)),
        *(f"weight[{i}][{j}]" for i in range(3) for j in range(5)),
    ]


@pytest.mark.parametrize("label", ["w[1", "w[1]x", "w[ 1]", "w[+1]", "w[x]", "[1]", "w[0]]", "a]b[0]"])
def test_a_label_that_only_looks_like_an_entry_is_a_name(label: str) -> None:
    graph = build([Value(1.0, label="w[0]") * Value(2.0, label="w[1]") * Value(3.0, label=label)])
    *_, others = explorer_data.names(graph)
    assert label in others.values()


def test_the_page_is_one_small_file_without_addresses(micro, tmp_path):
    page = micro[3]
    assert page.save(tmp_path / "x.html") == str(tmp_path / "x.html")
    text = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert len(text) < 400_000  # for 152,593 values
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)\S+", text) == []
    assert "default-src 'none'" in text
    with pytest.raises(UnknownFormatError, match=r"must end in one of \.html, \.htm$"):
        page.save(tmp_path / "x.svg")


def test_the_same_program_gives_the_same_bytes_in_every_process():
    code = """
import hashlib
from tests.viz.drawn_examples import gpt_loss
from viz import explore
drawn = gpt_loss()
print(hashlib.sha256(explore(drawn.loss, calls=drawn.calls).html.encode()).hexdigest())
"""
    folder = str(Path(__file__).parents[2])
    found = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join([folder, *sys.path])},
        ).stdout
        for seed in ("0", "1")
    }  # fmt: skip
    assert len(found) == 1


def test_differences_can_be_summed_up_again():
    numbers = [3, 3, 1, 900_000, -4]
    assert unpacked(explorer_data.pack(array("i", numbers)), len(numbers)) == tuple(numbers)


def test_gradients_of_other_results_are_neither_used_nor_changed():
    loss = expression(backward=False)
    before = [value.grad for value in build([loss]).values]
    first = explore(loss).html
    assert [value.grad for value in build([loss]).values] == before
    loss.backward()
    loss.backward()
    assert explore(loss).html == first


def test_errors_of_graphs_that_cannot_be_explored():
    with pytest.raises(TypeError, match="expected the one Value to explain, such as a loss; got float with 0"):
        explore(3.0)
    with pytest.raises(TypeError, match="got list with 2"):
        explore([Value(1.0), Value(2.0)])
    a = Value(2.0, "a")
    b = a * a
    b.label = "b"
    loss = b.exp()
    a.data = 3.0
    with pytest.raises(StaleGraphError, match=r"b is 4, but × of a = 3 and a = 3 is 9, and 1 more"):
        explore(loss)
    a.data = 2.0
    b.data = 5.0
    with pytest.raises(StaleGraphError):
        explore(loss)


def test_the_command_explores_an_expression(tmp_path, capsys):
    path = tmp_path / "L.html"
    assert main(["explore", "L = (a*b + c) * f", "a=2", "b=-3", "c=10", "f=-2", "-o", str(path)]) == 0
    assert capsys.readouterr().out == f"Wrote {path}\n"
    wanted = explore(compute("L = (a*b + c) * f", {"a": 2, "b": -3, "c": 10, "f": -2}, label_parts=True))
    assert path.read_text(encoding="utf-8") == wanted.html


def test_the_command_explores_a_run(run, tmp_path, capsys):
    path = tmp_path / "loss.html"
    assert main(["explore", str(run), "--text", "to be or", "--length", "4", "-o", str(path)]) == 0
    out = capsys.readouterr().out
    assert re.fullmatch(rf"the loss of step 8 on 4 characters: \d\.\d{{4}}\nWrote {re.escape(str(path))}\n", out)
    assert '"tokens":["t","o"," ","b"]' in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["a*"], "column 3: this cannot be read: invalid syntax\n  a*\n    ^\n"),
        (["a*b", "a=1"], "no number for b; write for example: b=1"),
        (["a*a", "a=1", "--text", "x"], "--text, --length and --best are for the folder of a run; 'a*a' is none"),
        (["RUN", "a=1"], "takes no numbers; leave 'a=1' out"),
        (["RUN", "--text", ""], "the text is empty"),
        (["RUN", "--length", "0"], "a loss needs a character and the one that follows it"),
        (["RUN", "--text", "Ω"], "the character 'Ω' (U+03A9) at position 0, line 1, is not in the model's alphabet"),
        (["a*a", "a=1", "-o", "x.svg"], "unknown format: 'x.svg' must end in one of .html, .htm\n"),
        (["a*a", "a=1", "-o", "no/x.html"], "cannot write or read no/x.html: No such file or directory\n"),
    ],
)
def test_errors_of_the_command(run, tmp_path, monkeypatch, words, reason):
    monkeypatch.chdir(tmp_path)
    assert reason in refusal(main, "explore", *(str(run) if word == "RUN" else word for word in words))
    assert list(tmp_path.iterdir()) == []
