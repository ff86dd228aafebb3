"""Export to and import from nanoGPT's formats; tests that need PyTorch are in test_exchange_torch.py."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest

from gpt.cli import main
from gpt.config import GPTConfig, TrainConfig
from gpt.model import GPT
from gpt.runs import checkpoint, convert
from gpt.runs.checkpoint import RunConfig
from gpt.tokenizer import CharTokenizer
from tests.commands import refusal

SHAPES: dict[str, dict[str, Any]] = {
    "nanoGPT's own": {"norm": "layernorm", "norm_weight": True, "activation": "gelu", "tied_head": True},
    "with biases": {
        "norm": "layernorm", "norm_weight": True, "activation": "gelu", "tied_head": True, "bias": True, "n_layer": 2,
    },
    "GPT-2's": {
        "norm": "layernorm", "norm_weight": True, "activation": "gelu_tanh", "tied_head": True, "bias": True,
    },
    "ours": {"activation": "relu2"},
    "rotary": {"positions": "rotary", "activation": "relu", "norm_weight": True, "dropout": 0.1},
}  # fmt: skip


def made_run(folder: Path, **shape: Any) -> GPT:
    """Make a run with a random model, as if it had been trained."""
    fields = {"vocab_size": 7, "n_embd": 8, "n_head": 2, "block_size": 6, "init_std": 0.4, **shape}
    model = GPT(GPTConfig(**fields), seed=5)
    for i, p in enumerate(model.parameters()):  # norms and biases too: at 1 and 0 a swap would go unnoticed
        p.data += 0.01 * (i % 13 - 6)
    tokenizer = CharTokenizer("\nabcdeé")
    config = RunConfig(model.config, TrainConfig(lr=0.004, batch_size=3), "names", None, "0" * 64)
    folder.mkdir(parents=True)
    checkpoint.save_model(folder, model, 41)
    checkpoint.save_config(folder, config, tokenizer)
    return model


def logits(model: GPT, tokens: list[int]) -> list[list[float]]:
    model.eval()
    return [[x.data for x in row] for row in model(tokens)]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
def test_safetensors_exported_and_imported_are_the_same_model(shape: dict[str, Any], tmp_path: Path) -> None:
    model = made_run(tmp_path / "run", **shape)
    out = tmp_path / "model.safetensors"
    assert main(["export", str(tmp_path / "run"), str(out)]) == 0
    assert main(["import", str(out), str(tmp_path / "again")]) == 0
    again, config, tokenizer, step = checkpoint.load_model(tmp_path / "again")
    assert (step, tokenizer.alphabet, config.dataset) == (41, "\nabcdeé", "names")
    assert (config.train.lr, config.train.batch_size) == (0.004, 3)
    expected = {**vars(model.config), "init_std": config.model.init_std}  # the scale of weights before training
    assert vars(config.model) == expected
    for ours, theirs in zip(logits(model, [1, 2, 6, 0]), logits(again, [1, 2, 6, 0]), strict=True):
        assert theirs == pytest.approx(ours, abs=1e-5)


def test_the_file_records_options_that_nanogpt_lacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("ours", "nanoGPT's own"):
        made_run(tmp_path / name, **SHAPES[name])
        assert main(["export", str(tmp_path / name), str(tmp_path / f"{name}.safetensors")]) == 0
    printed = capsys.readouterr().out
    assert "norm rmsnorm, norm_weight False, activation relu2, tied_head False" in printed
    assert "nanoGPT's model.py runs it unchanged" in printed
    content = (tmp_path / "ours.safetensors").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    args = json.loads(header["__metadata__"]["tinygrad_edu"])["model_args"]
    assert args["activation"] == "relu2"
    assert header["transformer.h.0.attn.c_attn.weight"] == {
        "dtype": "F32", "shape": [24, 8], "data_offsets": header["transformer.h.0.attn.c_attn.weight"]["data_offsets"],
    }  # fmt: skip


def test_the_same_model_makes_the_same_file(tmp_path: Path) -> None:
    made_run(tmp_path / "run")
    contents = []
    for name in ("one.safetensors", "two.safetensors"):
        assert main(["export", str(tmp_path / "run"), str(tmp_path / name)]) == 0
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1]


def bare(tmp_path: Path, **shape: Any) -> Path:
    """Return tensors without metadata."""
    import numpy as np
    from safetensors.numpy import save_file

    model = made_run(tmp_path / "source", **shape)
    path = tmp_path / "bare.safetensors"
    save_file({name: np.array(x, np.float32) for name, x in model.state_dict().items()}, path)
    return path


def test_bare_tensors_need_the_number_of_heads_and_a_text_whose_characters_are_the_alphabet(tmp_path: Path) -> None:
    path = bare(tmp_path, **SHAPES["nanoGPT's own"])
    text = tmp_path / "text.txt"
    text.write_text("\néabcde" * 30, encoding="utf-8")
    command = ["import", str(path), str(tmp_path / "run")]
    assert "give --data PATH or --dataset NAME" in refusal(main, *command)
    command += ["--data", str(text)]
    assert "give --n-head N" in refusal(main, *command)
    assert not (tmp_path / "run").exists()
    assert main([*command, "--n-head", "2"]) == 0
    first, *_ = checkpoint.load_model(tmp_path / "source")
    again, config, tokenizer, _ = checkpoint.load_model(tmp_path / "run")
    assert tokenizer.alphabet == "\nabcdeé"
    assert (config.model.norm, config.model.activation, config.model.tied_head) == ("layernorm", "gelu", True)
    assert logits(again, [3, 1])[1] == pytest.approx(logits(first, [3, 1])[1], abs=1e-5)
    # It is a complete run: it can be trained further and sampled.
    train = ["train", "--resume", str(tmp_path / "run"), "--steps", "2", "--batch-size", "2", "--no-draw"]
    assert main(train) == 0
    assert main(["sample", "--checkpoint", str(tmp_path / "run"), "--max-new-tokens", "5"]) == 0


def test_nanogpts_meta_gives_the_alphabet(tmp_path: Path) -> None:
    path = bare(tmp_path, **SHAPES["nanoGPT's own"])
    assert (
        main(["export", str(tmp_path / "source"), str(tmp_path / "x.safetensors"), "--meta", str(tmp_path / "m.pkl")])
        == 0
    )
    meta = pickle.loads((tmp_path / "m.pkl").read_bytes())
    assert meta["itos"][6] == "é"
    assert meta["stoi"]["é"] == 6
    assert meta["vocab_size"] == 7
    run = str(tmp_path / "run")
    assert (
        main(["import", str(path), run, "--meta", str(tmp_path / "m.pkl"), "--dataset", "names", "--n-head", "2"]) == 0
    )
    assert checkpoint.load_tokenizer(tmp_path / "run").alphabet == "\nabcdeé"


class Evil:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return exec, ("raise SystemExit('code ran')",)


@pytest.mark.parametrize(
    ("name", "content", "more", "message"),
    [
        ("m.bin", b"x", [], "must end in .pt or .safetensors"),
        ("m.safetensors", None, [], "there is no file"),
        ("m.pt", None, [], "there is no file"),
        ("folder", None, [], "there is no file"),
        ("m.safetensors", b"not this", [], "is damaged or not a safetensors file"),
        ("m.safetensors", "other", [], "has no transformer.wte.weight"),
        ("m.safetensors", "good", ["--n-head", "4"], "n_head is 2 in the file, got 4"),
        ("m.safetensors", "good", ["--meta", "evil.pkl"], "which could run code"),
        ("m.safetensors", "good", ["--meta", "small.pkl"], "the model has 7 tokens and the alphabet 2 characters"),
        ("m.safetensors", "good", ["--dataset", "nothing"], "unknown data set"),
    ],
)
def test_bad_input_is_one_sentence_and_creates_nothing(
    name: str, content: Any, more: list[str], message: str,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    import numpy as np
    from safetensors.numpy import save

    monkeypatch.chdir(tmp_path)
    Path("evil.pkl").write_bytes(pickle.dumps(Evil()))
    Path("small.pkl").write_bytes(pickle.dumps({"itos": {0: "a", 1: "b"}}))
    if content == "good":
        made_run(tmp_path / "source")
        assert main(["export", "source", name]) == 0
    elif content == "other":
        Path(name).write_bytes(save({"weight": np.zeros(3, np.float32)}))
    elif content is not None:
        Path(name).write_bytes(content)
    assert message in refusal(main, "import", name, "run", *more)
    assert not Path("run").exists()


def test_a_run_is_never_overwritten(tmp_path: Path) -> None:
    made_run(tmp_path / "run")
    out = str(tmp_path / "m.safetensors")
    assert main(["export", str(tmp_path / "run"), out]) == 0
    assert "already holds a run" in refusal(main, "import", out, str(tmp_path / "run"))


def test_without_pytorch_the_extra_is_named_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    made_run(tmp_path / "run")
    assert "pip install torch" in refusal(main, "export", str(tmp_path / "run"), str(tmp_path / "m.pt"))
    assert not (tmp_path / "m.pt").exists()


def test_model_args_are_checked() -> None:
    imported = convert.Imported({}, {"n_head": 2, "block_size": 4, "n_embd": 8, "window": 3})
    with pytest.raises(convert.ConfigError, match="unknown here: window"):
        convert.run_config(imported, {}, ("names", None, ""))


def hugging_face(state: dict[str, Any]) -> dict[str, Any]:
    """Return tensors as in Hugging Face's GPT-2: four matrices are transposed."""
    import numpy as np

    turned = (".attn.c_attn.weight", ".attn.c_proj.weight", ".mlp.c_fc.weight", ".mlp.c_proj.weight")
    arrays = {name: np.array(numbers, np.float32) for name, numbers in state.items()}
    return {name: array.T.copy() if name.endswith(turned) else array for name, array in arrays.items()}


