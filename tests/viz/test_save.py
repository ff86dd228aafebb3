"""Writing files with ``dot``, without it, with a ``dot`` that hangs, and the errors when it fails."""

import errno
import io
import math
import os
import re
import stat
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import graphviz
import pytest
from PIL import Image, ImageColor

import viz
from tests.viz.charts import chunks
from tests.viz.drawn_examples import Drawn, expression
from tinygrad_edu import Value
from viz import style
from viz.rendering import graphviz_program, rasterize

pure = pytest.mark.pure
either = pytest.mark.layout
genuine = pytest.mark.graphviz


@pytest.fixture
def no_dot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Set a PATH without ``dot``; the fallback is found next to the interpreter."""
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))


def fake_dot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, body: str) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "dot"
    program.write_text(f"#!{sys.executable}\nimport sys, time\ntext = sys.stdin.read()\n{body}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def check_picture(content: bytes, format: str) -> None:
    """Check that a picture of the lecture's expression has all of its boxes, or at least their colors."""
    if format == "svg":
        words = {part.text for part in ElementTree.fromstring(content).iter() if part.tag.endswith("text")}
        assert {"a", "b", "c", "d", "e", "f", "L", "−8"} <= words
    elif format == "png":
        with Image.open(io.BytesIO(content)) as picture:
            assert picture.format == "PNG"
            shown = picture.convert("RGB").getcolors(1 << 24)
        assert {ImageColor.getrgb(color) for color in (style.LEAF, style.VALUE_TAB)} <= {color for _, color in shown}
    else:
        assert content.startswith(b"%PDF-")
        assert content.rstrip().endswith(b"%%EOF")


@genuine
@pytest.mark.parametrize("format", ["svg", "png", "pdf"])
def test_with_dot(tmp_path: Path, format: str) -> None:
    path = tmp_path / f"L.{format}"
    assert viz.save(viz.draw(expression()), path) == str(path)
    check_picture(path.read_bytes(), format)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]  # no other file is left


@pure
@pytest.mark.parametrize("format", ["svg", "png"])
def test_without_dot(tmp_path: Path, no_dot: None, format: str) -> None:
    path = tmp_path / f"L.{format}"
    viz.save(expression(), path)
    check_picture(path.read_bytes(), format)


@pure
def test_every_style_is_laid_out_without_dot(no_dot: None, gpt: Drawn) -> None:
    for options in ({"budget": 24}, {"budget": 60}, {"depth": 3}, {"style": "micrograd", "budget": 12}):
        svg = viz.draw(gpt.loss, calls=gpt.calls, **options).render_bytes("svg").decode()
        assert "loss" in svg


@either
@pytest.mark.parametrize("character", [*'{}|<>"\\&', "\\N", "&amp;", "\n", " "])
def test_characters_survive_the_layout(character: str) -> None:
    shown = {"\n": "⏎", " ": "␣"}.get(character, character)
    escaped = shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for program in graphviz_program.renderers("svg"):
        drawing = viz.draw(Value(1.0, label=character).tanh())
        svg = (
            graphviz_program.render(drawing.source, "svg", program, 5.0)
            .decode()
            .replace("&quot;", '"')
            .replace("&#39;", "'")
        )
        assert f">{escaped}</text>" in svg, program


def test_text_needs_no_program(tmp_path: Path, no_dot: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphviz_program, "_installed", lambda: iter(()))
    drawing = viz.draw(expression())
    for name in ("L.dot", "L.gv"):
        drawing.save(tmp_path / name)
        assert (tmp_path / name).read_text(encoding="utf-8") == drawing.source
    check_picture(Path(drawing.save(tmp_path / "L.svg")).read_bytes(), "svg")
    assert drawing.pipe(encoding="utf-8") == drawing.svg()
    assert drawing.render(tmp_path / "M", format="html") == str(tmp_path / "M.html")
    with pytest.raises(
        viz.LayoutError, match=r"no program that lays out graphs was found; install Graphviz .* or save as \.svg"
    ):
        drawing.save(tmp_path / "L.png")


