"""One training per folder; a kill, a closed terminal or a lost log never loses a run's best model."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gpt.cli import main
from gpt.commands.sample import unescaped
from gpt.errors import ConfigError
from gpt.runs import checkpoint
from gpt.runs.log_export import times
from tests.commands import refusal
from tests.gpt.kill_runs import Killer, everything
from tinygrad_edu.training.folder import LOCK, in_use, locked

HOLD = """
import sys
from pathlib import Path
from tinygrad_edu.training.folder import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    input()
"""


def holding(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_training_of_a_folder_names_the_first_and_changes_nothing(
    train_arguments: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    assert main([*train_arguments, "--steps", "4", "--out", str(out)]) == 0
    assert not (out / LOCK).exists()
    before = {path: path.read_bytes() for path in out.iterdir()}
    holder = holding(out)
    try:
        for arguments in (["train", "--resume", str(out), "--steps", "8"], [*train_arguments, "--out", str(out)]):
            assert f"{out} is in use: process {holder.pid} writes there" in refusal(main, *arguments)
        assert {path: path.read_bytes() for path in out.iterdir() if path.name != LOCK} == before
    finally:
        holder.kill()  # it cannot release the lock itself
        holder.communicate()
    assert (out / LOCK).exists()
    assert main(["train", "--resume", str(out), "--steps", "8", "--no-draw"]) == 0
    assert not (out / LOCK).exists()


def test_two_at_once_leave_one_complete_run(train_arguments: list[str], tmp_path: Path) -> None:
    for out in (tmp_path / "alone", tmp_path / "both"):
        for arguments in ([*train_arguments, "--steps", "6", "--out", str(out)],
                          ["train", "--resume", str(out), "--steps", "12", "--no-draw"]):  # fmt: skip
            command = [sys.executable, "-m", "gpt", *arguments]
            count = 1 if out.name == "alone" else 2
            processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(count)]
            errors = [process.communicate()[1] for process in processes]
            codes = [process.returncode for process in processes]
            assert codes.count(0) >= 1
            for code, error in zip(codes, errors, strict=True):  # a late resume finds nothing to do
                assert code == 0 or (code, error.count("\n")) == (2, 1)
                assert not code or "is in use" in error or "already holds a run" in error
    assert everything(tmp_path / "both") == everything(tmp_path / "alone")


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names of files are text there")
def test_a_run_on_a_file_whose_name_is_not_utf_8_can_be_resumed(train_arguments: list[str], tmp_path: Path) -> None:
    plain, odd = train_arguments[2], os.fsdecode(os.fsencode(tmp_path) + b"/\xff.txt")
    shutil.copy(plain, odd)
    runs = []
    for name, out in ((plain, tmp_path / "plain"), (odd, tmp_path / "odd")):
        arguments = ["train", "--data", name, *train_arguments[3:], "--steps", "2", "--out", str(out)]
        assert main(arguments) == 0
        assert main(["train", "--resume", str(out), "--steps", "4", "--no-draw"]) == 0
        config = checkpoint.load_config(out)
        assert (config.data, config.train.steps, checkpoint.load_training_state(out).step) == (name, 4, 4)
        runs.append(everything(out))
        del runs[-1]["config.json"]
    assert "model.safetensors" in runs[0]
    assert runs[0] == runs[1]


def test_a_folder_is_locked_inside_the_block(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert not in_use(folder)
    with locked(folder):
        assert in_use(folder)
        with pytest.raises(ConfigError, match=f"process {os.getpid()} writes there"), locked(folder):
            pass
        assert in_use(folder)
    assert not in_use(folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("left", [0, 5])
def test_a_worse_model_never_becomes_the_best_after_a_lost_log(
    left: int, train_arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main([*train_arguments, "--steps", "12", "--lr", "0.03", "--out", str(out)]) == 0
    log = checkpoint.read_log(out)
    losses = {r["step"]: r.get("watched_loss", r["val_loss"]) for r in log if r["val_loss"] is not None}
    assert checkpoint.saved_step(out / checkpoint.BEST) == 12
    best = (out / checkpoint.BEST).read_bytes()
    checkpoint.rewrite_log(out, log[:left])
    ruin = ["--steps", "24", "--lr", "30", "--grad-clip", "0", "--no-draw"]  # every later model is worse
    assert main(["train", "--resume", str(out), *ruin]) == 0
    assert f"has lost {13 - left} of its 13 records" in capsys.readouterr().out
    assert (out / checkpoint.BEST).read_bytes() == best
    again = {r["step"]: r for r in checkpoint.read_log(out)}
    assert again[12]["val_loss"] == pytest.approx(losses[12], rel=1e-9)
    assert min(again[step]["val_loss"] for step in (16, 20)) > losses[12]


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="terminals of Windows send no signal")
def test_a_terminal_that_closes_saves_the_run(train_arguments: list[str], tmp_path: Path) -> None:
    out = tmp_path / "run"
    program = """