@pytest.mark.parametrize(
    "rename",
    [lambda name: name, lambda name: name.removeprefix("transformer."), lambda name: f"module._orig_mod.{name}"],
    ids=["whole", "without a head", "of several GPUs"],
)
def test_hugging_faces_tensors_are_imported(rename: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from safetensors.numpy import save_file

    model = made_run(tmp_path / "source", **SHAPES["with biases"])
    theirs = hugging_face(model.state_dict())
    theirs.pop("lm_head.weight", None)
    save_file({rename(name): array for name, array in theirs.items()}, tmp_path / "m.safetensors")
    (tmp_path / "text.txt").write_text("\néabcde" * 30, encoding="utf-8")
    command = ["import", str(tmp_path / "m.safetensors"), "--n-head", "2", "--data", str(tmp_path / "text.txt")]
    assert main([*command, str(tmp_path / "run")]) == 0
    assert "--activation gelu_tanh is GPT-2's" in capsys.readouterr().out
    again, *_ = checkpoint.load_model(tmp_path / "run")
    assert logits(again, [3, 1])[1] == pytest.approx(logits(model, [3, 1])[1], abs=1e-5)
    assert main([*command, "--activation", "gelu_tanh", str(tmp_path / "other")]) == 0
    assert "gelu" not in capsys.readouterr().out
    assert checkpoint.load_config(tmp_path / "other").model.activation == "gelu_tanh"


@pytest.mark.parametrize("shape", [SHAPES["nanoGPT's own"], SHAPES["GPT-2's"], {"norm": "layernorm"}])
def test_a_folder_for_hugging_face_can_be_imported_again(shape: dict[str, Any], tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    model = made_run(tmp_path / "run", **shape)
    assert main(["export", str(tmp_path / "run"), str(tmp_path / "out"), "--hugging-face"]) == 0
    tensors = load_file(tmp_path / "out" / "model.safetensors")
    assert tensors["transformer.h.0.attn.c_attn.weight"].shape == (8, 24)
    assert tensors["transformer.h.0.mlp.c_fc.bias"].shape == (32,)
    if not shape.get("norm_weight"):
        assert tensors["transformer.ln_f.weight"].tolist() == [1.0] * 8
    assert main(["import", str(tmp_path / "out"), str(tmp_path / "again")]) == 0
    again, config, tokenizer, step = checkpoint.load_model(tmp_path / "again")
    assert (step, tokenizer.alphabet, config.dataset) == (41, "\nabcdeé", "names")
    assert config.model.activation == model.config.activation
    assert logits(again, [3, 1])[1] == pytest.approx(logits(model, [3, 1])[1], abs=1e-5)


def test_models_unlike_gpt2_are_not_exported_as_one(tmp_path: Path) -> None:
    made_run(tmp_path / "run", **SHAPES["rotary"])
    assert "it has no positions rotary, norm rmsnorm" in refusal(
        main, "export", str(tmp_path / "run"), str(tmp_path / "out"), "--hugging-face"
    )
    assert not (tmp_path / "out").exists()


def test_nanogpt_finds_the_alphabet_of_any_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_run(tmp_path / "run", **SHAPES["nanoGPT's own"])
    path = tmp_path / "run" / "config.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "dataset": None, "data": "/somewhere/my text.txt"}))
    for more, expected in (([], "my text"), (["--meta", str(tmp_path / "data" / "own" / "meta.pkl")], "own")):
        (tmp_path / "data" / "own").mkdir(parents=True, exist_ok=True)
        assert main(["export", str(tmp_path / "run"), str(tmp_path / "m.safetensors"), *more]) == 0
        written = (tmp_path / "m.safetensors").read_bytes()
        header = json.loads(written[8 : 8 + int.from_bytes(written[:8], "little")])
        assert json.loads(header["__metadata__"]["tinygrad_edu"])["config"] == {"dataset": expected}
        assert f"data/{expected}/meta.pkl" in capsys.readouterr().out
