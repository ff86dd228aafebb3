"""Gradient statistics during training: the numbers, when they are measured, and what ``explain_divergence`` names."""

import dataclasses
import importlib.util
import itertools
import math
import re
from pathlib import Path

import pytest

from gpt.cli import main
from gpt.config import GPTConfig, TrainConfig
from gpt.data.corpus import Corpus
from gpt.engines import make_engine
from gpt.engines.compiled import CompiledEngine
from gpt.errors import CheckpointError
from gpt.model import GPT
from gpt.runs import checkpoint
from tests.commands import refusal
from tinygrad_edu import Value
from tinygrad_edu.gradient_stats import GradientStats, explain_divergence
from tinygrad_edu.nested import values_in
from tinygrad_edu.training import engine as engines

HERE = ["scalar", "compiled", *(["torch"] if importlib.util.find_spec("torch") else [])]


def tables(model):
    return {name: values_in(table) for name, table in model.named_parameters()}


@pytest.mark.parametrize("engine", HERE)
@pytest.mark.parametrize("clip", [0.0, 0.01])
def test_the_numbers_are_those_of_the_gradient_before_clipping(engine: str, clip: float, text: str) -> None:
    corpus = Corpus.from_text(text, 6)
    model = GPT(GPTConfig(vocab_size=corpus.tokenizer.vocab_size, block_size=6, n_embd=4, n_head=2), seed=1)
    twin = GPT(model.config, seed=1)
    batch = corpus.batch(6, 3, 0, 0)
    for tokens, targets in batch:
        (twin.loss(tokens, targets) / 3).backward()
    made = make_engine(model, TrainConfig(engine=engine, grad_clip=clip, lr=0.1, batch_size=3))
    made.step(batch, 0.1, "")
    assert made.flow == []  # not requested
    made.load_optimizer_state(make_engine(twin, TrainConfig()).optimizer_state())
    for mine, other in zip(model.parameters(), twin.parameters(), strict=True):
        mine.data = other.data
    made.refresh()
    made.step(batch, 0.1, "", True)
    made.write_back()
    moved = tables(model)
    assert [line.name for line in made.flow] == list(moved)
    for line in made.flow:
        values = tables(twin)[line.name]
        grads = [abs(v.grad) for v in values]
        assert (line.count, line.not_finite) == (len(grads), 0)
        assert line.mean == pytest.approx(sum(grads) / len(grads), rel=1e-4)
        assert line.largest == pytest.approx(max(grads), rel=1e-4)
        assert line.zeros == pytest.approx(grads.count(0.0) / len(grads), abs=0.02)
        before, after = [v.data for v in values], [v.data for v in moved[line.name]]
        expected = math.dist(after, before) / math.hypot(*before)
        assert line.update == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("engine", HERE)
