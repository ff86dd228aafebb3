"""``python -m image``: runs that resume bit for bit, what is painted, and one sentence for what cannot be done."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from image.cli import COMMANDS, main
from image.run import SavedRun
from image.sample import Sampler
from tests.commands import refusal
from tests.image.conftest import TINY
from tinygrad_edu.training import files


def output(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(words) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", TINY)
def test_a_run_logs_every_step_and_can_be_opened(name: str, trained: dict[str, Path]) -> None:
    this = SavedRun.open(trained[name])
    assert this.step == 4
    assert [record["step"] for record in this.log()] == [0, 1, 2, 3, 4]
    assert [record["val_loss"] is not None for record in this.log()] == [True, False, True, False, True]
    assert (trained[name] / "samples" / "step-0000004.png").read_bytes()[1:4] == b"PNG"
    numbers, _ = files.load_tensors(trained[name] / files.MODEL)
    assert {name: this.model.state_dict()[name] for name in numbers} == numbers


@pytest.mark.parametrize("name", ["points", "digits-class", "shapes-latent"])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(name: str, tmp_path: Path) -> None:
    flags = [*TINY[name], "--schedule", "constant"]  # the others depend on the number of steps
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main(["train", *flags, "--steps", "6", "--out", str(whole)]) == 0
    assert main(["train", *flags, "--steps", "2", "--out", str(parts)]) == 0
    assert main(["train", "--resume", str(parts), "--steps", "6"]) == 0
    for file in (files.TRAINING, files.MODEL):
        assert (parts / file).read_bytes() == (whole / file).read_bytes()
    ours, theirs = ([(r["step"], r["train_loss"]) for r in files.read_log(folder)] for folder in (parts, whole))
    assert ours == theirs


def test_a_longer_schedule_is_joined_without_a_jump(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    flags = ["--schedule", "linear", "--warmup-steps", "1", "--lr", "0.03", "--min-lr", "0.01"]
    assert main(["train", *TINY["points"], *flags, "--steps", "3", "--out", str(out)]) == 0
    assert main(["train", "--resume", str(out), "--steps", "9"]) == 0
    assert "The learning rate was 0.02; it does not jump to the new schedule" in capsys.readouterr().out
    # By hand: up in one step, and .02 on the way down to .01. The line from .03 at step 1 to .01 at step 9 is at .025
    # and .0225 now: half of the way there from .02, then all of it.
    rates = [0.015, 0.03, 0.02, 0.0225, 0.0225, 0.02, 0.0175, 0.015, 0.0125]
    assert [r["lr"] for r in files.read_log(out)[1:]] == pytest.approx(rates)
    assert main(["train", *TINY["points"], *flags, "--steps", "1", "--out", str(tmp_path / "short")]) == 0
    assert "it never reaches 0.03" in capsys.readouterr().out


def test_the_scalar_engine_makes_the_compiled_ones_steps(tmp_path: Path) -> None:
    losses = []
    for engine in ("scalar", "compiled"):
        assert main(["train", *TINY["points"], "--engine", engine, "--out", str(tmp_path / engine)]) == 0
        losses.append([r["train_loss"] for r in files.read_log(tmp_path / engine)[1:]])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.skipif(os.name == "nt", reason="signals are of POSIX")
def test_ctrl_c_finishes_the_step_and_saves(tmp_path: Path) -> None:
    out = tmp_path / "run"
    flags = [*TINY["points"], "--steps", "1000000", "--checkpoint-interval", "0", "--out", str(out)]
    process = subprocess.Popen([sys.executable, "-m", "image", "train", *flags], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert any(line.startswith("Compiled:") for line in process.stdout)  # after the first step
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    step = files.saved_step(out / files.TRAINING)
    assert step
    assert f"Stopped after step {step}" in said
    assert files.read_log(out)[-1]["step"] == step


def test_sample_prints_the_same_for_a_seed(trained: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["sample", "--checkpoint", str(trained["digits-class"]), "--class", "7", "--count", "2", "--steps", "2"]
    first = output(capsys, *flags)
    assert len(first.splitlines()) == 8
    assert output(capsys, *flags) == first
    assert output(capsys, *flags, "--seed", "1") != first


def test_sample_writes_png_and_gif(trained: dict[str, Path], tmp_path: Path) -> None:
    folder = trained["shapes-text"]
    flags = ["sample", "--checkpoint", str(folder), "--prompt", "a big disk, center", "--count", "3", "--steps", "4"]
    assert main([*flags, "-o", str(tmp_path / "x.png")]) == 0
    with Image.open(tmp_path / "x.png") as picture:
        gray = np.asarray(picture)
    this = SavedRun.open(folder)
    from image.dataset import told

    made = Sampler(this.model).paint([told(this.config.model, None, "a big disk, center")] * 3, 0, 4)
    expected = np.rint((1.0 - made[2].reshape(12, 12)) * 127.5)
    inside = gray[6:78, 162:234][3::6, 3::6]  # pictures of 72 pixels, with gaps of 6
    assert np.abs(inside - expected).max() <= 1
    assert main([*flags, "-o", str(tmp_path / "x.gif")]) == 0
    with Image.open(io.BytesIO((tmp_path / "x.gif").read_bytes())) as moving:
        assert moving.n_frames == 5
    points = ["sample", "--checkpoint", str(trained["points"]), "--count", "20", "--steps", "2"]
    assert main([*points, "-o", str(tmp_path / "p.png")]) == 0
    with Image.open(tmp_path / "p.png") as picture:
        assert np.asarray(picture).min() == 0


def test_info_draw_and_flow(trained: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = output(capsys, "info", str(trained["shapes-text"]))
    assert "the model of step 4 of 4" in told
    assert "net.blocks.0.cross.query.weight" in told
    for name in ("points", "digits-class", "shapes-latent"):
        dot = output(capsys, "draw", str(trained[name]), "-o", "-", "--boxes", "12")
        assert dot.startswith("digraph")
        assert "loss" in dot
    assert "…0.modulation.proj.weight" in output(capsys, "flow", str(trained["digits-class"]), "-o", "-")
    assert "net.enter.weight" in output(capsys, "flow", str(trained["points"]), "--over-time", "-o", "-")


def test_every_command_has_a_help(capsys: pytest.CaptureFixture[str]) -> None:
    for name in COMMANDS:
        with pytest.raises(SystemExit) as stop:
            main([name, "--help"])
        assert stop.value.code == 0
    assert "never-trained" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["train", "--preset", "cats"], "unknown preset: 'cats' (must be one of points, digits, "),
        (["train", "--preset", "points", "--steps", "0"], "steps must be at least 1, got 0"),
        (["train", "--patch", "3"], "patch must divide the side of the picture, 8; got 3"),
        (["train", "--resume", "nowhere"], "nowhere holds no checkpoint"),
        (["train", "--untold", "2"], "untold must be at least 0.0 and at most 1.0, got 2.0"),
        (["sample", "--checkpoint", "{digits-class}", "--class", "10"], "class must be a digit from 0 to 9, got 10"),
        (["sample", "--checkpoint", "{digits-class}", "--prompt", "x"], "takes a class, not words; leave out --prompt"),
        (["sample", "--checkpoint", "{digits}", "--class", "1"], "takes no condition, not a class"),
        (["sample", "--checkpoint", "{shapes-text}", "--prompt", "a cat"], "the prompt has the word 'cat'"),
        (["sample", "--checkpoint", "{digits}", "--count", "0"], "count must be from 1 to 100,000, got 0"),
        (["sample", "--checkpoint", "{digits}", "--guidance", "nan"], "guidance must be from 0 to 100, got nan"),
        (["sample", "--checkpoint", "{digits}", "-o", "x.jpg"], "expected a file that ends in .png or .gif, got x.jpg"),
        (["sample", "--checkpoint", "{digits}", "--seed", "-1"], "seed must be at least 0, got -1"),
        (["draw", "{digits}", "--boxes", "1"], "boxes must be at least 2, got 1"),
        (["train", "--resume", "{points}", "--width", "9"], "--width cannot change in a resumed run"),
        (["train", "--resume", "{points}", "--steps", "3"], "has already made 4 steps"),
        (["train", "--preset", "points", "--out", "{points}"], "already holds a run; resume it with"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(words: list[str], error: str, trained: dict[str, Path]) -> None:
    given = [re.sub(r"\{(.+)\}", lambda found: str(trained[found[1]]), word) for word in words]
    assert error in refusal(main, *given)


def test_a_damaged_run_is_one_sentence(trained: dict[str, Path], tmp_path: Path) -> None:
    for name, change, error in (
        ("config.json", lambda content: content[:-9], "is damaged"),
        ("config.json", lambda content: content.replace(b'"width": 8', b'"width": 6'), "heads|another model"),
        ("config.json", lambda content: json.dumps({"format": 1, "model": {}, "train": {}}).encode(), "a run of gpt"),
        ("model.safetensors", lambda content: content[:-1], "expected .* bytes, got"),
    ):
        copy = tmp_path / f"{name}-{error[:4]}"
        shutil.copytree(trained["digits"], copy)
        (copy / name).write_bytes(change((copy / name).read_bytes()))
        assert re.search(error, refusal(main, "sample", "--checkpoint", str(copy)))
