"""run.py's decisions; nothing is installed."""

from __future__ import annotations

import ast
import hashlib
import os
import re
import shutil
import site
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import run  # noqa: E402
import tinygrad_edu  # noqa: E402


@pytest.fixture
def actions(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    done: list[object] = []
    monkeypatch.setattr(run, "set_up", lambda extra="base": done.append(f"set up {extra}"))
    monkeypatch.setattr(run, "hand_over", lambda *words: done.append(words) or 0)
    return done


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ["set up base", ("-P", "-m", "gpt", "train")]),
        (["--steps", "3"], ["set up base", ("-P", "-m", "gpt", "train", "--steps", "3")]),
        (["gpt", "sample", "--seed", "2"], ["set up base", ("-P", "-m", "gpt", "sample", "--seed", "2")]),
        (["python", "-c", "1"], ["set up base", ("-c", "1")]),
        (["viz", "graph", "a*b"], ["set up base", ("-P", "-m", "viz", "graph", "a*b")]),
        (["lesson", "4"], ["set up base", ("-P", "-m", "lessons", "4")]),
        (["course.zip", "--fast"], ["set up base", ("-P", "-m", "lessons", "archive", "course.zip", "--fast")]),
        (["test"], ["set up test", ("-m", "pytest", *run.ALL_TESTS)]),
        (["test", "-k", "engine"], ["set up test", ("-m", "pytest", "-k", "engine")]),
        (["test", "--fast"], ["set up test", ("-m", "pytest", "--fast", *run.ALL_TESTS)]),
        (["test", "--all", "-x"], ["set up oracles", ("-m", "pytest", "--require", "-x")]),
    ],
)
def test_arguments_are_passed_on(words: list[str], expected: list[object], actions: list[object]) -> None:
    assert run.main(words) == 0
    assert actions == expected


@pytest.mark.parametrize("code", [0, 1])
def test_docs_are_built_with_warnings_as_errors(
    code: int, actions: list[object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run.subprocess, "call", lambda words, cwd: actions.append(words[1:]) or code)
    assert run.main(["docs"]) == code
    assert actions[0] == "set up docs"
    assert {"sphinx", "--fail-on-warning", "docs"} <= {*actions[1]}
    assert ("index.html" in capsys.readouterr().out) == (code == 0)


OWN = ("gpt", "image", "viz", "lessons", "tinygrad_edu", "random", "numbers", "types", "json", "numpy", "runpy")


@pytest.mark.parametrize("word", ["gpt", "image", "viz", "lesson"])
@pytest.mark.parametrize("way", ["run.py", "installed"])
def test_files_in_the_current_folder_never_replace_ours(
    word: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in OWN:
        (tmp_path / f"{name}.py").write_text("raise SystemExit('MY OWN FILE RAN')\n")
    words = [word, "--help"]
    if way == "run.py":
        handed: list[str] = []
        monkeypatch.setattr(run, "set_up", lambda extra="base": None)
        monkeypatch.setattr(run, "hand_over", lambda *given: handed.extend(given) or 0)
        run.main(words)
        command = [sys.executable, *handed]
    else:  # the script in bin; there, too, the first entry of the search path is not the current folder
        command = [sys.executable, "-P", "-c", "from lessons.command import main; raise SystemExit(main())", *words]
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "usage" in done.stdout.lower()
    assert "MY OWN" not in done.stdout


def test_the_installed_command_names_the_others(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from lessons.command import main

    for word, advice in (("dance", "expected one of gpt, image, viz, lesson, play, completion"), ("vis", "mean viz?")):
        monkeypatch.setattr(sys, "argv", ["tinygrad-edu", word])
        assert main() == 2
        said = capsys.readouterr().err
        assert f"unknown command: {word!r}; " in said
        assert advice in said
    monkeypatch.setattr(sys, "argv", ["tinygrad-edu", "--version"])
    assert main() == 0
    assert capsys.readouterr().out == f"tinygrad_edu {tinygrad_edu.__version__}\n"


def test_an_unknown_command_names_the_known_ones(actions: list[object], capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["dance"]) == 2
    known = "gpt, image, viz, play, lesson, course.zip, python, add, test, lint, docs, site"
    assert f"unknown command: 'dance'; expected one of {known}" in capsys.readouterr().err
    assert run.main(["tets"]) == 2
    assert "unknown command: 'tets'; did you mean test?" in capsys.readouterr().err
    assert actions == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["torch"], ["torch==2.13.0"]),
        (["animation", "ipython"], ["pillow >= 11", "ipython >= 8.20"]),
    ],
)
def test_extras_are_added_in_the_tested_versions(
    words: list[str], expected: list[str], actions: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    pins = ""

    def pip(*given: object) -> str:
        nonlocal pins
        pins = Path(str(given[1]).removeprefix("--constraint=")).read_text(encoding="utf-8")
        actions.extend(given[2:])
        return ""

    monkeypatch.setattr(run, "pip", pip)
    assert run.main(["add", *words]) == 0
    assert actions == ["set up base", *expected]
    assert re.search(r"^pillow==[\d.]+ *$", pins, re.MULTILINE)
    assert "hash" not in pins
    assert all(re.match(r"[a-z0-9-]+==", line) for line in pins.splitlines())


@pytest.mark.parametrize("words", [[], ["nonsense"], ["torch", "test"]])
def test_only_extras_can_be_added(words: list[str], actions: list[object], capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["add", *words]) == 2
    assert "add expected some of torch, tensorboard, animation, ipython, got" in capsys.readouterr().err
    assert actions == []


def test_an_interrupt_while_installing_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(extra: str = "base") -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "set_up", interrupted)
    assert run.main(["gpt", "info"]) == 130
    assert capsys.readouterr().err.strip() == "run.py: stopped; the same command continues from here"


