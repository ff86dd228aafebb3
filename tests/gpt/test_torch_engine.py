"""The torch engine: its programs against numpy's, and two processes under torchrun against one.

Tests for every engine (exact resume, the same losses, NaN detected) are in test_train.py.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gpt.cli import main
from gpt.config import GPTConfig, TrainConfig
from gpt.engines import make_engine
from gpt.engines.torch.distributed import own_threads
from gpt.model import GPT
from gpt.runs import checkpoint
from tests.commands import refusal
from tinygrad_edu import Value, jit
from tinygrad_edu import functional as F
from tinygrad_edu.errors import DomainError

HAS_TORCH = importlib.util.find_spec("torch") is not None
needs_torch = pytest.mark.torch


def values(n: int) -> list[Value]:
    return [Value(0.3 + 0.21 * ((7 * i) % 5)) for i in range(n)]


def every_operation(w: list[Value]) -> Callable[..., Value]:
    def function(x: list[float], k: int) -> Value:
        a = [v * s for v, s in zip(w, x, strict=True)]
        b = [u.exp() + (u * u + 1.0).log() + u.tanh() - u.sigmoid() / (u.abs() + 2.0) for u in a]
        c = [u.sin() + u.cos() + (u * u + 0.5).sqrt() + u.relu() + u.gelu() + (-u) for u in b]
        d = [u**3 + (u * u + 1.0) ** v + 2.0**u - 1.0 / (u * u + 1.0) for u, v in zip(c, w, strict=True)]
        return (
            sum(d, Value(0.0))
            + c[0].maximum(c[1]) * c[2].minimum(c[3]) * c[4].maximum(0.5)
            + F.pick(c, k)
            + F.cross_entropy(b, k)
        )

    return function


def convolution(w: list[Value]) -> Callable[..., Value]:
    def function(x: list[float]) -> Value:
        kernel, signal_ = w[:3], [v * s for v, s in zip(w, x, strict=True)]
        y = [sum((kernel[2 - j] * signal_[i + j] for j in range(3)), Value(0.0)) for i in range(len(w) - 2)]
        return sum((u * u for u in y), Value(0.0)) + F.dot(signal_, signal_[::-1])

    return function


def recurrence(w: list[Value]) -> Callable[..., Value]:
    def function(x: list[float]) -> Value:
        h: Any = 0.1
        for s, v in zip(x, w, strict=True):
            h = (h * v + s * w[0]).tanh()
        return h * h

    return function


FUNCTIONS: dict[str, tuple[Callable[..., Any], bool]] = {
    "every operation": (every_operation, True), "convolution": (convolution, False), "recurrence": (recurrence, False),
}  # fmt: skip


@pytest.mark.parametrize("name", [pytest.param(name, marks=needs_torch) for name in FUNCTIONS])
def test_functions_on_values_match_numpys_results_and_gradients(name: str) -> None:
    from gpt.engines.torch.backend import TorchBackend

    make, indexed = FUNCTIONS[name]
    w = values(8)
    x = [[0.1 * i - 0.07 * lane + 0.2 for i in range(8)] for lane in range(3)]
    batch = (x, [0, 7, 3]) if indexed else (x,)
    ours, numpys = (jit(make(w), w, backend=b, dtype="float64") for b in (TorchBackend(), None))
    assert ours.value_and_grad(*batch) == pytest.approx(numpys.value_and_grad(*batch), rel=1e-12)
    assert ours.parameters.gradient.tolist() == pytest.approx(numpys.parameters.gradient.tolist(), rel=1e-10, abs=1e-12)
    assert ours(*batch).tolist() == pytest.approx(numpys(*batch).tolist(), rel=1e-12)
    assert max(abs(g) for g in numpys.parameters.gradient) > 1e-3


BLAMED: dict[str, tuple[Callable[..., Any], float, str]] = {
    "a result": (lambda w, x: (w * x).exp() * 2, 1e4, "'exp'"),
    "no derivative of a result": (lambda w, x: (w * x).log(), 0.0, "'log'"),
    "a difference": (lambda w, x: (w * x).exp() - (w * x).exp() * 2, 1e4, "'-'"),
    "a derivative": (lambda w, x: (w * x).sqrt(), 0.0, "the derivative of 'sqrt'"),
}


@pytest.mark.parametrize("name", [pytest.param(name, marks=needs_torch) for name in BLAMED])
def test_numbers_that_are_not_finite_are_located_as_with_numpy(name: str) -> None:
    from gpt.engines.torch.backend import TorchBackend

    function, x, written = BLAMED[name]
    for backend in (TorchBackend(), None):
        w = Value(1.0)
        with pytest.raises(DomainError, match=f"come from {written} at test_torch_engine.py"):
            jit(lambda x, w=w: function(w, x), [w], backend=backend, dtype="float64").value_and_grad([x])


MODELS: dict[str, dict[str, Any]] = {
    "nanoGPT's": {"norm": "layernorm", "norm_weight": True, "activation": "gelu", "tied_head": True, "n_layer": 2},
    "biases": {"norm": "layernorm", "norm_weight": True, "bias": True, "activation": "silu"},
    "rotary with dropout": {"positions": "rotary", "activation": "relu2", "dropout": 0.3, "n_layer": 2},
}


@pytest.mark.parametrize("name", [pytest.param(name, marks=needs_torch) for name in MODELS])
def test_a_gpt_matches_numpys_loss_gradients_and_dropout(name: str) -> None:
    from gpt.engines.torch.backend import TorchBackend

    model = GPT(GPTConfig(vocab_size=9, block_size=6, n_embd=8, n_head=2, init_std=0.4, **MODELS[name]), seed=2)
    tokens = [[(5 * i + lane) % 9 for i in range(7)] for lane in range(4)]
    batch = [t[:-1] for t in tokens], [t[1:] for t in tokens]
    compiled = [jit(model.loss, model, backend=b, dtype="float64") for b in (TorchBackend(), None)]
    losses = []
    for c in compiled:
        c.seed(3)
        losses.append([c.value_and_grad(*batch) for _ in range(2)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)
    theirs = compiled[1].parameters.gradient.tolist()
    assert compiled[0].parameters.gradient.tolist() == pytest.approx(theirs, rel=1e-9, abs=1e-12)
    if MODELS[name].get("dropout"):
        assert losses[0][0] != losses[0][1]


@pytest.mark.parametrize("bad", [pytest.param([[0, 9]], marks=needs_torch), pytest.param([[-1, 0]], marks=needs_torch)])
def test_an_index_outside_its_table_is_an_error_as_with_numpy(bad: list[list[int]]) -> None:
    from gpt.engines.torch.backend import TorchBackend

    model = GPT(GPTConfig(vocab_size=9, block_size=6, n_embd=4, n_head=2))
    with pytest.raises(IndexError, match="out of range for a table of 9 entries"):
        jit(model.loss, model, backend=TorchBackend())(bad, [[1, 1]])


@pytest.mark.parametrize("first", [pytest.param(e, marks=needs_torch) for e in ("compiled", "torch")])
def test_a_run_can_be_resumed_with_the_other_engine(first: str, train_arguments: list[str], tmp_path: Path) -> None:
    second = {"compiled": "torch", "torch": "compiled"}[first]
    arguments = [*train_arguments, "--schedule", "constant"]
    mixed, whole = tmp_path / "mixed", tmp_path / "whole"
    assert main([*arguments, "--steps", "5", "--engine", first, "--out", str(mixed)]) == 0
    assert main(["train", "--resume", str(mixed), "--steps", "10", "--engine", second, "--no-draw"]) == 0
    assert main([*arguments, "--steps", "10", "--engine", first, "--out", str(whole)]) == 0
    assert losses(mixed) == pytest.approx(losses(whole), rel=1e-4)


@pytest.mark.parametrize("engine", [pytest.param("torch", marks=needs_torch)])
def test_sample_and_eval_with_torch_match_the_compiled_engine(
    engine: str, train_arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "run")
    assert main([*train_arguments, "--steps", "5", "--out", out]) == 0
    for command in (["sample", "--checkpoint", out, "--max-new-tokens", "40"], ["eval", "--checkpoint", out]):
        printed = []
        for flags in ([], ["--engine", engine, "--device", "cpu"]):
            capsys.readouterr()
            assert main([*command, *flags]) == 0
            printed.append(capsys.readouterr().out)
        assert printed[0] == printed[1]


def losses(folder: Path) -> list[float]:
    return [record["train_loss"] for record in checkpoint.read_log(folder)[1:]]


# --- several processes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("threads", "processes", "own"), [(2, None, 2), (2, "1", 2), (2, "2", 1), (8, "2", 4), (3, "2", 1), (1, "4", 1)]
)
def test_processes_share_the_threads(
    threads: int, processes: str | None, own: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    if processes:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    assert own_threads(threads) == own


@needs_torch
def test_the_engine_of_one_of_two_processes_uses_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    before = torch.get_num_threads()
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    try:
        model = GPT(GPTConfig(vocab_size=9, block_size=6, n_embd=8, n_head=2))
        make_engine(model, TrainConfig(engine="torch", threads=6, batch_size=4))
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def torchrun(arguments: list[str], processes: int = 2) -> list[str]:
    """Return the command; torchrun finds a free port on the loopback interface."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return [sys.executable, *launcher, "-m", "gpt", *arguments]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)


