"""Tests whose program is missing are skipped and counted, or fail if they are required."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests import conftest

FOLDER = Path(__file__).parents[1]


def item(required: bool) -> Any:
    config = SimpleNamespace(getoption=lambda name: required)
    return SimpleNamespace(get_closest_marker=lambda name: name == "tmux" or None, config=config)


@pytest.mark.parametrize(("required", "outcome"), [(False, pytest.skip.Exception), (True, pytest.fail.Exception)])
def test_a_missing_program_skips_or_fails(
    required: bool, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(conftest.NEEDS, "tmux", ("tmux", False))
    with pytest.raises((pytest.skip.Exception, pytest.fail.Exception), match="needs tmux") as stopped:
        conftest.pytest_runtest_setup(item(required))
    assert stopped.type is outcome  # an unexpected skip must fail this test, not skip it
    monkeypatch.setitem(conftest.NEEDS, "tmux", ("tmux", True))
    conftest.pytest_runtest_setup(item(required))


def test_the_last_lines_count_what_was_not_run() -> None:
    reasons = ["needs PyTorch", "needs tmux", "needs PyTorch", "no GPU here"]
    skipped = [SimpleNamespace(longrepr=("file", 1, f"Skipped: {reason}")) for reason in reasons]
    lines: list[str] = []
    conftest.pytest_terminal_summary(SimpleNamespace(stats={"skipped": skipped}, write_line=lines.append))
    assert lines == [
        "Tests that were not run: 2 need PyTorch, 1 needs tmux. python3 run.py test --all installs that and runs them.",
        "Skipped: 1, no GPU here",
    ]


def test_every_slow_file_exists() -> None:
    """A renamed file would silently run under --fast again."""
    here = {(path.parent.name, path.stem) for path in FOLDER.rglob("test_*.py")}
    assert {(folder, file) for folder, files in conftest.SLOW.items() for file in files} <= here
