"""The report of a run: every section exists, every link leads to a file in its folder, nothing is loaded online."""

from __future__ import annotations

import math
import re
import shutil
import weakref
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import viz
from gpt.cli import main
from gpt.commands import draw
from gpt.config import GPTConfig, preset
from gpt.inspection import loss_graph
from gpt.inspection.observer import observed
from gpt.model import parameter_shapes
from gpt.pictures import report
from gpt.runs import checkpoint
from gpt.runs.saved_run import SavedRun
from tests.commands import refusal
from tests.viz.browser import Browser
from tests.viz.charts import check_accessible
from tinygrad_edu import collector_paused, topological_order
from tinygrad_edu.compiler import Compiled
from tinygrad_edu.training import snapshots
from viz.graph import regions

NAMES = [name for name, _, _ in report.SECTIONS]
WAITING = "This could not be made"


@pytest.fixture(scope="session")
def trained(text: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a run of a few steps with the report that train writes; read only."""
    folder = tmp_path_factory.mktemp("reported")
    (folder / "text.txt").write_text(text, encoding="utf-8")
    words = ["--preset", "micro", "--n-embd", "4", "--n-head", "2", "--block-size", "6", "--batch-size", "2"]
    words += ["--eval-sequences", "3", "--final-eval-sequences", "5", "--eval-interval", "4", "--sample-interval", "0"]
    run = folder / "run"
    assert main(["train", "--data", str(folder / "text.txt"), *words, "--steps", "8", "--out", str(run)]) == 0
    return run


class Page(HTMLParser):
    """The ids and links of a page.

    Attributes:
        ids: of elements, in order.
        links: addresses that it links to or loads.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, content in attrs:
            if name == "id":
                self.ids.append(content or "")
            elif name in ("href", "src", "xlink:href"):
                self.links.append(content or "")


def test_every_section_is_made_and_every_link_has_a_target(trained: Path) -> None:
    folder = trained / "report"
    page = Page(folder / "index.html")
    assert [name for name in page.ids if name in NAMES] == NAMES
    assert WAITING not in (folder / "index.html").read_text(encoding="utf-8")
    beside = [link for link in page.links if not link.startswith(("#", "data:"))]
    assert sorted(set(beside)) == sorted(path.name for path in folder.iterdir() if path.name != "index.html")
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids)), "a name that occurs twice"


def test_every_section_and_every_page_says_what_to_look_for(trained: Path) -> None:
    assert list(report.LOOK_FOR) == NAMES
    look = "<strong>Look for</strong>"
    for path in (trained / "report").iterdir():
        content = path.read_text(encoding="utf-8")
        if path.name == "index.html":
            assert content.count(look) == len(NAMES)
        elif path.name != "playground.html":  # that has tasks
            assert content.count(look) == 1, path.name
            assert content.index("</header>") < content.index(look)


def test_it_shows_the_settings_and_results_of_the_run(trained: Path) -> None:
    content = (trained / "report" / "index.html").read_text(encoding="utf-8")
    model, config, _, _ = checkpoint.load_model(trained)
    assert f"A GPT of {len(model.parameters()):,} scalars: 1 layer of 2 heads" in content
    assert "It has made 8 steps of 2 sequences each on text.txt: 96 characters" in content
    last = checkpoint.read_log(trained)[-1]["val_loss"]
    assert f"Validation loss {last:.4f} nats per character" in content
    assert str(trained.parent) not in content  # the page can be shared
    figures = re.findall(r"<figcaption>after step (\d+)</figcaption><pre>(.*?)</pre>", content, re.DOTALL)
    assert [int(step) for step, _ in figures] == [0, 2, 3, 5, 6, 8]
    assert config.train.keep == len(snapshots.taken(trained)) == 9