@pure
def test_pdf_needs_dot_itself(tmp_path: Path, no_dot: None) -> None:
    with pytest.raises(viz.LayoutError, match=r"only dot itself can write pdf; install Graphviz .*\.svg"):
        viz.save(expression(), tmp_path / "L.pdf")


@pytest.mark.parametrize("name", ["L.jpg", "L", "L.svgz"])
def test_unknown_format(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        ValueError, match=rf"unknown format: '{name}' must end in one of \.svg, \.png, \.pdf, \.html, \.dot"
    ):
        viz.save(expression(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        viz.save(expression(), tmp_path / "nowhere" / "L.dot")


def test_a_file_that_cannot_be_replaced_is_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "L.dot"
    path.write_text("before")

    def refuse(*_: object) -> None:
        raise PermissionError("not allowed")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(PermissionError):
        viz.save(expression(), path)
    assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["L.dot"]


def test_written_files_can_be_read_by_others(tmp_path: Path) -> None:
    umask = os.umask(0o022)
    try:
        path = viz.save(expression(), tmp_path / "L.dot")
    finally:
        os.umask(umask)
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o644


def test_options_for_a_finished_drawing_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="already drawn; pass budget to draw"):
        viz.save(viz.draw(expression()), tmp_path / "L.dot", budget=3)


BROKEN = {
    "has no plugins": "sys.exit('Format: \"png\" not recognized. Use one of:')",
    "never ends": "time.sleep(60)",
    "writes nothing": "",
    "is another program": "print(text)",
    "is killed while it writes": "import os\nprint('<svg', flush=True)\nos.kill(os.getpid(), 9)",
    "writes half a picture": "sys.stdout.buffer.write(b'\\x89PNG\\r\\n<svg')",
}


@pytest.mark.skipif(os.name == "nt", reason="needs a script that runs by itself")
@pure
@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_dot_counts_as_missing_and_is_named_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    fake_dot(monkeypatch, tmp_path, BROKEN[fault])
    for module, name in ((graphviz_program, "TIMEOUT"), (rasterize, "_TIMEOUT")):
        monkeypatch.setattr(module, name, 60.0 if fault != "never ends" else 5.0)
    with pytest.warns(UserWarning, match="from now on .*graphviz-pure is used instead") as said:
        pixels((tmp_path / viz.save(expression(), tmp_path / "L.png")).read_bytes())
    assert len(said) == 1
    viz.draw(expression()).render_bytes("png")  # a warning would be an error
    viz.step_page(expression())
    pixels(Path(viz.animate(expression()).save(tmp_path / "a.png")).read_bytes())
    pixels(Path(viz.save(viz.plot({"loss": [2.0, 1.0]}), tmp_path / "c.png")).read_bytes())


@either
@pytest.mark.parametrize("code", [errno.EAGAIN, errno.ENOMEM, errno.EMFILE], ids=["process", "memory", "file"])
def test_a_temporary_lack_of_resources_changes_no_picture(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    drawing = viz.draw(expression())
    before = drawing.render_bytes("png")
    run = subprocess.run

    def short(*arguments: Any, **more: Any) -> Any:
        monkeypatch.setattr(subprocess, "run", run)  # once
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(subprocess, "run", short)
    with pytest.raises(OSError, match=re.escape(os.strerror(code))):
        drawing.render_bytes("png")
    assert drawing.render_bytes("png") == before


def pixels(png: bytes) -> None:
    """Check every byte of a PNG: lengths, checksums, and the compressed pixels of every frame."""
    frames, sizes, parts = [b""], [(0, 0)], chunks(png)
    for kind, data in parts:
        if kind == b"IHDR":
            sizes = [struct.unpack_from(">II", data)]
            bits = data[8] * {0: 1, 2: 3, 3: 1, 6: 4}[data[9]]
        elif kind == b"fcTL" and frames[-1]:
            frames.append(b"")
            sizes.append(struct.unpack_from(">II", data, 4))  # a frame holds only the part that changed
        elif kind in (b"IDAT", b"fdAT"):
            frames[-1] += data[4 * (kind == b"fdAT") :]
    assert (parts[0][0], parts[-1][0]) == (b"IHDR", b"IEND")
    for frame, (width, height) in zip(frames, sizes, strict=True):
        assert len(zlib.decompress(frame)) == height * (1 + (bits * width + 7) // 8)


@pure
def test_every_picture_without_dot_can_be_decoded(tmp_path: Path, no_dot: None, gpt: Drawn) -> None:
    loss = expression()
    long = "Straße " * 4  # characters that need extra room in SVG
    drawings = {
        "draw": viz.draw(loss),
        "folded": viz.draw(gpt.loss, calls=gpt.calls, budget=40),
        "wide": viz.draw(Value(1.0, label=long) * Value(2.0, label="…")),
        "micrograd": viz.draw(loss, style="micrograd"),
        "beamer": viz.draw(loss, preset="beamer"),
        "histogram": viz.histogram({"w": [math.sin(x) for x in range(500)]}),
        "attention": viz.attention([[1.0, 0.0], [0.5, 0.5]]),
        "flow": viz.flow(gpt.loss, calls=gpt.calls),
        "plot": viz.plot({long: [2.0, 1.0]}),
        "animation": viz.animate(loss),
    }
    for name, drawing in drawings.items():
        pixels(Path(viz.save(drawing, tmp_path / f"{name}.png")).read_bytes())
    viz.save(drawings["animation"], tmp_path / "animation.gif")  # decodes all frames on the way


def test_the_bytes_of_a_soft_hyphen_inside_a_picture_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = b"\x89PNG \xc2\xad IEND"
    program = tmp_path / "pure"
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.stdin.read()\nsys.stdout.buffer.write({picture!r})\n")
    program.chmod(0o755)
    assert (
        graphviz_program.render("", "png", graphviz_program.Renderer(str(program), frozenset(), narrow=True), 5.0)
        == picture
    )


@pytest.mark.skipif(os.name == "nt", reason="needs a script that runs by itself")
def test_when_nothing_is_fast_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_dot(monkeypatch, tmp_path, "time.sleep(60)")
    only = next(graphviz_program._installed())
    monkeypatch.setattr(graphviz_program, "_installed", lambda: iter([only]))
    monkeypatch.setattr(rasterize, "_TIMEOUT", 0.2)
    with pytest.raises(viz.LayoutTimeout, match=r"stopped after 0\.2 seconds; draw fewer boxes with a smaller budget="):
        viz.draw(expression()).render_bytes("png")


@pytest.mark.skipif(os.name == "nt", reason="needs a script that runs by itself")
def test_a_program_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_dot(monkeypatch, tmp_path, "sys.exit('out of memory')")
    only = next(graphviz_program._installed())
    monkeypatch.setattr(graphviz_program, "_installed", lambda: iter([only]))
    with pytest.raises(viz.LayoutError, match="failed: out of memory; save as .dot"):
        viz.draw(expression()).render_bytes("png")


@either
def test_notebooks_get_svg_and_text(gpt: Drawn) -> None:
    bundle = viz.draw(gpt.loss, calls=gpt.calls, budget=24)._repr_mimebundle_()
    assert "<svg" in bundle["image/svg+xml"]
    assert "folded into" in bundle["text/plain"]
    assert viz.draw(expression())._repr_mimebundle_(include=["text/plain"]).keys() == {"text/plain"}


@genuine
def test_the_graphviz_packages_own_ways_still_work(tmp_path: Path) -> None:
    drawing = viz.draw(expression())
    assert "<svg" in drawing.pipe(format="svg", encoding="utf-8")
    assert Path(drawing.render(tmp_path / "graph", format="svg")).exists()
    assert isinstance(drawing.copy(), graphviz.Digraph)


def test_objects_with_a_save_method_are_saved(tmp_path: Path) -> None:
    chart = viz.plot({"loss": [2.0, 1.0]})
    assert viz.save(chart, tmp_path / "a.svg") == str(tmp_path / "a.svg")
    assert (tmp_path / "a.svg").read_text(encoding="utf-8") == chart.svg()
    with pytest.raises(TypeError, match="already drawn; pass budget to draw"):
        viz.save(chart, tmp_path / "a.svg", budget=3)
