"""Examples in docstrings and in the README may write files: each runs in a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

#: Lessons run in tests/lessons; their names are no names of modules.
collect_ignore_glob = ["lessons/[0-9]*.py", "lessons/supplements/s*.py"]


@pytest.fixture(autouse=True)
def _examples_write_elsewhere(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isinstance(request.node, pytest.DoctestItem):
        folder: Path = tmp_path_factory.mktemp("example")
        monkeypatch.chdir(folder)
