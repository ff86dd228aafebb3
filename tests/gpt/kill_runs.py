"""Kill training runs at random moments with SIGKILL, and see that each goes on to the same bits.

    python tests/gpt/kill_runs.py --times 50

A run is first made without interruption. Then each round starts the same run, kills its process at a random moment of
its whole life (starting up and the last checkpoint included), resumes it, and compares every file with that of the
first run. Exit code 0 when all of them are equal.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from gpt import checkpoint  # noqa: E402 - it must be found first

SETTINGS = [
    "--preset", "micro", "--n-embd", "4", "--n-head", "2", "--block-size", "6", "--batch-size", "2", "--no-draw",
    "--steps", "800", "--warmup-steps", "2", "--checkpoint-interval", "3", "--eval-interval", "20", "--keep", "7",
    "--eval-sequences", "3", "--final-eval-sequences", "5", "--sample-interval", "0",
]  # fmt: skip


def everything(folder: Path) -> dict[str, bytes]:
    """What a run has written: bytes by path."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


class Killer:
    """Makes the same run again and again.

    Args:
        parent: where the folders of the runs are made.
        arguments: of ``gpt train``, without ``--out``.
    """

    def __init__(self, parent: Path, arguments: list[str]) -> None:
        self._parent, self._arguments = parent, arguments
        began = time.monotonic()
        whole = parent / "whole"
        self._finish(self._start("--out", str(whole), *arguments))
        self.seconds = time.monotonic() - began
        self.whole = everything(whole)

    def _start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "gpt", "train", *arguments],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _finish(self, process: subprocess.Popen[str]) -> None:
        error = process.communicate()[1]
        if process.returncode:
            raise AssertionError(f"gpt train ended with exit code {process.returncode}: {error.strip()}")

    def round(self, delay: float, *, begun: bool = False) -> str | None:
        """Start, kill after ``delay`` seconds, resume, compare; where it was killed. AssertionError if it differs.

        With ``begun`` the time counts from the first checkpoint. None when the run was over before.
        """
        out = Path(tempfile.mkdtemp(dir=self._parent))
        process = self._start("--out", str(out), *self._arguments)
        while begun and not checkpoint.exists(out) and process.poll() is None:
            time.sleep(0.005)
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
        if process.returncode == 0:
            return None
        if not checkpoint.exists(out):
            where = "before its first checkpoint"
        else:
            step = checkpoint.load_training_state(out).step
            checkpoint.load_model(out)
            where = f"behind the checkpoint of step {step}"
            if list(out.rglob(".*.new")):
                where += ", in the middle of writing a file"
        if checkpoint.exists(out):
            self._finish(self._start("--resume", str(out), "--no-draw"))
        else:
            self._finish(self._start("--out", str(out), *self._arguments))
        found = everything(out)
        differ = [name for name in sorted({*found, *self.whole}) if found.get(name) != self.whole.get(name)]
        if differ:
            raise AssertionError(f"killed {where} ({delay:.3f} s) and resumed, {', '.join(differ)} in {out} differ")
        shutil.rmtree(out)
        return where


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=50, help="how many runs are killed (default: 50)")
    parser.add_argument("--seed", type=int, default=0, help="of the text and the moments (default: 0)")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as parent:
        text = Path(parent, "text.txt")
        text.write_text("".join(rng.choice(["to ", "be, ", "or ", "not ", "that is\n"]) for _ in range(900)))
        killer = Killer(Path(parent), ["--data", str(text), *SETTINGS])
        print(f"The whole run takes {killer.seconds:.1f} s and writes {len(killer.whole)} files.", flush=True)
        while counts.total() < options.times:
            where = killer.round(rng.uniform(0.0, killer.seconds))
            if where is None:
                continue
            counts["in the middle of a file" if "middle" in where else where.partition(" of step ")[0]] += 1
            print(f"{counts.total():>4}  killed {where}: resumed to the same bits", flush=True)
    print(f"All {options.times} runs ended with the same bits. Killed:")
    for where, times in sorted(counts.items()):
        print(f"{times:>4}  {where}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
