"""Time a compiled step as WebAssembly in Chromium: against the native program, TensorFlow.js and jax-js.

    python benchmarks/browser.py                          # our module and the native program
    python benchmarks/browser.py --npm /tmp/peers         # TensorFlow.js and jax-js, too: npm installs them there
    python benchmarks/browser.py --npm /tmp/peers --settings nano --peers tensorflow

One headless Chromium runs all of them, in one page and on one thread: our module; TensorFlow.js with its WebAssembly
backend; and jax-js, which compiles the step with ``jit`` for WebAssembly, too. They have the same model, weights and
batch, and take turns, ``--rounds`` times; the fastest step of each counts. A step is the mean loss of a batch and its
gradient with respect to every parameter; before times are compared, losses and gradients are (1e-3 of the largest
number). The native program runs on one thread in between. The ratio is to the fastest peer. A peer that is not there,
or cannot run the model, is left out with a line that says why. It needs Chromium, llvmlite, and npm for the peers.
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
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.compiled import SETTINGS, cpu_name, make
from tests.viz.browser import CHROMIUM, Browser

PEERS = {
    "tensorflow": ("TensorFlow.js", {"@tensorflow/tfjs": "4.22.0", "@tensorflow/tfjs-backend-wasm": "4.22.0"}),
    "jax": ("jax-js", {"@jax-js/jax": "0.1.25"}),
}
PAGE = "<!doctype html><title>-</title><link rel=icon href=data:,><script src=browser_gpt.js></script>"
#: Gradients may differ by this much of their largest number.
TOLERANCE = 1e-3


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serve a folder, and the packages of npm below ``/npm/``."""

    def __init__(self, *arguments: Any, packages: str, **named: Any) -> None:
        self.packages = packages
        super().__init__(*arguments, **named)

    def translate_path(self, path: str) -> str:
        """Return the file of an address."""
        if path.startswith("/npm/"):
            own, self.directory = self.directory, self.packages
            try:
                return super().translate_path(path.removeprefix("/npm"))
            finally:
                self.directory = own
        return super().translate_path(path)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def installed(peers: list[str], folder: str | None) -> list[str]:
    """Return the peers that are there, after installing them; say what the others need."""
    every = {package: version for _, packages in PEERS.values() for package, version in packages.items()}
    versions = [f"{package}@{version}" for package, version in every.items()]

    def there(peer: str) -> bool:
        return folder is not None and all((Path(folder) / "node_modules" / name).is_dir() for name in PEERS[peer][1])

    why = "--npm FOLDER installs it there"
    if folder is not None and not all(map(there, peers)):
        why = "installing it needs npm"
        if shutil.which("npm"):
            print(f"npm downloads {', '.join(versions)} into {folder} ...", flush=True)
            Path(folder).mkdir(parents=True, exist_ok=True)
            order = ["npm", "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", folder]
            done = subprocess.run([*order, *versions], capture_output=True, text=True, check=False)
            why = "npm could not install it: " + " ".join(done.stderr.split())[:200]
    for peer in peers:
        if not there(peer):
            print(f"{PEERS[peer][0]} is left out: {why}")
    return [peer for peer in peers if there(peer)]


def ask(browser: Browser, script: str) -> Any:
    """Return what a promise of the page becomes; an error of the page is a RuntimeError."""
    browser.evaluate(
        f"window.answer = null; {script}.then((x) => {{ answer = {{ value: x }}; }}, "
        f"(error) => {{ answer = {{ error: String(error) }}; }}); null"
    )
    browser.wait_for("answer !== null", 600)
    answer = browser.evaluate("answer")
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return answer["value"]


