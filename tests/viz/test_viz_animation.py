"""Moving pictures: each moment shows what the step log says, and the files are what their endings promise."""

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
import zlib

import pytest
from browser import CHROMIUM, Browser

import viz
from tinygrad_edu import Value
from viz.errors import DrawingError, LayoutError, UnknownFormatError
from viz.expressions import compute
from viz.rendering import layout
from viz.rendering.gif import join_gif
from viz.stepping.animation import join_png, png_pixels, sentence
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


def unpack_lzw(data, bits):
    """The pixels of GIF's codes, by a table of whole strings: not how the encoder does it."""
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
    """Size, how often it repeats (0: for ever), and per frame its delay and the whole picture as bytes of RGB."""
    magic, width, height, flags, _, _ = struct.unpack_from("<6s2H3B", data)
    assert magic == b"GIF89a"
    assert not flags & 0x80  # no table for all frames
    at, repeat, pictures, canvas = 13, None, [], bytearray(3 * width * height)

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
                assert (label, flags) == (0xF9, 4)  # drawn over what was there, nothing transparent
        else:
            mark, left, top, w, h, flags = struct.unpack_from("<B4HB", data, at)
            assert (mark, flags & 0xC0) == (0x2C, 0x80)
            assert w > 0 < h
            assert left + w <= width
            assert top + h <= height
            table = data[at + 10 : at + 10 + (6 << (flags & 7))]
            at += 10 + len(table)
            bits, at = data[at], at + 1
            places = unpack_lzw(b"".join(blocks()), bits)
            assert len(places) == w * h
            for y in range(h):
                start = 3 * ((top + y) * width + left)
                colours = b"".join(table[3 * i : 3 * i + 3] for i in places[y * w : y * w + w])
                assert len(colours) == 3 * w  # none beyond the table
                canvas[start : start + 3 * w] = colours
            pictures.append((delay, bytes(canvas)))
    assert at == len(data) - 1
    return (width, height), repeat, pictures


def pillow_gif(data):
    """The same, as Pillow reads it."""
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed").open(io.BytesIO(data))
    pictures = []
    for i in range(image.n_frames):
        image.seek(i)
        pictures.append((round(image.info["duration"] / 10), image.convert("RGB").tobytes()))
    return image.size, image.info.get("loop"), pictures


READERS = pytest.mark.parametrize("read", [read_gif, pillow_gif])


@pytest.fixture(scope="module")
def gif(tmp_path_factory):
    """A GIF as saved, and the frames of the animated PNG."""
    animation = viz.animate(compute("b = a + a", {"a": 1}), seconds=0.25)
    path = tmp_path_factory.mktemp("gif") / "b.gif"
    assert animation.save(path) == str(path)
    return path.read_bytes(), [b"".join(rows) for rows in png_pixels(animation._stills()[0])]


@READERS
def test_the_gif_shows_the_frames_of_the_png(gif, read):
    data, expected = gif
    (width, height), repeat, pictures = read(data)
    assert repeat == 0
    assert [delay for delay, _ in pictures] == [25] * (len(expected) - 1) + [75]
    assert len(set(expected)) == len(expected)
    colours = set()
    for (_, picture), frame in zip(pictures, expected, strict=True):
        assert len(picture) == len(frame) == 3 * width * height
        assert max(abs(a - b) for a, b in set(zip(picture, frame, strict=True))) <= 8  # of 255
        colours |= {frame[i : i + 3] for i in range(0, len(frame), 3)}
        for flat in (b"\xff\xff\xff", bytes.fromhex("ffe45c"), b"\x00\x00\x00"):  # paper, the active box, ink
            assert all(picture[i : i + 3] == flat for i in find(frame, flat))
    if shutil.which("dot"):  # the other program draws edges in fewer shades
        assert len(colours) > 256  # so that there was something to reduce


def find(frame, colour):
    """Where the pixels of a colour are."""
    return [m.start() for m in re.finditer(re.escape(colour), frame) if m.start() % 3 == 0]


def rows_of(colours, width):
    return [b"".join(map(bytes, colours[at : at + width])) for at in range(0, len(colours), width)]


