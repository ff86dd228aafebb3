"""The report of a painter: every section, and the numbers in it are those of the model."""

from __future__ import annotations

import html
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from image.cli import main
from image.dataset import batch, shown_first, validation
from image.pictures import report
from image.pictures.attention import looked
from image.run import SavedRun
from image.sample import Sampler, noise
from image.train import VALIDATED, make_engine
from tests.commands import refusal
from tests.image.conftest import TINY
from tests.image.test_model import CONFIGS, plain, stirred
from tests.viz.browser import Browser
from tinygrad_edu import record_calls
from viz.style import number

NAMES = [name for name, _, _ in report.SECTIONS]
LEFT_OUT = {
    "points": {"guidance", "attention"},
    "digits": {"guidance", "attention"},
    "digits-class": {"attention"},
    "shapes-text": set(),
    "shapes-latent": set(),
}


@pytest.fixture(scope="session")
def reported(trained: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The report of each run, outside its folder; read only."""
    folder = tmp_path_factory.mktemp("reports")
    for name, run in trained.items():
        before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
        assert main(["report", str(run), "-o", str(folder / name)]) == 0
        assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    return {name: folder / name for name in trained}


def facts(page: Path) -> dict[str, str]:
    """Return what the pictures of a chart say about themselves, by their names."""
    content = html.unescape(page.read_text(encoding="utf-8"))
    return dict(re.findall(r"<title>([^<]+): (from [^<]+)</title>", content))


def from_to(picture: Any) -> str:
    return f"from {number(picture.min(), 3)} to {number(picture.max(), 3)}"


@pytest.mark.parametrize("name", TINY)
def test_every_section_is_made_and_every_link_has_a_target(name: str, reported: dict[str, Path]) -> None:
    content = (reported[name] / "index.html").read_text(encoding="utf-8")
    assert re.findall(r'<section id="([^"]+)"', content) == [n for n in NAMES if n not in LEFT_OUT[name]]
    assert "This could not be made" not in content
    assert "do not add up" not in content  # of the gradients of two losses
    links = set(re.findall(r'href="([\w-]+\.html)"', content))
    assert links == {path.name for path in reported[name].iterdir()} - {"index.html"}
    assert content.count("<strong>Look for</strong>") == len(NAMES) - len(LEFT_OUT[name])
    assert "nats" not in content


@pytest.mark.parametrize("name", TINY)
def test_it_says_what_the_run_is_and_its_loss(name: str, reported: dict[str, Path], trained: dict[str, Path]) -> None:
    content = (reported[name] / "index.html").read_text(encoding="utf-8")
    this = SavedRun.open(trained[name])
    assert f"with {len(this.model.parameters()):,} scalars: " in content
    loss = make_engine(this.model, this.config.train).evaluate(validation(this.config.model, VALIDATED))
    assert f"Validation loss {loss:.4f}: " in content
    assert str(trained[name].parent) not in content  # the page can be shared


@pytest.mark.parametrize("name", ["digits", "digits-class", "shapes-text", "shapes-latent"])
def test_what_it_shows_is_what_the_model_paints(name: str, reported: dict[str, Path], trained: dict[str, Path]) -> None:
    this = SavedRun.open(trained[name])
    config, seed = this.config.model, this.config.train.seed
    told = shown_first(config, report.SHOWN)
    painter = Sampler(this.model)
    made = painter.paint(told, seed)
    samples, way = (facts(reported[name] / file) for file in ("samples.html", "way.html"))
    at_last = [about for title, about in samples.items() if title.startswith("step 4")] or [samples["step 4"]]
    columns = 1 if config.condition != "class" else report.SHOWN  # without names, the pictures of a row share one
    assert at_last == [from_to(picture) for picture in made[-columns:]]
    first = painter.pictures(noise(config, report.SHOWN, seed))[0]
    assert next(iter(way.values())) == from_to(first)
    if not config.latent:  # a model that has not trained yet says 0 everywhere: the noise stays
        untrained = [about for title, about in samples.items() if title.startswith("step 0")]
        assert untrained[-1] == from_to(np.clip(noise(config, report.SHOWN, seed)[-1], -1.0, 1.0))


def test_the_grid_of_guidance_is_painted_with_that_guidance(
    reported: dict[str, Path], trained: dict[str, Path]
) -> None:
    this = SavedRun.open(trained["digits-class"])
    told, found = shown_first(this.config.model, report.SHOWN), facts(reported["digits-class"] / "guidance.html")
    assert len(found) == report.SHOWN * len(report.GUIDANCES)
    for guidance in report.GUIDANCES:
        made = Sampler(this.model).paint(told, this.config.train.seed, guidance=guidance)
        assert [found[f"{i}, s = {guidance:g}"] for i in range(report.SHOWN)] == [from_to(x) for x in made]


def test_every_guidance_paints_something_else(
    trained: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    this, rng = SavedRun.open(trained["digits-class"]), random.Random(2)
    for p in this.model.parameters():  # so that it matters what the model is told: four steps have hardly taught it
        p.data += rng.gauss(0.0, 0.2)
    shown: list[dict[str, Any]] = []
    pictures = report.viz.pictures
    monkeypatch.setattr(report.viz, "pictures", lambda rows, **more: shown.append(rows) or pictures(rows, **more))
    {name: make for name, _, make in report.SECTIONS}["guidance"](report.Subject(this, tmp_path))
    told, rows = shown_first(this.config.model, report.SHOWN), list(shown[0].values())
    for column, guidance in enumerate(report.GUIDANCES):
        made = Sampler(this.model).paint(told, this.config.train.seed, guidance=guidance)
        assert np.array([row[column] for row in rows]) == pytest.approx(made, abs=1e-6)
    assert not np.allclose(rows[0][0], rows[0][-1], atol=0.1)


def test_the_time_machine_has_a_picture_of_every_snapshot(reported: dict[str, Path]) -> None:
    for name in ("points", "digits", "shapes-latent"):
        content = (reported[name] / "timemachine.html").read_text(encoding="utf-8")
        assert re.findall(r"After step (\d+)", content) == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("name", ["text", "latent"])
def test_attention_to_words_is_what_the_heads_mix_with(name: str) -> None:
    config, model = CONFIGS[name], stirred(CONFIGS[name])
    _, _, _, words = plain(batch(config, 1, 0, 1, 0.0)[0])
    x = np.random.default_rng(3).standard_normal(config.numbers).tolist()
    heads = looked(model, x, 0.4, words)
    assert heads.shape == (config.layers, config.heads, config.across**2, len(words))
    with record_calls() as calls:
        model(x, 0.4, words)
    mixed = [call for top in calls.calls for call in top.walk() if call.path.endswith("cross.head")]
    size = config.width // config.heads
    for call, weights in zip(mixed, heads.reshape(-1, *heads.shape[2:]), strict=True):
        values = np.array([v.data for v in call.inputs[-size * len(words) :]]).reshape(len(words), size)
        outputs = np.array([v.data for v in call.outputs]).reshape(-1, size)
        assert np.abs(weights @ values - outputs).max() < 1e-12
        assert np.abs(weights.sum(axis=1) - 1.0).max() < 1e-12


def test_a_run_without_snapshots_says_so(trained: dict[str, Path], tmp_path: Path) -> None:
    flags = [*TINY["digits"], "--keep", "0", "--out", str(tmp_path / "run")]
    assert main(["train", *flags]) == 0
    assert main(["report", str(tmp_path / "run")]) == 0
    content = (tmp_path / "run" / "report" / "index.html").read_text(encoding="utf-8")
    assert content.count("This run kept no snapshots") == 2
    assert not (tmp_path / "run" / "report" / "timemachine.html").exists()
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert "a report is a folder, and" in refusal(main, "report", str(tmp_path / "run"), "-o", str(tmp_path / "file"))


def test_the_pages_open_without_an_error_or_a_request(reported: dict[str, Path], browser: Browser) -> None:
    for name in ("points", "shapes-text"):
        for path in sorted(reported[name].iterdir()):
            browser.open(path.as_uri())
            assert (path.name, browser.console) == (path.name, [])
            assert [r for r in browser.requests if not r.startswith(("file:", "data:", "blob:"))] == []
        browser.open((reported[name] / "index.html").as_uri())
        for width in (375, 1280):
            size = {"width": width, "height": 720}
            browser.call("Emulation.setDeviceMetricsOverride", **size, deviceScaleFactor=1, mobile=False)
            assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
        browser.call("Emulation.clearDeviceMetricsOverride")