@needs_torch
def test_a_run_goes_on_in_another_number_of_processes(train_arguments: list[str], tmp_path: Path) -> None:
    """Run through torchrun, gloo and the loopback, with dropout: all of it in one process, or a part of it in two."""
    arguments = [*train_arguments, "--engine", "torch", "--dropout", "0.2", "--batch-size", "4"]
    arguments += ["--steps", "12", "--schedule", "constant"]
    whole, fewer, more = (tmp_path / name for name in ("whole", "fewer", "more"))
    assert main([*arguments, "--out", str(whole)]) == 0
    done = run(torchrun([*arguments, "--out", str(fewer), "--steps", "8"]))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("A new run in") == 1  # only one process prints
    assert main(["train", "--resume", str(fewer), "--steps", "12", "--no-draw"]) == 0
    assert main([*arguments, "--out", str(more), "--steps", "8"]) == 0
    done = run(torchrun(["train", "--resume", str(more), "--steps", "12", "--no-draw"]))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Resuming the run in") == 1
    last = {8: "val_loss"}  # the first part ended there, with a longer validation
    ours, *logs = [
        [
            (r["step"], r["train_loss"], None if r["step"] in last else r["val_loss"])
            for r in checkpoint.read_log(folder)
        ]
        for folder in (whole, fewer, more)
    ]
    expected, *weights = [
        [p.data for p in checkpoint.load_model(folder)[0].parameters()] for folder in (whole, fewer, more)
    ]
    for theirs, found, folder in zip(logs, weights, (fewer, more), strict=True):
        assert [step for step, *_ in theirs] == list(range(13))
        for (_, *one), (_, *other) in zip(ours, theirs, strict=True):
            assert [x or 0.0 for x in other] == pytest.approx([x or 0.0 for x in one], rel=1e-5)
        assert found == pytest.approx(expected, abs=1e-4)
        assert sorted(p.name for p in folder.iterdir()) == sorted(p.name for p in whole.iterdir())


