"""Exported weights in PyTorch code that reads nanoGPT's names, and back again.

In processes of their own: PyTorch brings threads and warnings that the other tests should not live with.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed"),
]
HERE = Path(__file__).parent

OUT = """
import sys, torch
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from nanogpt import NanoGPT
from test_exchange import SHAPES, logits, made_run
from gpt import checkpoint
from gpt.cli import main
from safetensors.torch import load_file
for name, shape in SHAPES.items():
    folder = Path(sys.argv[2]) / name
    model = made_run(folder / "run", **shape)
    pt, st = folder / "m.pt", folder / "m.safetensors"
    assert main(["export", str(folder / "run"), str(pt)]) == main(["export", str(folder / "run"), str(st)]) == 0
    saved = torch.load(pt, weights_only=True)
    assert (saved["iter_num"], saved["config"]["dataset"]) == (41, "names")
    for tensors in (saved["model"], load_file(st)):
        theirs = NanoGPT(saved["model_args"])
        theirs.load_state_dict(tensors, strict=True)
        expected = torch.tensor(logits(model, [1, 2, 6, 0]))
        found = theirs(torch.tensor([[1, 2, 6, 0]]))[0]
        assert (found - expected).abs().max() < 1e-5, name
        assert expected.std() > 0.1  # numbers that could differ
    assert main(["import", str(pt), str(folder / "again")]) == 0
    again = checkpoint.load_model(folder / "again")[0]
    assert (torch.tensor(logits(again, [1, 2, 6, 0])) - expected).abs().max() < 1e-5
"""

IN = """
import sys, torch
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from nanogpt import NanoGPT
from test_exchange import logits
from gpt import checkpoint
from gpt.cli import main
folder = Path(sys.argv[2])
(folder / "text.txt").write_text("abcdefg " * 40)
torch.manual_seed(1)
for bias in (False, True):
    args = dict(n_layer=2, n_head=2, n_embd=8, block_size=6, bias=bias, vocab_size=8, dropout=0.0)
    theirs = NanoGPT(args)
    for p in theirs.parameters():
        torch.nn.init.normal_(p, std=0.4)
    state = {f"_orig_mod.{name}": tensor for name, tensor in theirs.state_dict().items()}  # as torch.compile names them
    state["_orig_mod.transformer.h.0.attn.bias"] = torch.ones(1, 1, 6, 6).tril()        # as before PyTorch 2
    config = dict(dataset="mine", learning_rate=0.003, min_lr=0.0003, max_iters=70, batch_size=4, warmup_iters=2)
    saved = {"model": state, "model_args": args, "iter_num": 60, "config": config}
    torch.save(saved, folder / "ckpt.pt")
    torch.save(theirs.state_dict(), folder / "bare.pt")
    run, other = folder / f"run-{bias}", folder / f"bare-{bias}"
    text = ["--data", str(folder / "text.txt")]
    assert main(["import", str(folder / "ckpt.pt"), str(run), *text]) == 0
    assert main(["import", str(folder / "bare.pt"), str(other), *text, "--n-head", "2"]) == 0
    for made in (run, other):
        ours = torch.tensor(logits(checkpoint.load_model(made)[0], [0, 3, 7, 7, 1, 2]))
        expected = theirs(torch.tensor([[0, 3, 7, 7, 1, 2]]))[0]
        assert (ours - expected).abs().max() < 1e-5
    train = checkpoint.load_config(run).train
    assert (train.lr, train.min_lr, train.steps, train.batch_size) == (0.003, 0.0003, 70, 4)
class Evil:
    def __reduce__(self):
        return exec, ("raise SystemExit('code ran')",)
torch.save({"model": Evil()}, folder / "evil.pt")
assert main(["import", str(folder / "evil.pt"), str(folder / "evil"), *text]) == 2
(folder / "broken.pt").write_bytes((folder / "ckpt.pt").read_bytes()[:500])
assert main(["import", str(folder / "broken.pt"), str(folder / "broken"), *text]) == 2
assert not (folder / "evil").exists() and not (folder / "broken").exists()
"""


@pytest.mark.parametrize("code", [OUT, IN], ids=["out", "in"])
def test_logits_agree_with_pytorch(code: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code, str(HERE), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    if code is IN:
        assert done.stderr.count("is damaged, or holds more than numbers and words") == 2
