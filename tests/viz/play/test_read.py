"""The screen that reads a trained GPT, in Chromium: every control, and the same numbers as Python."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from gpt.cli import main
from gpt.pictures import playground
from gpt.pictures.playground import read_page, trained
from gpt.runs.saved_run import SavedRun
from tests.viz import runs
from tests.viz.browser import Browser
from tests.viz.charts import check_accessible
from viz.play.page import play_page


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a run with three snapshots, whose context is six characters; read only."""
    return runs.train(tmp_path_factory.mktemp("read"), steps=40, keep=3, seed=1)


@pytest.fixture(scope="module")
def page(run: Path) -> Path:
    path = run.parent / "playground.html"
    read_page(*trained(SavedRun.open(run))).save(path)
    return path


def show(browser: Browser, page: Path, **settings: Any) -> None:
    browser.open(f"{page.as_uri()}#{urlencode({'screen': 'read', **settings})}")
    settled(browser)


def settled(browser: Browser) -> None:
    browser.wait_for("document.body.dataset.busy === '' && !now.running", 20)
    browser.evaluate(
        "new Promise(done => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(done)), 60))"
    )


def do(browser: Browser, script: str) -> Any:
    found = browser.evaluate(script)
    settled(browser)
    return found


def give(browser: Browser, name: str, value: Any) -> None:
    """Give an input a value, as a person who types or drags."""
    script = f"(e => {{ e.value = {json.dumps(value)}; e.dispatchEvent(new Event('input')); }})"
    do(browser, f"void {script}(document.getElementById('{name}'))")


def press(browser: Browser, words: str) -> None:
    script = f"[...document.querySelectorAll('#place button')].find(b => b.textContent.startsWith({words!r})).click()"
    do(browser, f"void {script}")


def loss(browser: Browser) -> float:
    return float(browser.evaluate("document.body.dataset.loss"))


def clean(browser: Browser) -> None:
    assert browser.console == []
    assert [r for r in browser.requests if not r.startswith(("file:", "data:", "blob:"))] == []
    assert browser.evaluate("document.body.dataset.error") == ""


def in_python(browser: Browser, run: Path, folder: Path) -> tuple[str, float]:
    """Run the program that the page shows; returns the text and the loss that it prints."""
    browser.evaluate("document.getElementById('python').click()")
    program = folder / "program.py"
    program.write_text(browser.evaluate("document.getElementById('python-text').textContent"), encoding="utf-8")
    root = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "-X", "utf8", str(program), str(run)], capture_output=True, encoding="utf-8", cwd=root,
        env={"PYTHONPATH": root},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    text, found = done.stdout.rsplit("loss", 1)
    return text[:-1], float(found)


SETTINGS: list[dict[str, Any]] = [
    {},
    {"seed": 7, "temperature": 0.7, "topK": 5, "topP": 0.9, "at": 20, "text": "the question, not that"},
    {"off": "h.0.head.1,h.1.mlp,positions"},
    {"off": "h.0.bypass,h.1.attn", "temperature": 0},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: " ".join(settings) or "default")
