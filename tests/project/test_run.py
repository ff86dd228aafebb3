"""run.py, without installing anything: what it decides, not what pip does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import run  # noqa: E402


@pytest.fixture
def actions(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    done: list[object] = []
    monkeypatch.setattr(run, "set_up", lambda extra="base": done.append(f"set up {extra}"))
    monkeypatch.setattr(run, "hand_over", lambda *words: done.append(words) or 0)
    return done


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ["set up base", ("-m", "gpt", "train")]),
        (["--steps", "3"], ["set up base", ("-m", "gpt", "train", "--steps", "3")]),
        (["gpt", "sample", "--seed", "2"], ["set up base", ("-m", "gpt", "sample", "--seed", "2")]),
        (["python", "-c", "1"], ["set up base", ("-c", "1")]),
        (["viz", "graph", "a*b"], ["set up base", ("-m", "viz", "graph", "a*b")]),
        (["lesson", "4"], ["set up base", ("-m", "lessons", "4")]),
        (["test", "-k", "engine"], ["set up test", ("-m", "pytest", "-k", "engine")]),
    ],
)
def test_words_are_passed_on(words: list[str], expected: list[object], actions: list[object]) -> None:
    assert run.main(words) == 0
    assert actions == expected


def test_an_unknown_command_names_the_known_ones(actions: list[object], capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["dance"]) == 2
    assert "unknown command: 'dance' (must be one of gpt, viz, lesson, python, test, lint)" in capsys.readouterr().err
    assert actions == []


def test_help_is_the_docstring(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--help"]) == 0
    assert "python3 run.py test" in capsys.readouterr().out


def test_a_python_without_venv_is_told_which_package_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(run, "VENV", tmp_path / ".venv")
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(SystemExit, match=r"(?s)it has no ensurepip.*apt install python3\.\d+-venv") as stop:
        run.make_environment()
    assert stop.value.code != 0


def test_nothing_is_installed_twice_and_a_changed_setup_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls: list[list[str]] = []
    monkeypatch.setattr(run, "VENV", tmp_path)
    monkeypatch.setattr(run, "PYTHON", Path(sys.executable))
    monkeypatch.setattr(subprocess, "call", lambda command, **_: calls.append(command) or 0)
    run.set_up()
    run.set_up()
    assert len(calls) == 1
    run.set_up("dev")  # contains the others
    run.set_up("test")
    run.set_up()
    assert len(calls) == 2
    (tmp_path / "installed-base").write_text("of an older setup.cfg")
    run.set_up()
    assert len(calls) == 3


def test_a_machine_without_a_wheel_of_llvmlite_does_without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls = []

    def call(command: list[object], **_: object) -> int:
        calls.append(str(command[-1]))
        return int("native" in calls[-1])

    monkeypatch.setattr(run, "VENV", tmp_path)
    monkeypatch.setattr(run, "PYTHON", tmp_path)
    monkeypatch.setattr(subprocess, "call", call)
    run.set_up("test")
    assert [target.removeprefix(str(run.HERE)) for target in calls] == ["[native,test]", "[test]"]
    assert (tmp_path / "installed-test").exists()


def test_a_failed_installation_is_tried_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(run, "VENV", tmp_path)
    monkeypatch.setattr(run, "PYTHON", Path(sys.executable))
    monkeypatch.setattr(subprocess, "call", lambda *_, **__: 1)
    for _ in range(2):
        with pytest.raises(SystemExit, match="could not install"):
            run.set_up()


def test_it_uses_the_standard_library_only() -> None:
    code = "import sys; sys.path.insert(0, sys.argv[1]); import run; print(run.main(['--help']))"
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(ROOT)], capture_output=True, text=True, check=True
    )
    assert result.stdout.endswith("0\n")