@pytest.mark.parametrize(("version", "again"), [(sys.version_info[:3], False), ((3, 8, 1), True)])
def test_the_environment_is_made_again_for_another_python(
    version: tuple[int, ...], again: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyvenv.cfg").write_text(f"home = /usr/bin\nversion = {'.'.join(map(str, version))}\n")
    made: list[bool] = []
    for name, value in (("VENV", tmp_path), ("PYTHON", tmp_path / "pyvenv.cfg"), ("install", lambda *steps: ""),
                        ("pip", lambda *words: ""), ("make_environment", lambda: made.append(True))):  # fmt: skip
        monkeypatch.setattr(run, name, value)
    run.set_up()
    assert bool(made) is again


def test_the_installed_command_completes_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from lessons.command import SHELLS, main

    def said(*words: str, code: int = 0) -> list[str]:
        monkeypatch.setattr(sys, "argv", ["tinygrad-edu", *words])
        assert main() == code
        return capsys.readouterr().out.split()

    assert said("complete", "") == ["gpt", "image", "viz", "lesson", "play", "completion"]
    assert said("complete", "gpt", "s") == ["sweep", "sample"]
    assert said("complete", "gpt", "sample", "--top") == ["--top-k", "--top-p"]
    assert said("complete", "viz", "step", "--qu") == ["--quiz"]
    assert said("complete", "lesson", "pres") == ["present"]
    assert said("complete", "play", "--no") == ["--no-open"]
    assert said("complete", "gpt", "info", "run") == said("complete", "nonsense", "x") == []  # names of files
    assert said("complete", "completion", "b") == ["bash"]
    for shell in SHELLS:
        assert "tinygrad-edu" in said("completion", shell)
    assert said("completion", "tcsh", code=2) == []


def test_help_is_the_docstring(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--help"]) == 0
    assert "python3 run.py test" in capsys.readouterr().out


def test_without_venv_the_error_names_the_package_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(run, "VENV", tmp_path / ".venv")
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(SystemExit, match=r"(?s)it has no ensurepip.*apt install python3\.\d+-venv") as stop:
        run.make_environment()
    assert stop.value.code != 0


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Record what pip was asked to install, by the last word of each call, in a fake environment."""
    calls: list[str] = []
    monkeypatch.setattr(run, "VENV", tmp_path)
    monkeypatch.setattr(run, "PYTHON", Path(sys.executable))
    monkeypatch.setattr(run, "pip", lambda *words: calls.append(Path(str(words[-1])).name) or "")
    return calls


def test_nothing_is_installed_twice_unless_the_setup_changed(installed: list[str], tmp_path: Path) -> None:
    run.set_up()
    run.set_up()
    assert installed == ["base.txt", "native.txt", run.HERE.name]
    run.set_up("dev")  # contains the others
    run.set_up("test")
    run.set_up()
    assert installed[3:] == ["dev.txt", "native.txt", run.HERE.name]
    (tmp_path / "installed-base").write_text("of an older setup.cfg")
    run.set_up()
    assert len(installed) == 9


def test_a_script_beside_the_clone_finds_the_package_not_the_folder(tmp_path: Path) -> None:
    """Installed as set_up installs it, in an environment of its own."""
    clone = tmp_path / "package_here"
    (clone / "package_here").mkdir(parents=True)
    (clone / "package_here" / "__init__.py").write_text("answer = 42")
    setup = "[metadata]\nname = package_here\nversion = 1\n[options]\npackages = package_here\n"
    (clone / "setup.cfg").write_text(setup)
    shutil.copyfile(ROOT / "pyproject.toml", clone / "pyproject.toml")
    venv.create(tmp_path / "env", with_pip=False, system_site_packages=True)
    python = tmp_path / "env" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    words = re.search(r'pip\(("--no-deps".*), HERE\)', (ROOT / "run.py").read_text(encoding="utf-8"))
    assert words
    options = [word.strip('"') for word in words[1].split(", ")]
    pip = [sys.executable, "-m", "pip", f"--python={python}", "install", "-qq", *options, str(clone)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, site.getsitepackages()))}
    subprocess.run(pip, check=True, env=environment)
    (tmp_path / "script.py").write_text("from package_here import answer; print(answer)")
    done = subprocess.run([python, tmp_path / "script.py"], capture_output=True, text=True, check=True)
    assert done.stdout == "42\n"


def test_changed_requirement_files_are_installed(
    installed: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(run, "REQUIREMENTS", tmp_path / "requirements")
    run.REQUIREMENTS.mkdir()
    for content in ("numpy==1\n", "numpy==2\n", "numpy==2\n"):
        (run.REQUIREMENTS / "base.txt").write_text(content)
        run.set_up()
    assert len(installed) == 6


def test_llvmlite_is_skipped_where_it_has_no_wheel(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "VENV", tmp_path)
    monkeypatch.setattr(run, "PYTHON", tmp_path)
    monkeypatch.setattr(run, "pip", lambda *words: "No matching distribution" * ("native" in str(words[-1])))
    run.set_up("test")
    assert "No llvmlite could be installed here, so numpy does all the work.\n" in capsys.readouterr().err
    assert (tmp_path / "installed-test").exists()


def test_a_failed_installation_is_tried_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(run, "VENV", tmp_path)
    monkeypatch.setattr(run, "PYTHON", Path(sys.executable))
    monkeypatch.setattr(run, "pip", lambda *words: "no network")
    for _ in range(2):
        with pytest.raises(SystemExit, match=r"no network\n.*could not install"):
            run.set_up()


@pytest.mark.parametrize("step", ["base", "native"])  # native may be missing, but not be another file
def test_a_file_with_another_hash_stops_the_installation(
    step: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wheel = tmp_path / "thing-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as files:
        files.writestr("thing.py", "")
        files.writestr("thing-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
        files.writestr("thing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        files.writestr("thing-1.0.dist-info/RECORD", "")
    for name in ("base", "native"):
        pinned = f"thing==1.0 --hash=sha256:{'0' * 64}\n" if name == step else ""
        (tmp_path / f"{name}.txt").write_text(pinned)
    got = hashlib.sha256(wheel.read_bytes()).hexdigest()
    monkeypatch.setattr(run, "VENV", tmp_path)
    monkeypatch.setattr(run, "PYTHON", Path(sys.executable))
    monkeypatch.setattr(run, "REQUIREMENTS", tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(SystemExit) as stop:
        run.set_up()
    sentence = f"run.py: thing==1.0 was not installed: expected a file whose sha256 is in {tmp_path}, got {got}; "
    assert str(stop.value.code).startswith(sentence)
    assert "\n" not in str(stop.value.code)
    assert not (tmp_path / "installed-base").exists()


def test_it_uses_the_standard_library_only() -> None:
    code = "import sys; sys.path.insert(0, sys.argv[1]); import run; print(run.main(['--help']))"
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(ROOT)], capture_output=True, text=True, check=True
    )
    assert result.stdout.endswith("0\n")


def test_an_old_python_can_read_the_file_far_enough_to_refuse() -> None:
    ast.parse((ROOT / "run.py").read_text(encoding="utf-8"), feature_version=(3, 6))