def write(folder: Path, setting: str) -> tuple[Any, tuple[Any, Any]]:
    """Write the page, our module, the weights and the batch; return the native program and the batch."""
    import numpy as np

    from tinygrad_edu import jit
    from tinygrad_edu.compiler import NumpyBackend

    model, (tokens, targets) = make(setting)
    compiled = jit(model.loss, model, backend=NumpyBackend(1), watch=False)
    compiled.value_and_grad(tokens, targets)
    compiled.to_wasm(batch=len(tokens)).save(folder)
    own = compiled.parameters
    own.array.astype(np.float32).tofile(folder / "weights.bin")
    tensors = {name: {"start": start, "shape": shape} for name, (start, shape) in own.tensors().items()}
    fields = ("n_layer", "n_embd", "n_head", "vocab_size", "norm", "norm_weight", "activation", "tied_head")
    config = {name: getattr(model.config, name) for name in fields}
    batch = {"tokens": tokens.tolist(), "targets": targets.tolist()}
    (folder / "settings.json").write_text(json.dumps({"config": config, "tensors": tensors, **batch}))
    (folder / "index.html").write_text(PAGE)
    shutil.copy(Path(__file__).with_name("browser_gpt.js"), folder)
    return compiled, (tokens, targets)


def native(compiled: Any, batch: tuple[Any, Any], seconds: float) -> float:
    """Return the seconds of the fastest step of the native program."""
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        compiled.value_and_grad(*batch)
        best = min(best, time.perf_counter() - start)
    return best


def row(setting: str, peers: list[str], packages: str, rounds: int, seconds: float) -> tuple[dict[str, float], float]:
    """Measure all in turns; return the seconds of a step of each, and the largest difference of a gradient."""
    best: dict[str, float] = {}
    differences = [0.0]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        folder = Path(place) / "page"
        compiled, batch = write(folder, setting)
        handler = functools.partial(Handler, packages=packages, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = Browser(Path(place) / "profile")
        try:
            browser.open(f"http://127.0.0.1:{server.server_port}/index.html")
            loss = ask(browser, "prepare('program')")
            who = ["program"]
            for peer in peers:
                try:
                    theirs = ask(browser, f"prepare('{peer}')")
                    differences.append(ask(browser, f"difference('{peer}')"))
                except RuntimeError as error:
                    print(f"    {PEERS[peer][0]} is left out of {SETTINGS[setting][0]}: {error}")
                    continue
                if not (abs(loss - theirs) <= TOLERANCE * abs(loss) and differences[-1] <= TOLERANCE):
                    raise SystemExit(
                        f"{setting}: the losses are {loss} and {theirs} ({peer}); gradients: {differences[-1]:.1e}"
                    )
                who.append(peer)
            for _ in range(rounds):
                best["native"] = min(best.get("native", float("inf")), native(compiled, batch, seconds))
                for one in who:
                    best[one] = min(best.get(one, float("inf")), ask(browser, f"measure('{one}', {seconds})"))
        finally:
            browser.close()
            server.shutdown()
    return best, max(differences)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    settings = [name for name in SETTINGS if name != "base"]
    parser.add_argument("--settings", nargs="+", choices=list(SETTINGS), default=settings)
    parser.add_argument("--peers", nargs="*", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--npm", metavar="FOLDER", help="where the peers are, or npm puts them (network)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long")
    args = parser.parse_args()
    if CHROMIUM is None:
        raise SystemExit("this needs Chromium: apt install chromium")
    import threadpoolctl

    threadpoolctl.threadpool_limits(1, user_api="blas")
    if args.npm is not None:
        args.npm = str(Path(args.npm).absolute())
    peers = installed(args.peers, args.npm)
    version = subprocess.run([CHROMIUM, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    print(f"{datetime.date.today()}, {cpu_name()}, {os.cpu_count()} cores, {version}")
    names = [PEERS[peer][0] for peer in peers]
    print(
        f"{'setting, milliseconds a step':<32}{'program':>10}{''.join(f'{name:>15}' for name in names)}"
        f"{'to the best':>13}{'native':>10}{'to native':>11}"
    )
    for setting in args.settings:
        best, difference = row(setting, peers, str(Path(args.npm or ".") / "node_modules"), args.rounds, args.seconds)
        own = best["program"]
        times = "".join(f"{best[peer] * 1e3:>15.3f}" if peer in best else f"{'':>15}" for peer in peers)
        rival = min((best[peer] for peer in peers if peer in best), default=float("nan"))
        print(
            f"{SETTINGS[setting][0]:<32}{own * 1e3:>10.3f}{times}{own / rival:>13.3f}"
            f"{best['native'] * 1e3:>10.3f}{own / best['native']:>11.2f}"
        )
        if len(best) > 2:
            print(f"    largest difference of a gradient {difference:.0e}", flush=True)


if __name__ == "__main__":
    main()