@READERS
@pytest.mark.parametrize("count", [1, 2, 3, 5, 16, 17, 200, 256])
def test_up_to_256_colours_are_exact(read, count):
    """Noise and flat pictures of many lengths: codes of every width, full tables, ends at every place."""
    rng = random.Random(count)
    kinds = [(i, 255 - i, i * 7 % 256) for i in range(count)]
    for width, height in [(1, 1), (2, 1), (3, 1), (7, 2), (13, 5), (64, 64), (200, 100)] + [
        (n, 1) for n in range(20, 40)
    ]:
        noise = [rows_of([rng.choice(kinds) for _ in range(width * height)], width) for _ in range(2)]
        flat = rows_of([kinds[-1]] * (width * height), width)
        pictures = [*noise, noise[1], flat]  # the third changes nothing
        size, repeat, found = read(join_gif(pictures, [0.1, 0.2, 0.3, 0.4]))
        assert (size, repeat) == ((width, height), 0)
        assert found == [(d, b"".join(p)) for d, p in zip((10, 20, 30, 40), pictures, strict=True)], (width, height)


def test_a_frame_is_only_what_has_changed():
    rng = random.Random(0)
    first = rows_of([tuple(rng.randbytes(3)) for _ in range(10000)], 100)
    second = list(first)
    second[40] = first[40][:60] + bytes(255 - x for x in first[40][60:63]) + first[40][63:]
    one, both = join_gif([first], [1.0]), join_gif([first, second], [1.0, 1.0])
    assert both.startswith(one[:-1])
    assert len(both) - len(one) < 40
    assert struct.unpack_from("<4H", both, len(one) - 1 + 8 + 1) == (20, 40, 1, 1)


def test_no_time_is_lost_to_hundredths():
    pictures = [[bytes([i, 0, 0])] for i in range(100)]
    assert sum(delay for delay, _ in read_gif(join_gif(pictures, [0.025] * 100))[2]) == 250


def test_a_gif_too_large_for_the_format_is_refused():
    with pytest.raises(LayoutError, match="65,535 pixels a side, not 65,536×1; save as .svg"):
        join_gif([[bytes(3 * 65536)]], [1.0])


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


@pytest.mark.parametrize("channels", [3, 4])
def test_png_pixels_undoes_every_filter(channels):
    """Against filtering written from the definitions: a value is sent as its difference from a guess."""
    rng = random.Random(channels)
    width, kinds = 9, [0, 1, 2, 3, 4, 4, 3, 2, 1, 0]
    rows = [rng.randbytes(channels * width) for _ in kinds]
    lines = []
    for y, kind in enumerate(kinds):
        line = [kind]
        for i, x in enumerate(rows[y]):
            a = rows[y][i - channels] if i >= channels else 0
            b = rows[y - 1][i] if y else 0
            c = rows[y - 1][i - channels] if y and i >= channels else 0
            paeth = min((a, b, c), key=lambda v: abs(a + b - c - v))  # the first of equals
            line.append((x - (0, a, b, (a + b) // 2, paeth)[kind]) % 256)
        lines.append(bytes(line))
    header = struct.pack(">IIBBBBB", width, len(rows), 8, 2 if channels == 3 else 6, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n"
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(b"".join(lines))), (b"IEND", b"")):
        png += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    first, again = png_pixels([png, png])
    assert first == again
    for row, found in zip(rows, first, strict=True):
        for at in range(width):
            *colour, alpha = [*row[channels * at : channels * at + channels], 255][:4]
            exact = [(x * alpha + 255 * (255 - alpha)) / 255 for x in colour]
            assert all(abs(x - e) < 1 for x, e in zip(found[3 * at : 3 * at + 3], exact, strict=True))


def test_every_layout_program_can_be_animated():
    for program in layout._installed():
        still = layout.render("digraph { bgcolor=white; a -> b }", "png", program, layout.TIMEOUT)
        (rows,) = png_pixels([still])
        ((_, picture),) = read_gif(join_gif([rows], [1.0]))[2]
        assert picture == b"".join(rows)  # grey: at most 256 colours
        assert picture.count(b"\x00\x00\x00") > 10


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
    with pytest.raises(UnknownFormatError, match=r"\.svg, \.png, \.apng or \.gif"):
        lecture().save(tmp_path / "L.webp")
