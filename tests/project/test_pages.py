"""README.md and docs/: every command runs as printed, in a clone, and every link leads somewhere.

(Their Python examples run as doctests: see setup.cfg.)
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gpt import gpt2_folder

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md"))]
QUICK = "--steps 2 --eval-sequences 1 --final-eval-sequences 1 --n-embd 8 --n-head 2 --block-size 16"
SMALL = "--steps 2 --width 8 --heads 2 --layers 1"
#: What is added to commands that begin with these words, so that no test needs a network or trains for minutes. The
#: first that fits is taken; everything else runs exactly as printed.
ADDED = {
    "python3 run.py": f"--data my.txt --out runs/shakespeare-small {QUICK}",  # only where nothing follows
    "python3 run.py gpt train --resume": "--steps 4",
    "python3 run.py gpt train --preset base": f"--out runs/base {QUICK}",
    "python3 run.py gpt train --preset micro --engine scalar": f"--data my.txt {QUICK}",
    "python3 run.py gpt train": QUICK,
    "python3 run.py image train": SMALL,
    "python3 run.py image eval": "--count 20 --steps 2",
    "python3 run.py lesson site": "--fast --only 1 2",  # the other lessons are tested elsewhere
    "python3 run.py course.zip": "--fast --only 1 2",
    **{f"python3 run.py lesson {name}": "--fast" for name in ("1", "1b", "s3")},
    "tinygrad-edu lesson 1": "--fast",
}
#: What stands in for a text that would come from a network.
INSTEAD = {"--dataset tinyshakespeare": "--data my.txt"}
#: Commands of docs/ that are not run here, and why; the README has none of them.
NOT_RUN = {
    "python3 run.py add": "a network",
    "python3 run.py python -m pip": "it would change the environment of the tests",
    "python3 run.py python -m notebook": "a program that serves until it is stopped",
    "python3 run.py gpt train --engine torch": "PyTorch",
    ".venv/bin/torchrun": "PyTorch",
}


def commands(page: str) -> list[str]:
    """Return the commands of a page, without their comments."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line.removeprefix("$ ") for block in blocks for line in block.splitlines() if line.startswith("$ ")]
    return [shlex.join(shlex.split(line, comments=True)) for line in lines]


COMMANDS = [(page, command) for page in PAGES for command in commands(page)]


def begins(command: str, words: str) -> bool:
    """Whether a command begins with these words; `python3 run.py` alone is the one without any more."""
    return command == words if words == "python3 run.py" else f"{command} ".startswith(f"{words} ")


def test_the_readme_is_short_and_has_its_two_main_commands() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 160
    assert commands("README.md")[:2] == ["python3 run.py", "python3 run.py test"]
    assert not [command for command in commands("README.md") if any(begins(command, words) for words in NOT_RUN)]


@pytest.mark.parametrize("words", [*ADDED, *NOT_RUN])
def test_every_exception_is_about_a_command(words: str) -> None:
    assert any(begins(command, words) for _, command in COMMANDS)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clone the project, with what is not committed yet, and a text; its .venv is the Python of these tests."""
    if os.name == "nt":
        pytest.skip("needs scripts in the place of programs")
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("needs git, and the project as a clone")
    clone = tmp_path_factory.mktemp("reader") / "tinygrad_edu"

    def git(*words: str) -> list[str]:
        done = subprocess.run(["git", "-C", ROOT, *words], check=True, capture_output=True, text=True)
        return [name for name in done.stdout.split("\0") if name]

    git("clone", "--quiet", str(ROOT), str(clone))
    changed = git("diff", "-z", "--name-only", "HEAD"), git("ls-files", "-z", "--others", "--exclude-standard")
    for name in (*changed[0], *changed[1]):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).unlink(missing_ok=True)
        if (ROOT / name).exists():
            shutil.copyfile(ROOT / name, clone / name)
    gpt2_folder.write(clone / "gpt2")  # small, with random numbers
    (clone / "my.txt").write_text("ROMEO:\nTo be, or not to be, that is the question.\n" * 60)
    programs = clone / ".venv" / "bin"
    programs.mkdir(parents=True)
    start = "import sys; from lessons.command import main; sys.exit(main())"
    for name, words in (("python", ""), ("python3", ""), ("tinygrad-edu", f" -P -c '{start}'")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}"{words} "$@"\n')
        (programs / name).chmod(0o755)
    installed = "import run; [(run.VENV / f'installed-{step}').write_text(run.wanted()) for step in run.EXTRAS]"
    subprocess.run([sys.executable, "-c", installed], cwd=clone, check=True)
    return clone


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_commands_run_as_printed(page: str, command: str, clone: Path) -> None:
    if any(begins(command, words) for words in NOT_RUN):
        return
    here = command
    for text, other in INSTEAD.items():
        here = here.replace(text, other)
    added = next((extra for words, extra in ADDED.items() if begins(command, words)), "")
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "DISPLAY", "WAYLAND"))}
    env |= {
        "PATH": f"{clone}/.venv/bin{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(clone),
        "TINYGRAD_EDU_CACHE": str(clone.parent / "cache"),
        "PIP_NO_INDEX": "1",
        "PYTEST_ADDOPTS": "tests/project/test_size.py",  # what `test` runs: all tests are running already
    }
    arguments = [*shlex.split(here), *shlex.split(added)]
    if "--out" in arguments and "--resume" not in arguments:  # two pages may train the same run
        shutil.rmtree(clone / arguments[arguments.index("--out") + 1], ignore_errors=True)
    result = subprocess.run(
        arguments,
        cwd=clone, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr


def test_git_ignores_what_the_commands_have_written(clone: Path) -> None:
    def untracked(folder: Path) -> set[str]:
        words = ["git", "-C", folder, "ls-files", "--others", "--exclude-standard"]
        return set(subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines())

    assert untracked(clone) - untracked(ROOT) == set()


LINKING = [*PAGES, "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "lessons/guide.md"]


def anchors(page: Path) -> set[str]:
    """Return the names that GitHub gives the headings of a page."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: str) -> list[str]:
    """Return the links and pictures of a page that are not addresses of other sites."""
    text = re.sub(
        r"^```.*?^```|`[^`\n]+`", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]


@pytest.mark.parametrize("page", LINKING)
def test_every_link_leads_somewhere(page: str) -> None:
    here = ROOT / page
    for link in links(page):
        path, _, name = link.partition("#")
        target = (here.parent / path).resolve() if path else here
        assert target.exists(), f"{page} links to {link}"
        assert not name or name in anchors(target), f"{page} links to {link}"


def test_every_page_is_linked_from_the_readme() -> None:
    linked = {link.partition("#")[0] for link in links("README.md")}
    assert [page for page in LINKING if page != "README.md" and page not in linked] == []
