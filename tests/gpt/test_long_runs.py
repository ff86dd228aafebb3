"""Long runs: the best model is kept, snapshots are bounded, a full disk or a divergence loses nothing."""

from __future__ import annotations

import errno
import itertools
import os
from pathlib import Path

import pytest

from gpt.cli import main
from gpt.config import TrainConfig
from gpt.engines.compiled import CompiledEngine
from gpt.runs import checkpoint
from gpt.runs.early_stopping import Explosion
from tests.gpt.kill_runs import everything
from tinygrad_edu import files
from tinygrad_edu.training import snapshots


def validations(folder: Path) -> dict[int, float]:
    return {
        r["step"]: r.get("watched_loss", r["val_loss"])
        for r in checkpoint.read_log(folder)
        if r["val_loss"] is not None
    }


def test_the_best_model_is_kept_and_can_be_used(
    train_arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    # The learning rate ruins the model during training: the last model is not the best.
    ruined = ["--lr", "3", "--schedule", "constant", "--warmup-steps", "16", "--steps", "24", "--min-lr", "0"]
    assert main([*train_arguments, *ruined, "--out", str(out)]) == 0
    losses = validations(out)
    best = min(losses, key=lambda step: losses[step])
    assert best != 24
    assert checkpoint.load_model(out, checkpoint.BEST)[3] == best
    assert f"after step {best}; that model is kept too" in capsys.readouterr().out
    assert main(["eval", "--checkpoint", str(out), "--best", "--sequences", "3"]) == 0
    printed = capsys.readouterr().out
    assert f"Model of step {best} " in printed
    assert f"{losses[best]:.4f} nats per character" in printed
    assert main(["info", str(out), "--best"]) == 0
    assert f"step {best} of 24" in capsys.readouterr().out
    assert main(["sample", "--checkpoint", str(out), "--best", "--max-new-tokens", "5"]) == 0


def test_patience_ends_a_run_that_does_not_improve(
    train_arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    still = ["--lr", "0", "--steps", "100", "--patience", "2"]
    assert main([*train_arguments, *still, "--out", str(out)]) == 0
    assert checkpoint.load_training_state(out).step == 8  # validated at 0, 4 and 8, with the same loss
    assert "Stopped early after step 8: 2 validations did not lower the loss" in capsys.readouterr().out
    before = checkpoint.load_training_state(out)
    assert main(["train", "--resume", str(out), "--no-draw"]) == 0  # its patience is still used up
    assert checkpoint.load_training_state(out) == before
    assert main(["train", "--resume", str(out), "--no-draw", "--patience", "0", "--steps", "12"]) == 0
    assert checkpoint.load_training_state(out).step == 12


def test_snapshots_are_spread_over_the_run_and_bounded(train_arguments: list[str], tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert main([*train_arguments, "--steps", "12", "--keep", "4", "--out", str(out)]) == 0
    assert list(snapshots.taken(out)) == [0, 4, 8, 12]
    tensors, metadata = checkpoint.load_tensors(snapshots.taken(out)[12])
    assert metadata == {"step": 12}
    assert tensors == checkpoint.load_tensors(out / checkpoint.MODEL)[0]
    assert main(["train", "--resume", str(out), "--steps", "24", "--no-draw"]) == 0
    assert list(snapshots.taken(out)) == [0, 8, 16, 24]


def test_snapshots_are_ordered_by_step_and_other_files_ignored(tmp_path: Path) -> None:
    names = {step: f"step-{step:07}.safetensors" for step in (9_999_999, 0, 10_000_000, 5)}
    others = [
        f"step-{name}.safetensors" for name in ("\u0663", "5", "00000005", "-0000003", "\u00b2", "", "0000007 (2)")
    ]
    (tmp_path / snapshots.FOLDER).mkdir()
    for name in [*names.values(), *others]:
        (tmp_path / snapshots.FOLDER / name).touch()
    found = snapshots.taken(tmp_path)
    assert list(found) == sorted(names)
    assert {step: path.name for step, path in found.items()} == names


def test_a_resumed_run_takes_the_same_snapshots_and_the_same_best(train_arguments: list[str], tmp_path: Path) -> None:
    arguments = [*train_arguments, "--steps", "12", "--keep", "3", "--schedule", "constant"]
    assert main([*arguments, "--out", str(tmp_path / "whole")]) == 0
    whole = everything(tmp_path / "whole")

    class Killed(BaseException):
        pass

    replace = os.replace
    # Simulate a kill before the n-th file got its name, for every n.
    for n in itertools.count():
        out = tmp_path / f"killed-{n}"
        count = itertools.count()

        def dying(source: str, target: str, count: itertools.count[int] = count, n: int = n) -> None:
            if next(count) == n:
                raise Killed
            replace(source, target)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(files.os, "replace", dying)
            try:
                assert main([*arguments, "--out", str(out)]) == 0
                break
            except Killed:
                pass
        if not checkpoint.exists(out):
            continue  # the run had not started
        assert main(["train", "--resume", str(out), "--no-draw"]) == 0
        assert everything(out) == whole, f"killed before file {n}"
    assert n > 15


def test_a_full_disk_loses_nothing(
    train_arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*train_arguments, "--steps", "8", "--keep", "2"]
    assert main([*arguments, "--out", str(tmp_path / "whole")]) == 0
    whole = everything(tmp_path / "whole")
    fsync = os.fsync
    for n in itertools.count():
        out = tmp_path / f"full-{n}"
        count = itertools.count()

        def full(descriptor: int, count: itertools.count[int] = count, n: int = n) -> None:
            if next(count) >= n:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            fsync(descriptor)

        capsys.readouterr()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(files.os, "fsync", full)
            code = main([*arguments, "--out", str(out)])
        error = capsys.readouterr().err
        if code == 0:
            break
        assert code == 2
        assert error.count("\n") == 1, error
        assert "No space left on device" in error
        assert not list(out.rglob(".*.new"))
        if checkpoint.exists(out):
            assert f"--resume {out}" in error
            assert main(["train", "--resume", str(out), "--no-draw"]) == 0
            assert everything(out) == whole
    assert n > 12


def test_an_exploding_loss_stops_the_run(
    train_arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    honest = CompiledEngine.step
    made = itertools.count(1)

    def step(self: CompiledEngine, *arguments: object) -> tuple[float, float]:
        loss, norm = honest(self, *arguments)  # type: ignore[arg-type]
        return (loss if next(made) < 10 else 1e4, norm)

    monkeypatch.setattr(CompiledEngine, "step", step)
    assert main([*train_arguments, "--steps", "60", "--out", str(out)]) == 1
    error = capsys.readouterr().err
    assert "training diverged at step" in error
    assert "smaller --lr" in error
    assert checkpoint.load_training_state(out).step < 60


@pytest.mark.pandas
def test_the_log_is_a_table(train_arguments: list[str], tmp_path: Path) -> None:
    import pandas

    assert main([*train_arguments, "--steps", "6", "--out", str(tmp_path / "run")]) == 0
    table = pandas.read_json(tmp_path / "run" / "log.jsonl", lines=True)
    assert list(table["step"]) == list(range(7))
    assert table["train_loss"].notna().sum() == 6


@pytest.mark.parametrize("name", ["patience", "keep"])
def test_the_new_settings_are_checked(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 0, got -1"):
        TrainConfig(**{name: -1})


def test_partial_files_of_a_killed_process_are_removed(train_arguments: list[str], tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert main([*train_arguments, "--steps", "4", "--keep", "2", "--out", str(out)]) == 0
    leftovers = [out / ".model.safetensors.1.new", out / snapshots.FOLDER / ".step-0000004.safetensors.1.new"]
    for leftover in leftovers:
        leftover.write_bytes(b"half")
    assert main(["train", "--resume", str(out), "--steps", "8", "--no-draw"]) == 0
    assert not any(leftover.exists() for leftover in leftovers)


def test_a_resumed_run_detects_a_divergence_like_an_uninterrupted_one() -> None:
    losses = [4.0] * 10 + [1e3] * 15
    whole = Explosion([], vocab_size=65)
    verdicts = [whole.see(loss) for loss in losses]
    assert True in verdicts
    for n in range(len(losses)):
        resumed = Explosion([{"step": i, "train_loss": loss} for i, loss in enumerate(losses[:n])], vocab_size=65)
        assert [resumed.see(loss) for loss in losses[n:]] == verdicts[n:]


def test_a_long_last_validation_is_announced(
    train_arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    announced = "characters; --final-eval-sequences N takes fewer"
    for longest, expected in ((10, 1), (10_000_000, 0)):
        monkeypatch.setattr("gpt.train.LONG_VALIDATION", longest)
        arguments = [*train_arguments, "--steps", "8", "--final-eval-sequences", "0"]
        assert main([*arguments, "--out", str(tmp_path / str(longest))]) == 0
        assert capsys.readouterr().out.count(announced) == expected
    assert main([*train_arguments, "--steps", "8", "--out", str(tmp_path / "few")]) == 0
    assert announced not in capsys.readouterr().out


def test_leftovers_of_a_kill_before_the_first_checkpoint_are_removed(
    train_arguments: list[str], tmp_path: Path
) -> None:
    leftover = tmp_path / "run" / ".tokenizer.json.1.new"
    leftover.parent.mkdir()
    leftover.write_bytes(b"half")
    assert main([*train_arguments, "--steps", "1", "--out", str(tmp_path / "run")]) == 0
    assert not leftover.exists()
