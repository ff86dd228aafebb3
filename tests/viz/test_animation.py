"""Animations: each frame shows the state of the step log, and the files have the format of their extension."""

import hashlib
import io
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest
from PIL import Image

import viz
from tests.viz.browser import Browser
from tests.viz.charts import chunks
from tinygrad_edu import Value
from viz.errors import DrawingError, LayoutError, UnknownFormatError
from viz.expressions import compute
from viz.rendering import graphviz_program
from viz.stepping.animation import join, sentence
from viz.style import number


def lecture(**options):
    return viz.animate(compute("L = (a*b + c) * f + a", {"a": 2, "b": -3, "c": 10, "f": -2}), **options)


@pytest.mark.browser
def test_every_frame_shows_the_engine_s_state(tmp_path):
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


@pytest.fixture(scope="module")
def stills():
    """Return an animation and its frames as RGB bytes."""
    animation = viz.animate(compute("b = a + a", {"a": 1}), seconds=0.25)
    return animation, [pixels(still) for still in animation._stills()[0]]


def pixels(png):
    """Return the colors of a still picture on white, by the definition of alpha."""
    image = Image.open(io.BytesIO(png)).convert("RGBA").tobytes()
    colors = bytearray(len(image) // 4 * 3)
    for i in range(3):
        colors[i::3] = bytes(255 - (255 - x) * a // 255 for x, a in zip(image[i::4], image[3::4], strict=True))
    return bytes(colors)


def test_animated_png(stills, tmp_path):
    animation, expected = stills
    assert animation.save(tmp_path / "b.png") == str(tmp_path / "b.png")
    data = (tmp_path / "b.png").read_bytes()
    parts = chunks(data)
    kinds = [kind for kind, _ in parts]
    steps = len(animation.log.steps) + 1
    assert kinds[:3] == [b"IHDR", b"acTL", b"fcTL"]
    assert kinds[-1] == b"IEND"
    assert struct.unpack(">II", parts[1][1]) == (steps, 0)
    numbers = [struct.unpack_from(">I", data)[0] for kind, data in parts if kind in (b"fcTL", b"fdAT")]
    assert numbers == list(range(len(numbers)))
    image = Image.open(io.BytesIO(data))
    found = []
    for i in range(image.n_frames):
        image.seek(i)
        found.append((image.info["duration"], image.convert("RGB").tobytes()))
    assert [length for length, _ in found] == [250] * (steps - 1) + [750]
    assert [picture for _, picture in found] == expected
    assert len(set(expected)) == steps  # every step looks different


def unpack_lzw(data, bits):
    """Decode the pixels of GIF's codes with a table of whole strings, unlike the encoder."""
    stream = "".join(f"{byte:08b}"[::-1] for byte in data)  # the first bit is the lowest
    clear, at, width, strings, previous, out = 1 << bits, 0, bits + 1, [], b"", []
    while True:
        code = int(stream[at : at + width][::-1], 2)
        at += width
        if code == clear:
            strings, previous, width = [bytes([i]) for i in range(clear)] + [b"", b""], b"", bits + 1
        elif code == clear + 1:
            assert set(stream[at:]) <= {"0"}
            assert len(stream) - at < 8
            return b"".join(out)
        else:
            assert code <= len(strings)
            string = strings[code] if code < len(strings) else previous + previous[:1]
            out.append(string)
            if previous and len(strings) < 4096:
                strings.append(previous + string[:1])
            if len(strings) == 1 << width and width < 12:
                width += 1
            previous = string


def read_gif(data):
    """Return the size, the number of repetitions (0: forever), and the delay and RGB bytes of each whole frame."""
    magic, width, height, flags, _, _ = struct.unpack_from("<6s2H3B", data)
    assert magic == b"GIF89a"
    common = data[13 : 13 + (6 << (flags & 7))] if flags & 0x80 else b""  # for frames without their own color table
    at, repeat, pictures, canvas = 13 + len(common), None, [], bytearray(3 * width * height)

    def blocks():
        nonlocal at
        found = []
        while length := data[at]:
            found.append(data[at + 1 : at + 1 + length])
            at += 1 + length
        at += 1
        return found

    while data[at] != 0x3B:
        if data[at] == 0x21:
            label, at = data[at + 1], at + 2
            found = blocks()
            if label == 0xFF:
                assert found[0] == b"NETSCAPE2.0"
                _, repeat = struct.unpack("<BH", found[1])
            else:
                flags, delay, _ = struct.unpack("<BHB", found[0])
                assert label == 0xF9
                assert flags & 0x1D in (0, 4)  # drawn over the previous frame, nothing transparent
        else:
            mark, left, top, w, h, flags = struct.unpack_from("<B4HB", data, at)
            assert (mark, flags & 0x40) == (0x2C, 0)
            assert w > 0 < h
            assert left + w <= width
            assert top + h <= height
            at += 10
            table = data[at : at + (6 << (flags & 7))] if flags & 0x80 else common
            at += len(table) if flags & 0x80 else 0
            bits, at = data[at], at + 1
            places = unpack_lzw(b"".join(blocks()), bits)
            assert len(places) == w * h
            for y in range(h):
                for x, i in enumerate(places[y * w : y * w + w]):
                    start = 3 * ((top + y) * width + left + x)
                    assert 3 * i < len(table)
                    canvas[start : start + 3] = table[3 * i : 3 * i + 3]
            pictures.append((delay, bytes(canvas)))
    assert at == len(data) - 1
    return (width, height), repeat, pictures


def pillow_gif(data):
    """Return the same, as read by Pillow."""
    image = Image.open(io.BytesIO(data))
    pictures = []
    for i in range(image.n_frames):
        image.seek(i)
        pictures.append((round(image.info["duration"] / 10), image.convert("RGB").tobytes()))
    return image.size, image.info.get("loop"), pictures


READERS = pytest.mark.parametrize("read", [read_gif, pillow_gif])


@pytest.fixture(scope="module")
def gif(stills, tmp_path_factory):
    """Return a saved GIF, and what its frames must show."""
    animation, expected = stills
    path = tmp_path_factory.mktemp("gif") / "b.gif"
    assert animation.save(path) == str(path)
    return path.read_bytes(), expected


@READERS
def test_the_gif_shows_the_frames_of_the_png(gif, read):
    data, expected = gif
    (width, height), repeat, pictures = read(data)
    assert repeat == 0
    assert [delay for delay, _ in pictures] == [25] * (len(expected) - 1) + [75]
    assert len(set(expected)) == len(expected)
    colors = set()
    for (_, picture), frame in zip(pictures, expected, strict=True):
        assert len(picture) == len(frame) == 3 * width * height
        assert max(abs(a - b) for a, b in set(zip(picture, frame, strict=True))) <= 8  # of 255
        colors |= {frame[i : i + 3] for i in range(0, len(frame), 3)}
        for flat in (b"\xff\xff\xff", bytes.fromhex("ffe45c"), b"\x00\x00\x00"):  # paper, the active box, ink
            assert all(picture[i : i + 3] == flat for i in find(frame, flat))
    if shutil.which("dot"):  # the other layout program draws edges in fewer shades
        assert len(colors) > 256  # so colors had to be reduced


def find(frame, color):
    """Return where the pixels of a color are."""
    return [m.start() for m in re.finditer(re.escape(color), frame) if m.start() % 3 == 0]


def png_of(colors, width):
    picture = Image.new("RGB", (width, len(colors) // width))
    picture.putdata(colors)
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


@READERS
@pytest.mark.parametrize("count", [2, 3, 16, 17, 256])
def test_up_to_256_colors_are_exact(read, count):
    """Noise and flat pictures of many lengths: codes of every width, full tables, ends at every place."""
    rng = random.Random(count)
    kinds = [(i, 255 - i, i * 7 % 256) for i in range(count)]
    for width, height in [(13, 5), (64, 64), (200, 100)] + [(n, 1) for n in range(20, 40)]:
        noise = [[rng.choice(kinds) for _ in range(width * height)] for _ in range(2)]
        flat = [kinds[-1]] * (width * height)
        pictures = [*noise, flat]
        stills = [png_of(picture, width) for picture in pictures]
        size, repeat, found = read(join(stills, [0.1, 0.2, 0.4], "GIF"))
        assert (size, repeat) == ((width, height), 0)
        expected = [bytes(channel for color in picture for channel in color) for picture in pictures]
        assert found == list(zip((10, 20, 40), expected, strict=True)), (width, height)


def test_rounding_to_hundredths_does_not_add_up():
    stills = [png_of([(i, 0, 0)], 1) for i in range(100)]
    assert sum(delay for delay, _ in read_gif(join(stills, [0.025] * 100, "GIF"))[2]) == 250


def test_an_animation_too_large_is_refused(monkeypatch):
    long = png_of([(0, 0, 0)] * 65536, 65536)
    with pytest.raises(LayoutError, match="65,535 pixels a side, not 65,536×1; save as .svg"):
        join([long], [1.0], "GIF")
    monkeypatch.setattr("viz.stepping.animation._MOST_PIXELS", 100_000)
    with pytest.raises(LayoutError, match="2 frames of 65,536×1 pixels are too many; save as .svg"):
        join([long, long], [1.0, 1.0], "PNG")


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_without_pillow_the_error_says_what_to_install(kind, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(DrawingError, match=r"needs Pillow, .* pip install pillow; or save as \.svg"):
        join([], [], kind)


def test_gif_is_the_same_in_every_process(gif):
    code = (
        "import hashlib, viz; from viz.expressions import compute;"
        "print(hashlib.sha256(viz.animate(compute('b = a + a', {'a': 1}), seconds=0.25).gif()).hexdigest())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert found == {(hashlib.sha256(gif[0]).hexdigest() + os.linesep).encode()}


def test_every_layout_program_can_be_animated():
    for program in graphviz_program._installed():
        still = graphviz_program.render("digraph { bgcolor=white; a -> b }", "png", program, graphviz_program.TIMEOUT)
        ((_, picture),) = read_gif(join([still], [1.0], "GIF"))[2]
        assert picture == pixels(still)  # gray: at most 256 colors
        assert picture.count(b"\x00\x00\x00") > 10


def test_frames_of_different_sizes_are_refused():
    stills = [png_of([(0, 0, 0)] * width, width) for width in (1, 2)]
    with pytest.raises(LayoutError, match=r"different sizes \(1×1, 2×1\); save as \.svg"):
        join(stills, [1.0, 1.0], "PNG")


def test_things_that_cannot_be_animated(tmp_path):
    x = y = Value(0.5)
    for _ in range(250):
        y = y + x
    with pytest.raises(DrawingError, match="251 Values, an animation shows at most 250"):
        viz.animate(y)
    with pytest.raises(DrawingError, match=r"seconds must be from 0\.02 to 60, got 0"):
        viz.animate(x, seconds=0)
    with pytest.raises(UnknownFormatError, match=r"must end in one of \.svg, \.png, \.apng, \.gif$"):
        lecture().save(tmp_path / "L.webp")
