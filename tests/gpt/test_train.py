from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gpt.cli import main
from gpt.config import ENGINES, GPTConfig, TrainConfig
from gpt.data.corpus import Corpus
from gpt.engines import make_engine
from gpt.errors import DataError, DivergedError
from gpt.model import GPT
from gpt.runs import checkpoint
from gpt.runs.checkpoint import RunConfig
from gpt.train import Run, learning_rate, resume, start, text_sha256, train
from tests.gpt.kill_runs import Killer
from tinygrad_edu import Value

HAS_TORCH = importlib.util.find_spec("torch") is not None
HERE = [engine for engine in ENGINES if engine != "torch" or HAS_TORCH]
EACH = [pytest.param(engine, marks=[pytest.mark.torch] * (engine == "torch")) for engine in ENGINES]
FILES = (
    "model.safetensors",
    "best.safetensors",
    "training.safetensors",
    "log.jsonl",
    "flow.jsonl",
    "config.json",
    "tokenizer.json",
)


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def test_a_model_learns_and_logs(
    train_arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main([*train_arguments, "--steps", "30", "--lr", "0.03", "--out", str(out)]) == 0
    log = checkpoint.read_log(out)
    assert [record["step"] for record in log] == list(range(31))
    assert all(record["train_loss"] > 0 for record in log[1:])
    validated = {record["step"]: record["val_loss"] for record in log if record["val_loss"] is not None}
    assert list(validated) == [0, 4, 8, 12, 16, 20, 24, 28, 30]
    assert validated[30] < validated[0] - 0.3
    printed = capsys.readouterr().out
    assert "bigram" in printed
    assert f"{validated[30]:.4f} nats per character" in printed
    assert f"sample {out} --prompt" in printed
    # all validations during the run, including the last, use the same sequences, and so does the lowest
    shown = {int(step): loss for step, loss in re.findall(r"^step +(\d+)/30 .*?val ([\d.]+)", printed, re.MULTILINE)}
    assert shown == {r["step"]: f"{r.get('watched_loss', r['val_loss']):.3f}" for r in log if r["step"] in validated}


@pytest.mark.parametrize("engine", EACH)
def test_interrupted_and_resumed_equals_uninterrupted_bit_for_bit(
    engine: str, train_arguments: list[str], tmp_path: Path
) -> None:
    """Dropout, schedule, batches, AdamW and log must not depend on where the process started."""
    arguments = [*train_arguments, "--steps", "12", "--dropout", "0.2", "--engine", engine]
    assert main([*arguments, "--out", str(tmp_path / "whole")]) == 0
    number = "SIGTERM" if engine == "compiled" else "SIGINT"  # what kill sends, or Ctrl-C
    program = [sys.executable, "-m", "gpt", *arguments, "--out", str(tmp_path / "parts")]
    stopped = subprocess.run(
        [sys.executable, "-c", _INTERRUPT_AT_STEP.format(step=6, number=number), *program[3:]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert stopped.returncode == 130, stopped.stderr
    assert f"train --resume {tmp_path / 'parts'}" in stopped.stdout
    assert checkpoint.load_training_state(tmp_path / "parts").step == 6
    assert main(["train", "--resume", str(tmp_path / "parts"), "--no-draw"]) == 0
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


# A real signal, which the process sends to itself in the middle of a step.
_INTERRUPT_AT_STEP = """
import os, signal, sys
from gpt import cli
from gpt.engines.compiled import CompiledEngine
from gpt.engines.scalar import ScalarEngine
made = 0
def interrupted_at_a_step(step):
    def interrupted(self, *arguments):
        global made
        made += 1
        if made == {step}:
            os.kill(os.getpid(), signal.{number})
        return step(self, *arguments)
    return interrupted
for engine in (ScalarEngine, CompiledEngine):
    engine.step = interrupted_at_a_step(engine.step)
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is a Unix signal")
def test_a_run_killed_at_any_moment_resumes_to_the_same_result(train_arguments: list[str], tmp_path: Path) -> None:
    # ``python tests/gpt/kill_runs.py`` does the same fifty times, at any moment of a whole run.
    killer = Killer(tmp_path, [*train_arguments[1:], "--steps", "200", "--checkpoint-interval", "2"])
    found = [killer.round(0.1), *(killer.round(delay, begun=True) for delay in (0.02, 0.2))]
    assert any(where is not None for where in found)


@pytest.fixture
def run(text: str, tmp_path: Path) -> Run:
    config = TrainConfig(steps=8, batch_size=2, eval_sequences=2, final_eval_sequences=2, checkpoint_interval=2)
    corpus = Corpus.from_text(text, 6)
    model = GPTConfig(vocab_size=corpus.tokenizer.vocab_size, block_size=6, n_embd=4, n_head=2)
    return start(tmp_path / "run", RunConfig(model, config, None, "text.txt", text_sha256(text)), corpus)


def test_missing_llvmlite_is_reported_once(
    train_arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tinygrad_edu.compiler import native

    for there in (True, False):
        monkeypatch.setattr(native, "available", lambda there=there: there and native._llvm() is not None)
        assert main([*train_arguments, "--out", str(tmp_path / str(there))]) == 0
        out, err = capsys.readouterr()
        assert (out + err).count("pip install llvmlite") == (0 if there and native.available() else 1)


def test_all_engines_take_the_same_steps(train_arguments: list[str], tmp_path: Path) -> None:
    logs = []
    for engine in HERE:
        out = tmp_path / engine
        assert main([*train_arguments, "--steps", "20", "--engine", engine, "--out", str(out)]) == 0
        logs.append([(r["train_loss"] or 0.0, r["val_loss"] or 0.0) for r in checkpoint.read_log(out)])
    for compiled, *others in zip(*logs, strict=True):
        for other in others:
            assert compiled == pytest.approx(other, rel=1e-4)


@pytest.mark.parametrize("engine", EACH)
def test_weight_decay_affects_only_matrices(engine: str) -> None:
    shape = GPTConfig(vocab_size=7, block_size=5, n_embd=4, n_head=2, norm_weight=True, bias=True)
    after: list[dict[str, float]] = []
    for decay in (0.0, 0.5):
        model = GPT(shape, seed=3)
        before = {name: value.data for name, value in model.named_scalars()}
        steps = make_engine(model, TrainConfig(engine=engine, weight_decay=decay))
        steps.step([([1, 2, 3, 4, 5], [2, 3, 4, 5, 6])], 0.1, "seed")
        steps.write_back()
        after.append({name: value.data for name, value in model.named_scalars()})
    decayed = {name for name, value in GPT(shape, seed=3).named_scalars() if ".weight" in name and "ln_" not in name}
    for name, number in before.items():
        pull = 0.1 * 0.5 * number if name in decayed else 0.0
        assert after[0][name] - after[1][name] == pytest.approx(pull, abs=1e-6)


def test_a_run_may_change_its_engine(train_arguments: list[str], tmp_path: Path) -> None:
    out, whole = tmp_path / "mixed", tmp_path / "whole"
    schedule = ["--schedule", "constant"]
    assert main([*train_arguments, *schedule, "--steps", "5", "--out", str(out)]) == 0
    assert main(["train", "--resume", str(out), "--steps", "10", "--engine", "scalar", "--no-draw"]) == 0
    assert main([*train_arguments, *schedule, "--steps", "10", "--engine", "scalar", "--out", str(whole)]) == 0
    losses = [checkpoint.read_log(folder)[-1]["val_loss"] for folder in (out, whole)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_all_engines_score_the_next_token_alike(run: Run) -> None:
    scorers = [make_engine(run.model, dataclasses.replace(run.config.train, engine=e)).scorer() for e in HERE]
    for tokens in ([1], [1, 2], [3, 1, 2, 4, 5, 6]):
        for other in scorers[1:]:
            assert list(scorers[0](tokens)) == pytest.approx(list(other(tokens)), abs=1e-5)


@pytest.mark.parametrize("engine", EACH)
def test_after_training_the_values_match_the_checkpoint(run: Run, engine: str) -> None:
    run.engine = make_engine(run.model, dataclasses.replace(run.config.train, engine=engine))
    train(run)
    saved, _ = checkpoint.load_tensors(run.folder / "model.safetensors")
    numbers = run.model.state_dict()
    assert {name: numbers[name] for name in saved} == saved
    assert saved != {name: GPT(run.config.model, seed=run.config.train.seed).state_dict()[name] for name in saved}


def test_nothing_is_written_when_there_is_nothing_left_to_do(run: Run, text: str) -> None:
    train(run)
    before = contents(run.folder)
    again = dataclasses.replace(run.config, train=dataclasses.replace(run.config.train, lr=5.0))
    assert resume(run.folder, again, text).step == run.config.train.steps
    assert contents(run.folder) == before


def test_divergence_stops_the_run_and_keeps_the_last_checkpoint(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = run.engine.step
    monkeypatch.setattr(
        run.engine, "step", lambda *a: (float("nan"), 1.0) if run.step == 5 else honest(*a), raising=True
    )
    with pytest.raises(DivergedError, match="diverged at step 6: the loss is nan.*smaller --lr"):
        train(run)
    assert checkpoint.load_training_state(run.folder).step == 4


@pytest.mark.parametrize("engine", EACH)
def test_a_number_that_is_not_finite_is_named_with_its_place(
    engine: str, train_arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main([*train_arguments, "--engine", engine, "--out", str(out), "--steps", "4"]) == 0
    state = checkpoint.load_training_state(out)
    model = checkpoint.load_model(out)[0]
    checkpoint.load_parameters(model, state.parameters, out)
    for row in model.transformer.h[0].mlp.c_fc.weight:
        row[0].data = 1e250 if engine == "scalar" else 1e30  # its square overflows the engine's kind of float
    checkpoint.save_training_state(out, model, state.optimizer, 4)
    assert main(["train", "--resume", str(out), "--steps", "9", "--no-draw"]) == 1
    error = capsys.readouterr().err
    assert "training diverged at step 5" in error
    assert "smaller --lr" in error


def test_a_run_resumes_only_with_its_own_text(run: Run, text: str) -> None:
    with pytest.raises(DataError, match="not the one that the run"):
        resume(run.folder, run.config, text + "!")
    assert resume(run.folder, run.config, text).step == 0


def test_a_finished_run_can_be_extended(run: Run, text: str) -> None:
    assert train(run).step == 8
    longer = dataclasses.replace(run.config, train=dataclasses.replace(run.config.train, steps=11))
    again = resume(run.folder, longer, text)
    assert (again.step, train(again).step) == (8, 11)
    assert [record["step"] for record in checkpoint.read_log(run.folder)] == list(range(12))


def test_learning_rates() -> None:
    config = TrainConfig(steps=10, warmup_steps=1, lr=1.0, min_lr=0.1, schedule="constant")
    assert [learning_rate(config, s) for s in (0, 1, 9)] == [0.5, 1.0, 1.0]
    linear = dataclasses.replace(config, schedule="linear")
    assert learning_rate(linear, 10) == pytest.approx(0.1)
    cosine = dataclasses.replace(config, schedule="cosine")
    assert learning_rate(cosine, 10) == pytest.approx(0.1)
    assert learning_rate(cosine, 5) > learning_rate(linear, 6)


def test_a_longer_schedule_is_joined_without_a_jump(train_arguments: list[str], tmp_path: Path) -> None:
    out = tmp_path / "run"
    settings = ["--warmup-steps", "2", "--lr", "0.03", "--min-lr", "0.003", "--schedule", "linear"]
    assert main([*train_arguments, *settings, "--steps", "5", "--out", str(out)]) == 0
    assert main(["train", "--resume", str(out), "--steps", "11", "--no-draw"]) == 0
    rates = [record["lr"] for record in checkpoint.read_log(out)[1:]]
    # By hand: up in two steps, down to the end of five; a line from .03 at step 2 to .003 at step 11, which is reached
    # from .012 in thirds.
    line = [0.03 - 0.003 * (step - 2) for step in range(5, 11)]
    before = 0.03 - 0.009 * 2
    expected = [0.01, 0.02, 0.03, 0.021, before]
    expected += [before + (rate - before) * min((i + 1) / 3, 1) for i, rate in enumerate(line)]
    assert rates == pytest.approx(expected)
    # A third session with the same settings goes on as if there had been none.
    assert checkpoint.load_config(out).joined == (5, pytest.approx(before))


def test_graphs_of_a_step_are_freed(run: Run) -> None:
    import gc

    def alive() -> list[Value]:
        gc.collect()
        return [thing for thing in gc.get_objects() if type(thing) is Value]

    before = alive()  # held here, so that none of another test is freed meanwhile
    train(run)
    assert len(alive()) == len(before)


def test_the_log_is_json_lines(run: Run) -> None:
    train(run)
    for line in (run.folder / "log.jsonl").read_text().splitlines():
        assert {"step", "train_loss", "val_loss"} <= json.loads(line).keys()
