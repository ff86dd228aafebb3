"""Every character survives as a label in DOT, SVG and HTML, and no text leaves its box."""

import html
import math
import re
from xml.etree import ElementTree

import pytest

import viz
from tests.viz.drawn_examples import Drawn, expression, mlp_loss
from tests.viz.test_draw import SHAKESPEARE, words_of
from tinygrad_edu import Value, console, nn, record_calls
from viz import style
from viz.rendering import graphviz_program

AWKWARD = '{}|<>&"\\'
LABELS = [
    *dict.fromkeys(SHAKESPEARE + AWKWARD),
    '{ } | < > & " \\',
    "\\N \\G \\l",
    "&lt;b&gt;",
    "a<b>c</b>",
    "]]>",
    "<!--",
    "漢字",
    "…",
]


PROGRAMS = [pytest.param("dot", marks=pytest.mark.graphviz), pytest.param("graphviz-pure", marks=pytest.mark.pure)]


@pytest.fixture(params=PROGRAMS)
def program(request, monkeypatch):
    """Use each layout program alone."""
    found = [p for p in graphviz_program._installed() if p.path.rpartition("/")[2] == request.param]
    monkeypatch.setattr(graphviz_program, "_installed", lambda: iter(found))
    return request.param


def test_all_65_characters_are_covered():
    assert len(set(SHAKESPEARE)) == 65
    assert not set(AWKWARD) & set(SHAKESPEARE) - {"&"}


@pytest.mark.parametrize("look", ["box", "micrograd"])
def test_every_label_survives_in_dot_svg_and_html(program, look, tmp_path):
    drawing = viz.draw([Value(1.0, label=label) for label in LABELS], style=look, budget=200)
    shown = [style.visible(label) for label in LABELS]
    words = words_of(drawing.source)
    assert [label for label in shown if label not in words] == []
    svg = drawing.save(tmp_path / "labels.svg")
    texts = [element.text for element in ElementTree.parse(svg).iter("{http://www.w3.org/2000/svg}text")]
    page = (tmp_path / drawing.save(tmp_path / "labels.html")).read_text(encoding="utf-8")
    in_page = [html.unescape(words) for words in re.findall(r"<text[^>]*>([^<]*)</text>", page)]
    for found in (texts, in_page):
        found = [words.replace("\xa0", " ") for words in found if words]
        assert [label for label in shown if label not in found] == []


#: Characters that XML, HTML or UTF-8 cannot hold, or that reverse the text around them.
HIDDEN = ["a\0b", "\x1b(31m", "\x07", "\x85", "\ufffe", "\uffff", "\ud800", "\u202e", "a\x0bb"]


def test_characters_that_files_cannot_hold_are_made_visible(program, tmp_path):
    for i, label in enumerate(HIDDEN):
        a = Value(2.0, label=label)
        loss = a * 3.0
        loss.label = label * 2
        loss.backward()
        shown = console.visible(label)
        assert shown != label
        assert shown.isprintable()
        made = {
            "draw": viz.draw(loss),
            "micrograd": viz.draw(loss, style="micrograd"),
            "step": viz.step_page(loss, title=label),
            "explore": viz.explore(loss, title=label, tokens=[label]),
            "animation": viz.animate(loss),
            "histogram": viz.histogram({label: [1.0, 2.0]}, title=label),
            "attention": viz.attention([[1.0]], [label], title=label),
            "plot": viz.plot({label: [2.0, 1.0]}, title=label, x=label),
            "flow": viz.flow(loss),
        }
        for name, thing in made.items():
            for kind in ("svg", "html", "dot", "txt", *(["png"] if i in (0, 4, 6) and name != "animation" else [])):
                path = tmp_path / f"{name}{i}.{kind}"
                try:
                    thing.save(path)
                except viz.UnknownFormatError:
                    continue
                if kind == "svg":
                    root = ElementTree.parse(path).getroot()
                    words = "".join(root.itertext())
                    assert shown in words or style.visible(label) in words, (name, label)
                if kind != "png":
                    words = path.read_text(encoding="utf-8")
                    assert not set(re.findall(r"[^\w\s]", words)) & set("\0\x1b\x07\x85\ufffe\uffff\u202e\x0b"), name


def test_the_label_in_full_is_an_attribute(program):
    drawing = viz.draw([Value(1.0, label=label) for label in LABELS], budget=200)
    svg = drawing.svg()
    names = {g.get("data-name") for g in ElementTree.fromstring(svg[svg.index("<svg") :]).iter() if g.get("data-name")}
    assert set(LABELS) - {"\n"} <= names  # an XML parser turns a line end in an attribute into a space


# --- no text leaves its box -------------------------------------------------------------------------------------------

#: Text of a node that is more than a point outside its box, as measured by a browser.
OUTSIDE = """(() => {
  const bad = [];
  for (const node of document.querySelectorAll("svg g.node")) {
    const shapes = [...node.querySelectorAll("rect, ellipse")].map(p => p.getBoundingClientRect());
    if (!shapes.length) continue;  // a number that stands in a formula has no box
    const box = {left: Math.min(...shapes.map(b => b.left)), right: Math.max(...shapes.map(b => b.right)),
                 top: Math.min(...shapes.map(b => b.top)), bottom: Math.max(...shapes.map(b => b.bottom))};
    for (const t of node.querySelectorAll("text")) {
      const w = t.getBoundingClientRect();
      if (Math.min(w.left - box.left, w.top - box.top, box.right - w.right, box.bottom - w.bottom) < -1)
        bad.push(t.textContent);
    }
  }
  return bad; })()"""


def spoiled(activation, spoil):
    model = nn.MLP(2, [3, 3, 1], activation=activation, rng=1)
    spoil(model)
    with record_calls() as calls:
        loss = (model([Value(1.0, label="x1"), Value(-2.0, label="x2")]) - 1.0) ** 2
    loss.backward()
    return loss, calls


def dead(model):
    model.layers[0].neurons[1].b.data = -50.0


def infinite(model):
    model.layers[1].neurons[2].w[1].data = math.inf


def drawings(gpt: Drawn):
    yield viz.draw(expression())
    yield viz.draw(expression(), style="micrograd")
    yield viz.draw([Value(-1.23456e-7 * i, label=label).tanh() for i, label in enumerate(LABELS)], budget=300)
    yield viz.draw([Value(1.0, label=c * 12) for c in "WMi−…∂⏎яüÄ漢한ア"], budget=300)
    for budget in (400, 24, 5):
        yield viz.draw(gpt.loss, calls=gpt.calls, budget=budget)
    yield viz.draw(gpt.loss, calls=gpt.calls, preset="beamer")
    yield viz.draw(gpt.loss, calls=gpt.calls, focus=next(iter(gpt.calls.names)))
    mlp = mlp_loss()
    yield viz.draw(mlp.loss, calls=mlp.calls, direction="wrapped", budget=30)
    for activation, spoil in (("relu", dead), ("tanh", infinite)):
        loss, calls = spoiled(activation, spoil)
        for budget in (400, 8):
            yield viz.draw(loss, calls=calls, budget=budget)


def test_no_text_leaves_its_box(program, browser, gpt, tmp_path):
    for i, drawing in enumerate(drawings(gpt)):
        path = tmp_path / f"{i}.html"
        svg = drawing.svg()
        path.write_text(f'<!doctype html><meta charset="utf-8">{svg[svg.index("<svg") :]}', encoding="utf-8")
        browser.open(path.as_uri())
        assert browser.evaluate('document.querySelectorAll("svg g.node text").length') > 0
        assert browser.evaluate(OUTSIDE) == [], i
