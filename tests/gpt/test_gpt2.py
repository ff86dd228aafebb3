"""GPT-2's public files: imported as a run, described, sampled, measured, and written back."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from gpt.cli import main
from gpt.runs import checkpoint
from gpt.runs.saved_run import SavedRun
from tests.commands import refusal
from tests.gpt import gpt2_folder
from tests.gpt.gpt2_folder import TINY


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gpt2") / "theirs"
    gpt2_folder.write(folder)
    return folder


@pytest.fixture(scope="module")
def run(theirs: Path) -> Path:
    folder = theirs.parent / "run"
    assert main(["import", str(theirs), str(folder)]) == 0
    return folder


def said(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    capsys.readouterr()
    assert main(command) == 0
    return capsys.readouterr().out


def test_the_run_has_32_bit_floats_and_no_state_of_a_training(run: Path) -> None:
    assert sorted(path.name for path in run.iterdir()) == ["config.json", "model.safetensors", "tokenizer.json"]
    config = checkpoint.load_config(run).model
    assert (config.activation, config.norm, config.bias, config.tied_head) == ("gelu_tanh", "layernorm", True, True)
    assert {array.dtype for array in load_file(run / "model.safetensors").values()} == {np.dtype(np.float32)}


def test_what_is_written_back_is_equal_to_the_last_bit(theirs: Path, run: Path, tmp_path: Path) -> None:
    assert main(["export", str(run), str(tmp_path / "out"), "--hugging-face"]) == 0
    before, after = (load_file(folder / "model.safetensors") for folder in (theirs, tmp_path / "out"))
    assert {f"transformer.{name}": array.tobytes() for name, array in before.items()} == {
        name: array.tobytes() for name, array in after.items()
    }
    assert {f"transformer.{name}": array.shape for name, array in before.items()} == {
        name: array.shape for name, array in after.items()
    }
    assert json.loads((tmp_path / "out" / "vocab.json").read_text()) == json.loads((theirs / "vocab.json").read_text())
    assert (tmp_path / "out" / "merges.txt").read_bytes() == (theirs / "merges.txt").read_bytes()
    about = json.loads((tmp_path / "out" / "config.json").read_text())
    assert {**TINY, "activation_function": "gelu_new", "eos_token_id": 299}.items() <= about.items()
    assert main(["import", str(tmp_path / "out"), str(tmp_path / "again")]) == 0
    for name in ("model.safetensors", "tokenizer.json"):
        assert (tmp_path / "again" / name).read_bytes() == (run / name).read_bytes()


@pytest.mark.parametrize("engine", ["scalar", "compiled"])
def test_the_scalar_model_writes_the_same_text(engine: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["sample", str(run), "--prompt", "don't", "--max-new-tokens", "24", "--seed", "3", "--top-p", "0.9"]
    text = said(capsys, *command)
    assert text.startswith("don't")
    assert len(text) > 20
    assert said(capsys, *command, "--engine", engine) == text


def test_a_text_ends_where_the_model_says_so(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = shutil.copytree(run, tmp_path / "copy")
    tables, step = checkpoint.load_arrays(copy, checkpoint.load_config(copy).model)
    tables = {name: np.zeros_like(table) for name, table in tables.items()}
    tables["transformer.ln_f.bias"] += 1.0
    tables["transformer.wte.weight"][65 - 33] += 1.0  # A: 8; the end: 4
    tables["transformer.wte.weight"][299] += 0.5
    checkpoint.save_arrays(copy, checkpoint.load_config(copy).model, tables, step)
    greedy = ["sample", str(copy), "--max-new-tokens", "9", "--temperature", "0"]
    assert said(capsys, *greedy) == "AAAAAAAAA\n"
    tables["transformer.wte.weight"][299] += 1.0
    checkpoint.save_arrays(copy, checkpoint.load_config(copy).model, tables, step)
    assert said(capsys, *greedy, "--prompt", "x") == "x\n"


def test_it_is_described_and_counted(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = said(capsys, "info", str(run))
    assert all(len(line) <= 80 for line in printed.splitlines() if str(run) not in line)
    # By hand: the tables 300·8 + 16·8, a block 8·24 + 24 + 8·8 + 8 + 8·32 + 32 + 32·8 + 8 + 4·8, the last norm 2·8.
    assert re.search(r"^all +4,288 +100.0%$", printed, re.MULTILINE)
    assert 2400 + 128 + 2 * 872 + 16 == 4288
    assert "vocabulary of 300 byte pairs, 43 of them merged" in printed
    # Two per weight of the matrices, 2·(192 + 64 + 256 + 256) + 2400, and of 16 keys and 16 values in both blocks.
    assert f"One more token takes {2 * (2 * 768 + 2400 + 2 * 2 * 16 * 8):,} multiplications" in printed
    assert "17.2 kB" in printed  # 4 bytes each
    assert "train" not in printed


def test_of_many_blocks_one_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gpt2_folder.write(tmp_path / "theirs", {**TINY, "n_layer": 6})
    assert main(["import", str(tmp_path / "theirs"), str(tmp_path / "run")]) == 0
    printed = said(capsys, "info", str(tmp_path / "run"))
    assert re.search(r"^    h\.1 to h\.5, each like h\.0 +4,360 ", printed, re.MULTILINE)  # 5 · 872
    assert printed.count("c_attn") == 1
    assert re.search(r"^    ln_f +16 ", printed, re.MULTILINE)


def test_the_loss_on_a_text(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.txt").write_text("It is naïve to say: don't!\n" * 3, encoding="utf-8")
    command = ["eval", str(run), "--data", str(tmp_path / "text.txt")]
    printed = said(capsys, *command)
    assert "sequences of 16 byte pairs" in printed
    assert said(capsys, *command, "--engine", "scalar") == printed
    nats, per_character = (float(x) for x in re.findall(r"([\d.]+) nats", printed))
    tokens = SavedRun.open(run).vocabulary.encode("It is naïve to say: don't!\n" * 3)
    read = (len(tokens) - 1) // 16 * 16
    characters = len(SavedRun.open(run).vocabulary.decode(tokens[1 : read + 1]))
    assert per_character == pytest.approx(nats * read / characters, abs=1e-3)
    (tmp_path / "short.txt").write_text("A b")
    assert "sequences of 2 byte pairs" in said(capsys, "eval", str(run), "--data", str(tmp_path / "short.txt"))
    assert "say with --data PATH what to read" in refusal(main, "eval", str(run))
    assert "reads byte pairs; leave them out" in refusal(main, *command, "--surprise")


@pytest.mark.parametrize(
    ("how", "shape"),
    [
        ({"prefix": "transformer."}, {}),
        ({"bfloat16": True}, {}),
        ({}, {"n_inner": None, "resid_pdrop": 0.1, "embd_pdrop": 0.1, "n_ctx": 16}),
    ],
    ids=["with a prefix", "in 16 bits", "with more settings"],
)
def test_other_ways_to_write_the_same(how: dict[str, Any], shape: dict[str, Any], tmp_path: Path) -> None:
    arrays = gpt2_folder.write(tmp_path / "theirs", **how, **shape)
    path = tmp_path / "theirs" / "model.safetensors"
    if not how.get("bfloat16"):  # the causal masks that older files hold
        mask = np.tril(np.ones((1, 1, 16, 16), np.float32))
        masks = {f"h.{i}.attn.bias": mask for i in range(2)} | {"h.0.attn.masked_bias": np.float32([-1e4])}
        prefix = how.get("prefix", "")
        head = {"lm_head.weight": arrays["wte.weight"]}
        gpt2_folder.save(path, {prefix + name: array for name, array in {**arrays, **masks}.items()} | head)
    assert main(["import", str(tmp_path / "theirs"), str(tmp_path / "run")]) == 0
    found = load_file(tmp_path / "run" / "model.safetensors")
    assert len(found) == len(arrays)
    bits = 8 if how.get("bfloat16") else 24
    for name, array in arrays.items():
        ours = found[f"transformer.{name}"]
        turned = array.T if re.search(r"\.(c_attn|c_proj|c_fc)\.weight$", name) else array
        assert ours == pytest.approx(turned, rel=2.0 ** (1 - bits), abs=0)


def test_a_head_of_its_own_is_kept(tmp_path: Path) -> None:
    arrays = gpt2_folder.write(tmp_path / "theirs")
    head = np.full((300, 8), 0.25, np.float32)
    gpt2_folder.save(tmp_path / "theirs" / "model.safetensors", {**arrays, "lm_head.weight": head})
    assert main(["import", str(tmp_path / "theirs"), str(tmp_path / "run")]) == 0
    assert checkpoint.load_config(tmp_path / "run").model.tied_head is False
    assert main(["export", str(tmp_path / "run"), str(tmp_path / "out"), "--hugging-face"]) == 0
    assert load_file(tmp_path / "out" / "model.safetensors")["lm_head.weight"].tobytes() == head.tobytes()


def test_a_tokenizer_json_is_read_where_there_is_no_vocab_json(theirs: Path, run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(theirs, tmp_path / "copy")
    vocab, merges = gpt2_folder.vocabulary(300)
    end = vocab.popitem()
    content = {
        "added_tokens": [{"id": end[1], "content": end[0], "special": True}],
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False},
        "model": {"type": "BPE", "vocab": vocab, "merges": [merge.split(" ") for merge in merges]},
    }
    for name in ("vocab.json", "merges.txt"):
        (copy / name).unlink()
    (copy / "tokenizer.json").write_text(json.dumps(content))
    assert main(["import", str(copy), str(tmp_path / "again")]) == 0
    assert (tmp_path / "again" / "tokenizer.json").read_bytes() == (run / "tokenizer.json").read_bytes()
    (copy / "tokenizer.json").write_text(json.dumps({**content, "normalizer": {"type": "NFC"}}))
    assert "is not GPT-2's: expected a model of type BPE" in refusal(main, "import", str(copy), str(tmp_path / "x"))


@pytest.mark.parametrize(
    "command",
    [
        ["train", "--resume", "RUN"], ["chat", "RUN"], ["draw", "RUN"], ["flow", "RUN"], ["attention", "RUN"],
        ["next", "RUN"], ["embeddings", "RUN"], ["histogram", "RUN"], ["compilation", "RUN"], ["explore", "RUN"],
        ["report", "RUN"], ["play", "RUN"], ["compare", "RUN", "RUN"], ["export", "RUN", "m.safetensors"],
        ["export", "RUN", "out", "--wasm"], ["info", "RUN", "--profile"], ["attention", "RUN", "--text", "don't"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_needs_characters_or_a_text_says_so(command: list[str], run: Path) -> None:
    error = refusal(main, *(str(run) if word == "RUN" else word for word in command))
    assert re.search("byte pairs|imported without its text|it has none", error)


def test_without_snapshots_no_training_is_advised(run: Path) -> None:
    error = refusal(main, "timemachine", str(run))
    assert "reads byte pairs" in error
    assert "train" not in error


def without(*names: str) -> Any:
    def change(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return change


def settings(**more: Any) -> Any:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **more}))

    return change


def tensors(**more: Any) -> Any:
    def change(folder: Path) -> None:
        found = {**load_file(folder / "model.safetensors"), **more}
        gpt2_folder.save(folder / "model.safetensors", {name: x for name, x in found.items() if x is not None})

    return change


def content(name: str, replace: Any) -> Any:
    def change(folder: Path) -> None:
        (folder / name).write_bytes(replace((folder / name).read_bytes()))

    return change


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            without("config.json"),
            "is a folder without config.json; expected a file, or a folder of Hugging Face's GPT-2",
        ),
        (without("model.safetensors"), "there is no file"),
        (
            pickled,
            "has pytorch_model.bin, and pickles, .* are not read; expected one model.safetensors",
        ),
        (without("merges.txt"), "has vocab.json without merges.txt; expected both"),
        (without("merges.txt", "vocab.json"), "or for GPT-2 a folder that also has vocab.json and merges.txt"),
        (content("model.safetensors", lambda x: x[:-5]), "expected [0-9,]+ bytes, got [0-9,]+"),
        (content("model.safetensors", lambda x: x[:100]), "its header is not whole"),
        (content("vocab.json", lambda x: x[:-9]), "vocab.json is damaged"),
        (content("vocab.json", lambda _: b'{"a": "b"}'), "vocab must be tokens with their numbers"),
        (content("merges.txt", lambda x: x + b"a\n"), "expected two tokens a line with a space between them, got 'a'"),
        (content("merges.txt", lambda x: x + b"q q\n"), "'q q' is among the merges, and 'qq' is not in the vocabulary"),
        (content("merges.txt", lambda x: x + b"\xff"), "is not UTF-8"),
        (settings(activation_function="mish"), "activation_function must be one of gelu, gelu_new, .*; got 'mish'"),
        (settings(layer_norm_epsilon=1e-6), "layer_norm_epsilon must be 1e-05, got 1e-06"),
        (settings(scale_attn_by_inverse_layer_idx=True), "scale_attn_by_inverse_layer_idx must be False, got True"),
        (settings(model_type="llama"), "is not of Hugging Face's GPT-2: model_type is 'llama'"),
        (settings(n_head=3), "n_head must divide n_embd"),
        (settings(n_layer=3), "missing: transformer.h.2.ln_1.weight, expected of shape"),
        (settings(n_embd=16), r"transformer.wte.weight: expected shape \(300, 16\), got \(300, 8\)"),
        (settings(vocab_size=301), "301 tokens and the vocabulary 300"),
        (settings(n_positions=17), r"wpe.weight: expected shape \(17, 8\), got \(16, 8\)"),
        (tensors(**{"h.1.mlp.c_fc.bias": None}), r"missing: transformer.h.1.mlp.c_fc.bias, expected of shape \(32,\)"),
        (tensors(**{"ln_f.bias": np.zeros(9, np.float32)}), r"ln_f.bias: expected shape \(8,\), got \(9,\)"),
        (tensors(**{"h.0.x.weight": np.zeros((2, 2), np.float32)}), "unknown: 'transformer.h.0.x.weight'"),
        (tensors(**{"ln_f.bias": np.full(8, np.nan, np.float32)}), r"ln_f.bias\[0\] is not finite"),
    ],
)
def test_bad_input_is_one_sentence_and_makes_no_run(change: Any, message: str, theirs: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(theirs, tmp_path / "copy")
    change(copy)
    assert re.search(message, refusal(main, "import", str(copy), str(tmp_path / "run")))
    assert not (tmp_path / "run" / "config.json").exists()


@pytest.mark.parametrize("flag", [["--data", "text.txt"], ["--dataset", "names"], ["--meta", "m.pkl"]])
def test_a_text_or_an_alphabet_is_refused(flag: list[str], theirs: Path, tmp_path: Path) -> None:
    error = refusal(main, "import", str(theirs), str(tmp_path / "run"), *flag)
    assert f"{flag[0]} is for models of characters" in error


def test_a_pickle_alone_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    assert "must end in .pt or .safetensors" in refusal(
        main, "import", str(tmp_path / "pytorch_model.bin"), str(tmp_path / "run")
    )


def test_a_model_of_more_parameters_than_values_is_not_made_of_values(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("gpt.runs.saved_run.LARGEST", 4000)
    assert said(capsys, "sample", str(run), "--max-new-tokens", "3")
    error = refusal(main, "sample", str(run), "--engine", "scalar")
    assert "has 4,288 parameters; expected at most 4,000, each a Value; gpt info, sample, eval and export" in error
