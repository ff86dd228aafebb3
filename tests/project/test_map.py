"""The pages for contributors stay true: every path that they name exists, and the map names every folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ["docs/architecture.md", "CONTRIBUTING.md", "SECURITY.md"]
PACKAGES = ("tinygrad_edu", "gpt", "image", "viz", "lessons")
#: Entries of the map's table, and text that the file it names must contain.
QUESTIONS = {
    "the derivative of `tanh`": "1 - tanh(a)**2",
    "the text of a refusal": "instead of a comparison",
    "how a softmax is fused": "class Group",
    "the files of a checkpoint": "training.safetensors",
    "what color a negative gradient has": "NEGATIVE =",
}
#: `folder/`, `folder/file.py`, or a link to one. Names in capitals, and NN, are placeholders.
PATH = re.compile(r"(?<![\w./-])(?:[\w.-]+/)*(?:[\w.-]+/|[\w-][\w.-]*\.(?:py|js|md|cfg|cff|toml|css|html))(?![\w/])")


def paths(page: str) -> list[str]:
    """Return the paths in code and links of a page, relative to the project root."""
    text = (ROOT / page).read_text(encoding="utf-8")
    text = re.sub(r"^```.*?^```", lambda block: block[0].replace("`", ""), text, flags=re.MULTILINE | re.DOTALL)
    marked = [*re.findall(r"`([^`]+)`", text), *re.findall(r"\]\(([^)]+)\)", text)]
    found = [path for words in marked for path in PATH.findall(words)]
    return [path for path in dict.fromkeys(found) if not re.search(r"NAME|NN", path)]


@pytest.mark.parametrize("page", PAGES)
def test_every_path_exists(page: str) -> None:
    named = paths(page)
    assert named, "the page names no path: is the pattern wrong?"
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_map_names_every_folder_of_code() -> None:
    folders = {file.parent for package in PACKAGES for file in (ROOT / package).rglob("*.py")}
    assert len(folders) > 10
    named = paths("docs/architecture.md")
    assert [path for path in sorted(folders) if f"{path.relative_to(ROOT).as_posix()}/" not in named] == []


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_map_leads_to_the_right_files(question: str) -> None:
    [row] = [line for line in (ROOT / PAGES[0]).read_text(encoding="utf-8").splitlines() if question in line]
    [file] = PATH.findall(row)[:1]
    assert QUESTIONS[question] in (ROOT / file).read_text(encoding="utf-8")
