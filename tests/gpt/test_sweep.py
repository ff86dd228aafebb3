"""Short runs for every combination of some settings."""

from __future__ import annotations

import csv
import itertools
import signal
from pathlib import Path

import pytest

from gpt.cli import main
from gpt.engines.compiled import CompiledEngine
from gpt.runs import checkpoint
from tests.commands import refusal
from tests.gpt.kill_runs import everything

SMALL = [
    "--preset", "micro", "--n-embd", "4", "--n-head", "2", "--block-size", "6", "--batch-size", "2",
    "--eval-sequences", "3", "--final-eval-sequences", "5", "--warmup-steps", "2",
]  # fmt: skip


@pytest.fixture
def arguments(text_file: Path, tmp_path: Path) -> list[str]:
    return ["sweep", "--data", str(text_file), *SMALL, "--steps", "8", "--out", str(tmp_path / "sweep")]


def test_every_combination_is_a_run_and_the_table_is_sorted(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--lr", "1e-3,0.05", "--n-layer", "1,2"]) == 0
    printed = capsys.readouterr().out
    out = tmp_path / "sweep"
    runs = sorted(path.name for path in out.iterdir() if path.is_dir())
    assert runs == ["n_layer=1,lr=0.001", "n_layer=1,lr=0.05", "n_layer=2,lr=0.001", "n_layer=2,lr=0.05"]
    with open(out / "sweep.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    losses = [float(row["val_loss"]) for row in rows]
    assert losses == sorted(losses)
    for row in rows:
        config = checkpoint.load_config(out / row["run"])
        assert (config.model.n_layer, config.train.lr) == (int(row["n_layer"]), float(row["lr"]))
        assert config.train.min_lr == pytest.approx(config.train.lr / 10)
        assert config.train.steps == checkpoint.load_training_state(out / row["run"]).step == 8
        last = checkpoint.read_log(out / row["run"])[-1]
        assert row["val_loss"] == f"{last['val_loss']:.4f}"
        model = checkpoint.load_model(out / row["run"])[0]
        assert int(row["parameters"]) == len(model.parameters())
    best = rows[0]
    assert f"The best of them, n_layer {best['n_layer']}, lr {best['lr']}:" in printed
    assert "nats per character" in printed
    assert "perplexity" in printed
    assert (
        (out / "sweep.md").read_text(encoding="utf-8").splitlines()[2].startswith(f"| {best['n_layer']} | {best['lr']}")
    )


def test_rates_that_are_never_reached_are_reported(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, "--lr", "0.01,0.05", "--warmup-steps", "8"]) == 0
    printed = capsys.readouterr().out
    assert "rises for 8 steps, and the run has 8: it never reaches 0.01;" in printed
    assert "it never reaches 0.05;" in printed


def test_finished_runs_are_not_repeated_and_a_killed_sweep_resumes(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments += ["--lr", "0.01,0.02", "--checkpoint-interval", "3"]
    assert main(arguments) == 0
    whole = everything(tmp_path / "sweep")

    class Killed(BaseException):
        pass

    honest = CompiledEngine.step
    arguments[arguments.index("--out") + 1] = str(tmp_path / "killed")
    made = itertools.count()

    def step(self: CompiledEngine, *rest: object) -> tuple[float, float]:
        if next(made) == 13:  # in the second run
            raise Killed
        return honest(self, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(CompiledEngine, "step", step)
    with pytest.raises(Killed):
        main(arguments)
    assert main(arguments) == 0
    assert next(made) == 14 + 5  # step 3 of the second run was saved
    assert everything(tmp_path / "killed") == whole
    assert main(arguments) == 0
    assert next(made) == 14 + 5 + 1
    assert everything(tmp_path / "killed") == whole


def test_ctrl_c_saves_and_the_same_command_resumes(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    honest = CompiledEngine.step
    made = itertools.count(1)

    def step(self: CompiledEngine, *rest: object) -> tuple[float, float]:
        if next(made) == 5:
            signal.raise_signal(signal.SIGINT)
        return honest(self, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(CompiledEngine, "step", step)
    arguments += ["--lr", "0.01,0.02"]
    assert main(arguments) == 130
    assert "the same command continues from here" in capsys.readouterr().out
    assert not (tmp_path / "sweep" / "lr=0.02").exists()
    assert main(arguments) == 0
    assert next(made) == 2 * 8 + 1


def test_a_diverged_run_is_last_and_is_not_repeated(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    honest = CompiledEngine.step

    def step(self: CompiledEngine, batch: object, rate: float, *rest: object) -> tuple[float, float]:
        loss, norm = honest(self, batch, rate, *rest)  # type: ignore[arg-type]
        return (float("nan") if rate > 1 else loss), norm

    monkeypatch.setattr(CompiledEngine, "step", step)
    arguments += ["--lr", "5,0.01"]
    for again in (False, True):
        assert main(arguments) == 0
        printed = capsys.readouterr().out
        assert ("has diverged before" in printed) == again
        assert printed.split("val_loss")[-1].splitlines()[2].split()[:2] == ["5.0", "diverged"]
    assert "diverged" in (tmp_path / "sweep" / "sweep.csv").read_text()


def test_a_sweep_of_one_combination(arguments: list[str], tmp_path: Path) -> None:
    assert main([*arguments, "--norm-weight", "true"]) == 0
    assert checkpoint.load_config(tmp_path / "sweep" / "run").model.norm_weight is True


def test_a_folder_of_another_sweep_is_left_alone(arguments: list[str], tmp_path: Path) -> None:
    assert main([*arguments, "--lr", "0.01,0.02"]) == 0
    before = everything(tmp_path / "sweep")
    assert "other settings" in refusal(main, *arguments, "--lr", "0.01,0.02", "--seed", "5")
    assert everything(tmp_path / "sweep") == before


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--lr", "1e-3,fast"], "--lr takes numbers separated by commas, such as 1,2; got '1e-3,fast'"),
        (["--n-layer", "1,,2"], "--n-layer takes whole numbers"),
        (["--bias", "yes"], "--bias takes true or false"),
        (["--activation", "relu,"], "--activation takes names"),
        (["--activation", "relu,step"], "activation must be one of"),
        (["--n-head", "2,3"], "n_head must divide"),
        (["--seed", ",".join(map(str, range(101)))], "these are 101 runs"),
        (["--preset", "huge"], "unknown preset"),
    ],
)
def test_bad_input_starts_no_run(arguments: list[str], wrong: list[str], message: str, tmp_path: Path) -> None:
    assert message in refusal(main, *arguments, *wrong)
    assert not (tmp_path / "sweep").exists()
