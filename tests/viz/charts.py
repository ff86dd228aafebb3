"""Checks for every chart: its text stays inside the picture and does not overlap, whatever the text is."""

import struct
import zlib
from xml.etree import ElementTree

from tests.viz.browser import AXE
from viz.rendering.rasterize import as_dot

SVG = "{http://www.w3.org/2000/svg}"
AWKWARD = '{ } | < > & " \\'

#: Text outside the picture, and pairs of texts that overlap, as measured by a browser.
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
    """Return every text of a chart, in order; fail unless the SVG is well formed."""
    return ["".join(element.itertext()) for element in ElementTree.fromstring(chart.svg()).iter(f"{SVG}text")]


def chunks(png):
    """Return the chunks of a PNG as (kind, data), after checking the checksum of each."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    at, found = 8, []
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        data = png[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", png, at + 8 + length) == (zlib.crc32(kind + data),), kind
        found.append((kind, data))
        at += length + 12
    return found


def titles(chart):
    """Return the tooltips, in order."""
    return ["".join(element.itertext()) for element in ElementTree.fromstring(chart.svg()).iter(f"{SVG}title")]


def check_words_fit(browser, chart, folder):
    """Open the chart in a browser and measure its text; check that it can become a PNG."""
    as_dot(chart._drawn())
    path = folder / "chart.html"
    path.write_text(f'<!doctype html><meta charset="utf-8"><body style="margin:0">{chart.svg()}', encoding="utf-8")
    browser.open(path.as_uri())
    assert browser.evaluate(_MEASURE) == []


def check_accessible(browser):
    """Check that axe-core finds nothing in the open page; for tests marked ``axe``."""
    browser.evaluate(AXE.read_text(encoding="utf-8") + "; 0")
    found = browser.evaluate("axe.run().then(r => r.violations.map(v => [v.id, v.impact, v.nodes[0].html]))")
    assert found == []
