"""Moving pictures: each moment shows what the step log says, and the files are what their endings promise."""

import re
import struct
import xml.etree.ElementTree as ET
import zlib

import pytest
from browser import CHROMIUM, Browser

import viz
from tinygrad_edu import Value
from viz.animation import join_png, sentence
from viz.errors import DrawingError, LayoutError, UnknownFormatError
from viz.expressions import compute
from viz.style import number


def lecture(**options):
    return viz.animate(compute("L = (a*b + c) * f + a", {"a": 2, "b": -3, "c": 10, "f": -2}), **options)


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_every_moment_shows_the_engine_s_state(tmp_path):
    animation = lecture(seconds=1.0)
    animation.save(tmp_path / "L.svg")
    browser = Browser(tmp_path / "profile")
    try:
        browser.open((tmp_path / "L.svg").as_uri())
        for k in range(len(animation.log.steps) + 1):
            shown = browser.evaluate(f"""(() => {{
                for (const a of document.getAnimations()) {{ a.pause(); a.currentTime = {1000 * k + 500}; }}
                const seen = e => getComputedStyle(e).visibility === "visible";
                const texts = (e, q) => [...e.querySelectorAll(q)].filter(seen).map(t => t.textContent);
                return [[...document.querySelectorAll("[data-node]")].map(e => [texts(e, ".data"), texts(e, ".grad")]),
                        texts(document, ".sentence"), [...document.querySelectorAll(".edge.lit")].filter(seen).length];
            }})()""")
            state = animation.log.replay(k)
            for i, (data, grad) in enumerate(shown[0]):
                for texts, expected in ((data, state.data[i]), (grad, state.gradients[i])):
                    assert texts == ["–" if expected is None else number(expected)], (k, i)
            assert shown[1] == [sentence(animation.log, k)]
            assert shown[2] == (animation.log.first_backward + 1 < k)
        assert browser.console == []
    finally:
        browser.close()


def test_the_svg_is_one_file_without_script():
    text = lecture().svg()
    root = ET.fromstring(text)
    assert root.tag.endswith("svg")
    assert "<script" not in text
    assert re.findall(r"(?:href|src)=|@import|url\((?!#)", text) == []
    assert text == lecture().svg()
    assert "prefers-reduced-motion" in text
    at_rest = [e.text for e in root.iter() if e.get("class") == "sentence" and e.get("visibility") != "hidden"]
    assert at_rest == [sentence(lecture().log, len(lecture().log.steps))]


def test_hostile_labels_are_text():
    text = viz.animate(Value(1.0, "<script>&\"'") * Value(2.0, "]]> \\N")).svg()
    assert "<script" not in text
    assert any("<script>&" in (e.text or "") for e in ET.fromstring(text).iter())


def frames(png):
    """The chunks of an APNG, checked as they come."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    at, found = 8, []
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", png, at + 8 + length)[0] == zlib.crc32(kind + data)
        found.append((kind, data))
        at += length + 12
    return found


def test_animated_png(tmp_path):
    animation = viz.animate(compute("b = a + a", {"a": 1}), seconds=0.25)
    path = animation.save(tmp_path / "b.png")
    chunks = frames((tmp_path / "b.png").read_bytes())
    assert path == str(tmp_path / "b.png")
    kinds = [kind for kind, _ in chunks]
    steps = len(animation.log.steps) + 1
    assert kinds[:3] == [b"IHDR", b"acTL", b"fcTL"]
    assert kinds[-1] == b"IEND"
    assert struct.unpack(">II", chunks[1][1]) == (steps, 0)
    width, height, depth, colours = struct.unpack_from(">IIBB", chunks[0][1])
    channels = {2: 3, 6: 4}[colours]
    numbers, pixels = [], []
    for kind, data in chunks[2:-1]:
        if kind == b"fcTL":
            sequence, *size, delay, scale = struct.unpack_from(">5I2H", data)
            assert size == [width, height, 0, 0]
            pixels.append(b"")
            last_delay = delay / scale
            numbers.append(sequence)
        elif kind == b"fdAT":
            numbers.append(struct.unpack_from(">I", data)[0])
            pixels[-1] += data[4:]
        else:
            assert (kind, len(pixels)) == (b"IDAT", 1)
            pixels[-1] += data
    assert numbers == list(range(len(numbers)))
    assert last_delay == 0.75
    unpacked = [zlib.decompress(frame) for frame in pixels]
    assert {len(frame) for frame in unpacked} == {height * (1 + width * channels * depth // 8)}
    assert len(set(unpacked)) == steps  # every step looks different


def test_frames_of_different_sizes_are_refused():
    def still(width):
        header = struct.pack(">IIBBBBB", width, 1, 8, 2, 0, 0, 0)
        chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
        return b"\x89PNG\r\n\x1a\n" + chunk

    with pytest.raises(LayoutError, match=r"different sizes \(1×1, 2×1\); save as \.svg"):
        join_png([still(1), still(2)], [1.0, 1.0])


def test_what_cannot_be_animated(tmp_path):
    x = y = Value(0.5)
    for _ in range(250):
        y = y + x
    with pytest.raises(DrawingError, match="251 Values, an animation shows at most 250"):
        viz.animate(y)
    with pytest.raises(DrawingError, match=r"seconds must be from 0\.02 to 60, got 0"):
        viz.animate(x, seconds=0)
    with pytest.raises(UnknownFormatError, match=r"\.svg, \.png or \.apng"):
        lecture().save(tmp_path / "L.gif")