def test_the_pages_open_without_an_error_or_a_request(trained: Path, browser: Browser) -> None:
    for path in sorted((trained / "report").iterdir()):
        browser.open(path.as_uri())
        assert (path.name, browser.console) == (path.name, [])
        assert [r for r in browser.requests if not r.startswith(("file:", "data:", "blob:"))] == []
    browser.open((trained / "report" / "index.html").as_uri())
    assert browser.evaluate("[...document.querySelectorAll('.picture svg')].every(s => s.getBBox().width > 50)")
    size = {"width": 1280, "height": 720}
    browser.call("Emulation.setDeviceMetricsOverride", **size, deviceScaleFactor=1, mobile=False)
    cut = "p => p.scrollHeight > p.clientHeight && p.clientHeight < 800"
    assert browser.evaluate(f"[...document.querySelectorAll('.picture')].filter({cut}).length") == 0
    for width in (375, 1400):
        browser.call("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
        assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    browser.call("Emulation.clearDeviceMetricsOverride")
    browser.evaluate("void setTimeout(() => document.querySelector('a[href=\"timemachine.html\"]').click())")
    browser.wait_for("location.pathname.endsWith('timemachine.html') && document.readyState === 'complete'")
    assert browser.evaluate("FRAMES.length") == 9


@pytest.mark.axe
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_is_accessible(trained: Path, browser: Browser, theme: str) -> None:
    browser.open((trained / "report" / "index.html").as_uri())
    browser.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    check_accessible(browser)


def test_a_report_changes_nothing_in_the_run(trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    snapshots.taken(run)[8].unlink()  # stopped between two snapshots: the last one is not the model
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    this = observed(SavedRun.open(run))
    numbers = [p.data for p in this.model.parameters()]
    loss = this.engine.evaluate(this.corpus.validation(6, 3))
    report.write(report.Subject(this, tmp_path / "elsewhere"))
    assert [p.data for p in this.model.parameters()] == numbers
    assert (this.step, this.engine.evaluate(this.corpus.validation(6, 3))) == (8, loss)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    content = (tmp_path / "elsewhere" / "index.html").read_text(encoding="utf-8")
    steps = re.findall(r"<figcaption>after step (\d+)</figcaption>", content)
    assert steps[-2:] == ["7", "8"]
    assert "Embeddings after step 8" in content


def test_the_graph_is_searched_once_for_all_sections(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    find = regions.find
    monkeypatch.setattr(regions, "find", lambda graph, calls: sizes.append(len(graph)) or find(graph, calls))
    subject = report.Subject(observed(SavedRun.open(trained)), tmp_path)
    report.write(subject)
    loss, calls = subject.recorded.loss, subject.recorded.calls
    assert sizes == [len(topological_order(loss))]
    viz.flow(loss, calls=calls)
    assert len(sizes) == 2, "what changes between two drawings would not be seen"


def test_a_large_model_is_measured_whole_and_its_last_blocks_are_drawn(
    train_arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*train_arguments, "--n-layer", "3", "--steps", "1", "--out", str(tmp_path / "run")]
    assert main(arguments) == 0
    monkeypatch.setattr(report, "SEARCHED_SCALARS", 1)
    monkeypatch.setattr(report, "WHOLE", 1)
    subject = report.Subject(observed(SavedRun.open(tmp_path / "run")), tmp_path / "out")
    report.write(subject)
    content = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert WAITING not in content
    assert "as the last block of 3 and the head compute it: what comes before is given as numbers" in content
    flow = (tmp_path / "out" / "flow.html").read_text(encoding="utf-8")
    for block in range(3):
        assert f'data-name="transformer.h.{block}"' in flow
        assert f'data-name="transformer.h.{block}.mlp.c_fc.weight"' in flow
    assert 'data-name="transformer.h.2.mlp"' in flow
    assert 'data-name="transformer.h.1.mlp"' not in flow
    monkeypatch.setattr(draw, "LARGEST", 1)
    monkeypatch.setattr(draw, "WHOLE", 1)
    assert main(["draw", "--checkpoint", str(tmp_path / "run"), "--out", str(tmp_path / "loss.svg")]) == 0
    assert "as the last block of 3 and the head compute it" in capsys.readouterr().out
    assert "h.2.attn" in (picture := (tmp_path / "loss.svg").read_text(encoding="utf-8"))
    assert "h.1.attn" not in picture


def test_presets_smaller_than_base_are_drawn_whole() -> None:
    for name, whole in (("micro", True), ("small", True), ("nano", True), ("base", False)):
        config = GPTConfig(**preset(name).model | {"vocab_size": 65})
        scalars = 2 * sum(math.prod(shape) for _, shape in parameter_shapes(config))
        assert (scalars <= loss_graph.WHOLE) is whole, name


def test_a_run_without_snapshots_explains_how_to_get_a_time_machine(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run, ignore=shutil.ignore_patterns("snapshots", "report"))
    assert main(["report", str(run)]) == 0
    assert f"Wrote {run / 'report' / 'index.html'}" in capsys.readouterr().out
    content = (run / "report" / "index.html").read_text(encoding="utf-8")
    assert content.count("gpt train --keep 20") == 2
    assert (
        "This is the loss on 6 characters of the validation text; without dropout, compiled for the report." in content
    )
    assert WAITING not in content
    assert not (run / "report" / "timemachine.html").exists()


def test_an_interrupted_run_is_reported_up_to_its_last_step(trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run, ignore=shutil.ignore_patterns("report"))
    config = (run / "config.json").read_text(encoding="utf-8")
    (run / "config.json").write_text(config.replace('"steps": 8', '"steps": 80'), encoding="utf-8")
    assert main(["report", str(run), "-o", str(tmp_path / "out")]) == 0
    content = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "The run stopped after 8 of 80 steps" in content
    assert WAITING not in content


@pytest.mark.parametrize("engine", ["scalar", pytest.param("torch", marks=pytest.mark.torch)])
def test_the_report_is_complete_for_every_engine(engine: str, train_arguments: list[str], tmp_path: Path) -> None:
    arguments = [word for word in train_arguments if word != "--no-draw"]
    more = ["--engine", engine, "--steps", "2", "--dropout", "0.1", "--positions", "rotary", "--keep", "2"]
    assert main([*arguments, "--out", str(tmp_path / "run"), *more]) == 0
    content = (tmp_path / "run" / "report" / "index.html").read_text(encoding="utf-8")
    assert WAITING not in content


def test_a_failed_section_has_a_message_and_the_run_does_not_fail(
    train_arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise viz.LayoutError("no program can lay this out; install <graphviz>")

    monkeypatch.setattr(viz, "embeddings", fails)
    arguments = [word for word in train_arguments if word != "--no-draw"]
    assert main([*arguments, "--steps", "2", "--out", str(tmp_path / "run"), "--keep", "0"]) == 0
    content = (tmp_path / "run" / "report" / "index.html").read_text(encoding="utf-8")
    assert f"{WAITING}: no program can lay this out; install &lt;graphviz&gt;" in content
    assert content.count(WAITING) == 1


def test_the_graph_of_a_large_model_is_made_only_on_request(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, browser: Browser
) -> None:
    monkeypatch.setattr(loss_graph, "UNASKED", 100)
    monkeypatch.setattr(loss_graph, "END_UNASKED", 100)
    assert main(["report", str(trained), "-o", str(tmp_path)]) == 0
    content = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert re.findall(r'<section id="([^"]*)"[^>]*><h2[^>]*>[^<]*</h2><p class="missing">', content) == [
        "flow", "graph", "explorer",
    ]  # fmt: skip
    assert (tmp_path / "program.html").exists()
    assert f"gpt draw {trained}" in content
    browser.open((tmp_path / "timemachine.html").as_uri())
    assert browser.console == []
    assert browser.evaluate("[$('flowpart').hidden, $('flowpart').clientHeight, FRAMES.length]") == [True, 0, 9]


def test_a_run_can_be_made_without_a_report(train_arguments: list[str], tmp_path: Path) -> None:
    arguments = [word for word in train_arguments if word != "--no-draw"]
    assert main([*arguments, "--steps", "2", "--out", str(tmp_path / "run"), "--no-report"]) == 0
    assert (tmp_path / "run" / "loss.svg").exists()
    assert not (tmp_path / "run" / "report").exists()
    assert not snapshots.taken(tmp_path / "run")


def test_an_impossible_request_is_one_sentence(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert "a report is a folder, and" in refusal(main, "report", str(trained), "-o", str(tmp_path / "file"))
    assert f"cannot write or read {tmp_path / 'file' / 'inside'}" in refusal(
        main, "report", str(trained), "-o", str(tmp_path / "file" / "inside")
    )
    assert "expected a folder that train has written" in refusal(main, "report", str(tmp_path))


def test_every_picture_is_bounded_for_a_large_alphabet(tmp_path: Path) -> None:
    """Check the bytes of every file, and the boxes of the graph, for a model with many characters."""
    size = 1000
    letters = [chr(0x4E00 + i) for i in range(size)]
    text = tmp_path / f"{size}.txt"
    text.write_text("".join(letters[i * i % size] if i % 2 else letters[i % size] for i in range(4000)), "utf-8")
    run, out = tmp_path / f"run{size}", tmp_path / f"report{size}"
    settings = ["--n-embd", "4", "--n-head", "2", "--block-size", "4", "--batch-size", "1", "--steps", "1"]
    arguments = ["train", "--data", str(text), "--preset", "micro", *settings, "--eval-sequences", "2"]
    assert main([*arguments, "--final-eval-sequences", "2", "--no-draw", "--keep", "0", "--out", str(run)]) == 0
    subject = report.Subject(observed(SavedRun.open(run)), out)
    report.write(subject)
    assert WAITING not in (out / "index.html").read_text(encoding="utf-8")
    assert len(subject.loss_drawing.picture.boxes) <= report.BOXES
    sizes = {path.name: path.stat().st_size for path in out.iterdir()}
    assert {name: n for name, n in sizes.items() if n > 1_000_000} == {}, size


@pytest.mark.parametrize("name", ["small", "nano", "base"])  # the others have layers of the same kinds
def test_a_report_compiles_each_program_once_and_records_one_loss(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Check the work, and the bytes of every file, for a small model built like each preset."""
    text = tmp_path / "text.txt"
    text.write_text("".join(chr(97 + i * i % 23) for i in range(2000)), "utf-8")
    small = ["--n-layer", "2", "--n-embd", "8", "--n-head", "2", "--block-size", "8", "--batch-size", "2"]
    short = ["--steps", "1", "--eval-sequences", "2", "--final-eval-sequences", "2", "--no-draw", "--keep", "0"]
    run, out = tmp_path / "run", tmp_path / "report"
    assert main(["train", "--data", str(text), "--preset", name, *small, *short, "--out", str(run)]) == 0
    compiled: list[str] = []
    recorded: list[int] = []
    monkeypatch.setattr(Compiled, "_compile", _noting(Compiled._compile, lambda it, *_: compiled.append(it._name)))
    monkeypatch.setattr(loss_graph, "record_calls", _noting(loss_graph.record_calls, lambda: recorded.append(1)))
    subject = report.Subject(observed(SavedRun.open(run)), out)
    with collector_paused():
        report.write(subject)
        assert WAITING not in (out / "index.html").read_text(encoding="utf-8")
        assert sorted(compiled) == ["GPT.loss", "_Opened.forward", "_Probed.loss", "_Programs.step"]
        assert len(recorded) == 1
        assert len(topological_order(subject.recorded.loss)) <= 1.2 * loss_graph.LARGEST
        assert len(subject.loss_drawing.picture.boxes) <= report.BOXES
        left = [weakref.ref(x) for x in (subject.recorded.loss, subject.run.model.transformer.wte.weight[0][0])]
        del subject
        assert [x() for x in left] == [None, None], "a cycle keeps a million numbers in memory"
    assert {path.name: n for path in out.iterdir() if (n := path.stat().st_size) > 1_500_000} == {}


def _noting(function: Any, note: Any) -> Any:
    def noted(*args: Any) -> Any:
        note(*args)
        return function(*args)

    return noted
