"""Make the pictures of the pages from one run: ``python3 run.py python docs/gallery.py runs/shakespeare-small``.

The run needs snapshots for the time machine (``--keep 20``). The curve in docs/recipe.md is of another run, which takes
half an hour; its folder, if it is given, comes second. Chromium makes the pictures of pages; without it these
pictures stay as they are. ``--compare BEFORE AFTER PAGE`` instead puts two folders of SVG files side by side, with
their crossings, lengths of lines and text sizes (see ``docs/compare.py``).
"""

from __future__ import annotations

import contextlib
import io
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from compare import compare

import gpt.cli
import viz
import viz.cli
from tinygrad_edu import Value
from tinygrad_edu import functional as F
from tinygrad_edu.nn import MLP
from tinygrad_edu.optim import Adam
from viz.charts.decision_boundary import boundaries, boundary
from viz.charts.network import network

DOCS = Path(__file__).resolve().parent
TEXT = "To be, or n"  # the text for which the model predicts the next character
READ = "To be,"  # the text its heads attend to: short enough for readable numbers
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def draw(*words: str) -> None:
    """Run a command of ``python -m viz`` whose last word is the name of the picture."""
    *command, name = words
    with contextlib.redirect_stdout(io.StringIO()):
        code = viz.cli.main([*command, "-o", str(DOCS / name)])
    if code:
        sys.exit(code)
    print(f"Wrote docs/{name}", flush=True)


def moving(name: str) -> None:
    """Animate the smallest graph with both rules: its numbers can be read on a phone."""
    a, b, c = Value(2.0, label="a"), Value(-3.0, label="b"), Value(10.0, label="c")
    L = a * b + c
    L.label = "L"
    viz.animate(L).save(DOCS / name)
    print(f"Wrote docs/{name}", flush=True)


def learned_xor(name: str, circles: str) -> None:
    """Draw XOR during training, as in docs/values.md, and the network that has learned it."""
    points, xor = [(0, 0), (0, 1), (1, 0), (1, 1)], [0, 1, 1, 0]
    model = MLP(2, [4, 1], rng=random.Random(1))
    adam = Adam(model.parameters(), lr=0.1)
    frames = []
    for step in range(101):
        if step in (0, 10, 30, 100):
            frames.append(boundary(model, points, xor, title=f"step {step}"))
        loss = F.mse([model(x) for x in points], xor)
        adam.zero_grad()
        loss.backward()
        adam.step()
    boundaries(frames).save(str(DOCS / name))
    print(f"Wrote docs/{name}", flush=True)
    names = {"inputs": ["a", "b"], "outputs": ["a xor b"]}
    network(model, [1, 0], **names, title="a = 1, b = 0").save(str(DOCS / circles))
    print(f"Wrote docs/{circles}", flush=True)


def photograph(page: Path, name: str, size: str, wait: int = 4000) -> None:
    """Save a page as a PNG."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print(f"docs/{name} stays as it is: no browser was found ({', '.join(BROWSERS)})")
        return
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
        command += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
        command += [f"--user-data-dir={profile}", f"--window-size={size}", f"--virtual-time-budget={wait}"]
        command += [f"--screenshot={DOCS / name}", page.resolve().as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    print(f"Wrote docs/{name}", flush=True)


def main(run: str, base: str | None = None) -> None:
    """All pictures; that of a run of the preset base only if one is given."""
    moving("moving.svg")
    draw("graph", "L = (a*b + c) * f", "a=2", "b=-3", "c=10", "f=-2", "expression.svg")
    gpt.cli.main(["draw", "--checkpoint", run, "--boxes", "12", "--out", str(DOCS / "gpt-loss.svg")])
    learned_xor("boundary.svg", "network.svg")
    draw("curve", run, "curve.svg")
    if base:
        draw("curve", base, "base-curve.svg")
    draw("attention", run, "--text", READ, "attention.svg")
    draw("next", run, "--text", TEXT, "--temperature", "0.7", "--top-p", "0.9", "next.svg")
    draw("compilation", run, "--focus", "transformer.h.0.attn", "compilation.svg")
    with tempfile.TemporaryDirectory() as folder:
        pages = Path(folder)
        with contextlib.redirect_stdout(io.StringIO()):
            viz.cli.main(["explore", run, "-o", str(pages / "explorer.html")])
            gpt.cli.main(["timemachine", run, "-o", str(pages / "timemachine.html")])
        photograph(pages / "explorer.html", "explorer.png", "1280,760")
        photograph(pages / "timemachine.html", "timemachine.png", "1280,860")


if __name__ == "__main__":
    if len(sys.argv) == 5 and sys.argv[1] == "--compare":
        print(compare(*map(Path, sys.argv[2:])))
    elif len(sys.argv) in (2, 3):
        main(*sys.argv[1:])
    else:
        sys.exit(
            f"usage: python {sys.argv[0]} RUN [BASE], folders that python -m gpt train --keep 20 has written, the "
            "second with --preset base; or --compare BEFORE AFTER PAGE"
        )
