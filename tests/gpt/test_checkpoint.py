from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.numpy

from gpt.config import GPTConfig, TrainConfig
from gpt.errors import CheckpointError
from gpt.model import GPT
from gpt.runs import checkpoint
from gpt.runs.checkpoint import RunConfig
from gpt.tokenizer import CharTokenizer

CONFIG = GPTConfig(vocab_size=3, block_size=4, n_embd=4, n_head=2, tied_head=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    run = RunConfig(CONFIG, TrainConfig(), "names", None, "00")
    checkpoint.save_config(tmp_path, run, CharTokenizer("abc"))
    model = GPT(CONFIG, seed=2)
    n = len(model.parameters())
    checkpoint.save_model(tmp_path, model, 7)
    checkpoint.save_training_state(tmp_path, model, {"steps": 7, "m": [0.1] * n, "v": [1e-300] * n}, 7)
    return tmp_path


def test_a_model_is_restored_bit_for_bit(folder: Path) -> None:
    model, config, tokenizer, step = checkpoint.load_model(folder)
    assert model.state_dict() == GPT(CONFIG, seed=2).state_dict()
    assert model.lm_head.weight is model.transformer.wte.weight
    assert (config.model, config.dataset, tokenizer.alphabet, step) == (CONFIG, "names", "abc", 7)


def test_the_training_state_is_restored_bit_for_bit(folder: Path) -> None:
    state = checkpoint.load_training_state(folder)
    n = len(GPT(CONFIG).parameters())
    assert state.step == 7
    assert state.optimizer == {"steps": 7, "m": [0.1] * n, "v": [1e-300] * n}


def test_the_same_model_is_the_same_bytes_in_every_process(folder: Path, tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from gpt.runs import checkpoint
from gpt.model import GPT
from gpt.config import GPTConfig
folder = Path({str(tmp_path)!r}, "again"); folder.mkdir()
checkpoint.save_model(folder, GPT(GPTConfig(vocab_size=3, block_size=4, n_embd=4, n_head=2, tied_head=True), seed=2), 7)
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONHASHSEED": "77"})
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()


def test_other_tools_can_read_it(folder: Path) -> None:
    arrays = safetensors.numpy.load_file(folder / "model.safetensors")
    assert arrays["transformer.h.0.attn.c_attn.weight"].shape == (12, 4)
    assert "lm_head.weight" not in arrays  # a tied head is the token embedding


@pytest.mark.parametrize("keep", [0, 4, 50, 200, -1])
def test_a_truncated_file_is_refused(folder: Path, keep: int) -> None:
    for name, load in (("model", checkpoint.load_model), ("training", checkpoint.load_training_state)):
        path = folder / f"{name}.safetensors"
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(CheckpointError, match="damaged or not a safetensors file"):
            load(folder)


def test_a_missing_file_is_named(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"there is no model.safetensors in"):
        checkpoint.load_model(folder)
    with pytest.raises(CheckpointError, match=r"holds no checkpoint: there is no config.json"):
        checkpoint.load_model(tmp_path / "nowhere")


def test_parameters_of_another_shape_are_refused_with_name_and_shapes(folder: Path) -> None:
    content = json.loads((folder / "config.json").read_text())
    content["model"]["block_size"] = 9
    (folder / "config.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=r"transformer.wpe.weight: expected shape \(9, 4\), got \(4, 4\)"):
        checkpoint.load_model(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "format 99, expected 1"),
        ({"model": {"n_head": 3}}, "n_head must divide"),
        ({"model": {"color": 3}}, "color"),
        ({"model": {"vocab_size": 5}}, "the model has 5 tokens and the tokenizer 3"),
    ],
)
def test_settings_that_do_not_fit_are_refused(folder: Path, change: dict[str, object], message: str) -> None:
    content = json.loads((folder / "config.json").read_text())
    for key, value in change.items():
        content[key] = {**content[key], **value} if isinstance(value, dict) else value
    (folder / "config.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=message):
        checkpoint.load_model(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "3"])
def test_damaged_json_is_refused(folder: Path, name: str, content: str) -> None:
    (folder / name).write_text(content)
    with pytest.raises(CheckpointError, match=name):
        checkpoint.load_model(folder)


def test_numbers_that_are_not_finite_are_refused(folder: Path) -> None:
    model = GPT(CONFIG, seed=2)
    model.transformer.h[0].mlp.c_fc.weight[5][1].data = float("nan")
    checkpoint.save_model(folder, model, 8)
    with pytest.raises(CheckpointError, match=r"not finite: transformer.h.0.mlp.c_fc.weight\[5\]\[1\]"):
        checkpoint.load_model(folder)


def test_a_log_line_cut_short_by_a_crash_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"step": 1}\n{"step": 2}\n{"st')
    assert [record["step"] for record in checkpoint.read_log(tmp_path)] == [1, 2]
    (tmp_path / "log.jsonl").write_text('{"st\n{"step": 2}\n')
    with pytest.raises(CheckpointError, match="line 1 is damaged"):
        checkpoint.read_log(tmp_path)