def test_twenty_characters_are_those_of_python(
    browser: Browser, page: Path, run: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    show(browser, page, run=20, **settings)
    text = browser.evaluate("document.getElementById('read-typed').value")
    assert in_python(browser, run, tmp_path) == (text, pytest.approx(loss(browser), rel=1e-9))
    assert len(text) == len(settings.get("text", "whether")) + 20 or not settings.get("text")
    clean(browser)


def test_a_model_of_eight_bits_is_that_of_python(
    browser: Browser, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(playground, "LEVELS", ((0, 47),))
    read_page(*trained(SavedRun.open(run))).save(tmp_path / "page.html")
    show(browser, tmp_path / "page.html", run=20)
    assert "weights rounded to 8 bits" in browser.evaluate("document.getElementById('place').innerText")
    text = browser.evaluate("document.getElementById('read-typed').value")
    assert in_python(browser, run, tmp_path) == (text, pytest.approx(loss(browser), rel=1e-9))
    clean(browser)


def test_documents_begin_after_an_end(browser: Browser, tmp_path: Path) -> None:
    run = runs.train(tmp_path, steps=4, keep=0, documents="lines")
    read_page(*trained(SavedRun.open(run))).save(tmp_path / "page.html")
    show(browser, tmp_path / "page.html", run=20, text="to be")
    text, found = in_python(browser, run, tmp_path)
    assert found == pytest.approx(loss(browser), rel=1e-9)
    assert text == "\n" + browser.evaluate("document.getElementById('read-typed').value")
    give(browser, "read-typed", "")
    assert browser.evaluate("now.frame.characters") == ["\n"]
    clean(browser)


def test_a_text_is_typed_clicked_written_and_taken_back(browser: Browser, page: Path) -> None:
    show(browser, page, speed=60)  # faster, it would be full before a test can pause it
    value = "document.getElementById('read-typed').value"
    do(browser, "document.getElementById('read-typed').select()")
    browser.type("to bé")
    settled(browser)
    assert browser.evaluate(value) == "to b"
    assert "Left out: “é”" in browser.evaluate("document.querySelector('#place').textContent")
    shown = browser.evaluate("[...document.querySelectorAll('.seen span')].map(s => s.textContent).join('')")
    assert shown == "to b"
    before = loss(browser)
    likeliest = do(browser, "document.querySelector('.next .label').textContent")
    do(browser, "document.querySelector('.next button').click()")
    after = browser.evaluate(value)
    assert after == "to b" + likeliest.replace("␣", " ")
    do(browser, "document.getElementById('step').click()")
    assert len(browser.evaluate(value)) == 6
    do(browser, "document.getElementById('undo').click()")
    assert browser.evaluate(value) == after
    do(browser, "document.getElementById('undo').click()")
    assert (browser.evaluate(value), loss(browser)) == ("to b", before)
    browser.evaluate("document.activeElement.blur()")
    browser.key("ArrowRight")
    settled(browser)
    browser.wait_for(f"{value}.length === 5")
    browser.key(" ", " ")
    browser.wait_for(f"{value}.length > 40", 20)
    browser.key(" ", " ")
    settled(browser)
    written = browser.evaluate(value)
    address = browser.evaluate("location.href")
    kept = loss(browser)
    browser.wait_for("new URLSearchParams(location.hash).get('text').length === now.frame.text.length")
    address = browser.evaluate("location.href")
    browser.open(address)
    settled(browser)
    assert (browser.evaluate(value), loss(browser)) == (written, pytest.approx(kept, rel=1e-12))
    give(browser, "read-typed", "")
    assert "Type at least one character" in browser.evaluate("document.querySelector('#place').textContent")
    assert browser.evaluate("document.getElementById('step').disabled && document.getElementById('play').disabled")
    assert browser.evaluate("document.getElementById('locked').textContent") == "type a character first"
    browser.evaluate("act('step')")
    browser.wait_for("document.body.dataset.error.includes('type at least one character')")
    assert browser.console == []


def test_every_view_shows_and_answers(browser: Browser, page: Path) -> None:
    show(browser, page, text="whether")
    views = browser.evaluate("[...document.querySelectorAll('[data-set=view]')].map(b => b.textContent)")
    for view in views:
        press(browser, view)
        assert browser.evaluate("[...document.querySelectorAll('.panel')].filter(p => !p.hidden).length") == 1
    press(browser, "Numbers")
    do(browser, "document.querySelector('[data-set=layer][value=\"1\"]').click()")
    do(browser, "document.querySelector('[data-set=head][value=\"1\"]').click()")
    assert browser.evaluate("[now.frame.layer, now.frame.head]") == [1, 1]
    pressed = (
        "[...document.querySelectorAll('.choices [data-set=layer], .choices [data-set=head]')].map(b => b.textContent)"
    )
    assert browser.evaluate(pressed) == ["1", "2", "1", "2"]  # counted as in the titles
    assert "head 2.2" in browser.evaluate("document.querySelector('.stages').textContent")
    do(browser, "document.querySelector('.seen').focus()")
    browser.key("ArrowLeft")
    settled(browser)
    assert browser.evaluate("now.frame.at") == 2  # the model sees “ther”: windows overlap by half
    labels = browser.evaluate("[...document.querySelectorAll('.stages canvas')].map(c => c.getAttribute('aria-label'))")
    assert len(labels) == 17
    for i in range(len(labels)):
        browser.evaluate(f"document.querySelectorAll('.stages canvas')[{i}].focus()")
        browser.key("ArrowRight")
        browser.key("Enter")
        browser.wait_for("!document.getElementById('explained').hidden")
        settled(browser)
    value = browser.evaluate("document.querySelector('#explained .big').textContent")
    assert "probability of" in browser.evaluate("document.getElementById('explained-title').textContent")
    assert value
    steps = 0
    while browser.evaluate("document.querySelectorAll('#explained-body li button').length"):
        do(browser, "[...document.querySelectorAll('#explained-body li button')].at(-1).click()")
        steps += 1
        assert steps < 60
    told = browser.evaluate("document.getElementById('explained-body').textContent")
    assert "training found this number" in told
    assert "In this page it is rounded to 16 bits." in told
    assert "  gradient " in browser.evaluate("document.querySelector('#explained .big').textContent")
    assert "Gradient: how fast the loss of your text grows when this number grows." in told
    do(browser, "document.getElementById('explained-close').click()")
    do(
        browser,
        """(c => { const r = c.getBoundingClientRect();
          c.dispatchEvent(new PointerEvent('pointermove', { clientX: r.left + 9, clientY: r.top + 9 })); }
        )(document.querySelectorAll('.stages canvas')[5])""",
    )
    browser.wait_for("!document.querySelector('.tip').hidden")
    assert "query" in browser.evaluate("document.querySelector('.tip').textContent")
    press(browser, "All heads")
    for i in range(4):
        browser.evaluate(f"document.querySelectorAll('.heads canvas')[{i}].focus()")
        browser.key("ArrowLeft")
        assert "looks at" in browser.evaluate("document.activeElement.getAttribute('aria-label')")
    browser.key("Enter")
    browser.wait_for("!document.getElementById('explained').hidden")
    assert browser.evaluate("document.getElementById('explained-title').textContent").startswith("how much")
    clean(browser)


def test_parts_are_switched_off_and_tried(browser: Browser, page: Path) -> None:
    show(browser, page, text="whether", view="off")
    whole = loss(browser)
    parts = browser.evaluate("[...document.querySelectorAll('[data-part]')].map(b => b.dataset.part)")
    assert len(parts) == 2 * (2 + 3) + 1
    press(browser, "Which head")
    browser.wait_for("document.querySelectorAll('.switches .value:not(:empty)').length === 4")
    press(browser, "Try every part")
    browser.wait_for("document.querySelectorAll('.switches .value:not(:empty)').length === 11")
    tried = browser.evaluate("[...document.querySelectorAll('[data-part]')].map(b => b.title)")
    for part, title in zip(parts, tried, strict=True):
        do(browser, f"document.querySelector('[data-part=\"{part}\"]').click()")
        assert (
            browser.evaluate(f"document.querySelector('[data-part=\"{part}\"]').getAttribute('aria-pressed')")
            == "false"
        )
        said = browser.evaluate("document.querySelector('.panel .big:not([hidden])').textContent")
        assert (
            f"{browser.evaluate(f'number({whole})')} → {browser.evaluate(f'number({loss(browser)})')} without" in said
        )
        assert f"loss {browser.evaluate(f'number({loss(browser)})')} " in title
        do(browser, f"document.querySelector('[data-part=\"{part}\"]').click()")
        assert loss(browser) == whole
    do(browser, "document.querySelector('[data-part=\"h.0.mlp\"]').click()")
    assert "1 part off" in browser.evaluate("document.getElementById('status').textContent")
    press(browser, "Numbers")
    assert "is off" in browser.evaluate("document.querySelector('.stages').innerText")
    press(browser, "Switch parts")
    press(browser, "Switch all on")
    assert loss(browser) == whole
    clean(browser)


def test_the_training_again(browser: Browser, page: Path) -> None:
    show(browser, page, text="th", view="time", watch="e")
    losses = []
    for i in range(3):
        give(browser, "read-at", i)
        losses.append(loss(browser))
    rows = browser.evaluate(
        "[...document.querySelectorAll('.scroll tr')].map(r => [...r.children].map(c => c.textContent))"
    )
    assert rows[0] == ["after step", "0", "20", "40"]
    assert rows[1][1:] == [browser.evaluate(f"number({x})") for x in losses]
    assert rows[2][0] == "probability of “e”"
    assert losses[0] > losses[2]
    give(browser, "read-watch", "h")
    assert "probability of “h”" in browser.evaluate("document.querySelector('.scroll').textContent")
    assert "watch=h" in browser.evaluate("new Promise(done => setTimeout(() => done(location.hash), 500))")
    clean(browser)


def test_sliders_change_the_bars(browser: Browser, page: Path) -> None:
    show(browser, page)
    bars = "[...document.querySelectorAll('.next .value')].map(b => b.textContent)"
    before = browser.evaluate(bars)
    assert "text=" not in browser.evaluate("location.hash")  # the address leaves out what is so anyway
    give(browser, "set-temperature", 0.3)
    assert browser.evaluate(bars) != before
    give(browser, "set-topK", 3)
    assert browser.evaluate(bars).count("0 %") == 4
    give(browser, "set-topP", 0.05)
    assert browser.evaluate(bars) == ["100 %"] + ["0 %"] * 6
    give(browser, "set-topP", 1)
    give(browser, "set-topK", 41)
    give(browser, "set-temperature", 0)
    assert browser.evaluate(bars) == ["100 %"] + ["0 %"] * 6
    clean(browser)


def test_a_model_of_another_screen_is_opened(browser: Browser, page: Path, run: Path) -> None:
    show(browser, page, text="to be")
    saved = SavedRun.open(run)
    tables = saved.model.state_dict()
    flat = {
        name: [x for row in table for x in (row if isinstance(row, list) else [row])] for name, table in tables.items()
    }
    config = {name: getattr(saved.config.model, name) for name in vars(saved.config.model)}
    given = {
        "name": "mine",
        "step": 5,
        "config": config,
        "alphabet": saved.tokenizer.alphabet,
        "weights": flat,
        "text": "to be",
    }
    expected = saved.model.loss(saved.tokenizer.encode("to b"), saved.tokenizer.encode("o be")).data
    browser.evaluate(f"openInReader(handle(now), {json.dumps(given)})")
    browser.wait_for("now.settings.model === 'mine' && now.frame")
    settled(browser)
    assert browser.evaluate("now.frame.name") == "mine"
    assert browser.evaluate("document.querySelector('.by select').value") == "mine"
    assert loss(browser) == pytest.approx(expected, rel=1e-5)
    assert "does not hold your model" in browser.evaluate("now.view.link()")
    select = "document.querySelector('.by select')"
    do(browser, f"void ({select}.value = 'read', {select}.dispatchEvent(new Event('change')))")
    browser.wait_for("now.frame.name === 'run'")
    clean(browser)


def pick(browser: Browser, *files: Path) -> None:
    """Choose files, as in the window that the button opens."""
    field = browser.call("Runtime.evaluate", expression="document.getElementById('read-file')")["result"]["objectId"]
    browser.call("DOM.setFileInputFiles", files=[str(file) for file in files], objectId=field)


def drop(browser: Browser, name: str, content: bytes) -> None:
    """Drop a file on the page."""
    packed = base64.b64encode(content).decode()
    browser.evaluate(f"""(data => {{
        const bytes = Uint8Array.from(atob({packed!r}), letter => letter.charCodeAt(0)), how = {{ bubbles: true }};
        data.items.add(new File([bytes], {name!r}));
        document.getElementById("place").dispatchEvent(new DragEvent("drop", {{ dataTransfer: data, ...how }}));
    }})(new DataTransfer())""")


def test_a_file_is_opened_and_the_model_of_the_page_comes_back(
    browser: Browser, page: Path, run: Path, tmp_path: Path
) -> None:
    exported = tmp_path / "mine-40.safetensors"
    assert main(["export", str(run), str(exported)]) == 0
    show(browser, page, text="to be", off="h.0.mlp", at=20)
    saved = SavedRun.open(run)
    tokens = saved.tokenizer.encode("to be")
    expected = saved.model.loss(tokens[:-1], tokens[1:]).data
    inside = "document.getElementById('place').innerText"
    for files, precise in (
        ([exported], 1e-6), ([run / name for name in ("model.safetensors", "config.json", "tokenizer.json")], 1e-12),
    ):  # fmt: skip
        pick(browser, *files)
        browser.wait_for(f"now.frame?.opened === '{files[0].name}' && document.body.dataset.busy === ''")
        settled(browser)
        assert loss(browser) == pytest.approx(expected, rel=precise)
        assert browser.evaluate("[now.settings.off, now.frame.snapshots[0].step]") == ["", 40]
        assert f", opened from {files[0].name}" in browser.evaluate(inside)
        folder = tmp_path / "mine"
        if files == [exported]:
            assert main(["import", str(exported), str(folder), "--data", str(run.parent / "text.txt")]) == 0
        assert in_python(browser, folder if files == [exported] else run, tmp_path)[1] == pytest.approx(
            loss(browser), rel=1e-9
        )
        browser.evaluate("document.querySelector('dialog .close').click()")
    press(browser, "Back to run")
    browser.wait_for("now.frame.name === 'run' && !now.frame.own")
    settled(browser)
    drop(browser, exported.name, exported.read_bytes())
    browser.wait_for("now.frame?.own && now.frame.opened === 'mine-40.safetensors'")
    settled(browser)
    clean(browser)


def test_a_file_that_is_no_model_is_refused_in_a_sentence(browser: Browser, run: Path, tmp_path: Path) -> None:
    play_page(screens=["read"]).save(tmp_path / "page.html")
    show(browser, tmp_path / "page.html")
    good = (run / "model.safetensors").read_bytes()
    header = int.from_bytes(good[:8], "little")
    tables = {**json.loads(good[8 : 8 + header]), "__metadata__": {"tinygrad_edu": json.dumps({"model_args": {}})}}
    bare = json.dumps(tables).encode()
    no_alphabet = len(bare).to_bytes(8, "little") + bare + good[8 + header :]
    export = tmp_path / "exported.safetensors"
    assert main(["export", str(run), str(export)]) == 0
    content = export.read_bytes()
    for name, given, words in (
        ("model.pt", b"x", "Expected a .safetensors file, got model.pt: “python3 run.py gpt export"),
        ("a.safetensors", b"x", "expected at least 10 bytes, got 1"),
        ("a.safetensors", b"x" * 40, "its header is longer than the file"),
        ("a.safetensors", content[:-4], "bytes, got"),
        ("a.safetensors", content.replace(b"transformer.wpe.weight", b"transformer.wpq.weight"), "wpq.weight, which"),
        ("a.safetensors", content.replace(b'head\\": 2', b'head\\": 3'), "expected n_head to be a divisor of n_embd 4"),
        ("a.safetensors", content.replace(b'size\\": 6', b'size\\": 5'), "should be 5 × 4 numbers, got 6 × 4"),
        ("a.safetensors", content.replace(b'"F32"', b'"I32"'), "numbers of type I32"),
        ("a.safetensors", no_alphabet, "which characters its model knows"),
        ("model.safetensors", good, "choose config.json and tokenizer.json together with it"),
    ):  # fmt: skip
        browser.evaluate("document.querySelector('.refused').textContent = ''")
        drop(browser, name, given)
        browser.wait_for(f"document.querySelector('.refused').innerText.includes({json.dumps(words)})")
    pick(browser, run / "model.safetensors", run / "best.safetensors")
    browser.wait_for("document.querySelector('.refused').innerText.includes('Expected one .safetensors file, got')")
    drop(browser, "a.safetensors", content)
    browser.wait_for("now.frame?.own && document.querySelector('.refused').hidden")
    settled(browser)
    clean(browser)


def test_a_link_to_a_model_of_a_page_says_that_it_is_not_here(browser: Browser, page: Path) -> None:
    told = "document.getElementById('place').innerText"
    show(browser, page)
    assert "A link does not hold the model" not in browser.evaluate(told)
    show(browser, page, model="mine", text="to be")
    assert "A link does not hold the model" in browser.evaluate(told)
    width = browser.evaluate("parseFloat(document.querySelector('.next .fill').style.width)")
    assert width == pytest.approx(100 * browser.evaluate("Math.max(...now.frame.chances)"), abs=0.01)
    for text in ("", "ß€"):
        give(browser, "read-typed", text)
        said = browser.evaluate("document.getElementById('status').textContent")
        assert "NaN" not in said
        assert "loss of your text" not in said
    clean(browser)


def test_without_a_model_one_sentence_says_how_to_get_one(browser: Browser, tmp_path: Path) -> None:
    play_page(screens=["read"]).save(tmp_path / "page.html")
    show(browser, tmp_path / "page.html")
    assert "There is no trained model in this page. Run “python3 run.py”" in browser.evaluate("document.body.innerText")
    assert browser.evaluate("document.getElementById('play').disabled")
    clean(browser)


VIEWS = ("flow", "heads", "off", "time")


@pytest.mark.parametrize("view", VIEWS)
def test_it_fits_a_laptop_a_projector_and_a_telephone(browser: Browser, page: Path, view: str) -> None:
    try:
        for width, height, theme in ((1280, 720, "light"), (1280, 720, "beamer"), (375, 720, "light")):
            browser.call(
                "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
            )
            last = view != "flow" or theme == "light"  # its probabilities have no room in large letters
            show(browser, page, view=view, theme=theme, layer=int(last))
            assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
            if width == 1280:
                assert browser.evaluate("document.documentElement.scrollHeight") <= 720
            size = "e => parseFloat(getComputedStyle(e).fontSize)"
            smallest = f"Math.min(...[...document.querySelectorAll('body *')].filter(e => e.offsetParent).map({size}))"
            assert browser.evaluate(smallest) >= 14
    finally:
        browser.call("Emulation.clearDeviceMetricsOverride")


@pytest.mark.axe
@pytest.mark.parametrize("theme", ["light", "dark", "beamer"])
@pytest.mark.parametrize("view", VIEWS)
def test_it_is_accessible(browser: Browser, page: Path, view: str, theme: str) -> None:
    show(browser, page, view=view, theme=theme, layer=1, text="question not")  # longer than the context
    check_accessible(browser)


def test_no_control_makes_a_fault(browser: Browser, page: Path) -> None:
    tools = (Path(__file__).parent / "meddle.js").read_text(encoding="utf-8")
    for view in VIEWS:
        show(browser, page, view=view, text="to", speed=0)
        browser.evaluate(f"{tools}; window.found = undefined; meddle().then(found => {{ window.found = found; }}); 0")
        browser.wait_for("window.found !== undefined", 120)
        assert browser.evaluate("window.found") == []
        assert browser.console == []
