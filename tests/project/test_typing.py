"""Type checkers see the right types in a user's program, and it runs."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("user_program.py")


def test_mypy_sees_the_types_of_a_user_s_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MYPYPATH", str(ROOT))
    options = ["--strict", "--follow-imports=silent", "--config-file=", f"--cache-dir={tmp_path}"]
    command = [sys.executable, "-m", "mypy", *options, shutil.copy(PROGRAM, tmp_path / "program.py")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8")
    assert (done.stdout, done.stderr) == ("Success: no issues found in 1 source file\n", "")


@pytest.mark.pyright
def test_pyright_sees_them_too(tmp_path: Path) -> None:
    shutil.copy(PROGRAM, tmp_path / "program.py")
    settings = {"extraPaths": [str(ROOT)], "reportUnnecessaryTypeIgnoreComment": "error"}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "pyright", "--project", str(tmp_path), "--pythonpath", sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    assert done.stdout.startswith("0 errors"), done.stdout


@pytest.mark.parametrize("part", ["numbers", "layers", "training"])
def test_the_program_runs(part: str) -> None:
    spec = importlib.util.spec_from_file_location("user_program", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    getattr(program, part)()