import os, signal, sys
from gpt import cli
from gpt.engines.compiled import CompiledEngine
honest, made = CompiledEngine.step, 0
def step(self, *arguments):
    global made
    made += 1
    if made in (6, 7):
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGHUP)
    return honest(self, *arguments)
CompiledEngine.step = step
sys.exit(cli.main(sys.argv[1:]))
"""
    arguments = [*train_arguments, "--steps", "12"]
    command = [sys.executable, "-c", program, *arguments, "--out"]
    assert subprocess.run([*command, str(out)], capture_output=True, check=False).returncode == 130
    assert checkpoint.load_training_state(out).step == 6
    # nohup ignores that signal, so the training does, too
    ignoring = program.replace("honest, made", "signal.signal(signal.SIGHUP, signal.SIG_IGN)\nhonest, made", 1)
    command[2] = ignoring
    assert subprocess.run([*command, str(tmp_path / "2")], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="there are no terminals of that kind here")
def test_a_window_that_is_closed_saves_the_run(train_arguments: list[str], tmp_path: Path) -> None:
    import fcntl
    import termios

    out = tmp_path / "run"
    window, terminal = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "gpt", *train_arguments, "--steps", "1000000", "--out", str(out)],
        stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(terminal)
    shown = b""
    while b" 4/1000000" not in shown:
        shown += os.read(window, 1000)
    os.close(window)
    assert process.wait(60) == 130
    assert checkpoint.load_training_state(out).step >= 4
    assert main(["info", str(out)]) == 0
    assert not list(out.rglob(".*"))


def test_a_run_killed_before_its_last_picture_is_drawn_when_resumed(
    train_arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main([*train_arguments, "--steps", "2", "--out", str(out)]) == 0
    (out / ".loss.svg.77.new").write_bytes(b"half")
    for printed in ("missing or older", ""):
        capsys.readouterr()
        assert main(["train", "--resume", str(out), "--no-report"]) == 0
        text = capsys.readouterr().out
        assert "It is complete" in text
        assert ("missing or older" in text) == bool(printed)
        assert (out / "loss.svg").exists()
        assert not list(out.glob(".*"))
    model = (out / checkpoint.MODEL).stat()
    os.utime(out / "loss.svg", (0, model.st_mtime - 10))
    assert main(["train", "--resume", str(out), "--no-draw"]) == 0
    assert "missing or older" not in capsys.readouterr().out


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is a Unix signal")
def test_a_run_killed_during_its_report_resumes_to_the_same_report(train_arguments: list[str], tmp_path: Path) -> None:
    arguments = [x for x in train_arguments if x != "--no-draw"]
    # ``python tests/gpt/kill_runs.py --every 1`` does the same at every change of the folder.
    where = Killer(tmp_path, [*arguments[1:], "--steps", "8"]).at(4, "report")
    assert where == "behind the last checkpoint, in the middle of writing a file"


def test_a_new_learning_rate_of_a_resumed_run_moves_its_minimum(train_arguments: list[str], tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert main([*train_arguments, "--steps", "4", "--lr", "0.02", "--min-lr", "0.01", "--out", str(out)]) == 0
    assert main(["train", "--resume", str(out), "--steps", "8", "--lr", "0.002", "--no-draw"]) == 0
    changed = checkpoint.load_config(out).train
    assert (changed.lr, changed.min_lr) == pytest.approx((0.002, 0.001))


def test_a_warm_up_that_never_ends_is_reported(
    train_arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for steps, expected in ((4, 1), (5, 0)):
        arguments = [
            *train_arguments,
            "--warmup-steps",
            "4",
            "--steps",
            str(steps),
            "--out",
            str(tmp_path / str(steps)),
        ]
        assert main(arguments) == 0
        assert capsys.readouterr().out.count("never reaches") == expected


def test_events_have_the_times_of_their_steps(train_arguments: list[str], tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert main([*train_arguments, "--steps", "8", "--keep", "3", "--out", str(out)]) == 0
    moments = {"config.json": 1000, "snapshots/step-0000000.safetensors": 1010,
               "snapshots/step-0000004.safetensors": 1050, "snapshots/step-0000008.safetensors": 1100,
               "log.jsonl": 1110}  # fmt: skip
    for name, moment in moments.items():
        os.utime(out / name, (moment, moment))
    time = times(out, 8)
    assert [time(step) for step in range(9)] == [1010, 1020, 1030, 1040, 1050, 1065, 1080, 1095, 1110]
    os.utime(out / "snapshots/step-0000004.safetensors", (5000, 5000))  # copied later: times never decrease
    time = times(out, 8)
    assert sorted(time(step) for step in range(9)) == [time(step) for step in range(9)]


def test_a_stop_string_may_be_a_line_end(
    train_arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [unescaped(words) for words in (r"\n", r"a\tb", r"\\n", r"\x", "\\")] == ["\n", "a\tb", r"\n", r"\x", "\\"]
    out = tmp_path / "run"
    assert main([*train_arguments, "--steps", "2", "--out", str(out)]) == 0
    capsys.readouterr()
    sample = ["sample", "--checkpoint", str(out), "--prompt", "to", "--max-new-tokens", "200"]
    assert main(sample) == 0
    whole = capsys.readouterr().out
    assert whole.count("\n") > 1
    assert main([*sample, "--stop", r"\n"]) == 0
    assert capsys.readouterr().out == whole.partition("\n")[0] + "\n"


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_lock_that_is_a_link_leaves_its_target_intact(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("words")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / LOCK).symlink_to(tmp_path / "precious")
    assert not in_use(tmp_path / "run")
    with pytest.raises(OSError, match="symbolic link"), locked(tmp_path / "run"):
        pass
    assert (tmp_path / "precious").read_text() == "words"


def test_a_report_that_was_killed_leaves_nothing_and_two_at_once_do_not_mix(
    train_arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, report = tmp_path / "run", tmp_path / "run" / "report"
    assert main([*train_arguments, "--steps", "2", "--out", str(out)]) == 0
    holder = holding(report)
    (report / ".graph.html.1.new").write_text("half")
    try:
        assert f"{report} is in use: process {holder.pid} writes there" in refusal(main, "report", str(out))
        assert (report / ".graph.html.1.new").exists()
        # The training is kept, and the error names what is missing.
        drawn = [word for word in train_arguments if word != "--no-draw"]
        other = tmp_path / "other"
        second = holding(other / "report")
        assert main([*drawn, "--steps", "2", "--out", str(other)]) == 0
        assert f"Not everything could be drawn: {other / 'report'} is in use" in capsys.readouterr().err
        second.kill()
        second.communicate()
    finally:
        holder.kill()
        holder.communicate()
    assert main(["report", str(out)]) == 0
    assert not [path for path in report.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("steps", ["1", "3"])
def test_train_and_report_make_the_same_report(steps: str, train_arguments: list[str], tmp_path: Path) -> None:
    arguments = [*(word for word in train_arguments if word != "--no-draw"), "--steps", steps, "--weight-decay", "0"]
    out = tmp_path / "run"
    assert main([*arguments, "--out", str(out)]) == 0
    trained = everything(out)
    (out / "loss.svg").unlink()
    assert main(["train", "--resume", str(out)]) == 0
    assert everything(out) == trained
    assert main(["report", str(out), "-o", str(tmp_path / "again")]) == 0
    assert everything(tmp_path / "again") == everything(out / "report")


def test_a_file_in_place_of_the_snapshots_folder_is_reported(train_arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "snapshots").write_text("mine")
    error = refusal(main, *train_arguments, "--steps", "4", "--keep", "2", "--out", str(tmp_path / "run"))
    assert "snapshots cannot be written: it is a file, and must be a folder" in error
    assert "room" not in error
    assert (tmp_path / "run" / "snapshots").read_text() == "mine"