def test_a_step_with_a_gradient_that_is_not_finite_is_skipped(
    engine: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = Corpus.from_text(text, 6)
    model = GPT(GPTConfig(vocab_size=corpus.tokenizer.vocab_size, block_size=6, n_embd=4, n_head=2), seed=1)
    made = make_engine(model, TrainConfig(engine=engine, grad_clip=1.0, lr=0.1, batch_size=3))
    name = "transformer.h.0.mlp.c_fc.weight"
    if engine == "scalar":
        honest = engines.clip_grad_norm

        def clip(parameters: list[Value], most: float) -> float:
            tables(model)[name][1].grad = math.inf
            return honest(parameters, most)

        monkeypatch.setattr(engines, "clip_grad_norm", clip)
    else:
        compute = made._value_and_grad

        def value_and_grad(*arguments: object) -> float:
            loss = compute(*arguments)
            made._parameters.gradient[made._tables[name].start + 1] = math.inf
            return float(loss)

        monkeypatch.setattr(made, "_value_and_grad", value_and_grad)
    before = [value.data for value in model.parameters()]
    loss, norm = made.step(corpus.batch(6, 3, 0, 0), 0.1, "")
    made.write_back()
    assert math.isfinite(loss)
    assert norm == math.inf
    assert [value.data for value in model.parameters()] == pytest.approx(before, rel=1e-6)
    assert {line.name: line.not_finite for line in made.flow if line.not_finite} == {name: 1}
    assert explain_divergence(made.flow).endswith(
        f"1 of {len(made.flow)} tables of parameters are not finite; on the way back "
        f"from the loss the first one is {name}"
    )


def test_gradients_are_measured_first_last_and_at_validations(train_arguments: list[str], tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert main([*train_arguments, "--steps", "11", "--eval-interval", "5", "--out", str(out)]) == 0
    measured = checkpoint.read_flow(out)
    assert list(measured) == [1, 5, 10, 11]
    names = [name for name, _ in checkpoint.load_model(out)[0].named_parameters()]
    assert all([line.name for line in lines] == names for lines in measured.values())
    # measurements after the last checkpoint of a killed session are dropped; a later session adds to the rest
    with open(out / "flow.jsonl", "a", encoding="utf-8") as file:
        file.write(checkpoint.flow_lines(14, measured[11]) + '{"step": 15, "na')
    assert main(["train", "--resume", str(out), "--steps", "15", "--no-draw"]) == 0
    assert list(checkpoint.read_flow(out)) == [1, 5, 10, 11, 15]


@pytest.mark.pandas
def test_pandas_reads_it(train_arguments: list[str], tmp_path: Path) -> None:
    import pandas

    assert main([*train_arguments, "--steps", "2", "--out", str(tmp_path / "run")]) == 0
    table = pandas.read_json(tmp_path / "run" / "flow.jsonl", lines=True)
    assert [*table.columns] == ["step", *(field.name for field in dataclasses.fields(GradientStats))]
    assert set(table.pivot(index="step", columns="name", values="mean").index) == {1, 2}


def test_a_line_that_is_not_a_measurement_is_reported(tmp_path: Path) -> None:
    assert checkpoint.read_flow(tmp_path) == {}
    for damaged in ('{"step": 1}\n', "[1]\n", '{"name": "a"}\n'):
        (tmp_path / "flow.jsonl").write_text(damaged)
        with pytest.raises(CheckpointError, match="flow.jsonl, line 1 "):
            checkpoint.read_flow(tmp_path)


# --- explaining a divergence ------------------------------------------------------------------------------------------


def line(name: str, mean: float = 1.0, not_finite: int = 0) -> GradientStats:
    return GradientStats(name, 4, mean, mean, 0.0, not_finite)


def test_a_partly_infinite_gradient_names_the_first_tensor_in_backward_order() -> None:
    words = (
        "the gradients of 2 of 3 tables of parameters are not finite; on the way back from the loss the first one is b"
    )
    assert explain_divergence([line("a", not_finite=1), line("b", not_finite=4), line("c")]) == words
    assert (
        explain_divergence([line("a", not_finite=1)] * 2)
        == "the gradients of all 2 tables of parameters are not finite"
    )


def test_a_finite_gradient_names_the_tensor_that_has_grown_most() -> None:
    before = [line("a", 1.0), line("b", 0.1), line("c", 0.0)]
    grown = explain_divergence([line("a", 5.0), line("b", 3.0), line("c", 9.0)], before)
    assert grown == "the gradient of b has grown most, to 30 times what it was"
    assert explain_divergence([line("a", 5.0), line("b", 7.0)]) == "the largest gradient is that of b"
    assert explain_divergence([]) == ""


def plant(out: Path, change: object) -> None:
    """Change the parameters that a resumed run starts from."""
    state, model = checkpoint.load_training_state(out), checkpoint.load_model(out)[0]
    checkpoint.load_parameters(model, state.parameters, out)
    change(model)
    checkpoint.save_training_state(out, model, state.optimizer, state.step)


@pytest.mark.parametrize("engine", HERE)
def test_the_module_in_which_a_number_overflows_is_named(
    engine: str, train_arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def change(model: GPT) -> None:
        for row in model.transformer.h[0].mlp.c_fc.weight:
            row[0].data = 1e250 if engine == "scalar" else 1e30

    out = tmp_path / "run"
    assert main([*train_arguments, "--engine", engine, "--out", str(out), "--steps", "4"]) == 0
    plant(out, change)
    before = (out / "training.safetensors").read_bytes()
    assert main(["train", "--resume", str(out), "--steps", "9", "--no-draw"]) == 1
    error = capsys.readouterr().err
    assert "training diverged at step 5" in error
    assert "in transformer.h.0.mlp.act: " in error
    assert re.search(
        r"The first number that is (not finite|beyond 3.4e38) is [^\n]*, a result of \*, in transformer", error
    )
    assert "Traceback" not in error
    assert (out / "training.safetensors").read_bytes() == before


@pytest.mark.parametrize("engine", HERE)
def test_the_explosion_of_a_huge_learning_rate_names_a_tensor(
    engine: str, train_arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    arguments = [*train_arguments, "--engine", engine, "--steps", "60", "--lr", "300", "--grad-clip", "0"]
    assert main([*arguments, "--out", str(out)]) == 1
    error = capsys.readouterr().err
    assert re.search(r"training diverged at step \d+: ", error)
    names = [name for name, _ in checkpoint.load_model(out)[0].named_parameters()]
    assert any(name in error for name in names) or "in transformer" in error


@pytest.mark.parametrize("clip", [0.0, 1e-3])
def test_the_tensor_whose_gradient_has_grown_is_named(
    clip: float,
    train_arguments: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    honest, made = CompiledEngine.step, itertools.count(1)
    name = "transformer.h.0.mlp.c_proj.weight"
    now = 0.0

    def step(self: CompiledEngine, *arguments: object) -> tuple[float, float]:
        nonlocal now
        loss, norm = honest(self, *arguments)
        if next(made) > 10:
            self._parameters.gradient[self._tables[name]] *= 1e6
            loss = 1e4
        now = next(line.mean for line in self.gradients() if line.name == name) * (norm / clip if clip else 1.0)
        return loss, norm

    monkeypatch.setattr(CompiledEngine, "step", step)
    out = tmp_path / "run"
    assert main([*train_arguments, "--steps", "60", "--grad-clip", str(clip), "--out", str(out)]) == 1
    [before] = [line.mean for line in checkpoint.read_flow(out)[1] if line.name == name]
    found = re.search(rf"the gradient of {name} has grown most, to ([\d.,e]+) times", capsys.readouterr().err)
    assert found is not None
    assert float(found[1].replace(",", "")) == pytest.approx(now / before, rel=0.01)


def test_statistics_are_on_disk_before_the_checkpoint_of_the_same_step(
    train_arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, honest = tmp_path / "run", checkpoint.save_training_state
    seen = []

    def save(folder: Path, model: GPT, optimizer: object, step: int, numbers: object) -> None:
        seen.append((step, list(checkpoint.read_flow(folder))))
        honest(folder, model, optimizer, step, numbers)

    monkeypatch.setattr(checkpoint, "save_training_state", save)
    assert main([*train_arguments, "--steps", "9", "--out", str(out)]) == 0
    assert seen == [(0, []), (4, [1, 4]), (8, [1, 4, 8]), (9, [1, 4, 8, 9])]


def test_the_command_shows_the_measurements(
    train_arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main([*train_arguments, "--steps", "8", "--out", str(out)]) == 0
    capsys.readouterr()
    assert main(["flow", str(out), "--over-time"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"mean \|gradient\|, after step\n +1 +4 +8\n", printed)
    assert "update ÷ data, after step" in printed
    assert (out / "flow-over-time.svg").read_text(encoding="utf-8").startswith("<svg")
    assert main(["flow", str(out), "-o", str(tmp_path / "now.txt")]) == 0
    capsys.readouterr()
    last = {line.name: line.update for line in checkpoint.read_flow(out)[8]}
    rows = (tmp_path / "now.txt").read_text(encoding="utf-8").splitlines()
    row = next(row for row in rows if row.startswith("lm_head.weight"))
    assert float(row.split()[-1]) == pytest.approx(last["lm_head.weight"], rel=0.05)


def test_a_run_without_measurements_and_a_missing_run(train_arguments: list[str], tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert main([*train_arguments, "--steps", "1", "--out", str(out)]) == 0
    (out / "flow.jsonl").unlink()
    assert "has measured no gradients yet: flow.jsonl is empty; train some steps" in refusal(
        main, "flow", str(out), "--over-time"
    )
    assert "holds no checkpoint" in refusal(main, "flow", str(tmp_path), "--over-time")
    assert "unknown format: 'a.jpg' must end in one of" in refusal(main, "flow", str(out), "-o", "a.jpg")


def test_flow_counts_dead_units_over_many_characters(
    train_arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main([*train_arguments, "--steps", "1", "--bias", "--activation", "relu", "--out", str(out)]) == 0
    model, _, _, step = checkpoint.load_model(out)
    layer = model.transformer.h[0].mlp.c_fc
    for unit, (row, bias) in enumerate(zip(layer.weight, layer.bias, strict=True)):
        for w in row:
            w.data = 0.0
        bias.data = -1.0 if unit < 3 else 1.0
    checkpoint.save_model(out, model, step)
    capsys.readouterr()
    assert main(["flow", str(out), "-o", str(tmp_path / "now.txt")]) == 0
    said = capsys.readouterr().out
    units = len(layer.weight)
    found = re.search(rf"The {units} units of the MLPs were watched over (\d+) characters: 3 dead\.", said)
    assert found, said
    assert int(found[1]) > 100
    assert f"3 of {units} units of transformer.h.0.mlp.act are dead: 0 for all {found[1]} characters" in said
