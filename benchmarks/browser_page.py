"""Time a step of training in the playground against TinyGPT, a page that trains a small GPT in the browser (C++, WASM).

    git clone https://github.com/sarthakagrawal927/tinygpt tinygpt
    git -C tinygpt checkout 0f2712ded1ceff0366ec58b330dffca9ba0d5df8
    python benchmarks/browser_page.py tinygpt

The compiled module of that page is in its repository, so nothing is built. One Chromium runs both, each in a Worker of
its own as in its page; they take turns, ``--rounds`` times, and the fastest round of each counts. A step is all that a
step of training is in the page: a batch of the text, forward, backward, clipping, AdamW. Both have the same text,
alphabet, layers, width, heads, context and batch; TinyGPT's blocks have biases and GELU, as the preset ``nano``, which
lacks the biases. TinyGPT multiplies matrices on as many threads as there are cores, so it is measured so, and on one
thread; ours has one. It needs Chromium, llvmlite and the text, which is downloaded once.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.browser import ask
from benchmarks.compiled import cpu_name
from gpt.config import PRESETS
from gpt.data.corpus import Corpus, open_text
from gpt.pictures import trainer
from tests.viz.browser import CHROMIUM, Browser
from viz.play.page import worker_library

SIZES = ("nano", "small")
PAGE = """<!doctype html><title>-</title><link rel=icon href=data:,><script>
const made = {};
function tell(name, order) {
  const worker = made[name] ??= name === "ours" ? new Worker("ours.js") : new Worker(`tinygpt-worker.js#${name}`, { type: "module" });
  return new Promise((resolve, reject) => { worker.onmessage = ({ data }) => resolve(data); worker.onerror = ({ message }) => reject(new Error(message)); worker.postMessage(order); });
}
</script>"""  # noqa: E501
MEASURE = """
function measure(step, seconds) {
  const begun = performance.now();
  let steps = 0, loss;
  do { loss = step(); steps++; } while (performance.now() - begun < 1000 * seconds || steps < 2);
  return { step: (performance.now() - begun) / 1000 / steps, loss };
}
"""
OURS = """
let model;
const bytes = async name => new Uint8Array(await (await fetch(name)).arrayBuffer());
onmessage = async ({ data }) => {
  if (data.settings) {
    model = await MODELS.train.make(data.settings, bytes);
    return postMessage({ parameters: model.a.parameters, loss: model.val });
  }
  postMessage(measure(() => model.a.advance(), data.seconds));
};
"""
RIVAL = """
if (location.hash === "#one") Object.defineProperty(navigator, "hardwareConcurrency", { value: 1 });
let module, model, shape;
onmessage = async ({ data }) => {
  if (data.shape) {
    const { default: create } = await import("./tinygpt.js");
    module = await create();
    shape = data.shape;
    const tokens = new Uint8Array(await (await fetch("tokens")).arrayBuffer()), at = module._malloc(tokens.length);
    const { vocab, block, layers, heads, width } = shape;
    module.HEAPU8.set(tokens, at);
    model = module._tg_model_create(vocab, block, layers, heads, width, 4 * width, 1);
    module._tg_set_data(model, at, tokens.length, 0.9);
    return postMessage({ parameters: module._tg_model_num_params(model) });
  }
  postMessage(measure(() => module._tg_train_step(model, shape.batch, shape.rate, 1.0), data.seconds));
};
"""


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serve a folder to a page that may use threads."""

    def end_headers(self) -> None:
        """Add what a page needs for shared memory."""
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def row(size: str, folder: Path, browser: Browser, address: str, rounds: int, seconds: float) -> None:
    """Measure one size, and print its ratios."""
    corpus = Corpus.from_text(open_text("shakespeare", None), 64)
    made, missing = trainer.steps(corpus)
    if missing:
        raise SystemExit(missing["missing"])
    preset = PRESETS[size]
    batch = int(preset.train["batch_size"])
    (folder / f"step-{size}").write_bytes(made[f"step-{size}"])
    (folder / "text").write_text(open_text("shakespeare", None).whole(), encoding="utf-8")
    (folder / "tokens").write_bytes(bytes([*corpus.train, *corpus.val]))
    browser.open(address)
    settings = {
        "text": "text", "own": "", "size": size, "rate": preset.train["lr"], "steps": 100_000, "seed": "1", "every": 0,
        "race": False, "over": "steps", "temperature": 1, "prompt": "", "line": "",
    }  # fmt: skip
    shape = {
        "vocab": corpus.tokenizer.vocab_size, "block": preset.model["block_size"], "layers": preset.model["n_layer"],
        "heads": preset.model["n_head"], "width": preset.model["n_embd"], "batch": batch, "rate": preset.train["lr"],
    }  # fmt: skip
    told = [ask(browser, f"tell('ours', {json.dumps({'settings': settings})})")]
    who = {"ours": "the playground", "all": "TinyGPT", "one": "TinyGPT, one thread"}
    told += [ask(browser, f"tell('{name}', {json.dumps({'shape': shape})})") for name in list(who)[1:]]
    best: dict[str, float] = {}
    for _ in range(rounds):
        for name in who:
            found = ask(browser, f"tell('{name}', {{ seconds: {seconds} }})")
            best[name] = min(best.get(name, float("inf")), found["step"])
            told[list(who).index(name)]["loss"] = found["loss"]
    for (name, words), one in zip(who.items(), told, strict=True):
        print(
            f"{size:<8}{words:<22}{one['parameters']:>10,}{best[name] * 1e3:>12.1f}"
            f"{best[name] / best['ours']:>12.2f}{one['loss']:>10.3f}",
            flush=True,
        )


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tinygpt", type=Path, help="the folder of its repository")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long")
    args = parser.parse_args()
    if CHROMIUM is None:
        raise SystemExit("this needs Chromium: apt install chromium")
    version = subprocess.run([CHROMIUM, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    print(f"{datetime.date.today()}, {cpu_name()}, {os.cpu_count()} cores, {version}")
    print(f"{'size':<8}{'page':<22}{'parameters':>10}{'ms a step':>12}{'to ours':>12}{'loss':>10}")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        folder = Path(place) / "page"
        folder.mkdir()
        for name in ("tinygpt.js", "tinygpt.wasm"):
            shutil.copy(args.tinygpt / "browser" / "public" / name, folder)
        (folder / "index.html").write_text(PAGE, encoding="utf-8")
        (folder / "ours.js").write_text(worker_library(["train"]) + MEASURE + OURS, encoding="utf-8")
        (folder / "tinygpt-worker.js").write_text(MEASURE + RIVAL, encoding="utf-8")
        handler = functools.partial(Handler, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = Browser(Path(place) / "profile")
        try:
            for size in args.sizes:
                address = f"http://127.0.0.1:{server.server_port}/index.html"
                row(size, folder, browser, address, args.rounds, args.seconds)
        finally:
            browser.close()
            server.shutdown()


if __name__ == "__main__":
    main()
