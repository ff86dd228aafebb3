"""Figures that tutorials quote: every row is recomputed."""

from __future__ import annotations

from pathlib import Path

import pytest

from lessons import errata, site
from lessons.cli import main


@pytest.mark.parametrize("row", errata.ROWS, ids=lambda row: row.compute.__name__.strip("_"))
def test_every_row_has_the_right_result(row: errata.Row) -> None:
    assert row.compute() == row.true


def test_most_rows_correct_something() -> None:
    assert sum(not row.is_right for row in errata.ROWS) >= 21
    assert len({row.about for row in errata.ROWS}) == len(errata.ROWS)


def test_the_code_that_is_shown_is_the_code() -> None:
    row = next(row for row in errata.ROWS if row.quoted == "148 MB")
    assert row.source.startswith("size = 50_257 * 768 * 4\nreturn f")


def test_in_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["errata"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "  quoted:  148 MB" in lines
    assert "  true:    154.4 MB, or 147.2 MiB" in lines


def test_the_page(tmp_path: Path) -> None:
    entries = site.write_errata(tmp_path)
    page = (tmp_path / "errata.html").read_text(encoding="utf-8")
    assert len(entries) == len(errata.ROWS) == page.count("<section id=")
    for entry in entries:
        assert f'id="{entry["at"].partition("#")[2]}"' in page
    assert "<dt>quoted</dt><dd>148 MB</dd><dt>computed</dt><dd>154.4 MB, or 147.2 MiB</dd>" in page
    assert "http://" not in page
    assert "https://" not in page
