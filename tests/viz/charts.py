"""What every chart must keep to: its words inside the picture and not on each other, whatever the words are."""

from xml.etree import ElementTree

from tests.viz.browser import AXE
from viz.rendering.rasterize import as_dot

SVG = "{http://www.w3.org/2000/svg}"
AWKWARD = '{ } | < > & " \\'

#: Words that leave the picture, and pairs of words that lie on each other, as a browser sees them.
_MEASURE = """(() => {
  const view = document.querySelector("svg").getBoundingClientRect();
  const words = [...document.querySelectorAll("svg text")].filter(t => t.textContent.trim())
    .map(t => [t.textContent, t.getBoundingClientRect()]);
  const bad = [];
  for (const [i, [t, a]] of words.entries()) {
    if (Math.min(a.left - view.left, a.top - view.top, view.right - a.right, view.bottom - a.bottom) < -0.5)
      bad.push(`outside: ${t}`);
    for (const [u, b] of words.slice(i + 1)) {
      const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (wide > 1 && high > 0.35 * Math.min(a.height, b.height)) bad.push(`on each other: ${t} | ${u}`);
    }
  }
  return bad; })()"""


def words(chart):
    """Every text of a chart, in order; the SVG is well formed, or this fails."""
    return ["".join(element.itertext()) for element in ElementTree.fromstring(chart.svg()).iter(f"{SVG}text")]


def titles(chart):
    """What the pointer shows, in order."""
    return ["".join(element.itertext()) for element in ElementTree.fromstring(chart.svg()).iter(f"{SVG}title")]


def check_words_fit(browser, chart, folder):
    """Open the chart in a browser and measure its words; and see that it can become a PNG."""
    as_dot(chart._drawn())
    path = folder / "chart.html"
    path.write_text(f'<!doctype html><meta charset="utf-8"><body style="margin:0">{chart.svg()}', encoding="utf-8")
    browser.open(path.as_uri())
    assert browser.evaluate(_MEASURE) == []


def check_accessible(browser):
    """No finding of axe-core in the open page; for tests that are marked ``axe``."""
    browser.evaluate(AXE.read_text(encoding="utf-8") + "; 0")
    found = browser.evaluate("axe.run().then(r => r.violations.map(v => [v.id, v.impact, v.nodes[0].html]))")
    assert found == []
