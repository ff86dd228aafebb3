"""Export weights to PyTorch code that reads nanoGPT's names, and import them again.

These run in subprocesses: PyTorch brings threads and warnings that other tests should not have.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.torch
HERE = Path(__file__).parents[2]

OUT = """
import sys, torch
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.gpt.nanogpt import NanoGPT
from tests.gpt.test_exchange import SHAPES, logits, made_run
from gpt.runs import checkpoint
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
from tests.gpt.nanogpt import NanoGPT
from tests.gpt.test_exchange import logits
from gpt.runs import checkpoint
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


GOES_ON = """
import sys, torch
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.gpt.nanogpt import NanoGPT
from gpt.runs import checkpoint
from gpt.cli import main
folder = Path(sys.argv[2])
(folder / "mine.txt").write_text("to be or not to be, that is the question\\n" * 40)
QUICK = "--eval-sequences 3 --final-eval-sequences 5 --eval-interval 4 --sample-interval 0".split()
shape = "--preset nano --n-layer 1 --n-head 2 --n-embd 8 --block-size 6 --batch-size 2 --threads 1 --no-draw".split()
run = folder / "run"
assert main(["train", "--data", str(folder / "mine.txt"), *shape, *QUICK, "--steps", "8", "--out", str(run)]) == 0
assert main(["export", str(run), str(folder / "ckpt.pt")]) == 0
saved = torch.load(folder / "ckpt.pt", weights_only=True)
assert saved["config"] == {"dataset": "mine"}
assert saved["best_val_loss"] == min(r["watched_loss"] if "watched_loss" in r else r["val_loss"]
                                     for r in checkpoint.read_log(run) if r["val_loss"] is not None)
theirs = NanoGPT(saved["model_args"])
theirs.load_state_dict(saved["model"], strict=True)
named = dict(theirs.named_parameters())
groups = [[(n, p) for n, p in named.items() if (p.dim() >= 2) == decays] for decays in (True, False)]
optimizer = torch.optim.AdamW([{"params": [p for _, p in g], "weight_decay": d} for g, d in zip(groups, (0.1, 0.0))])
optimizer.load_state_dict(saved["optimizer"])
state = checkpoint.load_training_state(run)
at = 0
for name, _ in checkpoint.load_model(run)[0].named_parameters():
    p = named[name]
    for theirs_, ours in (("exp_avg", "m"), ("exp_avg_sq", "v")):
        expected = torch.tensor(state.optimizer[ours][at : at + p.numel()]).reshape(p.shape)
        assert expected.abs().max() > 0
        torch.testing.assert_close(optimizer.state[p][theirs_], expected)
    assert optimizer.state[p]["step"] == 8
    at += p.numel()
assert at == len(state.optimizer["m"])
# What nanoGPT is not, it must not go on with: its train.py reads both, and stops.
more = ["--activation", "relu", "--steps", "1", "--out", str(folder / "other")]
assert main(["train", "--data", str(folder / "mine.txt"), *shape, *QUICK, *more]) == 0
assert main(["export", str(folder / "other"), str(folder / "other.pt")]) == 0
assert not {"optimizer", "best_val_loss"} & set(torch.load(folder / "other.pt", weights_only=True))
"""

HOSTILE = """
import sys, torch, warnings
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.gpt.nanogpt import NanoGPT
from gpt.cli import main
folder = Path(sys.argv[2])
(folder / "text.txt").write_text("abcdefg " * 40)
state = NanoGPT(dict(n_layer=1, n_head=2, n_embd=8, block_size=6, bias=True, vocab_size=8, dropout=0.0)).state_dict()
def refused(content):
    torch.save(content, folder / "e.pt")
    text = ["--data", str(folder / "text.txt"), "--n-head", "2"]
    assert main(["import", str(folder / "e.pt"), str(folder / "e"), *text]) == 2
for odd in (torch.eye(8).to_sparse(), torch.empty(8, 8, device="meta"), torch.zeros(1).expand(10**6, 10**5),
            torch.zeros(8, 8, dtype=torch.int64), torch.zeros(()), torch.zeros(8, 8, dtype=torch.complex64),
            torch.full((8, 8), float("nan")), torch.zeros(10**6, 8), torch.zeros(8, 8, dtype=torch.float8_e4m3fn),
            torch.full((8, 8), 1e300, dtype=torch.float64)):
    refused({**state, "transformer.wte.weight": odd, "lm_head.weight": odd})
for odd in (None, [1], 10**400, -1, float("nan"), "x", {1: 2}, torch.zeros(2), {"n_head": 10**400}, {"bias": [[[[]]]]}):
    for name in ("model_args", "config", "tinygrad_edu", "iter_num"):
        if name in ("model_args", "iter_num") or not isinstance(odd, dict) or 1 in odd:  # else it is not read
            refused({"model": state, name: odd})
warnings.simplefilter("ignore")  # it is a prototype
nested = torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)])
for odd in ([1], {1: 2}, {1: torch.zeros(2)}, {("a",): torch.zeros(2)}, {**state, "x": nested},
            {"\\ud800": torch.zeros(2)}, {"a": torch.zeros(2), "b": 3}, {},
            {"transformer.wte.weight": torch.zeros(2, 2)}):
    refused({"model": odd})
    refused(odd)
"""


@pytest.mark.parametrize("code", [OUT, IN, GOES_ON, HOSTILE], ids=["out", "in", "nanogpt goes on", "hostile"])
def test_logits_agree_with_pytorch(code: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code, str(HERE), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    if code is HOSTILE:
        assert all(line.startswith("gpt: error: ") for line in done.stderr.splitlines())
    if code is IN:
        assert done.stderr.count("is damaged, or holds more than numbers and words") == 2
        assert "GLOBAL exec was not an allowed global by default)" in done.stderr