@pytest.mark.parametrize(
    ("more", "processes", "message"),
    [
        pytest.param(["--engine", "compiled"], 2, "only those of --engine torch can train together", marks=needs_torch),
        pytest.param(["--engine", "torch", "--batch-size", "3"], 2, "got 3 and 2 processes", marks=needs_torch),
    ],
)
def test_unsupported_commands_of_several_processes_are_one_sentence(
    more: list[str], processes: int, message: str, train_arguments: list[str], tmp_path: Path
) -> None:
    done = run(torchrun([*train_arguments, "--steps", "3", *more, "--out", str(tmp_path / "run")], processes))
    assert done.returncode != 0
    assert message in done.stderr
    assert 'gpt/cli.py", line' not in done.stderr  # the only traceback is torchrun's own
    assert not checkpoint.exists(tmp_path / "run")


@pytest.mark.parametrize("number", [pytest.param(signal.SIGTERM, marks=needs_torch)])
def test_sigterm_to_torchrun_stops_all_after_the_same_step_and_saves(
    number: signal.Signals, train_arguments: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    arguments = [*train_arguments, "--engine", "torch", "--steps", "100000", "--eval-interval", "0"]
    arguments += ["--checkpoint-interval", "0", "--out", str(out)]
    with open(tmp_path / "said", "w") as said:
        process = subprocess.Popen(torchrun(arguments), stdout=said, stderr=said)
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until and len(checkpoint.read_log(out)) < 3 and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(number)
        process.wait(60)
    finally:
        process.kill()
    step = checkpoint.load_training_state(out).step
    assert step >= 1, (tmp_path / "said").read_text()
    assert step == checkpoint.read_log(out)[-1]["step"]
    assert f"Stopped after step {step}" in (tmp_path / "said").read_text()


@pytest.mark.torch
def test_when_one_process_diverges_all_stop(train_arguments: list[str], tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert main([*train_arguments, "--engine", "torch", "--out", str(out), "--steps", "4"]) == 0
    state, model = checkpoint.load_training_state(out), checkpoint.load_model(out)[0]
    for row in model.transformer.h[0].mlp.c_fc.weight:
        row[0].data = 1e30
    checkpoint.save_training_state(out, model, state.optimizer, 4)
    done = run(torchrun(["train", "--resume", str(out), "--steps", "9", "--no-draw"]))
    assert done.returncode != 0
    assert "training diverged at step 5" in done.stderr
    assert checkpoint.load_training_state(out).step == 4
    done = run(torchrun(["sample", "--checkpoint", str(out)]))
    assert "only train runs in several processes" in done.stderr


# --- bad input, with and without PyTorch -----------------------------------------------------------------------------


def test_a_missing_device_is_one_sentence(train_arguments: list[str], tmp_path: Path) -> None:
    out = str(tmp_path / "run")
    assert "device cuda needs --engine torch" in refusal(main, *train_arguments, "--device", "cuda", "--out", out)
    assert "device must be one of cpu, cuda" in refusal(
        main, *train_arguments, "--engine", "torch", "--device", "tpu", "--out", out
    )
    if not HAS_TORCH:
        assert "pip install torch" in refusal(main, *train_arguments, "--engine", "torch", "--out", out)
        return
    import torch

    if not torch.cuda.is_available():
        assert "finds no CUDA GPU on this machine; use --device cpu" in refusal(
            main, *train_arguments, "--engine", "torch", "--device", "cuda", "--out", out
        )


@pytest.mark.torch
def test_a_gpu_takes_the_same_steps_as_the_cpu() -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    sequences = [([1, 2, 3, 4, 5, 6], [2, 3, 4, 5, 6, 7])] * 4
    found = []
    for device in ("cpu", "cuda"):
        model = GPT(GPTConfig(vocab_size=9, block_size=6, n_embd=8, n_head=2, dropout=0.1))
        engine = make_engine(model, TrainConfig(engine="torch", device=device, batch_size=4))
        found.append([engine.step(sequences, 0.01, f"dropout {n}") for n in range(5)])
    for cpu, cuda in zip(*found, strict=True):
        assert cuda == pytest.approx(cpu, rel=1e-4)
