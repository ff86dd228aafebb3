"""Time the steps of the playground's network against the engine of TensorFlow Playground, in one Chromium.

    git clone https://github.com/tensorflow/playground
    git -C playground checkout 02469bd3751764b20486015d4202b792af5362a6
    python benchmarks/browser_network.py playground

Both train 2-4-2-1 on the same 200 points of xor: tanh, squared error, batches of 10, SGD at a rate of .03. A step is a
batch forward and backward and an update of the weights, and what each page measures beside it, without drawing: ours
the loss over all points at every tenth step, theirs after every pass over the points, which are twenty steps. Each has
a Worker of its own; they take turns, and the fastest round of each counts. It needs Chromium, and Node.js with npm,
whose esbuild removes the types from ``src/nn.ts``.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import http.server
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.browser import ask
from benchmarks.compiled import cpu_name
from tests.viz.browser import CHROMIUM, Browser
from viz.play.page import worker_library

PAGE = """<!doctype html><title>-</title><link rel=icon href=data:,><script>
const workers = {};
function tell(name, seconds) {
  const worker = workers[name] ??= new Worker(`${name}.js`);
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = ({ message }) => reject(new Error(message));
    worker.postMessage(seconds);
  });
}
</script>"""
SETTINGS = """
const SETTINGS = { data: "xor", own: "", count: "200", noise: 0, wrong: 0, test: 0, batch: 10, layers: "4-2", seed: "1",
  activation: "tanh", optimizer: "sgd", rate: 0.03, decay: 0, dropout: 0, slow: false };
"""
MEASURE = """
onmessage = ({ data: seconds }) => {
  const begun = performance.now();
  let steps = 0;
  do { for (let i = 0; i < 200; i++) step(); steps += 200; } while (performance.now() - begun < 1000 * seconds);
  postMessage({ speed: steps / (performance.now() - begun) * 1000, loss: loss() });
};
"""
OURS = """
const model = new MODELS.network(SETTINGS);
const step = () => model.step();
const loss = () => { model.measure(); return model.loss; };
"""
RIVAL = """
const [points] = pointsOf(SETTINGS), { TANH } = nn.Activations;
const network = nn.buildNetwork([2, 4, 2, 1], TANH, TANH, null, ["x", "y"]);
let at = 0;
function step() {  // a twentieth of oneStep of the page
  for (let k = 0; k < 10; k++, at = (at + 1) % points.length) {
    const [x, y, label] = points[at];
    nn.forwardProp(network, [x, y]);
    nn.backProp(network, label, nn.Errors.SQUARE);
  }
  nn.updateWeights(network, 0.03, 0);
  if (at === 0) loss();
}
function loss() {  // of ours: without the half in their squared error
  let sum = 0;
  for (const [x, y, label] of points) sum += 2 * nn.Errors.SQUARE.error(nn.forwardProp(network, [x, y]), label);
  return sum / points.length;
}
"""


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("playground", type=Path, help="the folder of its repository")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long")
    args = parser.parse_args()
    if CHROMIUM is None:
        raise SystemExit("this needs Chromium: apt install chromium")
    version = subprocess.run([CHROMIUM, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    print(f"{datetime.date.today()}, {cpu_name()}, {os.cpu_count()} cores, {version}")
    command = ["npx", "--yes", "esbuild", "--bundle", "--format=iife", "--global-name=nn"]
    command.append(str((args.playground / "src" / "nn.ts").resolve()))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        rival = subprocess.run(command, cwd=place, stdout=subprocess.PIPE, check=True, text=True).stdout
        folder = Path(place) / "page"
        folder.mkdir()
        library = worker_library(["network"]) + SETTINGS
        (folder / "index.html").write_text(PAGE, encoding="utf-8")
        (folder / "ours.js").write_text(library + OURS + MEASURE, encoding="utf-8")
        (folder / "rival.js").write_text(library + rival + RIVAL + MEASURE, encoding="utf-8")
        handler = functools.partial(_Quiet, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = Browser(Path(place) / "profile")
        best: dict[str, dict[str, float]] = {}
        try:
            browser.open(f"http://127.0.0.1:{server.server_port}/index.html")
            for _ in range(args.rounds):
                for name in ("ours", "rival"):
                    found = ask(browser, f"tell('{name}', {args.seconds})")
                    if name not in best or found["speed"] > best[name]["speed"]:
                        best[name] = found
        finally:
            browser.close()
            server.shutdown()
    print(f"{'xor, 4-2':<24}{'steps a second':>16}{'to theirs':>12}{'loss':>10}")
    for name, words in (("ours", "the playground"), ("rival", "TensorFlow Playground")):
        speed = best[name]["speed"]
        print(f"{words:<24}{speed:>16,.0f}{speed / best['rival']['speed']:>12.2f}{best[name]['loss']:>10.4f}")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    main()
