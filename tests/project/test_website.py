"""The site: every link leads somewhere, nothing asks for a network, and it can be read on every screen."""

from __future__ import annotations

import html
import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.viz.charts import check_accessible

ROOT = Path(__file__).parents[2]
SHOWN = ["index.html", "jit.html", "training.html", "faq.html", "gallery.html", "benchmarks.html", "architecture.html"]


@pytest.fixture(scope="module")
def website() -> ModuleType:
    spec = importlib.util.spec_from_file_location("website", ROOT / "docs" / "website.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(website: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the site, with one lesson, a playground without models, and no reference."""
    folder = tmp_path_factory.mktemp("host") / "some" / "folder"
    assert website.main([str(folder), "--fast"]) == 0
    return folder


def test_a_folder_that_cannot_be_made_is_one_sentence(
    website: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert website.main([str(tmp_path / "file")]) == 2
    assert capsys.readouterr().err == f"site: error: cannot write or read {tmp_path / 'file'}: File exists\n"


def test_every_page_of_the_project_is_there(site: Path) -> None:
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} | {"index", "play", "gallery", "contributing"}
    assert pages <= {path.stem for path in site.glob("*.html")}
    assert (site / "course" / "01_expression.html").exists()


def test_every_link_leads_somewhere_inside(site: Path) -> None:
    names: dict[Path, set[str]] = {}
    for path in site.rglob("*.html"):
        names[path.resolve()] = set(re.findall(r'\bid="([^"]+)"', path.read_text(encoding="utf-8")))
    wrong = []
    for path in site.rglob("*.html"):
        text = re.sub(r"<script.*?</script>|srcdoc=\"[^\"]*\"", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        for link in map(
            html.unescape, re.findall(r'<(?:a|link|iframe|img|script)\b[^>]*?(?:href|src)="([^"]+)"', text)
        ):
            if link.startswith(("data:", "https://")):
                continue
            file, _, name = link.partition("#")
            target = (path.parent / file).resolve() if file else path.resolve()
            known = names.get(target, set() if target.exists() else None)
            if known is None or (name and target.name != "play.html" and name not in known):
                wrong.append(f"{path.relative_to(site)}: {link}")
    assert wrong == []


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for path in site.rglob("*.html"):
        page = path.read_text(encoding="utf-8")
        assert re.findall(r'<(?:img|script|iframe|link)\b[^>]*(?:src|href)="(?:https?:)?//[^"]*', page) == [], path
        assert "default-src 'none'" in page, path


def test_the_landing_page_moves_and_begins_with_the_playground(site: Path) -> None:
    page = (site / "index.html").read_text(encoding="utf-8")
    body = page[page.index("<main") :]
    assert re.findall(r'href="([^"]+)"', body)[0] == "play.html"
    assert body.index("data:image/svg+xml") < body.index("<h2")
    assert "@keyframes" in (ROOT / "docs" / "moving.svg").read_text(encoding="utf-8")
    assert (ROOT / "docs" / "moving.svg").stat().st_size < 1_000_000


def test_the_whole_site_is_made_of_its_parts(
    website: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made: list[Any] = []
    monkeypatch.setattr(website.gpt.cli, "main", lambda words: made.append(words[0]) or 0)
    monkeypatch.setattr(website.lessons.cli, "main", lambda words: made.append(Path(words[1]).name) or 0)
    monkeypatch.setattr(website.run, "reference", lambda pages: made.append(pages.name) or 3)
    assert website.parts(tmp_path, None, fast=False) == 3
    assert made == ["play", "course", "reference"]


@pytest.mark.browser
@pytest.mark.parametrize("name", SHOWN)
def test_pages_fit_every_screen(name: str, site: Path, browser: Any) -> None:
    for width in (375, 1280, 1920):
        browser.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=720, deviceScaleFactor=1, mobile=width < 500
        )
        browser.open((site / name).as_uri())
        assert browser.evaluate("document.documentElement.scrollWidth") <= width, f"{name} is wider than {width} pixels"
        assert browser.console == []
        assert {address.partition(":")[0] for address in browser.requests} <= {"file", "data"}
    browser.call("Emulation.clearDeviceMetricsOverride")


@pytest.mark.browser
@pytest.mark.axe
@pytest.mark.parametrize("name", SHOWN)
def test_pages_keep_nobody_out(name: str, site: Path, browser: Any) -> None:
    for look in ("light", "dark"):
        browser.open((site / name).as_uri())
        browser.evaluate(f"LOOK.choose({look!r})")
        check_accessible(browser)


@pytest.mark.browser
def test_the_pictures_of_the_gallery_are_shown(site: Path, browser: Any) -> None:
    browser.open((site / "gallery.html").as_uri())
    browser.wait_for("document.images.length > 5 && document.images[0].naturalWidth > 0")
    assert browser.console == []


@pytest.mark.browser
def test_light_and_dark(site: Path, browser: Any) -> None:
    browser.open((site / "index.html").as_uri())
    paper = "getComputedStyle(document.body).backgroundColor"
    before = browser.evaluate(paper)
    browser.evaluate("document.getElementById('theme').click()")
    assert browser.evaluate(paper) != before
