"""Examples in docstrings and in the README may write files: each runs in a folder of its own."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

#: Lessons run in tests/lessons; their names are no names of modules.
collect_ignore_glob = ["lessons/[0-9]*.py", "lessons/supplements/s*.py"]
if find_spec("torch") is None:  # an extra: the library and its tests do without
    collect_ignore_glob += ["gpt/torch_*.py", "tests/gpt/nanogpt.py"]


@pytest.fixture(autouse=True)
def _examples_write_elsewhere(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isinstance(request.node, pytest.DoctestItem):
        folder: Path = tmp_path_factory.mktemp("example")
        monkeypatch.chdir(folder)
