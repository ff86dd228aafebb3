"""`.ci/run` itself: it passes when every part does, fails with any of them, and leaves nothing behind."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ["test", "test --all", "lesson site", "lint", "docs", "--steps", "gpt sample", "play"]
PYTHON = """#!/usr/bin/env bash
# Stands for python3: writes what each part is asked for, and fails in the part named by FAILS.
case "$*" in
    "run.py $FAILS"*) echo "this part failed"; exit 3;;
    *"lesson site"*) mkdir -p "$4"; echo page > "$4/index.html";;
    *"--steps 200"*)
        mkdir -p "$5/report"
        for file in config.json tokenizer.json model.safetensors training.safetensors log.jsonl loss.dot loss.svg \\
            program.txt program.svg report/index.html report/explorer.html report/timemachine.html; do
            echo something > "$5/$file"
        done;;
    *"play"*) echo page > "${!#}";;
esac
"""


def _run(tmp_path: Path, fails: str) -> subprocess.CompletedProcess[str]:
    programs, scratch, clone = (tmp_path / name for name in ("programs", "scratch", "clone"))
    for folder in (programs, scratch, clone / ".ci"):
        folder.mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "run", clone / ".ci" / "run")
    for name in ("apt-get", "chromium", "dot", "node", "npm", "tmux", "python3"):
        (programs / name).write_text(PYTHON if name == "python3" else "#!/bin/sh\n")
        (programs / name).chmod(0o755)
    surroundings = os.environ | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "TMPDIR": str(scratch),
        "FAILS": fails,
    }
    done = subprocess.run(
        [str(clone / ".ci" / "run")], env=surroundings, capture_output=True, text=True, timeout=60, check=False
    )
    assert not list(scratch.iterdir()), "it leaves its folder behind"
    return done


@pytest.mark.skipif(os.name == "nt", reason="a script for bash")
def test_it_passes_when_every_part_does(tmp_path: Path) -> None:
    done = _run(tmp_path, fails="nothing")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "CI passed"), done.stderr


@pytest.mark.skipif(os.name == "nt", reason="a script for bash")
@pytest.mark.parametrize("part", PARTS)
def test_it_fails_with_each_part(part: str, tmp_path: Path) -> None:
    done = _run(tmp_path, fails=part)
    assert done.returncode != 0
    assert "CI passed" not in done.stdout
    assert "this part failed" in done.stdout, "the reader must see which part it was"
