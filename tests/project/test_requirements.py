"""The requirement files that run.py installs: complete, pinned, hashed, and not tied to one package index."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "requirements"
sys.path.insert(0, str(FOLDER))

import refresh  # noqa: E402

STEPS = ["base", "native", "test", "dev", "docs", "oracles"]


def lines(step: str) -> list[str]:
    """Return the lines of a file without comments, with continued lines joined."""
    text = (FOLDER / f"{step}.txt").read_text(encoding="utf-8").replace("\\\n", "")
    return [line for line in text.splitlines() if not line.startswith("#")]


def pinned(step: str) -> dict[str, Requirement]:
    """Return the requirements of a step and of those before it, by name."""
    found = {}
    for earlier in STEPS[: STEPS.index(step) + 1]:
        for line in lines(earlier):
            requirement = Requirement(line.split("--hash")[0])
            found[requirement.name] = requirement
    return found


def test_there_is_a_file_for_each_step() -> None:
    assert {file.stem for file in FOLDER.glob("*.txt")} == set(STEPS) == set(refresh.wanted())


@pytest.mark.parametrize("step", STEPS)
def test_everything_in_setup_cfg_is_pinned_within_its_range(step: str) -> None:
    wanted = [line for line in refresh.wanted()[step].splitlines() if line.strip() and not line.startswith("#")]
    assert wanted
    for line in wanted:
        requirement = Requirement(line)
        pin = pinned(step)[requirement.name.lower()]
        assert requirement.specifier.contains(str(pin.specifier).removeprefix("==")), line
        assert not requirement.marker or str(requirement.marker) == str(pin.marker), line


@pytest.mark.parametrize("step", STEPS)
def test_every_line_is_one_version_with_hashes(step: str) -> None:
    assert lines(step)
    for line in lines(step):
        assert re.fullmatch(r"[a-z0-9-]+==[\w.+]+( ; [^-]+?)?( +--hash=sha256:[0-9a-f]{64})+", line), line


def test_graphviz_pure_is_the_reviewed_file() -> None:
    known = "5c697f3d6d2ea3fdbd5b9afa6f71b316a539ad9abbc291f578a95f213a6195d1"
    assert [line.split()[0] for line in lines("base") if known in line] == ["graphviz-pure==0.2.2"]


def test_installed_packages_need_only_pinned_packages() -> None:
    """Follow the requirements of the pinned packages, as far as they are installed here."""
    from importlib.metadata import PackageNotFoundError, requires

    everything = pinned("oracles")
    for name in everything:
        try:
            needs = [Requirement(line) for line in requires(name) or ()]
        except PackageNotFoundError:
            continue  # for another system, or for a step that is not installed
        for need in needs:
            if not need.marker or need.marker.evaluate({"extra": ""}):
                assert re.sub("[-_.]+", "-", need.name.lower()) in everything, f"{name} needs {need}"
